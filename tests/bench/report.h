/* report.h - the table on stdout and micro.csv. Include after rows.h. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/* Columns of the table. A row of several limits shows the one that comes first here. */
static const struct {
    const char *implementation, *title;
} report_columns[] = {
    {"tunoffload", "best"},       {"tunoffload_batch", "batch"},   {"tunoffload_scalar", "scalar"}, {"tunoffload_sse2", "sse2"}, {"tunoffload_neon", "neon"},
    {"tunoffload_avx2", "avx2"},  {"tunoffload_avx512", "avx512"}, {"dpdk", "dpdk"},            {"textbook", "textbook"},
    {"plain_loop", "plain"},      {"limit_fused", "limit"},        {"limit_sum", "limit"},      {"limit_memcpy", "limit"},
};

enum { COLUMN_COUNT = sizeof report_columns / sizeof report_columns[0] };

static inline const bench_case *find_case(const bench_table *t, const char *row, const char *implementation)
{
    size_t i;

    for (i = 0; i < t->count; i++)
        if (strcmp(t->cases[i].row, row) == 0 && strcmp(t->cases[i].implementation, implementation) == 0)
            return &t->cases[i];
    return NULL;
}

static inline int column_used(const bench_table *t, const char *title)
{
    size_t i, j;

    for (i = 0; i < COLUMN_COUNT; i++)
        for (j = 0; j < t->count && strcmp(report_columns[i].title, title) == 0; j++)
            if (strcmp(t->cases[j].implementation, report_columns[i].implementation) == 0)
                return 1;
    return 0;
}

static inline int column_starts(size_t i)
{
    return i == 0 || strcmp(report_columns[i].title, report_columns[i - 1].title) != 0;
}

static inline void print_title(const bench_table *t)
{
    size_t i;

    printf("%-34s %9s %9s %7s", "row: ns, ns, then ratios to memcpy", "memcpy", "ours", "spread");
    for (i = 0; i < COLUMN_COUNT; i++)
        if (column_starts(i) && column_used(t, report_columns[i].title))
            printf(" %8.8s", report_columns[i].title);
    printf("\n");
}

/* Times of the first implementation and of its unit, in nanoseconds; then every implementation's ratio. */
static inline void print_row(const bench_table *t, const bench_case *first)
{
    size_t i, j;

    printf("%-34s %9.1f %9.1f %6.0f%%", first->row, first->ns_median / first->ratio_median, first->ns_median,
           100 * (first->ns_median - first->ns_min) / first->ns_median);
    for (i = 0; i < COLUMN_COUNT; i++) {
        const bench_case *c = NULL;
        if (!column_starts(i) || !column_used(t, report_columns[i].title))
            continue;
        for (j = i; j < COLUMN_COUNT && !c && strcmp(report_columns[j].title, report_columns[i].title) == 0; j++)
            c = find_case(t, first->row, report_columns[j].implementation);
        if (c)
            printf(" %8.2f", c->ratio_median);
        else
            printf(" %8s", "-");
    }
    printf("\n");
}

static inline void print_table(const bench_table *t)
{
    size_t i, j;

    print_title(t);
    for (i = 0; i < t->count; i++) {
        for (j = 0; j < i && strcmp(t->cases[j].row, t->cases[i].row) != 0; j++)
            continue;
        if (j == i)
            print_row(t, &t->cases[i]);
    }
}

static inline int is_peer(const bench_table *t, const char *implementation)
{
    size_t i;

    for (i = 0; i < t->peer_count; i++)
        if (strcmp(t->peers[i]->name, implementation) == 0)
            return 1;
    return 0;
}

/* The rows in which a peer is faster. */
static inline void print_summary(const bench_table *t)
{
    unsigned compared = 0, slower = 0;
    size_t i;

    printf("\n");
    for (i = 0; i < t->count; i++) {
        const bench_case *c = &t->cases[i], *ours = find_case(t, c->row, "tunoffload");
        if (!ours || !is_peer(t, c->implementation))
            continue;
        compared++;
        if (c->ratio_median >= ours->ratio_median)
            continue;
        slower++;
        printf("%s: %s is faster, %.2f against %.2f\n", c->row, c->implementation, c->ratio_median, ours->ratio_median);
    }
    printf("slower than a peer in %u of %u comparisons\n", slower, compared);
}

static inline FILE *open_csv(const char *directory, const char *name)
{
    char path[1024];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    f = fopen(path, "w");
    if (!f)
        bench_die("cannot write", path);
    return f;
}

static inline void write_csv(const bench_table *t, const char *directory)
{
    FILE *f = open_csv(directory, "micro.csv");
    size_t i;

    fprintf(f, "row,implementation,ns_median,ns_min,ns_max,ratio_memcpy\n");
    for (i = 0; i < t->count; i++) {
        const bench_case *c = &t->cases[i];
        fprintf(f, "%s,%s,%.2f,%.2f,%.2f,%.4f\n", c->row, c->implementation, c->ns_median, c->ns_min, c->ns_max, c->ratio_median);
    }
    if (fclose(f) != 0)
        bench_die("cannot write", "micro.csv");
}

#endif /* BENCH_REPORT_H */
