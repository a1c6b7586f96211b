/* Threads of the Linux TUN backend, for ThreadSanitizer: one reader and one writer per queue at the same time, several queues at
   once, wake-up and close from another thread. Needs root and /dev/net/tun; works in a network namespace of its own. Also runs
   without a sanitizer, and then still checks that nothing is damaged or invented on the way. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "netns.h"
#include "tun_facts.h"
#include "asleep.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { QUEUES_MAX = 4, BATCH = 20, BATCHES = 150, BUFS = 64, CAP = 2048, PAYLOAD = 500 };

static int ready(void)
{
    return netns_ready();
}

static void enter_namespace(void)
{
    netns_enter();
    if (!no_tun)
        put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n");
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&t, &t) != 0) {
    }
}

/* ---------------------------------------------------------------------------------------- a thread per direction */

/* One direction of one queue. Only its thread touches it; the main thread reads it after the join. */
typedef struct worker {
    pthread_t thread;
    int thread_id;        /* asleep.h */
    tuo_tun *tun;
    int from_b;           /* which way the packets go */
    unsigned number;      /* of the queue: its flows have ports of their own */
    pkt_kind kind;
    tuo_result result;    /* of the call that ended the thread */
    int verbs;            /* push, flush and next instead of batches; and every 64th packet is answered by the reading thread */
    unsigned long packets, damaged, injected;
    tuo_buf bufs[BUFS];
    void *pointers[BUFS];
    uint8_t bytes[BUFS][CAP];
} worker;

static void worker_buffers(worker *w)
{
    size_t i;

    for (i = 0; i < BUFS; i++) {
        w->bufs[i].data = w->bytes[i];
        w->bufs[i].capacity = CAP;
        w->bufs[i].len = 0;
        w->pointers[i] = &w->bufs[i];
    }
}

/* Fills the buffers with a batch. b's packets are those of a with the addresses exchanged; checksums stay as they are. */
static void worker_batch(worker *w, unsigned round)
{
    size_t i;

    for (i = 0; i < BATCH; i++) {
        pkt_spec s = {.kind = w->kind, .src = 7, .dst = 5, .src_port = (int32_t)(1000 + w->number), .payload_len = PAYLOAD};
        s.seq = (uint32_t)(round * BATCH + i) * PAYLOAD;
        s.ip_id = (uint16_t)(round * BATCH + i);
        s.payload_seed = w->number;
        w->bufs[i].len = pkt_build(w->bytes[i], CAP, &s);
        if (w->from_b) {
            uint8_t address[4];
            memcpy(address, w->bytes[i] + 12, 4);
            memcpy(w->bytes[i] + 12, w->bytes[i] + 16, 4);
            memcpy(w->bytes[i] + 16, address, 4);
        }
    }
}

static tuo_result push_batch(worker *w, size_t *taken)
{
    tuo_result result = TUO_OK;

    for (*taken = 0; *taken < BATCH && result == TUO_OK; ++*taken) {
        result = tuo_tun_push(w->tun, w->bufs[*taken].data, w->bufs[*taken].len);
        memset(w->bufs[*taken].data, 0xee, 40); /* the bytes are free */
    }
    return result == TUO_OK ? tuo_tun_flush(w->tun) : result;
}

static void *writer_main(void *argument)
{
    worker *w = (worker *)argument;
    unsigned round;
    size_t taken;

    for (round = 0; round < BATCHES; round++) {
        worker_batch(w, round);
        w->result = w->verbs ? push_batch(w, &taken) : tuo_tun_send_batch(w->tun, NULL, w->pointers, BATCH, 0, &taken);
        while (w->result == TUO_AGAIN) {
            w->result = tuo_tun_wait(w->tun, 1, 1000);
            if (w->result == TUO_OK)
                w->result = tuo_tun_flush(w->tun);
        }
        if (w->result != TUO_OK)
            break;
        w->packets += taken;
        if (round % 50 == 49) { /* settings belong to the sending thread */
            tuo_gro_desc gro;
            memset(&gro, 0, sizeof gro);
            gro.max_segs = round % 100 == 49 ? 8 : 0;
            w->result = tuo_tun_configure(w->tun, &gro);
        }
        if (round % 8 == 7)
            sleep_ms(1); /* a ring of 500 packets overflows without a word */
    }
    return NULL;
}

static void take_packet(worker *w, const uint8_t *bytes, size_t len)
{
    w->packets++;
    w->damaged += tuo_csum_check(bytes, len, 0) != TUO_OK;
    w->damaged += len != (bytes[9] == PKT_PROTO_UDP ? 28 : 40) + PAYLOAD;
}

/* A round of tuo_tun_next. The answer is written while the writing thread of this queue is at work. */
static tuo_result next_round(worker *w)
{
    tuo_buf packet = {NULL, 0, 0};
    tuo_result result;

    while ((result = tuo_tun_next(w->tun, &packet)) == TUO_OK) {
        take_packet(w, packet.data, packet.len);
        if (w->packets % 64 == 0) {
            worker_batch(w, 9999);
            w->injected += tuo_tun_inject(w->tun, w->bufs[0].data, w->bufs[0].len) == TUO_OK;
        }
    }
    return result == TUO_MORE ? TUO_OK : result;
}

/* Until it is woken. */
static void *reader_main(void *argument)
{
    worker *w = (worker *)argument;
    size_t received = 0, i;

    asleep_announce(&w->thread_id);
    for (;;) {
        if (w->verbs) {
            w->result = next_round(w);
            if (w->result == TUO_AGAIN)
                w->result = tuo_tun_wait(w->tun, 0, -1);
            if (w->result != TUO_OK)
                return NULL;
            continue;
        }
        w->result = tuo_tun_recv_batch(w->tun, NULL, w->pointers, BUFS, 0, &received);
        if (w->result == TUO_AGAIN)
            w->result = tuo_tun_wait(w->tun, 0, -1);
        if (w->result != TUO_OK)
            return NULL;
        for (i = 0; i < received; i++)
            take_packet(w, w->bufs[i].data, w->bufs[i].len);
    }
}

typedef struct device {
    tuo_tun_group *set;
    worker readers[QUEUES_MAX], writers[QUEUES_MAX];
} device;

static device a, b;

static int device_open(device *d, size_t queues, int blocking, int verbs, const char *address)
{
    tuo_tun_desc desc;
    size_t i;

    memset(d, 0, sizeof *d);
    memset(&desc, 0, sizeof desc);
    desc.blocking = (uint8_t)blocking;
    desc.up = 1;
    desc.address4 = address;
    if (!CHECK_RESULT(tuo_tun_group_open(&d->set, &desc, queues, NULL), TUO_OK))
        return 0;
    for (i = 0; i < queues; i++) {
        worker *const both[2] = {&d->readers[i], &d->writers[i]};
        size_t k;
        for (k = 0; k < 2; k++) {
            both[k]->tun = tuo_tun_group_queue(d->set, i);
            both[k]->from_b = d == &b;
            both[k]->verbs = verbs;
            both[k]->number = (unsigned)i;
            both[k]->kind = i % 2 ? PKT_UDP4 : PKT_TCP4;
            worker_buffers(both[k]);
        }
    }
    return 1;
}

static void device_start(device *d, size_t queues)
{
    size_t i;

    for (i = 0; i < queues; i++) {
        pthread_create(&d->readers[i].thread, NULL, reader_main, &d->readers[i]);
        pthread_create(&d->writers[i].thread, NULL, writer_main, &d->writers[i]);
    }
}

/* How much came through depends on the rings of the kernel; that all of it is whole, and most of it there, does not. */
static void device_check(const device *d, const device *from, size_t queues)
{
    unsigned long got = 0, segments = 0, injected = 0;
    size_t i;

    for (i = 0; i < queues; i++) {
        tun_stats stats;
        stats = tun_stats_of(d->readers[i].tun);
        got += d->readers[i].packets;
        segments += (unsigned long)stats.rx.rx_segments;
        injected += from->readers[i].injected;
        CHECK_EQ_INT(from->readers[i].injected != 0, from->readers[i].verbs);
        CHECK_RESULT(d->readers[i].result, TUO_E_WOKEN);
        CHECK_EQ_INT(d->readers[i].damaged, 0);
        CHECK_RESULT(from->writers[i].result, TUO_OK);
        CHECK_EQ_INT(from->writers[i].packets, BATCH * BATCHES);
        CHECK_EQ_INT(stats.tx.tx_packets, d->writers[i].packets);
        CHECK(stats.tx.tx_superpackets > 0);
    }
    CHECK_EQ_INT(got, segments);
    CHECK(got <= queues * BATCH * BATCHES + injected);
    CHECK(got > queues * BATCH * BATCHES / 4);
}

TEST(reader_and_writer_per_queue)
{
    static const size_t queue_counts[] = {1, 2, 4};
    size_t i, k;
    int way;

    for (i = 0; i < CHECK_COUNT_OF(queue_counts); i++) {
        for (way = 0; way < 4; way++) {
            size_t queues = queue_counts[i];
            const int blocking = way & 1, verbs = way >> 1;

            check_row("%d queues%s%s", (int)queues, blocking ? ", blocking" : "", verbs ? ", verbs" : "");
            if (!ready() || !device_open(&a, queues, blocking, verbs, "10.1.255.1/16") ||
                !device_open(&b, queues, blocking, verbs, "10.2.255.1/16"))
                continue;
            device_start(&a, queues);
            device_start(&b, queues);
            for (k = 0; k < queues; k++) {
                pthread_join(a.writers[k].thread, NULL);
                pthread_join(b.writers[k].thread, NULL);
            }
            sleep_ms(50); /* for what is still in the rings */
            tuo_tun_group_wake(a.set);
            tuo_tun_group_wake(b.set);
            for (k = 0; k < queues; k++) {
                pthread_join(a.readers[k].thread, NULL);
                pthread_join(b.readers[k].thread, NULL);
            }
            device_check(&a, &b, queues);
            device_check(&b, &a, queues);
            tuo_tun_group_close(a.set);
            tuo_tun_group_close(b.set);
        }
    }
}

/* close ends the calls that are in progress before it frees. */
TEST(close_while_reading)
{
    size_t queues = QUEUES_MAX, k;
    int round;

    for (round = 0; round < 20; round++) {
        if (!ready() || !device_open(&a, queues, 1, round % 2, "10.1.255.1/16"))
            return;
        for (k = 0; k < queues; k++)
            pthread_create(&a.readers[k].thread, NULL, reader_main, &a.readers[k]);
        for (k = 0; k < queues; k++)
            asleep_await(&a.readers[k].thread_id); /* a call must have begun, or it would use what is freed */
        tuo_tun_group_close(a.set);
        for (k = 0; k < queues; k++) {
            pthread_join(a.readers[k].thread, NULL);
            CHECK_RESULT(a.readers[k].result, TUO_E_WOKEN);
        }
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {CHECK_ENTRY(reader_and_writer_per_queue), CHECK_ENTRY(close_while_reading)};

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
