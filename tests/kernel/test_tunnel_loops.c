/* Three ways to write the loop of a tunnel with next, push and flush: level-triggered poll, edge-triggered epoll, two threads in blocking
   calls. Each carries the same traffic completely, and each packet is in the counters of both ends. And a ping under a flood that one end
   cannot carry: rounds end, so it waits for queues, not for the flood.

   Namespaces a and b have a TUN device each (10.7.0.1 and .2, fd00:7::1 and ::2). Two ends, in threads of this process, join them by UDP
   over the loopback of a third namespace. Needs root and /dev/net/tun. test-threads runs two_threads under ThreadSanitizer. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, setns */
#endif
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "netns.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TCP_BYTES = 4 << 20, WINDOWS = 40, WINDOW = 48, MTU = 1400 };

typedef struct end {
    tuo_tun *tun;
    tuo_udp *udp;
    tuo_udp_peer peer;
    int stop_fd;
    unsigned work_ns;     /* spent on each packet from the device: a cipher */
    unsigned longest;     /* round of packets from the device */
    pthread_t threads[2];
    int thread_count;
    tuo_result results[2]; /* of the call that ended each thread */
} end;

static int underlay = -1, inner[2] = {-1, -1}; /* namespaces */
static end ends[2];

static int ready(void)
{
    return netns_ready();
}

static void go(int namespace)
{
    CHECK_EQ_INT(setns(namespace, CLONE_NEWNET), 0);
}

static int new_namespace(void)
{
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------ the ends */

static tuo_result from_tun(end *e)
{
    tuo_buf packet;
    tuo_result result;
    unsigned count;

    for (count = 0; (result = tuo_tun_next(e->tun, &packet)) == TUO_OK; count++) {
        void *datagram = tuo_udp_reserve(e->udp, packet.len);
        const int64_t until = e->work_ns ? now_ns() + e->work_ns : 0;
        if (!datagram)
            continue;
        memcpy(datagram, packet.data, packet.len);
        while (until && now_ns() < until)
            ;
        tuo_udp_commit(e->udp, &e->peer, packet.len, NULL);
    }
    if (count > e->longest)
        e->longest = count;
    return result;
}

static tuo_result from_udp(end *e)
{
    tuo_udp_datagram datagram;
    tuo_result result;

    while ((result = tuo_udp_next(e->udp, &datagram)) == TUO_OK)
        tuo_tun_push(e->tun, datagram.data, datagram.len);
    return result;
}

/* Level-triggered. */
static void *poll_loop(void *argument)
{
    end *const e = (end *)argument;
    tuo_result result = TUO_OK;

    while (result >= 0) {
        struct pollfd fds[3] = {{tuo_tun_fd(e->tun), POLLIN, 0}, {tuo_udp_fd(e->udp), POLLIN, 0}, {e->stop_fd, POLLIN, 0}};
        if (tuo_tun_held(e->tun))
            fds[0].events |= POLLOUT;
        if (tuo_udp_held(e->udp))
            fds[1].events |= POLLOUT;
        if (poll(fds, 3, -1) < 0 || fds[2].revents)
            break;
        if (fds[0].revents)
            result = from_tun(e);
        if (fds[1].revents && result >= 0)
            result = from_udp(e);
        tuo_udp_flush(e->udp);
        tuo_tun_flush(e->tun);
    }
    e->results[0] = result;
    return NULL;
}

/* Edge-triggered: a side is asked again until it said TUO_AGAIN. */
static void *epoll_loop(void *argument)
{
    end *const e = (end *)argument;
    const int fds[3] = {tuo_tun_fd(e->tun), tuo_udp_fd(e->udp), e->stop_fd};
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int i, tun_ready = 1, udp_ready = 1, stopped = 0;
    tuo_result result = TUO_OK;

    for (i = 0; i < 3; i++) {
        struct epoll_event event;
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.fd = fds[i];
        if (i == 2)
            event.events = EPOLLIN;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) != 0)
            result = TUO_E_SYSTEM;
    }
    while (result >= 0 && !stopped) {
        struct epoll_event events[3];
        const int count = epoll_wait(epoll_fd, events, 3, tun_ready || udp_ready ? 0 : -1);
        for (i = 0; i < count; i++) {
            tun_ready |= events[i].data.fd == fds[0];
            udp_ready |= events[i].data.fd == fds[1];
            stopped |= events[i].data.fd == fds[2];
        }
        if (tun_ready) {
            result = from_tun(e);
            tun_ready = result != TUO_AGAIN;
        }
        if (udp_ready && result >= 0) {
            result = from_udp(e);
            udp_ready = result != TUO_AGAIN;
        }
        tuo_udp_flush(e->udp);
        tuo_tun_flush(e->tun);
    }
    close(epoll_fd);
    e->results[0] = result;
    return NULL;
}

/* Two threads in blocking calls: each owns the receiving side of one and the sending side of the other. */
static void *tun_thread(void *argument)
{
    end *const e = (end *)argument;
    tuo_result result;

    do {
        result = from_tun(e);
        tuo_udp_flush(e->udp);
    } while (result >= 0);
    e->results[0] = result;
    return NULL;
}

static void *udp_thread(void *argument)
{
    end *const e = (end *)argument;
    tuo_result result;

    do {
        result = from_udp(e);
        tuo_tun_flush(e->tun);
    } while (result >= 0);
    e->results[1] = result;
    return NULL;
}

typedef enum loop { POLL, EPOLL, TWO_THREADS } loop;

static void start(loop kind, unsigned work_ns)
{
    static const char *const address4[2] = {"10.7.0.1/24", "10.7.0.2/24"}, *const address6[2] = {"fd00:7::1/64", "fd00:7::2/64"};
    int i;

    for (i = 0; i < 2; i++) {
        end *const e = &ends[i];
        tuo_tun_desc tun = {.mtu = MTU, .up = 1, .address4 = address4[i], .address6 = address6[i], .blocking = kind == TWO_THREADS};
        tuo_udp_desc udp = {.blocking = kind == TWO_THREADS};
        tuo_udp_peer here;
        memset(e, 0, sizeof *e);
        memset(&here, 0, sizeof here);
        here.addr.ip4.sin_family = AF_INET;
        here.addr.ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        here.addr.ip4.sin_port = htons((uint16_t)(7100 + i));
        e->peer = here;
        e->peer.addr.ip4.sin_port = htons((uint16_t)(7100 + !i));
        e->work_ns = i == 0 ? work_ns : 0;
        e->stop_fd = eventfd(0, EFD_CLOEXEC);
        go(underlay);
        CHECK_RESULT(tuo_udp_open(&e->udp, &here.addr.any, &udp, NULL), TUO_OK);
        go(inner[i]);
        CHECK_RESULT(tuo_tun_open(&e->tun, &tun, NULL), TUO_OK);
        wait_for_address6(address6[i]);
    }
    for (i = 0; i < 2; i++) {
        end *const e = &ends[i];
        void *(*const run)(void *) = kind == POLL ? poll_loop : kind == EPOLL ? epoll_loop : tun_thread;
        CHECK_EQ_INT(pthread_create(&e->threads[e->thread_count++], NULL, run, e), 0);
        if (kind == TWO_THREADS)
            CHECK_EQ_INT(pthread_create(&e->threads[e->thread_count++], NULL, udp_thread, e), 0);
    }
}

/* What one end read from its device it sent, the other received, and wrote. */
static void check_carried(const end *from, const end *to)
{
    tuo_tun_rx_stats in;
    tuo_udp_tx_stats sent;
    tuo_udp_rx_stats received;
    tuo_tun_tx_stats out;

    tuo_tun_query_rx_stats(from->tun, &in);
    tuo_udp_query_tx_stats(from->udp, &sent);
    tuo_udp_query_rx_stats(to->udp, &received);
    tuo_tun_query_tx_stats(to->tun, &out);
    CHECK(in.rx_segments > 100);
    CHECK(in.rx_superpackets > 0);
    CHECK(sent.tx_trains > 0);
    CHECK(received.rx_trains > 0);
    CHECK(out.tx_superpackets > 0);
    CHECK_EQ_INT(in.rx_refused, 0);
    CHECK_EQ_INT(sent.tx_datagrams, in.rx_segments);
    CHECK_EQ_INT(sent.tx_in_trains + sent.tx_singles, sent.tx_datagrams);
    CHECK_EQ_INT(sent.tx_dropped_full, 0);
    CHECK_EQ_INT(received.rx_datagrams, sent.tx_datagrams);
    CHECK_EQ_INT(out.tx_packets, received.rx_datagrams);
    CHECK_EQ_INT(out.tx_dropped_full + out.tx_dropped_down + out.tx_dropped_error + out.tx_refused_packets, 0);
}

static void end_loops(loop kind)
{
    const uint64_t one = 1;
    int i, k;

    poll(NULL, 0, 50); /* what TCP and IPv6 still have to say */
    for (i = 0; i < 2; i++) {
        CHECK_EQ_INT(write(ends[i].stop_fd, &one, sizeof one), sizeof one);
        if (kind == TWO_THREADS) {
            tuo_tun_wake(ends[i].tun);
            tuo_udp_wake(ends[i].udp);
        }
        for (k = 0; k < ends[i].thread_count; k++) {
            CHECK_EQ_INT(pthread_join(ends[i].threads[k], NULL), 0);
            CHECK(kind == TWO_THREADS ? ends[i].results[k] == TUO_E_WOKEN : ends[i].results[k] >= 0);
        }
    }
}

static void close_ends(void)
{
    int i;

    for (i = 0; i < 2; i++) {
        tuo_tun_close(ends[i].tun);
        tuo_udp_close(ends[i].udp);
        close(ends[i].stop_fd);
    }
    go(underlay);
}

/* --------------------------------------------------------------------------------------------------- the traffic */

static int inner_socket(int side, int family, int type, uint16_t port)
{
    struct sockaddr_storage address;
    const struct timeval limit = {5, 0};
    const int on = 1;
    int fd;

    memset(&address, 0, sizeof address);
    address.ss_family = (sa_family_t)family;
    ((struct sockaddr_in *)&address)->sin_port = htons(port); /* at the same place in both */
    go(inner[side]);
    fd = socket(family, type | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* the connection before this one may be in TIME-WAIT */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK_EQ_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void connect_to(int fd, int side, int family, uint16_t port)
{
    tuo_udp_peer to;

    memset(&to, 0, sizeof to);
    to.addr.any.sa_family = (sa_family_t)family;
    to.addr.ip4.sin_port = htons(port);
    if (family == AF_INET)
        CHECK_EQ_INT(inet_pton(family, side ? "10.7.0.2" : "10.7.0.1", &to.addr.ip4.sin_addr), 1);
    else
        CHECK_EQ_INT(inet_pton(family, side ? "fd00:7::2" : "fd00:7::1", &to.addr.ip6.sin6_addr), 1);
    CHECK_EQ_INT(connect(fd, &to.addr.any, sizeof to.addr), 0);
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 23);
}

/* One step of a transfer: more of it out, and what came is compared. */
static int move_bytes(int fd, short revents, size_t *sent, size_t *received)
{
    uint8_t bytes[16384];
    size_t i, len;
    ssize_t n;

    if (revents & POLLOUT && *sent < TCP_BYTES) {
        len = TCP_BYTES - *sent < sizeof bytes ? TCP_BYTES - *sent : sizeof bytes;
        for (i = 0; i < len; i++)
            bytes[i] = byte_at(*sent + i);
        n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        *sent += n > 0 ? (size_t)n : 0;
    }
    if (revents & POLLIN) {
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        for (i = 0; n > 0 && i < (size_t)n; i++)
            if (bytes[i] != byte_at(*received + i))
                return CHECK_EQ_INT(bytes[i], byte_at(*received + i));
        *received += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

/* Both ways at once. */
static void tcp(int family)
{
    const int listener = inner_socket(1, family, SOCK_STREAM, 7200);
    const int client = inner_socket(0, family, SOCK_STREAM, 0);
    size_t sent[2] = {0, 0}, received[2] = {0, 0};
    struct pollfd fds[2] = {{client, POLLIN | POLLOUT, 0}, {-1, POLLIN | POLLOUT, 0}};
    int i, fine = 1;

    CHECK_EQ_INT(listen(listener, 1), 0);
    connect_to(client, 1, family, 7200);
    fds[1].fd = accept(listener, NULL, NULL);
    while (fine && (received[0] < TCP_BYTES || received[1] < TCP_BYTES)) {
        for (i = 0; i < 2; i++)
            fds[i].events = (short)(POLLIN | (sent[i] < TCP_BYTES ? POLLOUT : 0));
        fine = CHECK(poll(fds, 2, 5000) > 0);
        for (i = 0; i < 2; i++)
            fine = fine && move_bytes(fds[i].fd, fds[i].revents, &sent[i], &received[i]);
    }
    CHECK_EQ_INT(received[0], TCP_BYTES);
    CHECK_EQ_INT(received[1], TCP_BYTES);
    close(fds[1].fd);
    close(client);
    close(listener);
}

/* Windows of datagrams of mixed lengths: all of them arrive, in order. */
static void udp(int family)
{
    const int to = inner_socket(1, family, SOCK_DGRAM, 7300), from = inner_socket(0, family, SOCK_DGRAM, 0);
    uint8_t bytes[MTU];
    size_t window, i, k, len;

    connect_to(from, 1, family, 7300);
    for (window = 0; window < WINDOWS; window++) {
        for (i = 0; i < WINDOW; i++) {
            len = i % 7 == 6 ? 1 + i : 1000 + window;
            for (k = 0; k < len; k++)
                bytes[k] = byte_at(window * WINDOW + i + k);
            CHECK_EQ_INT(send(from, bytes, len, 0), (ssize_t)len);
        }
        for (i = 0; i < WINDOW; i++) {
            len = i % 7 == 6 ? 1 + i : 1000 + window;
            if (!CHECK_EQ_INT(recv(to, bytes, sizeof bytes, 0), (ssize_t)len))
                break;
            for (k = 0; k < len; k++)
                if (bytes[k] != byte_at(window * WINDOW + i + k)) {
                    CHECK_EQ_INT(bytes[k], byte_at(window * WINDOW + i + k));
                    break;
                }
        }
        if (i < WINDOW)
            break;
    }
    close(to);
    close(from);
}

static void carries_all(loop kind)
{
    if (!ready())
        return;
    start(kind, 0);
    tcp(AF_INET);
    tcp(AF_INET6);
    udp(AF_INET);
    udp(AF_INET6);
    end_loops(kind);
    check_carried(&ends[0], &ends[1]);
    check_carried(&ends[1], &ends[0]);
    close_ends();
}

TEST(level_triggered_poll)
{
    carries_all(POLL);
}

TEST(edge_triggered_epoll)
{
    carries_all(EPOLL);
}

TEST(two_threads)
{
    carries_all(TWO_THREADS);
}

/* ----------------------------------------------------------------------------------------------------- overload */

typedef struct flood {
    int fd;
    int64_t until_ns;
    unsigned long sent;
} flood;

static void *flood_main(void *argument)
{
    static const uint8_t bytes[1200];
    flood *const f = (flood *)argument;

    while (now_ns() < f->until_ns)
        f->sent += send(f->fd, bytes, sizeof bytes, 0) > 0;
    return NULL;
}

/* Pings of UDP every 2 ms while a flood runs the same way, which end a cannot carry; the average in ms of those that were answered. */
static double ping_under_flood(void)
{
    const int echo = inner_socket(1, AF_INET, SOCK_DGRAM, 7400), sink = inner_socket(1, AF_INET, SOCK_DGRAM, 7401);
    const int ping = inner_socket(0, AF_INET, SOCK_DGRAM, 0);
    flood f = {inner_socket(0, AF_INET, SOCK_DGRAM, 0), 0, 0};
    struct pollfd fds[2] = {{echo, POLLIN, 0}, {ping, POLLIN, 0}};
    const int64_t begin = now_ns();
    int64_t sum = 0, next = begin + 200000000, sent_at;
    struct sockaddr_storage from;
    socklen_t from_len;
    unsigned count = 0;
    pthread_t thread;

    f.until_ns = begin + 1200000000;
    connect_to(f.fd, 1, AF_INET, 7401);
    connect_to(ping, 1, AF_INET, 7400);
    CHECK_EQ_INT(pthread_create(&thread, NULL, flood_main, &f), 0);
    while (now_ns() < f.until_ns) {
        if (now_ns() >= next) {
            next += 2000000;
            sent_at = now_ns();
            send(ping, &sent_at, sizeof sent_at, MSG_DONTWAIT);
        }
        poll(fds, 2, 1);
        from_len = sizeof from;
        if (recvfrom(echo, &sent_at, sizeof sent_at, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len) > 0)
            sendto(echo, &sent_at, sizeof sent_at, MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
        if (recv(ping, &sent_at, sizeof sent_at, MSG_DONTWAIT) > 0) {
            sum += now_ns() - sent_at;
            count++;
        }
    }
    pthread_join(thread, NULL);
    close(echo);
    close(sink);
    close(ping);
    close(f.fd);
    printf("  flood of %lu datagrams, %u pings, average %.2f ms\n", f.sent, count, count ? (double)sum / count / 1e6 : 0);
    return count > 20 ? (double)sum / count / 1e6 : 1000;
}

TEST(ping_under_a_flood)
{
    char line[80];
    double ms = 1000;
    tuo_tun_rx_stats in;
    int i;

    if (!ready())
        return;
    start(POLL, 10000);
    go(inner[0]);
    snprintf(line, sizeof line, "ip link set %s txqueuelen 100", tuo_tun_name(ends[0].tun)); /* a full queue is about 1 ms */
    CHECK_EQ_INT(system(line), 0);
    for (i = 0; i < 3 && ms > 20; i++) /* a busy machine delays a ping as well */
        ms = ping_under_flood();
    CHECK(ms < 20);
    end_loops(POLL);
    tuo_tun_query_rx_stats(ends[0].tun, &in);
    CHECK(in.rx_segments > 1000);
    CHECK(ends[0].longest > 64); /* there was more than the end could carry */
    CHECK(ends[0].longest < 128 + 64); /* and rounds ended: after 128 packets, at the end of a superpacket */
    close_ends();
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {CHECK_ENTRY(level_triggered_poll), CHECK_ENTRY(edge_triggered_epoll), CHECK_ENTRY(two_threads),
                                       CHECK_ENTRY(ping_under_a_flood)};

    netns_enter();
    if (!no_tun) {
        int i;
        underlay = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (system("ip link set lo up") != 0)
            no_tun = "no ip";
        for (i = 0; i < 2; i++)
            inner[i] = new_namespace();
        go(underlay);
    }
    return CHECK_RUN(argc, argv, tests);
}
