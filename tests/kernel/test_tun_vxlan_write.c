/* Superpackets in UDP tunnels, written to TUN and TAP devices. The kernel takes them as they are: a VXLAN device of this host unpacks
   them, and what a router sends on are the datagrams that were merged, byte for byte. What a kernel refuses is sent singly. Everything happens
   in a network namespace of this process' own. Needs root and ip. */
#define TUNOFFLOAD_TUN
#include "tun_pair.h"
#include "reference.h"
#include "tunnels.h"

enum { COUNT = 30, LEN = 1000, TIMED = 44, TIMED_LEN = 1348, TRAINS = 100, ROUNDS = 6 };

typedef struct setup {
    unsigned tap, outer6, no_csum, pushed;
    pkt_kind inner;
} setup;

static const char *setup_name(const setup *s)
{
    static const char *const kinds[] = {"TCP4", "UDP4", "TCP6", "UDP6"};
    static char name[100];

    snprintf(name, sizeof name, "%s, outer IPv%d, %s checksum, inner %s, %s", s->tap ? "TAP" : "TUN", s->outer6 ? 6 : 4,
             s->no_csum ? "no" : "valid", kinds[s->inner], s->pushed ? "push" : "send_batch");
    return name;
}

static int run(const char *command)
{
    char quiet[1024];

    snprintf(quiet, sizeof quiet, "(%s) > /dev/null 2>&1", command);
    return system(quiet) == 0;
}

/* ------------------------------------------------------------------------------------------------------------- devices */

static tuo_tun_desc writer_desc(unsigned tap)
{
    tuo_tun_desc desc = zero_desc();

    desc.tap = (uint8_t)tap;
    desc.udp_tunnels = 1;
    desc.tun_writes_tunnels = !tap;
    desc.gro.vxlan_port_count = desc.gro.geneve_port_count = 1;
    desc.gro.vxlan_ports[0] = VXLAN_PORT;
    desc.gro.geneve_ports[0] = GENEVE_PORT;
    return desc;
}

static int has_tunnels(const tuo_tun *tun)
{
    tuo_tun_info info;

    tuo_tun_query_info(tun, &info);
    if (info.offloads & TUO_TUN_UDP_TUNNEL)
        return 1;
    check_skip("the kernel has no superpackets in UDP tunnels on TUN devices (Linux 6.17)");
    return 0;
}

/* The device to write to, and one behind a router that has no offloads. */
static int world_open(pair *p, const tuo_tun_desc *desc)
{
    char command[200];

    if (!pair_open(p, desc, NULL))
        return 0;
    wait_for_address6("fd00:1::ffff/64");
    wait_for_address6("fd00:2::ffff/64");
    if (!desc->tap)
        return 1;
    snprintf(command, sizeof command, "ip link set %s address 02:00:00:00:00:02", p->a->name);
    return CHECK(run(command)); /* where the frames go */
}

/* --------------------------------------------------------------------------------------------------------------- traffic */

typedef struct traffic {
    uint8_t bytes[TRAIN_MAX][PACKET_CAP];
    size_t len[TRAIN_MAX], count;
} traffic;

static traffic sent;

static datagram first_datagram(const setup *s)
{
    datagram d = datagram_of(DATAGRAM_VXLAN, s->outer6 ? PKT_UDP6 : PKT_UDP4, s->inner, (int)s->tap);

    d.no_csum = (int)s->no_csum;
    d.inner.payload_len = LEN;
    d.outer.df = PKT_ZERO;
    return d;
}

static void make_traffic(datagram d, size_t count, int tail)
{
    for (sent.count = 0; sent.count < count; sent.count++) {
        if (sent.count + 1 == count && tail)
            d.inner.payload_len = tail;
        sent.len[sent.count] = datagram_build(sent.bytes[sent.count], PACKET_CAP, &d);
        CHECK(sent.len[sent.count] != 0);
        datagram_advance(&d);
    }
}

static void write_traffic(tuo_tun *tun, unsigned pushed)
{
    tuo_buf bufs[TRAIN_MAX];
    void *handles[TRAIN_MAX];
    size_t i, taken = 0;

    for (i = 0; i < sent.count; i++) {
        bufs[i].data = sent.bytes[i];
        bufs[i].len = bufs[i].capacity = sent.len[i];
        handles[i] = &bufs[i];
        if (pushed)
            CHECK_RESULT(tuo_tun_push(tun, sent.bytes[i], sent.len[i]), TUO_OK);
    }
    if (pushed) {
        CHECK_RESULT(tuo_tun_flush(tun), TUO_OK);
        return;
    }
    CHECK_RESULT(tuo_tun_send_batch(tun, NULL, handles, sent.count, 0, &taken), TUO_OK);
    CHECK_EQ_INT(taken, sent.count);
}

/* One hop older. */
static void age(uint8_t *ip, size_t len)
{
    if (ip[0] >> 4 == 4) {
        pkt_view v = pkt_look(ip, len, 0, 0);
        ip[8]--;
        pkt_fix_ip_checksum(ip, &v);
    } else {
        ip[7]--;
    }
}

/* What was sent comes out of the router, each datagram once and in order, and nothing else that goes to a tunnel. */
static void check_forwarded(tuo_tun *b)
{
    uint8_t bytes[FRAME_MAX], expected[PACKET_CAP];
    size_t n, i = 0;

    while ((n = read_plain(b, bytes, i == sent.count ? QUIET_MS : WAIT_MS)) != 0) {
        pkt_view v = pkt_look(bytes, n, 0, 0), w;
        if (!pkt_has_l4(&v) || v.proto != PKT_PROTO_UDP ||
            (pkt_get16(bytes + v.l4 + 2) != VXLAN_PORT && pkt_get16(bytes + v.l4 + 2) != GENEVE_PORT))
            continue;
        if (!CHECK(i < sent.count))
            return;
        w = pkt_look(sent.bytes[i], sent.len[i], sent.bytes[i][0] >> 4 == 0, 0);
        memcpy(expected, sent.bytes[i] + w.ip, sent.len[i] - w.ip);
        age(expected, sent.len[i] - w.ip);
        if (!CHECK_EQ_INT(n, sent.len[i] - w.ip) || !CHECK_BYTES(bytes, expected, n))
            return;
        i++;
    }
    CHECK_EQ_INT(i, sent.count);
}

static tuo_tun_tx_stats tx_stats(const tuo_tun *tun)
{
    tuo_tun_tx_stats stats;

    tuo_tun_query_tx_stats(tun, &stats);
    return stats;
}

static void check_whole(const tuo_tun *tun, uint64_t most_writes)
{
    tuo_tun_tx_stats stats = tx_stats(tun);

    CHECK(stats.tx_superpackets >= 1);
    CHECK(stats.tx_writes >= 1 && stats.tx_writes <= most_writes);
    CHECK_EQ_INT(stats.tx_refused_superpackets + stats.tx_refused_packets + stats.tunnels_off, 0);
}

/* ------------------------------------------------------------------------------------------------- a router sends it on */

TEST(a_router_sends_what_was_merged)
{
    unsigned n;

    if (!ready())
        return;
    for (n = 0; n < 2 * 2 * 2 * 2 * PKT_KIND_COUNT; n++) {
        setup s = {n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3 & 1, (pkt_kind)(n >> 4)};
        tuo_tun_desc desc = writer_desc(s.tap);
        pair p;
        check_row("%s", setup_name(&s));
        if (world_open(&p, &desc) && has_tunnels(p.a)) {
            make_traffic(first_datagram(&s), COUNT, 333);
            write_traffic(p.a, s.pushed);
            check_forwarded(p.b);
            check_whole(p.a, 1);
        }
        pair_close(&p);
    }
}

/* What is not merged on a TUN device by this switch, or not at all, gets there the same. */
TEST(without_the_switch_packets_are_plain)
{
    unsigned n;

    if (!ready())
        return;
    for (n = 0; n < 8; n++) {
        setup s = {0, n & 1, n >> 1 & 1, n >> 2 & 1, PKT_TCP4};
        tuo_tun_desc desc = writer_desc(0);
        tuo_tun_tx_stats stats;
        pair p;
        check_row("%s", setup_name(&s));
        desc.tun_writes_tunnels = 0;
        if (world_open(&p, &desc)) {
            make_traffic(first_datagram(&s), COUNT, 0);
            write_traffic(p.a, s.pushed);
            check_forwarded(p.b);
            stats = tx_stats(p.a);
            CHECK_EQ_INT(stats.tx_superpackets, s.no_csum ? 0 : 1); /* those with a checksum are UDP like any other */
            CHECK_EQ_INT(stats.tx_refused_superpackets, 0);
        }
        pair_close(&p);
    }
}

TEST(without_udp_tunnels_ports_are_refused)
{
    tuo_tun_desc desc = writer_desc(0);
    tuo_tun *tun = NULL;

    if (!ready())
        return;
    desc.udp_tunnels = 0;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_E_INVALID);
    CHECK(tun == NULL);
}

static int no_tunnel_offloads(unsigned long request, void *argument)
{
    return request == TUNSETOFFLOAD && ((uintptr_t)argument & 0x180) ? EINVAL : 0;
}

/* Linux before 6.17: a header of 10 bytes, and no tunnel types. */
TEST(a_kernel_that_knows_no_tunnels_gets_plain_packets)
{
    setup s = {1, 0, 1, 0, PKT_TCP4};
    tuo_tun_desc desc = writer_desc(1);
    tuo_tun_info info;
    pair p;

    if (!ready())
        return;
    filter.ioctl_errno = no_tunnel_offloads;
    if (world_open(&p, &desc)) {
        tuo_tun_query_info(p.a, &info);
        CHECK_EQ_INT(info.vnet_hdr_len, TUO_VNET_LEN);
        make_traffic(first_datagram(&s), COUNT, 0);
        write_traffic(p.a, 0);
        check_forwarded(p.b);
        CHECK_EQ_INT(tx_stats(p.a).tx_superpackets, 0);
    }
    pair_close(&p);
}

/* A kernel that takes outer datagrams as superpackets, but no tunnel types of inner TCP4. */
TEST(what_is_refused_is_sent_singly)
{
    setup s = {0, 0, 0, 0, PKT_TCP4};
    tuo_tun_desc desc = writer_desc(0);
    tuo_tun_tx_stats stats;
    pair p;
    unsigned i;

    if (!ready())
        return;
    if (world_open(&p, &desc) && has_tunnels(p.a)) {
        filter.refuse = 1u << TUO_GSO_TCPV4;
        filter.refuse_errno = EINVAL;
        for (i = 1; i <= 4; i++) {
            check_row("train %u", i);
            make_traffic(first_datagram(&s), COUNT, 0);
            write_traffic(p.a, 0);
            check_forwarded(p.b);
            stats = tx_stats(p.a);
            CHECK_EQ_INT(stats.tx_refused_superpackets, i < 3 ? i : 3);
            CHECK_EQ_INT(stats.tx_resent_packets, COUNT * (i < 3 ? i : 3));
            CHECK_EQ_INT(stats.tunnels_off, i >= 3);
            CHECK_EQ_INT(stats.tcp4_off + stats.tcp6_off + stats.udp_off, 0);
            CHECK_EQ_INT(stats.switched_off, i >= 3);
            CHECK_EQ_INT(stats.tx_superpackets, i > 3); /* as UDP */
        }
    }
    pair_close(&p);
}

/* K 1.32: these would be refused, three in a row switch all tunnels off. */
TEST(geneve_of_bare_ip_to_a_tun_is_plain_udp)
{
    unsigned options;

    if (!ready())
        return;
    for (options = 0; options <= 8; options += 4) {
        tuo_tun_desc desc = writer_desc(0);
        datagram d = datagram_of(DATAGRAM_GENEVE_IP, PKT_UDP4, PKT_TCP4, 0);
        pair p;
        check_row("%u bytes of options", options);
        d.options_len = (uint8_t)options;
        d.outer.df = PKT_ZERO;
        if (world_open(&p, &desc) && has_tunnels(p.a)) {
            make_traffic(d, COUNT, 0);
            write_traffic(p.a, 0);
            check_forwarded(p.b);
            check_whole(p.a, 1);
        }
        pair_close(&p);
    }
}

/* ---------------------------------------------------------------------------------------------- what the kernel demands */

/* The superpacket of `sent`, with its vnet header in front. */
static size_t superpacket_of(uint8_t *out, const tuo_gro_desc *desc, size_t count)
{
    static uint64_t memory[1 << 15];
    tuo_superpacket sp;
    tuo_gro *gro = NULL;
    size_t i, len = 0;

    if (!CHECK(tuo_gro_memory_size(desc) <= sizeof memory) || !CHECK_RESULT(tuo_gro_init(&gro, memory, sizeof memory, desc), TUO_OK))
        return 0;
    for (i = 0; i < count; i++)
        (void)tuo_gro_push(gro, sent.bytes[i], sent.len[i], NULL, 0);
    CHECK_RESULT(tuo_gro_next(gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, count);
    for (i = 0; i < sp.iov_count; i++) {
        memcpy(out + len, sp.iov[i].base, sp.iov[i].len);
        len += sp.iov[i].len;
    }
    return len;
}

static tuo_gro_desc core_desc(unsigned tap)
{
    tuo_gro_desc desc = writer_desc(tap).gro;

    desc.vnet_hdr_len = TUO_VNET_LEN_TUNNEL;
    desc.ethernet = (uint8_t)tap;
    return desc;
}

static int write_errno(const tuo_tun *tun, const uint8_t *bytes, size_t len)
{
    return write(tuo_tun_fd(tun), bytes, len) == (ssize_t)len ? 0 : errno;
}

static void put_native(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

/* K 1.30: on a TUN device outer_th_offset must be 14 too much, on a TAP device it must be right. */
TEST(where_the_kernel_wants_the_outer_header)
{
    static uint8_t bytes[FRAME_MAX];
    unsigned n;

    if (!ready())
        return;
    for (n = 0; n < 4; n++) {
        setup s = {n & 1, n >> 1, 0, 0, PKT_TCP4};
        tuo_gro_desc desc = core_desc(s.tap);
        tuo_tun_desc tun_desc = writer_desc(s.tap);
        pair p;
        size_t len;
        check_row("%s, outer IPv%d", s.tap ? "TAP" : "TUN", s.outer6 ? 6 : 4);
        if (world_open(&p, &tun_desc) && has_tunnels(p.a)) {
            uint16_t right = (uint16_t)((s.tap ? 14 : 0) + (s.outer6 ? 40 : 20));
            make_traffic(first_datagram(&s), 4, 0);
            len = superpacket_of(bytes, &desc, 4);
            put_native(bytes + 20, right);
            CHECK_EQ_INT(write_errno(p.a, bytes, len), s.tap ? 0 : EINVAL);
            if (!s.tap) {
                put_native(bytes + 20, (uint16_t)(right + 13));
                CHECK_EQ_INT(write_errno(p.a, bytes, len), EINVAL);
                put_native(bytes + 20, (uint16_t)(right + 14));
                CHECK_EQ_INT(write_errno(p.a, bytes, len), 0);
                check_forwarded(p.b);
            }
        }
        pair_close(&p);
    }
}

/* A TAP device would not mind: what is written is looked at. */
TEST(where_the_library_says_it_is)
{
    static uint8_t written[FRAME_MAX + 100];
    unsigned n;

    if (!ready())
        return;
    for (n = 0; n < 4; n++) {
        setup s = {n & 1, n >> 1, 0, 0, PKT_TCP4};
        tuo_tun_desc desc = writer_desc(s.tap);
        tuo_vnet_hdr vnet;
        pair p;
        check_row("%s, outer IPv%d", s.tap ? "TAP" : "TUN", s.outer6 ? 6 : 4);
        if (world_open(&p, &desc) && has_tunnels(p.a)) {
            filter.written = written;
            filter.written_room = sizeof written;
            filter.written_len = 0;
            make_traffic(first_datagram(&s), COUNT, 0);
            write_traffic(p.a, 0);
            CHECK_RESULT(tuo_vnet_decode(written + sizeof(size_t), TUO_VNET_LEN_TUNNEL, TUO_VNET_LEN_TUNNEL, TUO_ORDER_NATIVE, &vnet), TUO_OK);
            CHECK_EQ_INT(vnet.gso_type, TUO_GSO_TCPV4 | (s.outer6 ? TUO_GSO_UDP_TUNNEL_IPV6 : TUO_GSO_UDP_TUNNEL_IPV4));
            CHECK_EQ_INT(vnet.outer_th_offset, 14 + (s.outer6 ? 40 : 20)); /* on a TUN device 14 too much */
            CHECK_EQ_INT(vnet.inner_nh_offset, (s.tap ? 14 : 0) + (s.outer6 ? 40 : 20) + 8 + 8 + 14);
        }
        pair_close(&p);
    }
}

/* K 1.31 */
TEST(what_else_the_kernel_refuses)
{
    static const struct {
        const char *name;
        uint8_t off, value;
        int error;
    } rows[] = {
        {"as it is", 0, 9, 0}, {"both tunnel bits", 1, 0x61, EINVAL}, {"no inner type", 1, 0x20, EINVAL}, {"UFO", 1, 0x23, EINVAL},
        {"a bit that means nothing", 1, 0x31, EINVAL},
        {"no NEEDS_CSUM", 0, 8, EINVAL}, {"another inner IP version", 1, 0x24, EINVAL}, {"with the ECN bit", 1, 0xa1, 0},
        {"inner IP header in the outer UDP header", 22, 20 + 14 + 7, EINVAL}, {"no gso_size", 4, 0, EINVAL},
        {"csum_start in the inner IP header", 6, 84 - 1, EINVAL},
    };
    static uint8_t bytes[FRAME_MAX];
    tuo_gro_desc desc = core_desc(1);
    tuo_tun_desc tun_desc = writer_desc(1);
    setup s = {1, 0, 0, 0, PKT_TCP4};
    pair p;
    size_t i, len;

    if (!ready())
        return;
    if (world_open(&p, &tun_desc) && has_tunnels(p.a)) {
        make_traffic(first_datagram(&s), 4, 0);
        len = superpacket_of(bytes, &desc, 4);
        for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
            uint8_t kept[2];
            check_row("%s", rows[i].name);
            memcpy(kept, bytes + rows[i].off, 2);
            if (rows[i].off < 2)
                bytes[rows[i].off] = rows[i].value;
            else
                put_native(bytes + rows[i].off, rows[i].value);
            CHECK_EQ_INT(write_errno(p.a, bytes, len), rows[i].error);
            memcpy(bytes + rows[i].off, kept, 2);
        }
        check_row("a header of 12 bytes");
        CHECK_EQ_INT(ioctl(tuo_tun_fd(p.a), TUNSETVNETHDRSZ, &(int){12}), 0);
        memmove(bytes + 12, bytes, 12);
        CHECK_EQ_INT(write_errno(p.a, bytes + 12, len - 12), EINVAL);
    }
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------- a VXLAN device of this host */

/* Addresses of this host that the datagrams go to, and a VXLAN device there. */
static int vxlan_open(unsigned outer6, unsigned no_csum)
{
    char command[600];

    snprintf(command, sizeof command,
             "ip link set lo up; ip addr add 10.2.0.7/32 dev lo; ip -6 addr add fd00:2::7/128 dev lo nodad; ip link add vx type vxlan id 5 "
             "local %s dstport 4789 nolearning %s && ip link set vx addrgenmode none address 02:00:00:00:00:02 mtu 1400 && ip link set vx up",
             outer6 ? "fd00:2::7" : "10.2.0.7", outer6 && no_csum ? "udp6zerocsumrx" : "");
    return CHECK(run(command));
}

/* The inner packets that the VXLAN device unpacks, superpackets split. Returns the number of packets that came, as they came. */
static size_t vxlan_receives(int fd, size_t count)
{
    static uint8_t bytes[TUO_VNET_LEN + FRAME_MAX];
    uint8_t flat[FRAME_MAX];
    struct pollfd poller = {fd, POLLIN, 0};
    size_t packets = 0, i = 0, k, at;

    while (i < count && poll(&poller, 1, WAIT_MS) > 0) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        tuo_vnet_hdr vnet;
        tuo_segment segment;
        tuo_gso gso;
        pkt_view v;
        if (n <= TUO_VNET_LEN)
            continue;
        v = pkt_look(bytes + TUO_VNET_LEN, (size_t)n - TUO_VNET_LEN, 1, 0);
        if (!pkt_has_l4(&v) || pkt_get16(bytes + TUO_VNET_LEN + v.l4 + 2) != 443)
            continue;
        packets++;
        CHECK_RESULT(tuo_vnet_decode(bytes, TUO_VNET_LEN, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet), TUO_OK);
        if (!CHECK_RESULT(tuo_gso_init(&gso, bytes + TUO_VNET_LEN, (size_t)n - TUO_VNET_LEN, &vnet, TUO_F_ETHERNET), TUO_OK))
            break;
        while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK && CHECK(i < count)) {
            pkt_view outer = pkt_look(sent.bytes[i], sent.len[i], sent.bytes[i][0] >> 4 == 0, 0);
            const uint8_t *inner = sent.bytes[i] + outer.payload + 8;
            for (k = at = 0; k < segment.iov_count; at += segment.iov[k++].len)
                memcpy(flat + at, segment.iov[k].base, segment.iov[k].len);
            if (!CHECK_EQ_INT(at, sent.len[i] - outer.payload - 8) || !CHECK_BYTES(flat, inner, at))
                return packets;
            i++;
        }
    }
    CHECK_EQ_INT(i, count);
    return packets;
}

static int open_vx_socket(void)
{
    struct sockaddr_ll address;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

    memset(&address, 0, sizeof address);
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = interface_index("vx");
    CHECK_EQ_INT(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), 0);
    CHECK_EQ_INT(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int has_vxlan(void)
{
    if (run("ip link add vx type vxlan id 5 dstport 4789 local 10.2.0.7")) {
        (void)run("ip link del vx");
        return 1;
    }
    check_skip("no ip, or a kernel without VXLAN devices");
    return 0;
}

TEST(a_vxlan_device_gets_superpackets)
{
    unsigned n;

    if (!ready() || !has_vxlan())
        return;
    for (n = 0; n < 2 * 2 * 2 * PKT_KIND_COUNT; n++) {
        setup s = {n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3 & 1, (pkt_kind)(n >> 3)};
        tuo_tun_desc desc = writer_desc(s.tap);
        datagram d = first_datagram(&s);
        pair p;
        check_row("%s", setup_name(&s));
        if (world_open(&p, &desc) && has_tunnels(p.a) && vxlan_open(s.outer6, s.no_csum)) {
            int fd = open_vx_socket();
            d.outer.dst = 7;
            make_traffic(d, COUNT, 333);
            write_traffic(p.a, s.pushed);
            CHECK_EQ_INT(vxlan_receives(fd, COUNT), 1);
            check_whole(p.a, 1);
            close(fd);
        }
        (void)run("ip link del vx; ip addr del 10.2.0.7/32 dev lo; ip -6 addr del fd00:2::7/128 dev lo");
        pair_close(&p);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ time */

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

typedef struct written {
    uint8_t bytes[TRAIN_MAX][FRAME_MAX];
    size_t len[TRAIN_MAX], count;
} written;

static double time_train(const tuo_tun *tun, const written *w)
{
    double best = 1e9;
    int round, n;
    size_t i;

    for (round = 0; round < ROUNDS; round++) {
        double started = now_us(), took;
        for (n = 0; n < TRAINS; n++)
            for (i = 0; i < w->count; i++)
                if (!CHECK_EQ_INT(write_errno(tun, w->bytes[i], w->len[i]), 0))
                    return best;
        took = (now_us() - started) / TRAINS;
        best = took < best ? took : best;
    }
    return best;
}

/* Kernel time of the writer for 44 inner segments; printed, not compared. */
TEST(time_of_a_train)
{
    static written singles, uso, tunnel;
    setup s = {0, 0, 0, 0, PKT_TCP4};
    tuo_tun_desc desc = writer_desc(0);
    tuo_gro_desc plain = core_desc(0), in_tunnel = core_desc(0);
    datagram d = first_datagram(&s);
    double us[3];
    pair p;
    size_t i;

    if (!ready() || !has_vxlan())
        return;
    if (world_open(&p, &desc) && has_tunnels(p.a) && vxlan_open(0, 0) && CHECK(run("ip route add blackhole 10.2.0.77/32"))) {
        d.outer.dst = 7;
        d.inner.payload_len = TIMED_LEN;
        make_traffic(d, TIMED, 0);
        for (i = 0; i < TIMED; i++) {
            memset(singles.bytes[i], 0, TUO_VNET_LEN_TUNNEL);
            memcpy(singles.bytes[i] + TUO_VNET_LEN_TUNNEL, sent.bytes[i], sent.len[i]);
            singles.len[i] = TUO_VNET_LEN_TUNNEL + sent.len[i];
        }
        singles.count = TIMED;
        plain.vxlan_port_count = plain.geneve_port_count = 0;
        in_tunnel.tunnels_for_tun = 1;
        uso.len[0] = superpacket_of(uso.bytes[0], &plain, TIMED);
        tunnel.len[0] = superpacket_of(tunnel.bytes[0], &in_tunnel, TIMED);
        uso.count = tunnel.count = 1;
        us[0] = time_train(p.a, &singles);
        us[1] = time_train(p.a, &uso);
        us[2] = time_train(p.a, &tunnel);
        printf("%d inner segments of %d bytes: %.1f us as datagrams, %.1f us as UDP superpacket, %.1f us as tunnel superpacket\n", TIMED,
               TIMED_LEN, us[0], us[1], us[2]);
    }
    (void)run("ip link del vx; ip addr del 10.2.0.7/32 dev lo; ip -6 addr del fd00:2::7/128 dev lo; ip route del blackhole 10.2.0.77/32");
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------- the library's probe */

static tuo_result probed(int expected_errno)
{
    char before[64] = "", after[64] = "";
    int fds = fd_count();
    int error = -1;
    tuo_result result;

    CHECK(readlink("/proc/thread-self/ns/net", before, sizeof before - 1) > 0);
    result = tuo_tun_probe_tunnels(&error);
    CHECK(readlink("/proc/thread-self/ns/net", after, sizeof after - 1) > 0);
    CHECK_EQ_STR(after, before);
    CHECK_EQ_INT(fd_count(), fds);
    CHECK_EQ_INT(error, expected_errno);
    return result;
}

TEST(the_probe_says_what_a_router_would_do)
{
    static uint8_t nowhere[1 << 14];

    if (!ready())
        return;
    CHECK_RESULT(probed(0), kernel_is_since(6, 17) ? TUO_OK : TUO_E_UNSUPPORTED);
    CHECK_RESULT(tuo_tun_probe_tunnels(NULL), kernel_is_since(6, 17) ? TUO_OK : TUO_E_UNSUPPORTED);

    check_row("a kernel without tunnel types");
    filter.ioctl_errno = no_tunnel_offloads;
    CHECK_RESULT(probed(0), TUO_E_UNSUPPORTED);
    filter_off();
    check_row("a kernel that refuses");
    filter.refuse = 1u << TUO_GSO_TCPV4;
    filter.refuse_errno = EINVAL;
    CHECK_RESULT(probed(0), TUO_E_UNSUPPORTED);
    filter_off();
    check_row("a byte is another one");
    filter.flip = 1;
    CHECK_RESULT(probed(0), TUO_E_UNSUPPORTED);
    filter_off();
    check_row("nothing arrives");
    filter.written = nowhere;
    filter.written_room = sizeof nowhere;
    CHECK_RESULT(probed(0), TUO_E_UNSUPPORTED);
    filter_off();
}

/* Not allowed to leave its namespace: the errno says so. */
TEST(the_probe_needs_privileges)
{
    int status = 0;
    pid_t child;

    if (!ready())
        return;
    child = fork();
    if (child == 0) {
        int error = 0;
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(1);
        _exit(tuo_tun_probe_tunnels(&error) == TUO_E_SYSTEM && error == EPERM ? 0 : 2);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(a_router_sends_what_was_merged),
        CHECK_ENTRY(without_the_switch_packets_are_plain),
        CHECK_ENTRY(without_udp_tunnels_ports_are_refused),
        CHECK_ENTRY(a_kernel_that_knows_no_tunnels_gets_plain_packets),
        CHECK_ENTRY(what_is_refused_is_sent_singly),
        CHECK_ENTRY(geneve_of_bare_ip_to_a_tun_is_plain_udp),
        CHECK_ENTRY(where_the_kernel_wants_the_outer_header),
        CHECK_ENTRY(where_the_library_says_it_is),
        CHECK_ENTRY(what_else_the_kernel_refuses),
        CHECK_ENTRY(a_vxlan_device_gets_superpackets),
        CHECK_ENTRY(time_of_a_train),
        CHECK_ENTRY(the_probe_says_what_a_router_would_do),
        CHECK_ENTRY(the_probe_needs_privileges),
    };

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
