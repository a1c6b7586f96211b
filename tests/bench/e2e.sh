#!/bin/bash
# What carrying a byte from one TUN device to another costs, by mode of tun_bridge, and how fast TCP runs through it.
# Usage: e2e.sh BUILD_DIR [MODE...] (BUILD_DIR holds tun_bridge; modes: plain, pass, split, offload; default all)
# Environment: E2E_ROUNDS (3); E2E_SECONDS (4) of each transfer; E2E_STREAMS ("1 4"), TCP streams of it.
# Needs root, /dev/net/tun, ip, iperf3, jq, taskset. Prints a table; writes BUILD_DIR/bench/e2e.csv.
#
# What is measured: namespace a sends TCP to namespace b by iperf3 through a TUN device in each, with tun_bridge in between. If
# there are two CPUs, the forwarder has the first to itself and both ends of iperf3 share the others.
# - cpu_s_per_gb is the figure that matters: user and system CPU seconds of the forwarder, from its start to its end, per 10^9
#   bytes that arrived. The kernel does the receiver's TCP inside the forwarder's write to the device, and what an acknowledgment
#   sets off inside the write of that acknowledgment: mode pass, which touches nothing, is the floor for every mode, and
#   cpu_ratio_pass says what the library adds to it. The kernel tells user from system by samples (a few hundred a second): the
#   sum is exact, the two parts less so.
# - Throughput says less. Where the forwarder is the slower side (plain, split) it follows from the cost. Where the iperf3 side
#   is, which copies each byte twice on one CPU, it hardly depends on the forwarder, which then sleeps more often and has smaller
#   batches.
# - Each round runs every mode once, in an order that rotates; ratios are to `pass` in the same round and for as many streams; the
#   table has the median over the rounds of every figure by itself. cpu_least and cpu_most: of a round.
set -u
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [MODE...]" >&2; exit 2; }
bridge=$(cd "$1" && pwd)/tun_bridge || exit 2
out=$1/bench
shift
[ $# -gt 0 ] || set -- plain pass split offload
modes=("$@")
rounds=${E2E_ROUNDS:-3} seconds=${E2E_SECONDS:-4} streams=${E2E_STREAMS:-1 4}
ns_a=tuo-bench-a-$$ ns_b=tuo-bench-b-$$
dir=$(mktemp -d) || exit 2
server_pid='' bridge_pid=''

clean_up() {
    local pid
    for pid in $bridge_pid $server_pid; do kill "$pid" 2> /dev/null && wait "$pid" 2> /dev/null; done
    ip netns del $ns_a 2> /dev/null
    ip netns del $ns_b 2> /dev/null
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

cannot() { echo "bench-e2e cannot run: $1"; [ "${CI:-}" != true ]; exit; }
fail() { echo "bench-e2e: $1" >&2; exit 1; }

# --- what is needed ---

[ -x "$bridge" ] || { echo "$0: $bridge is not there" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || cannot "needs root"
[ -c /dev/net/tun ] || cannot "needs /dev/net/tun"
PATH=$PATH:/usr/sbin:/sbin
for tool in ip iperf3 jq taskset; do command -v $tool > /dev/null || cannot "needs $tool"; done
ip netns add $ns_a 2> "$dir/log" || cannot "no network namespaces: $(cat "$dir/log")"
ip netns add $ns_b || cannot "no second network namespace"
ip netns exec $ns_a ip tuntap add mode tun name probe 2> "$dir/log" || cannot "no TUN devices: $(cat "$dir/log")"
ip netns exec $ns_a ip link del probe
mkdir -p "$out" || exit 2

# --- CPUs: those that this process may use, "0-1,4" as "0 1 4" ---

read -ra cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
    awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) printf "%d ", i }'; echo)
forwarder_cpu=${cpus[0]} client_cpus=$(IFS=,; echo "${cpus[*]:1}")
client_cpus=${client_cpus:-$forwarder_cpu}

# --- one run ---

until_true() { # SECONDS COMMAND...: try it every 20 ms
    local tries=$(($1 * 50))
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1)); [ $tries -gt 0 ] || return 1
        sleep 0.02
    done
}

stop_server() { [ -z "$server_pid" ] || { kill "$server_pid"; wait "$server_pid"; } 2> /dev/null; }

server_listens() { ip netns exec $ns_b grep -hqs ':1451 [0:]* 0A' /proc/net/tcp /proc/net/tcp6; } # port 5201

start_server() { # a new one for each run: the old one may still wait for words that the bridge took with it
    stop_server
    taskset -c "$client_cpus" ip netns exec $ns_b iperf3 -s > "$dir/server" 2>&1 & server_pid=$!
    until_true 5 server_listens || fail "iperf3 does not start: $(cat "$dir/server")"
}

start_bridge() { # MODE
    rm -f "$dir/log" # nobody must find the words of the bridge before this one
    taskset -c "$forwarder_cpu" "$bridge" --a tun_a@$ns_a --b tun_b@$ns_b --mode "$1" > "$dir/bridge" 2> "$dir/log" &
    bridge_pid=$!
    until_true 5 grep -q '<->' "$dir/log" || fail "tun_bridge does not start: $(cat "$dir/log")"
    ip netns exec $ns_a ip addr add 10.77.0.1/24 dev tun_a || fail "no address"
    ip netns exec $ns_b ip addr add 10.77.0.2/24 dev tun_b || fail "no address"
}

stop_bridge() {
    kill -TERM $bridge_pid
    wait $bridge_pid || fail "tun_bridge failed: $(cat "$dir/log")"
    bridge_pid=''
}

field() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p" "$dir/bridge"; }

run() { # ROUND MODE STREAMS: appends "round mode streams Gbit/s user_s/GB sys_s/GB" to the results
    start_server
    start_bridge "$2"
    taskset -c "$client_cpus" ip netns exec $ns_a timeout $((seconds + 20)) \
        iperf3 -c 10.77.0.2 -t "$seconds" -P "$3" -J > "$dir/iperf"
    stop_bridge
    jq -e '.error == null and .end.sum_received.bytes > 0' "$dir/iperf" > /dev/null ||
        fail "iperf3, mode $2: $(jq -r .error "$dir/iperf")"
    jq -r '.end.sum_received | "\(.bytes) \(.bits_per_second)"' "$dir/iperf" |
        awk -v run="$*" -v user="$(field user_s)" -v sys="$(field sys_s)" \
            '{ printf "%s %.4f %.6f %.6f\n", run, $2 / 1e9, user / ($1 / 1e9), sys / ($1 / 1e9) }' | tee -a "$dir/results" |
        awk '{ printf "round %d: %-8s %d stream%s %7.2f Gbit/s  %.3f s/GB (user %.3f, system %.3f)\n", $1, $2, $3,
               $3 == 1 ? ", " : "s,", $4, $5 + $6, $5, $6 }'
}

# --- results ---

csv() { # medians, as documented at the top
    awk -v modes="${modes[*]}" -v streams="$streams" -v rounds="$rounds" '
        function median(what, of, mode, n, sorted, count, i, j, v) {
            count = 0
            for (i = 1; i <= rounds; i++) {
                if (!((what, i, mode, n) in value) || (of && !((what, i, of, n) in value))) continue
                v = value[what, i, mode, n] / (of ? value[what, i, of, n] : 1)
                for (j = count++; j > 0 && sorted[j - 1] > v; j--) sorted[j] = sorted[j - 1]
                sorted[j] = v
            }
            if (!count) return ""
            return sprintf("%.4f", (sorted[int((count - 1) / 2)] + sorted[int(count / 2)]) / 2)
        }
        function extreme(mode, n, sign, i, found) {
            for (i = 1; i <= rounds; i++)
                if (i == 1 || sign * value["cpu", i, mode, n] > sign * found) found = value["cpu", i, mode, n]
            return sprintf("%.4f", found)
        }
        { value["rate", $1, $2, $3] = $4; value["user", $1, $2, $3] = $5; value["sys", $1, $2, $3] = $6
          value["cpu", $1, $2, $3] = $5 + $6 }
        END {
            printf "mode,streams,gbit_per_s_median,cpu_s_per_gb_median,user_s_per_gb,sys_s_per_gb,"
            print "throughput_ratio_pass,cpu_ratio_pass,cpu_least,cpu_most"
            n_streams = split(streams, s, " "); n_modes = split(modes, m, " ")
            for (i = 1; i <= n_streams; i++) for (j = 1; j <= n_modes; j++)
                print m[j] "," s[i] "," median("rate", "", m[j], s[i]) "," median("cpu", "", m[j], s[i]) "," \
                    median("user", "", m[j], s[i]) "," median("sys", "", m[j], s[i]) "," \
                    median("rate", "pass", m[j], s[i]) "," median("cpu", "pass", m[j], s[i]) "," \
                    extreme(m[j], s[i], -1) "," extreme(m[j], s[i], 1)
        }' "$dir/results"
}

table() {
    awk -F, 'NR == 1 { printf "%-8s %7s %8s %9s %9s %9s %12s %9s\n", "mode", "streams", "Gbit/s", "CPU s/GB", "user", "system",
                       "rate/pass", "CPU/pass"; next }
             { printf "%-8s %7d %8.2f %9.3f %9.3f %9.3f %12s %9s\n", $1, $2, $3, $4, $5, $6, $7, $8 }'
}

ip netns exec $ns_a ip link set lo up
ip netns exec $ns_b ip link set lo up
echo "forwarder on CPU $forwarder_cpu, iperf3 on CPU $client_cpus"
for ((round = 1; round <= rounds; round++)); do
    for n in $streams; do
        for ((i = 0; i < ${#modes[@]}; i++)); do run $round "${modes[$(((i + round - 1) % ${#modes[@]}))]}" "$n"; done
    done
done
csv > "$out/e2e.csv" || exit 1
echo
table < "$out/e2e.csv"
echo "$out/e2e.csv"
