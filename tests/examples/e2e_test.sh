#!/bin/bash
# Real programs through tun_bridge: two network namespaces, a TUN device in each, iperf3, curl and nginx in between.
# Usage: tests/examples/e2e_test.sh BUILD_DIR [ROW...] (from the repository's root; BUILD_DIR holds tun_bridge; rows: plain, pass, split, offload, impaired, loss, queues,
# deleted; default all). Needs root, /dev/net/tun, ip, iperf3, curl, nginx; installs nothing.
# Prints throughput per mode (not judged), and as last line "N passed, N failed, N skipped".
set -u
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [ROW...]" >&2; exit 2; }
bridge=$(cd "$1" && pwd)/tun_bridge || exit 2
shift
[ $# -gt 0 ] || set -- plain pass split offload impaired loss queues deleted
. tests/lib/counts.sh
ns_a=tuo-e2e-a-$$ ns_b=tuo-e2e-b-$$
dir=$(mktemp -d) || exit 2
servers=() bridge_pid=

# --- results ---

check() { # NAME STATUS [WHY]
    if [ "$2" -eq 0 ]; then ok "$1"; else fail "$1${3:+: $3}"; fi
}

skip_all() { skip e2e "$1"; finish; }

clean_up() {
    local pid
    for pid in $bridge_pid "${servers[@]}"; do kill "$pid" 2> /dev/null && wait "$pid" 2> /dev/null; done
    ip netns del $ns_a 2> /dev/null
    ip netns del $ns_b 2> /dev/null
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# --- what is needed ---

[ -x "$bridge" ] || { echo "$0: $bridge is not there" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || skip_all "needs root"
[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"
PATH=$PATH:/usr/sbin:/sbin
for tool in ip iperf3 curl nginx sha256sum timeout; do command -v $tool > /dev/null || skip_all "needs $tool"; done
ip netns add $ns_a 2> "$dir/log" || skip_all "cannot make network namespaces: $(cat "$dir/log")"
ip netns add $ns_b || skip_all "cannot make two network namespaces"
ip netns exec $ns_a ip tuntap add mode tun name probe 2> "$dir/log" || skip_all "cannot make TUN devices: $(cat "$dir/log")"
ip netns exec $ns_a ip link del probe

# --- servers: in namespace b, once, on every address ---

in_a() { ip netns exec $ns_a "$@"; }
in_b() { ip netns exec $ns_b "$@"; }

# until SECONDS COMMAND...: try it every 20 ms
until_true() {
    local tries=$(($1 * 50))
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1)); [ $tries -gt 0 ] || return 1
        sleep 0.02
    done
}

start_servers() {
    mkdir "$dir/www"
    head -c 200M /dev/urandom > "$dir/www/large"
    head -c 20M "$dir/www/large" > "$dir/www/medium"
    head -c 100k "$dir/www/large" > "$dir/www/small"
    cat > "$dir/nginx.conf" << CONF
daemon off; user root; worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
    uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
    server { listen 0.0.0.0:8080 backlog=1024; listen [::]:8080 backlog=1024; root $dir/www; }
}
CONF
    in_a ip link set lo up; in_b ip link set lo up
    # Not by in_b: $! would be a subshell, and the servers would outlive it.
    ip netns exec $ns_b nginx -e "$dir/nginx.log" -c "$dir/nginx.conf" > "$dir/nginx.out" 2>&1 & servers+=($!)
    ip netns exec $ns_b iperf3 -s > "$dir/iperf3.log" 2>&1 & servers+=($!)
    until_true 5 in_b curl -s -o /dev/null http://127.0.0.1:8080/small && until_true 5 in_b bash -c ': < /dev/tcp/127.0.0.1/5201'
    check "nginx and iperf3 are up" $? "$(tail -n 3 "$dir/nginx.log" "$dir/iperf3.log")"
    for size in large medium small; do sha256sum < "$dir/www/$size" > "$dir/$size.sum"; done
}

# --- the bridge ---

start_bridge() { # OPTIONS...: sets up addresses, too
    rm -f "$dir/bridge.err" # the words of the bridge before
    "$bridge" --a tun_a@$ns_a --b tun_b@$ns_b "$@" > "$dir/bridge.out" 2> "$dir/bridge.err" & bridge_pid=$!
    until_true 5 grep -q 'tun_a@' "$dir/bridge.err" || { check "$row: bridge starts" 1 "$(cat "$dir/bridge.err")"; return 1; }
    in_a ip addr add 10.77.0.1/24 dev tun_a; in_a ip addr add fd77::1/64 dev tun_a nodad
    in_b ip addr add 10.77.0.2/24 dev tun_b; in_b ip addr add fd77::2/64 dev tun_b nodad
    until_true 5 in_a curl -s -o /dev/null --max-time 1 http://10.77.0.2:8080/small
    check "$row: bridge carries packets" $?
}

# stop_bridge SIGNAL: it must end by itself with status 0; its last line goes to $last
stop_bridge() {
    local status
    kill "-$1" $bridge_pid
    until_true 5 bash -c "! kill -0 $bridge_pid" || kill -9 $bridge_pid
    wait $bridge_pid; status=$?
    bridge_pid=
    last=$(tail -n 1 "$dir/bridge.out")
    check "$row: stops on SIG$1" $status "status $status: $(cat "$dir/bridge.err")"
    [[ $last =~ ^a_to_b_packets=[0-9]+\ a_to_b_bytes=[0-9]+\ b_to_a_packets=[0-9]+\ b_to_a_bytes=[0-9]+\ superpackets_in=[0-9]+\ \
superpackets_out=[0-9]+\ refused=[0-9]+\ lost=[0-9]+\ user_s=[0-9]+\.[0-9]+\ sys_s=[0-9]+\.[0-9]+$ ]]
    check "$row: last line has every field" $? "$last"
    [ "$(field lost)" = 0 ]; check "$row: the bridge lost nothing" $? "lost=$(field lost)"
    [ "$(field refused)" = 0 ]; check "$row: the kernel refused nothing" $? "refused=$(field refused)"
    echo "   $row: $last"
}

field() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p" <<< "$last"; }
at_least() { [ -n "$(field "$1")" ] && [ "$(field "$1")" -ge "$2" ]; check "$row: $1 >= $2" $? "$1=$(field "$1")"; }
exactly() { [ "$(field "$1")" = "$2" ]; check "$row: $1 = $2" $? "$1=$(field "$1")"; }

# --- traffic ---

bridge_cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' /proc/$bridge_pid/stat; } # user and system, in ticks

# tcp NAME SECONDS OPTIONS...: an iperf3 transfer that must complete; prints its rate
tcp() {
    local name=$1 seconds=$2 before rate cost bytes
    shift 2
    before=$(bridge_cpu)
    timeout 30 ip netns exec $ns_a iperf3 -f m -t "$seconds" --connect-timeout 3000 "$@" > "$dir/iperf" 2>&1
    local status=$?
    read -r rate bytes < <(awk '/receiver/ { for (i = 1; i < NF; i++) { # the last such line: the only stream, or the sum
            if ($i == "MBytes" || $i == "GBytes") b = $(i - 1) * ($i == "GBytes" ? 1024 : 1)
            if ($i ~ /^Mbits/) r = $(i - 1) } } END { print r, b }' "$dir/iperf")
    awk -v r="${rate:-0}" 'BEGIN { exit !(r > 0) }'
    check "$row: iperf3 $name completes" $((status + $?)) "status $status: $(tail -n 3 "$dir/iperf")"
    cost=$(awk -v t=$(($(bridge_cpu) - before)) -v hz="$(getconf CLK_TCK)" -v b="${bytes:-0}" \
        'BEGIN { if (b > 0) printf "%.2f", t / hz / (b * 1.048576e-3) }')
    echo "   $row: iperf3 $name: ${rate:-?} Mbit/s, bridge CPU ${cost:-?} s/GB"
}

# What the kernel says it dropped for lack of room, outside the bridge: full socket buffers and device queues.
kernel_drops() {
    local ns device
    for ns in $ns_a $ns_b; do
        ip netns exec $ns awk '$1 == "Udp:" { print $6 + 0 } $1 == "Udp6RcvbufErrors" { print $2 }' /proc/net/snmp /proc/net/snmp6
        for device in tun_a tun_b; do ip netns exec $ns cat /sys/class/net/$device/statistics/tx_dropped 2> /dev/null; done
    done | awk '{ n += $1 } END { print n + 0 }'
}

# udp NAME LOW HIGH OPTIONS...: percentage of datagrams that the bridge lost, by what iperf3 and the kernel say.
# iperf3 opens a UDP test with one datagram each way and hangs if one is lost: where loss is wanted (HIGH not 0), try again.
udp() {
    local name=$1 low=$2 high=$3 status=1 drops lost sent tries
    shift 3
    for ((tries = high ? 5 : 1; tries && status; tries--)); do
        drops=$(kernel_drops)
        timeout 5 ip netns exec $ns_a iperf3 -u -f m -t 1 -b 50M -l 1200 --get-server-output --connect-timeout 3000 "$@" \
            > "$dir/iperf" 2>&1
        status=$?
        IFS=/ read -r lost sent < <(sed -n 's/.* \([0-9]*\/[0-9]*\) (.*receiver.*/\1/p' "$dir/iperf" | tail -n 1)
        # A copy of its greeting that comes late is data to iperf3, numbered with what happens to be in its buffer.
        if [ "$high" != 0 ] && [ "${sent:-0}" -gt 1000000 ]; then status=1; fi
        [ $status -eq 0 ] || sleep 0.3
    done
    drops=$(($(kernel_drops) - drops))
    awk -v l=$((${lost:-0} - drops)) -v s="${sent:-0}" -v low="$low" -v high="$high" \
        'BEGIN { exit !(s > 1000 && l >= s * low / 100 && l <= s * high / 100) }'
    check "$row: iperf3 $name completes, the bridge lost $low to $high %" $((status + $?)) "${lost:-?} of ${sent:-?}, \
$drops of them for lack of room: $(tail -n 3 "$dir/iperf")"
    echo "   $row: iperf3 $name: ${lost:-?} of ${sent:-?} datagrams lost, $drops of them for lack of room"
}

# Duplicates and late datagrams, as iperf3 counts them
out_of_order() { # LEAST
    local n
    n=$(sed -n 's/.* \([0-9]*\) datagrams received out-of-order.*/\1/p' "$dir/iperf" | tail -n 1)
    [ "${n:-0}" -ge "$1" ]; check "$row: at least $1 datagrams out of order" $? "${n:-0}"
}

# fetch NAME SIZE URL_HOST: one file, digest compared
fetch() {
    local seconds
    seconds=$(in_a curl -gsS --max-time 40 -o "$dir/got" -w '%{time_total}' "http://$3:8080/$2" 2> "$dir/curl.err")
    [ "$(sha256sum < "$dir/got" 2> /dev/null)" = "$(cat "$dir/$2.sum")" ]
    check "$row: curl $1 ($2 file) compares equal" $? "$(cat "$dir/curl.err")"
    echo "   $row: curl $1 ($2 file): $(awk -v s="$seconds" -v b="$(stat -c %s "$dir/www/$2")" \
        'BEGIN { if (s > 0) printf "%.0f Mbit/s", b * 8e-6 / s }')"
    rm -f "$dir/got"
}

# 200 connections at the same time, both IP versions
parallel() {
    local i equal
    mkdir "$dir/many"
    for i in $(seq 200); do
        echo "url = \"http://$([ $((i % 2)) -eq 0 ] && echo 10.77.0.2 || echo '[fd77::2]'):8080/small\""
        echo "output = \"$dir/many/$i\""
    done > "$dir/many.conf"
    in_a curl -gsS -Z --parallel-immediate --parallel-max 200 --max-time 40 -K "$dir/many.conf" 2> "$dir/curl.err"
    equal=$(for i in "$dir"/many/*; do cmp -s "$i" "$dir/www/small" && echo; done | wc -l)
    [ "$equal" -eq 200 ]; check "$row: 200 parallel connections compare equal" $? "$equal of 200: $(head -n 3 "$dir/curl.err")"
    rm -rf "$dir/many"
}

# clean_row MODE: everything without impairment
clean_row() {
    row=$1
    start_bridge --mode "$1" --stats || return
    tcp "TCP v4" 2 -c 10.77.0.2
    tcp "TCP v4 reverse" 1 -c 10.77.0.2 -R
    tcp "TCP v6" 1 -c fd77::2
    tcp "TCP v6 reverse" 1 -c fd77::2 -R
    udp "UDP v4" 0 0 -c 10.77.0.2
    udp "UDP v6 reverse" 0 0 -c fd77::2 -R
    fetch v4 large 10.77.0.2
    fetch v6 medium '[fd77::2]'
    parallel
    grep -q '^a_to_b_mbit_per_s=[0-9.]* b_to_a_mbit_per_s=[0-9.]* ' "$dir/bridge.out"
    check "$row: --stats prints rates" $?
    stop_bridge TERM
    [ "$1" = plain ] && exactly superpackets_in 0 || at_least superpackets_in 100
    case $1 in plain | split) exactly superpackets_out 0 ;; *) at_least superpackets_out 100 ;; esac
    at_least b_to_a_bytes 220000000
}

# Loss, duplicates and late packets, in both directions
impaired_row() {
    row="offload, impaired"
    start_bridge --mode offload --impair loss=2,dup=2,reorder=2,seed=1 || return
    tcp "TCP v4" 2 -c 10.77.0.2
    tcp "TCP v6 reverse" 1 -c fd77::2 -R
    udp "UDP v4" -2 2 -c 10.77.0.2 # each duplicate makes up for a loss in what iperf3 counts
    out_of_order 130
    fetch v4 medium 10.77.0.2
    fetch v6 medium '[fd77::2]'
    parallel
    stop_bridge INT
    at_least superpackets_out 100
}

# What --impair says is what happens: datagrams are not sent again
loss_row() {
    row="offload, 5 % loss"
    start_bridge --impair loss=5,seed=7 || return
    udp "UDP v4" 4 6 -c 10.77.0.2
    udp "UDP v6 reverse" 4 6 -c fd77::2 -R
    stop_bridge TERM
}

queues_row() {
    row="offload, 2 queues"
    start_bridge --mode offload --queues 2 --mtu 9000 || return
    [ "$(in_b cat /sys/class/net/tun_b/mtu 2> /dev/null)" = 9000 ]; check "$row: --mtu" $?
    tcp "TCP v4, 4 streams" 1 -c 10.77.0.2 -P 4
    fetch v6 medium '[fd77::2]'
    parallel
    stop_bridge TERM
    at_least superpackets_out 100
}

# The device goes away under it: status 1 and a word why, not a hang
deleted_row() {
    local status
    row="device deleted"
    start_bridge || return
    in_b ip link del tun_b
    until_true 5 bash -c "! kill -0 $bridge_pid" || kill -9 $bridge_pid
    wait $bridge_pid; status=$?
    bridge_pid=
    [ $status -eq 1 ] && grep -q '^tun_bridge: tun_b: ' "$dir/bridge.err"; check "$row: ends with status 1 and says why" $? \
        "status $status: $(cat "$dir/bridge.err")"
    last=$(tail -n 1 "$dir/bridge.out")
    at_least a_to_b_packets 1
}

bad_usage() {
    local options
    for options in "" "--a x" "--a x --b y --mode fast" "--a x --b y --queues 0" "--a x --b y --queues 2x" \
                   "--a x --b y --mtu 10" "--a x --b y --impair loss=101" "--a x --b y --impair loss" \
                   "--a x --b y --impair late=1" "--a x --b y z"; do
        # shellcheck disable=SC2086
        timeout 5 "$bridge" $options > "$dir/out" 2> "$dir/err"
        [ $? -eq 2 ] && [ -s "$dir/err" ] && [ ! -s "$dir/out" ]; check "bad usage '$options' is refused" $?
    done
    timeout 5 "$bridge" --help | grep -q -- '--impair'; check "--help" $?
    timeout 5 "$bridge" --a x@no-such-namespace-$$ --b y > "$dir/out" 2> "$dir/err"
    [ $? -eq 1 ] && grep -q "no-such-namespace" "$dir/err"; check "unknown namespace is named" $?
}

bad_usage
start_servers
if [ $failed -eq 0 ]; then
    for which; do
        case $which in
            plain | pass | split | offload) clean_row "$which" ;;
            impaired | loss | queues | deleted) "${which}_row" ;;
            *) check "row $which exists" 1 ;;
        esac
    done
fi
finish
