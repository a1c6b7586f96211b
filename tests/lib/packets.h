/* packets.h - builds packets for tests, field by field, and looks at packets byte by byte. Shares no code with the library: its
   checksums and its parser are written separately, in the slowest and plainest way, so that the two can disagree.

       pkt_spec s = {0};                     a TCP segment over IPv4: 100 bytes of payload, DF, ACK, everything valid
       s.kind = PKT_UDP6; s.src_port = 53;
       len = pkt_build(buf, sizeof buf, &s);

   In a pkt_spec, 0 stands for the default that the comment gives; where the default is not 0, PKT_ZERO stands for 0. */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- random numbers */

typedef struct rng {
    uint64_t state;
} rng;

/* splitmix64 */
static inline uint64_t rng_u64(rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. bound - 1 */
static inline uint32_t rng_below(rng *r, uint32_t bound)
{
    return (uint32_t)(rng_u64(r) % bound);
}

/* 1 with a chance of `in` in `of` */
static inline int rng_chance(rng *r, uint32_t in, uint32_t of)
{
    return rng_below(r, of) < in;
}

static inline void rng_bytes(rng *r, void *out, size_t len)
{
    uint8_t *p = (uint8_t *)out;
    size_t i;

    for (i = 0; i < len; i++)
        p[i] = (uint8_t)(rng_u64(r) >> 56);
}

/* A generator whose seed is printed. The environment variable TEST_SEED replaces the given seed. */
static inline rng rng_start(const char *what, uint64_t seed)
{
    const char *env = getenv("TEST_SEED");
    rng r;

    r.state = env ? strtoull(env, NULL, 0) : seed;
    printf("%s: TEST_SEED=%llu\n", what, (unsigned long long)r.state);
    return r;
}

/* ------------------------------------------------------------------------------------------------------- plain bytes */

static inline void pkt_put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void pkt_put32(uint8_t *p, uint32_t v)
{
    pkt_put16(p, (unsigned)(v >> 16));
    pkt_put16(p + 2, (unsigned)(v & 0xffff));
}

static inline unsigned pkt_get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t pkt_get32(const uint8_t *p)
{
    return (uint32_t)pkt_get16(p) << 16 | pkt_get16(p + 2);
}

/* RFC 1071, byte by byte: those at even places count 256-fold. Folded, not complemented. */
static inline unsigned pkt_sum(const uint8_t *bytes, size_t len, unsigned initial)
{
    uint64_t even = 0, odd = 0, sum;
    size_t i;

    for (i = 0; i + 1 < len; i += 2) {
        even += bytes[i];
        odd += bytes[i + 1];
    }
    if (i < len)
        even += bytes[i];
    sum = initial + even * 256 + odd;
    while (sum > 0xffff)
        sum = sum / 65536 + sum % 65536;
    return (unsigned)sum;
}

static inline unsigned pkt_pseudo_sum(const uint8_t *src, const uint8_t *dst, size_t addr_len, unsigned proto, size_t l4_len)
{
    uint8_t tail[8] = {0};
    unsigned sum = pkt_sum(dst, addr_len, pkt_sum(src, addr_len, 0));

    pkt_put32(tail, (uint32_t)l4_len);
    tail[7] = (uint8_t)proto;
    return pkt_sum(tail, sizeof tail, sum);
}

/* ----------------------------------------------------------------------------------------------------------- looking */

typedef enum pkt_status {
    PKT_OK,
    PKT_NOT_IP,
    PKT_TRUNCATED,
    PKT_VLAN_DEPTH,
    PKT_IP_HEADER,
    PKT_IP_LENGTH,
    PKT_IP6_EXT,
    PKT_TCP_HEADER,
    PKT_UDP_LENGTH
} pkt_status;

/* Where things are in a packet. l4 and what follows is set only if the chain of headers could be walked to its end. */
typedef struct pkt_view {
    pkt_status status;
    size_t ip, l4, payload, end; /* offsets; end = end of the IP packet */
    size_t payload_len;          /* UDP: by the UDP length field */
    unsigned version, proto;
    size_t addr_len, src, dst;   /* addr_len 0 as long as the addresses were not reached */
    int fragment;
    int routing_left;            /* an IPv6 routing header has segments left */
    int opaque;                  /* the IPv6 chain ends in a fragment header, or in another one that hides the ports */
    int ports_known;
    unsigned vlans;
} pkt_view;

enum { PKT_PROTO_TCP = 6, PKT_PROTO_UDP = 17, PKT_VLANS_MAX = 4, PKT_EXT_MAX = 8 };

/* Behind the Ethernet header and its tags; 1 if an IP header should start at v->ip. */
static inline int pkt_look_ethernet(const uint8_t *p, size_t len, pkt_view *v)
{
    unsigned type;
    size_t at = 12;

    for (;;) {
        if (len < at + 2)
            return (v->status = PKT_TRUNCATED, 0);
        type = pkt_get16(p + at);
        if (type != 0x8100 && type != 0x88a8)
            break;
        if (v->vlans == PKT_VLANS_MAX)
            return (v->status = PKT_VLAN_DEPTH, 0);
        v->vlans++;
        at += 4;
    }
    v->ip = at + 2;
    if (type != 0x0800 && type != 0x86dd)
        return (v->status = PKT_NOT_IP, 0);
    v->version = type == 0x0800 ? 4 : 6;
    return 1;
}

static inline void pkt_look_ip4(const uint8_t *p, size_t len, int length_0_ok, pkt_view *v)
{
    size_t hdr, total;

    if (len - v->ip < 20) {
        v->status = PKT_TRUNCATED;
        return;
    }
    hdr = (size_t)(p[v->ip] & 15) * 4;
    total = pkt_get16(p + v->ip + 2);
    if (total == 0 && length_0_ok)
        total = len - v->ip;
    if (hdr < 20)
        v->status = PKT_IP_HEADER;
    else if (total < hdr)
        v->status = PKT_IP_LENGTH;
    else if (hdr > len - v->ip)
        v->status = PKT_IP_HEADER;
    else if (total > len - v->ip)
        v->status = PKT_IP_LENGTH;
    v->addr_len = 4;
    v->src = v->ip + 12;
    v->dst = v->ip + 16;
    v->end = v->ip + total;
    v->l4 = v->ip + hdr;
    v->proto = p[v->ip + 9];
    v->fragment = (pkt_get16(p + v->ip + 6) & 0x3fff) != 0;
}

static inline void pkt_look_ip6(const uint8_t *p, size_t len, int length_0_ok, pkt_view *v)
{
    unsigned next, count = 0;
    size_t at, ext_len, total;

    if (len - v->ip < 40) {
        v->status = PKT_TRUNCATED;
        return;
    }
    total = 40 + pkt_get16(p + v->ip + 4);
    if (total == 40 && length_0_ok)
        total = len - v->ip;
    if (total > len - v->ip) {
        v->status = PKT_IP_LENGTH;
        return;
    }
    v->addr_len = 16;
    v->src = v->ip + 8;
    v->dst = v->ip + 24;
    v->end = v->ip + total;
    next = p[v->ip + 6];
    for (at = v->ip + 40;; at += ext_len) {
        v->l4 = at;
        v->proto = next;
        if (next == 44)
            v->fragment = 1;
        if (next == 44 || next == 51 || next == 135 || next == 139 || next == 140 || next == 253 || next == 254)
            v->opaque = 1;
        if (next == 44 && v->end - at < 8)
            v->status = PKT_IP6_EXT;
        if (next != 0 && next != 43 && next != 60)
            return;
        ext_len = v->end - at < 2 ? 0 : ((size_t)p[at + 1] + 1) * 8;
        if (ext_len == 0 || ext_len > v->end - at || count++ == PKT_EXT_MAX) {
            v->status = PKT_IP6_EXT;
            return;
        }
        if (next == 43 && p[at + 3] != 0)
            v->routing_left = 1;
        next = p[at];
    }
}

/* The headers of p[0..len), by RFC 791, 8200, 9293 and 768. ethernet: an Ethernet header stands in front. length_0_ok: an IP
   length of 0 means up to the end of the bytes. */
static inline pkt_view pkt_look(const uint8_t *p, size_t len, int ethernet, int length_0_ok)
{
    pkt_view v;
    size_t l4_len;

    memset(&v, 0, sizeof v);
    if (ethernet && !pkt_look_ethernet(p, len, &v))
        return v;
    if (len == v.ip)
        v.status = PKT_TRUNCATED;
    else if ((p[v.ip] >> 4 != 4 && p[v.ip] >> 4 != 6) || (ethernet && p[v.ip] >> 4 != v.version))
        v.status = PKT_NOT_IP;
    if (v.status != PKT_OK)
        return v;
    v.version = (unsigned)p[v.ip] >> 4;
    if (v.version == 4)
        pkt_look_ip4(p, len, length_0_ok, &v);
    else
        pkt_look_ip6(p, len, length_0_ok, &v);
    if (v.status != PKT_OK || v.fragment || v.opaque || (v.proto != PKT_PROTO_TCP && v.proto != PKT_PROTO_UDP))
        return v;
    l4_len = v.end - v.l4;
    v.ports_known = l4_len >= 4;
    if (l4_len < (v.proto == PKT_PROTO_TCP ? 20 : 8)) {
        v.status = v.proto == PKT_PROTO_TCP ? PKT_TCP_HEADER : PKT_UDP_LENGTH;
    } else if (v.proto == PKT_PROTO_TCP) {
        size_t hdr = (size_t)(p[v.l4 + 12] >> 4) * 4;
        if (hdr < 20 || hdr > l4_len)
            v.status = PKT_TCP_HEADER;
        v.payload = v.l4 + hdr;
        v.payload_len = l4_len - hdr;
    } else {
        size_t udp_len = pkt_get16(p + v.l4 + 4);
        if (udp_len == 0 && length_0_ok)
            udp_len = l4_len;
        if (udp_len < 8 || udp_len > l4_len)
            v.status = PKT_UDP_LENGTH;
        v.payload = v.l4 + 8;
        v.payload_len = udp_len - 8;
    }
    return v;
}

/* Is this an unfragmented TCP or UDP packet whose headers are all there? */
static inline int pkt_has_l4(const pkt_view *v)
{
    return v->status == PKT_OK && v->payload != 0;
}

static inline size_t pkt_l4_csum_at(const pkt_view *v)
{
    return v->l4 + (v->proto == PKT_PROTO_TCP ? 16 : 6);
}

/* The sum over pseudo-header, TCP or UDP header and payload; 0xffff if the checksum in it is right. */
static inline unsigned pkt_l4_sum(const uint8_t *p, const pkt_view *v)
{
    size_t l4_len = v->payload + v->payload_len - v->l4;

    return pkt_sum(p + v->l4, l4_len, pkt_pseudo_sum(p + v->src, p + v->dst, v->addr_len, v->proto, l4_len));
}

static inline void pkt_fix_ip_checksum(uint8_t *p, const pkt_view *v)
{
    if (v->version != 4)
        return;
    pkt_put16(p + v->ip + 10, 0);
    pkt_put16(p + v->ip + 10, ~pkt_sum(p + v->ip, v->l4 - v->ip, 0) & 0xffff);
}

/* Recomputes the IPv4 header checksum and the TCP or UDP checksum of a packet whose lengths are right, for tests that poke into
   headers. What has no such checksum is left alone. */
static inline void pkt_fix_checksums(uint8_t *p, size_t len, int ethernet)
{
    pkt_view v = pkt_look(p, len, ethernet, 1);
    unsigned csum;

    if (v.status == PKT_OK)
        pkt_fix_ip_checksum(p, &v);
    if (!pkt_has_l4(&v))
        return;
    pkt_put16(p + pkt_l4_csum_at(&v), 0);
    csum = ~pkt_l4_sum(p, &v) & 0xffff;
    pkt_put16(p + pkt_l4_csum_at(&v), csum == 0 && v.proto == PKT_PROTO_UDP ? 0xffff : csum);
}

/* ---------------------------------------------------------------------------------------------------------- building */

enum { PKT_ZERO = -1 };

typedef enum pkt_kind { PKT_TCP4 = 0, PKT_UDP4 = 1, PKT_TCP6 = 2, PKT_UDP6 = 3, PKT_KIND_COUNT = 4 } pkt_kind;

enum { PKT_FIN = 1, PKT_SYN = 2, PKT_RST = 4, PKT_PSH = 8, PKT_ACK = 16, PKT_URG = 32, PKT_ECE = 64, PKT_CWR = 128 };

typedef struct pkt_spec {
    pkt_kind kind;
    int32_t payload_len;     /* 0 = 100 */
    const uint8_t *payload;  /* NULL = bytes made from payload_seed and the position in the stream (seq + i) */
    uint32_t payload_seed;
    /* TCP */
    uint32_t seq, ack;
    int32_t window;          /* 0 = 8192 */
    int32_t tcp_flags;       /* 0 = PKT_ACK */
    uint16_t urgent;
    uint8_t reserved;        /* low four bits of byte 12 */
    const uint8_t *tcp_options;
    uint8_t tcp_options_len; /* up to 40; filled up with 0 to a multiple of 4 */
    /* TCP and UDP */
    int32_t src_port, dst_port; /* 0 = 40000, 443 */
    /* IP */
    uint16_t src, dst;       /* host numbers: 10.1.x.x and 10.2.x.x, fd00:1::x and fd00:2::x */
    int32_t ttl;             /* or hop limit; 0 = 64 */
    uint8_t tos;             /* or traffic class */
    int32_t proto;           /* IP protocol number; 0 = that of the kind */
    /* IPv4 */
    uint16_t ip_id;
    int32_t df;              /* 0 = set; PKT_ZERO = clear */
    uint16_t frag;           /* or-ed into the fragment field: 0x8000 reserved bit, 0x2000 more fragments, offset in units of 8 */
    const uint8_t *ip_options;
    uint8_t ip_options_len;  /* up to 40; filled up with 0 to a multiple of 4 */
    /* IPv6 */
    uint32_t flow_label;
    const char *ext_chain;   /* one letter per extension header of 8 bytes: H hop-by-hop, J the same with a jumbo payload option,
                                D destination options, R routing,
                                r routing with segments left, F fragment header of a whole packet, f of a first fragment,
                                A authentication, E ESP, U an unknown protocol (253) */
    uint8_t ext_fill;        /* what the options in H, D, R and r contain */
    const uint8_t *ext;      /* instead of ext_chain: literal bytes; ext[last header] must name the next one */
    uint8_t ext_len;
    uint8_t ext_first;       /* next-header value of the fixed header that goes with ext */
    /* Ethernet */
    uint8_t ethernet;        /* an Ethernet header in front */
    uint8_t vlan_count;      /* 0..6 tags; implies ethernet */
    uint16_t vlan_tci[6];
    uint16_t vlan_tpid[6];   /* 0 = 0x8100 */
    uint8_t mac;             /* last byte of the source address */
    uint16_t trailer_len;    /* bytes behind the IP packet */
    /* Checksums and lengths on purpose wrong or unusual */
    uint16_t ip_csum_xor, l4_csum_xor; /* what to spoil the right value with */
    uint8_t l4_csum_zero;    /* store 0 (UDP: no checksum) */
    uint8_t l4_csum_pseudo;  /* store the pseudo-header sum, as NEEDS_CSUM packets have it */
    int32_t udp_len;         /* 0 = right; PKT_ZERO = 0 */
    uint8_t ip_len_zero;     /* IP length field 0 (BIG TCP), whatever the length; also used by itself above 65535 bytes */
} pkt_spec;

static inline uint32_t pkt_or(int32_t value, uint32_t default_value)
{
    return value == 0 ? default_value : value == PKT_ZERO ? 0 : (uint32_t)value;
}

static inline int pkt_is_v6(const pkt_spec *s)
{
    return s->kind == PKT_TCP6 || s->kind == PKT_UDP6;
}

static inline int pkt_is_udp(const pkt_spec *s)
{
    return s->kind == PKT_UDP4 || s->kind == PKT_UDP6;
}

static inline int pkt_is_ethernet(const pkt_spec *s)
{
    return s->ethernet || s->vlan_count;
}

static inline size_t pkt_payload_len(const pkt_spec *s)
{
    return pkt_or(s->payload_len, 100);
}

static inline size_t pkt_ip_off(const pkt_spec *s)
{
    return pkt_is_ethernet(s) ? 14 + 4 * (size_t)s->vlan_count : 0;
}

static inline size_t pkt_ext_len(const pkt_spec *s)
{
    return s->ext_chain ? 8 * strlen(s->ext_chain) : s->ext ? s->ext_len : 0;
}

static inline size_t pkt_l4_off(const pkt_spec *s)
{
    size_t options = ((size_t)s->ip_options_len + 3) / 4 * 4;

    return pkt_ip_off(s) + (pkt_is_v6(s) ? 40 + pkt_ext_len(s) : 20 + options);
}

static inline size_t pkt_payload_off(const pkt_spec *s)
{
    size_t options = ((size_t)s->tcp_options_len + 3) / 4 * 4;

    return pkt_l4_off(s) + (pkt_is_udp(s) ? 8 : 20 + options);
}

/* Bytes that pkt_build makes of this. */
static inline size_t pkt_len(const pkt_spec *s)
{
    return pkt_payload_off(s) + pkt_payload_len(s) + s->trailer_len;
}

/* The bytes that belong at a position of a stream: retransmitted and late segments agree with the first ones. */
static inline void pkt_stream(uint8_t *out, size_t len, uint32_t seed, uint32_t position)
{
    const uint32_t step = 0x85ebca6bu;
    uint32_t x = (position + seed * 0x9e3779b1u) * step;
    size_t i;

    for (i = 0; i < len; i++, x += step)
        out[i] = (uint8_t)(x >> 24 ^ x >> 13);
}

static inline uint8_t pkt_stream_byte(uint32_t seed, uint32_t position)
{
    uint8_t byte;

    pkt_stream(&byte, 1, seed, position);
    return byte;
}

static inline void pkt_build_ethernet(uint8_t *p, const pkt_spec *s)
{
    static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    size_t i, at = 12;

    memcpy(p, addresses, 12);
    p[11] = (uint8_t)(p[11] + s->mac);
    for (i = 0; i < s->vlan_count; i++, at += 4) {
        pkt_put16(p + at, s->vlan_tpid[i] ? s->vlan_tpid[i] : 0x8100);
        pkt_put16(p + at + 2, s->vlan_tci[i]);
    }
    pkt_put16(p + at, pkt_is_v6(s) ? 0x86dd : 0x0800);
}

static inline void pkt_build_ip4(uint8_t *ip, const pkt_spec *s, size_t ip_len, unsigned proto)
{
    size_t hdr = pkt_l4_off(s) - pkt_ip_off(s);

    ip[0] = (uint8_t)(0x40 + hdr / 4);
    ip[1] = s->tos;
    pkt_put16(ip + 2, s->ip_len_zero || ip_len > 65535 ? 0 : (unsigned)ip_len);
    pkt_put16(ip + 4, s->ip_id);
    pkt_put16(ip + 6, (s->df == PKT_ZERO ? 0u : 0x4000u) | s->frag);
    ip[8] = (uint8_t)pkt_or(s->ttl, 64);
    ip[9] = (uint8_t)proto;
    pkt_put32(ip + 12, 0x0a010000u + s->src);
    pkt_put32(ip + 16, 0x0a020000u + s->dst);
    if (s->ip_options)
        memcpy(ip + 20, s->ip_options, s->ip_options_len);
    pkt_put16(ip + 10, ~pkt_sum(ip, hdr, 0) & 0xffff);
    pkt_put16(ip + 10, pkt_get16(ip + 10) ^ s->ip_csum_xor);
}

/* Next-header value of an extension header letter. */
static inline unsigned pkt_ext_number(char letter)
{
    switch (letter) {
    case 'H': case 'J': return 0;
    case 'D': return 60;
    case 'R': case 'r': return 43;
    case 'F': case 'f': return 44;
    case 'A': return 51;
    case 'E': return 50;
    default: return 253;
    }
}

/* Writes the headers that the letters stand for; returns the next-header value of the fixed header. */
static inline unsigned pkt_build_ext_chain(uint8_t *out, const char *letters, uint8_t fill, unsigned proto)
{
    size_t i, count = strlen(letters);

    for (i = 0; i < count; i++) {
        uint8_t *e = out + 8 * i;
        memset(e, 0, 8);
        e[0] = (uint8_t)(i + 1 < count ? pkt_ext_number(letters[i + 1]) : proto);
        if (letters[i] == 'H' || letters[i] == 'D') {
            e[2] = 1;   /* PadN of 4 bytes: receivers ignore what is in it */
            e[3] = 4;
            memset(e + 4, fill, 4);
        } else if (letters[i] == 'J') {
            e[2] = 0xc2;
            e[3] = 4;
            memset(e + 4, fill, 4);
        } else if (letters[i] == 'R' || letters[i] == 'r') {
            e[2] = 253; /* experimental routing type, RFC 4727 */
            e[3] = letters[i] == 'r';
            memset(e + 4, fill, 4);
        } else if (letters[i] == 'f') {
            e[3] = 1;   /* more fragments */
        }
    }
    return pkt_ext_number(letters[0]);
}

static inline void pkt_build_ip6(uint8_t *ip, const pkt_spec *s, size_t ip_len, unsigned proto)
{
    unsigned first = proto;

    pkt_put32(ip, 6u << 28 | (uint32_t)s->tos << 20 | s->flow_label);
    pkt_put16(ip + 4, s->ip_len_zero || ip_len > 65535 + 40 ? 0 : (unsigned)(ip_len - 40));
    ip[7] = (uint8_t)pkt_or(s->ttl, 64);
    pkt_put32(ip + 8, 0xfd000001u);
    pkt_put32(ip + 20, s->src);
    pkt_put32(ip + 24, 0xfd000002u);
    pkt_put32(ip + 36, s->dst);
    if (s->ext_chain && s->ext_chain[0]) {
        first = pkt_build_ext_chain(ip + 40, s->ext_chain, s->ext_fill, proto);
    } else if (s->ext) {
        memcpy(ip + 40, s->ext, s->ext_len);
        first = s->ext_first;
    }
    ip[6] = (uint8_t)first;
}

static inline void pkt_build_l4(uint8_t *l4, const pkt_spec *s, size_t l4_len)
{
    pkt_put16(l4, pkt_or(s->src_port, 40000));
    pkt_put16(l4 + 2, pkt_or(s->dst_port, 443));
    if (pkt_is_udp(s)) {
        pkt_put16(l4 + 4, pkt_or(s->udp_len, l4_len > 65535 ? 0 : (uint32_t)l4_len));
        return;
    }
    pkt_put32(l4 + 4, s->seq);
    pkt_put32(l4 + 8, s->ack);
    l4[12] = (uint8_t)((20 + (s->tcp_options_len + 3) / 4 * 4) / 4 * 16 | (s->reserved & 15));
    l4[13] = (uint8_t)pkt_or(s->tcp_flags, PKT_ACK);
    pkt_put16(l4 + 14, pkt_or(s->window, 8192));
    pkt_put16(l4 + 18, s->urgent);
    if (s->tcp_options)
        memcpy(l4 + 20, s->tcp_options, s->tcp_options_len);
}

/* Where the pseudo-header says UDP length, the length is that of the field, if it can be believed. */
static inline unsigned pkt_build_l4_csum(const uint8_t *ip, const uint8_t *l4, const pkt_spec *s, size_t l4_len)
{
    size_t addr_len = pkt_is_v6(s) ? 16 : 4, csum_len = l4_len;
    const uint8_t *src = pkt_is_v6(s) ? ip + 8 : ip + 12;
    unsigned sum;

    if (s->udp_len > 8 && (size_t)s->udp_len <= l4_len)
        csum_len = (size_t)s->udp_len;
    sum = pkt_pseudo_sum(src, src + addr_len, addr_len, pkt_is_udp(s) ? PKT_PROTO_UDP : PKT_PROTO_TCP, csum_len);
    if (s->l4_csum_pseudo)
        return sum;
    sum = ~pkt_sum(l4, csum_len, sum) & 0xffff;
    return (sum == 0 && pkt_is_udp(s) ? 0xffff : sum) ^ s->l4_csum_xor;
}

/* pkt_build: the packet's length; 0 if it does not fit into cap bytes (then nothing is written). */
static inline size_t pkt_build(uint8_t *out, size_t cap, const pkt_spec *s)
{
    size_t len = pkt_len(s), end = len - s->trailer_len;
    size_t payload_len = pkt_payload_len(s);
    uint8_t *ip, *l4, *payload;
    unsigned proto = (unsigned)pkt_or(s->proto, pkt_is_udp(s) ? PKT_PROTO_UDP : PKT_PROTO_TCP);

    if (len > cap)
        return 0;
    ip = out + pkt_ip_off(s);
    l4 = out + pkt_l4_off(s);
    payload = out + pkt_payload_off(s);
    memset(out, 0, len);
    if (pkt_is_ethernet(s))
        pkt_build_ethernet(out, s);
    if (s->payload)
        memcpy(payload, s->payload, payload_len);
    else
        pkt_stream(payload, payload_len, s->payload_seed, s->seq);
    pkt_build_l4(l4, s, (size_t)(out + end - l4));
    if (pkt_is_v6(s))
        pkt_build_ip6(ip, s, (size_t)(out + end - ip), proto);
    else
        pkt_build_ip4(ip, s, (size_t)(out + end - ip), proto);
    if (!s->l4_csum_zero)
        pkt_put16(l4 + (pkt_is_udp(s) ? 6 : 16), pkt_build_l4_csum(ip, l4, s, (size_t)(out + end - l4)));
    memset(out + end, 0xa5, s->trailer_len);
    return len;
}

#endif /* PACKETS_H */
