/* Threads of the UDP socket, for ThreadSanitizer: one that sends and one that receives on each of two sockets at the same time, a third
   that asks, wakes and closes. On loopback. Also runs without a sanitizer, and then still checks that nothing is damaged, invented or
   sent twice. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "asleep.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 120, BATCH = 60, LEN = 900 };

typedef struct side {
    pthread_t sender, receiver;
    tuo_udp *udp;
    tuo_udp_peer to, dead;
    unsigned long pushed, dropped, received, damaged, out_of_order;
    uint32_t last;
    int thread_id;            /* of the receiver: asleep.h */
    tuo_result ended;         /* what ended the receiver */
} side;

static void *send_main(void *argument)
{
    side *s = (side *)argument;
    uint8_t bytes[LEN];
    uint32_t number = 0;
    unsigned round, i;

    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < BATCH; i++) {
            tuo_result result;
            memset(bytes, (int)(++number % 251), sizeof bytes);
            memcpy(bytes, &number, sizeof number);
            result = tuo_udp_push(s->udp, &s->to, bytes, i % 20 == 19 ? LEN / 2 : LEN, NULL);
            s->pushed += result == TUO_OK;
            s->dropped += result != TUO_OK;
            (void)tuo_udp_push(s->udp, &s->dead, bytes, 5, NULL);
        }
        while (tuo_udp_flush(s->udp) == TUO_AGAIN && tuo_udp_wait(s->udp, 1, 1000) == TUO_OK) {
        }
        if (round % 4 == 3)
            (void)poll(NULL, 0, 1); /* so that no receive buffer overflows */
    }
    return NULL;
}

static void look_at(side *s, const tuo_udp_datagram *d)
{
    uint32_t number = 0;
    size_t i;

    s->received++;
    if (d->len != LEN && d->len != LEN / 2) {
        s->damaged++;
        return;
    }
    memcpy(&number, d->data, sizeof number);
    for (i = sizeof number; i < d->len; i++)
        s->damaged += d->data[i] != number % 251;
    s->out_of_order += number <= s->last;
    s->last = number;
}

static void *receive_main(void *argument)
{
    side *s = (side *)argument;
    tuo_udp_datagram d;

    asleep_announce(&s->thread_id);
    for (;;) {
        s->ended = tuo_udp_next(s->udp, &d);
        if (s->ended == TUO_OK)
            look_at(s, &d);
        else if (s->ended != TUO_MORE)
            return NULL;
    }
}

static void open_side(side *s, int blocking)
{
    struct sockaddr_in local;
    tuo_udp_desc desc = {0};
    socklen_t len = sizeof local;
    int error;

    memset(s, 0, sizeof *s);
    memset(&local, 0, sizeof local);
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    desc.blocking = (uint8_t)blocking;
    CHECK_RESULT(tuo_udp_open(&s->udp, (const struct sockaddr *)&local, &desc, &error), TUO_OK);
    CHECK_EQ_INT(getsockname(tuo_udp_fd(s->udp), (struct sockaddr *)&local, &len), 0);
    s->to.addr.ip4 = local; /* for the other side */
    s->dead.addr.ip4 = local;
    s->dead.addr.ip4.sin_port = htons(9);
}

static void exchange_peers(side *a, side *b)
{
    const tuo_udp_peer peer = a->to;

    a->to = b->to;
    b->to = peer;
}

TEST(a_sender_and_a_receiver_per_socket)
{
    static side sides[2];
    tuo_udp_tx_stats tx;
    tuo_udp_info info;
    uint32_t mtu;
    int i, n;

    for (i = 0; i < 2; i++)
        open_side(&sides[i], 1);
    exchange_peers(&sides[0], &sides[1]);
    for (i = 0; i < 2; i++) {
        CHECK_EQ_INT(pthread_create(&sides[i].receiver, NULL, receive_main, &sides[i]), 0);
        CHECK_EQ_INT(pthread_create(&sides[i].sender, NULL, send_main, &sides[i]), 0);
    }
    for (n = 0; n < 50; n++) { /* from any thread */
        tuo_udp_query_info(sides[n % 2].udp, &info);
        CHECK_RESULT(tuo_udp_mtu(sides[n % 2].udp, &sides[n % 2].to, &mtu), TUO_OK);
    }
    for (i = 0; i < 2; i++)
        pthread_join(sides[i].sender, NULL);
    (void)poll(NULL, 0, 50);
    tuo_udp_wake(sides[0].udp);
    tuo_udp_wake(sides[1].udp);
    for (i = 0; i < 2; i++) {
        pthread_join(sides[i].receiver, NULL);
        CHECK_RESULT(sides[i].ended, TUO_E_WOKEN);
    }
    for (i = 0; i < 2; i++) {
        check_row("side %d", i);
        tuo_udp_query_tx_stats(sides[i].udp, &tx);
        CHECK_EQ_INT(tx.tx_in_trains + tx.tx_singles, tx.tx_datagrams);
        CHECK_EQ_INT(sides[i].received, sides[1 - i].pushed);
        CHECK_EQ_INT(sides[i].pushed, ROUNDS * BATCH);
        CHECK_EQ_INT(sides[i].damaged + sides[i].out_of_order, 0);
        tuo_udp_close(sides[i].udp);
    }
}

TEST(closed_while_a_thread_waits)
{
    static side s;
    int n;

    for (n = 0; n < 20; n++) {
        open_side(&s, 1);
        CHECK_EQ_INT(pthread_create(&s.receiver, NULL, receive_main, &s), 0);
        (void)poll(NULL, 0, n % 3); /* sometimes before it waits: then it begins no call any more */
        tuo_udp_wake(s.udp);
        pthread_join(s.receiver, NULL);
        CHECK_RESULT(s.ended, TUO_E_WOKEN);
        tuo_udp_wake_clear(s.udp);
        s.thread_id = 0;
        CHECK_EQ_INT(pthread_create(&s.receiver, NULL, receive_main, &s), 0);
        asleep_await(&s.thread_id); /* a call must have begun, or it would use what is freed */
        tuo_udp_close(s.udp);
        pthread_join(s.receiver, NULL);
        CHECK_RESULT(s.ended, TUO_E_WOKEN);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(a_sender_and_a_receiver_per_socket),
        CHECK_ENTRY(closed_while_a_thread_waits),
    };

    return CHECK_RUN(argc, argv, tests);
}
