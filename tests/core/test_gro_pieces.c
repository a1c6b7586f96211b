/* test_gro_pieces.c - packets in pieces (tuo_gro_push_iov). However a packet is cut behind its headers, verdicts, counters and emitted
   bytes are those of the packet in one piece. A header that is cut is not read beyond its piece: the packet passes, and its flow is
   closed. Each piece is in an allocation of exactly its size. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "inside.h"
#include "gro_traffic.h"

enum { PACKETS = 4, PAYLOAD = 9, CUTS = 3 };

static h_batch whole, cut;

/* ------------------------------------------------------------------------------------------------ cut behind the headers */

typedef struct shape_row {
    const char *name;
    pkt_spec spec;
} shape_row;

static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static const shape_row shapes[] = {
    {"TCP4", {.kind = PKT_TCP4}},
    {"TCP6", {.kind = PKT_TCP6}},
    {"UDP4", {.kind = PKT_UDP4}},
    {"UDP6", {.kind = PKT_UDP6}},
    {"TCP4 with options in Ethernet", {.kind = PKT_TCP4, .ethernet = 1, .tcp_options = nops, .tcp_options_len = 12}},
    {"TCP6 with extension headers", {.kind = PKT_TCP6, .ext_chain = "HD"}},
    {"UDP4 behind two tags", {.kind = PKT_UDP4, .ethernet = 1, .vlan_count = 2}},
};

/* A flow whose packets come as 0 2 1 3, so that TCP joins two items; the last is short. */
static void make_flow(h_batch *b, const pkt_spec *base)
{
    static const uint32_t order[PACKETS] = {0, 2, 1, 3};
    size_t i;

    h_clear(b);
    for (i = 0; i < PACKETS; i++) {
        pkt_spec s = *base;
        s.payload_len = order[i] == PACKETS - 1 ? PAYLOAD - 4 : PAYLOAD;
        s.seq = order[i] * PAYLOAD;
        s.ip_id = (uint16_t)order[i];
        h_add(b, &s);
    }
}

static tuo_gro_stats run_whole(const tuo_gro_desc *desc, unsigned hint)
{
    tuo_gro_stats stats;
    h_gro h = h_open(desc);

    h_forget_output(&whole);
    h_push_all(&whole, h.gro, hint);
    h_drain(&whole, h.gro);
    tuo_gro_query_stats(h.gro, &stats);
    h_close(&h);
    return stats;
}

/* The same bytes; packets whose bit is set in `which` are in pieces. */
static tuo_gro_stats run_cut(const tuo_gro_desc *desc, unsigned hint, unsigned which, const size_t *cuts, size_t cut_count)
{
    h_pieces pieces[PACKETS];
    tuo_gro_stats stats;
    h_gro h = h_open(desc);
    size_t i;

    h_clear(&cut);
    cut.ethernet = whole.ethernet;
    for (i = 0; i < PACKETS; i++) {
        size_t at[CUTS], k;
        h_add_bytes(&cut, whole.pkt[i], whole.len[i]);
        for (k = 0; k < cut_count; k++)
            at[k] = cuts[k] < whole.len[i] ? cuts[k] : whole.len[i];
        pieces[i] = h_cut(&cut, i, at, which >> i & 1 ? cut_count : 0);
        h_push_pieces(&cut, h.gro, i, &pieces[i], hint);
        cut.trusted[i] = hint != 0; /* TRUST_L4 as well: nobody looks at the payload */
    }
    h_drain(&cut, h.gro);
    for (i = 0; i < PACKETS; i++)
        h_free_pieces(&pieces[i]);
    tuo_gro_query_stats(h.gro, &stats);
    h_close(&h);
    return stats;
}

static int same_groups(void)
{
    size_t g;

    if (!CHECK_EQ_INT(cut.group_count, whole.group_count) || !CHECK_EQ_INT(cut.order_count, whole.order_count))
        return 0;
    for (g = 0; g < whole.group_count; g++) {
        const h_group *a = &cut.group[g], *b = &whole.group[g];
        if (!CHECK_EQ_INT(a->count, b->count) || !CHECK_EQ_INT(a->len, b->len) || !CHECK_BYTES(a->bytes, b->bytes, b->len) ||
            !CHECK_EQ_INT(a->vnet_len, b->vnet_len) || !CHECK_BYTES(a->wire_vnet, b->wire_vnet, b->vnet_len))
            return 0;
    }
    return CHECK(memcmp(cut.order, whole.order, whole.order_count * sizeof *whole.order) == 0);
}

static int same_run(const tuo_gro_desc *desc, unsigned hint, unsigned which, const size_t *cuts, size_t cut_count)
{
    const tuo_gro_stats a = run_whole(desc, hint), b = run_cut(desc, hint, which, cuts, cut_count);
    size_t i;

    for (i = 0; i < PACKETS; i++)
        if (!CHECK_VERDICT(cut.verdict[i], whole.verdict[i]))
            return 0;
    return same_groups() && CHECK(memcmp(&a, &b, sizeof a) == 0) && h_check_batch(&cut, desc);
}

/* One packet, or all of them, in two and in three pieces, cut at every byte behind the headers; some pieces are empty. */
static int same_however_cut(const tuo_gro_desc *desc, unsigned hint)
{
    const pkt_view v = pkt_look(whole.pkt[0], whole.len[0], whole.ethernet, 0);
    size_t cuts[2];
    unsigned which;

    for (which = 1; which < 1u << PACKETS; which += which < 1u << (PACKETS - 1) ? which : (1u << (PACKETS - 1)) - 1)
        for (cuts[0] = v.payload; cuts[0] <= whole.len[0]; cuts[0]++)
            for (cuts[1] = cuts[0]; cuts[1] <= whole.len[0]; cuts[1]++)
                if (!same_run(desc, hint, which, cuts, 2))
                    return 0;
    return 1;
}

TEST(cut_anywhere_behind_the_headers)
{
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++) {
        const tuo_gro_desc desc = {.ethernet = shapes[i].spec.ethernet};
        check_row("%s", shapes[i].name);
        make_flow(&whole, &shapes[i].spec);
        CHECK(same_however_cut(&desc, 0));
    }
    h_clear(&whole);
    h_clear(&cut);
}

/* Hints, switches, and checksums that are wrong in each of the packets. */
TEST(cut_with_hints_and_wrong_checksums)
{
    static const struct {
        const char *name;
        unsigned hint;
        tuo_gro_desc desc;
    } rows[] = {
        {"TRUST", TUO_F_TRUST, {0}},
        {"TRUST_L4", TUO_F_TRUST_L4, {0}},
        {"to a virtio guest", 0, {.virtio_guest = 1, .vnet_hdr_len = 12}},
        {"no vnet header", 0, {.no_vnet_hdr = 1}},
        {"in order only", 0, {.disable_prepend = 1}},
        {"switched off", 0, {.disable_tcp4 = 1}},
    };
    static const size_t cuts[] = {41, 44, 44};
    const pkt_spec base = {.kind = PKT_TCP4};
    size_t i, p, at;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        make_flow(&whole, &base);
        CHECK(same_run(&rows[i].desc, rows[i].hint, 15, cuts, 3));
        CHECK(same_run(&rows[i].desc, rows[i].hint, 5, cuts, 3));
        for (p = 0; p < PACKETS; p++)
            for (at = 10; at < whole.len[p]; at += at == 10 ? 30 : 1) { /* the checksum of the IPv4 header, and each byte of the payload */
                whole.pkt[p][at] ^= 1;
                CHECK(same_run(&rows[i].desc, rows[i].hint, 15, cuts, 3));
                whole.pkt[p][at] ^= 1;
            }
    }
    h_clear(&whole);
    h_clear(&cut);
}

/* ------------------------------------------------------------------------------------------------------ a header that is cut */

static tuo_verdict verdict_of_a_cut_header(const pkt_view *v, size_t at)
{
    const size_t fixed = v->ip + (v->version == 4 ? 20 : 40);

    if (at < fixed)
        return TUO_V_TRUNCATED;
    if (v->version == 6 && at < v->l4)
        return TUO_V_IP6_EXT;
    return v->proto == PKT_PROTO_TCP ? TUO_V_TCP_HEADER : TUO_V_UDP_LENGTH;
}

/* Two packets that would be neighbours, and between them one whose headers end in the second piece. If its addresses can be read, the
   flow is closed: what comes behind must not overtake it. */
static void check_cut_header(const tuo_gro_desc *desc, size_t at)
{
    const pkt_view v = pkt_look(whole.pkt[1], whole.len[1], whole.ethernet, 0);
    const tuo_verdict expected = verdict_of_a_cut_header(&v, at);
    h_pieces pieces = h_cut(&whole, 1, &at, 1);
    h_gro h = h_open(desc);
    char text[16];

    check_row("%u of %u header bytes in the first piece", (unsigned)at, (unsigned)v.payload);
    h_forget_output(&whole);
    h_push(&whole, h.gro, 0, 0);
    CHECK_VERDICT(h_push_pieces(&whole, h.gro, 1, &pieces, 0), expected);
    h_push(&whole, h.gro, 2, 0);
    h_drain(&whole, h.gro);
    CHECK_EQ_STR(h_groups(&whole, text, sizeof text), expected == TUO_V_TRUNCATED ? "02|1" : "0|1|2");
    h_check_batch(&whole, desc);
    h_free_pieces(&pieces);
    h_close(&h);
}

TEST(headers_that_are_cut)
{
    static const uint8_t ip_options[4] = {1, 1, 1, 0};
    size_t i, at;
    int options;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++)
        for (options = 0; options < (pkt_is_v6(&shapes[i].spec) ? 1 : 2); options++) {
            const tuo_gro_desc desc = {.ethernet = shapes[i].spec.ethernet};
            pkt_spec s = shapes[i].spec;
            pkt_view v;
            s.payload_len = 20;
            h_clear(&whole);
            h_add(&whole, &s);
            s.seq = 20;
            s.ip_id = 1;
            s.ip_options = ip_options;
            s.ip_options_len = options ? 4 : 0;
            h_add(&whole, &s);
            s.ip_options_len = 0;
            h_add(&whole, &s);
            v = pkt_look(whole.pkt[1], whole.len[1], whole.ethernet, 0);
            for (at = 0; at < v.payload; at++)
                check_cut_header(&desc, at);
        }
    h_clear(&whole);
}

/* Any traffic, with headers that lie, cut anywhere: no byte beyond a piece is read, and nothing is lost or changed. */
TEST(hostile_packets_cut_anywhere)
{
    static pkt_spec specs[SPECS_MAX];
    static h_pieces pieces[SPECS_MAX];
    rng r = rng_start("cut anywhere", 1913);
    unsigned round;

    for (round = 0; round < 400; round++) {
        const tuo_gro_desc desc = {.ethernet = round & 1, .max_packets = 4 * SPECS_MAX, .max_frags = round & 2 ? 5 : 0};
        size_t n = make_traffic(&r, specs, 1 + rng_below(&r, 40), desc.ethernet), i, k;
        h_gro h = h_open(&desc);
        h_clear(&cut);
        for (i = 0; i < n; i++) {
            size_t cuts[CUTS], at = 0, count = rng_below(&r, CUTS + 1);
            h_add(&cut, &specs[i]);
            cut.ethernet = desc.ethernet;
            if (rng_chance(&r, 1, 4))
                cut.pkt[i][rng_below(&r, cut.len[i] < 90 ? (uint32_t)cut.len[i] : 90)] ^= (uint8_t)(1u << rng_below(&r, 8));
            for (k = 0; k < count; k++) {
                const uint32_t left = (uint32_t)(cut.len[i] - at);
                at += rng_below(&r, (left < 60 ? left : 60) + 1);
                cuts[k] = at;
            }
            pieces[i] = h_cut(&cut, i, cuts, count);
            h_push_pieces(&cut, h.gro, i, &pieces[i], 0);
        }
        h_drain(&cut, h.gro);
        if (!CHECK(h_check_batch(&cut, &desc)))
            printf("round %u\n", round);
        for (i = 0; i < n; i++)
            h_free_pieces(&pieces[i]);
        h_close(&h);
    }
    h_clear(&cut);
}

/* ----------------------------------------------------------------------------------------------------------------- limits */

/* Packets of 100 bytes of one flow, each in pieces[i] pieces, in the order of seqs. */
typedef struct limit_row {
    const char *name, *groups;
    tuo_gro_desc desc;
    pkt_kind kind;
    size_t count;
    uint32_t seqs[5];
    uint8_t pieces[5];
    tuo_verdict last;
} limit_row;

static const limit_row limit_rows[] = {
    {"exactly", "012", {.max_frags = 5}, PKT_TCP4, 3, {0, 1, 2}, {2, 2, 1}, TUO_V_APPENDED},
    {"the last has one too many", "01|2", {.max_frags = 5}, PKT_TCP4, 3, {0, 1, 2}, {2, 2, 2}, TUO_V_CAP_FRAGS},
    {"the last is in one piece", "012|3", {.max_frags = 5}, PKT_TCP4, 4, {0, 1, 2, 3}, {2, 2, 1, 1}, TUO_V_CAP_FRAGS},
    {"by the fast path", "0123", {.max_frags = 5}, PKT_TCP4, 4, {0, 1, 2, 3}, {1, 2, 1, 1}, TUO_V_APPENDED},
    {"by the fast path, one too many", "0123|4", {.max_frags = 5}, PKT_TCP4, 5, {0, 1, 2, 3, 4}, {1, 2, 1, 1, 1}, TUO_V_CAP_FRAGS},
    {"the first takes all", "0|1", {.max_frags = 5}, PKT_TCP4, 2, {0, 1}, {5, 1}, TUO_V_CAP_FRAGS},
    {"join, exactly", "021", {.max_frags = 5}, PKT_TCP4, 3, {0, 2, 1}, {2, 2, 1}, TUO_V_APPENDED},
    {"join, one too many", "02|1", {.max_frags = 5}, PKT_TCP4, 3, {0, 2, 1}, {2, 2, 2}, TUO_V_APPENDED},
    {"join, then one more", "021|3", {.max_frags = 5}, PKT_TCP4, 4, {0, 2, 1, 3}, {2, 2, 1, 1}, TUO_V_CAP_FRAGS},
    {"join of one piece to several", "021", {.max_frags = 5}, PKT_TCP4, 3, {0, 2, 1}, {2, 1, 2}, TUO_V_APPENDED},
    {"prepend, exactly", "10", {.max_frags = 5}, PKT_TCP4, 2, {1, 0}, {2, 3}, TUO_V_PREPENDED},
    {"prepend, one too many", "1|0", {.max_frags = 5}, PKT_TCP4, 2, {1, 0}, {3, 3}, TUO_V_CAP_FRAGS},
    {"segments before pieces", "01|2", {.max_frags = 5, .max_segs = 2}, PKT_TCP4, 3, {0, 1, 2}, {2, 2, 2}, TUO_V_CAP_SEGS},
    {"bytes before pieces", "0|1", {.max_frags = 2, .max_bytes = 576}, PKT_TCP4, 2, {0, 5}, {2, 2}, TUO_V_SEQ_GAP},
    {"segments of UDP, fewer than pieces", "01234", {.max_udp_segs = 5}, PKT_UDP4, 5, {0}, {4, 4, 4, 4, 4}, TUO_V_APPENDED},
    {"UDP", "01|2", {.max_frags = 5, .max_udp_segs = 4}, PKT_UDP4, 3, {0}, {2, 2, 2}, TUO_V_CAP_FRAGS},
};

static void check_limit(const limit_row *row)
{
    h_pieces pieces[5];
    h_gro h = h_open(&row->desc);
    tuo_superpacket sp;
    char text[32];
    size_t i;

    h_clear(&cut);
    for (i = 0; i < row->count; i++) {
        const pkt_spec s = {.kind = row->kind, .seq = row->seqs[i] * 100, .ip_id = (uint16_t)(row->kind == PKT_UDP4 ? i : row->seqs[i])};
        size_t cuts[4], k;
        h_add(&cut, &s);
        for (k = 0; k < 4; k++)
            cuts[k] = 60 + k * 7;
        pieces[i] = h_cut(&cut, i, cuts, row->pieces[i] - 1u);
        h_push_pieces(&cut, h.gro, i, &pieces[i], 0);
    }
    CHECK_VERDICT(cut.verdict[row->count - 1], row->last);
    while (tuo_gro_next(h.gro, &sp) == TUO_OK) {
        CHECK(sp.packet_count == 1 || sp.iov_count <= 1 + (row->desc.max_frags ? row->desc.max_frags : 1022u));
        h_collect(&cut, &sp);
    }
    CHECK_EQ_STR(h_groups(&cut, text, sizeof text), row->groups);
    h_check_batch(&cut, &row->desc);
    for (i = 0; i < row->count; i++)
        h_free_pieces(&pieces[i]);
    h_close(&h);
}

TEST(pieces_count_against_max_frags)
{
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(limit_rows); i++) {
        check_row("%s", limit_rows[i].name);
        check_limit(&limit_rows[i]);
    }
    h_clear(&cut);
}

/* Whole lists of iovecs fit into the instance, in the worst case as well: every packet leaves alone in two pieces. */
TEST(pieces_count_against_max_packets)
{
    const tuo_gro_desc desc = {.max_packets = 6};
    const size_t at = 60;
    h_pieces pieces[3], three;
    h_gro h = h_open(&desc);
    tuo_gro_stats stats;
    size_t i, round;

    for (round = 0; round < 2; round++) {
        h_clear(&cut);
        for (i = 0; i < 4; i++) {
            const pkt_spec s = {.src_port = (int32_t)(1000 + i)};
            h_add(&cut, &s);
        }
        for (i = 0; i < 3; i++)
            pieces[i] = h_cut(&cut, i, &at, 1);
        CHECK_VERDICT(h_push_pieces(&cut, h.gro, 0, &pieces[0], 0), TUO_V_HELD);
        CHECK_VERDICT(h_push_pieces(&cut, h.gro, 1, &pieces[1], 0), TUO_V_HELD);
        if (round == 0) {
            CHECK_VERDICT(h_push_pieces(&cut, h.gro, 2, &pieces[2], 0), TUO_V_HELD);
            CHECK_VERDICT(h_push(&cut, h.gro, 3, 0), TUO_V_NO_ROOM);
        } else { /* one packet fits, in one piece */
            CHECK_VERDICT(h_push(&cut, h.gro, 2, 0), TUO_V_HELD);
            h_free_pieces(&pieces[2]);
            pieces[2] = h_cut(&cut, 3, &at, 1);
            CHECK_VERDICT(h_push_pieces(&cut, h.gro, 3, &pieces[2], 0), TUO_V_NO_ROOM);
        }
        h_drain(&cut, h.gro);
        CHECK_EQ_INT(cut.order_count, 3);
        CHECK_EQ_INT(cut.group_count, 3);
        for (i = 0; i < 3; i++) {
            CHECK_EQ_INT(cut.order[i], i);
            CHECK_BYTES(cut.group[i].bytes, cut.pkt[i], cut.len[i]);
            h_free_pieces(&pieces[i]);
        }
    }
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.packets_in, 6);
    CHECK_EQ_INT(stats.verdicts[TUO_V_NO_ROOM], 2);
    three = h_cut(&cut, 0, (const size_t[]){50, 60}, 2);
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 0, &three, 0), TUO_V_HELD);
    tuo_gro_reset(h.gro);
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 0, &three, 0), TUO_V_HELD);
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 0, &three, 0), TUO_V_SEQ_OVERLAP);
    h_free_pieces(&three);
    h_close(&h);
    h_clear(&cut);
}

TEST(pieces_that_are_not_taken)
{
    const tuo_gro_desc desc = {.max_packets = 8, .max_frags = 4}, few = {.max_packets = 2};
    const pkt_spec s = {0};
    tuo_iov iov[9];
    h_gro h = h_open(&desc);
    tuo_superpacket sp;
    tuo_gro_stats stats;
    size_t i;

    h_clear(&cut);
    h_add(&cut, &s);
    for (i = 0; i < CHECK_COUNT_OF(iov); i++) {
        iov[i].base = cut.pkt[0];
        iov[i].len = i ? 0 : cut.len[0];
    }
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 0, NULL, 0), TUO_V_PIECES);
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, NULL, 0, NULL, 0), TUO_V_PIECES);
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 5, NULL, 0), TUO_V_PIECES);
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 9, NULL, 0), TUO_V_PIECES);
    iov[2].len = 0x7FFFFFFFu - cut.len[0] + 1;
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 3, NULL, 0), TUO_V_PIECES);
    iov[2].len = (size_t)-1;
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 3, NULL, 0), TUO_V_PIECES);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    iov[2].len = 0x7FFFFFFFu - cut.len[0]; /* longer than its IP packet: no byte of it is read */
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 3, NULL, 0), TUO_V_TRAILING_BYTES);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.len - sp.vnet_len, 0x7FFFFFFF);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.verdicts[TUO_V_PIECES], 6);
    CHECK_EQ_INT(stats.packets_in, 1);
    h_close(&h);
    h = h_open(&few);
    iov[2].len = 1;
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, iov, 3, NULL, 0), TUO_V_PIECES);
    h_close(&h);
    h_clear(&cut);
}

/* ------------------------------------------------------------------------------------------------------------------ drain */

/* The iovecs point into the pieces; none is empty. What is one piece takes the fast path. */
TEST(nothing_is_copied)
{
    static const size_t cuts[] = {40, 40, 90};
    const tuo_gro_desc desc = {0};
    h_pieces pieces[2], one;
    tuo_superpacket sps[2];
    h_gro h = h_open(&desc);
    size_t i;

    h_clear(&cut);
    for (i = 0; i < 4; i++) {
        const pkt_spec s = {.seq = (uint32_t)i * 100 + (i == 3), .ip_id = (uint16_t)i};
        h_add(&cut, &s);
    }
    h_push(&cut, h.gro, 0, 0);
    one = h_cut(&cut, 1, &cut.len[1], 1); /* the second piece is empty */
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 1, &one, 0), TUO_V_APPENDED);
    CHECK_EQ_INT(inside_fast_count(h.gro), 1);
    for (i = 0; i < 2; i++) {
        pieces[i] = h_cut(&cut, 2 + i, cuts, 3);
        h_push_pieces(&cut, h.gro, 2 + i, &pieces[i], 0);
    }
    CHECK_EQ_INT(tuo_gro_next_batch(h.gro, sps, 2), 2);
    if (CHECK_EQ_INT(sps[0].iov_count, 5)) {
        CHECK(sps[0].iov[1].base == cut.pkt[0] + 40);
        CHECK(sps[0].iov[2].base == (const uint8_t *)one.iov[0].base + 40);
        CHECK(sps[0].iov[3].base == pieces[0].iov[2].base && sps[0].iov[4].base == pieces[0].iov[3].base);
    }
    if (CHECK_EQ_INT(sps[1].iov_count, 4)) {
        CHECK(sps[1].iov[1].base == pieces[1].iov[0].base && sps[1].iov[2].base == pieces[1].iov[2].base);
        CHECK_EQ_INT(sps[1].iov[3].len, 50);
    }
    for (i = 0; i < 2; i++) {
        h_collect(&cut, &sps[i]);
        h_free_pieces(&pieces[i]);
    }
    h_free_pieces(&one);
    h_check_batch(&cut, &desc);
    h_close(&h);
    h_clear(&cut);
}

/* Some leave, others are pushed, before TUO_DONE. */
TEST(pushed_while_others_leave)
{
    const tuo_gro_desc desc = {.max_packets = 16};
    const size_t at = 77;
    h_pieces pieces[4];
    tuo_superpacket sps[4];
    h_gro h = h_open(&desc);
    size_t i, n = 0;

    h_clear(&cut);
    for (i = 0; i < 4; i++) {
        const pkt_spec s = {.src_port = (int32_t)(1000 + i % 2), .seq = (uint32_t)i / 2 * 100, .ip_id = (uint16_t)(i / 2)};
        h_add(&cut, &s);
        pieces[i] = h_cut(&cut, i, &at, 1);
    }
    h_push_pieces(&cut, h.gro, 0, &pieces[0], 0);
    h_push_pieces(&cut, h.gro, 1, &pieces[1], 0);
    CHECK_RESULT(tuo_gro_next(h.gro, &sps[n++]), TUO_OK);
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 2, &pieces[2], 0), TUO_V_HELD); /* what leaves is closed */
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 3, &pieces[3], 0), TUO_V_HELD);
    while (n < 4 && CHECK_RESULT(tuo_gro_next(h.gro, &sps[n]), TUO_OK))
        n++;
    for (i = 0; i < n; i++)
        h_collect(&cut, &sps[i]);
    for (i = 0; i < 4; i++)
        h_free_pieces(&pieces[i]);
    h_check_batch(&cut, &desc);
    h_close(&h);
    h_clear(&cut);
}

/* Against the rules, but no reason to read beyond a piece: between packets in buffers, whose payloads are collected at the push. */
TEST(among_packets_in_buffers)
{
    const tuo_gro_desc desc = {0};
    uint8_t room[2][600];
    tuo_buf bufs[2];
    tuo_superpacket sp;
    h_pieces pieces;
    h_gro h = h_open(&desc);
    const size_t at = 45;
    size_t i;

    h_clear(&cut);
    for (i = 0; i < 3; i++) {
        const pkt_spec s = {.seq = (uint32_t)i * 100, .ip_id = (uint16_t)i};
        h_add(&cut, &s);
    }
    for (i = 0; i < 2; i++) {
        memset(&bufs[i], 0, sizeof bufs[i]);
        memcpy(room[i], cut.pkt[i], cut.len[i]);
        bufs[i].data = room[i];
        bufs[i].len = cut.len[i];
        bufs[i].capacity = sizeof room[i];
    }
    pieces = h_cut(&cut, 2, &at, 1);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[0], 0, 0), TUO_V_HELD);
    CHECK_VERDICT(h_push_pieces(&cut, h.gro, 2, &pieces, 0), TUO_V_SEQ_GAP);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[1], 0, 0), TUO_V_APPENDED);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 0, &sp), TUO_E_INVALID);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 3);
    if (CHECK_EQ_INT(sp.iov_count, 5))
        CHECK_BYTES(sp.iov[4].base, cut.pkt[2] + at, cut.len[2] - at);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    h_free_pieces(&pieces);
    h_close(&h);
    h_clear(&cut);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(cut_anywhere_behind_the_headers),
        CHECK_ENTRY(cut_with_hints_and_wrong_checksums),
        CHECK_ENTRY(headers_that_are_cut),
        CHECK_ENTRY(hostile_packets_cut_anywhere),
        CHECK_ENTRY(pieces_count_against_max_frags),
        CHECK_ENTRY(pieces_count_against_max_packets),
        CHECK_ENTRY(pieces_that_are_not_taken),
        CHECK_ENTRY(nothing_is_copied),
        CHECK_ENTRY(pushed_while_others_leave),
        CHECK_ENTRY(among_packets_in_buffers),
    };

    return CHECK_RUN(argc, argv, tests);
}
