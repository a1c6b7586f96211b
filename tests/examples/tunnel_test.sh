#!/bin/bash
# examples/tunnel.c, the tunnel of 100 lines, between two network namespaces: TCP and UDP over IPv4 and IPv6, system calls per ping, devices
# that go down and up, an MTU of 9000 on both devices, a flood that the tunnel cannot carry, a deleted device.
# Usage: tests/examples/tunnel_test.sh BUILD_DIR (from the repository's root; BUILD_DIR holds tunnel). "ok NAME" or "FAIL NAME: why" each, then the summary.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$1
name=tunnel
. tests/examples/two_hosts.sh

strict="-std=c99 -I. -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
expect "at most 100 lines" at_least 100 "$(wc -l < examples/tunnel.c)"
for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then skip "no warnings from $compiler" "$compiler is not installed"; continue; fi
    expect "no warnings from $compiler" $compiler $strict -o "$dir/unused" examples/tunnel.c
done
tunnel=$build/tunnel
[ -x "$tunnel" ] || { fail "$tunnel is not there"; finish; }

inner_a="--dev tun0 --address 10.9.0.1/24 --address6 fd00:9::1/64"
inner_b="--dev tun0 --address 10.9.0.2/24 --address6 fd00:9::2/64"
pings() { in_a ping -q -c 5 -i 0.05 -W 1 "$@"; }
fetches() { # NAME: over both families
    expect "$1: 20 MB over IPv4" fetch 20M 10.9.0.2
    expect "$1: 20 MB over IPv6" fetch 20M '[fd00:9::2]'
}

"$tunnel" --listen > "$dir/out" 2>&1
expect "an option without its value ends it" equal $? 1
"$tunnel" --listen :1 --no-such 1 > "$dir/out" 2>&1
expect "an unknown option ends it" equal $? 1

# --- the peer is learned on one side; IPv4 outside ---

start b "$tunnel" $inner_b --listen :5555 && start a "$tunnel" $inner_a --listen :5555 --peer 192.0.2.2:5555 || finish
expect "ping" pings 10.9.0.2
fetches "IPv4 outside"
tcp=$(rate -c 10.9.0.2 -n 200M)
expect "iperf3 TCP, the other way" at_least "$tcp" 100000000
for host in 10.9.0.2 fd00:9::2; do
    udp=$(rate -c $host -u -l 1200 -b 100M -n 5M)
    expect "iperf3 UDP to $host, 100 Mb/s asked for" at_least "$udp" 90000000
done

# Six per ping: poll, readv, sendmmsg; poll, recvmsg, writev. More where a read is tried that finds nothing.
system_calls() {
    strace -f -c -p "${pid[a]}" -o "$dir/strace" 2> "$dir/strace.err" & pid[strace]=$!
    for _ in $(seq 40); do grep -q attached "$dir/strace.err" && break; sleep 0.05; done
    in_a ping -q -c 100 -i 0.005 10.9.0.2 > "$dir/ping"
    kill -INT "${pid[strace]}"; wait "${pid[strace]}"; unset "pid[strace]"
    awk '$NF == "total" { print $4 }' "$dir/strace"
}
if command -v strace > /dev/null; then
    calls=$(system_calls)
    expect "at most 650 system calls for 100 pings ($calls)" at_least 650 "${calls:-1000}"
    expect "at least 590 of them are seen" at_least "$calls" 590
else skip "system calls per ping" "strace is not installed"; fi

# --- a flood that it cannot carry: rounds end, so that a ping waits for a queue, not for the flood ---

flood() { # the average of pings under it, in ms
    in_a iperf3 -c 10.9.0.2 -u -b 0 -l 1200 -t 2 > "$dir/flood" 2>&1 & pid[flood]=$!
    sleep 0.3
    in_a ping -q -c 30 -i 0.04 10.9.0.2 > "$dir/ping"
    wait "${pid[flood]}"; unset "pid[flood]"
    sed -n 's|^rtt min/avg/max/mdev = [^/]*/\([^/]*\)/.*|\1|p' "$dir/ping"
}
for _ in 1 2 3; do # a busy machine delays a ping as well
    average=$(flood)
    at_least 20 "${average:-1000}" > /dev/null && break
done
expect "ping under a flood of UDP: $average ms" at_least 20 "${average:-1000}"
expect "the flood was more than the tunnel carries" grep -q '([1-9][0-9.e+]*%)  receiver' "$dir/flood"

# --- devices change ---

ticks() { awk '{ print $14 + $15 }' "/proc/${pid[$1]}/stat"; } # of a processor, 100 a second
ip -n $a link set tun0 down
before=$(ticks a)
sleep 0.3
expect "device down: does not spin" at_least 10 $(($(ticks a) - before))
ip -n $a link set tun0 up
ip -n $a addr replace fd00:9::1/64 dev tun0 nodad
fetches "device down and up"
ip -n $a link set veth down
in_a ping -q -c 3 -i 0.1 -W 0.2 10.9.0.2 > "$dir/ping"
expect "underlay down: says what the kernel says" grep -q 'packets lost so far' "$dir/a.err"
ip -n $a link set veth up
ip -n $a addr replace 2001:db8::1/64 dev veth nodad
expect "underlay down and up: ping" in_a ping -q -c 1 -w 3 10.9.0.2
fetches "underlay down and up"
for ns in $a $b; do ip -n $ns link set tun0 mtu 9000; done
in_a ping -q -c 2 -i 0.1 -W 0.2 -s 4000 10.9.0.2 > "$dir/ping" # longer than the path takes: the MTU is set again
fetches "MTU 9000 on both devices"
expect "MTU 9000 on both devices: ping of 4000 bytes" pings -s 4000 10.9.0.2
expect "MTU 9000 on both devices: and without DF" pings -s 4000 -M dont 10.9.0.2

ip -n $a link del tun0
gone() {
    for _ in $(seq 20); do kill -0 "${pid[a]}" 2> /dev/null || return 0; sleep 0.05; done
    return 1
}
expect "device deleted: ends" gone
wait "${pid[a]}"
expect "device deleted: with status 1" equal $? 1
unset "pid[a]"
expect "device deleted: says so" grep -q 'the device was deleted' "$dir/a.err"

# --- IPv6 outside; both sides name their peer, and datagrams of others are dropped ---

stop b
start b "$tunnel" $inner_b --listen :5555 --peer '[2001:db8::1]:5555'
start a "$tunnel" $inner_a --listen '[2001:db8::1]:5555' --peer '[2001:db8::2]:5555' && fetches "IPv6 outside"
in_a bash -c 'for _ in 1 2 3; do echo forged > /dev/udp/2001:db8::2/5555; done'
sleep 0.1
expect "IPv6 outside: what others send is dropped" grep -q '[123] packets lost so far' "$dir/b.err"
stop a b
finish
