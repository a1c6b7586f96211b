/* test_gro_batch.c - many packets in and out in one call, at the edges: full instances, empty batches, pushes in the middle of a drain,
   arrays too short for all packets. That batches do what single calls do, whatever the packets are, is in test_gro_property.c. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "inside.h"

static h_batch batch;

static const char *const kind_names[PKT_KIND_COUNT] = {"TCP4", "UDP4", "TCP6", "UDP6"};

/* The next packets of one flow. */
static void add_run(pkt_spec *s, size_t count)
{
    for (; count; count--) {
        h_add(&batch, s);
        s->seq += (uint32_t)pkt_payload_len(s);
        s->ip_id++;
    }
}

static uint64_t no_room_count(const tuo_gro *gro)
{
    tuo_gro_stats stats;

    tuo_gro_query_stats(gro, &stats);
    return stats.verdicts[TUO_V_NO_ROOM];
}

/* ------------------------------------------------------------------------------------------------------------------ in */

/* What does not fit is not taken, and counted once; the verdicts behind it are not written. After a drain the rest goes on. */
TEST(full_in_the_middle_of_a_batch)
{
    static const uint32_t max_packets[] = {1, 2, 7, 8, 9, 19, 20};
    enum { COUNT = 20, UNTOUCHED = 99 };
    size_t i, k, held, taken;
    uint64_t short_calls;

    for (i = 0; i < CHECK_COUNT_OF(max_packets); i++)
        for (held = 0; held < 2; held++) { /* packets of an earlier call */
            const tuo_gro_desc desc = {.max_packets = max_packets[i] + (uint32_t)held};
            pkt_spec s = {0};
            h_gro h = h_open(&desc);

            check_row("room for %lu, %lu held", (unsigned long)max_packets[i], (unsigned long)held);
            h_clear(&batch);
            add_run(&s, held + COUNT);
            CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, held, 0, 1), held);
            for (k = held; k < batch.count; k++)
                batch.verdict[k] = (tuo_verdict)UNTOUCHED;
            taken = h_push_batch(&batch, h.gro, held, COUNT, 0, 1);
            CHECK_EQ_INT(taken, max_packets[i]);
            for (k = 0; k < COUNT; k++)
                CHECK_EQ_INT(batch.verdict[held + k], k >= taken ? UNTOUCHED : held + k ? TUO_V_APPENDED : TUO_V_HELD);
            short_calls = taken < COUNT;
            CHECK_EQ_INT(no_room_count(h.gro), short_calls);
            CHECK_EQ_INT(h_push_batch(&batch, h.gro, batch.count - 1, 1, 0, 0), 0);
            CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[0], batch.len[0], NULL, 0), TUO_V_NO_ROOM);
            CHECK_EQ_INT(no_room_count(h.gro), short_calls + 2);
            CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 0, 0, 1), 0); /* nothing was refused */
            CHECK_EQ_INT(no_room_count(h.gro), short_calls + 2);
            for (k = held + taken; k < batch.count; k += taken) {
                h_drain_batch(&batch, h.gro, 2);
                taken = h_push_batch(&batch, h.gro, k, batch.count - k, 0, 1);
                CHECK(taken == max_packets[i] + held || taken == batch.count - k);
                CHECK_VERDICT(batch.verdict[k], TUO_V_HELD);
            }
            h_drain_batch(&batch, h.gro, 2);
            for (k = 0; k < batch.count; k++)
                CHECK_EQ_INT(batch.order[k], k);
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    h_clear(&batch);
}

/* No packet: nothing is closed, counted or given up, whether something is held or was drained. */
TEST(batches_of_none)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp[2], before[2];
    tuo_gro_stats a, b;
    tuo_verdict verdict = TUO_V_COUNT;

    h_clear(&batch);
    add_run(&s, 3);
    tuo_gro_query_stats(h.gro, &a);
    CHECK_EQ_INT(tuo_gro_push_batch(h.gro, NULL, 0, 0, &verdict), 0);
    CHECK_EQ_INT(verdict, TUO_V_COUNT);
    memset(sp, 0x5a, sizeof sp);
    memcpy(before, sp, sizeof sp);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 0), 0);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 2), 0);
    CHECK_BYTES(sp, before, sizeof sp);
    tuo_gro_query_stats(h.gro, &b);
    h_same_stats(&a, &b);
    h_push(&batch, h.gro, 0, 0);
    CHECK_EQ_INT(tuo_gro_push_batch(h.gro, NULL, 0, 0, &verdict), 0);
    CHECK_VERDICT(h_push(&batch, h.gro, 1, 0), TUO_V_APPENDED);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 0), 0); /* no packet was asked for: no flow is closed */
    CHECK_VERDICT(h_push(&batch, h.gro, 2, 0), TUO_V_APPENDED);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 2), 1);
    CHECK_EQ_INT(tuo_gro_push_batch(h.gro, NULL, 0, 0, NULL), 0); /* no push: what was handed out stays good */
    h_collect(&batch, &sp[0]);
    CHECK_EQ_INT(batch.group[0].count, 3);
    h_check_batch(&batch, &desc);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 2), 0);
    h_close(&h);
    h_clear(&batch);
}

/* Packets without a byte, also where their headers would be fetched ahead. */
TEST(packets_without_bytes)
{
    enum { COUNT = 20 };
    const tuo_gro_desc desc = {0};
    static tuo_packet packets[COUNT];
    tuo_verdict verdicts[COUNT];
    tuo_superpacket sp[COUNT];
    h_gro h = h_open(&desc);
    size_t i;

    memset(packets, 0, sizeof packets);
    CHECK_EQ_INT(tuo_gro_push_batch(h.gro, packets, COUNT, 0, verdicts), COUNT);
    for (i = 0; i < COUNT; i++)
        CHECK_VERDICT(verdicts[i], TUO_V_TRUNCATED);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, COUNT), COUNT);
    for (i = 0; i < COUNT; i++)
        CHECK_EQ_INT(sp[i].len, sp[i].vnet_len);
    h_close(&h);
}

/* A hint is for each packet of its batch, and for no other one. */
TEST(hints_are_for_their_batch)
{
    static const unsigned all = ~0u;
    static const struct {
        const char *name;
        unsigned hints[2];
        int ip_is_bad; /* or else the TCP or UDP checksum */
        tuo_verdict last;
        int kinds; /* a bit each */
    } rows[] = {
        {"TRUST, both", {TUO_F_TRUST, TUO_F_TRUST}, 0, TUO_V_APPENDED, 15},
        {"TRUST, the first batch only", {TUO_F_TRUST, 0}, 0, TUO_V_BAD_L4_CSUM, 15},
        {"TRUST, the second batch only", {0, TUO_F_TRUST}, 0, TUO_V_APPENDED, 15},
        {"TRUST_L4", {TUO_F_TRUST_L4, TUO_F_TRUST_L4}, 0, TUO_V_APPENDED, 15},
        {"TRUST_L4 says nothing of the IPv4 header", {TUO_F_TRUST_L4, TUO_F_TRUST_L4}, 1, TUO_V_BAD_IP_CSUM, 3},
        {"other flags are no hint", {all & ~(unsigned)(TUO_F_TRUST | TUO_F_TRUST_L4), all & ~(unsigned)(TUO_F_TRUST | TUO_F_TRUST_L4)},
         0, TUO_V_BAD_L4_CSUM, 15},
    };
    size_t i, kind;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++)
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            const tuo_gro_desc desc = {0};
            pkt_spec s = {.kind = (pkt_kind)kind};
            h_gro h = h_open(&desc);

            if (!(rows[i].kinds >> kind & 1)) {
                h_close(&h);
                continue;
            }
            check_row("%s, %s", rows[i].name, kind_names[kind]);
            h_clear(&batch);
            add_run(&s, 3);
            s.ip_csum_xor = (uint16_t)rows[i].ip_is_bad;
            s.l4_csum_xor = (uint16_t)!rows[i].ip_is_bad;
            add_run(&s, 1);
            CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 2, rows[i].hints[0], 1), 2);
            CHECK_EQ_INT(h_push_batch(&batch, h.gro, 2, 2, rows[i].hints[1], 1), 2);
            CHECK_VERDICT(batch.verdict[2], TUO_V_APPENDED);
            CHECK_VERDICT(batch.verdict[3], rows[i].last);
            CHECK_VERDICT(tuo_gro_candidate(batch.pkt[3], batch.len[3], 0), TUO_V_HELD);
            h_drain_batch(&batch, h.gro, 9);
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    h_clear(&batch);
}

/* ----------------------------------------------------------------------------------------------------------------- out */

/* Three superpackets and two single packets, with arrays of each length: all of them alive at once, in the order of single calls. */
TEST(arrays_shorter_than_what_is_held)
{
    enum { EMITTED = 5, UNTOUCHED = 0x5a };
    size_t step, i, n;

    for (step = 1; step <= EMITTED + 1; step++) {
        const tuo_gro_desc desc = {0};
        tuo_superpacket sp[EMITTED + 2], untouched;
        h_gro h = h_open(&desc);

        check_row("%lu a call", (unsigned long)step);
        memset(sp, UNTOUCHED, sizeof sp);
        memset(&untouched, UNTOUCHED, sizeof untouched);
        h_clear(&batch);
        for (i = 0; i < EMITTED; i++) {
            pkt_spec s = {.kind = (pkt_kind)(i % PKT_KIND_COUNT), .src_port = (int32_t)(10 + i)};
            add_run(&s, i < 3 ? 2 + i : 1);
        }
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, batch.count, 0, 1), batch.count);
        for (n = 0; n < EMITTED; n += step) {
            size_t expected = EMITTED - n < step ? EMITTED - n : step;
            CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp + n, step), expected);
            CHECK_BYTES(&sp[n + expected], &untouched, sizeof untouched);
        }
        CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 1), 0);
        for (i = 0; i < EMITTED; i++) {
            CHECK_EQ_INT(sp[i].packet_count, i < 3 ? 2 + i : 1);
            h_collect(&batch, &sp[i]);
        }
        for (i = 0; i < batch.count; i++)
            CHECK_EQ_INT(batch.order[i], i);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* The first call closes all flows; what is pushed between two calls comes out of the same drain, joined to nothing but itself. */
TEST(pushes_between_two_batches_of_a_drain)
{
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        const tuo_gro_desc desc = {.max_packets = 9};
        pkt_spec s = {.kind = (pkt_kind)kind}, other = {.kind = (pkt_kind)kind, .src_port = 1};
        tuo_superpacket sp[4];
        char text[32];
        h_gro h = h_open(&desc);

        check_row("%s", kind_names[kind]);
        h_clear(&batch);
        add_run(&s, 2);      /* 01 */
        add_run(&other, 3);  /* 234 */
        add_run(&s, 2);      /* 56: behind 01 */
        add_run(&other, 2);  /* 78: behind 234 */
        add_run(&s, 1);      /* 9: no room */
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 5, 0, 1), 5);
        CHECK_EQ_INT(tuo_gro_next_batch(h.gro, &sp[0], 1), 1);
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 5, 2, 0, 1), 2);
        CHECK_VERDICT(batch.verdict[5], TUO_V_HELD);
        CHECK_VERDICT(batch.verdict[6], TUO_V_APPENDED);
        CHECK_EQ_INT(tuo_gro_next_batch(h.gro, &sp[1], 1), 1);
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 7, 3, 0, 1), 2);
        CHECK_VERDICT(batch.verdict[7], TUO_V_HELD);
        CHECK_VERDICT(batch.verdict[8], TUO_V_APPENDED);
        CHECK_EQ_INT(tuo_gro_next_batch(h.gro, &sp[2], 2), 2); /* all that is held, but that was not asked */
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 9, 1, 0, 1), 0);
        CHECK_EQ_INT(no_room_count(h.gro), 2);
        h_collect(&batch, &sp[0]);
        h_collect(&batch, &sp[1]);
        h_collect(&batch, &sp[2]);
        h_collect(&batch, &sp[3]);
        CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 4), 0);
        CHECK_EQ_INT(h_push_batch(&batch, h.gro, 9, 1, 0, 1), 1);
        h_drain_batch(&batch, h.gro, 4);
        CHECK_EQ_STR(h_groups(&batch, text, sizeof text), "01|234|56|78|9");
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* Single calls and batches in one drain, and a reset in it. */
TEST(batches_among_single_calls)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0}, other = {.src_port = 1};
    tuo_superpacket sp[3];
    char text[32];
    h_gro h = h_open(&desc);

    h_clear(&batch);
    add_run(&s, 4);
    add_run(&other, 2);
    CHECK_VERDICT(h_push(&batch, h.gro, 0, 0), TUO_V_HELD);
    CHECK_EQ_INT(h_push_batch(&batch, h.gro, 1, 2, 0, 1), 2);
    CHECK_VERDICT(h_push(&batch, h.gro, 3, 0), TUO_V_APPENDED);
    CHECK_EQ_INT(h_push_batch(&batch, h.gro, 4, 2, 0, 1), 2);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp[0]), TUO_OK);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, &sp[1], 2), 1);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp[2]), TUO_DONE);
    h_collect(&batch, &sp[0]);
    h_collect(&batch, &sp[1]);
    CHECK_EQ_STR(h_groups(&batch, text, sizeof text), "0123|45");
    h_check_batch(&batch, &desc);
    CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 6, 0, 1), 6);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 1), 1);
    tuo_gro_reset(h.gro);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 3), 0);
    CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 6, 0, 1), 6);
    CHECK_VERDICT(batch.verdict[0], TUO_V_HELD);
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sp, 3), 2);
    h_close(&h);
    h_clear(&batch);
}

/* A batch has no buffers: it is not drained by copy. */
TEST(batches_are_not_drained_by_copy)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    tuo_superpacket sp;
    h_gro h = h_open(&desc);

    h_clear(&batch);
    add_run(&s, 2);
    CHECK_EQ_INT(h_push_batch(&batch, h.gro, 0, 2, 0, 1), 2);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 0, &sp), TUO_E_INVALID);
    h_drain_batch(&batch, h.gro, 2);
    CHECK_EQ_INT(batch.group_count, 1);
    h_check_batch(&batch, &desc);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 0, &sp), TUO_DONE);
    h_close(&h);
    h_clear(&batch);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(full_in_the_middle_of_a_batch),
        CHECK_ENTRY(batches_of_none),
        CHECK_ENTRY(packets_without_bytes),
        CHECK_ENTRY(hints_are_for_their_batch),
        CHECK_ENTRY(arrays_shorter_than_what_is_held),
        CHECK_ENTRY(pushes_between_two_batches_of_a_drain),
        CHECK_ENTRY(batches_among_single_calls),
        CHECK_ENTRY(batches_are_not_drained_by_copy),
    };

    return CHECK_RUN(argc, argv, tests);
}
