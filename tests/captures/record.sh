#!/usr/bin/env bash
# Remakes the captures of this directory: real traffic between two Linux network stacks, recorded with tcpdump.
#
#     sudo ./record.sh [OUTPUT-DIRECTORY]        default: the current directory
#
# Needs: bash, iproute2, ethtool, tcpdump, iperf3, nginx, curl, python3, tshark, /dev/net/tun. Takes half a minute.
#
# Each capture gets fresh namespaces: A (192.0.2.1, 2001:db8::1) and B (192.0.2.2, 2001:db8::2), joined in one of three ways:
#     direct   one veth pair
#     relay    A -veth- R -veth- B, where a user-space relay in R forwards the frames (drops, swaps, tags)
#     tun      a TUN device in A and one in B, both held by the relay
# netem and 802.1Q devices would do for the second, but not every kernel has them; to the two stacks a relay is just a wire.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "record.sh: must be root (it makes network namespaces)" >&2; exit 2; }
for tool in ip ss ethtool tcpdump iperf3 nginx curl python3 tshark; do
    command -v "$tool" >/dev/null || { echo "record.sh: $tool is missing" >&2; exit 2; }
done
out=$(realpath "${1:-$PWD}")
mkdir -p "$out"
work=$(mktemp -d)
A=tuo-$$-a B=tuo-$$-b R=tuo-$$-r
pids=()     # background processes of the capture that is being made
dump=       # its tcpdump
capture=    # its file name

stop_all() {
    local ns pid
    for ns in $A $B $R; do
        for pid in $(ip netns pids $ns 2>/dev/null || true); do kill "$pid" 2>/dev/null || true; done
    done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
    for ns in $A $B $R; do ip netns del $ns 2>/dev/null || true; done
}
trap 'stop_all; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

wait_for() {    # wait_for COMMAND...: until it succeeds, ten seconds at most
    local tries=100
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "record.sh: $capture: gave up waiting for: $*" >&2; exit 1; }
        sleep 0.1
    done
}
in_a() { ip netns exec $A "$@"; }
in_b() { ip netns exec $B "$@"; }

# ------------------------------------------------------------------------------------------------------------------- topology

fresh() {
    stop_all
    for ns in $A $B $R; do
        ip netns add $ns
        ip -n $ns link set lo up
        # Offer and accept large windows from the start, so that a short transfer has long bursts.
        ip netns exec $ns sysctl -qw net.ipv4.tcp_rmem="4096 4194304 6291456" net.ipv4.tcp_wmem="4096 4194304 6291456" \
            net.ipv4.tcp_congestion_control=reno    # in every kernel, and it does not pace
    done
}
# address NS DEVICE HOST MTU [initcwnd N]: bring it up with addresses ...HOST
address() {
    local ns=$1 dev=$2 host=$3 mtu=$4
    shift 4
    ip -n $ns link set $dev mtu $mtu txqueuelen 5000 up
    ip -n $ns addr add 192.0.2.$host/24 dev $dev
    ip -n $ns addr add 2001:db8::$host/64 dev $dev nodad
    [ $# = 0 ] || {
        ip -n $ns route change 192.0.2.0/24 dev $dev src 192.0.2.$host "$@"
        ip -n $ns -6 route change 2001:db8::/64 dev $dev proto kernel metric 256 "$@"
    }
}
# Without offloads the captured packets are those of a wire: one MSS at most, checksums final.
wire() { ip netns exec $1 ethtool -K $2 tx off rx off sg off tso off gso off gro off >/dev/null; }

direct() {      # direct MTU wire|offload [initcwnd N]
    local mtu=$1 mode=$2
    shift 2
    fresh
    ip link add name eth0 address 02:00:00:00:00:01 netns $A type veth peer name eth0 address 02:00:00:00:00:02 netns $B
    [ $mode = offload ] || { wire $A eth0; wire $B eth0; }
    address $A eth0 1 $mtu "$@"
    address $B eth0 2 $mtu
}
relay_veth() {
    fresh
    ip link add name eth0 address 02:00:00:00:00:01 netns $A type veth peer name ra netns $R
    ip link add name eth0 address 02:00:00:00:00:02 netns $B type veth peer name rb netns $R
    wire $A eth0; wire $B eth0
    address $A eth0 1 1500
    address $B eth0 2 1500
    for dev in ra rb; do
        ip netns exec $R sysctl -qw net.ipv6.conf.$dev.disable_ipv6=1
        ip -n $R link set $dev up
    done
}
relay() {       # relay ARGUMENTS: start relay.py in R
    ip netns exec $R python3 "$work/relay.py" "$@" >"$work/relay.out" &
    pids+=($!)
    wait_for grep -q ready "$work/relay.out"
    rm "$work/relay.out"
}
relay_tun() {   # relay_tun MTU ARGUMENTS
    local mtu=$1
    shift
    fresh
    relay "$@" tun:tuna tun:tunb
    ip -n $R link set tuna name tun0 netns $A
    ip -n $R link set tunb name tun0 netns $B
    address $A tun0 1 $mtu initcwnd 128
    address $B tun0 2 $mtu
}

cat >"$work/relay.py" <<'PYTHON'
"""relay.py [options] PORT PORT: forward frames between two ports, veth:NAME or tun:NAME."""
import argparse, errno, fcntl, os, random, select, socket, struct, time

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x1000, 0x4000
OFFLOAD_ALL = 0x6F                              # CSUM TSO4 TSO6 TSO_ECN USO4 USO6
SOL_PACKET, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 23, 3
TAG_Q = bytes.fromhex("81006064")               # 802.1Q, priority 3, VLAN 100
TAG_AD_Q = bytes.fromhex("88a800c8" "81000064") # 802.1ad VLAN 200 in front of 802.1Q VLAN 100

def open_port(port, vnet):
    kind, name = port.split(":")
    if kind == "veth":
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((name, ETH_P_ALL))
        return sock.detach()
    fd = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if vnet:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 10))
        fcntl.ioctl(fd, TUNSETOFFLOAD, OFFLOAD_ALL)
    return fd

def tag(frame):
    """IPv6 gets two tags, everything else one."""
    return frame[:12] + (TAG_AD_Q if frame[12:14] == b"\x86\xdd" else TAG_Q) + frame[12:]

def untag(frame):
    """The kernel may have taken the outer tag off already."""
    while frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
        frame = frame[:12] + frame[16:]
    return frame

def send(fd, frame):
    try:
        os.write(fd, frame)
    except OSError as e:
        if e.errno != errno.EIO:    # a TUN that is not up yet: nobody is there to receive
            raise

class Direction:
    """One way through the relay. A swapped frame is held until the next one has passed it, or nothing came for 2 ms."""
    def __init__(self, args, src, dst, change):
        self.args, self.src, self.dst, self.change, self.held = args, src, dst, change, None

    def forward(self, frame, log):
        if log:
            now = time.time_ns()
            log.write(struct.pack("=4I", now // 10**9, now // 1000 % 10**6, len(frame), len(frame)) + frame)
            log.flush()
        if random.random() < self.args.drop:
            return
        frame = self.change(frame)
        if self.held is None and random.random() < self.args.swap:
            self.held = frame
            return
        send(self.dst, frame)
        self.release()

    def release(self):
        if self.held is not None:
            send(self.dst, self.held)
            self.held = None

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--drop", type=float, default=0, help="share of frames to drop")
    ap.add_argument("--swap", type=float, default=0, help="share of frames to send after the one that follows")
    ap.add_argument("--tag", action="store_true", help="the second port is a VLAN trunk")
    ap.add_argument("--vnet", metavar="PCAP", help="TUNs with IFF_VNET_HDR and all offloads; record what they give")
    ap.add_argument("port", nargs=2)
    args = ap.parse_args()
    random.seed(1)
    log = None
    if args.vnet:
        log = open(args.vnet, "wb")
        log.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 147))
    one, two = (open_port(port, args.vnet) for port in args.port)
    same = lambda frame: frame
    ways = [Direction(args, one, two, tag if args.tag else same), Direction(args, two, one, untag if args.tag else same)]
    print("ready", flush=True)
    while True:
        ready = select.select([one, two], [], [], 0.002)[0]
        for way in ways:
            if way.src in ready:
                way.forward(os.read(way.src, 1 << 17), log)
            elif not ready:
                way.release()

main()
PYTHON

# ------------------------------------------------------------------------------------------------------------------ recording

start() {       # start FILE NAMESPACE DEVICE [tcpdump options]
    capture=$1
    ip netns exec $2 tcpdump -Z root -i $3 -s 262144 -B 32768 -w "$work/$1" "${@:4}" 2>"$work/dump.err" &
    dump=$!
    pids+=("$dump")
    wait_for grep -q 'listening on' "$work/dump.err"
}
finish() {
    sleep 1.5   # tcpdump's ring hands over a block that is not full after a second
    kill -INT $dump
    wait $dump || true
    grep -q '^0 packets dropped by kernel' "$work/dump.err" || { cat "$work/dump.err" >&2; exit 1; }
    mv "$work/$capture" "$out/$capture"
}

serve_iperf() {     # serve_iperf [PORT]: one test, then it ends
    ip netns exec $B iperf3 -s -1 -p "${1:-5201}" >/dev/null &
    pids+=($!)
    wait_for listening "${1:-5201}"
}
listening() { in_b ss -Hltn "sport = :$1" | grep -q .; }
iperf() { in_a iperf3 -c "$@" >"$work/iperf.out" || { cat "$work/iperf.out" >&2; exit 1; }; }

udp_sink() {        # takes datagrams on port 4433 of both IP versions
    ip netns exec $B python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 4433))
while True:
    s.recv(65536)' &
    pids+=($!)
    wait_for eval 'in_b ss -Hlun "sport = :4433" | grep -q .'
}

serve_http() {
    local size
    mkdir -p "$work/www" "$work/nginx"
    for size in 0 1 300 1400 1500 3000 6000 15000; do
        head -c $size /dev/urandom >"$work/www/$size"
    done
    chmod 755 "$work" "$work/www"
    cat >"$work/nginx.conf" <<NGINX
daemon off;
user root;
worker_processes 1;
pid $work/nginx/pid;
error_log $work/nginx/error;
events { worker_connections 256; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    server {
        listen 80;
        listen [::]:80;
        root $work/www;
    }
}
NGINX
    ip netns exec $B nginx -e "$work/nginx/error" -c "$work/nginx.conf" &
    pids+=($!)
    wait_for listening 80
}
get() { in_a curl -sf --no-progress-meter --noproxy '*' "$@" >/dev/null; }

closed_port() {     # two datagrams that nobody wants, for ICMP messages that quote packets
    in_a bash -c 'echo unwanted >/dev/udp/192.0.2.2/9; echo unwanted >/dev/udp/2001:db8::2/9'
}

# ------------------------------------------------------------------------------------------------------------------- captures

# bulk FILE 4|6 MTU wire|offload BYTES: one write of BYTES; seen by the receiver (wire) or by the sender (offload)
bulk() {
    local file=$1 to=192.0.2.2 mtu=$3 mode=$4 bytes=$5
    [ $2 = 4 ] || to=2001:db8::2
    direct $mtu $mode initcwnd 128
    serve_iperf
    if [ $mode = wire ]; then start $file $B eth0; else start $file $A eth0; fi
    iperf $to -n $bytes -l $bytes
    finish
}

udp_stream() {      # udp_stream FILE ADDRESS IPERF-OPTIONS
    direct 1500 wire
    serve_iperf
    start $1 $B eth0
    iperf $2 -u "${@:3}"
    finish
}

udp4_gso() {
    direct 1500 offload
    udp_sink
    start udp4_gso.pcap $A eth0
    in_a python3 -c '
import os, socket
UDP_SEGMENT = 103
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
s.connect(("192.0.2.2", 4433))
for size in (54 * 1200, 20 * 1200 + 300, 2 * 1200, 1200, 500, 1201, 10 * 1200 + 1, 16 * 1200):
    s.send(os.urandom(size))'
    finish
}

http_short() {
    local size args=()
    direct 1500 wire
    serve_http
    start http_short.pcap $B eth0
    for size in 0 1 300 1400 1500 3000 6000 15000; do
        for host in 192.0.2.2 '[2001:db8::2]' 192.0.2.2; do
            args+=("http://$host/$size")
        done
    done
    # Two clients at once; "close" makes every request a connection of its own.
    get -H 'Connection: close' -Z --parallel-immediate --parallel-max 24 "${args[@]}" &
    local first=$!
    get -H 'Connection: close' -Z --parallel-immediate --parallel-max 24 "${args[@]:0:12}"
    wait $first
    finish
}

loss_reorder() {
    relay_veth
    relay --drop 0.02 --swap 0.08 veth:ra veth:rb
    serve_iperf 5201; serve_iperf 5202; serve_iperf 5203
    start loss_reorder.pcap $B eth0
    iperf 192.0.2.2 -p 5201 -P 2 -l 15K -n 120K & local one=$!
    iperf 2001:db8::2 -p 5202 -l 60K -n 60K & local two=$!
    iperf 192.0.2.2 -p 5203 -u -l 1000 -b 4M/6 -n 30K & local three=$!
    wait $one
    wait $two
    wait $three
    finish
}

vlan() {
    relay_veth
    ip -n $R link add name t0 mtu 1600 type veth peer name t1 mtu 1600
    for dev in t0 t1; do
        ip netns exec $R sysctl -qw net.ipv6.conf.$dev.disable_ipv6=1
        ip netns exec $R ethtool -K $dev rxvlan off txvlan off gro off >/dev/null
        ip -n $R link set $dev up
    done
    relay --tag veth:ra veth:t0
    relay --tag veth:rb veth:t1
    serve_http
    start vlan.pcap $R t1
    get http://192.0.2.2/15000
    get 'http://[2001:db8::2]/15000'
    finish
}

any_sll2() {
    direct 1500 wire
    serve_http
    start any_sll2.pcap $A any -y LINUX_SLL2
    closed_port
    get http://192.0.2.2/6000
    get 'http://[2001:db8::2]/6000'
    finish
}

raw_tun() {
    relay_tun 1400
    serve_http
    start raw_tun.pcap $B tun0
    closed_port
    get http://192.0.2.2/15000
    get 'http://[2001:db8::2]/15000'
    finish
}

tun_vnet() {        # recorded by the relay itself: tcpdump on a TUN does not see the vnet headers
    capture=tun_vnet.pcap
    relay_tun 1420 --vnet "$work/tun_vnet.pcap"
    serve_iperf
    iperf 192.0.2.2 -n 70K -l 70K
    serve_iperf
    iperf 2001:db8::2 -n 70K -l 70K
    udp_sink
    in_a python3 -c '
import os, socket
for family, host in (socket.AF_INET, "192.0.2.2"), (socket.AF_INET6, "2001:db8::2"):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_UDP, 103, 1200)
    s.connect((host, 4433))
    s.send(os.urandom(9 * 1200 + 700))
    s.send(os.urandom(100))'
    sleep 0.5
    mv "$work/tun_vnet.pcap" "$out/tun_vnet.pcap"
}

bulk bulk_tcp4.pcap 4 1500 wire 224K
bulk bulk_tcp6.pcap 6 1420 wire 224K
bulk bulk_tcp4_gso.pcap 4 1500 offload 176K
bulk bulk_tcp6_gso.pcap 6 1420 offload 176K
udp_stream udp4_stream.pcap 192.0.2.2 -l 1200 -b 20M/10 -n 96K
udp_stream udp6_stream.pcap 2001:db8::2 -l 1232 -P 2 -b 20M/6 -n 96K
udp4_gso
http_short
loss_reorder
vlan
any_sll2
raw_tun
tun_vnet
stop_all

# ----------------------------------------------------------------------------------------------------------------------- check

count() {       # count FILE FILTER: packets that match
    tshark -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -Y "$2" 2>/dev/null | wc -l
}
bad='ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" || udp.checksum.status == "Bad" || _ws.malformed'
status=0
for file in "$out"/*.pcap; do
    name=$(basename "$file") invalid=-
    case $name in
    *_gso.pcap) expect='frame.len > 1514' ;;    # partial checksums are what these are for
    tun_vnet.pcap) expect='frame' ;;            # USER0: tshark does not look inside
    *) expect='tcp.len > 0 || udp'
       invalid=$(count "$file" "$bad")
       [ "$invalid" = 0 ] || status=1 ;;
    esac
    wanted=$(count "$file" "$expect")
    [ "$wanted" -gt 0 ] || status=1
    printf '%-20s %7d bytes %5d packets, %s invalid, %d with: %s\n' \
        "$name" "$(stat -c %s "$file")" "$(count "$file" frame)" "$invalid" "$wanted" "$expect"
done
total=$(cat "$out"/*.pcap | wc -c)
[ "$total" -lt 2097152 ] || { echo "record.sh: $total bytes are too many for a repository" >&2; status=1; }
echo "total $total bytes, $([ $status = 0 ] && echo ok || echo FAIL)"
exit $status
