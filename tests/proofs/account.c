/* Superpacket headers. Proved, for packets of every length and every parse that parse_promises allows: tuo_coalesce_account and
   tuo_tso_prepare write nothing on an error, and otherwise only the length and checksum fields that they name; lengths are right; the
   metadata is what tuo_vnet_check accepts for the packet. Parser and sums are replaced by their contracts.
   Bounds: 65535 bytes behind an Ethernet header with tags, and (tso) 200000. */
#include "proof.h"

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

/* What tuoi_vnet_check_packet, proved by vnet_check, asks of a header; of the parse that the call saw (tuo_pkt_info last_parse). */
static tuo_pkt_info last_parse;
tuo_result parse_contract_kept(const uint8_t *pkt, size_t len, unsigned flags, tuo_pkt_info *info) {
    const tuo_result result = parse_contract(pkt, len, flags, info);
    last_parse = *info;
    return result;
}

/* Byte `at` of the packet changed from old: was that allowed? */
static void prove_written(const uint8_t *pkt, const tuo_pkt_info *info, size_t at, uint8_t old) {
    const size_t ip = info->ip_off, l4 = info->l4_off;
    const int ip4 = info->ip_version == 4, tcp = info->l4_proto == 6;
    const int length = ip4 ? at == ip + 2 || at == ip + 3 || at == ip + 10 || at == ip + 11 : at == ip + 4 || at == ip + 5;
    const int l4_field = tcp ? at == l4 + 16 || at == l4 + 17 : at >= l4 + 4 && at < l4 + 8;
    if (pkt[at] != old) PROVE(length || l4_field, "only length and checksum fields are written");
}

static void prove_vnet(const tuo_vnet_hdr *vnet, tuo_pkt_info *info, uint32_t payload_len, uint16_t gso_size) {
    const int gso = payload_len > gso_size;
    PROVE(vnet->flags == TUO_VNET_NEEDS_CSUM && vnet->csum_start == info->l4_off, "csum_start");
    PROVE(vnet->csum_offset == (info->l4_proto == 6 ? 16 : 6), "csum_offset");
    PROVE(vnet->hdr_len == info->payload_off, "hdr_len");
    PROVE(vnet->gso_size == (gso ? gso_size : 0), "gso_size");
    PROVE(vnet->gso_type == (!gso ? TUO_GSO_NONE : info->l4_proto != 6 ? TUO_GSO_UDP_L4 :
                             info->ip_version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6), "gso_type");
    tuo_pkt_info no_tunnel;
    no_tunnel.kind = TUO_KIND_NONE;
    if (!gso) return;
    PROVE(tuoi_vnet_check_gso(vnet, 0) == TUO_OK && tuoi_vnet_check_packet(vnet, info, &no_tunnel) == TUO_OK, "tuo_vnet_check takes it");
}

/* PROOF account_coalesce unwind=2 models=64 calls=tuoi_parse:parse_contract_kept,tuoi_scalar:scalar_contract
         cover=tuo_coalesce_account,tuoi_account */
void account_coalesce(void) {
    const size_t len = any_up_to(65535 + 14 + 16 + 1), at = nondet_size();
    const unsigned flags = nondet_unsigned();
    const uint16_t gso_size = nondet_u16();
    uint8_t *const pkt = any_bytes(len);
    tuo_vnet_hdr vnet, before;
    tuo_result result;
    uint32_t payload_len;
    uint8_t old;
    if (at >= len) return;
    old = pkt[at];
    before = vnet;
    result = tuo_coalesce_account(pkt, len, gso_size, flags, &vnet);
    if (result != TUO_OK) {
        PROVE(result < 0 && pkt[at] == old, "nothing written on an error");
        PROVE_SAME(vnet, before, "vnet untouched on an error");
        return;
    }
    payload_len = (uint32_t)len - last_parse.payload_off;
    PROVE(payload_len > gso_size && gso_size != 0 && gso_size != 65535, "a superpacket");
    PROVE(len - last_parse.ip_off <= 65535, "no more than an IP packet");
    prove_written(pkt, &last_parse, at, old);
    if (last_parse.ip_version == 4) {
        PROVE(be16(pkt + last_parse.ip_off + 2) == len - last_parse.ip_off, "IPv4 total length");
    } else {
        PROVE(be16(pkt + last_parse.ip_off + 4) == len - last_parse.ip_off - 40, "IPv6 payload length");
    }
    if (last_parse.l4_proto == 17) {
        PROVE(be16(pkt + last_parse.l4_off + 4) == len - last_parse.l4_off, "UDP length");
        PROVE((payload_len + gso_size - 1) / gso_size <= 128, "at most 128 datagrams");
    }
    last_parse.total_len = (uint32_t)len - last_parse.ip_off; /* what a parser sees now */
    last_parse.payload_len = payload_len;
    prove_vnet(&vnet, &last_parse, payload_len, gso_size);
}

/* PROOF account_tso unwind=2 models=64 calls=tuoi_parse:parse_contract_kept,tuoi_scalar:scalar_contract cover=tuo_tso_prepare,
         tuoi_account_any */
void account_tso(void) {
    const size_t len = any_up_to(200000), at = nondet_size();
    const uint16_t gso_size = nondet_u16();
    uint8_t *const pkt = any_bytes(len);
    tuo_caps caps;
    tuo_vnet_hdr vnet, before;
    tuo_result result;
    uint32_t ip_len, max;
    uint8_t old;
    if (at >= len) return;
    old = pkt[at];
    before = vnet;
    result = tuo_tso_prepare(pkt, len, gso_size, &caps, &vnet);
    if (result != TUO_OK) {
        PROVE(result < 0 && pkt[at] == old, "nothing written on an error");
        PROVE_SAME(vnet, before, "vnet untouched on an error");
        return;
    }
    PROVE(caps.ethernet == 0 || caps.ethernet == 1, "caps in range");
    PROVE(gso_size != 0 && gso_size != 65535, "gso_size");
    PROVE(last_parse.payload_off + last_parse.payload_len == len, "the whole packet");
    prove_written(pkt, &last_parse, at, old);
    ip_len = last_parse.total_len - (last_parse.ip_version == 4 ? 0 : 40);
    max = last_parse.kind == TUO_KIND_TCP4 ? caps.max_tcp4 : last_parse.kind == TUO_KIND_TCP6 ? caps.max_tcp6 :
          last_parse.kind == TUO_KIND_UDP4 ? caps.max_udp4 : caps.max_udp6;
    PROVE(ip_len <= 65535 || last_parse.total_len <= max, "beyond 65535 bytes only where the device takes that");
    PROVE(be16(pkt + last_parse.ip_off + (last_parse.ip_version == 4 ? 2 : 4)) == (ip_len > 65535 ? 0 : ip_len), "IP length, 0 if too large");
    if (last_parse.l4_proto == 17) {
        const size_t udp_len = len - last_parse.l4_off;
        PROVE(be16(pkt + last_parse.l4_off + 4) == (udp_len > 65535 ? 0 : udp_len), "UDP length, 0 if too large");
    }
    prove_vnet(&vnet, &last_parse, last_parse.payload_len, gso_size);
}
