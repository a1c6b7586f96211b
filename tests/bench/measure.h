/* measure.h - times many small pieces of work fairly.

   A case is a piece of work and the unit it is measured in: the memcpy of the same payload. Every round runs every case once, its
   unit right next to it, so that what disturbs one disturbs both; the ratio is taken within the round. What is reported is the
   median of the ratios, and median, least and greatest of the times.

   A sample repeats its work until it takes SAMPLE_NS. Work that changes its input has a prepare function, which runs before each
   repetition and once after the last, and is not timed; then each repetition is timed by itself and the cost of reading the clock
   is taken off. That each repetition made as much as it should is checked in every sample. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SAMPLE_NS = 25000, SAMPLE_REPS_MIN = 8, NAME_MAX_LEN = 48 };

typedef struct bench_work {
    void *state;
    void (*prepare)(void *state); /* NULL: nothing to prepare */
    size_t (*run)(void *state);   /* returns how many packets (or sums) it made */
    size_t makes;                 /* how many those must be */
    unsigned reps;                /* of one sample; 0 until calibrated */
} bench_work;

typedef struct bench_case {
    char row[NAME_MAX_LEN], implementation[NAME_MAX_LEN];
    bench_work work;
    bench_work *unit;             /* NULL: not compared */
    double pieces;                /* one repetition does this many; times are reported for one */
    double *ns, *ratio;           /* one per round */
    double ns_median, ns_min, ns_max, ratio_median;
} bench_case;

/* What the work computed goes here, so that no compiler can leave it out. */
static volatile uint64_t bench_sink;

static inline void bench_die(const char *what, const char *which)
{
    fflush(stdout);
    fprintf(stderr, "bench: %s: %s\n", which, what);
    exit(1);
}

/* Page-aligned memory of small pages, whatever the machine prefers; every page of it touched. Never freed. */
static inline void *bench_memory(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bench_die("out of memory", "mmap");
    (void)madvise(p, len, MADV_NOHUGEPAGE);
    memset(p, 1, len);
    memset(p, 0, len);
    return p;
}

static inline double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts its input. */
static inline double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* What a pair of clock readings adds to the time between them. */
static inline double clock_cost(void)
{
    static double cost = -1;
    double times[1001];
    size_t i;

    if (cost >= 0)
        return cost;
    for (i = 0; i < sizeof times / sizeof times[0]; i++) {
        double start = now_ns();
        times[i] = now_ns() - start;
    }
    cost = median(times, sizeof times / sizeof times[0]);
    return cost;
}

/* Keeps the process on one processor: the one given, or the one it is on. The processor's number, or -1. */
static inline int pin_to_processor(int processor)
{
    cpu_set_t set;

    if (processor < 0)
        processor = sched_getcpu();
    if (processor < 0)
        return -1;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? processor : -1;
}

/* Nanoseconds of one repetition. */
static inline double time_work(const bench_work *w, unsigned reps, const char *which)
{
    double total = 0, start;
    size_t made = 0;
    unsigned i;

    if (w->prepare) {
        for (i = 0; i < reps; i++) {
            w->prepare(w->state);
            start = now_ns();
            made += w->run(w->state);
            total += now_ns() - start - clock_cost();
        }
        w->prepare(w->state);
    } else {
        start = now_ns();
        for (i = 0; i < reps; i++)
            made += w->run(w->state);
        total = now_ns() - start;
    }
    if (made != reps * w->makes)
        bench_die("a repetition made less or more than it should", which);
    return total / reps;
}

/* Brings the work's memory back into the cache and its branches into the predictor, then takes one sample. */
static inline double take_sample(bench_work *w, const char *which)
{
    double ns;

    if (!w->reps) {
        time_work(w, 3, which);
        ns = time_work(w, 10, which);
        w->reps = (unsigned)(SAMPLE_NS / (ns > 1 ? ns : 1)) + 1;
        if (w->reps < SAMPLE_REPS_MIN && ns * SAMPLE_REPS_MIN < 4 * SAMPLE_NS)
            w->reps = SAMPLE_REPS_MIN;
    }
    time_work(w, w->reps / 3 + 1, which);
    return time_work(w, w->reps, which);
}

/* The unit comes first in even rounds and last in odd ones. */
static inline void measure_once(bench_case *c, unsigned round, double *ns, double *ratio)
{
    double own, unit = 0;

    if (c->unit && round % 2 == 0)
        unit = take_sample(c->unit, c->row);
    own = take_sample(&c->work, c->row);
    if (c->unit && round % 2)
        unit = take_sample(c->unit, c->row);
    *ns = own / c->pieces;
    *ratio = c->unit ? own / unit : 0;
}

static inline void summarise(bench_case *c, unsigned rounds)
{
    c->ratio_median = median(c->ratio, rounds);
    c->ns_median = median(c->ns, rounds);
    c->ns_min = c->ns[0];
    c->ns_max = c->ns[rounds - 1];
}

static inline void measure_all(bench_case *cases, size_t count, unsigned rounds)
{
    const unsigned warm_up = 3;
    double unused;
    unsigned round;
    size_t i;

    for (i = 0; i < count; i++) {
        cases[i].ns = (double *)bench_memory(rounds * sizeof(double));
        cases[i].ratio = (double *)bench_memory(rounds * sizeof(double));
    }
    for (round = 0; round < warm_up + rounds; round++)
        for (i = 0; i < count; i++) {
            bench_case *c = &cases[i];
            if (round < warm_up)
                measure_once(c, round, &unused, &unused);
            else
                measure_once(c, round, &c->ns[round - warm_up], &c->ratio[round - warm_up]);
        }
    for (i = 0; i < count; i++)
        summarise(&cases[i], rounds);
}

#endif /* BENCH_MEASURE_H */
