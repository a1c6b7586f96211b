/* tunoffload.h - v0.1.0 - GRO and GSO for TUN devices in one C header.   MIT-0 or public domain, text at the end of this file

   Coalesces TCP and UDP packets into superpackets before they are written to a TUN device, and splits the superpackets that are
   read from one. IPv4 and IPv6, checksums, virtio-net headers, bounded memory, no allocation, no dependency.

   Do this in exactly one C or C++ file:

       #define TUNOFFLOAD_IMPLEMENTATION
       #include "tunoffload.h"

   and plainly #include "tunoffload.h" wherever else it is used.

   Contents (search for the tag):

       >>manual      what it does, how to use it, what it promises
       >>config      compile-time options and constants
       >>results     tuo_result and tuo_verdict
       >>types       structs that cross the interface
       >>api         functions
       >>platform    compiler and byte order                         (implementation from here on)
       >>bytes       loads and stores
       >>wire        offsets in the headers
       >>checksum    the Internet checksum
       >>parse       bytes to tuo_pkt_info; the only place that validates lengths
       >>vnet        virtio-net header: decode, encode, check
       >>flow        flow keys and the flow table
       >>account     finishing a superpacket: lengths, checksums, vnet header
       >>gro-rules   may this packet join that item? (decides, writes nothing)
       >>gro         records, items, push and drain
       >>gso         plan and write segments
       >>license     MIT-0 / Unlicense
*/
#ifndef TUNOFFLOAD_H
#define TUNOFFLOAD_H

@@MANUAL@@

/* ------------------------------------------------------------------------------------------------------------- >>config */

#define TUO_VERSION_MAJOR 0
#define TUO_VERSION_MINOR 1
#define TUO_VERSION_PATCH 0

#include <stddef.h>
#include <stdint.h>

/* TUO_API: put in front of every public function. Define it before every #include of this header, if at all (dllexport and the
   like). TUO_STATIC: define it instead to make every function static to the including file. */
#if defined(__GNUC__) || defined(__clang__)
#define TUO__UNUSED __attribute__((unused))
#define TUO_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TUO__UNUSED
#define TUO_MUST_CHECK
#endif
#ifndef TUO_API
#ifdef TUO_STATIC
#define TUO_API static TUO__UNUSED
#else
#define TUO_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes from the start of a frame to the start of the TCP or UDP payload (Ethernet, VLAN tags, IP options, IPv6 extension headers
   and TCP options included) that this library copies or stamps. Packets with longer headers pass GRO alone (TUO_V_HEADER_TOO_LONG)
   and are refused by GSO (TUO_E_HEADER_TOO_LONG). 14 + 2*4 + 60 + 60 fits, so every IPv4 packet with up to two tags does. */
#define TUO_HEADER_MAX 256

/* Bounds of the parser: more than this is a named rejection, never a longer walk. */
#define TUO_VLAN_MAX 4      /* stacked 802.1Q / 802.1ad tags */
#define TUO_IP6_EXT_MAX 8   /* IPv6 extension headers in front of TCP or UDP */

/* Flags, or-ed together. Each function says which ones it looks at; others are ignored. */
enum {
    TUO_F_ETHERNET = 1,    /* the bytes start with an Ethernet header (TAP, packet sockets), not with an IP header (TUN) */
    TUO_F_PSEUDO = 2,      /* segments keep the pseudo-header sum in their TCP or UDP checksum field, for a device that finishes it */
    TUO_F_TRUST = 4,       /* whoever made these bytes is trusted (authenticated tunnel, own stack): do not verify checksums */
    TUO_F_WRITE = 8,       /* tuo_vnet_check: also apply what the kernel demands of a header that is written to a TUN device */
    TUO_F_SUPERPACKET = 16 /* an IP length field of 0 means "up to the end of the bytes" (BIG TCP, oversize superpackets) */
};

/* ------------------------------------------------------------------------------------------------------------ >>results */

/* tuo_result says whether a call did its job: 0 yes, positive "yes, and note this", negative "no".
   On a negative result nothing that the caller can see has changed, unless the function says otherwise.
   X(name, value, text) */
#define TUO_RESULTS(X)                                                                                                        \
    X(OK, 0, "done")                                                                                                          \
    X(DONE, 1, "nothing more to hand out")                                                                                    \
    X(MORE, 2, "output buffers ran out; call again with fresh ones")                                                          \
    X(E_INVALID, -1, "an argument is outside its documented range")                                                           \
    X(E_NOSPACE, -2, "an output buffer or the given memory is too small; nothing was written")                                \
    X(E_BUFFER, -3, "a buffer callback failed")                                                                               \
    X(E_NOT_IP, -4, "neither IPv4 nor IPv6 (version nibble or ethertype)")                                                    \
    X(E_TRUNCATED, -5, "the bytes end inside a header")                                                                       \
    X(E_VLAN_DEPTH, -6, "more stacked VLAN tags than TUO_VLAN_MAX")                                                           \
    X(E_IP_HEADER, -7, "IPv4 header length below 20 bytes or beyond the packet")                                              \
    X(E_IP_LENGTH, -8, "the IP length field claims more bytes than there are, or fewer than its headers take")                \
    X(E_IP6_EXT, -9, "IPv6 extension headers run past the packet or are more than TUO_IP6_EXT_MAX")                           \
    X(E_TCP_HEADER, -10, "TCP data offset below 5 words or beyond the packet")                                                \
    X(E_UDP_LENGTH, -11, "UDP length below 8 or beyond the IP payload")                                                       \
    X(E_HEADER_TOO_LONG, -12, "headers longer than TUO_HEADER_MAX")                                                           \
    X(E_IP_CSUM, -13, "IPv4 header checksum is wrong")                                                                        \
    X(E_L4_CSUM, -14, "TCP or UDP checksum is wrong")                                                                         \
    X(E_CSUM_RANGE, -15, "csum_start + csum_offset + 2 lies beyond the packet")                                               \
    X(E_VNET_GSO_TYPE, -16, "gso_type is not a known value")                                                                  \
    X(E_VNET_UFO, -17, "gso_type UDP (legacy UFO): fragments datagrams, not supported")                                       \
    X(E_VNET_TUNNEL, -18, "gso_type with a UDP tunnel bit: not supported")                                                    \
    X(E_VNET_ECN, -19, "ECN bit on a gso_type that is not TCP")                                                               \
    X(E_VNET_GSO_SIZE, -20, "gso_size 0 or 65535 on a GSO type")                                                              \
    X(E_VNET_CSUM_START, -21, "csum_start is not where the TCP or UDP header starts")                                         \
    X(E_VNET_CSUM_OFFSET, -22, "csum_offset is not 16 (TCP) or 6 (UDP)")                                                      \
    X(E_VNET_IP_VERSION, -23, "gso_type TCPV4 on IPv6 or TCPV6 on IPv4")                                                      \
    X(E_VNET_PROTOCOL, -24, "gso_type TCP on a packet that is not TCP, or UDP on one that is not UDP")                        \
    X(E_VNET_NEEDS_CSUM, -25, "gso_type UDP_L4 without NEEDS_CSUM")                                                           \
    X(E_VNET_NO_PAYLOAD, -26, "GSO type on a packet without payload")                                                         \
    X(E_VNET_FRAGMENT, -27, "GSO type on an IP fragment")                                                                     \
    X(E_VNET_HDR_LEN, -28, "hdr_len beyond the packet (write rule)")                                                          \
    X(E_VNET_SEG_LIMIT, -29, "UDP_L4 superpacket of more than 128 segments (write rule)")

typedef enum tuo_result {
#define TUO__X(name, value, text) TUO_##name = value,
    TUO_RESULTS(TUO__X)
#undef TUO__X
    TUO__RESULT_END = 3
} tuo_result;

/* tuo_verdict says what GRO did with one packet, and which rule decided. It is not an error: every packet is emitted.
   "passes": the packet is emitted alone and unchanged. "starts": it is the head of a new item that later packets may join.
   "closes": nothing that comes later joins what was held of the flow before.
   X(name, text, source); sources: RFC section, or the file and function of the Linux kernel that has the same rule. */
#define TUO_VERDICTS(X)                                                                                                       \
    X(HELD, "first of its flow; starts", "tcp_offload.c tcp_gro_receive")                                                     \
    X(APPENDED, "joined an item at its end", "gro.c skb_gro_receive")                                                         \
    X(PREPENDED, "a late segment, joined an item at its front", "not in the kernel; disable_prepend")                         \
    /* no candidate because of what it is: passes */                                                                          \
    X(NOT_IP, "neither IPv4 nor IPv6", "RFC 791 3.1, RFC 8200 3")                                                             \
    X(TRUNCATED, "the bytes end inside a header", "af_inet.c inet_gro_receive")                                               \
    X(VLAN_DEPTH, "too many stacked VLAN tags", "TUO_VLAN_MAX")                                                               \
    X(IP_HEADER, "impossible IPv4 header length", "RFC 791 3.1")                                                              \
    X(IP_LENGTH, "the IP length field does not fit the bytes", "af_inet.c inet_gro_receive")                                  \
    X(TRAILING_BYTES, "bytes after the end of the IP packet; closes", "af_inet.c inet_gro_receive")                           \
    X(IP_OPTIONS, "IPv4 options; closes", "af_inet.c inet_gro_receive")                                                       \
    X(IP_FRAGMENT, "IP fragment; closes all flows of its two addresses", "af_inet.c inet_gro_receive")                        \
    X(IP_RESERVED_BIT, "reserved bit of the IPv4 header set; closes", "af_inet.c inet_gro_receive")                           \
    X(IP6_EXT, "extension header that hides the ports, or a broken chain; closes all flows of its addresses",                 \
      "ip6_offload.c ipv6_gso_pull_exthdrs")                                                                                  \
    X(IP6_ROUTING, "routing header with segments left: the checksum covers another address; closes", "RFC 8200 8.1")          \
    X(PROTOCOL, "neither TCP nor UDP", "gro.c dev_gro_receive")                                                               \
    X(TCP_HEADER, "impossible TCP data offset; closes all flows of its addresses", "tcp_offload.c tcp_gro_pull_header")       \
    X(UDP_LENGTH, "UDP length is not the IP payload length; closes", "udp_offload.c udp_gro_receive_segment")                 \
    X(UDP_ZERO_CSUM, "UDP without a checksum; closes", "udp_offload.c udp_gro_receive")                                       \
    X(UDP_EMPTY, "UDP datagram without payload; closes", "udp_offload.c udp_gro_receive_segment")                             \
    X(TCP_EMPTY, "TCP segment without payload; closes", "tcp_offload.c tcp_gro_receive")                                      \
    X(TCP_FLAGS, "SYN, RST or URG; closes", "tcp_offload.c tcp_gro_receive")                                                  \
    X(TCP_CWR, "CWR: must stay on exactly this segment; closes", "RFC 3168 6.1.2, tcp_offload.c tcp_gro_receive")             \
    X(DISABLED, "switched off for this protocol; closes", "tuo_gro_desc")                                                     \
    X(PORT_EXCLUDED, "UDP port on the exclusion list; closes", "tuo_gro_desc")                                                \
    X(HEADER_TOO_LONG, "headers longer than TUO_HEADER_MAX; closes", "TUO_HEADER_MAX")                                        \
    X(TOO_LARGE, "packet larger than max_bytes; closes", "tuo_gro_desc")                                                      \
    X(CSUM_ALIAS, "0xffff where splitting would write 0x0000; closes", "RFC 1624 3")                                          \
    /* a candidate that cannot join what is held: starts, and closes unless said otherwise */                                 \
    X(L2_DIFFERS, "Ethernet header or VLAN tag differs", "gro.c gro_list_prepare")                                            \
    X(TOS_DIFFERS, "TOS / traffic class differs", "gro.h inet_gro_flush")                                                     \
    X(TTL_DIFFERS, "TTL / hop limit differs", "gro.h inet_gro_flush")                                                         \
    X(DF_DIFFERS, "DF bit differs", "gro.h inet_gro_flush")                                                                   \
    X(IP_ID_DIFFERS, "IPv4 ID neither +1 nor constant under DF", "gro.h inet_gro_flush, RFC 6864")                            \
    X(EXT_DIFFERS, "IPv6 extension header bytes differ", "ip6_offload.c ipv6_gro_receive")                                    \
    X(ACK_DIFFERS, "TCP acknowledgment number differs", "tcp_offload.c tcp_gro_receive")                                      \
    X(RESERVED_DIFFERS, "TCP reserved bits (AE included) differ", "tcp_offload.c tcp_gro_receive")                            \
    X(FLAGS_DIFFERS, "TCP flags other than FIN and PSH differ", "tcp_offload.c tcp_gro_receive")                              \
    X(WINDOW_DIFFERS, "TCP window differs", "tcp_offload.c tcp_gro_receive")                                                  \
    X(URGENT_DIFFERS, "TCP urgent pointer differs", "lossless splitting; the kernel does not compare it")                     \
    X(OPTIONS_DIFFERS, "TCP options differ", "tcp_offload.c tcp_gro_receive")                                                 \
    X(SEQ_GAP, "TCP sequence gap; the older items of the flow stay open", "tcp_offload.c tcp_gro_receive")                    \
    X(SEQ_OVERLAP, "TCP bytes that are held already (retransmission)", "tcp_offload.c tcp_gro_receive")                       \
    X(SEQ_LATE, "late TCP segment that touches no held item, or prepending is off", "tcp_offload.c tcp_gro_receive")          \
    X(LONGER, "longer than the segments it would follow, or shorter than those it would precede",                             \
      "tcp_offload.c tcp_gro_receive")                                                                                        \
    X(AFTER_PSH_FIN, "PSH or FIN may only be on the last segment", "tcp_offload.c tcp_gro_receive")                           \
    X(AFTER_SHORT, "only the last segment may be short", "tcp_offload.c tcp_gro_receive")                                     \
    X(TINY, "TCP segments below 8 bytes: some kernels would cut them differently", "virtio_net.h TCP_MIN_GSO_SIZE")           \
    X(CAP_BYTES, "the superpacket would exceed max_bytes", "gro.c skb_gro_receive")                                           \
    X(CAP_SEGS, "the superpacket would exceed max_segs or max_udp_segs", "udp_offload.c UDP_GRO_CNT_MAX")                     \
    X(CAP_FRAGS, "the superpacket would exceed max_frags", "tuo_gro_desc")                                                    \
    X(CAP_BUFFER, "the superpacket would exceed the capacity of its buffer", "tuo_buf_ops")                                   \
    X(PAIR_CLOSED, "the flow was closed by a fragment or another packet whose ports are unknown", "ordering")                 \
    X(HEAD_BAD_CSUM, "the held head turned out to have a bad checksum; it leaves unchanged", "tcp_offload.c tcp4_gro_receive") \
    /* the packet itself is bad: passes and closes */                                                                         \
    X(BAD_IP_CSUM, "IPv4 header checksum is wrong", "af_inet.c inet_gro_receive")                                             \
    X(BAD_L4_CSUM, "TCP or UDP checksum is wrong", "gro.h skb_gro_checksum_validate")                                         \
    X(NO_ROOM, "max_packets are held: the packet was NOT taken; drain with tuo_gro_next, then push it again", "tuo_gro_desc")

typedef enum tuo_verdict {
#define TUO__X(name, text, source) TUO_V_##name,
    TUO_VERDICTS(TUO__X)
#undef TUO__X
    TUO_V_COUNT /* number of verdicts; not a verdict */
} tuo_verdict;

/* -------------------------------------------------------------------------------------------------------------- >>types */

/* One piece of a scattered packet. Same layout as struct iovec of POSIX, except that the bytes are const. */
typedef struct tuo_iov {
    const void *base;
    size_t len; /* bytes */
} tuo_iov;

/* The built-in buffer: used wherever a tuo_buf_ops pointer is NULL. */
typedef struct tuo_buf {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t cap; /* bytes that data can hold */
} tuo_buf;

/* The buffer abstraction: how the copying functions see buffers that are not tuo_buf. All five callbacks or none (a NULL tuo_buf_ops
   pointer). `user` is handed through. Callbacks are called on the caller's thread, only during a call of this library, and must not
   call back into the same instance. The bytes stay the caller's.
     data      first byte of the buffer's contiguous memory; asked again after every resize and append, which may move it
     length    bytes in use
     capacity  bytes that length could grow to; a promise about the sum of later appends, which may nevertheless fail
     resize    set length to len, keeping the first min(old, new) bytes; new bytes are indeterminate; 0 = done, otherwise nothing changed
     append    add len bytes behind the last one; 0 = done, otherwise nothing changed. bytes never overlap the buffer */
typedef struct tuo_buf_ops {
    void *user;
    uint8_t *(*data)(void *user, void *buf);
    size_t (*length)(void *user, const void *buf);
    size_t (*capacity)(void *user, const void *buf);
    int (*resize)(void *user, void *buf, size_t len);
    int (*append)(void *user, void *buf, const uint8_t *bytes, size_t len);
} tuo_buf_ops;

/* virtio_net_hdr flags (virtio 1.3 5.1.6) */
enum {
    TUO_VNET_NEEDS_CSUM = 1,     /* the checksum field holds a pseudo-header sum; csum_start and csum_offset say where */
    TUO_VNET_DATA_VALID = 2,     /* checksums were verified; the TUN driver ignores it on write */
    TUO_VNET_RSC_INFO = 4,       /* not used by TUN */
    TUO_VNET_UDP_TUNNEL_CSUM = 8 /* Linux 6.17 */
};

/* virtio_net_hdr gso_type */
enum {
    TUO_GSO_NONE = 0,
    TUO_GSO_TCPV4 = 1,
    TUO_GSO_UDP = 3,    /* legacy UFO: refused */
    TUO_GSO_TCPV6 = 4,
    TUO_GSO_UDP_L4 = 5, /* USO, both IP versions; Linux 6.2 */
    TUO_GSO_UDP_TUNNEL_IPV4 = 0x20,
    TUO_GSO_UDP_TUNNEL_IPV6 = 0x40,
    TUO_GSO_ECN = 0x80  /* or-ed onto a TCP type: CWR may be set in the first segment */
};

/* Wire lengths of the virtio_net_hdr layouts, the vnet_hdr_len argument of every function here (TUNSETVNETHDRSZ). */
enum { TUO_VNET_LEN = 10, TUO_VNET_LEN_V1 = 12, TUO_VNET_LEN_HASH = 20, TUO_VNET_LEN_TUNNEL = 24, TUO_VNET_LEN_MAX = 24 };

/* Byte order of the header on the wire. A TUN device speaks native order, unless TUNSETVNETLE or TUNSETVNETBE was called. The fields
   from byte 12 on are little-endian in each of them, as in the kernel's struct. */
typedef enum tuo_order { TUO_ORDER_NATIVE = 0, TUO_ORDER_LITTLE = 1, TUO_ORDER_BIG = 2 } tuo_order;

/* A virtio_net_hdr in host order. It travels with a packet and is all that GSO knows beyond the bytes. Offsets count from the start of
   the frame (the Ethernet header, if there is one). Zero-initialised: an ordinary packet with finished checksums. */
typedef struct tuo_vnet_hdr {
    uint8_t flags;             /* TUO_VNET_* */
    uint8_t gso_type;          /* TUO_GSO_* */
    uint16_t hdr_len;          /* bytes of all headers; a hint that readers must not trust */
    uint16_t gso_size;         /* TCP or UDP payload bytes per segment */
    uint16_t csum_start;       /* where summing starts */
    uint16_t csum_offset;      /* from csum_start to the checksum field */
    uint16_t num_buffers;      /* 12-byte layout and up; TUN neither fills nor reads it */
    uint32_t hash_value;       /* 20 bytes and up */
    uint16_t hash_report;      /* 20 bytes and up */
    uint16_t outer_th_offset;  /* 24 bytes */
    uint16_t inner_nh_offset;  /* 24 bytes */
} tuo_vnet_hdr;

/* Which of the four offloadable kinds a packet is. */
typedef enum tuo_kind { TUO_KIND_NONE = 0, TUO_KIND_TCP4 = 1, TUO_KIND_UDP4 = 2, TUO_KIND_TCP6 = 3, TUO_KIND_UDP6 = 4 } tuo_kind;

/* tuo_pkt_info.flags */
enum {
    TUO_PKT_FRAGMENT = 1,     /* IPv4 fragment, or any IPv6 fragment header */
    TUO_PKT_DF = 2,           /* IPv4 Don't Fragment */
    TUO_PKT_RESERVED_BIT = 4, /* IPv4 reserved bit */
    TUO_PKT_IP_OPTIONS = 8,   /* IPv4 header longer than 20 bytes */
    TUO_PKT_ROUTING = 16,     /* IPv6 routing header with segments left: the destination address is not the final one */
    TUO_PKT_OPAQUE = 32       /* IPv6 header chain ends in a header that hides what follows (ESP, AH, unknown), or in a fragment */
};

/* What tuo_parse found. Offsets count from the first byte given to it. After TUO_OK:
     ip_off + ip_hdr_len == l4_off <= payload_off,  payload_off + payload_len <= ip_off + total_len <= len
   and for a kind other than NONE every header byte up to payload_off is there. Integers are in host order. */
typedef struct tuo_pkt_info {
    uint32_t ip_off;      /* start of the IP header; Ethernet header and tags in front of it */
    uint32_t ip_hdr_len;  /* IPv4 with options; IPv6 with extension headers */
    uint32_t l4_off;      /* start of what follows the IP headers */
    uint32_t l4_hdr_len;  /* TCP with options; 8 for UDP; 0 otherwise */
    uint32_t payload_off; /* start of the TCP or UDP payload */
    uint32_t payload_len; /* TCP: up to the end of the IP packet; UDP: by the UDP length field */
    uint32_t total_len;   /* bytes of the IP packet, headers included */
    uint32_t trailer_len; /* bytes given beyond the IP packet (Ethernet padding) */
    uint16_t ethertype;   /* innermost; 0 without TUO_F_ETHERNET */
    uint8_t ip_version;   /* 4 or 6 */
    uint8_t l4_proto;     /* IP protocol number at l4_off (an IPv6 chain that was not walked to its end: the header it ended in) */
    uint8_t vlan_count;
    uint8_t ttl;          /* or hop limit */
    uint8_t tos;          /* or traffic class */
    uint8_t flags;        /* TUO_PKT_* */
    uint16_t ip_id;       /* IPv4 */
    uint16_t src_port, dst_port; /* TCP and UDP */
    uint16_t window;      /* TCP, from here on */
    uint32_t flow_label;  /* IPv6 */
    uint32_t seq, ack;
    uint8_t tcp_flags;    /* CWR ECE URG ACK PSH RST SYN FIN, FIN lowest */
    uint8_t kind;         /* tuo_kind; NONE for fragments and for everything that is not TCP or UDP */
} tuo_pkt_info;

/* Identity of a flow in one direction. Compared byte by byte: fill every field (memset first). 48 bytes without padding. */
typedef struct tuo_flow_key {
    uint8_t src[16], dst[16]; /* IPv4 addresses in the first 4 bytes, zeros behind */
    uint16_t src_port, dst_port;
    uint32_t flow_label;      /* IPv6 */
    uint32_t extra;           /* the user's; GRO puts a hash of extension headers and Ethernet header here */
    uint8_t ip_version, l4_proto;
    uint16_t zero;            /* 0 */
} tuo_flow_key;

/* Bounded hash table from tuo_flow_key to uint32_t, in the caller's memory. */
typedef struct tuo_flow_table tuo_flow_table;

/* Work done by a flow table since init. A lookup probes at most TUO_FLOW_WAYS slots, whoever chose the keys. */
#define TUO_FLOW_WAYS 8
typedef struct tuo_flow_stats {
    uint64_t lookups;   /* finds and inserts */
    uint64_t probes;    /* slots whose key or tag was looked at */
    uint64_t evictions; /* live entries displaced by an insert */
} tuo_flow_stats;

/* GRO configuration. Zero-initialised: valid, safe, and what most want. */
#define TUO_EXCLUDED_PORTS_MAX 16
typedef struct tuo_gro_desc {
    /* Capacity: fixed at init. */
    uint32_t max_packets;        /* packets held between two drains; 0 = 256; 1..1048576 */
    uint32_t max_flows;          /* flows that can merge at the same time; 0 = 128; 1..65536. One more evicts one (it is emitted) */
    uint64_t hash_seed;          /* any number an attacker cannot guess. 0 works, but lets him choose flows that evict each other */
    /* Limits of one superpacket: changed by tuo_gro_reconfigure, as all that follows. */
    uint32_t max_bytes;          /* IP packet length; 0 = 65535 (IPv4 length field, also the kernel's bound for IPv6); 576..65535 */
    uint32_t max_segs;           /* TCP segments; 0 = no limit; from 2 */
    uint32_t max_udp_segs;       /* UDP datagrams; 0 = 64 (Linux 6.2 to 6.8 refuse more); 2..128 (all kernels refuse more) */
    uint32_t max_frags;          /* iovecs with payload in one superpacket; 0 = 1022 (IOV_MAX 1024); 2..65535. Gather mode only */
    uint32_t max_items_per_flow; /* open items of a TCP flow with sequence gaps; 0 = 4; 1..16 */
    uint32_t vnet_hdr_len;       /* vnet header in front of each emitted packet; 0 = 10; 10, 12, 20 or 24 */
    tuo_order vnet_order;        /* its byte order */
    /* Switches: 0 is the default of each. */
    uint8_t no_vnet_hdr;         /* emit no vnet header bytes (the tuo_vnet_hdr in tuo_superpacket is filled anyway) */
    uint8_t ethernet;            /* packets start with an Ethernet header */
    uint8_t disable_tcp4, disable_tcp6, disable_udp4, disable_udp6;
    uint8_t strict_kernel;       /* merge as the kernel does: no prepend, one item per flow */
    uint8_t disable_prepend;     /* never put a late segment in front of those it precedes */
    uint8_t exact_ip_id;         /* IPv4 IDs must count up by one; constant IDs do not merge (then splitting is lossless always) */
    uint8_t ignore_df_ip_id;     /* any IPv4 IDs merge when DF is set; they come back as id, id+1, ... (RFC 6864 allows it) */
    uint8_t trust_checksums;     /* never verify: all packets come from an authenticated or internal source */
    uint8_t udp_excluded_port_count;                        /* 0..TUO_EXCLUDED_PORTS_MAX */
    uint16_t udp_excluded_ports[TUO_EXCLUDED_PORTS_MAX];    /* source or destination; e.g. 4789 8472 6081 4500 (see manual, Limits) */
} tuo_gro_desc;

/* GRO counters since init; never reset by the library. */
typedef struct tuo_gro_stats {
    uint64_t packets_in, bytes_in;    /* taken by push (NO_ROOM not counted) */
    uint64_t packets_out, bytes_out;  /* emitted, superpackets counted once; bytes without vnet headers */
    uint64_t superpackets;            /* emitted packets made of two or more */
    uint64_t merged_packets;          /* input packets inside superpackets */
    uint64_t append_failures;         /* buffer callbacks that failed while copying; what was left went out as single packets */
    uint64_t verified_packets;        /* checksums computed; at most 2 for one push */
    uint64_t item_checks;             /* held items compared with a packet; at most max_items_per_flow for one push */
    tuo_flow_stats flow;
    uint64_t verdicts[TUO_V_COUNT];
} tuo_gro_stats;

/* A GRO instance, in the caller's memory. One thread at a time; different instances are independent. */
typedef struct tuo_gro tuo_gro;

/* One emitted packet, filled by tuo_gro_next. iov[0] may point into this struct: keep the struct where it is while iov is used. */
typedef struct tuo_superpacket {
    tuo_vnet_hdr vnet;      /* all zero for a single packet */
    const tuo_iov *iov;     /* iov[0]: vnet header bytes, then (of a superpacket) all headers; the rest: payload, or the single packet */
    size_t iov_count;
    size_t len;             /* bytes of all iovecs */
    size_t vnet_len;        /* bytes of the vnet header at the start of iov[0] */
    void *const *users;     /* the `user` of each packet in it, in segment order */
    size_t packet_count;    /* of users; 1 = a single packet, byte-identical to what was pushed */
    uint8_t tuo__head[TUO_VNET_LEN_MAX + TUO_HEADER_MAX]; /* private storage behind iov[0] */
} tuo_superpacket;

/* One segment, filled by tuo_gso_next. Its bytes are iov[0..iov_count) in order. */
typedef struct tuo_segment {
    tuo_iov iov[3];
    size_t iov_count;   /* 1: the input as it is; 2: header, payload; 3: input up to the checksum field, that field, the rest */
    size_t len;         /* bytes in total */
    size_t payload_len; /* TCP or UDP payload bytes of a cut segment; 0 if the packet was not cut */
} tuo_segment;

/* A split in progress. Public so that it can live on the stack; its members are private and may change. Copying it is fine (a saved
   position). Memory: about 400 bytes. */
typedef struct tuo_gso {
    const uint8_t *tuo__pkt;
    uint32_t tuo__pkt_len;      /* bytes of the packet without trailing ones */
    uint32_t tuo__hdr_len;      /* bytes in front of the payload */
    uint32_t tuo__payload_len;
    uint32_t tuo__gso_size;
    uint32_t tuo__seg_count;
    uint32_t tuo__next_idx;     /* segment that comes next */
    uint32_t tuo__ip_off, tuo__l4_off;
    uint32_t tuo__seq;          /* of the first segment */
    uint32_t tuo__l4_base_sum;  /* pseudo-header without length, and the parts of the L4 header that are equal in all segments */
    uint32_t tuo__ip_base_sum;  /* the parts of the IPv4 header that are equal in all segments */
    uint32_t tuo__csum_start, tuo__csum_offset;
    uint16_t tuo__ip_id;
    uint8_t tuo__tcp_flags;
    uint8_t tuo__kind;          /* tuo_kind; NONE = not cut */
    uint8_t tuo__fill_csum;     /* not cut, but the checksum must be completed */
    uint8_t tuo__pseudo;        /* TUO_F_PSEUDO */
    uint8_t tuo__hdr[TUO_HEADER_MAX];
} tuo_gso;

/* ---------------------------------------------------------------------------------------------------------------- >>api */
/* Common to all: no function allocates, blocks, logs or touches errno or global state. A pointer may be NULL only where its length is
   0 or the comment says so. On a negative result the out-parameters are untouched. */

/* Name of a result or verdict ("E_TRUNCATED", "SEQ_GAP"), its one-line text, and for verdicts the source of the rule. Static strings;
   "?" for a number that is none. */
TUO_API const char *tuo_result_name(tuo_result result);
TUO_API const char *tuo_result_text(tuo_result result);
TUO_API const char *tuo_verdict_name(tuo_verdict verdict);
TUO_API const char *tuo_verdict_text(tuo_verdict verdict);
TUO_API const char *tuo_verdict_source(tuo_verdict verdict);

/* --- Checksums. Sums are 16-bit one's complement sums (RFC 1071), folded and not complemented; their value is the number that a
   big-endian reader sees, on every machine. The checksum field holds ~sum. --- */

/* tuo_csum: sum of len bytes, taken as big-endian 16-bit words (an odd last byte is padded with 0), plus initial.
   Reads     bytes[0..len)
   Returns   the folded sum; 0 only if every word and initial are 0. Chaining is exact where all pieces but the last have even length.
   Sources   RFC 1071 1, 2 */
TUO_API uint16_t tuo_csum(const void *bytes, size_t len, uint16_t initial);

/* tuo_csum_copy: the same sum of src while copying it to dst: one pass over memory.
   Writes    dst[0..len); must not overlap src */
TUO_API uint16_t tuo_csum_copy(void *dst, const void *src, size_t len, uint16_t initial);

/* tuo_csum_pseudo: sum of the TCP/UDP pseudo-header.
   Reads     src and dst, addr_len bytes each: 4 (IPv4) or 16 (IPv6); another addr_len sums just as many bytes
   Units     l4_len: bytes of TCP or UDP header and payload
   Returns   the folded sum: what a packet with NEEDS_CSUM has in its checksum field
   Sources   RFC 9293 3.1, RFC 768, RFC 8200 8.1 */
TUO_API uint16_t tuo_csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t l4_len);

/* tuo_csum_update16, tuo_csum_update32: the checksum field (not the sum) after a 16- or 32-bit word of the data changed.
   Sources   RFC 1624 3, equation 3: never turns 0x0000 into 0xffff or the other way without cause */
TUO_API uint16_t tuo_csum_update16(uint16_t checksum, uint16_t old_word, uint16_t new_word);
TUO_API uint16_t tuo_csum_update32(uint16_t checksum, uint32_t old_word, uint32_t new_word);

/* tuo_csum_valid: are the checksums of this packet right? IPv4 header, then TCP or UDP (a zero UDP checksum over IPv4 means "none" and is
   right; over IPv6 it is wrong). Fragments, other protocols and routing headers with segments left: the IPv4 header only.
   Flags     TUO_F_ETHERNET
   Returns   TUO_OK; TUO_E_IP_CSUM; TUO_E_L4_CSUM; what tuo_parse returns for a malformed packet
   Cost      one pass over the packet */
TUO_API TUO_MUST_CHECK tuo_result tuo_csum_valid(const void *pkt, size_t len, unsigned flags);

/* tuo_csum_complete: finish a partial checksum: sum pkt[csum_start..len) including the seed in the field, write the complement there;
   0 is written as 0xffff. The packet is not parsed: csum_start may lie in an inner packet.
   Writes    two bytes at csum_start + csum_offset
   Returns   TUO_OK; TUO_E_CSUM_RANGE (nothing written)
   Sources   virtio 1.3 5.1.6.2; linux net/core/dev.c skb_checksum_help */
TUO_API TUO_MUST_CHECK tuo_result tuo_csum_complete(void *pkt, size_t len, size_t csum_start, size_t csum_offset);

/* --- virtio-net header --- */

/* tuo_vnet_decode: wire bytes to host order.
   Reads     bytes[0..vnet_hdr_len)
   Returns   TUO_OK; TUO_E_INVALID if vnet_hdr_len is not 10, 12, 20 or 24 or order is unknown; TUO_E_TRUNCATED if len < vnet_hdr_len
   Note      fields that the layout does not have become 0. Values are not judged: see tuo_vnet_check */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_decode(const void *bytes, size_t len, size_t vnet_hdr_len, tuo_order order,
                                                  tuo_vnet_hdr *hdr);

/* tuo_vnet_encode: host order to wire bytes.
   Writes    bytes[0..vnet_hdr_len)
   Returns   TUO_OK; TUO_E_INVALID as above; TUO_E_NOSPACE if cap < vnet_hdr_len. Fields that the layout does not have are left out */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_encode(void *bytes, size_t cap, size_t vnet_hdr_len, tuo_order order,
                                                  const tuo_vnet_hdr *hdr);

/* tuo_vnet_check: does this header fit this packet? hdr_len is not looked at (it is a hint, and Linux fills it with other things), except
   under TUO_F_WRITE. Without a GSO type only csum_start and csum_offset are checked, as opaque numbers.
   Flags     TUO_F_ETHERNET; TUO_F_WRITE adds: hdr_len within the packet, csum_start behind the smallest IP header, UDP_L4 at most 128
             segments. (An IP length of 0 is accepted, as TUO_F_SUPERPACKET does.)
   Returns   TUO_OK; the first contradiction, in this order: gso_type (E_VNET_GSO_TYPE, _UFO, _TUNNEL, _ECN), E_VNET_GSO_SIZE,
             E_CSUM_RANGE, what tuo_parse returns, E_VNET_FRAGMENT, E_VNET_PROTOCOL, E_VNET_IP_VERSION, E_VNET_NEEDS_CSUM,
             E_VNET_CSUM_START, E_VNET_CSUM_OFFSET, E_VNET_NO_PAYLOAD, E_HEADER_TOO_LONG, E_VNET_HDR_LEN, E_VNET_SEG_LIMIT
   Sources   linux include/linux/virtio_net.h __virtio_net_hdr_to_skb, drivers/net/tun.c tun_get_user */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_check(const tuo_vnet_hdr *hdr, const void *pkt, size_t len, unsigned flags);

/* --- Parser --- */

/* tuo_parse: find and check the headers of one packet.
   Reads     pkt[0..len), never beyond. len up to 2^31-1, otherwise TUO_E_INVALID
   Flags     TUO_F_ETHERNET; TUO_F_SUPERPACKET
   Returns   TUO_OK and *info filled, also for packets that are not TCP or UDP; TUO_E_NOT_IP, _TRUNCATED, _VLAN_DEPTH, _IP_HEADER,
             _IP_LENGTH, _IP6_EXT, _TCP_HEADER, _UDP_LENGTH
   Note      checksums are not verified. The first fragment of a datagram has kind NONE too: its length fields do not fit the datagram
   Cost      headers only
   Sources   RFC 791 3.1; RFC 8200 3, 4; RFC 9293 3.1; RFC 768; IEEE 802.1Q 9 */
TUO_API TUO_MUST_CHECK tuo_result tuo_parse(const void *pkt, size_t len, unsigned flags, tuo_pkt_info *info);

/* --- Flow table --- */

/* tuo_flow_table_memory_size: bytes that _init wants for max_flows (1..65536) entries; 0 if max_flows is out of range. */
TUO_API size_t tuo_flow_table_memory_size(uint32_t max_flows);

/* tuo_flow_table_init: make an empty table in mem.
   Returns   TUO_OK; TUO_E_INVALID (max_flows, or mem not aligned for uint64_t); TUO_E_NOSPACE (mem_len < memory_size)
   Ownership mem stays the caller's; there is nothing to free. *table points into it. Do not move it. */
TUO_API TUO_MUST_CHECK tuo_result tuo_flow_table_init(void *mem, size_t mem_len, uint32_t max_flows, uint64_t seed, tuo_flow_table **table);

/* tuo_flow_table_find: the value of key, or NULL. The pointer is good until the next insert, remove or reset.
   Cost      one hash, at most TUO_FLOW_WAYS probes */
TUO_API uint32_t *tuo_flow_table_find(tuo_flow_table *table, const tuo_flow_key *key);

/* tuo_flow_table_insert: the value of key, added with value 0 if it was not there. Never fails: when its bucket is full or max_flows are
   live, the oldest entry in reach is displaced.
   Writes    *evicted (may be NULL): whether an entry was displaced, and which
   Cost      one hash, at most TUO_FLOW_WAYS probes */
typedef struct tuo_flow_evicted {
    int happened;     /* 1: an entry was displaced to make room, and these were its key and value */
    tuo_flow_key key;
    uint32_t value;
} tuo_flow_evicted;
TUO_API uint32_t *tuo_flow_table_insert(tuo_flow_table *table, const tuo_flow_key *key, tuo_flow_evicted *evicted);

/* tuo_flow_table_remove: 1 if key was there. */
TUO_API int tuo_flow_table_remove(tuo_flow_table *table, const tuo_flow_key *key);

/* tuo_flow_table_reset: empty the table. Cost: constant (a generation number), whatever the table's size. */
TUO_API void tuo_flow_table_reset(tuo_flow_table *table);

/* tuo_flow_table_count: live entries. tuo_flow_table_query_stats: work done since init. */
TUO_API uint32_t tuo_flow_table_count(const tuo_flow_table *table);
TUO_API void tuo_flow_table_query_stats(const tuo_flow_table *table, tuo_flow_stats *stats);

/* tuo_flow_key_from_packet: fill *key from a parsed TCP or UDP packet (extra = 0).
   Returns   TUO_OK; TUO_E_INVALID if info->kind is NONE */
TUO_API TUO_MUST_CHECK tuo_result tuo_flow_key_from_packet(const void *pkt, const tuo_pkt_info *info, tuo_flow_key *key);

/* --- GRO --- */

/* tuo_gro_memory_size: bytes that tuo_gro_init wants. 0 if the desc is out of range. About 250 bytes per packet and 128 per flow:
   just under 64 KiB for the zero desc. */
TUO_API size_t tuo_gro_memory_size(const tuo_gro_desc *desc);

/* tuo_gro_init: make an instance in mem.
   Returns   TUO_OK; TUO_E_INVALID if a desc member is out of range or mem is not aligned for uint64_t; TUO_E_NOSPACE
   Ownership mem stays the caller's, must not move while in use, and holds the only state: nothing to free */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_init(void *mem, size_t mem_len, const tuo_gro_desc *desc, tuo_gro **gro);

/* tuo_gro_reconfigure: replace limits and switches (all but the capacities, which must be as at init or 0). Call it between batches.
   Returns   TUO_OK; TUO_E_INVALID (out of range, capacities differ, or packets are held); then nothing changed */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_reconfigure(tuo_gro *gro, const tuo_gro_desc *desc);

/* tuo_gro_query_desc: the effective configuration, defaults filled in. tuo_gro_query_stats: counters since init. */
TUO_API void tuo_gro_query_desc(const tuo_gro *gro, tuo_gro_desc *desc);
TUO_API void tuo_gro_query_stats(const tuo_gro *gro, tuo_gro_stats *stats);

/* tuo_gro_reset: forget every held packet without emitting it (the caller still owns them all). Stats stay. */
TUO_API void tuo_gro_reset(tuo_gro *gro);

/* tuo_gro_push: one packet in.
   Reads     pkt[0..len): the headers now, the payload when a checksum must be verified. Any bytes of any length are fine
   Hint      TUO_F_TRUST: checksums of this packet are known to be right. Otherwise 0
   Returns   the verdict. Every packet is held until it is emitted by tuo_gro_next, except with TUO_V_NO_ROOM: then it was not taken
   Ownership the bytes stay the caller's and must neither change nor move until the emitted packet that holds `user` was used
   Order     packets of one flow are emitted in the order they were pushed, except that a late TCP segment may move up to where it belongs
   Cost      bounded: at most TUO_FLOW_WAYS probes, max_items_per_flow items, 2 checksums; no payload is copied
   Sources   manual, Coalescing rules */
TUO_API tuo_verdict tuo_gro_push(tuo_gro *gro, const void *pkt, size_t len, unsigned hint, void *user);

/* tuo_gro_next: the next packet out, in order of the first packet in it. The first call after a push closes all flows: what is pushed
   later joins nothing that was pushed before.
   Writes    *sp: vnet header, iovecs, users
   Returns   TUO_OK; TUO_DONE when nothing is held any more (*sp untouched)
   Ownership sp->iov and sp->users point into the instance and are valid until the first push (or reset) after TUO_DONE; iov[0] may
             point into *sp. So several superpackets can be handed out before one sendmsg or io_uring submission uses them
   Sources   virtio 1.3 5.1.6.2 (header); linux tcp_offload.c tcp4_gro_complete, udp_offload.c udp_gro_complete */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_next(tuo_gro *gro, tuo_superpacket *sp);

/* tuo_gro_push_buf, tuo_gro_next_copy: the same by copy. The packet is in a buffer of the caller behind offset bytes of headroom; at
   the drain the payloads of a superpacket are appended to the buffer of its first packet, as far as the capacity that the buffer had at
   push allows (TUO_V_CAP_BUFFER). `user` of these packets is buf.
   Writes    next_copy: the buffer sp->users[0] (payloads, headers), and the vnet header in front of the packet if offset >=
             vnet_hdr_len and the vnet header is not switched off; sp->iov[0] is the whole packet with it, sp->iov_count 1
   Returns   next_copy: TUO_OK also when a callback fails: the superpacket ends in front of the packet that could not be appended, the
             packets behind it leave alone (stats.append_failures). TUO_E_INVALID if packets came from tuo_gro_push
   Note      use the same ops and offset for push and drain, and do not mix with tuo_gro_push between two drains */
TUO_API tuo_verdict tuo_gro_push_buf(tuo_gro *gro, const tuo_buf_ops *ops, void *buf, size_t offset, unsigned hint);
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_next_copy(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, tuo_superpacket *sp);

/* tuo_gro_batch: a whole batch in place, by copy: bufs[i] holds offset bytes of headroom and one packet.
   Reads     bufs[0..count); each the handle that ops understands (tuo_buf * if ops is NULL). Any count: max_packets only bounds what can
             merge with what
   Writes    to_write[0..*to_write_count): indices of the buffers that hold something to write, in order; room for count entries needed.
             Each holds headroom, then a packet or superpacket; with offset >= vnet_hdr_len (and vnet headers not switched off) the vnet
             header stands right in front of the packet, at offset - vnet_hdr_len. Buffers that are not listed were merged into others
   Returns   TUO_OK; TUO_E_INVALID if packets are held from earlier pushes
   Cost      one copy of each merged payload; a buffer shorter than offset counts as an empty packet and is listed */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_batch(tuo_gro *gro, const tuo_buf_ops *ops, void *const *bufs, size_t count, size_t offset,
                                                size_t *to_write, size_t *to_write_count);

/* tuo_gro_candidate: could this packet merge with a suitable neighbour, by the zero desc? A cheap look at the headers only.
   Flags     TUO_F_ETHERNET
   Returns   TUO_V_HELD if so, otherwise the verdict that says why not */
TUO_API tuo_verdict tuo_gro_candidate(const void *pkt, size_t len, unsigned flags);

/* tuo_coalesce_account: finish a merged packet in place, for callers who merge themselves: pkt has the headers of its first packet and
   the payloads of all. Writes IP length, IPv4 header checksum, UDP length, and the pseudo-header sum over the full length into the
   TCP or UDP checksum field; fills *vnet.
   Reads     headers only: the caller has verified every checksum, and set FIN and PSH of the last segment
   Units     gso_size: payload bytes of each segment but the last
   Flags     TUO_F_ETHERNET
   Returns   TUO_OK; TUO_E_INVALID if the payload does not exceed gso_size (a single packet has no GSO header) or gso_size is 0 or
             65535; TUO_E_IP_LENGTH if the packet exceeds 65535 bytes; TUO_E_VNET_PROTOCOL if it is not TCP or UDP; TUO_E_VNET_FRAGMENT;
             TUO_E_HEADER_TOO_LONG; what tuo_parse returns. Then nothing is written
   Sources   linux tcp4_gro_complete, tcp6_gro_complete, udp_gro_complete_segment */
TUO_API TUO_MUST_CHECK tuo_result tuo_coalesce_account(void *pkt, size_t len, uint16_t gso_size, unsigned flags, tuo_vnet_hdr *vnet);

/* --- GSO --- */

/* tuo_gso_init: plan the split of one packet with its vnet header.
   Reads     pkt[0..len); only headers, unless a checksum must be verified. pkt must stay as it is while the split goes on
   Flags     TUO_F_ETHERNET; TUO_F_PSEUDO: segments get pseudo-header sums; TUO_F_TRUST: do not verify
   Returns   TUO_OK; what tuo_vnet_check returns; TUO_E_HEADER_TOO_LONG; TUO_E_IP_CSUM, TUO_E_L4_CSUM: a packet that would have to be
             given fresh checksums came with a wrong one (IPv4 header: always checked; TCP: checked if NEEDS_CSUM is not set)
   Plan      GSO type: ceil(payload / gso_size) segments. NEEDS_CSUM only: one segment, the checksum completed (or left, with
             TUO_F_PSEUDO). Neither: one segment, the input itself. Bytes beyond the IP packet are not part of a GSO packet
   Sources   linux tcp_gso_segment, __udp_gso_segment, inet_gso_segment, ipv6_gso_segment */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_init(tuo_gso *gso, const void *pkt, size_t len, const tuo_vnet_hdr *vnet, unsigned flags);

/* tuo_gso_count: segments of the whole split; at least 1. tuo_gso_remaining: of them not yet handed out. */
TUO_API size_t tuo_gso_count(const tuo_gso *gso);
TUO_API size_t tuo_gso_remaining(const tuo_gso *gso);

/* tuo_gso_next: the next segment, payload borrowed from the input.
   Writes    *segment; the segment's headers to header (room for TUO_HEADER_MAX bytes), or into *gso if header is NULL: then they are good
             until the next call
   Returns   TUO_OK; TUO_DONE after the last (*segment untouched)
   Rules     each segment: all headers copied; lengths; IPv4 ID + i; TCP sequence number; CWR only on the first, FIN and PSH only on the
             last; IPv4 header and TCP/UDP checksum (UDP 0 as 0xffff). The input is not changed
   Cost      one pass over the payload for its sum, none with TUO_F_PSEUDO */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_next(tuo_gso *gso, uint8_t *header, tuo_segment *segment);

/* tuo_gso_next_in_place: the next segment as one contiguous piece of the input buffer: its headers are stamped in front of its payload, over
   the tail of the segment before, which must have been used by then.
   Reads/writes pkt: the buffer given to tuo_gso_init, now writable. Do not mix with tuo_gso_next on the same split
   Writes    *segment: data inside pkt, len; cap = len
   Returns   TUO_OK; TUO_DONE; TUO_E_INVALID if pkt is another pointer than init got */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_next_in_place(tuo_gso *gso, void *pkt, tuo_buf *segment);

/* tuo_gso_split: copy segments into the caller's buffers, each behind offset bytes of headroom.
   Writes    bufs[0..*written): resized to offset + segment length; headroom bytes are not touched. Capacity is checked before a byte
             is written
   Returns   TUO_OK: the last segment was written (or none was left). TUO_MORE: count buffers are filled and segments are left: call again.
             TUO_E_NOSPACE: bufs[*written] is too small for the next segment; TUO_E_BUFFER: its resize failed. In both cases
             *written buffers are complete, and the split goes on from there when called again: nothing is lost
   Note      *written is set on every result. ops NULL: bufs are tuo_buf *
   Cost      one pass: copy and sum together */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_split(tuo_gso *gso, const tuo_buf_ops *ops, void *const *bufs, size_t count, size_t offset,
                                                size_t *written);

#ifdef __cplusplus
}
#endif
#endif /* TUNOFFLOAD_H */

/* ------------------------------------------------------------- stop here if you only use the library: implementation below */

