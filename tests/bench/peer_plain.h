/* peer_plain.h - the least that a pure ACK costs: a plain loop that does with one what wireguard-go does. It looks at IP version,
   header lengths, protocol, fragment bits, flags and lengths, finds no payload, and keeps the packet for writing as it is.

   copy     10 zeros in front of the packet, in its own buffer, and its index in the list of what is to be written
   gather   an iovec pair: zeros that all packets share, and the packet

   It has no flows and verifies nothing: it can do pure ACKs only. From the facts of tun/offload_linux.go (f333402), not its code. */
#ifndef BENCH_PEER_PLAIN_H
#define BENCH_PEER_PLAIN_H

#include "engine.h"

enum { PLAIN_VNET_LEN = 10, PLAIN_TCP_MAX = 60 };

typedef struct plain_piece {
    const void *base;
    size_t len;
} plain_piece;

typedef struct plain_gro {
    packet_set *set;
    size_t to_write[BATCH], to_write_count; /* copy */
    plain_piece pieces[BATCH][2];           /* gather */
} plain_gro;

/* 1: an ordinary TCP packet without payload. */
static inline int plain_is_pure_ack(const uint8_t *p, size_t len)
{
    size_t ip_len, tcp_len;

    if (len < 40 || len > 65535)
        return 0;
    if (p[0] >> 4 == 4) {
        ip_len = 20;
        if ((p[0] & 15) != 5 || p[9] != PKT_PROTO_TCP || pkt_get16(p + 2) != len || (pkt_get16(p + 6) & 0x3fff) != 0)
            return 0;
    } else {
        ip_len = 40;
        if (p[0] >> 4 != 6 || len < 60 || p[6] != PKT_PROTO_TCP || pkt_get16(p + 4) + 40u != len)
            return 0;
    }
    tcp_len = (size_t)(p[ip_len + 12] >> 4) * 4;
    if (tcp_len < 20 || tcp_len > PLAIN_TCP_MAX || (p[ip_len + 13] & ~PKT_PSH) != PKT_ACK)
        return 0;
    return len == ip_len + tcp_len;
}

static inline size_t plain_copy(void *state)
{
    plain_gro *g = (plain_gro *)state;
    const packet_set *set = g->set;
    uint64_t all = 0;
    size_t i;

    g->to_write_count = 0;
    for (i = 0; i < set->count; i++)
        if (plain_is_pure_ack(set->at[i], set->len[i])) {
            memset(set->at[i] - PLAIN_VNET_LEN, 0, PLAIN_VNET_LEN);
            g->to_write[g->to_write_count++] = i;
        }
    for (i = 0; i < g->to_write_count; i++)
        all += set->len[g->to_write[i]];
    bench_sink += all;
    return g->to_write_count;
}

static inline size_t plain_gather(void *state)
{
    static const uint8_t zeros[PLAIN_VNET_LEN];
    plain_gro *g = (plain_gro *)state;
    const packet_set *set = g->set;
    size_t i, count = 0;
    uint64_t all = 0;

    for (i = 0; i < set->count; i++)
        if (plain_is_pure_ack(set->at[i], set->len[i])) {
            plain_piece *pair = g->pieces[count++];
            pair[0].base = zeros;
            pair[0].len = sizeof zeros;
            pair[1].base = set->at[i];
            pair[1].len = set->len[i];
        }
    for (i = 0; i < count; i++)
        all += g->pieces[i][0].len + g->pieces[i][1].len;
    bench_sink += all;
    return count;
}

static inline void plain_show_copy(void *state, emit_packet emit, void *user)
{
    static const uint8_t zeros[PLAIN_VNET_LEN];
    plain_gro *g = (plain_gro *)state;
    size_t i;

    for (i = 0; i < g->set->count; i++)
        memset(g->set->at[i] - PLAIN_VNET_LEN, 0xff, PLAIN_VNET_LEN);
    plain_copy(g);
    for (i = 0; i < g->to_write_count; i++) {
        const uint8_t *p = g->set->at[g->to_write[i]];
        if (memcmp(p - PLAIN_VNET_LEN, zeros, sizeof zeros) != 0)
            bench_die("a vnet header that is not zero", "plain_loop");
        emit(user, p, g->set->len[g->to_write[i]]);
    }
}

static inline void plain_show_gather(void *state, emit_packet emit, void *user)
{
    plain_gro *g = (plain_gro *)state;
    size_t i, count = plain_gather(g);

    for (i = 0; i < count; i++)
        emit(user, (const uint8_t *)g->pieces[i][1].base, g->pieces[i][1].len);
}

/* For a time that is taken as that of the other engines, which have something to put back. */
static inline void plain_nothing(void *state)
{
    (void)state;
}

static inline int plain_gro_open(const gro_job *job, engine_run *run)
{
    plain_gro *g;

    if (job->set->payload_len)
        return 0;
    g = (plain_gro *)bench_memory(sizeof *g);
    g->set = job->set;
    run->work.state = g;
    run->work.prepare = job->copy ? plain_nothing : NULL;
    run->work.run = job->copy ? plain_copy : plain_gather;
    run->show = job->copy ? plain_show_copy : plain_show_gather;
    return 1;
}

static const engine plain_engine = {"plain_loop", plain_gro_open, NULL, NULL};

#endif /* BENCH_PEER_PLAIN_H */
