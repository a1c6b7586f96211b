/* packet_socket - the core without a TUN device: superpackets of a packet socket are split into frames.
   cc -std=c99 -O2 -I.. -o packet_socket packet_socket.c
   Frames of one interface leave through another, in sizes that fit the wire. As root, between two veth pairs:
   ./packet_socket veth1 veth2
   Not shown: VLAN tags, which the kernel takes off the frame (PACKET_AUXDATA has them). */
#define _DEFAULT_SOURCE /* SOL_PACKET */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int open_socket(const char *name, unsigned short protocol) { /* protocol 0: for sending only */
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), index = (int)if_nametoindex(name);
    const struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol),
                                         .sll_ifindex = index };
    if (fd < 0 || index == 0) fail(name);
    if (protocol) { /* superpackets want a large receive buffer; frames that leave are not wanted */
        const int yes = 1, room = 4 << 20;
        if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) != 0) fail("PACKET_VNET_HDR");
        if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) != 0) fail("PACKET_IGNORE_OUTGOING");
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) fail("SO_RCVBUFFORCE");
    }
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) fail(name);
    return fd;
}

/* Splits one frame with its vnet header, and sends what it stands for. */
static tuo_result forward(int out, const uint8_t *bytes, size_t len) {
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment frame;
    tuo_result result = tuo_vnet_decode(bytes, len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet);
    if (result == TUO_OK)
        result = tuo_gso_init(&gso, bytes + TUO_VNET_LEN, len - TUO_VNET_LEN, &vnet, TUO_F_ETHERNET);
    if (result != TUO_OK) return result;
    while (tuo_gso_next(&gso, NULL, &frame) == TUO_OK)
        if (writev(out, (const struct iovec *)frame.iov, (int)frame.iov_count) < 0) perror("frame lost");
    return TUO_OK;
}

int main(int argc, char **argv) {
    static uint8_t bytes[TUO_VNET_LEN + ETH_HLEN + 65535];
    int in, out;
    if (argc != 3) return fputs("usage: packet_socket IN OUT\n", stderr), 2;
    out = open_socket(argv[2], 0);
    in = open_socket(argv[1], ETH_P_ALL);
    for (;;) {
        const ssize_t len = recv(in, bytes, sizeof bytes, MSG_TRUNC); /* the true length */
        tuo_result result;
        if (len < 0) fail("receive");
        result = (size_t)len > sizeof bytes ? TUO_E_NOSPACE : forward(out, bytes, (size_t)len);
        if (result != TUO_OK) fprintf(stderr, "packet_socket: frame lost: %s\n", tuo_result_text(result));
    }
}
