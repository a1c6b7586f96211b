/* Checksums: the RFC's examples, the byte-wise reference, and what makes a packet's checksums right or wrong. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "reference.h"

enum { BUF = 2048 };

TEST(rfc1071_example)
{
    static const uint8_t bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint8_t copy[8];

    CHECK_EQ_INT(tuo_csum(bytes, 8, 0), 0xddf2);
    CHECK_EQ_INT(tuo_csum_copy(bytes, 8, 0, copy), 0xddf2);
    CHECK_EQ_INT(tuo_csum(bytes, 7, 0), 0xdcfb);
    CHECK_EQ_INT(tuo_csum(bytes, 1, 0x1234), 0x1234);
    CHECK_EQ_INT(tuo_csum(bytes + 2, 1, 0), 0xf200);
    CHECK_EQ_INT(tuo_csum(NULL, 0, 0), 0);
    CHECK_EQ_INT(tuo_csum(NULL, 0, 0xffff), 0xffff);
    CHECK_EQ_INT(tuo_csum_copy(NULL, 0, 7, NULL), 7);
}

/* 0x0000 and 0xffff mean the same in one's complement, but only the sum of nothing but zeros is 0. */
TEST(zero_only_from_zeros)
{
    static const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff}, pair[4] = {0x12, 0x34, 0xed, 0xcb};
    static uint8_t zeros[300];
    size_t len;

    CHECK_EQ_INT(tuo_csum(ones, 2, 0), 0xffff);
    CHECK_EQ_INT(tuo_csum(ones, 4, 0), 0xffff);
    CHECK_EQ_INT(tuo_csum(ones, 4, 0xffff), 0xffff);
    CHECK_EQ_INT(tuo_csum(pair, 4, 0), 0xffff);
    for (len = 0; len <= sizeof zeros; len++) {
        CHECK_EQ_INT(tuo_csum(zeros, len, 0), 0);
        CHECK_EQ_INT(tuo_csum(zeros, len, 0xffff), 0xffff);
    }
}

/* Source and destination end at a forbidden page, at every alignment of 16; the bytes around the destination must stay. */
static void every_alignment(guard_page *from, guard_page *to, const uint8_t *data, size_t len, uint16_t initial)
{
    uint16_t expected = ref_csum(data, len, initial);
    size_t shift;

    for (shift = 0; shift < 16; shift++) {
        uint8_t *src = from->end - shift - len, *dst = to->end - (shift * 7) % 16 - len;
        memmove(src, data, len);
        CHECK_EQ_INT(tuo_csum(src, len, initial), expected);
        memset(dst - 8, 0x5a, len + 8);
        memset(dst + len, 0xa5, (size_t)(to->end - dst) - len);
        CHECK_EQ_INT(tuo_csum_copy(src, len, initial, dst), expected);
        CHECK_BYTES(dst, data, len);
        CHECK_EQ_INT(dst[-1], 0x5a);
        CHECK(dst + len == to->end || dst[len] == 0xa5);
    }
}

TEST(every_length_and_alignment)
{
    static const uint16_t initials[] = {0, 1, 0x8000, 0xfffe, 0xffff};
    guard_page from = guard_page_new(BUF), to = guard_page_new(BUF);
    rng r = rng_start("every_length_and_alignment", 1);
    uint8_t data[300];
    size_t len, i;
    int pattern;

    for (pattern = 0; pattern < 3; pattern++) {
        check_row(pattern == 0 ? "random bytes" : pattern == 1 ? "all 0xff" : "one 0xff at the end");
        for (len = 0; len <= sizeof data; len++) {
            for (i = 0; i < len; i++)
                data[i] = pattern == 0 ? (uint8_t)rng_u64(&r) : pattern == 1 || i + 1 == len ? 0xff : 0;
            every_alignment(&from, &to, data, len, initials[len % CHECK_COUNT_OF(initials)]);
        }
    }
    guard_page_free(&from);
    guard_page_free(&to);
}

/* Carries: a 16-, 32- or 64-bit accumulator that is not folded in time overflows here. */
TEST(large_buffers)
{
    static const size_t lens[] = {65535, 65536, 65537, 1048576, 1048577};
    uint8_t *bytes = (uint8_t *)ref_alloc(1048577, 1), *copy = (uint8_t *)ref_alloc(1048577, 1);
    rng r = rng_start("large_buffers", 2);
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(lens); i++) {
        check_row("%lu bytes of 0xff", (unsigned long)lens[i]);
        memset(bytes, 0xff, lens[i]);
        CHECK_EQ_INT(tuo_csum(bytes, lens[i], 0), lens[i] % 2 ? 0xff00 : 0xffff);
        CHECK_EQ_INT(tuo_csum(bytes, lens[i], 0xffff), lens[i] % 2 ? 0xff00 : 0xffff);
        CHECK_EQ_INT(tuo_csum_copy(bytes, lens[i], 0xffff, copy), lens[i] % 2 ? 0xff00 : 0xffff);
        check_row("%lu random bytes", (unsigned long)lens[i]);
        rng_bytes(&r, bytes, lens[i]);
        CHECK_EQ_INT(tuo_csum(bytes, lens[i], 0x7777), ref_csum(bytes, lens[i], 0x7777));
        CHECK_EQ_INT(tuo_csum_copy(bytes, lens[i], 0x7777, copy), ref_csum(bytes, lens[i], 0x7777));
        CHECK_BYTES(copy, bytes, lens[i]);
    }
    free(bytes);
    free(copy);
}

TEST(chaining)
{
    rng r = rng_start("chaining", 3);
    uint8_t bytes[257];
    size_t cut;

    rng_bytes(&r, bytes, sizeof bytes);
    for (cut = 0; cut <= sizeof bytes; cut += 2) {
        uint16_t first = tuo_csum(bytes, cut, 0x1234);
        CHECK_EQ_INT(tuo_csum(bytes + cut, sizeof bytes - cut, first), ref_csum(bytes, sizeof bytes, 0x1234));
    }
}

TEST(pseudo_header)
{
    static const uint8_t src4[4] = {192, 0, 2, 1}, dst4[4] = {198, 51, 100, 200};
    static const size_t addr_lens[] = {0, 2, 4, 16};
    static const uint32_t l4_lens[] = {0, 8, 20, 65535, 65536, 0x12345678, 0xffffffff};
    rng r = rng_start("pseudo_header", 4);
    uint8_t src[16], dst[16];
    size_t i, k;

    check_row("by hand: 192.0.2.1 to 198.51.100.200, UDP, 30 bytes");
    CHECK_EQ_INT(tuo_csum_pseudo(src4, dst4, 4, 17, 30), 0xed2c);
    check_row("by hand: ::1 to ::1, TCP, 20 bytes");
    memset(src, 0, sizeof src);
    src[15] = 1;
    CHECK_EQ_INT(tuo_csum_pseudo(src, src, 16, 6, 20), 1 + 1 + 6 + 20);
    check_row("reference");
    for (i = 0; i < CHECK_COUNT_OF(addr_lens); i++)
        for (k = 0; k < CHECK_COUNT_OF(l4_lens); k++) {
            uint8_t proto = (uint8_t)rng_u64(&r);
            rng_bytes(&r, src, sizeof src);
            rng_bytes(&r, dst, sizeof dst);
            CHECK_EQ_INT(tuo_csum_pseudo(src, dst, addr_lens[i], proto, l4_lens[k]),
                         pkt_pseudo_sum(src, dst, addr_lens[i], proto, l4_lens[k]));
        }
}

static uint16_t checksum_of(const uint8_t *bytes, size_t len)
{
    return (uint16_t)(~ref_csum(bytes, len, 0) & 0xffff);
}

/* other + old is the data before, other + new after. other is never all zero: there RFC 1624 itself cannot tell 0 from 0xffff. */
static void update16_row(unsigned other, unsigned old_word, unsigned new_word)
{
    uint8_t before[4], after[4];

    pkt_put16(before, other);
    pkt_put16(before + 2, old_word);
    pkt_put16(after, other);
    pkt_put16(after + 2, new_word);
    CHECK_EQ_INT(tuo_csum_update16(checksum_of(before, 4), (uint16_t)old_word, (uint16_t)new_word), checksum_of(after, 4));
}

TEST(update16)
{
    static const unsigned edges[] = {0, 1, 2, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff};
    rng r = rng_start("update16", 5);
    unsigned i, k, m;

    check_row("RFC 1624 section 4");
    CHECK_EQ_INT(tuo_csum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    check_row("edges");
    for (i = 1; i < CHECK_COUNT_OF(edges); i++)
        for (k = 0; k < CHECK_COUNT_OF(edges); k++)
            for (m = 0; m < CHECK_COUNT_OF(edges); m++)
                update16_row(edges[i], edges[k], edges[m]);
    check_row("every new word");
    for (i = 0; i <= 0xffff; i++)
        update16_row(1 + rng_below(&r, 0xffff), rng_below(&r, 0x10000), i);
    check_row("every old word");
    for (i = 0; i <= 0xffff; i++)
        update16_row(1 + rng_below(&r, 0xffff), i, rng_below(&r, 0x10000));
    check_row("equal words leave every field as it is");
    for (i = 0; i <= 0xffff; i++)
        CHECK_EQ_INT(tuo_csum_update16((uint16_t)i, (uint16_t)(i * 7), (uint16_t)(i * 7)), i);
}

static void update32_row(unsigned other, uint32_t old_word, uint32_t new_word)
{
    uint8_t before[6], after[6];

    pkt_put16(before, other);
    pkt_put32(before + 2, old_word);
    pkt_put16(after, other);
    pkt_put32(after + 2, new_word);
    CHECK_EQ_INT(tuo_csum_update32(checksum_of(before, 6), old_word, new_word), checksum_of(after, 6));
}

TEST(update32)
{
    static const uint32_t edges[] = {0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffff0000, 0xfffffffe, 0xffffffff};
    rng r = rng_start("update32", 6);
    unsigned i, k;

    check_row("edges");
    for (i = 0; i < CHECK_COUNT_OF(edges); i++)
        for (k = 0; k < CHECK_COUNT_OF(edges); k++) {
            update32_row(1, edges[i], edges[k]);
            update32_row(0xffff, edges[i], edges[k]);
            update32_row(0x1234, edges[i], edges[k]);
        }
    check_row("equal words leave the field as it is");
    for (i = 0; i < CHECK_COUNT_OF(edges); i++) {
        CHECK_EQ_INT(tuo_csum_update32(0xffff, edges[i], edges[i]), 0xffff);
        CHECK_EQ_INT(tuo_csum_update32(0x0000, edges[i], edges[i]), 0x0000);
    }
    check_row("one half is equal");
    CHECK_EQ_INT(tuo_csum_update32(0xffff, 0x00010002, 0x00010003), tuo_csum_update16(0xffff, 2, 3));
    CHECK_EQ_INT(tuo_csum_update32(0xffff, 0x00020001, 0x00030001), tuo_csum_update16(0xffff, 2, 3));
    check_row("random");
    for (i = 0; i < 100000; i++)
        update32_row(1 + rng_below(&r, 0xffff), (uint32_t)rng_u64(&r), (uint32_t)rng_u64(&r));
}

/* ------------------------------------------------------------------------------------------------- whole packets */

typedef struct valid_row {
    const char *name;
    pkt_spec spec;
    tuo_result expected;
} valid_row;

static const valid_row valid_rows[] = {
    {"TCP4", {.kind = PKT_TCP4}, TUO_OK},
    {"UDP4", {.kind = PKT_UDP4}, TUO_OK},
    {"TCP6", {.kind = PKT_TCP6}, TUO_OK},
    {"UDP6", {.kind = PKT_UDP6}, TUO_OK},
    {"odd payload", {.kind = PKT_TCP6, .payload_len = 33}, TUO_OK},
    {"no payload", {.kind = PKT_UDP4, .payload_len = PKT_ZERO}, TUO_OK},
    {"65535 bytes", {.kind = PKT_TCP4, .payload_len = 65495}, TUO_OK},
    {"Ethernet", {.kind = PKT_TCP4, .ethernet = 1}, TUO_OK},
    {"VLAN", {.kind = PKT_UDP6, .vlan_count = 2}, TUO_OK},
    {"IPv4 options", {.kind = PKT_TCP4, .ip_options = (const uint8_t *)"\x94\x04\x00\x00", .ip_options_len = 4}, TUO_OK},
    {"TCP options", {.kind = PKT_TCP4, .tcp_options = (const uint8_t *)"\x01\x01\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08",
                     .tcp_options_len = 12}, TUO_OK},
    {"IPv6 extension headers", {.kind = PKT_TCP6, .ext_chain = "HDRD", .ext_fill = 0x77}, TUO_OK},
    {"bytes behind the packet are not summed", {.kind = PKT_TCP4, .trailer_len = 7}, TUO_OK},
    {"UDP length below the IP payload: the rest is not summed", {.kind = PKT_UDP4, .udp_len = 50}, TUO_OK},
    {"UDP without checksum over IPv4", {.kind = PKT_UDP4, .l4_csum_zero = 1}, TUO_OK},
    {"UDP without checksum over IPv6", {.kind = PKT_UDP6, .l4_csum_zero = 1}, TUO_E_L4_CSUM},
    {"TCP checksum 0 is no exemption", {.kind = PKT_TCP4, .l4_csum_zero = 1}, TUO_E_L4_CSUM},
    {"pseudo-header sum is not a checksum", {.kind = PKT_TCP4, .l4_csum_pseudo = 1}, TUO_E_L4_CSUM},
    {"wrong TCP4", {.kind = PKT_TCP4, .l4_csum_xor = 1}, TUO_E_L4_CSUM},
    {"wrong UDP4", {.kind = PKT_UDP4, .l4_csum_xor = 0x8000}, TUO_E_L4_CSUM},
    {"wrong TCP6", {.kind = PKT_TCP6, .l4_csum_xor = 0x0100}, TUO_E_L4_CSUM},
    {"wrong UDP6", {.kind = PKT_UDP6, .l4_csum_xor = 0x0080}, TUO_E_L4_CSUM},
    {"wrong behind extension headers", {.kind = PKT_UDP6, .ext_chain = "HRD", .l4_csum_xor = 1}, TUO_E_L4_CSUM},
    {"wrong IPv4 header", {.kind = PKT_TCP4, .ip_csum_xor = 1}, TUO_E_IP_CSUM},
    {"wrong IPv4 header with options", {.kind = PKT_UDP4, .ip_csum_xor = 0x4000, .ip_options = (const uint8_t *)"\1\1\1\0",
                                        .ip_options_len = 4}, TUO_E_IP_CSUM},
    {"both wrong: IPv4 header first", {.kind = PKT_TCP4, .ip_csum_xor = 2, .l4_csum_xor = 2}, TUO_E_IP_CSUM},
    {"first fragment: cannot be judged", {.kind = PKT_TCP4, .frag = 0x2000, .l4_csum_xor = 1}, TUO_OK},
    {"last fragment", {.kind = PKT_UDP4, .frag = 5, .l4_csum_xor = 1}, TUO_OK},
    {"fragment with a wrong IPv4 header", {.kind = PKT_UDP4, .frag = 5, .ip_csum_xor = 1}, TUO_E_IP_CSUM},
    {"IPv6 first fragment", {.kind = PKT_UDP6, .ext_chain = "f", .l4_csum_xor = 1}, TUO_OK},
    {"routing header, no segments left", {.kind = PKT_UDP6, .ext_chain = "R", .l4_csum_xor = 1}, TUO_E_L4_CSUM},
    {"routing header with segments left", {.kind = PKT_UDP6, .ext_chain = "r", .l4_csum_xor = 1}, TUO_OK},
    {"another protocol", {.kind = PKT_UDP4, .proto = 47, .l4_csum_xor = 1}, TUO_OK},
    {"another protocol, wrong IPv4 header", {.kind = PKT_UDP4, .proto = 47, .ip_csum_xor = 1}, TUO_E_IP_CSUM},
    {"malformed: UDP length", {.kind = PKT_UDP4, .udp_len = 7}, TUO_E_UDP_LENGTH},
};

TEST(valid_table)
{
    static uint8_t p[66000];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(valid_rows); i++) {
        const pkt_spec *s = &valid_rows[i].spec;
        size_t len = pkt_build(p, sizeof p, s);
        check_row("%s", valid_rows[i].name);
        CHECK_RESULT(tuo_csum_check(p, len, pkt_is_ethernet(s) ? TUO_F_ETHERNET : 0), valid_rows[i].expected);
    }
    check_row("nothing");
    CHECK_RESULT(tuo_csum_check(NULL, 0, 0), TUO_E_TRUNCATED);
}

/* The two spellings of zero verify alike; for UDP only one of them may be on the wire. */
TEST(valid_alias_of_zero)
{
    uint8_t p[BUF], payload[100];
    size_t len;
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind};
        size_t at;
        check_row("kind %d", kind);
        memset(payload, 0x11, sizeof payload);
        s.payload = payload;
        at = pkt_l4_off(&s) + (pkt_is_udp(&s) ? 6 : 16);
        s.l4_csum_zero = 1;
        len = pkt_build(p, sizeof p, &s);
        /* What the sum lacks to 0xffff goes into the payload, so that the checksum itself comes out as 0. */
        {
            pkt_view v = pkt_look(p, len, 0, 0);
            pkt_put16(payload, 0x1111 + (0xffff - pkt_l4_sum(p, &v)));
            if (0x1111 + (0xffff - pkt_l4_sum(p, &v)) > 0xffff)
                pkt_put16(payload, (0x1111 + (0xffff - pkt_l4_sum(p, &v))) - 0xffff);
        }
        len = pkt_build(p, sizeof p, &s);
        pkt_put16(p + at, 0xffff);
        CHECK_RESULT(tuo_csum_check(p, len, 0), TUO_OK);
        pkt_put16(p + at, 0);
        CHECK_RESULT(tuo_csum_check(p, len, 0), kind == PKT_UDP6 ? TUO_E_L4_CSUM : TUO_OK);
        p[len - 1] ^= 1;
        CHECK_RESULT(tuo_csum_check(p, len, 0), kind == PKT_UDP4 ? TUO_OK : TUO_E_L4_CSUM);
        pkt_put16(p + at, 0xffff);
        CHECK_RESULT(tuo_csum_check(p, len, 0), TUO_E_L4_CSUM);
    }
}

/* Is this byte covered by a checksum or a length check? Of the IPv6 header only the addresses are; and a bit of the IPv4 version
   makes it version 6, where other rules hold. */
static int byte_is_covered(const pkt_spec *s, size_t byte)
{
    return pkt_is_v6(s) ? byte >= 8 : byte >= 1;
}

TEST(valid_every_flipped_bit)
{
    uint8_t p[BUF];
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind};
        size_t len, bit;
        s.payload_len = 21;
        len = pkt_build(p, sizeof p, &s);
        check_row("kind %d: covered bits", kind);
        for (bit = 0; bit < len * 8; bit++) {
            tuo_result got;
            size_t byte = bit / 8;
            if (!byte_is_covered(&s, byte))
                continue;
            p[byte] = (uint8_t)(p[byte] ^ 1 << bit % 8);
            got = tuo_csum_check(p, len, 0);
            CHECK(got < 0);
            if (byte >= pkt_payload_off(&s) || (pkt_is_v6(&s) && byte < 40))
                CHECK_RESULT(got, TUO_E_L4_CSUM);
            if (!pkt_is_v6(&s) && byte >= 4 && byte < 20)
                CHECK_RESULT(got, TUO_E_IP_CSUM);
            p[byte] = (uint8_t)(p[byte] ^ 1 << bit % 8);
        }
        check_row("kind %d: hop limit, traffic class and flow label are free in IPv6", kind);
        p[pkt_is_v6(&s) ? 7 : 8] ^= 1;
        CHECK_RESULT(tuo_csum_check(p, len, 0), pkt_is_v6(&s) ? TUO_OK : TUO_E_IP_CSUM);
    }
}

/* -------------------------------------------------------------------------------------------------- completion */

TEST(complete_opaque)
{
    rng r = rng_start("complete_opaque", 7);
    uint8_t p[BUF], copy[BUF];
    unsigned round;

    for (round = 0; round < 3000; round++) {
        size_t len = 2 + rng_below(&r, 200), start = rng_below(&r, (uint32_t)len - 1);
        size_t offset = rng_below(&r, (uint32_t)(len - start - 1));
        unsigned expected;
        rng_bytes(&r, p, len);
        memcpy(copy, p, len);
        expected = ~pkt_sum(p + start, len - start, 0) & 0xffff;
        pkt_put16(copy + start + offset, expected ? expected : 0xffff);
        CHECK_RESULT(tuo_csum_complete(p, len, start, offset), TUO_OK);
        CHECK_BYTES(p, copy, len);
    }
}

TEST(complete_makes_valid)
{
    uint8_t p[BUF];
    size_t i;

    for (i = 0; i < 16; i++) {
        pkt_spec s = {.kind = (pkt_kind)(i % 4)};
        size_t len;
        check_row("kind %d%s", (int)i % 4, i & 4 ? (i & 8 ? " at an odd offset" : " odd length") : "");
        s.l4_csum_pseudo = 1;
        s.payload_len = i & 4 ? 101 : 100;
        len = pkt_build(p + (i >> 3), sizeof p - 1, &s);
        CHECK_RESULT(tuo_csum_check(p + (i >> 3), len, 0), TUO_E_L4_CSUM);
        CHECK_RESULT(tuo_csum_complete(p + (i >> 3), len, pkt_l4_off(&s), pkt_is_udp(&s) ? 6 : 16), TUO_OK);
        CHECK_RESULT(tuo_csum_check(p + (i >> 3), len, 0), TUO_OK);
        CHECK(ref_l4_valid(p + (i >> 3), len, 0));
    }
}

/* K 3.5: for TCP too. */
TEST(complete_0_becomes_ffff)
{
    uint8_t p[7] = {9, 0x12, 0x34, 0xed, 0xcb, 0x00, 0x00};

    CHECK_RESULT(tuo_csum_complete(p, 7, 1, 4), TUO_OK);
    CHECK_BYTES(p, "\x09\x12\x34\xed\xcb\xff\xff", 7);
}

TEST(complete_range)
{
    static const struct {
        size_t len, start, offset;
        tuo_result expected;
    } rows[] = {
        {10, 8, 0, TUO_OK},
        {10, 0, 8, TUO_OK},
        {10, 4, 4, TUO_OK},
        {10, 9, 0, TUO_E_CSUM_RANGE},
        {10, 0, 9, TUO_E_CSUM_RANGE},
        {10, 4, 5, TUO_E_CSUM_RANGE},
        {10, 10, 0, TUO_E_CSUM_RANGE},
        {10, 65535, 65535, TUO_E_CSUM_RANGE},
        {10, SIZE_MAX, 0, TUO_E_CSUM_RANGE},
        {10, 0, SIZE_MAX, TUO_E_CSUM_RANGE},
        {10, SIZE_MAX, 2, TUO_E_CSUM_RANGE},
        {10, SIZE_MAX - 3, 4, TUO_E_CSUM_RANGE},
        {1, 0, 0, TUO_E_CSUM_RANGE},
        {0, 0, 0, TUO_E_CSUM_RANGE},
    };
    guard_page g = guard_page_new(64);
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        uint8_t *p = guard_page_at_end(&g, "\1\2\3\4\5\6\7\10\11\12", rows[i].len);
        check_row("%lu bytes, csum_start %lu, csum_offset %lu", (unsigned long)rows[i].len, (unsigned long)rows[i].start,
                  (unsigned long)rows[i].offset);
        CHECK_RESULT(tuo_csum_complete(p, rows[i].len, rows[i].start, rows[i].offset), rows[i].expected);
        if (rows[i].expected < 0)
            CHECK_BYTES(p, "\1\2\3\4\5\6\7\10\11\12", rows[i].len);
    }
    guard_page_free(&g);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(rfc1071_example),       CHECK_ENTRY(zero_only_from_zeros),    CHECK_ENTRY(every_length_and_alignment),
        CHECK_ENTRY(large_buffers),         CHECK_ENTRY(chaining),                CHECK_ENTRY(pseudo_header),
        CHECK_ENTRY(update16),              CHECK_ENTRY(update32),                CHECK_ENTRY(valid_table),
        CHECK_ENTRY(valid_alias_of_zero),   CHECK_ENTRY(valid_every_flipped_bit), CHECK_ENTRY(complete_opaque),
        CHECK_ENTRY(complete_makes_valid),  CHECK_ENTRY(complete_0_becomes_ffff), CHECK_ENTRY(complete_range),
    };
    return CHECK_RUN(argc, argv, tests);
}
