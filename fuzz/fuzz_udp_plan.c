/* fuzz_udp_plan.c - which UDP datagrams leave in one message, against the rules, one train at a time.
   Input     1 byte of switches (1: no limits, 2: no_equal_tail, 4: keys may be out of range), 1 byte of max_segs, 2 bytes of max_bytes (in
             units of 2), 1 byte of keys, then datagrams: 1 byte of key and how to make the length: as the one before, one byte shorter,
             anything (2 bytes), or as many like the one before as the next byte says.
   Asserts   every slot is in one train, once; trains are in the order of their first slots; the slots of a key stay in order, in a train
             and from one train to the next; key, length and sums are right; each train is the longest that the rules allow from its first
             slot on; lens and keys are untouched; no byte outside the arrays is touched; what was in the memory does not matter. */
#include "fuzz.h"

enum { SLOTS_MAX = 4096, KEYS = 16 };

typedef struct job {
    tuo_udp_slot slots[SLOTS_MAX]; /* next: the next slot of the same key, or -1 */
    size_t count, key_count;
    tuo_udp_limits limits, effective;
    int with_limits;
} job;

static uint32_t within(uint32_t value, uint32_t fallback, uint32_t max)
{
    value = value == 0 ? fallback : value;
    return value < max ? value : max;
}

static void read_datagrams(fuzz_input *in, job *j, unsigned keys)
{
    tuo_udp_slot now = {100, 0, -1};
    while (in->len > 0 && j->count < SLOTS_MAX) {
        unsigned how = fuzz_u8(in), repeat = 1;
        now.key = how % keys;
        switch (how >> 6) {
        case 0: break;
        case 1: now.len -= now.len > 0; break;
        case 2:
            now.len = fuzz_u16(in);
            now.len = now.len == 0xffff ? 0xffffffffu : now.len; /* lengths must not wrap */
            break;
        default: repeat = fuzz_u8(in); break;
        }
        for (; repeat > 0 && j->count < SLOTS_MAX; repeat--) {
            j->slots[j->count++] = now;
        }
    }
}

static void read_job(fuzz_input *in, job *j)
{
    unsigned switches = fuzz_u8(in);
    j->with_limits = !(switches & 1);
    j->limits.max_segs = fuzz_u8(in);
    j->limits.max_bytes = fuzz_u16(in) * 2u;
    j->limits.no_equal_tail = (uint8_t)(switches & 2);
    j->key_count = 1 + fuzz_u8(in) % KEYS;
    j->count = 0;
    memset(&j->effective, 0, sizeof j->effective);
    if (j->with_limits) {
        j->effective = j->limits;
    }
    j->effective.max_segs = within(j->effective.max_segs, 64, 128);
    j->effective.max_bytes = within(j->effective.max_bytes, 65000, 65507);
    read_datagrams(in, j, switches & 4 ? KEYS : (unsigned)j->key_count);
    int32_t last_of[KEYS];
    memset(last_of, 0xff, sizeof last_of);
    for (size_t i = 0; i < j->count; i++) {
        uint32_t key = j->slots[i].key;
        if (last_of[key] >= 0 && key < j->key_count) {
            j->slots[last_of[key]].next = (int32_t)i;
        }
        last_of[key] = (int32_t)i;
    }
}

/* The most datagrams of its key that may leave together, from this one on. */
static uint32_t longest_from(const job *j, int32_t first)
{
    uint32_t longest = 1, n = 1, len = j->slots[first].len;
    uint64_t bytes = len;
    int shorter = 0;
    for (int32_t i = j->slots[first].next; i >= 0 && len > 0 && !shorter; i = j->slots[i].next) {
        n++;
        bytes += j->slots[i].len;
        shorter = j->slots[i].len < len;
        if (j->slots[i].len == 0 || j->slots[i].len > len || n > j->effective.max_segs || bytes > j->effective.max_bytes) {
            break;
        }
        if (shorter || !j->effective.no_equal_tail) {
            longest = n;
        }
    }
    return longest;
}

static void *filled(size_t len, int fill)
{
    void *bytes = malloc(len > 0 ? len : 1);
    FUZZ_CHECK(bytes != NULL);
    memset(bytes, fill, len);
    return bytes;
}

/* One plan, all three arrays of exact size, with `fill` in what is only written. The caller frees *slots and *trains. */
static size_t run(const job *j, int fill, tuo_udp_slot **slots, tuo_udp_train **trains)
{
    int32_t *open = filled(j->key_count * sizeof *open, fill);
    *slots = filled(j->count * sizeof **slots, fill);
    *trains = filled(j->count * sizeof **trains, fill);
    for (size_t i = 0; i < j->count; i++) {
        (*slots)[i].len = j->slots[i].len;
        (*slots)[i].key = j->slots[i].key;
    }
    size_t train_count = tuo_udp_plan(j->with_limits ? &j->limits : NULL, *slots, j->count, open, j->key_count, *trains);
    FUZZ_CHECK(train_count <= j->count && (train_count > 0) == (j->count > 0));
    free(open);
    return train_count;
}

/* Takes the slots of this train off what is left of its key; *left: the next slot that is due. */
static void check_train(const job *j, const tuo_udp_slot *slots, const tuo_udp_train *train, int32_t *left, uint8_t *seen)
{
    uint32_t count = 0, key = j->slots[train->first].key;
    uint64_t bytes = 0;
    FUZZ_CHECK(train->seg_len == j->slots[train->first].len);
    FUZZ_CHECK(train->count == longest_from(j, train->first));
    for (int32_t i = train->first; i >= 0; i = slots[i].next) {
        FUZZ_CHECK((size_t)i < j->count && !seen[i] && slots[i].key == key);
        FUZZ_CHECK(key >= j->key_count || left[key] == i);
        left[key] = j->slots[i].next;
        seen[i] = 1;
        bytes += slots[i].len;
        count++;
    }
    FUZZ_CHECK(count == train->count && bytes == train->len);
    FUZZ_CHECK(count == 1 || (count <= j->effective.max_segs && bytes <= j->effective.max_bytes));
    fuzz_deep += count > 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static job j;
    static uint8_t seen[SLOTS_MAX];
    fuzz_input in = {data, size};
    tuo_udp_slot *slots, *twin_slots;
    tuo_udp_train *trains, *twin_trains;
    int32_t left[KEYS], before = -1;
    read_job(&in, &j);
    size_t train_count = run(&j, 0, &slots, &trains);
    FUZZ_CHECK(run(&j, 0xff, &twin_slots, &twin_trains) == train_count);
    FUZZ_CHECK(memcmp(slots, twin_slots, j.count * sizeof *slots) == 0);
    FUZZ_CHECK(memcmp(trains, twin_trains, train_count * sizeof *trains) == 0);
    memset(seen, 0, sizeof seen);
    for (size_t i = j.count; i > 0; i--) {
        left[j.slots[i - 1].key] = (int32_t)(i - 1);
        FUZZ_CHECK(slots[i - 1].len == j.slots[i - 1].len && slots[i - 1].key == j.slots[i - 1].key);
    }
    for (size_t t = 0; t < train_count; t++) {
        FUZZ_CHECK(trains[t].first > before && (size_t)trains[t].first < j.count);
        before = trains[t].first;
        check_train(&j, slots, &trains[t], left, seen);
    }
    for (size_t i = 0; i < j.count; i++) {
        FUZZ_CHECK(seen[i]);
    }
    free(slots);
    free(twin_slots);
    free(trains);
    free(twin_trains);
    return 0;
}
