/* peer_textbook.h - the peer that anybody would write: the same jobs in plain C as text books have them. Headers are parsed into
   a struct, flows are found in a hash table with chained entries, each packet is verified when it comes, checksums are summed by
   16-bit words in a pass of their own, payloads are moved by memcpy. It allocates nothing and merges only what is next in its
   flow. */
#ifndef BENCH_PEER_TEXTBOOK_H
#define BENCH_PEER_TEXTBOOK_H

#include "engine.h"

enum { TB_CHAINS = 256, TB_VNET_LEN = 10 };

typedef struct tb_headers {
    int version, udp;
    size_t ip_len, hdr_len, l4_off, total_len, payload_len; /* hdr_len: up to the payload */
    uint16_t ip_id, src_port, dst_port, window;
    uint32_t seq, ack;
    uint8_t ttl, tos, tcp_flags, addr_len;
    const uint8_t *addresses, *options;
    size_t options_len;
} tb_headers;

typedef struct tb_key {
    uint8_t addresses[32];
    uint16_t src_port, dst_port;
    uint8_t version, udp, unused[2];
} tb_key;

typedef struct tb_item {
    struct tb_item *next;   /* in its chain */
    tb_key key;
    tb_headers first;
    const uint8_t *packet;  /* the first */
    size_t packet_len;
    int closed;
    uint32_t next_seq;
    uint16_t next_id;
    size_t len, count;
    uint8_t *out;           /* copy: its superpacket, vnet header first */
    const uint8_t *piece[BATCH];
    size_t piece_len[BATCH];
    uint8_t header[TB_VNET_LEN + HEADER_ROOM]; /* gather */
} tb_item;

typedef struct tb_gro {
    packet_set *set;
    int verify, copy;
    tb_item *chains[TB_CHAINS];
    tb_item items[BATCH];
    size_t item_count, buffer_count;
    uint8_t *buffers;       /* SUPERPACKET_ROOM each */
} tb_gro;

/* RFC 1071, the C code in it. Native byte order: folded sums are swapped by tb_sum. */
static inline uint64_t tb_add(const uint8_t *p, size_t len, uint64_t sum)
{
    uint16_t word;

    for (; len > 1; p += 2, len -= 2) {
        memcpy(&word, p, 2);
        sum += word;
    }
    if (len) {
        word = 0;
        memcpy(&word, p, 1);
        sum += word;
    }
    return sum;
}

static inline uint16_t tb_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static inline void tb_store(uint8_t *p, uint16_t native)
{
    memcpy(p, &native, 2);
}

static inline uint16_t tb_swap(unsigned host)
{
    uint8_t bytes[2];
    uint16_t native;

    pkt_put16(bytes, host);
    memcpy(&native, bytes, 2);
    return native;
}

static inline uint64_t tb_pseudo(const tb_headers *h, size_t l4_len)
{
    uint64_t sum = (uint64_t)tb_swap(h->udp ? PKT_PROTO_UDP : PKT_PROTO_TCP) + tb_swap((unsigned)l4_len);

    return tb_add(h->addresses, 2u * h->addr_len, sum);
}

static inline uint64_t tb_sum(const uint8_t *p, size_t len)
{
    uint16_t native = tb_fold(tb_add(p, len, 0));
    uint8_t bytes[2];

    memcpy(bytes, &native, 2);
    return pkt_get16(bytes);
}

static inline void tb_parse_tcp(const uint8_t *l4, tb_headers *h)
{
    h->seq = pkt_get32(l4 + 4);
    h->ack = pkt_get32(l4 + 8);
    h->tcp_flags = l4[13];
    h->window = (uint16_t)pkt_get16(l4 + 14);
    h->options = l4 + 20;
    h->options_len = (size_t)(l4[12] >> 4) * 4 - 20;
    h->hdr_len = h->l4_off + 20 + h->options_len;
}

/* 1: an ordinary TCP or UDP packet. */
static inline int tb_parse(const uint8_t *p, size_t len, tb_headers *h)
{
    unsigned proto;

    memset(h, 0, sizeof *h);
    h->version = p[0] >> 4;
    if (h->version == 4 && len >= 28 && (p[0] & 15) == 5) {
        h->ip_len = 20;
        h->total_len = pkt_get16(p + 2);
        h->ip_id = (uint16_t)pkt_get16(p + 4);
        h->ttl = p[8];
        h->tos = p[1];
        h->addresses = p + 12;
        h->addr_len = 4;
        proto = p[9];
        if (pkt_get16(p + 6) & 0x3fff)
            return 0;
    } else if (h->version == 6 && len >= 48) {
        h->ip_len = 40;
        h->total_len = 40 + pkt_get16(p + 4);
        h->ttl = p[7];
        h->tos = (uint8_t)(pkt_get16(p) >> 4);
        h->addresses = p + 8;
        h->addr_len = 16;
        proto = p[6];
    } else {
        return 0;
    }
    h->l4_off = h->ip_len;
    h->src_port = (uint16_t)pkt_get16(p + h->l4_off);
    h->dst_port = (uint16_t)pkt_get16(p + h->l4_off + 2);
    h->udp = proto == PKT_PROTO_UDP;
    if (h->udp)
        h->hdr_len = h->l4_off + 8;
    else if (proto == PKT_PROTO_TCP && len >= h->l4_off + 20 && p[h->l4_off + 12] >> 4 >= 5)
        tb_parse_tcp(p + h->l4_off, h);
    else
        return 0;
    if (h->total_len != len || h->hdr_len > len)
        return 0;
    h->payload_len = len - h->hdr_len;
    return 1;
}

static inline int tb_checksums_right(const uint8_t *p, const tb_headers *h)
{
    size_t l4_len = h->total_len - h->l4_off;

    if (h->version == 4 && tb_fold(tb_add(p, h->ip_len, 0)) != 0xffff)
        return 0;
    return tb_fold(tb_add(p + h->l4_off, l4_len, tb_pseudo(h, l4_len))) == 0xffff;
}

static inline void tb_make_key(const tb_headers *h, tb_key *key)
{
    memset(key, 0, sizeof *key);
    memcpy(key->addresses, h->addresses, 2u * h->addr_len);
    key->src_port = h->src_port;
    key->dst_port = h->dst_port;
    key->version = (uint8_t)h->version;
    key->udp = (uint8_t)h->udp;
}

/* FNV-1a */
static inline unsigned tb_hash(const tb_key *key)
{
    const uint8_t *p = (const uint8_t *)key;
    uint32_t hash = 2166136261u;
    size_t i;

    for (i = 0; i < sizeof *key; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return hash % TB_CHAINS;
}

static inline tb_item *tb_new_item(tb_gro *g, const uint8_t *p, size_t len, const tb_headers *h)
{
    tb_item *item = &g->items[g->item_count++];

    item->next = NULL;
    item->first = *h;
    item->packet = p;
    item->packet_len = len;
    item->closed = 0;
    item->next_seq = h->seq + (uint32_t)h->payload_len;
    item->next_id = (uint16_t)(h->ip_id + 1);
    item->len = len;
    item->count = 1;
    item->out = NULL;
    item->piece[0] = p + h->hdr_len;
    item->piece_len[0] = h->payload_len;
    return item;
}

static inline int tb_fits(const tb_item *item, const tb_headers *h)
{
    const tb_headers *f = &item->first;

    if (item->closed || h->ttl != f->ttl || h->tos != f->tos || h->payload_len > f->payload_len)
        return 0;
    if (item->len + h->payload_len > 65535 || (h->version == 4 && h->ip_id != item->next_id))
        return 0;
    if (h->udp)
        return item->count < 64;
    return h->seq == item->next_seq && h->ack == f->ack && h->window == f->window && h->tcp_flags == f->tcp_flags &&
           h->options_len == f->options_len && memcmp(h->options, f->options, h->options_len) == 0;
}

static inline void tb_join(tb_gro *g, tb_item *item, const tb_headers *h, const uint8_t *p)
{
    if (g->copy) {
        if (!item->out) {
            item->out = g->buffers + g->buffer_count++ * SUPERPACKET_ROOM;
            memcpy(item->out + TB_VNET_LEN, item->packet, item->packet_len);
        }
        memcpy(item->out + TB_VNET_LEN + item->len, p + h->hdr_len, h->payload_len);
    }
    item->piece[item->count] = p + h->hdr_len;
    item->piece_len[item->count++] = h->payload_len;
    item->len += h->payload_len;
    item->next_seq += (uint32_t)h->payload_len;
    item->next_id++;
    item->closed = h->payload_len < item->first.payload_len;
}

static inline void tb_push(tb_gro *g, const uint8_t *p, size_t len)
{
    tb_item *item, **chain;
    tb_headers h;
    tb_key key;

    if (!tb_parse(p, len, &h) || h.payload_len == 0 || (!h.udp && h.tcp_flags != PKT_ACK) ||
        (g->verify && !tb_checksums_right(p, &h))) {
        tb_new_item(g, p, len, &h)->closed = 1;
        return;
    }
    tb_make_key(&h, &key);
    chain = &g->chains[tb_hash(&key)];
    for (item = *chain; item; item = item->next)
        if (memcmp(&item->key, &key, sizeof key) == 0)
            break;
    if (item && tb_fits(item, &h)) {
        tb_join(g, item, &h, p);
        return;
    }
    item = tb_new_item(g, p, len, &h); /* in front of an older one of its flow, which gets no more */
    item->key = key;
    item->next = *chain;
    *chain = item;
}

/* Lengths, checksums and the vnet header (Linux on a little-endian machine) of a superpacket. */
static inline void tb_finish(const tb_item *item, uint8_t *vnet)
{
    const tb_headers *h = &item->first;
    uint8_t *ip = vnet + TB_VNET_LEN, *l4 = ip + h->l4_off;
    size_t l4_len = item->len - h->l4_off;
    uint16_t fields[4];

    memset(vnet, 0, TB_VNET_LEN);
    vnet[0] = 1;
    vnet[1] = h->udp ? 5 : h->version == 4 ? 1 : 4;
    fields[0] = (uint16_t)h->hdr_len;
    fields[1] = (uint16_t)h->payload_len;
    fields[2] = (uint16_t)h->l4_off;
    fields[3] = h->udp ? 6 : 16;
    memcpy(vnet + 2, fields, sizeof fields);
    if (h->version == 4) {
        pkt_put16(ip + 2, (unsigned)item->len);
        pkt_put16(ip + 10, 0);
        tb_store(ip + 10, (uint16_t)~tb_fold(tb_add(ip, h->ip_len, 0)));
    } else {
        pkt_put16(ip + 4, (unsigned)(item->len - 40));
    }
    if (h->udp)
        pkt_put16(l4 + 4, (unsigned)l4_len);
    tb_store(l4 + (h->udp ? 6 : 16), tb_fold(tb_pseudo(h, l4_len)));
}

static inline void tb_finish_item(tb_gro *g, tb_item *item)
{
    if (item->count == 1)
        return;
    if (!g->copy)
        memcpy(item->header + TB_VNET_LEN, item->packet, item->first.hdr_len);
    tb_finish(item, g->copy ? item->out : item->header);
}

static inline size_t tb_gro_run(void *state)
{
    tb_gro *g = (tb_gro *)state;
    size_t i;

    memset(g->chains, 0, sizeof g->chains);
    g->item_count = g->buffer_count = 0;
    for (i = 0; i < g->set->count; i++)
        tb_push(g, g->set->at[i], g->set->len[i]);
    for (i = 0; i < g->item_count; i++)
        tb_finish_item(g, &g->items[i]);
    return g->item_count;
}

static inline void tb_gro_show(void *state, emit_packet emit, void *user)
{
    static uint8_t flat[65536 + HEADROOM];
    tb_gro *g = (tb_gro *)state;
    size_t i, j, at;

    tb_gro_run(state);
    for (i = 0; i < g->item_count; i++) {
        const tb_item *item = &g->items[i];
        if (item->count == 1) {
            emit(user, item->packet, item->packet_len);
        } else if (g->copy) {
            emit(user, item->out + TB_VNET_LEN, item->len);
        } else {
            at = item->first.hdr_len;
            memcpy(flat, item->header + TB_VNET_LEN, at);
            for (j = 0; j < item->count; at += item->piece_len[j++])
                memcpy(flat + at, item->piece[j], item->piece_len[j]);
            emit(user, flat, at);
        }
    }
}

static inline void tb_next_flows(void *state)
{
    packet_set *set = ((tb_gro *)state)->set;
    size_t i;

    for (i = 0; i < set->count; i++)
        move_to_next_flow(set->at[i], set);
}

static inline int tb_gro_open(const gro_job *job, engine_run *run)
{
    tb_gro *g = (tb_gro *)bench_memory(sizeof *g);

    g->set = job->set;
    g->verify = job->verify;
    g->copy = job->copy;
    if (job->copy)
        g->buffers = (uint8_t *)bench_memory((size_t)BATCH / 2 * SUPERPACKET_ROOM);
    run->work.state = g;
    run->work.run = tb_gro_run;
    run->work.prepare = job->set->shape->churn ? tb_next_flows : NULL;
    run->show = tb_gro_show;
    return 1;
}

/* --------------------------------------------------------------------------------------------------------------- GSO */

static inline void tb_write_segment(const superpacket *sp, const tb_headers *h, size_t index, size_t payload_len, uint8_t *out)
{
    size_t len = h->hdr_len + payload_len;
    uint8_t *l4 = out + h->l4_off, *csum = l4 + (h->udp ? 6 : 16);

    memcpy(out, sp->bytes, h->hdr_len);
    memcpy(out + h->hdr_len, sp->bytes + h->hdr_len + index * sp->gso_size, payload_len);
    if (h->version == 4) {
        pkt_put16(out + 2, (unsigned)len);
        pkt_put16(out + 4, (unsigned)(h->ip_id + index) & 0xffff);
        pkt_put16(out + 10, 0);
        tb_store(out + 10, (uint16_t)~tb_fold(tb_add(out, h->ip_len, 0)));
    } else {
        pkt_put16(out + 4, (unsigned)(len - 40));
    }
    if (h->udp) {
        pkt_put16(l4 + 4, (unsigned)(len - h->l4_off));
    } else {
        pkt_put32(l4 + 4, h->seq + (uint32_t)(index * sp->gso_size));
        if (index + 1 < sp->segments)
            l4[13] = (uint8_t)(l4[13] & ~(PKT_FIN | PKT_PSH));
        if (index)
            l4[13] = (uint8_t)(l4[13] & ~PKT_CWR);
    }
    pkt_put16(csum, 0);
    tb_store(csum, (uint16_t)~tb_fold(tb_add(l4, len - h->l4_off, tb_pseudo(h, len - h->l4_off))));
    if (h->udp && pkt_get16(csum) == 0)
        pkt_put16(csum, 0xffff);
}

static inline size_t tb_gso_run(void *state)
{
    const superpacket *sp = (const superpacket *)state;
    size_t i, left;
    tb_headers h;

    if (!tb_parse(sp->bytes, sp->len, &h))
        return 0;
    left = h.payload_len;
    for (i = 0; left; i++) {
        size_t take = left < sp->gso_size ? left : sp->gso_size;
        tb_write_segment(sp, &h, i, take, sp->room[i] + HEADROOM);
        left -= take;
    }
    return i;
}

static inline void tb_gso_show(void *state, emit_packet emit, void *user)
{
    const superpacket *sp = (const superpacket *)state;
    size_t i, count = tb_gso_run(state);

    for (i = 0; i < count; i++)
        emit(user, sp->room[i] + HEADROOM, sp->hdr_len + sp->gso_size);
}

static inline int tb_gso_open(const gso_job *job, engine_run *run)
{
    if (job->mode != GSO_COPY)
        return 0;
    run->work.state = job->sp;
    run->work.run = tb_gso_run;
    run->show = tb_gso_show;
    return 1;
}

static const engine textbook_engine = {"textbook", tb_gro_open, tb_gso_open, tb_sum};

#endif /* BENCH_PEER_TEXTBOOK_H */
