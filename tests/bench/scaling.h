/* scaling.h - what a packet costs with more flows and in smaller batches. Include after rows.h and report.h.

   flows   batches of 128 packets from 1 to 65536 flows: packets take turns; from 128 flows on each packet of a batch is the only
           one of its flow, above that every batch has other flows than the one before
   batch   1 to 128 packets of one flow between two drains
   cold    packets of 1 flow, of 128 flows, and pure ACKs of 128 flows, scattered over 64 MiB: neither their headers nor their pages
           are in a cache (on x86-64; elsewhere a cache of more than 64 MiB may have them). Beside it warm: 128 such packets, again
           and again */
#ifndef BENCH_SCALING_H
#define BENCH_SCALING_H

enum { POINTS_MAX = 256 };

typedef struct scaling_point {
    const char *series;
    unsigned x;
    const char *mode;
} scaling_point;

typedef struct scaling_table {
    bench_table table;
    scaling_point points[POINTS_MAX]; /* one per case */
} scaling_table;

/* The new case; NULL: none. */
static inline bench_case *add_point(scaling_table *s, const char *series, unsigned x, const engine *e, const gro_job *job)
{
    const char *mode = job->verify ? "verify_gather" : "trust_gather";
    bench_table *t = &s->table;
    char row[NAME_MAX_LEN];
    size_t before = t->count;

    snprintf(row, sizeof row, "scaling_%s_%u_%s", series, x, mode);
    add_gro_case(t, row, e->name, e, job, NULL);
    if (t->count == before)
        return NULL;
    t->cases[before].pieces = (double)job->set->count;
    s->points[before].series = series;
    s->points[before].x = x;
    s->points[before].mode = mode;
    return &t->cases[before];
}

static inline packet_set *scaling_packets(unsigned flows, unsigned batch)
{
    traffic_shape *shape = (traffic_shape *)bench_memory(sizeof *shape);

    shape->name = "scaling";
    shape->kind = PKT_TCP4;
    shape->payload_len = 1448;
    shape->flows = flows < batch ? flows : batch;
    shape->churn = flows > batch ? flows : 0;
    return make_packets(shape, batch, PACKET_ROOM);
}

/* Work on a scattered set, which is moved on before each repetition. */
typedef struct scattered_work {
    bench_work work;
    packet_set *set;
} scattered_work;

static inline void prepare_scattered(void *state)
{
    const scattered_work *w = (const scattered_work *)state;

    if (w->work.prepare)
        w->work.prepare(w->work.state);
    next_batch(w->set);
}

static inline size_t run_scattered(void *state)
{
    const scattered_work *w = (const scattered_work *)state;

    return w->work.run(w->work.state);
}

/* The least that memory takes: a byte of each header is read. */
static inline size_t touch(void *state)
{
    const packet_set *set = (const packet_set *)state;
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < set->count; i++)
        all += set->at[i][set->hdr_len - 1];
    bench_sink += all;
    return set->count;
}

static inline void touch_show(void *state, emit_packet emit, void *user)
{
    const packet_set *set = (const packet_set *)state;
    size_t i;

    for (i = 0; i < set->count; i++)
        emit(user, set->at[i], set->len[i]);
}

/* Where nothing merges. */
static inline int touch_open(const gro_job *job, engine_run *run)
{
    if (job->set->shape->flows < BATCH)
        return 0;
    run->work.state = job->set;
    run->work.run = touch;
    run->show = touch_show;
    return 1;
}

static const engine touch_engine = {"limit_touch", touch_open, NULL, NULL};

/* NULL: the engine does not work on packets where they lie. */
static inline bench_case *add_scattered(scaling_table *s, const char *series, const engine *e, packet_set *set)
{
    gro_job job = {set, 0, 0, TUO_SIMD_DETECT};
    bench_case *c = add_point(s, series, set->shape->flows, e, &job);
    scattered_work *w;

    if (!c)
        return NULL;
    w = (scattered_work *)bench_memory(sizeof *w);
    w->work = c->work;
    w->set = set;
    c->work.state = w;
    c->work.prepare = prepare_scattered;
    c->work.run = run_scattered;
    return c;
}

/* The unit of the cold row is the work of the warm one. */
static inline void add_cold_and_warm(scaling_table *s, const char *const *series, const engine *e, packet_set *const *sets)
{
    bench_case *cold = add_scattered(s, series[0], e, sets[0]), *warm = add_scattered(s, series[1], e, sets[1]);

    if (!cold || !warm)
        return;
    cold->unit = (bench_work *)bench_memory(sizeof *cold->unit);
    *cold->unit = warm->work;
}

static inline void add_cold(scaling_table *s)
{
    static const char *const series[2] = {"cold", "warm"}, *const ack_series[2] = {"cold_acks", "warm_acks"};
    static const traffic_shape shapes[] = {
        {"scattered", PKT_TCP4, 1448, 1, 0, 0, 0},
        {"scattered", PKT_TCP4, 1448, BATCH, 0, 0, 0},
        {"scattered", PKT_TCP4, PKT_ZERO, BATCH, 0, 0, 0},
    };
    size_t i, j;

    for (i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const char *const *names = shapes[i].payload_len == PKT_ZERO ? ack_series : series;
        packet_set *const sets[2] = {make_scattered(&shapes[i], SCATTERED), make_scattered(&shapes[i], BATCH)};
        for (j = 0; j < OWN_COUNT; j++)
            add_cold_and_warm(s, names, own_engines[j], sets);
        for (j = 0; j < s->table.peer_count; j++)
            add_cold_and_warm(s, names, s->table.peers[j], sets);
        add_cold_and_warm(s, names, &touch_engine, sets);
    }
}

static inline void add_scaling(scaling_table *s)
{
    gro_job job = {NULL, 0, 0, TUO_SIMD_DETECT};
    unsigned n;
    size_t i;

    for (n = 1; n <= 65536; n *= 2) {
        job.set = scaling_packets(n, BATCH);
        for (job.verify = 0; job.verify < 2; job.verify++) {
            for (i = 0; i < OWN_COUNT; i++)
                add_point(s, "flows", n, own_engines[i], &job);
            for (i = 0; i < s->table.peer_count; i++)
                add_point(s, "flows", n, s->table.peers[i], &job);
        }
    }
    for (n = 1; n <= BATCH; n *= 2) {
        job.set = scaling_packets(1, n);
        for (job.verify = 0; job.verify < 2; job.verify++)
            for (i = 0; i < OWN_COUNT; i++)
                add_point(s, "batch", n, own_engines[i], &job);
    }
    add_cold(s);
}

static inline int is_scattered(const scaling_point *p)
{
    return strncmp(p->series, "cold", 4) == 0 || strncmp(p->series, "warm", 4) == 0;
}

static inline void print_scaling(const scaling_table *s)
{
    size_t i, j;

    printf("\nnanoseconds for a packet of 1500 bytes; gather\n%-34s %12s %12s\n", "", "trust", "verify");
    for (i = 0; i < s->table.count; i++) {
        const bench_case *c = &s->table.cases[i];
        if (is_scattered(&s->points[i]) || strcmp(c->implementation, "tunoffload") != 0 || strcmp(s->points[i].mode, "trust_gather") != 0)
            continue;
        printf("%-5s %-28u %12.1f", s->points[i].series, s->points[i].x, c->ns_median);
        for (j = i + 1; j < s->table.count; j++)
            if (s->points[j].x == s->points[i].x && strcmp(s->points[j].series, s->points[i].series) == 0 &&
                strcmp(s->table.cases[j].implementation, c->implementation) == 0)
                printf(" %12.1f", s->table.cases[j].ns_median);
        printf("\n");
    }
}

/* A cold row has the warm one as its unit, and it comes next. Neighbours who use the same memory disturb the median; the least says what
   the packets cost. */
static inline void print_cold(const scaling_table *s)
{
    size_t i;

    printf("\nnanoseconds for a packet in memory (cold) and in the caches (warm), median and least; trust, gather\n");
    printf("%-34s %10s %10s %10s %10s %10s %10s\n", "", "cold", "least", "warm", "least", "cold/warm", "of least");
    for (i = 0; i < s->table.count; i++) {
        const bench_case *c = &s->table.cases[i], *warm = c + 1;
        if (c->unit)
            printf("%-10s %3u %-19s %10.1f %10.1f %10.1f %10.1f %10.2f %10.2f\n", s->points[i].series, s->points[i].x, c->implementation,
                   c->ns_median, c->ns_min, c->ns_median / c->ratio_median, warm->ns_min, c->ratio_median, c->ns_min / warm->ns_min);
    }
}

static inline void write_scaling(const scaling_table *s, const char *directory)
{
    FILE *f = open_csv(directory, "scaling.csv");
    size_t i;

    fprintf(f, "series,x,implementation,mode,ns_median,ns_min,ns_max\n");
    for (i = 0; i < s->table.count; i++) {
        const bench_case *c = &s->table.cases[i];
        const scaling_point *p = &s->points[i];
        fprintf(f, "%s,%u,%s,%s,", p->series, p->x, c->implementation, p->mode);
        fprintf(f, "%.2f,%.2f,%.2f\n", c->ns_median, c->ns_min, c->ns_max);
    }
    if (fclose(f) != 0)
        bench_die("cannot write", "scaling.csv");
}

/* ------------------------------------------------------------------------------------------------------------ memory */

static inline void print_memory_of(const char *what, uint32_t packets, uint32_t flows, uint32_t items)
{
    tuo_gro_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.max_packets = packets;
    desc.max_flows = flows;
    desc.max_items_per_flow = items;
    printf("%-34s %12.1f KiB\n", what, (double)tuo_gro_memory_size(&desc) / 1024);
}

static inline void print_memory(void)
{
    printf("\nmemory of an instance\n");
    print_memory_of("zero desc (256 packets, 128 flows)", 0, 0, 0);
    print_memory_of("64 packets, 64 flows", 64, 64, 0);
    print_memory_of("128 packets, 16 flows", 128, 16, 0);
    print_memory_of("1024 packets, 1024 flows", 1024, 1024, 0);
    print_memory_of("4096 packets, 65536 flows", 4096, 65536, 0);
}

#endif /* BENCH_SCALING_H */
