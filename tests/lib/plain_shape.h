/* plain_shape.h - the shortcut that GRO takes through the parser must find what the parser finds. Needs the implementation. */
#ifndef PLAIN_SHAPE_H
#define PLAIN_SHAPE_H

#include <string.h>

typedef enum plain_outcome { PLAIN_NOT_TAKEN, PLAIN_AGREES, PLAIN_DIFFERS } plain_outcome;

static inline int same_facts(const tuoi_facts *a, const tuoi_facts *b)
{
    return a->shape.ip_off == b->shape.ip_off && a->shape.l4_off == b->shape.l4_off && a->shape.hdr_len == b->shape.hdr_len &&
           a->shape.kind == b->shape.kind && a->payload_len == b->payload_len && a->total_len == b->total_len && a->seq == b->seq &&
           a->ip_id == b->ip_id && a->ip_version == b->ip_version && a->l4_proto == b->l4_proto && a->df == b->df &&
           a->tcp_flags == b->tcp_flags;
}

static inline plain_outcome plain_compare(const uint8_t *pkt, size_t len, unsigned flags)
{
    const uint32_t ip_off = flags & TUO_F_ETHERNET ? 14 : 0;
    tuoi_facts quick, full;
    tuo_pkt_info info;
    int taken;

    memset(&quick, 0x5a, sizeof quick); /* all of it is filled */
    if (len > ip_off && pkt[ip_off] >> 4 == 4)
        taken = tuoi_parse_plain(pkt, len, ip_off, 1, &quick);
    else
        taken = tuoi_parse_plain(pkt, len, ip_off, 0, &quick);
    if (!taken)
        return PLAIN_NOT_TAKEN;
    if (tuo_parse(pkt, len, flags & TUO_F_ETHERNET, &info) != TUO_OK || tuoi_classify_ip(&info) != TUO_V_HELD)
        return PLAIN_DIFFERS;
    full = tuoi_facts_of(&info);
    return same_facts(&quick, &full) ? PLAIN_AGREES : PLAIN_DIFFERS;
}

#endif
