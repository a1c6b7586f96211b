/* virtio_net_hdr. Proved: decode and encode of every layout, order and buffer length (round trip, nothing written without room, nothing
   decoded on an error); tuo_vnet_check of every header and packet (every length 0..65535, and every parse that parse_promises allows):
   no read outside, and what TUO_OK and each refusal mean. The parser is replaced by its contract. The header of a single packet, of every
   legal length: zeros and num_buffers, to its last byte and no further. */
#include "proof.h"

/* PROOF vnet_codec unwind=2 models=64,32,be cover=tuo_vnet_decode,tuo_vnet_encode,tuoi_vnet_write */
void vnet_codec(void) {
    const size_t len = any_up_to(40), cap = any_up_to(40), hdr_len = nondet_size(), at = any_up_to(39);
    const tuo_order order = (tuo_order)nondet_int();
    const int layout_ok = (hdr_len == 10 || hdr_len == 12 || hdr_len == 20 || hdr_len == 24) && order >= 0 && order <= 2;
    const uint8_t *const bytes = any_bytes(len);
    uint8_t *const out = any_bytes(cap);
    uint8_t old = 0;
    tuo_vnet_hdr vnet, before;
    tuo_result result;
    before = vnet;
    result = tuo_vnet_decode(bytes, len, hdr_len, order, &vnet);
    PROVE(result == (!layout_ok ? TUO_E_INVALID : len < hdr_len ? TUO_E_TRUNCATED : TUO_OK), "decode: result");
    if (result != TUO_OK) PROVE_SAME(vnet, before, "decode: vnet untouched on an error");
    if (at < cap) old = out[at];
    if (tuo_vnet_encode(&vnet, hdr_len, order, out, cap) != TUO_OK) {
        PROVE(!layout_ok || cap < hdr_len, "encode: refused for a reason");
        if (at < cap) PROVE(out[at] == old, "encode: nothing written on an error");
        return;
    }
    PROVE(layout_ok && cap >= hdr_len, "encode: taken for a reason");
    if (at >= cap) return;
    if (at >= hdr_len) PROVE(out[at] == old, "encode: nothing written behind the header");
    if (result == TUO_OK && at < hdr_len && at != 18 && at != 19) PROVE(out[at] == bytes[at], "round trip (but for padding)");
}

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static unsigned base_of(unsigned type) { return type & 0x1F; }
static unsigned tunnel_of(unsigned type) { return type & 0x60; }
static int is_tcp_type(unsigned type) { return base_of(type) == TUO_GSO_TCPV4 || base_of(type) == TUO_GSO_TCPV6; }

/* What the kernel makes of a GSO type: by the bytes behind csum_start, or behind 20 bytes. */
static void prove_written(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, const tuo_pkt_info *info) {
    const int tcp = info->l4_proto == 6, ip4 = info->ip_version == 4;
    const size_t counted = len - (vnet->flags & TUO_VNET_NEEDS_CSUM ? vnet->csum_start : 0) - (tcp ? 20 : 8);
    PROVE(info->payload_len > vnet->gso_size || counted <= vnet->gso_size, "write: one segment for the kernel as well");
    PROVE(counted <= vnet->gso_size || tcp || counted <= vnet->gso_size * 128u, "write: at most 128 datagrams");
    PROVE(be16(pkt + info->ip_off + (ip4 ? 2 : 4)) != 0 || (ip4 && tcp && counted > vnet->gso_size), "write: an IP length");
    PROVE(tcp || be16(pkt + info->l4_off + 4) == info->ip_off + info->total_len - info->l4_off, "write: the UDP length");
    PROVE(!(info->flags & TUO_PKT_ROUTING) || (vnet->flags & TUO_VNET_NEEDS_CSUM), "write: a seed for another destination");
}

/* The headers around the packet in a tunnel. */
static void prove_outer(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags, const tuo_pkt_info *info,
                        const tuo_pkt_info *outer) {
    const unsigned kind = tunnel_of(vnet->gso_type) == TUO_GSO_UDP_TUNNEL_IPV4 ? TUO_KIND_UDP4 : TUO_KIND_UDP6;
    const uint32_t missed = outer->l4_off - vnet->outer_th_offset;
    PROVE(outer->kind == kind && !(flags & TUO_F_WRITE), "tunnel: the outer headers are those of its bit");
    PROVE(missed == 0 || (missed == 4 && outer->vlan_count), "tunnel: outer_th_offset, but for a tag");
    PROVE(info->ip_off == vnet->inner_nh_offset + missed && info->ip_off >= outer->l4_off + 8, "tunnel: inner_nh_offset");
    PROVE(info->ip_off + info->total_len == outer->ip_off + outer->total_len, "tunnel: both packets end at the same byte");
    PROVE(info->ip_off + info->total_len <= len, "tunnel: within the packet");
    PROVE(vnet->flags & TUO_VNET_NEEDS_CSUM, "tunnel: NEEDS_CSUM");
    PROVE((vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM) || be16(pkt + outer->l4_off + 6) == 0, "tunnel: no outer checksum without its flag");
}

/* PROOF vnet_check unwind=2 models=64,32,be calls=tuoi_parse:parse_contract cover=tuoi_vnet_check,tuoi_vnet_check_gso,
         tuoi_vnet_parse_tunnel,tuoi_vnet_inner_off,tuoi_vnet_check_segment,
         tuoi_vnet_check_packet,tuoi_vnet_check_write,tuoi_vnet_check_write_gso,tuoi_vnet_counted,tuoi_vnet_field_is_cut_off */
void vnet_check(void) {
    const size_t len = any_up_to(65535 + 14 + 16);
    const uint8_t *const pkt = any_bytes(len);
    const unsigned flags = nondet_unsigned();
    tuo_vnet_hdr vnet, before;
    tuo_pkt_info info, outer;
    const tuo_pkt_info *around;
    tuo_result result;
    before = vnet;
    result = tuoi_vnet_check(&vnet, pkt, len, flags, &info, &outer);
    PROVE_SAME(vnet, before, "hdr is input");
    PROVE(result <= 0, "result");
    if (result != TUO_OK) return;
    if (vnet.flags & TUO_VNET_NEEDS_CSUM) PROVE((size_t)vnet.csum_start + vnet.csum_offset + 2 <= len, "checksum field within the packet");
    if (flags & TUO_F_WRITE) PROVE(len > 0 && vnet.hdr_len <= len, "write: not empty, hdr_len within the packet");
    if (base_of(vnet.gso_type) == TUO_GSO_NONE) {
        PROVE(info.kind == TUO_KIND_NONE && outer.kind == TUO_KIND_NONE, "no GSO: not parsed");
        return;
    }
    if (tunnel_of(vnet.gso_type)) prove_outer(&vnet, pkt, len, flags, &info, &outer);
    else PROVE(outer.kind == TUO_KIND_NONE, "no tunnel");
    PROVE(vnet.gso_size != 0 && vnet.gso_size != 0xFFFF, "gso_size");
    PROVE(info.kind != TUO_KIND_NONE, "GSO: TCP or UDP");
    PROVE(is_tcp_type(vnet.gso_type) || (vnet.gso_type & 0x9F) == TUO_GSO_UDP_L4, "GSO: a known type");
    PROVE(is_tcp_type(vnet.gso_type) == (info.l4_proto == 6), "GSO: type and protocol agree");
    PROVE(!is_tcp_type(vnet.gso_type) || (base_of(vnet.gso_type) == TUO_GSO_TCPV4) == (info.ip_version == 4), "GSO: type and version agree");
    PROVE(info.payload_off + info.payload_len == info.ip_off + info.total_len, "GSO: the payload ends where the packet does");
    if (vnet.flags & TUO_VNET_NEEDS_CSUM) {
        PROVE(vnet.csum_start == info.l4_off && vnet.csum_offset == (info.l4_proto == 6 ? 16 : 6), "GSO: checksum where it belongs");
    } else {
        PROVE(info.l4_proto == 6, "UDP only with NEEDS_CSUM");
    }
    if (info.payload_len > vnet.gso_size) {
        PROVE(info.payload_off <= TUO_HEADER_MAX, "superpacket: headers that can be stamped");
        around = outer.kind != TUO_KIND_NONE ? &outer : &info;
        PROVE(info.payload_off - around->ip_off + vnet.gso_size <= 65535u + (around->ip_version == 4 ? 0 : 40u), "a segment is an IP packet");
    }
    if (flags & TUO_F_WRITE) prove_written(&vnet, pkt, len, &info);
}

/* TUO_E_VNET_*: each refusal has its reason.
   PROOF vnet_reasons unwind=2 models=64 calls=tuoi_parse:parse_contract cover=tuoi_vnet_check_packet,tuoi_vnet_check_write,
         tuoi_vnet_check_write_gso */
void vnet_reasons(void) {
    const size_t len = any_up_to(65535);
    const uint8_t *const pkt = any_bytes(len);
    const unsigned flags = nondet_unsigned();
    tuo_vnet_hdr vnet;
    tuo_pkt_info info, outer;
    switch (tuoi_vnet_check(&vnet, pkt, len, flags, &info, &outer)) {
        case TUO_E_VNET_ACCECN: PROVE(vnet.gso_type & 0x10, "AccECN"); break;
        case TUO_E_VNET_TUNNEL: PROVE(tunnel_of(vnet.gso_type), "tunnel"); break;
        case TUO_E_VNET_UFO: PROVE(base_of(vnet.gso_type) == 3, "UFO"); break;
        case TUO_E_VNET_ECN: PROVE((vnet.gso_type & 0x80) && !is_tcp_type(vnet.gso_type), "ECN without TCP"); break;
        case TUO_E_CSUM_RANGE:
            PROVE((vnet.flags & 1) && ((size_t)vnet.csum_start + vnet.csum_offset + 2 > len || ((flags & TUO_F_WRITE) && vnet.gso_type == 0)),
                  "range"); break;
        case TUO_E_VNET_FRAGMENT: PROVE((info.flags | outer.flags) & TUO_PKT_FRAGMENT, "fragment"); break;
        case TUO_E_VNET_PROTOCOL: PROVE(info.kind == TUO_KIND_NONE || is_tcp_type(vnet.gso_type) != (info.l4_proto == 6), "protocol"); break;
        case TUO_E_VNET_IP_VERSION: PROVE((base_of(vnet.gso_type) == TUO_GSO_TCPV4) != (info.ip_version == 4), "version"); break;
        case TUO_E_VNET_NEEDS_CSUM:
            PROVE(!(vnet.flags & 1) && (vnet.gso_type == TUO_GSO_UDP_L4 || tunnel_of(vnet.gso_type) || ((flags & TUO_F_WRITE) && (info.flags & TUO_PKT_ROUTING))),
                  "NEEDS_CSUM"); break;
        case TUO_E_VNET_CSUM_OFFSET: PROVE((vnet.flags & 1) && vnet.csum_offset != (info.l4_proto == 6 ? 16 : 6), "csum_offset"); break;
        case TUO_E_VNET_NO_PAYLOAD: PROVE((flags & TUO_F_WRITE) && info.payload_len == 0, "no payload"); break;
        case TUO_E_VNET_HDR_LEN:
            PROVE((flags & TUO_F_WRITE) && (vnet.hdr_len > len || (!(vnet.flags & 1) && (flags & TUO_F_ETHERNET) && vnet.hdr_len < 14)),
                  "hdr_len"); break;
        case TUO_E_VNET_SEG_LIMIT:
            PROVE((flags & TUO_F_WRITE) && vnet.gso_type == TUO_GSO_UDP_L4 && len - info.payload_off > vnet.gso_size * 128u, "segments"); break;
        case TUO_E_HEADER_TOO_LONG: PROVE(info.payload_off > TUO_HEADER_MAX, "long headers"); break;
        case TUO_E_VNET_CSUM_START:
            PROVE((vnet.flags & 1) && (info.kind ? vnet.csum_start != info.l4_off || flags & TUO_F_WRITE : vnet.csum_start < 20 || vnet.csum_start > 65276),
                  "csum_start"); break;
        default: break;
    }
}

/* tuoi_gro_whole: the place of the header. */
static uint8_t *header;
uint8_t *whole_contract(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, size_t vnet_len, const tuoi_record *record, tuo_iov *whole) {
    (void)gro, (void)ops, (void)offset, (void)vnet_len, (void)record, (void)whole;
    return header;
}

/* A header of vnet_len bytes, with bytes on both sides that stay as they are. */
static void prove_clear(size_t vnet_len) {
    enum { BEFORE = 8, ROOM = BEFORE + 24 + 8 };
    tuo_gro gro;
    uint8_t bytes[ROOM], old[ROOM];
    const size_t at = any_up_to(ROOM - 1), buffers = BEFORE + 10;
    const int big = tuoi_order_is_big(gro.desc.vnet_order), guest = gro.desc.virtio_guest && vnet_len >= 12;
    uint32_t i;
    for (i = 0; i < ROOM; i++) old[i] = bytes[i];
    header = bytes + BEFORE;
    tuoi_gro_complete_single(&gro, NULL, 0, vnet_len, NULL, NULL);
    if (at < BEFORE || at >= BEFORE + vnet_len) PROVE(bytes[at] == old[at], "clear: no byte outside of the header");
    else PROVE(bytes[at] == (guest && at == buffers + (big ? 1 : 0)), "clear: zeros, and one buffer for a guest");
}

/* PROOF vnet_clear unwind=41 models=64,be calls=tuoi_gro_whole:whole_contract cover=tuoi_vnet_clear,tuoi_gro_complete_single */
void vnet_clear(void) {
    switch (nondet_int()) {
        case 0: prove_clear(0); break;
        case 1: prove_clear(10); break;
        case 2: prove_clear(12); break;
        case 3: prove_clear(20); break;
        default: prove_clear(24); break;
    }
}
