/* Coalescing in VXLAN and Geneve: what is read of a datagram, and what two of them must have in common. Proved:
   gro_tunnel_inner    the inner IP header is looked for within the packet, and found within it, not further than TUO_HEADER_MAX allows;
                       packets of every length and content
   gro_tunnel_enter    a candidate in a tunnel is what the rest may assume of any candidate, with its inner headers at their place in the
                       frame; what is none may be looked up, if its verdict lets it; every configuration
   gro_tunnel_differs  of two datagrams that may merge, every byte in front of the inner IP header is equal but those that splitting makes
                       up again (outer lengths, IDs, checksums), and neither or both have an outer checksum
   The parser and sums are replaced by contracts. Bounds of gro_tunnel_differs: VXLAN; the bytes between the outer UDP header and the inner IP
   header are compared by one loop, whatever they are. */
#include "proof.h"

static tuo_gro gro;

static void any_configuration(void) {
    tuo_gro_desc desc;
    ASSUME(tuoi_gro_desc_ok(&desc));
    tuoi_gro_configure(&gro, &desc);
    gro.plain_ip_off = desc.ethernet ? 14 : 0;
}

/* What tuoi_tunnel_inner may assume: a plain packet has 12 bytes and more behind its UDP header.
   PROOF gro_tunnel_inner unwind=2 models=64,32 cover=tuoi_tunnel_inner */
void gro_tunnel_inner(void) {
    const size_t len = any_up_to(65535 + 14);
    const uint32_t l4_off = nondet_u32();
    const int geneve = nondet_int() != 0;
    const uint8_t *bytes;
    uint32_t off;
    ASSUME((l4_off == 20 || l4_off == 34 || l4_off == 40 || l4_off == 54) && len >= l4_off + 20);
    bytes = any_bytes(len);
    off = tuoi_tunnel_inner(bytes, (uint32_t)len, l4_off, geneve);
    if (off == 0 || off == TUOI_NONE) return;
    PROVE(off >= l4_off + 16 && off < len, "the inner packet begins within the packet, behind the tunnel header");
    PROVE(off <= l4_off + 16 + 63 * 4 + 18, "not further than the longest headers");
    PROVE(bytes[off] >> 4 == 4 || bytes[off] >> 4 == 6, "an IP version");
    PROVE(geneve || off == l4_off + 16 + 14 || off == l4_off + 16 + 18, "VXLAN: an Ethernet header, perhaps a tag");
}

/* PROOF gro_tunnel_enter slow unwind=17 models=64 objects=9 calls=tuoi_parse_readable:parse_readable_contract,tuoi_find_jumbo:jumbo_contract,
         tuoi_scalar:scalar_contract cover=tuoi_tunnel_enter,tuoi_tunnel_verify */
void gro_tunnel_enter(void) {
    const size_t len = any_up_to(65535 + 14);
    const uint32_t inner_off = nondet_u32();
    const int ip4 = nondet_int() != 0;
    tuoi_packet pkt;
    tuoi_facts outer;
    tuo_verdict verdict;
    any_configuration();
    pkt.len = len;
    pkt.bytes = any_bytes(len);
    pkt.csum = nondet_u8();
    ASSUME(tuoi_parse_plain(pkt.bytes, len, gro.plain_ip_off, ip4, &pkt.facts) && pkt.facts.l4_proto == 17);
    ASSUME(inner_off >= pkt.facts.shape.l4_off + 16 && inner_off < len && inner_off <= pkt.facts.shape.l4_off + 16 + 63 * 4 + 18);
    outer = pkt.facts;
    verdict = tuoi_tunnel_enter(&gro, &pkt, inner_off);
    PROVE(pkt.facts.tunnel == (ip4 ? TUO_KIND_UDP4 : TUO_KIND_UDP6) && !pkt.facts.plain, "in a tunnel, which the fast path leaves alone");
    PROVE(pkt.facts.outer_ip_id == outer.ip_id && pkt.facts.outer_df == outer.df, "the outer ID and DF are kept");
    if (verdict == TUO_V_HELD) {
        const tuoi_facts *const facts = &pkt.facts;
        const int inner4 = facts->ip_version == 4, tcp = facts->l4_proto == 6;
        const uint32_t l4_hdr_len = facts->shape.hdr_len - facts->shape.l4_off;
        PROVE(facts->shape.ip_off == inner_off && facts->shape.hdr_len <= TUO_HEADER_MAX, "candidate: headers are not too long");
        PROVE(facts->shape.kind >= TUO_KIND_TCP4 && facts->shape.kind <= TUO_KIND_UDP6, "candidate: kind");
        PROVE(inner4 ? facts->shape.l4_off == inner_off + 20 : facts->shape.l4_off >= inner_off + 40, "candidate: no IPv4 options");
        PROVE(tcp ? l4_hdr_len >= 20 && l4_hdr_len <= 60 : l4_hdr_len == 8, "candidate: L4 header");
        PROVE(facts->payload_len >= 1 && (uint64_t)facts->shape.hdr_len + facts->payload_len == len, "candidate: payload to the end");
        PROVE(outer.total_len <= gro.desc.max_bytes, "candidate: the outer packet is not too long");
    } else if (verdict != TUO_V_NOT_IP && verdict != TUO_V_TRUNCATED && verdict != TUO_V_VLAN_DEPTH && verdict != TUO_V_IP_HEADER &&
               verdict != TUO_V_IP_LENGTH && verdict != TUO_V_PROTOCOL) { /* tuoi_gro_close_behind reads on */
        const tuoi_facts *const facts = &pkt.facts;
        PROVE(facts->shape.ip_off + (facts->ip_version == 4 ? 20u : 40u) <= len, "the inner addresses are within the packet");
        PROVE(!tuoi_ports_known(facts) || facts->shape.l4_off + 4 <= len, "known ports are within the packet");
    }
}

/* Is this byte of the outer headers made anew, or compared elsewhere (plain: version, header length, fragment bits but DF)? */
static int is_made_anew(uint32_t outer_off, int ip4, size_t at) {
    const size_t ip = at - outer_off, udp = ip - (ip4 ? 20 : 40);
    if (at < outer_off) return 0;
    if (ip4 && ip < 20) return (ip >= 2 && ip < 6) || ip == 10 || ip == 11;
    if (!ip4 && ip < 40) return ip == 4 || ip == 5;
    return udp >= 4 && udp < 8;
}

static void prove_differs(int ethernet, int ip4) {
    const uint32_t outer_off = ethernet ? 14 : 0, l4_off = outer_off + (ip4 ? 20 : 40), ip_off = l4_off + 16 + 14;
    const size_t at = any_up_to(ip_off - 1);
    tuoi_packet a, b;
    tuoi_item item;
    any_configuration();
    gro.plain_ip_off = outer_off;
    gro.desc.ethernet = (uint8_t)ethernet;
    a.bytes = any_bytes(ip_off);
    b.bytes = any_bytes(ip_off);
    ASSUME(a.bytes[outer_off] == b.bytes[outer_off] || !ip4); /* 0x45, and no fragments: plain packets */
    if (ip4) ASSUME(((a.bytes[outer_off + 6] | b.bytes[outer_off + 6]) & 0xBF) == 0 && (a.bytes[outer_off + 7] | b.bytes[outer_off + 7]) == 0);
    if (ip4) ASSUME(a.bytes[outer_off + 9] == 17 && b.bytes[outer_off + 9] == 17);
    else ASSUME(a.bytes[outer_off + 6] == 17 && b.bytes[outer_off + 6] == 17 && a.bytes[outer_off] >> 4 == 6 && b.bytes[outer_off] >> 4 == 6);
    item.bytes = a.bytes;
    item.shape.ip_off = ip_off;
    item.tunnel = ip4 ? TUO_KIND_UDP4 : TUO_KIND_UDP6;
    item.seg_count = 1 + (uint32_t)any_up_to(65534);
    item.outer_id_mode = item.seg_count == 1 ? TUOI_ID_UNDECIDED : nondet_int() ? TUOI_ID_COUNTS : TUOI_ID_CONSTANT;
    b.facts.shape.ip_off = ip_off;
    b.facts.tunnel = item.tunnel;
    b.facts.outer_ip_id = ip4 ? (uint16_t)(b.bytes[outer_off + 4] << 8 | b.bytes[outer_off + 5]) : 0;
    b.facts.outer_df = ip4 && (b.bytes[outer_off + 6] & 0x40) != 0;
    if (!tuoi_same_tunnel(&gro, &item, &b) || tuoi_tunnel_differs(&gro, &item, &b) != TUO_V_HELD) return;
    PROVE(is_made_anew(outer_off, ip4, at) || a.bytes[at] == b.bytes[at], "a byte that the first datagram gives to all is equal");
    PROVE((tuoi_load16(a.bytes + l4_off + 6) == 0) == (tuoi_load16(b.bytes + l4_off + 6) == 0), "neither or both have a checksum");
    if (ip4 && gro.desc.ip_id < (b.facts.outer_df ? TUO_IP_ID_ANY_DF : TUO_IP_ID_ANY)) {
        const uint16_t step = (uint16_t)(b.facts.outer_ip_id - (a.bytes[outer_off + 4] << 8 | a.bytes[outer_off + 5]));
        PROVE(step == (uint16_t)item.seg_count || (step == 0 && b.facts.outer_df && gro.desc.ip_id == TUO_IP_ID_DEFAULT),
              "outer ID: the next, or constant under DF");
    }
}

/* PROOF gro_tunnel_differs slow unwind=64 models=64 objects=9 cover=tuoi_same_tunnel,tuoi_tunnel_differs,tuoi_layer_differs,tuoi_ids_fit */
void gro_tunnel_differs(void) {
    switch (nondet_int()) {
        case 0: prove_differs(0, 1); break;
        case 1: prove_differs(1, 1); break;
        case 2: prove_differs(0, 0); break;
        default: prove_differs(1, 0); break;
    }
}
