/* The parser. Proved, for packets of every length 0..65535 in objects of exactly that size, every content, every combination of flags:
   no read outside of the packet; what tuo_pkt_info promises in its comment, and more (parse_promises in proof.h, which the other proofs
   build on); *info untouched on an error; what the fields say is what the bytes say (parse_meaning).
   The walk over IPv6 extension headers is proved on its own (parse_ext: every chain) and replaced by ext_contract in the rest.
   The shortcut for plain packets fills what the parser would (parse_plain).
   Bounds: none but the length. Loops end by themselves: 4 tags, 8 extension headers. parse_jumbo: hop-by-hop headers of 8 and 16 bytes. */
#include "proof.h"

/* PROOF parse_ext unwind=10 models=64,32,be cover=tuoi_parse_ip6_ext,tuoi_ip6_hides_ports */
void parse_ext(void) {
    const size_t len = any_up_to(65535);
    const uint8_t *const ip = any_bytes(len);
    tuo_pkt_info info, before;
    tuo_result result;
    ASSUME(len >= 40 && info.total_len >= len && info.flags == 0); /* the rest of the packet is in another piece */
    before = info;
    result = tuoi_parse_ip6_ext(ip, (uint32_t)len, &info);
    ext_promises(PROVED, result, &info);
    PROVE(result != TUO_OK || info.ip_hdr_len <= len, "walk: ends within what is readable");
    before.flags = info.flags;
    before.l4_proto = info.l4_proto;
    before.ip_hdr_len = info.ip_hdr_len;
    PROVE_SAME(info, before, "walk: nothing else changed");
}

/* Options in a hop-by-hop header that the parser has stepped over, which ends where its object does.
   PROOF parse_jumbo unwind=16 models=64,32 cover=tuoi_find_jumbo */
void parse_jumbo(void) {
    tuo_pkt_info info;
    uint8_t *const ip = any_bytes(info.ip_hdr_len);
    uint32_t result, i;
    int has_type = 0;
    ASSUME(info.ip_version == 4 || info.ip_version == 6);
    ASSUME(info.ip_hdr_len == 40 || info.ip_hdr_len == 48 || info.ip_hdr_len == 56);
    if (info.ip_hdr_len == 40) ip[6] = 6;
    if (ip[6] == 0) ASSUME(48 + ip[41] * 8u <= info.ip_hdr_len);
    result = tuoi_find_jumbo(ip, &info);
    jumbo_promises(PROVED, result, &info);
    if (result == 0) return;
    for (i = 42; i < info.ip_hdr_len; i++) has_type |= ip[i] == 0xC2;
    PROVE(ip[6] == 0 && has_type, "jumbo: there is such a byte");
    PROVE(result == TUOI_JUMBO_STAYS || result == 8 + ip[41] * 8u, "jumbo: the bytes of its header");
}

/* PROOF parse_promise unwind=10 models=64,32,be calls=tuoi_parse_ip6_ext:ext_contract cover=tuoi_parse */
void parse_promise(void) {
    const size_t len = any_up_to(65535);
    const unsigned flags = nondet_unsigned();
    const uint8_t *const pkt = any_bytes(len);
    tuo_pkt_info info;
    const tuo_result result = tuoi_parse(pkt, len, flags, &info);
    parse_promises(PROVED, result, len, flags, &info);
}

/* A packet in pieces: only the first piece is an object. Nothing beyond it is read, and headers that are found lie in it.
   PROOF parse_pieces unwind=10 models=64,32 calls=tuoi_parse_ip6_ext:ext_contract cover=tuoi_parse_readable */
void parse_pieces(void) {
    const size_t len = any_up_to(65535), first = any_up_to(len);
    const unsigned flags = nondet_int() ? TUO_F_ETHERNET : 0;
    const uint8_t *const pkt = any_bytes(first);
    tuo_pkt_info info;
    const tuo_result result = tuoi_parse_readable(pkt, first, len, flags, &info);
    parse_promises(PROVED, result, len, flags, &info);
    PROVE(result != TUO_OK || info.kind == TUO_KIND_NONE || info.payload_off <= first, "pieces: all headers lie in the first");
    PROVE(result == TUO_OK || info.l4_off == 0 || first - info.ip_off >= (info.ip_version == 4 ? 20u : 40u),
          "pieces: error in L4: addresses lie in the first");
}

/* PROOF parse_public unwind=2 models=64 calls=tuoi_parse:parse_contract cover=tuo_parse */
void parse_public(void) {
    const size_t len = any_up_to(65535);
    const uint8_t *const pkt = any_bytes(len);
    const unsigned flags = nondet_unsigned();
    tuo_pkt_info info, before;
    tuo_result result;
    before = info;
    result = tuo_parse(pkt, len, flags, &info);
    if (result == TUO_OK) {
        parse_promises(PROVED, result, len, flags & ~(unsigned)TUOI_F_WHOLE, &info);
    } else {
        PROVE(result < 0, "a negative result");
        PROVE_SAME(info, before, "info untouched on an error");
    }
}

/* PROOF parse_huge unwind=2 models=64 cover=tuoi_parse */
void parse_huge(void) {
    tuo_pkt_info info;
    const size_t len = nondet_size();
    ASSUME(len > 0x7FFFFFFF);
    PROVE(tuo_parse(NULL, len, nondet_unsigned(), &info) == TUO_E_INVALID, "2 GiB: refused without a look");
}

/* What the fields say is what the bytes say. Packets start with the IP header, so that offsets in them are known.
   PROOF parse_meaning unwind=10 models=64 calls=tuoi_parse_ip6_ext:ext_contract cover=tuoi_parse_ip4,tuoi_parse_ip6,
         tuoi_parse_tcp,tuoi_parse_udp,tuoi_parse_l4 */
void parse_meaning(void) {
    const size_t len = any_up_to(65535);
    const unsigned flags = nondet_unsigned() & ~(unsigned)(TUO_F_ETHERNET | TUOI_F_WHOLE);
    const uint8_t *const ip = any_bytes(len);
    const int super = (flags & TUO_F_SUPERPACKET) != 0;
    tuo_pkt_info info;
    const uint8_t *l4;
    uint32_t field;
    if (tuoi_parse(ip, len, flags, &info) != TUO_OK) return;
    PROVE(ip[0] >> 4 == info.ip_version, "version nibble");
    if (info.ip_version == 4) {
        field = (uint32_t)ip[2] << 8 | ip[3];
        PROVE(info.total_len == field || (super && field == 0 && info.total_len == len), "IPv4 total length");
        PROVE(info.ip_hdr_len == (ip[0] & 15u) * 4u, "IPv4 header length");
        PROVE(!(info.flags & TUO_PKT_FRAGMENT) == !((ip[6] & 0x3F) | ip[7]), "IPv4 fragment: MF or an offset");
        PROVE(!(info.flags & TUO_PKT_DF) == !(ip[6] & 0x40) && !(info.flags & TUO_PKT_RESERVED_BIT) == !(ip[6] & 0x80), "DF and reserved bit");
        PROVE(info.ip_id == (ip[4] << 8 | ip[5]) && info.tos == ip[1] && info.ttl == ip[8] && info.l4_proto == ip[9], "ID, TOS, TTL, protocol");
    } else {
        field = (uint32_t)ip[4] << 8 | ip[5];
        PROVE(info.total_len == 40 + field || (super && field == 0 && info.total_len == len), "IPv6 payload length");
        PROVE(info.tos == ((ip[0] & 15) << 4 | ip[1] >> 4) && info.ttl == ip[7], "traffic class, hop limit");
        PROVE(info.flow_label == ((ip[1] & 15u) << 16 | (uint32_t)ip[2] << 8 | ip[3]), "flow label");
        PROVE((ip[6] != 6 && ip[6] != 17) || (info.ip_hdr_len == 40 && info.l4_proto == ip[6]), "next header");
    }
    if (info.kind == TUO_KIND_NONE) return;
    l4 = ip + info.l4_off;
    PROVE(info.src_port == (l4[0] << 8 | l4[1]) && info.dst_port == (l4[2] << 8 | l4[3]), "ports");
    if (info.l4_proto == 6) {
        PROVE(info.l4_hdr_len == (l4[12] >> 4) * 4u && info.tcp_flags == l4[13] && info.window == (l4[14] << 8 | l4[15]), "TCP header");
        PROVE(info.seq == ((uint32_t)l4[4] << 24 | (uint32_t)l4[5] << 16 | (uint32_t)l4[6] << 8 | l4[7]), "sequence number");
        PROVE(info.ack == ((uint32_t)l4[8] << 24 | (uint32_t)l4[9] << 16 | (uint32_t)l4[10] << 8 | l4[11]), "acknowledgment number");
    } else {
        field = (uint32_t)l4[4] << 8 | l4[5];
        PROVE(info.payload_len + 8 == (field == 0 && super ? info.total_len - info.ip_hdr_len : field), "UDP length");
    }
}

/* The shortcut for plain packets accepts only what the parser accepts, and then all that it fills is the same.
   PROOF parse_plain unwind=10 models=64 calls=tuoi_parse_ip6_ext:ext_contract cover=tuoi_parse_plain */
void parse_plain(void) {
    const size_t len = any_up_to(65600);
    const uint8_t *const pkt = any_bytes(len);
    const uint32_t ip_off = nondet_int() ? 14 : 0;
    const int ip4 = nondet_int() != 0;
    tuo_pkt_info info;
    tuoi_facts plain, facts;
    if (!tuoi_parse_plain(pkt, len, ip_off, ip4, &plain)) return;
    PROVE(tuoi_parse(pkt, len, ip_off ? (unsigned)TUO_F_ETHERNET : 0u, &info) == TUO_OK, "plain: the parser takes it, too");
    facts = tuoi_facts_of(&info);
    same_facts(&plain, &facts);
    PROVE(plain.shape.kind != TUO_KIND_NONE && info.trailer_len == 0 && info.vlan_count == 0, "plain: a kind, nothing around it");
    PROVE(tuoi_classify_ip(&info) == TUO_V_HELD, "plain: nothing that classify_ip would refuse");
}

/* tuo_flow_key_from_packet: any packet that parses; a kind of NONE is refused.
   PROOF parse_key unwind=2 models=64 calls=tuoi_parse:parse_contract cover=tuo_flow_key_from_packet */
void parse_key(void) {
    const size_t len = any_up_to(65535);
    const uint8_t *const pkt = any_bytes(len);
    tuo_pkt_info info;
    tuo_flow_key key, before;
    tuo_result result;
    if (tuo_parse(pkt, len, nondet_unsigned(), &info) != TUO_OK) return;
    before = key;
    result = tuo_flow_key_from_packet(pkt, &info, &key);
    if (info.kind == TUO_KIND_NONE) {
        PROVE(result == TUO_E_INVALID, "no kind, no key");
        PROVE_SAME(key, before, "key untouched on an error");
    } else {
        const size_t at = any_up_to(15), addr_len = info.ip_version == 4 ? 4 : 16, addr_off = info.ip_off + (info.ip_version == 4 ? 12 : 8);
        PROVE(result == TUO_OK && key.ip_version == info.ip_version && key.l4_proto == info.l4_proto, "version and protocol");
        PROVE(key.src[at] == (at < addr_len ? pkt[addr_off + at] : 0), "source address, zeros behind");
        PROVE(key.dst[at] == (at < addr_len ? pkt[addr_off + addr_len + at] : 0), "destination address, zeros behind");
        PROVE(key.src_port == info.src_port && key.dst_port == info.dst_port && key.flow_label == info.flow_label, "ports and flow label");
        PROVE(key.extra == 0 && key.extra16 == 0, "extra is the user's");
    }
}
