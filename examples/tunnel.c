/* tunnel - a point-to-point tunnel in one loop: each packet of a TUN device travels as one UDP datagram.
   cc -std=c99 -O2 -I.. -o tunnel tunnel.c
   on host A:  ./tunnel --dev tun0 --address 10.9.0.1/24 --address6 fd00:9::1/64 --listen :5555
   on host B:  ./tunnel --dev tun0 --address 10.9.0.2/24 --address6 fd00:9::2/64 --listen :5555 --peer A:5555
   Without --peer, the sender of the first datagram is the peer. A cipher goes where CIPHER stands: there is none. */
#define _POSIX_C_SOURCE 200809L /* getaddrinfo */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { CIPHER_LEN = 0, OVERHEAD = 40 + 8 + CIPHER_LEN }; /* what a cipher adds; outer IPv6 and UDP headers */
static tuo_tun *tun;
static tuo_udp *udp;
static tuo_udp_peer peer;        /* of family 0 while it is unknown */
static int error;                /* errno of what could not be opened */
static unsigned long lost, said; /* packets lost; how many of them were said */

static void check(const char *what, tuo_result result) { /* TUO_OK, TUO_AGAIN, TUO_MORE are 0 and above */
    if (result >= 0) return;
    fprintf(stderr, "tunnel: %s: %s\n", what, error ? strerror(error) : tuo_result_text(result));
    exit(1);
}

static tuo_udp_peer resolve(char *text, int family) { /* "HOST:PORT", "[ADDRESS]:PORT", ":PORT" */
    const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    char *const colon = strrchr(text, ':'), *const host = text + (*text == '[');
    tuo_udp_peer resolved = { .tos = 0 };
    if (colon) colon[host == text ? 0 : -1] = 0;
    if (!colon || getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found) != 0) check(text, TUO_E_INVALID);
    memcpy(&resolved.addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return resolved;
}

static tuo_result from_tun(void) {
    tuo_buf packet;
    tuo_result result;
    while ((result = tuo_tun_next(tun, &packet)) == TUO_OK) {
        void *const datagram = tuo_udp_reserve(udp, packet.len + CIPHER_LEN);
        if (!datagram || !peer.addr.any.sa_family) { lost++; continue; } /* socket full, or no peer yet */
        memcpy(datagram, packet.data, packet.len); /* CIPHER: encrypt packet into datagram */
        tuo_udp_commit(udp, &peer, packet.len + CIPHER_LEN, NULL);
    }
    return result;
}

static tuo_result from_udp(void) {
    tuo_udp_datagram datagram;
    tuo_result result;
    while ((result = tuo_udp_next(udp, &datagram)) == TUO_OK) { /* CIPHER: decrypt datagram, or continue */
        if (!peer.addr.any.sa_family) peer.addr = datagram.peer->addr;
        if (!tuo_udp_same_addr(&peer, datagram.peer) ||
            tuo_tun_push(tun, datagram.data, datagram.len - CIPHER_LEN) != TUO_OK) lost++;
    }
    return result;
}

static void flush(void) {
    tuo_udp_lost datagram;
    const tuo_result result = tuo_tun_flush(tun);
    if (result != TUO_E_DOWN) check("TUN device", result); /* down: packets are dropped and counted */
    check("UDP socket", tuo_udp_flush(udp));
    for (; tuo_udp_next_lost(udp, &datagram) == TUO_OK; lost++) /* the path got narrower: lower the MTU */
        if (datagram.mtu > OVERHEAD) check("MTU", tuo_tun_set_mtu(tun, datagram.mtu - OVERHEAD));
    if (lost > said + said / 8) fprintf(stderr, "tunnel: %lu packets lost so far\n", said = lost);
}

int main(int argc, char **argv) {
    enum { DEV, ADDRESS, ADDRESS6, LISTEN, PEER, OPTIONS };
    static const char *const option[OPTIONS] = { "--dev", "--address", "--address6", "--listen", "--peer" };
    char *value[OPTIONS + 1] = { NULL }; /* the last one: of an option that there is not */
    for (int i = 1, k; i < argc; value[k] = argv[i + 1], i += 2)
        for (k = 0; k < OPTIONS && strcmp(argv[i], option[k]) != 0;) k++;
    if (argc % 2 == 0 || value[OPTIONS] || !value[LISTEN]) check("options: see the top of tunnel.c", TUO_E_INVALID);
    if (value[PEER]) peer = resolve(value[PEER], AF_UNSPEC);
    const int family = value[PEER] ? peer.addr.any.sa_family : *value[LISTEN] == ':' ? AF_INET6 : AF_UNSPEC;
    const tuo_tun_desc desc = { .name = value[DEV], .address4 = value[ADDRESS], .address6 = value[ADDRESS6],
                                .mtu = 1500 - OVERHEAD, .up = 1 };
    const tuo_udp_peer here = resolve(value[LISTEN], family);
    check("UDP socket", tuo_udp_open(&udp, &here.addr.any, NULL, &error));
    check("TUN device", tuo_tun_open(&tun, &desc, &error));
    fprintf(stderr, "tunnel: %s is up\n", tuo_tun_name(tun));
    for (;;) { /* while one side is full, the other is not read: packets wait in the kernel */
        struct pollfd fds[2] = { { .fd = tuo_tun_fd(tun) }, { .fd = tuo_udp_fd(udp) } };
        fds[0].events = (short)((tuo_udp_held(udp) ? 0 : POLLIN) | (tuo_tun_held(tun) ? POLLOUT : 0));
        fds[1].events = (short)((tuo_tun_held(tun) ? 0 : POLLIN) | (tuo_udp_held(udp) ? POLLOUT : 0));
        check("poll", poll(fds, 2, -1) < 0 && errno != EINTR ? TUO_E_SYSTEM : TUO_OK);
        if (fds[0].revents & ~POLLOUT) check("TUN device", from_tun());
        if (fds[1].revents & ~POLLOUT) check("UDP socket", from_udp());
        flush();
    }
}
