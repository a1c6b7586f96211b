/* fuzz_parse.c - everything that reads one packet: tuo_parse, the checksum functions, the flow key, the candidate test.
   Input     1 byte of flags, 4 bytes of csum_start and csum_offset, then the packet.
   Asserts   no byte beyond the packet is read; *info keeps its documented invariants and is untouched on failure; the
             trailer does not matter; the parser of the tests (packets.h) finds the same, error by error; the checksum functions
             agree with a byte-wise sum and with each other, and tuo_csum_complete writes its two bytes and nothing else; every level of
             tuo_simd gives these sums; what tuo_parse refuses, tuo_csum_check and tuo_gro_candidate refuse too; GRO's shortcut finds
             what tuo_parse finds. */
#include "fuzz.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/inside.h"
#include "../tests/lib/simd_levels.h"

static void check_info(const uint8_t *pkt, size_t len, unsigned flags, const tuo_pkt_info *info)
{
    FUZZ_CHECK((size_t)info->ip_off + info->total_len <= len);
    FUZZ_CHECK(info->trailer_len == len - info->ip_off - info->total_len);
    FUZZ_CHECK(info->ip_off + info->ip_hdr_len == info->l4_off);
    FUZZ_CHECK(info->l4_off <= info->payload_off);
    FUZZ_CHECK((size_t)info->payload_off + info->payload_len <= (size_t)info->ip_off + info->total_len);
    FUZZ_CHECK(info->ip_version == 4 || info->ip_version == 6);
    FUZZ_CHECK(pkt[info->ip_off] >> 4 == info->ip_version);
    FUZZ_CHECK(info->ip_hdr_len >= (info->ip_version == 4 ? 20u : 40u));
    FUZZ_CHECK(info->vlan_count <= TUO_VLAN_MAX);
    FUZZ_CHECK(info->ip_off == ((flags & TUO_F_ETHERNET) != 0 ? 14u + 4u * info->vlan_count : 0u));
    FUZZ_CHECK(info->kind <= TUO_KIND_UDP6);
    int is_tcp = info->kind == TUO_KIND_TCP4 || info->kind == TUO_KIND_TCP6;
    if (info->kind == TUO_KIND_NONE) {
        FUZZ_CHECK(info->l4_hdr_len == 0);
        return;
    }
    FUZZ_CHECK((info->flags & TUO_PKT_FRAGMENT) == 0);
    FUZZ_CHECK(info->l4_proto == (is_tcp ? 6 : 17));
    FUZZ_CHECK(info->ip_version == (info->kind == TUO_KIND_TCP4 || info->kind == TUO_KIND_UDP4 ? 4 : 6));
    FUZZ_CHECK(info->payload_off == info->l4_off + info->l4_hdr_len);
    FUZZ_CHECK(is_tcp ? info->l4_hdr_len == 4u * (pkt[info->l4_off + 12] >> 4) && info->l4_hdr_len >= 20 : info->l4_hdr_len == 8);
    FUZZ_CHECK(info->src_port == (pkt[info->l4_off] << 8 | pkt[info->l4_off + 1]));
}

/* The tests' parser shares nothing with the library's. */
static void check_against_tests(const uint8_t *pkt, size_t len, unsigned flags, tuo_result parsed, const tuo_pkt_info *info)
{
    static const tuo_result results[] = {TUO_OK,          TUO_E_NOT_IP,  TUO_E_TRUNCATED,  TUO_E_VLAN_DEPTH, TUO_E_IP_HEADER,
                                         TUO_E_IP_LENGTH, TUO_E_IP6_EXT, TUO_E_TCP_HEADER, TUO_E_UDP_LENGTH};
    pkt_view v = pkt_look(pkt, len, (flags & TUO_F_ETHERNET) != 0, (flags & TUO_F_SUPERPACKET) != 0);
    FUZZ_CHECK(parsed == results[v.status]);
    if (parsed != TUO_OK) {
        return;
    }
    FUZZ_CHECK(info->ip_off == v.ip && info->l4_off == v.l4 && info->l4_proto == v.proto && info->ip_version == v.version);
    FUZZ_CHECK(info->ip_off + info->total_len == v.end && info->vlan_count == v.vlans);
    FUZZ_CHECK(((info->flags & TUO_PKT_FRAGMENT) != 0) == v.fragment && ((info->flags & TUO_PKT_OPAQUE) != 0) == v.opaque);
    FUZZ_CHECK(((info->flags & TUO_PKT_ROUTING) != 0) == v.routing_left && (info->kind != TUO_KIND_NONE) == pkt_has_l4(&v));
    if (pkt_has_l4(&v)) {
        FUZZ_CHECK(info->payload_off == v.payload && info->payload_len == v.payload_len);
        FUZZ_CHECK(info->dst_port == pkt_get16(pkt + v.l4 + 2));
        fuzz_deep += v.payload_len > 0;
    }
}

static void check_parse(const uint8_t *pkt, size_t len, unsigned flags)
{
    tuo_pkt_info info, untouched, again;
    memset(&info, 0xa5, sizeof info);
    memset(&untouched, 0xa5, sizeof untouched);
    tuo_result parsed = tuo_parse(pkt, len, flags, &info);
    FUZZ_CHECK(parsed == TUO_OK || memcmp(&info, &untouched, sizeof info) == 0);
    check_against_tests(pkt, len, flags, parsed, &info);
    if ((flags & TUO_F_SUPERPACKET) == 0) {
        tuo_result valid = tuo_csum_check(pkt, len, flags);
        FUZZ_CHECK(parsed == TUO_OK ? valid == TUO_OK || valid == TUO_E_IP_CSUM || valid == TUO_E_L4_CSUM : valid == parsed);
        for (unsigned i = 0; i < simd_levels_here()->count; i++) {
            FUZZ_CHECK(tuo_csum_check(pkt, len, flags | TUO_F_SIMD(simd_level_at(i))) == valid);
        }
        tuo_verdict candidate = tuo_gro_candidate(pkt, len, flags);
        FUZZ_CHECK((unsigned)candidate < TUO_V_COUNT);
        FUZZ_CHECK(candidate != TUO_V_HELD || (parsed == TUO_OK && info.kind != TUO_KIND_NONE && info.payload_len > 0));
        FUZZ_CHECK(inside_plain(pkt, len, flags) != PLAIN_DIFFERS);
        FUZZ_CHECK(candidate != TUO_V_HELD || (info.trailer_len == 0 && (info.flags & ~TUO_PKT_DF) == 0));
    }
    if (parsed != TUO_OK) {
        return;
    }
    check_info(pkt, len, flags, &info);
    uint8_t *alone = fuzz_copy(pkt, info.ip_off + info.total_len);
    FUZZ_CHECK(tuo_parse(alone, info.ip_off + info.total_len, flags, &again) == TUO_OK);
    FUZZ_CHECK(again.payload_off == info.payload_off && again.payload_len == info.payload_len && again.kind == info.kind);
    FUZZ_CHECK(again.total_len == info.total_len && again.trailer_len == 0);
    free(alone);
    tuo_flow_key key;
    FUZZ_CHECK(tuo_flow_key_from_packet(pkt, &info, &key) == (info.kind == TUO_KIND_NONE ? TUO_E_INVALID : TUO_OK));
}

/* RFC 1071 as it is written, but byte by byte. */
static uint16_t plain_sum(const uint8_t *bytes, size_t len, uint16_t initial)
{
    uint32_t sum = initial;
    for (size_t i = 0; i < len; i++) {
        sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The copy is in memory of exactly its size. */
static void check_levels(const uint8_t *pkt, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    FUZZ_CHECK(copy != NULL);
    for (unsigned i = 0; i < simd_levels_here()->count; i++) {
        const tuo_simd level = simd_level_at(i);
        FUZZ_CHECK(inside_fold(inside_sum(level, pkt, len, 0)) == plain_sum(pkt, len, 0));
        memset(copy, 0x5a, len);
        FUZZ_CHECK(inside_fold(inside_copy_sum(level, copy, pkt, len, 0)) == plain_sum(pkt, len, 0));
        FUZZ_CHECK(len == 0 || memcmp(copy, pkt, len) == 0);
    }
    free(copy);
}

static void check_sums(const uint8_t *pkt, size_t len, size_t csum_start, size_t csum_offset)
{
    uint16_t initial = (uint16_t)csum_start, expected = plain_sum(pkt, len, initial);
    FUZZ_CHECK(tuo_csum(pkt, len, initial) == expected);
    uint8_t *copy = malloc(len + 1);
    FUZZ_CHECK(copy != NULL);
    copy[len] = 0x5a;
    FUZZ_CHECK(tuo_csum_copy(pkt, len, initial, copy) == expected);
    FUZZ_CHECK(len == 0 || memcmp(copy, pkt, len) == 0);
    tuo_result completed = tuo_csum_complete(copy, len, csum_start, csum_offset);
    size_t field = csum_start + csum_offset;
    if (completed == TUO_OK) {
        FUZZ_CHECK(field + 2 <= len);
        uint16_t sum = (uint16_t)~plain_sum(pkt + csum_start, len - csum_start, 0);
        sum = sum == 0 ? 0xffff : sum;
        FUZZ_CHECK(copy[field] == sum >> 8 && copy[field + 1] == (sum & 0xff));
        memcpy(copy + field, pkt + field, 2);
    } else {
        FUZZ_CHECK(completed == TUO_E_CSUM_RANGE && field + 2 > len);
    }
    FUZZ_CHECK((len == 0 || memcmp(copy, pkt, len) == 0) && copy[len] == 0x5a);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    unsigned flags = fuzz_u8(&in);
    size_t csum_start = fuzz_u16(&in), csum_offset = fuzz_u16(&in);
    check_parse(in.bytes, in.len, flags & (TUO_F_ETHERNET | TUO_F_SUPERPACKET));
    check_sums(in.bytes, in.len, csum_start, csum_offset);
    check_levels(in.bytes, in.len);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    enum { FRONT = 5 };
    if (size > FRONT) {
        repair_packet(data + FRONT, size - FRONT, (data[0] & TUO_F_ETHERNET) != 0, dice);
    }
}
#endif
