/* Superpackets that the Linux stack made (tests/captures, on a little-endian machine), cut by the library and by the naive splitter:
   the same wire packets. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"

#include "../../examples/pcap_file.h"

/* The segment size is not in a captured superpacket, except where its vnet header was captured too. */
typedef struct capture_row {
    const char *path;
    int ethernet;
    uint16_t gso_size; /* 0: each record starts with a vnet header of 10 bytes */
    size_t superpackets_min;
} capture_row;

static const capture_row capture_rows[] = {
    { "tests/captures/bulk_tcp4_gso.pcap", 1, 1448, 3 },
    { "tests/captures/bulk_tcp6_gso.pcap", 1, 1348, 3 },
    { "tests/captures/udp4_gso.pcap", 1, 1200, 5 },
    { "tests/captures/tun_vnet.pcap", 0, 0, 5 },
};

static uint8_t segment_bytes[65536 + TUO_HEADER_MAX];

static size_t gather(const tuo_segment *segment) {
    size_t i, len = 0;
    for (i = 0; i < segment->iov_count; i++) {
        memcpy(segment_bytes + len, segment->iov[i].base, segment->iov[i].len);
        len += segment->iov[i].len;
    }
    return len;
}

static void compare_split(const uint8_t *bytes, size_t len, const tuo_vnet_hdr *vnet, int ethernet) {
    ref_list expected = ref_split(bytes, len, ethernet, vnet->gso_size);
    tuo_gso gso;
    tuo_segment segment;
    size_t i;
    if (CHECK_RESULT(tuo_gso_init(&gso, bytes, len, vnet, ethernet ? TUO_F_ETHERNET : 0), TUO_OK)) {
        CHECK_EQ_INT(tuo_gso_count(&gso), expected.count);
        for (i = 0; i < expected.count && tuo_gso_next(&gso, NULL, &segment) == TUO_OK; i++) {
            const size_t segment_len = gather(&segment);
            if (CHECK_EQ_INT(segment_len, expected.len[i])) CHECK_BYTES(segment_bytes, expected.bytes[i], segment_len);
        }
        CHECK_EQ_INT(i, expected.count);
        CHECK_RESULT(tuo_gso_next(&gso, NULL, &segment), TUO_DONE);
    }
    ref_list_free(&expected);
}

/* The vnet header that the kernel would give a superpacket of this gso_size; 0 if the record is none. */
static int make_vnet(const uint8_t *bytes, size_t len, uint16_t gso_size, tuo_vnet_hdr *vnet) {
    tuo_pkt_info info;
    memset(vnet, 0, sizeof *vnet);
    if (tuo_parse(bytes, len, TUO_F_ETHERNET, &info) != TUO_OK) return 0;
    if (info.kind == TUO_KIND_NONE || info.payload_len <= gso_size) return 0;
    vnet->flags = TUO_VNET_NEEDS_CSUM;
    vnet->gso_type = (uint8_t)(info.l4_proto == 17 ? TUO_GSO_UDP_L4 : info.ip_version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6);
    vnet->gso_size = gso_size;
    vnet->csum_start = (uint16_t)info.l4_off;
    vnet->csum_offset = info.l4_proto == 17 ? 6 : 16;
    return 1;
}

static void check_capture(const capture_row *row) {
    struct capture capture;
    size_t i, superpackets = 0;
    check_row("%s", row->path);
    if (!CHECK(capture_read(&capture, row->path) == 0)) {
        printf("    %s (run from the repository's root)\n", capture.error);
        capture_free(&capture);
        return;
    }
    for (i = 0; i < capture.count; i++) {
        const uint8_t *bytes = capture.records[i].bytes;
        size_t len = capture.records[i].len;
        tuo_vnet_hdr vnet;
        if (row->gso_size == 0) {
            if (!CHECK_RESULT(tuo_vnet_decode(bytes, len, TUO_VNET_LEN, TUO_ORDER_LITTLE, &vnet), TUO_OK)) continue;
            bytes += TUO_VNET_LEN;
            len -= TUO_VNET_LEN;
            if (!CHECK_RESULT(tuo_vnet_check(&vnet, bytes, len, 0), TUO_OK) || vnet.gso_type == TUO_GSO_NONE) continue;
        } else if (!make_vnet(bytes, len, row->gso_size, &vnet)) {
            continue;
        }
        superpackets++;
        compare_split(bytes, len, &vnet, row->ethernet);
    }
    CHECK(superpackets >= row->superpackets_min);
    capture_free(&capture);
}

TEST(kernel_superpackets_split_as_the_naive_splitter_does) {
    size_t i;
    for (i = 0; i < CHECK_COUNT_OF(capture_rows); i++) check_capture(&capture_rows[i]);
}

int main(int argc, char **argv) {
    static const check_test tests[] = { CHECK_ENTRY(kernel_superpackets_split_as_the_naive_splitter_does) };
    return CHECK_RUN(argc, argv, tests);
}
