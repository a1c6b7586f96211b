/* test_simd.c - the sums by vector instructions: every level that this machine has against the scalar pair and against the naive
   sum, at every length up to 2048 and every alignment; and how a level is chosen. Levels that other machines have are not counted
   as skipped; the first line says which were tested. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS in guard_page.h */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "reference.h"
#include "simd_levels.h"

enum { LEN_MAX = 2048, ALIGNMENTS = 64, MARGIN = 64, BUF = LEN_MAX + ALIGNMENTS + 2 * MARGIN, OUTSIDE = 0x5a };

/* Levels of other processors. Here none of them may be called usable. */
static const tuo_simd foreign[] = {
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
    TUO_SIMD_NEON,
#elif defined(__aarch64__) || defined(__arm__) || defined(_M_ARM64)
    TUO_SIMD_SSE2, TUO_SIMD_AVX2, TUO_SIMD_AVX512,
#else
    TUO_SIMD_SSE2, TUO_SIMD_NEON, TUO_SIMD_AVX2, TUO_SIMD_AVX512,
#endif
};

static const int no_levels[] = {6, 99, 255, -1};

/* ------------------------------------------------------------------------------------------------------------ raw sums */

static const uint64_t seeds[] = {
    0, 1, 0xffff, 0x10000, 0xffffffff, UINT64_C(0x100000000), UINT64_C(0x123456789abc), (UINT64_C(1) << 48) - 1,
};

/* A raw sum is a sum of native words: its own bytes, summed as bytes of a packet, give the number that it stands for. */
static unsigned number_of(uint64_t raw)
{
    uint8_t bytes[8];

    memcpy(bytes, &raw, 8);
    return pkt_sum(bytes, 8, 0);
}

/* The naive sum of seed and bytes. data[-8..len): the seed is put in front of the bytes. */
static unsigned naive(uint8_t *data, size_t len, uint64_t seed)
{
    memcpy(data - 8, &seed, 8);
    return ref_csum(data - 8, len + 8, 0);
}

/* The scalar pair is what the levels are measured by. It must not be judged by one of them. */
TEST(scalar_pair_is_the_naive_sum)
{
    static uint8_t room[8 + LEN_MAX], copy[LEN_MAX];
    uint8_t *data = room + 8;
    rng r = rng_start("scalar_pair_is_the_naive_sum", 1);
    size_t len, i;

    rng_bytes(&r, data, LEN_MAX);
    for (len = 0; len <= LEN_MAX; len++)
        for (i = 0; i < CHECK_COUNT_OF(seeds); i++) {
            unsigned expected = naive(data, len, seeds[i]);
            CHECK_EQ_INT(number_of(tuoi_sums_of(TUO_SIMD_SCALAR)->sum(data, len, seeds[i])), expected);
            CHECK_EQ_INT(number_of(tuoi_sums_of(TUO_SIMD_SCALAR)->copy_sum(copy, data, len, seeds[i])), expected);
        }
    CHECK_BYTES(copy, data, LEN_MAX);
}

/* ------------------------------------------------------------------------------------- every length, every alignment */

/* Where the bytes are and where they are copied to; around both, up to the forbidden page, is OUTSIDE. */
typedef struct spot {
    guard_page from, to;
    uint8_t *src, *dst;
} spot;

static int is_outside(const uint8_t *from, const uint8_t *end)
{
    static uint8_t outside[MARGIN];

    if (outside[0] != OUTSIDE)
        memset(outside, OUTSIDE, sizeof outside);
    return from == end || memcmp(from, outside, (size_t)(end - from)) == 0;
}

/* As many of the MARGIN bytes in front of p, or behind it, as there are before the forbidden page. */
static uint8_t *margin_before(const guard_page *g, uint8_t *p)
{
    return p - g->first < MARGIN ? g->first : p - MARGIN;
}

static uint8_t *margin_behind(const guard_page *g, uint8_t *p)
{
    return g->end - p < MARGIN ? g->end : p + MARGIN;
}

static void fill_outside(const guard_page *g, uint8_t *p, size_t len)
{
    uint8_t *from = margin_before(g, p), *end = margin_behind(g, p + len);

    memset(from, OUTSIDE, (size_t)(end - from));
}

/* Puts source and destination `shift` bytes away from the forbidden page in front of them, or behind them, the destination at
   another distance. Each distance comes with each length, 0 too: then nothing is between the last byte and the page. */
static void place(spot *s, const uint8_t *data, size_t len, size_t shift, int at_end)
{
    size_t dst_shift = (shift * 37 + len) % ALIGNMENTS;

    s->src = at_end ? s->from.end - shift - len : s->from.first + shift;
    s->dst = at_end ? s->to.end - dst_shift - len : s->to.first + dst_shift;
    fill_outside(&s->from, s->src, len);
    memcpy(s->src, data, len);
}

static void check_level(const spot *s, tuo_simd level, size_t len, uint64_t seed, unsigned expected)
{
    const tuoi_sums *sums = tuoi_sums_of(level);

    CHECK_EQ_INT(number_of(sums->sum(s->src, len, seed)), expected);
    fill_outside(&s->to, s->dst, len);
    CHECK_EQ_INT(number_of(sums->copy_sum(s->dst, s->src, len, seed)), expected);
    if (memcmp(s->dst, s->src, len) != 0)
        CHECK_BYTES(s->dst, s->src, len);
    CHECK(is_outside(margin_before(&s->to, s->dst), s->dst));
    CHECK(is_outside(s->dst + len, margin_behind(&s->to, s->dst + len)));
}

static void every_length_and_alignment(tuo_simd level, uint8_t *data)
{
    spot s = {guard_page_new(BUF), guard_page_new(BUF), NULL, NULL};
    size_t len, shift;

    for (len = 0; len <= LEN_MAX; len++) {
        uint64_t seed = seeds[len % CHECK_COUNT_OF(seeds)];
        unsigned expected = number_of(tuoi_sums_of(TUO_SIMD_SCALAR)->sum(data, len, seed));
        CHECK_EQ_INT(naive(data, len, seed), expected);
        for (shift = 0; shift < 2 * ALIGNMENTS; shift++) {
            place(&s, data, len, shift / 2, shift % 2);
            check_level(&s, level, len, seed, expected);
        }
    }
    guard_page_free(&s.from);
    guard_page_free(&s.to);
}

/* Every sum of 16 bits each that is near a carry, against division: the number modulo 65535, and 0 only of 0. */
TEST(folding_is_modulo_65535)
{
    static const uint32_t edges[] = {0, 1, 2, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff};

    for (size_t high = 0; high < CHECK_COUNT_OF(edges); high++) {
        for (size_t low = 0; low < CHECK_COUNT_OF(edges); low++) {
            uint32_t sum = edges[high] << 16 | edges[low];
            uint32_t expected = sum % 65535 == 0 && sum ? 65535 : sum % 65535;
            CHECK_EQ_INT(tuoi_fold32(sum), expected);
            CHECK_EQ_INT(tuoi_fold(sum), expected);
            for (size_t top = 0; top < CHECK_COUNT_OF(edges); top++) {
                uint64_t wide = ((uint64_t)edges[top] << 48) + ((uint64_t)edges[high] << 32) + sum;
                CHECK_EQ_INT(tuoi_fold(wide), wide % 65535 == 0 && wide ? 65535 : wide % 65535);
            }
        }
    }
}

TEST(levels_agree_at_every_length_and_alignment)
{
    static const char *const patterns[] = {"random bytes", "all 0xff", "all 0"};
    static uint8_t room[8 + LEN_MAX];
    uint8_t *data = room + 8;
    rng r = rng_start("levels_agree_at_every_length_and_alignment", 2);
    size_t i, pattern;

    for (pattern = 0; pattern < CHECK_COUNT_OF(patterns); pattern++) {
        memset(data, pattern == 1 ? 0xff : 0, LEN_MAX);
        if (pattern == 0)
            rng_bytes(&r, data, LEN_MAX);
        for (i = 0; i < simd_levels_here()->count; i++) {
            check_row("%s, %s", simd_level_name(simd_level_at((unsigned)i)), patterns[pattern]);
            every_length_and_alignment(simd_level_at((unsigned)i), data);
        }
    }
}

/* ----------------------------------------------------------------------------------------------------------- long blocks */

enum { LONG_MAX_LEN = 6 * TUOI_BLOCK_LEN + 256 };

static void check_long(const guard_page *from, const guard_page *to, tuo_simd level, size_t len, uint64_t seed)
{
    const tuoi_sums *sums = tuoi_sums_of(level);
    const uint8_t *src = from->end - len;
    uint8_t *dst = to->end - len;
    uint64_t expected = tuoi_sums_of(TUO_SIMD_SCALAR)->sum(src, len, seed);

    CHECK_EQ_INT(number_of(sums->sum(src, len, seed)), number_of(expected));
    memset(dst, 0, len);
    CHECK_EQ_INT(number_of(sums->copy_sum(dst, src, len, seed)), number_of(expected));
    CHECK(memcmp(dst, src, len) == 0);
}

/* A block is as long as the 32-bit lanes can bear. 0xff is the most that they can be given, and there a lost carry shows: the sum
   is 0xffff and nothing else. */
TEST(blocks_do_not_overflow)
{
    static const size_t blocks[] = {1, 2, 5, 6};
    guard_page from = guard_page_new(LONG_MAX_LEN), to = guard_page_new(LONG_MAX_LEN);
    rng r = rng_start("blocks_do_not_overflow", 3);
    size_t i, k, around;
    int random;

    for (random = 0; random < 2; random++) {
        memset(from.first, 0xff, (size_t)(from.end - from.first));
        if (random)
            rng_bytes(&r, from.first, (size_t)(from.end - from.first));
        for (i = 0; i < simd_levels_here()->count; i++) {
            tuo_simd level = simd_level_at((unsigned)i);
            check_row("%s, %s", simd_level_name(level), random ? "random bytes" : "all 0xff");
            for (k = 0; k < CHECK_COUNT_OF(blocks); k++)
                for (around = 0; around < 260; around += k ? 37 : 5) {
                    size_t len = blocks[k] * TUOI_BLOCK_LEN - 130 + around;
                    check_long(&from, &to, level, len, seeds[around % CHECK_COUNT_OF(seeds)]);
                }
            if (!random)
                CHECK_EQ_INT(number_of(tuoi_sums_of(level)->sum(from.first, 6 * TUOI_BLOCK_LEN, 0)), 0xffff);
        }
    }
    guard_page_free(&from);
    guard_page_free(&to);
}

/* ---------------------------------------------------------------------------------------------------- levels by flags */

static const char *const kind_names[] = {"tcp4", "udp4", "tcp6", "udp6"};

/* What tuo_csum_check should say, asked of the naive sums. */
static tuo_result expected_of(const uint8_t *p, size_t len, int ethernet)
{
    pkt_view v = pkt_look(p, len, ethernet, 0);

    return !ref_ip_valid(p, &v) ? TUO_E_IP_CSUM : ref_l4_valid_at(p, &v) ? TUO_OK : TUO_E_L4_CSUM;
}

/* Right, then with each of some bytes wrong. */
static void check_valid(uint8_t *p, size_t len, int ethernet, unsigned level, rng *r)
{
    unsigned flags = TUO_F_SIMD(level) | (ethernet ? (unsigned)TUO_F_ETHERNET : 0u);
    pkt_view v = pkt_look(p, len, ethernet, 0);
    int i;

    CHECK_RESULT(tuo_csum_check(p, len, flags), TUO_OK);
    for (i = 0; i < 8; i++) {
        size_t at = i == 0 ? len - 1 : i == 1 ? v.src : v.payload + rng_below(r, (uint32_t)v.payload_len);
        uint8_t bit = (uint8_t)(1u << rng_below(r, 8));
        p[at] ^= bit;
        CHECK(expected_of(p, len, ethernet) != TUO_OK);
        CHECK_RESULT(tuo_csum_check(p, len, flags), expected_of(p, len, ethernet));
        p[at] ^= bit;
    }
}

TEST(csum_valid_at_each_level)
{
    guard_page g = guard_page_new(BUF);
    rng r = rng_start("csum_valid_at_each_level", 4);
    size_t i;
    int kind, payload_len;

    for (i = 0; i < simd_levels_here()->count; i++)
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            tuo_simd level = simd_level_at((unsigned)i);
            check_row("%s, %s", simd_level_name(level), kind_names[kind]);
            for (payload_len = 1; payload_len <= 1460; payload_len += payload_len < 300 ? 1 : 58) {
                pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = payload_len, .payload_seed = (uint32_t)payload_len};
                size_t len;
                s.ethernet = payload_len % 3 == 0;
                len = pkt_len(&s);
                CHECK_EQ_INT(pkt_build(g.end - len, len, &s), len);
                check_valid(g.end - len, len, s.ethernet, (unsigned)level, &r);
            }
        }
    guard_page_free(&g);
}

/* A TCP superpacket without NEEDS_CSUM is verified before it is cut. */
TEST(gso_verifies_at_each_level)
{
    static uint8_t p[40000];
    size_t i, len;
    int kind;

    for (i = 0; i < simd_levels_here()->count; i++)
        for (kind = PKT_TCP4; kind <= PKT_TCP6; kind += PKT_TCP6) {
            unsigned flags = TUO_F_SIMD(simd_level_at((unsigned)i));
            pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = 33333};
            tuo_vnet_hdr vnet = {.gso_type = kind == PKT_TCP4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6, .gso_size = 1400};
            tuo_gso gso;
            check_row("%s, %s", simd_level_name(simd_level_at((unsigned)i)), kind_names[kind]);
            len = pkt_build(p, sizeof p, &s);
            CHECK_RESULT(tuo_gso_init(&gso, p, len, &vnet, flags), TUO_OK);
            CHECK_EQ_INT(tuo_gso_count(&gso), (33333 + 1399) / 1400);
            CHECK(gso.tuoi_sums == tuoi_sums_of(simd_level_at((unsigned)i)));
            p[len - 1] ^= 1;
            CHECK_RESULT(tuo_gso_init(&gso, p, len, &vnet, flags), TUO_E_L4_CSUM);
        }
}

static void check_baseline(unsigned level, uint8_t *p, size_t len, rng *r)
{
    CHECK(tuoi_sums_flagged(TUO_F_SIMD(level)) == tuoi_sums_of(tuoi_simd_baseline()));
    CHECK(tuoi_sums_flagged(TUO_F_SIMD(level) | 0xff) == tuoi_sums_of(tuoi_simd_baseline()));
    check_valid(p, len, 0, level, r);
}

TEST(unknown_level_in_flags_is_the_baseline)
{
    rng r = rng_start("unknown_level_in_flags_is_the_baseline", 5);
    pkt_spec s = {.payload_len = 1000};
    uint8_t p[BUF];
    size_t i, len = pkt_build(p, sizeof p, &s);

    check_baseline(TUO_SIMD_DETECT, p, len, &r);
    for (i = 0; i < CHECK_COUNT_OF(foreign); i++)
        check_baseline((unsigned)foreign[i], p, len, &r);
    for (i = 0; i < CHECK_COUNT_OF(no_levels); i++)
        check_baseline((unsigned)no_levels[i] & 0xff, p, len, &r);
    for (i = 0; i < simd_levels_here()->count; i++) {
        tuo_simd level = simd_level_at((unsigned)i);
        CHECK(tuoi_sums_flagged(TUO_F_SIMD(level) | 0xff) == tuoi_sums_of(level));
    }
}

/* ------------------------------------------------------------------------------------------------- what is usable here */

TEST(usable_levels)
{
    size_t i;

    CHECK_EQ_INT(tuo_simd_usable(TUO_SIMD_DETECT), 1);
    CHECK_EQ_INT(tuo_simd_usable(TUO_SIMD_SCALAR), 1);
    CHECK_EQ_INT(tuo_simd_usable(tuo_simd_best()), 1);
    CHECK_EQ_INT(tuo_simd_usable(tuoi_simd_baseline()), 1);
    CHECK(tuo_simd_best() != TUO_SIMD_DETECT);
    CHECK_EQ_INT(simd_level_at(0), tuo_simd_best());
    for (i = 0; i < CHECK_COUNT_OF(foreign); i++)
        CHECK_EQ_INT(tuo_simd_usable(foreign[i]), 0);
    for (i = 0; i < CHECK_COUNT_OF(no_levels); i++)
        CHECK_EQ_INT(tuo_simd_usable((tuo_simd)no_levels[i]), 0);
}

/* The compiler's own way of asking the processor. */
TEST(levels_are_those_of_the_processor)
{
#if TUOI_HAVE_AVX
    __builtin_cpu_init();
    CHECK_EQ_INT(tuo_simd_usable(TUO_SIMD_SSE2), __builtin_cpu_supports("sse2") != 0);
    CHECK_EQ_INT(tuo_simd_usable(TUO_SIMD_AVX2), __builtin_cpu_supports("avx2") != 0);
    CHECK_EQ_INT(tuo_simd_usable(TUO_SIMD_AVX512), __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"));
#elif defined(__aarch64__) && !defined(TUO_NO_SIMD) && TUOI_HAVE_NEON
    CHECK_EQ_INT(tuo_simd_best(), TUO_SIMD_NEON);
#else
    CHECK_EQ_INT(tuo_simd_best(), tuoi_simd_baseline());
#endif
}

static uint64_t memory[16384];

static tuo_result open_at(int level, tuo_gro **gro)
{
    tuo_gro_desc desc = {.simd = (tuo_simd)level};

    return tuo_gro_init(gro, memory, sizeof memory, &desc);
}

static int level_of(const tuo_gro *gro)
{
    tuo_gro_desc desc;

    tuo_gro_query_desc(gro, &desc);
    return (int)desc.simd;
}

static void check_refused(int level, int in_range)
{
    tuo_gro_desc desc = {.simd = (tuo_simd)level};
    tuo_gro *gro = NULL;

    CHECK_EQ_INT(tuo_gro_memory_size(&desc) > 0, in_range);
    CHECK_RESULT(open_at(level, &gro), TUO_E_INVALID);
    CHECK(gro == NULL);
    CHECK_RESULT(open_at(TUO_SIMD_SCALAR, &gro), TUO_OK);
    CHECK_RESULT(tuo_gro_reconfigure(gro, &desc), TUO_E_INVALID);
    CHECK_EQ_INT(level_of(gro), TUO_SIMD_SCALAR);
}

TEST(gro_refuses_levels_that_are_not_here)
{
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(foreign); i++) {
        check_row("%s", simd_level_name(foreign[i]));
        check_refused((int)foreign[i], 0);
    }
    for (i = 0; i < CHECK_COUNT_OF(no_levels); i++) {
        check_row("%d", no_levels[i]);
        check_refused(no_levels[i], 0);
    }
    for (i = TUO_SIMD_SCALAR; i <= TUO_SIMD_AVX512; i++) { /* compiled, perhaps, but not of this processor */
        if (tuo_simd_usable((tuo_simd)i) || tuoi_sums_of((tuo_simd)i) == NULL)
            continue;
        check_row("%s, not usable", simd_level_name((tuo_simd)i));
        check_refused((int)i, 1);
    }
}

TEST(gro_tells_its_level)
{
    tuo_gro *gro = NULL;
    size_t i;

    check_row("detect");
    CHECK_RESULT(open_at(TUO_SIMD_DETECT, &gro), TUO_OK);
    CHECK_EQ_INT(level_of(gro), tuo_simd_best());
    for (i = 0; i < simd_levels_here()->count; i++) {
        const tuo_simd level = simd_level_at((unsigned)i), next = simd_level_at((unsigned)i + 1);
        tuo_gro_desc desc = {.max_segs = 7};
        check_row("%s", simd_level_name(level));
        CHECK_RESULT(open_at((int)level, &gro), TUO_OK);
        CHECK_EQ_INT(level_of(gro), level);
        CHECK_RESULT(tuo_gro_reconfigure(gro, &desc), TUO_OK); /* 0: as it is */
        CHECK_EQ_INT(level_of(gro), level);
        desc.simd = next;
        CHECK_RESULT(tuo_gro_reconfigure(gro, &desc), TUO_OK);
        CHECK_EQ_INT(level_of(gro), next);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(scalar_pair_is_the_naive_sum),
        CHECK_ENTRY(folding_is_modulo_65535),
        CHECK_ENTRY(levels_agree_at_every_length_and_alignment),
        CHECK_ENTRY(blocks_do_not_overflow),
        CHECK_ENTRY(csum_valid_at_each_level),
        CHECK_ENTRY(gso_verifies_at_each_level),
        CHECK_ENTRY(unknown_level_in_flags_is_the_baseline),
        CHECK_ENTRY(usable_levels),
        CHECK_ENTRY(levels_are_those_of_the_processor),
        CHECK_ENTRY(gro_refuses_levels_that_are_not_here),
        CHECK_ENTRY(gro_tells_its_level),
    };
    size_t i;

    printf("levels tested:");
    for (i = simd_levels_here()->count; i > 0; i--)
        printf(" %s", simd_level_name(simd_level_at((unsigned)i - 1)));
    printf("\n");
    return CHECK_RUN(argc, argv, tests);
}
