/* Frama-C Eva: tuo_parse never reads outside of the packet, on packets of every length 1..SIZE, with no annotation in the header. The packet
   ends where its object does, so an over-read of one byte is an alarm. SIZE is the longest IPv4 header and what the parser reads of TCP (60 + 20).
   The abstract interpreter follows each length, each IPv4 header length and each kind of IPv6 next header on its own; within these, all
   values of all other bytes at once. Extension headers that are walked over, lengths beyond SIZE and Ethernet frames: parse_ext and
   parse_promise.
   EVA -eva-slevel 5 -eva-split-limit 100000 -eva-split-return auto -eva-msg-key=-initial-state,-final-states -eva-no-show-progress */
#include "__fc_builtin.h"
#include <string.h>
#define TUO_NO_SIMD
#define TUO_NO_LIBC
#define TUO_MEMCPY memcpy
#define TUO_MEMMOVE memmove
#define TUO_MEMSET memset
#define TUO_MEMCMP memcmp
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#ifndef SIZE
#define SIZE 80
#endif
static uint8_t pool[SIZE];

/* What the parser tells apart in one byte: a single value, or a range. */
typedef struct range {
    uint8_t low, high;
} range;
static const range first_bytes[] = { /* of IPv4 those that are too short; the others and IPv6: below */
    { 0x40, 0x44 }, { 0x00, 0x3F }, { 0x50, 0x5F }, { 0x70, 0xFF },
};
static const range next_headers[] = { /* without hop-by-hop options (0), routing (43), destination options (60) */
    { 6, 6 }, { 17, 17 }, { 44, 44 }, { 1, 5 }, { 7, 16 }, { 18, 42 }, { 45, 59 }, { 61, 255 },
};
enum { LENGTHS = 11, OTHERS = 4, NEXTS = 8 };

int main(void) {
    const unsigned flags = (unsigned)Frama_C_nondet(0, TUO_F_SUPERPACKET);
    size_t len = (size_t)Frama_C_interval(1, SIZE);
    int kind = Frama_C_interval(0, LENGTHS + OTHERS + NEXTS - 1);
    uint8_t *pkt;
    tuo_pkt_info info;
    Frama_C_make_unknown((char *)pool, sizeof pool);
    //@ split len;
    pkt = pool + (SIZE - len);
    //@ split kind;
    if (kind < LENGTHS) {
        pkt[0] = (uint8_t)(0x45 + kind); /* IPv4, each header length */
    } else if (kind < LENGTHS + OTHERS) {
        pkt[0] = (uint8_t)Frama_C_interval(first_bytes[kind - LENGTHS].low, first_bytes[kind - LENGTHS].high);
    } else {
        const range next = next_headers[kind - LENGTHS - OTHERS];
        pkt[0] = (uint8_t)Frama_C_interval(0x60, 0x6F);
        if (len > 6) pkt[6] = (uint8_t)Frama_C_interval(next.low, next.high);
    }
    return tuo_parse(pkt, len, flags, &info);
}
