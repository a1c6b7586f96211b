/* test_gro_order.c - order repair: trains of TCP packets that arrive out of order leave in about as many packets as the same trains in
   order; each connection leaves in sequence order, in the places in which it arrived, and what cannot be repaired overtakes nothing. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "inside.h"

static h_batch batch;

/* ------------------------------------------------------------------------------------------------------------- trains */

enum { TRAIN = 128, FLOWS = 4, ROUNDS = 16 };

/* Two ways to put a train out of order: each packet is late by up to `window` places, or windows are shuffled one by one. The second
   leaves larger pieces that together exceed a superpacket, and nothing is ever cut. */
typedef enum disorder { LATE_BY, SHUFFLED, DISORDERS } disorder;

static const char *const disorder_names[DISORDERS] = {"late by up to", "shuffled in windows of"};

/* order[i]: which packet of the train comes i-th. */
static void make_order(rng *r, disorder how, size_t window, size_t *order)
{
    size_t due[TRAIN], i, k;

    for (i = 0; i < TRAIN; i++) {
        order[i] = i;
        due[i] = how == LATE_BY ? i * 1000 + rng_below(r, (uint32_t)(window + 1) * 1000) : i / window * TRAIN + rng_below(r, TRAIN);
    }
    for (i = 1; i < TRAIN; i++) /* sorted by due, equal ones as they were */
        for (k = i; k > 0 && due[order[k - 1]] > due[order[k]]; k--) {
            size_t later = order[k - 1];
            order[k - 1] = order[k];
            order[k] = later;
        }
}

typedef struct train {
    pkt_kind kind;
    size_t flows;
    int constant_id;
} train;

/* Flows take turns at random. */
static void make_train(rng *r, const train *t, pkt_spec *specs)
{
    pkt_spec next[FLOWS];
    size_t i;

    memset(next, 0, sizeof next);
    for (i = 0; i < FLOWS; i++) {
        next[i].kind = t->kind;
        next[i].payload_len = 1400;
        next[i].src_port = (int32_t)(1000 + i);
        next[i].seq = (uint32_t)rng_u64(r);
        next[i].ip_id = (uint16_t)rng_u64(r);
    }
    for (i = 0; i < TRAIN; i++) {
        pkt_spec *s = &next[rng_below(r, (uint32_t)t->flows)];
        specs[i] = *s;
        s->seq += 1400;
        s->ip_id = (uint16_t)(s->ip_id + !t->constant_id);
    }
}

/* Packets that leave. */
static size_t run_order(const pkt_spec *specs, const size_t *order, const tuo_gro_desc *desc, int check)
{
    h_gro h = h_open(desc);
    size_t i, count;

    h_clear(&batch);
    for (i = 0; i < TRAIN; i++)
        h_add(&batch, &specs[order[i]]);
    h_push_all(&batch, h.gro, 0);
    h_drain(&batch, h.gro);
    count = batch.group_count;
    if (check)
        h_check_batch(&batch, desc);
    h_close(&h);
    return count;
}

/* Of all rounds of a row: packets that leave of trains in order, and out of order. */
static size_t in_order, repaired;

static void run_trains(rng *r, const train *t, disorder how, size_t window, const tuo_gro_desc *desc)
{
    static pkt_spec specs[TRAIN];
    size_t sorted[TRAIN], order[TRAIN], round, i;

    for (i = 0; i < TRAIN; i++)
        sorted[i] = i;
    in_order = repaired = 0;
    for (round = 0; round < ROUNDS; round++) {
        make_train(r, t, specs);
        make_order(r, how, window, order);
        in_order += run_order(specs, sorted, desc, 0);
        repaired += run_order(specs, order, desc, round == 0);
    }
}

TEST(trains_out_of_order)
{
    static const size_t windows[] = {1, 2, 4, 8, 16, 32};
    const tuo_gro_desc desc = {0};
    rng r = rng_start("trains", 1701);
    size_t i, flows;
    int how, kind, constant_id;

    for (how = 0; how < DISORDERS; how++) {
        size_t worst = 0;
        for (kind = PKT_TCP4; kind < PKT_KIND_COUNT; kind += PKT_TCP6 - PKT_TCP4)
            for (flows = 1; flows <= FLOWS; flows++)
                for (constant_id = 0; constant_id < 2; constant_id++)
                    for (i = 0; i < CHECK_COUNT_OF(windows); i++) {
                        const train t = {(pkt_kind)kind, flows, constant_id};
                        check_row("%s, %lu flows, %s IDs, %s %lu places", kind == PKT_TCP4 ? "TCP4" : "TCP6", (unsigned long)flows,
                            constant_id ? "constant" : "counting", disorder_names[how], (unsigned long)windows[i]);
                        run_trains(&r, &t, (disorder)how, windows[i], &desc);
                        CHECK(how == LATE_BY ? 100 * repaired <= 110 * in_order : 100 * repaired <= 130 * in_order);
                        worst = 1000 * repaired / in_order > worst ? 1000 * repaired / in_order : worst;
                    }
        printf("%s 1 to 32 places: at most %lu.%03lu times as many packets leave as in order\n", disorder_names[how],
               (unsigned long)(worst / 1000), (unsigned long)(worst % 1000));
    }
    h_clear(&batch);
}

/* The figure of README.md, beside that of the kernel's rules, which repair nothing. */
TEST(one_train_in_figures)
{
    const tuo_gro_desc repairing = {0}, as_the_kernel = {.strict_kernel = 1};
    const train t = {PKT_TCP4, 1, 0};
    rng r = rng_start("one train", 1704);
    size_t by_kernel;

    run_trains(&r, &t, LATE_BY, 32, &as_the_kernel);
    by_kernel = repaired / ROUNDS;
    run_trains(&r, &t, LATE_BY, 32, &repairing);
    printf("128 segments of 1400 bytes, late by up to 32 places: %.1f packets leave, %.1f in order, %lu by the kernel's rules\n",
           (double)repaired / ROUNDS, (double)in_order / ROUNDS, (unsigned long)by_kernel);
    CHECK(by_kernel > 100);
    CHECK(10 * repaired <= 11 * in_order);
    h_clear(&batch);
}

/* ----------------------------------------------------------------------------------------------------------- emission */

static uint32_t seq_of(size_t packet)
{
    pkt_view v = pkt_look(batch.pkt[packet], batch.len[packet], 0, 0);

    return pkt_get32(batch.pkt[packet] + v.l4 + 4);
}

static uint16_t flow_of(size_t packet)
{
    pkt_view v = pkt_look(batch.pkt[packet], batch.len[packet], 0, 0);

    return (uint16_t)pkt_get16(batch.pkt[packet] + v.l4);
}

static int leaves_in_sequence(void)
{
    size_t i, k;

    for (i = 0; i < batch.order_count; i++)
        for (k = i + 1; k < batch.order_count; k++)
            if (flow_of(batch.order[i]) == flow_of(batch.order[k]) &&
                !CHECK(ref_seq_diff(seq_of(batch.order[i]), seq_of(batch.order[k])) < 0))
                return 0;
    return 1;
}

/* The k-th group of a flow leaves in the k-th of the places where groups of that flow arrived: then these places go up. */
static int leaves_in_its_places(void)
{
    static size_t place[H_PACKETS], first[H_PACKETS];
    size_t g, k;

    for (g = 0; g < batch.group_count; g++) {
        first[g] = batch.count;
        for (k = 0; k < batch.group[g].count; k++)
            if (batch.order[batch.group[g].first + k] < first[g])
                first[g] = batch.order[batch.group[g].first + k];
    }
    for (g = 0; g < batch.group_count; g++) { /* the place of the g-th: as many groups of its flow arrived before as leave before */
        uint16_t flow = flow_of(first[g]);
        size_t before = 0, m;
        for (k = 0; k < g; k++)
            before += flow_of(first[k]) == flow;
        for (k = 0; k < batch.group_count; k++) {
            size_t earlier = 0;
            if (flow_of(first[k]) != flow)
                continue;
            for (m = 0; m < batch.group_count; m++)
                earlier += flow_of(first[m]) == flow && first[m] < first[k];
            if (earlier == before)
                place[g] = first[k];
        }
        if (g && !CHECK(place[g - 1] < place[g]))
            return 0;
    }
    return 1;
}

TEST(flows_leave_in_sequence_order_in_their_places)
{
    static const size_t windows[] = {1, 4, 16, 32};
    const tuo_gro_desc desc = {.max_items_per_flow = 64, .max_segs = 5}; /* so that much is left to be in order */
    static pkt_spec specs[TRAIN];
    rng r = rng_start("places", 1702);
    size_t order[TRAIN], round, i;

    for (round = 0; round < 200; round++) {
        const train t = {round % 2 ? PKT_TCP6 : PKT_TCP4, 1 + round % FLOWS, 0};
        make_train(&r, &t, specs);
        for (i = 0; i < TRAIN; i++)
            specs[i].tcp_flags = rng_chance(&r, 1, 10) ? PKT_ACK | PKT_PSH : 0;
        make_order(&r, LATE_BY, windows[round / 2 % CHECK_COUNT_OF(windows)], order);
        run_order(specs, order, &desc, round % 8 < 2);
        if (!leaves_in_sequence() || !leaves_in_its_places())
            break;
    }
    CHECK_EQ_INT(round, 200);
    h_clear(&batch);
}

/* ------------------------------------------------------------------------------------------------------- one connection */

/* Flow labels and extension headers make no other connection: nothing of it is overtaken, but by TCP segments whose bytes come before. */
TEST(labels_and_extension_headers_overtake_nothing)
{
    static const char *const chains[] = {NULL, NULL, "D", "H", "HD"};
    const tuo_gro_desc desc = {0};
    static pkt_spec specs[TRAIN];
    static size_t place[TRAIN];
    rng r = rng_start("labels", 1703);
    size_t order[TRAIN], round, i, k, labels = 0;

    for (round = 0; round < 400; round++) {
        const train t = {round % 2 ? PKT_TCP6 : PKT_UDP6, 1 + round % FLOWS, 0};
        make_train(&r, &t, specs);
        for (i = 0; i < TRAIN; i++) {
            specs[i].flow_label = rng_chance(&r, 1, 3) ? rng_below(&r, 3) : 0;
            specs[i].ext_chain = rng_chance(&r, 1, 4) ? chains[rng_below(&r, CHECK_COUNT_OF(chains))] : NULL;
            if (rng_chance(&r, 1, 20))
                specs[i].payload_len = PKT_ZERO;
        }
        make_order(&r, LATE_BY, round / 2 % 2 ? 8 : 0, order);
        run_order(specs, order, &desc, round % 8 < 2);
        for (i = 0; i < TRAIN; i++) {
            place[batch.order[i]] = i;
            labels += batch.verdict[i] == TUO_V_FLOW_LABEL_DIFFERS;
        }
        for (i = 0; i < TRAIN; i++)
            for (k = i + 1; k < TRAIN; k++)
                if (flow_of(i) == flow_of(k) && place[k] < place[i])
                    CHECK(round % 2 && ref_seq_diff(seq_of(k), seq_of(i)) < 0);
    }
    CHECK(labels > 1000);
    h_clear(&batch);
}

/* ----------------------------------------------------------------------------------------------------------- statistics */

/* A verdict is what happened to the packet when it came; that items became one is counted apart. */
TEST(joins_are_counted)
{
    static const uint32_t seqs[] = {0, 2, 3, 1, 6, 5, 4};
    static const tuo_verdict verdicts[] = {TUO_V_HELD, TUO_V_SEQ_GAP, TUO_V_APPENDED, TUO_V_APPENDED, TUO_V_SEQ_GAP, TUO_V_PREPENDED,
                                           TUO_V_APPENDED};
    const tuo_gro_desc desc = {0};
    h_gro h = h_open(&desc);
    tuo_gro_stats stats;
    size_t i;

    h_clear(&batch);
    for (i = 0; i < CHECK_COUNT_OF(seqs); i++) {
        const pkt_spec s = {.seq = seqs[i] * 100, .ip_id = (uint16_t)seqs[i]};
        h_add(&batch, &s);
        CHECK_VERDICT(h_push(&batch, h.gro, i, 0), verdicts[i]);
    }
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 1);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.joined_items, 2);
    CHECK_EQ_INT(stats.verified_packets, CHECK_COUNT_OF(seqs));
    CHECK_EQ_INT(stats.superpackets, 1);
    CHECK_EQ_INT(stats.merged_packets, CHECK_COUNT_OF(seqs));
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* A late segment that does not touch the newest item does not keep the packets behind that item from the fast path. */
TEST(fast_path_after_a_gap)
{
    const tuo_gro_desc desc = {0};
    h_gro h = h_open(&desc);
    size_t i;

    h_clear(&batch);
    for (i = 0; i < 20; i++) { /* the second is lost; then all are next to each other */
        const pkt_spec s = {.seq = (uint32_t)(i + (i > 0)) * 100, .ip_id = (uint16_t)(i + (i > 0))};
        h_add(&batch, &s);
    }
    h_push_all(&batch, h.gro, 0);
    CHECK_EQ_INT(inside_fast_count(h.gro), 18);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 2);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(trains_out_of_order),
        CHECK_ENTRY(one_train_in_figures),
        CHECK_ENTRY(flows_leave_in_sequence_order_in_their_places),
        CHECK_ENTRY(labels_and_extension_headers_overtake_nothing),
        CHECK_ENTRY(joins_are_counted),
        CHECK_ENTRY(fast_path_after_a_gap),
    };

    return CHECK_RUN(argc, argv, tests);
}
