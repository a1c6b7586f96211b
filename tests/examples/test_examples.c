/* The short programs of examples/: 300 packets go in, and the same 300 come out, byte for byte, over real devices in a network namespace of
   this process. What goes in through the kernel are superpackets where there can be some; what comes out is cut by tests/lib/reference.h.
   The programs are in the folder examples beside this program. Needs root and a TUN driver. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, memfd_create */
#endif
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "netns.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* MERGED: at most so many frames if what Linux before 6.2 knows has merged, TCP, and more where UDP has as well. */
enum { PACKETS = 300, MERGED = 200, UNITS_MAX = 128, FRAME_MAX = TUO_VNET_LEN + 14 + 65535, PATIENCE_MS = 30000, QUIET_MS = 20 };

/* ---------------------------------------------------------------------------------------------------------- traffic */

/* What is put in front of a device: a superpacket with a partial checksum, or a packet. */
typedef struct unit {
    uint8_t bytes[14 + 65535];
    size_t len;
    tuo_vnet_hdr vnet;
} unit;

static unit units[UNITS_MAX];
static size_t unit_count;
static ref_list packets;             /* what they are on the wire: PACKETS of them, no two alike */
static size_t unit_of[PACKETS + 64]; /* the unit of each */

static void add_unit(pkt_spec *s, int segments, int size)
{
    unit *u = &units[unit_count++];
    ref_list list;
    size_t i;

    s->payload_len = segments * size - (segments > 1 ? 7 : 0);
    s->payload_seed = (uint32_t)unit_count;
    s->l4_csum_pseudo = segments > 1;
    u->len = pkt_build(u->bytes, sizeof u->bytes, s);
    CHECK(u->len > 0);
    memset(&u->vnet, 0, sizeof u->vnet);
    if (segments > 1) {
        u->vnet.flags = TUO_VNET_NEEDS_CSUM;
        u->vnet.gso_type = pkt_is_udp(s) ? TUO_GSO_UDP_L4 : pkt_is_v6(s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
        u->vnet.gso_size = (uint16_t)size;
        u->vnet.csum_start = (uint16_t)pkt_l4_off(s);
        u->vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
        u->vnet.hdr_len = (uint16_t)pkt_payload_off(s);
    }
    list = ref_wire(u->bytes, u->len, s->ethernet, &u->vnet);
    for (i = 0; i < list.count; i++) {
        unit_of[packets.count] = unit_count;
        memcpy(ref_list_add(&packets, list.len[i]), list.bytes[i], list.len[i]);
    }
    ref_list_free(&list);
}

/* Trains of four flows, and between them packets that merge with nothing. */
static void make_traffic(int ethernet)
{
    int i, single;
    pkt_spec s;

    ref_list_free(&packets);
    unit_count = 0;
    for (i = 0; i < 8; i++) {
        memset(&s, 0, sizeof s);
        s.ethernet = (uint8_t)ethernet;
        s.kind = (pkt_kind)(i % PKT_KIND_COUNT);
        s.src_port = 1000 + i;
        s.seq = 1000000;
        s.ip_id = (uint16_t)(1000 * i);
        add_unit(&s, i < 4 ? 40 : 25, i < 4 ? 1400 : 600);
    }
    for (single = 0; packets.count < PACKETS; single++) {
        memset(&s, 0, sizeof s);
        s.ethernet = (uint8_t)ethernet;
        s.kind = (pkt_kind)(single % PKT_KIND_COUNT);
        s.src_port = 2000 + single;
        s.ip_id = (uint16_t)(30000 + single);
        s.tcp_flags = single % 8 == 2 ? PKT_SYN : 0;
        s.proto = single % 16 == 3 ? 47 : 0;
        add_unit(&s, 1, 200 + single);
    }
    CHECK_EQ_INT(packets.count, PACKETS);
}

/* As a program gives them back that exchanges source and destination address, which changes no checksum. */
static void reflect(ref_list *list)
{
    size_t i, len, at;
    uint8_t keep[16];

    for (i = 0; i < list->count; i++) {
        uint8_t *p = list->bytes[i];
        len = p[0] >> 4 == 4 ? 4 : 16;
        at = len == 4 ? 12 : 8;
        memcpy(keep, p + at, len);
        memcpy(p + at, p + at + len, len);
        memcpy(p + at + len, keep, len);
    }
}

/* Each packet came once, and none before an earlier one of its train. */
static void check_all_came(const ref_list *got)
{
    unsigned char came[PACKETS] = {0};
    size_t last_of[UNITS_MAX + 1] = {0}, matched = 0, i, k;

    CHECK_EQ_INT(got->count, PACKETS);
    for (i = 0; i < got->count; i++) {
        for (k = 0; k < PACKETS; k++)
            if (!came[k] && got->len[i] == packets.len[k] && memcmp(got->bytes[i], packets.bytes[k], packets.len[k]) == 0)
                break;
        if (k == PACKETS)
            continue;
        came[k] = 1;
        matched++;
        CHECK(last_of[unit_of[k]] <= k);
        last_of[unit_of[k]] = k;
    }
    CHECK_EQ_INT(matched, PACKETS);
}

/* ---------------------------------------------------------------------------------------------------------- devices */

static int control = -1; /* a socket to ask about interfaces */

static int request(const char *name, unsigned long what, struct ifreq *r)
{
    memset(r->ifr_name, 0, sizeof r->ifr_name);
    snprintf(r->ifr_name, sizeof r->ifr_name, "%s", name);
    return ioctl(control, what, r) == 0;
}

static int exists(const char *name)
{
    struct ifreq r;

    return request(name, SIOCGIFFLAGS, &r);
}

/* The device hands out TCP superpackets. */
static int gives_superpackets(const char *name)
{
    struct ethtool_value value = {ETHTOOL_GTSO, 0};
    struct ifreq r;

    r.ifr_data = (char *)&value;
    return request(name, SIOCETHTOOL, &r) && value.data;
}

static int is_running(const char *name)
{
    struct ifreq r;

    return request(name, SIOCGIFFLAGS, &r) && (r.ifr_flags & IFF_RUNNING);
}

/* A program has a packet socket on this interface that gets packets. */
static int is_watched(const char *name)
{
    char line[256];
    unsigned index = if_nametoindex(name), at, running;
    FILE *sockets = fopen("/proc/self/net/packet", "r");
    int found = 0;

    while (sockets && fgets(line, sizeof line, sockets))
        found |= sscanf(line, "%*x %*d %*d %*x %u %u", &at, &running) == 2 && at == index && running;
    if (sockets)
        fclose(sockets);
    return found;
}

static int until(int (*holds)(const char *name), const char *name)
{
    int ms = 0;

    while (!holds(name) && ms++ < PATIENCE_MS)
        poll(NULL, 0, 1);
    return CHECK(holds(name));
}

static void set_up(const char *name, int up)
{
    struct ifreq r;

    CHECK(request(name, SIOCGIFFLAGS, &r));
    r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
    CHECK(request(name, SIOCSIFFLAGS, &r));
}

/* A persistent device, which its program finds as it is left here. */
static void make_tun(const char *name, int up)
{
    struct ifreq r = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    r.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    CHECK(fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0);
    close(fd);
    set_up(name, up);
}

/* A packet socket with vnet headers; it sees what the device brings, not what it takes away. */
static int watch(const char *name)
{
    const int yes = 1, room = 64 << 20;
    struct sockaddr_ll address = {0};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = (int)if_nametoindex(name);
    CHECK(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) == 0 &&
          setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) == 0 &&
          setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0 &&
          bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* All units out of this device, to its reader. */
static void inject(int watcher, const char *name, int ethernet)
{
    static uint8_t bytes[FRAME_MAX];
    struct sockaddr_ll address = {0};
    size_t i;

    address.sll_family = AF_PACKET;
    address.sll_ifindex = (int)if_nametoindex(name);
    for (i = 0; i < unit_count; i++) {
        const unit *u = &units[i];
        const int six = (ethernet ? u->bytes[12] == 0x86 : u->bytes[0] >> 4 == 6);
        address.sll_protocol = htons(six ? ETH_P_IPV6 : ETH_P_IP);
        CHECK_RESULT(tuo_vnet_encode(&u->vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, bytes, sizeof bytes), TUO_OK);
        memcpy(bytes + TUO_VNET_LEN, u->bytes, u->len);
        CHECK_EQ_INT(sendto(watcher, bytes, TUO_VNET_LEN + u->len, 0, (struct sockaddr *)&address, sizeof address),
                     (ssize_t)(TUO_VNET_LEN + u->len));
    }
}

/* What the device brought, cut to wire size, until all is there and then no more comes. Returns how many frames that were. */
static size_t collect(int watcher, int ethernet, ref_list *got)
{
    static uint8_t bytes[FRAME_MAX];
    struct pollfd wait = {watcher, POLLIN, 0};
    size_t frames = 0, i;

    while (poll(&wait, 1, got->count < PACKETS ? PATIENCE_MS : QUIET_MS) > 0) {
        const ssize_t len = recv(watcher, bytes, sizeof bytes, 0);
        tuo_vnet_hdr vnet;
        ref_list list;
        if (!CHECK(len > TUO_VNET_LEN) ||
            !CHECK_RESULT(tuo_vnet_decode(bytes, (size_t)len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet), TUO_OK))
            break;
        list = ref_wire(bytes + TUO_VNET_LEN, (size_t)len - TUO_VNET_LEN, ethernet, &vnet);
        for (i = 0; i < list.count; i++)
            memcpy(ref_list_add(got, list.len[i]), list.bytes[i], list.len[i]);
        ref_list_free(&list);
        frames++;
    }
    return frames;
}

/* --------------------------------------------------------------------------------------------------------- programs */

static pid_t children[32];
static int child_count;

static void end_children(void) /* those that a failed test left */
{
    while (child_count > 0)
        if (children[--child_count] > 0)
            kill(children[child_count], SIGKILL);
}

/* Starts a program of the folder `examples` beside this one; input, output: descriptors, or -1 for those of this process. */
static pid_t start(const char *name, const char *const *arguments, int input, int output)
{
    char path[1024], *argv[16];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof path - 64);
    pid_t pid;
    int i;

    if (!CHECK(len > 0))
        return -1;
    path[len] = 0;
    snprintf(strrchr(path, '/'), 64, "/examples/%s", name);
    if (access(path, X_OK) != 0)
        return -1;
    argv[0] = path;
    for (i = 0; arguments[i]; i++)
        argv[i + 1] = strdup(arguments[i]);
    argv[i + 1] = NULL;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if ((input >= 0 && dup2(input, STDIN_FILENO) < 0) || (output >= 0 && dup2(output, STDOUT_FILENO) < 0))
            _exit(126);
        execv(path, argv);
        _exit(127);
    }
    CHECK(pid > 0);
    children[child_count++] = pid;
    while (i-- > 0)
        free(argv[i + 1]);
    return pid;
}

static int ended_with(pid_t pid)
{
    int status = -1, i;

    CHECK(waitpid(pid, &status, 0) == pid);
    for (i = 0; i < child_count; i++)
        if (children[i] == pid)
            children[i] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void end(pid_t pid)
{
    kill(pid, SIGTERM);
    CHECK_EQ_INT(ended_with(pid), 256 + SIGTERM);
}

/* All packets, one behind the other, in a file. */
static int file_of_packets(void)
{
    int fd = memfd_create("packets", MFD_CLOEXEC);
    size_t i;

    for (i = 0; i < packets.count; i++)
        CHECK_EQ_INT(write(fd, packets.bytes[i], packets.len[i]), (ssize_t)packets.len[i]);
    CHECK_EQ_INT(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ------------------------------------------------------------------------------------------------------------ tests */

TEST(read_gso)
{
    static uint8_t stream[1 << 20];
    ref_list got = {NULL, NULL, 0};
    size_t have = 0, want = 0, at, len, i;
    int out[2], watcher;
    ssize_t n;
    pid_t pid;

    if (!netns_ready())
        return;
    make_traffic(0);
    for (i = 0; i < packets.count; i++)
        want += packets.len[i];
    CHECK(pipe2(out, O_CLOEXEC) == 0);
    pid = start("read_gso", ARGUMENTS("tun0"), -1, out[1]);
    close(out[1]);
    if (!until(exists, "tun0") || !until(gives_superpackets, "tun0"))
        return;
    set_up("tun0", 1);
    watcher = watch("tun0");
    inject(watcher, "tun0", 0);
    while (have < want && (n = read(out[0], stream + have, sizeof stream - have)) > 0)
        have += (size_t)n;
    for (at = 0; at + 6 <= have; at += len) {
        len = stream[at] >> 4 == 4 ? pkt_get16(stream + at + 2) : 40 + pkt_get16(stream + at + 4);
        if (!CHECK(len >= 20 && at + len <= have))
            break;
        memcpy(ref_list_add(&got, len), stream + at, len);
    }
    check_all_came(&got);
    end(pid);
    close(out[0]);
    close(watcher);
    ref_list_free(&got);
}

/* More packets in one batch than an instance takes between two drains. */
static void check_write_gro(const char *program, int merges)
{
    ref_list got = {NULL, NULL, 0};
    int watcher, file;
    size_t frames;
    pid_t pid;

    if (!netns_ready())
        return;
    make_traffic(0);
    if (!exists("tun1"))
        make_tun("tun1", 1);
    set_up("tun1", 1);
    watcher = watch("tun1");
    file = file_of_packets();
    pid = start(program, ARGUMENTS("tun1"), file, -1);
    CHECK_EQ_INT(ended_with(pid), 0);
    frames = collect(watcher, 0, &got);
    check_all_came(&got);
    if (merges)
        CHECK(frames <= MERGED);
    else
        CHECK_EQ_INT(frames, PACKETS);
    close(watcher);
    close(file);
    ref_list_free(&got);
}

TEST(write_gro) { check_write_gro("write_gro", 1); }
TEST(write_gro_refused) { check_write_gro("write_gro_refused", 0); }

TEST(write_gro_down)
{
    int file;

    if (!netns_ready())
        return;
    make_traffic(0);
    if (!exists("tun1"))
        make_tun("tun1", 0);
    set_up("tun1", 0);
    file = file_of_packets();
    CHECK_EQ_INT(ended_with(start("write_gro", ARGUMENTS("tun1"), file, -1)), 1);
    close(file);
}

/* A program that sends each packet of its device back, with its addresses exchanged. */
static void check_reflector(const char *program, const char *device, int end_status)
{
    ref_list got = {NULL, NULL, 0};
    int watcher;
    pid_t pid;

    if (!netns_ready())
        return;
    make_traffic(0);
    pid = start(program, ARGUMENTS(device), -1, -1);
    if (pid < 0) {
        no_tun = "no C++ compiler";
        netns_ready();
        no_tun = NULL;
        return;
    }
    if (!until(exists, device) || !until(gives_superpackets, device))
        return;
    set_up(device, 1);
    watcher = watch(device);
    inject(watcher, device, 0);
    reflect(&packets);
    CHECK(collect(watcher, 0, &got) <= MERGED);
    check_all_came(&got);
    kill(pid, SIGTERM);
    CHECK_EQ_INT(ended_with(pid), end_status);
    close(watcher);
    ref_list_free(&got);
}

TEST(own_buffers) { check_reflector("own_buffers", "tun2", 256 + SIGTERM); }
TEST(adopt_fd) { check_reflector("adopt_fd", "tun3", 256 + SIGTERM); }
TEST(cpp) { check_reflector("cpp", "tun4", 0); }

/* Two ends of the tunnel, both here, over the loopback interface. */
TEST(tunnel)
{
    ref_list got = {NULL, NULL, 0};
    int into, from;
    pid_t a, b;

    if (!netns_ready())
        return;
    make_traffic(0);
    set_up("lo", 1);
    a = start("tunnel", ARGUMENTS("--dev", "tun5", "--listen", "127.0.0.1:5555", "--peer", "127.0.0.1:5556"), -1, -1);
    b = start("tunnel", ARGUMENTS("--dev", "tun6", "--listen", "127.0.0.1:5556", "--peer", "127.0.0.1:5555"), -1, -1);
    if (!until(exists, "tun5") || !until(exists, "tun6") || !until(gives_superpackets, "tun5"))
        return;
    set_up("tun5", 1);
    set_up("tun6", 1);
    into = watch("tun5");
    from = watch("tun6");
    inject(into, "tun5", 0);
    CHECK(collect(from, 0, &got) <= MERGED);
    check_all_came(&got);
    end(a);
    end(b);
    close(into);
    close(from);
    ref_list_free(&got);
}

enum { ATTRIBUTE = sizeof(struct rtattr) };

/* One attribute behind the others of a netlink message. Those that are put into it follow, until it is closed. */
static struct rtattr *put_attribute(struct nlmsghdr *message, unsigned type, const void *bytes, size_t len)
{
    struct rtattr *attribute = (struct rtattr *)(void *)((char *)message + message->nlmsg_len);

    attribute->rta_type = (unsigned short)type;
    attribute->rta_len = (unsigned short)(ATTRIBUTE + len);
    if (len)
        memcpy((char *)attribute + ATTRIBUTE, bytes, len);
    message->nlmsg_len += (uint32_t)RTA_ALIGN(ATTRIBUTE + len);
    return attribute;
}

static void close_attribute(const struct nlmsghdr *message, struct rtattr *attribute)
{
    attribute->rta_len = (unsigned short)((const char *)message + message->nlmsg_len - (char *)attribute);
}

/* Two interfaces, joined and up. 0: the kernel has none such. */
static int make_veth(const char *a, const char *b)
{
    union { struct nlmsghdr header; char bytes[1024]; } m;
    struct rtattr *info, *data, *peer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), made;

    memset(&m, 0, sizeof m);
    m.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    m.header.nlmsg_type = RTM_NEWLINK;
    m.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    put_attribute(&m.header, IFLA_IFNAME, a, strlen(a) + 1);
    info = put_attribute(&m.header, IFLA_LINKINFO, NULL, 0);
    put_attribute(&m.header, IFLA_INFO_KIND, "veth", 4);
    data = put_attribute(&m.header, IFLA_INFO_DATA, NULL, 0);
    peer = put_attribute(&m.header, VETH_INFO_PEER, NULL, 0);
    m.header.nlmsg_len += (uint32_t)sizeof(struct ifinfomsg);
    put_attribute(&m.header, IFLA_IFNAME, b, strlen(b) + 1);
    close_attribute(&m.header, peer);
    close_attribute(&m.header, data);
    close_attribute(&m.header, info);
    made = send(fd, &m, m.header.nlmsg_len, 0) > 0 && recv(fd, &m, sizeof m, 0) > 0 && m.header.nlmsg_type == NLMSG_ERROR &&
           ((struct nlmsgerr *)NLMSG_DATA(&m.header))->error == 0;
    close(fd);
    if (made) {
        set_up(a, 1);
        set_up(b, 1);
        /* the kernel lets packets through some time after both are up; it says so, holding a lock that set_up waits for */
        made = until(is_running, a) && until(is_running, b);
        set_up(a, 1);
    }
    return made;
}

TEST(packet_socket)
{
    ref_list got = {NULL, NULL, 0};
    int into, from;
    pid_t pid;

    if (!netns_ready())
        return;
    if (!make_veth("in0", "in1") || !make_veth("out0", "out1")) {
        no_tun = "no veth";
        netns_ready();
        no_tun = NULL;
        return;
    }
    make_traffic(1);
    into = watch("in0");
    from = watch("out1");
    pid = start("packet_socket", ARGUMENTS("in1", "out0"), -1, -1);
    if (!until(is_watched, "in1"))
        return;
    inject(into, "in0", 1);
    CHECK_EQ_INT(collect(from, 1, &got), PACKETS); /* frames of wire size */
    check_all_came(&got);
    end(pid);
    close(into);
    close(from);
    ref_list_free(&got);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(read_gso), CHECK_ENTRY(write_gro), CHECK_ENTRY(write_gro_refused), CHECK_ENTRY(write_gro_down),
        CHECK_ENTRY(own_buffers), CHECK_ENTRY(adopt_fd), CHECK_ENTRY(cpp), CHECK_ENTRY(tunnel), CHECK_ENTRY(packet_socket),
    };

    netns_enter();
    put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"); /* interfaces that do not announce themselves */
    atexit(end_children);
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return CHECK_RUN(argc, argv, tests);
}
