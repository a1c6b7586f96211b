/* queues - one device with 1 to N queues, a thread for each; and what a queue costs in memory. Prints both, writes a CSV file.
   Needs root.

   cc -std=c99 -O2 -I. -Itests/lib -pthread -o build/bench/queues tests/bench/queues.c && build/bench/queues [CSV [SECONDS [ROUNDS]]]

   Each thread writes batches of 128 TCP segments of one flow to its queue (verified and coalesced into superpackets), which the
   kernel routes back into the same device; the thread then reads its queue until nothing is there (split into segments). All of
   that happens inside its system calls, so N threads keep N CPUs busy, and what does not scale shows. N: the CPUs at hand, at
   most 4; thread i runs on the i-th of them. packets_per_s: packets that came back, of all threads, by the clock; ns_per_packet:
   CPU of the process for each of them, so a flat line is perfect scaling. Medians of interleaved rounds. "own queue": packets
   that came back to the thread that wrote them, as the kernel's steering by flow wants it. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "netns.h"
#include "packets.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>

enum { QUEUES_MAX = 4, BATCH = 128, PAYLOAD = 1448, BUF_LEN = 2048, ROUNDS_MAX = 101, MEMORY_LIMIT_KIB = 560 };

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    tuo_tun *tun;
    uint8_t number;
    size_t cpu;
    double seconds;
    uint64_t written, read, own;
    tuo_result failure;
    tuo_buf out[BATCH], in[BATCH];
    void *out_pointers[BATCH], *in_pointers[BATCH];
    uint8_t out_bytes[BATCH][BUF_LEN], in_bytes[BATCH][BUF_LEN];
};

/* Of one number of queues. */
struct row {
    double packets_per_s[ROUNDS_MAX], ns_per_packet[ROUNDS_MAX], own[ROUNDS_MAX];
};

static struct worker workers[QUEUES_MAX];
static struct row rows[QUEUES_MAX];
static size_t cpus[QUEUES_MAX], cpu_count;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "queues: %s: %s\n", what, why);
    exit(1);
}

static double clock_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void find_cpus(void)
{
    cpu_set_t allowed;
    size_t i;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        die("sched_getaffinity", strerror(errno));
    for (i = 0; i < sizeof allowed * 8 && cpu_count < QUEUES_MAX; i++)
        if (CPU_ISSET(i, &allowed))
            cpus[cpu_count++] = i;
}

static void pin(size_t cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

/* --- a thread --- */

static void make_packets(struct worker *w)
{
    unsigned i;

    for (i = 0; i < BATCH; i++) {
        pkt_spec spec = {0};

        spec.src = spec.dst = (uint16_t)(1 + w->number);
        spec.src_port = 1000 + w->number;
        spec.seq = i * PAYLOAD;
        spec.payload_len = PAYLOAD;
        w->out[i].data = w->out_bytes[i];
        w->out[i].capacity = w->in[i].capacity = BUF_LEN;
        w->out[i].len = pkt_build(w->out_bytes[i], BUF_LEN, &spec);
        w->out_pointers[i] = &w->out[i];
        w->in[i].data = w->in_bytes[i];
        w->in_pointers[i] = &w->in[i];
    }
}

static tuo_result write_batch(struct worker *w)
{
    size_t taken;
    tuo_result result = tuo_tun_send_batch(w->tun, NULL, w->out_pointers, BATCH, 0, &taken);

    while (result == TUO_AGAIN)
        result = tuo_tun_flush(w->tun);
    w->written += taken;
    return result;
}

static tuo_result read_all(struct worker *w)
{
    size_t i, count;
    tuo_result result;

    while ((result = tuo_tun_recv_batch(w->tun, NULL, w->in_pointers, BATCH, 0, &count)) == TUO_OK) {
        w->read += count;
        for (i = 0; i < count; i++)
            w->own += pkt_get16(w->in_bytes[i] + 20) == 1000u + w->number; /* the source port */
    }
    return result == TUO_AGAIN ? TUO_OK : result;
}

static void *run(void *argument)
{
    struct worker *const w = (struct worker *)argument;
    double end;

    pin(w->cpu);
    (void)pthread_barrier_wait(w->start);
    end = clock_s(CLOCK_MONOTONIC) + w->seconds;
    while (w->failure == TUO_OK && clock_s(CLOCK_MONOTONIC) < end) {
        w->failure = write_batch(w);
        if (w->failure == TUO_OK)
            w->failure = read_all(w);
    }
    return NULL;
}

/* --- a measurement --- */

static tuo_tun_group *open_set(size_t queues)
{
    tuo_tun_desc desc = {0};
    tuo_tun_group *set = NULL;
    int error = 0;

    desc.up = 1;
    desc.address4 = "10.2.255.254/16"; /* where the packets go, so back into the device */
    if (tuo_tun_group_open(&set, &desc, queues, &error) != TUO_OK)
        die("TUN device", strerror(error));
    return set;
}

static void start(size_t queues, double seconds, tuo_tun_group *set, pthread_barrier_t *barrier)
{
    size_t i;
    int error;

    for (i = 0; i < queues; i++) {
        struct worker *const w = &workers[i];

        memset(w, 0, sizeof *w);
        w->start = barrier;
        w->tun = tuo_tun_group_queue(set, i);
        w->number = (uint8_t)i;
        w->cpu = cpus[i];
        w->seconds = seconds;
        make_packets(w);
        error = pthread_create(&w->thread, NULL, run, w);
        if (error)
            die("thread", strerror(error));
    }
}

static void measure(size_t queues, double seconds, int round)
{
    struct row *const row = &rows[queues - 1];
    tuo_tun_group *const set = open_set(queues);
    pthread_barrier_t barrier;
    double wall, cpu;
    uint64_t got = 0, own = 0, written = 0;
    size_t i;

    (void)pthread_barrier_init(&barrier, NULL, (unsigned)queues + 1);
    start(queues, seconds, set, &barrier);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    wall = clock_s(CLOCK_MONOTONIC);
    (void)pthread_barrier_wait(&barrier);
    for (i = 0; i < queues; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        if (workers[i].failure != TUO_OK)
            die("carrying packets", tuo_result_text(workers[i].failure));
        got += workers[i].read;
        own += workers[i].own;
        written += workers[i].written;
    }
    wall = clock_s(CLOCK_MONOTONIC) - wall;
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (got < written / 2)
        die("carrying packets", "less than half came back");
    row->packets_per_s[round] = (double)got / wall;
    row->ns_per_packet[round] = cpu * 1e9 / (double)got;
    row->own[round] = (double)own / (double)got;
    (void)pthread_barrier_destroy(&barrier);
    tuo_tun_group_close(set);
}

/* --- results --- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts its input. */
static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void report(const char *csv_path, int rounds)
{
    FILE *const csv = csv_path ? fopen(csv_path, "w") : NULL;
    size_t i;

    if (csv_path && !csv)
        die(csv_path, strerror(errno));
    if (csv)
        fputs("queues,packets_per_s,ns_per_packet\n", csv);
    printf("%6s %14s %14s %10s\n", "queues", "packets/s", "CPU ns/packet", "own queue");
    for (i = 0; i < cpu_count; i++) {
        const double rate = median(rows[i].packets_per_s, rounds), cost = median(rows[i].ns_per_packet, rounds);

        printf("%6zu %14.0f %14.1f %9.1f%%\n", i + 1, rate, cost, 100 * median(rows[i].own, rounds));
        if (csv)
            fprintf(csv, "%zu,%.0f,%.2f\n", i + 1, rate, cost);
    }
    if (csv && fclose(csv) != 0)
        die(csv_path, strerror(errno));
}

/* --- memory --- */

static size_t allocated(void)
{
    const struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* 0: more than the limit. */
static int report_memory(void)
{
    const size_t packet = 20 + 20 + 12 + PAYLOAD, per_superpacket = (65535 - 52 + PAYLOAD - 1) / PAYLOAD * packet;
    tuo_tun_desc desc = {0};
    tuo_tun *tun = NULL;
    size_t before = allocated(), queue;
    int error = 0;

    if (tuo_tun_open(&tun, &desc, &error) != TUO_OK)
        die("TUN device", strerror(error));
    queue = allocated() - before;
    tuo_tun_close(tun);
    printf("\nmemory of a queue: %.1f KiB, allocated at open; in it %.1f KiB for a superpacket each way and %.1f KiB for GRO\n",
           (double)queue / 1024, 2.0 * TUOI_RX_LEN / 1024,
           (double)tuo_gro_memory_size(&desc.gro) / 1024);
    printf("packets of a superpacket (%d bytes each), in buffers of the program: %.1f KiB; with the queue: %.1f KiB (limit %d)\n",
           (int)packet, (double)per_superpacket / 1024, (double)(queue + per_superpacket) / 1024, MEMORY_LIMIT_KIB);
    return queue + per_superpacket <= (size_t)MEMORY_LIMIT_KIB * 1024;
}

static int cannot(const char *why)
{
    const char *const ci = getenv("CI");

    printf("queues cannot run: %s\n", why);
    return ci && strcmp(ci, "true") == 0;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    const int rounds = argc > 3 ? atoi(argv[3]) : 5;
    size_t queues;
    int round;

    if (argc > 4 || !(seconds > 0 && seconds < 3600) || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: queues [CSV [SECONDS [ROUNDS]]], 1 to %d rounds\n", ROUNDS_MAX);
        return 2;
    }
    netns_enter();
    if (no_tun)
        return cannot(no_tun);
    put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"); /* no packets but ours */
    put_file("/proc/sys/net/ipv4/conf/all/send_redirects", "0\n");
    put_file("/proc/sys/net/ipv4/conf/default/send_redirects", "0\n");
    find_cpus();
    for (round = 0; round < rounds; round++)
        for (queues = 1; queues <= cpu_count; queues++)
            measure(queues, seconds, round);
    report(argc > 1 ? argv[1] : NULL, rounds);
    if (report_memory())
        return 0;
    printf("memory: over the limit\n");
    return 1;
}
