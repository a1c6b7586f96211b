/* Threads of the Linux TUN backend, for ThreadSanitizer: one reader and one writer per queue at the same time, several queues at
   once, wake-up and close from another thread; a device that is moved, renamed and deleted under both. Needs root and /dev/net/tun; works in a network namespace of its own. Also runs
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

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

/* -------------------------------------------------------------------------------------------------- a device that roams */

static int interface_request(const char *name, unsigned long what, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

    snprintf(request->ifr_name, sizeof request->ifr_name, "%s", name);
    error = ioctl(fd, what, request) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static void set_link_up(const char *name, int up)
{
    struct ifreq request = {.ifr_flags = (short)(up ? IFF_UP : 0)};

    CHECK_EQ_INT(interface_request(name, 0x8914 /* SIOCSIFFLAGS */, &request), 0);
}

static void rename_link(const char *name, const char *to)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    snprintf(request.ifr_newname, sizeof request.ifr_newname, "%s", to);
    CHECK_EQ_INT(interface_request(name, 0x8923 /* SIOCSIFNAME */, &request), 0);
}

/* By rtnetlink: deletes it, or moves it to another namespace. */
static void send_link(const char *name, int to_ns)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
        struct rtattr attribute;
        int ns;
    } request;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[512];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    memset(&request, 0, sizeof request);
    memset(&reply, 0, sizeof reply);
    request.header.nlmsg_len = (uint32_t)(to_ns < 0 ? NLMSG_LENGTH(sizeof request.link) : sizeof request);
    request.header.nlmsg_type = to_ns < 0 ? RTM_DELLINK : RTM_NEWLINK;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.link.ifi_index = (int)if_nametoindex(name);
    request.attribute.rta_type = 28; /* IFLA_NET_NS_FD */
    request.attribute.rta_len = RTA_LENGTH(sizeof request.ns);
    request.ns = to_ns;
    CHECK_EQ_INT(send(fd, &request, request.header.nlmsg_len, 0), request.header.nlmsg_len);
    CHECK(recv(fd, &reply, sizeof reply, 0) > 0);
    CHECK_EQ_INT(reply.error.error, 0);
    close(fd);
}

static int open_ns(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* A namespace beside the one that this thread is in. */
static int new_ns(void)
{
    int here = open_ns(), fd = -1;

    if (CHECK_EQ_INT(unshare(CLONE_NEWNET), 0)) {
        put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n");
        fd = open_ns();
        CHECK_EQ_INT(setns(here, CLONE_NEWNET), 0);
    }
    close(here);
    return fd;
}

/* Packets that the kernel has had from the device. */
static unsigned long link_rx_packets(const char *name)
{
    char line[512], found[64] = "";
    unsigned long packets = 0;
    FILE *file = fopen("/proc/thread-self/net/dev", "r");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, " %63[^:]: %*u %lu", found, &packets) == 2 && strcmp(found, name) == 0)
            break;
    if (file)
        fclose(file);
    return strcmp(found, name) == 0 ? packets : (unsigned long)-1;
}

/* Threads that go on until something other than a device that is down or full ends them. steps: what they did so far, atomic. */
static unsigned writer_steps, reader_steps;

static void *roaming_writer(void *argument)
{
    worker *w = (worker *)argument;
    unsigned round;
    size_t taken;

    for (round = 0;; round++) {
        worker_batch(w, round);
        w->result = w->verbs ? push_batch(w, &taken) : tuo_tun_send_batch(w->tun, NULL, w->pointers, BATCH, 0, &taken);
        while (w->result == TUO_AGAIN) {
            w->result = tuo_tun_wait(w->tun, 1, 1000);
            if (w->result == TUO_OK)
                w->result = tuo_tun_flush(w->tun);
        }
        w->packets += taken;
        if (w->result != TUO_OK && w->result != TUO_E_DOWN)
            return NULL;
        __atomic_add_fetch(&writer_steps, 1, __ATOMIC_RELAXED);
        sleep_ms(1);
    }
}

static void *roaming_reader(void *argument)
{
    worker *w = (worker *)argument;
    size_t received = 0;

    for (;;) {
        tuo_buf packet;
        if (w->verbs) {
            while ((w->result = tuo_tun_next(w->tun, &packet)) == TUO_OK)
                __atomic_add_fetch(&reader_steps, 1, __ATOMIC_RELAXED);
            if (w->result == TUO_MORE)
                w->result = TUO_OK;
        } else {
            w->result = tuo_tun_recv_batch(w->tun, NULL, w->pointers, BUFS, 0, &received);
            __atomic_add_fetch(&reader_steps, (unsigned)received, __ATOMIC_RELAXED);
        }
        if (w->result == TUO_AGAIN)
            w->result = tuo_tun_wait(w->tun, 0, -1);
        if (w->result != TUO_OK)
            return NULL;
    }
}

/* Until a thread has done something more. */
static void wait_for_steps(const unsigned *steps)
{
    const unsigned before = __atomic_load_n(steps, __ATOMIC_RELAXED);
    int tries;

    for (tries = 0; tries < 30000 && __atomic_load_n(steps, __ATOMIC_RELAXED) - before < 2; tries++)
        sleep_ms(1);
    CHECK(tries < 30000);
}

/* The device of this name is up here, and both threads work with it. */
static void check_both_work(const char *name)
{
    struct sockaddr_in *address, to = {.sin_family = AF_INET, .sin_port = 9};
    struct ifreq request;
    unsigned before;
    int tries, s;

    memset(&request, 0, sizeof request);
    address = (struct sockaddr_in *)(void *)&request.ifr_addr;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(0x0a630001);
    set_link_up(name, 1);
    CHECK_EQ_INT(interface_request(name, 0x8916 /* SIOCSIFADDR */, &request), 0);
    to.sin_addr.s_addr = address->sin_addr.s_addr = htonl(0x0a630002);
    CHECK_EQ_INT(interface_request(name, 0x8918 /* SIOCSIFDSTADDR */, &request), 0);
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    before = __atomic_load_n(&reader_steps, __ATOMIC_RELAXED);
    for (tries = 0; tries < 30000 && __atomic_load_n(&reader_steps, __ATOMIC_RELAXED) == before; tries++) {
        CHECK_EQ_INT(sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
        sleep_ms(1);
    }
    CHECK(tries < 30000);
    close(s);
    wait_for_steps(&writer_steps);
}

/* Both threads are at work while the device is set down and up, renamed, moved to another namespace and back; and deleted, and made again
   under the same name. Each step is seen by both before the next one. The old queue has nothing to do with the new device. */
TEST(a_device_roams_under_both_threads)
{
    static worker reader, writer;
    int way;

    for (way = 0; way < 4; way++) {
        const char *const name = "roam0", *const other_name = "roam1";
        tuo_tun_desc desc;
        tuo_tun *tun = NULL, *heir = NULL;
        tuo_buf packet;
        tun_stats stats;
        unsigned long held;
        int here, there;

        check_row("%s, %s", way & 1 ? "blocking" : "non-blocking", way >> 1 ? "verbs" : "batches");
        if (!netns_ready())
            continue;
        memset(&desc, 0, sizeof desc);
        desc.name = name;
        desc.blocking = way & 1;
        desc.gro.disable_tcp4 = 1; /* a write per packet */
        if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK))
            continue;
        here = open_ns();
        there = new_ns();
        memset(&reader, 0, sizeof reader);
        memset(&writer, 0, sizeof writer);
        reader.tun = writer.tun = tun;
        reader.verbs = writer.verbs = way >> 1;
        worker_buffers(&reader);
        worker_buffers(&writer);
        pthread_create(&reader.thread, NULL, roaming_reader, &reader);
        pthread_create(&writer.thread, NULL, roaming_writer, &writer);
        wait_for_steps(&writer_steps); /* of a device that is down */
        check_both_work(name);
        set_link_up(name, 0);
        wait_for_steps(&writer_steps);
        rename_link(name, other_name);
        check_both_work(other_name);
        send_link(other_name, there);
        wait_for_steps(&writer_steps);
        CHECK_EQ_INT(setns(there, CLONE_NEWNET), 0);
        check_both_work(other_name);
        send_link(other_name, here);
        CHECK_EQ_INT(setns(here, CLONE_NEWNET), 0);
        check_both_work(other_name);
        set_link_up(other_name, 0);
        rename_link(other_name, name);
        check_both_work(name);
        send_link(name, -1);
        desc.up = 1;
        desc.address4 = "10.99.0.1/8";
        CHECK_RESULT(tuo_tun_open(&heir, &desc, NULL), TUO_OK);
        pthread_join(reader.thread, NULL);
        pthread_join(writer.thread, NULL);
        CHECK_RESULT(reader.result, TUO_E_GONE);
        CHECK_RESULT(writer.result, TUO_E_GONE);
        stats = tun_stats_of(tun);
        CHECK_EQ_INT(stats.tx.tx_packets, writer.packets);
        held = writer.packets - (unsigned long)(stats.tx.tx_writes + stats.tx.tx_dropped_down + stats.tx.tx_dropped_error);
        CHECK(writer.verbs ? held == 0 : held > 0 && held <= BATCH); /* of the last batch */
        CHECK(stats.tx.tx_dropped_down > 0 && stats.tx.tx_writes > 0);
        CHECK_EQ_INT(stats.tx.tx_refused_packets + stats.tx.tx_dropped_full + stats.rx.rx_refused, 0);
        tuo_tun_discard(tun);
        worker_batch(&writer, 0);
        CHECK_RESULT(tuo_tun_push(tun, writer.bytes[0], writer.bufs[0].len), TUO_OK);
        CHECK_RESULT(tuo_tun_flush(tun), TUO_E_GONE);
        CHECK_RESULT(tuo_tun_inject(tun, writer.bytes[0], writer.bufs[0].len), TUO_E_GONE);
        CHECK_RESULT(tuo_tun_next(tun, &packet), TUO_E_GONE);
        CHECK_EQ_INT(link_rx_packets(name), 0);
        if (heir) {
            CHECK_RESULT(tuo_tun_push(heir, writer.bytes[0], writer.bufs[0].len), TUO_OK);
            CHECK_RESULT(tuo_tun_flush(heir), TUO_OK);
            CHECK_EQ_INT(link_rx_packets(name), 1);
        }
        tuo_tun_close(heir);
        tuo_tun_close(tun);
        close(here);
        close(there);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {CHECK_ENTRY(reader_and_writer_per_queue), CHECK_ENTRY(close_while_reading),
                                       CHECK_ENTRY(a_device_roams_under_both_threads)};

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
