#!/bin/bash
# What a tunnel over UDP carries and costs: examples/tunnel.c, examples/udp_tunnel.c, naive_tunnel.c (one packet per system call),
# tun_half (`naive_tunnel --tun-half`: offloads on the TUN device only) and plain (`tun_bridge --mode plain`: one packet per system call
# without UDP, one process for both ends), all in one run.
# Usage: tunnel.sh BUILD_DIR [PROGRAM...] (of tunnel, udp_tunnel, tun_half, plain, naive; BUILD_DIR holds the programs; default all)
# Environment: TUNNEL_ROUNDS (2); TUNNEL_SECONDS (2) of each transfer.
# Needs root, /dev/net/tun, ip, iperf3, jq. Prints a table; writes BUILD_DIR/bench/tunnel.csv.
#
# Two namespaces joined by a veth pair of MTU 1500, IPv4 outside and inside; iperf3 sends from A to B: TCP, or UDP datagrams of 1200 bytes,
# 1500 Mbit/s offered; one and four streams. Gbit/s is what arrived. cpu_a and cpu_b: seconds on a processor of the daemon in A and in B
# while iperf3 ran, per 10^9 bytes that arrived. What the kernel does inside the daemon's calls is in it: the receiving TCP for B.
# Each round runs every program once, in an order that rotates. The table has the medians over the rounds. Ratios are to naive. cpu_least and
# cpu_most: of a round, both ends together.
set -u
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [PROGRAM...]" >&2; exit 2; }
build=$(cd "$1" && pwd) || exit 2
out=$1/bench
shift
[ $# -gt 0 ] || set -- tunnel udp_tunnel tun_half plain naive
programs=("$@")
rounds=${TUNNEL_ROUNDS:-2} seconds=${TUNNEL_SECONDS:-2}
a=tuo-tunnel-a-$$ b=tuo-tunnel-b-$$
dir=$(mktemp -d) || exit 2
server='' daemon_a='' daemon_b=''

clean_up() {
    local pid
    for pid in $server $daemon_a $daemon_b; do kill "$pid" 2> /dev/null && wait "$pid" 2> /dev/null; done
    ip netns del $a 2> /dev/null
    ip netns del $b 2> /dev/null
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

cannot() { echo "bench-tunnel cannot run: $1"; [ "${CI:-}" != true ]; exit; }
fail() { echo "bench-tunnel: $1" >&2; exit 1; }

# --- the place ---

[ "$(id -u)" -eq 0 ] || cannot "needs root"
[ -c /dev/net/tun ] || cannot "needs /dev/net/tun"
PATH=$PATH:/usr/sbin:/sbin
for tool in ip iperf3 jq; do command -v $tool > /dev/null || cannot "needs $tool"; done
ip netns add $a 2> "$dir/log" || cannot "no network namespaces: $(cat "$dir/log")"
ip netns add $b || cannot "no second network namespace"
mkdir -p "$out" || exit 2
ip link add veth netns $a type veth peer name veth netns $b || cannot "no veth pair"
for ns in $a $b; do
    ip -n $ns link set lo up
    ip -n $ns link set veth up
done
ip -n $a addr add 192.0.2.1/24 dev veth
ip -n $b addr add 192.0.2.2/24 dev veth

until_true() { # SECONDS COMMAND...: try it every 20 ms
    local tries=$(($1 * 50))
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1)); [ $tries -gt 0 ] || return 1
        sleep 0.02
    done
}

# --- one program ---

start() { # PROGRAM
    : > "$dir/a"; : > "$dir/b"
    if [ "$1" = plain ]; then
        "$build/tun_bridge" --a tun0@$a --b tun0@$b --mode plain > "$dir/out" 2> "$dir/a" & daemon_a=$! daemon_b=$!
        until_true 5 grep -q '<->' "$dir/a" || fail "tun_bridge does not start: $(cat "$dir/a")"
        ip -n $a addr add 10.78.0.1/24 dev tun0 && ip -n $b addr add 10.78.0.2/24 dev tun0 || fail "no address"
    else
        local program=$build/$1 more=()
        case $1 in naive) program=$build/bench/naive_tunnel ;; tun_half) program=$build/bench/naive_tunnel more=(--tun-half) ;; esac
        ip netns exec $a "$program" --dev tun0 --address 10.78.0.1/24 --listen :5555 --peer 192.0.2.2:5555 "${more[@]}" > "$dir/out" 2> "$dir/a" &
        daemon_a=$!
        ip netns exec $b "$program" --dev tun0 --address 10.78.0.2/24 --listen :5555 --peer 192.0.2.1:5555 "${more[@]}" > "$dir/out" 2> "$dir/b" &
        daemon_b=$!
        until_true 5 grep -q 'is up' "$dir/a" && until_true 5 grep -q 'is up' "$dir/b" || fail "$1 does not start: $(cat "$dir/a" "$dir/b")"
    fi
    ip netns exec $b iperf3 -s > "$dir/server" 2>&1 & server=$!
    until_true 5 ip netns exec $b grep -hqs ':1451 [0:]* 0A' /proc/net/tcp /proc/net/tcp6 || fail "iperf3: $(cat "$dir/server")"
}

stop() {
    local pid
    for pid in $server $daemon_a $daemon_b; do kill "$pid" 2> /dev/null; wait "$pid" 2> /dev/null; done
    server='' daemon_a='' daemon_b=''
    # one who has the name tun0 after this one must not meet the device of this one
    until_true 5 eval "! ip -n $a link show tun0 && ! ip -n $b link show tun0" || fail "tun0 does not go away"
}

nanoseconds() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f", sum }'; } # on a processor, all threads

run() { # ROUND PROGRAM PROTOCOL STREAMS: appends "round program protocol streams Gbit/s A B"
    local before_a before_b after_a after_b options=()
    [ "$3" = udp ] && options=(-u -l 1200 -b $((1500 / $4))M)
    before_a=$(nanoseconds $daemon_a) before_b=$(nanoseconds $daemon_b)
    ip netns exec $a timeout $((seconds + 20)) iperf3 -c 10.78.0.2 -t "$seconds" -P "$4" "${options[@]}" -J > "$dir/iperf"
    after_a=$(nanoseconds $daemon_a) after_b=$(nanoseconds $daemon_b)
    jq -e '.error == null and .end.sum_received.bytes > 0' "$dir/iperf" > /dev/null || fail "iperf3, $2: $(jq -r .error "$dir/iperf")"
    jq -r '.end.sum_received | "\(.bytes) \(.bits_per_second)"' "$dir/iperf" |
        awk -v run="$*" -v cpu_a=$((after_a - before_a)) -v cpu_b=$((after_b - before_b)) \
            '{ printf "%s %.4f %.4f %.4f\n", run, $2 / 1e9, cpu_a / $1, cpu_b / $1 }' | tee -a "$dir/results" |
        awk '{ printf "round %d: %-10s %s, %d stream%s %7.3f Gbit/s, A %.3f, B %.3f s/GB\n", $1, $2, $3, $4, $4 == 1 ? ", " : "s,", $5, $6, $7 }'
}

csv() { # medians, as documented at the top
    awk -v programs="${programs[*]}" -v rounds="$rounds" '
        function median(what, program, protocol, n, sorted, count, i, j, v) {
            count = 0
            for (i = 1; i <= rounds; i++) {
                v = value[what, i, program, protocol, n]
                for (j = count++; j > 0 && sorted[j - 1] > v; j--) sorted[j] = sorted[j - 1]
                sorted[j] = v
            }
            return (sorted[int((count - 1) / 2)] + sorted[int(count / 2)]) / 2
        }
        function extreme(what, program, protocol, n, sign, i, v, found) {
            for (i = 1; i <= rounds; i++) {
                v = value[what, i, program, protocol, n]
                if (i == 1 || sign * v > sign * found) found = v
            }
            return found
        }
        function ratio(what, program, protocol, n, base) {
            base = (("rate", 1, "naive", protocol, n) in value) ? median(what, "naive", protocol, n) : 0
            return base ? sprintf("%.3f", median(what, program, protocol, n) / base) : ""
        }
        { value["rate", $1, $2, $3, $4] = $5; value["a", $1, $2, $3, $4] = $6; value["b", $1, $2, $3, $4] = $7
          value["both", $1, $2, $3, $4] = $2 == "plain" ? $6 : $6 + $7 }
        END {
            print "program,protocol,streams,gbit_per_s,cpu_a_s_per_gb,cpu_b_s_per_gb,rate_ratio_naive,cpu_ratio_naive,cpu_least,cpu_most"
            n_programs = split(programs, p, " ")
            for (u = 0; u < 2; u++) for (n = 1; n <= 4; n += 3) for (i = 1; i <= n_programs; i++) {
                protocol = u ? "udp" : "tcp"
                printf "%s,%s,%d,%.3f,%.3f,%.3f,%s,%s,%.3f,%.3f\n", p[i], protocol, n, median("rate", p[i], protocol, n), median("a", p[i], protocol, n),
                    median("b", p[i], protocol, n), ratio("rate", p[i], protocol, n), ratio("both", p[i], protocol, n),
                    extreme("both", p[i], protocol, n, -1), extreme("both", p[i], protocol, n, 1)
            }
        }' "$dir/results"
}

for ((round = 1; round <= rounds; round++)); do
    for ((i = 0; i < ${#programs[@]}; i++)); do
        program=${programs[$(((i + round - 1) % ${#programs[@]}))]}
        start "$program"
        for protocol in tcp udp; do for n in 1 4; do run $round "$program" $protocol $n; done; done
        stop
    done
done
csv > "$out/tunnel.csv" || exit 1
echo
awk -F, 'NR == 1 { printf "%-10s %-8s %7s %8s %10s %10s %12s %11s\n", "program", "protocol", "streams", "Gbit/s", "A, s/GB", "B, s/GB", "rate/naive",
                   "CPU/naive"; next }
         { printf "%-10s %-8s %7d %8.3f %10.3f %10.3f %12s %11s\n", $1, $2, $3, $4, $5, $6, $7, $8 }' "$out/tunnel.csv"
echo "plain is one process: A and B are the same"
echo "$out/tunnel.csv"
