/* own_buffers - the TUN backend with a program's own kind of buffer: five callbacks describe it.
   cc -std=c99 -O2 -I.. -o own_buffers own_buffers.c
   Sends each packet back with its addresses exchanged: each address behind the device answers for this host. As root:
   ./own_buffers tun0 &
   ip addr add 10.9.0.1/24 dev tun0; ping 10.9.0.2 */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADROOM = 64, ROOM = HEADROOM + 9000, BATCH = 256 }; /* headroom: for headers of this program's own */

struct packet { /* what the rest of the program works with */
    uint32_t len; /* headroom included */
    uint8_t bytes[ROOM];
};

static uint8_t *packet_data(void *user, void *buf) {
    (void)user;
    return ((struct packet *)buf)->bytes;
}

static size_t packet_len(void *user, const void *buf) {
    (void)user;
    return ((const struct packet *)buf)->len;
}

static size_t packet_capacity(void *user, const void *buf) {
    (void)user, (void)buf;
    return ROOM;
}

static int packet_resize(void *user, void *buf, size_t len) {
    (void)user;
    if (len > ROOM) return -1;
    ((struct packet *)buf)->len = (uint32_t)len;
    return 0;
}

static int packet_append(void *user, void *buf, const uint8_t *bytes, size_t len) {
    struct packet *p = buf;
    const size_t old_len = p->len;
    if (packet_resize(user, p, old_len + len) != 0) return -1;
    memcpy(p->bytes + old_len, bytes, len);
    return 0;
}

static const tuo_buf_ops packet_ops = { NULL, packet_data, packet_len, packet_capacity, packet_resize, packet_append };

static void exchange_addresses(uint8_t *ip, size_t ip_len) {
    const size_t len = ip[0] >> 4 == 4 ? 4 : 16, at = len == 4 ? 12 : 8;
    uint8_t source[16];
    if (ip_len < at + 2 * len) return;
    memcpy(source, ip + at, len);
    memcpy(ip + at, ip + at + len, len);
    memcpy(ip + at + len, source, len);
}

static void stop_unless(int good, const char *what, tuo_result result, int error) {
    if (good) return;
    fprintf(stderr, "own_buffers: %s: %s\n", what, error ? strerror(error) : tuo_result_text(result));
    exit(1);
}

int main(int argc, char **argv) {
    static struct packet packets[BATCH];
    static void *bufs[BATCH];
    const tuo_tun_desc desc = { .name = argc > 1 ? argv[1] : "tun0", .up = 1, .blocking = 1 };
    tuo_tun *tun;
    tuo_result result;
    size_t count, taken, i;
    int error = 0;
    for (i = 0; i < BATCH; i++) bufs[i] = &packets[i];
    result = tuo_tun_open(&tun, &desc, &error);
    stop_unless(result == TUO_OK, "open", result, error);
    for (;;) {
        result = tuo_tun_recv_batch(tun, &packet_ops, bufs, BATCH, HEADROOM, &count); /* packets of wire size */
        if (result == TUO_E_NOSPACE) tuo_tun_recv_discard(tun); /* longer than ROOM: the MTU was raised */
        else stop_unless(result == TUO_OK || result == TUO_AGAIN, "receive", result, 0);
        for (i = 0; i < count; i++) exchange_addresses(packets[i].bytes + HEADROOM, packets[i].len - HEADROOM);
        result = tuo_tun_send_batch(tun, &packet_ops, bufs, count, HEADROOM, &taken); /* blocking: takes all */
        stop_unless(result == TUO_OK || result == TUO_E_DOWN, "send", result, 0); /* down: dropped and counted */
    }
}
