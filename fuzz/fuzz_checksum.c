/* fuzz_checksum.c - the Internet checksum at every level of tuo_simd, against a sum that goes byte by byte.
   Input     2 bytes of alignment of source and destination, 2 bytes of initial sum, 3 bytes of length and pattern (see read_bytes),
             2 bytes of csum_start, 2 bytes of where to cut in two, then bytes.
   Asserts   each level gives the sum of the bytes, copied or not, whole or chained in two pieces, from and to any alignment, and reads
             and writes nothing beyond them; tuo_csum, tuo_csum_copy and tuo_csum_pseudo give it plus their initial; tuo_csum_complete
             writes the complement, never 0, and its two bytes only; tuo_csum_update16 and _update32 give what summing
             again gives. */
#include "fuzz.h"
#include "../tests/lib/inside.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/simd_levels.h"

enum {
    LEN_MAX = (1 << 19) + (1 << 14), /* the vector levels sum in blocks of 2^18 bytes: at twice that, lanes would overflow */
    LONG = 1 << 14,                  /* from here on only what depends on length is checked */
    PATTERN_INPUT = 0, /* pattern byte modulo 4: the rest of the input, again and again */
    PATTERN_ONES = 1,  /* 0xff, but for the rest of the input at the end */
    PATTERN_ZEROS = 2,
    PATTERN_COUNT = 4, /* anything else: just the rest of the input */
    ALIGN = 64
};

/* Memory whose first byte is at a chosen alignment, and whose last one is the last of its heap block. */
typedef struct aligned {
    uint8_t *block, *bytes;
} aligned;

static aligned new_aligned(size_t len, unsigned alignment)
{
    aligned a;
    size_t front = alignment % ALIGN;
    a.block = malloc(front + len > 0 ? front + len : 1);
    FUZZ_CHECK(a.block != NULL);
    memset(a.block, 0x3c, front);
    a.bytes = a.block + front;
    return a;
}

static int front_is_whole(const aligned *a)
{
    for (const uint8_t *p = a->block; p < a->bytes; p++) {
        if (*p != 0x3c) {
            return 0;
        }
    }
    return 1;
}

/* Large sums come from few bytes of input: a pattern of many bytes, in units of up to 9 bytes. */
static size_t read_bytes(fuzz_input *in, uint8_t *bytes)
{
    static const uint8_t units[] = {1, 2, 4, 9};
    unsigned pattern = fuzz_u8(in), count = fuzz_u16(in), kind = pattern % PATTERN_COUNT;
    size_t len = in->len, extra = (size_t)count * units[pattern / PATTERN_COUNT % 4];
    extra = pattern < 224 ? count % 2048 : extra; /* long ones are slow: be short most of the time */
    if (kind == PATTERN_INPUT) {
        len = in->len == 0 ? 0 : extra;
    } else if (kind == PATTERN_ONES || kind == PATTERN_ZEROS) {
        len = in->len + extra;
    }
    len = len < LEN_MAX ? len : LEN_MAX;
    for (size_t i = 0; i < len; i++) {
        size_t from_end = len - i;
        bytes[i] = kind == PATTERN_INPUT    ? in->bytes[i % in->len]
                   : from_end <= in->len    ? in->bytes[in->len - from_end]
                   : kind == PATTERN_ONES   ? 0xff
                                            : 0;
    }
    return len;
}

static void check_level(tuo_simd level, const aligned *from, size_t len, unsigned expected, size_t cut, unsigned to_alignment)
{
    size_t first = cut % (len + 1) / 2 * 2; /* chaining is exact at even lengths */
    FUZZ_CHECK(inside_fold(inside_sum(level, from->bytes, len, 0)) == expected);
    FUZZ_CHECK(inside_fold(inside_sum(level, from->bytes + first, len - first, inside_sum(level, from->bytes, first, 0))) == expected);
    aligned to = new_aligned(len, to_alignment);
    FUZZ_CHECK(inside_fold(inside_copy_sum(level, to.bytes, from->bytes, len, 0)) == expected);
    FUZZ_CHECK(len == 0 || memcmp(to.bytes, from->bytes, len) == 0);
    memset(to.bytes, 0x77, len);
    uint64_t raw = inside_copy_sum(level, to.bytes, from->bytes, first, 0);
    FUZZ_CHECK(len == first || to.bytes[first] == 0x77);
    FUZZ_CHECK(inside_fold(inside_copy_sum(level, to.bytes + first, from->bytes + first, len - first, raw)) == expected);
    FUZZ_CHECK(len == 0 || memcmp(to.bytes, from->bytes, len) == 0);
    FUZZ_CHECK(front_is_whole(&to));
    free(to.block);
}

static void check_public(const aligned *from, size_t len, uint16_t initial)
{
    unsigned expected = pkt_sum(from->bytes, len, initial);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    FUZZ_CHECK(copy != NULL);
    FUZZ_CHECK(tuo_csum(from->bytes, len, initial) == expected);
    FUZZ_CHECK(tuo_csum_copy(from->bytes, len, initial, copy) == expected);
    FUZZ_CHECK(len == 0 || memcmp(copy, from->bytes, len) == 0);
    free(copy);
    for (size_t addr_len = 4; addr_len <= 16 && len >= 2 * addr_len; addr_len += 12) {
        const uint8_t *src = from->bytes, *dst = from->bytes + addr_len;
        uint32_t l4_len = (uint32_t)initial << (len % 17);
        FUZZ_CHECK(tuo_csum_pseudo(src, dst, addr_len, (uint8_t)len, l4_len) == pkt_pseudo_sum(src, dst, addr_len, len & 0xff, l4_len));
    }
}

/* A checksum field anywhere, also across the words of the sum; nothing else changes. */
static void check_complete(const aligned *from, size_t len, size_t start, size_t offset)
{
    uint8_t *copy = fuzz_copy(from->bytes, len);
    tuo_result result = tuo_csum_complete(copy, len, start, offset);
    if (result == TUO_OK) {
        size_t field = start + offset;
        FUZZ_CHECK(field + 2 <= len);
        unsigned checksum = pkt_get16(copy + field), sum = pkt_sum(from->bytes + start, len - start, 0);
        memcpy(copy + field, from->bytes + field, 2);
        FUZZ_CHECK(checksum == (sum == 0xffff ? 0xffff : ~sum & 0xffff));
    } else {
        FUZZ_CHECK(result == TUO_E_CSUM_RANGE && start + offset + 2 > len);
    }
    FUZZ_CHECK(len == 0 || memcmp(copy, from->bytes, len) == 0);
    free(copy);
}

/* The words at `at` are replaced by the ones in front of the cut; the checksum stands apart from the bytes. RFC 1624 never gives a
   zero sum, which is that of all zeros only. */
static void check_update(const aligned *from, size_t len, size_t at, size_t cut)
{
    if (len < 8) {
        return;
    }
    at = at % (len - 3) / 2 * 2;
    cut = cut % (len - 3);
    uint8_t *changed = fuzz_copy(from->bytes, len);
    uint16_t before = (uint16_t)~pkt_sum(from->bytes, len, 0);
    unsigned after;
    memcpy(changed + at, from->bytes + cut, 2);
    after = pkt_sum(changed, len, 0);
    FUZZ_CHECK(after == 0 || tuo_csum_update16(before, (uint16_t)pkt_get16(from->bytes + at), (uint16_t)pkt_get16(changed + at)) ==
                                 (uint16_t)~after);
    memcpy(changed + at, from->bytes + cut, 4);
    after = pkt_sum(changed, len, 0);
    FUZZ_CHECK(after == 0 ||
               tuo_csum_update32(before, pkt_get32(from->bytes + at), pkt_get32(changed + at)) == (uint16_t)~after);
    FUZZ_CHECK(tuo_csum_update16((uint16_t)after, before, before) == after); /* equal words leave any field as it is */
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[LEN_MAX];
    fuzz_input in = {data, size};
    unsigned from_alignment = fuzz_u8(&in), to_alignment = fuzz_u8(&in);
    uint16_t initial = fuzz_u16(&in);
    size_t start = fuzz_u16(&in), cut = fuzz_u16(&in);
    size_t len = read_bytes(&in, bytes);
    aligned from = new_aligned(len, from_alignment);
    if (len > 0) {
        memcpy(from.bytes, bytes, len);
    }
    unsigned expected = pkt_sum(from.bytes, len, 0);
    for (unsigned i = 0; i < simd_levels_here()->count; i++) {
        check_level(simd_level_at(i), &from, len, expected, cut, to_alignment);
    }
    if (len < LONG) {
        check_public(&from, len, initial);
        check_complete(&from, len, start, cut);
        check_complete(&from, len, len == 0 ? 0 : start % len, cut % 64);
        check_update(&from, len, start, cut);
    }
    fuzz_deep += len >= 64;
    free(from.block);
    return 0;
}
