/* udp_tunnel - a point-to-point tunnel over UDP with segmentation offloads on both sides.

   cc -std=c99 -O2 -I.. -o udp_tunnel udp_tunnel.c && ./udp_tunnel --help

   One packet of the TUN device travels as one UDP datagram: routers in between see ordinary datagrams. Offloads save calls:

       TUN  --superpacket-->  packets  --trains of equal datagrams, UDP_SEGMENT-->  network
       TUN  <--superpacket--  packets  <--trains of equal datagrams, UDP_GRO------  network

   tunnel.c has the same loop in 100 lines. This program adds: a path MTU that is followed, a peer whose address changes, ECN
   (RFC 6040), a device that belongs to an unprivileged user, hosts without IPv6, counters.
   Nothing is encrypted or authenticated: anybody on the way can read and forge packets. A cipher goes where CIPHER stands. */
#define _DEFAULT_SOURCE /* getaddrinfo and IP_MTU_DISCOVER in strict C99 */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    CIPHER_LEN = 0,         /* bytes that a cipher adds to a packet */
    OUTER_IP4 = 20 + 8, OUTER_IP6 = 40 + 8, /* headers of a datagram */
    PATH_MTU = 1500,        /* while there is no peer to ask the kernel about */
    MTU_MAX = 65000,
    MTU_MIN_IP4 = 68,       /* RFC 791 3.2 */
    MTU_MIN_IP6 = 1280,     /* RFC 8200 5: Linux switches IPv6 off below it */
    SILENCE = 2             /* seconds after which a learned peer may have moved */
};

struct options {
    const char *dev, *address4, *address6, *listen, *peer, *mtu;
    int stats, no_gso, plain, help;
};

struct tunnel {
    struct options options;
    tuo_tun *tun;
    tuo_udp *udp;
    tuo_udp_peer peer;      /* of family 0 while it is unknown */
    uint32_t mtu;           /* of the device */
    int fixed_mtu;          /* by --mtu, or for lack of permission to change it */
    int has_ip6;            /* inside */
    int said_error;         /* of the last lost datagram */
    int64_t now, heard, sent; /* seconds: now; when the peer was last heard; when it was last sent to */
    unsigned long long no_peer, strangers, ecn_dropped, keepalives_in, keepalives_out;
};

static volatile sig_atomic_t stop;
static void on_signal(int number) { stop = number; }

static void say(const char *what, const char *why) { fprintf(stderr, "udp_tunnel: %s: %s\n", what, why); }

static void fail(const char *what, const char *why) { say(what, why), exit(1); }

/* --- ECN, RFC 6040. DSCP is not copied: it would tell what is inside. --- */

enum { NOT_ECT = 0, ECT1 = 1, ECT0 = 2, CE = 3 };

static unsigned inner_ecn(const uint8_t *packet, size_t len) {
    return len < 20 ? NOT_ECT : (packet[0] >> 4 == 6 ? packet[1] >> 4 : packet[1]) & 3u;
}

static void set_inner_ecn(uint8_t *packet, unsigned ecn) {
    const uint16_t word = (uint16_t)(packet[0] << 8 | packet[1]);
    if (packet[0] >> 4 == 6) {
        packet[1] = (uint8_t)((packet[1] & 0xCF) | ecn << 4);
    } else {
        const uint16_t now = (uint16_t)((word & 0xFFFC) | ecn);
        const uint16_t checksum = tuo_csum_update16((uint16_t)(packet[10] << 8 | packet[11]), word, now);
        packet[1] = (uint8_t)now;
        packet[10] = (uint8_t)(checksum >> 8);
        packet[11] = (uint8_t)checksum;
    }
}

/* What routers marked on the way goes into the packet (RFC 6040 4.2). 0: drop it, since its sender understands only losses. */
static int combine_ecn(uint8_t *packet, size_t len, unsigned outer) {
    const unsigned inner = inner_ecn(packet, len);
    if (outer == CE && inner == NOT_ECT) return 0;
    if ((outer == CE && inner != CE) || (outer == ECT1 && inner == ECT0)) set_inner_ecn(packet, outer);
    return 1;
}

/* --- Packets --- */

static int knows_peer(const struct tunnel *t) { return t->peer.addr.any.sa_family != AF_UNSPEC; }

static tuo_result from_tun(struct tunnel *t) {
    tuo_buf packet;
    tuo_result result;
    while ((result = tuo_tun_next(t->tun, &packet)) == TUO_OK) {
        uint8_t *const datagram = knows_peer(t) ? (uint8_t *)tuo_udp_reserve(t->udp, packet.len + CIPHER_LEN) : NULL;
        if (datagram) {
            memcpy(datagram, packet.data, packet.len); /* CIPHER: encrypt the packet into the datagram */
            t->peer.tos = (uint8_t)inner_ecn(packet.data, packet.len);
            tuo_udp_commit(t->udp, &t->peer, packet.len + CIPHER_LEN, NULL);
            t->sent = t->now;
        } else if (!knows_peer(t)) t->no_peer++; /* otherwise the socket is full, and the library counts */
    }
    return result;
}

/* With --peer, only that address is the peer. Without, the first sender is, until it is silent and another one sends: it may have
   moved. With a cipher, the sender of anything that decrypts is the peer, at once. Answers leave from where datagrams arrive. */
static int is_peer(struct tunnel *t, const tuo_udp_peer *from) {
    if (!tuo_udp_same_addr(from, &t->peer)) {
        if (t->options.peer || (knows_peer(t) && t->now - t->heard < SILENCE)) return 0;
        t->peer.addr = from->addr;
        say("peer", "learned");
    }
    t->peer.local = from->local;
    t->heard = t->now;
    return 1;
}

static tuo_result from_udp(struct tunnel *t) {
    tuo_udp_datagram datagram;
    tuo_result result;
    while ((result = tuo_udp_next(t->udp, &datagram)) == TUO_OK) {
        /* CIPHER: decrypt datagram.data in place. What fails, or is shorter than CIPHER_LEN, goes no further */
        if (!is_peer(t, datagram.peer)) t->strangers++;
        else if (datagram.len == CIPHER_LEN) t->keepalives_in++;
        else if (!combine_ecn(datagram.data, datagram.len - CIPHER_LEN, datagram.peer->tos & 3u)) t->ecn_dropped++;
        else (void)tuo_tun_push(t->tun, datagram.data, datagram.len - CIPHER_LEN); /* the library counts what it drops */
    }
    return result;
}

/* --- MTU --- */

/* What fits a datagram on the way to the peer, as far as the kernel knows; 0: there is no way. */
static uint32_t fitting_mtu(const struct tunnel *t) {
    const int ip4 = t->peer.addr.any.sa_family == AF_INET ||
                    (t->peer.addr.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&t->peer.addr.ip6.sin6_addr));
    const uint32_t overhead = (ip4 ? OUTER_IP4 : OUTER_IP6) + CIPHER_LEN;
    uint32_t path = PATH_MTU;
    if (knows_peer(t) && tuo_udp_mtu(t->udp, &t->peer, &path) != TUO_OK) return 0;
    return path < overhead ? 0 : path - overhead > MTU_MAX ? MTU_MAX : path - overhead;
}

/* Datagrams that are longer than the path MTU: fragmented by the kernel, or refused. */
static void allow_fragments(const struct tunnel *t, int on) {
    const int ip4 = on ? IP_PMTUDISC_WANT : IP_PMTUDISC_DO, ip6 = on ? IPV6_PMTUDISC_WANT : IPV6_PMTUDISC_DO;
    (void)setsockopt(tuo_udp_fd(t->udp), IPPROTO_IP, IP_MTU_DISCOVER, &ip4, sizeof ip4);
    (void)setsockopt(tuo_udp_fd(t->udp), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &ip6, sizeof ip6); /* fails on an IPv4 socket */
}

/* Routes change, and routers say what they take. IPv6 inside needs 1280 bytes, as fragments if they do not fit. */
static void follow_mtu(struct tunnel *t) {
    const uint32_t fitting = fitting_mtu(t), least = t->has_ip6 ? MTU_MIN_IP6 : MTU_MIN_IP4;
    const int fragments = fitting < least;
    const uint32_t mtu = fragments ? least : fitting;
    if (t->fixed_mtu || fitting == 0 || mtu == t->mtu) return;
    t->mtu = mtu;
    t->fixed_mtu = tuo_tun_set_mtu(t->tun, mtu) != TUO_OK; /* not permitted, most likely */
    allow_fragments(t, t->fixed_mtu || fragments);
    fprintf(stderr, "udp_tunnel: MTU %u%s\n", (unsigned)mtu, t->fixed_mtu ? " cannot be set" : fragments ? ", in fragments" : "");
}

/* --- Start --- */

/* "ADDRESS:PORT", "[ADDRESS]:PORT", ":PORT"; the result has the form of a peer. */
static tuo_udp_peer resolve(const char *text, int family) {
    const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    tuo_udp_peer peer = { .tos = 0 };
    char copy[256], *const host = copy + (*text == '['), *colon;
    int error;
    snprintf(copy, sizeof copy, "%s", text);
    if (!(colon = strrchr(copy, ':'))) fail(text, "not ADDRESS:PORT");
    colon[host == copy ? 0 : -1] = 0;
    if ((error = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found)) != 0) fail(text, gai_strerror(error));
    memcpy(&peer.addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return peer;
}

/* Without a peer and an address, both families; IPv4 where IPv6 is off. */
static void open_udp(struct tunnel *t) {
    const struct options *const o = &t->options;
    const int either = !o->peer && o->listen[0] == ':';
    tuo_udp_desc desc = { .no_gso = o->no_gso || o->plain, .no_gro = (uint8_t)o->plain };
    tuo_udp_peer here;
    tuo_result result;
    int error = 0;
    desc.df = o->mtu ? TUO_UDP_DF_KERNEL : TUO_UDP_DF_SET; /* a fixed MTU may need fragments */
    if (o->peer) t->peer = resolve(o->peer, AF_UNSPEC);
    here = resolve(o->listen, either ? AF_INET6 : t->peer.addr.any.sa_family);
    result = tuo_udp_open(&t->udp, &here.addr.any, &desc, &error);
    if (result != TUO_OK && either) {
        here = resolve(o->listen, AF_INET);
        result = tuo_udp_open(&t->udp, &here.addr.any, &desc, &error);
    }
    if (result != TUO_OK) fail(o->listen, error ? strerror(error) : tuo_result_text(result));
}

/* Says why a setting failed. A setting that is not permitted is taken as made when the device was prepared. */
static int is_set(const struct tunnel *t, const char *what, tuo_result result) {
    tuo_tun_info info;
    if (result == TUO_OK) return 1;
    tuo_tun_query_info(t->tun, &info);
    say(what, result == TUO_E_SYSTEM ? strerror(info.tx_errno) : tuo_result_text(result));
    return result == TUO_E_SYSTEM && info.tx_errno == EPERM;
}

static void open_tun(struct tunnel *t) {
    const struct options *const o = &t->options;
    const tuo_tun_desc desc = { .name = o->dev, .no_vnet_hdr = (uint8_t)o->plain };
    const unsigned long mtu = o->mtu ? strtoul(o->mtu, NULL, 10) : 0;
    int error = 0;
    tuo_result result = tuo_tun_open(&t->tun, &desc, &error);
    if (result != TUO_OK) fail(o->dev ? o->dev : "TUN device", error ? strerror(error) : tuo_result_text(result));
    if (o->address4 && !is_set(t, o->address4, tuo_tun_add_address(t->tun, o->address4))) exit(1);
    if (o->address6) result = tuo_tun_add_address(t->tun, o->address6);
    if (result == TUO_E_INVALID) fail(o->address6, tuo_result_text(result));
    t->has_ip6 = o->address6 && is_set(t, o->address6, result); /* where IPv6 is off, IPv4 goes on */
    if (o->mtu && (mtu < MTU_MIN_IP4 || mtu > MTU_MAX)) fail(o->mtu, "not an MTU");
    if (o->mtu && !is_set(t, "MTU", tuo_tun_set_mtu(t->tun, (uint32_t)mtu))) exit(1);
    t->mtu = (uint32_t)mtu;
    t->fixed_mtu = o->mtu != NULL;
    follow_mtu(t);
    if (!is_set(t, tuo_tun_name(t->tun), tuo_tun_set_up(t->tun, 1))) exit(1);
}

/* --- Counters --- */

static void print_counters(const struct tunnel *t) {
    tuo_tun_rx_stats in;
    tuo_tun_tx_stats out;
    tuo_udp_rx_stats from;
    tuo_udp_tx_stats to;
    unsigned long long dropped = 0;
    tuo_tun_query_rx_stats(t->tun, &in);
    tuo_tun_query_tx_stats(t->tun, &out);
    tuo_udp_query_rx_stats(t->udp, &from);
    tuo_udp_query_tx_stats(t->udp, &to);
#define SHOW(name, value) printf(#name "=%llu ", (unsigned long long)(value));
#define LOSS(name, value) SHOW(name, value) dropped += (value);
    SHOW(tun_in_packets, in.rx_segments) SHOW(superpackets_in, in.rx_superpackets)
    SHOW(udp_out_datagrams, to.tx_in_trains + to.tx_singles) SHOW(udp_out_messages, to.tx_trains + to.tx_singles)
    SHOW(gso_refused, to.tx_refused_trains) SHOW(keepalives_out, t->keepalives_out)
    SHOW(udp_in_datagrams, from.rx_datagrams) SHOW(udp_in_messages, from.rx_messages) SHOW(keepalives_in, t->keepalives_in)
    SHOW(strangers, t->strangers) SHOW(tun_out_packets, out.tx_packets) SHOW(superpackets_out, out.tx_superpackets)
    LOSS(no_peer, t->no_peer) LOSS(udp_full, to.tx_dropped_full) LOSS(udp_lost, to.tx_lost)
    LOSS(udp_in_full, from.rx_kernel_drops) LOSS(udp_in_cut, from.rx_truncated + from.rx_broken)
    LOSS(ecn, t->ecn_dropped) LOSS(tun_full, out.tx_dropped_full)
    LOSS(tun_down, out.tx_dropped_down + out.tx_dropped_error) LOSS(refused, in.rx_refused + out.tx_refused_packets)
    printf("dropped=%llu\n", dropped);
    fflush(stdout);
}

/* --- Loop --- */

static tuo_result flush(struct tunnel *t) {
    tuo_udp_lost lost;
    const tuo_result result = tuo_tun_flush(t->tun), sent = tuo_udp_flush(t->udp);
    while (tuo_udp_next_lost(t->udp, &lost) == TUO_OK) {
        if (lost.error != t->said_error) say("datagrams are lost", strerror(lost.error));
        t->said_error = lost.error;
        if (lost.error == EMSGSIZE) t->mtu = 0; /* of the device: not what it was set to, or too much now */
        else memset(&t->peer.local, 0, sizeof t->peer.local); /* it may be gone: the kernel finds another */
    }
    if (t->mtu == 0) follow_mtu(t);
    return result < 0 && result != TUO_E_DOWN ? result : sent < 0 ? sent : TUO_OK;
}

static void every_second(struct tunnel *t) {
    follow_mtu(t);
    t->said_error = 0;
    if (knows_peer(t) && t->now > t->sent && tuo_udp_push(t->udp, &t->peer, "", 0, NULL) == TUO_OK) {
        t->keepalives_out++; /* CIPHER: one of CIPHER_LEN. Says where we are now */
        t->sent = t->now;
    }
    if (t->options.stats) print_counters(t);
}

/* A side that is full is polled for room, and the packets for it wait in the kernel. */
static tuo_result run(struct tunnel *t) {
    tuo_result result = TUO_OK;
    while (!stop && result >= 0) {
        struct pollfd fds[2] = { { .fd = tuo_tun_fd(t->tun) }, { .fd = tuo_udp_fd(t->udp) } };
        const int64_t before = t->now;
        struct timespec clock;
        fds[0].events = (short)((tuo_udp_held(t->udp) ? 0 : POLLIN) | (tuo_tun_held(t->tun) ? POLLOUT : 0));
        fds[1].events = (short)((tuo_tun_held(t->tun) ? 0 : POLLIN) | (tuo_udp_held(t->udp) ? POLLOUT : 0));
        if (poll(fds, 2, 1000) < 0 && errno != EINTR) fail("poll", strerror(errno));
        clock_gettime(CLOCK_MONOTONIC, &clock);
        t->now = clock.tv_sec;
        if (t->now != before) every_second(t);
        if (fds[0].revents & ~POLLOUT) result = from_tun(t);
        if (fds[1].revents & ~POLLOUT && result >= 0) result = from_udp(t);
        if (result >= 0) result = flush(t);
    }
    return result;
}

static void parse_options(struct options *o, int argc, char **argv) {
    const struct {
        const char *name, **text;
        int *flag;
        const char *help;
    } table[] = {
        { "--dev", &o->dev, NULL, "NAME         name of the TUN device (default: the kernel's choice)" },
        { "--address", &o->address4, NULL, "A/LEN        its IPv4 address, e.g. 10.0.0.1/24" },
        { "--address6", &o->address6, NULL, "A/LEN        its IPv6 address, e.g. fd00::1/64" },
        { "--listen", &o->listen, NULL, "[ADDR]:PORT  this side's UDP address; an IPv6 address in brackets" },
        { "--peer", &o->peer, NULL, "ADDR:PORT    the other side's; without it, the first sender is the peer" },
        { "--mtu", &o->mtu, NULL, "N            of the TUN device (default: follows the path MTU to the peer)" },
        { "--no-gso", NULL, &o->no_gso, "             send every datagram in a message of its own" },
        { "--plain", NULL, &o->plain, "             no offloads on either side, for comparison" },
        { "--stats", NULL, &o->stats, "             a line of counters every second; one is printed at the end in any case" },
        { "--help", NULL, &o->help, "             this list" },
    };
    const size_t count = sizeof table / sizeof table[0];
    size_t k;
    int i;
    for (i = 1; i < argc; i++) {
        for (k = 0; k < count && strcmp(argv[i], table[k].name) != 0; k++) continue;
        if (k == count || (table[k].text && i + 1 == argc)) fail(argv[i], k == count ? "unknown option" : "needs a value");
        if (table[k].text) *table[k].text = argv[++i];
        else *table[k].flag = 1;
    }
    if (!o->help && o->listen) return;
    fprintf(o->help ? stdout : stderr, "udp_tunnel --listen [ADDR]:PORT [--peer ADDR:PORT] [options]\n");
    for (k = 0; k < count; k++) fprintf(o->help ? stdout : stderr, "  %-11s%s\n", table[k].name, table[k].help);
    exit(!o->help);
}

int main(int argc, char **argv) {
    static struct tunnel t;
    tuo_result result;
    parse_options(&t.options, argc, argv);
    signal(SIGINT, on_signal); /* one that arrives just before poll is seen within a second */
    signal(SIGTERM, on_signal);
    say("warning", "nothing is encrypted: anybody on the way can read and forge what passes through");
    open_udp(&t);
    open_tun(&t);
    say(tuo_tun_name(t.tun), "is up");
    result = run(&t);
    if (result < 0) say(tuo_tun_name(t.tun), tuo_result_text(result));
    print_counters(&t);
    tuo_tun_close(t.tun);
    tuo_udp_close(t.udp);
    return result < 0;
}
