/* test_regressions.c - bugs that other coalescers and splitters had or have, one test each, so that this one never gets them. The
   numbers are those of the project's list of known bugs; 17 (what if the kernel refuses a superpacket) and 19 (marks that no
   virtio header can carry) are not about this library's core. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"

static h_batch batch;
static const tuo_gro_desc zero_desc = {0};

enum { ACK_PSH = PKT_ACK | PKT_PSH, ACK_FIN = PKT_ACK | PKT_FIN };

static const char *coalesce(const pkt_spec *specs, size_t count, const tuo_gro_desc *desc)
{
    static char text[64];
    h_gro h = h_open(desc);
    size_t i;

    h_clear(&batch);
    for (i = 0; i < count; i++)
        h_add(&batch, &specs[i]);
    h_push_all(&batch, h.gro, 0);
    h_drain(&batch, h.gro);
    h_check_batch(&batch, desc);
    h_close(&h);
    return h_groups(&batch, text, sizeof text);
}

#define COALESCE(specs) coalesce((specs), CHECK_COUNT_OF(specs), &zero_desc)

/* A superpacket as a kernel hands it out, with the vnet header that goes with it. */
static size_t superpacket(uint8_t *out, size_t cap, pkt_spec s, uint16_t gso_size, tuo_vnet_hdr *vnet)
{
    size_t len;

    s.l4_csum_pseudo = 1;
    len = pkt_build(out, cap, &s);
    memset(vnet, 0, sizeof *vnet);
    vnet->flags = TUO_VNET_NEEDS_CSUM;
    vnet->gso_type = pkt_is_udp(&s) ? TUO_GSO_UDP_L4 : pkt_is_v6(&s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    vnet->gso_size = gso_size;
    vnet->hdr_len = (uint16_t)pkt_payload_off(&s);
    vnet->csum_start = (uint16_t)pkt_l4_off(&s);
    vnet->csum_offset = pkt_is_udp(&s) ? 6 : 16;
    return len;
}

/* Splits with the library and with the naive splitter; segment i of the library's goes to out[i] if i < count. */
static size_t split(const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet, uint8_t (*out)[2048], size_t count)
{
    static uint8_t flat[2048];
    ref_list naive = ref_split(pkt, len, 0, vnet->gso_size);
    tuo_gso gso;
    tuo_segment seg;
    size_t n = 0, at, k;

    if (CHECK_RESULT(tuo_gso_init(&gso, pkt, len, vnet, 0), TUO_OK)) {
        while (n < naive.count && tuo_gso_next(&gso, NULL, &seg) == TUO_OK) {
            for (at = k = 0; k < seg.iov_count; at += seg.iov[k].len, k++)
                memcpy(flat + at, seg.iov[k].base, seg.iov[k].len);
            if (!CHECK_EQ_INT(at, naive.len[n]) || !CHECK_BYTES(flat, naive.bytes[n], at))
                break;
            if (n < count)
                memcpy(out[n], flat, at);
            n++;
        }
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &seg), TUO_DONE);
    }
    CHECK_EQ_INT(n, naive.count);
    ref_list_free(&naive);
    return n;
}

static uint8_t segments[4][2048];
static uint8_t big[200000];

/* ------------------------------------------------------------------------------------------------------------ coalesce */

TEST(bug_01_window_update_lost)
{
    static const pkt_spec p[] = {{.window = 1000}, {.seq = 100, .ip_id = 1, .window = 2000},
                                 {.seq = 200, .ip_id = 2, .window = 2000}};

    CHECK_EQ_STR(COALESCE(p), "0|12");
    CHECK_VERDICT(batch.verdict[1], TUO_V_WINDOW_DIFFERS);
}

TEST(bug_02_psh_lost_by_prepending)
{
    static const pkt_spec p[] = {{.seq = 100, .ip_id = 1, .tcp_flags = ACK_PSH}, {.seq = 0}};

    CHECK_EQ_STR(COALESCE(p), "10");
    CHECK_EQ_INT(batch.group[0].bytes[33], ACK_PSH);
}

TEST(bug_02_fin_lost_by_prepending)
{
    static const pkt_spec p[] = {{.seq = 200, .ip_id = 2, .tcp_flags = ACK_FIN}, {.seq = 100, .ip_id = 1}, {.seq = 0}};

    CHECK_EQ_STR(COALESCE(p), "210");
    CHECK_EQ_INT(batch.group[0].bytes[33], ACK_FIN);
}

TEST(bug_05_more_datagrams_than_the_kernel_takes)
{
    static pkt_spec p[300];
    const tuo_gro_desc desc = {.max_packets = 300};
    size_t i;

    for (i = 0; i < 300; i++) {
        p[i].kind = i % 2 ? PKT_UDP6 : PKT_UDP4;
        p[i].ip_id = (uint16_t)(i / 2);
    }
    coalesce(p, 300, &desc);
    CHECK_EQ_INT(batch.group_count, 6);
    for (i = 0; i < 6; i++)
        CHECK_EQ_INT(batch.group[i].count, i < 4 ? 64 : 22);
}

/* RFC 9868: options behind the UDP length are not payload, though the checksum may come out right over them. */
TEST(bug_06_udp_options_become_payload)
{
    static const pkt_spec p[] = {{.kind = PKT_UDP4}, {.kind = PKT_UDP4, .ip_id = 1, .payload_len = 100, .udp_len = 8 + 80},
                                 {.kind = PKT_UDP4, .ip_id = 2}};

    CHECK_EQ_STR(COALESCE(p), "0|1|2");
    CHECK_VERDICT(batch.verdict[1], TUO_V_UDP_LENGTH);
}

TEST(bug_07_datagrams_overtake_what_does_not_merge)
{
    static const uint8_t nops[4] = {1, 1, 1, 1};
    static const pkt_spec odd[] = {{.payload_len = PKT_ZERO}, {.frag = 0x2000}, {.ip_options = nops, .ip_options_len = 4},
                                   {.l4_csum_zero = 1}, {.l4_csum_xor = 1}, {.trailer_len = 2}};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(odd); i++) {
        pkt_spec p[3] = {{.ip_id = 0}, {.ip_id = 1}, {.ip_id = 1}};
        check_row("odd datagram %lu", (unsigned long)i);
        p[1] = odd[i];
        p[0].kind = p[1].kind = p[2].kind = PKT_UDP4;
        p[1].ip_id = 1;
        CHECK_EQ_STR(COALESCE(p), "0|1|2");
    }
}

TEST(bug_08_ids_of_fragmentable_packets_rewritten)
{
    static const pkt_spec p[] = {{.ip_id = 500, .df = PKT_ZERO}, {.seq = 100, .ip_id = 7, .df = PKT_ZERO},
                                 {.seq = 200, .ip_id = 7, .df = PKT_ZERO}};

    CHECK_EQ_STR(COALESCE(p), "0|1|2");
    CHECK_VERDICT(batch.verdict[1], TUO_V_IP_ID_DIFFERS);
    CHECK_VERDICT(batch.verdict[2], TUO_V_IP_ID_DIFFERS);
}

TEST(bug_09_flow_label_ignored)
{
    static const pkt_spec p[] = {{.kind = PKT_TCP6, .flow_label = 1}, {.kind = PKT_TCP6, .seq = 100, .flow_label = 2}};

    CHECK_EQ_STR(COALESCE(p), "0|1");
}

/* A merged packet gets a fresh checksum: whatever was wrong before would be right from then on. */
TEST(bug_10_corruption_laundered)
{
    static const pkt_spec bad[] = {{.l4_csum_xor = 0x0101}, {.ip_csum_xor = 0x0101}, {.kind = PKT_UDP4, .l4_csum_xor = 2},
                                   {.kind = PKT_UDP4, .l4_csum_zero = 1}, {.kind = PKT_TCP6, .l4_csum_xor = 3},
                                   {.kind = PKT_UDP6, .l4_csum_zero = 1}, {.l4_csum_pseudo = 1}};
    size_t i, at;

    for (i = 0; i < CHECK_COUNT_OF(bad); i++)
        for (at = 0; at < 3; at++) {
            pkt_spec p[3], good = {.kind = bad[i].kind};
            size_t k;
            check_row("bad packet %lu at place %lu", (unsigned long)i, (unsigned long)at);
            for (k = 0; k < 3; k++) {
                p[k] = k == at ? bad[i] : good;
                p[k].seq = (uint32_t)k * 100;
                p[k].ip_id = (uint16_t)k;
            }
            CHECK_EQ_STR(COALESCE(p), at == 0 ? "0|12" : at == 1 ? "0|1|2" : "01|2");
        }
}

/* A buffer that leaves alone because its checksum was bad must not have the vnet header of what it might have been. */
TEST(bug_14_stale_vnet_header)
{
    static const uint8_t zeros[10] = {0};
    pkt_spec p[3] = {{.l4_csum_xor = 1}, {.seq = 100, .ip_id = 1}, {.seq = 200, .ip_id = 2}};
    uint8_t bytes[3][512];
    tuo_buf bufs[3];
    void *pointers[3];
    size_t to_write[3], written = 0, i;
    h_gro h = h_open(&zero_desc);

    for (i = 0; i < 3; i++) {
        memset(bytes[i], 0xff, sizeof bytes[i]);
        bufs[i].data = bytes[i];
        bufs[i].capacity = sizeof bytes[i];
        bufs[i].len = 10 + pkt_build(bytes[i] + 10, sizeof bytes[i] - 10, &p[i]);
        pointers[i] = &bufs[i];
    }
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, 3, 10, to_write, &written), TUO_OK);
    CHECK_EQ_INT(written, 2);
    CHECK_EQ_INT(to_write[0], 0);
    CHECK_EQ_INT(to_write[1], 1);
    CHECK_BYTES(bytes[0], zeros, 10);
    CHECK_EQ_INT(bytes[1][0], TUO_VNET_NEEDS_CSUM);
    CHECK_EQ_INT(bufs[1].len, 10 + 240);
    h_close(&h);
}

TEST(bug_15_many_flows_in_one_call)
{
    enum { COUNT = 1000 };
    static uint8_t bytes[COUNT][150];
    static tuo_buf bufs[COUNT];
    static void *pointers[COUNT];
    static size_t to_write[COUNT];
    size_t i, written = 0;
    h_gro h = h_open(&zero_desc);

    for (i = 0; i < COUNT; i++) {
        pkt_spec s = {.src_port = (int32_t)(1 + i)};
        bufs[i].data = bytes[i];
        bufs[i].capacity = sizeof bytes[i];
        bufs[i].len = 10 + pkt_build(bytes[i] + 10, sizeof bytes[i] - 10, &s);
        pointers[i] = &bufs[i];
    }
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, COUNT, 10, to_write, &written), TUO_OK);
    CHECK_EQ_INT(written, COUNT);
    for (i = 0; i < COUNT; i++)
        CHECK_EQ_INT(to_write[i], i);
    h_close(&h);
}

TEST(bug_16_one_empty_buffer_fails_the_batch)
{
    pkt_spec p[2] = {{.seq = 0}, {.seq = 100, .ip_id = 1}};
    enum { HEADROOM = 10 };
    uint8_t bytes[2][512];
    tuo_buf bufs[3] = {{NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}};
    void *pointers[3];
    size_t to_write[3], written = 0, i;
    h_gro h = h_open(&zero_desc);

    for (i = 0; i < 3; i++)
        pointers[i] = &bufs[i];
    for (i = 0; i < 2; i++) {
        tuo_buf *b = &bufs[i * 2];
        b->data = bytes[i];
        b->capacity = sizeof bytes[i];
        b->len = HEADROOM + pkt_build(bytes[i] + HEADROOM, sizeof bytes[i] - HEADROOM, &p[i]);
    }
    CHECK_RESULT(tuo_gro_batch(h.gro, NULL, pointers, 3, HEADROOM, to_write, &written), TUO_OK);
    CHECK_EQ_INT(written, 2);
    CHECK_EQ_INT(to_write[0], 0);
    CHECK_EQ_INT(to_write[1], 1);
    CHECK_EQ_INT(bufs[0].len, HEADROOM + 240);
    CHECK_EQ_INT(bufs[1].len, 0);
    h_close(&h);
}

TEST(bug_20_fin_tail_never_merged)
{
    static const pkt_spec p[] = {{.seq = 0}, {.seq = 100, .ip_id = 1},
                                 {.seq = 200, .ip_id = 2, .payload_len = 40, .tcp_flags = ACK_FIN}};

    CHECK_EQ_STR(COALESCE(p), "012");
    CHECK_EQ_INT(batch.group[0].bytes[33], ACK_FIN);
}

/* --------------------------------------------------------------------------------------------------------------- split */

TEST(bug_03_cwr_on_every_segment)
{
    tuo_vnet_hdr vnet;
    size_t len = superpacket(big, sizeof big, (pkt_spec){.payload_len = 300, .tcp_flags = PKT_CWR | PKT_ACK}, 100, &vnet), i;

    CHECK_EQ_INT(split(big, len, &vnet, segments, 4), 3);
    for (i = 0; i < 3; i++)
        CHECK_EQ_INT(segments[i][33], i == 0 ? PKT_CWR | PKT_ACK : PKT_ACK);
}

/* The payload is chosen so that the second datagram's checksum comes out as 0, which on the wire means "none". */
TEST(bug_04_udp_checksum_0_on_split)
{
    static const pkt_kind kinds[] = {PKT_UDP4, PKT_UDP6};
    uint8_t payload[200];
    size_t i;

    for (i = 0; i < 2; i++) {
        pkt_spec one = {.kind = kinds[i], .payload_len = 100, .ip_id = 1, .payload = payload + 100};
        pkt_spec two = {.kind = kinds[i], .payload_len = 200, .payload = payload};
        tuo_vnet_hdr vnet;
        size_t len, csum_at = pkt_l4_off(&one) + 6;

        check_row("UDP over IPv%d", i ? 6 : 4);
        memset(payload, 0x11, sizeof payload);
        pkt_put16(payload + 100, 0);
        pkt_build(segments[3], sizeof segments[3], &one);
        pkt_put16(payload + 100, pkt_get16(segments[3] + csum_at)); /* adding ~sum makes the sum 0xffff */
        len = superpacket(big, sizeof big, two, 100, &vnet);
        CHECK_EQ_INT(split(big, len, &vnet, segments, 4), 2);
        CHECK_EQ_INT(pkt_get16(segments[1] + csum_at), 0xffff);
    }
}

TEST(bug_04b_checksum_0_on_completion)
{
    uint8_t payload[100], pkt[256];
    pkt_spec s = {.kind = PKT_UDP4, .payload = payload};
    size_t len;

    memset(payload, 0x22, sizeof payload);
    pkt_put16(payload, 0);
    pkt_build(pkt, sizeof pkt, &s);
    pkt_put16(payload, pkt_get16(pkt + 26));
    s.l4_csum_pseudo = 1;
    len = pkt_build(pkt, sizeof pkt, &s);
    CHECK_RESULT(tuo_csum_complete(pkt, len, 20, 6), TUO_OK);
    CHECK_EQ_INT(pkt_get16(pkt + 26), 0xffff);
}

TEST(bug_11_segments_beyond_a_fixed_number)
{
    tuo_vnet_hdr vnet;
    size_t len = superpacket(big, sizeof big, (pkt_spec){.payload_len = 60000}, 8, &vnet);

    CHECK_EQ_INT(split(big, len, &vnet, segments, 0), 7500);
    len = superpacket(big, sizeof big, (pkt_spec){.kind = PKT_UDP6, .payload_len = 65000}, 500, &vnet);
    CHECK_EQ_INT(split(big, len, &vnet, segments, 0), 130);
}

/* gso_size * i beyond 65535 */
TEST(bug_11_sequence_numbers_in_16_bits)
{
    tuo_vnet_hdr vnet;
    size_t len = superpacket(big, sizeof big, (pkt_spec){.payload_len = 150000, .seq = 0xfffff000}, 1000, &vnet);

    CHECK_EQ_INT(split(big, len, &vnet, segments, 0), 150);
}

TEST(bug_12_payload_length_behind_extension_headers)
{
    tuo_vnet_hdr vnet;
    size_t len = superpacket(big, sizeof big, (pkt_spec){.kind = PKT_TCP6, .payload_len = 250, .ext_chain = "HD"}, 100, &vnet);

    CHECK_EQ_INT(split(big, len, &vnet, segments, 4), 3);
    CHECK_EQ_INT(pkt_get16(segments[0] + 4), 16 + 20 + 100);
    CHECK_EQ_INT(pkt_get16(segments[2] + 4), 16 + 20 + 50);
}

TEST(bug_13_ecn_bit_of_the_gso_type_refused)
{
    tuo_vnet_hdr vnet;
    const pkt_spec s = {.kind = PKT_TCP6, .payload_len = 250, .tcp_flags = PKT_CWR | PKT_ACK};
    size_t len = superpacket(big, sizeof big, s, 100, &vnet);

    vnet.gso_type |= TUO_GSO_ECN;
    CHECK_EQ_INT(split(big, len, &vnet, segments, 4), 3);
    CHECK_EQ_INT(segments[0][53], PKT_CWR | PKT_ACK);
    CHECK_EQ_INT(segments[1][53], PKT_ACK);
}

/* Offsets beyond the packet, or whose sum wraps, are refused by name; the packet has memory of exactly its size. */
TEST(bug_18_checksum_offsets_out_of_range)
{
    static const size_t values[] = {0, 1, 20, 118, 119, 120, 121, 122, 139, 140, 141, 65534, 65535};
    pkt_spec s = {0};
    size_t i, k, len = pkt_len(&s);
    uint8_t *pkt = (uint8_t *)h_alloc(len), *before = (uint8_t *)h_alloc(len);
    tuo_gso gso;

    pkt_build(before, len, &s);
    for (i = 0; i < CHECK_COUNT_OF(values); i++)
        for (k = 0; k < CHECK_COUNT_OF(values); k++) {
            int fits = values[i] + values[k] + 2 <= len;
            tuo_vnet_hdr vnet = {0};
            memcpy(pkt, before, len);
            CHECK_RESULT(tuo_csum_complete(pkt, len, values[i], values[k]), fits ? TUO_OK : TUO_E_CSUM_RANGE);
            if (!fits)
                CHECK_BYTES(pkt, before, len);
            vnet.flags = TUO_VNET_NEEDS_CSUM;
            vnet.csum_start = (uint16_t)values[i];
            vnet.csum_offset = (uint16_t)values[k];
            CHECK_RESULT(tuo_gso_init(&gso, before, len, &vnet, 0), fits ? TUO_OK : TUO_E_CSUM_RANGE);
        }
    CHECK_RESULT(tuo_csum_complete(pkt, len, (size_t)-1, 2), TUO_E_CSUM_RANGE);
    CHECK_RESULT(tuo_csum_complete(pkt, len, 2, (size_t)-1), TUO_E_CSUM_RANGE);
    CHECK_RESULT(tuo_csum_complete(pkt, len, (size_t)-2, (size_t)-2), TUO_E_CSUM_RANGE);
    free(pkt);
    free(before);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(bug_01_window_update_lost),
        CHECK_ENTRY(bug_02_psh_lost_by_prepending),
        CHECK_ENTRY(bug_02_fin_lost_by_prepending),
        CHECK_ENTRY(bug_03_cwr_on_every_segment),
        CHECK_ENTRY(bug_04_udp_checksum_0_on_split),
        CHECK_ENTRY(bug_04b_checksum_0_on_completion),
        CHECK_ENTRY(bug_05_more_datagrams_than_the_kernel_takes),
        CHECK_ENTRY(bug_06_udp_options_become_payload),
        CHECK_ENTRY(bug_07_datagrams_overtake_what_does_not_merge),
        CHECK_ENTRY(bug_08_ids_of_fragmentable_packets_rewritten),
        CHECK_ENTRY(bug_09_flow_label_ignored),
        CHECK_ENTRY(bug_10_corruption_laundered),
        CHECK_ENTRY(bug_11_segments_beyond_a_fixed_number),
        CHECK_ENTRY(bug_11_sequence_numbers_in_16_bits),
        CHECK_ENTRY(bug_12_payload_length_behind_extension_headers),
        CHECK_ENTRY(bug_13_ecn_bit_of_the_gso_type_refused),
        CHECK_ENTRY(bug_14_stale_vnet_header),
        CHECK_ENTRY(bug_15_many_flows_in_one_call),
        CHECK_ENTRY(bug_16_one_empty_buffer_fails_the_batch),
        CHECK_ENTRY(bug_18_checksum_offsets_out_of_range),
        CHECK_ENTRY(bug_20_fin_tail_never_merged),
    };
    int failed = CHECK_RUN(argc, argv, tests);

    h_clear(&batch);
    return failed;
}
