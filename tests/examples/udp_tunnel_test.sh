#!/bin/bash
# examples/udp_tunnel.c between two network namespaces joined by a veth pair: the commands of the README, transfers compared by
# digest, a restarted side, sockets that refuse UDP_SEGMENT, path MTU changes, encryption, and throughput against tun_bridge.
# Usage: tests/examples/udp_tunnel_test.sh BUILD_DIR (from the repository's root). "ok NAME" or "FAIL NAME: why" each, then the summary.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$1
cc=${CC:-cc}
. tests/lib/counts.sh
a=tuoA$$ b=tuoB$$
declare -A pid=()

# The commands of the README; addresses are those of the namespaces below.
command_build='cc -std=c99 -O2 -I. -o build/udp_tunnel examples/udp_tunnel.c'
command_a='build/udp_tunnel --dev tun0 --address 10.9.0.1/24 --address6 fd00:9::1/64 --listen :5555 --peer 192.0.2.2:5555'
command_b='build/udp_tunnel --dev tun0 --address 10.9.0.2/24 --address6 fd00:9::2/64 --listen :5555 --peer 192.0.2.1:5555'
command_try='ping 10.9.0.2'

bad() { fail "$1: $2"; }
expect() { local name=$1; shift; if "$@" > "$dir/why" 2>&1; then ok "$name"; else bad "$name" "$* $(tail -n 1 "$dir/why")"; fi; }

missing=
[ "$(id -u)" = 0 ] || missing="not root"
[ -z "$missing" ] && ! { : <> /dev/net/tun; } 2> /dev/null && missing="no /dev/net/tun"
for tool in ip iperf3 curl nginx sha256sum; do command -v $tool > /dev/null || missing=${missing:-$tool is not installed}; done
[ -z "$missing" ] && ! ip netns add $a 2> /dev/null && missing="cannot make network namespaces"
if [ -n "$missing" ]; then skip udp_tunnel "$missing"; finish; fi

# --- the place ---

dir=$(mktemp -d)
cleanup() {
    for p in "${pid[@]}"; do kill "$p" 2> /dev/null; wait "$p" 2> /dev/null; done
    ip netns del $a 2> /dev/null
    ip netns del $b 2> /dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

ip netns add $b
ip link add veth netns $a type veth peer name veth netns $b
in_a() { ip netns exec $a "$@"; }
in_b() { ip netns exec $b "$@"; }
for ns in $a $b; do
    ip -n $ns link set lo up
    ip -n $ns link set veth up
done
ip -n $a addr add 192.0.2.1/24 dev veth
ip -n $b addr add 192.0.2.2/24 dev veth
ip -n $a addr add 2001:db8::1/64 dev veth nodad
ip -n $b addr add 2001:db8::2/64 dev veth nodad

head -c 52428800 /dev/urandom > "$dir/50M"
head -c 20971520 "$dir/50M" > "$dir/20M"
declare -A digest
for f in 50M 20M; do digest[$f]=$(sha256sum < "$dir/$f"); done
chmod 755 "$dir"; chmod 644 "$dir/50M" "$dir/20M"
cat > "$dir/nginx.conf" << END
daemon off; master_process off; user root; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 256; }
http { access_log off; sendfile on; server { listen 80; listen [::]:80; root $dir; } }
END
# In the background never through a function: $! has to be the program, not a shell that waits for it.
ip netns exec $b nginx -c "$dir/nginx.conf" 2> "$dir/nginx.err" & pid[nginx]=$!
ip netns exec $b iperf3 -s > "$dir/iperf3.log" 2>&1 & pid[iperf3]=$!

# --- steps ---

# start SIDE COMMAND...: a tunnel end; waits until its device is up
start() {
    local side=$1 ns=$a
    shift
    [ "$side" = b ] && ns=$b
    : > "$dir/$side.err"
    ip netns exec $ns "$@" > "$dir/$side.out" 2> "$dir/$side.err" & pid[$side]=$!
    for _ in $(seq 100); do
        grep -q 'is up' "$dir/$side.err" && return 0
        sleep 0.05
    done
    bad "start of $side" "$(tail -n 1 "$dir/$side.err")"
    return 1
}

# stop SIDE...: end it; its counters are then in $dir/SIDE.out
stop() {
    local side
    for side; do
        kill -INT "${pid[$side]}"
        wait "${pid[$side]}"
        unset "pid[$side]"
    done
}

count() { tail -n 1 "$dir/$1.out" | tr ' ' '\n' | sed -n "s/^$2=//p"; }
shown() { tail -n 1 "$dir/$1.out"; }

# fetch FILE URL_HOST: from the web server in B to A, through the tunnel; true if the digest is right
fetch() {
    local got
    got=$(in_a curl -s --max-time 25 "${@:3}" "http://$2/$1" | sha256sum)
    [ "$got" = "${digest[$1]}" ] || { echo "digest differs"; return 1; }
}

# rate ARGUMENTS...: bits per second of an iperf3 run from A to B, as the receiver saw it
rate() {
    in_a iperf3 -f k "$@" 2>&1 | awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Kbits/sec") print $(i - 1) * 1000 }'
}

at_least() {
    awk -v got="${1:-0}" -v want="$2" 'BEGIN { exit !(got + 0 >= want + 0) }' || { echo "$1 is not at least $2"; return 1; }
}
equal() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }

# nothing_lost FROM TO: each packet that FROM read from its device left as a datagram, and TO wrote one for each that came
nothing_lost() {
    equal "$(count "$1" tun_in_packets)" "$(count "$1" udp_out_datagrams)" && equal "$(count "$1" dropped)" 0 &&
        equal "$(count "$1" udp_out_datagrams)" "$(count "$2" udp_in_datagrams)" &&
        equal "$(count "$2" tun_out_packets)" "$(count "$2" udp_in_datagrams)" && equal "$(count "$2" dropped)" 0
}

readme_has() { # the four commands, as they are run here
    local line
    for line in "$command_build" "$command_a" "$command_b" "$command_try"; do
        grep -qF -- "$line" README.md || { echo "no line '$line'"; return 1; }
    done
}

# --- the README's commands ---

if grep -q udp_tunnel README.md; then expect "README has the commands of this test" readme_has
else skip "README has the commands of this test" "README.md does not mention udp_tunnel"; fi
mkdir -p "$build"
here() { echo "${1//build\//$build/}"; }
expect "builds" bash -c "$(here "$command_build")"
for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then skip "no warnings from $compiler" "$compiler is not installed"; continue; fi
    expect "no warnings from $compiler" $compiler -std=c99 -O2 -I. -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align \
        -Wundef -Werror -o "$dir/unused" examples/udp_tunnel.c
done
[ -x "$build/udp_tunnel" ] || finish

# shellcheck disable=SC2046 # the commands are words
start a $(here "$command_a") && start b $(here "$command_b") || finish
tunnel=$build/udp_tunnel
expect "warns that nothing is encrypted" grep -q 'warning: no --key-file' "$dir/a.err"
expect "MTU leaves room for the outer headers" grep -q 'MTU 1472' "$dir/a.err"
if command -v ping > /dev/null; then expect "ping" in_a $command_try -c 3 -i 0.1 -W 2
else skip "ping" "ping is not installed"; fi
expect "50 MB over IPv4" fetch 50M 10.9.0.2
expect "50 MB over IPv6" fetch 50M '[fd00:9::2]'
for direction in "" -R; do
    tcp=$(rate -c 10.9.0.2 -t 1 $direction)
    expect "iperf3 TCP $direction" at_least "$tcp" 1000000
done
udp=$(rate -c fd00:9::2 -u -l 1200 -b 100M -t 1)
expect "iperf3 UDP, 100 Mb/s asked for" at_least "$udp" 90000000

# A run of datagrams ends with the first shorter one: short bursts of mixed sizes arrive complete, each with its content.
cat > "$dir/mixed.py" << 'END'
import random, socket, sys, time
if sys.argv[1] == "receive":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
    s.bind(("10.9.0.2", 7000)); s.settimeout(1.5)
    print("ready", flush=True)
    good = 0
    try:
        while True:
            d = s.recv(65535)
            good += d == bytes([len(d) % 251]) * len(d)
    except socket.timeout: print("good", good, flush=True)
else:
    random.seed(1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for burst in range(100):
        sizes = random.choice([(100, 1000), (50, 100, 1200), (1000, 1000, 1000, 999)])
        for _ in range(40):
            n = random.choice(sizes)
            s.sendto(bytes([n % 251]) * n, ("10.9.0.2", 7000))
        time.sleep(0.003)
END
if command -v python3 > /dev/null; then
    python=$(python3 -c 'import sys; print(sys.executable)') # not a wrapper of it, which would be the process that we know
    : > "$dir/mixed"
    ip netns exec $b "$python" "$dir/mixed.py" receive > "$dir/mixed" 2>&1 & pid[mixed]=$!
    for _ in $(seq 40); do grep -q ready "$dir/mixed" && break; sleep 0.1; done
    in_a "$python" "$dir/mixed.py" send
    wait "${pid[mixed]}"; unset "pid[mixed]"
    expect "bursts of 4000 UDP datagrams of mixed sizes" equal "$(tail -n 1 "$dir/mixed")" "good 4000"
else skip "bursts of UDP datagrams of mixed sizes" "python3 is not installed"; fi

# A transfer survives the restart of one side. Slowed down, so that it is running then.
fetch 50M 10.9.0.2 --limit-rate 25M > "$dir/restart" & pid[fetch]=$!
sleep 0.7
stop b
expect "superpackets in and out" bash -c "[ $(count b superpackets_in) -gt 100 ] && [ $(count b superpackets_out) -gt 100 ]"
expect "many datagrams per message" at_least "$(count b udp_out_datagrams)" $((8 * $(count b udp_out_messages)))
expect "no refusal" equal "$(count b gso_refused)" 0
sleep 0.3
# shellcheck disable=SC2046
start b $(here "$command_b")
wait "${pid[fetch]}"; status=$?; unset "pid[fetch]"
expect "transfer goes on after a restart of the other side" equal $status 0

# --- throughput, while this tunnel is up ---

rate_tunnel=$(rate -c 10.9.0.2 -t 2)
stop a b

if [ -f examples/tun_bridge.c ] && $cc -std=c99 -O2 -I. -pthread -o "$build/tun_bridge" examples/tun_bridge.c 2> "$dir/cc"; then
    baseline="tun_bridge --mode plain"
    "$build/tun_bridge" --a tun0@$a --b tun0@$b --mode plain > "$dir/bridge" 2>&1 & pid[bridge]=$!
    sleep 0.5
    ip -n $a addr add 10.9.0.1/24 dev tun0
    ip -n $b addr add 10.9.0.2/24 dev tun0
    rate_plain=$(rate -c 10.9.0.2 -t 2)
    kill -INT "${pid[bridge]}"; wait "${pid[bridge]}"; unset "pid[bridge]"
else
    baseline="udp_tunnel --plain" # slower: that one has two programs in the path
    start a $(here "$command_a") --plain && start b $(here "$command_b") --plain && rate_plain=$(rate -c 10.9.0.2 -t 2)
    stop a b
fi
awk -v t="$rate_tunnel" -v p="${rate_plain:-0}" -v n="$baseline" 'BEGIN {
    printf "throughput, iperf3 TCP: udp_tunnel %.2f Gb/s, %s %.2f Gb/s: %.1f times\n", t / 1e9, n, p / 1e9, p ? t / p : 0 }'
# Four times on an idle machine; beside busy neighbours 2.7 was seen. That superpackets are used is counted above.
expect "throughput is at least twice that of $baseline" \
    at_least "$rate_tunnel" "$(awk -v p="${rate_plain:-1e18}" 'BEGIN { print 2 * p }')"

# --- sockets that refuse UDP_SEGMENT ---

common_a="--dev tun0 --address 10.9.0.1/24 --listen :5555 --peer 192.0.2.2:5555"
common_b="--dev tun0 --address 10.9.0.2/24 --listen :5555 --peer 192.0.2.1:5555"
pair() { start a "$tunnel" $common_a "$@" && start b "$tunnel" $common_b "$@"; }
mtu_of_path() { ip -n $b route replace 192.0.2.0/24 dev veth src 192.0.2.2 mtu "$1"; }
seconds_until() { # seconds_until TEXT FILE: within 4 s
    local _
    for _ in $(seq 40); do grep -q -- "$1" "$2" && return 0; sleep 0.1; done
    tail -n 1 "$2"; return 1
}

# By the kernel: the datagrams are larger than the path MTU, so they leave singly, as IP fragments.
mtu_of_path 1400
pair --mtu 1472 && {
    expect "path MTU below the tunnel's: 20 MB" fetch 20M 10.9.0.2
    stop b a
    expect "path MTU below the tunnel's: the kernel refused" at_least "$(count b gso_refused)" 1
    expect "path MTU below the tunnel's: packets went singly" equal "$(count b udp_out_datagrams)" "$(count b udp_out_messages)"
    expect "path MTU below the tunnel's: nothing lost" nothing_lost b a
}
mtu_of_path 1500

# By each errno that a kernel may give, in the middle of a sendmmsg as well.
cat > "$dir/refuse.c" << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
/* The first REFUSE_AFTER messages with control data pass, the others fail with REFUSE_ERRNO. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    int (*real)(int, struct mmsghdr *, unsigned, int) = dlsym(RTLD_NEXT, "sendmmsg");
    static int passed;
    unsigned n = 0;
    while (n < count && (!messages[n].msg_hdr.msg_controllen || passed++ < atoi(getenv("REFUSE_AFTER")))) n++;
    if (n > 0) return real(fd, messages, n, flags);
    errno = atoi(getenv("REFUSE_ERRNO"));
    return -1;
}
END
if $cc -shared -fPIC -w -o "$dir/refuse.so" "$dir/refuse.c" -ldl 2> "$dir/cc"; then
    for row in "EIO 5 0" "EINVAL 22 10" "EMSGSIZE 90 100"; do
        read -r name number after <<< "$row"
        export REFUSE_ERRNO=$number REFUSE_AFTER=$after
        start a "$tunnel" $common_a && start b env LD_PRELOAD="$dir/refuse.so" "$tunnel" $common_b && {
            expect "$name for UDP_SEGMENT after $after messages: 20 MB" fetch 20M 10.9.0.2
            stop b a
            expect "$name: refused" at_least "$(count b gso_refused)" 1
            expect "$name: packets went singly after that" at_least "$(count b udp_out_messages)" \
                "$(($(count b udp_out_datagrams) - 64 * after))"
            expect "$name: few refusals, the rest was not tried" \
                at_least "$(count b udp_out_datagrams)" $((500 * $(count b gso_refused)))
            expect "$name: nothing lost" nothing_lost b a
        }
    done
else skip "refusals by errno" "no shared library: $(tail -n 1 "$dir/cc")"; fi

pair --no-gso && {
    expect "--no-gso: 20 MB" fetch 20M 10.9.0.2
    stop b a
    expect "--no-gso: one datagram per message" equal "$(count b udp_out_datagrams)" "$(count b udp_out_messages)"
}

# --- MTU ---

pair && {
    mtu_of_path 1400
    in_b curl -s -o /dev/null --max-time 1 http://10.9.0.1/ # a datagram for the kernel to look the route up again
    expect "follows the path MTU down" seconds_until '^udp_tunnel: MTU 1372' "$dir/b.err"
    expect "after that: 20 MB" fetch 20M 10.9.0.2
    mtu_of_path 1500
    in_b curl -s -o /dev/null --max-time 1 http://10.9.0.1/
    expect "and up again" seconds_until '^udp_tunnel: MTU 1472' "$dir/b.err"
    stop b a
}

for ns in $a $b; do ip -n $ns link set veth mtu 9000; done
start a "$tunnel" --dev tun0 --address6 fd00:9::1/64 --listen :5555 --peer '[2001:db8::2]:5555' &&
    start b "$tunnel" --dev tun0 --address6 fd00:9::2/64 --listen '[2001:db8::2]:5555' --peer '[2001:db8::1]:5555' && {
    expect "IPv6 outside, jumbo frames: MTU" grep -q 'MTU 8952' "$dir/a.err"
    expect "IPv6 outside, jumbo frames: 50 MB" fetch 50M '[fd00:9::2]'
    stop b a
    expect "IPv6 outside, jumbo frames: datagrams are batched" \
        at_least "$(count b udp_out_datagrams)" $((3 * $(count b udp_out_messages)))
}
for ns in $a $b; do ip -n $ns link set veth mtu 1500; done

# --- encryption ---

start_relay() { # REFLECTED: between the two, in B's namespace: sends the first datagrams of A back to A; duplicates every datagram after
    # that; on SIGUSR1 replays the first 100 for B
    cat > "$dir/relay.py" << 'END'
import select, signal, socket, sys
reflected = int(sys.argv[1])
def port(number, other):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
    s.bind(("192.0.2.2", number)); s.connect(other)
    return s
a, b = port(6001, ("192.0.2.1", 5555)), port(6002, ("192.0.2.2", 5555))
first = []
def replay(*_):
    for d in first: b.send(d)
signal.signal(signal.SIGUSR1, replay)
print("ready", flush=True)
while True:
    for s in select.select([a, b], [], [])[0]:
        other = b if s is a else a
        try:
            d = s.recv(65535)
            if reflected > 0: # B is not heard meanwhile
                if s is a: reflected -= 1; a.send(d)
                continue
            if s is a and len(first) < 100: first.append(d)
            other.send(d); other.send(d)
        except ConnectionRefusedError: pass
END
    : > "$dir/relay.out"
    ip netns exec $b "$python" "$dir/relay.py" "$1" > "$dir/relay.out" 2>&1 & pid[relay]=$!
    seconds_until ready "$dir/relay.out"
}

# TCP has closed on both sides: what it still had to say would count as packets of the next session.
tcp_closed() {
    local ns open _
    for _ in $(seq 50); do
        open=$(for ns in $a $b; do ip netns exec $ns ss -Htn state connected exclude time-wait; done)
        [ -z "$open" ] && return 0
        sleep 0.1
    done
    echo "$open"; return 1
}

# In the relay every datagram comes twice: as many are rejected as are accepted, and no packet comes out twice.
no_replay() {
    equal "$(count b tun_out_packets)" "$(count a tun_in_packets)" && at_least "$(count b rejected)" "$(count b tun_out_packets)"
}

encrypted() {
    head -c 32 /dev/urandom > "$dir/key"
    head -c 32 /dev/urandom > "$dir/other"
    pair --key-file "$dir/key" || return
    sleep 0.2
    expect "encrypted: MTU leaves room for 40 bytes more" grep -q 'MTU 1432' "$dir/a.err"
    expect "encrypted: 50 MB" fetch 50M 10.9.0.2
    stop a
    start a "$tunnel" $common_a --key-file "$dir/key"
    expect "encrypted: after a restart of one side, 20 MB" fetch 20M 10.9.0.2 --retry 3 --retry-connrefused
    stop a
    start a "$tunnel" $common_a --key-file "$dir/other"
    in_a curl -s -o /dev/null --max-time 2 http://10.9.0.2/20M
    expect "encrypted: nothing passes with another key" equal $? 28
    stop a b
    expect "encrypted: what does not open is counted" bash -c "[ $(count b rejected) -gt 0 ]"
    expect "encrypted: no packet came out on the side without the key" equal "$(count a tun_out_packets)" 0
    replays
}

replays() {
    command -v python3 > /dev/null || { skip "encrypted: replays" "python3 is not installed"; return; }
    for ns in $a $b; do # packets of ours only
        ip netns exec $ns sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
    done
    start_relay 0
    start b "$tunnel" $common_b --peer 192.0.2.2:6002 --key-file "$dir/key"
    start a "$tunnel" $common_a --peer 192.0.2.2:6001 --key-file "$dir/key"
    sleep 1.2
    expect "encrypted: 20 MB through a relay that sends everything twice" fetch 20M 10.9.0.2
    expect "encrypted: both sides have closed the connection" tcp_closed
    stop b
    cp "$dir/b.out" "$dir/b.before"
    start b "$tunnel" $common_b --peer 192.0.2.2:6002 --key-file "$dir/key"
    sleep 1.2
    kill -USR1 "${pid[relay]}"
    sleep 0.3
    stop b
    expect "encrypted: what was recorded before a restart does not open after it" equal "$(count b tun_out_packets)" 0
    expect "encrypted: all of it was rejected" at_least "$(count b rejected)" 95
    cp "$dir/b.before" "$dir/b.out"
    stop a
    expect "encrypted: no packet comes out twice" no_replay
    stop_relay
    start_relay 2 # A's hello and what it may answer to that: it must not take itself for the peer
    start b "$tunnel" $common_b --peer 192.0.2.2:6002 --key-file "$dir/key"
    sleep 0.2
    start a "$tunnel" $common_a --peer 192.0.2.2:6001 --key-file "$dir/key"
    sleep 3.5 # a hello each second
    expect "encrypted: 20 MB though A's first datagrams came back to it" fetch 20M 10.9.0.2
    stop a b
    stop_relay
}

stop_relay() {
    kill "${pid[relay]}"
    wait "${pid[relay]}" 2> /dev/null
    unset "pid[relay]"
}

if $cc -std=c99 -O2 -I. -DUSE_SODIUM -o "$build/udp_tunnel_sodium" examples/udp_tunnel.c -lsodium 2> "$dir/cc"; then
    "$tunnel" $common_a --key-file /dev/null > "$dir/out" 2>&1
    expect "a build without libsodium refuses --key-file" grep -q 'built without libsodium' "$dir/out"
    tunnel=$build/udp_tunnel_sodium
    encrypted
else skip "encryption" "libsodium's header or library is not installed"; fi

finish
