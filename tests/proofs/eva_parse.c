/* Frama-C Eva: tuo_parse never reads outside of the packet, on packets of every length 0..SIZE, with no annotation in the header. The packet ends
   where its object does, so an over-read of one byte is an alarm. SIZE covers every layout of an IPv4 packet; longer IPv6 chains are CBMC's
   (parse_ext): here IPv6 has none. The abstract interpreter follows each length and each class of first byte on its own.
   Ethernet frames are CBMC's as well.
   EVA -eva-slevel 200000 -eva-split-limit 100000 -eva-msg-key=-initial-state -eva-no-show-progress */
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
#define SIZE 128
#endif
static uint8_t pool[SIZE];

int main(void) {
    const unsigned flags = (unsigned)Frama_C_nondet(0, TUO_F_SUPERPACKET);
    size_t len = (size_t)Frama_C_interval(1, SIZE);
    int first = Frama_C_interval(0, 17);
    uint8_t *pkt;
    tuo_pkt_info info;
    tuo_result result;
    Frama_C_make_unknown((char *)pool, sizeof pool);
    //@ split len;
    pkt = pool + (SIZE - len);
    //@ split first;
    if (first < 16) pkt[0] = (uint8_t)(0x40 | first); /* each IPv4 header length */
    else if (first == 16) pkt[0] = (uint8_t)Frama_C_interval(0x60, 0x6f);
    else pkt[0] = (uint8_t)Frama_C_nondet(Frama_C_interval(0, 0x3f), Frama_C_nondet(Frama_C_interval(0x50, 0x5f), Frama_C_interval(0x70, 0xff)));
    if (first == 16 && len > 6) { /* every next header but hop-by-hop, routing and destination options */
        pkt[6] = (uint8_t)Frama_C_nondet(Frama_C_interval(1, 42), Frama_C_nondet(Frama_C_interval(44, 59), Frama_C_interval(61, 255)));
    }
    result = tuo_parse(pkt, len, flags, &info);
    return result == TUO_OK ? (int)info.kind : -1;
}
