/* fuzz_gso.c - the splitter, with any packet and any virtio-net header.
   Input     1 byte of flags and level of tuo_simd (see below), 1 byte that says how the copying mode gets its buffers, vnet
             flags (0x40: TUO_F_STRIP_JUMBO), gso_type, gso_size, csum_start, csum_offset, 2 bytes of payload to add, then the packet.
             A tunnel bit in gso_type puts a packet that is made consistent into a tunnel; csum_start says into which one.
   Asserts   the iterator (scratch and own header storage, singly and by batches), the in-place splitter and the copying splitter
             (whose buffers run out and fail) give the same segments; their number is tuo_gso_count; the input is unchanged; a cut packet
             loses no payload and gives what the naive splitter of the tests gives, with valid checksums (or pseudo-header
             sums where these are asked for); a packet that is not cut comes back as it is, its checksum completed where the
             header says so; a jumbo payload option is refused or taken out; the scalar level plans and cuts in the same way. */
#include "fuzz.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/reference.h"
#include "../tests/lib/simd_levels.h"
#include "../tests/lib/tunnels.h"

enum {
    /* flags byte, besides TUO_F_ETHERNET, TUO_F_PSEUDO and TUO_F_TRUST */
    MODE_CONSISTENT = 8,  /* make lengths, checksums and vnet header fit the packet: gets past the checks of tuo_gso_init */
    MODE_FULL_CSUM = 16,  /* consistent, but without NEEDS_CSUM: the whole packet has a valid checksum */
    MODE_ZERO_SUM = 32,   /* consistent, and the first segment's checksum comes out as 0 */
    LEVEL_SHIFT = 6,      /* the upper two bits: which level */
    SEGS_MAX = 600,       /* added payload stays below so many segments: inputs must not be slow */
    HEADROOM = 12
};

/* One packet to split, and the segments of one mode: each as 4 bytes of length, then its bytes. */
typedef struct split_case {
    uint8_t *pkt;
    size_t len;
    tuo_vnet_hdr vnet;
    unsigned flags, buffers;
} split_case;

typedef struct segment_list {
    uint8_t *bytes;
    size_t used, cap, count;
} segment_list;

static void list_add(segment_list *list, const tuo_iov *iov, size_t iov_count)
{
    size_t len = 0;
    for (size_t i = 0; i < iov_count; i++) {
        len += iov[i].len;
    }
    if (list->used + len + 4 > list->cap) {
        list->cap = (list->used + len + 4) * 2;
        list->bytes = realloc(list->bytes, list->cap);
        FUZZ_CHECK(list->bytes != NULL);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        list->bytes[list->used++] = (uint8_t)(len >> shift);
    }
    for (size_t i = 0; i < iov_count; i++) {
        if (iov[i].len > 0) {
            memcpy(list->bytes + list->used, iov[i].base, iov[i].len);
        }
        list->used += iov[i].len;
    }
    list->count++;
}

static void list_add_bytes(segment_list *list, const uint8_t *bytes, size_t len)
{
    tuo_iov iov = {bytes, len};
    list_add(list, &iov, 1);
}

/* The segment at *at; *at moves behind it. */
static const uint8_t *list_next(const segment_list *list, size_t *at, size_t *len)
{
    const uint8_t *p = list->bytes + *at;
    *len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    *at += 4 + *len;
    return p + 4;
}

static segment_list split_by_iterator(tuo_gso gso)
{
    segment_list list = {NULL, 0, 0, 0};
    tuo_segment segment;
    size_t left = tuo_gso_count(&gso);
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        FUZZ_CHECK(tuo_gso_remaining(&gso) == --left);
        list_add(&list, segment.iov, segment.iov_count);
        FUZZ_CHECK(segment.iov_count <= 3 && list.used >= segment.len);
    }
    FUZZ_CHECK(tuo_gso_next(&gso, NULL, &segment) == TUO_DONE && left == 0);
    return list;
}

/* All segments are alive at the same time before the first is looked at. */
static segment_list split_by_own_headers(tuo_gso gso)
{
    segment_list list = {NULL, 0, 0, 0};
    size_t count = tuo_gso_count(&gso);
    uint8_t *headers = malloc(count * TUO_HEADER_MAX);
    tuo_segment *segments = malloc(count * sizeof *segments);
    FUZZ_CHECK(headers != NULL && segments != NULL);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(tuo_gso_next(&gso, headers + i * TUO_HEADER_MAX, &segments[i]) == TUO_OK);
    }
    for (size_t i = 0; i < count; i++) {
        list_add(&list, segments[i].iov, segments[i].iov_count);
    }
    free(headers);
    free(segments);
    return list;
}

/* The same by calls for several segments at a time, in storage of exactly as many as there are; the last call finds none. */
static segment_list split_by_batches(tuo_gso gso, size_t per_call)
{
    segment_list list = {NULL, 0, 0, 0};
    size_t count = tuo_gso_count(&gso), taken = 0;
    uint8_t(*headers)[TUO_HEADER_MAX] = malloc(count * TUO_HEADER_MAX);
    tuo_segment *segments = malloc(count * sizeof *segments);
    FUZZ_CHECK(headers != NULL && segments != NULL);
    while (taken < count) {
        size_t asked = per_call < count - taken ? per_call : count - taken;
        FUZZ_CHECK(tuo_gso_next_batch(&gso, headers + taken, segments + taken, asked) == asked);
        taken += asked;
        FUZZ_CHECK(tuo_gso_remaining(&gso) == count - taken);
    }
    FUZZ_CHECK(tuo_gso_next_batch(&gso, headers, segments, per_call) == 0);
    for (size_t i = 0; i < count; i++) {
        list_add(&list, segments[i].iov, segments[i].iov_count);
    }
    free(headers);
    free(segments);
    return list;
}

static segment_list split_in_place(const split_case *c)
{
    segment_list list = {NULL, 0, 0, 0};
    uint8_t *pkt = fuzz_copy(c->pkt, c->len);
    tuo_gso gso;
    tuo_buf segment;
    FUZZ_CHECK(tuo_gso_init(&gso, pkt, c->len, &c->vnet, c->flags) == TUO_OK);
    while (tuo_gso_next_in_place(&gso, pkt, &segment) == TUO_OK) {
        FUZZ_CHECK(segment.data >= pkt && segment.data + segment.len <= pkt + c->len && segment.capacity == segment.len);
        list_add_bytes(&list, segment.data, segment.len);
    }
    free(pkt);
    return list;
}

/* Buffers of the copying mode: `resize` fails whenever its countdown is over. */
static int failing_resize(void *user, void *buf, size_t len)
{
    unsigned *until_failure = user;
    tuo_buf *b = buf;
    if (len > b->capacity || (*until_failure)-- == 0) {
        *until_failure = 3;
        return -1;
    }
    b->len = len;
    return 0;
}

static int no_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    (void)user, (void)buf, (void)bytes, (void)len;
    return -1;
}

static void list_add_written(segment_list *list, const tuo_buf *bufs, size_t written)
{
    for (size_t i = 0; i < written; i++) {
        FUZZ_CHECK(bufs[i].len >= HEADROOM && bufs[i].data[0] == 0xee && bufs[i].data[HEADROOM - 1] == 0xee);
        list_add_bytes(list, bufs[i].data + HEADROOM, bufs[i].len - HEADROOM);
    }
}

enum { BUFS = 5 };

/* Fresh buffers for the next attempt: in each second one, one of them is too small. */
static void reset_bufs(const split_case *c, tuo_buf *bufs, size_t count, size_t cap, size_t attempt)
{
    for (size_t i = 0; i < BUFS; i++) {
        int tight = (c->buffers & 0x40) != 0 && attempt % 2 == 0 && i == count / 2;
        memset(bufs[i].data, 0xee, cap);
        bufs[i].len = 0;
        bufs[i].capacity = tight ? HEADROOM + 20 : cap;
    }
}

static void check_attempt(const split_case *c, const tuo_gso *gso, tuo_result result, const tuo_buf *bufs, size_t count,
                          size_t written, size_t cap)
{
    size_t left = tuo_gso_remaining(gso);
    switch (result) {
    case TUO_OK: FUZZ_CHECK(left == 0); break;
    case TUO_MORE: FUZZ_CHECK(left > 0 && written == count); break;
    case TUO_E_BUFFER: FUZZ_CHECK(left > 0 && written < count && (c->buffers & 0x80) != 0); break;
    default:
        FUZZ_CHECK(result == TUO_E_NOSPACE && left > 0 && written < count);
        FUZZ_CHECK(bufs[written].capacity < cap && bufs[written].data[HEADROOM] == 0xee);
        break;
    }
}

/* A few buffers, used again and again; some are too small, and some cannot be resized. */
static segment_list split_by_copy(const split_case *c, tuo_gso gso)
{
    segment_list list = {NULL, 0, 0, 0};
    unsigned until_failure = 2;
    tuo_buf_ops ops = {&until_failure, buf_data, buf_length, buf_capacity, failing_resize, no_append};
    size_t longest = tuo_gso_count(&gso) == 1 ? c->len : (size_t)TUO_HEADER_MAX + c->vnet.gso_size;
    size_t count = 1 + c->buffers % BUFS, cap = HEADROOM + longest + 20, written = 0, attempts = 0;
    tuo_buf bufs[BUFS];
    void *handles[BUFS];
    tuo_result result;
    for (size_t i = 0; i < BUFS; i++) {
        bufs[i].data = malloc(cap);
        FUZZ_CHECK(bufs[i].data != NULL);
        handles[i] = &bufs[i];
    }
    do {
        size_t before = tuo_gso_remaining(&gso);
        reset_bufs(c, bufs, count, cap, attempts);
        result = tuo_gso_split(&gso, (c->buffers & 0x80) != 0 ? &ops : NULL, handles, count, HEADROOM, &written);
        FUZZ_CHECK(written <= count && tuo_gso_remaining(&gso) == before - written);
        check_attempt(c, &gso, result, bufs, count, written, cap);
        list_add_written(&list, bufs, written);
        FUZZ_CHECK(++attempts <= 4 * tuo_gso_count(&gso) + 4);
    } while (result != TUO_OK);
    for (size_t i = 0; i < BUFS; i++) {
        free(bufs[i].data);
    }
    return list;
}

static void check_same(const segment_list *a, segment_list b)
{
    FUZZ_CHECK(a->count == b.count && a->used == b.used && memcmp(a->bytes, b.bytes, a->used) == 0);
    free(b.bytes);
}

/* A checksum that a device is to finish: the pseudo-header sum in its field. */
static void put_pseudo_sum(uint8_t *pkt, size_t len, int ethernet)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 0);
    pkt_put16(pkt + pkt_l4_csum_at(&v), pkt_pseudo_sum(pkt + v.src, pkt + v.dst, v.addr_len, v.proto, v.end - v.l4));
}

static void check_cut(const split_case *c, const segment_list *list)
{
    int ethernet = (c->flags & TUO_F_ETHERNET) != 0;
    pkt_view v = pkt_look(c->pkt, c->len, ethernet, 1);
    size_t at = 0, len = 0;
    FUZZ_CHECK(pkt_has_l4(&v) && list->count == ref_split_count(&v, c->vnet.gso_size));
    uint8_t *expected = malloc(v.payload + c->vnet.gso_size);
    FUZZ_CHECK(expected != NULL);
    for (size_t i = 0; i < list->count; i++) {
        const uint8_t *segment = list_next(list, &at, &len);
        FUZZ_CHECK(len == ref_split_one(c->pkt, &v, c->vnet.gso_size, i, expected));
        if ((c->vnet.flags & TUO_VNET_NEEDS_CSUM) != 0) {
            ref_sum_from_seed(c->pkt, &v, expected, len, (c->flags & TUO_F_PSEUDO) != 0);
        } else if ((c->flags & TUO_F_PSEUDO) != 0) {
            put_pseudo_sum(expected, len, ethernet);
        } else {
            FUZZ_CHECK(tuo_csum_check(segment, len, c->flags) == TUO_OK);
        }
        FUZZ_CHECK(memcmp(segment, expected, len) == 0);
    }
    free(expected);
}

/* The first end bytes of the input. */
static void check_not_cut(const split_case *c, const segment_list *list, size_t end)
{
    size_t at = 0, len = 0;
    const uint8_t *segment = list_next(list, &at, &len);
    uint8_t *expected = fuzz_copy(c->pkt, end);
    if ((c->vnet.flags & TUO_VNET_NEEDS_CSUM) != 0 && (c->flags & TUO_F_PSEUDO) == 0) {
        FUZZ_CHECK(tuo_csum_complete(expected, end, c->vnet.csum_start, c->vnet.csum_offset) == TUO_OK);
    }
    FUZZ_CHECK(list->count == 1 && len == end && memcmp(segment, expected, len) == 0);
    free(expected);
}

/* A tunnel bit is set: all that leaves. */
static void check_tunnel(const split_case *c, const segment_list *list)
{
    ref_list expected = ref_tunnel_wire(c->pkt, c->len, (c->flags & TUO_F_ETHERNET) != 0, &c->vnet, (c->flags & TUO_F_PSEUDO) != 0);
    size_t at = 0, len = 0;
    FUZZ_CHECK(list->count == expected.count);
    for (size_t i = 0; i < expected.count; i++) {
        const uint8_t *segment = list_next(list, &at, &len);
        FUZZ_CHECK(len == expected.len[i] && (len == 0 || memcmp(segment, expected.bytes[i], len) == 0));
    }
    fuzz_deep += expected.count > 1;
    ref_list_free(&expected);
}

static tuo_result plan_at(const split_case *c, tuo_simd level, tuo_gso *gso)
{
    unsigned flags = c->flags & (TUO_F_ETHERNET | TUO_F_PSEUDO | TUO_F_TRUST | TUO_F_STRIP_JUMBO);
    return tuo_gso_init(gso, c->pkt, c->len, &c->vnet, flags | TUO_F_SIMD(level));
}

static void check_split(const split_case *c, const tuo_gso *gso)
{
    uint8_t *before = fuzz_copy(c->pkt, c->len);
    segment_list list = split_by_iterator(*gso);
    FUZZ_CHECK(list.count == tuo_gso_count(gso) && list.count == tuo_gso_remaining(gso));
    check_same(&list, split_by_own_headers(*gso));
    check_same(&list, split_by_batches(*gso, 1 + c->buffers % 64u));
    check_same(&list, split_in_place(c));
    check_same(&list, split_by_copy(c, *gso));
    tuo_gso scalar;
    FUZZ_CHECK(plan_at(c, TUO_SIMD_SCALAR, &scalar) == TUO_OK);
    check_same(&list, split_by_iterator(scalar));
    FUZZ_CHECK(c->len == 0 || memcmp(before, c->pkt, c->len) == 0);
    pkt_view v = pkt_look(c->pkt, c->len, (c->flags & TUO_F_ETHERNET) != 0, 1);
    if ((c->vnet.gso_type & REF_TUNNELS) != 0) {
        check_tunnel(c, &list);
    } else if (c->vnet.gso_type == TUO_GSO_NONE) {
        check_not_cut(c, &list, c->len);
    } else if (ref_split_payload(&v) <= c->vnet.gso_size) {
        check_not_cut(c, &list, v.end);
    } else {
        split_case left = *c;
        fuzz_deep++;
        left.pkt = before;
        FUZZ_CHECK(ref_jumbo(c->pkt, &v) == REF_NO_JUMBO || (c->flags & TUO_F_STRIP_JUMBO) != 0);
        left.len -= ref_strip_jumbo(before, c->len, &v, &left.vnet);
        check_cut(&left, &list);
    }
    free(before);
    free(list.bytes);
}

/* Chooses the first two payload bytes so that the checksum of the first segment is 0 before UDP's rule makes it 0xffff: no fuzzer
   would get there by chance. */
static void make_sum_zero(split_case *c)
{
    pkt_view v = pkt_look(c->pkt, c->len, (c->flags & TUO_F_ETHERNET) != 0, 1);
    if (c->vnet.gso_size < 2) {
        return;
    }
    uint8_t *first = malloc(v.payload + c->vnet.gso_size);
    FUZZ_CHECK(first != NULL && pkt_has_l4(&v));
    pkt_put16(c->pkt + v.payload, 0);
    ref_split_one(c->pkt, &v, c->vnet.gso_size, 0, first);
    memcpy(c->pkt + v.payload, first + pkt_l4_csum_at(&v), 2);
    free(first);
}

/* The packet becomes one in a tunnel. What it was stays the frame inside, with its Ethernet header. */
static void wrap(split_case *c, const tuo_vnet_hdr *asked)
{
    unsigned bits = asked->gso_type & REF_TUNNELS;
    unsigned how = ((unsigned)asked->csum_start & ~3u) | (bits == TUO_GSO_UDP_TUNNEL_IPV6) |
                   (asked->flags & TUO_VNET_UDP_TUNNEL_CSUM ? 2u : 0u);
    int inner_ethernet = (c->flags & TUO_F_ETHERNET) != 0, outer_ethernet = asked->csum_start & 1;
    if (bits == 0 || bits == REF_TUNNELS ||
        !tunnel_wrap_any(&c->pkt, &c->len, inner_ethernet, outer_ethernet, how, &c->vnet)) {
        return;
    }
    c->flags = (c->flags & ~(unsigned)TUO_F_ETHERNET) | (outer_ethernet ? (unsigned)TUO_F_ETHERNET : 0u);
}

/* More payload than an input may have, in a pattern: superpackets of 64 KiB are reached from small inputs. */
static void read_case(fuzz_input *in, split_case *c)
{
    unsigned mode = fuzz_u8(in);
    c->buffers = fuzz_u8(in);
    c->flags = (mode & (TUO_F_ETHERNET | TUO_F_PSEUDO | TUO_F_TRUST)) | TUO_F_SIMD(simd_level_at(mode >> LEVEL_SHIFT));
    memset(&c->vnet, 0, sizeof c->vnet);
    c->vnet.flags = fuzz_u8(in);
    c->flags |= c->vnet.flags & TUO_F_STRIP_JUMBO;
    c->vnet.gso_type = fuzz_u8(in);
    c->vnet.gso_size = fuzz_u16(in);
    c->vnet.csum_start = fuzz_u16(in);
    c->vnet.csum_offset = fuzz_u16(in);
    size_t extra = fuzz_u16(in), most = (size_t)c->vnet.gso_size * SEGS_MAX;
    extra = extra < most ? extra : most;
    c->len = in->len + extra;
    c->pkt = malloc(c->len > 0 ? c->len : 1);
    FUZZ_CHECK(c->pkt != NULL);
    if (in->len > 0) {
        memcpy(c->pkt, in->bytes, in->len);
    }
    for (size_t i = in->len; i < c->len; i++) {
        c->pkt[i] = (uint8_t)(i * 7 + i / 256);
    }
    tuo_vnet_hdr fitting, asked = c->vnet;
    if ((mode & (MODE_CONSISTENT | MODE_FULL_CSUM | MODE_ZERO_SUM)) != 0 &&
        tuo_coalesce_account(c->pkt, c->len, c->vnet.gso_size, c->flags, &fitting) == TUO_OK) {
        c->vnet = fitting;
        if ((mode & MODE_ZERO_SUM) != 0) {
            make_sum_zero(c);
        }
        if ((mode & MODE_FULL_CSUM) != 0 && fitting.gso_type != TUO_GSO_UDP_L4) {
            FUZZ_CHECK(tuo_csum_complete(c->pkt, c->len, fitting.csum_start, fitting.csum_offset) == TUO_OK);
            c->vnet.flags = 0;
        }
        wrap(c, &asked);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    split_case c;
    read_case(&in, &c);
    tuo_gso gso;
    tuo_result planned = plan_at(&c, TUO_SIMD_SCALAR, &gso);
    FUZZ_CHECK(planned <= 0 && planned == tuo_gso_init(&gso, c.pkt, c.len, &c.vnet, c.flags));
    if (planned == TUO_OK) {
        check_split(&c, &gso);
    }
    if (planned == TUO_E_IP6_JUMBO && (c.vnet.gso_type & REF_TUNNELS) != 0) {
        ref_tunnel t;
        FUZZ_CHECK(ref_tunnel_look(c.pkt, c.len, (c.flags & TUO_F_ETHERNET) != 0, &c.vnet, &t));
        FUZZ_CHECK(ref_jumbo(c.pkt, &t.outer) != REF_NO_JUMBO || ref_jumbo(c.pkt + t.at, &t.inner) != REF_NO_JUMBO);
    } else if (planned == TUO_E_IP6_JUMBO) {
        pkt_view v = pkt_look(c.pkt, c.len, (c.flags & TUO_F_ETHERNET) != 0, 1);
        FUZZ_CHECK(ref_jumbo(c.pkt, &v) == ((c.flags & TUO_F_STRIP_JUMBO) != 0 ? REF_JUMBO_STAYS : ref_jumbo(c.pkt, &v)));
        FUZZ_CHECK(ref_jumbo(c.pkt, &v) != REF_NO_JUMBO);
    }
    free(c.pkt);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

/* The vnet header that stands in the input is big-endian and has no hdr_len. Its fields count only where the target is not told to
   make everything fit; then the payload that is added must be in the length fields, which is why there is none. */
static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    enum { FRONT = 12 };
    if (size <= FRONT) {
        return;
    }
    int ethernet = (data[0] & TUO_F_ETHERNET) != 0;
    repair_packet(data + FRONT, size - FRONT, ethernet, dice);
    pkt_view v = pkt_look(data + FRONT, size - FRONT, ethernet, 1);
    if (!pkt_has_l4(&v) || (data[0] & (MODE_CONSISTENT | MODE_FULL_CSUM | MODE_ZERO_SUM)) != 0) {
        return;
    }
    data[2] = (uint8_t)(roll(dice, 4) ? 0 : TUO_VNET_NEEDS_CSUM);
    data[3] = (uint8_t)(v.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4 : v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6);
    if (roll(dice, 2)) {
        pkt_put16(data + 4, 1 + rng_below(dice, (uint32_t)(v.payload_len + 1)));
    }
    pkt_put16(data + 6, (unsigned)v.l4);
    pkt_put16(data + 8, v.proto == PKT_PROTO_UDP ? 6 : 16);
    pkt_put16(data + 10, 0);
}
#endif
