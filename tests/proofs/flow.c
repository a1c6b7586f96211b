/* The flow table, from any state: contents of its buckets, clock and keys are arbitrary (init itself: flow_init). Proved: memory stays within
   what memory_size says; find, insert, remove and reset do what their comments say, for any keys, and an insert into a full bucket
   displaces the oldest entry, hands it out, and no other.
   The hash is replaced: any function of the key will do (__CPROVER_uninterpreted_*: equal keys, equal hashes, else anything), so the proofs
   hold for every seed. memcmp is replaced by a comparison of words: equal or not, which is all that is asked. Keys have 4 free bits in their
   first 8 bytes and 4 in their last, all others are 0. That leaves out no case: the table hashes, compares and copies keys and does nothing
   else with them, and no more than ten take part in a proof.
   Bounds: one bucket of TUO_FLOW_WAYS entries, since a lookup never leaves its bucket (flow_bucket: up to 1024 buckets). */
#define TUO_MEMCMP compare_contract
int compare_contract(const void *a, const void *b, unsigned long len);
#include "proof.h"

uint64_t __CPROVER_uninterpreted_hash(uint64_t, uint64_t);
uint64_t nh_contract(const tuoi_index *index, const uint8_t *words, uint32_t word_count, uint32_t first_key) {
    const tuo_flow_key *const key = (const tuo_flow_key *)(const void *)words;
    uint64_t w[6];
    (void)index;
    PROVE(word_count == 12 && first_key == 0 && readable(words, 48), "the hash reads a key");
    memcpy(w, key, sizeof w);
    return __CPROVER_uninterpreted_hash(w[0], w[5]);
}
uint64_t finish_contract(const tuoi_index *index, uint64_t sum) {
    (void)index;
    return sum; /* any function already */
}

static tuo_flow_table any_table; /* their contents are set to anything */
static tuoi_bucket any_bucket;
static tuo_flow_key any_keys[TUO_FLOW_WAYS];

/* Any of 256 keys. */
static tuo_flow_key any_key(void) {
    uint64_t w[6] = { 0, 0, 0, 0, 0, 0 };
    tuo_flow_key key;
    w[0] = nondet_u8() & 15u;
    w[5] = nondet_u8() & 15u;
    memcpy(&key, w, sizeof key);
    return key;
}

static int same_key(const tuo_flow_key *a, const tuo_flow_key *b) {
    uint64_t x[6], y[6];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return x[0] == y[0] && x[5] == y[5];
}

int compare_contract(const void *a, const void *b, unsigned long len) {
    PROVE(len == 48, "keys are compared");
    return !same_key(a, b);
}

/* Where the entry of a key is, if it is live: way, or TUO_FLOW_WAYS. */
static uint32_t way_of(const tuo_flow_key *key) {
    uint32_t way, found = TUO_FLOW_WAYS;
    const tuoi_slot slot = tuoi_index_probe(&any_table.index, nh_contract(&any_table.index, (const uint8_t *)key, 12, 0));
    if (any_bucket.generation != any_table.index.generation) return TUO_FLOW_WAYS;
    for (way = 0; way < TUO_FLOW_WAYS; way++) {
        if (any_bucket.tag[way] == slot.tag && same_key(&any_keys[way], key)) found = way;
    }
    return found;
}

/* Any state; a key is in the table once at most, and those that live are counted. */
static void any_state(const tuo_flow_key *key) {
    tuo_flow_table table;
    tuoi_bucket bucket;
    uint32_t way, count = 0, live = 0;
    any_bucket = bucket;
    any_table = table;
    for (way = 0; way < TUO_FLOW_WAYS; way++) {
        any_keys[way] = any_key();
        if (bucket.tag[way]) live++;
        if (bucket.tag[way] && same_key(&any_keys[way], key)) count++;
    }
    any_table.index.buckets = &any_bucket;
    any_table.index.bucket_mask = 0;
    any_table.keys = any_keys;
    ASSUME(count <= 1 && table.index.generation != 0);
    ASSUME(table.index.live_count == (bucket.generation == table.index.generation ? live : 0));
}

/* A lookup is in one bucket of the table, of 1 to 1024 buckets.
   PROOF flow_bucket unwind=9 models=64,32 cover=tuoi_index_probe,tuoi_bucket_equal_tags */
void flow_bucket(void) {
    const uint32_t mask = nondet_u32();
    tuoi_index index;
    tuoi_slot slot;
    ASSUME(mask == 0 || mask == 1 || mask == 3 || mask == 63 || mask == 1023);
    index.bucket_mask = mask;
    index.buckets = malloc(((size_t)mask + 1) * sizeof(tuoi_bucket));
    ASSUME(index.buckets != NULL);
    slot = tuoi_index_probe(&index, nondet_u64());
    PROVE(readable(slot.bucket, sizeof(tuoi_bucket)), "within the table");
    PROVE(slot.candidates <= 0xFF && (slot.tag & 1) && slot.way == TUO_FLOW_WAYS, "candidates are ways, tags are not 0");
}

/* PROOF flow_find slow unwind=9 models=64 calls=tuoi_nh:nh_contract,tuoi_hash_finish:finish_contract
         cover=tuo_flow_table_find,tuoi_flow_locate,tuoi_slot_next,tuoi_index_probe */
void flow_find(void) {
    const tuo_flow_key key = any_key();
    uint32_t slot;
    const uint32_t *value;
    any_state(&key);
    slot = way_of(&key);
    value = tuo_flow_table_find(&any_table, &key);
    PROVE((value == NULL) == (slot == TUO_FLOW_WAYS), "found if and only if it is there");
    if (value) PROVE(value == &any_bucket.value[slot], "its own value");
}

/* PROOF flow_insert deep unwind=9 objects=10 models=64 calls=tuoi_nh:nh_contract,tuoi_hash_finish:finish_contract
         cover=tuo_flow_table_insert,tuoi_index_choose_way,tuoi_index_put */
void flow_insert(void) {
    const tuo_flow_key key = any_key(), other = any_key();
    tuo_flow_evicted evicted;
    uint32_t slot, before, count, other_slot;
    uint32_t *value;
    any_state(&key);
    slot = way_of(&key);
    other_slot = way_of(&other);
    count = tuo_flow_table_count(&any_table);
    before = other_slot < TUO_FLOW_WAYS ? any_bucket.value[other_slot] : 0;
    value = tuo_flow_table_insert(&any_table, &key, &evicted);
    PROVE(value != NULL && value == tuo_flow_table_find(&any_table, &key), "then it is found");
    if (slot < TUO_FLOW_WAYS) {
        PROVE(!evicted.happened && tuo_flow_table_count(&any_table) == count, "it was there: nothing changes");
    } else {
        PROVE(*value == 0, "a new value is 0");
        PROVE(tuo_flow_table_count(&any_table) == count + (evicted.happened ? 0 : 1), "one more, or one displaced");
    }
    if (other_slot < TUO_FLOW_WAYS && !same_key(&other, &key)) {
        const uint32_t now = way_of(&other);
        PROVE(now == other_slot || (evicted.happened && same_key(&evicted.key, &other)), "another entry stays, or is handed out");
        if (now == other_slot) PROVE(any_bucket.value[now] == before, "with its value");
        else PROVE(evicted.value == before, "with its value, too");
    }
}

/* The displaced entry is the oldest of a full bucket; ages are differences to the clock.
   PROOF flow_oldest slow unwind=9 models=64 cover=tuoi_index_choose_way */
void flow_oldest(void) {
    tuoi_index index;
    tuoi_bucket bucket, before;
    const uint32_t at = (uint32_t)any_up_to(TUO_FLOW_WAYS - 1);
    uint32_t way;
    index.clock = 0; /* ages are differences to it, and stamps are arbitrary */
    before = bucket;
    way = tuoi_index_choose_way(&index, &bucket);
    PROVE(way < TUO_FLOW_WAYS && bucket.generation == index.generation, "a way of this bucket");
    if (before.generation != index.generation) {
        PROVE(bucket.tag[at] == 0, "a bucket of another generation is empty now");
    } else {
        PROVE(bucket.tag[at] == before.tag[at], "a live bucket stays as it is");
        PROVE(bucket.tag[way] == 0 || bucket.tag[at] != 0, "a free way if there is one");
        if (bucket.tag[way]) PROVE(index.clock - bucket.stamp[way] >= index.clock - bucket.stamp[at], "else the oldest");
    }
}

/* PROOF flow_remove deep unwind=9 models=64 calls=tuoi_nh:nh_contract,tuoi_hash_finish:finish_contract
         cover=tuo_flow_table_remove,tuoi_index_remove */
void flow_remove(void) {
    const tuo_flow_key key = any_key(), other = any_key();
    uint32_t slot, other_slot, count;
    any_state(&key);
    slot = way_of(&key);
    other_slot = way_of(&other);
    count = tuo_flow_table_count(&any_table);
    PROVE(tuo_flow_table_remove(&any_table, &key) == (slot < TUO_FLOW_WAYS), "1 if it was there");
    PROVE(way_of(&key) == TUO_FLOW_WAYS, "it is not there any more");
    PROVE(tuo_flow_table_count(&any_table) == count - (slot < TUO_FLOW_WAYS), "one less");
    if (!same_key(&other, &key)) PROVE(way_of(&other) == other_slot, "all others are");
}

/* Also where the generation number wraps.
   PROOF flow_reset unwind=9 models=64 calls=tuoi_nh:nh_contract,tuoi_hash_finish:finish_contract cover=tuo_flow_table_reset,
         tuoi_index_reset */
void flow_reset(void) {
    const tuo_flow_key key = any_key();
    any_state(&key);
    ASSUME(any_bucket.generation <= any_table.index.generation); /* init, reset and choose_way keep that */
    tuo_flow_table_reset(&any_table);
    PROVE(any_table.index.generation != 0 && tuo_flow_table_count(&any_table) == 0, "empty");
    PROVE(any_bucket.generation < any_table.index.generation, "buckets are older");
    PROVE(tuo_flow_table_find(&any_table, &key) == NULL, "nothing is found");
}

/* Init within memory_size, refusals before anything is written; every table size's memory adds up.
   PROOF flow_init unwind=20 models=64,32 cover=tuo_flow_table_init,tuoi_index_init,tuo_flow_table_memory_size */
void flow_init(void) {
    const uint32_t max_flows = nondet_int() ? (uint32_t)any_up_to(9) : 0;
    const size_t needed = tuo_flow_table_memory_size(max_flows), len = any_up_to(4000);
    uint8_t *const mem = any_bytes(len); /* aligned, as malloc's is */
    tuo_flow_table *table = NULL;
    const tuo_result result = tuo_flow_table_init(&table, mem, len, max_flows, nondet_u64());
    PROVE((needed == 0) == (max_flows == 0), "memory size");
    PROVE(result == (max_flows == 0 ? TUO_E_INVALID : len < needed ? TUO_E_NOSPACE : TUO_OK) || result == TUO_E_INVALID, "result");
    if (result != TUO_OK) {
        PROVE(table == NULL, "untouched on an error");
        return;
    }
    PROVE(tuo_flow_table_count(table) == 0, "empty");
    PROVE((uint8_t *)(table->keys + (table->index.bucket_mask + 1) * TUO_FLOW_WAYS) <= mem + needed, "keys end within the memory");
    PROVE((table->index.bucket_mask + 1) * TUO_FLOW_WAYS >= 2 * max_flows, "twice as many entries");
}

/* PROOF flow_sizes unwind=20 models=64,32 cover=tuo_flow_table_memory_size,tuoi_bucket_count */
void flow_sizes(void) {
    const uint32_t max_flows = nondet_u32();
    const size_t size = tuo_flow_table_memory_size(max_flows);
    const uint32_t buckets = tuoi_bucket_count(max_flows <= 65536 ? max_flows : 1);
    PROVE((size == 0) == (max_flows == 0 || max_flows > 65536), "0 if out of range");
    PROVE((buckets & (buckets - 1)) == 0 && buckets * 8 >= 2 * (max_flows <= 65536 ? max_flows : 1), "a power of two of buckets");
    if (size) PROVE(size >= sizeof(tuo_flow_table) + buckets * (sizeof(tuoi_bucket) + 8 * sizeof(tuo_flow_key)), "it all fits");
}
