/* A system call fails: each call that a verb of the TUN backend makes while packets go, in turn, with each errno that it may have; once,
   and for good. Then the fault goes away, and the program goes on as the comments of the functions say. At the end every packet has
   arrived once and in the order of its flow, byte for byte, or is in exactly one counter; results were among the documented ones; no
   descriptor is left.
   A scenario is a program that sends or receives a fixed train of packets. It runs once to count its calls. */
#define TUNOFFLOAD_TUN
#include "tun_pair.h"

/* ------------------------------------------------------------------------------------------------------------- errnos */

enum { OF_WRITE = 1, OF_READ = 2, OF_POLL = 4, OF_IOCTL = 8, OF_EVENTFD = 16 };

/* getiff_errno: what TUNGETIFF then says. */
static const struct fault {
    int error, getiff_errno;
    unsigned of;
} fault_rows[] = {
    {EAGAIN, 0, OF_WRITE | OF_READ | OF_EVENTFD},
    {EINTR, 0, OF_WRITE | OF_READ | OF_POLL},
    {EINVAL, 0, OF_WRITE | OF_READ | OF_POLL | OF_IOCTL},
    {EIO, 0, OF_WRITE | OF_READ},
    {EIO, EBADFD, OF_READ},
    {EFAULT, 0, OF_WRITE | OF_READ},
    {EFAULT, EBADFD, OF_READ},
    {EBADFD, EBADFD, OF_WRITE | OF_READ},
    {EBADFD, EPERM, OF_WRITE | OF_READ}, /* a sandbox */
    {EBADFD, 0, OF_WRITE | OF_READ | OF_IOCTL},
    {EBADF, EBADF, OF_WRITE | OF_READ},
    {ENODEV, 0, OF_WRITE | OF_READ | OF_IOCTL},
    {ENOBUFS, 0, OF_WRITE | OF_READ},
    {ENOMEM, 0, OF_WRITE | OF_READ | OF_POLL},
    {EMSGSIZE, 0, OF_WRITE | OF_READ},
    {EPERM, 0, OF_WRITE | OF_READ | OF_IOCTL},
    {E2BIG, 0, OF_WRITE},
    {EBUSY, 0, OF_WRITE},
    {ENOSPC, 0, OF_WRITE},
};

static unsigned of_kind(call_kind kind)
{
    static const unsigned of[CALL_KINDS] = {OF_WRITE, OF_READ, OF_POLL, OF_IOCTL, OF_EVENTFD, OF_EVENTFD};

    return of[kind];
}

/* What the error of this call is called. */
static tuo_result result_of(call_kind kind, const struct fault *f)
{
    if (f->error == EAGAIN || f->error == EINTR || kind == CALL_IOCTL)
        return TUO_AGAIN;
    if (kind == CALL_POLL)
        return TUO_E_SYSTEM;
    if (kind == CALL_WRITEV && (f->error == EINVAL || f->error == EMSGSIZE))
        return TUO_E_REFUSED;
    if (kind == CALL_WRITEV && f->error == EIO)
        return TUO_E_DOWN;
    return f->getiff_errno == EBADFD || f->getiff_errno == EBADF ? TUO_E_GONE : TUO_E_SYSTEM;
}

/* ------------------------------------------------------------------------------------------------------------- verbs */

typedef enum verb { PUSH, FLUSH, SEND_BATCH, SEND, SEND_GSO, INJECT, WAIT, NEXT, NEXT_COPY, RECV, RECV_BATCH, VERBS } verb;

static const char *const verb_names[VERBS] = {"push", "flush", "send_batch", "send", "send_gso", "inject", "wait", "next", "next_copy",
                                              "recv", "recv_batch"};

/* The results in the comment of each function, but TUO_OK. */
static int is_documented(verb v, tuo_result result)
{
    static const struct {
        tuo_result results[8];
    } documented[VERBS] = {
        {{TUO_AGAIN, TUO_E_GONE}},
        {{TUO_AGAIN, TUO_E_DOWN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_E_DOWN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_E_REFUSED, TUO_E_DOWN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_E_REFUSED, TUO_E_DOWN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_E_REFUSED, TUO_E_DOWN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_MORE, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM}},
        {{TUO_AGAIN, TUO_MORE, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM, TUO_E_NOSPACE}},
        {{TUO_AGAIN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM, TUO_E_NOSPACE}},
        {{TUO_AGAIN, TUO_E_GONE, TUO_E_WOKEN, TUO_E_SYSTEM, TUO_E_NOSPACE, TUO_E_BUFFER}},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(documented[v].results); i++)
        if (result == documented[v].results[i])
            return 1;
    return result == TUO_OK;
}

static tuo_result due;    /* of the fault */
static int is_lost;       /* the fault is one of those that lose a packet which the kernel does not want, or cannot hand out */
static int is_down;       /* the interface, until the fault goes away */
static int is_unknown;    /* TUNGETIFF is denied: that the interface is down, and not full, cannot be told */
static unsigned troubles; /* results of this run that were not TUO_OK */
static unsigned told;     /* of them negative */

static void fault_goes_away(void)
{
    faults.on = 0;
    filter.getiff_errno = 0;
}

/* Of a verb under faults. */
static tuo_result seen(verb v, tuo_result result)
{
    int natural = result == TUO_OK || (v >= NEXT && (result == TUO_AGAIN || result == TUO_MORE || result == TUO_E_WOKEN)) ||
                  (is_down && (result == TUO_E_DOWN || (is_unknown && result == TUO_AGAIN)));

    if (!CHECK(is_documented(v, result)) || !CHECK(natural || (faults.failed && result == due)))
        printf("    tuo_tun_%s: %s, where %s is due\n", verb_names[v], tuo_result_name(result), tuo_result_name(due));
    troubles += result != TUO_OK;
    told += result < 0;
    if (troubles == 4)
        fault_goes_away();
    if (troubles == 1000) {
        printf("%s: it does not end\n", check_state.row);
        exit(1);
    }
    return result;
}

/* ------------------------------------------------------------------------------------------------------------- the train */

typedef enum fate { UNKNOWN, ARRIVED, LOST } fate;

static train *sent;
static fate fates[TRAIN_MAX];
static uint8_t expected[TRAIN_MAX][PACKET_CAP]; /* what arrives */
static size_t expected_len[TRAIN_MAX];

static void make_train(void)
{
    size_t i;

    sent = new_train();
    train_flow(sent, PKT_TCP4, 1001, 6, 700);
    train_flow(sent, PKT_UDP4, 1002, 1, 90);
    train_flow(sent, PKT_UDP6, 1003, 4, 500);
    train_flow(sent, PKT_TCP6, 1004, 5, 300);
    train_flow(sent, PKT_UDP4, 1005, 3, 600);
    train_flow(sent, PKT_TCP4, 1006, 1, 40);
    for (i = 0; i < sent->count; i++)
        expected_len[i] = train_expected(sent, i, expected[i]);
}

static size_t count_of(fate f)
{
    size_t i, n = 0;

    for (i = 0; i < sent->count; i++)
        n += fates[i] == f;
    return n;
}

/* These bytes came out, or were taken away: once; what comes out is behind what came out of the same flow and was sent before. */
static void settle(const uint8_t *bytes, size_t len, fate f)
{
    size_t i, k;

    for (i = 0; i < sent->count; i++)
        if (fates[i] == UNKNOWN && expected_len[i] == len && memcmp(expected[i], bytes, len) == 0)
            break;
    if (!CHECK(i < sent->count))
        return;
    fates[i] = f;
    for (k = i + 1; k < sent->count && f == ARRIVED; k++)
        CHECK(fates[k] != ARRIVED || sent->specs[k].src_port != sent->specs[i].src_port);
}

/* The bytes of packet i, without headroom. */
static const uint8_t *packet(size_t i)
{
    return sent->bytes[i] + HEADROOM;
}

static size_t packet_len(size_t i)
{
    return sent->bufs[i].len - HEADROOM;
}

/* ------------------------------------------------------------------------------------------------------------- queues */

typedef enum queue_kind { NONBLOCKING, BLOCKING, BLOCKING_FD, QUEUE_KINDS } queue_kind;

static const char *const queue_names[QUEUE_KINDS] = {"non-blocking", "blocking", "adopted, without O_NONBLOCK"};

static pair p;
static tuo_tun *queue; /* under test: p.a if packets are written, p.b if they are read */
static tuo_tun_desc queue_desc;

static tuo_tun *open_queue(queue_kind kind, const tuo_tun_desc *desc)
{
    tuo_tun *tun = NULL;
    int fd;

    queue_desc = *desc;
    queue_desc.blocking = kind == BLOCKING;
    queue_desc.gro.max_packets = 8; /* so that a push has to write */
    queue_desc.refusal_limit = 1000;
    if (kind != BLOCKING_FD)
        return open_or_fail(&queue_desc);
    queue_desc.adopt_negotiate = 1;
    fd = raw_open("", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &queue_desc, NULL), TUO_OK);
    return tun;
}

static int open_pair(queue_kind kind, const tuo_tun_desc *desc, int reads)
{
    tuo_tun_desc other = zero_desc();

    other.no_vnet_hdr = !reads; /* what is written comes out in packets, and what is read in superpackets */
    p.a = reads ? open_or_fail(&other) : open_queue(kind, desc);
    p.b = reads ? open_queue(kind, desc) : open_or_fail(&other);
    queue = reads ? p.b : p.a;
    return p.a && p.b && side_up(p.a, "10.1.255.1/16", "fd00:1::ffff/64") && side_up(p.b, "10.2.255.1/16", "fd00:2::ffff/64");
}

static void set_link(const char *name, int up)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    request.ifr_flags = (short)(up ? IFF_UP : 0);
    interface_ioctl(name, SIOCSIFFLAGS, request, &error);
    CHECK_EQ_INT(error, 0);
    is_down = !up;
}

/* ------------------------------------------------------------------------------------------------------------- writing */

/* What is inside leaves. An error that a push met is told once more. */
static void flush_all(void)
{
    const int was_down = is_down;
    tuo_result result = TUO_E_INVALID;
    int tries;

    fault_goes_away();
    if (is_down)
        set_link(tuo_tun_name(p.a), 1);
    for (tries = 0; tries < 3 && result != TUO_OK; tries++) {
        result = tuo_tun_flush(queue);
        told += result < 0;
        CHECK(result == TUO_OK || result == due || (was_down && result == TUO_E_DOWN));
    }
    CHECK_RESULT(result, TUO_OK);
    CHECK_EQ_INT(tuo_tun_held(queue), 0);
}

/* What was pushed is held only while the device takes nothing. */
static void flush_pushed(void)
{
    const tuo_result result = seen(FLUSH, tuo_tun_flush(queue));

    CHECK_EQ_INT(tuo_tun_held(queue), result == TUO_AGAIN);
}

static void write_pushes(void)
{
    size_t i;

    for (i = 0; i < sent->count; i++)
        seen(PUSH, tuo_tun_push(queue, packet(i), packet_len(i)));
    flush_pushed();
    flush_all();
}

static void write_pushes_while_down(void)
{
    set_link(tuo_tun_name(p.a), 0);
    write_pushes();
}

/* Waits for room before each flush. */
static void write_in_turns(void)
{
    size_t i;

    for (i = 0; i < sent->count; i++) {
        seen(PUSH, tuo_tun_push(queue, packet(i), packet_len(i)));
        if (i % 4 == 3 && seen(WAIT, tuo_tun_wait(queue, 1, 0)) == TUO_OK)
            flush_pushed();
        tuo_tun_wake_clear(queue);
    }
    flush_pushed();
    flush_all();
}

/* Buffers that were not taken are sent again; those that were are left alone until nothing is held. */
static void write_batches(void)
{
    size_t done = 0, taken;

    while (done < sent->count) {
        tuo_result result =
            seen(SEND_BATCH, tuo_tun_send_batch(queue, NULL, sent->pointers + done, sent->count - done, HEADROOM, &taken));
        done += taken;
        CHECK_EQ_INT(tuo_tun_held(queue), result != TUO_OK && (result != TUO_E_DOWN || queue_desc.hold_when_down));
        if (tuo_tun_held(queue))
            seen(FLUSH, tuo_tun_flush(queue));
    }
    flush_all();
}

/* Packets i to end as one from its parts, or alone. Returns whether it is done with: taken, or refused. */
static int write_one(size_t i, size_t end)
{
    const pkt_spec *s = &sent->specs[i];
    const size_t l4 = pkt_l4_off(s), payload = pkt_payload_off(s);
    tuo_iov pieces[8];
    tuo_tun_parts parts = {packet(i), l4, packet(i) + l4, payload - l4, pieces, end - i, (uint16_t)(packet_len(i) - payload)};
    tuo_result result;
    size_t k;

    for (k = i; k < end; k++) {
        pieces[k - i].base = packet(k) + payload;
        pieces[k - i].len = packet_len(k) - payload;
    }
    if (end == i + 1)
        result = seen(SEND, tuo_tun_send(queue, packet(i), packet_len(i)));
    else
        result = seen(SEND_GSO, tuo_tun_send_gso(queue, &parts));
    return result == TUO_OK || result == TUO_E_REFUSED;
}

static void write_singles_and_superpackets(void)
{
    size_t i, end;

    for (i = 0; i < sent->count; i = end) {
        for (end = i + 1; end < sent->count && sent->specs[end].src_port == sent->specs[i].src_port; end++) {
        }
        while (!write_one(i, end)) { /* not taken: the same again. The fault does not last for ever */
        }
    }
    flush_all();
}

/* Counts nothing: what is refused is lost here. */
static size_t injected_lost;
static void write_past_everything(void)
{
    size_t i;

    for (i = 0; i < sent->count; i++) {
        tuo_result result;
        do
            result = seen(INJECT, tuo_tun_inject(queue, packet(i), packet_len(i)));
        while (result != TUO_OK && result != TUO_E_REFUSED);
        injected_lost += result == TUO_E_REFUSED;
    }
    flush_all();
}

/* Each packet came out at the far end, or is in one counter: the one that the fault is a reason for. */
static void check_written(const tuo_tun_tx_stats *before, int was_down)
{
    static uint8_t frame[FRAME_MAX];
    const tuo_tun_tx_stats now = tun_stats_of(queue).tx;
    const size_t refused = (size_t)(now.tx_refused_packets - before->tx_refused_packets) + injected_lost;
    const size_t full = (size_t)(now.tx_dropped_full - before->tx_dropped_full);
    const size_t down = (size_t)(now.tx_dropped_down - before->tx_dropped_down);
    const size_t error = (size_t)(now.tx_dropped_error - before->tx_dropped_error);
    const size_t lost = refused + full + down + error;
    size_t len;

    CHECK(down + error == 0 || told);
    CHECK(refused == 0 || is_lost);
    CHECK(full == 0 || due == TUO_AGAIN || (was_down && is_unknown));
    CHECK(down == 0 || due == TUO_E_DOWN || was_down);
    CHECK(error == 0 || due == TUO_E_SYSTEM || due == TUO_E_GONE);
    while (lost + count_of(ARRIVED) < sent->count && (len = read_plain(p.b, frame, WAIT_MS)) != 0)
        settle(frame, len, ARRIVED);
    CHECK_EQ_INT(count_of(ARRIVED) + lost, sent->count);
    CHECK_EQ_INT(read_plain(p.b, frame, 0), 0);
    CHECK_EQ_INT(now.headroom_short, 0);
}

/* ------------------------------------------------------------------------------------------------------------- reading */

/* A read failed for this packet or superpacket, which is gone. */
static size_t reads_lost;
static void lose(const uint8_t *bytes, size_t len)
{
    tuo_segment segment;
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    uint8_t whole[PACKET_CAP];
    size_t i, at;

    reads_lost++;
    CHECK_RESULT(tuo_vnet_decode(bytes, len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet), TUO_OK);
    CHECK_RESULT(tuo_gso_init(&gso, bytes + TUO_VNET_LEN, len - TUO_VNET_LEN, &vnet, 0), TUO_OK);
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        for (i = at = 0; i < segment.iov_count; at += segment.iov[i++].len)
            memcpy(whole + at, segment.iov[i].base, segment.iov[i].len);
        settle(whole, at, LOST);
    }
}

static int can_read(void)
{
    struct pollfd poller = {tuo_tun_fd(queue), POLLIN, 0};

    return tuo_tun_pending(queue) || (poll(&poller, 1, 0) == 1 && (poller.revents & POLLIN));
}

static void read_next(void)
{
    tuo_buf packet_read;

    while (can_read())
        if (seen(NEXT, tuo_tun_next(queue, &packet_read)) == TUO_OK)
            settle(packet_read.data, packet_read.len, ARRIVED);
}

static void read_next_copy(void)
{
    static uint8_t bytes[PACKET_CAP];
    size_t len;

    while (can_read())
        if (seen(NEXT_COPY, tuo_tun_next_copy(queue, bytes, sizeof bytes, &len)) == TUO_OK)
            settle(bytes, len, ARRIVED);
}

static void read_after_waiting(void)
{
    tuo_buf packet_read;

    while (can_read()) {
        tuo_result result = seen(WAIT, tuo_tun_wait(queue, 0, 0));
        while (result == TUO_OK)
            if ((result = seen(NEXT, tuo_tun_next(queue, &packet_read))) == TUO_OK)
                settle(packet_read.data, packet_read.len, ARRIVED);
    }
}

/* What comes is cut here. */
static void read_whole(void)
{
    static uint8_t bytes[FRAME_MAX];
    tuo_vnet_hdr vnet;
    tuo_buf in_place;
    tuo_gso gso;
    size_t len;

    while (can_read()) {
        if (seen(RECV, tuo_tun_recv(queue, bytes, sizeof bytes, &vnet, &len)) != TUO_OK)
            continue;
        CHECK_RESULT(tuo_gso_init(&gso, bytes, len, &vnet, 0), TUO_OK);
        while (tuo_gso_next_in_place(&gso, bytes, &in_place) == TUO_OK)
            settle(in_place.data, in_place.len, ARRIVED);
    }
}

/* Few buffers: superpackets are left in between. */
static void read_batches(void)
{
    enum { BUFS = 5 };
    static uint8_t bytes[BUFS][PACKET_CAP];
    tuo_buf bufs[BUFS];
    void *pointers[BUFS];
    size_t i, received;

    while (can_read()) {
        for (i = 0; i < BUFS; i++) {
            bufs[i].data = bytes[i];
            bufs[i].len = 0;
            bufs[i].capacity = PACKET_CAP;
            pointers[i] = &bufs[i];
        }
        seen(RECV_BATCH, tuo_tun_recv_batch(queue, NULL, pointers, BUFS, HEADROOM, &received));
        for (i = 0; i < received; i++)
            settle(bytes[i] + HEADROOM, bufs[i].len - HEADROOM, ARRIVED);
    }
}

static void send_what_is_read(void)
{
    size_t taken;

    tuo_tun_wake_clear(queue);
    tuoi_round_begin(&queue->rx.round); /* so that the same calls are made each time */
    queue->rx.round.skipped = 0;
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, sent->pointers, sent->count, HEADROOM, &taken), TUO_OK);
    CHECK_EQ_INT(taken, sent->count);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
}

static void check_read(const tuo_tun_rx_stats *before)
{
    const tuo_tun_rx_stats now = tun_stats_of(queue).rx;

    CHECK_EQ_INT(count_of(ARRIVED) + count_of(LOST), sent->count);
    CHECK_EQ_INT(now.rx_refused - before->rx_refused, reads_lost);
    CHECK(reads_lost == 0 || is_lost);
    CHECK_EQ_INT(now.rx_truncated - before->rx_truncated, 0);
}

/* ------------------------------------------------------------------------------------------------------------- scenarios */

enum { NO_WAITING = 1u << NONBLOCKING | 1u << BLOCKING_FD, ALL_QUEUES = NO_WAITING | 1u << BLOCKING };

static const struct scenario {
    const char *name;
    void (*run)(void);
    unsigned queues;     /* bit per queue_kind */
    int reads, holds_when_down;
    int refuse_errno;    /* no superpacket is taken */
} scenarios[] = {
    {"push, flush", write_pushes, ALL_QUEUES, 0, 0, 0},
    {"push, flush, superpackets refused", write_pushes, ALL_QUEUES, 0, 0, EINVAL},
    {"push, flush, no memory for superpackets", write_pushes, NO_WAITING, 0, 0, ENOBUFS},
    {"push, flush, while down", write_pushes_while_down, NO_WAITING, 0, 0, 0},
    {"push, wait, flush", write_in_turns, ALL_QUEUES, 0, 0, 0},
    {"send_batch", write_batches, ALL_QUEUES, 0, 0, 0},
    {"send_batch, superpackets refused", write_batches, ALL_QUEUES, 0, 0, EMSGSIZE},
    {"send_batch, no memory for superpackets", write_batches, NO_WAITING, 0, 0, ENOMEM},
    {"send_batch, hold_when_down", write_batches, ALL_QUEUES, 0, 1, 0},
    {"send_batch, hold_when_down, superpackets refused", write_batches, NO_WAITING, 0, 1, EINVAL},
    {"send, send_gso", write_singles_and_superpackets, ALL_QUEUES, 0, 0, 0},
    {"send, send_gso, superpackets refused", write_singles_and_superpackets, ALL_QUEUES, 0, 0, EINVAL},
    {"send, send_gso, no memory for superpackets", write_singles_and_superpackets, NO_WAITING, 0, 0, ENOMEM},
    {"inject", write_past_everything, NO_WAITING, 0, 0, 0},
    {"next", read_next, ALL_QUEUES, 1, 0, 0},
    {"next_copy", read_next_copy, ALL_QUEUES, 1, 0, 0},
    {"wait, next", read_after_waiting, NO_WAITING, 1, 0, 0},
    {"recv", read_whole, ALL_QUEUES, 1, 0, 0},
    {"recv_batch", read_batches, ALL_QUEUES, 1, 0, 0},
};

/* One run, with the fault at this call; 0: with none. */
static void run(const struct scenario *s, queue_kind kind, unsigned fail_at, const struct fault *f, int lasts)
{
    const tun_stats before = tun_stats_of(queue);

    memset(fates, 0, sizeof fates);
    injected_lost = reads_lost = 0;
    troubles = told = 0;
    CHECK_RESULT(tuo_tun_configure(queue, &queue_desc.gro), TUO_OK); /* forgets refusals */
    filter_off();
    faults.on = 0;
    if (s->reads)
        send_what_is_read();
    filter_off();
    if (kind == BLOCKING && !s->reads)
        filter.again_every = 3; /* then it polls, and there is room */
    if (kind == BLOCKING && s->reads) {
        filter.read_errno[0] = filter.read_errno[3] = EAGAIN;
        tuo_tun_wake(queue); /* or it would wait for more than there is */
    }
    filter.refuse = s->refuse_errno ? 0x3e : 0;
    filter.refuse_errno = s->refuse_errno;
    filter.getiff_errno = f ? f->getiff_errno : 0;
    memset(&faults, 0, sizeof faults);
    faults.on = 1;
    faults.fail_at = fail_at;
    faults.error = f ? f->error : 0;
    faults.lasts = lasts;
    is_unknown = filter.getiff_errno == EPERM;
    s->run();
    fault_goes_away();
    if (s->reads)
        check_read(&before.rx);
    else
        check_written(&before.tx, s->run == write_pushes_while_down);
}

static void run_all(const struct scenario *s, queue_kind kind)
{
    uint8_t kinds[CALLS_MAX];
    unsigned calls, at, runs = 0;
    size_t e;
    int lasts;

    due = TUO_OK;
    is_lost = 0;
    run(s, kind, 0, NULL, 0);
    calls = faults.calls;
    memcpy(kinds, faults.kinds, sizeof kinds);
    if (!CHECK(calls > 0 && calls <= CALLS_MAX))
        return;
    for (at = 1; at <= calls && !check_state.failures; at++)
        for (e = 0; e < CHECK_COUNT_OF(fault_rows); e++)
            for (lasts = 0; lasts < 2; lasts++) {
                const call_kind call = (call_kind)kinds[at - 1];
                const struct fault *f = &fault_rows[e];
                unsigned before = check_state.failures;
                if (!(f->of & of_kind(call)) || (lasts && (f->error == EINTR || (f->error == EAGAIN && kind == BLOCKING))))
                    continue; /* the latter would never end */
                due = result_of(call, f);
                is_lost = due == TUO_E_REFUSED || (call == CALL_READV && (f->error == EINVAL || (f->error == EFAULT && !f->getiff_errno)));
                run(s, kind, at, f, lasts);
                CHECK(faults.failed > 0 && faults.kinds[at - 1] == call);
                runs++;
                if (check_state.failures != before)
                    printf("    call %u of %u (kind %d)%s: %s, TUNGETIFF: %s\n", at, calls, (int)call, lasts ? " and all behind it" : "",
                           strerror(f->error), strerror(f->getiff_errno));
            }
    CHECK(runs > 10);
}

TEST(every_call_fails_in_turn)
{
    size_t i;
    int kind;

    if (!ready())
        return;
    make_train();
    on_taken_away = lose;
    for (i = 0; i < CHECK_COUNT_OF(scenarios); i++) {
        for (kind = 0; kind < QUEUE_KINDS; kind++) {
            tuo_tun_desc desc = zero_desc();
            int fds = fd_count();

            if (!(scenarios[i].queues >> kind & 1))
                continue;
            check_row("%s, %s", scenarios[i].name, queue_names[kind]);
            desc.hold_when_down = (uint8_t)scenarios[i].holds_when_down;
            if (open_pair((queue_kind)kind, &desc, scenarios[i].reads))
                run_all(&scenarios[i], (queue_kind)kind);
            pair_close(&p);
            CHECK_EQ_INT(fd_count(), fds);
        }
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {CHECK_ENTRY(every_call_fails_in_turn)};

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
