/* tun_works.h - does a device do its work, both ways? Include it after tunoffload.h, packets.h and interfaces.h. */
#ifndef TUN_WORKS_H
#define TUN_WORKS_H

enum { WORKS_FRAME_MAX = 65535 + 64, WORKS_WAIT_MS = 10000 };

static uint16_t works_serial;

/* A packet that was not sent before. */
static inline size_t works_packet(uint8_t *bytes, size_t capacity, int tap)
{
    pkt_spec spec;

    memset(&spec, 0, sizeof spec);
    spec.kind = PKT_UDP4;
    spec.src = 7;
    spec.dst = 5;
    spec.ethernet = (uint8_t)tap;
    spec.ip_id = ++works_serial;
    spec.payload_seed = works_serial;
    return pkt_build(bytes, capacity, &spec);
}

/* Does one of these queues read these bytes? What else comes (the kernel talks on a device that is up) is passed over. */
static inline int works_read(tuo_tun *const *queues, size_t count, const uint8_t *bytes, size_t len)
{
    static uint8_t got[WORKS_FRAME_MAX];
    struct pollfd pollers[8];
    tuo_vnet_hdr vnet;
    size_t i, n = 0;

    for (;;) {
        for (i = 0; i < count && i < CHECK_COUNT_OF(pollers); i++) {
            pollers[i].fd = tuo_tun_fd(queues[i]);
            pollers[i].events = POLLIN;
            while (tuo_tun_recv(queues[i], got, sizeof got, &vnet, &n) == TUO_OK)
                if (n == len && memcmp(got, bytes, len) == 0)
                    return 1;
        }
        if (poll(pollers, (nfds_t)i, WORKS_WAIT_MS) <= 0)
            return 0;
    }
}

/* Each queue of this device writes a packet, and one of them reads what the kernel sends. The interface is up. */
static inline int tun_works(tuo_tun *const *queues, size_t count, int tap, peer p)
{
    uint8_t bytes[512];
    size_t i, len;
    int ok = CHECK(p.fd >= 0 && p.index > 0);

    for (i = 0; ok && i < count; i++) {
        len = works_packet(bytes, sizeof bytes, tap);
        ok = CHECK_RESULT(tuo_tun_send(queues[i], bytes, len), TUO_OK) && CHECK(peer_receives(p, bytes, len, WORKS_WAIT_MS));
    }
    len = works_packet(bytes, sizeof bytes, tap);
    return ok && CHECK(peer_sends(p, bytes, len, 0)) && CHECK(works_read(queues, count, bytes, len));
}

#endif /* TUN_WORKS_H */
