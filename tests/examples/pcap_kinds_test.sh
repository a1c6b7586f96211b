#!/bin/sh
# Tests of pcap_offload with the kinds of captures that people have: sender's captures, tunnels, jumbograms, several link types, and
# --why. make_captures.c makes them. Usage: pcap_kinds_test.sh PROGRAM REPOSITORY_ROOT; make_captures is expected beside the program.
# Needs only a POSIX shell and its utilities. Prints "ok NAME" or "FAIL NAME: why" per case, then the summary; exit 1 on failure.

# shellcheck source=tests/examples/pcap_cases.sh
. "$(dirname "$0")/pcap_cases.sh"
"${program%/*}/make_captures" . || exit 2

# same_way COMMAND...: what comes of in.pcap is what comes of want.pcap, byte for byte.
same_way() {
    run 0 "$@" in.pcap out.pcap
    cp out.pcap out-in.pcap
    run 0 "$@" want.pcap out.pcap
    same out-in.pcap out.pcap
}
# twins NAME: in.pcap and want.pcap are the captures of that name
twins() { cp "$1.pcap" in.pcap; cp "$1-want.pcap" want.pcap; }
# packets_of FILE: the bytes of a little-endian pcap file from its first record on
packets_of() { od -An -v -tx1 -j 24 "$1"; }
count() { hold; [ "$(grep -cF -- "$1" stdout)" -eq "$2" ] || wrong "not $2 times '$1'"; }

# --- partial checksums ---

for kind in tcp4 udp4 tcp6 udp6; do
    for order in little big; do
        start "partial: a sender's train merges as its receiver's, $kind, $order-endian file"
        twins partial-$kind-$order
        for options in "" --copy --vnet "--batch 0" "--batch 2"; do same_way coalesce $options; done
        for mode in --gather --copy --in-place; do
            run 0 check $mode --verdicts in.pcap
            line stdout "in=0 verdict=HELD partial=L4"
            line stdout "in=3 verdict=APPENDED partial=L4"
            line stdout "partial TCP or UDP checksums, finished: 4"
            says stdout "emitted=1 superpackets=1 merged=4 ratio=4.00 identical=4/4 result=ok"
        done
        same_way split
        run 0 check want.pcap
        count "partial" 0

        start "partial: superpackets are cut as those with right checksums, $kind, $order-endian file"
        twins superpacket-$kind-$order
        for mode in --gather --copy --in-place; do same_way split $mode --mss 1000; done
        run 0 split --mss 1000 --verdicts in.pcap out.pcap
        line stdout "in=0 verdict=SPLIT partial=L4"
        says stdout "emitted=5 superpackets=1 merged=5"
        same_way split --mss 5000

        start "partial: trailing bytes stay, $kind, $order-endian file"
        twins trailing-$kind-$order
        for command in split coalesce; do
            run 0 $command in.pcap out.pcap
            same out.pcap want.pcap
            line stdout "partial TCP or UDP checksums, finished: 3"
        done
    done
    start "partial: a wrong checksum that is not partial stays wrong, $kind"
    for arguments in "coalesce --verdicts" "coalesce --verdicts --copy" "split --verdicts"; do
        run 0 $arguments wrong-$kind.pcap out.pcap
        same out.pcap wrong-$kind.pcap
        count partial 0
    done
    line stdout "in=3 verdict=E_L4_CSUM"
    line stdout "not cut: 1: TCP or UDP checksum is wrong"
    run 0 check --verdicts wrong-$kind.pcap
    line stdout "in=1 verdict=BAD_L4_CSUM"
done
start "partial: Linux cooked"
twins cooked
for options in "" --copy --vnet; do same_way coalesce $options; done
run 0 split in.pcap out.pcap
same out.pcap want.pcap
run 0 check in.pcap
says stdout "superpackets=1 merged=4 ratio=4.00 identical=4/4 result=ok"

start "partial: an IPv4 header checksum of 0"
for kind in tcp4 udp4; do
    twins windows-$kind
    same_way coalesce
    for mode in --gather --copy --in-place; do same_way split $mode; done
    run 0 split --verdicts in.pcap out.pcap
    line stdout "in=0 verdict=COMPLETED partial=IP+L4"
    line stdout "in=1 verdict=COMPLETED partial=IP"
    line stdout "in=4 verdict=SPLIT partial=IP+L4"
    line stdout "partial TCP or UDP checksums, finished: 4"
    line stdout "IPv4 header checksums of 0, finished: 5"
done
start "partial: a sum without the length"
for kind in tcp4 tcp6; do
    twins no-length-sum-$kind
    same_way split
    same_way coalesce
done
start "split: a wrong IPv4 header checksum is the reason, and is not repaired"
run 0 split --verdicts wrong-ip.pcap out.pcap
same out.pcap wrong-ip.pcap
line stdout "in=0 verdict=E_IP_CSUM"
line stdout "not cut: 1: IPv4 header checksum is wrong"

# --- tunnels ---

for tunnel in vxlan geneve ip-in-udp port5000; do
    for kind in udp4 udp6; do
        start "tunnels: $tunnel over $kind stays whole, with checksums finished from the inside outwards"
        twins tunnel-$tunnel-$kind
        ports=; [ $tunnel != port5000 ] || ports="--tunnel-ports 4789,5000"
        for mode in --gather --copy --in-place; do
            run 0 split $mode $ports --verdicts in.pcap out.pcap
            same out.pcap want.pcap
        done
        count verdict=TUNNEL 5
        line stdout "not cut: 5: VXLAN, Geneve or IP in UDP: segments would lack the tunnel header (--tunnel-ports)"
        says stdout "emitted=10 superpackets=0 merged=0"
        run 0 check $ports in.pcap
        says stdout "identical=10/10 result=ok"
    done
done
start "tunnels: --tunnel-ports"
for ports in none 8472; do
    run 0 split --verdicts --tunnel-ports $ports tunnel-vxlan-udp4-want.pcap out.pcap
    line stdout "in=0 verdict=SPLIT"
    run 0 split --verdicts --tunnel-ports $ports tunnel-ip-in-udp-udp4-want.pcap out.pcap
    line stdout "in=0 verdict=TUNNEL"
done
run 0 split --verdicts tunnel-port5000-udp4-want.pcap out.pcap
line stdout "in=0 verdict=SPLIT"
run 0 split --verdicts --tunnel-ports 50000 tunnel-vxlan-udp4-want.pcap out.pcap # the source port
line stdout "in=0 verdict=TUNNEL"

# --- superpackets above 64 KiB, and without a length ---

for kind in tcp6 udp6; do
    for order in little big; do
        start "jumbograms: no segment has the option, $kind, $order-endian file"
        twins jumbo-alone-$kind-$order
        for mode in --gather --copy --in-place; do same_way split $mode; done
        says stdout "emitted=98 superpackets=2"
        twins jumbo-beside-$kind-$order
        for mode in --gather --copy --in-place; do
            run 0 split $mode in.pcap out.pcap
            packets_of out.pcap >out.hex
            run 0 split $mode want.pcap out.pcap
            packets_of out.pcap >want.hex
            same out.hex want.hex
        done
        run 0 coalesce --verdicts in.pcap out.pcap
        line stdout "in=0 verdict=IP_LENGTH"
    done
done
start "jumbograms: an option that contradicts its packet"
run 0 split --verdicts jumbo-bad.pcap out.pcap
count verdict=E_IP_LENGTH 3
says stdout "not cut: 3: the IP length field claims"
same out.pcap jumbo-bad.pcap
start "no IP length: one verdict for both IP versions"
for arguments in coalesce check "coalesce --copy"; do
    out=; [ "$arguments" = check ] || out=out.pcap
    run 0 $arguments --verdicts no-length.pcap $out
    count verdict=IP_LENGTH 5
    says stdout "           5 IP_LENGTH "
    line stdout "superpackets already, not looked at: 5"
done
same out.pcap no-length.pcap
run 0 split --verdicts no-length.pcap out.pcap
count verdict=SPLIT 5

# --- several link types, times ---

for order in little big; do
    start "several link types: each merges by itself, $order-endian file"
    in=mixed-$order.pcapng
    for mode in --gather --copy --in-place; do
        run 0 check --list $mode $in
        line stdout "$in: 12 packets, 2566 bytes, several link types"
        line stdout "out=0 len=704 segs=4 gso_type=1 gso_size=200 hdr_len=54 csum_start=34 csum_offset=16 packets=0,3,6,9"
        line stdout "out=1 len=690 segs=4 gso_type=1 gso_size=200 hdr_len=40 csum_start=20 csum_offset=16 packets=1,4,7,10"
        line stdout "out=2 len=710 segs=4 gso_type=1 gso_size=200 hdr_len=60 csum_start=40 csum_offset=16 packets=2,5,8,11"
        says stdout "identical=12/12 result=ok"
    done
    run 0 coalesce $in out.pcapng
    cp out.pcapng $order.pcapng
    run 0 split --mss 200 out.pcapng back.pcapng
    says stdout "packets=3 bytes=2104 emitted=12 superpackets=3 merged=12"
    run 0 coalesce back.pcapng again.pcapng
    same again.pcapng out.pcapng
    run 0 coalesce --vnet --list $in out.pcap
    line stdout "out=2 len=690 segs=4 gso_type=1 gso_size=200 hdr_len=40 csum_start=20 csum_offset=16 packets=2,5,8,11"
    run 0 check out.pcap
done
same little.pcapng big.pcapng
start "several link types: one of them unknown"
refuse "mixed-unknown.pcapng: record 2 has link type 127, which is not supported" check mixed-unknown.pcapng

# ticks RESOLUTION HIGH LOW: nanoseconds and seconds of OUT for a time of so many ticks (two numbers of 32 bits)
ticks() {
    section=$(block little 168627466 "$(little32 439041101)$(little16 1)$(little16 0)ffffffffffffffff")
    interface=$(block little 1 "$(little16 101)0000$(little32 0)$(little16 9)$(little16 1)${1}000000$(little32 0)")
    hex "$section$interface$(block little 6 "$(little32 0)$(little32 "$2")$(little32 "$3")$(little32 0)$(little32 0)")" >in.pcapng
    run 0 coalesce in.pcapng out.pcap
    seconds=$(od -An -tx1 -j 24 -N 4 out.pcap | tr -d ' ') fraction=$(od -An -tx1 -j 28 -N 4 out.pcap | tr -d ' ')
    magic=$(od -An -tx1 -N 4 out.pcap | tr -d ' ')
}
start "times: resolutions that are powers of two keep nanoseconds"
for row in "94 0 3145729 3 953" "9e 5 1 20 0" "9e 0 1073741823 0 999999999" "a0 7 3435973837 7 800000000" "a0 7 4294967295 7 999999999" \
    "a2 2 1 0 500000000" "bf 1 0 0 0" "bf 1073741825 0 0 500000000" "bf 2147483648 2576980378 1 0" "87 0 129 1 7812500" \
    "0a 2 1410065408 1 0" "09 0 1000000001 1 1" "13 2147483648 0 0 922337203"; do
    set -- $row
    ticks $1 $2 $3
    [ "$magic $seconds $fraction" = "4d3cb2a1 $(little32 $4) $(little32 $5)" ] || wrong "$row: $magic $seconds $fraction"
done
for row in "06 0 1000001 1 1" "86 0 65 1 15625" "03 0 1001 1 1000"; do # microseconds say it all
    set -- $row
    ticks $1 $2 $3
    [ "$magic $seconds $fraction" = "d4c3b2a1 $(little32 $4) $(little32 $5)" ] || wrong "$row: $magic $seconds $fraction"
done

start "gzip: the hint has the command"
hex 1f8b080000000000 >in.pcap.gz
refuse "gzip -dc" check in.pcap.gz

# --- why ---

# reason PACKETS TEXT: a line of that many packets, the text in it or in one of its advice
reason() {
    hold
    awk -v packets="$1" -v text="$2" '
        /^ *[0-9]+ +[0-9.]+ %/ { last = $1 }
        index($0, text) && last == packets { found = 1 }
        END { exit !found }' stdout || wrong "not $1 packets: '$2'"
}
start "why: PSH"
run 0 check --why why-psh.pcap
line stdout "why: 0 of 16 packets merged, 16 did not"
line stdout "  TCP with payload: 0 of 16 packets merged (0.0 %)"
says stdout "  Below: packets, share of all, reason."
count "UDP with payload" 0
count "Nothing known helps" 0
count "All that was tried" 0
reason 16 "PSH (or FIN) on the packet before"
reason 16 "Without any PSH, at most 16 more would merge."
line stdout "  A batch (--batch) of up to 128 packets has 1.0 flows on average, with 16.0 packets each."
start "why: IPv4 IDs"
run 0 coalesce --why why-id.pcap out.pcap
reason 16 "With --ip-id any-df, 8 more would merge."
reason 16 "With --ip-id any, 16 more would merge."
count "All that was tried" 0
start "why: two reasons at once"
run 0 check --why why-both.pcap
reason 8 "Without any PSH, at most 0 more would merge, but some together with the other changes."
reason 8 "With --ip-id any, 8 more would merge."
line stdout "  All that was tried, together: at most 16 more would merge."
count "any-df" 0
start "why: no checksum; the largest reason is first"
run 0 check --why why-no-sum.pcap
reason 16 "With checksums, 16 more would merge."
reason 4 "PSH"
line stdout "  All that was tried, together: at most 20 more would merge."
grep '^ .* %  ' stdout | head -n 1 >first
says first " 80.0 %  UDP without a checksum"
start "why: order"
run 0 check --why --no-prepend why-order.pcap
reason 16 "TCP out of order"
reason 16 "With each batch in the order of its sender, at most 16 more would merge."
start "why: padding"
run 0 check --why why-padding.pcap
reason 16 "Without these bytes, 16 more would merge."
reason 3 "TCP without payload (acknowledgments)" # although they are padded
start "why: wrong checksums"
run 0 check --why why-bad-sum.pcap
reason 16 "With --trust, which verifies no checksum, 16 more would merge."
start "why: sizes"
run 0 check --why why-size.pcap
reason 16 "another size than the packet before"
start "why: flows per batch"
run 0 check --why --batch 4 why-flows.pcap
reason 16 "no other data packet of its flow right before or after it in its batch"
reason 16 "With batches 8 times as large, 16 more would merge."
count "--batch 0" 0 # it gains no more
line stdout "  A batch (--batch) of up to 4 packets has 4.0 flows on average, with 1.0 packets each."
start "why: acknowledgments"
run 0 check --why why-acks.pcap
reason 8 "TCP without payload (acknowledgments)"
reason 8 "no other data packet of its flow right before or after it in its batch"
line stdout "  Nothing known helps the other 16 packets (100.0 %):"
count "more would merge" 0
count "Let the program collect" 0
start "why: what can be helped comes first"
run 0 check --why why-padding.pcap
awk '/% +bytes behind/ { first = NR } /^  Nothing known helps the other 3 packets/ { other = NR } /% +TCP without/ { last = NR }
    END { exit !(first && first < other && other < last) }' stdout || wrong "another order"
start "why: partial checksums and superpackets"
run 0 check --why partial-tcp4-little.pcap
line stdout "why: 4 of 4 packets merged, 0 did not"
says stdout "  4 packets had partial checksums: this is a sender's capture."
run 0 check --why superpacket-udp6-big.pcap
says stdout "  1 packets are longer than 1500 bytes"
run 0 check --why no-length.pcap
reason 5 "superpackets already"
start "why: switched off; cut; a file without packets"
run 0 check --why --no-tcp why-psh.pcap
reason 16 "switched off by an option"
{ pcap little 101; hex "$(little32 9)$(little32 0)$(little32 20)$(little32 62)4500003000014000400600000a0000010a000002"; } >in.pcap
run 0 check --why in.pcap
reason 1 "cut by the snap length"
pcap little 101 >in.pcap
run 0 check --why in.pcap
count "why:" 0
for file in "$captures"/*.pcap; do
    [ -e "$file" ] || { end_case; skip "captures" "none there"; break; }
    base=$(basename "$file" .pcap)
    start "why: $base: each packet merged or has one reason, and as many merged as without --why"
    for batch in 1 7 128 0; do
        run 0 check --why --batch $batch "$file"
        awk '/^why:/ { merged = $2; all = $4; left = $7 } /^ *[0-9]+ +[0-9.]+ %/ { sum += $1 }
            END { split($5, total, "="); exit !(merged + left == all && sum == left && total[2] == merged) }' stdout ||
            wrong "batch $batch: $(grep '^why' stdout)"
    done
done

end_case
finish
