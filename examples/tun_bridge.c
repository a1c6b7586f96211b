/* tun_bridge - carry packets between two TUN devices, with or without offloads.

   cc -std=c99 -O2 -I. -pthread -o build/tun_bridge examples/tun_bridge.c && build/tun_bridge --help

   One thread per direction and queue: it alone receives from its queue of one device and sends to its queue of the other.
   Where the library is used: open_side() opens the devices, receive() and transmit_some() have a case per mode. The rest reads
   options, impairs packets on request, and stops.

   What the last line counts: packets and bytes handed to the device on the other side (in mode pass a superpacket is one
   packet); superpackets_in and _out: read and written with a GSO type; refused: superpackets that the kernel did not take and
   that were resent as single packets; lost: packets that could not be delivered. What --impair dropped is in none of them. */
#define _GNU_SOURCE /* setns, getopt_long */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    BATCH = 128,          /* packets between two looks at the device: two superpackets, which stay in the cache */
    ROOM_LEFT = 64,       /* a turn that leaves this much room has emptied the device */
    LATE_MAX = 16,        /* packets that --impair holds back at the same time */
    LATE_AFTER = 8,       /* a late packet comes up to this many packets later ... */
    LATE_MS = 2,          /* ... or after this time without any */
    PACKET_MAX = 65535,
    USUAL_PACKET = 2048,  /* buffers in modes that split; they grow if the MTU turns out to be larger */
    QUEUES_MAX = 64
};

enum mode { PLAIN, PASS, SPLIT, OFFLOAD, MODES };
static const char *const mode_names[MODES] = { "plain", "pass", "split", "offload" };

/* What --impair asks for: chances in 1 / 2^32. */
struct impairment {
    uint64_t loss, dup, reorder, seed;
};

struct options {
    const char *side[2]; /* NAME[@NETNS] */
    enum mode mode;
    unsigned long queues, mtu;
    int stats, impaired;
    struct impairment impair;
};

/* The library sees a packet as the tuo_buf that it starts with. */
struct packet {
    tuo_buf buf;
    tuo_vnet_hdr vnet; /* mode pass */
};

struct worker {
    tuo_tun *from, *to;
    const struct options *options;
    pthread_t thread;
    tuo_result failure;       /* why it ended, if not because it was told to */
    const char *failed_side;
    uint64_t packets, bytes, dropped; /* atomic: the main thread reads them at any time */
    /* pool[0..BATCH) is received into; pool[BATCH + i] keeps a late packet while late_in[i] is not 0. */
    struct packet packets_memory[BATCH + LATE_MAX];
    void *pool[BATCH + LATE_MAX];
    unsigned late_in[LATE_MAX], late_count;
    int emptied; /* the last turn left the device without packets: wait before reading it */
    void *impaired[2 * BATCH + LATE_MAX];
    uint64_t random;
};

static int stopping; /* atomic */

/* --- impairment --- */

static uint64_t next_random(struct worker *w) { /* splitmix64 */
    uint64_t z = w->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int happens(struct worker *w, uint64_t chance) { return next_random(w) >> 32 < chance; }

/* Time passes for late packets: those whose turn it is (or all) go to out. */
static size_t release_late(struct worker *w, int all, void **out) {
    size_t i, count = 0;
    for (i = 0; i < LATE_MAX && w->late_count; i++) {
        if (!w->late_in[i]) continue;
        w->late_in[i]--;
        if (w->late_in[i] && !all) continue;
        w->late_in[i] = 0;
        w->late_count--;
        out[count++] = w->pool[BATCH + i];
    }
    return count;
}

/* Keep pool[index] back. Its place gets the buffer of the free slot: nothing is received into that before the batch is sent. */
static int make_late(struct worker *w, size_t index) {
    size_t i;
    void *const packet = w->pool[index];
    for (i = 0; i < LATE_MAX && w->late_in[i]; i++) continue;
    if (i == LATE_MAX) return 0;
    w->late_in[i] = 1 + (unsigned)(next_random(w) % LATE_AFTER);
    w->late_count++;
    w->pool[index] = w->pool[BATCH + i];
    w->pool[BATCH + i] = packet;
    return 1;
}

/* The packets to send in place of pool[0..count): some missing, some twice, some from earlier batches. */
static size_t impair(struct worker *w, size_t count) {
    const struct impairment *const chance = &w->options->impair;
    size_t i, out = 0;
    for (i = 0; i < count; i++) {
        void *const packet = w->pool[i];
        const int lost = happens(w, chance->loss), twice = happens(w, chance->dup), late = happens(w, chance->reorder);
        if (!lost && !(late && make_late(w, i))) {
            w->impaired[out++] = packet;
            if (twice) w->impaired[out++] = packet;
        }
        out += release_late(w, 0, w->impaired + out);
    }
    return out;
}

/* --- carrying packets --- */

static int set_capacity(struct worker *w, size_t cap) {
    size_t i;
    for (i = 0; i < BATCH + LATE_MAX; i++) {
        tuo_buf *const buf = &w->packets_memory[i].buf;
        uint8_t *const data = (uint8_t *)realloc(buf->data, cap);
        if (!data) return 0;
        buf->data = data;
        buf->capacity = cap;
        w->pool[i] = w->pool[i] ? w->pool[i] : buf;
    }
    return 1;
}

/* Fills pool[0..*count). */
static tuo_result receive(struct worker *w, size_t *count) {
    struct packet *const first = (struct packet *)w->pool[0];
    tuo_result result;
    *count = 0;
    switch (w->options->mode) {
        case PLAIN:
        case PASS:
            result = tuo_tun_recv(w->from, first->buf.data, first->buf.capacity, &first->vnet, &first->buf.len);
            *count = result == TUO_OK;
            return result;
        default:
            result = tuo_tun_recv_batch(w->from, NULL, w->pool, BATCH, 0, count);
            if (result == TUO_E_NOSPACE && set_capacity(w, PACKET_MAX)) result = TUO_OK; /* the packet is kept for next time */
            return result;
    }
}

/* Until nothing is held by the queue. */
static tuo_result flush(tuo_tun *to) {
    tuo_result result;
    do result = tuo_tun_flush(to);
    while (result == TUO_AGAIN && (result = tuo_tun_wait(to, 1, -1)) >= 0);
    return result;
}

static tuo_result transmit_one(struct worker *w, const struct packet *packet) {
    tuo_iov iov;
    tuo_result result;
    iov.base = packet->buf.data;
    iov.len = packet->buf.len;
    do {
        if (w->options->mode == PASS) result = tuo_tun_send_iov(w->to, &iov, 1, &packet->vnet);
        else result = tuo_tun_send(w->to, iov.base, iov.len);
    } while (result == TUO_AGAIN && (result = tuo_tun_wait(w->to, 1, -1)) >= 0); /* AGAIN: not taken, so once more */
    return result == TUO_OK ? flush(w->to) : result; /* a resend that stopped halfway */
}

/* Sends the first packets. *done: how many need no further care, whatever the result. */
static tuo_result transmit_some(struct worker *w, void *const *packets, size_t count, size_t *done) {
    tuo_result result;
    if (w->options->mode == OFFLOAD) {
        result = tuo_tun_send_batch(w->to, NULL, packets, count, 0, done);
        if (result == TUO_AGAIN) result = flush(w->to); /* until then the packets that it took must stay where they are */
    } else {
        *done = 1;
        result = transmit_one(w, (const struct packet *)packets[0]);
    }
    if (result != TUO_OK) tuo_tun_discard(w->to); /* it holds pointers to packets that are about to be overwritten */
    return result;
}

static void add(uint64_t *counter, uint64_t n) { __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED); } /* one writer */

static tuo_result transmit(struct worker *w, void *const *packets, size_t count) {
    while (count) {
        uint64_t bytes = 0;
        size_t i, done = 0;
        const tuo_result result = transmit_some(w, packets, count, &done);
        if (result != TUO_OK && result != TUO_E_REFUSED) { /* an interface that is down loses packets, like a cut cable */
            add(&w->dropped, count);
            return result == TUO_E_WOKEN || result == TUO_E_GONE ? result : TUO_OK;
        }
        for (i = 0; i < done; i++) bytes += ((const struct packet *)packets[i])->buf.len;
        add(&w->packets, result == TUO_OK ? done : 0);
        add(&w->bytes, result == TUO_OK ? bytes : 0);
        packets += done;
        count -= done;
    }
    return TUO_OK;
}

/* One turn: what has arrived goes out. */
static tuo_result carry(struct worker *w) {
    void **packets = w->pool;
    size_t count = 0;
    tuo_result result = w->emptied ? TUO_AGAIN : receive(w, &count);
    w->emptied = w->options->mode >= SPLIT && result == TUO_OK && count < BATCH - ROOM_LEFT;
    w->failed_side = tuo_tun_name(w->from);
    if (result == TUO_AGAIN) {
        result = tuo_tun_wait(w->from, 0, w->late_count ? LATE_MS : -1);
        if (result != TUO_AGAIN) return result;
        packets = w->impaired;
        count = release_late(w, 1, packets);
    } else if (result != TUO_OK) {
        return result;
    } else if (w->options->impaired) {
        count = impair(w, count);
        packets = w->impaired;
    }
    w->failed_side = tuo_tun_name(w->to);
    return transmit(w, packets, count);
}

static void *run(void *argument) {
    struct worker *const w = (struct worker *)argument;
    tuo_result result = TUO_OK;
    while (result == TUO_OK && !__atomic_load_n(&stopping, __ATOMIC_RELAXED)) result = carry(w); /* a busy queue never waits */
    if (w->late_count) (void)transmit(w, w->impaired, release_late(w, 1, w->impaired));
    if (result != TUO_OK && result != TUO_E_WOKEN) {
        w->failure = result;
        (void)kill(getpid(), SIGTERM); /* one direction alone is no bridge: the main thread stops the others */
    }
    return NULL;
}

/* --- opening and closing --- */

static void fail(const char *what, const char *why) {
    fprintf(stderr, "tun_bridge: %s: %s\n", what, why);
    exit(1);
}

/* Into a namespace made by `ip netns add`. */
static void enter_netns(const char *name) {
    static const char *const places[] = { "/run/netns/", "/var/run/netns/" };
    char path[256];
    int i, fd = -1;
    for (i = 0; i < 2 && fd < 0; i++) {
        (void)snprintf(path, sizeof path, "%s%s", places[i], name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) fail(name, strerror(errno));
    (void)close(fd);
}

static tuo_tun_group *open_side(const struct options *options, int side) {
    const char *const text = options->side[side], *const at = strchr(text, '@');
    const size_t name_len = at ? (size_t)(at - text) : strlen(text);
    const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    char name[16];
    tuo_tun_desc desc = { 0 };
    tuo_tun_group *set = NULL;
    tuo_result result;
    int error = 0;
    if (name_len >= sizeof name) fail(text, "names of devices have at most 15 characters");
    (void)snprintf(name, sizeof name, "%.*s", (int)name_len, text);
    desc.name = name;
    desc.up = 1;
    desc.mtu = (uint32_t)options->mtu;
    desc.no_vnet_hdr = options->mode == PLAIN;
    desc.gro.max_packets = 2 * BATCH + LATE_MAX;
    if (at) enter_netns(at + 1);
    result = tuo_tun_group_open(&set, &desc, options->queues, &error);
    if (result != TUO_OK) fail(text, error ? strerror(error) : tuo_result_text(result));
    if (at && setns(home, CLONE_NEWNET) < 0) fail("return from the namespace", strerror(errno));
    (void)close(home);
    return set;
}

static struct worker *new_worker(const struct options *options, tuo_tun *from, tuo_tun *to, uint64_t number) {
    struct worker *const w = (struct worker *)calloc(1, sizeof *w);
    if (!w || !set_capacity(w, options->mode < SPLIT ? PACKET_MAX : USUAL_PACKET)) fail("start", strerror(ENOMEM));
    w->options = options;
    w->from = from;
    w->to = to;
    w->random = options->impair.seed + (number << 32);
    return w;
}

static void free_worker(struct worker *w) {
    size_t i;
    for (i = 0; i < BATCH + LATE_MAX; i++) free(w->packets_memory[i].buf.data);
    free(w);
}

/* --- numbers --- */

/* Of both directions: workers of even number carry from a to b. */
struct traffic {
    uint64_t packets[2], bytes[2], dropped;
};

static struct traffic sum_traffic(struct worker *const *workers, size_t count) {
    struct traffic t = { { 0, 0 }, { 0, 0 }, 0 };
    size_t i;
    for (i = 0; i < count; i++) {
        t.packets[i % 2] += __atomic_load_n(&workers[i]->packets, __ATOMIC_RELAXED);
        t.bytes[i % 2] += __atomic_load_n(&workers[i]->bytes, __ATOMIC_RELAXED);
        t.dropped += __atomic_load_n(&workers[i]->dropped, __ATOMIC_RELAXED);
    }
    return t;
}

static void print_rates(const struct traffic *now, const struct traffic *before, double seconds) {
    double rate[4];
    int i;
    for (i = 0; i < 2; i++) {
        rate[i] = (double)(now->bytes[i] - before->bytes[i]) * 8e-6 / seconds;
        rate[2 + i] = (double)(now->packets[i] - before->packets[i]) / seconds;
    }
    printf("a_to_b_mbit_per_s=%.1f b_to_a_mbit_per_s=%.1f ", rate[0], rate[1]);
    printf("a_to_b_packets_per_s=%.0f b_to_a_packets_per_s=%.0f\n", rate[2], rate[3]);
    (void)fflush(stdout);
}

static double seconds_of(const struct timeval *t) { return (double)t->tv_sec + (double)t->tv_usec * 1e-6; }

/* Every worker has ended. Each packet that could not be sent is in dropped or in tx_refused_packets, not in both. */
static void print_totals(const struct traffic *t, tuo_tun_group *const *sides, size_t queues) {
    uint64_t in = 0, out = 0, refused = 0, lost = t->dropped;
    struct rusage used;
    size_t i;
    for (i = 0; i < 2 * queues; i++) {
        const tuo_tun *const tun = tuo_tun_group_queue(sides[i % 2], i / 2);
        tuo_tun_rx_stats rx;
        tuo_tun_tx_stats tx;
        tuo_tun_query_rx_stats(tun, &rx);
        tuo_tun_query_tx_stats(tun, &tx);
        in += rx.rx_superpackets;
        out += tx.tx_superpackets;
        refused += tx.tx_refused_superpackets;
        lost += rx.rx_truncated + rx.rx_refused + tx.tx_refused_packets;
    }
    (void)getrusage(RUSAGE_SELF, &used);
    printf("a_to_b_packets=%" PRIu64 " a_to_b_bytes=%" PRIu64, t->packets[0], t->bytes[0]);
    printf(" b_to_a_packets=%" PRIu64 " b_to_a_bytes=%" PRIu64, t->packets[1], t->bytes[1]);
    printf(" superpackets_in=%" PRIu64 " superpackets_out=%" PRIu64 " refused=%" PRIu64 " lost=%" PRIu64, in, out, refused, lost);
    printf(" user_s=%.3f sys_s=%.3f\n", seconds_of(&used.ru_utime), seconds_of(&used.ru_stime));
    (void)fflush(stdout);
}

/* --- options --- */

static void usage(FILE *to) {
    fputs("usage: tun_bridge --a NAME[@NETNS] --b NAME[@NETNS] [options]\n"
          "Opens both TUN devices, brings them up and carries packets between them until SIGINT or SIGTERM. Needs CAP_NET_ADMIN\n"
          "(and CAP_SYS_ADMIN for NETNS, a namespace of `ip netns`).\n"
          "  --mode plain     no vnet header: one packet per read and write\n"
          "         pass      superpackets straight through\n"
          "         split     split on read, written one by one\n"
          "         offload   split on read, checked and coalesced on write (default)\n"
          "  --queues N       queues of each device, 1 to 64; two threads each (1)\n"
          "  --mtu N          of both devices (what they have)\n"
          "  --stats          a line of rates every second\n"
          "  --impair loss=P,dup=P,reorder=P,seed=N   percentages of packets (in mode pass, of superpackets), each way\n"
          "  --help           this text\n", to);
}

static void bad_option(const char *option, const char *value) {
    fprintf(stderr, "tun_bridge: %s: bad value '%s' (--help)\n", option, value ? value : "");
    exit(2);
}

static unsigned long number(const char *option, const char *text, unsigned long low, unsigned long high) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || value < low || value > high) bad_option(option, text);
    return value;
}

static void read_impairment(struct options *options, char *text) {
    static char loss[] = "loss", dup[] = "dup", reorder[] = "reorder", seed[] = "seed";
    char *const names[] = { loss, dup, reorder, seed, NULL };
    uint64_t *const chances[] = { &options->impair.loss, &options->impair.dup, &options->impair.reorder };
    options->impaired = 1;
    while (*text) {
        char *value, *end;
        double percent;
        const int which = getsubopt(&text, names, &value);
        if (which < 0 || !value) bad_option("--impair", value);
        if (which == 3) {
            options->impair.seed = number("--impair seed", value, 0, (unsigned long)-1);
            continue;
        }
        percent = strtod(value, &end);
        if (end == value || *end || !(percent >= 0 && percent <= 100)) bad_option("--impair", value);
        *chances[which] = (uint64_t)(percent / 100 * 4294967296.0);
    }
}

static enum mode read_mode(const char *text) {
    int mode = 0;
    while (mode < MODES && strcmp(text, mode_names[mode]) != 0) mode++;
    if (mode == MODES) bad_option("--mode", text);
    return (enum mode)mode;
}

static struct options read_options(int argc, char **argv) {
    static const struct option known[] = {
        { "a", 1, NULL, 'a' }, { "b", 1, NULL, 'b' }, { "mode", 1, NULL, 'm' }, { "queues", 1, NULL, 'q' },
        { "mtu", 1, NULL, 'u' }, { "stats", 0, NULL, 's' }, { "impair", 1, NULL, 'i' }, { "help", 0, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    struct options options = { { NULL, NULL }, OFFLOAD, 1, 0, 0, 0, { 0, 0, 0, 0 } };
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
            case 'a': options.side[0] = optarg; break;
            case 'b': options.side[1] = optarg; break;
            case 'm': options.mode = read_mode(optarg); break;
            case 'q': options.queues = number("--queues", optarg, 1, QUEUES_MAX); break;
            case 'u': options.mtu = number("--mtu", optarg, 68, PACKET_MAX); break;
            case 's': options.stats = 1; break;
            case 'i': read_impairment(&options, optarg); break;
            case 'h': usage(stdout); exit(0);
            default: usage(stderr); exit(2);
        }
    }
    if (!options.side[0] || !options.side[1] || optind != argc) {
        usage(stderr);
        exit(2);
    }
    return options;
}

/* --- main thread: start, wait for a signal, stop --- */

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void until_signal(const sigset_t *signals, int stats, struct worker *const *workers, size_t count) {
    const struct timespec second = { 1, 0 };
    struct traffic before = sum_traffic(workers, count), now;
    double then = seconds_now();
    while (sigtimedwait(signals, NULL, &second) < 0) {
        now = sum_traffic(workers, count);
        if (stats) print_rates(&now, &before, seconds_now() - then);
        before = now;
        then = seconds_now();
    }
}

int main(int argc, char **argv) {
    const struct options options = read_options(argc, argv);
    struct worker *workers[2 * QUEUES_MAX];
    const size_t count = 2 * options.queues;
    tuo_tun_group *sides[2];
    struct traffic traffic;
    sigset_t signals;
    size_t i;
    int status = 0;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads: only sigtimedwait gets them */
    for (i = 0; i < 2; i++) sides[i] = open_side(&options, (int)i);
    for (i = 0; i < count; i++) {
        tuo_tun *const from = tuo_tun_group_queue(sides[i % 2], i / 2), *const to = tuo_tun_group_queue(sides[1 - i % 2], i / 2);
        workers[i] = new_worker(&options, from, to, i);
    }
    for (i = 0; i < count; i++) {
        const int error = pthread_create(&workers[i]->thread, NULL, run, workers[i]);
        if (error) fail("start", strerror(error));
    }
    fprintf(stderr, "tun_bridge: %s <-> %s, mode %s\n", options.side[0], options.side[1], mode_names[options.mode]);
    until_signal(&signals, options.stats, workers, count);
    __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
    for (i = 0; i < 2; i++) tuo_tun_group_wake(sides[i]);
    for (i = 0; i < count; i++) (void)pthread_join(workers[i]->thread, NULL);
    traffic = sum_traffic(workers, count);
    print_totals(&traffic, sides, options.queues);
    for (i = 0; i < count; i++) {
        const struct worker *const w = workers[i];
        if (w->failure != TUO_OK) {
            fprintf(stderr, "tun_bridge: %s: %s\n", w->failed_side, tuo_result_text(w->failure));
            status = 1;
        }
        free_worker(workers[i]);
    }
    for (i = 0; i < 2; i++) tuo_tun_group_close(sides[i]);
    return status;
}
