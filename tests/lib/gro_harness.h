/* gro_harness.h - pushes packets through GRO, collects what comes out, and checks what must hold whatever the rules decided: each
   packet exactly once, single packets untouched, superpackets described exactly, and split back into the packets that went in.
   Include after tunoffload.h, check.h, packets.h and reference.h. */
#ifndef GRO_HARNESS_H
#define GRO_HARNESS_H

enum { H_PACKETS = 2048, H_SEGMENT_CAP = 65536 + 512 };

/* An emitted packet. */
typedef struct h_group {
    size_t first, count;               /* order[first .. first + count) of the batch: the packets in it, in segment order */
    tuo_vnet_hdr vnet;
    uint8_t wire_vnet[TUO_VNET_LEN_MAX]; /* the bytes in front of it */
    size_t vnet_len;
    uint8_t *bytes;                    /* without the vnet header */
    size_t len;
} h_group;

/* Packets and what came of them. Each packet has an allocation of exactly its size,
   so that a sanitizer sees every byte read beyond. */
typedef struct h_batch {
    int ethernet;
    size_t count;
    uint8_t *pkt[H_PACKETS];
    size_t len[H_PACKETS];
    tuo_verdict verdict[H_PACKETS];
    int trusted[H_PACKETS];            /* pushed with a hint: TUO_F_TRUST or TUO_F_TRUST_L4 */
    size_t order_count;
    size_t order[H_PACKETS];
    size_t group_count;
    h_group group[H_PACKETS];
} h_batch;

/* ------------------------------------------------------------------------------------------------------ instances */

typedef struct h_gro {
    void *mem;
    tuo_gro *gro;
} h_gro;

static inline void *h_alloc(size_t len)
{
    void *p = malloc(len ? len : 1);

    if (!p) {
        printf("out of memory\n");
        exit(2);
    }
    return p;
}

/* An instance in exactly as much memory as it asks for. */
static inline h_gro h_open(const tuo_gro_desc *desc)
{
    h_gro h;
    size_t len = tuo_gro_memory_size(desc);

    h.gro = NULL;
    h.mem = h_alloc(len);
    memset(h.mem, 0xc7, len);
    if (!CHECK_RESULT(tuo_gro_init(&h.gro, h.mem, len, desc), TUO_OK))
        exit(2);
    return h;
}

static inline void h_close(h_gro *h)
{
    free(h->mem);
    h->mem = NULL;
    h->gro = NULL;
}

/* --------------------------------------------------------------------------------------------------------- batches */

static inline void h_forget_output(h_batch *b)
{
    size_t i;

    for (i = 0; i < b->group_count; i++)
        free(b->group[i].bytes);
    b->group_count = b->order_count = 0;
}

static inline void h_clear(h_batch *b)
{
    size_t i;

    h_forget_output(b);
    for (i = 0; i < b->count; i++)
        free(b->pkt[i]);
    b->count = 0;
    b->ethernet = 0;
}

static inline size_t h_add_bytes(h_batch *b, const uint8_t *bytes, size_t len)
{
    if (b->count == H_PACKETS) {
        printf("batch too large\n");
        exit(2);
    }
    b->pkt[b->count] = (uint8_t *)h_alloc(len);
    if (len)
        memcpy(b->pkt[b->count], bytes, len);
    b->len[b->count] = len;
    b->trusted[b->count] = 0;
    return b->count++;
}

static inline size_t h_add(h_batch *b, const pkt_spec *spec)
{
    static uint8_t scratch[H_SEGMENT_CAP];
    size_t len = pkt_build(scratch, sizeof scratch, spec);

    CHECK(len != 0);
    if (pkt_is_ethernet(spec))
        b->ethernet = 1;
    return h_add_bytes(b, scratch, len);
}

/* Cuts a packet short, in memory of exactly that size. */
static inline void h_shorten(h_batch *b, size_t i, size_t len)
{
    uint8_t *shorter = (uint8_t *)h_alloc(len);

    if (len)
        memcpy(shorter, b->pkt[i], len);
    free(b->pkt[i]);
    b->pkt[i] = shorter;
    b->len[i] = len;
}

static inline unsigned h_flags(const h_batch *b)
{
    return b->ethernet ? TUO_F_ETHERNET : 0;
}

static inline void *h_user(h_batch *b, size_t i)
{
    return &b->len[i];
}

static inline size_t h_index(const h_batch *b, const void *user)
{
    return (size_t)((const size_t *)user - b->len);
}

static inline tuo_verdict h_push(h_batch *b, tuo_gro *gro, size_t i, unsigned hint)
{
    b->trusted[i] = (hint & (TUO_F_TRUST | TUO_F_TRUST_L4)) != 0;
    b->verdict[i] = tuo_gro_push(gro, b->pkt[i], b->len[i], h_user(b, i), hint);
    return b->verdict[i];
}

/* A packet in pieces, each in an allocation of exactly its size, and so is the list. */
typedef struct h_pieces {
    tuo_iov *iov;
    size_t count;
} h_pieces;

/* cuts[0..cut_count): offsets, rising, some perhaps equal: an empty piece. */
static inline h_pieces h_cut(const h_batch *b, size_t i, const size_t *cuts, size_t cut_count)
{
    h_pieces p;
    size_t k, at = 0;

    p.count = cut_count + 1;
    p.iov = (tuo_iov *)h_alloc(p.count * sizeof *p.iov);
    for (k = 0; k < p.count; k++) {
        const size_t end = k < cut_count ? cuts[k] : b->len[i];
        uint8_t *piece = (uint8_t *)h_alloc(end - at);
        if (end > at)
            memcpy(piece, b->pkt[i] + at, end - at);
        p.iov[k].base = piece;
        p.iov[k].len = end - at;
        at = end;
    }
    return p;
}

static inline void h_free_pieces(h_pieces *p)
{
    size_t k;

    for (k = 0; k < p->count; k++)
        free((void *)(uintptr_t)p->iov[k].base);
    free(p->iov);
}

static inline tuo_verdict h_push_pieces(h_batch *b, tuo_gro *gro, size_t i, const h_pieces *p, unsigned hint)
{
    b->trusted[i] = (hint & TUO_F_TRUST) != 0;
    b->verdict[i] = tuo_gro_push_iov(gro, p->iov, p->count, h_user(b, i), hint);
    return b->verdict[i];
}

static inline void h_collect(h_batch *b, const tuo_superpacket *sp)
{
    h_group *g = &b->group[b->group_count++];
    size_t i, at = 0;
    uint8_t *flat = (uint8_t *)h_alloc(sp->len);

    for (i = 0; i < sp->iov_count; i++) {
        if (!CHECK(at + sp->iov[i].len <= sp->len))
            break;
        if (sp->iov[i].len)
            memcpy(flat + at, sp->iov[i].base, sp->iov[i].len);
        at += sp->iov[i].len;
    }
    CHECK_EQ_INT(at, sp->len);
    CHECK(sp->vnet_len <= sp->len);
    CHECK(sp->vnet_len == 0 || (sp->iov_count > 0 && sp->iov[0].len >= sp->vnet_len));
    g->vnet = sp->vnet;
    g->vnet_len = sp->vnet_len;
    memcpy(g->wire_vnet, flat, sp->vnet_len);
    g->len = sp->len - sp->vnet_len;
    g->bytes = (uint8_t *)h_alloc(g->len);
    memcpy(g->bytes, flat + sp->vnet_len, g->len);
    free(flat);
    g->first = b->order_count;
    g->count = sp->packet_count;
    CHECK(sp->packet_count > 0);
    for (i = 0; i < sp->packet_count && CHECK(b->order_count < H_PACKETS); i++)
        b->order[b->order_count++] = h_index(b, sp->users[i]);
}

/* Takes everything out first and looks at it afterwards, as a caller does who sends all in one system call. */
static inline void h_drain(h_batch *b, tuo_gro *gro)
{
    tuo_superpacket *sp = (tuo_superpacket *)h_alloc((b->count + 1) * sizeof *sp);
    size_t i, n = 0;

    while (n <= b->count && tuo_gro_next(gro, &sp[n]) == TUO_OK)
        n++;
    CHECK(n <= b->count);
    for (i = 0; i < n && b->group_count < H_PACKETS; i++)
        h_collect(b, &sp[i]);
    free(sp);
}

static inline void h_push_all(h_batch *b, tuo_gro *gro, unsigned hint)
{
    size_t i;

    for (i = 0; i < b->count; i++)
        h_push(b, gro, i, hint);
}

/* Packets [from, from + count) in one call, with verdicts or without. Returns how many were taken. */
static inline size_t h_push_batch(h_batch *b, tuo_gro *gro, size_t from, size_t count, unsigned hint, int with_verdicts)
{
    tuo_packet *packets = (tuo_packet *)h_alloc(count * sizeof *packets);
    size_t i, taken;

    for (i = 0; i < count; i++) {
        packets[i].bytes = b->pkt[from + i];
        packets[i].len = b->len[from + i];
        packets[i].user = h_user(b, from + i);
        b->trusted[from + i] = (hint & (TUO_F_TRUST | TUO_F_TRUST_L4)) != 0;
    }
    taken = tuo_gro_push_batch(gro, packets, count, hint, with_verdicts ? &b->verdict[from] : NULL);
    CHECK(taken <= count);
    free(packets); /* nothing of it is kept */
    return taken;
}

/* As h_drain, up to `step` packets a call. */
static inline void h_drain_batch(h_batch *b, tuo_gro *gro, size_t step)
{
    tuo_superpacket *sp = (tuo_superpacket *)h_alloc((b->count + step) * sizeof *sp);
    size_t i, got, n = 0;

    do {
        got = tuo_gro_next_batch(gro, sp + n, step);
        CHECK(got <= step);
        n += got;
    } while (got == step && CHECK(n <= b->count));
    for (i = 0; i < n && b->group_count < H_PACKETS; i++)
        h_collect(b, &sp[i]);
    free(sp);
}

/* Emission as text: "01|2" is a superpacket of packets 0 and 1, then packet 2 alone. */
static inline const char *h_groups(const h_batch *b, char *text, size_t cap)
{
    static const char names[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t i, k, at = 0;

    for (i = 0; i < b->group_count; i++) {
        if (i && at + 1 < cap)
            text[at++] = '|';
        for (k = 0; k < b->group[i].count && at + 1 < cap; k++) {
            size_t user = b->order[b->group[i].first + k];
            text[at++] = user < sizeof names - 1 ? names[user] : '?';
        }
    }
    text[at] = 0;
    return text;
}

/* ---------------------------------------------------------------------------------------------------------- checks */

/* Are these the same packet, but for the IPv4 ID and the header checksum that goes with it? */
static inline int h_same_but_id(const uint8_t *a, const uint8_t *b, size_t len, const pkt_view *v)
{
    size_t i;

    for (i = 0; i < len; i++) {
        int may_differ = v->version == 4 && (i == v->ip + 4 || i == v->ip + 5 || i == v->ip + 10 || i == v->ip + 11);
        if (a[i] != b[i] && !may_differ)
            return 0;
    }
    return 1;
}

/* May the IDs of this group come back renumbered? Only where DF makes them meaningless, and all are equal or any are allowed. */
static inline int h_ids_are_free(const h_batch *b, const h_group *g, const tuo_gro_desc *desc)
{
    pkt_view v = pkt_look(b->pkt[b->order[g->first]], b->len[b->order[g->first]], b->ethernet, 0);
    unsigned id = 0;
    size_t k;

    if (v.version != 4 || desc->ip_id == TUO_IP_ID_EXACT)
        return 0;
    for (k = 0; k < g->count; k++) {
        const uint8_t *p = b->pkt[b->order[g->first + k]];
        if (k == 0)
            id = pkt_get16(p + v.ip + 4);
        if (!(p[v.ip + 6] & 0x40) && desc->ip_id != TUO_IP_ID_ANY)
            return 0;
        if (desc->ip_id == TUO_IP_ID_DEFAULT && pkt_get16(p + v.ip + 4) != id)
            return 0;
    }
    return 1;
}

static inline int h_lacks_csum(const uint8_t *p, const pkt_view *v)
{
    return v->version == 4 && v->proto == PKT_PROTO_UDP && pkt_get16(p + v->l4 + 6) == 0;
}

/* A datagram without checksum comes back with one (merge_zero_csum4). */
static inline int h_check_segment(const h_batch *b, const h_group *g, size_t k, const uint8_t *seg, size_t len, int ids_free)
{
    static uint8_t expected[H_SEGMENT_CAP];
    size_t input = b->order[g->first + k];
    pkt_view v = pkt_look(b->pkt[input], b->len[input], b->ethernet, 0);

    if (!CHECK_EQ_INT(len, b->len[input]))
        return 0;
    memcpy(expected, b->pkt[input], len);
    if (h_lacks_csum(expected, &v))
        pkt_fix_checksums(expected, len, b->ethernet);
    if (ids_free && h_same_but_id(seg, expected, len, &v))
        return CHECK_EQ_INT(pkt_sum(seg + v.ip, v.l4 - v.ip, 0), 0xffff);
    return CHECK_BYTES(seg, expected, len);
}

/* The library's splitter and the naive one, segment by segment. */
static inline int h_compare_splits(const h_batch *b, const h_group *g, const tuo_gro_desc *desc, tuo_gso *gso,
    const ref_list *naive)
{
    static uint8_t flat[H_SEGMENT_CAP];
    int ids_free = h_ids_are_free(b, g, desc);
    tuo_segment seg;
    size_t k, i, at;

    for (k = 0; k < g->count; k++) {
        if (!CHECK_RESULT(tuo_gso_next(gso, NULL, &seg), TUO_OK))
            return 0;
        for (i = at = 0; i < seg.iov_count; at += seg.iov[i].len, i++)
            memcpy(flat + at, seg.iov[i].base, seg.iov[i].len);
        if (!h_check_segment(b, g, k, flat, at, ids_free) || !h_check_segment(b, g, k, naive->bytes[k], naive->len[k], ids_free))
            return 0;
    }
    return CHECK_RESULT(tuo_gso_next(gso, NULL, &seg), TUO_DONE);
}

/* split(coalesce(x)) == x */
static inline int h_check_split(const h_batch *b, const h_group *g, const tuo_gro_desc *desc)
{
    ref_list naive = ref_split(g->bytes, g->len, b->ethernet, g->vnet.gso_size);
    tuo_gso gso;
    int ok = CHECK_RESULT(tuo_gso_init(&gso, g->bytes, g->len, &g->vnet, h_flags(b)), TUO_OK) &&
             CHECK_EQ_INT(tuo_gso_count(&gso), g->count) && CHECK_EQ_INT(naive.count, g->count) &&
             h_compare_splits(b, g, desc, &gso, &naive);

    ref_list_free(&naive);
    return ok;
}

/* The sum that a device would finish must come out right, and so must the IPv4 header checksum. */
static inline int h_check_seed(const h_batch *b, const h_group *g)
{
    uint8_t *copy = (uint8_t *)h_alloc(g->len);
    pkt_view v = pkt_look(g->bytes, g->len, b->ethernet, 0);
    size_t field = (size_t)g->vnet.csum_start + g->vnet.csum_offset;
    int ok;

    memcpy(copy, g->bytes, g->len);
    ok = CHECK_EQ_INT(v.status, PKT_OK) && CHECK_EQ_INT(v.end, g->len) && CHECK(field + 2 <= g->len) &&
         CHECK(v.version == 6 || pkt_sum(copy + v.ip, v.l4 - v.ip, 0) == 0xffff);
    if (ok) {
        unsigned csum = ~pkt_sum(copy + g->vnet.csum_start, g->len - g->vnet.csum_start, 0) & 0xffff;
        pkt_put16(copy + field, csum ? csum : 0xffff);
        ok = CHECK_EQ_INT(pkt_l4_sum(copy, &v), 0xffff);
    }
    free(copy);
    return ok;
}

/* But for num_buffers. */
static inline int h_vnet_is_zero(const tuo_vnet_hdr *h)
{
    return !(h->flags | h->gso_type | h->hdr_len | h->gso_size | h->csum_start | h->csum_offset | h->hash_value | h->hash_report |
             h->outer_th_offset | h->inner_nh_offset);
}

static inline int h_check_vnet(const h_batch *b, const h_group *g)
{
    size_t first = b->order[g->first];
    pkt_view v = pkt_look(b->pkt[first], b->len[first], b->ethernet, 0);
    int is_udp = v.proto == PKT_PROTO_UDP;

    return CHECK_EQ_INT(g->vnet.flags, TUO_VNET_NEEDS_CSUM) &&
           CHECK_EQ_INT(g->vnet.gso_type, is_udp ? TUO_GSO_UDP_L4 : v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6) &&
           CHECK_EQ_INT(g->vnet.gso_size, v.payload_len) && CHECK_EQ_INT(g->vnet.hdr_len, v.payload) &&
           CHECK_EQ_INT(g->vnet.csum_start, v.l4) && CHECK_EQ_INT(g->vnet.csum_offset, is_udp ? 6 : 16) &&
           CHECK_RESULT(tuo_vnet_check(&g->vnet, g->bytes, g->len, h_flags(b) | TUO_F_WRITE), TUO_OK);
}

/* Is there a superpacket of which something was wrong and nobody said it should be trusted? */
static inline int h_check_sums_of_inputs(const h_batch *b, const h_group *g, const tuo_gro_desc *desc)
{
    size_t k;

    for (k = 0; k < g->count; k++) {
        size_t input = b->order[g->first + k];
        const uint8_t *p = b->pkt[input];
        pkt_view v = pkt_look(p, b->len[input], b->ethernet, 0);
        if (!CHECK(pkt_has_l4(&v)) || !CHECK(v.version == 6 || pkt_sum(p + v.ip, v.l4 - v.ip, 0) == 0xffff))
            return 0;
        if (v.proto == PKT_PROTO_UDP && pkt_get16(p + v.l4 + 6) == 0) {
            if (!CHECK(desc->merge_zero_csum4 && v.version == 4))
                return 0;
        } else if (!CHECK_EQ_INT(pkt_l4_sum(p, &v), 0xffff)) {
            return 0;
        }
    }
    return 1;
}

/* What the TCP packets add up to with their checksums, weighed by where their payloads will be: 0xffff if all are right. */
static inline unsigned h_sum_of_inputs(const h_batch *b, const h_group *g)
{
    uint32_t total = 0;
    size_t k, at = 0;

    for (k = 0; k < g->count; k++) {
        size_t input = b->order[g->first + k];
        pkt_view v = pkt_look(b->pkt[input], b->len[input], b->ethernet, 0);
        unsigned sum = pkt_l4_sum(b->pkt[input], &v);
        total += at % 2 ? (sum & 0xff) << 8 | sum >> 8 : sum;
        total = (total & 0xffff) + (total >> 16);
        at += v.payload_len;
    }
    return total;
}

/* A finished superpacket: one TCP packet with right lengths and a vnet header that says nothing. Its checksum is the one that a sender
   writes, or as wrong as those of trusted packets were. */
static inline int h_check_finished(const h_batch *b, const h_group *g)
{
    pkt_view v = pkt_look(g->bytes, g->len, b->ethernet, 0);

    return CHECK(h_vnet_is_zero(&g->vnet)) && CHECK_EQ_INT(v.status, PKT_OK) && CHECK_EQ_INT(v.end, g->len) &&
           CHECK_EQ_INT(v.proto, PKT_PROTO_TCP) && CHECK(v.version == 6 || pkt_sum(g->bytes + v.ip, v.l4 - v.ip, 0) == 0xffff) &&
           CHECK(pkt_get16(g->bytes + v.l4 + 16) != 0xffff) && CHECK_EQ_INT(pkt_l4_sum(g->bytes, &v), h_sum_of_inputs(b, g));
}

/* The same with the vnet header of a superpacket whose checksum is complete, for a splitter. */
static inline h_group h_finished_as_gso(const h_batch *b, const h_group *g)
{
    h_group gso = *g;
    pkt_view v = pkt_look(b->pkt[b->order[g->first]], b->len[b->order[g->first]], b->ethernet, 0);

    gso.vnet.gso_type = v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6;
    gso.vnet.gso_size = (uint16_t)v.payload_len;
    return gso;
}

static inline int h_check_wire_vnet(const h_group *g, const tuo_gro_desc *desc)
{
    uint8_t wire[TUO_VNET_LEN_MAX];
    size_t len = desc->vnet_hdr_len ? desc->vnet_hdr_len : 10;

    if (desc->no_vnet_hdr)
        return CHECK_EQ_INT(g->vnet_len, 0);
    return CHECK_EQ_INT(g->vnet_len, len) &&
           CHECK_RESULT(tuo_vnet_encode(&g->vnet, len, desc->vnet_order, wire, sizeof wire), TUO_OK) &&
           CHECK_BYTES(g->wire_vnet, wire, len);
}

static inline int h_group_is_trusted(const h_batch *b, const h_group *g)
{
    size_t k;

    for (k = 0; k < g->count; k++)
        if (b->trusted[b->order[g->first + k]])
            return 1;
    return 0;
}

static inline int h_check_group(const h_batch *b, const h_group *g, const tuo_gro_desc *desc)
{
    size_t first = b->order[g->first];
    h_group gso = *g;

    if (!h_check_wire_vnet(g, desc) || !CHECK_EQ_INT(g->vnet.num_buffers, desc->virtio_guest))
        return 0;
    if (g->count == 1)
        return CHECK(h_vnet_is_zero(&g->vnet)) && CHECK_EQ_INT(g->len, b->len[first]) &&
               CHECK_BYTES(g->bytes, b->pkt[first], g->len);
    if (desc->finish_checksum ? !h_check_finished(b, g) : !h_check_vnet(b, g) || !h_check_seed(b, g))
        return 0;
    if (desc->trust_checksums || h_group_is_trusted(b, g))
        return 1; /* what was not verified need not be what a splitter makes */
    if (desc->finish_checksum)
        gso = h_finished_as_gso(b, g);
    return h_check_sums_of_inputs(b, g, desc) && h_check_split(b, &gso, desc);
}

/* Counters of two instances that were given the same packets. */
static inline int h_same_stats(const tuo_gro_stats *a, const tuo_gro_stats *b)
{
    int v, ok = CHECK_EQ_INT(a->packets_in, b->packets_in) & CHECK_EQ_INT(a->bytes_in, b->bytes_in) &
                CHECK_EQ_INT(a->packets_out, b->packets_out) & CHECK_EQ_INT(a->bytes_out, b->bytes_out) &
                CHECK_EQ_INT(a->superpackets, b->superpackets) & CHECK_EQ_INT(a->merged_packets, b->merged_packets) &
                CHECK_EQ_INT(a->append_failures, b->append_failures) & CHECK_EQ_INT(a->headroom_short, b->headroom_short) &
                CHECK_EQ_INT(a->joined_items, b->joined_items) & CHECK_EQ_INT(a->verified_packets, b->verified_packets) &
                CHECK_EQ_INT(a->item_checks, b->item_checks) & CHECK_EQ_INT(a->flow.lookups, b->flow.lookups) &
                CHECK_EQ_INT(a->flow.probes, b->flow.probes) & CHECK_EQ_INT(a->flow.evictions, b->flow.evictions);

    for (v = 0; v < TUO_V_COUNT; v++)
        if (a->verdicts[v] != b->verdicts[v])
            ok = CHECK_EQ_STR(tuo_verdict_name((tuo_verdict)v), "(counted alike)");
    return ok && CHECK(sizeof *a == (14 + TUO_V_COUNT) * sizeof(uint64_t)); /* so many members were compared */
}

static inline int h_check_each_once(const h_batch *b)
{
    static uint8_t seen[H_PACKETS];
    size_t i;
    int ok = CHECK_EQ_INT(b->order_count, b->count);

    memset(seen, 0, sizeof seen);
    for (i = 0; ok && i < b->order_count; i++) {
        ok = CHECK(b->order[i] < b->count) && CHECK(!seen[b->order[i]]);
        seen[b->order[i] % H_PACKETS] = 1;
    }
    return ok;
}

/* Everything of the list at the top of this file; 1 if it all holds. */
static inline int h_check_batch(const h_batch *b, const tuo_gro_desc *desc)
{
    size_t i;

    if (!h_check_each_once(b))
        return 0;
    for (i = 0; i < b->group_count; i++)
        if (!h_check_group(b, &b->group[i], desc))
            return 0;
    return 1;
}

#endif /* GRO_HARNESS_H */
