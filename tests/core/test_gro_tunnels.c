/* test_gro_tunnels.c - coalescing inside VXLAN and Geneve. What comes out is the superpacket that tests/lib/tunnels.h builds and splits; a
   table of what may not merge, with the verdict of each packet; what closes what; limits, hints, configurations; order in random
   traffic. A tunnel has two sets of headers: each rule is tested on both. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "tunnels.h"
#include "gro_harness.h"
#include "gro_traffic.h"

enum { LEN = 100, BUF_HEADROOM = 64, BUF_ROOM = BUF_HEADROOM + 66000, BUFS = 64 };

static h_batch batch;
static const char *const form_names[] = {"VXLAN", "Geneve", "Geneve with options", "Geneve of bare IP"};

/* ------------------------------------------------------------------------------------------------------------ datagrams */

static size_t add(h_batch *b, const datagram *d)
{
    static uint8_t bytes[H_SEGMENT_CAP];
    size_t len = datagram_build(bytes, sizeof bytes, d);

    CHECK(len != 0);
    b->ethernet = pkt_is_ethernet(&d->outer);
    return h_add_bytes(b, bytes, len);
}

static tuo_gro_desc tunnels_on(int ethernet)
{
    tuo_gro_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.vnet_hdr_len = TUO_VNET_LEN_TUNNEL;
    desc.ethernet = (uint8_t)ethernet;
    desc.vxlan_port_count = desc.geneve_port_count = 2;
    desc.vxlan_ports[0] = 8472;
    desc.vxlan_ports[1] = VXLAN_PORT;
    desc.geneve_ports[0] = GENEVE_PORT;
    desc.geneve_ports[1] = 6082;
    return desc;
}

/* ------------------------------------------------------------------------------------------------ what must always hold */

typedef struct tunnel_view {
    pkt_view outer, inner; /* offsets of the inner one from the start of the frame */
    int csum;
} tunnel_view;

static void view_shift(pkt_view *v, size_t by)
{
    v->ip += by;
    v->l4 += by;
    v->payload += by;
    v->end += by;
    v->src += by;
    v->dst += by;
}

/* 1: a tunnel of which both packets have all their headers. */
static int view_tunnel(const uint8_t *p, size_t len, int ethernet, tunnel_view *v)
{
    unsigned port;
    size_t at;
    int inner_ethernet = 1;

    memset(v, 0, sizeof *v);
    v->outer = pkt_look(p, len, ethernet, 0);
    if (!pkt_has_l4(&v->outer) || v->outer.proto != PKT_PROTO_UDP || v->outer.payload_len < 8)
        return 0;
    port = pkt_get16(p + v->outer.l4 + 2);
    at = v->outer.payload + 8;
    if (port == GENEVE_PORT) {
        at += (size_t)(p[v->outer.payload] & 63) * 4;
        inner_ethernet = pkt_get16(p + v->outer.payload + 2) == 0x6558;
    } else if (port != VXLAN_PORT) {
        return 0;
    }
    if (at >= v->outer.end)
        return 0;
    v->csum = pkt_get16(p + v->outer.l4 + 6) != 0;
    v->inner = pkt_look(p + at, v->outer.end - at, inner_ethernet, 0);
    if (!pkt_has_l4(&v->inner))
        return 0;
    view_shift(&v->inner, at);
    return 1;
}

/* Is every checksum right? That of the outer UDP header may be 0. */
static int sums_are_right(const uint8_t *p, const tunnel_view *v)
{
    return CHECK(v->outer.version == 6 || pkt_sum(p + v->outer.ip, v->outer.l4 - v->outer.ip, 0) == 0xffff) &&
           CHECK(!v->csum || pkt_l4_sum(p, &v->outer) == 0xffff) &&
           CHECK(v->inner.version == 6 || pkt_sum(p + v->inner.ip, v->inner.l4 - v->inner.ip, 0) == 0xffff) &&
           CHECK_EQ_INT(pkt_l4_sum(p, &v->inner), 0xffff) &&
           CHECK(v->inner.proto == PKT_PROTO_TCP || pkt_get16(p + v->inner.l4 + 6) != 0);
}

/* May the IDs at this offset come back renumbered? */
static int ids_are_free(const h_batch *b, const h_group *g, const tuo_gro_desc *desc, unsigned version, size_t ip)
{
    const uint8_t *first = b->pkt[b->order[g->first]] + ip;
    size_t k;

    if (version != 4 || desc->ip_id == TUO_IP_ID_EXACT)
        return 0;
    if (desc->ip_id == TUO_IP_ID_ANY)
        return 1;
    for (k = 0; k < g->count; k++) {
        const uint8_t *p = b->pkt[b->order[g->first + k]] + ip;
        if (!(p[6] & 0x40) || (desc->ip_id == TUO_IP_ID_DEFAULT && pkt_get16(p + 4) != pkt_get16(first + 4)))
            return 0;
    }
    return 1;
}

/* Segment k against the packet that was pushed; IDs that are free, and the header checksum behind them, become those of the packet. */
static int check_segment(const h_batch *b, const h_group *g, size_t k, const uint8_t *seg, size_t len, int outer_free, int inner_free,
                         const tunnel_view *v)
{
    static uint8_t copy[H_SEGMENT_CAP];
    size_t input = b->order[g->first + k];
    const uint8_t *p = b->pkt[input];

    if (!CHECK_EQ_INT(len, b->len[input]))
        return 0;
    memcpy(copy, seg, len);
    if (outer_free) {
        memcpy(copy + v->outer.ip + 4, p + v->outer.ip + 4, 2);
        memcpy(copy + v->outer.ip + 10, p + v->outer.ip + 10, 2);
    }
    if (inner_free) {
        memcpy(copy + v->inner.ip + 4, p + v->inner.ip + 4, 2);
        memcpy(copy + v->inner.ip + 10, p + v->inner.ip + 10, 2);
    }
    return CHECK_BYTES(copy, p, len);
}

/* By the library's splitter and by that of tunnels.h: what was pushed. */
static int check_split(const h_batch *b, const h_group *g, const tuo_gro_desc *desc, const tuo_vnet_hdr *vnet, const tunnel_view *v)
{
    static uint8_t flat[H_SEGMENT_CAP];
    int outer_free = ids_are_free(b, g, desc, v->outer.version, v->outer.ip);
    int inner_free = ids_are_free(b, g, desc, v->inner.version, v->inner.ip);
    tunnel_super sp;
    ref_list naive;
    tuo_segment seg;
    tuo_gso gso;
    size_t k, i, at;
    int ok;

    sp.bytes = g->bytes;
    sp.len = g->len;
    sp.inner_off = v->inner.ip;
    sp.vnet = *vnet;
    sp.ethernet = b->ethernet;
    naive = tunnel_split(&sp, vnet->gso_size);
    ok = CHECK_RESULT(tuo_gso_init(&gso, g->bytes, g->len, vnet, h_flags(b)), TUO_OK) &&
         CHECK_EQ_INT(tuo_gso_count(&gso), g->count) && CHECK_EQ_INT(naive.count, g->count);
    for (k = 0; ok && k < g->count; k++) {
        ok = CHECK_RESULT(tuo_gso_next(&gso, NULL, &seg), TUO_OK);
        for (i = at = 0; ok && i < seg.iov_count; at += seg.iov[i].len, i++)
            memcpy(flat + at, seg.iov[i].base, seg.iov[i].len);
        ok = ok && check_segment(b, g, k, flat, at, outer_free, inner_free, v) &&
             check_segment(b, g, k, naive.bytes[k], naive.len[k], outer_free, inner_free, v);
    }
    ref_list_free(&naive);
    return ok;
}

/* All members; the struct has bytes between them. */
static int check_vnet(const tuo_vnet_hdr *actual, const tuo_vnet_hdr *expected)
{
    uint8_t bytes[2][TUO_VNET_LEN_TUNNEL];

    return CHECK_RESULT(tuo_vnet_encode(actual, TUO_VNET_LEN_TUNNEL, TUO_ORDER_LITTLE, bytes[0], TUO_VNET_LEN_TUNNEL), TUO_OK) &&
           CHECK_RESULT(tuo_vnet_encode(expected, TUO_VNET_LEN_TUNNEL, TUO_ORDER_LITTLE, bytes[1], TUO_VNET_LEN_TUNNEL), TUO_OK) &&
           CHECK_BYTES(bytes[0], bytes[1], TUO_VNET_LEN_TUNNEL);
}

/* A superpacket in a tunnel. */
static int check_super(const h_batch *b, const h_group *g, const tuo_gro_desc *desc, int trusted)
{
    size_t first = b->order[g->first], k;
    tuo_vnet_hdr expected, vnet = g->vnet;
    tunnel_view v;

    if (!CHECK(view_tunnel(b->pkt[first], b->len[first], b->ethernet, &v)))
        return 0;
    memset(&expected, 0, sizeof expected);
    expected.flags = (uint8_t)(TUO_VNET_NEEDS_CSUM | (v.csum ? TUO_VNET_UDP_TUNNEL_CSUM : 0));
    expected.gso_type = v.inner.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4 : v.inner.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6;
    expected.gso_type |= v.outer.version == 4 ? TUO_GSO_UDP_TUNNEL_IPV4 : TUO_GSO_UDP_TUNNEL_IPV6;
    expected.hdr_len = (uint16_t)v.inner.payload;
    expected.gso_size = (uint16_t)v.inner.payload_len;
    expected.csum_start = (uint16_t)v.inner.l4;
    expected.csum_offset = v.inner.proto == PKT_PROTO_UDP ? 6 : 16;
    expected.num_buffers = desc->virtio_guest;
    expected.outer_th_offset = (uint16_t)(v.outer.l4 + (desc->tunnels_for_tun ? 14 : 0));
    expected.inner_nh_offset = (uint16_t)v.inner.ip;
    if (!check_vnet(&vnet, &expected))
        return 0;
    vnet.outer_th_offset = (uint16_t)v.outer.l4;
    if (!CHECK_RESULT(tuo_vnet_check(&vnet, g->bytes, g->len, h_flags(b)), TUO_OK) ||
        !CHECK(pkt_look(g->bytes, g->len, b->ethernet, 0).end == g->len))
        return 0;
    if (trusted)
        return 1;
    for (k = 0; k < g->count; k++)
        if (!CHECK(view_tunnel(b->pkt[b->order[g->first + k]], b->len[b->order[g->first + k]], b->ethernet, &v)) ||
            !sums_are_right(b->pkt[b->order[g->first + k]], &v))
            return 0;
    return check_split(b, g, desc, &vnet, &v);
}

static int is_tunnel(const h_group *g)
{
    return (g->vnet.gso_type & (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6)) != 0;
}

/* Each packet once; single ones as they came, and without any type. */
static int check_all(const h_batch *b, const tuo_gro_desc *desc)
{
    size_t i;

    if (!h_check_each_once(b))
        return 0;
    for (i = 0; i < b->group_count; i++) {
        const h_group *g = &b->group[i];
        int trusted = desc->trust_checksums || h_group_is_trusted(b, g);
        if (!(is_tunnel(g) ? CHECK(g->count > 1) && h_check_wire_vnet(g, desc) && check_super(b, g, desc, trusted)
                           : h_check_group(b, g, desc)))
            return 0;
    }
    return 1;
}

static void check_groups(const h_batch *b, const char *expected)
{
    char text[3 * BUFS];

    CHECK_EQ_STR(h_groups(b, text, sizeof text), expected);
}

/* ----------------------------------------------------------------------------------------------------- by copy: the same */

static uint8_t arena[BUFS][BUF_ROOM];
static tuo_buf bufs[BUFS];

static void fill_bufs(const h_batch *b)
{
    size_t i;

    CHECK(b->count <= BUFS);
    for (i = 0; i < b->count; i++) {
        bufs[i].data = arena[i];
        bufs[i].capacity = BUF_ROOM;
        bufs[i].len = BUF_HEADROOM + b->len[i];
        memcpy(arena[i] + BUF_HEADROOM, b->pkt[i], b->len[i]);
    }
}

static void check_same_group(const h_group *g, const tuo_buf *buf)
{
    if (!CHECK_EQ_INT(buf->len, BUF_HEADROOM + g->len))
        return;
    CHECK_BYTES(buf->data + BUF_HEADROOM, g->bytes, g->len);
    CHECK_BYTES(buf->data + BUF_HEADROOM - g->vnet_len, g->wire_vnet, g->vnet_len);
}

/* The copying modes give the bytes of the gathering one, which are in the batch. */
static void check_copies(const h_batch *b, const tuo_gro_desc *desc)
{
    h_gro h = h_open(desc);
    void *handles[BUFS];
    size_t to_write[BUFS], written = 0, i;
    tuo_superpacket sp;

    fill_bufs(b);
    for (i = 0; i < b->count; i++)
        CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[i], BUF_HEADROOM, 0), b->verdict[i]);
    for (i = 0; tuo_gro_next_copy(h.gro, NULL, BUF_HEADROOM, &sp) == TUO_OK && CHECK(i < b->group_count); i++) {
        check_same_group(&b->group[i], (const tuo_buf *)sp.users[0]);
        check_vnet(&sp.vnet, &b->group[i].vnet);
    }
    CHECK_EQ_INT(i, b->group_count);
    fill_bufs(b);
    for (i = 0; i < b->count; i++)
        handles[i] = &bufs[i];
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, handles, b->count, BUF_HEADROOM, to_write, &written), TUO_OK);
    if (CHECK_EQ_INT(written, b->group_count))
        for (i = 0; i < written; i++)
            check_same_group(&b->group[i], (const tuo_buf *)handles[to_write[i]]);
    h_close(&h);
}

/* Everything that is in the batch through a new instance. */
static void run_batch(const tuo_gro_desc *desc, unsigned hint)
{
    h_gro h = h_open(desc);

    h_push_all(&batch, h.gro, hint);
    h_drain(&batch, h.gro);
    check_all(&batch, desc);
    h_close(&h);
    if (!hint && batch.count <= BUFS && desc->max_frags == 0)
        check_copies(&batch, desc);
}

/* -------------------------------------------------------------------------------------------------------- the round trip */

static void add_list(h_batch *b, const ref_list *list, int ethernet)
{
    size_t i;

    b->ethernet = ethernet;
    for (i = 0; i < list->count; i++)
        h_add_bytes(b, list->bytes[i], list->len[i]);
}

static void round_trip(const datagram *d, int for_tun)
{
    tuo_gro_desc desc = tunnels_on(pkt_is_ethernet(&d->outer));
    tunnel_spec t;
    tunnel_super sp;
    ref_list list;
    size_t i;

    memset(&t, 0, sizeof t);
    t.outer = d->outer;
    t.inner = d->inner;
    t.inner.payload_len = 3500;
    t.header_len = datagram_header_len(d);
    t.csum = !d->no_csum;
    sp = tunnel_build(&t, 1000);
    datagram_put_header(sp.bytes + pkt_payload_off(&t.outer), d); /* the checksum of a superpacket does not cover it */
    list = tunnel_split(&sp, 1000);
    h_clear(&batch);
    add_list(&batch, &list, sp.ethernet);
    desc.tunnels_for_tun = (uint8_t)for_tun;
    run_batch(&desc, 0);
    for (i = 0; i < batch.count; i++)
        CHECK_VERDICT(batch.verdict[i], i ? TUO_V_APPENDED : TUO_V_HELD);
    check_groups(&batch, "0123");
    if (CHECK_EQ_INT(batch.group[0].len, sp.len))
        CHECK_BYTES(batch.group[0].bytes, sp.bytes, sp.len);
    sp.vnet.outer_th_offset = (uint16_t)(sp.vnet.outer_th_offset + (for_tun ? 14 : 0));
    check_vnet(&batch.group[0].vnet, &sp.vnet);
    ref_list_free(&list);
    free(sp.bytes);
}

TEST(what_was_cut_becomes_the_same_superpacket)
{
    unsigned i;

    for (i = 0; i < 2 * 2 * DATAGRAM_COUNT * PKT_KIND_COUNT * 3 * 2; i++) {
        unsigned n = i, csum, where, outer6, tagged;
        datagram d;
        pkt_kind inner;
        datagram_form f;
        outer6 = n % 2, n /= 2;
        csum = n % 2, n /= 2;
        tagged = n % 2, n /= 2;
        where = n % 3, n /= 3; /* TUN as the standard has it, TUN as Linux has it, TAP */
        f = (datagram_form)(n % DATAGRAM_COUNT), n /= DATAGRAM_COUNT;
        inner = (pkt_kind)n;
        if (f == DATAGRAM_GENEVE_IP && (where == 1 || tagged))
            continue;
        check_row("%s%s, outer IPv%d, checksum %d, inner kind %d, where %d", form_names[f], tagged ? " with a tag" : "", outer6 ? 6 : 4,
                  (int)csum, (int)inner, (int)where);
        d = datagram_of(f, outer6 ? PKT_UDP6 : PKT_UDP4, inner, where == 2);
        d.no_csum = !csum;
        d.inner.vlan_count = (uint8_t)tagged;
        round_trip(&d, where == 1);
    }
}

/* --------------------------------------------------------------------------------------------------------- what may not */

/* What makes a datagram different. */
typedef enum change {
    SAME, OUTER_TTL, OUTER_CE, OUTER_DF, OUTER_LABEL, OUTER_CLASS, OUTER_ID_GAP, OUTER_PORT, OUTER_ADDRESS, OUTER_MAC, VNI, OPTION, INNER_MAC,
    INNER_TAG, CSUM_TOGGLED, OUTER_IP_CSUM, OUTER_UDP_CSUM, INNER_CSUM, INNER_BYTE, INNER_IP_CSUM, PSH, FIN, SHORT, LONGER, GAP, LATE,
    INNER_ACK_ONLY, INNER_FRAGMENT, OUTER_FRAGMENT, ODD_HEADER, VXLAN_GPE, GENEVE_O, GENEVE_VERSION, ARP, OUTER_OPTIONS, OUTER_EXT, OUTER_TAG,
    OUTER_TRAILER, INNER_OPTIONS, INNER_EXT, INNER_TTL, INNER_CE, INNER_ID_GAP, INNER_NO_CSUM, INNER_VERSION, INNER_TAGS, INNER_NOTHING, INNER_CUT,
    INNER_TRAILER, INNER_SYN, INNER_ADDRESS, INNER_PORT, OTHER_PORT, OPTIONS_ALONE, OPTIONS_TOO_LONG, TAG_ALONE
} change;

static const uint8_t nops[4] = {1, 1, 1, 1};

static void apply_outer(datagram *d, change c)
{
    switch (c) {
    case OUTER_TTL: d->outer.ttl = 63; break;
    case OUTER_CE: d->outer.tos = 3; break;
    case OUTER_DF: d->outer.df = PKT_ZERO; break;
    case OUTER_LABEL: d->outer.flow_label = 0x12345; break;
    case OUTER_CLASS: d->outer.tos = 0xb8; break;
    case OUTER_ID_GAP: d->outer.ip_id = (uint16_t)(d->outer.ip_id + 9); break;
    case OUTER_PORT: d->outer.src_port = 40001; break;
    case OUTER_ADDRESS: d->outer.src = 9; break;
    case OUTER_MAC: d->outer.mac = 9; break;
    case OUTER_IP_CSUM: d->outer.ip_csum_xor = 0x0100; break;
    case OUTER_UDP_CSUM: d->outer.l4_csum_xor = 0x0100; break;
    case OUTER_FRAGMENT: d->outer.frag = 0x2000; d->outer.ext_chain = pkt_is_v6(&d->outer) ? "f" : NULL; break;
    case OUTER_OPTIONS: d->outer.ip_options = nops; d->outer.ip_options_len = 4; break;
    case OUTER_EXT: d->outer.ext_chain = "D"; break;
    case OUTER_TAG: d->outer.vlan_count = 1; break;
    case OUTER_TRAILER: d->outer.trailer_len = 4; break;
    case OTHER_PORT: d->outer.dst_port = d->form == DATAGRAM_VXLAN ? GENEVE_PORT : VXLAN_PORT; break;
    default: break;
    }
}

static void apply_inner(datagram *d, change c)
{
    switch (c) {
    case INNER_MAC: d->inner.mac = 9; break;
    case INNER_TAG: d->inner.vlan_count = 1; break;
    case INNER_CSUM: d->inner.l4_csum_xor = 0x0100; break;
    case INNER_IP_CSUM: d->inner.ip_csum_xor = 0x0100; break;
    case PSH: d->inner.tcp_flags = PKT_ACK | PKT_PSH; break;
    case FIN: d->inner.tcp_flags = PKT_ACK | PKT_FIN; break;
    case SHORT: d->inner.payload_len = LEN - 1; break;
    case LONGER: d->inner.payload_len = LEN + 1; break;
    case GAP: d->inner.seq += 1; break;
    case LATE: d->inner.seq -= 2 * LEN; break;
    case INNER_ACK_ONLY: d->inner.payload_len = PKT_ZERO; break;
    case INNER_FRAGMENT: d->inner.frag = 0x2000; d->inner.ext_chain = pkt_is_v6(&d->inner) ? "f" : NULL; break;
    case INNER_OPTIONS: d->inner.ip_options = nops; d->inner.ip_options_len = 4; break;
    case INNER_EXT: d->inner.ext_chain = "D"; break;
    case INNER_TTL: d->inner.ttl = 63; break;
    case INNER_CE: d->inner.tos = 3; break;
    case INNER_ID_GAP: d->inner.ip_id = (uint16_t)(d->inner.ip_id + 9); break;
    case INNER_NO_CSUM: d->inner.l4_csum_zero = 1; break;
    case INNER_TAGS: d->inner.vlan_count = 2; break;
    case INNER_TRAILER: d->inner.trailer_len = 6; break;
    case INNER_SYN: d->inner.tcp_flags = PKT_SYN; break;
    case INNER_ADDRESS: d->inner.dst = 9; break;
    case INNER_PORT: d->inner.dst_port = 9; break;
    default: break;
    }
}

static void apply(datagram *d, change c)
{
    apply_outer(d, c);
    apply_inner(d, c);
    switch (c) {
    case VNI: d->vni = 6; break;
    case OPTION: d->header_off = 15; d->header_xor = 1; break;
    case CSUM_TOGGLED: d->no_csum = !d->no_csum; break;
    case INNER_BYTE: d->spoil_last = 1; break;
    case ODD_HEADER: d->header_xor = d->form == DATAGRAM_VXLAN ? 0x08 : 0x40; break; /* no VNI; version 1 */
    case VXLAN_GPE: d->header_xor = 0x04; break;
    case GENEVE_VERSION: d->header_xor = 0x80; break;
    case GENEVE_O: d->header_off = 1; d->header_xor = 0x80; break;
    case ARP: d->inner_type = 0x0806; break;
    case INNER_VERSION: d->inner_version_xor = 0x30; break;
    case INNER_NOTHING: d->inner_cut = 1; break;
    case OPTIONS_ALONE: d->options_len = 16; d->inner_cut = 1; break;
    case OPTIONS_TOO_LONG: d->header_xor = 0x38; break;
    case TAG_ALONE: d->inner.vlan_count = 1; d->inner_cut = 18 + 1; break;
    case INNER_CUT: d->inner_cut = 17 + 1; break; /* an Ethernet header, and not the room of a tag behind it */
    default: break;
    }
}

enum {
    V4 = 1, V6 = 2, BOTH = V4 | V6,
    T4 = 1 << PKT_TCP4, U4 = 1 << PKT_UDP4, T6 = 1 << PKT_TCP6, U6 = 1 << PKT_UDP6, TCP = T4 | T6, UDP = U4 | U6, IP4 = T4 | U4, IP6 = T6 | U6,
    ALL = TCP | UDP,
    WITH = 1, WITHOUT = 2, ANY = WITH | WITHOUT,
    FV = 1 << DATAGRAM_VXLAN, FG = 1 << DATAGRAM_GENEVE, FO = 1 << DATAGRAM_GENEVE_OPTIONS, FI = 1 << DATAGRAM_GENEVE_IP, FGS = FG | FO,
    FETH = FV | FGS, FALL = FETH | FI,
    ON_TUN = 1, ON_TAP = 2, ON_BOTH = ON_TUN | ON_TAP,
    FROM_HERE = 0, /* this datagram and those behind it */
    ONCE,          /* this one, and the next one goes on behind it */
    ASIDE          /* this one, and the next one goes on as if it had not been */
};

/* Three datagrams of a flow; the second one is changed. */
typedef struct row {
    const char *name;
    change change;
    unsigned outers, inners, csums, forms, devices;
    int how;
    tuo_verdict v1, v2;
    const char *groups;
} row;

#define X(name) TUO_V_##name
#define OK_ X(HELD)
#define APP X(APPENDED)

static const row rows[] = {
    {"nothing differs", SAME, BOTH, ALL, ANY, FALL, ON_BOTH, ONCE, APP, APP, "012"},
    {"outer TTL", OUTER_TTL, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TTL_DIFFERS), APP, "0|12"},
    {"outer CE mark", OUTER_CE, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TOS_DIFFERS), APP, "0|12"},
    {"outer class", OUTER_CLASS, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TOS_DIFFERS), APP, "0|12"},
    {"outer DF", OUTER_DF, V4, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(DF_DIFFERS), APP, "0|12"},
    {"outer flow label", OUTER_LABEL, V6, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(FLOW_LABEL_DIFFERS), APP, "0|12"},
    {"outer IDs", OUTER_ID_GAP, V4, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(IP_ID_DIFFERS), APP, "0|12"},
    {"inner IDs", INNER_ID_GAP, BOTH, IP4, ANY, FALL, ON_BOTH, FROM_HERE, X(IP_ID_DIFFERS), APP, "0|12"},
    {"inner TTL", INNER_TTL, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TTL_DIFFERS), APP, "0|12"},
    {"inner CE mark", INNER_CE, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TOS_DIFFERS), APP, "0|12"},
    {"inner extension headers", INNER_EXT, BOTH, IP6, ANY, FALL, ON_BOTH, FROM_HERE, X(IP6_EXT_DIFFERS), APP, "0|12"},
    {"an outer checksum or none", CSUM_TOGGLED, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(TUNNEL_DIFFERS), APP, "0|12"},
    /* other flows */
    {"VNI", VNI, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"outer source port", OUTER_PORT, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"outer address", OUTER_ADDRESS, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"outer Ethernet address", OUTER_MAC, BOTH, ALL, ANY, FALL, ON_TAP, FROM_HERE, OK_, APP, "0|12"},
    {"Geneve option", OPTION, BOTH, ALL, ANY, FO, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"inner Ethernet address", INNER_MAC, BOTH, ALL, ANY, FETH, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"inner tag", INNER_TAG, BOTH, ALL, ANY, FETH, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"inner address", INNER_ADDRESS, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    {"inner port", INNER_PORT, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, OK_, APP, "0|12"},
    /* checksums */
    {"outer IPv4 checksum", OUTER_IP_CSUM, V4, ALL, ANY, FALL, ON_BOTH, ASIDE, X(BAD_IP_CSUM), OK_, "0|1|2"},
    {"outer UDP checksum", OUTER_UDP_CSUM, BOTH, ALL, WITH, FALL, ON_BOTH, ASIDE, X(BAD_L4_CSUM), OK_, "0|1|2"},
    {"inner checksum, under an outer one that is right", INNER_CSUM, BOTH, ALL, WITH, FALL, ON_BOTH, ASIDE, X(BAD_L4_CSUM), OK_, "0|1|2"},
    {"inner checksum, no outer one", INNER_CSUM, BOTH, ALL, WITHOUT, FALL, ON_BOTH, ASIDE, X(BAD_L4_CSUM), OK_, "0|1|2"},
    {"a byte behind both checksums", INNER_BYTE, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(BAD_L4_CSUM), OK_, "0|1|2"},
    {"inner IPv4 checksum", INNER_IP_CSUM, BOTH, IP4, ANY, FALL, ON_BOTH, ASIDE, X(BAD_IP_CSUM), OK_, "0|1|2"},
    /* the inner stream: no order repair */
    {"PSH", PSH, BOTH, TCP, ANY, FALL, ON_BOTH, ONCE, APP, X(AFTER_PSH_FIN), "01|2"},
    {"FIN", FIN, BOTH, TCP, ANY, FALL, ON_BOTH, ONCE, APP, X(AFTER_PSH_FIN), "01|2"},
    {"short", SHORT, BOTH, ALL, ANY, FALL, ON_BOTH, ONCE, APP, X(AFTER_SHORT), "01|2"},
    {"longer", LONGER, BOTH, ALL, ANY, FALL, ON_BOTH, FROM_HERE, X(LONGER), APP, "0|12"},
    {"gap", GAP, BOTH, TCP, ANY, FALL, ON_BOTH, FROM_HERE, X(SEQ_GAP), APP, "0|12"},
    {"late", LATE, BOTH, TCP, ANY, FALL, ON_BOTH, ONCE, X(SEQ_LATE), APP, "0|12"},
    {"late, and on as before", LATE, BOTH, TCP, ANY, FALL, ON_BOTH, ASIDE, X(SEQ_LATE), X(SEQ_GAP), "0|1|2"},
    /* what closes the inner flow */
    {"inner ACK", INNER_ACK_ONLY, BOTH, TCP, ANY, FALL, ON_BOTH, ASIDE, X(TCP_EMPTY), OK_, "0|1|2"},
    {"inner empty datagram", INNER_ACK_ONLY, BOTH, UDP, ANY, FALL, ON_BOTH, ASIDE, X(UDP_EMPTY), OK_, "0|1|2"},
    {"inner SYN", INNER_SYN, BOTH, TCP, ANY, FALL, ON_BOTH, ASIDE, X(TCP_FLAGS), OK_, "0|1|2"},
    {"inner IPv4 options", INNER_OPTIONS, BOTH, IP4, ANY, FALL, ON_BOTH, ASIDE, X(IP_OPTIONS), OK_, "0|1|2"},
    {"inner datagram without checksum", INNER_NO_CSUM, BOTH, UDP, ANY, FALL, ON_BOTH, ASIDE, X(UDP_ZERO_CSUM), OK_, "0|1|2"},
    {"bytes behind the inner packet", INNER_TRAILER, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(TRAILING_BYTES), OK_, "0|1|2"},
    /* what closes all flows between two addresses */
    {"inner fragment", INNER_FRAGMENT, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(IP_FRAGMENT), X(PAIR_CLOSED), "0|1|2"},
    {"outer fragment", OUTER_FRAGMENT, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(IP_FRAGMENT), X(PAIR_CLOSED), "0|1|2"},
    {"unknown tunnel header", ODD_HEADER, BOTH, ALL, WITH, FALL, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"unknown tunnel header, no checksum", ODD_HEADER, BOTH, ALL, WITHOUT, FALL, ON_BOTH, ASIDE, X(UDP_ZERO_CSUM), X(PAIR_CLOSED), "0|1|2"},
    {"VXLAN GPE", VXLAN_GPE, BOTH, ALL, WITH, FV, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"Geneve OAM", GENEVE_O, BOTH, ALL, WITH, FGS, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"Geneve version 2", GENEVE_VERSION, BOTH, ALL, WITH, FGS, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"outer IPv4 options", OUTER_OPTIONS, V4, ALL, ANY, FALL, ON_BOTH, ASIDE, X(IP_OPTIONS), X(PAIR_CLOSED), "0|1|2"},
    {"outer extension headers", OUTER_EXT, V6, ALL, WITH, FALL, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"outer tag", OUTER_TAG, BOTH, ALL, WITH, FALL, ON_TAP, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"outer tags, never merged", OUTER_TAG, BOTH, ALL, WITH, FALL, ON_TAP, FROM_HERE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"bytes behind the outer packet", OUTER_TRAILER, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(TRAILING_BYTES), X(PAIR_CLOSED), "0|1|2"},
    {"another inner IP version than announced", INNER_VERSION, BOTH, ALL, WITH, FALL, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"no inner frame", INNER_NOTHING, BOTH, ALL, WITH, FALL, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"an inner frame that ends early", INNER_CUT, BOTH, ALL, WITH, FETH, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"options and no inner packet", OPTIONS_ALONE, BOTH, ALL, WITH, FGS | FI, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"options beyond the datagram", OPTIONS_TOO_LONG, BOTH, ALL, WITH, FGS | FI, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"an inner tag and nothing behind it", TAG_ALONE, BOTH, ALL, WITH, FETH, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    {"Geneve to the port of VXLAN", OTHER_PORT, BOTH, ALL, WITH, FGS, ON_BOTH, ASIDE, OK_, X(PAIR_CLOSED), "0|1|2"},
    /* what closes nothing */
    {"ARP inside", ARP, BOTH, ALL, ANY, FALL, ON_BOTH, ASIDE, X(PROTOCOL), APP, "02|1"},
    {"two inner tags", INNER_TAGS, BOTH, ALL, ANY, FETH, ON_BOTH, ASIDE, X(PROTOCOL), APP, "02|1"},
    {"VXLAN to the port of Geneve", OTHER_PORT, BOTH, ALL, ANY, FV, ON_BOTH, ASIDE, X(PROTOCOL), APP, "02|1"},
};

static void run_row(const row *r, datagram d)
{
    tuo_gro_desc desc = tunnels_on(d.outer.ethernet);
    datagram changed;
    int i;

    h_clear(&batch);
    add(&batch, &d);
    for (i = 1; i < 3; i++) {
        datagram_advance(&d);
        if (i == 1 && r->how == FROM_HERE)
            apply(&d, r->change);
        changed = d;
        if (i == 1 && r->how != FROM_HERE)
            apply(&changed, r->change);
        add(&batch, &changed);
        if (i == 1 && r->how == ONCE)
            d.inner.seq = changed.inner.seq + (uint32_t)pkt_payload_len(&changed.inner) - LEN;
        if (i == 1 && r->how == ASIDE) {
            d.outer.ip_id--;
            d.inner.ip_id--;
            d.inner.seq -= LEN;
        }
    }
    run_batch(&desc, 0);
    CHECK_VERDICT(batch.verdict[0], TUO_V_HELD);
    CHECK_VERDICT(batch.verdict[1], r->v1);
    CHECK_VERDICT(batch.verdict[2], r->v2);
    check_groups(&batch, r->groups);
}

TEST(a_table_of_what_merges_in_a_tunnel)
{
    size_t i;
    unsigned n;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const row *r = &rows[i];
        check_row("%s", r->name);
        for (n = 0; n < 2 * 2 * 2 * DATAGRAM_COUNT * PKT_KIND_COUNT; n++) {
            unsigned outer6 = n % 2, without = n / 2 % 2, tap = n / 4 % 2;
            datagram_form f = (datagram_form)(n / 8 % DATAGRAM_COUNT);
            pkt_kind inner = (pkt_kind)(n / 8 / DATAGRAM_COUNT);
            datagram d = datagram_of(f, outer6 ? PKT_UDP6 : PKT_UDP4, inner, (int)tap);
            d.no_csum = (int)without;
            if ((r->outers >> outer6 & 1) && (r->inners >> inner & 1) && (r->csums >> without & 1) && (r->forms >> f & 1) &&
                (r->devices >> tap & 1))
                run_row(r, d);
        }
    }
}

/* -------------------------------------------------------------------------------------------------------- IDs, each alone */

/* IDs of three datagrams, as a sequence of steps, outside and inside. */
typedef struct id_row {
    tuo_ip_id mode;
    int df;
    uint8_t step1, step2;
    tuo_verdict v1, v2;
} id_row;

static const id_row id_rows[] = {
    {TUO_IP_ID_DEFAULT, 1, 1, 1, APP, APP}, {TUO_IP_ID_DEFAULT, 1, 0, 0, APP, APP},
    {TUO_IP_ID_DEFAULT, 1, 0, 1, APP, X(IP_ID_DIFFERS)}, {TUO_IP_ID_DEFAULT, 1, 1, 0, APP, X(IP_ID_DIFFERS)},
    {TUO_IP_ID_DEFAULT, 1, 2, 1, X(IP_ID_DIFFERS), APP}, {TUO_IP_ID_DEFAULT, 0, 0, 1, X(IP_ID_DIFFERS), APP},
    {TUO_IP_ID_DEFAULT, 0, 1, 1, APP, APP}, {TUO_IP_ID_EXACT, 1, 1, 1, APP, APP},
    {TUO_IP_ID_EXACT, 1, 0, 1, X(IP_ID_DIFFERS), APP}, {TUO_IP_ID_ANY_DF, 1, 5, 0, APP, APP},
    {TUO_IP_ID_ANY_DF, 0, 5, 1, X(IP_ID_DIFFERS), APP}, {TUO_IP_ID_ANY, 0, 5, 0, APP, APP},
};

static void run_id_row(const id_row *r, int outside, pkt_kind inner)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, inner, 0);
    pkt_spec *s = outside ? &d.outer : &d.inner;
    tuo_gro_desc desc = tunnels_on(0);
    uint16_t id = s->ip_id;
    int i;

    desc.ip_id = r->mode;
    h_clear(&batch);
    s->df = r->df ? 0 : PKT_ZERO;
    for (i = 0; i < 3; i++) {
        id = (uint16_t)(id + (i == 0 ? 0 : i == 1 ? r->step1 : r->step2));
        s->ip_id = id;
        add(&batch, &d);
        datagram_advance(&d);
    }
    run_batch(&desc, 0);
    CHECK_VERDICT(batch.verdict[0], TUO_V_HELD);
    CHECK_VERDICT(batch.verdict[1], r->v1);
    CHECK_VERDICT(batch.verdict[2], r->v2);
}

TEST(ids_outside_and_inside_each_follow_the_rule)
{
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(id_rows); i++) {
        const id_row *r = &id_rows[i];
        check_row("mode %d, DF %d, steps %d %d", (int)r->mode, r->df, r->step1, r->step2);
        run_id_row(r, 1, PKT_TCP4);
        run_id_row(r, 1, PKT_UDP6);
        run_id_row(r, 0, PKT_TCP4);
        run_id_row(r, 0, PKT_UDP4);
    }
}

/* A header checksum of 0xffff where 0x0000 is right, and splitting would write that. */
TEST(outer_header_checksums_of_ffff_do_not_merge)
{
    int without, i;

    for (without = 0; without < 2; without++) {
        datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
        tuo_gro_desc desc = tunnels_on(0);
        check_row(without ? "no UDP checksum" : "a UDP checksum");
        d.no_csum = without;
        h_clear(&batch);
        for (i = 0; i < 2; i++) {
            d.outer.df = PKT_ZERO;
            add(&batch, &d);
            datagram_advance(&d);
        }
        /* the second one, by its ID and a first one of the ID before it */
        for (i = 0; i < 2; i++)
            pkt_put16(batch.pkt[i] + 4, 0);
        pkt_put16(batch.pkt[1] + 10, 0);
        pkt_put16(batch.pkt[1] + 4, ~pkt_sum(batch.pkt[1], 20, 0) & 0xffff);
        pkt_put16(batch.pkt[0] + 4, (pkt_get16(batch.pkt[1] + 4) - 1u) & 0xffff);
        pkt_put16(batch.pkt[0] + 10, 0);
        pkt_put16(batch.pkt[0] + 10, ~pkt_sum(batch.pkt[0], 20, 0) & 0xffff);
        pkt_put16(batch.pkt[1] + 10, 0xffff);
        CHECK_EQ_INT(pkt_sum(batch.pkt[1], 20, 0), 0xffff);
        run_batch(&desc, 0);
        CHECK_VERDICT(batch.verdict[1], TUO_V_CSUM_ALIAS);
        check_groups(&batch, "0|1");
    }
}

/* ----------------------------------------------------------------------------------------------------------- heads, hints */

static void two_of(const datagram *first, change c0, change c1)
{
    datagram d = *first, changed = d;

    h_clear(&batch);
    apply(&changed, c0);
    add(&batch, &changed);
    datagram_advance(&d);
    changed = d;
    apply(&changed, c1);
    add(&batch, &changed);
}

static void expect_two(const tuo_gro_desc *desc, unsigned hint, tuo_verdict v0, tuo_verdict v1)
{
    run_batch(desc, hint);
    CHECK_VERDICT(batch.verdict[0], v0);
    CHECK_VERDICT(batch.verdict[1], v1);
    check_groups(&batch, v1 == TUO_V_APPENDED ? "01" : "0|1");
}

TEST(a_first_datagram_with_a_wrong_checksum)
{
    unsigned n;

    for (n = 0; n < 8; n++) {
        datagram d = datagram_of(DATAGRAM_GENEVE, n & 1 ? PKT_UDP6 : PKT_UDP4, n & 2 ? PKT_TCP6 : PKT_UDP4, n & 4 ? 1 : 0);
        tuo_gro_desc desc = tunnels_on(n & 4 ? 1 : 0);
        check_row("variant %d", (int)n);
        two_of(&d, INNER_CSUM, SAME);
        expect_two(&desc, 0, TUO_V_BAD_L4_CSUM, TUO_V_HELD);
        two_of(&d, INNER_BYTE, SAME);
        expect_two(&desc, 0, TUO_V_HELD, TUO_V_HEAD_BAD_CSUM);
        two_of(&d, OUTER_UDP_CSUM, SAME);
        expect_two(&desc, 0, TUO_V_BAD_L4_CSUM, TUO_V_HELD);
        d.no_csum = 1;
        two_of(&d, INNER_CSUM, SAME);
        expect_two(&desc, 0, TUO_V_HELD, TUO_V_HEAD_BAD_CSUM);
    }
}

/* A device that has verified TCP and UDP checksums knows the outer one only. */
TEST(a_hint_about_the_outer_checksum_is_not_enough)
{
    static const change bad[] = {OUTER_IP_CSUM, OUTER_UDP_CSUM, INNER_CSUM, INNER_BYTE, INNER_IP_CSUM};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(bad); i++) {
        datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
        tuo_gro_desc desc = tunnels_on(0);
        check_row("wrong checksum %d", (int)i);
        two_of(&d, SAME, bad[i]);
        expect_two(&desc, TUO_F_TRUST_L4, TUO_V_HELD, bad[i] == OUTER_IP_CSUM || bad[i] == INNER_IP_CSUM ? TUO_V_BAD_IP_CSUM : TUO_V_BAD_L4_CSUM);
        two_of(&d, SAME, bad[i]);
        expect_two(&desc, TUO_F_TRUST, TUO_V_HELD, TUO_V_APPENDED);
        desc.trust_checksums = 1;
        two_of(&d, SAME, bad[i]);
        expect_two(&desc, 0, TUO_V_HELD, TUO_V_APPENDED);
    }
}

TEST(a_hint_changes_nothing_for_right_datagrams)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP6, PKT_UDP4, 1);
    tuo_gro_desc desc = tunnels_on(1);

    two_of(&d, SAME, SAME);
    expect_two(&desc, TUO_F_TRUST_L4, TUO_V_HELD, TUO_V_APPENDED);
}

/* ----------------------------------------------------------------------------------------------------------------- limits */

static void train(const datagram *first, size_t count)
{
    datagram d = *first;

    h_clear(&batch);
    while (count--) {
        add(&batch, &d);
        datagram_advance(&d);
    }
}

/* The IP length of the outer packet counts, as it does on the device. */
TEST(max_bytes_is_of_the_outer_packet)
{
    unsigned tap;

    for (tap = 0; tap < 2; tap++) {
        datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, (int)tap);
        tuo_gro_desc desc = tunnels_on((int)tap);
        uint32_t two;
        d.inner.payload_len = 400;
        train(&d, 3);
        two = (uint32_t)(batch.len[0] + 400 - pkt_ip_off(&d.outer));
        check_row("two fit%s", tap ? ", TAP" : "");
        desc.max_bytes = two;
        run_batch(&desc, 0);
        check_groups(&batch, "01|2");
        CHECK_VERDICT(batch.verdict[2], TUO_V_CAP_BYTES);
        check_row("one byte less%s", tap ? ", TAP" : "");
        desc.max_bytes = two - 1;
        h_forget_output(&batch);
        run_batch(&desc, 0);
        check_groups(&batch, "0|1|2");
        CHECK_VERDICT(batch.verdict[1], TUO_V_CAP_BYTES);
        /* the inner packet alone would fit */
        check_row("one that is too large%s", tap ? ", TAP" : "");
        d.inner.payload_len = 600 - 40;
        desc.max_bytes = 600;
        train(&d, 2);
        run_batch(&desc, 0);
        CHECK_VERDICT(batch.verdict[0], TUO_V_TOO_LARGE);
        CHECK_VERDICT(batch.verdict[1], TUO_V_TOO_LARGE);
    }
}

TEST(a_full_superpacket)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP6, 0);
    tuo_gro_desc desc = tunnels_on(0);
    char text[8];

    d.inner.payload_len = 1348;
    train(&d, 50);
    run_batch(&desc, 0);
    CHECK_EQ_INT(batch.group_count, 2);
    CHECK_EQ_INT(batch.group[0].count, 48); /* 20 + 8 + 8 + 14 + 40 + 20 + 48 * 1348 */
    CHECK(strlen(h_groups(&batch, text, sizeof text)) > 0);
}

TEST(numbers_of_segments)
{
    datagram d = datagram_of(DATAGRAM_GENEVE, PKT_UDP6, PKT_UDP4, 0);
    tuo_gro_desc desc = tunnels_on(0);

    check_row("max_frags");
    train(&d, 3);
    desc.max_frags = 2;
    run_batch(&desc, 0);
    CHECK_VERDICT(batch.verdict[2], TUO_V_CAP_FRAGS);
    check_row("max_udp_segs");
    desc = tunnels_on(0);
    desc.max_udp_segs = 2;
    h_forget_output(&batch);
    run_batch(&desc, 0);
    CHECK_VERDICT(batch.verdict[2], TUO_V_CAP_SEGS);
    check_row("max_segs");
    d.inner.kind = PKT_TCP4;
    train(&d, 3);
    desc.max_segs = 2;
    run_batch(&desc, 0);
    CHECK_VERDICT(batch.verdict[2], TUO_V_CAP_SEGS);
}

TEST(a_buffer_that_is_full)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);
    h_gro h = h_open(&desc);
    size_t i;

    train(&d, 3);
    fill_bufs(&batch);
    for (i = 0; i < 3; i++) {
        bufs[i].capacity = bufs[i].len + LEN;
        CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[i], BUF_HEADROOM, 0),
                      i == 0 ? TUO_V_HELD : i == 1 ? TUO_V_APPENDED : TUO_V_CAP_BUFFER);
    }
    h_close(&h);
}

/* An append that fails leaves a first datagram alone: without a type. */
static int failing_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    (void)user, (void)buf, (void)bytes, (void)len;
    return -1;
}

static uint8_t *buf_data(void *user, void *buf) { (void)user; return ((tuo_buf *)buf)->data; }
static size_t buf_len(void *user, const void *buf) { (void)user; return ((const tuo_buf *)buf)->len; }
static size_t buf_capacity(void *user, const void *buf) { (void)user; return ((const tuo_buf *)buf)->capacity; }
static int buf_resize(void *user, void *buf, size_t len) { (void)user; ((tuo_buf *)buf)->len = len; return 0; }

TEST(an_append_that_fails_leaves_single_datagrams)
{
    static const tuo_buf_ops ops = {NULL, buf_data, buf_len, buf_capacity, buf_resize, failing_append};
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);
    h_gro h = h_open(&desc);
    static const tuo_vnet_hdr zero;
    tuo_superpacket sp;
    size_t i;

    train(&d, 3);
    fill_bufs(&batch);
    for (i = 0; i < 3; i++)
        CHECK_VERDICT(tuo_gro_push_buf(h.gro, &ops, &bufs[i], BUF_HEADROOM, 0), i ? TUO_V_APPENDED : TUO_V_HELD);
    for (i = 0; tuo_gro_next_copy(h.gro, &ops, BUF_HEADROOM, &sp) == TUO_OK; i++) {
        check_vnet(&sp.vnet, &zero);
        CHECK_EQ_INT(sp.packet_count, 1);
        CHECK_BYTES(bufs[i].data + BUF_HEADROOM, batch.pkt[i], batch.len[i]);
    }
    CHECK_EQ_INT(i, 3);
    h_close(&h);
}

/* TUO_HEADER_MAX is of outer and inner headers together. */
TEST(headers_up_to_the_limit)
{
    unsigned tap, options;

    for (tap = 0; tap < 2; tap++) {
        for (options = 0; options <= 252; options += 4) {
            datagram d = datagram_of(DATAGRAM_GENEVE, PKT_UDP4, PKT_TCP4, (int)tap);
            tuo_gro_desc desc = tunnels_on((int)tap);
            size_t header_len;
            d.options_len = (uint8_t)options;
            header_len = pkt_payload_off(&d.outer) + 8 + options + pkt_payload_off(&d.inner);
            check_row("%lu bytes", (unsigned long)header_len);
            train(&d, 2);
            run_batch(&desc, 0);
            CHECK_VERDICT(batch.verdict[0], header_len <= TUO_HEADER_MAX ? TUO_V_HELD : TUO_V_HEADER_TOO_LONG);
            CHECK_EQ_INT(batch.group_count, header_len <= TUO_HEADER_MAX ? 1 : 2);
        }
    }
}

/* Every datagram that ends early, in memory of its size. as_sent: the outer lengths know it. */
static void cut_everywhere(const datagram *first, int as_sent)
{
    tuo_gro_desc desc = tunnels_on(first->outer.ethernet);
    h_batch *const b = &batch;
    size_t at, len;
    pkt_view v;

    train(first, 2);
    len = b->len[1];
    v = pkt_look(b->pkt[1], len, b->ethernet, 0);
    for (at = as_sent ? v.payload : 0; at < len; at++) {
        h_gro h = h_open(&desc);
        train(first, 2);
        h_shorten(b, 1, at);
        if (as_sent) {
            pkt_put16(b->pkt[1] + v.ip + (v.version == 4 ? 2 : 4), (unsigned)(at - v.ip - (v.version == 4 ? 0 : 40)));
            pkt_put16(b->pkt[1] + v.l4 + 4, (unsigned)(at - v.l4));
            pkt_fix_checksums(b->pkt[1], at, b->ethernet);
        }
        h_push_all(b, h.gro, 0);
        h_drain(b, h.gro);
        check_all(b, &desc);
        CHECK_EQ_INT(b->group_count, 2);
        if (as_sent && at == v.payload)
            CHECK_VERDICT(b->verdict[1], TUO_V_UDP_EMPTY);
        h_close(&h);
    }
}

TEST(datagrams_that_end_early)
{
    unsigned n;

    for (n = 0; n < DATAGRAM_COUNT * 2 * PKT_KIND_COUNT; n++) {
        datagram_form f = (datagram_form)(n % DATAGRAM_COUNT);
        datagram d = datagram_of(f, n / DATAGRAM_COUNT % 2 ? PKT_UDP6 : PKT_UDP4, (pkt_kind)(n / DATAGRAM_COUNT / 2), n % 3 == 0);
        check_row("%s, %u", form_names[f], n);
        d.inner.payload_len = 20;
        cut_everywhere(&d, 0);
        cut_everywhere(&d, 1);
        d.inner.vlan_count = f != DATAGRAM_GENEVE_IP;
        cut_everywhere(&d, 1);
    }
}

/* Nobody looks into datagrams in pieces, wherever they are cut: they close their tunnel. In an IP header that is cut nobody can tell whose
   they are. */
TEST(datagrams_in_pieces)
{
    unsigned n;
    size_t cut;

    for (n = 0; n < 4; n++) {
        datagram d = datagram_of(DATAGRAM_VXLAN, n & 1 ? PKT_UDP6 : PKT_UDP4, PKT_TCP4, n & 2 ? 1 : 0);
        tuo_gro_desc desc = tunnels_on(n & 2 ? 1 : 0);
        size_t l4 = pkt_l4_off(&d.outer), headers = pkt_payload_off(&d.outer) + 8 + pkt_payload_off(&d.inner);
        for (cut = 1; cut < headers + 10; cut++) {
            h_gro h = h_open(&desc);
            h_pieces pieces;
            check_row("outer IPv%d%s, cut at %lu", n & 1 ? 6 : 4, n & 2 ? ", TAP" : "", (unsigned long)cut);
            h_clear(&batch);
            add(&batch, &d);
            datagram_advance(&d);
            add(&batch, &d);
            add(&batch, &d);
            datagram_advance(&d);
            pieces = h_cut(&batch, 1, &cut, 1);
            h_push(&batch, h.gro, 0, 0);
            h_push_pieces(&batch, h.gro, 1, &pieces, 0);
            h_push(&batch, h.gro, 2, 0);
            h_drain(&batch, h.gro);
            check_all(&batch, &desc);
            if (cut >= l4)
                check_groups(&batch, "0|1|2");
            if (cut >= l4 + 4)
                CHECK_VERDICT(batch.verdict[2], TUO_V_PAIR_CLOSED);
            h_free_pieces(&pieces);
            h_close(&h);
        }
    }
}

/* --------------------------------------------------------------------------------------------------------- configuration */

TEST(descs_that_are_refused)
{
    tuo_gro_desc desc = tunnels_on(0);

    CHECK(tuo_gro_memory_size(&desc) != 0);
    desc.vxlan_port_count = TUO_TUNNEL_PORTS_MAX;
    CHECK(tuo_gro_memory_size(&desc) != 0);
    desc.vxlan_port_count = TUO_TUNNEL_PORTS_MAX + 1;
    CHECK_EQ_INT(tuo_gro_memory_size(&desc), 0);
    desc = tunnels_on(0);
    desc.geneve_port_count = TUO_TUNNEL_PORTS_MAX + 1;
    CHECK_EQ_INT(tuo_gro_memory_size(&desc), 0);
    desc = tunnels_on(0);
    desc.vnet_hdr_len = TUO_VNET_LEN_V1;
    CHECK_EQ_INT(tuo_gro_memory_size(&desc), 0);
    desc.vxlan_port_count = 0;
    CHECK_EQ_INT(tuo_gro_memory_size(&desc), 0);
    desc.vxlan_port_count = 1;
    desc.geneve_port_count = 0;
    CHECK_EQ_INT(tuo_gro_memory_size(&desc), 0);
    desc.no_vnet_hdr = 1;
    CHECK(tuo_gro_memory_size(&desc) != 0);
    desc.no_vnet_hdr = 0;
    desc.vxlan_port_count = 0;
    CHECK(tuo_gro_memory_size(&desc) != 0);
    desc.tunnels_for_tun = 1;
    CHECK(tuo_gro_memory_size(&desc) != 0);
}

TEST(tunnels_are_switched_on_and_off)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
    tuo_gro_desc off = tunnels_on(0), on = tunnels_on(0);
    h_gro h;
    int round;

    off.vxlan_port_count = off.geneve_port_count = 0;
    h = h_open(&off);
    for (round = 0; round < 4; round++) {
        tuo_gro_desc *desc = round % 2 ? &on : &off;
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, desc), TUO_OK);
        train(&d, 3);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        check_groups(&batch, "012");
        CHECK_EQ_INT(is_tunnel(&batch.group[0]), round % 2);
        check_all(&batch, desc);
    }
    h_close(&h);
}

/* One kind of tunnel, and the other one is UDP like any other. */
TEST(one_kind_of_tunnel_alone)
{
    unsigned n;

    for (n = 0; n < 4; n++) {
        datagram d = datagram_of(n & 1 ? DATAGRAM_GENEVE : DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
        tuo_gro_desc desc = tunnels_on(0);
        check_row("%s, the other %s", form_names[d.form], n & 2 ? "on" : "off");
        if (n & 1)
            desc.vxlan_port_count = 0;
        else
            desc.geneve_port_count = 0;
        if (n & 2)
            d = datagram_of(n & 1 ? DATAGRAM_VXLAN : DATAGRAM_GENEVE, PKT_UDP4, PKT_TCP4, 0);
        train(&d, 3);
        run_batch(&desc, 0);
        check_groups(&batch, "012");
        CHECK_EQ_INT(is_tunnel(&batch.group[0]), !(n & 2));
    }
}

/* Two tunnels with the inner packets of one connection: outer IPv4 and options, outer IPv6, so that the inner header is in one place. */
TEST(inner_packets_in_one_place_of_different_tunnels)
{
    datagram d4 = datagram_of(DATAGRAM_GENEVE, PKT_UDP4, PKT_TCP4, 0), d6 = datagram_of(DATAGRAM_GENEVE, PKT_UDP6, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);
    int i;

    d4.options_len = 20;
    h_clear(&batch);
    for (i = 0; i < 3; i++) {
        add(&batch, &d4);
        add(&batch, &d6);
        datagram_advance(&d4);
        datagram_advance(&d6);
    }
    run_batch(&desc, 0);
    check_groups(&batch, "024|135");
}

/* The same, and an attacker has chosen addresses and options: every byte in one tunnel that identifies a flow of it is there in the other,
   which is of the other IP version. */
TEST(tunnels_that_mimic_each_other)
{
    static const uint8_t geneve[8] = {5, 0, 0x65, 0x58, 0, 0, 5, 0}; /* 20 bytes of options, VNI 5 */
    datagram d4 = datagram_of(DATAGRAM_GENEVE, PKT_UDP4, PKT_TCP4, 0), d6 = datagram_of(DATAGRAM_GENEVE, PKT_UDP6, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);
    unsigned first, i;

    d4.options_len = 20;
    d4.no_csum = d6.no_csum = 1;
    for (first = 0; first < 2; first++) {
        check_row("outer IPv%d first", first ? 6 : 4);
        h_clear(&batch);
        for (i = 0; i < 6; i++) {
            uint8_t in4[H_SEGMENT_CAP], in6[H_SEGMENT_CAP];
            size_t len4 = datagram_build(in4, sizeof in4, &d4), len6 = datagram_build(in6, sizeof in6, &d6);
            pkt_view v = pkt_look(in4, len4, 0, 0);
            pkt_put16(in6 + 22, GENEVE_PORT);         /* end of the source address: the ports, from there */
            memcpy(in6 + 28, geneve, sizeof geneve);  /* in the destination address: the Geneve header */
            memcpy(in4 + 12, in6 + 12, 12);
            memcpy(in4 + 28, in6 + 28, 56 - 28);
            pkt_fix_ip_checksum(in4, &v);
            if (i % 2 == first)
                h_add_bytes(&batch, in4, len4);
            else
                h_add_bytes(&batch, in6, len6);
            if (i % 2) {
                datagram_advance(&d4);
                datagram_advance(&d6);
            }
        }
        run_batch(&desc, 0);
        check_groups(&batch, "024|135");
    }
}

/* Without a vnet header in front, the superpacket's own says what it is. */
TEST(no_vnet_header_in_front)
{
    datagram d = datagram_of(DATAGRAM_GENEVE, PKT_UDP6, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);
    h_gro h;

    desc.no_vnet_hdr = 1;
    desc.vnet_hdr_len = 0;
    h = h_open(&desc);
    train(&d, 3);
    h_push_all(&batch, h.gro, 0);
    h_drain(&batch, h.gro);
    check_groups(&batch, "012");
    check_all(&batch, &desc);
    h_close(&h);
}

TEST(a_guest_gets_num_buffers)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_UDP6, 1);
    tuo_gro_desc desc = tunnels_on(1);

    desc.virtio_guest = 1;
    desc.vnet_order = TUO_ORDER_LITTLE;
    train(&d, 3);
    run_batch(&desc, 0);
    check_groups(&batch, "012");
}

/* A receiver without a vnet header takes no tunnel types; and no UDP. */
TEST(finished_superpackets_are_not_in_tunnels)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);

    desc.finish_checksum = 1;
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_DISABLED, TUO_V_DISABLED);
}

/* Outside, a checksum of 0 stays 0. Inside, splitting could not reproduce it. */
TEST(merge_zero_csum4_changes_nothing_in_tunnels)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_UDP4, 0);
    tuo_gro_desc desc = tunnels_on(0);

    desc.merge_zero_csum4 = 1;
    d.no_csum = 1;
    check_row("outside");
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_HELD, TUO_V_APPENDED);
    check_row("inside");
    two_of(&d, INNER_NO_CSUM, INNER_NO_CSUM);
    expect_two(&desc, 0, TUO_V_UDP_ZERO_CSUM, TUO_V_UDP_ZERO_CSUM);
    check_row("one with and one without");
    two_of(&d, SAME, CSUM_TOGGLED);
    expect_two(&desc, 0, TUO_V_HELD, TUO_V_TUNNEL_DIFFERS);
    check_row("a port of no tunnel");
    d.outer.dst_port = 7;
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_HELD, TUO_V_APPENDED);
    CHECK(!is_tunnel(&batch.group[0]));
}

/* Exclusions are those of the inner packet. */
TEST(inner_packets_that_are_switched_off)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP4, PKT_TCP4, 0);
    tuo_gro_desc desc = tunnels_on(0);

    check_row("the kind");
    desc.disable_tcp4 = 1;
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_DISABLED, TUO_V_DISABLED);
    check_row("the kind of the outer packet");
    desc = tunnels_on(0);
    desc.disable_udp4 = 1;
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_HELD, TUO_V_APPENDED);
    check_row("the port");
    desc = tunnels_on(0);
    desc.tcp_excluded_port_count = 1;
    desc.tcp_excluded_ports[0] = 443;
    two_of(&d, SAME, SAME);
    expect_two(&desc, 0, TUO_V_PORT_EXCLUDED, TUO_V_PORT_EXCLUDED);
}

/* --------------------------------------------------------------------------------------- what is beside tunnels, and order */

/* A TUN device does not take Geneve of bare IP (K 1.32). So these datagrams are UDP like any other, and close nothing. */
TEST(geneve_of_bare_ip_for_a_tun_is_plain_udp)
{
    unsigned options, outer6;

    for (outer6 = 0; outer6 < 2; outer6++) {
        for (options = 0; options <= 8; options += 4) {
            datagram bare = datagram_of(DATAGRAM_GENEVE_IP, outer6 ? PKT_UDP6 : PKT_UDP4, PKT_TCP4, 0);
            datagram framed = datagram_of(DATAGRAM_GENEVE, outer6 ? PKT_UDP6 : PKT_UDP4, PKT_TCP4, 0);
            tuo_gro_desc desc = tunnels_on(0);
            int i;
            check_row("%u bytes of options, outer IPv%d", options, outer6 ? 6 : 4);
            bare.options_len = (uint8_t)options;
            bare.outer.ip_id = 100;
            framed.inner.dst_port = 80; /* another connection in the same tunnel */
            bare.inner.payload_len = LEN + 14 - (int32_t)options; /* datagrams of one length */
            framed.outer.ip_id = 200;
            desc.tunnels_for_tun = 1;
            h_clear(&batch);
            for (i = 0; i < 3; i++) {
                add(&batch, &bare);
                add(&batch, &framed);
                datagram_advance(&bare);
                datagram_advance(&framed);
            }
            run_batch(&desc, 0);
            check_groups(&batch, "024|135");
            CHECK_EQ_INT(is_tunnel(&batch.group[0]), options == 8);
            CHECK(is_tunnel(&batch.group[1]));
        }
    }
}

/* The fast path looks at no tunnel header: it must not take what the slow path looks into. Datagrams of one connection, the first
   one not understood, one of another length, all with the same outer headers. */
TEST(what_is_not_understood_takes_no_datagram_of_its_tunnel)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, PKT_UDP6, PKT_TCP4, 0), odd;
    tuo_gro_desc desc = tunnels_on(0);

    h_clear(&batch);
    odd = d;
    apply(&odd, ODD_HEADER);
    add(&batch, &odd);
    datagram_advance(&d);
    add(&batch, &d);
    datagram_advance(&d);
    d.inner.payload_len = LEN + 50;
    add(&batch, &d);
    datagram_advance(&d);
    d.inner.payload_len = LEN;
    add(&batch, &d);
    run_batch(&desc, 0);
    check_groups(&batch, "0|1|23");
}

/* What merges without tunnels merges the same with them, unless it goes to a tunnel's port. */
TEST(plain_packets_are_untouched)
{
    rng r = rng_start("plain packets", 20);
    int round, i;

    for (round = 0; round < 200; round++) {
        tuo_gro_desc off = tunnels_on(round % 2), on = tunnels_on(round % 2);
        char expected[H_PACKETS], actual[H_PACKETS];
        h_gro h;
        off.vxlan_port_count = off.geneve_port_count = 0;
        h_clear(&batch);
        for (i = 0; i < 6; i++) {
            sender s = make_sender(&r, round % 2, 1000);
            int k, count = 1 + (int)rng_below(&r, 5);
            s.base.src_port = rng_chance(&r, 1, 4) ? VXLAN_PORT : s.base.src_port; /* a source port is no tunnel */
            for (k = 0; k < count; k++) {
                s.base.payload_len = s.mss;
                h_add(&batch, &s.base);
                s.base.seq += (uint32_t)s.mss;
                s.base.ip_id++;
            }
        }
        batch.ethernet = round % 2;
        h = h_open(&off);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        h_groups(&batch, expected, sizeof expected);
        h_close(&h);
        h_forget_output(&batch);
        h = h_open(&on);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        CHECK_EQ_STR(h_groups(&batch, actual, sizeof actual), expected);
        h_check_batch(&batch, &on);
        h_close(&h);
    }
}

/* A connection in a tunnel: its datagrams leave as they came. */
enum { CONNECTIONS = 6, STEPS = 60 };
static unsigned connection_of[H_PACKETS];

static void random_step(rng *r, datagram *connections, int tap)
{
    /* those that leave a datagram in its tunnel and connection */
    static const change changes[] = {
        SAME, OUTER_TTL, OUTER_CE, OUTER_DF, OUTER_ID_GAP, OUTER_LABEL, CSUM_TOGGLED, OUTER_IP_CSUM, OUTER_UDP_CSUM, INNER_CSUM, INNER_BYTE, PSH,
        FIN, SHORT, LONGER, GAP, LATE, INNER_ACK_ONLY, INNER_FRAGMENT, OUTER_FRAGMENT, ODD_HEADER, OUTER_OPTIONS, OUTER_EXT, INNER_VERSION,
        OUTER_TRAILER, INNER_OPTIONS, INNER_EXT, INNER_TTL, INNER_ID_GAP, INNER_NO_CSUM, INNER_SYN, INNER_IP_CSUM, OUTER_TAG,
    };
    unsigned which = rng_below(r, CONNECTIONS), i, count = 1 + rng_below(r, 4);
    change c = rng_chance(r, 1, 2) ? SAME : changes[rng_below(r, CHECK_COUNT_OF(changes))];

    for (i = 0; i < count; i++) {
        datagram *d = &connections[which], changed = *d;
        apply(&changed, c);
        if (!tap || pkt_is_v6(&changed.outer))
            changed.outer.ip_options_len = 0;
        if (!tap)
            changed.outer.vlan_count = 0;
        if (!pkt_is_v6(&changed.outer) && c == OUTER_EXT)
            changed = *d;
        connection_of[batch.count] = which;
        add(&batch, &changed);
        batch.ethernet = tap;
        if (c == GAP || c == LATE || c == SHORT || c == LONGER || c == INNER_ACK_ONLY)
            d->inner.seq = changed.inner.seq + (uint32_t)pkt_payload_len(&changed.inner) - LEN;
        datagram_advance(d);
    }
}

static void check_order(void)
{
    static size_t rank[H_PACKETS];
    size_t i, k;

    for (i = 0; i < batch.order_count; i++)
        rank[batch.order[i]] = i;
    for (i = 0; i < batch.count; i++)
        for (k = i + 1; k < batch.count; k++)
            if (connection_of[i] == connection_of[k] && !CHECK(rank[i] < rank[k]))
                return;
}

TEST(connections_in_tunnels_stay_in_order)
{
    rng r = rng_start("tunnels", 4789);
    size_t round, i, superpackets = 0;

    for (round = 0; round < 300; round++) {
        datagram connections[CONNECTIONS];
        int tap = round % 2;
        tuo_gro_desc desc = tunnels_on(tap);
        h_gro h;
        desc.ip_id = (tuo_ip_id)rng_below(&r, 4);
        desc.tunnels_for_tun = (uint8_t)(!tap && rng_chance(&r, 1, 2));
        desc.disable_prepend = (uint8_t)rng_below(&r, 2);
        desc.max_flows = rng_chance(&r, 1, 4) ? 1 : 0;
        for (i = 0; i < CONNECTIONS; i++) {
            connections[i] = datagram_of((datagram_form)rng_below(&r, DATAGRAM_COUNT), rng_chance(&r, 1, 2) ? PKT_UDP6 : PKT_UDP4,
                                         (pkt_kind)rng_below(&r, PKT_KIND_COUNT), tap);
            connections[i].inner.src = (uint16_t)(i / 2); /* two may have one inner address pair */
            connections[i].inner.src_port = (int32_t)(1000 + i);
            connections[i].vni = rng_below(&r, 2);
            connections[i].no_csum = rng_chance(&r, 1, 3);
        }
        h_clear(&batch);
        for (i = 0; i < STEPS; i++)
            random_step(&r, connections, tap);
        h = h_open(&desc);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        check_all(&batch, &desc);
        check_order();
        for (i = 0; i < batch.group_count; i++)
            superpackets += is_tunnel(&batch.group[i]) ? 1 : 0;
        h_close(&h);
    }
    CHECK(superpackets > 300 * 10);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(what_was_cut_becomes_the_same_superpacket),
        CHECK_ENTRY(a_table_of_what_merges_in_a_tunnel),
        CHECK_ENTRY(ids_outside_and_inside_each_follow_the_rule),
        CHECK_ENTRY(outer_header_checksums_of_ffff_do_not_merge),
        CHECK_ENTRY(a_first_datagram_with_a_wrong_checksum),
        CHECK_ENTRY(a_hint_about_the_outer_checksum_is_not_enough),
        CHECK_ENTRY(a_hint_changes_nothing_for_right_datagrams),
        CHECK_ENTRY(max_bytes_is_of_the_outer_packet),
        CHECK_ENTRY(a_full_superpacket),
        CHECK_ENTRY(numbers_of_segments),
        CHECK_ENTRY(a_buffer_that_is_full),
        CHECK_ENTRY(an_append_that_fails_leaves_single_datagrams),
        CHECK_ENTRY(headers_up_to_the_limit),
        CHECK_ENTRY(datagrams_that_end_early),
        CHECK_ENTRY(datagrams_in_pieces),
        CHECK_ENTRY(descs_that_are_refused),
        CHECK_ENTRY(tunnels_are_switched_on_and_off),
        CHECK_ENTRY(one_kind_of_tunnel_alone),
        CHECK_ENTRY(inner_packets_in_one_place_of_different_tunnels),
        CHECK_ENTRY(tunnels_that_mimic_each_other),
        CHECK_ENTRY(no_vnet_header_in_front),
        CHECK_ENTRY(a_guest_gets_num_buffers),
        CHECK_ENTRY(finished_superpackets_are_not_in_tunnels),
        CHECK_ENTRY(merge_zero_csum4_changes_nothing_in_tunnels),
        CHECK_ENTRY(inner_packets_that_are_switched_off),
        CHECK_ENTRY(geneve_of_bare_ip_for_a_tun_is_plain_udp),
        CHECK_ENTRY(what_is_not_understood_takes_no_datagram_of_its_tunnel),
        CHECK_ENTRY(plain_packets_are_untouched),
        CHECK_ENTRY(connections_in_tunnels_stay_in_order),
    };

    int status = CHECK_RUN(argc, argv, tests);
    h_clear(&batch);
    return status;
}
