/* The library held against the kernel that runs this test: what the kernel makes of superpackets that we describe (split,
   accepted), what it makes of the same packets by itself (coalesce), and what it hands to us (read side). Everything happens
   inside network namespaces of this process' own. Needs root and a TUN driver. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>
#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "gro_traffic.h"
#include "netns.h"
#include "tun_facts.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef IFF_NAPI
#define IFF_NAPI 0x0010
#endif

enum { PACKET_MAX = 65535 + 64, QUEUE_LEN = 10000, PATIENCE_MS = 1000 };

/* -------------------------------------------------------------------------------------------------------- namespaces */

/* The case in force cannot run here; under CI=true that is a failure. */
static void cannot_run(const char *why)
{
    const char *ci = getenv("CI");
    int skipping_is_allowed = !ci || strcmp(ci, "true") != 0;

    if (skipping_is_allowed) {
        check_skip(why);
        return;
    }
    printf("cannot run: %s\n", why);
    CHECK(skipping_is_allowed);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), ok;

    if (fd < 0)
        return 0;
    ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* A fresh namespace that forwards. Interfaces do not announce themselves, so that what is read is what was sent. */
static int new_world(int forwards)
{
    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        cannot_run("no access to /dev/net/tun");
        return 0;
    }
    if (unshare(CLONE_NEWNET) != 0) {
        cannot_run("a network namespace needs root");
        return 0;
    }
    write_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1");
    write_file("/proc/sys/net/ipv6/conf/default/router_solicitations", "0");
    write_file("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
    write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
    return CHECK(write_file("/proc/sys/net/ipv4/ip_forward", forwards ? "1" : "0")) &&
           CHECK(write_file("/proc/sys/net/ipv6/conf/all/forwarding", forwards ? "1" : "0"));
}

static struct ifreq interface_request(const char *name)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, strlen(name));
    return request;
}

static int interface_ioctl(unsigned long number, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), returned = ioctl(fd, number, request);

    close(fd);
    return returned;
}

/* A queue so long that no superpacket overflows it: that would be silent (K 7.14). */
static void raise_queue_len(const char *name)
{
    struct ifreq request = interface_request(name);

    request.ifr_qlen = QUEUE_LEN;
    CHECK_EQ_INT(interface_ioctl(SIOCSIFTXQLEN, &request), 0);
}

typedef struct device {
    const char *name, *address4, *address6;
    int plain;     /* without vnet header: the kernel splits and completes what is read */
    uint32_t mtu;
} device;

static tuo_tun *open_device_with(const device *d, const tuo_gro_desc *gro)
{
    tuo_tun_desc desc;
    tuo_tun *tun = NULL;
    int error = 0;

    memset(&desc, 0, sizeof desc);
    desc.name = d->name;
    desc.address4 = d->address4;
    desc.address6 = d->address6;
    desc.no_vnet_hdr = (uint8_t)d->plain;
    desc.mtu = d->mtu;
    desc.gro = *gro;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK)) {
        printf("%s: %s\n", d->name, strerror(error));
        return NULL;
    }
    raise_queue_len(d->name);
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    wait_for_address6(d->address6);
    return tun;
}

static tuo_tun *open_device(const device *d)
{
    static const tuo_gro_desc gro = {.max_packets = 512};

    return open_device_with(d, &gro);
}

/* The networks of packets.h: 10.1.x.x and fd00:1:: behind "k0", 10.2.x.x and fd00:2:: behind "k1". Segments of any size pass. */
static const device device_k0 = {"k0", "10.1.255.254/16", "fd00:1::fffe/64", 0, 65535};
static const device device_k1 = {"k1", "10.2.255.254/16", "fd00:2::fffe/64", 0, 65535};
static const device device_k1_plain = {"k1", "10.2.255.254/16", "fd00:2::fffe/64", 1, 65535};

/* To one of the networks above? Everything else is the kernel talking to its neighbours. */
static int is_ours(const uint8_t *p, size_t len)
{
    if (len >= 20 && p[0] >> 4 == 4)
        return p[16] == 10;
    return len >= 40 && p[0] >> 4 == 6 && p[24] == 0xfd;
}

static int receive(tuo_tun *tun, uint8_t *bytes, tuo_vnet_hdr *vnet, size_t *len, int patience_ms)
{
    for (;;) {
        tuo_result result = tuo_tun_recv(tun, bytes, PACKET_MAX, vnet, len);
        if (result == TUO_OK && is_ours(bytes, *len))
            return 1;
        if (result == TUO_OK)
            continue;
        if (result != TUO_AGAIN || tuo_tun_wait(tun, 0, patience_ms) != TUO_OK)
            return 0;
    }
}

static void drain(tuo_tun *tun)
{
    static uint8_t bytes[PACKET_MAX];
    tuo_vnet_hdr vnet;
    size_t len;

    while (receive(tun, bytes, &vnet, &len, 0))
        continue;
}

/* What a router does to a packet. */
static void hop(uint8_t *p, size_t len)
{
    pkt_view v = pkt_look(p, len, 0, 1);

    p[v.version == 4 ? 8 : 7]--;
    pkt_fix_ip_checksum(p, &v);
}

/* ------------------------------------------------------------------------------------------------------ superpackets */

typedef struct super {
    pkt_spec spec;
    tuo_vnet_hdr vnet;
    pkt_view view;
    size_t len;
    uint8_t bytes[PACKET_MAX];
} super;

static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* K 1.23: some kernels take a TCP superpacket with IPv6 extension headers and forward nothing of it (measure_tcp6_ext). Then none are
   made, so that the rest is tested there too. */
static int forwards_tcp6_ext = 1;

/* Headers of every shape that the kernel forwards as they are. */
static pkt_spec random_headers(rng *r)
{
    static const char *const chains[] = {"D", "H", "HD", "HDR", "R", "DDDD"};
    pkt_spec s;

    memset(&s, 0, sizeof s);
    s.kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT);
    s.src = (uint16_t)(1 + rng_below(r, 1000));
    s.dst = (uint16_t)(1 + rng_below(r, 1000));
    s.src_port = (int32_t)(1 + rng_below(r, 65535));
    s.dst_port = (int32_t)(1 + rng_below(r, 65535));
    s.ttl = (int32_t)(2 + rng_below(r, 254));
    s.tos = (uint8_t)rng_below(r, 256);
    s.ip_id = (uint16_t)(rng_chance(r, 1, 3) ? 65530 + rng_below(r, 6) : rng_below(r, 65536));
    s.df = rng_chance(r, 1, 2) ? PKT_ZERO : 0;
    s.seq = rng_chance(r, 1, 3) ? 0xffffff00u + rng_below(r, 256) : (uint32_t)rng_u64(r);
    s.ack = (uint32_t)rng_u64(r);
    s.window = (int32_t)(1 + rng_below(r, 65535));
    s.urgent = (uint16_t)(rng_chance(r, 1, 4) ? rng_below(r, 65536) : 0);
    s.tcp_flags = rng_chance(r, 1, 2) ? PKT_ACK | (int32_t)(rng_below(r, 256) & ~(uint32_t)(PKT_SYN | PKT_RST))
                                      : (int32_t)(1 + rng_below(r, 255));
    s.reserved = (uint8_t)(rng_chance(r, 1, 4) ? rng_below(r, 16) : 0);
    s.payload_seed = (uint32_t)rng_u64(r);
    s.flow_label = rng_below(r, 1 << 20);
    if (rng_chance(r, 1, 3)) {
        s.tcp_options = nops;
        s.tcp_options_len = (uint8_t)(4 * (1 + rng_below(r, 10)));
    }
    if (rng_chance(r, 1, 4)) {
        s.ip_options = nops;
        s.ip_options_len = (uint8_t)(4 * (1 + rng_below(r, 10)));
    }
    if (rng_chance(r, 1, 4))
        s.ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
    if (s.kind == PKT_TCP6 && !forwards_tcp6_ext)
        s.ext_chain = NULL;
    return s;
}

/* At least two segments, none shorter than what every kernel cuts alike (K 1.8, 1.9), at most 64 datagrams. */
static void random_geometry(rng *r, super *s)
{
    static const uint32_t sizes[] = {8, 9, 17, 100, 535, 536, 1000, 1400, 1448, 9000, 32000};
    uint32_t room = (uint32_t)(65535 - pkt_payload_off(&s->spec)), size, segs, most;

    size = rng_chance(r, 1, 3) ? 8 + rng_below(r, 3000) : sizes[rng_below(r, CHECK_COUNT_OF(sizes))];
    if (pkt_is_udp(&s->spec) && rng_chance(r, 1, 8))
        size = 1 + rng_below(r, 8);
    most = room / size + 1;
    if (pkt_is_udp(&s->spec) && most > 64)
        most = 64;
    else if (most > 40 && !rng_chance(r, 1, 200))
        most = 40;
    segs = most < 3 || rng_chance(r, 1, 8) ? most : 2 + rng_below(r, most - 1);
    s->vnet.gso_size = (uint16_t)size;
    s->spec.payload_len = (int32_t)(size * (segs - 1) + 1 + rng_below(r, size));
    if (rng_chance(r, 1, 4))
        s->spec.payload_len = (int32_t)(size * segs);
    if ((uint32_t)s->spec.payload_len > room)
        s->spec.payload_len = (int32_t)room;
}

static void finish_super(rng *r, super *s)
{
    int udp = pkt_is_udp(&s->spec);

    s->spec.l4_csum_pseudo = 1;
    s->len = pkt_build(s->bytes, sizeof s->bytes, &s->spec);
    s->view = pkt_look(s->bytes, s->len, 0, 1);
    s->vnet.flags = TUO_VNET_NEEDS_CSUM;
    s->vnet.gso_type = udp ? TUO_GSO_UDP_L4 : pkt_is_v6(&s->spec) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    if (!udp && (pkt_or(s->spec.tcp_flags, PKT_ACK) & PKT_CWR) && rng_chance(r, 1, 2))
        s->vnet.gso_type |= TUO_GSO_ECN;
    s->vnet.csum_start = (uint16_t)s->view.l4;
    s->vnet.csum_offset = udp ? 6 : 16;
    s->vnet.hdr_len = (uint16_t)(rng_chance(r, 1, 3) ? rng_below(r, (uint32_t)s->len) : s->view.payload); /* a hint (K 1.15) */
}

/* Makes the checksum of one segment come out as zero. */
static void force_zero_sum(rng *r, super *s)
{
    static uint8_t segment[PACKET_MAX];
    size_t i = rng_below(r, (uint32_t)ref_split_count(&s->view, s->vnet.gso_size)), from = i * s->vnet.gso_size;
    size_t len = ref_split_one(s->bytes, &s->view, s->vnet.gso_size, i, segment);
    uint8_t *word = s->bytes + s->view.payload + from;
    unsigned sum;

    if (len - s->view.payload < 2)
        return;
    sum = pkt_get16(word) + pkt_get16(segment + pkt_l4_csum_at(&s->view));
    pkt_put16(word, (sum & 0xffff) + (sum >> 16));
}

static void random_super(rng *r, super *s)
{
    memset(&s->vnet, 0, sizeof s->vnet);
    do {
        s->spec = random_headers(r);
        random_geometry(r, s);
    } while ((uint32_t)s->spec.payload_len <= s->vnet.gso_size);
    finish_super(r, s);
    if (rng_chance(r, 1, 6))
        force_zero_sum(r, s);
}

/* In two pieces, as a gather write. */
static int send_super(tuo_tun *tun, const super *s)
{
    tuo_iov iov[2];

    iov[0].base = s->bytes;
    iov[0].len = s->view.payload;
    iov[1].base = s->bytes + s->view.payload;
    iov[1].len = s->len - s->view.payload;
    return CHECK_RESULT(tuo_tun_send_iov(tun, iov, 2, &s->vnet), TUO_OK);
}

static size_t flatten(const tuo_segment *segment, uint8_t *flat)
{
    size_t i, at = 0;

    for (i = 0; i < segment->iov_count; at += segment->iov[i].len, i++)
        memcpy(flat + at, segment->iov[i].base, segment->iov[i].len);
    return at;
}

/* What a version number does not tell: the change came into stable kernels as well. */
static void measure_tcp6_ext(rng *r, tuo_tun *in, tuo_tun *out)
{
    static super s;
    static uint8_t bytes[PACKET_MAX];
    tuo_vnet_hdr vnet;
    size_t len;

    forwards_tcp6_ext = 1;
    do
        random_super(r, &s);
    while (s.spec.kind != PKT_TCP6 || !s.spec.ext_chain || s.spec.ext_chain[0] != 'D');
    forwards_tcp6_ext = send_super(in, &s) && receive(out, bytes, &vnet, &len, PATIENCE_MS);
    drain(out);
    printf("TCP superpackets with IPv6 extension headers: %s\n", forwards_tcp6_ext ? "forwarded" : "dropped by this kernel (K 1.23)");
}

static int takes_udp(const tuo_tun *tun)
{
    return (tun_info_of(tun).offloads & TUO_TUN_USO) == TUO_TUN_USO;
}

/* --------------------------------------------------------------------------------------------------------- 1: split */

/* One segment: the kernel's, ours and the naive one. 1 if all agree. */
static int same_three(tuo_tun *out, tuo_gso *gso, uint8_t *naive, size_t naive_len)
{
    static uint8_t ours[PACKET_MAX], kernels[PACKET_MAX];
    tuo_segment segment;
    tuo_vnet_hdr vnet;
    size_t len, kernels_len;

    if (!CHECK_RESULT(tuo_gso_next(gso, NULL, &segment), TUO_OK))
        return 0;
    len = flatten(&segment, ours);
    hop(ours, len);
    hop(naive, naive_len);
    return CHECK(receive(out, kernels, &vnet, &kernels_len, PATIENCE_MS)) && CHECK_EQ_INT(len, kernels_len) &&
           CHECK_BYTES(ours, kernels, kernels_len) && CHECK_EQ_INT(naive_len, kernels_len) &&
           CHECK_BYTES(naive, kernels, kernels_len);
}

typedef struct split_counts {
    size_t superpackets, segments, zero_sums, by_kind[PKT_KIND_COUNT];
} split_counts;

static int split_one(tuo_tun *in, tuo_tun *out, const super *s, split_counts *counts)
{
    ref_list naive = ref_split(s->bytes, s->len, 0, s->vnet.gso_size);
    tuo_gso gso;
    size_t i;
    int ok = send_super(in, s) && CHECK_RESULT(tuo_gso_init(&gso, s->bytes, s->len, &s->vnet, 0), TUO_OK) &&
             CHECK_EQ_INT(tuo_gso_count(&gso), naive.count);

    for (i = 0; ok && i < naive.count; i++) {
        unsigned csum = pkt_get16(naive.bytes[i] + pkt_l4_csum_at(&s->view));
        ok = same_three(out, &gso, naive.bytes[i], naive.len[i]);
        counts->zero_sums += csum == (s->view.proto == PKT_PROTO_UDP ? 0xffffu : 0u);
    }
    counts->superpackets++;
    counts->segments += naive.count;
    counts->by_kind[s->spec.kind]++;
    ref_list_free(&naive);
    return ok;
}

TEST(split_as_the_kernel_splits)
{
    static super s;
    rng r = rng_start("split_as_the_kernel_splits", 1);
    split_counts counts;
    tuo_tun *in, *out;
    size_t i, failures = 0;

    if (!new_world(1))
        return;
    memset(&counts, 0, sizeof counts);
    in = open_device(&device_k0);
    out = open_device(&device_k1_plain);
    if (in && out)
        measure_tcp6_ext(&r, in, out);
    for (i = 0; in && out && i < 4000 && failures < 5; i++) {
        random_super(&r, &s);
        if (pkt_is_udp(&s.spec) && !takes_udp(in))
            continue;
        if (!split_one(in, out, &s, &counts)) {
            printf("superpacket %lu: kind %d, %lu bytes, gso_size %u\n", (unsigned long)i, (int)s.spec.kind, (unsigned long)s.len,
                   (unsigned)s.vnet.gso_size);
            failures++;
            drain(out);
        }
    }
    printf("split: %lu superpackets (tcp4 %lu, udp4 %lu, tcp6 %lu, udp6 %lu), %lu segments, %lu zero sums\n",
           (unsigned long)counts.superpackets, (unsigned long)counts.by_kind[0], (unsigned long)counts.by_kind[1],
           (unsigned long)counts.by_kind[2], (unsigned long)counts.by_kind[3], (unsigned long)counts.segments,
           (unsigned long)counts.zero_sums);
    CHECK(counts.zero_sums > 200);
    tuo_tun_close(in);
    tuo_tun_close(out);
}

/* ------------------------------------------------------------------------------------------------------ 2: coalesce */
/* The same train of packets through the kernel's GRO and through ours under strict_kernel. The kernel's: a TUN with IFF_NAPI
   receives them, and a packet socket sees what GRO delivers. All payload bytes of packet n of a train are n, so that a merged
   packet tells what it is made of. */

enum { TRAIN_MAX = 40, FLUSH_NS = 1000000, KERNEL_FLOWS = 8, NOBODY = -1 };

typedef struct napi {
    tuo_tun *tun;
    int sniffer;
} napi;

/* The feature named in the kernel's list, e.g. rx-udp-gro-forwarding; 0 if there is none or it cannot be switched. */
static int set_feature(const char *interface, const char *feature)
{
    struct ifreq request = interface_request(interface);
    union {
        uint64_t aligned;
        struct ethtool_sset_info info;
        struct ethtool_gstrings strings;
        struct ethtool_sfeatures features;
        uint8_t room[8192];
    } u;
    uint32_t count, i;

    memset(&u, 0, sizeof u);
    u.info.cmd = ETHTOOL_GSSET_INFO;
    u.info.sset_mask = UINT64_C(1) << ETH_SS_FEATURES;
    request.ifr_data = (char *)&u;
    if (interface_ioctl(SIOCETHTOOL, &request) != 0 || u.info.sset_mask == 0)
        return 0;
    memcpy(&count, u.info.data, sizeof count);
    memset(&u, 0, sizeof u);
    u.strings.cmd = ETHTOOL_GSTRINGS;
    u.strings.string_set = ETH_SS_FEATURES;
    u.strings.len = count;
    if (count > 200 || interface_ioctl(SIOCETHTOOL, &request) != 0)
        return 0;
    for (i = 0; i < count && strcmp((char *)u.strings.data + i * ETH_GSTRING_LEN, feature) != 0; i++)
        continue;
    if (i == count)
        return 0;
    memset(&u, 0, sizeof u);
    u.features.cmd = ETHTOOL_SFEATURES;
    u.features.size = (count + 31) / 32;
    u.features.features[i / 32].valid = u.features.features[i / 32].requested = (uint32_t)1 << i % 32;
    return interface_ioctl(SIOCETHTOOL, &request) == 0;
}

/* Held packets leave this long after the last one. The file system shows the namespace in which it was mounted. */
static int set_gro_flush_timeout(const char *interface)
{
    char path[96], text[16];

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("sysfs", "/sys", "sysfs", 0, NULL) != 0)
        return 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/gro_flush_timeout", interface);
    snprintf(text, sizeof text, "%d", FLUSH_NS);
    return write_file(path, text);
}

/* Everything that GRO delivers on the interface, with vnet headers. */
static int open_sniffer(const char *interface)
{
    struct sockaddr_ll address;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 16 << 20;

    memset(&address, 0, sizeof address);
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(0x0003); /* ETH_P_ALL */
    address.sll_ifindex = (int)if_nametoindex(interface);
    CHECK_EQ_INT(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on), 0);
    CHECK_EQ_INT(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), 0);
    CHECK_EQ_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    CHECK_EQ_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A TUN that receives through NAPI can only be had by hand: adopted. 0 if this kernel has none. */
static int open_napi(napi *n)
{
    struct ifreq request = interface_request("kn");
    tuo_tun_desc desc;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), error = 0;

    memset(&desc, 0, sizeof desc);
    desc.adopt_negotiate = desc.up = 1;
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_NAPI;
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        close(fd);
        cannot_run("this kernel has no TUN with IFF_NAPI");
        return 0;
    }
    if (!set_gro_flush_timeout("kn") || !set_feature("kn", "rx-udp-gro-forwarding")) {
        close(fd);
        cannot_run("gro_flush_timeout or rx-udp-gro-forwarding cannot be set");
        return 0;
    }
    if (!CHECK_RESULT(tuo_tun_adopt(&n->tun, fd, &desc, &error), TUO_OK))
        return 0;
    n->sniffer = open_sniffer("kn");
    return 1;
}

static void close_napi(napi *n)
{
    tuo_tun_close(n->tun);
    close(n->sniffer);
    umount("/sys");
}

/* For each packet of a train the one that it was appended to, or NOBODY, and the superpacket that it leads, if it does. */
typedef struct outcome {
    int before[TRAIN_MAX], after[TRAIN_MAX], seen[TRAIN_MAX];
    tuo_vnet_hdr vnet[TRAIN_MAX];
    size_t len[TRAIN_MAX];
    uint8_t *bytes[TRAIN_MAX];
} outcome;

static void outcome_clear(outcome *o)
{
    size_t i;

    for (i = 0; i < TRAIN_MAX; i++) {
        free(o->bytes[i]);
        o->bytes[i] = NULL;
        o->before[i] = o->after[i] = NOBODY;
        o->seen[i] = 0;
    }
}

static void outcome_join(outcome *o, size_t front, size_t back)
{
    o->before[back] = (int)front;
    o->after[front] = (int)back;
}

static void outcome_lead(outcome *o, size_t first, const tuo_vnet_hdr *vnet, const uint8_t *bytes, size_t len)
{
    o->vnet[first] = *vnet;
    o->len[first] = len;
    o->bytes[first] = (uint8_t *)h_alloc(len);
    memcpy(o->bytes[first], bytes, len);
}

static void our_outcome(const h_batch *b, outcome *o)
{
    size_t g, k;

    outcome_clear(o);
    for (g = 0; g < b->group_count; g++) {
        const size_t *order = b->order + b->group[g].first;
        for (k = 0; k < b->group[g].count; k++)
            o->seen[order[k]] = 1;
        for (k = 1; k < b->group[g].count; k++)
            outcome_join(o, order[k - 1], order[k]);
        if (b->group[g].count > 1)
            outcome_lead(o, order[0], &b->group[g].vnet, b->group[g].bytes, b->group[g].len);
    }
}

/* Packets of the train in this delivered one. */
static size_t kernel_delivered(const h_batch *b, outcome *o, const tuo_vnet_hdr *vnet, const uint8_t *p, size_t len)
{
    pkt_view v = pkt_look(p, len, 0, 1);
    size_t i, found = 0, last = 0;

    if (vnet->gso_type == TUO_GSO_NONE) {
        for (i = 0; i < b->count; i++)
            if (!o->seen[i] && b->len[i] == len && memcmp(b->pkt[i], p, len) == 0)
                return (size_t)(o->seen[i] = 1);
        return 0;
    }
    for (i = v.payload; i < len; i++) {
        size_t from = p[i];
        if (i != v.payload && p[i - 1] == from)
            continue;
        if (!CHECK(from < b->count) || !CHECK(!o->seen[from]))
            return found;
        if (found++)
            outcome_join(o, last, from);
        else
            outcome_lead(o, from, vnet, p, len);
        o->seen[last = from] = 1;
    }
    return found;
}

/* 1 if every packet of the train came out. */
static int kernel_outcome(napi *n, h_batch *b, outcome *o)
{
    static uint8_t frame[TUO_VNET_LEN + PACKET_MAX];
    struct pollfd waiting;
    tuo_vnet_hdr vnet;
    size_t i, found = 0;

    outcome_clear(o);
    for (i = 0; i < b->count; i++)
        if (!CHECK_RESULT(tuo_tun_send(n->tun, b->pkt[i], b->len[i]), TUO_OK))
            return 0;
    waiting.fd = n->sniffer;
    waiting.events = POLLIN;
    while (found < b->count) {
        ssize_t len = recv(n->sniffer, frame, sizeof frame, 0);
        if (len < 0 && poll(&waiting, 1, PATIENCE_MS) == 0)
            break;
        if (len <= TUO_VNET_LEN || !is_ours(frame + TUO_VNET_LEN, (size_t)len - TUO_VNET_LEN))
            continue;
        if (!CHECK_RESULT(tuo_vnet_decode(frame, sizeof frame, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet), TUO_OK))
            break;
        found += kernel_delivered(b, o, &vnet, frame + TUO_VNET_LEN, (size_t)len - TUO_VNET_LEN);
    }
    return CHECK_EQ_INT(found, b->count);
}

/* --- Where we may merge less than the kernel, and why --- */

typedef enum excuse {
    NO_EXCUSE,
    EXCUSE_CWR,         /* kernel generations disagree (K 4.12) */
    EXCUSE_CONSTANT_ID, /* without DF the ID has a meaning, and splitting would change it */
    EXCUSE_CSUM_ALIAS,  /* 0xffff comes back as 0 when split */
    EXCUSE_URGENT,      /* the kernel does not compare it: splitting would change it */
    EXCUSE_TINY,        /* some kernels cut segments below 8 bytes differently (K 1.9) */
    EXCUSE_ROUTING,     /* segments left: the checksum does not cover the address that is in the header */
    EXCUSE_OVERTAKEN,   /* the kernel lets packets that never merge overtake what it holds (K 4.16, 5.8); we keep the order */
    EXCUSE_CONNECTION,  /* the same for packets with another flow label or extension headers: to the kernel another flow (K 4.2) */
    EXCUSE_COUNT
} excuse;

static const char *const excuse_names[EXCUSE_COUNT] = {"none", "CWR", "constant ID without DF", "checksum alias",
                                                       "urgent pointer", "tiny segments", "routing header",
                                                       "would be overtaken", "would be overtaken, another flow label"};

typedef struct train {
    h_batch batch;
    ref_pkt pkts[TRAIN_MAX];
    ref_batch ref;      /* for its views and its idea of flows; nothing that it decided is used */
    outcome ours, kernels;
} train;

/* Would a packet that never merges, pushed between these two, be overtaken by the later one? */
static int between_is_odd(const train *t, size_t a, size_t b)
{
    static const ref_options any = {0};
    size_t i;

    for (i = a + 1; i < b; i++) {
        const uint8_t *p = t->pkts[i].bytes;
        const pkt_view *v = &t->ref.views[i];
        if (!ref_same_pair(&t->ref, i, b))
            continue;
        if (ref_classify(&any, p, t->pkts[i].len, v) != TUO_V_HELD || !ref_ip_valid(p, v) || !ref_l4_valid_at(p, v))
            return 1;
    }
    return 0;
}

/* Would a packet of the connection that is of another flow to the kernel? */
static int between_is_another_flow(const train *t, size_t a, size_t b)
{
    const pkt_view *v = &t->ref.views[b], *w;
    const uint8_t *ip = t->pkts[b].bytes + v->ip, *other;
    size_t i;

    for (i = a + 1; i < b; i++) {
        w = &t->ref.views[i];
        other = t->pkts[i].bytes + w->ip;
        if (v->version != 6 || !pkt_has_l4(w) || !ref_same_flow(&t->ref, i, b))
            continue;
        if ((pkt_get32(ip) & 0xfffff) != (pkt_get32(other) & 0xfffff) || ip[6] != other[6] ||
            !ref_same_bytes(ip + 40, v->l4 - v->ip - 40, other + 40, w->l4 - w->ip - 40))
            return 1;
    }
    return 0;
}

static excuse excuse_tcp(const uint8_t *a, const uint8_t *b, const pkt_view *va, const pkt_view *vb)
{
    const uint8_t *la = a + va->l4, *lb = b + vb->l4;

    if ((la[13] | lb[13]) & PKT_CWR)
        return EXCUSE_CWR;
    if (pkt_get16(la + 16) == 0xffff || pkt_get16(lb + 16) == 0xffff)
        return EXCUSE_CSUM_ALIAS;
    if (pkt_get16(la + 18) != pkt_get16(lb + 18))
        return EXCUSE_URGENT;
    return va->payload_len < 8 ? EXCUSE_TINY : NO_EXCUSE;
}

/* The kernel appended b to a; we did not. */
static excuse find_excuse(const train *t, size_t a, size_t b)
{
    const uint8_t *pa = t->pkts[a].bytes, *pb = t->pkts[b].bytes;
    const pkt_view *va = &t->ref.views[a], *vb = &t->ref.views[b];
    excuse why = va->proto == PKT_PROTO_TCP ? excuse_tcp(pa, pb, va, vb) : NO_EXCUSE;

    if (why != NO_EXCUSE)
        return why;
    if (va->version == 4) {
        if (pkt_get16(pa + 10) == 0xffff || pkt_get16(pb + 10) == 0xffff)
            return EXCUSE_CSUM_ALIAS;
        if (pkt_get16(pa + 4) == pkt_get16(pb + 4) && !(pa[6] & 0x40))
            return EXCUSE_CONSTANT_ID;
    }
    if (va->routing_left)
        return EXCUSE_ROUTING;
    if (between_is_odd(t, a, b))
        return EXCUSE_OVERTAKEN;
    return between_is_another_flow(t, a, b) ? EXCUSE_CONNECTION : NO_EXCUSE;
}

typedef struct train_counts {
    size_t trains, retries, merged_by_both, apart_in_both, superpackets, tainted, excused[EXCUSE_COUNT];
} train_counts;

/* Of the superpacket that i leads in both: the same bytes and the same description? (The kernel's hdr_len means something
   else.) */
static int same_superpacket(const train *t, size_t i)
{
    const outcome *o = &t->ours, *k = &t->kernels;

    return CHECK_EQ_INT(o->len[i], k->len[i]) && CHECK_BYTES(o->bytes[i], k->bytes[i], k->len[i]) &&
           CHECK_EQ_INT(o->vnet[i].gso_type, k->vnet[i].gso_type) && CHECK_EQ_INT(o->vnet[i].gso_size, k->vnet[i].gso_size) &&
           CHECK_EQ_INT(o->vnet[i].flags, k->vnet[i].flags) && CHECK_EQ_INT(o->vnet[i].csum_start, k->vnet[i].csum_start) &&
           CHECK_EQ_INT(o->vnet[i].csum_offset, k->vnet[i].csum_offset);
}

/* Are the items that i leads made of the same packets? */
static int same_members(const train *t, size_t i)
{
    int at = (int)i;

    if (!t->ours.bytes[i] || !t->kernels.bytes[i])
        return 0;
    while (at != NOBODY && t->ours.after[at] == t->kernels.after[at])
        at = t->ours.after[at];
    return at == NOBODY;
}

/* Compares packet by packet, in order. Once the two legitimately differ, so does what they hold of that flow, and nothing can be
   said about it until both begin anew at the same packet. Returns the first packet at which they differ without an excuse, or
   NOBODY. */
static int compare_outcomes(const train *t, train_counts *counts)
{
    int tainted[TRAIN_MAX] = {0};
    size_t i, k;

    for (i = 0; i < t->batch.count; i++) {
        int ours = t->ours.before[i], kernels = t->kernels.before[i], taint = 0;
        for (k = i; k-- > 0;)
            if (pkt_has_l4(&t->ref.views[k]) && pkt_has_l4(&t->ref.views[i]) && ref_same_flow(&t->ref, k, i)) {
                taint = tainted[k];
                break;
            }
        if (ours == kernels) {
            tainted[i] = taint && ours != NOBODY;
            counts->merged_by_both += ours != NOBODY;
            counts->apart_in_both += ours == NOBODY;
        } else if (taint) {
            tainted[i] = 1;
            counts->tainted++;
        } else {
            excuse why = ours == NOBODY ? find_excuse(t, (size_t)kernels, i) : NO_EXCUSE;
            if (why == NO_EXCUSE)
                return (int)i;
            counts->excused[why]++;
            tainted[i] = 1;
        }
    }
    return NOBODY;
}

static void train_end(train *t)
{
    ref_batch_free(&t->ref);
    h_clear(&t->batch);
    outcome_clear(&t->ours);
    outcome_clear(&t->kernels);
}

/* Builds the train; 0 if it has more flows than the kernel holds at a time (K 4.17). */
static int train_begin(train *t, const pkt_spec *specs, size_t count)
{
    static const ref_options any = {0};
    static uint8_t fill[4096];
    size_t i, k, flows = 0;

    for (i = 0; i < count; i++) {
        pkt_spec s = specs[i];
        memset(fill, (int)i, sizeof fill);
        s.payload = fill;
        h_add(&t->batch, &s);
        t->pkts[i].bytes = t->batch.pkt[i];
        t->pkts[i].len = t->batch.len[i];
        t->pkts[i].trusted = 0;
        t->pkts[i].capacity = 0;
    }
    t->ref = ref_coalesce(t->pkts, count, &any);
    for (i = 0; i < count; i++) {
        for (k = 0; k < i && !(pkt_has_l4(&t->ref.views[k]) && ref_same_flow(&t->ref, k, i)); k++)
            continue;
        flows += k == i;
    }
    return flows <= KERNEL_FLOWS;
}

static void describe_difference(const train *t, int at)
{
    char text[TRAIN_MAX * 2];

    printf("packet %d of %lu: the kernel appends it to %d, we to %d (verdict %s); ours: %s\n", at,
           (unsigned long)t->batch.count, t->kernels.before[at], t->ours.before[at], tuo_verdict_name(t->batch.verdict[at]),
           h_groups(&t->batch, text, sizeof text));
}

/* Through both. The kernel flushes what it holds at each tick of its clock, so a difference counts only if it comes again. On a busy machine
   most tries are interrupted: each begins with a fresh slice of processor time. */
static int run_train(napi *n, tuo_gro *gro, train *t, train_counts *counts)
{
    train_counts before = *counts;
    size_t i;
    int tries, at = NOBODY;

    h_push_all(&t->batch, gro, 0);
    h_drain(&t->batch, gro);
    our_outcome(&t->batch, &t->ours);
    for (tries = 0; tries < 200; tries++) {
        if (tries > 0)
            usleep(1000);
        *counts = before;
        counts->retries += (size_t)tries;
        if (!kernel_outcome(n, &t->batch, &t->kernels))
            return 0;
        at = compare_outcomes(t, counts);
        if (at == NOBODY)
            break;
    }
    counts->trains++;
    if (!CHECK_EQ_INT(at, NOBODY)) {
        describe_difference(t, at);
        return 0;
    }
    for (i = 0; i < t->batch.count; i++)
        if (same_members(t, i)) {
            counts->superpackets++;
            if (!same_superpacket(t, i))
                return 0;
        }
    return 1;
}

static void print_train_counts(const train_counts *c)
{
    size_t i;

    printf("coalesce: %lu trains, %lu merges by both, %lu apart in both, %lu superpackets compared, %lu after a difference, "
           "%lu retries\n", (unsigned long)c->trains, (unsigned long)c->merged_by_both, (unsigned long)c->apart_in_both,
           (unsigned long)c->superpackets, (unsigned long)c->tainted, (unsigned long)c->retries);
    for (i = 1; i < EXCUSE_COUNT; i++)
        printf("coalesce: merged by the kernel only, %s: %lu\n", excuse_names[i], (unsigned long)c->excused[i]);
}

/* In a pkt_spec, 0 stands for the default. */
static int32_t or_zero(uint32_t value)
{
    return value ? (int32_t)value : PKT_ZERO;
}

/* One bit of one field that is compared, or is not, so that no half of a field goes unnoticed. */
static void flip_a_bit(rng *r, pkt_spec *s)
{
    uint32_t bit = rng_below(r, 32);
    uint16_t low = (uint16_t)(1u << bit % 16);

    switch (rng_below(r, 9)) {
    case 0: s->window = or_zero(pkt_or(s->window, 8192) ^ low); break;
    case 1: s->ack ^= (uint32_t)1 << bit; break;
    case 2: s->seq ^= (uint32_t)1 << bit; break;
    case 3: s->ip_id ^= low; break;
    case 4: s->tos ^= (uint8_t)(1u << bit % 8); break;
    case 5: s->ttl = or_zero(pkt_or(s->ttl, 64) ^ 1u << bit % 6); break;
    case 6: s->tcp_flags = or_zero(pkt_or(s->tcp_flags, PKT_ACK) ^ 1u << bit % 8); break;
    case 7: s->urgent ^= low; break;
    default: s->reserved ^= (uint8_t)(1u << bit % 4); break;
    }
}

TEST(coalesce_as_the_kernel_coalesces)
{
    static train t;
    static pkt_spec specs[SPECS_MAX];
    rng r = rng_start("coalesce_as_the_kernel_coalesces", 2);
    tuo_gro_desc desc;
    train_counts counts;
    napi n;
    h_gro gro;
    size_t i, failures = 0;

    if (!new_world(0) || !open_napi(&n))
        return;
    memset(&desc, 0, sizeof desc);
    memset(&counts, 0, sizeof counts);
    desc.strict_kernel = 1;
    gro = h_open(&desc);
    for (i = 0; i < 3000 && failures < 5; i++) {
        size_t k, count = make_traffic(&r, specs, 2 + rng_below(&r, TRAIN_MAX - 2), 0);
        for (k = 0; k < count; k++)
            if (rng_chance(&r, 1, 20))
                flip_a_bit(&r, &specs[k]);
        if (train_begin(&t, specs, count < TRAIN_MAX ? count : TRAIN_MAX))
            failures += !run_train(&n, gro.gro, &t, &counts);
        train_end(&t);
    }
    print_train_counts(&counts);
    CHECK(counts.trains > 2000);
    CHECK(counts.merged_by_both > 10000);
    CHECK(counts.superpackets > 2000);
    CHECK(counts.tainted * 10 < counts.merged_by_both + counts.apart_in_both);
    h_close(&gro);
    close_napi(&n);
}

/* --- Each listed difference on purpose: three packets that differ from a mergeable train in one thing --- */

static void make_cwr(pkt_spec *s) { s[0].tcp_flags = s[1].tcp_flags = s[2].tcp_flags = PKT_ACK | PKT_CWR; }
static void make_cwr_first(pkt_spec *s) { s[0].tcp_flags = PKT_ACK | PKT_CWR; }
static void make_urgent(pkt_spec *s) { s[1].urgent = 7; }
static void make_bad_between(pkt_spec *s) { s[1].l4_csum_xor = 1; s[2].seq = s[1].seq; s[2].ip_id = s[1].ip_id; }

static void make_constant_id(pkt_spec *s)
{
    s[0].df = s[1].df = s[2].df = PKT_ZERO;
    s[1].ip_id = s[2].ip_id = s[0].ip_id;
}

static void make_constant_id_udp(pkt_spec *s)
{
    s[0].kind = s[1].kind = s[2].kind = PKT_UDP4;
    make_constant_id(s);
}

static void make_tiny(pkt_spec *s)
{
    int i;

    for (i = 0; i < 3; i++) {
        s[i].payload_len = 5;
        s[i].seq = s[0].seq + 5 * (uint32_t)i;
    }
}

static void make_routing(pkt_spec *s)
{
    int i;

    for (i = 0; i < 3; i++) {
        s[i].kind = PKT_TCP6;
        s[i].ext_chain = "r";
    }
}

/* The window at which the checksum of the second packet is 0, stored as 0xffff. */
static void make_tcp_alias(pkt_spec *s)
{
    static uint8_t packet[2048], fill[2048];
    pkt_spec probe = s[1];
    unsigned sum;
    size_t len;

    memset(fill, 1, sizeof fill);
    probe.payload = fill;
    len = pkt_build(packet, sizeof packet, &probe);
    sum = (unsigned)pkt_or(s[1].window, 8192) + pkt_get16(packet + len - pkt_payload_len(&probe) - 4);
    s[0].window = s[1].window = s[2].window = (int32_t)((sum & 0xffff) + (sum >> 16));
    s[1].l4_csum_xor = 0xffff;
}

/* The same with the ID and the IPv4 header checksum. */
static void make_ip_alias(pkt_spec *s)
{
    static uint8_t packet[2048];
    unsigned sum;

    pkt_build(packet, sizeof packet, &s[1]);
    sum = s[1].ip_id + pkt_get16(packet + 10);
    s[1].ip_id = (uint16_t)((sum & 0xffff) + (sum >> 16));
    s[0].ip_id = (uint16_t)(s[1].ip_id - 1);
    s[2].ip_id = (uint16_t)(s[1].ip_id + 1);
    s[1].ip_csum_xor = 0xffff;
}

TEST(the_listed_differences)
{
    static const struct {
        const char *name;
        void (*change)(pkt_spec *specs);
        excuse why;
        int everywhere; /* all kernels merge that */
    } rows[] = {
        {"CWR on all", make_cwr, EXCUSE_CWR, 0},
        {"CWR on the first", make_cwr_first, EXCUSE_CWR, 0},
        {"constant ID, DF clear, TCP", make_constant_id, EXCUSE_CONSTANT_ID, 0},
        {"constant ID, DF clear, UDP", make_constant_id_udp, EXCUSE_CONSTANT_ID, 0},
        {"TCP checksum 0xffff", make_tcp_alias, EXCUSE_CSUM_ALIAS, 1},
        {"IPv4 header checksum 0xffff", make_ip_alias, EXCUSE_CSUM_ALIAS, 1},
        {"urgent pointer without URG", make_urgent, EXCUSE_URGENT, 1},
        {"five bytes each", make_tiny, EXCUSE_TINY, 1},
        {"routing header with segments left", make_routing, EXCUSE_ROUTING, 0},
        {"bad checksum in between", make_bad_between, EXCUSE_OVERTAKEN, 1},
    };
    static train t;
    tuo_gro_desc desc;
    napi n;
    h_gro gro;
    size_t i, k;

    if (!new_world(0) || !open_napi(&n))
        return;
    memset(&desc, 0, sizeof desc);
    desc.strict_kernel = 1;
    gro = h_open(&desc);
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        pkt_spec specs[3];
        train_counts counts;
        check_row("%s", rows[i].name);
        memset(&counts, 0, sizeof counts);
        memset(specs, 0, sizeof specs);
        for (k = 0; k < 3; k++) {
            specs[k].src = specs[k].dst = 1;
            specs[k].ip_id = (uint16_t)(100 + k);
            specs[k].seq = (uint32_t)(1000 + 100 * k);
        }
        rows[i].change(specs);
        if (CHECK(train_begin(&t, specs, 3)) && run_train(&n, gro.gro, &t, &counts)) {
            printf("%s: kernel %s\n", rows[i].name, counts.excused[rows[i].why] ? "merges" : "does not merge either");
            if (rows[i].everywhere)
                CHECK(counts.excused[rows[i].why] != 0);
            for (k = 1; k < EXCUSE_COUNT; k++)
                CHECK(k == (size_t)rows[i].why || counts.excused[k] == 0);
        }
        train_end(&t);
    }
    h_close(&gro);
    close_napi(&n);
}
/* ------------------------------------------------------------------------------------------------------ 3: accepted */

enum { BATCH_MAX = 512, BUF_LEN = 2048 };

/* Buffers of a batch. */
typedef struct pool {
    tuo_buf bufs[BATCH_MAX];
    void *pointers[BATCH_MAX];
    uint8_t bytes[BATCH_MAX][BUF_LEN];
} pool;

static void pool_init(pool *p)
{
    size_t i;

    for (i = 0; i < BATCH_MAX; i++) {
        p->bufs[i].data = p->bytes[i];
        p->bufs[i].len = 0;
        p->bufs[i].capacity = BUF_LEN;
        p->pointers[i] = &p->bufs[i];
    }
}

static int pool_send(tuo_tun *tun, pool *p, size_t count)
{
    size_t taken;

    return CHECK_RESULT(tuo_tun_send_batch(tun, NULL, p->pointers, count, 0, &taken), TUO_OK) && CHECK_EQ_INT(taken, count);
}

/* Nothing was refused or is lost. */
static void check_nothing_refused(const tuo_tun *tun)
{
    tun_stats stats = tun_stats_of(tun);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 0);
    CHECK_EQ_INT(stats.tx.tx_refused_packets, 0);
    CHECK_EQ_INT(stats.rx.rx_refused, 0);
    CHECK_EQ_INT(stats.rx.rx_truncated, 0);
}

/* --- What a router forwards of a batch is the same, whether the packets are written one by one or coalesced --- */

static size_t forwarded(tuo_tun *out, h_batch *b)
{
    static uint8_t bytes[PACKET_MAX];
    tuo_vnet_hdr vnet;
    size_t len;

    h_clear(b);
    while (receive(out, bytes, &vnet, &len, 0))
        h_add_bytes(b, bytes, len);
    return b->count;
}

/* Packets of one way, then those of the other way, for comparing flows. */
static void look_at_both(ref_batch *both, const h_batch *singly, const h_batch *merged)
{
    static ref_pkt pkts[2 * H_PACKETS];
    static pkt_view views[2 * H_PACKETS];
    size_t i;

    memset(both, 0, sizeof *both);
    both->pkts = pkts;
    both->views = views;
    for (i = 0; i < singly->count + merged->count; i++) {
        const h_batch *b = i < singly->count ? singly : merged;
        size_t at = i < singly->count ? i : i - singly->count;
        pkts[i].bytes = b->pkt[at];
        pkts[i].len = b->len[at];
        views[i] = pkt_look(b->pkt[at], b->len[at], 0, 0);
    }
}

/* Must a and b keep their order? Packets of a flow must; others are told apart by their bytes. */
static int same_sequence(const ref_batch *both, size_t a, size_t b)
{
    if (pkt_has_l4(&both->views[a]) && pkt_has_l4(&both->views[b]))
        return ref_same_flow(both, a, b);
    return ref_same_bytes(both->pkts[a].bytes, both->pkts[a].len, both->pkts[b].bytes, both->pkts[b].len);
}

/* Are all packets of one way those of the other way, those of a flow in the same order? IDs may be numbered anew under DF. */
static int same_forwarded(const h_batch *singly, const h_batch *merged, int ids_free)
{
    static uint8_t used[H_PACKETS];
    ref_batch both;
    size_t i, k;

    memset(used, 0, sizeof used);
    look_at_both(&both, singly, merged);
    for (i = 0; i < merged->count; i++) {
        const uint8_t *p = merged->pkt[i];
        const pkt_view *v = &both.views[singly->count + i];
        int free_id = ids_free && v->version == 4 && (p[6] & 0x40);
        for (k = 0; k < singly->count && (used[k] || !same_sequence(&both, k, singly->count + i)); k++)
            continue;
        if (!CHECK(k < singly->count) || !CHECK_EQ_INT(merged->len[i], singly->len[k]))
            return 0;
        used[k] = 1;
        if (!(free_id && h_same_but_id(p, singly->pkt[k], merged->len[i], v)) && !CHECK_BYTES(p, singly->pkt[k], merged->len[i]))
            return 0;
    }
    return CHECK_EQ_INT(merged->count, singly->count);
}

/* Two ways: one write for each packet, then one batch. */
static int route_both_ways(tuo_tun *in, tuo_tun *out, pool *p, size_t count, int ids_free)
{
    static h_batch singly, merged;
    size_t i;
    int ok = 1;

    for (i = 0; i < count && ok; i++)
        ok = CHECK_RESULT(tuo_tun_send(in, p->bytes[i], p->bufs[i].len), TUO_OK);
    forwarded(out, &singly);
    ok = ok && pool_send(in, p, count);
    forwarded(out, &merged);
    ok = ok && same_forwarded(&singly, &merged, ids_free);
    h_clear(&singly);
    h_clear(&merged);
    return ok;
}

static void set_modes(tuo_tun *in, rng *r, tuo_gro_desc *desc)
{
    memset(desc, 0, sizeof *desc);
    desc->disable_prepend = 1; /* which changes the order on purpose */
    desc->strict_kernel = (uint8_t)rng_below(r, 2);
    desc->ip_id = rng_chance(r, 1, 2) ? TUO_IP_ID_EXACT : TUO_IP_ID_DEFAULT;
    desc->max_udp_segs = rng_chance(r, 1, 4) ? 2 + rng_below(r, 60) : 0;
    desc->max_bytes = rng_chance(r, 1, 4) ? 576 + rng_below(r, 5000) : 0;
    CHECK_RESULT(tuo_tun_configure(in, desc), TUO_OK);
}

TEST(a_router_sees_no_difference)
{
    static pool p;
    static pkt_spec specs[SPECS_MAX];
    rng r = rng_start("a_router_sees_no_difference", 3);
    tuo_tun *in, *out;
    tun_stats stats;
    size_t round, i, failures = 0;

    if (!new_world(1))
        return;
    in = open_device(&device_k0);
    out = open_device(&device_k1_plain);
    pool_init(&p);
    for (round = 0; in && out && round < 1000 && failures < 3; round++) {
        tuo_gro_desc desc;
        size_t count = make_traffic(&r, specs, 100, 0);
        set_modes(in, &r, &desc);
        for (i = 0; i < count; i++) {
            specs[i].src++; /* host 0 of a network is not a host everywhere */
            specs[i].dst++;
            p.bufs[i].len = pkt_build(p.bytes[i], BUF_LEN, &specs[i]);
            CHECK(p.bufs[i].len != 0);
        }
        failures += !route_both_ways(in, out, &p, count, desc.ip_id != TUO_IP_ID_EXACT);
        drain(in); /* complaints of the router */
    }
    stats = tun_stats_of(in);
    printf("accepted: %lu packets, %lu superpackets written\n", (unsigned long)stats.tx.tx_packets,
           (unsigned long)stats.tx.tx_superpackets);
    CHECK(stats.tx.tx_superpackets > 5000);
    check_nothing_refused(in);
    tuo_tun_close(in);
    tuo_tun_close(out);
}

/* --- UDP into real sockets --- */

typedef struct datagrams {
    const char *name;
    pkt_kind kind;
    uint32_t size, total; /* payload bytes of one and of all */
    int gro;              /* UDP_GRO on the socket */
    size_t superpackets;
    uint8_t no_csum;
} datagrams;

static void make_address(struct sockaddr_storage *address, socklen_t *len, int v6, const char *text, int port)
{
    struct sockaddr_in a4;
    struct sockaddr_in6 a6;

    memset(address, 0, sizeof *address);
    memset(&a4, 0, sizeof a4);
    memset(&a6, 0, sizeof a6);
    a4.sin_family = AF_INET;
    a6.sin6_family = AF_INET6;
    a4.sin_port = a6.sin6_port = htons((uint16_t)port);
    CHECK_EQ_INT(v6 ? inet_pton(AF_INET6, text, &a6.sin6_addr) : inet_pton(AF_INET, text, &a4.sin_addr), 1);
    *len = v6 ? sizeof a6 : sizeof a4;
    memcpy(address, v6 ? (const void *)&a6 : (const void *)&a4, *len);
}

static int bound_socket(int type, int v6, const char *text, int port)
{
    struct sockaddr_storage address;
    socklen_t len;
    int room = 8 << 20, on = 1, fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    make_address(&address, &len, v6, text, port);
    CHECK_EQ_INT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    if (type == SOCK_DGRAM)
        CHECK_EQ_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    CHECK_EQ_INT(bind(fd, (struct sockaddr *)&address, len), 0);
    return fd;
}

/* One message; *segment is the size of each datagram in it, as UDP_GRO says, otherwise its length. */
static ssize_t receive_message(int fd, uint8_t *bytes, size_t cap, size_t *segment)
{
    union {
        struct cmsghdr header;
        uint8_t room[64];
    } control;
    struct iovec iov;
    struct msghdr message;
    struct cmsghdr *c;
    ssize_t len;

    memset(&message, 0, sizeof message);
    iov.iov_base = bytes;
    iov.iov_len = cap;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    len = recvmsg(fd, &message, 0);
    *segment = len > 0 ? (size_t)len : 0;
    for (c = len < 0 ? NULL : CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            *segment = (size_t)size;
        }
    return len;
}

/* The datagrams in order, each with its bytes. Returns how many messages it took. */
static size_t check_delivery(int fd, const datagrams *d, uint32_t seed)
{
    static uint8_t bytes[PACKET_MAX];
    size_t at = 0, i, segment, messages = 0;
    ssize_t len;

    while (at < d->total && (len = receive_message(fd, bytes, sizeof bytes, &segment)) > 0) {
        size_t expected = d->total - at < d->size ? d->total - at : d->size;
        messages++;
        if (!CHECK(at + (size_t)len <= d->total) || !CHECK_EQ_INT(segment, expected) || !CHECK(d->gro || segment == (size_t)len))
            return messages;
        for (i = 0; i < (size_t)len && bytes[i] == pkt_stream_byte(seed, (uint32_t)(at + i)); i++)
            continue;
        if (!CHECK_EQ_INT(i, len))
            return messages;
        at += (size_t)len;
    }
    CHECK_EQ_INT(at, d->total);
    return messages;
}

static size_t build_datagrams(pool *p, const datagrams *d, uint32_t seed)
{
    pkt_spec s;
    uint32_t at;
    size_t count = 0;

    memset(&s, 0, sizeof s);
    s.kind = d->kind;
    s.src = 5;
    s.dst = 1;
    s.dst_port = 7000;
    s.payload_seed = seed;
    s.l4_csum_zero = d->no_csum;
    for (at = 0; at < d->total; at += (uint32_t)s.payload_len, count++) {
        s.seq = at; /* position in the stream */
        s.ip_id = (uint16_t)count;
        s.payload_len = (int32_t)(d->total - at < d->size ? d->total - at : d->size);
        p->bufs[count].len = pkt_build(p->bytes[count], BUF_LEN, &s);
    }
    return count;
}

static void deliver_datagrams(tuo_tun *tun, pool *p, const datagrams *d)
{
    int v6 = d->kind == PKT_UDP6, on = d->gro, fd = bound_socket(SOCK_DGRAM, v6, v6 ? "fd00:2::1" : "10.2.0.1", 7000);
    tun_stats before, after;
    size_t count = build_datagrams(p, d, 77), messages;

    if (on && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0) {
        cannot_run("no UDP_GRO in this kernel");
        close(fd);
        return;
    }
    before = tun_stats_of(tun);
    pool_send(tun, p, count);
    after = tun_stats_of(tun);
    CHECK_EQ_INT(after.tx.tx_superpackets - before.tx.tx_superpackets, d->superpackets);
    messages = check_delivery(fd, d, 77);
    CHECK_EQ_INT(messages, d->gro ? after.tx.tx_writes - before.tx.tx_writes : count);
    check_nothing_refused(tun);
    close(fd);
}

TEST(udp_reaches_sockets)
{
    static const datagrams rows[] = {
        {"IPv4, 64 datagrams", PKT_UDP4, 1000, 64 * 1000, 0, 1, 0},
        {"IPv6, 64 datagrams", PKT_UDP6, 1000, 64 * 1000, 0, 1, 0},
        {"IPv4, 64 datagrams, UDP_GRO", PKT_UDP4, 1000, 64 * 1000, 1, 1, 0},
        {"IPv6, 64 datagrams, UDP_GRO", PKT_UDP6, 1000, 64 * 1000, 1, 1, 0},
        {"IPv4, 65535 bytes", PKT_UDP4, 1024, 65535 - 28, 0, 1, 0},
        {"IPv6, 65535 bytes", PKT_UDP6, 1024, 65535 - 48, 0, 1, 0},
        {"IPv4, 65535 bytes, UDP_GRO", PKT_UDP4, 1024, 65535 - 28, 1, 1, 0},
        {"IPv6, 65535 bytes, UDP_GRO", PKT_UDP6, 1024, 65535 - 48, 1, 1, 0},
        {"IPv4, 512 datagrams of a byte", PKT_UDP4, 1, 512, 0, 8, 0},
        {"IPv6, 130 datagrams of a byte, UDP_GRO", PKT_UDP6, 1, 130, 1, 3, 0},
        {"IPv4, 200 datagrams, short last", PKT_UDP4, 1472, 199 * 1472 + 3, 1, 5, 0},
        {"IPv6, single datagram", PKT_UDP6, 1400, 1400, 1, 0, 0},
    };
    static const device local = {"k0", "10.1.255.254/16", "fd00:1::fffe/64", 0, 0};
    static pool p;
    tuo_tun *tun;
    size_t i;

    if (!new_world(0))
        return;
    tun = open_device(&local);
    if (!tun)
        return;
    CHECK_RESULT(tuo_tun_add_address(tun, "10.2.0.1/32"), TUO_OK);
    CHECK_RESULT(tuo_tun_add_address(tun, "fd00:2::1/128"), TUO_OK);
    wait_for_address6("fd00:2::1/128");
    pool_init(&p);
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        if (takes_udp(tun))
            deliver_datagrams(tun, &p, &rows[i]);
        else
            cannot_run("no UDP superpackets in this kernel");
    }
    tuo_tun_close(tun);
}

/* With merge_zero_csum4 a local socket gets the same datagrams from fewer writes; without it each is written by itself. */
TEST(udp_without_checksum_reaches_sockets)
{
    static const datagrams rows[2][3] = {
        {{"singly", PKT_UDP4, 1000, 64 * 1000, 0, 0, 1}, {"singly, UDP_GRO", PKT_UDP4, 1000, 3500, 1, 0, 1},
         {"with checksum", PKT_UDP4, 1000, 3500, 0, 1, 0}},
        {{"merged", PKT_UDP4, 1000, 64 * 1000, 0, 1, 1}, {"merged, UDP_GRO", PKT_UDP4, 1000, 3500, 1, 1, 1},
         {"merged, 200 datagrams", PKT_UDP4, 1472, 199 * 1472 + 3, 1, 5, 1}},
    };
    static const device local = {"k0", "10.1.255.254/16", "fd00:1::fffe/64", 0, 0};
    static pool p;
    size_t i, k;

    pool_init(&p);
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const tuo_gro_desc gro = {.max_packets = 512, .merge_zero_csum4 = (uint8_t)i};
        tuo_tun *tun = new_world(0) ? open_device_with(&local, &gro) : NULL;
        if (!tun)
            return;
        CHECK_RESULT(tuo_tun_add_address(tun, "10.2.0.1/32"), TUO_OK);
        for (k = 0; k < CHECK_COUNT_OF(rows[i]); k++) {
            check_row("%s", rows[i][k].name);
            if (takes_udp(tun))
                deliver_datagrams(tun, &p, &rows[i][k]);
            else
                cannot_run("no UDP superpackets in this kernel");
        }
        tuo_tun_close(tun);
    }
}

/* --- Finished superpackets: a device without vnet header, and a TCP socket of this kernel as end point --- */

enum { FINISHED_COUNT = 20, FINISHED_SEGMENT = 1201, FINISHED_PORT = 7002 };

typedef struct peer {
    tuo_tun *tun;
    tuo_gro *gro;
    pkt_spec next;   /* its next segment, without payload */
    int fd;          /* of the local end */
} peer;

/* What the local end sends back: 0 if nothing. */
static int answer(const peer *from, pkt_view *v, uint32_t *seq, uint32_t *ack, int patience_ms)
{
    static uint8_t bytes[PACKET_MAX];
    tuo_vnet_hdr vnet;
    size_t len;

    while (receive(from->tun, bytes, &vnet, &len, patience_ms)) {
        *v = pkt_look(bytes, len, 0, 0);
        if (!pkt_has_l4(v) || v->proto != PKT_PROTO_TCP || pkt_get16(bytes + v->l4) != FINISHED_PORT)
            continue;
        *seq = pkt_get32(bytes + v->l4 + 4);
        *ack = pkt_get32(bytes + v->l4 + 8);
        return 1;
    }
    return 0;
}

static int send_bare(const peer *p, int32_t flags)
{
    static uint8_t bytes[256];
    pkt_spec s = p->next;

    s.tcp_flags = flags;
    s.payload_len = PKT_ZERO;
    return CHECK_RESULT(tuo_tun_send(p->tun, bytes, pkt_build(bytes, sizeof bytes, &s)), TUO_OK);
}

/* SYN, SYN/ACK, ACK. */
static int shake_hands(peer *p, int listener)
{
    pkt_view v;
    uint32_t seq, ack, at = p->next.seq;

    if (!send_bare(p, PKT_SYN) || !CHECK(answer(p, &v, &seq, &ack, PATIENCE_MS)) || !CHECK_EQ_INT(ack, at + 1))
        return 0;
    p->next.seq = at + 1;
    p->next.ack = seq + 1;
    if (!send_bare(p, PKT_ACK))
        return 0;
    p->fd = accept(listener, NULL, NULL);
    return CHECK(p->fd >= 0);
}

/* The next segments through GRO, as one packet. spoil: a byte changes behind the push, when its checksum has been looked at. */
static int send_finished(peer *p, int spoil)
{
    static uint8_t bytes[FINISHED_COUNT][FINISHED_SEGMENT + 100];
    tuo_superpacket sp;
    size_t i, len;

    for (i = 0; i < FINISHED_COUNT; i++) {
        pkt_spec s = p->next;
        s.seq += (uint32_t)(i * FINISHED_SEGMENT);
        s.ip_id = (uint16_t)i;
        s.payload_len = i + 1 < FINISHED_COUNT ? FINISHED_SEGMENT : 33;
        s.tcp_flags = PKT_ACK | (i + 1 < FINISHED_COUNT ? 0 : PKT_PSH);
        len = pkt_build(bytes[i], sizeof bytes[i], &s);
        CHECK_VERDICT(tuo_gro_push(p->gro, bytes[i], len, NULL, 0), i ? TUO_V_APPENDED : TUO_V_HELD);
    }
    if (spoil)
        bytes[FINISHED_COUNT / 2][FINISHED_SEGMENT]++;
    return CHECK_RESULT(tuo_gro_next(p->gro, &sp), TUO_OK) && CHECK_EQ_INT(sp.packet_count, FINISHED_COUNT) &&
           CHECK_RESULT(tuo_tun_send_iov(p->tun, sp.iov, sp.iov_count, &sp.vnet), TUO_OK) &&
           CHECK_RESULT(tuo_gro_next(p->gro, &sp), TUO_DONE);
}

/* T 6.1: what is right is acknowledged as a whole, whatever the MTU; of what is not, nothing arrives. */
static void exchange(peer *p)
{
    static uint8_t got[FINISHED_COUNT * FINISHED_SEGMENT];
    const uint32_t len = (FINISHED_COUNT - 1) * FINISHED_SEGMENT + 33, start = p->next.seq;
    pkt_view v;
    uint32_t seq, ack, i;

    if (!send_finished(p, 1))
        return;
    CHECK(!answer(p, &v, &seq, &ack, 100));
    CHECK_EQ_INT(recv(p->fd, got, sizeof got, 0), -1);
    if (!send_finished(p, 0) || !CHECK(answer(p, &v, &seq, &ack, PATIENCE_MS)))
        return;
    CHECK_EQ_INT(ack - start, len);
    CHECK_EQ_INT(recv(p->fd, got, sizeof got, 0), (ssize_t)len);
    for (i = 0; i < len && got[i] == pkt_stream_byte(p->next.payload_seed, start + i); i++)
        continue;
    CHECK_EQ_INT(i, len);
    p->next.seq += len;
}

TEST(finished_superpackets_reach_a_socket)
{
    static const device local = {"kf", "10.2.0.1/8", "fd00:2::1/16", 1, 0};
    static const tuo_gro_desc desc = {.finish_checksum = 1, .no_vnet_hdr = 1};
    size_t mem_len = tuo_gro_memory_size(&desc);
    void *mem = malloc(mem_len);
    int v6;

    for (v6 = 0; v6 < 2; v6++) {
        peer p;
        int listener;
        check_row("IPv%d", v6 ? 6 : 4);
        memset(&p, 0, sizeof p);
        p.fd = -1;
        p.tun = new_world(0) ? open_device(&local) : NULL;
        if (!p.tun)
            break;
        listener = bound_socket(SOCK_STREAM, v6, v6 ? "fd00:2::1" : "10.2.0.1", FINISHED_PORT);
        CHECK_EQ_INT(listen(listener, 1), 0);
        CHECK_RESULT(tuo_gro_init(&p.gro, mem, mem_len, &desc), TUO_OK);
        p.next.kind = v6 ? PKT_TCP6 : PKT_TCP4;
        p.next.src = 5;
        p.next.dst = 1;
        p.next.dst_port = FINISHED_PORT;
        p.next.seq = 0xfffffff0u;
        p.next.payload_seed = 9;
        if (shake_hands(&p, listener)) {
            CHECK_EQ_INT(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
            exchange(&p);
            exchange(&p);
        }
        check_nothing_refused(p.tun);
        if (p.fd >= 0)
            close(p.fd);
        close(listener);
        tuo_tun_close(p.tun);
    }
    free(mem);
}

/* --------------------------------------------------------------------------------------------------- 4: the read side */

/* What was read: packets by flags and kind of GSO, and the segments that came of them. */
typedef struct shapes {
    size_t seen[4][4];   /* [NEEDS_CSUM | DATA_VALID][none, TCP, TCP with ECN bit, UDP] */
    size_t packets, segments, fragments, no_checksum, payload;
} shapes;

enum { GSO_NO, GSO_TCP, GSO_TCP_ECN, GSO_USO };

static int gso_class(uint8_t gso_type)
{
    switch (gso_type) {
    case TUO_GSO_NONE: return GSO_NO;
    case TUO_GSO_TCPV4: case TUO_GSO_TCPV6: return GSO_TCP;
    case TUO_GSO_TCPV4 | TUO_GSO_ECN: case TUO_GSO_TCPV6 | TUO_GSO_ECN: return GSO_TCP_ECN;
    default: return GSO_USO;
    }
}

/* A packet of wire size, with everything in it finished. */
static int check_finished(const uint8_t *p, size_t len, shapes *s)
{
    pkt_view v = pkt_look(p, len, 0, 0);

    s->segments++;
    s->fragments += v.fragment != 0;
    s->payload += v.payload_len;
    if (pkt_has_l4(&v) && v.proto == PKT_PROTO_UDP && pkt_get16(p + v.l4 + 6) == 0)
        s->no_checksum++;
    return CHECK_EQ_INT(v.status, PKT_OK) && CHECK_EQ_INT(v.end, len) && CHECK(ref_ip_valid(p, &v)) &&
           CHECK(ref_l4_valid(p, len, 0));
}

/* Splits what was read with its header; superpackets also naively. */
static int check_read(const uint8_t *p, size_t len, const tuo_vnet_hdr *vnet, shapes *s)
{
    static uint8_t flat[PACKET_MAX];
    ref_list naive = {NULL, NULL, 0};
    tuo_gso gso;
    tuo_segment segment;
    size_t i, at;
    int ok = CHECK_RESULT(tuo_gso_init(&gso, p, len, vnet, 0), TUO_OK);

    s->packets++;
    s->seen[vnet->flags & 3][gso_class(vnet->gso_type)]++;
    if (vnet->gso_type != TUO_GSO_NONE) {
        naive = ref_split(p, len, 0, vnet->gso_size);
        ok = ok && CHECK_EQ_INT(tuo_gso_count(&gso), naive.count) && CHECK(naive.count > 1);
    }
    for (i = 0; ok && tuo_gso_next(&gso, NULL, &segment) == TUO_OK; i++) {
        at = flatten(&segment, flat);
        ok = check_finished(flat, at, s);
        if (ok && naive.count)
            ok = CHECK_EQ_INT(at, naive.len[i]) && CHECK_BYTES(flat, naive.bytes[i], at);
    }
    ref_list_free(&naive);
    return ok;
}

/* --- A real TCP connection between two namespaces, carried by us --- */

typedef enum carrier {
    CARRY_SPLIT_AND_COALESCE, /* recv_batch, send_batch */
    CARRY_SUPERPACKETS        /* recv, send_iov; each is split as well, to look at the segments */
} carrier;

enum { TRANSFER_LEN = 1 << 20 };

typedef struct endpoint {
    tuo_tun *tun;
    int fd;
    uint32_t seed;        /* of the stream that it sends */
    uint32_t sent, received;
    int broken;
} endpoint;

typedef struct link_state {
    carrier mode;
    endpoint ends[2];
    int listener;
    pool *buffers;
    shapes shapes;
} link_state;

/* Everything that is waiting at one end goes into the other. 1 if there was something. */
static int carry(link_state *l, tuo_tun *from, tuo_tun *to)
{
    static uint8_t bytes[PACKET_MAX];
    tuo_vnet_hdr vnet;
    tuo_iov iov;
    size_t count, len;

    if (l->mode == CARRY_SPLIT_AND_COALESCE) {
        tuo_result result = tuo_tun_recv_batch(from, NULL, l->buffers->pointers, BATCH_MAX, 0, &count);
        size_t i;
        if (result == TUO_AGAIN)
            return 0;
        CHECK_RESULT(result, TUO_OK);
        for (i = 0; i < count; i++)
            check_finished(l->buffers->bytes[i], l->buffers->bufs[i].len, &l->shapes);
        return pool_send(to, l->buffers, count);
    }
    if (tuo_tun_recv(from, bytes, sizeof bytes, &vnet, &len) != TUO_OK)
        return 0;
    iov.base = bytes;
    iov.len = len;
    return check_read(bytes, len, &vnet, &l->shapes) && CHECK_RESULT(tuo_tun_send_iov(to, &iov, 1, &vnet), TUO_OK);
}

/* One end writes what its socket takes and compares what it got. */
static int pump(endpoint *e, uint32_t peer_seed)
{
    static uint8_t bytes[65536];
    size_t i, len = TRANSFER_LEN - e->sent < sizeof bytes ? TRANSFER_LEN - e->sent : sizeof bytes;
    ssize_t n;
    int progress = 0;

    for (i = 0; i < len; i++)
        bytes[i] = pkt_stream_byte(e->seed, e->sent + (uint32_t)i);
    n = len ? send(e->fd, bytes, len, MSG_NOSIGNAL) : 0;
    if (n > 0) {
        e->sent += (uint32_t)n;
        progress = 1;
    }
    n = recv(e->fd, bytes, sizeof bytes, 0);
    for (i = 0; n > 0 && i < (size_t)n; i++)
        e->broken |= bytes[i] != pkt_stream_byte(peer_seed, e->received + (uint32_t)i);
    if (n > 0) {
        e->received += (uint32_t)n;
        progress = 1;
    }
    return progress;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest(const link_state *l)
{
    struct pollfd fds[5];
    int i;

    for (i = 0; i < 2; i++) {
        fds[2 * i].fd = tuo_tun_fd(l->ends[i].tun);
        fds[2 * i + 1].fd = l->ends[i].fd; /* -1 is ignored */
        fds[2 * i].events = fds[2 * i + 1].events = POLLIN;
    }
    fds[4].fd = l->listener;
    fds[4].events = POLLIN;
    poll(fds, 5, 5);
}

static int transfer(link_state *l)
{
    endpoint *a = &l->ends[0], *b = &l->ends[1];
    int64_t end = now_ms() + 20000;

    while (a->received < TRANSFER_LEN || b->received < TRANSFER_LEN) {
        int progress = carry(l, a->tun, b->tun) | carry(l, b->tun, a->tun);
        if (a->fd < 0)
            a->fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (a->fd >= 0)
            progress |= pump(a, b->seed) | pump(b, a->seed);
        if (now_ms() > end || a->broken || b->broken)
            break;
        if (!progress)
            rest(l);
    }
    return CHECK_EQ_INT(a->received, TRANSFER_LEN) && CHECK_EQ_INT(b->received, TRANSFER_LEN) && CHECK(!a->broken) &&
           CHECK(!b->broken);
}

/* Each end in a namespace of its own; both ask for ECN. The prefixes reach over to the other end. */
static int open_link(link_state *l, int v6)
{
    static const device ends[2] = {{"ka", "10.1.0.1/8", "fd00:1::1/16", 0, 0}, {"kb", "10.2.0.1/8", "fd00:2::1/16", 0, 0}};
    struct sockaddr_storage address;
    socklen_t len;
    int i;

    l->listener = l->ends[0].fd = l->ends[1].fd = -1;
    for (i = 0; i < 2; i++) {
        if (!new_world(0))
            return 0;
        write_file("/proc/sys/net/ipv4/tcp_ecn", "1");
        l->ends[i].seed = 1 + (uint32_t)i;
        l->ends[i].tun = open_device(&ends[i]);
        if (!l->ends[i].tun)
            return 0;
        if (i == 0) {
            l->listener = bound_socket(SOCK_STREAM, v6, v6 ? "fd00:1::1" : "10.1.0.1", 7001);
            CHECK_EQ_INT(listen(l->listener, 1), 0);
        }
    }
    l->ends[1].fd = bound_socket(SOCK_STREAM, v6, v6 ? "fd00:2::1" : "10.2.0.1", 0);
    make_address(&address, &len, v6, v6 ? "fd00:1::1" : "10.1.0.1", 7001);
    return CHECK(connect(l->ends[1].fd, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS);
}

static void close_link(link_state *l)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (l->ends[i].fd >= 0)
            close(l->ends[i].fd);
        tuo_tun_close(l->ends[i].tun);
    }
    if (l->listener >= 0)
        close(l->listener);
}

static void check_link(const link_state *l)
{
    tun_stats a, b;

    a = tun_stats_of(l->ends[0].tun);
    b = tun_stats_of(l->ends[1].tun);
    check_nothing_refused(l->ends[0].tun);
    check_nothing_refused(l->ends[1].tun);
    CHECK(a.rx.rx_superpackets > 10);
    CHECK(b.rx.rx_superpackets > 10);
    CHECK(a.tx.tx_superpackets > 10);
    CHECK(b.tx.tx_superpackets > 10);
    printf("tcp: superpackets read %lu and %lu, written %lu and %lu, %lu segments\n", (unsigned long)a.rx.rx_superpackets,
           (unsigned long)b.rx.rx_superpackets, (unsigned long)a.tx.tx_superpackets, (unsigned long)b.tx.tx_superpackets,
           (unsigned long)l->shapes.segments);
    if (l->mode == CARRY_SUPERPACKETS) {
        CHECK(l->shapes.seen[1][GSO_TCP] > 10);
        CHECK(l->shapes.seen[1][GSO_NO] > 0); /* SYN, ACK: partial checksum, no superpacket */
    }
}

TEST(tcp_connects_through)
{
    static const struct {
        const char *name;
        int v6;
        carrier mode;
    } rows[] = {
        {"IPv4, split and coalesced", 0, CARRY_SPLIT_AND_COALESCE},
        {"IPv6, split and coalesced", 1, CARRY_SPLIT_AND_COALESCE},
        {"IPv4, superpackets as they are", 0, CARRY_SUPERPACKETS},
        {"IPv6, superpackets as they are", 1, CARRY_SUPERPACKETS},
    };
    static pool p;
    static link_state l;
    size_t i;

    pool_init(&p);
    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        memset(&l, 0, sizeof l);
        l.mode = rows[i].mode;
        l.buffers = &p;
        if (open_link(&l, rows[i].v6)) {
            transfer(&l);
            check_link(&l);
        }
        close_link(&l);
    }
}

/* --- Superpackets that the kernel forwards to us --- */

/* One superpacket in, as one packet out or as several if the device does not take it so; the segments are those of the input. */
static int pass_on(tuo_tun *in, tuo_tun *out, const super *s, shapes *counts)
{
    static uint8_t bytes[PACKET_MAX], flat[PACKET_MAX];
    ref_list naive = ref_split(s->bytes, s->len, 0, s->vnet.gso_size);
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment segment;
    size_t len, i = 0;
    int ok = send_super(in, s);

    while (ok && i < naive.count) {
        ok = CHECK(receive(out, bytes, &vnet, &len, PATIENCE_MS)) && check_read(bytes, len, &vnet, counts) &&
             CHECK_RESULT(tuo_gso_init(&gso, bytes, len, &vnet, 0), TUO_OK);
        while (ok && i < naive.count && tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
            hop(naive.bytes[i], naive.len[i]);
            ok = CHECK_EQ_INT(flatten(&segment, flat), naive.len[i]) && CHECK_BYTES(flat, naive.bytes[i], naive.len[i]);
            i++;
        }
    }
    ref_list_free(&naive);
    return ok;
}

TEST(superpackets_are_forwarded_to_us)
{
    static super s;
    rng r = rng_start("superpackets_are_forwarded_to_us", 4);
    shapes counts;
    tuo_tun *in, *out;
    size_t i, failures = 0;

    if (!new_world(1))
        return;
    memset(&counts, 0, sizeof counts);
    in = open_device(&device_k0);
    out = open_device(&device_k1);
    if (in && out)
        measure_tcp6_ext(&r, in, out);
    for (i = 0; in && out && i < 2000 && failures < 5; i++) {
        random_super(&r, &s);
        if (pkt_is_udp(&s.spec) && !takes_udp(in))
            continue;
        if (!pass_on(in, out, &s, &counts)) {
            failures++;
            drain(out);
        }
    }
    printf("forwarded: %lu packets, %lu segments; TCP %lu, TCP with ECN %lu, UDP %lu\n", (unsigned long)counts.packets,
           (unsigned long)counts.segments, (unsigned long)counts.seen[1][GSO_TCP], (unsigned long)counts.seen[1][GSO_TCP_ECN],
           (unsigned long)counts.seen[1][GSO_USO]);
    CHECK(counts.seen[1][GSO_TCP] > 500);
    CHECK(counts.seen[1][GSO_TCP_ECN] > 50);
    if (in && takes_udp(in))
        CHECK(counts.seen[1][GSO_USO] > 500);
    CHECK_EQ_INT(counts.seen[0][GSO_TCP] + counts.seen[0][GSO_USO] + counts.seen[2][GSO_TCP] + counts.seen[2][GSO_USO], 0);
    tuo_tun_close(in);
    tuo_tun_close(out);
}

/* --- GSO types that mean nothing, and UDP lengths that do (K 1.7h, 1.17) --- */

typedef struct odd_type {
    const char *name;
    pkt_spec spec;
    uint16_t gso_size;
    uint16_t seed_len; /* L4 length that the seed includes; 0: the right one */
} odd_type;

static const odd_type odd_types[] = {
    {"pure ACK", {.kind = PKT_TCP4, .payload_len = PKT_ZERO}, 1000, 0},
    {"pure ACK with options", {.kind = PKT_TCP6, .payload_len = PKT_ZERO, .tcp_options = nops, .tcp_options_len = 12}, 1000, 0},
    {"empty datagram", {.kind = PKT_UDP6, .payload_len = PKT_ZERO}, 1000, 0},
    {"one segment", {.kind = PKT_TCP6, .payload_len = 1000}, 1000, 0},
    {"one datagram", {.kind = PKT_UDP4, .payload_len = 1000}, 1000, 0},
    {"one datagram with a length of its own", {.kind = PKT_UDP6, .payload_len = 500, .udp_len = 108}, 1000, 508},
    {"UDP length of one segment", {.kind = PKT_UDP4, .payload_len = 2500, .udp_len = 1008}, 1000, 1008},
    {"UDP length of one segment, seed of all", {.kind = PKT_UDP6, .payload_len = 2500, .udp_len = 1008}, 1000, 2508},
};

/* What a reader without offloads gets from the kernel, one with offloads gets from tuo_tun_recv_batch. */
TEST(odd_gso_types_are_read_as_the_kernel_reads_them)
{
    static super s;
    static pool p;
    static uint8_t kernels[PACKET_MAX];
    const device *const outs[] = {&device_k1_plain, &device_k1};
    tuo_vnet_hdr vnet;
    size_t i, row, mode, received, len;

    for (row = 0; row < CHECK_COUNT_OF(odd_types); row++) {
        const odd_type *const odd = &odd_types[row];
        ref_list wire = {NULL, NULL, 0};

        check_row("%s", odd->name);
        memset(&s, 0, sizeof s);
        s.spec = odd->spec;
        s.spec.src = s.spec.dst = 9;
        s.spec.l4_csum_pseudo = 1;
        s.len = pkt_build(s.bytes, sizeof s.bytes, &s.spec);
        s.view = pkt_look(s.bytes, s.len, 0, 1);
        s.vnet.flags = TUO_VNET_NEEDS_CSUM;
        s.vnet.gso_type = pkt_is_udp(&s.spec) ? TUO_GSO_UDP_L4 : pkt_is_v6(&s.spec) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
        s.vnet.gso_size = odd->gso_size;
        s.vnet.csum_start = (uint16_t)s.view.l4;
        s.vnet.csum_offset = pkt_is_udp(&s.spec) ? 6 : 16;
        if (odd->seed_len)
            pkt_put16(s.bytes + pkt_l4_csum_at(&s.view), pkt_pseudo_sum(s.bytes + s.view.src, s.bytes + s.view.dst, s.view.addr_len,
                                                                       PKT_PROTO_UDP, odd->seed_len));
        wire = ref_wire(s.bytes, s.len, 0, &s.vnet);
        for (i = 0; i < wire.count; i++)
            hop(wire.bytes[i], wire.len[i]);
        for (mode = 0; mode < 2; mode++) {
            tuo_tun *in = NULL, *out = NULL;
            if (!new_world(1) || !(in = open_device(&device_k0)) || !(out = open_device(outs[mode])))
                continue;
            if (pkt_is_udp(&s.spec) && !takes_udp(in)) {
                cannot_run("no UDP superpackets in this kernel");
            } else if (send_super(in, &s) && mode == 0) {
                for (i = 0; i < wire.count && CHECK(receive(out, kernels, &vnet, &len, PATIENCE_MS)); i++)
                    if (CHECK_EQ_INT(len, wire.len[i]))
                        CHECK_BYTES(kernels, wire.bytes[i], len);
            } else {
                pool_init(&p);
                for (i = 0; i < wire.count; i++) {
                    tuo_result result;
                    while ((result = tuo_tun_recv_batch(out, NULL, p.pointers, 1, 0, &received)) == TUO_AGAIN &&
                           tuo_tun_wait(out, 0, PATIENCE_MS) == TUO_OK)
                        continue;
                    if (CHECK_RESULT(result, TUO_OK) && CHECK_EQ_INT(p.bufs[0].len, wire.len[i]))
                        CHECK_BYTES(p.bytes[0], wire.bytes[i], wire.len[i]);
                }
                check_nothing_refused(out);
            }
            tuo_tun_close(in);
            tuo_tun_close(out);
        }
        ref_list_free(&wire);
    }
}

/* --- Datagrams of local senders --- */

typedef struct sending {
    const char *name;
    int v6;
    size_t len;           /* of the one message that is sent */
    int segment;          /* UDP_SEGMENT, or 0 */
    int no_check;         /* SO_NO_CHECK */
    int dest_options;     /* IPv6 destination options on the socket */
    unsigned flags;       /* of the vnet headers that it makes */
    int gso;
    size_t packets;       /* read in all; 0 = not the same with all kernels */
    size_t segments;
} sending;

enum { MTU = 1500, SENDER_PORT = 7002, RECEIVER_PORT = 7003 };

static const sending sendings[] = {
    {"IPv4 datagram", 0, 1000, 0, 0, 0, 1, GSO_NO, 1, 1},
    {"IPv6 datagram", 1, 1000, 0, 0, 0, 1, GSO_NO, 1, 1},
    {"IPv4 datagram of a byte", 0, 1, 0, 0, 0, 1, GSO_NO, 1, 1},
    {"IPv4 UDP_SEGMENT", 0, 10500, 1000, 0, 0, 1, GSO_USO, 1, 11},
    {"IPv6 UDP_SEGMENT", 1, 10500, 1000, 0, 0, 1, GSO_USO, 1, 11},
    {"IPv4 UDP_SEGMENT, 64 bytes in 64", 0, 64, 1, 0, 0, 1, GSO_USO, 1, 64},
    {"IPv6 UDP_SEGMENT, equal parts", 1, 14000, 1400, 0, 0, 1, GSO_USO, 1, 10},
    {"IPv4 UDP_SEGMENT, one part", 0, 1000, 1000, 0, 0, 1, GSO_NO, 1, 1},
    {"IPv4 without checksum", 0, 1000, 0, 1, 0, 0, GSO_NO, 1, 1},
    {"IPv4 fragments", 0, 5000, 0, 0, 0, 0, GSO_NO, 4, 4},
    {"IPv6 fragments", 1, 5000, 0, 0, 0, 0, GSO_NO, 4, 4},
    {"IPv6 destination options", 1, 1000, 0, 0, 1, 0, GSO_NO, 1, 1},
    {"IPv6 destination options, UDP_SEGMENT", 1, 5000, 1000, 0, 1, 0, GSO_NO, 0, 5},
};

static void set_option(int fd, int level, int name, int value)
{
    CHECK_EQ_INT(setsockopt(fd, level, name, &value, sizeof value), 0);
}

/* Sends the one message, whose bytes are those of the stream with this seed. */
static int send_message(const sending *s, uint32_t seed)
{
    static const uint8_t padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};
    static uint8_t bytes[PACKET_MAX];
    struct sockaddr_storage address;
    socklen_t address_len;
    size_t i;
    int ok, fd = bound_socket(SOCK_DGRAM, s->v6, s->v6 ? "fd00:2::fffe" : "10.2.255.254", SENDER_PORT);

    for (i = 0; i < s->len; i++)
        bytes[i] = pkt_stream_byte(seed, (uint32_t)i);
    if (s->segment)
        set_option(fd, IPPROTO_UDP, UDP_SEGMENT, s->segment);
    if (s->no_check)
        set_option(fd, SOL_SOCKET, SO_NO_CHECK, 1);
    if (s->dest_options)
        CHECK_EQ_INT(setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, padding, sizeof padding), 0);
    make_address(&address, &address_len, s->v6, s->v6 ? "fd00:2::9" : "10.2.0.9", RECEIVER_PORT);
    ok = CHECK_EQ_INT(sendto(fd, bytes, s->len, 0, (struct sockaddr *)&address, address_len), s->len);
    close(fd);
    return ok;
}

/* What arrived, put together: datagrams one behind the other, fragments at their offset. */
typedef struct arrival {
    uint8_t bytes[PACKET_MAX];
    size_t len;
} arrival;

/* The data of a fragment; 0 if it is none. */
static size_t fragment_data(const uint8_t *p, const pkt_view *v, size_t *offset)
{
    if (!v->fragment)
        return 0;
    if (v->version == 4) {
        *offset = (size_t)(pkt_get16(p + v->ip + 6) & 0x1fff) * 8;
        return v->l4;
    }
    *offset = pkt_get16(p + v->l4 + 2) & 0xfff8u;
    return v->l4 + 8;
}

/* With fragments: the UDP header ends up in front of the payload, and its checksum is compared when all is there. */
static void arrive(arrival *a, const uint8_t *p, size_t len)
{
    pkt_view v = pkt_look(p, len, 0, 0);
    size_t offset = a->len, data = fragment_data(p, &v, &offset);

    if (!data)
        data = v.payload;
    if (!CHECK(data != 0) || !CHECK(offset + (v.end - data) <= sizeof a->bytes))
        return;
    memcpy(a->bytes + offset, p + data, v.end - data);
    a->len += v.end - data;
}

static void check_arrival(const arrival *a, const sending *s, uint32_t seed, int fragmented)
{
    static const uint8_t v4[8] = {10, 2, 255, 254, 10, 2, 0, 9};
    uint8_t v6[32] = {0xfd, 0, 0, 2}, *second = v6 + 16;
    size_t i, hdr = fragmented ? 8 : 0;

    v6[14] = 0xff;
    v6[15] = 0xfe;
    second[0] = 0xfd;
    second[3] = 2;
    second[15] = 9;
    if (!CHECK_EQ_INT(a->len, hdr + s->len))
        return;
    for (i = 0; i < s->len && a->bytes[hdr + i] == pkt_stream_byte(seed, (uint32_t)i); i++)
        continue;
    CHECK_EQ_INT(i, s->len);
    if (fragmented) {
        const uint8_t *addresses = s->v6 ? v6 : v4;
        size_t addr_len = s->v6 ? 16 : 4;
        unsigned pseudo = pkt_pseudo_sum(addresses, addresses + addr_len, addr_len, PKT_PROTO_UDP, a->len);
        CHECK_EQ_INT(pkt_sum(a->bytes, a->len, pseudo), 0xffff);
    }
}

/* One way: tuo_tun_recv and tuo_gso. */
static void read_unsplit(tuo_tun *tun, const sending *s)
{
    static uint8_t bytes[PACKET_MAX], flat[PACKET_MAX];
    static arrival a;
    shapes counts;
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment segment;
    size_t len;

    memset(&counts, 0, sizeof counts);
    a.len = 0;
    if (!send_message(s, 31))
        return;
    while (receive(tun, bytes, &vnet, &len, counts.segments < s->segments ? PATIENCE_MS : 0)) {
        if (!check_read(bytes, len, &vnet, &counts) || !CHECK_RESULT(tuo_gso_init(&gso, bytes, len, &vnet, 0), TUO_OK))
            return;
        while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK)
            arrive(&a, flat, flatten(&segment, flat));
    }
    CHECK_EQ_INT(counts.segments, s->segments);
    if (s->packets) {
        CHECK_EQ_INT(counts.packets, s->packets);
        CHECK_EQ_INT(counts.seen[s->flags][s->gso], s->packets);
    }
    CHECK_EQ_INT(counts.no_checksum, s->no_check);
    CHECK_EQ_INT(counts.fragments, s->len > MTU && !s->segment ? s->segments : 0);
    check_arrival(&a, s, 31, counts.fragments != 0);
}

/* The other way: tuo_tun_recv_batch, into so few buffers that it must be called again. */
static void read_batch(tuo_tun *tun, pool *p, const sending *s)
{
    static arrival a;
    shapes counts;
    size_t i, received;

    memset(&counts, 0, sizeof counts);
    a.len = 0;
    if (!send_message(s, 32))
        return;
    for (;;) {
        tuo_result result = tuo_tun_recv_batch(tun, NULL, p->pointers, 3, 0, &received);
        if (result == TUO_AGAIN && counts.segments < s->segments && tuo_tun_wait(tun, 0, PATIENCE_MS) == TUO_OK)
            continue;
        if (result == TUO_AGAIN || !CHECK_RESULT(result, TUO_OK))
            break;
        for (i = 0; i < received; i++) {
            if (!is_ours(p->bytes[i], p->bufs[i].len))
                continue;
            check_finished(p->bytes[i], p->bufs[i].len, &counts);
            arrive(&a, p->bytes[i], p->bufs[i].len);
        }
    }
    CHECK_EQ_INT(counts.segments, s->segments);
    check_arrival(&a, s, 32, counts.fragments != 0);
}

static const device device_sender = {"k1", "10.2.255.254/16", "fd00:2::fffe/64", 0, MTU};

TEST(local_senders_are_read)
{
    static pool p;
    tuo_tun *tun;
    size_t i;

    if (!new_world(0))
        return;
    tun = open_device(&device_sender);
    if (!tun)
        return;
    pool_init(&p);
    for (i = 0; i < CHECK_COUNT_OF(sendings); i++) {
        check_row("%s", sendings[i].name);
        if (sendings[i].gso == GSO_USO && !takes_udp(tun)) {
            cannot_run("no UDP superpackets in this kernel");
            continue;
        }
        read_unsplit(tun, &sendings[i]);
        read_batch(tun, &p, &sendings[i]);
    }
    check_nothing_refused(tun);
    tuo_tun_close(tun);
}

/* --- Finished packets that the kernel forwards --- */

TEST(plain_packets_are_forwarded_to_us)
{
    static uint8_t bytes[PACKET_MAX], built[PACKET_MAX];
    rng r = rng_start("plain_packets_are_forwarded_to_us", 5);
    shapes counts;
    tuo_tun *in, *out;
    size_t i, len, built_len;
    tuo_vnet_hdr vnet;
    int ok = 1;

    if (!new_world(1))
        return;
    memset(&counts, 0, sizeof counts);
    in = open_device(&device_k0);
    out = open_device(&device_k1);
    for (i = 0; in && out && ok && i < 500; i++) {
        pkt_spec s = random_headers(&r);
        s.payload_len = (int32_t)(1 + rng_below(&r, 1400));
        s.l4_csum_zero = s.kind == PKT_UDP4 && rng_chance(&r, 1, 4);
        built_len = pkt_build(built, sizeof built, &s);
        ok = CHECK_RESULT(tuo_tun_send(in, built, built_len), TUO_OK) && CHECK(receive(out, bytes, &vnet, &len, PATIENCE_MS)) &&
             check_read(bytes, len, &vnet, &counts);
        hop(built, built_len);
        ok = ok && CHECK_EQ_INT(len, built_len) && CHECK_BYTES(bytes, built, len);
    }
    CHECK_EQ_INT(counts.seen[0][GSO_NO] + counts.seen[2][GSO_NO], 500);
    CHECK(counts.no_checksum > 10);
    tuo_tun_close(in);
    tuo_tun_close(out);
}

/* --- VXLAN over the device: csum_start points into the inner packet (K 3.6) --- */

enum { VXLAN_INNER = 20 + 8 + 8, VXLAN_PORT = 4789 };

/* An interface over k1, with a neighbour behind it; udpcsum: the outer datagrams have checksums. */
static int add_vxlan(int udpcsum)
{
    char command[512];

    snprintf(command, sizeof command,
             "ip link add kx type vxlan id 7 remote 10.2.0.9 dstport %d %s dev k1 && ip link set kx addrgenmode none && "
             "ip addr add 10.3.0.1/24 dev kx && ip link set kx up && "
             "ip neigh add 10.3.0.2 lladdr 02:00:00:00:00:02 dev kx", VXLAN_PORT, udpcsum ? "udpcsum" : "noudpcsum");
    return system("ip -V > /dev/null 2>&1") == 0 && system(command) == 0;
}

static void send_through_vxlan(int segment, size_t len)
{
    static uint8_t bytes[PACKET_MAX];
    struct sockaddr_storage address;
    socklen_t address_len;
    int fd = bound_socket(SOCK_DGRAM, 0, "10.3.0.1", SENDER_PORT);

    if (segment)
        set_option(fd, IPPROTO_UDP, UDP_SEGMENT, segment);
    make_address(&address, &address_len, 0, "10.3.0.2", RECEIVER_PORT);
    CHECK_EQ_INT(sendto(fd, bytes, len, 0, (struct sockaddr *)&address, address_len), len);
    close(fd);
}

/* Outer and inner checksum of everything that comes out. */
static void read_vxlan(tuo_tun *tun, size_t payload, int udpcsum)
{
    static uint8_t bytes[PACKET_MAX], flat[PACKET_MAX];
    shapes outer, inner;
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment segment;
    size_t len, at, partial = 0;

    memset(&outer, 0, sizeof outer);
    memset(&inner, 0, sizeof inner);
    while (receive(tun, bytes, &vnet, &len, inner.payload < payload ? PATIENCE_MS : 0)) {
        partial += (vnet.flags & TUO_VNET_NEEDS_CSUM) && vnet.csum_start > VXLAN_INNER;
        if (!check_read(bytes, len, &vnet, &outer) || !CHECK_RESULT(tuo_gso_init(&gso, bytes, len, &vnet, 0), TUO_OK))
            return;
        while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
            at = flatten(&segment, flat);
            if (!CHECK(at > VXLAN_INNER + 14) || !CHECK_EQ_INT(pkt_get16(flat + 22), VXLAN_PORT))
                return;
            check_finished(flat + VXLAN_INNER + 14, at - VXLAN_INNER - 14, &inner);
        }
    }
    CHECK_EQ_INT(inner.payload, payload);
    CHECK_EQ_INT(outer.no_checksum, udpcsum ? 0 : outer.segments);
    CHECK_EQ_INT(inner.no_checksum, 0);
    printf("vxlan: %lu packets, csum_start inside in %lu\n", (unsigned long)outer.packets, (unsigned long)partial);
}

TEST(vxlan_over_the_device_is_read)
{
    static const struct {
        const char *name;
        int udpcsum, segment;
        size_t len;
    } rows[] = {
        {"no outer checksum", 0, 0, 1000},
        {"outer checksum", 1, 0, 1000},
        {"no outer checksum, UDP_SEGMENT", 0, 1000, 5500},
        {"outer checksum, UDP_SEGMENT", 1, 1000, 5500},
    };
    tuo_tun *tun;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        if (!new_world(0))
            continue;
        tun = open_device(&device_sender);
        if (tun && add_vxlan(rows[i].udpcsum)) {
            send_through_vxlan(rows[i].segment, rows[i].len);
            read_vxlan(tun, rows[i].len, rows[i].udpcsum);
        } else {
            cannot_run("no VXLAN here (kernel module, or the program ip)");
        }
        tuo_tun_close(tun);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(split_as_the_kernel_splits),
        CHECK_ENTRY(coalesce_as_the_kernel_coalesces),
        CHECK_ENTRY(the_listed_differences),
        CHECK_ENTRY(a_router_sees_no_difference),
        CHECK_ENTRY(udp_reaches_sockets),
        CHECK_ENTRY(udp_without_checksum_reaches_sockets),
        CHECK_ENTRY(finished_superpackets_reach_a_socket),
        CHECK_ENTRY(tcp_connects_through),
        CHECK_ENTRY(superpackets_are_forwarded_to_us),
        CHECK_ENTRY(odd_gso_types_are_read_as_the_kernel_reads_them),
        CHECK_ENTRY(local_senders_are_read),
        CHECK_ENTRY(plain_packets_are_forwarded_to_us),
        CHECK_ENTRY(vxlan_over_the_device_is_read),
    };

    return CHECK_RUN(argc, argv, tests);
}
