/* tuo_vnet_check(TUO_F_WRITE) held against the kernel that runs this test: pairs of a vnet header and a packet, made from valid ones by
   a few mutations, are written to a device. Each pair that the check accepts must be taken by write(), and what comes out behind the
   device must be, byte for byte, what tuo_gso_* makes of it. Two roads:
   - a TUN device, the kernel's router, and a TUN device without offloads;
   - a TAP device, a Linux bridge, and a TAP device without offloads.
   What the kernel drops or changes all the same is listed with its reason: `excuses`, and in kernel-rules.md behind 1.29.

   PAIRS=n: pairs on each road. TEST_SEED=n: others. PAIR=0x...: only this one, which a failure has named.
   Everything happens in network namespaces of this process' own. Needs root and a TUN driver. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "check.h"
#include "packets.h"
#include "netns.h"

enum {
    PACKET_CAP = 65535 + 200, /* bytes of a packet, with headers that no length field counts */
    GROUP = 16,               /* pairs that are written before anything is read */
    PAIRS_DEFAULT = 20000,
    SEGS_MAX = 600,           /* of one pair; the queue behind has room for a group of these (K 7.14) */
    QUEUE_LEN = GROUP * SEGS_MAX,
    PATIENCE_MS = 1000,       /* for what comes late; only failures wait so long, */
    FAILURES_MAX = 10,        /* after which it is enough */
    MUTATIONS_MAX = 3,
    TUN_MTU = 65535, TAP_MTU = 65521
};

typedef struct pair {
    uint64_t seed;
    pkt_spec spec;            /* before the mutations */
    const char *mutations[MUTATIONS_MAX];
    tuo_vnet_hdr vnet;
    size_t wire_len;          /* of the vnet header: 10 to 24 bytes, of which the kernel looks at 10 */
    uint8_t wire[TUO_VNET_LEN_MAX];
    size_t len;
    tuo_result check;
    size_t segs;              /* that the splitter makes of it; 0: it refuses */
    int error;                /* of write(); 0: taken */
    int jumbo;                /* has a jumbo payload option (RFC 2675) */
    uint8_t bytes[PACKET_CAP];
} pair;

/* ------------------------------------------------------------------------------------------------------------- roads */

struct road {
    int ethernet;
    int in, out;      /* descriptors */
    size_t wire_len;  /* of vnet headers, as it is set */
};

static tuo_tun *devices[2];

static unsigned frame_flags(const struct road *road)
{
    return road->ethernet ? (unsigned)TUO_F_ETHERNET : 0u;
}

static int interface_ioctl(unsigned long number, void *argument)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), returned = ioctl(fd, number, argument);

    close(fd);
    return returned;
}

static tuo_tun *open_device(const tuo_tun_desc *desc)
{
    tuo_tun *tun = NULL;
    struct ifreq request;
    int error = 0;

    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", desc->name);
    request.ifr_qlen = QUEUE_LEN;
    if (!CHECK_RESULT(tuo_tun_open(&tun, desc, &error), TUO_OK)) {
        printf("%s: %s\n", desc->name, strerror(error));
        return NULL;
    }
    CHECK_EQ_INT(interface_ioctl(SIOCSIFTXQLEN, &request), 0);
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    if (desc->address6)
        wait_for_address6(desc->address6);
    return tun;
}

static int open_devices(struct road *r, const tuo_tun_desc *in, const tuo_tun_desc *out)
{
    devices[0] = open_device(in);
    devices[1] = open_device(out);
    if (!devices[0] || !devices[1])
        return 0;
    r->in = tuo_tun_fd(devices[0]);
    r->out = tuo_tun_fd(devices[1]);
    return 1;
}

static void close_road(void)
{
    tuo_tun_close(devices[0]);
    tuo_tun_close(devices[1]);
}

/* Interfaces do not announce themselves, so that what is read is what was written. */
static int new_namespace(const char *disable_ipv6)
{
    if (!netns_ready())
        return 0;
    netns_enter();
    return CHECK(no_tun == NULL) && CHECK(put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", disable_ipv6)) &&
           CHECK(put_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1\n")) &&
           CHECK(put_file("/proc/sys/net/ipv6/conf/default/router_solicitations", "0\n")) &&
           CHECK(put_file("/proc/sys/net/ipv6/conf/all/forwarding", "1\n"));
}

/* The networks of packets.h: 10.1.x.x and fd00:1:: in front, 10.2.x.x and fd00:2:: behind. Segments of any size pass. */
static int routed_tuns(struct road *r)
{
    tuo_tun_desc in, out;

    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    in.name = "vin0";
    in.address4 = "10.1.255.254/16";
    in.address6 = "fd00:1::fffe/64";
    out.name = "vout0";
    out.address4 = "10.2.255.254/16";
    out.address6 = "fd00:2::fffe/64";
    out.no_vnet_hdr = 1;
    in.mtu = out.mtu = TUN_MTU;
    r->ethernet = 0;
    r->wire_len = 0;
    return new_namespace("0\n") && open_devices(r, &in, &out);
}

static int join_bridge(const char *bridge, const char *port)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", bridge);
    request.ifr_ifindex = (int)if_nametoindex(port);
    return interface_ioctl(SIOCBRADDIF, &request);
}

static int bridged_taps(struct road *r)
{
    tuo_tun_desc in, out;
    struct ifreq up;
    char name[IFNAMSIZ] = "vbr0";

    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    memset(&up, 0, sizeof up);
    in.name = "vin0";
    out.name = "vout0";
    in.tap = out.tap = 1;
    in.mtu = out.mtu = TAP_MTU;
    out.no_vnet_hdr = 1;
    r->ethernet = 1;
    r->wire_len = 0;
    memcpy(up.ifr_name, name, sizeof name);
    up.ifr_flags = IFF_UP;
    if (!new_namespace("1\n"))
        return 0;
    put_file("/proc/sys/net/bridge/bridge-nf-call-iptables", "0\n"); /* is not everywhere: the bridge looks at no IP header */
    put_file("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0\n");
    return open_devices(r, &in, &out) && CHECK_EQ_INT(interface_ioctl(SIOCBRADDBR, name), 0) &&
           CHECK_EQ_INT(join_bridge(name, "vin0"), 0) && CHECK_EQ_INT(join_bridge(name, "vout0"), 0) &&
           CHECK_EQ_INT(interface_ioctl(SIOCSIFFLAGS, &up), 0);
}

/* --------------------------------------------------------------------------------------------------------- valid pairs */

static uint8_t payload_bytes[PACKET_CAP];

static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static void random_headers(rng *r, int ethernet, pkt_spec *s)
{
    static const char *const chains[] = {"D", "H", "HD", "HDR", "R", "DDDD", "r", "HDDDDDDD", "DDDDDDDDD", "F", "f", "A", "E", "U"};
    size_t i;

    memset(s, 0, sizeof *s);
    s->kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT);
    s->src = (uint16_t)(1 + rng_below(r, 1000));
    s->dst = (uint16_t)(1 + rng_below(r, 1000));
    s->src_port = (int32_t)(1 + rng_below(r, 65535));
    s->dst_port = (int32_t)(1 + rng_below(r, 65535));
    s->ttl = (int32_t)(2 + rng_below(r, 254));
    s->tos = (uint8_t)rng_below(r, 256);
    s->ip_id = (uint16_t)rng_u64(r);
    s->df = rng_chance(r, 1, 2) ? PKT_ZERO : 0;
    s->seq = (uint32_t)rng_u64(r);
    s->ack = (uint32_t)rng_u64(r);
    s->window = (int32_t)(1 + rng_below(r, 65535));
    s->tcp_flags = (int32_t)(1 + rng_below(r, 255));
    s->flow_label = rng_below(r, 1 << 20);
    s->payload = payload_bytes + rng_below(r, 100);
    if (rng_chance(r, 1, 3)) {
        s->tcp_options = nops;
        s->tcp_options_len = (uint8_t)(4 * (1 + rng_below(r, 10)));
    }
    if (rng_chance(r, 1, 5)) {
        s->ip_options = nops;
        s->ip_options_len = (uint8_t)(4 * (1 + rng_below(r, 10)));
    }
    if (rng_chance(r, 1, 4))
        s->ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
    if (!ethernet)
        return;
    s->ethernet = 1;
    s->vlan_count = (uint8_t)(rng_chance(r, 1, 2) ? 0 : rng_below(r, 6));
    for (i = 0; i < s->vlan_count; i++) {
        s->vlan_tci[i] = (uint16_t)(1 + rng_below(r, 4094));
        s->vlan_tpid[i] = rng_chance(r, 1, 3) ? 0x88a8 : 0;
    }
}

/* Segments of about every size and number, and what lies around the limits. */
static uint32_t random_geometry(rng *r, pkt_spec *s)
{
    static const uint32_t sizes[] = {1, 2, 7, 8, 9, 16, 36, 100, 536, 1000, 1400, 1448, 9000, 32767, 65534};
    static const uint32_t segs[] = {1, 1, 2, 2, 3, 64, 65, 127, 128, 128, 129};
    const uint32_t hdr_len = (uint32_t)(pkt_payload_off(s) - pkt_ip_off(s)), most = 65535 + (pkt_is_v6(s) ? 40u : 0u) - hdr_len;
    uint32_t size = rng_chance(r, 1, 3) ? 1 + rng_below(r, 2000) : sizes[rng_below(r, CHECK_COUNT_OF(sizes))];
    uint32_t count = rng_chance(r, 1, 2) ? 1 + rng_below(r, 12) : segs[rng_below(r, CHECK_COUNT_OF(segs))], len;

    if (rng_chance(r, 1, 40)) { /* as large as can be, or a little larger */
        size = 100 + rng_below(r, 3000);
        len = most - 3 + rng_below(r, 7);
    } else {
        len = size * count;
        if (rng_chance(r, 1, 2))
            len -= rng_below(r, size);
        if (rng_chance(r, 1, 6))
            len = len + rng_below(r, 3) - 1;
        if (len > 20000 && !rng_chance(r, 1, 8))
            len = 1 + len % 3000;
    }
    if (len > most + 3)
        len = most + 3;
    s->payload_len = len ? (int32_t)len : PKT_ZERO;
    return size;
}

static void valid_pair(rng *r, int ethernet, pair *p)
{
    pkt_spec *const s = &p->spec;
    uint32_t gso_size;
    int partial, gso;

    memset(p, 0, offsetof(pair, bytes));
    random_headers(r, ethernet, s);
    gso_size = random_geometry(r, s);
    gso = rng_chance(r, 3, 4);
    partial = rng_chance(r, gso ? 5 : 2, gso ? 6 : 3);
    s->l4_csum_pseudo = (uint8_t)partial;
    p->len = pkt_build(p->bytes, sizeof p->bytes, s);
    if (gso) {
        p->vnet.gso_type = pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
        p->vnet.gso_size = (uint16_t)gso_size;
        if (!pkt_is_udp(s) && rng_chance(r, 1, 8))
            p->vnet.gso_type |= TUO_GSO_ECN;
    }
    if (partial) {
        p->vnet.flags = TUO_VNET_NEEDS_CSUM;
        p->vnet.csum_start = (uint16_t)pkt_l4_off(s);
        p->vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
    }
    if (rng_chance(r, 3, 4))
        p->vnet.hdr_len = (uint16_t)pkt_payload_off(s);
}

/* ----------------------------------------------------------------------------------------------------------- mutations */

static uint16_t near16(rng *r, uint32_t value, uint32_t by)
{
    return (uint16_t)(value + rng_below(r, 2 * by + 1) - by);
}

static uint8_t *ip_of(pair *p) { return p->bytes + pkt_ip_off(&p->spec); }
static uint8_t *l4_of(pair *p) { return p->bytes + pkt_l4_off(&p->spec); }

/* The rest of the packet behind its first bytes, as far as it goes. */
static size_t left_of(const pair *p, const uint8_t *at)
{
    const uint8_t *end = p->bytes + p->len;

    return at < end ? (size_t)(end - at) : 0;
}

static void m_hdr_len(rng *r, pair *p)
{
    const uint32_t some[] = {0, 1, 13, 14, 20, 65535, (uint32_t)p->len, (uint32_t)p->len + 1, (uint32_t)pkt_l4_off(&p->spec)};

    p->vnet.hdr_len = (uint16_t)(rng_chance(r, 1, 3) ? rng_below(r, (uint32_t)p->len + 2) : some[rng_below(r, CHECK_COUNT_OF(some))]);
}

static void m_gso_size(rng *r, pair *p)
{
    const uint32_t payload = (uint32_t)pkt_payload_len(&p->spec), options = (p->spec.tcp_options_len + 3u) / 4 * 4;
    const uint32_t some[] = {0, 1, 2, 7, 8, 0xffff, 0xfffe, payload, payload + 1, payload - 1, payload + options, payload + options - 1,
                             payload / 2, payload / 128, payload / 128 + 1};

    p->vnet.gso_size = (uint16_t)(rng_chance(r, 1, 4) ? rng_u64(r) : some[rng_below(r, CHECK_COUNT_OF(some))]);
}

static void m_gso_type(rng *r, pair *p)
{
    static const uint8_t some[] = {0, 1, 4, 5, 3, 2, 0x81, 0x84, 0x85, 0x80, 0x21, 0x45, 0x10};

    p->vnet.gso_type = rng_chance(r, 1, 8) ? (uint8_t)rng_u64(r) : some[rng_below(r, CHECK_COUNT_OF(some))];
    if (p->vnet.gso_size == 0)
        p->vnet.gso_size = (uint16_t)(1 + rng_below(r, 1500));
}

static void m_flags(rng *r, pair *p)
{
    p->vnet.flags = rng_chance(r, 1, 2) ? (uint8_t)rng_u64(r) : (uint8_t)(p->vnet.flags ^ TUO_VNET_NEEDS_CSUM);
}

static void m_csum_start(rng *r, pair *p)
{
    const uint32_t len = (uint32_t)p->len, some[] = {0, 13, 14, 19, 20, 33, 34, 39, 40, 53, 54, 65535, len, len - 1, len - 2};

    p->vnet.csum_start = rng_chance(r, 1, 3)   ? near16(r, p->vnet.csum_start, 8)
                         : rng_chance(r, 1, 4) ? near16(r, len - 100, 100)
                         : rng_chance(r, 1, 2) ? (uint16_t)rng_below(r, len + 2)
                                               : (uint16_t)some[rng_below(r, CHECK_COUNT_OF(some))];
}

static void m_csum_offset(rng *r, pair *p)
{
    const uint32_t room = (uint32_t)p->len - p->vnet.csum_start;
    const uint32_t some[] = {0, 6, 16, 65535, room, room - 1, room - 2};

    p->vnet.csum_offset = rng_chance(r, 1, 2) ? near16(r, p->vnet.csum_offset, 4) : (uint16_t)some[rng_below(r, CHECK_COUNT_OF(some))];
}

static void m_ip_len(rng *r, pair *p)
{
    uint8_t *const field = ip_of(p) + (pkt_is_v6(&p->spec) ? 4 : 2);
    const uint32_t hdrs = (uint32_t)(pkt_payload_off(&p->spec) - pkt_ip_off(&p->spec)) - (pkt_is_v6(&p->spec) ? 40 : 0);

    pkt_put16(field, rng_chance(r, 1, 2)   ? 0
                     : rng_chance(r, 1, 2) ? near16(r, pkt_get16(field), 20)
                     : rng_chance(r, 1, 2) ? near16(r, hdrs + p->vnet.gso_size, 3)
                                           : near16(r, hdrs, 3));
}

static void m_udp_len(rng *r, pair *p)
{
    uint8_t *const field = l4_of(p) + 4;

    pkt_put16(field, rng_chance(r, 1, 3) ? 0 : rng_chance(r, 1, 2) ? near16(r, pkt_get16(field), 4) : 8u + p->vnet.gso_size);
}

static void m_trailer(rng *r, pair *p)
{
    size_t more = rng_chance(r, 1, 4) ? p->vnet.gso_size : 1 + rng_below(r, 40);

    if (more > sizeof p->bytes - p->len)
        more = sizeof p->bytes - p->len;
    memset(p->bytes + p->len, 0xa5, more);
    p->len += more;
}

static void m_cut(rng *r, pair *p)
{
    size_t less = rng_chance(r, 1, 2) ? 1 + rng_below(r, 60) : rng_below(r, (uint32_t)p->len + 1);

    p->len -= less < p->len ? less : p->len;
}

static void m_protocol(rng *r, pair *p)
{
    static const uint8_t some[] = {6, 17, 1, 58, 0, 43, 44, 60, 51, 50, 59, 4, 41, 47, 132, 253};

    ip_of(p)[pkt_is_v6(&p->spec) ? 6 : 9] = some[rng_below(r, sizeof some)];
}

static void m_first_byte(rng *r, pair *p)
{
    uint8_t *const ip = ip_of(p);

    if (rng_chance(r, 1, 3))
        ip[0] = (uint8_t)rng_u64(r);
    else
        ip[0] = (uint8_t)((ip[0] & 0xf0u) | rng_below(r, 16));
}

static void m_tcp_header(rng *r, pair *p) { l4_of(p)[12] = (uint8_t)rng_u64(r); }

static void m_fragment(rng *r, pair *p)
{
    static const uint16_t some[] = {0x2000, 0x8000, 0x4000, 1, 0x2001, 0x1fff, 0xe000};

    if (pkt_is_v6(&p->spec))
        ip_of(p)[6] = 44;
    else
        pkt_put16(ip_of(p) + 6, some[rng_below(r, CHECK_COUNT_OF(some))]);
}

static void m_extension(rng *r, pair *p)
{
    uint8_t *const ip = ip_of(p);

    if (!pkt_is_v6(&p->spec) || left_of(p, ip + 40) < 8)
        return;
    if (rng_chance(r, 1, 3)) {
        ip[6] = 0;
        ip[40] = (uint8_t)(pkt_is_udp(&p->spec) ? 17 : 6);
        ip[41] = 0;
        ip[42] = 0xc2;
        ip[43] = 4;
        pkt_put32(ip + 44, (uint32_t)left_of(p, ip + 40));
        pkt_put16(ip + 4, rng_chance(r, 1, 2) ? 0 : pkt_get16(ip + 4));
        p->jumbo = 1;
    } else {
        ip[40 + rng_below(r, 2)] = (uint8_t)rng_below(r, 70);
    }
}

static void m_ethertype(rng *r, pair *p)
{
    static const uint16_t some[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x8847, 0, 100, 0x8864};

    if (p->spec.ethernet)
        pkt_put16(ip_of(p) - 2, some[rng_below(r, CHECK_COUNT_OF(some))]);
}

static void m_byte(rng *r, pair *p)
{
    const uint32_t hdr = (uint32_t)(pkt_payload_off(&p->spec) - pkt_ip_off(&p->spec));
    uint8_t *const at = ip_of(p) + rng_below(r, hdr);

    if (left_of(p, at))
        *at ^= (uint8_t)(1u << rng_below(r, 8));
}

static void m_vnet_byte(rng *r, pair *p)
{
    uint8_t bytes[TUO_VNET_LEN];

    CHECK_RESULT(tuo_vnet_encode(&p->vnet, sizeof bytes, TUO_ORDER_NATIVE, bytes, sizeof bytes), TUO_OK);
    bytes[rng_below(r, sizeof bytes)] ^= (uint8_t)(1u << rng_below(r, 8));
    CHECK_RESULT(tuo_vnet_decode(bytes, sizeof bytes, sizeof bytes, TUO_ORDER_NATIVE, &p->vnet), TUO_OK);
}

static const struct {
    const char *name;
    void (*apply)(rng *r, pair *p);
} mutations[] = {
    {"hdr_len", m_hdr_len}, {"gso_size", m_gso_size}, {"gso_size", m_gso_size}, {"gso_type", m_gso_type}, {"flags", m_flags},
    {"csum_start", m_csum_start}, {"csum_offset", m_csum_offset}, {"ip_len", m_ip_len}, {"ip_len", m_ip_len}, {"udp_len", m_udp_len},
    {"trailer", m_trailer}, {"trailer", m_trailer}, {"cut", m_cut}, {"protocol", m_protocol}, {"first_byte", m_first_byte},
    {"tcp_header", m_tcp_header}, {"fragment", m_fragment}, {"extension", m_extension}, {"ethertype", m_ethertype}, {"byte", m_byte},
    {"vnet_byte", m_vnet_byte},
};

/* What a router drops of any packet is no matter of the vnet header: addresses, TTL, header checksum, options. */
static void tame(pair *p)
{
    uint8_t *const ip = ip_of(p);
    const size_t left = left_of(p, ip);
    size_t hdr;

    if (left >= 20 && ip[0] >> 4 == 4) {
        hdr = (size_t)(ip[0] & 15) * 4;
        if (ip[8] < 2)
            ip[8] = 64;
        pkt_put32(ip + 12, 0x0a010000u + p->spec.src);
        pkt_put32(ip + 16, 0x0a020000u + p->spec.dst);
        if (hdr < 20 || hdr > left)
            return;
        memset(ip + 20, 1, hdr - 20);
        pkt_put16(ip + 10, 0);
        pkt_put16(ip + 10, ~pkt_sum(ip, hdr, 0) & 0xffff);
    } else if (left >= 40 && ip[0] >> 4 == 6) {
        if (ip[7] < 2)
            ip[7] = 64;
        memset(ip + 8, 0, 32);
        pkt_put32(ip + 8, 0xfd000001u);
        pkt_put32(ip + 20, p->spec.src);
        pkt_put32(ip + 24, 0xfd000002u);
        pkt_put32(ip + 36, p->spec.dst);
        if (ip[6] == 0 && left >= 48 && !p->jumbo) { /* hop-by-hop options that a router steps over */
            ip[41] = 0;
            pkt_put32(ip + 42, 0x01040000u);
            pkt_put16(ip + 46, 0);
        }
    }
}

static size_t segments_of(const struct road *road, const pair *p)
{
    tuo_gso gso;

    if (tuo_gso_init(&gso, p->bytes, p->len, &p->vnet, TUO_F_TRUST | TUO_F_STRIP_JUMBO | frame_flags(road)) != TUO_OK)
        return 0;
    return tuo_gso_count(&gso);
}

static void make_pair(const struct road *road, pair *p, uint64_t seed)
{
    rng r;
    size_t i, count;

    r.state = seed;
    valid_pair(&r, road->ethernet, p);
    p->seed = seed;
    p->wire_len = TUO_VNET_LEN + (seed & 15) % 15;
    count = rng_below(&r, MUTATIONS_MAX + 1);
    for (i = 0; i < count && p->len >= 14; i++) {
        const size_t which = rng_below(&r, CHECK_COUNT_OF(mutations));
        p->mutations[i] = mutations[which].name;
        mutations[which].apply(&r, p);
    }
    if (p->vnet.gso_size && p->len / p->vnet.gso_size > SEGS_MAX)
        p->vnet.gso_size = (uint16_t)(1 + p->len / SEGS_MAX);
    tame(p);
    if (rng_chance(&r, 1, 2))
        rng_bytes(&r, p->wire, sizeof p->wire);
    CHECK_RESULT(tuo_vnet_encode(&p->vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, p->wire, sizeof p->wire), TUO_OK);
    p->check = tuo_vnet_check(&p->vnet, p->bytes, p->len, TUO_F_WRITE | frame_flags(road));
    p->segs = segments_of(road, p);
}

/* ------------------------------------------------------------------------------------------------------------ excuses */

/* The end of an IP packet that is not cut, as a router finds it; 0: it drops the packet. */
static size_t routed_len(const uint8_t *ip, size_t len)
{
    size_t hdr, total;

    if (len >= 20 && ip[0] >> 4 == 4) {
        hdr = (size_t)(ip[0] & 15) * 4;
        total = pkt_get16(ip + 2);
        return hdr < 20 || total < hdr || total > len ? 0 : total;
    }
    if (len < 40 || ip[0] >> 4 != 6)
        return 0;
    total = 40 + pkt_get16(ip + 4);
    if (ip[6] != 0)
        return total > len ? 0 : total;
    if (total == 40) /* a hop-by-hop header could have a jumbo payload option */
        total = len;
    return total > len || total < 48 || total < 48 + 8u * ip[41] ? 0 : total;
}

static int is_broken(const struct road *road, const pair *p)
{
    return p->segs == 1 && !road->ethernet && routed_len(p->bytes, p->len) == 0;
}

/* On a TAP device as long as it is; the router looks at the IP packet. */
static int exceeds_mtu(const struct road *road, const pair *p)
{
    if (p->segs > 1)
        return !road->ethernet && p->spec.ethernet == 0 && pkt_payload_off(&p->spec) + p->vnet.gso_size > TUN_MTU;
    return road->ethernet ? p->len > TAP_MTU + 14 : routed_len(p->bytes, p->len) > TUN_MTU;
}

static int is_jumbo(const struct road *road, const pair *p)
{
    return p->jumbo && (!road->ethernet || p->segs > 1);
}

static int ends_in_a_tag(const struct road *road, const pair *p)
{
    const unsigned type = p->len >= 14 ? pkt_get16(p->bytes + 12) : 0;

    return road->ethernet && (type == 0x8100 || type == 0x88a8) && p->len < 14 + 4 + 4;
}

/* linux net/bridge/br_forward.c br_dev_queue_push_xmit: a partial checksum, and no type behind the tags. */
static int has_no_type(const struct road *road, const pair *p)
{
    size_t at = 12;

    while (road->ethernet && at + 6 <= p->len && (pkt_get16(p->bytes + at) == 0x8100 || pkt_get16(p->bytes + at) == 0x88a8))
        at += 4;
    return at > 12 && p->segs == 1 && (p->vnet.flags & TUO_VNET_NEEDS_CSUM) && (at + 6 > p->len || pkt_get16(p->bytes + at) == 0);
}

/* What not all kernels do with superpackets; found out before the pairs are tried. */
static struct {
    int takes_udp, forwards_tcp6_ext, takes_length_0, cuts_tiny;
} kernel;

static int is_unknown_here(const struct road *road, const pair *p)
{
    const pkt_view v = pkt_look(p->bytes, p->len, road->ethernet, 1);

    if (p->vnet.gso_type == TUO_GSO_UDP_L4 && !kernel.takes_udp)
        return 1;
    if (p->segs < 2 || !pkt_has_l4(&v) || v.proto != PKT_PROTO_TCP)
        return 0;
    return (v.version == 6 && v.l4 > v.ip + 40 && !kernel.forwards_tcp6_ext) || (p->vnet.gso_size < 8 && !kernel.cuts_tiny) ||
           (v.version == 4 && pkt_get16(p->bytes + v.ip + 2) == 0 && !kernel.takes_length_0);
}

static const struct {
    const char *reason;
    int (*holds)(const struct road *road, const pair *p);
} excuses[] = {
    {"a broken IP packet", is_broken},
    {"longer than the MTU", exceeds_mtu},
    {"a jumbo payload option", is_jumbo},
    {"a frame that ends in its VLAN tag", ends_in_a_tag},
    {"no type behind the VLAN tags", has_no_type},
    {"not with this kernel", is_unknown_here},
};

/* --------------------------------------------------------------------------------------------------------- comparison */

typedef struct tally {
    unsigned long pairs, accepted, segments, failed;
    unsigned long excused[CHECK_COUNT_OF(excuses)];
    unsigned long refused, refused_by_kernel, dropped_by_kernel; /* by the check; and of these */
} tally;

static void write_pair(struct road *road, pair *p)
{
    struct iovec iov[2];
    int len = (int)p->wire_len;

    if (road->wire_len != p->wire_len)
        CHECK_EQ_INT(ioctl(road->in, TUNSETVNETHDRSZ, &len), 0);
    road->wire_len = p->wire_len;
    iov[0].iov_base = p->wire;
    iov[0].iov_len = p->wire_len;
    iov[1].iov_base = p->bytes;
    iov[1].iov_len = p->len;
    p->error = writev(road->in, iov, 2) < 0 ? errno : 0;
}

/* The next packet behind the devices, or 0. What the kernel says itself on a bridge has other addresses. */
static size_t read_out(const struct road *road, uint8_t *bytes, int patience_ms)
{
    static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    struct pollfd poller = {road->out, POLLIN, 0};

    for (;;) {
        const ssize_t n = read(road->out, bytes, PACKET_CAP);
        if (n > 0 && (!road->ethernet || memcmp(bytes, addresses, sizeof addresses) == 0))
            return (size_t)n;
        if (n <= 0 && (patience_ms == 0 || poll(&poller, 1, patience_ms) <= 0))
            return 0;
    }
}

static size_t drain(const struct road *road)
{
    static uint8_t bytes[PACKET_CAP];
    size_t count = 0;

    while (read_out(road, bytes, 0))
        count++;
    return count;
}

/* What a router does to a packet; the checksum as it does it (RFC 1624), so that a wrong one stays wrong. */
static void hop(uint8_t *ip)
{
    const int v6 = ip[0] >> 4 == 6;

    ip[v6 ? 7 : 8]--;
    if (!v6)
        pkt_put16(ip + 10, (pkt_get16(ip + 10) + 0x100) % 0xffff);
}

static size_t flatten(const tuo_segment *segment, uint8_t *flat)
{
    size_t i, at = 0;

    for (i = 0; i < segment->iov_count; at += segment->iov[i++].len)
        memcpy(flat + at, segment->iov[i].base, segment->iov[i].len);
    return at;
}

/* The segments that should come out against those that do. NULL, or what is wrong. */
static const char *compare(const struct road *road, const pair *p, int patience_ms, tally *t)
{
    static uint8_t want[PACKET_CAP], have[PACKET_CAP];
    size_t len = p->segs == 1 && !road->ethernet ? routed_len(p->bytes, p->len) : p->len, got;
    tuo_segment segment;
    tuo_gso gso;

    if (p->error)
        return "write() refuses it";
    if (tuo_gso_init(&gso, p->bytes, len, &p->vnet, TUO_F_TRUST | TUO_F_STRIP_JUMBO | frame_flags(road)) != TUO_OK)
        return "the splitter refuses it";
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        len = flatten(&segment, want);
        if (!road->ethernet)
            hop(want);
        got = read_out(road, have, patience_ms);
        if (got == 0)
            return tuo_gso_remaining(&gso) + 1 < p->segs ? "some of its segments are lost" : "it is lost";
        if (got != len || memcmp(want, have, len) != 0)
            return "other bytes come out";
        t->segments++;
    }
    return NULL;
}

static void report(const pair *p, const char *what)
{
    const tuo_vnet_hdr *const h = &p->vnet;
    size_t i;

    CHECK_EQ_STR(what, NULL);
    if (check_state.printed > CHECK_PRINT_MAX)
        return;
    printf("    PAIR=0x%llx: kind %d, options %d, IPv4 options %d, extensions %s, %d tags, payload %d; mutated:",
           (unsigned long long)p->seed, (int)p->spec.kind, p->spec.tcp_options_len, p->spec.ip_options_len,
           p->spec.ext_chain ? p->spec.ext_chain : "-", p->spec.vlan_count, (int)pkt_payload_len(&p->spec));
    for (i = 0; i < MUTATIONS_MAX && p->mutations[i]; i++)
        printf(" %s", p->mutations[i]);
    printf("\n    flags 0x%x, gso_type 0x%x, hdr_len %d, gso_size %d, csum_start %d, csum_offset %d; ", h->flags, h->gso_type, h->hdr_len,
           h->gso_size, h->csum_start, h->csum_offset);
    printf("%lu + %lu bytes, errno %d, %lu segments\n", (unsigned long)p->wire_len, (unsigned long)p->len, p->error,
           (unsigned long)p->segs);
}

/* Together; if something is wrong with them, one by one. */
static void try_group(struct road *road, pair *group, size_t count, tally *t)
{
    tally ignored;
    const char *wrong = NULL;
    size_t i, more;

    for (i = 0; i < count; i++)
        write_pair(road, &group[i]);
    for (i = 0; i < count && !wrong; i++)
        wrong = compare(road, &group[i], 0, t);
    more = drain(road);
    for (i = 0; i < count && (wrong || more); i++) {
        const char *what;
        write_pair(road, &group[i]);
        what = compare(road, &group[i], PATIENCE_MS, &ignored);
        if (drain(road) && !what)
            what = "more comes out";
        if (!what)
            continue;
        report(&group[i], what);
        t->failed++;
    }
}

static void try_refused(struct road *road, pair *p, tally *t)
{
    write_pair(road, p);
    t->refused++;
    t->refused_by_kernel += p->error != 0;
    t->dropped_by_kernel += drain(road) == 0 && p->error == 0;
}

/* 1 if it must hold what this test says. */
static int must_hold(struct road *road, pair *p, tally *t)
{
    size_t i;

    if (p->check != TUO_OK) {
        try_refused(road, p, t);
        return 0;
    }
    t->accepted++;
    for (i = 0; i < CHECK_COUNT_OF(excuses); i++) {
        if (excuses[i].holds(road, p)) {
            t->excused[i]++;
            return 0;
        }
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------ the pairs */

/* Does a superpacket of this kind come out as it should? */
static int works(struct road *road, const pkt_spec *spec, unsigned gso_size)
{
    static pair p;
    tally ignored;

    memset(&p, 0, offsetof(pair, bytes));
    p.spec = *spec;
    p.spec.src = p.spec.dst = 9;
    p.spec.payload = payload_bytes;
    p.spec.l4_csum_pseudo = 1;
    p.spec.ethernet = (uint8_t)road->ethernet;
    p.len = pkt_build(p.bytes, sizeof p.bytes, &p.spec);
    p.vnet.flags = TUO_VNET_NEEDS_CSUM;
    p.vnet.gso_type = pkt_is_udp(spec) ? TUO_GSO_UDP_L4 : pkt_is_v6(spec) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    p.vnet.gso_size = (uint16_t)gso_size;
    p.vnet.csum_start = (uint16_t)pkt_l4_off(&p.spec);
    p.vnet.csum_offset = pkt_is_udp(spec) ? 6 : 16;
    p.wire_len = TUO_VNET_LEN;
    p.segs = segments_of(road, &p);
    CHECK_RESULT(tuo_vnet_encode(&p.vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, p.wire, sizeof p.wire), TUO_OK);
    write_pair(road, &p);
    return compare(road, &p, PATIENCE_MS, &ignored) == NULL && drain(road) == 0;
}

static void know_kernel(struct road *road)
{
    const pkt_spec tcp = {.kind = PKT_TCP4}, udp = {.kind = PKT_UDP4}, tcp6_ext = {.kind = PKT_TCP6, .ext_chain = "D"},
                   length_0 = {.kind = PKT_TCP4, .ip_len_zero = 1};

    int tries;

    for (tries = 0; tries < 60 && !works(road, &tcp, 40); tries++) /* a new interface drops packets until a kernel thread has seen it */
        continue;
    CHECK(tries < 60);
    kernel.takes_udp = works(road, &udp, 40);
    kernel.forwards_tcp6_ext = works(road, &tcp6_ext, 40);
    kernel.takes_length_0 = works(road, &length_0, 40);
    kernel.cuts_tiny = works(road, &tcp, 7);
    printf("this kernel: UDP superpackets %d, TCP with IPv6 extension headers %d, IPv4 length 0 %d, gso_size 7 %d\n", kernel.takes_udp,
           kernel.forwards_tcp6_ext, kernel.takes_length_0, kernel.cuts_tiny);
}

static void print_tally(const tally *t)
{
    size_t i;

    printf("%lu pairs, %lu accepted, %lu segments compared, %lu wrong\n", t->pairs, t->accepted, t->segments, t->failed);
    printf("    %lu refused: %lu of them by write(), too, and %lu lost behind it\n", t->refused, t->refused_by_kernel,
           t->dropped_by_kernel);
    for (i = 0; i < CHECK_COUNT_OF(excuses); i++)
        printf("    %lu excused: %s\n", t->excused[i], excuses[i].reason);
}

static void try_pairs(struct road *road, const char *name)
{
    static pair group[GROUP];
    const char *one = getenv("PAIR"), *many = getenv("PAIRS");
    rng r = rng_start(name, 1), payload = {1};
    unsigned long i, pairs = one ? 1 : many && *many ? strtoul(many, NULL, 0) : PAIRS_DEFAULT;
    size_t n = 0;
    tally t;

    memset(&t, 0, sizeof t);
    rng_bytes(&payload, payload_bytes, sizeof payload_bytes);
    know_kernel(road);
    for (i = 0; i < pairs && t.failed < FAILURES_MAX; i++) {
        const uint64_t seed = rng_u64(&r) / 16 * 16 + i / 256 % 15; /* setting the length of the vnet header takes long */
        make_pair(road, &group[n], one ? strtoull(one, NULL, 0) : seed);
        n += (size_t)must_hold(road, &group[n], &t);
        if (n == GROUP) {
            try_group(road, group, n, &t);
            n = 0;
        }
    }
    try_group(road, group, n, &t);
    t.pairs = i;
    print_tally(&t);
    CHECK_EQ_INT(t.failed, 0);
    CHECK(one || t.accepted > t.pairs / 3); /* a check that refuses everything is none */
}

TEST(routed_tun)
{
    struct road r;

    if (routed_tuns(&r))
        try_pairs(&r, "routed_tun");
    close_road();
}

TEST(bridged_tap)
{
    struct road r;

    if (bridged_taps(&r))
        try_pairs(&r, "bridged_tap");
    close_road();
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(routed_tun),
        CHECK_ENTRY(bridged_tap),
    };

    return CHECK_RUN(argc, argv, tests);
}
