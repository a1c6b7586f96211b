/* Superpackets in UDP tunnels, read from TUN and TAP devices, against the kernel's own cut of the same traffic. A VXLAN device (where the
   kernel has it, a Geneve device as well) sends over k1, which has the offloads for tunnels. What k1 sends is mirrored by tc to k2, a
   device of the same kind without offloads: there the kernel cuts the same buffer, with the same outer IDs and ports, so that both streams
   must be equal byte for byte. Everything happens in a network namespace of this process' own. Needs root, ip and tc. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "check.h"
#include "packets.h"
#include "reference.h"
#include "netns.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { QUIET_MS = 5, PORT = 4789, FRAME_MAX = 65535 + 64, BATCH = 64, QUEUE_LEN = 20000 };

typedef struct setup {
    const char *kind;    /* vxlan, geneve */
    uint8_t tap, outer6, csum;
    uint8_t tagged;      /* over a VLAN device: the kernel inserts the tag when it hands the frame out */
} setup;

static const char *setup_name(const setup *s)
{
    static char name[100];

    snprintf(name, sizeof name, "%s on %s%s, outer IPv%d, checksum %d", s->kind, s->tap ? "TAP" : "TUN", s->tagged ? " with a tag" : "",
             s->outer6 ? 6 : 4, s->csum);
    return name;
}

/* ------------------------------------------------------------------------------------------------------------- devices */

typedef struct world {
    tuo_tun *tun, *oracle;
} world;

static int run(const char *command)
{
    char quiet[1024];

    snprintf(quiet, sizeof quiet, "(%s) > /dev/null 2>&1", command);
    return system(quiet) == 0;
}

static tuo_tun *open_device(const char *name, const setup *s, int with_tunnels)
{
    tuo_tun_failure why;
    tuo_tun_desc desc = {.name = name, .tap = s->tap, .up = 1, .tx_queue_len = QUEUE_LEN, .udp_tunnels = 1, .failure = &why};
    tuo_tun *tun = NULL;

    if (with_tunnels) {
        desc.address4 = s->tagged ? NULL : "10.1.0.1/24";
        desc.address6 = s->tagged ? NULL : "fd01::1/64";
    } else {
        desc.udp_tunnels = 0;
        desc.no_vnet_hdr = 1;
    }
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK))
        printf("%s\n", why.text);
    return tun;
}

static int add_tunnel(const setup *s)
{
    const char *local = s->outer6 ? "fd01::1" : "10.1.0.1", *remote = s->outer6 ? "fd01::9" : "10.1.0.9";
    const char *csum = s->outer6 ? (s->csum ? "noudp6zerocsumtx" : "udp6zerocsumtx") : s->csum ? "udpcsum" : "noudpcsum";
    const char *over = s->tagged ? "k1.5" : "k1";
    int vxlan = strcmp(s->kind, "vxlan") == 0;
    char command[1000], addresses[100];

    if (vxlan)
        snprintf(addresses, sizeof addresses, "local %s remote %s dev %s", local, remote, over);
    else
        snprintf(addresses, sizeof addresses, "remote %s", remote);
    snprintf(command, sizeof command,
             "ip link add kx type %s id 7 %s dstport %d %s && ip link set kx addrgenmode none mtu 1400 && ip addr add 10.3.0.1/24 dev kx && "
             "ip -6 addr add fd03::1/64 dev kx nodad && ip link set kx up && ip neigh add 10.3.0.2 lladdr 02:00:00:00:00:02 dev kx && "
             "ip -6 neigh add fd03::2 lladdr 02:00:00:00:00:02 dev kx && ip neigh replace %s lladdr 02:00:00:00:00:09 dev %s",
             s->kind, addresses, PORT, csum, remote, over);
    return run(command);
}

/* Is there such a thing in this kernel? */
static int has_link(const char *what)
{
    char command[200];
    int has;

    snprintf(command, sizeof command, "ip link add kbase type veth peer name kother && ip link add kprobe %s && ip link del kprobe", what);
    has = run(command);
    (void)run("ip link del kbase");
    return has;
}

static void world_close(world *w)
{
    (void)run("ip link del kx");
    tuo_tun_close(w->tun);
    tuo_tun_close(w->oracle);
}

/* 0: not possible here, which was said. */
static int world_open(world *w, const setup *s)
{
    tuo_tun_info info;

    memset(w, 0, sizeof *w);
    w->tun = open_device("k1", s, 1);
    w->oracle = open_device("k2", s, 0);
    if (!w->tun || !w->oracle) {
        world_close(w);
        return 0;
    }
    tuo_tun_query_info(w->tun, &info);
    if (!(info.offloads & TUO_TUN_UDP_TUNNEL_CSUM)) {
        check_skip("the kernel has no superpackets in UDP tunnels on TUN devices (Linux 6.17)");
        world_close(w);
        return 0;
    }
    CHECK_EQ_INT(info.vnet_hdr_len, TUO_VNET_LEN_TUNNEL);
    if (s->tagged)
        CHECK(run("ip link add link k1 name k1.5 type vlan id 5 && ip addr add 10.1.0.1/24 dev k1.5 && "
                  "ip -6 addr add fd01::1/64 dev k1.5 nodad && ip link set k1.5 up"));
    if (!CHECK(run("tc qdisc add dev k1 clsact && tc filter add dev k1 egress protocol all u32 match u32 0 0 "
                   "action mirred egress mirror dev k2")) ||
        !CHECK(add_tunnel(s))) {
        world_close(w);
        return 0;
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------- reading */

static uint64_t noise; /* packets that interfaces send of themselves, in the tunnel and outside */

static void keep(ref_list *list, const void *bytes, size_t len, int tap)
{
    const uint8_t *p = (const uint8_t *)bytes;
    pkt_view v = pkt_look(p, len, tap, 0), inner;

    memset(&inner, 0, sizeof inner);
    if (v.status == PKT_OK && v.proto == PKT_PROTO_UDP && pkt_get16(p + v.l4 + 2) == PORT && v.end > v.payload + 8)
        inner = pkt_look(p + v.payload + 8, v.end - v.payload - 8, 1, 0);
    if (pkt_has_l4(&inner))
        memcpy(ref_list_add(list, len), bytes, len);
    else
        noise++;
}

static int quiet(tuo_tun *tun)
{
    struct pollfd poller = {tuo_tun_fd(tun), POLLIN, 0};

    return poll(&poller, 1, QUIET_MS) <= 0;
}

static ref_list read_by_next(tuo_tun *tun, int tap)
{
    ref_list list = {NULL, NULL, 0};
    tuo_buf packet;
    tuo_result result;

    while ((result = tuo_tun_next(tun, &packet)) != TUO_AGAIN || !quiet(tun))
        if (result == TUO_OK)
            keep(&list, packet.data, packet.len, tap);
        else if (result != TUO_AGAIN && !CHECK_RESULT(result, TUO_MORE))
            break;
    return list;
}

static ref_list read_by_batch(tuo_tun *tun, int tap)
{
    static uint8_t bytes[BATCH][2000];
    ref_list list = {NULL, NULL, 0};
    tuo_buf bufs[BATCH];
    void *handles[BATCH];
    tuo_result result;
    size_t i, received = 0;

    for (i = 0; i < BATCH; i++) {
        bufs[i].data = bytes[i];
        bufs[i].len = 0;
        bufs[i].capacity = sizeof bytes[i];
        handles[i] = &bufs[i];
    }
    while ((result = tuo_tun_recv_batch(tun, NULL, handles, BATCH, 0, &received)) != TUO_AGAIN || !quiet(tun)) {
        if (result != TUO_AGAIN && !CHECK_RESULT(result, TUO_OK))
            break;
        for (i = 0; i < received; i++)
            keep(&list, bytes[i], bufs[i].len, tap);
    }
    return list;
}

static ref_list read_by_iterator(tuo_tun *tun, int tap)
{
    static uint8_t bytes[FRAME_MAX], segment_bytes[FRAME_MAX];
    ref_list list = {NULL, NULL, 0};
    tuo_vnet_hdr vnet;
    tuo_result result;
    size_t i, len = 0;

    while ((result = tuo_tun_recv(tun, bytes, sizeof bytes, &vnet, &len)) != TUO_AGAIN || !quiet(tun)) {
        tuo_segment segment;
        tuo_gso gso;
        if (result == TUO_AGAIN)
            continue;
        if (!CHECK_RESULT(result, TUO_OK) ||
            !CHECK_RESULT(tuo_gso_init(&gso, bytes, len, &vnet, tap ? TUO_F_ETHERNET : 0), TUO_OK))
            break;
        while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
            size_t at = 0;
            for (i = 0; i < segment.iov_count; at += segment.iov[i++].len)
                memcpy(segment_bytes + at, segment.iov[i].base, segment.iov[i].len);
            keep(&list, segment_bytes, at, tap);
        }
    }
    return list;
}

static ref_list (*const readers[])(tuo_tun *, int) = {read_by_next, read_by_batch, read_by_iterator};

/* Both streams, and how many reads k1 needed for its own, noise not counted. Returns the number of packets. */
static size_t compare(world *w, int tap, unsigned reader, uint64_t *reads)
{
    tuo_tun_rx_stats before, after;
    ref_list actual, expected;
    size_t i, count;

    tuo_tun_query_rx_stats(w->tun, &before);
    noise = 0;
    actual = readers[reader % CHECK_COUNT_OF(readers)](w->tun, tap);
    tuo_tun_query_rx_stats(w->tun, &after);
    *reads = after.rx_reads - before.rx_reads - noise;
    expected = read_by_next(w->oracle, tap);
    CHECK_EQ_INT(after.rx_refused, before.rx_refused);
    if (CHECK_EQ_INT(actual.count, expected.count))
        for (i = 0; i < expected.count; i++)
            if (!CHECK_EQ_INT(actual.len[i], expected.len[i]) || !CHECK_BYTES(actual.bytes[i], expected.bytes[i], expected.len[i])) {
                printf("    (packet %lu of %lu)\n", (unsigned long)i, (unsigned long)expected.count);
                break;
            }
    count = expected.count;
    ref_list_free(&actual);
    ref_list_free(&expected);
    return count;
}

/* ------------------------------------------------------------------------------------------------------------- sending */

/* A superpacket onto the tunnel device, as a bridge would bring it. */
static void send_frame(const pkt_spec *spec, size_t gso_size, int ecn)
{
    static uint8_t frame[FRAME_MAX];
    pkt_spec s = *spec;
    uint8_t wire[TUO_VNET_LEN];
    tuo_vnet_hdr vnet;
    struct sockaddr_ll to;
    struct iovec iov[2] = {{wire, sizeof wire}, {frame, 0}};
    struct msghdr message;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

    s.l4_csum_pseudo = 1;
    iov[1].iov_len = pkt_build(frame, sizeof frame, &s);
    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.gso_type = (uint8_t)(pkt_is_udp(&s) ? TUO_GSO_UDP_L4 : pkt_is_v6(&s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4);
    vnet.gso_type = (uint8_t)(vnet.gso_type | (ecn ? TUO_GSO_ECN : 0));
    vnet.hdr_len = (uint16_t)pkt_payload_off(&s);
    vnet.gso_size = (uint16_t)gso_size;
    vnet.csum_start = (uint16_t)pkt_l4_off(&s);
    vnet.csum_offset = pkt_is_udp(&s) ? 6 : 16;
    CHECK_RESULT(tuo_vnet_encode(&vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, wire, sizeof wire), TUO_OK);
    memset(&to, 0, sizeof to);
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(s.vlan_count ? ETH_P_8021Q : pkt_is_v6(&s) ? ETH_P_IPV6 : ETH_P_IP);
    to.sll_ifindex = (int)if_nametoindex("kx");
    memset(&message, 0, sizeof message);
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = iov;
    message.msg_iovlen = 2;
    CHECK_EQ_INT(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), 0);
    CHECK_EQ_INT(sendmsg(fd, &message, 0), iov[0].iov_len + iov[1].iov_len);
    close(fd);
}

static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Each of these comes whole, in one read, but for the last one out of a Geneve device (K 3.26). */
static const struct {
    const char *name;
    pkt_spec spec;
    size_t gso_size;
    int ecn;
} shapes[] = {
    {"TCP4, short tail", {.kind = PKT_TCP4, .payload_len = 3540}, 1000, 0},
    {"TCP6, short tail", {.kind = PKT_TCP6, .payload_len = 3540}, 1000, 0},
    {"UDP4, short tail", {.kind = PKT_UDP4, .payload_len = 3540}, 1000, 0},
    {"UDP6, short tail", {.kind = PKT_UDP6, .payload_len = 3540}, 1000, 0},
    {"TCP4, equal segments", {.kind = PKT_TCP4, .payload_len = 4000}, 1000, 0},
    {"UDP6, equal segments", {.kind = PKT_UDP6, .payload_len = 2002}, 1001, 0},
    {"TCP4, options", {.kind = PKT_TCP4, .payload_len = 3540, .tcp_options = nops, .tcp_options_len = 12}, 1000, 0},
    {"TCP6, options", {.kind = PKT_TCP6, .payload_len = 3541, .tcp_options = nops, .tcp_options_len = 12}, 999, 0},
    {"IPv4 options", {.kind = PKT_UDP4, .payload_len = 3540, .ip_options = nops, .ip_options_len = 4}, 1000, 0},
    {"IDs that wrap, no DF", {.kind = PKT_TCP4, .payload_len = 3540, .ip_id = 65534, .df = PKT_ZERO}, 1000, 0},
    {"IDs that wrap, UDP, no DF", {.kind = PKT_UDP4, .payload_len = 3540, .ip_id = 65534, .df = PKT_ZERO}, 1000, 0},
    {"FIN, PSH, CWR, ECE", {.kind = PKT_TCP4, .payload_len = 3540, .tcp_flags = PKT_ACK | PKT_FIN | PKT_PSH | PKT_CWR | PKT_ECE}, 1000, 1},
    {"FIN, PSH, CWR, ECE, IPv6", {.kind = PKT_TCP6, .payload_len = 3540, .tcp_flags = PKT_ACK | PKT_FIN | PKT_PSH | PKT_CWR | PKT_ECE},
     1000, 1},
    {"TOS, TTL", {.kind = PKT_TCP4, .payload_len = 3540, .tos = 0x2b, .ttl = 3}, 1000, 0},
    {"sequence number that wraps", {.kind = PKT_TCP6, .payload_len = 3540, .seq = 0xffffff00u, .flow_label = 0xabcde}, 1000, 0},
    {"small segments", {.kind = PKT_TCP4, .payload_len = 3540}, 100, 0},
    {"large", {.kind = PKT_TCP4, .payload_len = 64000}, 1300, 0},
    {"large, IPv6", {.kind = PKT_UDP6, .payload_len = 64000}, 1300, 0},
    {"extension header", {.kind = PKT_UDP6, .payload_len = 3540, .ext_chain = "D"}, 1000, 0},
    {"VLAN tag", {.kind = PKT_TCP4, .payload_len = 3540, .vlan_count = 1}, 1000, 0},
};

static void check_shapes(const setup *s, world *w)
{
    size_t i;
    uint64_t reads;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++) {
        pkt_spec spec = shapes[i].spec;
        size_t count = (pkt_payload_len(&spec) + shapes[i].gso_size - 1) / shapes[i].gso_size;
        check_row("%s: %s", setup_name(s), shapes[i].name);
        spec.ethernet = 1;
        send_frame(&spec, shapes[i].gso_size, shapes[i].ecn);
        CHECK_EQ_INT(compare(w, s->tap, (unsigned)i, &reads), count);
        CHECK_EQ_INT(reads, spec.vlan_count && strcmp(s->kind, "geneve") == 0 ? count : 1);
    }
}

/* A local socket that sends 30 datagrams. */
static void check_local_sender(const setup *s, world *w, int inner6)
{
    static uint8_t bytes[30 * 1000];
    int fd = socket(inner6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1000;
    struct sockaddr_in to4;
    struct sockaddr_in6 to6;
    uint64_t reads = 0;
    ssize_t sent;

    memset(&to4, 0, sizeof to4);
    to4.sin_family = AF_INET;
    to4.sin_port = htons(5001);
    memset(&to6, 0, sizeof to6);
    to6.sin6_family = AF_INET6;
    to6.sin6_port = htons(5001);
    CHECK_EQ_INT(inet_pton(AF_INET, "10.3.0.2", &to4.sin_addr), 1);
    CHECK_EQ_INT(inet_pton(AF_INET6, "fd03::2", &to6.sin6_addr), 1);
    check_row("%s: 30 datagrams of a socket, inner IPv%d", setup_name(s), inner6 ? 6 : 4);
    CHECK_EQ_INT(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size), 0);
    sent = inner6 ? sendto(fd, bytes, sizeof bytes, 0, (const struct sockaddr *)&to6, sizeof to6)
                  : sendto(fd, bytes, sizeof bytes, 0, (const struct sockaddr *)&to4, sizeof to4);
    CHECK_EQ_INT(sent, sizeof bytes);
    CHECK_EQ_INT(compare(w, s->tap, 0, &reads), 30);
    CHECK(reads >= 1 && reads <= 3);
    close(fd);
}

static void check_setups(const char *kind, int tagged)
{
    unsigned i;

    for (i = tagged ? 4 : 0; i < 8; i++) {
        setup s = {.kind = kind, .tap = i >= 4, .outer6 = i / 2 % 2, .csum = i % 2, .tagged = (uint8_t)tagged};
        world w;
        check_row("%s", setup_name(&s));
        if (!world_open(&w, &s))
            return;
        check_shapes(&s, &w);
        check_local_sender(&s, &w, 0);
        check_local_sender(&s, &w, 1);
        world_close(&w);
    }
}

static int can(const char *kind, const char *link)
{
    char command[200];

    if (!netns_ready())
        return 0;
    snprintf(command, sizeof command, "ip -V && tc -V");
    if (!run(command)) {
        check_skip("no ip or tc");
        return 0;
    }
    if (has_link(link))
        return 1;
    snprintf(command, sizeof command, "this kernel has no devices of type %s", kind);
    check_skip(command);
    return 0;
}

TEST(vxlan_is_cut_as_the_kernel_cuts_it)
{
    if (can("vxlan", "type vxlan id 1 dstport 4789 remote 127.0.0.1"))
        check_setups("vxlan", 0);
}

TEST(geneve_is_cut_as_the_kernel_cuts_it)
{
    if (can("geneve", "type geneve id 1 remote 127.0.0.1"))
        check_setups("geneve", 0);
}

/* K 3.22: a tag on the outer frame, which both tunnel offsets leave out. */
TEST(vxlan_behind_a_tag_that_tap_inserts)
{
    if (can("vxlan", "type vxlan id 1 dstport 4789 remote 127.0.0.1") && can("vlan", "link kbase type vlan id 5"))
        check_setups("vxlan", 1);
}

/* K 2.19: offloads that are taken away cost the superpackets in the queue, each of them counted, and nothing else. */
TEST(fewer_offloads_cost_counted_packets)
{
    setup s = {.kind = "vxlan", .csum = 1};
    pkt_spec spec = {.kind = PKT_TCP4, .payload_len = 3540, .ethernet = 1};
    tuo_tun_rx_stats stats;
    tuo_tun_info info;
    ref_list list;
    world w;

    if (!can("vxlan", "type vxlan id 1 dstport 4789 remote 127.0.0.1") || !world_open(&w, &s))
        return;
    list = read_by_next(w.tun, 0); /* what the interface said when it came up */
    ref_list_free(&list);
    send_frame(&spec, 1000, 0);
    send_frame(&spec, 1000, 0);
    CHECK_RESULT(tuo_tun_set_offloads(w.tun, TUO_TUN_CSUM | TUO_TUN_TSO4), TUO_OK);
    send_frame(&spec, 1000, 0);
    list = read_by_next(w.tun, 0);
    CHECK_EQ_INT(list.count, 4);
    tuo_tun_query_rx_stats(w.tun, &stats);
    CHECK_EQ_INT(stats.rx_refused, 2);
    tuo_tun_query_info(w.tun, &info);
    CHECK_EQ_INT(info.rx_errno, EINVAL);
    ref_list_free(&list);
    CHECK_RESULT(tuo_tun_set_offloads(w.tun, TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_UDP_TUNNEL | TUO_TUN_UDP_TUNNEL_CSUM), TUO_OK);
    send_frame(&spec, 1000, 0);
    list = read_by_next(w.tun, 0);
    CHECK_EQ_INT(list.count, 4);
    ref_list_free(&list);
    tuo_tun_query_rx_stats(w.tun, &stats);
    CHECK(stats.rx_refused == 2 && stats.rx_superpackets == 1);
    world_close(&w);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(vxlan_is_cut_as_the_kernel_cuts_it),
        CHECK_ENTRY(vxlan_behind_a_tag_that_tap_inserts),
        CHECK_ENTRY(geneve_is_cut_as_the_kernel_cuts_it),
        CHECK_ENTRY(fewer_offloads_cost_counted_packets),
    };

    netns_enter();
    return CHECK_RUN(argc, argv, tests);
}
