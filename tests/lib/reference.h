/* reference.h - slow, obvious counterparts of what the library does, written from the RFCs and the merging rules without looking
   at it: checksum verification, a splitter that makes segment i of a superpacket from nothing but i, and a merger that keeps
   plain lists and searches them from end to end. Tests compare the library with these on random traffic.

   Include tunoffload.h first, for the names of the verdicts. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "packets.h"

/* --------------------------------------------------------------------------------------------------------- checksums */

static inline uint16_t ref_csum(const void *bytes, size_t len, uint16_t initial)
{
    return (uint16_t)pkt_sum((const uint8_t *)bytes, len, initial);
}

/* IPv4 header checksum (IPv6 has none). */
static inline int ref_ip_valid(const uint8_t *p, const pkt_view *v)
{
    return v->version == 6 || pkt_sum(p + v->ip, v->l4 - v->ip, 0) == 0xffff;
}

/* TCP or UDP checksum. UDP without one is right over IPv4 only. With segments left in a routing header the checksum covers an
   address that is not where the destination stands: it cannot be judged. */
static inline int ref_l4_valid_at(const uint8_t *p, const pkt_view *v)
{
    if (!pkt_has_l4(v) || v->routing_left)
        return 1;
    if (v->proto == PKT_PROTO_UDP && pkt_get16(p + v->l4 + 6) == 0)
        return v->version == 4;
    return pkt_l4_sum(p, v) == 0xffff;
}

static inline int ref_l4_valid(const uint8_t *p, size_t len, int ethernet)
{
    pkt_view v = pkt_look(p, len, ethernet, 0);

    return ref_l4_valid_at(p, &v);
}

/* ---------------------------------------------------------------------------------------------------------- splitter */

/* What is cut: everything up to the end of the IP packet, whatever a UDP length says. */
static inline size_t ref_split_payload(const pkt_view *v)
{
    return v->end - v->payload;
}

/* Number of segments of a superpacket with this view. */
static inline size_t ref_split_count(const pkt_view *v, size_t gso_size)
{
    return (ref_split_payload(v) + gso_size - 1) / gso_size;
}

/* Segment i of the superpacket p (IP lengths may be 0 if too large), complete with checksums. out needs room for
   v->payload + gso_size bytes. Returns its length. */
static inline size_t ref_split_one(const uint8_t *p, const pkt_view *v, size_t gso_size, size_t i, uint8_t *out)
{
    size_t from = i * gso_size, left = ref_split_payload(v) - from;
    size_t take = left < gso_size ? left : gso_size, len = v->payload + take;
    int is_first = i == 0, is_last = take == left;
    uint8_t *ip = out + v->ip, *l4 = out + v->l4;

    memcpy(out, p, v->payload);
    memcpy(out + v->payload, p + v->payload + from, take);
    if (v->version == 4) {
        pkt_put16(ip + 2, (unsigned)(len - v->ip));
        pkt_put16(ip + 4, (pkt_get16(ip + 4) + (unsigned)i) & 0xffff);
    } else {
        pkt_put16(ip + 4, (unsigned)(len - v->ip - 40));
    }
    if (v->proto == PKT_PROTO_TCP) {
        pkt_put32(l4 + 4, pkt_get32(l4 + 4) + (uint32_t)from);
        if (!is_first)
            l4[13] = (uint8_t)(l4[13] & ~PKT_CWR);
        if (!is_last)
            l4[13] = (uint8_t)(l4[13] & ~(PKT_FIN | PKT_PSH));
    } else {
        pkt_put16(l4 + 4, (unsigned)(8 + take));
    }
    pkt_fix_checksums(out, len, v->ip != 0);
    return len;
}

/* What is cut must have no jumbo payload option (RFC 2675 2). It can go if its hop-by-hop header has nothing else but padding. */
typedef enum ref_jumbo_state { REF_NO_JUMBO, REF_JUMBO_GOES, REF_JUMBO_STAYS } ref_jumbo_state;

static inline ref_jumbo_state ref_jumbo(const uint8_t *p, const pkt_view *v)
{
    const uint8_t *option = p + v->ip + 42, *end;
    ref_jumbo_state state = REF_NO_JUMBO;
    int other = 0;

    if (v->version != 6 || p[v->ip + 6] != 0)
        return REF_NO_JUMBO;
    end = option + 6 + p[v->ip + 41] * 8;
    while (option < end) {
        if (option[0] == 0) { /* Pad1 */
            option++;
            continue;
        }
        if (option[0] == 0xc2)
            state = REF_JUMBO_GOES;
        if (end - option < 2 || end - option < 2 + option[1] || (option[0] != 1 && (option[0] != 0xc2 || option[1] != 4)))
            other = 1;
        if (end - option < 2)
            break;
        option += 2 + option[1];
    }
    return state != REF_NO_JUMBO && other ? REF_JUMBO_STAYS : state;
}

enum { REF_TUNNELS = TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6 };

/* Takes the hop-by-hop header with it. Returns its length. In tunnels everything stays. */
static inline size_t ref_strip_jumbo(uint8_t *p, size_t len, const pkt_view *v, tuo_vnet_hdr *vnet)
{
    size_t at = v->ip + 40, gone;
    unsigned stated;

    if ((vnet->gso_type & REF_TUNNELS) || ref_jumbo(p, v) != REF_JUMBO_GOES)
        return 0;
    gone = 8 + (size_t)p[at + 1] * 8;
    stated = pkt_get16(p + v->ip + 4);
    p[v->ip + 6] = p[at];
    pkt_put16(p + v->ip + 4, stated ? stated - (unsigned)gone : 0);
    memmove(p + at, p + at + gone, len - at - gone);
    vnet->csum_start = (uint16_t)(vnet->csum_start - gone);
    return gone;
}

/* A list of packets, each in memory of its own. */
typedef struct ref_list {
    uint8_t **bytes;
    size_t *len;
    size_t count;
} ref_list;

static inline void *ref_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    if (!p) {
        perror("ref_alloc");
        exit(2);
    }
    return p;
}

static inline void ref_list_free(ref_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        free(list->bytes[i]);
    free(list->bytes);
    free(list->len);
    memset(list, 0, sizeof *list);
}

/* All segments of a superpacket; an empty list if it is not an unfragmented TCP or UDP packet with payload. */
static inline ref_list ref_split(const uint8_t *p, size_t len, int ethernet, size_t gso_size)
{
    pkt_view v = pkt_look(p, len, ethernet, 1);
    ref_list list = {NULL, NULL, 0};
    size_t i;

    if (!pkt_has_l4(&v) || gso_size == 0)
        return list;
    list.count = ref_split_count(&v, gso_size);
    list.bytes = (uint8_t **)ref_alloc(list.count, sizeof *list.bytes);
    list.len = (size_t *)ref_alloc(list.count, sizeof *list.len);
    for (i = 0; i < list.count; i++) {
        list.bytes[i] = (uint8_t *)ref_alloc(v.payload + gso_size, 1);
        list.len[i] = ref_split_one(p, &v, gso_size, i, list.bytes[i]);
    }
    return list;
}

/* ------------------------------------------------------------------------------------------ the whole work, in software */

/* Appends a packet of len zero bytes; the caller fills it. */
static inline uint8_t *ref_list_add(ref_list *list, size_t len)
{
    if ((list->count & (list->count - 1)) == 0) { /* room for a power of two: double it */
        size_t cap = list->count ? 2 * list->count : 1;
        list->bytes = (uint8_t **)realloc(list->bytes, cap * sizeof *list->bytes);
        list->len = (size_t *)realloc(list->len, cap * sizeof *list->len);
        if (!list->bytes || !list->len) {
            perror("ref_list_add");
            exit(2);
        }
    }
    list->bytes[list->count] = (uint8_t *)ref_alloc(len, 1);
    list->len[list->count] = len;
    return list->bytes[list->count++];
}

/* A partial checksum made final: everything from csum_start to the end of the bytes, the seed included; 0 becomes 0xffff. */
static inline void ref_complete(uint8_t *p, size_t len, size_t csum_start, size_t csum_offset)
{
    unsigned csum = ~pkt_sum(p + csum_start, len - csum_start, 0) & 0xffff;

    pkt_put16(p + csum_start + csum_offset, csum ? csum : 0xffff);
}

/* The seed of a segment of l4_len bytes, from that of a superpacket of whole_len (0: it leaves the length out). */
static inline unsigned ref_seed_of_segment(unsigned seed, size_t whole_len, size_t l4_len)
{
    unsigned folded = (unsigned)(whole_len / 65536 + whole_len % 65536);

    folded = folded / 65536 + folded % 65536;
    return (unsigned)((seed + (0xffff - folded) + l4_len) % 65535);
}

/* The checksum of a segment, or with `pseudo` its seed, from the seed of the superpacket, right or wrong: that differs in the length
   alone. super: what is at its start; whole: where things are in it. */
static inline void ref_sum_from_seed(const uint8_t *super, const pkt_view *whole, uint8_t *segment, size_t len, int pseudo)
{
    uint8_t *field = segment + pkt_l4_csum_at(whole);
    size_t whole_len = whole->payload + whole->payload_len - whole->l4;
    unsigned sum = ref_seed_of_segment(pkt_get16(super + pkt_l4_csum_at(whole)), whole_len, len - whole->l4);

    pkt_put16(field, sum ? sum : 0xffff); /* a sum of numbers that are not all 0 is folded to 0xffff */
    if (pseudo)
        return;
    sum = ~pkt_sum(segment + whole->l4, len - whole->l4, 0) & 0xffff;
    pkt_put16(field, sum == 0 && whole->proto == PKT_PROTO_UDP ? 0xffff : sum);
}

/* Chooses the first two payload bytes so that the checksum of the first segment is 0, before UDP's rule makes it 0xffff: chance
   would not. */
static inline void ref_make_sum_zero(uint8_t *p, size_t len, int ethernet, size_t gso_size)
{
    pkt_view v = pkt_look(p, len, ethernet, 1);
    uint8_t *first;

    if (!pkt_has_l4(&v) || v.routing_left || gso_size < 2 || v.payload_len < 2)
        return;
    first = (uint8_t *)ref_alloc(v.payload + gso_size, 1);
    pkt_put16(p + v.payload, 0);
    ref_split_one(p, &v, gso_size, 0, first);
    memcpy(p + v.payload, first + pkt_l4_csum_at(&v), 2);
    free(first);
}

/* --- packets in UDP tunnels (K 3.22 to 3.26) --- */

/* A packet in a tunnel: the views count from where each of the two packets starts. */
typedef struct ref_tunnel {
    pkt_view outer, inner;
    size_t at; /* of the inner IP header */
} ref_tunnel;

/* Where a tunnel superpacket has its headers; 0: this vnet header and packet are none. */
static inline int ref_tunnel_look(const uint8_t *p, size_t len, int ethernet, const tuo_vnet_hdr *vnet, ref_tunnel *t)
{
    pkt_view *o = &t->outer;
    long missed;

    memset(t, 0, sizeof *t);
    *o = pkt_look(p, len, ethernet, 1);
    if (!pkt_has_l4(o) || o->proto != PKT_PROTO_UDP || o->payload + o->payload_len != o->end)
        return 0;
    if ((vnet->gso_type & REF_TUNNELS) != (o->version == 4 ? TUO_GSO_UDP_TUNNEL_IPV4 : TUO_GSO_UDP_TUNNEL_IPV6))
        return 0;
    missed = (long)o->l4 - vnet->outer_th_offset;
    if (missed != 0 && (missed != 4 || o->ip < 18)) /* 4: a tag that TAP inserts is not counted */
        return 0;
    t->at = (size_t)(vnet->inner_nh_offset + missed);
    if (t->at < o->l4 + 8 || t->at >= o->end)
        return 0;
    if (!(vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM) && pkt_get16(p + o->l4 + 6) != 0)
        return 0;
    t->inner = pkt_look(p + t->at, o->end - t->at, 0, 1);
    return pkt_has_l4(&t->inner) && t->inner.end == o->end - t->at && (vnet->flags & TUO_VNET_NEEDS_CSUM) &&
           vnet->csum_start == t->at + t->inner.l4 && vnet->csum_offset == (t->inner.proto == PKT_PROTO_UDP ? 6 : 16);
}

/* Its segment i, from the seeds in it. */
static inline size_t ref_tunnel_one(const uint8_t *p, const ref_tunnel *t, size_t gso_size, size_t i, int csum, int pseudo, uint8_t *out)
{
    uint8_t *inner = out + t->at, *ip = out + t->outer.ip, *udp = out + t->outer.l4;
    size_t inner_len = ref_split_one(p + t->at, &t->inner, gso_size, i, inner), len = t->at + inner_len;
    pkt_view v = t->outer;

    ref_sum_from_seed(p + t->at, &t->inner, inner, inner_len, 0);
    memcpy(out, p, t->at);
    if (v.version == 4) {
        pkt_put16(ip + 2, (unsigned)(len - v.ip));
        pkt_put16(ip + 4, (pkt_get16(ip + 4) + (unsigned)i) & 0xffff);
    } else {
        pkt_put16(ip + 4, (unsigned)(len - v.ip - 40));
    }
    pkt_put16(udp + 4, (unsigned)(len - v.l4));
    pkt_fix_ip_checksum(out, &v);
    if (csum)
        ref_sum_from_seed(p, &t->outer, out, len, 0);
    if (pseudo)
        ref_sum_from_seed(p + t->at, &t->inner, inner, inner_len, 1);
    return len;
}

/* ref_tunnel_wire: ref_wire of what is marked as being in a tunnel. pseudo: the inner checksum is left to a device. Without a seed in the
   outer header, a single packet is one like any other; so is one that has nothing behind csum_start that could be told. */
static inline ref_list ref_tunnel_wire(const uint8_t *p, size_t len, int ethernet, const tuo_vnet_hdr *vnet, int pseudo)
{
    unsigned typed = vnet->gso_type & ~(unsigned)(REF_TUNNELS | TUO_GSO_ECN);
    int csum = (vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM) != 0, found;
    ref_list list = {NULL, NULL, 0};
    size_t i, count, size, payload;
    ref_tunnel t;
    uint8_t *out;

    found = ref_tunnel_look(p, len, ethernet, vnet, &t);
    payload = found ? ref_split_payload(&t.inner) : 0;
    size = typed && vnet->gso_size < payload ? vnet->gso_size : payload;
    if (!typed && found && t.inner.payload + t.inner.payload_len != t.inner.end)
        found = 0;
    if (!found || (size == payload && !csum)) {
        len = found && typed ? t.outer.end : len;
        out = ref_list_add(&list, len);
        if (len)
            memcpy(out, p, len);
        if ((vnet->flags & TUO_VNET_NEEDS_CSUM) && !pseudo)
            ref_complete(out, len, vnet->csum_start, vnet->csum_offset);
        return list;
    }
    count = size < payload ? (payload + size - 1) / size : 1;
    out = (uint8_t *)ref_alloc(t.at + t.inner.payload + size, 1);
    for (i = 0; i < count; i++) {
        len = ref_tunnel_one(p, &t, size ? size : 1, i, csum, pseudo, out);
        memcpy(ref_list_add(&list, len), out, len);
    }
    free(out);
    return list;
}

/* ref_wire: the packets that go out for p[0..len) with this vnet header, if no device helps. The header must fit the packet. Of a
   partial checksum the seed says what the pseudo-header is, whatever the addresses in the packet are. */
static inline ref_list ref_wire(const uint8_t *p, size_t len, int ethernet, const tuo_vnet_hdr *vnet)
{
    ref_list list = {NULL, NULL, 0};
    pkt_view v = pkt_look(p, len, ethernet, 1);
    size_t i;

    if (vnet->gso_type & REF_TUNNELS)
        return ref_tunnel_wire(p, len, ethernet, vnet, 0);
    if (vnet->gso_type != TUO_GSO_NONE)
        len = v.end;
    if (vnet->gso_type == TUO_GSO_NONE || ref_split_payload(&v) <= vnet->gso_size) {
        uint8_t *only = ref_list_add(&list, len);
        if (len)
            memcpy(only, p, len);
        if (vnet->flags & TUO_VNET_NEEDS_CSUM)
            ref_complete(only, len, vnet->csum_start, vnet->csum_offset);
        return list;
    }
    list = ref_split(p, len, ethernet, vnet->gso_size);
    for (i = 0; i < list.count && (vnet->flags & TUO_VNET_NEEDS_CSUM); i++)
        ref_sum_from_seed(p, &v, list.bytes[i], list.len[i], 0);
    return list;
}

/* ref_wire of a packet from which a jumbo payload option is taken out, if it is cut. */
static inline ref_list ref_wire_stripped(const uint8_t *p, size_t len, int ethernet, const tuo_vnet_hdr *vnet)
{
    pkt_view v = pkt_look(p, len, ethernet, 1);
    uint8_t *left = (uint8_t *)ref_alloc(len, 1);
    tuo_vnet_hdr fitting = *vnet;
    ref_list list;

    if (len)
        memcpy(left, p, len);
    if (vnet->gso_type != TUO_GSO_NONE && ref_split_payload(&v) > vnet->gso_size)
        len -= ref_strip_jumbo(left, len, &v, &fitting);
    list = ref_wire(left, len, ethernet, &fitting);
    free(left);
    return list;
}

/* ref_prepare: what tuo_tso_prepare has to make of p[0..len), whatever stands in its length fields; 0 if it has to refuse (then
   p is in any state). caps: the largest superpacket of each kind, and Ethernet or not. */
static inline int ref_prepare(uint8_t *p, size_t len, size_t gso_size, const tuo_caps *caps, tuo_vnet_hdr *vnet)
{
    int ethernet = caps->ethernet != 0;
    pkt_view v = pkt_look(p, len, ethernet, 1);
    size_t ip_len, segment, most, largest;

    memset(vnet, 0, sizeof *vnet);
    if (v.status == PKT_NOT_IP || v.status == PKT_TRUNCATED || v.status == PKT_VLAN_DEPTH || gso_size == 0 || gso_size > 65534)
        return 0;
    pkt_put16(p + v.ip + (v.version == 4 ? 2 : 4), 0);
    v = pkt_look(p, len, ethernet, 1);
    if ((v.status == PKT_OK || v.status == PKT_UDP_LENGTH) && !v.fragment && !v.opaque && v.proto == PKT_PROTO_UDP &&
        v.end - v.l4 >= 8)
        pkt_put16(p + v.l4 + 4, 0);
    v = pkt_look(p, len, ethernet, 1);
    if (!pkt_has_l4(&v) || v.routing_left || v.payload > TUO_HEADER_MAX)
        return 0;
    ip_len = v.end - v.ip;
    segment = v.payload - v.ip + (gso_size < v.payload_len ? gso_size : v.payload_len);
    most = v.version == 4 ? 65535 : 40 + 65535;
    largest = v.proto == PKT_PROTO_UDP ? (v.version == 4 ? caps->max_udp4 : caps->max_udp6)
        : v.version == 4 ? caps->max_tcp4 : caps->max_tcp6;
    if (segment > most || (ip_len > most && ip_len > largest))
        return 0;
    if (v.version == 4)
        pkt_put16(p + v.ip + 2, ip_len > most ? 0 : (unsigned)ip_len);
    else
        pkt_put16(p + v.ip + 4, ip_len > most ? 0 : (unsigned)(ip_len - 40));
    if (v.proto == PKT_PROTO_UDP)
        pkt_put16(p + v.l4 + 4, v.end - v.l4 > 65535 ? 0 : (unsigned)(v.end - v.l4));
    pkt_fix_ip_checksum(p, &v);
    pkt_put16(p + pkt_l4_csum_at(&v), pkt_pseudo_sum(p + v.src, p + v.dst, v.addr_len, v.proto, v.end - v.l4));
    vnet->flags = TUO_VNET_NEEDS_CSUM;
    vnet->csum_start = (uint16_t)v.l4;
    vnet->csum_offset = v.proto == PKT_PROTO_UDP ? 6 : 16;
    vnet->hdr_len = (uint16_t)v.payload;
    if (v.payload_len > gso_size) {
        vnet->gso_type = v.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4 : v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6;
        vnet->gso_size = (uint16_t)gso_size;
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------ merger */

typedef struct ref_pkt {
    const uint8_t *bytes;
    size_t len;
    int trusted;      /* TUO_F_TRUST */
    size_t capacity;  /* bytes that the packet may grow to in copy mode; 0 = no bound, as in gather mode */
} ref_pkt;

/* As in tuo_gro_desc, where 0 means the same defaults. */
typedef struct ref_options {
    int ethernet, strict_kernel, disable_prepend, trust_checksums;
    tuo_ip_id ip_id;
    int disable_tcp4, disable_tcp6, disable_udp4, disable_udp6;
    int merge_zero_csum4, finish_checksum;
    size_t max_bytes, max_segs, max_udp_segs, max_frags, max_items_per_flow;
    const uint16_t *excluded_ports[2]; /* of TCP, of UDP */
    size_t excluded_port_count[2];
} ref_options;

enum { REF_NONE = -1 };
typedef enum ref_id_mode { REF_ID_OPEN, REF_ID_COUNTING, REF_ID_CONSTANT } ref_id_mode;

/* Something that will be emitted: one or more packets in segment order. Those with the same round are items of one flow that were open at
   the same time: they leave in sequence order, in the places in which they arrived. */
typedef struct ref_item {
    int first, last;        /* packets; the list goes on in ref_batch.next */
    size_t count, gso_size;
    size_t bytes;           /* IP packet length */
    int open;               /* packets may still join */
    int gone;               /* united with the item below it */
    size_t round;
    size_t put_aside;       /* in which order the lowest items were closed, when there were too many: from 1; 0 = not */
    size_t place;           /* packet at whose place it leaves */
    int pair_closed;        /* a packet without readable ports closed it while it was open */
    tuo_verdict closed_for_append; /* TUO_V_HELD while packets may be appended */
    ref_id_mode ids;
    int head_verified;
} ref_item;

typedef struct ref_batch {
    const ref_pkt *pkts;
    pkt_view *views;
    size_t count;
    ref_options opt;
    ref_item *items;
    size_t item_count, round_count, aside_count;
    int *next;              /* per packet: the packet behind it in its item */
    tuo_verdict *verdicts;  /* per packet */
    /* The result: group g is order[start[g] .. start[g + 1]). */
    size_t group_count;
    size_t *start, *order;
} ref_batch;

static inline size_t ref_default(size_t value, size_t default_value)
{
    return value ? value : default_value;
}

/* --- What is this packet, by itself? --- */

static inline int ref_port_excluded(const ref_options *opt, int is_udp, unsigned port)
{
    size_t i;

    for (i = 0; i < opt->excluded_port_count[is_udp]; i++)
        if (opt->excluded_ports[is_udp][i] == port)
            return 1;
    return 0;
}

static inline int ref_disabled(const ref_options *opt, const pkt_view *v)
{
    if (v->proto == PKT_PROTO_TCP)
        return v->version == 4 ? opt->disable_tcp4 : opt->disable_tcp6;
    return opt->finish_checksum ? 1 : v->version == 4 ? opt->disable_udp4 : opt->disable_udp6;
}

static inline tuo_verdict ref_classify_tcp(const uint8_t *l4, const pkt_view *v)
{
    if (l4[13] & (PKT_SYN | PKT_RST | PKT_URG))
        return TUO_V_TCP_FLAGS;
    if (l4[13] & PKT_CWR)
        return TUO_V_TCP_CWR;
    if (v->payload_len == 0)
        return TUO_V_TCP_EMPTY;
    return pkt_get16(l4 + 16) == 0xffff ? TUO_V_CSUM_ALIAS : TUO_V_HELD;
}

static inline tuo_verdict ref_classify_udp(const ref_options *opt, const uint8_t *l4, const pkt_view *v)
{
    if (pkt_get16(l4 + 6) == 0 && (v->version == 6 || !opt->merge_zero_csum4))
        return TUO_V_UDP_ZERO_CSUM;
    if (v->payload_len == 0)
        return TUO_V_UDP_EMPTY;
    return TUO_V_HELD;
}

/* TUO_V_HELD for a candidate, otherwise why it is none. Where several reasons hold, they are named in the order of the library;
   to what becomes of the packet it makes no difference. */
static inline tuo_verdict ref_classify(const ref_options *opt, const uint8_t *p, size_t len, const pkt_view *v)
{
    static const tuo_verdict by_status[] = {TUO_V_HELD,      TUO_V_NOT_IP,    TUO_V_TRUNCATED,  TUO_V_VLAN_DEPTH, TUO_V_IP_HEADER,
                                            TUO_V_IP_LENGTH, TUO_V_IP6_EXT,   TUO_V_TCP_HEADER, TUO_V_UDP_LENGTH};
    const uint8_t *l4 = p + v->l4;
    tuo_verdict by_proto;
    int is_tcp = v->proto == PKT_PROTO_TCP;

    if (v->status != PKT_OK)
        return by_status[v->status];
    if (v->fragment)
        return TUO_V_IP_FRAGMENT;
    if (v->opaque)
        return TUO_V_IP6_EXT;
    if (!pkt_has_l4(v))
        return TUO_V_PROTOCOL;
    if (v->version == 4 && p[v->ip + 6] & 0x80)
        return TUO_V_IP_RESERVED_BIT;
    if (v->version == 4 && v->l4 - v->ip != 20)
        return TUO_V_IP_OPTIONS;
    if (v->routing_left)
        return TUO_V_IP6_ROUTING;
    if (v->end != len)
        return TUO_V_TRAILING_BYTES;
    if (v->payload > TUO_HEADER_MAX)
        return TUO_V_HEADER_TOO_LONG;
    if (!is_tcp && v->payload_len != v->end - v->payload)
        return TUO_V_UDP_LENGTH;
    if (ref_jumbo(p, v) != REF_NO_JUMBO)
        return TUO_V_IP6_EXT;
    by_proto = is_tcp ? ref_classify_tcp(l4, v) : ref_classify_udp(opt, l4, v);
    if (by_proto != TUO_V_HELD)
        return by_proto;
    if (v->version == 4 && pkt_get16(p + v->ip + 10) == 0xffff)
        return TUO_V_CSUM_ALIAS;
    if (ref_disabled(opt, v))
        return TUO_V_DISABLED;
    if (ref_port_excluded(opt, !is_tcp, pkt_get16(l4)) || ref_port_excluded(opt, !is_tcp, pkt_get16(l4 + 2)))
        return TUO_V_PORT_EXCLUDED;
    return v->end - v->ip > ref_default(opt->max_bytes, 65535) ? TUO_V_TOO_LARGE : TUO_V_HELD;
}

/* --- Which flow? --- */

static inline int ref_same_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static inline int ref_same_pair(const ref_batch *t, size_t a, size_t b)
{
    const pkt_view *va = &t->views[a], *vb = &t->views[b];
    const uint8_t *pa = t->pkts[a].bytes, *pb = t->pkts[b].bytes;

    return va->version == vb->version && va->addr_len && vb->addr_len && memcmp(pa + va->src, pb + vb->src, va->addr_len) == 0 &&
           memcmp(pa + va->dst, pb + vb->dst, va->addr_len) == 0;
}

/* Two packets with readable ports: the same flow? */
static inline int ref_same_flow(const ref_batch *t, size_t a, size_t b)
{
    const pkt_view *va = &t->views[a], *vb = &t->views[b];
    const uint8_t *pa = t->pkts[a].bytes, *pb = t->pkts[b].bytes;

    if (!ref_same_pair(t, a, b) || va->proto != vb->proto || memcmp(pa + va->l4, pb + vb->l4, 4) != 0)
        return 0;
    return ref_same_bytes(pa, va->ip, pb, vb->ip); /* Ethernet header and VLAN tags */
}

static inline int ref_in_flow(const ref_batch *t, const ref_item *item, size_t n)
{
    return pkt_has_l4(&t->views[item->first]) && ref_same_flow(t, (size_t)item->first, n);
}

static inline void ref_close_flow(ref_batch *t, size_t n)
{
    size_t i;

    for (i = 0; i < t->item_count; i++)
        if (t->items[i].open && ref_in_flow(t, &t->items[i], n))
            t->items[i].open = 0;
}

static inline void ref_close_pair(ref_batch *t, size_t n)
{
    size_t i;

    for (i = 0; i < t->item_count; i++)
        if (t->items[i].open && ref_same_pair(t, (size_t)t->items[i].first, n)) {
            t->items[i].open = 0;
            t->items[i].pair_closed = 1;
        }
}

/* --- TCP sequence numbers --- */

static inline uint32_t ref_seq(const ref_batch *t, size_t n)
{
    return pkt_get32(t->pkts[n].bytes + t->views[n].l4 + 4);
}

static inline uint32_t ref_seq_end(const ref_batch *t, size_t n)
{
    return ref_seq(t, n) + (uint32_t)t->views[n].payload_len;
}

/* Signed distance from b to a on the sequence circle. */
static inline int32_t ref_seq_diff(uint32_t a, uint32_t b)
{
    uint32_t d = a - b;

    return d < UINT32_C(0x80000000) ? (int32_t)d : -(int32_t)(~d) - 1;
}

/* Which open items of its flow N touches, and what is said of it if it joins none. */
typedef struct ref_place {
    tuo_verdict verdict;      /* HELD: there is no open item */
    ref_item *below, *above;
} ref_place;

static inline ref_place ref_place_tcp(ref_batch *t, size_t n)
{
    ref_place place = {TUO_V_HELD, NULL, NULL};
    int any = 0, overlaps = 0, beyond_all = 1;
    uint32_t seq = ref_seq(t, n), end = ref_seq_end(t, n);
    size_t i;

    for (i = 0; i < t->item_count; i++) {
        ref_item *item = &t->items[i];
        uint32_t item_seq, item_end;
        if (!item->open || !ref_in_flow(t, item, n))
            continue;
        item_seq = ref_seq(t, (size_t)item->first);
        item_end = ref_seq_end(t, (size_t)item->last);
        any = 1;
        if (ref_seq_diff(seq, item_end) < 0 && ref_seq_diff(end, item_seq) > 0)
            overlaps = 1;
        if (ref_seq_diff(seq, item_end) < 0)
            beyond_all = 0;
        if (seq == item_end)
            place.below = item;
        if (end == item_seq)
            place.above = item;
    }
    if (overlaps)
        place.below = place.above = NULL;
    if (any)
        place.verdict = overlaps ? TUO_V_SEQ_OVERLAP : beyond_all ? TUO_V_SEQ_GAP : TUO_V_SEQ_LATE;
    return place;
}

/* UDP: the newest open item of the flow. */
static inline ref_place ref_place_udp(ref_batch *t, size_t n)
{
    ref_place place = {TUO_V_HELD, NULL, NULL};
    size_t i;

    for (i = 0; i < t->item_count; i++)
        if (t->items[i].open && ref_in_flow(t, &t->items[i], n))
            place.below = &t->items[i];
    return place;
}

/* --- May it join? --- */

static inline tuo_verdict ref_compare_headers(const ref_batch *t, size_t a, size_t b)
{
    const pkt_view *va = &t->views[a], *vb = &t->views[b];
    const uint8_t *pa = t->pkts[a].bytes, *pb = t->pkts[b].bytes;
    const uint8_t *ia = pa + va->ip, *ib = pb + vb->ip, *la = pa + va->l4, *lb = pb + vb->l4;
    int v4 = va->version == 4;

    if (!v4 && (pkt_get32(ia) & 0xfffff) != (pkt_get32(ib) & 0xfffff))
        return TUO_V_FLOW_LABEL_DIFFERS;
    if (v4 ? ia[1] != ib[1] : (pkt_get32(ia) & 0x0ff00000) != (pkt_get32(ib) & 0x0ff00000))
        return TUO_V_TOS_DIFFERS;
    if (v4 ? ia[8] != ib[8] : ia[7] != ib[7])
        return TUO_V_TTL_DIFFERS;
    if (v4 && (ia[6] & 0x40) != (ib[6] & 0x40))
        return TUO_V_DF_DIFFERS;
    if (!v4 && (ia[6] != ib[6] || !ref_same_bytes(ia + 40, va->l4 - va->ip - 40, ib + 40, vb->l4 - vb->ip - 40)))
        return TUO_V_IP6_EXT_DIFFERS;
    if (va->proto == PKT_PROTO_UDP)
        return TUO_V_HELD;
    if (pkt_get32(la + 8) != pkt_get32(lb + 8))
        return TUO_V_ACK_DIFFERS;
    if ((la[12] & 15) != (lb[12] & 15))
        return TUO_V_RESERVED_DIFFERS;
    if ((la[13] | PKT_FIN | PKT_PSH) != (lb[13] | PKT_FIN | PKT_PSH))
        return TUO_V_FLAGS_DIFFERS;
    if (pkt_get16(la + 14) != pkt_get16(lb + 14))
        return TUO_V_WINDOW_DIFFERS;
    if (pkt_get16(la + 18) != pkt_get16(lb + 18))
        return TUO_V_URGENT_DIFFERS;
    if (!ref_same_bytes(la + 20, va->payload - va->l4 - 20, lb + 20, vb->payload - vb->l4 - 20))
        return TUO_V_OPTIONS_DIFFERS;
    return TUO_V_HELD;
}

/* Does the step between the IDs of two neighbours fit the item? Sets *mode to what the item will then be. */
static inline int ref_id_fits(const ref_batch *t, const ref_item *item, size_t before, size_t after, ref_id_mode *mode)
{
    const uint8_t *a = t->pkts[before].bytes + t->views[before].ip, *b = t->pkts[after].bytes + t->views[after].ip;
    unsigned step = (pkt_get16(b + 4) - pkt_get16(a + 4)) & 0xffff;
    int df = (a[6] & 0x40) != 0;

    if (t->views[before].version == 6 || t->opt.ip_id == TUO_IP_ID_ANY || (df && t->opt.ip_id == TUO_IP_ID_ANY_DF))
        return 1;
    if (step == 1 && item->ids != REF_ID_CONSTANT) {
        *mode = REF_ID_COUNTING;
        return 1;
    }
    if (step == 0 && df && t->opt.ip_id == TUO_IP_ID_DEFAULT && item->ids != REF_ID_COUNTING) {
        *mode = REF_ID_CONSTANT;
        return 1;
    }
    return 0;
}

static inline int ref_has_psh_fin(const ref_batch *t, size_t n)
{
    const pkt_view *v = &t->views[n];

    return v->proto == PKT_PROTO_TCP && (t->pkts[n].bytes[v->l4 + 13] & (PKT_PSH | PKT_FIN)) != 0;
}

/* Lengths and tails: may N stand behind, or in front of, what the item has? */
static inline tuo_verdict ref_shape(const ref_batch *t, const ref_item *item, size_t n, int prepend)
{
    size_t len = t->views[n].payload_len;

    if (!prepend) {
        if (item->closed_for_append != TUO_V_HELD)
            return item->closed_for_append;
        return len > item->gso_size ? TUO_V_LONGER : TUO_V_HELD;
    }
    if (ref_has_psh_fin(t, n))
        return TUO_V_AFTER_PSH_FIN;
    if (len < 8)
        return TUO_V_TINY;
    if (item->count > 1 ? len != item->gso_size : len < item->gso_size)
        return TUO_V_LONGER;
    return TUO_V_HELD;
}

static inline tuo_verdict ref_caps(const ref_batch *t, const ref_item *item, size_t n, int prepend)
{
    const ref_options *opt = &t->opt;
    int udp = t->views[n].proto == PKT_PROTO_UDP;
    size_t max_segs = udp ? ref_default(opt->max_udp_segs, 64) : ref_default(opt->max_segs, SIZE_MAX);
    size_t head = prepend ? n : (size_t)item->first;
    size_t frame = t->views[n].ip + item->bytes + t->views[n].payload_len;

    if (item->bytes + t->views[n].payload_len > ref_default(opt->max_bytes, 65535))
        return TUO_V_CAP_BYTES;
    if (item->count + 1 > max_segs)
        return TUO_V_CAP_SEGS;
    if (!t->pkts[head].capacity && item->count + 1 > ref_default(opt->max_frags, 1022))
        return TUO_V_CAP_FRAGS;
    if (t->pkts[head].capacity && frame > t->pkts[head].capacity)
        return TUO_V_CAP_BUFFER;
    return TUO_V_HELD;
}

static inline int ref_head_is_right(ref_batch *t, ref_item *item)
{
    const uint8_t *head = t->pkts[item->first].bytes;
    const pkt_view *view = &t->views[item->first];

    if (!item->head_verified)
        item->head_verified = ref_ip_valid(head, view) && ref_l4_valid_at(head, view);
    return item->head_verified;
}

static inline tuo_verdict ref_verify(ref_batch *t, ref_item *item, size_t n)
{
    const uint8_t *p = t->pkts[n].bytes;
    const pkt_view *v = &t->views[n];

    if (!t->opt.trust_checksums && !t->pkts[n].trusted) {
        if (!ref_ip_valid(p, v))
            return TUO_V_BAD_IP_CSUM;
        if (!ref_l4_valid_at(p, v))
            return TUO_V_BAD_L4_CSUM;
    }
    return ref_head_is_right(t, item) ? TUO_V_HELD : TUO_V_HEAD_BAD_CSUM;
}

/* --- Doing it --- */

/* The round of the flow's open items; a new one if there are none. */
static inline size_t ref_round(ref_batch *t, size_t n)
{
    size_t i;

    for (i = 0; i < t->item_count; i++)
        if (t->items[i].open && ref_in_flow(t, &t->items[i], n))
            return t->items[i].round;
    return t->round_count++;
}

static inline ref_item *ref_new_item(ref_batch *t, size_t n, int open)
{
    size_t round = open ? ref_round(t, n) : t->round_count++;
    ref_item *item = &t->items[t->item_count++];
    const pkt_view *v = &t->views[n];

    memset(item, 0, sizeof *item);
    item->round = round;
    item->first = item->last = (int)n;
    item->count = 1;
    item->gso_size = v->payload_len;
    item->bytes = v->end - v->ip;
    item->open = open;
    item->head_verified = t->opt.trust_checksums || t->pkts[n].trusted;
    item->closed_for_append = TUO_V_HELD;
    if (v->proto == PKT_PROTO_TCP && v->payload_len < 8)
        item->closed_for_append = TUO_V_TINY;
    if (open && ref_has_psh_fin(t, n))
        item->closed_for_append = TUO_V_AFTER_PSH_FIN;
    return item;
}

static inline void ref_append(ref_batch *t, ref_item *item, size_t n)
{
    size_t len = t->views[n].payload_len;

    t->next[item->last] = (int)n;
    item->last = (int)n;
    item->count++;
    item->bytes += len;
    if (len < item->gso_size)
        item->closed_for_append = TUO_V_AFTER_SHORT;
    if (ref_has_psh_fin(t, n))
        item->closed_for_append = TUO_V_AFTER_PSH_FIN;
}

static inline void ref_prepend(ref_batch *t, ref_item *item, size_t n)
{
    size_t len = t->views[n].payload_len;

    if (len > item->gso_size && item->closed_for_append != TUO_V_AFTER_PSH_FIN)
        item->closed_for_append = TUO_V_AFTER_SHORT;
    t->next[n] = item->first;
    item->first = (int)n;
    item->count++;
    item->bytes += len;
    item->gso_size = len;
}

/* Everything that decides whether N, which touches the item, joins it; if so it is done. */
static inline tuo_verdict ref_join(ref_batch *t, ref_item *item, size_t n, int prepend)
{
    ref_id_mode mode = item->ids;
    tuo_verdict v = ref_compare_headers(t, (size_t)item->first, n);

    if (v == TUO_V_HELD)
        v = ref_shape(t, item, n, prepend);
    if (v == TUO_V_HELD) {
        int fits = prepend ? ref_id_fits(t, item, n, (size_t)item->first, &mode)
                           : ref_id_fits(t, item, (size_t)item->last, n, &mode);
        v = fits ? TUO_V_HELD : TUO_V_IP_ID_DIFFERS;
    }
    if (v == TUO_V_HELD)
        v = ref_caps(t, item, n, prepend);
    if (v == TUO_V_HELD)
        v = ref_verify(t, item, n);
    if (v != TUO_V_HELD)
        return v;
    item->ids = mode;
    if (prepend)
        ref_prepend(t, item, n);
    else
        ref_append(t, item, n);
    return prepend ? TUO_V_PREPENDED : TUO_V_APPENDED;
}

/* --- Two items that have come to touch --- */

/* Would the packets of a and then of b be a superpacket? Asked of all of them at once, whatever was decided of each before. */
static inline int ref_may_unite(const ref_batch *t, const ref_item *a, const ref_item *b)
{
    const ref_options *opt = &t->opt;
    size_t count = a->count + b->count, bytes = a->bytes + (b->bytes - (t->views[b->first].payload - t->views[b->first].ip)), i;
    size_t gso_size = t->views[a->first].payload_len, head = (size_t)a->first;
    int at = a->first, steps = 0, stays = 0, df = (t->pkts[head].bytes[t->views[head].ip + 6] & 0x40) != 0;

    for (i = 0; i + 1 < count; i++) {
        int behind = i + 1 == a->count ? b->first : t->next[at];
        unsigned id = pkt_get16(t->pkts[at].bytes + t->views[at].ip + 4), next = pkt_get16(t->pkts[behind].bytes + t->views[behind].ip + 4);
        if (t->views[at].payload_len != gso_size || t->views[behind].payload_len > gso_size || ref_has_psh_fin(t, (size_t)at) ||
            ref_compare_headers(t, (size_t)at, (size_t)behind) != TUO_V_HELD)
            return 0;
        steps += next == ((id + 1) & 0xffff);
        stays += next == id;
        at = behind;
    }
    if (gso_size < 8 || bytes > ref_default(opt->max_bytes, 65535) || count > ref_default(opt->max_segs, SIZE_MAX) ||
        (!t->pkts[head].capacity && count > ref_default(opt->max_frags, 1022)) ||
        (t->pkts[head].capacity && t->views[head].ip + bytes > t->pkts[head].capacity))
        return 0;
    if (t->views[head].version == 6 || opt->ip_id == TUO_IP_ID_ANY || (df && opt->ip_id == TUO_IP_ID_ANY_DF))
        return 1;
    return steps == (int)count - 1 || (stays == (int)count - 1 && df && opt->ip_id == TUO_IP_ID_DEFAULT);
}

static inline void ref_unite(ref_batch *t, ref_item *a, ref_item *b)
{
    size_t added = b->bytes - (t->views[b->first].payload - t->views[b->first].ip), tail = (size_t)b->last;

    if (!ref_may_unite(t, a, b) || !ref_head_is_right(t, a) || !ref_head_is_right(t, b))
        return;
    t->next[a->last] = b->first;
    a->last = b->last;
    a->count += b->count;
    a->bytes += added;
    a->ids = pkt_get16(t->pkts[a->first].bytes + t->views[a->first].ip + 4) == pkt_get16(t->pkts[tail].bytes + t->views[tail].ip + 4)
        ? REF_ID_CONSTANT : REF_ID_COUNTING;
    a->closed_for_append = ref_has_psh_fin(t, tail) ? TUO_V_AFTER_PSH_FIN
        : t->views[tail].payload_len < a->gso_size ? TUO_V_AFTER_SHORT : TUO_V_HELD;
    b->open = 0;
    b->gone = 1;
}

/* --- Opening an item --- */

/* Of the open items of the flow only the highest `keep` stay so. */
static inline void ref_put_aside(ref_batch *t, size_t n, size_t keep)
{
    for (;;) {
        ref_item *lowest = NULL;
        size_t i, count = 0;
        for (i = 0; i < t->item_count; i++) {
            ref_item *item = &t->items[i];
            if (!item->open || !ref_in_flow(t, item, n))
                continue;
            count++;
            if (!lowest || ref_seq_diff(ref_seq(t, (size_t)item->first), ref_seq(t, (size_t)lowest->first)) < 0)
                lowest = item;
        }
        if (count <= keep)
            return;
        lowest->open = 0;
        lowest->put_aside = ++t->aside_count;
    }
}

/* HELD, or PAIR_CLOSED if the newest item of the flow was closed by a packet without readable ports. */
static inline tuo_verdict ref_first_verdict(const ref_batch *t, size_t n)
{
    tuo_verdict v = TUO_V_HELD;
    size_t i;

    for (i = 0; i < t->item_count; i++)
        if (!t->items[i].gone && ref_in_flow(t, &t->items[i], n))
            v = t->items[i].pair_closed ? TUO_V_PAIR_CLOSED : TUO_V_HELD;
    return v;
}

static inline int ref_is_bad(tuo_verdict v)
{
    return v == TUO_V_BAD_IP_CSUM || v == TUO_V_BAD_L4_CSUM;
}

/* Does a packet that did not join, for this reason, leave the flow's other items open? */
static inline int ref_keeps_open(const ref_batch *t, size_t n, tuo_verdict v)
{
    if (t->views[n].proto != PKT_PROTO_TCP || t->opt.strict_kernel || t->opt.disable_prepend)
        return 0;
    return v != TUO_V_SEQ_OVERLAP && v != TUO_V_PAIR_CLOSED && v != TUO_V_FLOW_LABEL_DIFFERS && v != TUO_V_IP6_EXT_DIFFERS &&
           !ref_is_bad(v);
}

static inline tuo_verdict ref_push_candidate(ref_batch *t, size_t n)
{
    ref_place place = t->views[n].proto == PKT_PROTO_TCP ? ref_place_tcp(t, n) : ref_place_udp(t, n);
    tuo_verdict v = place.verdict == TUO_V_HELD && !place.below ? ref_first_verdict(t, n) : place.verdict;

    if (place.below)
        v = ref_join(t, place.below, n, 0);
    if (v == TUO_V_APPENDED && place.above)
        ref_unite(t, place.below, place.above);
    if (v == TUO_V_APPENDED)
        return v;
    if (place.above && ref_keeps_open(t, n, v)) {
        tuo_verdict prepended = ref_join(t, place.above, n, 1);
        if (prepended == TUO_V_PREPENDED)
            return prepended;
        if (!place.below || ref_is_bad(prepended))
            v = prepended;
    }
    if (!ref_keeps_open(t, n, v))
        ref_close_flow(t, n);
    ref_new_item(t, n, !ref_is_bad(v));
    ref_put_aside(t, n, ref_default(t->opt.max_items_per_flow, 16));
    return v;
}

static inline tuo_verdict ref_push(ref_batch *t, size_t n)
{
    const pkt_view *v = &t->views[n];
    tuo_verdict verdict = ref_classify(&t->opt, t->pkts[n].bytes, t->pkts[n].len, v);

    if (verdict == TUO_V_HELD)
        return ref_push_candidate(t, n);
    if (verdict == TUO_V_IP_FRAGMENT || verdict == TUO_V_IP6_EXT || verdict == TUO_V_TCP_HEADER ||
        (verdict == TUO_V_UDP_LENGTH && !v->ports_known))
        ref_close_pair(t, n);
    else if (v->ports_known)
        ref_close_flow(t, n);
    ref_new_item(t, n, 0);
    return verdict;
}

/* --- In which order do they leave? --- */

static inline size_t ref_first_arrived(const ref_batch *t, const ref_item *item)
{
    size_t first = t->count;
    int i;

    for (i = item->first; i != REF_NONE; i = t->next[i])
        first = (size_t)i < first ? (size_t)i : first;
    return first;
}

/* Does a leave before b, of the same round? */
static inline int ref_leaves_before(const ref_batch *t, const ref_item *a, const ref_item *b)
{
    if (a->put_aside || b->put_aside)
        return a->put_aside && (!b->put_aside || a->put_aside < b->put_aside);
    return ref_seq_diff(ref_seq(t, (size_t)a->first), ref_seq(t, (size_t)b->first)) < 0;
}

/* The k-th item of a round leaves where the k-th of them arrived. */
static inline void ref_find_places(ref_batch *t)
{
    size_t i, k, m;

    for (i = 0; i < t->item_count; i++) {
        ref_item *item = &t->items[i];
        size_t before = 0;
        for (k = 0; k < t->item_count; k++)
            before += !t->items[k].gone && k != i && t->items[k].round == item->round && ref_leaves_before(t, &t->items[k], item);
        for (k = 0; k < t->item_count; k++) {
            size_t place = ref_first_arrived(t, &t->items[k]), earlier = 0;
            if (t->items[k].gone || t->items[k].round != item->round)
                continue;
            for (m = 0; m < t->item_count; m++)
                earlier += !t->items[m].gone && t->items[m].round == item->round && ref_first_arrived(t, &t->items[m]) < place;
            if (earlier == before)
                item->place = place;
        }
    }
}

/* ref_coalesce: what becomes of count packets that are pushed one after the other and then drained. Free the result with
   ref_batch_free. No bound on flows and held packets is mirrored. */
static inline ref_batch ref_coalesce(const ref_pkt *pkts, size_t count, const ref_options *opt)
{
    ref_batch t;
    size_t n, g, at = 0;

    memset(&t, 0, sizeof t);
    t.pkts = pkts;
    t.count = count;
    t.opt = *opt;
    t.views = (pkt_view *)ref_alloc(count, sizeof *t.views);
    t.items = (ref_item *)ref_alloc(count, sizeof *t.items);
    t.next = (int *)ref_alloc(count, sizeof *t.next);
    t.verdicts = (tuo_verdict *)ref_alloc(count, sizeof *t.verdicts);
    t.start = (size_t *)ref_alloc(count + 1, sizeof *t.start);
    t.order = (size_t *)ref_alloc(count, sizeof *t.order);
    for (n = 0; n < count; n++) {
        t.views[n] = pkt_look(pkts[n].bytes, pkts[n].len, opt->ethernet, 0);
        t.next[n] = REF_NONE;
    }
    for (n = 0; n < count; n++)
        t.verdicts[n] = ref_push(&t, n);
    ref_find_places(&t);
    for (n = 0; n < count; n++) /* by place */
        for (g = 0; g < t.item_count; g++)
            if (!t.items[g].gone && t.items[g].place == n) {
                int i;
                t.start[t.group_count++] = at;
                for (i = t.items[g].first; i != REF_NONE; i = t.next[i])
                    t.order[at++] = (size_t)i;
            }
    t.start[t.group_count] = at;
    return t;
}

static inline void ref_batch_free(ref_batch *t)
{
    free(t->views);
    free(t->items);
    free(t->next);
    free(t->verdicts);
    free(t->start);
    free(t->order);
    memset(t, 0, sizeof *t);
}

#endif /* REFERENCE_H */
