/* test_gro_hostile.c - traffic made to cause work or loss. The work of each push is counted, not timed, and must stay within what
   the header promises: TUO_FLOW_WAYS slots, max_items_per_flow items, 3 checksums. And nothing is lost, whatever overflows. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "gro_traffic.h"
#include "inside.h"
#include "simd_levels.h"

static h_batch batch;

/* ------------------------------------------------------------------------------------------------------- counted work */

/* The most that one push did. */
static struct {
    uint64_t lookups, probes, items, sums;
    uint64_t all_sums, packets; /* of all pushes */
} worst;

static tuo_verdict push_counted(tuo_gro *gro, const uint8_t *pkt, size_t len, void *user)
{
    tuo_gro_stats before, after;
    tuo_verdict v;

    tuo_gro_query_stats(gro, &before);
    v = tuo_gro_push(gro, pkt, len, user, 0);
    tuo_gro_query_stats(gro, &after);
    if (after.flow.lookups - before.flow.lookups > worst.lookups)
        worst.lookups = after.flow.lookups - before.flow.lookups;
    if (after.flow.probes - before.flow.probes > worst.probes)
        worst.probes = after.flow.probes - before.flow.probes;
    if (after.item_checks - before.item_checks > worst.items)
        worst.items = after.item_checks - before.item_checks;
    if (after.verified_packets - before.verified_packets > worst.sums)
        worst.sums = after.verified_packets - before.verified_packets;
    worst.all_sums += after.verified_packets - before.verified_packets;
    worst.packets++;
    return v;
}

static void push_batch_counted(tuo_gro *gro)
{
    size_t i;

    for (i = 0; i < batch.count; i++)
        batch.verdict[i] = push_counted(gro, batch.pkt[i], batch.len[i], h_user(&batch, i));
}

static void start_counting(void)
{
    memset(&worst, 0, sizeof worst);
}

static void check_work(const tuo_gro *gro)
{
    tuo_gro_desc desc;

    tuo_gro_query_desc(gro, &desc);
    CHECK(worst.lookups <= 1);
    CHECK(worst.probes <= TUO_FLOW_WAYS);
    CHECK(worst.items <= desc.max_items_per_flow);
    CHECK(worst.sums <= 3);
    CHECK(worst.all_sums <= worst.packets);
}

/* --------------------------------------------------------------------------------------------------- one flow, many items */

typedef struct gap_row {
    const char *name;
    uint32_t first, step;  /* sequence numbers, in units of 100 bytes */
    uint32_t max_items;
} gap_row;

static const gap_row gaps[] = {
    {"gaps upwards", 0, 2, 0},
    {"gaps downwards", 100000, (uint32_t)-2, 0},
    {"gaps upwards, 64 items", 0, 2, 64},
    {"gaps downwards, 64 items", 100000, (uint32_t)-2, 64},
    {"gaps upwards, 1 item", 0, 2, 1},
    {"half the circle", 0, 0x80000000u / 100, 16},
    {"a third of the circle", 0, 0x55555555u / 100, 16},
    {"the same segment", 5, 0, 16},
    {"backwards, adjacent", 100000, (uint32_t)-1, 16},
};

TEST(one_flow_with_gaps)
{
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(gaps); i++) {
        const tuo_gro_desc desc = {.max_packets = 1500, .max_items_per_flow = gaps[i].max_items};
        h_gro h = h_open(&desc);

        check_row("%s", gaps[i].name);
        start_counting();
        h_clear(&batch);
        for (k = 0; k < 1500; k++) {
            pkt_spec s = {.payload_len = 100, .seq = (gaps[i].first + (uint32_t)k * gaps[i].step) * 100};
            h_add(&batch, &s);
        }
        push_batch_counted(h.gro);
        check_work(h.gro);
        CHECK(worst.items >= 1);
        h_drain(&batch, h.gro);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* Sixteen open items, and a packet that is behind them all: the longest way through a flow. */
TEST(late_segments_see_each_item_once)
{
    const tuo_gro_desc desc = {.max_packets = 1500, .max_items_per_flow = 16};
    h_gro h = h_open(&desc);
    uint32_t k;

    start_counting();
    h_clear(&batch);
    for (k = 1; k <= 16; k++) {
        pkt_spec s = {.seq = k * 1000, .ip_id = (uint16_t)(10 * k)};
        h_add(&batch, &s);
    }
    for (k = 0; k < 8; k++) { /* these join the lowest item, from its front and its end */
        pkt_spec s = {.seq = k % 2 ? 1000 - 100 * (k / 2 + 1) : 1100 + 100 * (k / 2),
                      .ip_id = (uint16_t)(k % 2 ? 10 - (k / 2 + 1) : 11 + k / 2)};
        h_add(&batch, &s);
    }
    push_batch_counted(h.gro);
    check_work(h.gro);
    CHECK_EQ_INT(worst.items, 16);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 16);
    CHECK_EQ_INT(batch.group[0].count, 9);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* The counters themselves: what two neighbours of each kind cost, with a packet of another flow between them, so that the second
   has to be looked up. */
TEST(work_is_counted)
{
    const tuo_gro_desc desc = {0};
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec first = {.kind = (pkt_kind)kind}, second = {.kind = (pkt_kind)kind, .seq = 100, .ip_id = 1};
        pkt_spec other = {.kind = (pkt_kind)kind, .src = 1};
        h_gro h = h_open(&desc);
        tuo_gro_stats stats;

        check_row("kind %d", kind);
        h_clear(&batch);
        h_add(&batch, &first);
        h_add(&batch, &other);
        h_add(&batch, &second);
        h_push_all(&batch, h.gro, 0);
        tuo_gro_query_stats(h.gro, &stats);
        CHECK_EQ_INT(stats.item_checks, 1);
        CHECK_EQ_INT(stats.verified_packets, 2);
        CHECK_EQ_INT(stats.flow.lookups, 3);
        CHECK(stats.flow.probes >= 1);
        h_close(&h);
    }
    h_clear(&batch);
}

/* --------------------------------------------------------------------------------------------------- flows that collide */

/* Packets of different flows that all want one bucket of this instance's table: found by trying ports and addresses, as somebody
   could who knows the seed. */
static size_t add_colliding(tuo_gro *gro, size_t want, uint32_t seq)
{
    const void *target = NULL;
    uint8_t bytes[256];
    size_t found = 0;
    uint32_t i;

    for (i = 0; i < 400000 && found < want; i++) {
        pkt_spec s = {.payload_len = 20, .src = (uint16_t)(i >> 14), .src_port = (int32_t)(1 + (i & 0x3fff)), .seq = seq,
                      .ip_id = (uint16_t)(seq / 20)};
        size_t len = pkt_build(bytes, sizeof bytes, &s);
        const void *bucket = inside_bucket(gro, bytes, len);

        CHECK(bucket != NULL);
        if (!target)
            target = bucket;
        if (bucket == target) {
            h_add(&batch, &s);
            found++;
        }
    }
    return found;
}

TEST(colliding_flows_cost_no_more_and_lose_nothing)
{
    const tuo_gro_desc desc = {.max_packets = 1024, .hash_seed = 99};
    h_gro h = h_open(&desc);
    tuo_gro_stats stats;
    size_t i;

    h_clear(&batch);
    CHECK_EQ_INT(add_colliding(h.gro, 200, 0), 200);
    CHECK_EQ_INT(add_colliding(h.gro, 200, 20), 200);
    start_counting();
    push_batch_counted(h.gro);
    check_work(h.gro);
    CHECK(worst.probes >= TUO_FLOW_WAYS); /* they do collide */
    tuo_gro_query_stats(h.gro, &stats);
    CHECK(stats.flow.evictions >= 2 * 200 - TUO_FLOW_WAYS);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 400); /* evicted before their second packet came */
    for (i = 0; i < batch.order_count; i++)
        CHECK_EQ_INT(batch.order[i], i);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

TEST(as_many_colliding_flows_as_ways_all_merge)
{
    const tuo_gro_desc desc = {.max_packets = 1024, .hash_seed = 99};
    h_gro h = h_open(&desc);

    h_clear(&batch);
    CHECK_EQ_INT(add_colliding(h.gro, TUO_FLOW_WAYS, 0), TUO_FLOW_WAYS);
    CHECK_EQ_INT(add_colliding(h.gro, TUO_FLOW_WAYS, 20), TUO_FLOW_WAYS);
    start_counting();
    push_batch_counted(h.gro);
    check_work(h.gro);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, TUO_FLOW_WAYS);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* Flows that share a guess of the fast path, which no seed protects: in turn, all but one find the guess of another one. They merge as
   flows do, at no more than the cost of the other path. */
TEST(colliding_guesses_cost_no_more_and_lose_nothing)
{
    enum { COLLIDING = 100, TURNS = 8 };
    const tuo_gro_desc desc = {.max_packets = COLLIDING * TURNS};
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        h_gro h = h_open(&desc);
        tuo_gro_stats stats;
        size_t i;

        check_row("kind %d", kind);
        h_clear(&batch);
        for (i = 0; i < COLLIDING * TURNS; i++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = 20, .src_port = (int32_t)(1 + 256 * (i % COLLIDING)),
                          .seq = (uint32_t)(i / COLLIDING * 20), .ip_id = (uint16_t)(i / COLLIDING)};
            h_add(&batch, &s);
            CHECK(inside_guess(h.gro, batch.pkt[i], batch.len[i]) == inside_guess(h.gro, batch.pkt[0], batch.len[0]));
        }
        start_counting();
        push_batch_counted(h.gro);
        check_work(h.gro);
        CHECK_EQ_INT(worst.lookups, 1);
        CHECK_EQ_INT(worst.items, 1);
        CHECK(inside_fast_count(h.gro) < TURNS); /* they do collide: one of them has the guess */
        tuo_gro_query_stats(h.gro, &stats);
        CHECK_EQ_INT(stats.verified_packets, COLLIDING * TURNS);
        h_drain(&batch, h.gro);
        CHECK_EQ_INT(batch.group_count, COLLIDING);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* The seed is what stands between an attacker and these: with another one, the same packets are ordinary traffic. */
TEST(another_seed_scatters_colliding_flows)
{
    const tuo_gro_desc known = {.max_packets = 1024, .hash_seed = 99}, other = {.max_packets = 1024, .hash_seed = 100};
    h_gro h = h_open(&known), h2 = h_open(&other);

    h_clear(&batch);
    CHECK_EQ_INT(add_colliding(h.gro, 100, 0), 100);
    CHECK_EQ_INT(add_colliding(h.gro, 100, 20), 100);
    h_push_all(&batch, h2.gro, 0);
    h_drain(&batch, h2.gro);
    CHECK(batch.group_count < 120);
    h_check_batch(&batch, &other);
    h_close(&h);
    h_close(&h2);
    h_clear(&batch);
}

/* ------------------------------------------------------------------------------------------------------ too many of them */

/* As many flows as max_flows says, by default, one packet of each at a time. */
TEST(flows_in_turn_at_the_default_size)
{
    enum { SEEDS = 50, FLOWS_IN_TURN = 128 };
    size_t seconds = 0, alone = 0, seed, k;

    for (seed = 0; seed < SEEDS; seed++) {
        const tuo_gro_desc desc = {.hash_seed = seed * 7919};
        h_gro h = h_open(&desc);

        h_clear(&batch);
        for (k = 0; k < 2 * FLOWS_IN_TURN; k++) {
            size_t flow = k % FLOWS_IN_TURN, second = k / FLOWS_IN_TURN;
            pkt_spec s = {.kind = (pkt_kind)(flow % 4), .src = (uint16_t)(flow / 8), .src_port = (int32_t)(1000 + flow),
                          .seq = (uint32_t)second * 100, .ip_id = (uint16_t)second};
            h_add(&batch, &s);
        }
        h_push_all(&batch, h.gro, 0);
        for (k = FLOWS_IN_TURN; k < 2 * FLOWS_IN_TURN; k++) {
            seconds++;
            alone += batch.verdict[k] != TUO_V_APPENDED;
        }
        h_drain(&batch, h.gro);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    printf("%lu of %lu packets did not find their flow\n", (unsigned long)alone, (unsigned long)seconds);
    CHECK(100 * alone <= seconds);
    h_clear(&batch);
}

/* One flow more than a bucket holds, in turn: the one that was there longest must not always go, for that is the one that comes next. */
TEST(a_full_bucket_displaces_at_random)
{
    enum { TURNS = 20, COLLIDING = TUO_FLOW_WAYS + 1 };
    const tuo_gro_desc desc = {.hash_seed = 99};
    h_gro h = h_open(&desc);
    size_t i, found = 0;

    h_clear(&batch);
    for (i = 0; i < TURNS; i++)
        CHECK_EQ_INT(add_colliding(h.gro, COLLIDING, (uint32_t)(20 * i)), COLLIDING);
    h_push_all(&batch, h.gro, 0);
    for (i = COLLIDING; i < batch.count; i++)
        found += batch.verdict[i] == TUO_V_APPENDED;
    CHECK(found > batch.count / 2);
    h_drain(&batch, h.gro);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* A flow whose newest item takes nothing more gives its place up first. */
TEST(a_full_bucket_displaces_a_closed_item_first)
{
    enum { COLLIDING = TUO_FLOW_WAYS + 1 };
    const tuo_gro_desc desc = {.hash_seed = 99};
    size_t closed, i;

    for (closed = 0; closed < TUO_FLOW_WAYS; closed++) {
        h_gro h = h_open(&desc);

        check_row("flow %lu", (unsigned long)closed);
        h_clear(&batch);
        CHECK_EQ_INT(add_colliding(h.gro, COLLIDING, 0), COLLIDING);
        CHECK_EQ_INT(add_colliding(h.gro, COLLIDING, 20), COLLIDING);
        batch.pkt[closed][33] |= PKT_PSH;
        pkt_fix_checksums(batch.pkt[closed], batch.len[closed], 0);
        h_push_all(&batch, h.gro, 0);
        for (i = 0; i < closed; i++)
            CHECK_VERDICT(batch.verdict[COLLIDING + i], TUO_V_APPENDED);
        CHECK_VERDICT(batch.verdict[COLLIDING + closed], TUO_V_HELD); /* and displaces one of the others */
        h_drain(&batch, h.gro);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* Far more flows than max_flows, two packets each: in turn (each flow is evicted before its second packet comes) and in pairs. */
TEST(more_flows_than_max_flows)
{
    static const uint32_t max_flows[] = {1, 3, 16, 64};
    size_t i, k, in_pairs;

    for (i = 0; i < CHECK_COUNT_OF(max_flows); i++)
        for (in_pairs = 0; in_pairs < 2; in_pairs++) {
            const tuo_gro_desc desc = {.max_packets = 2000, .max_flows = max_flows[i]};
            h_gro h = h_open(&desc);
            tuo_gro_stats stats;

            check_row("max_flows %lu, %s", (unsigned long)max_flows[i], in_pairs ? "in pairs" : "in turn");
            start_counting();
            h_clear(&batch);
            for (k = 0; k < 2000; k++) {
                size_t flow = in_pairs ? k / 2 : k % 1000, second = in_pairs ? k % 2 : k / 1000;
                pkt_spec s = {.kind = (pkt_kind)(flow % 4), .src_port = (int32_t)(1 + flow), .seq = (uint32_t)second * 100,
                              .ip_id = (uint16_t)second};
                h_add(&batch, &s);
            }
            push_batch_counted(h.gro);
            check_work(h.gro);
            tuo_gro_query_stats(h.gro, &stats);
            CHECK(stats.flow.evictions >= 500);
            h_drain(&batch, h.gro);
            if (in_pairs)
                CHECK_EQ_INT(batch.group_count, 1000);
            else /* by chance some are still there */
                CHECK(batch.group_count > 1900 && batch.group_count <= 2000);
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    h_clear(&batch);
}

enum { FLOOD = 65536, FLOOD_LEN = 64 };

typedef enum flood_kind {
    FLOOD_FLOWS, FLOOD_GAPS, FLOOD_LATE, FLOOD_FILLED, FLOOD_ACKS, FLOOD_FRAGMENTS, FLOOD_BAD, FLOOD_LABELS, FLOOD_RANDOM, FLOOD_KINDS
} flood_kind;

static const char *const flood_names[FLOOD_KINDS] = {"a flow each", "a gap each", "each in front of the others", "every gap filled",
                                                     "pure ACKs", "fragments", "bad checksums", "a flow label each", "random bytes"};

static size_t build_flood(uint8_t *out, flood_kind kind, uint32_t i, rng *r)
{
    pkt_spec s = {.payload_len = 8};

    switch (kind) {
    case FLOOD_FLOWS:
        s.kind = (pkt_kind)(PKT_TCP4 + i % 2);
        s.src = (uint16_t)(i >> 8);
        s.src_port = (int32_t)(1 + (i & 0xff));
        break;
    case FLOOD_GAPS: s.seq = i * 16; break;
    case FLOOD_LATE: s.seq = 0u - i * 16; break;
    case FLOOD_FILLED: /* 1 3 5 ... 31, then 0 2 4 ... 30, and so on */
        s.seq = (i / 32 * 32 + (i % 32 < 16 ? 2 * (i % 16) + 1 : 2 * (i % 16))) * 8;
        s.ip_id = (uint16_t)(s.seq / 8);
        break;
    case FLOOD_LABELS:
        s.kind = PKT_UDP6;
        s.flow_label = i;
        break;
    case FLOOD_ACKS: s.payload_len = i % 2 ? PKT_ZERO : 8; break;
    case FLOOD_FRAGMENTS: s.frag = i % 2 ? 0x2000 : 0; break;
    case FLOOD_BAD:
        s.seq = i * 8;
        s.l4_csum_xor = (uint16_t)(i % 3 == 0);
        break;
    default:
        rng_bytes(r, out, FLOOD_LEN);
        out[0] = (uint8_t)(i % 2 ? 0x45 : 0x60);
        return FLOOD_LEN;
    }
    return pkt_build(out, FLOOD_LEN, &s);
}

static void flood(flood_kind kind, rng *r)
{
    const tuo_gro_desc desc = {.max_packets = FLOOD};
    uint8_t *bytes = (uint8_t *)h_alloc((size_t)FLOOD * FLOOD_LEN), *seen = (uint8_t *)h_alloc(FLOOD);
    size_t *len = (size_t *)h_alloc(FLOOD * sizeof *len), out = 0, wrong = 0, k;
    h_gro h = h_open(&desc);
    tuo_superpacket sp;
    uint32_t i;

    start_counting();
    memset(seen, 0, FLOOD);
    for (i = 0; i < FLOOD; i++) {
        len[i] = build_flood(bytes + (size_t)i * FLOOD_LEN, kind, i, r);
        if (push_counted(h.gro, bytes + (size_t)i * FLOOD_LEN, len[i], &seen[i]) == TUO_V_NO_ROOM)
            wrong++;
    }
    CHECK_VERDICT(tuo_gro_push(h.gro, bytes, len[0], NULL, 0), TUO_V_NO_ROOM);
    check_work(h.gro);
    while (tuo_gro_next(h.gro, &sp) == TUO_OK)
        for (k = 0; k < sp.packet_count; k++, out++)
            wrong += ++*(uint8_t *)sp.users[k] != 1;
    CHECK_EQ_INT(wrong, 0);
    CHECK_EQ_INT(out, FLOOD);
    h_close(&h);
    free(bytes);
    free(seen);
    free(len);
}

TEST(floods)
{
    rng r = rng_start("floods", 5);
    int kind;

    for (kind = 0; kind < FLOOD_KINDS; kind++) {
        check_row("%s", flood_names[kind]);
        flood((flood_kind)kind, &r);
    }
}

/* ------------------------------------------------------------------------------------------------------ ordinary trouble */

TEST(random_traffic_stays_within_the_bounds)
{
    static pkt_spec specs[SPECS_MAX];
    rng r = rng_start("bounds", 6);
    uint64_t sums = 0, items = 0;
    unsigned round;
    size_t i, n;

    for (round = 0; round < 200; round++) {
        const tuo_gro_desc desc = {.max_flows = 1 + rng_below(&r, 4), .max_items_per_flow = 1 + rng_below(&r, 4),
                                   .simd = simd_level_at(round)};
        h_gro h = h_open(&desc);

        start_counting();
        n = make_traffic(&r, specs, SPECS_MAX, 0);
        disorder_traffic(&r, specs, n, round % 8);
        h_clear(&batch);
        for (i = 0; i < n; i++)
            h_add(&batch, &specs[i]);
        push_batch_counted(h.gro);
        check_work(h.gro);
        sums = worst.sums > sums ? worst.sums : sums;
        items = worst.items > items ? worst.items : items;
        h_drain(&batch, h.gro);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    CHECK_EQ_INT(sums, 3); /* the bounds are reached, so that a counter that does not count is noticed */
    CHECK_EQ_INT(items, 4);
    h_clear(&batch);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(one_flow_with_gaps),
        CHECK_ENTRY(late_segments_see_each_item_once),
        CHECK_ENTRY(work_is_counted),
        CHECK_ENTRY(colliding_flows_cost_no_more_and_lose_nothing),
        CHECK_ENTRY(as_many_colliding_flows_as_ways_all_merge),
        CHECK_ENTRY(colliding_guesses_cost_no_more_and_lose_nothing),
        CHECK_ENTRY(another_seed_scatters_colliding_flows),
        CHECK_ENTRY(flows_in_turn_at_the_default_size),
        CHECK_ENTRY(a_full_bucket_displaces_at_random),
        CHECK_ENTRY(a_full_bucket_displaces_a_closed_item_first),
        CHECK_ENTRY(more_flows_than_max_flows),
        CHECK_ENTRY(floods),
        CHECK_ENTRY(random_traffic_stays_within_the_bounds),
    };

    return CHECK_RUN(argc, argv, tests);
}
