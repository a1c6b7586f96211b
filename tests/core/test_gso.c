/* test_gso.c - splitting: the kernel's rules for segments (rows named after them), ways of splitting that must agree with each
   other and with the naive splitter, refusals by name, buffers that run out; and tuo_coalesce_account, which makes what is
   split. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS in guard_page.h */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "guard_page.h"
#include "packets.h"
#include "reference.h"
#include "simd_levels.h"
#include "tunnels.h"

enum { SUPER_CAP = 220000, HEADROOM = 30, FILL = 0xee };

/* A packet to split, with its vnet header. */
typedef struct super {
    uint8_t *bytes;
    size_t len;
    tuo_vnet_hdr vnet;
    unsigned flags; /* TUO_F_ETHERNET, if it has an Ethernet header */
} super;

static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const char *const kind_names[] = {"tcp4", "udp4", "tcp6", "udp6"};

/* The header that Linux puts in front of such a packet (K 3.3), made without the library. */
static tuo_vnet_hdr vnet_of(const pkt_spec *s, size_t gso_size)
{
    tuo_vnet_hdr vnet;
    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.gso_type = pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    vnet.hdr_len = (uint16_t)pkt_payload_off(s);
    vnet.gso_size = (uint16_t)gso_size;
    vnet.csum_start = (uint16_t)pkt_l4_off(s);
    vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
    return vnet;
}

/* A superpacket as it is read from a TUN device, in memory of exactly its size. Free bytes. */
static super make_super(const pkt_spec *spec, size_t gso_size)
{
    pkt_spec s = *spec;
    super sp;
    s.l4_csum_pseudo = 1;
    sp.len = pkt_len(&s);
    sp.bytes = ref_alloc(sp.len, 1);
    CHECK_EQ_INT(pkt_build(sp.bytes, sp.len, &s), sp.len);
    sp.vnet = vnet_of(&s, gso_size);
    sp.flags = pkt_is_ethernet(&s) ? TUO_F_ETHERNET : 0;
    return sp;
}

/* ------------------------------------------------------------------------------------------------- the ways of splitting */

static void list_add(ref_list *list, const tuo_iov *iov, size_t iov_count)
{
    size_t len = 0;
    uint8_t *bytes;
    for (size_t i = 0; i < iov_count; i++) {
        len += iov[i].len;
    }
    if ((list->count & (list->count - 1)) == 0) { /* room for a power of two: double it */
        size_t cap = list->count == 0 ? 1 : 2 * list->count;
        list->bytes = realloc(list->bytes, cap * sizeof *list->bytes);
        list->len = realloc(list->len, cap * sizeof *list->len);
    }
    bytes = ref_alloc(len, 1);
    list->bytes[list->count] = bytes;
    list->len[list->count++] = len;
    for (size_t i = 0; i < iov_count; bytes += iov[i].len, i++) {
        if (iov[i].len > 0) {
            memcpy(bytes, iov[i].base, iov[i].len);
        }
    }
}

static ref_list by_iterator(tuo_gso gso)
{
    ref_list list = {NULL, NULL, 0};
    tuo_segment segment;
    size_t left = tuo_gso_count(&gso);
    while (left > 0 && CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_OK)) {
        list_add(&list, segment.iov, segment.iov_count);
        CHECK_EQ_INT(segment.len, list.len[list.count - 1]);
        CHECK_EQ_INT(tuo_gso_remaining(&gso), --left);
    }
    memset(&segment, 0xa5, sizeof segment);
    CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_DONE);
    CHECK(segment.iov_count == (size_t)-1 / 255 * 0xa5);
    return list;
}

/* Each header in storage of its own; all segments are alive before the first is used. */
static ref_list by_own_headers(tuo_gso gso)
{
    ref_list list = {NULL, NULL, 0};
    size_t count = tuo_gso_count(&gso);
    uint8_t *headers = ref_alloc(count, TUO_HEADER_MAX);
    tuo_segment *segments = ref_alloc(count, sizeof *segments);
    for (size_t i = 0; i < count; i++) {
        CHECK_RESULT(tuo_gso_next(&gso, headers + i * TUO_HEADER_MAX, &segments[i]), TUO_OK);
    }
    for (size_t i = 0; i < count; i++) {
        list_add(&list, segments[i].iov, segments[i].iov_count);
    }
    free(headers);
    free(segments);
    return list;
}

/* By calls for several segments, the last of them for more than there are. All are alive before the first is used, when the iterator
   is gone; each is what a single call hands out, with the header in storage of its own. */
static ref_list by_batches(tuo_gso gso, size_t per_call)
{
    ref_list list = {NULL, NULL, 0};
    size_t count = tuo_gso_count(&gso), taken = 0, got;
    uint8_t(*headers)[TUO_HEADER_MAX] = ref_alloc(count + per_call, TUO_HEADER_MAX);
    tuo_segment *segments = ref_alloc(count + per_call, sizeof *segments), single, unused;
    tuo_gso singly = gso;
    memset(segments, FILL, (count + per_call) * sizeof *segments);
    memset(&unused, FILL, sizeof unused);
    do {
        got = tuo_gso_next_batch(&gso, headers + taken, segments + taken, per_call);
        CHECK_EQ_INT(got, count - taken < per_call ? count - taken : per_call);
        taken += got;
        CHECK_EQ_INT(tuo_gso_remaining(&gso), count - taken);
        CHECK_BYTES(&segments[taken], &unused, taken < count + per_call ? sizeof unused : 0);
    } while (got == per_call);
    memset(&gso, FILL, sizeof gso);
    for (size_t i = 0; i < taken && CHECK_RESULT(tuo_gso_next(&singly, NULL, &single), TUO_OK); i++) {
        const tuo_segment *segment = &segments[i];
        CHECK(segment->iov_count == single.iov_count && segment->len == single.len && segment->payload_len == single.payload_len);
        for (size_t k = 0; k < single.iov_count; k++) {
            const uint8_t *base = segment->iov[k].base;
            int own = base >= headers[i] && base + segment->iov[k].len <= headers[i] + TUO_HEADER_MAX;
            CHECK(own || segment->iov[k].base == single.iov[k].base);
        }
        list_add(&list, segment->iov, segment->iov_count);
    }
    free(headers);
    free(segments);
    return list;
}

static ref_list in_place(const super *sp, unsigned flags)
{
    ref_list list = {NULL, NULL, 0};
    uint8_t *bytes = ref_alloc(sp->len, 1);
    tuo_gso gso;
    tuo_buf segment;
    memcpy(bytes, sp->bytes, sp->len);
    CHECK_RESULT(tuo_gso_init(&gso, bytes, sp->len, &sp->vnet, flags), TUO_OK);
    for (size_t left = tuo_gso_count(&gso); left > 0; left--) {
        CHECK_RESULT(tuo_gso_next_in_place(&gso, bytes, &segment), TUO_OK);
        CHECK(segment.data >= bytes && segment.data + segment.len <= bytes + sp->len);
        CHECK_EQ_INT(segment.capacity, segment.len);
        tuo_iov iov = {segment.data, segment.len};
        list_add(&list, &iov, 1);
    }
    CHECK_RESULT(tuo_gso_next_in_place(&gso, bytes, &segment), TUO_DONE);
    free(bytes);
    return list;
}

/* A buffer for split, filled so that stray writes show. */
static void buf_init(tuo_buf *buf, size_t cap)
{
    buf->data = ref_alloc(cap, 1);
    memset(buf->data, FILL, cap);
    buf->len = 0;
    buf->capacity = cap;
}

static int is_filled(const uint8_t *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && bytes[i] == FILL) {
        i++;
    }
    return i == len;
}

/* What split wrote to a buffer goes to the list; headroom and tail must be as they were. */
static void take_buf(ref_list *list, const tuo_buf *buf)
{
    if (CHECK(buf->len >= HEADROOM && buf->len <= buf->capacity)) {
        tuo_iov iov = {buf->data + HEADROOM, buf->len - HEADROOM};
        list_add(list, &iov, 1);
        CHECK(is_filled(buf->data, HEADROOM));
        CHECK(is_filled(buf->data + buf->len, buf->capacity - buf->len));
    }
}

/* per_call buffers at a time, until all is written. longest: the longest segment. */
static ref_list by_split(tuo_gso gso, size_t per_call, size_t longest)
{
    ref_list list = {NULL, NULL, 0};
    tuo_buf *bufs = ref_alloc(per_call, sizeof *bufs);
    void **handles = ref_alloc(per_call, sizeof *handles);
    tuo_result result = TUO_MORE;
    while (result == TUO_MORE) {
        size_t written = 99, left = tuo_gso_remaining(&gso);
        for (size_t i = 0; i < per_call; i++) {
            buf_init(&bufs[i], HEADROOM + longest + i % 3);
            handles[i] = &bufs[i];
        }
        result = tuo_gso_split(&gso, NULL, handles, per_call, HEADROOM, &written);
        CHECK_RESULT(result, left > per_call ? TUO_MORE : TUO_OK);
        CHECK_EQ_INT(written, left > per_call ? per_call : left);
        for (size_t i = 0; i < per_call; i++) {
            if (i < written) {
                take_buf(&list, &bufs[i]);
            }
            free(bufs[i].data);
        }
    }
    free(bufs);
    free(handles);
    return list;
}

/* One expected segment, the pseudo-header sum in its checksum field. */
static void leave_pseudo_sum(uint8_t *pkt, size_t len, int ethernet)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 0);
    pkt_put16(pkt + pkt_l4_csum_at(&v), pkt_pseudo_sum(pkt + v.src, pkt + v.dst, v.addr_len, v.proto, v.end - v.l4));
}

static void check_same(const ref_list *expected, ref_list actual, const char *how)
{
    if (CHECK_EQ_INT(actual.count, expected->count)) {
        for (size_t i = 0; i < expected->count; i++) {
            if (!CHECK_EQ_INT(actual.len[i], expected->len[i]) ||
                !CHECK_BYTES(actual.bytes[i], expected->bytes[i], expected->len[i])) {
                printf("    (segment %lu, %s)\n", (unsigned long)i, how);
                break;
            }
        }
    }
    ref_list_free(&actual);
}

/* Splits in every way; all must give the expected segments, and leave the input as it is. */
static void check_all_ways(const super *sp, unsigned flags, const ref_list *expected)
{
    uint8_t *before = ref_alloc(sp->len, 1);
    tuo_gso gso;
    memcpy(before, sp->bytes, sp->len);
    if (CHECK_RESULT(tuo_gso_init(&gso, sp->bytes, sp->len, &sp->vnet, flags), TUO_OK) && CHECK(expected->count > 0)) {
        CHECK_EQ_INT(tuo_gso_count(&gso), expected->count);
        CHECK_EQ_INT(tuo_gso_remaining(&gso), expected->count);
        check_same(expected, by_iterator(gso), "iterator");
        check_same(expected, by_own_headers(gso), "own headers");
        check_same(expected, by_batches(gso, 3), "three a call");
        check_same(expected, by_batches(gso, expected->count + 1), "all in one call");
        check_same(expected, in_place(sp, flags), "in place");
        check_same(expected, by_split(gso, 64, expected->len[0]), "split");
        CHECK_BYTES(sp->bytes, before, sp->len);
    }
    free(before);
}

/* All ways must give the segments of the naive splitter. Returns these segments. */
static ref_list split_all_ways(const super *sp, unsigned more_flags)
{
    unsigned flags = sp->flags | more_flags;
    int ethernet = (flags & TUO_F_ETHERNET) != 0;
    pkt_view v = pkt_look(sp->bytes, sp->len, ethernet, 1);
    uint8_t *left = ref_alloc(sp->len, 1);
    tuo_vnet_hdr vnet = sp->vnet;
    memcpy(left, sp->bytes, sp->len);
    int strip = (flags & TUO_F_STRIP_JUMBO) && ref_split_payload(&v) > vnet.gso_size; /* one segment is not cut */
    size_t gone = strip ? ref_strip_jumbo(left, sp->len, &v, &vnet) : 0;
    ref_list expected = ref_split(left, sp->len - gone, ethernet, vnet.gso_size);
    free(left);
    for (size_t i = 0; i < expected.count && (flags & TUO_F_PSEUDO) != 0; i++) {
        leave_pseudo_sum(expected.bytes[i], expected.len[i], ethernet);
    }
    check_all_ways(sp, flags, &expected);
    return expected;
}

/* For tests that want no more than the comparison. */
static void check_split(const pkt_spec *s, size_t gso_size, unsigned flags)
{
    super sp = make_super(s, gso_size);
    ref_list list = split_all_ways(&sp, flags);
    ref_list_free(&list);
    free(sp.bytes);
}

/* A merged packet as a caller makes it: the headers of its first segment, the payload of all. */
static super merged_by_caller(const pkt_spec *s, size_t gso_size)
{
    super sp = make_super(s, gso_size);
    pkt_view v = pkt_look(sp.bytes, sp.len, pkt_is_ethernet(s), 1);
    uint8_t *first = ref_alloc(v.payload + gso_size, 1);
    ref_split_one(sp.bytes, &v, gso_size, 0, first);
    memcpy(sp.bytes, first, v.payload);
    if (!pkt_is_udp(s)) { /* flags of the last segment are the caller's part */
        sp.bytes[v.l4 + 13] = (uint8_t)pkt_or(s->tcp_flags, PKT_ACK);
    }
    free(first);
    return sp;
}

static void check_account(const pkt_spec *s, size_t gso_size)
{
    super expected = make_super(s, gso_size), actual = merged_by_caller(s, gso_size);
    memset(&actual.vnet, 0xa5, sizeof actual.vnet);
    CHECK_RESULT(tuo_coalesce_account(actual.bytes, actual.len, (uint16_t)gso_size, actual.flags, &actual.vnet), TUO_OK);
    CHECK_BYTES(actual.bytes, expected.bytes, expected.len);
    CHECK_EQ_INT(actual.vnet.flags, TUO_VNET_NEEDS_CSUM);
    CHECK_EQ_INT(actual.vnet.gso_type, expected.vnet.gso_type);
    CHECK_EQ_INT(actual.vnet.hdr_len, expected.vnet.hdr_len);
    CHECK_EQ_INT(actual.vnet.gso_size, gso_size);
    CHECK_EQ_INT(actual.vnet.csum_start, expected.vnet.csum_start);
    CHECK_EQ_INT(actual.vnet.csum_offset, expected.vnet.csum_offset);
    CHECK(actual.vnet.num_buffers == 0 && actual.vnet.hash_value == 0 && actual.vnet.hash_report == 0);
    CHECK(actual.vnet.outer_th_offset == 0 && actual.vnet.inner_nh_offset == 0);
    CHECK_RESULT(tuo_vnet_check(&actual.vnet, actual.bytes, actual.len, actual.flags), TUO_OK);
    free(expected.bytes);
    free(actual.bytes);
}

/* -------------------------------------------------------------------------------------------------------------- geometry */

/* The sizes of the kernel's selftests/net/udpgso.c (K 6.11); MAX stands for what still fits into 65535 bytes. */
TEST(geometry_of_segments)
{
    enum { MSS = 1440, MAX = -1 };
    static const struct {
        const char *name;
        int32_t payload;
        size_t gso_size;
    } rows[] = {
        {"K6.11 one byte", 1, 1},           {"K6.11 mss", MSS, MSS},
        {"K6.11 less than gso_size", MSS, MSS + 100}, {"K6.11 gso_size beyond what IP can hold", MSS, 65534},
        {"K6.11 mss + 1", MSS + 1, MSS},
        {"K6.11 2 mss", 2 * MSS, MSS},      {"K6.11 2 mss + 1", 2 * MSS + 1, MSS},
        {"K6.11 two bytes of one", 2, 1},   {"K6.11 five bytes of two", 5, 2},
        {"K6.11 128 segments", 128, 1},     {"K3.10 129 segments: no limit on reading", 129, 1},
        {"K6.11 max bytes", MAX, MSS},      {"max bytes in one segment less one", MAX, 65000},
        {"K3.10 7500 segments of 8", 60000, 8}, {"odd sizes: every other segment starts odd", 5000, 7},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = rows[i].payload != MAX ? rows[i].payload : 65535 - (int32_t)pkt_payload_off(&s);
            check_row("%s, %s", rows[i].name, kind_names[kind]);
            super sp = make_super(&s, rows[i].gso_size);
            ref_list list = split_all_ways(&sp, 0);
            size_t total = 0, head = pkt_payload_off(&s);
            for (size_t k = 0; k < list.count; k++) {
                size_t payload = list.len[k] - head;
                CHECK(k + 1 == list.count ? payload >= 1 && payload <= rows[i].gso_size : payload == rows[i].gso_size);
                total += payload;
            }
            CHECK_EQ_INT(total, s.payload_len);
            ref_list_free(&list);
            free(sp.bytes);
        }
    }
}

/* More than the IP length field can say: it holds 0, the bytes go to the end. */
TEST(length_field_0_of_oversize_packets)
{
    static const int32_t payloads[] = {3000, 65496, 100000, 200000};
    for (size_t i = 0; i < CHECK_COUNT_OF(payloads); i++) {
        for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = payloads[i];
            s.ip_len_zero = 1;
            check_row("K1.16 %s, %ld bytes", kind_names[kind], (long)payloads[i]);
            check_split(&s, 1400, 0);
            check_split(&s, 1400, TUO_F_PSEUDO);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- what is in a segment */

/* Segments of a superpacket, for looking at fields. off: where the headers are. */
typedef struct cut {
    ref_list list;
    size_t ip, l4;
} cut;

static cut cut_up(const pkt_spec *s, size_t gso_size)
{
    super sp = make_super(s, gso_size);
    tuo_gso gso;
    cut c;
    ref_list expected = split_all_ways(&sp, 0);
    ref_list_free(&expected);
    memset(&c, 0, sizeof c);
    c.ip = pkt_ip_off(s);
    c.l4 = pkt_l4_off(s);
    if (tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, sp.flags) == TUO_OK) {
        c.list = by_iterator(gso);
    }
    free(sp.bytes);
    return c;
}

TEST(ip4_id_counts_up)
{
    for (int kind = PKT_TCP4; kind <= PKT_UDP4; kind++) {
        for (int df = 0; df < 2; df++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = 500;
            s.ip_id = 0xfffe;
            s.df = df ? 0 : PKT_ZERO;
            s.frag = 0x8000;
            check_row("K6.2 %s, DF %d: ID wraps, fragment field is copied", kind_names[kind], df);
            cut c = cut_up(&s, 100);
            for (size_t i = 0; i < c.list.count; i++) {
                CHECK_EQ_INT(pkt_get16(c.list.bytes[i] + c.ip + 4), (0xfffe + i) & 0xffff);
                CHECK_EQ_INT(pkt_get16(c.list.bytes[i] + c.ip + 6), df ? 0xc000 : 0x8000);
            }
            CHECK_EQ_INT(c.list.count, 5);
            ref_list_free(&c.list);
        }
    }
}

TEST(tcp_sequence_number_wraps)
{
    pkt_spec s = {0};
    s.payload_len = 1000;
    s.seq = 0xffffff00u;
    cut c = cut_up(&s, 128);
    CHECK_EQ_INT(c.list.count, 8);
    for (size_t i = 0; i < c.list.count; i++) {
        CHECK_EQ_INT(pkt_get32(c.list.bytes[i] + c.l4 + 4), (uint32_t)(0xffffff00u + 128 * i));
    }
    ref_list_free(&c.list);
}

/* All 256 values of the flags byte: CWR only on the first segment, FIN and PSH only on the last, all else on each. */
TEST(tcp_flags)
{
    for (int flags = 0; flags < 256; flags++) {
        pkt_spec s = {0};
        s.kind = flags % 2 ? PKT_TCP4 : PKT_TCP6;
        s.payload_len = 300;
        s.tcp_flags = flags ? flags : PKT_ZERO;
        s.reserved = (uint8_t)(flags % 16);
        s.urgent = 0x1234;
        check_row("K6.4 flags 0x%02x", (unsigned)flags);
        cut c = cut_up(&s, 100);
        if (CHECK_EQ_INT(c.list.count, 3)) {
            CHECK_EQ_INT(c.list.bytes[0][c.l4 + 13], flags & ~(PKT_FIN | PKT_PSH));
            CHECK_EQ_INT(c.list.bytes[1][c.l4 + 13], flags & ~(PKT_FIN | PKT_PSH | PKT_CWR));
            CHECK_EQ_INT(c.list.bytes[2][c.l4 + 13], flags & ~PKT_CWR);
            CHECK_EQ_INT(c.list.bytes[1][c.l4 + 12], 0x50 | flags % 16);
            CHECK_EQ_INT(pkt_get16(c.list.bytes[1] + c.l4 + 18), 0x1234);
        }
        ref_list_free(&c.list);
        c = cut_up(&s, 300);
        CHECK(c.list.count == 1 && c.list.bytes[0][c.l4 + 13] == flags);
        ref_list_free(&c.list);
    }
}

/* CWR is first-only with the ECN bit in gso_type and without it. */
TEST(ecn_bit_changes_nothing)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    s.tcp_flags = PKT_ACK | PKT_CWR | PKT_ECE;
    super sp = make_super(&s, 100);
    ref_list plain = split_all_ways(&sp, 0);
    tuo_gso gso;
    check_row("K3.15 gso_type 0x81");
    sp.vnet.gso_type |= TUO_GSO_ECN;
    if (CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK)) {
        check_same(&plain, by_iterator(gso), "with the ECN bit");
    }
    ref_list_free(&plain);
    free(sp.bytes);
}

/* Length fields count what each of them counts, whatever headers are in front. */
TEST(length_fields)
{
    static const char *const chains[] = {"", "D", "HDR"};
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int chain = 0; chain < 3; chain++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = 250;
            s.ext_chain = pkt_is_v6(&s) ? chains[chain] : NULL;
            s.ip_options = nops;
            s.ip_options_len = (uint8_t)(20 * chain);
            check_row("K6.3 K6.5 %s with %d bytes in front of it", kind_names[kind], (int)(pkt_l4_off(&s)));
            cut c = cut_up(&s, 100);
            for (size_t i = 0; i < c.list.count; i++) {
                const uint8_t *p = c.list.bytes[i];
                CHECK_EQ_INT(pkt_is_v6(&s) ? pkt_get16(p + 4) + 40 : pkt_get16(p + 2), c.list.len[i]);
                CHECK(!pkt_is_udp(&s) || pkt_get16(p + c.l4 + 4) == c.list.len[i] - c.l4);
                CHECK_EQ_INT(c.list.len[i], pkt_payload_off(&s) + (i == 2 ? 50 : 100));
            }
            CHECK_EQ_INT(c.list.count, 3);
            ref_list_free(&c.list);
        }
    }
}

/* Every other header byte is copied to each segment: the mask says which may differ. */
TEST(all_other_header_bytes_are_copied)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {0};
        s.kind = (pkt_kind)kind;
        s.payload_len = 1000;
        s.tos = 0xb9;
        s.ttl = 3;
        s.flow_label = 0xabcde;
        s.ext_chain = pkt_is_v6(&s) ? "HD" : NULL;
        s.ext_fill = 0x77;
        s.ip_options = s.tcp_options = nops;
        s.ip_options_len = 40;
        s.tcp_options_len = 40;
        s.window = 12345;
        s.ack = 0x01020304;
        s.vlan_count = 2;
        s.vlan_tci[0] = 0x6123;
        s.mac = 9;
        check_row("K6.1 K6.2 K6.3 %s", kind_names[kind]);
        super sp = make_super(&s, 300);
        cut c = cut_up(&s, 300);
        uint8_t varies[256] = {0}; /* lengths, ID, checksums, sequence number, flags */
        memset(varies + c.ip + (pkt_is_v6(&s) ? 4 : 2), 1, pkt_is_v6(&s) ? 2 : 4);
        memset(varies + c.ip + 10, !pkt_is_v6(&s), 2);
        memset(varies + c.l4 + 4, 1, 4);
        memset(varies + c.l4 + 16, !pkt_is_udp(&s), 2);
        varies[c.l4 + 13] = !pkt_is_udp(&s);
        for (size_t i = 0; i < c.list.count; i++) {
            for (size_t at = 0; at < pkt_payload_off(&s); at++) {
                CHECK(varies[at] || c.list.bytes[i][at] == sp.bytes[at]);
            }
        }
        CHECK_EQ_INT(c.list.count, 4);
        ref_list_free(&c.list);
        free(sp.bytes);
    }
}

/* A payload whose middle segment sums to 0xffff, so that its checksum comes out as 0. */
TEST(checksum_that_comes_out_as_0)
{
    enum { AT = 100 + 40 };
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {0};
        s.kind = (pkt_kind)kind;
        s.payload_len = 300;
        check_row(pkt_is_udp(&s) ? "K6.6 %s: sent as 0xffff" : "K6.6 %s: stays 0", kind_names[kind]);
        super sp = make_super(&s, 100);
        size_t field = pkt_l4_off(&s) + (pkt_is_udp(&s) ? 6 : 16);
        pkt_put16(sp.bytes + pkt_payload_off(&s) + AT, 0);
        ref_list with_0 = ref_split(sp.bytes, sp.len, 0, 100);
        pkt_put16(sp.bytes + pkt_payload_off(&s) + AT, pkt_get16(with_0.bytes[1] + field));
        ref_list_free(&with_0);
        ref_list list = split_all_ways(&sp, 0);
        CHECK_EQ_INT(pkt_get16(list.bytes[1] + field), pkt_is_udp(&s) ? 0xffff : 0);
        CHECK_RESULT(tuo_csum_check(list.bytes[1], list.len[1], 0), TUO_OK);
        ref_list_free(&list);
        free(sp.bytes);
    }
}

/* The IPv4 header checksum stays 0: there is no rule like UDP's for it. The ID is chosen so that it comes out as 0. */
TEST(ip4_header_checksum_that_comes_out_as_0)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    super sp = make_super(&s, 100);
    ref_list with_id_0 = ref_split(sp.bytes, sp.len, 0, 100);
    check_row("of the first segment");
    s.ip_id = (uint16_t)pkt_get16(with_id_0.bytes[0] + 10);
    cut c = cut_up(&s, 100);
    CHECK_EQ_INT(pkt_get16(c.list.bytes[0] + 10), 0);
    check_row("of a superpacket");
    s.ip_id = (uint16_t)pkt_get16(sp.bytes + 10);
    check_account(&s, 100);
    ref_list_free(&c.list);
    ref_list_free(&with_id_0);
    free(sp.bytes);
}

/* A seed for other addresses than the header's: of a source route, of a home address, or because an address was damaged behind it (P2).
   Segments and smaller superpackets are summed for the same addresses as the superpacket was, by whoever sums them. */
TEST(a_seed_is_neither_repaired_nor_replaced)
{
    tuo_caps device, none;
    memset(&none, 0, sizeof none);
    memset(&device, 0, sizeof device);
    device.tx_csum_tcp4 = device.tx_csum_udp4 = device.tx_csum_tcp6 = device.tx_csum_udp6 = 1;
    device.max_tcp4 = device.max_udp4 = device.max_tcp6 = device.max_udp6 = 400;
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = 950};
        super sp = make_super(&s, 100);
        pkt_view v = pkt_look(sp.bytes, sp.len, 0, 1);
        uint8_t dst[16];
        check_row("%s", (const char *[]){"TCP4", "UDP4", "TCP6", "UDP6"}[kind]);
        memcpy(dst, sp.bytes + v.dst, v.addr_len);
        dst[v.addr_len - 1] ^= 0x55;
        pkt_put16(sp.bytes + pkt_l4_csum_at(&v), pkt_pseudo_sum(sp.bytes + v.src, dst, v.addr_len, v.proto, sp.len - v.l4));
        for (int by_device = 0; by_device < 2; by_device++) {
            uint8_t bytes[512];
            tuo_tx tx;
            tuo_tx_packet packet;
            size_t count = 0;
            CHECK_RESULT(tuo_tx_init(&tx, by_device ? &device : &none, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
            for (; tuo_tx_next(&tx, NULL, &packet) == TUO_OK; count++) {
                size_t len = 0;
                for (size_t i = 0; i < packet.iov_count; len += packet.iov[i++].len)
                    memcpy(bytes + len, packet.iov[i].base, packet.iov[i].len);
                unsigned pseudo = pkt_pseudo_sum(bytes + v.src, dst, v.addr_len, v.proto, len - v.l4);
                if (by_device) {
                    CHECK_EQ_INT(pkt_get16(bytes + pkt_l4_csum_at(&v)), pseudo);
                } else {
                    CHECK_EQ_INT(pkt_sum(bytes + v.l4, len - v.l4, pseudo), 0xffff);
                    CHECK_RESULT(tuo_csum_check(bytes, len, 0), TUO_E_L4_CSUM);
                }
            }
            CHECK(by_device ? count > 1 && count < 10 : count == 10);
        }
        free(sp.bytes);
    }
}

/* With segments left in a routing header the last address is not where the pseudo-header wants it. The seed in the superpacket
   has the right one in it; a split that ignores the seed gives sums that the receiver cannot match. */
TEST(routing_header_keeps_the_address_of_the_seed)
{
    pkt_spec s = {0};
    tuo_gso gso;
    s.kind = PKT_TCP6;
    s.payload_len = 250;
    s.ext_chain = "r";
    super sp = make_super(&s, 100);
    const uint8_t *src = sp.bytes + 8;
    uint8_t final_dst[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
    pkt_put16(sp.bytes + 48 + 16, pkt_pseudo_sum(src, final_dst, 16, 6, sp.len - 48));
    if (CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK)) {
        ref_list list = by_iterator(gso);
        check_same(&list, in_place(&sp, 0), "in place");
        check_same(&list, by_split(gso, 2, sp.len), "split");
        for (size_t i = 0; i < list.count; i++) {
            size_t l4_len = list.len[i] - 48;
            CHECK_EQ_INT(pkt_sum(list.bytes[i] + 48, l4_len, pkt_pseudo_sum(src, final_dst, 16, 6, l4_len)), 0xffff);
        }
        CHECK_EQ_INT(list.count, 3);
        ref_list_free(&list);
    }
    free(sp.bytes);
}

/* ------------------------------------------------------------------------------------------------------ flags and hints */

TEST(pseudo_header_sums_for_a_device)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int ethernet = 0; ethernet < 2; ethernet++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = 777;
            s.ethernet = (uint8_t)ethernet;
            s.ext_chain = pkt_is_v6(&s) ? "D" : NULL;
            check_row("TUO_F_PSEUDO %s%s", kind_names[kind], ethernet ? ", Ethernet" : "");
            check_split(&s, 100, TUO_F_PSEUDO);
        }
    }
}

TEST(hdr_len_is_not_trusted)
{
    static const uint16_t values[] = {0, 1, 20, 39, 41, 100, 340, 0xffff};
    pkt_spec s = {0};
    s.payload_len = 300;
    for (size_t i = 0; i < CHECK_COUNT_OF(values); i++) {
        check_row("K3.4 hdr_len %u", values[i]);
        super sp = make_super(&s, 100);
        sp.vnet.hdr_len = values[i];
        sp.vnet.num_buffers = values[i];
        ref_list list = split_all_ways(&sp, 0);
        ref_list_free(&list);
        free(sp.bytes);
    }
}

/* Without NEEDS_CSUM the checksum is whole; segments get fresh ones either way. */
TEST(tcp_gso_without_needs_csum)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    for (int kind = PKT_TCP4; kind <= PKT_TCP6; kind += PKT_TCP6 - PKT_TCP4) {
        check_row("K3.3 flags 0 + GSO, %s", kind_names[kind]);
        s.kind = (pkt_kind)kind;
        super sp = make_super(&s, 100);
        pkt_fix_checksums(sp.bytes, sp.len, 0);
        sp.vnet.flags = 0;
        sp.vnet.csum_start = sp.vnet.csum_offset = 9999; /* mean nothing now */
        ref_list list = split_all_ways(&sp, 0);
        ref_list_free(&list);
        free(sp.bytes);
    }
}

/* Bytes behind the IP packet (Ethernet padding) are no payload. */
TEST(trailing_bytes_are_dropped_from_gso_packets)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {0};
        s.kind = (pkt_kind)kind;
        s.payload_len = 250;
        s.trailer_len = 9;
        s.ethernet = 1;
        check_row("%s", kind_names[kind]);
        cut c = cut_up(&s, 100);
        if (CHECK_EQ_INT(c.list.count, 3)) {
            CHECK_EQ_INT(c.list.len[2], pkt_payload_off(&s) + 50);
        }
        ref_list_free(&c.list);
    }
}

TEST(ethernet_and_vlan)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (uint8_t tags = 0; tags <= TUO_VLAN_MAX; tags++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = 1001;
            s.ethernet = 1;
            s.vlan_count = tags;
            s.vlan_tpid[0] = 0x88a8;
            s.vlan_tci[0] = 0x0fff;
            check_row("%s, %u tags", kind_names[kind], tags);
            check_split(&s, 100, 0);
        }
    }
}

/* --------------------------------------------------------------------------------------------------------- random packets */

static pkt_spec random_spec(rng *r)
{
    static const char *const chains[] = {"", "", "H", "D", "HDR", "DD", "J", "JDR"};
    pkt_spec s = {0};
    s.kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT);
    s.payload_len = 1 + (int32_t)rng_below(r, rng_chance(r, 1, 8) ? 60000 : 3000);
    s.payload_seed = (uint32_t)rng_u64(r);
    s.seq = (uint32_t)rng_u64(r);
    s.ack = (uint32_t)rng_u64(r);
    s.window = 1 + (int32_t)rng_below(r, 65535);
    s.tcp_flags = 1 + (int32_t)rng_below(r, 255);
    s.reserved = (uint8_t)rng_below(r, 16);
    s.tcp_options = s.ip_options = nops;
    s.tcp_options_len = (uint8_t)(rng_chance(r, 1, 2) ? 4 * rng_below(r, 11) : 0);
    s.ip_options_len = (uint8_t)(rng_chance(r, 1, 3) ? 4 * rng_below(r, 11) : 0);
    s.src = (uint16_t)rng_u64(r);
    s.dst = (uint16_t)rng_u64(r);
    s.src_port = 1 + (int32_t)rng_below(r, 65535);
    s.ttl = 1 + (int32_t)rng_below(r, 255);
    s.tos = (uint8_t)rng_u64(r);
    s.ip_id = (uint16_t)rng_u64(r);
    s.df = rng_chance(r, 1, 2) ? 0 : PKT_ZERO;
    s.flow_label = rng_below(r, 1 << 20);
    s.ext_chain = pkt_is_v6(&s) ? chains[rng_below(r, CHECK_COUNT_OF(chains))] : NULL;
    s.ext_fill = (uint8_t)rng_u64(r);
    s.ethernet = (uint8_t)rng_below(r, 2);
    s.vlan_count = (uint8_t)(rng_chance(r, 1, 4) ? rng_below(r, TUO_VLAN_MAX + 1) : 0);
    return s;
}

/* Each is split at some level of tuo_simd, one in four at all of them: all must give what the naive splitter gives. */
TEST(random_superpackets)
{
    rng r = rng_start("random_superpackets", 20);
    for (int i = 0; i < 400; i++) {
        pkt_spec s = random_spec(&r);
        size_t gso_size = 1 + rng_below(&r, s.payload_len < 3000 && rng_chance(&r, 1, 3) ? 60 : 2000);
        if (pkt_len(&s) - pkt_ip_off(&s) > 65535) {
            s.payload_len = 1000;
        }
        check_row("random superpacket %d", i);
        unsigned flags = TUO_F_STRIP_JUMBO | (rng_chance(&r, 1, 4) ? TUO_F_PSEUDO : 0u);
        unsigned levels = i % 4 == 0 ? (unsigned)simd_levels_here()->count : 1;
        for (unsigned k = 0; k < levels; k++) {
            check_split(&s, gso_size, flags | TUO_F_SIMD(simd_level_at(s.payload_seed + k)));
        }
    }
}

/* ------------------------------------------------------------------------------------------------- jumbo payload option */

#define EXT(literal) .ext = (const uint8_t *)(literal), .ext_len = sizeof(literal) - 1
#define JUMBO "\xc2\4\0\1\2\3" /* RFC 2675 2 */

/* RFC 2675 2, 3: no segment may have the option. Next header 6 stands for that of the row. */
static const struct {
    const char *name;
    pkt_spec spec;
    tuo_result kept, stripped; /* without and with TUO_F_STRIP_JUMBO */
} jumbo_rows[] = {
    {"alone", {EXT("\6\0" JUMBO)}, TUO_E_IP6_JUMBO, TUO_OK},
    {"behind PadN", {EXT("\6\1\1\6\0\0\0\0\0\0" JUMBO)}, TUO_E_IP6_JUMBO, TUO_OK},
    {"in front of PadN", {EXT("\6\1" JUMBO "\1\6\0\0\0\0\0\0")}, TUO_E_IP6_JUMBO, TUO_OK},
    {"between Pad1 and an empty PadN", {EXT("\6\1\0\0\0\0" JUMBO "\0\0\1\0")}, TUO_E_IP6_JUMBO, TUO_OK},
    {"twice", {EXT("\6\1" JUMBO JUMBO "\0\0")}, TUO_E_IP6_JUMBO, TUO_OK},
    {"in front of other extension headers", {EXT("\x3c\0" JUMBO "\6\0\1\4\0\0\0\0"), .ext_first = 0}, TUO_E_IP6_JUMBO, TUO_OK},
    {"and a router alert behind it", {EXT("\6\1" JUMBO "\5\2\0\0\1\2\0\0")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"and a router alert in front", {EXT("\6\1\5\2\0\0\1\2\0\0" JUMBO)}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"and an option of type 2", {EXT("\6\1\2\2\0\0\1\2\0\0" JUMBO)}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"of another length", {EXT("\6\0\xc2\2\0\1\0\0")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"that exceeds the header", {EXT("\6\0\1\0\xc2\4\0\1")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"in front of padding that exceeds the header", {EXT("\6\1" JUMBO "\1\7\0\0\0\0\0\0")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"in front of padding without a length", {EXT("\6\1" JUMBO "\1\5\0\0\0\0\0\1")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"its type in the last byte", {EXT("\6\0\1\3\0\0\0\xc2")}, TUO_E_IP6_JUMBO, TUO_E_IP6_JUMBO},
    {"its type as the content of padding", {EXT("\6\0\1\4" "\xc2\4\xc2\4")}, TUO_OK, TUO_OK},
    {"other options only", {EXT("\6\0\5\2\0\0\1\0")}, TUO_OK, TUO_OK},
    {"other options that exceed the header", {EXT("\6\0\5\2\0\0\1\7")}, TUO_OK, TUO_OK},
    {"among destination options", {EXT("\6\0" JUMBO), .ext_first = 60}, TUO_OK, TUO_OK},
    {"in a hop-by-hop header that is not the first", {EXT("\0\0\1\4\0\0\0\0\6\0" JUMBO), .ext_first = 60}, TUO_OK, TUO_OK},
    {"no extension header", {.flow_label = 0}, TUO_OK, TUO_OK},
};

static void check_as_it_came(const pkt_spec *s, size_t gso_size, int finished, unsigned flags);

TEST(jumbo_payload_option)
{
    for (size_t i = 0; i < CHECK_COUNT_OF(jumbo_rows); i++) {
        for (unsigned k = 0; k < 16; k++) {
            pkt_spec s = jumbo_rows[i].spec;
            uint8_t ext[16];
            if (s.ext_len > 0) {
                memcpy(ext, s.ext, s.ext_len);
                s.ext = ext;
            }
            s.kind = k & 1 ? PKT_UDP6 : PKT_TCP6;
            for (size_t at = 0; k & 1 && at < s.ext_len; at += 8 + (size_t)ext[at + 1] * 8) {
                ext[at] = ext[at] == 6 ? 17 : ext[at];
            }
            s.payload_len = 2500;
            s.vlan_count = k & 2 ? 2 : 0;
            s.ip_len_zero = k & 4 ? 1 : 0;
            check_row("%s, %s%s%s", jumbo_rows[i].name, kind_names[s.kind], k & 2 ? ", tags" : "", k & 4 ? ", length 0" : "");
            super sp = make_super(&s, k & 8 ? 2500 : 1000);
            tuo_gso gso, untouched;
            memset(&gso, 0xa5, sizeof gso);
            untouched = gso;
            tuo_result kept = k & 8 ? TUO_OK : jumbo_rows[i].kept, stripped = k & 8 ? TUO_OK : jumbo_rows[i].stripped;
            CHECK_RESULT(tuo_vnet_check(&sp.vnet, sp.bytes, sp.len, sp.flags), TUO_OK);
            CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, sp.flags), kept);
            CHECK(kept == TUO_OK || memcmp(&gso, &untouched, sizeof gso) == 0);
            gso = untouched;
            CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, sp.flags | TUO_F_STRIP_JUMBO), stripped);
            CHECK(stripped == TUO_OK || memcmp(&gso, &untouched, sizeof gso) == 0);
            free(sp.bytes);
            if (k & 8) { /* one segment is not cut: whatever option it has, it has it still */
                check_as_it_came(&s, 2500, 0, TUO_F_STRIP_JUMBO);
                continue;
            }
            if (kept == TUO_OK) {
                check_split(&s, 1000, 0);
            }
            if (stripped == TUO_OK) {
                check_split(&s, 1000, TUO_F_STRIP_JUMBO);
                check_split(&s, 1000, TUO_F_STRIP_JUMBO | TUO_F_PSEUDO);
            }
        }
    }
}

/* Every byte of the headers by hand, and what is refused for another reason as well. */
TEST(jumbo_payload_option_taken_out)
{
    pkt_spec s = {.kind = PKT_TCP6, .payload_len = 2500, .ext_chain = "J", .seq = 7000};
    super sp = make_super(&s, 1000);
    tuo_gso gso;
    tuo_segment segment;
    tuo_buf piece;
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, TUO_F_STRIP_JUMBO), TUO_OK);
    CHECK_EQ_INT(tuo_gso_count(&gso), 3);
    for (unsigned i = 0; i < 3; i++) {
        check_row("segment %u", i);
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_OK);
        const uint8_t *h = segment.iov[0].base;
        CHECK_EQ_INT(segment.iov[0].len, 60);
        CHECK_BYTES(h, sp.bytes, 4);
        CHECK_EQ_INT(pkt_get16(h + 4), 20 + (i < 2 ? 1000 : 500));
        CHECK_EQ_INT(h[6], 6);
        CHECK_BYTES(h + 7, sp.bytes + 7, 33);
        CHECK_BYTES(h + 40, sp.bytes + 48, 4);
        CHECK_EQ_INT(pkt_get32(h + 44), 7000 + i * 1000);
        CHECK(segment.iov[1].base == sp.bytes + 68 + i * 1000 && segment.iov[1].len == (i < 2 ? 1000 : 500));
    }
    check_row("in place: the first segment begins behind what is gone");
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, TUO_F_STRIP_JUMBO), TUO_OK);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, sp.bytes + 8, &piece), TUO_E_INVALID);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, sp.bytes, &piece), TUO_OK);
    CHECK(piece.data == sp.bytes + 8 && piece.len == 1060);
    free(sp.bytes);

    check_row("the option before the checksum");
    sp = make_super(&s, 1000);
    sp.vnet.flags = 0;
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_E_IP6_JUMBO);
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, TUO_F_STRIP_JUMBO), TUO_E_L4_CSUM);
    check_row("a checksum that is right without the option as well");
    ref_complete(sp.bytes, sp.len, sp.vnet.csum_start, sp.vnet.csum_offset);
    ref_list list = split_all_ways(&sp, TUO_F_STRIP_JUMBO);
    CHECK_EQ_INT(list.count, 3);
    ref_list_free(&list);
    free(sp.bytes);

    check_row("IPv4 has no next header in that place");
    pkt_spec v4 = {.payload_len = 2500, .df = PKT_ZERO, .ip_id = 0xc204};
    check_split(&v4, 1000, 0);
}

/* ------------------------------------------------------------------------------------------------------------- not cut */

/* Splits a packet that is not cut, in every way: one piece, with these bytes. */
static void check_whole(const super *sp, unsigned flags, const uint8_t *expected)
{
    ref_list one = {NULL, NULL, 0};
    tuo_iov iov = {expected, sp->len};
    tuo_gso gso;
    uint8_t *before = ref_alloc(sp->len, 1);
    memcpy(before, sp->bytes, sp->len);
    list_add(&one, &iov, 1);
    if (CHECK_RESULT(tuo_gso_init(&gso, sp->bytes, sp->len, &sp->vnet, flags), TUO_OK)) {
        CHECK_EQ_INT(tuo_gso_count(&gso), 1);
        check_same(&one, by_iterator(gso), "iterator");
        check_same(&one, by_own_headers(gso), "own headers");
        check_same(&one, by_batches(gso, 1), "one a call");
        check_same(&one, by_batches(gso, 3), "three a call");
        check_same(&one, in_place(sp, flags), "in place");
        check_same(&one, by_split(gso, 3, sp->len), "split");
        CHECK_BYTES(sp->bytes, before, sp->len);
    }
    ref_list_free(&one);
    free(before);
}

/* What completion must give: the seed is part of the sum, and 0 becomes 0xffff for TCP too (K 3.5). */
static void complete_slowly(uint8_t *bytes, size_t len, size_t start, size_t offset)
{
    unsigned sum = ~pkt_sum(bytes + start, len - start, 0) & 0xffff;
    pkt_put16(bytes + start + offset, sum == 0 ? 0xffff : sum);
}

/* The packet is not parsed: csum_start may point into a packet inside the packet, or bytes that are no packet at all. */
TEST(needs_csum_without_gso_is_completed)
{
    static const struct {
        const char *name;
        size_t start, offset;
        int is_0; /* make the result 0 */
    } rows[] = {
        {"K3.5 the packet's own UDP header", 20, 6, 0},    {"K3.5 0 becomes 0xffff", 20, 6, 1},
        {"K3.5 0 becomes 0xffff for TCP", 20, 16, 1},      {"K3.6 an inner header", 70, 6, 0},
        {"K3.6 odd start", 31, 6, 0},                      {"K3.6 odd offset", 30, 7, 0},
        {"first two bytes", 0, 0, 0},                      {"last two bytes", 198, 0, 0},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        uint8_t bytes[200], expected[200];
        tuo_gso gso;
        tuo_segment segment;
        super sp = {bytes, sizeof bytes, {0}, 0};
        rng r = {i};
        check_row("%s", rows[i].name);
        rng_bytes(&r, bytes, sizeof bytes);
        if (rows[i].is_0) {
            pkt_put16(bytes + 60, 0);
            pkt_put16(bytes + 60, ~pkt_sum(bytes + rows[i].start, sizeof bytes - rows[i].start, 0) & 0xffff);
        }
        memcpy(expected, bytes, sizeof bytes);
        complete_slowly(expected, sizeof expected, rows[i].start, rows[i].offset);
        CHECK(!rows[i].is_0 || pkt_get16(expected + rows[i].start + rows[i].offset) == 0xffff);
        sp.vnet.flags = TUO_VNET_NEEDS_CSUM;
        sp.vnet.csum_start = (uint16_t)rows[i].start;
        sp.vnet.csum_offset = (uint16_t)rows[i].offset;
        sp.vnet.gso_size = 50; /* means nothing without a GSO type */
        check_whole(&sp, 0, expected);
        CHECK_RESULT(tuo_gso_init(&gso, bytes, sizeof bytes, &sp.vnet, 0), TUO_OK);
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_OK);
        CHECK_EQ_INT(segment.iov_count, 3);
        CHECK_EQ_INT(segment.payload_len, 0);
        check_row("%s, left to a device", rows[i].name);
        check_whole(&sp, TUO_F_PSEUDO, bytes);
    }
}

TEST(packets_without_work_pass_untouched)
{
    static const struct {
        const char *name;
        size_t len;
        uint8_t first, vnet_flags;
    } rows[] = {
        {"S3 flags 0", 200, 0x45, 0},        {"K3.3 DATA_VALID", 200, 0x45, TUO_VNET_DATA_VALID},
        {"not IP", 200, 0x00, 0},            {"one byte", 1, 0x60, 0},
        {"nothing", 0, 0, 0},                {"K1.4 unknown flags", 200, 0x60, 0xfe},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        uint8_t bytes[200];
        tuo_gso gso;
        tuo_segment segment;
        super sp = {bytes, rows[i].len, {0}, 0};
        rng r = {i};
        check_row("%s", rows[i].name);
        rng_bytes(&r, bytes, sizeof bytes);
        bytes[0] = rows[i].first;
        sp.vnet.flags = rows[i].vnet_flags;
        sp.vnet.csum_start = sp.vnet.csum_offset = 0xffff; /* mean nothing without NEEDS_CSUM */
        check_whole(&sp, 0, bytes);
        check_whole(&sp, TUO_F_PSEUDO | TUO_F_ETHERNET, bytes);
        CHECK_RESULT(tuo_gso_init(&gso, bytes, rows[i].len, &sp.vnet, 0), TUO_OK);
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_OK);
        CHECK(segment.iov_count == 1 && segment.iov[0].base == bytes && segment.iov[0].len == rows[i].len);
    }
    check_row("no bytes at no address");
    tuo_vnet_hdr zero = {0};
    tuo_gso gso;
    tuo_buf buf, *handle = &buf;
    size_t written = 0;
    uint8_t room[4];
    buf.data = room;
    buf.len = 0;
    buf.capacity = sizeof room;
    CHECK_RESULT(tuo_gso_init(&gso, NULL, 0, &zero, 0), TUO_OK);
    CHECK_RESULT(tuo_gso_split(&gso, NULL, (void *const *)&handle, 1, 2, &written), TUO_OK);
    CHECK(written == 1 && buf.len == 2);
    check_row("no bytes at no address into no memory");
    memset(&buf, 0, sizeof buf);
    CHECK_RESULT(tuo_gso_init(&gso, NULL, 0, &zero, 0), TUO_OK);
    CHECK_RESULT(tuo_gso_split(&gso, NULL, (void *const *)&handle, 1, 0, &written), TUO_OK);
    CHECK_EQ_INT(written, 1);
}

TEST(trailing_bytes_stay_on_whole_packets)
{
    pkt_spec s = {0};
    s.trailer_len = 11;
    super sp = make_super(&s, 100);
    memset(&sp.vnet, 0, sizeof sp.vnet);
    check_whole(&sp, 0, sp.bytes);
    free(sp.bytes);
}

/* ------------------------------------------------------------------------------------------------------------- refusals */

typedef enum poke_base { POKE_NOTHING, POKE_IP, POKE_L4 } poke_base;

/* How a good superpacket of 300 bytes of payload in segments of 100 is spoiled. 0 leaves a field as it is. */
typedef struct refusal {
    const char *name;
    tuo_result expected;
    pkt_spec spec;
    int gso_type, gso_size;       /* instead of the right one; -1 = 0 */
    int csum_start, csum_offset;  /* added */
    size_t cut;                   /* bytes cut off at the end */
    poke_base base;
    size_t at;
    uint8_t value;                /* byte to write there */
    uint8_t no_needs_csum;
} refusal;

static const uint8_t long_ext[240] = {6, 29};

static const refusal refusals[] = {
    {.name = "K1.5 gso_type 2", .expected = TUO_E_VNET_GSO_TYPE, .gso_type = 2},
    {.name = "K1.5 gso_type 0x6f with both tunnel bits", .expected = TUO_E_VNET_TUNNEL, .gso_type = 0x6f},
    {.name = "K4.12 AccECN", .expected = TUO_E_VNET_ACCECN, .gso_type = 0x11},
    {.name = "K4.12 AccECN and both tunnel bits", .expected = TUO_E_VNET_ACCECN, .gso_type = 0x71},
    {.name = "K4.12 AccECN and CWR", .expected = TUO_E_VNET_ACCECN, .gso_type = 0x91, .spec = {.tcp_flags = PKT_ACK | PKT_CWR}},
    {.name = "K4.12 AccECN on one segment", .expected = TUO_E_VNET_ACCECN, .gso_type = 0x14, .gso_size = 1000,
     .spec = {.kind = PKT_TCP6}},
    {.name = "K1.19 legacy UFO", .expected = TUO_E_VNET_UFO, .gso_type = 3, .spec = {.kind = PKT_UDP4}},
    {.name = "K3.22 UDP tunnel over IPv4 that is none", .expected = TUO_E_VNET_TUNNEL, .gso_type = 0x21},
    {.name = "K3.22 UDP tunnel over IPv6 that is none", .expected = TUO_E_VNET_TUNNEL, .gso_type = 0x41},
    {.name = "K1.5 ECN without a type", .expected = TUO_E_VNET_ECN, .gso_type = 0x80},
    {.name = "K1.7f ECN with UDP", .expected = TUO_E_VNET_ECN, .gso_type = 0x85, .spec = {.kind = PKT_UDP4}},
    {.name = "K1.7d gso_size 0", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = -1},
    {.name = "K1.7d gso_size 65535", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65535},
    {.name = "segments longer than an IPv4 packet", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65500,
     .spec = {.payload_len = 100000}},
    {.name = "segments longer than an IPv4 packet by a byte", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65496,
     .spec = {.payload_len = 100000}},
    {.name = "segments longer than an IPv6 packet", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65530,
     .spec = {.kind = PKT_UDP6, .payload_len = 100000}},
    {.name = "K3.9 TCPV4 on IPv6", .expected = TUO_E_VNET_IP_VERSION, .gso_type = 1, .spec = {.kind = PKT_TCP6}},
    {.name = "K3.9 TCPV6 on IPv4", .expected = TUO_E_VNET_IP_VERSION, .gso_type = 4},
    {.name = "K1.11 TCPV4 on UDP", .expected = TUO_E_VNET_PROTOCOL, .gso_type = 1, .spec = {.kind = PKT_UDP4}},
    {.name = "K1.11 UDP_L4 on TCP", .expected = TUO_E_VNET_PROTOCOL, .gso_type = 5},
    {.name = "GSO on ICMP", .expected = TUO_E_VNET_PROTOCOL, .spec = {.proto = 1}},
    {.name = "GSO on ESP", .expected = TUO_E_VNET_PROTOCOL, .spec = {.kind = PKT_TCP6, .ext_chain = "E"}},
    {.name = "K1.7f UDP_L4 without NEEDS_CSUM", .expected = TUO_E_VNET_NEEDS_CSUM, .no_needs_csum = 1,
     .spec = {.kind = PKT_UDP6}},
    {.name = "routing header without NEEDS_CSUM: no seed to go by", .expected = TUO_E_VNET_NEEDS_CSUM, .no_needs_csum = 1,
     .spec = {.kind = PKT_TCP6, .ext_chain = "r"}},
    {.name = "K1.11 csum_start 4 off", .expected = TUO_E_VNET_CSUM_START, .csum_start = 4},
    {.name = "K1.7f csum_offset of UDP on TCP", .expected = TUO_E_VNET_CSUM_OFFSET, .csum_offset = -10},
    {.name = "K1.7f csum_offset of TCP on UDP", .expected = TUO_E_VNET_CSUM_OFFSET, .csum_offset = 10,
     .spec = {.kind = PKT_UDP4}},
    {.name = "K1.7e checksum field beyond the packet", .expected = TUO_E_CSUM_RANGE, .csum_start = 60000},
    {.name = "K1.7e offset beyond the packet", .expected = TUO_E_CSUM_RANGE, .csum_offset = 65000},
    {.name = "IPv4 fragment, first", .expected = TUO_E_VNET_FRAGMENT, .spec = {.frag = 0x2000}},
    {.name = "IPv4 fragment, last", .expected = TUO_E_VNET_FRAGMENT, .spec = {.frag = 0x0010}},
    {.name = "IPv6 fragment", .expected = TUO_E_VNET_FRAGMENT, .spec = {.kind = PKT_TCP6, .ext_chain = "F"}},
    {.name = "headers longer than TUO_HEADER_MAX", .expected = TUO_E_HEADER_TOO_LONG,
     .spec = {.kind = PKT_TCP6, .ext = long_ext, .ext_len = 240, .ext_first = 60}},
    {.name = "not IP", .expected = TUO_E_NOT_IP, .base = POKE_IP, .at = 0, .value = 0x55},
    {.name = "version 6 on IPv4 bytes", .expected = TUO_E_IP_LENGTH, .base = POKE_IP, .at = 0, .value = 0x65,
     .spec = {.ip_id = 0xffff}},
    {.name = "IPv4 header of 16 bytes", .expected = TUO_E_IP_HEADER, .base = POKE_IP, .at = 0, .value = 0x44},
    {.name = "five VLAN tags", .expected = TUO_E_VLAN_DEPTH, .spec = {.vlan_count = 5}},
    {.name = "K1.16 IPv4 length beyond the bytes", .expected = TUO_E_IP_LENGTH, .cut = 1},
    {.name = "IPv6 length beyond the bytes", .expected = TUO_E_IP_LENGTH, .cut = 1, .spec = {.kind = PKT_UDP6}},
    {.name = "extension header beyond the packet", .expected = TUO_E_IP6_EXT, .base = POKE_IP, .at = 41, .value = 200,
     .spec = {.kind = PKT_TCP6, .ext_chain = "D"}},
    {.name = "K6.9 TCP header of 16 bytes", .expected = TUO_E_TCP_HEADER, .base = POKE_L4, .at = 12, .value = 0x40},
    {.name = "K6.9 TCP header beyond the packet", .expected = TUO_E_TCP_HEADER, .base = POKE_L4, .at = 12, .value = 0xf0,
     .spec = {.payload_len = 4}},
    {.name = "UDP length 7", .expected = TUO_E_UDP_LENGTH, .spec = {.kind = PKT_UDP4, .udp_len = 7}},
    {.name = "UDP length beyond the packet", .expected = TUO_E_UDP_LENGTH, .spec = {.kind = PKT_UDP6, .udp_len = 309}},
    {.name = "K7.11 IPv4 header checksum is wrong", .expected = TUO_E_IP_CSUM, .spec = {.ip_csum_xor = 1}},
    {.name = "K7.11 the same without NEEDS_CSUM", .expected = TUO_E_IP_CSUM, .spec = {.ip_csum_xor = 0x8000},
     .no_needs_csum = 1},
    {.name = "K1.13 TCP checksum is wrong", .expected = TUO_E_L4_CSUM, .base = POKE_L4, .at = 20, .value = 0xff,
     .no_needs_csum = 1},
    {.name = "K1.13 TCP checksum is wrong, IPv6", .expected = TUO_E_L4_CSUM, .base = POKE_L4, .at = 20, .value = 0xff,
     .no_needs_csum = 1, .spec = {.kind = PKT_TCP6}},
};

static super spoiled(const refusal *row)
{
    pkt_spec s = row->spec;
    if (s.payload_len == 0) {
        s.payload_len = 300;
    }
    super sp = make_super(&s, row->gso_size < 0 ? 0 : row->gso_size == 0 ? 100 : (size_t)row->gso_size);
    if (row->no_needs_csum) {
        sp.vnet.flags = 0;
        if (s.ip_csum_xor == 0) {
            pkt_fix_checksums(sp.bytes, sp.len, 0);
        }
    }
    if (row->gso_type != 0) {
        sp.vnet.gso_type = (uint8_t)row->gso_type;
    }
    sp.vnet.csum_start = (uint16_t)(sp.vnet.csum_start + row->csum_start);
    sp.vnet.csum_offset = (uint16_t)(sp.vnet.csum_offset + row->csum_offset);
    if (row->base != POKE_NOTHING) {
        sp.bytes[(row->base == POKE_IP ? pkt_ip_off(&s) : pkt_l4_off(&s)) + row->at] = row->value;
    }
    sp.len -= row->cut;
    return sp;
}

/* --- a GSO type on one segment, or none (K 1.7h) --- */

static void check_as_it_came(const pkt_spec *s, size_t gso_size, int finished, unsigned flags)
{
    super sp = make_super(s, gso_size);
    pkt_view v = pkt_look(sp.bytes, sp.len, pkt_is_ethernet(s), 1);
    uint8_t *expected = ref_alloc(sp.len, 1);
    tuo_gso gso;
    sp.vnet.flags = finished ? 0 : TUO_VNET_NEEDS_CSUM;
    memcpy(expected, sp.bytes, sp.len);
    if (!finished && !(flags & TUO_F_PSEUDO)) {
        ref_complete(expected, v.end, sp.vnet.csum_start, sp.vnet.csum_offset);
    }
    CHECK_RESULT(tuo_vnet_check(&sp.vnet, sp.bytes, sp.len, sp.flags), TUO_OK);
    if (CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, sp.flags | flags), TUO_OK) &&
        CHECK_EQ_INT(tuo_gso_count(&gso), 1)) {
        ref_list list = by_iterator(gso);
        if (CHECK_EQ_INT(list.len[0], v.end)) {
            CHECK_BYTES(list.bytes[0], expected, v.end);
        }
        ref_list_free(&list);
    }
    free(expected);
    free(sp.bytes);
}

TEST(one_segment_is_no_superpacket)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        size_t gso_size;
        int finished;
    } rows[] = {
        {"pure ACK", {.payload_len = PKT_ZERO}, 1000, 0},
        {"pure ACK, finished", {.kind = PKT_TCP6, .payload_len = PKT_ZERO}, 1000, 1},
        {"pure ACK, options longer than gso_size", {.payload_len = PKT_ZERO, .tcp_options = nops, .tcp_options_len = 12}, 8, 0},
        {"FIN", {.payload_len = PKT_ZERO, .tcp_flags = PKT_FIN | PKT_ACK | PKT_CWR}, 1, 0},
        {"empty datagram", {.kind = PKT_UDP6, .payload_len = PKT_ZERO}, 1, 0},
        {"one segment", {.payload_len = 1000}, 1000, 0},
        {"one segment, VLAN tag", {.kind = PKT_TCP6, .payload_len = 1000, .vlan_count = 1}, 1001, 0},
        {"one datagram", {.kind = PKT_UDP4, .payload_len = 500}, 500, 0},
        {"one datagram of a length of its own", {.kind = PKT_UDP4, .payload_len = 500, .udp_len = 108}, 500, 0},
        {"bytes behind it", {.kind = PKT_UDP4, .payload_len = 500, .trailer_len = 7}, 500, 0},
        {"bytes behind it, finished", {.payload_len = 5, .trailer_len = 40}, 20, 1},
        {"a wrong checksum is not looked at", {.payload_len = 10, .ip_csum_xor = 1, .l4_csum_xor = 1}, 10, 1},
        {"headers longer than TUO_HEADER_MAX", {.kind = PKT_TCP6, .payload_len = 10, .ext = long_ext, .ext_len = 240, .ext_first = 60},
         10, 0},
        {"segments left in a routing header, finished", {.kind = PKT_TCP6, .payload_len = 10, .ext_chain = "r"}, 10, 1},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        check_as_it_came(&rows[i].spec, rows[i].gso_size, rows[i].finished, 0);
        check_as_it_came(&rows[i].spec, rows[i].gso_size, rows[i].finished, TUO_F_PSEUDO);
    }
}

/* K 1.17: the splitter goes by the IP length, and the UDP length only says what the seed includes. */
TEST(udp_length_of_one_segment)
{
    for (int kind = PKT_UDP4; kind <= PKT_UDP6; kind += PKT_UDP6 - PKT_UDP4) {
        pkt_spec s = {.kind = (pkt_kind)kind, .payload_len = 2500};
        super whole = make_super(&s, 1000);
        s.udp_len = 1008;
        super stated = make_super(&s, 1000); /* with the seed for that length */
        ref_list expected = ref_split(whole.bytes, whole.len, 0, 1000);
        tuo_gso gso;
        check_row("%s", kind_names[kind]);
        CHECK_RESULT(tuo_gso_init(&gso, stated.bytes, stated.len, &stated.vnet, 0), TUO_OK);
        check_same(&expected, by_iterator(gso), "the seed is for the length that is stated");
        memcpy(stated.bytes + pkt_l4_off(&s) + 6, whole.bytes + pkt_l4_off(&s) + 6, 2);
        CHECK_RESULT(tuo_gso_init(&gso, stated.bytes, stated.len, &stated.vnet, 0), TUO_OK);
        ref_list wrong = by_iterator(gso);
        CHECK_EQ_INT(wrong.count, 3);
        CHECK_RESULT(tuo_csum_check(wrong.bytes[0], wrong.len[0], 0), TUO_E_L4_CSUM);
        ref_list_free(&wrong);
        ref_list_free(&expected);
        free(whole.bytes);
        free(stated.bytes);
    }
}

TEST(refused_by_name)
{
    for (size_t i = 0; i < CHECK_COUNT_OF(refusals); i++) {
        tuo_gso gso, untouched;
        memset(&gso, 0xa5, sizeof gso);
        memset(&untouched, 0xa5, sizeof untouched);
        check_row("%s", refusals[i].name);
        super sp = spoiled(&refusals[i]);
        CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, sp.flags), refusals[i].expected);
        CHECK_BYTES(&gso, &untouched, sizeof gso);
        free(sp.bytes);
    }
}

TEST(length_of_2_to_the_31)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    s.ip_len_zero = 1;
    super sp = make_super(&s, 100);
    tuo_gso gso;
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, (size_t)0x80000000u, &sp.vnet, TUO_F_TRUST), TUO_E_INVALID);
    CHECK_RESULT(tuo_coalesce_account(sp.bytes, (size_t)0x80000000u, 100, 0, &sp.vnet), TUO_E_INVALID);
    free(sp.bytes);
}

/* A trusted packet may have wrong checksums; its segments have right ones. */
TEST(trust_skips_verification)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    s.ip_csum_xor = 0x1111;
    for (int needs_csum = 0; needs_csum < 2; needs_csum++) {
        check_row(needs_csum ? "wrong IPv4 header checksum" : "and wrong TCP checksum, no NEEDS_CSUM");
        super sp = make_super(&s, 100);
        sp.vnet.flags = needs_csum ? TUO_VNET_NEEDS_CSUM : 0;
        ref_list list = split_all_ways(&sp, TUO_F_TRUST);
        for (size_t i = 0; i < list.count; i++) {
            CHECK_RESULT(tuo_csum_check(list.bytes[i], list.len[i], 0), TUO_OK);
        }
        ref_list_free(&list);
        free(sp.bytes);
    }
}

/* Each prefix ends at a page that must not be touched. Without a length field (0) every prefix with all headers is a packet. */
TEST(no_byte_behind_the_packet_is_read)
{
    guard_page g = guard_page_new(4096);
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int variant = 0; variant < 4; variant++) {
            pkt_spec s = {0};
            int open_ended = variant & 1;
            s.kind = (pkt_kind)kind;
            s.payload_len = 57;
            s.ip_len_zero = (uint8_t)open_ended;
            s.udp_len = pkt_is_udp(&s) && open_ended ? PKT_ZERO : 0;
            s.vlan_count = (uint8_t)(variant / 2 * 2);
            s.ip_options = s.tcp_options = nops;
            s.ip_options_len = s.tcp_options_len = (uint8_t)(variant / 2 * 12);
            s.ext_chain = pkt_is_v6(&s) && variant / 2 ? "HD" : NULL;
            super sp = make_super(&s, 10);
            check_row("%s variant %d", kind_names[kind], variant);
            for (size_t len = 0; len <= sp.len; len++) {
                super part = sp;
                tuo_gso gso;
                part.bytes = guard_page_at_end(&g, sp.bytes, len);
                part.len = len;
                tuo_result result = tuo_gso_init(&gso, part.bytes, len, &sp.vnet, sp.flags);
                int whole = len == sp.len || (open_ended && len >= pkt_payload_off(&s));
                CHECK((result == TUO_OK) == whole);
                if (result == TUO_OK) {
                    ref_list list = by_iterator(gso);
                    check_same(&list, by_split(gso, 3, sp.len), "split");
                    while (tuo_gso_remaining(&gso) > 0) { /* on the guarded memory itself, not on a copy */
                        tuo_buf segment;
                        CHECK_RESULT(tuo_gso_next_in_place(&gso, part.bytes, &segment), TUO_OK);
                    }
                    ref_list_free(&list);
                }
            }
            free(sp.bytes);
        }
    }
    guard_page_free(&g);
}

/* ------------------------------------------------------------------------------------------------------------- buffers */

TEST(split_resumes)
{
    pkt_spec s = {0};
    s.payload_len = 1050;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    tuo_gso gso;
    for (size_t per_call = 1; per_call <= 12; per_call++) {
        check_row("%u buffers at a time", (unsigned)per_call);
        CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
        check_same(&expected, by_split(gso, per_call, 140), "split");
    }
    check_row("no buffers, then none left to write");
    size_t written = 99;
    CHECK_RESULT(tuo_gso_split(&gso, NULL, NULL, 0, 0, &written), TUO_MORE);
    CHECK_EQ_INT(written, 0);
    tuo_segment segment;
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
    }
    written = 99;
    CHECK_RESULT(tuo_gso_split(&gso, NULL, NULL, 0, 0, &written), TUO_OK);
    CHECK_EQ_INT(written, 0);
    ref_list_free(&expected);
    free(sp.bytes);
}

/* A buffer that is too small, at each place, by each amount that matters: it stays untouched and the split goes on. */
TEST(buffer_too_small)
{
    enum { BUFS = 4, NEED = HEADROOM + 140 };
    static const size_t caps[] = {0, HEADROOM - 1, HEADROOM, HEADROOM + 139};
    pkt_spec s = {0};
    s.payload_len = 1000;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    for (size_t place = 0; place < BUFS; place++) {
        for (size_t c = 0; c < CHECK_COUNT_OF(caps); c++) {
            ref_list list = {NULL, NULL, 0};
            tuo_gso gso;
            tuo_buf bufs[BUFS];
            void *handles[BUFS];
            size_t written = 99;
            check_row("buffer %u has %u bytes", (unsigned)place, (unsigned)caps[c]);
            CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
            for (size_t i = 0; i < BUFS; i++) {
                buf_init(&bufs[i], NEED);
                handles[i] = &bufs[i];
            }
            bufs[place].capacity = caps[c];
            bufs[place].len = 7;
            CHECK_RESULT(tuo_gso_split(&gso, NULL, handles, BUFS, HEADROOM, &written), TUO_E_NOSPACE);
            CHECK_EQ_INT(written, place);
            CHECK_EQ_INT(bufs[place].len, 7);
            CHECK(is_filled(bufs[place].data, NEED));
            for (size_t i = 0; i < BUFS; i++) {
                if (i < place) {
                    take_buf(&list, &bufs[i]);
                }
                free(bufs[i].data);
            }
            ref_list rest = by_split(gso, 3, 140);
            for (size_t i = 0; i < rest.count; i++) {
                tuo_iov iov = {rest.bytes[i], rest.len[i]};
                list_add(&list, &iov, 1);
            }
            ref_list_free(&rest);
            check_same(&expected, list, "with one too small");
        }
    }
    ref_list_free(&expected);
    free(sp.bytes);
}

/* Buffers of an unusual kind: their memory moves with each resize, and each n-th resize fails. */
typedef struct moving_buf {
    uint8_t *data;
    size_t len;
} moving_buf;

typedef struct moving_pool {
    unsigned calls, fail_every;
} moving_pool;

static uint8_t *moving_data(void *user, void *buf)
{
    (void)user;
    return ((moving_buf *)buf)->data;
}

static size_t moving_length(void *user, const void *buf)
{
    (void)user;
    return ((const moving_buf *)buf)->len;
}

static size_t moving_capacity(void *user, const void *buf)
{
    (void)user, (void)buf;
    return 70000;
}

static int moving_resize(void *user, void *buf, size_t len)
{
    moving_pool *pool = user;
    moving_buf *b = buf;
    if (++pool->calls % pool->fail_every == 0) {
        return -1;
    }
    uint8_t *data = ref_alloc(len, 1);
    memset(data, FILL, len);
    free(b->data);
    b->data = data;
    b->len = len;
    return 0;
}

static int moving_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    (void)user, (void)buf, (void)bytes, (void)len;
    CHECK(len == 0 && len != 0); /* split appends nothing: a call is a failure */
    return -1;
}

TEST(resize_fails_now_and_then)
{
    enum { BUFS = 3 };
    pkt_spec s = {0};
    s.kind = PKT_UDP6;
    s.payload_len = 1050;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    for (unsigned every = 2; every <= 12; every++) {
        moving_pool pool = {0, every};
        tuo_buf_ops ops = {&pool, moving_data, moving_length, moving_capacity, moving_resize, moving_append};
        ref_list list = {NULL, NULL, 0};
        tuo_gso gso;
        tuo_result result;
        unsigned calls = 0, failures = 0;
        check_row("resize %u fails", every);
        CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
        do {
            moving_buf bufs[BUFS] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
            void *handles[BUFS] = {&bufs[0], &bufs[1], &bufs[2]};
            size_t written = 99;
            result = tuo_gso_split(&gso, &ops, handles, BUFS, HEADROOM, &written);
            for (size_t i = 0; i < BUFS; i++) {
                if (i < written) {
                    tuo_buf view = {bufs[i].data, bufs[i].len, bufs[i].len};
                    take_buf(&list, &view);
                }
                free(bufs[i].data);
            }
            failures += result == TUO_E_BUFFER;
            CHECK(result == TUO_OK || result == TUO_E_BUFFER || (result == TUO_MORE && written == BUFS));
        } while (result != TUO_OK && ++calls < 100);
        CHECK_EQ_INT(failures, pool.calls / every);
        check_same(&expected, list, "with failing resizes");
    }
    ref_list_free(&expected);
    free(sp.bytes);
}

/* --------------------------------------------------------------------------------------------------------- the iterator */

TEST(in_place_refuses_another_pointer)
{
    pkt_spec s = {0};
    s.payload_len = 300;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    uint8_t *copy = ref_alloc(sp.len, 1);
    tuo_gso gso;
    tuo_buf segment = {NULL, 77, 77};
    memcpy(copy, sp.bytes, sp.len);
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, copy, &segment), TUO_E_INVALID);
    CHECK_BYTES(copy, sp.bytes, sp.len);
    CHECK(segment.data == NULL && segment.len == 77);
    CHECK_EQ_INT(tuo_gso_remaining(&gso), 3);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, sp.bytes, &segment), TUO_OK);
    CHECK(segment.len == expected.len[0] && CHECK_BYTES(segment.data, expected.bytes[0], segment.len));
    ref_list_free(&expected);
    free(copy);
    free(sp.bytes);
}

/* An empty packet needs no memory. */
TEST(in_place_of_nothing)
{
    static const tuo_vnet_hdr none;
    tuo_gso gso;
    tuo_buf segment = {(uint8_t *)&gso, 77, 77};
    CHECK_RESULT(tuo_gso_init(&gso, NULL, 0, &none, 0), TUO_OK);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, &segment, &segment), TUO_E_INVALID);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, NULL, &segment), TUO_OK);
    CHECK(segment.data == NULL && segment.len == 0);
    CHECK_RESULT(tuo_gso_next_in_place(&gso, NULL, &segment), TUO_DONE);
}

/* A copied iterator is a saved position: both go on from there. */
TEST(copy_of_an_iterator)
{
    pkt_spec s = {0};
    s.payload_len = 1000;
    s.tcp_flags = PKT_ACK | PKT_PSH | PKT_CWR;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    tuo_gso gso, saved;
    tuo_segment a, b;
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
    for (size_t i = 0; i < expected.count; i++) {
        uint8_t header[TUO_HEADER_MAX];
        saved = gso;
        CHECK_EQ_INT(tuo_gso_count(&saved), expected.count);
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &a), TUO_OK);
        CHECK_RESULT(tuo_gso_next(&saved, header, &b), TUO_OK);
        CHECK(a.iov_count == 2 && b.iov_count == 2 && a.iov[1].base == b.iov[1].base && a.payload_len == 100);
        CHECK(a.iov[0].base != (const void *)header && b.iov[0].base == (const void *)header);
        CHECK_BYTES(a.iov[0].base, expected.bytes[i], 40);
        CHECK_BYTES(b.iov[0].base, expected.bytes[i], 40);
    }
    ref_list_free(&expected);
    free(sp.bytes);
}

/* A batch of none does nothing; between batches the other calls go on where they were. */
TEST(batches_among_single_calls)
{
    pkt_spec s = {0};
    s.payload_len = 1000;
    s.tcp_flags = PKT_ACK | PKT_PSH | PKT_CWR;
    super sp = make_super(&s, 100);
    ref_list expected = ref_split(sp.bytes, sp.len, 0, 100);
    static uint8_t headers[10][TUO_HEADER_MAX], untouched[TUO_HEADER_MAX];
    tuo_gso gso;
    tuo_segment segments[10];
    tuo_buf buf;
    void *handle = &buf;
    size_t written;
    memset(headers, FILL, sizeof headers);
    memset(untouched, FILL, sizeof untouched);
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_OK);
    CHECK_EQ_INT(tuo_gso_next_batch(&gso, NULL, NULL, 0), 0);
    CHECK_EQ_INT(tuo_gso_remaining(&gso), 10);
    CHECK_EQ_INT(tuo_gso_next_batch(&gso, headers, segments, 2), 2);
    CHECK_RESULT(tuo_gso_next(&gso, headers[2], &segments[2]), TUO_OK);
    CHECK_EQ_INT(tuo_gso_next_batch(&gso, headers + 3, segments + 3, 0), 0);
    CHECK_BYTES(headers[3], untouched, TUO_HEADER_MAX);
    CHECK_EQ_INT(tuo_gso_next_batch(&gso, headers + 3, segments + 3, 6), 6);
    CHECK_BYTES(headers[9], untouched, TUO_HEADER_MAX);
    for (size_t i = 0; i < 9; i++) {
        CHECK(segments[i].iov[0].base == (const void *)headers[i]);
        CHECK_BYTES(headers[i], expected.bytes[i], 40);
        CHECK_BYTES(segments[i].iov[1].base, expected.bytes[i] + 40, 100);
    }
    buf_init(&buf, 200);
    CHECK_RESULT(tuo_gso_split(&gso, NULL, &handle, 1, HEADROOM, &written), TUO_OK);
    CHECK_BYTES(buf.data + HEADROOM, expected.bytes[9], 140);
    CHECK_EQ_INT(tuo_gso_next_batch(&gso, headers + 9, segments + 9, 1), 0);
    CHECK_BYTES(headers[9], untouched, TUO_HEADER_MAX);
    free(buf.data);
    ref_list_free(&expected);
    free(sp.bytes);
}

/* ---------------------------------------------------------------------------------------------------------- accounting */

TEST(account_finishes_a_merged_packet)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int variant = 0; variant < 4; variant++) {
            pkt_spec s = {0};
            s.kind = (pkt_kind)kind;
            s.payload_len = 250;
            s.ip_id = 0x1234;
            s.tcp_flags = PKT_ACK | PKT_PSH;
            s.ip_options = s.tcp_options = nops;
            s.ip_options_len = s.tcp_options_len = (uint8_t)(variant * 4);
            s.vlan_count = (uint8_t)variant;
            s.ext_chain = pkt_is_v6(&s) && variant == 2 ? "HDR" : NULL;
            check_row("C6 %s variant %d", kind_names[kind], variant);
            check_account(&s, 100);
            check_account(&s, 249);
            check_account(&s, pkt_is_udp(&s) ? 2 : 8); /* the smallest: 125 datagrams, K 1.9 */
            check_row("C5 %s variant %d, 65535 bytes", kind_names[kind], variant);
            s.payload_len = 65535 - (int32_t)(pkt_payload_off(&s) - pkt_ip_off(&s));
            check_account(&s, 1448);
        }
    }
}

/* The longest headers that fit, and four bytes more. */
TEST(headers_as_long_as_they_may_be)
{
    static const uint8_t ext[192] = {6, 23}; /* one header, next is TCP, 23 units of 8 bytes follow the first */
    pkt_spec s = {0};
    s.kind = PKT_TCP6;
    s.payload_len = 300;
    s.ext = ext;
    s.ext_len = sizeof ext;
    s.ext_first = 60;
    s.tcp_options = nops;
    s.tcp_options_len = 4;
    CHECK_EQ_INT(pkt_payload_off(&s), TUO_HEADER_MAX);
    check_split(&s, 100, 0);
    check_account(&s, 100);
    s.tcp_options_len = 8;
    super sp = make_super(&s, 100);
    tuo_gso gso;
    CHECK_RESULT(tuo_gso_init(&gso, sp.bytes, sp.len, &sp.vnet, 0), TUO_E_HEADER_TOO_LONG);
    CHECK_RESULT(tuo_coalesce_account(sp.bytes, sp.len, 100, 0, &sp.vnet), TUO_E_HEADER_TOO_LONG);
    free(sp.bytes);
}

TEST(account_refuses_by_name)
{
    static const struct {
        const char *name;
        tuo_result expected;
        pkt_spec spec;
        int32_t gso_size;
        size_t cut;
    } rows[] = {
        {"K1.8 one packet", TUO_E_INVALID, {.payload_len = 100}, 100, 0},
        {"K1.8 less than one", TUO_E_INVALID, {.payload_len = 99}, 100, 0},
        {"gso_size 0", TUO_E_VNET_GSO_SIZE, {.payload_len = 100}, 0, 0},
        {"gso_size 65535", TUO_E_VNET_GSO_SIZE, {.payload_len = 65495, .ip_len_zero = 1}, 65535, 0},
        {"K1.9 TCP gso_size 7", TUO_E_VNET_GSO_SIZE, {.payload_len = 100}, 7, 0},
        {"K1.7f 129 UDP segments", TUO_E_VNET_SEG_LIMIT, {.kind = PKT_UDP4, .payload_len = 129}, 1, 0},
        {"another final destination", TUO_E_VNET_PROTOCOL, {.kind = PKT_TCP6, .ext_chain = "L", .payload_len = 300}, 100, 0},
        {"65536 bytes, IPv4", TUO_E_IP_LENGTH, {.payload_len = 65496}, 1000, 0},
        {"65536 bytes, IPv6", TUO_E_IP_LENGTH, {.kind = PKT_UDP6, .payload_len = 65488}, 1000, 0},
        {"neither TCP nor UDP", TUO_E_VNET_PROTOCOL, {.proto = 1, .payload_len = 300}, 100, 0},
        {"fragment", TUO_E_VNET_FRAGMENT, {.frag = 0x2000, .payload_len = 300}, 100, 0},
        {"headers too long", TUO_E_HEADER_TOO_LONG,
         {.kind = PKT_TCP6, .ext = long_ext, .ext_len = 240, .ext_first = 60, .payload_len = 300}, 100, 0},
        {"not IP", TUO_E_TRUNCATED, {.ethernet = 1, .payload_len = 300}, 100, 341},
        {"cut inside the headers", TUO_E_TRUNCATED, {.kind = PKT_TCP6, .payload_len = 300}, 100, 330},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_vnet_hdr vnet, untouched;
        memset(&vnet, 0xa5, sizeof vnet);
        memset(&untouched, 0xa5, sizeof untouched);
        check_row("%s", rows[i].name);
        super sp = make_super(&rows[i].spec, 100);
        uint8_t *before = ref_alloc(sp.len, 1);
        memcpy(before, sp.bytes, sp.len);
        CHECK_RESULT(tuo_coalesce_account(sp.bytes, sp.len - rows[i].cut, (uint16_t)rows[i].gso_size, sp.flags, &vnet),
                     rows[i].expected);
        CHECK_BYTES(sp.bytes, before, sp.len);
        CHECK_BYTES(&vnet, &untouched, sizeof vnet);
        free(before);
        free(sp.bytes);
    }
}

/* Up to the limits, which account_refuses_by_name steps over. */
TEST(account_takes_the_most)
{
    static const struct {
        const char *name;
        pkt_spec spec;
        uint16_t gso_size;
    } rows[] = {
        {"K1.7f 128 UDP segments", {.kind = PKT_UDP4, .payload_len = 128}, 1},
        {"65535 bytes, IPv4", {.payload_len = 65495}, 1000},
        {"65535 bytes, IPv6", {.kind = PKT_UDP6, .payload_len = 65487}, 1000},
        {"an Ethernet header is not part of the length", {.ethernet = 1, .payload_len = 65495}, 65494},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_vnet_hdr vnet;
        check_row("%s", rows[i].name);
        super sp = make_super(&rows[i].spec, 100);
        CHECK_RESULT(tuo_coalesce_account(sp.bytes, sp.len, rows[i].gso_size, sp.flags, &vnet), TUO_OK);
        CHECK_RESULT(tuo_vnet_check(&vnet, sp.bytes, sp.len, sp.flags), TUO_OK);
        free(sp.bytes);
    }
}

/* A whole checksum over more than 65535 bytes: the pseudo-header's length has 32 bits, and the high half counts (RFC 8200, 8.1). */
TEST(whole_checksum_beyond_65535)
{
    enum { PAYLOAD = 70000, HDR = 60 };
    static uint8_t p[HDR + PAYLOAD];
    const tuo_vnet_hdr vnet = {.gso_type = TUO_GSO_TCPV6, .gso_size = 1400, .hdr_len = HDR};
    uint64_t sum = 6 + (20 + PAYLOAD);
    tuo_gso gso;
    size_t i;

    for (i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(i < HDR ? 0 : i * 7 + i / 256);
    p[0] = 0x60; /* the length field stays 0 */
    p[6] = 6;
    p[7] = 64;
    p[8] = 0xfd, p[23] = 1;
    p[24] = 0xfd, p[39] = 2;
    p[41] = 80, p[43] = 99;
    p[52] = 0x50, p[53] = 0x10;
    for (i = 8; i < sizeof p; i++)
        sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    pkt_put16(p + 56, (unsigned)(~sum & 0xffff));
    CHECK_RESULT(tuo_gso_init(&gso, p, sizeof p, &vnet, 0), TUO_OK);
    CHECK_EQ_INT(tuo_gso_count(&gso), PAYLOAD / 1400);
    p[HDR + 69999] ^= 1;
    CHECK_RESULT(tuo_gso_init(&gso, p, sizeof p, &vnet, 0), TUO_E_L4_CSUM);
}

/* ------------------------------------------------------------------------------------------------ tunnels (K 3.22 to 3.26) */

static super super_of(const tunnel_super *t)
{
    super sp = {t->bytes, t->len, t->vnet, t->ethernet ? TUO_F_ETHERNET : 0};
    return sp;
}

/* A superpacket in a tunnel, in every way, against the naive splitter. */
static void check_tunnel_super(const tunnel_super *t, unsigned more_flags)
{
    super sp = super_of(t);
    ref_list expected = tunnel_split(t, t->vnet.gso_size);
    for (size_t i = 0; i < expected.count && (more_flags & TUO_F_PSEUDO) != 0; i++) {
        leave_pseudo_sum(expected.bytes[i] + t->inner_off, expected.len[i] - t->inner_off, 0);
    }
    check_all_ways(&sp, sp.flags | more_flags, &expected);
    ref_list_free(&expected);
}

static void check_tunnel(const tunnel_spec *spec, size_t gso_size, unsigned more_flags)
{
    tunnel_super t = tunnel_build(spec, gso_size);
    CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, t.ethernet ? TUO_F_ETHERNET : 0), TUO_OK);
    check_tunnel_super(&t, more_flags);
    free(t.bytes);
}

typedef struct tunnel_form {
    const char *name;
    uint8_t outer_ethernet, outer_tags, inner_ethernet, inner_tags;
    size_t header_len;
} tunnel_form;

static const tunnel_form tunnel_forms[] = {
    {"VXLAN on TUN", 0, 0, 1, 0, 8},
    {"bare IP on TUN", 0, 0, 0, 0, 8},
    {"inner VLAN tag", 0, 0, 1, 1, 8},
    {"Geneve with options on TAP", 1, 0, 1, 0, 24},
    {"two tags outside, one inside", 1, 2, 1, 1, 8},
    {"nothing in between", 0, 0, 0, 0, 0},
    {"an odd number of bytes in between", 0, 0, 1, 0, 3},
    {"one byte in between on TAP", 1, 0, 0, 0, 1},
};

static tunnel_spec tunnel_of(const tunnel_form *form, pkt_kind outer, pkt_kind inner, int csum)
{
    tunnel_spec t = {.outer = {.kind = outer}, .inner = {.kind = inner}};
    t.outer.ethernet = form->outer_ethernet;
    t.outer.vlan_count = form->outer_tags;
    t.inner.ethernet = form->inner_ethernet;
    t.inner.vlan_count = form->inner_tags;
    t.header_len = form->header_len;
    t.csum = csum;
    return t;
}

TEST(tunnels_of_every_form)
{
    static const pkt_kind outers[] = {PKT_UDP4, PKT_UDP6};
    for (size_t f = 0; f < CHECK_COUNT_OF(tunnel_forms); f++) {
        for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
            for (int variant = 0; variant < 4; variant++) {
                tunnel_spec t = tunnel_of(&tunnel_forms[f], outers[variant / 2], (pkt_kind)kind, variant % 2);
                t.outer.ip_id = 0xfffe;
                t.outer.df = variant % 2 ? 0 : PKT_ZERO;
                t.outer.tos = 0xb9;
                t.inner.ip_id = 0xfffd;
                t.inner.tcp_flags = PKT_ACK | PKT_PSH | PKT_CWR;
                t.inner.payload_len = 3456;
                check_row("%s, inner %s, outer %s, checksum %d", tunnel_forms[f].name, kind_names[kind],
                          kind_names[outers[variant / 2]], variant % 2);
                check_tunnel(&t, 1000, 0);
                check_tunnel(&t, 1000, TUO_F_PSEUDO);
                check_tunnel(&t, 1152, 0); /* the last one is full */
                check_tunnel(&t, 7, 0);
            }
        }
    }
}

/* K 3.22: a tag that TAP inserts is counted by csum_start and by neither of the two offsets. */
TEST(tunnel_behind_a_tag_that_is_not_counted)
{
    for (uint8_t tags = 1; tags <= TUO_VLAN_MAX; tags++) {
        for (int outer = PKT_UDP4; outer <= PKT_UDP6; outer += PKT_UDP6 - PKT_UDP4) {
            tunnel_spec spec = {.outer = {.kind = (pkt_kind)outer, .vlan_count = tags}, .inner = {.payload_len = 2500, .ethernet = 1},
                                .header_len = 8, .csum = 1};
            tunnel_super t = tunnel_build(&spec, 1000);
            check_row("%u tags, outer %s", tags, kind_names[outer]);
            t.vnet.outer_th_offset = (uint16_t)(t.vnet.outer_th_offset - 4);
            t.vnet.inner_nh_offset = (uint16_t)(t.vnet.inner_nh_offset - 4);
            CHECK_EQ_INT(t.vnet.outer_th_offset, 14 + 4 * (tags - 1) + (outer == PKT_UDP4 ? 20 : 40));
            check_tunnel_super(&t, 0);
            free(t.bytes);
        }
    }
}

TEST(random_tunnels)
{
    rng r = rng_start("random_tunnels", 21);
    for (int i = 0; i < 300; i++) {
        tunnel_spec t = {.outer = random_spec(&r), .inner = random_spec(&r)};
        t.outer.kind = rng_chance(&r, 1, 2) ? PKT_UDP4 : PKT_UDP6;
        t.outer.ext_chain = pkt_is_v6(&t.outer) && rng_chance(&r, 1, 3) ? "HD" : NULL;
        t.header_len = rng_below(&r, 40);
        t.csum = (int)rng_below(&r, 2);
        while (tunnel_inner_off(&t) + pkt_payload_off(&t.inner) > TUO_HEADER_MAX) {
            t.outer.ip_options_len = t.inner.ip_options_len = t.inner.tcp_options_len = 0;
            t.header_len = 8;
            t.inner.ext_chain = NULL;
        }
        if (t.inner.ext_chain != NULL && strchr(t.inner.ext_chain, 'J') != NULL) { /* refused in a tunnel: tunnels_refused_by_name */
            t.inner.ext_chain = "HD";
        }
        if (tunnel_inner_off(&t) + pkt_len(&t.inner) > 65535) {
            t.inner.payload_len = 1000;
        }
        size_t gso_size = 1 + rng_below(&r, t.inner.payload_len < 3000 && rng_chance(&r, 1, 3) ? 60 : 2000);
        check_row("random tunnel %d", i);
        if (!t.csum && gso_size >= pkt_payload_len(&t.inner)) { /* one segment without an outer checksum: tunnel_bit_on_another_packet */
            t.inner.payload_len = (int32_t)gso_size + 1;
        }
        check_tunnel(&t, gso_size, (rng_chance(&r, 1, 4) ? TUO_F_PSEUDO : 0) | TUO_F_SIMD(simd_level_at((unsigned)i)));
    }
}

/* K 3.25: a computed checksum of 0 is sent as 0xffff, in full segments and in the last one. */
TEST(outer_checksum_that_comes_out_as_0)
{
    for (int outer = PKT_UDP4; outer <= PKT_UDP6; outer += PKT_UDP6 - PKT_UDP4) {
        for (int last = 0; last < 2; last++) {
            tunnel_spec spec = {.outer = {.kind = (pkt_kind)outer}, .inner = {.payload_len = 250, .ethernet = 1}, .header_len = 8, .csum = 1};
            tunnel_super t = tunnel_build(&spec, 100);
            size_t field = pkt_l4_off(&spec.outer) + 6;
            check_row("outer %s, segment %d", kind_names[outer], last ? 2 : 0);
            pkt_put16(t.bytes + field + 2, 0); /* the first bytes of the tunnel header */
            ref_list with_0 = tunnel_split(&t, 100);
            pkt_put16(t.bytes + field + 2, pkt_get16(with_0.bytes[last ? 2 : 0] + field));
            ref_list list = tunnel_split(&t, 100);
            CHECK_EQ_INT(pkt_get16(list.bytes[last ? 2 : 0] + field), 0xffff);
            check_tunnel_super(&t, 0);
            ref_list_free(&with_0);
            ref_list_free(&list);
            free(t.bytes);
        }
    }
}

/* P2: an outer seed for other addresses stays one, and an inner one does not make the outer sum wrong. */
TEST(seeds_in_a_tunnel_are_neither_repaired_nor_replaced)
{
    for (int damaged = 0; damaged < 2; damaged++) {
        tunnel_spec spec = {.outer = {.kind = PKT_UDP4}, .inner = {.kind = PKT_TCP6, .payload_len = 250, .ethernet = 1}, .header_len = 8,
                            .csum = 1};
        tunnel_super t = tunnel_build(&spec, 100);
        super sp = super_of(&t);
        tuo_gso gso;
        check_row(damaged ? "inner address" : "outer address");
        t.bytes[damaged ? t.inner_off + 39 : 19] ^= 0x55;
        pkt_view v = pkt_look(t.bytes, t.len, 0, 0);
        pkt_fix_ip_checksum(t.bytes, &v);
        if (CHECK_RESULT(tuo_gso_init(&gso, t.bytes, t.len, &t.vnet, 0), TUO_OK)) {
            ref_list list = by_iterator(gso);
            check_same(&list, in_place(&sp, 0), "in place");
            CHECK_EQ_INT(list.count, 3);
            for (size_t i = 0; i < list.count; i++) {
                const uint8_t *inner = list.bytes[i] + t.inner_off;
                CHECK_RESULT(tuo_csum_check(inner, list.len[i] - t.inner_off, 0), damaged ? TUO_E_L4_CSUM : TUO_OK);
                CHECK_RESULT(tuo_csum_check(list.bytes[i], list.len[i], 0), damaged ? TUO_OK : TUO_E_L4_CSUM);
            }
            ref_list_free(&list);
        }
        free(t.bytes);
    }
}

/* How a good tunnel superpacket of 300 bytes in segments of 100 is spoiled. */
typedef struct tunnel_refusal {
    const char *name;
    tuo_result expected;
    tunnel_spec spec;
    int gso_type, gso_size;          /* instead of the right one; gso_size -1: 0 */
    int flags_off, th, nh;           /* flags to clear; added to both offsets */
    int csum_start, csum_offset;     /* added */
    int from_inner;                  /* where `at` counts from: the inner IP header, or else the outer one */
    int at;                          /* byte to change, by `by`; 0 with `by` 0: none */
    uint8_t by;
    size_t cut;
} tunnel_refusal;

#define VXLAN4 {.outer = {.kind = PKT_UDP4}, .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}
#define VXLAN6 {.outer = {.kind = PKT_UDP6}, .inner = {.kind = PKT_UDP6, .ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}
#define TAGGED {.outer = {.kind = PKT_UDP4, .vlan_count = 1}, .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}
#define PLAIN4 {.outer = {.kind = PKT_UDP4}, .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8}

static const tunnel_refusal tunnel_refusals[] = {
    {.name = "both bits", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .gso_type = 0x61},
    {.name = "IPv6 bit over IPv4", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .gso_type = 0x41},
    {.name = "IPv4 bit over IPv6", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN6, .gso_type = 0x25},
    {.name = "UFO inside", .expected = TUO_E_VNET_UFO, .spec = VXLAN6, .gso_type = 0x43},
    {.name = "AccECN inside", .expected = TUO_E_VNET_ACCECN, .spec = VXLAN4, .gso_type = 0x31},
    {.name = "type 2 inside", .expected = TUO_E_VNET_GSO_TYPE, .spec = VXLAN4, .gso_type = 0x22},
    {.name = "ECN and UDP inside", .expected = TUO_E_VNET_ECN, .spec = VXLAN6, .gso_type = 0xc5},
    {.name = "ECN and nothing inside", .expected = TUO_E_VNET_ECN, .spec = VXLAN4, .gso_type = 0xa0},
    {.name = "gso_size 0", .expected = TUO_E_VNET_GSO_SIZE, .spec = VXLAN4, .gso_size = -1},
    {.name = "segments that an outer IPv4 packet cannot hold", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65400,
     .spec = {.outer = {.kind = PKT_UDP4}, .inner = {.payload_len = 70000, .ethernet = 1}, .header_len = 100}},
    {.name = "no NEEDS_CSUM", .expected = TUO_E_VNET_NEEDS_CSUM, .spec = VXLAN4, .flags_off = TUO_VNET_NEEDS_CSUM},
    {.name = "outer checksum without its flag", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .flags_off = TUO_VNET_UDP_TUNNEL_CSUM},
    {.name = "outer_th_offset 4 less without a tag", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .th = -4, .nh = -4},
    {.name = "outer_th_offset 8 less", .expected = TUO_E_VNET_TUNNEL, .spec = TAGGED, .th = -8, .nh = -8},
    {.name = "outer_th_offset 4 more", .expected = TUO_E_VNET_TUNNEL, .spec = TAGGED, .th = 4, .nh = 4},
    {.name = "inner_nh_offset in the outer UDP header", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .nh = -23},
    {.name = "inner_nh_offset 0", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .nh = -50},
    {.name = "inner_nh_offset beyond the packet", .expected = TUO_E_VNET_TUNNEL, .spec = VXLAN4, .nh = 341},
    {.name = "inner_nh_offset at the end of the packet", .expected = TUO_E_TRUNCATED, .spec = VXLAN4, .nh = 340},
    {.name = "inner_nh_offset at the inner Ethernet header", .expected = TUO_E_NOT_IP, .spec = VXLAN4, .nh = -14},
    {.name = "outer TCP", .expected = TUO_E_VNET_TUNNEL, .gso_type = 0x21,
     .spec = {.outer = {.kind = PKT_TCP4}, .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "outer ICMP", .expected = TUO_E_VNET_TUNNEL, .spec = {.outer = {.kind = PKT_UDP4, .proto = 1},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "outer fragment", .expected = TUO_E_VNET_FRAGMENT, .spec = {.outer = {.kind = PKT_UDP4, .frag = 0x2000},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "outer UDP length", .expected = TUO_E_UDP_LENGTH, .spec = {.outer = {.kind = PKT_UDP4, .udp_len = 300},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "outer IP length beyond the bytes", .expected = TUO_E_IP_LENGTH, .spec = VXLAN4, .cut = 1},
    {.name = "bytes behind the inner packet", .expected = TUO_E_IP_LENGTH, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.ethernet = 1, .payload_len = 300, .trailer_len = 1}, .header_len = 8, .csum = 1}},
    {.name = "inner length beyond the bytes", .expected = TUO_E_IP_LENGTH, .spec = VXLAN4, .from_inner = 1, .at = 3, .by = 0xff},
    {.name = "inner fragment", .expected = TUO_E_VNET_FRAGMENT, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.ethernet = 1, .payload_len = 300, .frag = 0x2000}, .header_len = 8, .csum = 1}},
    {.name = "TCPV6 inside IPv4", .expected = TUO_E_VNET_IP_VERSION, .spec = VXLAN4, .gso_type = 0x24},
    {.name = "UDP_L4 on inner TCP", .expected = TUO_E_VNET_PROTOCOL, .spec = VXLAN4, .gso_type = 0x25},
    {.name = "inner ICMP", .expected = TUO_E_VNET_PROTOCOL, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.ethernet = 1, .payload_len = 300, .proto = 1}, .header_len = 8, .csum = 1}},
    {.name = "csum_start at the outer UDP header", .expected = TUO_E_VNET_CSUM_START, .spec = VXLAN6, .csum_start = -70},
    {.name = "csum_offset of UDP on inner TCP", .expected = TUO_E_VNET_CSUM_OFFSET, .spec = VXLAN4, .csum_offset = -10},
    {.name = "checksum field beyond the packet", .expected = TUO_E_CSUM_RANGE, .spec = VXLAN4, .csum_start = 5000},
    {.name = "outer IPv4 header checksum is wrong", .expected = TUO_E_IP_CSUM, .spec = {.outer = {.kind = PKT_UDP4, .ip_csum_xor = 1},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "inner IPv4 header checksum is wrong", .expected = TUO_E_IP_CSUM, .spec = {.outer = {.kind = PKT_UDP6},
     .inner = {.ethernet = 1, .payload_len = 300, .ip_csum_xor = 1}, .header_len = 8}},
    {.name = "jumbo payload option in the outer header", .expected = TUO_E_IP6_JUMBO, .spec = {.outer = {.kind = PKT_UDP6, .ext_chain = "J"},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "jumbo payload option in the inner header", .expected = TUO_E_IP6_JUMBO, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.kind = PKT_TCP6, .ext_chain = "J", .ethernet = 1, .payload_len = 300}, .header_len = 8}},
    {.name = "jumbo payload option in both headers", .expected = TUO_E_IP6_JUMBO, .spec = {.outer = {.kind = PKT_UDP6, .ext_chain = "J"},
     .inner = {.kind = PKT_UDP6, .ext_chain = "JD", .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "jumbo payload options, one segment", .expected = TUO_OK, .gso_size = 300, .spec = {.outer = {.kind = PKT_UDP6, .ext_chain = "J"},
     .inner = {.kind = PKT_UDP6, .ext_chain = "J", .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "other hop-by-hop options", .expected = TUO_OK, .spec = {.outer = {.kind = PKT_UDP6, .ext_chain = "H"},
     .inner = {.kind = PKT_TCP6, .ext_chain = "H", .payload_len = 300}, .header_len = 8, .csum = 1}},
    {.name = "headers longer than TUO_HEADER_MAX", .expected = TUO_E_HEADER_TOO_LONG, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 175}},
    {.name = "one segment, outer checksum, headers longer than TUO_HEADER_MAX", .expected = TUO_E_HEADER_TOO_LONG, .gso_size = 300,
     .spec = {.outer = {.kind = PKT_UDP4}, .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 175, .csum = 1}},
    {.name = "one segment, outer checksum, longer than an IPv4 packet", .expected = TUO_E_VNET_GSO_SIZE, .gso_size = 65534,
     .spec = {.outer = {.kind = PKT_UDP4}, .inner = {.kind = PKT_UDP4, .payload_len = 65480}, .header_len = 8, .csum = 1}},
    {.name = "one segment, outer checksum, as long as an IPv4 packet may be", .expected = TUO_OK, .gso_size = 65534,
     .spec = {.outer = {.kind = PKT_UDP4}, .inner = {.kind = PKT_UDP4, .payload_len = 65471}, .header_len = 8, .csum = 1}},
    {.name = "nothing is wrong", .expected = TUO_OK, .spec = VXLAN4},
    {.name = "nothing is wrong, no outer checksum", .expected = TUO_OK, .spec = PLAIN4},
    {.name = "ECN", .expected = TUO_OK, .spec = VXLAN4, .gso_type = 0xa1},
    {.name = "headers of TUO_HEADER_MAX", .expected = TUO_OK, .spec = {.outer = {.kind = PKT_UDP4},
     .inner = {.ethernet = 1, .payload_len = 300}, .header_len = 174, .csum = 1}},
};

static tunnel_super spoiled_tunnel(const tunnel_refusal *row)
{
    tunnel_super t = tunnel_build(&row->spec, row->gso_size < 0 ? 0 : row->gso_size == 0 ? 100 : (size_t)row->gso_size);
    size_t base = row->from_inner ? t.inner_off : pkt_ip_off(&row->spec.outer);
    if (row->gso_type) {
        t.vnet.gso_type = (uint8_t)row->gso_type;
    }
    t.vnet.flags = (uint8_t)(t.vnet.flags & ~row->flags_off);
    t.vnet.outer_th_offset = (uint16_t)(t.vnet.outer_th_offset + row->th);
    t.vnet.inner_nh_offset = (uint16_t)(t.vnet.inner_nh_offset + row->nh);
    t.vnet.csum_start = (uint16_t)(t.vnet.csum_start + row->csum_start);
    t.vnet.csum_offset = (uint16_t)(t.vnet.csum_offset + row->csum_offset);
    t.bytes[base + (size_t)row->at] ^= row->by;
    t.len -= row->cut;
    return t;
}

TEST(tunnels_refused_by_name)
{
    for (size_t i = 0; i < CHECK_COUNT_OF(tunnel_refusals); i++) {
        const tunnel_refusal *row = &tunnel_refusals[i];
        tuo_gso gso, untouched;
        memset(&gso, 0xa5, sizeof gso);
        memset(&untouched, 0xa5, sizeof untouched);
        check_row("%s", row->name);
        tunnel_super t = spoiled_tunnel(row);
        unsigned flags = t.ethernet ? TUO_F_ETHERNET : 0;
        CHECK_RESULT(tuo_gso_init(&gso, t.bytes, t.len, &t.vnet, flags), row->expected);
        CHECK((memcmp(&gso, &untouched, sizeof gso) == 0) == (row->expected != TUO_OK));
        if (row->expected == TUO_E_IP6_JUMBO) { /* none is taken out here */
            CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, flags), TUO_OK);
            CHECK_RESULT(tuo_gso_init(&gso, t.bytes, t.len, &t.vnet, flags | TUO_F_STRIP_JUMBO), TUO_E_IP6_JUMBO);
        } else if (row->expected == TUO_E_IP_CSUM) {
            CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, flags), TUO_OK);
            CHECK_RESULT(tuo_gso_init(&gso, t.bytes, t.len, &t.vnet, flags | TUO_F_TRUST), TUO_OK);
        } else if (row->gso_size != 300 && row->gso_size != 65534) {
            CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, flags), row->expected);
        }
        free(t.bytes);
    }
}

/* K 1.20: nothing of this is written to a device. */
TEST(tunnels_are_not_for_writing)
{
    for (int base = 0; base < 2; base++) {
        tunnel_spec spec = VXLAN4;
        tunnel_super t = tunnel_build(&spec, 100);
        t.vnet.gso_type = (uint8_t)(base ? t.vnet.gso_type : TUO_GSO_UDP_TUNNEL_IPV4);
        CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, TUO_F_WRITE), TUO_E_VNET_TUNNEL);
        CHECK_RESULT(tuo_vnet_check(&t.vnet, t.bytes, t.len, 0), TUO_OK);
        free(t.bytes);
    }
}

/* One segment in a tunnel: with a GSO type (small), or with the tunnel bit alone (K 3.23). Both its checksums are completed. */
TEST(single_packets_in_a_tunnel)
{
    static const pkt_kind outers[] = {PKT_UDP4, PKT_UDP6};
    static const int32_t payloads[] = {PKT_ZERO, 1, 99, 1000};
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int variant = 0; variant < 32; variant++) {
            tunnel_spec spec = tunnel_of(&tunnel_forms[variant % 4], outers[variant / 4 % 2], (pkt_kind)kind, variant / 8 % 2);
            spec.inner.payload_len = payloads[variant % 4];
            spec.inner.tcp_flags = PKT_FIN | PKT_ACK | PKT_CWR;
            tunnel_super t = tunnel_build(&spec, 1000);
            int typed = variant / 16;
            if (!typed) {
                t.vnet.gso_type &= TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6;
                t.vnet.gso_size = variant % 2 ? 0 : 1; /* means nothing */
            }
            check_row("%s, inner %s, variant %d", tunnel_forms[variant % 4].name, kind_names[kind], variant);
            super sp = super_of(&t);
            ref_list expected = tunnel_split(&t, 1000);
            check_all_ways(&sp, sp.flags, &expected);
            leave_pseudo_sum(expected.bytes[0] + t.inner_off, expected.len[0] - t.inner_off, 0);
            check_all_ways(&sp, sp.flags | TUO_F_PSEUDO, &expected);
            ref_list_free(&expected);
            free(t.bytes);
        }
    }
}

/* A tunnel bit on what is no tunnel: the checksum at csum_start is completed, and no other byte changes. */
TEST(tunnel_bit_on_another_packet)
{
    static const struct {
        const char *name;
        tunnel_spec spec;
        int th, nh, csum_start, csum_offset, flags_off;
    } rows[] = {
        {"decapsulated: no inner header", VXLAN4, 0, -50, 0, 0, 0},
        {"another outer header", VXLAN4, 1, 0, 0, 0, 0},
        {"another csum_start", VXLAN4, 0, 0, 2, 0, 0},
        {"another csum_offset", VXLAN4, 0, 0, 0, 2, 0},
        {"no outer checksum", PLAIN4, 0, 0, 0, 0, 0},
        {"no outer checksum, which is there", VXLAN4, 0, 0, 0, 0, TUO_VNET_UDP_TUNNEL_CSUM},
        {"nothing to complete", VXLAN4, 0, 0, 0, 0, TUO_VNET_NEEDS_CSUM},
        {"inner ICMP", {.outer = {.kind = PKT_UDP4}, .inner = {.ethernet = 1, .proto = 1}, .header_len = 8, .csum = 1}, 0, 0, 0, 0, 0},
        {"inner UDP of a length of its own", {.outer = {.kind = PKT_UDP4}, .inner = {.kind = PKT_UDP4, .udp_len = 20}, .header_len = 8,
         .csum = 1}, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tunnel_super t = tunnel_build(&rows[i].spec, 100);
        super sp = super_of(&t);
        uint8_t *expected = ref_alloc(t.len, 1);
        check_row("%s", rows[i].name);
        sp.vnet.gso_type = TUO_GSO_UDP_TUNNEL_IPV4;
        sp.vnet.flags = (uint8_t)(sp.vnet.flags & ~rows[i].flags_off);
        sp.vnet.outer_th_offset = (uint16_t)(sp.vnet.outer_th_offset + rows[i].th);
        sp.vnet.inner_nh_offset = (uint16_t)(sp.vnet.inner_nh_offset + rows[i].nh);
        sp.vnet.csum_start = (uint16_t)(sp.vnet.csum_start + rows[i].csum_start);
        sp.vnet.csum_offset = (uint16_t)(sp.vnet.csum_offset + rows[i].csum_offset);
        memcpy(expected, t.bytes, t.len);
        if (sp.vnet.flags & TUO_VNET_NEEDS_CSUM) {
            complete_slowly(expected, t.len, sp.vnet.csum_start, sp.vnet.csum_offset);
        }
        check_whole(&sp, 0, expected);
        check_whole(&sp, TUO_F_PSEUDO, t.bytes);
        free(expected);
        free(t.bytes);
    }
}

/* Each prefix of a superpacket in a tunnel, with lengths and with lengths of 0, ends at a page that must not be touched. */
TEST(no_byte_behind_a_tunnel_is_read)
{
    guard_page g = guard_page_new(4096);
    for (int variant = 0; variant < 8; variant++) {
        tunnel_spec spec = {.outer = {.kind = variant & 1 ? PKT_UDP4 : PKT_UDP6, .ethernet = 1}, .header_len = 8, .csum = 1,
                            .inner = {.kind = variant & 2 ? PKT_TCP4 : PKT_UDP6, .ethernet = 1, .payload_len = 57}};
        int open_ended = variant / 4;
        spec.outer.ip_len_zero = spec.inner.ip_len_zero = (uint8_t)open_ended;
        spec.outer.udp_len = open_ended ? PKT_ZERO : 0;
        spec.inner.udp_len = open_ended && pkt_is_udp(&spec.inner) ? PKT_ZERO : 0;
        tunnel_super t = tunnel_build(&spec, 10);
        check_row("variant %d", variant);
        for (size_t len = 0; len <= t.len; len++) {
            uint8_t *bytes = guard_page_at_end(&g, t.bytes, len);
            tuo_gso gso;
            tuo_result result = tuo_gso_init(&gso, bytes, len, &t.vnet, TUO_F_ETHERNET);
            int whole = len == t.len || (open_ended && len >= tunnel_inner_off(&spec) - 14 + pkt_payload_off(&spec.inner));
            CHECK((result == TUO_OK) == whole);
            if (result == TUO_OK) {
                ref_list list = by_iterator(gso);
                check_same(&list, by_split(gso, 3, t.len), "split");
                while (tuo_gso_remaining(&gso) > 0) {
                    tuo_buf segment;
                    CHECK_RESULT(tuo_gso_next_in_place(&gso, bytes, &segment), TUO_OK);
                }
                ref_list_free(&list);
            }
        }
        free(t.bytes);
    }
    guard_page_free(&g);
}

/* A device is not told of tunnels. What it can finish by csum_start is left to it; the outer checksum is finished then. */
TEST(tunnels_on_a_device)
{
    for (int any = 0; any < 2; any++) {
        for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
            tunnel_spec spec = {.outer = {.kind = PKT_UDP4}, .inner = {.kind = (pkt_kind)kind, .payload_len = 3000, .ethernet = 1},
                                .header_len = 8, .csum = 1};
            tunnel_super t = tunnel_build(&spec, 1000);
            ref_list expected = tunnel_split(&t, 1000);
            tuo_caps caps;
            tuo_tx tx;
            tuo_tx_packet packet;
            memset(&caps, 0, sizeof caps);
            caps.tx_csum_tcp4 = caps.tx_csum_udp4 = caps.tx_csum_tcp6 = caps.tx_csum_udp6 = 1;
            caps.max_tcp4 = caps.max_udp4 = caps.max_tcp6 = caps.max_udp6 = 65535;
            caps.tx_csum_any = (uint8_t)any;
            check_row("inner %s, tx_csum_any %d", kind_names[kind], any);
            CHECK_RESULT(tuo_tx_init(&tx, &caps, t.bytes, t.len, &t.vnet, 0), TUO_OK);
            CHECK_EQ_INT(tuo_tx_remaining(&tx), expected.count);
            for (size_t i = 0; i < expected.count; i++) {
                ref_list one = {NULL, NULL, 0}, actual = {NULL, NULL, 0};
                tuo_iov iov = {expected.bytes[i], expected.len[i]};
                CHECK_RESULT(tuo_tx_next(&tx, NULL, &packet), TUO_OK);
                if (any) {
                    leave_pseudo_sum(expected.bytes[i] + t.inner_off, expected.len[i] - t.inner_off, 0);
                }
                list_add(&one, &iov, 1);
                list_add(&actual, packet.iov, packet.iov_count);
                check_same(&one, actual, "device");
                ref_list_free(&one);
                CHECK_EQ_INT(packet.vnet.flags, any ? TUO_VNET_NEEDS_CSUM : 0);
                CHECK_EQ_INT(packet.vnet.gso_type, TUO_GSO_NONE);
                CHECK(!any || (packet.vnet.csum_start == t.vnet.csum_start && packet.vnet.csum_offset == t.vnet.csum_offset));
                CHECK(packet.kind == TUO_KIND_NONE && packet.l2_len == 0 && packet.seg_count == 1);
            }
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &packet), TUO_DONE);
            ref_list_free(&expected);
            free(t.bytes);
        }
    }
}

/* The outermost tag is left to the device: all offsets of both packets move. The MTU counts from the outer IP header on. */
TEST(tunnels_behind_a_tag_for_the_device)
{
    for (int variant = 0; variant < 8 * PKT_KIND_COUNT; variant++) {
        tunnel_spec spec = {.outer = {.kind = variant & 1 ? PKT_UDP6 : PKT_UDP4, .vlan_count = variant & 2 ? 2 : 1},
                            .inner = {.kind = (pkt_kind)(variant / 8), .payload_len = 2500, .ethernet = 1}, .header_len = 8};
        spec.csum = variant & 4;
        tunnel_super t = tunnel_build(&spec, 1000);
        ref_list expected = tunnel_split(&t, 1000);
        uint32_t mtu = (uint32_t)(expected.len[0] - pkt_ip_off(&spec.outer));
        tuo_caps caps;
        tuo_tx tx;
        tuo_tx_packet packet;
        memset(&caps, 0, sizeof caps);
        caps.ethernet = caps.tx_vlan_insert = 1;
        caps.mtu = mtu - 1;
        check_row("outer %s, inner %s, variant %d", kind_names[spec.outer.kind], kind_names[spec.inner.kind], variant);
        CHECK_RESULT(tuo_tx_init(&tx, &caps, t.bytes, t.len, &t.vnet, 0), TUO_E_MTU);
        caps.mtu = mtu;
        CHECK_RESULT(tuo_tx_init(&tx, &caps, t.bytes, t.len, &t.vnet, 0), TUO_OK);
        CHECK_EQ_INT(tuo_tx_remaining(&tx), expected.count);
        for (size_t i = 0; i < expected.count; i++) {
            ref_list one = {NULL, NULL, 0}, actual = {NULL, NULL, 0};
            tuo_iov iov[2] = {{expected.bytes[i], 12}, {expected.bytes[i] + 16, expected.len[i] - 16}};
            CHECK_RESULT(tuo_tx_next(&tx, NULL, &packet), TUO_OK);
            CHECK(packet.vlan_insert && packet.vlan_tci == pkt_get16(t.bytes + 14) && packet.wire_len_max == expected.len[i]);
            list_add(&one, iov, 2);
            list_add(&actual, packet.iov, packet.iov_count);
            check_same(&one, actual, "without its tag");
            ref_list_free(&one);
        }
        CHECK_RESULT(tuo_tx_next(&tx, NULL, &packet), TUO_DONE);
        ref_list_free(&expected);
        free(t.bytes);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(geometry_of_segments),
        CHECK_ENTRY(length_field_0_of_oversize_packets),
        CHECK_ENTRY(ip4_id_counts_up),
        CHECK_ENTRY(tcp_sequence_number_wraps),
        CHECK_ENTRY(tcp_flags),
        CHECK_ENTRY(ecn_bit_changes_nothing),
        CHECK_ENTRY(length_fields),
        CHECK_ENTRY(all_other_header_bytes_are_copied),
        CHECK_ENTRY(checksum_that_comes_out_as_0),
        CHECK_ENTRY(ip4_header_checksum_that_comes_out_as_0),
        CHECK_ENTRY(a_seed_is_neither_repaired_nor_replaced),
        CHECK_ENTRY(routing_header_keeps_the_address_of_the_seed),
        CHECK_ENTRY(pseudo_header_sums_for_a_device),
        CHECK_ENTRY(hdr_len_is_not_trusted),
        CHECK_ENTRY(tcp_gso_without_needs_csum),
        CHECK_ENTRY(trailing_bytes_are_dropped_from_gso_packets),
        CHECK_ENTRY(ethernet_and_vlan),
        CHECK_ENTRY(random_superpackets),
        CHECK_ENTRY(jumbo_payload_option),
        CHECK_ENTRY(jumbo_payload_option_taken_out),
        CHECK_ENTRY(needs_csum_without_gso_is_completed),
        CHECK_ENTRY(packets_without_work_pass_untouched),
        CHECK_ENTRY(trailing_bytes_stay_on_whole_packets),
        CHECK_ENTRY(one_segment_is_no_superpacket),
        CHECK_ENTRY(udp_length_of_one_segment),
        CHECK_ENTRY(refused_by_name),
        CHECK_ENTRY(length_of_2_to_the_31),
        CHECK_ENTRY(trust_skips_verification),
        CHECK_ENTRY(no_byte_behind_the_packet_is_read),
        CHECK_ENTRY(split_resumes),
        CHECK_ENTRY(buffer_too_small),
        CHECK_ENTRY(resize_fails_now_and_then),
        CHECK_ENTRY(in_place_refuses_another_pointer),
        CHECK_ENTRY(in_place_of_nothing),
        CHECK_ENTRY(copy_of_an_iterator),
        CHECK_ENTRY(batches_among_single_calls),
        CHECK_ENTRY(account_finishes_a_merged_packet),
        CHECK_ENTRY(headers_as_long_as_they_may_be),
        CHECK_ENTRY(whole_checksum_beyond_65535),
        CHECK_ENTRY(account_refuses_by_name),
        CHECK_ENTRY(account_takes_the_most),
        CHECK_ENTRY(tunnels_of_every_form),
        CHECK_ENTRY(tunnel_behind_a_tag_that_is_not_counted),
        CHECK_ENTRY(random_tunnels),
        CHECK_ENTRY(outer_checksum_that_comes_out_as_0),
        CHECK_ENTRY(seeds_in_a_tunnel_are_neither_repaired_nor_replaced),
        CHECK_ENTRY(tunnels_refused_by_name),
        CHECK_ENTRY(tunnels_are_not_for_writing),
        CHECK_ENTRY(single_packets_in_a_tunnel),
        CHECK_ENTRY(tunnel_bit_on_another_packet),
        CHECK_ENTRY(no_byte_behind_a_tunnel_is_read),
        CHECK_ENTRY(tunnels_on_a_device),
        CHECK_ENTRY(tunnels_behind_a_tag_for_the_device),
    };
    return CHECK_RUN(argc, argv, tests);
}
