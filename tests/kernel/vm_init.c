/* vm_init - the TUN backend against the kernel it runs on; tests/kernel/kernels_test.sh builds it statically for several kernels.

       vm_init HAS_USO [PROGRAM[:ARGUMENT]...]

   HAS_USO: 1 if this kernel must have UDP superpackets (Linux 6.2), 0 if it must not. As process 1 it is the init of a virtual
   machine that has nothing but this file and what the script put beside it in the initramfs: it mounts, loads modules, tests, runs
   the other PROGRAMs, and powers off. Otherwise it tests in a network namespace of its own. Everything is sent from one TUN; the
   kernel forwards it to another, where it must arrive complete, in order, and byte for byte but for the hop count. */
#define _GNU_SOURCE
#define TUNOFFLOAD_IMPLEMENTATION
#define TUNOFFLOAD_TUN
#include "tunoffload.h"
#include "check.h"
#include "packets.h"
#include "tun_facts.h"

#include <linux/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>

enum {
    BATCHES = 10,
    BATCH = 32,            /* packets; one superpacket, if the kernel takes it */
    PACKETS = BATCHES * BATCH,
    PAYLOAD = 1000,
    PACKET_MAX = 1500,
    HOST = 9,              /* both ends: 10.1.0.9 to 10.2.0.9, and the same of fd00:1:: and fd00:2:: */
    REFUSAL_LIMIT = 3,     /* the default */
    OFFLOADS_TCP = TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN,
    OFFLOADS_ALL = OFFLOADS_TCP | TUO_TUN_USO
};

static int has_uso;

/* ------------------------------------------------------------------------------------------------------------- devices */

/* How the sending queue came to be and is used. */
typedef enum writer { OPENED, ADOPTED, ADOPTED_GSO, WRITER_COUNT } writer;

static const char *const writer_names[] = {"send_batch", "adopted, send_batch", "adopted, send_gso"};
static const char *const kind_names[] = {"tcp4", "udp4", "tcp6", "udp6"};

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY), ok;

    if (fd < 0)
        return 0;
    ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* A descriptor as a parent process would hand it over: attached with a vnet header, nothing negotiated. */
static int attach(const char *name)
{
    struct ifreq request;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    if (fd < 0)
        return -1;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static tuo_tun *open_writer(writer how)
{
    tuo_tun_desc desc = {0};
    tuo_tun *tun = NULL;
    int error = 0, fd;

    desc.name = "vmtuna";
    desc.up = 1;
    desc.address4 = "10.1.255.254/16";
    desc.address6 = "fd00:1::fffe/64";
    if (how == OPENED) {
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
    } else {
        fd = attach(desc.name);
        if (CHECK(fd >= 0) && !CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, &error), TUO_OK))
            close(fd);
    }
    if (!tun)
        printf("writer: errno %d\n", error ? error : errno);
    return tun;
}

static tuo_tun *open_reader(int plain)
{
    tuo_tun_desc desc = {0};
    tuo_tun *tun = NULL;
    int error = 0;

    desc.name = "vmtunb";
    desc.up = 1;
    desc.address4 = "10.2.255.254/16";
    desc.address6 = "fd00:2::fffe/64";
    desc.disable_offloads = plain ? OFFLOADS_ALL : 0;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK))
        printf("reader: errno %d\n", error);
    return tun;
}

/* -------------------------------------------------------------------------------------------------------------- traffic */

typedef struct packet {
    size_t len;
    uint8_t bytes[PACKET_MAX];
} packet;

static packet sent[PACKETS];
static size_t arrived;         /* of them, in order */

/* One flow. The last packet of a batch is short, so superpackets have a short tail. */
static void build_packets(pkt_kind kind)
{
    pkt_spec spec = {0};
    size_t i;

    spec.kind = kind;
    spec.src = spec.dst = HOST;
    spec.payload_seed = 7;
    for (i = 0; i < PACKETS; i++) {
        spec.payload_len = i % BATCH == BATCH - 1 ? PAYLOAD / 3 : PAYLOAD;
        sent[i].len = pkt_build(sent[i].bytes, sizeof sent[i].bytes, &spec);
        spec.seq += (uint32_t)spec.payload_len;
        spec.ip_id++;
    }
}

static int send_batch(tuo_tun *tun, packet *batch)
{
    tuo_buf bufs[BATCH];
    void *pointers[BATCH];
    size_t i, taken = 0;

    for (i = 0; i < BATCH; i++) {
        bufs[i].data = batch[i].bytes;
        bufs[i].len = batch[i].len;
        bufs[i].capacity = sizeof batch[i].bytes;
        pointers[i] = &bufs[i];
    }
    return CHECK_RESULT(tuo_tun_send_batch(tun, NULL, pointers, BATCH, 0, &taken), TUO_OK) & CHECK_EQ_INT(taken, BATCH);
}

static int send_gso(tuo_tun *tun, const packet *batch)
{
    pkt_view first = pkt_look(batch[0].bytes, batch[0].len, 0, 0);
    tuo_iov payload[BATCH];
    tuo_tun_parts parts = {0};
    size_t i;

    for (i = 0; i < BATCH; i++) {
        payload[i].base = batch[i].bytes + first.payload;
        payload[i].len = batch[i].len - first.payload;
    }
    parts.ip_header = batch[0].bytes;
    parts.ip_header_len = first.l4;
    parts.l4_header = batch[0].bytes + first.l4;
    parts.l4_header_len = first.payload - first.l4;
    parts.payload = payload;
    parts.payload_count = BATCH;
    parts.gso_size = PAYLOAD;
    return CHECK_RESULT(tuo_tun_send_gso(tun, &parts), TUO_OK);
}

/* The packet that must come next, as a router hands it on. What the kernel itself says on the device (IPv6 neighbours and groups)
   is no TCP and no UDP, and is passed over. */
static void check_arrival(const tuo_buf *buf)
{
    pkt_view got = pkt_look(buf->data, buf->len, 0, 0), want;
    packet *next;

    if (!pkt_has_l4(&got))
        return;
    if (!CHECK(arrived < PACKETS))
        return;
    next = &sent[arrived++];
    want = pkt_look(next->bytes, next->len, 0, 0);
    next->bytes[want.version == 4 ? 8 : 7]--;
    pkt_fix_checksums(next->bytes, next->len, 0);
    if (CHECK_EQ_INT(buf->len, next->len))
        CHECK_BYTES(buf->data, next->bytes, next->len);
}

/* One call that does not wait. */
static tuo_result receive_some(tuo_tun *tun)
{
    static uint8_t room[BATCH][PACKET_MAX];
    tuo_buf bufs[BATCH];
    void *pointers[BATCH];
    tuo_result result;
    size_t i, received;

    for (i = 0; i < BATCH; i++) {
        bufs[i].data = room[i];
        bufs[i].len = 0;
        bufs[i].capacity = sizeof room[i];
        pointers[i] = &bufs[i];
    }
    result = tuo_tun_recv_batch(tun, NULL, pointers, BATCH, 0, &received);
    for (i = 0; i < received; i++)
        check_arrival(&bufs[i]);
    return result;
}

/* Reads until `total` packets are there, or nothing comes for two seconds; then what else there is, as nothing may come twice. */
static void receive(tuo_tun *tun, size_t total)
{
    tuo_result result = TUO_OK;

    while (arrived < total && result == TUO_OK) {
        result = receive_some(tun);
        if (result == TUO_AGAIN)
            result = tuo_tun_wait(tun, 0, 2000);
    }
    while (receive_some(tun) == TUO_OK) {
    }
    CHECK_EQ_INT(arrived, total);
}

/* ---------------------------------------------------------------------------------------------------------------- tests */

static int is_udp(pkt_kind kind)
{
    return kind == PKT_UDP4 || kind == PKT_UDP6;
}

/* What the writing queue counted. A kernel without USO: an opened queue has asked and makes no UDP superpackets; an adopted one
   learns it from the refusals, and after the third sends single packets only. What send_gso is given is tried each time, and
   switches nothing off. */
static void check_writer(const tuo_tun *tun, pkt_kind kind, writer how)
{
    int refuses = is_udp(kind) && !has_uso;
    unsigned refused = !refuses || how == OPENED ? 0 : how == ADOPTED ? REFUSAL_LIMIT : BATCHES;
    tun_stats stats = tun_stats_of(tun);
    CHECK_EQ_INT(stats.tx.tx_superpackets, refuses ? 0 : BATCHES);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets, refused);
    CHECK_EQ_INT(stats.tx.tx_resent_packets, refused * BATCH);
    CHECK_EQ_INT(stats.tx.tx_writes, refuses ? PACKETS : BATCHES);
    CHECK_EQ_INT(stats.tx.tx_refused_packets, 0);
    CHECK_EQ_INT(stats.tx.switched_off, refuses && how == ADOPTED);
    CHECK_EQ_INT(stats.tx.udp_off, refuses && how == ADOPTED);
    CHECK_EQ_INT(stats.tx.tcp4_off | stats.tx.tcp6_off, 0);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, refused ? EINVAL : 0);
    printf("    sent: writes %llu, superpackets %llu, refused %llu, resent singly %llu, UDP off %d\n",
           (unsigned long long)stats.tx.tx_writes, (unsigned long long)stats.tx.tx_superpackets,
           (unsigned long long)stats.tx.tx_refused_superpackets, (unsigned long long)stats.tx.tx_resent_packets, stats.tx.udp_off);
}

static void check_reader(const tuo_tun *tun, pkt_kind kind, int plain)
{
    tun_stats stats = tun_stats_of(tun);
    CHECK_EQ_INT(stats.rx.rx_superpackets, plain || (is_udp(kind) && !has_uso) ? 0 : BATCHES);
    CHECK_EQ_INT(stats.rx.rx_truncated, 0);
    CHECK_EQ_INT(stats.rx.rx_refused, 0);
    printf("    received: reads %llu, superpackets %llu, packets %llu\n", (unsigned long long)stats.rx.rx_reads,
           (unsigned long long)stats.rx.rx_superpackets, (unsigned long long)stats.rx.rx_segments);
}

static void forward(pkt_kind kind, writer how, int plain)
{
    tuo_tun *from = open_writer(how), *to = open_reader(plain);
    size_t batch;
    int ok = from && to;

    build_packets(kind);
    arrived = 0;
    for (batch = 0; ok && batch < BATCHES; batch++) {
        packet *first = &sent[batch * BATCH];
        ok = how == ADOPTED_GSO ? send_gso(from, first) : send_batch(from, first);
        receive(to, (batch + 1) * BATCH);
        ok = ok && arrived == (batch + 1) * BATCH;
    }
    if (from && to) {
        check_writer(from, kind, how);
        check_reader(to, kind, plain);
    }
    tuo_tun_close(from);
    tuo_tun_close(to);
}

TEST(two_tuns_forward)
{
    int kind, how, plain;

    CHECK(write_text("/proc/sys/net/ipv4/ip_forward", "1"));
    CHECK(write_text("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (how = 0; how < WRITER_COUNT; how++) {
            for (plain = 0; plain < 2; plain++) {
                check_row("%s, %s, reader %s offloads", kind_names[kind], writer_names[how], plain ? "without" : "with");
                printf("%s\n", check_state.row);
                forward((pkt_kind)kind, (writer)how, plain);
            }
        }
    }
}

/* Which read-side offloads the kernel gave, and what can be written. */
TEST(offloads)
{
    tuo_tun *tun = open_reader(0);
    tuo_caps caps;

    if (!tun)
        return;
    tuo_tun_caps(tun, &caps);
    printf("@@OFFLOADS read side 0x%02x; largest superpacket to write: tcp4 %u, tcp6 %u, udp4 %u, udp6 %u\n",
           tun_info_of(tun).offloads, caps.max_tcp4, caps.max_tcp6, caps.max_udp4, caps.max_udp6);
    CHECK_EQ_INT(tun_info_of(tun).offloads, has_uso ? OFFLOADS_ALL : OFFLOADS_TCP);
    CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, TUO_VNET_LEN);
    CHECK_EQ_INT(caps.max_tcp4, 65535);
    CHECK_EQ_INT(caps.max_tcp6, 65535);
    CHECK_EQ_INT(caps.max_udp4, has_uso ? 65535 : 0);
    CHECK_EQ_INT(caps.max_udp6, has_uso ? 65535 : 0);
    tuo_tun_close(tun);
}

/* The kernel itself, past the library's opinion of it: the set with USO and without. */
TEST(kernel_is_the_expected_one)
{
    int fd = attach("vmtunc");

    if (!CHECK(fd >= 0))
        return;
    CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS_ALL) == 0, has_uso);
    CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS_TCP), 0);
    close(fd);
}

TEST(probe)
{
    tuo_tun *tun = open_writer(OPENED);
    tuo_tun_probe_report found;
    tuo_result result;

    if (!tun)
        return;
    result = tuo_tun_probe(tun, &found);
    if (CHECK_RESULT(result, TUO_OK)) {
        printf("@@PROBE tcp4 %d, tcp6 %d, short tail refused %d %d, UDP segments %u (IPv4) %u (IPv6)\n", found.tcp4, found.tcp6,
               found.tcp4_short_tail_refused, found.tcp6_short_tail_refused, found.udp4_segs, found.udp6_segs);
        CHECK_EQ_INT(found.tcp4, 1);
        CHECK_EQ_INT(found.tcp6, 1);
        CHECK_EQ_INT(found.tcp4_short_tail_refused, 0);
        CHECK_EQ_INT(found.tcp6_short_tail_refused, 0);
        CHECK_EQ_INT(found.udp4_segs, has_uso ? 128 : 0);
        CHECK_EQ_INT(found.udp6_segs, has_uso ? 128 : 0);
    }
    tuo_tun_close(tun);
}

/* ----------------------------------------------------------------------------------------------------------- as process 1 */

/* A module: 1 if it is loaded, or built in and not in the initramfs. */
static int load_module(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), ok;

    if (fd < 0)
        return errno == ENOENT;
    ok = syscall(SYS_finit_module, fd, "", 0) == 0;
    if (!ok)
        printf("%s: %s\n", path, strerror(errno));
    close(fd);
    return ok;
}

/* Nothing is there but the root of the initramfs: console and device come from devtmpfs. */
static int set_up_machine(void)
{
    static const struct {
        const char *directory, *type;
    } mounts[] = {{"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}, {"/tmp", "tmpfs"}};
    static const char *const modules[] = {"/tun.ko", "/veth.ko", "/sch_tbf.ko", "/xfrm_algo.ko", "/xfrm_user.ko", "/ah4.ko", "/ah6.ko",
                                          "/llc.ko", "/stp.ko", "/mrp.ko", "/garp.ko", "/8021q.ko", "/sch_ingress.ko", "/cls_u32.ko",
                                          "/act_mirred.ko", "/udp_tunnel.ko", "/ip6_udp_tunnel.ko", "/vxlan.ko", "/geneve.ko"};
    size_t i;
    int fd, ok = 1;

    for (i = 0; i < CHECK_COUNT_OF(mounts); i++) {
        mkdir(mounts[i].directory, 0755);
        ok &= mount(mounts[i].type, mounts[i].directory, mounts[i].type, 0, NULL) == 0;
    }
    fd = open("/dev/console", O_RDWR);
    if (fd >= 0)
        (void)(dup2(fd, 0) + dup2(fd, 1) + dup2(fd, 2));
    if (fd > 2)
        close(fd);
    for (i = 0; i < CHECK_COUNT_OF(modules); i++)
        ok &= load_module(modules[i]);
    mkdir("/dev/net", 0755);
    if (access("/dev/net/tun", F_OK) != 0)
        mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, 200));
    chmod("/dev/net/tun", 0666); /* as udev does */
    return ok;
}

/* "PATH" or "PATH:ARGUMENT" */
static void run_program(char *path)
{
    char *arguments[] = {path, strchr(path, ':'), NULL};
    int status = -1;
    pid_t child;

    printf("@@PROGRAM %s\n", path);
    fflush(stdout);
    if (arguments[1])
        *arguments[1]++ = 0;
    child = fork();
    if (child == 0) {
        execv(path, arguments);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    printf("@@STATUS %d\n", status);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(kernel_is_the_expected_one),
        CHECK_ENTRY(offloads),
        CHECK_ENTRY(probe),
        CHECK_ENTRY(two_tuns_forward),
    };
    struct utsname kernel;
    int i, is_init = getpid() == 1, failed = 1;

    if (is_init && !set_up_machine()) {
        printf("the machine is not set up: %s\n", strerror(errno));
    } else if (!is_init && (unshare(CLONE_NEWNET) != 0 || access("/dev/net/tun", R_OK | W_OK) != 0)) {
        printf("SKIP vm_init: no network namespace or no /dev/net/tun: %s\n", strerror(errno));
        return counts_finish(0, 0, 1);
    } else if (argc < 2 || uname(&kernel) != 0) {
        printf("usage: vm_init HAS_USO [PROGRAM...]\n");
    } else {
        has_uso = argv[1][0] == '1';
        printf("@@KERNEL %s %s\n", kernel.release, kernel.version);
        failed = CHECK_RUN(1, argv, tests);
        for (i = 2; i < argc; i++)
            run_program(argv[i]);
    }
    if (is_init) {
        printf("@@END\n");
        fflush(stdout);
        sync();
        reboot(RB_POWER_OFF);
        pause();
    }
    return failed;
}
