/* make_seeds.c - writes the first inputs of the fuzz targets: `make_seeds CAPTURES OUT` makes OUT/parse, OUT/vnet_header, OUT/gro
   and OUT/gso. The packets are built here, one per header layout, and taken from each .pcap file in CAPTURES, a few of each; long
   ones are cut, because a fuzzer gets further with short inputs. */
#define _POSIX_C_SOURCE 200809L /* scandir */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../tests/packets.h"

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

/* One seed of a target: what the target reads first, then bytes. */
static void write_seed(const char *target, const uint8_t *front, size_t front_len, const uint8_t *bytes, size_t len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/seed-%03u", out_dir, target, seed_count++);
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
    enum { WHATS = 30, DRAIN = 16, PARTIAL = 24 };
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
        *p++ = (uint8_t)(224 + what % 8);
        *p++ = 0;
        write_seed("gro", script, (size_t)(p - script), script, 0);
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
    static const char *const targets[] = {"parse", "vnet_header", "gro", "gso"};
    if (argc != 3) {
        die("usage: make_seeds CAPTURES OUT", "arguments");
    }
    out_dir = argv[2];
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        make_dir(targets[i]);
    }
    seeds_of_specs();
    seeds_of_scripts();
    seeds_of_captures(argv[1]);
    printf("made %u seeds\n", seed_count);
    return 0;
}
