/* write_gro - the core on a descriptor of your own: coalesce packets and write them to a TUN device.
   cc -std=c99 -O2 -I.. -o write_gro write_gro.c
   Reads IP packets back to back from standard input, as read_gso writes them. As root, tun0 to tun1:
   ./read_gso tun0 | ./write_gro tun1 &
   ip link set tun0 up; ip link set tun1 up */
#define _DEFAULT_SOURCE /* struct ifreq, getrandom */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int open_tun(const char *name) {
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), vnet_hdr_len = TUO_VNET_LEN;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (tun < 0) fail("/dev/net/tun");
    if (ioctl(tun, TUNSETIFF, &request) != 0 || ioctl(tun, TUNSETVNETHDRSZ, &vnet_hdr_len) != 0) fail(name);
    return tun;
}

static tuo_gro *make_gro(void) {
    static uint64_t memory[8192]; /* or malloc(tuo_gro_memory_size(&desc)); nothing else is ever allocated */
    tuo_gro_desc desc = { 0 };
    tuo_gro *gro = NULL;
    if (getrandom(&desc.hash_seed, sizeof desc.hash_seed, 0) != sizeof desc.hash_seed) fail("getrandom");
    if (tuo_gro_init(&gro, memory, sizeof memory, &desc) != TUO_OK) fail("tuo_gro_init");
    return gro;
}

/* Writes one packet or superpacket, which a TUN device never writes in part. Returns 1 if it was refused. */
static size_t write_one(int tun, const tuo_iov *iov, size_t iov_count) {
    ssize_t len;
    while ((len = writev(tun, (const struct iovec *)iov, (int)iov_count)) < 0 && errno == EINTR) continue;
    return len < 0;
}

/* Writes a batch of any size. The caller has finished all checksums. Returns how many packets were refused. */
static size_t write_batch(int tun, tuo_gro *gro, tuo_buf *packets, size_t count) {
    static const uint8_t no_offload[TUO_VNET_LEN];
    size_t next = 0, refused = 0;
    while (next < count) {
        tuo_superpacket sp;
        for (; next < count; next++) {
            tuo_buf *p = &packets[next];
            if (tuo_gro_push(gro, p->data, p->len, p, 0) == TUO_V_NO_ROOM) break; /* drain, push again */
        }
        while (tuo_gro_next(gro, &sp) == TUO_OK) {
            if (write_one(tun, sp.iov, sp.iov_count) == 0) continue;
            for (size_t i = 0; i < sp.packet_count; i++) { /* refused: its packets one by one */
                const tuo_buf *p = sp.users[i];
                const tuo_iov iov[2] = { { no_offload, sizeof no_offload }, { p->data, p->len } };
                refused += write_one(tun, iov, 2);
            }
        }
    }
    return refused;
}

/* Length of the IP packet at bytes; 0 if fewer than all its bytes are there. */
static size_t packet_len(const uint8_t *bytes, size_t have) {
    size_t len = 0;
    if (have < 6) return 0;
    if (bytes[0] >> 4 == 4) len = (size_t)bytes[2] << 8 | bytes[3];
    if (bytes[0] >> 4 == 6) len = 40 + ((size_t)bytes[4] << 8 | bytes[5]);
    if (len < 20) errno = EBADMSG, fail("standard input");
    return len <= have ? len : 0;
}

int main(int argc, char **argv) {
    static uint8_t bytes[1 << 20];
    static tuo_buf packets[sizeof bytes / 20];
    const int tun = open_tun(argc > 1 ? argv[1] : "tun1");
    tuo_gro *const gro = make_gro();
    size_t have = 0, refused = 0;
    ssize_t got;
    while ((got = read(STDIN_FILENO, bytes + have, sizeof bytes - have)) > 0) { /* one read gives a batch */
        size_t at = 0, count = 0, len;
        have += (size_t)got;
        for (; (len = packet_len(bytes + at, have - at)) > 0; at += len)
            packets[count++] = (tuo_buf){ bytes + at, len, len };
        refused += write_batch(tun, gro, packets, count);
        memmove(bytes, bytes + at, have -= at); /* keep the first part of a packet */
    }
    if (refused) fprintf(stderr, "write_gro: %zu packets refused, the last one: %s\n", refused, strerror(errno));
    return got < 0 || have || refused;
}
