/* Common to all proofs: a build of tunoffload.h without SIMD and without a libc, values that may be anything, and the contracts that stand
   in for parts of the library which are proved on their own. Every harness is a function without arguments; CBMC tries all values at once.

   TUO_MEM* are CBMC's models of the C library's functions: ranges and overlap are checked. (memcmp: see memcmp_contract.)

   A contract is stated once, as a list of STATEd conditions, and used twice: PROVED where the function itself is under proof, ASSUMED in
   the stub that replaces its calls elsewhere (goto-instrument --replace-calls). The stub also PROVES what the function may assume of its
   caller. That is sound because a stub returns every value that the proof of the function allows, and more. */
#ifndef PROOF_H
#define PROOF_H

#include <stddef.h>
#include <stdint.h>

void *malloc(size_t size);
void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
int memcmp_contract(const void *a, const void *b, size_t len);

#define TUO_NO_SIMD
#define TUO_NO_LIBC
#define TUO_MEMCPY memcpy
#define TUO_MEMMOVE memmove
#define TUO_MEMSET memset
#ifndef TUO_MEMCMP
#define TUO_MEMCMP memcmp
#endif

#define ASSUME(condition) __CPROVER_assume(condition)
#define PROVE(condition, text) __CPROVER_assert(condition, text)
#ifndef TUO_ASSERT
#define TUO_ASSERT(condition) __CPROVER_assert(condition, "TUO_ASSERT")
#endif

#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

/* ------------------------------------------------------------------------------------------------------------- values */

size_t nondet_size(void);
unsigned nondet_unsigned(void);
uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);
int nondet_int(void);

static size_t any_up_to(size_t max) {
    const size_t n = nondet_size();
    ASSUME(n <= max);
    return n;
}

/* An object of exactly len bytes, whatever they are: a read or write outside of it is found. */
static uint8_t *any_bytes(size_t len) {
    uint8_t *const p = malloc(len);
    ASSUME(p != NULL);
    return p;
}

/* Is any byte of the two objects, whichever one picks, the same? */
static int same_byte(const void *a, const void *b, size_t at) { return ((const uint8_t *)a)[at] == ((const uint8_t *)b)[at]; }
#define PROVE_SAME(a, b, text) PROVE(same_byte(&(a), &(b), any_up_to(sizeof(a) - 1)), text)

static int readable(const void *p, size_t len) { return len == 0 || __CPROVER_r_ok(p, len); }
static int writable(const void *p, size_t len) { return len == 0 || __CPROVER_w_ok(p, len); }

/* ---------------------------------------------------------------------------------------------------------- contracts */

enum { PROVED, ASSUMED };
#define STATE(mode, condition, text) \
    if ((mode) == ASSUMED) ASSUME(condition); else PROVE(condition, text)

/* tuoi_parse_ip6_ext, proved by parse_ext. May assume: ip[0..end) is readable, 40 <= end <= total_len, no flag says fragment or opaque. */
static void ext_promises(int mode, tuo_result result, const tuo_pkt_info *info) {
    STATE(mode, result == TUO_OK || result == TUO_E_IP6_EXT, "walk: result");
    STATE(mode, !(info->flags & ~(TUO_PKT_ROUTING | TUO_PKT_OPAQUE | TUO_PKT_FRAGMENT)), "walk: its flags only");
    if (result != TUO_OK) return;
    STATE(mode, info->ip_hdr_len >= 40 && info->ip_hdr_len <= info->total_len, "walk: ends within the packet");
    STATE(mode, info->ip_hdr_len <= 40 + TUO_IP6_EXT_MAX * 2048u && info->ip_hdr_len % 8 == 0, "walk: bounded");
    STATE(mode, !(info->flags & TUO_PKT_FRAGMENT) || (info->flags & TUO_PKT_OPAQUE), "walk: a fragment hides the ports");
    STATE(mode, !(info->flags & TUO_PKT_OPAQUE) || (info->l4_proto != 6 && info->l4_proto != 17), "walk: what hides is not TCP or UDP");
}

tuo_result ext_contract(const uint8_t *ip, uint32_t end, tuo_pkt_info *info) {
    const tuo_result result = nondet_int() ? TUO_OK : TUO_E_IP6_EXT;
    PROVE(end >= 40 && end <= info->total_len && readable(ip, end), "walk: the packet is readable to the end");
    PROVE(info->flags == 0, "walk: fresh flags");
    info->flags = nondet_u8();
    info->l4_proto = nondet_u8();
    info->ip_hdr_len = nondet_u32();
    ext_promises(ASSUMED, result, info);
    ASSUME(result != TUO_OK || info->ip_hdr_len <= end);
    return result;
}

/* tuoi_parse, proved by parse_promise. May assume: pkt[0..len) is readable. */
static void parse_promises(int mode, tuo_result result, size_t len, unsigned flags, const tuo_pkt_info *info) {
    const int ethernet = (flags & TUO_F_ETHERNET) != 0, tcp = info->l4_proto == 6, ip4 = info->ip_version == 4;
    const uint32_t fixed_len = ip4 ? 20 : 40;
    if (result != TUO_OK) { /* what GRO reads of a packet that is broken */
        STATE(mode, result < 0 && result >= TUO_E_UDP_LENGTH, "error: a parse error");
        STATE(mode, info->kind == TUO_KIND_NONE, "error: no kind");
        if (result == TUO_E_NOT_IP || result == TUO_E_TRUNCATED || result == TUO_E_VLAN_DEPTH || result == TUO_E_INVALID) return;
        STATE(mode, ip4 || info->ip_version == 6, "error behind the IP version: version");
        STATE(mode, info->ip_off <= len && len - info->ip_off >= fixed_len, "error behind the IP version: addresses are there");
        if (info->l4_off == 0) return;
        STATE(mode, info->l4_off >= info->ip_off + fixed_len && info->l4_off <= len, "error in L4: l4_off within the packet");
        STATE(mode, info->total_len <= len - info->ip_off && info->l4_off - info->ip_off <= info->total_len, "error in L4: total_len");
        return;
    }
    STATE(mode, len <= 0x7FFFFFFF, "not 2 GiB");
    STATE(mode, info->vlan_count <= (ethernet ? TUO_VLAN_MAX : 0), "no more tags than documented");
    STATE(mode, info->ip_off == (ethernet ? 14u + 4u * info->vlan_count : 0), "ip_off: Ethernet header and tags");
    STATE(mode, info->ip_off <= len, "the IP packet begins within the bytes");
    STATE(mode, ip4 || info->ip_version == 6, "IP version");
    STATE(mode, info->ethertype == (!ethernet ? 0 : ip4 ? 0x0800 : 0x86DD), "ethertype and version agree");
    STATE(mode, info->ip_hdr_len >= fixed_len && info->ip_hdr_len <= (ip4 ? 60 : 40 + TUO_IP6_EXT_MAX * 2048u), "IP header length");
    STATE(mode, info->ip_hdr_len % (ip4 ? 4 : 8) == 0, "IP header length: in units");
    STATE(mode, info->ip_off + info->ip_hdr_len == info->l4_off, "ip_off + ip_hdr_len == l4_off");
    STATE(mode, info->total_len >= info->ip_hdr_len && info->total_len <= len - info->ip_off, "IP packet within the bytes");
    STATE(mode, (uint64_t)info->ip_off + info->total_len + info->trailer_len == len, "IP packet and trailer are all bytes");
    STATE(mode, info->total_len <= (ip4 ? 65535 : 65575) || (flags & (TUO_F_SUPERPACKET | TUOI_F_WHOLE)), "IP length");
    STATE(mode, info->flags <= 63, "flags are the documented ones");
    STATE(mode, !ip4 || !(info->flags & (TUO_PKT_ROUTING | TUO_PKT_OPAQUE)), "no IPv6 flags on IPv4");
    STATE(mode, ip4 || !(info->flags & (TUO_PKT_DF | TUO_PKT_RESERVED_BIT | TUO_PKT_IP_OPTIONS)), "no IPv4 flags on IPv6");
    STATE(mode, !ip4 || !(info->flags & TUO_PKT_IP_OPTIONS) == (info->ip_hdr_len == 20), "options flag");
    STATE(mode, ip4 || (info->ip_id == 0 && info->flow_label <= 0xFFFFF), "flow label has 20 bits");
    STATE(mode, info->payload_off >= info->l4_off && info->payload_off - info->ip_off <= info->total_len, "payload_off within the IP packet");
    STATE(mode, info->payload_len <= info->total_len - (info->payload_off - info->ip_off), "payload ends within the IP packet");
    STATE(mode, info->payload_off == info->l4_off + info->l4_hdr_len, "l4_off + l4_hdr_len == payload_off");
    if ((info->flags & TUO_PKT_FRAGMENT) || (!tcp && info->l4_proto != 17)) {
        STATE(mode, info->kind == TUO_KIND_NONE && info->l4_hdr_len == 0, "fragments and other protocols: no kind, no L4 header");
    } else {
        STATE(mode, info->kind == (ip4 ? (tcp ? TUO_KIND_TCP4 : TUO_KIND_UDP4) : (tcp ? TUO_KIND_TCP6 : TUO_KIND_UDP6)), "kind");
        STATE(mode, !(info->flags & TUO_PKT_OPAQUE), "a kind: ports visible");
        STATE(mode, tcp ? info->l4_hdr_len >= 20 && info->l4_hdr_len <= 60 : info->l4_hdr_len == 8, "L4 header length");
        STATE(mode, !tcp || info->payload_off + info->payload_len == info->ip_off + info->total_len, "TCP: to the end of the packet");
        STATE(mode, tcp || info->payload_len <= 65527 || (flags & (TUO_F_SUPERPACKET | TUOI_F_WHOLE)), "UDP: by its length");
        STATE(mode, !(flags & TUOI_F_WHOLE) || info->payload_off + info->payload_len == len, "whole: to the end of the bytes");
    }
    STATE(mode, !(flags & TUOI_F_WHOLE) || info->trailer_len == 0, "whole: no trailer");
}

tuo_result parse_contract(const uint8_t *pkt, size_t len, unsigned flags, tuo_pkt_info *info) {
    const tuo_result result = (tuo_result)nondet_int();
    tuo_pkt_info found; /* anything */
    PROVE(readable(pkt, len), "parse: pkt[0..len) is readable");
    *info = found;
    parse_promises(ASSUMED, result, len, flags, info);
    return result;
}

/* Of a packet in one piece. */
tuo_result parse_readable_contract(const uint8_t *pkt, size_t readable_len, size_t len, unsigned flags, tuo_pkt_info *info) {
    PROVE(readable_len == len, "parse: one piece");
    return parse_contract(pkt, len, flags, info);
}

/* tuoi_find_jumbo, proved by parse_jumbo. May assume: the IP header is readable, and so are the extension headers that the parser has
   stepped over. */
static void jumbo_promises(int mode, uint32_t result, const tuo_pkt_info *info) {
    STATE(mode, result == 0 || info->ip_version == 6, "jumbo: IPv6 only");
    STATE(mode, result == 0 || result == TUOI_JUMBO_STAYS || (result % 8 == 0 && result <= info->ip_hdr_len - 40), "jumbo: an extension header");
}

uint32_t jumbo_contract(const uint8_t *ip, const tuo_pkt_info *info) {
    const uint32_t result = nondet_u32();
    PROVE(readable(ip, info->ip_hdr_len), "jumbo: the headers are readable");
    jumbo_promises(ASSUMED, result, info);
    return result;
}

/* The sums, proved by sum_* as far as that goes: each adds less than 2^32 for 4 bytes or a shorter rest. May assume: the range is readable
   (and writable at dst), and raw is below 2^48. Whatever the bytes are, they could sum to anything. */
uint64_t scalar_contract(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    const uint64_t sum = nondet_u64();
    PROVE(readable(src, len), "sum: the range is readable");
    PROVE(!dst || writable(dst, len), "sum: the range is writable");
    PROVE(raw < (uint64_t)1 << 48 && len <= 0x7FFFFFFF, "sum: starts below 2^48");
    ASSUME(sum >= raw && sum - raw <= (uint64_t)len << 30);
    if (dst && len) dst[any_up_to(len - 1)] = nondet_u8();
    return sum;
}
static uint64_t sum_contract(const uint8_t *p, size_t len, uint64_t raw) { return scalar_contract(NULL, p, len, raw); }
static uint64_t copy_sum_contract(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) { return scalar_contract(dst, src, len, raw); }
static const tuoi_sums contract_sums = { sum_contract, copy_sum_contract };
const tuoi_sums *sums_of_contract(tuo_simd level) { return level == TUO_SIMD_SCALAR ? &contract_sums : NULL; }

/* All that the rules read, by two paths. */
static void same_facts(const tuoi_facts *a, const tuoi_facts *b) {
    PROVE(a->shape.ip_off == b->shape.ip_off && a->shape.l4_off == b->shape.l4_off && a->shape.hdr_len == b->shape.hdr_len, "same offsets");
    PROVE(a->shape.kind == b->shape.kind && a->ip_version == b->ip_version && a->l4_proto == b->l4_proto, "same kind");
    PROVE(a->payload_len == b->payload_len && a->total_len == b->total_len, "same lengths");
    PROVE(a->ip_id == b->ip_id && a->df == b->df, "same IPv4 ID and DF");
    PROVE(a->seq == b->seq && a->tcp_flags == b->tcp_flags, "same TCP fields");
}

#endif
