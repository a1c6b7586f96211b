/* The Linux TUN backend against the kernel of this machine: opening, adopting, settings, receiving, sending, what happens when
   the kernel refuses or blocks, and faults. Needs root and /dev/net/tun; works in a network namespace of its own.
   The pair of devices of most tests and the kernel that refuses are in tests/lib/tun_pair.h. */
#define TUNOFFLOAD_TUN
#include "tun_pair.h"
#include "asleep.h"

/* -------------------------------------------------------------------------------------------------------------- open */

TEST(sizes_of_the_backend)
{
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_DESC), sizeof(tuo_tun_desc));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_INFO), sizeof(tuo_tun_info));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_RX_STATS), sizeof(tuo_tun_rx_stats));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_TX_STATS), sizeof(tuo_tun_tx_stats));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_PARTS), sizeof(tuo_tun_parts));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_PROBE_REPORT), sizeof(tuo_tun_probe_report));
    CHECK_EQ_INT(tuo_sizeof(TUO_SIZE_TUN_FAILURE), sizeof(tuo_tun_failure));
}

TEST(open_names)
{
    static const struct {
        const char *name, *expected; /* NULL: must fail */
        tuo_result result;
    } rows[] = {
        {NULL, "tun0", TUO_OK},
        {"", "tun0", TUO_OK},
        {"tuoa%d", "tuoa0", TUO_OK},
        {"x", "x", TUO_OK},
        {"fifteen-letters", "fifteen-letters", TUO_OK},
        {"sixteen--letters", NULL, TUO_E_INVALID},
        {"a-name-that-is-much-longer-than-what-an-ifreq-can-hold", NULL, TUO_E_INVALID},
        {"a/b", NULL, TUO_E_SYSTEM},
        {"a b", NULL, TUO_E_SYSTEM},
        {".", NULL, TUO_E_SYSTEM},
        {"..", NULL, TUO_E_SYSTEM},
        {"a%db%d", NULL, TUO_E_SYSTEM},
        {"a%s", NULL, TUO_E_SYSTEM},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        int before = fd_count(), error = -1;

        check_row("%s", rows[i].name ? rows[i].name : "NULL");
        if (!ready())
            continue;
        desc.name = rows[i].name;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), rows[i].result);
        if (rows[i].expected && CHECK(tun != NULL)) {
            CHECK_EQ_STR(tuo_tun_name(tun), rows[i].expected);
            CHECK(interface_exists(rows[i].expected));
        } else {
            CHECK(tun == NULL);
            CHECK_EQ_INT(error, rows[i].result == TUO_E_SYSTEM ? EINVAL : 0);
        }
        tuo_tun_close(tun);
        CHECK_EQ_INT(fd_count(), before);
    }
}

/* A second device by the same pattern gets the next number; a name that is taken by a device with a queue is busy. */
TEST(open_taken_names)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *first, *second, *third = NULL;
    int error = 0;

    if (!ready())
        return;
    desc.name = "tuop%d";
    first = open_or_fail(&desc);
    second = open_or_fail(&desc);
    if (first && second) {
        CHECK_EQ_STR(tuo_tun_name(second), "tuop1");
        desc.name = "tuop0";
        CHECK_RESULT(tuo_tun_open(&third, &desc, &error), TUO_E_SYSTEM);
        CHECK_EQ_INT(error, EBUSY);
        desc.tap = 1;
        CHECK_RESULT(tuo_tun_open(&third, &desc, NULL), TUO_E_SYSTEM);
        desc.name = "lo";
        CHECK_RESULT(tuo_tun_open(&third, &desc, &error), TUO_E_SYSTEM);
        CHECK_EQ_INT(error, EINVAL);
    }
    tuo_tun_close(first);
    tuo_tun_close(second);
}

/* What was asked for is what the kernel says afterwards. */
TEST(open_flags)
{
    static const struct {
        const char *name;
        uint8_t tap, no_vnet_hdr, multi_queue, persist, blocking;
    } rows[] = {
        {"zero", 0, 0, 0, 0, 0},     {"tap", 1, 0, 0, 0, 0},     {"plain", 0, 1, 0, 0, 0},
        {"plain tap", 1, 1, 0, 0, 0}, {"queues", 0, 0, 1, 0, 0}, {"persistent", 0, 0, 0, 1, 0},
        {"blocking", 0, 0, 0, 0, 1}, {"all", 1, 0, 1, 1, 1},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        tuo_caps caps;
        int flags, vnet = !rows[i].no_vnet_hdr, uso;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        uso = kernel_has_uso();
        desc.name = "tuof";
        desc.tap = rows[i].tap;
        desc.no_vnet_hdr = rows[i].no_vnet_hdr;
        desc.multi_queue = rows[i].multi_queue;
        desc.persist = rows[i].persist;
        desc.blocking = rows[i].blocking;
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        flags = get_flags(tuo_tun_fd(tun));
        CHECK_EQ_INT((flags & IFF_TAP) != 0, rows[i].tap);
        CHECK_EQ_INT((flags & IFF_VNET_HDR) != 0, vnet);
        CHECK_EQ_INT((flags & IFF_MULTI_QUEUE) != 0, rows[i].multi_queue);
        CHECK_EQ_INT((flags & IFF_PERSIST) != 0, rows[i].persist);
        CHECK(flags & IFF_NO_PI);
        CHECK(fcntl(tuo_tun_fd(tun), F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(tuo_tun_fd(tun), F_GETFD) & FD_CLOEXEC);
        CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, vnet ? 10 : 0);
        CHECK_EQ_INT(get_vnet_len(tuo_tun_fd(tun)), 10);
        CHECK_EQ_INT(tun_info_of(tun).offloads, vnet ? (uso ? 0x6f : 0x0f) : 0);
        CHECK_EQ_INT(interface_feature("tuof", ETHTOOL_GTXCSUM), vnet);
        CHECK_EQ_INT(interface_feature("tuof", ETHTOOL_GTSO), vnet);
        CHECK(!(interface_flags("tuof") & IFF_UP));
        tuo_tun_caps(tun, &caps);
        CHECK_EQ_INT(caps.ethernet, rows[i].tap);
        CHECK_EQ_INT(caps.max_tcp4, vnet ? 65535 : 0);
        CHECK_EQ_INT(caps.max_udp6, vnet && uso ? 65535 : 0);
        CHECK_EQ_INT(caps.rx_csum_tcp6, vnet);
        CHECK_EQ_INT(caps.tx_csum_ip4, 0);
        tuo_tun_close(tun);
        CHECK_EQ_INT(interface_exists("tuof"), rows[i].persist);
        if (rows[i].persist)
            interface_delete("tuof");
    }
}

TEST(open_disabled_offloads)
{
    static const struct {
        uint32_t disabled, expected;
    } rows[] = {
        {TUO_TUN_CSUM, 0},
        {TUO_TUN_TSO4, TUO_TUN_CSUM | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO},
        {TUO_TUN_TSO4 | TUO_TUN_TSO6, TUO_TUN_CSUM | TUO_TUN_USO},
        {TUO_TUN_USO, TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN},
        {0x20, TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN},
        {0x6f, 0},
        {0xffffffffu, 0},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        uint32_t expected = rows[i].expected;

        check_row("without 0x%x", (unsigned)rows[i].disabled);
        if (!ready())
            continue;
        if (!kernel_has_uso())
            expected &= ~(uint32_t)TUO_TUN_USO;
        desc.disable_offloads = rows[i].disabled;
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        CHECK_EQ_INT(tun_info_of(tun).offloads, expected);
        CHECK_EQ_INT(interface_feature(tuo_tun_name(tun), ETHTOOL_GTXCSUM), (expected & TUO_TUN_CSUM) != 0);
        CHECK_EQ_INT(interface_feature(tuo_tun_name(tun), ETHTOOL_GTSO), (expected & (TUO_TUN_TSO4 | TUO_TUN_TSO6)) != 0);
        tuo_tun_close(tun);
    }
}

/* The device keeps header size and offload mask of its last user. */
TEST(open_stale_persistent_device)
{
    static const uint8_t plain[2] = {0, 1};
    size_t i;

    for (i = 0; i < 2; i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        int fd, len = 24;

        check_row("%s", plain[i] ? "without vnet header" : "with vnet header");
        if (!ready())
            continue;
        fd = raw_open("tuos", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4)), 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETPERSIST, 1ul), 0);
        close(fd);
        CHECK_EQ_INT(interface_feature("tuos", ETHTOOL_GTSO), 1);
        desc.name = "tuos";
        desc.no_vnet_hdr = plain[i];
        tun = open_or_fail(&desc);
        if (tun) {
            CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, plain[i] ? 0 : 10);
            CHECK_EQ_INT(tun_info_of(tun).offloads != 0, !plain[i]);
            CHECK_EQ_INT(interface_feature("tuos", ETHTOOL_GTXCSUM), !plain[i]);
            CHECK_EQ_INT(interface_feature("tuos", ETHTOOL_GTSO), !plain[i]);
            if (!plain[i])
                CHECK_EQ_INT(get_vnet_len(tuo_tun_fd(tun)), 10);
            CHECK(get_flags(tuo_tun_fd(tun)) & IFF_PERSIST);
        }
        tuo_tun_close(tun);
        interface_delete("tuos");
    }
}

/* IFF_VNET_HDR is ignored for a second queue: the device stays as it is, and that is what must be believed. */
TEST(open_existing_device_without_vnet_header)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;
    int fd;

    if (!ready())
        return;
    fd = raw_open("tuoq", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
    CHECK(fd >= 0);
    desc.name = "tuoq";
    desc.multi_queue = desc.share = 1;
    tun = open_or_fail(&desc);
    if (tun) {
        CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, 0);
        CHECK_EQ_INT(tun_info_of(tun).offloads, 0);
    }
    tuo_tun_close(tun);
    close(fd);
}

TEST(interface_settings)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;

    if (!ready())
        return;
    desc.mtu = 1380;
    desc.up = 1;
    desc.address4 = "192.0.2.1/24";
    desc.address6 = "2001:db8::1/64";
    tun = open_or_fail(&desc);
    if (!tun)
        return;
    CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 1380);
    CHECK(interface_flags(tuo_tun_name(tun)) & IFF_UP);
    CHECK(has_address(tuo_tun_name(tun), AF_INET, "192.0.2.1"));
    CHECK(has_address(tuo_tun_name(tun), AF_INET6, "2001:db8::1"));
    CHECK_RESULT(tuo_tun_set_mtu(tun, 9000), TUO_OK);
    CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 9000);
    CHECK(interface_flags(tuo_tun_name(tun)) & IFF_UP);
    CHECK_RESULT(tuo_tun_set_mtu(tun, 70000), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EINVAL);
    CHECK_EQ_INT(interface_mtu(tuo_tun_name(tun)), 9000);
    CHECK_RESULT(tuo_tun_add_address(tun, "192.0.2.1/24"), TUO_OK); /* again is no error */
    CHECK_RESULT(tuo_tun_add_address(tun, "198.51.100.7/32"), TUO_OK);
    CHECK(has_address(tuo_tun_name(tun), AF_INET, "198.51.100.7"));
    CHECK_RESULT(tuo_tun_set_up(tun, 0), TUO_OK);
    CHECK(!(interface_flags(tuo_tun_name(tun)) & IFF_UP));
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    CHECK(interface_flags(tuo_tun_name(tun)) & IFF_UP);
    tuo_tun_close(tun);
}

/* Usable at once: nobody is asked whether the address is a duplicate. Only a TAP device would ask. */
TEST(tap_address_is_usable_at_once)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun;
    int fd;

    if (!ready())
        return;
    desc.tap = 1;
    desc.up = 1;
    desc.address6 = "2001:db8::5/64";
    tun = open_or_fail(&desc);
    inet_pton(AF_INET6, "2001:db8::5", &address.sin6_addr);
    fd = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK_EQ_INT(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    tuo_tun_close(tun);
}

TEST(address_texts)
{
    static const char *const bad[] = {
        "", "/", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/ 8", "10.0.0.1/8 ", "10.0.0/8", "10.0.0.1/0008",
        "10.0.0.1/8/8", "2001:db8::1", "2001:db8::1/129", "2001:db8::1/", "2001:db8:::1/64", "2001:db8::1%lo/64", "/24", "a/24",
        "10.0.0.256/24", "10.0.0.1/999999999999",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111/8",
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(bad); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun, *other = NULL;
        int before;

        check_row("%s", bad[i]);
        if (!ready())
            continue;
        tun = open_or_fail(&desc);
        if (!tun)
            continue;
        CHECK_RESULT(tuo_tun_add_address(tun, bad[i]), TUO_E_INVALID);
        before = fd_count();
        desc.address4 = bad[i];
        CHECK_RESULT(tuo_tun_open(&other, &desc, NULL), TUO_E_INVALID);
        CHECK(other == NULL);
        CHECK_EQ_INT(fd_count(), before);
        tuo_tun_close(tun);
    }
}

/* May this user and group attach to the device? The child opens /dev/net/tun before it gives up root. */
static int may_attach(const char *name, uid_t uid, gid_t gid)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        struct ifreq request;
        int fd = open("/dev/net/tun", O_RDWR);
        set_request_name(&request, name);
        request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
        if (setgid(gid) != 0 || setuid(uid) != 0)
            _exit(2);
        _exit(ioctl(fd, TUNSETIFF, &request) == 0 ? 1 : 0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(owner_and_group)
{
    tuo_tun_desc desc = zero_desc();

    if (!ready())
        return;
    desc.name = "tuoo";
    desc.persist = 1;
    desc.set_owner = 1;
    desc.owner = 4321;
    tuo_tun_close(open_or_fail(&desc));
    CHECK_EQ_INT(may_attach("tuoo", 4321, 99), 1);
    CHECK_EQ_INT(may_attach("tuoo", 4322, 99), 0);
    interface_delete("tuoo");
    desc.set_owner = 0;
    desc.set_group = 1;
    desc.group = 8765;
    tuo_tun_close(open_or_fail(&desc));
    CHECK_EQ_INT(may_attach("tuoo", 4321, 8765), 1);
    CHECK_EQ_INT(may_attach("tuoo", 4321, 8766), 0);
    interface_delete("tuoo");
}

/* Out of descriptors at each step: nothing stays open, nothing stays behind. */
TEST(descriptors_run_out)
{
    static const size_t queue_counts[] = {1, 2, 4};
    struct rlimit limit, small;
    size_t i;
    rlim_t allowed;

    if (!ready())
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (i = 0; i < CHECK_COUNT_OF(queue_counts); i++) {
        for (allowed = 0; allowed <= 3 * queue_counts[i]; allowed++) {
            tuo_tun_desc desc = zero_desc();
            tuo_tun_group *set = NULL;
            int before = fd_count(), next = dup(0), error = 0;
            tuo_result result;

            check_row("%d queues, %d descriptors", (int)queue_counts[i], (int)allowed);
            desc.name = "tuol";
            close(next);
            small = limit;
            small.rlim_cur = (rlim_t)next + allowed;
            setrlimit(RLIMIT_NOFILE, &small);
            result = tuo_tun_group_open(&set, &desc, queue_counts[i], &error);
            setrlimit(RLIMIT_NOFILE, &limit);
            CHECK_RESULT(result, allowed == 3 * queue_counts[i] ? TUO_OK : TUO_E_SYSTEM);
            CHECK_EQ_INT(error, result == TUO_OK ? 0 : EMFILE);
            CHECK_EQ_INT(set != NULL, result == TUO_OK);
            tuo_tun_group_close(set);
            CHECK_EQ_INT(fd_count(), before);
            CHECK(!interface_exists("tuol"));
        }
    }
}

TEST(failed_settings_leave_nothing_open)
{
    static const struct {
        const char *name;
        uint32_t mtu;
        const char *address4, *address6;
        uint32_t max_bytes;
        tuo_result result;
    } rows[] = {
        {"mtu", 70000, NULL, NULL, 0, TUO_E_SYSTEM},
        {"address", 0, NULL, "2001:db8::1/129", 0, TUO_E_INVALID},
        {"an address that the kernel refuses", 0, "0.0.0.0/33", NULL, 0, TUO_E_INVALID},
        {"multicast address", 0, NULL, "ff02::1/64", 0, TUO_E_SYSTEM},
        {"gro", 0, NULL, NULL, 1, TUO_E_INVALID},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        int before = fd_count();

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        desc.name = "tuox";
        desc.mtu = rows[i].mtu;
        desc.address4 = rows[i].address4;
        desc.address6 = rows[i].address6;
        desc.gro.max_bytes = rows[i].max_bytes;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), rows[i].result);
        CHECK(tun == NULL);
        CHECK(!interface_exists("tuox"));
        CHECK_EQ_INT(fd_count(), before);
    }
}

/* ------------------------------------------------------------------------------------------------------------- adopt */

/* A descriptor as another program would hand it over; what is in it must be the same afterwards. */
TEST(adopt_changes_nothing)
{
    static const struct {
        const char *name;
        int flags, open_flags, vnet_len, little;
        tuo_result result;
    } rows[] = {
        {"plain", IFF_TUN | IFF_NO_PI, O_NONBLOCK, 0, 0, TUO_OK},
        {"plain, blocking", IFF_TUN | IFF_NO_PI, 0, 0, 0, TUO_OK},
        {"vnet", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 10, 0, TUO_OK},
        {"vnet, blocking", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0, 10, 0, TUO_OK},
        {"vnet of 12 bytes", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 12, 0, TUO_OK},
        {"vnet of 24 bytes", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0, 24, 0, TUO_OK},
        {"little-endian", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 12, 1, TUO_OK},
        {"tap", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0, 12, 0, TUO_OK},
        {"several queues", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, O_NONBLOCK, 10, 0, TUO_OK},
        {"napi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_NAPI, O_NONBLOCK, 10, 0, TUO_OK},
        {"vnet of 11 bytes", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 11, 0, TUO_E_UNSUPPORTED},
        {"vnet of 1000 bytes", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 1000, 0, TUO_E_UNSUPPORTED},
        {"packet information", IFF_TUN | IFF_VNET_HDR, O_NONBLOCK, 10, 0, TUO_E_UNSUPPORTED},
        {"packet information, plain", IFF_TUN, 0, 0, 0, TUO_E_UNSUPPORTED},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        int fd, len = rows[i].vnet_len, flags, fd_flags, error = 0, before, little = 0;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        fd = raw_open("tuoi", rows[i].flags, rows[i].open_flags);
        if (!CHECK(fd >= 0))
            continue;
        fcntl(fd, F_SETFD, 0);
        if (len)
            CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
        if (rows[i].little)
            CHECK_EQ_INT(ioctl(fd, TUNSETVNETLE, &rows[i].little), 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4)), 0);
        flags = get_flags(fd);
        fd_flags = fcntl(fd, F_GETFL);
        before = fd_count();
        CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, &error), rows[i].result);
        CHECK_EQ_INT(get_flags(fd), flags);
        CHECK_EQ_INT(fcntl(fd, F_GETFL), fd_flags);
        CHECK_EQ_INT(fcntl(fd, F_GETFD), 0);
        CHECK_EQ_INT(interface_feature("tuoi", ETHTOOL_GTSO), 1);
        CHECK_EQ_INT(interface_mtu("tuoi"), 1500);
        CHECK(!(interface_flags("tuoi") & IFF_UP));
        if (len)
            CHECK_EQ_INT(get_vnet_len(fd), len);
        CHECK_EQ_INT(ioctl(fd, TUNGETVNETLE, &little), 0);
        if (rows[i].little)
            CHECK_EQ_INT(little, 1);
        if (tun) {
            CHECK_EQ_INT(tuo_tun_fd(tun), fd);
            CHECK_EQ_STR(tuo_tun_name(tun), "tuoi");
            CHECK_EQ_INT(tun_info_of(tun).vnet_hdr_len, len);
            CHECK_EQ_INT(tun_info_of(tun).offloads, 0);
            tuo_tun_close(tun);
            CHECK_EQ_INT(fd_count(), before - 1);
        } else {
            CHECK_EQ_INT(fd_count(), before); /* still the caller's */
            close(fd);
        }
    }
}

TEST(adopt_what_is_no_tun)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int fds[4], error = 0;
    size_t i;

    if (!ready())
        return;
    fds[0] = open("/dev/null", O_RDWR);
    fds[1] = socket(AF_INET, SOCK_DGRAM, 0);
    fds[2] = open("/dev/net/tun", O_RDWR);
    fds[3] = -1;
    for (i = 0; i < CHECK_COUNT_OF(fds); i++) {
        static const char *const names[] = {"file", "socket", "not attached", "none"};
        int before = fd_count();
        check_row("%s", names[i]);
        error = 0;
        CHECK_RESULT(tuo_tun_adopt(&tun, fds[i], &desc, &error), TUO_E_SYSTEM);
        CHECK(error != 0);
        CHECK(tun == NULL);
        CHECK_EQ_INT(fd_count(), before);
        if (fds[i] >= 0)
            CHECK_EQ_INT(close(fds[i]), 0);
    }
}

TEST(adopt_with_settings)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int fd, len = 11;

    if (!ready())
        return;
    fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
    desc.adopt_negotiate = 1;
    desc.mtu = 1400;
    desc.up = 1;
    desc.address4 = "192.0.2.9/24";
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK);
    CHECK_EQ_INT(get_vnet_len(fd), 10);
    CHECK_EQ_INT(interface_feature("tuoi", ETHTOOL_GTSO), 1);
    CHECK_EQ_INT(interface_mtu("tuoi"), 1400);
    CHECK(interface_flags("tuoi") & IFF_UP);
    CHECK(has_address("tuoi", AF_INET, "192.0.2.9"));
    if (tun)
        CHECK_EQ_INT(tun_info_of(tun).offloads, kernel_has_uso() ? 0x6f : 0x0f);
    tuo_tun_close(tun);
    tun = NULL;
    fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    desc.mtu = 70000;
    len = 12;
    CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_E_SYSTEM);
    CHECK_EQ_INT(get_vnet_len(fd), 12); /* the caller goes on reading */
    desc.mtu = 0;
    filter.offload_errno = EIO;
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_E_SYSTEM);
    CHECK_EQ_INT(get_vnet_len(fd), 12);
    filter_off();
    CHECK_EQ_INT(interface_feature("tuoi", ETHTOOL_GTSO), 0);
    CHECK_EQ_INT(close(fd), 0);
}

/* Packets need no netlink; settings do. */
TEST(adopt_without_netlink)
{
    static const int errors[] = {EAFNOSUPPORT, EACCES, EPERM, ENOSYS, EMFILE};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(errors); i++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        int fd, denied = errors[i] != EMFILE;

        check_row("errno %d", errors[i]);
        if (!ready())
            continue;
        fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
        filter.socket_errno = errors[i];
        desc.mtu = 1400;
        CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), denied ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM);
        desc.mtu = 0;
        CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), denied ? TUO_OK : TUO_E_SYSTEM);
        if (tun)
            CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_E_UNSUPPORTED);
        else
            close(fd);
        tuo_tun_close(tun);
        tun = NULL;
        CHECK_RESULT(tuo_tun_open(&tun, &desc, NULL), denied ? TUO_OK : TUO_E_SYSTEM);
        tuo_tun_close(tun);
        filter_off();
    }
}

/* Without CAP_NET_ADMIN the kernel does not say where the device is: then nothing here is taken for it. */
TEST(adopt_where_the_namespace_is_secret)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL, *namesake;
    int fd, home;

    if (!ready())
        return;
    home = open("/proc/self/ns/net", O_RDONLY);
    filter.skns_errno = EPERM;
    fd = raw_open("tuoi", IFF_TUN | IFF_VNET_HDR, O_NONBLOCK); /* with packet information: that needs no right to ask */
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_E_UNSUPPORTED);
    close(fd);
    fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    filter_off();
    desc.name = "tuoi";
    namesake = open_or_fail(&desc);
    filter.skns_errno = EPERM;
    desc.mtu = 1300;
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(interface_mtu("tuoi"), 1500);
    desc.mtu = 0;
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK);
    filter_off();
    tuo_tun_close(tun);
    tuo_tun_close(namesake);
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    close(home);
}

/* A descriptor without O_NONBLOCK behaves as one with it. */
TEST(adopted_blocking_descriptor)
{
    const pkt_spec spec = {.kind = PKT_UDP4, .dst = 5, .src = 7};
    uint8_t bytes[PACKET_CAP];
    size_t len = pkt_build(bytes, sizeof bytes, &spec);
    tuo_tun_desc desc = zero_desc();
    int fd;

    for (desc.blocking = 0; desc.blocking < 2; desc.blocking++) {
        tuo_tun *tun = NULL;
        check_row("%s", desc.blocking ? "calls wait" : "calls do not wait");
        if (!ready())
            continue;
        fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
        if (!CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK))
            continue;
        CHECK_RESULT(tuo_tun_send(tun, bytes, len), TUO_E_DOWN);
        CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
        tuo_tun_wake(tun); /* what can be done without waiting is done all the same */
        CHECK_RESULT(tuo_tun_send(tun, bytes, len), TUO_OK);
        tuo_tun_close(tun);
    }
}

static void *set_mtu_slowly(void *tun)
{
    (void)!tuo_tun_set_mtu((tuo_tun *)tun, 1400);
    return NULL;
}

/* Close waits for a call that changes settings, too. */
TEST(close_waits_for_settings)
{
    tuo_tun_desc desc = zero_desc();
    pthread_t thread;
    tuo_tun *tun;

    if (!ready() || (tun = open_or_fail(&desc)) == NULL)
        return;
    filter.slow_recv_ms = 50;
    CHECK_EQ_INT(pthread_create(&thread, NULL, set_mtu_slowly, tun), 0);
    while (!__atomic_load_n(&filter.in_recv, __ATOMIC_SEQ_CST))
        poll(NULL, 0, 1);
    tuo_tun_close(tun);
    CHECK_EQ_INT(__atomic_load_n(&filter.recv_done, __ATOMIC_SEQ_CST), 1);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    filter_off();
}

/* The namespace of the device need not be the one that the adopting program is in; there, the name may even be another's. */
TEST(adopt_from_another_namespace)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL, *namesake;
    int fd, home, error = 0;

    if (!ready())
        return;
    home = open("/proc/self/ns/net", O_RDONLY);
    fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    CHECK(home >= 0 && fd >= 0);
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    check_row("without settings");
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, &error), TUO_OK);
    CHECK_EQ_INT(error, 0);
    if (tun) {
        tuo_tun *queue = NULL;
        CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED); /* it would be one of a device made here */
        CHECK(queue == NULL);
    }
    check_row("settings reach the device, not its namesake");
    desc.name = "tuoi";
    namesake = open_or_fail(&desc);
    if (tun) {
        tuo_tun_close(tun);
        CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
        fd = raw_open("tuoi", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
        CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
        tuo_tun_close(namesake);
        namesake = open_or_fail(&desc);
        tun = NULL;
    }
    desc.mtu = 1300;
    (void)!tuo_tun_adopt(&tun, fd, &desc, &error); /* may fail, then nothing is changed */
    CHECK_EQ_INT(interface_mtu("tuoi"), 1500);
    tuo_tun_close(namesake);
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    CHECK_EQ_INT(interface_mtu("tuoi"), tun ? 1300 : 1500);
    if (tun)
        tuo_tun_close(tun);
    else
        close(fd);
    close(home);
}

static tuo_tun *adopt_raw(int flags, int open_flags, int vnet_len, int little)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun = NULL;
    int fd = raw_open("", flags, open_flags);

    if (vnet_len)
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &vnet_len), 0);
    if (little)
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETLE, &little), 0);
    if (vnet_len)
        CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6)), 0);
    CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK);
    return tun;
}

/* Both directions through adopted descriptors of every kind: the vnet header's size and byte order are those of the device. */
TEST(adopted_transfer)
{
    static const struct {
        const char *name;
        int flags, open_flags, vnet_len, little;
    } rows[] = {
        {"plain", IFF_TUN | IFF_NO_PI, O_NONBLOCK, 0, 0},
        {"plain, blocking", IFF_TUN | IFF_NO_PI, 0, 0, 0},
        {"10 bytes, blocking", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0, 10, 0},
        {"12 bytes", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 12, 0},
        {"12 bytes, little-endian", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK, 12, 1},
        {"24 bytes, blocking", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0, 24, 0},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc plain = zero_desc();
        train *t = new_train();
        pair p = {NULL, NULL};
        size_t received = 0;
        void *pointers[32];
        size_t k;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        plain.no_vnet_hdr = 1;
        p.a = adopt_raw(rows[i].flags, rows[i].open_flags, rows[i].vnet_len, rows[i].little);
        p.b = open_or_fail(&plain);
        if (!p.a || !p.b || !side_up(p.a, "10.1.255.1/16", "fd00:1::ffff/64") ||
            !side_up(p.b, "10.2.255.1/16", "fd00:2::ffff/64"))
            continue;
        train_flow(t, PKT_TCP4, 1001, 10, 700);
        train_flow(t, PKT_TCP6, 1001, 10, 700);
        send_and_check(&p, t);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_superpackets, rows[i].vnet_len ? 2 : 0);
        pair_close(&p);

        /* and the other way: a superpacket is read by the adopted one */
        p.a = open_or_fail(&(tuo_tun_desc){.name = NULL});
        p.b = adopt_raw(rows[i].flags, rows[i].open_flags, rows[i].vnet_len, rows[i].little);
        if (!p.a || !p.b || !side_up(p.a, "10.1.255.1/16", "fd00:1::ffff/64") ||
            !side_up(p.b, "10.2.255.1/16", "fd00:2::ffff/64"))
            continue;
        t->count = 0;
        train_flow(t, PKT_TCP4, 1001, 10, 700);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
        trains[1].count = 0;
        train_flow(&trains[1], PKT_TCP4, 1, 32, 700); /* buffers */
        for (k = 0; k < 32; k++)
            pointers[k] = trains[1].pointers[k];
        CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, pointers, 32, 0, &received), TUO_OK);
        CHECK_EQ_INT(received, 10);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_superpackets, rows[i].vnet_len ? 1 : 0);
        for (k = 0; k < received; k++) {
            uint8_t expected[PACKET_CAP];
            size_t len = train_expected(t, k, expected);
            if (CHECK_EQ_INT(trains[1].bufs[k].len, len))
                CHECK_BYTES(trains[1].bufs[k].data, expected, len);
        }
        CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, pointers, 32, 0, &received), TUO_AGAIN);
        pair_close(&p);
    }
}

/* ------------------------------------------------------------------------------------------------------------ queues */

TEST(queues)
{
    size_t count;

    for (count = 1; count <= 8; count++) {
        tuo_tun_desc desc = zero_desc();
        tuo_tun_group *set = NULL;
        size_t i;
        int before = fd_count();

        check_row("%d", (int)count);
        if (!ready())
            continue;
        desc.name = "tuom%d";
        CHECK_RESULT(tuo_tun_group_open(&set, &desc, count, NULL), TUO_OK);
        if (!set)
            continue;
        CHECK(tuo_tun_group_queue(set, count) == NULL);
        for (i = 0; i < count; i++) {
            tuo_tun *q = tuo_tun_group_queue(set, i);
            CHECK_EQ_STR(tuo_tun_name(q), "tuom0");
            CHECK_EQ_INT(tun_info_of(q).vnet_hdr_len, 10);
            CHECK_EQ_INT(tun_info_of(q).offloads, tun_info_of(tuo_tun_group_queue(set, 0)).offloads);
            CHECK_EQ_INT((get_flags(tuo_tun_fd(q)) & IFF_MULTI_QUEUE) != 0, count > 1);
        }
        tuo_tun_group_wake(set);
        for (i = 0; i < count; i++)
            CHECK_RESULT(tuo_tun_wait(tuo_tun_group_queue(set, i), 0, WAIT_MS), TUO_E_WOKEN);
        tuo_tun_group_close(set);
        CHECK_EQ_INT(fd_count(), before);
        CHECK(!interface_exists("tuom0"));
    }
}

TEST(queue_failures)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_group *set = NULL;
    tuo_tun *tun, *queue = NULL;
    int fd, error = 0, before;

    if (!ready())
        return;
    CHECK_RESULT(tuo_tun_group_open(&set, &desc, 0, &error), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_group_open(&set, &desc, 65, &error), TUO_E_INVALID);
    CHECK(set == NULL);
    tuo_tun_group_close(NULL);
    tuo_tun_close(NULL);
    tun = open_or_fail(&desc); /* one queue only */
    if (!tun)
        return;
    before = fd_count();
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_SYSTEM);
    CHECK(error != 0);
    CHECK(queue == NULL);
    CHECK_EQ_INT(fd_count(), before);
    tuo_tun_close(tun);

    /* The device was replaced by another of the same name. */
    desc.name = "tuor";
    desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    if (!tun)
        return;
    interface_delete("tuor");
    fd = raw_open("tuor", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
    CHECK(fd >= 0);
    before = fd_count();
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_GONE);
    CHECK(queue == NULL);
    CHECK_EQ_INT(fd_count(), before);
    close(fd);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_GONE); /* nor is it made again */
    CHECK(!interface_exists("tuor"));
    tuo_tun_close(tun);
}

/* A name says which device is meant only while it is the device's. */
TEST(queue_of_a_renamed_device)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun, *queue = NULL, *namesake;
    struct ifreq request;
    int error = 0, home;

    if (!ready())
        return;
    desc.name = "tuor";
    desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    if (!tun)
        return;
    set_request_name(&request, "tuor");
    snprintf(request.ifr_newname, sizeof request.ifr_newname, "tuos");
    interface_ioctl("tuor", SIOCSIFNAME, request, &error);
    CHECK_EQ_INT(error, 0);
    namesake = open_or_fail(&desc);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_OK);
    if (queue) {
        CHECK_EQ_STR(tuo_tun_name(queue), "tuos");
        CHECK_EQ_INT(queue->if_index, tun->if_index);
        tuo_tun_close(queue);
    }
    tuo_tun_close(namesake);
    queue = NULL;
    filter.skns_errno = EPERM; /* the owner of a device need not be privileged */
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_OK);
    filter_off();
    tuo_tun_close(queue);
    filter.rename_to = "tuor"; /* between the question and the answer's use */
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_GONE);
    CHECK(!interface_exists("tuos"));
    home = open("/proc/self/ns/net", O_RDONLY);
    CHECK_EQ_INT(unshare(CLONE_NEWNET), 0);
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED);
    filter.skns_errno = EPERM; /* not even if the kernel does not say where the first one is */
    CHECK_RESULT(tuo_tun_add_queue(tun, &queue, &error), TUO_E_UNSUPPORTED);
    filter_off();
    CHECK(!interface_exists("tuos"));
    CHECK_EQ_INT(setns(home, CLONE_NEWNET), 0);
    close(home);
    tuo_tun_close(tun);
}

/* Whoever attaches last may change what the others' descriptors say. */
TEST(plain_queue_of_a_device_with_vnet_headers)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun *tun, *plain = NULL;
    int fd, error = 0;

    if (!ready())
        return;
    desc.name = "tuor";
    desc.multi_queue = 1;
    tun = open_or_fail(&desc);
    desc.no_vnet_hdr = desc.share = 1;
    CHECK_RESULT(tuo_tun_open(&plain, &desc, &error), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(error, EOPNOTSUPP);
    tuo_tun_close(plain);
    tuo_tun_close(tun);
    fd = raw_open("tuor", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    CHECK_RESULT(tuo_tun_adopt(&plain, fd, &desc, &error), TUO_E_UNSUPPORTED);
    close(fd);
}

/* ----------------------------------------------------------------------------------------------------------- receiving */

/* a sends, b is under test. */
static int pair_open_for_reading(pair *p, int blocking, int plain)
{
    tuo_tun_desc desc = zero_desc();

    desc.blocking = (uint8_t)blocking;
    desc.no_vnet_hdr = (uint8_t)plain;
    return pair_open(p, NULL, &desc);
}

static void send_one(pair *p, pkt_kind kind, int port, size_t count, int payload_len)
{
    train *t = new_train();

    train_flow(t, kind, port, count, payload_len);
    CHECK_RESULT(train_send(t, p->a), TUO_OK);
}

TEST(recv_sizes)
{
    static const struct {
        const char *name;
        int plain;
        size_t packets, missing; /* bytes that the buffer is too small by */
    } rows[] = {
        {"exact", 0, 1, 0},       {"one short", 0, 1, 1},       {"no buffer", 0, 1, 837},
        {"exact, plain", 1, 1, 0}, {"one short, plain", 1, 1, 1}, {"superpacket, exact", 0, 20, 0},
        {"superpacket, one short", 0, 20, 1},
    };
    static uint8_t frame[FRAME_MAX], expected[PACKET_CAP];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        pair p;
        tuo_vnet_hdr vnet;
        size_t len = 0, whole = 40 + rows[i].packets * 800 - 3;

        check_row("%s", rows[i].name);
        if (!ready() || !pair_open_for_reading(&p, 0, rows[i].plain))
            continue;
        send_one(&p, PKT_TCP4, 1001, rows[i].packets, 800);
        send_one(&p, PKT_UDP4, 1002, 1, 300);
        memset(frame, 0xcc, sizeof frame);
        CHECK_RESULT(tuo_tun_recv(p.b, frame, whole - rows[i].missing, &vnet, &len), rows[i].missing ? TUO_E_NOSPACE : TUO_OK);
        CHECK_EQ_INT(len, rows[i].missing ? 0 : whole);
        CHECK_EQ_INT(frame[whole - rows[i].missing], 0xcc);
        if (!rows[i].missing) {
            CHECK_EQ_INT(vnet.gso_type, rows[i].packets > 1 ? TUO_GSO_TCPV4 : 0);
            CHECK_EQ_INT(vnet.gso_size, rows[i].packets > 1 ? 800 : 0);
        }
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_truncated, rows[i].missing != 0);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_reads, rows[i].missing == 0);
        CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK); /* the next packet is whole */
        if (CHECK_EQ_INT(len, train_expected(&trains[0], 0, expected)))
            CHECK_BYTES(frame, expected, len);
        CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_AGAIN);
        pair_close(&p);
    }
}

TEST(recv_iov)
{
    static uint8_t frame[FRAME_MAX], expected[PACKET_CAP];
    struct iovec iov[16];
    tuo_vnet_hdr vnet;
    size_t i, len = 0, at = 0;
    pair p;

    if (!ready() || !pair_open_for_reading(&p, 0, 0))
        return;
    send_one(&p, PKT_TCP6, 1001, 1, 900);
    for (i = 0; i < 16; i++) {
        iov[i].iov_base = frame + at;
        iov[i].iov_len = i < 14 ? i : 2000;
        at += iov[i].iov_len;
    }
    CHECK_RESULT(tuo_tun_recv_iov(p.b, iov, 16, &vnet, &len), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_recv_iov(p.b, iov, 15, &vnet, &len), TUO_OK);
    if (CHECK_EQ_INT(len, train_expected(&trains[0], 0, expected)))
        CHECK_BYTES(frame, expected, len);
    pair_close(&p);
}

/* What read() can say, and what becomes of it: a device is gone only if TUNGETIFF says so. A packet waits behind each. */
TEST(recv_errnos)
{
    static const struct {
        const char *name;
        int blocking, gone, errnos[2];
        tuo_result result;
        unsigned refused;
    } rows[] = {
        {"EAGAIN", 0, 0, {EAGAIN, EAGAIN}, TUO_AGAIN, 0},
        {"EAGAIN, blocking", 1, 0, {EAGAIN, EAGAIN}, TUO_OK, 0},
        {"EINTR", 0, 0, {EINTR, EINTR}, TUO_OK, 0},
        {"EINTR, blocking", 1, 0, {EINTR, EINTR}, TUO_OK, 0},
        {"EINVAL", 0, 0, {EINVAL, EINVAL}, TUO_OK, 2},
        {"no bytes", 0, 0, {-1, -1}, TUO_AGAIN, 0},
        {"no bytes, blocking", 1, 0, {-1, -1}, TUO_OK, 0},
        {"EBADFD, gone", 0, 1, {EBADFD, 0}, TUO_E_GONE, 0},
        {"EBADFD", 0, 0, {EBADFD, 0}, TUO_E_SYSTEM, 0},
        {"EFAULT, gone", 0, 1, {EFAULT, 0}, TUO_E_GONE, 0},
        {"EFAULT, gone, blocking", 1, 1, {EFAULT, 0}, TUO_E_GONE, 0},
        {"EFAULT", 0, 0, {EFAULT, EFAULT}, TUO_OK, 2},
        {"EFAULT, blocking", 1, 0, {EFAULT, EFAULT}, TUO_OK, 2},
        {"EIO, gone", 0, 1, {EIO, 0}, TUO_E_GONE, 0},
        {"EIO, gone, blocking", 1, 1, {EIO, 0}, TUO_E_GONE, 0},
        {"EIO", 0, 0, {EIO, 0}, TUO_E_SYSTEM, 0},
        {"EMSGSIZE", 0, 0, {EMSGSIZE, 0}, TUO_E_SYSTEM, 0},
        {"ENOBUFS", 0, 0, {ENOBUFS, 0}, TUO_E_SYSTEM, 0},
        {"ENOMEM", 0, 0, {ENOMEM, 0}, TUO_E_SYSTEM, 0},
    };
    static uint8_t frame[FRAME_MAX];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_vnet_hdr vnet;
        size_t len = 0;
        pair p;

        check_row("%s", rows[i].name);
        if (!ready() || !pair_open_for_reading(&p, rows[i].blocking, 0))
            continue;
        send_one(&p, PKT_UDP4, 1001, 1, 100);
        filter_off();
        memcpy(filter.read_errno, rows[i].errnos, sizeof rows[i].errnos);
        filter.getiff_errno = rows[i].gone ? EBADFD : 0;
        CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), rows[i].result);
        CHECK_EQ_INT(len, rows[i].result == TUO_OK ? 125 : 0);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_refused, rows[i].refused);
        if (rows[i].result < 0 || rows[i].refused)
            CHECK_EQ_INT(tun_info_of(p.b).rx_errno, rows[i].errnos[0]);
        CHECK(tun_info_of(p.b).rx_errno != EAGAIN); /* nothing failed */
        filter_off();
        if (rows[i].result != TUO_OK) { /* nothing was lost by that */
            CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
            CHECK_EQ_INT(len, 125);
        }
        pair_close(&p);
    }
}

/* K 2.8: a device whose last user left offloads for UDP tunnels on, with a vnet header that is too short for them. Each read loses
   its packet and says EFAULT; the device is there. */
TEST(a_device_that_hands_out_nothing)
{
    enum { PACKETS = 40 };
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = 9};
    static uint8_t frame[FRAME_MAX];
    int way;

    for (way = 0; way < 4; way++) {
        const int blocking = way & 1, negotiates = way >> 1;
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun = NULL;
        tuo_buf packet;
        tuo_vnet_hdr vnet;
        size_t len, i;
        int s, fd;

        check_row("%s%s", negotiates ? "negotiated, " : "", blocking ? "blocking" : "non-blocking");
        if (!ready())
            return;
        fd = raw_open("", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4 | 0x80 /* TUN_F_UDP_TUNNEL_GSO */)) != 0) {
            check_skip("no offloads for UDP tunnels on this kernel");
            close(fd);
            continue;
        }
        desc.up = 1;
        desc.address4 = "10.9.0.1/16";
        desc.blocking = (uint8_t)blocking;
        desc.adopt_negotiate = (uint8_t)negotiates;
        if (!CHECK_RESULT(tuo_tun_adopt(&tun, fd, &desc, NULL), TUO_OK))
            continue;
        s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        to.sin_addr.s_addr = htonl(0x0a090002);
        for (i = 0; i < PACKETS; i++)
            CHECK_EQ_INT(sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
        close(s);
        if (negotiates) {
            for (i = 0; i < PACKETS; i++)
                CHECK_RESULT(tuo_tun_next(tun, &packet), TUO_OK);
            CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, 0);
        } else {
            CHECK_RESULT(tuo_tun_next(tun, &packet), TUO_MORE); /* so often it reads in one call */
            CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, 16);
            CHECK_RESULT(tuo_tun_recv(tun, frame, sizeof frame, &vnet, &len), TUO_AGAIN);
            CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, 32);
            tuo_tun_wake(tun); /* or the blocking one would wait for the 41st */
            CHECK_RESULT(tuo_tun_next(tun, &packet), blocking ? TUO_E_WOKEN : TUO_AGAIN);
            CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, PACKETS);
            CHECK_EQ_INT(tun_info_of(tun).rx_errno, EFAULT);
        }
        tuo_tun_close(tun);
    }
}

/* A buffer of a caller's own kind, whose resize fails when it is told to. */
static int resize_fails;
static int failing_resize(void *user, void *buf, size_t len)
{
    tuo_buf *b = (tuo_buf *)buf;

    (void)user;
    if (resize_fails || len > b->capacity)
        return -1;
    b->len = len;
    return 0;
}
static uint8_t *plain_data(void *user, void *buf)
{
    (void)user;
    return ((tuo_buf *)buf)->data;
}
static size_t plain_length(void *user, const void *buf)
{
    (void)user;
    return ((const tuo_buf *)buf)->len;
}
static size_t plain_capacity(void *user, const void *buf)
{
    (void)user;
    return ((const tuo_buf *)buf)->capacity;
}
static int failing_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    (void)user;
    (void)buf;
    (void)bytes;
    (void)len;
    return -1;
}
static const tuo_buf_ops failing_ops = {NULL, plain_data, plain_length, plain_capacity, failing_resize, failing_append};

/* Superpackets are handed out in portions of every size; callbacks that fail and buffers that are too small lose nothing. */
TEST(recv_multiple_resumes)
{
    static const size_t portions[] = {1, 2, 3, 7, 19, 20, 21, 64};
    static uint8_t expected[PACKET_CAP];
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(portions); i++) {
        train *out = &trains[1], *t;
        size_t total = 0, received = 0, rounds = 0;
        tuo_result result;
        pair p;

        check_row("%d buffers", (int)portions[i]);
        if (!ready() || !pair_open_for_reading(&p, 0, 0))
            continue;
        t = new_train();
        train_flow(t, PKT_TCP4, 1001, 20, 900);
        train_flow(t, PKT_UDP6, 1002, 20, 500);
        train_flow(t, PKT_UDP4, 1003, 1, 50);
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        for (; rounds < 1000; rounds++) {
            out->count = 0;
            train_flow(out, PKT_UDP4, 1, portions[i], 1600);
            resize_fails = rounds % 3 == 1;
            if (rounds % 3 == 2)
                out->bufs[0].capacity = HEADROOM + 10;
            result = tuo_tun_recv_batch(p.b, &failing_ops, out->pointers, portions[i], HEADROOM, &received);
            if (result == TUO_AGAIN)
                break;
            CHECK_RESULT(result, rounds % 3 == 1 ? TUO_E_BUFFER : rounds % 3 == 2 ? TUO_E_NOSPACE : TUO_OK);
            CHECK_EQ_INT(received != 0, result == TUO_OK);
            for (k = 0; k < received && CHECK(total < t->count); k++, total++) {
                size_t len = train_expected(t, total, expected);
                if (CHECK_EQ_INT(out->bufs[k].len, HEADROOM + len))
                    CHECK_BYTES(out->bufs[k].data + HEADROOM, expected, len);
                CHECK_EQ_INT(out->bufs[k].data[HEADROOM - 1], 0xee);
            }
        }
        CHECK_EQ_INT(total, 41);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_segments, 41);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_reads, 3);
        CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_superpackets, 2);
        pair_close(&p);
    }
}

/* Segments that are left in the queue: tuo_tun_wait knows of them, too large ones can be dropped, and are counted. */
TEST(recv_multiple_leaves_segments)
{
    static uint8_t bytes[4][PACKET_CAP];
    tuo_buf bufs[4];
    void *pointers[4];
    struct pollfd poller;
    size_t i, received = 0;
    tuo_gro_stats gro;
    train *t;
    pair p;

    if (!ready() || !pair_open_for_reading(&p, 0, 0))
        return;
    for (i = 0; i < 4; i++) {
        bufs[i].data = bytes[i];
        bufs[i].capacity = sizeof bytes[i];
        pointers[i] = &bufs[i];
    }
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 10, 900);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    tuo_tun_query_gro_stats(p.a, &gro);
    CHECK_EQ_INT(gro.packets_in, 10);
    CHECK_EQ_INT(gro.verdicts[TUO_V_APPENDED], 9);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
    CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, pointers, 4, 0, &received), TUO_OK);
    CHECK_EQ_INT(received, 4);
    poller.fd = tuo_tun_fd(p.b);
    poller.events = POLLIN;
    CHECK_EQ_INT(poll(&poller, 1, 0), 0);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, 0), TUO_OK);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, -1), TUO_OK);
    tuo_tun_wake(p.b);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, -1), TUO_E_WOKEN);
    tuo_tun_wake_clear(p.b);
    bufs[0].capacity = 100;
    CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, pointers, 4, 0, &received), TUO_E_NOSPACE);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_truncated, 0);
    tuo_tun_recv_discard(p.b);
    tuo_tun_recv_discard(p.b);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_truncated, 6);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, 0), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, pointers, 4, 0, &received), TUO_AGAIN);
    pair_close(&p);
}

/* Contradictory packets for ever: the caller gets a turn. */
TEST(recv_multiple_of_contradictions)
{
    static uint8_t bytes[PACKET_CAP];
    tuo_tun_desc desc = zero_desc();
    tuo_buf buf = {bytes, 0, sizeof bytes};
    void *pointer = &buf;
    size_t received = 1;
    tuo_tun *tun;

    if (!ready() || (tun = open_or_fail(&desc)) == NULL)
        return;
    filter.contradictory = 100;
    CHECK_RESULT(tuo_tun_recv_batch(tun, NULL, &pointer, 1, 0, &received), TUO_AGAIN);
    CHECK_EQ_INT(received, 0);
    CHECK_EQ_INT(filter.contradictory, 84);
    CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, 16);
    filter_off();
    tuo_tun_close(tun);
}

/* A superpacket for which there may be no room is left to the next call: cut in two, it would be coalesced into two. */
TEST(recv_multiple_reads_whole_superpackets)
{
    train *out = &trains[1], *t;
    size_t received = 0;
    pair p;

    if (!ready() || !pair_open_for_reading(&p, 0, 0))
        return;
    CHECK_EQ_INT(p.b->simd, tuo_simd_best());
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 20, 900);
    train_flow(t, PKT_UDP6, 1002, 20, 500);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    out->count = 0;
    train_flow(out, PKT_UDP4, 1, 39, 1600);
    CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, out->pointers, 39, HEADROOM, &received), TUO_OK);
    CHECK_EQ_INT(received, 20);
    CHECK_RESULT(tuo_tun_recv_batch(p.b, NULL, out->pointers, 39, HEADROOM, &received), TUO_OK);
    CHECK_EQ_INT(received, 20);
    CHECK_EQ_INT(tun_stats_of(p.b).rx.rx_superpackets, 2);
    pair_close(&p);
}

typedef struct reader {
    tuo_tun *tun;
    int thread_id; /* asleep.h */
    tuo_result result;
    int mode;    /* 0 recv, 1 recv_batch, 2 wait */
} reader;

static void *reader_main(void *argument)
{
    static uint8_t frame[FRAME_MAX];
    static tuo_buf buf = {frame, 0, FRAME_MAX};
    reader *r = (reader *)argument;
    void *pointers[1] = {&buf};
    tuo_vnet_hdr vnet;
    size_t len;

    asleep_announce(&r->thread_id);
    r->result = r->mode == 0   ? tuo_tun_recv(r->tun, frame, sizeof frame, &vnet, &len)
                : r->mode == 1 ? tuo_tun_recv_batch(r->tun, NULL, pointers, 1, 0, &len)
                               : tuo_tun_wait(r->tun, 0, -1);
    return NULL;
}

/* A thread that waits in a call. */
static pthread_t reader_start(reader *r, tuo_tun *tun, int mode)
{
    pthread_t thread;

    memset(r, 0, sizeof *r);
    r->tun = tun;
    r->mode = mode;
    pthread_create(&thread, NULL, reader_main, r);
    asleep_await(&r->thread_id);
    return thread;
}

static const char *const mode_names[] = {"recv", "recv_batch", "wait"};

/* What ends a waiting call: a packet, a wake-up, the end of the device, close. Also with a descriptor that blocks by itself. */
TEST(waiting_calls)
{
    enum { BY_PACKET, BY_WAKE, BY_DELETE, BY_CLOSE, BY_SETS };
    static const char *const by_names[] = {"packet", "wake", "delete", "close"};
    int by, mode, adopted;

    for (by = 0; by < BY_SETS; by++) {
        for (mode = 0; mode < 3; mode++) {
            for (adopted = 0; adopted < 2; adopted++) {
                tuo_tun_desc desc = zero_desc();
                tuo_vnet_hdr vnet;
                pthread_t thread;
                uint8_t frame[2000];
                size_t len;
                reader r;
                pair p = {NULL, NULL};
                int before;

                check_row("%s, ended by %s%s", mode_names[mode], by_names[by], adopted ? ", blocking descriptor" : "");
                if (!ready())
                    continue;
                before = fd_count();
                desc.blocking = 1;
                p.a = open_or_fail(&(tuo_tun_desc){.name = NULL});
                if (adopted)
                    CHECK_RESULT(tuo_tun_adopt(&p.b, raw_open("", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0), &desc, NULL), TUO_OK);
                else
                    p.b = open_or_fail(&desc);
                if (!p.a || !p.b || !side_up(p.a, "10.1.255.1/16", "fd00:1::ffff/64") ||
                    !side_up(p.b, "10.2.255.1/16", "fd00:2::ffff/64"))
                    continue;
                thread = reader_start(&r, p.b, mode);
                if (by == BY_PACKET)
                    send_one(&p, PKT_UDP4, 1001, 1, 100);
                else if (by == BY_WAKE)
                    tuo_tun_wake(p.b);
                else if (by == BY_DELETE)
                    interface_delete(tuo_tun_name(p.b));
                else
                    tuo_tun_close(p.b);
                pthread_join(thread, NULL);
                if (by == BY_DELETE && mode == 2)
                    CHECK(r.result == TUO_OK || r.result == TUO_E_GONE); /* recv says which */
                else
                    CHECK_RESULT(r.result, by == BY_PACKET ? TUO_OK : by == BY_DELETE ? TUO_E_GONE : TUO_E_WOKEN);
                if (by == BY_WAKE) { /* until it is cleared */
                    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_E_WOKEN);
                    CHECK_RESULT(tuo_tun_wait(p.b, 0, -1), TUO_E_WOKEN);
                    tuo_tun_wake(p.b);
                    tuo_tun_wake_clear(p.b);
                    CHECK_RESULT(tuo_tun_wait(p.b, 0, 10), TUO_AGAIN);
                    send_one(&p, PKT_UDP4, 1001, 1, 100);
                    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
                }
                if (by != BY_CLOSE)
                    tuo_tun_close(p.b);
                tuo_tun_close(p.a);
                CHECK_EQ_INT(fd_count(), before);
            }
        }
    }
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static volatile sig_atomic_t ticks;

/* Ends by itself after two seconds, so that a call that signals keep from ending ends late instead of never. */
static void on_tick(int number)
{
    static const struct itimerval off;

    (void)number;
    if (++ticks >= 2000)
        setitimer(ITIMER_REAL, &off, NULL);
}

static void tick_every_ms(int on)
{
    struct itimerval timer = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    struct sigaction action;

    if (on)
        ticks = 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_tick; /* without SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* A time-out is as long as it was asked to be. A signal may end it sooner, never put it off. */
TEST(wait_times)
{
    static const int rows[][2] = {{0, 0}, {1, 0}, {150, 0}, {150, 1}};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        int64_t start, took;
        pair p;

        check_row("%d ms%s", rows[i][0], rows[i][1] ? " under signals" : "");
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        tick_every_ms(rows[i][1]);
        start = now_ms();
        CHECK_RESULT(tuo_tun_wait(p.b, 0, rows[i][0]), TUO_AGAIN);
        took = now_ms() - start;
        tick_every_ms(0);
        CHECK(took < rows[i][0] + 1000);
        CHECK(took >= rows[i][0] - 1 || rows[i][1]);
        CHECK_RESULT(tuo_tun_wait(p.a, 1, WAIT_MS), TUO_OK);
        pair_close(&p);
    }
}

TEST(signal_storm)
{
    static uint8_t frame[FRAME_MAX];
    tuo_vnet_hdr vnet;
    size_t len;
    int64_t end;
    pair p;

    if (!ready() || !pair_open_for_reading(&p, 1, 1))
        return;
    tick_every_ms(1);
    end = now_ms() + 500;
    while (now_ms() < end) {
        train *t = new_train();
        size_t i;
        train_flow(t, PKT_TCP4, 1001, 30, 800);
        train_flow(t, PKT_UDP6, 1002, 30, 800);
        if (!CHECK_RESULT(train_send(t, p.a), TUO_OK))
            break;
        for (i = 0; i < t->count; i++) /* blocking: a lost packet would hang here, so the last one is looked for below */
            if (!CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK) ||
                !CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK))
                break;
        if (i < t->count)
            break;
        CHECK_RESULT(tuo_tun_wait(p.b, 0, 0), TUO_AGAIN);
    }
    tick_every_ms(0);
    CHECK(ticks > 20);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------------- sending */

TEST(send_what_is_no_packet)
{
    static const struct {
        const char *name;
        size_t len;
        uint8_t first;
        int plain;
    } rows[] = {
        {"nothing", 0, 0, 0}, {"nothing, plain", 0, 0, 1}, {"one byte", 1, 0, 0}, {"one byte, plain", 1, 0, 1},
        {"not IP", 100, 0x25, 0}, {"not IP, plain", 100, 0xf0, 1},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        uint8_t bytes[100] = {0};
        pair p;
        train *t;

        check_row("%s", rows[i].name);
        desc.no_vnet_hdr = (uint8_t)rows[i].plain;
        if (!ready() || !pair_open(&p, &desc, NULL))
            continue;
        bytes[0] = rows[i].first;
        CHECK_RESULT(tuo_tun_send(p.a, bytes, rows[i].len), TUO_E_REFUSED);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_packets, 1);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_writes, 0);
        t = new_train(); /* in a batch it is counted, and the rest goes on */
        train_flow(t, PKT_TCP4, 1001, 3, 100);
        trains[1].count = 0;
        train_flow(&trains[1], PKT_TCP4, 1001, 3, 100);
        memcpy(t->bufs[1].data + HEADROOM, bytes, rows[i].len);
        t->bufs[1].len = HEADROOM + rows[i].len;
        CHECK_RESULT(train_send(t, p.a), TUO_OK);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_packets, 1 + (rows[i].len != 0));
        t->arrived[1] = 1;
        {
            static uint8_t frame[FRAME_MAX], expected[PACKET_CAP];
            size_t len = read_plain(p.b, frame, WAIT_MS);
            if (CHECK_EQ_INT(len, train_expected(&trains[1], 0, expected)))
                CHECK_BYTES(frame, expected, len);
            len = read_plain(p.b, frame, WAIT_MS);
            if (CHECK_EQ_INT(len, train_expected(&trains[1], 2, expected)))
                CHECK_BYTES(frame, expected, len);
            CHECK_EQ_INT(read_plain(p.b, frame, 0), 0);
        }
        pair_close(&p);
    }
}

/* One-byte and empty payloads, alone and in batches. */
TEST(send_small_packets)
{
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        train *t;
        size_t i;
        pair p;

        check_row("%s", kind_names[kind]);
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        t = new_train();
        for (i = 0; i < 12; i++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .src = 7, .dst = 5, .ip_id = (uint16_t)i};
            s.payload_len = i % 4 == 3 ? PKT_ZERO : 1;
            s.seq = (uint32_t)(i - i / 4);
            train_add(t, &s);
        }
        send_and_check(&p, t);
        for (i = 0; i < t->count; i++) {
            t->arrived[i] = 0;
            CHECK_RESULT(tuo_tun_send(p.a, t->bufs[i].data + HEADROOM, t->bufs[i].len - HEADROOM), TUO_OK);
        }
        train_check_arrived(t, p.b);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 24);
        pair_close(&p);
    }
}

/* All kinds in one batch; what arrives are the packets, what was written are superpackets. */
TEST(send_batch)
{
    tun_stats stats;
    train *t;
    pair p;
    int kind;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    t = new_train();
    for (kind = 0; kind < PKT_KIND_COUNT; kind++)
        train_flow(t, (pkt_kind)kind, 1001, 40, 1200);
    send_and_check(&p, t);
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_packets, 160);
    CHECK_EQ_INT(stats.tx.tx_superpackets, kernel_has_uso() ? 4 : 2);
    CHECK_EQ_INT(stats.tx.tx_writes, kernel_has_uso() ? 4 : 82);
    CHECK_EQ_INT(stats.tx.tx_bytes, 4 * 40 * 1200 - 4 * 3 + (kernel_has_uso() ? 40 + 28 + 60 + 48 : 40 + 60 + 40 * (28 + 48)));
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets + stats.tx.tx_resent_packets + stats.tx.tx_again + stats.tx.switched_off, 0);
    pair_close(&p);
}

/* Buffers without a packet, among others: no more of them than a length that forgot the headroom would leave, or nothing at all. */
typedef struct layout_row {
    const char *name;
    size_t count;
    const char *buffers; /* from the front, the rest are packets: . packet, - nothing, h headroom only, s a packet that is cut short */
} layout_row;

static const layout_row layouts[] = {
    {"packets only", 100, ""},
    {"one packet", 1, ""},
    {"32 packets", 32, ""},
    {"33 packets", 33, ""},
    {"at the front", 40, "-"},
    {"headroom only, at the front", 40, "h"},
    {"several at the front", 70, "-h-h-"},
    {"in the middle", 70, "......h...-.....s....h-"},
    {"at the end", 10, ".........-"},
    {"several at the end", 10, "......-hh-"},
    {"where a run ends", 70, "...............................h"},
    {"right behind a run", 70, "................................h"},
    {"one behind a run", 70, ".................................-"},
    {"every second", 20, "h.h.h.h.h.h.h.h.h.h."},
    {"one, and no packet", 1, "-"},
    {"many, and no packet", 40, "h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-h-"},
    {"cut short, first and last of a run", 40, "s..............................s"},
};

/* What each buffer of the row is; '.' behind what it says. */
static char layout_at(const layout_row *row, size_t i)
{
    return i < strlen(row->buffers) ? row->buffers[i] : '.';
}

/* The buffers of a row, and the packets that will arrive: those that are whole. Returns how many packets there are, whole or cut. */
static size_t lay_out(train *t, train *whole, const layout_row *row, unsigned *headroom_short)
{
    size_t i, packet_count = 0;

    t->count = whole->count = 0;
    *headroom_short = 0;
    for (i = 0; i < row->count; i++) {
        const char what = layout_at(row, i);
        const pkt_spec s = {.kind = PKT_TCP4, .src = 7, .dst = 5, .src_port = 1001, .seq = (uint32_t)packet_count * 100,
                            .ip_id = (uint16_t)packet_count};
        train_add(t, &s);
        if (what == '.')
            train_add(whole, &s);
        if (what == '.' || what == 's') {
            t->bufs[i].len -= what == 's';
            packet_count++;
        } else {
            t->bufs[i].len = what == 'h' ? HEADROOM : 0;
            t->bufs[i].data = what == 'h' ? t->bufs[i].data : NULL;
        }
        *headroom_short += what == 's' || what == 'h';
    }
    return packet_count;
}

/* Times that there was no room, with buffers given one by one. */
static unsigned times_without_room(const layout_row *row, size_t max_packets)
{
    size_t i, held = 0;
    unsigned times = 0;

    for (i = 0; i < row->count; i++) {
        const int is_packet = layout_at(row, i) == '.' || layout_at(row, i) == 's';
        if (is_packet && held == max_packets) {
            times++;
            held = 0;
        }
        held += (size_t)is_packet;
    }
    return times;
}

static void check_layout(const layout_row *row, uint32_t max_packets)
{
    tuo_tun_desc desc = zero_desc();
    unsigned headroom_short;
    size_t taken = 999, packet_count;
    tuo_gro_stats gro;
    tun_stats stats;
    train *t = new_train();
    pair p;

    desc.gro.max_packets = max_packets;
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    packet_count = lay_out(t, &trains[1], row, &headroom_short);
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_OK);
    CHECK_EQ_INT(taken, row->count);
    stats = tun_stats_of(p.a);
    tuo_tun_query_gro_stats(p.a, &gro);
    CHECK_EQ_INT(stats.tx.tx_packets, packet_count);
    CHECK_EQ_INT(stats.tx.headroom_short, headroom_short);
    CHECK_EQ_INT(gro.packets_in, packet_count);
    CHECK_EQ_INT(gro.verdicts[TUO_V_NO_ROOM], times_without_room(row, max_packets ? max_packets : 256));
    CHECK_EQ_INT(gro.packets_in - gro.merged_packets + gro.superpackets, gro.packets_out);
    CHECK(packet_count < 10 || gro.merged_packets > packet_count / 2);
    train_check_arrived(&trains[1], p.b);
    pair_close(&p);
}

TEST(send_batch_with_buffers_without_a_packet)
{
    static const uint32_t max_packets[] = {0, 5, 32}; /* 5: full within a run; 32: where it ends */
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(layouts); i++)
        for (k = 0; k < CHECK_COUNT_OF(max_packets); k++) {
            check_row("%s, max_packets %u", layouts[i].name, (unsigned)max_packets[k]);
            check_layout(&layouts[i], max_packets[k]);
        }
}

/* Down: named, nothing that the kernel did not take is lost, and everything goes on when it is up again. */
TEST(send_while_down)
{
    static const char *const names[] = {"packet", "batch", "superpacket"};
    static uint8_t payload[4000];
    int what;

    for (what = 0; what < 3; what++) {
        tuo_tun_desc desc = zero_desc();
        static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5};
        static const uint8_t tcp[20] = {0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0};
        tuo_iov pieces = {payload, sizeof payload};
        tuo_tun_parts gso = {ip, sizeof ip, tcp, sizeof tcp, &pieces, 1, 1000};
        static uint8_t frame[FRAME_MAX];
        train *t;
        size_t taken = 0, count = 0;
        int i;
        pair p;

        check_row("%s", names[what]);
        desc.refusal_limit = 1; /* a device that is down refuses no superpacket */
        desc.hold_when_down = 1;
        if (!ready() || !pair_open(&p, &desc, NULL))
            continue;
        t = new_train();
        train_flow(t, PKT_TCP4, 1001, 10, 500);
        train_flow(t, PKT_TCP4, 1002, 1, 500);
        CHECK_RESULT(tuo_tun_set_up(p.a, 0), TUO_OK);
        for (i = 0; i < 3; i++) {
            if (what == 0)
                CHECK_RESULT(tuo_tun_send(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_E_DOWN);
            else if (what == 1 && i == 0)
                CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_E_DOWN);
            else if (what == 1)
                CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_DOWN);
            else
                CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), TUO_E_DOWN);
            CHECK_EQ_INT(tun_info_of(p.a).tx_errno, EIO);
        }
        CHECK_EQ_INT(read_plain(p.b, frame, 0), 0);
        CHECK_RESULT(tuo_tun_set_up(p.a, 1), TUO_OK);
        CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
        if (what == 0) {
            CHECK_EQ_INT(read_plain(p.b, frame, QUIET_MS), 0); /* E_DOWN: not taken */
            send_and_check(&p, t);
        } else if (what == 1) {
            CHECK_EQ_INT(taken, t->count);
            train_check_arrived(t, p.b);
        } else {
            CHECK_EQ_INT(read_plain(p.b, frame, QUIET_MS), 0);
            while (read_plain(p.b, frame, QUIET_MS))
                count++; /* after a failure that was shown: one line is enough */
            CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), TUO_OK);
            for (count = 0; read_plain(p.b, frame, QUIET_MS); count++) {
            }
            CHECK_EQ_INT(count, 4);
        }
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_superpackets, 0);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.switched_off, 0);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tcp4_off, 0);
        pair_close(&p);
    }
}

/* The device is deleted while it is open. */
TEST(device_deleted)
{
    static uint8_t frame[FRAME_MAX];
    tuo_tun_probe_report report;
    tuo_vnet_hdr vnet;
    size_t len = 0, taken = 0, received = 9;
    tuo_result result;
    train *t;
    int before;
    pair p;

    if (!ready())
        return;
    before = fd_count();
    if (!pair_open(&p, NULL, NULL))
        return;
    interface_delete(tuo_tun_name(p.a));
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 10, 500);
    CHECK_RESULT(tuo_tun_recv(p.a, frame, sizeof frame, &vnet, &len), TUO_E_GONE);
    CHECK(tun_info_of(p.a).rx_errno != 0);
    CHECK_RESULT(tuo_tun_recv_batch(p.a, NULL, t->pointers, 1, 0, &received), TUO_E_GONE);
    CHECK_EQ_INT(received, 0);
    CHECK_RESULT(tuo_tun_send(p.a, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_E_GONE);
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_E_GONE);
    CHECK_EQ_INT(taken, t->count);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_GONE);
    CHECK_RESULT(tuo_tun_probe(p.a, &report), TUO_E_GONE);
    CHECK(tun_info_of(p.a).tx_errno != 0);
    result = tuo_tun_wait(p.a, 0, WAIT_MS);
    CHECK(result == TUO_OK || result == TUO_E_GONE);
    CHECK_RESULT(tuo_tun_set_up(p.a, 1), TUO_E_GONE);
    tuo_tun_discard(p.a);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    pair_close(&p);
    CHECK_EQ_INT(fd_count(), before);
}

/* The kernel lets a detached queue write, and gives it nothing to read; what was in its ring is dropped. */
TEST(queue_detached)
{
    tuo_tun_desc desc = zero_desc();
    static uint8_t frame[FRAME_MAX];
    tuo_vnet_hdr vnet;
    struct ifreq request;
    size_t len = 0;
    train *t;
    pair p;

    desc.multi_queue = 1;
    if (!ready() || !pair_open(&p, &desc, &desc))
        return;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_DETACH_QUEUE;
    t = new_train();
    train_flow(t, PKT_UDP4, 1001, 1, 100);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_EQ_INT(ioctl(tuo_tun_fd(p.b), TUNSETQUEUE, &request), 0);
    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_AGAIN);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, QUIET_MS), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_send(p.b, t->bufs[0].data + HEADROOM, t->bufs[0].len - HEADROOM), TUO_OK);
    request.ifr_flags = IFF_ATTACH_QUEUE;
    CHECK_EQ_INT(ioctl(tuo_tun_fd(p.b), TUNSETQUEUE, &request), 0);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_wait(p.b, 0, WAIT_MS), TUO_OK);
    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
    CHECK_EQ_INT(len, t->bufs[0].len - HEADROOM);
    pair_close(&p);
}

TEST(tap)
{
    tuo_tun_desc desc = zero_desc();
    tuo_tun_probe_report report;
    struct ifreq request;
    static uint8_t payload[4000], frame[FRAME_MAX];
    uint8_t ip[34] = {0}, tcp[20] = {0};
    tuo_iov piece = {payload, sizeof payload};
    tuo_tun_parts gso = {ip, sizeof ip, tcp, sizeof tcp, &piece, 1, 1000};
    tuo_tun *tap, *plain;
    pair p;
    size_t i, count = 0;
    int error;

    if (!ready())
        return;
    desc.tap = 1;
    tap = open_or_fail(&desc);
    desc = zero_desc();
    desc.no_vnet_hdr = 1;
    plain = open_or_fail(&desc);
    p.a = tap;
    p.b = plain;
    if (!tap || !plain || !side_up(tap, "10.1.255.1/16", "fd00:1::ffff/64") ||
        !side_up(plain, "10.2.255.1/16", "fd00:2::ffff/64"))
        return;
    CHECK_RESULT(tuo_tun_probe(tap, &report), TUO_E_UNSUPPORTED);
    set_request_name(&request, tuo_tun_name(tap));
    request = interface_ioctl(tuo_tun_name(tap), SIOCGIFHWADDR, request, &error);
    CHECK_EQ_INT(error, 0);
    memcpy(ip, request.ifr_hwaddr.sa_data, 6);
    ip[6] = 2;
    pkt_put16(ip + 12, 0x0800);
    memcpy(ip + 14, (const uint8_t[20]){0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5}, 20);
    memcpy(tcp, (const uint8_t[20]){0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0}, 20);
    CHECK_RESULT(tuo_tun_send_gso(tap, &gso), TUO_OK);
    for (i = 0; read_plain(plain, frame, QUIET_MS) == 1040; i++)
        CHECK_RESULT(tuo_csum_check(frame, 1040, 0), TUO_OK);
    CHECK_EQ_INT(i, 4);
    CHECK_EQ_INT(tun_stats_of(tap).tx.tx_superpackets, 1);
    trains[0].count = 0; /* a batch of frames */
    for (i = 0; i < 10; i++) {
        pkt_spec s = {.kind = PKT_TCP4, .src = 7, .dst = 5, .ethernet = 1, .seq = (uint32_t)(100 * i), .ip_id = (uint16_t)i};
        train_add(&trains[0], &s);
        memcpy(trains[0].bufs[i].data + HEADROOM, request.ifr_hwaddr.sa_data, 6);
    }
    CHECK_RESULT(train_send(&trains[0], tap), TUO_OK);
    while (read_plain(plain, frame, QUIET_MS) == 140)
        count++;
    CHECK_EQ_INT(count, 10);
    CHECK_EQ_INT(tun_stats_of(tap).tx.tx_superpackets, 2);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------------ fallback */

/* A refusing kernel: the packets arrive singly and in order; after three refusals the protocol is off, after 50 packets it is
   tried again, once; configure switches it on. */
TEST(refused_superpackets)
{
    static const int errnos[] = {EINVAL, EIO, EMSGSIZE};
    int kind, round;
    size_t e;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (e = 0; e < CHECK_COUNT_OF(errnos); e++) {
            pkt_kind k = (pkt_kind)kind, other = kind == PKT_TCP4 ? PKT_TCP6 : PKT_TCP4;
            tuo_tun_desc desc = zero_desc();
            tun_stats stats;
            pair p;

            check_row("%s, errno %d", kind_names[kind], errnos[e]);
            if (!ready())
                continue;
            if (pkt_is_udp(&(pkt_spec){.kind = k}) && !kernel_has_uso()) {
                check_skip("no UDP superpackets on this kernel");
                continue;
            }
            desc.retry_after = 50;
            if (!pair_open(&p, &desc, NULL))
                continue;
            filter.refuse = 1u << type_of_kind(k);
            filter.refuse_errno = errnos[e];
            for (round = 1; round <= 3; round++) {
                train *t = new_train();
                train_flow(t, k, 1001, 10, 700);
                send_and_check(&p, t);
                stats = tun_stats_of(p.a);
                CHECK_EQ_INT(stats.tx.tx_refused_superpackets, round);
                CHECK_EQ_INT(stats.tx.tx_resent_packets, 10 * round);
                CHECK_EQ_INT(stats.tx.tx_superpackets, 0);
                CHECK_EQ_INT(off_of_kind(&stats, k), round == 3);
            }
            CHECK_EQ_INT(stats.tx.switched_off, 1);
            CHECK_EQ_INT(stats.tx.tcp4_off + stats.tx.tcp6_off + stats.tx.udp_off, 1);
            for (round = 1; round <= 5; round++) { /* 10 packets each: the fifth is the 50th */
                train *t = new_train();
                train_flow(t, k, 1001, 5, 700);
                train_flow(t, other, 1001, 5, 700);
                send_and_check(&p, t);
                CHECK_EQ_INT(filter.superpackets, 3 + (unsigned)round); /* those of the other protocol */
            }
            stats = tun_stats_of(p.a);
            CHECK_EQ_INT(stats.tx.tx_superpackets, 5);
            CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 3);
            CHECK_EQ_INT(off_of_kind(&stats, k), 1);
            for (round = 0; round < 2; round++) {
                train *t = new_train(); /* tried again; one refusal is enough now */
                train_flow(t, k, 1001, 10, 700);
                send_and_check(&p, t);
                stats = tun_stats_of(p.a);
                CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 4);
                CHECK_EQ_INT(stats.tx.switched_off, 2);
                CHECK_EQ_INT(off_of_kind(&stats, k), 1);
            }
            CHECK_RESULT(tuo_tun_configure(p.a, &desc.gro), TUO_OK);
            stats = tun_stats_of(p.a);
            CHECK_EQ_INT(off_of_kind(&stats, k), 0);
            filter_off();
            for (round = 1; round <= 2; round++) {
                train *t = new_train();
                train_flow(t, k, 1001, 10, 700);
                send_and_check(&p, t);
                stats = tun_stats_of(p.a);
                CHECK_EQ_INT(stats.tx.tx_superpackets, 5 + round);
                CHECK_EQ_INT(off_of_kind(&stats, k), 0);
            }
            pair_close(&p);
        }
    }
}

/* Off, and the kernel has changed its mind: on again for good after retry_after packets. A taken superpacket forgets refusals. */
TEST(refusals_in_a_row)
{
    tuo_tun_desc desc = zero_desc();
    tun_stats stats;
    pair p;
    int round;

    desc.refusal_limit = 2;
    desc.retry_after = 20;
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    filter.refuse_errno = EINVAL;
    for (round = 0; round < 6; round++) { /* every other one: never two in a row */
        train *t = new_train();
        filter.refuse = round % 2 ? 1u << TUO_GSO_TCPV4 : 0;
        train_flow(t, PKT_TCP4, 1001, 5, 700);
        send_and_check(&p, t);
    }
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 3);
    CHECK_EQ_INT(stats.tx.switched_off, 0);
    filter.refuse = 1u << TUO_GSO_TCPV4; /* one more is the second in a row */
    train_flow(new_train(), PKT_TCP4, 1001, 5, 700);
    send_and_check(&p, &trains[0]);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tcp4_off, 1);
    filter_off();
    for (round = 0; round < 5; round++) {
        train_flow(new_train(), PKT_TCP4, 1001, 5, 700);
        send_and_check(&p, &trains[0]);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tcp4_off, round < 4);
    }
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.switched_off, 1);
    CHECK_EQ_INT(stats.tx.tx_superpackets, 4);
    pair_close(&p);
}

/* The kernel has no memory for a superpacket: its packets go singly. That is no refusal: nothing is switched off, and the next one goes
   whole. A refusal before it and one behind it are two in a row. */
TEST(no_memory_for_superpackets)
{
    static const int errnos[] = {ENOBUFS, ENOMEM};
    size_t e;
    int kind, round;

    for (e = 0; e < CHECK_COUNT_OF(errnos); e++) {
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            tuo_tun_desc desc = zero_desc();
            tun_stats stats;
            pair p;

            check_row("%s, %s", strerror(errnos[e]), kind_names[kind]);
            if (!ready())
                continue;
            if (pkt_is_udp(&(pkt_spec){.kind = (pkt_kind)kind}) && !kernel_has_uso()) {
                check_skip("no UDP superpackets on this kernel");
                continue;
            }
            desc.refusal_limit = 2;
            if (!pair_open(&p, &desc, NULL))
                continue;
            filter.refuse = 1u << type_of_kind((pkt_kind)kind);
            for (round = 1; round <= 6; round++) {
                filter.refuse_errno = round == 1 ? EINVAL : errnos[e];
                train_flow(new_train(), (pkt_kind)kind, 1001, 10, 700);
                send_and_check(&p, &trains[0]);
                stats = tun_stats_of(p.a);
                CHECK_EQ_INT(stats.tx.tx_refused_superpackets, round);
                CHECK_EQ_INT(stats.tx.tx_resent_packets, 10 * round);
                CHECK_EQ_INT(stats.tx.switched_off, 0);
                CHECK_EQ_INT(tun_info_of(p.a).tx_errno, filter.refuse_errno);
            }
            filter.refuse_errno = EINVAL;
            send_one(&p, (pkt_kind)kind, 1001, 10, 700);
            train_check_arrived(&trains[0], p.b);
            CHECK_EQ_INT(tun_stats_of(p.a).tx.switched_off, 1);
            CHECK_RESULT(tuo_tun_configure(p.a, &desc.gro), TUO_OK);
            filter_off();
            send_one(&p, (pkt_kind)kind, 1001, 10, 700);
            train_check_arrived(&trains[0], p.b);
            CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_superpackets, 1);
            pair_close(&p);
        }
    }
}

/* Nor for its first packet: the caller's buffers are held, and leave whole once there is memory; what was pushed is dropped and
   counted. */
TEST(no_memory_at_all)
{
    int pushed;

    for (pushed = 0; pushed < 2; pushed++) {
        size_t i, taken = 0;
        tun_stats stats;
        train *t;
        pair p;

        check_row("%s", pushed ? "pushed" : "in buffers");
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        t = new_train();
        train_flow(t, PKT_TCP4, 1001, 10, 700);
        filter.refuse = 1u << TUO_GSO_TCPV4;
        filter.refuse_errno = ENOBUFS;
        filter.fail_at = 2;
        filter.fail_errno = ENOBUFS;
        for (i = 0; i < t->count && pushed; i++)
            CHECK_RESULT(tuo_tun_push(p.a, t->bufs[i].data + HEADROOM, t->bufs[i].len - HEADROOM), TUO_OK);
        if (pushed)
            CHECK_RESULT(tuo_tun_flush(p.a), TUO_E_SYSTEM);
        else
            CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_E_SYSTEM);
        CHECK_EQ_INT(filter.writes, 2);
        CHECK_EQ_INT(taken, pushed ? 0 : 10);
        CHECK_EQ_INT(tuo_tun_held(p.a), !pushed);
        filter_off();
        CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
        stats = tun_stats_of(p.a);
        CHECK_EQ_INT(stats.tx.tx_dropped_error, pushed ? 10 : 0);
        CHECK_EQ_INT(stats.tx.tx_superpackets, !pushed);
        CHECK_EQ_INT(stats.tx.tx_refused_superpackets + stats.tx.switched_off, 0);
        if (pushed)
            t->count = 0;
        train_check_arrived(t, p.b);
        pair_close(&p);
    }
}

/* Writes that would block, and that are interrupted, at every Nth call; alone and in the middle of a resend. */
TEST(writes_that_block)
{
    static const struct {
        unsigned again, signals, refuse;
    } rows[] = {{2, 0, 0}, {3, 0, 0}, {7, 0, 0}, {0, 2, 0}, {2, 0, 0x3e}, {3, 0, 0x3e}, {5, 0, 0x3e}, {5, 3, 0x3e}, {2, 3, 0x02}};
    size_t i;
    int kind, round;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc desc = zero_desc();
        pair p;

        check_row("EAGAIN every %u, EINTR every %u, refused 0x%x", rows[i].again, rows[i].signals, rows[i].refuse);
        desc.refusal_limit = 1000;
        if (!ready() || !pair_open(&p, &desc, NULL))
            continue;
        filter.again_every = rows[i].again;
        filter.signal_every = rows[i].signals;
        filter.refuse = rows[i].refuse;
        filter.refuse_errno = EINVAL;
        for (round = 0; round < 10; round++) {
            train *t = new_train();
            for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
                train_flow(t, (pkt_kind)kind, 1001, 12, 300);
                train_flow(t, (pkt_kind)kind, 1002, 1, 90);
            }
            send_and_check(&p, t);
        }
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_again, filter.blocked);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 10 * 52);
        CHECK_EQ_INT(filter.blocked != 0, rows[i].again != 0);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_packets, 0);
        pair_close(&p);
    }
}

/* Nothing new goes out before what is held; nothing is taken while something is held; discard forgets it. */
TEST(held_packets)
{
    tuo_gro_desc gro;
    size_t taken = 9;
    train *t, *second = &trains[1];
    uint8_t frame[FRAME_MAX];
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    memset(&gro, 0, sizeof gro);
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 10, 700);
    second->count = 0;
    train_flow(second, PKT_TCP4, 1002, 10, 700);
    filter.again_every = 1;
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
    CHECK_EQ_INT(taken, 10);
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, second->pointers, second->count, HEADROOM, &taken), TUO_AGAIN);
    CHECK_EQ_INT(taken, 0);
    CHECK_RESULT(tuo_tun_send(p.a, second->bufs[0].data + HEADROOM, second->bufs[0].len - HEADROOM), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_AGAIN);
    CHECK_RESULT(tuo_tun_configure(p.a, &gro), TUO_E_INVALID);
    CHECK_EQ_INT(read_plain(p.b, frame, 0), 0);
    filter_off();
    CHECK_RESULT(tuo_tun_send(p.a, second->bufs[0].data + HEADROOM, second->bufs[0].len - HEADROOM), TUO_OK);
    second->count = 1;
    {
        size_t i;
        static uint8_t expected[PACKET_CAP];
        for (i = 0; i < 11; i++) { /* the held ones in front, across flows */
            size_t len = i < 10 ? train_expected(t, i, expected) : train_expected(second, 0, expected);
            if (CHECK_EQ_INT(read_plain(p.b, frame, WAIT_MS), len))
                CHECK_BYTES(frame, expected, len);
        }
    }
    filter.again_every = 1;
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, t->pointers, t->count, HEADROOM, &taken), TUO_AGAIN);
    tuo_tun_discard(p.a);
    filter_off();
    CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
    CHECK_EQ_INT(read_plain(p.b, frame, QUIET_MS), 0);
    memset(t->arrived, 0, sizeof t->arrived);
    send_and_check(&p, t);
    pair_close(&p);
}

/* Everything at random: what goes in comes out once and in order. */
TEST(random_faults)
{
    rng r;
    tuo_tun_desc desc = zero_desc();
    tun_stats stats;
    pair p;
    int round;

    desc.retry_after = 60;
    desc.gro.max_packets = 16; /* batches are drained in between */
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    r = rng_start("random_faults", 20240611);
    filter.dice = &r;
    for (round = 0; round < 300; round++) {
        train *t = new_train();
        unsigned flows = 1 + rng_below(&r, 8), f;
        for (f = 0; f < flows; f++)
            train_flow(t, (pkt_kind)rng_below(&r, PKT_KIND_COUNT), 2000 + (int)f, 1 + rng_below(&r, 20),
                       20 + (int)rng_below(&r, 1200));
        send_and_check(&p, t);
        if (check_state.failures)
            break;
    }
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_again, filter.blocked);
    CHECK(stats.tx.tx_refused_superpackets > 50);
    CHECK(stats.tx.switched_off > 5);
    CHECK_EQ_INT(stats.tx.tx_refused_packets, 0);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------------ send_gso */

enum { GSO_OPTIONS = 1, GSO_TIMESTAMPS = 2, GSO_EXTENSION = 4 };

static const struct gso_row {
    const char *name;
    pkt_kind kind;
    size_t len;
    uint16_t size;
    unsigned pieces, extra;
} gso_rows[] = {
    {"TCP4", PKT_TCP4, 5000, 1000, 1, 0},
    {"TCP6", PKT_TCP6, 5001, 1000, 3, 0},
    {"UDP4", PKT_UDP4, 4999, 1000, 2, 0},
    {"UDP6", PKT_UDP6, 5000, 999, 7, 0},
    {"TCP4 with options in both headers", PKT_TCP4, 3001, 700, 5, GSO_OPTIONS | GSO_TIMESTAMPS},
    {"UDP4 with IP options", PKT_UDP4, 3001, 700, 5, GSO_OPTIONS},
    {"TCP6 with an extension header", PKT_TCP6, 3001, 700, 5, GSO_EXTENSION},
    {"TCP4, largest", PKT_TCP4, 65495, 1400, 64, 0},
    {"TCP4, 1000 pieces", PKT_TCP4, 30000, 1400, 1000, 0},
    {"TCP4, one packet", PKT_TCP4, 1000, 1000, 2, 0},
    {"UDP6, one packet", PKT_UDP6, 10, 1000, 1, 0},
    {"UDP4, empty", PKT_UDP4, 0, 1000, 0, 0},
    {"TCP4, empty", PKT_TCP4, 0, 1000, 0, 0},
    {"TCP4, one byte more", PKT_TCP4, 1001, 1000, 1, 0},
    {"TCP6, tiny segments", PKT_TCP6, 100, 1, 1, 0},
    {"UDP4, more than 128 segments", PKT_UDP4, 300, 2, 1, 0},
};

static uint8_t gso_payload[65536];

static pkt_spec gso_spec(const struct gso_row *row, size_t at)
{
    static const uint8_t options[8] = {0x94, 4, 0, 0, 1, 1, 1, 1};
    static const uint8_t timestamps[12] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    size_t len = row->len - at < row->size ? row->len - at : row->size;
    pkt_spec s = {.kind = row->kind, .src = 7, .dst = 5, .seq = 0xfffff000u + (uint32_t)at};

    s.ip_id = (uint16_t)(65534 + at / row->size);
    s.payload_len = len ? (int32_t)len : PKT_ZERO;
    s.payload = gso_payload + at;
    s.tcp_flags = PKT_ACK | (at + len == row->len ? PKT_PSH : 0);
    if (row->extra & GSO_OPTIONS) {
        s.ip_options = options;
        s.ip_options_len = sizeof options;
    }
    if (row->extra & GSO_TIMESTAMPS) {
        s.tcp_options = timestamps;
        s.tcp_options_len = sizeof timestamps;
    }
    if (row->extra & GSO_EXTENSION)
        s.ext_chain = "D";
    return s;
}

/* The headers of a packet that has neither lengths nor checksums, and the payload in pieces. */
static tuo_result gso_send(tuo_tun *tun, const struct gso_row *row)
{
    static uint8_t headers[256 + 65536];
    static tuo_iov pieces[1000];
    pkt_spec s = gso_spec(row, 0);
    size_t l4 = pkt_l4_off(&s), payload = pkt_payload_off(&s), i, at = 0;
    tuo_tun_parts gso;

    s.tcp_flags = PKT_ACK | PKT_PSH;
    pkt_build(headers, sizeof headers, &s);
    pkt_put16(headers + (pkt_is_v6(&s) ? 4 : 2), 0);
    if (!pkt_is_v6(&s))
        pkt_put16(headers + 10, 0x1234);
    pkt_put16(headers + l4 + (pkt_is_udp(&s) ? 6 : 16), 0x5678);
    if (pkt_is_udp(&s))
        pkt_put16(headers + l4 + 4, 0);
    for (i = 0; i < row->pieces; i++) {
        pieces[i].base = gso_payload + at;
        pieces[i].len = i + 1 < row->pieces ? row->len / row->pieces : row->len - at;
        at += pieces[i].len;
    }
    gso.ip_header = headers;
    gso.ip_header_len = l4;
    gso.l4_header = headers + l4;
    gso.l4_header_len = payload - l4;
    gso.payload = pieces;
    gso.payload_count = row->pieces;
    gso.gso_size = row->size;
    return tuo_tun_send_gso(tun, &gso);
}

/* What comes out of b are the packets that pkt_build makes of the same fields. */
static void gso_check_arrived(const struct gso_row *row, tuo_tun *b)
{
    static uint8_t frame[FRAME_MAX], expected[FRAME_MAX];
    size_t at = 0;

    do {
        pkt_spec s = gso_spec(row, at);
        size_t len;
        s.ttl = 63;
        len = pkt_build(expected, sizeof expected, &s);
        if (!CHECK_EQ_INT(read_plain(b, frame, WAIT_MS), len))
            break;
        CHECK_BYTES(frame, expected, len);
        at += row->size;
    } while (at < row->len);
    CHECK_EQ_INT(read_plain(b, frame, 0), 0);
}

TEST(send_gso)
{
    enum { TAKEN, REFUSED, REFUSED_AND_BLOCKED, PLAIN, MODES };
    static const char *const names[MODES] = {"taken", "refused", "refused and blocked", "no vnet header"};
    size_t i;
    int mode;

    for (i = 0; i < CHECK_COUNT_OF(gso_rows); i++) {
        for (mode = 0; mode < MODES; mode++) {
            tuo_tun_desc desc = zero_desc();
            size_t k;
            int tries;
            pair p;

            check_row("%s, %s", gso_rows[i].name, names[mode]);
            desc.no_vnet_hdr = mode == PLAIN;
            desc.mtu = 65535; /* so that a packet of any size can stand alone */
            if (!ready() || !pair_open(&p, &desc, NULL))
                continue;
            for (k = 0; k < sizeof gso_payload; k++)
                gso_payload[k] = pkt_stream_byte(77, (uint32_t)k);
            filter.refuse = mode == REFUSED || mode == REFUSED_AND_BLOCKED ? 0x3e : 0;
            filter.refuse_errno = EINVAL;
            filter.again_every = mode == REFUSED_AND_BLOCKED ? 3 : 0;
            CHECK_RESULT(gso_send(p.a, &gso_rows[i]), TUO_OK);
            for (tries = 0; tries < 1000 && tuo_tun_flush(p.a) == TUO_AGAIN; tries++) {
            }
            gso_check_arrived(&gso_rows[i], p.b);
            CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 1);
            if (mode == REFUSED && gso_rows[i].len > gso_rows[i].size)
                CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_superpackets, 1);
            pair_close(&p);
        }
    }
}

/* A refused superpacket is resent in segments. An error on the first leaves it the caller's; behind that it is taken, and the
   next call goes on: whoever follows the results sends nothing twice. */
TEST(resend_interrupted)
{
    static const struct {
        const char *name;
        int refuse_errno;
        unsigned long fail_at; /* write 1 is the superpacket */
        int fail_errno;
        tuo_result result;
    } rows[] = {
        {"down at the first segment", EINVAL, 2, EIO, TUO_E_DOWN},
        {"no memory at the first segment", EINVAL, 2, ENOMEM, TUO_E_SYSTEM},
        {"down at the second segment", EINVAL, 3, EIO, TUO_OK},
        {"no memory at the last segment", EINVAL, 5, ENOMEM, TUO_OK},
        {"no memory for the superpacket", ENOBUFS, 0, 0, TUO_OK},
        {"no memory for the superpacket (ENOMEM)", ENOMEM, 0, 0, TUO_OK},
        {"no memory for either", ENOBUFS, 2, ENOBUFS, TUO_E_SYSTEM},
        {"no memory for the superpacket, then blocked", ENOBUFS, 2, EAGAIN, TUO_OK},
    };
    static uint8_t payload[4000], frame[FRAME_MAX];
    static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5};
    static const uint8_t tcp[20] = {0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0};
    const tuo_iov piece = {payload, sizeof payload};
    const tuo_tun_parts gso = {ip, sizeof ip, tcp, sizeof tcp, &piece, 1, 1000};
    size_t i, count;
    pair p;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        check_row("%s", rows[i].name);
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        filter.refuse = 1u << TUO_GSO_TCPV4;
        filter.refuse_errno = rows[i].refuse_errno;
        filter.fail_at = rows[i].fail_at;
        filter.fail_errno = rows[i].fail_errno;
        CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), rows[i].result);
        if (rows[i].result != TUO_OK)
            CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), TUO_OK); /* as a caller would */
        CHECK_RESULT(tuo_tun_flush(p.a), TUO_OK);
        for (count = 0; read_plain(p.b, frame, QUIET_MS); count++)
            CHECK_EQ_INT(pkt_get32(frame + 24), 1000 * count);
        CHECK_EQ_INT(count, 4);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 1);
        filter_off();
        pair_close(&p);
    }
}

TEST(send_gso_bad_parts)
{
    static uint8_t bytes[300], big[65535];
    static tuo_iov pieces[1023];
    uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5};
    uint8_t tcp[20] = {0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0};
    tuo_iov piece = {big, 2000};
    const tuo_tun_parts good = {ip, sizeof ip, tcp, sizeof tcp, &piece, 1, 1000};
    const pkt_spec routed = {.kind = PKT_TCP6, .ext_chain = "R"};
    tuo_tun_parts g;
    static uint8_t frame[FRAME_MAX];
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    g = good, g.gso_size = 0;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_INVALID);
    g = good, g.gso_size = 65535;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_INVALID);
    g = good, g.payload = pieces, g.payload_count = 1022;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_INVALID);
    g = good, g.ip_header = bytes, g.ip_header_len = 257;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_HEADER_TOO_LONG);
    g = good, g.l4_header = bytes, g.l4_header_len = 237;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_HEADER_TOO_LONG);
    g = good, g.ip_header_len = 19;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_TRUNCATED);
    g = good, g.ip_header_len = 0;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_TRUNCATED);
    g = good, g.l4_header_len = 19;
    CHECK(tuo_tun_send_gso(p.a, &g) < 0);
    g = good, g.l4_header_len = 8;
    CHECK(tuo_tun_send_gso(p.a, &g) < 0);
    g = good, g.l4_header = NULL, g.l4_header_len = 0;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_TRUNCATED);
    g = good, g.ip_header = NULL, g.ip_header_len = 0;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_TRUNCATED);
    CHECK_EQ_INT(pkt_build(bytes, sizeof bytes, &routed), 40 + 8 + 20 + 100);
    g = good, g.ip_header = bytes, g.ip_header_len = 48, g.l4_header = bytes + 48;
    bytes[40 + 3] = 1; /* segments left: the checksum covers another address than the header's */
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_VNET_PROTOCOL);
    memset(bytes, 0, sizeof bytes);
    g = good, g.ip_header = bytes;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_NOT_IP);
    g = good, piece.len = 65535;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_IP_LENGTH);
    piece.len = 65496;
    CHECK_RESULT(tuo_tun_send_gso(p.a, &g), TUO_E_IP_LENGTH);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, 0);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_writes, 0);
    CHECK_EQ_INT(read_plain(p.b, frame, 0), 0);
    pair_close(&p);
}

/* ------------------------------------------------------------------------------------------------------------ send_iov */

/* A superpacket is carried as it was read: device to device without a split. */
TEST(send_iov)
{
    static uint8_t frame[FRAME_MAX];
    static tuo_iov pieces[1024];
    tuo_vnet_hdr vnet;
    size_t len = 0, i;
    train *t;
    pair p, q;

    if (!ready() || !pair_open_for_reading(&p, 0, 0))
        return;
    t = new_train();
    train_flow(t, PKT_TCP4, 1001, 10, 900);
    CHECK_RESULT(train_send(t, p.a), TUO_OK);
    CHECK_RESULT(tuo_tun_recv(p.b, frame, sizeof frame, &vnet, &len), TUO_OK);
    CHECK_EQ_INT(vnet.gso_type, TUO_GSO_TCPV4);
    pair_close(&p);
    if (!pair_open(&q, NULL, NULL))
        return;
    for (i = 0; i < 1023; i++) {
        pieces[i].base = frame + i * 8;
        pieces[i].len = i < 1022 ? 8 : len - i * 8;
    }
    CHECK_RESULT(tuo_tun_send_iov(q.a, pieces, 1024, &vnet), TUO_E_INVALID);
    for (i = 0; i < 10; i++)
        t->specs[i].ttl = 63;
    for (i = 0; i < 2; i++) {
        size_t k;
        static uint8_t out[FRAME_MAX], expected[PACKET_CAP];
        filter.refuse = i ? 0x3e : 0;
        filter.refuse_errno = EMSGSIZE;
        CHECK_RESULT(tuo_tun_send_iov(q.a, pieces, 1023, &vnet), TUO_OK);
        for (k = 0; k < 10; k++) {
            pkt_spec s = t->specs[k];
            s.ttl = 62;
            if (CHECK_EQ_INT(read_plain(q.b, out, WAIT_MS), pkt_build(expected, sizeof expected, &s)))
                CHECK_BYTES(out, expected, pkt_len(&s));
        }
        CHECK_EQ_INT(read_plain(q.b, out, 0), 0);
    }
    CHECK_EQ_INT(tun_stats_of(q.a).tx.tx_superpackets, 1);
    CHECK_EQ_INT(tun_stats_of(q.a).tx.tx_refused_superpackets, 1);
    CHECK_EQ_INT(tun_stats_of(q.a).tx.tx_resent_packets, 10);
    filter_off();
    vnet.gso_size = 0; /* a header that fits no packet: refused by the kernel, and cannot be split */
    CHECK_RESULT(tuo_tun_send_iov(q.a, pieces, 1023, &vnet), TUO_E_VNET_GSO_SIZE);
    CHECK_EQ_INT(read_plain(q.b, frame, 0), 0);
    CHECK_RESULT(tuo_tun_flush(q.a), TUO_OK);
    pair_close(&q);
}

/* Where a superpacket is cut here, its checksums are verified before segments get new ones. */
TEST(send_iov_launders_no_checksum)
{
    const pkt_spec spec = {.kind = PKT_TCP4, .src = 7, .dst = 5, .payload_len = 1000};
    static const struct {
        const char *name;
        size_t wrong; /* byte */
        tuo_result result;
    } rows[] = {
        {"right", 0, TUO_OK},
        {"wrong payload", 50, TUO_E_L4_CSUM},
        {"wrong address", 15, TUO_E_IP_CSUM},
    };
    static uint8_t out[FRAME_MAX];
    uint8_t bytes[PACKET_CAP];
    tuo_vnet_hdr vnet;
    tuo_iov iov;
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_tun_desc plain = zero_desc();
        pair p;
        check_row("%s", rows[i].name);
        plain.no_vnet_hdr = 1;
        if (!ready() || !pair_open(&p, &plain, NULL))
            continue;
        memset(&vnet, 0, sizeof vnet);
        vnet.gso_type = TUO_GSO_TCPV4;
        vnet.gso_size = 100;
        iov.base = bytes;
        iov.len = pkt_build(bytes, sizeof bytes, &spec);
        if (rows[i].wrong)
            bytes[rows[i].wrong] ^= 1;
        CHECK_RESULT(tuo_tun_send_iov(p.a, &iov, 1, &vnet), rows[i].result);
        CHECK_EQ_INT(read_plain(p.b, out, 0) != 0, rows[i].result == TUO_OK);
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_packets, rows[i].result == TUO_OK);
        pair_close(&p);
    }
}

/* --- lengths of 0, as guests leave them to the device --- */

static tuo_vnet_hdr header_of(const pkt_spec *s, uint16_t gso_size)
{
    tuo_vnet_hdr vnet;

    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.gso_type = (uint8_t)type_of_kind(s->kind);
    vnet.gso_size = gso_size;
    vnet.csum_start = (uint16_t)pkt_l4_off(s);
    vnet.csum_offset = pkt_is_udp(s) ? 6 : 16;
    return vnet;
}

/* The packet in pieces: the first of `first` bytes, if it has so many, then of `each`. */
static size_t cut_in_pieces(const uint8_t *bytes, size_t len, size_t first, size_t each, tuo_iov *pieces)
{
    size_t count = 0, at, take;

    for (at = 0; at < len; at += take) {
        take = at ? each : first;
        if (take > len - at)
            take = len - at;
        pieces[count].base = bytes + at;
        pieces[count++].len = take;
    }
    return count;
}

/* What is written to a device that takes everything: one packet, without vnet header. */
static size_t written_packet(const tuo_tun *tun, const uint8_t **bytes)
{
    size_t len;

    memcpy(&len, filter.written, sizeof len);
    CHECK_EQ_INT(filter.written_len, sizeof len + len);
    filter.written_len = 0;
    *bytes = filter.written + sizeof len + tun_info_of(tun).vnet_hdr_len;
    return len - tun_info_of(tun).vnet_hdr_len;
}

typedef struct unfilled {
    const char *name;
    pkt_spec spec;
    size_t first, each; /* bytes of the pieces */
    int stays;          /* nothing is filled */
} unfilled;

static const unfilled unfilled_rows[] = {
    {"IPv6", {.kind = PKT_TCP6, .ip_len_zero = 1}, 60, 3000, 0},
    {"IPv4", {.kind = PKT_TCP4, .ip_len_zero = 1}, 9000, 0, 0},
    {"UDP", {.kind = PKT_UDP6, .ip_len_zero = 1, .udp_len = PKT_ZERO}, 48, 3000, 0},
    {"UDP over IPv4", {.kind = PKT_UDP4, .ip_len_zero = 1, .udp_len = PKT_ZERO}, 28, 3000, 0},
    {"UDP length only", {.kind = PKT_UDP4, .udp_len = PKT_ZERO}, 28, 3000, 0},
    {"IPv6 length of UDP only", {.kind = PKT_UDP6, .ip_len_zero = 1}, 48, 3000, 0},
    {"headers in pieces of 7 bytes", {.kind = PKT_TCP6, .ip_len_zero = 1, .ext_chain = "HDR"}, 7, 7, 0},
    {"a piece that ends with what is copied", {.kind = PKT_TCP6, .ip_len_zero = 1}, TUO_HEADER_MAX, 3000, 0},
    {"a frame", {.kind = PKT_TCP6, .ip_len_zero = 1, .vlan_count = 2}, 82, 3000, 0},
    {"a frame of UDP over IPv4", {.kind = PKT_UDP4, .ip_len_zero = 1, .udp_len = PKT_ZERO, .ethernet = 1}, 1, 100, 0},
    {"bytes behind the IP packet", {.kind = PKT_UDP4, .udp_len = PKT_ZERO, .trailer_len = 6}, 28, 3000, 0},
    {"bytes behind an IP packet with extension headers", {.kind = PKT_UDP6, .udp_len = PKT_ZERO, .trailer_len = 1, .ext_chain = "D"}, 70, 9, 0},
    {"nothing is missing", {.kind = PKT_UDP4}, 28, 3000, 1},
    {"no TCP or UDP", {.kind = PKT_TCP6, .ip_len_zero = 1, .proto = 50}, 60, 3000, 1},
    {"no IP packet", {.kind = PKT_TCP6, .ip_len_zero = 1, .ext_chain = "DDDDDDDDD"}, 60, 3000, 1},
};

/* The caller's bytes are left alone. */
TEST(send_iov_fills_lengths)
{
    static uint8_t bytes[9000], before[9000], wanted[9000], written[FRAME_MAX];
    static tuo_iov pieces[1024];
    size_t i, len, count;

    for (i = 0; i < CHECK_COUNT_OF(unfilled_rows); i++) {
        const unfilled *row = &unfilled_rows[i];
        pkt_spec s = row->spec, filled = row->spec;
        tuo_tun_desc desc = zero_desc();
        const uint8_t *out;
        tuo_vnet_hdr vnet;
        tuo_tun *tun;

        check_row("%s", row->name);
        desc.tap = (uint8_t)pkt_is_ethernet(&s);
        if (!ready() || !(tun = open_or_fail(&desc)))
            continue;
        filter.written = written;
        filter.written_room = sizeof written;
        s.payload_len = filled.payload_len = 5000;
        s.l4_csum_pseudo = filled.l4_csum_pseudo = 1;
        len = pkt_build(bytes, sizeof bytes, &s);
        memcpy(before, bytes, len);
        if (!row->stays) {
            filled.ip_len_zero = 0;
            filled.udp_len = 0;
        }
        CHECK_EQ_INT(pkt_build(wanted, sizeof wanted, &filled), len);
        vnet = header_of(&s, 1000);
        count = cut_in_pieces(bytes, len, row->first, row->each, pieces);
        CHECK_RESULT(tuo_tun_send_iov(tun, pieces, count, &vnet), TUO_OK);
        CHECK_EQ_INT(written_packet(tun, &out), len);
        CHECK_BYTES(out, wanted, len);
        CHECK_BYTES(bytes, before, len);
        CHECK_RESULT(tuo_tun_send_iov(tun, pieces, count, NULL), TUO_OK); /* without a GSO type: as it is */
        CHECK_EQ_INT(written_packet(tun, &out), len);
        CHECK_BYTES(out, before, len);
        tuo_tun_close(tun);
    }
}

/* One piece more than the caller's is written. */
TEST(send_iov_fills_lengths_of_many_pieces)
{
    static uint8_t bytes[3000], written[FRAME_MAX];
    static tuo_iov pieces[1024];
    const pkt_spec s = {.kind = PKT_TCP6, .ip_len_zero = 1, .payload_len = 2000, .l4_csum_pseudo = 1};
    const tuo_tun_desc desc = zero_desc();
    const tuo_vnet_hdr vnet = header_of(&s, 1000);
    const size_t len = pkt_build(bytes, sizeof bytes, &s);
    tuo_tun *tun;

    if (!ready() || !(tun = open_or_fail(&desc)))
        return;
    filter.written = written;
    filter.written_room = sizeof written;
    CHECK_EQ_INT(cut_in_pieces(bytes, len, len - 1022, 1, pieces), 1023);
    CHECK_RESULT(tuo_tun_send_iov(tun, pieces, 1023, &vnet), TUO_E_INVALID);
    CHECK_EQ_INT(filter.written_len, 0);
    CHECK_EQ_INT(cut_in_pieces(bytes, len, len - 1021, 1, pieces), 1022);
    CHECK_RESULT(tuo_tun_send_iov(tun, pieces, 1022, &vnet), TUO_OK);
    CHECK(filter.written_len > len);
    tuo_tun_close(tun);
}

/* Through the kernel of this machine, whole and refused. */
TEST(lengths_of_0_reach_the_other_side)
{
    int kind, refused;

    for (kind = 0; kind < 2 * PKT_KIND_COUNT; kind++) {
        static uint8_t bytes[4000], out[FRAME_MAX], wanted[4000];
        pkt_spec s = {.kind = (pkt_kind)(kind / 2), .src = 7, .dst = 5, .payload_len = 2000, .ip_len_zero = 1, .l4_csum_pseudo = 1};
        tuo_iov pieces[2];
        tuo_vnet_hdr vnet;
        size_t len, count, i;
        pair p;

        refused = kind % 2;
        check_row("%s, %s", kind_names[s.kind], refused ? "refused" : "taken");
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        filter.refuse = refused ? 0x3e : 0;
        filter.refuse_errno = EINVAL;
        s.udp_len = pkt_is_udp(&s) ? PKT_ZERO : 0;
        len = pkt_build(bytes, sizeof bytes, &s);
        vnet = header_of(&s, 1000);
        count = cut_in_pieces(bytes, len, 50, len, pieces);
        CHECK_RESULT(tuo_tun_send_iov(p.a, pieces, count, &vnet), TUO_OK);
        s.payload_len = 1000;
        s.ip_len_zero = s.l4_csum_pseudo = 0;
        s.udp_len = 0;
        s.ttl = 63;
        for (i = 0; i < 2; i++, s.ip_id++, s.seq += 1000) {
            s.payload = bytes + pkt_payload_off(&s) + i * 1000;
            len = pkt_build(wanted, sizeof wanted, &s);
            if (CHECK_EQ_INT(read_plain(p.b, out, WAIT_MS), len))
                CHECK_BYTES(out, wanted, len);
        }
        CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_superpackets, refused);
        pair_close(&p);
    }
}

/* Neither as it is nor finished here: the caller hears of it. */
TEST(send_iov_refused_either_way)
{
    uint8_t bytes[100] = {0};
    const tuo_iov iov = {bytes, sizeof bytes};
    tuo_vnet_hdr vnet;
    tun_stats stats;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.csum_start = 20;
    CHECK_RESULT(tuo_tun_send_iov(p.a, &iov, 1, &vnet), TUO_E_REFUSED);
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_packets, 0);
    CHECK_EQ_INT(stats.tx.tx_resent_packets, 0);
    CHECK_EQ_INT(stats.tx.tx_refused_packets, 1);
    pair_close(&p);
}

/* What the caller makes says nothing about what tuo_tun_send_batch makes. */
TEST(refusals_of_the_callers_superpackets)
{
    static uint8_t payload[129 * 10];
    uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 7, 10, 2, 0, 5};
    uint8_t udp[8] = {0x9c, 0x40, 1, 0xbb};
    const tuo_iov piece = {payload, sizeof payload};
    const tuo_tun_parts gso = {ip, sizeof ip, udp, sizeof udp, &piece, 1, 10}; /* more datagrams than any kernel takes */
    tun_stats stats;
    int i;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    for (i = 0; i < 4; i++)
        CHECK_RESULT(tuo_tun_send_gso(p.a, &gso), TUO_OK);
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 4);
    CHECK_EQ_INT(stats.tx.tx_resent_packets, 4 * 129);
    CHECK_EQ_INT(stats.tx.switched_off, 0);
    CHECK_EQ_INT(stats.tx.udp_off, 0);
    pair_close(&p);
}

/* More pieces than a writev takes are asked for; then superpackets are as large as it takes. */
TEST(more_pieces_than_a_writev_takes)
{
    enum { COUNT = 1500 };
    static uint8_t bytes[COUNT][64];
    static tuo_buf bufs[COUNT];
    static void *pointers[COUNT];
    tuo_tun_desc desc = zero_desc();
    tun_stats stats;
    size_t i, taken = 0;
    pair p;

    desc.gro.max_frags = 65535;
    desc.gro.max_packets = COUNT;
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    for (i = 0; i < COUNT; i++) {
        const pkt_spec spec = {.kind = PKT_TCP4, .src = 7, .dst = 5, .seq = (uint32_t)i * 8, .ip_id = (uint16_t)i, .payload_len = 8};
        bufs[i].data = bytes[i];
        bufs[i].len = pkt_build(bytes[i], sizeof bytes[i], &spec);
        bufs[i].capacity = sizeof bytes[i];
        pointers[i] = &bufs[i];
    }
    CHECK_RESULT(tuo_tun_send_batch(p.a, NULL, pointers, COUNT, 0, &taken), TUO_OK);
    stats = tun_stats_of(p.a);
    CHECK_EQ_INT(stats.tx.tx_superpackets, 2);
    CHECK_EQ_INT(stats.tx.tx_refused_superpackets, 0);
    CHECK_EQ_INT(stats.tx.tx_writes, 2);
    pair_close(&p);
}

/* A length that leaves out the headroom cuts the packet, or leaves nothing of it: counted. A packet that its sender cut looks the same
   if up to as many bytes are missing. */
TEST(headroom_left_out)
{
    static const struct {
        const char *name;
        pkt_kind kind;
        int tags, payload_len;
        size_t less; /* bytes that the length of the buffer is too short by; at most all of them */
        int counted;
    } rows[] = {
        {"right", PKT_TCP4, 0, 200, 0, 0},
        {"one byte missing", PKT_TCP4, 0, 200, 1, 1},
        {"forgotten", PKT_TCP4, 0, 200, HEADROOM, 1},
        {"more than the headroom missing", PKT_TCP4, 0, 200, HEADROOM + 1, 0},
        {"IPv6", PKT_UDP6, 0, 200, HEADROOM, 1},
        {"IPv6, more than the headroom missing", PKT_UDP6, 0, 200, HEADROOM + 1, 0},
        {"within the IPv4 header", PKT_UDP4, 0, 9, HEADROOM, 1},
        {"within the IPv6 header", PKT_UDP6, 0, 9, HEADROOM, 1},
        {"before the length field", PKT_UDP4, 0, 7, HEADROOM, 0},
        {"tagged frame", PKT_TCP4, 3, 200, HEADROOM, 1},
        {"tagged frame, right", PKT_TCP4, 3, 200, 0, 0},
        {"nothing left", PKT_UDP4, 0, 4, HEADROOM, 1},
        {"empty buffer", PKT_UDP4, 0, 4, 1000, 0},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        pkt_spec spec = {.kind = rows[i].kind, .payload_len = rows[i].payload_len};
        tuo_tun_desc desc = zero_desc();
        tuo_tun *tun;
        size_t taken = 0;
        train *t;
        int again;

        check_row("%s", rows[i].name);
        desc.tap = (uint8_t)(rows[i].tags != 0);
        desc.up = 1;
        if (!ready() || (tun = open_or_fail(&desc)) == NULL)
            continue;
        spec.ethernet = desc.tap;
        spec.vlan_count = (uint8_t)rows[i].tags;
        t = new_train();
        train_add(t, &spec);
        t->bufs[0].len -= rows[i].less < t->bufs[0].len ? rows[i].less : t->bufs[0].len;
        filter.again_every = 1;
        CHECK_RESULT(tuo_tun_send_batch(tun, NULL, t->pointers, 1, HEADROOM, &taken), t->bufs[0].len > HEADROOM ? TUO_AGAIN : TUO_OK);
        CHECK_EQ_INT(taken, 1);
        for (again = 0; again < 2; again++) { /* counted once, however often it is tried */
            CHECK_EQ_INT(tun_stats_of(tun).tx.headroom_short, rows[i].counted);
            filter_off();
            CHECK(tuo_tun_flush(tun) == TUO_OK);
        }
        tuo_tun_close(tun);
    }
}

/* Mistakes of the caller are no news of the device. */
TEST(callers_mistakes)
{
    uint8_t byte = 0x45;
    tuo_tun_desc desc = zero_desc();
    tuo_vnet_hdr vnet;
    size_t len;
    tuo_tun *tun;

    if (!ready() || (tun = open_or_fail(&desc)) == NULL)
        return;
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    CHECK_RESULT(tuo_tun_recv(tun, &byte, SIZE_MAX, &vnet, &len), TUO_E_INVALID);
    CHECK_RESULT(tuo_tun_recv(tun, &byte, ((size_t)1 << 30) + 1, &vnet, &len), TUO_E_INVALID);
    CHECK_EQ_INT(tun_stats_of(tun).rx.rx_refused, 0);
    CHECK_RESULT(tuo_tun_send(tun, (const void *)(uintptr_t)1, 100), TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(tun).tx_errno, EFAULT);
    tuo_tun_close(tun);
}

/* ------------------------------------------------------------------------------------------------------ probe and knobs */

TEST(probe)
{
    static const struct {
        const char *name;
        unsigned refuse, odd;
        size_t udp_above;
        tuo_tun_probe_report expected;
    } rows[] = {
        {"as it is", 0, 0, 0, {1, 1, 0, 0, 128, 128}},
        {"short tails of TCP4 refused", 0, 1u << TUO_GSO_TCPV4, 0, {0, 1, 1, 0, 128, 128}},
        {"short tails of TCP refused", 0, 1u << TUO_GSO_TCPV4 | 1u << TUO_GSO_TCPV6, 0, {0, 0, 1, 1, 128, 128}},
        {"TCP6 refused", 1u << TUO_GSO_TCPV6, 0, 0, {1, 0, 0, 0, 128, 128}},
        {"UDP refused", 1u << TUO_GSO_UDP_L4, 0, 0, {1, 1, 0, 0, 0, 0}},
        {"64 datagrams at most", 0, 0, 1500, {1, 1, 0, 0, 64, 64}},
        {"2 datagrams at most", 0, 0, 200, {1, 1, 0, 0, 2, 2}},
    };
    tuo_tun_probe_report report;
    static uint8_t frame[FRAME_MAX];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        pair p;

        check_row("%s", rows[i].name);
        if (!ready() || !pair_open(&p, NULL, NULL))
            continue;
        if (i == 0 && !kernel_has_uso()) {
            check_skip("no UDP superpackets on this kernel");
            pair_close(&p);
            continue;
        }
        filter.refuse = rows[i].refuse;
        filter.refuse_errno = EINVAL;
        filter.refuse_odd = rows[i].odd;
        filter.refuse_above = rows[i].udp_above;
        memset(&report, 0xff, sizeof report);
        CHECK_RESULT(tuo_tun_probe(p.a, &report), TUO_OK);
        CHECK_EQ_INT(report.tcp4, rows[i].expected.tcp4);
        CHECK_EQ_INT(report.tcp6, rows[i].expected.tcp6);
        CHECK_EQ_INT(report.tcp4_short_tail_refused, rows[i].expected.tcp4_short_tail_refused);
        CHECK_EQ_INT(report.tcp6_short_tail_refused, rows[i].expected.tcp6_short_tail_refused);
        CHECK_EQ_INT(report.udp4_segs, rows[i].expected.udp4_segs);
        CHECK_EQ_INT(report.udp6_segs, rows[i].expected.udp6_segs);
        CHECK_EQ_INT(read_plain(p.b, frame, QUIET_MS), 0); /* they reach nobody */
        CHECK_EQ_INT(read_plain(p.a, frame, 0), 0);        /* and are not answered */
        CHECK_EQ_INT(tun_stats_of(p.a).tx.switched_off + tun_stats_of(p.a).tx.tcp4_off, 0);
        pair_close(&p);
    }
}

TEST(probe_where_it_cannot)
{
    tuo_tun_probe_report report, before;
    pair p;

    if (!ready() || !pair_open(&p, NULL, NULL))
        return;
    memset(&report, 0xab, sizeof report);
    before = report;
    CHECK_RESULT(tuo_tun_probe(p.b, &report), TUO_E_UNSUPPORTED);
    CHECK_RESULT(tuo_tun_set_up(p.a, 0), TUO_OK);
    CHECK_RESULT(tuo_tun_probe(p.a, &report), TUO_E_DOWN);
    CHECK_BYTES(&report, &before, sizeof report);
    pair_close(&p);
}

/* Superpackets that a batch of this train is written as. */
static unsigned superpackets_of(pair *p, pkt_kind kind, size_t count, int payload_len)
{
    uint64_t before = tun_stats_of(p->a).tx.tx_superpackets;
    train *t = new_train();

    train_flow(t, kind, 1001, count, payload_len);
    send_and_check(p, t);
    return (unsigned)(tun_stats_of(p->a).tx.tx_superpackets - before);
}

TEST(knobs)
{
    static const struct {
        const char *name;
        pkt_kind kind;
        tuo_gro_desc gro;
        unsigned expected; /* superpackets of 24 packets of 1000 bytes */
    } rows[] = {
        {"TCP4 off", PKT_TCP4, {.disable_tcp4 = 1}, 0},
        {"TCP6 off", PKT_TCP6, {.disable_tcp6 = 1}, 0},
        {"UDP4 off", PKT_UDP4, {.disable_udp4 = 1}, 0},
        {"UDP6 off", PKT_UDP6, {.disable_udp6 = 1}, 0},
        {"UDP6 off does not concern UDP4", PKT_UDP4, {.disable_udp6 = 1}, 1},
        {"8 TCP segments", PKT_TCP4, {.max_segs = 8}, 3},
        {"8 datagrams", PKT_UDP6, {.max_udp_segs = 8}, 3},
        {"4040 bytes", PKT_TCP4, {.max_bytes = 4040}, 6},
        {"6 pieces", PKT_TCP6, {.max_frags = 6}, 4},
        {"excluded port", PKT_UDP4, {.udp_excluded_port_count = 2, .udp_excluded_ports = {9, 1001}}, 0},
        {"another port excluded", PKT_UDP4, {.udp_excluded_port_count = 1, .udp_excluded_ports = {1002}}, 1},
        {"strict kernel", PKT_TCP4, {.strict_kernel = 1}, 1},
    };
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        tuo_gro_desc zero, bad;
        pair p;

        check_row("%s", rows[i].name);
        if (!ready())
            continue;
        if (pkt_is_udp(&(pkt_spec){.kind = rows[i].kind}) && !kernel_has_uso()) {
            check_skip("no UDP superpackets on this kernel");
            continue;
        }
        if (!pair_open(&p, NULL, NULL))
            continue;
        memset(&zero, 0, sizeof zero);
        bad = rows[i].gro;
        bad.max_bytes = 70000;
        CHECK_EQ_INT(superpackets_of(&p, rows[i].kind, 24, 1000), 1);
        CHECK_RESULT(tuo_tun_configure(p.a, &bad), TUO_E_INVALID); /* changes nothing */
        CHECK_EQ_INT(superpackets_of(&p, rows[i].kind, 24, 1000), 1);
        CHECK_RESULT(tuo_tun_configure(p.a, &rows[i].gro), TUO_OK);
        CHECK_EQ_INT(superpackets_of(&p, rows[i].kind, 24, 1000), rows[i].expected);
        CHECK_RESULT(tuo_tun_configure(p.a, &zero), TUO_OK);
        CHECK_EQ_INT(superpackets_of(&p, rows[i].kind, 24, 1000), 1);
        pair_close(&p);
    }
}

/* A configuration that is refused changes nothing: what refusals switched off stays off. */
TEST(bad_configuration_keeps_refusals)
{
    tuo_tun_desc desc = zero_desc();
    tuo_gro_desc bad;
    pair p;

    desc.refusal_limit = 1;
    if (!ready() || !pair_open(&p, &desc, NULL))
        return;
    filter.refuse = 1u << TUO_GSO_TCPV4;
    filter.refuse_errno = EINVAL;
    CHECK_EQ_INT(superpackets_of(&p, PKT_TCP4, 5, 500), 0);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tcp4_off, 1);
    memset(&bad, 0, sizeof bad);
    bad.max_bytes = 1;
    CHECK_RESULT(tuo_tun_configure(p.a, &bad), TUO_E_INVALID);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tcp4_off, 1);
    CHECK_EQ_INT(superpackets_of(&p, PKT_TCP4, 5, 500), 0);
    CHECK_EQ_INT(tun_stats_of(p.a).tx.tx_refused_superpackets, 1);
    pair_close(&p);
}

int main(int argc, char **argv)
{
    int fd;
    static const check_test tests[] = {
        CHECK_ENTRY(sizes_of_the_backend),
        CHECK_ENTRY(open_names),
        CHECK_ENTRY(open_taken_names),
        CHECK_ENTRY(open_flags),
        CHECK_ENTRY(open_disabled_offloads),
        CHECK_ENTRY(open_stale_persistent_device),
        CHECK_ENTRY(open_existing_device_without_vnet_header),
        CHECK_ENTRY(interface_settings),
        CHECK_ENTRY(tap_address_is_usable_at_once),
        CHECK_ENTRY(address_texts),
        CHECK_ENTRY(owner_and_group),
        CHECK_ENTRY(descriptors_run_out),
        CHECK_ENTRY(failed_settings_leave_nothing_open),
        CHECK_ENTRY(adopt_changes_nothing),
        CHECK_ENTRY(adopt_what_is_no_tun),
        CHECK_ENTRY(adopt_with_settings),
        CHECK_ENTRY(adopt_from_another_namespace),
        CHECK_ENTRY(adopt_without_netlink),
        CHECK_ENTRY(adopt_where_the_namespace_is_secret),
        CHECK_ENTRY(adopted_blocking_descriptor),
        CHECK_ENTRY(close_waits_for_settings),
        CHECK_ENTRY(adopted_transfer),
        CHECK_ENTRY(queues),
        CHECK_ENTRY(queue_failures),
        CHECK_ENTRY(queue_of_a_renamed_device),
        CHECK_ENTRY(plain_queue_of_a_device_with_vnet_headers),
        CHECK_ENTRY(recv_sizes),
        CHECK_ENTRY(recv_iov),
        CHECK_ENTRY(recv_errnos),
        CHECK_ENTRY(a_device_that_hands_out_nothing),
        CHECK_ENTRY(recv_multiple_resumes),
        CHECK_ENTRY(recv_multiple_leaves_segments),
        CHECK_ENTRY(recv_multiple_of_contradictions),
        CHECK_ENTRY(recv_multiple_reads_whole_superpackets),
        CHECK_ENTRY(waiting_calls),
        CHECK_ENTRY(wait_times),
        CHECK_ENTRY(signal_storm),
        CHECK_ENTRY(send_what_is_no_packet),
        CHECK_ENTRY(send_small_packets),
        CHECK_ENTRY(send_batch),
        CHECK_ENTRY(send_batch_with_buffers_without_a_packet),
        CHECK_ENTRY(send_while_down),
        CHECK_ENTRY(device_deleted),
        CHECK_ENTRY(queue_detached),
        CHECK_ENTRY(tap),
        CHECK_ENTRY(refused_superpackets),
        CHECK_ENTRY(refusals_in_a_row),
        CHECK_ENTRY(no_memory_for_superpackets),
        CHECK_ENTRY(no_memory_at_all),
        CHECK_ENTRY(writes_that_block),
        CHECK_ENTRY(held_packets),
        CHECK_ENTRY(random_faults),
        CHECK_ENTRY(send_gso),
        CHECK_ENTRY(resend_interrupted),
        CHECK_ENTRY(send_gso_bad_parts),
        CHECK_ENTRY(send_iov),
        CHECK_ENTRY(send_iov_launders_no_checksum),
        CHECK_ENTRY(send_iov_fills_lengths),
        CHECK_ENTRY(send_iov_fills_lengths_of_many_pieces),
        CHECK_ENTRY(lengths_of_0_reach_the_other_side),
        CHECK_ENTRY(send_iov_refused_either_way),
        CHECK_ENTRY(refusals_of_the_callers_superpackets),
        CHECK_ENTRY(more_pieces_than_a_writev_takes),
        CHECK_ENTRY(headroom_left_out),
        CHECK_ENTRY(callers_mistakes),
        CHECK_ENTRY(probe),
        CHECK_ENTRY(probe_where_it_cannot),
        CHECK_ENTRY(knobs),
        CHECK_ENTRY(bad_configuration_keeps_refusals),
    };

    for (fd = 3; fd < 256; fd++)
        close(fd); /* inherited ones: descriptors_run_out counts */
    enter_namespace();
    return CHECK_RUN(argc, argv, tests);
}
