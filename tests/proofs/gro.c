/* Coalescing: decide and apply on two packets, whatever they are. The first is held as an item, the second comes in. Proved:
   gro_classify   a candidate is what the rest may assume (candidate_promises); packets of every length
   gro_decide     if decide says that they join, their headers are equal in every byte but those that splitting makes up again (lengths, ID,
                  sequence number, checksums, FIN and PSH), the bytes are adjacent, and nothing exceeds the configuration; for every
                  configuration. That is "lossless", one header byte of any choice at a time
   gro_apply      after append or prepend: the chain holds both packets, in order, and the item's sums are those of both
   gro_fast    the fast path recognises only what the slow path would take for the same (same flow, candidate, equal headers)
   gro_emit       a superpacket of two: pieces within the packets, lengths add up, metadata fits
   The parser, sums and (in gro_decide) long comparisons are replaced by contracts. Assumed of the two: they are of the same flow, their
   checksums are right. Bounds: one item of one packet; headers of the shapes listed, the same length in both packets (options that differ in
   length are told apart by the data offset, a compared byte). Caps on segments and pieces beyond two, more items, barriers and drains of many
   packets are left to tests and fuzzing. */
#define TUO_MEMCMP compare_contract
int compare_contract(const void *a, const void *b, unsigned long len);
#include "proof.h"

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

/* memcmp: 0 means that every byte is equal. Of these, the one `chosen` in both packets is looked at here; leaving the others open allows
   more behaviours, not fewer. A result other than 0 may come at any time. Ethernet headers are compared in full (gro_fast). */
static const uint8_t *chosen_a, *chosen_b;
int compare_contract(const void *a, const void *b, unsigned long len) {
    const int differ = nondet_int();
    const uint8_t *const x = a, *const y = b;
    PROVE(readable(a, len) && readable(b, len), "compared bytes are readable");
    if (len == 14) return memcmp(a, b, 14);
    if (!differ && __CPROVER_same_object(x, chosen_a) && __CPROVER_same_object(y, chosen_b) && chosen_a >= x && chosen_a - x < (long)len &&
        chosen_b - y == chosen_a - x) {
        ASSUME(*chosen_a == *chosen_b);
    }
    return differ;
}

static void any_desc(tuo_gro_desc *desc) {
    tuo_gro_desc d;
    ASSUME(tuoi_gro_desc_ok(&d));
    *desc = d;
}

/* A packet that tuoi_classify takes for a candidate. */
static void candidate_promises(int mode, const tuo_gro_desc *desc, size_t len, const tuoi_facts *facts) {
    const int tcp = facts->shape.kind == TUO_KIND_TCP4 || facts->shape.kind == TUO_KIND_TCP6, ip4 = facts->shape.kind == TUO_KIND_TCP4 || facts->shape.kind == TUO_KIND_UDP4;
    const uint32_t l4_hdr_len = facts->shape.hdr_len - facts->shape.l4_off;
    STATE(mode, facts->shape.kind >= TUO_KIND_TCP4 && facts->shape.kind <= TUO_KIND_UDP6 && facts->ip_version == (ip4 ? 4 : 6), "candidate: kind");
    STATE(mode, facts->l4_proto == (tcp ? 6 : 17), "candidate: protocol");
    STATE(mode, facts->shape.ip_off <= 30 && facts->shape.hdr_len <= TUO_HEADER_MAX, "candidate: headers are not too long");
    STATE(mode, ip4 ? facts->shape.l4_off == facts->shape.ip_off + 20 : facts->shape.l4_off >= facts->shape.ip_off + 40, "candidate: no IPv4 options");
    STATE(mode, tcp ? l4_hdr_len >= 20 && l4_hdr_len <= 60 : l4_hdr_len == 8, "candidate: L4 header");
    STATE(mode, facts->payload_len >= 1 && (uint64_t)facts->shape.hdr_len + facts->payload_len == len, "candidate: payload to the end");
    STATE(mode, facts->total_len == len - facts->shape.ip_off && facts->total_len <= desc->max_bytes, "candidate: length");
    STATE(mode, facts->df <= 1 && (ip4 || !facts->df), "candidate: DF is yes or no");
    STATE(mode, !tcp || !(facts->tcp_flags & (2 | 4 | 32 | 128)), "candidate: no SYN, RST, URG, CWR");
}

/* PROOF gro_classify unwind=17 models=64,32 calls=tuoi_parse:parse_contract cover=tuoi_classify,tuoi_classify_ip,
         tuoi_classify_parsed,tuoi_classify_l4,tuoi_parse_plain,tuoi_allowed */
void gro_classify(void) {
    const size_t len = any_up_to(65535 + 14 + 16 + 50);
    const uint8_t *const pkt = any_bytes(len);
    const uint32_t ip_off = nondet_int() ? 14 : 0;
    tuo_gro_desc desc;
    tuoi_facts facts;
    tuo_verdict verdict;
    any_desc(&desc);
    verdict = tuoi_classify(ip_off, pkt, len, &facts);
    if (verdict == TUO_V_HELD) verdict = tuoi_allowed(&desc, pkt, &facts);
    PROVE(verdict == TUO_V_HELD || (verdict >= TUO_V_NOT_IP && verdict <= TUO_V_CSUM_ALIAS), "a verdict about one packet");
    if (verdict == TUO_V_HELD) candidate_promises(PROVED, &desc, len, &facts);
}

static tuo_gro gro;

/* Where headers are. Their sizes are given, so that every offset is known and the solver has to look at contents only. */
typedef struct shape {
    uint8_t kind;
    uint32_t ip_off, l4_off, hdr_len;
} shape;
static const shape shapes[4] = {
    { TUO_KIND_TCP4, 0, 20, 52 }, { TUO_KIND_TCP6, 14, 54, 74 }, { TUO_KIND_UDP4, 18, 38, 46 }, { TUO_KIND_UDP6, 0, 48, 56 },
};

/* A candidate of that shape, with an object of its own: of its headers only, or of all. */
static void any_candidate(tuoi_packet *pkt, const shape *of, int whole) {
    pkt->facts.shape.kind = of->kind;
    pkt->facts.shape.ip_off = of->ip_off;
    pkt->facts.shape.l4_off = of->l4_off;
    pkt->facts.shape.hdr_len = of->hdr_len;
    candidate_promises(ASSUMED, &gro.desc, pkt->len, &pkt->facts);
    pkt->bytes = any_bytes(whole ? pkt->len : of->hdr_len);
    pkt->collect = NULL;
    ASSUME(pkt->csum == TUOI_CSUM_RIGHT); /* verified, or trusted */
}

/* Two candidates with headers of that shape, the first of them held. */
static void two_candidates(tuoi_packet *a, tuoi_packet *b, tuoi_item *items, const shape *of, int whole) {
    any_desc(&gro.desc);
    any_candidate(a, of, whole);
    any_candidate(b, of, whole);
    a->record = 0;
    b->record = 1;
    gro.items = items;
    gro.item_count = 0;
    gro.barriers_set = 0;
    tuoi_item_start(&gro, a, TUOI_NONE);
}

/* The bits of a header byte that all segments of a split superpacket get from the first packet, as far as decide compares them. The identity
   of the flow (addresses, ports, flow label, tags, extension headers) is compared before, by tuoi_same_flow. */
static uint8_t kept_bits(const tuoi_facts *facts, size_t at) {
    const size_t ip = at - facts->shape.ip_off, l4 = at - facts->shape.l4_off;
    if (at < facts->shape.ip_off) return 0;
    if (at < facts->shape.l4_off && facts->ip_version == 4) return ip == 1 || ip == 8 ? 0xFF : ip == 6 ? 0x40 : 0;
    if (at < facts->shape.l4_off) return ip == 7 ? 0xFF : ip == 0 ? 0x0F : ip == 1 ? 0xF0 : 0;
    if (facts->l4_proto != 6) return 0;
    return (l4 >= 8 && l4 < 13) || l4 == 14 || l4 == 15 || l4 >= 18 ? 0xFF : l4 == 13 ? 0xF6 : 0;
}

static void prove_decide(const shape *of) {
    tuoi_packet a, b;
    tuoi_item item;
    const size_t at = any_up_to(of->hdr_len - 1);
    tuoi_position position;
    uint32_t payload_len;
    two_candidates(&a, &b, &item, of, 0);
    chosen_a = a.bytes + at;
    chosen_b = b.bytes + at;
    position = tuoi_gro_decide(&gro, 0, &b);
    PROVE(position.item == 0, "the only item");
    if (position.verdict != TUO_V_APPENDED && position.verdict != TUO_V_PREPENDED) {
        PROVE(position.verdict > TUO_V_CSUM_ALIAS && position.verdict < TUO_V_PAIR_CLOSED, "a verdict about two packets");
        return;
    }
    payload_len = a.facts.payload_len + b.facts.payload_len;
    PROVE(a.facts.shape.hdr_len - a.facts.shape.ip_off + payload_len <= gro.desc.max_bytes, "not more bytes than allowed");
    PROVE(a.facts.shape.hdr_len == b.facts.shape.hdr_len, "headers are as long");
    PROVE(((a.bytes[at] ^ b.bytes[at]) & kept_bits(&a.facts, at)) == 0, "kept bytes are equal");
    if (a.facts.l4_proto == 6) {
        const tuoi_packet *const first = position.verdict == TUO_V_APPENDED ? &a : &b, *const second = first == &a ? &b : &a;
        PROVE(second->facts.seq == (uint32_t)(first->facts.seq + first->facts.payload_len), "adjacent");
        PROVE(second->facts.payload_len <= first->facts.payload_len && first->facts.payload_len >= 8, "only the last may be short");
        PROVE(!(first->facts.tcp_flags & 9), "FIN and PSH on the last only");
        PROVE(position.verdict == TUO_V_APPENDED || !(gro.desc.disable_prepend || gro.desc.strict_kernel), "prepending is allowed");
    } else {
        PROVE(position.verdict == TUO_V_APPENDED && b.facts.payload_len <= a.facts.payload_len, "UDP: in order, only the last may be short");
    }
    if (a.facts.ip_version == 4 && gro.desc.ip_id < (b.facts.df ? TUO_IP_ID_ANY_DF : TUO_IP_ID_ANY)) {
        const uint16_t step = (uint16_t)(position.verdict == TUO_V_APPENDED ? b.facts.ip_id - a.facts.ip_id : a.facts.ip_id - b.facts.ip_id);
        PROVE(step == 1 || (step == 0 && b.facts.df && gro.desc.ip_id == TUO_IP_ID_DEFAULT), "IPv4 ID: the next, or constant under DF");
    }
}

/* PROOF gro_decide unwind=17 objects=10 models=64 cover=tuoi_gro_decide,tuoi_headers_differ,tuoi_layer_differs,tuoi_decide_append,
         tuoi_decide_prepend,tuoi_position_tcp,tuoi_ip_id_fits,tuoi_limits */
void gro_decide(void) {
    tuoi_masks_build(&gro.masks);
    switch (nondet_int()) {
        case 0: prove_decide(&shapes[0]); break;
        case 1: prove_decide(&shapes[1]); break;
        case 2: prove_decide(&shapes[2]); break;
        default: prove_decide(&shapes[3]); break;
    }
}

/* PROOF gro_apply unwind=2 models=64,32 cover=tuoi_item_start,tuoi_item_append,tuoi_item_prepend,tuoi_closes_after */
void gro_apply(void) {
    tuoi_packet a, b;
    tuoi_item item;
    tuoi_record records[2];
    const int front = nondet_int() != 0;
    two_candidates(&a, &b, &item, &shapes[any_up_to(3)], 0);
    ASSUME(a.facts.payload_len + b.facts.payload_len <= 65535);
    PROVE(item.head == 0 && item.tail == 0 && item.first == 0 && item.seg_count == 1 && item.gso_size == a.facts.payload_len, "an item of one");
    records[0].next = records[1].next = TUOI_NONE;
    records[0].item = 0;
    if (front) {
        ASSUME(b.facts.payload_len >= a.facts.payload_len);
        tuoi_item_prepend(records, &item, &b);
        PROVE(item.head == 1 && item.tail == 0 && records[1].next == 0 && records[0].next == TUOI_NONE, "chain: b, a");
        PROVE(item.bytes == b.bytes && item.seq == b.facts.seq && item.ip_id == b.facts.ip_id && item.capacity == b.capacity, "b is the head");
        PROVE(item.gso_size == b.facts.payload_len && item.collect == NULL, "segments are as long as b");
        PROVE(item.closed != TUO_V_HELD || a.facts.payload_len == b.facts.payload_len, "closed behind a short tail");
        PROVE(item.closed != TUO_V_HELD || a.facts.l4_proto != 6 || !(a.facts.tcp_flags & 9), "closed behind FIN and PSH");
    } else {
        ASSUME(b.facts.payload_len <= a.facts.payload_len);
        tuoi_item_append(records, &item, &b.facts, 1);
        PROVE(item.head == 0 && item.tail == 1 && records[0].next == 1 && records[1].next == TUOI_NONE, "chain: a, b");
        PROVE(item.bytes == a.bytes && item.seq == a.facts.seq && item.gso_size == a.facts.payload_len, "a is the head");
        PROVE(item.closed != TUO_V_HELD || a.facts.payload_len == b.facts.payload_len, "closed behind a short tail");
        PROVE(item.closed != TUO_V_HELD || b.facts.l4_proto != 6 || !(b.facts.tcp_flags & 9), "closed behind FIN and PSH");
    }
    PROVE(item.seg_count == 2 && item.payload_len == a.facts.payload_len + b.facts.payload_len, "sums of both");
    PROVE(records[0].item == 0 && records[1].item == TUOI_ABSORBED && item.first == 0, "leaves where a arrived");
    PROVE(item.id_mode == (a.facts.ip_id == b.facts.ip_id ? TUOI_ID_CONSTANT : TUOI_ID_COUNTS), "the second decides about IDs");
}

/* Recognised by the fast path: the slow path says the same. IPv4, then IPv6.
   PROOF gro_fast deep unwind=17 objects=12 models=64 calls=tuoi_parse:parse_contract cover=tuoi_gro_recognise,tuoi_equal_masked */
static void prove_fast(int ip4, int tcp, uint32_t ip_off, uint32_t l4_hdr_len) {
    const uint32_t l4_off = ip_off + (ip4 ? 20 : 40), hdr_len = l4_off + l4_hdr_len;
    tuoi_packet a, b;
    tuoi_item item;
    tuoi_facts fast, slow;
    ASSUME(a.len <= 1600 && b.len <= 1600 && a.len > hdr_len);
    a.bytes = any_bytes(a.len);
    b.bytes = any_bytes(b.len);
    any_desc(&gro.desc);
    gro.plain_ip_off = (uint8_t)ip_off;
    if (!tuoi_parse_plain(a.bytes, a.len, ip_off, ip4, &a.facts)) return;
    ASSUME(a.facts.shape.kind == (ip4 ? (tcp ? TUO_KIND_TCP4 : TUO_KIND_UDP4) : (tcp ? TUO_KIND_TCP6 : TUO_KIND_UDP6)));
    ASSUME(a.facts.shape.hdr_len == hdr_len && tuoi_classify_l4(a.bytes, &a.facts) == TUO_V_HELD);
    item.bytes = a.bytes;
    item.plain = 1;
    item.seq = a.facts.seq;
    item.payload_len = a.facts.payload_len;
    item.shape.ip_off = ip_off;
    item.shape.l4_off = l4_off;
    item.shape.hdr_len = hdr_len;
    item.shape.kind = a.facts.shape.kind;
    ASSUME(b.len >= l4_off + 20); /* shorter UDP is no shape of tuoi_parse_plain; the slow path parses it (parse_meaning) */
    chosen_a = a.bytes;
    chosen_b = b.bytes;
    if (!tuoi_gro_recognise(&gro, &item, &b, ip4, &fast)) return;
    PROVE(tuoi_parse_plain(b.bytes, b.len, ip_off, ip4, &slow), "the slow path parses it");
    PROVE(tuoi_classify_l4(b.bytes, &slow) == TUO_V_HELD, "a candidate");
    PROVE(slow.shape.kind == a.facts.shape.kind && slow.shape.hdr_len == hdr_len, "same shape");
    same_facts(&fast, &slow);
    PROVE(tuoi_load32(a.bytes + l4_off) == tuoi_load32(b.bytes + l4_off), "same ports");
    if (tcp) PROVE(slow.seq == (uint32_t)(item.seq + item.payload_len), "adjacent");
    PROVE(tuoi_layer_differs(&gro.masks, ip4 ? TUOI_LAYER_IP4 : TUOI_LAYER_IP6, a.bytes + ip_off, b.bytes + ip_off) == TUO_V_HELD, "IP header");
    if (tcp) PROVE(tuoi_layer_differs(&gro.masks, TUOI_LAYER_TCP, a.bytes + l4_off, b.bytes + l4_off) == TUO_V_HELD, "TCP header");
}

void gro_fast(void) {
    tuoi_masks_build(&gro.masks);
    switch (nondet_int()) {
        case 0: prove_fast(1, 1, 0, 32); break;
        case 1: prove_fast(0, 1, 14, 20); break;
        case 2: prove_fast(1, 0, 14, 8); break;
        default: prove_fast(0, 0, 0, 8); break;
    }
}

static void prove_emit(const shape *of, uint8_t vnet_len) {
    tuoi_packet a, b;
    tuoi_item item;
    tuoi_record records[2];
    tuo_iov iovs[3];
    void *users[2];
    tuo_superpacket sp;
    uint32_t ip_len;
    two_candidates(&a, &b, &item, of, 1);
    ASSUME(a.facts.payload_len >= b.facts.payload_len);
    ip_len = a.facts.shape.hdr_len - a.facts.shape.ip_off + a.facts.payload_len + b.facts.payload_len;
    ASSUME(ip_len <= gro.desc.max_bytes);
    records[0].iov[1].base = a.bytes;
    records[0].iov[1].len = a.len;
    records[1].iov[1].base = b.bytes;
    records[1].iov[1].len = b.len;
    records[0].user = &a;
    records[1].user = &b;
    records[0].next = records[1].next = TUOI_NONE;
    tuoi_item_append(records, &item, &b.facts, 1);
    gro.records = records;
    gro.iovs = iovs;
    gro.users = users;
    gro.iov_count = gro.user_count = 0;
    gro.vnet_len = vnet_len;
    tuoi_gro_emit_item(&gro, &item, &sp);
    PROVE(sp.iov_count == 3 && sp.iov == iovs && sp.packet_count == 2 && sp.users[0] == &a && sp.users[1] == &b, "header and two payloads");
    PROVE(iovs[0].base == sp.tuoi_head && iovs[0].len == gro.vnet_len + a.facts.shape.hdr_len, "all headers");
    PROVE(iovs[1].base == a.bytes + a.facts.shape.hdr_len && iovs[1].len == a.facts.payload_len, "payload of a");
    PROVE(iovs[2].base == b.bytes + b.facts.shape.hdr_len && iovs[2].len == b.facts.payload_len, "payload of b");
    PROVE(sp.len == iovs[0].len + iovs[1].len + iovs[2].len && sp.vnet_len == gro.vnet_len, "lengths");
    PROVE(sp.vnet.gso_size == a.facts.payload_len && sp.vnet.csum_start == a.facts.shape.l4_off && sp.vnet.hdr_len == a.facts.shape.hdr_len, "metadata");
    PROVE(sp.vnet.num_buffers == (gro.desc.virtio_guest != 0), "num_buffers for guests");
    PROVE(be16(sp.tuoi_head + gro.vnet_len + a.facts.shape.ip_off + (a.facts.ip_version == 4 ? 2 : 4)) == ip_len - (a.facts.ip_version == 4 ? 0 : 40),
          "IP length");
}

/* PROOF gro_emit unwind=3 objects=10 models=64 calls=tuoi_scalar:scalar_contract cover=tuoi_gro_emit_item,tuoi_gro_emit_chain,
         tuoi_gro_account,tuoi_account,tuoi_vnet_write */
void gro_emit(void) {
    switch (nondet_int()) {
        case 0: prove_emit(&shapes[0], 0); break;
        case 1: prove_emit(&shapes[1], 10); break;
        case 2: prove_emit(&shapes[2], 12); break;
        default: prove_emit(&shapes[3], 24); break;
    }
}
