/* instr.c - named workloads for tests/bench/instr.sh, which counts the instructions that each executes inside this program: exact
   and repeatable, where times are not.

   Each workload runs to warm up and to show that it does what its name says, then N batches, then 2 N; the difference is N
   batches without the way in and out. At instr_mark between these callgrind cuts (--dump-before). One line per workload goes to
   standard output, in the order in which they ran: name, units (packets, segments, or sums) per batch, batches N.

   The level of tuo_simd is fixed, so that the counts do not depend on the processor. */
#ifdef __linux__
#include <sys/types.h>
#include <sys/uio.h>

/* The device of the rows "push": it takes everything. */
static ssize_t taken_by_nobody(int fd, const struct iovec *iov, int count);
#define TUNOFFLOAD_TUN
#define writev taken_by_nobody
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#undef writev

#include "../lib/packets.h"

enum { BATCHES = 8, PACKETS = 128, HEADROOM = 32, SUPER_ROOM = 65536 + 256 };

#if TUOI_HAVE_SSE2
#define LEVEL TUO_SIMD_SSE2
#else
#define LEVEL TUO_SIMD_SCALAR
#endif

#if defined(__GNUC__) || defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE
#endif

void instr_mark(void);

static volatile uint64_t sink;

NOINLINE void instr_mark(void)
{
    sink++;
}

static void die(const char *workload, const char *why)
{
    fprintf(stderr, "instr: %s: %s\n", workload, why);
    exit(1);
}

/* --------------------------------------------------------------------------------------------------------- what is run */

typedef struct workload workload;

/* A batch of packets (gro, parse, csum), or one superpacket (split). */
struct workload {
    const char *name;
    void (*run)(const workload *w);
    pkt_kind kind;
    int32_t payload_len; /* of a packet or segment; PKT_ZERO: none */
    size_t units;        /* packets or segments in a batch */
    size_t flows;        /* packets take turns */
    size_t swap_every;   /* n: of each n packets the last two change places; 0: in order */
    int verify;
    size_t emitted;      /* by GRO, per batch: what shows that packets merged, or did not */
};

static uint8_t packet[PACKETS][HEADROOM + SUPER_ROOM], header[PACKETS][128];
static size_t packet_len[PACKETS], header_len;
static tuo_buf bufs[PACKETS];
static tuo_packet pushed[PACKETS];
static tuo_superpacket leaving[PACKETS];
static void *handles[PACKETS];
static uint64_t memory[16384];
static tuo_gro *gro;
static tuo_vnet_hdr vnet;
static size_t emitted;

static const uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

static pkt_spec spec_of(const workload *w, size_t place)
{
    size_t n = w->swap_every, last = n ? place % n : 0;
    size_t index = n && last == n - 2 ? place + 1 : n && last == n - 1 ? place - 1 : place;
    pkt_spec s = {.kind = w->kind, .payload_len = w->payload_len, .src = (uint16_t)(index % w->flows), .ack = 77};

    s.seq = (uint32_t)(index / w->flows * pkt_payload_len(&s));
    s.ip_id = (uint16_t)(index / w->flows);
    if (!pkt_is_udp(&s)) {
        s.tcp_options = timestamps;
        s.tcp_options_len = sizeof timestamps;
    }
    return s;
}

static void open_gro(const workload *w)
{
    tuo_gro_desc desc = {.hash_seed = 12345, .simd = LEVEL};

    desc.trust_checksums = !w->verify;
    if (tuo_gro_init(&gro, memory, sizeof memory, &desc) != TUO_OK)
        die(w->name, "tuo_gro_init failed");
}

static void set_buf(size_t i, uint8_t *bytes, size_t len)
{
    bufs[i].data = bytes;
    bufs[i].len = HEADROOM + len;
    bufs[i].capacity = HEADROOM + SUPER_ROOM;
    handles[i] = &bufs[i];
}

static void make_packets(const workload *w)
{
    size_t i;

    for (i = 0; i < w->units; i++) {
        pkt_spec s = spec_of(w, i);
        packet_len[i] = pkt_build(packet[i] + HEADROOM, SUPER_ROOM, &s);
        header_len = pkt_payload_off(&s);
        memcpy(header[i], packet[i] + HEADROOM, header_len);
        set_buf(i, packet[i], packet_len[i]);
        pushed[i].bytes = packet[i] + HEADROOM;
        pushed[i].len = packet_len[i];
    }
    open_gro(w);
}

/* ---------------------------------------------------------------------------------------------------------- coalescing */

static void gather(const workload *w)
{
    tuo_superpacket sp;
    size_t i;

    for (i = 0; i < w->units; i++)
        sink += (uint64_t)tuo_gro_push(gro, packet[i] + HEADROOM, packet_len[i], NULL, 0);
    for (emitted = 0; tuo_gro_next(gro, &sp) == TUO_OK; emitted++)
        sink += sp.len;
}

/* The same by batch calls. */
static void batch(const workload *w)
{
    sink += tuo_gro_push_batch(gro, pushed, w->units, 0, NULL);
    emitted = tuo_gro_next_batch(gro, leaving, PACKETS);
    sink += tuo_gro_next_batch(gro, leaving, 1);
}

/* The superpackets' buffers get back what they had in front and their length. */
static void copy(const workload *w)
{
    size_t to_write[PACKETS], i;

    if (tuo_gro_batch(gro, NULL, handles, w->units, HEADROOM, to_write, &emitted) != TUO_OK)
        die(w->name, "tuo_gro_batch failed");
    for (i = 0; i < emitted; i++) {
        size_t first = to_write[i];
        memcpy(packet[first] + HEADROOM, header[first], header_len);
        bufs[first].len = HEADROOM + packet_len[first];
    }
}

#ifdef __linux__
static size_t writes;

static ssize_t taken_by_nobody(int fd, const struct iovec *iov, int count)
{
    ssize_t len = 0;
    int i;

    (void)fd;
    for (i = 0; i < count; i++)
        len += (ssize_t)iov[i].iov_len;
    writes++;
    return len;
}

/* Copied, summed, coalesced, and written by one flush. */
static void push(const workload *w)
{
    static tuo_tun *tun;
    tuo_tun_desc desc = {.gro = {.simd = LEVEL, .hash_seed = 12345}};
    size_t i;

    if (!tun) { /* without a device */
        if (tuoi_tun_allocate(&tun, &desc, "", NULL) != TUO_OK)
            die(w->name, "no memory");
        tun->vnet_hdr_len = TUO_VNET_LEN;
        tun->knows_uso = 1;
    }
    writes = 0;
    for (i = 0; i < w->units; i++)
        sink += (uint64_t)tuo_tun_push(tun, packet[i] + HEADROOM, packet_len[i]);
    sink += (uint64_t)tuo_tun_flush(tun);
    emitted = writes;
}
#endif

/* --------------------------------------------------------------------------------------------------- which leave together */

/* As many peers as there are flows, in turn. */
static void plan_udp(const workload *w)
{
    tuo_udp_slot slots[PACKETS];
    tuo_udp_train trains[PACKETS];
    int32_t open[PACKETS];
    size_t i;

    for (i = 0; i < w->units; i++) {
        slots[i].len = (uint32_t)w->payload_len;
        slots[i].key = (uint32_t)(i % w->flows);
    }
    emitted = tuo_udp_plan(NULL, slots, w->units, open, w->flows, trains);
}

/* ----------------------------------------------------------------------------------------------------------- splitting */

static void make_superpacket(const workload *w)
{
    pkt_spec s = spec_of(w, 0);
    size_t i;

    s.payload_len = w->payload_len * (int32_t)w->units;
    s.l4_csum_pseudo = 1;
    packet_len[0] = pkt_build(packet[0], SUPER_ROOM, &s);
    memcpy(packet[1], packet[0], packet_len[0]);
    memset(&vnet, 0, sizeof vnet);
    vnet.flags = TUO_VNET_NEEDS_CSUM;
    vnet.gso_type = pkt_is_udp(&s) ? TUO_GSO_UDP_L4 : pkt_is_v6(&s) ? TUO_GSO_TCPV6 : TUO_GSO_TCPV4;
    vnet.gso_size = (uint16_t)w->payload_len;
    vnet.csum_start = (uint16_t)pkt_l4_off(&s);
    vnet.csum_offset = pkt_is_udp(&s) ? 6 : 16;
    for (i = 0; i < w->units; i++)
        set_buf(i, packet[2 + i], 0);
}

static tuo_gso plan(const workload *w)
{
    tuo_gso gso;

    if (tuo_gso_init(&gso, packet[0], packet_len[0], &vnet, TUO_F_SIMD(LEVEL)) != TUO_OK || tuo_gso_count(&gso) != w->units)
        die(w->name, "the superpacket is not split as planned");
    return gso;
}

static void split_copy(const workload *w)
{
    tuo_gso gso = plan(w);

    if (tuo_gso_split(&gso, NULL, handles, w->units, HEADROOM, &emitted) != TUO_OK)
        die(w->name, "tuo_gso_split failed");
}

static void split_iterator(const workload *w)
{
    tuo_gso gso = plan(w);
    tuo_segment segment;

    for (emitted = 0; tuo_gso_next(&gso, NULL, &segment) == TUO_OK; emitted++)
        sink += segment.len;
}

/* The input is consumed, and restored from its copy. */
static void split_in_place(const workload *w)
{
    tuo_gso gso = plan(w);
    tuo_buf segment;

    for (emitted = 0; tuo_gso_next_in_place(&gso, packet[0], &segment) == TUO_OK; emitted++)
        sink += segment.len;
    memcpy(packet[0], packet[1], packet_len[0]);
}

/* ------------------------------------------------------------------------------------------------------- single calls */

static void parse(const workload *w)
{
    tuo_pkt_info info;
    size_t i;

    for (i = emitted = 0; i < w->units; i++)
        emitted += tuo_parse(packet[i] + HEADROOM, packet_len[i], 0, &info) == TUO_OK && info.payload_len != 0;
}

static void candidate(const workload *w)
{
    size_t i;

    for (i = emitted = 0; i < w->units; i++)
        emitted += tuo_gro_candidate(packet[i] + HEADROOM, packet_len[i], 0) == TUO_V_HELD;
}

static void csum_check(const workload *w)
{
    size_t i;

    for (i = emitted = 0; i < w->units; i++)
        emitted += tuo_csum_check(packet[i] + HEADROOM, packet_len[i], TUO_F_SIMD(LEVEL)) == TUO_OK;
}

static void csum(const workload *w)
{
    const tuoi_sums *sums = tuoi_sums_of(LEVEL);
    size_t i;

    for (i = emitted = 0; i < w->units; i++)
        emitted += sums->sum(packet[i], (size_t)w->payload_len, 0) != 0;
}

static void csum_copy(const workload *w)
{
    const tuoi_sums *sums = tuoi_sums_of(LEVEL);
    size_t i;

    for (i = emitted = 0; i < w->units; i++)
        emitted += sums->copy_sum(packet[i ^ 1] + SUPER_ROOM / 2, packet[i], (size_t)w->payload_len, 0) != 0;
}

/* --------------------------------------------------------------------------------------------------------- the table */

static const workload workloads[] = {
    /* name, run, kind, payload, units, flows, swap, verify, emitted */
    {"split_tcp4_copy", split_copy, PKT_TCP4, 1448, 45, 1, 0, 0, 45},
    {"split_tcp4_iterator", split_iterator, PKT_TCP4, 1448, 45, 1, 0, 0, 45},
    {"split_tcp4_in_place", split_in_place, PKT_TCP4, 1448, 45, 1, 0, 0, 45},
    {"split_tcp6_copy", split_copy, PKT_TCP6, 1428, 45, 1, 0, 0, 45},
    {"split_udp4_copy", split_copy, PKT_UDP4, 1400, 46, 1, 0, 0, 46},
    {"split_udp6_copy", split_copy, PKT_UDP6, 1400, 46, 1, 0, 0, 46},
    {"gro_tcp4_1flow_trust_gather", gather, PKT_TCP4, 1448, 128, 1, 0, 0, 3},
    {"gro_tcp4_1flow_verify_gather", gather, PKT_TCP4, 1448, 128, 1, 0, 1, 3},
    {"gro_tcp4_1flow_trust_copy", copy, PKT_TCP4, 1448, 128, 1, 0, 0, 3},
    {"gro_tcp4_1flow_verify_copy", copy, PKT_TCP4, 1448, 128, 1, 0, 1, 3},
    {"gro_tcp6_1flow_trust_gather", gather, PKT_TCP6, 1428, 128, 1, 0, 0, 3},
    {"gro_udp4_1flow_trust_gather", gather, PKT_UDP4, 1400, 128, 1, 0, 0, 3},
    {"gro_udp6_1flow_trust_gather", gather, PKT_UDP6, 1400, 128, 1, 0, 0, 3},
    {"gro_tcp4_8flows_trust_gather", gather, PKT_TCP4, 1448, 128, 8, 0, 0, 8},
    {"gro_tcp4_128flows_trust_gather", gather, PKT_TCP4, 1448, 128, 128, 0, 0, 128},
    {"gro_tcp4_128acks", gather, PKT_TCP4, PKT_ZERO, 128, 1, 0, 1, 128},
    {"gro_tcp4_reordered", gather, PKT_TCP4, 1448, 128, 1, 10, 0, 3},
    {"batch_tcp4_1flow_trust", batch, PKT_TCP4, 1448, 128, 1, 0, 0, 3},
    {"batch_tcp4_1flow_verify", batch, PKT_TCP4, 1448, 128, 1, 0, 1, 3},
    {"batch_tcp6_1flow_trust", batch, PKT_TCP6, 1428, 128, 1, 0, 0, 3},
    {"batch_tcp4_8flows_trust", batch, PKT_TCP4, 1448, 128, 8, 0, 0, 8},
    {"batch_tcp4_128flows_trust", batch, PKT_TCP4, 1448, 128, 128, 0, 0, 128},
    {"batch_tcp4_128acks", batch, PKT_TCP4, PKT_ZERO, 128, 1, 0, 1, 128},
    {"batch_tcp4_128acks_copy", copy, PKT_TCP4, PKT_ZERO, 128, 1, 0, 1, 128},
    {"batch_tcp4_reordered", batch, PKT_TCP4, 1448, 128, 1, 10, 0, 3},
#ifdef __linux__
    {"push_tcp4_1flow", push, PKT_TCP4, 1448, 128, 1, 0, 1, 3},
    {"push_udp4_1flow", push, PKT_UDP4, 1400, 128, 1, 0, 1, 3},
    {"push_tcp4_128acks", push, PKT_TCP4, PKT_ZERO, 128, 1, 0, 1, 128},
#endif
    {"plan_udp_1peer", plan_udp, PKT_UDP4, 1400, 128, 1, 0, 0, 3},
    {"plan_udp_64peers", plan_udp, PKT_UDP4, 1400, 128, 64, 0, 0, 64},
    {"parse_tcp4", parse, PKT_TCP4, 1448, 128, 1, 0, 0, 128},
    {"parse_tcp6", parse, PKT_TCP6, 1428, 128, 1, 0, 0, 128},
    {"parse_udp4", parse, PKT_UDP4, 1400, 128, 1, 0, 0, 128},
    {"candidate_tcp4", candidate, PKT_TCP4, 1448, 128, 1, 0, 0, 128},
    {"candidate_udp6", candidate, PKT_UDP6, 1400, 128, 1, 0, 0, 128},
    {"csum_check_tcp4", csum_check, PKT_TCP4, 1448, 128, 1, 0, 0, 128},
    {"csum_64", csum, PKT_TCP4, 64, 128, 1, 0, 0, 128},
    {"csum_1500", csum, PKT_TCP4, 1500, 128, 1, 0, 0, 128},
    {"csum_copy_1500", csum_copy, PKT_TCP4, 1500, 128, 1, 0, 0, 128},
};

static int is_split(const workload *w)
{
    return w->run == split_copy || w->run == split_iterator || w->run == split_in_place;
}

static NOINLINE void run_batches(const workload *w, unsigned batches)
{
    unsigned i;

    for (i = 0; i < batches; i++)
        w->run(w);
}

static void run_workload(const workload *w)
{
    if (is_split(w))
        make_superpacket(w);
    else
        make_packets(w);
    run_batches(w, 2);
    if (emitted != w->emitted) {
        fprintf(stderr, "emitted %lu, expected %lu\n", (unsigned long)emitted, (unsigned long)w->emitted);
        die(w->name, "does something else than its name says");
    }
    instr_mark();
    run_batches(w, BATCHES);
    instr_mark();
    run_batches(w, 2 * BATCHES);
    instr_mark();
    printf("%s %lu %d\n", w->name, (unsigned long)w->units, BATCHES);
}

int main(void)
{
    size_t i;

    for (i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        run_workload(&workloads[i]);
    return 0;
}
