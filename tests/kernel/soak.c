/* soak.c - hostile packets through a real TUN device and the kernel's router, for as long as one likes.
   Usage: soak SECONDS [SEED [BATCH]]. Needs root; not part of `make test`.

   Each batch is made at random, written coalesced to one TUN device (tuo_tun_send_batch), forwarded by the kernel, read from
   another one and split (tuo_tun_recv_batch). What arrives must be what a router makes of the packets that were given to the
   library: each of them once, byte for byte, those of a flow in their order. The work for each packet is counted; memory and
   descriptors are watched. Writer and reader are one thread and the queues hold more than a batch, so that a packet that is
   missing was lost, not dropped for lack of room. A failed batch N of seed S comes again with `soak 1 S N`. Under AddressSanitizer,
   set ASAN_OPTIONS=quarantine_size_mb=0: what it keeps of freed memory looks like a leak. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <dirent.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <time.h>
#include "check.h"
#include "packets.h"
#include "gro_traffic.h"
#include "inside.h"
#include "simd_levels.h"
#include "netns.h"
#include "tun_facts.h"

enum {
    BATCH_MAX = 512,
    BUF_LEN = 9216,
    HEADROOM_MAX = 32,
    ARRIVED_MAX = 2 * BATCH_MAX, /* room to see duplicates */
    READ_BUFS = 64,
    COLLIDING = 128,
    QUEUE_LEN = 10000,           /* packets; the kernel drops what does not fit without a word (K 7.14) */
    PATIENCE_MS = 500,
    WARM_UP_BATCHES = 300,       /* until every buffer of the process was in use once */
    GROWTH_MAX = 256 * 1024,     /* bytes: pages that malloc or stdio touch late */
    PROGRESS_SECONDS = 30,
    FAILED_BATCHES_MAX = 3       /* more of them say nothing new */
};

typedef unsigned long long llu; /* to be printed */

/* What is done to a packet's bytes after it was built. */
typedef enum spoil { SPOIL_NOT, SPOIL_VERSION, SPOIL_CUT, SPOIL_L4_BYTE, SPOIL_DATA_OFFSET, SPOIL_COUNT } spoil;

/* A packet that was sent: what must arrive, and in which order. */
typedef struct sent {
    uint64_t digest;     /* of the packet behind the router */
    uint64_t pair, flow; /* digests of the addresses, and of all that makes a flow */
    uint32_t seq, len;
    uint8_t arrives;     /* the router does not drop it */
    uint8_t is_l4;       /* TCP, UDP, or a part of it */
    uint8_t hides_ports; /* so it may belong to any flow of its addresses */
    uint8_t is_data;     /* a TCP segment that may move forward, or be overtaken by one that does */
} sent;

typedef struct arrival {
    uint64_t digest;
    size_t at;
} arrival;

/* What a tuo_gro did for one packet. */
typedef enum work { SLOTS, ITEMS, SUMS, WORK_COUNT } work;

typedef struct writer {
    tuo_tun *tun;
    uint64_t done[WORK_COUNT], most[WORK_COUNT]; /* until now, and for one packet of this batch at most */
    uint64_t asked_count;                        /* packets that the library knows, but has not worked on */
    pkt_spec colliding[COLLIDING];               /* flows that want the same bucket of the flow table */
} writer;

typedef struct batch {
    rng r;
    writer *to;
    tuo_gro_desc desc;
    uint32_t choice;      /* one of the variants of a generator */
    int constant_id;
    int bad;              /* some checksums are wrong: not to be trusted */
    pkt_kind only;        /* the kind of all packets, PKT_KIND_COUNT if there are several */
    size_t wanted, count; /* packets */
    size_t headroom;
    pkt_spec spec[BATCH_MAX + 1]; /* the last one takes what does not fit */
    uint8_t spoilt[BATCH_MAX + 1];
    uint8_t bytes[BATCH_MAX][HEADROOM_MAX + BUF_LEN];
    tuo_buf bufs[BATCH_MAX];
    sent sent[BATCH_MAX];
    arrival expected[BATCH_MAX], arrived[ARRIVED_MAX];
    size_t expected_count, arrived_count;
    size_t place[BATCH_MAX]; /* where a sent packet arrived */
} batch;

static struct {
    uint64_t seed, first_batch;
    double seconds;
    volatile sig_atomic_t stop;
    writer in[2]; /* a wide one and a narrow one */
    tuo_tun *out;
    uint64_t batches, packets, arrived, refused, dropped, neighbour_talk, icmp;
    uint64_t superpackets, merged, merged_alone[PKT_KIND_COUNT], most[WORK_COUNT];
    uint64_t digest_sent, digest_arrived;
} soak;

/* -------------------------------------------------------------------------------------------------------- generators */

static int full(const batch *b)
{
    return b->count >= b->wanted;
}

static pkt_spec *add(batch *b, const pkt_spec *s)
{
    size_t at = full(b) ? BATCH_MAX : b->count++;

    b->spec[at] = *s;
    b->spoilt[at] = SPOIL_NOT;
    return &b->spec[at];
}

static pkt_spec new_flow(batch *b, pkt_kind kind)
{
    static const int32_t sizes[] = {8, 9, 100, 536, 1000, 1400, 1448};
    pkt_spec s;

    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.src = (uint16_t)(1 + rng_below(&b->r, 3));
    s.dst = (uint16_t)(1 + rng_below(&b->r, 3));
    s.src_port = (int32_t)(1 + rng_below(&b->r, 65535));
    s.payload_len = rng_chance(&b->r, 1, 32) ? 8900 : sizes[rng_below(&b->r, CHECK_COUNT_OF(sizes))];
    s.payload_seed = rng_below(&b->r, 1000);
    s.seq = rng_chance(&b->r, 1, 4) ? 0xffff0000u + rng_below(&b->r, 65536) : (uint32_t)rng_u64(&b->r);
    s.ip_id = (uint16_t)(rng_chance(&b->r, 1, 4) ? 65500 + rng_below(&b->r, 36) : rng_below(&b->r, 65536));
    s.df = rng_chance(&b->r, 1, 3) ? PKT_ZERO : 0;
    s.ttl = (int32_t)(10 + rng_below(&b->r, 240));
    s.tos = (uint8_t)(rng_chance(&b->r, 1, 4) ? rng_below(&b->r, 256) : 0);
    s.flow_label = rng_chance(&b->r, 1, 2) ? rng_below(&b->r, 1 << 20) : 0;
    if (rng_chance(&b->r, 1, 2)) {
        s.tcp_options = option_bytes;
        s.tcp_options_len = sizeof option_bytes;
    }
    return s;
}

/* The flow's next packet; the flow moves on. */
static pkt_spec *add_next(batch *b, pkt_spec *flow)
{
    pkt_spec *s = add(b, flow);

    flow->seq += (uint32_t)flow->payload_len;
    if (!b->constant_id)
        flow->ip_id++;
    return s;
}

/* Troubles: what happens to a packet *s that was just added. */

static void short_tail(batch *b, pkt_spec *s, pkt_spec *flow)
{
    s->payload_len = (int32_t)(1 + rng_below(&b->r, (uint32_t)flow->payload_len));
    s->tcp_flags = PKT_ACK | PKT_PSH;
    flow->seq = s->seq + (uint32_t)s->payload_len;
}

/* The same field of every other packet. */
static void other_header(batch *b, pkt_spec *s, pkt_spec *flow)
{
    static const uint8_t other_option_bytes[12] = {1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 9};

    (void)flow;
    switch (b->choice % 13) {
    case 0: s->ttl++; break;
    case 1: s->tos ^= (uint8_t)(1u << rng_below(&b->r, 8)); break;
    case 2: s->df = s->df ? 0 : PKT_ZERO; break;
    case 3: s->ip_id = (uint16_t)(s->ip_id + 1 + rng_below(&b->r, 3)); break;
    case 4: s->frag = 0x8000; break;
    case 5: s->flow_label ^= 1; break;
    case 6: s->window = 8191; break;
    case 7: s->ack++; break;
    case 8: s->reserved = 1; break;
    case 9: s->urgent = 1; break;
    case 10: s->tcp_flags = PKT_ACK | PKT_ECE; break;
    case 11: s->tcp_options_len = s->tcp_options_len ? 0 : 12; /* fall through */
    default: s->tcp_options = other_option_bytes; break;
    }
}

static void pure_ack(batch *b, pkt_spec *s, pkt_spec *flow)
{
    flow->seq = s->seq;
    s->payload_len = PKT_ZERO;
    if (rng_chance(&b->r, 1, 2))
        flow->ack = ++s->ack;
}

static void odd_flags(batch *b, pkt_spec *s, pkt_spec *flow)
{
    static const uint8_t flags[] = {PKT_ACK | PKT_PSH, PKT_ACK | PKT_FIN, PKT_ACK | PKT_SYN, PKT_ACK | PKT_URG, PKT_ACK | PKT_CWR,
                                    PKT_ACK | PKT_ECE, PKT_ACK | PKT_CWR | PKT_ECE, PKT_SYN, PKT_RST, 255};

    (void)flow;
    s->tcp_flags = flags[rng_below(&b->r, CHECK_COUNT_OF(flags))];
}

static void fragment(batch *b, pkt_spec *s, pkt_spec *flow)
{
    (void)flow;
    if (pkt_is_v6(s))
        s->ext_chain = rng_chance(&b->r, 1, 2) ? "f" : "F";
    else
        s->frag = (uint16_t)((rng_chance(&b->r, 1, 2) ? 0x2000 : 0) | (1 + rng_below(&b->r, 1000)));
}

static void wrong_sum(batch *b, pkt_spec *s, pkt_spec *flow)
{
    (void)flow;
    switch (rng_below(&b->r, 4)) {
    case 0: s->ip_csum_xor = (uint16_t)(1 + rng_below(&b->r, 65535)); break; /* the router drops these two */
    case 1: s->ttl = rng_chance(&b->r, 1, 2) ? 1 : PKT_ZERO; break;
    default: s->l4_csum_xor = (uint16_t)(1 + rng_below(&b->r, 65535)); break;
    }
}

static void tiny(batch *b, pkt_spec *s, pkt_spec *flow)
{
    s->payload_len = (int32_t)(1 + rng_below(&b->r, b->choice % 3 + 1));
    flow->seq = s->seq + (uint32_t)s->payload_len;
}

static void sent_again(batch *b, pkt_spec *s, pkt_spec *flow)
{
    pkt_spec again = *s;

    if (rng_chance(&b->r, 1, 3))
        again.ip_id = flow->ip_id++; /* a retransmission; otherwise a copy that the network made */
    add(b, &again);
}

static void overtaken(batch *b, pkt_spec *s, pkt_spec *flow)
{
    size_t back = 1 + rng_below(&b->r, 8);
    pkt_spec late;

    (void)flow;
    if (back > b->count - 1)
        return;
    late = s[0 - (ptrdiff_t)back];
    memmove(s - back, s - back + 1, back * sizeof *s);
    *s = late;
}

static void odd_datagram(batch *b, pkt_spec *s, pkt_spec *flow)
{
    switch (rng_below(&b->r, 6)) {
    case 0: s->l4_csum_zero = 1; break;
    case 1: s->payload_len = PKT_ZERO; break;
    case 2: s->payload_len++; break;
    case 3: s->udp_len = (int32_t)(1 + rng_below(&b->r, 2 * (uint32_t)s->payload_len)); break;
    default: s->payload_len = (int32_t)(1 + rng_below(&b->r, (uint32_t)flow->payload_len)); break;
    }
}

static void other_extensions(batch *b, pkt_spec *s, pkt_spec *flow)
{
    static const char *const chains[] = {"D", "H", "HD", "HDR", "R", "r", "A", "E", "U", ""};

    s->ext_chain = chains[rng_below(&b->r, CHECK_COUNT_OF(chains))];
    s->ext_fill = (uint8_t)(s->ext_chain[0] != 'H' && rng_chance(&b->r, 1, 2)); /* in hop-by-hop padding, Linux drops it */
    if (rng_chance(&b->r, 1, 2)) {
        flow->ext_chain = s->ext_chain;
        flow->ext_fill = s->ext_fill;
    }
}

static void malformed(batch *b, pkt_spec *s, pkt_spec *flow)
{
    static const uint8_t nops[4] = {1, 1, 1, 0};

    (void)flow;
    switch (rng_below(&b->r, 4)) {
    case 0: s->trailer_len = (uint16_t)(1 + rng_below(&b->r, 6)); break; /* the router cuts it off */
    case 1:
        s->ip_options = nops;
        s->ip_options_len = 4;
        break;
    case 2: s->proto = (int32_t)(1 + rng_below(&b->r, 2) * 131); break;  /* ICMP or SCTP */
    default: b->spoilt[s - b->spec] = (uint8_t)(1 + rng_below(&b->r, SPOIL_COUNT - 1)); break;
    }
}

/* Whole batches of their own kind. */

static void make_gaps(batch *b)
{
    static const uint32_t steps[] = {2, (uint32_t)-2, 0, (uint32_t)-1, 0x80000000u / 100, 0x55555555u / 100};
    pkt_spec flow = new_flow(b, rng_chance(&b->r, 1, 2) ? PKT_TCP4 : PKT_TCP6);

    flow.payload_len = 100;
    while (!full(b)) {
        pkt_spec *s = add(b, &flow);
        if (b->count > 1 && rng_chance(&b->r, 1, 8)) { /* one that has to find its place behind all that is open */
            s->seq = b->spec[rng_below(&b->r, (uint32_t)b->count - 1)].seq + 100;
            continue;
        }
        flow.seq += steps[b->choice % CHECK_COUNT_OF(steps)] * 100;
        flow.ip_id++;
    }
}

/* Each flow twice: in turn, so that most are evicted before their second packet comes, or in pairs. */
static void make_flood(batch *b)
{
    pkt_spec s = new_flow(b, PKT_TCP4);
    size_t i, n = b->wanted;
    uint32_t first_port = 1 + rng_below(&b->r, 60000), seq = s.seq;

    s.payload_len = 20;
    for (i = 0; i < n; i++) {
        size_t flow = b->choice % 2 ? i / 2 : i % (n / 2), second = b->choice % 2 ? i % 2 : i / (n / 2);
        s.kind = (pkt_kind)(flow % PKT_KIND_COUNT);
        s.src_port = (int32_t)(first_port + flow);
        s.seq = seq + 20 * (uint32_t)second;
        s.ip_id = (uint16_t)second;
        add(b, &s);
    }
}

static void make_colliding(batch *b)
{
    uint32_t flows = 2 + rng_below(&b->r, COLLIDING - 1), round, i;

    for (round = 0; !full(b); round++)
        for (i = 0; i < flows && !full(b); i++) {
            pkt_spec s = b->to->colliding[i];
            s.seq = round * (uint32_t)s.payload_len;
            s.ip_id = (uint16_t)round;
            add(b, &s);
        }
}

static void make_traffic_batch(batch *b)
{
    static pkt_spec specs[BATCH_MAX];
    size_t i, n = make_traffic(&b->r, specs, b->wanted, 0);

    for (i = 0; i < n; i++) {
        specs[i].src++; /* host 0 of a network is no host */
        specs[i].dst++;
        add(b, &specs[i]);
    }
}

enum {
    TCP = 1 << PKT_TCP4 | 1 << PKT_TCP6,
    UDP = 1 << PKT_UDP4 | 1 << PKT_UDP6,
    ANY = TCP | UDP,
    V6 = 1 << PKT_TCP6 | 1 << PKT_UDP6
};

typedef struct generator {
    const char *name;
    unsigned kinds;
    uint32_t rare; /* one in so many packets has the trouble */
    void (*trouble)(batch *b, pkt_spec *s, pkt_spec *flow);
    void (*make)(batch *b); /* instead of flows with troubles */
    int bad;       /* some checksums are wrong */
} generator;

static const generator generators[] = {
    {"bulk", ANY, 30, short_tail, NULL, 0},
    {"alternating headers", ANY, 2, other_header, NULL, 0},
    {"pure ACKs", TCP, 4, pure_ack, NULL, 0},
    {"odd flags", TCP, 6, odd_flags, NULL, 0},
    {"fragments", ANY, 6, fragment, NULL, 0},
    {"wrong checksums", ANY, 6, wrong_sum, NULL, 1},
    {"tiny segments", ANY, 1, tiny, NULL, 0},
    {"sent again", TCP, 6, sent_again, NULL, 0},
    {"out of order", TCP, 5, overtaken, NULL, 0},
    {"odd datagrams", UDP, 4, odd_datagram, NULL, 0},
    {"extension headers", V6, 8, other_extensions, NULL, 0},
    {"malformed", ANY, 6, malformed, NULL, 1},
    {"gaps", 0, 0, NULL, make_gaps, 0},
    {"flood of flows", 0, 0, NULL, make_flood, 0},
    {"colliding flows", 0, 0, NULL, make_colliding, 0},
    {"a bit of everything", 0, 0, NULL, make_traffic_batch, 1},
};

enum { TROUBLES = 12, FLOWS = 4 };

static pkt_kind kind_for(batch *b, const generator *g)
{
    pkt_kind kind;

    do
        kind = (pkt_kind)rng_below(&b->r, PKT_KIND_COUNT);
    while (!(g->kinds >> kind & 1));
    return kind;
}

/* A few flows, in bursts; either alike, or each with a trouble of its own. */
static void make_flows(batch *b, const generator *g)
{
    const generator *troubles[FLOWS];
    pkt_spec flows[FLOWS];
    pkt_kind kind = kind_for(b, g);
    uint32_t n = 1 + rng_below(&b->r, FLOWS), i;
    int mixed = rng_chance(&b->r, 1, 4);

    for (i = 0; i < n; i++) {
        troubles[i] = mixed ? &generators[rng_below(&b->r, TROUBLES)] : g;
        flows[i] = new_flow(b, mixed ? kind_for(b, troubles[i]) : kind);
        b->bad |= troubles[i]->bad;
    }
    if (!mixed)
        b->only = kind;
    while (!full(b)) {
        uint32_t at = rng_below(&b->r, n);
        for (i = 1 + rng_below(&b->r, 70); i && !full(b); i--) {
            pkt_spec *s = add_next(b, &flows[at]);
            if (rng_chance(&b->r, 1, troubles[at]->rare))
                troubles[at]->trouble(b, s, &flows[at]);
        }
    }
}

static void generate(batch *b, const generator *g)
{
    b->choice = (uint32_t)rng_u64(&b->r);
    b->constant_id = rng_chance(&b->r, 1, 4);
    b->bad = g->bad;
    b->only = PKT_KIND_COUNT;
    b->wanted = 32 + rng_below(&b->r, BATCH_MAX - 31);
    b->count = 0;
    if (g->make)
        g->make(b);
    else
        make_flows(b, g);
}

/* ------------------------------------------------------------------------------------------------ what should arrive */

/* FNV-1a, eight bytes at a time; the upper half is folded in, since the multiplication only carries upwards. */
static uint64_t digest_word(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * UINT64_C(0x100000001b3);
    return digest ^ digest >> 32;
}

static uint64_t digest_bytes(uint64_t digest, const uint8_t *p, size_t len)
{
    uint64_t word;

    digest = digest_word(digest, len);
    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        digest = digest_word(digest, word);
    }
    for (; len; p++, len--)
        digest = digest_word(digest, *p);
    return digest;
}

/* What a router does to a packet; 0 if it drops it. Checksums of TCP and UDP are none of its business. */
static int route(uint8_t *p, size_t *len)
{
    size_t hdr = 40, total;

    if (p[0] >> 4 == 6) {
        if (*len < hdr || (total = hdr + pkt_get16(p + 4)) > *len || p[7] < 2)
            return 0;
        p[7]--;
    } else {
        hdr = (size_t)(p[0] & 15) * 4;
        if (p[0] >> 4 != 4 || *len < 20 || hdr < 20 || (total = pkt_get16(p + 2)) < hdr || total > *len || p[8] < 2 ||
            pkt_sum(p, hdr, 0) != 0xffff)
            return 0;
        p[8]--;
        pkt_put16(p + 10, 0);
        pkt_put16(p + 10, ~pkt_sum(p, hdr, 0) & 0xffff);
    }
    *len = total;
    return 1;
}

/* IDs of packets with DF may be numbered anew (P1) unless IDs must be exact, and those of others with TUO_IP_ID_ANY. Changes the bytes. */
static uint64_t packet_digest(const batch *b, uint8_t *p, size_t len)
{
    if (p[0] >> 4 == 4 && (b->desc.ip_id == TUO_IP_ID_ANY || (b->desc.ip_id != TUO_IP_ID_EXACT && (p[6] & 0x40)))) {
        memset(p + 4, 0, 2);
        memset(p + 10, 0, 2);
    }
    return digest_bytes(UINT64_C(0xcbf29ce484222325), p, len);
}

/* Flows as the library has them: connections, whatever flow label and extension headers their packets have. */
static void describe(sent *s, const uint8_t *p, size_t len)
{
    pkt_view v = pkt_look(p, len, 0, 0);
    unsigned flags;

    memset(s, 0, sizeof *s);
    s->pair = digest_bytes(v.version, p + v.src, 2 * v.addr_len);
    s->hides_ports = v.fragment || v.opaque || v.status == PKT_IP6_EXT;
    s->is_l4 = s->hides_ports || v.proto == PKT_PROTO_TCP || v.proto == PKT_PROTO_UDP;
    if (s->is_l4 && !v.ports_known)
        s->hides_ports = 1;
    s->flow = digest_word(s->pair, v.proto);
    if (v.ports_known)
        s->flow = digest_bytes(s->flow, p + v.l4, 4);
    if (!pkt_has_l4(&v) || v.proto != PKT_PROTO_TCP)
        return;
    flags = p[v.l4 + 13];
    s->seq = pkt_get32(p + v.l4 + 4);
    s->len = (uint32_t)v.payload_len;
    s->is_data = v.payload_len && !(flags & (PKT_SYN | PKT_RST | PKT_URG | PKT_CWR));
}

/* May one be put in front of the other? */
static int unrelated(const sent *a, const sent *b)
{
    if (a->pair != b->pair)
        return 1;
    return a->hides_ports || b->hides_ports ? !a->is_l4 || !b->is_l4 : a->flow != b->flow;
}

/* P3: a late segment, before those that it precedes. */
static int may_overtake(const batch *b, const sent *late, const sent *early)
{
    return !b->desc.disable_prepend && !b->desc.strict_kernel && late->is_data && early->is_data &&
           early->seq - (late->seq + late->len) < 0x80000000u;
}

/* ----------------------------------------------------------------------------------------------------------- sending */

static void spoil_bytes(batch *b, uint8_t *p, size_t *len, spoil what)
{
    pkt_view v = pkt_look(p, *len, 0, 0);

    switch (what) {
    case SPOIL_VERSION: p[0] = (uint8_t)(0x50 | (p[0] & 15)); break;
    case SPOIL_CUT: *len = 1 + rng_below(&b->r, (uint32_t)*len); break;
    case SPOIL_L4_BYTE: p[v.l4 + rng_below(&b->r, (uint32_t)(*len - v.l4))] ^= (uint8_t)(1 + rng_below(&b->r, 255)); break;
    case SPOIL_DATA_OFFSET:
        if (v.proto == PKT_PROTO_TCP)
            p[v.l4 + 12] = (uint8_t)rng_below(&b->r, 256);
        break;
    default: break;
    }
}

/* Bytes from the specs, and what should become of them. */
static void build(batch *b)
{
    static uint8_t routed[BUF_LEN];
    size_t i, len;

    b->headroom = rng_chance(&b->r, 1, 2) ? rng_below(&b->r, HEADROOM_MAX + 1) : 0;
    b->expected_count = 0;
    for (i = 0; i < b->count; i++) {
        uint8_t *p = b->bytes[i] + b->headroom;
        sent *s = &b->sent[i];
        len = pkt_build(p, BUF_LEN, &b->spec[i]);
        CHECK(len != 0);
        if (b->spoilt[i])
            spoil_bytes(b, p, &len, (spoil)b->spoilt[i]);
        b->bufs[i].data = b->bytes[i];
        b->bufs[i].len = b->headroom + len;
        b->bufs[i].capacity = sizeof b->bytes[i];
        soak.refused += p[0] >> 4 != 4 && p[0] >> 4 != 6; /* by write(): no IP packet */
        memcpy(routed, p, len);
        memset(s, 0, sizeof *s);
        if (!route(routed, &len)) {
            soak.dropped++;
            continue;
        }
        describe(s, routed, len);
        s->arrives = 1;
        s->digest = packet_digest(b, routed, len);
        b->expected[b->expected_count].digest = s->digest;
        b->expected[b->expected_count++].at = i;
    }
}

/* The library pushes runs of packets: what was done for one is divided among its packets. */
static void count_work(writer *w)
{
    tuo_gro_stats stats;
    uint64_t now[WORK_COUNT], sum = 0, count = w->asked_count;
    int i;

    tuo_gro_query_stats(w->tun->tx.gro, &stats);
    now[SLOTS] = stats.flow.probes;
    now[ITEMS] = stats.item_checks;
    now[SUMS] = stats.verified_packets;
    for (i = 0; i < WORK_COUNT; i++)
        sum += now[i] - w->done[i];
    if (sum == 0)
        return;
    CHECK(count > 0);
    w->asked_count = 0;
    for (i = 0; i < WORK_COUNT; i++) {
        const uint64_t each = count ? (now[i] - w->done[i] + count - 1) / count : 0;

        w->most[i] = each > w->most[i] ? each : w->most[i];
        w->done[i] = now[i];
    }
}

/* The library asks for the lengths of a run of buffers before it pushes it. */
static size_t counting_length(void *user, const void *buf)
{
    writer *w = (writer *)user;

    count_work(w);
    w->asked_count++;
    return ((const tuo_buf *)buf)->len;
}

static void check_work(writer *w)
{
    tuo_gro_desc desc;
    int i;

    count_work(w);
    tuo_gro_query_desc(w->tun->tx.gro, &desc);
    CHECK(w->most[SLOTS] <= TUO_FLOW_WAYS);
    CHECK(w->most[ITEMS] <= desc.max_items_per_flow);
    CHECK(w->most[SUMS] <= 3);
    for (i = 0; i < WORK_COUNT; i++) {
        soak.most[i] = w->most[i] > soak.most[i] ? w->most[i] : soak.most[i];
        w->most[i] = 0;
    }
    w->asked_count = 0;
}

static void send_batch(batch *b)
{
    tuo_buf_ops ops = tuoi_plain_ops;
    void *pointers[BATCH_MAX];
    size_t taken, i;
    tuo_result result;

    for (i = 0; i < b->count; i++)
        pointers[i] = &b->bufs[i];
    ops.user = b->to;
    ops.len = counting_length;
    result = tuo_tun_send_batch(b->to->tun, &ops, pointers, b->count, b->headroom, &taken);
    while (result == TUO_AGAIN) {
        result = tuo_tun_wait(b->to->tun, 1, PATIENCE_MS);
        if (result == TUO_OK)
            result = tuo_tun_flush(b->to->tun);
    }
    CHECK_RESULT(result, TUO_OK);
    CHECK_EQ_INT(taken, b->count);
    check_work(b->to);
}

/* --------------------------------------------------------------------------------------------------------- receiving */

/* The kernel's own multicasts (MLD), which no packet of ours is. */
static int is_neighbour_talk(const uint8_t *p, size_t len)
{
    return (len >= 40 && p[0] >> 4 == 6 && p[24] == 0xff) || (len >= 20 && p[0] >> 4 == 4 && p[16] >> 4 == 14);
}

static void take(batch *b, uint8_t *p, size_t len)
{
    if (is_neighbour_talk(p, len)) {
        soak.neighbour_talk++;
        return;
    }
    if (p[0] >> 4 == 4)
        CHECK(len >= 20 && pkt_sum(p, (size_t)(p[0] & 15) * 4, 0) == 0xffff);
    if (CHECK(b->arrived_count < ARRIVED_MAX)) {
        b->arrived[b->arrived_count].digest = packet_digest(b, p, len);
        b->arrived[b->arrived_count].at = b->arrived_count;
        b->arrived_count++;
    }
}

/* Until there is nothing more; 0 if the device does not work any more. */
static int receive(batch *b)
{
    static uint8_t bytes[READ_BUFS][BUF_LEN];
    tuo_buf bufs[READ_BUFS];
    void *pointers[READ_BUFS];
    size_t i, n;
    tuo_result result;

    b->arrived_count = 0;
    for (i = 0; i < READ_BUFS; i++) {
        bufs[i].data = bytes[i];
        bufs[i].capacity = sizeof bytes[i];
        pointers[i] = &bufs[i];
    }
    for (;;) {
        result = tuo_tun_recv_batch(soak.out, NULL, pointers, READ_BUFS, 0, &n);
        for (i = 0; i < n; i++)
            take(b, bytes[i], bufs[i].len);
        if (result == TUO_OK)
            continue;
        if (!CHECK_RESULT(result, TUO_AGAIN))
            return 0;
        if (b->arrived_count >= b->expected_count || tuo_tun_wait(soak.out, 0, PATIENCE_MS) != TUO_OK)
            return 1;
    }
}

/* What the router has to say to the senders: time exceeded. */
static void read_complaints(tuo_tun *tun)
{
    static uint8_t bytes[65536];
    tuo_vnet_hdr vnet;
    size_t len;

    while (tuo_tun_recv(tun, bytes, sizeof bytes, &vnet, &len) == TUO_OK) {
        if (is_neighbour_talk(bytes, len)) {
            soak.neighbour_talk++;
        } else {
            CHECK_EQ_INT(bytes[0] >> 4 == 4 ? bytes[9] : bytes[6], bytes[0] >> 4 == 4 ? 1 : 58);
            soak.icmp++;
        }
    }
}

/* --------------------------------------------------------------------------------------------------------- comparing */

static int compare_arrivals(const void *a, const void *b)
{
    const arrival *x = (const arrival *)a, *y = (const arrival *)b;

    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void fail(const char *what)
{
    check_true(0, what, __FILE__, __LINE__);
}

static void print_packet(const batch *b, const char *what, size_t at)
{
    if (check_state.printed < 6)
        check_hex(what, b->bufs[at].data + b->headroom, 0, b->bufs[at].len - b->headroom);
}

/* Packets with the same bytes cannot be told apart; they are taken to be in order. */
static void match(batch *b)
{
    size_t i = 0, k = 0;

    qsort(b->expected, b->expected_count, sizeof *b->expected, compare_arrivals);
    qsort(b->arrived, b->arrived_count, sizeof *b->arrived, compare_arrivals);
    while (i < b->expected_count || k < b->arrived_count) {
        const arrival *e = &b->expected[i], *a = &b->arrived[k];
        if (i == b->expected_count || (k < b->arrived_count && a->digest < e->digest)) {
            fail("each packet that arrives is one that was sent");
            k++;
        } else if (k == b->arrived_count || e->digest < a->digest) {
            fail("each packet that was sent arrives");
            print_packet(b, "packet", e->at);
            i++;
        } else {
            b->place[e->at] = a->at;
            i++;
            k++;
        }
    }
    for (i = 0; i < b->expected_count; i++)
        soak.digest_sent = digest_word(soak.digest_sent, b->expected[i].digest);
    for (k = 0; k < b->arrived_count; k++)
        soak.digest_arrived = digest_word(soak.digest_arrived, b->arrived[k].digest);
}

static void check_order(const batch *b)
{
    size_t i, k;

    for (k = 1; k < b->count; k++)
        for (i = 0; b->sent[k].arrives && i < k; i++)
            if (b->place[i] > b->place[k] && b->sent[i].arrives && !unrelated(&b->sent[i], &b->sent[k]) &&
                !may_overtake(b, &b->sent[k], &b->sent[i])) {
                fail("packets of a flow stay in order");
                print_packet(b, "packet", i);
                print_packet(b, "by    ", k);
            }
}

/* ------------------------------------------------------------------------------------------------------------- setup */

static void set_modes(batch *b)
{
    rng *r = &b->r;
    tuo_gro_desc *d = &b->desc;

    memset(d, 0, sizeof *d);
    d->disable_prepend = (uint8_t)rng_below(r, 2);
    d->strict_kernel = (uint8_t)rng_chance(r, 1, 4);
    d->ip_id = rng_chance(r, 1, 2) ? TUO_IP_ID_EXACT : (tuo_ip_id)rng_below(r, 4);
    d->trust_checksums = (uint8_t)(!b->bad && rng_chance(r, 1, 4));
    d->max_bytes = rng_chance(r, 1, 4) ? 576 + rng_below(r, 5000) : 0;
    d->max_segs = rng_chance(r, 1, 8) ? 2 + rng_below(r, 10) : 0;
    d->max_udp_segs = rng_chance(r, 1, 4) ? 2 + rng_below(r, 62) : 0;
    d->max_frags = rng_chance(r, 1, 8) ? 2 + rng_below(r, 10) : 0;
    d->max_items_per_flow = rng_chance(r, 1, 2) ? 1 + rng_below(r, 64) : 0;
    d->disable_tcp4 = (uint8_t)rng_chance(r, 1, 16);
    d->disable_tcp6 = (uint8_t)rng_chance(r, 1, 16);
    d->disable_udp4 = (uint8_t)rng_chance(r, 1, 16);
    d->disable_udp6 = (uint8_t)rng_chance(r, 1, 16);
    d->udp_excluded_port_count = (uint8_t)rng_chance(r, 1, 16);
    d->udp_excluded_ports[0] = 443;
    d->simd = simd_level_at(rng_chance(r, 1, 4) ? rng_below(r, 4) : 0);
    CHECK_RESULT(tuo_tun_configure(b->to->tun, d), TUO_OK);
}

/* Flows that collide, found by trying, as somebody could who knows the seed. */
static void find_colliding(writer *w)
{
    const void *target = NULL, *bucket;
    uint8_t bytes[256];
    size_t found = 0;
    uint32_t i;

    for (i = 0; i < 400000 && found < COLLIDING; i++) {
        pkt_spec s = {.kind = (pkt_kind)(i % PKT_KIND_COUNT), .payload_len = 20, .src = (uint16_t)(1 + (i >> 14)), .dst = 1,
                      .src_port = (int32_t)(1 + (i & 0x3fff))};
        bucket = inside_bucket(w->tun->tx.gro, bytes, pkt_build(bytes, sizeof bytes, &s));
        CHECK(bucket != NULL);
        target = target ? target : bucket;
        if (bucket == target)
            w->colliding[found++] = s;
    }
    CHECK_EQ_INT(found, COLLIDING);
}

static tuo_tun *open_device(const char *name, const char *address4, const char *address6, uint32_t max_flows,
                            uint32_t max_packets)
{
    tuo_tun_desc desc;
    tuo_tun *tun = NULL;
    struct ifreq request;
    int error = 0, fd;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.address4 = address4;
    desc.address6 = address6;
    desc.mtu = 65535; /* segments of any size pass */
    desc.gro.max_flows = max_flows;
    desc.gro.max_packets = max_packets;
    desc.gro.hash_seed = soak.seed;
    if (!CHECK_RESULT(tuo_tun_open(&tun, &desc, &error), TUO_OK)) {
        printf("%s: %s\n", name, strerror(error));
        return NULL;
    }
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, strlen(name));
    request.ifr_qlen = QUEUE_LEN;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQ_INT(ioctl(fd, SIOCSIFTXQLEN, &request), 0);
    close(fd);
    CHECK_RESULT(tuo_tun_set_up(tun, 1), TUO_OK);
    if (address6)
        wait_for_address6(address6);
    return tun;
}

/* 10.1.x.x and fd00:1:: are behind the first writer, 10.2.x.x and fd00:2:: behind the reader: the networks of packets.h. The
   second writer is another way in, with a small table, and too narrow to take a batch at once. */
static int open_devices(void)
{
    put_file("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1"); /* interfaces do not announce themselves */
    put_file("/proc/sys/net/ipv6/conf/default/router_solicitations", "0");
    CHECK(put_file("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
    soak.in[0].tun = open_device("wide", "10.1.255.254/16", "fd00:1::fffe/64", 0, BATCH_MAX);
    soak.in[1].tun = open_device("narrow", NULL, NULL, 8, 100);
    soak.out = open_device("out", "10.2.255.254/16", "fd00:2::fffe/64", 0, 0);
    if (!soak.in[0].tun || !soak.in[1].tun || !soak.out)
        return 0;
    find_colliding(&soak.in[0]);
    find_colliding(&soak.in[1]);
    return 1;
}

/* ---------------------------------------------------------------------------------------------------------- watching */

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;

    CHECK(f && fscanf(f, "%ld %ld", &size, &resident) == 2);
    if (f)
        fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static long open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    long count = 0;

    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

static void print_progress(double elapsed)
{
    printf("%.0f s: %llu batches, %llu packets, %llu superpackets written, %.1f %% merged, %.0f packets/s, rss %ld KiB\n", elapsed,
           (llu)soak.batches, (llu)soak.packets, (llu)soak.superpackets, 100 * (double)soak.merged / ((double)soak.packets + 1e-9),
           (double)soak.packets / (elapsed + 1e-9), resident_bytes() / 1024);
}

/* ---------------------------------------------------------------------------------------------------------- the soak */

/* Everything about batch n follows from the seed and n. 0: no use to go on. */
static int run_batch(batch *b, uint64_t n)
{
    const generator *g;
    tuo_gro_stats before, after;
    int ok;

    b->r.state = soak.seed + n * UINT64_C(0xd1342543de82ef95);
    b->to = &soak.in[rng_chance(&b->r, 1, 3)];
    g = &generators[rng_below(&b->r, CHECK_COUNT_OF(generators))];
    check_row("batch %llu, %s, %s", (llu)n, g->name, tuo_tun_name(b->to->tun));
    generate(b, g);
    set_modes(b);
    build(b);
    tuo_gro_query_stats(b->to->tun->tx.gro, &before);
    send_batch(b);
    tuo_gro_query_stats(b->to->tun->tx.gro, &after);
    ok = receive(b);
    match(b);
    if (ok && !check_state.failures)
        check_order(b);
    read_complaints(soak.in[0].tun);
    read_complaints(soak.in[1].tun);
    soak.batches++;
    soak.packets += b->count;
    soak.arrived += b->arrived_count;
    soak.superpackets += after.superpackets - before.superpackets;
    soak.merged += after.merged_packets - before.merged_packets;
    if (b->only != PKT_KIND_COUNT)
        soak.merged_alone[b->only] += after.merged_packets - before.merged_packets;
    return ok;
}

static void check_totals(void)
{
    static const char *const names[PKT_KIND_COUNT] = {"TCP over IPv4", "UDP over IPv4", "TCP over IPv6", "UDP over IPv6"};
    tun_stats a, b, out;
    tuo_caps caps;
    int kind;

    a = tun_stats_of(soak.in[0].tun);
    b = tun_stats_of(soak.in[1].tun);
    out = tun_stats_of(soak.out);
    tuo_tun_caps(soak.in[0].tun, &caps);
    check_row("counters");
    CHECK_EQ_INT(a.tx.tx_packets + b.tx.tx_packets, soak.packets);
    CHECK_EQ_INT(a.tx.tx_superpackets + b.tx.tx_superpackets, soak.superpackets);
    CHECK_EQ_INT(a.tx.tx_refused_superpackets + b.tx.tx_refused_superpackets, 0);
    CHECK_EQ_INT(a.tx.tx_refused_packets + b.tx.tx_refused_packets, soak.refused);
    CHECK_EQ_INT(out.rx.rx_truncated + out.rx.rx_refused, 0);
    CHECK(out.rx.rx_superpackets * 10 >= soak.superpackets * 9); /* as they were written; some had a TTL of 1 */
    check_row("digests");
    CHECK_EQ_INT(soak.digest_arrived, soak.digest_sent);
    for (kind = 0; kind < PKT_KIND_COUNT; kind++) {
        check_row("merging of %s", names[kind]);
        if (kind % 2 == 1 && caps.max_udp_segs == 0)
            check_skip("this kernel takes no UDP superpackets");
        else if (soak.batches < WARM_UP_BATCHES)
            check_skip("too few batches");
        else
            CHECK(soak.merged_alone[kind] > 0);
    }
}

static void print_totals(long rss, long warm_rss)
{
    tuo_gro_stats a, b;
    tun_stats out;
    int v;

    tuo_gro_query_stats(soak.in[0].tun->tx.gro, &a);
    tuo_gro_query_stats(soak.in[1].tun->tx.gro, &b);
    out = tun_stats_of(soak.out);
    for (v = 0; v < TUO_V_COUNT; v++)
        if (a.verdicts[v] + b.verdicts[v])
            printf("%s%s %llu", v ? ", " : "verdicts: ", tuo_verdict_name((tuo_verdict)v), (llu)(a.verdicts[v] + b.verdicts[v]));
    printf("\nmerged where all are of one kind: TCP4 %llu, UDP4 %llu, TCP6 %llu, UDP6 %llu; evictions %llu\n",
           (llu)soak.merged_alone[PKT_TCP4], (llu)soak.merged_alone[PKT_UDP4], (llu)soak.merged_alone[PKT_TCP6],
           (llu)soak.merged_alone[PKT_UDP6], (llu)(a.flow.evictions + b.flow.evictions));
    printf("most for one packet: %llu slots, %llu items, %llu sums; rss %ld KiB after warm-up, %ld KiB at the end\n",
           (llu)soak.most[SLOTS], (llu)soak.most[ITEMS], (llu)soak.most[SUMS], warm_rss / 1024, rss / 1024);
    printf("%llu packets for the router to drop, %llu of them refused by write; neighbour talk %llu, ICMP %llu\n",
           (llu)soak.dropped, (llu)soak.refused, (llu)soak.neighbour_talk, (llu)soak.icmp);
    printf("totals: %llu packets sent, %llu arrived; %llu superpackets written, %llu read; digest sent %016llx, arrived %016llx\n",
           (llu)soak.packets, (llu)soak.arrived, (llu)soak.superpackets, (llu)out.rx.rx_superpackets, (llu)soak.digest_sent,
           (llu)soak.digest_arrived);
}

/* Batches until time is up. Returns the resident set after the warm-up; 0: it did not end. */
static long run_batches(batch *b)
{
    double start = now_seconds(), elapsed = 0, next_progress = PROGRESS_SECONDS;
    unsigned failed = 0;
    long warm_rss = 0;
    uint64_t n;

    for (n = soak.first_batch; !soak.stop && elapsed < soak.seconds && failed < FAILED_BATCHES_MAX; n++) {
        int ok = run_batch(b, n);
        if (check_state.failures) {
            printf("failed: soak 1 %llu %llu\n", (llu)soak.seed, (llu)n);
            check_state.printed = 0;
            failed = ok ? failed + 1 : FAILED_BATCHES_MAX;
        }
        elapsed = now_seconds() - start;
        if (!warm_rss && soak.batches >= WARM_UP_BATCHES && elapsed >= soak.seconds / 20)
            warm_rss = resident_bytes();
        if (elapsed >= next_progress) {
            print_progress(elapsed);
            next_progress += PROGRESS_SECONDS;
        }
    }
    print_progress(elapsed);
    return warm_rss;
}

TEST(hostile_packets_through_a_router)
{
    static batch b;
    long warm_rss, rss, descriptors;

    if (!netns_ready())
        return;
    memset(b.bytes, 1, sizeof b.bytes); /* pages that are touched now are not taken for growth later */
    check_row("devices");
    if (open_devices()) {
        descriptors = open_descriptors();
        warm_rss = run_batches(&b);
        rss = resident_bytes();
        check_row("memory");
        if (warm_rss)
            CHECK(rss - warm_rss <= GROWTH_MAX);
        else
            check_skip("over before the end of the warm-up");
        check_row("descriptors");
        CHECK_EQ_INT(open_descriptors(), descriptors);
        check_totals();
        print_totals(rss, warm_rss);
    }
    tuo_tun_close(soak.in[0].tun);
    tuo_tun_close(soak.in[1].tun);
    tuo_tun_close(soak.out);
}

static void on_signal(int number)
{
    (void)number;
    soak.stop = 1;
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {CHECK_ENTRY(hostile_packets_through_a_router)};
    struct sigaction action;

    if (argc < 2 || argc > 4 || (soak.seconds = strtod(argv[1], NULL)) <= 0) {
        fprintf(stderr, "usage: soak SECONDS [SEED [BATCH]]\n");
        return 2;
    }
    soak.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) * 1000003u;
    soak.first_batch = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    printf("soak: %g seconds, seed %llu\n", soak.seconds, (llu)soak.seed);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    netns_enter();
    return CHECK_RUN(1, argv, tests);
}
