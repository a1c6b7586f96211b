# shellcheck shell=bash disable=SC2034,SC2154
# Two network namespaces joined by a veth pair, with a web server and iperf3 in the second, for tests of the tunnels; sourced from the
# repository's root by bash, after `name` was set. Outer addresses: A 192.0.2.1, 2001:db8::1; B 192.0.2.2, 2001:db8::2.
. tests/lib/counts.sh
a=tuoA$$ b=tuoB$$
declare -A pid=()

bad() { fail "$1: $2"; }
expect() { local name=$1; shift; if "$@" > "$dir/why" 2>&1; then ok "$name"; else bad "$name" "$* $(tail -n 1 "$dir/why")"; fi; }

missing=
[ "$(id -u)" = 0 ] || missing="not root"
[ -z "$missing" ] && ! { : <> /dev/net/tun; } 2> /dev/null && missing="no /dev/net/tun"
for tool in ip iperf3 curl nginx sha256sum; do command -v $tool > /dev/null || missing=${missing:-$tool is not installed}; done
[ -z "$missing" ] && ! ip netns add $a 2> /dev/null && missing="cannot make network namespaces"
if [ -n "$missing" ]; then skip "$name" "$missing"; finish; fi

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
        kill -TERM "${pid[$side]}" # a program in the background of a script ignores INT unless it catches it
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
