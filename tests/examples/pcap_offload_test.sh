#!/bin/sh
# Tests of the pcap_offload program: messages, exit codes, file formats, output formats, and check on every capture.
# Usage: pcap_offload_test.sh PROGRAM REPOSITORY_ROOT
# Needs only a POSIX shell and its utilities. Prints "ok NAME" or "FAIL NAME: why" per case, then the summary; exit 1 on failure.

# shellcheck source=tests/examples/pcap_cases.sh
. "$(dirname "$0")/pcap_cases.sh"

# Three TCP segments of 8 bytes in sequence, the last with PSH; the same with one and the same IPv4 ID; the second one with a
# wrong checksum; two UDP datagrams of 8 bytes. All with DF, from 192.0.2.1 to 198.51.100.2.
T0=450000300001400040064e90c0000201c633640203e80050000003e80000138850100400ef7b00007365676d656e7430
T1=450000300002400040064e8fc0000201c633640203e80050000003f00000138850100400ef7200007365676d656e7431
T2=450000300003400040064e8ec0000201c633640203e80050000003f80000138850180400ef6100007365676d656e7432
C0=450000300007400040064e8ac0000201c633640203e80050000003e80000138850100400ef7b00007365676d656e7430
C1=450000300007400040064e8ac0000201c633640203e80050000003f00000138850100400ef7200007365676d656e7431
C2=450000300007400040064e8ac0000201c633640203e80050000003f80000138850180400ef6100007365676d656e7432
# Two of these without DF.
N0=450000300007000040068e8ac0000201c633640203e80050000003e80000138850100400ef7b00007365676d656e7430
N1=450000300007000040068e8ac0000201c633640203e80050000003f00000138850100400ef7200007365676d656e7431
BAD=450000300002400040064e8fc0000201c633640203e80050000003f00000138850100400ef7200007365676d656e7430
U0=450000240001400040114e91c0000201c633640203e8003500105b087365676d656e7430
U1=450000240002400040114e90c0000201c633640203e8003500105b077365676d656e7431
ETHERNET=020000000002020000000001
ARP=${ETHERNET}08060001080006040001
pcap little 101 $T0 $T1 $T2 $U0 $U1 >raw.pcap

# --- usage ---

start "usage: no arguments"; refuse "a command is missing"
start "usage: unknown command"; refuse "unknown command merge" merge raw.pcap
start "usage: unknown option"; refuse "unknown option --fast" check --fast raw.pcap
start "usage: IN is missing"; refuse "IN is missing" check
start "usage: OUT is missing"; refuse "OUT is missing" coalesce raw.pcap
start "usage: one file too many"; refuse "one file too many: b" check raw.pcap b
start "usage: option of another command"
refuse "--mss has no meaning for this command" check --mss 5 raw.pcap
refuse "--batch has no meaning for this command" split --batch 5 raw.pcap out.pcap
refuse "--vnet has no meaning for this command" check --vnet raw.pcap
refuse "--in-place has no meaning for this command" coalesce --in-place raw.pcap out.pcap
refuse "--why has no meaning for this command" split --why raw.pcap out.pcap
start "usage: numbers"
for number in -1 1048577 x 5x '' 99999999999999999999; do
    refuse "--batch takes a number from 0 to 1048576" check --batch "$number" raw.pcap
done
for number in 0 65535; do refuse "--mss takes a number from 1 to 65534" split --mss $number raw.pcap out.pcap; done
refuse "--batch needs a number" check raw.pcap --batch
start "usage: ports"
for ports in '' 0 65536 x 1,,2 '1,2,' 123456 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17; do
    refuse "--tunnel-ports takes none, or up to 16 numbers" split --tunnel-ports "$ports" raw.pcap out.pcap
done
refuse "--tunnel-ports needs a word" check raw.pcap --tunnel-ports
start "usage: contradictions"
refuse "not both" check --ip-id both raw.pcap
refuse "--ip-id needs a word" check raw.pcap --ip-id
refuse "--ip-id has no meaning" split --ip-id any raw.pcap out.pcap
refuse "--mss has no meaning with --vnet" split --vnet --mss 5 raw.pcap out.pcap
start "usage: --help is complete"
for arguments in --help "check --help" "split --mss -h"; do
    run 0 $arguments
    silent stderr
    for word in coalesce split check --batch --gather --copy --in-place --mss --vnet --strict-kernel --no-prepend --ip-id \
        --trust --no-tcp --no-udp --tunnel-ports --why --list --verdicts --help 'Exit status'; do
        says stdout "$word"
    done
done

# --- unreadable input ---

start "input: no such file"; refuse "none.pcap: " check none.pcap
start "input: a directory"; refuse ".: " check .
start "input: empty"; : >in.pcap; refuse "in.pcap: neither pcap nor pcapng: the file has 0 bytes" check in.pcap
start "input: something else"
printf 'P6 10 10 255\n' >in.pcap
refuse "in.pcap: neither pcap nor pcapng: it starts with 50362031" check in.pcap
hex 1f8b080000000000 >in.pcap
refuse "gzip" check in.pcap
start "input: cut in the pcap header"
dd if=raw.pcap bs=1 count=23 of=in.pcap 2>dd.log
refuse "in.pcap: the pcap header has 24 bytes, file ends after 23" check in.pcap
start "input: cut in a record header, or in a record: read up to there"
for order in little big; do
    pcap $order 101 $T0 $T1 $T2 $U0 $U1 >whole.pcap
    for bytes in 89 103 104 151; do # of record 1: 1 byte of its header; all but 1; all; all but 1 of its bytes
        dd if=whole.pcap bs=1 count=$bytes of=in.pcap 2>dd.log
        for command in "check" "check --copy" "coalesce" "split"; do
            out=; [ "${command%% *}" = check ] || out=out.pcap
            run 1 $command in.pcap $out
            says stderr "in.pcap: warning: the file ends inside record 1, which starts at byte 88"
            says stdout "packets=1 bytes=48 emitted=1 "
            says stdout " result=TRUNCATED"
        done
        pcap little 101 $T0 >want.pcap
        same out.pcap want.pcap
    done
done
start "input: record longer than the file, and not cut"
for lengths in "4294967295 4294967295" "300000 300000" "49 48"; do # too long; too long; longer than the packet was
    { pcap little 101 $T0; hex "$(little32 0)$(little32 0)$(little32 ${lengths% *})$(little32 ${lengths#* })"; } >in.pcap
    rm -f out.pcap
    refuse "in.pcap: record 1 claims ${lengths% *} bytes, file ends after 0" split in.pcap out.pcap
    [ ! -e out.pcap ] || wrong "OUT was made"
done
start "input: pcap of another major version"
for order in little big; do
    for version in 0 1 3 512; do
        { pcap $order 101 $T0 | dd bs=1 count=4; hex "$(${order}16 $version)"; pcap $order 101 $T0 | dd bs=1 skip=6; } >in.pcap 2>dd.log
        refuse "in.pcap: pcap version $version.4, only version 2 is known" check in.pcap
    done
done
start "input: link type"
pcap little 127 $T0 >in.pcap
refuse "in.pcap: link type 127 is not supported" check in.pcap
pcap little 147 00000000000000000000$T0 >in.pcap
refuse "link type 147 (virtio-net headers) needs --vnet" split in.pcap out.pcap
refuse "--vnet needs link type 147" split --vnet raw.pcap out.pcap
start "input: pcapng with damaged blocks"
section=$(block little 168627466 "$(little32 439041101)$(little16 1)$(little16 0)ffffffffffffffff")
interface=$(block little 1 "$(little16 101)0000$(little32 0)")
damaged() { hex "$section$2" >in.pcapng; refuse "in.pcapng: $1" check in.pcapng; }
damaged "the block at byte 28 has an impossible length of 8" "$(little32 6)$(little32 8)$(little32 8)"
damaged "the block at byte 28 has an impossible length of 14" "$(little32 6)$(little32 14)$(little32 14)0000"
damaged "the block at byte 28 (record 0) claims 16777220 bytes, file ends after 12" "$(little32 6)$(little32 16777220)$(little32 12)"
damaged "the block at byte 28 has different lengths at its two ends" "$(little32 6)$(little32 12)$(little32 16)"
zero=$(little32 0)
damaged "the block at byte 28 (record 0) claims 64 bytes, file ends after 28" \
    "$(little32 6)$(little32 64)$zero$zero$zero$(little32 33)$(little32 33)"
damaged "the block at byte 28 (record 0) claims 64 bytes, file ends after 28" \
    "$(little32 6)$(little32 64)$zero$zero$zero$(little32 32)$(little32 31)"
damaged "record 0 is of interface 1, but the section describes 1" \
    "$interface$(block little 6 "$(little32 1)$zero$zero$zero$zero")"
damaged "record 0 claims 5 bytes, its block ends after 4" \
    "$interface$(block little 6 "$zero$zero$zero$(little32 5)$(little32 5)45000000")"
damaged "record 0 is in a block of 8 bytes, 20 are needed" "$interface$(block little 6 "$zero$zero")"
damaged "interface 0 is described by 4 bytes, 8 are needed" "$(block little 1 "$(little32 101)")"
damaged "interface 0 has a time resolution of 10^-20 s" \
    "$(block little 1 "$(little16 1)0000$zero$(little16 9)$(little16 1)14000000")"
damaged "the section header at byte 28 has no byte order mark" "$(block little 168627466 "$(little32 1)$zero")"
start "input: pcapng of another major version"
for order in little big; do
    for version in 0 2; do
        hex "$(block $order 168627466 "$(${order}32 439041101)$(${order}16 $version)$(${order}16 0)ffffffffffffffff")" >in.pcapng
        refuse "in.pcapng: pcapng version $version.0 at byte 0, only version 1 is known" check in.pcapng
    done
done
start "input: pcapng cut in its first section header"
hex "$section" | dd bs=1 count=11 of=in.pcapng 2>dd.log
refuse "in.pcapng: the section header at byte 0 is cut" check in.pcapng
hex "$section" | dd bs=1 count=27 of=in.pcapng 2>dd.log
refuse "in.pcapng: the first section header has 28 bytes, file ends after 27" check in.pcapng
start "input: pcapng cut in a block: read up to there"
for order in little big; do
    pcapng $order 101 $T0 $T1 >whole.pcapng # section 28, interfaces 20 and 40, records of 80 bytes
    for bytes in 171 179 180 196 247; do
        dd if=whole.pcapng bs=1 count=$bytes of=in.pcapng 2>dd.log
        run 1 check in.pcapng
        says stdout "packets=1 bytes=48 emitted=1 superpackets=0 merged=0 ratio=1.00 identical=1/1 result=TRUNCATED"
        if [ $bytes -lt 180 ]; then
            says stderr "in.pcapng: warning: the file ends inside the block at byte 168, in front of record 1"
        else
            says stderr "in.pcapng: warning: the file ends inside record 1, which starts at byte 168"
        fi
    done
done
start "output: cannot be made"; refuse "none/out.pcap: " coalesce raw.pcap none/out.pcap
if [ -w /dev/full ]; then
    start "output: cannot be written"; refuse "/dev/full: " coalesce raw.pcap /dev/full
else
    skip "output: cannot be written" "no /dev/full"
fi

# --- what it writes ---

start "coalesce: last line, exit 0"
run 0 coalesce raw.pcap out.pcap
last "packets=5 bytes=216 emitted=2 superpackets=2 merged=5 ratio=2.50 result=ok"
silent stderr
start "coalesce: the superpackets, with finished checksums and the first packet's time"
TCP_SUPER=450000400001400040064e80c0000201c633640203e80050000003e80000138850180400867d00007365676d656e74307365\
676d656e74317365676d656e7432
UDP_SUPER=4500002c0001400040114e89c0000201c633640203e800350018a6857365676d656e74307365676d656e7431
{ pcap little 101 $TCP_SUPER; hex "$(little32 3)$(little32 5)$(little32 44)$(little32 44)$UDP_SUPER"; } >super.pcap
for mode in --gather --copy; do
    run 0 coalesce $mode raw.pcap out.pcap
    same out.pcap super.pcap
done
start "coalesce: --list"
run 0 coalesce --list raw.pcap out.pcap
line stdout "out=0 len=64 segs=3 gso_type=1 gso_size=8 hdr_len=40 csum_start=20 csum_offset=16 packets=0,1,2"
line stdout "out=1 len=44 segs=2 gso_type=5 gso_size=8 hdr_len=28 csum_start=20 csum_offset=6 packets=3,4"
start "coalesce: --list counts from the Ethernet header; from the IP header with --vnet"
pcap little 1 ${ETHERNET}810000050800$T0 $ARP ${ETHERNET}810000050800$T1 >ethernet.pcap
run 0 coalesce --list ethernet.pcap out.pcap
line stdout "out=0 len=74 segs=2 gso_type=1 gso_size=8 hdr_len=58 csum_start=38 csum_offset=16 packets=0,2"
line stdout "out=1 len=22 segs=1 gso_type=0 gso_size=0 hdr_len=0 csum_start=0 csum_offset=0 packets=1"
says stdout "           1 NOT_IP "
run 0 coalesce --list --vnet ethernet.pcap out.pcap
line stdout "out=0 len=56 segs=2 gso_type=1 gso_size=8 hdr_len=40 csum_start=20 csum_offset=16 packets=0,2"
line stdout "left out, for they cannot cross a TUN: 1"
start "coalesce: --verdicts"
run 0 coalesce --verdicts ethernet.pcap out.pcap
line stdout "in=0 verdict=HELD"
line stdout "in=1 verdict=NOT_IP"
line stdout "in=2 verdict=APPENDED"
start "coalesce: late segment is put back, in both modes; --no-prepend and --strict-kernel leave it"
pcap little 101 $T1 $T0 $T2 >late.pcap
for mode in --gather --copy; do
    run 0 check --list --verdicts $mode late.pcap
    line stdout "out=0 len=64 segs=3 gso_type=1 gso_size=8 hdr_len=40 csum_start=20 csum_offset=16 packets=1,0,2"
    line stdout "in=1 verdict=PREPENDED"
    for option in --no-prepend --strict-kernel; do
        run 0 check --verdicts $mode $option late.pcap
        line stdout "in=1 verdict=SEQ_LATE"
    done
done
start "coalesce: --no-tcp and --no-udp"
run 0 coalesce --no-tcp raw.pcap out.pcap
last "packets=5 bytes=216 emitted=4 superpackets=1 merged=2 ratio=1.25 result=ok"
run 0 coalesce --no-udp raw.pcap out.pcap
last "packets=5 bytes=216 emitted=3 superpackets=1 merged=3 ratio=1.67 result=ok"
start "coalesce: --batch"
for row in "1 5 0" "2 4 1" "3 2 2" "0 2 2"; do
    run 0 check --batch ${row%% *} raw.pcap
    rest=${row#* }
    says stdout "emitted=${rest% *} superpackets=${rest#* } "
done
start "split: undoes coalesce, in three ways; segments have the time of their superpacket"
{
    pcap little 101 $T0
    for packet in $T1 $T2; do hex "$(little32 0)$(little32 5)$(little32 48)$(little32 48)$packet"; done
    for packet in $U0 $U1; do hex "$(little32 3)$(little32 5)$(little32 36)$(little32 36)$packet"; done
} >want.pcap
for option in --gather --copy --in-place; do
    run 0 split $option --mss 8 --list --verdicts super.pcap out.pcap
    last "packets=2 bytes=108 emitted=5 superpackets=2 merged=5 ratio=0.40 result=ok"
    line stdout "in=1 verdict=SPLIT"
    line stdout "out=4 len=36 segs=1 gso_type=0 gso_size=0 hdr_len=0 csum_start=0 csum_offset=0 packets=1"
    same out.pcap want.pcap
done
start "split: a wrong checksum is neither cut nor repaired"
pcap little 101 $BAD $T0 >in.pcap
run 0 split --mss 4 --verdicts in.pcap out.pcap
line stdout "in=0 verdict=E_L4_CSUM"
line stdout "in=1 verdict=SPLIT"
line stdout "not cut: 1: TCP or UDP checksum is wrong"
[ "$(od -An -v -tx1 -N 88 in.pcap)" = "$(od -An -v -tx1 -N 88 out.pcap)" ] || wrong "the packet was changed"
start "split: --no-tcp and --no-udp"
for option in --no-tcp --no-udp; do
    # the superpacket of that kind stays, with its checksum finished; the other one is cut
    if [ $option = --no-tcp ]; then left="-j 40 -N 64" whole=$TCP_SUPER; else left="-j 232 -N 44" whole=$UDP_SUPER; fi
    for vnet in "--mss 8" --vnet; do
        run 0 coalesce ${vnet#--mss 8} raw.pcap in.pcap
        run 0 split $option $vnet --verdicts in.pcap out.pcap
        says stdout "verdict=DISABLED"
        says stdout "verdict=SPLIT"
        line stdout "not cut: 1: switched off by --no-tcp or --no-udp"
        [ "$(od -An -v -tx1 $left out.pcap | tr -d ' \n')" = "$whole" ] || wrong "$option $vnet: the superpacket is another"
    done
done
start "a partial checksum is finished, short or long"
PARTIAL=$(echo $T1 | sed 's/ef72/ec59/') # the sum of the pseudo-header
pcap little 101 $PARTIAL >in.pcap
pcap little 101 $T1 >want.pcap
run 0 split --verdicts in.pcap out.pcap
line stdout "in=0 verdict=COMPLETED partial=L4"
same out.pcap want.pcap
run 0 coalesce in.pcap out.pcap
same out.pcap want.pcap
run 0 coalesce --vnet in.pcap vnet.pcap
run 0 split --vnet --verdicts vnet.pcap out.pcap
line stdout "in=0 verdict=PASSED"
same out.pcap want.pcap
pcap little 147 0100$(host16 0)$(host16 0)$(host16 20)$(host16 16)$PARTIAL >vnet.pcap
run 0 split --vnet --verdicts vnet.pcap out.pcap
line stdout "in=0 verdict=COMPLETED partial=L4"
same out.pcap want.pcap
run 0 split --mss 4 in.pcap out.pcap
run 0 split --mss 4 want.pcap again.pcap
same out.pcap again.pcap
start "a partial checksum is finished without the padding of its frame, which stays"
pcap little 1 ${ETHERNET}0800${PARTIAL}ffff >in.pcap
pcap little 1 ${ETHERNET}0800${T1}ffff >want.pcap
for command in split coalesce; do
    run 0 $command in.pcap out.pcap
    same out.pcap want.pcap
done
start "--vnet: there and back"
run 0 coalesce --vnet raw.pcap vnet.pcap
pcap little 147 00 >want.pcap
[ "$(od -An -tx1 -j 20 -N 4 vnet.pcap)" = "$(od -An -tx1 -j 20 -N 4 want.pcap)" ] || wrong "link type is not 147"
header=0101$(host16 40)$(host16 8)$(host16 20)$(host16 16)
found=$(od -An -tx1 -j 40 -N 10 vnet.pcap | tr -d ' ')
[ "$found" = "$header" ] || wrong "virtio-net header is $found"
for option in --gather --copy --in-place; do
    run 0 split --vnet $option vnet.pcap out.pcap
    last "packets=2 bytes=128 emitted=5 superpackets=2 merged=5 ratio=0.40 result=ok"
    run 0 coalesce --vnet out.pcap again.pcap
    same vnet.pcap again.pcap
done
run 0 check vnet.pcap
line stdout "superpackets already, not looked at: 2"
start "--vnet: a header that contradicts its packet is refused by name, and the run goes on"
pcap little 147 0101$(host16 40)$(host16 0)$(host16 20)$(host16 16)$T0 0103$(host16 28)$(host16 4)$(host16 20)$(host16 6)$U0 \
    0100000000$(host16 5)ff 00000000000000000000$T1 >in.pcap
run 1 split --vnet --verdicts in.pcap out.pcap
line stdout "in=0 refused=E_VNET_GSO_SIZE"
line stdout "in=1 refused=E_VNET_UFO"
line stdout "in=2 refused=E_TRUNCATED"
line stdout "in=3 verdict=PASSED"
line stdout "refused: virtio-net header contradicts packet: 3"
last "packets=4 bytes=170 emitted=1 superpackets=0 merged=0 ratio=4.00 result=FAIL"
start "check: identical, and constant IPv4 IDs"
pcap little 101 $C0 $C1 $C2 >constant.pcap
for mode in --gather --copy --in-place; do
    run 0 check $mode constant.pcap
    line stdout "IPv4 IDs renumbered: 2"
    last "packets=3 bytes=144 emitted=1 superpackets=1 merged=3 ratio=3.00 identical=3/3 result=ok"
    run 0 check $mode --ip-id exact constant.pcap
    line stdout "IPv4 IDs renumbered: 0"
    last "packets=3 bytes=144 emitted=3 superpackets=0 merged=0 ratio=1.00 identical=3/3 result=ok"
done
start "check: any IPv4 IDs with --ip-id any-df"
pcap little 101 $C0 $T1 >in.pcap
run 0 check in.pcap
last "packets=2 bytes=96 emitted=2 superpackets=0 merged=0 ratio=1.00 identical=2/2 result=ok"
run 0 check --ip-id any-df in.pcap
last "packets=2 bytes=96 emitted=1 superpackets=1 merged=2 ratio=2.00 identical=2/2 result=ok"
start "check: any IPv4 IDs, without DF only with --ip-id any"
pcap little 101 $N0 $N1 >in.pcap
for mode in default exact any-df; do
    run 0 check --ip-id $mode in.pcap
    last "packets=2 bytes=96 emitted=2 superpackets=0 merged=0 ratio=1.00 identical=2/2 result=ok"
done
run 0 check --ip-id any in.pcap
line stdout "IPv4 IDs renumbered: 1"
last "packets=2 bytes=96 emitted=1 superpackets=1 merged=2 ratio=2.00 identical=2/2 result=ok"
start "check: a mismatch is seen"
pcap little 101 $T0 $BAD >in.pcap
run 0 check in.pcap
for mode in --gather --copy --in-place; do
    run 1 check --trust $mode in.pcap
    says stderr "in.pcap: record 1 came back different"
    line stdout "mismatches: 1"
    last "packets=2 bytes=96 emitted=1 superpackets=1 merged=2 ratio=2.00 identical=1/2 result=FAIL"
done
start "cut records and others that are not for the library pass unchanged"
{ pcap little 1 $ARP ${ETHERNET}0800$T0; hex "$(little32 9)$(little32 0)$(little32 20)$(little32 62)${ETHERNET}0800$(
    echo $T1 | cut -c 1-12)"; } >in.pcap
for arguments in "coalesce --gather" "coalesce --copy" "split --gather" "split --in-place"; do
    run 0 $arguments in.pcap out.pcap
    same in.pcap out.pcap
    line stdout "cut by the snap length: 1"
    case $arguments in split*) line stdout "not IP: 1" ;; *) says stdout "           1 NOT_IP " ;; esac
done
start "a file without records"
pcap little 1 >in.pcap
for command in coalesce split; do
    run 0 $command in.pcap out.pcap
    last "packets=0 bytes=0 emitted=0 superpackets=0 merged=0 ratio=0.00 result=ok"
    same in.pcap out.pcap
done

# --- formats ---

start "formats: pcap of both byte orders, pcapng of both byte orders"
run 0 coalesce raw.pcap want.pcap
pcap big 101 $T0 $T1 $T2 $U0 $U1 >in.pcap
run 0 coalesce in.pcap out.pcap
same out.pcap want.pcap
for order in little big; do
    pcapng $order 101 $T0 $T1 $T2 $U0 $U1 >in.pcapng
    run 0 coalesce --verdicts in.pcapng out.pcap
    last "packets=5 bytes=216 emitted=2 superpackets=2 merged=5 ratio=2.50 result=ok"
    cp out.pcap $order.pcap
    # times are in nanoseconds now, packets the same
    [ "$(od -An -tx1 -N 4 out.pcap | tr -d ' ')" = 4d3cb2a1 ] || wrong "OUT has no nanoseconds"
    [ "$(od -An -tx1 -j 24 -N 8 out.pcap | tr -d ' ')" = 0000000088130000 ] || wrong "time: $(od -An -tx1 -j 24 -N 8 out.pcap)"
    [ "$(od -An -tx1 -j 104 -N 8 out.pcap | tr -d ' ')" = 0300000088130000 ] || wrong "time: $(od -An -tx1 -j 104 -N 8 out.pcap)"
    [ "$(od -An -v -tx1 -j 32 -N 72 out.pcap)" = "$(od -An -v -tx1 -j 32 -N 72 want.pcap)" ] || wrong "packet 0 differs"
done
same little.pcap big.pcap
run 0 coalesce little.pcap out.pcap # and nanoseconds back in
same little.pcap out.pcap
start "formats: link types merge alike, and keep their link-layer headers"
cooked1=00000001000602000000000100000800
cooked2=0800000000000007000100060200000000010000
for row in "0 02000000" "108 00000002" "113 $cooked1" "276 $cooked2" "1 ${ETHERNET}0800" "12" "228"; do
    number=${row%% *} header=${row#"$number"}
    header=${header# }
    pcap little $number $header$T0 $header$T1 $header$T2 >in.pcap
    for mode in --gather --copy; do
        run 0 check $mode in.pcap
        says stdout "emitted=1 superpackets=1 merged=3 ratio=3.00 identical=3/3 result=ok"
        run 0 coalesce $mode --list in.pcap out.pcap
        at=$((${#header} / 2))
        line stdout "out=0 len=$((at + 64)) segs=3 gso_type=1 gso_size=8 hdr_len=$((at + 40)) csum_start=$((at + 20)) \
csum_offset=16 packets=0,1,2"
        [ "$(od -An -v -tx1 -j 40 -N $at out.pcap)" = "$(od -An -v -tx1 -j 40 -N $at in.pcap)" ] || wrong "$number: other header"
    done
done
start "formats: different link-layer headers do not merge"
for other in "113 $cooked1 00040001000602000000000100000800" "113 $cooked1 00000001000602000000000200000800" \
    "113 $cooked1 00000001000602000000000100010800" "276 $cooked2 0800000000000008000100060200000000010000" \
    "276 $cooked2 0800000000000007000104060200000000010000" "276 $cooked2 0800000000000007000100060200000000010001" \
    "1 ${ETHERNET}0800 0200000000030200000000010800"; do
    set -- $other
    pcap little $1 $2$T0 $3$T1 $2$T2 >in.pcap
    run 0 check in.pcap
    says stdout "superpackets=0"
done

# --- captures ---

for file in "$captures"/*.pcap; do
    [ -e "$file" ] || { end_case; skip "captures" "none there"; break; }
    base=$(basename "$file" .pcap)
    start "check: $base"
    for batch in 1 7 128 0; do
        for mode in --gather --copy --in-place; do
            run 0 check --batch $batch $mode "$file"
            tail -n 1 stdout | awk '{
                split($1, packets, "="); split($(NF - 1), identical, /[=\/]/)
                exit !($NF == "result=ok" && packets[2] > 0 && identical[2] == packets[2] && identical[3] == packets[2])
            }' || wrong "$batch $mode: $(tail -n 1 stdout)"
        done
    done
    start "modes agree: $base"
    for vnet in "" --vnet; do
        for mode in --gather --copy; do run 0 coalesce $vnet $mode "$file" coalesced$mode.pcap; done
        same coalesced--gather.pcap coalesced--copy.pcap
    done
    for mode in --gather --copy --in-place; do run 0 split --vnet $mode coalesced--copy.pcap split$mode.pcap; done
    same split--gather.pcap split--copy.pcap
    same split--gather.pcap split--in-place.pcap
    "$program" split "$file" split--gather.pcap >stdout 2>stderr || continue # virtio-net headers
    for mode in --copy --in-place; do run 0 split $mode "$file" split$mode.pcap; done
    same split--gather.pcap split--copy.pcap
    same split--gather.pcap split--in-place.pcap
done

end_case
finish
