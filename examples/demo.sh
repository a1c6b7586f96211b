#!/bin/sh
# make demo: coalesces every capture, splits it back, compares, and prints before and after. Usage: demo.sh PROGRAM CAPTURES OUT_DIR
set -u
program=$1 captures=$2 out=$3
failed=0
rm -rf "$out"; mkdir -p "$out"

# field NAME LINE: the value of NAME= in a summary line
field() { value=${2#*"$1"=}; echo "${value%% *}"; }
# average A B: A / B with one decimal
average() { if [ "$2" -gt 0 ]; then echo "$(($1 * 10 / $2 / 10)).$(($1 * 10 / $2 % 10))"; else echo -; fi; }
last_line() { tail -n 1 "$out/log"; }

# step ARGUMENTS...: run the program; its last line goes to $line, a failure is shown and counted
step() {
    if "$program" "$@" > "$out/log" 2>&1; then line=$(last_line); else line=$(last_line); cat "$out/log"; failed=$((failed + 1)); fi
}

echo "1. Coalesce: each packet of a capture through GRO (--batch 0: the whole file is one batch), split again, compare with the input."
echo
row='%-14s %8s %8s %8s %12s %7s %9s %9s  %s\n'
# shellcheck disable=SC2059
{
    printf "$row" capture packets emitted super- packets/ ratio bytes bytes identical
    printf "$row" '' in out packets superpacket '' in out ''
}
for capture in "$captures"/*.pcap; do
    name=$(basename "$capture" .pcap)
    case $name in *_gso | *_vnet) continue ;; esac
    step coalesce --batch 0 "$capture" "$out/$name.coalesced.pcap"; coalesced=$line
    step check --batch 0 "$capture"; checked=$line
    # shellcheck disable=SC2059
    printf "$row" "$name" "$(field packets "$coalesced")" "$(field emitted "$coalesced")" "$(field superpackets "$coalesced")" \
        "$(average "$(field merged "$coalesced")" "$(field superpackets "$coalesced")")" "$(field ratio "$coalesced")" \
        "$(field bytes "$coalesced")" \
        "$(($(wc -c < "$out/$name.coalesced.pcap") - 24 - 16 * $(field emitted "$coalesced")))" \
        "$(field identical "$checked") $(field result "$checked")"
done

echo
echo "2. As they cross a TUN device: coalesced with virtio-net headers, then split by those headers (frames that are not IP stay out)."
echo
for capture in "$captures"/*.pcap; do
    name=$(basename "$capture" .pcap)
    case $name in *_gso | *_vnet) continue ;; esac
    step coalesce --vnet "$capture" "$out/$name.vnet.pcap"; coalesced=$line
    left_out=$(sed -n 's/^left out.*: \([0-9]*\)$/\1/p' "$out/log")
    crossing=$(($(field packets "$coalesced") - ${left_out:-0}))
    step split --vnet "$out/$name.vnet.pcap" "$out/$name.split.pcap"
    printf '%-22s %8s packets -> %6s on the TUN -> %6s packets\n' "$name" "$crossing" "$(field emitted "$coalesced")" \
        "$(field emitted "$line")"
    [ "$crossing" = "$(field emitted "$line")" ] || { echo "  packets were lost or added"; failed=$((failed + 1)); }
done

echo
echo "3. Split: superpackets that the Linux stack sent, cut into wire packets."
echo
for capture in "$captures"/*_gso.pcap; do
    name=$(basename "$capture" .pcap)
    mss=$(sed -n "s/^$name\.pcap .*--mss \([0-9]*\).*/\1/p" "$captures/README") # the segment size that the sender used
    step split --mss "$mss" "$capture" "$out/$name.split.pcap"
    printf '%-22s %8s packets -> %6s wire packets\n' "$name" "$(field packets "$line")" "$(field emitted "$line")"
done
for capture in "$captures"/*_vnet.pcap; do
    [ -e "$capture" ] || continue
    name=$(basename "$capture" .pcap)
    step split --vnet "$capture" "$out/$name.split.pcap"
    printf '%-22s %8s packets -> %6s wire packets (read from a TUN device with its virtio-net headers)\n' "$name" \
        "$(field packets "$line")" "$(field emitted "$line")"
done

echo
if [ $failed -eq 0 ]; then echo "demo: ok (outputs in $out)"; else echo "demo: FAIL ($failed steps)"; fi
[ $failed -eq 0 ]
