/* rows.h - the rows of the table: what is measured, in which unit. Include after engine_tunoffload.h. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <fnmatch.h>
#include <stdarg.h>

enum { CASES_MAX = 2048, ENGINES_MAX = 4 };

typedef struct bench_table {
    bench_case cases[CASES_MAX];
    size_t count;
    const char *pattern;       /* part of row/implementation, with * and ?; NULL: everything */
    const engine *peers[ENGINES_MAX];
    size_t peer_count;
} bench_table;

/* The library measured at one SIMD level. */
typedef struct bench_level {
    const char *implementation;
    tuo_simd level;
} bench_level;

static const bench_level bench_levels[] = {
    {"tunoffload", TUO_SIMD_DETECT},
    {"tunoffload_scalar", TUO_SIMD_SCALAR},
    {"tunoffload_sse2", TUO_SIMD_SSE2},
    {"tunoffload_neon", TUO_SIMD_NEON},
    {"tunoffload_avx2", TUO_SIMD_AVX2},
    {"tunoffload_avx512", TUO_SIMD_AVX512},
};

/* The library by each kind of calls that it has, at its best level. */
static const engine *const own_engines[] = {&tunoffload_engine, &tunoffload_batch_engine};

enum { LEVEL_COUNT = sizeof bench_levels / sizeof bench_levels[0], OWN_COUNT = sizeof own_engines / sizeof own_engines[0] };

static inline tuo_simd level_or_best(tuo_simd level)
{
    return level == TUO_SIMD_DETECT ? tuo_simd_best() : level;
}

static inline int level_usable(const bench_level *l)
{
    return l->level == TUO_SIMD_DETECT || tuo_simd_usable(l->level);
}

static inline int wanted(const bench_table *t, const char *row, const char *implementation)
{
    char name[2 * NAME_MAX_LEN], pattern[2 * NAME_MAX_LEN];

    if (!t->pattern)
        return 1;
    snprintf(name, sizeof name, "%s/%s/", row, implementation);
    snprintf(pattern, sizeof pattern, "*%s*", t->pattern);
    return fnmatch(pattern, name, 0) == 0;
}

static inline bench_case *add_case(bench_table *t, const char *row, const char *implementation, const bench_work *work,
                                   bench_work *unit)
{
    bench_case *c = &t->cases[t->count];

    if (t->count++ == CASES_MAX)
        bench_die("too many cases", row);
    snprintf(c->row, sizeof c->row, "%s", row);
    snprintf(c->implementation, sizeof c->implementation, "%s", implementation);
    c->work = *work;
    c->unit = unit;
    c->pieces = 1;
    return c;
}

/* ------------------------------------------------------------------------------------- units and limits: pieces of memory */

enum { PIECES_MAX = 256 };

/* Pieces to copy or sum, one after the other. */
typedef struct pieces {
    size_t count;
    const uint8_t *from[PIECES_MAX];
    uint8_t *to[PIECES_MAX];
    size_t len[PIECES_MAX];
    const tuoi_sums *sums;
    uint64_t (*sum)(const uint8_t *p, size_t len); /* a peer's */
} pieces;

static inline size_t copy_pieces(void *state)
{
    const pieces *p = (const pieces *)state;
    size_t i;

    for (i = 0; i < p->count; i++)
        memcpy(p->to[i], p->from[i], p->len[i]);
    bench_sink += p->to[0][0];
    return p->count;
}

static inline size_t sum_pieces(void *state)
{
    const pieces *p = (const pieces *)state;
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < p->count; i++)
        all += tuoi_fold_raw(p->sums->sum(p->from[i], p->len[i], 0));
    bench_sink += all;
    return p->count;
}

static inline size_t copy_and_sum_pieces(void *state)
{
    const pieces *p = (const pieces *)state;
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < p->count; i++)
        all += tuoi_fold_raw(p->sums->copy_sum(p->to[i], p->from[i], p->len[i], 0));
    bench_sink += all;
    return p->count;
}

static inline size_t peer_sum_pieces(void *state)
{
    const pieces *p = (const pieces *)state;
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < p->count; i++)
        all += p->sum(p->from[i], p->len[i]);
    bench_sink += all;
    return p->count;
}

static inline bench_work work_on(pieces *p, size_t (*run)(void *state))
{
    bench_work w = {p, NULL, run, p->count, 0};

    return w;
}

static inline bench_work *new_unit(pieces *p)
{
    bench_work *unit = (bench_work *)bench_memory(sizeof *unit);

    *unit = work_on(p, copy_pieces);
    return unit;
}

static inline void add_limit(bench_table *t, const char *row, const char *name, bench_work *unit, size_t (*run)(void *state))
{
    pieces *p = (pieces *)unit->state;

    p->sums = tuoi_sums_of(tuo_simd_best());
    if (wanted(t, row, name)) {
        bench_work w = work_on(p, run);
        add_case(t, row, name, &w, unit);
    }
}

/* ---------------------------------------------------------------------------------------------------------- checksum */

static const size_t csum_lengths[] = {20, 64, 128, 256, 576, 1500, 9000, 65535};

/* Pieces of one length in buffers of their own: as many as a batch has, but no more than 256 KiB in all. */
static inline pieces *csum_pieces(size_t len)
{
    pieces *p = (pieces *)bench_memory(sizeof *p);
    size_t room = (len + HEADROOM + 127) / 128 * 128, i;
    uint8_t *from, *to;
    rng r = {len};

    if (room < PACKET_ROOM)
        room = PACKET_ROOM;
    p->count = 262144 / len < BATCH ? 262144 / len : BATCH;
    from = (uint8_t *)bench_memory(p->count * room);
    to = (uint8_t *)bench_memory(p->count * room);
    rng_bytes(&r, from, p->count * room);
    for (i = 0; i < p->count; i++) {
        p->from[i] = from + i * room + HEADROOM;
        p->to[i] = to + i * room + HEADROOM;
        p->len[i] = len;
    }
    return p;
}

static inline void check_csum(const char *row, const pieces *p, int copies)
{
    unsigned right = pkt_sum(p->from[0], p->len[0], 0), sum;

    p->to[0][p->len[0] - 1] = (uint8_t)~p->from[0][p->len[0] - 1];
    if (p->sum)
        sum = (unsigned)p->sum(p->from[0], p->len[0]);
    else if (copies)
        sum = tuoi_fold_raw(p->sums->copy_sum(p->to[0], p->from[0], p->len[0], 0));
    else
        sum = tuoi_fold_raw(p->sums->sum(p->from[0], p->len[0], 0));
    if (sum != right)
        bench_die("wrong sum", row);
    if (copies && memcmp(p->to[0], p->from[0], p->len[0]) != 0)
        bench_die("wrong copy", row);
}

static inline void add_csum_case(bench_table *t, const char *row, const char *implementation, const pieces *like,
                                 bench_work *unit, size_t (*run)(void *state))
{
    pieces *p;
    bench_work w;

    if (!wanted(t, row, implementation))
        return;
    p = (pieces *)bench_memory(sizeof *p);
    *p = *like;
    check_csum(row, p, run == copy_and_sum_pieces);
    w = work_on(p, run);
    add_case(t, row, implementation, &w, unit)->pieces = (double)p->count;
}

static inline void add_csum_rows(bench_table *t)
{
    size_t i, j;

    for (i = 0; i < sizeof csum_lengths / sizeof csum_lengths[0]; i++) {
        char row[NAME_MAX_LEN], copy_row[NAME_MAX_LEN];
        pieces like, *p = csum_pieces(csum_lengths[i]);
        bench_work *unit = new_unit(p);
        snprintf(row, sizeof row, "csum_%u", (unsigned)csum_lengths[i]);
        snprintf(copy_row, sizeof copy_row, "csum_copy_%u", (unsigned)csum_lengths[i]);
        like = *p;
        for (j = 0; j < LEVEL_COUNT; j++)
            if (level_usable(&bench_levels[j])) {
                like.sums = tuoi_sums_of(level_or_best(bench_levels[j].level));
                add_csum_case(t, row, bench_levels[j].implementation, &like, unit, sum_pieces);
                add_csum_case(t, copy_row, bench_levels[j].implementation, &like, unit, copy_and_sum_pieces);
            }
        for (j = 0; j < t->peer_count; j++)
            if (t->peers[j]->sum) {
                like.sum = t->peers[j]->sum;
                add_csum_case(t, row, t->peers[j]->name, &like, unit, peer_sum_pieces);
            }
    }
}

/* --------------------------------------------------------------------------------------------------------------- GRO */

static const traffic_shape gro_shapes[] = {
    {"tcp4_1flow", PKT_TCP4, 1448, 1, 0, 0, 0},
    {"tcp6_1flow", PKT_TCP6, 1428, 1, 0, 0, 0},
    {"tcp4_8flows", PKT_TCP4, 1448, 8, 0, 0, 0},
    {"tcp4_128flows", PKT_TCP4, 1448, 128, 0, 0, 0},
    {"udp4_1flow", PKT_UDP4, 1400, 1, 0, 0, 0},
    {"udp6_1flow", PKT_UDP6, 1400, 1, 0, 0, 0},
    {"tcp4_small", PKT_TCP4, 76, 1, 0, 0, 0},
    {"tcp4_acks", PKT_TCP4, PKT_ZERO, 128, 0, 0, 0},
    {"tcp4_acks_1flow", PKT_TCP4, PKT_ZERO, 1, 0, 0, 0},
    {"tcp4_reordered", PKT_TCP4, 1448, 1, 10, 0, 0},
    {"tcp4_late8", PKT_TCP4, 1448, 1, 0, 8, 0},
    {"tcp4_late32", PKT_TCP4, 1448, 1, 0, 32, 0},
    {"tcp4_churn", PKT_TCP4, 1448, 128, 0, 0, 65536},
};

enum { GRO_SHAPE_COUNT = sizeof gro_shapes / sizeof gro_shapes[0] };

/* Payloads of the set, in order, to the ends of three buffers of 64 KiB in turn. */
static inline bench_work *gro_unit(const packet_set *set)
{
    pieces *p = (pieces *)bench_memory(sizeof *p);
    uint8_t *to = (uint8_t *)bench_memory((size_t)SUPERPACKET_ROOM * 4);
    size_t i, at = HEADROOM, buffer = 0;

    p->count = set->count;
    for (i = 0; i < set->count; i++) {
        if (at + set->payload_len > 65536) {
            at = HEADROOM;
            buffer++;
        }
        p->from[i] = set->at[i] + set->hdr_len;
        p->to[i] = to + buffer * SUPERPACKET_ROOM + at;
        p->len[i] = set->payload_len;
        at += set->payload_len;
    }
    return new_unit(p);
}

/* How many packets must come out: of every flow as few as fit. 0: it depends on the implementation. */
static inline size_t gro_expected(const packet_set *set)
{
    size_t per_flow = set->count / set->shape->flows, fit;

    if (set->payload_len == 0)
        return set->count;
    if (set->shape->swap_every)
        return 0;
    fit = (65535 - set->hdr_len) / set->payload_len;
    return set->shape->flows * ((per_flow + fit - 1) / fit);
}

static inline size_t check_gro(const char *row, const char *implementation, const gro_job *job, const engine_run *run)
{
    output_check o;
    char which[2 * NAME_MAX_LEN + 2];
    size_t expected = gro_expected(job->set);

    memset(&o, 0, sizeof o);
    o.single_len = job->set->payload_len;
    o.udp_position = traffic_start(0);
    run->show(run->work.state, check_output, &o);
    snprintf(which, sizeof which, "%s %s", row, implementation);
    if (o.wrong)
        bench_die(o.wrong, which);
    if (o.payload != job->set->count * job->set->payload_len)
        bench_die("payload is missing", which);
    if (expected ? o.packets != expected : o.packets > job->set->count / 2) {
        fprintf(stderr, "%u packets came out\n", (unsigned)o.packets);
        bench_die("wrong number of packets", which);
    }
    return o.packets;
}

static inline void add_gro_case(bench_table *t, const char *row, const char *implementation, const engine *e, const gro_job *job,
                                bench_work *unit)
{
    engine_run run;

    memset(&run, 0, sizeof run);
    if (!wanted(t, row, implementation) || !e->gro || !e->gro(job, &run))
        return;
    run.work.makes = check_gro(row, implementation, job, &run);
    add_case(t, row, implementation, &run.work, unit);
}

/* Traffic that hardly merges is measured in the unit of the one-flow batch of full packets: its own payload is not the work. */
static inline int unit_is_one_flow(const traffic_shape *shape)
{
    return shape->flows == BATCH || shape->payload_len == PKT_ZERO;
}

static inline void add_gro_row(bench_table *t, gro_job *job, bench_work *unit)
{
    const char *shape = job->set->shape->name;
    int merges = job->set->shape->flows < BATCH && job->set->payload_len;
    char row[NAME_MAX_LEN];
    size_t i;

    snprintf(row, sizeof row, "gro_%s_%s_%s", shape, job->verify ? "verify" : "trust", job->copy ? "copy" : "gather");
    job->level = TUO_SIMD_DETECT;
    for (i = 0; i < OWN_COUNT; i++)
        add_gro_case(t, row, own_engines[i]->name, own_engines[i], job, unit);
    for (i = 1; i < LEVEL_COUNT; i++)
        if (level_usable(&bench_levels[i])) {
            job->level = (int)bench_levels[i].level;
            add_gro_case(t, row, bench_levels[i].implementation, &tunoffload_engine, job, unit);
        }
    for (i = 0; i < t->peer_count && !job->set->shape->late; i++) /* rte_gro makes wrong checksums of such traffic */
        add_gro_case(t, row, t->peers[i]->name, t->peers[i], job, unit);
    if (!merges)
        return;
    if (job->copy)
        add_limit(t, row, job->verify ? "limit_fused" : "limit_memcpy", unit, job->verify ? copy_and_sum_pieces : copy_pieces);
    else if (job->verify)
        add_limit(t, row, "limit_sum", unit, sum_pieces);
}

static inline void add_gro_rows(bench_table *t)
{
    bench_work *one_flow[2] = {NULL, NULL}, *unit; /* gather, copy: on the packets of each */
    size_t i;

    for (i = 0; i < GRO_SHAPE_COUNT; i++) {
        const traffic_shape *shape = &gro_shapes[i];
        gro_job job = {NULL, 0, 0, 0};
        for (job.copy = 1; job.copy >= 0; job.copy--) {
            job.set = make_packets(shape, BATCH, job.copy ? SUPERPACKET_ROOM : PACKET_ROOM);
            unit = unit_is_one_flow(shape) ? one_flow[job.copy] : gro_unit(job.set);
            if (!one_flow[job.copy])
                one_flow[job.copy] = unit;
            for (job.verify = 1; job.verify >= 0; job.verify--)
                add_gro_row(t, &job, unit);
        }
    }
}

/* --------------------------------------------------------------------------------------------------------------- GSO */

typedef struct gso_shape {
    const char *name;
    pkt_kind kind;
    int gso_size;
    unsigned segments;
} gso_shape;

static const gso_shape gso_shapes[] = {
    {"tcp4", PKT_TCP4, 1448, 45},
    {"tcp6", PKT_TCP6, 1428, 45},
    {"udp4", PKT_UDP4, 1400, 46},
    {"udp6", PKT_UDP6, 1400, 46},
};

static const char *const gso_mode_names[GSO_MODE_COUNT] = {"copy", "in_place", "iterator", "iterator_pseudo"};

static inline bench_work *gso_unit(const superpacket *sp)
{
    pieces *p = (pieces *)bench_memory(sizeof *p);
    size_t i;

    p->count = sp->segments;
    for (i = 0; i < sp->segments; i++) {
        p->from[i] = sp->bytes + sp->hdr_len + i * sp->gso_size;
        p->to[i] = sp->room[i] + HEADROOM + sp->hdr_len;
        p->len[i] = sp->gso_size;
    }
    return new_unit(p);
}

static inline void check_gso(const char *row, const char *implementation, const gso_job *job, const engine_run *run)
{
    output_check o;
    char which[2 * NAME_MAX_LEN + 2];

    memset(&o, 0, sizeof o);
    o.single_len = job->sp->gso_size;
    o.udp_position = traffic_start(0);
    o.partial_sums = job->mode == GSO_ITERATOR_PSEUDO;
    run->show(run->work.state, check_output, &o);
    snprintf(which, sizeof which, "%s %s", row, implementation);
    if (o.wrong)
        bench_die(o.wrong, which);
    if (o.packets != job->sp->segments || o.merged || o.payload != job->sp->payload_len)
        bench_die("wrong segments", which);
}

static inline void add_gso_case(bench_table *t, const char *row, const char *implementation, const engine *e, const gso_job *job,
                                bench_work *unit)
{
    engine_run run;

    memset(&run, 0, sizeof run);
    if (!wanted(t, row, implementation) || !e->gso || !e->gso(job, &run))
        return;
    check_gso(row, implementation, job, &run);
    run.work.makes = job->sp->segments;
    add_case(t, row, implementation, &run.work, unit);
}

static inline void add_gso_row(bench_table *t, gso_job *job, const char *shape, bench_work *unit)
{
    char row[NAME_MAX_LEN];
    size_t i;

    snprintf(row, sizeof row, "split_%s_%s", shape, gso_mode_names[job->mode]);
    for (i = 0; i < LEVEL_COUNT; i++)
        if (level_usable(&bench_levels[i])) {
            job->level = (int)level_or_best(bench_levels[i].level);
            add_gso_case(t, row, bench_levels[i].implementation, &tunoffload_engine, job, unit);
        }
    for (i = 0; i < t->peer_count; i++)
        add_gso_case(t, row, t->peers[i]->name, t->peers[i], job, unit);
    if (job->mode == GSO_COPY) {
        add_limit(t, row, "limit_memcpy", unit, copy_pieces);
        add_limit(t, row, "limit_fused", unit, copy_and_sum_pieces);
    } else if (job->mode != GSO_ITERATOR_PSEUDO) {
        add_limit(t, row, "limit_sum", unit, sum_pieces);
    }
}

static inline void add_gso_rows(bench_table *t)
{
    size_t i;

    for (i = 0; i < sizeof gso_shapes / sizeof gso_shapes[0]; i++) {
        gso_job job = {NULL, GSO_COPY, 0};
        bench_work *unit;
        int mode;
        job.sp = make_superpacket(gso_shapes[i].kind, gso_shapes[i].gso_size, gso_shapes[i].segments);
        unit = gso_unit(job.sp);
        for (mode = 0; mode < GSO_MODE_COUNT; mode++) {
            job.mode = (gso_mode)mode;
            add_gso_row(t, &job, gso_shapes[i].name, unit);
        }
    }
}

#endif /* BENCH_ROWS_H */
