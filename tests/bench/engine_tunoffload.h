/* engine_tunoffload.h - tunoffload.h as an engine. Include after tunoffload.h with its implementation. */
#ifndef BENCH_ENGINE_TUNOFFLOAD_H
#define BENCH_ENGINE_TUNOFFLOAD_H

#include "engine.h"

typedef struct tunoffload_gro tunoffload_gro;

/* By which calls packets are gathered. */
typedef struct gather_calls {
    void (*push)(tunoffload_gro *t);    /* all packets of the set */
    size_t (*drain)(tunoffload_gro *t); /* all there is; returns how many packets that are */
} gather_calls;

struct tunoffload_gro {
    const gather_calls *calls;
    packet_set *set;
    tuo_gro *gro;
    unsigned hint;
    tuo_buf bufs[BATCH];
    void *pointers[BATCH];
    size_t to_write[BATCH], to_write_count;
    tuo_packet packets[BATCH];
};

static inline void push_singly(tunoffload_gro *t)
{
    const packet_set *set = t->set;
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < set->count; i++)
        all += (uint64_t)tuo_gro_push(t->gro, set->at[i], set->len[i], set->at[i], t->hint);
    bench_sink += all;
}

static inline size_t drain_singly(tunoffload_gro *t)
{
    tuo_superpacket sp;
    uint64_t all = 0;
    size_t packets;

    for (packets = 0; tuo_gro_next(t->gro, &sp) == TUO_OK; packets++)
        all += sp.iov_count + sp.len;
    bench_sink += all;
    return packets;
}

/* Listing the packets is part of it: the set is another one each time where packets are cold. */
static inline void push_batch(tunoffload_gro *t)
{
    size_t i;

    for (i = 0; i < t->set->count; i++) {
        t->packets[i].bytes = t->packets[i].user = t->set->at[i];
        t->packets[i].len = t->set->len[i];
    }
    bench_sink += tuo_gro_push_batch(t->gro, t->packets, t->set->count, t->hint, NULL);
}

static inline size_t drain_batch(tunoffload_gro *t)
{
    static tuo_superpacket sps[BATCH];
    size_t packets = tuo_gro_next_batch(t->gro, sps, BATCH);

    return packets + tuo_gro_next_batch(t->gro, sps, 1); /* at most BATCH: says that there are no more */
}

static inline size_t tunoffload_gather(void *state)
{
    tunoffload_gro *t = (tunoffload_gro *)state;

    t->calls->push(t);
    return t->calls->drain(t);
}

static inline void tunoffload_show_gather(void *state, emit_packet emit, void *user)
{
    static uint8_t flat[65536 + HEADROOM];
    tunoffload_gro *t = (tunoffload_gro *)state;
    tuo_superpacket sp;
    size_t i, at;

    t->calls->push(t);
    while (tuo_gro_next(t->gro, &sp) == TUO_OK) {
        for (i = at = 0; i < sp.iov_count; at += sp.iov[i++].len)
            memcpy(flat + at, sp.iov[i].base, sp.iov[i].len);
        emit(user, flat + sp.vnet_len, at - sp.vnet_len);
    }
}

static inline size_t tunoffload_copy(void *state)
{
    tunoffload_gro *t = (tunoffload_gro *)state;
    size_t i;

    if (tuo_gro_batch(t->gro, NULL, t->pointers, t->set->count, HEADROOM, t->to_write, &t->to_write_count) != TUO_OK)
        bench_die("tuo_gro_batch failed", "tunoffload");
    for (i = 0; i < t->to_write_count; i++)
        bench_sink += t->bufs[t->to_write[i]].len;
    return t->to_write_count;
}

/* The headers that the last run wrote, and the lengths. */
static inline void tunoffload_restore(void *state)
{
    tunoffload_gro *t = (tunoffload_gro *)state;
    const packet_set *set = t->set;
    size_t i;

    for (i = 0; i < set->count; i++) {
        if (t->bufs[i].len > HEADROOM + set->len[i])
            memcpy(set->at[i], set->headers + i * HEADER_ROOM, set->hdr_len);
        t->bufs[i].len = HEADROOM + set->len[i];
    }
}

static inline void tunoffload_show_copy(void *state, emit_packet emit, void *user)
{
    tunoffload_gro *t = (tunoffload_gro *)state;
    size_t i;

    tunoffload_restore(t);
    tunoffload_copy(t);
    for (i = 0; i < t->to_write_count; i++) {
        const tuo_buf *b = &t->bufs[t->to_write[i]];
        emit(user, b->data + HEADROOM, b->len - HEADROOM);
    }
    tunoffload_restore(t);
}

static inline void tunoffload_next_flows(void *state)
{
    packet_set *set = ((tunoffload_gro *)state)->set;
    size_t i;

    for (i = 0; i < set->count; i++)
        move_to_next_flow(set->at[i], set);
}

static inline void tunoffload_next_flows_copy(void *state)
{
    tunoffload_restore(state);
    tunoffload_next_flows(state);
}

static inline tuo_gro *tunoffload_instance(int trust, int level)
{
    static size_t size;
    tuo_gro_desc desc;
    tuo_gro *gro = NULL;

    memset(&desc, 0, sizeof desc);
    desc.trust_checksums = (uint8_t)trust;
    desc.hash_seed = UINT64_C(0x5bd1e995c0ffee01);
    desc.simd = (tuo_simd)level;
    size = tuo_gro_memory_size(&desc);
    if (tuo_gro_init(&gro, bench_memory(size), size, &desc) != TUO_OK)
        bench_die("tuo_gro_init failed", "tunoffload");
    return gro;
}

static inline int gro_open_with(const gather_calls *calls, const gro_job *job, engine_run *run)
{
    tunoffload_gro *t = (tunoffload_gro *)bench_memory(sizeof *t);
    int churn = job->set->shape->churn != 0;
    size_t i;

    t->calls = calls;
    t->set = job->set;
    t->hint = job->verify ? 0 : TUO_F_TRUST;
    t->gro = tunoffload_instance(!job->verify && job->copy, job->level);
    for (i = 0; i < job->set->count; i++) {
        t->bufs[i].data = job->set->at[i] - HEADROOM;
        t->bufs[i].len = HEADROOM + job->set->len[i];
        t->bufs[i].capacity = job->set->room;
        t->pointers[i] = &t->bufs[i];
    }
    run->work.state = t;
    run->work.run = job->copy ? tunoffload_copy : tunoffload_gather;
    run->work.prepare = churn ? tunoffload_next_flows : NULL;
    if (job->copy)
        run->work.prepare = churn ? tunoffload_next_flows_copy : tunoffload_restore;
    run->show = job->copy ? tunoffload_show_copy : tunoffload_show_gather;
    return 1;
}

static inline int tunoffload_gro_open(const gro_job *job, engine_run *run)
{
    static const gather_calls single_calls = {push_singly, drain_singly};

    return gro_open_with(&single_calls, job, run);
}

static inline int tunoffload_batch_open(const gro_job *job, engine_run *run)
{
    static const gather_calls batch_calls = {push_batch, drain_batch};

    return !job->copy && gro_open_with(&batch_calls, job, run); /* tuo_gro_batch is one already */
}

/* --------------------------------------------------------------------------------------------------------------- GSO */

typedef struct tunoffload_gso {
    superpacket *sp;
    tuo_vnet_hdr vnet;
    unsigned flags;
    tuo_buf bufs[BATCH];
    void *pointers[BATCH];
} tunoffload_gso;

static inline void tunoffload_plan(tunoffload_gso *t, tuo_gso *gso)
{
    if (tuo_gso_init(gso, t->sp->bytes, t->sp->len, &t->vnet, t->flags) != TUO_OK)
        bench_die("tuo_gso_init failed", "tunoffload");
}

static inline size_t tunoffload_split_copy(void *state)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    size_t written;
    tuo_gso gso;

    tunoffload_plan(t, &gso);
    if (tuo_gso_split(&gso, NULL, t->pointers, t->sp->segments, HEADROOM, &written) != TUO_OK)
        bench_die("tuo_gso_split failed", "tunoffload");
    return written;
}

static inline void tunoffload_show_split_copy(void *state, emit_packet emit, void *user)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    size_t i;

    tunoffload_split_copy(t);
    for (i = 0; i < t->sp->segments; i++)
        emit(user, t->bufs[i].data + HEADROOM, t->bufs[i].len - HEADROOM);
}

static inline size_t tunoffload_split_in_place(void *state)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    tuo_buf segment;
    size_t packets;
    tuo_gso gso;

    tunoffload_plan(t, &gso);
    for (packets = 0; tuo_gso_next_in_place(&gso, t->sp->bytes, &segment) == TUO_OK; packets++)
        bench_sink += segment.len;
    return packets;
}

/* Every header was stamped over the end of the payload in front of it. */
static inline void tunoffload_restore_superpacket(void *state)
{
    const superpacket *sp = ((tunoffload_gso *)state)->sp;
    size_t i;

    for (i = 0; i < sp->segments; i++)
        memcpy(sp->bytes + i * sp->gso_size, sp->built + i * sp->gso_size, sp->hdr_len);
}

static inline void tunoffload_show_in_place(void *state, emit_packet emit, void *user)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    tuo_buf segment;
    tuo_gso gso;

    tunoffload_restore_superpacket(t);
    tunoffload_plan(t, &gso);
    while (tuo_gso_next_in_place(&gso, t->sp->bytes, &segment) == TUO_OK)
        emit(user, segment.data, segment.len);
    tunoffload_restore_superpacket(t);
}

static inline size_t tunoffload_iterate(void *state)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    tuo_segment segment;
    size_t packets;
    tuo_gso gso;

    tunoffload_plan(t, &gso);
    for (packets = 0; tuo_gso_next(&gso, NULL, &segment) == TUO_OK; packets++)
        bench_sink += segment.iov_count + segment.len;
    return packets;
}

static inline void tunoffload_show_iterate(void *state, emit_packet emit, void *user)
{
    tunoffload_gso *t = (tunoffload_gso *)state;
    uint8_t flat[PACKET_ROOM];
    tuo_segment segment;
    size_t i, at;
    tuo_gso gso;

    tunoffload_plan(t, &gso);
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        for (i = at = 0; i < segment.iov_count; at += segment.iov[i++].len)
            memcpy(flat + at, segment.iov[i].base, segment.iov[i].len);
        emit(user, flat, at);
    }
}

static inline int tunoffload_gso_open(const gso_job *job, engine_run *run)
{
    static const struct {
        void (*prepare)(void *state);
        size_t (*run)(void *state);
        void (*show)(void *state, emit_packet emit, void *user);
    } modes[GSO_MODE_COUNT] = {
        {NULL, tunoffload_split_copy, tunoffload_show_split_copy},
        {tunoffload_restore_superpacket, tunoffload_split_in_place, tunoffload_show_in_place},
        {NULL, tunoffload_iterate, tunoffload_show_iterate},
        {NULL, tunoffload_iterate, tunoffload_show_iterate},
    };
    static const uint8_t types[PKT_KIND_COUNT] = {TUO_GSO_TCPV4, TUO_GSO_UDP_L4, TUO_GSO_TCPV6, TUO_GSO_UDP_L4};
    tunoffload_gso *t = (tunoffload_gso *)bench_memory(sizeof *t);
    superpacket *sp = job->sp;
    int udp = sp->kind == PKT_UDP4 || sp->kind == PKT_UDP6;
    size_t i;

    t->sp = sp;
    t->flags = TUO_F_SIMD((tuo_simd)job->level) | (job->mode == GSO_ITERATOR_PSEUDO ? TUO_F_PSEUDO : 0u);
    t->vnet.flags = TUO_VNET_NEEDS_CSUM;
    t->vnet.gso_type = types[sp->kind];
    t->vnet.gso_size = (uint16_t)sp->gso_size;
    t->vnet.csum_start = sp->kind == PKT_TCP4 || sp->kind == PKT_UDP4 ? 20 : 40;
    t->vnet.csum_offset = udp ? 6 : 16;
    for (i = 0; i < sp->segments; i++) {
        t->bufs[i].data = sp->room[i];
        t->bufs[i].capacity = PACKET_ROOM;
        t->pointers[i] = &t->bufs[i];
    }
    run->work.state = t;
    run->work.prepare = modes[job->mode].prepare;
    run->work.run = modes[job->mode].run;
    run->show = modes[job->mode].show;
    return 1;
}

static const engine tunoffload_engine = {"tunoffload", tunoffload_gro_open, tunoffload_gso_open, NULL};
static const engine tunoffload_batch_engine = {"tunoffload_batch", tunoffload_batch_open, NULL, NULL};

#endif /* BENCH_ENGINE_TUNOFFLOAD_H */
