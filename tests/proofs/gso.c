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
   gso_stamp: four of them). gso_header: the header lengths listed. */
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
    const uint32_t count = gso->tuo__seg_count, size = gso->tuo__gso_size, payload_len = gso->tuo__payload_len;
    const int ip4 = gso->tuo__kind == TUO_KIND_TCP4 || gso->tuo__kind == TUO_KIND_UDP4;
    const int tcp = gso->tuo__kind == TUO_KIND_TCP4 || gso->tuo__kind == TUO_KIND_TCP6;
    STATE(mode, count >= 1 && gso->tuo__pkt_len <= len && gso->tuo__pseudo <= 1 && gso->tuo__fill_csum <= 1, "plan: within the packet");
    STATE(mode, gso->tuo__kind <= TUO_KIND_UDP6, "plan: kind");
    if (gso->tuo__kind == TUO_KIND_NONE) {
        STATE(mode, count == 1 && gso->tuo__hdr_len == 0 && gso->tuo__pkt_len == len, "plan: the packet as it is");
        STATE(mode, !gso->tuo__fill_csum || (uint64_t)gso->tuo__csum_start + gso->tuo__csum_offset + 2 <= len, "plan: checksum field");
        return;
    }
    STATE(mode, !gso->tuo__fill_csum, "plan: nothing to complete");
    STATE(mode, gso->tuo__hdr_len <= TUO_HEADER_MAX && (uint64_t)gso->tuo__hdr_len + payload_len == gso->tuo__pkt_len, "plan: lengths");
    STATE(mode, gso->tuo__ip_off == 0 || (gso->tuo__ip_off >= 14 && gso->tuo__ip_off <= 30), "plan: ip_off");
    STATE(mode, gso->tuo__l4_off <= TUO_HEADER_MAX && gso->tuo__l4_off >= gso->tuo__ip_off + (ip4 ? 20 : 40), "plan: l4_off");
    STATE(mode, gso->tuo__hdr_len >= gso->tuo__l4_off + (tcp ? 20 : 8), "plan: hdr_len");
    STATE(mode, size >= 1 && size <= payload_len && size < 65535, "plan: segment size");
    STATE(mode, gso->tuo__hdr_len - gso->tuo__ip_off + size <= (ip4 ? 65535 : 65575), "plan: a segment is an IP packet");
    if (counted) {
        STATE(mode, (uint64_t)count * size >= payload_len && (uint64_t)(count - 1) * size < payload_len, "plan: so many segments");
    }
}

static void prove_init(uint16_t gso_size, int counted) {
    const size_t len = any_up_to(65535 + 14);
    const uint8_t *const pkt = any_bytes(len);
    const unsigned flags = nondet_unsigned() & 0xFFu;
    tuo_vnet_hdr vnet;
    tuo_gso gso, before;
    tuo_result result;
    if (gso_size) vnet.gso_size = gso_size;
    before = gso;
    result = tuo_gso_init(&gso, pkt, len, &vnet, flags);
    if (result != TUO_OK) {
        PROVE(result < 0, "a negative result");
        PROVE_SAME(gso, before, "untouched on an error");
        return;
    }
    plan_promises(PROVED, &gso, len, counted);
    PROVE(gso.tuo__next_idx == 0 && tuo_gso_remaining(&gso) == tuo_gso_count(&gso) && gso.tuo__pkt == pkt, "nothing was handed out");
}

/* PROOF gso_plan unwind=2 models=64 calls=tuo__parse:parse_contract,tuo__scalar:scalar_contract,tuo__sums_of:sums_of_contract
         cover=tuo_gso_init,tuo__gso_plan_cut,tuo__gso_plan_whole,tuo__gso_verify,tuo__gso_write_lengths,tuo__gso_plan_sums,
         tuo__gso_pseudo_sum */
void gso_plan(void) { prove_init(0, 0); }
/* PROOF gso_plan_counted unwind=2 models=64 calls=tuo__parse:parse_contract,tuo__scalar:scalar_contract,
         tuo__sums_of:sums_of_contract cover=tuo__gso_plan_cut */
void gso_plan_counted(void) { prove_init(1448, 1); }

/* Any plan, at any segment. size 0: any, with payloads up to 255 bytes. */
static uint8_t *any_plan(tuo_gso *gso, uint32_t size) {
    const size_t len = any_up_to(65535 + 14);
    uint8_t *const pkt = any_bytes(len);
    if (size) gso->tuo__gso_size = size;
    else ASSUME(gso->tuo__payload_len <= 255);
    plan_promises(ASSUMED, gso, len, 1);
    ASSUME(gso->tuo__next_idx < gso->tuo__seg_count);
    gso->tuo__pkt = pkt;
    gso->tuo__sums = &contract_sums;
    return pkt;
}

/* Segment idx has len payload bytes. */
static void prove_piece(const tuo_gso *gso, uint32_t idx, size_t len) {
    const uint32_t off = idx * gso->tuo__gso_size;
    const int last = idx + 1 == gso->tuo__seg_count;
    PROVE(len >= 1 && len <= gso->tuo__gso_size && off + len <= gso->tuo__payload_len, "within the payload");
    PROVE(len == gso->tuo__gso_size || last, "only the last is short");
    PROVE(!last || off + len == gso->tuo__payload_len, "the last one ends where the payload does");
}

/* Its header. The lengths of a full segment are in the template: gso_lengths. */
static void prove_header(const tuo_gso *gso, uint32_t idx, const uint8_t *hdr, size_t len) {
    const uint8_t *const ip = hdr + gso->tuo__ip_off, *const l4 = hdr + gso->tuo__l4_off;
    const uint32_t ip_len = (uint32_t)len + gso->tuo__hdr_len - gso->tuo__ip_off, off = idx * gso->tuo__gso_size;
    const int last = idx + 1 == gso->tuo__seg_count, full = len == gso->tuo__gso_size;
    const uint8_t flags = gso->tuo__tcp_flags;
    if (gso->tuo__kind == TUO_KIND_TCP4 || gso->tuo__kind == TUO_KIND_UDP4) {
        PROVE(full || be16(ip + 2) == ip_len, "IPv4 total length of a short segment");
        PROVE(be16(ip + 4) == (uint16_t)(gso->tuo__ip_id + idx), "IPv4 ID");
    } else {
        PROVE(full || be16(ip + 4) == ip_len - 40, "IPv6 payload length of a short segment");
    }
    if (gso->tuo__kind == TUO_KIND_TCP4 || gso->tuo__kind == TUO_KIND_TCP6) {
        PROVE(be32(l4 + 4) == (uint32_t)(gso->tuo__seq + off), "sequence number");
        PROVE(l4[13] == (flags & ~(idx ? 128 : 0) & ~(last ? 0 : 9)), "CWR on the first, FIN and PSH on the last only");
    } else {
        PROVE(full || be16(l4 + 4) == len + 8 + (gso->tuo__hdr_len - gso->tuo__l4_off - 8), "UDP length of a short segment");
        PROVE(gso->tuo__pseudo || be16(l4 + 6) != 0, "UDP checksum is not 0");
    }
}

/* The writers. l4_off 0: any shape, otherwise this one, in a header of exactly that size. */
static void prove_stamp(uint8_t kind, uint32_t ip_off, uint32_t l4_off, uint32_t hdr_len) {
    tuo_gso gso;
    tuo__gso_piece piece;
    uint8_t *hdr;
    gso.tuo__gso_size = 1448;
    if (l4_off) {
        gso.tuo__kind = kind;
        gso.tuo__ip_off = ip_off;
        gso.tuo__l4_off = l4_off;
        gso.tuo__hdr_len = hdr_len;
    }
    plan_promises(ASSUMED, &gso, 65549, 0);
    ASSUME(gso.tuo__kind != TUO_KIND_NONE && gso.tuo__next_idx < gso.tuo__seg_count && gso.tuo__seg_count <= 65536);
    ASSUME(piece.off == gso.tuo__next_idx * gso.tuo__gso_size && piece.len >= 1 && piece.len <= gso.tuo__gso_size);
    ASSUME(piece.len == gso.tuo__gso_size || gso.tuo__next_idx + 1 == gso.tuo__seg_count);
    hdr = any_bytes(gso.tuo__hdr_len);
    tuo__gso_stamp(&gso, hdr, &piece, nondet_u64() >> 1);
    prove_header(&gso, gso.tuo__next_idx, hdr, piece.len);
}

/* PROOF gso_stamp unwind=2 models=64,be calls=tuo__scalar:scalar_contract cover=tuo__gso_stamp,tuo__gso_stamp_tcp,
         tuo__gso_stamp_ip4,tuo__gso_write_lengths,tuo__cut_flags */
void gso_stamp(void) {
    prove_stamp(TUO_KIND_TCP4, 0, 20, 40);
    prove_stamp(TUO_KIND_TCP6, 14, 54, 86);
    prove_stamp(TUO_KIND_UDP4, 18, 62, 70);
    prove_stamp(TUO_KIND_UDP6, 0, 48, 56);
}
/* PROOF gso_stamp_shapes deep unwind=2 models=64 calls=tuo__scalar:scalar_contract cover=tuo__gso_stamp */
void gso_stamp_shapes(void) { prove_stamp(0, 0, 0, 0); }

static void prove_copy(uint32_t len) {
    uint8_t src[TUO_HEADER_MAX], dst[TUO_HEADER_MAX];
    const size_t at = any_up_to(TUO_HEADER_MAX - 1);
    const uint8_t old = dst[at];
    tuo__copy_header(dst, src, len);
    PROVE(dst[at] == (at < len ? src[at] : old), "every byte of the header is copied, and no other");
}

/* PROOF gso_header unwind=17 models=64 cover=tuo__copy_header */
void gso_header(void) {
    prove_copy(28);
    prove_copy(40);
    prove_copy(66);
    prove_copy(255);
    prove_copy(256);
}

/* PROOF gso_lengths unwind=2 models=64 cover=tuo__gso_write_lengths */
void gso_lengths(void) {
    tuo_gso gso;
    const uint32_t len = nondet_u32();
    uint8_t *hdr;
    plan_promises(ASSUMED, &gso, 65549, 0);
    ASSUME(gso.tuo__kind != TUO_KIND_NONE && len <= gso.tuo__gso_size);
    hdr = any_bytes(gso.tuo__hdr_len);
    tuo__gso_write_lengths(&gso, hdr, len);
    if (gso.tuo__kind == TUO_KIND_TCP4 || gso.tuo__kind == TUO_KIND_UDP4) {
        PROVE(be16(hdr + gso.tuo__ip_off + 2) == gso.tuo__hdr_len - gso.tuo__ip_off + len, "IPv4 total length");
    } else {
        PROVE(be16(hdr + gso.tuo__ip_off + 4) == gso.tuo__hdr_len - gso.tuo__ip_off - 40 + len, "IPv6 payload length");
    }
    if (gso.tuo__kind == TUO_KIND_UDP4 || gso.tuo__kind == TUO_KIND_UDP6) {
        PROVE(be16(hdr + gso.tuo__l4_off + 4) == gso.tuo__hdr_len - gso.tuo__l4_off + len, "UDP length");
    }
}

void copy_header_contract(uint8_t *dst, const uint8_t *src, uint32_t len) {
    PROVE(len >= 28 && len <= TUO_HEADER_MAX && readable(src, len) && writable(dst, len), "a header is copied within its place");
    dst[any_up_to(len - 1)] = nondet_u8();
}

static uint32_t stamped_len; /* payload bytes of the segment whose header was stamped last */
void stamp_contract(const tuo_gso *gso, uint8_t *hdr, const tuo__gso_piece *piece, uint64_t payload_raw) {
    PROVE(writable(hdr, gso->tuo__hdr_len), "a header is stamped within its place");
    PROVE(piece->off == gso->tuo__next_idx * gso->tuo__gso_size, "the offset is that of the segment");
    PROVE(payload_raw >> 63 == 0, "sums do not wrap");
    prove_piece(gso, gso->tuo__next_idx, piece->len);
    hdr[any_up_to(gso->tuo__hdr_len - 1)] = nondet_u8();
    stamped_len = (uint32_t)piece->len;
}

static void prove_next(uint32_t size) {
    tuo_gso gso;
    tuo_segment segment;
    const uint8_t *const pkt = any_plan(&gso, size);
    uint8_t *const header = nondet_int() ? any_bytes(gso.tuo__kind == TUO_KIND_NONE ? 2 : gso.tuo__hdr_len) : NULL;
    const uint32_t idx = gso.tuo__next_idx;
    PROVE(tuo_gso_next(&gso, header, &segment) == TUO_OK, "a segment is left");
    PROVE(gso.tuo__next_idx == idx + 1, "one less");
    PROVE(readable(segment.iov[0].base, segment.iov[0].len), "header is readable");
    if (gso.tuo__kind == TUO_KIND_NONE) {
        PROVE(segment.len == gso.tuo__pkt_len && segment.iov_count == (gso.tuo__fill_csum ? 3 : 1), "all of the packet");
        if (gso.tuo__fill_csum) PROVE(segment.iov[0].len + 2 + segment.iov[2].len == segment.len && segment.iov[1].len == 2, "in three pieces");
        return;
    }
    PROVE(segment.iov_count == 2 && segment.iov[0].len == gso.tuo__hdr_len && segment.iov[1].len == segment.payload_len, "header and payload");
    PROVE(segment.iov[0].base == (header ? header : gso.tuo__hdr), "header where the caller wants it");
    PROVE((const uint8_t *)segment.iov[1].base == pkt + gso.tuo__hdr_len + (size_t)idx * gso.tuo__gso_size, "payload borrowed from its place");
    PROVE(readable(segment.iov[1].base, segment.iov[1].len) && segment.len == gso.tuo__hdr_len + segment.payload_len, "payload is readable");
    PROVE(segment.payload_len == stamped_len, "the header is that of the payload");
}

/* PROOF gso_next unwind=2 models=64 calls=tuo__scalar:scalar_contract,tuo__gso_stamp:stamp_contract,
         tuo__copy_header:copy_header_contract cover=tuo_gso_next,tuo__gso_next_whole,tuo__gso_piece_next */
void gso_next(void) { prove_next(1448); }
/* PROOF gso_next_sizes deep unwind=2 models=64 calls=tuo__scalar:scalar_contract,tuo__gso_stamp:stamp_contract,
         tuo__copy_header:copy_header_contract cover=tuo_gso_next */
void gso_next_sizes(void) { prove_next(0); }

/* PROOF gso_in_place unwind=2 models=64 calls=tuo__scalar:scalar_contract,tuo__gso_stamp:stamp_contract,
         tuo__copy_header:copy_header_contract cover=tuo_gso_next_in_place,tuo__gso_fill_csum */
void gso_in_place(void) {
    tuo_gso gso;
    tuo_buf segment;
    uint8_t *const pkt = any_plan(&gso, 1448);
    const uint32_t idx = gso.tuo__next_idx;
    PROVE(tuo_gso_next_in_place(&gso, pkt, &segment) == TUO_OK && gso.tuo__next_idx == idx + 1, "a segment is left");
    PROVE(segment.cap == segment.len && readable(segment.data, segment.len), "a piece of the packet");
    if (gso.tuo__kind == TUO_KIND_NONE) {
        PROVE(segment.data == pkt && segment.len == gso.tuo__pkt_len, "the packet itself");
    } else {
        PROVE(segment.data == pkt + (size_t)idx * gso.tuo__gso_size, "in front of its payload");
        PROVE(segment.len == gso.tuo__hdr_len + stamped_len, "header and payload");
    }
}

/* One buffer, whatever its capacity and headroom.
   PROOF gso_split deep unwind=2 objects=10 models=64 calls=tuo__scalar:scalar_contract,tuo__gso_stamp:stamp_contract,
         tuo__copy_header:copy_header_contract cover=tuo_gso_split,tuo__gso_write */
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
    idx = gso.tuo__next_idx;
    bufs[0] = &buf;
    buf.cap = any_up_to(70000);
    buf.data = any_bytes(buf.cap);
    buf.len = any_up_to(70000);
    ASSUME(buf.len <= buf.cap);
    if (at < buf.cap) old = buf.data[at];
    result = tuo_gso_split(&gso, NULL, bufs, count, offset, &written);
    PROVE(written <= count && gso.tuo__next_idx == idx + written, "written says how many");
    PROVE(result == (written < count ? TUO_E_NOSPACE : gso.tuo__next_idx == gso.tuo__seg_count ? TUO_OK : TUO_MORE), "result");
    if (written == 0) {
        if (at < buf.cap) PROVE(buf.data[at] == old, "nothing written without room");
        return;
    }
    PROVE(buf.len >= offset && buf.len <= buf.cap, "within the buffer");
    if (at < offset || (at >= buf.len && at < buf.cap)) PROVE(buf.data[at] == old, "headroom and what is behind are untouched");
    if (gso.tuo__kind == TUO_KIND_NONE) {
        PROVE(buf.len == offset + gso.tuo__pkt_len, "all of the packet");
    } else {
        PROVE(buf.len == offset + gso.tuo__hdr_len + stamped_len, "header and payload");
    }
}
