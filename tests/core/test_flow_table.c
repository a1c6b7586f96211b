/* The flow table: a plain map as the model, eviction, hostile keys, and counters that wrap. Looks inside the table where the
   alternative is to wait for 2^32 operations. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "reference.h"

/* A table in memory of the size it asks for, as close in front of a forbidden page as alignment allows. */
typedef struct table_in_page {
    guard_page page;
    tuo_flow_table *table;
} table_in_page;

static table_in_page table_new(uint32_t max_flows, uint64_t seed)
{
    table_in_page t;
    size_t size = tuo_flow_table_memory_size(max_flows);

    t.page = guard_page_new(size);
    t.table = NULL;
    memset(t.page.first, 0xd5, (size_t)(t.page.end - t.page.first));
    CHECK_RESULT(tuo_flow_table_init(&t.table, t.page.end - (size + 7) / 8 * 8, size, max_flows, seed), TUO_OK);
    if (!t.table)
        exit(1); /* said above; nothing else can run */
    return t;
}

static tuo_flow_stats table_stats(const tuo_flow_table *table)
{
    tuo_flow_stats stats;

    tuo_flow_table_query_stats(table, &stats);
    return stats;
}

static tuo_flow_key key_number(uint32_t n)
{
    tuo_flow_key key;

    memset(&key, 0, sizeof key);
    key.src[0] = 10;
    pkt_put32(key.dst, n);
    key.src_port = 1000;
    key.dst_port = 443;
    key.ip_version = 4;
    key.l4_proto = 6;
    return key;
}

static void table_put(tuo_flow_table *table, uint32_t n, uint32_t value)
{
    tuo_flow_key key = key_number(n);

    *tuo_flow_table_insert(table, &key, NULL) = value;
}

/* The value of key n; 0xffffffff if it is not there. */
static uint32_t table_get(tuo_flow_table *table, uint32_t n)
{
    tuo_flow_key key = key_number(n);
    const uint32_t *value = tuo_flow_table_find(table, &key);

    return value ? *value : 0xffffffffu;
}

TEST(memory_size)
{
    uint32_t n;
    size_t last = 0;

    CHECK_EQ_INT(tuo_flow_table_memory_size(0), 0);
    CHECK_EQ_INT(tuo_flow_table_memory_size(65537), 0);
    CHECK_EQ_INT(tuo_flow_table_memory_size(0xffffffffu), 0);
    for (n = 1; n <= 65536; n = n < 300 ? n + 1 : n * 2 - 1) {
        size_t size = tuo_flow_table_memory_size(n);
        CHECK(size >= n * sizeof(tuo_flow_key));
        CHECK(size >= last);
        last = size;
    }
    CHECK(tuo_flow_table_memory_size(65536) >= last);
}

TEST(init_errors)
{
    static uint64_t mem[16384], before[16384];
    size_t size = tuo_flow_table_memory_size(16);
    tuo_flow_table *table = (tuo_flow_table *)(void *)mem;

    CHECK(size < sizeof mem);
    memset(mem, 0x5c, sizeof mem);
    memcpy(before, mem, sizeof mem);
    CHECK_RESULT(tuo_flow_table_init(&table, NULL, sizeof mem, 16, 1), TUO_E_INVALID);
    CHECK_RESULT(tuo_flow_table_init(&table, mem, sizeof mem, 0, 1), TUO_E_INVALID);
    CHECK_RESULT(tuo_flow_table_init(&table, mem, sizeof mem, 65537, 1), TUO_E_INVALID);
    CHECK_RESULT(tuo_flow_table_init(&table, (uint8_t *)mem + 1, sizeof mem - 1, 16, 1), TUO_E_INVALID);
    CHECK_RESULT(tuo_flow_table_init(&table, (uint8_t *)mem + 4, sizeof mem - 4, 16, 1), TUO_E_INVALID);
    CHECK_RESULT(tuo_flow_table_init(&table, mem, size - 1, 16, 1), TUO_E_NOSPACE);
    CHECK_RESULT(tuo_flow_table_init(&table, mem, 0, 16, 1), TUO_E_NOSPACE);
    CHECK_BYTES(mem, before, sizeof mem);
    CHECK((void *)table == (void *)mem);
    CHECK_RESULT(tuo_flow_table_init(&table, mem, size, 16, 1), TUO_OK);
    CHECK_BYTES((uint8_t *)mem + size, (uint8_t *)before + size, sizeof mem - size);
}

TEST(find_insert_remove)
{
    table_in_page t = table_new(16, 1);
    tuo_flow_key a = key_number(1), b = key_number(2);
    tuo_flow_evicted evicted;
    uint32_t *value;

    CHECK(tuo_flow_table_find(t.table, &a) == NULL);
    CHECK_EQ_INT(tuo_flow_table_remove(t.table, &a), 0);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 0);
    memset(&evicted, 0x77, sizeof evicted);
    value = tuo_flow_table_insert(t.table, &a, &evicted);
    CHECK_EQ_INT(*value, 0);
    CHECK_EQ_INT(evicted.happened, 0);
    *value = 111;
    *tuo_flow_table_insert(t.table, &b, NULL) = 222;
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 2);
    CHECK_EQ_INT(table_get(t.table, 1), 111);
    CHECK_EQ_INT(table_get(t.table, 2), 222);
    memset(&evicted, 0x77, sizeof evicted);
    CHECK_EQ_INT(*tuo_flow_table_insert(t.table, &a, &evicted), 111);
    CHECK_EQ_INT(evicted.happened, 0);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 2);
    CHECK_EQ_INT(tuo_flow_table_remove(t.table, &a), 1);
    CHECK_EQ_INT(tuo_flow_table_remove(t.table, &a), 0);
    CHECK(tuo_flow_table_find(t.table, &a) == NULL);
    CHECK_EQ_INT(table_get(t.table, 2), 222);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 1);
    CHECK_EQ_INT(*tuo_flow_table_insert(t.table, &a, NULL), 0);
    guard_page_free(&t.page);
}

/* Of so many keys some hash to any 16 bits that there are, also to those that could mean an empty place. */
TEST(every_hash_is_a_place)
{
    table_in_page t = table_new(16, 1);
    size_t i, missing = 0;

    for (i = 0; i < 300000; i++) {
        tuo_flow_key key = key_number((unsigned)i);
        tuo_flow_table_insert(t.table, &key, NULL);
        missing += tuo_flow_table_find(t.table, &key) == NULL || !tuo_flow_table_remove(t.table, &key);
        missing += tuo_flow_table_find(t.table, &key) != NULL;
    }
    CHECK_EQ_INT(missing, 0);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 0);
    guard_page_free(&t.page);
}

TEST(every_byte_of_the_key_counts)
{
    table_in_page t = table_new(4, 1); /* one bucket: nothing but the comparison tells the keys apart */
    tuo_flow_key key = key_number(1);
    size_t i;

    *tuo_flow_table_insert(t.table, &key, NULL) = 5;
    for (i = 0; i < sizeof key; i++) {
        tuo_flow_key other = key;
        check_row("byte %lu", (unsigned long)i);
        ((uint8_t *)&other)[i] ^= 1;
        CHECK(tuo_flow_table_find(t.table, &other) == NULL);
        ((uint8_t *)&other)[i] ^= 1;
        CHECK(tuo_flow_table_find(t.table, &other) != NULL);
    }
    guard_page_free(&t.page);
}

/* Equal tags are one in 2^15 by chance; here every entry gets the tag of the key that is looked for. */
TEST(equal_tags_are_not_equal_keys)
{
    table_in_page t = table_new(1, 1);
    tuo_flow_key wanted = key_number(100);
    tuoi_slot slot = tuoi_flow_locate(t.table, &wanted);
    uint32_t n;

    for (n = 0; n < TUO_FLOW_WAYS; n++)
        table_put(t.table, n, n);
    for (n = 0; n < TUO_FLOW_WAYS; n++)
        slot.bucket->tag[n] = slot.tag;
    CHECK(tuo_flow_table_find(t.table, &wanted) == NULL);
    CHECK_EQ_INT(tuo_flow_table_remove(t.table, &wanted), 0);
    guard_page_free(&t.page);
}

TEST(the_oldest_of_a_full_bucket_is_displaced)
{
    table_in_page t = table_new(1, 7);
    tuo_flow_evicted evicted;
    uint32_t n;

    for (n = 0; n < TUO_FLOW_WAYS; n++)
        table_put(t.table, n, 1000 + n);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), TUO_FLOW_WAYS);
    table_put(t.table, 0, 2000); /* there already: it does not become younger */
    for (n = TUO_FLOW_WAYS; n < 5 * TUO_FLOW_WAYS; n++) {
        tuo_flow_key key = key_number(n), old = key_number(n - TUO_FLOW_WAYS);
        uint32_t *value = tuo_flow_table_insert(t.table, &key, &evicted);
        CHECK_EQ_INT(*value, 0);
        *value = 1000 + n;
        CHECK_EQ_INT(evicted.happened, 1);
        CHECK_BYTES(&evicted.key, &old, sizeof old);
        CHECK_EQ_INT(evicted.value, n == TUO_FLOW_WAYS ? 2000 : 1000 + n - TUO_FLOW_WAYS);
        CHECK_EQ_INT(tuo_flow_table_count(t.table), TUO_FLOW_WAYS);
        CHECK(tuo_flow_table_find(t.table, &old) == NULL);
    }
    CHECK_EQ_INT(table_stats(t.table).evictions, 4 * TUO_FLOW_WAYS);
    guard_page_free(&t.page);
}

/* The record of what was displaced may take the key of what is put back. */
TEST(what_was_displaced_is_put_back)
{
    table_in_page t = table_new(1, 7);
    tuo_flow_evicted evicted;
    tuo_flow_key key = key_number(TUO_FLOW_WAYS), old = key_number(0), next = key_number(1);
    uint32_t n;

    for (n = 0; n < TUO_FLOW_WAYS; n++)
        table_put(t.table, n, 1000 + n);
    tuo_flow_table_insert(t.table, &key, &evicted);
    CHECK_BYTES(&evicted.key, &old, sizeof old);
    *tuo_flow_table_insert(t.table, &evicted.key, &evicted) = 7;
    CHECK_BYTES(&evicted.key, &next, sizeof next);
    CHECK_EQ_INT(evicted.happened, 1);
    CHECK_EQ_INT(table_get(t.table, 0), 7);
    guard_page_free(&t.page);
}

TEST(a_removed_entry_makes_room)
{
    table_in_page t = table_new(1, 7);
    tuo_flow_evicted evicted;
    tuo_flow_key key = key_number(100), gone = key_number(3);
    uint32_t n;

    for (n = 0; n < TUO_FLOW_WAYS; n++)
        table_put(t.table, n, 1000 + n);
    CHECK_EQ_INT(tuo_flow_table_remove(t.table, &gone), 1);
    CHECK_EQ_INT(*tuo_flow_table_insert(t.table, &key, &evicted), 0);
    CHECK_EQ_INT(evicted.happened, 0);
    CHECK_EQ_INT(table_stats(t.table).evictions, 0);
    for (n = 0; n < TUO_FLOW_WAYS; n++)
        CHECK_EQ_INT(table_get(t.table, n), n == 3 ? 0xffffffffu : 1000 + n);
    guard_page_free(&t.page);
}

TEST(reset)
{
    table_in_page t = table_new(64, 3);
    uint32_t n, round;

    for (round = 0; round < 100; round++) {
        for (n = 0; n < 32; n++)
            table_put(t.table, n * 7 + round, n + 1);
        CHECK(tuo_flow_table_count(t.table) > 24);
        tuo_flow_table_reset(t.table);
        CHECK_EQ_INT(tuo_flow_table_count(t.table), 0);
        for (n = 0; n < 32; n++)
            CHECK_EQ_INT(table_get(t.table, n * 7 + round), 0xffffffffu);
    }
    CHECK_EQ_INT(*tuo_flow_table_insert(t.table, &(tuo_flow_key){.ip_version = 4}, NULL), 0);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 1);
    guard_page_free(&t.page);
}

/* Entries from before 2^32 resets must not come back. */
TEST(generation_wraps)
{
    table_in_page t = table_new(16, 3);
    uint32_t first = t.table->index.generation, n, round;

    for (n = 0; n < 16; n++)
        table_put(t.table, n, n);
    t.table->index.generation = 0xfffffffeu;
    for (round = 0; round < 4; round++) {
        tuo_flow_table_reset(t.table);
        CHECK_EQ_INT(tuo_flow_table_count(t.table), 0);
        for (n = 0; n < 16; n++)
            CHECK_EQ_INT(table_get(t.table, n), 0xffffffffu);
    }
    CHECK(t.table->index.generation >= first && t.table->index.generation < 10); /* it did wrap */
    table_put(t.table, 5, 50);
    CHECK_EQ_INT(table_get(t.table, 5), 50);
    guard_page_free(&t.page);
}

/* Ages are differences on a 32-bit clock. */
TEST(clock_wraps)
{
    table_in_page t = table_new(1, 3);
    tuo_flow_evicted evicted;
    uint32_t n;

    t.table->index.clock = 0xfffffffcu;
    for (n = 0; n < TUO_FLOW_WAYS; n++)
        table_put(t.table, n, n);
    for (; n < 3 * TUO_FLOW_WAYS; n++) {
        tuo_flow_key key = key_number(n), old = key_number(n - TUO_FLOW_WAYS);
        (void)tuo_flow_table_insert(t.table, &key, &evicted);
        CHECK_EQ_INT(evicted.happened, 1);
        CHECK_BYTES(&evicted.key, &old, sizeof old);
    }
    CHECK(t.table->index.clock < 100);
    guard_page_free(&t.page);
}

/* ------------------------------------------------------------------------------------------------ hostile keys */

/* Fills out with count keys that share one bucket of a table of this size and seed. */
static void colliding_keys(tuo_flow_table *table, uint32_t *out, uint32_t count)
{
    tuo_flow_key key = key_number(0);
    const tuoi_bucket *bucket = tuoi_flow_locate(table, &key).bucket;
    uint32_t n, found = 0;

    for (n = 0; found < count; n++) {
        key = key_number(n);
        if (tuoi_flow_locate(table, &key).bucket == bucket)
            out[found++] = n;
    }
}

TEST(work_is_bounded_when_all_keys_collide)
{
    enum { COUNT = 200 };
    table_in_page t = table_new(1024, 99);
    uint32_t keys[COUNT], i;

    colliding_keys(t.table, keys, COUNT);
    for (i = 0; i < 3 * COUNT; i++) {
        tuo_flow_stats before = table_stats(t.table), after;
        tuo_flow_key key = key_number(keys[i % COUNT]);
        if (i < COUNT)
            (void)tuo_flow_table_insert(t.table, &key, NULL);
        else if (i < 2 * COUNT)
            (void)tuo_flow_table_find(t.table, &key);
        else
            (void)tuo_flow_table_remove(t.table, &key);
        after = table_stats(t.table);
        CHECK_EQ_INT(after.lookups - before.lookups, 1);
        CHECK(after.probes - before.probes <= TUO_FLOW_WAYS);
        CHECK(i < TUO_FLOW_WAYS || i >= COUNT || after.probes - before.probes == TUO_FLOW_WAYS);
    }
    CHECK_EQ_INT(table_stats(t.table).evictions, COUNT - TUO_FLOW_WAYS);
    CHECK_EQ_INT(tuo_flow_table_count(t.table), 0);
    guard_page_free(&t.page);
}

TEST(another_seed_breaks_the_collisions)
{
    enum { COUNT = 32 };
    table_in_page known = table_new(1024, 99), secret = table_new(1024, 0x123456789abcdef0u);
    uint32_t keys[COUNT], i;

    colliding_keys(known.table, keys, COUNT);
    for (i = 0; i < COUNT; i++) {
        table_put(known.table, keys[i], i);
        table_put(secret.table, keys[i], i);
    }
    CHECK_EQ_INT(tuo_flow_table_count(known.table), TUO_FLOW_WAYS);
    CHECK_EQ_INT(tuo_flow_table_count(secret.table), COUNT);
    guard_page_free(&known.page);
    guard_page_free(&secret.page);
}

/* At max_flows the table is at most half full: how many keys displace others if they are spread evenly is a matter of statistics
   (below 1 in 100 on average); a hash that neglects a field is far beyond. */
TEST(max_flows_keys_rarely_displace_each_other)
{
    static const struct {
        const char *name;
        uint16_t src_addr, dst_addr, src_port, label, extra; /* step of the field from key to key */
    } rows[] = {
        {"source address", 1, 0, 0, 0, 0},
        {"destination address", 0, 1, 0, 0, 0},
        {"destination address in steps of 256", 0, 256, 0, 0, 0},
        {"source port", 0, 0, 1, 0, 0},
        {"source port in steps of 16", 0, 0, 16, 0, 0},
        {"flow label", 0, 0, 0, 1, 0},
        {"extra", 0, 0, 0, 0, 1},
        {"address and port together", 1, 0, 1, 0, 0},
        {"both addresses together", 1, 1, 0, 0, 0},
    };
    size_t i;
    uint32_t seed, n;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        uint64_t inserted = 0, evicted = 0;
        check_row("%s", rows[i].name);
        for (seed = 0; seed < 20; seed++) {
            table_in_page t = table_new(1024, seed);
            for (n = 0; n < 1024; n++) {
                tuo_flow_key key = key_number(0);
                pkt_put32(key.src, 0x0a000000u + n * rows[i].src_addr);
                pkt_put32(key.dst, 0x0a000000u + n * rows[i].dst_addr);
                key.src_port = (uint16_t)(n * rows[i].src_port);
                key.flow_label = n * rows[i].label;
                key.extra = n * rows[i].extra;
                (void)tuo_flow_table_insert(t.table, &key, NULL);
            }
            inserted += 1024;
            evicted += table_stats(t.table).evictions;
            CHECK_EQ_INT(tuo_flow_table_count(t.table) + table_stats(t.table).evictions, 1024);
            guard_page_free(&t.page);
        }
        if (!CHECK(evicted * 50 < inserted))
            printf("    %lu of %lu displaced\n", (unsigned long)evicted, (unsigned long)inserted);
    }
}

/* --------------------------------------------------------------------------------------------- a plain map as model */

typedef struct model {
    int present[512];
    uint32_t value[512];
    uint32_t count;
} model;

static void model_drop(model *m, uint32_t n)
{
    m->count -= (uint32_t)m->present[n];
    m->present[n] = 0;
}

static void model_insert(model *m, tuo_flow_table *table, uint32_t n, uint32_t value)
{
    tuo_flow_key key = key_number(n);
    tuo_flow_evicted evicted;
    uint32_t *got = tuo_flow_table_insert(table, &key, &evicted);

    CHECK_EQ_INT(*got, m->present[n] ? m->value[n] : 0);
    if (evicted.happened) {
        uint32_t old = pkt_get32(evicted.key.dst);
        CHECK(old < 512 && m->present[old] && !m->present[n]);
        CHECK_EQ_INT(evicted.value, m->value[old]);
        model_drop(m, old);
    }
    *got = value;
    m->count += !m->present[n];
    m->present[n] = 1;
    m->value[n] = value;
}

TEST(random_operations_against_a_plain_map)
{
    static const uint32_t sizes[] = {1, 5, 16, 100, 1000};
    rng r = rng_start("random_operations_against_a_plain_map", 21);
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(sizes); i++) {
        static model m;
        table_in_page t = table_new(sizes[i], rng_u64(&r));
        uint32_t step, n;
        check_row("max_flows %lu", (unsigned long)sizes[i]);
        memset(&m, 0, sizeof m);
        for (step = 0; step < 20000; step++) {
            uint32_t what = rng_below(&r, 100);
            tuo_flow_key key;
            n = rng_below(&r, 512);
            key = key_number(n);
            if (what < 45) {
                model_insert(&m, t.table, n, (uint32_t)rng_u64(&r) & 0x7fffffffu);
            } else if (what < 75) {
                CHECK_EQ_INT(table_get(t.table, n), m.present[n] ? m.value[n] : 0xffffffffu);
            } else if (what < 99 || rng_chance(&r, 3, 4)) {
                CHECK_EQ_INT(tuo_flow_table_remove(t.table, &key), m.present[n]);
                model_drop(&m, n);
            } else {
                tuo_flow_table_reset(t.table);
                memset(&m, 0, sizeof m);
            }
            CHECK_EQ_INT(tuo_flow_table_count(t.table), m.count);
        }
        for (n = 0; n < 512; n++)
            CHECK_EQ_INT(table_get(t.table, n), m.present[n] ? m.value[n] : 0xffffffffu);
        guard_page_free(&t.page);
    }
}

/* ------------------------------------------------------------------------------------------------ keys of packets */

static tuo_flow_key key_of(const pkt_spec *s)
{
    uint8_t p[2048];
    size_t len = pkt_build(p, sizeof p, s);
    tuo_pkt_info info;
    tuo_flow_key key;

    memset(&key, 0x77, sizeof key);
    if (CHECK_RESULT(tuo_parse(p, len, pkt_is_ethernet(s) ? TUO_F_ETHERNET : 0, &info), TUO_OK))
        CHECK_RESULT(tuo_flow_key_from_packet(p, &info, &key), TUO_OK);
    return key;
}

TEST(key_bytes_of_each_kind)
{
    int kind, vlans;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++)
        for (vlans = 0; vlans < 2; vlans++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .src = 0x0102, .dst = 0x0304, .src_port = 0x1112, .dst_port = 0x1314,
                          .flow_label = 0xabcde, .vlan_count = (uint8_t)vlans};
            tuo_flow_key key, expected;
            check_row("kind %d%s", kind, vlans ? ", VLAN" : "");
            memset(&expected, 0, sizeof expected);
            if (pkt_is_v6(&s)) {
                memcpy(expected.src, "\xfd\0\0\1\0\0\0\0\0\0\0\0\0\0\1\2", 16);
                memcpy(expected.dst, "\xfd\0\0\2\0\0\0\0\0\0\0\0\0\0\3\4", 16);
                expected.flow_label = 0xabcde;
            } else {
                memcpy(expected.src, "\x0a\1\1\2", 4);
                memcpy(expected.dst, "\x0a\2\3\4", 4);
            }
            expected.src_port = 0x1112;
            expected.dst_port = 0x1314;
            expected.ip_version = pkt_is_v6(&s) ? 6 : 4;
            expected.l4_proto = pkt_is_udp(&s) ? 17 : 6;
            key = key_of(&s);
            CHECK_BYTES(&key, &expected, sizeof key);
        }
}

TEST(key_ignores_what_is_no_identity)
{
    static const uint8_t options[4] = {1, 1, 1, 1};
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec a = {.kind = (pkt_kind)kind}, b = a;
        tuo_flow_key key_a, key_b;
        check_row("kind %d", kind);
        b.seq = 5;
        b.ack = 6;
        b.window = 7;
        b.tos = 8;
        b.ttl = 9;
        b.ip_id = 10;
        b.payload_len = 11;
        b.tcp_flags = PKT_SYN;
        b.ext_chain = "D";
        if (!pkt_is_v6(&b)) {
            b.ip_options = options;
            b.ip_options_len = 4;
        }
        key_a = key_of(&a);
        key_b = key_of(&b);
        CHECK_BYTES(&key_a, &key_b, sizeof key_a);
    }
}

TEST(no_key_without_ports)
{
    static const pkt_spec specs[] = {{.kind = PKT_TCP4, .frag = 0x2000}, {.kind = PKT_UDP4, .proto = 47},
                                     {.kind = PKT_UDP6, .ext_chain = "f"}, {.kind = PKT_TCP6, .proto = 58}};
    uint8_t p[2048];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(specs); i++) {
        size_t len = pkt_build(p, sizeof p, &specs[i]);
        tuo_pkt_info info;
        tuo_flow_key key, before;
        memset(&key, 0x77, sizeof key);
        before = key;
        if (!CHECK_RESULT(tuo_parse(p, len, 0, &info), TUO_OK))
            continue;
        CHECK_RESULT(tuo_flow_key_from_packet(p, &info, &key), TUO_E_INVALID);
        CHECK_BYTES(&key, &before, sizeof key);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(memory_size),
        CHECK_ENTRY(init_errors),
        CHECK_ENTRY(find_insert_remove),
        CHECK_ENTRY(every_hash_is_a_place),
        CHECK_ENTRY(every_byte_of_the_key_counts),
        CHECK_ENTRY(equal_tags_are_not_equal_keys),
        CHECK_ENTRY(the_oldest_of_a_full_bucket_is_displaced),
        CHECK_ENTRY(what_was_displaced_is_put_back),
        CHECK_ENTRY(a_removed_entry_makes_room),
        CHECK_ENTRY(reset),
        CHECK_ENTRY(generation_wraps),
        CHECK_ENTRY(clock_wraps),
        CHECK_ENTRY(work_is_bounded_when_all_keys_collide),
        CHECK_ENTRY(another_seed_breaks_the_collisions),
        CHECK_ENTRY(max_flows_keys_rarely_displace_each_other),
        CHECK_ENTRY(random_operations_against_a_plain_map),
        CHECK_ENTRY(key_bytes_of_each_kind),
        CHECK_ENTRY(key_ignores_what_is_no_identity),
        CHECK_ENTRY(no_key_without_ports),
    };
    return CHECK_RUN(argc, argv, tests);
}
