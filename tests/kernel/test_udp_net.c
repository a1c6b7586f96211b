/* The UDP socket (>>linux-udp) against the kernel of this machine: two network namespaces joined by a veth pair, with and without
   offloads, several MTUs; peers that are dead, blackholed, or on a narrower path; a source address that is removed; a queue that is
   full. Needs root, ip, tc and ethtool. test_udp.c has what no kernel does at will. U numbers: tests/kernel-rules.md. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, setns */
#endif
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "netns.h"
#include "asleep.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { FARS = 64, PUSHED = 4000 };

static const char *no_net;   /* why nothing can be tested here */
static int here = -1, there = -1; /* the namespaces: of the sender, of its peers */
static pid_t holder;         /* a process that is in the second one until it is killed */

static int ready(void)
{
    no_tun = no_net;
    return netns_ready();
}

CHECK_PRINTF(1, 2) static int shell(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return system(line);
}

static int namespace_of(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/ns/net", (long)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void go(int namespace)
{
    CHECK_EQ_INT(setns(namespace, CLONE_NEWNET), 0);
}

/* Fails in silence: what does not work is found out by the tests. */
CHECK_PRINTF(2, 3) static void run_in(int namespace, const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    go(namespace);
    CHECK_EQ_INT(shell("{ %s; } > /dev/null 2>&1", line), 0);
    go(here);
}

/* The holder of the second namespace says by a byte that it is there. */
static int start_holder(void)
{
    int pair[2];
    char byte;

    if (pipe(pair) != 0 || (holder = fork()) < 0)
        return 0;
    if (holder == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) != 0 || write(pair[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pair[1]);
    if (read(pair[0], &byte, 1) != 1)
        return 0;
    close(pair[0]);
    there = namespace_of(holder);
    return there >= 0;
}

static void enter(void)
{
    cpu_set_t one;
    int i;

    if (shell("ip -V > /dev/null 2>&1 && tc -V > /dev/null 2>&1 && ethtool --version > /dev/null 2>&1") != 0)
        no_net = "no ip, tc or ethtool";
    else if (unshare(CLONE_NEWNET) != 0)
        no_net = "no right to make a network namespace";
    else if (!start_holder())
        no_net = "no second network namespace";
    if (no_net)
        return;
    here = namespace_of(getpid());
    CPU_ZERO(&one); /* queues of several processors would change the order */
    CPU_SET(sched_getcpu() < 0 ? 0u : (unsigned)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    put_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0\n");
    if (shell("ip link add va address 02:00:00:00:00:0a type veth peer name vb address 02:00:00:00:00:0b netns %ld && ip link set lo up && "
              "ip addr add 10.9.0.1/24 dev va && ip addr add 2001:db8:9::1/64 dev va nodad && ip link set va up && "
              "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:0b dev va && ip neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:0b dev va",
              (long)holder) != 0)
        no_net = "no veth pair";
    if (no_net)
        return;
    run_in(there, "ip link set lo up && ip addr add 10.9.0.2/24 dev vb && ip addr add 2001:db8:9::2/64 dev vb nodad && ip link set vb up");
    for (i = 0; i < 2; i++)
        run_in(there, "ip neigh add %s lladdr 02:00:00:00:00:0a dev vb && ip neigh add %s lladdr 02:00:00:00:00:0a dev vb",
               i ? "10.9.0.77" : "10.9.0.1", i ? "2001:db8:9::77" : "2001:db8:9::1");
    wait_for_address6("2001:db8:9::1/64");
    go(there);
    wait_for_address6("2001:db8:9::2/64");
    go(here);
}

static void leave(void)
{
    if (holder > 0) {
        kill(holder, SIGKILL);
        waitpid(holder, NULL, 0);
    }
}

/* -------------------------------------------------------------------------------------------------------- sockets */

typedef enum family { IP4, IP6, MAPPED } family;
static const char *const family_names[] = {"IPv4", "IPv6", "v4-mapped"};

static tuo_udp_peer address_of(family f, const char *ip4, const char *ip6, unsigned port)
{
    tuo_udp_peer peer;
    char mapped[64];

    memset(&peer, 0, sizeof peer);
    if (f == IP4) {
        peer.addr.ip4.sin_family = AF_INET;
        peer.addr.ip4.sin_port = htons((uint16_t)port);
        CHECK_EQ_INT(inet_pton(AF_INET, ip4, &peer.addr.ip4.sin_addr), 1);
    } else {
        snprintf(mapped, sizeof mapped, "::ffff:%s", ip4);
        peer.addr.ip6.sin6_family = AF_INET6;
        peer.addr.ip6.sin6_port = htons((uint16_t)port);
        CHECK_EQ_INT(inet_pton(AF_INET6, f == IP6 ? ip6 : mapped, &peer.addr.ip6.sin6_addr), 1);
    }
    return peer;
}

static void set_local(tuo_udp_peer *peer, const char *text)
{
    CHECK_EQ_INT(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &peer->local), 1);
}

static tuo_udp *open_at(int namespace, family f, unsigned port, const tuo_udp_desc *desc)
{
    tuo_udp_peer any = address_of(f == IP4 ? IP4 : IP6, "0.0.0.0", "::", port);
    tuo_udp *udp = NULL;
    int error = 0;

    go(namespace);
    if (!CHECK_RESULT(tuo_udp_open(&udp, &any.addr.any, desc, &error), TUO_OK))
        printf("    errno %d\n", error);
    go(here);
    return udp;
}

static tuo_udp_tx_stats tx_stats(const tuo_udp *udp)
{
    tuo_udp_tx_stats stats;

    tuo_udp_query_tx_stats(udp, &stats);
    return stats;
}

static tuo_udp_rx_stats rx_stats(const tuo_udp *udp)
{
    tuo_udp_rx_stats stats;

    tuo_udp_query_rx_stats(udp, &stats);
    return stats;
}

/* -------------------------------------------------------------------------------------------------------- traffic */

/* What was pushed to each far socket, in order; number tells datagrams of a length apart. */
typedef struct far_end {
    tuo_udp *udp;
    size_t lens[PUSHED];
    unsigned pushed, got;
} far_end;

static far_end fars[FARS];
static unsigned far_count;
enum { PORT = 20000 };

static void open_fars_in(int namespace, family f, unsigned count)
{
    unsigned i;

    far_count = count;
    for (i = 0; i < count; i++) {
        fars[i].udp = open_at(namespace, f, PORT + i, NULL);
        fars[i].pushed = fars[i].got = 0;
    }
}

static void open_fars(family f, unsigned count)
{
    open_fars_in(there, f, count);
}

static void close_fars(void)
{
    while (far_count)
        tuo_udp_close(fars[--far_count].udp);
}

static uint8_t content(unsigned far, unsigned number, size_t at)
{
    return (uint8_t)(far * 59 + number * 31 + at * 7 + (at >> 8));
}

static void push(tuo_udp *udp, tuo_udp_peer peer, unsigned far, size_t len)
{
    static uint8_t bytes[65507];
    far_end *e = &fars[far];
    size_t i;

    if (peer.addr.any.sa_family == AF_INET)
        peer.addr.ip4.sin_port = htons((uint16_t)(PORT + far));
    else
        peer.addr.ip6.sin6_port = htons((uint16_t)(PORT + far));
    for (i = 0; i < len; i++)
        bytes[i] = content(far, e->pushed, i);
    CHECK_RESULT(tuo_udp_push(udp, &peer, bytes, len, NULL), TUO_OK);
    e->lens[e->pushed++] = len;
}

/* Each datagram once, whole, in order. Returns how many are missing. */
static unsigned read_fars(void)
{
    unsigned i, missing = 0;

    for (i = 0; i < far_count; i++) {
        far_end *e = &fars[i];
        tuo_udp_datagram d;
        tuo_result result;
        size_t at;
        while ((result = tuo_udp_next(e->udp, &d)) == TUO_OK || result == TUO_MORE) {
            if (result == TUO_MORE)
                continue;
            if (!CHECK(e->got < e->pushed) || !CHECK_EQ_INT(d.len, e->lens[e->got]))
                break;
            for (at = 0; at < d.len && d.data[at] == content(i, e->got, at); at++) {
            }
            CHECK_EQ_INT(at, d.len);
            e->got++;
        }
        missing += e->pushed - e->got;
    }
    return missing;
}

static unsigned read_fars_within(int ms)
{
    unsigned missing = read_fars();

    for (; missing && ms > 0; ms -= 2) {
        (void)poll(NULL, 0, 2);
        missing = read_fars();
    }
    return missing;
}

static void check_counters(tuo_udp *udp)
{
    const tuo_udp_tx_stats s = tx_stats(udp);

    CHECK_EQ_INT(s.tx_in_trains + s.tx_singles + s.tx_lost, s.tx_datagrams);
}

/* Runs of equal lengths with tails, and single ones, up to longest. */
static void exchange(tuo_udp *udp, const tuo_udp_peer *peer, size_t longest, rng *dice)
{
    unsigned round, run, n;

    for (round = 0; round < 12; round++) {
        for (run = 0; run < 12; run++) {
            const unsigned far = rng_below(dice, far_count), count = rng_chance(dice, 1, 2) ? 1 : 1 + rng_below(dice, 40);
            size_t len = rng_below(dice, (uint32_t)longest + 1);
            if (rng_chance(dice, 1, 3))
                len = longest;
            if (rng_chance(dice, 1, 8))
                len = 0;
            for (n = 0; n < (len > 10000 ? 1 : count); n++)
                push(udp, *peer, far, n + 1 == count && count > 1 ? len / 2 : len);
        }
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        (void)read_fars();
    }
    CHECK_EQ_INT(read_fars_within(500), 0);
    check_counters(udp);
    CHECK_EQ_INT(tx_stats(udp).tx_lost, 0);
}

static uint64_t trains_received(void)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < far_count; i++)
        sum += rx_stats(fars[i].udp).rx_trains;
    return sum;
}

TEST(every_datagram_once_and_in_order)
{
    static const unsigned mtus[] = {1280, 1500, 9000}, peers[] = {1, 2, 64};
    static const char *const offloads[] = {"tx on gso on tx-udp-segmentation on", "tx-udp-segmentation off", "tx off"};
    rng dice = rng_start("every_datagram_once_and_in_order", 1);
    size_t m, o, p, f;

    if (!ready())
        return;
    for (m = 0; m < CHECK_COUNT_OF(mtus); m++)
        for (o = 0; o < CHECK_COUNT_OF(offloads); o++) {
            run_in(here, "ip link set va mtu %u && ethtool -K va tx on gso on tx-udp-segmentation on && ethtool -K va %s", mtus[m], offloads[o]);
            run_in(there, "ip link set vb mtu %u", mtus[m]);
            for (f = IP4; f <= MAPPED; f++) {
                const size_t fits = mtus[m] - (f == IP6 ? 48 : 28);
                tuo_udp_desc desc = {0};
                const tuo_udp_peer to = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
                tuo_udp *udp;
                p = (m + o + f) % 3;
                check_row("%s, MTU %u, %s, %u peers", family_names[f], mtus[m], offloads[o], peers[p]);
                open_fars((family)f == MAPPED ? IP6 : (family)f, peers[p]);
                udp = open_at(here, (family)f, 0, NULL);
                exchange(udp, &to, fits, &dice);
                if (o < 2 || kernel_is_since(6, 12)) { /* before, EIO without checksum offload: U 1.12 */
                    CHECK_EQ_INT(tx_stats(udp).tx_refused_trains, 0);
                    CHECK(tx_stats(udp).tx_in_trains > 300);
                }
                if (o == 0 && kernel_is_since(6, 1)) /* uncut: U 2.3 */
                    CHECK_EQ_INT(trains_received(), tx_stats(udp).tx_trains);
                tuo_udp_close(udp);
                if (o == 0) { /* and in fragments, as the kernel makes them without DF: U 1.19 */
                    desc.df = TUO_UDP_DF_KERNEL;
                    udp = open_at(here, (family)f, 0, &desc);
                    exchange(udp, &to, 65507, &dice);
                    tuo_udp_close(udp);
                }
                close_fars();
            }
        }
    run_in(here, "ip link set va mtu 1500 && ethtool -K va tx on gso on tx-udp-segmentation on");
    run_in(there, "ip link set vb mtu 1500");
}

/* Over loopback, up to the longest datagram in one piece. */
TEST(loopback)
{
    static const unsigned mtus[] = {1280, 1500, 9000, 65536}, peers[] = {1, 2, 64};
    rng dice = rng_start("loopback", 1);
    size_t m, f;

    if (!ready())
        return;
    for (m = 0; m < CHECK_COUNT_OF(mtus); m++)
        for (f = IP4; f <= MAPPED; f++) {
            const size_t headers = f == IP6 ? 48 : 28, fits = mtus[m] - headers < 65507 ? mtus[m] - headers : 65507;
            const tuo_udp_peer to = address_of((family)f, "127.0.0.1", "::1", 0);
            const unsigned count = peers[(m + f) % 3];
            tuo_udp_desc desc = {0};
            int fragments;

            check_row("%s, MTU %u, %u peers", family_names[f], mtus[m], count);
            run_in(here, "ip link set lo mtu %u", mtus[m]);
            open_fars_in(here, f == MAPPED ? IP6 : (family)f, count);
            for (fragments = 0; fragments < 2; fragments++) {
                tuo_udp *udp;
                desc.df = fragments ? TUO_UDP_DF_KERNEL : TUO_UDP_DF_SET;
                udp = open_at(here, (family)f, 0, &desc);
                exchange(udp, &to, fragments ? 65507 : fits, &dice);
                if (!fragments && kernel_is_since(6, 1)) { /* uncut: U 2.3 */
                    CHECK(fits > 10000 || tx_stats(udp).tx_in_trains > 300);
                    CHECK_EQ_INT(tx_stats(udp).tx_refused_trains, 0);
                    CHECK_EQ_INT(trains_received(), tx_stats(udp).tx_trains);
                }
                tuo_udp_close(udp);
            }
            close_fars();
        }
}

/* U 2.3, U 5 1, U 5 2: trains of 128 datagrams arrive as such, and an empty datagram between them ends nothing. */
TEST(trains_of_128)
{
    size_t f;
    unsigned i;

    if (!ready())
        return;
    for (f = IP4; f <= MAPPED; f++) {
        const tuo_udp_peer to = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
        tuo_udp_desc desc = {0};
        tuo_udp *udp;

        check_row("%s", family_names[f]);
        desc.limits.max_segs = 128;
        open_fars(f == IP4 ? IP4 : IP6, 1);
        udp = open_at(here, (family)f, 0, &desc);
        for (i = 0; i < 257; i++)
            push(udp, to, 0, i == 128 ? 0 : 100);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_EQ_INT(read_fars_within(200), 0);
        CHECK_EQ_INT(rx_stats(fars[0].udp).rx_datagrams, 257);
        if (kernel_is_since(6, 1)) {
            CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 256);
            CHECK_EQ_INT(rx_stats(fars[0].udp).rx_messages, 3);
        }
        tuo_udp_close(udp);
        close_fars();
    }
}

/* ------------------------------------------------------------------------------------------------ peers in trouble */

static unsigned collect_lost(tuo_udp *udp, int error, int or_error)
{
    tuo_udp_lost lost;
    unsigned count = 0;

    while (tuo_udp_next_lost(udp, &lost) == TUO_OK) {
        CHECK_EQ_INT(lost.error, lost.error == or_error ? or_error : error);
        count++;
    }
    return count;
}

static void push_other(tuo_udp *udp, const tuo_udp_peer *peer, size_t len)
{
    static const uint8_t bytes[2000] = {0};

    CHECK_RESULT(tuo_udp_push(udp, peer, bytes, len, NULL), TUO_OK);
}

/* U 1.33, U 1.35, U 3.1, U 5 3: what one peer gets is nothing to the others. */
TEST(unreachable_peers)
{
    static const struct {
        const char *name, *route4, *route6;
        int error4, error6;
    } rows[] = {
        {"dead port", NULL, NULL, 0, 0},
        {"blackhole", "blackhole 10.66.0.0/24", "blackhole 2001:db8:66::/64", EINVAL, EINVAL},
        {"unreachable", "unreachable 10.66.0.0/24", "unreachable 2001:db8:66::/64", EHOSTUNREACH, EHOSTUNREACH},
        {"prohibit", "prohibit 10.66.0.0/24", "prohibit 2001:db8:66::/64", EACCES, EACCES},
        {"no route", NULL, NULL, ENETUNREACH, ENETUNREACH},
    };
    size_t r, f;
    unsigned i;

    if (!ready())
        return;
    for (r = 0; r < CHECK_COUNT_OF(rows); r++)
        for (f = IP4; f <= MAPPED; f++) {
            const int error = f == IP6 ? rows[r].error6 : rows[r].error4;
            const tuo_udp_peer good = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
            const tuo_udp_peer bad = r == 0 ? address_of((family)f, "10.9.0.2", "2001:db8:9::2", 9)
                                            : address_of((family)f, "10.66.0.1", "2001:db8:66::1", 9);
            tuo_udp *udp;
            check_row("%s, %s", rows[r].name, family_names[f]);
            if (rows[r].route4)
                run_in(here, "ip %s route add %s", f == IP6 ? "-6" : "-4", f == IP6 ? rows[r].route6 : rows[r].route4);
            open_fars(f == IP4 ? IP4 : IP6, 2);
            udp = open_at(here, (family)f, 0, NULL);
            for (i = 0; i < 60; i++) {
                push(udp, good, i % 2, 800);
                push_other(udp, &bad, 700);
            }
            CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
            CHECK_EQ_INT(read_fars_within(200), 0);
            CHECK_EQ_INT(collect_lost(udp, error, error), error ? 60 : 0);
            CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
            CHECK_EQ_INT(tx_stats(udp).tx_in_trains, error ? 60 : 120);
            CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 0);
            check_counters(udp);
            tuo_udp_close(udp);
            close_fars();
            if (rows[r].route4)
                run_in(here, "ip %s route del %s", f == IP6 ? "-6" : "-4", f == IP6 ? rows[r].route6 : rows[r].route4);
        }
}

/* U 1.34: a source address that the host has lost. U 2.7: what is received says where an answer leaves from. */
TEST(local_addresses)
{
    size_t f;
    unsigned i;

    if (!ready())
        return;
    for (f = IP4; f <= MAPPED; f++) {
        static const char *const second[] = {"10.9.0.77", "2001:db8:9::77", "::ffff:10.9.0.77"};
        static const char *const device_address[] = {"10.9.0.77/24", "2001:db8:9::77/64", "10.9.0.77/24"};
        tuo_udp_peer to = address_of((family)f, "10.9.0.2", "2001:db8:9::2", PORT), expected;
        tuo_udp_datagram d = {0};
        tuo_udp_tx_stats before;
        tuo_udp *udp, *far;
        check_row("%s, there", family_names[f]);
        run_in(here, "ip addr add %s dev va %s", device_address[f], f == IP6 ? "nodad" : "");
        if (f == IP6)
            wait_for_address6(device_address[f]);
        udp = open_at(here, (family)f, 0, NULL);
        far = open_at(there, f == IP4 ? IP4 : IP6, PORT, NULL);
        set_local(&to, second[f]);
        to.tos = 0xb9;
        expected = to;
        expected.addr = address_of((family)f, "10.9.0.77", "2001:db8:9::77", 0).addr;
        for (i = 0; i < 10; i++)
            push_other(udp, &to, 500);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_RESULT(tuo_udp_wait(far, 0, 500), TUO_OK);
        if (!CHECK_RESULT(tuo_udp_next(far, &d), TUO_OK))
            return;
        if (f == IP4) {
            CHECK_BYTES(&d.peer->addr.ip4.sin_addr, &expected.addr.ip4.sin_addr, 4);
        } else {
            CHECK_BYTES(&d.peer->addr.ip6.sin6_addr, &expected.addr.ip6.sin6_addr, 16);
        }
        CHECK_EQ_INT(d.peer->tos, 0xb9);
        expected = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
        CHECK_BYTES(&d.peer->local, f == IP4 ? (const void *)&expected.addr.ip4.sin_addr : (const void *)&expected.addr.ip6.sin6_addr,
                    f == IP4 ? 4 : 16);
        expected = *d.peer;
        push_other(far, &expected, 7); /* the answer */
        CHECK_RESULT(tuo_udp_flush(far), TUO_OK);
        CHECK_RESULT(tuo_udp_wait(udp, 0, 500), TUO_OK);
        if (!CHECK_RESULT(tuo_udp_next(udp, &d), TUO_OK))
            return;
        CHECK_EQ_INT(d.len, 7);
        CHECK_BYTES(&d.peer->local, &to.local, f == IP4 ? 4 : 16);
        before = tx_stats(udp);
        CHECK_EQ_INT(before.tx_local_gone, 0);

        check_row("%s, gone", family_names[f]);
        run_in(here, "ip addr del %s dev va", device_address[f]);
        for (i = 0; i < 10; i++)
            push_other(udp, &to, 500);
        push_other(udp, &to, 600);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_EQ_INT(tx_stats(udp).tx_local_gone, 11);
        CHECK_EQ_INT(tx_stats(udp).tx_lost + tx_stats(udp).switched_off, 0);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, before.tx_in_trains + 10);
        check_counters(udp);
        tuo_udp_close(udp);
        tuo_udp_close(far);
    }
}

/* A socket of another namespace: the kernel would be asked about the wrong routes. */
TEST(mtu_of_another_namespace)
{
    tuo_udp_peer to = address_of(IP4, "10.9.0.2", "::", PORT);
    uint32_t mtu = 7;
    tuo_udp *far;

    if (!ready())
        return;
    far = open_at(there, IP4, PORT, NULL);
    CHECK_RESULT(tuo_udp_mtu(far, &to, &mtu), TUO_E_UNSUPPORTED);
    CHECK_EQ_INT(mtu, 7);
    go(there);
    CHECK_RESULT(tuo_udp_mtu(far, &to, &mtu), TUO_OK);
    go(here);
    tuo_udp_close(far);
}

/* The routes that the socket's mark and its device choose are those that the kernel is asked about. */
TEST(mtu_of_a_mark_and_of_a_device)
{
    const tuo_udp_peer to = address_of(IP4, "10.9.0.2", "::", PORT);
    const int mark = 7;
    uint32_t mtu = 0;
    tuo_udp *udp;

    if (!ready())
        return;
    run_in(here, "ip link add vx mtu 1400 type veth peer name vy && ip link set vy up && ip link set vx up && "
                 "ip route add 10.9.0.2/32 dev vx && ip rule add fwmark 7 table 77 && ip route add 10.9.0.0/24 dev va mtu 1350 table 77");
    udp = open_at(here, IP4, 0, NULL);
    CHECK_RESULT(tuo_udp_mtu(udp, &to, &mtu), TUO_OK);
    CHECK_EQ_INT(mtu, 1400);
    CHECK_EQ_INT(setsockopt(tuo_udp_fd(udp), SOL_SOCKET, SO_BINDTODEVICE, "va", 2), 0);
    CHECK_RESULT(tuo_udp_mtu(udp, &to, &mtu), TUO_OK);
    CHECK_EQ_INT(mtu, 1500);
    CHECK_EQ_INT(setsockopt(tuo_udp_fd(udp), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    CHECK_RESULT(tuo_udp_mtu(udp, &to, &mtu), TUO_OK);
    CHECK_EQ_INT(mtu, 1350);
    tuo_udp_close(udp);
    run_in(here, "ip link del vx && ip rule del fwmark 7 && ip route flush table 77");
}

/* U 1.5, U 1.19, U 3.7: to two peers, whose paths differ. */
TEST(a_path_that_shrinks)
{
    size_t f;
    unsigned i;

    if (!ready())
        return;
    for (f = IP4; f <= MAPPED; f++) {
        const char *route = f == IP6 ? "-6 route %s 2001:db8:9::2/128 dev va mtu 1300" : "route %s 10.9.0.2/32 dev va mtu 1300";
        const char *other_route = f == IP6 ? "-6 route %s 2001:db8:9::4/128 dev va mtu 1350" : "route %s 10.9.0.4/32 dev va mtu 1350";
        const tuo_udp_peer to = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 9);
        const tuo_udp_peer other = address_of((family)f, "10.9.0.4", "2001:db8:9::4", 9);
        tuo_udp_desc desc = {0};
        tuo_udp_lost lost;
        tuo_udp *udp;
        uint32_t mtu = 0;
        char line[128];
        check_row("%s, DF", family_names[f]);
        open_fars(f == IP4 ? IP4 : IP6, 1);
        udp = open_at(here, (family)f, 0, NULL);
        CHECK_RESULT(tuo_udp_mtu(udp, &to, &mtu), TUO_OK);
        CHECK_EQ_INT(mtu, 1500);
        snprintf(line, sizeof line, route, "add");
        run_in(here, "ip %s", line);
        snprintf(line, sizeof line, other_route, "add");
        run_in(here, "ip %s", line);
        CHECK_RESULT(tuo_udp_mtu(udp, &to, &mtu), TUO_OK);
        CHECK_EQ_INT(mtu, 1300);
        for (i = 0; i < 40; i++)
            push_other(udp, i % 4 ? &to : &other, 1400);
        for (i = 0; i < 20; i++)
            push(udp, to, 0, 1200);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 20);
        CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
        for (i = 0; tuo_udp_next_lost(udp, &lost) == TUO_OK; i++) {
            CHECK_EQ_INT(lost.error, EMSGSIZE);
            CHECK_EQ_INT(lost.mtu, tuo_udp_same_addr(&lost.peer, &to) ? 1300 : 1350);
            CHECK_EQ_INT(lost.len, 1400);
        }
        CHECK_EQ_INT(i, 40);
        CHECK_EQ_INT(read_fars_within(200), 0);
        tuo_udp_close(udp);
        snprintf(line, sizeof line, other_route, "del");
        run_in(here, "ip %s", line);

        check_row("%s, fragments", family_names[f]);
        desc.df = TUO_UDP_DF_KERNEL;
        udp = open_at(here, (family)f, 0, &desc);
        for (i = 0; i < 20; i++)
            push(udp, to, 0, 1400);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_EQ_INT(read_fars_within(200), 0);
        CHECK_EQ_INT(tx_stats(udp).tx_resent, 20);
        CHECK_EQ_INT(tx_stats(udp).switched_off, 1);
        check_counters(udp);
        tuo_udp_close(udp);
        snprintf(line, sizeof line, route, "del");
        run_in(here, "ip %s", line);
        close_fars();
    }
}

/* The path behind the other namespace takes 1300 bytes. */
static void narrow_path(void)
{
    run_in(there, "ip link add vc address 02:00:00:00:00:0c type veth peer name vd && ip link set vc mtu 1300 up && ip link set vd up && "
                  "ip addr add 10.77.0.1/24 dev vc && ip addr add 2001:db8:77::1/64 dev vc nodad");
    run_in(there, "ip neigh add 10.77.0.9 lladdr 02:00:00:00:00:0d dev vc && ip neigh add 2001:db8:77::9 lladdr 02:00:00:00:00:0d dev vc && "
                  "echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    go(there);
    wait_for_address6("2001:db8:77::1/64");
    go(here);
    run_in(here, "ip route add 10.77.0.0/24 via 10.9.0.2 && ip -6 route add 2001:db8:77::/64 via 2001:db8:9::2");
}

/* U 1.17, U 1.21, U 5 5: a router refuses a train, which has DF. The kernel learns of it, and the next train is lost with the path MTU. */
TEST(a_path_mtu_that_a_router_tells)
{
    size_t f;
    unsigned i, tries;

    if (!ready())
        return;
    narrow_path();
    for (f = IP4; f <= MAPPED; f++) {
        const tuo_udp_peer good = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
        const tuo_udp_peer narrow = address_of((family)f, "10.77.0.9", "2001:db8:77::9", 9);
        tuo_udp_lost lost;
        uint32_t mtu = 0;
        tuo_udp *udp;

        check_row("%s", family_names[f]);
        run_in(here, "ip route flush cache && ip -6 route flush cache");
        open_fars(f == IP4 ? IP4 : IP6, 1);
        udp = open_at(here, (family)f, 0, NULL);
        for (i = 0; i < 40; i++)
            i % 2 ? push(udp, good, 0, 1400) : push_other(udp, &narrow, 1400);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 40); /* nobody knows yet */
        for (tries = 0; tries < 500 && mtu != 1300; tries++) {
            CHECK_RESULT(tuo_udp_mtu(udp, &narrow, &mtu), TUO_OK);
            (void)poll(NULL, 0, 1);
        }
        CHECK_EQ_INT(mtu, 1300);
        CHECK_RESULT(tuo_udp_mtu(udp, &good, &mtu), TUO_OK);
        CHECK_EQ_INT(mtu, 1500);
        for (i = 0; i < 40; i++)
            i % 2 ? push(udp, good, 0, 1400) : push_other(udp, &narrow, 1400);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        for (i = 0; tuo_udp_next_lost(udp, &lost) == TUO_OK; i++) {
            CHECK_EQ_INT(lost.error, EMSGSIZE);
            CHECK_EQ_INT(lost.mtu, 1300);
            CHECK(tuo_udp_same_addr(&lost.peer, &narrow));
        }
        CHECK_EQ_INT(i, 20);
        CHECK_EQ_INT(read_fars_within(200), 0);
        CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 60);
        CHECK_EQ_INT(tx_stats(udp).switched_off, 0);
        check_counters(udp);
        tuo_udp_close(udp);
        close_fars();
    }
    run_in(here, "ip route del 10.77.0.0/24 && ip -6 route del 2001:db8:77::/64");
    run_in(there, "ip link del vc");
}

static int has_module(const char *name)
{
    FILE *file = fopen("/proc/modules", "r");
    char line[256];
    int found = 0;

    while (file && fgets(line, sizeof line, file))
        found |= strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ';
    if (file)
        fclose(file);
    return found;
}

/* IPsec for what goes from src to dst, or a policy that lets nothing pass. 0: this kernel cannot. AH stands for ESP: it needs fewer
   modules, and the kernel refuses trains for both alike. */
static int cover(int block, const char *src, const char *dst)
{
    char state[256];

    snprintf(state, sizeof state, "ip xfrm state add src %s dst %s proto ah spi 0x100 mode transport auth 'hmac(sha256)' 0x%064d", src,
             dst, 7);
    if (block) {
        run_in(here, "ip xfrm policy add dir out src %s dst %s action block", src, dst);
    } else if (shell("%s 2> /dev/null", state) != 0) {
        printf("  no AH in this kernel\n");
        CHECK(!has_module("ah4"));
        return 0;
    } else {
        run_in(there, "%s", state);
        run_in(here, "ip xfrm policy add dir out src %s dst %s tmpl src %s dst %s proto ah mode transport", src, dst, src, dst);
    }
    return 1;
}

/* U 1.14, U 5 3, U 5 4: IPsec covers one peer: its trains are refused with EIO, and its singles pass. Or nothing passes. The other peer
   keeps its trains, in the next batch as well. */
TEST(a_peer_behind_ipsec)
{
    static const char *const addresses[2][2] = {{"10.9.0.1", "10.9.0.3"}, {"2001:db8:9::1", "2001:db8:9::3"}};
    size_t f, block;
    unsigned i, round;

    if (!ready())
        return;
    run_in(here, "ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:0b dev va && ip neigh add 2001:db8:9::3 lladdr 02:00:00:00:00:0b dev va");
    run_in(there, "ip addr add 10.9.0.3/24 dev vb && ip addr add 2001:db8:9::3/64 dev vb nodad");
    go(there);
    wait_for_address6("2001:db8:9::3/64");
    go(here);
    for (block = 0; block < 2; block++)
        for (f = IP4; f <= MAPPED; f++) {
            const char *const src = addresses[f == IP6][0], *const dst = addresses[f == IP6][1];
            const tuo_udp_peer good = address_of((family)f, "10.9.0.2", "2001:db8:9::2", 0);
            const tuo_udp_peer covered = address_of((family)f, "10.9.0.3", "2001:db8:9::3", 0);
            tuo_udp *udp;

            check_row("%s, %s", family_names[f], block ? "blocked" : "AH");
            if (!cover((int)block, src, dst))
                continue;
            open_fars(f == IP4 ? IP4 : IP6, 2);
            udp = open_at(here, (family)f, 0, NULL);
            for (round = 0; round < 2; round++) {
                for (i = 0; i < 60; i++) {
                    push(udp, good, 0, 800);
                    block ? push_other(udp, &covered, 700) : push(udp, covered, 1, 700);
                }
                CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
                CHECK_EQ_INT(read_fars_within(500), 0);
                CHECK_EQ_INT(collect_lost(udp, EINVAL, EPERM), block ? 60 : 0);
            }
            CHECK_EQ_INT(tx_stats(udp).tx_in_trains, 120);
            CHECK_EQ_INT(tx_stats(udp).tx_refused_trains, block ? 2 : 1);
            CHECK_EQ_INT(tx_stats(udp).switched_off, !block);
            check_counters(udp);
            tuo_udp_close(udp);
            close_fars();
            run_in(here, "ip xfrm policy flush && ip xfrm state flush");
            run_in(there, "ip xfrm state flush");
        }
    run_in(there, "ip addr del 10.9.0.3/24 dev vb && ip addr del 2001:db8:9::3/64 dev vb");
}

/* ------------------------------------------------------------------------------------------------ full queues, threads */

static void *wake_main(void *udp)
{
    (void)poll(NULL, 0, 30);
    tuo_udp_wake((tuo_udp *)udp);
    return NULL;
}

static int flushing_thread; /* asleep.h */

static void *close_main(void *udp)
{
    asleep_await(&flushing_thread);
    tuo_udp_close((tuo_udp *)udp);
    return NULL;
}

/* U 1.27, U 1.28: a queueing discipline that sends slowly, and a small send buffer. */
TEST(a_full_socket)
{
    const tuo_udp_peer to = address_of(IP4, "10.9.0.2", "::", 9);
    int blocking;
    unsigned i, again;

    if (!ready())
        return;
    for (blocking = 0; blocking < 2; blocking++) {
        tuo_udp_desc desc = {0};
        pthread_t thread;
        tuo_udp *udp;
        check_row(blocking ? "flush waits" : "held, and sent when there is room");
        desc.send_buffer = 20000;
        desc.blocking = (uint8_t)blocking;
        run_in(here, "tc qdisc replace dev va root tbf rate 100mbit burst 20kb limit 4mb");
        open_fars(IP4, 3);
        udp = open_at(here, IP4, 0, &desc);
        for (i = 0; i < 240; i++)
            push(udp, to, i / 2 % 3, i % 50 == 7 ? 100 : 1400);
        for (again = 0; tuo_udp_flush(udp) == TUO_AGAIN; again++) {
            CHECK_EQ_INT(tuo_udp_held(udp), 1);
            CHECK_RESULT(tuo_udp_wait(udp, 1, 1000), TUO_OK);
        }
        CHECK_EQ_INT(again != 0, !blocking);
        CHECK(tx_stats(udp).tx_again > 0);
        CHECK_EQ_INT(read_fars_within(500), 0);
        check_counters(udp);
        CHECK_EQ_INT(tx_stats(udp).tx_lost, 0);
        if (blocking) {
            check_row("woken, closed");
            run_in(here, "tc qdisc replace dev va root tbf rate 8kbit burst 2kb limit 4mb");
            CHECK_EQ_INT(pthread_create(&thread, NULL, wake_main, udp), 0);
            for (i = 0; i < 150; i++)
                push_other(udp, &to, 1400);
            CHECK_RESULT(tuo_udp_flush(udp), TUO_E_WOKEN);
            pthread_join(thread, NULL);
            CHECK_EQ_INT(tuo_udp_held(udp), 1);
            tuo_udp_wake_clear(udp);
            CHECK_EQ_INT(pthread_create(&thread, NULL, close_main, udp), 0);
            asleep_announce(&flushing_thread); /* close frees what a call that has not begun would use */
            CHECK_RESULT(tuo_udp_flush(udp), TUO_E_WOKEN);
            pthread_join(thread, NULL);
        } else {
            static const uint8_t bytes[1400];
            tuo_udp_tx_stats before;
            check_row("dropping is cheap while it is full");
            run_in(here, "tc qdisc replace dev va root tbf rate 8kbit burst 2kb limit 4mb");
            for (i = 0; i < 250; i++)
                (void)tuo_udp_push(udp, &to, bytes, sizeof bytes, NULL);
            CHECK_RESULT(tuo_udp_flush(udp), TUO_AGAIN);
            before = tx_stats(udp);
            for (i = 0; i < 1000; i++)
                (void)tuo_udp_push(udp, &to, bytes, sizeof bytes, NULL);
            CHECK(tx_stats(udp).tx_dropped_full - before.tx_dropped_full > 900);
            CHECK(tx_stats(udp).tx_calls - before.tx_calls < 20);
            tuo_udp_close(udp);
        }
        run_in(here, "tc qdisc del dev va root");
        close_fars();
    }
}

/* Several sockets on one port: each datagram reaches one of them. */
TEST(reuseport)
{
    tuo_udp_desc desc = {0};
    tuo_udp *far[3], *udp[20];
    tuo_udp_peer to = address_of(IP4, "10.9.0.2", "::", PORT);
    uint64_t sum = 0;
    unsigned i, reached = 0;

    if (!ready())
        return;
    desc.reuseport = 1;
    for (i = 0; i < 3; i++)
        far[i] = open_at(there, IP4, PORT, &desc);
    for (i = 0; i < 20; i++) {
        udp[i] = open_at(here, IP4, 0, NULL);
        push_other(udp[i], &to, 100);
        push_other(udp[i], &to, 100);
        CHECK_RESULT(tuo_udp_flush(udp[i]), TUO_OK);
    }
    for (i = 0; i < 3; i++) {
        tuo_udp_datagram d;
        tuo_result result;
        while ((result = tuo_udp_next(far[i], &d)) == TUO_OK || result == TUO_MORE) {
        }
        sum += rx_stats(far[i]).rx_datagrams;
        reached += rx_stats(far[i]).rx_datagrams > 0;
        tuo_udp_close(far[i]);
    }
    CHECK_EQ_INT(sum, 40);
    CHECK(reached >= 2);
    for (i = 0; i < 20; i++)
        tuo_udp_close(udp[i]);
}

/* U 2.14. */
TEST(drops_of_a_full_receive_buffer)
{
    tuo_udp_desc desc = {0};
    tuo_udp *udp, *far;
    tuo_udp_peer to = address_of(IP4, "10.9.0.2", "::", PORT);
    tuo_udp_datagram d;
    tuo_result result;
    unsigned i;

    if (!ready())
        return;
    desc.recv_buffer = 100000;
    far = open_at(there, IP4, PORT, &desc);
    udp = open_at(here, IP4, 0, NULL);
    for (i = 0; i < 44 * 20; i++)
        push_other(udp, &to, 1400);
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    while ((result = tuo_udp_next(far, &d)) == TUO_OK || result == TUO_MORE) {
    }
    push_other(udp, &to, 1); /* tells of it */
    CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
    CHECK_RESULT(tuo_udp_wait(far, 0, 500), TUO_OK);
    while ((result = tuo_udp_next(far, &d)) == TUO_OK || result == TUO_MORE) {
    }
    CHECK(rx_stats(far).rx_kernel_drops > 0);
    CHECK_EQ_INT(rx_stats(far).rx_kernel_drops + rx_stats(far).rx_messages, tx_stats(udp).tx_trains + tx_stats(udp).tx_singles);
    check_row("those from before it was adopted do not count");
    {
        tuo_udp *again = NULL;
        tuo_udp_desc borrowed = {0};
        borrowed.borrowed = 1;
        CHECK_RESULT(tuo_udp_adopt(&again, tuo_udp_fd(far), &borrowed, NULL), TUO_OK);
        push_other(udp, &to, 1);
        CHECK_RESULT(tuo_udp_flush(udp), TUO_OK);
        CHECK_RESULT(tuo_udp_wait(again, 0, 500), TUO_OK);
        CHECK_RESULT(tuo_udp_next(again, &d), TUO_OK);
        CHECK_EQ_INT(rx_stats(again).rx_kernel_drops, 0);
        tuo_udp_close(again);
    }
    tuo_udp_close(udp);
    tuo_udp_close(far);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(every_datagram_once_and_in_order),
        CHECK_ENTRY(loopback),
        CHECK_ENTRY(trains_of_128),
        CHECK_ENTRY(unreachable_peers),
        CHECK_ENTRY(local_addresses),
        CHECK_ENTRY(mtu_of_another_namespace),
        CHECK_ENTRY(mtu_of_a_mark_and_of_a_device),
        CHECK_ENTRY(a_path_that_shrinks),
        CHECK_ENTRY(a_path_mtu_that_a_router_tells),
        CHECK_ENTRY(a_peer_behind_ipsec),
        CHECK_ENTRY(a_full_socket),
        CHECK_ENTRY(reuseport),
        CHECK_ENTRY(drops_of_a_full_receive_buffer),
    };
    int status;

    enter();
    status = CHECK_RUN(argc, argv, tests);
    leave();
    return status;
}
