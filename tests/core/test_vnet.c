/* The virtio-net header: wire layouts against literal bytes, and one row per contradiction between a header and its packet. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"

enum { BUF = 70000 };

static int is_little_endian(void)
{
    const uint16_t one = 1;

    return *(const uint8_t *)&one == 1;
}

/* ------------------------------------------------------------------------------------------------- wire layouts */

static const size_t layouts[4] = {TUO_VNET_LEN, TUO_VNET_LEN_V1, TUO_VNET_LEN_HASH, TUO_VNET_LEN_TUNNEL};

static const tuo_vnet_hdr wire_hdr = {
    .flags = 0xa1, .gso_type = 0xb2, .hdr_len = 0x0304, .gso_size = 0x0506, .csum_start = 0x0708, .csum_offset = 0x090a,
    .num_buffers = 0x0b0c, .hash_value = 0x11121314, .hash_report = 0x2122, .outer_th_offset = 0x3132, .inner_nh_offset = 0x4142,
};

/* From byte 12 on the fields are little-endian in each order; bytes 18 and 19 are padding. */
static const uint8_t wire_little[24] = {0xa1, 0xb2, 4,    3,    6,    5,    8, 7, 0x0a, 9,    0x0c, 0x0b,
                                        0x14, 0x13, 0x12, 0x11, 0x22, 0x21, 0, 0, 0x32, 0x31, 0x42, 0x41};
static const uint8_t wire_big[24] = {0xa1, 0xb2, 3,    4,    5,    6,    7, 8, 9,    0x0a, 0x0b, 0x0c,
                                     0x14, 0x13, 0x12, 0x11, 0x22, 0x21, 0, 0, 0x32, 0x31, 0x42, 0x41};

static const uint8_t *wire_bytes(tuo_order order)
{
    if (order == TUO_ORDER_NATIVE)
        return is_little_endian() ? wire_little : wire_big;
    return order == TUO_ORDER_BIG ? wire_big : wire_little;
}

static void check_same_hdr(const tuo_vnet_hdr *actual, const tuo_vnet_hdr *expected)
{
    CHECK_EQ_INT(actual->flags, expected->flags);
    CHECK_EQ_INT(actual->gso_type, expected->gso_type);
    CHECK_EQ_INT(actual->hdr_len, expected->hdr_len);
    CHECK_EQ_INT(actual->gso_size, expected->gso_size);
    CHECK_EQ_INT(actual->csum_start, expected->csum_start);
    CHECK_EQ_INT(actual->csum_offset, expected->csum_offset);
    CHECK_EQ_INT(actual->num_buffers, expected->num_buffers);
    CHECK_EQ_INT(actual->hash_value, expected->hash_value);
    CHECK_EQ_INT(actual->hash_report, expected->hash_report);
    CHECK_EQ_INT(actual->outer_th_offset, expected->outer_th_offset);
    CHECK_EQ_INT(actual->inner_nh_offset, expected->inner_nh_offset);
}

/* What is left of wire_hdr in a layout of this length. */
static tuo_vnet_hdr hdr_of_layout(size_t len)
{
    tuo_vnet_hdr h = wire_hdr;

    if (len < 12)
        h.num_buffers = 0;
    if (len < 20) {
        h.hash_value = 0;
        h.hash_report = 0;
    }
    if (len < 24) {
        h.outer_th_offset = 0;
        h.inner_nh_offset = 0;
    }
    return h;
}

TEST(every_layout_and_order)
{
    guard_page g = guard_page_new(64);
    size_t i;
    int order;

    for (order = TUO_ORDER_NATIVE; order <= TUO_ORDER_BIG; order++)
        for (i = 0; i < 4; i++) {
            size_t len = layouts[i];
            const uint8_t *wire = wire_bytes((tuo_order)order);
            tuo_vnet_hdr expected = hdr_of_layout(len), got;
            uint8_t out[32];
            uint8_t *p = guard_page_at_end(&g, wire, len);
            check_row("decode %lu bytes, order %d", (unsigned long)len, order);
            memset(&got, 0x77, sizeof got);
            CHECK_RESULT(tuo_vnet_decode(p, len, len, (tuo_order)order, &got), TUO_OK);
            check_same_hdr(&got, &expected);
            check_row("encode %lu bytes, order %d", (unsigned long)len, order);
            memset(out, 0x77, sizeof out);
            CHECK_RESULT(tuo_vnet_encode(&wire_hdr, len, (tuo_order)order, out, sizeof out), TUO_OK);
            CHECK_BYTES(out, wire, len);
            CHECK_EQ_INT(out[len], 0x77);
            CHECK_RESULT(tuo_vnet_encode(&wire_hdr, len, (tuo_order)order, p, len), TUO_OK);
        }
    guard_page_free(&g);
}

TEST(decode_reads_only_its_layout)
{
    uint8_t bytes[40];
    tuo_vnet_hdr got, expected = hdr_of_layout(10);

    memset(bytes, 0xff, sizeof bytes);
    memcpy(bytes, wire_little, 10);
    CHECK_RESULT(tuo_vnet_decode(bytes, sizeof bytes, 10, TUO_ORDER_LITTLE, &got), TUO_OK);
    check_same_hdr(&got, &expected);
}

TEST(unknown_sizes_and_orders)
{
    uint8_t bytes[64] = {0}, before[64];
    tuo_vnet_hdr got, before_hdr;
    size_t len;

    memset(bytes, 0x5c, sizeof bytes);
    memcpy(before, bytes, sizeof bytes);
    memset(&got, 0x77, sizeof got);
    before_hdr = got;
    for (len = 0; len <= 64; len++) {
        if (len == 10 || len == 12 || len == 20 || len == 24)
            continue;
        CHECK_RESULT(tuo_vnet_decode(bytes, sizeof bytes, len, TUO_ORDER_LITTLE, &got), TUO_E_INVALID);
        CHECK_RESULT(tuo_vnet_encode(&wire_hdr, len, TUO_ORDER_LITTLE, bytes, sizeof bytes), TUO_E_INVALID);
    }
    CHECK_RESULT(tuo_vnet_decode(bytes, sizeof bytes, 10, (tuo_order)3, &got), TUO_E_INVALID);
    CHECK_RESULT(tuo_vnet_encode(&wire_hdr, 10, (tuo_order)3, bytes, sizeof bytes), TUO_E_INVALID);
    CHECK_BYTES(bytes, before, sizeof bytes);
    CHECK_BYTES(&got, &before_hdr, sizeof got);
}

TEST(too_short)
{
    uint8_t bytes[24], before[24];
    tuo_vnet_hdr got, before_hdr;
    size_t i, len;

    memset(bytes, 0x5c, sizeof bytes);
    memcpy(before, bytes, sizeof bytes);
    memset(&got, 0x77, sizeof got);
    before_hdr = got;
    for (i = 0; i < 4; i++)
        for (len = 0; len < layouts[i]; len++) {
            CHECK_RESULT(tuo_vnet_decode(bytes, len, layouts[i], TUO_ORDER_NATIVE, &got), TUO_E_TRUNCATED);
            CHECK_RESULT(tuo_vnet_encode(&wire_hdr, layouts[i], TUO_ORDER_NATIVE, bytes, len), TUO_E_NOSPACE);
        }
    CHECK_RESULT(tuo_vnet_decode(NULL, 0, 10, TUO_ORDER_NATIVE, &got), TUO_E_TRUNCATED);
    CHECK_BYTES(bytes, before, sizeof bytes);
    CHECK_BYTES(&got, &before_hdr, sizeof got);
}

/* ---------------------------------------------------------------------------------------- header against packet */

/* The header that fits a packet of this spec: NEEDS_CSUM, its kind's GSO type and the offsets. */
static tuo_vnet_hdr fitting_hdr(const pkt_spec *s, uint16_t gso_size)
{
    tuo_vnet_hdr h = {0};

    h.flags = TUO_VNET_NEEDS_CSUM;
    h.gso_type = (uint8_t)(pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4);
    h.hdr_len = (uint16_t)pkt_payload_off(s);
    h.gso_size = gso_size;
    h.csum_start = (uint16_t)pkt_l4_off(s);
    h.csum_offset = pkt_is_udp(s) ? 6 : 16;
    return h;
}

TEST(fitting_headers_are_accepted)
{
    static const struct {
        const char *name;
        pkt_spec spec;
    } rows[] = {
        {"TCP4", {.kind = PKT_TCP4}},
        {"UDP4", {.kind = PKT_UDP4}},
        {"TCP6", {.kind = PKT_TCP6}},
        {"UDP6", {.kind = PKT_UDP6}},
        {"IPv4 options", {.kind = PKT_TCP4, .ip_options = (const uint8_t *)"\1\1\1\0", .ip_options_len = 4}},
        {"TCP options", {.kind = PKT_TCP6, .tcp_options = (const uint8_t *)"\1\1\1\0", .tcp_options_len = 4}},
        {"IPv6 extension headers, TCP", {.kind = PKT_TCP6, .ext_chain = "HD"}},
        {"IPv6 extension headers, UDP", {.kind = PKT_UDP6, .ext_chain = "D"}},
        {"Ethernet", {.kind = PKT_TCP4, .ethernet = 1}},
        {"VLAN tags", {.kind = PKT_UDP6, .vlan_count = 2}},
        {"trailing bytes", {.kind = PKT_TCP4, .trailer_len = 6}},
        {"IP length 0", {.kind = PKT_TCP4, .ip_len_zero = 1}},
        {"66000 bytes", {.kind = PKT_TCP4, .ip_len_zero = 1, .payload_len = 66000}},
    };
    static uint8_t p[BUF];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const pkt_spec *s = &rows[i].spec;
        size_t len = pkt_build(p, sizeof p, s);
        unsigned flags = pkt_is_ethernet(s) ? TUO_F_ETHERNET : 0;
        tuo_vnet_hdr h = fitting_hdr(s, (uint16_t)(pkt_payload_len(s) > 1000 ? 1400 : 40));
        check_row("%s", rows[i].name);
        CHECK_RESULT(tuo_vnet_check(&h, p, len, flags), TUO_OK);
        CHECK_RESULT(tuo_vnet_check(&h, p, len, flags | TUO_F_WRITE), TUO_OK);
        h.num_buffers = 0xffff; /* K 1.2: TUN does not look at it */
        h.flags |= TUO_VNET_DATA_VALID;
        CHECK_RESULT(tuo_vnet_check(&h, p, len, flags), TUO_OK);
        if (!pkt_is_udp(s)) {
            h.gso_type |= TUO_GSO_ECN;
            CHECK_RESULT(tuo_vnet_check(&h, p, len, flags), TUO_OK);
            h.flags = 0; /* K 3.3: never seen, but a TCP header may do without */
            h.csum_start = h.csum_offset = 0xffff;
            CHECK_RESULT(tuo_vnet_check(&h, p, len, flags), TUO_OK);
        }
    }
}

typedef struct contradiction {
    const char *name;
    pkt_spec spec;
    unsigned flags;
    tuo_result expected;
    int fields;                /* F_* bits: which members of hdr replace the fitting ones */
    tuo_vnet_hdr vnet;
    int32_t cut;
} contradiction;

static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

enum { F_FLAGS = 1, F_TYPE = 2, F_HDR_LEN = 4, F_SIZE = 8, F_START = 16, F_OFFSET = 32 };

static const contradiction contradictions[] = {
    /* K 1.7d, 1.5 */
    {"K1.5 type 2 was never given out", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_TYPE, F_TYPE, {.gso_type = 2}, 0},
    {"K1.5 type 6", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_TYPE, F_TYPE, {.gso_type = 6}, 0},
    {"K4.12 AccECN alone", {.kind = PKT_TCP4}, 0, TUO_E_VNET_ACCECN, F_TYPE, {.gso_type = TUO_GSO_ACCECN}, 0},
    {"K4.12 AccECN", {.kind = PKT_TCP6}, 0, TUO_E_VNET_ACCECN, F_TYPE, {.gso_type = TUO_GSO_ACCECN | TUO_GSO_TCPV6}, 0},
    {"K4.12 AccECN on one segment", {.kind = PKT_TCP4}, 0, TUO_E_VNET_ACCECN, F_TYPE | F_SIZE,
     {.gso_type = TUO_GSO_ACCECN | TUO_GSO_TCPV4, .gso_size = 100}, 0},
    {"K4.12 AccECN to a device", {.kind = PKT_TCP4, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_E_VNET_ACCECN, F_TYPE,
     {.gso_type = TUO_GSO_ACCECN | TUO_GSO_TCPV4}, 0},
    {"K1.5 type 2 with ECN", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_TYPE, F_TYPE, {.gso_type = 0x82}, 0},
    {"K1.19 UFO", {.kind = PKT_UDP4}, 0, TUO_E_VNET_UFO, F_TYPE, {.gso_type = TUO_GSO_UDP}, 0},
    /* What is right and wrong of a tunnel: test_gso.c, tunnels_refused_by_name */
    {"K3.22 tunnel over IPv4 that is none", {.kind = PKT_TCP4}, 0, TUO_E_VNET_TUNNEL, F_TYPE, {.gso_type = 0x21}, 0},
    {"K3.22 tunnel over IPv6 that is none", {.kind = PKT_TCP6}, 0, TUO_E_VNET_TUNNEL, F_TYPE, {.gso_type = 0x44}, 0},
    {"K3.22 both tunnel bits", {.kind = PKT_UDP4}, 0, TUO_E_VNET_TUNNEL, F_TYPE, {.gso_type = 0x65}, 0},
    {"K1.20 tunnel on write", {.kind = PKT_UDP4}, TUO_F_WRITE, TUO_E_VNET_TUNNEL, F_TYPE, {.gso_type = 0x25}, 0},
    {"K1.20 tunnel bit alone on write", {.kind = PKT_UDP4}, TUO_F_WRITE, TUO_E_VNET_TUNNEL, F_TYPE, {.gso_type = 0x20}, 0},
    {"K3.23 tunnel bit alone on read", {.kind = PKT_UDP4}, 0, TUO_OK, F_TYPE, {.gso_type = 0x20}, 0},
    {"K1.5 ECN alone", {.kind = PKT_TCP4}, 0, TUO_E_VNET_ECN, F_TYPE, {.gso_type = TUO_GSO_ECN}, 0},
    {"K1.7f ECN on UDP_L4", {.kind = PKT_UDP4}, 0, TUO_E_VNET_ECN, F_TYPE, {.gso_type = TUO_GSO_ECN | TUO_GSO_UDP_L4}, 0},
    {"K1.7d gso_size 0", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_SIZE, F_SIZE, {.gso_size = 0}, 0},
    {"K1.7d gso_size 0, UDP_L4", {.kind = PKT_UDP6}, 0, TUO_E_VNET_GSO_SIZE, F_SIZE, {.gso_size = 0}, 0},
    {"K1.7d gso_size 65535", {.kind = PKT_TCP6}, 0, TUO_E_VNET_GSO_SIZE, F_SIZE, {.gso_size = 0xffff}, 0},
    {"K1.7e checksum field beyond the packet", {.kind = PKT_TCP4}, 0, TUO_E_CSUM_RANGE, F_START, {.csum_start = 123}, 0},
    {"K1.7e csum_start 65535", {.kind = PKT_TCP4}, 0, TUO_E_CSUM_RANGE, F_START | F_OFFSET,
     {.csum_start = 0xffff, .csum_offset = 0xffff}, 0},
    {"K1.7e checksum field beyond the packet, no GSO", {.kind = PKT_TCP4}, 0, TUO_E_CSUM_RANGE, F_TYPE | F_OFFSET,
     {.csum_offset = 119}, 0},
    {"no packet", {.kind = PKT_TCP4}, 0, TUO_E_TRUNCATED, F_FLAGS, {.flags = 0}, 140},
    {"what the parser says: not IP", {.kind = PKT_TCP4, .ethernet = 1}, 0, TUO_E_NOT_IP, F_START, {.csum_start = 34}, 0},
    {"what the parser says: length", {.kind = PKT_TCP6}, 0, TUO_E_IP_LENGTH, 0, {0}, 10},
    {"fragment", {.kind = PKT_TCP4, .frag = 0x2000}, 0, TUO_E_VNET_FRAGMENT, 0, {0}, 0},
    {"IPv6 fragment", {.kind = PKT_UDP6, .ext_chain = "f"}, 0, TUO_E_VNET_FRAGMENT, 0, {0}, 0},
    {"TCPV4 on UDP", {.kind = PKT_UDP4}, 0, TUO_E_VNET_PROTOCOL, F_TYPE, {.gso_type = TUO_GSO_TCPV4}, 0},
    {"TCPV6 on UDP", {.kind = PKT_UDP6}, 0, TUO_E_VNET_PROTOCOL, F_TYPE, {.gso_type = TUO_GSO_TCPV6}, 0},
    {"UDP_L4 on TCP", {.kind = PKT_TCP4}, 0, TUO_E_VNET_PROTOCOL, F_TYPE, {.gso_type = TUO_GSO_UDP_L4}, 0},
    {"UDP_L4 on TCP6", {.kind = PKT_TCP6}, 0, TUO_E_VNET_PROTOCOL, F_TYPE, {.gso_type = TUO_GSO_UDP_L4}, 0},
    {"TCPV4 on ICMP", {.kind = PKT_TCP4, .proto = 1}, 0, TUO_E_VNET_PROTOCOL, 0, {0}, 0},
    {"K3.9 TCPV4 on IPv6", {.kind = PKT_TCP6}, 0, TUO_E_VNET_IP_VERSION, F_TYPE, {.gso_type = TUO_GSO_TCPV4}, 0},
    {"K3.9 TCPV6 on IPv4", {.kind = PKT_TCP4}, 0, TUO_E_VNET_IP_VERSION, F_TYPE, {.gso_type = TUO_GSO_TCPV6}, 0},
    {"K1.7f UDP_L4 without NEEDS_CSUM", {.kind = PKT_UDP4}, 0, TUO_E_VNET_NEEDS_CSUM, F_FLAGS, {.flags = 0}, 0},
    {"K1.7f UDP_L4 with DATA_VALID only", {.kind = PKT_UDP6}, 0, TUO_E_VNET_NEEDS_CSUM, F_FLAGS,
     {.flags = TUO_VNET_DATA_VALID}, 0},
    {"K3.21 csum_start 4 bytes early", {.kind = PKT_TCP4}, 0, TUO_E_VNET_CSUM_START, F_START, {.csum_start = 16}, 0},
    {"K3.21 csum_start 4 bytes late", {.kind = PKT_UDP6}, 0, TUO_E_VNET_CSUM_START, F_START, {.csum_start = 44}, 0},
    {"K3.7 csum_start without the IPv4 options", {.kind = PKT_TCP4, .ip_options = (const uint8_t *)"\1\1\1\0",
      .ip_options_len = 4}, 0, TUO_E_VNET_CSUM_START, F_START, {.csum_start = 20}, 0},
    {"K3.7 csum_start without the extension headers", {.kind = PKT_TCP6, .ext_chain = "D"}, 0, TUO_E_VNET_CSUM_START, F_START,
     {.csum_start = 40}, 0},
    {"csum_start does not count the Ethernet header", {.kind = PKT_TCP4, .ethernet = 1}, TUO_F_ETHERNET, TUO_E_VNET_CSUM_START,
     F_START, {.csum_start = 20}, 0},
    {"K1.7f csum_offset of UDP on TCP", {.kind = PKT_TCP4}, 0, TUO_E_VNET_CSUM_OFFSET, F_OFFSET, {.csum_offset = 6}, 0},
    {"K1.7f csum_offset of TCP on UDP", {.kind = PKT_UDP4}, 0, TUO_E_VNET_CSUM_OFFSET, F_OFFSET, {.csum_offset = 16}, 0},
    /* K 1.7h: one segment, or none */
    {"no payload, TCP", {.kind = PKT_TCP4, .payload_len = PKT_ZERO}, 0, TUO_OK, 0, {0}, 0},
    {"no payload, UDP", {.kind = PKT_UDP6, .payload_len = PKT_ZERO}, 0, TUO_OK, 0, {0}, 0},
    {"K1.7h gso_size is the payload", {.kind = PKT_TCP4}, 0, TUO_OK, F_SIZE, {.gso_size = 100}, 0},
    {"one segment may have long headers", {.kind = PKT_TCP4, .payload_len = 30, .ip_options = nops, .ip_options_len = 40,
      .tcp_options = nops, .tcp_options_len = 40, .vlan_count = 4, .payload_seed = 1}, TUO_F_ETHERNET, TUO_OK, 0, {0}, 0},
    {"K1.17 UDP length of one segment", {.kind = PKT_UDP4, .udp_len = 48}, 0, TUO_OK, 0, {0}, 0},
    {"K1.17 UDP length beyond the packet", {.kind = PKT_UDP4, .udp_len = 109}, 0, TUO_E_UDP_LENGTH, 0, {0}, 0},
    /* K 1.7b: on write only */
    {"K1.7b hdr_len beyond the packet", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_E_VNET_HDR_LEN, F_HDR_LEN, {.hdr_len = 141}, 0},
    {"K1.7b hdr_len beyond the packet, no GSO", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_E_VNET_HDR_LEN,
     F_HDR_LEN | F_TYPE | F_FLAGS, {.hdr_len = 141}, 0},
    {"K1.7b hdr_len is the packet: fine", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_OK, F_HDR_LEN, {.hdr_len = 140}, 0},
    {"K3.4 hdr_len beyond the packet is only a hint on read", {.kind = PKT_TCP4}, 0, TUO_OK, F_HDR_LEN, {.hdr_len = 0xffff}, 0},
    {"K1.15 hdr_len 0 on write", {.kind = PKT_TCP6}, TUO_F_WRITE, TUO_OK, F_HDR_LEN, {.hdr_len = 0}, 0},
    {"K1.7e csum_start 19 without GSO on write", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_E_VNET_CSUM_START,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 19}, 0},
    {"K1.7e csum_start 20 without GSO on write", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_OK, F_TYPE | F_START | F_OFFSET,
     {.csum_start = 20}, 0},
    {"K1.7e csum_start 20 without GSO on write, Ethernet: the kernel counts from the frame", {.kind = PKT_TCP4, .ethernet = 1},
     TUO_F_WRITE | TUO_F_ETHERNET, TUO_OK, F_TYPE | F_START | F_OFFSET, {.csum_start = 20}, 0},
    {"K1.7 hdr_len inside the Ethernet header", {.kind = PKT_TCP4, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_E_VNET_HDR_LEN,
     F_HDR_LEN | F_TYPE | F_FLAGS, {.hdr_len = 13}, 0},
    {"K1.7 hdr_len of the Ethernet header", {.kind = PKT_TCP4, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_OK,
     F_HDR_LEN | F_TYPE | F_FLAGS, {.hdr_len = 14}, 0},
    {"K1.7b a small hdr_len is raised for the checksum", {.kind = PKT_TCP4, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_OK,
     F_HDR_LEN, {.hdr_len = 13}, 0},
    {"K1.27 csum_start 65276 without GSO on write", {.kind = PKT_UDP4, .payload_len = 65507}, TUO_F_WRITE, TUO_OK,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 65276}, 0},
    {"K1.27 csum_start 65277 without GSO on write", {.kind = PKT_UDP4, .payload_len = 65507}, TUO_F_WRITE, TUO_E_VNET_CSUM_START,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 65277}, 0},
    {"K1.27 csum_start 65277 without GSO on read", {.kind = PKT_UDP4, .payload_len = 65507}, 0, TUO_OK, F_TYPE | F_START | F_OFFSET,
     {.csum_start = 65277}, 0},
    {"K3.6 csum_start 0 without GSO on read: opaque", {.kind = PKT_TCP4}, 0, TUO_OK, F_TYPE | F_START | F_OFFSET, {0}, 0},
    {"K3.6 checksum in the last two bytes", {.kind = PKT_TCP4}, 0, TUO_OK, F_TYPE | F_START | F_OFFSET,
     {.csum_start = 100, .csum_offset = 38}, 0},
    {"K3.6 no GSO: the packet is not parsed", {.kind = PKT_TCP4, .proto = 99}, 0, TUO_OK, F_TYPE, {0}, 7},
    {"no GSO, no checksum: nothing to check", {.kind = PKT_TCP4}, 0, TUO_OK, F_TYPE | F_FLAGS | F_START | F_SIZE,
     {.csum_start = 0xffff, .gso_size = 0xffff}, 0},
    {"K1.9 gso_size 1 can be split", {.kind = PKT_TCP4}, 0, TUO_OK, F_SIZE, {.gso_size = 1}, 0},
    {"K1.7h gso_size above the payload", {.kind = PKT_TCP4}, 0, TUO_OK, F_SIZE, {.gso_size = 1000}, 0},
    /* K 1.7f */
    {"K1.7f 128 datagrams on write", {.kind = PKT_UDP4, .payload_len = 1280}, TUO_F_WRITE, TUO_OK, F_SIZE, {.gso_size = 10}, 0},
    {"K1.7f 129 datagrams on write", {.kind = PKT_UDP4, .payload_len = 1281}, TUO_F_WRITE, TUO_E_VNET_SEG_LIMIT, F_SIZE,
     {.gso_size = 10}, 0},
    {"K1.7f 129 datagrams on read", {.kind = PKT_UDP6, .payload_len = 1281}, 0, TUO_OK, F_SIZE, {.gso_size = 10}, 0},
    {"129 TCP segments on write", {.kind = PKT_TCP6, .payload_len = 1281}, TUO_F_WRITE, TUO_OK, F_SIZE, {.gso_size = 10}, 0},
    {"K1.7f 128 datagrams and a byte behind the packet on write", {.kind = PKT_UDP4, .payload_len = 1280, .trailer_len = 1},
     TUO_F_WRITE, TUO_E_VNET_SEG_LIMIT, F_SIZE, {.gso_size = 10}, 0},
    {"K1.7f 127 datagrams and 10 bytes behind the packet on write", {.kind = PKT_UDP4, .payload_len = 1270, .trailer_len = 10},
     TUO_F_WRITE, TUO_OK, F_SIZE, {.gso_size = 10}, 0},
    /* K 1.8: on write, what the kernel takes for more than one segment must be that */
    {"K1.7h one segment on write", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_OK, F_SIZE, {.gso_size = 100}, 0},
    {"K1.8 one segment and options on write", {.kind = PKT_TCP4, .tcp_options = nops, .tcp_options_len = 12}, TUO_F_WRITE,
     TUO_E_VNET_GSO_SIZE, F_SIZE, {.gso_size = 111}, 0},
    {"K1.8 one segment with its options in gso_size on write", {.kind = PKT_TCP4, .tcp_options = nops, .tcp_options_len = 12},
     TUO_F_WRITE, TUO_OK, F_SIZE, {.gso_size = 112}, 0},
    {"K1.8 one segment and options on read", {.kind = PKT_TCP4, .tcp_options = nops, .tcp_options_len = 12}, 0, TUO_OK, F_SIZE,
     {.gso_size = 111}, 0},
    {"K1.8 two segments and options on write", {.kind = PKT_TCP6, .tcp_options = nops, .tcp_options_len = 12}, TUO_F_WRITE, TUO_OK,
     F_SIZE, {.gso_size = 99}, 0},
    {"K1.8 one datagram and bytes behind the packet on write", {.kind = PKT_UDP6, .trailer_len = 1}, TUO_F_WRITE,
     TUO_E_VNET_GSO_SIZE, F_SIZE, {.gso_size = 100}, 0},
    {"K1.8 pure ACK on write", {.kind = PKT_TCP4, .payload_len = PKT_ZERO, .tcp_options = nops, .tcp_options_len = 12}, TUO_F_WRITE,
     TUO_OK, F_SIZE, {.gso_size = 12}, 0},
    {"K1.8 pure ACK with more options than gso_size on write", {.kind = PKT_TCP6, .payload_len = PKT_ZERO, .tcp_options = nops,
      .tcp_options_len = 12}, TUO_F_WRITE, TUO_E_VNET_NO_PAYLOAD, F_SIZE, {.gso_size = 11}, 0},
    {"K1.28 the IP header counts without csum_start", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_E_VNET_GSO_SIZE, F_FLAGS | F_SIZE,
     {.gso_size = 119}, 0},
    {"K1.28 the IP header in gso_size", {.kind = PKT_TCP4}, TUO_F_WRITE, TUO_OK, F_FLAGS | F_SIZE, {.gso_size = 120}, 0},
    {"K1.28 so does the Ethernet header", {.kind = PKT_TCP6, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_E_VNET_GSO_SIZE,
     F_FLAGS | F_SIZE, {.gso_size = 153}, 0},
    {"K1.28 both in gso_size", {.kind = PKT_TCP6, .ethernet = 1}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_OK, F_FLAGS | F_SIZE,
     {.gso_size = 154}, 0},
    /* K 1.16, 1.17: lengths on write */
    {"K1.16 IPv6 length 0", {.kind = PKT_TCP6, .ip_len_zero = 1}, 0, TUO_OK, 0, {0}, 0},
    {"K1.16 IPv6 length 0 on write", {.kind = PKT_TCP6, .ip_len_zero = 1}, TUO_F_WRITE, TUO_E_IP_LENGTH, 0, {0}, 0},
    {"K1.16 66000 bytes of IPv6 on write", {.kind = PKT_TCP6, .ip_len_zero = 1, .payload_len = 66000}, TUO_F_WRITE, TUO_E_IP_LENGTH,
     F_SIZE, {.gso_size = 1400}, 0},
    {"K1.16 IPv4 length 0 of UDP", {.kind = PKT_UDP4, .ip_len_zero = 1}, 0, TUO_OK, 0, {0}, 0},
    {"K1.16 IPv4 length 0 of UDP on write", {.kind = PKT_UDP4, .ip_len_zero = 1}, TUO_F_WRITE, TUO_E_IP_LENGTH, 0, {0}, 0},
    {"K1.16 IPv4 length 0 of one segment on write", {.kind = PKT_TCP4, .ip_len_zero = 1}, TUO_F_WRITE, TUO_E_IP_LENGTH, F_SIZE,
     {.gso_size = 100}, 0},
    {"K1.17 UDP length 0", {.kind = PKT_UDP6, .udp_len = PKT_ZERO}, 0, TUO_OK, 0, {0}, 0},
    {"K1.17 UDP length 0 on write", {.kind = PKT_UDP6, .udp_len = PKT_ZERO}, TUO_F_WRITE, TUO_E_UDP_LENGTH, 0, {0}, 0},
    {"K1.17 UDP length of one segment on write", {.kind = PKT_UDP4, .udp_len = 48}, TUO_F_WRITE, TUO_E_UDP_LENGTH, 0, {0}, 0},
    {"K1.25 bytes behind a packet in a frame", {.kind = PKT_TCP4, .ethernet = 1, .trailer_len = 1}, TUO_F_ETHERNET, TUO_OK, 0, {0}, 0},
    {"K1.25 bytes behind a packet in a frame on write", {.kind = PKT_TCP4, .ethernet = 1, .trailer_len = 1},
     TUO_F_WRITE | TUO_F_ETHERNET, TUO_E_IP_LENGTH, 0, {0}, 0},
    {"behind a routing header without a seed", {.kind = PKT_TCP6, .ext_chain = "r"}, 0, TUO_OK, F_FLAGS, {0}, 0},
    {"behind a routing header without a seed on write", {.kind = PKT_TCP6, .ext_chain = "r"}, TUO_F_WRITE, TUO_E_VNET_NEEDS_CSUM,
     F_FLAGS, {0}, 0},
    {"behind a routing header with one on write", {.kind = PKT_TCP6, .ext_chain = "r"}, TUO_F_WRITE, TUO_OK, 0, {0}, 0},
    /* K 1.26: the checksum field is in the IP packet on write */
    {"K1.26 checksum behind the IP packet, no GSO", {.kind = PKT_TCP4, .trailer_len = 2}, 0, TUO_OK, F_TYPE | F_START | F_OFFSET,
     {.csum_start = 100, .csum_offset = 40}, 0},
    {"K1.26 checksum behind the IP packet on write, no GSO", {.kind = PKT_TCP4, .trailer_len = 2}, TUO_F_WRITE, TUO_E_CSUM_RANGE,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 100, .csum_offset = 39}, 0},
    {"K1.26 checksum at the end of the IP packet on write, no GSO", {.kind = PKT_TCP4, .trailer_len = 2}, TUO_F_WRITE, TUO_OK,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 100, .csum_offset = 38}, 0},
    {"K1.26 the same in a frame", {.kind = PKT_UDP6, .ethernet = 1, .trailer_len = 2}, TUO_F_WRITE | TUO_F_ETHERNET, TUO_E_CSUM_RANGE,
     F_TYPE | F_START | F_OFFSET, {.csum_start = 100, .csum_offset = 61}, 0},
    {"K1.26 half an IP header says nothing, no GSO", {.kind = PKT_TCP6}, TUO_F_WRITE, TUO_OK, F_TYPE | F_START | F_OFFSET | F_HDR_LEN,
     {.csum_start = 20}, 138},
    {"finished: no field to be cut off", {.kind = PKT_TCP4, .trailer_len = 2}, TUO_F_WRITE, TUO_OK,
     F_FLAGS | F_TYPE | F_START | F_OFFSET, {.csum_start = 100, .csum_offset = 40}, 0},
    /* Two contradictions: the documented order decides. */
    {"AccECN before the tunnel bits", {.kind = PKT_TCP4}, 0, TUO_E_VNET_ACCECN, F_TYPE, {.gso_type = 0x31}, 0},
    {"AccECN before other types", {.kind = PKT_TCP4}, 0, TUO_E_VNET_ACCECN, F_TYPE, {.gso_type = 0x9f}, 0},
    {"type before size", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_TYPE, F_TYPE | F_SIZE, {.gso_type = 2}, 0},
    {"size before checksum range", {.kind = PKT_TCP4}, 0, TUO_E_VNET_GSO_SIZE, F_SIZE | F_START, {.csum_start = 5000}, 0},
    {"checksum range before the parser", {.kind = PKT_TCP4}, 0, TUO_E_CSUM_RANGE, F_START, {.csum_start = 5000}, 30},
    {"fragment before protocol", {.kind = PKT_UDP4, .frag = 0x2000}, 0, TUO_E_VNET_FRAGMENT, F_TYPE, {.gso_type = 1}, 0},
    {"protocol before version", {.kind = PKT_UDP6}, 0, TUO_E_VNET_PROTOCOL, F_TYPE, {.gso_type = TUO_GSO_TCPV4}, 0},
    {"version before csum_start", {.kind = PKT_TCP6}, 0, TUO_E_VNET_IP_VERSION, F_TYPE | F_START,
     {.gso_type = TUO_GSO_TCPV4, .csum_start = 1}, 0},
    {"csum_start before csum_offset", {.kind = PKT_TCP6}, 0, TUO_E_VNET_CSUM_START, F_START | F_OFFSET,
     {.csum_start = 1, .csum_offset = 1}, 0},
    {"csum_offset before payload", {.kind = PKT_TCP6, .payload_len = PKT_ZERO}, 0, TUO_E_VNET_CSUM_OFFSET, F_OFFSET,
     {.csum_offset = 1}, 0},
    {"hdr_len before lengths", {.kind = PKT_TCP6, .ip_len_zero = 1}, TUO_F_WRITE, TUO_E_VNET_HDR_LEN, F_HDR_LEN,
     {.hdr_len = 5000}, 0},
    {"IP length before UDP length", {.kind = PKT_UDP6, .ip_len_zero = 1, .udp_len = 48}, TUO_F_WRITE, TUO_E_IP_LENGTH, 0, {0}, 0},
    {"UDP length before one segment", {.kind = PKT_UDP6, .udp_len = 48, .trailer_len = 1}, TUO_F_WRITE, TUO_E_UDP_LENGTH, F_SIZE,
     {.gso_size = 100}, 0},
    {"routing header before one segment", {.kind = PKT_TCP6, .ext_chain = "r"}, TUO_F_WRITE, TUO_E_VNET_NEEDS_CSUM, F_FLAGS | F_SIZE,
     {.gso_size = 104}, 0},
    {"hdr_len before the segment limit", {.kind = PKT_UDP4}, TUO_F_WRITE, TUO_E_VNET_HDR_LEN, F_HDR_LEN | F_SIZE,
     {.hdr_len = 5000, .gso_size = 0x1}, 0},
};

static tuo_vnet_hdr row_hdr(const contradiction *row)
{
    tuo_vnet_hdr h = fitting_hdr(&row->spec, 40);

    if (row->fields & F_FLAGS)
        h.flags = row->vnet.flags;
    if (row->fields & F_TYPE)
        h.gso_type = row->vnet.gso_type;
    if (row->fields & F_HDR_LEN)
        h.hdr_len = row->vnet.hdr_len;
    if (row->fields & F_SIZE)
        h.gso_size = row->vnet.gso_size;
    if (row->fields & F_START)
        h.csum_start = row->vnet.csum_start;
    if (row->fields & F_OFFSET)
        h.csum_offset = row->vnet.csum_offset;
    return h;
}

TEST(every_contradiction)
{
    guard_page g = guard_page_new(BUF);
    static uint8_t p[BUF];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(contradictions); i++) {
        const contradiction *row = &contradictions[i];
        tuo_vnet_hdr h = row_hdr(row);
        size_t len = pkt_build(p, sizeof p, &row->spec) - (size_t)row->cut;
        check_row("%s: %s", row->name, tuo_result_name(row->expected));
        CHECK_RESULT(tuo_vnet_check(&h, guard_page_at_end(&g, p, len), len, row->flags), row->expected);
    }
    guard_page_free(&g);
}

/* K 1.5: what becomes of every possible gso_type byte, on a packet that fits type 1. */
TEST(every_gso_type_byte)
{
    uint8_t p[200];
    pkt_spec s = {0};
    size_t len = pkt_build(p, sizeof p, &s);
    unsigned type;

    for (type = 0; type < 256; type++) {
        tuo_vnet_hdr h = fitting_hdr(&s, 40);
        unsigned low = type & 0xf;
        tuo_result expected = TUO_E_VNET_GSO_TYPE, got;
        h.gso_type = (uint8_t)type;
        got = tuo_vnet_check(&h, p, len, 0);
        if (type & 0x10)
            expected = TUO_E_VNET_ACCECN;
        else if ((type & 0x60) == 0x60)
            expected = TUO_E_VNET_TUNNEL;
        else if (type == 0 || type == 1 || type == 0x81 || type == 0x20 || type == 0x40)
            expected = TUO_OK; /* a tunnel bit alone marks a single packet */
        else if (low == 3)
            expected = TUO_E_VNET_UFO;
        else if ((type & 0x60) && (low == 1 || low == 4 || (low == 5 && type < 0x80)))
            expected = TUO_E_VNET_TUNNEL; /* no tunnel is there */
        else if (type == 4 || type == 0x84)
            expected = TUO_E_VNET_IP_VERSION;
        else if (type == 5)
            expected = TUO_E_VNET_PROTOCOL;
        else if (low == 0 || (type >= 0x80 && low == 5))
            expected = TUO_E_VNET_ECN;
        CHECK_RESULT(got, expected);
        CHECK(got == TUO_OK || got < 0);
    }
}

TEST(header_too_long)
{
    uint8_t p[1000], ext[200];
    unsigned words;

    /* From 248 to 264 bytes in steps of 4: extension headers count in eights, TCP options in fours. */
    for (words = 62; words <= 66; words++) {
        unsigned units = (words - 15) / 2 - 1;
        pkt_spec s = {.kind = PKT_TCP6, .ext = ext, .ext_len = (uint8_t)(8 * (units + 1)), .ext_first = 60,
                      .tcp_options_len = words % 2 ? 0 : 4};
        size_t len;
        tuo_vnet_hdr h;
        memset(ext, 0, sizeof ext);
        ext[0] = 6;
        ext[1] = (uint8_t)units;
        len = pkt_build(p, sizeof p, &s);
        h = fitting_hdr(&s, 40);
        check_row("%u bytes of headers", words * 4);
        CHECK_EQ_INT(pkt_payload_off(&s), words * 4);
        CHECK_RESULT(tuo_vnet_check(&h, p, len, 0), pkt_payload_off(&s) > TUO_HEADER_MAX ? TUO_E_HEADER_TOO_LONG : TUO_OK);
    }
}

TEST(every_prefix)
{
    guard_page g = guard_page_new(4096);
    uint8_t p[4096];
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind};
        size_t len = pkt_build(p, sizeof p, &s), cut;
        tuo_vnet_hdr h = fitting_hdr(&s, 40);
        check_row("kind %d", kind);
        for (cut = 0; cut < len; cut++)
            CHECK(tuo_vnet_check(&h, guard_page_at_end(&g, p, cut), cut, TUO_F_WRITE) < 0);
        h.flags = 0;
        for (cut = 0; cut < len; cut++)
            CHECK(tuo_vnet_check(&h, guard_page_at_end(&g, p, cut), cut, 0) < 0);
    }
    guard_page_free(&g);
}

/* Each TUO_E_VNET_* has a row that ends in it. */
TEST(no_result_without_a_row)
{
    int result;

    for (result = TUO_E_VNET_ACCECN; result <= TUO_E_VNET_GSO_TYPE; result++) {
        size_t i, rows = 0;
        if (strncmp(tuo_result_name((tuo_result)result), "E_VNET_", 7) != 0)
            continue;
        for (i = 0; i < CHECK_COUNT_OF(contradictions); i++)
            rows += contradictions[i].expected == (tuo_result)result;
        check_row("%s", tuo_result_name((tuo_result)result));
        CHECK(rows >= 1);
    }
}

/* K 1.7a, c: what the kernel refuses whatever the header says. */
TEST(packets_that_are_none_cannot_be_written)
{
    static const uint8_t not_ip[20] = {0x55}, ip4[1] = {0x45}, ip6[1] = {0x60};
    const tuo_vnet_hdr plain = {0};

    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, 0, TUO_F_WRITE), TUO_E_TRUNCATED);
    CHECK_RESULT(tuo_vnet_check(&plain, NULL, 0, TUO_F_WRITE), TUO_E_TRUNCATED);
    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, sizeof not_ip, TUO_F_WRITE), TUO_E_NOT_IP);
    CHECK_RESULT(tuo_vnet_check(&plain, ip4, 1, TUO_F_WRITE), TUO_OK);
    CHECK_RESULT(tuo_vnet_check(&plain, ip6, 1, TUO_F_WRITE), TUO_OK);
    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, sizeof not_ip, TUO_F_WRITE | TUO_F_ETHERNET), TUO_OK);
    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, 14, TUO_F_WRITE | TUO_F_ETHERNET), TUO_OK);
    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, 13, TUO_F_WRITE | TUO_F_ETHERNET), TUO_E_TRUNCATED);
    CHECK_RESULT(tuo_vnet_check(&plain, not_ip, 0, 0), TUO_OK);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(packets_that_are_none_cannot_be_written),
        CHECK_ENTRY(every_layout_and_order),
        CHECK_ENTRY(decode_reads_only_its_layout),
        CHECK_ENTRY(unknown_sizes_and_orders),
        CHECK_ENTRY(too_short),
        CHECK_ENTRY(fitting_headers_are_accepted),
        CHECK_ENTRY(every_contradiction),
        CHECK_ENTRY(every_gso_type_byte),
        CHECK_ENTRY(header_too_long),
        CHECK_ENTRY(every_prefix),
        CHECK_ENTRY(no_result_without_a_row),
    };
    return CHECK_RUN(argc, argv, tests);
}
