/* plain_shape.h - the shortcut that GRO takes through the parser must find what the parser finds. Needs the implementation. */
#ifndef PLAIN_SHAPE_H
#define PLAIN_SHAPE_H

#include <string.h>

typedef enum plain_outcome { PLAIN_NOT_TAKEN, PLAIN_AGREES, PLAIN_DIFFERS } plain_outcome;

static inline plain_outcome plain_compare(const uint8_t *pkt, size_t len, unsigned flags)
{
    const uint32_t ip_off = flags & TUO_F_ETHERNET ? 14 : 0;
    tuo_pkt_info quick, full;
    int taken;

    memset(&quick, 0, sizeof quick);
    if (len > ip_off && pkt[ip_off] >> 4 == 4)
        taken = tuoi_parse_plain(pkt, len, ip_off, 1, &quick);
    else
        taken = tuoi_parse_plain(pkt, len, ip_off, 0, &quick);
    if (!taken)
        return PLAIN_NOT_TAKEN;
    memset(&full, 0, sizeof full);
    if (tuo_parse(pkt, len, flags & TUO_F_ETHERNET, &full) != TUO_OK || tuoi_classify_ip(&full) != TUO_V_HELD)
        return PLAIN_DIFFERS;
    /* what no rule reads is not filled */
    quick.ethertype = full.ethertype;
    quick.ttl = full.ttl;
    quick.tos = full.tos;
    quick.window = full.window;
    quick.ack = full.ack;
    quick.flow_label = full.flow_label;
    if (quick.kind == TUO_KIND_TCP4 || quick.kind == TUO_KIND_TCP6) {
        quick.src_port = full.src_port;
        quick.dst_port = full.dst_port;
    }
    return memcmp(&quick, &full, sizeof full) == 0 ? PLAIN_AGREES : PLAIN_DIFFERS;
}

#endif
