/* The planner of UDP trains: its rules one by one, then every short input and long random ones against a planner that is written another
   way. Slots, open and trains end at a forbidden page. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#ifndef TUNOFFLOAD_IMPLEMENTATION_DONE
#define TUNOFFLOAD_IMPLEMENTATION
#endif
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"

enum { SLOTS_MAX = 2048, KEYS_MAX = 64 };

typedef struct datagram {
    uint32_t len, key;
} datagram;

/* ------------------------------------------------------------------------------------------------ a run of the planner */

/* One plan, in memory that ends where it was said to end. */
typedef struct plan {
    guard_page slot_page, open_page, train_page;
    tuo_udp_slot *slots;
    tuo_udp_train *trains;
    size_t count, train_count;
} plan;

static plan plan_pages(void)
{
    plan p;

    memset(&p, 0, sizeof p);
    p.slot_page = guard_page_new(SLOTS_MAX * sizeof(tuo_udp_slot));
    p.open_page = guard_page_new(KEYS_MAX * sizeof(int32_t));
    p.train_page = guard_page_new(SLOTS_MAX * sizeof(tuo_udp_train));
    return p;
}

static void plan_free(plan *p)
{
    guard_page_free(&p->slot_page);
    guard_page_free(&p->open_page);
    guard_page_free(&p->train_page);
}

/* Memory that is only written holds other values before: they must not matter. */
static void plan_run(plan *p, const tuo_udp_limits *limits, const datagram *datagrams, size_t count, size_t key_count)
{
    int32_t *open = (int32_t *)(void *)(p->open_page.end - key_count * sizeof(int32_t));
    size_t i;

    p->count = count;
    p->slots = (tuo_udp_slot *)(void *)(p->slot_page.end - count * sizeof(tuo_udp_slot));
    p->trains = (tuo_udp_train *)(void *)(p->train_page.end - count * sizeof(tuo_udp_train));
    for (i = 0; i < key_count; i++)
        open[i] = (int32_t)(i % 3);
    for (i = 0; i < count; i++) {
        p->slots[i].len = datagrams[i].len;
        p->slots[i].key = datagrams[i].key;
        p->slots[i].next = (int32_t)(count - i);
    }
    memset((void *)p->trains, 0x5a, count * sizeof(tuo_udp_train));
    p->train_count = tuo_udp_plan(limits, p->slots, count, open, key_count, p->trains);
}

/* "0 2 / 1 3": the slots of each train. */
static const char *plan_text(const plan *p)
{
    static char text[4096];
    size_t at = 0, t, steps;

    text[0] = 0;
    for (t = 0; t < p->train_count && t < p->count; t++) {
        int32_t i = p->trains[t].first;
        for (steps = 0; i >= 0 && (size_t)i < p->count && steps <= p->count && at < sizeof text - 32; steps++) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%ld", steps ? " " : t ? " / " : "", (long)i);
            i = p->slots[i].next;
        }
        if (i != -1)
            at += (size_t)snprintf(text + at, sizeof text - at, " -> %ld", (long)i);
    }
    return text;
}

/* ------------------------------------------------------------------------------------------------ rules, one by one */

TEST(rules)
{
    static const struct {
        const char *name;
        tuo_udp_limits limits;
        size_t count;
        datagram datagrams[8];
        const char *trains;
    } rows[] = {
        {"none", {0, 0, 0}, 0, {{0, 0}}, ""},
        {"one", {0, 0, 0}, 1, {{100, 0}}, "0"},
        {"equal ones", {0, 0, 0}, 3, {{100, 0}, {100, 0}, {100, 0}}, "0 1 2"},
        {"a shorter one ends it", {0, 0, 0}, 4, {{100, 0}, {100, 0}, {99, 0}, {99, 0}}, "0 1 2 / 3"},
        {"even where an equal one follows", {0, 0, 0}, 4, {{100, 0}, {99, 0}, {100, 0}, {100, 0}}, "0 1 / 2 3"},
        {"a shorter one as the second", {0, 0, 0}, 3, {{100, 0}, {1, 0}, {1, 0}}, "0 1 / 2"},
        {"a longer one begins another", {0, 0, 0}, 3, {{100, 0}, {101, 0}, {101, 0}}, "0 / 1 2"},
        {"keys do not mix", {0, 0, 0}, 4, {{100, 0}, {100, 1}, {100, 0}, {100, 1}}, "0 2 / 1 3"},
        {"nor close each other", {0, 0, 0}, 5, {{100, 1}, {100, 0}, {50, 1}, {100, 0}, {9, 0}}, "0 2 / 1 3 4"},
        {"in the order of first datagrams", {0, 0, 0}, 5, {{9, 1}, {8, 0}, {9, 0}, {9, 1}, {10, 1}}, "0 3 / 1 / 2 / 4"},
        {"an empty one is alone", {0, 0, 0}, 3, {{100, 0}, {0, 0}, {100, 0}}, "0 / 1 / 2"},
        {"two empty ones are two trains", {0, 0, 0}, 2, {{0, 0}, {0, 0}}, "0 / 1"},
        {"and closes its own key only", {0, 0, 0}, 4, {{100, 0}, {100, 1}, {0, 1}, {100, 0}}, "0 3 / 1 / 2"},
        {"max_segs", {2, 0, 0}, 5, {{7, 0}, {7, 0}, {7, 0}, {7, 0}, {7, 0}}, "0 1 / 2 3 / 4"},
        {"max_segs, shorter one first beyond", {2, 0, 0}, 3, {{7, 0}, {7, 0}, {6, 0}}, "0 1 / 2"},
        {"max_segs 1", {1, 0, 0}, 2, {{7, 0}, {7, 0}}, "0 / 1"},
        {"max_bytes reached", {0, 21, 0}, 4, {{7, 0}, {7, 0}, {7, 0}, {7, 0}}, "0 1 2 / 3"},
        {"max_bytes, one byte less", {0, 20, 0}, 4, {{7, 0}, {7, 0}, {7, 0}, {7, 0}}, "0 1 / 2 3"},
        {"max_bytes with a shorter one", {0, 20, 0}, 3, {{7, 0}, {7, 0}, {6, 0}}, "0 1 2"},
        {"longer than max_bytes", {0, 20, 0}, 4, {{7, 0}, {21, 0}, {21, 0}, {7, 0}}, "0 / 1 / 2 / 3"},
        {"no shorter one joins such", {0, 20, 0}, 2, {{0xffffffffu, 0}, {1, 0}}, "0 / 1"},
        {"lengths do not wrap", {0, 0, 0}, 3, {{0x80000000u, 0}, {0x80000000u, 0}, {0x80000000u, 0}}, "0 / 1 / 2"},
        {"max_bytes 1", {0, 1, 0}, 2, {{1, 0}, {1, 0}}, "0 / 1"},
        {"largest in range, of 128", {128, 65507, 0}, 2, {{65000, 0}, {507, 0}}, "0 1"},
        {"from there on clamped", {0, 65508, 0}, 2, {{65000, 0}, {508, 0}}, "0 / 1"},
        {"anything is clamped", {0xffffffffu, 0xffffffffu, 0}, 2, {{65000, 0}, {508, 0}}, "0 / 1"},
        {"default of max_bytes", {0, 0, 0}, 2, {{64000, 0}, {1000, 0}}, "0 1"},
        {"and no byte more", {0, 0, 0}, 2, {{64000, 0}, {1001, 0}}, "0 / 1"},
        {"no_equal_tail: equal ones leave alone", {0, 0, 1}, 3, {{7, 0}, {7, 0}, {7, 0}}, "0 / 1 / 2"},
        {"no_equal_tail: two", {0, 0, 1}, 2, {{7, 0}, {7, 0}}, "0 / 1"},
        {"no_equal_tail: a shorter one", {0, 0, 1}, 3, {{7, 0}, {7, 0}, {6, 0}}, "0 1 2"},
        {"no_equal_tail: any value", {0, 0, 255}, 3, {{7, 0}, {7, 0}, {6, 0}}, "0 1 2"},
        {"no_equal_tail: the one behind it begins again", {0, 0, 1}, 5, {{7, 0}, {6, 0}, {6, 0}, {5, 0}, {5, 0}}, "0 1 / 2 3 / 4"},
        {"no_equal_tail: a longer one is no tail", {0, 0, 1}, 3, {{7, 0}, {7, 0}, {8, 0}}, "0 / 1 / 2"},
        {"no_equal_tail: nor is an empty one", {0, 0, 1}, 3, {{7, 0}, {7, 0}, {0, 0}}, "0 / 1 / 2"},
        {"no_equal_tail: nor one of another key", {0, 0, 1}, 3, {{7, 0}, {7, 0}, {6, 1}}, "0 / 1 / 2"},
        {"no_equal_tail: the last of them, max_segs", {3, 0, 1}, 5, {{7, 0}, {7, 0}, {7, 0}, {7, 0}, {6, 0}}, "0 / 1 / 2 3 4"},
        {"no_equal_tail: the last of them, max_bytes", {0, 20, 1}, 5, {{7, 0}, {7, 0}, {7, 0}, {7, 0}, {6, 0}}, "0 / 1 / 2 3 4"},
    };
    plan p = plan_pages();
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        plan_run(&p, &rows[i].limits, rows[i].datagrams, rows[i].count, 2);
        CHECK_EQ_STR(plan_text(&p), rows[i].trains);
    }
    plan_free(&p);
}

TEST(what_a_train_says)
{
    static const datagram datagrams[] = {{100, 1}, {300, 0}, {100, 1}, {0, 0}, {40, 1}, {70000, 0}};
    static const tuo_udp_train expected[] = {{0, 3, 100, 240}, {1, 1, 300, 300}, {3, 1, 0, 0}, {5, 1, 70000, 70000}};
    plan p = plan_pages();
    size_t i;

    plan_run(&p, NULL, datagrams, CHECK_COUNT_OF(datagrams), 2);
    CHECK_EQ_INT(p.train_count, CHECK_COUNT_OF(expected));
    for (i = 0; i < CHECK_COUNT_OF(expected); i++) {
        CHECK_EQ_INT(p.trains[i].first, expected[i].first);
        CHECK_EQ_INT(p.trains[i].count, expected[i].count);
        CHECK_EQ_INT(p.trains[i].seg_len, expected[i].seg_len);
        CHECK_EQ_INT(p.trains[i].len, expected[i].len);
    }
    plan_free(&p);
}

/* How many datagrams of one byte leave together. */
TEST(most_datagrams_of_a_train)
{
    static const struct {
        uint32_t max_segs, most;
    } rows[] = {{0, 64}, {1, 1}, {63, 63}, {64, 64}, {127, 127}, {128, 128}, {129, 128}, {0xffffffffu, 128}};
    static datagram ones[300];
    plan p = plan_pages();
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(ones); i++)
        ones[i].len = 1;
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_udp_limits limits = {0, 0, 0};
        check_row("max_segs %lu", (unsigned long)rows[i].max_segs);
        limits.max_segs = rows[i].max_segs;
        plan_run(&p, &limits, ones, CHECK_COUNT_OF(ones), 1);
        CHECK_EQ_INT(p.trains[0].count, rows[i].most);
        CHECK_EQ_INT(p.train_count, (300 + rows[i].most - 1) / rows[i].most);
    }
    check_row("no limits: the defaults");
    plan_run(&p, NULL, ones, CHECK_COUNT_OF(ones), 1);
    CHECK_EQ_INT(p.trains[0].count, 64);
    plan_free(&p);
}

TEST(nothing_to_plan)
{
    int32_t open[2] = {7, 7};

    CHECK_EQ_INT(tuo_udp_plan(NULL, NULL, 0, NULL, 0, NULL), 0);
    CHECK_EQ_INT(tuo_udp_plan(NULL, NULL, 0, open, 2, NULL), 0);
}

/* A mistake of the caller: such a datagram leaves alone, and nothing outside of open is touched (it ends at a forbidden page). */
TEST(a_key_out_of_range_is_alone)
{
    static const datagram datagrams[] = {{7, 0}, {7, 2}, {7, 2}, {7, 0}, {7, 0xffffffffu}, {7, 1}};
    plan p = plan_pages();

    check_row("two keys");
    plan_run(&p, NULL, datagrams, CHECK_COUNT_OF(datagrams), 2);
    CHECK_EQ_STR(plan_text(&p), "0 3 / 1 / 2 / 4 / 5");
    check_row("no key");
    plan_run(&p, NULL, datagrams, CHECK_COUNT_OF(datagrams), 0);
    CHECK_EQ_STR(plan_text(&p), "0 / 1 / 2 / 3 / 4 / 5");
    plan_free(&p);
}

/* ------------------------------------------------------------------------------------------------ properties */

/* May these datagrams leave together? Straight from the rules, for a list of lengths. */
static int may_leave_together(const tuo_udp_limits *limits, const uint32_t *lens, size_t count)
{
    uint32_t max_segs = limits->max_segs == 0 ? 64 : limits->max_segs > 128 ? 128 : limits->max_segs;
    uint32_t max_bytes = limits->max_bytes == 0 ? 65000 : limits->max_bytes > 65507 ? 65507 : limits->max_bytes;
    uint64_t bytes = 0;
    size_t i;

    if (count == 1)
        return 1;
    for (i = 0; i < count; i++) {
        bytes += lens[i];
        if (lens[i] == 0 || lens[i] > lens[0] || (lens[i] < lens[0] && i + 1 < count))
            return 0;
    }
    return count <= max_segs && bytes <= max_bytes && (!limits->no_equal_tail || lens[count - 1] < lens[0]);
}

/* The datagrams of one key, in order, and where they were. */
typedef struct key_list {
    uint32_t lens[SLOTS_MAX];
    int32_t slots[SLOTS_MAX];
    size_t count;
} key_list;

/* The reference: for each key, from the front, the most datagrams that may leave together. first_of[slot]: how many leave with it as the
   first; 0: it is none. */
static void reference(const tuo_udp_limits *limits, const datagram *datagrams, size_t count, uint32_t key, key_list *list,
                      uint32_t *first_of)
{
    size_t i, at, n;

    list->count = 0;
    for (i = 0; i < count; i++)
        if (datagrams[i].key == key) {
            list->lens[list->count] = datagrams[i].len;
            list->slots[list->count++] = (int32_t)i;
        }
    for (at = 0; at < list->count; at += n) {
        for (n = list->count - at < 128 ? list->count - at : 128; !may_leave_together(limits, list->lens + at, n); n--)
            ;
        first_of[list->slots[at]] = (uint32_t)n;
    }
}

/* Compares a plan with the reference; the number of what is wrong, since a check per slot would take most of the time. */
static unsigned long differences(const plan *p, const tuo_udp_limits *limits, const datagram *datagrams, size_t key_count)
{
    static key_list list;
    static uint32_t first_of[SLOTS_MAX], seen[SLOTS_MAX];
    static int32_t expected_next[SLOTS_MAX];
    unsigned long bad = 0;
    uint32_t key;
    size_t i, at, n, t = 0;

    memset(first_of, 0, p->count * sizeof first_of[0]);
    memset(seen, 0, p->count * sizeof seen[0]);
    for (key = 0; key < key_count; key++) {
        reference(limits, datagrams, p->count, key, &list, first_of);
        for (at = 0; at < list.count; at += n) {
            n = first_of[list.slots[at]];
            for (i = at; i < at + n; i++)
                expected_next[list.slots[i]] = i + 1 < at + n ? list.slots[i + 1] : -1;
        }
    }
    for (i = 0; i < p->count; i++) {
        bad += p->slots[i].next != expected_next[i] || p->slots[i].len != datagrams[i].len || p->slots[i].key != datagrams[i].key;
        if (first_of[i] == 0)
            continue;
        bad += t >= p->train_count || p->trains[t].first != (int32_t)i || p->trains[t].count != first_of[i];
        t += t < p->train_count;
    }
    bad += t != p->train_count;
    for (t = 0; t < p->train_count; t++) { /* what the reference does not say: sums, and each slot once */
        int32_t slot = p->trains[t].first;
        uint64_t bytes = 0;
        for (n = 0; n < p->count && slot >= 0 && (size_t)slot < p->count; n++, slot = p->slots[slot].next) {
            bytes += p->slots[slot].len;
            bad += seen[slot]++ != 0;
        }
        bad += slot != -1 || n != p->trains[t].count || bytes != p->trains[t].len;
        bad += p->trains[t].seg_len != datagrams[p->trains[t].first].len;
    }
    for (i = 0; i < p->count; i++)
        bad += seen[i] != 1;
    return bad;
}

/* Could two trains of one key that follow each other have been one? */
static unsigned long divided_needlessly(const plan *p, const tuo_udp_limits *limits)
{
    static uint32_t lens[2 * SLOTS_MAX];
    unsigned long bad = 0;
    size_t t, u, n;
    int32_t slot;

    for (t = 0; t < p->train_count; t++) {
        for (u = t + 1; u < p->train_count && p->slots[p->trains[u].first].key != p->slots[p->trains[t].first].key; u++)
            ;
        if (u == p->train_count)
            continue;
        n = 0;
        for (slot = p->trains[t].first; slot >= 0; slot = p->slots[slot].next)
            lens[n++] = p->slots[slot].len;
        for (slot = p->trains[u].first; slot >= 0; slot = p->slots[slot].next)
            lens[n++] = p->slots[slot].len;
        bad += may_leave_together(limits, lens, n) != 0;
    }
    return bad;
}

/* All sequences of up to 6 datagrams of 0 to 3 bytes and two keys. */
TEST(every_short_input)
{
    static const tuo_udp_limits limits[] = {
        {0, 0, 0}, {0, 0, 1}, {2, 0, 0}, {2, 0, 1}, {3, 0, 0}, {3, 0, 1}, {0, 5, 0}, {0, 5, 1}, {0, 2, 0}, {3, 7, 1}, {1, 0, 0}, {0, 1, 1},
    };
    plan p = plan_pages();
    size_t row, count, i;

    for (row = 0; row < CHECK_COUNT_OF(limits); row++) {
        size_t bad = 0, divided = 0, trains = 0;
        check_row("max_segs %lu, max_bytes %lu, no_equal_tail %u", (unsigned long)limits[row].max_segs,
                  (unsigned long)limits[row].max_bytes, limits[row].no_equal_tail);
        for (count = 0; count <= 6; count++) {
            uint32_t code;
            for (code = 0; code >> 3 * count == 0; code++) {
                datagram datagrams[6];
                for (i = 0; i < count; i++) {
                    datagrams[i].len = code >> 3 * i & 3;
                    datagrams[i].key = code >> (3 * i + 2) & 1;
                }
                if (count && datagrams[0].key) /* the same as another, with the keys exchanged */
                    continue;
                plan_run(&p, &limits[row], datagrams, count, 2);
                bad += differences(&p, &limits[row], datagrams, 2);
                divided += divided_needlessly(&p, &limits[row]);
                trains += p.train_count;
            }
        }
        CHECK_EQ_INT(bad, 0);
        CHECK_EQ_INT(divided, 0);
        CHECK(trains > 10000);
    }
    plan_free(&p);
}

TEST(random_long_inputs)
{
    static datagram datagrams[SLOTS_MAX];
    rng r = rng_start("random_long_inputs", 31);
    plan p = plan_pages();
    unsigned long bad = 0, divided = 0, longest = 0, alone = 0;
    int round;

    for (round = 0; round < 400; round++) {
        tuo_udp_limits limits = {0, 0, 0};
        size_t count = rng_below(&r, SLOTS_MAX + 1), i;
        uint32_t key_count = 1 + rng_below(&r, rng_chance(&r, 1, 2) ? 3 : KEYS_MAX), len = 400;
        uint32_t noise = rng_chance(&r, 1, 2) ? 30 : 1000;
        if (rng_chance(&r, 1, 2))
            limits.max_segs = rng_below(&r, 140);
        if (rng_chance(&r, 1, 2))
            limits.max_bytes = rng_below(&r, 70000);
        limits.no_equal_tail = (uint8_t)rng_chance(&r, 1, 3);
        for (i = 0; i < count; i++) {
            if (rng_chance(&r, 1, noise))
                len = rng_chance(&r, 1, 8) ? 0 : rng_chance(&r, 1, 8) ? rng_below(&r, 100000) : rng_below(&r, 1500);
            datagrams[i].len = rng_chance(&r, 1, noise) ? rng_below(&r, len + 2) : len;
            datagrams[i].key = rng_chance(&r, 1, 4) || i == 0 ? rng_below(&r, key_count) : datagrams[i - 1].key;
        }
        plan_run(&p, &limits, datagrams, count, key_count);
        bad += differences(&p, &limits, datagrams, key_count);
        divided += divided_needlessly(&p, &limits);
        for (i = 0; i < p.train_count; i++) {
            longest = p.trains[i].count > longest ? p.trains[i].count : longest;
            alone += p.trains[i].count == 1;
        }
    }
    CHECK_EQ_INT(bad, 0);
    CHECK_EQ_INT(divided, 0);
    CHECK(longest > 100 && alone > 10000); /* both kinds were there */
    plan_free(&p);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(rules),
        CHECK_ENTRY(what_a_train_says),
        CHECK_ENTRY(most_datagrams_of_a_train),
        CHECK_ENTRY(nothing_to_plan),
        CHECK_ENTRY(a_key_out_of_range_is_alone),
        CHECK_ENTRY(every_short_input),
        CHECK_ENTRY(random_long_inputs),
    };

    return CHECK_RUN(argc, argv, tests);
}
