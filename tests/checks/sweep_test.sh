#!/bin/sh
# The exhaustive sweep (tests/core/test_sweep.c) under the address sanitizer, and proof that it sees what it is there for: defects planted in
# copies of the header, one at a time, must each be found. Usage: tests/checks/sweep_test.sh BUILD_DIR (from the repository's root).
# CC: the compiler, default cc. Debian packages: gcc libc6-dev (or clang and its libclang-rt-N-dev).
set -u
build=$1/sweep
cc=${CC:-cc}
flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -std=c99 -Itests/lib"
rm -rf "$build"
mkdir -p "$build"

. tests/lib/counts.sh

# planted NAME OLD NEW: with OLD replaced by NEW, once, the sweep must fail. Every seventh length is enough. Two at a time.
count=0
planted() {
    count=$((count + 1))
    mkdir -p "$build/$count"
    one_planted "$build/$count" "$@" > "$build/$count/outcome" 2>&1 &
    if [ $((count % 2)) -eq 0 ]; then wait; fi
}

one_planted() {
    dir=$1
    if ! OLD=$3 NEW=$4 awk '
        { text = text $0 "\n" }
        END {
            old = ENVIRON["OLD"]; at = index(text, old)
            if (at == 0 || index(substr(text, at + 1), old)) exit 1
            printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["NEW"], substr(text, at + length(old))
        }' tunoffload.h > "$dir/tunoffload.h"; then
        echo "FAIL $2: the place to plant it is not there, or not just once: $3"
    elif ! $cc -O0 -g1 -fsanitize=address -std=c99 -I"$dir" -Itests/lib -o "$dir/sweep" tests/core/test_sweep.c > "$dir/log" 2>&1; then
        head -n 5 "$dir/log"; echo "FAIL $2: does not compile"
    elif SWEEP_STEP=7 SWEEP_FIRST=1 "$dir/sweep" > "$dir/log" 2>&1; then
        echo "FAIL $2: not found"
    else
        echo "ok $2: $(grep -E 'SUMMARY|test_sweep.c:[0-9]+: ' "$dir/log" | head -n 1 | sed 's/^SUMMARY: //' | cut -c 1-150)"
    fi
}

outcomes() {
    wait
    i=0
    while [ $i -lt $count ]; do
        i=$((i + 1))
        cat "$build/$i/outcome"
        if grep -q '^ok ' "$build/$i/outcome"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
}

echo 'int main(void) { return 0; }' > "$build/probe.c"
if ! $cc $flags -o "$build/probe" "$build/probe.c" > "$build/probe.log" 2>&1 || ! "$build/probe"; then
    skip "sweep" "$cc has no -fsanitize=address,undefined here"
    finish
fi

if $cc -I. $flags -o "$build/sweep" tests/core/test_sweep.c > "$build/log" 2>&1 && "$build/sweep" > "$build/log" 2>&1; then
    ok "the header: $(tail -n 1 "$build/log")"
else
    tail -n 40 "$build/log"; fail "the header"
fi

# What over-reads or overruns
planted "tag beyond the frame" '        if (len - off < TUOI_VLAN_LEN) return TUO_E_TRUNCATED;
' ''
planted "IPv4 header one byte short" 'if (len < TUOI_IP4_LEN) return TUO_E_TRUNCATED;' 'if (len < TUOI_IP4_LEN - 1) return TUO_E_TRUNCATED;'
planted "IPv6 header cut" '    if (len < TUOI_IP6_LEN) return TUO_E_TRUNCATED;
' '    if (len < TUOI_IP6_LEN - 1) return TUO_E_TRUNCATED;
'
planted "extension header cut" 'count == TUO_IP6_EXT_MAX || info->total_len - off < 8' 'count == TUO_IP6_EXT_MAX || info->total_len - off < 1'
planted "TCP header cut" '    if (len < TUOI_TCP_LEN) return TUO_E_TCP_HEADER;
' '    if (len < TUOI_UDP_LEN) return TUO_E_TCP_HEADER;
'
planted "shortcut past the TCP header" 'if (len < ip_off + fixed_len + TUOI_TCP_LEN ||' 'if (len < ip_off + fixed_len + TUOI_UDP_LEN ||'
planted "fast path past the ports" 'pkt->len < ip_off + TUOI_IP4_LEN + 4) return 0;' 'pkt->len < ip_off + TUOI_IP4_LEN) return 0;'
planted "checksum field half outside" '(size_t)vnet->csum_start + vnet->csum_offset + 2 > len' '(size_t)vnet->csum_start + vnet->csum_offset + 1 > len'
planted "headers longer than their copy" '    if (info->payload_off > TUO_HEADER_MAX) return TUO_E_HEADER_TOO_LONG;
    return info->payload_off - around' '    return info->payload_off - around'
planted "headroom not counted" 'if (capacity < offset || capacity - offset < len) result' 'if (capacity < offset || capacity < len) result'
# Checks that are missing or wrong
planted "TCP options beyond the packet" 'info->l4_hdr_len < TUOI_TCP_LEN || info->l4_hdr_len > len) return TUO_E_TCP_HEADER' \
    'info->l4_hdr_len < TUOI_TCP_LEN) return TUO_E_TCP_HEADER'
planted "UDP length beyond the packet" 'udp_len < TUOI_UDP_LEN || udp_len > len' 'udp_len < TUOI_UDP_LEN'
planted "IPv6 length beyond the bytes" '    if (info->total_len > len) return TUO_E_IP_LENGTH;
    info->tos' '    info->tos'
planted "a fifth tag" 'if (info->vlan_count == TUO_VLAN_MAX)' 'if (info->vlan_count > TUO_VLAN_MAX)'
planted "a superpacket longer than its bytes" 'info->payload_len = info->ip_off + info->total_len - info->payload_off;' \
    'info->payload_len = info->ip_off + info->total_len - info->payload_off + 1;'
planted "a superpacket of 65536 bytes" 'if (len - info.ip_off > 0xFFFFu) return TUO_E_IP_LENGTH;' \
    'if (len - info.ip_off > 0x10000u) return TUO_E_IP_LENGTH;'
planted "trailing bytes merge" '    if (info->trailer_len) return TUO_V_TRAILING_BYTES;' '    if (0) return TUO_V_TRAILING_BYTES;'

outcomes
finish
