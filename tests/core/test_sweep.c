/* The exhaustive sweep: every kind of packet, cut to every length, with every value of its first byte, of the ethertype and of the
   fields that name a length or a protocol, goes through every function that takes a packet. Nothing is drawn by lot, so what it finds
   it finds each time. Each packet lies in memory of exactly its size. What a result must be comes from the plain parser in packets.h,
   the splitter in reference.h and the lists of results in the comments of the interface. tests/checks/sweep_test.sh plants defects. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS in guard_page.h */
#define _POSIX_C_SOURCE 200809L
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "reference.h"
#include "device_model.h"
#include "tunnels.h"

/* ---------------------------------------------------------------------------------------------- memory of exact size */

/* A sanitizer guards both ends of a heap block. Without one, the end touches a forbidden page, and addresses have any alignment. */
#if defined(__SANITIZE_ADDRESS__)
#define ON_HEAP 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define ON_HEAP 1
#endif
#endif
#ifndef ON_HEAP
#define ON_HEAP 0
#endif

enum { BIG = 66000, SEGMENTS_MAX = 160, SEGMENT_MAX = 600, GSO_SIZE = 16, PACKETS = 3 };

typedef struct exact {
    uint8_t *bytes;
    size_t len;
    void *heap;
    guard_page page;
} exact;

/* The packet; what is written to; headers of segments; buffers of segments; what is in front of and behind the packet in its flow. */
static exact input, scratch, stamped, output, before, after;

static void exact_resize(exact *e, size_t len)
{
    if (e->bytes && e->len == len)
        return;
    e->len = len;
    if (ON_HEAP) {
        free(e->heap);
        e->heap = ref_alloc(len ? len : 1, 1);
        e->bytes = (uint8_t *)e->heap + (len == 0);
        return;
    }
    if (!e->page.map)
        e->page = guard_page_new(BIG);
    e->bytes = e->page.end - len;
}

static void exact_fill(exact *e, const uint8_t *bytes, size_t len)
{
    exact_resize(e, len);
    if (len)
        memcpy(e->bytes, bytes, len);
}

static void exact_free(exact *e)
{
    if (e->page.map)
        guard_page_free(&e->page);
    free(e->heap);
    memset(e, 0, sizeof *e);
}

/* ------------------------------------------------------------------------------------------------------------- kinds */

typedef struct sweep_row {
    const char *name;
    pkt_spec spec;
} sweep_row;

#define BYTES(literal) (const uint8_t *)(literal)
#define ROUTER_ALERT .ip_options = BYTES("\x94\x04\x00\x00\x01\x01\x01\x00"), .ip_options_len = 8
#define TIMESTAMPS .tcp_options = BYTES("\x01\x01\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08"), .tcp_options_len = 12
#define FORTY_NOPS BYTES("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"), 40
#define SHORT .payload_len = 20
#define LONG .payload_len = 3 * GSO_SIZE - 5
#define QINQ .vlan_count = 2, .vlan_tpid = {0x88a8, 0x8100}

/* Hop-by-hop options of 232 bytes: the payload starts behind TUO_HEADER_MAX. */
static const uint8_t long_ext[232] = {PKT_PROTO_TCP, 28, 1, 228 - 2};

/* A jumbo payload option, two bytes of padding, a router alert. */
static const uint8_t jumbo_ext[16] = {PKT_PROTO_UDP, 1, 0xc2, 4, 0, 1, 2, 3, 1, 0, 5, 2, 0, 0, 1, 0};

static const sweep_row rows[] = {
    {"tcp4", {.kind = PKT_TCP4, SHORT}},
    {"udp4", {.kind = PKT_UDP4, SHORT}},
    {"tcp6", {.kind = PKT_TCP6, SHORT}},
    {"udp6", {.kind = PKT_UDP6, SHORT}},
    {"tcp4 without payload", {.kind = PKT_TCP4, .payload_len = PKT_ZERO}},
    {"udp4 without payload", {.kind = PKT_UDP4, .payload_len = PKT_ZERO}},
    {"tcp6 without payload", {.kind = PKT_TCP6, .payload_len = PKT_ZERO}},
    {"udp6 without payload", {.kind = PKT_UDP6, .payload_len = PKT_ZERO}},
    {"tcp4 superpacket", {.kind = PKT_TCP4, LONG, .l4_csum_pseudo = 1, .tcp_flags = PKT_ACK | PKT_PSH | PKT_FIN | PKT_CWR}},
    {"udp4 superpacket", {.kind = PKT_UDP4, LONG, .l4_csum_pseudo = 1}},
    {"tcp6 superpacket", {.kind = PKT_TCP6, LONG, .l4_csum_pseudo = 1, TIMESTAMPS}},
    {"udp6 superpacket", {.kind = PKT_UDP6, LONG, .l4_csum_pseudo = 1}},
    {"tcp4 superpacket of length 0", {.kind = PKT_TCP4, LONG, .ip_len_zero = 1}},
    {"udp4 superpacket of length 0", {.kind = PKT_UDP4, LONG, .ip_len_zero = 1, .udp_len = PKT_ZERO}},
    {"tcp6 superpacket of length 0", {.kind = PKT_TCP6, LONG, .ip_len_zero = 1, .ext_chain = "D"}},
    {"tcp4 options", {.kind = PKT_TCP4, SHORT, TIMESTAMPS}},
    {"tcp4 most options", {.kind = PKT_TCP4, SHORT, .tcp_options = FORTY_NOPS}},
    {"tcp4 syn", {.kind = PKT_TCP4, SHORT, .tcp_flags = PKT_SYN}},
    {"tcp6 psh", {.kind = PKT_TCP6, SHORT, .tcp_flags = PKT_ACK | PKT_PSH}},
    {"ip4 options, tcp", {.kind = PKT_TCP4, SHORT, ROUTER_ALERT}},
    {"ip4 most options, udp superpacket", {.kind = PKT_UDP4, LONG, .ip_options = FORTY_NOPS}},
    {"ip4 first fragment", {.kind = PKT_TCP4, SHORT, .df = PKT_ZERO, .frag = 0x2000}},
    {"ip4 last fragment", {.kind = PKT_UDP4, SHORT, .df = PKT_ZERO, .frag = 5}},
    {"ip4 reserved bit", {.kind = PKT_UDP4, SHORT, .frag = 0x8000}},
    {"ip4 icmp", {.kind = PKT_UDP4, SHORT, .proto = 1}},
    {"ip6 hop-by-hop", {.kind = PKT_TCP6, SHORT, .ext_chain = "H"}},
    {"ip6 chain, tcp superpacket", {.kind = PKT_TCP6, LONG, .ext_chain = "HDR"}},
    {"ip6 most extension headers", {.kind = PKT_UDP6, SHORT, .ext_chain = "DDDDDDDD"}},
    {"ip6 too many extension headers", {.kind = PKT_UDP6, SHORT, .ext_chain = "DDDDDDDDD"}},
    {"ip6 routing, segments left", {.kind = PKT_TCP6, LONG, .l4_csum_pseudo = 1, .ext_chain = "Dr"}},
    {"ip6 atomic fragment", {.kind = PKT_UDP6, SHORT, .ext_chain = "F"}},
    {"ip6 first fragment", {.kind = PKT_TCP6, SHORT, .ext_chain = "Hf"}},
    {"ip6 authentication", {.kind = PKT_TCP6, SHORT, .ext_chain = "A"}},
    {"ip6 esp", {.kind = PKT_UDP6, SHORT, .ext_chain = "E"}},
    {"ip6 unknown", {.kind = PKT_UDP6, SHORT, .ext_chain = "U"}},
    {"ip6 jumbo option, tcp superpacket", {.kind = PKT_TCP6, LONG, .l4_csum_pseudo = 1, .ext_chain = "JD"}},
    {"ip6 jumbo option among others, udp superpacket", {.kind = PKT_UDP6, LONG, .ext = jumbo_ext, .ext_len = sizeof jumbo_ext}},
    {"ip6 headers too long", {.kind = PKT_TCP6, LONG, .ext = long_ext, .ext_len = sizeof long_ext}},
    {"ethernet, tcp4", {.kind = PKT_TCP4, SHORT, .ethernet = 1}},
    {"ethernet, udp6 superpacket", {.kind = PKT_UDP6, LONG, .ethernet = 1}},
    {"ethernet, padding", {.kind = PKT_TCP4, .payload_len = 1, .ethernet = 1, .trailer_len = 5}},
    {"vlan, tcp6", {.kind = PKT_TCP6, SHORT, .vlan_count = 1}},
    {"qinq, udp4", {.kind = PKT_UDP4, SHORT, QINQ}},
    {"qinq, tcp4 superpacket", {.kind = PKT_TCP4, LONG, QINQ}},
    {"most tags, tcp4", {.kind = PKT_TCP4, SHORT, .vlan_count = 4}},
    {"too many tags", {.kind = PKT_TCP4, SHORT, .vlan_count = 5}},
    {"bytes behind the packet", {.kind = PKT_UDP4, SHORT, .trailer_len = 7}},
    {"udp4 without checksum", {.kind = PKT_UDP4, SHORT, .l4_csum_zero = 1}},
    {"udp6 without checksum", {.kind = PKT_UDP6, SHORT, .l4_csum_zero = 1}},
    {"udp4 length short", {.kind = PKT_UDP4, SHORT, .udp_len = 12}},
    {"udp6 length beyond", {.kind = PKT_UDP6, SHORT, .udp_len = 29}},
    {"tcp4 wrong checksum", {.kind = PKT_TCP4, SHORT, .l4_csum_xor = 0x100}},
    {"udp4 wrong header checksum", {.kind = PKT_UDP4, SHORT, .ip_csum_xor = 1}},
};

/* ------------------------------------------------------------------------------------------------------------- samples */

/* A packet under test, and where it came from. */
typedef struct sample {
    const sweep_row *row;
    const char *variant;
    size_t at;         /* this byte was set */
    unsigned value;
    const uint8_t *p;  /* input.bytes */
    size_t len;
    unsigned flags;    /* TUO_F_ETHERNET or 0 */
    pkt_view plain;    /* length 0 is nothing special */
    pkt_view super;    /* it means "up to the end" */
} sample;

static tuo_gro *gro_of[2]; /* without and with Ethernet headers */
static tuo_caps caps_of[2][4];

static size_t seg_count;
static size_t seg_len[SEGMENTS_MAX];
static uint8_t seg_bytes[SEGMENTS_MAX][SEGMENT_MAX];

/* A negative result as a bit. */
#define BIT(result) (UINT64_C(1) << -(int)(result))
#define PARSE_RESULTS (BIT(TUO_E_NOT_IP) | BIT(TUO_E_TRUNCATED) | BIT(TUO_E_VLAN_DEPTH) | BIT(TUO_E_IP_HEADER) | BIT(TUO_E_IP_LENGTH) | \
                       BIT(TUO_E_IP6_EXT) | BIT(TUO_E_TCP_HEADER) | BIT(TUO_E_UDP_LENGTH))

static tuo_result result_of(const pkt_view *v)
{
    static const tuo_result results[] = {TUO_OK,          TUO_E_NOT_IP,  TUO_E_TRUNCATED,  TUO_E_VLAN_DEPTH, TUO_E_IP_HEADER,
                                         TUO_E_IP_LENGTH, TUO_E_IP6_EXT, TUO_E_TCP_HEADER, TUO_E_UDP_LENGTH};
    return results[v->status];
}

static tuo_kind kind_of(const pkt_view *v)
{
    if (!pkt_has_l4(v))
        return TUO_KIND_NONE;
    if (v->proto == PKT_PROTO_TCP)
        return v->version == 4 ? TUO_KIND_TCP4 : TUO_KIND_TCP6;
    return v->version == 4 ? TUO_KIND_UDP4 : TUO_KIND_UDP6;
}

/* len is not 0. */
static int all_bytes_are(const void *bytes, size_t len, uint8_t value)
{
    const uint8_t *p = (const uint8_t *)bytes;

    return p[0] == value && memcmp(p, p + 1, len - 1) == 0;
}

/* Same bytes, where there may be none at all. */
static int same(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

/* --------------------------------------------------------------------------------------------------- one packet: reading */

/* What the comment at tuo_pkt_info promises, and what the other parser found. */
static void check_info(const sample *s, const pkt_view *v, const tuo_pkt_info *info)
{
    const int is_tcp = v->proto == PKT_PROTO_TCP;

    CHECK(info->ip_off + info->ip_hdr_len == info->l4_off && info->l4_off <= info->payload_off);
    CHECK((size_t)info->payload_off + info->payload_len <= (size_t)info->ip_off + info->total_len);
    CHECK((size_t)info->ip_off + info->total_len + info->trailer_len == s->len);
    CHECK(info->ip_off == v->ip && info->l4_off == v->l4 && info->ip_off + info->total_len == v->end);
    CHECK(info->ip_version == v->version && info->l4_proto == v->proto && info->vlan_count == v->vlans);
    CHECK_EQ_INT(info->kind, kind_of(v));
    CHECK_EQ_INT((info->flags & TUO_PKT_FRAGMENT) != 0, v->fragment);
    CHECK_EQ_INT((info->flags & TUO_PKT_ROUTING) != 0, v->routing_left);
    CHECK_EQ_INT((info->flags & TUO_PKT_OPAQUE) != 0, v->opaque);
    CHECK_EQ_INT((info->flags & TUO_PKT_IP_OPTIONS) != 0, v->version == 4 && v->l4 - v->ip > 20);
    CHECK_EQ_INT(info->ethertype, !(s->flags & TUO_F_ETHERNET) ? 0 : v->version == 4 ? 0x0800 : 0x86dd);
    if (info->kind == TUO_KIND_NONE) {
        CHECK(info->l4_hdr_len == 0 && info->payload_off == info->l4_off);
        return;
    }
    CHECK(info->payload_off == v->payload && info->payload_len == v->payload_len);
    CHECK(info->l4_off + info->l4_hdr_len == info->payload_off && info->payload_off <= s->len);
    CHECK(info->src_port == pkt_get16(s->p + v->l4) && info->dst_port == pkt_get16(s->p + v->l4 + 2));
    if (is_tcp)
        CHECK(info->seq == pkt_get32(s->p + v->l4 + 4) && info->ack == pkt_get32(s->p + v->l4 + 8) &&
              info->tcp_flags == s->p[v->l4 + 13] && info->window == pkt_get16(s->p + v->l4 + 14));
}

static void check_parse(const sample *s, unsigned extra, const pkt_view *v)
{
    tuo_pkt_info info;
    tuo_result got;

    memset(&info, 0x77, sizeof info);
    got = tuo_parse(s->p, s->len, s->flags | extra, &info);
    CHECK_RESULT(got, result_of(v));
    if (got == TUO_OK)
        check_info(s, v, &info);
    else
        CHECK((PARSE_RESULTS & BIT(got)) != 0 && all_bytes_are(&info, sizeof info, 0x77));
}

static void check_csum_valid(const sample *s)
{
    tuo_result expected = result_of(&s->plain);

    if (expected == TUO_OK && !ref_ip_valid(s->p, &s->plain))
        expected = TUO_E_IP_CSUM;
    if (expected == TUO_OK && !ref_l4_valid_at(s->p, &s->plain))
        expected = TUO_E_L4_CSUM;
    CHECK_RESULT(tuo_csum_check(s->p, s->len, s->flags), expected);
}

/* More than one segment: otherwise a GSO type means nothing. */
static int is_super(const sample *s, const tuo_vnet_hdr *h)
{
    return h->gso_type != TUO_GSO_NONE && ref_split_payload(&s->super) > h->gso_size;
}

static int is_tunnel(const tuo_vnet_hdr *h)
{
    return (h->gso_type & REF_TUNNELS) != 0;
}

/* The type of segments. */
static unsigned base_of(const tuo_vnet_hdr *h)
{
    return h->gso_type & ~(unsigned)(TUO_GSO_ECN | REF_TUNNELS);
}

/* A tunnel bit without both is in the GSO type, and what else is in the type is known: the first contradiction of the headers around the
   inner packet, or of finding that. Without one *inner is where the inner packet is, from *at on. */
static tuo_result expected_outer(const sample *s, const tuo_vnet_hdr *h, pkt_view *inner, size_t *at)
{
    const pkt_view *v = &s->super;
    const long missed = (long)v->l4 - h->outer_th_offset;

    if (v->status != PKT_OK)
        return result_of(v);
    if (v->fragment)
        return TUO_E_VNET_FRAGMENT;
    if (kind_of(v) != (h->gso_type & TUO_GSO_UDP_TUNNEL_IPV4 ? TUO_KIND_UDP4 : TUO_KIND_UDP6))
        return TUO_E_VNET_TUNNEL;
    if (v->payload + v->payload_len != v->end)
        return TUO_E_UDP_LENGTH;
    if ((missed != 0 && (missed != 4 || v->vlans == 0)) || h->inner_nh_offset + missed < (long)v->payload ||
        h->inner_nh_offset + missed > (long)v->end)
        return TUO_E_VNET_TUNNEL;
    if (!(h->flags & TUO_VNET_UDP_TUNNEL_CSUM) && pkt_get16(s->p + v->l4 + 6) != 0)
        return TUO_E_VNET_TUNNEL;
    *at = (size_t)(h->inner_nh_offset + missed);
    *inner = pkt_look(s->p + *at, v->end - *at, 0, 1);
    if (inner->status != PKT_OK)
        return result_of(inner);
    return inner->end == v->end - *at ? TUO_OK : TUO_E_IP_LENGTH;
}

/* Segments of this size have headers that can be copied, and lengths that fit their fields. */
static tuo_result expected_segments(const sample *s, const pkt_view *inner, size_t at, size_t size)
{
    const size_t hdr_len = at + inner->payload;

    if (hdr_len > TUO_HEADER_MAX)
        return TUO_E_HEADER_TOO_LONG;
    return hdr_len - s->super.ip + size > 65535u + (s->super.version == 4 ? 0 : 40) ? TUO_E_VNET_GSO_SIZE : TUO_OK;
}

static tuo_result expected_tunnel(const sample *s, const tuo_vnet_hdr *h)
{
    pkt_view inner;
    size_t at = 0;
    const unsigned type = base_of(h);
    const tuo_result result = expected_outer(s, h, &inner, &at);
    int is_tcp;

    if (result != TUO_OK)
        return result;
    is_tcp = inner.proto == PKT_PROTO_TCP;
    if (inner.fragment)
        return TUO_E_VNET_FRAGMENT;
    if (kind_of(&inner) == TUO_KIND_NONE || is_tcp == (type == TUO_GSO_UDP_L4))
        return TUO_E_VNET_PROTOCOL;
    if (is_tcp && (type == TUO_GSO_TCPV4) != (inner.version == 4))
        return TUO_E_VNET_IP_VERSION;
    if (!(h->flags & TUO_VNET_NEEDS_CSUM))
        return TUO_E_VNET_NEEDS_CSUM;
    if (h->csum_start != at + inner.l4)
        return TUO_E_VNET_CSUM_START;
    if (h->csum_offset != (is_tcp ? 16 : 6))
        return TUO_E_VNET_CSUM_OFFSET;
    return ref_split_payload(&inner) <= h->gso_size ? TUO_OK : expected_segments(s, &inner, at, h->gso_size);
}

/* What tuo_gso_init adds: of what is cut, and of one segment with a seed in its outer header. */
static tuo_result expected_tunnel_gso(const sample *s, const tuo_vnet_hdr *h, unsigned extra)
{
    ref_tunnel t;
    tuo_result result;
    size_t payload;
    const int csum = h->flags & TUO_VNET_UDP_TUNNEL_CSUM, found = ref_tunnel_look(s->p, s->len, s->flags != 0, h, &t);

    if (!found)
        return TUO_OK; /* a single packet like any other */
    payload = ref_split_payload(&t.inner);
    if (base_of(h) == TUO_GSO_NONE ? !csum || t.inner.payload_len != payload : !csum && payload <= h->gso_size)
        return TUO_OK;
    result = expected_segments(s, &t.inner, t.at, base_of(h) != TUO_GSO_NONE && payload > h->gso_size ? h->gso_size : payload);
    if (result == TUO_OK && base_of(h) != TUO_GSO_NONE && payload > h->gso_size &&
        (ref_jumbo(s->p, &t.outer) != REF_NO_JUMBO || ref_jumbo(s->p + t.at, &t.inner) != REF_NO_JUMBO))
        return TUO_E_IP6_JUMBO;
    if (result != TUO_OK || (extra & TUO_F_TRUST))
        return result;
    return ref_ip_valid(s->p, &s->super) && ref_ip_valid(s->p + t.at, &t.inner) ? TUO_OK : TUO_E_IP_CSUM;
}

/* The first contradiction, in the order that the comment at tuo_vnet_check has. */
static tuo_result expected_vnet(const sample *s, const tuo_vnet_hdr *h)
{
    const unsigned type = base_of(h);
    const pkt_view *v = &s->super;
    const tuo_kind kind = kind_of(v);
    const int needs_csum = h->flags & TUO_VNET_NEEDS_CSUM, is_tcp = kind == TUO_KIND_TCP4 || kind == TUO_KIND_TCP6;
    size_t seg;

    if (h->gso_type & 0x10)
        return TUO_E_VNET_ACCECN;
    if ((h->gso_type & REF_TUNNELS) == REF_TUNNELS)
        return TUO_E_VNET_TUNNEL;
    if (type == TUO_GSO_UDP)
        return TUO_E_VNET_UFO;
    if (type != TUO_GSO_NONE && type != TUO_GSO_TCPV4 && type != TUO_GSO_TCPV6 && type != TUO_GSO_UDP_L4)
        return TUO_E_VNET_GSO_TYPE;
    if ((h->gso_type & TUO_GSO_ECN) && (type == TUO_GSO_NONE || type == TUO_GSO_UDP_L4))
        return TUO_E_VNET_ECN;
    if (type != TUO_GSO_NONE && (h->gso_size == 0 || h->gso_size == 65535))
        return TUO_E_VNET_GSO_SIZE;
    if (needs_csum && (size_t)h->csum_start + h->csum_offset + 2 > s->len)
        return TUO_E_CSUM_RANGE;
    if (type == TUO_GSO_NONE)
        return TUO_OK;
    if (is_tunnel(h))
        return expected_tunnel(s, h);
    if (v->status != PKT_OK)
        return result_of(v);
    if (v->fragment)
        return TUO_E_VNET_FRAGMENT;
    if (kind == TUO_KIND_NONE || is_tcp == (type == TUO_GSO_UDP_L4))
        return TUO_E_VNET_PROTOCOL;
    if (is_tcp && (type == TUO_GSO_TCPV4) != (v->version == 4))
        return TUO_E_VNET_IP_VERSION;
    if (!needs_csum && !is_tcp)
        return TUO_E_VNET_NEEDS_CSUM;
    if (needs_csum && h->csum_start != v->l4)
        return TUO_E_VNET_CSUM_START;
    if (needs_csum && h->csum_offset != (is_tcp ? 16 : 6))
        return TUO_E_VNET_CSUM_OFFSET;
    if (!is_super(s, h))
        return TUO_OK;
    if (v->payload > TUO_HEADER_MAX)
        return TUO_E_HEADER_TOO_LONG;
    seg = v->payload - v->ip + h->gso_size;
    return seg > 65535u + (v->version == 4 ? 0 : 40) ? TUO_E_VNET_GSO_SIZE : TUO_OK;
}

/* With a GSO type: what the kernel takes for payload begins behind the shortest header. */
static tuo_result expected_write_gso(const sample *s, const tuo_vnet_hdr *h)
{
    const pkt_view *v = &s->super;
    const int is_udp = v->proto == PKT_PROTO_UDP, needs_csum = h->flags & TUO_VNET_NEEDS_CSUM;
    const size_t counted = s->len - (needs_csum ? v->l4 : 0) - (is_udp ? 8 : 20);

    if (pkt_get16(s->p + v->ip + (v->version == 4 ? 2 : 4)) == 0 && (is_udp || v->version == 6 || counted <= h->gso_size))
        return TUO_E_IP_LENGTH;
    if (s->flags && v->end != s->len)
        return TUO_E_IP_LENGTH;
    if (is_udp && pkt_get16(s->p + v->l4 + 4) != v->end - v->l4)
        return TUO_E_UDP_LENGTH;
    if (v->routing_left && !needs_csum)
        return TUO_E_VNET_NEEDS_CSUM;
    if (counted > h->gso_size && !is_super(s, h))
        return v->payload == v->end ? TUO_E_VNET_NO_PAYLOAD : TUO_E_VNET_GSO_SIZE;
    return is_udp && counted > h->gso_size * 128u ? TUO_E_VNET_SEG_LIMIT : TUO_OK;
}

/* The end of the IP packet by its length field alone; the end of the bytes where there is none. */
static size_t stated_end(const sample *s)
{
    size_t ip = s->super.ip;

    if (s->len < ip || s->super.version == 0)
        return s->len;
    if (s->len - ip >= 20 && s->p[ip] >> 4 == 4 && (s->p[ip] & 15) >= 5)
        return pkt_get16(s->p + ip + 2) ? ip + pkt_get16(s->p + ip + 2) : s->len;
    if (s->len - ip >= 40 && s->p[ip] >> 4 == 6)
        return ip + 40 + pkt_get16(s->p + ip + 4);
    return s->len;
}

static tuo_result expected_write(const sample *s, const tuo_vnet_hdr *h)
{
    const size_t ip = s->flags & TUO_F_ETHERNET ? 14 : 0;
    const tuo_result result = is_tunnel(h) && !(h->gso_type & 0x10) ? TUO_E_VNET_TUNNEL : expected_vnet(s, h);

    if (result != TUO_OK)
        return result;
    if (s->len == 0 || s->len < ip)
        return TUO_E_TRUNCATED;
    if (ip == 0 && s->p[0] >> 4 != 4 && s->p[0] >> 4 != 6)
        return TUO_E_NOT_IP;
    if (h->hdr_len > s->len)
        return TUO_E_VNET_HDR_LEN;
    if ((h->flags & TUO_VNET_NEEDS_CSUM) && h->csum_start < ip + 20)
        return TUO_E_VNET_CSUM_START;
    if (h->gso_type != TUO_GSO_NONE)
        return expected_write_gso(s, h);
    return (h->flags & TUO_VNET_NEEDS_CSUM) && h->csum_start + h->csum_offset + 2u > stated_end(s) ? TUO_E_CSUM_RANGE : TUO_OK;
}

static void check_vnet(const sample *s, const tuo_vnet_hdr *h)
{
    CHECK_RESULT(tuo_vnet_check(h, s->p, s->len, s->flags), expected_vnet(s, h));
    CHECK_RESULT(tuo_vnet_check(h, s->p, s->len, s->flags | TUO_F_WRITE), expected_write(s, h));
}

/* ------------------------------------------------------------------------------------------------------ one packet: GSO */

static tuo_result expected_gso(const sample *s, const tuo_vnet_hdr *h, unsigned extra)
{
    const tuo_result result = expected_vnet(s, h);
    const int needs_csum = h->flags & TUO_VNET_NEEDS_CSUM;

    if (result == TUO_OK && is_tunnel(h))
        return expected_tunnel_gso(s, h, extra);
    if (result != TUO_OK || !is_super(s, h))
        return result;
    if (ref_jumbo(s->p, &s->super) == REF_JUMBO_STAYS || (ref_jumbo(s->p, &s->super) && !(extra & TUO_F_STRIP_JUMBO)))
        return TUO_E_IP6_JUMBO;
    if (s->super.routing_left && !needs_csum)
        return TUO_E_VNET_NEEDS_CSUM;
    if (extra & TUO_F_TRUST)
        return TUO_OK;
    if (!ref_ip_valid(s->p, &s->super))
        return TUO_E_IP_CSUM;
    return needs_csum || pkt_l4_sum(s->p, &s->super) == 0xffff ? TUO_OK : TUO_E_L4_CSUM;
}

static size_t flatten(const tuo_iov *iov, size_t iov_count, uint8_t *out, size_t cap)
{
    size_t i, at = 0;

    for (i = 0; i < iov_count && CHECK(iov[i].len <= cap - at); at += iov[i].len, i++)
        if (iov[i].len)
            memcpy(out + at, iov[i].base, iov[i].len);
    return at;
}

/* What the first len bytes become as a packet that is not cut. */
static void expect_whole(const sample *s, size_t len, const tuo_vnet_hdr *h, unsigned extra, uint8_t *out)
{
    unsigned sum;

    if (len)
        memcpy(out, s->p, len);
    if (!(h->flags & TUO_VNET_NEEDS_CSUM) || (extra & TUO_F_PSEUDO))
        return;
    sum = ~pkt_sum(s->p + h->csum_start, len - h->csum_start, 0) & 0xffff;
    pkt_put16(out + h->csum_start + h->csum_offset, sum ? sum : 0xffff);
}

/* All segments of what is marked as being in a tunnel. */
static void check_tunnel_segments(const sample *s, const tuo_vnet_hdr *h, unsigned extra)
{
    ref_list expected = ref_tunnel_wire(s->p, s->len, s->flags != 0, h, (extra & TUO_F_PSEUDO) != 0);
    size_t i;

    CHECK_EQ_INT(seg_count, expected.count);
    for (i = 0; i < seg_count && i < expected.count; i++) {
        CHECK_EQ_INT(seg_len[i], expected.len[i]);
        CHECK(seg_len[i] != expected.len[i] || same(seg_bytes[i], expected.bytes[i], expected.len[i]));
    }
    ref_list_free(&expected);
}

/* Segment i against what it must be. */
static void check_segment(const sample *s, const tuo_vnet_hdr *h, unsigned extra, size_t i)
{
    static uint8_t expected[SEGMENT_MAX];
    const pkt_view *v = &s->super;
    size_t len = s->len;

    if (h->gso_type != TUO_GSO_NONE)
        len = v->end;
    if (!is_super(s, h)) {
        expect_whole(s, len, h, extra, expected);
    } else {
        len = ref_split_one(s->p, v, h->gso_size, i, expected);
        if (h->flags & TUO_VNET_NEEDS_CSUM)
            ref_sum_from_seed(s->p, v, expected, len, (extra & TUO_F_PSEUDO) != 0);
        else if (extra & TUO_F_PSEUDO)
            pkt_put16(expected + pkt_l4_csum_at(v), pkt_pseudo_sum(s->p + v->src, s->p + v->dst, v->addr_len, v->proto, len - v->l4));
    }
    CHECK_EQ_INT(seg_len[i], len);
    CHECK(seg_len[i] != len || same(seg_bytes[i], expected, len));
}

/* Borrowed segments, into seg_bytes; then again with headers in memory of exactly the size that is asked for. */
static void walk_next(const sample *s, const tuo_vnet_hdr *h, unsigned extra, const tuo_gso *planned)
{
    static uint8_t flat[SEGMENT_MAX];
    tuo_gso gso = *planned, again = *planned;
    tuo_segment seg;

    exact_resize(&stamped, TUO_HEADER_MAX);
    for (seg_count = 0; seg_count < SEGMENTS_MAX && tuo_gso_next(&gso, NULL, &seg) == TUO_OK; seg_count++) {
        seg_len[seg_count] = flatten(seg.iov, seg.iov_count, seg_bytes[seg_count], SEGMENT_MAX);
        CHECK(seg.len == seg_len[seg_count]);
        if (!is_tunnel(h))
            check_segment(s, h, extra, seg_count);
        CHECK_RESULT(tuo_gso_next(&again, stamped.bytes, &seg), TUO_OK);
        CHECK(flatten(seg.iov, seg.iov_count, flat, sizeof flat) == seg_len[seg_count] &&
              same(flat, seg_bytes[seg_count], seg_len[seg_count]));
    }
    if (is_tunnel(h))
        check_tunnel_segments(s, h, extra);
    CHECK_EQ_INT(seg_count, tuo_gso_count(planned));
    memset(&seg, 0x77, sizeof seg);
    CHECK_RESULT(tuo_gso_next(&again, stamped.bytes, &seg), TUO_DONE);
    CHECK(all_bytes_are(&seg, sizeof seg, 0x77) && tuo_gso_remaining(&gso) == 0);
}

static void walk_in_place(const sample *s, const tuo_vnet_hdr *h, unsigned extra)
{
    tuo_gso gso;
    tuo_buf seg;
    size_t i;

    exact_fill(&scratch, s->p, s->len);
    CHECK_RESULT(tuo_gso_init(&gso, scratch.bytes, s->len, h, s->flags | extra), TUO_OK);
    for (i = 0; i < seg_count && CHECK_RESULT(tuo_gso_next_in_place(&gso, scratch.bytes, &seg), TUO_OK); i++)
        CHECK(seg.len == seg_len[i] && same(seg.data, seg_bytes[i], seg.len));
    CHECK_RESULT(tuo_gso_next_in_place(&gso, scratch.bytes, &seg), TUO_DONE);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, seg_bytes[0], &seg), TUO_E_INVALID);
}

/* Into buffers of exactly the size that is needed, behind one byte of headroom. One byte less is refused, and costs nothing. */
static void walk_split(const tuo_gso *planned)
{
    tuo_gso gso = *planned;
    size_t i, written;

    for (i = 0; i < seg_count; i++) {
        tuo_buf buf;
        void *bufs[1];
        bufs[0] = &buf;
        exact_resize(&output, 1 + seg_len[i]);
        buf.data = output.bytes;
        buf.data[0] = 0x77;
        buf.len = 0;
        buf.capacity = seg_len[i];
        CHECK_RESULT(tuo_gso_split(&gso, NULL, bufs, 1, 1, &written), TUO_E_NOSPACE);
        CHECK(written == 0 && buf.len == 0);
        buf.capacity++;
        CHECK_RESULT(tuo_gso_split(&gso, NULL, bufs, 1, 1, &written), i + 1 < seg_count ? TUO_MORE : TUO_OK);
        CHECK(written == 1 && buf.len == buf.capacity && buf.data[0] == 0x77 && same(buf.data + 1, seg_bytes[i], seg_len[i]));
    }
}

/* What is left to cut of a packet. */
static sample without_jumbo(const sample *s, tuo_vnet_hdr *h)
{
    static uint8_t copy[BIG];
    sample left = *s;

    if (is_tunnel(h) || !is_super(s, h) || ref_jumbo(s->p, &s->super) != REF_JUMBO_GOES)
        return left;
    memcpy(copy, s->p, s->len);
    left.p = copy;
    left.len -= ref_strip_jumbo(copy, s->len, &s->super, h);
    left.super = pkt_look(copy, left.len, s->flags != 0, 1);
    return left;
}

/* Leaves the segments in seg_bytes. 0: there are none. */
static int check_gso(const sample *s, const tuo_vnet_hdr *h, unsigned extra)
{
    const tuo_result expected = expected_gso(s, h, extra);
    tuo_vnet_hdr fitting = *h;
    sample left;
    tuo_gso gso;

    memset(&gso, 0x77, sizeof gso);
    if (!CHECK_RESULT(tuo_gso_init(&gso, s->p, s->len, h, s->flags | extra), expected))
        return 0;
    if (expected != TUO_OK)
        return !CHECK(all_bytes_are(&gso, sizeof gso, 0x77));
    left = without_jumbo(s, &fitting);
    walk_next(&left, &fitting, extra, &gso);
    walk_in_place(s, h, extra);
    walk_split(&gso);
    return 1;
}

/* ---------------------------------------------------------------------------------------- one packet: accounting, ladder */

/* The header of a packet that was just finished: lengths, sums, and what vnet says of it. */
static void check_finished(const sample *s, const tuo_vnet_hdr *vnet, uint16_t gso_size)
{
    const uint8_t *p = scratch.bytes;
    const pkt_view v = pkt_look(p, s->len, s->flags != 0, 1);
    const size_t l4_len = s->len - v.l4;
    const int is_super = v.payload_len > gso_size;
    const uint8_t type = v.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4 : v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6;

    if (!CHECK(pkt_has_l4(&v) && v.end == s->len && v.payload + v.payload_len == v.end))
        return;
    CHECK(ref_ip_valid(p, &v));
    CHECK_EQ_INT(pkt_get16(p + pkt_l4_csum_at(&v)), pkt_pseudo_sum(p + v.src, p + v.dst, v.addr_len, v.proto, l4_len));
    CHECK(vnet->flags == TUO_VNET_NEEDS_CSUM && vnet->csum_start == v.l4 && vnet->hdr_len == v.payload);
    CHECK(vnet->csum_offset == (v.proto == PKT_PROTO_TCP ? 16 : 6) && vnet->num_buffers == 0);
    CHECK(vnet->gso_type == (is_super ? type : TUO_GSO_NONE) && vnet->gso_size == (is_super ? gso_size : 0));
    CHECK_RESULT(tuo_vnet_check(vnet, p, s->len, s->flags), TUO_OK);
}

/* A refusal names a reason that there is, and writes nothing. */
static int check_refused(const sample *s, tuo_result got, uint64_t reasons, const tuo_vnet_hdr *vnet)
{
    if (got == TUO_OK) {
        CHECK(reasons == 0);
        return 0;
    }
    if (!CHECK(got < 0 && (reasons & BIT(got)) != 0))
        printf("    refused as %s\n", tuo_result_name(got));
    CHECK(same(scratch.bytes, s->p, s->len) && all_bytes_are(vnet, sizeof *vnet, 0x77));
    return 1;
}

/* Common to both functions that finish headers. */
static uint64_t reasons_of_headers(const pkt_view *v)
{
    uint64_t reasons = 0;

    if (v->status != PKT_OK)
        return BIT(result_of(v));
    if (v->fragment)
        reasons |= BIT(TUO_E_VNET_FRAGMENT);
    if (!pkt_has_l4(v) || v->routing_left)
        reasons |= BIT(TUO_E_VNET_PROTOCOL);
    else if (v->payload > TUO_HEADER_MAX)
        reasons |= BIT(TUO_E_HEADER_TOO_LONG);
    return reasons;
}

static void check_account(const sample *s, uint16_t gso_size)
{
    const pkt_view *v = &s->super;
    uint64_t reasons = reasons_of_headers(v);
    tuo_vnet_hdr vnet;
    tuo_result got;

    if (reasons == 0) {
        const size_t payload_len = s->len - v->payload, is_tcp = v->proto == PKT_PROTO_TCP;
        if (gso_size == 0 || gso_size == 65535 || (is_tcp && gso_size < 8))
            reasons |= BIT(TUO_E_VNET_GSO_SIZE);
        if (payload_len <= gso_size)
            reasons |= BIT(TUO_E_INVALID);
        if (!is_tcp && payload_len > (size_t)gso_size * 128)
            reasons |= BIT(TUO_E_VNET_SEG_LIMIT);
        if (s->len - v->ip > 65535)
            reasons |= BIT(TUO_E_IP_LENGTH);
    }
    exact_fill(&scratch, s->p, s->len);
    memset(&vnet, 0x77, sizeof vnet);
    got = tuo_coalesce_account(scratch.bytes, s->len, gso_size, s->flags, &vnet);
    if (check_refused(s, got, reasons, &vnet))
        return;
    CHECK(vnet.gso_type != TUO_GSO_NONE);
    check_finished(s, &vnet, gso_size);
}

/* The view of the packet as tuo_tso_prepare takes it: from the first header to the end, whatever the length fields say. */
static pkt_view look_whole(const sample *s)
{
    static uint8_t copy[BIG];
    const int ethernet = s->flags != 0;
    pkt_view v;

    if (s->len)
        memcpy(copy, s->p, s->len);
    v = pkt_look(copy, s->len, ethernet, 1);
    if (s->len - v.ip >= 6 && v.version == 4)
        pkt_put16(copy + v.ip + 2, 0);
    if (s->len - v.ip >= 6 && v.version == 6)
        pkt_put16(copy + v.ip + 4, 0);
    v = pkt_look(copy, s->len, ethernet, 1);
    if (v.proto != PKT_PROTO_UDP || v.fragment || v.opaque || s->len - v.l4 < 8 || (v.status != PKT_OK && v.status != PKT_UDP_LENGTH))
        return v;
    pkt_put16(copy + v.l4 + 4, 0);
    return pkt_look(copy, s->len, ethernet, 1);
}

static void check_tso(const sample *s, uint16_t gso_size, const tuo_caps *caps)
{
    const pkt_view v = look_whole(s);
    uint64_t reasons = reasons_of_headers(&v);
    tuo_vnet_hdr vnet;
    tuo_result got;

    if (reasons == 0) {
        const size_t fixed = v.version == 4 ? 0 : 40;
        const size_t seg = v.payload - v.ip + (gso_size < v.payload_len ? gso_size : v.payload_len);
        const uint32_t limits[5] = {0, caps->max_tcp4, caps->max_udp4, caps->max_tcp6, caps->max_udp6};
        if (gso_size == 0 || gso_size == 65535 || seg - fixed > 65535)
            reasons |= BIT(TUO_E_VNET_GSO_SIZE);
        if (v.end - v.ip - fixed > 65535 && v.end - v.ip > limits[kind_of(&v)])
            reasons |= BIT(TUO_E_IP_LENGTH);
    }
    exact_fill(&scratch, s->p, s->len);
    memset(&vnet, 0x77, sizeof vnet);
    got = tuo_tso_prepare(scratch.bytes, s->len, gso_size, caps, &vnet);
    if (!check_refused(s, got, reasons, &vnet))
        check_finished(s, &vnet, gso_size);
}

/* What the device sends of one packet, against the segments from *at on. */
static void check_sent(const sample *s, const tuo_caps *caps, const tuo_tx_packet *packet, size_t *at)
{
    static uint8_t flat[SEGMENT_MAX], sent[SEGMENT_MAX];
    const size_t flat_len = flatten(packet->iov, packet->iov_count, flat, sizeof flat);
    tuo_segment seg;
    tuo_gso gso;
    size_t len;

    CHECK(packet->len == flat_len && packet->iov_count >= 1 && packet->iov_count <= 4 && packet->seg_count >= 1);
    CHECK(packet->vlan_insert <= caps->tx_vlan_insert && (packet->vlan_insert || packet->vlan_tci == 0));
    CHECK(!caps->max_frags || packet->iov_count <= caps->max_frags);
    CHECK(packet->vnet.gso_type != TUO_GSO_NONE || packet->seg_count == 1);
    if (packet->csum_ip4) {
        pkt_view v = pkt_look(flat, flat_len, s->flags != 0, 1);
        pkt_fix_ip_checksum(flat, &v);
    }
    if (!CHECK_RESULT(tuo_gso_init(&gso, flat, flat_len, &packet->vnet, s->flags), TUO_OK))
        return;
    CHECK_EQ_INT(tuo_gso_count(&gso), packet->seg_count);
    for (; tuo_gso_next(&gso, NULL, &seg) == TUO_OK && CHECK(*at < seg_count); ++*at) {
        len = flatten(seg.iov, seg.iov_count, sent, sizeof sent - 4);
        if (packet->vlan_insert) {
            memmove(sent + 16, sent + 12, len - 12);
            pkt_put16(sent + 12, 0x8100);
            pkt_put16(sent + 14, packet->vlan_tci);
            len += 4;
        }
        CHECK(len == seg_len[*at] && same(sent, seg_bytes[*at], len) && len <= packet->wire_len_max);
    }
}

/* As for tuo_gso_init, and then the MTU decides. */
static tuo_result expected_tx(const sample *s, const tuo_vnet_hdr *h, const tuo_caps *caps, unsigned extra)
{
    const tuo_result result = expected_gso(s, h, extra);
    tuo_vnet_hdr fitting = *h;
    sample left;
    size_t longest;
    ref_list wire;

    if (result != TUO_OK || caps->mtu == 0)
        return result;
    if (is_tunnel(h)) {
        wire = ref_tunnel_wire(s->p, s->len, s->flags != 0, h, 0);
        longest = wire.len[0] - device_l2_len(s->flags != 0, s->p, wire.len[0]);
        ref_list_free(&wire);
        return longest > caps->mtu ? TUO_E_MTU : TUO_OK;
    }
    left = without_jumbo(s, &fitting);
    if (is_super(&left, h)) {
        longest = left.super.payload - left.super.ip + h->gso_size;
    } else {
        longest = h->gso_type != TUO_GSO_NONE ? s->super.end : s->len;
        longest -= device_l2_len(s->flags != 0, s->p, longest);
    }
    return longest > caps->mtu ? TUO_E_MTU : TUO_OK;
}

/* The segments that the device must send are in seg_bytes if is_ok. */
static void check_tx(const sample *s, const tuo_vnet_hdr *h, const tuo_caps *caps, unsigned strip, int is_ok)
{
    tuo_tx tx, again;
    tuo_tx_packet packet;
    size_t at = 0, at_again = 0, remaining;
    tuo_result got;

    memset(&tx, 0x77, sizeof tx);
    got = expected_tx(s, h, caps, TUO_F_TRUST | strip);
    CHECK_RESULT(tuo_tx_init(&tx, caps, s->p, s->len, h, TUO_F_TRUST | strip), got);
    if (!is_ok || got != TUO_OK) {
        CHECK(all_bytes_are(&tx, sizeof tx, 0x77));
        return;
    }
    exact_fill(&scratch, s->p, s->len);
    CHECK_RESULT(tuo_tx_init(&again, caps, scratch.bytes, s->len, h, TUO_F_TRUST | strip), TUO_OK);
    for (remaining = tuo_tx_remaining(&tx);; remaining--) {
        memset(&packet, 0x77, sizeof packet);
        got = tuo_tx_next(&tx, NULL, &packet);
        if (got != TUO_OK || !CHECK(remaining > 0))
            break;
        check_sent(s, caps, &packet, &at);
        CHECK_RESULT(tuo_tx_next_in_place(&again, scratch.bytes, &packet), TUO_OK);
        CHECK(packet.iov_count == 1);
        check_sent(s, caps, &packet, &at_again);
        CHECK(at == at_again && tuo_tx_remaining(&tx) == remaining - 1);
    }
    CHECK(all_bytes_are(&packet, sizeof packet, 0x77));
    if (got == TUO_E_UNSUPPORTED) {
        CHECK(caps->max_frags != 0 && tuo_tx_remaining(&tx) == remaining);
        return;
    }
    CHECK_RESULT(got, TUO_DONE);
    CHECK(remaining == 0 && at == seg_count);
    CHECK_RESULT(tuo_tx_next_in_place(&again, scratch.bytes, &packet), TUO_DONE);
}

/* ------------------------------------------------------------------------------------------------------ one packet: GRO */

/* Emitted, against what was pushed: each packet once; alone as it came, or in a superpacket that splits into the same bytes. */
static void check_emitted(const sample *s, const tuo_superpacket *sp, const exact *const *pushed, const int *indices, unsigned *seen,
                          int compare)
{
    static uint8_t flat[1024 + PACKETS * SEGMENT_MAX], one[SEGMENT_MAX];
    tuo_vnet_hdr vnet;
    tuo_segment seg;
    tuo_gso gso;
    size_t i, len;

    CHECK(sp->packet_count >= 1 && sp->packet_count <= PACKETS && sp->vnet_len == TUO_VNET_LEN);
    for (i = 0; i < sp->packet_count && i < PACKETS; i++) {
        const int index = *(const int *)sp->users[i];
        CHECK(index >= 0 && index < PACKETS && !(*seen & 1u << index));
        *seen |= 1u << (index & 7);
    }
    CHECK(sp->users[0] >= (const void *)&indices[0] && sp->users[0] <= (const void *)&indices[PACKETS - 1]);
    if (sp->packet_count == 1) {
        const exact *const alone = pushed[*(const int *)sp->users[0]];
        CHECK(sp->iov_count == 2 && sp->iov[0].len == TUO_VNET_LEN && all_bytes_are(sp->iov[0].base, TUO_VNET_LEN, 0));
        CHECK(sp->iov[1].base == (const void *)alone->bytes && sp->iov[1].len == alone->len);
        CHECK(sp->vnet.flags == 0 && sp->vnet.gso_type == TUO_GSO_NONE);
        return;
    }
    len = flatten(sp->iov, sp->iov_count, flat, sizeof flat);
    CHECK_EQ_INT(len, sp->len);
    CHECK_RESULT(tuo_vnet_decode(flat, len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet), TUO_OK);
    CHECK(vnet.gso_type == sp->vnet.gso_type && vnet.gso_size == sp->vnet.gso_size && vnet.csum_start == sp->vnet.csum_start);
    if (!CHECK_RESULT(tuo_gso_init(&gso, flat + TUO_VNET_LEN, len - TUO_VNET_LEN, &vnet, s->flags), TUO_OK))
        return;
    CHECK_EQ_INT(tuo_gso_count(&gso), sp->packet_count);
    for (i = 0; tuo_gso_next(&gso, NULL, &seg) == TUO_OK && i < sp->packet_count; i++) {
        const exact *const part = pushed[*(const int *)sp->users[i]];
        CHECK(flatten(seg.iov, seg.iov_count, one, sizeof one) == part->len);
        CHECK(!compare || same(one, part->bytes, part->len));
    }
}

/* Between a packet that it could be appended to and one that could follow it. */
static void check_gro(const sample *s, unsigned hint)
{
    static int indices[PACKETS] = {0, 1, 2};
    static const ref_options by_default;
    const exact *const pushed[PACKETS] = {&before, &input, &after};
    tuo_gro *const gro = gro_of[s->flags != 0];
    const ref_options *const opt = &by_default;
    const tuo_verdict by_itself = ref_classify(opt, s->p, s->len, &s->plain);
    tuo_superpacket sp;
    tuo_verdict got;
    unsigned seen = 0, drained = 0;
    int i;

    CHECK_VERDICT(tuo_gro_candidate(s->p, s->len, s->flags), by_itself);
    for (i = 0; i < PACKETS; i++) {
        got = tuo_gro_push(gro, pushed[i]->bytes, pushed[i]->len, &indices[i], hint);
        CHECK((unsigned)got < TUO_V_NO_ROOM);
        if (i == 1 && by_itself != TUO_V_HELD)
            CHECK_VERDICT(got, by_itself);
    }
    while (drained <= PACKETS && tuo_gro_next(gro, &sp) == TUO_OK) {
        drained++;
        check_emitted(s, &sp, pushed, indices, &seen, hint == 0);
    }
    CHECK(seen == (1u << PACKETS) - 1 && drained <= PACKETS);
}

/* -------------------------------------------------------------------------------------------------------- one packet: all */

static tuo_vnet_hdr header_of(const pkt_spec *spec, uint8_t flags, int is_gso)
{
    static const uint8_t types[PKT_KIND_COUNT] = {TUO_GSO_TCPV4, TUO_GSO_UDP_L4, TUO_GSO_TCPV6, TUO_GSO_UDP_L4};
    tuo_vnet_hdr h;

    memset(&h, 0, sizeof h);
    h.flags = flags;
    if (is_gso) {
        h.gso_type = types[spec->kind];
        h.gso_size = GSO_SIZE;
    }
    if (flags) {
        h.csum_start = (uint16_t)pkt_l4_off(spec);
        h.csum_offset = pkt_is_udp(spec) ? 6 : 16;
    }
    return h;
}

/* From the environment. SWEEP_STEP=n: every n-th length or value only, for processors that are emulated. SWEEP_FIRST=1: the first
   packet that fails is the last. */
static size_t step = 1;
static int first_only;

static void explain(const sample *s)
{
    size_t i;

    printf("    packet: %s, %s, %lu bytes, byte %lu set to 0x%02x:", s->row->name, s->variant, (unsigned long)s->len,
           (unsigned long)s->at, s->value);
    for (i = 0; i < s->len && i < 400; i++)
        printf(" %02x", (unsigned)s->p[i]);
    printf("\n");
    if (first_only)
        exit(1);
}

/* Everything that takes a packet, with the packet in `input`. What only gets as far as "no IP packet" is asked less. */
static void examine(sample *s)
{
    static uint8_t kept[BIG];
    const pkt_spec *spec = &s->row->spec;
    const int ethernet = s->flags != 0;
    const unsigned failures = check_state.failures;
    const uint16_t sizes[] = {GSO_SIZE, 8, 7, 1, 0, 65534, 65535};
    const tuo_vnet_hdr headers[] = {header_of(spec, 0, 0), header_of(spec, TUO_VNET_NEEDS_CSUM, 1), header_of(spec, 0, 1),
                                    header_of(spec, TUO_VNET_NEEDS_CSUM, 0)};
    size_t i, k;

    s->p = input.bytes;
    s->len = input.len;
    if (s->len)
        memcpy(kept, s->p, s->len);
    s->plain = pkt_look(s->p, s->len, ethernet, 0);
    s->super = pkt_look(s->p, s->len, ethernet, 1);
    check_parse(s, 0, &s->plain);
    check_parse(s, TUO_F_SUPERPACKET, &s->super);
    check_csum_valid(s);
    check_gro(s, 0);
    check_account(s, GSO_SIZE);
    check_tso(s, GSO_SIZE, &caps_of[ethernet][0]);
    for (i = 0; i < CHECK_COUNT_OF(headers); i++) {
        check_vnet(s, &headers[i]);
        if (s->super.status == PKT_NOT_IP && headers[i].flags == 0)
            continue;
        k = (size_t)check_gso(s, &headers[i], 0);
        if (s->super.status == PKT_NOT_IP)
            continue;
        if (k != 0 && headers[i].flags)
            check_gso(s, &headers[i], TUO_F_PSEUDO);
        if (headers[i].flags || headers[i].gso_type != TUO_GSO_NONE) /* otherwise there is nothing that could be trusted */
            k = (size_t)check_gso(s, &headers[i], TUO_F_TRUST);
        check_tx(s, &headers[i], &caps_of[ethernet][s->len % 4], 0, k != 0);
        if (!pkt_has_l4(&s->super) || !is_super(s, &headers[i]) || ref_jumbo(s->p, &s->super) == REF_NO_JUMBO)
            continue;
        check_gso(s, &headers[i], TUO_F_STRIP_JUMBO);
        k = (size_t)check_gso(s, &headers[i], TUO_F_STRIP_JUMBO | TUO_F_TRUST);
        check_tx(s, &headers[i], &caps_of[ethernet][s->len % 4], TUO_F_STRIP_JUMBO, k != 0);
    }
    if (s->super.status == PKT_OK) {
        check_gro(s, TUO_F_TRUST);
        for (i = 1; i < CHECK_COUNT_OF(sizes); i++) {
            check_account(s, sizes[i]);
            check_tso(s, sizes[i], &caps_of[ethernet][i % 4]);
        }
    }
    CHECK(same(input.bytes, kept, s->len));
    if (check_state.failures != failures && check_state.printed < CHECK_PRINT_MAX)
        explain(s);
}

/* Makes the length fields fit the bytes; `all`: UDP's, too, and the checksums. */
static void repair(const sample *s, int all)
{
    const int ethernet = s->flags != 0;
    uint8_t *p = input.bytes;
    pkt_view v = pkt_look(p, s->len, ethernet, 0);
    const size_t ip_len = s->len - v.ip;

    if (v.version == 4 && ip_len >= 20)
        pkt_put16(p + v.ip + 2, (unsigned)ip_len & 0xffff);
    if (v.version == 6 && ip_len >= 40)
        pkt_put16(p + v.ip + 4, (unsigned)(ip_len - 40) & 0xffff);
    if (!all)
        return;
    v = pkt_look(p, s->len, ethernet, 0);
    if (v.proto == PKT_PROTO_UDP && !v.fragment && v.l4 && s->len > v.l4 && s->len - v.l4 >= 8)
        pkt_put16(p + v.l4 + 4, (unsigned)(s->len - v.l4) & 0xffff);
    pkt_fix_checksums(p, s->len, ethernet);
}

/* As it is, and repaired as far as that goes: only then do the checks behind the first one matter. */
static void examine_variants(sample *s, const uint8_t *full, size_t len, size_t at, unsigned value)
{
    static const char *const names[] = {"as it is", "IP length repaired", "lengths and checksums repaired"};
    int variant;

    s->at = at;
    s->value = value;
    for (variant = 0; variant < 3; variant++) {
        exact_fill(&input, full, len);
        if (at < len)
            input.bytes[at] = (uint8_t)value;
        s->len = len;
        s->variant = names[variant];
        if (variant > 0) {
            repair(s, variant == 2);
            if (variant == 1 && pkt_is_udp(&s->row->spec) == 0) /* TCP has no length field: only the checksums differ */
                continue;
        }
        examine(s);
        if (s->super.status == PKT_NOT_IP || s->super.status == PKT_VLAN_DEPTH)
            return;
    }
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static uint8_t full[BIG];
static size_t full_len;


/* Builds the packet of a row and its neighbours in the flow. */
static sample sample_of(const sweep_row *row)
{
    pkt_spec spec = row->spec;
    const uint32_t payload_len = (uint32_t)pkt_payload_len(&spec);
    sample s;

    memset(&s, 0, sizeof s);
    s.row = row;
    s.flags = pkt_is_ethernet(&spec) ? TUO_F_ETHERNET : 0;
    spec.seq = 1000 - payload_len;
    spec.ip_id = 999;
    full_len = pkt_build(full, sizeof full, &spec);
    exact_fill(&before, full, full_len);
    spec.seq = 1000 + payload_len;
    spec.ip_id = 1001;
    full_len = pkt_build(full, sizeof full, &spec);
    exact_fill(&after, full, full_len);
    spec.seq = 1000;
    spec.ip_id = 1000;
    full_len = pkt_build(full, sizeof full, &spec);
    CHECK(full_len > 0 && full_len + GSO_SIZE <= SEGMENT_MAX);
    return s;
}

TEST(every_length_and_first_byte)
{
    size_t r, len, i;
    unsigned value;

    for (r = 0; r < CHECK_COUNT_OF(rows); r++) {
        const size_t ip = pkt_ip_off(&rows[r].spec);
        const size_t at[3] = {ip, ip - 2, ip - 1}; /* the IP header's first byte, the ethertype's two */
        sample s;
        check_row("%s", rows[r].name);
        s = sample_of(&rows[r]);
        for (len = 0; len <= full_len; len++) {
            if ((len + r) % step != 0 && len != full_len)
                continue;
            examine_variants(&s, full, len, len, 0);
            for (i = 0; i < (s.flags ? 3u : 1u); i++)
                for (value = 0; value < 256 && at[i] < len; value++)
                    if (value != full[at[i]])
                        examine_variants(&s, full, len, at[i], value);
        }
    }
}

/* The bytes that say how long something is, or what it is, each with every value. */
static size_t telling_bytes(const pkt_spec *spec, size_t *at)
{
    static const uint8_t ip4[] = {2, 3, 6, 7, 9}, ip6[] = {4, 5, 6}, ext[] = {0, 1, 2, 3}, tcp[] = {12, 13}, udp[] = {4, 5};
    const size_t ip = pkt_ip_off(spec), l4 = pkt_l4_off(spec);
    size_t i, e, n = 0;

    for (i = 0; i < spec->vlan_count; i++) {
        at[n++] = 12 + 4 * i;
        at[n++] = 13 + 4 * i;
    }
    for (i = 0; !pkt_is_v6(spec) && i < sizeof ip4; i++)
        at[n++] = ip + ip4[i];
    for (i = 0; pkt_is_v6(spec) && i < sizeof ip6; i++)
        at[n++] = ip + ip6[i];
    for (e = 0; pkt_is_v6(spec) && e < (spec->ext ? 8 : pkt_ext_len(spec)); e += 8)
        for (i = 0; i < sizeof ext; i++)
            at[n++] = ip + 40 + e + ext[i];
    for (i = 0; !pkt_is_udp(spec) && i < sizeof tcp; i++)
        at[n++] = l4 + tcp[i];
    for (i = 0; pkt_is_udp(spec) && i < sizeof udp; i++)
        at[n++] = l4 + udp[i];
    return n;
}

TEST(every_value_of_telling_bytes)
{
    size_t r, i, count, at[64];
    unsigned value;

    for (r = 0; r < CHECK_COUNT_OF(rows); r++) {
        sample s;
        check_row("%s", rows[r].name);
        s = sample_of(&rows[r]);
        count = telling_bytes(&rows[r].spec, at);
        for (i = 0; i < count; i++)
            for (value = (unsigned)((r + i) % step); value < 256; value += (unsigned)step)
                examine_variants(&s, full, full_len, at[i], value);
    }
}

/* Each 16-bit length around every place where it could matter, in packets that end around those places. */
TEST(length_fields_near_edges)
{
    size_t r, e, f, len;
    int near_end, near_value;

    for (r = 0; r < CHECK_COUNT_OF(rows); r++) {
        const pkt_spec *spec = &rows[r].spec;
        const size_t ip = pkt_ip_off(spec), l4 = pkt_l4_off(spec), payload = pkt_payload_off(spec);
        const size_t fields[2] = {ip + (pkt_is_v6(spec) ? 4 : 2), l4 + 4}, field_count = pkt_is_udp(spec) ? 2 : 1;
        const size_t ends[4] = {l4, payload, pkt_len(spec) - spec->trailer_len, pkt_len(spec)};
        sample s;
        check_row("%s", rows[r].name);
        s = sample_of(&rows[r]);
        for (e = 0; e < 4; e++)
            for (near_end = -2; near_end <= 2; near_end++)
                for (f = 0; f < field_count; f++) {
                    const size_t base = f ? l4 : ip + (pkt_is_v6(spec) ? 40 : 0);
                    uint8_t copy[SEGMENT_MAX];
                    len = ends[e] + (size_t)near_end;
                    if (len > full_len || len < fields[f] + 2)
                        continue;
                    memcpy(copy, full, len);
                    for (near_value = 0; near_value < 7 * 5; near_value++) {
                        const size_t edges[7] = {0, 8, 20, l4 - base, payload - base, len - base, 65535};
                        pkt_put16(copy + fields[f], (unsigned)(edges[near_value / 5] + (size_t)(near_value % 5) - 2) & 0xffff);
                        exact_fill(&input, copy, len);
                        s.variant = f ? "UDP length" : "IP length";
                        s.at = fields[f];
                        s.value = pkt_get16(copy + fields[f]);
                        examine(&s);
                    }
                }
    }
}

/* ----------------------------------------------------------------------------------------------------------- vnet headers */

/* The header's verdict, and all that follows from it. */
static void examine_header(sample *s, const tuo_vnet_hdr *h)
{
    const unsigned failures = check_state.failures;

    check_vnet(s, h);
    if (h->gso_type == TUO_GSO_NONE || h->gso_size >= 4) /* smaller ones make too many segments to compare each */
        check_tx(s, h, &caps_of[s->flags != 0][h->gso_size % 4], 0, check_gso(s, h, TUO_F_TRUST));
    else
        check_gso(s, h, TUO_F_TRUST | TUO_F_PSEUDO);
    if (check_state.failures != failures && check_state.printed < CHECK_PRINT_MAX) {
        printf("    vnet: flags 0x%x gso_type 0x%x hdr_len %u gso_size %u csum_start %u csum_offset %u\n", (unsigned)h->flags,
               (unsigned)h->gso_type, (unsigned)h->hdr_len, (unsigned)h->gso_size, (unsigned)h->csum_start, (unsigned)h->csum_offset);
        explain(s);
    }
}

/* 0..limit, then the last values of 16 bits. */
static uint16_t edge_of_16(size_t i, size_t limit)
{
    return (uint16_t)(i <= limit ? i : 65535 - (i - limit - 1));
}

static void sweep_header_fields(sample *s)
{
    const tuo_vnet_hdr gso = header_of(&s->row->spec, TUO_VNET_NEEDS_CSUM, 1), plain = header_of(&s->row->spec, TUO_VNET_NEEDS_CSUM, 0);
    const size_t limit = s->len + 3, count = limit + 1 + 20;
    size_t i, k;
    unsigned flags;

    for (flags = 0; flags < 16; flags++)
        for (i = 0; i < 256; i++) {
            tuo_vnet_hdr h = gso;
            h.flags = (uint8_t)flags;
            h.gso_type = (uint8_t)i;
            examine_header(s, &h);
        }
    for (i = 0; i < count; i++) {
        tuo_vnet_hdr h = gso;
        h.gso_size = edge_of_16(i, limit);
        examine_header(s, &h);
        h = gso;
        h.csum_start = edge_of_16(i, limit);
        examine_header(s, &h);
        h = gso;
        h.csum_offset = edge_of_16(i, limit);
        examine_header(s, &h);
        h = gso;
        h.hdr_len = edge_of_16(i, limit);
        check_vnet(s, &h);
    }
    for (i = 0; i < count; i++) /* the sum of both is what must not wrap */
        for (k = 0; k < count; k++) {
            tuo_vnet_hdr h = plain;
            h.csum_start = edge_of_16(i, limit);
            h.csum_offset = edge_of_16(k, limit);
            if ((size_t)h.csum_start + h.csum_offset + 4 >= s->len || k % 7 == 0)
                check_gso(s, &h, 0);
        }
}

TEST(vnet_header_fields)
{
    size_t r, i;

    for (r = 0; r < CHECK_COUNT_OF(rows); r++) {
        sample s;
        if (rows[r].spec.payload_len != 3 * GSO_SIZE - 5)
            continue;
        check_row("%s", rows[r].name);
        s = sample_of(&rows[r]);
        s.variant = "vnet header";
        for (i = 0; i < 3; i++) { /* to its end, without payload, headers cut */
            const size_t lens[3] = {full_len, pkt_payload_off(&rows[r].spec), pkt_l4_off(&rows[r].spec) + 7};
            exact_fill(&input, full, lens[i]);
            s.p = input.bytes;
            s.len = lens[i];
            repair(&s, 1);
            s.plain = pkt_look(s.p, s.len, s.flags != 0, 0);
            s.super = pkt_look(s.p, s.len, s.flags != 0, 1);
            sweep_header_fields(&s);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------- tunnels */

static const struct {
    const char *name;
    tunnel_spec spec;
} tunnels[] = {
    {"tcp4 in udp4", {.outer = {.kind = PKT_UDP4}, .inner = {.kind = PKT_TCP4, LONG, .ethernet = 1}, .header_len = 8, .csum = 1}},
    {"tcp6 in udp6", {.outer = {.kind = PKT_UDP6}, .inner = {.kind = PKT_TCP6, LONG, .ethernet = 1}, .header_len = 8, .csum = 1}},
    {"udp4 in udp6, no outer checksum", {.outer = {.kind = PKT_UDP6}, .inner = {.kind = PKT_UDP4, LONG}, .header_len = 8}},
    {"udp6 in udp4, a tag, an odd header", {.outer = {.kind = PKT_UDP4, .vlan_count = 1}, .inner = {.kind = PKT_UDP6, LONG}, .header_len = 3,
                                            .csum = 1}},
};

static void examine_tunnel(sample *s, const tuo_vnet_hdr *h)
{
    s->p = input.bytes;
    s->len = input.len;
    s->plain = pkt_look(s->p, s->len, s->flags != 0, 0);
    s->super = pkt_look(s->p, s->len, s->flags != 0, 1);
    examine_header(s, h);
    if (h->gso_type != (h->gso_type & REF_TUNNELS)) { /* and as a single packet */
        tuo_vnet_hdr single = *h;
        single.gso_type &= REF_TUNNELS;
        single.gso_size = 0;
        examine_header(s, &single);
    }
}

/* Each prefix; each byte of the headers with some other values; each field of the vnet header with each value that could matter. */
TEST(superpackets_in_tunnels)
{
    static const sweep_row row = {"tunnel", {0}};
    size_t r, i, k;

    for (r = 0; r < CHECK_COUNT_OF(tunnels); r++) {
        tunnel_super t = tunnel_build(&tunnels[r].spec, GSO_SIZE);
        const size_t hdr_len = t.vnet.hdr_len;
        sample s;
        memset(&s, 0, sizeof s);
        s.row = &row;
        s.variant = tunnels[r].name;
        s.flags = t.ethernet ? TUO_F_ETHERNET : 0;
        check_row("%s", tunnels[r].name);
        for (i = 0; i <= t.len; i++) {
            exact_fill(&input, t.bytes, i);
            s.at = i;
            examine_tunnel(&s, &t.vnet);
        }
        for (i = 0; i < hdr_len; i++)
            for (k = r % step; k < 8 + 6; k += step) {
                static const uint8_t more[6] = {0x00, 0xff, 0x40, 0x60, 0x11, 0x45};
                exact_fill(&input, t.bytes, t.len);
                input.bytes[i] = (uint8_t)(k < 8 ? input.bytes[i] ^ 1u << k : more[k - 8]);
                s.at = i;
                s.value = input.bytes[i];
                examine_tunnel(&s, &t.vnet);
            }
        exact_fill(&input, t.bytes, t.len);
        for (i = 0; i < t.len + 25; i++) {
            tuo_vnet_hdr h = t.vnet;
            h.outer_th_offset = edge_of_16(i, t.len + 3);
            examine_tunnel(&s, &h);
            h = t.vnet;
            h.inner_nh_offset = edge_of_16(i, t.len + 3);
            examine_tunnel(&s, &h);
            h.outer_th_offset = (uint16_t)(h.outer_th_offset - 4);
            examine_tunnel(&s, &h);
            h = t.vnet;
            h.csum_start = edge_of_16(i, t.len + 3);
            examine_tunnel(&s, &h);
            h = t.vnet;
            h.gso_size = edge_of_16(i, t.len + 3);
            examine_tunnel(&s, &h);
        }
        for (i = 0; i < 16; i++)
            for (k = 0; k < 256; k++) {
                tuo_vnet_hdr h = t.vnet;
                h.flags = (uint8_t)i;
                h.gso_type = (uint8_t)k;
                examine_tunnel(&s, &h);
            }
        free(t.bytes);
    }
}

/* -------------------------------------------------------------------------------------------------- around 65535 bytes */

TEST(lengths_around_64_kib)
{
    static const uint16_t sizes[] = {1, 7, 8, 511, 512, 513, 1400, 65494, 65495, 65515, 65534, 65535};
    size_t kind, i, len;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++)
        for (len = 65533; len <= 65577; len++) {
            sweep_row row = {"large", {.seq = 1}};
            sample s;
            row.spec.kind = (pkt_kind)kind;
            row.spec.payload_len = (int32_t)(len - pkt_payload_off(&row.spec));
            memset(&s, 0, sizeof s);
            s.row = &row;
            s.variant = "large";
            check_row("kind %lu", (unsigned long)kind);
            full_len = pkt_build(full, sizeof full, &row.spec);
            exact_fill(&input, full, full_len);
            s.p = input.bytes;
            s.len = full_len;
            s.plain = pkt_look(s.p, s.len, 0, 0);
            s.super = pkt_look(s.p, s.len, 0, 1);
            check_parse(&s, 0, &s.plain);
            check_parse(&s, TUO_F_SUPERPACKET, &s.super);
            CHECK_VERDICT(tuo_gro_candidate(s.p, s.len, 0), ref_classify(&(ref_options){.max_bytes = 65535}, s.p, s.len, &s.plain));
            for (i = 0; i < CHECK_COUNT_OF(sizes); i++) {
                tuo_vnet_hdr h = header_of(&row.spec, TUO_VNET_NEEDS_CSUM, 1);
                h.gso_size = sizes[i];
                check_vnet(&s, &h);
                check_account(&s, sizes[i]);
                check_tso(&s, sizes[i], &caps_of[0][i % 2]);
                check_tso(&s, sizes[i], &caps_of[0][3]);
            }
        }
}

/* A device for each rung of the ladder. */
static void make_caps(tuo_caps *caps, uint8_t ethernet)
{
    memset(caps, 0, 4 * sizeof *caps);
    caps[1].tx_csum_any = caps[1].tx_ip6_ext = caps[1].tso_cwr = 1; /* virtio */
    caps[1].tx_vlan_max = TUO_VLAN_MAX;
    caps[1].max_tcp4 = caps[1].max_tcp6 = caps[1].max_udp4 = caps[1].max_udp6 = 65535;
    caps[2].tx_csum_ip4 = caps[2].tx_csum_tcp4 = caps[2].tx_csum_udp4 = caps[2].tx_csum_tcp6 = caps[2].tx_csum_udp6 = 1;
    caps[2].tx_vlan_max = 1;
    caps[2].max_tcp4 = caps[2].max_tcp6 = 100; /* superpackets of two segments, then one */
    caps[2].max_udp4 = caps[2].max_udp6 = 100;
    caps[2].max_segs = caps[2].max_udp_segs = 2;
    caps[2].tx_vlan_insert = 1;
    caps[2].mtu = 70;
    caps[3].tx_csum_tcp4 = caps[3].tx_csum_udp6 = caps[3].tx_ip6_ext = 1;
    caps[3].tx_vlan_max = 2;
    caps[3].max_tcp4 = caps[3].max_tcp6 = caps[3].max_udp4 = caps[3].max_udp6 = 200000;
    caps[3].min_seg_size = 8;
    caps[3].max_frags = 2;
    caps[3].tx_vlan_insert = 1;
    caps[3].max_hdr_len = 70;
    caps[0].ethernet = caps[1].ethernet = caps[2].ethernet = caps[3].ethernet = ethernet;
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(every_length_and_first_byte), CHECK_ENTRY(every_value_of_telling_bytes), CHECK_ENTRY(length_fields_near_edges),
        CHECK_ENTRY(vnet_header_fields),          CHECK_ENTRY(lengths_around_64_kib),
        CHECK_ENTRY(superpackets_in_tunnels),
    };
    const char *env = getenv("SWEEP_STEP");
    void *memory[2];
    int i, failed;

    if (env && atoi(env) > 0)
        step = (size_t)atoi(env);
    first_only = getenv("SWEEP_FIRST") != NULL;
    for (i = 0; i < 2; i++) {
        tuo_gro_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.ethernet = (uint8_t)i;
        desc.max_packets = PACKETS;
        memory[i] = ref_alloc(tuo_gro_memory_size(&desc), 1);
        if (tuo_gro_init(&gro_of[i], memory[i], tuo_gro_memory_size(&desc), &desc) != TUO_OK)
            return 2;
        make_caps(caps_of[i], i != 0);
    }
    failed = CHECK_RUN(argc, argv, tests);
    for (i = 0; i < 2; i++)
        free(memory[i]);
    exact_free(&input);
    exact_free(&scratch);
    exact_free(&stamped);
    exact_free(&output);
    exact_free(&before);
    exact_free(&after);
    return failed;
}
