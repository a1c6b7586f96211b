/* fuzz_tun_write.c - what a program sends to a TUN device, and a kernel that refuses, blocks and fails at any system call.
   Input     8 bytes of configuration (see read_config), then steps: a batch, pushes, one packet or superpacket, one from its parts, what
             the next system calls do, other bytes in buffers that are held, and inject, flush, discard, configure, wait, wake, probe. See
             run_step.
   Asserts   a model of the kernel, in the place of writev, looks at each write: every packet that was taken is on the wire once, byte for
             byte (but for what merging may change: IPv4 IDs that carry nothing, checksums that the caller said are right), or refused and
             counted, or dropped and counted, or discarded; those not taken are not there until they are sent again. Of a buffer that
             changed while it was held, the bytes leave that it has now, and no superpacket has others. Superpackets are ones that the
             kernel takes, of protocols and limits that are in force, and fall into their packets again in the naive splitter of the tests.
             What failed is what is written next, what was refused follows singly, nothing overtakes what is held, and nothing is written
             after the error that ends a call. Results, errno, counters, what tuo_tun_held says and the memory of refusals are what a few
             lines of bookkeeping make of the errors; buffers are as they were; memory of what was pushed is gone after the call. An
             injected packet is one write that touches nothing of the sending half. What open and adopt have negotiated is what the kernel
             has; if they fail, nothing is left open. */
#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
#include <linux/netlink.h>

#define FAKE_WRITEV
#include "fake_tun.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/reference.h"
#include "../tests/lib/tun_facts.h"

enum {
    PACKETS_MAX = 96, STEPS_MAX = 64, FLOWS = 16, RAW_MAX = 2048,
    WIRE_MAX = 1 << 17,
    REACTIONS_MAX = 64, /* what the next system calls do; without any they succeed */
    PIECES_MAX = 5, SEGS_MAX = 160, BUDGET = 80000 /* bytes of superpackets in one input: inputs must not be slow */
};

typedef enum packet_state {
    OURS,    /* not yet sent, or not taken */
    OFFERED, /* in the call that is going on */
    TAKEN,   /* inside the library */
    WIRED, LOST, DISCARDED,
    DROPPED  /* by the library */
} packet_state;

typedef enum call_kind { NOTHING_CALLED, SENDING, WAITING, INJECTING } call_kind;

/* A packet for tuo_tun_send_batch or tuo_tun_push. Memory that the library may look at is of exactly that size, and gone once it may
   not. */
typedef struct packet {
    tuo_buf *buf;      /* headroom and packet; NULL if the library has no business with it */
    tuo_buf as_left;   /* what *buf has to be */
    const uint8_t *place; /* pushed: the library's copy; NULL: not pushed, or out */
    uint8_t *original; /* the packet alone: what is in the buffer now */
    size_t len, headroom;
    int is_changed;    /* while it was held */
    int is_rechecked;  /* was pushed to GRO again by a later call, in an order of the library's */
    packet_state state;
    size_t rank;       /* position among those that are out or lost */
    unsigned batch;    /* number of the call that took it */
    pkt_view view;
    unsigned kinds;    /* bit per pkt_kind: what could be coalesced when it was taken */
} packet;

/* A packet for tuo_tun_send, _iov or _gso. */
typedef struct single {
    int is_used;
    uint8_t *bytes; /* as they are to be written */
    size_t len;
    tuo_vnet_hdr vnet;
    tuo_result plan; /* what tuo_gso_init says of it */
    int splitting;
    ref_list segments;
    size_t at;      /* the segment whose turn it is */
    size_t refused; /* of those before it */
    int done;
    unsigned writes;
} single;

static struct {
    size_t vnet_len;
    tuo_order order;
    int tap, blocking, fd_blocks;   /* desc.blocking; a descriptor without O_NONBLOCK */
    int opens, negotiates;          /* tuo_tun_open instead of adopting; adopt_negotiate */
    int knows_uso, short_tail_bug;  /* of the kernel; K 7.1 */
    size_t udp_segs_max;
    unsigned features;              /* offloads that TUNSETOFFLOAD takes */
    uint32_t disabled, refusal_limit, retry_after;
    size_t headrooms[2];            /* every second batch has the other one, and perhaps other callbacks */
    int drops_untaken, own_ops, closes_held, holds_when_down, pushes_little;
    unsigned fail_at;               /* this system call of opening fails with fail_errno; 0: none */
    int fail_errno;
} config;

static tuo_tun *tun;
static tuo_gro_desc gro;            /* in force */
static packet packets[PACKETS_MAX];
static size_t packet_count;
static single held_single, new_single;
static size_t budget;

/* The superpacket or packet of a batch that is being written: until it is done, nothing else may be. */
static struct {
    size_t ids[PACKETS_MAX], count; /* 0: none has been begun */
    int refused;                    /* its packets go singly */
    int innocent;                   /* for want of memory */
    size_t next;                    /* of these */
} unit;

static size_t ranks;                /* given out so far */
static unsigned batches;
static size_t last_first;           /* units go in the order of the first pushed packet in each, but for the items of a TCP flow, which share
                                       their places: one more than that of the last other one */
static int batch_begun;             /* what earlier calls held is out */
static unsigned kinds_now;          /* may be coalesced in this batch */
static int recheck_due;             /* buffers are held since an earlier call */
static size_t first_again;          /* of these the first to be pushed to GRO again; PACKETS_MAX: not known */
static size_t pushed_count, pushed_bytes; /* since nothing that was pushed was inside */
static unsigned pushed_kinds, pushed_batch; /* may be coalesced of these; their number */
static tuo_result push_failed;      /* what a push met, for flush */
static int is_stuck;                /* what is inside has been tried */
static uint8_t *retired[PACKETS_MAX]; /* memory that held buffers had before they changed */
static size_t retired_count;
static struct feature {
    uint32_t refused;
    int off;
    uint64_t off_since;
} features[3];                      /* TCP4, TCP6, UDP: memory of refusals */
static int knows_uso;               /* what the library has to believe of the kernel */
static tun_stats want;          /* the counters as they have to be */

static uint8_t reactions[REACTIONS_MAX];
static size_t reaction_count, reaction_at;
static call_kind calling;
static int probing;
static tuo_result stopped;          /* the result of the error that ends this call */
static int stopped_errno, stopped_inside; /* it met what was inside before this call */
static unsigned writes, faults, asked; /* of this call; writes and polls */
static int saw_super, saw_fault;

/* -------------------------------------------------------------------------------------------------------------- kernel */

static struct {
    int flags, vnet_len, tun_fd, asked;
    unsigned offloads;
    int took_uso;
    int gone;                       /* what TUNGETIFF says after this error */
} kernel;

static int failed_with(int error)
{
    errno = error;
    return -1;
}

/* The Nth system call of opening fails. */
static int failure(void)
{
    return ++kernel.asked == (int)config.fail_at ? config.fail_errno : 0;
}

static int fake_open(const char *path, int flags, ...)
{
    int error = failure();
    (void)flags;
    if (strcmp(path, "/dev/net/tun") != 0) {
        return failed_with(ENOENT); /* the IPv6 addresses */
    }
    kernel.tun_fd = error != 0 ? -1 : eventfd(0, 0);
    return error != 0 ? failed_with(error) : kernel.tun_fd;
}

/* linux drivers/net/tun.c set_offload (K 2.5) */
static int set_offloads(unsigned set)
{
    unsigned uso = set & TUO_TUN_USO;
    if ((set & ~config.features) != 0 || (set != 0 && (set & TUO_TUN_CSUM) == 0) || (uso != 0 && uso != TUO_TUN_USO) ||
        ((set & TUO_TUN_TSO_ECN) != 0 && (set & (TUO_TUN_TSO4 | TUO_TUN_TSO6)) == 0)) {
        return failed_with(EINVAL);
    }
    kernel.offloads = set;
    kernel.took_uso |= uso != 0;
    return 0;
}

static int attach(tuoi_ifreq *ifreq)
{
    if ((ifreq->u.flags & IFF_VNET_HDR) != 0 && config.vnet_len == 0) {
        return failed_with(EINVAL);
    }
    FUZZ_CHECK((ifreq->u.flags & IFF_NO_PI) != 0 && ((ifreq->u.flags & IFF_TAP) != 0) == config.tap);
    kernel.flags = ifreq->u.flags;
    return 0;
}

static int fake_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    unsigned long number = 0;
    void *argument = NULL;
    int error = failure();
    va_start(args, request);
    if (request == TUNSETOFFLOAD || request == TUNSETPERSIST || request == TUNSETOWNER || request == TUNSETGROUP) {
        number = va_arg(args, unsigned long);
    } else {
        argument = va_arg(args, void *);
    }
    va_end(args);
    if (error != 0) {
        if (request == TUNGETVNETLE || request == TUNGETVNETBE) {
            config.order = TUO_ORDER_NATIVE; /* a kernel that cannot tell has no other */
        } else if (request == TUNGETVNETHDRSZ && error == EINVAL) {
            kernel.vnet_len = TUO_VNET_LEN;
        }
        return failed_with(error);
    }
    FUZZ_CHECK(fd == kernel.tun_fd || request >> 8 == 0x89);
    switch (request) {
    case TUNSETIFF: return attach(argument);
    case TUNGETIFF:
        if (kernel.gone) {
            return failed_with(EBADFD);
        }
        memset(((tuoi_ifreq *)argument)->name, 'x', 16);
        ((tuoi_ifreq *)argument)->u.flags = (short)kernel.flags;
        return 0;
    case TUNSETVNETHDRSZ: return *(int *)argument < 10 ? failed_with(EINVAL) : (kernel.vnet_len = *(int *)argument, 0);
    case TUNGETVNETHDRSZ: *(int *)argument = kernel.vnet_len; return 0;
    case TUNGETVNETLE: *(int *)argument = config.order == TUO_ORDER_LITTLE; return 0;
    case TUNGETVNETBE: *(int *)argument = config.order == TUO_ORDER_BIG; return 0;
    case TUNSETOFFLOAD: return set_offloads((unsigned)number);
    case TUNSETPERSIST: case TUNSETOWNER: case TUNSETGROUP: return number == 1 ? 0 : failed_with(EINVAL);
    case 0x8933: ((tuoi_ifreq *)argument)->u.number = 7; return 0; /* SIOCGIFINDEX */
    default: return failed_with(ENOTTY);
    }
}

static int fake_socket(int domain, int type, int protocol)
{
    int error = failure();
    (void)domain, (void)type, (void)protocol;
    return error != 0 ? failed_with(error) : eventfd(0, 0);
}

static struct nlmsghdr netlink_request;

static ssize_t fake_send(int fd, const void *bytes, size_t len, int flags)
{
    int error = failure();
    (void)fd, (void)flags;
    memcpy(&netlink_request, bytes, sizeof netlink_request);
    return error != 0 ? failed_with(error) : (ssize_t)len;
}

/* An acknowledgment, whatever was asked. */
static ssize_t fake_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } reply;
    int error = failure();
    (void)fd, (void)flags, (void)from, (void)from_len;
    memset(&reply, 0, sizeof reply);
    reply.header.nlmsg_seq = netlink_request.nlmsg_seq;
    reply.header.nlmsg_len = sizeof reply;
    reply.header.nlmsg_type = NLMSG_ERROR;
    reply.error.error = error % 2 != 0 ? -error : 0; /* half of the failures are said in the message */
    FUZZ_CHECK(len >= sizeof reply);
    memcpy(bytes, &reply, sizeof reply);
    return error != 0 && error % 2 == 0 ? failed_with(error) : (ssize_t)sizeof reply;
}

/* What the next system call has to do. Low four bits: what; high four bits: how often more than once. */
static unsigned reaction(void)
{
    unsigned what = 0;
    if (reaction_at < reaction_count) {
        what = reactions[reaction_at] & 15;
        if (reactions[reaction_at] < 16) {
            reaction_at++;
        } else {
            reactions[reaction_at] = (uint8_t)(reactions[reaction_at] - 16);
        }
    }
    return what;
}

static int any_packet(packet_state state)
{
    int any = 0;
    for (size_t i = 0; i < packet_count; i++) {
        any |= packets[i].state == state;
    }
    return any;
}

static int nothing_held(void)
{
    return !any_packet(TAKEN) && !held_single.is_used;
}

/* Of those inside: buffers of the caller's, or copies of what was pushed. Never both. */
static size_t count_inside(int pushed)
{
    size_t n = 0;
    for (size_t i = 0; i < packet_count; i++) {
        n += packets[i].state == TAKEN && (packets[i].place != NULL) == pushed;
    }
    return n;
}

/* The call must end with this. */
static void stop(tuo_result result, int error)
{
    FUZZ_CHECK(stopped == TUO_OK);
    stopped = result;
    stopped_errno = error;
    stopped_inside = !nothing_held();
    if (calling == SENDING && (result == TUO_E_DOWN || result == TUO_E_SYSTEM) && unit.count > 0 && unit.next == 0) {
        unit.refused = 0; /* it was the device, not the superpacket */
    }
    want.tx.tx_again += result == TUO_AGAIN && calling == SENDING;
}

static void advance(void);

enum { POLL_WOKEN = 7, POLL_EINTR = 5, POLL_ENOMEM = 11, POLL_LATE = 4 };

static int fake_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    unsigned what = reaction();
    int sees_wake = count == 2; /* otherwise: can it be done at once? */
    asked++;
    if (calling == SENDING) {
        advance();
    }
    FUZZ_CHECK((count == 2 || (count == 1 && timeout_ms == 0 && calling != WAITING)) && stopped == TUO_OK);
    FUZZ_CHECK(calling != NOTHING_CALLED && fds[0].fd == kernel.tun_fd && fds[0].events == POLLOUT);
    FUZZ_CHECK(timeout_ms == 0 || (timeout_ms == -1 && config.blocking));
    if (what == POLL_LATE && kernel.gone) {
        what = 0; /* a queue that has lost its device is not waited for: POLLERR */
    }
    faults += what > 3;
    fds[0].revents = POLLOUT;
    if (!sees_wake && what == POLL_WOKEN) {
        return 1;
    }
    if (sees_wake && poll(fds + 1, 1, 0) == 1) { /* tuo_tun_wake */
        what = POLL_WOKEN;
    }
    switch (what) {
    case POLL_WOKEN:
        fds[1].revents = POLLIN;
        stop(TUO_E_WOKEN, 0);
        return 1;
    case POLL_EINTR:
        if (calling == WAITING) {
            stop(TUO_AGAIN, 0);
        }
        return failed_with(EINTR);
    case POLL_ENOMEM: stop(TUO_E_SYSTEM, ENOMEM); return failed_with(ENOMEM);
    case POLL_LATE:
        if (timeout_ms == 0) {
            if (calling != SENDING || !config.blocking) {
                stop(TUO_AGAIN, EAGAIN);
            }
            fds[0].revents = 0;
            return 0;
        }
        return 1;
    default: return 1;
    }
}

/* ------------------------------------------------------------------------------------------------ what the kernel takes */

static int is_tcp(const tuo_vnet_hdr *h)
{
    unsigned type = h->gso_type & ~(unsigned)TUO_GSO_ECN;
    return type == TUO_GSO_TCPV4 || type == TUO_GSO_TCPV6;
}

static int kernel_takes_csum(const tuo_vnet_hdr *h, size_t len)
{
    size_t header = is_tcp(h) ? 20 : 8, field = (size_t)h->csum_offset + 2;
    header = h->gso_type == TUO_GSO_NONE ? 0 : header;
    return (header > field ? header : field) + h->csum_start <= len && h->csum_start >= (h->gso_type == TUO_GSO_TCPV6 ? 40 : 20) &&
           (!is_tcp(h) || h->csum_offset == 16);
}

/* linux drivers/net/tun.c tun_get_user, include/linux/virtio_net.h __virtio_net_hdr_to_skb: K 1.7. */
static int kernel_takes(const tuo_vnet_hdr *h, const uint8_t *pkt, size_t len)
{
    int needs_csum = (h->flags & TUO_VNET_NEEDS_CSUM) != 0;
    size_t hdr_len = h->hdr_len, end = (size_t)h->csum_start + h->csum_offset + 2;
    if (needs_csum && hdr_len < end) {
        hdr_len = end;
    }
    if (len < (config.tap ? 14 : 1) || hdr_len > len || (!config.tap && pkt[0] >> 4 != 4 && pkt[0] >> 4 != 6) ||
        (needs_csum && !kernel_takes_csum(h, len))) {
        return 0;
    }
    if (h->gso_type == TUO_GSO_NONE) {
        return 1;
    }
    if (h->gso_size == 0 || h->gso_size == 0xffff) {
        return 0;
    }
    if (is_tcp(h)) {
        pkt_view v = pkt_look(pkt, len, config.tap, 1);
        return needs_csum || (pkt_has_l4(&v) && v.proto == PKT_PROTO_TCP);
    }
    if (h->gso_type == TUO_GSO_UDP_L4) {
        return needs_csum && h->csum_offset == 6 && len - h->csum_start - 8 <= (size_t)h->gso_size * 128;
    }
    return h->gso_type == TUO_GSO_UDP;
}

/* What this kernel, of all, refuses on top of that. */
static int kernel_is_limited(const tuo_vnet_hdr *h, size_t len)
{
    if (is_tcp(h)) {
        return config.short_tail_bug && (len - h->hdr_len) % h->gso_size != 0;
    }
    return h->gso_type == TUO_GSO_UDP_L4 &&
           (!config.knows_uso || len - h->csum_start - 8 > (size_t)h->gso_size * config.udp_segs_max);
}

/* The errno of this write; 0: taken. */
static int write_errno(const tuo_vnet_hdr *h, const uint8_t *pkt, size_t len)
{
    static const int errors[16] = {0,      0,       0,      0,      EAGAIN, EINTR,  EINVAL, EIO, EMSGSIZE,
                                   EBADFD, ENOBUFS, ENOMEM, EFAULT, EBADF,  ENODEV, EPERM};
    int error = errors[reaction()];
    faults += error != 0;
    kernel.gone = error == EBADFD || error == EBADF; /* not with ENODEV */
    if (error == 0 && (!kernel_takes(h, pkt, len) || kernel_is_limited(h, len))) {
        error = EINVAL;
    }
    saw_fault |= error != 0;
    return error;
}

static int refused_with(int error)
{
    return error == EINVAL || error == EMSGSIZE;
}

static int no_memory(int error)
{
    return error == ENOBUFS || error == ENOMEM;
}

/* Of EIO the packets themselves will tell what it is. */
static int is_resent(int error)
{
    return refused_with(error) || error == EIO || no_memory(error);
}

/* An error other than a refusal. */
static void stop_for(int error)
{
    switch (error) {
    case EINTR: break; /* once more, at once */
    case EAGAIN:
        if (!config.blocking) {
            stop(TUO_AGAIN, EAGAIN);
        }
        break;
    case EIO: stop(TUO_E_DOWN, EIO); break;
    default: stop(kernel.gone ? TUO_E_GONE : TUO_E_SYSTEM, error); break;
    }
}

/* ------------------------------------------------------------------------------------------------------ what is written */

/* One write, taken apart. */
typedef struct written {
    tuo_vnet_hdr vnet;
    const uint8_t *pkt;
    size_t len;
    size_t piece_count;
    size_t ids[PACKETS_MAX], id_count; /* packets of batches that the bytes lie in */
} written;

static int same_as_zero(const tuo_vnet_hdr *h)
{
    static const tuo_vnet_hdr zero;
    return fuzz_same_vnet(h, &zero);
}

static unsigned field16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, 2);
    return config.order == TUO_ORDER_NATIVE ? value : config.order == TUO_ORDER_BIG ? pkt_get16(p) : (unsigned)(p[1] << 8 | p[0]);
}

static void read_vnet(const uint8_t *p, tuo_vnet_hdr *h)
{
    memset(h, 0, sizeof *h);
    if (config.vnet_len == 0) {
        return;
    }
    h->flags = p[0];
    h->gso_type = p[1];
    h->hdr_len = (uint16_t)field16(p + 2);
    h->gso_size = (uint16_t)field16(p + 4);
    h->csum_start = (uint16_t)field16(p + 6);
    h->csum_offset = (uint16_t)field16(p + 8);
    for (size_t i = 10; i < config.vnet_len; i++) {
        FUZZ_CHECK(p[i] == 0);
    }
}

static int lies_in(const packet *p, uintptr_t base)
{
    const uint8_t *start = p->place != NULL ? p->place : p->buf != NULL ? p->buf->data : NULL;
    return start != NULL && base - (uintptr_t)start < (p->place != NULL ? p->len : p->buf->len);
}

/* Payload is never copied, but for that of pushes as these come, so the packets of a batch are known by where a piece lies. Pieces of
   none are headers, and come first. */
static void find_packets(const struct iovec *iov, int count, written *w)
{
    w->id_count = 0;
    for (int i = 0; i < count; i++) {
        uintptr_t base = (uintptr_t)iov[i].iov_base;
        size_t id = 0;
        while (iov[i].iov_len > 0 && id < packet_count && !lies_in(&packets[id], base)) {
            id++;
        }
        if (iov[i].iov_len == 0 || id == packet_count) {
            FUZZ_CHECK(iov[i].iov_len == 0 || w->id_count == 0);
        } else if (w->id_count == 0 || w->ids[w->id_count - 1] != id) {
            FUZZ_CHECK(w->id_count < PACKETS_MAX);
            w->ids[w->id_count++] = id;
        }
    }
}

/* --- the memory of refusals --- */

static unsigned feature_of(const tuo_vnet_hdr *h)
{
    unsigned type = h->gso_type & ~(unsigned)TUO_GSO_ECN;
    return type == TUO_GSO_TCPV4 ? 0 : type == TUO_GSO_TCPV6 ? 1 : 2;
}

static void judge(const tuo_vnet_hdr *h, int was_refused, int innocent, uint64_t tx_packets)
{
    struct feature *f = &features[feature_of(h)];
    if (!was_refused) {
        want.tx.tx_superpackets++;
        f->refused = 0;
        return;
    }
    want.tx.tx_refused_superpackets++;
    if (!innocent && ++f->refused >= config.refusal_limit && !f->off) {
        f->off = 1;
        f->off_since = tx_packets;
        want.tx.switched_off++;
    }
}

static uint64_t packets_so_far(void)
{
    tun_stats stats = tun_stats_of(tun);
    return stats.tx.tx_packets;
}

/* A protocol that was switched off gets another chance, and packets may be coalesced as is now. */
static void set_kinds(void)
{
    int no_udp;
    for (int i = 0; i < 3; i++) {
        if (features[i].off && want.tx.tx_packets - features[i].off_since >= config.retry_after) {
            features[i].off = 0;
            features[i].refused = config.refusal_limit - 1;
        }
    }
    no_udp = !knows_uso || features[2].off;
    kinds_now = (gro.disable_tcp4 || features[0].off ? 0u : 1u << PKT_TCP4) | (gro.disable_tcp6 || features[1].off ? 0u : 1u << PKT_TCP6) |
                (gro.disable_udp4 || no_udp ? 0u : 1u << PKT_UDP4) | (gro.disable_udp6 || no_udp ? 0u : 1u << PKT_UDP6);
    kinds_now = config.vnet_len == 0 ? 0 : kinds_now;
}

/* What earlier calls held is out. */
static void begin_batch(void)
{
    batch_begun = 1;
    set_kinds();
}

/* --- packets held over the end of a call --- */

/* Buffers of the caller's are decided anew, from the bytes as they are now; those that became empty are done with. */
static void recheck(void)
{
    recheck_due = 0;
    first_again = PACKETS_MAX;
    for (size_t i = unit.count; i > 0; i--) {
        first_again = packets[unit.ids[i - 1]].len > 0 ? unit.ids[i - 1] : first_again;
    }
    unit.count = 0;
    set_kinds();
    for (size_t i = 0; i < packet_count; i++) {
        packet *p = &packets[i];
        if (p->state == TAKEN) {
            p->state = p->len > 0 ? TAKEN : WIRED;
            p->kinds = kinds_now;
            p->is_rechecked = 1;
        }
    }
}

/* What happens before the next write: of a refused superpacket the rest leaves first, singly. */
static void advance(void)
{
    if (unit.count > 0 && unit.refused) {
        for (; unit.next < unit.count && packets[unit.ids[unit.next]].len == 0; unit.next++) {
            packets[unit.ids[unit.next]].state = WIRED;
        }
        if (unit.next < unit.count) {
            return;
        }
        unit.count = 0;
    }
    if (recheck_due) {
        recheck();
    }
}

/* --- a batch --- */

static unsigned kind_of(const pkt_view *v)
{
    return v->version == 4 ? (v->proto == PKT_PROTO_UDP ? PKT_UDP4 : PKT_TCP4) : v->proto == PKT_PROTO_UDP ? PKT_UDP6 : PKT_TCP6;
}

/* What the segment of a packet must be: the packet; but its IPv4 ID may be another one if DF is set and the ID was the same all over the
   superpacket, or by choice; a bad checksum may be replaced where the caller says that it is right, and a missing one be made by choice. */
static int is_segment_of(const packet *p, const packet *head, const uint8_t *segment, size_t len)
{
    const pkt_view *v = &p->view;
    if (len != p->len) {
        return 0;
    }
    uint8_t *expected = fuzz_copy(p->original, p->len), *ip = expected + v->ip;
    int lacks_csum = v->version == 4 && v->proto == PKT_PROTO_UDP && pkt_get16(ip + (v->l4 - v->ip) + 6) == 0;
    if (gro.trust_checksums || (gro.merge_zero_csum4 && lacks_csum)) {
        pkt_fix_checksums(expected, p->len, config.tap);
    }
    int df = (ip[6] & 0x40) != 0, constant = memcmp(ip + 4, head->original + head->view.ip + 4, 2) == 0;
    int may_change = gro.ip_id == TUO_IP_ID_ANY || (df && (gro.ip_id == TUO_IP_ID_ANY_DF || (gro.ip_id == TUO_IP_ID_DEFAULT && constant)));
    if (v->version == 4 && may_change && memcmp(ip + 4, segment + v->ip + 4, 2) != 0) {
        memcpy(ip + 4, segment + v->ip + 4, 2);
        pkt_fix_ip_checksum(expected, v);
    }
    int same = memcmp(expected, segment, len) == 0;
    free(expected);
    return same;
}

static void check_super_limits(const written *w, const pkt_view *v)
{
    int udp = v->proto == PKT_PROTO_UDP;
    size_t max_segs = udp ? ref_default(gro.max_udp_segs, 64) : ref_default(gro.max_segs, PACKETS_MAX);
    FUZZ_CHECK(w->id_count <= max_segs && v->end - v->ip <= ref_default(gro.max_bytes, 65535));
    FUZZ_CHECK(w->piece_count <= ref_default(gro.max_frags, 1022) + 2);
    FUZZ_CHECK(udp || v->version == 4 || v->l4 - v->ip == 40); /* kernels lose others (K 1.23) */
    for (size_t i = 0; i < w->id_count; i++) {
        const packet *p = &packets[w->ids[i]];
        FUZZ_CHECK(((p->state == OFFERED ? kinds_now : p->kinds) >> kind_of(v) & 1) != 0);
        FUZZ_CHECK(!udp || i == 0 || w->ids[i - 1] < w->ids[i] || p->is_changed || packets[w->ids[i - 1]].is_changed);
    }
    const uint16_t *ports = udp ? gro.udp_excluded_ports : gro.tcp_excluded_ports;
    for (size_t i = 0; i < (udp ? gro.udp_excluded_port_count : gro.tcp_excluded_port_count); i++) {
        FUZZ_CHECK(pkt_get16(w->pkt + v->l4) != ports[i] && pkt_get16(w->pkt + v->l4 + 2) != ports[i]);
    }
}

/* Finished headers, a vnet header that says what they say. */
static void check_super_headers(const written *w, const pkt_view *v)
{
    int udp = v->proto == PKT_PROTO_UDP;
    const tuo_vnet_hdr *h = &w->vnet;
    size_t l4_len = v->end - v->l4;
    FUZZ_CHECK(pkt_has_l4(v) && v->end == w->len && ref_ip_valid(w->pkt, v));
    FUZZ_CHECK(pkt_get16(w->pkt + pkt_l4_csum_at(v)) == pkt_pseudo_sum(w->pkt + v->src, w->pkt + v->dst, v->addr_len, v->proto, l4_len));
    FUZZ_CHECK(!udp || pkt_get16(w->pkt + v->l4 + 4) == l4_len);
    FUZZ_CHECK(h->flags == TUO_VNET_NEEDS_CSUM && h->hdr_len == v->payload && h->csum_start == v->l4);
    FUZZ_CHECK(h->csum_offset == (udp ? 6 : 16) && h->gso_size >= (udp ? 1 : 8) && h->gso_size < v->payload_len);
    FUZZ_CHECK(h->gso_type == (udp ? TUO_GSO_UDP_L4 : v->version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6));
    FUZZ_CHECK(kernel_takes(h, w->pkt, w->len));
}

static void check_super_splits(const written *w)
{
    ref_list segments = ref_split(w->pkt, w->len, config.tap, w->vnet.gso_size);
    FUZZ_CHECK(segments.count == w->id_count);
    for (size_t i = 0; i < segments.count; i++) {
        FUZZ_CHECK(is_segment_of(&packets[w->ids[i]], &packets[w->ids[0]], segments.bytes[i], segments.len[i]));
    }
    ref_list_free(&segments);
}

/* TCP of one flow leaves in sequence order, whichever came first. */
static int same_tcp_flow(const packet *a, const packet *b)
{
    ref_pkt pkts[2] = {{.bytes = a->original, .len = a->len}, {.bytes = b->original, .len = b->len}};
    pkt_view views[2] = {a->view, b->view};
    ref_batch t = {.pkts = pkts, .views = views};
    return pkt_has_l4(&views[0]) && pkt_has_l4(&views[1]) && views[0].proto == PKT_PROTO_TCP && ref_same_flow(&t, 0, 1);
}

static void begin_unit(const written *w)
{
    size_t first = PACKETS_MAX;
    for (size_t i = 0; i < w->id_count; i++) {
        packet_state state = packets[w->ids[i]].state;
        FUZZ_CHECK(state == TAKEN || state == OFFERED);
        first = w->ids[i] < first ? w->ids[i] : first;
    }
    if (packets[first].is_rechecked) {
        int found = first_again == PACKETS_MAX;
        for (size_t i = 0; i < w->id_count; i++) {
            found = found || w->ids[i] == first_again || same_tcp_flow(&packets[w->ids[i]], &packets[first_again]);
        }
        FUZZ_CHECK(found); /* what was to go first still does */
        first_again = PACKETS_MAX;
    } else if (packets[first].view.proto != PKT_PROTO_TCP) {
        FUZZ_CHECK(first >= last_first);
        last_first = first + 1;
    }
    for (size_t i = 0; i < packet_count && packets[first].state == OFFERED; i++) {
        FUZZ_CHECK(packets[i].state != TAKEN); /* nothing overtakes what is held */
    }
    if (packets[first].state == OFFERED && !batch_begun) {
        begin_batch();
    }
    memset(&unit, 0, sizeof unit);
    memcpy(unit.ids, w->ids, sizeof unit.ids);
    unit.count = w->id_count;
}

/* The packet, or the superpacket, is gone: out, or lost. */
static void settle(const written *w, packet_state state)
{
    for (size_t i = 0; i < w->id_count; i++) {
        packet *p = &packets[w->ids[i]];
        FUZZ_CHECK(p->state == TAKEN || p->state == OFFERED);
        p->state = state;
        p->place = NULL;
        p->rank = ranks++;
    }
    want.tx.tx_refused_packets += state == LOST;
    if (!unit.refused) {
        if (w->id_count > 1) {
            judge(&w->vnet, 0, 0, 0);
        }
        unit.count = 0;
    }
}

static tuo_vnet_hdr unit_hdr; /* of the superpacket that was refused */

static void next_of_refused(void)
{
    if (unit.next == 0) { /* the device works: it was the superpacket */
        judge(&unit_hdr, 1, unit.innocent, packets_so_far());
    }
    if (++unit.next == unit.count) {
        unit.count = 0;
    }
}

static void write_batch(const written *w, int error)
{
    int super = w->id_count > 1;
    FUZZ_CHECK(!held_single.is_used);
    if (unit.count == 0) {
        begin_unit(w);
    }
    if (unit.refused) {
        FUZZ_CHECK(!super && w->ids[0] == unit.ids[unit.next]);
    } else {
        FUZZ_CHECK(w->id_count == unit.count && memcmp(w->ids, unit.ids, w->id_count * sizeof w->ids[0]) == 0);
    }
    if (super) {
        pkt_view v = pkt_look(w->pkt, w->len, config.tap, 0);
        check_super_headers(w, &v);
        check_super_limits(w, &v);
        saw_super = 1;
    } else {
        const packet *p = &packets[w->ids[0]];
        FUZZ_CHECK(same_as_zero(&w->vnet) && w->len == p->len && memcmp(w->pkt, p->original, w->len) == 0);
    }
    if (super && is_resent(error)) {
        unit.refused = 1;
        unit.innocent = no_memory(error);
        unit.next = 0;
        unit_hdr = w->vnet;
    } else if (error == 0 || refused_with(error)) {
        if (super) {
            check_super_splits(w);
        }
        settle(w, error == 0 ? WIRED : LOST);
        if (unit.refused) {
            want.tx.tx_resent_packets += error == 0;
            next_of_refused();
        }
    } else {
        stop_for(error);
    }
}

/* --- one packet --- */

static int is_offloaded(const single *s)
{
    return s->vnet.gso_type != TUO_GSO_NONE || (s->vnet.flags & TUO_VNET_NEEDS_CSUM) != 0;
}

/* Nothing can be said to a kernel without a vnet header; tunnel types are never written as they come. */
static int must_split(const single *s)
{
    return is_offloaded(s) && (config.vnet_len == 0 || (s->vnet.gso_type & (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6)));
}

/* A length field of 0 that could hold the length does. Returns its new value, or 0: nothing changed. */
static unsigned fill_length(uint8_t *field, size_t len)
{
    if (pkt_get16(field) != 0 || len > 65535) {
        return 0;
    }
    pkt_put16(field, (unsigned)len);
    return (unsigned)len;
}

/* Where the headers are, whatever the length fields say. */
static pkt_view look_past_lengths(uint8_t *copy, size_t len)
{
    pkt_view v = pkt_look(copy, len, config.tap, 1);
    if (v.status == PKT_NOT_IP || v.status == PKT_TRUNCATED || v.status == PKT_VLAN_DEPTH) {
        return v;
    }
    pkt_put16(copy + v.ip + (v.version == 4 ? 2 : 4), 0);
    v = pkt_look(copy, len, config.tap, 1);
    if (v.status == PKT_UDP_LENGTH && v.end - v.l4 >= 8) {
        pkt_put16(copy + v.l4 + 4, 0);
        v = pkt_look(copy, len, config.tap, 1);
    }
    return v;
}

/* A packet with a GSO type as it is written: K 1.16, 1.17. */
static uint8_t *filled(const single *s)
{
    uint8_t *bytes = fuzz_copy(s->bytes, s->len), *copy = fuzz_copy(s->bytes, s->len);
    pkt_view v = look_past_lengths(copy, s->len);
    free(copy);
    if (s->vnet.gso_type == TUO_GSO_NONE || !pkt_has_l4(&v) || v.payload > TUO_HEADER_MAX) {
        return bytes;
    }
    size_t ip_len;
    if (v.version == 4) {
        unsigned value = fill_length(bytes + v.ip + 2, s->len - v.ip), sum = 0xffff - pkt_get16(bytes + v.ip + 10);
        if (value != 0) { /* RFC 1624: the checksum follows, right or wrong */
            sum += 0xffff + value;
            sum = sum / 65536 + sum % 65536;
            pkt_put16(bytes + v.ip + 10, 0xffff - (sum / 65536 + sum % 65536));
        }
        ip_len = pkt_get16(bytes + v.ip + 2);
    } else {
        fill_length(bytes + v.ip + 4, s->len - v.ip - 40);
        ip_len = 40u + pkt_get16(bytes + v.ip + 4);
    }
    if (v.proto == PKT_PROTO_UDP && v.ip + ip_len >= v.l4 + 8 && v.ip + ip_len <= s->len) { /* bytes behind the IP packet do not count */
        fill_length(bytes + v.l4 + 4, v.ip + ip_len - v.l4);
    }
    return bytes;
}

static void begin_split(single *s)
{
    uint8_t *bytes = filled(s);
    FUZZ_CHECK(s->plan == TUO_OK);
    s->segments = ref_wire_stripped(bytes, s->len, config.tap, &s->vnet);
    free(bytes);
    s->splitting = 1;
    s->done = s->segments.count == 0;
}

static void write_whole(single *s, const written *w, int error)
{
    int refused = refused_with(error);
    uint8_t *expected = filled(s);
    FUZZ_CHECK(config.vnet_len == 0 || fuzz_same_vnet(&w->vnet, &s->vnet));
    FUZZ_CHECK(w->len == s->len && (s->len == 0 || memcmp(w->pkt, expected, s->len) == 0));
    free(expected);
    saw_super |= s->vnet.gso_type != TUO_GSO_NONE;
    if (error == 0) {
        s->done = 1;
    } else if (is_offloaded(s) && is_resent(error)) {
        if (s->plan != TUO_OK) {
            stop(s->plan, 0);
        } else {
            begin_split(s);
        }
    } else if (refused) {
        want.tx.tx_refused_packets++;
        stop(TUO_E_REFUSED, error);
    } else {
        stop_for(error);
    }
}

static void write_segment(single *s, const written *w, int error)
{
    FUZZ_CHECK(s->at < s->segments.count && w->len == s->segments.len[s->at] && same_as_zero(&w->vnet));
    FUZZ_CHECK(w->len == 0 || memcmp(w->pkt, s->segments.bytes[s->at], w->len) == 0);
    if (error != 0 && !refused_with(error)) {
        stop_for(error);
        return;
    }
    want.tx.tx_refused_packets += error != 0;
    want.tx.tx_resent_packets += error == 0;
    s->refused += error != 0;
    s->done = ++s->at == s->segments.count;
    if (s->done && s->refused == s->segments.count && s == &new_single) {
        stop(TUO_E_REFUSED, 0); /* neither the whole nor any part of it */
    }
}

static void free_single(single *s)
{
    free(s->bytes);
    ref_list_free(&s->segments);
    memset(s, 0, sizeof *s);
}

static void write_single(const written *w, int error)
{
    single *s = held_single.is_used ? &held_single : &new_single;
    FUZZ_CHECK(s->is_used && !s->done && count_inside(0) == 0);
    FUZZ_CHECK(s == &held_single || !any_packet(TAKEN));
    s->writes++;
    if (!s->splitting && must_split(s)) {
        begin_split(s);
    }
    if (s->splitting) {
        write_segment(s, w, error);
    } else {
        write_whole(s, w, error);
    }
    if (s == &held_single && s->done) {
        free_single(s);
    }
}

/* --- the probe: from loopback to loopback, each kind and length once --- */

static uint8_t probe_took[PKT_KIND_COUNT][2048 + 1]; /* by payload length */

static void write_probe(const written *w, int error)
{
    pkt_view v = pkt_look(w->pkt, w->len, 0, 0);
    FUZZ_CHECK(!held_single.is_used && !any_packet(TAKEN));
    check_super_headers(w, &v);
    FUZZ_CHECK(v.version == 4 ? w->pkt[v.src] == 127 && w->pkt[v.dst] == 127 : w->pkt[v.src + 15] == 1 && w->pkt[v.dst + 15] == 1);
    FUZZ_CHECK(v.payload_len <= 2048);
    probe_took[kind_of(&v)][v.payload_len] = error == 0;
    if (error != 0 && !refused_with(error)) {
        stop_for(error);
    }
}

/* --- a packet from another thread --- */

static const uint8_t *injected;
static size_t injected_len;

static void write_injected(const written *w, int error)
{
    FUZZ_CHECK(same_as_zero(&w->vnet) && w->len == injected_len && (w->len == 0 || memcmp(w->pkt, injected, w->len) == 0));
    if (refused_with(error)) {
        stop(TUO_E_REFUSED, error);
    } else if (error == EAGAIN) {
        stop(TUO_AGAIN, error);
    } else if (error != 0) {
        stop_for(error);
    }
}

/* --- any of these --- */

static ssize_t fake_writev(int fd, const struct iovec *iov, int count)
{
    static uint8_t bytes[WIRE_MAX];
    static written w;
    size_t len = 0;
    int error;
    FUZZ_CHECK((calling == SENDING || calling == INJECTING) && stopped == TUO_OK && fd == kernel.tun_fd && count >= 1 && count <= 1024);
    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(iov[i].iov_len <= sizeof bytes - len);
        if (iov[i].iov_len > 0) {
            memcpy(bytes + len, iov[i].iov_base, iov[i].iov_len);
        }
        len += iov[i].iov_len;
    }
    writes++;
    asked++;
    if (calling == SENDING) {
        advance();
    }
    FUZZ_CHECK(len >= config.vnet_len && iov[0].iov_len >= config.vnet_len);
    read_vnet(bytes, &w.vnet);
    w.pkt = bytes + config.vnet_len;
    w.len = len - config.vnet_len;
    w.piece_count = (size_t)count;
    find_packets(iov, count, &w);
    error = len == 0 ? EINVAL : write_errno(&w.vnet, w.pkt, w.len); /* no bytes at all: the device is not even asked */
    want.tx.tx_writes += error == 0 && calling == SENDING;
    want.tx.tx_bytes += error == 0 && calling == SENDING ? w.len : 0;
    if (calling == INJECTING) {
        write_injected(&w, error);
    } else if (w.id_count > 0) {
        write_batch(&w, error);
    } else if (probing && !held_single.is_used) {
        write_probe(&w, error);
    } else {
        write_single(&w, error);
    }
    return len == 0 ? 0 : error != 0 ? failed_with(error) : (ssize_t)len;
}

/* --------------------------------------------------------------------------------------------------------------- calls */

static void begin_call(call_kind what)
{
    calling = what;
    stopped = TUO_OK;
    stopped_inside = 0;
    writes = faults = asked = 0;
    batch_begun = 0;
    recheck_due = count_inside(0) > 0;
}

static void check_stats(void)
{
    tun_stats s = tun_stats_of(tun);
    FUZZ_CHECK(s.tx.tx_packets == want.tx.tx_packets && s.tx.tx_writes == want.tx.tx_writes && s.tx.tx_bytes == want.tx.tx_bytes);
    FUZZ_CHECK(s.tx.tx_superpackets == want.tx.tx_superpackets && s.tx.tx_refused_superpackets == want.tx.tx_refused_superpackets);
    FUZZ_CHECK(s.tx.tx_resent_packets == want.tx.tx_resent_packets && s.tx.tx_refused_packets == want.tx.tx_refused_packets);
    FUZZ_CHECK(s.tx.tx_dropped_full == want.tx.tx_dropped_full && s.tx.tx_dropped_down == want.tx.tx_dropped_down);
    FUZZ_CHECK(s.tx.tx_dropped_error == want.tx.tx_dropped_error);
    FUZZ_CHECK(s.tx.tx_again == want.tx.tx_again && s.tx.switched_off == want.tx.switched_off);
    FUZZ_CHECK(s.tx.headroom_short == want.tx.headroom_short);
    FUZZ_CHECK(s.tx.tcp4_off == features[0].off && s.tx.tcp6_off == features[1].off && s.tx.udp_off == features[2].off);
    FUZZ_CHECK(s.rx.rx_reads + s.rx.rx_bytes + s.rx.rx_superpackets + s.rx.rx_segments + s.rx.rx_truncated + s.rx.rx_refused == 0);
}

static void make_buf(packet *p, size_t headroom)
{
    p->headroom = headroom;
    p->buf = malloc(sizeof *p->buf);
    FUZZ_CHECK(p->buf != NULL);
    p->buf->len = p->buf->capacity = headroom + p->len;
    p->buf->data = malloc(p->buf->capacity > 0 ? p->buf->capacity : 1);
    FUZZ_CHECK(p->buf->data != NULL);
    memset(p->buf->data, 0xee, headroom);
    if (p->len > 0) {
        memcpy(p->buf->data + headroom, p->original, p->len);
    }
    p->as_left = *p->buf;
}

static void free_buf(packet *p)
{
    if (p->buf != NULL) {
        FUZZ_CHECK(p->buf->len == p->as_left.len && p->buf->capacity == p->as_left.capacity && p->buf->data == p->as_left.data);
        FUZZ_CHECK(p->len == 0 || memcmp(p->buf->data + p->headroom, p->original, p->len) == 0);
        for (size_t i = 0; i < p->headroom; i++) {
            FUZZ_CHECK(p->buf->data[i] == 0xee);
        }
        free(p->buf->data);
        free(p->buf);
        p->buf = NULL;
    }
}

/* Nothing is held any more: buffers belong to the caller again, who has no use for them. */
static void free_settled(void)
{
    FUZZ_CHECK(!any_packet(TAKEN) && !any_packet(OFFERED) && !held_single.is_used && unit.count == 0);
    for (size_t i = 0; i < packet_count; i++) {
        if (packets[i].state != OURS) {
            free_buf(&packets[i]);
        }
    }
    while (retired_count > 0) {
        free(retired[--retired_count]);
    }
}

/* What the device will not take is dropped: when it is down, the caller's buffers as well unless they are to be held; otherwise only
   what is in memory of the library's. */
static void drop_inside(void)
{
    uint64_t *counter = stopped == TUO_E_DOWN ? &want.tx.tx_dropped_down : &want.tx.tx_dropped_error;
    int is_own = held_single.is_used || count_inside(1) > 0;
    if (!stopped_inside || (stopped != TUO_E_DOWN && stopped != TUO_E_GONE && stopped != TUO_E_SYSTEM) ||
        (!is_own && (stopped != TUO_E_DOWN || config.holds_when_down))) {
        return;
    }
    for (size_t i = 0; i < packet_count; i++) {
        if (packets[i].state == TAKEN) {
            packets[i].state = DROPPED;
            packets[i].place = NULL;
            ++*counter;
        }
    }
    *counter += held_single.is_used ? held_single.segments.count - held_single.at : 0;
    free_single(&held_single);
    unit.count = 0;
}

/* A call has written what was inside, or tried to. */
static void end_writing(void)
{
    if (stopped == TUO_OK) {
        advance();
    } else {
        drop_inside();
    }
    is_stuck = !nothing_held() && (is_stuck || stopped != TUO_OK);
}

static void end_call(tuo_result result, tuo_result expected)
{
    int names_errno = stopped == TUO_E_SYSTEM || stopped == TUO_E_DOWN || stopped == TUO_E_GONE;
    FUZZ_CHECK(result == expected && strcmp(tuo_result_name(result), "?") != 0);
    FUZZ_CHECK(!names_errno || calling != SENDING || tun_info_of(tun).tx_errno == stopped_errno);
    FUZZ_CHECK(tun_info_of(tun).tx_errno != EAGAIN);
    saw_fault |= faults != 0;
    FUZZ_CHECK((tuo_tun_held(tun) != 0) == is_stuck);
    calling = NOTHING_CALLED;
    check_stats();
    if (nothing_held()) {
        free_settled();
    }
}

static void flush(void)
{
    begin_call(SENDING);
    tuo_result result = tuo_tun_flush(tun);
    end_writing();
    end_call(result, stopped == TUO_OK ? push_failed : stopped);
    FUZZ_CHECK(result != TUO_OK || nothing_held());
    if (result != TUO_AGAIN && result != TUO_E_WOKEN) {
        push_failed = TUO_OK; /* it was told */
    }
}

static void discard(int ask)
{
    tuo_tun_discard(tun);
    for (size_t i = 0; i < packet_count; i++) {
        packets[i].state = packets[i].state == TAKEN ? DISCARDED : packets[i].state;
        packets[i].place = NULL;
    }
    unit.count = 0;
    is_stuck = 0;
    push_failed = TUO_OK;
    free_single(&held_single);
    free_settled();
    FUZZ_CHECK(tuo_tun_held(tun) == 0);
    if (ask) {
        flush();
        FUZZ_CHECK(writes == 0);
    }
}

/* --- tuo_tun_send_batch --- */

/* Callbacks of one's own: buffers are packets. */
static uint8_t *packet_data(void *user, void *buf)
{
    FUZZ_CHECK(user == packets);
    return ((packet *)buf)->buf->data;
}

static size_t packet_length(void *user, const void *buf)
{
    FUZZ_CHECK(user == packets);
    return ((const packet *)buf)->buf->len;
}

static size_t no_capacity(void *user, const void *buf)
{
    (void)user, (void)buf;
    fuzz_violated(__FILE__, __LINE__, "sending writes to no buffer");
    return 0;
}

static int no_resize(void *user, void *buf, size_t len)
{
    (void)len;
    return (int)no_capacity(user, buf);
}

static int no_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    (void)bytes, (void)len;
    return (int)no_capacity(user, buf);
}

/* Could the length of its buffer have left out the headroom? Then the IP header promises so many bytes more. */
static int looks_cut(const packet *p)
{
    unsigned type = 0;
    size_t at = 0, left, total;
    if (p->len == 0) {
        return p->headroom > 0;
    }
    if (config.tap) {
        for (at = 14; at <= p->len && at <= 14 + 4 * TUO_VLAN_MAX; at += 4) {
            type = pkt_get16(p->original + at - 2);
            if (type != 0x8100 && type != 0x88a8) {
                break;
            }
        }
    }
    left = p->len - (at < p->len ? at : p->len);
    if (left >= 4 && p->original[at] >> 4 == 4 && (!config.tap || type == 0x800)) {
        total = pkt_get16(p->original + at + 2);
    } else if (left >= 6 && p->original[at] >> 4 == 6 && (!config.tap || type == 0x86dd)) {
        total = 40 + (size_t)pkt_get16(p->original + at + 4);
    } else {
        return 0;
    }
    return total > left && total - left <= p->headroom;
}

static void take(size_t first, size_t count, size_t taken)
{
    int drops = stopped == TUO_E_DOWN && !config.holds_when_down;
    for (size_t i = 0; i < count; i++) {
        packet *p = &packets[first + i];
        if (i >= taken) {
            FUZZ_CHECK(p->state == OFFERED);
            p->state = config.drops_untaken ? DISCARDED : OURS;
            free_buf(p);
        } else if (p->len == 0) { /* nothing to write */
            FUZZ_CHECK(p->state == OFFERED);
            p->state = WIRED;
            want.tx.headroom_short += (unsigned)looks_cut(p);
        } else {
            want.tx.headroom_short += (unsigned)looks_cut(p);
            want.tx.tx_packets++;
            p->kinds = kinds_now;
            p->batch = batches;
            want.tx.tx_dropped_down += p->state == OFFERED && drops;
            p->state = p->state != OFFERED ? p->state : drops ? DROPPED : TAKEN;
            is_stuck |= p->state == TAKEN;
        }
    }
    unit.count = drops ? 0 : unit.count;
}

static void send_batch(void)
{
    tuo_buf_ops own = {packets, packet_data, packet_length, no_capacity, no_resize, no_append};
    void *handles[PACKETS_MAX];
    size_t first = packet_count, count = 0, taken = PACKETS_MAX + 1, before = 0, headroom = config.headrooms[batches % 2];
    int with_own = config.own_ops && batches % 2 == 0;
    while (first > 0 && packets[first - 1].state == OURS) {
        first--;
    }
    for (; first + count < packet_count; count++) {
        packet *p = &packets[first + count];
        make_buf(p, headroom);
        handles[count] = with_own ? (void *)p : p->buf;
        p->state = OFFERED;
    }
    for (size_t i = 0; i < first; i++) {
        before += packets[i].state == TAKEN;
    }
    before += held_single.is_used ? held_single.segments.count : 0;
    begin_call(SENDING);
    void **exact = (void **)(void *)fuzz_copy(handles, count * sizeof *handles);
    tuo_result result = tuo_tun_send_batch(tun, with_own ? &own : NULL, exact, count, headroom, &taken);
    free(exact);
    memset(&own, 0, sizeof own); /* the library has a copy */
    FUZZ_CHECK(taken <= count && (result != TUO_OK || taken == count));
    FUZZ_CHECK(writes <= 2 * (before + taken) + faults); /* at most alone, and before that in a superpacket */
    end_writing();
    FUZZ_CHECK(!stopped_inside ? taken > 0 || count == 0 : taken == 0);
    if (!stopped_inside && !batch_begun) {
        begin_batch();
    }
    take(first, count, taken);
    batches++;
    end_call(result, stopped);
}

/* --- tuo_tun_send, _iov, _gso --- */

static int split_is_due(void)
{
    return must_split(&new_single);
}

/* Taken as a whole or in segments, of which the last ones may be held. */
static void account_single(void)
{
    unsigned is_super = new_single.vnet.gso_type != TUO_GSO_NONE && !must_split(&new_single);
    want.tx.tx_packets++;
    want.tx.tx_superpackets += is_super && !new_single.splitting;
    want.tx.tx_refused_superpackets += is_super && new_single.splitting;
}

static void end_single(tuo_result result)
{
    single *s = &new_single;
    tuo_result expected = stopped;
    end_writing();
    if (stopped_inside) {
        FUZZ_CHECK(s->writes == 0);
    } else if (split_is_due() && s->plan != TUO_OK) {
        FUZZ_CHECK(stopped == TUO_OK && s->writes == 0);
        expected = s->plan;
    } else if (s->done) {
        FUZZ_CHECK(stopped == (s->refused != 0 && s->refused == s->segments.count ? TUO_E_REFUSED : TUO_OK));
        if (stopped == TUO_OK) {
            account_single();
        }
    } else {
        FUZZ_CHECK(stopped != TUO_OK);
        if (split_is_due() && s->writes == 0) {
            begin_split(s);
        }
        if (s->splitting && (stopped > 0 || s->at > 0)) { /* the rest is held */
            expected = TUO_OK;
            account_single();
            held_single = *s;
            is_stuck = 1;
            memset(s, 0, sizeof *s);
        }
    }
    end_call(result, expected);
    free_single(s);
}

/* In pieces of their own memory, which is gone after the call. */
static size_t cut(const uint8_t *bytes, size_t len, unsigned how, tuo_iov *iov)
{
    size_t count = 1 + how % PIECES_MAX, at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t take_len = i + 1 == count ? len - at : (len - at) * (1 + how / 8 % 4) / 5;
        iov[i].base = fuzz_copy(bytes + at, take_len);
        iov[i].len = take_len;
        at += take_len;
    }
    return count;
}

static void free_pieces(tuo_iov *iov, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memset((void *)(uintptr_t)iov[i].base, 0x5a, iov[i].len); /* nothing is read after the call */
        free((void *)(uintptr_t)iov[i].base);
    }
}

/* --- tuo_tun_push, _iov --- */

/* Memory or batch are full: the only reason to write, but for buffers of the caller's that go first. */
static int is_full(size_t len)
{
    size_t capacity = config.pushes_little ? 70000 : 256 * 1024, max_packets = ref_default(gro.max_packets, 256);
    return count_inside(1) > 0 &&
           (pushed_count == max_packets || pushed_bytes + (pushed_count + 1) * (sizeof(tuo_buf) + 15) + len > capacity);
}

/* What is taken lies in memory of the library's behind what was pushed before. */
static void keep_pushed(packet *p)
{
    size_t room = tuoi_align_up(sizeof(tuo_buf) + p->len);
    if (count_inside(1) == 0) {
        set_kinds();
        pushed_kinds = kinds_now;
        pushed_count = pushed_bytes = 0;
        pushed_batch = batches++;
    }
    pushed_count++;
    pushed_bytes += p->len;
    p->state = TAKEN;
    p->kinds = pushed_kinds;
    p->batch = pushed_batch;
    p->place = tun->tx.pushed + tun->tx.pushed_len - room + sizeof(tuo_buf);
    FUZZ_CHECK(tun->tx.pushed_len <= tun->tx.pushed_capacity && memcmp(p->place, p->original, p->len) == 0);
}

static tuo_result settle_push(packet *p)
{
    if (stopped == TUO_E_DOWN || stopped == TUO_E_SYSTEM || stopped == TUO_E_GONE) {
        push_failed = stopped;
    }
    p->state = DROPPED;
    if (p->len == 0) {
        return TUO_E_INVALID;
    }
    if (stopped == TUO_E_GONE) {
        want.tx.tx_dropped_error++;
    } else if (stopped != TUO_OK && !nothing_held()) {
        want.tx.tx_dropped_full++;
    } else {
        keep_pushed(p);
    }
    want.tx.tx_packets++;
    return p->state == TAKEN ? TUO_OK : stopped == TUO_E_GONE ? TUO_E_GONE : TUO_AGAIN;
}

static void push_packet(packet *p, unsigned how)
{
    tuo_iov iov[PIECES_MAX];
    size_t count = cut(p->original, p->len, how, iov);
    int writes_first = count_inside(0) > 0 || is_full(p->len);
    begin_call(SENDING);
    tuo_result result = count == 1 ? tuo_tun_push(tun, iov[0].base, iov[0].len) : tuo_tun_push_iov(tun, iov, count);
    free_pieces(iov, count);
    FUZZ_CHECK(asked == 0 || (writes_first && p->len > 0));
    if (p->len > 0) {
        end_writing();
    }
    end_call(result, settle_push(p));
}

static void push_packets(unsigned how)
{
    size_t first = packet_count;
    while (first > 0 && packets[first - 1].state == OURS) {
        first--;
    }
    for (; first < packet_count; first++) {
        push_packet(&packets[first], how == 0 ? 0 : (unsigned)first + how);
    }
}

/* --- tuo_tun_inject --- */

static void inject(const uint8_t *bytes, size_t len)
{
    tuoi_tun_tx *before = malloc(sizeof *before);
    uint8_t *copy = fuzz_copy(bytes, len);
    FUZZ_CHECK(before != NULL);
    memcpy(before, &tun->tx, sizeof *before);
    injected = copy;
    injected_len = len;
    begin_call(INJECTING);
    tuo_result result = tuo_tun_inject(tun, copy, len);
    FUZZ_CHECK(memcmp(before, &tun->tx, sizeof *before) == 0);
    FUZZ_CHECK(asked > 0 && writes <= 1 + faults && (result != TUO_OK || writes > 0));
    free(copy);
    free(before);
    end_call(result, stopped);
}

/* --- what the caller should not do: other bytes in buffers that are held --- */

/* In place, or in other memory; the old one stays, with junk in it. */
static void put_bytes(packet *p, const uint8_t *bytes, size_t len, int moves)
{
    if (moves || p->headroom + len > p->as_left.capacity) {
        FUZZ_CHECK(retired_count < PACKETS_MAX);
        memset(p->buf->data, 0xdd, p->as_left.capacity);
        retired[retired_count++] = p->buf->data;
        p->buf->capacity = p->headroom + len;
        p->buf->data = malloc(p->buf->capacity > 0 ? p->buf->capacity : 1);
        FUZZ_CHECK(p->buf->data != NULL);
        memset(p->buf->data, 0xee, p->headroom);
    }
    if (len > 0) {
        memcpy(p->buf->data + p->headroom, bytes, len);
    }
    p->buf->len = p->headroom + len;
    p->as_left = *p->buf;
    free(p->original);
    p->original = fuzz_copy(bytes, len);
    p->len = len;
    p->view = pkt_look(p->original, len, config.tap, 0);
    p->is_changed = 1;
}

static packet *nth_held(unsigned n)
{
    size_t count = count_inside(0), at = count > 0 ? n % count : 0;
    for (size_t i = 0; i < packet_count && count > 0; i++) {
        if (packets[i].state == TAKEN && packets[i].place == NULL && at-- == 0) {
            return &packets[i];
        }
    }
    return NULL;
}

static void plan_single(const uint8_t *bytes, size_t len, const tuo_vnet_hdr *vnet)
{
    tuo_gso gso;
    single *s = &new_single;
    memset(s, 0, sizeof *s);
    s->is_used = 1;
    s->bytes = fuzz_copy(bytes, len);
    s->len = len;
    s->vnet = *vnet;
    s->plan = len > 65535 + 64 ? TUO_E_REFUSED /* more than any packet */
                               : tuo_gso_init(&gso, s->bytes, len, vnet, TUO_F_STRIP_JUMBO | (config.tap ? TUO_F_ETHERNET : 0u));
}

static void send_single(const uint8_t *bytes, size_t len, const tuo_vnet_hdr *vnet, unsigned how)
{
    static const tuo_vnet_hdr zero;
    tuo_iov iov[PIECES_MAX];
    size_t count = cut(bytes, len, how, iov);
    plan_single(bytes, len, vnet != NULL ? vnet : &zero);
    begin_call(SENDING);
    if (vnet == NULL && count == 1) {
        end_single(tuo_tun_send(tun, iov[0].base, iov[0].len));
    } else {
        end_single(tuo_tun_send_iov(tun, iov, count, vnet));
    }
    free_pieces(iov, count);
}

/* Refused before anything is written, held packets included. */
static void check_refused_parts(const tuo_tun_parts *parts)
{
    begin_call(SENDING);
    tuo_result result = tuo_tun_send_gso(tun, parts);
    FUZZ_CHECK(result < 0 && result != TUO_E_SYSTEM && writes == 0);
    end_call(result, result);
}

/* bytes[0..headers): headers, of which the first l4 are those of IP; payload behind them. Fills bytes with what must be written. */
static void send_parts(uint8_t *bytes, size_t l4, size_t headers, size_t len, uint16_t gso_size, unsigned how)
{
    tuo_iov pieces[PIECES_MAX];
    tuo_caps caps;
    tuo_vnet_hdr vnet;
    uint8_t *ip_header = fuzz_copy(bytes, l4), *l4_header = fuzz_copy(bytes + l4, headers - l4);
    size_t count = cut(bytes + headers, len - headers, how, pieces);
    tuo_tun_parts parts = {ip_header, l4, l4_header, headers - l4, pieces, count, gso_size};
    memset(&caps, 0, sizeof caps);
    caps.ethernet = config.tap != 0;
    int good = ref_prepare(bytes, len, gso_size, &caps, &vnet);
    if (good) {
        pkt_view v = pkt_look(bytes, len, config.tap, 1);
        good = v.l4 == l4 && v.payload == headers && v.end - v.ip <= 65535;
    }
    if (good) {
        plan_single(bytes, len, &vnet);
        begin_call(SENDING);
        end_single(tuo_tun_send_gso(tun, &parts));
    } else {
        check_refused_parts(&parts);
    }
    free_pieces(pieces, count);
    free(ip_header);
    free(l4_header);
}

/* --- configure, wait, probe --- */

static void configure(const tuo_gro_desc *desc, int is_good)
{
    int refused = !nothing_held() || !is_good;
    begin_call(SENDING);
    tuo_result result = tuo_tun_configure(tun, desc);
    FUZZ_CHECK(result == (refused ? TUO_E_INVALID : TUO_OK) && writes == 0);
    if (!refused) {
        gro = *desc;
        memset(features, 0, sizeof features);
    }
    end_call(result, result);
}

static void wait_for_room(void)
{
    begin_call(WAITING);
    tuo_result result = tuo_tun_wait(tun, 1, 0);
    end_call(result, stopped);
}

static uint32_t most_segs(pkt_kind kind)
{
    const uint8_t *took = probe_took[kind];
    return took[2048] ? 128 : took[1024] ? 64 : took[32] ? 2 : 0;
}

static void probe(void)
{
    tuo_tun_probe_report r;
    memset(&r, 0xee, sizeof r);
    memset(probe_took, 0, sizeof probe_took);
    begin_call(SENDING);
    probing = 1;
    tuo_result result = tuo_tun_probe(tun, &r);
    probing = 0;
    if (config.vnet_len == 0 || config.tap) {
        FUZZ_CHECK(writes == 0);
        end_call(result, TUO_E_UNSUPPORTED);
        return;
    }
    end_writing();
    end_call(result, stopped);
    if (result == TUO_OK) {
        const uint8_t *t4 = probe_took[PKT_TCP4], *t6 = probe_took[PKT_TCP6];
        FUZZ_CHECK(r.tcp4 == (t4[32] && t4[31]) && r.tcp4_short_tail_refused == (t4[32] && !t4[31]));
        FUZZ_CHECK(r.tcp6 == (t6[32] && t6[31]) && r.tcp6_short_tail_refused == (t6[32] && !t6[31]));
        FUZZ_CHECK(r.udp4_segs == most_segs(PKT_UDP4) && r.udp6_segs == most_segs(PKT_UDP6));
    }
}

/* --------------------------------------------------------------------------------------------------------------- input */

/* Four bytes. */
static tuo_gro_desc read_gro(fuzz_input *in)
{
    static const uint32_t max_bytes[] = {0, 576, 1000, 65535}, max_segs[] = {0, 2, 3, 64}, max_frags[] = {0, 0, 2, 5};
    static const uint32_t max_packets[] = {0, 2, 5, 16}, max_flows[] = {0, 0, 1, 3}, max_items[] = {0, 1, 2, 16};
    unsigned switches = fuzz_u8(in), kinds = fuzz_u8(in), limits = fuzz_u8(in), capacity = fuzz_u8(in);
    tuo_gro_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.strict_kernel = switches & 1;
    desc.disable_prepend = switches >> 1 & 1;
    desc.ip_id = (tuo_ip_id)(switches >> 2 & 3);
    desc.trust_checksums = (switches & 0x30) == 0x30;
    desc.merge_zero_csum4 = (switches & 0x30) == 0x20;
    desc.udp_excluded_port_count = (switches & 0xc0) == 0xc0;
    desc.udp_excluded_ports[0] = 40001;
    desc.tcp_excluded_port_count = (switches & 0xe0) == 0xe0;
    desc.tcp_excluded_ports[0] = 40001;
    desc.ethernet = kinds & 1; /* the next three are not the user's to set */
    desc.no_vnet_hdr = kinds >> 1 & 1;
    desc.vnet_hdr_len = (kinds & 4) != 0 ? 12 : 0;
    desc.disable_tcp4 = (kinds & 0x18) == 0x18;
    desc.disable_tcp6 = (kinds & 0x28) == 0x28;
    desc.disable_udp4 = (kinds & 0x50) == 0x50;
    desc.disable_udp6 = (kinds & 0x90) == 0x90;
    desc.max_bytes = max_bytes[limits & 3];
    desc.max_segs = max_segs[limits >> 2 & 3];
    desc.max_udp_segs = max_segs[limits >> 4 & 3];
    desc.max_frags = max_frags[limits >> 6 & 3];
    desc.max_packets = max_packets[capacity & 3];
    desc.max_flows = max_flows[capacity >> 2 & 3];
    desc.max_items_per_flow = max_items[capacity >> 4 & 3];
    return desc;
}

static void read_config(fuzz_input *in)
{
    static const uint8_t layouts[] = {10, 12, 20, 24, 10, 0, 10, 11}; /* 0: no vnet header; the last one is none */
    static const uint8_t headrooms[] = {0, 10, 33, 64}, limits[] = {3, 1, 2, 5}, retries[] = {0, 1, 8, 30};
    static const int errors[] = {EINVAL, EPERM, EBUSY, ENOMEM};
    unsigned device = fuzz_u8(in), system = fuzz_u8(in), policy = fuzz_u8(in), fail = fuzz_u8(in);
    memset(&config, 0, sizeof config);
    config.vnet_len = layouts[device & 7];
    config.order = (tuo_order)((device >> 3 & 3) % 3);
    config.tap = device >> 5 & 1;
    config.blocking = device >> 6 & 1;
    config.fd_blocks = device >> 7 & 1;
    config.opens = system & 1;
    config.negotiates = system >> 1 & 1;
    config.knows_uso = (system & 4) == 0;
    config.features = (system & 0x08) != 0 ? 0 : TUO_TUN_CSUM | ((system & 0x10) != 0 ? 0u : TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN);
    config.features |= config.knows_uso ? TUO_TUN_USO : 0u;
    config.udp_segs_max = (system & 0x20) != 0 ? 128 : 64;
    config.short_tail_bug = system >> 6 & 1;
    config.closes_held = system >> 7 & 1;
    config.refusal_limit = limits[policy & 3];
    config.retry_after = retries[policy >> 2 & 3];
    config.headrooms[0] = headrooms[policy >> 4 & 3];
    config.headrooms[1] = headrooms[policy >> 5 & 3];
    config.drops_untaken = policy >> 6 & 1;
    config.own_ops = policy >> 7 & 1;
    config.fail_at = fail < 128 ? fail & 31 : 0;
    config.fail_errno = errors[fail >> 5 & 3];
    config.disabled = fail >= 128 ? fail & (TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO) : 0;
    config.holds_when_down = in->len >= 4 && (in->bytes[3] & 0x40) != 0; /* bits of the GRO configuration that are free */
    config.pushes_little = in->len >= 4 && (in->bytes[3] & 0x80) != 0;
    gro = read_gro(in);
}

/* What the packet of a template has that is not plain. */
enum { NEXT, GAP, AGAIN, PSH, SHORT, EMPTY, POKE, CUT, FLAGS, SAME_ID, VLAN, TRAILER, EXTENSION, ZERO_CSUM, TINY, NOTHING, WHAT_COUNT };

/* Packets of a batch: raw ones, and from a template of one of 16 flows. */
typedef struct record {
    const uint8_t *raw; /* NULL: from a template */
    size_t len;
    unsigned flow, what, arg, times;
    int is_large; /* only if it is pushed */
} record;

/* op < 32: 2 bytes of length and a raw packet; otherwise flow in the low bits, repeated op / 32 times, large if 16 is set; then what, and
   its argument. */
static record read_record(fuzz_input *in)
{
    record r = {NULL, 0, 0, NEXT, 0, 1, 0};
    unsigned op = fuzz_u8(in);
    if (op < 32) {
        size_t len = fuzz_u16(in) % RAW_MAX;
        r.len = len < in->len ? len : in->len;
        r.raw = in->bytes;
        in->bytes += r.len;
        in->len -= r.len;
    } else {
        r.flow = op % FLOWS;
        r.times = op / 32;
        r.is_large = op / 16 % 2;
        r.what = fuzz_u8(in) % WHAT_COUNT;
        r.arg = r.what == NEXT ? 0 : fuzz_u8(in);
    }
    return r;
}

/* One packet: raw, with or without a vnet header of its own; or a template with the vnet header that fits, or nearly. */
typedef struct one {
    int has_hdr;
    const uint8_t *hdr, *raw; /* ten bytes, native order; packet. NULL: from a template */
    size_t len;
    unsigned flow, payload_len, gso_size, what, arg;
} one;

static one read_one(fuzz_input *in, unsigned variant)
{
    one o;
    memset(&o, 0, sizeof o);
    if (variant < 2) {
        o.has_hdr = variant == 1;
        if (o.has_hdr && in->len >= 10) {
            o.hdr = in->bytes;
            in->bytes += 10;
            in->len -= 10;
        }
        size_t len = fuzz_u16(in) % RAW_MAX;
        o.len = len < in->len ? len : in->len;
        o.raw = in->bytes;
        in->bytes += o.len;
        in->len -= o.len;
        return o;
    }
    o.flow = fuzz_u8(in);
    o.payload_len = fuzz_u16(in);
    o.gso_size = fuzz_u16(in);
    o.what = fuzz_u8(in);
    o.arg = fuzz_u8(in);
    return o;
}

static struct flow {
    uint32_t seq;
    uint16_t id;
} flows[FLOWS];

static const uint8_t timestamps[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

static pkt_spec spec_of_flow(unsigned flow)
{
    pkt_spec s;
    memset(&s, 0, sizeof s);
    s.kind = (pkt_kind)(flow % 4);
    s.src_port = 40000 + (int32_t)(flow >> 2 & 1);
    s.src = (uint16_t)(flow >> 3 & 1);
    s.ethernet = (uint8_t)config.tap;
    s.seq = flows[flow % FLOWS].seq;
    s.ip_id = flows[flow % FLOWS].id;
    if (flow % 8 >= 4) {
        s.tcp_options = timestamps;
        s.tcp_options_len = sizeof timestamps;
    }
    return s;
}

static void vary(pkt_spec *s, unsigned what, unsigned arg)
{
    switch (what) {
    case GAP: s->seq += arg + 1; break;
    case AGAIN: s->seq -= arg + 1; break;
    case PSH: s->tcp_flags = PKT_ACK | PKT_PSH; break;
    case SHORT: s->payload_len = (int32_t)(arg % 100) + 1; break;
    case EMPTY: s->payload_len = PKT_ZERO; break;
    case FLAGS: s->tcp_flags = arg == 0 ? PKT_ACK : (int32_t)arg; break;
    case SAME_ID: s->ip_id = (uint16_t)(s->ip_id - 1); break;
    case VLAN: s->vlan_count = config.tap ? (uint8_t)(arg % 5) : 0; break;
    case TRAILER: s->trailer_len = (uint16_t)(arg + 1); break;
    case EXTENSION: s->ext_chain = (arg & 1) != 0 ? "HD" : (arg & 2) != 0 ? "F" : (arg & 4) != 0 ? "r" : "D"; break;
    case ZERO_CSUM: s->l4_csum_zero = 1; break;
    case TINY: s->payload_len = (int32_t)(arg % 9) + 1; break;
    default: break;
    }
}

static void add_packet(const uint8_t *bytes, size_t len)
{
    packet *p = &packets[packet_count++];
    memset(p, 0, sizeof *p);
    p->original = fuzz_copy(bytes, len);
    p->len = len;
    p->view = pkt_look(bytes, len, config.tap, 0);
}

static void add_template(const record *r)
{
    static uint8_t bytes[65535 + 64];
    pkt_spec s = spec_of_flow(r->flow);
    vary(&s, r->what, r->arg);
    if (r->is_large && budget >= 60000 / 4) {
        s.payload_len = (int32_t)(budget < 9000 + r->arg * 200 ? budget : 9000 + r->arg * 200);
        budget -= (size_t)s.payload_len / 4; /* cheaper than superpackets: nothing is split */
    }
    size_t len = pkt_build(bytes, sizeof bytes, &s);
    FUZZ_CHECK(len > 0);
    if (r->what != AGAIN) {
        flows[r->flow].seq = s.seq + (uint32_t)pkt_payload_len(&s);
    }
    flows[r->flow].id = (uint16_t)(s.ip_id + 1);
    if (r->what == POKE) {
        bytes[r->arg % (len < 80 ? len : 80)] ^= (uint8_t)(r->arg * 7 | 1);
    }
    add_packet(bytes, r->what == NOTHING ? 0 : r->what == CUT ? r->arg % len : len);
}

static void add_record(const record *r)
{
    for (unsigned i = 0; i < r->times && packet_count < PACKETS_MAX; i++) {
        if (r->raw != NULL) {
            add_packet(r->raw, r->len);
        } else {
            add_template(r);
        }
    }
}

/* Three bytes: which of the held buffers, and how many in a row; what they are to hold; an argument. */
static void change_held(fuzz_input *in)
{
    static uint8_t bytes[65535 + 64];
    unsigned which = fuzz_u8(in), what = fuzz_u8(in), arg = fuzz_u8(in);
    for (unsigned i = 0; i <= which / 64 && nth_held(which + i) != NULL && retired_count < PACKETS_MAX; i++) {
        packet *p = nth_held(which + i);
        const packet *other = &packets[(arg + i) % packet_count];
        pkt_spec s = spec_of_flow(arg % FLOWS);
        size_t len = p->len;
        memcpy(bytes, p->original, len);
        switch (what & 7) {
        case 0: case 1:
            len = other->len;
            memcpy(bytes, other->original, len);
            break;
        case 2: bytes[len > 0 ? arg % len : 0] ^= (uint8_t)(what >> 4 | 1); break;
        case 3: len = arg % 64 < len ? len - arg % 64 : 0; break;
        case 4: /* another payload, with the checksum of it */
            bytes[len > 0 ? len - 1 : 0] ^= (uint8_t)(arg | 1);
            pkt_fix_checksums(bytes, len, config.tap);
            break;
        case 5:
            len = pkt_build(bytes, 1024, &s);
            flows[arg % FLOWS].seq = s.seq + (uint32_t)pkt_payload_len(&s);
            break;
        case 6:
            memset(bytes + len, 0, 32);
            len += len <= 65535 ? arg % 32 : 0;
            break;
        default: memset(bytes, 0xa5, len); break;
        }
        put_bytes(p, bytes, len, (what & 8) != 0);
        if (len == 0) { /* not even the headroom */
            p->buf->len -= p->headroom < arg % 4 ? p->headroom : arg % 4;
            p->as_left = *p->buf;
        }
    }
}

static void run_inject(unsigned how)
{
    static const uint8_t junk[5] = {0};
    uint8_t bytes[1024];
    pkt_spec s = spec_of_flow(how % FLOWS);
    if (how / FLOWS % 2 == 0) {
        inject(bytes, pkt_build(bytes, sizeof bytes, &s));
    } else {
        inject(junk, how % 5);
    }
}

/* Longer than any packet: refused before anything is looked at. */
static void push_too_long(void)
{
    static const uint8_t junk[32775];
    tuo_iov iov[3] = {{junk, sizeof junk}, {junk, 1}, {junk, sizeof junk}};
    begin_call(SENDING);
    tuo_result result = tuo_tun_push_iov(tun, iov, 3);
    FUZZ_CHECK(asked == 0);
    end_call(result, TUO_E_INVALID);
}

/* A superpacket in bytes, with any checksums. Returns its length. */
static size_t build_large(uint8_t *bytes, size_t cap, const one *o, size_t *l4, size_t *payload)
{
    size_t payload_len = o->payload_len < budget ? o->payload_len : budget;
    pkt_spec s = spec_of_flow(o->flow);
    budget -= payload_len;
    if (o->what % 4 == 1) {
        s.ext_chain = (o->arg & 1) != 0 ? "D" : "HD";
    } else if (o->what % 4 == 2) {
        s.tcp_flags = PKT_ACK | PKT_PSH | PKT_CWR | (int32_t)(o->arg & PKT_FIN);
        s.vlan_count = config.tap ? (uint8_t)(o->arg >> 1 & 3) : 0;
    } else if (o->what % 8 == 3) {
        s.trailer_len = (uint16_t)(o->arg / 2);
    }
    s.payload_len = payload_len > 0 ? (int32_t)payload_len : PKT_ZERO;
    *l4 = pkt_l4_off(&s);
    *payload = pkt_payload_off(&s);
    return pkt_build(bytes, cap, &s);
}

/* Not so small that there would be too many segments. */
static uint16_t gso_size_of(const one *o)
{
    unsigned least = o->payload_len / SEGS_MAX;
    return (uint16_t)(o->gso_size > least || o->gso_size == 0 ? o->gso_size : least + 1);
}

static uint8_t large[WIRE_MAX];

/* The vnet header that fits, then perhaps one field of it another one. */
static void send_large(const one *o, unsigned how)
{
    tuo_caps caps;
    tuo_vnet_hdr vnet;
    size_t l4, payload, len = build_large(large, sizeof large, o, &l4, &payload);
    memset(&caps, 0, sizeof caps);
    caps.ethernet = config.tap != 0;
    if (!ref_prepare(large, len, gso_size_of(o), &caps, &vnet)) {
        memset(&vnet, 0, sizeof vnet);
    }
    switch (o->what >> 3 & 15) {
    case 1: vnet.flags = (uint8_t)(o->arg & 3); break;
    case 2: vnet.gso_type = (uint8_t)(o->arg & 0xe7); break;
    case 3: vnet.hdr_len = (uint16_t)(o->arg * 3); break;
    case 4: vnet.csum_start = (uint16_t)o->arg; break;
    case 5: vnet.csum_offset = (uint16_t)o->arg; break;
    case 6: vnet.gso_type = (uint8_t)(vnet.gso_type | TUO_GSO_ECN); break;
    case 7: vnet.gso_size = (uint16_t)(o->arg == 0 ? 0 : o->arg == 255 ? 65535 : vnet.gso_size + o->arg); break;
    default: break;
    }
    send_single(large, len, &vnet, how);
}

static void run_one(fuzz_input *in, unsigned variant, unsigned how)
{
    tuo_vnet_hdr vnet;
    one o = read_one(in, variant);
    if (o.raw == NULL) {
        send_large(&o, how);
        return;
    }
    if (o.hdr != NULL) {
        FUZZ_CHECK(tuo_vnet_decode(o.hdr, 10, 10, TUO_ORDER_NATIVE, &vnet) == TUO_OK);
        vnet.gso_size = (uint16_t)(vnet.gso_size == 0 || vnet.gso_size > o.len / SEGS_MAX ? vnet.gso_size : o.len / SEGS_MAX + 1);
    }
    send_single(o.raw, o.len, o.hdr != NULL ? &vnet : NULL, how);
}

static void run_parts(fuzz_input *in, unsigned how)
{
    one o = read_one(in, 2);
    size_t l4, payload, len = build_large(large, sizeof large, &o, &l4, &payload);
    if (o.what >= 0xe0) {
        large[o.arg % payload] ^= (uint8_t)(o.what << 3 | 1);
    } else if (o.what >= 0xc0 && payload + 2 * (size_t)o.arg <= len) { /* cut where no header ends */
        payload += (o.what & 4) != 0 ? 2 * (size_t)o.arg : 0;
        l4 = (o.what & 8) != 0 ? l4 : 2 * (size_t)o.arg % (payload + 1);
    }
    send_parts(large, l4, payload, len, gso_size_of(&o), how);
}

static void run_configure(fuzz_input *in)
{
    tuo_gro_desc desc = read_gro(in);
    unsigned bad = fuzz_u8(in);
    desc.max_packets = (bad & 8) != 0 ? gro.max_packets : 0; /* the same or 0 */
    desc.max_flows = (bad & 8) != 0 ? gro.max_flows : 0;
    if ((bad & 7) == 1) {
        desc.max_udp_segs = 129;
    } else if ((bad & 7) == 2) {
        desc.max_packets = ref_default(gro.max_packets, 256) == 7 ? 8 : 7;
    } else if ((bad & 7) == 3) {
        desc.ip_id = (tuo_ip_id)4;
    }
    tuo_gro_desc before = gro;
    configure(&desc, (bad & 7) == 0 || (bad & 7) > 3);
    gro.max_packets = before.max_packets; /* as they were at first */
    gro.max_flows = before.max_flows;
}

/* Low three bits: what; the others: how. */
static void run_step(fuzz_input *in)
{
    unsigned op = fuzz_u8(in), how = op >> 3;
    int pushes = (op & 7) == 1 && (how & 8) != 0;
    switch (op & 7) {
    case 0: case 1:
        for (unsigned i = 0; i <= how % 8 && in->len > 0; i++) {
            record r = read_record(in);
            r.is_large &= pushes;
            add_record(&r);
        }
        if (pushes) {
            push_packets(how >> 4);
        } else {
            send_batch();
        }
        break;
    case 2: case 3:
        for (unsigned i = 0; i <= how % 8; i++) {
            uint8_t what = fuzz_u8(in);
            if (reaction_count < REACTIONS_MAX) {
                reactions[reaction_count++] = what;
            }
        }
        break;
    case 4: run_one(in, how & 3, how >> 2 | (how & 1) << 3); break;
    case 5: run_parts(in, how); break;
    case 6:
        switch (how & 3) {
        case 0: case 1: run_configure(in); break;
        case 2:
            if (how < 8) {
                wait_for_room();
            } else {
                run_inject(fuzz_u8(in));
            }
            break;
        default: probe(); break;
        }
        break;
    default:
        switch (how & 3) {
        case 1:
            if ((how & 4) != 0) {
                change_held(in);
            } else if ((how & 8) != 0) {
                push_too_long();
            } else {
                flush();
            }
            break;
        case 2: ((how & 4) != 0 ? tuo_tun_wake : tuo_tun_wake_clear)(tun); break;
        case 3: discard(how >> 2 & 1); break;
        default: flush(); break;
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- opening and closing */

/* Without those that need others (K 2.5). */
static unsigned consistent(unsigned set)
{
    set &= (set & (TUO_TUN_TSO4 | TUO_TUN_TSO6)) != 0 ? ~0u : ~(unsigned)TUO_TUN_TSO_ECN;
    return set & ((set & TUO_TUN_USO) == TUO_TUN_USO ? ~0u : ~(unsigned)TUO_TUN_USO);
}

static void check_negotiated(int plain_adoption)
{
    tuo_caps caps;
    size_t vnet_len = (kernel.flags & IFF_VNET_HDR) != 0 ? (size_t)kernel.vnet_len : 0;
    tuo_tun_caps(tun, &caps);
    FUZZ_CHECK(tun_info_of(tun).vnet_hdr_len == vnet_len && tuo_tun_fd(tun) == kernel.tun_fd);
    FUZZ_CHECK(tun_info_of(tun).offloads == (plain_adoption ? 0 : kernel.offloads) && (kernel.offloads & config.disabled) == 0);
    FUZZ_CHECK((caps.ethernet != 0) == config.tap && (caps.max_tcp4 != 0) == (vnet_len != 0));
    if (config.fail_at == 0) {
        unsigned most = config.features & ~config.disabled;
        int takes_csum = vnet_len != 0 && !plain_adoption && (most & TUO_TUN_CSUM) != 0;
        FUZZ_CHECK(plain_adoption || kernel.offloads == 0 || takes_csum);
        FUZZ_CHECK(!takes_csum || (kernel.offloads & TUO_TUN_CSUM) != 0);
        FUZZ_CHECK(!takes_csum || (config.features & TUO_TUN_TSO4) == 0 || kernel.offloads == consistent(most));
        FUZZ_CHECK((caps.max_udp4 != 0) == (vnet_len != 0 && (plain_adoption || kernel.took_uso)));
    }
    knows_uso = caps.max_udp4 != 0;
    config.vnet_len = vnet_len;
}

static tuo_result create(const tuo_tun_desc *desc, int *error)
{
    if (config.opens) {
        return tuo_tun_open(&tun, desc, error);
    }
    kernel.tun_fd = eventfd(0, config.fd_blocks ? 0 : EFD_NONBLOCK);
    kernel.flags = (config.tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (config.vnet_len > 0 ? IFF_VNET_HDR : 0);
    FUZZ_CHECK(kernel.tun_fd >= 0);
    return tuo_tun_adopt(&tun, kernel.tun_fd, desc, error);
}

/* 0: it failed, and had to. */
static int open_tun(void)
{
    tuo_tun_desc desc;
    int error = 0;
    memset(&kernel, 0, sizeof kernel);
    kernel.tun_fd = -1;
    memset(&desc, 0, sizeof desc);
    kernel.vnet_len = (int)config.vnet_len;
    desc.tap = (uint8_t)config.tap;
    desc.blocking = (uint8_t)config.blocking;
    desc.disable_offloads = config.disabled;
    desc.adopt_negotiate = (uint8_t)config.negotiates;
    desc.refusal_limit = config.refusal_limit == 3 ? 0 : config.refusal_limit;
    desc.retry_after = config.retry_after;
    desc.no_vnet_hdr = config.vnet_len == 0 && config.negotiates;
    desc.gro = gro;
    desc.gro.hash_seed = 1; /* not another one in each run */
    desc.hold_when_down = (uint8_t)config.holds_when_down;
    desc.push_bytes = config.pushes_little ? 70000 : 0;
    if (config.opens && config.negotiates) {
        desc.name = "tun%d";
        desc.set_owner = desc.set_group = desc.persist = desc.up = 1;
        desc.owner = desc.group = 1;
        desc.mtu = 1400;
        desc.address4 = "192.0.2.1/24";
        desc.address6 = "2001:db8::1/64";
    }
    config.retry_after = config.retry_after == 0 ? 100000 : config.retry_after;
    tuo_result result = create(&desc, &error);
    if (result == TUO_OK) {
        check_negotiated(!config.opens && !config.negotiates);
        config.fail_at = 0;
        return 1;
    }
    FUZZ_CHECK(tun == NULL && (result == TUO_E_SYSTEM || result == TUO_E_UNSUPPORTED));
    FUZZ_CHECK(config.fail_at != 0 || (config.vnet_len == 11 && !config.opens && !config.negotiates && result == TUO_E_UNSUPPORTED));
    FUZZ_CHECK(result == TUO_E_UNSUPPORTED || error == config.fail_errno);
    FUZZ_CHECK(config.opens || close(kernel.tun_fd) == 0); /* still ours */
    return 0;
}

/* Which descriptors are open, of the first ones: the same before and after. */
static unsigned open_fds(void)
{
    unsigned set = 0;
    for (int fd = 0; fd < 16; fd++) {
        set |= fcntl(fd, F_GETFD) >= 0 ? 1u << fd : 0;
    }
    return set;
}

/* Must these two of one batch leave in the order in which they came? UDP of one flow must, TCP if the later one does not precede, and what is no candidate with what is of its
   flow; if it hides its ports, with all between its two addresses. */
static int ordered(const ref_batch *t, size_t a, size_t b)
{
    static const ref_options plain;
    tuo_verdict va = ref_classify(&plain, t->pkts[a].bytes, t->pkts[a].len, &t->views[a]);
    tuo_verdict vb = ref_classify(&plain, t->pkts[b].bytes, t->pkts[b].len, &t->views[b]);
    if (va == TUO_V_IP_FRAGMENT || va == TUO_V_IP6_EXT || va == TUO_V_TCP_HEADER || vb == TUO_V_IP_FRAGMENT || vb == TUO_V_IP6_EXT ||
        vb == TUO_V_TCP_HEADER) {
        return ref_same_pair(t, a, b);
    }
    if (!pkt_has_l4(&t->views[a]) || !pkt_has_l4(&t->views[b]) || !ref_same_flow(t, a, b)) {
        return 0;
    }
    if (va != TUO_V_HELD || vb != TUO_V_HELD || t->views[a].proto == PKT_PROTO_UDP) {
        return 1;
    }
    return ref_seq(t, a) - ref_seq_end(t, b) >= 0x80010000u; /* an item reaches 65535 bytes from where it was compared */
}

static void check_order(void)
{
    static ref_pkt pkts[PACKETS_MAX];
    static pkt_view views[PACKETS_MAX];
    ref_batch t;
    memset(&t, 0, sizeof t);
    t.pkts = pkts;
    t.views = views;
    for (size_t i = 0; i < packet_count; i++) {
        pkts[i].bytes = packets[i].original;
        pkts[i].len = packets[i].len;
        views[i] = packets[i].view;
    }
    for (size_t i = 0; i < packet_count; i++) {
        for (size_t j = i + 1; j < packet_count; j++) {
            const packet *p = &packets[i], *q = &packets[j];
            if ((p->state == WIRED || p->state == LOST) && (q->state == WIRED || q->state == LOST) && p->len > 0 && q->len > 0 &&
                p->rank > q->rank) {
                /* what is put into held buffers leaves in the order of the packets that were in them */
                FUZZ_CHECK(p->is_changed || q->is_changed || (p->batch == q->batch && !ordered(&t, i, j)));
            }
        }
    }
}

/* Without any more trouble everything goes out. */
static void finish(void)
{
    reaction_count = 0;
    tuo_tun_wake_clear(tun);
    if (!config.closes_held) {
        flush();
        FUZZ_CHECK(nothing_held());
    }
    check_order();
    tuo_tun_close(tun);
    tun = NULL;
    for (size_t i = 0; i < packet_count; i++) {
        free_buf(&packets[i]);
        free(packets[i].original);
    }
    free_single(&held_single);
}

static void reset(void)
{
    packet_count = last_first = ranks = 0;
    batches = 0;
    reaction_count = reaction_at = 0;
    budget = BUDGET;
    saw_super = saw_fault = 0;
    calling = NOTHING_CALLED;
    first_again = PACKETS_MAX;
    pushed_count = pushed_bytes = 0;
    push_failed = TUO_OK;
    is_stuck = 0;
    memset(&unit, 0, sizeof unit);
    memset(features, 0, sizeof features);
    memset(&want, 0, sizeof want);
    for (unsigned i = 0; i < FLOWS; i++) {
        flows[i].seq = 0xffffff00u + i * 7;
        flows[i].id = (uint16_t)(0xfff8 + i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    unsigned fds = open_fds();
    reset();
    read_config(&in);
    if (open_tun()) {
        for (unsigned steps = 0; in.len > 0 && steps < STEPS_MAX; steps++) {
            run_step(&in);
        }
        finish();
        fuzz_deep += saw_super && saw_fault;
    }
    FUZZ_CHECK(open_fds() == fds);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

static uint8_t *writable(uint8_t *data, size_t size, const fuzz_input *in, const uint8_t *p)
{
    return data + (size - in->len) - (size_t)(in->bytes - p);
}

static void repair_one(uint8_t *data, size_t size, fuzz_input *in, unsigned variant, rng *dice)
{
    one o = read_one(in, variant);
    if (o.raw != NULL) {
        uint8_t *pkt = writable(data, size, in, o.raw);
        repair_packet(pkt, o.len, config.tap, dice);
        if (o.hdr != NULL) {
            repair_vnet(writable(data, size, in, o.hdr), pkt, o.len, config.tap, 0, dice);
        }
    }
}

/* Goes through the steps as run_step does. */
static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    fuzz_input in = {data, size};
    read_config(&in);
    while (in.len > 0) {
        unsigned op = fuzz_u8(&in), how = op >> 3;
        switch (op & 7) {
        case 0: case 1:
            for (unsigned i = 0; i <= how % 8 && in.len > 0; i++) {
                record r = read_record(&in);
                if (r.raw != NULL) {
                    repair_packet(writable(data, size, &in, r.raw), r.len, config.tap, dice);
                }
            }
            break;
        case 2: case 3:
            for (unsigned i = 0; i <= how % 8; i++) {
                (void)fuzz_u8(&in);
            }
            break;
        case 4: repair_one(data, size, &in, how & 3, dice); break;
        case 5: (void)read_one(&in, 2); break;
        case 6:
            for (unsigned i = 0; i < ((how & 3) < 2 ? 5u : (how & 3) == 2 && how >= 8 ? 1u : 0u); i++) {
                (void)fuzz_u8(&in);
            }
            break;
        case 7:
            for (unsigned i = 0; i < 3 && (how & 7) == 5; i++) {
                (void)fuzz_u8(&in);
            }
            break;
        default: break;
        }
    }
}
#endif

#else /* the backend is for Linux */

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data, (void)size;
    return 0;
}

#endif
