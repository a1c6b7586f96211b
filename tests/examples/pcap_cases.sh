# shellcheck shell=sh disable=SC2034
# What the tests of pcap_offload share: cases, conditions, and files made of hexadecimal digits. Sourced with the arguments of the test,
# PROGRAM REPOSITORY_ROOT; afterwards the current directory is an empty one, which is removed at the end.

[ $# -eq 2 ] || { echo "usage: $0 PROGRAM REPOSITORY_ROOT" >&2; exit 2; }
case $1 in /*) program=$1 ;; *) program=$(pwd)/$1 ;; esac
captures=$(cd "$2/tests/captures" && pwd) || exit 2
# shellcheck source=tests/lib/counts.sh
. "$2/tests/lib/counts.sh"
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir" || exit 2

# --- cases ---

# Each starts with `start NAME`, states what must hold, and the next start or the end says what came of it.
name=
end_case() {
    [ -n "$name" ] || return 0
    if [ -z "$why" ]; then ok "$name"; else fail "$name: $why"; fi
    name=
}

start() {
    end_case
    name=$1 why="nothing was checked"
}

hold() { [ "$why" = "nothing was checked" ] && why= || :; }
wrong() { hold; why="${why:+$why; }$1"; }

# run STATUS ARGUMENTS...: the program must end with that status
run() {
    want=$1
    shift
    "$program" "$@" >stdout 2>stderr
    got=$?
    hold
    [ $got -eq "$want" ] || wrong "exit $got instead of $want: $*: $(tail -n 1 stderr)"
}

says() { hold; grep -qF -- "$2" "$1" || wrong "no '$2' in $1"; }
line() { hold; grep -qxF -- "$2" "$1" || wrong "no line '$2' in $1"; }
silent() { hold; [ ! -s "$1" ] || wrong "$1 is not empty"; }
same() { hold; cmp "$1" "$2" >/dev/null 2>&1 || wrong "$1 and $2 differ"; }
last() { hold; [ "$(tail -n 1 stdout)" = "$1" ] || wrong "last line is '$(tail -n 1 stdout)'"; }

# refuse MESSAGE ARGUMENTS...: exit 2, the message on stderr, nothing on stdout
refuse() {
    message=$1
    shift
    run 2 "$@"
    says stderr "$message"
    silent stdout
}

# --- files ---

# hex DIGITS...: bytes. printf takes octal numbers only.
hex() {
    printf "$(printf '%s' "$*" | tr -d ' \n' | awk '
        function digit(at) { return index("0123456789abcdef", substr($0, at, 1)) - 1 }
        { for (i = 1; i < length($0); i += 2) printf "\\%03o", digit(i) * 16 + digit(i + 1) }')"
}

big32() { printf '%08x' "$1"; }
big16() { printf '%04x' "$1"; }
little32() { big32 "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
little16() { big16 "$1" | sed 's/\(..\)\(..\)/\2\1/'; }
if [ "$(printf '\001\000' | od -An -tu2 | tr -d ' ')" = 1 ]; then host16() { little16 "$1"; }; else host16() { big16 "$1"; }; fi

# pcap LITTLE_OR_BIG LINK_TYPE PACKET...: a classic file whose records have the times 0 s + 5 us, 1 s + 5 us, ...
pcap() {
    n16=${1}16 n32=${1}32 magic=a1b2c3d4 seconds=0 text=
    [ "$1" = big ] || magic=d4c3b2a1
    text="$magic $($n16 2) $($n16 4) $($n32 0) $($n32 0) $($n32 262144) $($n32 "$2")"
    shift 2
    for packet; do
        text="$text $($n32 $seconds) $($n32 5) $($n32 $((${#packet} / 2))) $($n32 $((${#packet} / 2))) $packet"
        seconds=$((seconds + 1))
    done
    hex "$text"
}

# block LITTLE_OR_BIG TYPE BODY: a pcapng block; the body's length must be a multiple of 4 bytes
block() { printf '%s' "$(${1}32 "$2")$(${1}32 $((${#3} / 2 + 12)))$3$(${1}32 $((${#3} / 2 + 12)))"; }

# pcapng LITTLE_OR_BIG LINK_TYPE PACKET...: the same records, in turn on two interfaces, the second with nanoseconds
pcapng() {
    n16=${1}16 n32=${1}32 order=$1 k=0
    text=$(block "$1" 168627466 "$($n32 439041101)$($n16 1)$($n16 0)ffffffffffffffff")
    text=$text$(block "$1" 1 "$($n16 "$2")$($n16 0)$($n32 0)")
    options="$($n16 2)$($n16 3)746e3000$($n16 9)$($n16 1)09000000$($n16 0)$($n16 0)" # name tn0, 10^-9 s
    text=$text$(block "$1" 1 "$($n16 "$2")$($n16 0)$($n32 0)$options")
    shift 2
    for packet; do
        if [ $((k % 2)) -eq 0 ]; then ticks=$((k * 1000000 + 5)); else ticks=$((k * 1000000000 + 5000)); fi
        body="$($n32 $((k % 2)))$($n32 $((ticks / 4294967296)))$($n32 $((ticks % 4294967296)))"
        body="$body$($n32 $((${#packet} / 2)))$($n32 $((${#packet} / 2)))$packet"
        while [ $((${#body} % 8)) -ne 0 ]; do body=${body}00; done
        text=$text$(block "$order" 6 "$body")
        k=$((k + 1))
    done
    hex "$text"
}
