/* Each system call of opening, adopting, adding a queue and changing settings fails in turn, with each errno that it may have: once, and
   from then on. After each such run: a documented result; no descriptor, memory or device left; what the caller keeps is as it was; and
   after TUO_OK all that was asked for is so and packets pass both ways.
   A device takes 15 ms to go, which is waiting: so the runs of a scene are shared by several processes with a network namespace each. */
#define TUNOFFLOAD_TUN
#include "tun_calls.h"

#include "check.h"
#include "packets.h"
#include "netns.h"
#include "interfaces.h"
#include "tun_facts.h"
#include "tun_works.h"

#include <sys/wait.h>

enum {
    WORKERS = 24,
    TRACE_MAX = 512,
    ERRORS_MAX = 20,
    QUEUES = 3,
    EINTR_MAX = 8,       /* in a row: signals do not come for ever */
    ENDLESS = 100000,    /* failures that a call has not given up after */
    PATIENCE_S = 300,    /* of a worker: it waits for something that does not come */
    MTU = 1400, TX_QUEUE_LEN = 700, VNET_LEN = 12, OWNER = 1234, GROUP = 2345
};

/* ----------------------------------------------------------------------------------------------------------------- faults */

typedef enum fault_mode { ONCE, FROM_THEN_ON, ANSWER_LOST } fault_mode; /* lost: an answer of the kernel's, with an errno instead */
static const char *const mode_names[] = {"once", "from then on", "answer lost"};

static struct {
    int error;                /* 0: no fault */
    fault_mode mode;
    size_t at;                /* number of the call that fails */
    call victim;
    unsigned long met;
} fault;

static struct {
    size_t count;
    call calls[TRACE_MAX];
} trace;

static int packet_socket;

/* What each call may fail with. Denied calls (EPERM, ENOSYS and others) may be the doing of a seccomp filter. */
static const struct {
    call_kind kind;
    int errors[ERRORS_MAX]; /* 0 ends them */
} errors_of[] = {
    {CALL_OPEN, {EINTR, EMFILE, ENFILE, ENOMEM, EACCES, EPERM, ENOENT, ENODEV, ENXIO, EBUSY}},
    {CALL_CLOSE, {EINTR, EIO}},
    {CALL_FCNTL, {EINTR, EBADF, EINVAL, EPERM, EACCES}},
    {CALL_IOCTL, {EINTR, ENOMEM, EPERM, EACCES, EBUSY, EINVAL, ENOTTY, EOPNOTSUPP, ENODEV, EBADFD, ENOBUFS, EFAULT, EIO, ENOSYS}},
    {CALL_EVENTFD, {EMFILE, ENFILE, ENOMEM, ENODEV, EPERM, ENOSYS}},
    {CALL_FSTAT, {ENOMEM, EACCES, EPERM, EBADF}},
    {CALL_READ, {EINTR, EAGAIN, EIO}},
    {CALL_WRITE, {EINTR, EAGAIN, EIO}},
    {CALL_POLL, {EINTR, ENOMEM}},
    {CALL_SOCKET, {EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT, EINVAL, ENOSYS}},
    {CALL_BIND, {ENOMEM, EPERM, EADDRINUSE, EINVAL}},
    {CALL_SEND, {EINTR, EAGAIN, ENOBUFS, ENOMEM, EPERM, EACCES, ECONNREFUSED}},
    {CALL_RECV, {EINTR, EAGAIN, ENOBUFS, ENOMEM}},
    {CALL_GETSOCKOPT, {ENOPROTOOPT, EPERM, ENOMEM}},
    {CALL_SETSOCKOPT, {ENOPROTOOPT, EPERM, ENOMEM}},
    {CALL_GETSOCKNAME, {ENOBUFS, EPERM}},
    {CALL_RANDOM, {EINTR, EAGAIN, ENOSYS}},
    {CALL_MEMORY, {ENOMEM}},
};

static const int *errors_of_kind(call_kind kind)
{
    static const int none[ERRORS_MAX] = {0};
    size_t i = 0;

    while (i < CHECK_COUNT_OF(errors_of) && errors_of[i].kind != kind)
        i++;
    if (CHECK(i < CHECK_COUNT_OF(errors_of)))
        return errors_of[i].errors;
    printf("    %s can fail with what?\n", call_names[kind]);
    return none;
}

static const char *ioctl_name(unsigned long request)
{
    static const struct {
        unsigned long request;
        const char *name;
    } names[] = {
        {TUNSETIFF, "TUNSETIFF"}, {TUNGETIFF, "TUNGETIFF"}, {TUNSETOFFLOAD, "TUNSETOFFLOAD"}, {TUNGETVNETHDRSZ, "TUNGETVNETHDRSZ"},
        {TUNSETVNETHDRSZ, "TUNSETVNETHDRSZ"}, {TUNSETPERSIST, "TUNSETPERSIST"}, {TUNSETOWNER, "TUNSETOWNER"},
        {TUNSETGROUP, "TUNSETGROUP"}, {TUNGETVNETLE, "TUNGETVNETLE"}, {TUNGETVNETBE, "TUNGETVNETBE"}, {TUNGETFEATURES, "TUNGETFEATURES"},
        {SIOCGIFINDEX, "SIOCGIFINDEX"}, {SIOCGIFFLAGS, "SIOCGIFFLAGS"}, {SIOCGIFMTU, "SIOCGIFMTU"}, {SIOCGIFTXQLEN, "SIOCGIFTXQLEN"},
        {SIOCGIFADDR, "SIOCGIFADDR"}, {SIOCGIFNETMASK, "SIOCGIFNETMASK"}, {0x894c, "SIOCGSKNS"}, {0x54e3, "TUNGETDEVNETNS"},
    };
    static char number[32];
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(names); i++)
        if (names[i].request == request)
            return names[i].name;
    snprintf(number, sizeof number, "ioctl 0x%lx", request);
    return number;
}

static const char *call_name(const call *c)
{
    return c->kind == CALL_IOCTL ? ioctl_name(c->request) : call_names[c->kind];
}

static int is_hit(const call *c, size_t number)
{
    if (!fault.error || number < fault.at)
        return 0;
    if (fault.mode != FROM_THEN_ON)
        return number == fault.at;
    return c->kind == fault.victim.kind && c->request == fault.victim.request;
}

static int fail_the_victim(const call *c)
{
    size_t number = trace.count++;
    char answer[8192];

    if (number < TRACE_MAX)
        trace.calls[number] = *c;
    if (!is_hit(c, number) || (fault.error == EINTR && fault.met >= EINTR_MAX))
        return 0;
    if (++fault.met == ENDLESS) {
        printf("%s: %s: no end\n", check_state.row, call_name(c));
        exit(1);
    }
    if (fault.mode == ANSWER_LOST)
        (void)!recv(c->fd, answer, sizeof answer, MSG_DONTWAIT);
    return fault.error;
}

/* ----------------------------------------------------------------------------------------------------------------- scenes */

typedef enum act { OPEN, ADOPT, ADD_QUEUE, GROUP_OPEN, GROUP_ADOPT, SET_MTU, SET_UP, ADD_ADDRESS, SET_OFFLOADS } act;

typedef struct scene {
    act act;
    int every_errno;    /* 0: each call fails with a quarter of what it may fail with */
    const char *name;
    int prepared;       /* flags of the descriptor to adopt, or of a persistent device that is there before */
    tuo_tun_desc desc;  /* of the first queue, where there is one before */
} scene;

#define TUN_VNET (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)
#define SETTINGS .up = 1, .mtu = MTU, .tx_queue_len = TX_QUEUE_LEN, .address4 = "10.1.255.1/16", .address6 = "fd00:1::ffff/64"

static const scene scenes[] = {
    {OPEN, 0, "plain desc", 0, {.disable_offloads = 0}},
    {OPEN, 0, "persistent", 0, {.persist = 1, .set_owner = 1, .owner = OWNER, .set_group = 1, .group = GROUP}},
    {OPEN, 0, "tap", 0, {.tap = 1}},
    {OPEN, 0, "multi_queue", 0, {.multi_queue = 1}},
    {OPEN, 1, "settings", 0, {SETTINGS}},
    {OPEN, 0, "no_vnet_hdr", 0, {.no_vnet_hdr = 1}},
    {OPEN, 0, "a device that is there", TUN_VNET, {SETTINGS}},
    {OPEN, 0, "a device that is there, no_vnet_hdr", IFF_TUN | IFF_NO_PI, {.no_vnet_hdr = 1}},
    {OPEN, 0, "no_netlink", 0, {.no_netlink = 1}},
    {OPEN, 0, "multi_queue, a device that is there", TUN_VNET | IFF_MULTI_QUEUE, {.multi_queue = 1}},
    {OPEN, 0, "share", TUN_VNET | IFF_MULTI_QUEUE, {.multi_queue = 1, .share = 1}},
    {ADOPT, 0, "plain desc", TUN_VNET, {.disable_offloads = 0}},
    {ADOPT, 0, "borrowed", TUN_VNET, {.borrowed = 1}},
    {ADOPT, 0, "no vnet header", IFF_TUN | IFF_NO_PI, {.disable_offloads = 0}},
    {ADOPT, 1, "adopt_negotiate", TUN_VNET, {.adopt_negotiate = 1}},
    {ADOPT, 0, "adopt_negotiate, without UDP superpackets", TUN_VNET, {.adopt_negotiate = 1, .disable_offloads = TUO_TUN_USO}},
    {ADOPT, 0, "adopt_negotiate, settings", TUN_VNET, {.adopt_negotiate = 1, SETTINGS}},
    {ADOPT, 0, "tap, settings", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, {SETTINGS}},
    {ADD_QUEUE, 1, "plain desc", 0, {.multi_queue = 1}},
    {ADD_QUEUE, 0, "adopted", TUN_VNET | IFF_MULTI_QUEUE, {.disable_offloads = 0}},
    {GROUP_OPEN, 0, "plain desc", 0, {.disable_offloads = 0}},
    {GROUP_OPEN, 0, "settings", 0, {SETTINGS}},
    {GROUP_ADOPT, 0, "plain desc", TUN_VNET | IFF_MULTI_QUEUE, {.disable_offloads = 0}},
    {GROUP_ADOPT, 0, "adopt_negotiate, settings", TUN_VNET | IFF_MULTI_QUEUE, {.adopt_negotiate = 1, SETTINGS}},
    {SET_MTU, 1, "opened", 0, {.disable_offloads = 0}},
    {SET_MTU, 0, "adopted", TUN_VNET, {.disable_offloads = 0}},
    {SET_UP, 0, "opened", 0, {.disable_offloads = 0}},
    {ADD_ADDRESS, 0, "opened", 0, {.disable_offloads = 0}},
    {SET_OFFLOADS, 1, "opened", 0, {.disable_offloads = 0}},
};

static int is_setting(const scene *s)
{
    return s->act >= SET_MTU;
}

/* Sockets that a sandbox denies: then settings are not possible, and packets are. */
static int is_denied_socket(void)
{
    return fault.victim.kind == CALL_SOCKET && fault.error != EMFILE && fault.error != ENFILE && fault.error != ENOMEM &&
           fault.error != ENOBUFS;
}

static int is_unknown(int error)
{
    return error == EINVAL || error == ENOTTY || error == EOPNOTSUPP || error == ENOSYS;
}

/* An interface that is not here, or that the kernel does not know how to name. */
static int is_unknown_place(void)
{
    return fault.victim.request == SIOCGIFINDEX && (is_unknown(fault.error) || fault.error == ENODEV);
}

/* Without an answer of netlink it is not known who else has queues of a device that is there. */
static int may_be_shared(const scene *s)
{
    const call_kind kind = fault.victim.kind;

    return s->prepared && s->desc.multi_queue && (kind == CALL_SOCKET || kind == CALL_SEND || kind == CALL_RECV);
}

/* Is this a result of tunoffload.h for such a failed call? */
static int is_documented(const scene *s, tuo_result result)
{
    const int opens = s->act == OPEN || s->act == GROUP_OPEN;

    if (result == TUO_E_UNSUPPORTED)
        return !opens || fault.error == EOPNOTSUPP || is_denied_socket() || is_unknown_place();
    if (result == TUO_E_GONE)
        return (s->act == ADD_QUEUE || s->act == GROUP_OPEN || is_setting(s)) && fault.error == EBADFD;
    return result == TUO_OK || result == TUO_E_SYSTEM;
}

/* One run: what was there before, and what came of it. */
static struct {
    const scene *scene;
    char name[16];
    int fds[QUEUES];        /* the caller's, to adopt */
    size_t fd_count;
    int holder;             /* of another process, which shares the device; -1: none */
    tuo_tun *first;         /* add a queue to it, or change its settings */
    tuo_tun *queue;
    tuo_tun_group *group;
    int fds_before;
    long blocks_before;
    int error;
    tuo_tun_failure failure;
    tuo_result result;
} run;

/* A queue under test, 0 .. ; NULL: no more. The first one counts if it is the one that settings were made of. */
static tuo_tun *queue_at(size_t i)
{
    tuo_tun *both[2];

    if (run.group)
        return tuo_tun_group_queue(run.group, i);
    both[0] = run.first ? run.first : run.queue;
    both[1] = run.first ? run.queue : NULL;
    return i < CHECK_COUNT_OF(both) ? both[i] : NULL;
}

static size_t queue_list(tuo_tun **queues)
{
    size_t count = 0;

    while (count < QUEUES && (queues[count] = queue_at(count)) != NULL)
        count++;
    return count;
}

static int is_tap(void)
{
    return run.scene->desc.tap || run.scene->prepared & IFF_TAP;
}

/* A descriptor as another program leaves it. */
static int prepare_fd(int flags)
{
    int fd = raw_open(run.name, flags, O_NONBLOCK), len = VNET_LEN;

    if (CHECK(fd >= 0) && flags & IFF_VNET_HDR) {
        CHECK_EQ_INT(ioctl(fd, TUNSETVNETHDRSZ, &len), 0);
        CHECK_EQ_INT(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUO_TUN_CSUM | TUO_TUN_TSO4)), 0);
    }
    return fd;
}

static tuo_tun_desc desc_of_run(void)
{
    tuo_tun_desc desc = run.scene->desc;

    desc.name = run.name;
    desc.failure = &run.failure;
    return desc;
}

/* The first queue, opened or adopted, with nothing failing. */
static void prepare_first(void)
{
    tuo_tun_desc desc = desc_of_run();

    if (run.scene->prepared)
        CHECK_RESULT(tuo_tun_adopt(&run.first, prepare_fd(run.scene->prepared), &desc, NULL), TUO_OK);
    else
        CHECK_RESULT(tuo_tun_open(&run.first, &desc, NULL), TUO_OK);
}

static void prepare(const scene *s)
{
    memset(&run, 0, sizeof run);
    run.scene = s;
    run.holder = -1;
    snprintf(run.name, sizeof run.name, "tuof");
    switch (s->act) {
    case OPEN:
        if (s->prepared) {
            run.holder = prepare_fd(s->prepared);
            CHECK_EQ_INT(ioctl(run.holder, TUNSETPERSIST, 1ul), 0);
        }
        if (s->prepared && !s->desc.share) {
            close(run.holder);
            run.holder = -1;
        }
        break;
    case GROUP_OPEN: break;
    case ADOPT:
    case GROUP_ADOPT:
        while (run.fd_count < (s->act == ADOPT ? 1 : QUEUES))
            run.fds[run.fd_count++] = prepare_fd(s->prepared);
        break;
    case ADD_QUEUE:
    case SET_MTU:
    case SET_UP:
    case ADD_ADDRESS:
    case SET_OFFLOADS: prepare_first(); break;
    }
    run.fds_before = fd_count();
    run.blocks_before = calls_blocks;
    run.error = -1;
}

static tuo_result perform(void)
{
    tuo_tun_desc desc = desc_of_run();

    switch (run.scene->act) {
    case OPEN: return tuo_tun_open(&run.queue, &desc, &run.error);
    case ADOPT: return tuo_tun_adopt(&run.queue, run.fds[0], &desc, &run.error);
    case ADD_QUEUE: return tuo_tun_add_queue(run.first, &run.queue, &run.error);
    case GROUP_OPEN: return tuo_tun_group_open(&run.group, &desc, QUEUES, &run.error);
    case GROUP_ADOPT: return tuo_tun_group_adopt(&run.group, run.fds, run.fd_count, &desc, &run.error);
    case SET_MTU: return tuo_tun_set_mtu(run.first, MTU);
    case SET_UP: return tuo_tun_set_up(run.first, 1);
    case ADD_ADDRESS: return tuo_tun_add_address(run.first, "10.1.255.1/16");
    case SET_OFFLOADS: return tuo_tun_set_offloads(run.first, TUO_TUN_CSUM);
    }
    return TUO_E_INVALID;
}

/* ----------------------------------------------------------------------------------------------------------------- judging */

/* What the desc of an opened or adopted queue asks for, or what was set, is so. */
static void check_settings(void)
{
    const tuo_tun_desc *const desc = &run.scene->desc;
    const act a = run.scene->act;
    int error;

    if (desc->mtu || a == SET_MTU)
        CHECK_EQ_INT(interface_mtu(run.name), MTU);
    if (desc->up || a == SET_UP)
        CHECK(interface_flags(run.name) & IFF_UP);
    if (desc->tx_queue_len)
        CHECK_EQ_INT(interface_ask(run.name, SIOCGIFTXQLEN, &error).ifr_qlen, TX_QUEUE_LEN);
    if (desc->address4 || a == ADD_ADDRESS)
        CHECK(has_address(run.name, AF_INET, "10.1.255.1"));
    if (desc->address6)
        CHECK(has_address(run.name, AF_INET6, "fd00:1::ffff"));
    if (desc->set_owner)
        CHECK_EQ_INT(interface_tun_fact(run.name, TUN_OWNER), OWNER);
    if (desc->set_group)
        CHECK_EQ_INT(interface_tun_fact(run.name, TUN_GROUP), GROUP);
    if (run.scene->act == OPEN)
        CHECK_EQ_INT((get_flags(tuo_tun_fd(run.queue)) & IFF_PERSIST) != 0, desc->persist || run.scene->prepared);
}

/* The queue says of itself what the kernel says of it. */
static void check_queue(const tuo_tun *queue)
{
    const tuo_tun_info info = tun_info_of(queue);
    const int fd = tuo_tun_fd(queue), flags = get_flags(fd);

    CHECK_EQ_STR(tuo_tun_name(queue), run.name);
    CHECK_EQ_INT((flags & IFF_TAP) != 0, is_tap());
    CHECK_EQ_INT((flags & IFF_VNET_HDR) != 0, info.vnet_hdr_len != 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (info.vnet_hdr_len)
        CHECK_EQ_INT(get_vnet_len(fd), info.vnet_hdr_len);
    if (run.scene->desc.share || (run.fd_count && !run.scene->desc.adopt_negotiate) || (run.first && run.scene->prepared))
        return; /* the kernel does not tell which offloads there are */
    CHECK_EQ_INT(interface_feature(run.name, ETHTOOL_GTXCSUM), (info.offloads & TUO_TUN_CSUM) != 0);
    CHECK_EQ_INT(interface_feature(run.name, ETHTOOL_GTSO), (info.offloads & (TUO_TUN_TSO4 | TUO_TUN_TSO6)) != 0);
}

/* Nothing of an earlier request is taken for the answer to a later one. mtu: not so yet. */
static void check_answers(tuo_tun *queue, int mtu)
{
    const tuo_result refused = tuo_tun_set_mtu(queue, 70000);

    if (refused == TUO_E_UNSUPPORTED) { /* opened or adopted where rtnetlink is denied */
        CHECK_RESULT(tuo_tun_set_mtu(queue, (uint32_t)mtu), TUO_E_UNSUPPORTED);
        return;
    }
    CHECK_RESULT(refused, TUO_E_SYSTEM);
    CHECK_EQ_INT(tun_info_of(queue).tx_errno, EINVAL);
    CHECK_RESULT(tuo_tun_set_mtu(queue, (uint32_t)mtu), TUO_OK);
    CHECK_EQ_INT(interface_mtu(run.name), mtu);
    CHECK_RESULT(tuo_tun_set_up(queue, 0), TUO_OK);
    CHECK(!(interface_flags(run.name) & IFF_UP));
}

/* Everything works, of what there is now. */
static void check_work(void)
{
    tuo_tun *queues[QUEUES + 1];
    size_t i, count = queue_list(queues);

    if (!CHECK(count > 0))
        return;
    if (get_flags(tuo_tun_fd(queues[0])) & IFF_MULTI_QUEUE)
        CHECK_EQ_INT(interface_tun_fact(run.name, TUN_NUM_QUEUES), count + (run.holder >= 0));
    for (i = 0; i < count; i++)
        check_queue(queues[i]);
    for (i = 0; i < count; i++)
        check_answers(queues[i], 1300 + (int)i);
    CHECK_EQ_INT(interface_set_up(run.name, 1), 0);
    tun_works(queues, count, is_tap(), peer_at(packet_socket, run.name));
}

static void check_ok(void)
{
    if (!is_setting(run.scene))
        CHECK_EQ_INT(run.error, 0);
    CHECK_EQ_INT(run.failure.step, TUO_TUN_STEP_NONE);
    CHECK_EQ_STR(run.failure.text, "");
    check_settings();
    check_work();
}

/* What belongs to the caller is as it was. */
static void check_fd(int fd)
{
    CHECK_EQ_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    if (!(run.scene->prepared & IFF_VNET_HDR))
        return;
    CHECK_EQ_INT(get_vnet_len(fd), VNET_LEN);
    CHECK_EQ_INT(interface_feature(run.name, ETHTOOL_GTXCSUM), 1);
    CHECK_EQ_INT(interface_feature(run.name, ETHTOOL_GTSO), 1);
}

static void check_failure(void)
{
    const scene *const s = run.scene;
    size_t i;

    CHECK(run.queue == NULL && run.group == NULL);
    if (!is_setting(s) && s->act != ADD_QUEUE) {
        CHECK(run.failure.step != TUO_TUN_STEP_NONE && run.failure.text[0] != 0);
        CHECK_EQ_INT(run.failure.error, run.error);
    }
    CHECK_EQ_INT(fd_count(), run.fds_before);
    CHECK_EQ_INT(calls_blocks, run.blocks_before);
    if (run.result == TUO_E_SYSTEM && !is_setting(s) && !(run.error == EBUSY && may_be_shared(s)))
        CHECK_EQ_INT(run.error, fault.error);
    if (run.result == TUO_E_SYSTEM && is_setting(s))
        CHECK_EQ_INT(tun_info_of(run.first).tx_errno, fault.error);
    for (i = 0; i < run.fd_count; i++)
        check_fd(run.fds[i]);
    if ((s->act == OPEN && !s->desc.persist && !s->prepared) || s->act == GROUP_OPEN)
        CHECK(!interface_exists(run.name));
    if (run.first) {
        check_work(); /* the caller goes on with it */
    } else if (run.fd_count) {
        tuo_tun_desc desc = desc_of_run();
        desc.borrowed = 1;
        CHECK_RESULT(tuo_tun_adopt(&run.queue, run.fds[0], &desc, NULL), TUO_OK); /* there is another attempt */
        tuo_tun_close(run.queue);
    }
}

static void finish_run(void)
{
    const int adopted = run.result == TUO_OK && run.fd_count && !run.scene->desc.borrowed;
    const int closed = adopted ? (int)run.fd_count : 0;
    size_t i;

    tuo_tun_group_close(run.group);
    if (run.result == TUO_OK)
        tuo_tun_close(run.queue);
    CHECK_EQ_INT(fd_count(), run.fds_before - closed);
    CHECK_EQ_INT(calls_blocks, run.blocks_before);
    tuo_tun_close(run.first);
    if (run.holder >= 0)
        close(run.holder);
    for (i = 0; !adopted && i < run.fd_count; i++)
        CHECK_EQ_INT(close(run.fds[i]), 0);
    if (interface_exists(run.name) && CHECK(run.scene->desc.persist || (run.scene->act == OPEN && run.scene->prepared)))
        interface_delete(run.name);
}

static void run_scene(const scene *s)
{
    prepare(s);
    trace.count = 0;
    fault.met = 0;
    call_hook = fail_the_victim;
    run.result = perform();
    call_hook = NULL;
    if (!CHECK(is_documented(s, run.result)))
        printf("    result %s, errno %d\n", tuo_result_name(run.result), run.error);
    if (run.result == TUO_OK)
        check_ok();
    else
        check_failure();
    finish_run();
}

/* ----------------------------------------------------------------------------------------------------------------- workers */

/* An ioctl that the kernel does not know fails each time, and a device has then what it has by itself. EINVAL of TUNSETOFFLOAD may
   also refuse one set of offloads. */
static int is_possible(const scene *s, const call *victim, unsigned occurrence, int error, fault_mode mode)
{
    if (victim->kind != CALL_IOCTL)
        return 1;
    if (victim->request == TUNSETOFFLOAD && s->desc.disable_offloads & TUO_TUN_USO && occurrence == 2)
        return 0; /* a set that was taken before the question for UDP superpackets */
    if (!is_unknown(error))
        return 1;
    if (victim->request == TUNSETOFFLOAD && error == EINVAL && mode == ONCE)
        return 1;
    if (victim->request != TUNSETOFFLOAD && victim->request != TUNGETVNETHDRSZ && victim->request != TUNSETVNETHDRSZ)
        return 1;
    return mode == FROM_THEN_ON && occurrence == 0 && !s->prepared;
}

/* What a scene does when nothing fails. */
typedef struct plan {
    const scene *scene;
    size_t count;
    call calls[TRACE_MAX];
} plan;

/* How often the same call was made before. */
static unsigned occurrence_of(const plan *p, size_t at)
{
    unsigned before = 0;
    size_t i;

    for (i = 0; i < at; i++)
        before += p->calls[i].kind == p->calls[at].kind && p->calls[i].request == p->calls[at].request;
    return before;
}

/* A fault, if it is this worker's; they are dealt out in turn. */
static void run_fault(const plan *p, size_t at, int error, fault_mode mode, unsigned mine)
{
    static unsigned number;

    if (!is_possible(p->scene, &p->calls[at], occurrence_of(p, at), error, mode) || number++ % WORKERS != mine)
        return;
    check_row("%s: %s (call %u of %u): %s, %s", p->scene->name, call_name(&p->calls[at]), (unsigned)at + 1, (unsigned)p->count,
              strerror(error), mode_names[mode]);
    fault.error = error;
    fault.mode = mode;
    fault.at = at;
    fault.victim = p->calls[at];
    run_scene(p->scene);
}

/* All faults of a scene: each call, each errno, each mode. Scenes that resemble others, and calls that were made twice before, are
   given a part of the errnos, in turn. */
static void run_faults(const scene *s, unsigned mine)
{
    static plan p;
    size_t at, k;

    fault.error = 0;
    check_row("%s: nothing fails", s->name);
    run_scene(s);
    p.scene = s;
    p.count = trace.count;
    memcpy(p.calls, trace.calls, sizeof p.calls);
    if (!CHECK(run.result == TUO_OK && p.count > 0 && p.count < TRACE_MAX))
        return;
    for (at = 0; at < p.count; at++) {
        const int *errors = errors_of_kind(p.calls[at].kind);
        const int is_repeated = occurrence_of(&p, at) >= 2;
        const size_t step = (s->every_errno ? 1u : 4u) * (is_repeated ? 8u : 1u);
        for (k = at % step; k < ERRORS_MAX && errors[k]; k += step) {
            run_fault(&p, at, errors[k], ONCE, mine);
            if (!is_repeated)
                run_fault(&p, at, errors[k], FROM_THEN_ON, mine);
            if (p.calls[at].kind == CALL_RECV && errors[k] == ENOBUFS)
                run_fault(&p, at, errors[k], ANSWER_LOST, mine);
        }
    }
}

/* In a process of its own: its counts go to the parent. */
static void run_worker(act from, act to, unsigned mine, int counts)
{
    unsigned sums[2];
    size_t i;

    alarm(PATIENCE_S);
    check_state.passed = check_state.failed = 0;
    netns_enter();
    put_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1\n");
    packet_socket = peer_open();
    for (i = 0; i < CHECK_COUNT_OF(scenes); i++)
        if (scenes[i].act >= from && scenes[i].act <= to)
            run_faults(&scenes[i], mine);
    check_close_case(1);
    sums[0] = check_state.passed;
    sums[1] = check_state.failed;
    exit(write(counts, sums, sizeof sums) != (ssize_t)sizeof sums);
}

static void run_act(act from, act to)
{
    unsigned i, counts[2], passed = 0, failed = 0;
    int ends[2], status;

    if (!netns_ready() || !CHECK_EQ_INT(pipe(ends), 0))
        return;
    fflush(stdout);
    for (i = 0; i < WORKERS; i++)
        if (fork() == 0)
            run_worker(from, to, i, ends[1]);
    close(ends[1]);
    while (read(ends[0], counts, sizeof counts) == (ssize_t)sizeof counts) {
        passed += counts[0];
        failed += counts[1];
    }
    close(ends[0]);
    for (i = 0; i < WORKERS; i++) {
        CHECK(wait(&status) > 0);
        CHECK_EQ_INT(status, 0);
    }
    check_state.passed += passed;
    check_state.failed += failed;
}

TEST(opening) { run_act(OPEN, OPEN); }
TEST(adopting) { run_act(ADOPT, ADOPT); }
TEST(adding_a_queue) { run_act(ADD_QUEUE, ADD_QUEUE); }
TEST(groups) { run_act(GROUP_OPEN, GROUP_ADOPT); }
TEST(settings) { run_act(SET_MTU, SET_OFFLOADS); }

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(opening),
        CHECK_ENTRY(adopting),
        CHECK_ENTRY(adding_a_queue),
        CHECK_ENTRY(groups),
        CHECK_ENTRY(settings),
    };

    netns_enter();
    return CHECK_RUN(argc, argv, tests);
}
