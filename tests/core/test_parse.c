/* The parser: one row per rejection, every prefix of every kind of packet in front of a forbidden page, every reported field. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "inside.h"

enum { BUF = 4096 };

#define BYTES(literal) (const uint8_t *)(literal)
#define IP_OPTIONS_8 .ip_options = BYTES("\x94\x04\x00\x00\x01\x01\x01\x00"), .ip_options_len = 8
#define TCP_OPTIONS_12 .tcp_options = BYTES("\x01\x01\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08"), .tcp_options_len = 12

/* A change of one byte after building. */
typedef struct poke {
    uint16_t at;
    uint8_t value;
} poke;

typedef struct parse_row {
    const char *name;
    pkt_spec spec;
    poke pokes[3];        /* unused: at 0, value 0 (byte 0 is never poked to 0) */
    int32_t cut;          /* bytes taken off the end */
    unsigned flags;       /* beside TUO_F_ETHERNET, which goes with the spec */
    tuo_result expected;
} parse_row;

static unsigned parse_flags(const pkt_spec *s)
{
    return pkt_is_ethernet(s) ? TUO_F_ETHERNET : 0;
}

static int info_is_untouched(const tuo_pkt_info *info)
{
    const uint8_t *p = (const uint8_t *)info;
    size_t i;

    for (i = 0; i < sizeof *info; i++)
        if (p[i] != 0x77)
            return 0;
    return 1;
}

/* What the interface promises of every tuo_pkt_info. */
static void check_invariants(const tuo_pkt_info *info, size_t len)
{
    CHECK_EQ_INT(info->ip_off + info->ip_hdr_len, info->l4_off);
    CHECK(info->total_len <= len && info->ip_off + info->total_len <= len);
    CHECK(info->l4_off <= info->ip_off + info->total_len);
    CHECK_EQ_INT(info->trailer_len, len - info->ip_off - info->total_len);
    CHECK(info->ip_version == 4 || info->ip_version == 6);
    CHECK(info->ip_hdr_len >= (info->ip_version == 4 ? 20u : 40u));
    CHECK(info->l4_off <= info->payload_off);
    CHECK(info->payload_off + info->payload_len <= info->ip_off + info->total_len);
    if (info->kind == TUO_KIND_NONE) {
        CHECK_EQ_INT(info->l4_hdr_len, 0);
        CHECK_EQ_INT(info->payload_off + info->payload_len, info->ip_off + info->total_len);
        return;
    }
    CHECK_EQ_INT(info->l4_off + info->l4_hdr_len, info->payload_off);
    CHECK(!(info->flags & (TUO_PKT_FRAGMENT | TUO_PKT_OPAQUE)));
    if (info->kind == TUO_KIND_TCP4 || info->kind == TUO_KIND_TCP6) {
        CHECK_EQ_INT(info->payload_off + info->payload_len, info->ip_off + info->total_len);
        CHECK_EQ_INT(info->l4_proto, 6);
        CHECK(info->l4_hdr_len >= 20 && info->l4_hdr_len <= 60);
    } else {
        CHECK_EQ_INT(info->l4_proto, 17);
        CHECK_EQ_INT(info->l4_hdr_len, 8);
    }
}

/* Parses a copy that ends at a forbidden page. */
static tuo_result parse_guarded(guard_page *g, const uint8_t *bytes, size_t len, unsigned flags, tuo_pkt_info *info)
{
    const uint8_t *p = guard_page_at_end(g, bytes, len);
    tuo_result got;

    memset(info, 0x77, sizeof *info);
    got = tuo_parse(p, len, flags, info);
    if (got < 0)
        CHECK(info_is_untouched(info));
    else
        check_invariants(info, len);
    return got;
}

static const parse_row rejections[] = {
    {"nothing", {.kind = PKT_TCP4}, {{0, 0}}, 140, 0, TUO_E_TRUNCATED},
    {"version 5", {.kind = PKT_TCP4}, {{0, 0x55}}, 0, 0, TUO_E_NOT_IP},
    {"version 0, one byte", {.kind = PKT_TCP4}, {{0, 0x05}}, 139, 0, TUO_E_NOT_IP},
    {"ARP", {.kind = PKT_TCP4, .ethernet = 1}, {{13, 6}}, 0, 0, TUO_E_NOT_IP},
    {"ethertype IPv4, version 6", {.kind = PKT_TCP6, .ethernet = 1}, {{12, 8}, {13, 0}}, 0, 0, TUO_E_NOT_IP},
    {"ethertype IPv6, version 4", {.kind = PKT_TCP4, .ethernet = 1}, {{12, 0x86}, {13, 0xdd}}, 0, 0, TUO_E_NOT_IP},
    {"13 bytes of Ethernet", {.kind = PKT_TCP4, .ethernet = 1}, {{0, 2}}, 141, 0, TUO_E_TRUNCATED},
    {"Ethernet header only", {.kind = PKT_TCP4, .ethernet = 1}, {{0, 2}}, 140, 0, TUO_E_TRUNCATED},
    {"bytes end in a VLAN tag", {.kind = PKT_TCP4, .vlan_count = 1}, {{0, 2}}, 141, 0, TUO_E_TRUNCATED},
    {"5 VLAN tags", {.kind = PKT_TCP4, .vlan_count = 5}, {{0, 2}}, 0, 0, TUO_E_VLAN_DEPTH},
    {"6 VLAN tags, some 802.1ad", {.kind = PKT_UDP6, .vlan_count = 6, .vlan_tpid = {0x88a8, 0x88a8}}, {{0, 2}}, 0, 0,
     TUO_E_VLAN_DEPTH},
    {"19 bytes of IPv4", {.kind = PKT_TCP4}, {{0, 0x45}}, 121, 0, TUO_E_TRUNCATED},
    {"39 bytes of IPv6", {.kind = PKT_TCP6}, {{0, 0x60}}, 121, 0, TUO_E_TRUNCATED},
    {"IPv4 header length 0", {.kind = PKT_TCP4}, {{0, 0x40}}, 0, 0, TUO_E_IP_HEADER},
    {"IPv4 header length 16", {.kind = PKT_TCP4}, {{0, 0x44}}, 0, 0, TUO_E_IP_HEADER},
    {"IPv4 header length 60 in 40 bytes", {.kind = PKT_TCP4}, {{0, 0x4f}}, 100, 0, TUO_E_IP_HEADER},
    {"IPv4 length 40 below a header of 60", {.kind = PKT_TCP4, .payload_len = PKT_ZERO}, {{0, 0x4f}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv4 length beyond the bytes", {.kind = PKT_TCP4}, {{3, 141}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv4 length 65535", {.kind = PKT_TCP4}, {{2, 255}, {3, 255}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv4 length below the header", {.kind = PKT_TCP4}, {{3, 19}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv4 length below the options", {.kind = PKT_TCP4, IP_OPTIONS_8}, {{3, 27}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv4 length 0", {.kind = PKT_TCP4, .ip_len_zero = 1}, {{0, 0x45}}, 0, 0, TUO_E_IP_LENGTH},
    {"one byte cut off IPv4", {.kind = PKT_TCP4}, {{0, 0x45}}, 1, 0, TUO_E_IP_LENGTH},
    {"one byte cut off IPv6", {.kind = PKT_UDP6}, {{0, 0x60}}, 1, 0, TUO_E_IP_LENGTH},
    {"IPv6 length beyond the bytes", {.kind = PKT_TCP6}, {{5, 121}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv6 length 65535", {.kind = PKT_UDP6}, {{4, 255}, {5, 255}}, 0, 0, TUO_E_IP_LENGTH},
    {"IPv6 extension header past the packet", {.kind = PKT_UDP6, .ext_chain = "D"}, {{41, 20}}, 0, 0, TUO_E_IP6_EXT},
    {"IPv6 extension header of 2048 bytes", {.kind = PKT_TCP6, .ext_chain = "H"}, {{41, 255}}, 0, 0, TUO_E_IP6_EXT},
    {"IPv6 packet ends in front of its extension header", {.kind = PKT_TCP6, .ext_chain = "H"}, {{5, 0}}, 0, 0,
     TUO_E_IP6_EXT},
    {"IPv6 packet ends inside its extension header", {.kind = PKT_TCP6, .ext_chain = "H"}, {{5, 7}}, 0, 0, TUO_E_IP6_EXT},
    {"IPv6 packet ends right behind its extension header", {.kind = PKT_TCP6, .ext_chain = "H"}, {{5, 8}}, 0, 0,
     TUO_E_TCP_HEADER},
    {"IPv6 packet ends inside its fragment header", {.kind = PKT_TCP6, .ext_chain = "F"}, {{5, 7}}, 0, 0, TUO_E_IP6_EXT},
    {"9 extension headers", {.kind = PKT_TCP6, .ext_chain = "HDDDDDDDD"}, {{0, 0x60}}, 0, 0, TUO_E_IP6_EXT},
    {"20 extension headers", {.kind = PKT_TCP6, .ext_chain = "DDDDDDDDDDDDDDDDDDDD"}, {{0, 0x60}}, 0, 0, TUO_E_IP6_EXT},
    {"TCP data offset 4", {.kind = PKT_TCP4}, {{32, 0x40}}, 0, 0, TUO_E_TCP_HEADER},
    {"TCP data offset 0", {.kind = PKT_TCP6}, {{52, 0}}, 0, 0, TUO_E_TCP_HEADER},
    {"TCP data offset 15 in 20 bytes", {.kind = PKT_TCP4, .payload_len = PKT_ZERO}, {{32, 0xf0}}, 0, 0, TUO_E_TCP_HEADER},
    {"TCP data offset beyond the IP packet, not the bytes", {.kind = PKT_TCP4, .payload_len = PKT_ZERO, .trailer_len = 40},
     {{32, 0xf0}}, 0, 0, TUO_E_TCP_HEADER},
    {"UDP length 7", {.kind = PKT_UDP4, .udp_len = 7}, {{0, 0x45}}, 0, 0, TUO_E_UDP_LENGTH},
    {"UDP length 0", {.kind = PKT_UDP6, .udp_len = PKT_ZERO}, {{0, 0x60}}, 0, 0, TUO_E_UDP_LENGTH},
    {"UDP length beyond the IP payload", {.kind = PKT_UDP4, .udp_len = 109}, {{0, 0x45}}, 0, 0, TUO_E_UDP_LENGTH},
    {"UDP length beyond the IP payload, within the bytes", {.kind = PKT_UDP6, .udp_len = 109, .trailer_len = 9}, {{0, 0x60}},
     0, 0, TUO_E_UDP_LENGTH},
    {"superpacket flag does not excuse a short length", {.kind = PKT_TCP4}, {{3, 19}}, 0, TUO_F_SUPERPACKET, TUO_E_IP_LENGTH},
};

static size_t build_row(uint8_t *p, const parse_row *row)
{
    size_t len = pkt_build(p, BUF, &row->spec), i;

    for (i = 0; i < CHECK_COUNT_OF(row->pokes); i++)
        if (row->pokes[i].at || row->pokes[i].value)
            p[row->pokes[i].at] = row->pokes[i].value;
    return len - (size_t)row->cut;
}

TEST(every_rejection)
{
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rejections); i++) {
        const parse_row *row = &rejections[i];
        size_t len = build_row(p, row);
        check_row("%s: %s", row->name, tuo_result_name(row->expected));
        CHECK_RESULT(parse_guarded(&g, p, len, parse_flags(&row->spec) | row->flags, &info), row->expected);
    }
    guard_page_free(&g);
}

/* The named results are all there: none has lost its row. */
TEST(no_result_without_a_row)
{
    static const tuo_result wanted[] = {TUO_E_NOT_IP,  TUO_E_TRUNCATED, TUO_E_VLAN_DEPTH, TUO_E_IP_HEADER,
                                        TUO_E_IP_LENGTH, TUO_E_IP6_EXT, TUO_E_TCP_HEADER, TUO_E_UDP_LENGTH};
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(wanted); i++) {
        unsigned rows = 0;
        for (k = 0; k < CHECK_COUNT_OF(rejections); k++)
            rows += rejections[k].expected == wanted[i];
        check_row("%s", tuo_result_name(wanted[i]));
        CHECK(rows >= 1);
    }
}

/* When the IP packet is too short for a TCP or UDP header. */
static tuo_result no_l4_header(const pkt_spec *s)
{
    return pkt_is_udp(s) ? TUO_E_UDP_LENGTH : TUO_E_TCP_HEADER;
}

TEST(l4_header_does_not_fit)
{
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    int kind, room;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = PKT_ZERO};
        size_t len = pkt_build(p, sizeof p, &s), hdr = pkt_l4_off(&s);
        check_row("kind %d", kind);
        for (room = 0; room < (int)(len - hdr); room++) {
            /* The IP length says so itself: nothing was cut off. */
            if (pkt_is_v6(&s))
                pkt_put16(p + 4, (unsigned)room);
            else
                pkt_put16(p + 2, 20 + (unsigned)room);
            CHECK_RESULT(parse_guarded(&g, p, hdr + (size_t)room, 0, &info), no_l4_header(&s));
        }
    }
    guard_page_free(&g);
}

/* ----------------------------------------------------------------------------------------------- every prefix */

static const struct {
    const char *name;
    pkt_spec spec;
} shapes[] = {
    {"TCP4", {.kind = PKT_TCP4}},
    {"UDP4", {.kind = PKT_UDP4}},
    {"TCP6", {.kind = PKT_TCP6}},
    {"UDP6", {.kind = PKT_UDP6}},
    {"TCP4 with options in both headers", {.kind = PKT_TCP4, IP_OPTIONS_8, TCP_OPTIONS_12}},
    {"TCP6 with extension headers and options", {.kind = PKT_TCP6, .ext_chain = "HDRD", TCP_OPTIONS_12}},
    {"UDP6 with 8 extension headers", {.kind = PKT_UDP6, .ext_chain = "HDDDDDDR"}},
    {"UDP6 first fragment", {.kind = PKT_UDP6, .ext_chain = "Hf"}},
    {"TCP6 behind AH", {.kind = PKT_TCP6, .ext_chain = "DA"}},
    {"Ethernet TCP4", {.kind = PKT_TCP4, .ethernet = 1}},
    {"VLAN UDP4", {.kind = PKT_UDP4, .vlan_count = 1}},
    {"4 VLAN tags, TCP6", {.kind = PKT_TCP6, .vlan_count = 4, .vlan_tpid = {0x88a8, 0x88a8}}},
    {"UDP4 fragment", {.kind = PKT_UDP4, .frag = 0x2000}},
    {"another protocol", {.kind = PKT_UDP4, .proto = 1}},
    {"ICMPv6", {.kind = PKT_UDP6, .proto = 58}},
};

TEST(every_prefix)
{
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    size_t i, cut;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++) {
        const pkt_spec *s = &shapes[i].spec;
        unsigned flags = parse_flags(s);
        size_t len = pkt_build(p, sizeof p, s), ip_hdr_end = pkt_ip_off(s) + (pkt_is_v6(s) ? 40 : 20);
        check_row("%s", shapes[i].name);
        CHECK_RESULT(parse_guarded(&g, p, len, flags, &info), TUO_OK);
        for (cut = 0; cut < len; cut++) {
            tuo_result got = parse_guarded(&g, p, cut, flags, &info);
            if (cut < ip_hdr_end)
                CHECK_RESULT(got, TUO_E_TRUNCATED);
            else if (s->ip_options_len && cut < ip_hdr_end + s->ip_options_len)
                CHECK_RESULT(got, TUO_E_IP_HEADER);
            else
                CHECK_RESULT(got, TUO_E_IP_LENGTH);
        }
    }
    guard_page_free(&g);
}

/* With the length field at 0 and the flag that allows it, each prefix is a packet of its own as soon as its headers fit. */
TEST(every_prefix_of_a_superpacket)
{
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind, .ip_len_zero = 1, .payload_len = 50};
        size_t len = pkt_build(p, sizeof p, &s), cut;
        check_row("kind %d", kind);
        for (cut = 0; cut <= len; cut++) {
            tuo_result got = parse_guarded(&g, p, cut, TUO_F_SUPERPACKET, &info);
            if (cut < pkt_payload_off(&s))
                CHECK(got < 0);
            else if (pkt_is_udp(&s) && cut < len)
                CHECK_RESULT(got, TUO_E_UDP_LENGTH);
            else if (CHECK_RESULT(got, TUO_OK))
                CHECK_EQ_INT(info.total_len, cut);
        }
    }
    guard_page_free(&g);
}

/* ----------------------------------------------------------------------------------------------- accepted shapes */

TEST(offsets)
{
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++) {
        const pkt_spec *s = &shapes[i].spec;
        size_t len = pkt_build(p, sizeof p, s);
        check_row("%s", shapes[i].name);
        if (!CHECK_RESULT(parse_guarded(&g, p, len, parse_flags(s), &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.ip_off, pkt_ip_off(s));
        CHECK_EQ_INT(info.ip_version, pkt_is_v6(s) ? 6 : 4);
        CHECK_EQ_INT(info.total_len, len - pkt_ip_off(s));
        CHECK_EQ_INT(info.vlan_count, s->vlan_count);
        CHECK_EQ_INT(info.ethertype, !pkt_is_ethernet(s) ? 0 : pkt_is_v6(s) ? 0x86dd : 0x0800);
        if (info.kind == TUO_KIND_NONE)
            continue;
        CHECK_EQ_INT(info.l4_off, pkt_l4_off(s));
        CHECK_EQ_INT(info.payload_off, pkt_payload_off(s));
        CHECK_EQ_INT(info.payload_len, 100);
        CHECK_EQ_INT(info.src_port, 40000);
        CHECK_EQ_INT(info.dst_port, 443);
    }
    guard_page_free(&g);
}

TEST(kinds)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        tuo_kind kind;
        int l4_proto, flags;
    } rows[] = {
        {"TCP4", {.kind = PKT_TCP4}, TUO_KIND_TCP4, 6, TUO_PKT_DF},
        {"UDP4", {.kind = PKT_UDP4}, TUO_KIND_UDP4, 17, TUO_PKT_DF},
        {"TCP6", {.kind = PKT_TCP6}, TUO_KIND_TCP6, 6, 0},
        {"UDP6", {.kind = PKT_UDP6}, TUO_KIND_UDP6, 17, 0},
        {"no DF", {.kind = PKT_TCP4, .df = PKT_ZERO}, TUO_KIND_TCP4, 6, 0},
        {"reserved bit", {.kind = PKT_TCP4, .frag = 0x8000, .df = PKT_ZERO}, TUO_KIND_TCP4, 6, TUO_PKT_RESERVED_BIT},
        {"IPv4 options", {.kind = PKT_UDP4, IP_OPTIONS_8}, TUO_KIND_UDP4, 17, TUO_PKT_DF | TUO_PKT_IP_OPTIONS},
        {"first fragment", {.kind = PKT_TCP4, .frag = 0x2000, .df = PKT_ZERO}, TUO_KIND_NONE, 6, TUO_PKT_FRAGMENT},
        {"later fragment", {.kind = PKT_TCP4, .frag = 0x2001, .df = PKT_ZERO}, TUO_KIND_NONE, 6, TUO_PKT_FRAGMENT},
        {"last fragment", {.kind = PKT_UDP4, .frag = 0x1fff, .df = PKT_ZERO}, TUO_KIND_NONE, 17, TUO_PKT_FRAGMENT},
        {"ICMP", {.kind = PKT_UDP4, .proto = 1}, TUO_KIND_NONE, 1, TUO_PKT_DF},
        {"GRE", {.kind = PKT_TCP4, .proto = 47}, TUO_KIND_NONE, 47, TUO_PKT_DF},
        {"hop-by-hop number over IPv4 is no extension header", {.kind = PKT_TCP4, .proto = 60}, TUO_KIND_NONE, 60, TUO_PKT_DF},
        {"ICMPv6", {.kind = PKT_UDP6, .proto = 58}, TUO_KIND_NONE, 58, 0},
        {"hop-by-hop", {.kind = PKT_TCP6, .ext_chain = "H"}, TUO_KIND_TCP6, 6, 0},
        {"destination options", {.kind = PKT_UDP6, .ext_chain = "D"}, TUO_KIND_UDP6, 17, 0},
        {"routing, done", {.kind = PKT_TCP6, .ext_chain = "R"}, TUO_KIND_TCP6, 6, 0},
        {"routing, segments left", {.kind = PKT_TCP6, .ext_chain = "r"}, TUO_KIND_TCP6, 6, TUO_PKT_ROUTING},
        {"routing, segments left, not last", {.kind = PKT_UDP6, .ext_chain = "HrD"}, TUO_KIND_UDP6, 17, TUO_PKT_ROUTING},
        {"8 extension headers", {.kind = PKT_TCP6, .ext_chain = "HDDDDDDD"}, TUO_KIND_TCP6, 6, 0},
        {"atomic fragment", {.kind = PKT_TCP6, .ext_chain = "F"}, TUO_KIND_NONE, 44, TUO_PKT_FRAGMENT | TUO_PKT_OPAQUE},
        {"first fragment of IPv6", {.kind = PKT_UDP6, .ext_chain = "Df"}, TUO_KIND_NONE, 44, TUO_PKT_FRAGMENT | TUO_PKT_OPAQUE},
        {"AH", {.kind = PKT_TCP6, .ext_chain = "A"}, TUO_KIND_NONE, 51, TUO_PKT_OPAQUE},
        {"ESP is a protocol of its own", {.kind = PKT_UDP6, .ext_chain = "E"}, TUO_KIND_NONE, 50, 0},
        {"options in front of ESP", {.kind = PKT_UDP6, .ext_chain = "HE"}, TUO_KIND_NONE, 50, 0},
        {"mobility", {.kind = PKT_UDP6, .proto = 135}, TUO_KIND_NONE, 135, TUO_PKT_OPAQUE},
        {"HIP", {.kind = PKT_UDP6, .proto = 139}, TUO_KIND_NONE, 139, TUO_PKT_OPAQUE},
        {"shim6", {.kind = PKT_TCP6, .proto = 140}, TUO_KIND_NONE, 140, TUO_PKT_OPAQUE},
        {"experimental header", {.kind = PKT_UDP6, .ext_chain = "U"}, TUO_KIND_NONE, 253, TUO_PKT_OPAQUE},
        {"experimental header behind options", {.kind = PKT_TCP6, .ext_chain = "DU"}, TUO_KIND_NONE, 253, TUO_PKT_OPAQUE},
    };
    guard_page g = guard_page_new(BUF);
    uint8_t p[BUF];
    tuo_pkt_info info;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        size_t len = pkt_build(p, sizeof p, &rows[i].spec);
        check_row("%s", rows[i].name);
        if (!CHECK_RESULT(parse_guarded(&g, p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.kind, rows[i].kind);
        CHECK_EQ_INT(info.l4_proto, rows[i].l4_proto);
        CHECK_EQ_INT(info.flags, rows[i].flags);
    }
    guard_page_free(&g);
}

/* As short as IPv6 gets: its next header is read all the same. */
TEST(ip6_header_alone)
{
    static const uint8_t nexts[] = {59, 58, 6, 17};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(nexts); i++) {
        uint8_t p[40] = {0x60};
        tuo_pkt_info info;

        memset(&info, 0xa5, sizeof info);
        p[6] = nexts[i];
        p[7] = 64;
        check_row("next header %u", (unsigned)nexts[i]);
        CHECK_RESULT(tuo_parse(p, sizeof p, 0, &info), nexts[i] == 6    ? TUO_E_TCP_HEADER
                                                       : nexts[i] == 17 ? TUO_E_UDP_LENGTH
                                                                        : TUO_OK);
        if (nexts[i] > 17)
            CHECK(info.kind == TUO_KIND_NONE && info.l4_proto == nexts[i] && info.l4_off == 40 && info.payload_len == 0);
    }
}

/* A fragment header needs no bytes behind it, and all of its own. */
TEST(fragment_header_alone)
{
    uint8_t p[48] = {0x60, 0, 0, 0, 0, 8, 44, 64};
    tuo_pkt_info info = {0};

    CHECK_RESULT(tuo_parse(p, 48, 0, &info), TUO_OK);
    CHECK(info.kind == TUO_KIND_NONE && (info.flags & TUO_PKT_FRAGMENT) && info.l4_off == 40 && info.payload_len == 8);
    p[5] = 7;
    CHECK_RESULT(tuo_parse(p, 47, 0, &info), TUO_E_IP6_EXT);
}

/* Each field of the packet reaches the struct, and no other field: two values per field, one bit apart at each end. */
TEST(field_values)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        tuo_pkt_info expected; /* the field in question; 0 elsewhere */
    } rows[] = {
        {"ttl", {.ttl = 255}, {.ttl = 255}},
        {"hop limit", {.kind = PKT_TCP6, .ttl = 1}, {.ttl = 1}},
        {"tos", {.tos = 0xb9}, {.tos = 0xb9}},
        {"traffic class", {.kind = PKT_UDP6, .tos = 0x1e}, {.tos = 0x1e}},
        {"ip_id", {.ip_id = 0xfedc}, {.ip_id = 0xfedc}},
        {"flow label", {.kind = PKT_TCP6, .flow_label = 0xabcde}, {.flow_label = 0xabcde}},
        {"flow label beside traffic class", {.kind = PKT_UDP6, .flow_label = 0xfffff, .tos = 0xff}, {.flow_label = 0xfffff}},
        {"ports", {.src_port = 0x1234, .dst_port = 0xfedc}, {.src_port = 0x1234, .dst_port = 0xfedc}},
        {"UDP ports", {.kind = PKT_UDP6, .src_port = 1, .dst_port = 65535}, {.src_port = 1, .dst_port = 65535}},
        {"seq", {.seq = 0xfedcba98}, {.seq = 0xfedcba98}},
        {"ack", {.kind = PKT_TCP6, .ack = 0x89abcdef}, {.ack = 0x89abcdef}},
        {"window", {.window = 0xc001}, {.window = 0xc001}},
        {"window 65535", {.kind = PKT_TCP6, .window = 0xffff}, {.window = 0xffff}},
        {"tcp_flags", {.tcp_flags = 0xd5}, {.tcp_flags = 0xd5}},
        {"FIN", {.tcp_flags = PKT_FIN}, {.tcp_flags = PKT_FIN}},
        {"CWR", {.kind = PKT_TCP6, .tcp_flags = PKT_CWR}, {.tcp_flags = PKT_CWR}},
    };
    uint8_t p[BUF];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const pkt_spec *s = &rows[i].spec;
        const tuo_pkt_info *e = &rows[i].expected;
        size_t len = pkt_build(p, sizeof p, s);
        int tcp = !pkt_is_udp(s);
        tuo_pkt_info info;
        check_row("%s", rows[i].name);
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.ttl, e->ttl ? e->ttl : 64);
        CHECK_EQ_INT(info.tos, s->tos);
        CHECK_EQ_INT(info.src_port, e->src_port ? e->src_port : 40000);
        CHECK_EQ_INT(info.dst_port, e->dst_port ? e->dst_port : 443);
        if (!pkt_is_v6(s))
            CHECK_EQ_INT(info.ip_id, e->ip_id);
        else
            CHECK_EQ_INT(info.flow_label, e->flow_label);
        if (tcp) {
            CHECK_EQ_INT(info.seq, e->seq);
            CHECK_EQ_INT(info.ack, e->ack);
            CHECK_EQ_INT(info.window, e->window ? e->window : 8192);
            CHECK_EQ_INT(info.tcp_flags, e->tcp_flags ? e->tcp_flags : PKT_ACK);
        }
    }
}

TEST(vlan_tags)
{
    static const uint16_t tpids[2] = {0x8100, 0x88a8};
    uint8_t p[BUF];
    tuo_pkt_info info;
    unsigned count, mix;

    for (count = 0; count <= 5; count++)
        for (mix = 0; mix < 1u << count; mix++) {
            pkt_spec s = {.kind = mix & 1 ? PKT_UDP6 : PKT_TCP4, .ethernet = 1, .vlan_count = (uint8_t)count};
            size_t len, i;
            for (i = 0; i < count; i++) {
                s.vlan_tpid[i] = tpids[mix >> i & 1];
                s.vlan_tci[i] = (uint16_t)(0xe000 + i);
            }
            len = pkt_build(p, sizeof p, &s);
            check_row("%u tags, 802.1ad where 0x%x says", count, mix);
            if (count == 5) {
                CHECK_RESULT(tuo_parse(p, len, TUO_F_ETHERNET, &info), TUO_E_VLAN_DEPTH);
            } else if (CHECK_RESULT(tuo_parse(p, len, TUO_F_ETHERNET, &info), TUO_OK)) {
                CHECK_EQ_INT(info.vlan_count, count);
                CHECK_EQ_INT(info.ip_off, 14 + 4 * count);
                CHECK_EQ_INT(info.kind, mix & 1 ? TUO_KIND_UDP6 : TUO_KIND_TCP4);
            }
        }
}

TEST(ipv4_options)
{
    uint8_t p[BUF], options[40];
    tuo_pkt_info info;
    unsigned words;

    memset(options, 1, sizeof options);
    for (words = 0; words <= 10; words++) {
        pkt_spec s = {.kind = words % 2 ? PKT_TCP4 : PKT_UDP4, .ip_options = options, .ip_options_len = (uint8_t)(words * 4)};
        size_t len = pkt_build(p, sizeof p, &s);
        check_row("%u bytes of options", words * 4);
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.ip_hdr_len, 20 + words * 4);
        CHECK_EQ_INT((info.flags & TUO_PKT_IP_OPTIONS) != 0, words != 0);
        CHECK_EQ_INT(info.src_port, 40000);
        CHECK_EQ_INT(info.payload_len, 100);
    }
}

TEST(tcp_options)
{
    uint8_t p[BUF], options[40];
    tuo_pkt_info info;
    unsigned words;

    memset(options, 1, sizeof options);
    for (words = 0; words <= 10; words++) {
        pkt_spec s = {.kind = words % 2 ? PKT_TCP4 : PKT_TCP6, .tcp_options = options, .tcp_options_len = (uint8_t)(words * 4)};
        size_t len;
        s.payload_len = words == 10 ? PKT_ZERO : 7;
        len = pkt_build(p, sizeof p, &s);
        check_row("%u bytes of options", words * 4);
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.l4_hdr_len, 20 + words * 4);
        CHECK_EQ_INT(info.payload_len, words == 10 ? 0 : 7);
    }
}

/* Long extension headers: the length byte counts units of 8, not counting the first. */
TEST(long_extension_headers)
{
    uint8_t p[BUF], ext[264];
    tuo_pkt_info info;
    unsigned units;

    for (units = 0; units < 31; units++) {
        pkt_spec s = {.kind = PKT_UDP6, .ext = ext, .ext_len = (uint8_t)(8 * (units + 1)), .ext_first = 60};
        size_t len;
        memset(ext, 0, sizeof ext);
        ext[0] = 17;
        ext[1] = (uint8_t)units;
        len = pkt_build(p, sizeof p, &s);
        check_row("%u bytes", 8 * (units + 1));
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.kind, TUO_KIND_UDP6);
        CHECK_EQ_INT(info.ip_hdr_len, 40 + 8 * (units + 1));
        CHECK_EQ_INT(info.payload_len, 100);
    }
}

TEST(length_field_0)
{
    static uint8_t big[70000];
    tuo_pkt_info info;
    int kind, large;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++)
        for (large = 0; large < 2; large++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .ip_len_zero = 1, .payload_len = large ? 66000 : 100};
            size_t len = pkt_build(big, sizeof big, &s);
            check_row("kind %d, %lu bytes", kind, (unsigned long)len);
            if (CHECK_RESULT(tuo_parse(big, len, TUO_F_SUPERPACKET, &info), TUO_OK)) {
                CHECK_EQ_INT(info.total_len, len);
                CHECK_EQ_INT(info.payload_len, s.payload_len);
                CHECK_EQ_INT(info.trailer_len, 0);
            }
            CHECK_RESULT(tuo_parse(big, len, 0, &info), pkt_is_v6(&s) ? no_l4_header(&s) : TUO_E_IP_LENGTH);
        }
}

TEST(trailing_bytes)
{
    uint8_t p[BUF];
    tuo_pkt_info info;
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = 5, .trailer_len = 9, .ethernet = 1};
        size_t len = pkt_build(p, sizeof p, &s);
        check_row("kind %d", kind);
        if (!CHECK_RESULT(tuo_parse(p, len, TUO_F_ETHERNET, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.trailer_len, 9);
        CHECK_EQ_INT(info.payload_len, 5);
        CHECK_EQ_INT(info.total_len, len - 14 - 9);
    }
}

TEST(udp_length_below_the_ip_payload)
{
    uint8_t p[BUF];
    tuo_pkt_info info;
    int udp_len;

    for (udp_len = 8; udp_len <= 108; udp_len++) {
        pkt_spec s = {.kind = udp_len % 2 ? PKT_UDP4 : PKT_UDP6, .udp_len = udp_len};
        size_t len = pkt_build(p, sizeof p, &s);
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_EQ_INT(info.payload_len, udp_len - 8);
        CHECK_EQ_INT(info.total_len, len);
        CHECK_EQ_INT(info.trailer_len, 0);
    }
}

/* Random bytes behind a plausible start: no crash, no contradiction, and the independent parser agrees. */
TEST(random_bytes_agree_with_the_plain_parser)
{
    static const tuo_result by_status[] = {TUO_OK,          TUO_E_NOT_IP,  TUO_E_TRUNCATED,  TUO_E_VLAN_DEPTH, TUO_E_IP_HEADER,
                                           TUO_E_IP_LENGTH, TUO_E_IP6_EXT, TUO_E_TCP_HEADER, TUO_E_UDP_LENGTH};
    static const uint8_t numbers[] = {0, 6, 6, 17, 17, 43, 44, 50, 51, 60, 60, 58, 253};
    guard_page g = guard_page_new(BUF);
    rng r = rng_start("random_bytes_agree_with_the_plain_parser", 11);
    uint8_t p[BUF];
    tuo_pkt_info info;
    unsigned round, ok = 0, plain[3] = {0, 0, 0};

    for (round = 0; round < 100000; round++) {
        pkt_spec s = {.kind = (pkt_kind)rng_below(&r, PKT_KIND_COUNT), .payload_len = (int32_t)(1 + rng_below(&r, 40))};
        size_t len, i, pokes = rng_below(&r, 4);
        int superpacket = rng_chance(&r, 1, 8);
        pkt_view v;
        tuo_result got;
        s.vlan_count = (uint8_t)(rng_chance(&r, 1, 4) ? rng_below(&r, 6) : 0);
        s.ext_chain = rng_chance(&r, 1, 2) ? "HDR" : NULL;
        s.trailer_len = (uint16_t)(rng_chance(&r, 1, 3) ? rng_below(&r, 50) : 0);
        len = pkt_build(p, sizeof p, &s);
        for (i = 0; i < pokes; i++) {
            size_t at = rng_below(&r, (uint32_t)len);
            p[at] = rng_chance(&r, 1, 2) ? numbers[rng_below(&r, CHECK_COUNT_OF(numbers))] : (uint8_t)rng_u64(&r);
        }
        if (rng_chance(&r, 1, 3))
            len = rng_below(&r, (uint32_t)len + 1);
        v = pkt_look(p, len, pkt_is_ethernet(&s), superpacket);
        got = parse_guarded(&g, p, len, parse_flags(&s) | (superpacket ? TUO_F_SUPERPACKET : 0), &info);
        CHECK_RESULT(got, by_status[v.status]);
        memcpy(g.end - len, p, len);
        plain[inside_plain(g.end - len, len, parse_flags(&s))]++;
        if (got != TUO_OK)
            continue;
        ok++;
        CHECK_EQ_INT(info.ip_off, v.ip);
        CHECK_EQ_INT(info.l4_off, v.l4);
        CHECK_EQ_INT(info.ip_off + info.total_len, v.end);
        CHECK_EQ_INT((info.flags & TUO_PKT_FRAGMENT) != 0, v.fragment);
        CHECK_EQ_INT(info.kind != TUO_KIND_NONE, pkt_has_l4(&v));
        if (pkt_has_l4(&v)) {
            CHECK_EQ_INT(info.payload_off, v.payload);
            CHECK_EQ_INT(info.payload_len, v.payload_len);
        }
    }
    CHECK(ok > 10000 && ok < 90000); /* both outcomes were exercised */
    CHECK(plain[PLAIN_AGREES] > 5000 && plain[PLAIN_NOT_TAKEN] > 5000);
    CHECK_EQ_INT(plain[PLAIN_DIFFERS], 0);
    guard_page_free(&g);
}

TEST(argument_range)
{
    tuo_pkt_info info;
    uint8_t byte = 0x45;

    memset(&info, 0x77, sizeof info);
    CHECK_RESULT(tuo_parse(NULL, 0, 0, &info), TUO_E_TRUNCATED);
    CHECK_RESULT(tuo_parse(NULL, 0, TUO_F_ETHERNET | TUO_F_SUPERPACKET, &info), TUO_E_TRUNCATED);
    CHECK_RESULT(tuo_parse(&byte, (size_t)0x7fffffff + 1, 0, &info), TUO_E_INVALID);
    CHECK_RESULT(tuo_parse(&byte, SIZE_MAX, 0, &info), TUO_E_INVALID);
    CHECK(info_is_untouched(&info));
}

TEST(names)
{
#define CHECK_NAME(name, value, text)                                                                                         \
    CHECK_EQ_STR(tuo_result_name(TUO_##name), #name);                                                                         \
    CHECK_EQ_STR(tuo_result_text(TUO_##name), text);
    TUO_RESULTS(CHECK_NAME)
#undef CHECK_NAME
#define CHECK_NAME(name, text, source)                                                                                        \
    CHECK_EQ_STR(tuo_verdict_name(TUO_V_##name), #name);                                                                      \
    CHECK_EQ_STR(tuo_verdict_text(TUO_V_##name), text);                                                                       \
    CHECK(sizeof source > 3);
    TUO_VERDICTS(CHECK_NAME)
#undef CHECK_NAME
    CHECK_EQ_STR(tuo_result_name((tuo_result)4), "?");
    CHECK_EQ_STR(tuo_result_name((tuo_result)-100), "?");
    CHECK_EQ_STR(tuo_result_text((tuo_result)-100), "?");
    CHECK_EQ_STR(tuo_verdict_name(TUO_V_COUNT), "?");
    CHECK_EQ_STR(tuo_verdict_text(TUO_V_COUNT), "?");
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(every_rejection),
        CHECK_ENTRY(no_result_without_a_row),
        CHECK_ENTRY(l4_header_does_not_fit),
        CHECK_ENTRY(every_prefix),
        CHECK_ENTRY(every_prefix_of_a_superpacket),
        CHECK_ENTRY(offsets),
        CHECK_ENTRY(kinds),
        CHECK_ENTRY(ip6_header_alone), CHECK_ENTRY(fragment_header_alone), CHECK_ENTRY(field_values),
        CHECK_ENTRY(vlan_tags),
        CHECK_ENTRY(ipv4_options),
        CHECK_ENTRY(tcp_options),
        CHECK_ENTRY(long_extension_headers),
        CHECK_ENTRY(length_field_0),
        CHECK_ENTRY(trailing_bytes),
        CHECK_ENTRY(udp_length_below_the_ip_payload),
        CHECK_ENTRY(random_bytes_agree_with_the_plain_parser),
        CHECK_ENTRY(argument_range),
        CHECK_ENTRY(names),
    };
    return CHECK_RUN(argc, argv, tests);
}
