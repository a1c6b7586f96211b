/* Coalescing: decide and apply on two packets, whatever they are. The first is held as an item, the second comes in. Proved:
   gro_classify   a candidate is what the rest may assume (candidate_promises); packets of every length
   gro_decide     if decide says that they join, their headers are equal in every byte but those that splitting makes up again (lengths, ID,
                  sequence number, checksums, FIN and PSH), the bytes are adjacent, and nothing exceeds the configuration; for every
                  configuration. That is "lossless", one header byte of any choice at a time
   gro_apply      after an append: the chain holds both packets, in order, and the item's sums are those of both; the limits of an item are those
                  of the configuration
   gro_join       two items of a list, which may join: what joins is what a superpacket may hold, for every configuration; afterwards the
                  chain and the list are whole, and one place is given up, that of the later one
   gro_leave      two items leave in sequence order, in their two places, whichever arrived first
   gro_fast       the fast path appends only what the slow path would append to the same item, and the item is
                  the same afterwards; packets of every length and content
   gro_guess      a guess leads to an item that is held: after a drain, a barrier or a reset every older guess is refused, for every max_packets
                  and every guess_base, also where it starts over
   gro_offered    a packet of a TCP flow with one or two items is appended or opens an item: each item stays what item_promises says, the fast
                  path may append to the newest item only and only while it is open, and a guess leads to no other
   gro_emit       a superpacket of two: pieces within the packets, lengths add up, metadata fits
   The parser, sums and (in gro_decide) long comparisons are replaced by contracts. Assumed of the two, but in gro_fast: they
   are of the same flow, their checksums are right. Bounds: one item of one packet; headers of the shapes listed, the same length in both packets (options that differ in
   length are told apart by the data offset, a compared byte). Caps on segments and pieces beyond two, more items, barriers and drains of many
   packets are left to tests and fuzzing. */
#define TUO_MEMCMP compare_contract
int compare_contract(const void *a, const void *b, unsigned long len);
#include "proof.h"

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

/* memcmp: 0 means that every byte is equal. Of these, the one `chosen` in both packets is looked at here; leaving the others open allows
   more behaviours, not fewer. A result other than 0 may come at any time. Ethernet headers and IPv6 addresses are compared in full (gro_fast). */
static const uint8_t *chosen_a, *chosen_b;
int compare_contract(const void *a, const void *b, unsigned long len) {
    const int differ = nondet_int();
    const int swapped = __CPROVER_same_object(a, chosen_b);
    const uint8_t *const x = swapped ? b : a, *const y = swapped ? a : b;
    PROVE(readable(a, len) && readable(b, len), "compared bytes are readable");
    if (len == 14) return tuoi_load64(a) != tuoi_load64(b) || tuoi_load64(x + 6) != tuoi_load64(y + 6);
    if (len == 32)
        return tuoi_load64(a) != tuoi_load64(b) || tuoi_load64(x + 8) != tuoi_load64(y + 8) || tuoi_load64(x + 16) != tuoi_load64(y + 16) ||
               tuoi_load64(x + 24) != tuoi_load64(y + 24);
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

/* PROOF gro_classify unwind=17 models=64,32 calls=tuoi_parse_readable:parse_readable_contract,tuoi_find_jumbo:jumbo_contract
         cover=tuoi_classify,tuoi_classify_ip,
         tuoi_classify_parsed,tuoi_classify_l4,tuoi_parse_plain,tuoi_allowed */
void gro_classify(void) {
    const int merge_zero_csum4 = nondet_int() != 0;
    const size_t len = any_up_to(65535 + 14 + 16 + 50);
    const uint8_t *const pkt = any_bytes(len);
    const uint32_t ip_off = nondet_int() ? 14 : 0;
    tuo_gro_desc desc;
    tuoi_facts facts;
    tuo_verdict verdict;
    any_desc(&desc);
    verdict = tuoi_classify(ip_off, pkt, len, &facts, merge_zero_csum4);
    if (verdict == TUO_V_HELD) {
        const tuoi_switches switches = tuoi_switches_of(&desc);
        verdict = tuoi_allowed(&desc, &switches, pkt, &facts);
    }
    PROVE(verdict == TUO_V_HELD || (verdict >= TUO_V_NOT_IP && verdict <= TUO_V_CSUM_ALIAS), "a verdict about one packet");
    if (verdict == TUO_V_HELD) candidate_promises(PROVED, &desc, len, &facts);
}

static tuo_gro gro;

/* Any configuration, and no packet yet. */
static void any_gro(tuoi_item *items, tuoi_record *records) {
    tuo_gro_desc desc;
    any_desc(&desc);
    tuoi_gro_configure(&gro, &desc);
    gro.items = items;
    gro.records = records;
    gro.item_count = gro.record_count = 0;
    gro.barriers_set = 0;
}

/* What an item may grow to. */
static void limit_promises(int mode, const tuoi_item *item, uint32_t capacity) {
    STATE(mode, item->max_len <= gro.desc.max_bytes + item->shape.ip_off && item->max_len <= capacity, "limits: bytes");
    STATE(mode, item->max_segs <= (tuoi_is_tcp(item->shape.kind) ? gro.desc.max_segs : gro.desc.max_udp_segs), "limits: segments");
    STATE(mode, capacity != TUOI_GATHERED || item->max_segs <= gro.desc.max_frags, "limits: pieces");
}

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
    pkt->facts.tunnel = TUO_KIND_NONE;
    pkt->more_pieces = 0;
    candidate_promises(ASSUMED, &gro.desc, pkt->len, &pkt->facts);
    pkt->bytes = any_bytes(whole ? pkt->len : of->hdr_len);
    pkt->collect = NULL;
    if (pkt->facts.ip_version == 4) ASSUME(pkt->facts.df == (pkt->bytes[of->ip_off + 6] >> 6 & 1));
    pkt->csum = TUOI_CSUM_RIGHT; /* verified, or trusted */
}

/* Two candidates with headers of that shape, the first of them held. */
static void two_candidates(tuoi_packet *a, tuoi_packet *b, tuoi_item *items, tuoi_record *records, const shape *of, int whole) {
    any_gro(items, records);
    any_candidate(a, of, whole);
    any_candidate(b, of, whole);
    a->record = 0;
    b->record = 1;
    records[0].next = records[1].next = TUOI_NONE;
    records[0].list = records[1].list = TUOI_NONE;
    tuoi_item_fill(&gro, a, 0);
    gro.item_count = 1;
}

/* The bits of a header byte that all segments of a split superpacket get from the first packet, as far as decide compares them. The identity
   of the flow (addresses, ports, tags) is compared before, by tuoi_same_flow. */
static uint8_t kept_bits(const tuoi_facts *facts, size_t at) {
    const size_t ip = at - facts->shape.ip_off, l4 = at - facts->shape.l4_off;
    if (at < facts->shape.ip_off) return 0;
    if (at < facts->shape.l4_off && facts->ip_version == 4) return ip == 1 || ip == 8 ? 0xFF : ip == 6 ? 0x40 : 0;
    if (at < facts->shape.l4_off) return ip == 0 ? 0x0F : (ip >= 1 && ip <= 3) || ip == 7 || ip >= 40 ? 0xFF : 0;
    if (facts->l4_proto != 6) return 0;
    return (l4 >= 8 && l4 < 13) || l4 == 14 || l4 == 15 || l4 >= 18 ? 0xFF : l4 == 13 ? 0xF6 : 0;
}

/* What the library decides of b, which finds the item of a: the same calls. */
static tuo_verdict decide(const tuoi_packet *b, tuoi_item *items) {
    const tuoi_position position = tuoi_gro_position(&gro, 0, b);
    tuo_verdict verdict = position.verdict;
    PROVE(position.check_count == 1, "one item is looked at");
    PROVE(!position.touches_lower || position.lower == 0, "below: the only item");
    PROVE(!position.touches_upper || position.upper == 0, "above: the only item");
    PROVE(!(position.touches_lower && position.touches_upper), "not both");
    if (position.touches_lower) {
        verdict = tuoi_headers_differ(&gro.masks, &items[0], b->bytes, &b->facts.shape);
        return verdict == TUO_V_HELD ? tuoi_decide_append(&gro.desc, &items[0], &b->facts) : verdict;
    }
    if (position.touches_upper && tuoi_opens_in_place(&gro.desc, b->facts.shape.kind, verdict)) {
        tuoi_item_fill(&gro, b, 1);
        verdict = tuoi_headers_differ(&gro.masks, &items[1], items[0].bytes, &items[0].shape);
        if (verdict == TUO_V_HELD) verdict = tuoi_decide_join(&gro.desc, &items[1], &items[0]);
        return verdict == TUO_V_HELD ? TUO_V_PREPENDED : verdict;
    }
    return verdict;
}

static void prove_decide(const shape *of) {
    tuoi_packet a, b;
    tuoi_item items[2];
    tuoi_record records[2];
    const size_t at = any_up_to(of->hdr_len - 1);
    tuo_verdict verdict;
    uint32_t payload_len;
    two_candidates(&a, &b, items, records, of, 0);
    chosen_a = a.bytes + at;
    chosen_b = b.bytes + at;
    verdict = decide(&b, items);
    if (verdict != TUO_V_APPENDED && verdict != TUO_V_PREPENDED) {
        PROVE(verdict > TUO_V_CSUM_ALIAS && verdict < TUO_V_PAIR_CLOSED, "a verdict about two packets");
        return;
    }
    payload_len = a.facts.payload_len + b.facts.payload_len;
    PROVE(a.facts.shape.hdr_len - a.facts.shape.ip_off + payload_len <= gro.desc.max_bytes, "not more bytes than allowed");
    PROVE(a.facts.shape.hdr_len == b.facts.shape.hdr_len, "headers are as long");
    PROVE(((a.bytes[at] ^ b.bytes[at]) & kept_bits(&a.facts, at)) == 0, "kept bytes are equal");
    if (a.facts.l4_proto == 6) {
        const tuoi_packet *const first = verdict == TUO_V_APPENDED ? &a : &b, *const second = first == &a ? &b : &a;
        PROVE(second->facts.seq == (uint32_t)(first->facts.seq + first->facts.payload_len), "adjacent");
        PROVE(second->facts.payload_len <= first->facts.payload_len && first->facts.payload_len >= 8, "only the last may be short");
        PROVE(!(first->facts.tcp_flags & 9), "FIN and PSH on the last only");
        PROVE(verdict == TUO_V_APPENDED || !(gro.desc.disable_prepend || gro.desc.strict_kernel), "prepending is allowed");
    } else {
        PROVE(verdict == TUO_V_APPENDED && b.facts.payload_len <= a.facts.payload_len, "UDP: in order, only the last may be short");
    }
    if (a.facts.ip_version == 4 && gro.desc.ip_id < (b.facts.df ? TUO_IP_ID_ANY_DF : TUO_IP_ID_ANY)) {
        const uint16_t step = (uint16_t)(verdict == TUO_V_APPENDED ? b.facts.ip_id - a.facts.ip_id : a.facts.ip_id - b.facts.ip_id);
        PROVE(step == 1 || (step == 0 && b.facts.df && gro.desc.ip_id == TUO_IP_ID_DEFAULT), "IPv4 ID: the next, or constant under DF");
    }
}

/* PROOF gro_decide unwind=17 objects=10 models=64 cover=tuoi_gro_position,tuoi_headers_differ,tuoi_name_difference,
         tuoi_layer_differs,tuoi_same_ext,tuoi_decide_append,tuoi_decide_join,tuoi_position_tcp,tuoi_ip_ids_fit,tuoi_limits,
         tuoi_opens_in_place */
void gro_decide(void) {
    tuoi_masks_build(&gro.masks);
    switch (nondet_int()) {
        case 0: prove_decide(&shapes[0]); break;
        case 1: prove_decide(&shapes[1]); break;
        case 2: prove_decide(&shapes[2]); break;
        default: prove_decide(&shapes[3]); break;
    }
}

/* PROOF gro_apply unwind=3 models=64,32 cover=tuoi_item_fill,tuoi_item_append,tuoi_closes_after,tuoi_fast_len */
void gro_apply(void) {
    tuoi_packet a, b;
    tuoi_item item;
    tuoi_record records[2];
    two_candidates(&a, &b, &item, records, &shapes[any_up_to(3)], 0);
    limit_promises(PROVED, &item, a.capacity);
    ASSUME(a.facts.payload_len + b.facts.payload_len <= 65535);
    PROVE(item.head == 0 && item.tail == 0 && item.first == 0 && item.seg_count == 1 && item.gso_size == a.facts.payload_len, "an item of one");
    PROVE(item.list == 0 && item.leaves == 0 && item.open_count == 1 && item.older == TUOI_NONE && item.newer == TUOI_NONE, "a list of one");
    PROVE(item.fast_len == (item.closed != TUO_V_HELD || !a.facts.plain ? 0 : a.facts.shape.hdr_len + a.facts.payload_len), "open: for the fast path");
    ASSUME(b.facts.payload_len <= a.facts.payload_len);
    tuoi_item_append(records, &item, 1, b.facts.payload_len, b.facts.ip_id);
    item.closed = (uint8_t)tuoi_closes_after(&b.facts, item.gso_size, 0);
    PROVE(item.head == 0 && item.tail == 1 && records[0].next == 1 && records[1].next == TUOI_NONE, "chain: a, b");
    PROVE(item.bytes == a.bytes && item.seq == a.facts.seq && item.gso_size == a.facts.payload_len, "a is the head");
    PROVE(item.closed != TUO_V_HELD || a.facts.payload_len == b.facts.payload_len, "closed behind a short tail");
    PROVE(item.closed != TUO_V_HELD || b.facts.l4_proto != 6 || !(b.facts.tcp_flags & 9), "closed behind FIN and PSH");
    PROVE(item.seg_count == 2 && item.payload_len == a.facts.payload_len + b.facts.payload_len, "sums of both");
    PROVE(records[0].list == 0 && records[1].list == TUOI_ABSORBED && item.first == 0, "leaves where a arrived");
    PROVE(item.id_mode == (a.facts.ip_id == b.facts.ip_id ? TUOI_ID_CONSTANT : TUOI_ID_COUNTS), "the second decides about IDs");
}

/* What holds of every TCP item. Bounds: three segments before, six after. psh: the last segment has PSH or FIN. */
static void item_promises(int mode, const tuoi_item *item, int psh) {
    const uint32_t n = item->seg_count, g = item->gso_size, most = n > 7 ? 7 : n;
    const uint32_t full = (most > 1 ? g : 0) + (most > 2 ? g : 0) + (most > 3 ? g : 0) + (most > 4 ? g : 0) + (most > 5 ? g : 0) +
                          (most > 6 ? g : 0); /* the product, as a sum: easier to solve */
    const uint32_t last = item->payload_len - full;
    STATE(mode, item->seg_count >= 1 && item->gso_size >= 1 && item->payload_len > full && last <= item->gso_size, "item: only the last is short");
    STATE(mode, item->seg_count == 1 ? item->id_mode == TUOI_ID_UNDECIDED && item->head == item->tail
                                     : item->gso_size >= 8 && (item->id_mode == TUOI_ID_COUNTS || item->id_mode == TUOI_ID_CONSTANT), "item: several");
    STATE(mode, item->closed != TUO_V_HELD || (!psh && last == item->gso_size && item->gso_size >= 8), "item: open if more may follow");
    STATE(mode, !psh || item->closed == TUO_V_AFTER_PSH_FIN, "item: PSH and FIN close");
}

/* An item of one or several; its records are number and number + 1. */
static void any_item(tuoi_item *item, uint32_t number, const shape *of, int psh) {
    tuoi_item any;
    *item = any;
    item->tunnel = TUO_KIND_NONE;
    item->shape.kind = of->kind;
    item->shape.ip_off = of->ip_off;
    item->shape.l4_off = of->l4_off;
    item->shape.hdr_len = of->hdr_len;
    item->bytes = any_bytes(of->hdr_len);
    item->collect = NULL;
    item->head = number;
    item->list = 0;
    ASSUME(item->seg_count <= 3 && item->payload_len <= 65535);
    ASSUME(item->tail == number || item->tail == number + 1);
    ASSUME(item->first == item->head || item->first == item->tail);
    item_promises(ASSUMED, item, psh);
}

/* Four items in a list, in sequence order; the second and third touch. Their records: two each. The list began with any of them. */
static void prove_join(const shape *of) {
    tuoi_item items[4], lower, upper;
    tuoi_record records[8];
    const int psh = nondet_int() != 0, df = nondet_int() != 0;
    const uint32_t list = (uint32_t)any_up_to(3), bytes_off = of->hdr_len - of->ip_off, capacity = nondet_u32();
    uint32_t i, places = 0;
    any_gro(items, records);
    for (i = 0; i < 4; i++) {
        any_item(&items[i], 2 * i, of, i == 2 ? psh : 0);
        items[i].list = list;
        items[i].older = i == 0 ? TUOI_NONE : i - 1;
        items[i].newer = i == 3 ? TUOI_NONE : i + 1;
        if (i < 3) items[i].fast_len = 0; /* only the newest has one (gro_offered) */
    }
    items[list].open_count = 4;
    items[list].leaves = 0;
    for (i = 0; i < 8; i++) records[i].list = TUOI_ABSORBED;
    for (i = 0; i < 4; i++) records[items[i].first].list = list;
    limit_promises(ASSUMED, &items[1], capacity);
    if (of->kind == TUO_KIND_TCP4) ASSUME(((items[1].bytes[of->ip_off + 6] & 0x40) != 0) == df);
    lower = items[1];
    upper = items[2];
    if (tuoi_decide_join(&gro.desc, &items[1], &items[2]) != TUO_V_HELD) return;
    PROVE(bytes_off + lower.payload_len + upper.payload_len <= gro.desc.max_bytes, "not more bytes than allowed");
    PROVE(lower.seg_count + upper.seg_count <= gro.desc.max_segs, "not more segments than allowed");
    PROVE(capacity != TUOI_GATHERED || lower.seg_count + upper.seg_count <= gro.desc.max_frags, "not more pieces than allowed");
    PROVE((uint64_t)of->hdr_len + lower.payload_len + upper.payload_len <= capacity, "not more than the buffer takes");
    if (of->kind == TUO_KIND_TCP4 && gro.desc.ip_id < (df ? TUO_IP_ID_ANY_DF : TUO_IP_ID_ANY)) {
        const int counts = upper.ip_id == (uint16_t)(lower.ip_id + lower.seg_count) && lower.id_mode != TUOI_ID_CONSTANT &&
                           upper.id_mode != TUOI_ID_CONSTANT;
        const int constant = upper.ip_id == lower.ip_id && lower.id_mode != TUOI_ID_COUNTS && upper.id_mode != TUOI_ID_COUNTS;
        PROVE(counts || (constant && df && gro.desc.ip_id == TUO_IP_ID_DEFAULT), "IPv4 IDs go on");
        tuoi_item_join(&gro, &items[1], &items[2]);
        PROVE(items[1].id_mode == (counts ? TUOI_ID_COUNTS : TUOI_ID_CONSTANT), "and are known to");
    } else {
        tuoi_item_join(&gro, &items[1], &items[2]);
    }
    item_promises(PROVED, &items[1], psh);
    PROVE(records[lower.tail].next == upper.head && items[1].head == lower.head && items[1].tail == upper.tail, "one chain");
    PROVE(items[1].payload_len == lower.payload_len + upper.payload_len && items[1].seg_count == lower.seg_count + upper.seg_count, "sums of both");
    PROVE(items[1].bytes == lower.bytes && items[1].seq == lower.seq && items[1].gso_size == lower.gso_size, "the lower one's head");
    PROVE(items[1].older == 0 && items[1].newer == 3 && items[0].newer == 1 && items[3].older == 1, "a list of three");
    PROVE(items[list].open_count == 3 && items[list].leaves == 0, "one item less is open");
    PROVE(items[1].fast_len == 0 && items[2].fast_len == 0, "neither is the newest");
    for (i = 0; i < 8; i++) places += records[i].list == list;
    PROVE(places == 3 && records[items[1].first].list == list, "as many places as items");
    PROVE(items[1].first == (lower.first < upper.first ? lower.first : upper.first), "the earlier place is kept");
}

/* PROOF gro_join slow unwind=9 objects=10 models=64 cover=tuoi_decide_join,tuoi_ip_ids_fit,tuoi_limits,tuoi_item_join,tuoi_item_join_rules,
         tuoi_list_remove_upper */
void gro_join(void) {
    if (nondet_int()) prove_join(&shapes[0]);
    else prove_join(&shapes[1]);
}

/* A segment opens an item below or above the only one of its flow, and the drain hands out both, the lower one first, at the positions of
   the two records; a third packet, of no item, stays where it is. Each record belongs to no list before.
   PROOF gro_leave unwind=5 models=64 cover=tuoi_list_add,tuoi_list_trim,tuoi_gro_leave,tuoi_gro_next_place */
void gro_leave(void) {
    tuoi_item items[2], *item;
    tuoi_record records[3], *out[3];
    tuoi_position position;
    const uint32_t second = nondet_int() ? 1 : 2, alone = 3 - second;
    const int below = nondet_int() != 0;
    const uint32_t lower = below ? second : 0, upper = below ? 0 : second;
    uint32_t i;
    any_gro(items, records);
    for (i = 0; i < 2; i++) {
        items[i].head = items[i].tail = items[i].first = i == 0 ? 0 : second;
        items[i].list = items[i].leaves = i;
        items[i].open_count = 1;
        items[i].older = items[i].newer = TUOI_NONE;
        items[i].seg_count = 1;
    }
    for (i = 0; i < 3; i++) records[i].list = TUOI_NONE;
    position.lower = below ? TUOI_NONE : 0;
    position.upper = below ? 0 : TUOI_NONE;
    tuoi_list_add(&gro, 0, 1, &position);
    tuoi_list_trim(&gro, &items[items[1].list]);
    PROVE(items[0].open_count == (gro.desc.max_items_per_flow > 1 ? 2 : 1), "as many are open as may be");
    gro.record_count = 3;
    gro.emit_idx = 0;
    gro.leftover = TUOI_NONE;
    gro.flows_open = 0;
    for (i = 0; i < 3; i++) {
        out[i] = tuoi_gro_leave(&gro, &item);
        PROVE(item == NULL, "one packet each");
    }
    PROVE(out[0] == &records[lower] && out[second] == &records[upper] && out[alone] == &records[alone], "in sequence order, in their places");
    PROVE(tuoi_gro_leave(&gro, &item) == NULL && item == NULL && gro.drained, "each once");
}

/* An item of plain packets in the middle of its life, with a as its head: it has any number of segments, and the fast path may find it. */
static void any_fast_item(tuoi_item *item, tuoi_packet *a) {
    const tuoi_item *const filled = tuoi_item_fill(&gro, a, 0);
    tuoi_item any;
    any = *filled;
    any.seg_count = nondet_u32();
    any.payload_len = (uint32_t)any_up_to(65535);
    any.id_mode = nondet_u8();
    any.head_csum = TUOI_CSUM_RIGHT;
    any.tail = any.seg_count == 1 ? 0 : 1;
    if (any.closed == TUO_V_HELD) any.closed = nondet_u8(); /* PSH, FIN and few bytes in the head close for good */
    ASSUME(any.seg_count >= 1 && any.seg_count <= 65535);
    ASSUME(any.seg_count == 1 ? any.payload_len == any.gso_size && any.id_mode == TUOI_ID_UNDECIDED
                              : any.id_mode == TUOI_ID_COUNTS || any.id_mode == TUOI_ID_CONSTANT);
    any.fast_len = nondet_int() ? tuoi_fast_len(&any) : 0; /* 0, too, of items that are the newest no more */
    *item = any;
}

/* tuoi_gro_guess: leads to the only item. Any other guess is declined at once. May assume: the last bytes of addresses and ports are readable. */
static uint32_t only_guess;
uint32_t *guess_contract(tuo_gro *instance, const uint8_t *l4, int ip4) {
    PROVE(readable(l4 - (ip4 ? 5 : 17), ip4 ? 9 : 21), "guess: addresses and ports are readable");
    only_guess = instance->guess_base;
    return &only_guess;
}

/* tuoi_port_excluded: any function of the ports. */
int __CPROVER_uninterpreted_excluded(int, uint32_t);
int excluded_contract(const tuo_gro_desc *desc, int tcp, const uint8_t *l4) {
    (void)desc;
    PROVE(readable(l4, 4), "ports are readable");
    return __CPROVER_uninterpreted_excluded(tcp, tuoi_load32(l4));
}

/* tuoi_name_difference: not asked if the headers are equal under the mask. */
tuo_verdict differ_contract(const tuoi_item *item, const uint8_t *bytes, const tuoi_shape *other) {
    (void)item, (void)bytes, (void)other;
    return TUO_V_TOS_DIFFERS;
}

/* Facts of a plain packet of that shape. Then they are assigned as well, so that the solver sees constants. */
static void plain_promises(int mode, tuoi_facts *facts, uint8_t kind, uint32_t ip_off, uint32_t l4_off, uint32_t hdr_len) {
    const uint8_t ip_version = kind == TUO_KIND_TCP4 || kind == TUO_KIND_UDP4 ? 4 : 6;
    const uint8_t l4_proto = kind == TUO_KIND_TCP4 || kind == TUO_KIND_TCP6 ? 6 : 17;
    STATE(mode, facts->shape.kind == kind && facts->shape.ip_off == ip_off, "plain: kind");
    STATE(mode, facts->shape.l4_off == l4_off && facts->shape.hdr_len == hdr_len, "plain: offsets");
    STATE(mode, facts->ip_version == ip_version && facts->l4_proto == l4_proto, "plain: protocols");
    STATE(mode, facts->plain == 1 && facts->tunnel == TUO_KIND_NONE, "plain: no tunnel");
    facts->shape.kind = kind;
    facts->shape.ip_off = ip_off;
    facts->shape.l4_off = l4_off;
    facts->shape.hdr_len = hdr_len;
    facts->ip_version = ip_version;
    facts->l4_proto = l4_proto;
    facts->plain = 1;
    facts->tunnel = TUO_KIND_NONE;
}

/* What the fast path appends to the item of a, the slow path would append, too, with the same outcome. b may be any packet whose checksums
   are right. */
static void prove_fast(int ip4, int tcp, uint32_t ip_off, uint32_t l4_hdr_len) {
    const uint32_t l4_off = ip_off + (ip4 ? 20 : 40), hdr_len = l4_off + l4_hdr_len;
    const uint8_t kind = ip4 ? (tcp ? TUO_KIND_TCP4 : TUO_KIND_UDP4) : (tcp ? TUO_KIND_TCP6 : TUO_KIND_UDP6);
    uint32_t i;
    tuoi_packet a, b;
    tuoi_item item, slow;
    tuoi_record records[3], slow_records[3];
    tuoi_position position;
    const size_t at = any_up_to(sizeof item - 1);
    any_gro(&item, records);
    gro.plain_ip_off = ip_off;
    a.len = any_up_to(66000);
    b.len = any_up_to(66000);
    a.bytes = any_bytes(l4_off + 60);
    b.bytes = any_bytes(b.len);
    a.more_pieces = b.more_pieces = 0;
    a.collect = b.collect = NULL;
    a.csum = b.csum = TUOI_CSUM_RIGHT;
    a.record = 0;
    b.record = 2;
    ASSUME(tuoi_parse_plain(a.bytes, a.len, ip_off, ip4, &a.facts));
    plain_promises(ASSUMED, &a.facts, kind, ip_off, l4_off, hdr_len);
    ASSUME(tuoi_classify_l4(a.bytes, &a.facts, 0) == TUO_V_HELD);
    ASSUME(tuoi_allowed(&gro.desc, &gro.switches, a.bytes, &a.facts) == TUO_V_HELD);
    any_fast_item(&item, &a);
    gro.item_count = 1;
    slow = item;
    for (i = 0; i < 3; i++) slow_records[i] = records[i];
    gro.guess_base = 1;
    if (!tuoi_gro_fast(&gro, &b)) {
        PROVE(same_byte(&item, &slow, at), "refused: the item stays as it is");
        return;
    }
    PROVE(tuoi_parse_plain(b.bytes, b.len, ip_off, ip4, &b.facts), "the slow path parses it");
    plain_promises(PROVED, &b.facts, kind, ip_off, l4_off, hdr_len);
    PROVE(b.facts.payload_len == item.gso_size, "same length");
    PROVE(tuoi_classify_l4(b.bytes, &b.facts, 0) == TUO_V_HELD, "a candidate");
    PROVE(tuoi_allowed(&gro.desc, &gro.switches, b.bytes, &b.facts) == TUO_V_HELD, "allowed as the head is");
    PROVE(tuoi_same_flow(&gro, &slow, &b), "same flow");
    gro.items = &slow;
    position = tuoi_gro_position(&gro, 0, &b);
    PROVE(position.touches_lower && position.lower == 0 && !position.touches_upper, "touches the newest item");
    PROVE(tuoi_headers_differ(&gro.masks, &slow, b.bytes, &b.facts.shape) == TUO_V_HELD, "equal headers");
    PROVE(tuoi_decide_append(&gro.desc, &slow, &b.facts) == TUO_V_APPENDED, "it may join");
    tuoi_item_append(slow_records, &slow, b.record, b.facts.payload_len, b.facts.ip_id);
    slow.closed = (uint8_t)tuoi_closes_after(&b.facts, slow.gso_size, 0);
    slow.fast_len = tuoi_fast_len(&slow);
    if (!ip4) slow.id_mode = item.id_mode; /* IPv6 has no IDs: nobody looks at it */
    PROVE(same_byte(&item, &slow, at), "the same item");
    PROVE(same_byte(records, slow_records, any_up_to(sizeof records - 1)), "the same chain");
}

/* PROOF gro_fast slow unwind=17 objects=12 models=64 calls=tuoi_gro_guess:guess_contract,tuoi_port_excluded:excluded_contract,
         tuoi_name_difference:differ_contract cover=tuoi_gro_fast,tuoi_equal_masked,tuoi_fields_go_on,tuoi_within_limits */
void gro_fast(void) {
    tuoi_masks_build(&gro.masks);
    switch (nondet_int()) {
        case 0: prove_fast(1, 1, 0, 32); break;
        case 1: prove_fast(0, 1, 14, 20); break;
        case 2: prove_fast(1, 0, 14, 8); break;
        default: prove_fast(0, 0, 0, 8); break;
    }
}

/* What holds of the table between two calls, for the slot `at`: guesses below guess_base are old, all others lead to an item. */
static void guess_promises(int mode, size_t at) {
    STATE(mode, gro.item_count <= gro.record_count && gro.record_count <= gro.desc.max_packets, "guess: as many items as packets, at most");
    STATE(mode, gro.guess_base >= 1 && gro.guess_base < TUOI_NONE - 2 * TUOI_PACKETS_MAX, "guess: the base stays away from the end");
    STATE(mode, (uint64_t)gro.guess[at] < (uint64_t)gro.guess_base + (gro.flows_open ? gro.item_count : 0), "guess: old, or of an item");
    STATE(mode, !gro.drained || !gro.flows_open, "guess: drained, so forgotten");
}

/* The slot's guess is refused, however many items there will be. */
static void prove_forgotten(size_t at) {
    const uint32_t item_count = (uint32_t)any_up_to(gro.desc.max_packets);
    PROVE(gro.guess[at] - gro.guess_base >= item_count, "guess: forgotten");
}

/* tuoi_gro_barrier: any barrier. */
uint32_t *barrier_contract(tuo_gro *instance, const uint8_t *ip, int ip4) {
    (void)ip, (void)ip4;
    return &instance->barrier[any_up_to(TUOI_BARRIERS - 1)];
}

/* tuoi_equal_masked: the headers differ, so the fast path declines the item that it has looked up. */
int unequal_contract(const uint8_t *a, const uint8_t *b, const uint8_t *mask, uint32_t len) {
    (void)a, (void)b, (void)mask, (void)len;
    return 0;
}

/* A packet is taken. A guess may be followed, an item opened or offered, a barrier set. Bound: the first four items only. */
static void prove_guess_push(tuoi_packet *pkt, uint32_t ip_off, size_t at) {
    uint32_t offered;
    if (tuoi_gro_room(&gro, 1) == 0) return;
    gro.record_count++;
    if (gro.item_count <= 4) PROVE(!tuoi_gro_fast(&gro, pkt), "guess: no equal headers, no append");
    if (nondet_int()) {
        tuoi_gro_set_barrier(&gro, pkt);
        prove_forgotten(at);
    }
    if (nondet_int()) gro.item_count++;
    offered = (uint32_t)any_up_to(3);
    if (offered < gro.item_count) tuoi_gro_offer(&gro, offered, pkt->bytes + ip_off + 40, nondet_int() != 0);
}

/* One step from any state that guess_promises allows. Of the table, one slot is looked at, the first or the last. A new instance has 0 in
   all slots and a base of 1. */
static void prove_guess(size_t at) {
    tuoi_packet pkt;
    tuoi_bucket bucket;
    tuoi_item items[4];
    uint32_t i;
    gro.desc.max_packets = nondet_u32();
    ASSUME(tuoi_in(gro.desc.max_packets, 1, TUOI_PACKETS_MAX));
    gro.plain_ip_off = nondet_int() ? 14 : 0;
    gro.item_count = nondet_u32();
    gro.record_count = nondet_u32();
    gro.guess_base = nondet_u32();
    gro.guess[at] = nondet_u32();
    gro.flows_open = nondet_int() != 0;
    gro.drained = nondet_int() != 0;
    gro.barriers_set = nondet_int() != 0;
    gro.flows.buckets = &bucket;
    gro.flows.bucket_mask = 0;
    gro.flows.generation = nondet_u32();
    guess_promises(ASSUMED, at);
    for (i = 0; i < 4; i++) items[i].shape.kind = TUO_KIND_TCP4;
    gro.items = items;
    pkt.len = any_up_to(66000);
    pkt.bytes = any_bytes(14 + 40 + 20);
    pkt.facts.shape.ip_off = gro.plain_ip_off;
    pkt.facts.ip_version = nondet_int() ? 4 : 6;
    pkt.record = gro.record_count;
    switch (nondet_int()) {
        case 0: prove_guess_push(&pkt, gro.plain_ip_off, at); break;
        case 1: /* the drain begins, and may end */
            tuoi_gro_close_flows(&gro);
            gro.drained = nondet_int() != 0;
            prove_forgotten(at);
            break;
        default:
            tuo_gro_reset(&gro);
            prove_forgotten(at);
    }
    guess_promises(PROVED, at);
}

/* PROOF gro_guess slow unwind=5 objects=10 models=64,32 calls=tuoi_gro_barrier:barrier_contract,tuoi_equal_masked:unequal_contract
         cover=tuoi_gro_guess,tuoi_gro_offer,tuoi_gro_forget_guesses,tuoi_gro_close_flows_now,tuoi_gro_close_flows,tuoi_gro_clear,
         tuo_gro_reset,tuoi_gro_room,tuoi_gro_set_barrier */
void gro_guess(void) {
    if (nondet_int()) prove_guess(0);
    else prove_guess(TUOI_GUESSES - 1);
}

/* tuoi_gro_position: the chosen one. */
static tuoi_position chosen_position;
tuoi_position position_contract(tuo_gro *instance, uint32_t newest, const tuoi_packet *pkt) {
    (void)instance, (void)newest, (void)pkt;
    return chosen_position;
}

static tuo_verdict any_verdict(void) {
    const tuo_verdict verdict = (tuo_verdict)nondet_int();
    ASSUME(verdict > TUO_V_CSUM_ALIAS && verdict <= TUO_V_PAIR_CLOSED);
    return verdict;
}

/* tuoi_headers_differ, tuoi_gro_verify_append, tuoi_gro_verify_heads: any answer. */
tuo_verdict headers_contract(const tuoi_masks *masks, const tuoi_item *item, const uint8_t *bytes, const tuoi_shape *other) {
    (void)masks, (void)item, (void)bytes, (void)other;
    return nondet_int() ? TUO_V_HELD : any_verdict();
}

static tuo_verdict verify_contract(tuo_verdict right) {
    switch (nondet_int()) {
        case 0: return right;
        case 1: return TUO_V_HEAD_BAD_CSUM;
        case 2: return TUO_V_BAD_IP_CSUM;
        default: return TUO_V_BAD_L4_CSUM;
    }
}
tuo_verdict verify_append_contract(tuo_gro *instance, tuoi_item *item, tuoi_packet *pkt, uint32_t payload_len, int has_csum) {
    (void)instance, (void)item, (void)pkt, (void)payload_len, (void)has_csum;
    return verify_contract(TUO_V_APPENDED);
}
tuo_verdict verify_heads_contract(tuo_gro *instance, tuoi_item *lower, tuoi_item *upper) {
    (void)instance, (void)lower, (void)upper;
    return verify_contract(TUO_V_HELD);
}

/* Of a flow in the index. */
static void fast_promises(int mode, uint32_t newest) {
    uint32_t i;
    STATE(mode, gro.items[newest].newer == TUOI_NONE, "fast: the newest item has none above");
    for (i = 0; i < gro.item_count; i++) {
        const uint32_t fast_len = gro.items[i].fast_len, closed = gro.items[i].closed;
        STATE(mode, closed == TUO_V_HELD || closed == TUO_V_AFTER_PSH_FIN || closed == TUO_V_AFTER_SHORT || closed == TUO_V_TINY,
              "fast: why it is closed");
        STATE(mode, fast_len == 0 || (i == newest && fast_len == tuoi_fast_len(&gro.items[i])), "fast: only the newest item, while it is open");
    }
}

/* A packet of a flow with that many items comes to lie between two of them, or below or above all. */
static void prove_offered(const shape *of, uint32_t count, uint32_t lower, uint32_t upper) {
    tuoi_item items[3];
    tuoi_record records[5];
    tuoi_packet pkt;
    tuoi_bucket bucket;
    tuoi_slot slot;
    uint32_t i;
    int psh[3];
    tuo_verdict verdict;
    any_gro(items, records);
    for (i = 0; i < count; i++) {
        psh[i] = nondet_int() != 0;
        any_item(&items[i], 2 * i, of, psh[i]);
        items[i].more_pieces = 0;
        items[i].older = i == 0 ? TUOI_NONE : i - 1;
        items[i].newer = i + 1 == count ? TUOI_NONE : i + 1;
    }
    items[0].open_count = count;
    items[0].leaves = 0;
    gro.item_count = count;
    gro.guess_base = 1;
    only_guess = 0;
    fast_promises(ASSUMED, count - 1);
    any_candidate(&pkt, of, 0);
    pkt.record = 4;
    psh[2] = (pkt.facts.tcp_flags & 9) != 0;
    chosen_position.verdict = any_verdict();
    chosen_position.lower = lower;
    chosen_position.upper = upper;
    chosen_position.touches_lower = lower != TUOI_NONE && nondet_int();
    chosen_position.touches_upper = upper != TUOI_NONE && nondet_int();
    slot.bucket = &bucket;
    slot.way = 0;
    bucket.value[0] = count - 1;
    verdict = tuoi_gro_try_join(&gro, &pkt, &slot);
    if (verdict == TUO_V_BAD_IP_CSUM || verdict == TUO_V_BAD_L4_CSUM) {
        PROVE(gro.item_count == count && only_guess == 0, "bad checksum: no item, no guess");
        for (i = 0; i < count; i++) PROVE(items[i].fast_len == 0, "bad checksum: the flow is closed");
        return;
    }
    PROVE(gro.item_count == count + (verdict != TUO_V_APPENDED), "appended, or an item of its own");
    fast_promises(PROVED, bucket.value[0]);
    PROVE(only_guess == 0 || (only_guess - 1 == bucket.value[0] && items[bucket.value[0]].fast_len != 0), "a guess leads to an open item");
    for (i = 0; i < gro.item_count; i++) item_promises(PROVED, &items[i], psh[items[i].tail / 2]);
}

/* PROOF gro_offered slow unwind=4 objects=10 models=64 calls=tuoi_gro_guess:guess_contract,tuoi_gro_position:position_contract,
         tuoi_headers_differ:headers_contract,tuoi_gro_verify_append:verify_append_contract,tuoi_gro_verify_heads:verify_heads_contract
         cover=tuoi_gro_try_join,tuoi_gro_try_append,tuoi_gro_open,tuoi_gro_set_newest,tuoi_gro_offer,tuoi_gro_may_join */
void gro_offered(void) {
    switch (nondet_int()) {
        case 0: prove_offered(&shapes[0], 1, 0, TUOI_NONE); break;
        case 1: prove_offered(&shapes[0], 1, TUOI_NONE, 0); break;
        case 2: prove_offered(&shapes[0], 2, 1, TUOI_NONE); break;
        case 3: prove_offered(&shapes[0], 2, 0, 1); break;
        default: prove_offered(&shapes[0], 2, TUOI_NONE, 0); break;
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
    two_candidates(&a, &b, &item, records, of, 1);
    ASSUME(a.facts.payload_len >= b.facts.payload_len);
    ip_len = a.facts.shape.hdr_len - a.facts.shape.ip_off + a.facts.payload_len + b.facts.payload_len;
    ASSUME(ip_len <= gro.desc.max_bytes);
    records[0].iov[1].base = a.bytes;
    records[0].iov[1].len = a.len;
    records[1].iov[1].base = b.bytes;
    records[1].iov[1].len = b.len;
    records[0].user = &a;
    records[1].user = &b;
    tuoi_item_append(records, &item, 1, b.facts.payload_len, b.facts.ip_id);
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
    PROVE(gro.desc.finish_checksum ? sp.vnet.gso_size == 0 && sp.vnet.flags == 0 : sp.vnet.gso_size == a.facts.payload_len && sp.vnet.csum_start == a.facts.shape.l4_off && sp.vnet.hdr_len == a.facts.shape.hdr_len, "metadata");
    PROVE(sp.vnet.num_buffers == (gro.desc.virtio_guest != 0), "num_buffers for guests");
    PROVE(be16(sp.tuoi_head + gro.vnet_len + a.facts.shape.ip_off + (a.facts.ip_version == 4 ? 2 : 4)) == ip_len - (a.facts.ip_version == 4 ? 0 : 40),
          "IP length");
}

/* PROOF gro_emit unwind=3 objects=10 models=64 calls=tuoi_scalar:scalar_contract cover=tuoi_gro_emit_item,tuoi_gro_list_chain,
         tuoi_gro_account,tuoi_account,tuoi_vnet_write */
void gro_emit(void) {
    switch (nondet_int()) {
        case 0: prove_emit(&shapes[0], 0); break;
        case 1: prove_emit(&shapes[1], 10); break;
        case 2: prove_emit(&shapes[2], 12); break;
        default: prove_emit(&shapes[3], 24); break;
    }
}
