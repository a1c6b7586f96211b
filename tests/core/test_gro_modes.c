/* test_gro_modes.c - the three ways through GRO give the same bytes: gather, copy into the first packet's buffer, a batch in
   place. And buffers that are small, that move, or that fail. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "gro_traffic.h"

static h_batch gathered, copied;

enum { BUFS = 96, HEADROOM_FILL = 0xa7 };

/* --------------------------------------------------------------------------------------------------- buffers of our own */

/* A buffer in memory of exactly its length, which moves whenever the length changes. */
typedef struct moving_buf {
    uint8_t *data;
    size_t len, capacity;
} moving_buf;

/* What the callbacks share: the append that fails, counted from 1; 0 = none; from then on all if sticky. */
typedef struct ops_state {
    unsigned long appends, fail_at;
    int sticky;
} ops_state;

static uint8_t *moving_data(void *user, void *buf)
{
    (void)user;
    return ((moving_buf *)buf)->data;
}

static size_t moving_length(void *user, const void *buf)
{
    (void)user;
    return ((const moving_buf *)buf)->len;
}

static size_t moving_capacity(void *user, const void *buf)
{
    (void)user;
    return ((const moving_buf *)buf)->capacity;
}

static int moving_resize(void *user, void *buf, size_t len)
{
    moving_buf *b = (moving_buf *)buf;
    uint8_t *moved = (uint8_t *)h_alloc(len);

    (void)user;
    memcpy(moved, b->data, len < b->len ? len : b->len);
    free(b->data);
    b->data = moved;
    b->len = len;
    return 0;
}

static int moving_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    ops_state *state = (ops_state *)user;
    moving_buf *b = (moving_buf *)buf;
    size_t old = b->len;

    state->appends++;
    if (state->fail_at && (state->appends == state->fail_at || (state->sticky && state->appends > state->fail_at)))
        return -1;
    CHECK(old + len <= b->capacity); /* the promise of capacity() must be enough */
    moving_resize(user, buf, old + len);
    memcpy(b->data + old, bytes, len);
    return 0;
}

static tuo_buf_ops moving_ops(ops_state *state)
{
    tuo_buf_ops ops = {state, moving_data, moving_length, moving_capacity, moving_resize, moving_append};

    return ops;
}

/* The packets of `from` behind headroom, as buffers that can grow by `room` bytes. */
static void fill_moving(moving_buf *bufs, const h_batch *from, size_t offset, size_t room)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        bufs[i].len = offset + from->len[i];
        bufs[i].capacity = bufs[i].len + room;
        bufs[i].data = (uint8_t *)h_alloc(bufs[i].len);
        memset(bufs[i].data, HEADROOM_FILL, offset);
        memcpy(bufs[i].data + offset, from->pkt[i], from->len[i]);
    }
}

static void free_moving(moving_buf *bufs, size_t count)
{
    while (count--)
        free(bufs[count].data);
}

/* ------------------------------------------------------------------------------------------------------------- the modes */

/* Headroom below vnet_hdr_len leaves no place for a vnet header. */
static tuo_gro_desc as_copied(const tuo_gro_desc *desc, size_t offset)
{
    tuo_gro_desc d = *desc;

    if (offset < (d.vnet_hdr_len ? d.vnet_hdr_len : 10))
        d.no_vnet_hdr = 1;
    return d;
}

static void run_gather(const tuo_gro_desc *desc)
{
    h_gro h = h_open(desc);

    h_forget_output(&gathered);
    h_push_all(&gathered, h.gro, 0);
    h_drain(&gathered, h.gro);
    h_close(&h);
}

static int headroom_is_untouched(const moving_buf *buf, size_t offset, size_t vnet_len)
{
    size_t i;

    for (i = 0; i + vnet_len < offset; i++)
        if (buf->data[i] != HEADROOM_FILL)
            return 0;
    return 1;
}

/* By copy; fills `copied` with the same packets and what came of them. Leaves the buffers as they are then. */
static void run_copy(const tuo_gro_desc *desc, const tuo_buf_ops *ops, moving_buf *bufs, size_t offset)
{
    h_gro h = h_open(desc);
    tuo_superpacket sp;
    void *users[BUFS];
    size_t i;

    h_clear(&copied);
    copied.ethernet = gathered.ethernet;
    for (i = 0; i < gathered.count; i++) {
        h_add_bytes(&copied, gathered.pkt[i], gathered.len[i]);
        copied.trusted[i] = gathered.trusted[i];
        copied.verdict[i] = tuo_gro_push_buf(h.gro, ops, &bufs[i], offset, gathered.trusted[i] ? TUO_F_TRUST : 0u);
    }
    while (tuo_gro_next_copy(h.gro, ops, offset, &sp) == TUO_OK && copied.group_count < copied.count) {
        const moving_buf *head = (const moving_buf *)sp.users[0];
        CHECK_EQ_INT(sp.iov_count, 1);
        CHECK(sp.iov[0].base == head->data + offset - sp.vnet_len);
        CHECK_EQ_INT(sp.len, head->len - offset + sp.vnet_len);
        CHECK(headroom_is_untouched(head, offset, sp.vnet_len));
        for (i = 0; i < sp.packet_count; i++)
            users[i] = h_user(&copied, (size_t)((const moving_buf *)sp.users[i] - bufs));
        sp.users = users;
        h_collect(&copied, &sp);
    }
    CHECK_RESULT(tuo_gro_next_copy(h.gro, ops, offset, &sp), TUO_DONE);
    h_close(&h);
}

static int same_output(void)
{
    size_t g;

    if (!CHECK_EQ_INT(copied.group_count, gathered.group_count) || !CHECK_EQ_INT(copied.order_count, gathered.order_count))
        return 0;
    for (g = 0; g < gathered.count; g++)
        if (!CHECK_VERDICT(copied.verdict[g], gathered.verdict[g]) || !CHECK_EQ_INT(copied.order[g], gathered.order[g]))
            return 0;
    for (g = 0; g < gathered.group_count; g++) {
        const h_group *a = &gathered.group[g], *b = &copied.group[g];
        if (!CHECK_EQ_INT(b->len, a->len) || !CHECK_BYTES(b->bytes, a->bytes, a->len) || !CHECK_EQ_INT(b->count, a->count) ||
            !CHECK_EQ_INT(b->vnet.gso_type, a->vnet.gso_type) || !CHECK_EQ_INT(b->vnet.hdr_len, a->vnet.hdr_len))
            return 0;
    }
    return 1;
}

/* tuo_gro_batch on fresh buffers: lists the heads of the groups in order and leaves in them what the copy mode left. */
static int same_in_batch(const tuo_gro_desc *desc, const tuo_buf_ops *ops, const moving_buf *expected, size_t offset)
{
    moving_buf bufs[BUFS];
    void *pointers[BUFS];
    size_t to_write[BUFS], count = 999, i;
    int ok;
    h_gro h = h_open(desc);

    fill_moving(bufs, &gathered, offset, 65536);
    for (i = 0; i < gathered.count; i++)
        pointers[i] = &bufs[i];
    if (desc->no_vnet_hdr ? !desc->finish_checksum : offset < (desc->vnet_hdr_len ? desc->vnet_hdr_len : 10)) { /* no place for vnet headers */
        ok = CHECK_RESULT(tuo_gro_batch(h.gro, ops, pointers, gathered.count, offset, to_write, &count), TUO_E_INVALID) &&
             CHECK_EQ_INT(count, 999);
        free_moving(bufs, gathered.count);
        h_close(&h);
        return ok;
    }
    ok = CHECK_RESULT(tuo_gro_batch(h.gro, ops, pointers, gathered.count, offset, to_write, &count), TUO_OK) &&
         CHECK_EQ_INT(count, copied.group_count);
    for (i = 0; ok && i < count; i++) {
        size_t head = copied.order[copied.group[i].first];
        ok = CHECK_EQ_INT(to_write[i], head) && CHECK_EQ_INT(bufs[head].len, expected[head].len) &&
             CHECK_BYTES(bufs[head].data, expected[head].data, expected[head].len);
    }
    free_moving(bufs, gathered.count);
    h_close(&h);
    return ok;
}

static void random_packets(rng *r, tuo_gro_desc *desc)
{
    static pkt_spec specs[BUFS];
    static const uint32_t vnet_lens[] = {0, 10, 12, 20, 24};
    size_t i, n;

    memset(desc, 0, sizeof *desc);
    desc->ethernet = (uint8_t)rng_chance(r, 1, 4);
    desc->vnet_hdr_len = vnet_lens[rng_below(r, CHECK_COUNT_OF(vnet_lens))];
    desc->vnet_order = (tuo_order)rng_below(r, 3);
    desc->no_vnet_hdr = (uint8_t)rng_chance(r, 1, 6);
    desc->virtio_guest = (uint8_t)rng_chance(r, 1, 4);
    desc->finish_checksum = (uint8_t)rng_chance(r, 1, 4);
    desc->merge_zero_csum4 = (uint8_t)rng_chance(r, 1, 4);
    desc->max_packets = BUFS;
    n = make_traffic(r, specs, 1 + rng_below(r, BUFS), desc->ethernet);
    if (rng_chance(r, 1, 2))
        disorder_traffic(r, specs, n, 1 + rng_below(r, 16));
    h_clear(&gathered);
    for (i = 0; i < n; i++) {
        specs[i].l4_csum_zero |= specs[i].kind == PKT_UDP4 && desc->merge_zero_csum4 && rng_chance(r, 1, 2);
        h_add(&gathered, &specs[i]);
    }
    gathered.ethernet = desc->ethernet;
}

TEST(three_modes_same_bytes)
{
    static const size_t offsets[] = {0, 9, 10, 12, 24, 64};
    rng r = rng_start("three modes", 77);
    unsigned round;
    unsigned long merged = 0;

    for (round = 0; round < 400; round++) {
        tuo_gro_desc desc, checked;
        moving_buf bufs[BUFS];
        ops_state state = {0, 0, 0};
        tuo_buf_ops ops = moving_ops(&state);
        size_t offset = offsets[round % CHECK_COUNT_OF(offsets)];
        int ok;

        random_packets(&r, &desc);
        checked = as_copied(&desc, offset);
        run_gather(&desc);
        fill_moving(bufs, &gathered, offset, 65536);
        run_copy(&desc, &ops, bufs, offset);
        ok = h_check_batch(&gathered, &desc) && h_check_batch(&copied, &checked) && same_output() &&
             same_in_batch(&desc, &ops, bufs, offset);
        merged += (unsigned long)(gathered.count - gathered.group_count);
        free_moving(bufs, gathered.count);
        if (!CHECK(ok)) {
            printf("round %u\n", round);
            break;
        }
    }
    CHECK(merged > 1000);
}

/* ------------------------------------------------------------------------------------------------------ plain buffers */

/* Plain buffers are filled at push already, and those of callbacks at the drain: the outcome must not differ, and nothing may be
   written beyond a capacity, whatever was late, trusted, wrong or too large. */
enum { GUARD_LEN = 64, GUARD_FILL = 0x5e };

/* The packets of `from` again, with the capacities of `like`. */
static void fill_plain(tuo_buf *bufs, const h_batch *from, const moving_buf *like, size_t offset)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        bufs[i].len = offset + from->len[i];
        bufs[i].capacity = like[i].capacity;
        bufs[i].data = (uint8_t *)h_alloc(bufs[i].capacity + GUARD_LEN);
        memset(bufs[i].data, HEADROOM_FILL, offset);
        memcpy(bufs[i].data + offset, from->pkt[i], from->len[i]);
        memset(bufs[i].data + bufs[i].capacity, GUARD_FILL, GUARD_LEN);
    }
}

static int guards_are_whole(const tuo_buf *bufs, size_t count)
{
    size_t i, k;

    for (i = 0; i < count; i++)
        for (k = 0; k < GUARD_LEN; k++)
            if (!CHECK_EQ_INT(bufs[i].data[bufs[i].capacity + k], GUARD_FILL))
                return 0;
    return 1;
}

/* Is this the group that came by callbacks? */
static int is_group(const tuo_superpacket *sp, const tuo_buf *bufs, const h_group *g)
{
    size_t i;

    if (!CHECK_EQ_INT(sp->packet_count, g->count) || !CHECK_EQ_INT(sp->iov_count, 1) ||
        !CHECK_EQ_INT(sp->len, g->vnet_len + g->len) || !CHECK_BYTES(sp->iov[0].base, g->wire_vnet, g->vnet_len) ||
        !CHECK_BYTES((const uint8_t *)sp->iov[0].base + g->vnet_len, g->bytes, g->len))
        return 0;
    for (i = 0; i < g->count; i++)
        if (!CHECK_EQ_INT((const tuo_buf *)sp->users[i] - bufs, copied.order[g->first + i]))
            return 0;
    return 1;
}

static int same_in_plain_buffers(const tuo_gro_desc *desc, tuo_buf *bufs, size_t offset)
{
    h_gro h = h_open(desc);
    tuo_superpacket sp;
    size_t i, g = 0;
    int ok = 1;

    for (i = 0; ok && i < copied.count; i++) {
        const unsigned hint = copied.trusted[i] ? TUO_F_TRUST : 0u;
        ok = CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[i], offset, hint), copied.verdict[i]);
    }
    for (; ok && tuo_gro_next_copy(h.gro, NULL, offset, &sp) == TUO_OK; g++)
        ok = CHECK(g < copied.group_count) && is_group(&sp, bufs, &copied.group[g]);
    ok = ok && CHECK_EQ_INT(g, copied.group_count) && guards_are_whole(bufs, copied.count);
    h_close(&h);
    return ok;
}

TEST(plain_buffers_as_by_callbacks)
{
    static const size_t rooms[] = {0, 1, 99, 100, 200, 400, 3000, 65536};
    rng r = rng_start("plain buffers", 78);
    unsigned long merged = 0;
    unsigned round;
    int ok = 1;

    for (round = 0; ok && round < 500; round++) {
        tuo_gro_desc desc;
        moving_buf bufs[BUFS];
        tuo_buf plain[BUFS];
        ops_state state = {0, 0, 0};
        tuo_buf_ops ops = moving_ops(&state);
        size_t offset = round % 3 * 24, i;

        random_packets(&r, &desc);
        fill_moving(bufs, &gathered, offset, 0);
        for (i = 0; i < gathered.count; i++) {
            gathered.trusted[i] = rng_chance(&r, round % 4, 4);
            bufs[i].capacity += round % 2 ? 65536 : rooms[rng_below(&r, CHECK_COUNT_OF(rooms))];
        }
        fill_plain(plain, &gathered, bufs, offset);
        run_copy(&desc, &ops, bufs, offset);
        ok = CHECK(same_in_plain_buffers(&desc, plain, offset));
        merged += (unsigned long)(copied.count - copied.group_count);
        free_moving(bufs, copied.count);
        for (i = 0; i < copied.count; i++)
            free(plain[i].data);
        if (!ok)
            printf("round %u\n", round);
    }
    CHECK(merged > 1000);
}

/* -------------------------------------------------------------------------------------------------------------- failures */

/* Every append fails once, or from then on: what could not be copied leaves as single packets, nothing is lost or changed. */
TEST(append_fails_at_each_call)
{
    static const uint8_t run[] = {0, 0, 1, 0, 1, 0, 0, 1, 2, 0, 2};
    const tuo_gro_desc desc = {0};
    unsigned long fail_at, calls = 1;
    int sticky;
    size_t i;

    for (sticky = 0; sticky < 2; sticky++)
        for (fail_at = 1; fail_at <= calls; fail_at++) {
            moving_buf bufs[BUFS];
            ops_state state = {0, fail_at, sticky};
            tuo_buf_ops ops = moving_ops(&state);
            uint32_t seq[3] = {0, 0, 0};
            check_row("append %lu fails%s", fail_at, sticky ? ", and all after it" : "");
            h_clear(&gathered);
            for (i = 0; i < CHECK_COUNT_OF(run); i++) {
                pkt_spec s = {.kind = run[i] == 2 ? PKT_UDP6 : PKT_TCP4};
                s.src_port = 100 + run[i];
                s.seq = seq[run[i]] * 100;
                s.ip_id = (uint16_t)seq[run[i]]++;
                s.tcp_flags = i == 6 ? PKT_ACK | PKT_PSH : 0;
                h_add(&gathered, &s);
            }
            fill_moving(bufs, &gathered, 12, 65536);
            run_copy(&desc, &ops, bufs, 12);
            calls = sticky ? calls : state.appends > calls ? state.appends : calls;
            CHECK(h_check_batch(&copied, &desc));
            CHECK(state.appends >= fail_at);
            state.appends = 0;
            CHECK(same_in_batch(&desc, &ops, bufs, 12));
            free_moving(bufs, gathered.count);
        }
    check_row("number of appends");
    CHECK(calls >= 6);
}

/* Here the packet that arrived first, at whose place the item leaves, is not its head, and may be what is left over. */
TEST(append_fails_behind_late_segments)
{
    static const uint32_t seq[] = {3, 2, 1, 0, 4};
    const tuo_gro_desc desc = {0};
    unsigned long fail_at;
    size_t i;

    for (fail_at = 1; fail_at < CHECK_COUNT_OF(seq); fail_at++) {
        moving_buf bufs[BUFS];
        ops_state state = {0, fail_at, 0};
        tuo_buf_ops ops = moving_ops(&state);

        check_row("append %lu fails", fail_at);
        h_clear(&gathered);
        for (i = 0; i < CHECK_COUNT_OF(seq); i++) {
            pkt_spec s = {.seq = seq[i] * 100, .ip_id = (uint16_t)seq[i]};
            h_add(&gathered, &s);
        }
        fill_moving(bufs, &gathered, 10, 65536);
        run_copy(&desc, &ops, bufs, 10);
        for (i = 1; i < CHECK_COUNT_OF(seq); i++)
            CHECK_VERDICT(copied.verdict[i], i < 4 ? TUO_V_PREPENDED : TUO_V_APPENDED);
        CHECK_EQ_INT(copied.group_count, CHECK_COUNT_OF(seq) + 1 - fail_at);
        CHECK_EQ_INT(copied.group[0].count, fail_at);
        h_check_batch(&copied, &desc);
        free_moving(bufs, gathered.count);
    }
}

/* Here the item leaves in an earlier place than its own, which another item of the flow needs, although the packet that arrived there is
   left over. */
TEST(append_fails_in_a_place_that_arrived_before)
{
    static const uint32_t seq[] = {9, 2, 1, 0, 20, 19};
    const tuo_gro_desc desc = {0};
    unsigned long fail_at;
    size_t i;

    for (fail_at = 1; fail_at <= 3; fail_at++) {
        moving_buf bufs[BUFS];
        ops_state state = {0, fail_at, 0};
        tuo_buf_ops ops = moving_ops(&state);

        check_row("append %lu fails", fail_at);
        h_clear(&gathered);
        for (i = 0; i < CHECK_COUNT_OF(seq); i++) {
            pkt_spec s = {.seq = seq[i] * 100, .ip_id = (uint16_t)seq[i]};
            h_add(&gathered, &s);
        }
        fill_moving(bufs, &gathered, 10, 65536);
        run_copy(&desc, &ops, bufs, 10);
        CHECK_EQ_INT(copied.group_count, fail_at == 1 ? 5 : 4);
        CHECK_EQ_INT(copied.group[0].count, fail_at < 3 ? fail_at : 3);
        for (i = 1; i < copied.order_count; i++)
            CHECK(seq[copied.order[i - 1]] < seq[copied.order[i]]);
        h_check_batch(&copied, &desc);
        free_moving(bufs, gathered.count);
    }
}

/* The rest of an item that broke is held like any packet, even if nothing is behind it. */
TEST(left_over_packets_are_held)
{
    const tuo_gro_desc desc = {0};
    ops_state state = {0, 1, 0};
    tuo_buf_ops ops = moving_ops(&state);
    moving_buf bufs[BUFS];
    tuo_superpacket sp;
    void *pointer = &bufs[0];
    size_t to_write[1], written = 77, i;
    h_gro h = h_open(&desc);
    pkt_spec s = {0};

    h_clear(&gathered);
    for (i = 0; i < 3; i++, s.seq += 100, s.ip_id++)
        h_add(&gathered, &s);
    fill_moving(bufs, &gathered, 10, 65536);
    for (i = 0; i < 3; i++)
        tuo_gro_push_buf(h.gro, &ops, &bufs[i], 10, 0);
    for (i = 0; i < 3; i++) {
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_E_INVALID);
        CHECK_RESULT(tuo_gro_batch(h.gro, &ops, &pointer, 1, 10, to_write, &written), TUO_E_INVALID);
        CHECK_RESULT(tuo_gro_next_copy(h.gro, &ops, 10, &sp), TUO_OK);
        CHECK(sp.users[0] == &bufs[i]);
    }
    CHECK_EQ_INT(written, 77);
    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_OK);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, &ops, 10, &sp), TUO_DONE);
    free_moving(bufs, 3);
    h_close(&h);
}

TEST(append_failures_are_counted)
{
    const tuo_gro_desc desc = {0};
    ops_state state = {0, 2, 0};
    tuo_buf_ops ops = moving_ops(&state);
    moving_buf bufs[BUFS];
    tuo_gro_stats stats;
    tuo_superpacket sp;
    h_gro h = h_open(&desc);
    size_t i, emitted = 0;
    pkt_spec s = {0};

    h_clear(&gathered);
    for (i = 0; i < 5; i++, s.seq += 100, s.ip_id++)
        h_add(&gathered, &s);
    fill_moving(bufs, &gathered, 10, 65536);
    for (i = 0; i < 5; i++)
        CHECK_VERDICT(tuo_gro_push_buf(h.gro, &ops, &bufs[i], 10, 0), i ? TUO_V_APPENDED : TUO_V_HELD);
    while (tuo_gro_next_copy(h.gro, &ops, 10, &sp) == TUO_OK)
        CHECK_EQ_INT(sp.packet_count, emitted++ == 0 ? 2 : 1);
    CHECK_EQ_INT(emitted, 4); /* 0+1, then 2, 3, 4: nothing is appended behind a gap */
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.append_failures, 1);
    CHECK_EQ_INT(stats.packets_in, 5);
    CHECK_EQ_INT(stats.packets_out, 4);
    CHECK_EQ_INT(stats.superpackets, 1);
    CHECK_EQ_INT(stats.merged_packets, 2);
    free_moving(bufs, 5);
    h_close(&h);
}

/* --------------------------------------------------------------------------------------------------------- small buffers */

typedef struct capacity_row {
    const char *name;
    size_t room[4];       /* bytes beyond each packet */
    uint32_t seq[4];      /* in units of 100 bytes */
    tuo_verdict verdict[4];
    const char *groups;
} capacity_row;

static const capacity_row capacities[] = {
    {"no room", {0, 0, 0, 0}, {0, 1, 2, 3}, {TUO_V_HELD, TUO_V_CAP_BUFFER, TUO_V_CAP_BUFFER, TUO_V_CAP_BUFFER}, "0|1|2|3"},
    {"one byte too little", {99, 0, 0, 0}, {0, 1, 2, 3},
     {TUO_V_HELD, TUO_V_CAP_BUFFER, TUO_V_CAP_BUFFER, TUO_V_CAP_BUFFER}, "0|1|2|3"},
    {"room for one", {100, 0, 0, 0}, {0, 1, 2, 3}, {TUO_V_HELD, TUO_V_APPENDED, TUO_V_CAP_BUFFER, TUO_V_CAP_BUFFER}, "01|2|3"},
    {"room for one each", {100, 9, 100, 9}, {0, 1, 2, 3},
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_CAP_BUFFER, TUO_V_APPENDED}, "01|23"},
    {"prepend: no room in the late one's buffer", {999, 99, 0, 0}, {1, 0, 8, 9},
     {TUO_V_HELD, TUO_V_CAP_BUFFER, TUO_V_SEQ_GAP, TUO_V_CAP_BUFFER}, "1|0|2|3"},
    {"prepend: room in the late one's buffer only", {0, 100, 0, 0}, {1, 0, 8, 9},
     {TUO_V_HELD, TUO_V_PREPENDED, TUO_V_SEQ_GAP, TUO_V_CAP_BUFFER}, "10|2|3"},
#if SIZE_MAX > 0xffffffffu
    {"more room than 32 bits say", {(size_t)1 << 32, 0, 0, 0}, {0, 1, 2, 3},
     {TUO_V_HELD, TUO_V_APPENDED, TUO_V_APPENDED, TUO_V_APPENDED}, "0123"},
#endif
    {"join: room for all", {300, 100, 0, 0}, {0, 2, 3, 1}, {TUO_V_HELD, TUO_V_SEQ_GAP, TUO_V_APPENDED, TUO_V_APPENDED}, "0312"},
    {"join: one byte too little", {299, 100, 0, 0}, {0, 2, 3, 1},
     {TUO_V_HELD, TUO_V_SEQ_GAP, TUO_V_APPENDED, TUO_V_APPENDED}, "03|12"},
    {"join: a single one above", {200, 999, 0, 0}, {0, 2, 1, 9}, {TUO_V_HELD, TUO_V_SEQ_GAP, TUO_V_APPENDED, TUO_V_SEQ_GAP}, "021|3"},
    {"join: a single one above, one byte too little", {199, 999, 0, 0}, {0, 2, 1, 9},
     {TUO_V_HELD, TUO_V_SEQ_GAP, TUO_V_APPENDED, TUO_V_SEQ_GAP}, "02|1|3"},
    {"after a prepend the new head's room counts", {999, 150, 0, 0}, {1, 0, 2, 9},
     {TUO_V_HELD, TUO_V_PREPENDED, TUO_V_CAP_BUFFER, TUO_V_SEQ_GAP}, "10|2|3"},
};

TEST(capacity_limits)
{
    const tuo_gro_desc desc = {0};
    size_t i, k, offset;
    char text[32];

    for (i = 0; i < CHECK_COUNT_OF(capacities); i++)
        for (offset = 0; offset <= 64; offset += 32) {
            const capacity_row *row = &capacities[i];
            ops_state state = {0, 0, 0};
            tuo_buf_ops ops = moving_ops(&state);
            tuo_gro_desc checked = as_copied(&desc, offset);
            moving_buf bufs[BUFS];

            check_row("%s, offset %lu", row->name, (unsigned long)offset);
            h_clear(&gathered);
            for (k = 0; k < 4; k++) {
                pkt_spec s = {.seq = row->seq[k] * 100, .ip_id = (uint16_t)row->seq[k]};
                h_add(&gathered, &s);
            }
            fill_moving(bufs, &gathered, offset, 0);
            for (k = 0; k < 4; k++)
                bufs[k].capacity += row->room[k];
            run_copy(&desc, &ops, bufs, offset);
            for (k = 0; k < 4; k++)
                CHECK_VERDICT(copied.verdict[k], row->verdict[k]);
            CHECK_EQ_STR(h_groups(&copied, text, sizeof text), row->groups);
            h_check_batch(&copied, &checked);
            free_moving(bufs, 4);
        }
}

/* ------------------------------------------------------------------------------------------- several limits at the same time */

enum { LIMIT_BYTES = 1, LIMIT_SEGS = 2, LIMIT_FRAGS = 4, LIMIT_BUFFER = 8, LIMITS = 16, WITH_GATHER = 7, WITH_BUFFERS = 11 };

/* How the third packet comes: as the next of full length, as the next and shorter, or late, in front of the other two. */
typedef enum third_way { THIRD_NEXT, THIRD_SHORT, THIRD_LATE, THIRD_WAYS } third_way;

/* In this order they are named. */
static tuo_verdict first_limit(unsigned reached, tuo_verdict none)
{
    return reached & LIMIT_BYTES    ? TUO_V_CAP_BYTES
           : reached & LIMIT_SEGS   ? TUO_V_CAP_SEGS
           : reached & LIMIT_FRAGS  ? TUO_V_CAP_FRAGS
           : reached & LIMIT_BUFFER ? TUO_V_CAP_BUFFER
                                    : none;
}

/* Three packets of 200 bytes, or two and a shorter one, of which two fit each of the limits. */
static void check_limits(unsigned limits, pkt_kind kind, int by_copy, third_way way)
{
    enum { OFFSET = 10 };
    const tuo_gro_desc desc = {.max_bytes = limits & LIMIT_BYTES ? 576 : 0, .max_segs = limits & LIMIT_SEGS ? 2 : 0,
                               .max_udp_segs = limits & LIMIT_SEGS ? 2 : 0, .max_frags = limits & LIMIT_FRAGS ? 2 : 0};
    const unsigned reached = limits & (by_copy ? WITH_BUFFERS : WITH_GATHER);
    const size_t room = way == THIRD_LATE ? 399 : way == THIRD_SHORT ? 200 + 149 : 200 + 199;
    tuo_verdict v[3];
    tuo_buf bufs[3];
    h_gro h = h_open(&desc);
    size_t i;

    for (i = 0; i < 3; i++) {
        size_t place = way == THIRD_LATE ? (i + 1) % 3 : i;
        pkt_spec s = {.kind = kind, .payload_len = i == 2 && way == THIRD_SHORT ? 150 : 200, .seq = (uint32_t)(200 * place),
                      .ip_id = (uint16_t)place};
        bufs[i].data = (uint8_t *)h_alloc(1024);
        bufs[i].len = OFFSET + pkt_build(bufs[i].data + OFFSET, 1024 - OFFSET, &s);
        bufs[i].capacity = limits & LIMIT_BUFFER && i == (way == THIRD_LATE ? 2 : 0) ? bufs[i].len + room : 1024;
        v[i] = by_copy ? tuo_gro_push_buf(h.gro, NULL, &bufs[i], OFFSET, 0)
                       : tuo_gro_push(h.gro, bufs[i].data + OFFSET, bufs[i].len - OFFSET, NULL, 0);
    }
    CHECK_VERDICT(v[0], TUO_V_HELD);
    CHECK_VERDICT(v[1], TUO_V_APPENDED);
    CHECK_VERDICT(v[2], first_limit(reached, way == THIRD_LATE ? TUO_V_PREPENDED : TUO_V_APPENDED));
    tuo_gro_reset(h.gro);
    for (i = 0; i < 3; i++)
        free(bufs[i].data);
    h_close(&h);
}

TEST(limits_reached_at_the_same_time)
{
    unsigned limits;
    int kind, by_copy, way;

    for (limits = 0; limits < LIMITS; limits++)
        for (by_copy = 0; by_copy < 2; by_copy++) {
            check_row("%s%s%s%s%s", by_copy ? "by copy" : "gathered", limits & LIMIT_BYTES ? ", bytes" : "",
                      limits & LIMIT_SEGS ? ", segments" : "", limits & LIMIT_FRAGS ? ", fragments" : "",
                      limits & LIMIT_BUFFER ? ", buffer" : "");
            for (kind = 0; kind < PKT_KIND_COUNT; kind++)
                for (way = 0; way < THIRD_WAYS; way++)
                    if (way != THIRD_LATE || kind == PKT_TCP4 || kind == PKT_TCP6)
                        check_limits(limits, (pkt_kind)kind, by_copy, (third_way)way);
        }
}

/* ------------------------------------------------------------------------------------------------- the plain buffer, batch */

static void plain_buf(tuo_buf *buf, const pkt_spec *spec, size_t offset)
{
    buf->capacity = offset + 2048;
    buf->data = (uint8_t *)h_alloc(buf->capacity);
    memset(buf->data, HEADROOM_FILL, offset);
    buf->len = offset + pkt_build(buf->data + offset, buf->capacity - offset, spec);
}

/* Are these the payload bytes of the stream from here on? */
static int is_stream(const uint8_t *payload, size_t len, uint32_t seq)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (payload[i] != pkt_stream_byte(0, seq + (uint32_t)i))
            return 0;
    return 1;
}

typedef struct batch_row {
    const char *name;
    uint32_t max_packets;
    size_t count;
    uint8_t flow[10];
    uint32_t seq[10];         /* in units of 100 bytes */
    size_t written;
    size_t to_write[10];
    size_t payloads[10];      /* in each of them */
} batch_row;

static const batch_row batches[] = {
    {"nothing", 0, 0, {0}, {0}, 0, {0}, {0}},
    {"one packet", 0, 1, {0}, {0}, 1, {0}, {1}},
    {"one flow", 0, 4, {0, 0, 0, 0}, {0, 1, 2, 3}, 1, {0}, {4}},
    {"three flows, interleaved", 0, 7, {0, 1, 2, 0, 1, 0, 2}, {0, 0, 0, 1, 1, 2, 1}, 3, {0, 1, 2}, {3, 2, 2}},
    {"a prepended packet is the head at its item's place", 0, 3, {0, 1, 0}, {1, 0, 0}, 2, {2, 1}, {2, 1}},
    {"a gap", 0, 4, {0, 0, 0, 0}, {0, 2, 3, 5}, 3, {0, 1, 3}, {1, 2, 1}},
    {"a gap that is filled", 0, 4, {0, 0, 0, 0}, {0, 2, 3, 1}, 1, {0}, {4}},
    {"a gap that is filled, and more behind it", 0, 6, {0, 0, 0, 0, 0, 0}, {0, 2, 1, 3, 5, 4}, 1, {0}, {6}},
    {"all backwards", 0, 4, {0, 0, 0, 0}, {3, 2, 1, 0}, 1, {3}, {4}},
    {"two pairs, the later one first", 0, 5, {0, 0, 0, 0, 1}, {5, 6, 0, 1, 0}, 3, {2, 0, 4}, {2, 2, 1}},
    {"more packets than max_packets", 4, 10, {0}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 3, {0, 4, 8}, {4, 4, 2}},
    {"max_packets 1", 1, 3, {0}, {0, 1, 2}, 3, {0, 1, 2}, {1, 1, 1}},
    {"exactly max_packets", 4, 4, {0}, {0, 1, 2, 3}, 1, {0}, {4}},
};

TEST(batch_lists_what_to_write)
{
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(batches); i++) {
        const batch_row *row = &batches[i];
        tuo_gro_desc desc = {0};
        tuo_buf bufs[10];
        void *pointers[10];
        size_t to_write[10], written = 99;
        tuo_vnet_hdr vnet;
        h_gro h;

        check_row("%s", row->name);
        desc.max_packets = row->max_packets;
        h = h_open(&desc);
        for (k = 0; k < row->count; k++) {
            pkt_spec s = {.seq = row->seq[k] * 100, .ip_id = (uint16_t)row->seq[k], .src_port = 7 + row->flow[k]};
            plain_buf(&bufs[k], &s, 10);
            pointers[k] = &bufs[k];
        }
        CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, row->count, 10, to_write, &written), TUO_OK);
        CHECK_EQ_INT(written, row->written);
        for (k = 0; k < row->written && k < written; k++) {
            const tuo_buf *buf = &bufs[to_write[k] % 10];
            CHECK_EQ_INT(to_write[k], row->to_write[k]);
            CHECK_EQ_INT(buf->len, 10 + 40 + 100 * row->payloads[k]);
            CHECK(is_stream(buf->data + 50, buf->len - 50, row->seq[to_write[k] % 10] * 100));
            CHECK_RESULT(tuo_vnet_decode(buf->data, 10, 10, TUO_ORDER_NATIVE, &vnet), TUO_OK);
            CHECK_EQ_INT(vnet.gso_type, row->payloads[k] > 1 ? TUO_GSO_TCPV4 : TUO_GSO_NONE);
            CHECK_RESULT(tuo_vnet_check(&vnet, buf->data + 10, buf->len - 10, TUO_F_WRITE), TUO_OK);
        }
        for (k = 0; k < row->count; k++)
            free(bufs[k].data);
        h_close(&h);
    }
}

/* A buffer that is shorter than its headroom, or just as long, is an empty packet: listed, and nobody else's problem. */
TEST(short_buffers_are_listed)
{
    static const size_t lens[] = {0, 3, 10, 64};
    const tuo_gro_desc desc = {0};
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(lens); i++) {
        tuo_buf bufs[3];
        void *pointers[3];
        size_t to_write[3], written = 0;
        pkt_spec s = {0};
        h_gro h = h_open(&desc);

        check_row("buffer of %lu bytes, headroom 64", (unsigned long)lens[i]);
        for (k = 0; k < 3; k++) {
            s.seq = k == 2 ? 100 : 0;
            s.ip_id = k == 2 ? 1 : 0;
            plain_buf(&bufs[k], &s, 64);
            pointers[k] = &bufs[k];
        }
        free(bufs[1].data);
        bufs[1].data = (uint8_t *)h_alloc(lens[i]);
        bufs[1].len = bufs[1].capacity = lens[i];
        CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, 3, 64, to_write, &written), TUO_OK);
        CHECK_EQ_INT(written, 2);
        CHECK_EQ_INT(to_write[0], 0);
        CHECK_EQ_INT(to_write[1], 1);
        CHECK_EQ_INT(bufs[0].len, 64 + 240);
        CHECK_EQ_INT(bufs[1].len, lens[i]);
        for (k = 0; k < 3; k++)
            free(bufs[k].data);
        h_close(&h);
    }
}

/* The same far behind the front of a batch, where buffers are looked at ahead of time, and without any memory; and one by one. No
   pointer is made of what is not there (UBSan), and no vnet header is written. */
TEST(short_buffers_among_others)
{
    enum { COUNT = 30, OFFSET = 64 };
    static const size_t lens[] = {0, 3, OFFSET, 10};
    const tuo_gro_desc desc = {0};
    tuo_buf bufs[COUNT];
    void *pointers[COUNT];
    size_t to_write[COUNT], written = 0, i, shorts = 0, way;
    uint8_t before[OFFSET];
    tuo_superpacket sp;

    memset(before, HEADROOM_FILL, sizeof before);
    for (way = 0; way < 2; way++) {
        h_gro h = h_open(&desc);
        check_row("%s", way ? "one by one" : "in one call");
        for (i = shorts = 0; i < COUNT; i++) {
            pointers[i] = &bufs[i];
            if (i % 2 == 0) {
                pkt_spec s = {.seq = (uint32_t)(100 * (i / 2)), .ip_id = (uint16_t)(i / 2)};
                plain_buf(&bufs[i], &s, OFFSET);
                continue;
            }
            bufs[i].len = bufs[i].capacity = lens[shorts++ % CHECK_COUNT_OF(lens)];
            bufs[i].data = bufs[i].len ? (uint8_t *)h_alloc(bufs[i].len) : NULL;
            if (bufs[i].len)
                memset(bufs[i].data, HEADROOM_FILL, bufs[i].len);
        }
        if (way == 0) {
            CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, COUNT, OFFSET, to_write, &written), TUO_OK);
        } else {
            for (i = 0; i < COUNT; i++)
                CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[i], OFFSET, 0),
                              i % 2 ? TUO_V_TRUNCATED : i ? TUO_V_APPENDED : TUO_V_HELD);
            for (written = 0; tuo_gro_next_copy(h.gro, NULL, OFFSET, &sp) == TUO_OK; written++) {
                const tuo_buf *buf = (const tuo_buf *)sp.users[0];
                size_t vnet_len = buf->len < OFFSET ? 0 : 10;
                to_write[written] = (size_t)(buf - bufs);
                CHECK_EQ_INT(sp.vnet_len, vnet_len);
                CHECK_EQ_INT(sp.len, buf->len < OFFSET ? 0 : buf->len - OFFSET + vnet_len);
                CHECK_EQ_INT(sp.iov[0].len, sp.len);
                CHECK(buf->len < OFFSET ? sp.iov[0].base == buf->data : sp.iov[0].base == buf->data + OFFSET - vnet_len);
            }
        }
        CHECK_EQ_INT(written, 1 + COUNT / 2);
        CHECK_EQ_INT(bufs[0].len, OFFSET + 40 + 100 * COUNT / 2);
        for (i = 0; i < written; i++)
            CHECK_EQ_INT(to_write[i], i ? 2 * i - 1 : 0);
        for (i = 1; i < COUNT; i += 2) {
            CHECK_BYTES(bufs[i].data, before, bufs[i].len < OFFSET ? bufs[i].len : OFFSET - 10);
            CHECK_EQ_INT(bufs[i].len, bufs[i].capacity);
        }
        for (i = 0; i < COUNT; i++)
            free(bufs[i].data);
        h_close(&h);
    }
}

/* A len that forgot the headroom cuts the packet, which looks like one that came truncated: both are counted. */
TEST(lengths_that_forgot_their_headroom)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t headroom, missing; /* bytes that len lacks */
        unsigned counted;
    } rows[] = {
        {"nothing is missing", {0}, 10, 0, 0},
        {"all of the headroom", {0}, 10, 10, 1},
        {"IPv6", {.kind = PKT_UDP6}, 64, 64, 1},
        {"Ethernet", {.kind = PKT_TCP6, .ethernet = 1}, 24, 24, 1},
        {"with bytes behind the packet", {.ethernet = 1, .trailer_len = 6}, 24, 24, 1},
        {"no more bytes than those behind the packet", {.ethernet = 1, .trailer_len = 24}, 24, 24, 0},
        {"more than the headroom", {0}, 10, 11, 0},
        {"one byte", {0}, 10, 1, 1},
        {"too short for an IP header", {.payload_len = 10}, 50, 45, 1},
        {"too short for an IP length", {.payload_len = 10}, 50, 47, 0},
        {"too short for the IP options", {.payload_len = 10, .ip_options = (const uint8_t *)"\1\1\1\1", .ip_options_len = 4}, 64, 32, 1},
        {"IPv6, too short for an IP header", {.kind = PKT_UDP6, .payload_len = 10}, 64, 50, 1},
        {"IPv6, too short for an IP length", {.kind = PKT_UDP6, .payload_len = 10}, 64, 53, 0},
        {"too short for an Ethernet header", {.ethernet = 1, .payload_len = 10}, 64, 60, 0},
        {"an IP length below its own header", {.ip_len_zero = 1}, 10, 0, 0},
    };
    size_t i, to_write[1], written;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const tuo_gro_desc desc = {.ethernet = rows[i].spec.ethernet};
        tuo_gro_stats stats;
        tuo_buf buf;
        void *pointer = &buf;
        h_gro h = h_open(&desc);

        check_row("%s", rows[i].name);
        plain_buf(&buf, &rows[i].spec, rows[i].headroom);
        buf.len -= rows[i].missing;
        CHECK_RESULT(tuo_gro_batch(h.gro, NULL, &pointer, 1, rows[i].headroom, to_write, &written), TUO_OK);
        tuo_gro_query_stats(h.gro, &stats);
        CHECK_EQ_INT(stats.headroom_short, rows[i].counted);
        CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &buf, 0, 0), TUO_V_NOT_IP); /* the headroom itself */
        CHECK_VERDICT(tuo_gro_push(h.gro, buf.data + rows[i].headroom, buf.len - rows[i].headroom, NULL, 0),
                      tuo_gro_candidate(buf.data + rows[i].headroom, buf.len - rows[i].headroom, desc.ethernet));
        tuo_gro_query_stats(h.gro, &stats);
        CHECK_EQ_INT(stats.headroom_short, rows[i].counted);
        free(buf.data);
        h_close(&h);
    }
}

/* virtio 1.3 5.1.6.4: num_buffers is 1 in each header that has it, byte for byte. */
TEST(guests_read_num_buffers)
{
    static const uint32_t lens[] = {10, 12, 20, 24};
    static const tuo_order orders[] = {TUO_ORDER_LITTLE, TUO_ORDER_BIG};
    size_t i, k, mode;

    for (i = 0; i < 2 * CHECK_COUNT_OF(lens) * CHECK_COUNT_OF(orders); i++) {
        const uint32_t len = lens[i / 2 % CHECK_COUNT_OF(lens)];
        const tuo_order order = orders[i / 2 / CHECK_COUNT_OF(lens)];
        const tuo_gro_desc desc = {.vnet_hdr_len = len, .vnet_order = order, .virtio_guest = (uint8_t)(i % 2)};
        const size_t one = order == TUO_ORDER_BIG ? 11 : 10;
        pkt_spec s[3] = {{0}, {.seq = 100, .ip_id = 1}, {.kind = PKT_UDP6}};
        h_gro h = h_open(&desc);

        check_row("header of %u bytes, order %d, guest %d", (unsigned)len, (int)order, desc.virtio_guest);
        for (mode = 0; mode < 2; mode++) {
            tuo_buf bufs[3];
            tuo_superpacket sp;
            for (k = 0; k < 3; k++) {
                plain_buf(&bufs[k], &s[k], 24);
                if (mode)
                    (void)tuo_gro_push_buf(h.gro, NULL, &bufs[k], 24, 0);
                else
                    (void)tuo_gro_push(h.gro, bufs[k].data + 24, bufs[k].len - 24, &bufs[k], 0);
            }
            for (k = 0; k < 2; k++) {
                const uint8_t *wire;
                CHECK_RESULT(mode ? tuo_gro_next_copy(h.gro, NULL, 24, &sp) : tuo_gro_next(h.gro, &sp), TUO_OK);
                wire = (const uint8_t *)sp.iov[0].base;
                CHECK_EQ_INT(sp.packet_count, k ? 1 : 2);
                CHECK_EQ_INT(wire[1], k ? TUO_GSO_NONE : TUO_GSO_TCPV4);
                CHECK_EQ_INT(sp.vnet.num_buffers, desc.virtio_guest);
                if (len >= 12) {
                    CHECK_EQ_INT(wire[one], desc.virtio_guest);
                    CHECK_EQ_INT(wire[21 - one], 0);
                }
            }
            CHECK_RESULT(mode ? tuo_gro_next_copy(h.gro, NULL, 24, &sp) : tuo_gro_next(h.gro, &sp), TUO_DONE);
            for (k = 0; k < 3; k++)
                free(bufs[k].data);
        }
        h_close(&h);
    }
}

/* The plain buffer: its append checks the capacity for itself, whatever was promised at push. */
TEST(plain_buffer_that_shrinks)
{
    const tuo_gro_desc desc = {0};
    pkt_spec first = {0}, second = {.seq = 100, .ip_id = 1};
    tuo_buf bufs[2];
    tuo_superpacket sp;
    tuo_gro_stats stats;
    h_gro h = h_open(&desc);

    plain_buf(&bufs[0], &first, 10);
    plain_buf(&bufs[1], &second, 10);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[0], 10, 0), TUO_V_HELD);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[1], 10, 0), TUO_V_APPENDED);
    bufs[0].capacity = bufs[0].len + 99;
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 10, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 1);
    CHECK(sp.users[0] == &bufs[0]);
    CHECK_EQ_INT(bufs[0].len, 10 + 140);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 10, &sp), TUO_OK);
    CHECK(sp.users[0] == &bufs[1]);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 10, &sp), TUO_DONE);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.append_failures, 1);
    CHECK_EQ_INT(stats.superpackets, 0);
    free(bufs[0].data);
    free(bufs[1].data);
    h_close(&h);
}

/* max_frags is about iovecs: copying has no such limit. */
TEST(max_frags_is_for_gather_only)
{
    const tuo_gro_desc desc = {.max_frags = 2};
    ops_state state = {0, 0, 0};
    tuo_buf_ops ops = moving_ops(&state);
    moving_buf bufs[BUFS];
    pkt_spec s = {0};
    size_t i;
    char text[16];

    h_clear(&gathered);
    for (i = 0; i < 4; i++, s.seq += 100, s.ip_id++)
        h_add(&gathered, &s);
    run_gather(&desc);
    CHECK_EQ_STR(h_groups(&gathered, text, sizeof text), "01|23");
    fill_moving(bufs, &gathered, 10, 65536);
    run_copy(&desc, &ops, bufs, 10);
    CHECK_EQ_STR(h_groups(&copied, text, sizeof text), "0123");
    h_check_batch(&copied, &desc);
    free_moving(bufs, 4);
}

/* ------------------------------------------------------------------------------------------------------- mixing the modes */

TEST(modes_do_not_mix)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp;
    tuo_buf buf;
    void *pointer = &buf;
    size_t to_write[1], written = 77;

    h_clear(&gathered);
    h_add(&gathered, &s);
    plain_buf(&buf, &s, 10);
    h_push(&gathered, h.gro, 0, 0);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 10, &sp), TUO_E_INVALID);
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, &pointer, 1, 10, to_write, &written), TUO_E_INVALID);
    CHECK_EQ_INT(written, 77);
    h_drain(&gathered, h.gro); /* and the packet is still there */
    CHECK_EQ_INT(gathered.group_count, 1);
    h_check_batch(&gathered, &desc);
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, &pointer, 1, 10, to_write, &written), TUO_OK);
    CHECK_EQ_INT(written, 1);
    free(buf.data);
    h_close(&h);
}

/* Packets with and without a buffer, pushed in turn. */
typedef struct mixed_push {
    const tuo_gro_desc *desc;
    size_t offset;
    tuo_buf bufs[BUFS];
    int has_buffer[BUFS];
} mixed_push;

/* The limits of an item are those of its first packet: max_frags, if that has no buffer; the room in its buffer, if it has one. */
static int mixed_limits_hold(const mixed_push *m)
{
    size_t g;

    for (g = 0; g < gathered.group_count; g++) {
        const h_group *group = &gathered.group[g];
        const size_t head = gathered.order[group->first];
        if (group->count > 1 && m->has_buffer[head] && !CHECK(group->len <= m->bufs[head].capacity - m->offset))
            return 0;
        if (group->count > 1 && !m->has_buffer[head] && m->desc->max_frags && !CHECK(group->count <= m->desc->max_frags))
            return 0;
    }
    return 1;
}

static int buffers_are_unchanged(const mixed_push *m)
{
    size_t i;

    for (i = 0; i < gathered.count; i++)
        if (!CHECK_EQ_INT(m->bufs[i].len, m->offset + gathered.len[i]) ||
            !CHECK_BYTES(m->bufs[i].data + m->offset, gathered.pkt[i], gathered.len[i]))
            return 0;
    return guards_are_whole(m->bufs, gathered.count);
}

static void push_mixed(mixed_push *m, tuo_gro *gro, rng *r)
{
    size_t i;

    for (i = 0; i < gathered.count; i++) {
        m->has_buffer[i] = rng_chance(r, 1, 2);
        gathered.trusted[i] = 0;
        gathered.verdict[i] = m->has_buffer[i] ? tuo_gro_push_buf(gro, NULL, &m->bufs[i], m->offset, 0)
                                               : tuo_gro_push(gro, gathered.pkt[i], gathered.len[i], &m->bufs[i], 0);
    }
}

static void drain_mixed(const mixed_push *m, tuo_gro *gro)
{
    void *users[BUFS];
    tuo_superpacket sp;
    size_t i;

    while (tuo_gro_next(gro, &sp) == TUO_OK) {
        for (i = 0; i < sp.packet_count; i++)
            users[i] = h_user(&gathered, (size_t)((const tuo_buf *)sp.users[i] - m->bufs));
        sp.users = users;
        h_collect(&gathered, &sp);
    }
}

/* tuo_gro_next drains both; nothing is lost or changed, no buffer is left with other bytes than its own. */
TEST(pushes_of_both_kinds_are_gathered)
{
    static const uint32_t max_frags[] = {0, 2, 3, 5};
    static const size_t rooms[] = {0, 1, 99, 100, 200, 400, 3000, 65536};
    static mixed_push m;
    rng r = rng_start("both kinds", 79);
    unsigned long merged = 0, of_both = 0;
    unsigned round;
    size_t i, g;
    int ok = 1;

    for (round = 0; ok && round < 400; round++) {
        tuo_gro_desc desc;
        moving_buf like[BUFS];
        tuo_superpacket sp;
        h_gro h;

        random_packets(&r, &desc);
        desc.max_frags = max_frags[round % CHECK_COUNT_OF(max_frags)];
        m.desc = &desc;
        m.offset = round % 3 * 12;
        for (i = 0; i < gathered.count; i++)
            like[i].capacity = m.offset + gathered.len[i] + rooms[rng_below(&r, CHECK_COUNT_OF(rooms))];
        fill_plain(m.bufs, &gathered, like, m.offset);
        h = h_open(&desc);
        push_mixed(&m, h.gro, &r);
        for (i = 0; i < gathered.count && m.has_buffer[i]; i++)
            continue;
        if (i < gathered.count) /* one that has no buffer: not by copy */
            ok = CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, m.offset, &sp), TUO_E_INVALID);
        drain_mixed(&m, h.gro);
        ok = ok && h_check_batch(&gathered, &desc) && mixed_limits_hold(&m) && buffers_are_unchanged(&m);
        for (g = 0; g < gathered.group_count; g++) {
            int with = 0, without = 0;
            for (i = 0; i < gathered.group[g].count; i++)
                *(m.has_buffer[gathered.order[gathered.group[g].first + i]] ? &with : &without) = 1;
            of_both += with && without;
        }
        merged += (unsigned long)(gathered.count - gathered.group_count);
        for (i = 0; i < gathered.count; i++)
            free(m.bufs[i].data);
        h_close(&h);
        if (!ok)
            printf("round %u\n", round);
    }
    CHECK(ok);
    CHECK(merged > 1000);
    CHECK(of_both > 300);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(three_modes_same_bytes),
        CHECK_ENTRY(plain_buffers_as_by_callbacks),
        CHECK_ENTRY(append_fails_at_each_call),
        CHECK_ENTRY(append_fails_behind_late_segments),
        CHECK_ENTRY(append_fails_in_a_place_that_arrived_before),
        CHECK_ENTRY(left_over_packets_are_held),
        CHECK_ENTRY(append_failures_are_counted),
        CHECK_ENTRY(lengths_that_forgot_their_headroom),
        CHECK_ENTRY(guests_read_num_buffers),
        CHECK_ENTRY(capacity_limits),
        CHECK_ENTRY(limits_reached_at_the_same_time),
        CHECK_ENTRY(batch_lists_what_to_write),
        CHECK_ENTRY(short_buffers_are_listed),
        CHECK_ENTRY(short_buffers_among_others),
        CHECK_ENTRY(plain_buffer_that_shrinks),
        CHECK_ENTRY(max_frags_is_for_gather_only),
        CHECK_ENTRY(modes_do_not_mix),
        CHECK_ENTRY(pushes_of_both_kinds_are_gathered),
    };
    int failed = CHECK_RUN(argc, argv, tests);

    h_clear(&gathered);
    h_clear(&copied);
    return failed;
}
