/* Checksums, against RFC 1071 and RFC 1624 taken literally. Proved here: what scalar_contract in proof.h promises of the sums, at every
   length up to a bound and for all bytes; the fold of every 64-bit number; incremental updates; ranges of tuo_csum_complete.
   Bounds: sum_* up to the length that each says. sum_bytes, against the RFC: 6 bytes, which is every tail; the loops of 32 and 8 bytes are run
   by sum_range (reads), sum_copy (copies, lengths listed) and with --deep sum_bytes_long. The SIMD variants are not built here, tests
   compare them with the scalar one. */
#include "proof.h"

/* tuoi_fold and tuoi_fold32, as sum_fold proves: the same number modulo 65535, in 16 bits, and only 0 becomes 0. */
static void fold_promises(int mode, uint64_t sum, uint16_t folded, uint64_t times) {
    STATE(mode, sum == folded + (times << 16) - times, "the same modulo 65535");
    STATE(mode, (folded == 0) == (sum == 0), "only 0 becomes 0");
}

/* The number of times that 65535 was taken off a sum of 32 bits, by its digits to the base 65536. */
static uint32_t times_folded(uint32_t sum) { return (sum >> 16) + (((sum >> 16) + (sum & 0xFFFF)) >> 16); }

/* Every 64-bit number. 2^32 - 1 is 65537 * 65535.
   PROOF sum_fold unwind=2 models=64,be cover=tuoi_fold,tuoi_fold32 */
void sum_fold(void) {
    const uint64_t sum = nondet_u64(), a = (sum >> 32) + (sum & 0xFFFFFFFFu), b = (a >> 32) + (a & 0xFFFFFFFFu);
    const uint64_t times = (sum >> 32) + (a >> 32);
    const uint32_t sum32 = nondet_u32();
    PROVE(sum == b + (times << 32) - times && b <= 0xFFFFFFFFu, "the same modulo 2^32 - 1");
    fold_promises(PROVED, b, tuoi_fold(sum), times_folded((uint32_t)b));
    fold_promises(PROVED, sum32, tuoi_fold32(sum32), times_folded(sum32));
    PROVE((tuoi_fold(sum) == 0) == (sum == 0), "only 0 becomes 0");
}

/* RFC 1071 1, byte by byte, as a big-endian reader adds. */
static uint16_t sum_by_bytes(const uint8_t *p, size_t len) {
    uint32_t sum = 0;
    size_t i;
    for (i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        if (sum > 0xFFFF) sum -= 0xFFFF; /* end-around carry */
    }
    return (uint16_t)sum;
}

/* PROOF sum_bytes unwind=9 models=64,be cover=tuoi_scalar,tuoi_sum_scalar,tuo_csum */
void sum_bytes(void) {
    const size_t len = any_up_to(6);
    const uint8_t *const bytes = any_bytes(len);
    PROVE(tuo_csum(bytes, len, 0) == sum_by_bytes(bytes, len), "the RFC's sum");
}

/* Longer data, all bytes 0 but two: both loops.
   PROOF sum_bytes_long deep unwind=9 models=64 cover=tuoi_scalar */
void sum_bytes_long(void) {
    static uint8_t bytes[47];
    const size_t len = any_up_to(47), at[2] = { any_up_to(46), any_up_to(46) };
    uint32_t sum = 0, i;
    ASSUME(at[0] < at[1] && at[1] < len);
    for (i = 0; i < 2; i++) {
        bytes[at[i]] = nondet_u8();
        sum += at[i] % 2 ? bytes[at[i]] : (uint32_t)bytes[at[i]] << 8;
    }
    PROVE(tuo_csum(bytes, len, 0) == (sum > 0xFFFF ? sum - 0xFFFF : sum), "the RFC's sum");
}

/* No byte outside, whatever the length: the loops of 32 and of 8 bytes and every tail. The sum is bounded as scalar_contract says.
   PROOF sum_range unwind=5 models=64,32 cover=tuoi_scalar,tuoi_copy_sum_scalar,tuoi_sum_scalar */
void sum_range(void) {
    const size_t len = any_up_to(47);
    const uint8_t *const src = any_bytes(len);
    uint8_t *const dst = any_bytes(len);
    (void)tuoi_sum_scalar(src, len, nondet_u64());
    (void)tuoi_copy_sum_scalar(dst, src, len, nondet_u64());
}

static uint8_t copied[48];

static void prove_copy(size_t len) {
    uint8_t src[48];
    const size_t at = any_up_to(47);
    const uint64_t raw = nondet_u64(), sum = tuoi_sum_scalar(src, len, raw);
    const uint8_t old = copied[at];
    PROVE(tuoi_copy_sum_scalar(copied, src, len, raw) == sum, "the copy's sum is the same");
    PROVE(copied[at] == (at < len ? src[at] : old), "the copy is one, and nothing is written behind it");
    if (len > 15) return; /* adders of many words take solvers long */
    ASSUME(raw < (uint64_t)1 << 48);
    PROVE(sum >= raw && sum - raw <= (uint64_t)len << 30, "bounded sum");
}

/* PROOF sum_copy unwind=9 objects=12 models=64,be cover=tuoi_scalar,tuoi_copy_sum_scalar */
void sum_copy(void) {
    size_t len;
    for (len = 0; len <= 7; len++) prove_copy(len);
    prove_copy(8 + 4 + 2 + 1);
    prove_copy(32 + 8 + 1);
}

/* RFC 1624: an update gives what summing again would. rest: the sum of all other words. (Data that sum to zero: the update leaves 0x0000
   where a new sum would give 0xffff, both of which are right; equation 3.)
   PROOF sum_update16 unwind=2 models=64 cover=tuo_csum_update16 */
void sum_update16(void) {
    const uint16_t rest = nondet_u16(), old_word = nondet_u16(), new_word = nondet_u16();
    const uint16_t before = (uint16_t)~tuoi_fold((uint64_t)rest + old_word), after = (uint16_t)~tuoi_fold((uint64_t)rest + new_word);
    if (rest || new_word) PROVE(tuo_csum_update16(before, old_word, new_word) == after, "an update is a new sum");
}

/* 32 bits are two updates of 16, high half first.
   PROOF sum_update32 deep unwind=2 models=64 cover=tuo_csum_update32 */
void sum_update32(void) {
    const uint16_t rest = nondet_u16();
    const uint32_t old_word = nondet_u32(), new_word = nondet_u32();
    const uint16_t before = (uint16_t)~tuoi_fold((uint64_t)rest + (old_word >> 16) + (old_word & 0xFFFF));
    const uint16_t after = (uint16_t)~tuoi_fold((uint64_t)rest + (new_word >> 16) + (new_word & 0xFFFF));
    if (rest || new_word) PROVE(tuo_csum_update32(before, old_word, new_word) == after, "an update is a new sum");
}

/* PROOF sum_complete unwind=2 models=64,32 calls=tuoi_sums_of:sums_of_contract cover=tuo_csum_complete,tuoi_complete,tuoi_finish */
void sum_complete(void) {
    const size_t len = any_up_to(65535), start = nondet_size(), offset = nondet_size(), at = any_up_to(65534);
    uint8_t *const pkt = any_bytes(len);
    uint8_t before = 0;
    tuo_result result;
    if (at < len) before = pkt[at];
    result = tuo_csum_complete(pkt, len, start, offset);
    PROVE(result == TUO_OK || result == TUO_E_CSUM_RANGE, "result");
    PROVE((result == TUO_OK) == (start <= len && len - start >= 2 && offset <= len - start - 2), "range");
    if (at < len && (result != TUO_OK || (at != start + offset && at != start + offset + 1))) PROVE(pkt[at] == before, "nothing else written");
    if (result == TUO_OK) PROVE(pkt[start + offset] | pkt[start + offset + 1], "never 0");
}

/* PROOF sum_valid unwind=2 models=64 calls=tuoi_parse:parse_contract,tuoi_sums_of:sums_of_contract,tuoi_scalar:scalar_contract
         cover=tuo_csum_check,tuoi_l4_csum_ok,tuoi_ip4_csum_ok */
void sum_valid(void) {
    const size_t len = any_up_to(65535);
    const tuo_result result = tuo_csum_check(any_bytes(len), len, nondet_unsigned() & 0xFFu);
    PROVE(result == TUO_OK || (result <= TUO_E_NOT_IP && result >= TUO_E_UDP_LENGTH) || result == TUO_E_IP_CSUM || result == TUO_E_L4_CSUM ||
          result < 0, "result");
}
