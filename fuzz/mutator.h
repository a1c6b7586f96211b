/* mutator.h - a mutator for targets whose inputs contain packets: what libFuzzer does, and half of the time repairs on top of it, so
   that an input gets past length fields, checksums and the vnet header, and is different behind them.

   Compiled where FUZZ_MUTATOR is defined (the libFuzzer builds); replay.c and AFL++ do without. A target includes it last, inside
   #ifdef FUZZ_MUTATOR, and defines repair_input(): it knows where its packets lie, and hands them to repair_packet(). */
#ifndef FUZZ_MUTATOR_H
#define FUZZ_MUTATOR_H

#include "../tests/lib/packets.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* The target's: changes bytes of data[0..size), but not their number. dice: random bits, as many as one wants (see roll). */
static void repair_input(uint8_t *data, size_t size, rng *dice);

/* 1 in n */
static inline int roll(rng *dice, uint32_t n)
{
    return rng_chance(dice, 1, n);
}

/* The Ethernet header, its tags and the version nibble agree on IPv4 or IPv6. Returns where the IP header starts; len if nowhere. */
static inline size_t repair_ethernet(uint8_t *pkt, size_t len)
{
    size_t at = 12;
    for (unsigned tags = 0; tags < 4 && at + 6 < len; tags++) {
        unsigned type = pkt_get16(pkt + at);
        if (type != 0x8100 && type != 0x88a8) {
            break;
        }
        at += 4;
    }
    if (at + 2 >= len) {
        return len;
    }
    pkt_put16(pkt + at, pkt[at + 2] >> 4 == 6 ? 0x86dd : 0x0800);
    return at + 2;
}

static inline void repair_l4(uint8_t *l4, size_t len, unsigned proto, rng *dice)
{
    if (proto == PKT_PROTO_UDP && len >= 8) {
        pkt_put16(l4 + 4, len < 65536 ? (unsigned)len : 0);
    } else if (proto == PKT_PROTO_TCP && len >= 20) {
        size_t hdr_len = (size_t)(l4[12] >> 4) * 4;
        if (hdr_len < 20 || hdr_len > len) {
            l4[12] = (uint8_t)(l4[12] % 16 + 0x50);
        }
        if (roll(dice, 4)) {
            l4[13] = PKT_ACK;
        }
    }
}

/* Mostly the whole of the bytes becomes the IP packet, of TCP or UDP, with right checksums. Now and then one of that is left out. */
static inline void repair_packet(uint8_t *pkt, size_t len, int ethernet, rng *dice)
{
    size_t at = ethernet ? repair_ethernet(pkt, len) : 0, trailer = roll(dice, 16) ? rng_below(dice, 20) : 0;
    if (at >= len || len - at < 40) {
        return;
    }
    size_t ip_len = len - at - (len - at > 60 + trailer ? trailer : 0);
    uint8_t *ip = pkt + at;
    if (ip[0] >> 4 != 6) {
        size_t hdr_len = (size_t)(ip[0] & 15) * 4;
        if (hdr_len < 20 || hdr_len > ip_len - 8) {
            hdr_len = 20;
        }
        ip[0] = (uint8_t)(0x40 | hdr_len / 4);
        pkt_put16(ip + 2, ip_len < 65536 ? (unsigned)ip_len : 0);
        if (!roll(dice, 8)) {
            ip[6] = (uint8_t)(ip[6] & 0x40);
            ip[7] = 0;
        }
        if (ip[9] != PKT_PROTO_TCP && ip[9] != PKT_PROTO_UDP && !roll(dice, 8)) {
            ip[9] = ip[9] % 2 != 0 ? PKT_PROTO_UDP : PKT_PROTO_TCP;
        }
        repair_l4(ip + hdr_len, ip_len - hdr_len, ip[9], dice);
    } else {
        pkt_put16(ip + 4, ip_len - 40 < 65536 ? (unsigned)(ip_len - 40) : 0);
        if (roll(dice, 8)) {
            ip[6] = roll(dice, 2) ? PKT_PROTO_UDP : PKT_PROTO_TCP;
        }
        pkt_view v = pkt_look(pkt, len, ethernet, 1);
        if (v.l4 != 0 && v.l4 <= v.end) {
            repair_l4(pkt + v.l4, v.end - v.l4, v.proto, dice);
        }
    }
    if (!roll(dice, 8)) {
        pkt_fix_checksums(pkt, len, ethernet);
    }
}

/* The first ten bytes of a vnet header, in native order (swapped: in the other one), that fit this packet. gso_size stays if it is
   one. */
static inline void repair_vnet(uint8_t *vnet, const uint8_t *pkt, size_t len, int ethernet, int swapped, rng *dice)
{
    pkt_view v = pkt_look(pkt, len, ethernet, 1);
    uint16_t fields[4]; /* hdr_len, gso_size, csum_start, csum_offset */
    if (!pkt_has_l4(&v)) {
        return;
    }
    memcpy(fields, vnet + 2, sizeof fields);
    for (int i = 0; i < 4 && swapped; i++) {
        fields[i] = (uint16_t)(fields[i] << 8 | fields[i] >> 8);
    }
    vnet[0] = (uint8_t)(roll(dice, 8) ? vnet[0] : TUO_VNET_NEEDS_CSUM);
    vnet[1] = (uint8_t)(roll(dice, 8)            ? TUO_GSO_NONE
                        : v.proto == PKT_PROTO_UDP ? TUO_GSO_UDP_L4
                        : v.version == 4           ? TUO_GSO_TCPV4
                                                   : TUO_GSO_TCPV6);
    if (v.proto == PKT_PROTO_TCP && roll(dice, 8)) {
        vnet[1] = (uint8_t)(vnet[1] | TUO_GSO_ECN);
    }
    fields[0] = (uint16_t)v.payload;
    if (fields[1] == 0 || fields[1] == 0xffff || roll(dice, 4)) {
        fields[1] = (uint16_t)(1 + rng_below(dice, (uint32_t)(v.payload_len < 2000 ? v.payload_len + 1 : 2000)));
    }
    fields[2] = (uint16_t)v.l4;
    fields[3] = v.proto == PKT_PROTO_UDP ? 6 : 16;
    for (int i = 0; i < 4 && swapped; i++) {
        fields[i] = (uint16_t)(fields[i] << 8 | fields[i] >> 8);
    }
    memcpy(vnet + 2, fields, sizeof fields);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    rng dice = {seed};
    size = LLVMFuzzerMutate(data, size, max_size);
    if (roll(&dice, 2)) {
        repair_input(data, size, &dice);
    }
    return size;
}

#endif /* FUZZ_MUTATOR_H */
