#!/bin/bash
# examples/udp_tunnel.c between two network namespaces joined by a veth pair: the commands of examples/README.md, transfers compared by
# digest, a restarted side, sockets that refuse UDP_SEGMENT, path MTU changes, a changed outer address, ECN, an unprivileged owner, and
# a host without IPv6.
# Usage: tests/examples/udp_tunnel_test.sh BUILD_DIR (from the repository's root). "ok NAME" or "FAIL NAME: why" each, then the summary.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$1
cc=${CC:-cc}
name=udp_tunnel
. tests/examples/two_hosts.sh

# The commands of examples/README.md; addresses are those of the namespaces below.
command_build='cc -std=c99 -O2 -I. -o build/udp_tunnel examples/udp_tunnel.c'
command_a='build/udp_tunnel --dev tun0 --address 10.9.0.1/24 --address6 fd00:9::1/64 --listen :5555 --peer 192.0.2.2:5555'
command_b='build/udp_tunnel --dev tun0 --address 10.9.0.2/24 --address6 fd00:9::2/64 --listen :5555 --peer 192.0.2.1:5555'
command_try='ping 10.9.0.2'

# nothing_lost FROM TO: each packet that FROM read from its device left as a datagram, and TO wrote one for each that came
nothing_lost() {
    equal $(($(count "$1" tun_in_packets) + $(count "$1" keepalives_out))) "$(count "$1" udp_out_datagrams)" &&
        equal "$(count "$1" dropped)" 0 && equal "$(count "$1" udp_out_datagrams)" "$(count "$2" udp_in_datagrams)" &&
        equal $(($(count "$2" tun_out_packets) + $(count "$2" keepalives_in))) "$(count "$2" udp_in_datagrams)" &&
        equal "$(count "$2" dropped)" 0
}

page_has() { # the four commands, as they are run here
    local line
    for line in "$command_build" "$command_a" "$command_b" "$command_try"; do
        grep -qF -- "$line" examples/README.md || { echo "no line '$line'"; return 1; }
    done
}

# --- the commands of the page ---

expect "at most 350 lines" at_least 350 "$(wc -l < examples/udp_tunnel.c)"
expect "examples/README.md has the commands of this test" page_has
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
expect "warns that nothing is encrypted" grep -q 'warning: nothing is encrypted' "$dir/a.err"
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

stop a b

# --- sockets that refuse UDP_SEGMENT ---

common_a="--dev tun0 --address 10.9.0.1/24 --listen :5555 --peer 192.0.2.2:5555"
common_b="--dev tun0 --address 10.9.0.2/24 --listen :5555 --peer 192.0.2.1:5555"
pair() { start a "$tunnel" $common_a "$@" && start b "$tunnel" $common_b "$@"; }
mtu_of_path() { ip -n $b route replace 192.0.2.0/24 dev veth src 192.0.2.2 mtu "$1"; }
seconds_until() { # seconds_until TEXT FILE: in its last line, within 4 s
    local _
    for _ in $(seq 40); do tail -n 1 "$2" | grep -q -- "$1" && return 0; sleep 0.1; done
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
#include <netinet/in.h>
/* The first REFUSE_AFTER messages with UDP_SEGMENT pass, the others fail with REFUSE_ERRNO. */
static int has_gso(struct msghdr *message) {
    struct cmsghdr *c;
    for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == 103) return 1;
    return 0;
}
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    int (*real)(int, struct mmsghdr *, unsigned, int) = dlsym(RTLD_NEXT, "sendmmsg");
    static int passed;
    unsigned n = 0;
    while (n < count && (!has_gso(&messages[n].msg_hdr) || passed++ < atoi(getenv("REFUSE_AFTER")))) n++;
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

# --- MTU floor: 1280 with IPv6 inside, as fragments where the path takes less; without IPv6 the MTU goes below ---

mtu_of_path 1200
pair && {
    expect "path MTU 1200, IPv4 inside: MTU" grep -q 'MTU 1172$' "$dir/b.err"
    expect "path MTU 1200, IPv4 inside: 20 MB" fetch 20M 10.9.0.2
    stop b a
    expect "path MTU 1200, IPv4 inside: nothing refused" equal "$(count b gso_refused)" 0
}
start a "$tunnel" $common_a --address6 fd00:9::1/64 && start b "$tunnel" $common_b --address6 fd00:9::2/64 && {
    expect "path MTU 1200, IPv6 inside: MTU" grep -q 'MTU 1280, in fragments' "$dir/b.err"
    expect "path MTU 1200, IPv6 inside: 20 MB" fetch 20M '[fd00:9::2]'
    stop b a
}
mtu_of_path 1500

# --- a changed outer address ---

# moves NAME HOST OLD NEW [OPTION]: A's outer address OLD goes, NEW comes; within 3 s a ping of HOST through the tunnel is answered
moves() {
    ip -n $a addr del "$3" dev veth
    # shellcheck disable=SC2086 # no option is no word
    ip -n $a addr add "$4" dev veth ${5:-}
    expect "$1: recovers within 3 s" in_a ping -q -c 1 -i 0.1 -w 3 "$2"
}
without_peer="--dev tun0 --address 10.9.0.2/24 --address6 fd00:9::2/64 --listen :5555"
start b "$tunnel" $without_peer && start a "$tunnel" $common_a --address6 fd00:9::1/64 && {
    expect "without --peer: ping" in_a ping -q -c 2 -i 0.1 -w 2 10.9.0.2
    moves "IPv4 outside, another address" fd00:9::2 192.0.2.1/24 192.0.2.11/24
    ip -n $a addr del 192.0.2.11/24 dev veth
    ip -n $a addr add 192.0.2.1/24 dev veth
    stop a b
}
start b "$tunnel" $without_peer &&
    start a "$tunnel" --dev tun0 --address 10.9.0.1/24 --address6 fd00:9::1/64 --listen :5555 --peer '[2001:db8::2]:5555' && {
    moves "IPv6 outside, another address" 10.9.0.2 2001:db8::1/64 2001:db8::11/64 nodad
    ip -n $a addr del 2001:db8::11/64 dev veth
    ip -n $a addr add 2001:db8::1/64 dev veth nodad
    stop a b
}

# --- ECN: RFC 6040 ---

cat > "$dir/ecn.py" << 'END'
# relay HOST MARK: from port 6001 to 5555 of HOST; each datagram leaves with the ECN field MARK, or "keep" its own
# receive HOST, send HOST: a datagram with each ECN field, 0 to 3, and a line of what arrives of them
import socket, sys
what, host = sys.argv[1:3]
six = ":" in host
receive_field, field = ((41, 66), (41, 67)) if six else ((0, 13), (0, 1)) # IPV6_RECVTCLASS, IPV6_TCLASS; IP_RECVTOS, IP_TOS
def port(number):
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(*receive_field, 1)
    if number: s.bind((host, number))
    return s
def read(s):
    data, control, _, _ = s.recvmsg(2000, 100)
    return data, (control[0][2][0] if control else 0) & 3 # little-endian, or one byte
if what == "relay":
    s, out = port(6001), port(6002)
    print("ready", flush=True)
    while True:
        data, mark = read(s)
        out.setsockopt(*field, mark if sys.argv[3] == "keep" else int(sys.argv[3]))
        try: out.sendto(data, (host, 5555))
        except OSError: pass
elif what == "receive":
    s = port(7001)
    s.settimeout(5)
    print("ready", flush=True)
    got = {}
    try:
        while "end" not in got:
            data, mark = read(s)
            got[data.decode()] = mark
    except socket.timeout: pass
    print(*[got.get(str(i), "-") for i in range(4)], flush=True)
else:
    s = port(0)
    for mark, text in (0, "0"), (1, "1"), (2, "2"), (3, "3"), (2, "end"):
        s.setsockopt(*field, mark)
        s.sendto(text.encode(), (host, 7001))
END
in_background() { # NAME ARGUMENTS...: of ecn.py, in B's namespace; waits until it is ready
    local name=$1
    shift
    : > "$dir/$name"
    ip netns exec $b "$python" "$dir/ecn.py" "$@" > "$dir/$name" 2>&1 & pid[$name]=$!
    for _ in $(seq 80); do grep -q ready "$dir/$name" && return 0; sleep 0.05; done
    return 1
}
ecn() { # OUTER_HOST MARK WANTED: what arrives of the inner fields 0 to 3 if the network marks MARK
    local host outer=$1
    [ "${1#*:}" = "$1" ] || outer="[$1]"
    in_background relay relay "$1" "$2"
    start b "$tunnel" $without_peer --listen "$outer:5555"
    start a "$tunnel" $common_a --address6 fd00:9::1/64 --peer "$outer:6001"
    for host in 10.9.0.2 fd00:9::2; do
        in_background ecn receive $host
        in_a "$python" "$dir/ecn.py" send $host
        wait "${pid[ecn]}"; unset "pid[ecn]"
        expect "ECN, outer $1 marked $2, inner to $host" equal "$(tail -n 1 "$dir/ecn")" "$3"
    done
    kill "${pid[relay]}"; wait "${pid[relay]}" 2> /dev/null; unset "pid[relay]"
    stop a b
}
if [ -n "${python:-}" ]; then
    ecn 192.0.2.2 keep "0 1 2 3"
    ecn 192.0.2.2 3 "- 3 3 3"
    expect "ECN: what cannot say that it was marked is dropped" at_least "$(count b ecn)" 2
    ecn 2001:db8::2 3 "- 3 3 3"
    ecn 2001:db8::2 1 "0 1 1 3"
else skip ECN "python3 is not installed"; fi

# --- who may not set up the device ---

owner="setpriv --reuid 65534 --regid 65534 --clear-groups"
cp "$tunnel" "$dir/owned" # in a directory that anybody may read
if ! command -v setpriv > /dev/null || ! $owner test -w /dev/net/tun; then
    skip "unprivileged owner" "no setpriv, or no permission for /dev/net/tun"
else
    ip -n $a tuntap add dev tun0 mode tun user 65534
    ip -n $a link set tun0 mtu 1472 up
    ip -n $a addr add 10.9.0.1/24 dev tun0
    ip -n $a addr add fd00:9::1/64 dev tun0 nodad
    start a $owner "$dir/owned" $common_a --address6 fd00:9::1/64 && start b "$tunnel" $common_b --address6 fd00:9::2/64 && {
        expect "unprivileged owner of a prepared device: 20 MB over IPv4" fetch 20M 10.9.0.2
        expect "unprivileged owner of a prepared device: 20 MB over IPv6" fetch 20M '[fd00:9::2]'
        stop a b
        expect "unprivileged owner: superpackets" at_least "$(count a superpackets_out)" 10
    }
    ip -n $a link del tun0
fi

# --- a host without IPv6 ---

in_b sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
start b "$tunnel" $without_peer && start a "$tunnel" $common_a && {
    expect "IPv6 is off: says so" grep -q 'fd00:9::2/64: Permission denied' "$dir/b.err"
    expect "IPv6 is off: 20 MB over IPv4" fetch 20M 10.9.0.2
    stop a b
}

finish
