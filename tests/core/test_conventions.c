/* test_conventions.c - version, sizes and flags for callers without a C parser. */
#ifndef TUNOFFLOAD_IMPLEMENTATION_DONE
#define TUNOFFLOAD_IMPLEMENTATION
#endif
#include "tunoffload.h"

#include "check.h"

TEST(version_of_declarations_and_implementation)
{
    char text[32];

    CHECK_EQ_INT(tuo_version(), TUO_VERSION);
    snprintf(text, sizeof text, "%d.%d.%d", TUO_VERSION / 10000, TUO_VERSION / 100 % 100, TUO_VERSION % 100);
    CHECK_EQ_STR(TUO_VERSION_STRING, text);
}

#ifdef TUNOFFLOAD_TUN
#define OF_TUN(type) sizeof(type)
#else
#define OF_TUN(type) 0
#endif
#ifdef TUNOFFLOAD_UDP
#define OF_UDP(type) sizeof(type)
#else
#define OF_UDP(type) 0
#endif

TEST(sizes_are_those_of_this_build)
{
    static const struct {
        tuo_size which;
        size_t size;
    } rows[] = {
        {TUO_SIZE_VNET_HDR, sizeof(tuo_vnet_hdr)},       {TUO_SIZE_PKT_INFO, sizeof(tuo_pkt_info)},
        {TUO_SIZE_FLOW_KEY, sizeof(tuo_flow_key)},       {TUO_SIZE_FLOW_EVICTED, sizeof(tuo_flow_evicted)},
        {TUO_SIZE_FLOW_STATS, sizeof(tuo_flow_stats)},   {TUO_SIZE_GRO_DESC, sizeof(tuo_gro_desc)},
        {TUO_SIZE_GRO_STATS, sizeof(tuo_gro_stats)},     {TUO_SIZE_SUPERPACKET, sizeof(tuo_superpacket)},
        {TUO_SIZE_SEGMENT, sizeof(tuo_segment)},         {TUO_SIZE_GSO, sizeof(tuo_gso)},
        {TUO_SIZE_CAPS, sizeof(tuo_caps)},               {TUO_SIZE_TX, sizeof(tuo_tx)},
        {TUO_SIZE_TX_PACKET, sizeof(tuo_tx_packet)},     {TUO_SIZE_TX_QUEUE, sizeof(tuo_tx_queue)},
        {TUO_SIZE_RX_PACKET, sizeof(tuo_rx_packet)},     {TUO_SIZE_RX_QUEUE, sizeof(tuo_rx_queue)},
        {TUO_SIZE_UDP_LIMITS, sizeof(tuo_udp_limits)},   {TUO_SIZE_UDP_SLOT, sizeof(tuo_udp_slot)},
        {TUO_SIZE_UDP_TRAIN, sizeof(tuo_udp_train)},
        {TUO_SIZE_TUN_DESC, OF_TUN(tuo_tun_desc)},           {TUO_SIZE_TUN_INFO, OF_TUN(tuo_tun_info)},
        {TUO_SIZE_TUN_RX_STATS, OF_TUN(tuo_tun_rx_stats)},   {TUO_SIZE_TUN_TX_STATS, OF_TUN(tuo_tun_tx_stats)},
        {TUO_SIZE_TUN_PARTS, OF_TUN(tuo_tun_parts)},         {TUO_SIZE_TUN_PROBE_REPORT, OF_TUN(tuo_tun_probe_report)},
        {TUO_SIZE_TUN_FAILURE, OF_TUN(tuo_tun_failure)},
        {TUO_SIZE_UDP_DESC, OF_UDP(tuo_udp_desc)},           {TUO_SIZE_UDP_PEER, OF_UDP(tuo_udp_peer)},
        {TUO_SIZE_UDP_DATAGRAM, OF_UDP(tuo_udp_datagram)},   {TUO_SIZE_UDP_LOST, OF_UDP(tuo_udp_lost)},
        {TUO_SIZE_UDP_INFO, OF_UDP(tuo_udp_info)},           {TUO_SIZE_UDP_RX_STATS, OF_UDP(tuo_udp_rx_stats)},
        {TUO_SIZE_UDP_TX_STATS, OF_UDP(tuo_udp_tx_stats)},
    };
    size_t i;

    CHECK_EQ_INT(CHECK_COUNT_OF(rows), TUO_SIZE_COUNT);
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("size %d", (int)rows[i].which);
        CHECK_EQ_INT(rows[i].which, i);
        CHECK_EQ_INT(tuo_sizeof(rows[i].which), rows[i].size);
    }
    check_row("a number that is none");
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_COUNT), 0);
    CHECK_EQ_INT(tuo_sizeof((tuo_size)-1), 0);
}

TEST(levels_as_flags)
{
    static const tuo_simd levels[] = {TUO_SIMD_DETECT, TUO_SIMD_SCALAR, TUO_SIMD_SSE2, TUO_SIMD_NEON, TUO_SIMD_AVX2, TUO_SIMD_AVX512};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(levels); i++)
        CHECK_EQ_INT(tuo_simd_flag(levels[i]), TUO_F_SIMD(levels[i]));
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(version_of_declarations_and_implementation),
        CHECK_ENTRY(sizes_are_those_of_this_build),
        CHECK_ENTRY(levels_as_flags),
    };

    return CHECK_RUN(argc, argv, tests);
}
