/* pcap_packet.h - what pcap_offload knows of the bytes of one captured packet: its link layer, whether it is a superpacket or a
   tunnel's, and checksums that the sender left to its NIC. Nothing here keeps state.

   A packet that was captured on its sender has not met the NIC yet. Its TCP or UDP checksum field may hold the sum of the
   pseudo-header only (a partial checksum), and on Windows its IPv4 header checksum may be 0. finish_checksums() does what the
   NIC would have done. */
#ifndef PCAP_PACKET_H
#define PCAP_PACKET_H

#include "tunoffload.h"

#include <string.h>

static inline uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load32(const uint8_t *p)
{
    return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static inline void store16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* -------------------------------------------------------------------------------------------------------- link-layer headers */

enum {
    LINK_TYPE_RAW = 101,
    LINK_TYPE_VNET = 147, /* USER0 */
    LINK_HEADER_MAX = 20
};

struct link_type {
    uint32_t number;
    const char *name;
    int ethernet;
    size_t header_len;                /* in front of the IP packet, for all but Ethernet */
    size_t protocol_at, protocol_len; /* the ethertype in it, or an address family of 4 bytes; 0: the IP version tells */
};

static inline const struct link_type *find_link_type(uint32_t number)
{
    static const struct link_type link_types[] = {
        {0, "BSD loopback", 0, 4, 0, 4},
        {1, "Ethernet", 1, 0, 0, 0},
        {12, "raw IP", 0, 0, 0, 0},
        {14, "raw IP", 0, 0, 0, 0},
        {LINK_TYPE_RAW, "raw IP", 0, 0, 0, 0},
        {108, "OpenBSD loopback", 0, 4, 0, 4},
        {113, "Linux cooked v1", 0, 16, 14, 2},
        {LINK_TYPE_VNET, "virtio-net header and IP packet", 0, TUO_VNET_LEN, 0, 0},
        {228, "IPv4", 0, 0, 0, 0},
        {229, "IPv6", 0, 0, 0, 0},
        {276, "Linux cooked v2", 0, LINK_HEADER_MAX, 0, 2},
    };
    size_t i;

    for (i = 0; i < sizeof link_types / sizeof link_types[0]; i++) {
        if (link_types[i].number == number)
            return &link_types[i];
    }
    return NULL;
}

/* The ethertype of the packet behind this header. */
static inline unsigned link_protocol(const struct link_type *link, const uint8_t *header, const uint8_t *ip, size_t ip_len)
{
    unsigned family;

    if (link->protocol_len == 0)
        return ip_len == 0 ? 0 : ip[0] >> 4 == 4 ? 0x0800 : ip[0] >> 4 == 6 ? 0x86dd : 0;
    if (link->protocol_len == 2)
        return load16(header + link->protocol_at);
    family = header[0] | header[3]; /* in the byte order of the machine that captured it, and below 256 */
    if (header[1] || header[2] || (header[0] && header[3]))
        return 0;
    return family == 2 ? 0x0800 : family == 10 || family == 24 || family == 28 || family == 30 ? 0x86dd : 0;
}

/* Packets with different link-layer headers (direction, interface, address) must not merge, because OUT keeps one header for all
   of them. The library holds Ethernet flows apart by every byte of their headers. So a header that it does not know is turned
   into an Ethernet header: 12 bytes take the place of the addresses, the rest that of VLAN tags. The ethertype is not repeated
   in there. With several link types in a file, one more tag holds the link type. */
enum { WRAP_ADDRESSES = 12, WRAP_TAG = 4 };

static inline size_t wrap_tags(const struct link_type *link)
{
    size_t len = link->header_len - (link->protocol_len == 2 ? 2 : 0);

    return len > WRAP_ADDRESSES ? (len - WRAP_ADDRESSES) / 2 : 0;
}

/* Bytes that wrap() makes; 0: frames of this link type are not wrapped. */
static inline size_t wrapped_len(const struct link_type *link, int several_types)
{
    if (link->ethernet || link->number == LINK_TYPE_VNET || (link->header_len == 0 && !several_types))
        return 0;
    return WRAP_ADDRESSES + WRAP_TAG * (wrap_tags(link) + (several_types ? 1 : 0)) + 2;
}

/* record: a link-layer header, all of it, then ip_len bytes. */
static inline void wrap(const struct link_type *link, int several_types, const uint8_t *record, size_t ip_len, uint8_t *to)
{
    uint8_t rest[LINK_HEADER_MAX + WRAP_ADDRESSES] = {0}; /* the header without the ethertype */
    size_t i, before = link->protocol_len == 2 ? link->protocol_at : link->header_len;
    size_t after = link->protocol_len == 2 ? before + 2 : before;

    memcpy(rest, record, before);
    memcpy(rest + before, record + after, link->header_len - after);
    memcpy(to, rest, WRAP_ADDRESSES);
    to += WRAP_ADDRESSES;
    for (i = 0; i < wrap_tags(link); i++, to += WRAP_TAG) {
        store16(to, 0x8100);
        memcpy(to + 2, rest + WRAP_ADDRESSES + 2 * i, 2);
    }
    if (several_types) {
        store16(to, 0x88a8);
        store16(to + 2, link->number);
        to += WRAP_TAG;
    }
    store16(to, link_protocol(link, record, record + link->header_len, ip_len));
}

/* Where the IP packet in a frame starts, also if it is malformed. 0 if there is none. flags: TUO_F_ETHERNET or 0, as below. */
static inline int find_ip(const uint8_t *frame, size_t len, unsigned flags, size_t *offset)
{
    size_t at = 0;

    if (flags & TUO_F_ETHERNET) {
        at = 12;
        while (at + 4 <= len && (load16(frame + at) == 0x8100 || load16(frame + at) == 0x88a8))
            at += 4;
        if (at + 2 > len || (load16(frame + at) != 0x0800 && load16(frame + at) != 0x86dd))
            return 0;
        at += 2;
    }
    *offset = at;
    return at < len && (frame[at] >> 4 == 4 || frame[at] >> 4 == 6);
}

/* ------------------------------------------------------------------------------------------------------------- superpackets */

enum { IP6_LEN = 40, IP6_NO_NEXT_HEADER = 59, OPTION_PAD1 = 0, OPTION_PADN = 1, OPTION_JUMBO = 0xc2, OPTION_JUMBO_LEN = 6 };

/* A superpacket above 64 KiB, or one on its way to a NIC, has an IP length field of 0. A packet that has nothing behind its IPv6
   header has one, too. */
static inline int has_no_length(const uint8_t *frame, size_t len, unsigned flags)
{
    size_t at;

    if (!find_ip(frame, len, flags, &at))
        return 0;
    if (frame[at] >> 4 == 4)
        return len - at >= 20 && load16(frame + at + 2) == 0;
    return len - at > IP6_LEN && load16(frame + at + 4) == 0 && frame[at + 6] != IP6_NO_NEXT_HEADER;
}

/* Where the jumbo payload option (RFC 2675 2) of an IPv6 packet is. 0: it has none. *alone: its hop-by-hop header, the first
   extension header, has no other option. *end: where that header ends. */
static inline size_t find_jumbo(const uint8_t *ip, size_t len, int *alone, size_t *end)
{
    size_t at = IP6_LEN + 2, found = 0;

    *alone = 1;
    if (len < IP6_LEN + 8 || ip[0] >> 4 != 6 || ip[6] != 0)
        return 0;
    *end = IP6_LEN + 8 + (size_t)ip[IP6_LEN + 1] * 8;
    if (*end > len)
        return 0;
    while (at < *end) {
        size_t option_len = ip[at] == OPTION_PAD1 ? 1 : at + 1 < *end ? 2 + (size_t)ip[at + 1] : 2;

        if (option_len > *end - at) {
            *alone = 0;
            break;
        }
        if (ip[at] == OPTION_JUMBO && option_len == OPTION_JUMBO_LEN)
            found = at;
        else if (ip[at] != OPTION_PAD1 && ip[at] != OPTION_PADN)
            *alone = 0;
        at += option_len;
    }
    return found;
}

/* tuo_parse() of a captured packet, which may be a superpacket. *len loses what is behind a jumbogram. TUO_E_IP_LENGTH is also a
   jumbo payload option that contradicts the packet (RFC 2675 3). */
static inline tuo_result parse_captured(const uint8_t *frame, size_t *len, unsigned flags, tuo_pkt_info *info)
{
    tuo_result result = tuo_parse(frame, *len, flags | TUO_F_SUPERPACKET, info);
    const uint8_t *ip;
    size_t jumbo, ip_len, end;
    int alone;

    if (result != TUO_OK || info->ip_version != 6)
        return result;
    ip = frame + info->ip_off;
    jumbo = find_jumbo(ip, *len - info->ip_off, &alone, &end);
    if (jumbo == 0)
        return TUO_OK;
    ip_len = IP6_LEN + (size_t)load32(ip + jumbo + 2);
    if (load16(ip + 4) != 0 || ip_len <= IP6_LEN + 65535 || ip_len > *len - info->ip_off)
        return TUO_E_IP_LENGTH;
    if (ip_len == *len - info->ip_off)
        return TUO_OK;
    *len = info->ip_off + ip_len;
    return tuo_parse(frame, *len, flags | TUO_F_SUPERPACKET, info);
}

/* Removes the jumbo payload option: no segment may have one. A hop-by-hop header without another option goes as a whole, as in
   Linux; otherwise padding takes the option's place. Returns the bytes that were removed. */
static inline size_t remove_jumbo(uint8_t *frame, size_t len, size_t ip_off)
{
    uint8_t *ip = frame + ip_off;
    size_t end, jumbo;
    int alone;

    while ((jumbo = find_jumbo(ip, len - ip_off, &alone, &end)) != 0) {
        if (alone) {
            ip[6] = ip[IP6_LEN];
            memmove(ip + IP6_LEN, ip + end, len - ip_off - end);
            return end - IP6_LEN;
        }
        memset(ip + jumbo, 0, OPTION_JUMBO_LEN);
        ip[jumbo] = OPTION_PADN;
        ip[jumbo + 1] = OPTION_JUMBO_LEN - 2;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------ tunnels */

enum { TUNNEL_PORTS_MAX = 16 };

struct tunnel_ports {
    size_t count;
    uint16_t port[TUNNEL_PORTS_MAX];
};

static inline int is_udp(const tuo_pkt_info *info)
{
    return info->kind == TUO_KIND_UDP4 || info->kind == TUO_KIND_UDP6;
}

/* Are these bytes one IP packet, with nothing in front and behind? */
static inline int is_whole_ip(const uint8_t *bytes, size_t len)
{
    if (len >= 20 && bytes[0] >> 4 == 4)
        return (bytes[0] & 15) >= 5 && load16(bytes + 2) == len && (bytes[9] == 6 || bytes[9] == 17);
    return len >= IP6_LEN && bytes[0] >> 4 == 6 && IP6_LEN + (size_t)load16(bytes + 4) == len && (bytes[6] == 6 || bytes[6] == 17);
}

/* Is this datagram a tunnel's: VXLAN or Geneve by its port, or one IP packet in UDP? The packet in it then starts at *inner, with
   *inner_flags; *inner is 0 if that is not known. */
static inline int is_tunnel(const uint8_t *frame, const tuo_pkt_info *info, const struct tunnel_ports *ports, size_t *inner,
                            unsigned *inner_flags)
{
    const uint8_t *payload = frame + info->payload_off;
    size_t i, header_len = 8;

    *inner = 0;
    *inner_flags = 0;
    if (!is_udp(info))
        return 0;
    if (is_whole_ip(payload, info->payload_len)) {
        *inner = info->payload_off;
        return 1;
    }
    for (i = 0; i < ports->count && ports->port[i] != info->src_port && ports->port[i] != info->dst_port; i++)
        continue;
    if (i == ports->count)
        return 0;
    if (info->payload_len < header_len)
        return 1;
    *inner_flags = TUO_F_ETHERNET;
    if (load16(payload + 2) == 0x6558) /* Geneve; of VXLAN these bytes are 0 */
        header_len += (size_t)(payload[0] & 0x3f) * 4;
    if (header_len < info->payload_len)
        *inner = info->payload_off + header_len;
    return 1;
}

/* ---------------------------------------------------------------------------------------------------------------- checksums */

enum { PARTIAL_L4 = 1, PARTIAL_IP = 2 };

static inline size_t checksum_offset(const tuo_pkt_info *info)
{
    return is_udp(info) ? 6 : 16;
}

/* Sum of the pseudo-header for a TCP or UDP length, which is what a partial checksum field holds. */
static inline uint16_t pseudo_sum(const uint8_t *frame, const tuo_pkt_info *info, size_t l4_len)
{
    size_t addr_len = info->ip_version == 4 ? 4 : 16;
    const uint8_t *addresses = frame + info->ip_off + (info->ip_version == 4 ? 12 : 8);

    return tuo_csum_pseudo(addresses, addresses + addr_len, addr_len, info->l4_proto, (uint32_t)l4_len);
}

/* Does the TCP or UDP checksum cover the IP payload as it is? Not if there are bytes behind the datagram, which cutting would
   move, or if it is meant for another address than the one in the header. */
static inline int covers_payload(const tuo_pkt_info *info)
{
    return info->kind != TUO_KIND_NONE && !(info->flags & TUO_PKT_ROUTING) &&
           info->payload_off + info->payload_len == info->ip_off + info->total_len;
}

static inline int l4_checksum_right(const uint8_t *frame, const tuo_pkt_info *info)
{
    size_t l4_len = info->l4_hdr_len + info->payload_len;

    return tuo_csum(frame + info->l4_off, l4_len, pseudo_sum(frame, info, l4_len)) == 0xffff;
}

/* Is the checksum field partial, if it is not right? Windows leaves the length out of the sum of a superpacket. */
static inline int looks_partial(const uint8_t *frame, const tuo_pkt_info *info, uint16_t seed)
{
    uint16_t field = load16(frame + info->l4_off + checksum_offset(info));

    return field == seed || (!is_udp(info) && info->total_len > 1500 && field == pseudo_sum(frame, info, 0));
}

/* Was the IPv4 header checksum left to the NIC? A header whose other words add up to 0xffff has a checksum of 0 that is right. */
static inline int ip_checksum_open(const uint8_t *frame, const tuo_pkt_info *info)
{
    const uint8_t *ip = frame + info->ip_off;

    return info->ip_version == 4 && load16(ip + 10) == 0 && tuo_csum(ip, info->ip_hdr_len, 0) != 0xffff;
}

static inline void set_ip_checksum(uint8_t *ip, size_t ip_hdr_len)
{
    store16(ip + 10, 0);
    store16(ip + 10, ~(unsigned)tuo_csum(ip, ip_hdr_len, 0));
}

/* Finishes the partial checksums of one packet and leaves all others as they are. The IPv4 header is not finished beside a TCP or
   UDP checksum that is wrong, since that covers its addresses and length. Returns which were partial. */
static inline unsigned finish_one(uint8_t *frame, const tuo_pkt_info *info)
{
    uint8_t *field = frame + info->l4_off + checksum_offset(info);
    size_t l4_len = info->l4_hdr_len + info->payload_len;
    uint16_t seed = pseudo_sum(frame, info, l4_len);
    int partial = looks_partial(frame, info, seed), ip_open = ip_checksum_open(frame, info), no_sum, right;
    unsigned finished = 0;

    if (!partial && !ip_open)
        return 0;
    no_sum = is_udp(info) && load16(field) == 0;
    right = no_sum || l4_checksum_right(frame, info);
    if (partial && !right) {
        store16(field, seed);
        right = tuo_csum_complete(frame, info->l4_off + l4_len, info->l4_off, checksum_offset(info)) == TUO_OK;
        finished |= PARTIAL_L4;
    }
    if (ip_open && right) {
        set_ip_checksum(frame + info->ip_off, info->ip_hdr_len);
        finished |= PARTIAL_IP;
    }
    return finished;
}

/* The same for the packet in a tunnel's datagram. A right checksum outside says that the packet crossed the wire as it is. */
static inline unsigned finish_inner(uint8_t *frame, const tuo_pkt_info *outer, const struct tunnel_ports *ports)
{
    tuo_pkt_info info;
    size_t inner, len;
    unsigned flags;

    if (!is_tunnel(frame, outer, ports, &inner, &flags) || inner == 0)
        return 0;
    if (load16(frame + outer->l4_off + checksum_offset(outer)) != 0 && l4_checksum_right(frame, outer))
        return 0;
    len = outer->payload_off + outer->payload_len - inner;
    if (parse_captured(frame + inner, &len, flags, &info) != TUO_OK || !covers_payload(&info))
        return 0;
    return finish_one(frame + inner, &info);
}

/* Finishes the partial checksums of a captured frame, from the innermost packet outwards. Trailing bytes stay. Returns which were
   partial. */
static inline unsigned finish_checksums(uint8_t *frame, size_t len, unsigned flags, const struct tunnel_ports *ports)
{
    tuo_pkt_info info;
    unsigned finished;

    if (parse_captured(frame, &len, flags, &info) != TUO_OK || !covers_payload(&info))
        return 0;
    finished = finish_inner(frame, &info, ports);
    return finished | finish_one(frame, &info);
}

#endif
