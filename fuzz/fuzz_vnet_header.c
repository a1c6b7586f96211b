/* fuzz_vnet_header.c - virtio-net headers: the wire layouts, and the check of a header against its packet.
   Input     1 byte of flags, 1 byte of layout and order, vnet header bytes (as many as the layout has), then the packet.
   Asserts   decode and encode are inverse and write nothing on failure; an unknown layout or order is refused; the check
             reads nothing beyond the packet; hdr_len only counts under TUO_F_WRITE, which only refuses more; a GSO header
             that passes describes what the packet is, and under TUO_F_WRITE what Linux makes of it; tuo_gso_init refuses
             with the same name what the check refuses; the AccECN bit is refused as such, whatever else is wrong. */
#include "fuzz.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/reference.h"

static const size_t layouts[] = {10, 12, 20, 24, 0, 11, 16, 25};

/* Returns 0 if the layout is not one. */
static int check_codec(fuzz_input *in, unsigned how, tuo_vnet_hdr *vnet)
{
    size_t wire_len = layouts[how & 7];
    tuo_order order = (tuo_order)(how >> 3 & 3);
    int known = (how & 7) < 4 && (how >> 3 & 3) < 3;
    tuo_vnet_hdr untouched;
    memset(vnet, 0xa5, sizeof *vnet);
    memset(&untouched, 0xa5, sizeof untouched);
    tuo_result decoded = tuo_vnet_decode(in->bytes, in->len, wire_len, order, vnet);
    FUZZ_CHECK(decoded == (!known ? TUO_E_INVALID : in->len < wire_len ? TUO_E_TRUNCATED : TUO_OK));
    uint8_t wire[32];
    memset(wire, 0x5a, sizeof wire);
    if (decoded != TUO_OK) {
        FUZZ_CHECK(memcmp(vnet, &untouched, sizeof *vnet) == 0);
        FUZZ_CHECK(known || tuo_vnet_encode(vnet, wire_len, order, wire, sizeof wire) == TUO_E_INVALID);
        FUZZ_CHECK(wire[0] == 0x5a);
        return 0;
    }
    FUZZ_CHECK(tuo_vnet_encode(vnet, wire_len, order, wire, wire_len - 1) == TUO_E_NOSPACE && wire[0] == 0x5a);
    FUZZ_CHECK(tuo_vnet_encode(vnet, wire_len, order, wire, wire_len) == TUO_OK);
    /* The hash layouts have two bytes that mean nothing (padding): they need not come back. */
    FUZZ_CHECK(memcmp(wire, in->bytes, wire_len < 18 ? wire_len : 18) == 0);
    FUZZ_CHECK(wire_len < 24 || memcmp(wire + 20, in->bytes + 20, 4) == 0);
    FUZZ_CHECK(wire[wire_len] == 0x5a);
    in->bytes += wire_len;
    in->len -= wire_len;
    return 1;
}

static void check_tunnel_claims(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags)
{
    ref_tunnel t;
    unsigned type = vnet->gso_type & ~(unsigned)(TUO_GSO_ECN | REF_TUNNELS);
    FUZZ_CHECK(ref_tunnel_look(pkt, len, flags != 0, vnet, &t) && vnet->gso_size > 0 && vnet->gso_size < 65535);
    FUZZ_CHECK((t.inner.proto == PKT_PROTO_UDP) == (type == TUO_GSO_UDP_L4));
    FUZZ_CHECK(type == TUO_GSO_UDP_L4 ? !(vnet->gso_type & TUO_GSO_ECN) : type == (t.inner.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6));
    fuzz_deep++;
}

/* A header that passed: is each of its claims true? */
static void check_claims(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags)
{
    unsigned type = vnet->gso_type & ~(unsigned)TUO_GSO_ECN;
    if ((vnet->flags & TUO_VNET_NEEDS_CSUM) != 0) {
        FUZZ_CHECK((size_t)vnet->csum_start + vnet->csum_offset + 2 <= len);
    }
    unsigned tunnel = type & REF_TUNNELS;
    FUZZ_CHECK(tunnel != REF_TUNNELS);
    if (type == tunnel) { /* none, or that of a single packet */
        FUZZ_CHECK(vnet->gso_type == tunnel);
        return;
    }
    if (tunnel != 0) {
        check_tunnel_claims(vnet, pkt, len, flags);
        return;
    }
    tuo_pkt_info info;
    FUZZ_CHECK(tuo_parse(pkt, len, flags | TUO_F_SUPERPACKET, &info) == TUO_OK);
    FUZZ_CHECK(vnet->gso_size > 0 && vnet->gso_size < 65535);
    fuzz_deep++;
    switch (type) {
    case TUO_GSO_TCPV4: FUZZ_CHECK(info.kind == TUO_KIND_TCP4); break;
    case TUO_GSO_TCPV6: FUZZ_CHECK(info.kind == TUO_KIND_TCP6); break;
    default:
        FUZZ_CHECK(vnet->gso_type == TUO_GSO_UDP_L4);
        FUZZ_CHECK(info.kind == TUO_KIND_UDP4 || info.kind == TUO_KIND_UDP6);
        FUZZ_CHECK((vnet->flags & TUO_VNET_NEEDS_CSUM) != 0);
        break;
    }
    if ((vnet->flags & TUO_VNET_NEEDS_CSUM) != 0) {
        FUZZ_CHECK(vnet->csum_start == info.l4_off);
        FUZZ_CHECK(vnet->csum_offset == (type == TUO_GSO_UDP_L4 ? 6 : 16));
    }
}

/* What may be written: Linux takes everything behind csum_start, or the first 20 bytes, and a header of the shortest kind for
   payload. More than gso_size of that is a superpacket, and then must be one. */
static void check_written(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, int ethernet)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 1);
    int needs_csum = (vnet->flags & TUO_VNET_NEEDS_CSUM) != 0;
    FUZZ_CHECK(len > 0 && vnet->hdr_len <= len && (ethernet || pkt[0] >> 4 == 4 || pkt[0] >> 4 == 6));
    FUZZ_CHECK(!needs_csum || (vnet->csum_start >= 20 && vnet->csum_start <= 65276));
    if (vnet->gso_type == TUO_GSO_NONE) {
        v = pkt_look(pkt, len, ethernet, 0);
        FUZZ_CHECK(!needs_csum || v.status != PKT_OK || vnet->csum_start + vnet->csum_offset + 2u <= v.end);
        return;
    }
    int udp = v.proto == PKT_PROTO_UDP;
    size_t counted = len - (needs_csum ? v.l4 : 0) - (udp ? 8 : 20);
    int cut = ref_split_payload(&v) > vnet->gso_size;
    FUZZ_CHECK(cut ? !udp || counted <= vnet->gso_size * 128u : counted <= vnet->gso_size);
    FUZZ_CHECK(pkt_get16(pkt + v.ip + (v.version == 4 ? 2 : 4)) != 0 || (v.version == 4 && !udp && counted > vnet->gso_size));
    FUZZ_CHECK((!ethernet || v.end == len) && (!udp || pkt_get16(pkt + v.l4 + 4) == v.end - v.l4));
    FUZZ_CHECK(!v.routing_left || needs_csum);
}

/* What tuo_gso_init may say about a header that fits: bad checksums, and those that cannot be judged because the final address is
   in a routing header; a jumbo payload option. */
static int only_gso_refuses(tuo_result planned, const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags)
{
    tuo_pkt_info info;
    int needs_csum = (vnet->flags & TUO_VNET_NEEDS_CSUM) != 0;
    switch (planned) {
    case TUO_OK: return 1;
    case TUO_E_IP_CSUM: return vnet->gso_type != 0;
    case TUO_E_HEADER_TOO_LONG: /* a single one in a tunnel */
        return (vnet->gso_type & REF_TUNNELS) != 0 && (vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM) != 0;
    case TUO_E_IP6_JUMBO:
        if ((vnet->gso_type & REF_TUNNELS) != 0) {
            ref_tunnel t;
            return ref_tunnel_look(pkt, len, flags != 0, vnet, &t) &&
                   (ref_jumbo(pkt, &t.outer) != REF_NO_JUMBO || ref_jumbo(pkt + t.at, &t.inner) != REF_NO_JUMBO);
        }
        return vnet->gso_type != 0 && pkt[flags ? pkt_look(pkt, len, 1, 1).ip : 0] >> 4 == 6;
    case TUO_E_L4_CSUM: return vnet->gso_type != 0 && !needs_csum;
    case TUO_E_VNET_NEEDS_CSUM:
        return vnet->gso_type != 0 && !needs_csum && tuo_parse(pkt, len, flags | TUO_F_SUPERPACKET, &info) == TUO_OK &&
               (info.flags & TUO_PKT_ROUTING) != 0;
    default: return 0;
    }
}

static void check_header(tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags)
{
    tuo_result checked = tuo_vnet_check(vnet, pkt, len, flags);
    tuo_result written = tuo_vnet_check(vnet, pkt, len, flags | TUO_F_WRITE);
    FUZZ_CHECK(checked <= 0 && (written != TUO_OK || checked == TUO_OK));
    FUZZ_CHECK((checked == TUO_E_VNET_ACCECN) == ((vnet->gso_type & TUO_GSO_ACCECN) != 0));
    if (written == TUO_OK) {
        check_written(vnet, pkt, len, flags != 0);
    }
    if (checked == TUO_OK) {
        check_claims(vnet, pkt, len, flags);
    }
    tuo_gso gso, untouched;
    memset(&gso, 0xa5, sizeof gso);
    memset(&untouched, 0xa5, sizeof untouched);
    tuo_result planned = tuo_gso_init(&gso, pkt, len, vnet, flags);
    FUZZ_CHECK(planned == TUO_OK || memcmp(&gso, &untouched, sizeof gso) == 0);
    FUZZ_CHECK(checked == TUO_OK ? only_gso_refuses(planned, vnet, pkt, len, flags) : planned == checked);
    vnet->hdr_len ^= 0x1234;
    FUZZ_CHECK(tuo_vnet_check(vnet, pkt, len, flags) == checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    unsigned flags = fuzz_u8(&in) & TUO_F_ETHERNET, how = fuzz_u8(&in);
    tuo_vnet_hdr vnet;
    if (check_codec(&in, how, &vnet)) {
        check_header(&vnet, in.bytes, in.len, flags);
    }
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

/* Whichever machine this is: byte 0 of a number in native order. */
static int native_is_big(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 0;
}

static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    enum { FRONT = 2 };
    if (size < FRONT) {
        return;
    }
    size_t vnet_len = layouts[data[1] & 7];
    int ethernet = (data[0] & TUO_F_ETHERNET) != 0, order = data[1] >> 3 & 3;
    if (vnet_len < 10 || size <= FRONT + vnet_len) {
        return;
    }
    uint8_t *pkt = data + FRONT + vnet_len;
    repair_packet(pkt, size - FRONT - vnet_len, ethernet, dice);
    repair_vnet(data + FRONT, pkt, size - FRONT - vnet_len, ethernet, order == (native_is_big() ? TUO_ORDER_LITTLE : TUO_ORDER_BIG), dice);
}
#endif
