/* naive_tunnel - what a tunnel costs without offloads: poll, one read, one sendto per packet; one recvfrom, one write. The options of
   examples/tunnel.c; the library opens and configures the device, and carries nothing. For tests/bench/tunnel.sh. */
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

int main(int argc, char **argv) {
    static uint8_t packet[65536];
    tuo_tun_desc desc = { .no_vnet_hdr = 1, .mtu = 1472, .up = 1 };
    struct addrinfo *here = NULL, *peer = NULL;
    struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
    tuo_tun *tun;
    ssize_t len;
    int i;
    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dev") == 0) desc.name = argv[i + 1];
        else if (strcmp(argv[i], "--address") == 0) desc.address4 = argv[i + 1];
        else if (strcmp(argv[i], "--address6") == 0) desc.address6 = argv[i + 1];
        else if (strcmp(argv[i], "--listen") == 0) here = resolve(argv[i + 1]);
        else if (strcmp(argv[i], "--peer") == 0) peer = resolve(argv[i + 1]);
    }
    if (!here || !peer || tuo_tun_open(&tun, &desc, &errno) != TUO_OK) fail("naive_tunnel");
    fds[0].fd = tuo_tun_fd(tun);
    fds[1].fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fds[1].fd < 0 || bind(fds[1].fd, here->ai_addr, here->ai_addrlen) < 0) fail("socket");
    fprintf(stderr, "naive_tunnel: %s is up\n", tuo_tun_name(tun));
    while (poll(fds, 2, -1) >= 0) {
        if (fds[0].revents) {
            if ((len = read(fds[0].fd, packet, sizeof packet)) < 0) fail("read");
            (void)sendto(fds[1].fd, packet, (size_t)len, 0, peer->ai_addr, peer->ai_addrlen);
        }
        if (fds[1].revents && (len = recvfrom(fds[1].fd, packet, sizeof packet, 0, NULL, NULL)) > 0) {
            if (write(fds[0].fd, packet, (size_t)len) < 0 && errno != EIO) fail("write");
        }
    }
    return 1;
}
