/* The verbs of an event loop on a TUN device: next, push, flush, pending, held; and what is about them: borrowed descriptors, a packet
   from another thread, groups of adopted descriptors, buffers that change while they are held.
   The pair of devices of most tests and the kernel that refuses are in tests/lib/tun_pair.h. */
#define TUNOFFLOAD_TUN
#include "tun_pair.h"

/* ------------------------------------------------------------------------------------------------------------ pushing */

static uint8_t any_frame[FRAME_MAX];

/* Bytes are free at once: the one buffer of this program is written over before the next push. */
static tuo_result push_train(train *t, tuo_tun *tun)
{
    static uint8_t once[PACKET_CAP];
    tuo_result result = TUO_OK;
    size_t i;

    for (i = 0; i < t->count && result == TUO_OK; i++) {
        size_t len = t->bufs[i].len - HEADROOM;
        memcpy(once, t->bufs[i].data + HEADROOM, len);
        result = tuo_tun_push(tun, once, len);
        memset(once, 0x5a, sizeof once);
    }
    return result;
}

static train *mixed_train(size_t per_flow)
{
    train *t = new_train();
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        train_flow(t, (pkt_kind)kind, 1001, per_flow, 700);
        train_flow(t, (pkt_kind)kind, 1002, 1, 90);
    }
    return t;
}

TEST(push_and_flush)
{
    unsigned long writes;
    train *t;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    t = mixed_train(10);
    filter.writes = 0;
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK_EQ_INT(filter.writes, 0); /* nothing leaves before the flush */
    CHECK_EQ_INT(tuo_tun_held(p.a), 0);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    train_check_arrived(t, p.b);
    writes = filter.writes;
    CHECK_EQ_INT(writes, kernel_has_uso() ? 2 * PKT_KIND_COUNT : 2 + 2 + 11 + 11);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_superpackets, kernel_has_uso() ? PKT_KIND_COUNT : 2);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 11 * PKT_KIND_COUNT);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(filter.writes, writes);
    pair_close(&p);
}

TEST(push_bad_lengths)
{
    static const uint8_t bytes[65536 + 14];
    tuo_iov iov[2] = {{bytes, 40000}, {bytes, 25536}};
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    CHECK_RESULT(tuo_tun_push(p.a, bytes, 0), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_push_iov(p.a, iov, 0), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_push(p.a, bytes, 65536), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_push_iov(p.a, iov, 2), TUO_E_INVALID);
    iov[1].len = (size_t)-1;
    CHECK_RESULT(tuo_tun_push_iov(p.a, iov, 2), TUO_E_INVALID);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 0);
    CHECK_RESULT(tuo_tun_push(p.a, bytes, 65535), TUO_OK); /* version 0: the kernel will not have it */
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_packets, 1);
    pair_close(&p);
}

/* More than its memory or the batch holds: it writes by itself, and nothing is lost. */
TEST(push_more_than_fits)
{
    static const size_t sizes[] = {70000, 100000, 0};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(sizes); i++) {
        tuo_tun_desc desc = zero_desc();
        int round;
        pair p;

        check_row("%zu bytes", sizes[i]);
        desc.push_bytes = sizes[i];
        desc.gro.max_packets = sizes[i] ? 0 : 8;
        if (!ready() || !pair_open(&p, &desc, NULL))
            continue;
        for (round = 0; round < 3; round++) {
            train *t = mixed_train(50);
            CHECK_RESULT(push_train(t, p.a), TUO_OK);
            CHECK(filter.writes != 0);
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
            train_check_arrived(t, p.b);
        }
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_full, 0);
        pair_close(&p);
    }
}

TEST(push_sizes_of_memory)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int error = 7;

    if (!ready())
        return;
    desc.push_bytes = 69999;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_INVALID);
    CHECK_EQ_INT(error, 0);
    desc.push_bytes = (size_t)-1;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_INVALID);
    CHECK(tun == NULL);
}

/* A device that takes nothing: what fits is held, what does not is dropped and counted, and the held ones leave later, once. */
TEST(push_while_full)
{
    tuo_tun_desc desc = zero_desc();
    train *t;
    size_t i, taken = 0, dropped = 0;
    pair p;

    desc.push_bytes = 70000;
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 120, 700);
    filter.again_every = 1;
    for (i = 0; i < t->count; i++) {
        tuo_result result = tuo_tun_push(p.a, t->bufs[i].data + HEADROOM, t->bufs[i].len - HEADROOM);
        CHECK(result == TUO_OK || result == TUO_AGAIN);
        taken += result == TUO_OK;
        dropped += result == TUO_AGAIN;
        if (result == TUO_AGAIN)
            CHECK_EQ_INT(taken, i + 1 - dropped); /* from then on none: the device takes nothing */
    }
    CHECK(taken > 80 && dropped > 20);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_full, dropped);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_AGAIN);
    CHECK_EQ_INT(tuo_tun_held(p.a), 1);
    filter_off();
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(tuo_tun_held(p.a), 0);
    t->count = taken;
    train_check_arrived(t, p.b);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, taken + dropped);
    pair_close(&p);
}

/* What was pushed while the interface is down is dropped and counted; flush says so, also of what a push inside had to write. */
TEST(push_while_down)
{
    tuo_tun_desc desc = zero_desc();
    train *t;
    pair p;

    desc.push_bytes = 70000;
    desc.hold_when_down = 1; /* speaks of buffers only */
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 20, 700);
    CHECK_RESULT(tuo_tun_set_up(p.a, 0), TUO_OK);
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_DOWN);
    CHECK_EQ_INT(tuo_tun_held(p.a), 0);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_down, 20);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    t = new_train();
    train_flow(t, PKT_TCP4, 1002, 120, 700);
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK(tun_stats_of(p.a).tx.tx_dropped_down > 100); /* by a push */
    tuo_tun_discard(p.a);
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_set_up(p.a, 1), TUO_OK);
    filter.again_every = 1;
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_AGAIN);
    filter_off();
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_DOWN); /* it was, in a push since the last flush that said all */
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    t = new_train();
    train_flow(t, PKT_UDP6, 1003, 20, 700);
    for (; read_plain(p.b, any_frame, QUIET_MS);) {
    }
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    train_check_arrived(t, p.b);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.switched_off, 0);
    pair_close(&p);
}

/* Any other failure of the device drops what is inside, and says so. */
TEST(push_and_failures)
{
    static const struct {
        int error;
        tuo_result result;
        int gone;
    } rows[] = {{EPERM, TUO_E_SYSTEM, 0},  {ENOSPC, TUO_E_SYSTEM, 0}, {EFAULT, TUO_E_SYSTEM, 0}, {EBADFD, TUO_E_SYSTEM, 0},
                {ENODEV, TUO_E_SYSTEM, 0}, {EBADFD, TUO_E_GONE, 1},   {EBADF, TUO_E_GONE, 1}};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        train *t;
        pair p;

        check_row("%s%s", strerror(rows[i].error), rows[i].gone ? ", gone" : "");
        desc.push_bytes = 70000;
        if (!ready() || !pair_open(&p, &desc, NULL))
            continue;
        t = new_train();
        train_flow(t, PKT_TCP6, 1001, 20, 700);
        filter.fail_at = filter.writes + 1;
        filter.fail_errno = rows[i].error;
        filter.getiff_errno = rows[i].gone ? EBADFD : 0;
        CHECK_RESULT(push_train(t, p.a), TUO_OK);
        CHECK_RESULT(tuo_tun_flush(p.a), rows[i].result);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_error, 20);
        CHECK_EQ_INT(tun_info_of(p.a).tx_errno, rows[i].error);
        CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
        t = new_train();
        train_flow(t, PKT_TCP6, 1001, 99, 700);
        filter.fail_at = filter.writes + 1;
        CHECK_RESULT(push_train(t, p.a), rows[i].gone ? TUO_E_GONE : TUO_OK);
        CHECK_RESULT(tuo_tun_flush(p.a), rows[i].result); /* of packets before the one that was told */
        CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
        pair_close(&p);
    }
}

/* The rest of a superpacket that the kernel refused lies in memory of the queue's, as pushed packets do. An error drops it and counts its
   segments, whatever was sent before it. */
TEST(resend_and_failures)
{
    enum { FIRST, BEHIND_A_BATCH, BEHIND_A_PUSH, PLACES };
    static const char *const names[] = {"first of all", "behind a batch", "behind a push"};
    static const struct {
        int error;
        tuo_result result;
    } rows[] = {{EIO, TUO_E_DOWN}, {EPERM, TUO_E_SYSTEM}, {EBADFD, TUO_E_GONE}};
    static uint8_t payload[4000];
    static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5};
    static const uint8_t tcp[20] = {0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0};
    const tuo_iov piece = {payload, sizeof payload};
    const tuo_tun_parts gso = {ip, sizeof ip, tcp, sizeof tcp, &piece, 1, 1000};
    size_t i, taken;
    int place;

    for (place = 0; place < PLACES; place++) {
        for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
            tuo_tun_desc desc = zero_desc();
            tuo_tun_tx_stats stats;
            train *t;
            pair p;

            check_row("%s, %s", names[place], strerror(rows[i].error));
            desc.hold_when_down = 1; /* speaks of buffers only */
            if (!ready() || !pair_open(&p, &desc, NULL))
                continue;
            t = new_train();
            train_flow(t, PKT_UDP4, 1001, 1, 700);
            if (place == BEHIND_A_BATCH)
                CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, 1, HEADROOM, &taken), TUO_OK);
            if (place == BEHIND_A_PUSH)
                CHECK_RESULT(push_train(t, p.a), TUO_OK);
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
            filter.refuse = 1u << TUO_GSO_TCPV4;
            filter.refuse_errno = EINVAL;
            filter.fail_at = filter.writes + 3; /* the superpacket, its first segment, its second */
            filter.fail_errno = EAGAIN;
            CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), TUO_OK);
            CHECK_EQ_INT(tuo_tun_held(p.a), 1);
            filter.fail_at = filter.writes + 1;
            filter.fail_errno = rows[i].error;
            filter.getiff_errno = rows[i].result == TUO_E_GONE ? EBADFD : 0;
            CHECK_RESULT(tuo_tun_flush(p.a), rows[i].result);
            stats = tun_stats_of(p.a).tx;
            CHECK_EQ_INT(stats.tx_dropped_down, rows[i].error == EIO ? 3 : 0);
            CHECK_EQ_INT(stats.tx_dropped_error, rows[i].error == EIO ? 0 : 3);
            CHECK_EQ_INT(tuo_tun_held(p.a), 0);
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
            pair_close(&p);
        }
    }
}

/* Two queues, one fed by push and one by send_batch, write the same: so push finds each right and each wrong checksum that GRO finds,
   wherever pieces are cut. */
enum { WRITTEN_MAX = 1 << 20 };
static uint8_t written[2][WRITTEN_MAX];

static void push_in_pieces(rng *r, tuo_tun *tun, const uint8_t *bytes, size_t len)
{
    tuo_iov iov[9];
    size_t count = 0, at = 0;

    while (count < 8 && rng_chance(r, 3, 4)) {
        iov[count].base = bytes + at;
        iov[count].len = rng_chance(r, 1, 6) ? 0 : rng_below(r, (uint32_t)(len - at) + 1);
        at += iov[count++].len;
    }
    iov[count].base = bytes + at;
    iov[count++].len = len - at;
    if (len)
        CHECK_RESULT(tuo_tun_push_iov(tun, iov, count), TUO_OK);
}

static void random_packet(rng *r, train *t, int tap)
{
    static const char *const chains[] = {"D", "H", "r", "f"};
    static const uint8_t options[4] = {1, 1, 1, 0};
    static uint32_t next_seq[PKT_KIND_COUNT][3];
    pkt_spec s = {.kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT), .src = 7, .dst = 5};
    const uint32_t port = rng_below(r, 3);
    size_t i = t->count;

    s.src_port = 1000 + (int32_t)port;
    s.payload_len = rng_chance(r, 1, 8) ? 1 + (int32_t)rng_below(r, 700) : 500;
    s.seq = next_seq[s.kind][port];
    next_seq[s.kind][port] += (uint32_t)s.payload_len;
    s.ip_id = (uint16_t)(s.seq / 500);
    if (rng_chance(r, 1, 15))
        s.ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
    if (rng_chance(r, 1, 10))
        s.l4_csum_xor = (uint16_t)(1u << rng_below(r, 16));
    if (rng_chance(r, 1, 20))
        s.ip_csum_xor = 0x100;
    if (rng_chance(r, 1, 20))
        s.l4_csum_zero = 1;
    if (rng_chance(r, 1, 20))
        s.trailer_len = (uint16_t)rng_below(r, 5);
    if (rng_chance(r, 1, 20)) {
        s.ip_options = options;
        s.ip_options_len = sizeof options;
    }
    if (rng_chance(r, 1, 30))
        s.frag = 0x2000;
    if (rng_chance(r, 1, 30))
        s.udp_len = 8;
    s.ethernet = (uint8_t)tap;
    if (tap && rng_chance(r, 1, 10)) {
        s.vlan_count = 1;
        s.vlan_tci[0] = 0x4500; /* looks like the first byte of an IPv4 header */
    }
    train_add(t, &s);
    if (rng_chance(r, 1, 30) && t->bufs[i].len > HEADROOM + 60)
        t->bufs[i].len -= rng_below(r, 60);
}

TEST(push_writes_what_a_batch_writes)
{
    int tap;

    for (tap = 0; tap < 2; tap++) {
        tuo_tun_desc desc = zero_desc();
        rng r;
        pair p;
        int round;

        check_row("%s", tap ? "TAP" : "TUN");
        desc.gro.hash_seed = 20261129; /* flows that share a bucket do so in both queues */
        desc.tap = (uint8_t)tap;
        if (!ready())
            continue;
        p.a = open_or_fail(&desc);
        p.b = open_or_fail(&desc);
        r = rng_start("push_writes_what_a_batch_writes", 20261129);
        for (round = 0; round < 300 && p.a && p.b; round++) {
            train *t = new_train();
            size_t i, lens[2], count = 1 + rng_below(&r, 200);
            for (i = 0; i < count; i++)
                random_packet(&r, t, tap);
            memset(&filter, 0, sizeof filter);
            filter.written = written[0];
            filter.written_room = WRITTEN_MAX;
            CHECK_RESULT(train_send(t, p.b), TUO_OK);
            lens[0] = filter.written_len;
            filter.written = written[1];
            filter.written_len = 0;
            for (i = 0; i < t->count; i++)
                push_in_pieces(&r, p.a, t->bufs[i].data + HEADROOM, t->bufs[i].len - HEADROOM);
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
            lens[1] = filter.written_len;
            if (!CHECK_EQ_INT(lens[1], lens[0]) || !CHECK_BYTES(written[1], written[0], lens[0]))
                break;
        }
        CHECK(tun_stats_of(p.a).tx.tx_superpackets > 500);
        pair_close(&p);
    }
}

/* What a batch holds goes first; while the device takes nothing of it, push takes nothing either. */
TEST(push_behind_a_batch)
{
    train *t, *second = &trains[1];
    tuo_gro_desc gro;
    size_t taken;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    memset(&gro, 0, sizeof gro);
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 10, 700);
    second->count = 0;
    train_flow(second, PKT_TCP4, 1002, 10, 700);
    filter.again_every = 1;
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
    CHECK_RESULT(push_train(second, p.a), TUO_AGAIN);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_full, 1);
    filter_off();
    CHECK_RESULT(push_train(second, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_configure(p.a, &gro), TUO_E_INVALID); /* pushed and not flushed */
    train_check_arrived(t, p.b);
    CHECK_RESULT(tuo_tun_send(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_OK); /* writes the pushed ones first */
    {
        uint8_t frame[FRAME_MAX], expected[PACKET_CAP];
        size_t i;
        for (i = 0; i < 11; i++) {
            size_t len = i < 10 ? train_expected(second, i, expected) : train_expected(t, 0, expected);
            if (CHECK_EQ_INT(read_plain(p.b, frame, WAIT_MS), len))
                CHECK_BYTES(frame, expected, len);
        }
    }
    CHECK_RESULT(push_train(second, p.a), TUO_OK);
    tuo_tun_discard(p.a);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(read_plain(p.b, any_frame, QUIET_MS), 0);
    pair_close(&p);
}

/* -------------------------------------------------------------------------------------------- buffers that change while held */

/* The buffers of `from` now hold the packets of `to`. */
static void train_becomes(train *from, const train *to)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        memcpy(from->bytes[i], to->bytes[i], PACKET_CAP);
        from->bufs[i].len = to->bufs[i].len;
        from->specs[i] = to->specs[i];
    }
}

/* A program that reuses buffers which the queue still holds: what leaves is what is in them now, and never under the checksum of what was
   in them. */
TEST(held_buffers_are_reused)
{
    enum { ELSE, WRONG, SHORTER, PARTLY, WAYS };
    static const char *const names[] = {"another flow", "wrong checksums", "shorter packets", "every other one"};
    const int uso = !no_tun && kernel_has_uso();
    int way, kind;

    for (way = 0; way < WAYS; way++) {
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            train *t, *second = &trains[1];
            size_t taken, i;
            pair p;

            check_row("%s, %s", kind_names[kind], names[way]);
            if (!ready() || !pair_open(&p, NULL, NULL))
                continue;
            t = new_train();
            train_flow(t, (pkt_kind)kind, 1001, 12, 600);
            filter.again_every = 1;
            CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
            CHECK_EQ_INT(taken, 12);
            second->count = 0;
            for (i = 0; i < 12; i++) {
                pkt_spec s = t->specs[i];
                if (way == ELSE || (way == PARTLY && i % 2)) {
                    s.src_port = 1002;
                    s.payload_seed = 77;
                } else if (way == WRONG) {
                    s.l4_csum_xor = 0x80;
                    s.payload_seed = 78;
                } else if (way == SHORTER) {
                    s.payload_len = 300;
                }
                train_add(second, &s);
            }
            train_becomes(t, second);
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_AGAIN);
            filter_off();
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
            train_check_arrived(t, p.b); /* wrong checksums are still wrong */
            CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_superpackets != 0, /* TCP then has gaps, UDP over IPv4 IDs that do not fit */
                         kind == PKT_UDP4 || kind == PKT_UDP6
                             ? uso && (way == ELSE || way == SHORTER || (way == PARTLY && kind == PKT_UDP6))
                             : way == ELSE);
            pair_close(&p);
        }
    }
}

/* Of a refused superpacket the rest is held, and some of its buffers are emptied, one to less than the headroom. Of these there is nothing
   to write. */
TEST(held_buffers_are_emptied)
{
    train *t;
    size_t taken, count;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 6, 600);
    filter.refuse = 1u << TUO_GSO_TCPV4;
    filter.refuse_errno = EINVAL;
    filter.fail_at = 3; /* the superpacket, its first packet, its second */
    filter.fail_errno = EAGAIN;
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
    t->bufs[1].len = HEADROOM;
    t->bufs[3].len = HEADROOM - 1;
    t->bufs[5].len = 0;
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    for (count = 0; read_plain(p.b, any_frame, QUIET_MS); count++) {
    }
    CHECK_EQ_INT(count, 3);
    CHECK_EQ_INT(filter.writes, 5);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_packets, 0);
    CHECK_EQ_INT(tuo_tun_held(p.a), 0);
    pair_close(&p);
}

/* An interface that is down drops what it is given, and the buffers are the caller's again. */
TEST(batch_while_down)
{
    train *t;
    size_t taken = 0;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    t = new_train();
    train_flow(t, PKT_UDP4, 1001, 20, 500);
    CHECK_RESULT(tuo_tun_set_up(p.a, 0), TUO_OK);
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_E_DOWN);
    CHECK_EQ_INT(taken, 20);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_down, 20);
    CHECK_EQ_INT(tuo_tun_held(p.a), 0);
    memset(t->bytes, 0x45, sizeof t->bytes);
    CHECK_RESULT(tuo_tun_set_up(p.a, 1), TUO_OK);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(read_plain(p.b, any_frame, QUIET_MS), 0);
    t = new_train();
    train_flow(t, PKT_UDP4, 1002, 20, 500);
    send_and_check(&p, t);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_superpackets, 0);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------------ receiving */

/* Read all that comes, a packet at a time, and compare. how: 0 next; 1 next_copy; 2 next, and each packet is written over. */
static void next_all(train *t, tuo_tun *b, int how)
{
    static uint8_t copy[PACKET_CAP], expected[PACKET_CAP];
    size_t left = t->count, in_round = 0;
    struct pollfd poller = {tuo_tun_fd(b), POLLIN, 0};

    while (left && poll(&poller, 1, WAIT_MS) == 1) {
        tuo_result result;
        tuo_buf packet = {copy, 0, 0};
        for (;;) {
            size_t i;
            result = how == 1 ? tuo_tun_next_copy(b, copy, sizeof copy, &packet.len) : tuo_tun_next(b, &packet);
            if (result != TUO_OK)
                break;
            in_round++;
            i = train_next_of_flow(t, packet.data, packet.len);
            if (!CHECK(i < t->count))
                return;
            t->arrived[i] = 1;
            left--;
            if (CHECK_EQ_INT(packet.len, train_expected(t, i, expected)))
                CHECK_BYTES(packet.data, expected, packet.len);
            if (how == 2)
                memset(packet.data - 64, 0xaa, packet.len + 64);
        }
        CHECK(result == TUO_AGAIN || result == TUO_MORE);
        CHECK_EQ_INT(tuo_tun_pending(b), 0);
        in_round = 0;
    }
    CHECK_EQ_INT(left, 0);
}

TEST(next_hands_out_everything)
{
    static const char *const names[] = {"next", "next_copy", "next, written over"};
    int how, plain;

    for (how = 0; how < 3; how++) {
        for (plain = 0; plain < 2; plain++) {
            tuo_tun_desc desc = zero_desc();
            int round;
            pair p;

            check_row("%s%s", names[how], plain ? ", no vnet header" : "");
            desc.no_vnet_hdr = (uint8_t)plain;
            if (!ready() || !pair_open(&p, NULL, &desc))
                continue;
            for (round = 0; round < 5; round++) {
                train *t = mixed_train(40);
                CHECK_RESULT(train_send(t, p.a), TUO_OK);
                next_all(t, p.b, how);
            }
            CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_segments, 5 * 41 * PKT_KIND_COUNT);
            CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_superpackets > 0, !plain);
            pair_close(&p);
        }
    }
}

/* A round ends after so many packets, at the end of a superpacket; what is left is said by pending, and only if the loop was left. */
TEST(next_rounds)
{
    tuo_tun_desc desc = zero_desc();
    tuo_buf packet;
    train *t;
    size_t i, count = 0;
    pair p;

    desc.round_packets = 50;
    if (!ready() || !pair_open(&p, NULL, &desc))
        return;
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_AGAIN);
    t = new_train();
    for (i = 0; i < 6; i++)
        train_flow(t, PKT_TCP4, 1001 + (int)i, 20, 700);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_EQ_INT(tuo_tun_pending(p.b), 0);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_OK);
    CHECK_EQ_INT(tuo_tun_pending(p.b), 1); /* the loop is left early */
    CHECK_RESULT(tuo_tun_wait(p.b, 0, -1), TUO_OK);
    for (count = 1; tuo_tun_next(p.b, &packet) == TUO_OK; count++) {
    }
    CHECK_EQ_INT(count, 60); /* 50, and to the end of the third superpacket */
    CHECK_EQ_INT(tuo_tun_pending(p.b), 0);
    for (count = 0; tuo_tun_next(p.b, &packet) == TUO_OK; count++) {
    }
    CHECK_EQ_INT(count, 60);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_AGAIN);
    pair_close(&p);
    desc.round_packets = 100000;
    if (!pair_open(&p, NULL, &desc))
        return;
    for (i = 0; i < 30; i++) { /* 256 KiB: 30 superpackets of 14000 bytes, with rounds of any number of packets */
        t = new_train();
        train_flow(t, PKT_TCP4, 1001, 20, 700);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
    }
    for (count = 0; tuo_tun_next(p.b, &packet) == TUO_OK; count++) {
    }
    CHECK_EQ_INT(count, (256 * 1024 / (20 * 740 - 3) + 1) * 20);
    tuo_tun_recv_discard(p.b);
    pair_close(&p);
}

/* Packets that come one at a time: a second read that finds nothing is left out seven times out of eight. */
TEST(next_reads_rarely_in_vain)
{
    tuo_buf packet;
    train *t;
    int i, batch;
    unsigned long reads;
    size_t count = 0;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    for (i = 0; i < 100; i++) {
        struct pollfd poller = {tuo_tun_fd(p.b), POLLIN, 0};
        tuo_result result;
        t = new_train();
        train_flow(t, PKT_UDP4, 1001, 1, 100);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        CHECK_EQ_INT(poll(&poller, 1, WAIT_MS), 1);
        while ((result = tuo_tun_next(p.b, &packet)) == TUO_OK)
            count++;
        CHECK(result == TUO_AGAIN || result == TUO_MORE);
    }
    reads = filter.read_calls;
    CHECK_EQ_INT(count, 100);
    CHECK_EQ_INT(reads, 113); /* the first one met it, and every eighth after it */
    for (batch = 0; batch < 3; batch++) { /* once it finds something it goes on */
        t = new_train();
        train_flow(t, PKT_UDP4, 1001, 1, 100);
        train_flow(t, PKT_UDP4, 1002, 1, 100);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        for (i = 0; i < 8; i++)
            while (tuo_tun_next(p.b, &packet) == TUO_OK)
                count++;
    }
    CHECK_EQ_INT(count, 106);
    pair_close(&p);
}

/* Packets longer than the caller expects, as after the MTU was raised: next hands out what came, next_copy the first bytes and the
   true length. */
TEST(next_longer_than_expected)
{
    static uint8_t copy[1500], frame[FRAME_MAX], expected[9000];
    tuo_buf packet;
    tuo_iov iov;
    pkt_spec s = {.kind = PKT_TCP4, .src = 7, .dst = 5, .payload_len = 8000};
    tuo_tun_desc desc = zero_desc();
    size_t len, i, want;
    int super;
    pair p;

    if (!ready() || !pair_open(&p, NULL, &desc))
        return;
    CHECK_RESULT(tuo_tun_set_mtu(p.b, 9000), TUO_OK);
    for (super = 0; super < 2; super++) {
        tuo_vnet_hdr vnet = {0};
        check_row("%s", super ? "superpackets" : "packets");
        s.ttl = 64;
        s.payload_len = super ? 16000 : 8000;
        len = pkt_build(frame, sizeof frame, &s);
        iov.base = frame;
        iov.len = len;
        if (super)
            CHECK_RESULT(tuo_coalesce_account(frame, len, 8000, 0, &vnet), TUO_OK);
        s.ttl = 63;
        s.payload_len = 8000;
        want = pkt_build(expected, sizeof expected, &s);
        CHECK_RESULT(tuo_tun_send_iov(p.a, &iov, 1, &vnet), TUO_OK);
        CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
        CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_OK);
        CHECK_EQ_INT(packet.len, want);
        CHECK_BYTES(packet.data, expected, want);
        while (tuo_tun_next(p.b, &packet) == TUO_OK) {
        }
        CHECK_RESULT(tuo_tun_send_iov(p.a, &iov, 1, &vnet), TUO_OK);
        CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
        for (i = 0; i < 1u + (unsigned)super; i++) {
            memset(copy, 0x11, sizeof copy);
            len = 0;
            CHECK_RESULT(tuo_tun_next_copy(p.b, copy, sizeof copy - 1, &len), TUO_E_NOSPACE);
            CHECK_EQ_INT(len, want);
            if (i == 0)
                CHECK_BYTES(copy, expected, sizeof copy - 1);
            CHECK_EQ_INT(copy[sizeof copy - 1], 0x11);
        }
        CHECK(tuo_tun_next_copy(p.b, copy, sizeof copy, &len) > 0); /* AGAIN or MORE: it is gone */
        while (tuo_tun_next(p.b, &packet) == TUO_OK) {
        }
    }
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_truncated, 3);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_segments, 3);
    pair_close(&p);
}

/* A partial checksum is finished, in place and by copy. */
TEST(next_finishes_checksums)
{
    int copy;

    for (copy = 0; copy < 2; copy++) {
        static uint8_t out[PACKET_CAP], expected[PACKET_CAP];
        pkt_spec s = {.kind = PKT_TCP6, .src = 7, .dst = 5, .payload_len = 501};
        uint8_t bytes[PACKET_CAP];
        tuo_buf packet = {out, 0, 0};
        tuo_vnet_hdr vnet = {.flags = TUO_VNET_NEEDS_CSUM, .csum_start = 40, .csum_offset = 16};
        tuo_iov iov = {bytes, 0};
        pair p;

        check_row("%s", copy ? "next_copy" : "next");
        if (!ready() || !pair_open(&p, NULL, &(tuo_tun_desc){.name = NULL}))
            continue;
        s.l4_csum_pseudo = 1;
        iov.len = pkt_build(bytes, sizeof bytes, &s);
        CHECK_RESULT(tuo_tun_send_iov(p.a, &iov, 1, &vnet), TUO_OK);
        s.l4_csum_pseudo = 0;
        s.ttl = 63;
        pkt_build(expected, sizeof expected, &s);
        CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
        CHECK_RESULT(copy ? tuo_tun_next_copy(p.b, out, sizeof out, &packet.len) : tuo_tun_next(p.b, &packet), TUO_OK);
        if (CHECK_EQ_INT(packet.len, iov.len))
            CHECK_BYTES(packet.data, expected, iov.len);
        pair_close(&p);
    }
}

/* What next returns when reads fail; contradictions are no empty device. */
TEST(next_results)
{
    static const struct {
        int error;
        tuo_result result;
    } rows[] = {{EAGAIN, TUO_AGAIN}, {EBADFD, TUO_E_GONE}, {EIO, TUO_E_GONE}, {EIO, TUO_E_SYSTEM}, {EPERM, TUO_E_SYSTEM}};
    tuo_buf packet;
    size_t i;
    pair p;

    if (!ready() || !pair_open(&p, NULL, &(tuo_tun_desc){.name = NULL}))
        return;
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s, %s", strerror(rows[i].error), tuo_result_name(rows[i].result));
        filter_off();
        filter.read_errno[0] = rows[i].error;
        filter.getiff_errno = rows[i].result == TUO_E_GONE ? EBADFD : 0;
        CHECK_RESULT(tuo_tun_next(p.b, &packet), rows[i].result);
        CHECK_EQ_INT(tuo_tun_pending(p.b), 0);
    }
    check_row("contradictions");
    filter_off();
    filter.contradictory = 40;
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_AGAIN);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_refused, 40);
    check_row("longer than any packet");
    filter_off();
    filter.endless = 20;
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
    CHECK_RESULT(tuo_tun_next_copy(p.b, any_frame, sizeof any_frame, &i), TUO_AGAIN);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_truncated, 20);
    check_row("EINVAL");
    filter_off();
    for (i = 0; i < 20; i++)
        filter.read_errno[i] = EINVAL;
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_AGAIN);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_refused, 60);
    pair_close(&p);
}

static void *send_later(void *argument)
{
    pair *p = (pair *)argument;
    train *t = new_train();

    poll(NULL, 0, 50);
    train_flow(t, PKT_TCP4, 1001, 5, 300);
    CHECK_RESULT(train_send(t, p->a), TUO_OK);
    return NULL;
}

/* Blocking: the first call of a round waits, later ones do not; a wake-up ends it. */
TEST(next_blocking)
{
    tuo_tun_desc desc = zero_desc();
    pthread_t thread;
    tuo_buf packet;
    int i;
    pair p;

    desc.blocking = 1;
    if (!ready() || !pair_open(&p, NULL, &desc))
        return;
    pthread_create(&thread, NULL, send_later, &p);
    for (i = 0; i < 5; i++)
        CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_OK);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
    pthread_join(thread, NULL);
    tuo_tun_wake(p.b);
    CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_E_WOKEN);
    CHECK_RESULT(tuo_tun_next_copy(p.b, trains[1].bytes[0], PACKET_CAP, &packet.len), TUO_E_WOKEN);
    pair_close(&p);
}

/* poll sees a packet that read then refuses, and behind it there is nothing. A call that has handed out packets, or whose round has, does
   not wait for more. */
TEST(next_blocking_and_refused)
{
    tuo_tun_desc desc = zero_desc();
    int batch;

    desc.blocking = 1;
    for (batch = 0; batch < 2; batch++) {
        tuo_buf packet;
        train *t;
        size_t received = 0;
        pair p;

        check_row("%s", batch ? "recv_batch" : "next");
        if (!ready() || !pair_open(&p, NULL, &desc))
            continue;
        t = new_train();
        train_flow(t, PKT_UDP4, 1001, 1, 300);
        train_flow(t, PKT_UDP6, 1002, 1, 300);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        filter_off();
        filter.read_errno[1] = EINVAL;
        filter.read_errno[2] = EAGAIN;
        if (batch) {
            trains[1].count = 0;
            train_flow(&trains[1], PKT_UDP4, 1003, 9, 300);
            CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, trains[1].pointers, 9, HEADROOM, &received), TUO_OK);
            CHECK_EQ_INT(received, 1);
        } else {
            CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_OK);
            CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
            CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_MORE);
        }
        CHECK_RESULT(tuo_tun_next(p.b, &packet), TUO_OK);
        pair_close(&p);
    }
}

TEST(deleted_under_the_loop)
{
    tuo_buf packet;
    train *t;
    pair p;

    if (!ready() || !pair_open(&p, NULL, &(tuo_tun_desc){.name = NULL}))
        return;
    t = new_train();
    train_flow(t, PKT_UDP4, 1001, 5, 300);
    interface_delete(tuo_tun_name(p.a));
    CHECK_RESULT(push_train(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_GONE);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_dropped_error, 5);
    CHECK_RESULT(tuo_tun_next(p.a, &packet), TUO_E_GONE);
    CHECK_RESULT(tuo_tun_inject(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_E_GONE);
    pair_close(&p);
}

/* --------------------------------------------------------------------------------------------------------- injecting */

TEST(inject)
{
    static const uint8_t nothing[20];
    train *t;
    size_t taken;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    t = new_train();
    train_flow(t, PKT_UDP4, 1001, 3, 300);
    filter.again_every = 1;
    CHECK_RESULT(tuo_tun_inject(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
    filter_off();
    filter.fail_at = 1;
    filter.fail_errno = EINTR;
    trains[1].count = 0;
    train_flow(&trains[1], PKT_UDP4, 1002, 1, 300);
    CHECK_RESULT(tuo_tun_inject(p.a, trains[1].bufs[0].data + HEADROOM, trains[1].bufs[0].len - HEADROOM), TUO_OK);
    train_check_arrived(&trains[1], p.b); /* it overtakes the held packets */
    CHECK_RESULT(tuo_tun_inject(p.a, nothing, sizeof nothing), TUO_E_REFUSED);
    CHECK_RESULT(tuo_tun_inject(p.a, nothing, 0), TUO_E_REFUSED);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    train_check_arrived(t, p.b);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 3);
    CHECK_EQ_INT(tun_info_of(p.a).tx_errno, 0);
    CHECK_RESULT(tuo_tun_set_up(p.a, 0), TUO_OK);
    CHECK_RESULT(tuo_tun_inject(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_E_DOWN);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

TEST(borrowed_descriptor)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int fd, before;

    if (!ready())
        return;
    before = fd_count();
    fd = raw_open("", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    desc.borrowed = 1;
    if (!CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK))
        return;
    tuo_tun_close(tun);
    CHECK_EQ_INT(fcntl(fd, F_GETFD) >= 0, 1);
    desc.borrowed = 0;
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK);
    tuo_tun_close(tun);
    CHECK_EQ_INT(fcntl(fd, F_GETFD), -1);
    desc.borrowed = 1; /* is of adopt only */
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK);
    tuo_tun_close(tun);
    CHECK_EQ_INT(fd_count(), before);
}

TEST(device_path)
{
    char long_path[200];
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL, *queue = NULL;
    int error = 0;

    if (!ready())
        return;
    memset(long_path, '/', sizeof long_path);
    long_path[sizeof long_path - 1] = 0;
    desc.path = long_path;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_INVALID);
    desc.path = "/nonexistent/tun";
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, ENOENT);
    desc.multi_queue = 1;
    memcpy(long_path + 115, "dev/net/tun", 12); /* 126 characters */
    desc.path = long_path;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK))
        return;
    memset(long_path, 'x', sizeof long_path - 1); /* not kept */
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_OK);
    tuo_tun_close(queue);
    tuo_tun_close(tun);
}

TEST(adopted_group)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_group *group = NULL;
    const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    char name[16] = "";
    int fds[3] = {-1, -1, -1}, error = 7;
    size_t i;

    if (!ready())
        return;
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 0, &desc, &error), TUO_E_INVALID);
    CHECK_EQ_INT(error, 0);
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 65, &desc, &error), TUO_E_INVALID);
    fds[0] = raw_open("group%d", flags, O_NONBLOCK);
    {
        struct ifreq request;
        memset(&request, 0, sizeof request);
        CHECK_EQ_INT(ioctl(fds[0], TUNGETIFF, &request), 0);
        memcpy(name, request.ifr_name, sizeof name);
    }
    fds[1] = raw_open(name, flags, O_NONBLOCK);
    fds[2] = open("/dev/null", O_RDWR);
    {
        int len = 24;
        CHECK_EQ_INT(ioctl(fds[0], TUNSETVNETHDRSZ, &len), 0);
        desc.adopt_negotiate = 1;
        CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 3, &desc, &error), TUO_E_SYSTEM); /* all or nothing */
        CHECK_EQ_INT(get_vnet_len(fds[0]), 24);
    }
    CHECK(error != 0);
    for (i = 0; i < 3; i++)
        CHECK(fcntl(fds[i], F_GETFD) >= 0);
    CHECK(group == NULL);
    if (!CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 2, &desc, &error), TUO_OK))
        return;
    for (i = 0; i < 2; i++)
        CHECK_EQ_STR(tuo_tun_name(tuo_tun_group_queue(group, i)), name);
    CHECK(tuo_tun_group_queue(group, 2) == NULL);
    tuo_tun_group_close(group);
    for (i = 0; i < 2; i++)
        CHECK_EQ_INT(fcntl(fds[i], F_GETFD), -1);
    close(fds[2]);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(push_and_flush),
        CHECK_ENTRY(push_bad_lengths),
        CHECK_ENTRY(push_more_than_fits),
        CHECK_ENTRY(push_sizes_of_memory),
        CHECK_ENTRY(push_while_full),
        CHECK_ENTRY(push_while_down),
        CHECK_ENTRY(push_and_failures),
        CHECK_ENTRY(resend_and_failures),
        CHECK_ENTRY(push_writes_what_a_batch_writes),
        CHECK_ENTRY(push_behind_a_batch),
        CHECK_ENTRY(held_buffers_are_reused),
        CHECK_ENTRY(held_buffers_are_emptied),
        CHECK_ENTRY(batch_while_down),
        CHECK_ENTRY(next_hands_out_everything),
        CHECK_ENTRY(next_rounds),
        CHECK_ENTRY(next_reads_rarely_in_vain),
        CHECK_ENTRY(next_longer_than_expected),
        CHECK_ENTRY(next_finishes_checksums),
        CHECK_ENTRY(next_results),
        CHECK_ENTRY(next_blocking),
        CHECK_ENTRY(next_blocking_and_refused),
        CHECK_ENTRY(deleted_under_the_loop),
        CHECK_ENTRY(inject),
        CHECK_ENTRY(borrowed_descriptor),
        CHECK_ENTRY(device_path),
        CHECK_ENTRY(adopted_group),
    };

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
