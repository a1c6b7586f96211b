/* fuzz_udp_recv.c - what a read of a UDP socket could bring: control messages, lengths, flags, names, and errors in between.
   Input     1 byte of configuration (1: blocking, 2: an error queue), then steps: 1 byte of what happens; for a message 2 bytes of its
             length, 1 of flags and name, 1 of how many control messages there are, and these: 1 byte of kind, 1 of length, the data.
   Asserts   the datagrams are those that a naive reader of the same control data cuts, in order, with the same peer, local address and
             traffic class; each message is in one counter; errors are swallowed; the reader of control data stays within its bytes. */
#ifdef __linux__
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/types.h>

static int fake_socket(int domain, int type, int protocol);
static int fake_bind(int fd, const struct sockaddr *address, socklen_t len);
static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
static int fake_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
static ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags);

#define TUNOFFLOAD_UDP
#define socket fake_socket
#define bind fake_bind
#define setsockopt fake_setsockopt
#define getsockopt fake_getsockopt
#define poll fake_poll
#define recvmsg fake_recvmsg
#include "fuzz.h"
#undef socket
#undef bind
#undef setsockopt
#undef getsockopt
#undef poll
#undef recvmsg

enum { STEPS_MAX = 48, CONTROL_MAX = 256, STEP_ERROR = 12, CAPACITY = 65535 }; /* first byte of a step, below 16: from 12 on an error */

/* A message as a read gives it, and what a naive reader makes of it. */
typedef struct step {
    int error;                /* errno, or 0 */
    size_t len;               /* true length; above CAPACITY: cut */
    int flags;
    struct sockaddr_in6 name; /* its first bytes for IPv4 */
    socklen_t name_len;
    uint8_t control[CONTROL_MAX];
    size_t control_len;
    int is_broken;
    size_t count, lost, seg_len; /* datagrams to come, and cut off */
    uint8_t local[16], tos;
    int has_drops;
    uint32_t drops;
} step;

static step steps[STEPS_MAX];
static size_t step_count, next_step;
static int blocking, entries;

/* ------------------------------------------------------------------------------------------------------------------ input */

static void read_control(fuzz_input *in, step *s)
{
    static const int kinds[][2] = {{17, 104}, {17, 104}, {0, 8}, {0, 1}, {41, 50}, {41, 67}, {SOL_SOCKET, SO_RXQ_OVFL}, {17, 103}};
    static const uint8_t lens[] = {4, 4, 12, 1, 20, 4, 4, 2};
    unsigned kind = fuzz_u8(in), len = fuzz_u8(in);
    struct cmsghdr header;
    size_t data_len = (len & 0x80) != 0 ? len & 0x3f : lens[kind & 7], i;
    memset(&header, 0, sizeof header);
    header.cmsg_len = (__typeof__(header.cmsg_len))CMSG_LEN(data_len);
    header.cmsg_level = kinds[kind & 7][0];
    header.cmsg_type = kinds[kind & 7][1];
    if ((kind & 0x30) == 0x30) {
        /* a length that lies */
        header.cmsg_len = (__typeof__(header.cmsg_len))((size_t)fuzz_u16(in) << (kind & 0x40 ? 8 * sizeof header.cmsg_len - 16 : 0));
    }
    if (s->control_len + CMSG_SPACE(data_len) > CONTROL_MAX) {
        return;
    }
    memcpy(s->control + s->control_len, &header, sizeof header);
    for (i = 0; i < data_len; i++) {
        s->control[s->control_len + CMSG_LEN(0) + i] = fuzz_u8(in);
    }
    if ((kind & 7) == 0) { /* a size that is one */
        int size = (int)(s->control[s->control_len + CMSG_LEN(0)] * 16u + 1u);
        memcpy(s->control + s->control_len + CMSG_LEN(0), &size, data_len < sizeof size ? data_len : sizeof size);
    }
    s->control_len += CMSG_SPACE(data_len);
}

static void read_name(fuzz_input *in, unsigned kind, step *s)
{
    uint8_t *address = (uint8_t *)&s->name.sin6_addr;
    if (kind == 3) {
        return; /* none */
    }
    if (kind == 0) {
        struct sockaddr_in ip4;
        memset(&ip4, 0, sizeof ip4);
        ip4.sin_family = AF_INET;
        ip4.sin_port = fuzz_u16(in);
        memcpy(&s->name, &ip4, sizeof ip4);
        s->name_len = sizeof ip4;
        return;
    }
    s->name.sin6_family = AF_INET6;
    s->name.sin6_port = fuzz_u16(in);
    s->name_len = sizeof s->name;
    if (kind == 1) {
        address[10] = address[11] = 0xff; /* v4-mapped */
    } else {
        address[0] = 0x20;
    }
    address[15] = 9;
}

static void read_message(fuzz_input *in, step *s)
{
    s->len = fuzz_u16(in);
    unsigned what = fuzz_u8(in), controls = fuzz_u8(in) % 8;
    if ((what & 0x30) == 0x30) {
        s->len += CAPACITY - 3000;
    }
    if (s->len > CAPACITY || (what & 0xc) == 0xc) {
        s->flags |= MSG_TRUNC;
    }
    if ((what & 0xc0) == 0xc0) {
        s->flags |= MSG_CTRUNC;
    }
    read_name(in, what & 3, s);
    for (; controls > 0; controls--) {
        read_control(in, s);
    }
    if (s->control_len > 0 && (what & 0x3c) == 0x14) {
        s->control_len -= 1 + what / 64; /* cut in its padding, or in its data */
    }
}

/* ----------------------------------------------------------------------------------------------------------- naive reader */

static long long number_at(const uint8_t *bytes, size_t len)
{
    int value = 0;
    if (len >= sizeof value) {
        memcpy(&value, bytes, sizeof value);
        return value;
    }
    return len > 0 ? bytes[0] : 0;
}

typedef struct parsed {
    int broken, has_size, has4, has6;
    long long size;
    uint8_t local4[4], local6[16];
} parsed;

static void understand(const struct cmsghdr *header, const uint8_t *data, size_t len, step *s, parsed *p)
{
    int level = header->cmsg_level, type = header->cmsg_type;
    if (level == 17 && type == 104) {
        p->broken |= len < 4;
        p->has_size = 1;
        p->size = number_at(data, len);
    }
    if (level == 0 && type == 8 && len >= 12) {
        p->has4 = 1;
        memcpy(p->local4, data + 4, 4);
    }
    if (level == 41 && type == 50 && len >= 20 && data[0] != 0xff) {
        p->has6 = 1;
        memcpy(p->local6, data, 16);
    }
    if ((level == 0 && type == 1) || (level == 41 && type == 67)) {
        s->tos = (uint8_t)number_at(data, len);
    }
    if (level == SOL_SOCKET && type == SO_RXQ_OVFL && len >= 4) {
        s->has_drops = 1;
        s->drops = (uint32_t)number_at(data, len);
    }
}

static void judge_local(step *s, const parsed *p)
{
    if (s->name_len == 0) {
        return;
    }
    if (s->name.sin6_family == AF_INET) {
        memcpy(s->local, p->local4, p->has4 ? 4 : 0);
        return;
    }
    memcpy(s->local, p->local6, p->has6 ? 16 : 0);
    if (p->has4 && ((const uint8_t *)&s->name.sin6_addr)[10] == 0xff) {
        memset(s->local, 0, 10);
        s->local[10] = s->local[11] = 0xff;
        memcpy(s->local + 12, p->local4, 4);
    }
}

/* The datagrams one by one: slow and plain. */
static void judge_lengths(step *s, const parsed *p)
{
    int is_cut = s->len > CAPACITY || (s->flags & MSG_TRUNC) != 0;
    size_t at = 0, have = s->len < CAPACITY ? s->len : CAPACITY;
    s->is_broken |= p->has_size ? p->size <= 0 || (unsigned long long)p->size > s->len : (s->flags & MSG_CTRUNC) != 0;
    s->seg_len = p->has_size ? (size_t)p->size : s->len;
    if (s->is_broken) {
        return;
    }
    do {
        size_t end = at + s->seg_len < s->len ? at + s->seg_len : s->len;
        int is_last = end == s->len;
        *(end > have || (is_cut && is_last) ? &s->lost : &s->count) += 1;
        at = end;
    } while (at < s->len);
}

static void judge(step *s)
{
    parsed p;
    size_t at = 0;
    memset(&p, 0, sizeof p);
    while (s->control_len - at >= CMSG_LEN(0)) {
        struct cmsghdr header;
        memcpy(&header, s->control + at, sizeof header);
        if (header.cmsg_len < CMSG_LEN(0) || header.cmsg_len > s->control_len - at) {
            s->is_broken = 1;
            return;
        }
        understand(&header, s->control + at + CMSG_LEN(0), header.cmsg_len - CMSG_LEN(0), s, &p);
        if (p.broken) {
            s->is_broken = 1;
            return;
        }
        at += header.cmsg_len;
        at += (sizeof(size_t) - at % sizeof(size_t)) % sizeof(size_t);
        if (at >= s->control_len) {
            break;
        }
    }
    judge_local(s, &p);
    judge_lengths(s, &p);
}

static void read_steps(fuzz_input *in)
{
    static const int errors[] = {EAGAIN, EINTR, ECONNREFUSED, EMSGSIZE, EHOSTUNREACH, ENOMEM, EBADF, EAGAIN};
    step_count = next_step = 0;
    while (in->len > 0 && step_count < STEPS_MAX) {
        step *s = &steps[step_count++];
        unsigned what = fuzz_u8(in);
        memset(s, 0, sizeof *s);
        if ((what & 15) >= STEP_ERROR) {
            s->error = errors[what >> 4 & 7];
        } else {
            read_message(in, s);
            judge(s);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------ fakes */

static int fake_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    return eventfd(0, 0);
}

static int fake_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd, (void)address, (void)len;
    return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)fd, (void)level, (void)name, (void)value, (void)len;
    return 0;
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    (void)fd, (void)level, (void)name;
    memset(value, 0, *len);
    return 0;
}

/* Ready as long as there are steps; a call that would wait for ever after that is woken. */
static int fake_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (count == 1 && timeout_ms == 0) { /* is anything wrong with the socket? */
        return 0;
    }
    FUZZ_CHECK(count == 2 && timeout_ms < 0);
    fds[0].revents = next_step < step_count ? POLLIN : 0;
    fds[1].revents = next_step < step_count ? 0 : POLLIN;
    return 1;
}

static uint8_t content(size_t message, size_t at)
{
    return (uint8_t)(message * 37 + at * 5 + at / 256);
}

static ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags)
{
    (void)fd;
    errno = EAGAIN;
    if ((flags & MSG_ERRQUEUE) != 0) {
        return entries-- > 0 ? 0 : -1;
    }
    if (next_step == step_count) {
        return -1;
    }
    const step *s = &steps[next_step++];
    errno = s->error;
    if (s->error != 0) {
        entries = s->error % 3;
        return -1;
    }
    FUZZ_CHECK(message->msg_iovlen == 1 && message->msg_iov[0].iov_len == CAPACITY && message->msg_controllen == CONTROL_MAX);
    for (size_t i = 0; i < s->len && i < CAPACITY; i++) {
        ((uint8_t *)message->msg_iov[0].iov_base)[i] = content(next_step, i);
    }
    memcpy(message->msg_control, s->control, s->control_len);
    memcpy(message->msg_name, &s->name, s->name_len);
    message->msg_controllen = (__typeof__(message->msg_controllen))s->control_len;
    message->msg_namelen = s->name_len;
    message->msg_flags = s->flags;
    return (ssize_t)s->len;
}

/* ------------------------------------------------------------------------------------------------------------------ checks */

/* The reader alone, over bytes of exactly their size. */
static void check_reader(const step *s)
{
    tuoi_udp_control control;
    uint8_t *bytes = fuzz_copy(s->control, s->control_len);
    int is_sound = tuoi_udp_read_controls(bytes, s->control_len, &control);
    FUZZ_CHECK(is_sound || s->is_broken);
    FUZZ_CHECK(!is_sound || control.has_drops == s->has_drops);
    free(bytes);
}

static void check_datagram(const tuo_udp_datagram *d, const step *s, size_t message, size_t number)
{
    size_t off = number * s->seg_len;
    size_t len = s->len - off < s->seg_len ? s->len - off : s->seg_len;
    FUZZ_CHECK(number < s->count && d->len == len);
    FUZZ_CHECK(len == 0 || (d->data[0] == content(message, off) && d->data[len - 1] == content(message, off + len - 1)));
    FUZZ_CHECK(memcmp(&d->peer->addr, &s->name, s->name_len) == 0 && d->peer->tos == s->tos);
    FUZZ_CHECK(memcmp(&d->peer->local, s->local, 16) == 0);
}

static void check_counters(const tuo_udp *udp)
{
    tuo_udp_rx_stats stats, sum;
    memset(&sum, 0, sizeof sum);
    for (size_t i = 0; i < next_step; i++) {
        const step *s = &steps[i];
        int is_message = s->error == 0;
        sum.rx_broken += is_message && s->is_broken;
        sum.rx_messages += is_message && !s->is_broken;
        sum.rx_datagrams += is_message ? s->count : 0;
        sum.rx_truncated += is_message ? s->lost : 0;
        sum.rx_trains += is_message && s->count + s->lost > 1;
    }
    tuo_udp_query_rx_stats(udp, &stats);
    FUZZ_CHECK(stats.rx_broken == sum.rx_broken && stats.rx_messages == sum.rx_messages && stats.rx_truncated == sum.rx_truncated);
    FUZZ_CHECK(stats.rx_datagrams == sum.rx_datagrams && stats.rx_trains == sum.rx_trains);
    fuzz_deep += sum.rx_trains > 0;
}

/* Every datagram in order, until the steps are used up or the socket is gone. */
static void check_next(tuo_udp *udp)
{
    size_t message = 0, number = 0, calls = 0;
    tuo_udp_datagram d = {NULL, 0, NULL};
    for (;;) {
        size_t before = next_step;
        tuo_result result = tuo_udp_next(udp, &d);
        FUZZ_CHECK(++calls < 1000000);
        if (result == TUO_OK) {
            if (next_step != before) {
                FUZZ_CHECK(message == 0 || number == steps[message - 1].count); /* none was left behind */
                message = next_step;
                number = 0;
            }
            FUZZ_CHECK(message > 0);
            check_datagram(&d, &steps[message - 1], message, number++);
            FUZZ_CHECK(tuo_udp_pending(udp) == (number < steps[message - 1].count));
            continue;
        }
        FUZZ_CHECK(!tuo_udp_pending(udp));
        if (result == TUO_MORE) {
            continue;
        }
        if (result == TUO_E_SYSTEM) {
            size_t lasting = 0;
            if (steps[next_step - 1].error == EBADF) {
                return;
            }
            for (size_t i = before; i < next_step; i++) { /* errors without an entry in the queue */
                int error = steps[i].error;
                lasting += error != 0 && error != EINTR && error != EAGAIN && error % 3 == 0;
            }
            FUZZ_CHECK(lasting == 16);
            continue;
        }
        FUZZ_CHECK(result == (blocking ? TUO_E_WOKEN : TUO_AGAIN));
        if (next_step == step_count) {
            return;
        }
        FUZZ_CHECK(steps[next_step - 1].error == EAGAIN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    fuzz_input in = {data, size};
    unsigned config = fuzz_u8(&in);
    tuo_udp_desc desc;
    tuo_udp *udp;
    memset(&desc, 0, sizeof desc);
    desc.blocking = config & 1;
    desc.max_datagrams = 1; /* small */
    desc.send_bytes = 65507;
    blocking = config & 1;
    read_steps(&in);
    for (size_t i = 0; i < step_count; i++) {
        if (steps[i].error == 0) {
            check_reader(&steps[i]);
        }
    }
    FUZZ_CHECK(tuo_udp_open(&udp, (const struct sockaddr *)&any, &desc, NULL) == TUO_OK);
    udp->has_recverr = (config & 2) != 0;
    check_next(udp);
    check_counters(udp);
    tuo_udp_close(udp);
    return 0;
}

#else
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data, (void)size;
    return 0;
}
#endif
