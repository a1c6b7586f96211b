/* dpdk_port - an Ethernet bridge between a TAP device and the ports of DPDK: offloads of a NIC by way of tuo_caps and tuo_tx_*.

   cc -std=gnu99 -O2 -I. $(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g') -o build/dpdk_port examples/dpdk_port.c \
       $(pkg-config --libs libdpdk)
   build/dpdk_port --no-huge -m 256 --no-pci --vdev=net_tap0,iface=dtap0 -- --tap tap0        (--help for the rest)

   From the TAP to a port: one read is one superpacket. tuo_tx_init decides from the port's capabilities how it leaves: whole with TSO, in
   parts, as segments whose checksums the port finishes, or as finished segments. It refuses what is longer than the port's MTU, and leaves
   a VLAN tag to a port that inserts tags. Each packet is a chain of two mbufs: headers, written into the first by tuo_tx_next, and payload,
   which the second borrows from the buffer that was read into (rte_pktmbuf_attach_extbuf). What the port does not take stays in its
   tuo_tx_queue; while that is full, or the buffers are in use, the TAP is not read. Nothing is dropped because a port is slow, so a port
   that is down stops the bridge for the others, too, once its queue is full.

   From the ports to the TAP: all ports are asked for a burst in turn, everything goes through one tuo_gro, and superpackets are gathered
   from the mbufs, chains as they are (tuo_gro_push_iov), by one writev each. What a port has verified (RTE_MBUF_F_RX_*_GOOD) is not verified again.

   --copy does both by copy, through a tuo_buf_ops over mbufs: a superpacket is a chain of mbufs that grows; segments are written finished.

   Between ports, mbufs are forwarded as they are. Where a station is, the bridge learns from source addresses (a tuo_flow_table); what
   goes to an unknown or group address goes to everyone else.

   It polls. After a turn in which nothing came it sleeps until the TAP is readable, 20 us at first and 1 ms at most: idle it takes about
   two hundredths of a core, and the first packet from a port may wait 1 ms.

   Where to look: describe_port() makes a tuo_caps of rte_eth_dev_info; chain_of() makes mbufs of a tuo_tx_packet. */
#define _GNU_SOURCE /* ppoll, getopt_long */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_net.h>

enum {
    PORTS_MAX = 8,
    BURST = 32,             /* packets of a port at a time */
    TX_SLOTS = 256,         /* packets waiting for a port */
    DESCRIPTORS = 64,       /* of a port's receive queue; software drivers keep one mbuf for each */
    MBUFS = 4095,           /* per pool */
    ROOM = 2048,            /* bytes of a frame in one mbuf */
    COPY_BELOW = 256,       /* shorter frames are copied: cheaper than a second mbuf, and their buffer is free again */
    HEAD_LEN = 64,          /* bytes in the first mbuf of a frame that is neither TCP nor UDP; even, as drivers sum mbufs one by one */
    FRAME_MAX = 65535 + TUO_HEADER_MAX, /* an IP packet and its tags, or a generated one */
    INPUTS = 64,            /* buffers to read the TAP into: mbufs in queues hold on to them */
    TURN = 16,              /* superpackets from the TAP before the ports have their turn */
    STATIONS = 1024,        /* Ethernet addresses that are remembered */
    CHAIN_MAX = 64,         /* mbufs of a received chain, and of one superpacket with --copy */
    PIECES_MAX = 1000,      /* of one superpacket without */
    TAG_LEN = 4,
    PLACE_TAP = 0,          /* where a station is: PLACE_TAP, or 1 + index of the port */
    NO_VLAN = -1,
    GENERATED_PAYLOAD = 60000
};

struct options {
    const char *tap, *generate_to;
    unsigned long mtu, batch, max_superpacket, data_room, generate;
    int vlan, no_tso, no_csum, no_segs, copy, check;
};

/* What is read from the TAP (or generated), and whose payload mbufs borrow. `shared` counts the bridge and each such mbuf. */
struct input {
    struct rte_mbuf_ext_shared_info shared;
    tuo_vnet_hdr vnet;
    uint8_t *frame;                   /* in bytes, behind room for a tag, or from there on */
    size_t len;
    uint8_t bytes[TAG_LEN + FRAME_MAX];
};

struct port_stats {
    uint64_t in, verified, forwarded, put_back, other_vlan;       /* received */
    uint64_t out, tso, tso_segments, csum_left, oversize, refused; /* handed to the queue; not */
    uint64_t bursts, kept, kept_most;                              /* by the driver: packets offered and not taken */
};

struct port {
    struct bridge *bridge;
    uint16_t id, mtu;
    tuo_caps caps;
    uint32_t frame_max;                     /* MTU, Ethernet header, and a tag as 802.1Q allows. No driver takes more for certain,
                                               and some would refuse it at the head of the queue for ever */
    uint8_t flat;                           /* takes no chains: packets are copied into one mbuf */
    uint8_t pending;                        /* ladder (with --copy: split) has not handed out everything yet */
    tuo_tx ladder;
    tuo_gso split;
    tuo_tx_queue tx;
    void *tx_slots[TX_SLOTS];
    tuo_rx_queue rx;
    tuo_rx_packet rx_slots[BURST];
    struct rte_mempool *rx_pool;
    struct port_stats stats;
};

/* What --generate sends: decimal numbers of nine digits, one a line, so that each byte tells where it belongs. */
struct generator {
    uint64_t left, position;
    uint16_t size;         /* payload per segment */
    uint16_t header_len, l4_off;
    uint8_t tcp;
    uint8_t header[TUO_HEADER_MAX];
};

struct bridge {
    struct options options;
    tuo_tun *tap;
    struct rte_mempool *flat, *small, *borrowers, *inputs; /* small: --data-room; borrowers: mbufs without memory of their own */
    struct port ports[PORTS_MAX];
    unsigned port_count, first;  /* first: the port that is asked first in this turn */
    struct input *input;         /* being handed out to ports that have `pending` set */
    tuo_gro *gro;
    tuo_iov *pieces;             /* of the packets that gro holds; max_packets counts them one by one */
    size_t piece_count, piece_max;
    tuo_flow_table *stations;
    tuo_buf_ops mbuf_ops;
    struct generator generator;
    uint64_t tap_in, tap_superpackets_in, tap_out, tap_superpackets_out, merged, lost, checks_failed;
    tuo_result failure;
};

static volatile sig_atomic_t stopping, generating;

static void on_signal(int number) {
    if (number == SIGUSR1) generating = 1;
    else stopping = 1;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "dpdk_port: %s: %s\n", what, why);
    exit(1);
}

static void bad_option(const char *option, const char *value) {
    fprintf(stderr, "dpdk_port: %s: bad value '%s' (--help)\n", option, value ? value : "");
    exit(2);
}

static unsigned long number(const char *option, const char *text, unsigned long low, unsigned long high) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || value < low || value > high) bad_option(option, text);
    return value;
}

/* --- mbufs as buffers of the library --- */

static uint8_t *mbuf_data(void *user, void *buf) {
    (void)user;
    return rte_pktmbuf_mtod((struct rte_mbuf *)buf, uint8_t *);
}

static size_t mbuf_length(void *user, const void *buf) {
    (void)user;
    return ((const struct rte_mbuf *)buf)->pkt_len;
}

static size_t mbuf_capacity(void *user, const void *buf) { /* a chain grows as long as the pool has mbufs: append says no otherwise */
    (void)user;
    (void)buf;
    return FRAME_MAX;
}

/* What is resized will be written through mbuf_data: contiguous, so within the first mbuf. */
static int mbuf_resize(void *user, void *buf, size_t len) {
    struct rte_mbuf *const m = (struct rte_mbuf *)buf;
    (void)user;
    if (m->nb_segs != 1 || len > (size_t)m->buf_len - m->data_off) return -1;
    m->data_len = (uint16_t)len;
    m->pkt_len = (uint32_t)len;
    return 0;
}

/* What is still free in the last mbuf, then fresh ones; all of them are there before a byte is written. */
static int mbuf_append(void *user, void *buf, const uint8_t *bytes, size_t len) {
    const struct bridge *const b = (const struct bridge *)user;
    struct rte_mbuf *const m = (struct rte_mbuf *)buf, *last = rte_pktmbuf_lastseg(m), *more[FRAME_MAX / ROOM + 1];
    size_t here = RTE_MIN(len, (size_t)rte_pktmbuf_tailroom(last)), i;
    const size_t more_count = (len - here + ROOM - 1) / ROOM;
    if (more_count > RTE_DIM(more) || m->nb_segs + more_count > CHAIN_MAX) return -1;
    if (more_count && rte_pktmbuf_alloc_bulk(b->flat, more, (unsigned)more_count) != 0) return -1;
    for (i = 0;; i++) {
        memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), bytes, here);
        last->data_len = (uint16_t)(last->data_len + here);
        m->pkt_len += (uint32_t)here;
        bytes += here;
        len -= here;
        if (i == more_count) return 0;
        last = last->next = more[i];
        m->nb_segs++;
        here = RTE_MIN(len, (size_t)ROOM);
    }
}

/* --- inputs --- */

static void input_is_free(void *bytes, void *input) {
    (void)bytes;
    rte_mempool_put(rte_mempool_from_obj(input), input);
}

static struct input *new_input(struct bridge *b) {
    void *object;
    struct input *input;
    unsigned i;
    if (rte_mempool_get(b->inputs, &object) != 0) { /* NICs free what they have sent only when asked to, or to send more */
        for (i = 0; i < b->port_count; i++) (void)rte_eth_tx_done_cleanup(b->ports[i].id, 0, 0);
        if (rte_mempool_get(b->inputs, &object) != 0) return NULL;
    }
    input = (struct input *)object;
    input->shared.free_cb = input_is_free;
    input->shared.fcb_opaque = input;
    input->frame = input->bytes + TAG_LEN;
    rte_mbuf_ext_refcnt_set(&input->shared, 1);
    return input;
}

static void release_input(struct input *input) {
    if (rte_mbuf_ext_refcnt_update(&input->shared, -1) == 0) input_is_free(NULL, input);
}

/* Make m, an mbuf without memory, one that borrows bytes[0..len) of the input. */
static void borrow(struct rte_mbuf *m, struct input *input, const void *bytes, size_t len) {
    uint8_t *const at = input->bytes + ((const uint8_t *)bytes - input->bytes);
    const rte_iova_t iova = rte_mempool_virt2iova(input) + (rte_iova_t)(at - (uint8_t *)input);
    (void)rte_mbuf_ext_refcnt_update(&input->shared, 1);
    rte_pktmbuf_attach_extbuf(m, at, iova, (uint16_t)len, &input->shared);
    m->data_len = (uint16_t)len;
    m->pkt_len = (uint32_t)len;
}

/* --- where stations are --- */

static void station_key(tuo_flow_key *key, const uint8_t *address) {
    memset(key, 0, sizeof *key);
    memcpy(key->src, address, RTE_ETHER_ADDR_LEN);
}

static int is_group(const uint8_t *address) { return address[0] & 1; }

static void learn(struct bridge *b, const uint8_t *source, unsigned place) {
    tuo_flow_key key;
    if (is_group(source)) return;
    station_key(&key, source);
    *tuo_flow_table_insert(b->stations, &key, NULL) = place;
}

/* Bit p is set: the frame goes to place p. */
static uint32_t places_of(struct bridge *b, const uint8_t *destination, unsigned from) {
    const uint32_t everyone = (2u << b->port_count) - 1;
    const uint32_t *place = NULL;
    tuo_flow_key key;
    if (!is_group(destination)) {
        station_key(&key, destination);
        place = tuo_flow_table_find(b->stations, &key);
    }
    return (place ? 1u << *place : everyone) & ~(1u << from);
}

/* --- to a port --- */

static size_t send_burst(void *user, void *const *packets, size_t count) {
    struct port *const port = (struct port *)user;
    struct rte_mbuf *mbufs[BURST];
    size_t taken = 0;
    while (taken < count) {
        const uint16_t offered = (uint16_t)RTE_MIN(count - taken, (size_t)BURST);
        uint16_t fit, sent, i;
        for (i = 0; i < offered; i++) mbufs[i] = (struct rte_mbuf *)packets[taken + i];
        fit = rte_eth_tx_prepare(port->id, 0, mbufs, offered);
        if (fit == 0) { /* it never will: keeping it would hold up all others for ever */
            rte_pktmbuf_free(mbufs[0]);
            port->stats.refused++;
            taken++;
            continue;
        }
        sent = rte_eth_tx_burst(port->id, 0, mbufs, fit);
        port->stats.bursts++;
        taken += sent;
        if (sent < fit) {
            port->stats.kept += count - taken;
            port->stats.kept_most = RTE_MAX(port->stats.kept_most, (uint64_t)(count - taken));
            break;
        }
    }
    return taken;
}

/* Is there room for one more? Otherwise the device takes nothing now. */
static int has_room(struct port *port) {
    return tuo_tx_queue_count(&port->tx) < TX_SLOTS || (tuo_tx_queue_flush(&port->tx) >= 0 && tuo_tx_queue_count(&port->tx) < TX_SLOTS);
}

/* Into the queue, which has room. */
static void enqueue(struct port *port, struct rte_mbuf *m) {
    if (tuo_tx_queue_push(&port->tx, m) != TUO_OK) {
        rte_pktmbuf_free(m);
        port->stats.refused++;
        return;
    }
    port->stats.out++;
}

/* --check: do lengths and count of a chain add up? */
static void check_chain(struct bridge *b, const struct rte_mbuf *m) {
    const char *reason;
    b->checks_failed += rte_mbuf_check(m, 1, &reason) != 0;
}

/* --check: is the descriptor what DPDK wants, and are the sums in the headers those that its own function for drivers writes? */
static void check_descriptor(struct port *port, struct rte_mbuf *m) {
    uint8_t before[TUO_HEADER_MAX];
    uint8_t *const head = rte_pktmbuf_mtod(m, uint8_t *);
    const size_t len = RTE_MIN((size_t)m->data_len, sizeof before);
    check_chain(port->bridge, m);
    memcpy(before, head, len);
    if (rte_validate_tx_offload(m) != 0 || rte_net_intel_cksum_prepare(m) != 0 || memcmp(before, head, len) != 0) {
        port->bridge->checks_failed++;
    }
    memcpy(head, before, len);
}

/* What is left to the device, in DPDK's words. */
static void describe(struct port *port, struct rte_mbuf *m, const tuo_tx_packet *packet) {
    const int v6 = packet->kind == TUO_KIND_TCP6 || packet->kind == TUO_KIND_UDP6;
    const int tcp = packet->kind == TUO_KIND_TCP4 || packet->kind == TUO_KIND_TCP6;
    if (packet->vlan_insert) {
        m->ol_flags |= RTE_MBUF_F_TX_VLAN;
        m->vlan_tci = packet->vlan_tci;
    }
    if (!(packet->vnet.flags & TUO_VNET_NEEDS_CSUM)) return;
    m->l2_len = packet->l2_len & 0x7Fu; /* bit fields: all headers together are at most TUO_HEADER_MAX */
    m->l3_len = packet->l3_len & 0x1FFu;
    m->l4_len = (uint8_t)packet->l4_len;
    m->ol_flags |= v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    m->ol_flags |= tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
    if (packet->csum_ip4) m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    port->stats.csum_left++;
    if (packet->vnet.gso_type == TUO_GSO_NONE) return;
    m->ol_flags |= tcp ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_UDP_SEG;
    m->tso_segsz = packet->vnet.gso_size;
    port->stats.tso++;
    port->stats.tso_segments += packet->seg_count;
}

static void append_copy(struct rte_mbuf *m, const void *bytes, size_t len) {
    memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), bytes, len);
    m->data_len = (uint16_t)(m->data_len + len);
    m->pkt_len += (uint32_t)len;
}

/* The packet as head, or as head -> rest. tuo_tx_next has written to head: the headers of a packet that was cut, or else a checksum, whose
   place is behind the bytes in front of it. All pieces but the last go to head, and of the last one what belongs to the headers. So where
   a checksum is left to the port, head has whole headers: an even length. 0: more than fits into an mbuf. */
static int chain_of(const struct port *port, const tuo_tx_packet *packet, struct rte_mbuf *head, struct rte_mbuf *rest) {
    const tuo_iov *const last = &packet->iov[packet->iov_count - 1];
    const size_t headers = (size_t)packet->l2_len + packet->l3_len + packet->l4_len, wanted = headers ? headers : (size_t)HEAD_LEN;
    const uint8_t *bytes = (const uint8_t *)last->base;
    const void *const start = rte_pktmbuf_mtod(head, const void *);
    size_t len = last->len, copied, i;
    uint8_t checksum[2];
    memcpy(checksum, start, sizeof checksum);
    for (i = 0; i + 1 < packet->iov_count; i++) {
        const tuo_iov *const piece = &packet->iov[i];
        if (head->data_len + piece->len > ROOM) return 0;
        if (i == 0 && piece->base == start) {
            head->data_len = (uint16_t)piece->len;
            head->pkt_len = head->data_len;
        } else {
            append_copy(head, piece->base == start ? checksum : piece->base, piece->len);
        }
    }
    copied = wanted > head->data_len ? RTE_MIN(len, wanted - head->data_len) : 0;
    append_copy(head, bytes, copied);
    bytes += copied;
    len -= copied;
    if (len == 0) return 1;
    if (port->flat || packet->len < COPY_BELOW) {
        if (packet->len > ROOM) return 0;
        append_copy(head, bytes, len);
        return 1;
    }
    borrow(rest, port->bridge->input, bytes, len);
    head->next = rest;
    head->nb_segs = 2;
    head->pkt_len += (uint32_t)len;
    return 1;
}

/* The next packet of the ladder into the queue. 0: not now, no mbufs. */
static int hand_out_one(struct port *port) {
    struct bridge *const b = port->bridge;
    tuo_tx_packet packet;
    struct rte_mbuf *head = rte_pktmbuf_alloc(b->flat), *rest = rte_pktmbuf_alloc(b->borrowers);
    int fits;
    if (!head || !rest) {
        rte_pktmbuf_free(head);
        rte_pktmbuf_free(rest);
        return 0;
    }
    if (tuo_tx_next(&port->ladder, rte_pktmbuf_mtod(head, uint8_t *), &packet) != TUO_OK) fail("ladder", "the port takes no packets");
    fits = packet.wire_len_max <= port->frame_max;
    if (!fits) port->stats.oversize++;
    else if (!chain_of(port, &packet, head, rest)) port->stats.refused++, fits = 0;
    if (!head->next) rte_pktmbuf_free(rest);
    if (!fits) {
        rte_pktmbuf_free(head);
        return 1;
    }
    describe(port, head, &packet);
    if (b->options.check) check_descriptor(port, head);
    enqueue(port, head);
    return 1;
}

/* --copy: the next segment, written into an mbuf of its own. */
static int hand_out_copy(struct port *port) {
    struct bridge *const b = port->bridge;
    void *segment = rte_pktmbuf_alloc(b->flat);
    size_t written;
    tuo_result result;
    if (!segment) return 0;
    result = tuo_gso_split(&port->split, &b->mbuf_ops, &segment, 1, 0, &written);
    if (result >= 0 && mbuf_length(b, segment) <= port->frame_max) {
        enqueue(port, (struct rte_mbuf *)segment);
        return 1;
    }
    rte_pktmbuf_free((struct rte_mbuf *)segment);
    port->stats.oversize++;
    if (result < 0) port->pending = 0; /* no segment of it fits into an mbuf */
    return 1;
}

static size_t left_for(const struct port *port) {
    return port->bridge->options.copy ? tuo_gso_remaining(&port->split) : tuo_tx_remaining(&port->ladder);
}

/* 1: the input has been handed out to all who should have it. */
static int hand_out(struct bridge *b) {
    int done = 1;
    unsigned i;
    for (i = 0; i < b->port_count; i++) {
        struct port *const port = &b->ports[i];
        while (port->pending && left_for(port) && has_room(port)) {
            if (!(b->options.copy ? hand_out_copy(port) : hand_out_one(port))) break;
        }
        if (left_for(port) == 0) port->pending = 0;
        done &= !port->pending;
    }
    return done;
}

/* The frames of all ports carry the tag of --vlan. It goes into the frame; tuo_tx_init leaves it to a port that inserts tags. */
static void put_tag(struct input *input, int vlan) {
    const uint8_t tag[TAG_LEN] = { 0x81, 0x00, (uint8_t)(vlan >> 8), (uint8_t)vlan };
    input->frame -= TAG_LEN;
    memmove(input->frame, input->frame + TAG_LEN, 2 * RTE_ETHER_ADDR_LEN);
    memcpy(input->frame + 2 * RTE_ETHER_ADDR_LEN, tag, TAG_LEN);
    input->len += TAG_LEN;
    input->vnet.csum_start = (uint16_t)(input->vnet.csum_start + TAG_LEN); /* means nothing without NEEDS_CSUM */
}

/* Decide which ports get the input, and how it leaves on each. */
static void plan(struct bridge *b) {
    struct input *const input = b->input;
    const uint32_t places = places_of(b, input->frame, PLACE_TAP);
    unsigned i;
    if (b->options.vlan != NO_VLAN) put_tag(input, b->options.vlan);
    for (i = 0; i < b->port_count; i++) {
        struct port *const port = &b->ports[i];
        tuo_result result;
        if (!(places >> (1 + i) & 1u)) continue;
        if (b->options.copy) {
            result = tuo_gso_init(&port->split, input->frame, input->len, &input->vnet, TUO_F_ETHERNET | TUO_F_STRIP_JUMBO);
        } else {
            result = tuo_tx_init(&port->ladder, &port->caps, input->frame, input->len, &input->vnet, TUO_F_STRIP_JUMBO);
        }
        if (result == TUO_OK) port->pending = 1;
        else if (result == TUO_E_MTU) port->stats.oversize++;
        else port->stats.refused++;
    }
}

/* --- packets of our own --- */

/* Ethernet, IP and TCP or UDP header but for lengths and checksums: tuo_tso_prepare fills those. PROTO,MAC,FROM,TO,PORT,SIZE */
static void prepare_generator(struct bridge *b) {
    struct generator *const g = &b->generator;
    struct rte_ether_addr mac, own;
    uint8_t *const eth = g->header, *const ip = eth + RTE_ETHER_HDR_LEN, *l4;
    char text[256], *save = NULL, *field[6];
    unsigned long number_of_port;
    int i, v6;
    (void)snprintf(text, sizeof text, "%s", b->options.generate_to);
    for (i = 0; i < 6; i++) field[i] = strtok_r(i ? NULL : text, ",", &save);
    if (!field[5] || rte_ether_unformat_addr(field[1], &mac) != 0) bad_option("--generate-to", b->options.generate_to);
    v6 = strchr(field[2], ':') != NULL;
    g->tcp = strcmp(field[0], "tcp") == 0;
    g->size = (uint16_t)number("--generate-to", field[5], 1, GENERATED_PAYLOAD);
    number_of_port = number("--generate-to", field[4], 1, 65535);
    if (!g->tcp && strcmp(field[0], "udp") != 0) bad_option("--generate-to", field[0]);
    if (inet_pton(v6 ? AF_INET6 : AF_INET, field[2], ip + (v6 ? 8 : 12)) != 1) bad_option("--generate-to", field[2]);
    if (inet_pton(v6 ? AF_INET6 : AF_INET, field[3], ip + (v6 ? 24 : 16)) != 1) bad_option("--generate-to", field[3]);
    (void)rte_eth_macaddr_get(b->ports[0].id, &own);
    memcpy(eth, &mac, sizeof mac);
    memcpy(eth + sizeof mac, &own, sizeof own);
    eth[12] = v6 ? 0x86 : 0x08;
    eth[13] = v6 ? 0xDD : 0x00;
    ip[0] = v6 ? 0x60 : 0x45;
    ip[v6 ? 6 : 9] = g->tcp ? IPPROTO_TCP : IPPROTO_UDP;
    ip[v6 ? 7 : 8] = 64;
    l4 = ip + (v6 ? 40 : 20);
    l4[0] = l4[2] = (uint8_t)(number_of_port >> 8); /* of both ends */
    l4[1] = l4[3] = (uint8_t)number_of_port;
    if (g->tcp) l4[12] = 20 / 4 << 4;
    g->l4_off = (uint16_t)(l4 - eth);
    g->header_len = (uint16_t)(g->l4_off + (g->tcp ? 20 : 8));
}

static void fill_lines(uint8_t *bytes, size_t len, uint64_t position) {
    size_t i, n;
    for (i = 0; i < len; i += n) {
        const size_t skip = (size_t)((position + i) % 10);
        char line[24];
        (void)snprintf(line, sizeof line, "%09u\n", (unsigned)((position + i) / 10 % 1000000000u));
        n = RTE_MIN(len - i, 10 - skip);
        memcpy(bytes + i, line + skip, n);
    }
}

/* One large packet as a stack would make it. */
static int generate(struct bridge *b) {
    struct generator *const g = &b->generator;
    const size_t len = (size_t)RTE_MIN(g->left, (uint64_t)(GENERATED_PAYLOAD / g->size * g->size));
    const uint32_t seq = htonl((uint32_t)g->position + 1);
    tuo_caps frames = { 0 };
    struct input *const input = new_input(b);
    uint8_t *l4;
    if (!input) return 0;
    frames.ethernet = 1;
    memcpy(input->frame, g->header, g->header_len);
    fill_lines(input->frame + g->header_len, len, g->position);
    l4 = input->frame + g->l4_off;
    if (g->tcp) {
        memcpy(l4 + 4, &seq, sizeof seq);
        l4[13] = (uint8_t)(0x80 | 0x10 | (g->left == len ? 0x08 : 0)); /* CWR, ACK, on the last PSH */
    }
    input->len = g->header_len + len;
    if (tuo_tso_prepare(input->frame, input->len, g->size, &frames, &input->vnet) != TUO_OK) fail("--generate", "packet refused");
    g->position += len;
    g->left -= len;
    b->input = input;
    return 1;
}

/* --- from the TAP --- */

static int read_tap(struct bridge *b) {
    struct input *const input = new_input(b);
    tuo_result result;
    if (!input) return 0;
    result = tuo_tun_recv(b->tap, input->frame, FRAME_MAX, &input->vnet, &input->len);
    if (result == TUO_OK && input->len >= RTE_ETHER_HDR_LEN) {
        b->input = input;
        b->tap_in++;
        b->tap_superpackets_in += input->vnet.gso_type != TUO_GSO_NONE;
        learn(b, input->frame + RTE_ETHER_ADDR_LEN, PLACE_TAP);
        return 1;
    }
    release_input(input);
    if (result == TUO_E_GONE || result == TUO_E_SYSTEM) b->failure = result;
    return 0;
}

/* Returns whether anything moved. */
static int carry_from_tap(struct bridge *b) {
    int i, moved = 0;
    unsigned p;
    for (i = 0; i < TURN; i++) {
        if (!b->input) {
            if (b->generator.left && i == 0 ? !generate(b) : !read_tap(b)) break;
            plan(b);
            moved = 1;
        }
        if (!hand_out(b)) break; /* goes on in the next turn */
        release_input(b->input);
        b->input = NULL;
    }
    for (p = 0; p < b->port_count; p++) {
        const size_t before = tuo_tx_queue_count(&b->ports[p].tx);
        moved |= before && tuo_tx_queue_flush(&b->ports[p].tx) >= 0 && tuo_tx_queue_count(&b->ports[p].tx) < before;
    }
    return moved;
}

/* --- from the ports --- */

/* Does the frame have the tag of --vlan? It stays in the frame until that goes to the TAP. */
static int is_for_us(const struct port *port, const struct rte_mbuf *m) {
    const int vlan = port->bridge->options.vlan;
    const uint8_t *const tag = rte_pktmbuf_mtod_offset(m, const uint8_t *, 2 * RTE_ETHER_ADDR_LEN);
    if (vlan == NO_VLAN) return m->data_len >= RTE_ETHER_HDR_LEN;
    return m->data_len >= RTE_ETHER_HDR_LEN + TAG_LEN && tag[0] == 0x81 && tag[1] == 0 && ((tag[2] & 0x0F) << 8 | tag[3]) == vlan;
}

/* A chain stays one where it is gathered, if it ever fits. */
static int keeps_chain(const struct bridge *b, const struct rte_mbuf *m) {
    return !b->options.copy && m->nb_segs <= RTE_MIN((size_t)CHAIN_MAX, b->piece_max);
}

/* Makes one mbuf of a chain, for code that needs contiguous packets. NULL: lost. */
static struct rte_mbuf *contiguous(struct port *port, struct rte_mbuf *chain) {
    struct bridge *const b = port->bridge;
    struct rte_mbuf *const m = chain->pkt_len <= ROOM ? rte_pktmbuf_alloc(b->flat) : NULL;
    const struct rte_mbuf *piece;
    if (m) {
        for (piece = chain; piece; piece = piece->next) append_copy(m, rte_pktmbuf_mtod(piece, const void *), piece->data_len);
        m->ol_flags = chain->ol_flags;
    } else {
        b->lost++;
    }
    rte_pktmbuf_free(chain);
    return m;
}

/* DATA_VALID if the port has verified all checksums of the packet; port->caps.rx_csum_ip4 says that IPv4 headers are among them. */
static uint8_t verified_by(const struct port *port, const struct rte_mbuf *m) {
    const uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    const size_t tag_len = port->bridge->options.vlan == NO_VLAN ? 0 : TAG_LEN;
    const uint8_t *const type = rte_pktmbuf_mtod_offset(m, const uint8_t *, 2 * RTE_ETHER_ADDR_LEN + tag_len);
    const int v6 = type[0] == 0x86 && type[1] == 0xDD;
    if (l4 != RTE_MBUF_F_RX_L4_CKSUM_GOOD) return 0;
    return v6 || ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || !port->caps.rx_csum_ip4 ? TUO_VNET_DATA_VALID : 0;
}

static size_t recv_burst(void *user, tuo_rx_packet *packets, size_t count) {
    struct port *const port = (struct port *)user;
    struct rte_mbuf *mbufs[BURST];
    const uint16_t got = rte_eth_rx_burst(port->id, 0, mbufs, (uint16_t)RTE_MIN(count, (size_t)BURST));
    size_t n = 0;
    uint16_t i;
    for (i = 0; i < got; i++) {
        struct rte_mbuf *m = mbufs[i];
        port->stats.in++;
        if (m->nb_segs > 1 && !keeps_chain(port->bridge, m) && !(m = contiguous(port, m))) continue;
        if (!is_for_us(port, m)) {
            port->stats.other_vlan++;
            rte_pktmbuf_free(m);
            continue;
        }
        memset(&packets[n], 0, sizeof packets[n]);
        packets[n].bytes = rte_pktmbuf_mtod(m, const uint8_t *);
        packets[n].len = m->pkt_len;
        packets[n].vnet.flags = verified_by(port, m);
        packets[n].user = m;
        if (packets[n].vnet.flags) {
            port->stats.verified++;
            if (port->bridge->options.check) {
                static uint8_t flat[FRAME_MAX]; /* for the bytes of a chain */
                const void *const whole = rte_pktmbuf_read(m, 0, m->pkt_len, flat);
                port->bridge->checks_failed += tuo_csum_check(whole, m->pkt_len, TUO_F_ETHERNET) != TUO_OK;
            }
        }
        n++;
    }
    return n;
}

static tuo_verdict coalesce(struct port *port, const tuo_rx_packet *packet) {
    struct bridge *const b = port->bridge;
    const unsigned hint = tuo_rx_hint(&port->caps, &packet->vnet);
    const struct rte_mbuf *m = (const struct rte_mbuf *)packet->user;
    tuo_iov *const iov = b->pieces + b->piece_count;
    size_t n = 0;
    if (b->options.copy) return tuo_gro_push_buf(b->gro, &b->mbuf_ops, packet->user, 0, hint);
    if (m->nb_segs > b->piece_max - b->piece_count) return TUO_V_NO_ROOM;
    for (; m; m = m->next) {
        iov[n].base = rte_pktmbuf_mtod(m, const void *);
        iov[n++].len = m->data_len;
    }
    b->piece_count += n;
    return tuo_gro_push_iov(b->gro, iov, n, packet->user, hint);
}

/* To another port. An mbuf that also goes elsewhere is copied. */
static void forward(struct port *from, struct port *to, struct rte_mbuf *m, int alone) {
    struct bridge *const b = from->bridge;
    struct rte_mbuf *out = alone ? m : rte_pktmbuf_copy(m, b->flat, 0, UINT32_MAX);
    if (!out) {
        b->lost++;
        return;
    }
    if (to->flat && out->nb_segs > 1 && !(out = contiguous(from, out))) return;
    if (out->pkt_len > to->frame_max) {
        to->stats.oversize++;
        rte_pktmbuf_free(out);
        return;
    }
    out->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT; /* what was said on reception is no request to send */
    out->tx_offload = 0;
    enqueue(to, out);
    from->stats.forwarded++;
}

/* 0: not now, nothing has been done with it. */
static int switch_one(struct port *from, const tuo_rx_packet *packet) {
    struct bridge *const b = from->bridge;
    struct rte_mbuf *const m = (struct rte_mbuf *)packet->user;
    const unsigned place = 1 + (unsigned)(from - b->ports);
    const uint32_t places = places_of(b, packet->bytes, place);
    const int to_tap = (places >> PLACE_TAP & 1u) != 0, alone = !to_tap && places && (places & (places - 1)) == 0;
    unsigned i;
    for (i = 0; i < b->port_count; i++) {
        if ((places >> (1 + i) & 1u) && !has_room(&b->ports[i])) return 0;
    }
    if (to_tap && coalesce(from, packet) == TUO_V_NO_ROOM) return 0;
    learn(b, packet->bytes + RTE_ETHER_ADDR_LEN, place);
    for (i = 0; i < b->port_count; i++) {
        if (places >> (1 + i) & 1u) forward(from, &b->ports[i], m, alone);
    }
    if (!to_tap && !alone) rte_pktmbuf_free(m); /* copies went out, or it stays on its side of the bridge */
    return 1;
}

/* One burst. What cannot be passed on is put back and comes first the next time. */
static int carry_from_port(struct port *port) {
    tuo_rx_packet packets[BURST];
    const size_t count = tuo_rx_queue_batch(&port->rx, packets, BURST);
    size_t i = 0;
    int moved;
    while (i < count && switch_one(port, &packets[i])) i++;
    moved = i > 0;
    for (; i < count; i++) {
        if (tuo_rx_queue_inject(&port->rx, &packets[i]) != TUO_OK) fail("put back", "no slot"); /* there are BURST */
        port->stats.put_back++;
    }
    return moved;
}

/* --- to the TAP --- */

/* The same without the tag of --vlan. Returns how many pieces. */
static size_t without_tag(const tuo_iov *iov, size_t iov_count, tuo_iov *out, tuo_vnet_hdr *vnet) {
    out[0].base = iov[0].base;
    out[0].len = 2 * RTE_ETHER_ADDR_LEN;
    out[1].base = (const uint8_t *)iov[0].base + out[0].len + TAG_LEN;
    out[1].len = iov[0].len - out[0].len - TAG_LEN;
    memcpy(out + 2, iov + 1, (iov_count - 1) * sizeof *iov);
    vnet->csum_start = (uint16_t)(vnet->csum_start - TAG_LEN); /* the first two mean nothing without NEEDS_CSUM */
    vnet->hdr_len = (uint16_t)(vnet->flags & TUO_VNET_NEEDS_CSUM ? vnet->hdr_len - TAG_LEN : 0);
    return iov_count + 1;
}

/* A full TAP makes us wait; one that is down loses packets, like a cut cable. */
static void write_tap(struct bridge *b, const tuo_vnet_hdr *tagged, const tuo_iov *iov, size_t iov_count) {
    tuo_iov pieces[PIECES_MAX + 2];
    tuo_vnet_hdr vnet = *tagged;
    tuo_result result;
    if (b->options.vlan != NO_VLAN) {
        iov_count = without_tag(iov, iov_count, pieces, &vnet);
        iov = pieces;
    }
    do result = tuo_tun_send_iov(b->tap, iov, iov_count, &vnet);
    while (result == TUO_AGAIN && !stopping && (result = tuo_tun_wait(b->tap, 1, 100)) >= 0);
    if (result == TUO_E_GONE) b->failure = result;
    b->lost += result != TUO_OK;
    b->tap_out += result == TUO_OK;
    b->tap_superpackets_out += result == TUO_OK && vnet.gso_type != TUO_GSO_NONE;
}

static void write_superpacket(struct bridge *b, const tuo_superpacket *sp) {
    tuo_iov pieces[CHAIN_MAX];
    const struct rte_mbuf *m;
    size_t n = 0;
    if (!b->options.copy) {
        write_tap(b, &sp->vnet, sp->iov, sp->iov_count);
        return;
    }
    if (b->options.check) check_chain(b, (const struct rte_mbuf *)sp->users[0]);
    for (m = (const struct rte_mbuf *)sp->users[0]; m; m = m->next) { /* sp->iov knows nothing of chains */
        pieces[n].base = rte_pktmbuf_mtod(m, const void *);
        pieces[n++].len = m->data_len;
    }
    write_tap(b, &sp->vnet, pieces, n);
}

static void drain(struct bridge *b) {
    tuo_superpacket sp;
    while ((b->options.copy ? tuo_gro_next_copy(b->gro, &b->mbuf_ops, 0, &sp) : tuo_gro_next(b->gro, &sp)) == TUO_OK) {
        size_t i;
        write_superpacket(b, &sp);
        b->merged += sp.packet_count > 1 ? sp.packet_count : 0;
        for (i = 0; i < sp.packet_count; i++) rte_pktmbuf_free((struct rte_mbuf *)sp.users[i]);
    }
    b->piece_count = 0;
}

static int carry_from_ports(struct bridge *b) {
    int moved = 0;
    unsigned i;
    for (i = 0; i < b->port_count; i++) moved |= carry_from_port(&b->ports[(b->first + i) % b->port_count]);
    b->first = b->first + 1 < b->port_count ? b->first + 1 : 0;
    drain(b);
    return moved;
}

static void run(struct bridge *b) {
    long sleep_ns = 0;
    while (!stopping && b->failure == TUO_OK) {
        int moved = carry_from_ports(b);
        moved |= carry_from_tap(b);
        (void)!tuo_tun_flush(b->tap); /* of a superpacket that was cut, what did not fit; errors come with the next packet */
        if (generating) {
            generating = 0;
            b->generator.left = b->options.generate;
            b->generator.position = 0;
        }
        sleep_ns = moved ? 0 : RTE_MIN(RTE_MAX(2 * sleep_ns, 20000L), 1000000L);
        if (sleep_ns) {
            const struct timespec pause = { 0, sleep_ns };
            struct pollfd tap = { tuo_tun_fd(b->tap), POLLIN, 0 };
            (void)ppoll(&tap, b->input ? 0 : 1, &pause, NULL); /* an input that no port takes: more of them would not help */
        }
    }
}

/* --- starting --- */

/* net_tap of DPDK 22.11 promises more than it does; what is left was found by experiment:
   - TSO is IPv4 only: an IPv6 superpacket is written out whole.
   - More than 64 segments, or segments of more than MTU bytes with the Ethernet header counted, are refused for ever.
   - Its segments have 128 bytes for headers; longer ones are written beyond them. So MTU - 128 bytes of payload are always taken.
   - CWR is copied to every segment (as always in lib/gso).
   - Checksums of chains come out wrong if an mbuf in the middle has an odd length: chain_of() makes none. */
static void correct_net_tap(struct port *port) {
    port->caps.max_tcp6 = 0;
    port->caps.max_segs = 64;
    port->caps.max_hdr_len = 128;
    if (port->mtu > 128) port->caps.max_seg_size = port->mtu - 128u;
    else port->caps.max_tcp4 = 0;
}

/* From what the driver says to a tuo_caps. offloads: of its tx_offload_capa, what is enabled. */
static void describe_port(struct port *port, const struct rte_eth_dev_info *info, uint64_t tx, uint64_t rx) {
    const struct options *const o = &port->bridge->options;
    const uint32_t tso_max = (uint32_t)RTE_MIN(o->max_superpacket, 65535ul); /* an mbuf's data_len has 16 bits */
    tuo_caps *const c = &port->caps;
    port->flat = !(tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) || info->tx_desc_lim.nb_seg_max == 1;
    port->frame_max = port->mtu + (uint32_t)(RTE_ETHER_HDR_LEN + TAG_LEN);
    c->ethernet = 1;
    c->mtu = port->mtu;
    c->tx_vlan_insert = (tx & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
    c->tx_csum_ip4 = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
    c->tx_csum_tcp4 = c->tx_csum_tcp6 = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
    c->tx_csum_udp4 = c->tx_csum_udp6 = (tx & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
    c->tx_vlan_max = 2; /* l2_len may be anything for DPDK; more than two tags were not tried */
    c->tso_sum_no_len = 1; /* rte_ipv4_phdr_cksum, rte_ipv6_phdr_cksum */
    if (!port->flat && c->tx_csum_ip4 && (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO)) c->max_tcp4 = c->max_tcp6 = tso_max;
    if (!port->flat && c->tx_csum_ip4 && (tx & RTE_ETH_TX_OFFLOAD_UDP_TSO)) c->max_udp4 = c->max_udp6 = tso_max;
    c->rx_csum_ip4 = (rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
    c->rx_csum_tcp4 = c->rx_csum_tcp6 = (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
    c->rx_csum_udp4 = c->rx_csum_udp6 = (rx & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) != 0;
    if (strcmp(info->driver_name, "net_tap") == 0) correct_net_tap(port);
    fprintf(stderr, "dpdk_port: port %u: %s, MTU %u, checksums ip4=%d tcp=%d udp=%d,", port->id, info->driver_name, port->mtu,
            c->tx_csum_ip4, c->tx_csum_tcp4, c->tx_csum_udp4);
    fprintf(stderr, " TSO tcp4=%u tcp6=%u udp=%u, chains=%d\n", c->max_tcp4, c->max_tcp6, c->max_udp4, !port->flat);
}

static uint64_t wanted_tx(const struct options *o) {
    uint64_t tx = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
                  RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_UDP_TSO;
    if (o->no_csum) tx = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
    if (o->no_tso) tx &= ~(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_UDP_TSO);
    if (o->no_segs) tx &= ~RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    return tx;
}

static uint64_t wanted_rx(const struct options *o) {
    uint64_t rx = 0;
    if (!o->no_csum) rx |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    if (o->data_room < ROOM) rx |= RTE_ETH_RX_OFFLOAD_SCATTER;
    return rx;
}

static void open_port(struct bridge *b, uint16_t id) {
    struct port *const port = &b->ports[b->port_count++];
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf;
    int error;
    memset(&conf, 0, sizeof conf);
    port->bridge = b;
    port->id = id;
    error = rte_eth_dev_info_get(id, &info);
    if (error) fail("port", rte_strerror(-error));
    conf.txmode.offloads = info.tx_offload_capa & wanted_tx(&b->options);
    conf.rxmode.offloads = info.rx_offload_capa & wanted_rx(&b->options);
    port->rx_pool = conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER ? b->small : b->flat;
    error = rte_eth_dev_configure(id, 1, 1, &conf);
    if (!error) error = rte_eth_rx_queue_setup(id, 0, DESCRIPTORS, rte_socket_id(), NULL, port->rx_pool);
    if (!error) error = rte_eth_tx_queue_setup(id, 0, DESCRIPTORS, rte_socket_id(), NULL);
    if (!error) error = rte_eth_dev_start(id);
    if (!error) error = rte_eth_dev_get_mtu(id, &port->mtu);
    if (error) fail(info.driver_name, rte_strerror(-error));
    (void)rte_eth_promiscuous_enable(id); /* as a bridge must; software ports that see everything anyway may not have it */
    describe_port(port, &info, conf.txmode.offloads, conf.rxmode.offloads);
    if (tuo_tx_queue_init(&port->tx, port->tx_slots, TX_SLOTS, send_burst, port) != TUO_OK ||
        tuo_rx_queue_init(&port->rx, port->rx_slots, BURST, recv_burst, port) != TUO_OK) fail("port", "queues");
}

static struct rte_mempool *mbuf_pool(const char *name, uint16_t data_room) {
    struct rte_mempool *const pool = rte_pktmbuf_pool_create(name, MBUFS, 32, 0, data_room, (int)rte_socket_id());
    if (!pool) fail(name, rte_strerror(rte_errno));
    return pool;
}

static void make_pools(struct bridge *b) {
    b->flat = mbuf_pool("flat", RTE_PKTMBUF_HEADROOM + ROOM);
    b->small = mbuf_pool("small", (uint16_t)(RTE_PKTMBUF_HEADROOM + b->options.data_room));
    b->borrowers = mbuf_pool("borrowers", 0);
    b->inputs = rte_mempool_create("inputs", INPUTS, sizeof(struct input), 0, 0, NULL, NULL, NULL, NULL, (int)rte_socket_id(), 0);
    if (!b->inputs) fail("inputs", rte_strerror(rte_errno));
}

static void open_tap(struct bridge *b) {
    tuo_tun_desc desc = { 0 };
    tuo_result result;
    int error = 0;
    desc.name = b->options.tap;
    desc.tap = 1;
    desc.up = 1;
    desc.mtu = (uint32_t)b->options.mtu;
    result = tuo_tun_open(&b->tap, &desc, &error);
    if (result != TUO_OK) fail(b->options.tap, error ? strerror(error) : tuo_result_text(result));
}

/* Memory for the library's instances: any that is aligned does. */
static void *memory(size_t size) {
    void *const mem = size ? rte_malloc(NULL, size, RTE_CACHE_LINE_SIZE) : NULL;
    if (!mem) fail("start", "not enough memory");
    return mem;
}

static void make_instances(struct bridge *b) {
    static const uint16_t tunnels[] = { 4789, 8472, 6081, 4500 }; /* manual, Limits */
    tuo_gro_desc desc = { 0 };
    tuo_caps tap;
    size_t size;
    tuo_tun_caps(b->tap, &tap);
    desc.max_packets = (uint32_t)b->options.batch;
    desc.hash_seed = rte_rand();
    desc.ethernet = 1;
    desc.no_vnet_hdr = 1; /* tuo_tun_send_iov writes it */
    desc.max_frags = PIECES_MAX;
    desc.disable_tcp4 = tap.max_tcp4 == 0;
    desc.disable_tcp6 = tap.max_tcp6 == 0;
    desc.disable_udp4 = tap.max_udp4 == 0;
    desc.disable_udp6 = tap.max_udp6 == 0;
    desc.disable_tcp6_ext = 1;
    memcpy(desc.udp_excluded_ports, tunnels, sizeof tunnels);
    desc.udp_excluded_port_count = RTE_DIM(tunnels);
    size = tuo_gro_memory_size(&desc);
    if (tuo_gro_init(&b->gro, memory(size), size, &desc) != TUO_OK) fail("start", "GRO");
    tuo_gro_query_desc(b->gro, &desc);
    b->piece_max = desc.max_packets;
    b->pieces = (tuo_iov *)memory(desc.max_packets * sizeof *b->pieces);
    size = tuo_flow_table_memory_size(STATIONS);
    if (tuo_flow_table_init(&b->stations, memory(size), size, STATIONS, rte_rand()) != TUO_OK) fail("start", "table of stations");
    b->mbuf_ops.user = b;
    b->mbuf_ops.data = mbuf_data;
    b->mbuf_ops.len = mbuf_length;
    b->mbuf_ops.capacity = mbuf_capacity;
    b->mbuf_ops.resize = mbuf_resize;
    b->mbuf_ops.append = mbuf_append;
}

/* --- stopping --- */

static void print_numbers(const struct bridge *b) {
    unsigned i;
    printf("tap: in=%" PRIu64 " superpackets_in=%" PRIu64 " out=%" PRIu64, b->tap_in, b->tap_superpackets_in, b->tap_out);
    printf(" superpackets_out=%" PRIu64 " merged=%" PRIu64 " lost=%" PRIu64 "\n", b->tap_superpackets_out, b->merged, b->lost);
    for (i = 0; i < b->port_count; i++) {
        const struct port_stats *const s = &b->ports[i].stats;
        printf("port %u: in=%" PRIu64 " verified=%" PRIu64 " forwarded=%" PRIu64, i, s->in, s->verified, s->forwarded);
        printf(" put_back=%" PRIu64 " other_vlan=%" PRIu64 " out=%" PRIu64, s->put_back, s->other_vlan, s->out);
        printf(" tso=%" PRIu64 " tso_segments=%" PRIu64 " csum_left=%" PRIu64, s->tso, s->tso_segments, s->csum_left);
        printf(" oversize=%" PRIu64 " refused=%" PRIu64 " bursts=%" PRIu64, s->oversize, s->refused, s->bursts);
        printf(" kept=%" PRIu64 " kept_most=%" PRIu64 "\n", s->kept, s->kept_most);
    }
}

/* Everything that is still queued is freed; then no pool may miss anything. */
static unsigned close_ports(struct bridge *b) {
    unsigned i, leaked;
    for (i = 0; i < b->port_count; i++) {
        struct port *const port = &b->ports[i];
        tuo_rx_packet packets[BURST];
        size_t count = tuo_rx_queue_batch(&port->rx, packets, BURST); /* what was put back is among them */
        void *m;
        while (count) rte_pktmbuf_free((struct rte_mbuf *)packets[--count].user);
        while ((m = tuo_tx_queue_take(&port->tx)) != NULL) rte_pktmbuf_free((struct rte_mbuf *)m);
    }
    if (b->input) release_input(b->input);
    for (i = 0; i < b->port_count; i++) {
        (void)rte_eth_dev_stop(b->ports[i].id);
        (void)rte_eth_dev_close(b->ports[i].id);
    }
    leaked = rte_mempool_in_use_count(b->flat) + rte_mempool_in_use_count(b->small) + rte_mempool_in_use_count(b->borrowers);
    return leaked + rte_mempool_in_use_count(b->inputs);
}

/* --- options --- */

static void usage(FILE *to) {
    fputs("usage: dpdk_port EAL-OPTIONS -- --tap NAME [options]\n"
          "Bridges a TAP device and all DPDK ports until SIGINT or SIGTERM. Needs CAP_NET_ADMIN.\n"
          "  --tap NAME            made or attached to\n"
          "  --mtu N               of the TAP (what it has)\n"
          "  --copy                segments and superpackets by copy, no offload to ports\n"
          "  --vlan N              frames of all ports carry this 802.1Q tag, those of the TAP do not; others are dropped\n"
          "  --no-tso, --no-csum, --no-segs   as if no port had segmentation; checksums (nor segmentation); chains of mbufs\n"
          "  --max-superpacket N   bytes of the largest IP packet left to a port to segment (65535)\n"
          "  --batch N             mbufs held by GRO at a time (256)\n"
          "  --data-room N         bytes per received mbuf, where the port makes chains (2048)\n"
          "  --generate BYTES --generate-to PROTO,MAC,FROM,TO,PORT,SIZE\n"
          "                        on SIGUSR1, send BYTES of numbered lines by udp or tcp in payloads of SIZE bytes to this station,\n"
          "                        60000 bytes at a time; TCP has CWR each time, and belongs to a connection that nobody opened\n"
          "  --check               compare each descriptor with what DPDK's own functions say, each verified packet with its sums\n", to);
}

static void read_options(struct options *o, int argc, char **argv) {
    static const struct option known[] = {
        { "tap", 1, NULL, 't' }, { "mtu", 1, NULL, 'u' }, { "copy", 0, NULL, 'c' }, { "vlan", 1, NULL, 'v' }, { "no-tso", 0, NULL, 'T' },
        { "no-csum", 0, NULL, 'C' }, { "no-segs", 0, NULL, 'S' }, { "max-superpacket", 1, NULL, 'm' }, { "batch", 1, NULL, 'b' },
        { "data-room", 1, NULL, 'r' }, { "generate", 1, NULL, 'g' }, { "generate-to", 1, NULL, 'G' }, { "check", 0, NULL, 'k' },
        { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 }
    };
    int c;
    o->vlan = NO_VLAN;
    o->max_superpacket = 65535;
    o->data_room = ROOM;
    optind = 1;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
            case 't': o->tap = optarg; break;
            case 'u': o->mtu = number("--mtu", optarg, 68, 65521); break;
            case 'c': o->copy = 1; break;
            case 'v': o->vlan = (int)number("--vlan", optarg, 1, 4094); break;
            case 'T': o->no_tso = 1; break;
            case 'C': o->no_csum = 1; break;
            case 'S': o->no_segs = 1; break;
            case 'm': o->max_superpacket = number("--max-superpacket", optarg, 576, 65535); break;
            case 'b': o->batch = number("--batch", optarg, 1, 65536); break;
            case 'r': o->data_room = number("--data-room", optarg, 128, ROOM); break;
            case 'g': o->generate = number("--generate", optarg, 1, 4000000000ul); break;
            case 'G': o->generate_to = optarg; break;
            case 'k': o->check = 1; break;
            case 'h': usage(stdout); exit(0);
            default: usage(stderr); exit(2);
        }
    }
    if (!o->tap || optind != argc || !o->generate != !o->generate_to) {
        usage(stderr);
        exit(2);
    }
}

static void catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGUSR1, &action, NULL);
}

int main(int argc, char **argv) {
    static struct bridge bridge;
    unsigned leaked;
    uint64_t id;
    int used;
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    used = rte_eal_init(argc, argv);
    if (used < 0) fail("EAL", rte_strerror(rte_errno));
    read_options(&bridge.options, argc - used, argv + used);
    catch_signals();
    make_pools(&bridge);
    open_tap(&bridge);
    make_instances(&bridge);
    for (id = rte_eth_find_next(0); id < RTE_MAX_ETHPORTS; id = rte_eth_find_next((uint16_t)(id + 1))) {
        if (bridge.port_count == PORTS_MAX) fail("ports", "too many");
        open_port(&bridge, (uint16_t)id);
    }
    if (bridge.port_count == 0) fail("ports", "none; --vdev=net_tap0 makes one");
    if (bridge.options.generate) prepare_generator(&bridge);
    fprintf(stderr, "dpdk_port: %s and %u ports are up\n", tuo_tun_name(bridge.tap), bridge.port_count);
    run(&bridge);
    leaked = close_ports(&bridge);
    print_numbers(&bridge);
    if (bridge.options.check) printf("checks failed: %" PRIu64 "\n", bridge.checks_failed);
    printf("mbufs leaked: %u\n", leaked);
    if (bridge.failure != TUO_OK) fprintf(stderr, "dpdk_port: %s: %s\n", bridge.options.tap, tuo_result_text(bridge.failure));
    tuo_tun_close(bridge.tap);
    (void)rte_eal_cleanup();
    return leaked || bridge.failure != TUO_OK || bridge.checks_failed ? 1 : 0;
}
