#!/bin/bash
# examples/lwip_tun.c, a TCP stack in user space on a TUN device, in a network namespace of its own, driven by plain sockets on the
# kernel's side (tests/examples/lwip_client.c): every byte compared, checksums that the kernel knows and wrong ones, UDP superpackets, a device that
# makes it wait, lost packets, leaks, and throughput, system calls and copies with offloads, without, and with finished superpackets.
# LWIP_SOURCE, a directory with the source of lwIP 2.1.3 (apt-get source lwip): also with an lwIP that sends chains of pbufs, built from it
# without LWIP_NETIF_TX_SINGLE_PBUF.
# Usage: tests/examples/lwip_tun_test.sh BUILD_DIR (from the repository's root; BUILD_DIR holds lwip_tun). "ok NAME" or "FAIL NAME: why" each,
# one line of numbers, then the summary.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
program=$1/lwip_tun
cc=${CC:-cc}
. tests/lib/counts.sh
ns=lwip$$ pid='' clients=()

bad() { fail "$1: $2"; }
expect() { local name=$1; shift; if "$@" > "$dir/why" 2>&1; then ok "$name"; else bad "$name" "$* $(tail -n 1 "$dir/why")"; fi; }

PATH=$PATH:/usr/sbin:/sbin
missing=
[ -x "$program" ] || missing="$program is not there: no liblwip-dev?"
[ -z "$missing" ] && [ "$(id -u)" != 0 ] && missing="not root"
[ -z "$missing" ] && ! { : <> /dev/net/tun; } 2> /dev/null && missing="no /dev/net/tun"
for tool in ip timeout awk pkg-config; do command -v $tool > /dev/null || missing=${missing:-$tool is not installed}; done
[ -z "$missing" ] && ! ip netns add $ns 2> /dev/null && missing="cannot make network namespaces"
if [ -n "$missing" ]; then skip lwip_tun "$missing"; finish; fi

# --- the place ---

dir=$(mktemp -d)
cleanup() {
    for p in $pid "${clients[@]}"; do kill "$p" 2> /dev/null; wait "$p" 2> /dev/null; done
    ip netns del $ns 2> /dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
ip -n $ns link set lo up

read -r -a headers <<< "-I. -Itests/lib $(pkg-config --cflags lwip | sed 's/-I/-isystem /g')"
read -r -a libraries <<< "$(pkg-config --libs lwip) -pthread"
read -r -a warnings <<< "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -Werror"
for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then skip "no warnings from $compiler" "$compiler is not installed"; continue; fi
    expect "no warnings from $compiler" $compiler -fsyntax-only "${warnings[@]}" "${headers[@]}" examples/lwip_tun.c tests/examples/lwip_client.c
done
$cc -std=c99 -O2 -I. -Itests/lib -o "$dir/client" tests/examples/lwip_client.c 2> "$dir/cc" || { bad "client" "$(tail -n 1 "$dir/cc")"; finish; }

# A device that makes the program wait, one that fails, and one that loses: by the environment, every N-th call.
cat > "$dir/shim.c" << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
static int now(const char *name, unsigned *calls) {
    const char *n = getenv(name);
    return n && ++*calls % (unsigned)atoi(n) == 0;
}
ssize_t writev(int fd, const struct iovec *iov, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev"), len = 0;
    static unsigned again, fail, lose;
    if (now("AGAIN_EVERY", &again)) { errno = EAGAIN; return -1; }
    if (now("FAIL_EVERY", &fail)) { errno = EIO; return -1; }
    if (!now("LOSE_OUT_EVERY", &lose)) return real(fd, iov, count);
    while (count-- > 0) len += (ssize_t)iov[count].iov_len;
    return len;
}
ssize_t readv(int fd, const struct iovec *iov, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "readv"), n = real(fd, iov, count);
    static unsigned lose;
    return n > 0 && now("LOSE_IN_EVERY", &lose) ? real(fd, iov, count) : n;
}
END

# lwIP as Debian configures it, but for LWIP_NETIF_TX_SINGLE_PBUF: a library in the place of Debian's. What it wants of a system, of one thread.
chains=
if [ -n "${LWIP_SOURCE:-}" ]; then
    mkdir "$dir/chains"
    printf '#include_next <lwipopts.h>\n#undef LWIP_NETIF_TX_SINGLE_PBUF\n' > "$dir/chains/lwipopts.h"
    cat > "$dir/chains/system.c" << 'END'
#include <lwip/sys.h>
#include <lwip/tcpip.h>
#include <time.h>
u32_t sys_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u32_t)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}
void sys_init(void) {}
void sys_check_core_locking(void) {}
sys_prot_t sys_arch_protect(void) { return 0; }
void sys_arch_unprotect(sys_prot_t before) { (void)before; }
err_t tcpip_try_callback(tcpip_callback_fn function, void *context) { (void)function; (void)context; return ERR_MEM; }
END
    sources=()
    for file in "$LWIP_SOURCE"/src/core/*.c "$LWIP_SOURCE"/src/core/ipv[46]/*.c "$LWIP_SOURCE/src/netif/ethernet.c"; do
        [ "${file##*/}" = sys.c ] || sources+=("$file")
    done
    if $cc -shared -fPIC -O2 -w -I"$dir/chains" "${headers[@]}" -Wl,-soname,liblwip.so.0 -o "$dir/chains/liblwip.so.0" "$dir/chains/system.c" \
        "${sources[@]}" 2> "$dir/cc"; then chains=LD_LIBRARY_PATH=$dir/chains
    else bad "lwIP without LWIP_NETIF_TX_SINGLE_PBUF" "$(tail -n 1 "$dir/cc")"; fi
fi

# --- steps ---

# start COMMAND...: the program, until its device is up
start() {
    : > "$dir/err"
    ip netns exec $ns "$@" --dev tun0 --stats > "$dir/out" 2> "$dir/err" & pid=$!
    for _ in $(seq 100); do
        grep -q 'is up' "$dir/err" && return 0
        sleep 0.05
    done
    bad "start" "$(tail -n 1 "$dir/err")"
    return 1
}

# stop SIGNAL: it has to end by itself, well; its counters are then in $dir/out
stop() {
    local status
    cp "/proc/$pid/io" "$dir/io" 2> /dev/null
    kill "-$1" "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.05; done
    kill -9 "$pid" 2> /dev/null
    wait "$pid"; status=$?
    pid=
    return $status
}

# io NAME: what the kernel has counted for the program so far; io_above NAME VALUE: wait until it has counted more
io() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/io"; }
io_above() { for _ in $(seq 200); do [ "$(io "$1")" -gt "$2" ] && break; sleep 0.05; done; }

# sum NAME...: of counters
sum() { tr ' ' '\n' < "$dir/out" | awk -F= -v names="$*" 'BEGIN { n = split(names, name, " ") } { v[$1] = $2 }
    END { for (i = 1; i <= n; i++) s += name[i] in v ? v[name[i]] : "nan"; printf "%.0f\n", s }'; }
client() { timeout 20 ip netns exec $ns "$dir/client" "$@"; }
background() { timeout 20 ip netns exec $ns "$dir/client" "$@" > "$dir/background" 2>&1 & clients+=($!); }
end_background() { kill "${clients[@]}" 2> /dev/null; wait "${clients[@]}" 2> /dev/null; clients=(); }
equal() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
at_least() { awk -v got="$1" -v want="$2" 'BEGIN { exit !(got + 0 >= want + 0) }' || { echo "$1 is not at least $2"; return 1; }; }
near() { awk -v a="$1" -v b="$2" -v d="$3" 'BEGIN { exit !(a - b <= d && b - a <= d) }' || { echo "$1 is not near $2"; return 1; }; }
fails() { # TEXT COMMAND...: it has to fail, saying so
    local text=$1
    shift
    "$@" && { echo "did not fail"; return 1; }
    grep -q "$text" "$dir/why" || { echo "failed, but without '$text'"; return 1; }
}

pings() { for host in $lwip4 $lwip6; do ip netns exec $ns ping -c 3 -i 0.1 -W 2 -s 4000 $host || return 1; done; }

lwip4=10.99.0.2 lwip6=fd00:99::2
datagrams=$((2 * (20 * 41 + 4)))
everything() { # MODE MEGABYTES: sets tcp_bytes to what is sent to sink and echo
    local host
    tcp_bytes=$((2 * 6 * $2 * 1000000))
    for host in $lwip4 $lwip6; do
        expect "$1, $host: sink" client sink $host 9 "$2" 1
        expect "$1, $host: source, 4 connections, every byte" client source $host 19 "$2" 4
        expect "$1, $host: echo, 4 connections, every byte" client echo $host 7 "$2" 4
        expect "$1, $host: echo, 1 connection, every byte" client echo $host 7 "$2" 1
        expect "$1, $host: UDP, each datagram comes back" client udp $host 7 20
    done
}

stopped() { # MODE SIGNAL
    if stop "$2"; then ok "$1: ends on SIG$2"; else bad "$1: ends on SIG$2" "$(grep -m 1 -E 'ERROR|lwip_tun: [^t]' "$dir/err")"; fi
    expect "$1: no pbuf leaks" equal "$(sum pbufs_leaked)" 0
    expect "$1: nothing lost, nothing refused" equal "$(sum lost refused)" 0
}

counted_as_kernel() { # reads and writes, against what the kernel counted for the process: some more at its start
    near "$(awk '/syscr/ { print $2 }' "$dir/io")" "$(sum reads)" 200 && near "$(awk '/syscw/ { print $2 }' "$dir/io")" "$(sum writes)" 50
}

# --- every byte ---

start "$program" || finish
uso=0; grep -q ' uso' "$dir/err" && uso=1
everything offload 10
if [ -r "/proc/$pid/io" ]; then io=1; else io=0; fi
stopped offload INT
expect "offload: the services took each byte once" equal "$(sum tcp_in_bytes)" $tcp_bytes
expect "offload: superpackets in" at_least "$(sum superpackets_in)" 100
expect "offload: superpackets out" at_least "$(sum superpackets_out)" 100
expect "offload: TCP superpackets stay whole" at_least $((tcp_bytes / 1460 / 3)) "$(sum packets_in)"
expect "offload: what lwIP sent was coalesced, 8 packets a write at least" at_least "$(sum packets_out)" $((8 * $(sum writes)))
expect "offload: the kernel knows nearly every checksum to be right" at_least "$(sum trusted)" $((20 * $(sum summed)))
expect "offload: payload is not summed again" at_least $((tcp_bytes / 10)) "$(sum summed_bytes)"
if [ $uso = 1 ]; then expect "offload: UDP superpackets came, and were split" equal "$(sum split)" $((2 * 20 * 41))
else skip "offload: UDP superpackets came, and were split" "this kernel has none"; fi
expect "offload: each datagram once" equal "$(sum udp_in) $(sum udp_out)" "$datagrams $datagrams"
if [ $io = 1 ]; then expect "offload: system calls are counted as the kernel counts them" counted_as_kernel
else skip "offload: system calls are counted as the kernel counts them" "no /proc/PID/io"; fi

start "$program" --no-offload && {
    everything no-offload 3
    stopped no-offload TERM
    expect "no-offload: the services took each byte once" equal "$(sum tcp_in_bytes)" $tcp_bytes
    expect "no-offload: no superpacket" equal "$(sum superpackets_in superpackets_out split)" 0
    expect "no-offload: no checksum is known" equal "$(sum trusted)" 0
    expect "no-offload: one packet per system call" equal "$(sum packets_out)" "$(sum writes)"
    expect "no-offload: payload is summed" at_least "$(sum summed_bytes)" $tcp_bytes
    [ $io = 1 ] && expect "no-offload: system calls are counted as the kernel counts them" counted_as_kernel
}

# What comes without offloads, coalesced in front of lwIP: it takes superpackets, each of them with a checksum that it finds right.
start "$program" --coalesce && {
    everything coalesce 10
    stopped coalesce TERM
    expect "coalesce: the services took each byte once" equal "$(sum tcp_in_bytes)" $tcp_bytes
    expect "coalesce: no superpacket of the device" equal "$(sum superpackets_in superpackets_out split trusted)" 0
    expect "coalesce: lwIP took superpackets" at_least "$(sum finished)" 1000
    expect "coalesce: lwIP took half as many packets as were read, at most" at_least "$(sum reads)" $((2 * $(sum packets_in)))
    expect "coalesce: every checksum is right" equal "$(sum bad_checksums)" 0
    expect "coalesce: payload is summed" at_least "$(sum summed_bytes)" "$tcp_bytes"
    expect "coalesce: no payload moves" at_least $((tcp_bytes / 50)) "$(sum moved_bytes)"
}

# --- chains of pbufs ---

if [ "$chains" ]; then
    start env "$chains" "$program" && {
        everything chains 10
        stopped chains INT
        expect "chains: the services took each byte once" equal "$(sum tcp_in_bytes)" $tcp_bytes
        expect "chains: lwIP sent some" at_least "$(sum chains)" 5000
        expect "chains: TCP copies only what echo writes, by 5 connections twice" near "$(sum copied_bytes)" $((2 * 5 * 10000000)) 100000
        expect "chains: superpackets out" at_least "$(sum superpackets_out)" 100
        expect "chains: what lwIP sent was coalesced, 8 packets a write at least" at_least "$(sum packets_out)" $((8 * $(sum writes)))
    }
elif [ -z "${LWIP_SOURCE:-}" ]; then echo "LWIP_SOURCE is not set: without an lwIP that sends chains of pbufs"; fi

# --- what is wrong must be seen ---

for mode in '' --no-offload --coalesce; do
    # shellcheck disable=SC2086 # perhaps no word
    start "$program" $mode || continue
    expect "wrong checksums${mode:+, $mode}: dropped, right ones answered, IPv4" client bad tun0 10.99.0.1 $lwip4 9 7
    expect "wrong checksums${mode:+, $mode}: dropped, right ones answered, IPv6" client bad tun0 fd00:99::1 $lwip6 9 7
    expect "a wrong byte${mode:+, $mode} is seen by the client" fails "wrong bytes" client echo $lwip4 7 2 1 plant
    if command -v ping > /dev/null; then expect "ping in fragments${mode:+, $mode}" pings
    else skip "ping in fragments${mode:+, $mode}" "ping is not installed"; fi
    stopped "what is wrong${mode:+, $mode}" INT
    expect "wrong checksums${mode:+, $mode}: counted" equal "$(sum bad_checksums)" 4
done

# Without its checksum functions packets whose checksums the kernel knows would all be dropped: the program has to notice.
if $cc -std=c99 -O0 -fvisibility=hidden "${headers[@]}" -o "$dir/hidden" examples/lwip_tun.c "${libraries[@]}" 2> "$dir/cc"; then
    expect "checksum functions that lwIP cannot find" fails "its own checksum functions" ip netns exec $ns timeout 5 "$dir/hidden"
else skip "checksum functions that lwIP cannot find" "$(tail -n 1 "$dir/cc")"; fi

# --- a device that makes it wait, loses packets or is down, fragments, other addresses and ports, the end in the middle ---
# By AddressSanitizer, if there is one: bytes freed before they are written, and pbufs of lwIP that leak, are errors, and its status is 1.

if $cc -std=c99 -O0 -g -fsanitize=address "${headers[@]}" -o "$dir/asan" examples/lwip_tun.c "${libraries[@]}" 2> "$dir/cc"; then
    program=$dir/asan
    export ASAN_OPTIONS=verify_asan_link_order=0
else skip "hard cases under AddressSanitizer" "$(tail -n 1 "$dir/cc")"; fi

if $cc -shared -fPIC -w -o "$dir/shim.so" "$dir/shim.c" -ldl 2> "$dir/cc"; then
    start env LD_PRELOAD="$dir/shim.so" AGAIN_EVERY=3 "$program" && {
        expect "a device that makes it wait: echo" client echo $lwip6 7 10 4
        expect "a device that makes it wait: no datagram lost" client udp $lwip4 7 50
        stopped "a device that makes it wait" INT
        expect "a device that makes it wait: it did" at_least "$(sum again)" 100
    }
    start env LD_PRELOAD="$dir/shim.so" LOSE_IN_EVERY=101 LOSE_OUT_EVERY=103 "$program" && {
        expect "lost packets both ways: echo, every byte" client echo $lwip4 7 1 4
        expect "lost packets both ways: source, every byte" client source $lwip6 19 1 4
        stopped "lost packets both ways" INT
    }
    start env LD_PRELOAD="$dir/shim.so" FAIL_EVERY=7 "$program" && { # EIO: the interface is down. What could not be written is let go of
        expect "writes that fail: sink" client sink $lwip4 9 5 1
        expect "writes that fail: ends on SIGINT" stop INT
        expect "writes that fail: what was lost is counted" at_least "$(sum lost)" 10
        expect "writes that fail: no pbuf leaks" equal "$(sum pbufs_leaked)" 0
    }
else skip "a device that waits or loses" "no shared library: $(tail -n 1 "$dir/cc")"; fi

# Data of lwIP that is under way when the device goes down is sent again by its timer, if nothing was written before that.
start "$program" && {
    background source $lwip4 19 100000 1
    background sink $lwip4 9 100000 1
    io_above wchar 10000000
    ip -n $ns link set tun0 down
    sleep 0.3
    io_above syscw "$(io syscw)"
    ip -n $ns link set tun0 up
    expect "interface down for a while: echo after that, every byte" client echo $lwip4 7 1 4
    expect "interface down for a while: ends on SIGINT" stop INT
    end_background
    expect "interface down for a while: what was lost is counted" at_least "$(sum lost)" 1
    expect "interface down for a while: no pbuf leaks" equal "$(sum pbufs_leaked)" 0
}

start "$program" --address 192.0.2.1/24 --lwip-address 192.0.2.9 --address6 2001:db8::1/64 --lwip-address6 2001:db8::9 \
    --discard 1009 --echo 1007 --chargen 1019 && {
    expect "other addresses and ports: IPv4" client sink 192.0.2.9 1009 1 1
    expect "other addresses and ports: IPv6" client source 2001:db8::9 1019 1 1
    # The kernel has to fragment; what lwIP reassembles is a chain of pbufs, and goes back as one packet.
    ip -n $ns route add 192.0.2.9/32 dev tun0 mtu 600
    ip -n $ns route add 2001:db8::9/128 dev tun0 mtu 1280
    expect "fragments come, one packet goes back: IPv4" client udp 192.0.2.9 1007 0
    expect "fragments come, one packet goes back: IPv6" client udp 2001:db8::9 1007 0
    ip -n $ns route del 192.0.2.9/32 dev tun0
    background echo 192.0.2.9 1007 100000 8
    # One that never reads: echo has to keep what it cannot send.
    timeout 20 ip netns exec $ns bash -c 'exec 3<> /dev/tcp/192.0.2.9/1007; head -c 100000000 /dev/zero >&3' 2> "$dir/deaf" & clients+=($!)
    sleep 0.5
    stopped "in the middle of transfers" TERM
    wait "${clients[@]}"
    clients=()
    expect "in the middle of transfers: the client was told" grep -Eq 'reset|too early' "$dir/background"
    expect "in the middle of transfers: so was one that never reads" grep -q 'reset' "$dir/deaf"
}

program=$1/lwip_tun

# --- numbers; throughput and CPU time are stated, not judged: a fresh program for each, so that its counters are those of one transfer ---

# measure SERVICE PORT MEGABYTES [OPTION]: sets rate (Mbit/s), calls (system calls per MB), cpu (the program's milliseconds per MB), copied
# (KB of what it took and sent, per MB). With library=LD_LIBRARY_PATH=...: of this lwIP
measure() {
    local service=$1 port=$2 megabytes=$3 ticks
    shift 3
    rate=0 calls=0 cpu=0 copied=0
    start env ${library:+"$library"} "$program" "$@" || return
    rate=$(client "$service" $lwip4 "$port" "$megabytes" 1 | sed -n 's/.*mbit_per_s=//p')
    ticks=$(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }') # user and system time
    stop INT
    calls=$(awk -v n="$(sum reads writes polls)" -v mb="$megabytes" 'BEGIN { printf "%.0f", n / mb }')
    copied=$(awk -v n="$(sum copied_bytes moved_bytes)" -v mb="$megabytes" 'BEGIN { printf "%.0f", n / mb / 1000 }')
    cpu=$(awk -v n="$ticks" -v mb="$megabytes" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.1f", n * 1000 / hz / mb }')
}

line="lwIP on a TUN, one TCP connection:"
for row in "sink 9" "source 19"; do
    read -r service port <<< "$row"
    measure "$service" "$port" 200; with_calls=$calls
    line="$line $service $rate Mbit/s, $calls system calls and $cpu ms of CPU per MB, $copied KB copied;"
    if [ "$chains" ]; then
        library=$chains measure "$service" "$port" 200
        line="$line with chains $rate Mbit/s, $calls, $cpu and $copied;"
    fi
    measure "$service" "$port" 60 --no-offload; plain_calls=$calls
    line="$line without offloads $rate Mbit/s, $calls, $cpu and $copied;"
    if [ "$service" = sink ]; then
        measure "$service" "$port" 60 --coalesce
        line="$line these coalesced $rate Mbit/s, $calls, $cpu and $copied;"
    fi
    expect "$service: a third of the system calls at most" at_least "$plain_calls" $((3 * with_calls))
done
echo "${line%;}"
finish
