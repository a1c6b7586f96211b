/* lwip_tun - a TCP/IP stack in user space, lwIP as Debian packages it, on a TUN device with offloads.

   cc -std=c99 -O2 -I. $(pkg-config --cflags lwip | sed 's/-I/-isystem /g') -o build/lwip_tun examples/lwip_tun.c \
      $(pkg-config --libs lwip) -pthread && build/lwip_tun --help

   lwIP knows nothing of offloads: it sends segments of one MSS, and sums every byte that comes and goes. Yet it can have them:

       TUN  --TCP superpacket-->  as it is, one pbuf of up to 64 KiB  -->  lwIP
       TUN  --UDP superpacket-->  split into its datagrams            -->  lwIP
       TUN  <--superpacket, one writev--  coalesced  <--segments of a turn--  lwIP

   and with --coalesce, from a device that has no offloads itself:

       TUN  --TCP segments of a turn-->  a finished superpacket, one pbuf chain  -->  lwIP

   A TCP superpacket is nothing but a long segment, and lwIP takes segments of any length that its window has room for. A UDP
   superpacket stands for many datagrams, so it must be split. What lwIP sends goes to tuo_gro_push_iov by reference, pbuf chains as they
   are, and leaves at the end of the turn. Checksums that the kernel has verified are not summed again: see "Checksums". A finished
   superpacket has a complete checksum, made from those of its segments: lwIP sums it as it would have summed them.

   Where the library is used: read_one(), take(), split() and deliver() hand packets to lwIP, collect() and transmit() take them from
   it. One thread, without lwIP's own: it calls lwIP's raw API and runs its timers. The state is global, as lwIP's is.

   Services, each over IPv4 and IPv6: discard (reads), echo (also UDP), chargen (writes an endless pattern until the peer closes). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* getopt_long in strict C99 */
#endif
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <lwip/inet_chksum.h>
#include <lwip/init.h>
#include <lwip/ip4_frag.h>
#include <lwip/ip6_frag.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h> /* tcp_active_pcbs, to end what is open at exit */
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    MTU = 1500,
    PACKET_MAX = 65535,
    TURN = 64,               /* packets read before what lwIP answered is written */
    QUEUE = 512,             /* pbufs of lwIP written at once; a turn that has more writes more often */
    HEADROOM = LWIP_MEM_ALIGN_SIZE(PBUF_LINK), /* in front of what is received, as lwIP would leave it */
    PATTERN = 65521,         /* period of chargen's bytes: a prime, so that no exchange of segments goes unseen */
    WRITE_MAX = 65535        /* bytes in one tcp_write */
};

struct options {
    const char *dev, *address4, *address6, *lwip4, *lwip6;
    u16_t discard, echo, chargen;
    int no_offload, coalesce, stats;
};

/* What was counted since the start, in the order in which it is printed. Payload bytes are those that services took and gave. */
#define COUNTERS(X)                                                                                                   \
    X(connections) X(tcp_in_bytes) X(tcp_out_bytes) X(udp_in) X(udp_out)                                              \
    X(packets_in)       /* handed to lwIP: a superpacket that stays whole is one */                                   \
    X(finished)         /* of them made of several segments (--coalesce) */                                           \
    X(moved_bytes)      /* of short packets that moved to memory of their own size */                                 \
    X(split)            /* of them datagrams of superpackets */                                                       \
    X(packets_out)      /* segments, datagrams and the like that lwIP sent */                                         \
    X(trusted)          /* TCP and UDP checksums that lwIP asked about and that were not summed: the kernel knows them */ \
    X(summed)           /* those that were */                                                                         \
    X(bad_checksums)    /* of them wrong: lwIP drops the packet */                                                    \
    X(summed_bytes)     /* headers and payload; without what is summed while it is copied for sending */              \
    X(chains)           /* of packets_out: several pbufs, one iovec each */                                           \
    X(copied)           /* of packets_out: with bytes that are only lent */                                           \
    X(copied_bytes)     /* of them, and payload that lwIP copied when a service wrote it */                           \
    X(refused)          /* read, and thrown away: vnet header and packet contradict each other */                     \
    X(lost)             /* of lwIP, not written: interface down, or the end of the program */                         \
    X(reads) X(polls)   /* system calls; writes are counted by the library */

struct counters {
#define X(name) unsigned long long name;
    COUNTERS(X)
#undef X
};

/* A packet from the device, as the pbuf that lwIP gets. */
enum trust { ASK, TRUSTED, SENT_BACK }; /* its checksum: to be verified; known to be right; to be made anew */
struct received {
    struct pbuf_custom custom; /* first: lwIP knows its address only */
    enum trust trust;
    uint8_t bytes[];           /* HEADROOM, then the packet */
};

enum service { DISCARD, ECHO, CHARGEN };
static enum service services[] = { DISCARD, ECHO, CHARGEN }; /* what a listener's callback argument points to */

struct connection {
    enum service service;
    struct tcp_pcb *pcb;
    struct pbuf *pending; /* echo: received, and no room yet to send it */
    size_t pattern_off;   /* chargen: where in its period the next byte is */
    int peer_closed;
};

static struct {
    struct options options;
    tuo_tun *tun;
    struct netif netif;
    struct received *room;  /* for the next packet; NULL: lwIP has it */
    size_t room_len;        /* PACKET_MAX; MTU: no superpacket can come */
    tuo_gro *gro;           /* holds what lwIP sent: users are pbufs */
    tuo_gro *rx_gro;        /* --coalesce: holds what the device delivered in this turn, users are struct received; else NULL */
    tuo_iov pieces[QUEUE];  /* of the packets that it holds, one for each pbuf */
    size_t piece_count;
    long long pbufs_held;   /* received ones that lwIP has, and references to its own */
    struct counters count;
    uint8_t pattern[PATTERN + WRITE_MAX];
} app;

static volatile sig_atomic_t stop;
static void on_signal(int number) {
    stop = number;
    tuo_tun_wake(app.tun);
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "lwip_tun: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    exit(1);
}

/* --- Checksums --- */
/* Debian's lwIP always verifies TCP and UDP checksums and has no switch per interface (LWIP_CHECKSUM_CTRL_PER_NETIF). But it calls its
   own checksum functions as any program would, through the dynamic linker, which finds a definition in the program first. So these
   three replace those of the library; interposed() makes sure of it.

   On input, ip_chksum_pseudo() is the question whether a packet's checksum is right: 0 says yes. The answer for a packet that came with
   NEEDS_CSUM (it never was on a wire, and its field has no more than the pseudo-header sum) or DATA_VALID (somebody has summed it) is
   known. Everything else is summed, by tuo_csum.

   On output, lwIP sums payload while it copies it (tcp_write), by tuo_csum_copy, and every packet is complete: what does not merge leaves
   with a zero vnet header, in which a partial checksum would be a wrong one. GRO need not verify what was just made (trust_checksums);
   of what merges the payload's sum is made in vain, but in the same pass as the copy. */

static void free_received(struct pbuf *p) {
    app.pbufs_held--;
    free(p);
}

static struct received *as_received(struct pbuf *p) {
    const int ours = (p->flags & PBUF_FLAG_IS_CUSTOM) && ((struct pbuf_custom *)p)->custom_free_function == free_received;
    return ours ? (struct received *)p : NULL;
}

u16_t lwip_standard_chksum(const void *bytes, int len); /* lwIP declares it in its own source only */
u16_t lwip_standard_chksum(const void *bytes, int len) {
    app.count.summed_bytes += (unsigned)len;
    return lwip_htons(tuo_csum(bytes, (size_t)len, 0));
}

u16_t lwip_chksum_copy(void *to, const void *from, u16_t len) {
    app.count.copied_bytes += len;
    return lwip_htons(tuo_csum_copy(from, len, 0, to));
}

/* Of TCP and UDP. The sum over a chain of pbufs, some perhaps of odd length, is left to lwIP, which uses the one above. */
u16_t ip_chksum_pseudo(struct pbuf *p, u8_t proto, u16_t proto_len, const ip_addr_t *src, const ip_addr_t *dest) {
    const struct received *const r = as_received(p);
    const int input = r && r->trust != SENT_BACK;
    u16_t checksum;
    if (input && r->trust == TRUSTED) {
        app.count.trusted++;
        return 0;
    }
    checksum = dest->type == IPADDR_TYPE_V6 ? ip6_chksum_pseudo(p, proto, proto_len, ip_2_ip6(src), ip_2_ip6(dest))
                                            : inet_chksum_pseudo(p, proto, proto_len, ip_2_ip4(src), ip_2_ip4(dest));
    app.count.summed += (unsigned)input;
    app.count.bad_checksums += input && checksum != 0;
    return checksum;
}

static int interposed(void) {
    static const uint8_t word[2] = { 1, 2 };
    const unsigned long long before = app.count.summed_bytes;
    (void)inet_chksum(word, sizeof word);
    return app.count.summed_bytes == before + sizeof word;
}

/* --- From the device to lwIP --- */

static struct received *new_received(size_t cap) {
    struct received *const r = (struct received *)malloc(sizeof *r + HEADROOM + cap);
    if (!r) fail("receive", strerror(ENOMEM));
    return r;
}

/* From here on r is lwIP's. offset: of the first byte in the packet. */
static struct pbuf *as_pbuf(struct received *r, size_t offset, size_t len, enum trust trust) {
    uint8_t *const bytes = r->bytes + HEADROOM + offset;
    r->custom.custom_free_function = free_received;
    r->trust = trust;
    app.pbufs_held++;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_RAM, &r->custom, bytes, (u16_t)len); /* never NULL */
}

static void give(struct pbuf *p) {
    app.count.packets_in++;
    if (app.netif.input(p, &app.netif) != ERR_OK) pbuf_free(p);
}

static void hand_over(struct received *r, size_t len, enum trust trust) {
    give(as_pbuf(r, 0, len, trust));
}

/* A superpacket as lwIP can take it. The segments keep pseudo-header sums: nobody will look. */
static void split(const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet) {
    tuo_gso gso;
    tuo_segment segment;
    if (tuo_gso_init(&gso, pkt, len, vnet, TUO_F_PSEUDO) != TUO_OK) {
        app.count.refused++;
        return;
    }
    while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) {
        struct received *const r = new_received(segment.len);
        size_t i, at = HEADROOM;
        for (i = 0; i < segment.iov_count; i++) {
            memcpy(&r->bytes[at], segment.iov[i].base, segment.iov[i].len);
            at += segment.iov[i].len;
        }
        app.count.split++;
        hand_over(r, segment.len, TRUSTED);
    }
}

/* May lwIP be told that the checksum is right? Only if it is the one that lwIP asks about. Fragments (kind NONE) are no packets yet.
   Any other partial checksum, of a packet inside a tunnel for instance, is finished. */
static tuo_result judge(uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet, const tuo_pkt_info *info, enum trust *trust) {
    const int tcp = info->kind == TUO_KIND_TCP4 || info->kind == TUO_KIND_TCP6;
    *trust = ASK;
    if (vnet->flags & TUO_VNET_NEEDS_CSUM) {
        if (info->kind == TUO_KIND_NONE || vnet->csum_start != info->l4_off || vnet->csum_offset != (tcp ? 16 : 6))
            return tuo_csum_complete(pkt, len, vnet->csum_start, vnet->csum_offset);
        *trust = TRUSTED;
    } else if ((vnet->flags & TUO_VNET_DATA_VALID) && info->kind != TUO_KIND_NONE) {
        *trust = TRUSTED;
    }
    return TUO_OK;
}

/* The packet in app.room, to be kept. lwIP may hold it for long: a short one moves to memory of its own size. */
static struct received *keep(size_t len) {
    struct received *r = app.room;
    if (len >= app.room_len / 4) {
        app.room = NULL;
        return r;
    }
    r = new_received(len);
    memcpy(r->bytes + HEADROOM, app.room->bytes + HEADROOM, len);
    app.count.moved_bytes += len;
    return r;
}

/* The segments of a superpacket as one chain. Its headers, iov[0], replace those of the first segment, which are as long. */
static struct pbuf *as_chain(const tuo_superpacket *sp) {
    struct received *const r = (struct received *)sp->users[0];
    const size_t hdr_len = sp->iov[0].len;
    struct pbuf *first;
    size_t i;
    memcpy(r->bytes + HEADROOM, sp->iov[0].base, hdr_len);
    first = as_pbuf(r, 0, hdr_len + sp->iov[1].len, ASK);
    for (i = 1; i < sp->packet_count; i++)
        pbuf_cat(first, as_pbuf((struct received *)sp->users[i], hdr_len, sp->iov[i + 1].len, ASK));
    app.count.finished++;
    return first;
}

/* --coalesce: what has arrived in this turn. */
static void deliver(void) {
    tuo_superpacket sp;
    while (tuo_gro_next(app.rx_gro, &sp) == TUO_OK) {
        if (sp.packet_count > 1) give(as_chain(&sp));
        else hand_over((struct received *)sp.users[0], sp.len, ASK);
    }
}

/* One packet or superpacket, in app.room. */
static void take(size_t len, const tuo_vnet_hdr *vnet) {
    uint8_t *const pkt = app.room->bytes + HEADROOM;
    enum trust trust;
    tuo_pkt_info info;
    if (app.rx_gro) {
        struct received *const r = keep(len);
        (void)tuo_gro_push(app.rx_gro, r->bytes + HEADROOM, len, r, 0); /* there is room for a turn */
        return;
    }
    memset(&info, 0, sizeof info);
    if (tuo_parse(pkt, len, 0, &info) != TUO_OK) info.kind = TUO_KIND_NONE; /* for lwIP to judge, which asks for every checksum */
    if (vnet->gso_type != TUO_GSO_NONE && info.kind != TUO_KIND_TCP4 && info.kind != TUO_KIND_TCP6) {
        split(pkt, len, vnet);
        return;
    }
    if (tuo_vnet_check(vnet, pkt, len, 0) != TUO_OK || judge(pkt, len, vnet, &info, &trust) != TUO_OK) {
        app.count.refused++;
        return;
    }
    hand_over(keep(len), len, trust);
}

static tuo_result read_one(void) {
    tuo_vnet_hdr vnet = { 0 };
    size_t len = 0;
    tuo_result result;
    if (!app.room) app.room = new_received(app.room_len);
    app.count.reads++;
    result = tuo_tun_recv(app.tun, app.room->bytes + HEADROOM, app.room_len, &vnet, &len);
    if (result == TUO_OK) take(len, &vnet);
    return result;
}

/* --- From lwIP to the device --- */

/* The device may want to be waited for. */
static tuo_result write_one(const tuo_superpacket *sp) {
    tuo_result result;
    while ((result = tuo_tun_send_iov(app.tun, sp->iov, sp->iov_count, &sp->vnet)) == TUO_AGAIN) {
        app.count.polls++;
        result = tuo_tun_wait(app.tun, 1, -1);
        if (result != TUO_OK && result != TUO_AGAIN) break;
    }
    return result;
}

/* Of a superpacket that the kernel refused, the library may hold segments that did not fit. */
static tuo_result flush(void) {
    tuo_result result;
    while ((result = tuo_tun_flush(app.tun)) == TUO_AGAIN) {
        app.count.polls++;
        result = tuo_tun_wait(app.tun, 1, -1);
        if (result != TUO_OK && result != TUO_AGAIN) break;
    }
    return result;
}

/* What lwIP sent since the last time: superpackets where segments allow it, one writev each. */
static tuo_result transmit(void) {
    tuo_superpacket sp;
    tuo_result result = TUO_OK;
    while (tuo_gro_next(app.gro, &sp) == TUO_OK) {
        size_t i;
        if (result == TUO_OK) result = write_one(&sp);
        if (result != TUO_OK) app.count.lost += sp.packet_count;
        for (i = 0; i < sp.packet_count; i++) {
            pbuf_free((struct pbuf *)sp.users[i]);
            app.pbufs_held--;
        }
    }
    app.piece_count = 0;
    if (result == TUO_OK) result = flush();
    return result == TUO_E_DOWN ? TUO_OK : result; /* a cut cable: TCP will send it again */
}

static int is_lent(const struct pbuf *p) {
    while (p && !PBUF_NEEDS_COPY(p)) p = p->next;
    return p != NULL;
}

/* lwIP sends. A reference keeps the bytes until they are written: lwIP neither changes nor sends again a segment that has more than its
   own. All headers are in the first pbuf. With LWIP_NETIF_TX_SINGLE_PBUF, which Debian has set, TCP packets come in one piece, at the
   price that tcp_write copies always; UDP can still come in several. Without it, what is written without TCP_WRITE_FLAG_COPY is never
   copied. Bytes that are only lent are copied here. */
static err_t collect(struct pbuf *p) {
    const struct pbuf *piece;
    tuo_iov *iov;
    size_t count = 0;
    if (pbuf_clen(p) > QUEUE || is_lent(p)) {
        p = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
        if (!p) return ERR_MEM;
        app.count.copied++;
        app.count.copied_bytes += p->tot_len;
    } else {
        pbuf_ref(p);
    }
    app.pbufs_held++;
    app.count.packets_out++;
    app.count.chains += p->next != NULL;
    if (app.piece_count + pbuf_clen(p) > QUEUE) (void)transmit(); /* an error shows in the loop, too */
    iov = &app.pieces[app.piece_count];
    for (piece = p; piece; piece = piece->next) {
        iov[count].base = piece->payload;
        iov[count++].len = piece->len;
    }
    app.piece_count += count;
    (void)tuo_gro_push_iov(app.gro, iov, count, p, 0); /* there is room: max_packets counts pieces as well */
    return ERR_OK;
}

static err_t output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to) {
    (void)netif;
    (void)to; /* there is one neighbour: the kernel */
    return collect(p);
}

static err_t output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to) {
    (void)netif;
    (void)to;
    return collect(p);
}

/* --- Services --- */

/* As many segments as there is room for, and only whole ones: they make the longest superpackets. */
static void generate(struct connection *c) {
    const size_t room = LWIP_MIN(tcp_sndbuf(c->pcb), WRITE_MAX), n = room - room % tcp_mss(c->pcb);
    if (!n || tcp_write(c->pcb, app.pattern + c->pattern_off, (u16_t)n, TCP_WRITE_FLAG_MORE) != ERR_OK) return; /* never changes: no copy */
    c->pattern_off = (c->pattern_off + n) % PATTERN;
    app.count.tcp_out_bytes += n;
}

/* What does not fit waits, and keeps the window closed by so much. */
static void send_back(struct connection *c) {
    while (c->pending) {
        struct pbuf *const p = c->pending;
        const u16_t n = (u16_t)LWIP_MIN(tcp_sndbuf(c->pcb), p->len);
        if (!p->len) { /* a piece whose bytes were all headers */
            c->pending = pbuf_dechain(p);
            pbuf_free(p);
            continue;
        }
        if (!n || tcp_write(c->pcb, p->payload, n, TCP_WRITE_FLAG_COPY | (n < p->tot_len ? TCP_WRITE_FLAG_MORE : 0)) != ERR_OK) return;
        c->pending = pbuf_free_header(p, n);
        app.count.tcp_out_bytes += n;
        tcp_recved(c->pcb, n);
    }
}

static void forget(struct connection *c) {
    if (c->pending) pbuf_free(c->pending);
    free(c);
}

/* After everything that may have made room, or work. ERR_ABRT tells lwIP that the connection is no more. */
static err_t go_on(struct connection *c) {
    struct tcp_pcb *const pcb = c->pcb;
    if (c->service == CHARGEN && !c->peer_closed) generate(c);
    if (c->service == ECHO) send_back(c);
    if (!c->peer_closed || c->pending) return ERR_OK;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    tcp_err(pcb, NULL);
    forget(c);
    if (tcp_close(pcb) == ERR_OK) return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
    struct connection *const c = (struct connection *)argument;
    (void)error;
    if (!p) {
        c->peer_closed = 1;
        return go_on(c);
    }
    app.count.tcp_in_bytes += p->tot_len;
    if (c->service != ECHO) {
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
        return ERR_OK;
    }
    if (c->pending) pbuf_cat(c->pending, p); /* 16-bit lengths suffice: pending never exceeds the receive window */
    else c->pending = p;
    return go_on(c);
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, u16_t len) {
    (void)pcb;
    (void)len;
    return go_on((struct connection *)argument);
}

static err_t on_poll(void *argument, struct tcp_pcb *pcb) { /* memory that was short may be there now */
    (void)pcb;
    return go_on((struct connection *)argument);
}

static void on_error(void *argument, err_t error) {
    (void)error;
    forget((struct connection *)argument);
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct connection *c;
    if (error != ERR_OK || !pcb) return ERR_VAL;
    c = (struct connection *)calloc(1, sizeof *c);
    if (!c) return ERR_MEM;
    c->service = *(const enum service *)argument;
    c->pcb = pcb;
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_receive);
    tcp_sent(pcb, on_sent);
    tcp_poll(pcb, on_poll, 2);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb); /* echo: a short last segment would wait for the acknowledgment of those before */
    app.count.connections++;
    return go_on(c);
}

static void on_datagram(void *argument, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port) {
    struct received *const r = as_received(p);
    (void)argument;
    app.count.udp_in++;
    if (r) r->trust = SENT_BACK; /* in the pbuf that it came in: from here on lwIP asks for a new checksum */
    app.count.udp_out += udp_sendto(pcb, p, from, port) == ERR_OK;
    pbuf_free(p);
}

static struct tcp_pcb *serve(enum service service, u16_t port) {
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (!pcb || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK || !(pcb = tcp_listen(pcb))) fail("listen", "lwIP refuses");
    tcp_arg(pcb, &services[service]);
    tcp_accept(pcb, on_accept);
    return pcb;
}

static struct udp_pcb *serve_udp(u16_t port) {
    struct udp_pcb *const pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
    if (!pcb || udp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) fail("UDP echo", "lwIP refuses");
    udp_recv(pcb, on_datagram, NULL);
    return pcb;
}

/* --- Start, loop, end --- */

static void open_tun(void) {
    const struct options *const o = &app.options;
    tuo_tun_desc desc = { 0 };
    tuo_result result;
    int error = 0;
    desc.name = o->dev;
    desc.address4 = o->address4;
    desc.address6 = o->address6;
    desc.mtu = MTU;
    desc.up = 1;
    desc.no_vnet_hdr = (uint8_t)(o->no_offload || o->coalesce);
    app.room_len = desc.no_vnet_hdr ? MTU : PACKET_MAX;
    result = tuo_tun_open(&app.tun, &desc, &error);
    if (result != TUO_OK) fail(o->dev ? o->dev : "tun", error ? strerror(error) : tuo_result_text(result));
}

static tuo_gro *new_gro(tuo_gro_desc *desc) {
    tuo_gro *gro = NULL;
    void *mem;
    if (getrandom(&desc->hash_seed, sizeof desc->hash_seed, 0) != sizeof desc->hash_seed) fail("getrandom", strerror(errno));
    mem = malloc(tuo_gro_memory_size(desc));
    if (!mem || tuo_gro_init(&gro, mem, tuo_gro_memory_size(desc), desc) != TUO_OK) fail("GRO", "no memory");
    return gro;
}

static void open_gro(void) {
    tuo_gro_desc tx = { 0 }, rx = { 0 };
    tuo_caps caps;
    tuo_tun_caps(app.tun, &caps);
    tx.max_packets = QUEUE;
    tx.no_vnet_hdr = 1;     /* tuo_tun_send_iov writes it */
    tx.trust_checksums = 1; /* all of them are lwIP's, made a moment ago */
    tx.disable_tcp4 = caps.max_tcp4 == 0;
    tx.disable_tcp6 = caps.max_tcp6 == 0;
    tx.disable_udp4 = caps.max_udp4 == 0;
    tx.disable_udp6 = caps.max_udp6 == 0;
    app.gro = new_gro(&tx);
    if (!app.options.coalesce) return;
    rx.max_packets = TURN;
    rx.no_vnet_hdr = 1;
    rx.finish_checksum = 1;
    rx.trust_checksums = 1; /* lwIP verifies: with a wrong one among its segments, so is that of the superpacket */
    app.rx_gro = new_gro(&rx);
}

static err_t init_netif(struct netif *netif) {
    netif->name[0] = 't';
    netif->name[1] = 'n';
    netif->mtu = MTU;
    netif->mtu6 = MTU;
    netif->output = output4;
    netif->output_ip6 = output6;
    return ERR_OK;
}

static void start_lwip(void) {
    const struct options *const o = &app.options;
    ip4_addr_t address4, mask, none;
    ip6_addr_t address6;
    if (!ip4addr_aton(o->lwip4, &address4)) fail("--lwip-address", "no IPv4 address");
    if (!ip6addr_aton(o->lwip6, &address6)) fail("--lwip-address6", "no IPv6 address");
    ip4_addr_set_u32(&mask, 0xFFFFFFFFu); /* no neighbours: everything goes to the default interface */
    ip4_addr_set_any(&none);
    lwip_init();
    if (!interposed()) fail("liblwip uses its own checksum functions", "is it linked statically?");
    if (!netif_add(&app.netif, &address4, &mask, &none, NULL, init_netif, ip_input)) fail("interface", "lwIP refuses");
    netif_ip6_addr_set(&app.netif, 1, &address6); /* place 0 is for a link-local one, which is not needed here */
    netif_ip6_addr_set_state(&app.netif, 1, IP6_ADDR_PREFERRED);
    netif_set_default(&app.netif);
    netif_set_link_up(&app.netif);
    netif_set_up(&app.netif);
}

/* Until the device has packets or one of lwIP's timers runs out. */
static tuo_result await(void) {
    const u32_t ms = sys_timeouts_sleeptime();
    app.count.polls++;
    return tuo_tun_wait(app.tun, 0, ms > 0x7FFFFFFFu ? -1 : (int)ms);
}

/* Each turn: what has arrived goes to lwIP, and what it then has to send goes out. */
static tuo_result run(void) {
    int emptied = 0;
    while (!stop) {
        tuo_result result = emptied ? await() : TUO_OK, sent;
        int i;
        for (i = 0; i < TURN && result == TUO_OK; i++) result = read_one();
        emptied = result == TUO_AGAIN;
        if (app.rx_gro) deliver();
        sys_check_timeouts();
        sent = transmit();
        if (result != TUO_OK && result != TUO_AGAIN && result != TUO_E_NOSPACE) return result;
        if (sent != TUO_OK) return sent;
    }
    return TUO_OK;
}

/* Everything that may hold a pbuf: connections, and fragments that wait for the rest. */
static void end_lwip(struct tcp_pcb *const *listeners, struct udp_pcb *udp) {
    int i;
    tuo_tun_wake_clear(app.tun);
    while (tcp_active_pcbs) tcp_abort(tcp_active_pcbs);
    for (i = 0; i < 3; i++) (void)tcp_close(listeners[i]);
    udp_remove(udp);
    for (i = 0; i <= IP_REASS_MAXAGE || i <= IPV6_REASS_MAXAGE; i++) {
        ip_reass_tmr();
        ip6_reass_tmr();
    }
    (void)transmit();
    netif_remove(&app.netif);
    free(app.gro);
    free(app.rx_gro);
    free(app.room);
}

static void print_stats(void) {
    tuo_tun_rx_stats rx;
    tuo_tun_tx_stats tx;
    tuo_tun_query_rx_stats(app.tun, &rx);
    tuo_tun_query_tx_stats(app.tun, &tx);
#define X(name) printf(#name "=%llu ", app.count.name);
    COUNTERS(X)
#undef X
    printf("writes=%llu ", (unsigned long long)(tx.tx_writes + tx.tx_again + tx.tx_refused_superpackets + tx.tx_refused_packets));
    printf("superpackets_in=%llu ", (unsigned long long)rx.rx_superpackets);
    printf("superpackets_out=%llu ", (unsigned long long)tx.tx_superpackets);
    printf("again=%llu pbufs_leaked=%lld\n", (unsigned long long)tx.tx_again, app.pbufs_held);
    (void)fflush(stdout);
}

static void print_start(void) {
    tuo_tun_info info;
    uint32_t offloads;
    tuo_tun_query_info(app.tun, &info);
    offloads = info.offloads;
    fprintf(stderr, "lwip_tun: %s is up: lwIP has %s and %s; the kernel may hand over:%s%s%s%s%s\n", tuo_tun_name(app.tun),
            app.options.lwip4, app.options.lwip6, offloads & TUO_TUN_CSUM ? " csum" : "", offloads & TUO_TUN_TSO4 ? " tso4" : "",
            offloads & TUO_TUN_TSO6 ? " tso6" : "", offloads & TUO_TUN_USO ? " uso" : "", offloads ? "" : " plain packets");
}

static void make_pattern(void) { /* tests/examples/lwip_client.c makes the same */
    uint32_t x = 1;
    size_t i;
    for (i = 0; i < sizeof app.pattern; i++) {
        x = x * 1664525u + 1013904223u;
        app.pattern[i] = i < PATTERN ? (uint8_t)(x >> 24) : app.pattern[i - PATTERN];
    }
}

static void usage(FILE *to) {
    fputs("usage: lwip_tun [options]\n"
          "Opens a TUN device and serves TCP on it by lwIP, until SIGINT or SIGTERM. Needs CAP_NET_ADMIN.\n"
          "  --dev NAME             the device (the kernel's choice)\n"
          "  --address A/LEN        the kernel's address on it (10.99.0.1/24)\n"
          "  --address6 A/LEN       (fd00:99::1/64)\n"
          "  --lwip-address A       lwIP's (10.99.0.2)\n"
          "  --lwip-address6 A      (fd00:99::2)\n"
          "  --discard, --echo, --chargen PORT   where to serve (9, 7, 19)\n"
          "  --no-offload           no vnet header: one packet per read and write, every checksum summed\n"
          "  --coalesce             the same, but TCP segments that are read together reach lwIP as one superpacket\n"
          "  --stats                counters at the end\n"
          "  --help                 this text\n", to);
}

static u16_t port(const char *text) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || value < 1 || value > 65535) fail("no port", text);
    return (u16_t)value;
}

static struct options read_options(int argc, char **argv) {
    static const struct option known[] = {
        { "dev", 1, NULL, 'd' }, { "address", 1, NULL, '4' }, { "address6", 1, NULL, '6' }, { "lwip-address", 1, NULL, 'l' },
        { "lwip-address6", 1, NULL, 'L' }, { "discard", 1, NULL, 'i' }, { "echo", 1, NULL, 'e' }, { "chargen", 1, NULL, 'c' },
        { "no-offload", 0, NULL, 'n' }, { "coalesce", 0, NULL, 'C' }, { "stats", 0, NULL, 's' }, { "help", 0, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    struct options o = { NULL, "10.99.0.1/24", "fd00:99::1/64", "10.99.0.2", "fd00:99::2", 9, 7, 19, 0, 0, 0 };
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
            case 'd': o.dev = optarg; break;
            case '4': o.address4 = optarg; break;
            case '6': o.address6 = optarg; break;
            case 'l': o.lwip4 = optarg; break;
            case 'L': o.lwip6 = optarg; break;
            case 'i': o.discard = port(optarg); break;
            case 'e': o.echo = port(optarg); break;
            case 'c': o.chargen = port(optarg); break;
            case 'n': o.no_offload = 1; break;
            case 'C': o.coalesce = 1; break;
            case 's': o.stats = 1; break;
            case 'h': usage(stdout); exit(0);
            default: usage(stderr); exit(2);
        }
    }
    if (optind != argc) {
        usage(stderr);
        exit(2);
    }
    return o;
}

int main(int argc, char **argv) {
    struct tcp_pcb *listeners[3];
    struct udp_pcb *udp;
    struct sigaction action;
    tuo_result result;
    app.options = read_options(argc, argv);
    make_pattern();
    open_tun();
    open_gro();
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    start_lwip();
    listeners[0] = serve(DISCARD, app.options.discard);
    listeners[1] = serve(ECHO, app.options.echo);
    listeners[2] = serve(CHARGEN, app.options.chargen);
    udp = serve_udp(app.options.echo);
    print_start();
    result = run();
    end_lwip(listeners, udp);
    if (app.options.stats) print_stats();
    (void)signal(SIGINT, SIG_IGN); /* on_signal uses the queue */
    (void)signal(SIGTERM, SIG_IGN);
    tuo_tun_close(app.tun);
    if (stop && (result == TUO_OK || result == TUO_E_WOKEN)) return 0;
    fprintf(stderr, "lwip_tun: %s\n", tuo_result_text(result));
    return 1;
}
