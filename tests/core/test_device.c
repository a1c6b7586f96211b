/* test_device.c - any device: capabilities and their intersection, preparation of large packets, the ladder (against models of
   devices that do the work that is left to them, byte by byte), hints for packets that a device has verified, and bursts. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "simd_levels.h"
#include "device_model.h"

enum { PACKET_CAP = 220000 };

static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const char *const kind_names[] = {"tcp4", "udp4", "tcp6", "udp6"};

/* Initialisers of tuo_caps. */
#define SUMS .tx_csum_tcp4 = 1, .tx_csum_udp4 = 1, .tx_csum_tcp6 = 1, .tx_csum_udp6 = 1
#define LARGEST(n) .max_tcp4 = (n), .max_tcp6 = (n), .max_udp4 = (n), .max_udp6 = (n)

/* A packet with its metadata, in memory of exactly its size. Free bytes. */
typedef struct packet {
    uint8_t *bytes;
    size_t len;
    tuo_vnet_hdr vnet;
} packet;

/* What stands in front of a packet whose checksum is partial; gso_size 0: no superpacket. */
static tuo_vnet_hdr vnet_of(const pkt_spec *s, size_t gso_size)
{
    tuo_vnet_hdr vnet;
    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.csum_start = (uint16_t)pkt_l4_off(s);
    vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
    vnet.hdr_len = (uint16_t)pkt_payload_off(s);
    if (gso_size > 0) {
        vnet.gso_type = pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
        vnet.gso_size = (uint16_t)gso_size;
    }
    return vnet;
}

static packet make_plain(const pkt_spec *s)
{
    packet p;
    memset(&p.vnet, 0, sizeof p.vnet);
    p.len = pkt_len(s);
    p.bytes = ref_alloc(p.len, 1);
    CHECK_EQ_INT(pkt_build(p.bytes, p.len, s), p.len);
    return p;
}

/* With a partial checksum. */
static packet make_partial(const pkt_spec *spec, size_t gso_size)
{
    pkt_spec s = *spec;
    s.l4_csum_pseudo = 1;
    packet p = make_plain(&s);
    p.vnet = vnet_of(&s, gso_size);
    return p;
}

static ladder_case case_of(const tuo_caps *caps, const packet *p)
{
    ladder_case c;
    memset(&c, 0, sizeof c);
    c.caps = *caps;
    c.pkt = p->bytes;
    c.len = p->len;
    c.vnet = p->vnet;
    c.switch_at = 1;
    return c;
}

static void print_case(const ladder_case *c)
{
    const tuo_caps *a = &c->caps;
    pkt_view v = pkt_look(c->pkt, c->len, a->ethernet != 0, 1);
    printf("    caps: mtu %lu hdr %lu insert %d sums %d%d%d%d%d any %d ext %d vlan %d cwr %d no_len %d max %lu %lu %lu %lu seg %lu..%lu "
           "segs %lu %lu frags %lu l2 %lu\n",
           (unsigned long)a->mtu, (unsigned long)a->max_hdr_len, a->tx_vlan_insert,
           a->tx_csum_ip4, a->tx_csum_tcp4, a->tx_csum_udp4, a->tx_csum_tcp6, a->tx_csum_udp6, a->tx_csum_any, a->tx_ip6_ext,
           a->tx_vlan_max, a->tso_cwr, a->tso_sum_no_len, (unsigned long)a->max_tcp4, (unsigned long)a->max_udp4,
           (unsigned long)a->max_tcp6, (unsigned long)a->max_udp6, (unsigned long)a->min_seg_size, (unsigned long)a->max_seg_size,
           (unsigned long)a->max_segs, (unsigned long)a->max_udp_segs, (unsigned long)a->max_frags, (unsigned long)a->ethernet);
    printf("    packet: %lu bytes, status %d, ip %lu l4 %lu payload %lu + %lu end %lu, v%u proto %u vlans %u; vnet flags %u "
           "type %u size %u start %u + %u\n",
           (unsigned long)c->len, (int)v.status, (unsigned long)v.ip, (unsigned long)v.l4, (unsigned long)v.payload,
           (unsigned long)v.payload_len, (unsigned long)v.end, v.version, v.proto, v.vlans, c->vnet.flags, c->vnet.gso_type,
           c->vnet.gso_size, c->vnet.csum_start, c->vnet.csum_offset);
}

/* 1 if all properties hold. */
static int check_ladder(const ladder_case *c)
{
    const char *complaint = ladder_check(c, NULL);
    if (!CHECK_EQ_STR(complaint, NULL) && check_state.printed <= CHECK_PRINT_MAX) {
        print_case(c);
    }
    return complaint == NULL;
}

/* ------------------------------------------------------------------------------------------------------ what comes out */

/* What the device gets, as text: S4 a superpacket of 4 segments, p a partial checksum, f a finished one; p(7) seven of these. */
static const char *pattern_of(const tuo_caps *caps, const packet *p)
{
    static char text[400];
    char last[32] = "", token[32];
    size_t same = 0, at = 0;
    tuo_tx tx;
    tuo_tx_packet out;
    tuo_result result = tuo_tx_init(&tx, caps, p->bytes, p->len, &p->vnet, 0);
    text[0] = '\0';
    if (result != TUO_OK) {
        return tuo_result_name(result);
    }
    for (;;) {
        int more = tuo_tx_next(&tx, NULL, &out) == TUO_OK;
        token[0] = '\0';
        if (more && out.vnet.gso_type != 0) {
            snprintf(token, sizeof token, "S%lu", (unsigned long)out.seg_count);
        } else if (more) {
            snprintf(token, sizeof token, "%s", out.vnet.flags != 0 ? "p" : "f");
        }
        if (strcmp(token, last) == 0) {
            same++;
        } else {
            if (same > 1 && at < sizeof text - 80) {
                at += (size_t)snprintf(text + at, sizeof text - at, "(%lu)", (unsigned long)same);
            }
            if (at < sizeof text - 80) {
                at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at > 0 && more ? " " : "", token);
            }
            same = 1;
            snprintf(last, sizeof last, "%s", token);
        }
        if (!more) {
            return text;
        }
    }
}

TEST(ladder_of_superpackets)
{
    enum { HDR4 = 40, HDR6 = 60, UHDR4 = 28 };
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t gso_size;
        tuo_caps caps;
        const char *out;
    } rows[] = {
        {"a device that takes it: whole", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535)}, "S10"},
        {"it fits to the byte", {.payload_len = 10000}, 1000, {SUMS, LARGEST(10000 + HDR4)}, "S10"},
        {"one byte too long: the last alone, its checksum left", {.payload_len = 10000}, 1000, {SUMS, LARGEST(9999 + HDR4)}, "S9 p"},
        {"who segments a kind must sum it, too", {.payload_len = 10000}, 1000, {LARGEST(65535)}, "f(10)"},
        {"who sums anything sums this kind", {.payload_len = 10000}, 1000, {LARGEST(9999 + HDR4), .tx_csum_any = 1}, "S9 p"},
        {"largest size of four segments", {.payload_len = 10000}, 1000, {SUMS, LARGEST(4000 + HDR4)}, "S4(2) S2"},
        {"one byte below four segments", {.payload_len = 10000}, 1000, {SUMS, LARGEST(3999 + HDR4)}, "S3(3) p"},
        {"a short last segment makes it fit", {.payload_len = 2400}, 1000, {SUMS, LARGEST(2400 + HDR4)}, "S3"},
        {"the rest takes one short segment more than the others", {.payload_len = 4400}, 1000, {SUMS, LARGEST(2400 + HDR4)}, "S2 S3"},
        {"one full, then one with a short last", {.payload_len = 2500}, 1000, {SUMS, LARGEST(1500 + HDR4)}, "p S2"},
        {"not even two short ones", {.payload_len = 2000}, 1000, {SUMS, LARGEST(1999 + HDR4)}, "p(2)"},
        {"smaller than one segment", {.payload_len = 5000}, 1000, {SUMS, LARGEST(100)}, "p(5)"},
        {"smaller than its headers", {.payload_len = 5000}, 1000, {SUMS, LARGEST(1)}, "p(5)"},
        {"options count", {.payload_len = 4000, .tcp_options = nops, .tcp_options_len = 12, .ip_options = nops, .ip_options_len = 8},
         1000, {SUMS, LARGEST(4000 + HDR4 + 19)}, "S3 p"},
        {"options count, and fit", {.payload_len = 4000, .tcp_options = nops, .tcp_options_len = 12, .ip_options = nops,
         .ip_options_len = 8},
         1000, {SUMS, LARGEST(4000 + HDR4 + 20)}, "S4"},
        {"Ethernet header and tags do not count", {.payload_len = 4000, .vlan_count = 2}, 1000,
         {SUMS, LARGEST(4000 + HDR4), .tx_vlan_max = 2, .ethernet = 1}, "S4"},
        {"IPv6 counts its fixed header", {.kind = PKT_TCP6, .payload_len = 4000}, 1000, {SUMS, LARGEST(4000 + HDR6)}, "S4"},
        {"IPv6, one byte too long", {.kind = PKT_TCP6, .payload_len = 4000}, 1000, {SUMS, LARGEST(3999 + HDR6)}, "S3 p"},
        {"UDP fits to the byte", {.kind = PKT_UDP4, .payload_len = 4000}, 1000, {SUMS, LARGEST(4000 + UHDR4)}, "S4"},
        {"UDP, one byte too long", {.kind = PKT_UDP4, .payload_len = 4000}, 1000, {SUMS, LARGEST(3999 + UHDR4)}, "S3 p"},
        {"the size of another kind does not count", {.kind = PKT_UDP4, .payload_len = 4000}, 1000,
         {SUMS, .max_tcp4 = 65535, .max_tcp6 = 65535, .max_udp6 = 65535}, "p(4)"},
        {"IPv6 UDP is a kind of its own", {.kind = PKT_UDP6, .payload_len = 4000}, 1000,
         {SUMS, .max_tcp4 = 65535, .max_tcp6 = 65535, .max_udp4 = 65535}, "p(4)"},
        {"IPv6 TCP is a kind of its own", {.kind = PKT_TCP6, .payload_len = 4000}, 1000,
         {SUMS, .max_tcp4 = 65535, .max_udp6 = 65535, .max_udp4 = 65535}, "p(4)"},
        {"IPv4 TCP is a kind of its own", {.kind = PKT_TCP4, .payload_len = 4000}, 1000,
         {SUMS, .max_tcp6 = 65535, .max_udp6 = 65535, .max_udp4 = 65535}, "p(4)"},
        {"checksums of another kind do not count", {.payload_len = 4000}, 1000,
         {.tx_csum_ip4 = 1, .tx_csum_udp4 = 1, .tx_csum_tcp6 = 1, .tx_csum_udp6 = 1}, "f(4)"},
        {"a device that sums anything", {.payload_len = 4000}, 1000, {.tx_csum_any = 1}, "p(4)"},
        {"receive checksums are not transmit checksums", {.payload_len = 4000}, 1000,
         {.rx_csum_ip4 = 1, .rx_csum_tcp4 = 1, .rx_csum_udp4 = 1}, "f(4)"},
        {"a zero device", {.payload_len = 4500}, 1000, {0}, "f(5)"},
        {"one segment is no superpacket", {.payload_len = 900}, 1000, {SUMS, LARGEST(65535)}, "p"},
        {"one full segment is no superpacket", {.payload_len = 1000}, 1000, {SUMS, LARGEST(65535)}, "p"},
        {"one segment and a byte is one", {.payload_len = 1001}, 1000, {SUMS, LARGEST(65535)}, "S2"},
        {"one segment on a zero device", {.payload_len = 900}, 1000, {0}, "f"},
        {"max_segs", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_segs = 3}, "S3(3) p"},
        {"max_segs exactly", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_segs = 10}, "S10"},
        {"max_segs one less", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_segs = 9}, "S9 p"},
        {"max_segs 1", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_segs = 1}, "p(10)"},
        {"max_segs counts a short segment", {.payload_len = 2400}, 1000, {SUMS, LARGEST(65535), .max_segs = 2}, "S2 p"},
        {"max_segs is not for UDP", {.kind = PKT_UDP6, .payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_segs = 3}, "S10"},
        {"max_udp_segs", {.kind = PKT_UDP6, .payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_udp_segs = 4}, "S4(2) S2"},
        {"max_udp_segs is not for TCP", {.payload_len = 10000}, 1000, {SUMS, LARGEST(65535), .max_udp_segs = 4}, "S10"},
        {"the stricter of bytes and segments: segments", {.payload_len = 10000}, 1000, {SUMS, LARGEST(6000 + HDR4), .max_segs = 5},
         "S5(2)"},
        {"the stricter of bytes and segments: bytes", {.payload_len = 10000}, 1000, {SUMS, LARGEST(5000 + HDR4), .max_segs = 6}, "S5(2)"},
        {"min_seg_size", {.payload_len = 4000}, 1000, {SUMS, LARGEST(65535), .min_seg_size = 1001}, "p(4)"},
        {"min_seg_size exactly", {.payload_len = 3001}, 1000, {SUMS, LARGEST(65535), .min_seg_size = 1000}, "S4"},
        {"max_seg_size", {.payload_len = 4000}, 1000, {SUMS, LARGEST(65535), .max_seg_size = 999}, "p(4)"},
        {"max_seg_size exactly", {.payload_len = 4000}, 1000, {SUMS, LARGEST(65535), .max_seg_size = 1000}, "S4"},
        {"CWR leaves with the first segment alone", {.payload_len = 10000, .tcp_flags = PKT_ACK | PKT_CWR}, 1000,
         {SUMS, LARGEST(65535)}, "p S9"},
        {"CWR, two segments", {.payload_len = 2000, .tcp_flags = PKT_ACK | PKT_CWR}, 1000, {SUMS, LARGEST(65535)}, "p(2)"},
        {"CWR, three segments, limit two", {.payload_len = 3000, .tcp_flags = PKT_ACK | PKT_CWR}, 1000,
         {SUMS, LARGEST(65535), .max_segs = 2}, "p S2"},
        {"CWR: the rest fits without the first", {.payload_len = 4000, .tcp_flags = PKT_ACK | PKT_CWR}, 1000,
         {SUMS, LARGEST(3000 + HDR4)}, "p S3"},
        {"CWR, the last short", {.payload_len = 2001, .tcp_flags = PKT_ACK | PKT_CWR}, 1000, {SUMS, LARGEST(65535)}, "p S2"},
        {"CWR on a device that knows it", {.payload_len = 10000, .tcp_flags = PKT_ACK | PKT_CWR}, 1000,
         {SUMS, LARGEST(65535), .tso_cwr = 1}, "S10"},
        {"ECE is not CWR", {.payload_len = 10000, .tcp_flags = PKT_ACK | PKT_ECE}, 1000, {SUMS, LARGEST(65535)}, "S10"},
        {"UDP has no CWR", {.kind = PKT_UDP4, .payload_len = 10000, .src_port = 0x8080, .dst_port = 0xffff}, 1000,
         {SUMS, LARGEST(65535)}, "S10"},
        {"CWR, IPv6", {.kind = PKT_TCP6, .payload_len = 3000, .tcp_flags = PKT_ACK | PKT_CWR | PKT_ECE}, 1000,
         {SUMS, LARGEST(65535)}, "p S2"},
        {"one tag too many", {.payload_len = 4000, .vlan_count = 3}, 1000,
         {SUMS, LARGEST(65535), .tx_vlan_max = 2, .ethernet = 1}, "f(4)"},
        {"as many tags as it takes", {.payload_len = 4000, .vlan_count = 4}, 1000,
         {SUMS, LARGEST(65535), .tx_vlan_max = 4, .ethernet = 1}, "S4"},
        {"no tags", {.payload_len = 4000, .ethernet = 1}, 1000, {SUMS, LARGEST(65535), .ethernet = 1}, "S4"},
        {"one tag, none taken", {.payload_len = 4000, .vlan_count = 1}, 1000, {SUMS, LARGEST(65535), .ethernet = 1}, "f(4)"},
        {"a tag on a device that sums anything", {.payload_len = 4000, .vlan_count = 1}, 1000,
         {SUMS, LARGEST(65535), .tx_csum_any = 1, .ethernet = 1}, "p(4)"},
        {"extension headers", {.kind = PKT_TCP6, .payload_len = 4000, .ext_chain = "HD"}, 1000, {SUMS, LARGEST(65535)}, "f(4)"},
        {"extension headers that it sees behind", {.kind = PKT_TCP6, .payload_len = 4000, .ext_chain = "HD"}, 1000,
         {SUMS, LARGEST(65535), .tx_ip6_ext = 1}, "S4"},
        {"extension headers count", {.kind = PKT_UDP6, .payload_len = 4000, .ext_chain = "HD"}, 1000,
         {SUMS, LARGEST(4000 + 48 + 15), .tx_ip6_ext = 1}, "S3 p"},
        {"extension headers on a device that sums anything", {.kind = PKT_UDP6, .payload_len = 4000, .ext_chain = "H"}, 1000,
         {SUMS, LARGEST(65535), .tx_csum_any = 1}, "p(4)"},
        {"routing header with segments left: its seed is for another address", {.kind = PKT_TCP6, .payload_len = 4000, .ext_chain = "r"},
         1000,
         {SUMS, LARGEST(65535), .tx_ip6_ext = 1}, "f(4)"},
        {"routing header with segments left, on a device that sums anything", {.kind = PKT_TCP6, .payload_len = 4000, .ext_chain = "Hr"},
         1000,
         {SUMS, LARGEST(65535), .tx_ip6_ext = 1, .tx_csum_any = 1}, "p(4)"},
        {"routing header without segments left", {.kind = PKT_TCP6, .payload_len = 4000, .ext_chain = "R"}, 1000,
         {SUMS, LARGEST(65535), .tx_ip6_ext = 1}, "S4"},
        {"IPv4 options are not extension headers", {.payload_len = 4000, .ip_options = nops, .ip_options_len = 40}, 1000,
         {SUMS, LARGEST(65535)}, "S4"},
        {"headers as long as it takes", {.payload_len = 4000, .tcp_options = nops, .tcp_options_len = 12, .ethernet = 1}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .max_hdr_len = 66}, "S4"},
        {"headers a byte too long", {.payload_len = 4000, .tcp_options = nops, .tcp_options_len = 12, .ethernet = 1}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .max_hdr_len = 65}, "p(4)"},
        {"headers are too long with a tag", {.payload_len = 4000, .vlan_count = 1}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_max = 1, .max_hdr_len = 54}, "p(4)"},
        {"a tag that the device inserts is no header", {.payload_len = 4000, .vlan_count = 1}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1, .max_hdr_len = 54}, "S4"},
        {"a tag that the device inserts, none behind which it sees", {.payload_len = 4000, .vlan_count = 1}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1}, "S4"},
        {"two tags, one of which the device inserts", {.payload_len = 4000, .vlan_count = 2}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1}, "f(4)"},
        {"a tag of another type than the device inserts", {.payload_len = 4000, .vlan_count = 1, .vlan_tpid = {0x88a8}}, 1000,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1}, "f(4)"},
        {"IP packets have no tag", {.payload_len = 4000}, 1000, {SUMS, LARGEST(65535), .tx_vlan_insert = 1}, "S4"},
        {"65536 bytes on a device that takes 65535", {.payload_len = 65536 - HDR4}, 1000, {SUMS, LARGEST(65535)}, "S65 p"},
        {"65536 bytes whole", {.payload_len = 65536 - HDR4}, 1000, {SUMS, LARGEST(65536)}, "S66"},
        {"200000 bytes whole", {.payload_len = 200000}, 1000, {SUMS, LARGEST(262144)}, "S200"},
        {"200000 bytes, 65536 at a time", {.payload_len = 200000}, 1000, {SUMS, LARGEST(65536)}, "S65(3) S5"},
        {"200000 bytes, no limit in sight", {.payload_len = 200000}, 1000, {SUMS, LARGEST(0xffffffffu)}, "S200"},
        {"IPv6, 65575 bytes whole", {.kind = PKT_TCP6, .payload_len = 65575 - HDR6}, 1000, {SUMS, LARGEST(65575)}, "S66"},
        {"IPv6, 65575 bytes on a device that takes 65574", {.kind = PKT_TCP6, .payload_len = 65575 - HDR6}, 1000, {SUMS, LARGEST(65574)},
         "S65 p"},
        {"IPv6, 65576 bytes whole", {.kind = PKT_TCP6, .payload_len = 65576 - HDR6}, 1000, {SUMS, LARGEST(65576)}, "S66"},
        {"length 0 of a packet below 65536 bytes, on a device that does not take 0", {.payload_len = 4000, .ip_len_zero = 1}, 1000,
         {SUMS, LARGEST(65535)}, "S4"},
        {"length 0, IPv6 UDP", {.kind = PKT_UDP6, .payload_len = 4000, .ip_len_zero = 1, .udp_len = PKT_ZERO}, 1000,
         {SUMS, LARGEST(65535)}, "S4"},
        {"NIC's conventions", {.payload_len = 10000, .tcp_flags = PKT_ACK | PKT_PSH | PKT_FIN, .ip_id = 0xfffd}, 1000,
         {SUMS, LARGEST(3000 + HDR4), .tx_csum_ip4 = 1, .tso_sum_no_len = 1}, "S3(3) p"},
        {"bytes behind the IP packet do not go out", {.payload_len = 4000, .ethernet = 1, .trailer_len = 37}, 1000,
         {SUMS, LARGEST(4000 + HDR4), .ethernet = 1}, "S4"},
        {"bytes behind the IP packet of a cut one", {.payload_len = 4000, .ethernet = 1, .trailer_len = 37}, 1000,
         {SUMS, LARGEST(2000 + HDR4), .ethernet = 1}, "S2(2)"},
        {"bytes behind the IP packet of segments", {.payload_len = 4000, .ethernet = 1, .trailer_len = 1}, 1000,
         {.ethernet = 1}, "f(4)"},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        packet p = make_partial(&rows[i].spec, rows[i].gso_size);
        ladder_case c = case_of(&rows[i].caps, &p);
        CHECK_EQ_STR(pattern_of(&rows[i].caps, &p), rows[i].out);
        check_ladder(&c);
        free(p.bytes);
    }
}

/* Packets that are no superpackets: what is left to the device. */
TEST(ladder_of_other_packets)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        int partial;
        tuo_caps caps;
        const char *out;
    } rows[] = {
        {"finished: untouched", {.payload_len = 100}, 0, {SUMS, .tx_csum_any = 1, LARGEST(65535), .tx_csum_ip4 = 1}, "f"},
        {"partial, the device sums it", {.payload_len = 100}, 1, {.tx_csum_tcp4 = 1}, "p"},
        {"partial, the device sums others", {.payload_len = 100}, 1, {.tx_csum_ip4 = 1, .tx_csum_udp4 = 1, .tx_csum_tcp6 = 1,
         .tx_csum_udp6 = 1},
         "f"},
        {"partial UDP", {.kind = PKT_UDP4}, 1, {.tx_csum_udp4 = 1}, "p"},
        {"partial UDP, the device sums others", {.kind = PKT_UDP4}, 1, {.tx_csum_tcp4 = 1, .tx_csum_tcp6 = 1, .tx_csum_udp6 = 1}, "f"},
        {"partial IPv6 TCP", {.kind = PKT_TCP6}, 1, {.tx_csum_tcp6 = 1}, "p"},
        {"partial IPv6 TCP, the device sums others", {.kind = PKT_TCP6}, 1, {.tx_csum_tcp4 = 1, .tx_csum_udp4 = 1, .tx_csum_udp6 = 1}, "f"},
        {"partial IPv6 UDP", {.kind = PKT_UDP6}, 1, {.tx_csum_udp6 = 1}, "p"},
        {"partial IPv6 UDP, the device sums others", {.kind = PKT_UDP6}, 1, {.tx_csum_tcp4 = 1, .tx_csum_udp4 = 1, .tx_csum_tcp6 = 1}, "f"},
        {"partial, the device sums anything", {.payload_len = 100}, 1, {.tx_csum_any = 1}, "p"},
        {"partial behind a tag", {.vlan_count = 1}, 1, {SUMS, .tx_vlan_max = 1, .ethernet = 1}, "p"},
        {"partial behind a tag too many", {.vlan_count = 2}, 1, {SUMS, .tx_vlan_max = 1, .ethernet = 1}, "f"},
        {"partial behind extension headers", {.kind = PKT_UDP6, .ext_chain = "D"}, 1, {SUMS, .tx_ip6_ext = 1}, "p"},
        {"partial behind extension headers that stop it", {.kind = PKT_UDP6, .ext_chain = "D"}, 1, {SUMS}, "f"},
        {"partial behind a routing header with segments left", {.kind = PKT_TCP6, .ext_chain = "r"}, 1, {SUMS, .tx_ip6_ext = 1}, "f"},
        {"partial behind a routing header with segments left, summed by csum_start", {.kind = PKT_TCP6, .ext_chain = "r"}, 1,
         {SUMS, .tx_csum_any = 1}, "p"},
        {"partial with bytes behind the IP packet, which only some devices count", {.ethernet = 1, .trailer_len = 6}, 1, {SUMS,
         .ethernet = 1},
         "f"},
        {"partial with bytes behind the IP packet, summed by csum_start", {.ethernet = 1, .trailer_len = 6}, 1,
         {SUMS, .tx_csum_any = 1, .ethernet = 1}, "p"},
        {"a pure ACK", {.payload_len = PKT_ZERO}, 1, {SUMS, LARGEST(65535)}, "p"},
        {"a SYN", {.payload_len = PKT_ZERO, .tcp_flags = PKT_SYN, .tcp_options = nops, .tcp_options_len = 20}, 1, {SUMS}, "p"},
        {"CWR does not matter", {.tcp_flags = PKT_ACK | PKT_CWR}, 1, {SUMS}, "p"},
        {"a fragment is not TCP", {.frag = 0x2000}, 1, {SUMS}, "f"},
        {"a fragment on a device that sums anything", {.frag = 0x2000}, 1, {.tx_csum_any = 1}, "p"},
        {"a later fragment", {.frag = 5}, 1, {SUMS, LARGEST(65535)}, "f"},
        {"an IPv6 fragment", {.kind = PKT_TCP6, .ext_chain = "f"}, 1, {SUMS, .tx_ip6_ext = 1}, "f"},
        {"another protocol", {.proto = 47}, 1, {SUMS, LARGEST(65535)}, "f"},
        {"IPsec hides the ports", {.kind = PKT_UDP6, .ext_chain = "A"}, 1, {SUMS, .tx_ip6_ext = 1}, "f"},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        packet p = rows[i].partial ? make_partial(&rows[i].spec, 0) : make_plain(&rows[i].spec);
        ladder_case c = case_of(&rows[i].caps, &p);
        CHECK_EQ_STR(pattern_of(&rows[i].caps, &p), rows[i].out);
        check_ladder(&c);
        free(p.bytes);
    }
}

/* csum_start in an inner packet, or nowhere that makes sense: only a device that sums anything can do it. */
TEST(ladder_of_inner_checksums)
{
    static const tuo_caps any = {SUMS, .tx_csum_any = 1}, by_kind = {SUMS, LARGEST(65535)};
    pkt_spec inner = {.kind = PKT_TCP4, .payload_len = 200, .l4_csum_pseudo = 1};
    uint8_t bytes[400];
    size_t inner_len = pkt_build(bytes, sizeof bytes, &inner);
    pkt_spec outer = {.kind = PKT_UDP4, .payload = bytes, .payload_len = (int32_t)inner_len, .dst_port = 4789};
    packet p = make_plain(&outer);
    p.vnet.flags = TUO_VNET_NEEDS_CSUM;
    p.vnet.csum_start = (uint16_t)(pkt_payload_off(&outer) + pkt_l4_off(&inner));
    p.vnet.csum_offset = 16;

    check_row("inner checksum, a device that sums anything");
    tuo_tx tx;
    tuo_tx_packet out;
    ladder_case c = case_of(&any, &p);
    check_ladder(&c);
    CHECK_RESULT(tuo_tx_init(&tx, &any, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK_EQ_INT(out.kind, TUO_KIND_NONE);
    CHECK_EQ_INT(out.vnet.flags, TUO_VNET_NEEDS_CSUM);
    CHECK_EQ_INT(out.vnet.csum_start, p.vnet.csum_start);
    CHECK_EQ_INT(out.vnet.csum_offset, 16);
    CHECK_EQ_INT(out.vnet.hdr_len, 0); /* its headers are not known */
    CHECK(out.iov_count == 1 && out.iov[0].base == p.bytes && out.len == p.len);

    check_row("inner checksum, a device that wants to know the kind");
    CHECK_EQ_STR(pattern_of(&by_kind, &p), "f");
    c = case_of(&by_kind, &p);
    check_ladder(&c);

    check_row("another offset from the right start");
    p.vnet.csum_start = (uint16_t)pkt_l4_off(&outer);
    p.vnet.csum_offset = 2;
    CHECK_EQ_STR(pattern_of(&by_kind, &p), "f");
    CHECK_EQ_STR(pattern_of(&any, &p), "p");
    c = case_of(&by_kind, &p);
    check_ladder(&c);
    free(p.bytes);
}

/* All other bytes pass untouched without any offload. */
TEST(ladder_of_other_bytes)
{
    static const tuo_caps all = {.tx_csum_ip4 = 1, SUMS, .tx_csum_any = 1, .tx_ip6_ext = 1, .tx_vlan_max = 4, LARGEST(65535),
        .ethernet = 1};
    tuo_caps ip_only = all;
    uint8_t bytes[64];
    tuo_vnet_hdr none, valid;
    tuo_tx tx;
    tuo_tx_packet out;
    ip_only.ethernet = 0;
    memset(bytes, 0x11, sizeof bytes);
    memset(&none, 0, sizeof none);
    valid = none;
    valid.flags = TUO_VNET_DATA_VALID;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (int ethernet = 0; ethernet < 2; ethernet++) {
            check_row("%lu bytes, %s", (unsigned long)len, ethernet ? "ARP" : "no IP version");
            pkt_put16(bytes + 12, 0x0806);
            uint8_t *exact = ref_alloc(len, 1);
            memcpy(exact, bytes, len);
            memset(&out, 0xa5, sizeof out);
            CHECK_RESULT(tuo_tx_init(&tx, ethernet ? &all : &ip_only, exact, len, len % 2 ? &none : &valid, 0), TUO_OK);
            CHECK_EQ_INT(tuo_tx_remaining(&tx), 1);
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
            CHECK_EQ_STR(device_check_plain(&out), NULL);
            CHECK(out.iov_count == 1 && out.iov[0].base == exact && out.iov[0].len == len && out.len == len);
            CHECK_EQ_INT(tuo_tx_remaining(&tx), 0);
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_DONE);
            free(exact);
        }
    }
}

/* The descriptor's numbers, written out by hand. */
TEST(descriptors)
{
    static const tuo_caps nic = {.tx_csum_ip4 = 1, SUMS, .tx_ip6_ext = 1, .tx_vlan_max = 2, LARGEST(65535), .tso_sum_no_len = 1,
        .ethernet = 1};
    tuo_tx tx;
    tuo_tx_packet out;

    check_row("NIC, TCP over IPv4 with tags and options");
    pkt_spec s = {.payload_len = 3000, .vlan_count = 2, .ip_options = nops, .ip_options_len = 4, .tcp_options = nops,
        .tcp_options_len = 12};
    packet p = make_partial(&s, 1000);
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK_EQ_INT(out.l2_len, 22);
    CHECK_EQ_INT(out.l3_len, 24);
    CHECK_EQ_INT(out.l4_len, 32);
    CHECK_EQ_INT(out.kind, TUO_KIND_TCP4);
    CHECK_EQ_INT(out.csum_ip4, 1);
    CHECK_EQ_INT(out.seg_count, 3);
    CHECK_EQ_INT(out.vnet.gso_type, TUO_GSO_TCPV4);
    CHECK_EQ_INT(out.vnet.gso_size, 1000);
    CHECK_EQ_INT(out.vnet.csum_start, 46);
    CHECK_EQ_INT(out.vnet.csum_offset, 16);
    CHECK_EQ_INT(out.len, p.len);
    if (CHECK_EQ_INT(out.iov_count, 2) && CHECK_EQ_INT(out.iov[0].len, 78)) {
        const uint8_t *h = out.iov[0].base;
        CHECK_EQ_INT(pkt_get16(h + 22 + 10), 0);
        CHECK_EQ_INT(pkt_get16(h + 46 + 16), pkt_pseudo_sum(p.bytes + 34, p.bytes + 38, 4, 6, 0));
        CHECK_EQ_INT(pkt_get16(h + 22 + 2), 24 + 32 + 3000);
        CHECK(out.iov[1].base == p.bytes + 78 && out.iov[1].len == 3000);
    }
    free(p.bytes);

    check_row("NIC, UDP over IPv6 with an extension header");
    pkt_spec u = {.kind = PKT_UDP6, .payload_len = 3000, .ethernet = 1, .ext_chain = "H"};
    p = make_partial(&u, 1400);
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK(out.l2_len == 14 && out.l3_len == 48 && out.l4_len == 8 && out.kind == TUO_KIND_UDP6 && out.csum_ip4 == 0);
    CHECK(out.seg_count == 3 && out.vnet.gso_type == TUO_GSO_UDP_L4 && out.vnet.csum_offset == 6 && out.vnet.csum_start == 62);
    free(p.bytes);

    check_row("a single last segment has the length in its sum, and its IPv4 checksum");
    tuo_caps small = nic;
    small.max_tcp4 = 2000 + 40;
    pkt_spec t = {.payload_len = 2500, .ethernet = 1};
    p = make_partial(&t, 1000);
    CHECK_RESULT(tuo_tx_init(&tx, &small, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK_EQ_INT(out.seg_count, 2);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK(out.seg_count == 1 && out.csum_ip4 == 0 && out.vnet.gso_type == TUO_GSO_NONE && out.kind == TUO_KIND_TCP4);
    CHECK(out.l2_len == 14 && out.l3_len == 20 && out.l4_len == 20);
    if (CHECK_EQ_INT(out.iov[0].len, 54)) {
        const uint8_t *h = out.iov[0].base;
        CHECK_EQ_INT(pkt_get16(h + 34 + 16), pkt_pseudo_sum(p.bytes + 26, p.bytes + 30, 4, 6, 20 + 500));
        CHECK_EQ_INT(pkt_sum(h + 14, 20, 0), 0xffff);
    }
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_DONE);
    free(p.bytes);

    check_row("virtio: whole");
    tuo_caps virtio = {SUMS, .tx_csum_any = 1, LARGEST(65535), .ethernet = 1};
    p = make_partial(&t, 1000);
    CHECK_RESULT(tuo_tx_init(&tx, &virtio, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK_EQ_INT(out.len, p.len);
    CHECK_EQ_INT(out.seg_count, 3);
    CHECK_EQ_INT(out.vnet.gso_type, TUO_GSO_TCPV4);
    CHECK_EQ_INT(out.vnet.hdr_len, 54);
    free(p.bytes);
}

/* ------------------------------------------------------------------------------------------------- frames and their lengths */

/* Up to which MTU is it refused? exact: bytes behind Ethernet header and tags of the longest packet that is sent. */
TEST(nothing_too_long_reaches_a_device)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t gso_size, exact; /* gso_size 0: no superpacket */
        tuo_caps caps;
        size_t wire_len_max;
    } rows[] = {
        {"a packet", {.payload_len = 1000}, 0, 1040, {0}, 1040},
        {"a packet whose checksum is left", {.payload_len = 1000}, 0, 1040, {SUMS}, 1040},
        {"a frame", {.payload_len = 1000, .ethernet = 1}, 0, 1040, {.ethernet = 1}, 1054},
        {"a frame with tags", {.payload_len = 1000, .vlan_count = 4}, 0, 1040, {.ethernet = 1}, 1070},
        {"a frame whose tag is left", {.payload_len = 1000, .vlan_count = 1}, 0, 1040, {.ethernet = 1, .tx_vlan_insert = 1}, 1058},
        {"one tag too many is not known as one", {.payload_len = 1000, .vlan_count = 5}, 0, 1044, {.ethernet = 1}, 1074},
        {"bytes behind the packet count", {.payload_len = 1000, .ethernet = 1, .trailer_len = 9}, 0, 1049, {.ethernet = 1}, 1063},
        {"another protocol", {.payload_len = 1000, .proto = 47, .vlan_count = 1}, 0, 1040, {.ethernet = 1}, 1058},
        {"segments", {.payload_len = 10000, .ethernet = 1}, 1000, 1040, {.ethernet = 1}, 1054},
        {"segments whose checksums are left", {.payload_len = 10000, .vlan_count = 1}, 1000, 1040, {SUMS, .ethernet = 1, .tx_vlan_max = 1},
         1058},
        {"a superpacket", {.payload_len = 10000, .vlan_count = 2}, 1000, 1040, {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_max = 2},
         1062},
        {"a superpacket whose tag is left", {.payload_len = 10000, .vlan_count = 2}, 1000, 1040,
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_max = 1, .tx_vlan_insert = 1}, 1062},
        {"superpackets in parts, the last one a segment", {.payload_len = 2001}, 1000, 1040, {SUMS, LARGEST(2040)}, 1040},
        {"IPv6", {.kind = PKT_UDP6, .payload_len = 10000, .ext_chain = "D"}, 1000, 1056, {SUMS, LARGEST(65535), .tx_ip6_ext = 1}, 1056},
        {"one segment with a GSO type", {.payload_len = 900, .ethernet = 1, .trailer_len = 9}, 1000, 940, {.ethernet = 1}, 954},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        packet p = rows[i].spec.proto ? make_plain(&rows[i].spec) : make_partial(&rows[i].spec, rows[i].gso_size);
        for (unsigned k = 0; k < 3; k++) { /* too small by one, just enough, no limit */
            tuo_caps caps = rows[i].caps;
            tuo_tx tx, untouched;
            tuo_tx_packet out;
            size_t longest = 0;
            caps.mtu = k < 2 ? (uint32_t)(rows[i].exact - 1 + k) : 0;
            check_row("%s, MTU %lu", rows[i].name, (unsigned long)caps.mtu);
            memset(&tx, 0x5a, sizeof tx);
            untouched = tx;
            ladder_case c = case_of(&caps, &p);
            check_ladder(&c);
            CHECK_RESULT(tuo_tx_init(&tx, &caps, p.bytes, p.len, &p.vnet, 0), k == 0 ? TUO_E_MTU : TUO_OK);
            if (k == 0) {
                CHECK(memcmp(&tx, &untouched, sizeof tx) == 0);
                continue;
            }
            while (tuo_tx_next(&tx, NULL, &out) == TUO_OK) {
                longest = out.wire_len_max > longest ? out.wire_len_max : longest;
            }
            CHECK_EQ_INT(longest, rows[i].wire_len_max);
        }
        free(p.bytes);
    }
    check_row("refused for another reason as well: that comes first");
    tuo_caps small = {.mtu = 100};
    pkt_spec s = {.payload_len = 3000, .ip_csum_xor = 1};
    packet p = make_partial(&s, 1000);
    tuo_tx tx;
    CHECK_RESULT(tuo_tx_init(&tx, &small, p.bytes, p.len, &p.vnet, 0), TUO_E_IP_CSUM);
    free(p.bytes);

    check_row("frames that end in their Ethernet header, or in a tag");
    tuo_caps tiny = {.ethernet = 1, .mtu = 1};
    static const tuo_vnet_hdr no_offloads;
    static const uint8_t bytes[22] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 2};
    for (size_t len = 0; len <= sizeof bytes; len++) {
        /* from 18 bytes on the first tag is there, with 22 the second */
        tuo_result expected = len <= 15 || len == 18 || len == 19 || len == 22 ? TUO_OK : TUO_E_MTU;
        CHECK_RESULT(tuo_tx_init(&tx, &tiny, bytes, len, &no_offloads, 0), expected);
    }
}

/* The outermost tag in the descriptor: pieces, offsets and bytes by hand. */
TEST(a_tag_is_left_to_the_device)
{
    static const tuo_caps nic = {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1}, none = {.ethernet = 1, .tx_vlan_insert = 1},
                          any = {SUMS, .tx_csum_any = 1, .ethernet = 1, .tx_vlan_insert = 1};
    tuo_tx tx;
    tuo_tx_packet out;
    pkt_spec s = {.payload_len = 2500, .vlan_count = 1, .vlan_tci = {0xa123}};

    check_row("a superpacket");
    packet p = make_partial(&s, 1000);
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK(out.vlan_insert == 1 && out.vlan_tci == 0xa123 && out.seg_count == 3 && out.wire_len_max == 1058);
    CHECK(out.l2_len == 14 && out.l3_len == 20 && out.l4_len == 20 && out.vnet.csum_start == 34 && out.vnet.hdr_len == 54);
    CHECK(out.iov_count == 2 && out.len == p.len - 4 && out.iov[0].len == 54 && out.iov[1].base == p.bytes + 58);
    CHECK_BYTES(out.iov[0].base, p.bytes, 12);
    CHECK_BYTES((const uint8_t *)out.iov[0].base + 12, p.bytes + 16, 4);
    free(p.bytes);

    check_row("segments, finished");
    p = make_partial(&s, 1000);
    CHECK_RESULT(tuo_tx_init(&tx, &none, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
        CHECK(out.vlan_insert == 1 && out.vlan_tci == 0xa123 && out.kind == TUO_KIND_NONE && out.l2_len == 0);
        CHECK(out.iov_count == 2 && out.iov[0].len == 54 && out.iov[1].base == p.bytes + 58 + 1000 * i);
        CHECK_EQ_INT(out.wire_len_max, i < 2 ? 1058 : 558);
    }
    free(p.bytes);

    check_row("an ordinary packet: the addresses apart");
    s.payload_len = 100;
    p = make_plain(&s);
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK(out.vlan_insert == 1 && out.vlan_tci == 0xa123 && out.vnet.flags == 0 && out.wire_len_max == p.len && out.len == p.len - 4);
    CHECK(out.iov_count == 2 && out.iov[0].base == p.bytes && out.iov[0].len == 12);
    CHECK(out.iov[1].base == p.bytes + 16 && out.iov[1].len == p.len - 16);
    free(p.bytes);

    check_row("an ordinary packet whose checksum is completed: four pieces");
    p = make_partial(&s, 0);
    CHECK_RESULT(tuo_tx_init(&tx, &none, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
    CHECK(out.iov_count == 4 && out.iov[0].base == p.bytes && out.iov[0].len == 12 && out.iov[1].base == p.bytes + 16);
    CHECK(out.iov[1].len == 38 && out.iov[2].len == 2 && out.iov[3].base == p.bytes + 56 && out.len == p.len - 4);
    for (uint32_t frags = 3; frags <= 4; frags++) {
        tuo_caps few = none;
        few.max_frags = frags;
        CHECK_RESULT(tuo_tx_init(&tx, &few, p.bytes, p.len, &p.vnet, 0), TUO_OK);
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), frags == 3 ? TUO_E_UNSUPPORTED : TUO_OK);
    }

    check_row("the same in place: the addresses move");
    uint8_t addresses[12];
    memcpy(addresses, p.bytes, 12);
    CHECK_RESULT(tuo_tx_init(&tx, &none, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes + 4, &out), TUO_E_INVALID);
    CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes, &out), TUO_OK);
    CHECK(out.iov_count == 1 && out.iov[0].base == p.bytes + 4 && out.len == p.len - 4 && out.vlan_insert == 1);
    CHECK_BYTES(p.bytes + 4, addresses, 12);
    CHECK_RESULT(tuo_csum_check(p.bytes + 4, p.len - 4, TUO_F_ETHERNET), TUO_OK);
    free(p.bytes);

    check_row("a checksum that only vnet locates, from the end of the tag on, and within it");
    for (uint16_t start = 14; start < 18; start++) {
        p = make_plain(&s);
        p.vnet.flags = TUO_VNET_NEEDS_CSUM;
        p.vnet.csum_start = start;
        p.vnet.csum_offset = 40;
        CHECK_RESULT(tuo_tx_init(&tx, &any, p.bytes, p.len, &p.vnet, 0), TUO_OK);
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
        CHECK_EQ_INT(out.vlan_insert, start >= 16);
        CHECK_EQ_INT(out.vnet.csum_start, start >= 16 ? start - 4 : start);
        ladder_case c = case_of(&any, &p);
        check_ladder(&c);
        c = case_of(&none, &p);
        check_ladder(&c);
        free(p.bytes);
    }

    check_row("cut behind its tag, and within it");
    for (size_t len = 12; len < 22; len++) {
        p = make_plain(&s);
        CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, len, &p.vnet, 0), TUO_OK);
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_OK);
        CHECK(out.vlan_insert == (len >= 18) && out.wire_len_max == len && out.len == (len >= 18 ? len - 4 : len));
        free(p.bytes);
    }
}

/* A jumbo payload option goes before anything else is decided. */
TEST(jumbo_option_on_a_device)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        tuo_caps caps;
        unsigned flags;
        tuo_result result;
        size_t packets;
    } rows[] = {
        {"refused", {.kind = PKT_TCP6, .ext_chain = "J"}, {SUMS, LARGEST(65535), .tx_ip6_ext = 1}, 0, TUO_E_IP6_JUMBO, 0},
        {"a device that segments", {.kind = PKT_TCP6, .ext_chain = "J"}, {SUMS, LARGEST(65535)}, TUO_F_STRIP_JUMBO, TUO_OK, 1},
        {"one that does not see behind the other extension header", {.kind = PKT_TCP6, .ext_chain = "JD"}, {SUMS, LARGEST(65535)},
         TUO_F_STRIP_JUMBO, TUO_OK, 5},
        {"a device that segments half of it", {.kind = PKT_UDP6, .ext_chain = "J"}, {SUMS, LARGEST(3048)}, TUO_F_STRIP_JUMBO, TUO_OK, 2},
        {"a device that does nothing", {.kind = PKT_UDP6, .ext_chain = "J"}, {0}, TUO_F_STRIP_JUMBO, TUO_OK, 5},
        {"its bytes do not count for the MTU", {.kind = PKT_TCP6, .ext_chain = "J"}, {.mtu = 1060}, TUO_F_STRIP_JUMBO, TUO_OK, 5},
        {"nor do they fit", {.kind = PKT_TCP6, .ext_chain = "J"}, {.mtu = 1059}, TUO_F_STRIP_JUMBO, TUO_E_MTU, 0},
        {"and a tag that the device inserts", {.kind = PKT_TCP6, .ext_chain = "J", .vlan_count = 1, .vlan_tci = {7}},
         {SUMS, LARGEST(65535), .ethernet = 1, .tx_vlan_insert = 1}, TUO_F_STRIP_JUMBO, TUO_OK, 1},
        {"and a tag, segments", {.kind = PKT_UDP6, .ext_chain = "JD", .vlan_count = 2, .vlan_tci = {7, 8}},
         {.ethernet = 1, .tx_vlan_insert = 1}, TUO_F_STRIP_JUMBO, TUO_OK, 5},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        pkt_spec s = rows[i].spec;
        tuo_tx tx;
        size_t packets;
        s.payload_len = 4500;
        check_row("%s", rows[i].name);
        packet p = make_partial(&s, 1000);
        CHECK_RESULT(tuo_tx_init(&tx, &rows[i].caps, p.bytes, p.len, &p.vnet, rows[i].flags), rows[i].result);
        ladder_case c = case_of(&rows[i].caps, &p);
        c.flags = rows[i].flags;
        CHECK_EQ_STR(ladder_check(&c, &packets), NULL);
        CHECK_EQ_INT(packets, rows[i].packets);
        free(p.bytes);
    }
}

/* ---------------------------------------------------------------------------------------------------- errors of the ladder */

TEST(ladder_errors)
{
    static const tuo_caps good = {SUMS, LARGEST(65535)};
    pkt_spec s = {.payload_len = 3000};
    packet p = make_partial(&s, 1000);
    tuo_tx tx, filled;
    memset(&filled, 0x5a, sizeof filled);

    static const uint8_t neither[] = {2, 14, 18, 255};
    for (size_t i = 0; i < CHECK_COUNT_OF(neither); i++) {
        check_row("ethernet %d", neither[i]);
        tuo_caps bad = good;
        bad.ethernet = neither[i];
        tx = filled;
        CHECK_RESULT(tuo_tx_init(&tx, &bad, p.bytes, p.len, &p.vnet, 0), TUO_E_INVALID);
        CHECK(memcmp(&tx, &filled, sizeof tx) == 0);
    }
    static const uint8_t tags[] = {5, 6, 255};
    for (size_t i = 0; i < CHECK_COUNT_OF(tags); i++) {
        check_row("tx_vlan_max %d", tags[i]);
        tuo_caps bad = good;
        bad.tx_vlan_max = tags[i];
        tx = filled;
        CHECK_RESULT(tuo_tx_init(&tx, &bad, p.bytes, p.len, &p.vnet, 0), TUO_E_INVALID);
        CHECK(memcmp(&tx, &filled, sizeof tx) == 0);
    }
    static const struct {
        const char *name;
        tuo_vnet_hdr vnet;
        tuo_result result;
    } rows[] = {
        {"tunnel", {.flags = 1, .gso_type = 0x21, .gso_size = 1000, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_TUNNEL},
        {"AccECN", {.flags = 1, .gso_type = 0x11, .gso_size = 1000, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_ACCECN},
        {"UFO", {.flags = 1, .gso_type = 3, .gso_size = 1000, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_UFO},
        {"unknown type", {.flags = 1, .gso_type = 2, .gso_size = 1000, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_GSO_TYPE},
        {"gso_size 0", {.flags = 1, .gso_type = 1, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_GSO_SIZE},
        {"csum_start elsewhere", {.flags = 1, .gso_type = 1, .gso_size = 1000, .csum_start = 24, .csum_offset = 16}, TUO_E_VNET_CSUM_START},
        {"csum_offset elsewhere", {.flags = 1, .gso_type = 1, .gso_size = 1000, .csum_start = 20, .csum_offset = 6},
         TUO_E_VNET_CSUM_OFFSET},
        {"wrong IP version", {.flags = 1, .gso_type = 4, .gso_size = 1000, .csum_start = 20, .csum_offset = 16}, TUO_E_VNET_IP_VERSION},
        {"wrong protocol", {.flags = 1, .gso_type = 5, .gso_size = 1000, .csum_start = 20, .csum_offset = 6}, TUO_E_VNET_PROTOCOL},
        {"checksum beyond the packet", {.flags = 1, .csum_start = 3039, .csum_offset = 0}, TUO_E_CSUM_RANGE},
        {"without NEEDS_CSUM, and the checksum is wrong", {.gso_type = 1, .gso_size = 1000}, TUO_E_L4_CSUM},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        tx = filled;
        CHECK_RESULT(tuo_tx_init(&tx, &good, p.bytes, p.len, &rows[i].vnet, 0), rows[i].result);
        CHECK(memcmp(&tx, &filled, sizeof tx) == 0);
    }
    check_row("IPv4 header checksum wrong: not marked as right, even where the device would compute it");
    tuo_caps nic = good;
    nic.tx_csum_ip4 = 1;
    p.bytes[11] ^= 1;
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, 0), TUO_E_IP_CSUM);
    CHECK_RESULT(tuo_tx_init(&tx, &nic, p.bytes, p.len, &p.vnet, TUO_F_TRUST), TUO_OK);
    free(p.bytes);

    check_row("TCP without NEEDS_CSUM: a right checksum becomes a partial one");
    packet full = make_plain(&s);
    full.vnet.gso_type = TUO_GSO_TCPV4;
    full.vnet.gso_size = 1000;
    ladder_case c = case_of(&good, &full);
    CHECK_EQ_STR(pattern_of(&good, &full), "S3");
    check_ladder(&c);
    full.bytes[full.len - 1] ^= 1;
    CHECK_RESULT(tuo_tx_init(&tx, &good, full.bytes, full.len, &full.vnet, 0), TUO_E_L4_CSUM);
    free(full.bytes);

    check_row("in place: another pointer than init got");
    p = make_partial(&s, 1000);
    tuo_tx_packet out, untouched;
    memset(&out, 0xa5, sizeof out);
    untouched = out;
    CHECK_RESULT(tuo_tx_init(&tx, &good, p.bytes, p.len, &p.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes + 1, &out), TUO_E_INVALID);
    CHECK(memcmp(&out, &untouched, sizeof out) == 0);
    CHECK_EQ_INT(tuo_tx_remaining(&tx), 1);
    CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes, &out), TUO_OK);
    CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes, &out), TUO_DONE);
    free(p.bytes);
}

/* Pieces: what would be too many is said, and nothing is lost. */
TEST(max_frags)
{
    static const struct {
        const char *name;
        size_t gso_size; /* 0: a partial checksum to finish */
        tuo_caps caps;
        tuo_result result;
        size_t packets;
    } rows[] = {
        {"headers and payload, contiguous only", 1000, {SUMS, LARGEST(2040), .max_frags = 1}, TUO_E_UNSUPPORTED, 2},
        {"headers and payload, two pieces", 1000, {SUMS, LARGEST(2040), .max_frags = 2}, TUO_OK, 2},
        {"segments, contiguous only", 1000, {.max_frags = 1}, TUO_E_UNSUPPORTED, 3},
        {"segments, two pieces", 1000, {.max_frags = 2}, TUO_OK, 3},
        {"whole, two pieces", 1000, {SUMS, LARGEST(65535), .max_frags = 2}, TUO_OK, 1},
        {"whole with another sum, contiguous only", 1000, {SUMS, LARGEST(65535), .tso_sum_no_len = 1, .max_frags = 1}, TUO_E_UNSUPPORTED,
         1},
        {"whole without its IPv4 checksum, contiguous only", 1000, {SUMS, LARGEST(65535), .tx_csum_ip4 = 1, .max_frags = 1},
         TUO_E_UNSUPPORTED,
         1},
        {"a checksum to finish, contiguous only", 0, {.max_frags = 1}, TUO_E_UNSUPPORTED, 1},
        {"a checksum to finish, three pieces", 0, {.max_frags = 3}, TUO_OK, 1},
        {"a checksum left, contiguous only", 0, {SUMS, .max_frags = 1}, TUO_OK, 1},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        pkt_spec s = {.payload_len = 2500};
        packet p = make_partial(&s, rows[i].gso_size);
        tuo_tx tx;
        tuo_tx_packet out;
        ladder_case c = case_of(&rows[i].caps, &p);
        check_ladder(&c);
        memset(&out, 0xa5, sizeof out);
        CHECK_RESULT(tuo_tx_init(&tx, &rows[i].caps, p.bytes, p.len, &p.vnet, 0), TUO_OK);
        CHECK_EQ_INT(tuo_tx_remaining(&tx), rows[i].packets);
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), rows[i].result);
        if (rows[i].result == TUO_E_UNSUPPORTED) {
            CHECK(ladder_untouched(&out));
            CHECK_EQ_INT(tuo_tx_remaining(&tx), rows[i].packets);
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_E_UNSUPPORTED);
            for (size_t left = rows[i].packets; left > 0; left--) {
                CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes, &out), TUO_OK);
                CHECK_EQ_INT(out.iov_count, 1);
                CHECK_EQ_INT(tuo_tx_remaining(&tx), left - 1);
            }
            CHECK_RESULT(tuo_tx_next_in_place(&tx, p.bytes, &out), TUO_DONE);
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &out), TUO_DONE);
        }
        free(p.bytes);
    }
}

/* ------------------------------------------------------------------------------------------------- the ladder, at random */

/* Mostly small, sometimes large, never more than 600 segments. */
static void random_sizes(rng *r, int32_t *payload_len, size_t *gso_size)
{
    static const uint32_t sizes[] = {1, 2, 7, 8, 100, 536, 1000, 1400, 1448, 8948, 9000};
    *gso_size = rng_chance(r, 1, 2) ? sizes[rng_below(r, CHECK_COUNT_OF(sizes))] : 1 + rng_below(r, 9000);
    uint32_t segs = rng_chance(r, 1, 20) ? 1 + rng_below(r, 600) : 1 + rng_below(r, 12);
    uint64_t len = (uint64_t)*gso_size * segs;
    len -= rng_chance(r, 1, 3) ? 0 : rng_below(r, (uint32_t)*gso_size);
    if (rng_chance(r, 1, 30)) { /* around what a length field can say */
        len = 65535 - 80 + rng_below(r, 140);
        *gso_size = 200 + rng_below(r, 8800);
    }
    *payload_len = (int32_t)(len > 200000 ? 200000 : len < 1 ? 1 : len);
}

static pkt_spec random_spec(rng *r, int ethernet, int large)
{
    static const char *const chains[] = {"", "H", "D", "HD", "R", "r", "HrD", "DDDDDDDD", "J", "JD", "Jr"};
    static uint8_t options[80];
    static const int32_t flag_sets[] = {PKT_ACK, PKT_ACK | PKT_PSH, PKT_ACK | PKT_FIN, PKT_ACK | PKT_CWR,
        PKT_ACK | PKT_CWR | PKT_PSH | PKT_FIN,
                                        PKT_ACK | PKT_ECE, PKT_ACK | PKT_ECE | PKT_CWR, 0xff};
    pkt_spec s;
    memset(&s, 0, sizeof s);
    rng_bytes(r, options, sizeof options);
    s.kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT);
    s.payload_len = large ? 0 : (int32_t)(1 + rng_below(r, 600));
    s.payload_seed = rng_below(r, 1000);
    s.seq = rng_chance(r, 1, 3) ? 0u - rng_below(r, 3000) : (uint32_t)rng_u64(r);
    s.ack = (uint32_t)rng_u64(r);
    s.tcp_flags = rng_chance(r, 1, 4) ? (int32_t)(1 + rng_below(r, 255)) : flag_sets[rng_below(r, CHECK_COUNT_OF(flag_sets))];
    s.urgent = (uint16_t)rng_u64(r);
    s.reserved = (uint8_t)rng_below(r, 16);
    s.src_port = (int32_t)rng_below(r, 65535) + 1;
    s.tos = (uint8_t)rng_u64(r);
    s.src = (uint16_t)rng_u64(r);
    s.ip_id = (uint16_t)(rng_chance(r, 1, 2) ? 65536 - rng_below(r, 20) : rng_below(r, 65536));
    s.df = rng_chance(r, 1, 2) ? 0 : PKT_ZERO;
    s.flow_label = rng_below(r, 1 << 20);
    if (rng_chance(r, 1, 3)) {
        s.tcp_options = options;
        s.tcp_options_len = (uint8_t)rng_below(r, 41);
    }
    if (rng_chance(r, 1, 4)) {
        s.ip_options = options + 40;
        s.ip_options_len = (uint8_t)rng_below(r, 41);
    }
    if (pkt_is_v6(&s) && rng_chance(r, 1, 2)) {
        s.ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
        s.ext_fill = (uint8_t)rng_u64(r);
    }
    if (ethernet) {
        s.ethernet = 1;
        s.vlan_count = (uint8_t)(rng_chance(r, 1, 2) ? 0 : rng_below(r, 5));
        for (size_t i = 0; i < s.vlan_count; i++) {
            s.vlan_tci[i] = (uint16_t)rng_u64(r);
            s.vlan_tpid[i] = rng_chance(r, 1, 2) ? 0x8100 : 0x88a8;
        }
        s.trailer_len = rng_chance(r, 1, 4) ? (uint16_t)rng_below(r, 50) : 0;
    }
    return s;
}

static packet random_bytes(rng *r, int ethernet)
{
    packet p;
    memset(&p.vnet, 0, sizeof p.vnet);
    p.len = rng_below(r, 120);
    p.bytes = ref_alloc(p.len, 1);
    rng_bytes(r, p.bytes, p.len);
    if (ethernet && p.len >= 14) {
        pkt_put16(p.bytes + 12, rng_chance(r, 1, 2) ? 0x0806 : rng_chance(r, 1, 2) ? 0x0800 : 0x88cc);
    }
    return p;
}

static packet random_packet(rng *r, int ethernet)
{
    uint32_t shape = rng_below(r, 100);
    packet p;
    if (shape < 6) {
        p = random_bytes(r, ethernet);
    } else if (shape < 14) {
        pkt_spec s = random_spec(r, ethernet, 0);
        s.payload_len = rng_chance(r, 1, 4) ? PKT_ZERO : s.payload_len;
        p = make_plain(&s);
        p.vnet.flags = rng_chance(r, 1, 2) ? TUO_VNET_DATA_VALID : 0;
    } else if (shape < 30) {
        pkt_spec s = random_spec(r, ethernet, 0);
        s.payload_len = rng_chance(r, 1, 4) ? PKT_ZERO : s.payload_len;
        p = make_partial(&s, 0);
    } else {
        pkt_spec s = random_spec(r, ethernet, 1);
        size_t gso_size;
        random_sizes(r, &s.payload_len, &gso_size);
        s.ip_len_zero = s.trailer_len == 0 && rng_chance(r, 1, 10);
        if (s.payload_len > 65000) {
            s.trailer_len = 0;
        }
        p = make_partial(&s, gso_size);
        p.vnet.hdr_len = rng_chance(r, 1, 2) ? p.vnet.hdr_len : (uint16_t)rng_u64(r);
        if (!pkt_is_udp(&s) && rng_chance(r, 1, 8)) {
            p.vnet.gso_type |= TUO_GSO_ECN;
        }
        if (rng_chance(r, 1, 10)) {
            ref_make_sum_zero(p.bytes, p.len, ethernet, gso_size);
        } else if (rng_chance(r, 1, 20)) { /* a seed that is not what it should be */
            pkt_put16(p.bytes + p.vnet.csum_start + p.vnet.csum_offset, rng_below(r, 65536));
        }
        if (!pkt_is_udp(&s) && rng_chance(r, 1, 10)) { /* a finished checksum, over everything */
            ref_complete(p.bytes, pkt_len(&s) - s.trailer_len, p.vnet.csum_start, p.vnet.csum_offset);
            p.vnet.flags = 0;
        }
    }
    if (shape < 6 || rng_chance(r, 1, 25)) { /* a checksum that only the header knows of */
        p.vnet.flags = rng_chance(r, 2, 3) ? TUO_VNET_NEEDS_CSUM : p.vnet.flags;
        p.vnet.csum_start = (uint16_t)rng_below(r, (uint32_t)p.len + 2);
        p.vnet.csum_offset = (uint16_t)(rng_chance(r, 1, 2) ? 16 : rng_below(r, (uint32_t)p.len + 1));
    }
    if (rng_chance(r, 1, 25) && p.len > 0) { /* somewhere in the headers */
        p.bytes[rng_below(r, (uint32_t)(p.len < 70 ? p.len : 70))] ^= (uint8_t)(1u << rng_below(r, 8));
    }
    return p;
}

/* A limit in bytes, often at an edge of this packet. */
static uint32_t random_largest(rng *r, size_t ip_len, size_t gso_size)
{
    static const uint32_t edges[] = {0, 1, 576, 16384, 65535, 65536, 65575, 65576, 262144, 0xffffffffu};
    switch (rng_below(r, 4)) {
    case 0: return edges[rng_below(r, CHECK_COUNT_OF(edges))];
    case 1: return (uint32_t)ip_len + rng_below(r, 3) - (ip_len > 0);
    case 2: return (uint32_t)(40 + gso_size * (1 + rng_below(r, 4)) + rng_below(r, 90));
    default: return 65535;
    }
}

/* Often around what this packet has, so that each limit decides now and then. */
static tuo_caps random_caps(rng *r, int ethernet, size_t ip_len, size_t payload_len, size_t gso_size)
{
    tuo_caps c;
    size_t segs = gso_size ? (payload_len + gso_size - 1) / gso_size : 1;
    memset(&c, 0, sizeof c);
    c.ethernet = ethernet != 0;
    if (rng_chance(r, 1, 20)) {
        return c;
    }
    c.tx_csum_ip4 = (uint8_t)rng_chance(r, 1, 3);
    c.tx_csum_tcp4 = (uint8_t)rng_chance(r, 2, 3);
    c.tx_csum_udp4 = (uint8_t)rng_chance(r, 2, 3);
    c.tx_csum_tcp6 = (uint8_t)rng_chance(r, 2, 3);
    c.tx_csum_udp6 = (uint8_t)rng_chance(r, 2, 3);
    c.tx_csum_any = (uint8_t)rng_chance(r, 1, 4);
    c.tx_ip6_ext = (uint8_t)rng_chance(r, 2, 3);
    c.tx_vlan_max = (uint8_t)(rng_chance(r, 1, 2) ? 4 : rng_below(r, 5));
    c.tx_vlan_insert = (uint8_t)rng_chance(r, 1, 2);
    c.tso_cwr = (uint8_t)rng_chance(r, 1, 2);
    c.tso_sum_no_len = (uint8_t)rng_chance(r, 1, 3);
    c.max_tcp4 = random_largest(r, ip_len, gso_size);
    c.max_tcp6 = random_largest(r, ip_len, gso_size);
    c.max_udp4 = random_largest(r, ip_len, gso_size);
    c.max_udp6 = random_largest(r, ip_len, gso_size);
    c.min_seg_size = rng_chance(r, 1, 6) ? (uint32_t)gso_size + rng_below(r, 3) - 1 : 0;
    c.max_seg_size = rng_chance(r, 1, 6) ? (uint32_t)gso_size + rng_below(r, 3) - (gso_size > 1) : 0;
    if (rng_chance(r, 1, 3)) {
        c.max_segs = rng_chance(r, 1, 2) ? 1 + rng_below(r, 5) : (uint32_t)segs + rng_below(r, 3);
        c.max_udp_segs = rng_chance(r, 1, 2) ? 1 + rng_below(r, 5) : (uint32_t)segs + rng_below(r, 3);
    }
    c.max_frags = rng_chance(r, 1, 2) ? rng_below(r, 5) : 0;
    c.max_hdr_len = rng_chance(r, 1, 6) ? 30 + rng_below(r, 120) : 0;
    if (rng_chance(r, 1, 4)) {
        c.mtu = (uint32_t)(gso_size && rng_chance(r, 3, 4) ? gso_size + 28 + rng_below(r, 60) : ip_len + rng_below(r, 10));
    }
    return c;
}

TEST(device_sends_what_the_splitter_would)
{
    enum { ROUNDS = 6000 };
    rng r = rng_start("device_sends_what_the_splitter_would", 20260714);
    unsigned whole = 0, several = 0, refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int ethernet = rng_chance(&r, 1, 2);
        packet p = random_packet(&r, ethernet);
        pkt_view v = pkt_look(p.bytes, p.len, ethernet, 1);
        size_t packets;
        tuo_caps caps = random_caps(&r, ethernet, pkt_has_l4(&v) ? v.end - v.ip : 0, v.payload_len, p.vnet.gso_size);
        ladder_case c = case_of(&caps, &p);
        c.flags = TUO_F_SIMD(simd_level_at(round)) | (rng_chance(&r, 1, 6) ? (unsigned)TUO_F_TRUST : 0u) |
                  (rng_chance(&r, 2, 3) ? (unsigned)TUO_F_STRIP_JUMBO : 0u) |
                  (rng_chance(&r, 1, 4) ? (unsigned)(TUO_F_ETHERNET | TUO_F_PSEUDO | TUO_F_WRITE | TUO_F_SUPERPACKET) : 0u);
        c.switch_at = rng_below(&r, 4);
        const char *complaint = ladder_check(&c, &packets);
        if (!CHECK_EQ_STR(complaint, NULL) && check_state.printed <= CHECK_PRINT_MAX) {
            printf("    round %u\n", round);
            print_case(&c);
        }
        whole += p.vnet.gso_type != 0 && packets == 1;
        several += packets > 1;
        refused += packets == 0;
        free(p.bytes);
    }
    CHECK(whole > ROUNDS / 20 && several > ROUNDS / 20 && refused > ROUNDS / 100 && refused < ROUNDS / 4); /* all of it was tried */
}

/* ---------------------------------------------------------------------------------------------------------- preparation */

/* Prepares with garbage in the length and checksum fields. expected: TUO_OK, or the error. */
static void check_prepare(const pkt_spec *s, size_t gso_size, const tuo_caps *caps, tuo_result expected)
{
    static const uint32_t garbage[] = {0, 1, 0x1234, 0xffff, 0x10000}; /* the last: none */
    pkt_spec pseudo = *s;
    pseudo.l4_csum_pseudo = 1;
    pseudo.l4_csum_zero = 0;
    packet right = make_plain(&pseudo);
    for (size_t g = 0; g < CHECK_COUNT_OF(garbage); g++) {
        packet p = make_plain(s);
        pkt_view v = pkt_look(p.bytes, p.len, pkt_is_ethernet(s), 1);
        size_t ip = pkt_ip_off(s);
        tuo_vnet_hdr vnet, filled;
        memset(&filled, 0x5a, sizeof filled);
        vnet = filled;
        if (garbage[g] <= 0xffff) {
            pkt_put16(p.bytes + ip + (pkt_is_v6(s) ? 4 : 2), garbage[g]);
            if (!pkt_is_v6(s)) {
                pkt_put16(p.bytes + ip + 10, garbage[g] ^ 0x5555);
            }
            if (pkt_has_l4(&v)) {
                pkt_put16(p.bytes + pkt_l4_csum_at(&v), garbage[g]);
                if (pkt_is_udp(s)) {
                    pkt_put16(p.bytes + v.l4 + 4, garbage[(g + 1) % 4]);
                }
            }
        }
        uint8_t *before = ref_alloc(p.len, 1);
        memcpy(before, p.bytes, p.len);
        CHECK_RESULT(tuo_tso_prepare(p.bytes, p.len, (uint16_t)gso_size, caps, &vnet), expected);
        if (expected != TUO_OK) {
            CHECK_BYTES(p.bytes, before, p.len);
            CHECK(memcmp(&vnet, &filled, sizeof vnet) == 0);
        } else {
            int is_super = pkt_payload_len(s) > gso_size;
            tuo_vnet_hdr wanted = vnet_of(s, is_super ? gso_size : 0);
            CHECK_BYTES(p.bytes, right.bytes, p.len);
            CHECK_EQ_INT(vnet.flags, wanted.flags);
            CHECK_EQ_INT(vnet.gso_type, wanted.gso_type);
            CHECK_EQ_INT(vnet.gso_size, wanted.gso_size);
            CHECK_EQ_INT(vnet.csum_start, wanted.csum_start);
            CHECK_EQ_INT(vnet.csum_offset, wanted.csum_offset);
            CHECK_EQ_INT(vnet.hdr_len, wanted.hdr_len);
            CHECK(vnet.num_buffers == 0 && vnet.hash_value == 0 && vnet.outer_th_offset == 0 && vnet.inner_nh_offset == 0);
            CHECK_RESULT(tuo_vnet_check(&vnet, p.bytes, p.len, caps->ethernet ? TUO_F_ETHERNET : 0), TUO_OK);
            p.vnet = vnet;
            ladder_case c = case_of(caps, &p);
            if (g == 0) {
                check_ladder(&c);
            }
        }
        free(before);
        free(p.bytes);
    }
    free(right.bytes);
}

/* IP packets around the largest that a length field can describe. */
TEST(prepare_at_the_edges_of_length)
{
    static const struct {
        size_t ip_len;
        uint32_t largest;
        tuo_result v4, v6;
    } rows[] = {
        {1500, 0, TUO_OK, TUO_OK},
        {65535, 0, TUO_OK, TUO_OK},
        {65535, 65535, TUO_OK, TUO_OK},
        {65536, 0, TUO_E_IP_LENGTH, TUO_OK},
        {65536, 65535, TUO_E_IP_LENGTH, TUO_OK},
        {65536, 65536, TUO_OK, TUO_OK},
        {65575, 0, TUO_E_IP_LENGTH, TUO_OK},
        {65575, 65535, TUO_E_IP_LENGTH, TUO_OK},
        {65575, 65575, TUO_OK, TUO_OK},
        {65576, 0, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {65576, 65535, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {65576, 65576, TUO_OK, TUO_OK},
        {200000, 65535, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {200000, 262144, TUO_OK, TUO_OK},
        /* length 0 is taken, the size is not: "the device segments none that large" */
        {65576, 65575, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {200000, 65536, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {200000, 199999, TUO_E_IP_LENGTH, TUO_E_IP_LENGTH},
        {200000, 200000, TUO_OK, TUO_OK},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
            for (int ethernet = 0; ethernet < 2; ethernet++) {
                tuo_caps caps = {LARGEST(rows[i].largest), .ethernet = ethernet != 0};
                pkt_spec s = {.kind = (pkt_kind)kind, .vlan_count = (uint8_t)ethernet};
                s.payload_len = (int32_t)(rows[i].ip_len - (pkt_payload_off(&s) - pkt_ip_off(&s)));
                check_row("%lu bytes of %s%s, largest %lu", (unsigned long)rows[i].ip_len, kind_names[kind], ethernet ? " in a frame" : "",
                          (unsigned long)rows[i].largest);
                check_prepare(&s, 1400, &caps, pkt_is_v6(&s) ? rows[i].v6 : rows[i].v4);
            }
        }
    }
    check_row("the size that counts is that of the packet's kind");
    tuo_caps others = {.max_tcp6 = 262144, .max_udp4 = 262144, .max_udp6 = 262144};
    pkt_spec s = {.payload_len = 70000};
    check_prepare(&s, 1400, &others, TUO_E_IP_LENGTH);
    others.max_tcp4 = 262144;
    others.max_udp6 = 0;
    check_prepare(&s, 1400, &others, TUO_OK);
    s.kind = PKT_UDP6;
    check_prepare(&s, 1400, &others, TUO_E_IP_LENGTH);
}

TEST(prepare_by_rule)
{
    static uint8_t long_ext[240] = {6, 29, 1, 4, 0, 0, 0, 0};
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t gso_size;
        tuo_result result;
    } rows[] = {
        {"TCP over IPv4", {.payload_len = 5000}, 1000, TUO_OK},
        {"TCP over IPv6", {.kind = PKT_TCP6, .payload_len = 5000}, 1000, TUO_OK},
        {"UDP over IPv4", {.kind = PKT_UDP4, .payload_len = 5000}, 1000, TUO_OK},
        {"UDP over IPv6", {.kind = PKT_UDP6, .payload_len = 5000}, 1000, TUO_OK},
        {"payload of one segment: ordinary", {.payload_len = 1000}, 1000, TUO_OK},
        {"payload below one segment: ordinary", {.kind = PKT_UDP6, .payload_len = 1}, 1000, TUO_OK},
        {"payload of one segment and a byte", {.payload_len = 1001}, 1000, TUO_OK},
        {"segments of one byte", {.payload_len = 40}, 1, TUO_OK},
        {"segments of seven bytes", {.kind = PKT_TCP6, .payload_len = 40}, 7, TUO_OK},
        {"options", {.payload_len = 5000, .ip_options = nops, .ip_options_len = 40, .tcp_options = nops, .tcp_options_len = 40}, 1000,
         TUO_OK},
        {"all flags stay", {.payload_len = 5000, .tcp_flags = 0xff, .urgent = 7, .reserved = 15}, 1000, TUO_OK},
        {"four tags", {.payload_len = 5000, .vlan_count = 4}, 1000, TUO_OK},
        {"five tags", {.payload_len = 5000, .vlan_count = 5}, 1000, TUO_E_VLAN_DEPTH},
        {"extension headers", {.kind = PKT_UDP6, .payload_len = 5000, .ext_chain = "HDR"}, 1000, TUO_OK},
        {"eight extension headers", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "DDDDDDDD"}, 1000, TUO_OK},
        {"nine extension headers", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "DDDDDDDDD"}, 1000, TUO_E_IP6_EXT},
        {"routing header with segments left", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "r"}, 1000, TUO_E_VNET_PROTOCOL},
        {"another protocol", {.payload_len = 5000, .proto = 1}, 1000, TUO_E_VNET_PROTOCOL},
        {"IPsec", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "A"}, 1000, TUO_E_VNET_PROTOCOL},
        {"ESP", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "E"}, 1000, TUO_E_VNET_PROTOCOL},
        {"first fragment", {.payload_len = 5000, .frag = 0x2000}, 1000, TUO_E_VNET_FRAGMENT},
        {"later fragment", {.payload_len = 5000, .frag = 100}, 1000, TUO_E_VNET_FRAGMENT},
        {"IPv6 fragment", {.kind = PKT_TCP6, .payload_len = 5000, .ext_chain = "f"}, 1000, TUO_E_VNET_FRAGMENT},
        {"fragment header of a whole packet", {.kind = PKT_UDP6, .payload_len = 5000, .ext_chain = "F"}, 1000, TUO_E_VNET_FRAGMENT},
        {"pure ACK: ordinary", {.payload_len = PKT_ZERO}, 1000, TUO_OK},
        {"SYN with options", {.kind = PKT_TCP6, .payload_len = PKT_ZERO, .tcp_flags = PKT_SYN, .tcp_options = nops, .tcp_options_len = 12},
         1000, TUO_OK},
        {"empty datagram: ordinary", {.kind = PKT_UDP4, .payload_len = PKT_ZERO}, 1, TUO_OK},
        {"gso_size 0", {.payload_len = 5000}, 0, TUO_E_VNET_GSO_SIZE},
        {"gso_size 0 without payload", {.payload_len = PKT_ZERO}, 0, TUO_E_VNET_GSO_SIZE},
        {"gso_size 65535", {.payload_len = 5000}, 65535, TUO_E_VNET_GSO_SIZE},
        {"gso_size 65534 and less payload", {.payload_len = 5000}, 65534, TUO_OK},
        {"gso_size 65534, as much payload as IP can hold", {.payload_len = 65495}, 65534, TUO_OK},
        {"segments one byte beyond IPv4", {.payload_len = 70000}, 65496, TUO_E_VNET_GSO_SIZE},
        {"segments as long as IPv4 can be", {.payload_len = 70000}, 65495, TUO_OK},
        {"segments as long as IPv6 can be", {.kind = PKT_TCP6, .payload_len = 70000}, 65515, TUO_OK},
        {"segments one byte beyond IPv6", {.kind = PKT_TCP6, .payload_len = 70000}, 65516, TUO_E_VNET_GSO_SIZE},
        {"datagrams as long as UDP can be", {.kind = PKT_UDP6, .payload_len = 70000}, 65527, TUO_OK},
        {"datagrams one byte beyond", {.kind = PKT_UDP6, .payload_len = 70000}, 65528, TUO_E_VNET_GSO_SIZE},
        {"headers too long", {.kind = PKT_TCP6, .payload_len = 5000, .ext = long_ext, .ext_len = 240, .ext_first = 60}, 1000,
         TUO_E_HEADER_TOO_LONG},
        {"zero UDP checksum is replaced", {.kind = PKT_UDP4, .payload_len = 5000, .l4_csum_zero = 1}, 1000, TUO_OK},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_caps caps = {SUMS, LARGEST(262144), .tx_vlan_max = 4, .tx_ip6_ext = 1, .ethernet = pkt_is_ethernet(&rows[i].spec) != 0};
        check_row("%s", rows[i].name);
        check_prepare(&rows[i].spec, rows[i].gso_size, &caps, rows[i].result);
        if (rows[i].result == TUO_OK && rows[i].spec.payload_len < 60000) {
            tuo_caps zero = {.ethernet = caps.ethernet}; /* what the device cannot do is not for this function to say */
            check_prepare(&rows[i].spec, rows[i].gso_size, &zero, TUO_OK);
        }
    }
}

/* What is not a TCP or UDP packet to its end. */
TEST(prepare_of_broken_packets)
{
    static const tuo_caps ip = {LARGEST(65535)}, frames = {LARGEST(65535), .ethernet = 1};
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t len;         /* cut to this */
        size_t at;          /* byte that is changed */
        uint8_t value;
        tuo_result result;
    } rows[] = {
        {"nothing", {.payload_len = 100}, 0, 0, 0x45, TUO_E_TRUNCATED},
        {"IP version 5", {.payload_len = 100}, 140, 0, 0x55, TUO_E_NOT_IP},
        {"cut in the IPv4 header", {.payload_len = 100}, 19, 0, 0x45, TUO_E_TRUNCATED},
        {"cut in the IPv6 header", {.kind = PKT_TCP6, .payload_len = 100}, 39, 0, 0x60, TUO_E_TRUNCATED},
        {"IPv4 header of 16 bytes", {.payload_len = 100}, 140, 0, 0x44, TUO_E_IP_HEADER},
        {"IPv4 header beyond the packet", {.payload_len = 100}, 40, 0, 0x4f, TUO_E_IP_LENGTH},
        {"cut in the TCP header", {.payload_len = 100}, 39, 0, 0x45, TUO_E_TCP_HEADER},
        {"TCP header of 16 bytes", {.payload_len = 100}, 140, 32, 0x40, TUO_E_TCP_HEADER},
        {"TCP header beyond the packet", {.payload_len = 4}, 44, 32, 0xf0, TUO_E_TCP_HEADER},
        {"cut in the UDP header", {.kind = PKT_UDP4, .payload_len = 100}, 27, 0, 0x45, TUO_E_UDP_LENGTH},
        {"cut in an extension header", {.kind = PKT_TCP6, .ext_chain = "D", .payload_len = 100}, 47, 0, 0x60, TUO_E_IP6_EXT},
        {"ARP", {.ethernet = 1, .payload_len = 100}, 154, 13, 0x06, TUO_E_NOT_IP},
        {"cut in the Ethernet header", {.ethernet = 1, .payload_len = 100}, 13, 13, 0, TUO_E_TRUNCATED},
        {"cut in a tag", {.vlan_count = 1, .payload_len = 100}, 17, 12, 0x81, TUO_E_TRUNCATED},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        packet p = make_plain(&rows[i].spec);
        CHECK(rows[i].len <= p.len);
        if (rows[i].at < rows[i].len) {
            p.bytes[rows[i].at] = rows[i].value;
        }
        uint8_t *exact = ref_alloc(rows[i].len, 1);
        memcpy(exact, p.bytes, rows[i].len);
        tuo_vnet_hdr vnet, filled;
        memset(&filled, 0x5a, sizeof filled);
        vnet = filled;
        CHECK_RESULT(tuo_tso_prepare(exact, rows[i].len, 1000, pkt_is_ethernet(&rows[i].spec) ? &frames : &ip, &vnet), rows[i].result);
        CHECK(memcmp(exact, p.bytes, rows[i].len) == 0);
        CHECK(memcmp(&vnet, &filled, sizeof vnet) == 0);
        free(exact);
        free(p.bytes);
    }
    check_row("capabilities out of range");
    pkt_spec s = {.payload_len = 5000};
    packet p = make_plain(&s);
    tuo_vnet_hdr vnet;
    tuo_caps bad = ip;
    bad.ethernet = 2;
    CHECK_RESULT(tuo_tso_prepare(p.bytes, p.len, 1000, &bad, &vnet), TUO_E_INVALID);
    bad = ip;
    bad.tx_vlan_max = 5;
    CHECK_RESULT(tuo_tso_prepare(p.bytes, p.len, 1000, &bad, &vnet), TUO_E_INVALID);
    free(p.bytes);
}

/* Prepared and sent: what a stack hands over is on the wire, whatever the device. */
TEST(prepare_at_random)
{
    enum { ROUNDS = 2500 };
    rng r = rng_start("prepare_at_random", 77);
    unsigned prepared = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int ethernet = rng_chance(&r, 1, 2);
        pkt_spec s = random_spec(&r, ethernet, 1);
        size_t gso_size;
        random_sizes(&r, &s.payload_len, &gso_size);
        s.payload_len = rng_chance(&r, 1, 20) ? PKT_ZERO : s.payload_len;
        s.trailer_len = 0;
        packet p = make_plain(&s), expected = make_plain(&s);
        for (int n = rng_chance(&r, 1, 2) ? 1 : 0; n > 0; n--) { /* garbage in a header */
            size_t at = rng_below(&r, (uint32_t)pkt_payload_off(&s));
            uint8_t value = (uint8_t)rng_u64(&r);
            p.bytes[at] = expected.bytes[at] = value;
        }
        tuo_caps caps = random_caps(&r, ethernet, p.len - pkt_ip_off(&s), pkt_payload_len(&s), gso_size);
        memcpy(expected.bytes, p.bytes, p.len);
        int good = ref_prepare(expected.bytes, p.len, gso_size, &caps, &expected.vnet);
        tuo_result result = tuo_tso_prepare(p.bytes, p.len, (uint16_t)gso_size, &caps, &p.vnet);
        int ok = CHECK_EQ_INT(result == TUO_OK, good);
        if (ok && good) {
            prepared++;
            ok = CHECK_BYTES(p.bytes, expected.bytes, p.len) && CHECK(ladder_same_vnet(&p.vnet, &expected.vnet));
            ladder_case c = case_of(&caps, &p);
            c.switch_at = rng_below(&r, 4);
            ok = check_ladder(&c) && ok;
        }
        if (!ok && check_state.printed <= CHECK_PRINT_MAX) {
            ladder_case c = case_of(&caps, &p);
            printf("    round %u, %s, gso_size %lu\n", round, tuo_result_name(result), (unsigned long)gso_size);
            print_case(&c);
        }
        free(p.bytes);
        free(expected.bytes);
    }
    CHECK(prepared > ROUNDS / 3);
}

/* -------------------------------------------------------------------------------------------------- capabilities of two */

typedef struct caps_field {
    const char *name;
    size_t offset;
} caps_field;
#define FIELD(name) {#name, offsetof(tuo_caps, name)}

static const caps_field caps_flags[] = {FIELD(tx_csum_ip4), FIELD(tx_csum_tcp4), FIELD(tx_csum_udp4), FIELD(tx_csum_tcp6),
    FIELD(tx_csum_udp6),
                                        FIELD(rx_csum_ip4), FIELD(rx_csum_tcp4), FIELD(rx_csum_udp4), FIELD(rx_csum_tcp6),
                                            FIELD(rx_csum_udp6),
                                        FIELD(tx_ip6_ext), FIELD(tso_cwr), FIELD(tx_csum_any), FIELD(tx_vlan_insert)};
static const caps_field caps_largest[] = {FIELD(max_tcp4), FIELD(max_tcp6), FIELD(max_udp4), FIELD(max_udp6)};
static const caps_field caps_limits[] = {FIELD(max_seg_size), FIELD(max_segs), FIELD(max_udp_segs), FIELD(max_frags),
    FIELD(max_hdr_len), FIELD(mtu)}; /* 0 = none */

static int same_caps(const tuo_caps *a, const tuo_caps *b)
{
    int same = a->tx_vlan_max == b->tx_vlan_max && a->tso_sum_no_len == b->tso_sum_no_len && a->min_seg_size == b->min_seg_size &&
               a->ethernet == b->ethernet;
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_flags); i++) {
        same = same && *((const uint8_t *)a + caps_flags[i].offset) == *((const uint8_t *)b + caps_flags[i].offset);
    }
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_largest); i++) {
        same = same && memcmp((const uint8_t *)a + caps_largest[i].offset, (const uint8_t *)b + caps_largest[i].offset, 4) == 0;
    }
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_limits); i++) {
        same = same && memcmp((const uint8_t *)a + caps_limits[i].offset, (const uint8_t *)b + caps_limits[i].offset, 4) == 0;
    }
    return same;
}

/* a and b give `expected`, in both orders, and when one of them is where the result goes. */
static void check_intersect(const tuo_caps *a, const tuo_caps *b, const tuo_caps *expected)
{
    tuo_caps both, left = *a, right = *b;
    memset(&both, 0x5a, sizeof both);
    CHECK_RESULT(tuo_caps_intersect(a, b, &both), TUO_OK);
    CHECK(same_caps(&both, expected));
    CHECK_RESULT(tuo_caps_intersect(b, a, &both), TUO_OK);
    CHECK(same_caps(&both, expected));
    CHECK_RESULT(tuo_caps_intersect(&left, b, &left), TUO_OK);
    CHECK(same_caps(&left, expected));
    CHECK_RESULT(tuo_caps_intersect(a, &right, &right), TUO_OK);
    CHECK(same_caps(&right, expected));
}

static void put_u32(tuo_caps *c, size_t offset, uint32_t value)
{
    memcpy((uint8_t *)c + offset, &value, sizeof value);
}

TEST(intersection_of_each_field)
{
    static const tuo_caps full = {.tx_csum_ip4 = 1, SUMS, .rx_csum_ip4 = 1, .rx_csum_tcp4 = 1, .rx_csum_udp4 = 1, .rx_csum_tcp6 = 1,
        .rx_csum_udp6 = 1,
                                  .tx_ip6_ext = 1, .tx_vlan_max = 3, .tso_cwr = 1, LARGEST(65535), .ethernet = 1};
    check_row("a device with itself");
    check_intersect(&full, &full, &full);
    check_row("zero devices");
    tuo_caps zero;
    memset(&zero, 0, sizeof zero);
    check_intersect(&zero, &zero, &zero);
    check_row("a zero device takes everything away but the kind of frames");
    tuo_caps zero_frames = zero;
    zero_frames.ethernet = 1;
    check_intersect(&full, &zero_frames, &zero_frames);
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_flags); i++) {
        check_row("%s: only if both", caps_flags[i].name);
        tuo_caps with = full, without = full;
        *((uint8_t *)&with + caps_flags[i].offset) = 1;
        *((uint8_t *)&without + caps_flags[i].offset) = 0;
        check_intersect(&with, &with, &with);
        check_intersect(&with, &without, &without);
        check_intersect(&without, &without, &without);
    }
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_largest); i++) {
        check_row("%s: the smaller; 0 = none", caps_largest[i].name);
        tuo_caps a = full, b = full;
        put_u32(&a, caps_largest[i].offset, 262144);
        put_u32(&b, caps_largest[i].offset, 16384);
        check_intersect(&a, &b, &b);
        put_u32(&b, caps_largest[i].offset, 0);
        check_intersect(&a, &b, &b);
        put_u32(&a, caps_largest[i].offset, 0xffffffffu);
        put_u32(&b, caps_largest[i].offset, 65536);
        check_intersect(&a, &b, &b);
    }
    for (size_t i = 0; i < CHECK_COUNT_OF(caps_limits); i++) {
        check_row("%s: the smaller; 0 = any", caps_limits[i].name);
        tuo_caps a = full, b = full;
        put_u32(&a, caps_limits[i].offset, 1400);
        check_intersect(&a, &b, &a);
        put_u32(&b, caps_limits[i].offset, 3);
        check_intersect(&a, &b, &b);
    }
    check_row("min_seg_size: the larger");
    tuo_caps a = full, b = full;
    a.min_seg_size = 64;
    check_intersect(&a, &b, &a);
    b.min_seg_size = 256;
    check_intersect(&a, &b, &b);
    check_row("who sums anything sums each kind");
    tuo_caps any = {.tx_csum_any = 1}, one = {.tx_csum_udp6 = 1};
    check_intersect(&any, &one, &one);
    check_row("tx_vlan_max: the smaller");
    a = b = full;
    b.tx_vlan_max = 1;
    check_intersect(&a, &b, &b);
    b.tx_vlan_max = 0;
    check_intersect(&a, &b, &b);
    check_row("tso_sum_no_len of both");
    a = full;
    a.tso_sum_no_len = 1;
    check_intersect(&a, &a, &a);
}

static void check_no_superpackets(const tuo_caps *a, const tuo_caps *b)
{
    tuo_caps both, other;
    CHECK_RESULT(tuo_caps_intersect(a, b, &both), TUO_OK);
    CHECK(both.max_tcp4 == 0 && both.max_tcp6 == 0 && both.max_udp4 == 0 && both.max_udp6 == 0);
    CHECK(both.tx_csum_tcp4 == 1 && both.tx_csum_udp6 == 1 && both.ethernet == a->ethernet);
    CHECK_RESULT(tuo_caps_intersect(b, a, &other), TUO_OK);
    CHECK(other.max_tcp4 == 0 && other.max_tcp6 == 0 && other.max_udp4 == 0 && other.max_udp6 == 0);
    CHECK_RESULT(tuo_caps_intersect(&both, &both, &both), TUO_OK); /* what comes out is in range */
}

TEST(intersection_of_contradicting_devices)
{
    static const tuo_caps base = {SUMS, LARGEST(65535)};
    tuo_caps a = base, b = base, both;
    check_row("tso_sum_no_len differs: no superpackets in common");
    b.tso_sum_no_len = 1;
    check_no_superpackets(&a, &b);
    check_row("segment sizes do not overlap");
    a = b = base;
    a.max_seg_size = 1000;
    b.min_seg_size = 1001;
    check_no_superpackets(&a, &b);
    check_row("segment sizes overlap in one number");
    b.min_seg_size = 1000;
    CHECK_RESULT(tuo_caps_intersect(&a, &b, &both), TUO_OK);
    CHECK(both.max_tcp4 == 65535 && both.max_udp6 == 65535 && both.min_seg_size == 1000 && both.max_seg_size == 1000);
    check_row("out of range, or frames here and IP packets there");
    tuo_caps untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    static const struct {
        uint8_t ethernet_a, ethernet_b, vlan_a, vlan_b;
    } bad[] = {{0, 1, 0, 0}, {1, 0, 0, 0}, {2, 2, 0, 0}, {0, 2, 0, 0}, {14, 1, 0, 0}, {1, 1, 5, 0}, {1, 1, 0, 5}, {0, 0, 255, 255}};
    for (size_t i = 0; i < CHECK_COUNT_OF(bad); i++) {
        a = b = base;
        a.ethernet = bad[i].ethernet_a;
        b.ethernet = bad[i].ethernet_b;
        a.tx_vlan_max = bad[i].vlan_a;
        b.tx_vlan_max = bad[i].vlan_b;
        both = untouched;
        CHECK_RESULT(tuo_caps_intersect(&a, &b, &both), TUO_E_INVALID);
        CHECK(memcmp(&both, &untouched, sizeof both) == 0);
    }
}

/* What is made for two devices, either of them can send. */
TEST(intersection_suits_both)
{
    enum { ROUNDS = 1500 };
    rng r = rng_start("intersection_suits_both", 4711);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int ethernet = rng_chance(&r, 1, 2);
        packet p = random_packet(&r, ethernet);
        pkt_view v = pkt_look(p.bytes, p.len, ethernet, 1);
        size_t ip_len = pkt_has_l4(&v) ? v.end - v.ip : 0;
        tuo_caps two[2], both;
        two[0] = random_caps(&r, ethernet, ip_len, v.payload_len, p.vnet.gso_size);
        two[1] = random_caps(&r, ethernet, ip_len, v.payload_len, p.vnet.gso_size);
        CHECK_RESULT(tuo_caps_intersect(&two[0], &two[1], &both), TUO_OK);
        both.max_frags = 0;
        ladder_case c = case_of(&both, &p);
        ladder_list list = {NULL, 0};
        tuo_tx tx;
        if (tuo_tx_init(&tx, &both, p.bytes, p.len, &p.vnet, 0) == TUO_OK && CHECK_EQ_STR(ladder_run(&c, LADDER_SCRATCH, p.bytes, &list),
            NULL)) {
            for (size_t k = 0; k < 2; k++) {
                ref_list wire = {NULL, NULL, 0};
                two[k].tx_csum_ip4 = both.tx_csum_ip4; /* the one convention that is asked for by packet */
                for (size_t i = 0; i < list.count; i++) {
                    if (!CHECK_EQ_STR(device_send(DEVICE_NIC, &two[k], &p.vnet, list.out[i].bytes, list.out[i].packet.len,
                        &list.out[i].packet,
                                                  &wire), NULL)) {
                        printf("    round %u, device %lu\n", round, (unsigned long)k);
                        break;
                    }
                }
                ref_list_free(&wire);
            }
        }
        ladder_list_free(&list);
        free(p.bytes);
    }
}

/* ------------------------------------------------------------------------------------- received: what need not be verified */

TEST(hint_of_received_packets)
{
    static const struct {
        const char *name;
        int has_caps;
        uint8_t rx_csum_ip4;
        uint8_t flags;
        unsigned hint;
    } rows[] = {
        {"nothing said", 1, 1, 0, 0},
        {"nothing said, caps unknown", 0, 0, 0, 0},
        {"verified, and the IPv4 header, too", 1, 1, TUO_VNET_DATA_VALID, TUO_F_TRUST},
        {"verified, not the IPv4 header", 1, 0, TUO_VNET_DATA_VALID, TUO_F_TRUST_L4},
        {"verified, caps unknown", 0, 0, TUO_VNET_DATA_VALID, TUO_F_TRUST_L4},
        {"partial", 1, 1, TUO_VNET_NEEDS_CSUM, 0},
        {"partial, caps unknown", 0, 0, TUO_VNET_NEEDS_CSUM, 0},
        {"partial and verified", 1, 1, TUO_VNET_NEEDS_CSUM | TUO_VNET_DATA_VALID, 0},
        {"partial and verified, caps unknown", 0, 0, TUO_VNET_NEEDS_CSUM | TUO_VNET_DATA_VALID, 0},
        {"other flags say nothing", 1, 1, TUO_VNET_RSC_INFO | TUO_VNET_UDP_TUNNEL_CSUM, 0},
        {"verified, among other flags", 1, 0, TUO_VNET_RSC_INFO | TUO_VNET_DATA_VALID, TUO_F_TRUST_L4},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        for (uint8_t others = 0; others < 2; others++) { /* the other fields tell a stack, not this function */
            tuo_caps caps = {.rx_csum_ip4 = rows[i].rx_csum_ip4, .rx_csum_tcp4 = others, .rx_csum_udp4 = others, .rx_csum_tcp6 = others,
                             .rx_csum_udp6 = others, .tx_csum_ip4 = others};
            tuo_vnet_hdr vnet;
            memset(&vnet, 0, sizeof vnet);
            vnet.flags = rows[i].flags;
            CHECK_EQ_INT(tuo_rx_hint(rows[i].has_caps ? &caps : NULL, &vnet), rows[i].hint);
            vnet.gso_type = TUO_GSO_TCPV4; /* LRO: it has to be split first, and its checksum field may hold anything */
            CHECK_EQ_INT(tuo_rx_hint(rows[i].has_caps ? &caps : NULL, &vnet), 0);
        }
    }
}

enum { TRUSTED = TUO_F_TRUST_L4, ALL = TUO_F_TRUST, NONE = 0, MERGE_PACKETS = 3, MERGE_CAP = 4096 };

/* Up to three packets of 100 bytes that follow each other: how they are spoilt, with which hint, what becomes of them. */
typedef struct merge_row {
    const char *name;
    pkt_kind kind;
    unsigned hints[MERGE_PACKETS];
    char spoil[MERGE_PACKETS + 1]; /* per packet: '-' good, 'i' IPv4 header checksum, 'l' TCP or UDP checksum */
    tuo_verdict verdicts[MERGE_PACKETS];
    unsigned verified;             /* checksums computed */
    const char *groups;            /* packets of each emitted one */
} merge_row;

static const merge_row merge_rows[] = {
    {"all good, no hint", PKT_TCP4, {NONE, NONE, NONE}, "---", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 3, "3"},
    {"all good, TRUST_L4: nothing summed but IPv4 headers", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "---",
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"IPv6, TRUST_L4", PKT_TCP6, {TRUSTED, TRUSTED, TRUSTED}, "---", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"UDP, TRUST_L4", PKT_UDP4, {TRUSTED, TRUSTED, TRUSTED}, "---", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"UDP over IPv6, TRUST_L4", PKT_UDP6, {TRUSTED, TRUSTED, TRUSTED}, "---", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"a bad TCP checksum of a joiner merges", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "-l-", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED},
     0, "3"},
    {"a bad TCP checksum of a head merges", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "l--", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0,
     "3"},
    {"bad TCP checksums merge", PKT_TCP6, {TRUSTED, TRUSTED, TRUSTED}, "lll", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"bad UDP checksums merge", PKT_UDP4, {TRUSTED, TRUSTED, TRUSTED}, "lll", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"a bad UDP checksum without a hint does not", PKT_UDP4, {NONE, NONE, NONE}, "-l-", {TUO_V_HELD, TUO_V_BAD_L4_CSUM, TUO_V_HELD}, 1,
     "111"},
    {"a bad IPv4 header of a joiner", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "-i-", {TUO_V_HELD, TUO_V_BAD_IP_CSUM, TUO_V_HELD}, 0, "111"},
    {"a bad IPv4 header of a third", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "--i", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_BAD_IP_CSUM}, 0,
     "21"},
    {"a bad IPv4 header of a head", PKT_TCP4, {TRUSTED, TRUSTED, TRUSTED}, "i--", {TUO_V_HELD, TUO_V_HEAD_BAD_CSUM, TUO_V_APPENDED}, 0,
     "12"},
    {"a bad IPv4 header of a datagram", PKT_UDP4, {TRUSTED, TRUSTED, TRUSTED}, "-i-", {TUO_V_HELD, TUO_V_BAD_IP_CSUM, TUO_V_HELD}, 0,
     "111"},
    {"a bad IPv4 header of a first datagram", PKT_UDP4, {TRUSTED, TRUSTED, TRUSTED}, "i--", {TUO_V_HELD, TUO_V_HEAD_BAD_CSUM,
     TUO_V_APPENDED},
     0, "12"},
    {"a bad IPv4 header that is trusted merges", PKT_TCP4, {ALL, ALL, ALL}, "-i-", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"TRUST and TRUST_L4: the stronger counts", PKT_TCP4, {ALL | TRUSTED, ALL | TRUSTED, ALL | TRUSTED}, "ili",
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 0, "3"},
    {"a head without a hint is summed for a trusted joiner", PKT_TCP4, {NONE, TRUSTED, TRUSTED}, "---",
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 1, "3"},
    {"a bad head without a hint", PKT_TCP4, {NONE, TRUSTED, TRUSTED}, "l--", {TUO_V_HELD, TUO_V_HEAD_BAD_CSUM, TUO_V_APPENDED}, 1, "12"},
    {"a joiner without a hint is summed for a trusted head", PKT_UDP6, {TRUSTED, NONE, TRUSTED}, "---",
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED}, 1, "3"},
    {"a bad joiner without a hint", PKT_TCP4, {TRUSTED, NONE, TRUSTED}, "-l-", {TUO_V_HELD, TUO_V_BAD_L4_CSUM, TUO_V_HELD}, 1, "111"},
    {"a bad third without a hint", PKT_TCP6, {TRUSTED, TRUSTED, NONE}, "--l", {TUO_V_HELD, TUO_V_APPENDED, TUO_V_BAD_L4_CSUM}, 1, "21"},
};

static size_t merge_packet(const merge_row *row, size_t i, uint8_t ethernet, uint8_t *out)
{
    pkt_spec s = {.kind = row->kind, .ethernet = ethernet, .seq = (uint32_t)(100 * i), .ip_id = (uint16_t)i, .payload_seed = 3};
    s.ip_csum_xor = row->spoil[i] == 'i' ? 0x0100 : 0;
    s.l4_csum_xor = row->spoil[i] == 'l' ? 0x0100 : 0;
    return pkt_build(out, MERGE_CAP, &s);
}

static void merge_and_check(const merge_row *row, int by_copy, uint8_t ethernet)
{
    static uint64_t memory[8192];
    static uint8_t bytes[MERGE_PACKETS][MERGE_CAP];
    tuo_gro_desc desc;
    tuo_gro *gro;
    tuo_gro_stats stats;
    tuo_buf bufs[MERGE_PACKETS];
    tuo_superpacket sp;
    char groups[MERGE_PACKETS + 1] = "";
    size_t count = 0;
    memset(&desc, 0, sizeof desc);
    desc.ethernet = ethernet;
    if (!CHECK_RESULT(tuo_gro_init(&gro, memory, sizeof memory, &desc), TUO_OK)) {
        return;
    }
    for (size_t i = 0; i < MERGE_PACKETS; i++) {
        bufs[i].data = bytes[i];
        bufs[i].len = merge_packet(row, i, ethernet, bytes[i]);
        bufs[i].capacity = MERGE_CAP;
        CHECK_VERDICT(by_copy ? tuo_gro_push_buf(gro, NULL, &bufs[i], 0, row->hints[i])
                              : tuo_gro_push(gro, bytes[i], bufs[i].len, &bufs[i], row->hints[i]),
                      row->verdicts[i]);
    }
    tuo_gro_query_stats(gro, &stats);
    CHECK_EQ_INT(stats.verified_packets, row->verified);
    while (count < MERGE_PACKETS && (by_copy ? tuo_gro_next_copy(gro, NULL, 0, &sp) : tuo_gro_next(gro, &sp)) == TUO_OK) {
        groups[count++] = (char)('0' + sp.packet_count);
        if (sp.packet_count == 1) { /* leaves as it came */
            tuo_buf *buf = sp.users[0];
            uint8_t came[MERGE_CAP];
            size_t len = merge_packet(row, (size_t)(buf - bufs), ethernet, came);
            CHECK_EQ_INT(buf->len, len);
            CHECK_BYTES(buf->data, came, len);
            CHECK(device_all_zero(&sp.vnet));
        } else { /* and splits into good ones */
            CHECK_EQ_INT(sp.vnet.flags, TUO_VNET_NEEDS_CSUM);
        }
    }
    CHECK_EQ_STR(groups, row->groups);
}

TEST(packets_that_a_device_has_verified)
{
    for (size_t i = 0; i < CHECK_COUNT_OF(merge_rows); i++) {
        for (int way = 0; way < 4; way++) {
            check_row("%s, %s%s", merge_rows[i].name, way & 1 ? "by copy" : "gather", way & 2 ? ", Ethernet" : "");
            merge_and_check(&merge_rows[i], way & 1, (uint8_t)(way >> 1));
        }
    }
}

/* What TRUST_L4 merges looks like any other superpacket, a wrong checksum in it or not. */
TEST(verified_by_a_device_then_split)
{
    static uint64_t memory[8192];
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        check_row("%s", kind_names[kind]);
        tuo_gro_desc desc;
        tuo_gro *gro;
        tuo_superpacket sp;
        uint8_t in[3][400], good[3][400], out[1200];
        size_t len = 0, at = 0;
        memset(&desc, 0, sizeof desc);
        desc.no_vnet_hdr = 1;
        if (!CHECK_RESULT(tuo_gro_init(&gro, memory, sizeof memory, &desc), TUO_OK)) {
            return;
        }
        for (uint32_t i = 0; i < 3; i++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .seq = 100 * i, .ip_id = (uint16_t)i};
            len = pkt_build(good[i], sizeof good[i], &s);
            s.l4_csum_xor = 0x1234;
            CHECK_EQ_INT(pkt_build(in[i], sizeof in[i], &s), len);
            CHECK_VERDICT(tuo_gro_push(gro, in[i], len, NULL, TUO_F_TRUST_L4), i == 0 ? TUO_V_HELD : TUO_V_APPENDED);
        }
        if (!CHECK_RESULT(tuo_gro_next(gro, &sp), TUO_OK)) {
            continue;
        }
        for (size_t i = 0; i < sp.iov_count; at += sp.iov[i].len, i++) {
            memcpy(out + at, sp.iov[i].base, sp.iov[i].len);
        }
        ref_list wire = ref_wire(out, at, 0, &sp.vnet);
        if (CHECK_EQ_INT(wire.count, 3)) {
            for (size_t i = 0; i < 3; i++) {
                CHECK_EQ_INT(wire.len[i], len);
                CHECK_BYTES(wire.bytes[i], good[i], len);
            }
        }
        ref_list_free(&wire);
    }
}

/* ------------------------------------------------------------------------------------------------------- bursts, sending */

enum { HANDLES = 4000 };
static char handles[HANDLES]; /* handle n is &handles[n] */

typedef struct burst_device {
    rng random;
    int mode;        /* -1: takes what it likes; otherwise takes so many at most; -2: claims one more than offered */
    size_t taken;    /* handles 0..taken were taken, in this order */
    size_t calls, last_take, claimed;
    int good;        /* the order was kept */
} burst_device;

static size_t device_takes(void *user, void *const *packets, size_t count)
{
    burst_device *d = user;
    size_t n;
    d->calls++;
    if (count == 0) {
        d->good = 0;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        d->good = d->good && packets[i] == &handles[d->taken + i];
    }
    if (d->mode == -2) {
        d->taken += count;
        d->claimed = count;
        return count + 1;
    }
    n = d->mode == -1 ? rng_below(&d->random, (uint32_t)count + 1) : count < (size_t)d->mode ? count : (size_t)d->mode;
    d->taken += n;
    d->last_take = n;
    return n;
}

TEST(tx_queue_keeps_order)
{
    for (size_t cap = 1; cap <= 5; cap++) {
        check_row("capacity %lu", (unsigned long)cap);
        void **slots = ref_alloc(cap, sizeof *slots); /* exactly as many */
        burst_device d;
        tuo_tx_queue queue;
        size_t pushed = 0, refused = 0;
        memset(&d, 0, sizeof d);
        d.random = rng_start("tx_queue_keeps_order", 5 + cap);
        d.mode = -1;
        d.good = 1;
        CHECK_RESULT(tuo_tx_queue_init(&queue, slots, cap, device_takes, &d), TUO_OK);
        CHECK_EQ_INT(tuo_tx_queue_count(&queue), 0);
        CHECK(tuo_tx_queue_take(&queue) == NULL);
        while (pushed < HANDLES - 10) {
            size_t before = tuo_tx_queue_count(&queue), calls = d.calls, taken = d.taken;
            if (rng_chance(&d.random, 1, 6)) {
                tuo_result result = tuo_tx_queue_flush(&queue);
                CHECK_EQ_INT(tuo_tx_queue_count(&queue), before - (d.taken - taken));
                CHECK_RESULT(result, tuo_tx_queue_count(&queue) == 0 ? TUO_OK : TUO_AGAIN);
                CHECK(result == TUO_OK || d.last_take == 0); /* it stopped because the device took nothing more */
                CHECK((before == 0) == (d.calls == calls));
            } else if (rng_chance(&d.random, 1, 10)) {
                void *oldest = tuo_tx_queue_take(&queue);
                CHECK(oldest == (before == 0 ? NULL : &handles[d.taken]));
                CHECK_EQ_INT(tuo_tx_queue_count(&queue), before == 0 ? 0 : before - 1);
                CHECK_EQ_INT(d.calls, calls);
                d.taken += before > 0;
            } else {
                tuo_result result = tuo_tx_queue_push(&queue, &handles[pushed]);
                CHECK(before == cap || d.calls == calls); /* flushed only if full */
                if (result == TUO_OK) {
                    pushed++;
                } else {
                    refused++;
                    CHECK_RESULT(result, TUO_AGAIN);
                    CHECK(before == cap && d.taken == taken && d.last_take == 0);
                }
            }
            if (!CHECK(d.good) || !CHECK_EQ_INT(d.taken + tuo_tx_queue_count(&queue), pushed)) {
                break;
            }
        }
        CHECK(refused > 0 || cap > 3);
        d.mode = HANDLES;
        CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_OK);
        CHECK(d.good && d.taken == pushed && tuo_tx_queue_count(&queue) == 0);
        size_t calls = d.calls;
        CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_OK); /* nothing to offer */
        CHECK_EQ_INT(d.calls, calls);
        free(slots);
    }
}

TEST(tx_queue_by_rule)
{
    void *slots[4];
    burst_device d;
    tuo_tx_queue queue;
    memset(&d, 0, sizeof d);
    d.good = 1;

    check_row("no slots, no callback");
    CHECK_RESULT(tuo_tx_queue_init(&queue, slots, 0, device_takes, &d), TUO_E_INVALID);
    CHECK_RESULT(tuo_tx_queue_init(&queue, NULL, 4, device_takes, &d), TUO_E_INVALID);
    CHECK_RESULT(tuo_tx_queue_init(&queue, slots, 4, NULL, &d), TUO_E_INVALID);

    check_row("the callback is for push and flush only, and push calls it for a full queue only");
    CHECK_RESULT(tuo_tx_queue_init(&queue, slots, 4, device_takes, &d), TUO_OK);
    for (size_t i = 0; i < 4; i++) {
        CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[i]), TUO_OK);
        CHECK_EQ_INT(tuo_tx_queue_count(&queue), i + 1);
    }
    CHECK_EQ_INT(d.calls, 0);

    check_row("full, and the device takes nothing: not taken");
    CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[4]), TUO_AGAIN);
    CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_AGAIN);
    CHECK_EQ_INT(tuo_tx_queue_count(&queue), 4);

    check_row("full, and the device takes one at a time: all of them");
    d.mode = 1;
    CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[4]), TUO_OK);
    CHECK_EQ_INT(d.taken + tuo_tx_queue_count(&queue), 5);
    CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_OK);
    CHECK(d.good && d.taken == 5);

    check_row("a callback that claims too many: its offer counts as taken");
    d.mode = 0;
    for (size_t i = 5; i < 8; i++) {
        CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[i]), TUO_OK);
    }
    d.mode = -2;
    CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_E_BUFFER);
    CHECK_EQ_INT(tuo_tx_queue_count(&queue), 3 - d.claimed);
    while (tuo_tx_queue_count(&queue) > 0) {
        CHECK(tuo_tx_queue_take(&queue) == &handles[d.taken]);
        d.taken++;
    }

    check_row("a full queue and a callback that claims too many: the packet is not taken");
    d.mode = 0;
    for (size_t i = 8; i < 12; i++) {
        CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[i]), TUO_OK);
    }
    d.mode = -2;
    d.calls = 0;
    CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[12]), TUO_E_BUFFER);
    CHECK_EQ_INT(d.calls, 1);
    CHECK_EQ_INT(tuo_tx_queue_count(&queue), 4 - d.claimed);
    d.mode = 100;
    CHECK_RESULT(tuo_tx_queue_flush(&queue), TUO_OK);
    CHECK(d.good && d.taken == 12);

    check_row("take: the oldest, wherever the ring stands");
    d.mode = 0;
    for (size_t i = 12; i < 16; i++) {
        CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[i]), TUO_OK);
    }
    for (size_t i = 12; i < 40; i++) {
        CHECK(tuo_tx_queue_take(&queue) == &handles[i]);
        CHECK_RESULT(tuo_tx_queue_push(&queue, &handles[i + 4]), TUO_OK);
    }
    for (size_t i = 40; i < 44; i++) {
        CHECK(tuo_tx_queue_take(&queue) == &handles[i]);
    }
    CHECK(tuo_tx_queue_take(&queue) == NULL);
}

/* ----------------------------------------------------------------------------------------------------- bursts, receiving */

typedef struct source {
    rng random;
    size_t next;         /* packet n has user &handles[n] and length n */
    size_t calls, asked;
    int over;            /* claims more than it was asked for */
} source;

static void number_packet(tuo_rx_packet *p, size_t n)
{
    memset(p, 0, sizeof *p);
    p->bytes = (const uint8_t *)handles;
    p->len = n;
    p->vnet.flags = TUO_VNET_DATA_VALID;
    p->vnet.csum_start = (uint16_t)(n * 7);
    p->user = &handles[n];
}

static int is_number(const tuo_rx_packet *p, size_t n)
{
    return p->bytes == (const uint8_t *)handles && p->len == n && p->vnet.flags == TUO_VNET_DATA_VALID &&
        p->vnet.csum_start == (uint16_t)(n * 7) &&
           p->user == &handles[n];
}

static size_t source_recv(void *user, tuo_rx_packet *packets, size_t count)
{
    source *s = user;
    size_t n = s->over ? count : rng_below(&s->random, (uint32_t)count + 1);
    s->calls++;
    s->asked = count;
    for (size_t i = 0; i < n; i++) {
        number_packet(&packets[i], s->next++);
    }
    return s->over ? count + 3 : n;
}

TEST(rx_queue_injected_packets_go_first)
{
    enum { BURST = 6, FIRST_INJECTED = 2000 };
    for (size_t cap = 0; cap <= 5; cap++) {
        check_row("%lu slots", (unsigned long)cap);
        tuo_rx_packet *slots = ref_alloc(cap, sizeof *slots);
        tuo_rx_packet *packets = ref_alloc(BURST, sizeof *packets), one;
        tuo_rx_queue queue;
        source s;
        size_t injected = FIRST_INJECTED, emitted = FIRST_INJECTED;
        memset(&s, 0, sizeof s);
        s.random = rng_start("rx_queue_injected_packets_go_first", 9 + cap);
        CHECK_RESULT(tuo_rx_queue_init(&queue, cap > 0 ? slots : NULL, cap, source_recv, &s), TUO_OK);
        for (unsigned round = 0; round < 600 && injected < HANDLES - 10; round++) {
            for (uint32_t n = rng_below(&s.random, 4); n > 0; n--) {
                int full = injected - emitted == cap;
                number_packet(&one, injected);
                CHECK_RESULT(tuo_rx_queue_inject(&queue, &one), full ? TUO_E_NOSPACE : TUO_OK);
                injected += !full;
                memset(&one, 0x5a, sizeof one); /* it was copied */
            }
            size_t count = rng_below(&s.random, BURST + 1), held = injected - emitted, first = held < count ? held : count;
            size_t from_device = s.next, calls = s.calls;
            memset(packets, 0x5a, BURST * sizeof *packets);
            size_t n = tuo_rx_queue_batch(&queue, packets, count);
            CHECK_EQ_INT(n, first + (s.next - from_device));
            CHECK(n <= count && s.calls <= calls + 1);
            CHECK(count == first || (s.calls == calls + 1 && s.asked == count - first)); /* one burst of the device for the rest */
            for (size_t i = 0; i < n; i++) {
                CHECK(is_number(&packets[i], i < first ? emitted + i : from_device + i - first));
            }
            emitted += first;
        }
        free(slots);
        free(packets);
    }
}

TEST(rx_queue_by_rule)
{
    tuo_rx_packet slots[2], packets[5];
    tuo_rx_queue queue;
    source s;
    memset(&s, 0, sizeof s);
    s.over = 1;

    check_row("no callback");
    CHECK_RESULT(tuo_rx_queue_init(&queue, slots, 2, NULL, &s), TUO_E_INVALID);
    CHECK_RESULT(tuo_rx_queue_init(&queue, NULL, 2, source_recv, &s), TUO_E_INVALID);

    check_row("a callback that claims too many filled what it was asked for");
    CHECK_RESULT(tuo_rx_queue_init(&queue, slots, 2, source_recv, &s), TUO_OK);
    CHECK_EQ_INT(tuo_rx_queue_batch(&queue, packets, 4), 4);
    CHECK_EQ_INT(s.asked, 4);
    number_packet(&packets[0], 100);
    CHECK_RESULT(tuo_rx_queue_inject(&queue, &packets[0]), TUO_OK);
    CHECK_EQ_INT(tuo_rx_queue_batch(&queue, packets, 5), 5);
    CHECK_EQ_INT(s.asked, 4);
    CHECK(is_number(&packets[0], 100) && is_number(&packets[1], 4) && is_number(&packets[4], 7));

    check_row("more injected than asked for: the rest stays, in order");
    number_packet(&packets[0], 101);
    CHECK_RESULT(tuo_rx_queue_inject(&queue, &packets[0]), TUO_OK);
    number_packet(&packets[0], 102);
    CHECK_RESULT(tuo_rx_queue_inject(&queue, &packets[0]), TUO_OK);
    CHECK_RESULT(tuo_rx_queue_inject(&queue, &packets[0]), TUO_E_NOSPACE);
    CHECK_EQ_INT(tuo_rx_queue_batch(&queue, packets, 1), 1);
    CHECK(is_number(&packets[0], 101));
    number_packet(&packets[0], 103);
    CHECK_RESULT(tuo_rx_queue_inject(&queue, &packets[0]), TUO_OK);
    CHECK_EQ_INT(tuo_rx_queue_batch(&queue, packets, 2), 2);
    CHECK(is_number(&packets[0], 102) && is_number(&packets[1], 103));

    check_row("nothing asked for");
    CHECK_EQ_INT(tuo_rx_queue_batch(&queue, NULL, 0), 0);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(ladder_of_superpackets),
        CHECK_ENTRY(ladder_of_other_packets),
        CHECK_ENTRY(ladder_of_inner_checksums),
        CHECK_ENTRY(ladder_of_other_bytes),
        CHECK_ENTRY(descriptors),
        CHECK_ENTRY(nothing_too_long_reaches_a_device),
        CHECK_ENTRY(a_tag_is_left_to_the_device),
        CHECK_ENTRY(jumbo_option_on_a_device),
        CHECK_ENTRY(ladder_errors),
        CHECK_ENTRY(max_frags),
        CHECK_ENTRY(device_sends_what_the_splitter_would),
        CHECK_ENTRY(prepare_at_the_edges_of_length),
        CHECK_ENTRY(prepare_by_rule),
        CHECK_ENTRY(prepare_of_broken_packets),
        CHECK_ENTRY(prepare_at_random),
        CHECK_ENTRY(intersection_of_each_field),
        CHECK_ENTRY(intersection_of_contradicting_devices),
        CHECK_ENTRY(intersection_suits_both),
        CHECK_ENTRY(hint_of_received_packets),
        CHECK_ENTRY(packets_that_a_device_has_verified),
        CHECK_ENTRY(verified_by_a_device_then_split),
        CHECK_ENTRY(tx_queue_keeps_order),
        CHECK_ENTRY(tx_queue_by_rule),
        CHECK_ENTRY(rx_queue_injected_packets_go_first),
        CHECK_ENTRY(rx_queue_by_rule),
    };
    return CHECK_RUN(argc, argv, tests);
}
