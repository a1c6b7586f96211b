/* The UDP socket (>>linux-udp) against a kernel that is stood in for: every errno at every call, to trains, to one peer, to all; what a
   read may bring; options that a kernel does not know. Sockets are real ones on loopback, so nothing but a socket is needed. What the
   kernel of this machine does: test_udp_net.c. U numbers: tests/kernel-rules.md. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>

struct tuoi_mmsg;
static int test_sendmmsg(int fd, struct tuoi_mmsg *messages, unsigned count, int flags);
static ssize_t test_recvmsg(int fd, struct msghdr *message, int flags);
static int test_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
static int test_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
static void *test_calloc(size_t count, size_t size);
static void test_free(void *memory);

#define TUOI_SENDMMSG test_sendmmsg
#define TUO_CALLOC test_calloc
#define TUO_FREE test_free
#define recvmsg test_recvmsg
#define setsockopt test_setsockopt
#define getsockopt test_getsockopt
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#undef recvmsg
#undef setsockopt
#undef getsockopt

#include "check.h"
#include "packets.h"
#include "asleep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { DATAGRAMS = 6000, PEERS = 80, PORT = 1000, MESSAGES_MAX = 200, CONTROL_MAX = 256 };

/* --------------------------------------------------------------------------------------- a kernel that takes and refuses */

typedef enum whom { NOBODY, TRAINS, EVERYTHING, ONE_PEER, ONE_PEERS_TRAINS, NAMED_LOCAL, TRAINS_AND_NAMED_LOCAL } whom;

/* What was pushed, and what became of it. user of a datagram: its record. */
typedef struct record {
    unsigned peer, local, tos;
    size_t len;
    int lost, error;      /* by tuo_udp_next_lost */
    int refused_alone;    /* the kernel's last answer to it as a single */
    size_t got;           /* times that it arrived */
} record;

static struct {
    int on;
    whom refuses;
    int error;
    unsigned peer;        /* ONE_PEER */
    unsigned long fail_at;   /* the call that fails once, with error; counted from 1 */
    unsigned fail_times;     /* calls from there on that fail; 0: one */
    unsigned most;           /* messages that one call takes; 0: any number */
    size_t len_max;          /* longer datagrams are too long for the path; 0: any length */
    int pends;               /* each datagram to `peer` raises an ICMP error, told by the next call: 1 send or read, 2 only with an entry */
    int pend_error;          /* which one; 0: ECONNREFUSED */
    int pending, entries;    /* such an error waits; entries of the error queue */
    unsigned long without_local; /* datagrams that left without the local address they were pushed with */
    rng *dice;               /* each call: refused now and then, with anything */
    unsigned long calls, messages, trains, singles, pieces, drained;
    size_t longest_train;
} kernel;

static record records[DATAGRAMS];
static size_t record_count;
static size_t arrived[PEERS][DATAGRAMS]; /* records, in the order of arrival at each peer */
static size_t arrived_count[PEERS];

static void forget(void)
{
    memset(&kernel, 0, sizeof kernel);
    memset(arrived_count, 0, sizeof arrived_count);
    record_count = 0;
    kernel.on = 1;
}

static uint8_t content(size_t id, size_t at)
{
    return (uint8_t)(id * 31 + at * 7 + (at >> 8));
}

/* The control data of a message, as the kernel reads it: strictly. */
typedef struct seen {
    uint32_t local;
    int tos, segment;
} seen;

static seen read_control(const struct msghdr *header)
{
    struct msghdr copy = *header;
    struct cmsghdr *c;
    seen s = {0, 0, 0};

    CHECK(header->msg_controllen == 0 || header->msg_control != NULL);
    for (c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
        size_t len = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_level == 17 && c->cmsg_type == 103) {
            uint16_t value;
            CHECK_EQ_INT(len, sizeof value); /* an int is refused: U 1.10 */
            memcpy(&value, CMSG_DATA(c), sizeof value);
            s.segment = value;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            CHECK_EQ_INT(len, sizeof info);
            memcpy(&info, CMSG_DATA(c), sizeof info);
            CHECK_EQ_INT(info.ipi_ifindex, 0);
            s.local = ntohl(info.ipi_spec_dst.s_addr);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            CHECK_EQ_INT(len, sizeof s.tos);
            memcpy(&s.tos, CMSG_DATA(c), sizeof s.tos);
        } else {
            CHECK(c == NULL); /* one that the library has no reason for */
        }
    }
    return s;
}

static tuo_udp *sender; /* the one that was opened last */

/* Is this datagram what was pushed as record i? */
static int is_record(size_t i, const uint8_t *bytes, size_t len, unsigned peer, const seen *s)
{
    const record *r = &records[i];
    size_t at;

    if (r->peer != peer || r->len != len || (unsigned)s->tos != r->tos || (s->local != 0 && s->local != r->local))
        return 0;
    for (at = 0; at < len && bytes[at] == content(i, at); at += len > 4000 ? 97 : 1) {
    }
    return at >= len;
}

/* The record of the number-th datagram of a message. Two empty ones look the same, so the library is asked for the user first. */
static record *record_of(const tuoi_udp_message *message, size_t number, const uint8_t *bytes, size_t len, unsigned peer, const seen *s)
{
    int32_t slot = message->first;
    record *r;
    size_t i;

    for (i = 0; i < number; i++)
        slot = sender->memory.slots[slot].next;
    r = (record *)sender->memory.items[slot].user;
    if (r >= records && r < records + record_count)
        return is_record((size_t)(r - records), bytes, len, peer, s) ? r : NULL;
    for (i = 0; i < record_count; i++)
        if (!records[i].got && is_record(i, bytes, len, peer, s))
            return &records[i];
    return NULL;
}

static size_t gather(const struct msghdr *header, uint8_t *bytes, size_t cap)
{
    size_t i, len = 0;

    for (i = 0; i < header->msg_iovlen; i++) {
        CHECK(header->msg_iov[i].iov_len <= cap - len);
        memcpy(bytes + len, header->msg_iov[i].iov_base, header->msg_iov[i].iov_len);
        len += header->msg_iov[i].iov_len;
    }
    return len;
}

static unsigned peer_of(const struct msghdr *header)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)header->msg_name;

    CHECK_EQ_INT(header->msg_namelen, sizeof *address);
    CHECK_EQ_INT(address->sin_family, AF_INET);
    return (unsigned)(ntohs(address->sin_port) - PORT);
}

/* What the kernel says to one message; 0: it is sent. first: of its call. */
static int answer(unsigned peer, int is_train, const seen *s, int first)
{
    if (kernel.pending) {
        kernel.pending = 0;
        return kernel.pend_error ? kernel.pend_error : ECONNREFUSED;
    }
    if (first && kernel.fail_at && kernel.calls >= kernel.fail_at && kernel.calls < kernel.fail_at + (kernel.fail_times ? kernel.fail_times : 1))
        return kernel.error;
    if (kernel.dice && rng_chance(kernel.dice, 1, 5)) {
        static const int errors[] = {EAGAIN, EINTR, EIO, EINVAL, EMSGSIZE, ENOBUFS, EPERM, ECONNREFUSED, ENETUNREACH, ENOMEM, EACCES, ENODEV};
        return errors[rng_below(kernel.dice, CHECK_COUNT_OF(errors))];
    }
    switch (kernel.refuses) {
    case TRAINS: return is_train ? kernel.error : 0;
    case EVERYTHING: return kernel.error;
    case ONE_PEER: return peer == kernel.peer ? kernel.error : 0;
    case ONE_PEERS_TRAINS: return is_train && peer == kernel.peer ? kernel.error : 0;
    case NAMED_LOCAL: return s->local ? kernel.error : 0;
    case TRAINS_AND_NAMED_LOCAL: return is_train || s->local ? kernel.error : 0;
    default: return 0;
    }
}

static void take(record *r, unsigned peer, const seen *s)
{
    if (!CHECK(r != NULL))
        return;
    r->got++;
    r->refused_alone = 0;
    kernel.without_local += r->local && !s->local;
    arrived[peer][arrived_count[peer]++] = (size_t)(r - records);
}

static int send_one(const struct msghdr *header, const tuoi_udp_message *message, int first)
{
    static uint8_t bytes[70000];
    const unsigned peer = peer_of(header);
    const seen s = read_control(header);
    const size_t len = gather(header, bytes, sizeof bytes), segment = s.segment ? (size_t)s.segment : len;
    const size_t count = segment ? (len + segment - 1) / segment : 1;
    size_t at, number = 0;
    int error;

    if (!CHECK(peer < PEERS))
        return EINVAL;
    CHECK(!s.segment || count > 1); /* a single is a plain message: U 1.6, U 1.12 */
    CHECK(count <= 64 && (count == 1 || len <= 65000)); /* U 1.1, U 1.4 */
    error = answer(peer, count > 1, &s, first);
    if (!error && kernel.len_max && segment > kernel.len_max)
        error = EMSGSIZE;
    if (error) {
        record *r = count == 1 ? record_of(message, 0, bytes, len, peer, &s) : NULL;
        if (r)
            r->refused_alone = error;
        return error;
    }
    kernel.messages++;
    kernel.pieces += header->msg_iovlen;
    *(count > 1 ? &kernel.trains : &kernel.singles) += 1;
    if (count > kernel.longest_train)
        kernel.longest_train = count;
    for (at = 0; at == 0 || at < len; at += segment) {
        take(record_of(message, number++, bytes + at, segment < len - at ? segment : len - at, peer, &s), peer, &s);
        if (segment == 0)
            break;
    }
    if (kernel.pends && peer == kernel.peer) {
        kernel.pending = 1;
        kernel.entries += kernel.pends == 2;
    }
    return 0;
}

static int test_sendmmsg(int fd, struct tuoi_mmsg *messages, unsigned count, int flags)
{
    unsigned i;

    if (!kernel.on)
        return sendmmsg(fd, (struct mmsghdr *)(void *)messages, count, flags);
    kernel.calls++;
    CHECK_EQ_INT(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
    CHECK(count > 0 && count <= 64);
    for (i = 0; i < count && (!kernel.most || i < kernel.most); i++) {
        int error = send_one(&messages[i].header, &sender->memory.messages[messages + i - sender->memory.mmsgs], i == 0);
        if (error) {
            errno = error;
            return i ? (int)i : -1; /* the error of what is not the first is lost: U 1.24 */
        }
    }
    return (int)i;
}

/* ------------------------------------------------------------------------------------------------ options and memory */

static struct {
    int unknown_gso, unknown_gro, no_force; /* a kernel that does not know them; no right to exceed the limits */
    unsigned long callocs, frees;
    size_t bytes;        /* of the last calloc */
    int no_memory;
    unsigned gro_late;   /* UDP_GRO was set on a socket that is bound, or switched off */
} host;

static void look_at_gro(int fd, const void *value)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    int on = 0;

    memset(&name, 0, sizeof name);
    memcpy(&on, value, sizeof on);
    (void)getsockname(fd, (struct sockaddr *)&name, &len);
    host.gro_late += !on || name.sin6_port != 0; /* at the same place for both families */
}

static int test_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == 17 && name == 104)
        look_at_gro(fd, value);
    if ((host.unknown_gro && level == 17 && name == 104) || (host.unknown_gso && level == 17 && name == 103)) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (host.no_force && level == SOL_SOCKET && (name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE)) {
        errno = EPERM;
        return -1;
    }
    return setsockopt(fd, level, name, value, len);
}

static int test_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (host.unknown_gso && level == 17 && name == 103) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return getsockopt(fd, level, name, value, len);
}

static void *test_calloc(size_t count, size_t size)
{
    host.callocs++;
    host.bytes = count * size;
    return host.no_memory ? NULL : calloc(count, size);
}

static void test_free(void *memory)
{
    host.frees++;
    free(memory);
}

/* -------------------------------------------------------------------------------------------------------- tools */

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    return address;
}

static struct sockaddr_in6 loopback6(const char *text)
{
    struct sockaddr_in6 address;

    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    CHECK_EQ_INT(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return address;
}

static tuo_udp *open_udp(const tuo_udp_desc *desc)
{
    struct sockaddr_in local = loopback(0);
    tuo_udp *udp = NULL;
    int error;

    CHECK_RESULT(tuo_udp_open(&udp, (const struct sockaddr *)&local, desc, &error), TUO_OK);
    sender = udp;
    return udp;
}

static tuo_udp_peer peer_number(unsigned number, unsigned local, unsigned tos)
{
    tuo_udp_peer peer;

    memset(&peer, 0, sizeof peer);
    peer.addr.ip4 = loopback(PORT + number);
    peer.local.ip4.s_addr = htonl(local);
    peer.tos = (uint8_t)tos;
    return peer;
}

static tuo_result push_with(tuo_udp *udp, unsigned number, size_t len, unsigned local, unsigned tos)
{
    static uint8_t bytes[65507];
    tuo_udp_peer peer = peer_number(number, local, tos);
    record *r = &records[record_count];
    tuo_result result;
    size_t i;

    memset(r, 0, sizeof *r);
    r->peer = number;
    r->local = local;
    r->tos = tos;
    r->len = len;
    for (i = 0; i < len; i++)
        bytes[i] = content(record_count, i);
    record_count++; /* push may send it, and others before it */
    result = tuo_udp_push(udp, &peer, bytes, len, r);
    if (result != TUO_OK)
        r->lost = -1; /* never taken */
    return result;
}

static tuo_result push(tuo_udp *udp, unsigned number, size_t len)
{
    return push_with(udp, number, len, 0, 0);
}

static tuo_udp_tx_stats tx_stats(const tuo_udp *udp)
{
    tuo_udp_tx_stats stats;

    tuo_udp_query_tx_stats(udp, &stats);
    return stats;
}

static unsigned collect_lost(tuo_udp *udp)
{
    tuo_udp_lost lost = {0};
    unsigned count = 0;

    while (tuo_udp_next_lost(udp, &lost) == TUO_OK) {
        record *r = (record *)lost.user;
        CHECK_EQ_INT(r->lost, 0);
        CHECK_EQ_INT(r->got, 0);
        CHECK_EQ_INT(lost.len, r->len);
        CHECK_EQ_INT(ntohs(lost.peer.addr.ip4.sin_port), PORT + r->peer);
        r->lost = 1;
        r->error = lost.error;
        count++;
    }
    return count;
}

/* A loop of sendto: what the kernel took arrived once, in the order of each peer; what it refused as a single, and only that, is lost;
   each datagram is in one counter. */
static void check_as_sendto(tuo_udp *udp)
{
    const tuo_udp_tx_stats stats = tx_stats(udp);
    size_t at[PEERS], i, taken = 0, lost = 0;

    memset(at, 0, sizeof at);
    collect_lost(udp);
    for (i = 0; i < record_count; i++) {
        const record *r = &records[i];
        if (r->lost < 0) {
            CHECK_EQ_INT(r->got, 0);
            continue;
        }
        taken++;
        lost += r->lost == 1;
        CHECK_EQ_INT(r->got + (size_t)r->lost, 1);
        if (r->lost) {
            CHECK(r->refused_alone != 0);
            CHECK_EQ_INT(r->error, r->refused_alone);
        } else {
            CHECK(at[r->peer] < arrived_count[r->peer] && arrived[r->peer][at[r->peer]] == i);
            at[r->peer]++;
        }
    }
    for (i = 0; i < PEERS; i++)
        CHECK_EQ_INT(at[i], arrived_count[i]);
    CHECK_EQ_INT(stats.tx_datagrams, taken);
    CHECK_EQ_INT(stats.tx_lost, lost);
    CHECK_EQ_INT(stats.tx_in_trains + stats.tx_singles + stats.tx_lost, taken);
    CHECK_EQ_INT(stats.tx_trains, kernel.trains);
    CHECK_EQ_INT(stats.tx_singles, kernel.singles);
    CHECK_EQ_INT(stats.tx_calls, kernel.calls);
    CHECK_EQ_INT(stats.tx_local_gone, kernel.without_local);
    CHECK_EQ_INT(tuo_udp_held(udp), 0);
}

static unsigned lost_of(unsigned peer)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < record_count; i++)
        count += records[i].peer == peer && records[i].lost == 1;
    return count;
}

/* A batch of what VPNs send: runs of equal datagrams, short tails, single ones, an empty one, to several peers in turn. */
static void push_mixture(tuo_udp *udp, unsigned local)
{
    static const struct {
        unsigned peer, count;
        size_t len;
    } runs[] = {{0, 5, 1400}, {1, 3, 600}, {0, 1, 200}, {2, 1, 1400}, {1, 2, 600}, {0, 2, 1400}, {3, 1, 0},
                {0, 1, 0},    {2, 4, 90},  {0, 3, 1400}, {3, 2, 7},   {1, 1, 100}, {2, 1, 90}};
    unsigned i, n;

    for (i = 0; i < CHECK_COUNT_OF(runs); i++)
        for (n = 0; n < runs[i].count; n++)
            CHECK_RESULT(push_with(udp, runs[i].peer, runs[i].len, local, 0), TUO_OK);
}

/* Flushes until nothing is held. */
static void flush_all(tuo_udp *udp)
{
    unsigned i;
    tuo_result result = TUO_AGAIN;

    for (i = 0; i < 100000 && result == TUO_AGAIN; i++) {
        result = tuo_udp_flush(udp);
        CHECK(result == TUO_OK || result == TUO_AGAIN);
        CHECK_EQ_INT(tuo_udp_held(udp), result == TUO_AGAIN);
        collect_lost(udp); /* the last 64 are kept */
    }
    CHECK_RESULT(result, TUO_OK);
}

/* ------------------------------------------------------------------------------------------------------- sending */

TEST(neighbours_and_trains)
{
    tuo_udp_desc desc = {0};
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_tx_stats stats;
    unsigned i;

    check_row("44 to one peer are one message of one piece");
    forget();
    for (i = 0; i < 44; i++)
        push(udp, 0, 1400);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(kernel.calls, 1);
    CHECK_EQ_INT(kernel.messages, 1);
    CHECK_EQ_INT(kernel.pieces, 1);
    check_as_sendto(udp);
    tuo_udp_close(udp);

    check_row("two peers in turn: two messages in one call");
    forget();
    udp = open_udp(NULL);
    for (i = 0; i < 20; i++)
        push(udp, i % 2, 1000);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(kernel.calls, 1);
    CHECK_EQ_INT(kernel.trains, 2);
    CHECK_EQ_INT(kernel.pieces, 20);
    check_as_sendto(udp);
    tuo_udp_close(udp);

    check_row("80 peers: pieces of 64 messages");
    forget();
    udp = open_udp(NULL);
    for (i = 0; i < 10 * PEERS; i++)
        push(udp, i % PEERS, 300);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(kernel.calls, 2);
    CHECK_EQ_INT(kernel.trains, PEERS);
    check_as_sendto(udp);
    stats = tx_stats(udp);
    CHECK_EQ_INT(stats.tx_bytes, 10 * PEERS * 300);
    tuo_udp_close(udp);

    check_row("more pieces than one call takes");
    forget();
    desc.max_datagrams = 2000;
    udp = open_udp(&desc);
    for (i = 0; i < 2000; i++)
        push(udp, i % 40, 100);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(kernel.calls, 2);
    CHECK_EQ_INT(kernel.trains, 40);
    check_as_sendto(udp);
    tuo_udp_close(udp);
}

TEST(sizes)
{
    static const size_t lens[] = {0, 1, 2, 65507, 0, 0, 65507, 1, 1400, 1400, 0, 1400, 65506, 65507, 32000, 32000, 32000};
    tuo_udp *udp = open_udp(NULL);
    size_t i;

    forget();
    for (i = 0; i < CHECK_COUNT_OF(lens); i++)
        CHECK_RESULT(push(udp, 0, lens[i]), TUO_OK);
    flush_all(udp);
    check_as_sendto(udp);
    CHECK_RESULT(push(udp, 0, 65507), TUO_OK);
    CHECK_RESULT(tuo_udp_push(udp, &(tuo_udp_peer){0}, records, 65508, NULL), TUO_E_INVALID);
    CHECK(tuo_udp_reserve(udp, 65508) == NULL);
    CHECK_EQ_INT(tx_stats(udp).tx_dropped_full, 1);
    flush_all(udp);
    check_as_sendto(udp);
    tuo_udp_close(udp);
}

TEST(reserve_and_commit)
{
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_peer peer = peer_number(0, 0, 0);
    uint8_t *a, *b;
    size_t i;

    forget();
    a = tuo_udp_reserve(udp, 1000);
    CHECK(a != NULL && tuo_udp_reserve(udp, 2000) == (void *)a); /* not committed: as if it had not been asked for */
    memset(&records[0], 0, sizeof records[0]);
    records[0].len = 600;
    record_count = 1;
    for (i = 0; i < 600; i++)
        a[i] = content(0, i);
    tuo_udp_commit(udp, &peer, 600, &records[0]);
    b = tuo_udp_reserve(udp, 10);
    CHECK(b == a + 600);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK); /* of the committed one alone */
    tuo_udp_commit(udp, &peer, 10, NULL);     /* what was reserved is gone with the flush */
    CHECK_EQ_INT(tx_stats(udp).tx_dropped_full, 1);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    check_as_sendto(udp);
    CHECK_EQ_INT(kernel.messages, 1);
    tuo_udp_close(udp);
}

static const int errors[] = {EIO, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM, EAGAIN, EPERM, ECONNREFUSED, ENETUNREACH, EINTR, EACCES, EHOSTUNREACH};

/* The same mixture, and one call after the other fails once. */
TEST(an_error_at_every_call)
{
    static const unsigned limits[] = {0, 1, 3};
    size_t e, m, local;

    for (e = 0; e < CHECK_COUNT_OF(errors); e++)
        for (m = 0; m < CHECK_COUNT_OF(limits); m++)
            for (local = 0; local < 2; local++) {
                unsigned long at = 1, calls = 1;
                check_row("%s, %u messages at a time%s", strerror(errors[e]), limits[m], local ? ", local addresses" : "");
                for (; at <= calls; at++) {
                    tuo_udp *udp = open_udp(NULL);
                    tuo_udp_tx_stats stats;
                    forget();
                    kernel.error = errors[e];
                    kernel.fail_at = at;
                    kernel.most = limits[m];
                    push_mixture(udp, local ? INADDR_LOOPBACK : 0);
                    flush_all(udp);
                    calls = kernel.calls;
                    check_as_sendto(udp);
                    stats = tx_stats(udp);
                    CHECK(stats.tx_lost <= 1);
                    if (errors[e] == EAGAIN || errors[e] == EINTR || errors[e] == ECONNREFUSED)
                        CHECK_EQ_INT(stats.tx_lost + stats.tx_refused_trains, 0);
                    if (local && (errors[e] == EINVAL || errors[e] == ENETUNREACH)) {
                        CHECK_EQ_INT(stats.tx_lost + stats.tx_refused_trains, 0);
                        CHECK_EQ_INT(stats.tx_local_gone != 0, kernel.calls > at);
                    }
                    CHECK(stats.switched_off <= stats.tx_refused_trains);
                    tuo_udp_close(udp);
                }
                CHECK(at > (limits[m] == 1 ? 8u : 2u));
            }
}

TEST(errors_that_last)
{
    size_t e, scope, most;

    for (e = 0; e < CHECK_COUNT_OF(errors); e++)
        for (scope = TRAINS; scope <= ONE_PEERS_TRAINS; scope++)
            for (most = 0; most < 3; most++) {
                static const char *const names[] = {"nobody", "trains", "everything", "peer 0", "trains to peer 0"};
                tuo_udp *udp;
                tuo_udp_tx_stats stats;
                if (errors[e] == EAGAIN || errors[e] == EINTR)
                    continue; /* would never end */
                check_row("%s to %s, at most %u", strerror(errors[e]), names[scope], (unsigned)most);
                udp = open_udp(NULL);
                forget();
                kernel.error = errors[e];
                kernel.refuses = (whom)scope;
                kernel.most = (unsigned)most;
                push_mixture(udp, 0);
                push_mixture(udp, 0);
                flush_all(udp);
                check_as_sendto(udp);
                stats = tx_stats(udp);
                CHECK_EQ_INT(stats.tx_lost, scope == EVERYTHING ? record_count : scope == ONE_PEER ? lost_of(0) : 0);
                CHECK(scope != ONE_PEER || lost_of(0) == 24);
                CHECK_EQ_INT(stats.tx_trains != 0, scope == ONE_PEER || scope == ONE_PEERS_TRAINS);
                if (scope == EVERYTHING || scope == ONE_PEER) /* the route, not the trains (U 1.33, U 5) */
                    CHECK_EQ_INT(stats.switched_off, 0);
                tuo_udp_close(udp);
            }
}

/* U 1.14: an IPsec-covered peer. U 5 3, 4: the others keep their trains, and its own come back. */
TEST(trains_are_switched_off_for_one_peer)
{
    tuo_udp_desc desc = {0};
    tuo_udp *udp;
    tuo_udp_tx_stats stats;
    unsigned round, i;

    desc.retry_after = 100;
    udp = open_udp(&desc);
    forget();
    kernel.refuses = ONE_PEERS_TRAINS;
    kernel.error = EIO;
    for (round = 0; round < 40; round++) {
        for (i = 0; i < 10; i++) {
            push(udp, 0, 500);
            push(udp, 1, 500);
        }
        flush_all(udp);
    }
    check_as_sendto(udp);
    stats = tx_stats(udp);
    CHECK_EQ_INT(stats.tx_in_trains, 400); /* peer 1, all of it */
    CHECK_EQ_INT(stats.tx_singles, 400);
    CHECK_EQ_INT(stats.switched_off, 3); /* after 0, 110 and 320 datagrams: refused, 100, refused, 200, refused */
    CHECK_EQ_INT(stats.tx_refused_trains, 3);
    CHECK_EQ_INT(stats.tx_resent, 30);

    check_row("they come back, and the wait is short again");
    kernel.refuses = NOBODY;
    for (round = 0; round < 60; round++) {
        for (i = 0; i < 10; i++)
            push(udp, 0, 500);
        flush_all(udp);
    }
    check_as_sendto(udp);
    CHECK(tx_stats(udp).tx_in_trains > 500);
    kernel.refuses = ONE_PEERS_TRAINS;
    for (round = 0; round < 12; round++) {
        for (i = 0; i < 10; i++)
            push(udp, 0, 500);
        flush_all(udp);
    }
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).switched_off, 5);
    tuo_udp_close(udp);

    check_row("by default, 4096 datagrams go singly");
    udp = open_udp(NULL);
    forget();
    kernel.refuses = TRAINS;
    kernel.error = EIO;
    for (i = 0; i < 10; i++)
        push(udp, 0, 500);
    flush_all(udp);
    kernel.refuses = NOBODY;
    for (i = 0; i < 4106; i++) {
        push(udp, 0, 100);
        if (i % 2)
            flush_all(udp);
    }
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_singles, 10 + 4096);
    CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 10);
    tuo_udp_close(udp);

    check_row("within one flush: one refusal, not one per train");
    udp = open_udp(NULL);
    forget();
    kernel.refuses = ONE_PEERS_TRAINS;
    kernel.error = EIO;
    for (i = 0; i < 500; i++) {
        push(udp, 0, 100);
        push(udp, 1, 100);
    }
    flush_all(udp);
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_refused_trains, 1);
    CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 500);
    tuo_udp_close(udp);

    check_row("more refusing peers than are remembered");
    udp = open_udp(NULL);
    forget();
    kernel.refuses = TRAINS;
    kernel.error = EIO;
    for (i = 0; i < 5 * PEERS; i++)
        push(udp, i % PEERS, 100);
    flush_all(udp);
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_singles, 5 * PEERS);
    CHECK_EQ_INT(tx_stats(udp).switched_off, PEERS);
    tuo_udp_close(udp);
}

/* The kernel has no memory for a train: its datagrams go singly. That says nothing about trains, so the next one goes as one. */
TEST(no_memory_for_trains)
{
    static const int reasons[] = {ENOBUFS, ENOMEM};
    size_t e;

    for (e = 0; e < CHECK_COUNT_OF(reasons); e++) {
        tuo_udp *udp = open_udp(NULL);
        unsigned round, i;

        check_row("%s", strerror(reasons[e]));
        forget();
        kernel.error = reasons[e];
        for (round = 0; round < 6; round++) {
            kernel.refuses = round % 2 ? NOBODY : TRAINS;
            for (i = 0; i < 10; i++)
                push(udp, 0, 500);
            flush_all(udp);
        }
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_refused_trains, 3);
        CHECK_EQ_INT(tx_stats(udp).tx_resent, 30);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 30);
        CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
        tuo_udp_close(udp);
    }
}

/* U 5 3: one peer that nothing reaches, for whatever reason, leaves the others their trains, in this batch and in the next ones. */
TEST(one_peer_in_trouble)
{
    size_t e;

    for (e = 0; e < CHECK_COUNT_OF(errors); e++) {
        tuo_udp *udp;
        unsigned round, i;
        if (errors[e] == EAGAIN || errors[e] == EINTR)
            continue;
        check_row("%s", strerror(errors[e]));
        udp = open_udp(NULL);
        forget();
        kernel.refuses = ONE_PEER;
        kernel.error = errors[e];
        for (round = 0; round < 4; round++) {
            for (i = 0; i < 30; i++)
                push(udp, i % 3, 500);
            flush_all(udp);
        }
        check_as_sendto(udp);
        CHECK_EQ_INT(lost_of(0), 40);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 80);
        CHECK_EQ_INT(tx_stats(udp).tx_trains, 8);
        tuo_udp_close(udp);
    }
}

/* U 1.33, U 1.34. */
TEST(a_stale_local_address)
{
    static const int reasons[] = {EINVAL, ENETUNREACH, EADDRNOTAVAIL, ENODEV};
    size_t e;

    for (e = 0; e < CHECK_COUNT_OF(reasons); e++) {
        tuo_udp *udp = open_udp(NULL);
        tuo_udp_tx_stats stats;
        check_row("%s", strerror(reasons[e]));
        forget();
        kernel.refuses = NAMED_LOCAL;
        kernel.error = reasons[e];
        push_mixture(udp, 0x7f000009);
        push_mixture(udp, 0);
        flush_all(udp);
        check_as_sendto(udp);
        stats = tx_stats(udp);
        CHECK_EQ_INT(stats.tx_lost + stats.tx_refused_trains + stats.switched_off, 0);
        CHECK_EQ_INT(stats.tx_local_gone, record_count / 2);
        CHECK(stats.tx_trains > 0);

        check_row("%s, and it is another reason", strerror(reasons[e]));
        kernel.refuses = EVERYTHING;
        push_mixture(udp, 0x7f000009);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, stats.tx_local_gone);
        CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
        tuo_udp_close(udp);
    }
    check_row("once, by chance: those behind keep their address");
    {
        tuo_udp *udp = open_udp(NULL);
        forget();
        kernel.error = EINVAL;
        kernel.fail_at = 1;
        kernel.fail_times = 2; /* with the address, and without */
        push_with(udp, 0, 300, 0x7f000009, 0);
        push_with(udp, 0, 0, 0x7f000009, 0);
        push_with(udp, 0, 300, 0x7f000009, 0);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_lost, 1);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 0);
        tuo_udp_close(udp);
    }
    check_row("it is gone, and the first is too long besides");
    {
        tuo_udp *udp = open_udp(NULL);
        unsigned i;
        forget();
        kernel.refuses = NAMED_LOCAL;
        kernel.error = EINVAL;
        kernel.len_max = 1400;
        for (i = 0; i < 6; i++)
            push_with(udp, 0, i == 0 || i == 3 ? 3000 : 100 * i, 0x7f000009, 0);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 4);
        CHECK_EQ_INT(tx_stats(udp).tx_too_long, 2);
        CHECK_EQ_INT(records[0].error, EMSGSIZE);
        tuo_udp_close(udp);
    }
    check_row("it is gone, and trains are refused besides");
    {
        tuo_udp *udp = open_udp(NULL);
        forget();
        kernel.refuses = TRAINS_AND_NAMED_LOCAL;
        kernel.error = EINVAL;
        push_mixture(udp, 0x7f000009);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_lost, 0);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, record_count);
        tuo_udp_close(udp);
    }
    check_row("trains are refused, the address is sound");
    {
        tuo_udp *udp = open_udp(NULL);
        forget();
        kernel.refuses = TRAINS;
        kernel.error = EINVAL;
        push_mixture(udp, 0x7f000009);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 0);
        CHECK(tx_stats(udp).switched_off > 0);
        tuo_udp_close(udp);
    }
}

/* U 1.25, U 1.26, U 3.4: a dead peer among others. */
TEST(errors_of_earlier_datagrams)
{
    static const struct {
        const char *name;
        int pends, has_recverr, error, connected;
        unsigned most;
    } rows[] = {
        {"an error that only ICMP raises", 1, 0, ECONNREFUSED, 0, 0}, {"the same, one message at a time", 1, 0, ECONNREFUSED, 0, 1},
        {"connected", 1, 0, EHOSTUNREACH, 1, 1},                      {"an error queue", 2, 1, EMSGSIZE, 0, 0},
        {"an error queue that came later", 2, 0, EHOSTUNREACH, 0, 1},
    };
    size_t row;

    for (row = 0; row < CHECK_COUNT_OF(rows); row++) {
        const int with_queue = rows[row].pends == 2;
        struct sockaddr_in somewhere = loopback(9);
        tuo_udp *udp = open_udp(NULL);
        unsigned i;
        check_row("%s", rows[row].name);
        forget();
        if (rows[row].connected)
            CHECK_EQ_INT(connect(tuo_udp_fd(udp), (const struct sockaddr *)&somewhere, sizeof somewhere), 0);
        udp->has_recverr = rows[row].has_recverr;
        kernel.pends = rows[row].pends;
        kernel.pend_error = rows[row].error;
        kernel.most = rows[row].most;
        kernel.peer = 1;
        for (i = 0; i < 200; i++) {
            push(udp, i % 3, 100 + i % 7);
            if (i % 20 != 19)
                continue;
            push(udp, 1, 2000); /* longer than those before: the last message, whose error the next call meets */
            flush_all(udp);
        }
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_lost + tx_stats(udp).tx_refused_trains, 0);
        CHECK(tx_stats(udp).tx_errors >= 9);
        CHECK(!with_queue || (kernel.drained >= 30 && kernel.entries <= 1));
        tuo_udp_close(udp);
    }
}

/* It says nothing about trains, even if it comes twice. */
TEST(two_errors_of_earlier_datagrams)
{
    tuo_udp *udp = open_udp(NULL);
    unsigned i;

    forget();
    kernel.error = ECONNREFUSED;
    kernel.fail_at = 1;
    kernel.fail_times = 2;
    for (i = 0; i < 20; i++)
        push(udp, 0, 500);
    flush_all(udp);
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_resent, 20);
    CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
    tuo_udp_close(udp);
}

TEST(held_goes_first)
{
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_peer peer = peer_number(0, 0, 0);
    tuo_udp_tx_stats stats;
    unsigned i, pushed = 0, dropped = 0;

    forget();
    kernel.refuses = EVERYTHING;
    kernel.error = EAGAIN;
    push_mixture(udp, 0);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_AGAIN);
    CHECK_EQ_INT(tuo_udp_held(udp), 1);
    for (i = 0; i < 1500; i++) {
        tuo_result result = push(udp, i % 5, 10 + i % 90);
        CHECK(result == TUO_OK || result == TUO_AGAIN);
        pushed += result == TUO_OK;
        dropped += result == TUO_AGAIN;
    }
    CHECK_EQ_INT(pushed + 27, 1024);
    CHECK(tuo_udp_reserve(udp, 1) == NULL);
    stats = tx_stats(udp);
    CHECK_EQ_INT(stats.tx_dropped_full, dropped + 1);
    CHECK_EQ_INT(stats.tx_again, stats.tx_calls);
    kernel.refuses = NOBODY;
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(tuo_udp_held(udp), 0);
    check_as_sendto(udp);
    CHECK(tuo_udp_reserve(udp, 1) != NULL);
    tuo_udp_commit(udp, &peer, 0, NULL); /* not flushed: close drops it */
    tuo_udp_close(udp);

    check_row("full by bytes");
    udp = open_udp(NULL);
    forget();
    kernel.refuses = EVERYTHING;
    kernel.error = EAGAIN;
    for (i = 0; i < 5; i++)
        CHECK_RESULT(push(udp, 0, 60000), i < 4 ? TUO_OK : TUO_AGAIN);
    kernel.refuses = NOBODY;
    kernel.most = 1;
    kernel.fail_at = kernel.calls + 2;
    kernel.error = EAGAIN;
    CHECK_RESULT(push(udp, 0, 60000), TUO_OK); /* one of four left, so the other three have moved */
    flush_all(udp);
    check_as_sendto(udp);
    tuo_udp_close(udp);
}

/* Only some of a peer's datagrams are held, with others of other peers. */
TEST(again_in_the_middle)
{
    unsigned long at;

    for (at = 1; at < 30; at++) {
        tuo_udp *udp = open_udp(NULL);
        unsigned round;
        forget();
        for (round = 0; round < 5; round++) {
            kernel.error = EAGAIN;
            kernel.fail_at = kernel.calls + at;
            kernel.fail_times = 3;
            kernel.most = 1 + (unsigned)at % 3;
            push_mixture(udp, round % 2 ? INADDR_LOOPBACK : 0);
            (void)tuo_udp_flush(udp);
        }
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_lost, 0);
        tuo_udp_close(udp);
    }
}

TEST(no_socket_any_more)
{
    static const int reasons[] = {EBADF, ENOTSOCK};
    size_t e, in_push;

    for (e = 0; e < CHECK_COUNT_OF(reasons); e++)
        for (in_push = 0; in_push < 2; in_push++) {
            tuo_udp *udp = open_udp(NULL);
            tuo_udp_lost lost = {0};
            tuo_udp_info info;
            unsigned i, count = 0;
            check_row("%s%s", strerror(reasons[e]), in_push ? ", found by push" : "");
            forget();
            kernel.refuses = EVERYTHING;
            kernel.error = reasons[e];
            for (i = 0; i < (in_push ? 1025u : 100u); i++)
                CHECK_RESULT(push(udp, i % 7, 100), TUO_OK);
            if (in_push)
                kernel.refuses = NOBODY; /* found by push, and said by the next flush */
            CHECK_RESULT(tuo_udp_flush(udp), TUO_E_SYSTEM);
            CHECK_RESULT(tuo_udp_flush(udp), TUO_OK); /* nothing left, said once */
            CHECK_EQ_INT(tx_stats(udp).tx_lost, in_push ? 1024 : record_count);
            while (tuo_udp_next_lost(udp, &lost) == TUO_OK) {
                CHECK_EQ_INT(lost.error, reasons[e]);
                CHECK(lost.user == &records[tx_stats(udp).tx_lost - 64 + count]); /* the last 64, oldest first */
                count++;
            }
            CHECK_EQ_INT(count, 64);
            tuo_udp_query_info(udp, &info);
            CHECK_EQ_INT(info.tx_errno, reasons[e]);
            tuo_udp_close(udp);
        }
}

TEST(traffic_classes_and_addresses_of_one_peer)
{
    tuo_udp *udp = open_udp(NULL);
    unsigned i;

    check_row("runs stay trains, order is kept");
    forget();
    for (i = 0; i < 200; i++)
        push_with(udp, 0, 700, i / 50 % 2 ? 0x7f000002 : 0x7f000001, i / 10 % 3);
    flush_all(udp);
    check_as_sendto(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_trains, 20);
    CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 0);
    tuo_udp_close(udp);

    check_row("in turn");
    udp = open_udp(NULL);
    forget();
    for (i = 0; i < 900; i++)
        push_with(udp, i % 2, 60, 0, i / 2 % 2 ? 2 : 3);
    flush_all(udp);
    check_as_sendto(udp);
    tuo_udp_close(udp);
}

TEST(few_keys)
{
    static const unsigned counts[] = {1, 2, 5};
    size_t c, again;

    for (c = 0; c < CHECK_COUNT_OF(counts); c++)
        for (again = 0; again < 2; again++) {
            tuo_udp_desc desc = {0};
            tuo_udp *udp;
            unsigned i;
            check_row("max_peers %u%s", counts[c], again ? ", socket full at times" : "");
            desc.max_peers = counts[c];
            udp = open_udp(&desc);
            forget();
            for (i = 0; i < 600; i++) {
                kernel.refuses = again && i / 100 % 2 ? EVERYTHING : NOBODY;
                kernel.error = EAGAIN;
                (void)push_with(udp, i / 10 % 4, 100 + i % 3, 0, 0);
            }
            kernel.refuses = NOBODY;
            flush_all(udp);
            check_as_sendto(udp);
            CHECK_EQ_INT(tx_stats(udp).tx_dropped_full != 0, again && counts[c] < 4);
            tuo_udp_close(udp);
        }
}

TEST(same_address)
{
    tuo_udp_peer a = {.addr = {.ip4 = loopback(1)}}, b = a, none = {0}, c, d;

    memset(&c, 0xee, sizeof c); /* what is no part of the address does not count */
    c.addr.ip4.sin_family = AF_INET;
    c.addr.ip4.sin_port = a.addr.ip4.sin_port;
    c.addr.ip4.sin_addr = a.addr.ip4.sin_addr;
    b.tos = 3;
    b.local.ip4 = a.addr.ip4.sin_addr;
    CHECK(tuo_udp_same_addr(&a, &b));
    CHECK(tuo_udp_same_addr(&a, &c));
    CHECK(!tuo_udp_same_addr(&a, &none));
    CHECK(tuo_udp_same_addr(&none, &none));
    c.addr.ip4.sin_port = htons(2);
    CHECK(!tuo_udp_same_addr(&a, &c));
    memset(&c, 0, sizeof c);
    c.addr.ip6.sin6_family = AF_INET6;
    c.addr.ip6.sin6_port = htons(1);
    c.addr.ip6.sin6_addr.s6_addr[15] = 1;
    d = c;
    d.addr.ip6.sin6_flowinfo = 5;
    CHECK(tuo_udp_same_addr(&c, &d));
    memset(&b, 0, sizeof b);
    b.addr.ip6.sin6_family = AF_INET6;
    b.addr.ip6.sin6_port = a.addr.ip4.sin_port;
    CHECK_EQ_INT(inet_pton(AF_INET6, "::ffff:127.0.0.1", &b.addr.ip6.sin6_addr), 1);
    CHECK(tuo_udp_same_addr(&a, &b));
    d.addr.ip6.sin6_scope_id = 5;
    CHECK(!tuo_udp_same_addr(&c, &d));
    CHECK(!tuo_udp_same_addr(&a, &c));
}

TEST(lost_with_its_path_mtu)
{
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_tx_stats stats;
    tuo_udp_lost lost = {0};
    uint32_t mtu = 0;
    const int next_fd = dup(0);

    close(next_fd);
    forget();
    kernel.refuses = EVERYTHING;
    kernel.error = EMSGSIZE;
    CHECK_RESULT(push(udp, 0, 1400), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_RESULT(tuo_udp_mtu(udp, &(tuo_udp_peer){.addr = {.ip4 = loopback(PORT)}}, &mtu), TUO_OK);
    CHECK(mtu >= 1500);
    if (!CHECK_RESULT(tuo_udp_next_lost(udp, &lost), TUO_OK))
        return;
    CHECK_EQ_INT(lost.error, EMSGSIZE);
    CHECK_EQ_INT(lost.mtu, mtu);
    CHECK(lost.user == &records[0]);
    CHECK_RESULT(tuo_udp_next_lost(udp, &lost), TUO_DONE);
    kernel.error = EPERM;
    CHECK_RESULT(push(udp, 0, 1400), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    tuo_udp_query_tx_stats(udp, &stats);
    CHECK_EQ_INT(stats.tx_lost, 2);
    CHECK_EQ_INT(stats.tx_too_long, 1);
    CHECK_RESULT(tuo_udp_mtu(udp, &(tuo_udp_peer){0}, &mtu), TUO_E_INVALID);
    CHECK_EQ_INT(dup(0), next_fd); /* no descriptor is left open */
    close(next_fd);
    tuo_udp_close(udp);
}

TEST(any_answers)
{
    rng dice = rng_start("any_answers", 1);
    unsigned seed;

    for (seed = 0; seed < 60; seed++) {
        tuo_udp_desc desc = {0};
        tuo_udp *udp;
        unsigned i;
        check_row("round %u", seed);
        desc.retry_after = seed % 2 ? 7 : 0;
        desc.max_peers = seed % 3 ? 0 : 3;
        desc.max_datagrams = seed % 4 ? 0 : 20;
        udp = open_udp(&desc);
        forget();
        kernel.dice = &dice;
        for (i = 0; i < 800; i++) {
            const size_t lens[] = {0, 1, 60, 60, 300, 300, 300, 1400};
            kernel.most = rng_below(&dice, 5);
            (void)push_with(udp, rng_below(&dice, 6), lens[rng_below(&dice, 8)],
                            rng_chance(&dice, 1, 4) ? 0x7f000005 : 0, rng_chance(&dice, 1, 20) ? 3 : 0);
            if (rng_chance(&dice, 1, 30))
                (void)tuo_udp_flush(udp);
            collect_lost(udp);
        }
        flush_all(udp);
        check_as_sendto(udp);
        tuo_udp_close(udp);
    }
}

TEST(without_gso)
{
    int why;

    for (why = 0; why < 2; why++) {
        tuo_udp_desc desc = {0};
        tuo_udp *udp;
        tuo_udp_info info;
        check_row(why ? "not wanted" : "a kernel that does not know UDP_SEGMENT and UDP_GRO");
        host.unknown_gso = host.unknown_gro = !why;
        desc.no_gso = desc.no_gro = (uint8_t)why;
        udp = open_udp(&desc);
        host.unknown_gso = host.unknown_gro = 0;
        tuo_udp_query_info(udp, &info);
        CHECK_EQ_INT(info.gso + info.gro, 0);
        forget();
        push_mixture(udp, 0);
        flush_all(udp);
        check_as_sendto(udp);
        CHECK_EQ_INT(kernel.trains, 0);
        tuo_udp_close(udp);
    }
}

TEST(send_batches)
{
    tuo_udp *udp = open_udp(NULL);
    static uint8_t bytes[30][300];
    tuo_buf bufs[30];
    void *pointers[30];
    tuo_udp_peer peers[30];
    size_t taken, i, at;

    forget();
    for (i = 0; i < 30; i++) {
        memset(&records[i], 0, sizeof records[i]);
        records[i].peer = (unsigned)i % 2;
        records[i].len = i == 7 ? 0 : 200;
        for (at = 0; at < records[i].len; at++)
            bytes[i][16 + at] = content(i, at);
        bufs[i].data = bytes[i];
        bufs[i].len = 16 + records[i].len;
        bufs[i].capacity = sizeof bytes[i];
        pointers[i] = &bufs[i];
        peers[i] = peer_number((unsigned)i % 2, 0, 0);
    }
    record_count = 30;
    CHECK_RESULT(tuo_udp_send_batch(udp, peers, NULL, pointers, 30, 16, &taken), TUO_OK);
    CHECK_EQ_INT(taken, 30);
    check_as_sendto(udp);

    check_row("a buffer shorter than its headroom");
    forget();
    record_count = 30;
    for (i = 0; i < 30; i++)
        records[i].got = 0;
    bufs[3].len = 15;
    CHECK_RESULT(tuo_udp_send_batch(udp, peers, NULL, pointers, 30, 16, &taken), TUO_E_INVALID);
    CHECK_EQ_INT(taken, 3);
    CHECK_EQ_INT(records[0].got + records[1].got + records[2].got, 3);
    bufs[3].len = 216;

    check_row("the socket is full");
    forget();
    kernel.refuses = EVERYTHING;
    kernel.error = EAGAIN;
    record_count = 30;
    for (i = 0, at = 0; i < 40; i++) {
        CHECK_RESULT(tuo_udp_send_batch(udp, peers, NULL, pointers, 30, 16, &taken), TUO_AGAIN);
        at += taken;
    }
    CHECK_EQ_INT(at, 1024);
    CHECK_EQ_INT(tx_stats(udp).tx_dropped_full, 0);
    tuo_udp_close(udp);

    check_row("lost: the user is the buffer");
    udp = open_udp(NULL);
    kernel.error = EPERM;
    CHECK_RESULT(tuo_udp_send_batch(udp, peers, NULL, pointers, 1, 16, &taken), TUO_OK);
    {
        tuo_udp_lost lost = {0};
        CHECK_RESULT(tuo_udp_next_lost(udp, &lost), TUO_OK);
        CHECK(lost.user == &bufs[0]);
    }
    tuo_udp_close(udp);
}

/* ----------------------------------------------------------------------------------------------------- receiving */

/* What the next reads bring. */
typedef struct scripted {
    int error;            /* errno; 0: a message */
    size_t len;           /* its true length */
    int flags;
    struct sockaddr_in6 name;
    uint8_t control[CONTROL_MAX];
    size_t control_len;
} scripted;

static struct {
    int on;
    scripted reads[40];
    size_t count, next;
    unsigned long drained;
    int entries;          /* of the error queue */
} script;

static uint8_t payload(size_t at)
{
    return (uint8_t)(at * 13 + (at >> 8));
}

static ssize_t test_recvmsg(int fd, struct msghdr *message, int flags)
{
    scripted *s;
    size_t i, cap;

    if (flags & MSG_ERRQUEUE) {
        if (kernel.on && kernel.entries) {
            kernel.entries--;
            kernel.drained++;
            return 0;
        }
        if (!script.on)
            return recvmsg(fd, message, flags);
        script.drained += script.entries > 0;
        errno = EAGAIN;
        return script.entries-- > 0 ? 0 : -1;
    }
    if (!script.on)
        return recvmsg(fd, message, flags);
    CHECK_EQ_INT(flags, MSG_DONTWAIT | MSG_TRUNC);
    if (script.next == script.count) {
        errno = EAGAIN;
        return -1;
    }
    s = &script.reads[script.next++];
    errno = s->error;
    if (s->error)
        return -1;
    cap = message->msg_iov[0].iov_len;
    for (i = 0; i < s->len && i < cap; i++)
        ((uint8_t *)message->msg_iov[0].iov_base)[i] = payload(i);
    CHECK(message->msg_controllen >= s->control_len);
    memcpy(message->msg_control, s->control, s->control_len);
    message->msg_controllen = s->control_len;
    message->msg_flags = s->flags;
    message->msg_namelen = s->name.sin6_family == AF_INET6 ? sizeof s->name : sizeof(struct sockaddr_in);
    memcpy(message->msg_name, &s->name, message->msg_namelen);
    return (ssize_t)s->len;
}

static void forget_script(void)
{
    memset(&script, 0, sizeof script);
    script.on = 1;
}

static scripted *add_read(size_t len)
{
    scripted *s = &script.reads[script.count++];
    struct sockaddr_in from = loopback(4242);

    s->len = len;
    memcpy(&s->name, &from, sizeof from);
    return s;
}

static void add_control(scripted *s, int level, int type, const void *value, size_t len)
{
    struct cmsghdr header;

    memset(&header, 0, sizeof header);
    header.cmsg_len = CMSG_LEN(len);
    header.cmsg_level = level;
    header.cmsg_type = type;
    memcpy(s->control + s->control_len, &header, sizeof header);
    memcpy(s->control + s->control_len + CMSG_LEN(0), value, len);
    s->control_len += CMSG_SPACE(len);
}

static void add_size(scripted *s, int size)
{
    add_control(s, 17, 104, &size, sizeof size);
}

static scripted *add_train(size_t len, int size)
{
    scripted *s = add_read(len);

    add_size(s, size);
    return s;
}

static void add_error(int error)
{
    script.reads[script.count++].error = error;
}

static tuo_udp_rx_stats rx_stats(const tuo_udp *udp)
{
    tuo_udp_rx_stats stats;

    tuo_udp_query_rx_stats(udp, &stats);
    return stats;
}

/* Everything that the script brings, through rounds; the lengths, to compare. Returns how many. */
static size_t read_all(tuo_udp *udp, size_t *lens, size_t cap)
{
    tuo_udp_datagram d;
    size_t count = 0, off = 0, i, message = 0;
    tuo_result result;

    for (;;) {
        result = tuo_udp_next(udp, &d);
        if (result == TUO_MORE) {
            CHECK_EQ_INT(tuo_udp_pending(udp), 0);
            continue;
        }
        if (result != TUO_OK)
            break;
        if (script.next != message)
            off = 0; /* a message of its own */
        message = script.next;
        for (i = 0; i < d.len && d.data[i] == payload(off + i); i++) {
        }
        CHECK_EQ_INT(i, d.len);
        off += d.len;
        CHECK_EQ_INT(tuo_udp_pending(udp), udp->rx.left != 0);
        if (CHECK(count < cap))
            lens[count++] = d.len;
    }
    CHECK_RESULT(result, TUO_AGAIN);
    CHECK_EQ_INT(tuo_udp_pending(udp), 0);
    return count;
}

TEST(slices)
{
    size_t lens[700], i;
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_rx_stats stats;

    check_row("an empty datagram between two trains (U 5 1)");
    forget_script();
    add_train(3500, 1000);
    add_read(0);
    add_train(2000, 1000);
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 7);
    CHECK_EQ_INT(lens[3], 500);
    CHECK_EQ_INT(lens[4], 0);
    CHECK_EQ_INT(lens[6], 1000);
    stats = rx_stats(udp);
    CHECK_EQ_INT(stats.rx_messages, 3);
    CHECK_EQ_INT(stats.rx_datagrams, 7);
    CHECK_EQ_INT(stats.rx_bytes, 5500);
    CHECK_EQ_INT(stats.rx_trains, 2);

    check_row("128 of 100 bytes, twice, and 128 of 1 (U 2.3, U 5 2)");
    forget_script();
    add_train(12800, 100);
    add_train(12800, 100);
    add_train(128, 1);
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 384);
    for (i = 0; i < 256; i++)
        CHECK_EQ_INT(lens[i], 100);

    check_row("the largest of each kind");
    forget_script();
    add_train(65493, 1400);
    add_read(65507);
    add_read(65527);
    add_train(65535, 65535);
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 50);
    CHECK_EQ_INT(lens[46], 65493 - 46 * 1400);
    CHECK_EQ_INT(lens[49], 65535);
    tuo_udp_close(udp);
    script.on = 0;
}

TEST(broken_messages)
{
    static const struct {
        size_t len;
        int size;
        unsigned datagrams; /* that come of it */
    } rows[] = {{3000, 0, 0}, {3000, -1, 0}, {3000, 3001, 0}, {0, 1, 0}, {3000, 3000, 1}, {1, 1, 1}, {3000, -2147483647 - 1, 0}, {3000, 65536, 0}, {3000, 2999, 2}};
    size_t lens[64], i, expected = 0;
    tuo_udp *udp = open_udp(NULL);
    scripted *s;
    uint8_t stub = 0;

    forget_script();
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        add_train(rows[i].len, rows[i].size);
        expected += rows[i].datagrams;
    }
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), expected);
    CHECK_EQ_INT(rx_stats(udp).rx_broken, 6);

    check_row("control data cut: no size (U 2.6)");
    forget_script();
    add_read(3000)->flags = MSG_CTRUNC;
    s = add_read(3000); /* a header without data */
    s->flags = MSG_CTRUNC;
    add_control(s, 17, 104, &stub, 0);
    s = add_read(3000); /* with a size, it does not matter */
    s->flags = MSG_CTRUNC;
    add_size(s, 1500);
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 2);
    CHECK_EQ_INT(rx_stats(udp).rx_broken, 8);

    check_row("lengths of control messages that lie");
    forget_script();
    for (i = 0; i < 3; i++) {
        static const size_t lies[] = {0, 15, 4000};
        struct cmsghdr header;
        s = add_train(3000, 1000);
        memcpy(&header, s->control, sizeof header);
        header.cmsg_len = lies[i];
        memcpy(s->control, &header, sizeof header);
    }
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 0);
    CHECK_EQ_INT(rx_stats(udp).rx_broken, 11);

    check_row("no bytes of a header");
    forget_script();
    s = add_read(100);
    s->control_len = 7;
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 1);

    check_row("many in a row do not hold the caller");
    forget_script();
    for (i = 0; i < 40; i++)
        add_train(10, 0);
    {
        tuo_udp_datagram d;
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_MORE);
        CHECK_EQ_INT(script.next, 16);
    }
    tuo_udp_close(udp);
    script.on = 0;
}

/* U 2.5. */
TEST(cut_messages)
{
    size_t lens[64];
    tuo_udp *udp = open_udp(NULL);
    scripted *s;

    check_row("a train");
    forget_script();
    s = add_train(70000, 1400); /* 50 of them; 65535 bytes are 46 and a part */
    s->flags = MSG_TRUNC;
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 46);
    CHECK_EQ_INT(lens[45], 1400);
    CHECK_EQ_INT(rx_stats(udp).rx_truncated, 4);

    check_row("a single");
    forget_script();
    add_read(70000)->flags = MSG_TRUNC;
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 0);
    CHECK_EQ_INT(rx_stats(udp).rx_truncated, 5);

    check_row("the flag alone");
    forget_script();
    s = add_train(3000, 1000);
    s->flags = MSG_TRUNC;
    CHECK_EQ_INT(read_all(udp, lens, CHECK_COUNT_OF(lens)), 2);
    CHECK_EQ_INT(rx_stats(udp).rx_truncated, 6);
    tuo_udp_close(udp);
    script.on = 0;
}

static void check_local6(const tuo_udp_peer *peer, const char *text)
{
    struct in6_addr expected;

    CHECK_EQ_INT(inet_pton(AF_INET6, text, &expected), 1);
    CHECK_BYTES(&peer->local.ip6, &expected, sizeof expected);
}

TEST(where_a_datagram_came_from)
{
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_datagram d;
    struct in_pktinfo info4;
    struct in6_pktinfo info6;
    uint8_t tos = 0xb9;
    int tclass = 0x2a, order;

    memset(&info4, 0, sizeof info4);
    memset(&info6, 0, sizeof info6);
    info4.ipi_spec_dst.s_addr = htonl(0x7f000063);
    info4.ipi_addr.s_addr = htonl(0x7fffffff); /* a broadcast */
    for (order = 0; order < 2; order++) {
        scripted *s;
        check_row("IPv4, %s", order ? "size last" : "size first");
        forget_script();
        s = add_read(2000);
        if (!order)
            add_size(s, 1000);
        add_control(s, IPPROTO_IP, IP_TOS, &tos, 1); /* one byte: U 2.7 */
        add_control(s, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
        if (order)
            add_size(s, 1000);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        CHECK_EQ_INT(d.len, 1000);
        CHECK_EQ_INT(d.peer->tos, 0xb9);
        CHECK_EQ_INT(ntohl(d.peer->local.ip4.s_addr), 0x7f000063);
        CHECK_EQ_INT(ntohs(d.peer->addr.ip4.sin_port), 4242);

        check_row("v4-mapped, both kinds, %s (U 2.7)", order ? "IPv6 first" : "IPv4 first");
        forget_script();
        s = add_read(10);
        s->name = loopback6("::ffff:10.0.0.9");
        CHECK_EQ_INT(inet_pton(AF_INET6, "::ffff:127.255.255.255", &info6.ipi6_addr), 1);
        if (order)
            add_control(s, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
        add_control(s, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
        if (!order)
            add_control(s, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
        add_control(s, IPPROTO_IP, IP_TOS, &tos, 1);
        CHECK_RESULT(tuo_udp_next(udp, &d), d.len ? TUO_OK : TUO_OK);
        while (d.len == 1000) /* the rest of the train before */
            CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        check_local6(d.peer, "::ffff:127.0.0.99");
        CHECK_EQ_INT(d.peer->tos, 0xb9);
    }
    check_row("IPv6");
    forget_script();
    {
        scripted *s = add_read(10);
        s->name = loopback6("2001:db8::5");
        CHECK_EQ_INT(inet_pton(AF_INET6, "2001:db8::77", &info6.ipi6_addr), 1);
        add_control(s, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof tclass);
        add_control(s, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
        tuoi_round_begin(&udp->rx.round);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        check_local6(d.peer, "2001:db8::77");
        CHECK_EQ_INT(d.peer->tos, 0x2a);

        CHECK_EQ_INT(d.peer->local_scope, 0);

        check_row("to a link-local address: the answer names its interface");
        forget_script();
        s = add_read(10);
        s->name = loopback6("2001:db8::5");
        CHECK_EQ_INT(inet_pton(AF_INET6, "fe80::77", &info6.ipi6_addr), 1);
        info6.ipi6_ifindex = 7;
        add_control(s, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
        tuoi_round_begin(&udp->rx.round);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        check_local6(d.peer, "fe80::77");
        CHECK_EQ_INT(d.peer->local_scope, 7);
        {
            uint8_t control[256];
            struct in6_pktinfo said;
            CHECK_EQ_INT(tuoi_udp_add_local(control, 0, d.peer), CMSG_SPACE(sizeof said));
            memcpy(&said, control + CMSG_LEN(0), sizeof said);
            CHECK_EQ_INT(said.ipi6_ifindex, 7);
            CHECK_BYTES(&said.ipi6_addr, &info6.ipi6_addr, 16);
        }

        check_row("to a multicast group: no address that an answer could leave from");
        forget_script();
        s = add_read(10);
        s->name = loopback6("2001:db8::5");
        CHECK_EQ_INT(inet_pton(AF_INET6, "ff02::1", &info6.ipi6_addr), 1);
        add_control(s, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
        tuoi_round_begin(&udp->rx.round);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        check_local6(d.peer, "::");
    }
    check_row("not of the message before");
    forget_script();
    add_read(5);
    tuoi_round_begin(&udp->rx.round);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
    CHECK_EQ_INT(d.peer->tos + ntohl(d.peer->local.ip4.s_addr), 0);
    tuo_udp_close(udp);
    script.on = 0;
}

TEST(kernel_drops)
{
    static const uint32_t told[] = {3, 3, 10, 0xffffffff, 1};
    tuo_udp *udp = open_udp(NULL);
    size_t i, lens[8];

    forget_script();
    for (i = 0; i < CHECK_COUNT_OF(told); i++)
        add_control(add_read(1), SOL_SOCKET, SO_RXQ_OVFL, &told[i], sizeof told[i]);
    CHECK_EQ_INT(read_all(udp, lens, 8), 5);
    CHECK_EQ_INT(rx_stats(udp).rx_kernel_drops, 0x100000001); /* 32 bits that wrap */
    tuo_udp_close(udp);
    script.on = 0;
}

/* U 2.15, U 3.3. */
TEST(errors_of_reading)
{
    static const int swallowed[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO, ENOMEM, EINTR};
    size_t i, lens[8];
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_datagram d;
    tuo_udp_info info;

    check_row("swallowed, and read again");
    forget_script();
    script.entries = 5;
    for (i = 0; i < CHECK_COUNT_OF(swallowed); i++)
        add_error(swallowed[i]);
    add_read(3);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
    CHECK_EQ_INT(d.len, 3);
    CHECK_EQ_INT(rx_stats(udp).rx_errors, CHECK_COUNT_OF(swallowed) - 1);
    CHECK_EQ_INT(script.drained, 5);
    tuo_udp_query_info(udp, &info);
    CHECK_EQ_INT(info.rx_errno, ENOMEM);

    check_row("one that does not go away is the socket's own");
    forget_script();
    for (i = 0; i < 40; i++)
        add_error(EPERM);
    tuoi_round_begin(&udp->rx.round);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_E_SYSTEM);
    CHECK_EQ_INT(script.next, 16);
    tuo_udp_query_info(udp, &info);
    CHECK_EQ_INT(info.rx_errno, EPERM);

    check_row("an error queue is emptied before the loop sleeps");
    forget_script();
    script.entries = 7;
    udp->has_recverr = 1;
    CHECK_EQ_INT(read_all(udp, lens, 8), 0);
    CHECK_EQ_INT(script.drained, 7);
    udp->has_recverr = 0;

    for (i = 0; i < 2; i++) {
        check_row("no socket any more: %s", i ? "ENOTSOCK" : "EBADF");
        forget_script();
        add_error(i ? ENOTSOCK : EBADF);
        tuoi_round_begin(&udp->rx.round);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_E_SYSTEM);
    }
    tuo_udp_close(udp);
    script.on = 0;
}

TEST(rounds)
{
    tuo_udp_desc desc = {0};
    tuo_udp *udp;
    tuo_udp_datagram d;
    size_t i, n;

    check_row("128 datagrams, and a message is finished");
    udp = open_udp(NULL);
    forget_script();
    for (i = 0; i < 4; i++)
        add_train(5000, 100);
    for (n = 0; tuo_udp_next(udp, &d) == TUO_OK; n++) {
    }
    CHECK_EQ_INT(n, 150);
    for (n = 0; tuo_udp_next(udp, &d) == TUO_OK; n++) {
    }
    CHECK_EQ_INT(n, 50);
    tuo_udp_close(udp);

    check_row("256 KiB");
    udp = open_udp(NULL);
    forget_script();
    for (i = 0; i < 6; i++)
        add_train(60000, 6000);
    for (n = 0; tuo_udp_next(udp, &d) == TUO_OK; n++) {
    }
    CHECK_EQ_INT(n, 50);
    tuo_udp_close(udp);

    check_row("round_packets; empty ones count");
    desc.round_packets = 3;
    udp = open_udp(&desc);
    forget_script();
    for (i = 0; i < 7; i++)
        add_read(0);
    for (n = 0; tuo_udp_next(udp, &d) == TUO_OK; n++) {
    }
    CHECK_EQ_INT(n, 3);
    CHECK_EQ_INT(script.next, 3);
    tuo_udp_close(udp);

    check_row("no second read that finds nothing, but for every eighth");
    udp = open_udp(NULL);
    for (i = n = 0; i < 33; i++) {
        tuo_result result;
        forget_script();
        add_read(60);
        CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
        result = tuo_udp_next(udp, &d);
        CHECK(result == TUO_AGAIN || result == TUO_MORE);
        n += result == TUO_AGAIN;
    }
    CHECK_EQ_INT(n, 5);
    tuo_udp_close(udp);
    script.on = 0;
}

TEST(waiting_with_datagrams_left)
{
    tuo_udp *udp = open_udp(NULL);
    tuo_udp_datagram d;
    struct timespec from, to;

    forget_script();
    add_train(3000, 1000);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
    clock_gettime(CLOCK_MONOTONIC, &from);
    CHECK_RESULT(tuo_udp_wait(udp, 0, 3000), TUO_OK);
    clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 2000);
    CHECK_EQ_INT(tuo_udp_pending(udp), 1);
    tuo_udp_close(udp);
    script.on = 0;
}

TEST(recv_batches)
{
    static uint8_t bytes[8][1200];
    tuo_buf bufs[8];
    void *pointers[8];
    tuo_udp_peer peers[8];
    tuo_udp_datagram d;
    tuo_udp *udp = open_udp(NULL);
    size_t i, received;

    for (i = 0; i < 8; i++) {
        bufs[i].data = bytes[i];
        bufs[i].len = 0;
        bufs[i].capacity = i == 6 ? 900 : sizeof bytes[i];
        pointers[i] = &bufs[i];
    }
    forget_script();
    add_train(2500, 1000);
    add_read(0);
    add_train(3000, 1000);
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 8, 20, peers, &received), TUO_OK);
    CHECK_EQ_INT(received, 6); /* the seventh buffer is too small */
    CHECK_EQ_INT(bufs[2].len, 520);
    CHECK_EQ_INT(bufs[3].len, 20);
    CHECK_EQ_INT(bytes[1][20], payload(1000));
    CHECK_EQ_INT(bytes[5][20 + 999], payload(1999));
    CHECK_EQ_INT(ntohs(peers[5].addr.ip4.sin_port), 4242);
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers + 6, 1, 20, NULL, &received), TUO_E_NOSPACE);
    CHECK_EQ_INT(received, 0);
    CHECK_EQ_INT(tuo_udp_pending(udp), 1);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK); /* it waited */
    CHECK_EQ_INT(d.len, 1000);
    CHECK_EQ_INT(d.data[0], payload(2000));
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 8, 20, NULL, &received), TUO_AGAIN);

    check_row("the end of a round is none of a batch");
    forget_script();
    for (i = 0; i < 40; i++)
        add_read(50);
    udp->rx.round.packets_max = 4;
    for (i = 0; i < 10; i++) {
        CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 4, 20, NULL, &received), TUO_OK);
        CHECK_EQ_INT(received, 4);
    }
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 4, 20, NULL, &received), TUO_AGAIN);

    check_row("a buffer smaller than the headroom");
    forget_script();
    add_read(5);
    bufs[0].capacity = 19;
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 1, 20, NULL, &received), TUO_E_NOSPACE);
    CHECK_EQ_INT(received, 0);
    bufs[0].capacity = 25;
    CHECK_RESULT(tuo_udp_recv_batch(udp, NULL, pointers, 1, 20, NULL, &received), TUO_OK);
    CHECK_EQ_INT(bufs[0].len, 25);
    tuo_udp_close(udp);
    script.on = 0;
}

/* ------------------------------------------------------------------------------------------- opening and adopting */

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof value;

    return getsockopt(fd, level, name, &value, &len) == 0 ? value : -errno;
}

static void quiet(void) /* the real kernel */
{
    memset(&kernel, 0, sizeof kernel);
    memset(&script, 0, sizeof script);
}

TEST(opening)
{
    struct sockaddr_in6 any6 = loopback6("::");
    struct sockaddr_in any4 = loopback(0);
    static const int modes[] = {IP_PMTUDISC_DO, IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT};
    int family, df, error;

    quiet();
    host.gro_late = 0;
    for (family = 0; family < 2; family++)
        for (df = 0; df < 4; df++) {
            const struct sockaddr *local = family ? (const struct sockaddr *)&any6 : (const struct sockaddr *)&any4;
            tuo_udp_desc desc = {0};
            tuo_udp_info info;
            tuo_udp *udp;
            int fd;
            check_row("%s, df %d", family ? "IPv6" : "IPv4", df);
            desc.df = (tuo_udp_df)df;
            desc.ip6_only = df == 1;
            desc.reuseport = df == 2;
            desc.tos = df == 3 ? 0x28 : 0;
            if (!CHECK_RESULT(tuo_udp_open(&udp, local, &desc, &error), TUO_OK))
                return;
            fd = tuo_udp_fd(udp);
            CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_MTU_DISCOVER), modes[df]); /* both levels: U 1.22 */
            CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_RECVERR), 0);
            CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_TOS), desc.tos);
            CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_PKTINFO), 1);
            CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_RECVTOS), 1);
            CHECK_EQ_INT(option(fd, 17, 103), 0);
            CHECK_EQ_INT(option(fd, 17, 104), 1);
            CHECK_EQ_INT(host.gro_late, 0); /* U 2.10 */
            CHECK_EQ_INT(option(fd, SOL_SOCKET, SO_REUSEPORT), desc.reuseport);
            if (family) {
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), modes[df]);
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_RECVERR), 0);
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS), 1);
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), desc.ip6_only);
                CHECK_EQ_INT(option(fd, IPPROTO_IPV6, IPV6_TCLASS), desc.tos);
            }
            tuo_udp_query_info(udp, &info);
            CHECK_EQ_INT(info.gso, 1);
            CHECK_EQ_INT(info.gro, 1);
            CHECK_EQ_INT(info.send_buffer, option(fd, SOL_SOCKET, SO_SNDBUF));
            CHECK_EQ_INT(info.recv_buffer, option(fd, SOL_SOCKET, SO_RCVBUF));
            CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            tuo_udp_close(udp);
            CHECK_EQ_INT(fcntl(fd, F_GETFD), -1);
            CHECK_EQ_INT(host.gro_late, 0);
        }
}

TEST(buffers_without_the_right_to_exceed)
{
    tuo_udp_desc desc = {0};
    tuo_udp_info info;
    tuo_udp *udp;

    quiet();
    desc.recv_buffer = 300000;
    desc.send_buffer = 100000;
    host.no_force = 1;
    udp = open_udp(&desc);
    host.no_force = 0;
    tuo_udp_query_info(udp, &info); /* the value read back is doubled, and below the limit of every system: U 2.13 */
    CHECK_EQ_INT(info.send_buffer, 200000);
    CHECK(info.recv_buffer == 600000 || info.recv_buffer == 425984);
    tuo_udp_close(udp);
}

static int plain_socket(int family)
{
    struct sockaddr_in6 any6 = loopback6("::");
    struct sockaddr_in any4 = loopback(0);
    int fd = socket(family, SOCK_DGRAM, 0);

    CHECK_EQ_INT(family == AF_INET ? bind(fd, (struct sockaddr *)&any4, sizeof any4) : bind(fd, (struct sockaddr *)&any6, sizeof any6), 0);
    return fd;
}

TEST(arguments)
{
    struct sockaddr_in local = loopback(0);
    const struct sockaddr *any = (const struct sockaddr *)&local;
    struct sockaddr nothing;
    tuo_udp *udp = NULL;
    tuo_udp_desc bad[8];
    size_t i;
    int error = -1, pair[2];

    quiet();
    memset(bad, 0, sizeof bad);
    memset(&nothing, 0, sizeof nothing);
    bad[0].send_bytes = 65506;
    bad[1].recv_bytes = 65534;
    bad[2].df = (tuo_udp_df)4;
    bad[3].send_bytes = (size_t)2 << 30;
    bad[4].recv_bytes = (size_t)2 << 30;
    bad[5].max_datagrams = (1u << 20) + 1;
    bad[6].df = (tuo_udp_df)-1;
    bad[7].send_bytes = (size_t)-1;
    for (i = 0; i < CHECK_COUNT_OF(bad); i++) {
        CHECK_RESULT(tuo_udp_open(&udp, any, &bad[i], &error), TUO_E_INVALID);
        CHECK_RESULT(tuo_udp_adopt(&udp, -1, &bad[i], &error), TUO_E_INVALID);
    }
    CHECK_EQ_INT(error, 0);
    error = -1;
    CHECK_RESULT(tuo_udp_open(&udp, NULL, NULL, &error), TUO_E_INVALID);
    CHECK_EQ_INT(error, 0);
    CHECK_RESULT(tuo_udp_open(&udp, &nothing, NULL, NULL), TUO_E_INVALID);
    local.sin_addr.s_addr = htonl(0xc6336401); /* not ours */
    CHECK_RESULT(tuo_udp_open(&udp, any, NULL, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EADDRNOTAVAIL);
    CHECK_RESULT(tuo_udp_adopt(&udp, -1, NULL, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EBADF);
    CHECK_EQ_INT(pipe(pair), 0);
    CHECK_RESULT(tuo_udp_adopt(&udp, pair[0], NULL, &error), TUO_E_UNSUPPORTED);
    close(pair[0]);
    close(pair[1]);
    CHECK_EQ_INT(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    CHECK_RESULT(tuo_udp_adopt(&udp, pair[0], NULL, NULL), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(fcntl(pair[0], F_GETFD), 0); /* still ours */
    close(pair[0]);
    close(pair[1]);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_RESULT(tuo_udp_adopt(&udp, pair[0], NULL, &error), TUO_E_UNSUPPORTED);
    close(pair[0]);
    CHECK(udp == NULL);
    host.no_memory = 1;
    CHECK_RESULT(tuo_udp_open(&udp, any, NULL, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, ENOMEM);
    pair[0] = plain_socket(AF_INET);
    CHECK_RESULT(tuo_udp_adopt(&udp, pair[0], NULL, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, ENOMEM);
    CHECK_EQ_INT(close(pair[0]), 0); /* still ours */
    host.no_memory = 0;
    tuo_udp_close(NULL);
}

static tuo_udp_peer peer_at(int fd)
{
    tuo_udp_peer peer;
    struct sockaddr_in name;
    socklen_t len = sizeof name;

    memset(&peer, 0, sizeof peer);
    CHECK_EQ_INT(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    peer.addr.ip4 = loopback(ntohs(name.sin_port));
    return peer;
}

static tuo_udp *adopt(int fd, const tuo_udp_desc *desc)
{
    tuo_udp *udp = NULL;
    int error;

    CHECK_RESULT(tuo_udp_adopt(&udp, fd, desc, &error), TUO_OK);
    sender = udp;
    return udp;
}

TEST(adopting)
{
    tuo_udp_desc desc = {0};
    uint8_t bytes[2500] = {0};
    tuo_udp_peer peer;
    tuo_udp *udp;
    int fd = plain_socket(AF_INET), far = plain_socket(AF_INET), segment = 1000, before;

    quiet();
    check_row("UDP_SEGMENT is set to 0, the rest is left alone (U 1.9)");
    CHECK_EQ_INT(setsockopt(fd, 17, 103, &segment, sizeof segment), 0);
    before = option(fd, SOL_SOCKET, SO_RCVBUF);
    desc.borrowed = 1;
    udp = adopt(fd, &desc);
    CHECK_EQ_INT(option(fd, 17, 103), 0);
    CHECK_EQ_INT(option(fd, SOL_SOCKET, SO_RCVBUF), before);
    CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
    CHECK_EQ_INT(option(fd, 17, 104), 1);
    peer = peer_at(far);
    CHECK_RESULT(tuo_udp_push(udp, &peer, bytes, sizeof bytes, NULL), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(recv(far, bytes, sizeof bytes, 0), 2500);
    tuo_udp_close(udp);
    CHECK_EQ_INT(fcntl(fd, F_GETFD), 0); /* borrowed */

    check_row("buffers and DF if asked");
    memset(&desc, 0, sizeof desc);
    desc.recv_buffer = 100000;
    desc.df = TUO_UDP_DF_PROBE;
    udp = adopt(fd, &desc);
    CHECK_EQ_INT(option(fd, SOL_SOCKET, SO_RCVBUF), 200000);
    CHECK_EQ_INT(option(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    CHECK_EQ_INT(udp->has_recverr, 0);
    tuo_udp_close(udp);
    CHECK_EQ_INT(fcntl(fd, F_GETFD), -1);
    close(far);

    check_row("a raw socket is none");
    fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    CHECK(fd >= 0);
    CHECK_RESULT(tuo_udp_adopt(&udp, fd, NULL, NULL), TUO_E_UNSUPPORTED);
    close(fd);
}

/* The traffic class of a connected peer, whichever family the connection has. */
TEST(traffic_class_of_a_connected_peer)
{
    static const char *const hosts[] = {"::1", "::ffff:127.0.0.1"};
    size_t i;

    quiet();
    for (i = 0; i < CHECK_COUNT_OF(hosts); i++) {
        struct sockaddr_in6 any = loopback6("::"), to = loopback6(hosts[i]);
        tuo_udp_peer connected;
        tuo_udp_datagram d = {0};
        tuo_udp *far = NULL, *udp;
        socklen_t len = sizeof any;
        int fd = socket(AF_INET6, SOCK_DGRAM, 0);

        check_row("%s", hosts[i]);
        any.sin6_port = 0;
        CHECK_RESULT(tuo_udp_open(&far, (const struct sockaddr *)&any, NULL, NULL), TUO_OK);
        CHECK_EQ_INT(getsockname(tuo_udp_fd(far), (struct sockaddr *)&any, &len), 0);
        to.sin6_port = any.sin6_port;
        CHECK_EQ_INT(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
        udp = adopt(fd, NULL);
        memset(&connected, 0, sizeof connected);
        connected.tos = 0xb9;
        CHECK_RESULT(tuo_udp_push(udp, &connected, "abc", 3, NULL), TUO_OK);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_RESULT(tuo_udp_wait(far, 0, 1000), TUO_OK);
        CHECK_RESULT(tuo_udp_next(far, &d), TUO_OK);
        CHECK_EQ_INT(d.len, 3);
        if (d.peer)
            CHECK_EQ_INT(d.peer->tos, 0xb9);
        tuo_udp_close(udp);
        tuo_udp_close(far);
    }
}

/* One address in several spellings, in turn: datagrams leave in the order of commit. */
TEST(spellings_of_one_peer)
{
    int what;

    quiet();
    for (what = 0; what < 2; what++) {
        struct sockaddr_in6 any = loopback6("::");
        tuo_udp *far = NULL, *udp = NULL;
        socklen_t len = sizeof any;
        uint8_t next = 0;
        unsigned i;

        check_row("%s", what ? "IPv4 and v4-mapped" : "flow labels");
        any.sin6_port = 0;
        CHECK_RESULT(tuo_udp_open(&far, (const struct sockaddr *)&any, NULL, NULL), TUO_OK);
        CHECK_RESULT(tuo_udp_open(&udp, (const struct sockaddr *)&any, NULL, NULL), TUO_OK);
        CHECK_EQ_INT(getsockname(tuo_udp_fd(far), (struct sockaddr *)&any, &len), 0);
        for (i = 0; i < 60; i++) {
            tuo_udp_peer to;
            uint8_t number = (uint8_t)i;
            memset(&to, 0, sizeof to);
            to.addr.ip6 = loopback6(what ? "::ffff:127.0.0.1" : "::1");
            to.addr.ip6.sin6_port = any.sin6_port;
            to.addr.ip6.sin6_flowinfo = what ? 0 : htonl(i % 3);
            if (what && i % 2) {
                to.addr.ip4 = loopback(0);
                to.addr.ip4.sin_port = any.sin6_port;
            }
            CHECK_RESULT(tuo_udp_push(udp, &to, &number, 1, NULL), TUO_OK);
        }
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        for (i = 0; i < 60; i++) {
            tuo_udp_datagram d = {0};
            tuo_result result = tuo_udp_next(far, &d);
            if (result == TUO_MORE)
                result = tuo_udp_next(far, &d);
            if (!CHECK_RESULT(result, TUO_OK) || !CHECK_EQ_INT(d.data[0], next++))
                break;
        }
        tuo_udp_close(udp);
        tuo_udp_close(far);
    }
}

/* More entries in the error queue than are read at once cost no datagram. */
TEST(a_long_error_queue)
{
    struct sockaddr_in dead = loopback(9), good;
    socklen_t len = sizeof good;
    int far = plain_socket(AF_INET), fd = plain_socket(AF_INET), on = 1, buffer = 8 << 20, i, got = 0;
    uint8_t byte;
    tuo_udp *udp;

    quiet();
    CHECK_EQ_INT(getsockname(far, (struct sockaddr *)&good, &len), 0);
    CHECK_EQ_INT(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    for (i = 0; i < 4001; i++) /* every second one is refused by the entry of the one before; not so the last */
        (void)!sendto(fd, "x", 1, 0, (const struct sockaddr *)&dead, sizeof dead);
    udp = adopt(fd, NULL);
    for (i = 0; i < 10; i++) {
        tuo_udp_peer to;
        memset(&to, 0, sizeof to);
        to.addr.ip4 = good;
        CHECK_RESULT(tuo_udp_push(udp, &to, "y", 1, NULL), TUO_OK);
    }
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    while (recv(far, &byte, 1, MSG_DONTWAIT) == 1)
        got++;
    CHECK_EQ_INT(got, 10);
    CHECK_EQ_INT(tx_stats(udp).tx_lost, 0);
    CHECK(tx_stats(udp).tx_errors > 1);
    tuo_udp_close(udp);
    close(far);
}

/* U 3.6, U 5 6: entries of a dead peer, for which nobody reads, leave the receive buffer to the others. */
TEST(a_dead_peer_does_not_deafen)
{
    struct sockaddr_in here;
    socklen_t len = sizeof here;
    int far = plain_socket(AF_INET), fd = plain_socket(AF_INET), dead = plain_socket(AF_INET), on = 1;
    tuo_udp_peer peer = peer_at(dead);
    tuo_udp_datagram d;
    tuo_result result;
    uint8_t bytes[100] = {0};
    unsigned i, got = 0;
    tuo_udp *udp;

    quiet();
    close(dead);
    CHECK_EQ_INT(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    CHECK_EQ_INT(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    udp = adopt(fd, NULL);
    for (i = 0; i < 1000; i++) {
        CHECK_RESULT(tuo_udp_push(udp, &peer, bytes, sizeof bytes, NULL), TUO_OK);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    }
    CHECK_EQ_INT(tx_stats(udp).tx_singles, 1000);
    CHECK(tx_stats(udp).tx_errors > 900); /* each of them raised one */
    for (i = 0; i < 60; i++)
        CHECK_EQ_INT(sendto(far, bytes, sizeof bytes, 0, (const struct sockaddr *)&here, sizeof here), (ssize_t)sizeof bytes);
    while ((result = tuo_udp_next(udp, &d)) == TUO_OK || result == TUO_MORE)
        got += result == TUO_OK;
    CHECK_RESULT(result, TUO_AGAIN);
    CHECK_EQ_INT(got, 60);
    tuo_udp_close(udp);
    close(far);
}

static void *next_main(void *argument)
{
    tuo_udp_datagram d;
    static tuo_result result;

    result = tuo_udp_next((tuo_udp *)argument, &d);
    return &result;
}

/* U 3.3: an entry of the error queue wakes a blocking reader up, and does not end it. */
TEST(an_error_does_not_end_a_waiting_reader)
{
    struct sockaddr_in here, nobody;
    socklen_t len = sizeof here;
    int far = plain_socket(AF_INET), fd = plain_socket(AF_INET), dead = plain_socket(AF_INET), on = 1;
    tuo_udp_desc desc = {0};
    pthread_t thread;
    void *result = NULL;
    tuo_udp *udp;

    quiet();
    nobody = peer_at(dead).addr.ip4;
    close(dead);
    CHECK_EQ_INT(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    CHECK_EQ_INT(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    desc.blocking = 1;
    udp = adopt(fd, &desc);
    CHECK_EQ_INT(pthread_create(&thread, NULL, next_main, udp), 0);
    (void)poll(NULL, 0, 20);
    CHECK_EQ_INT(sendto(fd, "x", 1, 0, (const struct sockaddr *)&nobody, sizeof nobody), 1);
    (void)poll(NULL, 0, 20);
    CHECK_EQ_INT(sendto(far, "y", 1, 0, (const struct sockaddr *)&here, sizeof here), 1);
    (void)poll(NULL, 0, 20);
    tuo_udp_wake(udp); /* so that the test ends in any case */
    pthread_join(thread, &result);
    CHECK_RESULT(*(tuo_result *)result, TUO_OK);
    tuo_udp_close(udp);
    close(far);
}

/* shutdown() ends a blocking reader; it does not make it spin. */
TEST(shut_down)
{
    static const int hows[] = {SHUT_RD, SHUT_RDWR};
    size_t i;

    quiet();
    for (i = 0; i < CHECK_COUNT_OF(hows); i++) {
        tuo_udp_desc desc = {0};
        tuo_udp_info info;
        pthread_t thread;
        void *result = NULL;
        tuo_udp *udp;

        check_row("%s", i ? "SHUT_RDWR" : "SHUT_RD");
        desc.blocking = 1;
        udp = open_udp(&desc);
        CHECK_EQ_INT(pthread_create(&thread, NULL, next_main, udp), 0);
        (void)poll(NULL, 0, 20);
        (void)shutdown(tuo_udp_fd(udp), hows[i]); /* ENOTCONN, and done all the same */
        (void)poll(NULL, 0, 50);
        tuo_udp_wake(udp); /* so that the test ends in any case */
        pthread_join(thread, &result);
        CHECK_RESULT(*(tuo_result *)result, TUO_E_SYSTEM);
        tuo_udp_query_info(udp, &info);
        CHECK_EQ_INT(info.rx_errno, ESHUTDOWN);
        tuo_udp_close(udp);
    }
}

/* U 1.25, U 3.2, U 3.3, U 5 6: connected to a dead port, with an error queue: each datagram is sent, and poll sleeps again. */
TEST(connected_to_a_dead_port)
{
    int family, recverr;

    quiet();
    for (family = 0; family < 2; family++)
        for (recverr = 0; recverr < 2; recverr++) {
            struct sockaddr_in dead4;
            struct sockaddr_in6 dead6 = loopback6("::1");
            int fd = plain_socket(family ? AF_INET6 : AF_INET), dead = plain_socket(AF_INET), one = 1;
            tuo_udp_peer peer = peer_at(dead);
            tuo_udp_datagram d;
            tuo_udp_tx_stats stats;
            tuo_udp *udp;
            struct pollfd ready;
            unsigned i;
            check_row("%s%s", family ? "IPv6" : "IPv4", recverr ? ", IP_RECVERR" : "");
            close(dead);
            dead4 = peer.addr.ip4;
            dead6.sin6_port = dead4.sin_port;
            CHECK_EQ_INT(family ? connect(fd, (struct sockaddr *)&dead6, sizeof dead6) : connect(fd, (struct sockaddr *)&dead4, sizeof dead4), 0);
            if (recverr)
                CHECK_EQ_INT(setsockopt(fd, family ? IPPROTO_IPV6 : IPPROTO_IP, family ? IPV6_RECVERR : IP_RECVERR, &one, sizeof one), 0);
            udp = adopt(fd, NULL);
            CHECK_EQ_INT(udp->has_recverr, recverr);
            memset(&peer, 0, sizeof peer); /* the peer that the socket is connected to */
            for (i = 0; i < 300; i++) {
                CHECK_RESULT(tuo_udp_push(udp, &peer, &one, 1 + i % 2, NULL), TUO_OK);
                if (i % 10 == 9)
                    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
            }
            stats = tx_stats(udp);
            CHECK_EQ_INT(stats.tx_in_trains + stats.tx_singles, 300);
            CHECK_EQ_INT(stats.tx_lost + stats.switched_off, 0);
            CHECK(stats.tx_errors > 10);
            CHECK_RESULT(tuo_udp_next(udp, &d), TUO_AGAIN);
            ready.fd = fd;
            ready.events = POLLIN;
            CHECK_EQ_INT(poll(&ready, 1, 10), 0);
            tuo_udp_close(udp);
        }
}

TEST(one_allocation)
{
    const unsigned long callocs = host.callocs, frees = host.frees;
    tuo_udp *udp;
    tuo_udp_datagram d;
    size_t lens[8];

    udp = open_udp(NULL);
    forget();
    push_mixture(udp, INADDR_LOOPBACK);
    kernel.refuses = TRAINS;
    kernel.error = EMSGSIZE;
    flush_all(udp);
    forget_script();
    add_train(3000, 1000);
    CHECK_EQ_INT(read_all(udp, lens, 8), 3);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_AGAIN);
    tuo_udp_close(udp);
    CHECK_EQ_INT(host.callocs - callocs, 1);
    CHECK_EQ_INT(host.frees - frees, 1);
    printf("a socket: %lu bytes\n", (unsigned long)host.bytes);
    CHECK(host.bytes > 0 && host.bytes <= 512 * 1024);
    quiet();
}

/* --------------------------------------------------------------------------------------------- waiting and threads */

typedef struct waiting {
    tuo_udp *udp;
    int what;           /* 0: next, 1: flush, 2: wait */
    int thread_id;      /* asleep.h */
    tuo_result result;
} waiting;

static void *wait_main(void *argument)
{
    waiting *w = (waiting *)argument;
    tuo_udp_datagram d;

    asleep_announce(&w->thread_id);
    switch (w->what) {
    case 0: w->result = tuo_udp_next(w->udp, &d); break;
    case 1: w->result = tuo_udp_flush(w->udp); break;
    default: w->result = tuo_udp_wait(w->udp, 0, -1); break;
    }
    return NULL;
}

TEST(wake_and_close_end_what_waits)
{
    int what, closing;

    quiet();
    for (what = 0; what < 3; what++)
        for (closing = 0; closing < 2; closing++) {
            tuo_udp_desc desc = {0};
            waiting w;
            pthread_t thread;
            if (what == 1)
                continue; /* a socket that is full: test_udp_net.c */
            check_row("%s, %s", what ? "wait" : "next", closing ? "close" : "wake");
            desc.blocking = 1;
            w.udp = open_udp(&desc);
            w.what = what;
            w.result = TUO_OK;
            w.thread_id = 0;
            CHECK_EQ_INT(pthread_create(&thread, NULL, wait_main, &w), 0);
            asleep_await(&w.thread_id);
            if (closing) {
                tuo_udp_close(w.udp);
            } else {
                tuo_udp_wake(w.udp);
            }
            pthread_join(thread, NULL);
            CHECK_RESULT(w.result, TUO_E_WOKEN);
            if (!closing) {
                CHECK_RESULT(tuo_udp_wait(w.udp, 0, 0), TUO_E_WOKEN);
                tuo_udp_wake_clear(w.udp);
                CHECK_RESULT(tuo_udp_wait(w.udp, 0, 5), TUO_AGAIN);
                CHECK_RESULT(tuo_udp_wait(w.udp, 1, 5), TUO_OK);
                tuo_udp_close(w.udp);
            }
        }
}

TEST(blocking)
{
    tuo_udp_desc desc = {0};
    tuo_udp *udp, *far = open_udp(NULL);
    tuo_udp_peer peer;
    tuo_udp_datagram d;

    quiet();
    desc.blocking = 1;
    udp = open_udp(&desc);
    peer = peer_at(tuo_udp_fd(udp));
    CHECK_RESULT(tuo_udp_push(far, &peer, "abc", 3, NULL), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(far), TUO_OK);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK);
    CHECK_EQ_INT(d.len, 3);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_MORE); /* only the first of a round waits */
    tuo_udp_wake(udp);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_E_WOKEN);
    CHECK_RESULT(tuo_udp_push(far, &peer, "abcd", 4, NULL), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(far), TUO_OK);
    CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK); /* what can be done without waiting is done */
    tuo_udp_close(far);

    check_row("flush waits for room");
    sender = udp;
    forget();
    tuo_udp_wake_clear(udp);
    kernel.error = EAGAIN;
    kernel.fail_at = 1;
    kernel.fail_times = 3;
    push_mixture(udp, 0);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(tx_stats(udp).tx_again, 3);
    check_as_sendto(udp);

    check_row("woken while it waits: held");
    forget();
    kernel.refuses = EVERYTHING;
    kernel.error = EAGAIN;
    tuo_udp_wake(udp);
    CHECK_RESULT(push(udp, 0, 10), TUO_OK);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_E_WOKEN);
    CHECK_EQ_INT(tuo_udp_held(udp), 1);
    kernel.refuses = NOBODY;
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_EQ_INT(records[0].got, 1);
    tuo_udp_close(udp);
    quiet();
}

/* A loopback of our own, if that is allowed: nobody else's ports, and it is there in a virtual machine as well. */
static void bring_loopback(void)
{
    struct ifreq request;
    int fd;

    if (unshare(CLONE_NEWNET) != 0)
        return;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        printf("loopback stays down\n");
    close(fd);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(neighbours_and_trains),
        CHECK_ENTRY(sizes),
        CHECK_ENTRY(reserve_and_commit),
        CHECK_ENTRY(an_error_at_every_call),
        CHECK_ENTRY(errors_that_last),
        CHECK_ENTRY(trains_are_switched_off_for_one_peer),
        CHECK_ENTRY(no_memory_for_trains),
        CHECK_ENTRY(one_peer_in_trouble),
        CHECK_ENTRY(a_stale_local_address),
        CHECK_ENTRY(errors_of_earlier_datagrams),
        CHECK_ENTRY(two_errors_of_earlier_datagrams),
        CHECK_ENTRY(held_goes_first),
        CHECK_ENTRY(again_in_the_middle),
        CHECK_ENTRY(no_socket_any_more),
        CHECK_ENTRY(traffic_classes_and_addresses_of_one_peer),
        CHECK_ENTRY(few_keys),
        CHECK_ENTRY(same_address),
        CHECK_ENTRY(lost_with_its_path_mtu),
        CHECK_ENTRY(any_answers),
        CHECK_ENTRY(without_gso),
        CHECK_ENTRY(send_batches),
        CHECK_ENTRY(slices),
        CHECK_ENTRY(broken_messages),
        CHECK_ENTRY(cut_messages),
        CHECK_ENTRY(where_a_datagram_came_from),
        CHECK_ENTRY(kernel_drops),
        CHECK_ENTRY(errors_of_reading),
        CHECK_ENTRY(rounds),
        CHECK_ENTRY(waiting_with_datagrams_left),
        CHECK_ENTRY(recv_batches),
        CHECK_ENTRY(opening),
        CHECK_ENTRY(buffers_without_the_right_to_exceed),
        CHECK_ENTRY(arguments),
        CHECK_ENTRY(adopting),
        CHECK_ENTRY(traffic_class_of_a_connected_peer),
        CHECK_ENTRY(spellings_of_one_peer),
        CHECK_ENTRY(a_long_error_queue),
        CHECK_ENTRY(a_dead_peer_does_not_deafen),
        CHECK_ENTRY(an_error_does_not_end_a_waiting_reader),
        CHECK_ENTRY(shut_down),
        CHECK_ENTRY(connected_to_a_dead_port),
        CHECK_ENTRY(one_allocation),
        CHECK_ENTRY(wake_and_close_end_what_waits),
        CHECK_ENTRY(blocking),
    };

    bring_loopback();
    quiet();
    return CHECK_RUN(argc, argv, tests);
}
