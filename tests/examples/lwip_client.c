/* lwip_client - plain sockets against examples/lwip_tun.c: what is sent and received is known byte by byte.

       lwip_client sink|source|echo HOST PORT MEGABYTES CONNECTIONS [plant]
       lwip_client udp HOST PORT MESSAGES
       lwip_client bad DEVICE FROM TO PORT PORT_UDP

   sink sends, source receives chargen's pattern, echo does both at once, on as many connections in parallel, and prints bytes and
   rate. With `plant` one byte that is sent is a wrong one, so echo has to fail. udp sends UDP_SEGMENT messages to an echo service and
   waits for each of their datagrams, after some that are sent alone. bad puts packets on the device by a packet socket, past the
   kernel's checksum offload, each kind with a wrong checksum (no answer may come) and with the right one (one must). Exit 0:
   everything was as it should be. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "packets.h"

#ifndef UDP_SEGMENT /* linux/udp.h since 4.18 */
#define UDP_SEGMENT 103
#endif

enum {
    CONNECTIONS_MAX = 64,
    PATTERN = 65521,
    PIECE = 65536,        /* bytes of one send or receive */
    STALLED_MS = 10000,   /* nothing moves for so long: it never will */
    DATAGRAMS = 41,       /* in one UDP_SEGMENT message ... */
    DATAGRAM = 1000,      /* ... of this size, but the last one: */
    DATAGRAM_LAST = 501,
    LARGE = 5000
};

struct connection {
    int fd;
    uint64_t to_send, to_receive; /* what is left */
    uint64_t sent, received;
    int open;                     /* the end of the peer's bytes has not come yet */
};

static uint8_t pattern[PATTERN + PIECE];

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "lwip_client: %s: %s\n", what, why);
    exit(1);
}

static void check(int ok, const char *what)
{
    if (!ok)
        fail(what, strerror(errno));
}

/* Period and bytes are those of lwip_tun. */
static void make_pattern(void)
{
    uint32_t x = 1;
    size_t i;

    for (i = 0; i < sizeof pattern; i++) {
        x = x * 1664525u + 1013904223u;
        pattern[i] = i < PATTERN ? (uint8_t)(x >> 24) : pattern[i - PATTERN];
    }
}

static int open_socket(const char *host, const char *port, int type)
{
    struct addrinfo hints, *found;
    int fd, error;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = type;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    error = getaddrinfo(host, port, &hints, &found);
    if (error)
        fail(host, gai_strerror(error));
    fd = socket(found->ai_family, type, 0);
    check(fd >= 0, "socket");
    check(connect(fd, found->ai_addr, found->ai_addrlen) == 0, "connect");
    freeaddrinfo(found);
    return fd;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- TCP --- */

static void send_some(struct connection *c, uint64_t *plant_at)
{
    uint8_t planted[PIECE];
    const uint8_t *bytes = pattern + c->sent % PATTERN;
    const size_t len = c->to_send < PIECE ? (size_t)c->to_send : PIECE;
    ssize_t n;

    if (*plant_at >= c->sent && *plant_at < c->sent + len) {
        memcpy(planted, bytes, len);
        planted[*plant_at - c->sent] ^= 1;
        bytes = planted;
    }
    n = send(c->fd, bytes, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return;
    check(n > 0, "send");
    c->sent += (uint64_t)n;
    c->to_send -= (uint64_t)n;
    if (!c->to_send)
        check(shutdown(c->fd, SHUT_WR) == 0, "shutdown");
}

static void receive_some(struct connection *c)
{
    uint8_t bytes[PIECE];
    const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    check(n >= 0, "receive");
    c->open = n > 0;
    if (memcmp(bytes, pattern + c->received % PATTERN, (size_t)n) != 0)
        fail("receive", "wrong bytes");
    c->received += (uint64_t)n;
    c->to_receive -= (uint64_t)n < c->to_receive ? (uint64_t)n : c->to_receive;
}

/* source ends by itself when it has enough: chargen never does. The others end when the peer has got everything and closes. */
static int unfinished(const struct connection *c, int endless)
{
    if (!c->open && (c->to_send || c->to_receive))
        fail("receive", "the peer closed too early");
    return endless ? c->to_receive != 0 : c->open;
}

/* One round of poll() over all connections; returns how many are not done. */
static size_t carry(struct connection *connections, size_t count, int endless, uint64_t *plant_at)
{
    struct pollfd fds[CONNECTIONS_MAX];
    size_t i, left = 0;

    for (i = 0; i < count; i++) {
        const struct connection *c = &connections[i];
        const int on = unfinished(c, endless);

        fds[i].fd = on ? c->fd : -1;
        fds[i].events = (short)(POLLIN | (c->to_send ? POLLOUT : 0));
        left += (size_t)on;
    }
    if (left && poll(fds, (nfds_t)count, STALLED_MS) <= 0)
        fail("stalled", "no byte for 10 seconds");
    for (i = 0; i < count && left; i++) {
        if (fds[i].fd >= 0 && (fds[i].revents & POLLOUT))
            send_some(&connections[i], plant_at);
        if (fds[i].fd >= 0 && (fds[i].revents & ~POLLOUT))
            receive_some(&connections[i]);
    }
    return left;
}

static void tcp(const char *mode, char **argv, int plant)
{
    static struct connection connections[CONNECTIONS_MAX];
    const uint64_t bytes = strtoull(argv[2], NULL, 10) * 1000000;
    const size_t count = strtoul(argv[3], NULL, 10);
    const int sends = strcmp(mode, "source") != 0, receives = strcmp(mode, "sink") != 0;
    uint64_t plant_at = plant ? bytes / 2 : UINT64_MAX, total = 0;
    double start, seconds;
    size_t i;

    if (count < 1 || count > CONNECTIONS_MAX)
        fail("connections", "1 to 64");
    for (i = 0; i < count; i++) {
        struct connection *c = &connections[i];

        c->fd = open_socket(argv[0], argv[1], SOCK_STREAM);
        c->to_send = sends ? bytes : 0;
        c->to_receive = receives ? bytes : 0;
        c->open = 1;
        check(fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
    }
    start = now();
    while (carry(connections, count, !sends, &plant_at) > 0)
        continue;
    seconds = now() - start;
    for (i = 0; i < count; i++) {
        const struct connection *c = &connections[i];

        if (sends && (c->sent != bytes || c->received != (receives ? bytes : 0)))
            fail("receive", "more or fewer bytes than were sent");
        total += receives ? c->received : c->sent;
        close(c->fd);
    }
    printf("bytes=%llu mbit_per_s=%.0f\n", (unsigned long long)total, (double)total * 8e-6 / seconds);
}

/* --- UDP --- */

static size_t datagram_len(unsigned i) { return i + 1 == DATAGRAMS ? DATAGRAM_LAST : DATAGRAM; }

/* Of each datagram the first two bytes say which it is. */
static void send_message(int fd, unsigned message)
{
    static uint8_t bytes[DATAGRAMS * DATAGRAM];
    size_t len = 0;
    unsigned i;

    for (i = 0; i < DATAGRAMS; i++) {
        memcpy(bytes + len, pattern + (message * 997 + i) % PATTERN, datagram_len(i));
        bytes[len] = (uint8_t)message;
        bytes[len + 1] = (uint8_t)i;
        len += datagram_len(i);
    }
    check(send(fd, bytes, len, 0) == (ssize_t)len, "send");
}

static void receive_datagram(int fd, unsigned message, uint64_t *seen)
{
    uint8_t bytes[2 * DATAGRAM];
    const ssize_t n = recv(fd, bytes, sizeof bytes, 0);

    check(n >= 2, "receive"); /* EAGAIN: one is missing */
    if (bytes[0] != (uint8_t)message || bytes[1] >= DATAGRAMS || (size_t)n != datagram_len(bytes[1]))
        fail("datagram", "none that was sent");
    if (*seen >> bytes[1] & 1)
        fail("datagram", "came twice");
    if (memcmp(bytes + 2, pattern + (message * 997 + bytes[1]) % PATTERN + 2, (size_t)n - 2) != 0)
        fail("datagram", "wrong bytes");
    *seen |= UINT64_C(1) << bytes[1];
}

/* Alone: nothing to merge with. The largest, at least, is cut into fragments by the IP layers on both sides. */
static void datagram_alone(int fd, size_t len)
{
    uint8_t bytes[LARGE + 1];

    check(send(fd, pattern, len, 0) == (ssize_t)len, "send one datagram");
    if (recv(fd, bytes, sizeof bytes, 0) != (ssize_t)len || memcmp(bytes, pattern, len) != 0)
        fail("one datagram", "did not come back as it was");
}

static void udp(char **argv)
{
    const int fd = open_socket(argv[0], argv[1], SOCK_DGRAM), size = DATAGRAM;
    const unsigned messages = (unsigned)strtoul(argv[2], NULL, 10);
    const struct timeval second = { 1, 0 };
    unsigned message, i;

    check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) == 0, "SO_RCVTIMEO");
    datagram_alone(fd, 100);
    datagram_alone(fd, 101);
    datagram_alone(fd, 1400);
    datagram_alone(fd, LARGE);
    check(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) == 0, "UDP_SEGMENT");
    for (message = 0; message < messages; message++) {
        uint64_t seen = 0;

        send_message(fd, message);
        for (i = 0; i < DATAGRAMS; i++)
            receive_datagram(fd, message, &seen);
    }
    printf("datagrams=%u\n", messages * DATAGRAMS + 4);
}

/* --- packets with wrong checksums --- */

/* With addresses that packets.h has no host numbers for: they are put in afterwards. */
static size_t build(uint8_t *pkt, size_t cap, pkt_kind kind, char **argv, int src_port, int bad)
{
    const int v6 = kind == PKT_TCP6 || kind == PKT_UDP6, is_tcp = kind == PKT_TCP4 || kind == PKT_TCP6;
    const int family = v6 ? AF_INET6 : AF_INET;
    pkt_spec s;
    pkt_view v;
    size_t len, at;

    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.tcp_flags = PKT_SYN;
    s.payload_len = is_tcp ? PKT_ZERO : 33;
    s.src_port = src_port;
    s.dst_port = (int32_t)strtol(argv[is_tcp ? 2 : 3], NULL, 10);
    len = pkt_build(pkt, cap, &s);
    at = v6 ? 8 : 12;
    if (inet_pton(family, argv[0], pkt + at) != 1 || inet_pton(family, argv[1], pkt + at + (v6 ? 16 : 4)) != 1)
        fail(argv[0], "two addresses of the same family are wanted");
    pkt_fix_checksums(pkt, len, 0);
    v = pkt_look(pkt, len, 0, 1);
    if (bad)
        pkt[pkt_l4_csum_at(&v)] ^= 0x40;
    return len;
}

/* Did lwIP send anything to this port of ours within that time? */
static int answered(int fd, int port, int timeout_ms)
{
    const double end = now() + timeout_ms * 1e-3;
    struct pollfd p;
    int left;

    p.fd = fd;
    p.events = POLLIN;
    while ((left = (int)((end - now()) * 1e3)) > 0 && poll(&p, 1, left) > 0) {
        uint8_t bytes[2048];
        const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        const pkt_view v = pkt_look(bytes, n < 0 ? 0 : (size_t)n, 0, 1);

        if (v.status == PKT_OK && pkt_has_l4(&v) && (int)pkt_get16(bytes + v.l4 + 2) == port)
            return 1;
    }
    return 0;
}

static void bad(char **argv)
{
    const int v6 = strchr(argv[1], ':') != NULL, fd = socket(AF_PACKET, SOCK_DGRAM, htons(v6 ? ETH_P_IPV6 : ETH_P_IP));
    static const pkt_kind kinds[2][2] = { { PKT_TCP4, PKT_UDP4 }, { PKT_TCP6, PKT_UDP6 } };
    struct sockaddr_ll to;
    unsigned i, wrong;

    check(fd >= 0, "packet socket");
    memset(&to, 0, sizeof to);
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
    to.sll_ifindex = (int)if_nametoindex(argv[0]);
    check(bind(fd, (const struct sockaddr *)(const void *)&to, sizeof to) == 0, argv[0]);
    for (i = 0; i < 2; i++) {
        for (wrong = 2; wrong-- > 0;) {
            const int port = 20000 + (int)(i * 2 + wrong);
            uint8_t pkt[256];
            const size_t len = build(pkt, sizeof pkt, kinds[v6][i], argv + 1, port, (int)wrong);

            check(sendto(fd, pkt, len, 0, (const struct sockaddr *)(const void *)&to, sizeof to) == (ssize_t)len, "send");
            if (answered(fd, port, wrong ? 200 : 2000) == (int)wrong)
                fail(i ? "UDP" : "TCP", wrong ? "an answer to a wrong checksum" : "no answer to a right checksum");
        }
    }
    printf("dropped=2 answered=2\n");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    const int plant = argc == 7 && strcmp(argv[6], "plant") == 0;

    make_pattern();
    if (argc == 5 && strcmp(mode, "udp") == 0) {
        udp(argv + 2);
    } else if (argc == 7 && strcmp(mode, "bad") == 0) {
        bad(argv + 2);
    } else if ((argc == 6 || plant) && (strcmp(mode, "sink") == 0 || strcmp(mode, "source") == 0 || strcmp(mode, "echo") == 0)) {
        tcp(mode, argv + 2, plant);
    } else {
        fprintf(stderr, "usage: see the first lines of tests/examples/lwip_client.c\n");
        return 2;
    }
    return 0;
}
