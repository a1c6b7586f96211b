/* fuzz_caps.c - the ladder and the preparation of large packets, with any device, any packet and any metadata.
   Input     mode (see below), 2 bytes of switches of tuo_caps, largest superpackets of tcp4, udp4, tcp6, udp6 (2 bytes each, in units of
             four bytes, or as a distance to this packet's length), min_seg_size, max_seg_size (2 bytes each), max_segs, max_udp_segs,
             packets before the mixed way goes on in place, vnet flags (0x40: TUO_F_STRIP_JUMBO), gso_type, gso_size, csum_start,
             csum_offset, bytes behind the IP packet, 1 byte of more switches, max_hdr_len, mtu (2 bytes), 2 bytes of payload to add
             (in units of two), then the packet.
   Asserts   tuo_tx_init takes what tuo_gso_init takes, and gives its results; what two models of devices make of the packets that the
             ladder hands out is what the naive splitter of the tests makes without a device, and what tuo_gso_next makes; nothing
             exceeds the capabilities, the MTU among them; as few packets as possible, checksums left to the device whenever it can; gathered, with own
             header storage, in place and mixed all agree; tuo_tx_remaining is exact; the input is unchanged. tuo_tso_prepare agrees
             with its naive counterpart, and writes nothing when it refuses. tuo_caps_intersect of a device with itself changes
             nothing that matters. */
#include "fuzz.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/reference.h"
#include "../tests/lib/simd_levels.h"
#include "../tests/lib/device_model.h"

enum {
    /* mode byte */
    MODE_ETHERNET = 1,
    MODE_CONSISTENT = 2, /* make lengths, checksums and vnet header fit the packet: gets past the checks of tuo_tx_init */
    MODE_FULL_CSUM = 4,  /* consistent, but TCP comes without NEEDS_CSUM: the whole packet has a valid checksum */
    MODE_ZERO_SUM = 8,   /* consistent, and the first segment's checksum comes out as 0 */
    MODE_PREPARE = 16,   /* tuo_tso_prepare makes the superpacket */
    MODE_TRUST = 32,
    LEVEL_SHIFT = 6,     /* the upper two bits: which level of tuo_simd */
    /* second byte of switches, above tso_sum_no_len and three bits of tx_vlan_max (of which 5 to 7 are out of range) */
    CAPS_BAD_ETHERNET = 16,
    CAPS_FRAGS_SHIFT = 5, /* two bits */
    CAPS_NEAR = 128,      /* largest superpackets as distances to the length of this packet */
    /* third byte */
    CAPS_VLAN_INSERT = 1,
    CAPS_MTU_NEAR = 2,    /* mtu is added to gso_size; otherwise 0 is none */
    SEGS_MAX = 150,       /* added payload stays below so many segments: inputs must not be slow */
    LEN_MAX = 100000
};

typedef struct caps_input {
    unsigned mode, switches[3];
    uint16_t largest[4];
    unsigned trailer;
} caps_input;

static void check_complaint(const char *complaint)
{
    if (complaint != NULL) {
        fuzz_violated(__FILE__, __LINE__, complaint);
    }
}

static uint32_t largest_at(const caps_input *in, size_t i, size_t ip_len)
{
    if ((in->switches[1] & CAPS_NEAR) != 0) {
        return (uint32_t)ip_len + (uint32_t)in->largest[i] - 0x8000u;
    }
    return in->largest[i] == 0xffff ? 0xffffffffu : (uint32_t)in->largest[i] * 4;
}

/* Capabilities as the input says; ip_len: of this packet. */
static void make_caps(const caps_input *in, size_t ip_len, tuo_caps *caps)
{
    unsigned s = in->switches[0];
    caps->tx_csum_ip4 = s & 1;
    caps->tx_csum_tcp4 = s >> 1 & 1;
    caps->tx_csum_udp4 = s >> 2 & 1;
    caps->tx_csum_tcp6 = s >> 3 & 1;
    caps->tx_csum_udp6 = s >> 4 & 1;
    caps->tx_csum_any = s >> 5 & 1;
    caps->tx_ip6_ext = s >> 6 & 1;
    caps->tso_cwr = s >> 7 & 1;
    caps->tso_sum_no_len = in->switches[1] & 1;
    caps->tx_vlan_max = in->switches[1] >> 1 & 7;
    caps->max_frags = in->switches[1] >> CAPS_FRAGS_SHIFT & 3;
    caps->ethernet = (uint8_t)(((in->mode & MODE_ETHERNET) != 0) + ((in->switches[1] & CAPS_BAD_ETHERNET) != 0 ? 2 : 0));
    caps->max_tcp4 = largest_at(in, 0, ip_len);
    caps->max_udp4 = largest_at(in, 1, ip_len);
    caps->max_tcp6 = largest_at(in, 2, ip_len);
    caps->max_udp6 = largest_at(in, 3, ip_len);
}

/* More payload than an input may have, in a pattern: packets beyond 64 KiB are reached from small inputs. */
static uint8_t *read_packet(fuzz_input *in, size_t gso_size, size_t *len)
{
    size_t extra = (size_t)fuzz_u16(in) * 2, most = gso_size * SEGS_MAX;
    extra = extra < most ? extra : most;
    *len = in->len + extra < LEN_MAX ? in->len + extra : LEN_MAX;
    uint8_t *pkt = malloc(*len > 0 ? *len : 1);
    FUZZ_CHECK(pkt != NULL);
    size_t given = in->len < *len ? in->len : *len;
    if (given > 0) {
        memcpy(pkt, in->bytes, given);
    }
    for (size_t i = given; i < *len; i++) {
        pkt[i] = (uint8_t)(i * 7 + i / 256);
    }
    return pkt;
}

/* Lengths, checksums and metadata that fit, but for `trailer` bytes at the end that do not belong to the IP packet. */
static void make_consistent(const caps_input *in, uint8_t *pkt, size_t len, const tuo_caps *caps, tuo_vnet_hdr *vnet)
{
    tuo_caps all = *caps;
    tuo_vnet_hdr fitting;
    size_t trailer = (in->mode & MODE_ETHERNET) != 0 && in->trailer < len && len < 65536 ? in->trailer : 0;
    unsigned ecn = vnet->gso_type & TUO_GSO_ECN;
    all.max_tcp4 = all.max_udp4 = all.max_tcp6 = all.max_udp6 = 0xffffffffu;
    uint8_t *copy = fuzz_copy(pkt, len);
    if (ref_prepare(copy, len - trailer, vnet->gso_size, &all, &fitting)) {
        memcpy(pkt, copy, len);
        *vnet = fitting;
        if ((in->mode & MODE_ZERO_SUM) != 0) {
            ref_make_sum_zero(pkt, len - trailer, caps->ethernet != 0, vnet->gso_size);
        }
        if (vnet->gso_type == TUO_GSO_TCPV4 || vnet->gso_type == TUO_GSO_TCPV6) {
            vnet->gso_type = (uint8_t)(vnet->gso_type | ecn);
            if ((in->mode & MODE_FULL_CSUM) != 0) {
                ref_complete(pkt, len - trailer, vnet->csum_start, vnet->csum_offset);
                vnet->flags = 0;
            }
        }
    }
    free(copy);
}

/* The library against its naive counterpart; with TUO_OK the packet and *vnet are what it made. */
static tuo_result prepare(uint8_t *pkt, size_t len, uint16_t gso_size, const tuo_caps *caps, tuo_vnet_hdr *vnet)
{
    uint8_t *before = fuzz_copy(pkt, len), *expected = fuzz_copy(pkt, len);
    tuo_vnet_hdr vnet_before = *vnet, vnet_expected;
    int good = ref_prepare(expected, len, gso_size, caps, &vnet_expected);
    tuo_result result = tuo_tso_prepare(pkt, len, gso_size, caps, vnet);
    FUZZ_CHECK((result == TUO_OK) == (good != 0));
    if (result == TUO_OK) {
        FUZZ_CHECK(memcmp(pkt, expected, len) == 0 && fuzz_same_vnet(vnet, &vnet_expected));
        FUZZ_CHECK(tuo_vnet_check(vnet, pkt, len, caps->ethernet != 0 ? TUO_F_ETHERNET : 0) == TUO_OK);
    } else {
        FUZZ_CHECK((len == 0 || memcmp(pkt, before, len) == 0) && fuzz_same_vnet(vnet, &vnet_before));
    }
    free(before);
    free(expected);
    return result;
}

static void check_invalid(const ladder_case *c, uint8_t *pkt)
{
    tuo_vnet_hdr vnet = c->vnet;
    tuo_caps both;
    tuo_tx tx;
    FUZZ_CHECK(tuo_tx_init(&tx, &c->caps, pkt, c->len, &c->vnet, c->flags) == TUO_E_INVALID);
    FUZZ_CHECK(tuo_tso_prepare(pkt, c->len, c->vnet.gso_size, &c->caps, &vnet) == TUO_E_INVALID);
    FUZZ_CHECK(tuo_caps_intersect(&c->caps, &c->caps, &both) == TUO_E_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input rest = {data, size};
    caps_input in;
    ladder_case c;
    memset(&c, 0, sizeof c);
    in.mode = fuzz_u8(&rest);
    in.switches[0] = fuzz_u8(&rest);
    in.switches[1] = fuzz_u8(&rest);
    for (size_t i = 0; i < 4; i++) {
        in.largest[i] = fuzz_u16(&rest);
    }
    c.caps.min_seg_size = fuzz_u16(&rest);
    c.caps.max_seg_size = fuzz_u16(&rest);
    c.caps.max_segs = fuzz_u8(&rest);
    c.caps.max_udp_segs = fuzz_u8(&rest);
    c.switch_at = fuzz_u8(&rest);
    c.vnet.flags = fuzz_u8(&rest);
    c.vnet.gso_type = fuzz_u8(&rest);
    c.vnet.gso_size = fuzz_u16(&rest);
    c.vnet.csum_start = fuzz_u16(&rest);
    c.vnet.csum_offset = fuzz_u16(&rest);
    in.trailer = fuzz_u8(&rest);
    in.switches[2] = fuzz_u8(&rest);
    c.caps.tx_vlan_insert = (in.switches[2] & CAPS_VLAN_INSERT) != 0;
    c.caps.max_hdr_len = fuzz_u8(&rest);
    c.caps.mtu = fuzz_u16(&rest) + ((in.switches[2] & CAPS_MTU_NEAR) != 0 ? c.vnet.gso_size : 0u);
    c.flags = (c.vnet.flags & TUO_F_STRIP_JUMBO) | ((in.mode & MODE_TRUST) != 0 ? (unsigned)TUO_F_TRUST : 0u) | TUO_F_SIMD(simd_level_at(in.mode >> LEVEL_SHIFT));
    uint8_t *pkt = read_packet(&rest, c.vnet.gso_size, &c.len);
    pkt_view v = pkt_look(pkt, c.len, (in.mode & MODE_ETHERNET) != 0, 1);
    make_caps(&in, c.len - v.ip, &c.caps);
    c.pkt = pkt;
    if ((in.switches[1] & CAPS_BAD_ETHERNET) != 0 || c.caps.tx_vlan_max > TUO_VLAN_MAX) {
        check_invalid(&c, pkt);
        free(pkt);
        return 0;
    }
    tuo_caps both;
    FUZZ_CHECK(tuo_caps_intersect(&c.caps, &c.caps, &both) == TUO_OK && both.ethernet == c.caps.ethernet);
    if ((in.mode & MODE_PREPARE) != 0) {
        (void)prepare(pkt, c.len, c.vnet.gso_size, &c.caps, &c.vnet);
    } else if ((in.mode & (MODE_CONSISTENT | MODE_FULL_CSUM | MODE_ZERO_SUM)) != 0) {
        make_consistent(&in, pkt, c.len, &c.caps, &c.vnet);
    }
    size_t packets;
    check_complaint(ladder_check(&c, &packets));
    fuzz_deep += packets > 0 && c.vnet.gso_type != TUO_GSO_NONE;
    free(pkt);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

/* A device in range, mostly. The vnet header in the input counts only where the target is not told to make everything fit; then the
   payload that is added must be in the length fields, which is why there is none. */
static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    enum { FRONT = 33 };
    if (size <= FRONT) {
        return;
    }
    int ethernet = (data[0] & MODE_ETHERNET) != 0;
    if (!roll(dice, 8)) {
        data[2] = (uint8_t)(data[2] & ~(CAPS_BAD_ETHERNET | ((data[2] >> 1 & 7) > 4 ? 6 : 0)));
    }
    repair_packet(data + FRONT, size - FRONT, ethernet, dice);
    pkt_view v = pkt_look(data + FRONT, size - FRONT, ethernet, 1);
    if (!pkt_has_l4(&v) || (data[0] & (MODE_CONSISTENT | MODE_FULL_CSUM | MODE_ZERO_SUM | MODE_PREPARE)) != 0) {
        return;
    }
    data[18] = (uint8_t)(roll(dice, 4) ? 0 : TUO_VNET_NEEDS_CSUM);
    data[19] = (uint8_t)(roll(dice, 4)                ? TUO_GSO_NONE
                         : v.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4
                         : v.version == 4           ? TUO_GSO_TCPV4
                                                    : TUO_GSO_TCPV6);
    if (roll(dice, 2)) {
        pkt_put16(data + 20, 1 + rng_below(dice, (uint32_t)(v.payload_len + 1)));
    }
    pkt_put16(data + 22, (unsigned)v.l4);
    pkt_put16(data + 24, v.proto == PKT_PROTO_UDP ? 6 : 16);
    pkt_put16(data + 31, 0);
}
#endif
