/* fuzz_flow_table.c - the flow table, against a list that is searched from end to end.
   Input     1 byte of capacity, 1 byte of seed, then operations: 1 byte of what to do and how to make the key, then the key: a number
             (1 or 2 bytes), one byte of it changed (2 bytes), or 48 bytes as they are.
   Asserts   what the list knows is found, with its value, and nothing else is; an insert adds one entry with value 0, and reports
             exactly the entry that it displaced: one with at least TUO_FLOW_WAYS - 1 younger ones; after a reset nothing is there; the
             count is right; lookups, probes (at most TUO_FLOW_WAYS each) and evictions are counted; no byte outside the memory asked
             for is touched; a second table with the same seed and operations does the same, whatever was in its memory. */
#include "fuzz.h"

enum { ENTRIES_MAX = 4096, OPERATIONS_MAX = 4096 };

/* Oldest first. */
typedef struct entry {
    tuo_flow_key key;
    uint32_t value;
} entry;

typedef struct model {
    entry entries[ENTRIES_MAX];
    size_t count;
    tuo_flow_stats stats; /* probes: an upper bound */
} model;

/* Index of the key; count if it is not there. */
static size_t model_find(const model *m, const tuo_flow_key *key)
{
    size_t i = 0;
    while (i < m->count && memcmp(&m->entries[i].key, key, sizeof *key) != 0) {
        i++;
    }
    return i;
}

static void model_remove(model *m, size_t i)
{
    m->count--;
    memmove(&m->entries[i], &m->entries[i + 1], (m->count - i) * sizeof m->entries[0]);
}

static tuo_flow_table *new_table(uint8_t **mem, size_t *mem_len, uint32_t max_flows, uint64_t seed, int fill)
{
    tuo_flow_table *table = NULL;
    *mem_len = tuo_flow_table_memory_size(max_flows);
    FUZZ_CHECK(*mem_len > 0);
    *mem = malloc(*mem_len);
    FUZZ_CHECK(*mem != NULL);
    memset(*mem, fill, *mem_len);
    FUZZ_CHECK(tuo_flow_table_init(&table, *mem, *mem_len - 1, max_flows, seed) == TUO_E_NOSPACE && table == NULL);
    FUZZ_CHECK(tuo_flow_table_init(&table, *mem, *mem_len, max_flows, seed) == TUO_OK);
    FUZZ_CHECK((uint8_t *)table == *mem);
    return table;
}

enum { KEY_NUMBER, KEY_WIDE_NUMBER, KEY_CHANGED, KEY_RAW };

static void read_key(fuzz_input *in, unsigned how, tuo_flow_key *key)
{
    memset(key, 0, sizeof *key);
    key->ip_version = 4;
    key->l4_proto = 6;
    uint8_t *bytes = (uint8_t *)key;
    unsigned number, at;
    switch (how) {
    case KEY_NUMBER: key->src_port = fuzz_u8(in); break;
    case KEY_WIDE_NUMBER:
        number = fuzz_u16(in);
        memcpy(key->dst, &number, sizeof number);
        break;
    case KEY_CHANGED: /* the only difference may be in any byte */
        at = fuzz_u8(in) % sizeof *key;
        bytes[at] = fuzz_u8(in);
        break;
    default:
        for (at = 0; at < sizeof *key; at++) {
            bytes[at] = fuzz_u8(in);
        }
        break;
    }
}

static void check_insert(model *m, tuo_flow_table *table, tuo_flow_table *twin, const tuo_flow_key *key, uint32_t new_value)
{
    tuo_flow_evicted evicted, twin_evicted;
    size_t at = model_find(m, key);
    memset(&evicted, 0x77, sizeof evicted);
    uint32_t *value = tuo_flow_table_insert(table, key, &evicted);
    uint32_t *twin_value = tuo_flow_table_insert(twin, key, &twin_evicted);
    FUZZ_CHECK(value != NULL && twin_value != NULL && *value == *twin_value);
    FUZZ_CHECK(evicted.happened == twin_evicted.happened && (evicted.happened == 0 || evicted.happened == 1));
    if (at < m->count) {
        FUZZ_CHECK(*value == m->entries[at].value && !evicted.happened);
    } else {
        FUZZ_CHECK(*value == 0);
        if (evicted.happened) {
            size_t lost = model_find(m, &evicted.key);
            FUZZ_CHECK(lost < m->count && evicted.value == m->entries[lost].value);
            FUZZ_CHECK(m->count - lost >= TUO_FLOW_WAYS);
            FUZZ_CHECK(memcmp(&evicted.key, &twin_evicted.key, sizeof evicted.key) == 0);
            model_remove(m, lost);
            m->stats.evictions++;
            fuzz_deep++;
        }
        FUZZ_CHECK(m->count < ENTRIES_MAX);
        at = m->count++;
        m->entries[at].key = *key;
    }
    *value = *twin_value = m->entries[at].value = new_value;
}

static void check_find(const model *m, tuo_flow_table *table, tuo_flow_table *twin, const tuo_flow_key *key)
{
    size_t at = model_find(m, key);
    uint32_t *value = tuo_flow_table_find(table, key), *twin_value = tuo_flow_table_find(twin, key);
    FUZZ_CHECK((value != NULL) == (at < m->count) && (twin_value != NULL) == (value != NULL));
    FUZZ_CHECK(value == NULL || (*value == m->entries[at].value && *twin_value == *value));
}

static void check_remove(model *m, tuo_flow_table *table, tuo_flow_table *twin, const tuo_flow_key *key)
{
    size_t at = model_find(m, key);
    int removed = tuo_flow_table_remove(table, key);
    FUZZ_CHECK(removed == (at < m->count) && tuo_flow_table_remove(twin, key) == removed);
    if (removed) {
        model_remove(m, at);
    }
}

static void check_stats(model *m, const tuo_flow_table *table, unsigned lookups)
{
    tuo_flow_stats stats;
    tuo_flow_table_query_stats(table, &stats);
    FUZZ_CHECK(stats.lookups == m->stats.lookups + lookups && stats.evictions == m->stats.evictions);
    FUZZ_CHECK(stats.probes >= m->stats.probes && stats.probes <= m->stats.probes + TUO_FLOW_WAYS * (uint64_t)lookups);
    FUZZ_CHECK(tuo_flow_table_count(table) == m->count);
    m->stats = stats;
}

/* All of them, at the end: lookups that find nothing must not have changed anything. */
static void check_all(const model *m, tuo_flow_table *table)
{
    for (size_t i = 0; i < m->count; i++) {
        const uint32_t *value = tuo_flow_table_find(table, &m->entries[i].key);
        FUZZ_CHECK(value != NULL && *value == m->entries[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t capacities[] = {1, 2, 4, 5, 8, 16, 33, 100};
    static model m;
    fuzz_input in = {data, size};
    uint32_t max_flows = capacities[fuzz_u8(&in) % 8];
    uint64_t seed = fuzz_u8(&in);
    uint8_t *mem, *twin_mem;
    size_t mem_len;
    tuo_flow_table *table = new_table(&mem, &mem_len, max_flows, seed, 0), *twin = new_table(&twin_mem, &mem_len, max_flows, seed, 0xff);
    m.count = 0;
    memset(&m.stats, 0, sizeof m.stats);
    for (unsigned n = 0; n < OPERATIONS_MAX && in.len > 0; n++) {
        unsigned op = fuzz_u8(&in);
        tuo_flow_key key;
        read_key(&in, op >> 6, &key);
        switch (op % 8) {
        case 0: case 1: case 2: check_insert(&m, table, twin, &key, n + 1); break;
        case 3: case 4: check_find(&m, table, twin, &key); break;
        case 5: case 6: check_remove(&m, table, twin, &key); break;
        default:
            if (op % 64 == 7) {
                tuo_flow_table_reset(table);
                tuo_flow_table_reset(twin);
                m.count = 0;
            }
            check_stats(&m, table, 0);
            check_find(&m, table, twin, &key);
            break;
        }
        check_stats(&m, table, 1);
    }
    check_all(&m, table);
    free(mem);
    free(twin_mem);
    return 0;
}
