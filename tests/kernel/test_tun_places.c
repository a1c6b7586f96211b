/* Opening and settings of the Linux TUN backend where things are not as a program expects: the device was moved or deleted and another
   interface has its name or index, it has other users, the kernel lacks requests, netlink is denied or loses answers, the program has no
   rights. Needs root and /dev/net/tun; works in network namespaces of its own. */
#define TUNOFFLOAD_TUN
#include "tun_pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { OWNER = 4321 };

/* ------------------------------------------------------------------------------------------------------- surroundings */

static int namespace_of_thread(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

/* Another namespace than that of the test, in which nothing is. */
static int make_namespace(void)
{
    int home = namespace_of_thread(), other;

    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    other = namespace_of_thread();
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    close(home);
    return other;
}

static int index_of(const char *name)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    request = interface_ioctl(name, SIOCGIFINDEX, request, &error);
    return error ? -error : request.ifr_ifindex;
}

static int interface_queue_len(const char *name)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    request = interface_ioctl(name, SIOCGIFTXQLEN, request, &error);
    return error ? -error : request.ifr_qlen;
}

static void rename_interface(const char *name, const char *to)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    snprintf(request.ifr_newname, sizeof request.ifr_newname, "%s", to);
    interface_ioctl(name, SIOCSIFNAME, request, &error);
    CHECK_EQ_INT(error, 0);
}

/* To another namespace, with its name; the index is kept if it is free there. */
static void move_interface(const char *name, int to_namespace)
{
    struct ifinfomsg link = {.ifi_index = index_of(name)};
    tuoi_netlink request;
    uint32_t fd = (uint32_t)to_namespace;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    tuoi_netlink_begin(&request, RTM_NEWLINK, 0, &link, sizeof link);
    tuoi_netlink_add(&request, IFLA_NET_NS_FD, &fd, sizeof fd);
    CHECK_EQ_INT(tuoi_netlink_call(netlink, &request), 0);
    close(netlink);
}

/* A TUN device of this index. */
static int raw_open_index(const char *name, unsigned index)
{
    struct ifreq request;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    CHECK_EQ_INT(ioctl(fd, TUNSETIFINDEX, &index), 0);
    set_request_name(&request, name);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    CHECK_EQ_INT(ioctl(fd, TUNSETIFF, &request), 0);
    CHECK_EQ_INT(index_of(name), index);
    return fd;
}

static int has_any_address(const char *name)
{
    struct ifaddrs *all = NULL, *each;
    int has = 0;

    CHECK_EQ_INT(getifaddrs(&all), 0);
    for (each = all; each; each = each->ifa_next)
        has |= each->ifa_addr && strcmp(each->ifa_name, name) == 0 &&
               (each->ifa_addr->sa_family == AF_INET || each->ifa_addr->sa_family == AF_INET6);
    freeifaddrs(all);
    return has;
}

/* A persistent device as an administrator leaves it. */
static void prepare(const tuo_tun_desc *like)
{
    tuo_tun_desc desc = *like;

    desc.persist = desc.set_owner = 1;
    desc.owner = OWNER;
    tuo_tun_close(open_or_fail(&desc));
}

/* Without udev the device may be root's alone. */
static int others_may_open(void)
{
    struct stat device;

    if (stat("/dev/net/tun", &device) == 0 && (device.st_mode & 06) == 06)
        return 1;
    check_skip("/dev/net/tun is not for everybody");
    return 0;
}

/* Runs `what` as a user without rights, in a process of its own: the failed checks there are failed checks here. */
static void as_nobody(void (*what)(void))
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        check_state.failures = 0;
        CHECK(setgid(99) == 0 && setuid(OWNER) == 0);
        what();
        fflush(stdout);
        _exit(check_state.failures != 0);
    }
    waitpid(child, &status, 0);
    CHECK_EQ_INT(status, 0);
}

/* ------------------------------------------------------------------------------------- the device is somewhere else */

/* An interface that has the name or the index of a device that is gone or elsewhere is not touched. */
TEST(settings_touch_no_other_interface)
{
    enum { DELETED, MOVED };
    static const struct {
        const char *name;
        int what;
        const char *victim; /* its name */
        int same_index, old_kernel, unprivileged;
        tuo_result result;
    } rows[] = {
        {"deleted, its index is another's", DELETED, "victim", 1, 0, 0, TUO_E_GONE},
        {"deleted, its name is another's", DELETED, "tuop", 0, 0, 0, TUO_E_GONE},
        {"deleted, both are another's", DELETED, "tuop", 1, 0, 0, TUO_E_GONE},
        {"deleted, an older kernel", DELETED, "tuop", 1, 1, 0, TUO_E_GONE},
        {"moved, its index is another's", MOVED, "victim", 1, 0, 0, TUO_E_UNSUPPORTED},
        {"moved, its name is another's", MOVED, "tuop", 0, 0, 0, TUO_E_UNSUPPORTED},
        {"moved, both are another's", MOVED, "tuop", 1, 0, 0, TUO_E_UNSUPPORTED},
        {"moved, its index is another's, an older kernel", MOVED, "victim", 1, 1, 0, TUO_E_UNSUPPORTED},
        {"moved, its name is another's, an older kernel", MOVED, "tuop", 0, 1, 0, TUO_E_UNSUPPORTED},
        {"moved, its index is another's, no right to ask", MOVED, "victim", 1, 0, 1, TUO_E_UNSUPPORTED},
        {"moved, both are another's, no right to ask", MOVED, "tuop", 1, 0, 1, TUO_E_SYSTEM},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        int victim, index, other, before = fd_count();

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        desc.name = "tuop";
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        other = make_namespace();
        index = index_of("tuop");
        if (rows[i].what == DELETED)
            interface_delete("tuop");
        else
            move_interface("tuop", other);
        victim = rows[i].same_index ? raw_open_index(rows[i].victim, (unsigned)index)
                                    : raw_open(rows[i].victim, IFF_TUN | IFF_NO_PI, 0);
        CHECK(victim >= 0);
        filter.recvs = 0;
        filter.old_netns = rows[i].old_kernel;
        filter.skns_errno = rows[i].unprivileged ? EPERM : 0;
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1234), rows[i].result);
        CHECK_RESULT(tuo_tun_set_up(tun, 1), rows[i].result);
        CHECK_RESULT(tuo_tun_add_address(tun, "10.66.0.1/24"), rows[i].result);
        CHECK_RESULT(tuo_tun_add_address(tun, "fd66::1/64"), rows[i].result);
        CHECK_EQ_INT(filter.recvs, 0);
        CHECK_EQ_INT(tuoi_tun_is_down(tun), rows[i].what == DELETED || rows[i].result == TUO_E_SYSTEM); /* the victim is */
        filter_off();
        CHECK_EQ_INT(interface_mtu(rows[i].victim), 1500);
        CHECK(!(interface_flags(rows[i].victim) & IFF_UP));
        CHECK(!has_any_address(rows[i].victim));
        close(victim);
        close(other);
        tuo_tun_close(tun);
        CHECK_EQ_INT(fd_count(), before);
    }
}

/* Renamed, or moved away and back: the settings find it, by whatever name and index it has. */
TEST(settings_follow_the_device)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun, *queue = NULL;
    int home, other, blocker, index, error = 0;

    if (!ready())
        return;
    desc.name = "tuop";
    desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    if (!tun)
        return;
    rename_interface("tuop", "tuoq");
    blocker = raw_open("tuop", IFF_TUN | IFF_NO_PI, 0);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1401), TUO_OK);
    CHECK_EQ_INT(interface_mtu("tuoq"), 1401);
    CHECK_EQ_INT(interface_mtu("tuop"), 1500);
    filter.rename_to = "tuor"; /* while it is looked for */
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1402), TUO_OK);
    CHECK_EQ_INT(interface_mtu("tuor"), 1402);
    close(blocker);

    home = namespace_of_thread();
    other = make_namespace();
    index = index_of("tuor");
    move_interface("tuor", other);
    blocker = raw_open_index("blocker", (unsigned)index);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1403), TUO_E_UNSUPPORTED);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED);
    CHECK(!interface_exists("tuor"));
    CHECK_EQ_INT(setns(other, CLONE_NEWNET), 0);
    CHECK_EQ_INT(interface_mtu("tuor"), 1402);
    move_interface("tuor", home);
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    CHECK(index_of("tuor") > 0 && index_of("tuor") != index);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1404), TUO_OK);
    CHECK_EQ_INT(interface_mtu("tuor"), 1404);
    CHECK_EQ_INT(interface_mtu("blocker"), 1500);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_OK);
    if (queue)
        CHECK_EQ_STR(tuo_tun_name(queue), "tuor");
    tuo_tun_close(queue);
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0); /* the thread has moved on, its queue's settings have not */
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1405), TUO_OK);
    CHECK_RESULT(tuo_tun_add_address(tun, "fd66::1/64"), TUO_OK);
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    CHECK_EQ_INT(interface_mtu("tuor"), 1405);
    CHECK(has_any_address("tuor"));
    close(blocker);
    close(other);
    close(home);
    tuo_tun_close(tun);
}

/* Between the question where the device is and its answer. */
static int rename_always(unsigned long request, void *argument)
{
    static int flip;
    struct ifreq present;

    (void)argument;
    if (request == SIOCGIFINDEX) {
        set_request_name(&present, flip ? "tuor" : "tuop");
        rename_interface(present.ifr_name, flip ? "tuop" : "tuor");
        flip = !flip;
    }
    return 0;
}

TEST(renamed_all_the_time)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    desc.name = "tuop";
    tun = open_or_fail(&desc);
    filter.ioctl_errno = rename_always;
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1403), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EBUSY);
    filter_off();
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1403), TUO_OK);
    tuo_tun_close(tun);
}

/* Deleted between the answer and the setting. */
TEST(deleted_just_now)
{
    const tuoi_setting mtu = tuoi_setting_of(TUO_TUN_STEP_MTU, 1400);
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    tun = open_or_fail(&desc);
    CHECK_EQ_INT(tuoi_tun_send_setting(tun, 123456789, &mtu), -EBADFD);
    tuo_tun_close(tun);
}

/* Neither netlink nor the right to ask: only the name is known, and that can be another's. */
TEST(only_the_name_is_known)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;
    int namesake, other;

    if (!ready())
        return;
    other = make_namespace();
    desc.name = "tuop";
    desc.no_netlink = 1;
    filter.skns_errno = EPERM;
    tun = open_or_fail(&desc);
    filter_off();
    move_interface("tuop", other);
    namesake = raw_open("tuop", IFF_TUN | IFF_NO_PI, 0);
    filter.skns_errno = EPERM;
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1500), TUO_E_UNSUPPORTED);
    filter_off();
    close(namesake);
    close(other);
    tuo_tun_close(tun);
}

/* An adopted device that is elsewhere, and comes. */
TEST(adopted_from_elsewhere)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_failure failure;
    tuo_tun *tun = NULL, *queue = NULL;
    int fd, home, other, secret, error = 0;

    for (secret = 0; secret < 2; secret++) {
        check_row("%s", secret ? "the kernel does not say where" : "the kernel says where");
        if (!ready())
            return;
        home = namespace_of_thread();
        other = make_namespace();
        fd = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK);
        CHECK_EQ_INT(setns(other, CLONE_NEWNET), 0);
        filter.skns_errno = secret ? EPERM : 0;
        desc.mtu = 1400;
        desc.failure = &failure;
        CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, &error), TUO_E_UNSUPPORTED);
        CHECK_EQ_STR(failure.text, secret ? "tuop: MTU 1400: perhaps in another network namespace (to ask needs CAP_NET_ADMIN)"
                                          : "tuop: MTU 1400: is in another network namespace");
        desc.mtu = 0;
        CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, &error), TUO_OK);
        CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED);
        CHECK(!interface_exists("tuop"));
        CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
        move_interface("tuop", other);
        CHECK_EQ_INT(setns(other, CLONE_NEWNET), 0);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1401), secret ? TUO_E_UNSUPPORTED : TUO_OK);
        CHECK_EQ_INT(interface_mtu("tuop"), secret ? 1500 : 1401);
        CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), secret ? TUO_E_UNSUPPORTED : TUO_OK);
        filter_off();
        tuo_tun_close(queue);
        tuo_tun_close(tun);
        queue = tun = NULL;
        CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
        close(home);
        close(other);
    }
}

/* While a queue is added the first one's device goes away, or changes. */
static int other_namespace;
static int moves_away(unsigned long request, void *argument)
{
    if (request == TUNSETIFF)
        move_interface(((tuoi_ifreq *)argument)->name, other_namespace);
    return 0;
}

TEST(queues_of_a_device_that_changes)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun, *queue = NULL;
    static const char *const names[] = {"moves away", "moves away, no netlink", "moves away, an older kernel"};
    int error, len = 12, i;

    for (i = 0; i < 3; i++) {
        check_row("%s", names[i]);
        if (!ready())
            return;
        other_namespace = make_namespace();
        desc.name = "tuop";
        desc.multi_queue = 1;
        desc.no_netlink = i == 1;
        tun = open_or_fail(&desc);
        filter.old_netns = i == 2;
        filter.ioctl_errno = moves_away;
        CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_GONE);
        CHECK(!interface_exists("tuop"));
        filter_off();
        tuo_tun_close(tun);
        close(other_namespace);
    }
    check_row("another header size");
    tun = open_or_fail(&desc);
    CHECK_EQ_INT(ioctl(tuo_tun_fd(tun), TUNSETVNETHDRSZ, &len), 0);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED);
    tuo_tun_close(tun);
}

/* --------------------------------------------------------------------------------------------- settings that are so */

static const tuo_tun_desc prepared = {.name = "tuop", .mtu = 1420, .tx_queue_len = 700, .up = 1, .address4 = "10.66.0.1/24",
                                      .address6 = "fd66::1/64"};

static void owner_opens(void)
{
    tuo_tun_failure failure;
    tuo_tun_desc desc = prepared;
    tuo_tun *tun = NULL;
    int error = 0, netlink;

    desc.failure = &failure;
    for (netlink = 0; netlink < 3; netlink++) { /* with it, denied, not wanted */
        filter_off();
        filter.netlink_errno = netlink == 1 ? EAFNOSUPPORT : 0;
        desc.no_netlink = netlink == 2;
        tun = NULL;
        if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK))
            printf("    %s\n", failure.text);
        if (!tun)
            continue;
        CHECK_EQ_INT(filter.recvs, netlink == 0); /* packet information? */
        CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, 10);
        CHECK(tun_info_of(tun).offloads & TUO_TUN_TSO4);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1420), TUO_OK);
        CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
        CHECK_RESULT(tuo_tun_add_address(tun, "10.66.0.1/24"), TUO_OK);
        CHECK_RESULT(tuo_tun_add_address(tun, "fd66::1/64"), TUO_OK);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1421), netlink ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM);
        CHECK_EQ_INT(tun_info_of(tun).tx_errno, netlink ? EOPNOTSUPP : EPERM);
        tuo_tun_close(tun);
    }
    filter_off();
    desc.no_netlink = 0;
    desc.mtu = 1421;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EPERM);
    CHECK_EQ_STR(failure.text, "tuop: MTU 1421: needs CAP_NET_ADMIN");
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_MTU);
}

TEST(an_owner_without_rights)
{
    if (!ready() || !others_may_open())
        return;
    prepare(&prepared);
    as_nobody(owner_opens);
    CHECK_EQ_INT(interface_mtu("tuop"), 1420);
    interface_delete("tuop");
}

static void owner_opens_queues(void)
{
    static const struct {
        uint8_t no_netlink, share;
        tuo_result result;
    } rows[] = {{0, 0, TUO_OK}, {0, 1, TUO_OK}, {1, 0, TUO_E_SYSTEM}, {1, 1, TUO_OK}};
    tuo_tun_desc desc = prepared;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_group *group = NULL;
        tuo_tun *queue = NULL;
        int error = 0;

        desc.multi_queue = 1;
        desc.no_netlink = rows[i].no_netlink;
        desc.share = rows[i].share;
        CHECK_RESULT(tuo_tun_group_open(&group, &desc, 3, &error), rows[i].result);
        CHECK_EQ_INT(error, rows[i].result == TUO_OK ? 0 : EBUSY); /* without netlink: is it in use? */
        if (group) {
            CHECK_RESULT(tuo_tun_add_queue(tuo_tun_group_queue(group, 0), &queue, &error),
                         desc.no_netlink ? TUO_E_UNSUPPORTED : TUO_OK);
            tuo_tun_close(queue);
        }
        tuo_tun_group_close(group);
    }
}

TEST(an_owner_of_queues_without_rights)
{
    tuo_tun_desc desc = prepared;

    if (!ready() || !others_may_open())
        return;
    desc.multi_queue = 1;
    prepare(&desc);
    as_nobody(owner_opens_queues);
    interface_delete("tuop");
}

/* One setting each: what is so is not sent, what only looks so is. */
TEST(settings_that_are_so_are_not_sent)
{
    static const struct {
        const char *name;
        uint32_t mtu, tx_queue_len;
        const char *address;
        int up;
        unsigned sent, again; /* the kernel keeps the prefix length of an IPv6 address, and tells of one of an IPv4 address */
    } rows[] = {
        {"MTU", 1420, 0, NULL, 0, 0, 0},
        {"another MTU", 1421, 0, NULL, 0, 1, 0},
        {"length of the queue", 0, 700, NULL, 0, 0, 0},
        {"another length of the queue", 0, 701, NULL, 0, 1, 0},
        {"IPv4 address", 0, 0, "10.66.0.1/24", 0, 0, 0},
        {"second IPv4 address", 0, 0, "10.67.0.2/31", 0, 0, 0},
        {"a neighbour", 0, 0, "10.66.0.2/24", 0, 1, 0},
        {"another prefix length", 0, 0, "10.66.0.1/25", 0, 1, 1},
        {"the prefix length of another address", 0, 0, "10.66.0.1/31", 0, 1, 1},
        {"IPv6 address", 0, 0, "fd66::1/64", 0, 0, 0},
        {"second IPv6 address", 0, 0, "fd67:0:0:abc:def0:1234:5678:9abc/127", 0, 0, 0},
        {"an IPv6 neighbour", 0, 0, "fd66::2/64", 0, 1, 0},
        {"another IPv6 prefix length", 0, 0, "fd66::1/65", 0, 1, 1},
        {"an IPv6 address of another interface", 0, 0, "fd68::1/64", 0, 1, 0},
        {"an IPv4 address of another interface", 0, 0, "10.68.0.1/24", 0, 1, 0},
        {"up", 0, 0, NULL, 1, 0, 0},
    };
    tuo_tun_desc other = {.name = "tuoo", .up = 1, .address4 = "10.68.0.1/24", .address6 = "fd68::1/64"};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = prepared;
        tuo_tun *tun, *neighbour;
        int error = 0;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        neighbour = open_or_fail(&other);
        desc.persist = 1;
        tun = open_or_fail(&desc);
        CHECK_RESULT(tuo_tun_add_address(tun, "10.67.0.2/31"), TUO_OK);
        CHECK_RESULT(tuo_tun_add_address(tun, "fd67:0:0:abc:def0:1234:5678:9abc/127"), TUO_OK);
        tuo_tun_close(tun);
        tun = NULL;
        memset(&desc, 0, sizeof desc);
        desc.name = "tuop";
        desc.mtu = rows[i].mtu;
        desc.tx_queue_len = rows[i].tx_queue_len;
        if (rows[i].address)
            *(strchr(rows[i].address, ':') ? &desc.address6 : &desc.address4) = rows[i].address;
        desc.up = (uint8_t)rows[i].up;
        filter.recvs = 0;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
        CHECK_EQ_INT(filter.recvs, 1 + rows[i].sent); /* and one question for packet information */
        filter.recvs = 0;
        if (rows[i].mtu)
            CHECK_EQ_INT(interface_mtu("tuop"), rows[i].mtu);
        if (rows[i].tx_queue_len)
            CHECK_EQ_INT(interface_queue_len("tuop"), rows[i].tx_queue_len);
        if (rows[i].address)
            CHECK_RESULT(tuo_tun_add_address(tun, rows[i].address), TUO_OK);
        CHECK_EQ_INT(filter.recvs, rows[i].again);
        filter.recvs = 0;
        CHECK_RESULT(tuo_tun_set_up(tun, 0), TUO_OK);
        CHECK_EQ_INT(filter.recvs, 1);
        CHECK_RESULT(tuo_tun_set_up(tun, 0), TUO_OK);
        CHECK_EQ_INT(filter.recvs, 1);
        CHECK(!(interface_flags("tuop") & IFF_UP));
        tuo_tun_close(tun);
        interface_delete("tuop");
        tuo_tun_close(neighbour);
    }
}

/* Lines of /proc/net/if_inet6. */
TEST(lines_of_ipv6_addresses)
{
    static const struct {
        const char *line;
        int fits; /* fd66::1/64 of interface 0x1a */
    } rows[] = {
        {"fd660000000000000000000000000001 1a 40 00 80     tuop\n", 1},
        {"fd660000000000000000000000000001 1a 40 00 00 abcdef0\n", 1},
        {"fd660000000000000000000000000001 1a 40 00 40     tuop\n", 1}, /* tentative: soon */
        {"fd660000000000000000000000000001 1a 40 00 08     tuop\n", 0}, /* of another host */
        {"fd660000000000000000000000000001 1b 40 00 80     tuop\n", 0},
        {"fd660000000000000000000000000001 11a 40 00 80     tuop\n", 0},
        {"fd660000000000000000000000000001 1a 41 00 80     tuop\n", 0},
        {"fd660000000000000000000000000002 1a 40 00 80     tuop\n", 0},
        {"0d660000000000000000000000000001 1a 40 00 80     tuop\n", 0},
        {"fd6600000000000000000000000000010 1a 40 00 80     tuop\n", 1}, /* nobody writes such a line */
        {"fd660000000000000000000000000001 1a 40\n", 0},
        {"\n", 0},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        const tuoi_place place = {"tuop", 0x1a};
        tuoi_setting setting;
        tuoi_inet6_line line;
        const char *c;

        check_row("%d", (int)i);
        memset(&line, 0, sizeof line);
        CHECK(tuoi_parse_address("fd66::1/64", &setting));
        for (c = rows[i].line; *c != '\n'; c++)
            tuoi_inet6_take(&line, *c);
        CHECK_EQ_INT(tuoi_inet6_fits(&line, &place, &setting), rows[i].fits);
    }
}

/* What cannot be told is not so. */
static int no_interface_ioctl(unsigned long request, void *argument)
{
    (void)argument;
    return request >= 0x8900 && request < 0x8950 ? ENOTTY : 0;
}

TEST(settings_that_cannot_be_asked_for)
{
    tuo_tun_desc desc = prepared;
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;

    if (!ready())
        return;
    desc.failure = &failure;
    filter.socket_errno = EACCES; /* of any family */
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_E_UNSUPPORTED);
    CHECK_EQ_STR(failure.text, "tuop: MTU 1420: cannot be set: AF_NETLINK sockets are denied");
    filter_off();
    filter.ioctl_errno = no_interface_ioctl;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_E_UNSUPPORTED);
    desc.mtu = desc.tx_queue_len = desc.up = 0;
    desc.address4 = desc.address6 = NULL;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_OK);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1500), TUO_E_UNSUPPORTED);
    filter_off();
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1500), TUO_OK);
    tuo_tun_close(tun);
}

TEST(length_of_the_transmit_queue)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    desc.name = "tuop";
    tun = open_or_fail(&desc);
    CHECK_EQ_INT(interface_queue_len("tuop"), 500);
    tuo_tun_close(tun);
    desc.tx_queue_len = 5000;
    desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    CHECK_EQ_INT(interface_queue_len("tuop"), 5000);
    tuo_tun_close(tun);
}

/* ------------------------------------------------------------------------------------------------ answers of netlink */

TEST(lost_answers)
{
    static const int errors[] = {ENOBUFS, EAGAIN, ENOMEM};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(errors); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;

        check_row("errno %d", errors[i]);
        if (!ready())
            continue;
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        filter.recv_errno = errors[i];
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1401), TUO_E_SYSTEM);
        CHECK_EQ_INT(tun_info_of(tun).tx_errno, errors[i]);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM); /* not the answer to the one before */
        CHECK_EQ_INT(tun_info_of(tun).tx_errno, EINVAL);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1402), TUO_OK);
        CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 1402);
        filter.recv_errno = errors[i];
        CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM);
        CHECK_RESULT(tuo_tun_set_mtu(tun, 1403), TUO_OK);
        CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 1403);
        tuo_tun_close(tun);
        filter_off();
    }
}

static struct {
    uint32_t seq, port; /* of messages that are not the kernel's answer to this request */
    unsigned count;
} other_answer;

static int answer_from_elsewhere(void *bytes, struct sockaddr *from)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } message;

    if (other_answer.count == 0)
        return 0;
    other_answer.count--;
    memset(&message, 0, sizeof message);
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = NLMSG_ERROR;
    message.header.nlmsg_seq = other_answer.seq;
    memcpy(bytes, &message, sizeof message);
    ((struct sockaddr_nl *)(void *)from)->nl_pid = other_answer.port;
    return (int)sizeof message;
}

TEST(answers_to_others)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    tun = open_or_fail(&desc);
    if (!tun)
        return;
    check_row("to an earlier request");
    filter.before_recv = answer_from_elsewhere;
    other_answer.seq = tun->netlink_seq;
    other_answer.port = 0;
    other_answer.count = 5;
    CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EINVAL);
    CHECK_EQ_INT(other_answer.count, 0);
    check_row("from another program");
    other_answer.seq = tun->netlink_seq + 1;
    other_answer.port = 4711;
    other_answer.count = 5;
    CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EINVAL);
    CHECK_EQ_INT(other_answer.count, 0);
    check_row("without end");
    other_answer.count = 1000;
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1400), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EPROTO);
    CHECK(other_answer.count > 900);
    filter_off();
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1401), TUO_OK); /* the kernel's answer is there, and is not this one's */
    CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM);
    CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 1401);
    tuo_tun_close(tun);
}

/* --------------------------------------------------------------------------------------- kernels that know less */

static struct {
    unsigned long unknown[12]; /* requests */
    int error;
    int no_vnet_flag;          /* TUNSETIFF refuses IFF_VNET_HDR */
} lesser;

static int lesser_kernel(unsigned long request, void *argument)
{
    size_t i;

    if (request == TUNSETIFF && lesser.no_vnet_flag && (((tuoi_ifreq *)argument)->u.flags & IFF_VNET_HDR))
        return EINVAL;
    for (i = 0; i < CHECK_COUNT_OF(lesser.unknown); i++)
        if (lesser.unknown[i] == request)
            return lesser.error;
    return 0;
}

#define ALL_UNKNOWN TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, TUNGETVNETLE, TUNGETVNETBE, TUNGETIFF, TUNGETDEVNETNS, 0x894c, SIOCGIFINDEX

TEST(kernels_that_know_less)
{
    static const int errors[] = {ENOTTY, EINVAL, EOPNOTSUPP};
    static const struct {
        const char *name;
        unsigned long unknown[12];
        int no_vnet_flag;
        uint8_t no_vnet_hdr;
        int netlink_errno;
        unsigned vnet_len;
        int has_offloads, keeps_len; /* 24 bytes of an earlier user stay */
    } rows[] = {
        {"TUNSETOFFLOAD", {TUNSETOFFLOAD}, 0, 0, 0, 10, 0, 0},
        {"TUNSETOFFLOAD, plain", {TUNSETOFFLOAD}, 0, 1, 0, 0, 0, 0},
        {"TUNSETVNETHDRSZ", {TUNSETVNETHDRSZ}, 0, 0, 0, 24, 1, 1},
        {"TUNSETVNETHDRSZ, TUNGETVNETHDRSZ", {TUNSETVNETHDRSZ, TUNGETVNETHDRSZ}, 0, 0, 0, 10, 1, 1},
        {"TUNGETVNETLE, TUNGETVNETBE", {TUNGETVNETLE, TUNGETVNETBE}, 0, 0, 0, 10, 1, 0},
        {"TUNGETIFF", {TUNGETIFF}, 0, 0, 0, 10, 1, 0},
        {"SIOCGIFINDEX", {SIOCGIFINDEX}, 0, 0, 0, 10, 1, 0},
        {"namespaces", {TUNGETDEVNETNS, 0x894c}, 0, 0, 0, 10, 1, 0},
        {"netlink", {0}, 0, 0, EAFNOSUPPORT, 10, 1, 0},
        {"IFF_VNET_HDR", {0}, 1, 0, 0, 0, 0, 0},
        {"gVisor", {TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, TUNGETVNETLE, TUNGETVNETBE}, 1, 0, 0, 0, 0, 0},
        {"gVisor, plain", {TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, TUNGETVNETLE, TUNGETVNETBE}, 1, 1, 0, 0, 0, 0},
        {"all", {ALL_UNKNOWN}, 0, 0, EAFNOSUPPORT, 10, 0, 1},
        {"all, plain", {ALL_UNKNOWN}, 1, 1, EAFNOSUPPORT, 0, 0, 1},
    };
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        for (k = 0; k < CHECK_COUNT_OF(errors); k++) {
            tuo_tun_desc desc = zero_desc();
            tuo_tun *tun = NULL;
            int fd, len = 24, error = 0;

            check_row("%s, errno %d", rows[i].name, errors[k]);
            if (!ready())
                continue;
            fd = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
            CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
            CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
            close(fd);
            memcpy(lesser.unknown, rows[i].unknown, sizeof lesser.unknown);
            lesser.error = errors[k];
            lesser.no_vnet_flag = rows[i].no_vnet_flag;
            filter.ioctl_errno = lesser_kernel;
            filter.netlink_errno = rows[i].netlink_errno;
            desc.name = "tuop";
            desc.no_vnet_hdr = rows[i].no_vnet_hdr;
            CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
            if (tun) {
                CHECK_EQ_STR(tuo_tun_name(tun), "tuop");
                CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, rows[i].vnet_len);
                CHECK_EQ_INT(tun_info_of(tun).offloads != 0, rows[i].has_offloads);
                if (rows[i].vnet_len)
                    CHECK_EQ_INT(get_vnet_len(tuo_tun_fd(tun)), rows[i].keeps_len ? 24 : 10);
            }
            filter_off();
            tuo_tun_close(tun);
            interface_delete("tuop");
        }
    }
}

/* What was asked for, and the kernel does not know, is an error that says so. */
TEST(kernels_that_cannot_do_it)
{
    static const struct {
        const char *name;
        unsigned long request;
        uint8_t set_owner, set_group, persist;
        tuo_tun_step step;
        const char *text;
    } rows[] = {
        {"owner", TUNSETOWNER, 1, 0, 0, TUO_TUN_STEP_OWNER, "tuop: owner 4321: not known to this kernel"},
        {"group", TUNSETGROUP, 0, 1, 0, TUO_TUN_STEP_GROUP, "tuop: group 8765: not known to this kernel"},
        {"persist", TUNSETPERSIST, 0, 0, 1, TUO_TUN_STEP_PERSIST, "tuop: persist: not known to this kernel"},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun_failure failure;
        tuo_tun *tun = NULL;
        int error = 0, before = fd_count();

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        memset(&lesser, 0, sizeof lesser);
        lesser.unknown[0] = rows[i].request;
        lesser.error = ENOTTY;
        filter.ioctl_errno = lesser_kernel;
        desc.name = "tuop";
        desc.set_owner = rows[i].set_owner;
        desc.owner = OWNER;
        desc.set_group = rows[i].set_group;
        desc.group = 8765;
        desc.persist = rows[i].persist;
        desc.failure = &failure;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
        CHECK_EQ_INT(error, ENOTTY);
        CHECK_EQ_INT(failure.step, rows[i].step);
        CHECK_EQ_INT(failure.error, ENOTTY);
        CHECK_EQ_STR(failure.text, rows[i].text);
        filter_off();
        CHECK_EQ_INT(fd_count(), before);
        CHECK(!interface_exists("tuop"));
    }
}

/* ------------------------------------------------------------------------------------------- devices of others */

static int flags_before, len_before, tso_before;

/* A device of several queues as another program runs it: a vnet header of 12 bytes, TSO. */
static int other_program(void)
{
    int fd = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK), len = 12;

    CHECK(fd >= 0);
    CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
    CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4)), 0);
    flags_before = get_flags(fd);
    len_before = get_vnet_len(fd);
    tso_before = interface_feature("tuop", ETHTOOL_GTSO);
    CHECK_EQ_INT(tso_before, 1);
    return fd;
}

static void check_other_program(int fd)
{
    CHECK_EQ_INT(get_flags(fd), flags_before);
    CHECK_EQ_INT(get_vnet_len(fd), len_before);
    CHECK_EQ_INT(interface_feature("tuop", ETHTOOL_GTSO), tso_before);
}

TEST(devices_of_others_are_left_alone)
{
    static const struct {
        const char *name;
        uint8_t share, no_vnet_hdr, no_netlink, tap;
        int netlink_errno, detached, gone; /* its queue */
        size_t queues;
        tuo_result result;
        int error;
        const char *text;
    } rows[] = {
        {"in use", 0, 0, 0, 0, 0, 0, 0, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"in use, several queues", 0, 0, 0, 0, 0, 0, 0, 4, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"in use, plain packets", 0, 1, 0, 0, 0, 0, 0, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"in use by a queue that is detached", 0, 0, 0, 0, 0, 1, 0, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"in use, for Ethernet", 0, 0, 0, 1, 0, 0, 0, 1, TUO_E_SYSTEM, EINVAL, "tuop: exists, and is a TUN device"},
        {"perhaps in use: no_netlink", 0, 0, 1, 0, 0, 0, 0, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"perhaps in use: netlink denied", 0, 0, 0, 0, EACCES, 0, 0, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
        {"shared", 1, 0, 0, 0, 0, 0, 0, 1, TUO_OK, 0, ""},
        {"shared, several queues", 1, 0, 0, 0, 0, 0, 0, 4, TUO_OK, 0, ""},
        {"shared, no_netlink", 1, 0, 1, 0, 0, 0, 0, 4, TUO_OK, 0, ""},
        {"shared, plain packets", 1, 1, 0, 0, 0, 0, 0, 1, TUO_E_UNSUPPORTED, EOPNOTSUPP, "tuop: has a vnet header, which no_vnet_hdr excludes"},
        {"not in use", 0, 0, 0, 0, 0, 0, 1, 1, TUO_OK, 0, ""},
        {"not in use, several queues", 0, 0, 0, 0, 0, 0, 1, 4, TUO_OK, 0, ""},
        {"not in use, shared", 1, 0, 0, 0, 0, 0, 1, 1, TUO_OK, 0, ""},
        {"perhaps not in use", 0, 0, 1, 0, 0, 0, 1, 1, TUO_E_SYSTEM, EBUSY, "tuop: in use by another process"},
    };
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun_failure failure;
        tuo_tun_group *group = NULL;
        int fd, error = 0, before;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        before = fd_count();
        fd = other_program();
        if (rows[i].detached) {
            struct ifreq request = {.ifr_flags = IFF_DETACH_QUEUE};
            CHECK_EQ_INT(ioctl(fd, TUNSETQUEUE, &request), 0);
        }
        if (rows[i].gone) {
            CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
            close(fd);
        }
        desc.name = "tuop";
        desc.multi_queue = 1;
        desc.share = rows[i].share;
        desc.no_vnet_hdr = rows[i].no_vnet_hdr;
        desc.no_netlink = rows[i].no_netlink;
        desc.tap = rows[i].tap;
        desc.failure = &failure;
        filter.netlink_errno = rows[i].netlink_errno;
        CHECK_RESULT(tuo_tun_group_open(&group, &desc, rows[i].queues, &error), rows[i].result);
        CHECK_EQ_INT(error, rows[i].error);
        CHECK_EQ_STR(failure.text, rows[i].text);
        CHECK_EQ_INT(failure.error, rows[i].error);
        for (k = 0; group && k < rows[i].queues; k++) {
            tuo_tun *queue = tuo_tun_group_queue(group, k);
            if (!CHECK(queue != NULL))
                continue;
            CHECK_EQ_INT(tun_info_of(queue).vnet_hdr_len, rows[i].gone ? 10 : 12);
            CHECK_EQ_INT(tun_info_of(queue).offloads != 0, rows[i].gone);
        }
        filter_off();
        if (!rows[i].gone && rows[i].detached) {
            struct ifreq request = {.ifr_flags = IFF_ATTACH_QUEUE};
            CHECK_EQ_INT(ioctl(fd, TUNSETQUEUE, &request), 0);
        }
        if (!rows[i].gone) {
            check_other_program(fd);
            close(fd);
        }
        tuo_tun_group_close(group);
        CHECK_EQ_INT(fd_count(), before);
        if (rows[i].gone)
            interface_delete("tuop");
        CHECK(!interface_exists("tuop"));
    }
}

/* A device that is not there yet is made and negotiated, shared or not. */
TEST(new_devices_are_negotiated)
{
    static const char *const names[] = {"tuop", "tuop%d", "", NULL};
    size_t i;

    for (i = 0; i < 2 * CHECK_COUNT_OF(names); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;

        desc.name = names[i / 2];
        desc.share = i & 1;
        desc.multi_queue = 1;
        check_row("%s%s", desc.name ? desc.name : "NULL", desc.share ? ", shared" : "");
        if (!ready())
            continue;
        tun = open_or_fail(&desc);
        CHECK(tun_info_of(tun).offloads & TUO_TUN_TSO6);
        tuo_tun_close(tun);
    }
}

TEST(a_shared_device_with_an_odd_header)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_failure failure;
    tuo_tun *tun = NULL;
    int fd, len = 11;

    if (!ready())
        return;
    fd = other_program();
    CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
    desc.name = "tuop";
    desc.multi_queue = desc.share = 1;
    desc.failure = &failure;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_NEGOTIATE);
    CHECK_EQ_STR(failure.text, "tuop: vnet header and offloads: the header has not 10, 12, 20 or 24 bytes");
    CHECK_EQ_INT(get_vnet_len(fd), 11);
    close(fd);
}

/* Another program attaches after it was seen that there is none. */
static int competitor = -1;
static int another_queue_comes_first(unsigned long request, void *argument)
{
    if (request == TUNSETIFF && !(((tuoi_ifreq *)argument)->u.flags & (short)IFF_TUN_EXCL))
        competitor = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK);
    return 0;
}

TEST(two_at_the_same_time)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int fd, error = 0;

    if (!ready())
        return;
    fd = other_program();
    CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
    close(fd);
    desc.name = "tuop";
    desc.multi_queue = 1;
    filter.ioctl_errno = another_queue_comes_first;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EBUSY);
    filter_off();
    CHECK_EQ_INT(get_vnet_len(competitor), 12);
    CHECK_EQ_INT(interface_feature("tuop", ETHTOOL_GTSO), 1);
    close(competitor);
    interface_delete("tuop");
}

/* ----------------------------------------------------------------------------------------------------- what failed */

static int no_right_to_attach(unsigned long request, void *argument)
{
    (void)argument;
    return request == TUNSETIFF ? EPERM : 0;
}

static int strange_error(unsigned long request, void *argument)
{
    (void)argument;
    return request == TUNSETIFF ? ENOTUNIQ : 0;
}

TEST(what_failed)
{
    enum { NOBODY, TUN, TAP, QUEUES, IN_USE, NO_DEVICE };
    static const char *const long_path = "/this/path/is/as/long/as/a/path/may/be/and/there/is/nothing/at/its/end/but/the/text/about/"
                                         "it/has/to/be/cut/somewhere/n";
    static const struct {
        int there;
        tuo_tun_desc desc;
        tuo_result result;
        tuo_tun_step step;
        int error;
        const char *text;
    } rows[] = {
        {NOBODY, {.name = "sixteen--letters"}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: name: longer than 15 characters"},
        {NOBODY, {.address4 = "10.0.0.1"}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: address4: not ADDRESS/PREFIX of IPv4"},
        {NOBODY, {.address4 = "fd00::1/64"}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: address4: not ADDRESS/PREFIX of IPv4"},
        {NOBODY, {.address6 = "10.0.0.1/8"}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: address6: not ADDRESS/PREFIX of IPv6"},
        {NOBODY, {.push_bytes = 69999}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: push_bytes: below 70000, or more than there is"},
        {NOBODY, {.gro = {.max_bytes = 1}}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0, "desc: gro: a member is out of its range"},
        {NOBODY, {.gro = {.finish_checksum = 1}}, TUO_E_INVALID, TUO_TUN_STEP_DESC, 0,
         "desc: gro.finish_checksum: not for a device that may forward"},
        {NOBODY, {.path = "/nonexistent/tun"}, TUO_E_SYSTEM, TUO_TUN_STEP_PATH, ENOENT,
         "/nonexistent/tun: does not exist (load the module tun, or give the container the device)"},
        {NOBODY, {.path = long_path}, TUO_E_SYSTEM, TUO_TUN_STEP_PATH, ENOENT, NULL},
        {NOBODY, {.path = "/dev/null"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, ENOTTY, "a new device: not known to this kernel"},
        {NOBODY, {.name = "a b"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL,
         "a b: not a name for an interface, or exists with other flags"},
        {NOBODY, {.name = "lo"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "lo: exists, and is neither TUN nor TAP"},
        {NOBODY, {.name = "lo", .multi_queue = 1}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "lo: exists, and is neither TUN nor TAP"},
        {TUN, {.name = "tuop", .tap = 1}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "tuop: exists, and is a TUN device"},
        {TUN, {.name = "tuop", .multi_queue = 1}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "tuop: exists, and is not multi-queue"},
        {TUN, {.name = "tuop", .multi_queue = 1, .share = 1}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "tuop: exists, and is not multi-queue"},
        {TAP, {.name = "tuop"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "tuop: exists, and is a TAP device"},
        {QUEUES, {.name = "tuop"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, "tuop: exists, and is multi-queue"},
        {QUEUES, {.name = "tuop", .no_netlink = 1}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EINVAL, /* it cannot be told */
         "tuop: not a name for an interface, or exists with other flags"},
        {IN_USE, {.name = "tuop"}, TUO_E_SYSTEM, TUO_TUN_STEP_ATTACH, EBUSY, "tuop: in use by another process"},
        {NOBODY, {.name = "tuop", .mtu = 70000}, TUO_E_SYSTEM, TUO_TUN_STEP_MTU, EINVAL, "tuop: MTU 70000: out of range"},
        {NOBODY, {.name = "tuop", .mtu = 4294967295u}, TUO_E_SYSTEM, TUO_TUN_STEP_MTU, EINVAL, "tuop: MTU 4294967295: out of range"},
        {NOBODY, {.name = "tuop", .mtu = 1000, .address6 = "fd66::1/64"}, TUO_E_SYSTEM, TUO_TUN_STEP_ADDRESS6, EINVAL,
         "tuop: IPv6 address fd66::1/64: the MTU is below 1280, which IPv6 needs"},
        {NOBODY, {.name = "tuop", .address6 = "ff02::1/64"}, TUO_E_SYSTEM, TUO_TUN_STEP_ADDRESS6, EADDRNOTAVAIL,
         "tuop: IPv6 address ff02::1/64: is no address of a host"},
        {NOBODY, {.name = "tuop", .mtu = 1400, .no_netlink = 1}, TUO_E_UNSUPPORTED, TUO_TUN_STEP_MTU, EOPNOTSUPP,
         "tuop: MTU 1400: cannot be set with no_netlink"},
        {NOBODY, {.name = "tuop", .up = 1, .no_netlink = 1}, TUO_E_UNSUPPORTED, TUO_TUN_STEP_UP, EOPNOTSUPP,
         "tuop: up: cannot be set with no_netlink"},
        {NOBODY, {.name = "tuop", .address4 = "10.66.0.1/24", .no_netlink = 1}, TUO_E_UNSUPPORTED, TUO_TUN_STEP_ADDRESS4, EOPNOTSUPP,
         "tuop: IPv4 address 10.66.0.1/24: cannot be set with no_netlink"},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        static const int flags[] = {0, IFF_TUN, IFF_TAP, IFF_TUN | IFF_MULTI_QUEUE, IFF_TUN};
        tuo_tun_desc desc = rows[i].desc;
        tuo_tun_failure failure;
        tuo_tun *tun = NULL;
        int error = -1, fd = -1, before = fd_count();

        check_row("%d: %s", (int)i, rows[i].text ? rows[i].text : "a long text");
        if (!ready())
            continue;
        if (rows[i].there) {
            fd = raw_open("tuop", flags[rows[i].there] | IFF_NO_PI, 0);
            CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
            if (rows[i].there != IN_USE)
                close(fd);
        }
        memset(&failure, 0xff, sizeof failure);
        desc.failure = &failure;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), rows[i].result);
        CHECK_EQ_INT(error, rows[i].error);
        CHECK_EQ_INT(failure.error, rows[i].error);
        CHECK_EQ_INT(failure.step, rows[i].step);
        if (rows[i].text)
            CHECK_EQ_STR(failure.text, rows[i].text);
        else
            CHECK_EQ_INT(strlen(failure.text), sizeof failure.text - 1);
        CHECK(tun == NULL);
        tuo_tun_close(tun);
        if (rows[i].there)
            interface_delete("tuop");
        if (rows[i].there == IN_USE)
            close(fd);
        CHECK_EQ_INT(fd_count(), before);
    }
}

/* The same of errors that do not come by themselves here, of adopting and of groups. */
TEST(what_else_failed)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_failure failure;
    tuo_tun_group *group = NULL;
    tuo_tun *tun = NULL;
    struct rlimit limit, small;
    int error = -1, fds[2] = {-1, -1}, null;

    if (!ready())
        return;
    desc.failure = &failure;
    desc.name = "tuop";
    check_row("no right");
    filter.ioctl_errno = no_right_to_attach;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "tuop: needs CAP_NET_ADMIN, or the right of its owner");
    check_row("no words");
    filter.ioctl_errno = strange_error;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "tuop: errno 76");
    filter_off();
    check_row("descriptors");
    getrlimit(RLIMIT_NOFILE, &limit);
    small = limit;
    small.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &small);
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK_EQ_STR(failure.text, "/dev/net/tun: too many descriptors are open");
    check_row("number of queues");
    error = -1;
    CHECK_RESULT(tuo_tun_group_open(&group, &desc, 65, &error), TUO_E_INVALID);
    CHECK_EQ_INT(error, 0);
    CHECK_EQ_STR(failure.text, "desc: the number of queues: not 1 to 64");
    error = -1;
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 0, &desc, &error), TUO_E_INVALID);
    CHECK_EQ_INT(error, 0);
    CHECK_EQ_STR(failure.text, "desc: the number of queues: not 1 to 64");
    check_row("adopted");
    null = open("/dev/null", O_RDWR);
    CHECK_RESULT(tuo_tun_adopt(&tun, null, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "the descriptor: is no TUN device");
    CHECK_RESULT(tuo_tun_adopt(&tun, -1, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "the descriptor: is not open");
    check_row("adopted group");
    fds[0] = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK);
    fds[1] = null;
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 2, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "the descriptor: is no TUN device");
    fds[1] = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK);
    desc.mtu = 70000;
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 2, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_STR(failure.text, "tuop: MTU 70000: out of range");
    CHECK_EQ_INT(error, EINVAL);
    desc.mtu = 1400;
    CHECK_RESULT(tuo_tun_group_adopt(&group, fds, 2, &desc, &error), TUO_OK);
    CHECK_EQ_STR(failure.text, "");
    tuo_tun_group_close(group);
    check_row("packet information");
    fds[0] = raw_open("tuop", IFF_TUN, O_NONBLOCK);
    CHECK_RESULT(tuo_tun_adopt(&tun, fds[0], &desc, &error), TUO_E_UNSUPPORTED);
    CHECK_EQ_STR(failure.text, "tuop: has packet information in front of packets (no IFF_NO_PI)");
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_DESCRIPTOR);
    close(fds[0]);
    close(null);
}

/* A container without IPv6. */
TEST(without_ipv6)
{
    static const char *const off = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    tuo_tun_desc desc = zero_desc();
    tuo_tun_failure failure;
    tuo_tun_group *group = NULL;
    tuo_tun *tun = NULL;
    int error = 0;

    if (!ready())
        return;
    if (!put_file(off, "1\n")) {
        check_skip("no IPv6 here that could be switched off");
        return;
    }
    desc.name = "tuop";
    desc.address4 = "10.66.0.1/24";
    desc.address6 = "fd66::1/64";
    desc.up = 1;
    desc.failure = &failure;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EACCES);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_ADDRESS6);
    CHECK_EQ_STR(failure.text, "tuop: IPv6 address fd66::1/64: IPv6 is off (disable_ipv6)");
    desc.address6_optional = 1;
    CHECK_RESULT(tuo_tun_group_open(&group, &desc, 2, &error), TUO_OK);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_ADDRESS6);
    CHECK_EQ_INT(failure.error, EACCES);
    CHECK_EQ_STR(failure.text, "tuop: IPv6 address fd66::1/64: IPv6 is off (disable_ipv6); left out");
    CHECK(has_any_address("tuop"));
    CHECK(interface_flags("tuop") & IFF_UP);
    tuo_tun_group_close(group);
    desc.failure = NULL;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
    tuo_tun_close(tun);
    tun = NULL;
    desc.address6 = "ff02::1/64"; /* a mistake is still one */
    put_file(off, "0\n");
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_E_SYSTEM);
    CHECK_EQ_INT(error, EADDRNOTAVAIL);
    desc.address6 = "fd66::1/64";
    desc.failure = &failure;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
    CHECK_EQ_INT(failure.step, TUO_TUN_STEP_NONE);
    CHECK_EQ_STR(failure.text, "");
    tuo_tun_close(tun);
}

/* ------------------------------------------------------------------------------------------------------ no netlink */

/* A filter that ends the process at the first of these calls. */
static int forbid_sockets(void)
{
    static const int numbers[] = {SYS_socket, SYS_connect, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg};
    struct sock_filter code[CHECK_COUNT_OF(numbers) + 3];
    struct sock_fprog program = {0, code};
    size_t i, n = 0;

    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (i = 0; i < CHECK_COUNT_OF(numbers); i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i],
                                                 (uint8_t)(CHECK_COUNT_OF(numbers) - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL);
    program.len = (unsigned short)n;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static int open_in_a_sandbox(uint8_t no_netlink)
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun_group *group = NULL;
        tuo_tun *queue = NULL;
        tuo_buf packet;
        desc.name = "tuop";
        desc.no_netlink = no_netlink;
        if (!forbid_sockets())
            _exit(2);
        if (tuo_tun_group_open(&group, &desc, 2, NULL) != TUO_OK)
            _exit(3);
        if (tuo_tun_add_queue(tuo_tun_group_queue(group, 0), &queue, NULL) != TUO_OK)
            _exit(4);
        if (tuo_tun_next(queue, &packet) != TUO_AGAIN || tun_info_of(queue).vnet_hdr_len != 10)
            _exit(5);
        tuo_tun_close(queue);
        tuo_tun_group_close(group);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

TEST(a_filter_that_kills)
{
    int status;

    if (!ready())
        return;
    CHECK_EQ_INT(open_in_a_sandbox(1), 0);
    status = open_in_a_sandbox(0); /* the filter works */
    CHECK(WIFSIGNALED(status));
}

TEST(no_netlink_socket_is_made)
{
    tuo_tun_desc desc = prepared;
    tuo_tun *tun = NULL, *other = NULL;
    int fd, error = 0;

    if (!ready())
        return;
    prepare(&prepared);
    filter_off();
    desc.no_netlink = 1;
    CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1420), TUO_OK);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1419), TUO_E_UNSUPPORTED);
    CHECK_RESULT(tuo_tun_add_address(tun, "fd66::2/64"), TUO_E_UNSUPPORTED);
    CHECK(filter.sockets > 0);
    CHECK_EQ_INT(filter.netlink_sockets, 0);
    interface_delete("tuop");
    CHECK_RESULT(tuo_tun_set_mtu(tun, 1420), TUO_E_GONE);
    tuo_tun_close(tun);
    memset(&desc, 0, sizeof desc);
    desc.no_netlink = 1;
    desc.adopt_negotiate = 1;
    fd = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    filter_off();
    CHECK_RESULT(tuo_tun_adopt(&other, fd, &desc, &error), TUO_OK);
    CHECK_EQ_INT(filter.sockets, 0);
    CHECK_RESULT(tuo_tun_set_up(other, 1), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(filter.netlink_sockets, 0);
    tuo_tun_close(other);
}

/* ---------------------------------------------------------------------------------------------------------- offloads */

TEST(offloads_at_run_time)
{
    static const struct {
        uint32_t set;
        tuo_result result;
    } rows[] = {
        {0, TUO_OK},
        {TUO_TUN_CSUM, TUO_OK},
        {TUO_TUN_CSUM | TUO_TUN_TSO4, TUO_OK},
        {TUO_TUN_CSUM | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN, TUO_OK},
        {TUO_TUN_CSUM | TUO_TUN_USO, TUO_OK},
        {TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO, TUO_OK},
        {TUO_TUN_TSO4, TUO_E_INVALID},
        {TUO_TUN_USO, TUO_E_INVALID},
        {TUO_TUN_CSUM | TUO_TUN_TSO_ECN, TUO_E_INVALID},
        {TUO_TUN_CSUM | 0x20, TUO_E_INVALID},
        {TUO_TUN_CSUM | 0x40, TUO_E_INVALID},
        {TUO_TUN_CSUM | 0x10, TUO_E_INVALID}, /* UFO, and what nobody knows */
        {TUO_TUN_CSUM | TUO_TUN_UDP_TUNNEL, TUO_E_INVALID}, /* of which kind? */
        {TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_UDP_TUNNEL_CSUM, TUO_E_INVALID},
        {TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_UDP_TUNNEL, TUO_E_UNSUPPORTED}, /* the header has 10 bytes */
        {TUO_TUN_CSUM | TUO_TUN_USO | TUO_TUN_UDP_TUNNEL | TUO_TUN_UDP_TUNNEL_CSUM, TUO_E_UNSUPPORTED},
        {TUO_TUN_CSUM | 0x80000000u, TUO_E_INVALID},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        tuo_caps caps;
        uint32_t expected;
        tuo_result result = rows[i].result;

        check_row("0x%x", (unsigned)rows[i].set);
        if (!ready())
            continue;
        desc.name = "tuop";
        desc.disable_offloads = TUO_TUN_TSO4; /* that is about opening */
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        expected = tun_info_of(tun).offloads;
        if (result == TUO_OK && (rows[i].set & TUO_TUN_USO) && !kernel_has_uso())
            result = TUO_E_UNSUPPORTED;
        CHECK_RESULT(tuo_tun_set_offloads(tun, rows[i].set), result);
        if (result == TUO_OK)
            expected = rows[i].set;
        tuo_tun_caps(tun, &caps);
        CHECK_EQ_INT(tun_info_of(tun).offloads, expected);
        CHECK_EQ_INT(caps.rx_csum_udp6, (expected & TUO_TUN_CSUM) != 0);
        CHECK_EQ_INT(interface_feature("tuop", ETHTOOL_GTXCSUM), (expected & TUO_TUN_CSUM) != 0);
        CHECK_EQ_INT(interface_feature("tuop", ETHTOOL_GTSO), (expected & (TUO_TUN_TSO4 | TUO_TUN_TSO6)) != 0);
        tuo_tun_close(tun);
    }
}

TEST(offloads_that_cannot_be_switched)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    desc.name = "tuop";
    desc.no_vnet_hdr = 1;
    tun = open_or_fail(&desc);
    CHECK_RESULT(tuo_tun_set_offloads(tun, TUO_TUN_CSUM), TUO_E_UNSUPPORTED);
    tuo_tun_close(tun);
    desc.no_vnet_hdr = 0;
    tun = open_or_fail(&desc);
    filter.offload_errno = ENOTTY;
    CHECK_RESULT(tuo_tun_set_offloads(tun, 0), TUO_E_UNSUPPORTED);
    CHECK(tun_info_of(tun).offloads & TUO_TUN_TSO4);
    filter.offload_errno = EIO;
    CHECK_RESULT(tuo_tun_set_offloads(tun, 0), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EIO);
    filter_off();
    interface_delete("tuop");
    CHECK_RESULT(tuo_tun_set_offloads(tun, 0), TUO_E_GONE);
    tuo_tun_close(tun);
}

/* --- offloads for tunnels (Linux 6.17): K 2.8 --- */

enum { TUNNELS = TUO_TUN_UDP_TUNNEL | TUO_TUN_UDP_TUNNEL_CSUM };

/* What the device has by the calls that went to it. While offloads for tunnels are on, each read with a shorter header loses a packet. */
static struct {
    unsigned long offloads, refused; /* refused: these bits are not known */
    int vnet_len, header_calls;
} device_now;

static int tunnels_want_room(unsigned long request, void *argument)
{
    if (request == TUNSETVNETHDRSZ) {
        device_now.vnet_len = *(int *)argument;
        device_now.header_calls++;
    }
    if (request == TUNSETOFFLOAD && ((unsigned long)(uintptr_t)argument & device_now.refused))
        return EINVAL;
    if (request == TUNSETOFFLOAD)
        device_now.offloads = (unsigned long)(uintptr_t)argument;
    CHECK(!(device_now.offloads & TUNNELS) || device_now.vnet_len >= 24);
    return 0;
}

static int kernel_has_tunnels(void)
{
    int fd = raw_open("tuoprobe", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    int has = fd >= 0 && ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4 | TUNNELS)) == 0;

    close(fd);
    CHECK(has || !kernel_is_since(6, 17));
    return has;
}

/* A device that had this header and these offloads before, opened with and without tunnels, by a kernel that knows them or not. */
TEST(offloads_for_tunnels)
{
    static const struct {
        const char *name;
        int old_len, old_tunnels, by_choice, refused; /* refused: bits that the kernel does not know */
        uint32_t disable;
        int len;
        uint32_t has;                                 /* of TUNNELS */
    } rows[] = {
        {"not asked for", 10, 0, 0, 0, 0, 10, 0},
        {"by choice", 10, 0, 1, 0, 0, 24, TUNNELS},
        {"by choice, header of 12", 12, 0, 1, 0, 0, 24, TUNNELS},
        {"by choice, header of 40", 40, 0, 1, 0, 0, 24, TUNNELS},
        {"by choice, on already", 24, 1, 1, 0, 0, 24, TUNNELS},
        {"not asked for, on already", 24, 1, 0, 0, 0, 10, 0},
        {"not asked for, on already, header of 100", 100, 1, 0, 0, 0, 10, 0},
        {"without outer checksum", 10, 0, 1, 0, TUO_TUN_UDP_TUNNEL_CSUM, 24, TUO_TUN_UDP_TUNNEL},
        {"by choice, but disabled", 10, 0, 1, 0, TUO_TUN_UDP_TUNNEL, 10, 0},
        {"by choice, but no kind is left", 10, 0, 1, 0, TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_USO, 10, 0},
        {"by choice, UDP only", 10, 0, 1, 0, TUO_TUN_TSO4 | TUO_TUN_TSO6, 24, TUNNELS},
        {"by choice, a kernel before 6.17", 10, 0, 1, TUNNELS, 0, 10, 0},
        {"by choice, a kernel before 6.17, header of 24", 24, 0, 1, TUNNELS, 0, 10, 0},
        {"by choice, a kernel before 6.2", 10, 0, 1, TUNNELS | TUO_TUN_USO, 0, 10, 0},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        int fd, len = rows[i].old_len, error = 0;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        if (!kernel_has_tunnels() && (rows[i].has || rows[i].old_tunnels))
            continue; /* such a kernel is in the rows "before 6.17" and in the next test */
        fd = raw_open("tuop", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
        memset(&device_now, 0, sizeof device_now);
        device_now.vnet_len = len;
        device_now.offloads = rows[i].old_tunnels ? TUO_TUN_CSUM | TUO_TUN_TSO4 | TUNNELS : 0;
        device_now.refused = (unsigned long)rows[i].refused;
        CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, device_now.offloads), 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
        close(fd);
        filter.ioctl_errno = tunnels_want_room;
        desc.name = "tuop";
        desc.udp_tunnels = (uint8_t)rows[i].by_choice;
        desc.disable_offloads = rows[i].disable;
        if (CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK)) {
            CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, rows[i].len);
            CHECK_EQ_INT(get_vnet_len(tuo_tun_fd(tun)), rows[i].len);
            CHECK_EQ_INT(tun_info_of(tun).offloads & TUNNELS, rows[i].has);
            CHECK_EQ_INT(device_now.offloads & TUNNELS, rows[i].has);
            CHECK(device_now.header_calls > 0 || rows[i].old_len == rows[i].len); /* K 2.3: sticky, so said or read */
        }
        filter_off();
        tuo_tun_close(tun);
        interface_delete("tuop");
    }
}

/* Switched off and on at run time, where the kernel knows them; a second queue has the header of the first. */
TEST(offloads_for_tunnels_at_run_time)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun, *second = NULL;
    uint32_t all;
    int error = 0, has;

    if (!ready())
        return;
    has = kernel_has_tunnels();
    desc.name = "tuop";
    desc.udp_tunnels = desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    all = tun_info_of(tun).offloads;
    CHECK_EQ_INT(all & TUNNELS, has ? TUNNELS : 0);
    if (!has) { /* before Linux 6.17: opened without them */
        tuo_tun_close(tun);
        return;
    }
    CHECK_RESULT(tuo_tun_add_queue(tun, &second, &error), TUO_OK);
    CHECK(tun_info_of(second).vnet_hdr_len == 24 && tun_info_of(second).offloads == all);
    CHECK_RESULT(tuo_tun_set_offloads(tun, all & ~(uint32_t)TUNNELS), TUO_OK);
    CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, 24);
    CHECK_RESULT(tuo_tun_set_offloads(tun, TUO_TUN_CSUM | TUO_TUN_TSO6 | TUO_TUN_UDP_TUNNEL), TUO_OK);
    CHECK_RESULT(tuo_tun_set_offloads(tun, all), TUO_OK);
    CHECK_EQ_INT(tun_info_of(tun).offloads, all);
    tuo_tun_close(second);
    tuo_tun_close(tun);
}

/* A superpacket that waits in the queue stays one; what is sent after the switch is in the new form. */
TEST(offloads_switched_under_packets)
{
    tuo_tun_desc desc = zero_desc();
    static uint8_t frame[FRAME_MAX];
    tuo_vnet_hdr vnet;
    unsigned types[2][64], counts[2] = {0, 0}, k;
    train *t = new_train();
    size_t len, i;
    pair p;

    if (!ready() || !pair_open(&p, NULL, &desc))
        return;
    train_flow(t, PKT_TCP4, 1001, 10, 700);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
    CHECK_RESULT(tuo_tun_set_offloads(p.b, 0), TUO_OK);
    t = &trains[1];
    t->count = 0;
    train_flow(t, PKT_TCP4, 1002, 10, 700);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    for (i = 0; i < 11 && tuo_tun_wait(p.b, 0, WAIT_MS) == TUO_OK;) {
        CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
        if (frame[0] >> 4 != 4)
            continue; /* the kernel's own */
        k = pkt_get16(frame + 20) == 1002;
        if (CHECK(counts[k] < 64))
            types[k][counts[k]++] = vnet.gso_type;
        i++;
    }
    CHECK_EQ_INT(counts[0], 1);
    CHECK_EQ_INT(types[0][0], TUO_GSO_TCPV4);
    CHECK_EQ_INT(counts[1], 10);
    for (i = 0; i < counts[1]; i++)
        CHECK_EQ_INT(types[1][i], TUO_GSO_NONE);
    CHECK_RESULT(tuo_tun_set_offloads(p.b, TUO_TUN_CSUM | TUO_TUN_TSO4), TUO_OK);
    t->count = 0;
    train_flow(t, PKT_TCP4, 1003, 10, 700);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
    CHECK_EQ_INT(vnet.gso_type, TUO_GSO_TCPV4);
    pair_close(&p);
}

/* ----------------------------------------------------------------------------------------------------- random numbers */

static uint64_t seed_of(const tuo_tun *tun)
{
    tuo_gro_desc desc;

    tuo_gro_query_desc(tun->tx.gro, &desc);
    return desc.hash_seed;
}

TEST(hash_seeds)
{
    tuo_gro_desc zero;
    int without;

    memset(&zero, 0, sizeof zero);
    for (without = 0; without < 2; without++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *a, *b;
        uint64_t seed;

        check_row("%s", without ? "without getrandom" : "with getrandom");
        if (!ready())
            continue;
        filter.random_errno = without ? EAGAIN : 0;
        a = open_or_fail(&desc);
        b = open_or_fail(&desc);
        if (a && b) {
            seed = seed_of(a);
            CHECK(seed != 0 && seed_of(b) != 0 && seed != seed_of(b));
            CHECK_RESULT(tuo_tun_configure(a, &zero), TUO_OK);
            CHECK_EQ_INT(seed_of(a), seed);
        }
        tuo_tun_close(b);
        tuo_tun_close(a);
        desc.gro.hash_seed = 4711;
        a = open_or_fail(&desc);
        CHECK_EQ_INT(seed_of(a), 4711);
        tuo_tun_close(a);
        filter_off();
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(settings_touch_no_other_interface),
        CHECK_ENTRY(settings_follow_the_device),
        CHECK_ENTRY(renamed_all_the_time),
        CHECK_ENTRY(deleted_just_now),
        CHECK_ENTRY(only_the_name_is_known),
        CHECK_ENTRY(adopted_from_elsewhere),
        CHECK_ENTRY(queues_of_a_device_that_changes),
        CHECK_ENTRY(an_owner_without_rights),
        CHECK_ENTRY(an_owner_of_queues_without_rights),
        CHECK_ENTRY(settings_that_are_so_are_not_sent),
        CHECK_ENTRY(lines_of_ipv6_addresses),
        CHECK_ENTRY(settings_that_cannot_be_asked_for),
        CHECK_ENTRY(length_of_the_transmit_queue),
        CHECK_ENTRY(lost_answers),
        CHECK_ENTRY(answers_to_others),
        CHECK_ENTRY(kernels_that_know_less),
        CHECK_ENTRY(kernels_that_cannot_do_it),
        CHECK_ENTRY(devices_of_others_are_left_alone),
        CHECK_ENTRY(new_devices_are_negotiated),
        CHECK_ENTRY(a_shared_device_with_an_odd_header),
        CHECK_ENTRY(two_at_the_same_time),
        CHECK_ENTRY(what_failed),
        CHECK_ENTRY(what_else_failed),
        CHECK_ENTRY(without_ipv6),
        CHECK_ENTRY(a_filter_that_kills),
        CHECK_ENTRY(no_netlink_socket_is_made),
        CHECK_ENTRY(offloads_at_run_time),
        CHECK_ENTRY(offloads_that_cannot_be_switched),
        CHECK_ENTRY(offloads_switched_under_packets),
        CHECK_ENTRY(offloads_for_tunnels),
        CHECK_ENTRY(offloads_for_tunnels_at_run_time),
        CHECK_ENTRY(hash_seeds),
    };

    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
