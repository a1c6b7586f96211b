/* Capabilities and the ladder. Proved: tuo_caps_intersect of all capabilities; for all lengths, segment sizes and limits up to the bounds
   below, what the plan (tuoi_ladder_plan_units) and the next unit (tuoi_ladder_unit_next) promise each other, tuo_tx_remaining exact (it
   counts down by one with each unit, so by induction it is the number of units), every unit within what the device takes, units next to
   each other from first to last byte; the burst queues' rings.
   Bounds: payloads up to 131071 bytes (superpackets that a device takes: 262143), all other limits of any value. Segment size and segments of
   a unit, whose products and quotients are what solvers find hard, take the values that are listed at each proof, and some of these have
   smaller payloads; --deep leaves sizes free, with payloads up to 255 bytes (tx_units_large) or 1023 and sizes up to 63 (tx_plan_large). */
#include "proof.h"

static int in(uint32_t value, uint32_t a, uint32_t b) { return value == a || value == b; }

/* Limits where 0 means none: the smaller of the two. */
static void prove_limit(uint32_t both, uint32_t a, uint32_t b) {
    PROVE((a == 0 || (both != 0 && both <= a)) && (b == 0 || (both != 0 && both <= b)) && in(both, a, b), "a limit of both");
}

/* PROOF tx_intersect unwind=2 models=64 cover=tuo_caps_intersect */
void tx_intersect(void) {
    tuo_caps a, b, both, before;
    const int ok = (a.ethernet == 0 || a.ethernet == 1) && a.ethernet == b.ethernet && a.tx_vlan_max <= 4 && b.tx_vlan_max <= 4;
    tuo_result result;
    before = both;
    result = tuo_caps_intersect(&a, &b, &both);
    PROVE(result == (ok ? TUO_OK : TUO_E_INVALID), "result");
    if (!ok) {
        PROVE_SAME(both, before, "untouched on an error");
        return;
    }
    PROVE(!both.tx_csum_ip4 == !(a.tx_csum_ip4 && b.tx_csum_ip4), "tx ip4");
    PROVE(!(both.tx_csum_tcp4 || both.tx_csum_any) == !((a.tx_csum_tcp4 || a.tx_csum_any) && (b.tx_csum_tcp4 || b.tx_csum_any)), "tx tcp4");
    PROVE(!(both.tx_csum_udp4 || both.tx_csum_any) == !((a.tx_csum_udp4 || a.tx_csum_any) && (b.tx_csum_udp4 || b.tx_csum_any)), "tx udp4");
    PROVE(!(both.tx_csum_tcp6 || both.tx_csum_any) == !((a.tx_csum_tcp6 || a.tx_csum_any) && (b.tx_csum_tcp6 || b.tx_csum_any)), "tx tcp6");
    PROVE(!(both.tx_csum_udp6 || both.tx_csum_any) == !((a.tx_csum_udp6 || a.tx_csum_any) && (b.tx_csum_udp6 || b.tx_csum_any)), "tx udp6");
    PROVE(!both.tx_csum_any == !(a.tx_csum_any && b.tx_csum_any), "tx any");
    PROVE(!both.rx_csum_ip4 == !(a.rx_csum_ip4 && b.rx_csum_ip4) && !both.rx_csum_tcp4 == !(a.rx_csum_tcp4 && b.rx_csum_tcp4), "rx");
    PROVE(!both.rx_csum_udp4 == !(a.rx_csum_udp4 && b.rx_csum_udp4) && !both.rx_csum_tcp6 == !(a.rx_csum_tcp6 && b.rx_csum_tcp6), "rx");
    PROVE(!both.rx_csum_udp6 == !(a.rx_csum_udp6 && b.rx_csum_udp6), "rx");
    PROVE(!both.tx_ip6_ext == !(a.tx_ip6_ext && b.tx_ip6_ext) && !both.tso_cwr == !(a.tso_cwr && b.tso_cwr), "switches");
    PROVE(both.tx_vlan_max <= a.tx_vlan_max && both.tx_vlan_max <= b.tx_vlan_max && both.ethernet == a.ethernet, "tags");
    PROVE(!both.tx_vlan_insert == !(a.tx_vlan_insert && b.tx_vlan_insert), "tags that are inserted");
    PROVE(both.max_tcp4 <= a.max_tcp4 && both.max_tcp4 <= b.max_tcp4 && both.max_tcp6 <= a.max_tcp6 && both.max_tcp6 <= b.max_tcp6, "TCP");
    PROVE(both.max_udp4 <= a.max_udp4 && both.max_udp4 <= b.max_udp4 && both.max_udp6 <= a.max_udp6 && both.max_udp6 <= b.max_udp6, "UDP");
    PROVE(both.min_seg_size >= a.min_seg_size && both.min_seg_size >= b.min_seg_size, "smallest segment");
    prove_limit(both.max_seg_size, a.max_seg_size, b.max_seg_size);
    prove_limit(both.max_segs, a.max_segs, b.max_segs);
    prove_limit(both.max_udp_segs, a.max_udp_segs, b.max_udp_segs);
    prove_limit(both.max_frags, a.max_frags, b.max_frags);
    prove_limit(both.max_hdr_len, a.max_hdr_len, b.max_hdr_len);
    prove_limit(both.mtu, a.mtu, b.mtu);
    if (both.max_tcp4 || both.max_tcp6 || both.max_udp4 || both.max_udp6) {
        PROVE(!a.tso_sum_no_len == !b.tso_sum_no_len && !both.tso_sum_no_len == !a.tso_sum_no_len, "one convention for superpackets");
        PROVE(both.max_seg_size == 0 || both.min_seg_size <= both.max_seg_size, "some segment size is taken");
    }
}

/* PROOF tx_intersect_alias unwind=2 models=64 cover=tuo_caps_intersect */
void tx_intersect_alias(void) {
    tuo_caps a, b, apart, in_place;
    in_place = a;
    if (tuo_caps_intersect(&a, &b, &apart) != TUO_OK) return;
    PROVE(tuo_caps_intersect(&in_place, &b, &in_place) == TUO_OK, "result");
    PROVE_SAME(apart, in_place, "both may be a");
}

/* What the plan promises. A unit is a superpacket or a segment. */
static void plan_promises(int mode, const tuo_tx *tx) {
    const uint32_t size = tx->tuoi_gso_size, segs = tx->tuoi_seg_count, len = tx->tuoi_info.payload_len;
    STATE(mode, size > 0 && size < 65535 && segs >= 2, "plan: several segments");
    STATE(mode, (uint64_t)segs * size >= len && (uint64_t)(segs - 1) * size < len, "plan: so many segments");
    STATE(mode, tx->tuoi_segs_max >= 1 && (uint64_t)tx->tuoi_unit_segs * size <= tx->tuoi_payload_max, "plan: a unit fits, in bytes");
    STATE(mode, tx->tuoi_unit_segs <= tx->tuoi_segs_max, "plan: a unit fits, in segments");
    STATE(mode, tx->tuoi_unit_segs >= 1, "plan: units make progress");
    STATE(mode, tx->tuoi_first_alone <= 1, "plan: a flag");
}

/* size 0: any up to size_max */
static void prove_plan(uint32_t payload_max, uint32_t size, uint32_t size_max) {
    tuo_tx tx;
    tuo_caps caps;
    tuo_pkt_info info;
    uint32_t max_len;
    ASSUME(info.kind >= 1 && info.kind <= 4 && info.payload_len >= 1 && info.payload_len <= payload_max);
    ASSUME(info.payload_off <= 256 && info.ip_off <= info.payload_off && info.payload_off - info.ip_off >= 28);
    if (size) tx.tuoi_gso_size = size;
    ASSUME(caps.max_tcp4 <= 262143 && caps.max_tcp6 <= 262143 && caps.max_udp4 <= 262143 && caps.max_udp6 <= 262143);
    ASSUME(tx.tuoi_gso_size >= 1 && tx.tuoi_gso_size <= size_max && info.payload_len > tx.tuoi_gso_size);
    if (!tuoi_ladder_plan_units(&tx, &caps, &info)) return;
    tx.tuoi_info = info;
    plan_promises(PROVED, &tx);
    max_len = tuoi_caps_max_len(&caps, info.kind);
    PROVE(tx.tuoi_payload_max + info.payload_off - info.ip_off <= max_len, "a superpacket is not longer than the device takes");
    PROVE(tx.tuoi_gso_size >= caps.min_seg_size && (!caps.max_seg_size || tx.tuoi_gso_size <= caps.max_seg_size), "segment size");
    PROVE(!caps.max_hdr_len || info.payload_off <= caps.max_hdr_len, "headers are not longer than the device takes");
    max_len = info.kind == TUO_KIND_TCP4 || info.kind == TUO_KIND_TCP6 ? caps.max_segs : caps.max_udp_segs;
    PROVE(max_len == 0 || tx.tuoi_segs_max == max_len, "segments");
    if ((info.tcp_flags & 128) && !caps.tso_cwr) PROVE(tx.tuoi_first_alone, "CWR leaves alone");
}

/* PROOF tx_plan unwind=2 models=64 cover=tuoi_ladder_plan_units */
void tx_plan(void) {
    prove_plan(131071, 1, 1);
    prove_plan(131071, 8, 8);
    prove_plan(131071, 1448, 1448);
}
/* PROOF tx_plan_large deep unwind=2 models=64 cover=tuoi_ladder_plan_units */
void tx_plan_large(void) { prove_plan(1023, 0, 63); }

/* One unit, from any state between units. size, unit_segs 0: any. */
static void prove_unit(uint32_t payload_max, uint32_t any_size, uint32_t unit_segs, int counted) {
    tuo_tx tx;
    tuoi_ladder_unit unit;
    uint32_t len, size;
    size_t before = 0;
    if (any_size) tx.tuoi_gso_size = any_size;
    if (unit_segs) tx.tuoi_unit_segs = unit_segs;
    ASSUME(tx.tuoi_info.payload_len >= 1 && tx.tuoi_info.payload_len <= payload_max);
    plan_promises(ASSUMED, &tx);
    len = tx.tuoi_info.payload_len;
    size = tx.tuoi_gso_size;
    ASSUME(tx.tuoi_next_seg < tx.tuoi_seg_count);
    if (counted) before = tuo_tx_remaining(&tx);
    unit = tuoi_ladder_unit_next(&tx);
    if (counted) {
        PROVE(before > 0, "segments are left: so are units");
        tx.tuoi_next_seg += unit.segs;
        PROVE(tuo_tx_remaining(&tx) == before - 1, "one less remains");
        return;
    }
    PROVE(unit.segs >= 1 && unit.segs <= tx.tuoi_seg_count - tx.tuoi_next_seg, "no more segments than are left");
    PROVE(unit.off < len && unit.off == (uint64_t)tx.tuoi_next_seg * size, "begins within the payload, where the one before ended");
    PROVE(unit.len >= 1 && unit.len <= len - unit.off, "ends within the payload");
    PROVE(unit.segs == 1 || (unit.segs <= tx.tuoi_segs_max && unit.len <= tx.tuoi_payload_max), "a superpacket is not more than the device takes");
    PROVE(unit.len <= (uint64_t)unit.segs * size && unit.len > (uint64_t)(unit.segs - 1) * size, "so many segments");
    PROVE((unit.segs == 1) == (unit.len <= size), "one segment is no superpacket");
    PROVE(!tx.tuoi_first_alone || tx.tuoi_next_seg || unit.segs == 1, "CWR leaves alone");
    tx.tuoi_next_seg += unit.segs;
    if (tx.tuoi_next_seg == tx.tuoi_seg_count) PROVE(unit.off + unit.len == len, "the last one ends where the payload does");
}

/* PROOF tx_units slow unwind=2 models=64 cover=tuoi_ladder_unit_next */
void tx_units(void) {
    switch (nondet_int()) {
        case 0: prove_unit(131071, 1, 3, 0); break;
        case 1: prove_unit(131071, 8, 2, 0); break;
        case 2: prove_unit(131071, 1448, 1, 0); break;
        default: prove_unit(131071, 1448, 45, 0); break;
    }
}

/* tuo_tx_remaining counts down by one with each unit.
   PROOF tx_remaining slow unwind=2 models=64 cover=tuo_tx_remaining */
void tx_remaining(void) {
    if (nondet_int()) {
        prove_unit(1023, 8, 2, 1);
    } else {
        prove_unit(16383, 1448, 3, 1);
    }
}

/* PROOF tx_remaining_large unwind=2 models=64 cover=tuo_tx_remaining */
void tx_remaining_large(void) { prove_unit(131071, 1448, 45, 1); }
/* PROOF tx_units_large deep unwind=2 models=64 cover=tuoi_ladder_unit_next */
void tx_units_large(void) { prove_unit(255, 0, 0, 0); }

/* Rings. What is pushed comes out once, in order; nothing outside of the slots is touched, whatever the callback says. */
static size_t offered_max;
size_t any_send(void *user, void *const *packets, size_t count) {
    (void)user;
    PROVE(count >= 1 && __CPROVER_r_ok(packets, count * sizeof *packets), "an offer is readable");
    return nondet_size();
}

/* PROOF tx_queue unwind=8 models=64 cover=tuo_tx_queue_flush,tuo_tx_queue_push,tuo_tx_queue_take,tuoi_ring_at */
void tx_queue(void) {
    const size_t cap = any_up_to(5);
    void **const slots = malloc(cap * sizeof *slots);
    tuo_tx_queue queue;
    size_t count, nth;
    void *first, *pushed = &queue;
    tuo_result result;
    ASSUME(slots != NULL);
    if (tuo_tx_queue_init(&queue, slots, cap, any_send, NULL) != TUO_OK) {
        PROVE(cap == 0, "refused for a reason");
        return;
    }
    queue.tuoi_head = nondet_size(); /* any state */
    queue.tuoi_count = nondet_size();
    ASSUME(queue.tuoi_head < cap && queue.tuoi_count <= cap);
    count = queue.tuoi_count;
    nth = any_up_to(4);
    first = nth < count ? slots[(queue.tuoi_head + nth) % cap] : NULL;
    switch (nondet_int()) {
        case 0:
            if (nth == 0) PROVE(tuo_tx_queue_take(&queue) == first, "take: the oldest, or NULL");
            else ASSUME(0);
            PROVE(queue.tuoi_count == (count ? count - 1 : 0), "take: one less");
            break;
        case 1:
            result = tuo_tx_queue_push(&queue, pushed);
            PROVE(result == TUO_OK || queue.tuoi_count <= count, "push: not taken, no more than before");
            PROVE(result == TUO_OK || result == TUO_AGAIN || result == TUO_E_BUFFER, "push: result");
            if (result == TUO_OK) PROVE(slots[(queue.tuoi_head + queue.tuoi_count - 1) % cap] == pushed, "push: the newest");
            if (result == TUO_AGAIN) PROVE(queue.tuoi_count == cap, "push: full");
            break;
        default:
            result = tuo_tx_queue_flush(&queue);
            PROVE(queue.tuoi_count <= count, "flush: no more than before");
            PROVE(result != TUO_OK || queue.tuoi_count == 0, "flush: empty if all was taken");
            if (nth >= count - queue.tuoi_count && nth < count) {
                PROVE(slots[(queue.tuoi_head + nth - (count - queue.tuoi_count)) % cap] == first, "flush: what stays is in order");
            }
            break;
    }
    PROVE(queue.tuoi_head < cap && queue.tuoi_count <= cap, "a ring");
}
