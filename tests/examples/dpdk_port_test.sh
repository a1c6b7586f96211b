#!/bin/bash
# examples/dpdk_port.c with real traffic: a host behind each of its sides, in a network namespace of its own.
#     A  the kernel's side of net_tap (checksums, TSO)      B  the TAP device of the library      C  a veth whose peer net_af_packet has
# The bridge runs in a fourth. TCP compared by digest, UDP by content, both ways, on each rung of the ladder; captures judged by tshark.
# Usage: tests/examples/dpdk_port_test.sh BUILD_DIR (from the repository's root). "ok NAME" or "FAIL NAME: why" each, then the summary.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$1
. tests/lib/counts.sh
a=tuoA$$ b=tuoB$$ c=tuoC$$ m=tuoM$$
declare -A pid=()

bad() { fail "$1: $2"; }
expect() { local name=$1; shift; if "$@" > "$dir/why" 2>&1; then ok "$name"; else bad "$name" "$* $(tail -n 1 "$dir/why")"; fi; }

missing=
[ "$(id -u)" = 0 ] || missing="not root"
[ -z "$missing" ] && ! { : <> /dev/net/tun; } 2> /dev/null && missing="no /dev/net/tun"
for tool in ip ethtool iperf3 curl nginx ping tcpdump tshark python3; do
    command -v $tool > /dev/null || missing=${missing:-$tool is not installed}
done
[ -x "$build/dpdk_port" ] || missing=${missing:-no $build/dpdk_port (it needs libdpdk-dev)}
[ -z "$missing" ] && ! ip netns add $m 2> /dev/null && missing="cannot make network namespaces"
if [ -n "$missing" ]; then skip dpdk_port "$missing"; finish; fi

# --- the place ---

dir=$(mktemp -d)
python=$(python3 -c 'import sys; print(sys.executable)') # not a wrapper of it, which would be the process that we know
cleanup() {
    for p in "${pid[@]}"; do kill "$p" 2> /dev/null; wait "$p" 2> /dev/null; done
    for ns in $a $b $c $m; do ip netns del $ns 2> /dev/null; done
    rm -rf "$dir" "/var/run/dpdk/tuo$$" # the latter is what the EAL leaves behind
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

for ns in $a $b $c; do ip netns add $ns; ip -n $ns link set lo up; done
ip -n $m link set lo up
in_a() { ip netns exec $a "$@"; }
in_b() { ip netns exec $b "$@"; }
in_c() { ip netns exec $c "$@"; }
for ns in $a $b $c $m; do # packets of ours only
    ip netns exec $ns sh -c 'for d in all default; do
        echo 0 > /proc/sys/net/ipv6/conf/$d/router_solicitations; echo 0 > /proc/sys/net/ipv6/conf/$d/accept_dad; done'
done

head -c 10485760 /dev/urandom > "$dir/10M"
digest=$(sha256sum < "$dir/10M")
chmod 755 "$dir"; chmod 644 "$dir/10M"
for side in a b; do
    cat > "$dir/nginx_$side.conf" << END
daemon off; master_process off; user root; pid $dir/nginx_$side.pid; error_log $dir/nginx_$side.log;
events { worker_connections 256; }
http { access_log off; sendfile on; server { listen 80; listen [::]:80; root $dir; } }
END
done
# In the background never through a function: $! has to be the program, not a shell that waits for it.
ip netns exec $a nginx -c "$dir/nginx_a.conf" 2> "$dir/nginx_a.err" & pid[nginx_a]=$!
ip netns exec $b nginx -c "$dir/nginx_b.conf" 2> "$dir/nginx_b.err" & pid[nginx_b]=$!
ip netns exec $a iperf3 -s > "$dir/iperf3_a.log" 2>&1 & pid[iperf3_a]=$!
ip netns exec $b iperf3 -s > "$dir/iperf3_b.log" 2>&1 & pid[iperf3_b]=$!

mac_a=02:00:00:00:0a:01

# --- steps ---

address() { # address NAMESPACE DEVICE MTU NUMBER: up, with these addresses
    ip -n "$1" link set "$2" mtu "$3" up
    ip -n "$1" addr add "10.8.0.$4/24" dev "$2"
    ip -n "$1" addr add "fd00:8::$4/64" dev "$2" nodad
}

# start MTU WITH_C OPTIONS...: the bridge, its devices in their namespaces; with --vlan N, A and C have the tagged interface
start() {
    local mtu=$1 with_c=$2 i vlan="" devices=--vdev=net_tap0,iface=dtap0
    shift 2
    [[ " $* " =~ " --vlan "([0-9]+) ]] && vlan=${BASH_REMATCH[1]}
    if [ "$with_c" = 1 ]; then
        ip link add vport netns $m type veth peer name veth netns $c
        ip -n $m link set vport up
        ip netns exec $m ethtool -K vport gro off > /dev/null 2>&1
        in_c ethtool -K veth tx off tso off gso off > /dev/null 2>&1 # what AF_PACKET gets would be unfinished
        devices="$devices --vdev=net_af_packet0,iface=vport"
    fi
    : > "$dir/bridge.err"
    # shellcheck disable=SC2086 # devices are words
    ip netns exec $m "$build/dpdk_port" --no-huge -m 128 --no-pci --no-telemetry --file-prefix=tuo$$ --lcores '0@(0-1)' --log-level=1 \
        $devices -- --tap tap0 "$@" > "$dir/bridge.out" 2> "$dir/bridge.err" & pid[bridge]=$!
    for i in $(seq 100); do grep -q 'are up' "$dir/bridge.err" && break; sleep 0.05; done
    [ "$i" -lt 100 ] || { bad "start $*" "$(tail -n 1 "$dir/bridge.err")"; return 1; }
    ip -n $m link set dtap0 netns $a && ip -n $m link set tap0 netns $b && ip -n $a link set dtap0 address $mac_a || return 1
    address $b tap0 "$mtu" 2
    if [ -z "$vlan" ]; then
        address $a dtap0 "$mtu" 1
        [ "$with_c" = 0 ] || address $c veth "$mtu" 3
    else
        tagged $a dtap0 "$mtu" 1 "$vlan"
        [ "$with_c" = 0 ] || tagged $c veth "$mtu" 3 "$vlan"
    fi
}

# A program that stands in for a VLAN interface may not be up yet.
reaches_b() { for _ in $(seq 10); do in_a ping -c 1 -W 2 -q 10.8.0.2 && return; sleep 0.2; done; return 1; }

# A VLAN interface: a TAP whose frames go through a device with a tag. Not `type vlan`: not every kernel of a virtual machine has it.
cat > "$dir/tag.py" << 'END'
import fcntl, os, select, socket, struct, sys
device, vlan = sys.argv[1], int(sys.argv[2])
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"tag", 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
for level, option, value in ((263, 8, 1), (263, 23, 1), (socket.SOL_SOCKET, 33, 32 << 20)):  # PACKET_AUXDATA, PACKET_IGNORE_OUTGOING
    s.setsockopt(level, option, value)
s.bind((device, 3))
print("ready", flush=True)
while True:
    for readable in select.select([tap, s], [], [])[0]:
        try:
            if readable is s:
                frame, auxiliary = s.recvmsg(2048, 64)[:2]
                status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", auxiliary[0][2])
                if status & 0x10 and tci & 0xFFF == vlan: os.write(tap, frame)
            else:
                frame = os.read(tap, 2048)
                s.send(frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:])
        except OSError:  # one of the two is not up yet, or goes down: a wire would lose the frame, too
            pass
END

tagged() { # tagged NAMESPACE DEVICE MTU NUMBER VLAN
    ip -n "$1" link set "$2" up
    : > "$dir/tag.out"
    ip netns exec "$1" "$python" "$dir/tag.py" "$2" "$5" > "$dir/tag.out" 2>&1 & pid[tag_$2]=$!
    seconds_until ready "$dir/tag.out" && address "$1" tag "$3" "$4"
}

# stop NAME: the bridge has ended well: nothing leaked, no descriptor or verified checksum wrong (--check)
stop() {
    local status side
    kill -INT "${pid[bridge]}"
    wait "${pid[bridge]}"; status=$?
    unset "pid[bridge]"
    ip -n $m link del vport 2> /dev/null
    for side in dtap0 veth; do
        [ -n "${pid[tag_$side]:-}" ] || continue
        kill "${pid[tag_$side]}" 2> /dev/null; wait "${pid[tag_$side]}" 2> /dev/null # may have ended with its device
        unset "pid[tag_$side]"
    done
    expect "$1: no mbuf leaked" grep -q '^mbufs leaked: 0$' "$dir/bridge.out"
    if [[ $1 == *check* ]]; then expect "$1: descriptors are as DPDK wants them, verified packets are right" \
        grep -q '^checks failed: 0$' "$dir/bridge.out"; fi
    expect "$1: exit status" equal $status 0
}

count() { sed -n "s/^$1: //p" "$dir/bridge.out" | tr ' ' '\n' | sed -n "s/^$2=//p"; }
at_least() { awk -v got="${1:-0}" -v want="$2" 'BEGIN { exit !(got + 0 >= want + 0) }' || { echo "$1 is not at least $2"; return 1; }; }
equal() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
seconds_until() { # seconds_until TEXT FILE: within 4 s
    local i
    for i in $(seq 80); do grep -q -- "$1" "$2" && return 0; sleep 0.05; done
    tail -n 1 "$2"; return 1
}

# fetch NAMESPACE URL_HOST: 10 MB from the web server there; true if the digest is right
fetch() {
    local got
    got=$(ip netns exec "$1" curl -s --max-time 10 "http://$2/10M" | sha256sum)
    [ "$got" = "$digest" ] || { echo "digest differs"; return 1; }
}

fetch_both_ways() { # fetch_both_ways NAME: TAP to port, port to TAP
    expect "$1: 10 MB from TAP to port, IPv4" fetch $a 10.8.0.2
    expect "$1: 10 MB from TAP to port, IPv6" fetch $a '[fd00:8::2]'
    expect "$1: 10 MB from port to TAP, IPv4" fetch $b 10.8.0.1
    expect "$1: 10 MB from port to TAP, IPv6" fetch $b '[fd00:8::1]'
}

# The bridge's totals of a scenario without faults.
nothing_lost() {
    equal "$(count tap lost)" 0 && equal "$(count 'port 0' refused)" 0 && equal "$(count 'port 0' oversize)" 0
}

# capture NAMESPACE DEVICE FILE: a sixteenth of what comes in there (tshark takes 0.2 ms for each), by IPv4 ID or IPv6 TCP sequence number
capture() {
    local sample='ip[4:2] & 15 = 0 or (ip6 and ip6[44:4] & 1920 = 0)'
    : > "$dir/tcpdump.err"
    ip netns exec "$1" tcpdump -i "$2" -Q in -s 0 -B 8192 -w "$dir/$3" "($sample) or (vlan and ($sample))" 2> "$dir/tcpdump.err" &
    pid[tcpdump]=$!
    seconds_until 'listening on' "$dir/tcpdump.err"
}
stop_capture() { sleep 0.1; kill -INT "${pid[tcpdump]}" 2> /dev/null; wait "${pid[tcpdump]}"; unset "pid[tcpdump]"; }

# good_checksums FILE AT_LEAST: tshark verifies the TCP or UDP checksums of so many packets or more, and none is wrong. A TCP checksum of
# 0xffff is right (RFC 1071: the other zero), but not to tshark; net_tap writes it, like the kernel's own skb_checksum_help.
good_checksums() {
    tshark -n -r "$dir/$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE --disable-protocol http \
        -o tcp.desegment_tcp_streams:FALSE -T fields -E separator=, -e ip.checksum.status -e tcp.checksum.status -e udp.checksum.status \
        -e tcp.checksum 2> "$dir/tshark.err" > "$dir/tshark.out" || { tail -n 1 "$dir/tshark.err"; return 1; }
    awk -F, -v want="$2" '$1 == "0" || $3 == "0" || ($2 == "0" && $4 != "0xffff") { wrong++ } $2 == "1" || $3 == "1" { good++ }
        END { print wrong + 0 " of " NR " are wrong, " good + 0 " good"; exit !(wrong == 0 && good >= want) }' "$dir/tshark.out"
}

matching() { tcpdump -n -r "$dir/$1" "$2" 2> "$dir/tcpdump.err" | wc -l; } # packets of a capture that match

# rate NAMESPACE ARGUMENTS...: Mbit/s of an iperf3 run, as the receiver saw it
rate() {
    ip netns exec "$1" iperf3 -f m "${@:2}" 2>&1 | awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") print $(i - 1) }'
}

# Datagrams of mixed sizes in bursts, each with its number and content. udp.py receive ADDRESS COUNT | send ADDRESS COUNT
cat > "$dir/udp.py" << 'END'
import os, random, socket, sys, time
mode, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # veth has a queue per processor: a sender that moves may overtake itself
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
def content(i, n): return (b"%09d " % i + bytes([n % 251]) * n)[:n]
if mode == "receive":
    s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
    s.bind((address, 7000)); s.settimeout(2)
    print("ready", flush=True)
    good = in_order = 0
    last = -1
    try:
        while good < count:
            d = s.recv(65535)
            good += d == content(int(d[:9]), len(d))
            in_order += int(d[:9]) > last
            last = int(d[:9])
    except socket.timeout: pass
    print("good", good, "in order", in_order, flush=True)
else:
    random.seed(1)
    sizes = (1000,)
    for i in range(count):
        if i % 40 == 0:
            sizes = random.choice([(100, 1000), (50, 101, 1200), (1000, 1000, 1000, 999), (1300,)])
            time.sleep(0.002)
        s.sendto(content(i, random.choice(sizes)), (address, 7000))
END

# bad.py SOURCE_MAC DESTINATION_MAC: from dtap0 100 times three datagrams for 10.8.0.2, the second with a wrong checksum
cat > "$dir/bad.py" << 'END'
import socket, struct, sys, time
def fold(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16: s = (s & 0xFFFF) + (s >> 16)
    return s
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("dtap0", 3))
source, destination = (bytes.fromhex(m.replace(":", "")) for m in sys.argv[1:3])
addresses = bytes((10, 8, 0, 1, 10, 8, 0, 2))
for i in range(300):
    payload = (b"%09d " % i).ljust(100, b"-" if i % 3 == 1 else b"d") # d: chr(100), the content that udp.py expects
    udp = struct.pack("!HHHH", 7200, 7000, 108, 0)
    right = 0xFFFF - fold(addresses + struct.pack("!HH", 17, 108) + udp + payload) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", right ^ 0x0100 if i % 3 == 1 else right)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 128, i, 0x4000, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", 0xFFFF - fold(ip)) + ip[12:]
    s.send(destination + source + b"\x08\0" + ip + udp + payload)
    if i % 30 == 29: time.sleep(0.002)
END

# datagrams NAME FROM TO ADDRESS COUNT
datagrams() {
    : > "$dir/udp.out"
    ip netns exec "$3" "$python" "$dir/udp.py" receive "$4" "$5" > "$dir/udp.out" 2>&1 & pid[udp]=$!
    seconds_until ready "$dir/udp.out"
    # What waits for the neighbour's address is sent by whoever gets the answer, on that processor, where what is sent meanwhile may
    # overtake it: the address first, then all from one processor.
    ip netns exec "$2" ping -c 1 -W 2 -q "$4" > "$dir/ping"
    ip netns exec "$2" taskset -c 0 "$python" "$dir/udp.py" send "$4" "$5"
    wait "${pid[udp]}"; unset "pid[udp]"
    expect "$1" equal "$(tail -n 1 "$dir/udp.out")" "good $5 in order $5"
}

# --- all offloads. MTU 1400: net_tap segments no frames above its MTU of 1500, of which dpdk_port leaves 128 bytes to headers ---

start 1400 0 --check && {
    expect "check: ping, and so ARP" in_a ping -c 2 -i 0.1 -W 2 -q 10.8.0.2
    expect "check: ping, and so neighbour discovery" in_b ping -c 2 -i 0.1 -W 2 -q fd00:8::1
    capture $a dtap0 all.pcap
    fetch_both_ways "check"
    datagrams "check: 2000 datagrams of mixed sizes from TAP to port, IPv4" $b $a 10.8.0.1 2000
    stop_capture
    datagrams "check: 2000 datagrams of mixed sizes from TAP to port, IPv6" $b $a fd00:8::1 2000
    datagrams "check: 2000 datagrams of mixed sizes from port to TAP, IPv4" $a $b 10.8.0.2 2000
    datagrams "check: 2000 datagrams of mixed sizes from port to TAP, IPv6" $a $b fd00:8::2 2000
    : > "$dir/udp.out"
    ip netns exec $b "$python" "$dir/udp.py" receive 10.8.0.2 200 > "$dir/udp.out" 2>&1 & pid[udp]=$!
    seconds_until ready "$dir/udp.out"
    in_a "$python" "$dir/bad.py" $mac_a "$(ip netns exec $b cat /sys/class/net/tap0/address)"
    wait "${pid[udp]}"; unset "pid[udp]"
    expect "check: of 300 datagrams, 100 with wrong checksums, 200 arrive" equal "$(tail -n 1 "$dir/udp.out")" "good 200 in order 200"
    stop "check"
    expect "check: every checksum is right in what the port sent" good_checksums all.pcap 600
    expect "check: no frame above the MTU in what the port sent" equal "$(matching all.pcap 'greater 1415')" 0
    expect "check: TSO was used" at_least "$(count 'port 0' tso)" 150
    expect "check: superpackets of many segments" at_least "$(count 'port 0' tso_segments)" $((8 * $(count 'port 0' tso)))
    expect "check: superpackets to the TAP" at_least "$(count tap superpackets_out)" 150
    expect "check: the port verified checksums" at_least "$(count 'port 0' verified)" 10000
    expect "check: nothing lost" nothing_lost
}

# A device takes fewer packets than it is offered while its interface is down. TAP to A with fixed neighbours: no ARP among them.
start 1400 0 && {
    in_a ping -c 1 -W 2 -q 10.8.0.2 > "$dir/ping"
    ip -n $b neigh replace 10.8.0.1 lladdr $mac_a nud permanent dev tap0
    : > "$dir/udp.out"
    ip netns exec $a "$python" "$dir/udp.py" receive 10.8.0.1 400 > "$dir/udp.out" 2>&1 & pid[udp]=$!
    seconds_until ready "$dir/udp.out"
    ip -n $a link set dtap0 down
    in_b "$python" "$dir/udp.py" send 10.8.0.1 400
    sleep 0.3
    ip -n $a link set dtap0 up
    wait "${pid[udp]}"; unset "pid[udp]"
    expect "port down: all 400 datagrams sent meanwhile arrive, in order" equal "$(tail -n 1 "$dir/udp.out")" "good 400 in order 400"
    for way in "to port" "to TAP"; do
        if [ "$way" = "to port" ]; then got=$(rate $b -c 10.8.0.1 -t 1); else got=$(rate $a -c 10.8.0.2 -t 1); fi
        expect "iperf3 TCP $way" at_least "$got" 50
        echo "throughput $way, all offloads, MTU 1400: ${got:-0} Mbit/s"
    done
    ip -n $a link set dtap0 down
    in_b "$python" "$dir/udp.py" send 10.8.0.1 400 # these stay queued until the bridge ends
    stop "port down"
    expect "port down: unsent packets were kept" at_least "$(count 'port 0' kept_most)" 100
    expect "port down: nothing lost" nothing_lost
}

# --- further down the ladder, and up to where the device's limits are ---

rung() { # rung NAME MTU OPTIONS...: both ways, and what the port sent is right
    local name=$1 mtu=$2
    shift 2
    start "$mtu" 0 --check "$@" || return 1
    capture $a dtap0 rung.pcap
    fetch_both_ways "$name, check"
    datagrams "$name: 500 datagrams from TAP to port" $b $a 10.8.0.1 500
    stop_capture
    datagrams "$name: 500 datagrams from port to TAP" $a $b 10.8.0.2 500
    stop "$name, check"
    expect "$name: every checksum is right in what the port sent" good_checksums rung.pcap 600
    expect "$name: no frame above the MTU in what the port sent" equal "$(matching rung.pcap "greater $((mtu + 15))")" 0
    expect "$name: superpackets from the TAP" at_least "$(count tap superpackets_in)" 150
    expect "$name: superpackets to the TAP" at_least "$(count tap superpackets_out)" 150
    expect "$name: nothing lost" nothing_lost
}
tso() { count 'port 0' tso; }
csum_left() { count 'port 0' csum_left; }

rung "--no-tso" 1400 --no-tso && {
    expect "--no-tso: no TSO" equal "$(tso)" 0
    expect "--no-tso: checksums left to the port" at_least "$(csum_left)" 10000
}
rung "--no-csum" 1400 --no-csum && {
    expect "--no-csum: nothing left to the port" equal "$(tso) $(csum_left)" "0 0"
    expect "--no-csum: the port verified nothing" equal "$(count 'port 0' verified)" 0
}
rung "--max-superpacket 9000" 1400 --max-superpacket 9000 && {
    expect "--max-superpacket 9000: TSO" at_least "$(tso)" 500
    expect "--max-superpacket 9000: at most 6 segments each" at_least $((6 * $(tso))) "$(count 'port 0' tso_segments)"
}
rung "MTU 1500" 1500 && {
    expect "MTU 1500: beyond net_tap's TSO" equal "$(tso)" 0
    expect "MTU 1500: checksums left to the port" at_least "$(csum_left)" 10000
}
rung "--copy" 1400 --copy && expect "--copy: nothing left to the port" equal "$(tso) $(csum_left)" "0 0"
rung "--no-segs, received chains, small batches" 1400 --no-segs --data-room 256 --batch 12 && {
    expect "--no-segs: no TSO without chains, checksums all the same" bash -c "[ $(tso) = 0 ] && [ $(csum_left) -gt 10000 ]"
    expect "small batches: packets were put back" at_least "$(count 'port 0' put_back)" 300
}

# --- two ports and the TAP, then the same with a tag ---

three() { # three NAME OPTIONS...
    local name=$1
    shift
    start 1400 1 --check "$@" || return 1
    expect "$name: ping all around" bash -c "for n in 2 3; do ip netns exec $a ping -c 1 -W 2 -q 10.8.0.\$n || exit 1; done
        ip netns exec $c ping -c 1 -W 2 -q fd00:8::2"
    capture $a dtap0 three.pcap
    expect "$name: 10 MB from TAP to net_tap" fetch $a 10.8.0.2
    stop_capture
    expect "$name: 10 MB from net_tap to TAP" fetch $b '[fd00:8::1]'
    expect "$name: 10 MB from TAP to net_af_packet" fetch $c '[fd00:8::2]'
    expect "$name: 10 MB from net_tap to net_af_packet" fetch $c 10.8.0.1
    datagrams "$name: 500 datagrams from net_af_packet to TAP" $c $b 10.8.0.2 500
    stop "$name, check"
    expect "$name: every checksum is right in what the port sent" good_checksums three.pcap 300
    expect "$name: TSO on one port, forwarding between both" bash -c "[ $(tso) -gt 80 ] && [ $(count 'port 0' forwarded) -gt 2500 ]"
    expect "$name: nothing lost" equal "$(count tap lost) $(count 'port 0' refused) $(count 'port 1' refused)" "0 0 0"
}
three "three sides"
three "--vlan 42" --vlan 42 && {
    expect "--vlan 42: what the port sent is tagged" at_least "$(matching three.pcap 'vlan 42 and tcp')" 300
    expect "--vlan 42: all of it" equal "$(matching three.pcap 'not vlan')" 0
}

start 1400 0 --vlan 42 && { # beside it another VLAN, and frames without a tag (of the device's own IPv6)
    in_a ping -c 1 -W 2 -q 10.8.0.2 > "$dir/ping"
    in_a "$python" -c 'import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("dtap0", 3))
for i in range(50): s.send(b"\xff" * 6 + b"\x02" * 6 + b"\x81\x00\x00\x2b\x08\x00" + bytes(60))'
    expect "--vlan 42: works beside another VLAN" reaches_b
    stop "--vlan 42, another VLAN"
    expect "--vlan 42: frames with another tag or none stay outside" at_least "$(count 'port 0' other_vlan)" 50
}

# --- the bridge as a sender: tuo_tso_prepare ---

# receive.py ADDRESS BYTES udp | receive.py DEVICE BYTES tcp (from the wire, by sequence number: nobody has opened that connection)
cat > "$dir/receive.py" << 'END'
import socket, sys
where, total, proto = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if proto == "udp":
    s = socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_DGRAM)
else:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
s.bind((where, 7100) if proto == "udp" else (where, 0x800)); s.settimeout(2)
print("ready", flush=True)
got, sizes, pushes, cwrs = [], {}, 0, 0
n = 0
try:
    while n < total:
        d = s.recv(65535)
        if proto == "tcp":
            ihl = 4 * (d[14] & 15)
            l4 = 14 + ihl
            if d[23] != 6 or d[l4 + 2:l4 + 4] != (7100).to_bytes(2, "big"): continue
            pushes += d[l4 + 13] >> 3 & 1
            cwrs += d[l4 + 13] >> 7
            payload = d[l4 + 4 * (d[l4 + 12] >> 4):14 + int.from_bytes(d[16:18], "big")]
            if int.from_bytes(d[l4 + 4:l4 + 8], "big") != n + 1: print("wrong sequence number"); break
            d = payload
        got.append(d); n += len(d); sizes[len(d)] = sizes.get(len(d), 0) + 1
except socket.timeout: pass
want = b"".join(b"%09d\n" % i for i in range(total // 10 + 1))[:total]
print("equal" if b"".join(got) == want else "differs", max(sizes, default=0), pushes, cwrs, sum(sizes.values()), flush=True)
END

generated() { # generated NAME PROTO FROM TO WHERE SIZE FLAGS OPTIONS...: 5 MB; FLAGS: segments with PSH, with CWR, in all
    local name=$1 proto=$2 from=$3 to=$4 where=$5 size=$6 flags=$7
    shift 7
    start 1400 0 --check "$@" --generate 5000000 --generate-to "$proto,$mac_a,$from,$to,7100,$size" || return 1
    : > "$dir/receive.out"
    capture $a dtap0 generated.pcap
    ip netns exec $a "$python" "$dir/receive.py" "$where" 5000000 "$proto" > "$dir/receive.out" 2>&1 & pid[receive]=$!
    seconds_until ready "$dir/receive.out"
    kill -USR1 "${pid[bridge]}"
    wait "${pid[receive]}"; unset "pid[receive]"
    stop_capture
    stop "$name, check"
    expect "$name: 5 MB in payloads of $size bytes" equal "$(tail -n 1 "$dir/receive.out")" "equal $size $flags"
}
generated "udp superpackets of our own" udp 10.8.0.50 10.8.0.1 10.8.0.1 1400 "0 0 3572"
expect "udp superpackets of our own: cut here, summed by the port" bash -c "[ $(tso) = 0 ] && [ $(csum_left) -gt 3500 ]"
generated "udp superpackets of our own, IPv6" udp fd00:8::50 fd00:8::1 fd00:8::1 1400 "0 0 3572"
generated "tcp superpackets of our own" tcp 10.8.0.50 10.8.0.1 dtap0 1300 "1 84 3847"
expect "tcp superpackets of our own: checksums" good_checksums generated.pcap 150
expect "tcp superpackets of our own: all but the 84 segments with CWR cut by the port" equal "$(count 'port 0' tso_segments)" 3763
generated "tcp superpackets of more segments than the port takes" tcp 10.8.0.50 10.8.0.1 dtap0 500 "1 84 10000"
expect "tcp superpackets of more segments than the port takes: in two parts each" at_least "$(tso)" $((2 * 5000000 / 60000))

finish
