/* device_model.h - devices that do offloads, byte by byte, and the properties of the ladder (tuo_tx_init, tuo_tx_next) that are
   checked with them. Shares no code with the library.

   A model gets what the library would hand to a driver: a packet and what is left to the device. It refuses what the capabilities
   do not allow, does the device's work, and appends the packets that then are on the wire. There are two:

       DEVICE_VIRTIO  reads the vnet header: sums from csum_start, the seed in the field included; finds the headers of a
                      superpacket itself; wants finished IPv4 headers and a seed with the length of the superpacket
       DEVICE_NIC     reads a descriptor: l2_len, l3_len, l4_len, kind; writes the IPv4 header checksum if csum_ip4 says so (the
                      field must hold 0), and puts the length into the pseudo-header sum as tso_sum_no_len says

   Both insert a tag where the descriptor has one, and send nothing that is longer than their MTU. Both copy CWR to all segments unless tso_cwr is set, so that a wrong decision is seen on the wire. Functions return NULL, or what
   is wrong. Include tunoffload.h first. */
#ifndef DEVICE_MODEL_H
#define DEVICE_MODEL_H

#include "packets.h"
#include "reference.h"

typedef enum device_style { DEVICE_VIRTIO, DEVICE_NIC } device_style;

/* ------------------------------------------------------------------------------------------------ what a device may get */

/* The kind of an unfragmented TCP or UDP packet. */
static inline tuo_kind device_kind(const pkt_view *v)
{
    if (!pkt_has_l4(v))
        return TUO_KIND_NONE;
    if (v->version == 4)
        return v->proto == PKT_PROTO_TCP ? TUO_KIND_TCP4 : TUO_KIND_UDP4;
    return v->proto == PKT_PROTO_TCP ? TUO_KIND_TCP6 : TUO_KIND_UDP6;
}

static inline size_t device_max_bytes(const tuo_caps *caps, tuo_kind kind)
{
    switch (kind) {
    case TUO_KIND_TCP4: return caps->max_tcp4;
    case TUO_KIND_UDP4: return caps->max_udp4;
    case TUO_KIND_TCP6: return caps->max_tcp6;
    case TUO_KIND_UDP6: return caps->max_udp6;
    default: return 0;
    }
}

static inline size_t device_max_segs(const tuo_caps *caps, tuo_kind kind)
{
    size_t max = kind == TUO_KIND_UDP4 || kind == TUO_KIND_UDP6 ? caps->max_udp_segs : caps->max_segs;

    return max ? max : SIZE_MAX;
}

/* Can it find its way to the TCP or UDP header, and is the sum there what it expects? With segments left in a routing header the
   seed is for another address than the one that a device sees. */
static inline int device_reaches_l4(const tuo_caps *caps, const pkt_view *v)
{
    return v->vlans <= caps->tx_vlan_max && (v->version == 4 || v->l4 - v->ip == 40 || caps->tx_ip6_ext) && !v->routing_left;
}

/* Does it finish the checksum of this kind? */
static inline int device_sums_kind(const tuo_caps *caps, tuo_kind kind)
{
    switch (kind) {
    case TUO_KIND_TCP4: return caps->tx_csum_tcp4 || caps->tx_csum_any;
    case TUO_KIND_UDP4: return caps->tx_csum_udp4 || caps->tx_csum_any;
    case TUO_KIND_TCP6: return caps->tx_csum_tcp6 || caps->tx_csum_any;
    case TUO_KIND_UDP6: return caps->tx_csum_udp6 || caps->tx_csum_any;
    default: return 0;
    }
}

/* Does it finish the outer TCP or UDP checksum of this packet? */
static inline int device_sums(const tuo_caps *caps, const pkt_view *v)
{
    return caps->tx_csum_any || (device_sums_kind(caps, device_kind(v)) && device_reaches_l4(caps, v));
}

static inline int device_all_zero(const tuo_vnet_hdr *h)
{
    return !(h->flags || h->gso_type || h->hdr_len || h->gso_size || h->csum_start || h->csum_offset || h->num_buffers ||
             h->hash_value || h->hash_report || h->outer_th_offset || h->inner_nh_offset);
}

/* Nothing is left to the device. */
static inline const char *device_check_plain(const tuo_tx_packet *p)
{
    if (!device_all_zero(&p->vnet))
        return "no offload is asked for, but the vnet header is not zero";
    if (p->kind != TUO_KIND_NONE || p->l2_len || p->l3_len || p->l4_len || p->csum_ip4)
        return "no offload is asked for, but the descriptor is not zero";
    return p->seg_count == 1 ? NULL : "seg_count of a packet without offload";
}

/* The descriptor: does it describe the headers that are there? */
static inline const char *device_check_lens(const pkt_view *v, const tuo_tx_packet *p)
{
    if (p->kind != device_kind(v))
        return "kind is not that of the packet";
    if (p->l2_len != v->ip)
        return "l2_len is not where the IP header is";
    if (p->l3_len != v->l4 - v->ip)
        return "l3_len is not the length of the IP headers";
    if (p->l4_len != v->payload - v->l4)
        return "l4_len is not the length of the TCP or UDP header";
    if (p->vnet.csum_start != v->l4 || p->vnet.csum_offset != (v->proto == PKT_PROTO_UDP ? 6 : 16))
        return "csum_start or csum_offset is not that of the TCP or UDP header";
    return NULL;
}

/* A checksum is left to the device, and nothing else. */
static inline const char *device_check_partial(const tuo_caps *caps, const tuo_vnet_hdr *came, const pkt_view *v,
                                               const tuo_tx_packet *p)
{
    if (p->seg_count != 1 || p->vnet.gso_size || p->csum_ip4)
        return "a packet that is not segmented has what belongs to a superpacket";
    if (!(came->flags & TUO_VNET_NEEDS_CSUM) && came->gso_type == TUO_GSO_NONE)
        return "the checksum of a packet that came with a finished one is left to the device";
    if (p->kind != TUO_KIND_NONE)
        return device_sums(caps, v) ? device_check_lens(v, p) : "a checksum that the device cannot finish is left to it";
    if (p->l2_len || p->l3_len || p->l4_len)
        return "kind NONE with header lengths";
    return caps->tx_csum_any ? NULL : "kind NONE with a checksum on a device that needs to know the kind";
}

/* Length fields of a superpacket: right, or 0 where the device takes that. */
static inline const char *device_check_lengths(const tuo_caps *caps, const uint8_t *b, size_t len, const pkt_view *v)
{
    size_t field = pkt_get16(b + v->ip + (v->version == 4 ? 2 : 4));
    size_t right = v->version == 4 ? len - v->ip : len - v->ip - 40;

    if (v->end != len)
        return "bytes behind the IP packet of a superpacket";
    if (field != right && (field || device_max_bytes(caps, device_kind(v)) < 65536))
        return "IP length of a superpacket is neither right nor a 0 that the device takes";
    if (v->proto == PKT_PROTO_UDP && v->payload_len != v->end - v->payload)
        return "UDP length of a superpacket is not its IP payload";
    return NULL;
}

/* The device is to segment it. */
static inline const char *device_check_super(const tuo_caps *caps, const uint8_t *b, size_t len, const pkt_view *v,
                                             const tuo_tx_packet *p)
{
    const uint8_t types[] = {TUO_GSO_NONE, TUO_GSO_TCPV4, TUO_GSO_UDP_L4, TUO_GSO_TCPV6, TUO_GSO_UDP_L4};
    const char *complaint = device_check_lens(v, p);
    tuo_kind kind = device_kind(v);
    size_t gso_size = p->vnet.gso_size, segs;

    if (complaint)
        return complaint;
    if ((p->vnet.gso_type & ~(unsigned)TUO_GSO_ECN) != types[kind])
        return "gso_type is not that of the packet";
    if ((p->vnet.gso_type & TUO_GSO_ECN) && !caps->tso_cwr)
        return "gso_type has the ECN bit, which this device does not know";
    if (gso_size == 0)
        return "gso_size 0";
    segs = ref_split_count(v, gso_size);
    if (segs < 2)
        return "a superpacket of one segment";
    if (p->seg_count != segs)
        return "seg_count is not the number of segments";
    if (segs > device_max_segs(caps, kind))
        return "more segments than the device makes of one packet";
    if (len - v->ip > device_max_bytes(caps, kind))
        return "more bytes than the device segments";
    if (caps->max_hdr_len && v->payload > caps->max_hdr_len)
        return "longer headers than the device takes";
    if (gso_size < caps->min_seg_size || (caps->max_seg_size && gso_size > caps->max_seg_size))
        return "a segment size that the device does not take";
    if (!device_reaches_l4(caps, v))
        return "tags or extension headers that the device does not see behind";
    if (!device_sums_kind(caps, kind))
        return "the device does not compute checksums of this kind";
    if (v->proto == PKT_PROTO_TCP && !(p->vnet.gso_type & TUO_GSO_ECN) != !(b[v->l4 + 13] & PKT_CWR))
        return "the ECN bit says something else than CWR";
    complaint = tuo_vnet_check(&p->vnet, b, len, (caps->ethernet ? (unsigned)TUO_F_ETHERNET : 0u) | TUO_F_WRITE) == TUO_OK ? NULL
                : v->proto == PKT_PROTO_UDP && segs > 128 ? NULL
                : len - v->ip > 65535 ? NULL /* BIG TCP: not for a TUN device */
                                      : "a kernel would not take this vnet header";
    if (complaint)
        return complaint;
    if (p->csum_ip4 != (caps->tx_csum_ip4 && v->version == 4))
        return "csum_ip4 is not what the device does";
    if (p->csum_ip4 && pkt_get16(b + v->ip + 10))
        return "the IPv4 checksum field is not 0, though the device computes it";
    if (!p->csum_ip4 && !ref_ip_valid(b, v))
        return "the IPv4 header checksum of a superpacket is wrong";
    return device_check_lengths(caps, b, len, v);
}

/* A tag that is left to the device. */
static inline const char *device_check_tag(const tuo_caps *caps, const tuo_tx_packet *p)
{
    if (!p->vlan_insert && p->vlan_tci)
        return "a TCI that is not to be inserted";
    return p->vlan_insert && !(caps->tx_vlan_insert && caps->ethernet) ? "a tag is left to a device that inserts none" : NULL;
}

/* device_check: may this packet be handed to a device with these capabilities? came: the metadata with which the packet that it was
   made from had come. */
static inline const char *device_check(const tuo_caps *caps, const tuo_vnet_hdr *came, const uint8_t *b, size_t len,
                                       const tuo_tx_packet *p)
{
    int ethernet = caps->ethernet != 0;
    pkt_view v = pkt_look(b, len, ethernet, 1);
    const char *complaint = device_check_tag(caps, p);

    if (complaint)
        return complaint;
    if (p->vnet.flags == 0 && p->vnet.gso_type == TUO_GSO_NONE)
        return device_check_plain(p);
    if (p->vnet.flags != TUO_VNET_NEEDS_CSUM)
        return "flags that are not NEEDS_CSUM";
    if (tuo_vnet_check(&p->vnet, b, len, ethernet ? TUO_F_ETHERNET : 0) != TUO_OK)
        return "tuo_vnet_check refuses what the device gets";
    if (p->vnet.hdr_len > len)
        return "hdr_len beyond the packet";
    if (p->kind != TUO_KIND_NONE && p->vnet.hdr_len != p->l2_len + p->l3_len + p->l4_len)
        return "hdr_len is not the length of the headers";
    if (p->vnet.gso_type == TUO_GSO_NONE)
        return device_check_partial(caps, came, &v, p);
    return device_check_super(caps, b, len, &v, p);
}

/* --------------------------------------------------------------------------------------------------- what it does with it */

/* Where a device believes the headers to be. */
typedef struct device_view {
    size_t ip, l4, payload;
    int ip4, udp;
} device_view;

static inline device_view device_look(device_style style, const uint8_t *b, const tuo_tx_packet *p)
{
    device_view d = {0, 0, 0, 0, 0};

    if (style == DEVICE_NIC) {
        d.ip = p->l2_len;
        d.l4 = d.ip + p->l3_len;
        d.payload = d.l4 + p->l4_len;
        d.ip4 = p->kind == TUO_KIND_TCP4 || p->kind == TUO_KIND_UDP4;
        d.udp = p->kind == TUO_KIND_UDP4 || p->kind == TUO_KIND_UDP6;
        return d;
    }
    if (p->l2_len) { /* the length of the Ethernet header is the one thing that no vnet header says: the device walks it */
        unsigned type = pkt_get16(b + 12);
        for (d.ip = 14; type == 0x8100 || type == 0x88a8; d.ip += 4)
            type = pkt_get16(b + d.ip + 2);
    }
    d.l4 = p->vnet.csum_start;
    d.ip4 = b[d.ip] >> 4 == 4;
    d.udp = p->vnet.gso_type == TUO_GSO_UDP_L4;
    d.payload = d.l4 + (d.udp ? 8 : (size_t)(b[d.l4 + 12] >> 4) * 4);
    return d;
}

/* Segment i of a superpacket b[0..len). */
static inline void device_segment(device_style style, const tuo_caps *caps, const uint8_t *b, size_t len, const tuo_tx_packet *p,
                                  size_t i, ref_list *wire)
{
    device_view d = device_look(style, b, p);
    size_t from = d.payload + i * p->vnet.gso_size;
    size_t take = len - from < p->vnet.gso_size ? len - from : p->vnet.gso_size;
    size_t whole_l4 = len - d.l4, l4_len = d.payload - d.l4 + take;
    uint8_t *out = ref_list_add(wire, d.payload + take), *ip = out + d.ip, *l4 = out + d.l4;
    uint8_t *field = l4 + (d.udp ? 6 : 16);
    unsigned csum;

    memcpy(out, b, d.payload);
    memcpy(out + d.payload, b + from, take);
    if (d.ip4) {
        pkt_put16(ip + 2, (unsigned)(d.payload - d.ip + take));
        pkt_put16(ip + 4, (pkt_get16(ip + 4) + (unsigned)i) & 0xffff);
        pkt_put16(ip + 10, 0);
        pkt_put16(ip + 10, ~pkt_sum(ip, d.l4 - d.ip, 0) & 0xffff);
    } else {
        pkt_put16(ip + 4, (unsigned)(d.payload - d.ip - 40 + take));
    }
    if (d.udp) {
        pkt_put16(l4 + 4, (unsigned)l4_len);
    } else {
        pkt_put32(l4 + 4, pkt_get32(l4 + 4) + (uint32_t)(i * p->vnet.gso_size));
        if (from + take != len)
            l4[13] = (uint8_t)(l4[13] & ~(PKT_FIN | PKT_PSH));
        if (i && caps->tso_cwr)
            l4[13] = (uint8_t)(l4[13] & ~PKT_CWR);
    }
    if (style == DEVICE_NIC && caps->tso_sum_no_len)
        whole_l4 = 0;
    pkt_put16(field, ref_seed_of_segment(pkt_get16(field), whole_l4, l4_len));
    csum = ~pkt_sum(l4, l4_len, 0) & 0xffff;
    pkt_put16(field, csum == 0 && d.udp ? 0xffff : csum);
}

/* Ethernet header and up to four tags that are there to their ends. */
static inline size_t device_l2_len(int ethernet, const uint8_t *b, size_t len)
{
    size_t at = 12, tags = 0;

    while (len >= at + 6 && tags < PKT_VLANS_MAX && (pkt_get16(b + at) == 0x8100 || pkt_get16(b + at) == 0x88a8)) {
        at += 4;
        tags++;
    }
    return !ethernet ? 0 : len < at + 2 ? len : at + 2;
}

/* What is on the wire from `at` on: its tag, and how long it may be. */
static inline const char *device_frame(const tuo_caps *caps, const tuo_tx_packet *p, ref_list *wire, size_t at)
{
    size_t longest = 0, i;

    for (i = at; i < wire->count; i++) {
        if (p->vlan_insert) {
            uint8_t *tagged = (uint8_t *)ref_alloc(wire->len[i] + 4, 1);
            memcpy(tagged, wire->bytes[i], 12);
            pkt_put16(tagged + 12, 0x8100);
            pkt_put16(tagged + 14, p->vlan_tci);
            memcpy(tagged + 16, wire->bytes[i] + 12, wire->len[i] - 12);
            free(wire->bytes[i]);
            wire->bytes[i] = tagged;
            wire->len[i] += 4;
        }
        longest = wire->len[i] > longest ? wire->len[i] : longest;
        if (caps->mtu && wire->len[i] - device_l2_len(caps->ethernet, wire->bytes[i], wire->len[i]) > caps->mtu)
            return "longer than the MTU";
    }
    return longest == p->wire_len_max ? NULL : "wire_len_max is not the longest frame";
}

/* Segments and checksums, appended to *wire. */
static inline void device_work(device_style style, const tuo_caps *caps, const uint8_t *b, size_t len, const tuo_tx_packet *p,
                               ref_list *wire)
{
    uint8_t *out;
    size_t i;

    if (p->vnet.gso_type != TUO_GSO_NONE) {
        for (i = 0; i < p->seg_count; i++)
            device_segment(style, caps, b, len, p, i, wire);
        return;
    }
    out = ref_list_add(wire, len);
    if (len)
        memcpy(out, b, len);
    if (!p->vnet.flags)
        return;
    if (style == DEVICE_NIC && p->kind != TUO_KIND_NONE) {
        int udp = p->kind == TUO_KIND_UDP4 || p->kind == TUO_KIND_UDP6;
        size_t l4 = (size_t)p->l2_len + p->l3_len;
        unsigned csum = ~pkt_sum(out + l4, len - l4, 0) & 0xffff;
        pkt_put16(out + l4 + (udp ? 6 : 16), csum == 0 && udp ? 0xffff : csum);
    } else {
        ref_complete(out, len, p->vnet.csum_start, p->vnet.csum_offset);
    }
}

/* device_send: the packets on the wire, appended to *wire. */
static inline const char *device_send(device_style style, const tuo_caps *caps, const tuo_vnet_hdr *came, const uint8_t *b, size_t len,
                                      const tuo_tx_packet *p, ref_list *wire)
{
    const char *complaint = device_check(caps, came, b, len, p);
    size_t at = wire->count;

    if (complaint)
        return complaint;
    if (style == DEVICE_VIRTIO && (caps->tso_sum_no_len || p->csum_ip4))
        return "virtio has no such convention";
    device_work(style, caps, b, len, p, wire);
    return device_frame(caps, p, wire, at);
}

/* ----------------------------------------------------------------------------------------------- properties of the ladder */

/* One packet that goes up the ladder. */
typedef struct ladder_case {
    tuo_caps caps;
    const uint8_t *pkt;
    size_t len;
    tuo_vnet_hdr vnet;
    unsigned flags;     /* for tuo_tx_init: TUO_F_TRUST, TUO_F_STRIP_JUMBO, TUO_F_SIMD; others must make no difference */
    size_t switch_at;   /* packets handed out before LADDER_MIXED goes on in place */
} ladder_case;

/* What tuo_tx_next handed out: the metadata, and the bytes in one piece. */
typedef struct ladder_out {
    tuo_tx_packet packet;
    uint8_t *bytes;
} ladder_out;

typedef struct ladder_list {
    ladder_out *out;
    size_t count;
} ladder_list;

typedef enum ladder_way {
    LADDER_SCRATCH,  /* headers in *tx, each packet used before the next */
    LADDER_STORED,   /* headers in storage of the caller's, all packets used at the end */
    LADDER_IN_PLACE,
    LADDER_MIXED,    /* some gathered, the rest in place */
    LADDER_FRAGS,    /* with max_frags, in place after TUO_E_UNSUPPORTED. The others: as if max_frags were 0 */
    LADDER_WAYS
} ladder_way;

static inline void ladder_list_free(ladder_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        free(list->out[i].bytes);
    free(list->out);
    list->out = NULL;
    list->count = 0;
}

static inline const char *ladder_flatten(ladder_out *out)
{
    const tuo_tx_packet *p = &out->packet;
    size_t i, len = 0;

    if (p->iov_count < 1 || p->iov_count > 4)
        return "iov_count is not 1 to 4";
    for (i = 0; i < p->iov_count; i++)
        len += p->iov[i].len;
    if (len != p->len)
        return "len is not the sum of the pieces";
    out->bytes = (uint8_t *)ref_alloc(len, 1);
    for (i = 0, len = 0; i < p->iov_count; len += p->iov[i].len, i++)
        if (p->iov[i].len)
            memcpy(out->bytes + len, p->iov[i].base, p->iov[i].len);
    return NULL;
}

static inline int ladder_untouched(const tuo_tx_packet *p)
{
    tuo_tx_packet filled;

    memset(&filled, 0xa5, sizeof filled);
    return memcmp(&filled, p, sizeof filled) == 0;
}

/* One call; *in_place is set when tuo_tx_next says that there would be too many pieces. *done after the last. */
static inline const char *ladder_step(tuo_tx *tx, uint8_t *copy, size_t len, uint8_t *header, int *in_place, uint32_t frags_max,
                                      ladder_out *out, int *done)
{
    tuo_result result;

    memset(&out->packet, 0xa5, sizeof out->packet);
    result = *in_place ? tuo_tx_next_in_place(tx, copy, &out->packet) : tuo_tx_next(tx, header, &out->packet);
    if (result == TUO_E_UNSUPPORTED && !*in_place) {
        if (frags_max == 0 || frags_max >= 4 || !ladder_untouched(&out->packet))
            return "TUO_E_UNSUPPORTED without cause, or *packet was touched";
        *in_place = 1;
        result = tuo_tx_next_in_place(tx, copy, &out->packet);
    }
    *done = result == TUO_DONE;
    if (result == TUO_DONE)
        return ladder_untouched(&out->packet) ? NULL : "TUO_DONE touched *packet";
    if (result != TUO_OK)
        return "neither TUO_OK nor TUO_DONE";
    if (*in_place && (out->packet.iov_count != 1 || (const uint8_t *)out->packet.iov[0].base < copy ||
                      (const uint8_t *)out->packet.iov[0].base + out->packet.iov[0].len > copy + len))
        return "in place, but not one piece of the buffer";
    if (!*in_place && frags_max && out->packet.iov_count > frags_max)
        return "more pieces than max_frags";
    return header ? NULL : ladder_flatten(out);
}

/* Hands out everything in one of the ways. The list is complete when NULL is returned, and to be freed in any case. */
static inline const char *ladder_run(const ladder_case *c, ladder_way way, uint8_t *copy, ladder_list *list)
{
    tuo_caps caps = c->caps;
    tuo_tx tx;
    uint8_t *headers = NULL;
    const char *complaint = NULL;
    int in_place = way == LADDER_IN_PLACE, done = 0;
    size_t count, i;

    if (way != LADDER_FRAGS)
        caps.max_frags = 0;
    if (tuo_tx_init(&tx, &caps, copy, c->len, &c->vnet, c->flags) != TUO_OK)
        return "tuo_tx_init differs from one way to the other";
    count = tuo_tx_remaining(&tx);
    list->out = (ladder_out *)ref_alloc(count + 1, sizeof *list->out);
    if (way == LADDER_STORED)
        headers = (uint8_t *)ref_alloc(count, TUO_HEADER_MAX);
    for (i = 0; !complaint && !done; i++) {
        if (tuo_tx_remaining(&tx) != (i < count ? count - i : 0))
            complaint = "tuo_tx_remaining is not what is left";
        else if (i > count)
            complaint = "more packets than tuo_tx_remaining said";
        if (complaint)
            break;
        if (way == LADDER_MIXED && i >= c->switch_at)
            in_place = 1;
        complaint = ladder_step(&tx, copy, c->len, headers && i < count ? headers + i * TUO_HEADER_MAX : NULL, &in_place,
                                way == LADDER_FRAGS ? caps.max_frags : 0, &list->out[i], &done);
        list->count = done ? i : i + 1;
    }
    for (i = 0; i < list->count && headers && !complaint; i++)
        complaint = ladder_flatten(&list->out[i]);
    if (!complaint && list->count != count)
        complaint = "fewer packets than tuo_tx_remaining said";
    if (!complaint && (in_place ? tuo_tx_next_in_place(&tx, copy, &list->out[count].packet)
                                : tuo_tx_next(&tx, NULL, &list->out[count].packet)) != TUO_DONE)
        complaint = "after TUO_DONE comes something else";
    free(headers);
    return complaint;
}

static inline int ladder_same_vnet(const tuo_vnet_hdr *a, const tuo_vnet_hdr *b)
{
    return a->flags == b->flags && a->gso_type == b->gso_type && a->hdr_len == b->hdr_len && a->gso_size == b->gso_size &&
           a->csum_start == b->csum_start && a->csum_offset == b->csum_offset && a->num_buffers == b->num_buffers &&
           a->hash_value == b->hash_value && a->hash_report == b->hash_report && a->outer_th_offset == b->outer_th_offset &&
           a->inner_nh_offset == b->inner_nh_offset;
}

static inline int ladder_same(const ladder_list *a, const ladder_list *b)
{
    size_t i;

    if (a->count != b->count)
        return 0;
    for (i = 0; i < a->count; i++) {
        const tuo_tx_packet *p = &a->out[i].packet, *q = &b->out[i].packet;
        if (p->len != q->len || p->seg_count != q->seg_count || p->l2_len != q->l2_len || p->l3_len != q->l3_len ||
            p->l4_len != q->l4_len || p->kind != q->kind || p->csum_ip4 != q->csum_ip4 || p->wire_len_max != q->wire_len_max ||
            p->vlan_insert != q->vlan_insert || p->vlan_tci != q->vlan_tci || !ladder_same_vnet(&p->vnet, &q->vnet) ||
            memcmp(a->out[i].bytes, b->out[i].bytes, p->len) != 0)
            return 0;
    }
    return 1;
}

/* The fewest packets that the device can be given for this superpacket; its segments, if it does not segment such. */
static inline size_t ladder_fewest(const tuo_caps *caps, const uint8_t *p, const pkt_view *v, size_t gso_size)
{
    size_t left = ref_split_count(v, gso_size), count = 0, hdr = v->payload - v->ip, done = 0;
    size_t max_bytes = device_max_bytes(caps, device_kind(v)), max_segs = device_max_segs(caps, device_kind(v));

    if (max_bytes == 0 || gso_size < caps->min_seg_size || (caps->max_seg_size && gso_size > caps->max_seg_size) ||
        (caps->max_hdr_len && v->payload > caps->max_hdr_len) || !device_reaches_l4(caps, v) || !device_sums_kind(caps, device_kind(v)))
        return left;
    if (v->proto == PKT_PROTO_TCP && (p[v->l4 + 13] & PKT_CWR) && !caps->tso_cwr) { /* the first one alone */
        count++;
        left--;
        done += gso_size;
    }
    while (left) { /* as many as fit: all that are left, or full ones */
        size_t rest = ref_split_payload(v) - done, full = max_bytes > hdr ? (max_bytes - hdr) / gso_size : 0, take = left;
        if (left > max_segs || hdr + rest > max_bytes) {
            take = full < max_segs ? full : max_segs;
            take = take < 1 ? 1 : take;
        }
        left -= take;
        done += take * gso_size;
        count++;
    }
    return count;
}

/* A tunnel bit alone marks a single packet. */
static inline int ladder_typed(const ladder_case *c)
{
    return (c->vnet.gso_type & ~(unsigned)REF_TUNNELS) != TUO_GSO_NONE;
}

/* Nothing done here that the device could do. c: without the tag that is left to it. */
static inline const char *ladder_least_work(const ladder_case *c, int tag_left, const ladder_list *list)
{
    int ethernet = c->caps.ethernet != 0;
    pkt_view v = pkt_look(c->pkt, c->len, ethernet, 1);
    int typed = ladder_typed(c), partial = (c->vnet.flags & TUO_VNET_NEEDS_CSUM) != 0;
    int cut = typed && ref_split_payload(&v) > c->vnet.gso_size;
    size_t i, len = typed ? v.end : c->len;

    if (cut && list->count != ladder_fewest(&c->caps, c->pkt, &v, c->vnet.gso_size))
        return list->count > ladder_fewest(&c->caps, c->pkt, &v, c->vnet.gso_size) ? "more packets than the device needs"
                                                                                    : "fewer packets than the device takes";
    if (!cut && list->count != 1)
        return "a packet that is no superpacket came out as several";
    for (i = 0; i < list->count && cut; i++)
        if ((list->out[i].packet.vnet.flags != 0) != (list->out[i].packet.seg_count > 1 || device_sums(&c->caps, &v)))
            return list->out[i].packet.vnet.flags ? "a segment's checksum is left to a device that cannot finish it"
                                                   : "a segment's checksum is finished though the device can do it";
    if (!cut && partial) {
        int outer = pkt_has_l4(&v) && c->vnet.csum_start == v.l4 && c->vnet.csum_offset == (v.proto == PKT_PROTO_UDP ? 6 : 16);
        int can = c->caps.tx_csum_any || (outer && device_sums(&c->caps, &v)), left = list->out[0].packet.vnet.flags != 0;
        v = pkt_look(c->pkt, len, ethernet, 0);
        if (left && !can)
            return "a checksum is left to a device that cannot finish it";
        if (!left && can && (c->caps.tx_csum_any ||
                             (pkt_has_l4(&v) && v.end == len && v.payload + v.payload_len == v.end && v.payload <= TUO_HEADER_MAX)))
            return "a checksum is finished though the device can do it";
        if (left && outer && c->vnet.csum_start == v.l4 && device_kind(&v) != TUO_KIND_NONE && !c->caps.tx_csum_any &&
            list->out[0].packet.kind != device_kind(&v))
            return "the kind of a partial packet";
    }
    if (!cut && !partial && list->out[0].packet.vnet.flags)
        return "an offload is asked for a packet that needs none";
    if (!cut && (!partial || list->out[0].packet.vnet.flags) &&
        (list->out[0].packet.iov_count != (tag_left ? 2 : 1) || list->out[0].packet.len != len))
        return "a packet that is not changed comes in several pieces";
    return NULL;
}

/* The same packets? 0 and 0xffff are the same TCP checksum where a device may write either. */
static inline const char *ladder_compare(const ref_list *expected, const ref_list *wire)
{
    size_t i;

    if (expected->count != wire->count)
        return "the number of packets on the wire is wrong";
    for (i = 0; i < wire->count; i++) {
        if (wire->len[i] != expected->len[i])
            return "a packet on the wire has the wrong length";
        if (memcmp(wire->bytes[i], expected->bytes[i], wire->len[i]) != 0)
            return "a packet on the wire has wrong bytes";
    }
    return NULL;
}

static inline void ladder_unify_zero(uint8_t *wire, const uint8_t *expected, size_t at)
{
    unsigned a = pkt_get16(wire + at), b = pkt_get16(expected + at);

    if (a % 65535 == 0 && b % 65535 == 0)
        pkt_put16(wire + at, b);
}

static inline const char *ladder_send(const ladder_case *c, device_style style, const ladder_list *list, const ref_list *expected)
{
    ref_list wire = {NULL, NULL, 0};
    const char *complaint = NULL;
    size_t i;

    for (i = 0; i < list->count && !complaint; i++) {
        const tuo_tx_packet *p = &list->out[i].packet;
        size_t at = (size_t)p->vnet.csum_start + p->vnet.csum_offset + (p->vlan_insert ? 4 : 0), n = wire.count;
        complaint = device_send(style, &c->caps, &c->vnet, list->out[i].bytes, p->len, p, &wire);
        if (!complaint && p->vnet.flags && p->vnet.gso_type == TUO_GSO_NONE && n < expected->count &&
            at + 2 <= wire.len[n] && at + 2 <= expected->len[n] && p->vnet.csum_offset != 6)
            ladder_unify_zero(wire.bytes[n], expected->bytes[n], at);
    }
    if (!complaint)
        complaint = ladder_compare(expected, &wire);
    ref_list_free(&wire);
    return complaint;
}

/* What tuo_gso_next hands out. */
static inline ref_list ladder_by_gso(tuo_gso gso)
{
    ref_list list = {NULL, NULL, 0};
    tuo_segment segment;

    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        uint8_t *out = ref_list_add(&list, segment.len);
        size_t i;
        for (i = 0; i < segment.iov_count; out += segment.iov[i].len, i++)
            if (segment.iov[i].len)
                memcpy(out, segment.iov[i].base, segment.iov[i].len);
    }
    return list;
}

/* Can the device insert the outermost tag? Then it must. */
static inline int ladder_leaves_tag(const ladder_case *c)
{
    return c->caps.ethernet && c->caps.tx_vlan_insert && c->len >= 18 && pkt_get16(c->pkt + 12) == 0x8100 &&
           (!(c->vnet.flags & TUO_VNET_NEEDS_CSUM) || c->vnet.csum_start >= 16);
}

/* The tag of each packet; and what the rest of it leaves to the device. */
static inline const char *ladder_judge_work(const ladder_case *c, const ladder_list *list)
{
    int tag_left = ladder_leaves_tag(c);
    ladder_case bare = *c;
    uint8_t *untagged = (uint8_t *)ref_alloc(c->len, 1);
    const char *complaint = NULL;
    size_t i;

    for (i = 0; i < list->count && !complaint; i++)
        if (list->out[i].packet.vlan_insert != tag_left || list->out[i].packet.vlan_tci != (tag_left ? pkt_get16(c->pkt + 14) : 0))
            complaint = "another tag is left to the device than the outermost one";
    if (tag_left) {
        memcpy(untagged, c->pkt, 12);
        memcpy(untagged + 12, c->pkt + 16, c->len - 16);
        bare.pkt = untagged;
        bare.len -= 4;
        bare.vnet.csum_start = (uint16_t)(bare.vnet.csum_start - 4);
    }
    if (!complaint)
        complaint = ladder_least_work(&bare, tag_left, list);
    free(untagged);
    return complaint;
}

/* Everything that must hold of what was handed out. */
static inline const char *ladder_judge(const ladder_case *c, const tuo_gso *gso, const ladder_list *list)
{
    int ethernet = c->caps.ethernet != 0;
    ref_list expected = ref_wire(c->pkt, c->len, ethernet, &c->vnet), cut = ladder_by_gso(*gso);
    const char *complaint = ladder_send(c, DEVICE_NIC, list, &expected);

    if (!complaint && !c->caps.tso_sum_no_len && !c->caps.tx_csum_ip4)
        complaint = ladder_send(c, DEVICE_VIRTIO, list, &expected);
    if (!complaint && ladder_compare(&expected, &cut))
        complaint = "tuo_gso_next differs from the naive splitter";
    if (!complaint)
        complaint = ladder_judge_work(c, list);
    ref_list_free(&expected);
    ref_list_free(&cut);
    return complaint;
}

/* What is left to cut, in `cut`, which has the bytes of the packet. */
static inline void ladder_strip_jumbo(ladder_case *c, uint8_t *cut)
{
    pkt_view v = pkt_look(c->pkt, c->len, c->caps.ethernet != 0, 1);

    c->pkt = cut;
    if (ladder_typed(c) && ref_split_payload(&v) > c->vnet.gso_size)
        c->len -= ref_strip_jumbo(cut, c->len, &v, &c->vnet);
}

/* Would the device have to send something that is longer than its MTU? */
static inline int ladder_exceeds_mtu(const ladder_case *c)
{
    int ethernet = c->caps.ethernet != 0, typed = ladder_typed(c);
    pkt_view v = pkt_look(c->pkt, c->len, ethernet, 1);
    size_t len = typed ? v.end : c->len, longest;

    if (c->vnet.gso_type & REF_TUNNELS) {
        ref_list wire = ref_tunnel_wire(c->pkt, c->len, ethernet, &c->vnet, 0);
        len = wire.len[0];
        typed = 0;
        ref_list_free(&wire);
    }
    longest = len - device_l2_len(ethernet, c->pkt, len);
    if (typed && ref_split_payload(&v) > c->vnet.gso_size)
        longest = v.payload - v.ip + c->vnet.gso_size;
    return c->caps.mtu && longest > c->caps.mtu;
}

/* ladder_check: all properties, for one packet. *packets (may be NULL): how many the device got; 0 if the packet was refused. */
static inline const char *ladder_check(const ladder_case *c, size_t *packets)
{
    static const char *const differs[] = {NULL, "stored headers differ from scratch ones", "in place differs from gathered",
                                          "gathered, then in place differs from gathered", "with max_frags differs from without"};
    unsigned flags = (c->flags & (TUO_F_TRUST | TUO_F_STRIP_JUMBO | TUO_F_SIMD(0xff))) |
                     (c->caps.ethernet ? (unsigned)TUO_F_ETHERNET : 0u);
    uint8_t *copy = (uint8_t *)ref_alloc(c->len, 1), *cut = (uint8_t *)ref_alloc(c->len, 1);
    ladder_case left = *c;
    ladder_list list = {NULL, 0};
    const char *complaint = NULL;
    tuo_result result;
    tuo_gso gso;
    tuo_tx tx;
    int way;

    if (c->len) {
        memcpy(copy, c->pkt, c->len);
        memcpy(cut, c->pkt, c->len);
    }
    result = tuo_gso_init(&gso, c->pkt, c->len, &c->vnet, flags);
    if (result == TUO_OK)
        ladder_strip_jumbo(&left, cut);
    if (packets)
        *packets = 0;
    if (result == TUO_OK && ladder_exceeds_mtu(&left))
        result = TUO_E_MTU;
    if (tuo_tx_init(&tx, &c->caps, copy, c->len, &c->vnet, c->flags) != result)
        complaint = "tuo_tx_init and tuo_gso_init return different results";
    for (way = 0; way < LADDER_WAYS && !complaint && result == TUO_OK; way++) {
        ladder_list again = {NULL, 0}, *to = way == LADDER_SCRATCH ? &list : &again;
        complaint = ladder_run(c, (ladder_way)way, copy, to);
        if (!complaint && (way == LADDER_SCRATCH || way == LADDER_STORED) && c->len && memcmp(copy, c->pkt, c->len) != 0)
            complaint = "the input was changed";
        if (!complaint && way != LADDER_SCRATCH && !ladder_same(&list, &again))
            complaint = differs[way];
        if (!complaint && way == LADDER_SCRATCH)
            complaint = ladder_judge(&left, &gso, &list);
        if (c->len)
            memcpy(copy, c->pkt, c->len);
        ladder_list_free(&again);
    }
    if (packets)
        *packets = list.count;
    ladder_list_free(&list);
    free(copy);
    free(cut);
    return complaint;
}

#endif /* DEVICE_MODEL_H */
