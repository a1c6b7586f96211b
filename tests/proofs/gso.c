/* Splitting. gso_plan: for every packet, vnet header and parse that parse_promises allows, tuo_gso_init reads nothing outside, and its plan
   holds (plan_promises). The rest starts from any plan that holds and any segment of it, not only those that calls from the first one on
   would come to: that is sound, because a call depends on nothing but the plan and the number of the segment (the header template
   changes, but only in fields that every segment writes).
   gso_stamp, gso_header: a header has right lengths, ID, sequence number and flags, and nothing outside of it is written; in the rest these
   two writers are replaced by a contract that asks for the range. gso_next, gso_in_place, gso_split: each segment lies within the packet
   and is preceded by its header; they are next to each other from first to last payload byte; no buffer is written outside, or at all
   without room. Parser and sums are replaced by their contracts (so checksums may have any value here; tests compare them).
   Bounds: packets up to 65535 bytes with an Ethernet header; the segment size is 1448 where products are needed, since products of two free
   numbers are hard for solvers; --deep leaves it free for payloads up to 255 bytes (gso_next_sizes) and shapes of headers (gso_stamp_shapes;
   gso_stamp: four of them). gso_header, gso_headers: the header lengths listed. */
#include <stddef.h>
#define TUO_MEMCPY copy_contract /* see there */
void *copy_contract(void *dst, const void *src, size_t len);
#include "proof.h"

/* A copy of more than 16 bytes (payloads, packets, header templates): the ranges are right, and any one byte of dst changes to anything. That is
   enough where a harness looks at one byte of its choice, or at none; no proof here relies on what such a copy copied. */
void *copy_contract(void *dst, const void *src, size_t len) {
    if (len <= 16) return memcpy(dst, src, len);
    PROVE(__CPROVER_r_ok(src, len) && __CPROVER_w_ok(dst, len), "a copy stays within its ranges");
    ((uint8_t *)dst)[any_up_to(len - 1)] = nondet_u8();
    return dst;
}

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

/* counted: also that the number of segments is right, which needs a product. */
static void plan_promises(int mode, const tuo_gso *gso, size_t len, int counted) {
    const uint32_t count = gso->tuoi_seg_count, size = gso->tuoi_gso_size, payload_len = gso->tuoi_payload_len;
    const int ip4 = gso->tuoi_kind == TUO_KIND_TCP4 || gso->tuoi_kind == TUO_KIND_UDP4;
    const int tcp = gso->tuoi_kind == TUO_KIND_TCP4 || gso->tuoi_kind == TUO_KIND_TCP6;
    const int tunnel = gso->tuoi_outer_kind != TUO_KIND_NONE, around4 = tunnel ? gso->tuoi_outer_kind == TUO_KIND_UDP4 : ip4;
    const uint32_t around_off = tunnel ? gso->tuoi_outer_ip_off : gso->tuoi_ip_off;
    STATE(mode, gso->tuoi_left_out <= TUO_HEADER_MAX && gso->tuoi_left_out <= len, "plan: what is left out");
    STATE(mode, count >= 1 && gso->tuoi_pkt_len <= len - gso->tuoi_left_out && gso->tuoi_pseudo <= 1 && gso->tuoi_fill_csum <= 1, "plan: within the packet");
    STATE(mode, gso->tuoi_kind <= TUO_KIND_UDP6, "plan: kind");
    if (gso->tuoi_kind == TUO_KIND_NONE) {
        STATE(mode, count == 1 && gso->tuoi_hdr_len == 0, "plan: the packet as it is");
        STATE(mode, !gso->tuoi_fill_csum || (uint64_t)gso->tuoi_csum_start + gso->tuoi_csum_offset + 2 <= gso->tuoi_pkt_len,
              "plan: checksum field");
        return;
    }
    STATE(mode, !gso->tuoi_fill_csum, "plan: nothing to complete");
    STATE(mode, gso->tuoi_hdr_len <= TUO_HEADER_MAX && (uint64_t)gso->tuoi_hdr_len + payload_len == gso->tuoi_pkt_len, "plan: lengths");
    STATE(mode, around_off == 0 || (around_off >= 14 && around_off <= 30), "plan: ip_off");
    STATE(mode, !tunnel || gso->tuoi_outer_kind == TUO_KIND_UDP4 || gso->tuoi_outer_kind == TUO_KIND_UDP6, "plan: outer kind");
    STATE(mode, gso->tuoi_outer_csum <= tunnel, "plan: outer checksum");
    if (tunnel) {
        STATE(mode, gso->tuoi_outer_l4_off <= TUO_HEADER_MAX && gso->tuoi_outer_l4_off >= around_off + (around4 ? 20 : 40), "plan: outer_l4_off");
        STATE(mode, gso->tuoi_ip_off <= TUO_HEADER_MAX && gso->tuoi_ip_off >= gso->tuoi_outer_l4_off + 8, "plan: inner ip_off");
    }
    STATE(mode, gso->tuoi_l4_off <= TUO_HEADER_MAX && gso->tuoi_l4_off >= gso->tuoi_ip_off + (ip4 ? 20 : 40), "plan: l4_off");
    STATE(mode, gso->tuoi_hdr_len >= gso->tuoi_l4_off + (tcp ? 20 : 8), "plan: hdr_len");
    STATE(mode, size < payload_len ? size >= 1 && size < 65535 : size == payload_len && count == 1 && tunnel, "plan: segment size");
    STATE(mode, gso->tuoi_hdr_len - around_off + size <= (around4 ? 65535 : 65575), "plan: a segment is an IP packet");
    if (counted && size < payload_len) {
        STATE(mode, (uint64_t)count * size >= payload_len && (uint64_t)(count - 1) * size < payload_len, "plan: so many segments");
    }
}

/* tuoi_gso_plan_headers, proved by gso_headers. May assume: the packet is readable up to its payload; a hop-by-hop header of jumbo_len bytes
   that goes is behind an IPv6 header. */
static void headers_needs(int mode, const tuo_gso *gso, const tuo_pkt_info *info, uint32_t jumbo_len) {
    STATE(mode, jumbo_len <= TUO_HEADER_MAX && info->payload_off <= TUO_HEADER_MAX - jumbo_len, "headers: not too long");
    STATE(mode, readable(gso->tuoi_pkt, jumbo_len + info->payload_off), "headers: readable");
    STATE(mode, jumbo_len == 0 || (jumbo_len >= 8 && info->ip_off + 40 <= info->payload_off), "headers: an IPv6 header in front of what goes");
}

void headers_contract(tuo_gso *gso, const tuo_pkt_info *info, uint32_t jumbo_len) {
    uint8_t hdr[TUO_HEADER_MAX]; /* anything */
    headers_needs(PROVED, gso, info, jumbo_len);
    gso->tuoi_pkt += jumbo_len;
    gso->tuoi_left_out = (uint16_t)jumbo_len;
    memcpy(gso->tuoi_hdr, hdr, sizeof hdr);
}

static void prove_headers(uint32_t ip_off, uint32_t payload_off, uint32_t jumbo_len) {
    const uint8_t *const pkt = any_bytes(jumbo_len + payload_off);
    tuo_pkt_info info;
    tuo_gso gso;
    info.ip_off = ip_off;
    info.payload_off = payload_off;
    gso.tuoi_pkt = pkt;
    headers_needs(PROVED, &gso, &info, jumbo_len);
    tuoi_gso_plan_headers(&gso, &info, jumbo_len);
    PROVE(gso.tuoi_pkt == pkt + jumbo_len && gso.tuoi_left_out == jumbo_len, "headers: what goes is left out");
    if (jumbo_len) PROVE(gso.tuoi_hdr[ip_off + 6] == pkt[ip_off + 40], "headers: the next header takes its place");
}

/* PROOF gso_headers unwind=2 models=64,32 cover=tuoi_gso_plan_headers */
void gso_headers(void) {
    prove_headers(0, 40, 0);
    prove_headers(30, 256, 0);
    prove_headers(0, 60, 8);
    prove_headers(14, 62, 16);
    prove_headers(30, 240, 16);
}

static void prove_init(uint16_t gso_size, int counted) {
    const size_t len = any_up_to(65535 + 14);
    const uint8_t *const pkt = any_bytes(len);
    const unsigned flags = nondet_unsigned() & 0xFFu;
    tuo_vnet_hdr vnet;
    tuo_gso gso, before;
    tuo_result result;
    if (gso_size) vnet.gso_size = gso_size;
    if (counted) ASSUME(!(vnet.gso_type & 0x60)); /* in a tunnel it is the same count, and a proof too large */
    before = gso;
    result = tuo_gso_init(&gso, pkt, len, &vnet, flags);
    if (result != TUO_OK) {
        PROVE(result < 0, "a negative result");
        PROVE_SAME(gso, before, "untouched on an error");
        return;
    }
    plan_promises(PROVED, &gso, len, counted);
    PROVE(gso.tuoi_next_idx == 0 && tuo_gso_remaining(&gso) == tuo_gso_count(&gso) && gso.tuoi_pkt == pkt + gso.tuoi_left_out, "nothing was handed out");
}

/* PROOF gso_plan unwind=2 models=64 calls=tuoi_parse:parse_contract,tuoi_find_jumbo:jumbo_contract,
         tuoi_gso_plan_headers:headers_contract,tuoi_scalar:scalar_contract,tuoi_sums_of:sums_of_contract
         cover=tuo_gso_init,tuoi_gso_plan_cut,tuoi_gso_plan_whole,tuoi_gso_verify,tuoi_gso_check_jumbo,tuoi_gso_write_lengths,
         tuoi_gso_plan_sums,tuoi_gso_pseudo_sum,tuoi_gso_plan_outer,tuoi_vnet_is_single */
void gso_plan(void) { prove_init(0, 0); }
/* PROOF gso_plan_counted unwind=2 models=64 calls=tuoi_parse:parse_contract,tuoi_find_jumbo:jumbo_contract,
         tuoi_gso_plan_headers:headers_contract,tuoi_scalar:scalar_contract,tuoi_sums_of:sums_of_contract cover=tuoi_gso_plan_cut */
void gso_plan_counted(void) { prove_init(1448, 1); }

/* Any plan, at any segment. size 0: any, with payloads up to 255 bytes. */
static uint8_t *any_plan(tuo_gso *gso, uint32_t size) {
    const size_t len = any_up_to(65535 + 14);
    uint8_t *const pkt = any_bytes(len);
    if (size) gso->tuoi_gso_size = size;
    else ASSUME(gso->tuoi_payload_len <= 255);
    plan_promises(ASSUMED, gso, len, 1);
    ASSUME(gso->tuoi_next_idx < gso->tuoi_seg_count);
    gso->tuoi_pkt = pkt + gso->tuoi_left_out;
    gso->tuoi_sums = &contract_sums;
    return pkt;
}

/* Segment idx has len payload bytes. */
static void prove_piece(const tuo_gso *gso, uint32_t idx, size_t len) {
    const uint32_t off = idx * gso->tuoi_gso_size;
    const int last = idx + 1 == gso->tuoi_seg_count;
    PROVE((len >= 1 || gso->tuoi_payload_len == 0) && len <= gso->tuoi_gso_size && off + len <= gso->tuoi_payload_len, "within the payload");
    PROVE(len == gso->tuoi_gso_size || last, "only the last is short");
    PROVE(!last || off + len == gso->tuoi_payload_len, "the last one ends where the payload does");
}

/* Its header. The lengths of a full segment are in the template: gso_lengths. */
static void prove_header(const tuo_gso *gso, uint32_t idx, const uint8_t *hdr, size_t len) {
    const uint8_t *const ip = hdr + gso->tuoi_ip_off, *const l4 = hdr + gso->tuoi_l4_off;
    const uint32_t ip_len = (uint32_t)len + gso->tuoi_hdr_len - gso->tuoi_ip_off, off = idx * gso->tuoi_gso_size;
    const int last = idx + 1 == gso->tuoi_seg_count, full = len == gso->tuoi_gso_size;
    const uint8_t flags = gso->tuoi_tcp_flags;
    if (gso->tuoi_kind == TUO_KIND_TCP4 || gso->tuoi_kind == TUO_KIND_UDP4) {
        PROVE(full || be16(ip + 2) == ip_len, "IPv4 total length of a short segment");
        PROVE(be16(ip + 4) == (uint16_t)(gso->tuoi_ip_id + idx), "IPv4 ID");
    } else {
        PROVE(full || be16(ip + 4) == ip_len - 40, "IPv6 payload length of a short segment");
    }
    if (gso->tuoi_outer_kind != TUO_KIND_NONE) {
        const uint8_t *const outer_ip = hdr + gso->tuoi_outer_ip_off, *const udp = hdr + gso->tuoi_outer_l4_off;
        const uint32_t outer_len = (uint32_t)len + gso->tuoi_hdr_len - gso->tuoi_outer_ip_off;
        if (gso->tuoi_outer_kind == TUO_KIND_UDP4) {
            PROVE(full || be16(outer_ip + 2) == outer_len, "outer IPv4 total length of a short segment");
            PROVE(be16(outer_ip + 4) == (uint16_t)(gso->tuoi_outer_ip_id + idx), "outer IPv4 ID");
        } else {
            PROVE(full || be16(outer_ip + 4) == outer_len - 40, "outer IPv6 payload length of a short segment");
        }
        PROVE(full || be16(udp + 4) == len + gso->tuoi_hdr_len - gso->tuoi_outer_l4_off, "outer UDP length of a short segment");
        PROVE(full || !gso->tuoi_outer_csum || be16(udp + 6) != 0, "outer UDP checksum is not 0");
    }
    if (gso->tuoi_kind == TUO_KIND_TCP4 || gso->tuoi_kind == TUO_KIND_TCP6) {
        PROVE(be32(l4 + 4) == (uint32_t)(gso->tuoi_seq + off), "sequence number");
        PROVE(l4[13] == (flags & ~(idx ? 128 : 0) & ~(last ? 0 : 9)), "CWR on the first, FIN and PSH on the last only");
    } else {
        PROVE(full || be16(l4 + 4) == len + 8 + (gso->tuoi_hdr_len - gso->tuoi_l4_off - 8), "UDP length of a short segment");
        PROVE(gso->tuoi_pseudo || be16(l4 + 6) != 0, "UDP checksum is not 0");
    }
}

/* The writers. l4_off 0: any shape, otherwise this one, in a header of exactly that size. outer: in a tunnel of that kind. */
static void prove_stamp(uint8_t outer, uint8_t kind, uint32_t ip_off, uint32_t l4_off, uint32_t hdr_len) {
    tuo_gso gso;
    tuoi_gso_piece piece;
    uint8_t *hdr;
    gso.tuoi_gso_size = 1448;
    if (l4_off) gso.tuoi_outer_kind = TUO_KIND_NONE;
    if (outer) {
        gso.tuoi_outer_kind = outer;
        gso.tuoi_outer_ip_off = 14;
        gso.tuoi_outer_l4_off = outer == TUO_KIND_UDP4 ? 34 : 54;
    }
    if (l4_off) {
        gso.tuoi_kind = kind;
        gso.tuoi_ip_off = ip_off;
        gso.tuoi_l4_off = l4_off;
        gso.tuoi_hdr_len = hdr_len;
    }
    plan_promises(ASSUMED, &gso, 65549, 0);
    ASSUME(gso.tuoi_kind != TUO_KIND_NONE && gso.tuoi_next_idx < gso.tuoi_seg_count && gso.tuoi_seg_count <= 65536);
    ASSUME(piece.off == gso.tuoi_next_idx * gso.tuoi_gso_size && piece.len >= 1 && piece.len <= gso.tuoi_gso_size);
    ASSUME(piece.len == gso.tuoi_gso_size || gso.tuoi_next_idx + 1 == gso.tuoi_seg_count);
    hdr = any_bytes(gso.tuoi_hdr_len);
    tuoi_gso_stamp(&gso, hdr, &piece, nondet_u64() >> 1);
    prove_header(&gso, gso.tuoi_next_idx, hdr, piece.len);
}

/* PROOF gso_stamp unwind=2 models=64,be calls=tuoi_scalar:scalar_contract cover=tuoi_gso_stamp,tuoi_gso_stamp_tcp,
         tuoi_gso_stamp_ip4,tuoi_gso_write_lengths,tuoi_cut_flags */
void gso_stamp(void) {
    prove_stamp(0, TUO_KIND_TCP4, 0, 20, 40);
    prove_stamp(0, TUO_KIND_TCP6, 14, 54, 86);
    prove_stamp(0, TUO_KIND_UDP4, 18, 62, 70);
    prove_stamp(0, TUO_KIND_UDP6, 0, 48, 56);
}
/* VXLAN on TAP, and an odd number of bytes in between.
   PROOF gso_stamp_tunnel unwind=2 models=64,be calls=tuoi_scalar:scalar_contract cover=tuoi_gso_stamp,tuoi_gso_stamp_ip4,
         tuoi_gso_write_short,tuoi_gso_write_outer_csum */
void gso_stamp_tunnel(void) {
    prove_stamp(TUO_KIND_UDP4, TUO_KIND_TCP4, 64, 84, 104);
    prove_stamp(TUO_KIND_UDP6, TUO_KIND_UDP6, 81, 121, 129);
}
/* PROOF gso_stamp_shapes deep unwind=2 models=64 calls=tuoi_scalar:scalar_contract cover=tuoi_gso_stamp */
void gso_stamp_shapes(void) { prove_stamp(0, 0, 0, 0, 0); }

static void prove_copy(uint32_t len) {
    uint8_t src[TUO_HEADER_MAX], dst[TUO_HEADER_MAX];
    const size_t at = any_up_to(TUO_HEADER_MAX - 1);
    const uint8_t old = dst[at];
    tuoi_copy_header(dst, src, len);
    PROVE(dst[at] == (at < len ? src[at] : old), "every byte of the header is copied, and no other");
}

/* PROOF gso_header unwind=17 models=64 cover=tuoi_copy_header */
void gso_header(void) {
    prove_copy(28);
    prove_copy(40);
    prove_copy(66);
    prove_copy(255);
    prove_copy(256);
}

/* PROOF gso_lengths unwind=2 models=64 cover=tuoi_gso_write_lengths */
void gso_lengths(void) {
    tuo_gso gso;
    const uint32_t len = nondet_u32();
    uint8_t *hdr;
    plan_promises(ASSUMED, &gso, 65549, 0);
    ASSUME(gso.tuoi_kind != TUO_KIND_NONE && len <= gso.tuoi_gso_size);
    hdr = any_bytes(gso.tuoi_hdr_len);
    tuoi_gso_write_lengths(&gso, hdr, len);
    if (gso.tuoi_kind == TUO_KIND_TCP4 || gso.tuoi_kind == TUO_KIND_UDP4) {
        PROVE(be16(hdr + gso.tuoi_ip_off + 2) == gso.tuoi_hdr_len - gso.tuoi_ip_off + len, "IPv4 total length");
    } else {
        PROVE(be16(hdr + gso.tuoi_ip_off + 4) == gso.tuoi_hdr_len - gso.tuoi_ip_off - 40 + len, "IPv6 payload length");
    }
    if (gso.tuoi_kind == TUO_KIND_UDP4 || gso.tuoi_kind == TUO_KIND_UDP6) {
        PROVE(be16(hdr + gso.tuoi_l4_off + 4) == gso.tuoi_hdr_len - gso.tuoi_l4_off + len, "UDP length");
    }
}

void copy_header_contract(uint8_t *dst, const uint8_t *src, uint32_t len) {
    PROVE(len >= 28 && len <= TUO_HEADER_MAX && readable(src, len) && writable(dst, len), "a header is copied within its place");
    dst[any_up_to(len - 1)] = nondet_u8();
}

static uint32_t stamped_len; /* payload bytes of the segment whose header was stamped last */
void stamp_contract(const tuo_gso *gso, uint8_t *hdr, const tuoi_gso_piece *piece, uint64_t payload_raw) {
    PROVE(writable(hdr, gso->tuoi_hdr_len), "a header is stamped within its place");
    PROVE(piece->off == gso->tuoi_next_idx * gso->tuoi_gso_size, "the offset is that of the segment");
    PROVE(payload_raw >> 63 == 0, "sums do not wrap");
    prove_piece(gso, gso->tuoi_next_idx, piece->len);
    hdr[any_up_to(gso->tuoi_hdr_len - 1)] = nondet_u8();
    stamped_len = (uint32_t)piece->len;
}

static void prove_next(uint32_t size) {
    tuo_gso gso;
    tuo_segment segment;
    uint8_t *const pkt = any_plan(&gso, size);
    uint8_t *const header = nondet_int() ? any_bytes(gso.tuoi_kind == TUO_KIND_NONE ? 2 : gso.tuoi_hdr_len) : NULL;
    const uint32_t idx = gso.tuoi_next_idx;
    PROVE(gso.tuoi_pkt == pkt + gso.tuoi_left_out, "plan: where the packet is");
    PROVE(tuo_gso_next(&gso, header, &segment) == TUO_OK, "a segment is left");
    PROVE(gso.tuoi_next_idx == idx + 1, "one less");
    PROVE(readable(segment.iov[0].base, segment.iov[0].len), "header is readable");
    if (gso.tuoi_kind == TUO_KIND_NONE) {
        PROVE(segment.len == gso.tuoi_pkt_len && segment.iov_count == (gso.tuoi_fill_csum ? 3 : 1), "all of the packet");
        if (gso.tuoi_fill_csum) PROVE(segment.iov[0].len + 2 + segment.iov[2].len == segment.len && segment.iov[1].len == 2, "in three pieces");
        return;
    }
    PROVE(segment.iov_count == 2 && segment.iov[0].len == gso.tuoi_hdr_len && segment.iov[1].len == segment.payload_len, "header and payload");
    PROVE(segment.iov[0].base == (header ? header : gso.tuoi_hdr), "header where the caller wants it");
    PROVE((const uint8_t *)segment.iov[1].base == gso.tuoi_pkt + gso.tuoi_hdr_len + (size_t)idx * gso.tuoi_gso_size, "payload borrowed from its place");
    PROVE(readable(segment.iov[1].base, segment.iov[1].len) && segment.len == gso.tuoi_hdr_len + segment.payload_len, "payload is readable");
    PROVE(segment.payload_len == stamped_len, "the header is that of the payload");
}

/* PROOF gso_next unwind=2 models=64 calls=tuoi_scalar:scalar_contract,tuoi_gso_stamp:stamp_contract,
         tuoi_copy_header:copy_header_contract cover=tuo_gso_next,tuoi_gso_next_whole,tuoi_gso_piece_next */
void gso_next(void) { prove_next(1448); }
/* PROOF gso_next_sizes deep unwind=2 models=64 calls=tuoi_scalar:scalar_contract,tuoi_gso_stamp:stamp_contract,
         tuoi_copy_header:copy_header_contract cover=tuo_gso_next */
void gso_next_sizes(void) { prove_next(0); }

/* PROOF gso_in_place unwind=2 models=64 calls=tuoi_scalar:scalar_contract,tuoi_gso_stamp:stamp_contract,
         tuoi_copy_header:copy_header_contract cover=tuo_gso_next_in_place,tuoi_gso_fill_csum */
void gso_in_place(void) {
    tuo_gso gso;
    tuo_buf segment;
    uint8_t *const pkt = any_plan(&gso, 1448);
    const uint32_t idx = gso.tuoi_next_idx;
    PROVE(tuo_gso_next_in_place(&gso, pkt, &segment) == TUO_OK && gso.tuoi_next_idx == idx + 1, "a segment is left");
    PROVE(segment.capacity == segment.len && readable(segment.data, segment.len), "a piece of the packet");
    if (gso.tuoi_kind == TUO_KIND_NONE) {
        PROVE(segment.data == gso.tuoi_pkt && segment.len == gso.tuoi_pkt_len, "the packet itself");
    } else {
        PROVE(segment.data == gso.tuoi_pkt + (size_t)idx * gso.tuoi_gso_size, "in front of its payload");
        PROVE(segment.len == gso.tuoi_hdr_len + stamped_len, "header and payload");
    }
}

/* One buffer, whatever its capacity and headroom.
   PROOF gso_split deep unwind=2 objects=10 models=64 calls=tuoi_scalar:scalar_contract,tuoi_gso_stamp:stamp_contract,
         tuoi_copy_header:copy_header_contract cover=tuo_gso_split,tuoi_gso_write */
void gso_split(void) {
    tuo_gso gso;
    tuo_buf buf;
    void *bufs[1];
    const size_t offset = nondet_size(), at = nondet_size();
    const size_t count = nondet_int() ? 1 : 0;
    size_t written;
    uint32_t idx;
    uint8_t old = 0;
    tuo_result result;
    (void)any_plan(&gso, 1448);
    idx = gso.tuoi_next_idx;
    bufs[0] = &buf;
    buf.capacity = any_up_to(70000);
    buf.data = any_bytes(buf.capacity);
    buf.len = any_up_to(70000);
    ASSUME(buf.len <= buf.capacity);
    if (at < buf.capacity) old = buf.data[at];
    result = tuo_gso_split(&gso, NULL, bufs, count, offset, &written);
    PROVE(written <= count && gso.tuoi_next_idx == idx + written, "written says how many");
    PROVE(result == (written < count ? TUO_E_NOSPACE : gso.tuoi_next_idx == gso.tuoi_seg_count ? TUO_OK : TUO_MORE), "result");
    if (written == 0) {
        if (at < buf.capacity) PROVE(buf.data[at] == old, "nothing written without room");
        return;
    }
    PROVE(buf.len >= offset && buf.len <= buf.capacity, "within the buffer");
    if (at < offset || (at >= buf.len && at < buf.capacity)) PROVE(buf.data[at] == old, "headroom and what is behind are untouched");
    if (gso.tuoi_kind == TUO_KIND_NONE) {
        PROVE(buf.len == offset + gso.tuoi_pkt_len, "all of the packet");
    } else {
        PROVE(buf.len == offset + gso.tuoi_hdr_len + stamped_len, "header and payload");
    }
}
