/* The ladder for a real device: what tuo_tx_next hands out for a TAP or TUN device is written to it, the kernel does the device's
   own work, and what arrives is compared. Three parts:
   - frames, with up to four VLAN tags, through a TAP device, a Linux bridge and a TAP device without offloads, byte for byte; also
     through one that was made with IFF_NAPI_FRAGS, which takes few pieces;
   - superpackets between two TAP devices as a virtual machine monitor makes them for its guests;
   - a sender that builds packets of 64 KiB itself, prepares them with tuo_tso_prepare, and talks to sockets of this kernel: UDP
     datagrams, and one TCP connection.
   Everything happens in network namespaces of this process' own. Needs root and a TUN driver. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "check.h"
#include "packets.h"
#include "reference.h"
#include "netns.h"
#include "tun_facts.h"

enum { FRAME_MAX = 65535 + 64, PATIENCE_MS = 1000, QUEUE_LEN = 20000 };

static int interface_ioctl(unsigned long number, void *argument)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), returned = ioctl(fd, number, argument);

    close(fd);
    return returned;
}

/* A queue so long that no superpacket overflows it when the kernel has cut it: that would be silent (K 7.14). */
static void raise_queue_len(const char *name)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, strlen(name));
    request.ifr_qlen = QUEUE_LEN;
    CHECK_EQ_INT(interface_ioctl(SIOCSIFTXQLEN, &request), 0);
}

static tuo_tun *open_device(const tuo_tun_desc *desc)
{
    tuo_tun *tun = NULL;
    int error = 0;

    if (!CHECK_RESULT(tuo_tun_open(&tun, desc, &error), TUO_OK)) {
        printf("%s: %s\n", desc->name, strerror(error));
        return NULL;
    }
    raise_queue_len(desc->name);
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    return tun;
}

/* ------------------------------------------------------------------------------------------------------ frames, bridged */

static tuo_tun *frames_in, *frames_out;

static int join_bridge(const char *bridge, const char *port)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, bridge, strlen(bridge));
    request.ifr_ifindex = (int)if_nametoindex(port);
    return interface_ioctl(SIOCBRADDIF, &request);
}

/* What kind of device frames_in is; GUESTS: and frames_out. */
enum { USUAL, NAPI_FRAGS, NAPI_FRAGS_PLAIN, GUESTS };

/* As another program makes it, adopted. For a guest vnet headers have 12 bytes, and nothing is negotiated. */
static tuo_tun *open_other(tuo_tun_desc *desc, int kind)
{
    const int more_flags = kind == GUESTS ? 0 : IFF_NAPI | IFF_NAPI_FRAGS;
    struct ifreq request;
    tuo_tun *tun = NULL;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), vnet_len = 12;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, desc->name, strlen(desc->name));
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | more_flags | (kind == NAPI_FRAGS_PLAIN ? 0 : IFF_VNET_HDR));
    desc->adopt_negotiate = kind != GUESTS;
    desc->up = 1;
    if (!CHECK_EQ_INT(ioctl(fd, TUNSETIFF, &request), 0))
        return NULL;
    if (kind == GUESTS)
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &vnet_len), 0);
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, desc, NULL), TUO_OK);
    return tun;
}

/* A namespace in which two TAP devices and nothing else are ports of a bridge. IPv6 is off in it: it would announce itself. */
static int bridged_taps(int kind)
{
    tuo_tun_desc in, out;
    struct ifreq up;
    char name[IFNAMSIZ] = "br0";

    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    memset(&up, 0, sizeof up);
    if (unshare(CLONE_NEWNET) != 0 || !put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"))
        return CHECK(!"a network namespace without IPv6");
    in.name = "in0";
    out.name = "out0";
    in.tap = out.tap = 1;
    in.mtu = out.mtu = 65521; /* segments of any size pass */
    out.disable_offloads = ~0u;
    frames_in = kind == USUAL ? open_device(&in) : open_other(&in, kind);
    frames_out = kind == GUESTS ? open_other(&out, kind) : open_device(&out);
    if (!frames_in || !frames_out)
        return 0;
    memcpy(up.ifr_name, name, sizeof name);
    up.ifr_flags = IFF_UP;
    return CHECK_EQ_INT(interface_ioctl(SIOCBRADDBR, name), 0) && CHECK_EQ_INT(join_bridge(name, "in0"), 0) &&
           CHECK_EQ_INT(join_bridge(name, "out0"), 0) && CHECK_EQ_INT(interface_ioctl(SIOCSIFFLAGS, &up), 0);
}

typedef struct frame {
    pkt_spec spec;
    tuo_vnet_hdr vnet;
    size_t len;
    uint8_t bytes[FRAME_MAX];
} frame;

/* A frame as it could come from a stack: superpacket or not, its checksum partial. */
static void make_frame(frame *f, rng *r)
{
    static const char *const chains[] = {NULL, NULL, NULL, "D", "HD", "R"};
    pkt_spec *const s = &f->spec;
    uint32_t segs = 1 + rng_below(r, rng_chance(r, 1, 4) ? 400 : 40), size;
    pkt_view v;

    memset(s, 0, sizeof *s);
    s->kind = (pkt_kind)rng_below(r, 4);
    s->ethernet = 1;
    s->vlan_count = (uint8_t)rng_below(r, 5);
    for (size_t i = 0; i < s->vlan_count; i++) {
        s->vlan_tci[i] = (uint16_t)(1 + rng_below(r, 4094));
        s->vlan_tpid[i] = rng_chance(r, 1, 3) ? 0x88a8 : 0;
    }
    if (pkt_is_v6(s))
        s->ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
    if (pkt_is_udp(s) && segs > 128)
        segs = 128; /* more is nothing that the kernel would ever have made */
    size = 8 + rng_below(r, 60000 / segs < 1400 ? 60000 / segs : 1400);
    s->payload_len = (int32_t)(size * segs - rng_below(r, size));
    if (s->payload_len > 60000)
        s->payload_len = 60000;
    s->ip_id = (uint16_t)rng_u64(r);
    s->seq = (uint32_t)rng_u64(r);
    s->tos = (uint8_t)rng_below(r, 256);
    if (!pkt_is_udp(s)) /* with ECE, CWR, PSH and FIN, in all combinations; SYN, RST and URG the splitter copies */
        s->tcp_flags = PKT_ACK | (int32_t)(rng_u64(r) & 0xc9);
    s->l4_csum_pseudo = 1;
    f->len = pkt_build(f->bytes, sizeof f->bytes, s);
    v = pkt_look(f->bytes, f->len, 1, 0);
    memset(&f->vnet, 0, sizeof f->vnet);
    f->vnet.flags = TUO_VNET_NEEDS_CSUM;
    f->vnet.csum_start = (uint16_t)v.l4;
    f->vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
    if ((uint32_t)s->payload_len > size) {
        f->vnet.gso_type = pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
        f->vnet.gso_size = (uint16_t)size;
    }
}

/* The next frame at the far end, if it comes. What the kernel says to its neighbours has other addresses. */
static size_t next_frame(uint8_t *bytes, tuo_vnet_hdr *vnet)
{
    static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    size_t len = 0;

    do {
        while (tuo_tun_recv(frames_out, bytes, FRAME_MAX, vnet, &len) != TUO_OK)
            if (tuo_tun_wait(frames_out, 0, PATIENCE_MS) != TUO_OK)
                return 0;
    } while (memcmp(bytes, addresses, sizeof addresses) != 0);
    return len;
}

/* One that is whole and finished. */
static size_t next_out(uint8_t *bytes)
{
    tuo_vnet_hdr vnet;
    size_t len = next_frame(bytes, &vnet);

    if (len) {
        CHECK_EQ_INT(vnet.flags & TUO_VNET_NEEDS_CSUM, 0);
        CHECK_EQ_INT(vnet.gso_type, TUO_GSO_NONE);
    }
    return len;
}

/* The frame must come out as software alone would have sent it. */
static int compare_with_software(const frame *f)
{
    static uint8_t want[FRAME_MAX], have[FRAME_MAX];
    tuo_segment segment;
    tuo_gso gso;
    size_t i;

    CHECK_RESULT(tuo_gso_init(&gso, f->bytes, f->len, &f->vnet, TUO_F_ETHERNET), TUO_OK);
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        size_t len = 0, got = next_out(have);
        for (i = 0; i < segment.iov_count; len += segment.iov[i++].len)
            memcpy(want + len, segment.iov[i].base, segment.iov[i].len);
        if (!CHECK_EQ_INT(got, len) || !CHECK_BYTES(have, want, len))
            return 0;
    }
    return 1;
}

/* Device by device. Returns how many writes it took. */
static size_t send_and_compare(const tuo_caps *caps, const frame *f)
{
    tuo_tx_packet packet;
    tuo_tx tx;
    size_t writes = 0;

    if (!CHECK_RESULT(tuo_tx_init(&tx, caps, f->bytes, f->len, &f->vnet, 0), TUO_OK))
        return 0;
    for (; tuo_tx_next(&tx, NULL, &packet) == TUO_OK; writes++)
        CHECK_RESULT(tuo_tun_send_iov(frames_in, packet.iov, packet.iov_count, &packet.vnet), TUO_OK);
    compare_with_software(f);
    return writes;
}

TEST(a_tap_device_takes_what_its_capabilities_say)
{
    static frame f;
    rng r;
    tun_stats stats;
    tuo_caps own;
    uint64_t supers = 0;

    if (!netns_ready() || !bridged_taps(USUAL))
        return;
    r = rng_start("a_tap_device_takes_what_its_capabilities_say", 5);
    tuo_tun_caps(frames_in, &own);
    CHECK_EQ_INT(own.ethernet, 1);
    for (int round = 0; round < 600; round++) {
        tuo_caps caps = own;
        size_t writes;

        make_frame(&f, &r);
        check_row("round %d: kind %d, %d tags, %d bytes, gso_size %d, ext %s, flags %x", round, (int)f.spec.kind, f.spec.vlan_count,
                  (int)f.len, f.vnet.gso_size, f.spec.ext_chain ? f.spec.ext_chain : "-", (unsigned)f.spec.tcp_flags);
        if (round % 3 == 1) { /* a device that takes less: partial splits */
            caps.max_tcp4 = caps.max_tcp6 = 3000 + rng_below(&r, 30000);
            caps.max_udp4 = caps.max_udp6 = caps.max_udp4 ? caps.max_tcp4 : 0;
            caps.max_segs = rng_below(&r, 12);
        } else if (round % 3 == 2) { /* or leaves something to software */
            caps.tx_csum_any = caps.tx_csum_tcp4 = caps.tx_csum_udp6 = 0;
            caps.tx_vlan_max = 2;
        }
        writes = send_and_compare(&caps, &f);
        if (round % 3 == 0 && f.vnet.gso_type && !f.spec.ext_chain && !(f.spec.tcp_flags & 0x80) && (own.max_udp4 || !pkt_is_udp(&f.spec)))
            CHECK(writes == 1 || pkt_is_udp(&f.spec)); /* UDP: at most 64 datagrams */
    }
    stats = tun_stats_of(frames_in);
    supers = stats.tx.tx_superpackets;
    check_row("sum");
    CHECK(supers > 300);
    CHECK_EQ_INT((long long)stats.tx.tx_refused_superpackets, 0);
    tuo_tun_close(frames_in);
    tuo_tun_close(frames_out);
}

/* In up to 60 pieces, some of them empty, some longer than a page. */
static void send_in_pieces(rng *r, const frame *f)
{
    tuo_iov iov[60];
    size_t count = 0, at = 0, most = rng_chance(r, 1, 4) ? 17 : CHECK_COUNT_OF(iov) - 1;

    while (count < most && rng_chance(r, 40, 41)) {
        size_t len = rng_chance(r, 1, 8) ? 0 : rng_below(r, rng_chance(r, 1, 4) ? 9000 : 1500);
        iov[count].base = f->bytes + at;
        iov[count].len = len < f->len - at ? len : f->len - at;
        at += iov[count++].len;
    }
    iov[count].base = f->bytes + at;
    iov[count++].len = f->len - at;
    CHECK_RESULT(tuo_tun_send_iov(frames_in, iov, count, &f->vnet), TUO_OK);
}

/* The next frame at the far end is the packet of these bytes. */
static int came_out(const uint8_t *bytes, size_t len)
{
    static uint8_t have[FRAME_MAX];

    return CHECK_EQ_INT(next_out(have), len) && CHECK_BYTES(have, bytes, len);
}

/* K 2.12: with IFF_NAPI_FRAGS the kernel takes 18 pieces, those behind the first of 1 to 4096 bytes, and 65471 bytes of frame. */
TEST(a_napi_frags_device_takes_any_pieces)
{
    enum { TRAIN = 60 };
    static const int payload_lens[] = {100, 1400, 4096, 4097, 9000, 21000};
    static uint8_t bytes[TRAIN][22000];
    static tuo_buf bufs[TRAIN];
    static void *pointers[TRAIN];
    static frame f;
    tun_stats stats;
    tuo_caps caps;
    size_t i, k, taken;
    rng r;

    if (!netns_ready() || !bridged_taps(NAPI_FRAGS))
        return;
    tuo_tun_caps(frames_in, &caps);
    check_row("capabilities");
    CHECK_EQ_INT(caps.max_frags, 17);
    CHECK_EQ_INT(caps.max_tcp4, 65000);
    CHECK_EQ_INT(caps.max_udp6, caps.max_udp_segs ? 65000 : 0);
    r = rng_start("a_napi_frags_device_takes_any_pieces", 17);
    for (int round = 0; round < 300; round++) {
        make_frame(&f, &r);
        check_row("round %d: kind %d, %d bytes, gso_size %d", round, (int)f.spec.kind, (int)f.len, f.vnet.gso_size);
        if (round % 3 == 0) {
            send_and_compare(&caps, &f);
        } else {
            send_in_pieces(&r, &f);
            compare_with_software(&f);
        }
    }
    check_row("sum");
    stats = tun_stats_of(frames_in);
    CHECK(stats.tx.tx_superpackets > 150);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets + stats.tx.tx_refused_packets, 0);
    for (i = 0; i < 2 * CHECK_COUNT_OF(payload_lens); i++) {
        const int verbs = i & 1;
        pkt_spec s = {.kind = i % 3 ? PKT_TCP4 : PKT_TCP6, .ethernet = 1, .payload_len = payload_lens[i / 2]};

        check_row("%s of %d bytes", verbs ? "pushes" : "a batch", payload_lens[i / 2]);
        for (k = 0; k < TRAIN; k++) {
            bufs[k].data = bytes[k];
            bufs[k].capacity = sizeof bytes[k];
            bufs[k].len = pkt_build(bytes[k], sizeof bytes[k], &s);
            pointers[k] = &bufs[k];
            s.seq += (uint32_t)s.payload_len;
            s.ip_id++;
        }
        for (k = 0; k < TRAIN && verbs; k++)
            CHECK_RESULT(tuo_tun_push(frames_in, bytes[k], bufs[k].len), TUO_OK);
        if (verbs)
            CHECK_RESULT(tuo_tun_flush(frames_in), TUO_OK);
        else
            CHECK_RESULT(tuo_tun_send_batch(frames_in, NULL, pointers, TRAIN, 0, &taken), TUO_OK);
        for (k = 0; k < TRAIN && came_out(bytes[k], bufs[k].len); k++) {
        }
        stats.tx.tx_superpackets += (TRAIN + 16) / 17; /* at least */
        CHECK(tun_stats_of(frames_in).tx.tx_superpackets >= stats.tx.tx_superpackets);
        stats = tun_stats_of(frames_in);
        CHECK_EQ_INT(stats.tx.tx_refused_superpackets + stats.tx.switched_off, 0);
    }
    check_row("longer than it takes");
    {
        const pkt_spec s = {.kind = PKT_TCP6, .ethernet = 1, .payload_len = 65475, .l4_csum_pseudo = 1};
        f.len = pkt_build(f.bytes, sizeof f.bytes, &s);
        memset(&f.vnet, 0, sizeof f.vnet);
        f.vnet.flags = TUO_VNET_NEEDS_CSUM;
        f.vnet.gso_type = TUO_GSO_TCPV6;
        f.vnet.gso_size = 1400;
        f.vnet.csum_start = 54;
        f.vnet.csum_offset = 16;
        send_in_pieces(&r, &f);
        compare_with_software(&f);
        CHECK_EQ_INT(tun_stats_of(frames_in).tx.tx_refused_superpackets, 1);
    }
    check_row("past everything");
    {
        const pkt_spec s = {.kind = PKT_UDP4, .ethernet = 1, .payload_len = 20000};
        size_t len = pkt_build(f.bytes, sizeof f.bytes, &s);
        CHECK_RESULT(tuo_tun_inject(frames_in, f.bytes, len), TUO_OK);
        came_out(f.bytes, len);
    }
    tuo_tun_close(frames_in);
    tuo_tun_close(frames_out);
}

TEST(a_napi_frags_device_without_vnet_header)
{
    const tuo_iov nothing = {NULL, 0};
    static frame f;
    rng r;

    if (!netns_ready() || !bridged_taps(NAPI_FRAGS_PLAIN))
        return;
    r = rng_start("a_napi_frags_device_without_vnet_header", 18);
    memset(&f.vnet, 0, sizeof f.vnet);
    for (int round = 0; round < 100; round++) {
        const pkt_spec s = {.kind = (pkt_kind)rng_below(&r, 4), .ethernet = 1, .payload_len = 1 + (int32_t)rng_below(&r, 60000)};
        f.len = pkt_build(f.bytes, sizeof f.bytes, &s);
        send_in_pieces(&r, &f);
        if (!came_out(f.bytes, f.len))
            break;
    }
    CHECK_RESULT(tuo_tun_send_iov(frames_in, &nothing, 1, NULL), TUO_E_REFUSED);
    tuo_tun_close(frames_in);
    tuo_tun_close(frames_out);
}

/* A superpacket with a short tail. */
static void make_superframe(frame *f, pkt_kind kind)
{
    pkt_view v;

    memset(f, 0, sizeof *f);
    f->spec.kind = kind;
    f->spec.ethernet = 1;
    f->spec.payload_len = 10 * 1000 - 7;
    f->spec.l4_csum_pseudo = 1;
    f->len = pkt_build(f->bytes, sizeof f->bytes, &f->spec);
    v = pkt_look(f->bytes, f->len, 1, 0);
    f->vnet.flags = TUO_VNET_NEEDS_CSUM;
    f->vnet.gso_type = pkt_is_udp(&f->spec) ? TUO_GSO_UDP_L4 : pkt_is_v6(&f->spec) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    f->vnet.gso_size = 1000;
    f->vnet.csum_start = (uint16_t)v.l4;
    f->vnet.csum_offset = pkt_is_udp(&f->spec) ? 6 : 16;
}

static void send_superframe(pkt_kind kind, int arrives_whole)
{
    static uint8_t got[FRAME_MAX];
    static frame f;
    tuo_vnet_hdr vnet;
    tuo_iov iov;

    make_superframe(&f, kind);
    iov.base = f.bytes;
    iov.len = f.len;
    CHECK_RESULT(tuo_tun_send_iov(frames_in, &iov, 1, &f.vnet), TUO_OK);
    if (!arrives_whole) {
        compare_with_software(&f);
        return;
    }
    CHECK_EQ_INT(next_frame(got, &vnet), f.len);
    CHECK_BYTES(got, f.bytes, f.len);
    CHECK_EQ_INT(vnet.flags & TUO_VNET_NEEDS_CSUM, TUO_VNET_NEEDS_CSUM);
    CHECK_EQ_INT(vnet.gso_type, f.vnet.gso_type);
    CHECK_EQ_INT(vnet.gso_size, f.vnet.gso_size);
    CHECK_EQ_INT(vnet.csum_start, f.vnet.csum_start);
}

/* The next segment by one of the ways to read. Returns its length; 0: none came. */
static size_t next_segment(int way, uint8_t *bytes)
{
    tuo_buf buf = {bytes, 0, FRAME_MAX};
    void *bufs[1] = {&buf};
    size_t received, len;
    tuo_result result;

    for (;;) {
        if (way == 0) {
            result = tuo_tun_next(frames_out, &buf);
        } else if (way == 1) {
            result = tuo_tun_next_copy(frames_out, bytes, FRAME_MAX, &len);
            buf.len = len;
        } else {
            result = tuo_tun_recv_batch(frames_out, NULL, bufs, 1, 0, &received);
        }
        if (result == TUO_AGAIN && tuo_tun_wait(frames_out, 0, PATIENCE_MS) != TUO_OK)
            return 0;
        if (result == TUO_OK && buf.len >= 14 && pkt_get16(buf.data + 12) == 0x86dd)
            break;
    }
    if (buf.data != bytes)
        memcpy(bytes, buf.data, buf.len);
    return buf.len;
}

/* K 3.27: a bridge hands on a superpacket with a jumbo payload option as it came. Refused, it would be lost: the option is taken out. */
TEST(a_jumbo_payload_option_costs_no_packet)
{
    static uint8_t bytes[FRAME_MAX], have[FRAME_MAX];
    pkt_spec s = {.kind = PKT_TCP6, .ethernet = 1, .ext_chain = "J", .payload_len = 30000, .l4_csum_pseudo = 1};
    tuo_vnet_hdr vnet = {.flags = TUO_VNET_NEEDS_CSUM, .gso_type = TUO_GSO_TCPV6, .gso_size = 1400, .csum_start = 62, .csum_offset = 16};
    size_t len, i;
    int way;

    if (!netns_ready() || !bridged_taps(USUAL))
        return;
    put_file("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0\n"); /* is not everywhere: the bridge drops no such packet */
    CHECK_RESULT(tuo_tun_set_offloads(frames_out, TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6), TUO_OK);
    for (way = 0; way < 3; way++) {
        check_row("way %d", way);
        len = pkt_build(bytes, sizeof bytes, &s);
        tuo_iov iov = {bytes, len};
        CHECK_RESULT(tuo_tun_send_iov(frames_in, &iov, 1, &vnet), TUO_OK);
        ref_list wire = ref_wire_stripped(bytes, len, 1, &vnet);
        CHECK_EQ_INT(wire.count, 22);
        for (i = 0; i < wire.count; i++) {
            if (!CHECK_EQ_INT(next_segment(way, have), wire.len[i]) || !CHECK_BYTES(have, wire.bytes[i], wire.len[i]))
                break;
            CHECK_RESULT(tuo_csum_check(have, wire.len[i], TUO_F_ETHERNET), TUO_OK);
        }
        ref_list_free(&wire);
    }
    check_row("sum");
    CHECK_EQ_INT((long long)tun_stats_of(frames_out).rx.rx_superpackets, 3);
    CHECK_EQ_INT((long long)tun_stats_of(frames_out).rx.rx_refused, 0);
    tuo_tun_close(frames_in);
    tuo_tun_close(frames_out);
}

static void swap_directions(void)
{
    tuo_tun *const in = frames_in;

    frames_in = frames_out;
    frames_out = in;
}

/* Superpackets go from one guest to the other whole; cut, once the other one has reset. */
TEST(guests_exchange_superpackets)
{
    const uint32_t tcp = TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6;
    int kind, has_uso, way;

    if (!netns_ready() || !bridged_taps(GUESTS))
        return;
    CHECK_EQ_INT(tun_info_of(frames_in).vnet_hdr_len, 12);
    has_uso = tuo_tun_set_offloads(frames_in, tcp | TUO_TUN_USO) == TUO_OK;
    if (!has_uso)
        CHECK_RESULT(tuo_tun_set_offloads(frames_in, tcp), TUO_OK);
    CHECK_RESULT(tuo_tun_set_offloads(frames_out, has_uso ? tcp | TUO_TUN_USO : tcp), TUO_OK);
    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        check_row("kind %d", kind);
        for (way = 0; way < 2; way++) {
            send_superframe((pkt_kind)kind, has_uso || (kind != PKT_UDP4 && kind != PKT_UDP6));
            swap_directions();
        }
    }
    CHECK_RESULT(tuo_tun_set_offloads(frames_out, 0), TUO_OK);
    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        check_row("kind %d, after a reset", kind);
        send_superframe((pkt_kind)kind, 0);
    }
    CHECK_EQ_INT(tun_stats_of(frames_out).rx.rx_refused, 0);
    tuo_tun_close(frames_in);
    tuo_tun_close(frames_out);
}

/* -------------------------------------------------------------------------------------------------- a sender of its own */

enum {
    MSS = 1400, LARGE = 60000, /* what it builds at once: payload bytes */
    STREAM_LEN = 8 * 1024 * 1024,
    PEER_PORT = 7000, OWN_PORT = 40000
};

/* A TUN device at which this process is 10.1.0.2 (and the kernel 10.1.0.1), or fd00:1::2 and ::1. */
static tuo_tun *sender_device(tuo_caps *caps)
{
    tuo_tun_desc desc;
    tuo_tun *tun;

    memset(&desc, 0, sizeof desc);
    if (unshare(CLONE_NEWNET) != 0 || !put_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0\n")) {
        CHECK(!"a network namespace");
        return NULL;
    }
    desc.name = "sender0";
    desc.address4 = "10.1.0.1/24";
    desc.address6 = "fd00:1::1/64";
    tun = open_device(&desc);
    if (tun) {
        wait_for_address6(desc.address6);
        tuo_tun_caps(tun, caps);
    }
    return tun;
}

/* Headers in front of the payload, without lengths and checksums: those are tuo_tso_prepare's. Returns their length. */
static size_t put_headers(uint8_t *p, int v6, int udp, uint16_t src_port, uint32_t seq, uint32_t ack, unsigned tcp_flags)
{
    size_t l4 = v6 ? 40 : 20;

    memset(p, 0, 60);
    p[0] = v6 ? 0x60 : 0x45;
    p[v6 ? 6 : 9] = udp ? 17 : 6;
    p[v6 ? 7 : 8] = 64;
    if (v6) {
        inet_pton(AF_INET6, "fd00:1::2", p + 8);
        inet_pton(AF_INET6, "fd00:1::1", p + 24);
    } else {
        pkt_put16(p + 6, 0x4000);
        inet_pton(AF_INET, "10.1.0.2", p + 12);
        inet_pton(AF_INET, "10.1.0.1", p + 16);
    }
    pkt_put16(p + l4, src_port);
    pkt_put16(p + l4 + 2, PEER_PORT);
    if (udp)
        return l4 + 8;
    pkt_put32(p + l4 + 4, seq);
    pkt_put32(p + l4 + 8, ack);
    p[l4 + 12] = 5 << 4;
    p[l4 + 13] = (uint8_t)tcp_flags;
    pkt_put16(p + l4 + 14, 65535);
    return l4 + 20;
}

/* A packet of any size through the ladder. Returns the number of packets that the device was given. */
static size_t transmit(tuo_tun *tun, const tuo_caps *caps, uint8_t *pkt, size_t len)
{
    tuo_tx_packet packet;
    tuo_vnet_hdr vnet;
    tuo_tx tx;
    size_t count = 0;

    if (!CHECK_RESULT(tuo_tso_prepare(pkt, len, MSS, caps, &vnet), TUO_OK) ||
        !CHECK_RESULT(tuo_tx_init(&tx, caps, pkt, len, &vnet, 0), TUO_OK))
        return 0;
    for (; tuo_tx_next(&tx, NULL, &packet) == TUO_OK; count++)
        CHECK_RESULT(tuo_tun_send_iov(tun, packet.iov, packet.iov_count, &packet.vnet), TUO_OK);
    return count;
}

/* A socket of the kernel's side on PEER_PORT. */
static int peer_socket(int v6, int type)
{
    struct sockaddr_in6 any6;
    struct sockaddr_in any4;
    int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), size = 16 * 1024 * 1024, yes = 1;

    memset(&any6, 0, sizeof any6);
    memset(&any4, 0, sizeof any4);
    any6.sin6_family = AF_INET6;
    any4.sin_family = AF_INET;
    any6.sin6_port = any4.sin_port = htons(PEER_PORT);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0); /* the connection of the round before lingers */
    CHECK(bind(fd, v6 ? (struct sockaddr *)&any6 : (struct sockaddr *)&any4, v6 ? sizeof any6 : sizeof any4) == 0);
    return fd;
}

static void fill_stream(uint8_t *bytes, size_t len, uint32_t position)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = pkt_stream_byte(9, position + (uint32_t)i);
}

TEST(datagrams_built_sixty_thousand_bytes_at_a_time_arrive)
{
    static uint8_t pkt[LARGE + 100], have[4096], want[4096];
    tuo_tun *tun;
    tuo_caps caps;

    if (!netns_ready() || !(tun = sender_device(&caps)))
        return;
    for (int v6 = 0; v6 < 2; v6++) {
        size_t headers, given;
        int fd;

        check_row("IPv%d", v6 ? 6 : 4);
        fd = peer_socket(v6, SOCK_DGRAM);
        headers = put_headers(pkt, v6, 1, OWN_PORT, 0, 0, 0);
        fill_stream(pkt + headers, LARGE, 0);
        given = transmit(tun, &caps, pkt, headers + LARGE);
        CHECK_EQ_INT((long long)given, caps.max_udp4 ? 1 : (LARGE + MSS - 1) / MSS);
        for (uint32_t at = 0; at < LARGE; at += MSS) {
            struct pollfd ready = {fd, POLLIN, 0};
            size_t len = LARGE - at < MSS ? LARGE - at : MSS;
            ssize_t got;

            if (!CHECK_EQ_INT(poll(&ready, 1, PATIENCE_MS), 1))
                break;
            got = recv(fd, have, sizeof have, 0);
            fill_stream(want, len, at);
            if (!CHECK_EQ_INT(got, len) || !CHECK_BYTES(have, want, len))
                break;
        }
        close(fd);
    }
    tuo_tun_close(tun);
}

/* The sender's side of one connection: just what a lossless link needs. */
typedef struct connection {
    tuo_tun *tun;
    tuo_caps caps;
    int v6;
    uint32_t seq, ack;      /* next to send; next expected */
    uint32_t acked, window; /* what the peer said last */
    unsigned scale;
    unsigned flags_seen;
    size_t packets_given;
} connection;

/* The peer's window scale, of a SYN's options. */
static unsigned window_scale(const uint8_t *option, const uint8_t *end)
{
    while (option < end && *option != 0) {
        if (*option == 1) {
            option++;
        } else {
            if (end - option < 3 || option[1] < 2)
                return 0;
            if (*option == 3)
                return option[2];
            option += option[1];
        }
    }
    return 0;
}

/* Take what the kernel sends until something of this connection came: acknowledgments. */
static int hear(connection *c)
{
    static uint8_t bytes[FRAME_MAX];
    tuo_pkt_info info;
    tuo_vnet_hdr vnet;
    size_t len;

    for (;;) {
        tuo_result result = tuo_tun_recv(c->tun, bytes, sizeof bytes, &vnet, &len);
        if (result == TUO_AGAIN)
            result = tuo_tun_wait(c->tun, 0, PATIENCE_MS);
        else if (result == TUO_OK && tuo_parse(bytes, len, 0, &info) == TUO_OK &&
                 info.kind == (c->v6 ? TUO_KIND_TCP6 : TUO_KIND_TCP4))
            break;
        if (!CHECK_RESULT(result, TUO_OK))
            return 0;
    }
    c->flags_seen = info.tcp_flags;
    c->acked = info.ack;
    if (info.tcp_flags & PKT_SYN) {
        c->ack = info.seq + 1;
        c->scale = window_scale(bytes + info.l4_off + 20, bytes + info.payload_off);
    }
    c->window = (uint32_t)info.window << (info.tcp_flags & PKT_SYN ? 0 : c->scale);
    return 1;
}

static void say(connection *c, unsigned flags, const uint8_t *payload, size_t payload_len)
{
    static uint8_t pkt[LARGE + 100];
    size_t headers = put_headers(pkt, c->v6, 0, OWN_PORT, c->seq, c->ack, flags);

    if (payload_len)
        memcpy(pkt + headers, payload, payload_len);
    c->packets_given += transmit(c->tun, &c->caps, pkt, headers + payload_len);
    c->seq += (uint32_t)payload_len + ((flags & (PKT_SYN | PKT_FIN)) != 0);
}

/* The SYN with a window scale of 0, so that the peer says its own. */
static int shake_hands(connection *c)
{
    static const uint8_t scale_0[4] = {3, 3, 0, 0};
    uint8_t pkt[100];
    size_t headers = put_headers(pkt, c->v6, 0, OWN_PORT, c->seq, 0, PKT_SYN);

    pkt[(c->v6 ? 40 : 20) + 12] = 6 << 4;
    memcpy(pkt + headers, scale_0, sizeof scale_0);
    transmit(c->tun, &c->caps, pkt, headers + sizeof scale_0);
    c->seq++;
    if (!hear(c) || !CHECK_EQ_INT(c->flags_seen, PKT_SYN | PKT_ACK))
        return 0;
    say(c, PKT_ACK, NULL, 0);
    return 1;
}

/* What the peer's application has by now, compared. Returns its position. */
static uint32_t read_peer(int fd, uint32_t position)
{
    static uint8_t have[1 << 16], want[1 << 16];

    for (;;) {
        ssize_t got = recv(fd, have, sizeof have, MSG_DONTWAIT);
        if (got <= 0)
            return position;
        fill_stream(want, (size_t)got, position);
        if (!CHECK_BYTES(have, want, (size_t)got))
            return STREAM_LEN;
        position += (uint32_t)got;
    }
}

static void stream(connection *c, int fd)
{
    static uint8_t payload[LARGE];
    uint32_t sent = 0, read = 0;

    while (read < STREAM_LEN) {
        const uint32_t room = c->acked + c->window - c->seq;
        uint32_t len = STREAM_LEN - sent < LARGE ? STREAM_LEN - sent : LARGE;
        if (len > 0 && len <= room && room < 0x80000000u) {
            fill_stream(payload, len, sent);
            say(c, PKT_ACK | (sent + len == STREAM_LEN ? PKT_PSH | PKT_FIN : 0), payload, len);
            sent += len;
        } else if (!hear(c)) {
            return;
        }
        read = read_peer(fd, read);
    }
    CHECK_EQ_INT(read, STREAM_LEN);
}

TEST(a_stream_built_sixty_thousand_bytes_at_a_time_arrives)
{
    connection c;

    memset(&c, 0, sizeof c);
    if (!netns_ready() || !(c.tun = sender_device(&c.caps)))
        return;
    for (c.v6 = 0; c.v6 < 2; c.v6++) {
        int listener, fd;

        check_row("IPv%d", c.v6 ? 6 : 4);
        listener = peer_socket(c.v6, SOCK_STREAM);
        c.seq = 0xffff0000u; /* sequence numbers wrap on the way */
        c.packets_given = 0;
        CHECK_EQ_INT(listen(listener, 1), 0);
        if (shake_hands(&c) && CHECK((fd = accept(listener, NULL, NULL)) >= 0)) {
            stream(&c, fd);
            CHECK(c.packets_given < STREAM_LEN / LARGE + 10); /* one write for 43 segments */
            close(fd);
        }
        close(listener);
    }
    tuo_tun_close(c.tun);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(a_tap_device_takes_what_its_capabilities_say),
        CHECK_ENTRY(a_napi_frags_device_takes_any_pieces),
        CHECK_ENTRY(a_napi_frags_device_without_vnet_header),
        CHECK_ENTRY(a_jumbo_payload_option_costs_no_packet),
        CHECK_ENTRY(guests_exchange_superpackets),
        CHECK_ENTRY(datagrams_built_sixty_thousand_bytes_at_a_time_arrive),
        CHECK_ENTRY(a_stream_built_sixty_thousand_bytes_at_a_time_arrives),
    };

    netns_enter();
    return CHECK_RUN(argc, argv, tests);
}
