/* make_seeds.c - writes the first inputs of the fuzz targets: `make_seeds CAPTURES OUT` makes a directory of each target (see main) in
   OUT. The packets are built here, one per header layout, and taken from each .pcap file in CAPTURES, a few of each; long ones are
   cut, because a fuzzer gets further with short inputs. */
#define _POSIX_C_SOURCE 200809L /* scandir */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../tunoffload.h"

#include "../tests/lib/packets.h"
#include "../tests/lib/tunnels.h"

enum {
    PACKET_LEN_MAX = 2048, /* longer ones are cut to their headers; the gso target adds the payload itself */
    PER_CAPTURE = 12,      /* packets taken from one capture */
    VNET_LEN = 10,
    LINK_ETHERNET = 1,
    LINK_RAW = 101,
    LINK_USER0 = 147       /* vnet header in host order, then an IP packet */
};

static const char *out_dir;
static unsigned seed_count;

static void die(const char *what, const char *name)
{
    fprintf(stderr, "make_seeds: %s: %s\n", name, what);
    exit(2);
}

/* OUT/sub, and whatever directories lead there. */
static void make_dir(const char *sub)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", out_dir, sub);
    for (char *p = path; *p != '\0'; p++) {
        if (p[1] == '/' || p[1] == '\0') {
            char next = p[1];
            p[1] = '\0';
            if (mkdir(path, 0777) != 0 && errno != EEXIST) {
                die(strerror(errno), path);
            }
            p[1] = next;
        }
    }
}

static const char *seed_prefix = "seed"; /* "edge": stays, although libFuzzer sees nothing new in it (renew_seeds.sh) */

/* One seed of a target: what the target reads first, then bytes. */
static void write_seed(const char *target, const uint8_t *front, size_t front_len, const uint8_t *bytes, size_t len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/%s-%03u", out_dir, target, seed_prefix, seed_count++);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(front, 1, front_len, file) != front_len || fwrite(bytes, 1, len, file) != len ||
        fclose(file) != 0) {
        die("cannot be written", path);
    }
}

/* Bytes of headers, and the GSO type that fits; 0 if there is none. */
static size_t header_len(const uint8_t *pkt, size_t len, int ethernet, uint8_t *gso_type)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 1);
    if (!pkt_has_l4(&v)) {
        return 0;
    }
    *gso_type = v.proto == PKT_PROTO_UDP ? 5 : v.version == 4 ? 1 : 4;
    return v.payload;
}

static void put_native16(uint8_t *p, size_t value)
{
    uint16_t v = (uint16_t)value;
    memcpy(p, &v, sizeof v);
}

/* A vnet header for this packet, 10 bytes in host order; csum fields as NEEDS_CSUM wants them. */
static void make_vnet(uint8_t *vnet, const uint8_t *pkt, size_t len, int ethernet, uint8_t gso_type, unsigned gso_size)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 1);
    memset(vnet, 0, VNET_LEN);
    vnet[0] = 1;
    vnet[1] = gso_type;
    put_native16(vnet + 2, v.payload);
    put_native16(vnet + 4, gso_size);
    put_native16(vnet + 6, v.l4);
    put_native16(vnet + 8, v.proto == PKT_PROTO_UDP ? 6 : 16);
}

/* Seeds of the ladder: headers only, to which the target adds payload; devices and sizes go round, so that each layout of headers meets
   each of them once in a while. See fuzz_caps.c. */
static void caps_seeds_of_packet(const uint8_t *pkt, size_t len, int ethernet, size_t headers)
{
    enum { FRONT = 33, DEVICES = 7, EXTRAS = 3 };
    static const struct {
        uint8_t switches[2];
        uint16_t largest; /* with 128 in the second byte of switches: 0x8000 is the length of the packet */
        uint16_t min_seg_size, max_seg_size;
        uint8_t max_segs;
    } devices[DEVICES] = {
        {{0x00, 0}, 0, 0, 0, 0},                 /* does nothing */
        {{0x3e, 0}, 16383, 0, 0, 0},             /* virtio */
        {{0xff, 8}, 16384, 0, 0, 0},             /* virtio with everything, and length 0 */
        {{0x5f, 1 | 4}, 0xffff, 64, 9000, 40},   /* NIC, any length */
        {{0x1f, 128 | 1 | 8 | 32}, 0x7fff, 0, 0, 0}, /* NIC, one byte too small, contiguous */
        {{0xde, 128 | 2 | 64}, 0x8000, 0, 0, 3}, /* just as large as the packet, three segments, two pieces */
        {{0x5e, 4}, 1000, 0, 0, 0},              /* 4000 bytes at a time */
    };
    static const unsigned extras[EXTRAS] = {700, 10000, 36000}; /* in units of two bytes */
    static unsigned round;
    uint8_t front[FRONT] = {0};
    unsigned device = round % DEVICES, extra = round / DEVICES % EXTRAS;
    round++;
    front[0] = (uint8_t)(ethernet | (round % 4 == 3 ? 16 : round % 5 == 4 ? 8 : round % 6 == 5 ? 4 : 2));
    memcpy(front + 1, devices[device].switches, 2);
    for (int i = 0; i < 4; i++) {
        pkt_put16(front + 3 + 2 * i, devices[device].largest);
    }
    pkt_put16(front + 11, devices[device].min_seg_size);
    pkt_put16(front + 13, devices[device].max_seg_size);
    front[15] = front[16] = devices[device].max_segs;
    front[17] = 1;
    front[19] = (uint8_t)(round % 9 == 0 ? 0x80 : 0);
    pkt_put16(front + 20, 536 + round % 1400);
    front[26] = (uint8_t)(round % 3 == 0 ? 6 : 0);
    front[27] = (uint8_t)(round % 3 == 1 || ethernet ? 1 : 0);
    front[28] = (uint8_t)(round % 11 == 5 ? headers - round % 2 : 0);
    if (round % 5 == 2) {
        front[27] |= 2;
        pkt_put16(front + 29, (unsigned)headers - (ethernet ? 14 : 0));
    }
    pkt_put16(front + 31, extras[extra]);
    write_seed("caps", front, FRONT, pkt, headers);
    if (round % 4 == 0) { /* as it is, with a partial checksum that only the vnet header knows of */
        memset(front + 18, 0, FRONT - 18);
        front[0] = (uint8_t)ethernet;
        front[18] = 1;
        pkt_put16(front + 22, (unsigned)(headers > 20 ? headers - 20 : 0));
        pkt_put16(front + 24, 16);
        write_seed("caps", front, FRONT, pkt, len);
    }
}

/* A device that hands out this packet three times: headers only, to which the target adds payload; an error; as it is, with the vnet
   header; and without offloads. See fuzz_tun_read.c. */
static void tun_read_seeds_of_packet(const uint8_t *pkt, size_t len, int ethernet, size_t headers, const uint8_t *vnet)
{
    enum { FRONT = 3, EXTRA = 8, CONSISTENT = 16, ERRNO = 6 };
    static uint8_t bytes[2 * PACKET_LEN_MAX + 4 * VNET_LEN];
    static unsigned round;
    uint8_t front[FRONT] = {0}, *p = bytes;
    round++;
    front[0] = (uint8_t)((ethernet ? 32 : 0) | round % 2 * 64);
    front[1] = (uint8_t)round;
    if (headers > 0) {
        *p++ = EXTRA | CONSISTENT;
        pkt_put16(p, (unsigned)(VNET_LEN + headers));
        pkt_put16(p + 2, 1000 + round % 5 * 2000);
        memset(p + 4, 0, VNET_LEN);
        memcpy(p + 4 + VNET_LEN, pkt, headers);
        p += 4 + VNET_LEN + headers;
    }
    *p++ = (uint8_t)(ERRNO + round % 2 + round % 8 * 8);
    *p++ = 0;
    pkt_put16(p, (unsigned)(VNET_LEN + len));
    pkt_put16(p + 2, 0);
    memset(p + 4, 0, VNET_LEN);
    if (vnet != NULL) {
        memcpy(p + 4, vnet, VNET_LEN);
    }
    memcpy(p + 4 + VNET_LEN, pkt, len);
    p += 4 + VNET_LEN + len;
    write_seed("tun_read", front, FRONT, bytes, (size_t)(p - bytes));
}

/* A program that sends this packet to a device: in a batch, twice; alone, with the vnet header; each time an error comes first. Of every
   third packet: packets are not what that target is about. See fuzz_tun_write.c. */
static void tun_write_seeds_of_packet(const uint8_t *pkt, size_t len, int ethernet, const uint8_t *vnet)
{
    enum { FRONT = 8, BATCH_OF_2 = 8, REACT = 2, ALONE = 4, WITH_HDR = 8, FLUSH = 7 };
    static uint8_t bytes[3 * PACKET_LEN_MAX + 64];
    static unsigned round;
    uint8_t front[FRONT] = {0}, *p = bytes;
    if (round++ % 3 != 0) {
        return;
    }
    front[0] = (uint8_t)(round % 4 | (ethernet ? 32 : 0) | round / 4 % 4 * 64);
    front[1] = (uint8_t)(round * 5 % 64);
    front[2] = (uint8_t)round;
    *p++ = REACT;
    *p++ = (uint8_t)(4 + round / 3 % 12);
    *p++ = BATCH_OF_2;
    for (int i = 0; i < 2; i++) {
        *p++ = 0;
        pkt_put16(p, (unsigned)len);
        memcpy(p + 2, pkt, len);
        p += 2 + len;
    }
    *p++ = FLUSH;
    if (vnet != NULL) {
        *p++ = REACT;
        *p++ = (uint8_t)(4 + round / 2 % 12);
        *p++ = ALONE | WITH_HDR;
        memcpy(p, vnet, VNET_LEN);
        pkt_put16(p + VNET_LEN, (unsigned)len);
        memcpy(p + VNET_LEN + 2, pkt, len);
        p += VNET_LEN + 2 + len;
    }
    write_seed("tun_write", front, FRONT, bytes, (size_t)(p - bytes));
}

/* The seeds that one packet gives; vnet (10 bytes in host order) may be NULL. */
static void seeds_of_packet(const uint8_t *pkt, size_t len, int ethernet, const uint8_t *vnet)
{
    uint8_t front[16] = {0}, made[VNET_LEN], gso_type = 0;
    size_t headers = header_len(pkt, len, ethernet, &gso_type);
    size_t short_len = len < PACKET_LEN_MAX ? len : headers;
    if (short_len == 0) {
        return;
    }
    front[0] = (uint8_t)ethernet;
    write_seed("parse", front, 5, pkt, short_len);
    if (vnet == NULL && headers > 0) {
        make_vnet(made, pkt, len, ethernet, gso_type, 1000);
        vnet = made;
    }
    if (vnet != NULL) {
        memcpy(front + 2, vnet, VNET_LEN); /* layout 0, native order */
        write_seed("vnet_header", front, 2 + VNET_LEN, pkt, short_len);
    }
    memset(front, 0, sizeof front);
    if (headers > 0) { /* gso: headers only; the target adds the payload and makes both fit */
        front[0] = (uint8_t)((seed_count % 3 == 0 ? 32 : 8) | ethernet);
        front[1] = (uint8_t)seed_count;
        pkt_put16(front + 4, 100 + seed_count % 1400);
        pkt_put16(front + 10, (unsigned)(len - headers > 3000 ? len - headers : 3000));
        write_seed("gso", front, 12, pkt, headers);
    }
    memset(front, 0, sizeof front);
    front[0] = (uint8_t)ethernet;
    write_seed("gso", front, 12, pkt, short_len);
    if (headers > 0) { /* gso: as it is, cut into small segments */
        pkt_view v = pkt_look(pkt, len, ethernet, 1);
        front[2] = 1;
        front[3] = gso_type;
        pkt_put16(front + 4, 9);
        pkt_put16(front + 6, (unsigned)v.l4);
        pkt_put16(front + 8, v.proto == PKT_PROTO_UDP ? 6 : 16);
        write_seed("gso", front, 12, pkt, short_len);
    }
    caps_seeds_of_packet(pkt, short_len, ethernet, headers > 0 ? headers : short_len);
    tun_read_seeds_of_packet(pkt, short_len, ethernet, headers, vnet);
    tun_write_seeds_of_packet(pkt, short_len, ethernet, vnet);
    memset(front, 0, sizeof front);
    front[0] = (uint8_t)(ethernet << 6);
    pkt_put16(front + 6, (unsigned)short_len);
    write_seed("gro", front, 8, pkt, short_len); /* 5 bytes of configuration, op 0, length */
}

/* ---------------------------------------------------------------------------------------------------- what is built here */

static const uint8_t nops[8] = {1, 1, 1, 1, 1, 1, 1, 1};

static void seeds_of_specs(void)
{
    static const char *const chains[] = {NULL, "H", "HD", "R", "r", "F", "f", "A", "E", "U", "DDDDDDDD", "DDDDDDDDD"};
    static uint8_t pkt[PACKET_LEN_MAX];
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (size_t chain = 0; chain < sizeof chains / sizeof chains[0]; chain++) {
            pkt_spec s;
            memset(&s, 0, sizeof s);
            s.kind = (pkt_kind)kind;
            s.payload_len = 24;
            s.ext_chain = pkt_is_v6(&s) ? chains[chain] : NULL;
            s.ip_options = nops;
            s.ip_options_len = (uint8_t)(chain % 3 * 4);
            s.tcp_options = nops;
            s.tcp_options_len = (uint8_t)(chain % 2 * 8);
            s.frag = chain == 3 ? 0x2000 : chain == 4 ? 1 : 0;
            s.vlan_count = (uint8_t)(chain % 6);
            s.ethernet = chain > 5;
            s.trailer_len = chain == 7 ? 9 : 0;
            s.l4_csum_zero = chain == 8;
            s.udp_len = chain == 9 ? 20 : 0;
            size_t len = pkt_build(pkt, sizeof pkt, &s);
            if (len == 0) {
                die("a packet is too long", "seeds_of_specs");
            }
            seeds_of_packet(pkt, len, pkt_is_ethernet(&s), NULL);
        }
    }
}

/* GRO scripts: eight in order of each flow, each variation between them; see fuzz_gro.c. */
static void seeds_of_scripts(void)
{
    enum { WHATS = 33, DRAIN = 16, PARTIAL = 24, RESET = 30, CONFIGURE = 31 };
    for (unsigned what = 0; what < WHATS; what++) {
        uint8_t script[96] = {0}, *p = script + 5;
        script[0] = (uint8_t)(what % 5 == 4 ? 1u << what % 8 : 0);
        script[2] = (uint8_t)(what % 7 == 6 ? what * 37 : 0);
        script[3] = (uint8_t)(what % 6 == 5 ? what * 29 : 0);
        script[4] = (uint8_t)(what * 13);
        for (unsigned flow = 0; flow < 8; flow++) {
            *p++ = (uint8_t)(96 + flow);  /* three that follow each other */
            *p++ = 0;
            *p++ = (uint8_t)(32 + flow);  /* one that differs */
            *p++ = (uint8_t)what;
            *p++ = (uint8_t)(what + flow * 16);
            *p++ = (uint8_t)(64 + flow);  /* two more */
            *p++ = 0;
        }
        *p++ = what % 2 != 0 ? PARTIAL : DRAIN;
        if (what % 4 == 1) {
            *p++ = RESET;
        } else if (what % 4 == 2) {
            *p++ = CONFIGURE;
            *p++ = (uint8_t)(1u << what % 8);
            p += 2;
            *p++ = (uint8_t)(what * 3);
            *p++ = (uint8_t)what;
        }
        *p++ = (uint8_t)(224 + what % 8);
        *p++ = 0;
        write_seed("gro", script, (size_t)(p - script), script, 0);
    }
}

/* Sending to a TUN device: for each error, batches of superpackets that meet it at the first, the second, the third write; a packet from
   its parts; and what the held rest then is used for. See fuzz_tun_write.c. */
static void seeds_of_sending(void)
{
    enum { FRONT = 8, ERRORS = 12, AGAIN = 4, REFUSED = 6 };
    enum { BATCH = 8, BATCH_OF_3 = 16, REACT = 2, LARGE = 20, PARTS = 5, CONFIGURE = 6, PROBE = 30, FLUSH = 7, DISCARD = 31 };
    for (unsigned n = 0; n < 5 * ERRORS; n++) {
        uint8_t front[FRONT] = {0}, steps[96], *p = steps;
        unsigned error = AGAIN + n % ERRORS, position = n / ERRORS;
        front[0] = (uint8_t)(n % 7 | n / 5 % 4 * 64 | n / 3 % 3 * 8);
        front[1] = (uint8_t)(n % 4 | n / 6 % 8 * 16);
        front[2] = (uint8_t)(n * 11);
        front[7] = (uint8_t)(n % 4);
        *p++ = REACT | 3 * 8;
        *p++ = (uint8_t)(position > 1 ? REFUSED : 0);
        *p++ = (uint8_t)(position % 2 != 0 ? 0 : error);
        *p++ = (uint8_t)error;
        *p++ = (uint8_t)(n % 5 == 4 ? 0x30 | REFUSED : 0x10 | AGAIN);
        *p++ = BATCH_OF_3;
        for (unsigned flow = 0; flow < 3; flow++) {
            *p++ = (uint8_t)(128 + (flow + n) % 8); /* four that follow each other */
            *p++ = 0;
        }
        *p++ = n % 3 == 0 ? FLUSH : BATCH; /* which goes on with what was held */
        if (n % 3 != 0) {
            *p++ = (uint8_t)(64 + n % 8);
            *p++ = 0;
            *p++ = (uint8_t)(96 + n % 8);
            *p++ = (uint8_t)(n % 16);
            *p++ = (uint8_t)n;
        }
        *p++ = n % 8 == 7 ? DISCARD : FLUSH;
        *p++ = REACT | 2 * 8;
        *p++ = REFUSED;
        *p++ = (uint8_t)(position * 16);
        *p++ = (uint8_t)error;
        *p++ = n % 2 != 0 ? LARGE : PARTS;
        *p++ = (uint8_t)n;
        pkt_put16(p, 900 * (n % 6));
        pkt_put16(p + 2, 700);
        p += 4;
        *p++ = (uint8_t)(n % 4);
        *p++ = (uint8_t)n;
        *p++ = n % 4 == 0 ? PROBE : n % 4 == 1 ? CONFIGURE : FLUSH;
        memset(p, 0, 5);
        p += n % 4 == 1 ? 5 : 0;
        *p++ = BATCH;
        *p++ = (uint8_t)(224 + n % 8);
        *p++ = 0;
        write_seed("tun_write", front, FRONT, steps, (size_t)(p - steps));
    }
}

/* An event loop that reads: plain packets and superpackets in rounds of any length, empty reads between them, and superpackets of more
   bytes than a round has. See fuzz_tun_read.c. */
static void seeds_of_rounds(void)
{
    enum { FRONT = 3, FRAMES = 12, EXTRA = 8, CONSISTENT = 16, ERRNO = 6, SMALL_ROUNDS = 128 };
    static uint8_t bytes[FRAMES * (6 + VNET_LEN + 80)];
    for (unsigned n = 0; n < 24; n++) {
        uint8_t front[FRONT] = {0}, *p = bytes;
        unsigned frames = n % 6 == 5 ? 6 : FRAMES;
        front[0] = (uint8_t)(n % 4 == 3 ? 64 : n % 2 * SMALL_ROUNDS);
        front[1] = (uint8_t)(n * 11);
        for (unsigned i = 0; i < frames; i++) {
            int is_large = n % 6 == 5 || (i * (n + 1)) % 5 == 4;
            pkt_spec s;
            memset(&s, 0, sizeof s);
            s.kind = (pkt_kind)((n + i) % PKT_KIND_COUNT);
            s.payload_len = is_large ? PKT_ZERO : 9;
            *p++ = (uint8_t)((is_large ? EXTRA | CONSISTENT : 0) | (i + n) % 8 << 5);
            uint8_t *lengths = p;
            memset(p, 0, 4 + VNET_LEN);
            p += 4 + VNET_LEN;
            size_t len = pkt_build(p, 80, &s);
            pkt_put16(lengths, (unsigned)(VNET_LEN + len));
            pkt_put16(lengths + 2, is_large ? (n % 6 == 5 ? 60000 : 3000 + 100 * i) : 0);
            p += len;
            if (i % (1 + n % 3) == 0) {
                *p++ = (uint8_t)(ERRNO | (i + n) % 4 << 6); /* EAGAIN */
            }
        }
        write_seed("tun_read", front, FRONT, bytes, (size_t)(p - bytes));
    }
}

/* An event loop that sends: for each error, buffers that are held and hold something else by the next call, alone and of a refused
   superpacket; and pushes that fill the memory or the batch while that error is all that the device gives. See fuzz_tun_write.c. */
static void seeds_of_loops(void)
{
    enum { FRONT = 8, ERRORS = 12, AGAIN = 4, REFUSED = 6, HOLDS = 0x40, LITTLE = 0x80, LARGE_ONE = 16, GAP = 1 };
    enum { REACT = 2, BATCH = 8, PUSH_3 = 81, PUSH_3_CUT = 209, CHANGE = 47, INJECT = 86, TOO_LONG = 79, FLUSH = 7, ALONE = 20 };
    for (unsigned n = 0; n < 4 * ERRORS; n++) {
        uint8_t front[FRONT] = {0}, steps[128], *p = steps;
        unsigned error = AGAIN + n % ERRORS, flow = n % 16;
        front[0] = (uint8_t)(n % 9 == 8 ? 32 : n % 5);
        front[2] = (uint8_t)(n * 16);
        front[7] = (uint8_t)(n / ERRORS % 2 * HOLDS);
        *p++ = REACT | 3 * 8;
        *p++ = n / ERRORS > 1 ? REFUSED : 0; /* the first superpacket: its packets leave singly */
        *p++ = 0;
        *p++ = (uint8_t)error;
        *p++ = AGAIN;
        *p++ = BATCH;
        *p++ = (uint8_t)(128 + flow); /* four that follow each other, of two flows */
        *p++ = 0;
        *p++ = (uint8_t)(128 + (flow + 1) % 16);
        *p++ = 0;
        for (unsigned i = 0; i < 2; i++) {
            *p++ = CHANGE;
            *p++ = (uint8_t)(n * 5 + i * 3 + i * 64);
            *p++ = (uint8_t)(n + i * 5);
            *p++ = (uint8_t)(n % 8 == 3 ? 63 : n * 3);
        }
        *p++ = n % 2 != 0 ? FLUSH : PUSH_3;
        for (unsigned i = 0; i < 3 && n % 2 == 0; i++) {
            *p++ = (uint8_t)(64 + flow);
            *p++ = 0;
        }
        *p++ = INJECT;
        *p++ = (uint8_t)n;
        *p++ = FLUSH;
        write_seed("tun_write", front, FRONT, steps, (size_t)(p - steps));
    }
    for (unsigned n = 0; n < 4 * ERRORS; n++) {
        uint8_t front[FRONT] = {0}, steps[128], *p = steps;
        unsigned error = AGAIN + n % ERRORS, flow = n % 16, by_memory = n / ERRORS % 2;
        front[0] = (uint8_t)(n % 9 == 8 ? 32 : n % 5);
        front[7] = (uint8_t)(by_memory != 0 ? LITTLE | HOLDS : 3); /* 16 packets */
        *p++ = PUSH_3_CUT;
        for (unsigned i = 0; i < 3; i++) { /* 15 packets, or 60000 bytes */
            *p++ = (uint8_t)((by_memory != 0 ? 32 + LARGE_ONE : 160) + flow);
            *p++ = by_memory != 0 ? GAP : 0;
            if (by_memory != 0) {
                *p++ = 55;
            }
        }
        *p++ = REACT | 2 * 8;
        *p++ = n / ERRORS > 1 ? 0 : (uint8_t)error;
        *p++ = (uint8_t)(0x10 | error);
        *p++ = (uint8_t)(n / ERRORS > 1 ? 0x30 | AGAIN : 0);
        for (unsigned i = 0; i < 2; i++) {
            *p++ = i == 0 ? PUSH_3 : PUSH_3_CUT;
            *p++ = (uint8_t)(64 + flow);
            *p++ = 0;
            *p++ = (uint8_t)((by_memory != 0 ? 32 + LARGE_ONE : 64) + flow);
            *p++ = GAP;
            *p++ = 40;
            *p++ = (uint8_t)(96 + (flow + 1) % 16);
            *p++ = 0;
        }
        *p++ = n % 3 == 0 ? INJECT : n % 3 == 1 ? TOO_LONG : FLUSH;
        *p++ = n % 3 == 0 ? (uint8_t)n : FLUSH;
        if (n % 4 == 3) { /* the rest of a resend, and a push behind it */
            *p++ = REACT | 2 * 8;
            *p++ = REFUSED;
            *p++ = 0;
            *p++ = AGAIN;
            *p++ = ALONE;
            *p++ = (uint8_t)(flow % 2);
            pkt_put16(p, 4000);
            pkt_put16(p + 2, 700);
            memset(p + 4, 0, 2);
            p += 6;
            *p++ = PUSH_3;
            for (unsigned i = 0; i < 3; i++) {
                *p++ = (uint8_t)(64 + (flow + i) % 16);
                *p++ = 0;
            }
            *p++ = REACT;
            *p++ = (uint8_t)error;
            *p++ = FLUSH;
        }
        *p++ = BATCH;
        *p++ = (uint8_t)(64 + flow);
        *p++ = 0;
        *p++ = (uint8_t)(64 + flow);
        *p++ = 0;
        write_seed("tun_write", front, FRONT, steps, (size_t)(p - steps));
    }
}

/* Inputs at the edge of what is allowed, on either side of it: one number away from a check that coverage cannot see the need of. */
static void edges_of_lengths(void)
{
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (unsigned off_by = 0; off_by < 3; off_by++) { /* one too few, just right, one too many */
            static uint8_t pkt[PACKET_LEN_MAX];
            uint8_t front[2 + VNET_LEN] = {0};
            pkt_spec s;
            memset(&s, 0, sizeof s);
            s.kind = (pkt_kind)kind;
            s.payload_len = 24;
            s.udp_len = (int32_t)(31 + off_by);
            size_t len = pkt_build(pkt, sizeof pkt, &s);
            pkt_put16(front + 1, (unsigned)len);
            pkt_put16(front + 3, (off_by + 65533) & 0xffff);
            write_seed("parse", front, 5, pkt, len);
            memset(front, 0, sizeof front);
            front[2] = 1; /* NEEDS_CSUM, no GSO type: any place within the packet */
            put_native16(front + 8, len - 20);
            put_native16(front + 10, 17 + off_by);
            write_seed("vnet_header", front, sizeof front, pkt, len);
            if (pkt_is_v6(&s)) {
                pkt_put16(pkt + 4, (unsigned)(len - 41 + off_by));
            } else {
                pkt_put16(pkt + 2, (unsigned)(len - 1 + off_by));
                pkt_fix_ip_checksum(pkt, &(pkt_view){.version = 4, .ip = 0, .l4 = 20});
            }
            write_seed("parse", front + 3, 5, pkt, len);
        }
    }
}

/* Sums so long that the lanes of vectors would overflow if they were not added up in between. */
static void edges_of_sums(void)
{
    uint8_t front[11] = {0};
    front[8] = 224 + 12 + 1; /* ones, in units of 9 bytes */
    pkt_put16(front + 9, 65535);
    write_seed("checksum", front, sizeof front, front, 1);
}

/* GRO: datagrams without checksum among others; TCP segments of odd length, late ones, trusted ones that are wrong; each with
   merge_zero_csum4 and with finish_checksum. */
static void edges_of_switches(void)
{
    enum { GAP = 1, LATE = 2, LONG = 7, ZERO_CSUM = 23, POKE_TRUSTED = 31 };
    for (unsigned i = 0; i < 16; i++) {
        static const uint8_t records[][3] = {{96, LONG, 1}, {64, ZERO_CSUM, 0}, {32, ZERO_CSUM, 0}, {32, LONG, 1}, {32, GAP, 99}, {32, LATE, 0},
                                             {64, LONG, 1}, {32, POKE_TRUSTED, 79}, {64, LONG, 1}};
        uint8_t script[64] = {0}, *p = script + 5;
        script[1] = i < 8 ? 0x03 : 0x0c;
        for (size_t k = 0; k < sizeof records / sizeof *records; k++) {
            *p++ = (uint8_t)(records[k][0] + i % 8);
            *p++ = records[k][1];
            *p++ = records[k][2];
        }
        write_seed("gro", script, (size_t)(p - script), script, 0);
    }
}

/* GRO: a switch that the next configuration takes back, and packets that would show if it were still on; a reset while flows are open. */
static void edges_of_scripts(void)
{
    enum { POKE = 10, POKE_TRUSTED_L4 = 32, CONFIGURE = 31, RESET = 30, DRAIN = 16 };
    for (unsigned flow = 0; flow < 8; flow++) {
        uint8_t script[64] = {0}, *p = script + 5;
        script[0] = 0x30; /* trust_checksums */
        *p++ = (uint8_t)(96 + flow);
        *p++ = 0;
        *p++ = DRAIN;
        *p++ = CONFIGURE;
        p += 5;
        for (unsigned i = 0; i < 3; i++) {
            *p++ = (uint8_t)(64 + flow);
            *p++ = 0;
            *p++ = (uint8_t)(32 + flow);
            *p++ = (uint8_t)(i == 0 ? POKE : POKE_TRUSTED_L4); /* one byte changes: in the payload, or in an IPv4 address */
            *p++ = (uint8_t)(i == 0 ? 79 : 15);
            *p++ = (uint8_t)(32 + flow);
            *p++ = 0;
            *p++ = i == 2 ? DRAIN : RESET;
        }
        *p++ = (uint8_t)(96 + flow);
        *p++ = 0;
        write_seed("gro", script, (size_t)(p - script), script, 0);
    }
}

/* GRO in tunnels: for each flow that is in one, three in a row, one whose outer headers differ, one that is short, two more; see
   fuzz_gro.c, tunnel_of. */
static void edges_of_tunnel_scripts(void)
{
    enum { SHORT = 6, WHATS = 20, DRAIN = 16 };
    for (unsigned n = 0; n < 2 * WHATS; n++) {
        uint8_t script[160] = {0}, *p = script + 5;
        unsigned what = n % WHATS, tap = n / WHATS;
        script[0] = (uint8_t)(tap << 6 | (unsigned)(n % 3 == 2) << 4 | n % 4 << 2); /* Ethernet; for a TUN device; IDs */
        script[1] = (uint8_t)(n % 4 << 3);                                /* forms of tunnels */
        script[4] = 15;
        for (unsigned i = 0; i < 8; i++) {
            unsigned flow = (i & 3) | 4 | (i & 4) << 1;
            *p++ = (uint8_t)(96 + flow);
            *p++ = 0;
            *p++ = 0;
            *p++ = (uint8_t)(32 + flow);
            *p++ = 0;
            *p++ = (uint8_t)(what | i % 8 << 5);
            *p++ = (uint8_t)(32 + flow);
            *p++ = SHORT;
            *p++ = 49;
            *p++ = 0;
            *p++ = (uint8_t)(64 + flow);
            *p++ = 0;
            *p++ = 0;
        }
        *p++ = DRAIN;
        write_seed("gro", script, (size_t)(p - script), script, 0);
    }
}

/* Reading: rounds of a few packets, and one of more bytes than a round may have. To the large packets the target adds payload. */
static void edges_of_rounds(void)
{
    enum { FRONT = 3, EXTRA = 8, SMALL_ROUNDS = 128 };
    static uint8_t bytes[12 * (5 + VNET_LEN + 80)];
    for (unsigned n = 0; n < 4; n++) {
        uint8_t front[FRONT] = {0}, *p = bytes;
        int is_large = n % 2 != 0;
        front[0] = is_large ? 0 : SMALL_ROUNDS;
        front[1] = (uint8_t)(1 + n * 4);
        for (unsigned i = 0; i < (is_large ? 6u : 12u); i++) {
            pkt_spec s;
            memset(&s, 0, sizeof s);
            s.kind = PKT_UDP4;
            s.payload_len = 9;
            uint8_t *pkt = p + 5 + VNET_LEN;
            size_t len = pkt_build(pkt, 80, &s);
            memset(p, 0, 5 + VNET_LEN);
            *p = is_large ? EXTRA : 0;
            pkt_put16(p + 1, (unsigned)(VNET_LEN + len));
            pkt_put16(p + 3, is_large ? 60000 : 0);
            p = pkt + len;
        }
        write_seed("tun_read", front, FRONT, bytes, (size_t)(p - bytes));
    }
}

/* 24 bytes of vnet header, in host order. */
static void put_tunnel_vnet(uint8_t *p, const tuo_vnet_hdr *vnet)
{
    memset(p, 0, TUO_VNET_LEN_TUNNEL);
    p[0] = vnet->flags;
    p[1] = vnet->gso_type;
    put_native16(p + 2, vnet->hdr_len);
    put_native16(p + 4, vnet->gso_size);
    put_native16(p + 6, vnet->csum_start);
    put_native16(p + 8, vnet->csum_offset);
    p[20] = (uint8_t)vnet->outer_th_offset; /* little-endian, and below 256 */
    p[22] = (uint8_t)vnet->inner_nh_offset;
}

/* A superpacket in a tunnel, and one offset of its vnet header one off; the same for the splitter, which wraps what it is given; and
   a device that hands it out. See fuzz_vnet_header.c, fuzz_gso.c, fuzz_tun_read.c. */
static void edges_of_tunnels(void)
{
    for (unsigned n = 0; n < 16; n++) {
        int tap = n / 8 % 2, v6 = n / 4 % 2;
        tunnel_spec spec = {.outer = {.kind = v6 ? PKT_UDP6 : PKT_UDP4, .vlan_count = (uint8_t)(tap && n % 2)}, .header_len = 8,
                            .inner = {.kind = (pkt_kind)(n % 4), .payload_len = 50, .ethernet = (uint8_t)(n % 3 != 0)}, .csum = n / 2 % 2};
        spec.outer.ethernet = (uint8_t)tap;
        tunnel_super t = tunnel_build(&spec, 20);
        uint8_t front[2 + TUO_VNET_LEN_TUNNEL], inner[200], frame[3 + 5 + TUO_VNET_LEN_TUNNEL];
        size_t inner_len = pkt_build(inner, sizeof inner, &spec.inner);
        for (unsigned i = 0; i < 3; i++) {
            unsigned off_by = i == 2 ? 2 + n % 2 : i;
            tuo_vnet_hdr vnet = t.vnet;
            int missed = spec.outer.vlan_count && off_by == 1 ? 4 : 0; /* right as well */
            vnet.outer_th_offset = (uint16_t)(vnet.outer_th_offset - missed + (off_by == 2));
            vnet.inner_nh_offset = (uint16_t)(vnet.inner_nh_offset - missed + (off_by == 3));
            front[0] = (uint8_t)tap;
            front[1] = 3; /* the layout of 24 bytes */
            put_tunnel_vnet(front + 2, &vnet);
            write_seed("vnet_header", front, sizeof front, t.bytes, t.len);
        }
        memset(front, 0, 12);
        front[0] = (uint8_t)(8 | spec.inner.ethernet | n % 5 / 4 * 2);
        front[1] = (uint8_t)n;
        front[2] = spec.csum ? TUO_VNET_UDP_TUNNEL_CSUM : 0;
        front[3] = v6 ? TUO_GSO_UDP_TUNNEL_IPV6 : TUO_GSO_UDP_TUNNEL_IPV4;
        pkt_put16(front + 4, 20);
        pkt_put16(front + 6, n * 0x1230u + (unsigned)tap);
        pkt_put16(front + 10, n * 40);
        write_seed("gso", front, 12, inner, inner_len);
        memset(frame, 0, 8);
        frame[0] = (uint8_t)(3 | tap * 32);
        frame[1] = (uint8_t)n;
        pkt_put16(frame + 4, (unsigned)(TUO_VNET_LEN_TUNNEL + t.len));
        put_tunnel_vnet(frame + 8, &t.vnet);
        write_seed("tun_read", frame, 8 + TUO_VNET_LEN_TUNNEL, t.bytes, t.len);
        free(t.bytes);
    }
}

/* What it takes two or three events in a row to see, of sending; see fuzz_tun_write.c. A zero is a system call that succeeds. */
static void edges_of_sending(void)
{
    enum { FRONT = 8, AGAIN = 4, EINTR_ = 5, REFUSED = 6, DISCARD = 31, FLUSH = 7, CHANGE = 47, CUT = 3 };
    enum { PUSH = 65, PUSH_3 = 81, PUSH_7 = 113, TWO_FIT = 1, LITTLE = 0x80, DOWN = 7 };
    static const struct {
        uint8_t front[FRONT], steps[48];
    } edges[] = {
        {{0}, {18, REFUSED, 0, AGAIN, 20, 0, 2000 >> 8, 2000 & 255, 1, 0, 0, 0, /* half of it is held, and discarded */
               DISCARD, 2, REFUSED, 20, 0, 3000 >> 8, 3000 & 255, 2, 0, 0, 0}},
        {{64}, {26, AGAIN, EINTR_, AGAIN, 0, 0, 128, 0, 0, FLUSH}}, /* a signal while a blocking queue waits */
        {{64}, {7 | 6 * 8, 26, 0, AGAIN, AGAIN, AGAIN, 0, 128, 0, 7 | 2 * 8, FLUSH}}, /* woken, and that taken back */
        {{0}, {20, 0, 0xff, 0xff, 1, 0, 1 << 3 | 3, 0xff}}, /* longer than any packet, and refused */
        {{5}, {4, 0, 0, 7}}, /* no bytes at all: no vnet header, no packet */
        {{128}, {26, AGAIN, AGAIN, EINTR_, AGAIN, 0, 128, 0, FLUSH, FLUSH, FLUSH}}, /* a descriptor that blocks */
        {{0, 0, 2 | 4}, {18, REFUSED, 0x20, REFUSED, 0, 64, 0, 0, 64, 0, /* two refusals in a row switch TCP over IPv4 off */
                         0, 64, 0, 2, 0, 0, 64, 0, 2, REFUSED, 0, 64, 0, 0, 64, 0, 0, 64, 0}}, /* then one does */
        {{0, 1, 2 | 8}, {18, REFUSED, 0x20, REFUSED, 0, 96, 0, 2, REFUSED, 0, 96, 0, 0, 160, 0, 0, 224, 0, 2, REFUSED, 0, 96, 0, 0, 96, 0}},
        /* of a refused superpacket the rest is held, and emptied: the one in the middle, all of them */
        {{0, 0, 0x30}, {18, REFUSED, 0, AGAIN, 0, 160, 0, CHANGE, 1, CUT, 63, CHANGE, 1, CUT, 63, CHANGE, 1, CUT, 63, FLUSH}},
        {{0, 0, 0x30}, {18, REFUSED, 0, AGAIN, 0, 96, 0, CHANGE, 64, CUT, 63, CHANGE, 64, CUT, 63, CHANGE, 64, CUT, 63, FLUSH, FLUSH}},
        /* down, in a push that had to write: flush says so, unless that was discarded */
        {{0, 0, 0, 0, 0, 0, 0, TWO_FIT}, {2, 0x10 | DOWN, PUSH, 96, 0, DISCARD, FLUSH, 2, 0x10 | DOWN, PUSH, 96, 0, FLUSH, FLUSH}},
        /* memory full to the last byte: 63000 of large ones, then small ones */
        {{0, 0, 0, 0, 0, 0, 0, LITTLE}, {PUSH_3, 48, 1, 60, 48, 1, 60, 48, 1, 60,
                                         PUSH_7, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0}},
        {{0, 0, 0, 0, 0, 0, 0, LITTLE}, {2, 0x70 | AGAIN, PUSH_3, 48, 1, 60, 48, 1, 60, 48, 1, 60,
                                         PUSH_7, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0, 224, 0}},
    };
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        write_seed("tun_write", edges[i].front, FRONT, edges[i].steps, sizeof edges[i].steps);
    }
}

/* See fuzz_checksum.c: each pattern, short and long, odd and even, at alignments that differ. */
static void seeds_of_sums(void)
{
    static const uint8_t bytes[] = {0x01, 0xff, 0x00, 0x80, 0x7f, 0xfe, 0xff, 0xff, 0x00, 0x00, 0x12};
    static const unsigned lengths[] = {1, 63, 64, 65, 300, 1448, 2047, 65535};
    for (unsigned i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t front[11] = {0};
        unsigned length = lengths[i / 2];
        front[0] = (uint8_t)(i * 5);
        front[1] = (uint8_t)(i * 3);
        pkt_put16(front + 2, i * 9999);
        pkt_put16(front + 4, i * 2);
        pkt_put16(front + 6, 13 + i);
        front[8] = (uint8_t)(i % 2 + (length == 65535 ? 224 + i % 4 * 4 : 0));
        pkt_put16(front + 9, length);
        write_seed("checksum", front, sizeof front, bytes, sizeof bytes);
    }
}

/* See fuzz_flow_table.c: a capacity each; more keys than a bucket holds, some of them looked up and taken out again. */
static void seeds_of_flow_tables(void)
{
    for (unsigned capacity = 0; capacity < 8; capacity++) {
        uint8_t script[320] = {0}, *p = script + 2;
        script[0] = (uint8_t)capacity;
        script[1] = (uint8_t)(capacity * 77);
        for (unsigned n = 0; n < 60; n++) {
            unsigned kind = n % 7 == 6 ? 2 : n % 3 == 2 ? 1 : 0;
            *p++ = (uint8_t)(kind * 64 + (n % 5 == 4 ? 5 : n % 4 == 3 ? 3 : 0));
            *p++ = (uint8_t)(n * (1 + capacity % 3));
            if (kind != 0) {
                *p++ = (uint8_t)(n + capacity);
            }
            if (n == 40) {
                *p++ = 7; /* reset */
                *p++ = 0;
            }
        }
        write_seed("flow_table", script, (size_t)(p - script), script, 0);
    }
}

/* See fuzz_udp_recv.c: a train with one control message of each kind, an empty datagram, a train without; whole, cut, from each kind of
   sender; and an error in front. */
static void seeds_of_udp_messages(void)
{
    static const uint8_t kinds[] = {0, 0x30, 1, 2, 3, 4, 5, 6, 7};
    for (unsigned config = 0; config < 4; config++) {
        for (unsigned what = 0; what < 64; what += config + 5) {
            uint8_t script[256], *p = script;
            *p++ = (uint8_t)config;
            *p++ = (uint8_t)(12 | (what & 7) << 4);
            for (unsigned message = 0; message < 3; message++) {
                *p++ = 0;
                *p++ = (uint8_t)(message == 1 ? 0 : 0x0f);
                *p++ = (uint8_t)(message == 1 ? 0 : 0xa0 + what);
                *p++ = (uint8_t)(message == 2 ? what : what & 3);
                *p++ = (uint8_t)(message == 1 ? 0 : 2);
                for (unsigned n = 0; message != 1 && n < 2; n++) {
                    unsigned kind = n == 0 ? 0 : kinds[(what + message) % sizeof kinds];
                    *p++ = (uint8_t)kind;
                    *p++ = 0;
                    static const uint8_t lens[] = {4, 4, 12, 1, 20, 4, 4, 2};
                    if (kind == 0x30) {
                        *p++ = 0;
                        *p++ = (uint8_t)what;
                    }
                    for (unsigned i = 0; i < lens[kind & 7]; i++) {
                        *p++ = (uint8_t)(n == 0 ? 40 : what + i);
                    }
                }
            }
            write_seed("udp_recv", script, (size_t)(p - script), script, 0);
        }
    }
}

/* See fuzz_udp_plan.c: each set of limits; runs of equal lengths, some with a shorter one behind, of one key and of several in turn. */
static void seeds_of_udp_plans(void)
{
    static const struct {
        uint8_t switches, max_segs;
        uint16_t max_bytes; /* in units of two */
    } limits[] = {{1, 0, 0}, {0, 0, 0}, {2, 0, 0}, {0, 3, 0}, {2, 3, 0}, {0, 128, 32753}, {2, 5, 700}, {4, 255, 400}};
    for (unsigned i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint8_t script[320] = {0}, *p = script + 5;
        script[0] = limits[i].switches;
        script[1] = limits[i].max_segs;
        pkt_put16(script + 2, limits[i].max_bytes);
        script[4] = (uint8_t)i;
        for (unsigned n = 0; n < 40; n++) {
            unsigned key = n % 3 == 0 ? n % 5 : 0, how = n % 6 == 5 ? 1 : n % 9 == 8 ? 2 : n % 11 == 10 ? 3 : 0;
            *p++ = (uint8_t)(how * 64 + key);
            if (how == 2) {
                *p++ = (uint8_t)(n == 26 ? 0xff : n % 2);
                *p++ = (uint8_t)(n == 26 ? 0xff : n == 35 ? 0 : 60);
            } else if (how == 3) {
                *p++ = (uint8_t)(n == 10 ? 140 : n);
            }
        }
        write_seed("udp_plan", script, (size_t)(p - script), script, 0);
    }
}

/* ------------------------------------------------------------------------------------------------------- pcap and pcapng */

typedef struct pcapng {
    uint8_t bytes[512];
    size_t len;
    int big_endian;
} pcapng;

static void add32(pcapng *file, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        file->bytes[file->len++] = (uint8_t)(value >> (file->big_endian ? 24 - 8 * i : 8 * i));
    }
}

static void add16(pcapng *file, unsigned first, unsigned second)
{
    add32(file, file->big_endian ? first << 16 | second : second << 16 | first);
}

/* Body: `words` numbers of 32 bits, then payload. */
static void add_block(pcapng *file, uint32_t type, const uint32_t *words, size_t words_count, size_t payload_len)
{
    uint32_t len = (uint32_t)(12 + 4 * words_count + (payload_len + 3) / 4 * 4);
    add32(file, type);
    add32(file, len);
    for (size_t i = 0; i < words_count; i++) {
        add32(file, words[i]);
    }
    for (size_t i = 0; i < (payload_len + 3) / 4 * 4; i++) {
        file->bytes[file->len++] = (uint8_t)(i < payload_len ? 0x40 + i : 0);
    }
    add32(file, len);
}

static void add_section(pcapng *file)
{
    const uint32_t words[] = {0x1a2b3c4d, file->big_endian ? 0x10000 : 1, 0xffffffff, 0xffffffff}; /* version 1.0 */
    add_block(file, 0x0a0d0d0a, words, 4, 0);
}

static void seeds_of_pcapng(void)
{
    static const uint32_t enhanced[] = {0, 1, 2, 21, 21}, simple[] = {9};
    for (int i = 0; i < 4; i++) {
        pcapng file = {{0}, 0, i % 2};
        add_section(&file);
        add32(&file, 1); /* interface: Ethernet, snap length 8, a time resolution of 10^-9 or 2^-20 */
        add32(&file, 32);
        add16(&file, LINK_ETHERNET, 0);
        add32(&file, i < 2 ? 8 : 0);
        add16(&file, 9, 1);
        file.bytes[file.len] = (uint8_t)(i < 2 ? 9 : 0x94);
        file.len += 4;
        add32(&file, 0);
        add32(&file, 32);
        add_block(&file, 6, enhanced, 5, 21);
        add_block(&file, 3, simple, 1, 9);
        add_block(&file, 2, enhanced, 5, 21);
        add_block(&file, 5, simple, 1, 3);
        write_seed("pcap", file.bytes, file.len, file.bytes, 0);
    }
}

static void put_little32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

static void seeds_of_pcap(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t file[24 + 3 * 16 + 12] = {0}, *p = file + 24;
        put_little32(file, i == 0 ? 0xa1b2c3d4 : 0xa1b23c4d);
        put_little32(file + 4, 2 | 4 << 16);
        put_little32(file + 16, 65535);
        put_little32(file + 20, LINK_RAW);
        for (uint32_t record = 0; record < 3; record++) {
            put_little32(p, 1000000 + record);
            put_little32(p + 4, 999999);
            put_little32(p + 8, 4 * record);
            put_little32(p + 12, 60);
            p += 16 + 4 * record;
        }
        write_seed("pcap", file, sizeof file, file, 0);
    }
}

/* A pcap file of one record. */
static size_t one_record(uint8_t *file, uint32_t link, const uint8_t *header, size_t header_len, const uint8_t *pkt, size_t len)
{
    memset(file, 0, 40);
    put_little32(file, 0xa1b2c3d4);
    put_little32(file + 4, 2 | 4 << 16);
    put_little32(file + 16, 262144);
    put_little32(file + 20, link);
    put_little32(file + 32, (uint32_t)(header_len + len));
    put_little32(file + 36, (uint32_t)(header_len + len));
    memcpy(file + 40, header, header_len);
    memcpy(file + 40 + header_len, pkt, len);
    return 40 + header_len + len;
}

/* Partial checksums behind each kind of link-layer header, with an IPv4 header checksum of 0, and in VXLAN; files that are cut. */
static void seeds_of_partial_checksums(void)
{
    static const uint8_t headers[4][20] = {
        {0}, {2}, {0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1}};
    static const struct link {
        uint32_t number;
        size_t len, protocol_at;
    } links[4] = {{LINK_RAW, 0, 0}, {0, 4, 0}, {113, 16, 14}, {276, 20, 0}};
    uint8_t file[1024], pkt[256], outer[512], header[20];
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {0};
        s.kind = (pkt_kind)kind;
        s.payload_len = 9;
        s.l4_csum_pseudo = 1;
        for (size_t i = 0; i < 4; i++) {
            memcpy(header, headers[i], sizeof header);
            if (i == 1) {
                header[0] = pkt_is_v6(&s) ? 10 : 2;
            } else if (i > 1) {
                pkt_put16(header + links[i].protocol_at, pkt_is_v6(&s) ? 0x86dd : 0x0800);
            }
            size_t len = pkt_build(pkt, sizeof pkt, &s);
            len = one_record(file, links[i].number, header, links[i].len, pkt, len);
            write_seed("pcap", file, len - (i == 2 ? 1 : 0), file, 0);
        }
        s.ethernet = 1;
        s.trailer_len = 3;
        size_t len = pkt_build(pkt, sizeof pkt, &s);
        if (!pkt_is_v6(&s)) {
            pkt_put16(pkt + 24, 0);
        }
        write_seed("pcap", file, one_record(file, LINK_ETHERNET, header, 0, pkt, len), file, 0);

        s.trailer_len = 0;
        memcpy(pkt, "\10\0\0\0\0\0\1\0", 8);
        pkt_spec o = {0};
        o.kind = pkt_is_v6(&s) ? PKT_UDP6 : PKT_UDP4;
        o.payload = pkt;
        o.payload_len = (int32_t)(8 + pkt_build(pkt + 8, sizeof pkt - 8, &s));
        o.dst_port = 4789;
        o.l4_csum_pseudo = (uint8_t)(pkt_is_udp(&s) != 0);
        len = pkt_build(outer, sizeof outer, &o);
        if (!o.l4_csum_pseudo) {
            outer[pkt_l4_off(&o) + 6] ^= 1; /* wrong as long as the packet inside is */
        }
        write_seed("pcap", file, one_record(file, LINK_RAW, header, 0, outer, len), file, 0);
    }
}

/* A jumbo payload option, alone and beside another one: to be taken out, and refused. */
static void seeds_of_jumbo_options(void)
{
    enum { STRIP_JUMBO = 0x40, TCPV6 = 4, CONSISTENT = 8, CAPS_CONSISTENT = 2 };
    uint8_t file[1024], pkt[256], ext[16] = {6, 0, 0xc2, 4, 0, 1, 0, 0, 5, 2, 0, 0, 1, 2, 0, 0};
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t gso[12] = {CONSISTENT, 3, (uint8_t)(i < 2 ? STRIP_JUMBO : 0), TCPV6, 2, 0};
        uint8_t caps[33] = {CAPS_CONSISTENT, 0x3e, (uint8_t)(i % 2)};
        pkt_spec s = {0};
        s.kind = PKT_TCP6;
        s.ext = ext;
        s.ext_len = (uint8_t)(8 + 8 * (i & 1));
        ext[1] = i & 1;
        size_t len = pkt_build(pkt, sizeof pkt, &s);
        pkt_put16(gso + 10, 3000);
        write_seed("gso", gso, sizeof gso, pkt, len - 100);
        memset(caps + 3, 0x40, 8);
        memcpy(caps + 18, gso + 2, 4);
        pkt_put16(caps + 31, 1500);
        write_seed("caps", caps, sizeof caps, pkt, len - 100);
    }
    for (uint8_t i = 0; i < 2; i++) {
        pkt_spec s = {0};
        s.kind = PKT_TCP6;
        s.ip_len_zero = 1;
        s.ext = ext;
        s.ext_len = (uint8_t)(8 + 8 * i);
        ext[1] = i;
        size_t len = pkt_build(pkt, sizeof pkt, &s);
        write_seed("pcap", file, one_record(file, LINK_RAW, ext, 0, pkt, len), file, 0);
    }
}

/* Two link types in one file, with time resolutions that are powers of two, an offset, and a cut last block. */
static void seeds_of_link_types(void)
{
    static const uint8_t resolutions[4] = {0xa0, 0xbf, 0x87, 19};
    for (int i = 0; i < 4; i++) {
        pcapng file = {{0}, 0, i % 2};
        add_section(&file);
        for (uint16_t link = 0; link < 2; link++) {
            add32(&file, 1);
            add32(&file, 44);
            add16(&file, link ? LINK_RAW : LINK_ETHERNET, 0);
            add32(&file, 0);
            add16(&file, 9, 1);
            file.bytes[file.len] = resolutions[(i + link) % 4];
            file.len += 4;
            add16(&file, 14, 8);
            add32(&file, file.big_endian ? 0 : 7); /* seconds */
            add32(&file, file.big_endian ? 7 : 0);
            add32(&file, 0);
            add32(&file, 44);
        }
        for (uint32_t record = 0; record < 4; record++) {
            const uint32_t words[] = {record % 2, 0x1000 * record, 0x80000001, 24, 24};
            add_block(&file, 6, words, 5, 24);
        }
        write_seed("pcap", file.bytes, file.len - (i < 2 ? 0 : 7), file.bytes, 0);
    }
}

/* ------------------------------------------------------------------------------------------------------------- captures */

static uint32_t read32(const uint8_t *p, int swapped)
{
    uint32_t big = pkt_get32(p);
    return swapped ? big >> 24 | (big >> 8 & 0xff00) | (big << 8 & 0xff0000) | big << 24 : big;
}

/* Packets at even distances from one capture file (pcap, either byte order). Other link types give no seeds. */
static void seeds_of_capture(const char *name)
{
    static uint8_t file_bytes[4 << 20];
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        die(strerror(errno), name);
    }
    size_t len = fread(file_bytes, 1, sizeof file_bytes, file), at = 24, records = 0;
    fclose(file);
    int swapped = len > 0 && file_bytes[0] != 0xa1;
    if (len < 24 || (file_bytes[swapped ? 3 : 0] != 0xa1)) {
        die("not a pcap file", name);
    }
    uint32_t link = read32(file_bytes + 20, swapped) & 0xffff;
    for (size_t taken = 0; at + 16 <= len && taken < PER_CAPTURE; records++) {
        size_t record_len = read32(file_bytes + at + 8, swapped);
        const uint8_t *pkt = file_bytes + at + 16;
        if (record_len > len - at - 16) {
            break;
        }
        at += 16 + record_len;
        if (records % 7 != 0) {
            continue;
        }
        if (link == LINK_USER0 && record_len > VNET_LEN) {
            seeds_of_packet(pkt + VNET_LEN, record_len - VNET_LEN, 0, pkt);
        } else if (link == LINK_ETHERNET || link == LINK_RAW) {
            seeds_of_packet(pkt, record_len, link == LINK_ETHERNET, NULL);
        }
        taken++;
    }
}

static int is_capture(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".pcap") == 0;
}

static void seeds_of_captures(const char *dir)
{
    struct dirent **names;
    int count = scandir(dir, &names, is_capture, alphasort);
    if (count < 0) {
        die(strerror(errno), dir);
    }
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        seeds_of_capture(path);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    static const char *const targets[] = {"parse",    "vnet_header", "gro",      "gso",       "caps",
                                          "checksum", "flow_table",  "tun_read", "tun_write", "pcap",     "udp_plan",
                                          "udp_recv"};
    if (argc != 3) {
        die("usage: make_seeds CAPTURES OUT", "arguments");
    }
    out_dir = argv[2];
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        make_dir(targets[i]);
    }
    seeds_of_specs();
    seeds_of_scripts();
    seeds_of_sending();
    seeds_of_rounds();
    seeds_of_loops();
    seeds_of_sums();
    seeds_of_flow_tables();
    seeds_of_udp_plans();
    seeds_of_udp_messages();
    seeds_of_pcapng();
    seeds_of_pcap();
    seeds_of_partial_checksums();
    seeds_of_jumbo_options();
    seeds_of_link_types();
    seed_prefix = "edge";
    edges_of_lengths();
    edges_of_sums();
    edges_of_switches();
    edges_of_scripts();
    edges_of_rounds();
    edges_of_sending();
    edges_of_tunnels();
    edges_of_tunnel_scripts();
    seed_prefix = "seed";
    seeds_of_captures(argv[1]);
    printf("made %u seeds\n", seed_count);
    return 0;
}
