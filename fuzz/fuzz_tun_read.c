/* fuzz_tun_read.c - what a TUN device could hand to a program: frames with vnet headers, and errors in between.
   Input     2 bytes of configuration (see read_config), 1 byte of length of a netlink reply and that reply, then steps: 1 byte of what
             happens; for a frame 2 bytes of length, 2 of payload to add, and the bytes: vnet header, then packet. The high bits of the
             steps also say which of its verbs the event loop uses.
   Asserts   the core, by way of decode, check and tuo_gso_init, splits what it takes into what the naive splitter of the tests makes
             of it: by iterator, in place, and into few and small buffers with resuming; the ladder, for a device without offloads and
             for a TUN device, puts the same on the wire. On Linux the backend, whose system calls are stood in for here, hands out
             exactly these segments in order, whatever buffers and errors come in between, and tuo_tun_recv hands out the frames as they
             are; lost are only packets that are refused or do not fit, and the counters say how many. tuo_tun_next and tuo_tun_next_copy
             do the same in any mixture, with buffers of any size, whatever the caller writes over each packet; TUO_AGAIN means that the
             device was empty, TUO_MORE that a round is over, and neither leaves anything that tuo_tun_pending must tell of. */
#define FAKE_READV
#include "fake_tun.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/reference.h"
#include "../tests/lib/tun_facts.h"
#include "../tests/lib/tunnels.h"

enum {
    FRAMES_MAX = 16, STEPS_MAX = 48, BUFS = 6, HEADROOM = 16,
    PACKET_MAX = 65535 + 64, /* what the backend takes */
    SEGS_MAX = 300,          /* added payload stays below so many segments: inputs must not be slow */
    STEP_ERROR = 6, STEP_EMPTY = 7, STEP_EXTRA = 8, STEP_CONSISTENT = 16 /* first byte of a step; below 6: a frame */
};

/* A frame as a device hands it out, and what is to come of it. */
typedef struct frame {
    uint8_t *bytes; /* vnet header and packet */
    size_t len;     /* of both */
    uint8_t *pkt;   /* the packet alone, in memory of exactly its size; NULL: there is none */
    size_t pkt_len;
    tuo_vnet_hdr vnet;
    int taken;      /* by tuo_gso_init */
    ref_list wire;  /* segments, if taken */
} frame;

typedef struct step {
    unsigned what;
    int error;
    const frame *frame;
} step;

static step steps[STEPS_MAX];
static frame frames[FRAMES_MAX];
static size_t step_count, frame_count;
static size_t vnet_len;
static tuo_order order;
static unsigned frame_flags, buffers, is_blocking;
static uint32_t round_packets, verbs; /* of an event loop: length of its rounds; what it calls */

/* ------------------------------------------------------------------------------------------------------------------ input */

static void read_config(fuzz_input *in)
{
    static const size_t layouts[] = {10, 12, 20, 24, 10, 0, 11, 25}; /* 0: no vnet header; the last two are none */
    unsigned config = fuzz_u8(in);
    vnet_len = layouts[config & 7];
    order = (tuo_order)((config >> 3 & 3) % 3);
    frame_flags = (config & 0x20) != 0 ? TUO_F_ETHERNET : 0;
    is_blocking = config >> 6 & 1;
    buffers = fuzz_u8(in);
    round_packets = (config & 0x80) != 0 ? 1 + buffers % 7 : 0;
    verbs = buffers;
}

static int layout_exists(void)
{
    return vnet_len != 11 && vnet_len != 25;
}

/* The packet becomes one in a tunnel: with the longest vnet header, every other one. */
static void wrap(frame *f, unsigned how, tuo_vnet_hdr *fitting)
{
    size_t len = f->len - vnet_len;
    uint8_t *pkt = fuzz_copy(f->bytes + vnet_len, len);
    if (tunnel_wrap_any(&pkt, &len, frame_flags != 0, frame_flags != 0, how, fitting)) {
        free(f->bytes);
        f->bytes = malloc(vnet_len + len);
        FUZZ_CHECK(f->bytes != NULL);
        memcpy(f->bytes + vnet_len, pkt, len);
        f->len = vnet_len + len;
    }
    free(pkt);
}

/* Lengths, checksums and vnet header that fit the packet: gets past the checks. */
static void make_consistent(frame *f, uint16_t gso_size)
{
    tuo_vnet_hdr fitting;
    tuo_result result = tuo_coalesce_account(f->bytes + vnet_len, f->len - vnet_len, gso_size, frame_flags, &fitting);
    if (result == TUO_OK && vnet_len > 0) {
        if (vnet_len == TUO_VNET_LEN_TUNNEL && gso_size % 2) {
            wrap(f, gso_size * 31u, &fitting);
        }
        FUZZ_CHECK(tuo_vnet_encode(&fitting, vnet_len, order, f->bytes, vnet_len) == TUO_OK);
    }
}

static void read_frame(fuzz_input *in, unsigned what, frame *f)
{
    size_t len = fuzz_u16(in), extra = fuzz_u16(in);
    uint16_t gso_size = (uint16_t)(extra / 7 % 1500 + 1);
    len = len < in->len ? len : in->len;
    extra = (what & STEP_EXTRA) == 0 ? 0 : extra < (size_t)gso_size * SEGS_MAX ? extra : (size_t)gso_size * SEGS_MAX;
    memset(f, 0, sizeof *f);
    f->len = len + extra;
    f->bytes = malloc(f->len + 1);
    FUZZ_CHECK(f->bytes != NULL);
    if (len > 0) {
        memcpy(f->bytes, in->bytes, len);
    }
    in->bytes += len;
    in->len -= len;
    for (size_t i = len; i < f->len; i++) {
        f->bytes[i] = (uint8_t)(i * 5 + i / 256);
    }
    if (!layout_exists() || f->len <= vnet_len) {
        return;
    }
    if ((what & STEP_CONSISTENT) != 0) {
        make_consistent(f, gso_size);
    }
    f->pkt_len = f->len - vnet_len;
    f->pkt = fuzz_copy(f->bytes + vnet_len, f->pkt_len);
    FUZZ_CHECK(vnet_len == 0 || tuo_vnet_decode(f->bytes, f->len, vnet_len, order, &f->vnet) == TUO_OK);
}

static void read_steps(fuzz_input *in)
{
    step_count = frame_count = 0;
    while (in->len > 0 && step_count < STEPS_MAX && frame_count < FRAMES_MAX) {
        step *s = &steps[step_count++];
        unsigned what = fuzz_u8(in);
        s->what = (what & 7) < STEP_ERROR ? 0 : what & 7;
        s->error = (int)(what >> 3);
        s->frame = NULL;
        verbs = verbs * 31 + what / 32;
        if (s->what == 0) {
            s->frame = &frames[frame_count++];
            read_frame(in, what, &frames[frame_count - 1]);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------- core */

static void check_is(const ref_list *wire, size_t i, const uint8_t *bytes, size_t len)
{
    FUZZ_CHECK(i < wire->count && len == wire->len[i] && (len == 0 || memcmp(bytes, wire->bytes[i], len) == 0));
}

/* One packet out of its pieces. Returns its length. */
static size_t gather(const tuo_iov *iov, size_t iov_count, uint8_t *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < iov_count; i++) {
        FUZZ_CHECK(iov[i].len <= cap - len);
        if (iov[i].len > 0) {
            memcpy(out + len, iov[i].base, iov[i].len);
        }
        len += iov[i].len;
    }
    return len;
}

static uint8_t gathered[TUO_HEADER_MAX + 2 * PACKET_MAX];

/* Who finishes a checksum without knowing the protocol (tuo_csum_complete, Linux, virtio) writes 0 as 0xffff; TCP has both. */
static void normalise_checksum(const ref_list *wire, size_t i, uint8_t *bytes, const tuo_vnet_hdr *vnet)
{
    size_t field = (size_t)vnet->csum_start + vnet->csum_offset;
    if (vnet->gso_type == TUO_GSO_NONE && (vnet->flags & TUO_VNET_NEEDS_CSUM) != 0 && vnet->csum_offset == 16 && i < wire->count &&
        field + 2 <= wire->len[i] && pkt_get16(wire->bytes[i] + field) == 0 && pkt_get16(bytes + field) == 0xffff) {
        pkt_put16(bytes + field, 0);
    }
}

/* The segments of one packet must be those of the wire from *at on. */
static void check_iterated(const ref_list *wire, size_t *at, const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet, unsigned flags)
{
    tuo_gso gso;
    tuo_segment segment;
    FUZZ_CHECK(tuo_gso_init(&gso, pkt, len, vnet, flags) == TUO_OK);
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        size_t segment_len = gather(segment.iov, segment.iov_count, gathered, sizeof gathered);
        FUZZ_CHECK(segment_len == segment.len);
        normalise_checksum(wire, *at, gathered, vnet);
        check_is(wire, (*at)++, gathered, segment_len);
    }
}

static void check_in_place(const frame *f)
{
    uint8_t *pkt = fuzz_copy(f->pkt, f->pkt_len);
    tuo_gso gso;
    tuo_buf segment;
    size_t at = 0;
    FUZZ_CHECK(tuo_gso_init(&gso, pkt, f->pkt_len, &f->vnet, frame_flags | TUO_F_STRIP_JUMBO) == TUO_OK);
    for (; tuo_gso_next_in_place(&gso, pkt, &segment) == TUO_OK; at++) {
        check_is(&f->wire, at, segment.data, segment.len);
    }
    FUZZ_CHECK(at == f->wire.count);
    free(pkt);
}

/* Buffers of exact size. Now and then one is too small for the longest segment; the time after that it is not. */
typedef struct buffer_set {
    tuo_buf bufs[BUFS];
    void *handles[BUFS];
    size_t cap, count;
    unsigned attempts;
} buffer_set;

static void open_buffers(buffer_set *set, size_t longest)
{
    set->cap = HEADROOM + longest;
    set->count = 1 + buffers % BUFS;
    set->attempts = 0;
    for (size_t i = 0; i < BUFS; i++) {
        set->bufs[i].data = malloc(set->cap);
        FUZZ_CHECK(set->bufs[i].data != NULL);
        set->handles[i] = &set->bufs[i];
    }
}

static void renew_buffers(buffer_set *set)
{
    for (size_t i = 0; i < BUFS; i++) {
        int tight = (buffers & 0x40) != 0 && set->attempts % 2 == 0 && i == buffers / 8 % BUFS;
        memset(set->bufs[i].data, 0xee, set->cap < 64 ? set->cap : 64);
        set->bufs[i].len = 0;
        set->bufs[i].capacity = tight ? HEADROOM + 40 : set->cap;
    }
    set->attempts++;
}

static void close_buffers(buffer_set *set)
{
    for (size_t i = 0; i < BUFS; i++) {
        free(set->bufs[i].data);
    }
}

static const uint8_t *buffered(const buffer_set *set, size_t i, size_t *len)
{
    const tuo_buf *b = &set->bufs[i];
    FUZZ_CHECK(b->len >= HEADROOM && b->data[0] == 0xee && b->data[HEADROOM - 1] == 0xee);
    *len = b->len - HEADROOM;
    return b->data + HEADROOM;
}

static size_t longest_of(const ref_list *wire)
{
    size_t longest = 64;
    for (size_t i = 0; i < wire->count; i++) {
        longest = wire->len[i] > longest ? wire->len[i] : longest;
    }
    return longest;
}

static void check_copied(const frame *f)
{
    buffer_set set;
    tuo_gso gso;
    tuo_result result;
    size_t at = 0, written, len;
    open_buffers(&set, longest_of(&f->wire));
    FUZZ_CHECK(tuo_gso_init(&gso, f->pkt, f->pkt_len, &f->vnet, frame_flags | TUO_F_STRIP_JUMBO) == TUO_OK);
    do {
        renew_buffers(&set);
        result = tuo_gso_split(&gso, NULL, set.handles, set.count, HEADROOM, &written);
        FUZZ_CHECK(result == TUO_OK || result == TUO_MORE || (result == TUO_E_NOSPACE && set.attempts % 2 == 1));
        for (size_t i = 0; i < written; i++) {
            const uint8_t *bytes = buffered(&set, i, &len);
            check_is(&f->wire, at++, bytes, len);
        }
    } while (result != TUO_OK);
    FUZZ_CHECK(at == f->wire.count);
    close_buffers(&set);
}

/* What a device makes of what the ladder hands out to it. */
static void check_ladder(const frame *f, const tuo_caps *caps)
{
    static uint8_t sent[sizeof gathered];
    tuo_tx tx;
    tuo_tx_packet packet;
    size_t at = 0, count = 0;
    FUZZ_CHECK(tuo_tx_init(&tx, caps, f->pkt, f->pkt_len, &f->vnet, TUO_F_STRIP_JUMBO) == TUO_OK);
    for (; tuo_tx_next(&tx, NULL, &packet) == TUO_OK; count++) {
        size_t len = gather(packet.iov, packet.iov_count, sent, sizeof sent);
        FUZZ_CHECK(len == packet.len && count < f->wire.count);
        FUZZ_CHECK(caps->tx_csum_any || (packet.vnet.flags == 0 && packet.vnet.gso_type == 0));
        check_iterated(&f->wire, &at, sent, len, &packet.vnet, frame_flags);
    }
    FUZZ_CHECK(at == f->wire.count && tuo_tx_remaining(&tx) == 0);
}

static void check_core(frame *f)
{
    tuo_caps caps;
    tuo_gso gso;
    size_t at = 0;
    tuo_result checked = tuo_vnet_check(&f->vnet, f->pkt, f->pkt_len, frame_flags);
    tuo_result planned = tuo_gso_init(&gso, f->pkt, f->pkt_len, &f->vnet, frame_flags | TUO_F_STRIP_JUMBO);
    tuo_tx tx;
    memset(&caps, 0, sizeof caps);
    caps.ethernet = frame_flags != 0;
    FUZZ_CHECK(checked == TUO_OK || planned == checked);
    if (planned != TUO_OK) {
        FUZZ_CHECK(tuo_tx_init(&tx, &caps, f->pkt, f->pkt_len, &f->vnet, TUO_F_STRIP_JUMBO) == planned);
        return;
    }
    f->taken = 1;
    f->wire = ref_wire_stripped(f->pkt, f->pkt_len, frame_flags != 0, &f->vnet); /* as the backend does */
    FUZZ_CHECK(tuo_gso_count(&gso) == f->wire.count);
    check_iterated(&f->wire, &at, f->pkt, f->pkt_len, &f->vnet, frame_flags | TUO_F_STRIP_JUMBO);
    FUZZ_CHECK(at == f->wire.count);
    check_in_place(f);
    check_copied(f);
    check_ladder(f, &caps);
    caps.tx_csum_tcp4 = caps.tx_csum_udp4 = caps.tx_csum_tcp6 = caps.tx_csum_udp6 = caps.tx_csum_any = 1;
    caps.max_tcp4 = caps.max_tcp6 = caps.max_udp4 = caps.max_udp6 = 0x4000u << (buffers & 3); /* 0x20000: takes everything */
    caps.min_seg_size = 8;
    caps.tx_vlan_max = TUO_VLAN_MAX;
    caps.max_udp_segs = 64;
    check_ladder(f, &caps);
    fuzz_deep += f->wire.count > 1;
}

/* ---------------------------------------------------------------------------------------------------------------- backend */
#ifdef __linux__

static size_t next_step;
static unsigned reads;      /* so far */
static int read_was_empty;  /* the last one */
static int has_waited;      /* in this call, for ever, for a packet */
static int has_packet;      /* one was read in this call */
static fuzz_input netlink_reply;
static struct nlmsghdr netlink_request;

static int failed_with(int error)
{
    errno = error;
    return -1;
}

static int fake_open(const char *path, int flags, ...)
{
    (void)path, (void)flags;
    return failed_with(ENOENT); /* nothing is opened */
}

static int error_of(const step *s)
{
    static const int errors[] = {EAGAIN, EINTR, EINVAL, EIO, EBADFD, EFAULT, ENOMEM, EAGAIN};
    return errors[s->error & 7];
}

/* Of such an error TUNGETIFF says whether the device is gone. */
static int is_gone(const step *s)
{
    return (s->error & 8) == 0 && (error_of(s) == EIO || error_of(s) == EBADFD || error_of(s) == EFAULT);
}

static int loses_a_packet(const step *s)
{
    return error_of(s) == EINVAL || (error_of(s) == EFAULT && !is_gone(s));
}

static int fake_ioctl(int fd, unsigned long request, ...)
{
    static const short tun = IFF_TUN | IFF_NO_PI, tap = IFF_TAP | IFF_NO_PI;
    va_list args;
    (void)fd;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    tuoi_ifreq *ifreq = argument;
    int *number = argument;
    switch (request) {
    case TUNGETIFF:
        if (next_step > 0 && steps[next_step - 1].what == STEP_ERROR && is_gone(&steps[next_step - 1])) {
            return failed_with(EBADFD);
        }
        memset(ifreq->name, 'x', sizeof ifreq->name);
        ifreq->u.flags = (short)((frame_flags != 0 ? tap : tun) | (vnet_len > 0 ? IFF_VNET_HDR : 0));
        return 0;
    case TUNGETVNETHDRSZ: *number = (int)vnet_len; return 0;
    case TUNGETVNETLE: *number = order == TUO_ORDER_LITTLE; return 0;
    case TUNGETVNETBE: *number = order == TUO_ORDER_BIG; return 0;
    case 0x8933: ifreq->u.number = 7; return 0; /* SIOCGIFINDEX */
    default: return failed_with(ENOTTY);
    }
}

static int fake_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    return eventfd(0, 0);
}

static ssize_t fake_send(int fd, const void *bytes, size_t len, int flags)
{
    (void)fd, (void)flags;
    memcpy(&netlink_request, bytes, sizeof netlink_request);
    return (ssize_t)len;
}

/* The answer is one to this request in number and type; otherwise nothing of it is looked at. */
static ssize_t fake_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
    (void)fd, (void)flags, (void)from, (void)from_len;
    len = len < netlink_reply.len ? len : netlink_reply.len;
    if (len == 0) {
        return failed_with(EPERM);
    }
    memcpy(bytes, netlink_reply.bytes, len);
    if (len >= sizeof netlink_request) {
        ((struct nlmsghdr *)bytes)->nlmsg_type = RTM_NEWLINK;
        ((struct nlmsghdr *)bytes)->nlmsg_seq = netlink_request.nlmsg_seq;
    }
    return (ssize_t)len;
}

/* Ready as long as there are steps; somebody who would wait for ever after that is woken. */
static int fake_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    FUZZ_CHECK(count == 2 || (count == 1 && timeout_ms == 0));
    has_waited |= timeout_ms < 0;
    FUZZ_CHECK(timeout_ms >= 0 || !has_packet);
    fds[0].revents = next_step < step_count ? POLLIN : 0;
    if (count == 2) {
        fds[1].revents = next_step == step_count && timeout_ms < 0 ? POLLIN : 0;
    }
    return fds[0].revents != 0 || (count == 2 && fds[1].revents != 0);
}

/* What does not fit is cut off without a word, as by the kernel. */
static ssize_t fake_readv(int fd, const struct iovec *iov, int count)
{
    (void)fd;
    reads++;
    read_was_empty = 1;
    if (next_step == step_count) {
        return failed_with(EAGAIN);
    }
    const step *s = &steps[next_step++];
    has_packet |= s->frame != NULL && s->frame->taken && s->frame->pkt_len <= PACKET_MAX;
    read_was_empty = s->what == STEP_EMPTY || (s->what == STEP_ERROR && error_of(s) == EAGAIN) || (s->what == 0 && s->frame->pkt == NULL);
    if (s->what != 0) {
        return s->what == STEP_EMPTY ? 0 : failed_with(error_of(s));
    }
    size_t done = 0;
    for (int i = 0; i < count; i++) {
        size_t len = s->frame->len - done < iov[i].iov_len ? s->frame->len - done : iov[i].iov_len;
        if (len > 0) {
            memcpy(iov[i].iov_base, s->frame->bytes + done, len);
        }
        done += len;
    }
    return (ssize_t)done;
}

/* NULL: refused, because of its vnet header or what netlink says of packet information. */
static tuo_tun *adopt(void)
{
    tuo_tun_desc desc;
    tuo_tun *tun = NULL;
    int fd = eventfd(0, EFD_NONBLOCK), error = 0;
    FUZZ_CHECK(fd >= 0);
    memset(&desc, 0, sizeof desc);
    desc.blocking = (uint8_t)is_blocking;
    desc.round_packets = round_packets;
    next_step = 0;
    tuo_result result = tuo_tun_adopt(&tun, fd, &desc, &error);
    if (result != TUO_OK) {
        FUZZ_CHECK(result == TUO_E_UNSUPPORTED && tun == NULL && (!layout_exists() || netlink_reply.len > 0));
        FUZZ_CHECK(close(fd) == 0); /* still ours */
        return NULL;
    }
    FUZZ_CHECK(layout_exists() && tun_info_of(tun).vnet_hdr_len == vnet_len);
    return tun;
}

static size_t count_lost(void)
{
    size_t n = 0;
    for (size_t i = 0; i < step_count; i++) {
        n += steps[i].what == STEP_ERROR && loses_a_packet(&steps[i]);
    }
    return n;
}

/* The result of an error that ends a call. */
static tuo_result result_of(const step *s)
{
    return is_gone(s) ? TUO_E_GONE : TUO_E_SYSTEM;
}

static int any_error(tuo_result result)
{
    int any = 0;
    for (size_t i = 0; i < step_count; i++) {
        int error = error_of(&steps[i]);
        any |= steps[i].what == STEP_ERROR && error != EAGAIN && error != EINTR && !loses_a_packet(&steps[i]) && result_of(&steps[i]) == result;
    }
    return any;
}

/* The next frame of which segments are still to come; frame_count after the last. */
static size_t expected_frame(size_t at, size_t segment)
{
    while (at < frame_count && (!frames[at].taken || frames[at].pkt_len > PACKET_MAX || segment == frames[at].wire.count)) {
        at++;
        segment = 0;
    }
    return at;
}

static int may_return(tuo_result result)
{
    switch (result) {
    case TUO_AGAIN: return !is_blocking || next_step == step_count || count_lost() > 0;
    case TUO_E_WOKEN: return is_blocking && next_step == step_count;
    case TUO_E_GONE: case TUO_E_SYSTEM: return any_error(result);
    default: return result == TUO_E_NOSPACE;
    }
}

/* segments: handed out; cut: that were longer than the buffer, or discarded. */
static void check_rx_stats(tuo_tun *tun, size_t segments, size_t cut)
{
    tun_stats stats;
    size_t packets = 0, bytes = 0, supers = 0, refused = count_lost(), truncated = cut;
    for (size_t i = 0; i < frame_count; i++) {
        const frame *f = &frames[i];
        if (f->pkt == NULL) {
            continue;
        }
        int fits = f->pkt_len <= PACKET_MAX;
        truncated += !fits;
        packets += (size_t)fits;
        bytes += fits ? f->pkt_len : 0;
        supers += fits && (f->vnet.gso_type & ~(unsigned)REF_TUNNELS) != 0;
        refused += fits && !f->taken;
    }
    stats = tun_stats_of(tun);
    FUZZ_CHECK(stats.rx.rx_reads == packets && stats.rx.rx_bytes == bytes && stats.rx.rx_superpackets == supers);
    FUZZ_CHECK(stats.rx.rx_refused == refused && stats.rx.rx_truncated == truncated && stats.rx.rx_segments == segments);
}

static void check_recv_batch(void)
{
    buffer_set set;
    size_t received, at = 0, segment = 0, segments = 0, len, longest = 64;
    tuo_tun *tun = adopt();
    if (tun == NULL) {
        return;
    }
    for (size_t i = 0; i < frame_count; i++) {
        len = longest_of(&frames[i].wire);
        longest = len > longest ? len : longest;
    }
    open_buffers(&set, longest);
    for (;;) {
        renew_buffers(&set);
        has_packet = 0;
        tuo_result result = tuo_tun_recv_batch(tun, NULL, set.handles, set.count, HEADROOM, &received);
        FUZZ_CHECK(received <= set.count && (result == TUO_OK) == (received > 0));
        for (size_t i = 0; i < received; i++, segments++) {
            const uint8_t *bytes = buffered(&set, i, &len);
            at = expected_frame(at, segment);
            segment = at < frame_count && segment < frames[at].wire.count ? segment : 0;
            FUZZ_CHECK(at < frame_count);
            check_is(&frames[at].wire, segment++, bytes, len);
            if (segment == frames[at].wire.count) {
                at++;
                segment = 0;
            }
        }
        FUZZ_CHECK(received > 0 || may_return(result));
        if (received == 0 && result != TUO_E_NOSPACE && next_step == step_count) {
            break;
        }
    }
    FUZZ_CHECK(expected_frame(at, segment) == frame_count);
    check_rx_stats(tun, segments, 0);
    close_buffers(&set);
    tuo_tun_close(tun);
}

/* Unsplit, into a buffer that is too small for some. */
static void check_recv(void)
{
    size_t cap = 40 + (size_t)buffers * 8, at = 0, len;
    uint8_t *bytes = malloc(cap);
    tuo_tun *tun = adopt();
    FUZZ_CHECK(bytes != NULL);
    while (tun != NULL) {
        tuo_vnet_hdr vnet;
        size_t before = next_step;
        has_packet = 0;
        tuo_result result = tuo_tun_recv(tun, bytes, cap, &vnet, &len);
        if (next_step == before) {
            FUZZ_CHECK(before == step_count && result == (is_blocking ? TUO_E_WOKEN : TUO_AGAIN));
            break;
        }
        const frame *f = steps[next_step - 1].frame;
        for (at = before; at + 1 < next_step; at++) { /* what was skipped on the way was no packet */
            FUZZ_CHECK(steps[at].frame == NULL || (is_blocking && steps[at].frame->pkt == NULL));
        }
        if (result == TUO_OK) {
            FUZZ_CHECK(f != NULL && len == f->pkt_len && len <= cap && memcmp(bytes, f->pkt, len) == 0);
            FUZZ_CHECK(fuzz_same_vnet(&vnet, &f->vnet));
        } else {
            FUZZ_CHECK(f == NULL || f->pkt == NULL || (result == TUO_E_NOSPACE && f->pkt_len > cap));
        }
    }
    tuo_tun_close(tun);
    free(bytes);
}

/* --- an event loop: next, next_copy, and what may come between --- */

/* The segment whose turn it is. */
static struct {
    size_t frame, segment;
    size_t segments, cut;       /* handed out; lost for want of room, or discarded */
    uint32_t packets, bytes;    /* of this round */
} loop;

static uint32_t choose(uint32_t below)
{
    verbs = verbs * 1664525u + 1013904223u;
    return (verbs >> 16) % below;
}

/* Within a superpacket. */
static int some_are_left(void)
{
    return loop.segment > 0;
}

static const ref_list *due(void)
{
    loop.frame = expected_frame(loop.frame, loop.segment);
    FUZZ_CHECK(loop.frame < frame_count);
    return &frames[loop.frame].wire;
}

static void segment_is_done(void)
{
    if (++loop.segment == frames[loop.frame].wire.count) {
        loop.frame++;
        loop.segment = 0;
    }
}

static void count_for_round(size_t len)
{
    loop.packets++;
    loop.bytes += (uint32_t)len;
}

/* A segment came: the one whose turn it is; read only if none was left, and only while the round lasted. */
static void check_came(unsigned reads_before, int were_left)
{
    uint32_t packets_max = round_packets > 0 ? round_packets : 128;
    FUZZ_CHECK(were_left ? reads == reads_before : reads > reads_before && steps[next_step - 1].frame == &frames[loop.frame]);
    FUZZ_CHECK(were_left || (loop.packets < packets_max && loop.bytes < 256 * 1024));
}

/* No segment came: AGAIN if the device had nothing at the last read, MORE if it perhaps has; an error is that of the last read. */
static void check_ended(tuo_tun *tun, tuo_result result, unsigned reads_before)
{
    const step *last = next_step > 0 ? &steps[next_step - 1] : NULL;
    int has_read = reads > reads_before, lost = 0, error = 0;
    if (has_read && !read_was_empty) {
        lost = last->what != STEP_ERROR || loses_a_packet(last); /* or a frame that is refused */
        error = last->what == STEP_ERROR ? error_of(last) : 0;
    }
    switch (result) {
    case TUO_AGAIN: FUZZ_CHECK(!is_blocking && has_read && read_was_empty); break;
    case TUO_MORE:
        FUZZ_CHECK((has_read && lost) || (loop.packets > 0 && (!has_read || (is_blocking && read_was_empty))));
        break;
    case TUO_E_WOKEN: FUZZ_CHECK(is_blocking && has_read && next_step == step_count && (read_was_empty || error == EINTR)); break;
    default: FUZZ_CHECK(error != 0 && !lost && error != EINTR && result == result_of(last)); break;
    }
    FUZZ_CHECK(tuo_tun_pending(tun) == 0);
    loop.packets = loop.bytes = 0;
}

/* What is in data[-64..len) is the caller's to write to. */
static void loop_next(tuo_tun *tun)
{
    tuo_buf packet = {NULL, 0, 0};
    unsigned reads_before = reads;
    int were_left = some_are_left();
    has_waited = has_packet = 0;
    tuo_result result = tuo_tun_next(tun, &packet);
    FUZZ_CHECK(!has_waited || loop.packets == 0); /* the first call of a round alone waits */
    if (result != TUO_OK) {
        FUZZ_CHECK(!were_left);
        check_ended(tun, result, reads_before);
        return;
    }
    check_is(due(), loop.segment, packet.data, packet.len);
    check_came(reads_before, were_left);
    memset(packet.data - 64, 0xd5, packet.len + 64);
    loop.segments++;
    count_for_round(packet.len);
    segment_is_done();
}

static void loop_next_copy(tuo_tun *tun)
{
    size_t cap = choose(4) > 0 ? 1500 + choose(64) : choose(2) > 0 ? choose(120) : choose(9000), len = 0;
    if (loop.frame < frame_count && choose(3) == 0 && expected_frame(loop.frame, loop.segment) < frame_count) {
        cap = due()->len[loop.segment] + 1 - choose(3); /* just enough, and nearly */
    }
    uint8_t *bytes = malloc(cap > 0 ? cap : 1);
    unsigned reads_before = reads;
    int were_left = some_are_left();
    FUZZ_CHECK(bytes != NULL);
    has_waited = has_packet = 0;
    tuo_result result = tuo_tun_next_copy(tun, bytes, cap, &len);
    FUZZ_CHECK(!has_waited || loop.packets == 0);
    if (result != TUO_OK && result != TUO_E_NOSPACE) {
        FUZZ_CHECK(!were_left);
        check_ended(tun, result, reads_before);
    } else {
        const ref_list *wire = due();
        FUZZ_CHECK(len == wire->len[loop.segment] && (result == TUO_OK) == (len <= cap));
        FUZZ_CHECK(memcmp(bytes, wire->bytes[loop.segment], len < cap ? len : cap) == 0);
        check_came(reads_before, were_left);
        loop.segments += result == TUO_OK;
        loop.cut += result != TUO_OK;
        count_for_round(len);
        segment_is_done();
    }
    free(bytes);
}

/* Some at once, and the rest of their superpacket: the verbs are not mixed while packets are left. */
static void loop_recv_batch(tuo_tun *tun, buffer_set *set)
{
    size_t received, len;
    do {
        for (size_t i = 0; i < set->count; i++) {
            set->bufs[i].len = 0;
            set->bufs[i].capacity = set->cap;
            memset(set->bufs[i].data, 0xee, HEADROOM);
        }
        has_packet = 0;
        tuo_result result = tuo_tun_recv_batch(tun, NULL, set->handles, set->count, HEADROOM, &received);
        FUZZ_CHECK((result == TUO_OK) == (received > 0) && (received > 0 || may_return(result)));
        for (size_t i = 0; i < received; i++, loop.segments++) {
            const uint8_t *bytes = buffered(set, i, &len);
            check_is(due(), loop.segment, bytes, len);
            segment_is_done();
        }
        FUZZ_CHECK(received > 0 || !some_are_left());
        FUZZ_CHECK((tuo_tun_pending(tun) != 0) == some_are_left());
    } while (some_are_left());
}

static void loop_discard(tuo_tun *tun)
{
    loop.cut += some_are_left() ? due()->count - loop.segment : 0;
    loop.frame += (size_t)some_are_left();
    loop.segment = 0;
    tuo_tun_recv_discard(tun);
}

static void loop_wait(tuo_tun *tun)
{
    tuo_result result = tuo_tun_wait(tun, 0, 0);
    FUZZ_CHECK(result == (some_are_left() || next_step < step_count ? TUO_OK : TUO_AGAIN));
}

static void check_loop(void)
{
    buffer_set set;
    size_t longest = 64;
    tuo_tun *tun = adopt();
    if (tun == NULL) {
        return;
    }
    for (size_t i = 0; i < frame_count; i++) {
        size_t len = longest_of(&frames[i].wire);
        longest = len > longest ? len : longest;
    }
    open_buffers(&set, longest);
    memset(&loop, 0, sizeof loop);
    while (next_step < step_count || some_are_left()) {
        uint32_t verb = choose(32);
        if (verb < 16) {
            loop_next(tun);
        } else if (verb < 28) {
            loop_next_copy(tun);
        } else if (verb < 30 && !some_are_left()) {
            loop_recv_batch(tun, &set);
        } else if (verb == 30) {
            loop_wait(tun);
        } else if (choose(8) == 0) {
            loop_discard(tun);
        }
        FUZZ_CHECK((tuo_tun_pending(tun) != 0) == some_are_left());
    }
    loop_next(tun); /* nothing more, at most after the end of a round */
    loop_next(tun);
    FUZZ_CHECK(next_step == step_count && expected_frame(loop.frame, loop.segment) == frame_count);
    check_rx_stats(tun, loop.segments, loop.cut);
    close_buffers(&set);
    tuo_tun_close(tun);
}

static void check_backend(void)
{
    check_recv_batch();
    check_recv();
    check_loop();
}

#else

static void check_backend(void) {}

#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size}, reply;
    read_config(&in);
    reply.len = fuzz_u8(&in);
    reply.len = reply.len < in.len ? reply.len : in.len;
    reply.bytes = in.bytes;
    in.bytes += reply.len;
    in.len -= reply.len;
    read_steps(&in);
    for (size_t i = 0; i < frame_count; i++) {
        if (frames[i].pkt != NULL) {
            check_core(&frames[i]);
        }
    }
#ifdef __linux__
    netlink_reply = reply;
#endif
    check_backend();
    for (size_t i = 0; i < frame_count; i++) {
        free(frames[i].bytes);
        free(frames[i].pkt);
        ref_list_free(&frames[i].wire);
    }
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

static int native_is_big(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 0;
}

/* Goes through the steps as the target does. */
static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    fuzz_input in = {data, size};
    read_config(&in);
    size_t reply_len = fuzz_u8(&in), at = size - in.len;
    at += reply_len < in.len ? reply_len : in.len;
    while (at + 5 <= size && layout_exists()) {
        unsigned what = data[at++];
        if ((what & 7) >= STEP_ERROR) {
            continue;
        }
        size_t len = pkt_get16(data + at), left = size - at - 4;
        len = len < left ? len : left;
        at += 4;
        if (len > vnet_len) {
            uint8_t *pkt = data + at + vnet_len;
            repair_packet(pkt, len - vnet_len, frame_flags != 0, dice);
            if (vnet_len > 0) {
                int swapped = order == (native_is_big() ? TUO_ORDER_LITTLE : TUO_ORDER_BIG);
                repair_vnet(data + at, pkt, len - vnet_len, frame_flags != 0, swapped, dice);
            }
        }
        at += len;
    }
}
#endif
