/* test_gro_rules.c - the merging rules, one row per rule: what is pushed, the verdict of each packet, what comes out. K numbers
   are the sections of the list of rules that the kernel follows: K4 for TCP, K5 for UDP. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "packets.h"
#include "reference.h"
#include "gro_harness.h"
#include "inside.h"

static h_batch batch;
static unsigned long verdict_seen[TUO_V_COUNT];
static int only_some_tests;

/* --------------------------------------------------------------------------------------------------------- rule rows */

enum {
    T4 = 1 << PKT_TCP4, U4 = 1 << PKT_UDP4, T6 = 1 << PKT_TCP6, U6 = 1 << PKT_UDP6,
    TCP = T4 | T6, UDP = U4 | U6, IP4 = T4 | U4, IP6 = T6 | U6, ALL = TCP | UDP,
    AS_GIVEN = 0,
    ROW_PACKETS = 6
};

/* A change to a built packet. Offsets count from the IP header ('i'), the TCP or UDP header ('t') or the start ('e'). */
typedef struct poke {
    char base;      /* 0 = no change */
    uint8_t pkt, off, value;
    uint8_t raw;    /* leave the checksums as they were */
    uint8_t count;  /* bytes; 0 = 1 */
} poke;

typedef struct cut {
    uint8_t pkt;
    uint8_t keep;   /* bytes from the IP header on; 0 = no cut */
    uint8_t honest; /* the IP length field says so too */
} cut;

typedef struct rule_row {
    const char *name;
    unsigned kinds;             /* run once for each of these kinds; AS_GIVEN: the specs say */
    const char *groups;         /* expected emission, as h_groups writes it; also says how many packets there are */
    tuo_gro_desc desc;
    pkt_spec p[ROW_PACKETS];
    tuo_verdict v[ROW_PACKETS];
    int ids_as_given;           /* otherwise IPv4 IDs count up with the packets */
    unsigned trust;             /* bit i: packet i is pushed with TUO_F_TRUST */
    int verified;               /* checksums that must have been computed, plus 1; 0 = not looked at */
    poke poke;
    cut cut;
} rule_row;

#define ROW(text, kind_mask, emission) .name = (text), .kinds = (kind_mask), .groups = (emission)
#define P .p =
#define V(...) .v = {__VA_ARGS__}
#define X(name) TUO_V_##name
#define OK_ X(HELD)
#define APP X(APPENDED)
#define PRE X(PREPENDED)

static const uint8_t timestamp_1[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 9};
static const uint8_t timestamp_2[12] = {1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 9};
static const uint8_t router_alert[4] = {148, 4, 0, 0};
static const uint8_t nops[4] = {1, 1, 1, 1};
/* Hop-by-hop headers: next header, length in units of 8 bytes behind the first 8. */
static const uint8_t hop_192_tcp[192] = {6, 23, 1, 4};
static const uint8_t hop_216_tcp[216] = {6, 26, 1, 4};
static const uint8_t hop_216_udp[216] = {17, 26, 1, 4};
static const uint8_t hop_too_long[8] = {6, 200};

enum { PA = PKT_PSH | PKT_ACK, FA = PKT_FIN | PKT_ACK };

static const rule_row rows[] = {
    /* --- K4.1, K5.2: no candidates because of IP --- */
    {ROW("K4.1 version nibble is neither 4 nor 6; closes nothing", ALL, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(NOT_IP), APP), .poke = {'i', 1, 0, 0x55, 0}, .ids_as_given = 1},
    {ROW("ethertype is not IP; closes nothing", ALL, "02|1"),
     P{{.ethernet = 1}, {.seq = 100, .ethernet = 1}, {.seq = 100, .ethernet = 1}}, V(OK_, X(NOT_IP), APP),
     .poke = {'e', 1, 13, 0x06, 0}, .ids_as_given = 1},
    {ROW("ethertype and version nibble disagree", IP4, "02|1"),
     P{{.ethernet = 1}, {.seq = 100, .ethernet = 1}, {.seq = 100, .ethernet = 1}}, V(OK_, X(NOT_IP), APP),
     .poke = {'i', 1, 0, 0x65, 0}, .ids_as_given = 1},
    {ROW("IPv4 header cut short; closes nothing", IP4, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(TRUNCATED), APP), .cut = {1, 19, 0}, .ids_as_given = 1},
    {ROW("IPv6 header cut short; closes nothing", IP6, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(TRUNCATED), APP), .cut = {1, 39, 0}},
    {ROW("five VLAN tags; closes nothing", ALL, "02|1"),
     P{{.ethernet = 1}, {.seq = 100, .vlan_count = 5}, {.seq = 100, .ethernet = 1}},
     V(OK_, X(VLAN_DEPTH), APP), .ids_as_given = 1},
    {ROW("K4.1 IPv4 header length 4 words; closes nothing", IP4, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(IP_HEADER), APP), .poke = {'i', 1, 0, 0x44, 0}, .ids_as_given = 1},
    {ROW("K4.1 IPv4 length beyond the bytes; closes nothing", IP4, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(IP_LENGTH), APP), .cut = {1, 100, 0}, .ids_as_given = 1},
    {ROW("K4.1 IPv4 length 0; closes nothing", IP4, "02|1"), P{{.seq = 0}, {.seq = 100, .ip_len_zero = 1}, {.seq = 100}},
     V(OK_, X(IP_LENGTH), APP), .ids_as_given = 1},
    {ROW("K4.1 IPv6 length beyond the bytes; closes nothing", IP6, "02|1"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(IP_LENGTH), APP), .cut = {1, 100, 0}},
    {ROW("K4.1 padding behind the IP packet; closes", ALL, "0|1|2"), P{{.seq = 0}, {.seq = 100, .trailer_len = 1}, {.seq = 100}},
     V(OK_, X(TRAILING_BYTES), OK_)},
    {ROW("K4.1 IPv4 options; closes", IP4, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ip_options = router_alert, .ip_options_len = 4}, {.seq = 100}}, V(OK_, X(IP_OPTIONS), OK_)},
    {ROW("K4.1 IPv4 reserved bit; closes", IP4, "0|1|2"), P{{.seq = 0}, {.seq = 100, .frag = 0x8000}, {.seq = 100}},
     V(OK_, X(IP_RESERVED_BIT), OK_)},
    {ROW("K4.1 IPv4 first fragment closes all flows of its addresses", IP4, "0|1|2|35|4"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 100, .frag = 0x2000}, {.seq = 100}, {.seq = 100, .src_port = 1}, {.seq = 200}},
     V(OK_, OK_, X(IP_FRAGMENT), X(PAIR_CLOSED), X(PAIR_CLOSED), APP), .ids_as_given = 1},
    {ROW("K4.1 IPv4 last fragment closes all flows of its addresses", IP4, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .frag = 1}, {.seq = 100}}, V(OK_, X(IP_FRAGMENT), X(PAIR_CLOSED))},
    {ROW("fragments of other addresses close nothing", IP4, "02|1|3|4"),
     P{{.dst = 1}, {.frag = 0x2000}, {.seq = 100, .dst = 1}, {.src = 1, .dst = 1, .frag = 1}, {.dst = 2}},
     V(OK_, X(IP_FRAGMENT), APP, X(IP_FRAGMENT), OK_), .ids_as_given = 1},
    {ROW("K4.1 IPv6 fragment header closes all flows of its addresses", IP6, "0|1|2|3|4"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 100, .ext_chain = "f"}, {.seq = 100}, {.seq = 100, .src_port = 1}},
     V(OK_, OK_, X(IP_FRAGMENT), X(PAIR_CLOSED), X(PAIR_CLOSED))},
    {ROW("K4.1 IPv6 fragment header of a whole packet", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "F"}, {.seq = 100}},
     V(OK_, X(IP_FRAGMENT), X(PAIR_CLOSED))},
    {ROW("IPv6 fragments of other addresses close nothing", IP6, "02|1"),
     P{{.dst = 1}, {.ext_chain = "f"}, {.seq = 100, .dst = 1}}, V(OK_, X(IP_FRAGMENT), APP)},
    {ROW("K4.1 IPv6 authentication header hides the ports", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "A"}, {.seq = 100}}, V(OK_, X(IP6_EXT), X(PAIR_CLOSED))},
    {ROW("K4.1 IPv6 ESP hides everything: nobody can say what it overtakes; closes nothing", IP6, "02|1"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "HE"}, {.seq = 100}}, V(OK_, X(PROTOCOL), APP)},
    {ROW("K4.1 IPv6 unknown (experimental) header hides the ports", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "U"}, {.seq = 100}}, V(OK_, X(IP6_EXT), X(PAIR_CLOSED))},
    {ROW("RFC 2675 3 jumbo payload option; closes", IP6, "0|1|2"),
     P{{.seq = 0, .ext_chain = "J"}, {.seq = 100, .ext_chain = "J"}, {.seq = 200}}, V(X(IP6_EXT), X(IP6_EXT), OK_)},
    {ROW("RFC 2675 3 jumbo payload option inside a flow; closes", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "JD"}, {.seq = 100}}, V(OK_, X(IP6_EXT), X(PAIR_CLOSED))},
    {ROW("nine IPv6 extension headers", IP6, "0|1|2"), P{{.seq = 0}, {.seq = 100, .ext_chain = "HDDDDDDDD"}, {.seq = 100}},
     V(OK_, X(IP6_EXT), X(PAIR_CLOSED))},
    {ROW("IPv6 extension header runs past the packet", T6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext = hop_too_long, .ext_len = 8}, {.seq = 100}}, V(OK_, X(IP6_EXT), X(PAIR_CLOSED))},
    {ROW("IPv6 routing header with segments left never merges", IP6, "0|1"),
     P{{.ext_chain = "r"}, {.seq = 100, .ext_chain = "r"}},
     V(X(IP6_ROUTING), X(IP6_ROUTING))},
    {ROW("K4.1 another protocol; closes nothing", ALL, "02|1"), P{{.seq = 0}, {.seq = 100, .proto = 47}, {.seq = 100}},
     V(OK_, X(PROTOCOL), APP), .ids_as_given = 1},
    {ROW("headers longer than TUO_HEADER_MAX, TCP", T6, "0|1"),
     P{{.ext = hop_216_tcp, .ext_len = 216}, {.seq = 100, .ext = hop_216_tcp, .ext_len = 216}},
     V(X(HEADER_TOO_LONG), X(HEADER_TOO_LONG))},
    {ROW("headers longer than TUO_HEADER_MAX, UDP", U6, "0|1"),
     P{{.ext = hop_216_udp, .ext_len = 216}, {.ext = hop_216_udp, .ext_len = 216}}, V(X(HEADER_TOO_LONG), X(HEADER_TOO_LONG))},
    {ROW("headers of exactly TUO_HEADER_MAX bytes merge", T6, "01"),
     P{{.ext = hop_192_tcp, .ext_len = 192, .tcp_options = nops, .tcp_options_len = 4},
       {.seq = 100, .ext = hop_192_tcp, .ext_len = 192, .tcp_options = nops, .tcp_options_len = 4}},
     V(OK_, APP)},

    /* --- K4.1: no candidates because of TCP --- */
    {ROW("K4.1 TCP data offset 4 closes all flows of its addresses", TCP, "0|1|2|3|4"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 100}, {.seq = 100}, {.seq = 100, .src_port = 1}},
     V(OK_, OK_, X(TCP_HEADER), X(PAIR_CLOSED), X(PAIR_CLOSED)), .poke = {'t', 2, 12, 0x40, 0}},
    {ROW("K4.1 TCP header longer than the packet", TCP, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .payload_len = 39}, {.seq = 100}},
     V(OK_, X(TCP_HEADER), X(PAIR_CLOSED)), .poke = {'t', 1, 12, 0xf0, 0}},
    {ROW("TCP header cut short, IP length right", T4, "0|1|2"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(TCP_HEADER), X(PAIR_CLOSED)), .cut = {1, 39, 1}},
    {ROW("TCP over IPv6 cut short in front of the ports", T6, "0|1|2"), P{{.seq = 0}, {.seq = 100}, {.seq = 100}},
     V(OK_, X(TCP_HEADER), X(PAIR_CLOSED)), .cut = {1, 42, 1}},
    {ROW("K4.10 pure ACK; closes", TCP, "0|1|2"), P{{.seq = 0}, {.seq = 100, .payload_len = PKT_ZERO}, {.seq = 100}},
     V(OK_, X(TCP_EMPTY), OK_)},
    {ROW("K4.10 FIN without payload; closes", TCP, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .payload_len = PKT_ZERO, .tcp_flags = FA}, {.seq = 101}}, V(OK_, X(TCP_EMPTY), OK_)},
    {ROW("K4.11 SYN with data; closes", TCP, "0|1|2"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_SYN | PKT_ACK}, {.seq = 100}},
     V(OK_, X(TCP_FLAGS), OK_)},
    {ROW("K4.11 RST with data; closes", TCP, "0|1|2"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_RST | PKT_ACK}, {.seq = 100}},
     V(OK_, X(TCP_FLAGS), OK_)},
    {ROW("K4.11 URG with data; closes", TCP, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_URG | PKT_ACK, .urgent = 1}, {.seq = 100}}, V(OK_, X(TCP_FLAGS), OK_)},
    {ROW("K4.12 CWR behind others; closes", TCP, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_CWR | PKT_ACK}, {.seq = 100}},
     V(OK_, X(TCP_CWR), OK_)},
    {ROW("K4.12 CWR first: takes nothing", TCP, "0|1"), P{{.tcp_flags = PKT_CWR | PKT_ACK}, {.seq = 100}}, V(X(TCP_CWR), OK_)},
    {ROW("K4.12 CWR on both", TCP, "0|1"), P{{.tcp_flags = PKT_CWR | PKT_ACK}, {.seq = 100, .tcp_flags = PKT_CWR | PKT_ACK}},
     V(X(TCP_CWR), X(TCP_CWR))},

    /* --- K5.3, K5.4: no candidates because of UDP --- */
    {ROW("K5.3 UDP without checksum; closes", UDP, "0|1|2"), P{{.seq = 0}, {.l4_csum_zero = 1}, {.seq = 0}},
     V(OK_, X(UDP_ZERO_CSUM), OK_)},
    {ROW("K5.3 two UDP without checksum", UDP, "0|1"), P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1}},
     V(X(UDP_ZERO_CSUM), X(UDP_ZERO_CSUM))},
    {ROW("K5.4 UDP without payload; closes", UDP, "0|1|2"), P{{.seq = 0}, {.payload_len = PKT_ZERO}, {.seq = 0}},
     V(OK_, X(UDP_EMPTY), OK_)},
    {ROW("K5.4 UDP length below the IP payload; closes", UDP, "0|1|2"), P{{.seq = 0}, {.udp_len = 100}, {.seq = 0}},
     V(OK_, X(UDP_LENGTH), OK_)},
    {ROW("K5.4 UDP length beyond the IP payload; closes", UDP, "0|1|2"), P{{.seq = 0}, {.udp_len = 109}, {.seq = 0}},
     V(OK_, X(UDP_LENGTH), OK_)},
    {ROW("K5.4 UDP length below 8; closes", UDP, "0|1|2"), P{{.seq = 0}, {.udp_len = 7}, {.seq = 0}}, V(OK_, X(UDP_LENGTH), OK_)},
    {ROW("K5.4 UDP length 0; closes", UDP, "0|1|2"), P{{.seq = 0}, {.udp_len = PKT_ZERO}, {.seq = 0}},
     V(OK_, X(UDP_LENGTH), OK_)},
    {ROW("UDP header cut short behind the ports closes its flow", U4, "03|1|2|4"),
     P{{.src_port = 1}, {.seq = 0}, {.seq = 0}, {.src_port = 1}, {.seq = 0}},
     V(OK_, OK_, X(UDP_LENGTH), APP, OK_), .cut = {2, 27, 1}, .ids_as_given = 1},
    {ROW("UDP cut short right behind the ports closes its flow", U4, "03|1|2|4"),
     P{{.src_port = 1}, {.seq = 0}, {.seq = 0}, {.src_port = 1}, {.seq = 0}},
     V(OK_, OK_, X(UDP_LENGTH), APP, OK_), .cut = {2, 24, 1}, .ids_as_given = 1},
    {ROW("UDP cut short inside the ports closes all flows of its addresses", U4, "0|1|2|3|4"),
     P{{.src_port = 1}, {.seq = 0}, {.seq = 0}, {.src_port = 1}, {.seq = 0}},
     V(OK_, OK_, X(UDP_LENGTH), X(PAIR_CLOSED), X(PAIR_CLOSED)), .cut = {2, 23, 1}, .ids_as_given = 1},
    {ROW("UDP cut short in front of the ports closes all flows of its addresses", U4, "0|1|2|3|4"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 0}, {.seq = 0}, {.src_port = 1}},
     V(OK_, OK_, X(UDP_LENGTH), X(PAIR_CLOSED), X(PAIR_CLOSED)), .cut = {2, 22, 1}},
    {ROW("UDP over IPv6 cut short in front of the ports closes all flows of its addresses", U6, "0|1|2|3|4"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 0}, {.seq = 0}, {.src_port = 1}},
     V(OK_, OK_, X(UDP_LENGTH), X(PAIR_CLOSED), X(PAIR_CLOSED)), .cut = {2, 42, 1}},

    /* --- K4.2, K5.5: flow identity; another flow is held in parallel --- */
    {ROW("K4.2 source address", ALL, "02|13"), P{{.seq = 0}, {.src = 1}, {.seq = 100}, {.seq = 100, .src = 1}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 destination address", ALL, "02|13"), P{{.seq = 0}, {.dst = 1}, {.seq = 100}, {.seq = 100, .dst = 1}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 source port", ALL, "02|13"), P{{.seq = 0}, {.src_port = 1}, {.seq = 100}, {.seq = 100, .src_port = 1}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 destination port", ALL, "02|13"), P{{.seq = 0}, {.dst_port = 1}, {.seq = 100}, {.seq = 100, .dst_port = 1}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 TCP and UDP with the same ports", AS_GIVEN, "02|13"),
     P{{.kind = PKT_TCP4}, {.kind = PKT_UDP4}, {.kind = PKT_TCP4, .seq = 100}, {.kind = PKT_UDP4}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 IPv4 and IPv6", AS_GIVEN, "02|13"),
     P{{.kind = PKT_TCP4}, {.kind = PKT_TCP6}, {.kind = PKT_TCP4, .seq = 100}, {.kind = PKT_TCP6, .seq = 100}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.2 IPv6 flow label differs; closes", IP6, "0|12|3"),
     P{{.seq = 0}, {.seq = 100, .flow_label = 1}, {.seq = 200, .flow_label = 1}, {.seq = 300}},
     V(OK_, X(FLOW_LABEL_DIFFERS), APP, X(FLOW_LABEL_DIFFERS))},
    {ROW("K4.2 IPv6 flow label, highest bit", IP6, "0|1"), P{{.seq = 0}, {.seq = 100, .flow_label = 0x80000}},
     V(OK_, X(FLOW_LABEL_DIFFERS))},
    {ROW("K4.2 equal flow labels merge", IP6, "01"), P{{.flow_label = 0xabcde}, {.seq = 100, .flow_label = 0xabcde}}, V(OK_, APP)},
    {ROW("a datagram without payload and with another flow label closes", U6, "0|1|2"),
     P{{.seq = 0}, {.flow_label = 1, .payload_len = PKT_ZERO}, {.seq = 0}}, V(OK_, X(UDP_EMPTY), OK_)},
    {ROW("a pure ACK with another flow label closes", T6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .flow_label = 1, .payload_len = PKT_ZERO}, {.seq = 100}}, V(OK_, X(TCP_EMPTY), OK_)},
    {ROW("a pure ACK with an extension header closes", T6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "D", .payload_len = PKT_ZERO}, {.seq = 100}}, V(OK_, X(TCP_EMPTY), OK_)},
    {ROW("K4.2 equal hop-by-hop headers merge", IP6, "01"), P{{.ext_chain = "H"}, {.seq = 100, .ext_chain = "H"}}, V(OK_, APP)},
    {ROW("K4.2 equal destination options merge", IP6, "01"), P{{.ext_chain = "D"}, {.seq = 100, .ext_chain = "D"}}, V(OK_, APP)},
    {ROW("K4.2 equal used-up routing headers merge", IP6, "01"), P{{.ext_chain = "R"}, {.seq = 100, .ext_chain = "R"}},
     V(OK_, APP)},
    {ROW("K4.2 eight equal extension headers merge", IP6, "01"),
     P{{.ext_chain = "HDRDDDDD"}, {.seq = 100, .ext_chain = "HDRDDDDD"}}, V(OK_, APP)},
    {ROW("K4.2 extension header bytes differ; closes", IP6, "0|12|3"),
     P{{.ext_chain = "D"}, {.seq = 100, .ext_chain = "D", .ext_fill = 1}, {.seq = 200, .ext_chain = "D", .ext_fill = 1},
       {.seq = 300, .ext_chain = "D"}}, V(OK_, X(IP6_EXT_DIFFERS), APP, X(IP6_EXT_DIFFERS))},
    {ROW("K4.2 extension header kind differs; closes", IP6, "0|1"), P{{.ext_chain = "D"}, {.seq = 100, .ext_chain = "H"}},
     V(OK_, X(IP6_EXT_DIFFERS))},
    {ROW("K4.2 extension header on the second only; closes", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .ext_chain = "D"}, {.seq = 200}}, V(OK_, X(IP6_EXT_DIFFERS), X(IP6_EXT_DIFFERS))},
    {ROW("K4.2 extension header on the first only", IP6, "0|1"), P{{.ext_chain = "D"}, {.seq = 100}}, V(OK_, X(IP6_EXT_DIFFERS))},
    {ROW("K4.2 extension headers of different lengths", IP6, "0|1"), P{{.ext_chain = "D"}, {.seq = 100, .ext_chain = "DD"}},
     V(OK_, X(IP6_EXT_DIFFERS))},
    {ROW("flow label before TOS, TOS before extension headers", IP6, "0|1|2"),
     P{{.seq = 0}, {.seq = 100, .flow_label = 1, .tos = 4}, {.seq = 200, .flow_label = 1, .ext_chain = "D"}},
     V(OK_, X(FLOW_LABEL_DIFFERS), X(TOS_DIFFERS))},
    {ROW("equal Ethernet headers merge", ALL, "01"), P{{.ethernet = 1}, {.seq = 100, .ethernet = 1}}, V(OK_, APP)},
    {ROW("Ethernet address differs", ALL, "02|13"),
     P{{.ethernet = 1}, {.ethernet = 1, .mac = 1}, {.seq = 100, .ethernet = 1}, {.seq = 100, .ethernet = 1, .mac = 1}},
     V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("equal VLAN tags merge", ALL, "01"),
     P{{.vlan_count = 2, .vlan_tci = {5, 7}, .vlan_tpid = {0x88a8}},
       {.seq = 100, .vlan_count = 2, .vlan_tci = {5, 7}, .vlan_tpid = {0x88a8}}},
     V(OK_, APP)},
    {ROW("VLAN differs", ALL, "02|13"),
     P{{.vlan_count = 1}, {.vlan_count = 1, .vlan_tci = {1}}, {.seq = 100, .vlan_count = 1},
       {.seq = 100, .vlan_count = 1, .vlan_tci = {1}}}, V(OK_, OK_, APP, APP), .ids_as_given = 1},
    {ROW("VLAN priority differs", ALL, "0|1"), P{{.vlan_count = 1}, {.seq = 100, .vlan_count = 1, .vlan_tci = {0x2000}}},
     V(OK_, OK_)},
    {ROW("tag on one only", ALL, "02|1"), P{{.ethernet = 1}, {.seq = 100, .vlan_count = 1}, {.seq = 100, .ethernet = 1}},
     V(OK_, OK_, APP), .ids_as_given = 1},

    /* --- K4.3: IP fields that must be equal --- */
    {ROW("K4.3 TOS differs", ALL, "0|12"), P{{.seq = 0}, {.seq = 100, .tos = 4}, {.seq = 200, .tos = 4}},
     V(OK_, X(TOS_DIFFERS), APP)},
    {ROW("K4.3 ECN bits of the TOS differ", ALL, "0|1"), P{{.tos = 2}, {.seq = 100, .tos = 3}}, V(OK_, X(TOS_DIFFERS))},
    {ROW("K4.3 equal TOS merges", ALL, "01"), P{{.tos = 0xb9}, {.seq = 100, .tos = 0xb9}}, V(OK_, APP)},
    {ROW("K4.3 TTL differs", ALL, "0|12"), P{{.seq = 0}, {.seq = 100, .ttl = 63}, {.seq = 200, .ttl = 63}},
     V(OK_, X(TTL_DIFFERS), APP)},
    {ROW("K4.3 DF set, then clear", IP4, "0|12"), P{{.seq = 0}, {.seq = 100, .df = PKT_ZERO}, {.seq = 200, .df = PKT_ZERO}},
     V(OK_, X(DF_DIFFERS), APP)},
    {ROW("K4.3 DF clear, then set", IP4, "0|1"), P{{.df = PKT_ZERO}, {.seq = 100}}, V(OK_, X(DF_DIFFERS))},

    /* --- K4.4, K5.7: IPv4 ID --- */
    {ROW("K4.4 counting IDs, DF set", IP4, "012"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 8}, {.seq = 200, .ip_id = 9}},
     V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.4 counting IDs, DF clear", IP4, "012"),
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 8, .df = PKT_ZERO}, {.seq = 200, .ip_id = 9, .df = PKT_ZERO}},
     V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.4 IDs wrap from 65535 to 0", IP4, "012"), P{{.ip_id = 65535}, {.seq = 100, .ip_id = 0}, {.seq = 200, .ip_id = 1}},
     V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.4 constant IDs, DF set", IP4, "012"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 7}, {.seq = 200, .ip_id = 7}},
     V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.4 constant IDs, DF clear", IP4, "0|1"), P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 7, .df = PKT_ZERO}},
     V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 ID step 2", IP4, "0|1"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 9}}, V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 ID step -1", IP4, "0|1"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 6}}, V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 ID step 256", IP4, "0|1"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 7 + 256}},
     V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 counting, then constant", IP4, "01|2"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 8}, {.seq = 200, .ip_id = 8}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 constant, then counting", IP4, "01|2"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 7}, {.seq = 200, .ip_id = 8}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 constant, then what counting would be", IP4, "01|2"),
     P{{.ip_id = 7}, {.seq = 100, .ip_id = 7}, {.seq = 200, .ip_id = 9}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 counting, then the first again", IP4, "01|2"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 8}, {.seq = 200, .ip_id = 7}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("K4.4 counting, then one left out", IP4, "01|2"), P{{.ip_id = 7}, {.seq = 100, .ip_id = 8}, {.seq = 200, .ip_id = 10}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("IP_ID_EXACT: constant IDs do not merge", IP4, "0|1"), .desc = {.ip_id = TUO_IP_ID_EXACT},
     P{{.ip_id = 7}, {.seq = 100, .ip_id = 7}},
     V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("IP_ID_EXACT: counting IDs merge", IP4, "012"), .desc = {.ip_id = TUO_IP_ID_EXACT},
     P{{.ip_id = 65534}, {.seq = 100, .ip_id = 65535}, {.seq = 200, .ip_id = 0}}, V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY_DF: any IDs merge under DF", IP4, "0123"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.ip_id = 7}, {.seq = 100, .ip_id = 99}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 3}},
     V(OK_, APP, APP, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY_DF: not without DF", IP4, "0|1"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 99, .df = PKT_ZERO}}, V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("IP_ID_ANY_DF: counting without DF", IP4, "01"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 8, .df = PKT_ZERO}}, V(OK_, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY_DF: constant without DF", IP4, "0|1"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 7, .df = PKT_ZERO}}, V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("IP_ID_ANY: any IDs under DF", IP4, "0123"), .desc = {.ip_id = TUO_IP_ID_ANY},
     P{{.ip_id = 7}, {.seq = 100, .ip_id = 99}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 3}},
     V(OK_, APP, APP, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY: any IDs without DF", IP4, "0123"), .desc = {.ip_id = TUO_IP_ID_ANY},
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 99, .df = PKT_ZERO}, {.seq = 200, .ip_id = 3, .df = PKT_ZERO},
       {.seq = 300, .ip_id = 3, .df = PKT_ZERO}},
     V(OK_, APP, APP, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY: constant IDs without DF", IP4, "012"), .desc = {.ip_id = TUO_IP_ID_ANY},
     P{{.ip_id = 7, .df = PKT_ZERO}, {.seq = 100, .ip_id = 7, .df = PKT_ZERO}, {.seq = 200, .ip_id = 7, .df = PKT_ZERO}},
     V(OK_, APP, APP), .ids_as_given = 1},
    {ROW("IP_ID_ANY: DF still has to be equal", IP4, "0|1"), .desc = {.ip_id = TUO_IP_ID_ANY},
     P{{.ip_id = 7}, {.seq = 100, .ip_id = 8, .df = PKT_ZERO}}, V(OK_, X(DF_DIFFERS)), .ids_as_given = 1},

    /* --- K4.5: TCP sequence numbers --- */
    {ROW("K4.5 next in sequence", TCP, "0123"), P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 300}}, V(OK_, APP, APP, APP)},
    {ROW("K4.5 sequence numbers wrap", TCP, "012"), P{{.seq = 0xffffff9c}, {.seq = 0}, {.seq = 100}}, V(OK_, APP, APP)},
    {ROW("K4.5 sequence numbers wrap inside a segment", TCP, "012"), P{{.seq = 0xffffffce}, {.seq = 50}, {.seq = 150}},
     V(OK_, APP, APP)},
    {ROW("K4.5 retransmission", TCP, "0|1"), P{{.seq = 0}, {.seq = 0}}, V(OK_, X(SEQ_OVERLAP))},
    {ROW("K4.5 retransmission across the wrap", TCP, "0|1"), P{{.seq = 0xffffffce}, {.seq = 0}}, V(OK_, X(SEQ_OVERLAP))},
    {ROW("K4.5 overlap by one byte at the end", TCP, "0|1"), P{{.seq = 0}, {.seq = 99}}, V(OK_, X(SEQ_OVERLAP))},
    {ROW("K4.5 overlap by one byte at the front", TCP, "0|1"), P{{.seq = 99}, {.seq = 0}}, V(OK_, X(SEQ_OVERLAP))},
    {ROW("K4.5 a segment around what is held", TCP, "0|1"), P{{.seq = 100}, {.seq = 50, .payload_len = 200}},
     V(OK_, X(SEQ_OVERLAP))},
    {ROW("K4.5 retransmission of the middle", TCP, "012|34"),
     P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 100}, {.seq = 200}},
     V(OK_, APP, APP, X(SEQ_OVERLAP), APP)},
    {ROW("K4.5 the joiner of an overlap finds it closed", TCP, "0|1|2"), P{{.seq = 0}, {.seq = 50}, {.seq = 100}},
     V(OK_, X(SEQ_OVERLAP), X(SEQ_OVERLAP))},
    {ROW("K4.5 gap of one byte", TCP, "0|1"), P{{.seq = 0}, {.seq = 101}}, V(OK_, X(SEQ_GAP))},
    {ROW("a gap that is filled: two items become one", TCP, "0312"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("K4.5 gap that would be too small for the late one", TCP, "0|1|2"), P{{.seq = 0}, {.seq = 150}, {.seq = 100}},
     V(OK_, X(SEQ_GAP), X(SEQ_OVERLAP))},
    {ROW("K4.5 gap that the late one does not fill", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("K4.5 gap across the wrap", TCP, "02|1"),
     P{{.seq = 0xffffff00, .ip_id = 1}, {.seq = 0, .ip_id = 3}, {.seq = 0xffffff64, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("four open items, two of which become one", TCP, "041|2|35"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 400, .ip_id = 5}, {.seq = 600, .ip_id = 7}, {.seq = 100, .ip_id = 2},
       {.seq = 700, .ip_id = 8}}, V(OK_, X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("max_items_per_flow: the oldest of five is closed, what comes below the others leaves behind it", TCP, "0|5|1|2|3|4"),
     .desc = {.max_items_per_flow = 4},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 400, .ip_id = 5}, {.seq = 600, .ip_id = 7}, {.seq = 800, .ip_id = 9},
       {.seq = 50, .ip_id = 2}}, V(OK_, X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), X(SEQ_LATE)), .ids_as_given = 1},
    {ROW("max_items_per_flow: the second of five stays open", TCP, "0|152|3|4"), .desc = {.max_items_per_flow = 4},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 400, .ip_id = 5}, {.seq = 600, .ip_id = 7}, {.seq = 800, .ip_id = 9},
       {.seq = 300, .ip_id = 4}}, V(OK_, X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("max_items_per_flow, default: five stay open", TCP, "051|2|3|4"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 400, .ip_id = 5}, {.seq = 600, .ip_id = 7}, {.seq = 800, .ip_id = 9},
       {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("max_items_per_flow 1: a gap closes what is below it", TCP, "0|3|12"), .desc = {.max_items_per_flow = 1},
     P{{.seq = 0}, {.seq = 300}, {.seq = 400}, {.seq = 100}}, V(OK_, X(SEQ_GAP), APP, X(SEQ_LATE))},
    {ROW("max_items_per_flow: a joined item counts as one", TCP, "0231|4"), .desc = {.max_items_per_flow = 2},
     P{{.ip_id = 1}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3}, {.seq = 500, .ip_id = 6}},
     V(OK_, X(SEQ_GAP), APP, APP, X(SEQ_GAP)), .ids_as_given = 1},
    {ROW("strict_kernel: a gap closes", TCP, "0|1|2"), .desc = {.strict_kernel = 1}, P{{.seq = 0}, {.seq = 200}, {.seq = 100}},
     V(OK_, X(SEQ_GAP), X(SEQ_LATE))},
    {ROW("late and adjacent to nothing: opens an item in front", TCP, "12|03"),
     P{{.seq = 1000, .ip_id = 11}, {.seq = 0, .ip_id = 1}, {.seq = 100, .ip_id = 2}, {.seq = 1100, .ip_id = 12}},
     V(OK_, X(SEQ_LATE), APP, APP), .ids_as_given = 1},
    {ROW("late between two items, adjacent to neither: opens an item there", TCP, "0|23|1"),
     P{{.seq = 0}, {.seq = 1000}, {.seq = 500}, {.seq = 600}}, V(OK_, X(SEQ_GAP), X(SEQ_LATE), APP)},
    {ROW("items leave in sequence order in the places in which they arrived", TCP, "4|1|2|3|0"),
     P{{.seq = 900}, {.src_port = 1}, {.seq = 500}, {.seq = 700}, {.seq = 300}},
     V(OK_, OK_, X(SEQ_LATE), X(SEQ_LATE), X(SEQ_LATE))},
    {ROW("the place of the later of two that become one is given up", TCP, "023|1|4"),
     P{{.ip_id = 1}, {.src_port = 1}, {.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3}, {.seq = 900}},
     V(OK_, OK_, APP, APP, X(SEQ_GAP)), .ids_as_given = 1},
    {ROW("1 3 2", TCP, "021"), P{{.seq = 0, .ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("3 1 2", TCP, "120"), P{{.seq = 200, .ip_id = 3}, {.seq = 0, .ip_id = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_LATE), APP), .ids_as_given = 1},
    {ROW("1 3 2 4 6 5", TCP, "021354"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}, {.seq = 300, .ip_id = 4}, {.seq = 500, .ip_id = 6},
       {.seq = 400, .ip_id = 5}}, V(OK_, X(SEQ_GAP), APP, APP, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("sequence is decided before header equality", TCP, "0|2|1"),
     P{{.seq = 0}, {.seq = 200, .window = 1, .ack = 1}, {.seq = 100, .ttl = 9}},
     V(OK_, X(SEQ_GAP), X(TTL_DIFFERS))},

    /* --- two items that have come to touch --- */
    {ROW("join: PSH at the end of the lower one", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2, .tcp_flags = PA}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: PSH at the end of the upper one is kept", TCP, "021|3"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .tcp_flags = PA}, {.seq = 100, .ip_id = 2}, {.seq = 300, .ip_id = 4}},
     V(OK_, X(SEQ_GAP), APP, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("join: PSH at the end of an upper one of several is kept", TCP, "0312|4"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4, .tcp_flags = PA}, {.seq = 100, .ip_id = 2},
       {.seq = 400, .ip_id = 5}}, V(OK_, X(SEQ_GAP), APP, APP, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("join: a short one in the middle", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 150, .ip_id = 3}, {.seq = 100, .ip_id = 2, .payload_len = 50}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: a short upper one becomes the tail", TCP, "021|3"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .payload_len = 60}, {.seq = 100, .ip_id = 2},
       {.seq = 260, .ip_id = 4, .payload_len = 10}}, V(OK_, X(SEQ_GAP), APP, X(AFTER_SHORT)), .ids_as_given = 1},
    {ROW("join: a tiny upper one becomes the tail", TCP, "021|3"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .payload_len = 5}, {.seq = 100, .ip_id = 2},
       {.seq = 205, .ip_id = 4, .payload_len = 5}}, V(OK_, X(SEQ_GAP), APP, X(AFTER_SHORT)), .ids_as_given = 1},
    {ROW("join: a longer upper one", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .payload_len = 101}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: an upper one of several shorter segments", TCP, "03|12"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .payload_len = 60}, {.seq = 260, .ip_id = 4, .payload_len = 60},
       {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: headers differ", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .ack = 9}, {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: options of another length", TCP, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .tcp_options = nops, .tcp_options_len = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: extension headers of another length", T6, "02|1"),
     P{{.seq = 0}, {.seq = 200, .ext_chain = "D"}, {.seq = 100}}, V(OK_, X(SEQ_GAP), APP)},
    {ROW("join: with extension headers", T6, "021"),
     P{{.ext_chain = "D"}, {.seq = 200, .ext_chain = "D"}, {.seq = 100, .ext_chain = "D"}}, V(OK_, X(SEQ_GAP), APP)},
    {ROW("join: flow labels differ", T6, "02|1"), P{{.seq = 0}, {.seq = 200, .flow_label = 1}, {.seq = 100}},
     V(OK_, X(SEQ_GAP), APP)},
    {ROW("join: IDs that do not go on", T4, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 4}, {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: constant IDs", T4, "0312"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 1}, {.seq = 300, .ip_id = 1}, {.seq = 100, .ip_id = 1}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: counting below, constant above", T4, "03|12"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: constant below, counting above", T4, "03|12"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 1}, {.seq = 300, .ip_id = 2}, {.seq = 100, .ip_id = 1}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: one above that is constant after counting", T4, "02|1"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 2}, {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: constant IDs without DF", T4, "0|2|1"),
     P{{.ip_id = 1, .df = PKT_ZERO}, {.seq = 200, .ip_id = 1, .df = PKT_ZERO}, {.seq = 100, .ip_id = 1, .df = PKT_ZERO}},
     V(OK_, X(SEQ_GAP), X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("join: counting IDs without DF", T4, "021"),
     P{{.ip_id = 1, .df = PKT_ZERO}, {.seq = 200, .ip_id = 3, .df = PKT_ZERO}, {.seq = 100, .ip_id = 2, .df = PKT_ZERO}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: IP_ID_ANY_DF", T4, "021"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 77}, {.seq = 100, .ip_id = 5}}, V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: IP_ID_ANY without DF", T4, "021"), .desc = {.ip_id = TUO_IP_ID_ANY},
     P{{.ip_id = 1, .df = PKT_ZERO}, {.seq = 200, .ip_id = 77, .df = PKT_ZERO}, {.seq = 100, .ip_id = 5, .df = PKT_ZERO}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("join: max_segs", TCP, "03|12"), .desc = {.max_segs = 3},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: max_segs reached exactly", TCP, "0312"), .desc = {.max_segs = 4},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: max_frags", TCP, "03|12"), .desc = {.max_frags = 3},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: max_bytes", T4, "03|12"), .desc = {.max_bytes = 839},
     P{{.payload_len = 200, .ip_id = 1}, {.seq = 400, .payload_len = 200, .ip_id = 3}, {.seq = 600, .payload_len = 200, .ip_id = 4},
       {.seq = 200, .payload_len = 200, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: max_bytes reached exactly", T4, "0312"), .desc = {.max_bytes = 840},
     P{{.payload_len = 200, .ip_id = 1}, {.seq = 400, .payload_len = 200, .ip_id = 3}, {.seq = 600, .payload_len = 200, .ip_id = 4},
       {.seq = 200, .payload_len = 200, .ip_id = 2}}, V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("join: both heads are verified, each packet once", TCP, "021"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1, .verified = 4},
    {ROW("join: the upper head has a bad checksum", TCP, "02|1|3"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .l4_csum_xor = 1}, {.seq = 100, .ip_id = 2}, {.seq = 300, .ip_id = 4}},
     V(OK_, X(SEQ_GAP), APP, X(HEAD_BAD_CSUM)), .ids_as_given = 1, .verified = 5},
    {ROW("join: the upper head is trusted", TCP, "021"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3, .l4_csum_xor = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1, .trust = 2, .verified = 3},
    {ROW("the lower one refuses, the upper one takes it", TCP, "0|21"),
     P{{.ip_id = 1, .tcp_flags = PA}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), PRE), .ids_as_given = 1},
    {ROW("both refuse: the lower one is named", TCP, "0|2|1"),
     P{{.ip_id = 1, .tcp_flags = PA}, {.seq = 200, .ip_id = 3, .window = 9}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("the lower one refuses, and what would go in front of the upper one has a bad checksum; closes", TCP, "0|1|2|3"),
     P{{.ip_id = 1, .tcp_flags = PA}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2, .l4_csum_xor = 1}, {.seq = 300, .ip_id = 4}},
     V(OK_, X(SEQ_GAP), X(BAD_L4_CSUM), OK_), .ids_as_given = 1},
    {ROW("the lower head is bad, the upper one takes it: three sums", TCP, "0|21"),
     P{{.ip_id = 1, .l4_csum_xor = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), PRE), .ids_as_given = 1, .verified = 4},
    {ROW("both heads are bad", TCP, "0|2|1"),
     P{{.ip_id = 1, .l4_csum_xor = 1}, {.seq = 200, .ip_id = 3, .l4_csum_xor = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), X(HEAD_BAD_CSUM)), .ids_as_given = 1},
    {ROW("a late one with another flow label: closes", T6, "0|1|2"),
     P{{.seq = 100}, {.seq = 0, .flow_label = 1}, {.seq = 200}}, V(OK_, X(FLOW_LABEL_DIFFERS), X(SEQ_GAP))},

    /* --- a late segment goes in front --- */
    {ROW("prepend", TCP, "102"), P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1}, {.seq = 200, .ip_id = 3}},
     V(OK_, PRE, APP), .ids_as_given = 1},
    {ROW("prepend twice", TCP, "210"), P{{.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1}},
     V(OK_, PRE, PRE), .ids_as_given = 1},
    {ROW("prepend to several segments", TCP, "201"),
     P{{.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3}, {.seq = 0, .ip_id = 1}},
     V(OK_, APP, PRE), .ids_as_given = 1},
    {ROW("prepend across the wrap", TCP, "10"), P{{.seq = 50, .ip_id = 2}, {.seq = 0xffffffce, .ip_id = 1}},
     V(OK_, PRE), .ids_as_given = 1},
    {ROW("prepend across the ID wrap", T4, "102"),
     P{{.seq = 100, .ip_id = 0}, {.seq = 0, .ip_id = 65535}, {.seq = 200, .ip_id = 1}},
     V(OK_, PRE, APP), .ids_as_given = 1},
    {ROW("prepend to an older item", TCP, "20|1"), P{{.seq = 100, .ip_id = 2}, {.seq = 400, .ip_id = 5}, {.seq = 0, .ip_id = 1}},
     V(OK_, X(SEQ_GAP), PRE), .ids_as_given = 1},
    {ROW("a hole filled exactly", TCP, "021"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), APP), .ids_as_given = 1},
    {ROW("prepended packets move up to the place of their item", TCP, "20|1"),
     P{{.seq = 100, .ip_id = 2}, {.src_port = 1}, {.seq = 0, .ip_id = 1}}, V(OK_, OK_, PRE), .ids_as_given = 1},
    {ROW("disable_prepend", TCP, "0|1"), .desc = {.disable_prepend = 1}, P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1}},
     V(OK_, X(SEQ_LATE)), .ids_as_given = 1},
    {ROW("disable_prepend: a segment that fills a gap does not move forward", TCP, "0|1|2"), .desc = {.disable_prepend = 1},
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 100, .ip_id = 2}}, V(OK_, X(SEQ_GAP), X(SEQ_LATE)), .ids_as_given = 1},
    {ROW("K4.5 strict_kernel: no prepend", TCP, "0|1"), .desc = {.strict_kernel = 1},
     P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1}},
     V(OK_, X(SEQ_LATE)), .ids_as_given = 1},
    {ROW("prepend: the head's PSH is kept", TCP, "10|2"),
     P{{.seq = 100, .ip_id = 2, .tcp_flags = PA}, {.seq = 0, .ip_id = 1}, {.seq = 200, .ip_id = 3}},
     V(OK_, PRE, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("prepend: the head's FIN is kept", TCP, "10|2"),
     P{{.seq = 100, .ip_id = 2, .tcp_flags = FA}, {.seq = 0, .ip_id = 1}, {.seq = 200, .ip_id = 3}},
     V(OK_, PRE, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("prepend to several with PSH at the end", TCP, "201"),
     P{{.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3, .tcp_flags = PA}, {.seq = 0, .ip_id = 1}},
     V(OK_, APP, PRE), .ids_as_given = 1},
    {ROW("prepend: the late one has PSH", TCP, "1|0"), P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1, .tcp_flags = PA}},
     V(OK_, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("prepend: the late one has FIN", TCP, "1|0"), P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1, .tcp_flags = FA}},
     V(OK_, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("prepend a longer one: the shorter becomes the tail", TCP, "10|2"),
     P{{.seq = 100, .ip_id = 2, .payload_len = 60}, {.seq = 0, .ip_id = 1}, {.seq = 160, .ip_id = 3, .payload_len = 50}},
     V(OK_, PRE, X(AFTER_SHORT)), .ids_as_given = 1},
    {ROW("prepend a longer one to PSH: PSH is remembered", TCP, "10|2"),
     P{{.seq = 100, .ip_id = 2, .payload_len = 60, .tcp_flags = PA}, {.seq = 0, .ip_id = 1}, {.seq = 160, .ip_id = 3}},
     V(OK_, PRE, X(AFTER_PSH_FIN)), .ids_as_given = 1},
    {ROW("prepend a shorter one", TCP, "1|0"), P{{.seq = 100, .ip_id = 2}, {.seq = 1, .ip_id = 1, .payload_len = 99}},
     V(OK_, X(LONGER)), .ids_as_given = 1},
    {ROW("prepend a longer one to several", TCP, "2|01"),
     P{{.seq = 101, .ip_id = 2}, {.seq = 201, .ip_id = 3}, {.seq = 0, .ip_id = 1, .payload_len = 101}},
     V(OK_, APP, X(LONGER)), .ids_as_given = 1},
    {ROW("prepend a shorter one to several", TCP, "2|01"),
     P{{.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3}, {.seq = 1, .ip_id = 1, .payload_len = 99}},
     V(OK_, APP, X(LONGER)), .ids_as_given = 1},
    {ROW("prepend below 8 bytes", TCP, "1|0"),
     P{{.seq = 7, .ip_id = 2, .payload_len = 5}, {.seq = 0, .ip_id = 1, .payload_len = 7}}, V(OK_, X(TINY)), .ids_as_given = 1},
    {ROW("prepend 8 bytes to a tiny head", TCP, "10"),
     P{{.seq = 8, .ip_id = 2, .payload_len = 5}, {.seq = 0, .ip_id = 1, .payload_len = 8}}, V(OK_, PRE), .ids_as_given = 1},
    {ROW("prepend: counting IDs must step back by one", T4, "1|0"), P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 3}},
     V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: IDs in pushing order are not IDs in order", T4, "1|0"), P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 6}},
     V(OK_, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: constant IDs", T4, "102"), P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 5}, {.seq = 200, .ip_id = 5}},
     V(OK_, PRE, APP), .ids_as_given = 1},
    {ROW("prepend: constant IDs, then counting", T4, "10|2"),
     P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 5}, {.seq = 200, .ip_id = 6}},
     V(OK_, PRE, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: constant IDs, then what counting would be", T4, "10|2"),
     P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 5}, {.seq = 200, .ip_id = 7}},
     V(OK_, PRE, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: counting IDs, then the first again", T4, "10|2"),
     P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 4}, {.seq = 200, .ip_id = 4}},
     V(OK_, PRE, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: counting IDs, then constant", T4, "2|01"),
     P{{.seq = 100, .ip_id = 5}, {.seq = 200, .ip_id = 6}, {.seq = 0, .ip_id = 5}},
     V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: any IDs under DF with IP_ID_ANY_DF", T4, "10"), .desc = {.ip_id = TUO_IP_ID_ANY_DF},
     P{{.seq = 100, .ip_id = 5}, {.seq = 0, .ip_id = 60}}, V(OK_, PRE), .ids_as_given = 1},
    {ROW("prepend: header fields must be equal too", TCP, "1|0"),
     P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1, .window = 1}},
     V(OK_, X(WINDOW_DIFFERS)), .ids_as_given = 1},
    {ROW("prepend: max_segs", TCP, "2|01"), .desc = {.max_segs = 2},
     P{{.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 3}, {.seq = 0, .ip_id = 1}}, V(OK_, APP, X(CAP_SEGS)), .ids_as_given = 1},
    {ROW("prepend: max_bytes", TCP, "2|01"), .desc = {.max_bytes = 576},
     P{{.seq = 200, .ip_id = 2, .payload_len = 200}, {.seq = 400, .ip_id = 3, .payload_len = 200},
       {.seq = 0, .ip_id = 1, .payload_len = 200}},
     V(OK_, APP, X(CAP_BYTES)), .ids_as_given = 1},
    {ROW("prepend: the late one has a bad checksum; closes", TCP, "0|1|2"),
     P{{.seq = 100, .ip_id = 2}, {.seq = 0, .ip_id = 1, .l4_csum_xor = 1}, {.seq = 200, .ip_id = 3}},
     V(OK_, X(BAD_L4_CSUM), OK_), .ids_as_given = 1},
    {ROW("prepend: the head has a bad checksum", TCP, "1|0|2"),
     P{{.seq = 100, .ip_id = 2, .l4_csum_xor = 1}, {.seq = 0, .ip_id = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(HEAD_BAD_CSUM), X(SEQ_OVERLAP)), .ids_as_given = 1},

    /* --- K4.6 to K4.9: TCP fields --- */
    {ROW("K4.6 ack differs", TCP, "0|12"), P{{.ack = 1}, {.seq = 100, .ack = 2}, {.seq = 200, .ack = 2}},
     V(OK_, X(ACK_DIFFERS), APP)},
    {ROW("K4.7 window differs", TCP, "0|12"), P{{.seq = 0}, {.seq = 100, .window = 8193}, {.seq = 200, .window = 8193}},
     V(OK_, X(WINDOW_DIFFERS), APP)},
    {ROW("K4.7 reserved bits differ (AE)", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .reserved = 1}}, V(OK_, X(RESERVED_DIFFERS))},
    {ROW("K4.7 reserved bits differ (highest)", TCP, "0|1"), P{{.reserved = 8}, {.seq = 100}}, V(OK_, X(RESERVED_DIFFERS))},
    {ROW("K4.7 equal reserved bits merge", TCP, "01"), P{{.reserved = 9}, {.seq = 100, .reserved = 9}}, V(OK_, APP)},
    {ROW("K4.7 ECE on both merges", TCP, "01"), P{{.tcp_flags = PKT_ECE | PKT_ACK}, {.seq = 100, .tcp_flags = PKT_ECE | PKT_ACK}},
     V(OK_, APP)},
    {ROW("K4.7 ECE on the second only", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_ECE | PKT_ACK}},
     V(OK_, X(FLAGS_DIFFERS))},
    {ROW("K4.7 ECE on the first only", TCP, "0|1"), P{{.tcp_flags = PKT_ECE | PKT_ACK}, {.seq = 100}}, V(OK_, X(FLAGS_DIFFERS))},
    {ROW("K4.7 ACK on the first only", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_ZERO}}, V(OK_, X(FLAGS_DIFFERS))},
    {ROW("K4.7 no ACK on both merges", TCP, "01"), P{{.tcp_flags = PKT_ZERO}, {.seq = 100, .tcp_flags = PKT_ZERO}}, V(OK_, APP)},
    {ROW("K4.8 urgent pointer differs", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .urgent = 1}}, V(OK_, X(URGENT_DIFFERS))},
    {ROW("K4.8 equal urgent pointers without URG merge", TCP, "01"), P{{.urgent = 3}, {.seq = 100, .urgent = 3}}, V(OK_, APP)},
    {ROW("K4.9 equal options merge", TCP, "012"),
     P{{.tcp_options = timestamp_1, .tcp_options_len = 12}, {.seq = 100, .tcp_options = timestamp_1, .tcp_options_len = 12},
       {.seq = 200, .tcp_options = timestamp_1, .tcp_options_len = 12}}, V(OK_, APP, APP)},
    {ROW("K4.9 timestamps differ by one", TCP, "0|1"),
     P{{.tcp_options = timestamp_1, .tcp_options_len = 12}, {.seq = 100, .tcp_options = timestamp_2, .tcp_options_len = 12}},
     V(OK_, X(OPTIONS_DIFFERS))},
    {ROW("K4.9 options on the second only", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .tcp_options = nops, .tcp_options_len = 4}},
     V(OK_, X(OPTIONS_DIFFERS))},
    {ROW("K4.9 options on the first only", TCP, "0|1"), P{{.tcp_options = nops, .tcp_options_len = 4}, {.seq = 100}},
     V(OK_, X(OPTIONS_DIFFERS))},

    /* --- K4.10, K5.5: lengths --- */
    {ROW("K4.10 one byte shorter: the tail; closed", ALL, "01|2"),
     P{{.seq = 0}, {.seq = 100, .payload_len = 99}, {.seq = 199, .payload_len = 99}},
     V(OK_, APP, X(AFTER_SHORT))},
    {ROW("K4.10 tail of one byte", ALL, "01"), P{{.seq = 0}, {.seq = 100, .payload_len = 1}}, V(OK_, APP)},
    {ROW("K4.10 one byte longer", ALL, "0|12"), P{{.seq = 0}, {.seq = 100, .payload_len = 101}, {.seq = 201, .payload_len = 101}},
     V(OK_, X(LONGER), APP)},
    {ROW("K4.18 a packet of many segments' length", ALL, "0|1"), P{{.seq = 0}, {.seq = 100, .payload_len = 3000}},
     V(OK_, X(LONGER))},
    {ROW("K1.9 TCP head of 7 bytes takes nothing", TCP, "0|1"), P{{.payload_len = 7}, {.seq = 7, .payload_len = 7}},
     V(OK_, X(TINY))},
    {ROW("K1.9 TCP head of 8 bytes merges", TCP, "01"), P{{.payload_len = 8}, {.seq = 8, .payload_len = 8}}, V(OK_, APP)},
    {ROW("K1.9 UDP of one byte merges", UDP, "012"), P{{.payload_len = 1}, {.payload_len = 1}, {.payload_len = 1}},
     V(OK_, APP, APP)},
    {ROW("K5.5 equal datagrams merge, a repeated one too", UDP, "012"), P{{.seq = 0}, {.seq = 0}, {.seq = 100}},
     V(OK_, APP, APP)},

    /* --- K4.11: PSH and FIN --- */
    {ROW("K4.11 PSH on the last", TCP, "01|2"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PA}, {.seq = 200}},
     V(OK_, APP, X(AFTER_PSH_FIN))},
    {ROW("K4.11 FIN on the last", TCP, "01|2"), P{{.seq = 0}, {.seq = 100, .tcp_flags = FA}, {.seq = 200}},
     V(OK_, APP, X(AFTER_PSH_FIN))},
    {ROW("K4.11 FIN and PSH on a short tail", TCP, "01|2"),
     P{{.seq = 0}, {.seq = 100, .payload_len = 40, .tcp_flags = FA | PKT_PSH}, {.seq = 140}}, V(OK_, APP, X(AFTER_PSH_FIN))},
    {ROW("K4.11 PSH first: takes nothing behind it", TCP, "0|1"), P{{.tcp_flags = PA}, {.seq = 100}}, V(OK_, X(AFTER_PSH_FIN))},
    {ROW("K4.11 FIN first: takes nothing behind it", TCP, "0|1"), P{{.tcp_flags = FA}, {.seq = 100}}, V(OK_, X(AFTER_PSH_FIN))},
    {ROW("K4.11 PSH on both", TCP, "0|1"), P{{.tcp_flags = PA}, {.seq = 100, .tcp_flags = PA}}, V(OK_, X(AFTER_PSH_FIN))},

    /* --- K4.13, K5.6: caps --- */
    {ROW("max_bytes", ALL, "01|2"), .desc = {.max_bytes = 576},
     P{{.payload_len = 200}, {.seq = 200, .payload_len = 200}, {.seq = 400, .payload_len = 200}}, V(OK_, APP, X(CAP_BYTES))},
    {ROW("max_bytes reached exactly", T4, "01|2"), .desc = {.max_bytes = 600},
     P{{.payload_len = 280}, {.seq = 280, .payload_len = 280}, {.seq = 560, .payload_len = 1}}, V(OK_, APP, X(CAP_BYTES))},
    {ROW("packet of max_bytes + 1; closes", T4, "0|1|2"), .desc = {.max_bytes = 600},
     P{{.payload_len = 280}, {.seq = 280, .payload_len = 561}, {.seq = 280, .payload_len = 280}}, V(OK_, X(TOO_LARGE), OK_)},
    {ROW("packet of max_bytes", T4, "0"), .desc = {.max_bytes = 600}, P{{.payload_len = 560}}, V(OK_)},
    {ROW("packet larger than max_bytes", ALL, "0"), .desc = {.max_bytes = 576}, P{{.payload_len = 600}}, V(X(TOO_LARGE))},
    {ROW("max_segs", TCP, "01|23"), .desc = {.max_segs = 2}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 300}},
     V(OK_, APP, X(CAP_SEGS), APP)},
    {ROW("max_segs is not for UDP", UDP, "012"), .desc = {.max_segs = 2}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}},
     V(OK_, APP, APP)},
    {ROW("max_udp_segs", UDP, "01|23"), .desc = {.max_udp_segs = 2}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 300}},
     V(OK_, APP, X(CAP_SEGS), APP)},
    {ROW("max_udp_segs is not for TCP", TCP, "012"), .desc = {.max_udp_segs = 2}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}},
     V(OK_, APP, APP)},
    {ROW("max_frags", ALL, "01|23"), .desc = {.max_frags = 2}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 300}},
     V(OK_, APP, X(CAP_FRAGS), APP)},

    /* --- K4.1, K5.3: checksums, looked at when packets are about to merge --- */
    {ROW("sums are taken once per merged packet", ALL, "012"), P{{.seq = 0}, {.seq = 100}, {.seq = 200}},
     V(OK_, APP, APP), .verified = 4},
    {ROW("what stays alone is not summed", ALL, "0|1"), P{{.l4_csum_xor = 1}, {.seq = 100, .ttl = 9, .l4_csum_xor = 1}},
     V(OK_, X(TTL_DIFFERS)), .verified = 1},
    {ROW("K4.16 bad TCP or UDP checksum; closes", ALL, "0|1|2"), P{{.seq = 0}, {.seq = 100, .l4_csum_xor = 0x100}, {.seq = 100}},
     V(OK_, X(BAD_L4_CSUM), OK_), .verified = 2},
    {ROW("K4.16 bad checksum behind merged ones", ALL, "01|2"), P{{.seq = 0}, {.seq = 100}, {.seq = 200, .l4_csum_xor = 0x8000}},
     V(OK_, APP, X(BAD_L4_CSUM))},
    {ROW("bad IPv4 header checksum; closes", IP4, "0|1|2"), P{{.seq = 0}, {.seq = 100, .ip_csum_xor = 1}, {.seq = 100}},
     V(OK_, X(BAD_IP_CSUM), OK_)},
    {ROW("both checksums bad: IP is named", IP4, "0|1"), P{{.seq = 0}, {.seq = 100, .ip_csum_xor = 1, .l4_csum_xor = 1}},
     V(OK_, X(BAD_IP_CSUM))},
    {ROW("the head has a bad checksum: the joiner becomes the head", ALL, "0|12"),
     P{{.l4_csum_xor = 1}, {.seq = 100}, {.seq = 200}},
     V(OK_, X(HEAD_BAD_CSUM), APP), .verified = 4},
    {ROW("the head has a bad IPv4 header checksum", IP4, "0|12"), P{{.ip_csum_xor = 1}, {.seq = 100}, {.seq = 200}},
     V(OK_, X(HEAD_BAD_CSUM), APP), .verified = 4},
    {ROW("both bad: the packet is named", ALL, "0|1|2"), P{{.l4_csum_xor = 1}, {.seq = 100, .l4_csum_xor = 1}, {.seq = 100}},
     V(OK_, X(BAD_L4_CSUM), OK_)},
    {ROW("a pseudo-header sum is no checksum", ALL, "0|1"), P{{.seq = 0}, {.seq = 100, .l4_csum_pseudo = 1}},
     V(OK_, X(BAD_L4_CSUM))},
    {ROW("trust_checksums: nothing is summed", ALL, "01"), .desc = {.trust_checksums = 1},
     P{{.l4_csum_xor = 1, .ip_csum_xor = 1}, {.seq = 100, .l4_csum_xor = 1, .ip_csum_xor = 1}}, V(OK_, APP), .verified = 1},
    {ROW("TUO_F_TRUST on both", ALL, "01"), P{{.l4_csum_xor = 1}, {.seq = 100, .l4_csum_xor = 1}},
     V(OK_, APP), .trust = 3, .verified = 1},
    {ROW("TUO_F_TRUST on the head", ALL, "01"), P{{.l4_csum_xor = 1}, {.seq = 100}}, V(OK_, APP), .trust = 1, .verified = 2},
    {ROW("TUO_F_TRUST on the joiner", ALL, "01"), P{{.seq = 0}, {.seq = 100, .l4_csum_xor = 1}},
     V(OK_, APP), .trust = 2, .verified = 2},
    {ROW("TUO_F_TRUST on a datagram without checksum: closes", UDP, "01|2|3"),
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .l4_csum_zero = 1}, {.seq = 200}}, V(OK_, APP, X(UDP_ZERO_CSUM), OK_), .trust = 15},
    {ROW("TUO_F_TRUST on the head does not cover the joiner", ALL, "0|1"), P{{.seq = 0}, {.seq = 100, .l4_csum_xor = 1}},
     V(OK_, X(BAD_L4_CSUM)), .trust = 1},
    {ROW("TUO_F_TRUST on the joiner does not cover the head", ALL, "0|12"), P{{.l4_csum_xor = 1}, {.seq = 100}, {.seq = 200}},
     V(OK_, X(HEAD_BAD_CSUM), APP), .trust = 2, .verified = 3},

    /* --- K4.15 to K4.17: order --- */
    {ROW("K4.15 one packet leaves as it came", ALL, "0"), P{{.seq = 0}}, V(OK_)},
    {ROW("K4.16 what closes, closes its own flow only", TCP, "0|14|2|35"),
     P{{.seq = 0}, {.src_port = 1}, {.seq = 100, .payload_len = PKT_ZERO}, {.seq = 100}, {.seq = 100, .src_port = 1},
     {.seq = 200}},
     V(OK_, OK_, X(TCP_EMPTY), OK_, APP, APP), .ids_as_given = 1},
    {ROW("K4.16 what closes, closes every item of its flow", TCP, "0|1|2|3|4"),
     P{{.seq = 0}, {.seq = 200}, {.seq = 300, .payload_len = PKT_ZERO}, {.seq = 100}, {.seq = 300}},
     V(OK_, X(SEQ_GAP), X(TCP_EMPTY), OK_, X(SEQ_GAP))},
    {ROW("a segment that does not join leaves the other items open", TCP, "031|2"),
     P{{.ip_id = 1}, {.seq = 200, .ip_id = 3}, {.seq = 300, .ip_id = 4, .ttl = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(SEQ_GAP), X(TTL_DIFFERS), APP), .ids_as_given = 1},
    {ROW("another flow label closes every item of the flow", T6, "0|1|3|2"),
     P{{.seq = 0}, {.seq = 200}, {.seq = 300, .flow_label = 1}, {.seq = 100}},
     V(OK_, X(SEQ_GAP), X(FLOW_LABEL_DIFFERS), X(SEQ_LATE))},
    {ROW("K4.16 strict_kernel: a new start closes its flow", TCP, "0|1|2"), .desc = {.strict_kernel = 1},
     P{{.ip_id = 1}, {.seq = 100, .ip_id = 2, .ttl = 1}, {.seq = 100, .ip_id = 2}},
     V(OK_, X(TTL_DIFFERS), X(SEQ_OVERLAP)), .ids_as_given = 1},
    {ROW("K4.17 interleaved flows, in order of their first packets", ALL, "03|14|25"),
     P{{.seq = 0}, {.dst = 1}, {.dst = 2}, {.seq = 100}, {.seq = 100, .dst = 1}, {.seq = 100, .dst = 2}},
     V(OK_, OK_, OK_, APP, APP, APP), .ids_as_given = 1},

    /* --- the order in which rules are looked at --- */
    {ROW("TOS before TTL", ALL, "0|1"), P{{.seq = 0}, {.seq = 100, .tos = 1, .ttl = 9}}, V(OK_, X(TOS_DIFFERS))},
    {ROW("TTL before DF", IP4, "0|1"), P{{.seq = 0}, {.seq = 100, .ttl = 9, .df = PKT_ZERO}}, V(OK_, X(TTL_DIFFERS))},
    {ROW("DF before ack", T4, "0|1"), P{{.seq = 0}, {.seq = 100, .df = PKT_ZERO, .ack = 1}}, V(OK_, X(DF_DIFFERS))},
    {ROW("TTL before ack", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .ttl = 9, .ack = 1}}, V(OK_, X(TTL_DIFFERS))},
    {ROW("ack before reserved bits", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .ack = 1, .reserved = 1}}, V(OK_, X(ACK_DIFFERS))},
    {ROW("reserved bits before flags", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .reserved = 1, .tcp_flags = PKT_ECE | PKT_ACK}},
     V(OK_, X(RESERVED_DIFFERS))},
    {ROW("flags before window", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .tcp_flags = PKT_ECE | PKT_ACK, .window = 1}},
     V(OK_, X(FLAGS_DIFFERS))},
    {ROW("window before urgent pointer", TCP, "0|1"), P{{.seq = 0}, {.seq = 100, .window = 1, .urgent = 1}},
     V(OK_, X(WINDOW_DIFFERS))},
    {ROW("urgent pointer before options", TCP, "0|1"),
     P{{.seq = 0}, {.seq = 100, .urgent = 1, .tcp_options = nops, .tcp_options_len = 4}}, V(OK_, X(URGENT_DIFFERS))},
    {ROW("options before PSH", TCP, "0|1"), P{{.tcp_flags = PA}, {.seq = 100, .tcp_options = nops, .tcp_options_len = 4}},
     V(OK_, X(OPTIONS_DIFFERS))},
    {ROW("PSH before length", TCP, "0|1"), P{{.tcp_flags = PA}, {.seq = 100, .payload_len = 101}}, V(OK_, X(AFTER_PSH_FIN))},
    {ROW("short tail before length", ALL, "01|2"),
     P{{.seq = 0}, {.seq = 100, .payload_len = 50}, {.seq = 150, .payload_len = 101}},
     V(OK_, APP, X(AFTER_SHORT))},
    {ROW("length before ID", IP4, "0|1"), P{{.ip_id = 1}, {.seq = 100, .payload_len = 101, .ip_id = 5}},
     V(OK_, X(LONGER)), .ids_as_given = 1},
    {ROW("ID before caps", IP4, "01|2"), .desc = {.max_segs = 2, .max_udp_segs = 2},
     P{{.ip_id = 1}, {.seq = 100, .ip_id = 2}, {.seq = 200, .ip_id = 9}}, V(OK_, APP, X(IP_ID_DIFFERS)), .ids_as_given = 1},
    {ROW("bytes before segments", ALL, "01|2"), .desc = {.max_segs = 2, .max_udp_segs = 2, .max_bytes = 576},
     P{{.payload_len = 200}, {.seq = 200, .payload_len = 200}, {.seq = 400, .payload_len = 200}}, V(OK_, APP, X(CAP_BYTES))},
    {ROW("segments before fragments", ALL, "01|2"), .desc = {.max_segs = 2, .max_udp_segs = 2, .max_frags = 2},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200}}, V(OK_, APP, X(CAP_SEGS))},
    {ROW("caps before checksums", ALL, "01|2"), .desc = {.max_segs = 2, .max_udp_segs = 2},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .l4_csum_xor = 1}}, V(OK_, APP, X(CAP_SEGS))},

    /* --- switches --- */
    {ROW("disable_tcp4", T4, "0|1"), .desc = {.disable_tcp4 = 1}, P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("disable_tcp4 is for nothing else", T6 | UDP, "01"), .desc = {.disable_tcp4 = 1}, P{{.seq = 0}, {.seq = 100}},
     V(OK_, APP)},
    {ROW("disable_tcp6", T6, "0|1"), .desc = {.disable_tcp6 = 1}, P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("K1.23 disable_tcp6_ext", T6, "0|1"), .desc = {.disable_tcp6_ext = 1},
     P{{.seq = 0, .ext_chain = "D"}, {.seq = 100, .ext_chain = "D"}}, V(X(DISABLED), X(DISABLED))},
    {ROW("K1.23 disable_tcp6_ext is for extension headers", T6, "01"), .desc = {.disable_tcp6_ext = 1},
     P{{.seq = 0}, {.seq = 100}}, V(OK_, APP)},
    {ROW("K1.23 disable_tcp6_ext is for TCP", U6, "01"), .desc = {.disable_tcp6_ext = 1},
     P{{.seq = 0, .ext_chain = "D"}, {.seq = 0, .ext_chain = "D"}}, V(OK_, APP)},
    {ROW("disable_tcp6 is for nothing else", T4 | UDP, "01"), .desc = {.disable_tcp6 = 1}, P{{.seq = 0}, {.seq = 100}},
     V(OK_, APP)},
    {ROW("disable_udp4", U4, "0|1"), .desc = {.disable_udp4 = 1}, P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("disable_udp4 is for nothing else", U6 | TCP, "01"), .desc = {.disable_udp4 = 1}, P{{.seq = 0}, {.seq = 100}},
     V(OK_, APP)},
    {ROW("disable_udp6", U6, "0|1"), .desc = {.disable_udp6 = 1}, P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("disable_udp6 is for nothing else", U4 | TCP, "01"), .desc = {.disable_udp6 = 1}, P{{.seq = 0}, {.seq = 100}},
     V(OK_, APP)},
    {ROW("merge_zero_csum4: nothing is summed", U4, "012"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1}, {.l4_csum_zero = 1}}, V(OK_, APP, APP), .verified = 1},
    {ROW("merge_zero_csum4: not over IPv6; closes", U6, "0|1|2|3"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.seq = 0}, {.l4_csum_zero = 1}, {.seq = 0}},
     V(X(UDP_ZERO_CSUM), OK_, X(UDP_ZERO_CSUM), OK_)},
    {ROW("merge_zero_csum4: with and without checksum", U4, "01234"), .desc = {.merge_zero_csum4 = 1},
     P{{.seq = 0}, {.l4_csum_zero = 1}, {.seq = 0}, {.l4_csum_zero = 1}, {.payload_len = 7, .l4_csum_zero = 1}},
     V(OK_, APP, APP, APP, APP), .verified = 3},
    {ROW("merge_zero_csum4: without checksum, then with", U4, "01"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.seq = 0}}, V(OK_, APP), .verified = 2},
    {ROW("merge_zero_csum4: a TCP checksum of 0 is one", TCP, "0|1|2"), .desc = {.merge_zero_csum4 = 1},
     P{{.seq = 0}, {.seq = 100, .l4_csum_zero = 1}, {.seq = 100}}, V(OK_, X(BAD_L4_CSUM), OK_)},
    {ROW("merge_zero_csum4: other checksums are verified", U4, "01|2|3"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1}, {.l4_csum_xor = 1}, {.l4_csum_zero = 1}},
     V(OK_, APP, X(BAD_L4_CSUM), OK_)},
    {ROW("merge_zero_csum4: the IPv4 header is verified", U4, "0|1|2"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1, .ip_csum_xor = 1}, {.l4_csum_zero = 1}}, V(OK_, X(BAD_IP_CSUM), OK_)},
    {ROW("merge_zero_csum4: the IPv4 header of the head is verified", U4, "0|12"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1, .ip_csum_xor = 1}, {.l4_csum_zero = 1}, {.seq = 0}}, V(OK_, X(HEAD_BAD_CSUM), APP)},
    {ROW("merge_zero_csum4: trusted ones", U4, "01"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1, .ip_csum_xor = 1}, {.l4_csum_zero = 1, .ip_csum_xor = 1}}, V(OK_, APP), .trust = 3, .verified = 1},
    {ROW("merge_zero_csum4: without payload", U4, "0|1"), .desc = {.merge_zero_csum4 = 1},
     P{{.seq = 0}, {.payload_len = PKT_ZERO, .l4_csum_zero = 1}}, V(OK_, X(UDP_EMPTY))},
    {ROW("merge_zero_csum4: without payload over IPv6", U6, "0|1"), .desc = {.merge_zero_csum4 = 1},
     P{{.seq = 0}, {.payload_len = PKT_ZERO, .l4_csum_zero = 1}}, V(OK_, X(UDP_ZERO_CSUM))},
    {ROW("merge_zero_csum4: an IPv4 checksum of 0xffff", U4, "0|1"), .desc = {.merge_zero_csum4 = 1},
     P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1}}, V(OK_, X(CSUM_ALIAS)), .poke = {'i', 1, 10, 0xff, 1, 2}},
    {ROW("merge_zero_csum4: disable_udp4", U4, "0|1"), .desc = {.merge_zero_csum4 = 1, .disable_udp4 = 1},
     P{{.l4_csum_zero = 1}, {.l4_csum_zero = 1}}, V(X(DISABLED), X(DISABLED))},
    {ROW("merge_zero_csum4: behind a tag", U4, "01"), .desc = {.merge_zero_csum4 = 1},
     P{{.vlan_count = 1, .l4_csum_zero = 1}, {.vlan_count = 1, .l4_csum_zero = 1}}, V(OK_, APP), .verified = 1},
    {ROW("finish_checksum: TCP", TCP, "0123"), .desc = {.finish_checksum = 1}, P{{.seq = 0}, {.seq = 100}, {.seq = 200}, {.seq = 300}},
     V(OK_, APP, APP, APP), .verified = 5},
    {ROW("finish_checksum: no UDP", UDP, "0|1|2"), .desc = {.finish_checksum = 1, .merge_zero_csum4 = 1},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200}}, V(X(DISABLED), X(DISABLED), X(DISABLED))},
    {ROW("finish_checksum: no UDP of a protocol that is off", UDP, "0|1"),
     .desc = {.finish_checksum = 1, .disable_udp4 = 1, .disable_udp6 = 1}, P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("finish_checksum: odd lengths", TCP, "01234"), .desc = {.finish_checksum = 1},
     P{{.payload_len = 101}, {.seq = 101, .payload_len = 101}, {.seq = 202, .payload_len = 101}, {.seq = 303, .payload_len = 101},
       {.seq = 404, .payload_len = 33, .tcp_flags = FA | PKT_PSH}}, V(OK_, APP, APP, APP, APP)},
    {ROW("finish_checksum: an even tail behind an odd segment", TCP, "01"), .desc = {.finish_checksum = 1},
     P{{.payload_len = 101}, {.seq = 101, .payload_len = 50}}, V(OK_, APP)},
    {ROW("finish_checksum: an odd tail", TCP, "01"), .desc = {.finish_checksum = 1}, P{{.seq = 0}, {.seq = 100, .payload_len = 1}},
     V(OK_, APP)},
    {ROW("finish_checksum: options and tags", TCP, "01"), .desc = {.finish_checksum = 1},
     P{{.payload_len = 9, .vlan_count = 1, .tcp_options = timestamp_1, .tcp_options_len = 12},
       {.seq = 9, .payload_len = 9, .vlan_count = 1, .tcp_options = timestamp_1, .tcp_options_len = 12}}, V(OK_, APP)},
    {ROW("finish_checksum: extension headers", T6, "01"), .desc = {.finish_checksum = 1},
     P{{.payload_len = 9, .ext_chain = "HD"}, {.seq = 9, .payload_len = 9, .ext_chain = "HD"}}, V(OK_, APP)},
    {ROW("finish_checksum: a late segment in front", TCP, "10"), .desc = {.finish_checksum = 1},
     P{{.seq = 101, .ip_id = 2, .payload_len = 101}, {.ip_id = 1, .payload_len = 101}}, V(OK_, PRE), .ids_as_given = 1},
    {ROW("finish_checksum: items that join", TCP, "0213"), .desc = {.finish_checksum = 1},
     P{{.ip_id = 1, .payload_len = 9}, {.seq = 18, .ip_id = 3, .payload_len = 9}, {.seq = 9, .ip_id = 2, .payload_len = 9},
       {.seq = 27, .ip_id = 4, .payload_len = 9, .tcp_flags = PA}}, V(OK_, X(SEQ_GAP), APP, APP), .ids_as_given = 1},
    {ROW("finish_checksum: a wrong checksum is not repaired", TCP, "0|1|2"), .desc = {.finish_checksum = 1},
     P{{.seq = 0}, {.seq = 100, .l4_csum_xor = 0x100}, {.seq = 100}}, V(OK_, X(BAD_L4_CSUM), OK_)},
    {ROW("finish_checksum: a trusted wrong checksum stays wrong", TCP, "012"), .desc = {.finish_checksum = 1},
     P{{.payload_len = 9}, {.seq = 9, .payload_len = 9, .l4_csum_xor = 0x100}, {.seq = 18, .payload_len = 9}},
     V(OK_, APP, APP), .trust = 7, .verified = 1},
    {ROW("finish_checksum: a trusted wrong IPv4 header is new", T4, "01"), .desc = {.finish_checksum = 1},
     P{{.ip_csum_xor = 1}, {.seq = 100, .ip_csum_xor = 1}}, V(OK_, APP), .trust = 3},
    {ROW("finish_checksum: max_bytes", TCP, "01|2"), .desc = {.finish_checksum = 1, .max_bytes = 576},
     P{{.payload_len = 201}, {.seq = 201, .payload_len = 201}, {.seq = 402, .payload_len = 201}}, V(OK_, APP, X(CAP_BYTES))},
    {ROW("finish_checksum: the other switches", T4, "0|1"), .desc = {.finish_checksum = 1, .disable_tcp4 = 1}, P{{.seq = 0}, {.seq = 100}},
     V(X(DISABLED), X(DISABLED))},
    {ROW("finish_checksum: the other switches, IPv6", T6, "0|1"), .desc = {.finish_checksum = 1, .disable_tcp6 = 1},
     P{{.seq = 0}, {.seq = 100}}, V(X(DISABLED), X(DISABLED))},
    {ROW("finish_checksum: a guest's vnet header", TCP, "01|2"), .desc = {.finish_checksum = 1, .vnet_hdr_len = 12, .virtio_guest = 1},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}}, V(OK_, APP, X(TTL_DIFFERS))},
    {ROW("finish_checksum: no vnet header", TCP, "01|2"), .desc = {.finish_checksum = 1, .no_vnet_hdr = 1},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}}, V(OK_, APP, X(TTL_DIFFERS))},

    {ROW("K5.1 excluded destination port", UDP, "0|1|23"),
     .desc = {.udp_excluded_port_count = 2, .udp_excluded_ports = {4789, 6081}},
     P{{.dst_port = 4789}, {.dst_port = 6081}, {.seq = 0}, {.seq = 100}}, V(X(PORT_EXCLUDED), X(PORT_EXCLUDED), OK_, APP)},
    {ROW("K5.1 excluded source port", UDP, "0|1"), .desc = {.udp_excluded_port_count = 1, .udp_excluded_ports = {4789}},
     P{{.src_port = 4789}, {.src_port = 4789}}, V(X(PORT_EXCLUDED), X(PORT_EXCLUDED))},
    {ROW("ports behind the count are not excluded", UDP, "01"),
     .desc = {.udp_excluded_port_count = 1, .udp_excluded_ports = {4789, 6081}},
     P{{.dst_port = 6081}, {.seq = 100, .dst_port = 6081}}, V(OK_, APP)},
    {ROW("excluded ports of UDP are for UDP only", TCP, "01"), .desc = {.udp_excluded_port_count = 1, .udp_excluded_ports = {443}},
     P{{.seq = 0}, {.seq = 100}}, V(OK_, APP)},
    {ROW("excluded ports of TCP are for TCP only", UDP, "01"), .desc = {.tcp_excluded_port_count = 1, .tcp_excluded_ports = {443}},
     P{{.seq = 0}, {.seq = 100}}, V(OK_, APP)},
    {ROW("excluded destination port, TCP", TCP, "0|1|23"), .desc = {.tcp_excluded_port_count = 2, .tcp_excluded_ports = {22, 179}},
     P{{.dst_port = 22}, {.dst_port = 179}, {.seq = 0}, {.seq = 100}}, V(X(PORT_EXCLUDED), X(PORT_EXCLUDED), OK_, APP)},
    {ROW("excluded source port, TCP", TCP, "0|1"), .desc = {.tcp_excluded_port_count = 1, .tcp_excluded_ports = {22}},
     P{{.seq = 0, .src_port = 22}, {.seq = 100, .src_port = 22}}, V(X(PORT_EXCLUDED), X(PORT_EXCLUDED))},
    {ROW("ports behind the count are not excluded, TCP", TCP, "01"),
     .desc = {.tcp_excluded_port_count = 1, .tcp_excluded_ports = {22, 179}},
     P{{.seq = 0, .dst_port = 179}, {.seq = 100, .dst_port = 179}}, V(OK_, APP)},

    /* --- vnet headers in front --- */
    {ROW("vnet header of 12 bytes", ALL, "01|2"), .desc = {.vnet_hdr_len = 12},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}},
     V(OK_, APP, X(TTL_DIFFERS))},
    {ROW("vnet header for a guest", ALL, "01|2"), .desc = {.vnet_hdr_len = 12, .virtio_guest = 1},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}}, V(OK_, APP, X(TTL_DIFFERS))},
    {ROW("vnet header of 20 bytes, little-endian", ALL, "01|2"), .desc = {.vnet_hdr_len = 20, .vnet_order = TUO_ORDER_LITTLE},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}}, V(OK_, APP, X(TTL_DIFFERS))},
    {ROW("vnet header of 24 bytes, big-endian", ALL, "01|2"), .desc = {.vnet_hdr_len = 24, .vnet_order = TUO_ORDER_BIG},
     P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}}, V(OK_, APP, X(TTL_DIFFERS))},
    {ROW("no vnet header", ALL, "01|2"), .desc = {.no_vnet_hdr = 1}, P{{.seq = 0}, {.seq = 100}, {.seq = 200, .ttl = 9}},
     V(OK_, APP, X(TTL_DIFFERS))},
};

static const char *const kind_names[PKT_KIND_COUNT] = {"TCP4", "UDP4", "TCP6", "UDP6"};

static size_t packets_of(const char *groups)
{
    size_t n = 0;

    for (; *groups; groups++)
        n += *groups != '|';
    return n;
}

static void apply_poke(const poke *k)
{
    uint8_t *p = batch.pkt[k->pkt];
    pkt_view v = pkt_look(p, batch.len[k->pkt], batch.ethernet, 1);

    memset(p + (k->base == 'i' ? v.ip : k->base == 't' ? v.l4 : 0) + k->off, k->value, k->count ? k->count : 1);
    if (!k->raw)
        pkt_fix_checksums(p, batch.len[k->pkt], batch.ethernet);
}

static void apply_cut(const cut *c)
{
    uint8_t *p = batch.pkt[c->pkt];
    pkt_view v = pkt_look(p, batch.len[c->pkt], batch.ethernet, 1);

    if (c->honest) {
        pkt_put16(p + v.ip + (v.version == 4 ? 2 : 4), c->keep - (v.version == 4 ? 0u : 40u));
        pkt_fix_ip_checksum(p, &v);
    }
    h_shorten(&batch, c->pkt, v.ip + c->keep);
}

static void build_row(const rule_row *row, int kind)
{
    size_t i, n = packets_of(row->groups);

    h_clear(&batch);
    for (i = 0; i < n; i++) {
        pkt_spec s = row->p[i];
        if (kind >= 0)
            s.kind = (pkt_kind)kind;
        if (!row->ids_as_given)
            s.ip_id = (uint16_t)(1000 + i);
        h_add(&batch, &s);
    }
    if (row->poke.base)
        apply_poke(&row->poke);
    if (row->cut.keep)
        apply_cut(&row->cut);
}

/* Verdicts that say what a packet is, without its neighbours: those that tuo_gro_candidate gives. */
static int is_about_the_packet(tuo_verdict v)
{
    return v >= TUO_V_NOT_IP && v <= TUO_V_CSUM_ALIAS;
}

/* What tuo_gro_candidate says of a packet, which knows no switches. */
static tuo_verdict of_the_zero_desc(const rule_row *row, size_t i, int kind)
{
    if (row->p[i].l4_csum_zero && (kind == PKT_UDP4 || kind == PKT_UDP6))
        return TUO_V_UDP_ZERO_CSUM;
    return is_about_the_packet(row->v[i]) ? row->v[i] : TUO_V_HELD;
}

/* The counters follow from verdicts and emission. */
static void check_stats(const tuo_gro *gro)
{
    tuo_gro_stats stats, expected;
    size_t i;

    memset(&expected, 0, sizeof expected);
    for (i = 0; i < batch.count; i++) {
        expected.packets_in++;
        expected.bytes_in += batch.len[i];
        expected.verdicts[batch.verdict[i]]++;
    }
    for (i = 0; i < batch.group_count; i++) {
        expected.packets_out++;
        expected.bytes_out += batch.group[i].len;
        if (batch.group[i].count > 1) {
            expected.superpackets++;
            expected.merged_packets += batch.group[i].count;
        }
    }
    tuo_gro_query_stats(gro, &stats);
    CHECK_EQ_INT(stats.packets_in, expected.packets_in);
    CHECK_EQ_INT(stats.bytes_in, expected.bytes_in);
    CHECK_EQ_INT(stats.packets_out, expected.packets_out);
    CHECK_EQ_INT(stats.bytes_out, expected.bytes_out);
    CHECK_EQ_INT(stats.superpackets, expected.superpackets);
    CHECK_EQ_INT(stats.merged_packets, expected.merged_packets);
    CHECK_EQ_INT(stats.append_failures, 0);
    for (i = 0; i < TUO_V_COUNT; i++)
        if (stats.verdicts[i] != expected.verdicts[i])
            CHECK_EQ_STR(tuo_verdict_name((tuo_verdict)i), "(counted differently)");
}

static void run_row(const rule_row *row, int kind)
{
    tuo_gro_desc desc = row->desc;
    tuo_gro_stats stats;
    char text[64];
    size_t i;
    h_gro h;

    check_row("%s, %s", row->name, kind >= 0 ? kind_names[kind] : "mixed");
    build_row(row, kind);
    desc.ethernet = (uint8_t)batch.ethernet;
    h = h_open(&desc);
    for (i = 0; i < batch.count; i++) {
        tuo_verdict v = h_push(&batch, h.gro, i, row->trust >> i & 1 ? TUO_F_TRUST : 0u);
        CHECK_VERDICT(v, row->v[i]);
        verdict_seen[v]++;
        if (v != TUO_V_DISABLED && v != TUO_V_PORT_EXCLUDED && v != TUO_V_TOO_LARGE)
            CHECK_VERDICT(tuo_gro_candidate(batch.pkt[i], batch.len[i], h_flags(&batch)), of_the_zero_desc(row, i, kind));
    }
    h_drain(&batch, h.gro);
    CHECK_EQ_STR(h_groups(&batch, text, sizeof text), row->groups);
    h_check_batch(&batch, &desc);
    check_stats(h.gro);
    tuo_gro_query_stats(h.gro, &stats);
    if (row->verified)
        CHECK_EQ_INT(stats.verified_packets, row->verified - 1);
    h_close(&h);
    h_clear(&batch);
}

TEST(rule_rows)
{
    size_t i;
    int kind;

    for (i = 0; i < CHECK_COUNT_OF(rows); i++) {
        if (rows[i].kinds == AS_GIVEN)
            run_row(&rows[i], -1);
        for (kind = 0; kind < PKT_KIND_COUNT; kind++)
            if (rows[i].kinds >> kind & 1)
                run_row(&rows[i], kind);
    }
}

/* ---------------------------------------------------------------------------------- what a superpacket looks like */

typedef struct shape_row {
    const char *name;
    pkt_spec first;
    int gso_type, gso_size, hdr_len, csum_start, csum_offset;
} shape_row;

static const shape_row shapes[] = {
    {.name = "TCP4", .first = {.kind = PKT_TCP4},
     .gso_type = 1, .gso_size = 100, .hdr_len = 40, .csum_start = 20, .csum_offset = 16},
    {.name = "TCP4 with options",
     .first = {.kind = PKT_TCP4, .tcp_options = timestamp_1, .tcp_options_len = 12, .payload_len = 1448},
     .gso_type = 1, .gso_size = 1448, .hdr_len = 52, .csum_start = 20, .csum_offset = 16},
    {.name = "TCP6", .first = {.kind = PKT_TCP6, .payload_len = 8},
     .gso_type = 4, .gso_size = 8, .hdr_len = 60, .csum_start = 40, .csum_offset = 16},
    {.name = "TCP6 behind two extension headers", .first = {.kind = PKT_TCP6, .ext_chain = "HD"},
     .gso_type = 4, .gso_size = 100, .hdr_len = 76, .csum_start = 56, .csum_offset = 16},
    {.name = "UDP4", .first = {.kind = PKT_UDP4, .payload_len = 1200},
     .gso_type = 5, .gso_size = 1200, .hdr_len = 28, .csum_start = 20, .csum_offset = 6},
    {.name = "UDP6", .first = {.kind = PKT_UDP6},
     .gso_type = 5, .gso_size = 100, .hdr_len = 48, .csum_start = 40, .csum_offset = 6},
    {.name = "UDP6 behind a routing header", .first = {.kind = PKT_UDP6, .ext_chain = "R"},
     .gso_type = 5, .gso_size = 100, .hdr_len = 56, .csum_start = 48, .csum_offset = 6},
    {.name = "TCP4 in Ethernet", .first = {.kind = PKT_TCP4, .ethernet = 1},
     .gso_type = 1, .gso_size = 100, .hdr_len = 54, .csum_start = 34, .csum_offset = 16},
    {.name = "UDP6 behind two VLAN tags", .first = {.kind = PKT_UDP6, .vlan_count = 2},
     .gso_type = 5, .gso_size = 100, .hdr_len = 70, .csum_start = 62, .csum_offset = 6},
};

/* Three packets, the last one short and, if TCP, with PSH: the numbers of the vnet header, spelled out. */
TEST(superpacket_shapes)
{
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(shapes); i++) {
        const shape_row *row = &shapes[i];
        tuo_gro_desc desc = {0};
        const tuo_vnet_hdr *vnet;
        h_gro h;

        check_row("%s", row->name);
        h_clear(&batch);
        for (k = 0; k < 3; k++) {
            pkt_spec s = row->first;
            s.seq = (uint32_t)(k * pkt_payload_len(&s));
            s.ip_id = (uint16_t)k;
            s.tcp_flags = k == 2 ? PA : 0;
            s.payload_len = k == 2 ? 3 : s.payload_len;
            h_add(&batch, &s);
        }
        desc.ethernet = (uint8_t)batch.ethernet;
        h = h_open(&desc);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        if (CHECK_EQ_INT(batch.group_count, 1)) {
            vnet = &batch.group[0].vnet;
            CHECK_EQ_INT(vnet->flags, TUO_VNET_NEEDS_CSUM);
            CHECK_EQ_INT(vnet->gso_type, row->gso_type);
            CHECK_EQ_INT(vnet->gso_size, row->gso_size);
            CHECK_EQ_INT(vnet->hdr_len, row->hdr_len);
            CHECK_EQ_INT(vnet->csum_start, row->csum_start);
            CHECK_EQ_INT(vnet->csum_offset, row->csum_offset);
            CHECK_EQ_INT(batch.group[0].len, row->hdr_len + 2 * row->gso_size + 3);
        }
        h_check_batch(&batch, &desc);
        h_close(&h);
        h_clear(&batch);
    }
}

/* ------------------------------------------------------------------------------------------------------ every header bit */

enum { NOT_MERGED = TUO_V_COUNT };

/* What happens if exactly these bits of the second packet are flipped (checksums follow, unless they are what is flipped).
   The first line that matches counts; offsets are inclusive. */
typedef struct field_row {
    unsigned kinds;
    char base; /* 'e' Ethernet, 'i' IP, 'x' extension headers, 't' TCP or UDP */
    uint8_t from, to, mask;
    int verdict;
} field_row;

static const field_row fields[] = {
    {ALL, 'e', 0, 11, 0xff, TUO_V_HELD},
    {ALL, 'e', 12, 255, 0xff, NOT_MERGED},
    {IP4, 'i', 0, 0, 0xff, NOT_MERGED},
    {IP4, 'i', 1, 1, 0xff, TUO_V_TOS_DIFFERS},
    {IP4, 'i', 2, 3, 0xff, NOT_MERGED},
    {IP4, 'i', 5, 5, 0x01, TUO_V_APPENDED},        /* 8 -> 9 became 8 -> 8: constant, and DF is set */
    {IP4, 'i', 4, 5, 0xff, TUO_V_IP_ID_DIFFERS},
    {IP4, 'i', 6, 6, 0x80, TUO_V_IP_RESERVED_BIT},
    {IP4, 'i', 6, 6, 0x40, TUO_V_DF_DIFFERS},
    {IP4, 'i', 6, 7, 0xff, TUO_V_IP_FRAGMENT},
    {IP4, 'i', 8, 8, 0xff, TUO_V_TTL_DIFFERS},
    {IP4, 'i', 9, 9, 0xff, TUO_V_PROTOCOL},
    {IP4, 'i', 10, 11, 0xff, TUO_V_BAD_IP_CSUM},
    {IP4, 'i', 12, 19, 0xff, TUO_V_HELD},
    {IP6, 'i', 0, 0, 0xf0, NOT_MERGED},
    {IP6, 'i', 0, 0, 0x0f, TUO_V_TOS_DIFFERS},
    {IP6, 'i', 1, 1, 0xf0, TUO_V_TOS_DIFFERS},
    {IP6, 'i', 1, 3, 0xff, TUO_V_FLOW_LABEL_DIFFERS},
    {IP6, 'i', 4, 6, 0xff, NOT_MERGED},
    {IP6, 'i', 7, 7, 0xff, TUO_V_TTL_DIFFERS},
    {IP6, 'i', 8, 39, 0xff, TUO_V_HELD},
    {IP6, 'x', 0, 255, 0xff, NOT_MERGED},
    {ALL, 't', 0, 3, 0xff, TUO_V_HELD},
    {TCP, 't', 4, 7, 0xff, NOT_MERGED},
    {TCP, 't', 8, 11, 0xff, TUO_V_ACK_DIFFERS},
    {TCP, 't', 12, 12, 0xf0, NOT_MERGED},
    {TCP, 't', 12, 12, 0x0f, TUO_V_RESERVED_DIFFERS},
    {TCP, 't', 13, 13, PKT_FIN | PKT_PSH, TUO_V_APPENDED},
    {TCP, 't', 13, 13, PKT_SYN | PKT_RST | PKT_URG, TUO_V_TCP_FLAGS},
    {TCP, 't', 13, 13, PKT_CWR, TUO_V_TCP_CWR},
    {TCP, 't', 13, 13, 0xff, TUO_V_FLAGS_DIFFERS},
    {TCP, 't', 14, 15, 0xff, TUO_V_WINDOW_DIFFERS},
    {TCP, 't', 16, 17, 0xff, TUO_V_BAD_L4_CSUM},
    {TCP, 't', 18, 19, 0xff, TUO_V_URGENT_DIFFERS},
    {TCP, 't', 20, 255, 0xff, TUO_V_OPTIONS_DIFFERS},
    {UDP, 't', 4, 5, 0xff, TUO_V_UDP_LENGTH},
    {UDP, 't', 6, 7, 0xff, TUO_V_BAD_L4_CSUM},
};

static int expected_of_flip(const pkt_spec *s, size_t byte, unsigned bit, int *is_checksum)
{
    size_t ip = pkt_ip_off(s), l4 = pkt_l4_off(s), fixed = ip + (pkt_is_v6(s) ? 40u : 20u), i;
    char base = byte < ip ? 'e' : byte < fixed ? 'i' : byte < l4 ? 'x' : 't';
    size_t off = byte - (base == 'e' ? 0 : base == 'i' ? ip : base == 'x' ? fixed : l4);

    for (i = 0; i < CHECK_COUNT_OF(fields); i++) {
        const field_row *f = &fields[i];
        if (!(f->kinds >> s->kind & 1) || f->base != base || off < f->from || off > f->to || !(f->mask & bit))
            continue;
        *is_checksum = f->verdict == TUO_V_BAD_IP_CSUM || f->verdict == TUO_V_BAD_L4_CSUM;
        return f->verdict;
    }
    CHECK_EQ_STR("a line for this byte", "(none)");
    return NOT_MERGED;
}

static const pkt_spec flip_specs[] = {
    {.kind = PKT_TCP4, .seq = 0x10005000, .ip_id = 8, .ack = 0x01020304, .window = 0x1234, .urgent = 0x22, .tos = 0x28},
    {.kind = PKT_TCP4, .seq = 0x10005000, .ip_id = 8, .tcp_options = timestamp_1, .tcp_options_len = 12, .vlan_count = 1},
    {.kind = PKT_UDP4, .ip_id = 8},
    {.kind = PKT_UDP4, .ip_id = 8, .ethernet = 1},
    {.kind = PKT_TCP6, .seq = 0x10005000, .flow_label = 0x12345},
    {.kind = PKT_TCP6, .seq = 0x10005000, .ext_chain = "HD", .reserved = 5},
    {.kind = PKT_UDP6, .flow_label = 0x12345},
    {.kind = PKT_UDP6, .ext_chain = "R", .vlan_count = 2},
};

/* Flips one header bit of packet `which` of two neighbours; whatever merges must split back into exactly these two. Trusted: with
   checksums as they were, which then decide nothing: the headers alone must tell the two apart. */
static void check_flip(tuo_gro *gro, const tuo_gro_desc *desc, const pkt_spec *spec, size_t which, size_t byte, unsigned bit,
    int trusted)
{
    pkt_spec next = *spec;
    int is_checksum = 0, expected = expected_of_flip(spec, byte, bit, &is_checksum);
    tuo_verdict second;

    next.seq += (uint32_t)pkt_payload_len(spec);
    next.ip_id++;
    h_clear(&batch);
    h_add(&batch, spec);
    h_add(&batch, &next);
    batch.pkt[which][byte] = (uint8_t)(batch.pkt[which][byte] ^ bit);
    if (!is_checksum && !trusted)
        pkt_fix_checksums(batch.pkt[which], batch.len[which], batch.ethernet);
    if (is_checksum && trusted)
        expected = TUO_V_APPENDED;
    h_push_all(&batch, gro, trusted ? TUO_F_TRUST : 0u);
    second = batch.verdict[1];
    h_drain(&batch, gro);
    h_check_batch(&batch, desc);
    if (which == 1 && expected != NOT_MERGED)
        CHECK_VERDICT(second, (tuo_verdict)expected);
    if (which == 1 && expected == NOT_MERGED)
        CHECK(second != TUO_V_APPENDED && second != TUO_V_PREPENDED);
    if (which == 0) /* with FIN or PSH in front nothing may follow; an ID may have become that of the second: constant under DF */
        CHECK(second != TUO_V_APPENDED || (is_checksum && trusted) ||
              pkt_get16(batch.pkt[0] + pkt_ip_off(spec) + 4) == next.ip_id);
    CHECK_EQ_INT(batch.group_count, second == TUO_V_APPENDED ? 1 : 2);
}

TEST(every_header_bit_alone)
{
    size_t i, which, byte;
    unsigned bit;
    int trusted;

    for (i = 0; i < CHECK_COUNT_OF(flip_specs); i++) {
        tuo_gro_desc desc = {.max_packets = 8, .max_flows = 8};
        h_gro h;
        desc.ethernet = (uint8_t)pkt_is_ethernet(&flip_specs[i]);
        check_row("bits of %s, spec %lu", kind_names[flip_specs[i].kind], (unsigned long)i);
        h = h_open(&desc);
        for (which = 0; which < 2; which++)
            for (byte = 0; byte < pkt_payload_off(&flip_specs[i]); byte++)
                for (bit = 1; bit < 256; bit *= 2)
                    for (trusted = 0; trusted < 2; trusted++)
                        check_flip(h.gro, &desc, &flip_specs[i], which, byte, bit, trusted);
        h_close(&h);
    }
    h_clear(&batch);
}

/* --------------------------------------------------------------------------------------------------------- long runs */

typedef struct long_row {
    const char *name;
    pkt_spec spec;
    tuo_gro_desc desc;
    size_t count;
    size_t first_group;      /* packets in the first superpacket */
    size_t first_len;        /* its bytes; 0 = not looked at */
    tuo_verdict first_out;   /* verdict of the first packet that was not taken into it */
} long_row;

static const long_row runs[] = {
    {.name = "K4.13 TCP4 to exactly 65535 bytes", .spec = {.payload_len = 13099},
     .count = 6, .first_group = 5, .first_len = 65535, .first_out = X(CAP_BYTES)},
    {.name = "K4.13 TCP4 one byte per segment too much", .spec = {.payload_len = 13100},
     .count = 6, .first_group = 4, .first_len = 52440, .first_out = X(CAP_BYTES)},
    {.name = "K4.13 TCP6 to exactly 65535 bytes", .spec = {.kind = PKT_TCP6, .payload_len = 13095},
     .count = 6, .first_group = 5, .first_len = 65535, .first_out = X(CAP_BYTES)},
    {.name = "K4.13 TCP6 one byte per segment too much", .spec = {.kind = PKT_TCP6, .payload_len = 13096},
     .count = 6, .first_group = 4, .first_len = 52444, .first_out = X(CAP_BYTES)},
    {.name = "K5.6 UDP4 to exactly 65535 bytes", .spec = {.kind = PKT_UDP4, .payload_len = 5039},
     .count = 14, .first_group = 13, .first_len = 65535, .first_out = X(CAP_BYTES)},
    {.name = "K5.6 UDP6 to exactly 65535 bytes", .spec = {.kind = PKT_UDP6, .payload_len = 21829},
     .count = 4, .first_group = 3, .first_len = 65535, .first_out = X(CAP_BYTES)},
    {.name = "K4.13 no segment limit for TCP", .spec = {.payload_len = 10},
     .count = 250, .first_group = 250},
    {.name = "K5.6 64 datagrams", .spec = {.kind = PKT_UDP4, .payload_len = 10},
     .count = 70, .first_group = 64, .first_out = X(CAP_SEGS)},
    {.name = "K5.10 128 datagrams if asked for", .spec = {.kind = PKT_UDP6, .payload_len = 10}, .desc = {.max_udp_segs = 128},
     .count = 130, .first_group = 128, .first_out = X(CAP_SEGS)},
    {.name = "default of max_frags", .spec = {.payload_len = 10}, .desc = {.max_packets = 1100},
     .count = 1030, .first_group = 1022, .first_out = X(CAP_FRAGS)},
    {.name = "more than the default of max_frags", .spec = {.payload_len = 10}, .desc = {.max_packets = 1100, .max_frags = 65535},
     .count = 1030, .first_group = 1030},
    {.name = "max_frags below max_segs", .spec = {.payload_len = 10}, .desc = {.max_frags = 7, .max_segs = 9},
     .count = 20, .first_group = 7, .first_out = X(CAP_FRAGS)},
};

TEST(long_runs)
{
    size_t i, k;

    for (i = 0; i < CHECK_COUNT_OF(runs); i++) {
        const long_row *row = &runs[i];
        h_gro h = h_open(&row->desc);

        check_row("%s", row->name);
        h_clear(&batch);
        for (k = 0; k < row->count; k++) {
            pkt_spec s = row->spec;
            s.seq = (uint32_t)(k * pkt_payload_len(&s)) - 1000;
            s.ip_id = (uint16_t)(65530 + k);
            h_add(&batch, &s);
        }
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        CHECK_EQ_INT(batch.group[0].count, row->first_group);
        if (row->first_len)
            CHECK_EQ_INT(batch.group[0].len, row->first_len);
        if (row->first_group < row->count)
            CHECK_VERDICT(batch.verdict[row->first_group], row->first_out);
        h_check_batch(&batch, &row->desc);
        h_close(&h);
        h_clear(&batch);
    }
}

/* -------------------------------------------------------------------------------------------------- checksum aliases */

/* Gives the packet a TCP or UDP checksum whose right value is 0x0000, by changing the first two payload bytes. */
static void make_l4_sum_zero(uint8_t *p, size_t len)
{
    pkt_view v = pkt_look(p, len, 0, 0);

    pkt_put16(p + v.payload, 0);
    pkt_put16(p + pkt_l4_csum_at(&v), 0);
    pkt_put16(p + v.payload, ~pkt_l4_sum(p, &v) & 0xffff);
}

/* The same for the IPv4 header checksum, by its ID. */
static void make_ip_sum_zero(uint8_t *p)
{
    pkt_put16(p + 4, 0);
    pkt_put16(p + 10, 0);
    pkt_put16(p + 4, ~pkt_sum(p, 20, 0) & 0xffff);
}

/* 0x0000 and 0xffff verify alike, but a splitter writes 0x0000 for TCP and IPv4 and 0xffff for UDP: what is spelled the other way
   would not come back. */
TEST(checksum_aliases)
{
    static const struct {
        const char *name;
        pkt_kind kind;
        int of_ip;
        unsigned field;
        tuo_verdict verdict;
    } aliases[] = {
        {"TCP4 checksum 0x0000 merges", PKT_TCP4, 0, 0x0000, X(APPENDED)},
        {"TCP4 checksum 0xffff", PKT_TCP4, 0, 0xffff, X(CSUM_ALIAS)},
        {"TCP6 checksum 0x0000 merges", PKT_TCP6, 0, 0x0000, X(APPENDED)},
        {"TCP6 checksum 0xffff", PKT_TCP6, 0, 0xffff, X(CSUM_ALIAS)},
        {"UDP4 checksum 0xffff merges", PKT_UDP4, 0, 0xffff, X(APPENDED)},
        {"UDP6 checksum 0xffff merges", PKT_UDP6, 0, 0xffff, X(APPENDED)},
        {"IPv4 header checksum 0x0000 merges, TCP", PKT_TCP4, 1, 0x0000, X(APPENDED)},
        {"IPv4 header checksum 0xffff, TCP", PKT_TCP4, 1, 0xffff, X(CSUM_ALIAS)},
        {"IPv4 header checksum 0x0000 merges, UDP", PKT_UDP4, 1, 0x0000, X(APPENDED)},
        {"IPv4 header checksum 0xffff, UDP", PKT_UDP4, 1, 0xffff, X(CSUM_ALIAS)},
    };
    static const tuo_gro_desc desc = {0};
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(aliases); i++) {
        pkt_spec s = {.kind = aliases[i].kind}, t = {.kind = aliases[i].kind, .seq = 100}, u = t;
        h_gro h = h_open(&desc);
        uint8_t *p;

        check_row("%s", aliases[i].name);
        h_clear(&batch);
        h_add(&batch, &t);
        p = batch.pkt[0];
        if (aliases[i].of_ip)
            make_ip_sum_zero(p);
        t.ip_id = (uint16_t)(pkt_is_v6(&t) ? 0 : pkt_get16(p + 4));
        s.ip_id = (uint16_t)(t.ip_id - 1);
        u.ip_id = (uint16_t)(t.ip_id + 1);
        u.seq = aliases[i].verdict == TUO_V_APPENDED ? 200 : 100;
        h_clear(&batch);
        h_add(&batch, &s);
        h_add(&batch, &t);
        h_add(&batch, &u);
        p = batch.pkt[1];
        if (aliases[i].of_ip) {
            pkt_put16(p + 10, aliases[i].field);
        } else {
            pkt_view v = pkt_look(p, batch.len[1], 0, 0);
            make_l4_sum_zero(p, batch.len[1]);
            pkt_put16(p + pkt_l4_csum_at(&v), aliases[i].field);
        }
        CHECK(ref_l4_valid(p, batch.len[1], 0));
        h_push_all(&batch, h.gro, 0);
        verdict_seen[batch.verdict[1]]++;
        CHECK_VERDICT(batch.verdict[1], aliases[i].verdict);
        CHECK_VERDICT(batch.verdict[2], aliases[i].verdict == TUO_V_APPENDED ? TUO_V_APPENDED : TUO_V_HELD); /* closes */
        CHECK_VERDICT(tuo_gro_candidate(p, batch.len[1], 0), aliases[i].verdict == TUO_V_APPENDED ? TUO_V_HELD :
            TUO_V_CSUM_ALIAS);
        h_drain(&batch, h.gro);
        h_check_batch(&batch, &desc);
        h_close(&h);
    }
    h_clear(&batch);
}

/* ----------------------------------------------------------------------------------------------------- hash collisions */

/* The index leads to an item by a hash alone. Here it is made to lead from every flow to the first packet's item, so that only
   the comparison of the headers keeps the second one, which differs in one part of its flow's identity, apart. */

static const struct {
    const char *name;
    pkt_spec first, second;
} collisions[] = {
    {"source address", {.kind = PKT_TCP4}, {.kind = PKT_TCP4, .src = 1}},
    {"destination address", {.kind = PKT_UDP4}, {.kind = PKT_UDP4, .dst = 1}},
    {"IPv6 source address", {.kind = PKT_TCP6}, {.kind = PKT_TCP6, .src = 1}},
    {"IPv6 destination address", {.kind = PKT_UDP6}, {.kind = PKT_UDP6, .dst = 1}},
    {"source port", {.kind = PKT_TCP4}, {.kind = PKT_TCP4, .src_port = 5}},
    {"last byte of the TCP ports", {.kind = PKT_TCP6, .dst_port = 256}, {.kind = PKT_TCP6, .dst_port = 257}},
    {"destination port", {.kind = PKT_UDP6}, {.kind = PKT_UDP6, .dst_port = 5}},
    {"protocol", {.kind = PKT_TCP4}, {.kind = PKT_UDP4}},
    {"IP version", {.kind = PKT_TCP4}, {.kind = PKT_TCP6}},
    {"Ethernet address", {.kind = PKT_UDP4, .ethernet = 1}, {.kind = PKT_UDP4, .ethernet = 1, .mac = 1}},
    {"VLAN tag", {.kind = PKT_TCP4, .vlan_count = 1, .vlan_tci = {5}}, {.kind = PKT_TCP4, .vlan_count = 1, .vlan_tci = {6}}},
    {"number of VLAN tags", {.kind = PKT_TCP4, .vlan_count = 1}, {.kind = PKT_TCP4, .ethernet = 1}},
    {"address behind extension headers", {.kind = PKT_TCP6, .ext_chain = "D"}, {.kind = PKT_TCP6, .ext_chain = "D", .dst = 1}},
    {"port behind extension headers", {.kind = PKT_UDP6, .ext_chain = "D"}, {.kind = PKT_UDP6, .ext_chain = "D", .src_port = 5}},
};

TEST(hash_collisions_do_not_merge)
{
    size_t i, passing;

    for (i = 0; i < sizeof collisions / sizeof collisions[0]; i++) {
        /* The second one as a candidate, then as a packet that passes: it must not close the other flow. */
        for (passing = 0; passing < 2; passing++) {
            const tuo_gro_desc desc = {.ethernet = collisions[i].first.ethernet || collisions[i].first.vlan_count};
            pkt_spec second = collisions[i].second, third = collisions[i].first;
            h_gro h = h_open(&desc);
            char text[16];

            check_row("%s%s", collisions[i].name, passing ? ", passing" : "");
            second.seq = third.seq = 100;
            third.ip_id = 1;
            if (passing)
                second.payload_len = PKT_ZERO;
            h_clear(&batch);
            h_add(&batch, &collisions[i].first);
            h_add(&batch, &second);
            h_add(&batch, &third);
            h_push(&batch, h.gro, 0, 0);
            inside_mislead(h.gro, batch.pkt[1], batch.len[1], desc.ethernet ? TUO_F_ETHERNET : 0);
            h_push(&batch, h.gro, 1, 0);
            h_push(&batch, h.gro, 2, 0);
            CHECK(passing ? batch.verdict[1] != TUO_V_APPENDED : batch.verdict[1] == TUO_V_HELD);
            CHECK_VERDICT(batch.verdict[2], TUO_V_APPENDED);
            h_drain(&batch, h.gro);
            CHECK_EQ_STR(h_groups(&batch, text, sizeof text), "02|1");
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    }
    h_clear(&batch);
}

/* What was looked up lately must not outlive the flow's place in the index: the ACK in between closes a flow that has none. */
TEST(evicted_flow_is_not_remembered)
{
    enum { OTHERS = 6 * TUO_FLOW_WAYS }; /* in one bucket: each displaces one of 8, hardly ever all another one */
    const tuo_gro_desc desc = {.max_flows = 1};
    pkt_spec s = {0}, other = {0};
    h_gro h = h_open(&desc);
    tuo_gro_stats stats;
    char text[256];
    size_t i;

    h_clear(&batch);
    h_add(&batch, &s);
    s.seq = 100;
    s.ip_id = 1;
    h_add(&batch, &s);
    for (i = 0; i < OTHERS; i++) {
        other.src_port = (uint16_t)(7 + i);
        h_add(&batch, &other);
    }
    s.seq = 200;
    s.ip_id = 2;
    s.payload_len = PKT_ZERO;
    h_add(&batch, &s);
    s.payload_len = 0;
    h_add(&batch, &s);
    h_push_all(&batch, h.gro, 0);
    CHECK_VERDICT(batch.verdict[1], TUO_V_APPENDED);
    CHECK_VERDICT(batch.verdict[OTHERS + 2], TUO_V_TCP_EMPTY);
    CHECK_VERDICT(batch.verdict[OTHERS + 3], TUO_V_HELD);
    h_drain(&batch, h.gro);
    h_groups(&batch, text, sizeof text);
    CHECK(strncmp(text, "01|2|3|4|", 9) == 0);
    CHECK_EQ_INT(batch.group_count, OTHERS + 3);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.flow.evictions, OTHERS + 2 - TUO_FLOW_WAYS); /* the last one for the flow itself, which was not there */
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* --------------------------------------------------------------------------------- what the fast path may find (white box) */

static void add_run(pkt_spec spec, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        h_add(&batch, &spec);
        spec.seq += (uint32_t)pkt_payload_len(&spec);
        spec.ip_id++;
    }
}

/* Two segments, the second of which the fast path appends; then something; then three more segments, of which it may append the first
   only if nothing closed the item and no newer one is there, and the others where they find theirs. */
typedef enum between { PACKETS, DISPLACEMENT, DRAIN_BEGINS, DRAIN_ENDS, RESET } between; /* after the last three: another flow */

enum { FRONT = 2, BEHIND = 3, NOT_LOOKED_AT = -1, DISPLACING = 6 * TUO_FLOW_WAYS };

typedef struct closing_row {
    const char *name;
    unsigned kinds;
    tuo_verdict next;       /* of the first of the three */
    int fast;               /* of the three, by the fast path */
    const char *groups;     /* NULL: not looked at. It also says how many packets are in between */
    between what;
    tuo_gro_desc desc;
    pkt_spec p[2];
    tuo_verdict v[2];
    uint32_t seq;           /* of the first of the three; 0: 200, right behind the first two */
    uint16_t ip_id;         /* 0: 2 */
} closing_row;

#define CLOSING(text, kind_mask, next_verdict, fast_count, emission) \
    .name = (text), .kinds = (kind_mask), .next = (next_verdict), .fast = (fast_count), .groups = (emission)

static const closing_row closings[] = {
    {CLOSING("nothing", ALL, APP, 3, "01234")},
    {CLOSING("a packet of another flow", ALL, APP, 3, "01345|2"), P{{.src_port = 7}}, V(OK_)},
    {CLOSING("a pure ACK", TCP, OK_, 2, "01|2|345"), P{{.seq = 200, .payload_len = PKT_ZERO}}, V(X(TCP_EMPTY))},
    {CLOSING("a pure ACK with an extension header", T6, OK_, 2, "01|2|345"),
     P{{.seq = 200, .payload_len = PKT_ZERO, .ext_chain = "D"}}, V(X(TCP_EMPTY))},
    {CLOSING("SYN", TCP, OK_, 2, "01|2|345"), P{{.seq = 200, .tcp_flags = PKT_SYN}}, V(X(TCP_FLAGS))},
    {CLOSING("CWR", TCP, OK_, 2, "01|2|345"), P{{.seq = 200, .tcp_flags = PKT_CWR | PKT_ACK}}, V(X(TCP_CWR))},
    {CLOSING("a datagram without payload", UDP, OK_, 2, "01|2|345"), P{{.payload_len = PKT_ZERO}}, V(X(UDP_EMPTY))},
    {CLOSING("a datagram without checksum", UDP, OK_, 2, "01|2|345"), P{{.l4_csum_zero = 1}}, V(X(UDP_ZERO_CSUM))},
    {CLOSING("a datagram of another length", UDP, OK_, 2, "01|2|345"), P{{.udp_len = 100}}, V(X(UDP_LENGTH))},
    {CLOSING("IPv4 options", IP4, OK_, 2, "01|2|345"), P{{.seq = 200, .ip_id = 2, .ip_options = router_alert, .ip_options_len = 4}},
     V(X(IP_OPTIONS))},
    {CLOSING("padding", ALL, OK_, 2, "01|2|345"), P{{.seq = 200, .ip_id = 2, .trailer_len = 1}}, V(X(TRAILING_BYTES))},
    {CLOSING("a packet that is too large", ALL, OK_, 2, "01|2|345"), .desc = {.max_bytes = 576},
     P{{.seq = 200, .ip_id = 2, .payload_len = 900}}, V(X(TOO_LARGE))},
    {CLOSING("a first fragment", IP4, X(PAIR_CLOSED), 2, "01|2|345"), P{{.seq = 200, .frag = 0x2000}}, V(X(IP_FRAGMENT))},
    {CLOSING("a later fragment", IP4, X(PAIR_CLOSED), 2, "01|2|345"), P{{.seq = 200, .frag = 1}}, V(X(IP_FRAGMENT))},
    {CLOSING("a fragment header", IP6, X(PAIR_CLOSED), 2, "01|2|345"), P{{.seq = 200, .ext_chain = "f"}}, V(X(IP_FRAGMENT))},
    {CLOSING("an authentication header", IP6, X(PAIR_CLOSED), 2, "01|2|345"), P{{.seq = 200, .ext_chain = "A"}}, V(X(IP6_EXT))},
    {CLOSING("two fragments", IP4, X(PAIR_CLOSED), 2, "01|2|3|456"), P{{.frag = 0x2000}, {.frag = 1}},
     V(X(IP_FRAGMENT), X(IP_FRAGMENT))},
    {CLOSING("a fragment between other addresses", IP4, APP, NOT_LOOKED_AT, "01345|2"), P{{.dst = 1, .frag = 0x2000}},
     V(X(IP_FRAGMENT))},
    {CLOSING("a bad checksum", ALL, OK_, 2, "01|2|345"), P{{.seq = 200, .ip_id = 2, .l4_csum_xor = 1}}, V(X(BAD_L4_CSUM))},
    {CLOSING("a bad IPv4 header checksum", IP4, OK_, 2, "01|2|345"), P{{.seq = 200, .ip_id = 2, .ip_csum_xor = 1}}, V(X(BAD_IP_CSUM))},
    {CLOSING("a late segment with a bad checksum", TCP, OK_, 2, "01|2|345"),
     P{{.seq = (uint32_t)-100, .ip_id = 65535, .l4_csum_xor = 1}}, V(X(BAD_L4_CSUM))},
    {CLOSING("displacement from a full bucket", ALL, OK_, 2, NULL), DISPLACEMENT, .desc = {.max_flows = 1}},
    {CLOSING("the beginning of a drain", ALL, OK_, 2, "01|2|345"), DRAIN_BEGINS, P{{.src_port = 7}}, V(OK_)},
    {CLOSING("a drain", ALL, OK_, 2, "01|2|345"), DRAIN_ENDS, P{{.src_port = 7}}, V(OK_)},
    {CLOSING("a reset", ALL, OK_, 2, "2|345"), RESET, P{{.src_port = 7}}, V(OK_)},
    {CLOSING("a newer item of another TTL", ALL, X(TTL_DIFFERS), 2, "01|2|345"), P{{.seq = 200, .ip_id = 2, .ttl = 9}},
     V(X(TTL_DIFFERS)), .seq = 300, .ip_id = 3},
    {CLOSING("a newer item of another TTL in the place of the next segment", TCP, X(SEQ_OVERLAP), 2, "01|2|345"),
     P{{.seq = 200, .ip_id = 2, .ttl = 9}}, V(X(TTL_DIFFERS))},
    {CLOSING("a newer item of another flow label", IP6, X(FLOW_LABEL_DIFFERS), 2, "01|2|345"), P{{.seq = 200, .flow_label = 1}},
     V(X(FLOW_LABEL_DIFFERS)), .seq = 300},
    {CLOSING("a newer item that overlaps", TCP, X(SEQ_GAP), 2, "01|2|345"), P{{.seq = 50, .ip_id = 1}}, V(X(SEQ_OVERLAP))},
    {CLOSING("a newer item behind a gap: both are open", TCP, APP, 0, "01345|2"), P{{.seq = 900, .ip_id = 9}}, V(X(SEQ_GAP))},
    {CLOSING("a newer item behind a gap, strict_kernel", TCP, X(SEQ_LATE), 2, "01|2|345"), .desc = {.strict_kernel = 1},
     P{{.seq = 900, .ip_id = 9}}, V(X(SEQ_GAP))},
    {CLOSING("a newer item behind a gap, one item per flow", TCP, X(SEQ_LATE), 0, "01|3|4|5|2"), .desc = {.max_items_per_flow = 1},
     P{{.seq = 900, .ip_id = 9}}, V(X(SEQ_GAP))},
    {CLOSING("an older item: the other one is still the newest", TCP, APP, 3, "2|01345"), P{{.seq = (uint32_t)-900, .ip_id = 9}},
     V(X(SEQ_LATE))},
    {CLOSING("a late segment in front: its item is the newest", TCP, APP, 3, "201345"), P{{.seq = (uint32_t)-100, .ip_id = 65535}},
     V(PRE)},
    {CLOSING("a gap that was filled: the lower item is the newest", TCP, APP, 3, "0132456"),
     P{{.seq = 300, .ip_id = 3}, {.seq = 200, .ip_id = 2}}, V(X(SEQ_GAP), APP), .seq = 400, .ip_id = 4},
    {CLOSING("PSH", TCP, X(AFTER_PSH_FIN), 2, "012|345"), P{{.seq = 200, .ip_id = 2, .tcp_flags = PA}}, V(APP), .seq = 300, .ip_id = 3},
    {CLOSING("FIN", TCP, X(AFTER_PSH_FIN), 2, "012|345"), P{{.seq = 200, .ip_id = 2, .tcp_flags = FA}}, V(APP), .seq = 300, .ip_id = 3},
    {CLOSING("a short segment", ALL, X(AFTER_SHORT), 2, "012|345"), P{{.seq = 200, .ip_id = 2, .payload_len = 99}}, V(APP),
     .seq = 299, .ip_id = 3},
    {CLOSING("nothing, but the item is full", ALL, X(CAP_SEGS), 1, "01|23|4"), .desc = {.max_segs = 2, .max_udp_segs = 2}},
};

/* The packets of the row, and those of other flows with which it displaces. */
static void build_closing(const closing_row *row, pkt_spec s, size_t between_count)
{
    pkt_spec other = s;
    size_t i;

    h_clear(&batch);
    add_run(s, FRONT);
    for (i = 0; i < between_count; i++) {
        pkt_spec p = row->p[row->what == DISPLACEMENT ? 0 : i];
        other.src_port = (int32_t)(7 + i);
        p.kind = s.kind;
        p.ethernet = s.ethernet;
        h_add(&batch, row->what == DISPLACEMENT ? &other : &p);
    }
    s.seq = row->seq ? row->seq : 200;
    s.ip_id = row->ip_id ? row->ip_id : 2;
    add_run(s, BEHIND);
}

static void do_between(between what, tuo_gro *gro)
{
    tuo_superpacket sp;

    switch (what) {
    case DRAIN_BEGINS:
        CHECK_RESULT(tuo_gro_next(gro, &sp), TUO_OK);
        h_collect(&batch, &sp);
        break;
    case DRAIN_ENDS: h_drain(&batch, gro); break;
    case RESET: tuo_gro_reset(gro); break;
    default: break;
    }
}

static void run_closing(const closing_row *row, pkt_spec s)
{
    const size_t forgotten = row->what == RESET ? FRONT : 0;
    const size_t between_count = row->groups ? packets_of(row->groups) + forgotten - FRONT - BEHIND : DISPLACING;
    tuo_gro_desc desc = row->desc;
    uint64_t fast;
    char text[32];
    size_t i;
    h_gro h;

    desc.ethernet = s.ethernet;
    h = h_open(&desc);
    build_closing(row, s, between_count);
    CHECK_VERDICT(h_push(&batch, h.gro, 0, 0), TUO_V_HELD);
    CHECK_VERDICT(h_push(&batch, h.gro, 1, 0), TUO_V_APPENDED);
    CHECK_EQ_INT(inside_fast_count(h.gro), 1); /* so the fast path knows the flow */
    do_between(row->what, h.gro);
    for (i = FRONT; i < FRONT + between_count; i++)
        CHECK_VERDICT(h_push(&batch, h.gro, i, 0), row->what == DISPLACEMENT ? TUO_V_HELD : row->v[i - FRONT]);
    fast = inside_fast_count(h.gro);
    for (; i < batch.count; i++)
        h_push(&batch, h.gro, i, 0);
    CHECK_VERDICT(batch.verdict[FRONT + between_count], row->next);
    if (row->fast != NOT_LOOKED_AT)
        CHECK_EQ_INT(inside_fast_count(h.gro) - fast, row->fast);
    h_drain(&batch, h.gro);
    if (row->groups)
        CHECK_EQ_STR(h_groups(&batch, text, sizeof text), row->groups);
    if (!forgotten)
        h_check_batch(&batch, &desc);
    h_close(&h);
}

TEST(nothing_is_appended_to_a_closed_flow)
{
    size_t i;
    int kind;
    uint8_t ethernet;

    for (i = 0; i < CHECK_COUNT_OF(closings); i++)
        for (kind = 0; kind < PKT_KIND_COUNT; kind++)
            for (ethernet = 0; ethernet < 2; ethernet++) {
                const pkt_spec s = {.kind = (pkt_kind)kind, .ethernet = ethernet};
                if (!(closings[i].kinds >> kind & 1))
                    continue;
                check_row("%s, %s%s", closings[i].name, kind_names[kind], ethernet ? ", Ethernet" : "");
                run_closing(&closings[i], s);
            }
    h_clear(&batch);
}

/* --- guesses that collide --- */

enum { GUESSED_FLOWS = 12, GUESSED_TURNS = 6 };

/* What may make two flows differ in bits that choose a guess, and what does not. */
typedef struct guess_row {
    const char *name;
    unsigned kinds;
    int src, dst, src_port, dst_port; /* added for each flow */
    int places;                       /* of the guesses */
} guess_row;

static const guess_row guesses[] = {
    {"one source port after the other", ALL, 0, 0, 1, 0, GUESSED_FLOWS},
    {"one destination port after the other", ALL, 0, 0, 0, 1, GUESSED_FLOWS},
    {"one source address after the other", ALL, 1, 0, 0, 0, GUESSED_FLOWS},
    {"one destination address after the other", ALL, 0, 1, 0, 0, GUESSED_FLOWS},
    {"upper bytes of the source port", ALL, 0, 0, 256, 0, 1},
    {"upper bytes of the destination port", ALL, 0, 0, 0, 256, 1},
    {"upper bytes of the source address", ALL, 256, 0, 0, 0, 1},
    {"upper bytes of the destination address", ALL, 0, 256, 0, 0, 1},
    {"upper bytes of all", ALL, 256, 512, 256, 768, 1},
};

/* The flows in turn, and in each turn something that closes one of them, or opens an item. */
static void add_guessed_flows(const guess_row *row, int kind)
{
    size_t turn, flow;

    h_clear(&batch);
    for (turn = 0; turn < GUESSED_TURNS; turn++)
        for (flow = 0; flow < GUESSED_FLOWS; flow++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .seq = (uint32_t)(turn * 100), .ip_id = (uint16_t)turn,
                          .src = (uint16_t)(256 + row->src * (int)flow), .dst = (uint16_t)(256 + row->dst * (int)flow),
                          .src_port = 256 + row->src_port * (int)flow, .dst_port = 256 + row->dst_port * (int)flow};
            if (turn == 2 && flow == 1)
                s.payload_len = PKT_ZERO;
            if (turn == 2 && flow == 2)
                s.ttl = 9;
            if (turn == 3 && flow == 3)
                s.l4_csum_xor = 1;
            if (turn == 3 && flow == 4)
                s.seq += 500;
            if (turn == 3 && flow == 5)
                s.payload_len = 60;
            h_add(&batch, &s);
        }
}

/* Flows that share a guess are as many as the table can tell apart; nothing but the time that they take depends on it. */
TEST(colliding_guesses_change_nothing)
{
    static tuo_verdict verdicts[PKT_KIND_COUNT][H_PACKETS];
    static size_t order[PKT_KIND_COUNT][H_PACKETS];
    const tuo_gro_desc desc = {.hash_seed = 3};
    size_t i, k;
    int kind;

    for (i = 0; i < CHECK_COUNT_OF(guesses); i++)
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            const void *place[GUESSED_FLOWS];
            h_gro h = h_open(&desc);
            tuo_gro_stats stats;
            size_t places = 0;

            check_row("%s, %s", guesses[i].name, kind_names[kind]);
            add_guessed_flows(&guesses[i], kind);
            for (k = 0; k < GUESSED_FLOWS; k++) {
                size_t same = 0;
                place[k] = inside_guess(h.gro, batch.pkt[k], batch.len[k]);
                CHECK(place[k] != NULL);
                while (place[same] != place[k])
                    same++;
                places += same == k;
            }
            CHECK_EQ_INT(places, guesses[i].places);
            h_push_all(&batch, h.gro, 0);
            h_drain(&batch, h.gro);
            tuo_gro_query_stats(h.gro, &stats);
            CHECK_EQ_INT(stats.flow.evictions, 0);
            CHECK_EQ_INT(stats.flow.lookups, batch.count);
            CHECK(guesses[i].places == 1 || inside_fast_count(h.gro) > batch.count / 2);
            if (i == 0) {
                memcpy(verdicts[kind], batch.verdict, sizeof batch.verdict);
                memcpy(order[kind], batch.order, sizeof batch.order);
            }
            for (k = 0; k < batch.count; k++) {
                CHECK_VERDICT(batch.verdict[k], verdicts[kind][k]);
                CHECK_EQ_INT(batch.order[k], order[kind][k]);
            }
            h_check_batch(&batch, &desc);
            h_close(&h);
        }
    h_clear(&batch);
}

/* The number that guesses count from grows with each drain and each fragment, until it would wrap: then all are forgotten. */
TEST(guesses_begin_anew_before_their_number_wraps)
{
    enum { MAX_PACKETS = 64, ROUNDS = 8, RUN = 6 };
    const tuo_gro_desc desc = {.max_packets = MAX_PACKETS};
    const uint32_t last = 0xffffffffu - (2u << 20); /* from here on it begins anew */
    uint32_t back, before;
    int kind, round, wraps;
    size_t i;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++)
        for (back = 1; back <= 5; back++) { /* so many steps before: at a drain, or at a fragment in the middle */
            const pkt_spec s = {.kind = (pkt_kind)kind};
            const pkt_spec fragment = {.kind = (pkt_kind)kind, .frag = 0x2000, .ext_chain = pkt_is_v6(&s) ? "f" : NULL};
            h_gro h = h_open(&desc);
            char text[64];

            check_row("%s, %u steps before", kind_names[kind], (unsigned)back);
            CHECK_EQ_INT(inside_guess_base(h.gro), 1);
            inside_set_guess_base(h.gro, last - back * MAX_PACKETS + (back % 2 ? 0 : 1));
            wraps = 0;
            for (round = 0; round < ROUNDS; round++) {
                h_clear(&batch);
                add_run(s, RUN);
                h_add(&batch, &fragment);
                add_run(s, RUN);
                for (i = 0; i < batch.count; i++) {
                    before = inside_guess_base(h.gro);
                    h_push(&batch, h.gro, i, 0);
                    CHECK(inside_guesses_are_of_items(h.gro));
                    CHECK(inside_guess_base(h.gro) >= 1 && inside_guess_base(h.gro) < last);
                    wraps += inside_guess_base(h.gro) < before;
                }
                CHECK_EQ_INT(inside_fast_count(h.gro), (round + 1) * 2 * (RUN - 1));
                before = inside_guess_base(h.gro);
                h_drain(&batch, h.gro);
                wraps += inside_guess_base(h.gro) < before;
                CHECK_EQ_STR(h_groups(&batch, text, sizeof text), "012345|6|789abc");
                h_check_batch(&batch, &desc);
            }
            CHECK_EQ_INT(wraps, 1);
            h_close(&h);
        }
    h_clear(&batch);
}

/* ----------------------------------------------------------------------------------- bounds, drains, reconfiguration */

TEST(no_room_then_drain_then_push)
{
    const tuo_gro_desc desc = {.max_packets = 3};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_gro_stats stats;
    char text[32];

    h_clear(&batch);
    add_run(s, 6);
    h_push(&batch, h.gro, 0, 0);
    h_push(&batch, h.gro, 1, 0);
    h_push(&batch, h.gro, 2, 0);
    CHECK_VERDICT(h_push(&batch, h.gro, 3, 0), TUO_V_NO_ROOM);
    CHECK_VERDICT(h_push(&batch, h.gro, 3, 0), TUO_V_NO_ROOM);
    verdict_seen[TUO_V_NO_ROOM]++;
    CHECK_VERDICT(tuo_gro_push_iov(h.gro, NULL, 0, NULL, 0), TUO_V_PIECES);
    verdict_seen[TUO_V_PIECES]++;
    h_drain(&batch, h.gro);
    CHECK_VERDICT(h_push(&batch, h.gro, 3, 0), TUO_V_HELD); /* what was drained is not joined */
    CHECK_VERDICT(h_push(&batch, h.gro, 4, 0), TUO_V_APPENDED);
    CHECK_VERDICT(h_push(&batch, h.gro, 5, 0), TUO_V_APPENDED);
    h_drain(&batch, h.gro);
    CHECK_EQ_STR(h_groups(&batch, text, sizeof text), "012|345");
    h_check_batch(&batch, &desc);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.packets_in, 6);
    CHECK_EQ_INT(stats.packets_out, 2);
    CHECK_EQ_INT(stats.verdicts[TUO_V_NO_ROOM], 2);
    h_close(&h);
    h_clear(&batch);
}

/* Whether packets are held does not depend on whether TUO_DONE was seen, nor on what the last packet was merged into. */
TEST(nothing_is_held_after_the_last_packet)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp;

    h_clear(&batch);
    add_run(s, 2);
    h_push(&batch, h.gro, 0, 0);
    h_push(&batch, h.gro, 1, 0);
    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_E_INVALID);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 2);
    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_OK);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 0, &sp), TUO_DONE);
    h_close(&h);
    h_clear(&batch);
}

/* The first tuo_gro_next closes everything; what is pushed in the middle of a drain comes out too, by itself. */
TEST(push_in_the_middle_of_a_drain)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0}, other = {.src_port = 1};
    h_gro h = h_open(&desc);
    tuo_superpacket sp;

    h_clear(&batch);
    add_run(s, 1);
    add_run(other, 1);
    s.seq = 100;
    s.ip_id = 1;
    add_run(s, 1);
    CHECK_VERDICT(h_push(&batch, h.gro, 0, 0), TUO_V_HELD);
    CHECK_VERDICT(h_push(&batch, h.gro, 1, 0), TUO_V_HELD);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 1);
    h_collect(&batch, &sp);
    CHECK_VERDICT(h_push(&batch, h.gro, 2, 0), TUO_V_HELD);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 3);
    h_check_batch(&batch, &desc);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    h_close(&h);
    h_clear(&batch);
}

/* A fragment closes the flows of its addresses in its own batch; the next batch starts afresh, whatever else is in it. */
TEST(closings_end_with_their_batch)
{
    const tuo_gro_desc desc = {.hash_seed = 1};
    pkt_spec s = {0}, fragment = {.frag = 0x2000}, others = {.dst = 9, .frag = 0x2000};
    h_gro h = h_open(&desc);
    size_t i;

    h_clear(&batch);
    add_run(s, 1); /* a flow to be closed */
    for (i = 0; i < 8; i++)
        h_add(&batch, &fragment);
    h_push_all(&batch, h.gro, 0);
    h_drain(&batch, h.gro);
    h_check_batch(&batch, &desc);
    h_clear(&batch);
    add_run(s, 1);
    h_add(&batch, &others);
    s.seq = 100;
    s.ip_id = 1;
    add_run(s, 1);
    h_push_all(&batch, h.gro, 0);
    CHECK_VERDICT(batch.verdict[2], TUO_V_APPENDED);
    h_drain(&batch, h.gro);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

/* No IP length field says so much: refused before more than headers could be read, and with nothing held before a byte is. */
TEST(packet_of_2_gib)
{
    const tuo_gro_desc desc = {0};
    uint8_t byte = 0x45;
    h_gro h = h_open(&desc);

    CHECK_VERDICT(tuo_gro_push(h.gro, &byte, 0x80000000u, NULL, 0), TUO_V_IP_LENGTH);
    tuo_gro_reset(h.gro);
    h_close(&h);
}

/* NULL is allowed where the length is 0, whether something is held or not, and no pointer is made of it (UBSan). */
TEST(no_bytes_at_all)
{
    int ethernet;

    for (ethernet = 0; ethernet < 2; ethernet++) {
        const tuo_gro_desc desc = {.ethernet = (uint8_t)ethernet};
        const pkt_spec s = {.kind = PKT_TCP4, .ethernet = (uint8_t)ethernet};
        h_gro h = h_open(&desc);
        check_row("ethernet %d", ethernet);
        h_clear(&batch);
        h_add(&batch, &s);
        CHECK_VERDICT(tuo_gro_candidate(NULL, 0, ethernet ? TUO_F_ETHERNET : 0), TUO_V_TRUNCATED);
        CHECK_VERDICT(tuo_gro_push(h.gro, NULL, 0, NULL, 0), TUO_V_TRUNCATED);
        CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[0], batch.len[0], NULL, 0), TUO_V_HELD);
        CHECK_VERDICT(tuo_gro_push(h.gro, NULL, 0, NULL, 0), TUO_V_TRUNCATED);
        tuo_gro_reset(h.gro);
        h_close(&h);
    }
    h_clear(&batch);
}

#if SIZE_MAX > 0xffffffffu
/* A length whose low 32 bits are what the headers say; with nothing held, and where it would be the next in line. */
TEST(packet_of_4_gib_and_a_bit)
{
    const tuo_gro_desc desc = {0};
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = {.kind = (pkt_kind)kind};
        const size_t more = (size_t)1 << 32;
        h_gro h = h_open(&desc);
        check_row("%s", kind_names[kind]);
        h_clear(&batch);
        h_add(&batch, &s);
        s.seq = 100;
        s.ip_id = 1;
        h_add(&batch, &s);
        CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[0], batch.len[0] + more, NULL, 0), TUO_V_IP_LENGTH);
        CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[0], batch.len[0], NULL, 0), TUO_V_HELD);
        CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[1], batch.len[1] + more, NULL, 0), TUO_V_IP_LENGTH);
        CHECK_VERDICT(tuo_gro_push(h.gro, batch.pkt[1], batch.len[1], NULL, 0), TUO_V_APPENDED);
        tuo_gro_reset(h.gro);
        h_close(&h);
    }
    h_clear(&batch);
}
#endif

TEST(drain_of_nothing_touches_nothing)
{
    const tuo_gro_desc desc = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp, before;

    memset(&sp, 0x5a, sizeof sp);
    before = sp;
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    CHECK_BYTES(&sp, &before, sizeof sp);
    h_close(&h);
}

TEST(reset_forgets_packets_and_keeps_counters)
{
    const tuo_gro_desc desc = {.max_packets = 4};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp;
    tuo_gro_stats stats;
    size_t i;

    h_clear(&batch);
    add_run(s, 4);
    h_push_all(&batch, h.gro, 0);
    tuo_gro_reset(h.gro);
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.packets_in, 4);
    CHECK_EQ_INT(stats.packets_out, 0);
    for (i = 1; i < 4; i++)
        CHECK_VERDICT(h_push(&batch, h.gro, i, 0), i == 1 ? TUO_V_HELD : TUO_V_APPENDED);
    tuo_gro_reset(h.gro);
    h_push_all(&batch, h.gro, 0);
    h_drain(&batch, h.gro);
    CHECK_EQ_INT(batch.group_count, 1);
    h_check_batch(&batch, &desc);
    h_close(&h);
    h_clear(&batch);
}

TEST(every_switch_can_be_flipped_between_batches)
{
    tuo_gro_desc desc = {.max_packets = 16}, flipped, got;
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_superpacket sp;
    char text[32];
    int round;

    for (round = 0; round < 6; round++) {
        flipped = desc;
        flipped.disable_tcp4 = (uint8_t)(round % 2);
        flipped.max_packets = round % 3 ? 16 : 0;
        flipped.vnet_hdr_len = round % 2 ? 12 : 10;
        check_row("round %d", round);
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, &flipped), TUO_OK);
        tuo_gro_query_desc(h.gro, &got);
        CHECK_EQ_INT(got.disable_tcp4, round % 2);
        CHECK_EQ_INT(got.max_packets, 16);
        h_clear(&batch);
        add_run(s, 3);
        CHECK_VERDICT(h_push(&batch, h.gro, 0, 0), round % 2 ? TUO_V_DISABLED : TUO_V_HELD);
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_E_INVALID); /* packets are held */
        CHECK_VERDICT(h_push(&batch, h.gro, 1, 0), round % 2 ? TUO_V_DISABLED : TUO_V_APPENDED);
        CHECK_VERDICT(h_push(&batch, h.gro, 2, 0), round % 2 ? TUO_V_DISABLED : TUO_V_APPENDED);
        h_drain(&batch, h.gro);
        CHECK_EQ_STR(h_groups(&batch, text, sizeof text), round % 2 ? "0|1|2" : "012");
        h_check_batch(&batch, &flipped);
    }
    CHECK_RESULT(tuo_gro_next(h.gro, &sp), TUO_DONE);
    h_close(&h);
    h_clear(&batch);
}

/* The word of the desc counts for each batch anew. */
TEST(trust_can_be_flipped_between_batches)
{
    tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    int round;

    for (round = 0; round < 6; round++) {
        desc.trust_checksums = (uint8_t)(round % 2);
        check_row("round %d", round);
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_OK);
        h_clear(&batch);
        add_run(s, 3);
        batch.pkt[round / 2][batch.len[0] - 1] ^= 1;
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        CHECK_EQ_INT(batch.group[0].count == 3, round % 2);
        h_check_batch(&batch, &desc);
    }
    h_close(&h);
    h_clear(&batch);
}

/* White box: every packet that looks like the one before it joins by the fast path, also when the lane was told anew where IP
   headers are, and after a batch in which a fragment had closed it. Without the lane all would be as right, and slow. */
TEST(fast_path_is_taken)
{
    enum { RUN = 5 };
    h_gro h;
    tuo_gro_desc desc = {0};
    uint64_t expected = 0;
    int round, kind;

    h = h_open(&desc);
    for (round = 0; round < 4; round++) {
        desc.ethernet = (uint8_t)(round % 2);
        CHECK_RESULT(tuo_gro_reconfigure(h.gro, &desc), TUO_OK);
        for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
            pkt_spec s = {.kind = (pkt_kind)kind, .ethernet = desc.ethernet}, fragment = {.frag = 1, .ethernet = desc.ethernet};
            check_row("%s, round %d", kind_names[kind], round);
            h_clear(&batch);
            batch.ethernet = desc.ethernet;
            add_run(s, RUN);
            h_add(&batch, &fragment);
            h_push_all(&batch, h.gro, 0);
            h_drain(&batch, h.gro);
            expected += RUN - 1;
            CHECK_EQ_INT(inside_fast_count(h.gro), expected);
            CHECK_EQ_INT(batch.group_count, 2);
            h_check_batch(&batch, &desc);
        }
    }
    h_close(&h);
    h_clear(&batch);
}

/* Slots looked at and items compared, on either lane: the first packet of a batch finds an empty bucket. */
TEST(work_is_counted)
{
    int kind;

    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        const tuo_gro_desc desc = {0};
        const pkt_spec s = {.kind = (pkt_kind)kind};
        h_gro h = h_open(&desc);
        tuo_gro_stats stats;

        check_row("%s", kind_names[kind]);
        h_clear(&batch);
        add_run(s, 3);
        h_push_all(&batch, h.gro, 0);
        h_drain(&batch, h.gro);
        tuo_gro_query_stats(h.gro, &stats);
        CHECK_EQ_INT(stats.flow.lookups, 3);
        CHECK_EQ_INT(stats.flow.probes, 2 * TUO_FLOW_WAYS);
        CHECK_EQ_INT(stats.item_checks, 2);
        h_close(&h);
        h_clear(&batch);
    }
}

/* -------------------------------------------------------------------------------------------------- init and its errors */

typedef struct desc_row {
    const char *name;
    tuo_gro_desc desc;
    int ok;
} desc_row;

static const desc_row descs[] = {
    {"zero", {0}, 1},
    {"max_packets 1", {.max_packets = 1}, 1},
    {"max_packets largest", {.max_packets = 1048576, .max_flows = 1}, 1},
    {"max_packets too large", {.max_packets = 1048577}, 0},
    {"max_flows 1", {.max_flows = 1}, 1},
    {"max_flows largest", {.max_flows = 65536}, 1},
    {"max_flows too large", {.max_flows = 65537}, 0},
    {"max_bytes smallest", {.max_bytes = 576}, 1},
    {"max_bytes too small", {.max_bytes = 575}, 0},
    {"max_bytes largest", {.max_bytes = 65535}, 1},
    {"max_bytes too large", {.max_bytes = 65536}, 0},
    {"max_segs 1", {.max_segs = 1}, 0},
    {"max_segs 2", {.max_segs = 2}, 1},
    {"max_udp_segs 1", {.max_udp_segs = 1}, 0},
    {"max_udp_segs 2", {.max_udp_segs = 2}, 1},
    {"max_udp_segs 128", {.max_udp_segs = 128}, 1},
    {"max_udp_segs 129", {.max_udp_segs = 129}, 0},
    {"max_frags 1", {.max_frags = 1}, 0},
    {"max_frags 2", {.max_frags = 2}, 1},
    {"max_frags 65535", {.max_frags = 65535}, 1},
    {"max_frags 65536", {.max_frags = 65536}, 0},
    {"max_items_per_flow 1", {.max_items_per_flow = 1}, 1},
    {"max_items_per_flow 64", {.max_items_per_flow = 64}, 1},
    {"max_items_per_flow 65", {.max_items_per_flow = 65}, 0},
    {"vnet_hdr_len 11", {.vnet_hdr_len = 11}, 0},
    {"vnet_hdr_len 24", {.vnet_hdr_len = 24}, 1},
    {"vnet_hdr_len 25", {.vnet_hdr_len = 25}, 0},
    {"vnet_order unknown", {.vnet_order = (tuo_order)3}, 0},
    {"vnet_order big", {.vnet_order = TUO_ORDER_BIG}, 1},
    {"ip_id any", {.ip_id = TUO_IP_ID_ANY}, 1},
    {"ip_id unknown", {.ip_id = (tuo_ip_id)4}, 0},
    {"ip_id negative", {.ip_id = (tuo_ip_id)-1}, 0},
    {"excluded ports of TCP 16", {.tcp_excluded_port_count = 16}, 1},
    {"excluded ports of TCP 17", {.tcp_excluded_port_count = 17}, 0},
    {"excluded ports 16", {.udp_excluded_port_count = 16}, 1},
    {"excluded ports 17", {.udp_excluded_port_count = 17}, 0},
};

TEST(desc_ranges)
{
    const tuo_gro_desc zero = {0};
    h_gro h = h_open(&zero);
    size_t i;

    for (i = 0; i < CHECK_COUNT_OF(descs); i++) {
        tuo_gro_desc same_capacity = descs[i].desc;
        size_t len = tuo_gro_memory_size(&descs[i].desc);
        tuo_gro *gro = (tuo_gro *)(void *)&h, *before = gro;
        uint64_t one;

        check_row("%s", descs[i].name);
        CHECK_EQ_INT(len != 0, descs[i].ok);
        if (!descs[i].ok) {
            CHECK_RESULT(tuo_gro_init(&gro, &one, sizeof one, &descs[i].desc), TUO_E_INVALID);
        } else {
            void *mem = h_alloc(len);
            CHECK_RESULT(tuo_gro_init(&gro, mem, len - 1, &descs[i].desc), TUO_E_NOSPACE);
            CHECK(gro == before);
            CHECK_RESULT(tuo_gro_init(&gro, mem, len, &descs[i].desc), TUO_OK);
            CHECK(gro != before);
            free(mem);
        }
        same_capacity.max_packets = same_capacity.max_flows = 0;
        if (!descs[i].desc.max_packets && !descs[i].desc.max_flows)
            CHECK_RESULT(tuo_gro_reconfigure(h.gro, &same_capacity), descs[i].ok ? TUO_OK : TUO_E_INVALID);
    }
    h_close(&h);
}

TEST(init_errors)
{
    const tuo_gro_desc desc = {0};
    size_t len = tuo_gro_memory_size(&desc), shift;
    uint8_t *mem = (uint8_t *)h_alloc(len + 8);
    tuo_gro *gro = NULL;
    tuo_gro_desc other = {0}, got;

    for (shift = 1; shift < 8; shift++)
        CHECK_RESULT(tuo_gro_init(&gro, mem + shift, len, &desc), TUO_E_INVALID);
    CHECK(gro == NULL);
    CHECK_RESULT(tuo_gro_init(&gro, mem, 0, &desc), TUO_E_NOSPACE);
    CHECK(len < 64 * 1024);
    CHECK_RESULT(tuo_gro_init(&gro, mem, len, &desc), TUO_OK);
    other.max_packets = 257;
    CHECK_RESULT(tuo_gro_reconfigure(gro, &other), TUO_E_INVALID);
    other.max_packets = 256;
    other.max_flows = 129;
    CHECK_RESULT(tuo_gro_reconfigure(gro, &other), TUO_E_INVALID);
    other.max_flows = 128;
    other.max_segs = 77;
    CHECK_RESULT(tuo_gro_reconfigure(gro, &other), TUO_OK);
    tuo_gro_query_desc(gro, &got);
    CHECK_EQ_INT(got.max_segs, 77);
    free(mem);
}

/* The seed is a capacity: it belongs to the table as it was made. */
/* What the memory was made for stays: 0 means as it is. */
TEST(seed_and_sizes_cannot_be_changed)
{
    const tuo_gro_desc desc = {.hash_seed = 5, .max_flows = 9, .max_packets = 11};
    tuo_gro_desc other = {.hash_seed = 6}, got;
    h_gro h = h_open(&desc);

    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &other), TUO_E_INVALID);
    other.hash_seed = 5;
    other.max_segs = 3;
    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &other), TUO_OK);
    other.hash_seed = 0;
    other.max_segs = 4;
    CHECK_RESULT(tuo_gro_reconfigure(h.gro, &other), TUO_OK);
    tuo_gro_query_desc(h.gro, &got);
    CHECK_EQ_INT(got.hash_seed, 5);
    CHECK_EQ_INT(got.max_segs, 4);
    CHECK_EQ_INT(got.max_flows, 9);
    CHECK_EQ_INT(got.max_packets, 11);
    h_close(&h);
}

TEST(defaults_are_filled_in)
{
    const tuo_gro_desc desc = {0};
    h_gro h = h_open(&desc);
    tuo_gro_desc got;
    tuo_gro_stats stats;

    tuo_gro_query_desc(h.gro, &got);
    CHECK_EQ_INT(got.max_packets, 256);
    CHECK_EQ_INT(got.max_flows, 128);
    CHECK_EQ_INT(got.max_bytes, 65535);
    CHECK_EQ_INT(got.max_udp_segs, 64);
    CHECK_EQ_INT(got.max_frags, 1022);
    CHECK_EQ_INT(got.max_items_per_flow, 16);
    CHECK_EQ_INT(got.vnet_hdr_len, 10);
    tuo_gro_query_stats(h.gro, &stats);
    CHECK_EQ_INT(stats.packets_in + stats.packets_out + stats.bytes_in + stats.superpackets + stats.flow.lookups, 0);
    h_close(&h);
}

/* ------------------------------------------------------------------------------------------------- buffers that are full */

TEST(cap_buffer)
{
    const tuo_gro_desc desc = {0};
    pkt_spec s = {0};
    h_gro h = h_open(&desc);
    tuo_buf bufs[4];
    tuo_superpacket sp;
    size_t i;

    h_clear(&batch);
    add_run(s, 4);
    for (i = 0; i < 4; i++) {
        bufs[i].capacity = 12 + (i == 0 ? 340 : 140); /* room for two more payloads behind the first, for none behind the others */
        bufs[i].data = (uint8_t *)h_alloc(bufs[i].capacity);
        bufs[i].len = 12 + batch.len[i];
        memcpy(bufs[i].data + 12, batch.pkt[i], batch.len[i]);
    }
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[0], 12, 0), TUO_V_HELD);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[1], 12, 0), TUO_V_APPENDED);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[2], 12, 0), TUO_V_APPENDED);
    CHECK_VERDICT(tuo_gro_push_buf(h.gro, NULL, &bufs[3], 12, 0), TUO_V_CAP_BUFFER);
    verdict_seen[TUO_V_CAP_BUFFER]++;
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 12, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 3);
    CHECK_EQ_INT(bufs[0].len, 12 + 340);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 12, &sp), TUO_OK);
    CHECK_EQ_INT(sp.packet_count, 1);
    CHECK_RESULT(tuo_gro_next_copy(h.gro, NULL, 12, &sp), TUO_DONE);
    for (i = 0; i < 4; i++)
        free(bufs[i].data);
    h_close(&h);
    h_clear(&batch);
}

/* ------------------------------------------------------------------------------------------------------ coverage */

/* Runs last: a verdict that no row above has seen is a rule without a test. */
TEST(every_verdict_was_seen)
{
    int v;

    if (only_some_tests) {
        check_skip("only some tests were run");
        return;
    }
    for (v = 0; v < TUO_V_COUNT; v++)
        if (!verdict_seen[v] && v != TUO_V_TUNNEL_DIFFERS) /* test_gro_tunnels.c */
            CHECK_EQ_STR(tuo_verdict_name((tuo_verdict)v), "(never seen)");
    CHECK(verdict_seen[TUO_V_HELD] > 0);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_ENTRY(rule_rows),
        CHECK_ENTRY(superpacket_shapes),
        CHECK_ENTRY(every_header_bit_alone),
        CHECK_ENTRY(long_runs),
        CHECK_ENTRY(checksum_aliases),
        CHECK_ENTRY(hash_collisions_do_not_merge),
        CHECK_ENTRY(evicted_flow_is_not_remembered),
        CHECK_ENTRY(nothing_is_appended_to_a_closed_flow),
        CHECK_ENTRY(colliding_guesses_change_nothing),
        CHECK_ENTRY(guesses_begin_anew_before_their_number_wraps),
        CHECK_ENTRY(no_room_then_drain_then_push),
        CHECK_ENTRY(nothing_is_held_after_the_last_packet),
        CHECK_ENTRY(push_in_the_middle_of_a_drain),
        CHECK_ENTRY(closings_end_with_their_batch),
        CHECK_ENTRY(packet_of_2_gib),
        CHECK_ENTRY(no_bytes_at_all),
#if SIZE_MAX > 0xffffffffu
        CHECK_ENTRY(packet_of_4_gib_and_a_bit),
#endif
        CHECK_ENTRY(drain_of_nothing_touches_nothing),
        CHECK_ENTRY(reset_forgets_packets_and_keeps_counters),
        CHECK_ENTRY(every_switch_can_be_flipped_between_batches),
        CHECK_ENTRY(trust_can_be_flipped_between_batches),
        CHECK_ENTRY(fast_path_is_taken),
        CHECK_ENTRY(work_is_counted),
        CHECK_ENTRY(desc_ranges),
        CHECK_ENTRY(init_errors),
        CHECK_ENTRY(seed_and_sizes_cannot_be_changed),
        CHECK_ENTRY(defaults_are_filled_in),
        CHECK_ENTRY(cap_buffer),
        CHECK_ENTRY(every_verdict_was_seen),
    };

    only_some_tests = argc > 1;
    return CHECK_RUN(argc, argv, tests);
}
