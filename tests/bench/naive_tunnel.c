/* naive_tunnel - what a tunnel costs without offloads: poll, one read, one sendto per packet; one recvfrom, one write. The options of
   examples/tunnel.c; the library opens and configures the device, and carries nothing.
   --tun-half: the TUN device with offloads, by the library; the UDP socket with one sendto and one recvfrom per datagram, as before.
   For tests/bench/tunnel.sh. */
#define _POSIX_C_SOURCE 200809L /* getaddrinfo */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* "ADDRESS:PORT" or ":PORT", IPv4. */
static struct addrinfo *resolve(char *text) {
    const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    char *const colon = strrchr(text, ':');
    if (!colon) fail(text);
    *colon = 0;
    if (getaddrinfo(*text ? text : NULL, colon + 1, &hints, &found) != 0) fail(colon + 1);
    return found;
}

static int udp = -1;
static struct addrinfo *peer;
static uint8_t packet[65536];

static void naive(tuo_tun *tun) {
    struct pollfd fds[2] = { { tuo_tun_fd(tun), POLLIN, 0 }, { udp, POLLIN, 0 } };
    ssize_t len;
    while (poll(fds, 2, -1) >= 0) {
        if (fds[0].revents) {
            if ((len = read(fds[0].fd, packet, sizeof packet)) < 0) fail("read");
            (void)sendto(udp, packet, (size_t)len, 0, peer->ai_addr, peer->ai_addrlen);
        }
        if (fds[1].revents && (len = recvfrom(udp, packet, sizeof packet, 0, NULL, NULL)) > 0) {
            if (write(fds[0].fd, packet, (size_t)len) < 0 && errno != EIO) fail("write");
        }
    }
}

/* A round of the socket is as long as one of the device. */
static void tun_half(tuo_tun *tun) {
    struct pollfd fds[2] = { { tuo_tun_fd(tun), POLLIN, 0 }, { udp, POLLIN, 0 } };
    while (poll(fds, 2, -1) >= 0) {
        tuo_result result = TUO_AGAIN;
        tuo_buf buf;
        ssize_t len;
        int i;
        while (fds[0].revents && (result = tuo_tun_next(tun, &buf)) == TUO_OK)
            (void)sendto(udp, buf.data, buf.len, 0, peer->ai_addr, peer->ai_addrlen);
        if (result < 0) fail("tuo_tun_next");
        for (i = 0; fds[1].revents && i < 128 && (len = recvfrom(udp, packet, sizeof packet, MSG_DONTWAIT, NULL, NULL)) > 0; i++)
            tuo_tun_push(tun, packet, (size_t)len);
        tuo_tun_flush(tun);
    }
}

int main(int argc, char **argv) {
    tuo_tun_desc desc = { .no_vnet_hdr = 1, .mtu = 1472, .up = 1 };
    struct addrinfo *here = NULL;
    tuo_tun *tun;
    int i;
    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dev") == 0) desc.name = argv[i + 1];
        else if (strcmp(argv[i], "--address") == 0) desc.address4 = argv[i + 1];
        else if (strcmp(argv[i], "--address6") == 0) desc.address6 = argv[i + 1];
        else if (strcmp(argv[i], "--listen") == 0) here = resolve(argv[i + 1]);
        else if (strcmp(argv[i], "--peer") == 0) peer = resolve(argv[i + 1]);
    }
    if (i < argc) desc.no_vnet_hdr = strcmp(argv[i], "--tun-half") != 0;
    if (!here || !peer || tuo_tun_open(&tun, &desc, &errno) != TUO_OK) fail("naive_tunnel");
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    if (udp < 0 || bind(udp, here->ai_addr, here->ai_addrlen) < 0) fail("socket");
    fprintf(stderr, "naive_tunnel: %s is up\n", tuo_tun_name(tun));
    if (desc.no_vnet_hdr) naive(tun);
    else tun_half(tun);
    return 1;
}
