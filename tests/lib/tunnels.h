/* tunnels.h - packets inside UDP, as VXLAN and Geneve have them: built field by field, and cut by a splitter that makes segment i from
   nothing but i and sums every byte of it. Written from the rules of K 3.22 to 3.26 without looking at the library.

       tunnel_spec t = {.outer = {.kind = PKT_UDP4}, .header_len = 8, .csum = 1};     VXLAN with an outer checksum,
       t.inner.kind = PKT_TCP4; t.inner.ethernet = 1; t.inner.payload_len = 3000;     an Ethernet frame with TCP in it
       tunnel_super sp = tunnel_build(&t, 1000);

   Include tunoffload.h first. */
#ifndef TUNNELS_H
#define TUNNELS_H

#include "packets.h"
#include "reference.h"

typedef struct tunnel_spec {
    pkt_spec outer;    /* PKT_UDP4 or PKT_UDP6; its payload is made here */
    pkt_spec inner;    /* with an Ethernet header (VXLAN) or without (GPE, Geneve of bare IP) */
    size_t header_len; /* bytes between the outer UDP header and the inner frame: 8 of VXLAN, 8 and options of Geneve */
    int csum;          /* outer UDP checksum; 0: the field is 0 */
} tunnel_spec;

/* A superpacket with the vnet header that Linux puts in front of it. */
typedef struct tunnel_super {
    uint8_t *bytes;
    size_t len;
    size_t inner_off; /* of the inner IP header */
    tuo_vnet_hdr vnet;
    int ethernet;
} tunnel_super;

static inline size_t tunnel_inner_off(const tunnel_spec *t)
{
    return pkt_payload_off(&t->outer) + t->header_len + pkt_ip_off(&t->inner);
}

static inline tuo_vnet_hdr tunnel_vnet(const tunnel_spec *t, size_t gso_size)
{
    size_t inner_frame = pkt_payload_off(&t->outer) + t->header_len;
    tuo_vnet_hdr vnet;

    memset(&vnet, 0, sizeof vnet);
    vnet.flags = (uint8_t)(TUO_VNET_NEEDS_CSUM | (t->csum ? TUO_VNET_UDP_TUNNEL_CSUM : 0));
    vnet.gso_type = pkt_is_udp(&t->inner) ? TUO_GSO_UDP_L4 : pkt_is_v6(&t->inner) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    vnet.gso_type |= pkt_is_v6(&t->outer) ? TUO_GSO_UDP_TUNNEL_IPV6 : TUO_GSO_UDP_TUNNEL_IPV4;
    vnet.hdr_len = (uint16_t)(inner_frame + pkt_payload_off(&t->inner));
    vnet.gso_size = (uint16_t)gso_size;
    vnet.csum_start = (uint16_t)(inner_frame + pkt_l4_off(&t->inner));
    vnet.csum_offset = pkt_is_udp(&t->inner) ? 6 : 16;
    vnet.outer_th_offset = (uint16_t)pkt_l4_off(&t->outer);
    vnet.inner_nh_offset = (uint16_t)tunnel_inner_off(t);
    return vnet;
}

/* Headers around any frame. In memory of exactly its size; the caller frees. */
static inline uint8_t *tunnel_wrap(const pkt_spec *outer, size_t header_len, int csum, const uint8_t *frame, size_t frame_len, size_t *len)
{
    pkt_spec s = *outer;
    uint8_t *payload = (uint8_t *)ref_alloc(header_len + frame_len, 1), *bytes;

    pkt_stream(payload, header_len, 77, 0);
    memcpy(payload + header_len, frame, frame_len);
    s.payload = payload;
    s.payload_len = (int32_t)(header_len + frame_len);
    s.l4_csum_pseudo = csum != 0;
    s.l4_csum_zero = csum == 0;
    *len = pkt_len(&s);
    bytes = (uint8_t *)ref_alloc(*len, 1);
    pkt_build(bytes, *len, &s);
    free(payload);
    return bytes;
}

/* Headers around a superpacket with this vnet header, for fuzz targets: chosen by the bits of `how`. The vnet header becomes that of all;
   *frame is freed, and replaced. 0: it is not one, and stays. */
static inline int tunnel_wrap_any(uint8_t **frame, size_t *len, int inner_ethernet, int outer_ethernet, unsigned how, tuo_vnet_hdr *vnet)
{
    pkt_spec outer = {.kind = how & 1 ? PKT_UDP6 : PKT_UDP4, .ip_id = (uint16_t)(how * 7919u), .tos = (uint8_t)how};
    size_t header_len = how >> 8 & 31, off, inner_ip = pkt_look(*frame, *len, inner_ethernet, 1).ip;
    unsigned uncounted = 0;
    uint8_t *bytes;

    if (!(vnet->flags & TUO_VNET_NEEDS_CSUM) || vnet->gso_type == TUO_GSO_NONE || *len > 65000)
        return 0;
    outer.ethernet = (uint8_t)(outer_ethernet != 0);
    if (outer_ethernet)
        outer.vlan_count = (uint8_t)(how >> 2 & 3);
    uncounted = outer.vlan_count && (how & 16) ? 4 : 0;
    bytes = tunnel_wrap(&outer, header_len, how & 2, *frame, *len, len);
    free(*frame);
    *frame = bytes;
    off = pkt_payload_off(&outer) + header_len;
    if (how & 2)
        vnet->flags |= TUO_VNET_UDP_TUNNEL_CSUM;
    vnet->gso_type |= how & 1 ? TUO_GSO_UDP_TUNNEL_IPV6 : TUO_GSO_UDP_TUNNEL_IPV4;
    vnet->csum_start = (uint16_t)(vnet->csum_start + off);
    vnet->hdr_len = (uint16_t)(vnet->hdr_len + off);
    vnet->outer_th_offset = (uint16_t)(pkt_l4_off(&outer) - uncounted);
    vnet->inner_nh_offset = (uint16_t)(off + inner_ip - uncounted);
    if ((how & 0x60) == 0x60) { /* a single packet */
        vnet->gso_type &= REF_TUNNELS;
        vnet->gso_size = 0;
    }
    return 1;
}

/* In memory of exactly its size. Free bytes. */
static inline tunnel_super tunnel_build(const tunnel_spec *t, size_t gso_size)
{
    pkt_spec inner = t->inner;
    uint8_t *frame = (uint8_t *)ref_alloc(pkt_len(&t->inner), 1);
    tunnel_super sp;

    inner.l4_csum_pseudo = 1;
    pkt_build(frame, pkt_len(&inner), &inner);
    sp.bytes = tunnel_wrap(&t->outer, t->header_len, t->csum, frame, pkt_len(&inner), &sp.len);
    sp.inner_off = tunnel_inner_off(t);
    sp.vnet = tunnel_vnet(t, gso_size);
    sp.ethernet = pkt_is_ethernet(&t->outer);
    free(frame);
    return sp;
}

/* The headers around segment i of len bytes. */
static inline void tunnel_fix_outer(uint8_t *p, size_t len, int ethernet, size_t i, int csum)
{
    pkt_view v = pkt_look(p, len, ethernet, 1);

    if (v.version == 4) {
        pkt_put16(p + v.ip + 2, (unsigned)(len - v.ip));
        pkt_put16(p + v.ip + 4, (pkt_get16(p + v.ip + 4) + (unsigned)i) & 0xffff);
    } else {
        pkt_put16(p + v.ip + 4, (unsigned)(len - v.ip - 40));
    }
    pkt_put16(p + v.l4 + 4, (unsigned)(len - v.l4));
    pkt_fix_checksums(p, len, ethernet);
    if (!csum)
        pkt_put16(p + v.l4 + 6, 0);
}

/* All segments, finished. gso_size of at least the payload: one. */
static inline ref_list tunnel_split(const tunnel_super *sp, size_t gso_size)
{
    const uint8_t *inner = sp->bytes + sp->inner_off;
    pkt_view whole = pkt_look(sp->bytes, sp->len, sp->ethernet, 1), v = pkt_look(inner, whole.end - sp->inner_off, 0, 1);
    size_t i, count = ref_split_count(&v, gso_size);
    ref_list list = {NULL, NULL, 0};
    uint8_t *out = (uint8_t *)ref_alloc(sp->inner_off + v.payload + gso_size, 1);

    for (i = 0; i < (count ? count : 1); i++) {
        size_t len = sp->inner_off + ref_split_one(inner, &v, gso_size, i, out + sp->inner_off);
        memcpy(out, sp->bytes, sp->inner_off);
        pkt_put16(out + whole.ip + (whole.version == 4 ? 2 : 4), 0); /* to the end, whatever it said of all */
        pkt_put16(out + whole.l4 + 4, 0);
        tunnel_fix_outer(out, len, sp->ethernet, i, (sp->vnet.flags & TUO_VNET_UDP_TUNNEL_CSUM) != 0);
        memcpy(ref_list_add(&list, len), out, len);
    }
    free(out);
    return list;
}

/* ------------------------------------------------------------------------- single datagrams with real tunnel headers */

enum { VXLAN_PORT = 4789, GENEVE_PORT = 6081 };

typedef enum datagram_form { DATAGRAM_VXLAN, DATAGRAM_GENEVE, DATAGRAM_GENEVE_OPTIONS, DATAGRAM_GENEVE_IP, DATAGRAM_COUNT } datagram_form;

typedef struct datagram {
    pkt_spec outer, inner;
    datagram_form form;
    uint32_t vni;
    int no_csum;                /* the outer UDP checksum is 0 */
    uint8_t options_len;        /* of Geneve, beside those of the form */
    uint8_t header_off, header_xor; /* a poke into the tunnel header */
    uint16_t inner_type;        /* instead of the type in the inner Ethernet header or, without one, in the Geneve header */
    uint8_t inner_version_xor;  /* of the first byte of the inner IP header */
    uint16_t inner_cut;         /* bytes that are left of the inner frame, plus 1 */
    uint8_t spoil_last;         /* what the last payload byte is changed by, behind the back of all checksums */
} datagram;

/* A datagram of 100 bytes in a tunnel, with an outer checksum; all is right. Its inner addresses are not those of the tunnel's ends. */
static inline datagram datagram_of(datagram_form f, pkt_kind outer, pkt_kind inner, int ethernet)
{
    datagram d;

    memset(&d, 0, sizeof d);
    d.form = f;
    d.vni = 5;
    d.outer.kind = outer;
    d.outer.dst_port = f == DATAGRAM_VXLAN ? VXLAN_PORT : GENEVE_PORT;
    d.outer.ethernet = (uint8_t)ethernet;
    d.inner.kind = inner;
    d.inner.ethernet = f != DATAGRAM_GENEVE_IP;
    d.inner.src = d.inner.dst = 77;
    d.inner.payload_len = 100;
    d.inner.seq = 0xffffff00u;
    d.inner.ip_id = 0xfffe;
    d.outer.ip_id = 0x7fff;
    return d;
}

static inline size_t datagram_header_len(const datagram *d)
{
    return d->form == DATAGRAM_VXLAN ? 8 : 8 + d->options_len + (d->form == DATAGRAM_GENEVE_OPTIONS ? 8u : 0u);
}

static inline void datagram_put_header(uint8_t *h, const datagram *d)
{
    size_t len = datagram_header_len(d);

    memset(h, 0, len);
    if (d->form == DATAGRAM_VXLAN) {
        h[0] = 8;
    } else {
        h[0] = (uint8_t)((len - 8) / 4);
        pkt_put16(h + 2, d->form != DATAGRAM_GENEVE_IP ? 0x6558 : d->inner_type ? d->inner_type : pkt_is_v6(&d->inner) ? 0x86dd : 0x0800);
        if (len > 8)
            pkt_put32(h + 8, 0x00010200u | (uint32_t)((len - 12) / 4));
    }
    pkt_put32(h + 4, d->vni << 8);
    h[d->header_off] ^= d->header_xor;
}

/* Outer headers and tunnel header around a frame, which may be anything. Returns the length; 0: no room. */
static inline size_t datagram_wrap(uint8_t *out, size_t cap, const datagram *d, const uint8_t *frame, size_t frame_len)
{
    static uint8_t payload[65536 + 512];
    size_t header_len = datagram_header_len(d);
    pkt_spec outer = d->outer;

    if (header_len + frame_len > sizeof payload)
        return 0;
    datagram_put_header(payload, d);
    if (frame_len)
        memcpy(payload + header_len, frame, frame_len);
    outer.payload = payload;
    outer.payload_len = header_len + frame_len ? (int32_t)(header_len + frame_len) : PKT_ZERO;
    outer.l4_csum_zero = d->no_csum != 0;
    return pkt_build(out, cap, &outer);
}

/* Returns the length; 0: no room. */
static inline size_t datagram_build(uint8_t *out, size_t cap, const datagram *d)
{
    static uint8_t frame[65536];
    size_t ip = pkt_ip_off(&d->inner), len = pkt_build(frame, sizeof frame, &d->inner);

    if (d->inner_type && d->form != DATAGRAM_GENEVE_IP)
        pkt_put16(frame + ip - 2, d->inner_type);
    frame[ip] ^= d->inner_version_xor;
    if (d->inner_cut && d->inner_cut - 1u < len)
        len = d->inner_cut - 1u;
    len = datagram_wrap(out, cap, d, frame, len);
    if (len)
        out[len - d->outer.trailer_len - 1] ^= d->spoil_last;
    return len;
}

/* The datagram that follows: outer and inner IDs, and the place in the inner stream. */
static inline void datagram_advance(datagram *d)
{
    d->outer.ip_id++;
    d->inner.ip_id++;
    d->inner.seq += (uint32_t)pkt_payload_len(&d->inner);
}

#endif
