/* The planner of UDP trains. Proved, for any lengths, keys and limits: no access outside of its arrays, not even for a key out of range; every
   slot is in one train, once; trains are in the order of their first slots; the slots of a key stay in order, within a train and from
   one to the next; each train keeps the rules and is the longest from its first slot on that does.
   Bounds: udp_plan has 4 slots of 0 to 7 bytes, two keys and two numbers that are no key, any limits. The limits themselves and the step from a
   train to a longer one have no bounds (udp_limits, udp_fits). */
#define TUO_ASSERT(condition) ((void)0) /* of keys: a mistake of the caller must stay harmless */
#include "proof.h"

enum { SLOTS = 4, KEYS = 2 };

static tuo_udp_limits any_limits(void) {
    tuo_udp_limits limits;
    limits.max_segs = nondet_u32();
    limits.max_bytes = nondet_u32();
    limits.no_equal_tail = nondet_u8();
    return limits;
}

/* PROOF udp_limits models=64,32 cover=tuoi_udp_limits_of */
void udp_limits(void) {
    const tuo_udp_limits limits = any_limits(), none = { 0, 0, 0 };
    const tuo_udp_limits *const given = nondet_int() ? &limits : NULL;
    const tuo_udp_limits asked = given ? *given : none, known = tuoi_udp_limits_of(given);
    PROVE(known.max_segs >= 1 && known.max_segs <= 128 && known.max_bytes >= 1 && known.max_bytes <= 65507, "within the documented range");
    PROVE(known.max_segs == (asked.max_segs ? asked.max_segs : 64) || (asked.max_segs > 128 && known.max_segs == 128), "max_segs");
    PROVE(known.max_bytes == (asked.max_bytes ? asked.max_bytes : 65000) || (asked.max_bytes > 65507 && known.max_bytes == 65507), "max_bytes");
    PROVE(!known.no_equal_tail == !asked.no_equal_tail, "no_equal_tail");
}

/* From any train, whatever its lengths, to one with another datagram: as the rules say, and without an overflow.
   PROOF udp_fits models=64,32 cover=tuoi_udp_fits */
void udp_fits(void) {
    const tuo_udp_limits given = any_limits(), limits = tuoi_udp_limits_of(&given);
    tuo_udp_train train;
    const uint32_t len = nondet_u32();
    const uint64_t together = (uint64_t)train.len + len;
    ASSUME(train.count >= 1);
    PROVE(tuoi_udp_fits(&limits, &train, len) == (train.count < limits.max_segs && len >= 1 && len <= train.seg_len &&
                                                 together <= limits.max_bytes), "joins if the rules say so");
}

/* The most datagrams from slot i on that may leave together; the slots of a key are found by looking at all of them. */
static uint32_t longest_from(const tuo_udp_limits *limits, const tuo_udp_slot *slots, size_t count, size_t first, size_t key_count) {
    uint32_t n = 1, longest = 1, len = slots[first].len;
    uint64_t bytes = len;
    int open = len != 0 && slots[first].key < key_count;
    size_t i;
    for (i = first + 1; i < count; i++) {
        if (!open || slots[i].key != slots[first].key) continue;
        n++;
        bytes += slots[i].len;
        if (slots[i].len == 0 || slots[i].len > len || n > limits->max_segs || bytes > limits->max_bytes) {
            open = 0;
        } else if (slots[i].len < len) {
            open = 0;
            longest = n;
        } else if (!limits->no_equal_tail) {
            longest = n;
        }
    }
    return longest;
}

/* Of arrays of exactly count slots and trains and KEYS keys. */
static void plan_of(tuo_udp_slot *slots, size_t count, int32_t *open, tuo_udp_train *trains) {
    const size_t key_count = KEYS;
    const tuo_udp_limits limits = any_limits(), known = tuoi_udp_limits_of(&limits);
    tuo_udp_slot before[SLOTS];
    size_t train_count, t, i, steps;
    int32_t seen[SLOTS], last_of[KEYS] = { -1, -1 }, first = -1, slot;
    for (i = 0; i < count; i++) {
        slots[i].len &= 7;
        slots[i].key &= 3;
        before[i] = slots[i];
        seen[i] = 0;
    }
    train_count = tuo_udp_plan(&limits, slots, count, open, key_count, trains);
    PROVE(train_count <= count && (train_count == 0) == (count == 0), "trains: as many as said");
    for (t = 0; t < train_count; t++) {
        const tuo_udp_train train = trains[t];
        uint32_t key, n = 0;
        uint64_t bytes = 0;
        PROVE(train.first > first && (size_t)train.first < count, "trains: in the order of their first slots");
        first = train.first;
        key = before[first].key;
        for (slot = first, steps = 0; slot >= 0 && steps < count; slot = slots[slot].next, steps++) {
            PROVE((size_t)slot < count && !seen[slot], "once");
            PROVE(slots[slot].key == key, "one key");
            PROVE(key >= key_count || last_of[key] < slot, "the order of a key");
            if (key < key_count) last_of[key] = slot;
            seen[slot] = 1;
            bytes += slots[slot].len;
            n++;
        }
        PROVE(slot == -1, "the last one says so");
        PROVE(train.count == n && train.len == (uint32_t)bytes && train.seg_len == before[first].len, "sums");
        PROVE(n == 1 || (n <= known.max_segs && bytes <= known.max_bytes), "limits");
        PROVE(n == longest_from(&known, before, count, (size_t)first, key_count), "the longest that the rules allow");
    }
    for (i = 0; i < count; i++) {
        PROVE(seen[i], "each is in a train");
        PROVE(slots[i].len == before[i].len && slots[i].key == before[i].key, "len and key are only read");
    }
}

/* PROOF udp_plan slow unwind=6 models=64 cover=tuo_udp_plan,tuoi_udp_link,tuoi_udp_cut,tuoi_udp_fits */
void udp_plan(void) {
    tuo_udp_slot slots[SLOTS];
    tuo_udp_train trains[SLOTS];
    int32_t open[KEYS];
    plan_of(slots, SLOTS, open, trains);
}
