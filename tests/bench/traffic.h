/* traffic.h - the packets that are measured, and the check that what was made of them is right.

   Every packet lies in a buffer of its own, behind 128 bytes of headroom. The buffers are one page-aligned block: 2176 bytes each
   (the data room of a DPDK mbuf), or, where a whole superpacket must fit into each of them, 67712 bytes: no multiple of a large
   power of two, so that the packets do not compete for the same cache sets. Scattered packets have a page each (make_scattered). */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "measure.h"
#include "packets.h"

enum { BATCH = 128, HEADROOM = 128, PACKET_ROOM = 2176, SUPERPACKET_ROOM = 65536 + PACKET_ROOM };
enum { HEADER_ROOM = 96, TIMESTAMPS = 12 };
enum { SLOT = 4096, SCATTERED = (64 << 20) / SLOT, CACHE_LINE = 64 };

/* One kind of traffic. */
typedef struct traffic_shape {
    const char *name;
    pkt_kind kind;
    int payload_len; /* of each packet; PKT_ZERO: none */
    unsigned flows;  /* of a batch; packets take turns */
    int swap_every;  /* n: the packets n-1 and n of each n change places; 0: in order */
    unsigned late;   /* n: each packet is late by up to n places; 0: in order */
    unsigned churn;  /* n: each batch has other flows than the one before, n in turn; 0: always the same */
} traffic_shape;

typedef struct packet_set {
    const traffic_shape *shape;
    size_t count, hdr_len, payload_len, room;
    uint8_t **at;            /* first byte of each packet */
    size_t *len;
    uint8_t *headers;        /* as they were built, HEADER_ROOM bytes each */
    uint32_t next_flow;      /* churn */
    struct packet_set *all;  /* scattered: of which this is a batch; NULL: of nothing */
    size_t next;             /* which comes next */
} packet_set;

/* A superpacket as it is read from a device, and where its segments go. */
typedef struct superpacket {
    pkt_kind kind;
    size_t len, hdr_len, payload_len, gso_size, segments; /* payload_len: of all segments */
    uint8_t *bytes, *built;  /* the one to work on, and a copy that stays */
    uint8_t *room[BATCH];    /* buffers for the segments: PACKET_ROOM bytes each, headroom included */
} superpacket;

static const uint8_t traffic_timestamps[TIMESTAMPS] = {1, 1, 8, 10, 0, 1, 2, 3, 0, 4, 5, 6};

/* Flow n of a kind: told apart by source address. Byte i of its stream is pkt_stream_byte(0, traffic_start(n) + i). */
static inline uint32_t traffic_start(uint32_t flow)
{
    return flow * 1000003u + 1;
}

static inline pkt_spec traffic_spec(pkt_kind kind, int payload_len, uint32_t flow, uint32_t index)
{
    pkt_spec s;

    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.payload_len = payload_len;
    s.src = (uint16_t)flow;
    s.seq = traffic_start(flow) + index * (uint32_t)pkt_payload_len(&s);
    s.ack = 77;
    s.ip_id = (uint16_t)(1000 + index);
    if (!pkt_is_udp(&s)) {
        s.tcp_options = traffic_timestamps;
        s.tcp_options_len = TIMESTAMPS;
    }
    return s;
}

/* When a packet comes, in thousandths of a place: for each n another number, always the same. */
static inline uint32_t traffic_due(const traffic_shape *shape, uint32_t n)
{
    uint32_t dice = (n + 1) * 2654435761u;

    dice = (dice ^ dice >> 15) * 2246822519u;
    return n * 1000 + (dice ^ dice >> 13) % ((shape->late + 1) * 1000);
}

/* The packet that comes at a place of the batch, if each is late. */
static inline uint32_t traffic_late(const traffic_shape *shape, uint32_t place)
{
    uint32_t n, other, before;

    for (n = 0; n < BATCH; n++) {
        for (other = before = 0; other < BATCH; other++) {
            uint32_t a = traffic_due(shape, other), b = traffic_due(shape, n);
            before += a < b || (a == b && other < n);
        }
        if (before == place)
            return n;
    }
    return place;
}

/* The packet that comes at a place of the batch. */
static inline uint32_t traffic_order(const traffic_shape *shape, uint32_t place)
{
    uint32_t n = (uint32_t)shape->swap_every;

    if (shape->late)
        return traffic_late(shape, place);
    if (n && place % n == n - 2)
        return place + 1;
    return n && place % n == n - 1 ? place - 1 : place;
}

static inline packet_set *new_packet_set(const traffic_shape *shape, size_t count, size_t room)
{
    packet_set *set = (packet_set *)bench_memory(sizeof *set);

    set->shape = shape;
    set->count = count;
    set->room = room;
    set->at = (uint8_t **)bench_memory(count * sizeof *set->at);
    set->len = (size_t *)bench_memory(count * sizeof *set->len);
    set->headers = (uint8_t *)bench_memory(count * HEADER_ROOM);
    return set;
}

/* Packet i of the set, which is number n of the traffic, at p. */
static inline void make_packet(packet_set *set, size_t i, uint32_t n, uint8_t *p)
{
    const traffic_shape *shape = set->shape;
    pkt_spec s = traffic_spec(shape->kind, shape->payload_len, n % shape->flows, n / shape->flows);

    set->at[i] = p;
    set->len[i] = pkt_build(p, PACKET_ROOM - HEADROOM, &s);
    set->hdr_len = pkt_payload_off(&s);
    set->payload_len = pkt_payload_len(&s);
    if (!set->len[i] || set->hdr_len > HEADER_ROOM)
        bench_die("a packet does not fit its buffer", shape->name);
    memcpy(set->headers + i * HEADER_ROOM, p, set->hdr_len);
}

static inline packet_set *make_packets(const traffic_shape *shape, size_t count, size_t room)
{
    packet_set *set = new_packet_set(shape, count, room);
    uint8_t *block = (uint8_t *)bench_memory(count * room);
    uint32_t i;

    for (i = 0; i < count; i++)
        make_packet(set, i, traffic_order(shape, i), block + i * room + HEADROOM);
    return set;
}

/* Out of all caches, where that can be asked for. */
static inline void evict(const uint8_t *p, size_t len)
{
#if defined(__x86_64__)
    size_t i;

    for (i = 0; i < len; i += CACHE_LINE)
        __asm__ volatile("clflush %0\n\tmfence" : : "m"(p[i]) : "memory");
#else
    (void)p;
    (void)len;
#endif
}

/* Fills a batch with the next packets of all, as a caller has just filled it. If there are others, the headers of the last ones
   leave the caches. */
static inline void next_batch(packet_set *set)
{
    size_t i;

    for (i = 0; i < set->count && set->all->count > set->count; i++)
        evict(set->at[i], set->hdr_len);
    memcpy(set->at, set->all->at + set->next, set->count * sizeof *set->at);
    memcpy(set->len, set->all->len + set->next, set->count * sizeof *set->len);
    set->next = (set->next + set->count) % set->all->count;
}

/* A batch of count packets. Each has a page of its own, in random order, and starts at one of 32 places in it: at one place all would
   compete for the same cache sets. */
static inline packet_set *make_scattered(const traffic_shape *shape, size_t count)
{
    packet_set *all = new_packet_set(shape, count, SLOT), *set = new_packet_set(shape, BATCH, SLOT);
    uint8_t *block = (uint8_t *)bench_memory(count * SLOT);
    uint32_t *slots = (uint32_t *)bench_memory(count * sizeof *slots);
    rng r = {count};
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint32_t j = rng_below(&r, i + 1); /* of those so far: a shuffle from the front */
        slots[i] = slots[j];
        slots[j] = i;
    }
    for (i = 0; i < count; i++)
        make_packet(all, i, i, block + (size_t)slots[i] * SLOT + HEADROOM + i % 32 * CACHE_LINE);
    set->hdr_len = all->hdr_len;
    set->payload_len = all->payload_len;
    set->all = all;
    memcpy(set->at, all->at, BATCH * sizeof *set->at);
    memcpy(set->len, all->len, BATCH * sizeof *set->len);
    return set;
}

/* RFC 1624 equation 3 on the checksum field at p. */
static inline void patch_checksum(uint8_t *p, unsigned old_word, unsigned new_word)
{
    unsigned sum = (~pkt_get16(p) & 0xffff) + (~old_word & 0xffff) + new_word;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    pkt_put16(p, ~sum & 0xffff);
}

/* Makes a TCP packet over IPv4 part of the next flow of a shape with churn. */
static inline void move_to_next_flow(uint8_t *ip, packet_set *set)
{
    unsigned old_word = pkt_get16(ip + 14), new_word = set->next_flow++ % set->shape->churn;

    pkt_put16(ip + 14, new_word);
    patch_checksum(ip + 10, old_word, new_word);
    patch_checksum(ip + 20 + 16, old_word, new_word);
}

static inline superpacket *make_superpacket(pkt_kind kind, int gso_size, unsigned segments)
{
    superpacket *sp = (superpacket *)bench_memory(sizeof *sp);
    uint8_t *block = (uint8_t *)bench_memory(SUPERPACKET_ROOM);
    uint8_t *rooms = (uint8_t *)bench_memory((size_t)segments * PACKET_ROOM);
    pkt_spec s = traffic_spec(kind, gso_size * (int)segments, 0, 0);
    size_t i;

    s.l4_csum_pseudo = 1;
    sp->kind = kind;
    sp->gso_size = (size_t)gso_size;
    sp->segments = segments;
    sp->bytes = block + HEADROOM;
    sp->built = (uint8_t *)bench_memory(SUPERPACKET_ROOM);
    sp->len = pkt_build(sp->bytes, SUPERPACKET_ROOM - HEADROOM, &s);
    sp->hdr_len = pkt_payload_off(&s);
    sp->payload_len = pkt_payload_len(&s);
    memcpy(sp->built, sp->bytes, sp->len);
    for (i = 0; i < segments; i++)
        sp->room[i] = rooms + i * PACKET_ROOM;
    return sp;
}

/* ------------------------------------------------------------------------------------------------------------ checks */

/* Takes the packets that an implementation put out, one by one, and notes what is wrong with them. Merged packets must have a
   right IPv4 checksum and the pseudo-header sum, others right checksums; every payload byte must be the one that was sent. */
typedef struct output_check {
    size_t packets, payload, merged;
    size_t single_len;     /* payload of a packet that was not merged */
    uint32_t udp_position; /* in the stream of flow 0, as UDP has no sequence numbers */
    int partial_sums;      /* single packets have pseudo-header sums, too */
    const char *wrong;     /* NULL: nothing so far */
} output_check;

static inline const char *check_sums(const uint8_t *p, const pkt_view *v, int partial)
{
    unsigned pseudo = pkt_pseudo_sum(p + v->src, p + v->dst, v->addr_len, v->proto, v->end - v->l4);

    if (v->version == 4 && pkt_sum(p, v->l4, 0) != 0xffff)
        return "wrong IPv4 checksum";
    if (partial)
        return pkt_get16(p + pkt_l4_csum_at(v)) == pseudo ? NULL : "wrong pseudo-header sum";
    return pkt_l4_sum(p, v) == 0xffff ? NULL : "wrong TCP or UDP checksum";
}

/* One packet, in one piece, from its IP header on. */
static inline void check_output(void *check, const uint8_t *p, size_t len)
{
    output_check *o = (output_check *)check;
    pkt_view v = pkt_look(p, len, 0, 0);
    uint32_t position;
    int merged;
    size_t i;

    o->packets++;
    if (!pkt_has_l4(&v) || v.end != len) {
        o->wrong = "a packet that is none";
        return;
    }
    merged = v.payload_len > o->single_len;
    o->merged += (size_t)merged;
    o->payload += v.payload_len;
    if (!o->wrong)
        o->wrong = check_sums(p, &v, merged || o->partial_sums);
    position = v.proto == PKT_PROTO_TCP ? pkt_get32(p + v.l4 + 4) : o->udp_position;
    o->udp_position = position + (uint32_t)v.payload_len;
    for (i = 0; i < v.payload_len && !o->wrong; i++)
        if (p[v.payload + i] != pkt_stream_byte(0, position + (uint32_t)i))
            o->wrong = "wrong payload";
}

#endif /* BENCH_TRAFFIC_H */
