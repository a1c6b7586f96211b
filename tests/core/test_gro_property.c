/* test_gro_property.c - random traffic against what must always hold: the emission is that of the naive merger, splitting gives
   back what went in, each packet leaves once, flows keep their order, nothing unverified is marked as right. Each round has a level
   of tuo_simd of its own; some are run again at another one, in pieces, without the fast path and with wrong guesses in it, and the
   same bytes and counters must come out. The calls for batches must do what single calls do. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "inside.h"
#include "gro_traffic.h"
#include "simd_levels.h"

enum { CUTS_MAX = 4 };

static h_batch batch;
static rng dice; /* for the levels, which the traffic of a seed does not depend on */

/* What no sender would send: cut short, or with a bit flipped. */
static void damage(rng *r, size_t i)
{
    pkt_view v = pkt_look(batch.pkt[i], batch.len[i], batch.ethernet, 0);
    size_t headers = v.payload ? v.payload : batch.len[i] < 60 ? batch.len[i] : 60, at;

    if (headers == 0)
        return;
    if (rng_chance(r, 1, 4)) {
        h_shorten(&batch, i, rng_below(r, (uint32_t)batch.len[i]));
        return;
    }
    at = rng_below(r, (uint32_t)headers);
    if (v.l4 && at == v.l4 + 4)
        at = 0; /* not the highest sequence bits, see make_sender */
    batch.pkt[i][at] ^= (uint8_t)(1u << rng_below(r, 8));
    if (rng_chance(r, 3, 4))
        pkt_fix_checksums(batch.pkt[i], batch.len[i], batch.ethernet);
}

/* ------------------------------------------------------------------------------------------------------ configurations */

static const uint16_t excluded[] = {1001};

static tuo_gro_desc random_desc(rng *r)
{
    tuo_gro_desc d;

    memset(&d, 0, sizeof d);
    d.ethernet = (uint8_t)rng_chance(r, 1, 4);
    d.strict_kernel = (uint8_t)rng_chance(r, 1, 6);
    d.disable_prepend = (uint8_t)rng_chance(r, 1, 8);
    d.ip_id = rng_chance(r, 1, 2) ? TUO_IP_ID_DEFAULT : (tuo_ip_id)rng_below(r, 4);
    d.trust_checksums = (uint8_t)rng_chance(r, 1, 20);
    d.no_vnet_hdr = (uint8_t)rng_chance(r, 1, 8);
    d.vnet_hdr_len = rng_chance(r, 1, 2) ? 12 : 0;
    d.virtio_guest = (uint8_t)rng_chance(&dice, 1, 4);
    d.finish_checksum = (uint8_t)rng_chance(&dice, 1, 6);
    d.merge_zero_csum4 = (uint8_t)rng_chance(&dice, 1, 4);
    d.max_items_per_flow = rng_chance(r, 1, 3) ? 1 + rng_below(r, 6) : 0;
    d.max_bytes = rng_chance(r, 1, 4) ? 576 + rng_below(r, 3000) : 0;
    d.max_segs = rng_chance(r, 1, 5) ? 2 + rng_below(r, 6) : 0;
    d.max_udp_segs = rng_chance(r, 1, 5) ? 2 + rng_below(r, 6) : 0;
    d.max_frags = rng_chance(r, 1, 5) ? 2 + rng_below(r, 6) : 0;
    d.simd = rng_chance(&dice, 1, 8) ? TUO_SIMD_DETECT : simd_level_at((unsigned)rng_u64(&dice));
    if (rng_chance(r, 1, 10)) {
        d.udp_excluded_port_count = 1;
        d.udp_excluded_ports[0] = excluded[0];
    }
    if (rng_chance(&dice, 1, 10)) {
        d.tcp_excluded_port_count = 1;
        d.tcp_excluded_ports[0] = excluded[0];
    }
    switch (rng_below(r, 20)) {
    case 0: d.disable_tcp4 = 1; break;
    case 1: d.disable_tcp6 = 1; break;
    case 2: d.disable_udp4 = 1; break;
    case 3: d.disable_udp6 = 1; break;
    default: break;
    }
    return d;
}

static ref_options mirror(const tuo_gro_desc *d)
{
    ref_options o;

    memset(&o, 0, sizeof o);
    o.ethernet = d->ethernet;
    o.strict_kernel = d->strict_kernel;
    o.disable_prepend = d->disable_prepend;
    o.ip_id = d->ip_id;
    o.trust_checksums = d->trust_checksums;
    o.disable_tcp4 = d->disable_tcp4;
    o.disable_tcp6 = d->disable_tcp6;
    o.disable_udp4 = d->disable_udp4;
    o.disable_udp6 = d->disable_udp6;
    o.merge_zero_csum4 = d->merge_zero_csum4;
    o.finish_checksum = d->finish_checksum;
    o.max_bytes = d->max_bytes;
    o.max_segs = d->max_segs;
    o.max_udp_segs = d->max_udp_segs;
    o.max_frags = d->max_frags;
    o.max_items_per_flow = d->max_items_per_flow;
    o.excluded_ports[0] = o.excluded_ports[1] = excluded;
    o.excluded_port_count[0] = d->tcp_excluded_port_count;
    o.excluded_port_count[1] = d->udp_excluded_port_count;
    return o;
}

/* A packet without ports closes by a small hash of its addresses, so that others may be closed with it: correct, but not what the
   naive merger does. Is there such a clash between any two pairs of addresses in this traffic? */
static int addresses_clash(tuo_gro *gro, const ref_batch *t)
{
    size_t i, k;
    int clash = 0;
    const void **barrier = (const void **)h_alloc(t->count * sizeof *barrier);

    for (i = 0; i < t->count && !clash; i++) {
        const pkt_view *v = &t->views[i];
        barrier[i] = NULL;
        if (!v->addr_len)
            continue;
        barrier[i] = inside_barrier(gro, t->pkts[i].bytes + v->ip, v->version == 4);
        for (k = 0; k < i; k++)
            clash |= barrier[k] == barrier[i] && !ref_same_pair(t, i, k);
    }
    free(barrier);
    return clash;
}

/* ------------------------------------------------------------------------------------------------------------ properties */

static struct {
    unsigned long packets, merged, superpackets, joined, verdicts[TUO_V_COUNT], skipped, repeated, fast, batched, in_pieces;
    unsigned long finished, odd, given_csums; /* superpackets: finished, those with an odd segment size; datagrams that got a checksum */
} total;

/* A flow that was closed twice, by a packet without ports and then by one of its own: either reason is right for the next one. */
static int may_be_either(tuo_verdict v)
{
    return v == TUO_V_HELD || v == TUO_V_PAIR_CLOSED;
}

static int same_emission(const ref_batch *t)
{
    size_t g, k;

    for (g = 0; g < batch.count; g++)
        if (!(may_be_either(batch.verdict[g]) && may_be_either(t->verdicts[g])) &&
            !CHECK_VERDICT(batch.verdict[g], t->verdicts[g]))
            return 0;
    if (!CHECK_EQ_INT(batch.group_count, t->group_count))
        return 0;
    for (g = 0; g < t->group_count; g++) {
        if (!CHECK_EQ_INT(batch.group[g].count, t->start[g + 1] - t->start[g]))
            return 0;
        for (k = 0; k < batch.group[g].count; k++)
            if (!CHECK_EQ_INT(batch.order[batch.group[g].first + k], t->order[t->start[g] + k]))
                return 0;
    }
    return 1;
}

/* Must `later`, which was pushed after `earlier`, leave after it? */
static int is_ordered(const ref_batch *t, size_t earlier, size_t later)
{
    const pkt_view *a = &t->views[earlier], *b = &t->views[later];

    if (pkt_has_l4(a) && pkt_has_l4(b))
        return ref_same_flow(t, earlier, later);
    return a->status == PKT_OK && (a->fragment || a->opaque) && pkt_has_l4(b) && ref_same_pair(t, earlier, later);
}

/* By itself, or because its checksum is wrong. */
static int passes(tuo_verdict v)
{
    return (v >= TUO_V_NOT_IP && v <= TUO_V_CSUM_ALIAS) || v == TUO_V_BAD_IP_CSUM || v == TUO_V_BAD_L4_CSUM;
}

/* A flow leaves in the order in which it came, but for TCP segments that moved in front of those that their bytes precede. Nothing
   overtakes a packet that passes, and a packet that passes overtakes nothing. */
static int order_is_kept(const ref_batch *t)
{
    static size_t place[H_PACKETS];
    size_t i, k;

    for (i = 0; i < batch.order_count; i++)
        place[batch.order[i]] = i;
    for (i = 0; i < batch.count; i++)
        for (k = i + 1; k < batch.count; k++) {
            if (place[i] < place[k] || !is_ordered(t, i, k))
                continue;
            if (!CHECK(t->views[i].proto == PKT_PROTO_TCP) || !CHECK(pkt_has_l4(&t->views[i])) ||
                !CHECK(!passes(batch.verdict[i])) || !CHECK(!passes(batch.verdict[k])) ||
                !CHECK(ref_seq_diff(ref_seq_end(t, k), ref_seq(t, i)) <= 0))
                return 0;
        }
    return 1;
}

/* Verdicts, order, vnet headers and bytes of two runs over the same packets. */
static int same_output(const h_batch *a, const h_batch *b)
{
    size_t g;

    if (!CHECK(memcmp(a->verdict, b->verdict, a->count * sizeof a->verdict[0]) == 0) ||
        !CHECK_EQ_INT(a->order_count, b->order_count) ||
        !CHECK(memcmp(a->order, b->order, a->order_count * sizeof a->order[0]) == 0) ||
        !CHECK_EQ_INT(a->group_count, b->group_count))
        return 0;
    for (g = 0; g < a->group_count; g++) {
        const h_group *x = &a->group[g], *y = &b->group[g];
        if (!CHECK_EQ_INT(x->count, y->count) || !CHECK_EQ_INT(x->vnet_len, y->vnet_len) || !CHECK_EQ_INT(x->len, y->len) ||
            !CHECK_BYTES(x->wire_vnet, y->wire_vnet, x->vnet_len) || !CHECK_BYTES(x->bytes, y->bytes, x->len))
            return 0;
    }
    return 1;
}

static void run_packets(tuo_gro *gro, const ref_pkt *pkts)
{
    size_t i;

    for (i = 0; i < batch.count; i++)
        h_push(&batch, gro, i, pkts[i].trusted ? TUO_F_TRUST : 0u);
    h_drain(&batch, gro);
}

/* The fast path finds nothing, or finds any item for any packet: both change nothing but the time that it takes. */
static void run_without_guesses(tuo_gro *gro, const ref_pkt *pkts)
{
    size_t i;

    for (i = 0; i < batch.count; i++) {
        inside_forget_guesses(gro);
        h_push(&batch, gro, i, pkts[i].trusted ? TUO_F_TRUST : 0u);
    }
    h_drain(&batch, gro);
    CHECK_EQ_INT(inside_fast_count(gro), 0);
}

static void run_with_wrong_guesses(tuo_gro *gro, const ref_pkt *pkts)
{
    size_t i;

    for (i = 0; i < batch.count; i++) {
        inside_scramble_guesses(gro, rng_u64(&dice));
        h_push(&batch, gro, i, pkts[i].trusted ? TUO_F_TRUST : 0u);
    }
    h_drain(&batch, gro);
}

/* The batch once more in another way: the same verdicts, bytes and counters. */
static int same_again(const tuo_gro_desc *desc, void (*run)(tuo_gro *, const ref_pkt *), const ref_pkt *pkts,
                      const tuo_gro_stats *stats)
{
    static h_batch first;
    tuo_gro_stats again;
    h_gro h = h_open(desc);
    int ok;

    first = batch;
    batch.group_count = batch.order_count = 0; /* they are freed with `first` */
    run(h.gro, pkts);
    tuo_gro_query_stats(h.gro, &again);
    ok = same_output(&first, &batch) && h_same_stats(&again, stats);
    h_forget_output(&first);
    h_close(&h);
    total.repeated++;
    return ok;
}

/* At another level: scalar, or, if that is what it was, any. */
static int same_at_another_level(const tuo_gro_desc *before, const ref_pkt *pkts, const tuo_gro_stats *stats)
{
    tuo_gro_desc desc = *before;

    desc.simd = before->simd == TUO_SIMD_SCALAR ? simd_level_at((unsigned)rng_u64(&dice)) : TUO_SIMD_SCALAR;
    return same_again(&desc, run_packets, pkts, stats);
}

/* Offsets behind the headers at which a packet is cut; none of a packet whose headers are not known. */
static size_t random_cuts(size_t i, size_t *cuts)
{
    pkt_view v = pkt_look(batch.pkt[i], batch.len[i], batch.ethernet, 0);
    size_t count = v.status == PKT_OK && v.payload ? rng_below(&dice, CUTS_MAX + 1) : 0, k, at = v.payload;

    for (k = 0; k < count; k++) {
        const size_t left = batch.len[i] - at;
        at += rng_chance(&dice, 1, 3) ? rng_below(&dice, left < 3 ? (uint32_t)left + 1 : 3) : rng_below(&dice, (uint32_t)left + 1);
        cuts[k] = at;
    }
    return count;
}

/* The batch once more in pieces, which max_frags does not limit. */
static int same_in_pieces(const tuo_gro_desc *before, const ref_pkt *pkts)
{
    static h_batch first;
    static h_pieces pieces[H_PACKETS];
    tuo_gro_desc desc = *before;
    size_t cuts[CUTS_MAX], i;
    h_gro h;
    int ok;

    desc.max_packets = SPECS_MAX * (CUTS_MAX + 1);
    h = h_open(&desc);
    first = batch;
    batch.group_count = batch.order_count = 0; /* they are freed with `first` */
    for (i = 0; i < batch.count; i++) {
        pieces[i] = h_cut(&batch, i, cuts, random_cuts(i, cuts));
        total.in_pieces += pieces[i].count > 1;
        h_push_pieces(&batch, h.gro, i, &pieces[i], pkts[i].trusted ? TUO_F_TRUST : 0u);
    }
    h_drain(&batch, h.gro);
    ok = same_output(&first, &batch);
    for (i = 0; i < batch.count; i++)
        h_free_pieces(&pieces[i]);
    h_forget_output(&first);
    h_close(&h);
    return ok;
}

static void count_round(const tuo_gro *gro)
{
    tuo_gro_stats stats;
    int v;

    tuo_gro_query_stats(gro, &stats);
    CHECK_EQ_INT(stats.packets_in, batch.count);
    CHECK_EQ_INT(stats.packets_out, batch.group_count);
    total.packets += (unsigned long)batch.count;
    total.merged += (unsigned long)stats.merged_packets;
    total.superpackets += (unsigned long)stats.superpackets;
    total.joined += (unsigned long)stats.joined_items;
    for (v = 0; v < TUO_V_COUNT; v++)
        total.verdicts[v] += (unsigned long)stats.verdicts[v];
}

static void count_switches(const tuo_gro_desc *desc)
{
    size_t g, k;

    for (g = 0; g < batch.group_count; g++) {
        const h_group *group = &batch.group[g];
        for (k = 0; k < group->count && group->count > 1; k++) {
            size_t input = batch.order[group->first + k];
            pkt_view v = pkt_look(batch.pkt[input], batch.len[input], batch.ethernet, 0);
            total.finished += k == 0 && desc->finish_checksum;
            total.odd += k == 0 && desc->finish_checksum && v.payload_len % 2;
            total.given_csums += (unsigned long)h_lacks_csum(batch.pkt[input], &v);
        }
    }
}

/* One instance whose hash puts no two of the address pairs together; 0 if there are too many pairs for that. */
static int open_without_clash(rng *r, tuo_gro_desc *desc, const ref_batch *t, h_gro *h)
{
    int tries;

    for (tries = 0; tries < 200; tries++) {
        desc->hash_seed = rng_u64(r);
        *h = h_open(desc);
        if (!addresses_clash(h->gro, t))
            return 1;
        h_close(h);
    }
    return 0;
}

static int run_round(rng *r, size_t count, uint32_t disorder)
{
    static pkt_spec specs[SPECS_MAX];
    static ref_pkt pkts[SPECS_MAX];
    tuo_gro_desc desc = random_desc(r);
    ref_options options = mirror(&desc);
    int trusting = rng_chance(r, 1, 10);
    ref_batch t;
    size_t i, n = make_traffic(r, specs, count, desc.ethernet);
    int ok = 1;
    h_gro h;

    h_clear(&batch);
    if (disorder)
        disorder_traffic(r, specs, n, 1 + rng_below(r, disorder));
    for (i = 0; i < n; i++) {
        specs[i].l4_csum_zero |= specs[i].kind == PKT_UDP4 && desc.merge_zero_csum4 && rng_chance(&dice, 1, 2);
        h_add(&batch, &specs[i]);
        batch.ethernet = desc.ethernet;
        if (rng_chance(r, 1, 60))
            damage(r, i);
        pkts[i].bytes = batch.pkt[i];
        pkts[i].len = batch.len[i];
        pkts[i].trusted = trusting && rng_chance(r, 1, 2);
        pkts[i].capacity = 0;
    }
    t = ref_coalesce(pkts, n, &options);
    if (open_without_clash(r, &desc, &t, &h)) {
        tuo_gro_stats stats;
        run_packets(h.gro, pkts);
        tuo_gro_query_stats(h.gro, &stats);
        total.fast += (unsigned long)inside_fast_count(h.gro);
        if (stats.flow.evictions)
            total.skipped++; /* more flows in one bucket than it holds: correct, but not what the naive merger does */
        else
            ok = same_emission(&t);
        ok = ok && h_check_batch(&batch, &desc) && order_is_kept(&t);
        count_round(h.gro);
        count_switches(&desc);
        h_close(&h);
        if (ok && rng_chance(&dice, 1, 8))
            ok = same_at_another_level(&desc, pkts, &stats);
        if (ok && rng_chance(&dice, 1, 4))
            ok = same_again(&desc, run_without_guesses, pkts, &stats) && same_again(&desc, run_with_wrong_guesses, pkts, &stats);
        if (ok && desc.max_frags == 0 && rng_chance(&dice, 1, 3))
            ok = same_in_pieces(&desc, pkts);
    } else {
        total.skipped++;
    }
    ref_batch_free(&t);
    return ok;
}

static void run_rounds(const char *what, uint64_t seed, unsigned rounds, size_t count, uint32_t disorder)
{
    rng r = rng_start(what, seed);
    unsigned i;

    dice.state = r.state + 1;
    for (i = 0; i < rounds; i++)
        if (!run_round(&r, 1 + rng_below(&r, (uint32_t)count), disorder)) {
            printf("%s: round %u\n", what, i);
            break;
        }
    CHECK_EQ_INT(i, rounds);
    h_clear(&batch);
}

TEST(short_batches)
{
    run_rounds("short batches", 20240601, 4000, 12, 0);
}

TEST(long_batches)
{
    run_rounds("long batches", 20240602, 800, SPECS_MAX, 0);
}

TEST(short_batches_out_of_order)
{
    run_rounds("short batches out of order", 20240603, 4000, 12, 8);
}

TEST(long_batches_out_of_order)
{
    run_rounds("long batches out of order", 20240604, 800, SPECS_MAX, 40);
}

/* ----------------------------------------------------------------------------------------------------------- by batches */

/* One way to call: so many packets, or as many as there are, in each call, in and out. */
typedef struct batch_way {
    size_t in, out;
    unsigned hint;
    int with_verdicts;
} batch_way;

static void push_singly(tuo_gro *gro, unsigned hint)
{
    size_t i;

    for (i = 0; i < batch.count; i++)
        while (h_push(&batch, gro, i, hint) == TUO_V_NO_ROOM)
            h_drain(&batch, gro);
    h_drain(&batch, gro);
}

static void push_by_batches(tuo_gro *gro, const batch_way *way)
{
    size_t first, taken, count;

    for (first = 0; first < batch.count; first += taken) {
        count = batch.count - first < way->in ? batch.count - first : way->in;
        taken = h_push_batch(&batch, gro, first, count, way->hint, way->with_verdicts);
        if (taken < count)
            h_drain_batch(&batch, gro, way->out);
    }
    h_drain_batch(&batch, gro, way->out);
}

/* More packets than the rounds above, so that batches of some hundred are in them: several senders' traffic, one after the other. */
static void make_long_traffic(rng *r, int ethernet)
{
    enum { PARTS = 4 };
    static pkt_spec specs[SPECS_MAX];
    size_t part, i, n;

    h_clear(&batch);
    for (part = 0; part < PARTS; part++) {
        n = make_traffic(r, specs, SPECS_MAX, ethernet);
        if (part % 2)
            disorder_traffic(r, specs, n, 1 + rng_below(r, 20));
        for (i = 0; i < n; i++) {
            h_add(&batch, &specs[i]);
            batch.ethernet = ethernet;
            if (rng_chance(r, 1, 60))
                damage(r, batch.count - 1);
        }
    }
}

/* With verdicts or without: what h_push left of the first run is then what the second is compared with. */
static int same_by_batches(rng *r, const batch_way *way)
{
    static const uint32_t max_packets[] = {0, 1, 5, 100, 1000};
    static h_batch singly;
    tuo_gro_desc desc = random_desc(r);
    tuo_gro_stats stats, again;
    h_gro h, h2;
    int ok;

    desc.max_packets = max_packets[rng_below(r, CHECK_COUNT_OF(max_packets))];
    desc.max_flows = rng_chance(r, 1, 3) ? 1 : 0;
    make_long_traffic(r, desc.ethernet);
    h = h_open(&desc);
    push_singly(h.gro, way->hint);
    tuo_gro_query_stats(h.gro, &stats);
    ok = h_check_batch(&batch, &desc);
    singly = batch;
    batch.group_count = batch.order_count = 0; /* they are freed with `singly` */
    h2 = h_open(&desc);
    push_by_batches(h2.gro, way);
    tuo_gro_query_stats(h2.gro, &again);
    ok = ok && same_output(&singly, &batch) && h_same_stats(&again, &stats);
    total.batched += (unsigned long)stats.superpackets;
    h_forget_output(&singly);
    h_close(&h);
    h_close(&h2);
    return ok;
}

TEST(batches_as_single_calls)
{
    static const size_t in[] = {1, 2, 7, 64, 300}, out[] = {1, 3, 64, 700};
    static const unsigned hints[] = {0, TUO_F_TRUST, TUO_F_TRUST_L4};
    rng r = rng_start("batches", 20240605);
    size_t i, k, round;
    batch_way way;

    for (i = 0; i < CHECK_COUNT_OF(in); i++)
        for (k = 0; k < CHECK_COUNT_OF(hints); k++)
            for (way.with_verdicts = 0; way.with_verdicts < 2; way.with_verdicts++) {
                way.in = in[i];
                way.hint = hints[k];
                check_row("%lu a call, hint %u, %s", (unsigned long)way.in, way.hint, way.with_verdicts ? "verdicts" : "no verdicts");
                for (round = 0; round < 8; round++) {
                    way.out = out[round % CHECK_COUNT_OF(out)];
                    if (!same_by_batches(&r, &way)) {
                        printf("round %lu\n", (unsigned long)round);
                        break;
                    }
                }
                CHECK(total.batched > 100); /* superpackets of this row */
                total.batched = 0;
            }
    h_clear(&batch);
}

/* ------------------------------------------------------------------------------------------------ finished checksums */

/* Two segments whose superpacket adds up to zero without its checksum, or to anything else: the field is the one that a sender writes,
   0x0000 rather than 0xffff. The word that makes it so is in the second segment, there at an even or at an odd place. */
static void add_up_to(pkt_kind kind, int32_t gso_size, unsigned field)
{
    const tuo_gro_desc desc = {.finish_checksum = 1};
    uint8_t *last;
    size_t i, pass;

    h_clear(&batch);
    for (i = 0; i < 2; i++) {
        const pkt_spec s = {.kind = kind, .payload_len = gso_size, .seq = (uint32_t)i * (uint32_t)gso_size, .ip_id = (uint16_t)i};
        h_add(&batch, &s);
    }
    last = batch.pkt[1] + batch.len[1] - 4; /* a word of the whole, of which the length is even */
    pkt_put16(last, 0);
    for (pass = 0; pass < 2; pass++) { /* what the field is with this word 0; then with the word that makes it what it should be */
        h_gro h = h_open(&desc);
        pkt_view v;
        unsigned sum;
        pkt_fix_checksums(batch.pkt[1], batch.len[1], 0);
        h_forget_output(&batch);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        CHECK_EQ_INT(batch.group_count, 1);
        h_check_batch(&batch, &desc);
        v = pkt_look(batch.group[0].bytes, batch.group[0].len, 0, 0);
        sum = pkt_get16(batch.group[0].bytes + v.l4 + 16) + (field ^ 0xffff);
        if (pass)
            CHECK_EQ_INT(pkt_get16(batch.group[0].bytes + v.l4 + 16), field);
        pkt_put16(last, (sum & 0xffff) + (sum >> 16));
        h_close(&h);
    }
    h_clear(&batch);
}

TEST(finished_sums_at_the_edges)
{
    static const unsigned fields[] = {0, 1, 0x8000, 0xfffe};
    static const int32_t sizes[] = {8, 9, 100, 101, 1447, 1448};
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(fields); i++)
        for (k = 0; k < CHECK_COUNT_OF(sizes); k++) {
            check_row("field %04x, segments of %d", fields[i], (int)sizes[k]);
            add_up_to(PKT_TCP4, sizes[k], fields[i]);
            add_up_to(PKT_TCP6, sizes[k], fields[i]);
        }
}

/* As many segments as fit, of the smallest and of odd sizes, with payloads of zeros and of ones. */
TEST(finished_large_superpackets)
{
    static const int32_t sizes[] = {33, 64, 1201, 9001};
    static uint8_t payload[9001];
    const tuo_gro_desc desc = {.finish_checksum = 1, .max_packets = H_PACKETS, .max_frags = 65535};
    size_t i, k, kind;

    for (i = 0; i < CHECK_COUNT_OF(sizes) * 2; i++)
        for (kind = PKT_TCP4; kind <= PKT_TCP6; kind += PKT_TCP6 - PKT_TCP4) {
            const int32_t size = sizes[i / 2];
            h_gro h = h_open(&desc);
            check_row("segments of %d, kind %u", (int)size, (unsigned)kind);
            memset(payload, i % 2 ? 0xff : 0, sizeof payload);
            h_clear(&batch);
            for (k = 0; k < (size_t)(65000 / size); k++) {
                const pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = size, .payload = payload, .ip_id = (uint16_t)k,
                                    .seq = 0xffffff00u + (uint32_t)k * (uint32_t)size};
                h_add(&batch, &s);
            }
            h_push_all(&batch, h.gro, 0);
            h_drain(&batch, h.gro);
            CHECK_EQ_INT(batch.group_count, 1);
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    h_clear(&batch);
}

/* The rounds prove nothing if their traffic never merges, or never fails to. */
TEST(traffic_was_varied)
{
    int v, seen = 0;

    for (v = 0; v < TUO_V_COUNT; v++)
        seen += total.verdicts[v] != 0;
    printf("%lu packets, %lu merged into %lu superpackets, %lu items joined, %d verdicts, %lu rounds not compared, %lu repeated in another "
           "way, %lu packets in pieces, %lu superpackets finished, %lu of odd segments, %lu datagrams got a checksum\n", total.packets,
           total.merged, total.superpackets, total.joined, seen, total.skipped, total.repeated, total.in_pieces, total.finished, total.odd,
           total.given_csums);
    if (!total.verdicts[TUO_V_HELD]) {
        check_skip("no traffic was made");
        return;
    }
    CHECK(total.merged > total.packets / 4);
    CHECK(total.superpackets > 1000);
    CHECK(total.joined > 1000);
    CHECK(total.verdicts[TUO_V_PREPENDED] > 100);
    CHECK(total.verdicts[TUO_V_SEQ_GAP] > 100);
    CHECK(total.verdicts[TUO_V_HEAD_BAD_CSUM] > 10);
    CHECK(total.verdicts[TUO_V_PAIR_CLOSED] > 10);
    CHECK(seen >= 45);
    CHECK(total.skipped < 20);
    CHECK(total.repeated > 1000);
    CHECK(total.fast > total.packets / 10);
    CHECK(total.finished > 1000);
    CHECK(total.odd > 200);
    CHECK(total.given_csums > 1000);
    CHECK(total.in_pieces > 10000);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(short_batches),
        CHECK_ENTRY(long_batches),
        CHECK_ENTRY(short_batches_out_of_order),
        CHECK_ENTRY(long_batches_out_of_order),
        CHECK_ENTRY(finished_sums_at_the_edges),
        CHECK_ENTRY(finished_large_superpackets),
        CHECK_ENTRY(traffic_was_varied),
        CHECK_ENTRY(batches_as_single_calls),
    };

    return CHECK_RUN(argc, argv, tests);
}
