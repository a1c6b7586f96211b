/* scaling.h - what a packet costs with more flows and in smaller batches. Include after rows.h and report.h.

   flows   batches of 128 packets from 1 to 65536 flows: packets take turns; from 128 flows on each packet of a batch is the only
           one of its flow, above that every batch has other flows than the one before
   batch   1 to 128 packets of one flow between two drains */
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

static inline void add_point(scaling_table *s, const char *series, unsigned x, const engine *e, const gro_job *job)
{
    const char *mode = job->verify ? "verify_gather" : "trust_gather";
    bench_table *t = &s->table;
    char row[NAME_MAX_LEN];
    size_t before = t->count;

    snprintf(row, sizeof row, "scaling_%s_%u_%s", series, x, mode);
    add_gro_case(t, row, e->name, e, job, NULL);
    if (t->count == before)
        return;
    t->cases[before].pieces = (double)job->set->count;
    s->points[before].series = series;
    s->points[before].x = x;
    s->points[before].mode = mode;
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

static inline void add_scaling(scaling_table *s)
{
    gro_job job = {NULL, 0, 0, TUO_SIMD_DETECT};
    unsigned n;
    size_t i;

    for (n = 1; n <= 65536; n *= 2) {
        job.set = scaling_packets(n, BATCH);
        for (job.verify = 0; job.verify < 2; job.verify++) {
            add_point(s, "flows", n, &tunoffload_engine, &job);
            for (i = 0; i < s->table.peer_count; i++)
                add_point(s, "flows", n, s->table.peers[i], &job);
        }
    }
    for (n = 1; n <= BATCH; n *= 2) {
        job.set = scaling_packets(1, n);
        for (job.verify = 0; job.verify < 2; job.verify++)
            add_point(s, "batch", n, &tunoffload_engine, &job);
    }
}

static inline void print_scaling(const scaling_table *s)
{
    size_t i, j;

    printf("\nnanoseconds for a packet of 1500 bytes; gather\n%-34s %12s %12s\n", "", "trust", "verify");
    for (i = 0; i < s->table.count; i++) {
        const bench_case *c = &s->table.cases[i];
        if (strcmp(c->implementation, "tunoffload") != 0 || strcmp(s->points[i].mode, "trust_gather") != 0)
            continue;
        printf("%-5s %-28u %12.1f", s->points[i].series, s->points[i].x, c->ns_median);
        for (j = i + 1; j < s->table.count; j++)
            if (s->points[j].x == s->points[i].x && strcmp(s->points[j].series, s->points[i].series) == 0 &&
                strcmp(s->table.cases[j].implementation, c->implementation) == 0)
                printf(" %12.1f", s->table.cases[j].ns_median);
        printf("\n");
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
