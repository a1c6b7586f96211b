/* test_memory.c - what an instance and a queue cost, with the zero desc: at most 64 KiB, and at most 300 KiB with everything that
   a superpacket each way needs. What the header allocates is counted by TUO_CALLOC and TUO_FREE. The queue needs root and
   /dev/net/tun, and works in a network namespace of its own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* -------------------------------------------------------------------------------------------------- counted allocations */

static struct {
    size_t live, peak; /* bytes */
    unsigned calls;
} heap;

/* The size stands in front of the block. */
enum { SIZE_ROOM = 16 };

static void counted_free(void *block)
{
    uint8_t *start = block ? (uint8_t *)block - SIZE_ROOM : NULL;
    size_t size;

    if (!start)
        return;
    memcpy(&size, start, sizeof size);
    heap.live -= size;
    free(start);
}

static void *counted_malloc(size_t size)
{
    uint8_t *start = (uint8_t *)malloc(SIZE_ROOM + size);

    if (!start)
        return NULL;
    memcpy(start, &size, sizeof size);
    heap.live += size;
    heap.peak = heap.live > heap.peak ? heap.live : heap.peak;
    heap.calls++;
    return start + SIZE_ROOM;
}

static void *counted_calloc(size_t count, size_t size)
{
    void *block = counted_malloc(count * size);

    return block ? memset(block, 0, count * size) : NULL;
}

/* Other ways to memory: a header that begins to use one does not compile until it is counted here. */
#define TUO_CALLOC counted_calloc
#define TUO_FREE counted_free
#define malloc(size) counted_malloc(size) /* for the compiler's own headers */
#define free(block) counted_free(block)
#define calloc(count, size) not_counted_calloc(count, size)
#define realloc(block, size) not_counted_realloc(block, size)
#define mmap(at, len, protection, flags, fd, offset) not_counted_mmap(at, len, protection, flags, fd, offset)
#ifdef __linux__
#define TUNOFFLOAD_TUN
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#undef malloc
#undef calloc
#undef free
#undef realloc
#undef mmap

#include "check.h"
#include "packets.h"
#ifdef __linux__
#include "netns.h"
#include "tun_facts.h"
#endif

enum { INSTANCE_MAX = 64 * 1024, QUEUE_MAX = 448 * 1024, PACKETS = 44, PAYLOAD = 1448, CAP = 2048, WAIT_MS = 2000 };

static uint8_t bytes[PACKETS + 4][CAP];
static tuo_buf bufs[PACKETS + 4];
static void *handles[PACKETS + 4];

/* A train that makes one superpacket of nearly 64 KiB. */
static void make_train(void)
{
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(bufs); i++) {
        pkt_spec s = {.payload_len = PAYLOAD, .seq = (uint32_t)i * PAYLOAD, .ip_id = (uint16_t)i};
        bufs[i].data = bytes[i];
        bufs[i].len = pkt_build(bytes[i], CAP, &s);
        bufs[i].capacity = CAP;
        handles[i] = &bufs[i];
    }
}

TEST(instance_with_the_zero_desc)
{
    static uint64_t memory[INSTANCE_MAX / 8];
    const tuo_gro_desc desc = {0};
    tuo_superpacket sp;
    tuo_gro *gro;
    size_t i;

    printf("an instance: %lu bytes\n", (unsigned long)tuo_gro_memory_size(&desc));
    CHECK(tuo_gro_memory_size(&desc) > 0);
    CHECK(tuo_gro_memory_size(&desc) <= INSTANCE_MAX);
    if (!CHECK_RESULT(tuo_gro_init(&gro, memory, sizeof memory, &desc), TUO_OK))
        return;
    make_train();
    for (i = 0; i < PACKETS; i++)
        tuo_gro_push(gro, bytes[i], bufs[i].len, NULL, 0);
    CHECK_RESULT(tuo_gro_next(gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, PACKETS);
    CHECK_EQ_INT(heap.calls, 0);
}

#ifdef __linux__

static tuo_tun *open_side(const char *address, size_t *cost)
{
    const tuo_tun_desc desc = {.up = 1, .address4 = address};
    size_t before = heap.live;
    tuo_tun *tun = NULL;

    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK);
    *cost = heap.live - before;
    return tun;
}

/* The packets that the kernel forwarded; there may be some of its own before them. */
static size_t receive_train(tuo_tun *tun)
{
    size_t received, i, count = 0;

    while (count < PACKETS && tuo_tun_wait(tun, 0, WAIT_MS) == TUO_OK) {
        tuo_result result = tuo_tun_recv_batch(tun, NULL, handles, CHECK_COUNT_OF(handles), 0, &received);
        CHECK(result == TUO_OK || result == TUO_AGAIN);
        for (i = 0; i < received; i++)
            count += bufs[i].data[0] >> 4 == 4 && bufs[i].len > PAYLOAD;
    }
    return count;
}

/* The same by the verbs of an event loop. */
static size_t next_train(tuo_tun *tun)
{
    size_t count = 0;
    tuo_buf packet;

    while (count < PACKETS && tuo_tun_wait(tun, 0, WAIT_MS) == TUO_OK) {
        while (tuo_tun_next(tun, &packet) == TUO_OK)
            count += packet.data[0] >> 4 == 4 && packet.len > PAYLOAD;
    }
    return count;
}

/* One superpacket is written to a and, forwarded, read from b; once from buffers of the caller's, once pushed. */
TEST(queue_with_the_zero_desc)
{
    size_t cost_a, cost_b, taken, i;
    tun_stats sent, received;
    tuo_tun *a, *b;

    if (!netns_ready())
        return;
    a = open_side("10.1.255.1/16", &cost_a);
    b = open_side("10.2.255.1/16", &cost_b);
    if (a && b) {
        printf("a queue: %lu bytes\n", (unsigned long)cost_a);
        CHECK(cost_a > 0 && cost_a <= QUEUE_MAX);
        CHECK(cost_b > 0 && cost_b <= QUEUE_MAX);
        make_train();
        CHECK_RESULT(tuo_tun_send_batch(a, NULL, handles, PACKETS, 0, &taken), TUO_OK);
        CHECK_EQ_INT(receive_train(b), PACKETS);
        make_train();
        for (i = 0; i < PACKETS; i++)
            CHECK_RESULT(tuo_tun_push(a, bufs[i].data, bufs[i].len), TUO_OK);
        CHECK_RESULT(tuo_tun_flush(a), TUO_OK);
        CHECK_EQ_INT(next_train(b), PACKETS);
        sent = tun_stats_of(a);
        received = tun_stats_of(b);
        CHECK_EQ_INT(sent.tx.tx_superpackets, 2);
        CHECK(received.rx.rx_superpackets >= 2);
        CHECK_EQ_INT(heap.peak, cost_a + cost_b); /* nothing more, not even for a moment */
        CHECK_EQ_INT(heap.calls, 2);
    }
    tuo_tun_close(a);
    tuo_tun_close(b);
    CHECK_EQ_INT(heap.live, 0);
}

TEST(queues_of_a_set)
{
    enum { QUEUES = 4 };
    const tuo_tun_desc desc = {0};
    tuo_tun_group *set = NULL;
    size_t before = heap.live;

    if (!netns_ready())
        return;
    if (CHECK_RESULT(tuo_tun_group_open(&set, &desc, QUEUES, NULL), TUO_OK)) {
        CHECK((heap.live - before) / QUEUES > 0);
        CHECK((heap.live - before) / QUEUES <= QUEUE_MAX);
        tuo_tun_group_close(set);
    }
    CHECK_EQ_INT(heap.live, 0);
}

#endif /* __linux__ */

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(instance_with_the_zero_desc),
#ifdef __linux__
        CHECK_ENTRY(queue_with_the_zero_desc),
        CHECK_ENTRY(queues_of_a_set),
#endif
    };

#ifdef __linux__
    netns_enter();
#endif
    return CHECK_RUN(argc, argv, tests);
}
