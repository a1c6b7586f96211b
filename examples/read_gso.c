/* read_gso - the core on a descriptor of your own: read superpackets from a TUN device and split them.
   cc -std=c99 -O2 -I.. -o read_gso read_gso.c
   Standard output gets IP packets without anything between them, as write_gro reads them. As root, a bridge:
   ./read_gso tun0 | ./write_gro tun1 &
   ip link set tun0 up; ip link set tun1 up */
#define _DEFAULT_SOURCE /* struct ifreq */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* The bytes of a packet are in packet->iov: new headers, then the payload where it was read. */
static void send_packet(const tuo_segment *packet) {
    for (size_t i = 0; i < packet->iov_count; i++)
        if (fwrite(packet->iov[i].base, packet->iov[i].len, 1, stdout) != 1) fail("standard output");
}

static int open_tun(const char *name) {
    const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    const unsigned udp = 0x60; /* TUN_F_USO4 | TUN_F_USO6: Linux 6.2 */
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), vnet_hdr_len = TUO_VNET_LEN;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (tun < 0) fail("/dev/net/tun");
    if (ioctl(tun, TUNSETIFF, &request) != 0 || ioctl(tun, TUNSETVNETHDRSZ, &vnet_hdr_len) != 0) fail(name);
    if (ioctl(tun, TUNSETOFFLOAD, tcp | udp) != 0 && ioctl(tun, TUNSETOFFLOAD, tcp) != 0) fail("TUNSETOFFLOAD");
    return tun;
}

/* Reads one packet or superpacket, and sends each packet in it. simd: TUO_F_SIMD(tuo_simd_best()). */
static tuo_result read_one(int tun, unsigned simd) {
    static uint8_t bytes[TUO_VNET_LEN + 65535];
    const ssize_t len = read(tun, bytes, sizeof bytes);
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment packet;
    if (len < 0) return errno == EINTR || errno == EAGAIN ? TUO_AGAIN : TUO_E_SYSTEM;
    tuo_result result = tuo_vnet_decode(bytes, (size_t)len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet);
    if (result == TUO_OK)
        result = tuo_gso_init(&gso, bytes + TUO_VNET_LEN, (size_t)len - TUO_VNET_LEN, &vnet, simd);
    if (result != TUO_OK) return result; /* vnet header and packet contradict each other */
    while (tuo_gso_next(&gso, NULL, &packet) == TUO_OK) send_packet(&packet); /* copy what shall stay */
    return TUO_OK;
}

int main(int argc, char **argv) {
    const int tun = open_tun(argc > 1 ? argv[1] : "tun0");
    const unsigned simd = TUO_F_SIMD(tuo_simd_best()); /* asks the processor, so only once */
    for (;;) {
        const tuo_result result = read_one(tun, simd);
        if (result == TUO_E_SYSTEM) fail("TUN device"); /* it was deleted, for instance */
        if (result < 0) fprintf(stderr, "read_gso: packet dropped: %s\n", tuo_result_text(result));
        if (fflush(stdout) != 0) fail("standard output");
    }
}
