/* The TUN backend in the places where programs run: gVisor; containers without IPv6 or /proc; processes without rights; user
   namespaces; under seccomp filters; beside the process that is replaced; with a device that was moved, renamed, deleted or made again.
   (In front of a guest: test_tun_device.) Against the kernel of this machine; gVisor is stood in for by its rules. Each test is a process
   of its own, with a network namespace of its own. */
#define TUNOFFLOAD_TUN
#include "tun_calls.h"

#include "check.h"
#include "packets.h"
#include "netns.h"
#include "interfaces.h"
#include "tun_facts.h"
#include "tun_works.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    NOBODY = 65534,
    CANNOT_RUN = 77,   /* status of a child */
    PATIENCE_S = 300,  /* of a child: it waits for something that does not come */
    MTU = 1400,
    PACKETS = 200      /* fewer than the kernel keeps for a queue */
};

#define DEVICE "tuop"
#define TUN_VNET (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)
#define SETTINGS .up = 1, .mtu = MTU, .address4 = "10.1.255.1/16", .address6 = "fd00:1::ffff/64"

/* ------------------------------------------------------------------------------------------------- processes of their own */

static char *why_not;     /* why a child cannot run; shared with it */
static size_t row;        /* of the test's table, for its child */
static int packet_socket; /* of the child's namespace */

static void cannot_run(const char *why)
{
    snprintf(why_not, 200, "%s: %s", why, strerror(errno));
    fflush(stdout);
    _exit(CANNOT_RUN);
}

/* What a child changes of itself ends with it. Its failed checks are printed, and one is counted. No exit(): the leak detector does
   not work in all of these places. */
static pid_t start_child(void (*body)(void))
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid != 0)
        return pid;
    alarm(PATIENCE_S);
    check_state.failures = 0;
    netns_enter();
    put_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1\n");
    packet_socket = peer_open();
    CHECK(packet_socket >= 0);
    body();
    call_hook = NULL;
    CHECK_EQ_INT(calls_blocks, 0);
    fflush(stdout);
    _exit(check_state.failures != 0);
}

/* Its status; it ended by itself. */
static int end_child(pid_t pid)
{
    int status = -1;

    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void in_child(void (*body)(void))
{
    int status;

    if (!netns_ready())
        return;
    status = end_child(start_child(body));
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_RUN) {
        no_tun = why_not;
        (void)netns_ready();
        no_tun = NULL;
        return;
    }
    CHECK_EQ_INT(status, 0);
}

/* A process in the middle of a test, with one socket to it. */
static pid_t start_other(void (*body)(int), int *to_it)
{
    int ends[2];
    pid_t pid;

    CHECK_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        check_state.failures = 0;
        body(ends[1]);
        fflush(stdout);
        _exit(check_state.failures != 0);
    }
    close(ends[1]);
    *to_it = ends[0];
    return pid;
}

static void say(int fd, int value)
{
    CHECK(write(fd, &value, sizeof value) == (ssize_t)sizeof value);
}

static int hear(int fd)
{
    int value = -1;

    CHECK(read(fd, &value, sizeof value) == (ssize_t)sizeof value);
    return value;
}

/* ----------------------------------------------------------------------------------------------------------------- devices */

static tuo_tun_desc named(tuo_tun_desc desc)
{
    desc.name = DEVICE;
    return desc;
}

static tuo_tun *open_or_fail(tuo_tun_desc desc)
{
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;

    desc.failure = &failure;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK))
        printf("    %s\n", failure.text);
    return tun;
}

/* Packets both ways. */
static void check_works(tuo_tun *tun, int tap)
{
    if (tun && CHECK_EQ_INT(interface_set_up(tuo_tun_name(tun), 1), 0))
        tun_works(&tun, 1, tap, peer_at(packet_socket, tuo_tun_name(tun)));
}

static void check_settings(const char *name, int has_ip6)
{
    CHECK_EQ_INT(interface_mtu(name), MTU);
    CHECK(interface_flags(name) & IFF_UP);
    CHECK(has_address(name, AF_INET, "10.1.255.1"));
    CHECK_EQ_INT(has_address(name, AF_INET6, "fd00:1::ffff"), has_ip6);
}

/* A persistent device, as an administrator leaves it for others. */
static void prepare_device(tuo_tun_desc desc)
{
    tuo_tun *tun;

    desc.name = DEVICE;
    desc.persist = desc.set_owner = 1;
    desc.owner = NOBODY;
    tun = open_or_fail(desc);
    tuo_tun_close(tun);
}

/* ----------------------------------------------------------------------------------------------------------------- gVisor */

/* pkg/sentry/devices/tundev of gVisor knows two ioctls, TUNSETIFF with four flags. Its netlink sockets know none, its IP sockets know
   these. An interface is up when it is made. */
static int gvisor_set_iff(const call *c)
{
    struct ifreq *request = (struct ifreq *)c->argument;

    if (request->ifr_flags & ~(IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE))
        return EINVAL;
    if (ioctl(c->fd, TUNSETIFF, request) != 0)
        return errno;
    CHECK_EQ_INT(interface_set_up(request->ifr_name, 1), 0);
    return CALL_ANSWERED;
}

static int gvisor_get_iff(const call *c)
{
    struct ifreq *request = (struct ifreq *)c->argument;

    if (ioctl(c->fd, TUNGETIFF, request) != 0)
        memset(request, 0, sizeof *request);
    request->ifr_flags = (short)((request->ifr_flags & (IFF_TUN | IFF_TAP)) | IFF_NO_PI); /* the bit of IFF_NOFILTER */
    return CALL_ANSWERED;
}

static int gvisor_socket_ioctl(const call *c)
{
    static const unsigned long known[] = {SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFHWADDR, SIOCGIFINDEX,
                                          SIOCGIFMTU,   SIOCGIFNAME, SIOCGIFNETMASK};
    int domain = 0;
    socklen_t len = sizeof domain;
    size_t i;

    if (getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain == AF_NETLINK)
        return ENOTTY;
    for (i = 0; i < CHECK_COUNT_OF(known); i++)
        if (c->request == known[i])
            return 0;
    return c->request == SIOCGIFTXQLEN ? EOPNOTSUPP : ENOTTY;
}

static int gvisor_decides(const call *c)
{
    if (c->kind == CALL_GETSOCKOPT)
        return ENOPROTOOPT;
    if (c->kind != CALL_IOCTL)
        return 0;
    return c->request == TUNSETIFF ? gvisor_set_iff(c) : c->request == TUNGETIFF ? gvisor_get_iff(c) : gvisor_socket_ioctl(c);
}

static const struct {
    const char *name;
    tuo_tun_desc desc;
    int error;
} gvisor_rows[] = {
    {"plain desc", {.tap = 0}, 0},
    {"no_vnet_hdr", {.no_vnet_hdr = 1}, 0},
    {"no_netlink", {.no_netlink = 1, .up = 1}, 0},
    {"tap", {.tap = 1}, 0},
    {"up, addresses", {.up = 1, .address4 = "10.1.255.1/16", .address6 = "fd00:1::ffff/64"}, 0},
    {"multi_queue", {.multi_queue = 1}, EINVAL},
    {"persist", {.persist = 1}, ENOTTY},
};

static void gvisor_opens(void)
{
    tuo_tun_desc desc = named(gvisor_rows[row].desc);
    tuo_tun *tun = NULL;
    int error = -1;

    call_hook = gvisor_decides;
    if (gvisor_rows[row].error) {
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
        CHECK_EQ_INT(error, gvisor_rows[row].error);
        CHECK(!interface_exists(DEVICE));
        return;
    }
    tun = open_or_fail(desc);
    if (!tun)
        return;
    CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, 0);
    CHECK_EQ_INT(tun_info_of(tun).offloads, 0);
    CHECK_EQ_INT(has_address(DEVICE, AF_INET, "10.1.255.1"), desc.address4 != NULL);
    CHECK_EQ_INT(has_address(DEVICE, AF_INET6, "fd00:1::ffff"), desc.address6 != NULL);
    check_works(tun, desc.tap);
    tuo_tun_close(tun);
}

static void gvisor_adopts(void)
{
    tuo_tun_desc desc = {.up = 1, .address4 = "10.1.255.1/16"};
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;

    desc.failure = &failure;
    call_hook = gvisor_decides;
    if (!CHECK_RESULT(tuo_tun_adopt(&tun, raw_open(DEVICE, IFF_TUN | IFF_NO_PI, O_NONBLOCK), &desc, NULL), TUO_OK))
        printf("    %s\n", failure.text);
    CHECK(has_address(DEVICE, AF_INET, "10.1.255.1"));
    check_works(tun, 0);
    tuo_tun_close(tun);
}

TEST(gvisor)
{
    for (row = 0; row < CHECK_COUNT_OF(gvisor_rows); row++) {
        check_row("%s", gvisor_rows[row].name);
        in_child(gvisor_opens);
    }
    check_row("adopted");
    in_child(gvisor_adopts);
}

/* -------------------------------------------------------------------------------------------------------------- containers */

static void opens_without_ip6(void)
{
    tuo_tun_desc desc = named((tuo_tun_desc){SETTINGS});
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;
    int error = -1;

    if (!put_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n") ||
        !put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"))
        cannot_run("disable_ipv6 cannot be set");
    desc.failure = &failure;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EACCES);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_ADDRESS6);
    CHECK_EQ_STR(failure.text, DEVICE ": IPv6 address fd00:1::ffff/64: IPv6 is off (disable_ipv6)");
    CHECK(!interface_exists(DEVICE));
    desc.address6_optional = 1;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
    CHECK_EQ_INT(error, 0);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_ADDRESS6);
    CHECK_EQ_INT(failure.error, EACCES);
    check_settings(DEVICE, 0);
    check_works(tun, 0);
    tuo_tun_close(tun);
}

/* A file system over a directory, as containers hide what is in it. */
static void hide(const char *path)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", path, "tmpfs", 0, NULL) != 0)
        cannot_run("no right to mount");
}

/* Everything that needs no right that a container has not: open, adopt, add a queue, settings. */
static void does_everything(void)
{
    tuo_tun_desc desc = named((tuo_tun_desc){.multi_queue = 1, SETTINGS});
    tuo_tun *queues[2] = {NULL, NULL}, *adopted = NULL;

    queues[0] = open_or_fail(desc);
    CHECK_RESULT(tuo_tun_add_queue(queues[0], &queues[1], NULL), TUO_OK);
    check_settings(DEVICE, 1);
    if (queues[0] && queues[1])
        tun_works(queues, 2, 0, peer_at(packet_socket, DEVICE));
    CHECK_RESULT(tuo_tun_set_mtu(queues[0], 1300), TUO_OK);
    CHECK_RESULT(tuo_tun_add_address(queues[0], "10.1.255.2/16"), TUO_OK);
    CHECK_EQ_INT(interface_mtu(DEVICE), 1300);
    CHECK(has_address(DEVICE, AF_INET, "10.1.255.2"));
    tuo_tun_close(queues[0]);
    tuo_tun_close(queues[1]);
    desc.multi_queue = 0;
    CHECK_RESULT(tuo_tun_adopt(&adopted, raw_open(DEVICE, TUN_VNET, O_NONBLOCK), &desc, NULL), TUO_OK);
    check_settings(DEVICE, 1);
    check_works(adopted, 0);
    tuo_tun_close(adopted);
    prepare_device((tuo_tun_desc){SETTINGS});
    adopted = open_or_fail(desc); /* everything is so already */
    check_works(adopted, 0);
    tuo_tun_close(adopted);
}

static void without_proc_sys_ip6(void)
{
    hide("/proc/sys/net/ipv6");
    does_everything();
}

static void without_proc(void)
{
    hide("/proc");
    CHECK(access("/proc/self", F_OK) != 0);
    does_everything();
}

TEST(containers)
{
    check_row("IPv6 is off");
    in_child(opens_without_ip6);
    check_row("no /proc/sys/net/ipv6");
    in_child(without_proc_sys_ip6);
    check_row("no /proc");
    in_child(without_proc);
}

/* ------------------------------------------------------------------------------------------------------------------ rights */

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0)
        cannot_run("capset");
}

static void become_nobody(void)
{
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
        cannot_run("no right to become another user");
}

static void leave_namespace(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        cannot_run("no right to make a network namespace");
    drop_capabilities();
}

static const struct {
    const char *name;
    void (*loses)(void);
    int no_netlink;
} rights_rows[] = {
    {"without capabilities", drop_capabilities, 0},
    {"another user", become_nobody, 0},
    {"another user, no_netlink", become_nobody, 1},
    {"another network namespace, without capabilities", leave_namespace, 0},
};

/* What is passed to a process is enough for packets. */
static void adopts_without_rights(void)
{
    int fd = raw_open(DEVICE, TUN_VNET, O_NONBLOCK), flags;
    tuo_tun_desc desc = {.no_netlink = (uint8_t)rights_rows[row].no_netlink};
    tuo_tun *tun = NULL;
    peer p;

    CHECK_EQ_INT(interface_set_up(DEVICE, 1), 0);
    p = peer_at(packet_socket, DEVICE);
    rights_rows[row].loses();
    flags = fcntl(fd, F_GETFL);
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK);
    CHECK_EQ_INT(fcntl(fd, F_GETFL), flags);
    if (!tun)
        return;
    tun_works(&tun, 1, 0, p);
    CHECK(tuo_tun_set_mtu(tun, 1300) != TUO_OK); /* says no, and packets pass as before */
    CHECK(tuo_tun_set_up(tun, 0) != TUO_OK);
    tun_works(&tun, 1, 0, p);
    tuo_tun_close(tun);
}

TEST(passed_to_a_process_without_rights)
{
    for (row = 0; row < CHECK_COUNT_OF(rights_rows); row++) {
        check_row("%s", rights_rows[row].name);
        in_child(adopts_without_rights);
    }
}

/* The owner of a device that an administrator has prepared: what the desc asks for is so already, or refused. */
static const struct {
    const char *name;
    tuo_tun_desc desc;
    tuo_result result;
    int error;
} owner_rows[] = {
    {"name only", {.tap = 0}, TUO_OK, 0},
    {"settings that are so", {SETTINGS}, TUO_OK, 0},
    {"settings that are so, no_netlink", {.no_netlink = 1, SETTINGS}, TUO_OK, 0},
    {"another MTU", {.mtu = 1300}, TUO_E_SYSTEM, EPERM},
    {"another MTU, no_netlink", {.no_netlink = 1, .mtu = 1300}, TUO_E_UNSUPPORTED, EOPNOTSUPP},
    {"another address", {.address4 = "10.1.255.2/16"}, TUO_E_SYSTEM, EPERM},
    {"another prefix length", {.address4 = "10.1.255.1/24"}, TUO_E_SYSTEM, EPERM},
    {"another IPv6 address", {.address6 = "fd00:1::fffe/64"}, TUO_E_SYSTEM, EPERM},
    {"another tx_queue_len", {.tx_queue_len = 77}, TUO_E_SYSTEM, EPERM},
    {"multi_queue", {.multi_queue = 1}, TUO_E_SYSTEM, EINVAL},
};

static void owner_opens(void)
{
    tuo_tun_desc desc = named(owner_rows[row].desc);
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;
    int error = -1, fd;

    prepare_device((tuo_tun_desc){SETTINGS});
    wait_for_address6("fd00:1::ffff/64");
    become_nobody();
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0)
        cannot_run("other users may not open /dev/net/tun");
    close(fd);
    desc.failure = &failure;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), owner_rows[row].result))
        printf("    %s\n", failure.text);
    CHECK_EQ_INT(error, owner_rows[row].error);
    CHECK_EQ_INT(failure.text[0] != 0, owner_rows[row].error != 0);
    check_settings(DEVICE, 1);
    if (tun)
        tun_works(&tun, 1, 0, peer_at(packet_socket, DEVICE));
    tuo_tun_close(tun);
}

TEST(unprivileged_owner)
{
    for (row = 0; row < CHECK_COUNT_OF(owner_rows); row++) {
        check_row("%s", owner_rows[row].name);
        in_child(owner_opens);
    }
}

/* An unprivileged user is the administrator of a namespace of his own. */
static void in_user_namespace(void)
{
    become_nobody();
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* otherwise its maps are root's */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        cannot_run("users may not make user namespaces");
    if (!put_file("/proc/self/setgroups", "deny") || !put_file("/proc/self/uid_map", "0 65534 1") ||
        !put_file("/proc/self/gid_map", "0 65534 1"))
        cannot_run("no maps for a user namespace");
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
        cannot_run("other users may not open /dev/net/tun");
    packet_socket = peer_open();
    CHECK(packet_socket >= 0);
}

static void user_namespace(void)
{
    tuo_tun_desc desc = named((tuo_tun_desc){SETTINGS});
    tuo_tun *queues[2] = {NULL, NULL};

    in_user_namespace();
    desc.multi_queue = 1;
    queues[0] = open_or_fail(desc);
    check_settings(DEVICE, 1);
    CHECK_RESULT(tuo_tun_add_queue(queues[0], &queues[1], NULL), TUO_OK);
    if (queues[0] && queues[1])
        tun_works(queues, 2, 0, peer_at(packet_socket, DEVICE));
    CHECK_RESULT(tuo_tun_set_mtu(queues[0], 1300), TUO_OK);
    CHECK_EQ_INT(interface_mtu(DEVICE), 1300);
    tuo_tun_close(queues[0]);
    tuo_tun_close(queues[1]);
}

TEST(unprivileged_user_namespace)
{
    in_child(user_namespace);
}

/* ----------------------------------------------------------------------------------------------------------------- seccomp */

/* Denies socket(), of the family or any (0), with an errno or by death. */
static void deny_sockets(unsigned family, uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)), /* its lower half: little-endian */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {(unsigned short)CHECK_COUNT_OF(code), code};

    if (family == 0) /* whatever it is */
        code[3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        cannot_run("no seccomp filters");
}

#define KILLED SECCOMP_RET_KILL_PROCESS
#define DENIED(error) (SECCOMP_RET_ERRNO | (unsigned)(error))

static const struct {
    const char *name;
    unsigned family;   /* 0: sockets at all */
    uint32_t action;
    int adopts, prepared;
    tuo_tun_desc desc;
    tuo_result result;
    int is_killed;     /* to see that the filter is there */
} seccomp_rows[] = {
    {"netlink: EPERM", AF_NETLINK, DENIED(EPERM), 0, 0, {.tap = 0}, TUO_OK, 0},
    {"netlink: EAFNOSUPPORT", AF_NETLINK, DENIED(EAFNOSUPPORT), 0, 0, {.tap = 0}, TUO_OK, 0},
    {"netlink: EPERM, settings", AF_NETLINK, DENIED(EPERM), 0, 0, {SETTINGS}, TUO_E_UNSUPPORTED, 0},
    {"netlink: EPERM, settings that are so", AF_NETLINK, DENIED(EPERM), 0, 1, {SETTINGS}, TUO_OK, 0},
    {"netlink: EPERM, adopt", AF_NETLINK, DENIED(EPERM), 1, 0, {.tap = 0}, TUO_OK, 0},
    {"netlink: EPERM, adopt, settings", AF_NETLINK, DENIED(EPERM), 1, 0, {SETTINGS}, TUO_E_UNSUPPORTED, 0},
    {"netlink: EPERM, adopt, settings that are so", AF_NETLINK, DENIED(EPERM), 1, 1, {SETTINGS}, TUO_OK, 0},
    {"netlink kills", AF_NETLINK, KILLED, 0, 0, {.tap = 0}, TUO_OK, 1},
    {"netlink kills, no_netlink", AF_NETLINK, KILLED, 0, 0, {.no_netlink = 1}, TUO_OK, 0},
    {"netlink kills, no_netlink, settings", AF_NETLINK, KILLED, 0, 0, {.no_netlink = 1, SETTINGS}, TUO_E_UNSUPPORTED, 0},
    {"netlink kills, no_netlink, settings that are so", AF_NETLINK, KILLED, 0, 1, {.no_netlink = 1, SETTINGS}, TUO_OK, 0},
    {"netlink kills, adopt, no_netlink", AF_NETLINK, KILLED, 1, 0, {.no_netlink = 1}, TUO_OK, 0},
    {"sockets: EPERM", 0, DENIED(EPERM), 0, 0, {.tap = 0}, TUO_OK, 0},
    {"sockets: EPERM, up", 0, DENIED(EPERM), 0, 0, {.up = 1}, TUO_E_UNSUPPORTED, 0},
    {"sockets: EPERM, adopt", 0, DENIED(EPERM), 1, 0, {.tap = 0}, TUO_OK, 0},
    {"sockets kill, no_netlink", 0, KILLED, 0, 0, {.no_netlink = 1}, TUO_OK, 0},
    {"sockets kill, no_netlink, a device that is there", 0, KILLED, 0, 1, {.no_netlink = 1}, TUO_OK, 0},
    {"sockets kill, no_netlink, multi_queue", 0, KILLED, 0, 0, {.no_netlink = 1, .multi_queue = 1}, TUO_OK, 0},
    {"sockets kill, adopt, no_netlink", 0, KILLED, 1, 0, {.no_netlink = 1}, TUO_OK, 0},
};

/* Outside of the filter: the device up, and its index; -1: there is none. */
static void answers_about_the_device(int from)
{
    int asked;

    if (read(from, &asked, sizeof asked) == (ssize_t)sizeof asked) /* not if it was killed */
        say(from, interface_exists(DEVICE) && interface_set_up(DEVICE, 1) == 0 ? interface_index(DEVICE) : -1);
}

static void opens_under_filter(void)
{
    tuo_tun_desc desc = named(seccomp_rows[row].desc);
    tuo_tun_failure failure;
    tuo_tun *queues[2] = {NULL, NULL};
    int helper, fd = -1, with_queue = desc.multi_queue;
    pid_t pid = start_other(answers_about_the_device, &helper);
    tuo_result result;
    peer p;

    desc.failure = &failure;
    if (seccomp_rows[row].prepared)
        prepare_device((tuo_tun_desc){SETTINGS});
    if (seccomp_rows[row].prepared)
        wait_for_address6("fd00:1::ffff/64");
    if (seccomp_rows[row].adopts)
        fd = raw_open(DEVICE, TUN_VNET, O_NONBLOCK);
    deny_sockets(seccomp_rows[row].family, seccomp_rows[row].action);
    result = seccomp_rows[row].adopts ? tuo_tun_adopt(&queues[0], fd, &desc, NULL) : tuo_tun_open(&queues[0], &desc, NULL);
    if (!CHECK_RESULT(result, seccomp_rows[row].result))
        printf("    %s\n", failure.text);
    if (with_queue)
        CHECK_RESULT(tuo_tun_add_queue(queues[0], &queues[1], NULL), TUO_OK);
    say(helper, 0);
    p.fd = packet_socket;
    p.index = hear(helper);
    CHECK_EQ_INT(end_child(pid), 0);
    if (result == TUO_OK && queues[with_queue])
        tun_works(queues, 1 + (size_t)with_queue, 0, p);
    else
        CHECK_EQ_INT(p.index > 0, seccomp_rows[row].adopts); /* nothing is left of what was opened */
    tuo_tun_close(queues[0]);
    tuo_tun_close(queues[1]);
}

TEST(seccomp_filters)
{
    for (row = 0; row < CHECK_COUNT_OF(seccomp_rows); row++) {
        int status;
        check_row("%s", seccomp_rows[row].name);
        if (!seccomp_rows[row].is_killed) {
            in_child(opens_under_filter);
        } else if (netns_ready()) {
            status = end_child(start_child(opens_under_filter));
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------- upgrade in place */

static size_t numbered(uint8_t *bytes, size_t capacity, int number)
{
    pkt_spec spec;

    memset(&spec, 0, sizeof spec);
    spec.kind = PKT_UDP4;
    spec.src = 7;
    spec.dst = 5;
    spec.src_port = 1000 + number % 8; /* several flows: they go to different queues */
    spec.ip_id = (uint16_t)number;
    spec.payload_seed = (uint32_t)number;
    return pkt_build(bytes, capacity, &spec);
}

/* Which one is this? -1: none of them. */
static int number_of(const uint8_t *bytes, size_t len)
{
    uint8_t expected[512];
    int number;

    if (len < 20 || bytes[0] >> 4 != 4)
        return -1;
    number = (int)pkt_get16(bytes + 4);
    return numbered(expected, sizeof expected, number) == len && memcmp(expected, bytes, len) == 0 ? number : -1;
}

static void peer_sends_numbers(peer p, int from, int to)
{
    uint8_t bytes[512];

    for (; from < to; from++)
        CHECK(peer_sends(p, bytes, numbered(bytes, sizeof bytes, from), 0));
}

static void queue_sends_numbers(tuo_tun *tun, int from, int to)
{
    uint8_t bytes[512];

    for (; from < to; from++)
        CHECK_RESULT(tuo_tun_push(tun, bytes, numbered(bytes, sizeof bytes, from)), TUO_OK);
    CHECK_RESULT(tuo_tun_flush(tun), TUO_OK);
}

/* All of them reached the kernel, once and in order of their flows. */
static void check_sent_numbers(peer p, int from, int to)
{
    static uint8_t bytes[WORKS_FRAME_MAX];
    static int seen[0x10000];
    int number, count = 0;
    size_t len;

    memset(seen, 0, sizeof seen);
    while (count < to - from && (len = peer_next(p, bytes, sizeof bytes, WORKS_WAIT_MS)) != 0)
        if ((number = number_of(bytes, len)) >= 0 && CHECK(number >= from && number < to && !seen[number]++))
            count++;
    CHECK_EQ_INT(count, to - from);
}

/* Reads `count` numbered packets of these queues; marks them in seen. */
static void read_numbers(tuo_tun *const *queues, size_t queue_count, int count, uint8_t *seen)
{
    static uint8_t bytes[WORKS_FRAME_MAX];
    struct pollfd pollers[4];
    tuo_vnet_hdr vnet;
    int number;
    size_t i, len = 0;

    while (count > 0) {
        for (i = 0; i < queue_count; i++) {
            pollers[i].fd = tuo_tun_fd(queues[i]);
            pollers[i].events = POLLIN;
            while (count > 0 && tuo_tun_recv(queues[i], bytes, sizeof bytes, &vnet, &len) == TUO_OK)
                if ((number = number_of(bytes, len)) >= 0 && CHECK_EQ_INT(seen[number]++, 0))
                    count--;
        }
        if (count > 0 && !CHECK(poll(pollers, (nfds_t)queue_count, WORKS_WAIT_MS) > 0))
            return;
    }
}

static void check_seen(const uint8_t *seen, int to)
{
    int i, missing = 0;

    for (i = 0; i < to; i++)
        missing += seen[i] == 0;
    CHECK_EQ_INT(missing, 0);
}

static void pass_fds(int to, const int *fds, size_t count)
{
    union {
        char room[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr message;
    struct cmsghdr *header;

    memset(&message, 0, sizeof message);
    memset(&control, 0, sizeof control);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.room;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    CHECK_EQ_INT(sendmsg(to, &message, 0), 1);
}

static void take_fds(int from, int *fds, size_t count)
{
    union {
        char room[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr message;

    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    memset(fds, 0xff, count * sizeof(int));
    CHECK_EQ_INT(recvmsg(from, &message, MSG_CMSG_CLOEXEC), 1);
    if (CHECK(CMSG_FIRSTHDR(&message) != NULL))
        memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), count * sizeof(int));
}

static const struct {
    const char *name;
    size_t queues;
    int adopt_negotiate;
} upgrade_rows[] = {
    {"one queue", 1, 0},
    {"one queue, adopt_negotiate", 1, 1},
    {"two queues", 2, 0},
    {"two queues, adopt_negotiate", 2, 1},
};

static uint8_t *seen_by_all; /* shared */

/* The process that is replaced. Each word that it hears lets it go one step on. */
static void old_process(int to_new)
{
    const size_t count = upgrade_rows[row].queues;
    tuo_tun_desc desc = named((tuo_tun_desc){.persist = 1, .up = 1, .disable_offloads = TUO_TUN_USO});
    tuo_tun_group *group = NULL;
    tuo_tun *queues[2];
    int fds[2];
    size_t i;

    CHECK_RESULT(tuo_tun_group_open(&group, &desc, count, NULL), TUO_OK);
    if (!group)
        return;
    for (i = 0; i < count; i++) {
        queues[i] = tuo_tun_group_queue(group, i);
        fds[i] = tuo_tun_fd(queues[i]);
    }
    say(to_new, 0);
    (void)hear(to_new); /* the new process could not open */
    CHECK_EQ_INT(get_vnet_len(fds[0]), TUO_VNET_LEN);
    CHECK_EQ_INT(interface_feature(DEVICE, ETHTOOL_GTSO), 1);
    queue_sends_numbers(queues[0], 0, PACKETS / 2);
    read_numbers(queues, count, PACKETS / 2, seen_by_all);
    pass_fds(to_new, fds, count);
    (void)hear(to_new); /* the new one reads now */
    tuo_tun_group_close(group);
    say(to_new, 0);
}

/* Hands the descriptors over while packets wait in the device, come, and go. */
static void hand_over(void)
{
    const size_t count = upgrade_rows[row].queues;
    tuo_tun_desc desc = named((tuo_tun_desc){.multi_queue = count > 1});
    tuo_tun_group *group = NULL;
    tuo_tun_failure failure;
    tuo_tun *queues[2] = {NULL, NULL};
    int old, fds[2], error = 0;
    pid_t pid = start_other(old_process, &old);
    size_t i;
    peer p;

    (void)hear(old);
    p = peer_at(packet_socket, DEVICE);
    desc.failure = &failure;
    CHECK_RESULT(tuo_tun_open(&queues[0], &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EBUSY);
    CHECK_EQ_STR(failure.text, DEVICE ": in use by another process");
    peer_sends_numbers(p, 0, PACKETS);
    say(old, 0);
    take_fds(old, fds, count);
    peer_sends_numbers(p, PACKETS, PACKETS + PACKETS / 2);
    desc = (tuo_tun_desc){.adopt_negotiate = (uint8_t)upgrade_rows[row].adopt_negotiate};
    if (!CHECK_RESULT(tuo_tun_group_adopt(&group, fds, count, &desc, NULL), TUO_OK))
        return;
    for (i = 0; i < count; i++)
        queues[i] = tuo_tun_group_queue(group, i);
    read_numbers(queues, count, PACKETS / 2, seen_by_all);
    say(old, 0);
    (void)hear(old); /* it is closed there */
    queue_sends_numbers(queues[0], PACKETS / 2, PACKETS);
    read_numbers(queues, count, PACKETS / 2, seen_by_all);
    check_seen(seen_by_all, PACKETS + PACKETS / 2);
    check_sent_numbers(p, 0, PACKETS);
    tun_works(queues, count, 0, p);
    tuo_tun_group_close(group);
    CHECK_EQ_INT(end_child(pid), 0);
}

TEST(upgrade_by_handing_over)
{
    for (row = 0; row < CHECK_COUNT_OF(upgrade_rows); row++) {
        check_row("%s", upgrade_rows[row].name);
        memset(seen_by_all, 0, 0x10000);
        in_child(hand_over);
    }
}

/* The old process of a shared device leaves when nothing is on its way. */
static void leaving_process(int to_new)
{
    tuo_tun_desc desc = named((tuo_tun_desc){.persist = 1, .up = 1, .multi_queue = 1, .disable_offloads = TUO_TUN_USO});
    tuo_tun *tun = open_or_fail(desc);
    int len = 12, count;

    if (!tun)
        return;
    CHECK_EQ_INT(ioctl(tuo_tun_fd(tun), TUNSETVNETHDRSZ, &len), 0); /* what would not outlive a negotiation */
    tuo_tun_close(tun);
    desc.share = 1;
    tun = NULL;
    CHECK_RESULT(tuo_tun_adopt(&tun, raw_open(DEVICE, TUN_VNET | IFF_MULTI_QUEUE, O_NONBLOCK), &desc, NULL), TUO_OK);
    if (!tun)
        return;
    say(to_new, 0);
    while ((count = hear(to_new)) >= 0) { /* packets that are not the new one's are this one's */
        read_numbers(&tun, 1, count, seen_by_all);
        say(to_new, 0);
    }
    CHECK_EQ_INT(get_vnet_len(tuo_tun_fd(tun)), 12);
    queue_sends_numbers(tun, 0, PACKETS);
    tuo_tun_close(tun);
    say(to_new, 0);
}

/* Packets that have come to this queue. */
static int drain_numbers(tuo_tun *tun, uint8_t *seen)
{
    static uint8_t bytes[WORKS_FRAME_MAX];
    tuo_vnet_hdr vnet;
    size_t len = 0;
    int count = 0, number;

    while (tuo_tun_recv(tun, bytes, sizeof bytes, &vnet, &len) == TUO_OK)
        if ((number = number_of(bytes, len)) >= 0 && CHECK_EQ_INT(seen[number]++, 0))
            count++;
    return count;
}

static void share(void)
{
    tuo_tun_desc desc = named((tuo_tun_desc){.multi_queue = 1});
    tuo_tun *tun = NULL;
    int old, error = 0;
    pid_t pid = start_other(leaving_process, &old);
    peer p;

    (void)hear(old);
    p = peer_at(packet_socket, DEVICE);
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EBUSY);
    CHECK_EQ_INT(interface_tun_fact(DEVICE, TUN_NUM_QUEUES), 1);
    desc.share = 1;
    tun = open_or_fail(desc);
    if (!tun)
        return;
    CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, 12); /* as it is */
    CHECK_EQ_INT(tun_info_of(tun).offloads, 0);
    peer_sends_numbers(p, 0, PACKETS);
    say(old, PACKETS - drain_numbers(tun, seen_by_all));
    (void)hear(old);
    check_seen(seen_by_all, PACKETS);
    queue_sends_numbers(tun, PACKETS, 2 * PACKETS);
    say(old, -1);
    (void)hear(old);
    peer_sends_numbers(p, PACKETS, 2 * PACKETS);
    read_numbers(&tun, 1, PACKETS, seen_by_all);
    check_seen(seen_by_all, 2 * PACKETS);
    check_sent_numbers(p, 0, 2 * PACKETS);
    tuo_tun_close(tun);
    CHECK_EQ_INT(end_child(pid), 0);
}

TEST(upgrade_by_sharing)
{
    if (!netns_ready())
        return;
    memset(seen_by_all, 0, 0x10000);
    in_child(share);
}

/* ------------------------------------------------------------------------------------------------ a device that is not there */

/* What happens to the device after it was opened. */
enum {
    RENAMED = 1, MOVED = 2, DELETED = 4,
    AGAIN = 8,       /* a TUN device of the same name is made */
    SAME_INDEX = 16, /* an interface of another kind, with the same name and index */
    BACK = 32        /* moved back */
};

static const struct {
    const char *name;
    int events, adopted;
    tuo_result result;
} fate_rows[] = {
    {"renamed, and a namesake", RENAMED | AGAIN, 0, TUO_OK}, /* more of opened ones: test_tun_places */
    {"moved, and an interface of the same index", MOVED | SAME_INDEX, 0, TUO_E_UNSUPPORTED},
    {"moved and back", MOVED | BACK, 0, TUO_OK},
    {"adopted, nothing", 0, 1, TUO_OK},
    {"adopted, renamed, and a namesake", RENAMED | AGAIN, 1, TUO_OK},
    {"adopted, moved, and an interface of the same index", MOVED | SAME_INDEX, 1, TUO_E_UNSUPPORTED},
    {"adopted, deleted, and made again", DELETED | AGAIN, 1, TUO_E_GONE},
    {"adopted, deleted, and an interface of the same index", DELETED | SAME_INDEX, 1, TUO_E_GONE},
};

/* Where the device is now, and what it is called. */
static struct {
    int home, elsewhere;         /* namespaces */
    int packet_socket_elsewhere;
    const char *name;
    int moved;
} fate;

static void make_elsewhere(void)
{
    fate.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    fate.elsewhere = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    fate.packet_socket_elsewhere = peer_open();
    CHECK_EQ_INT(setns(fate.home, CLONE_NEWNET), 0);
}

/* Returns the descriptor that keeps a namesake alive, or -1. */
static int let_happen(int events)
{
    const int index = interface_index(DEVICE);

    fate.name = events & RENAMED ? DEVICE "2" : DEVICE;
    fate.moved = (events & MOVED) != 0 && !(events & BACK);
    if (events & RENAMED)
        CHECK_EQ_INT(interface_rename(DEVICE, fate.name), 0);
    if (events & MOVED)
        CHECK_EQ_INT(interface_move(DEVICE, fate.elsewhere), 0);
    if (events & BACK) {
        CHECK_EQ_INT(setns(fate.elsewhere, CLONE_NEWNET), 0);
        CHECK_EQ_INT(interface_move(DEVICE, fate.home), 0);
        CHECK_EQ_INT(setns(fate.home, CLONE_NEWNET), 0);
    }
    if (events & DELETED)
        interface_delete(DEVICE);
    if (events & SAME_INDEX && interface_make_veth(DEVICE, index) != 0)
        cannot_run("no veth devices");
    return events & AGAIN ? raw_open(DEVICE, TUN_VNET, O_NONBLOCK) : -1;
}

static void check_untouched(const char *name)
{
    CHECK_EQ_INT(interface_mtu(name), 1500);
    CHECK(!(interface_flags(name) & IFF_UP));
    CHECK(!has_address(name, AF_INET, "10.1.255.1"));
    CHECK(!has_address(name, AF_INET6, "fd00:1::ffff"));
}

static void device_of_some_fate(void)
{
    const int events = fate_rows[row].events;
    const tuo_result expected = fate_rows[row].result;
    tuo_tun_desc desc = named((tuo_tun_desc){.tap = 0});
    tuo_tun *tun = NULL;
    int namesake;

    make_elsewhere();
    if (fate_rows[row].adopted)
        CHECK_RESULT(tuo_tun_adopt(&tun, raw_open(DEVICE, TUN_VNET, O_NONBLOCK), &desc, NULL), TUO_OK);
    else
        tun = open_or_fail(desc);
    if (!tun)
        return;
    namesake = let_happen(events);
    CHECK_RESULT(tuo_tun_set_mtu(tun, MTU), expected);
    CHECK_RESULT(tuo_tun_add_address(tun, "10.1.255.1/16"), expected);
    CHECK_RESULT(tuo_tun_add_address(tun, "fd00:1::ffff/64"), expected);
    CHECK_RESULT(tuo_tun_set_up(tun, 1), expected);
    if (events & (AGAIN | SAME_INDEX))
        check_untouched(DEVICE);
    if (fate.moved)
        CHECK_EQ_INT(setns(fate.elsewhere, CLONE_NEWNET), 0);
    if (expected == TUO_OK)
        check_settings(fate.name, 1);
    else if (fate.moved)
        check_untouched(fate.name);
    if (!(events & DELETED) && CHECK_EQ_INT(interface_set_up(fate.name, 1), 0)) /* packets do not mind */
        tun_works(&tun, 1, 0, peer_at(fate.moved ? fate.packet_socket_elsewhere : packet_socket, fate.name));
    tuo_tun_close(tun);
    if (namesake >= 0)
        close(namesake);
}

TEST(settings_of_a_device_that_left)
{
    for (row = 0; row < CHECK_COUNT_OF(fate_rows); row++) {
        check_row("%s", fate_rows[row].name);
        in_child(device_of_some_fate);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(gvisor),
        CHECK_ENTRY(containers),
        CHECK_ENTRY(passed_to_a_process_without_rights),
        CHECK_ENTRY(unprivileged_owner),
        CHECK_ENTRY(unprivileged_user_namespace),
        CHECK_ENTRY(seccomp_filters),
        CHECK_ENTRY(upgrade_by_handing_over),
        CHECK_ENTRY(upgrade_by_sharing),
        CHECK_ENTRY(settings_of_a_device_that_left),
    };
    void *shared = mmap(NULL, 0x10000 + 200, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        return 1;
    seen_by_all = (uint8_t *)shared;
    why_not = (char *)shared + 0x10000;
    netns_enter();
    return CHECK_RUN(argc, argv, tests);
}
