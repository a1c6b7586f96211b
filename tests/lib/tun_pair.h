/* tun_pair.h - what the tests of the TUN backend share: a kernel that refuses or blocks (functions of their own in the place of system
   calls, so this is included first), two devices, and trains of packets between them.

   The pair of most tests: device a (10.1/16, fd00:1::/64) and device b (10.2/16, fd00:2::/64), forwarding on. What is written
   to a comes out of b one hop older, and a b without offloads shows what the kernel makes of a superpacket.

   A kernel that refuses or blocks is made by standing in for writev and readv: the filter decides before the kernel is asked. A system
   call that fails, whichever it is, by its number: faults. */
#ifndef TUN_PAIR_H
#define TUN_PAIR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static inline ssize_t test_writev(int fd, const struct iovec *iov, int count);
static inline ssize_t test_readv(int fd, const struct iovec *iov, int count);
static inline ssize_t test_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len);
static inline int test_socket(int domain, int type, int protocol);
static inline int test_ioctl(int fd, unsigned long request, ...);
static inline int test_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
static inline ssize_t test_read(int fd, void *bytes, size_t len);
static inline ssize_t test_write(int fd, const void *bytes, size_t len);
static inline ssize_t test_getrandom(void *bytes, size_t len, unsigned flags);

#ifndef TUNOFFLOAD_TUN
#error "define TUNOFFLOAD_TUN: scripts tell by it what a test needs"
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#define writev test_writev
#define readv test_readv
#define recvfrom test_recvfrom
#define socket test_socket
#define ioctl test_ioctl
#define poll(fds, count, timeout_ms) test_poll(fds, count, timeout_ms)
#define read(fd, bytes, len) test_read(fd, bytes, len)
#define write(fd, bytes, len) test_write(fd, bytes, len)
#define getrandom test_getrandom
#include "tunoffload.h"
#undef writev
#undef readv
#undef recvfrom
#undef socket
#undef ioctl
#undef poll
#undef read
#undef write
#undef getrandom

#include "check.h"
#include "packets.h"
#include "netns.h"
#include "interfaces.h"
#include "tun_facts.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

enum { FRAME_MAX = 65535 + 64, TRAIN_MAX = 256, PACKET_CAP = 2048, HEADROOM = 32, WAIT_MS = 2000, QUIET_MS = 20 };

/* ------------------------------------------------------------------------------------------- a kernel that refuses */

/* Zero: nothing is filtered. */
static struct {
    unsigned refuse;        /* bit n: refuse superpackets of gso_type n */
    int refuse_errno;
    unsigned refuse_odd;    /* bit n: refuse superpackets of gso_type n of odd length, as kernels do that refuse short tails */
    size_t refuse_above;    /* refuse UDP superpackets of more bytes */
    unsigned again_every;   /* every Nth write would block */
    unsigned signal_every;  /* every Nth write is interrupted */
    rng *dice;              /* each write: one in four blocks, one in eight is interrupted, one superpacket in three is refused */
    int read_errno[32];     /* errno of the next reads; 0: read; -1: a read of no bytes */
    unsigned reads;
    unsigned long writes, superpackets, blocked;
    unsigned long fail_at;  /* number of the write that fails with fail_errno; 0: none */
    int fail_errno;
    unsigned udp_segs_max;
    int socket_errno;       /* sockets are denied: a sandbox without netlink */
    int netlink_errno;      /* those of AF_NETLINK only */
    unsigned sockets, netlink_sockets; /* that were asked for */
    int skns_errno;         /* so is the question for the device's namespace */
    int old_netns;          /* which this kernel does not know, as before Linux 5.2 */
    int (*ioctl_errno)(unsigned long request, void *argument); /* of others; 0: let it pass */
    int recv_errno;         /* the next answer of netlink is not read, as if it had been interrupted */
    int random_errno;       /* no random numbers */
    unsigned recvs;         /* answers that were read */
    int (*before_recv)(void *bytes, struct sockaddr *from); /* length of an answer from elsewhere; 0: none */
    int offload_errno;      /* no set of offloads is taken */
    int getiff_errno;       /* TUNGETIFF: EBADFD if the device is gone */
    const char *rename_to;  /* the device is renamed as soon as its name was asked for */
    unsigned endless;       /* the next reads bring more bytes than there is room for */
    unsigned contradictory; /* the next reads bring packets that contradict their vnet header */
    int slow_recv_ms;       /* netlink takes its time */
    int in_recv, recv_done; /* atomic */
    unsigned long read_calls;
    int flip;               /* the last byte of a superpacket is another one on its way */
    uint8_t *written;       /* where what is written goes instead of the kernel: length, bytes, and so on */
    size_t written_len, written_room;
} filter;

static inline void filter_off(void)
{
    memset(&filter, 0, sizeof filter);
}

/* Zero: no system call fails. Otherwise those that the library makes are counted, and one fails, or that one and all of its kind behind
   it. */
typedef enum call_kind { CALL_WRITEV, CALL_READV, CALL_POLL, CALL_IOCTL, CALL_READ, CALL_WRITE, CALL_KINDS } call_kind;
enum { CALLS_MAX = 256 };
static struct {
    int on, lasts, error;
    unsigned fail_at;       /* number of the call, from 1 */
    unsigned calls, failed; /* so far */
    uint8_t kinds[CALLS_MAX]; /* of each call */
} faults;

/* The errno that this call shall have; 0: none. */
static inline int fault_of(call_kind kind)
{
    int fails;

    if (!faults.on)
        return 0;
    if (faults.calls < CALLS_MAX)
        faults.kinds[faults.calls] = (uint8_t)kind;
    faults.calls++;
    fails = faults.fail_at && (faults.calls == faults.fail_at || (faults.lasts && faults.calls > faults.fail_at &&
                                                                 kind == (call_kind)faults.kinds[faults.fail_at - 1]));
    faults.failed += fails != 0;
    return fails ? faults.error : 0;
}

/* The errno that this write shall have; 0: none. */
static inline int filter_errno(unsigned type, size_t len)
{
    if (filter.dice && rng_chance(filter.dice, 1, 4))
        return EAGAIN;
    if (filter.dice && rng_chance(filter.dice, 1, 8))
        return EINTR;
    if (filter.again_every && filter.writes % filter.again_every == 0)
        return EAGAIN;
    if (filter.signal_every && filter.writes % filter.signal_every == 0)
        return EINTR;
    if (type == 0)
        return 0;
    filter.superpackets++;
    if (filter.dice && rng_chance(filter.dice, 1, 3))
        return rng_chance(filter.dice, 1, 2) ? EINVAL : EMSGSIZE;
    if (filter.refuse >> type & 1)
        return filter.refuse_errno;
    if ((filter.refuse_odd >> type & 1) && len % 2)
        return EINVAL;
    return type == TUO_GSO_UDP_L4 && filter.refuse_above && len > filter.refuse_above ? EINVAL : 0;
}

static inline ssize_t test_writev(int fd, const struct iovec *iov, int count)
{
    const uint8_t *vnet = (const uint8_t *)iov[0].iov_base;
    size_t len = 0;
    int i, error;

    for (i = 0; i < count; i++)
        len += iov[i].iov_len;
    filter.writes++;
    error = fault_of(CALL_WRITEV);
    if (!error)
        error = filter.writes == filter.fail_at ? filter.fail_errno
                                                : filter_errno(iov[0].iov_len >= TUO_VNET_LEN ? vnet[1] & 0x1fu : 0, len);
    if (error) {
        filter.blocked += error == EAGAIN;
        errno = error;
        return -1;
    }
    if (filter.written) {
        if (!CHECK(filter.written_room - filter.written_len >= sizeof len + len))
            return -1;
        memcpy(filter.written + filter.written_len, &len, sizeof len);
        filter.written_len += sizeof len;
        for (i = 0; i < count; i++) {
            if (iov[i].iov_len)
                memcpy(filter.written + filter.written_len, iov[i].iov_base, iov[i].iov_len);
            filter.written_len += iov[i].iov_len;
        }
        return (ssize_t)len;
    }
    if (filter.flip && iov[0].iov_len >= TUO_VNET_LEN && vnet[1]) {
        uint8_t *last = (uint8_t *)iov[count - 1].iov_base + iov[count - 1].iov_len - 1;
        ssize_t returned;
        *last ^= 1;
        returned = writev(fd, iov, count);
        *last ^= 1;
        return returned;
    }
    return writev(fd, iov, count);
}

/* A read that fails for its packet takes it away: these bytes, vnet header first. */
static uint8_t taken_away[FRAME_MAX];
static void (*on_taken_away)(const uint8_t *bytes, size_t len);

static inline ssize_t fail_read(int fd, int error)
{
    if (error == EINVAL || (error == EFAULT && !filter.getiff_errno)) {
        ssize_t len = read(fd, taken_away, sizeof taken_away);
        if (len < 0)
            return -1;
        on_taken_away(taken_away, (size_t)len);
    }
    errno = error;
    return -1;
}

static inline ssize_t test_readv(int fd, const struct iovec *iov, int count)
{
    static const uint8_t no_gso_size[TUO_VNET_LEN] = {0, TUO_GSO_TCPV4};
    int error = fault_of(CALL_READV);

    if (error)
        return fail_read(fd, error);
    error = filter.reads < CHECK_COUNT_OF(filter.read_errno) ? filter.read_errno[filter.reads++] : 0;

    filter.read_calls++;
    if (filter.endless) {
        ssize_t len = 0;
        int i;
        filter.endless--;
        for (i = 0; i < count; i++)
            len += (ssize_t)iov[i].iov_len;
        return len;
    }
    if (filter.contradictory) {
        filter.contradictory--;
        memcpy(iov[0].iov_base, no_gso_size, sizeof no_gso_size);
        memset(iov[1].iov_base, 0x45, 20);
        return (ssize_t)sizeof no_gso_size + 20;
    }
    if (error == 0)
        return readv(fd, iov, count);
    errno = error < 0 ? 0 : error;
    return error < 0 ? 0 : -1;
}

static inline int test_socket(int domain, int type, int protocol)
{
    filter.sockets++;
    filter.netlink_sockets += domain == AF_NETLINK;
    errno = filter.socket_errno ? filter.socket_errno : domain == AF_NETLINK ? filter.netlink_errno : 0;
    return errno ? -1 : socket(domain, type, protocol);
}

static inline int test_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;
    int returned;

    va_start(args, request);
    argument = va_arg(args, void *); /* numbers are as wide as pointers */
    va_end(args);
    errno = request == 0x894c || request == TUNGETDEVNETNS ? filter.skns_errno
            : request == TUNSETOFFLOAD                     ? filter.offload_errno
            : request == TUNGETIFF && (!faults.on || faults.failed) ? filter.getiff_errno
                                                           : 0;
    if (request == TUNGETDEVNETNS && filter.old_netns)
        errno = EINVAL;
    if (!errno && filter.ioctl_errno)
        errno = filter.ioctl_errno(request, argument);
    if (!errno)
        errno = fault_of(CALL_IOCTL);
    if (errno)
        return -1;
    returned = ioctl(fd, request, argument);
    if (returned == 0 && request == TUNGETIFF && filter.rename_to) {
        struct ifreq rename = *(struct ifreq *)argument;
        int error;
        snprintf(rename.ifr_newname, sizeof rename.ifr_newname, "%s", filter.rename_to);
        filter.rename_to = NULL;
        interface_ioctl(rename.ifr_name, SIOCSIFNAME, rename, &error);
        CHECK_EQ_INT(error, 0);
    }
    return returned;
}

static inline int test_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    errno = fault_of(CALL_POLL);
    return errno ? -1 : poll(fds, count, timeout_ms);
}

static inline ssize_t test_read(int fd, void *bytes, size_t len)
{
    errno = fault_of(CALL_READ);
    return errno ? -1 : read(fd, bytes, len);
}

static inline ssize_t test_write(int fd, const void *bytes, size_t len)
{
    errno = fault_of(CALL_WRITE);
    return errno ? -1 : write(fd, bytes, len);
}

static inline ssize_t test_getrandom(void *bytes, size_t len, unsigned flags)
{
    errno = filter.random_errno;
    return filter.random_errno ? -1 : getrandom(bytes, len, flags);
}

static inline ssize_t test_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
    const int wait_ms = filter.slow_recv_ms;
    int foreign;

    if (wait_ms) {
        __atomic_store_n(&filter.in_recv, 1, __ATOMIC_SEQ_CST);
        poll(NULL, 0, wait_ms);
        __atomic_store_n(&filter.recv_done, 1, __ATOMIC_SEQ_CST);
    }
    if (filter.recv_errno) {
        errno = filter.recv_errno;
        filter.recv_errno = 0;
        return -1;
    }
    filter.recvs++;
    foreign = filter.before_recv ? filter.before_recv(bytes, from) : 0;
    return foreign ? foreign : recvfrom(fd, bytes, len, flags, from, from_len);
}

/* -------------------------------------------------------------------------------------------------------- surroundings */


static inline int ready(void)
{
    filter_off();
    return netns_ready();
}

/* A namespace that does not talk by itself. */
static inline void enter_namespace(void)
{
    netns_enter();
    if (no_tun)
        return;
    put_file("/proc/sys/net/ipv6/conf/all/forwarding", "1\n");
    put_file("/proc/sys/net/ipv6/conf/default/forwarding", "0\n"); /* all/ decides; a router's device would join groups by MLD */
    put_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1\n");
}

static inline int kernel_has_uso(void)
{
    int fd = raw_open("", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    int has = fd >= 0 && ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_USO)) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

static inline tuo_tun_desc zero_desc(void)
{
    tuo_tun_desc desc;

    memset(&desc, 0, sizeof desc);
    return desc;
}

static inline tuo_tun *open_or_fail(const tuo_tun_desc *desc)
{
    tuo_tun *tun = NULL;
    int error = 0;

    if (!CHECK_RESULT(tuo_tun_open(&tun, desc, &error), TUO_OK))
        printf("    errno %d\n", error);
    return tun;
}

/* ------------------------------------------------------------------------------------------------------ a and b */

typedef struct pair {
    tuo_tun *a, *b;
} pair;

static inline int side_up(tuo_tun *tun, const char *address4, const char *address6)
{
    return CHECK_RESULT(tuo_tun_add_address(tun, address4), TUO_OK) && CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK) &&
           CHECK_RESULT(tuo_tun_add_address(tun, address6), TUO_OK);
}

/* NULL for b: no offloads there. */
static inline int pair_open(pair *p, const tuo_tun_desc *a, const tuo_tun_desc *b)
{
    tuo_tun_desc plain = zero_desc();

    plain.no_vnet_hdr = 1;
    p->a = open_or_fail(a ? a : &(tuo_tun_desc){.name = NULL});
    p->b = open_or_fail(b ? b : &plain);
    return p->a && p->b && side_up(p->a, "10.1.255.1/16", "fd00:1::ffff/64") &&
           side_up(p->b, "10.2.255.1/16", "fd00:2::ffff/64");
}

static inline void pair_close(pair *p)
{
    filter_off();
    tuo_tun_close(p->a);
    tuo_tun_close(p->b);
}

/* What comes next out of a device without vnet header, or 0 if nothing comes. */
static inline size_t read_plain(tuo_tun *tun, uint8_t *out, int wait_ms)
{
    struct pollfd poller = {tuo_tun_fd(tun), POLLIN, 0};
    ssize_t n;

    for (;;) {
        n = read(tuo_tun_fd(tun), out, FRAME_MAX);
        if (n > 0)
            return (size_t)n;
        if (poll(&poller, 1, wait_ms) <= 0)
            return 0;
    }
}

/* Packets of the test, in the order in which they were sent. */
typedef struct train {
    size_t count;
    pkt_spec specs[TRAIN_MAX];
    tuo_buf bufs[TRAIN_MAX];
    void *pointers[TRAIN_MAX];
    uint8_t arrived[TRAIN_MAX];
    uint8_t bytes[TRAIN_MAX][PACKET_CAP];
} train;

static train trains[2];

static inline void train_add(train *t, const pkt_spec *spec)
{
    size_t i = t->count++;
    uint8_t *bytes = t->bytes[i];

    t->specs[i] = *spec;
    t->arrived[i] = 0;
    memset(bytes, 0xee, HEADROOM);
    t->bufs[i].data = bytes;
    t->bufs[i].capacity = PACKET_CAP;
    t->bufs[i].len = HEADROOM + pkt_build(bytes + HEADROOM, PACKET_CAP - HEADROOM, spec);
    t->pointers[i] = &t->bufs[i];
}

/* count packets of one flow behind each other, which coalesce into one superpacket; the last one is shorter. */
static inline void train_flow(train *t, pkt_kind kind, int port, size_t count, int payload_len)
{
    size_t i;

    for (i = 0; i < count; i++) {
        pkt_spec s = {.kind = kind, .src = 7, .dst = 5, .src_port = port, .payload_seed = (uint32_t)port};
        s.payload_len = i + 1 < count ? payload_len : payload_len - 3;
        s.seq = (uint32_t)i * (uint32_t)payload_len;
        s.ip_id = (uint16_t)(1000 + i);
        train_add(t, &s);
    }
}

/* The bytes of packet i after a hop. */
static inline size_t train_expected(const train *t, size_t i, uint8_t *out)
{
    pkt_spec s = t->specs[i];

    s.ttl = 63;
    return pkt_build(out, PACKET_CAP, &s);
}

/* The first packet of the same flow that has not arrived; count if there is none. */
static inline size_t train_next_of_flow(const train *t, const uint8_t *bytes, size_t len)
{
    const pkt_view v = pkt_look(bytes, len, 0, 0);
    size_t i;

    for (i = 0; i < t->count; i++) {
        const pkt_spec *s = &t->specs[i];
        if (!t->arrived[i] && pkt_has_l4(&v) && v.version == (pkt_is_v6(s) ? 6u : 4u) &&
            v.proto == (pkt_is_udp(s) ? PKT_PROTO_UDP : PKT_PROTO_TCP) && pkt_get16(bytes + v.l4) == pkt_or(s->src_port, 40000))
            return i;
    }
    return t->count;
}

/* Every packet once, in the order of its flow, byte for byte, and nothing else. */
static inline void train_check_arrived(train *t, tuo_tun *b)
{
    static uint8_t frame[FRAME_MAX], expected[PACKET_CAP];
    size_t left = t->count, len;

    while (left && (len = read_plain(b, frame, WAIT_MS)) != 0) {
        size_t i = train_next_of_flow(t, frame, len);
        if (!CHECK(i < t->count))
            continue;
        t->arrived[i] = 1;
        left--;
        if (CHECK_EQ_INT(len, train_expected(t, i, expected)))
            CHECK_BYTES(frame, expected, len);
    }
    CHECK_EQ_INT(left, 0);
    CHECK_EQ_INT(read_plain(b, frame, 0), 0);
}

/* Send the train and flush until nothing is held. Returns the last result. */
static inline tuo_result train_send(train *t, tuo_tun *tun)
{
    size_t taken = 0;
    tuo_result result = tuo_tun_send_batch(tun, NULL, t->pointers, t->count, HEADROOM, &taken);
    int tries;

    for (tries = 0; result == TUO_AGAIN && tries < 10000; tries++) {
        result = tuo_tun_flush(tun);
        if (result == TUO_OK && taken < t->count) { /* what was not taken stays ours */
            size_t more = 0;
            result = tuo_tun_send_batch(tun, NULL, t->pointers + taken, t->count - taken, HEADROOM, &more);
            taken += more;
        }
    }
    CHECK_EQ_INT(taken, t->count);
    return result;
}

static inline void send_and_check(pair *p, train *t)
{
    CHECK_RESULT(train_send(t, p->a), TUO_OK);
    train_check_arrived(t, p->b);
}

static inline train *new_train(void)
{
    trains[0].count = 0;
    return &trains[0];
}

static const char *const kind_names[PKT_KIND_COUNT] = {"TCP4", "UDP4", "TCP6", "UDP6"};

static inline unsigned type_of_kind(pkt_kind kind)
{
    return kind == PKT_TCP4 ? TUO_GSO_TCPV4 : kind == PKT_TCP6 ? TUO_GSO_TCPV6 : TUO_GSO_UDP_L4;
}

static inline uint8_t off_of_kind(const tun_stats *stats, pkt_kind kind)
{
    return kind == PKT_TCP4 ? stats->tx.tcp4_off : kind == PKT_TCP6 ? stats->tx.tcp6_off : stats->tx.udp_off;
}

#endif
