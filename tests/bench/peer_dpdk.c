/* peer_dpdk.c - DPDK's rte_gro and rte_gso as an engine, without huge pages and without devices. They know TCP over IPv4 only
   (their UDP is about IP fragments) and work on Ethernet frames.

   They neither verify nor finish checksums. A program that reads and writes a TUN device has to, so this is timed with them:
     coalesce, verify   each packet's IPv4 and TCP checksum first, with DPDK's functions
     coalesce           IPv4 checksum and pseudo-header sum of each merged packet
     coalesce, copy     merged packets (chains of mbufs) copied into one piece
     split, iterator    both checksums of each segment (a chain of two mbufs)
     split, copy        each segment copied into its buffer, then both checksums
     split, pseudo      IPv4 checksum and pseudo-header sum of each segment
   Freeing the segments' mbufs is part of splitting: rte_gso allocates them. */
#define _GNU_SOURCE
#define ALLOW_EXPERIMENTAL_API /* rte_ipv4_udptcp_cksum_verify and rte_ipv4_udptcp_cksum_mbuf */
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gro.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "engine.h"

enum { ETHER = 14, IP4 = 20, POOL = 1023, SEGMENTS = BATCH };

typedef struct dpdk_gro {
    packet_set *set;
    int verify, copy;
    struct rte_mbuf *mbufs[BATCH]; /* in order of arrival */
    struct rte_mbuf *out[BATCH];
    uint16_t data_off, out_count;
    uint8_t *buffers;              /* copy: SUPERPACKET_ROOM each */
} dpdk_gro;

typedef struct dpdk_gso {
    superpacket *sp;
    gso_mode mode;
    struct rte_mbuf *packet, *out[SEGMENTS];
    struct rte_gso_ctx ctx;
} dpdk_gso;

int dpdk_start(const char *program, int processor)
{
    char name[64], core[16];
    char *argv[] = {name, (char[]){"--no-huge"}, (char[]){"--no-shconf"}, (char[]){"--no-pci"}, (char[]){"--no-telemetry"},
                    (char[]){"--log-level=error"}, (char[]){"-m"}, (char[]){"256"}, (char[]){"-l"}, core, NULL};

    snprintf(name, sizeof name, "%s", program);
    snprintf(core, sizeof core, "%d", processor < 0 ? 0 : processor);
    return rte_eal_init((int)(sizeof argv / sizeof argv[0]) - 1, argv) >= 0;
}

static struct rte_mempool *make_pool(const char *what, unsigned count, uint16_t room)
{
    static unsigned made;
    char name[32];
    struct rte_mempool *pool;

    snprintf(name, sizeof name, "%s%u", what, made++);
    pool = rte_pktmbuf_pool_create(name, count, count > 2 * BATCH ? BATCH : 0, 0, room, SOCKET_ID_ANY);
    if (!pool)
        bench_die(rte_strerror(rte_errno), "dpdk");
    return pool;
}

static struct rte_mbuf *make_frame(struct rte_mempool *pool, const uint8_t *ip, size_t len, size_t hdr_len)
{
    static const uint8_t ethernet[ETHER] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    char *p = m ? rte_pktmbuf_append(m, (uint16_t)(ETHER + len)) : NULL;

    if (!p)
        bench_die("no memory for a frame", "dpdk");
    memcpy(p, ethernet, ETHER);
    memcpy(p + ETHER, ip, len);
    m->l2_len = ETHER;
    m->l3_len = IP4;
    m->l4_len = (hdr_len - IP4) & 255;
    m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
    return m;
}

static struct rte_ipv4_hdr *ip_of(struct rte_mbuf *m)
{
    return rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETHER);
}

static struct rte_tcp_hdr *tcp_of(struct rte_mbuf *m)
{
    return rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, ETHER + IP4);
}

/* --------------------------------------------------------------------------------------------------------------- GRO */

static int checksums_right(struct rte_mbuf *m)
{
    const struct rte_ipv4_hdr *ip = ip_of(m);

    return rte_raw_cksum(ip, IP4) == 0xffff && rte_ipv4_udptcp_cksum_verify(ip, tcp_of(m)) == 0;
}

/* What the kernel wants of a packet with NEEDS_CSUM. */
static void finish_partial(struct rte_mbuf *m)
{
    struct rte_ipv4_hdr *ip = ip_of(m);

    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    tcp_of(m)->cksum = rte_ipv4_phdr_cksum(ip, 0);
}

static void flatten(const struct rte_mbuf *m, uint8_t *to)
{
    for (; m; m = m->next) {
        memcpy(to, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
        to += m->data_len;
    }
}

static size_t dpdk_gro_run(void *state)
{
    static const struct rte_gro_param param = {RTE_GRO_TCP_IPV4, BATCH, BATCH, 0};
    dpdk_gro *g = (dpdk_gro *)state;
    uint16_t count = (uint16_t)g->set->count, taken = 0, i;
    size_t buffer = 0;

    for (i = 0; i < count; i++)
        if (!g->verify || checksums_right(g->mbufs[i]))
            g->out[taken++] = g->mbufs[i];
    if (taken < count)
        bench_die("wrong checksum", "dpdk");
    g->out_count = rte_gro_reassemble_burst(g->out, taken, &param);
    for (i = 0; i < g->out_count; i++)
        if (g->out[i]->nb_segs > 1) {
            finish_partial(g->out[i]);
            if (g->copy)
                flatten(g->out[i], g->buffers + buffer++ * SUPERPACKET_ROOM);
        }
    return g->out_count;
}

/* The mbufs as they were before they were chained. */
static void dpdk_gro_restore(void *state)
{
    dpdk_gro *g = (dpdk_gro *)state;
    size_t i;

    for (i = 0; i < g->set->count; i++) {
        struct rte_mbuf *m = g->mbufs[i];
        if (m->nb_segs > 1)
            memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, ETHER), g->set->headers + i * HEADER_ROOM, g->set->hdr_len);
        m->next = NULL;
        m->nb_segs = 1;
        m->data_off = g->data_off;
        m->data_len = (uint16_t)(ETHER + g->set->len[i]);
        m->pkt_len = m->data_len;
    }
}

static void dpdk_next_flows(void *state)
{
    dpdk_gro *g = (dpdk_gro *)state;
    size_t i;

    dpdk_gro_restore(state);
    for (i = 0; i < g->set->count; i++)
        move_to_next_flow((uint8_t *)ip_of(g->mbufs[i]), g->set);
}

static void dpdk_gro_show(void *state, emit_packet emit, void *user)
{
    static uint8_t flat[SUPERPACKET_ROOM];
    dpdk_gro *g = (dpdk_gro *)state;
    size_t i, buffer = 0;

    dpdk_gro_restore(g);
    dpdk_gro_run(g);
    for (i = 0; i < g->out_count; i++) {
        const uint8_t *bytes = flat;
        if (g->copy && g->out[i]->nb_segs > 1)
            bytes = g->buffers + buffer++ * SUPERPACKET_ROOM;
        else
            flatten(g->out[i], flat);
        emit(user, bytes + ETHER, g->out[i]->pkt_len - ETHER);
    }
    dpdk_gro_restore(g);
}

static int dpdk_gro_open(const gro_job *job, engine_run *run)
{
    dpdk_gro *g;
    struct rte_mempool *pool;
    size_t i;

    if (job->set->shape->kind != PKT_TCP4 || job->set->all) /* its packets are in mbufs, not where the set has them */
        return 0;
    g = (dpdk_gro *)bench_memory(sizeof *g);
    pool = make_pool("gro", BATCH, RTE_MBUF_DEFAULT_BUF_SIZE);
    g->set = job->set;
    g->verify = job->verify;
    g->copy = job->copy;
    for (i = 0; i < job->set->count; i++)
        g->mbufs[i] = make_frame(pool, job->set->at[i], job->set->len[i], job->set->hdr_len);
    g->data_off = g->mbufs[0]->data_off;
    if (job->copy)
        g->buffers = (uint8_t *)bench_memory((size_t)BATCH / 2 * SUPERPACKET_ROOM);
    run->work.state = g;
    run->work.run = dpdk_gro_run;
    run->work.prepare = job->set->shape->churn ? dpdk_next_flows : dpdk_gro_restore;
    run->show = dpdk_gro_show;
    return 1;
}

/* --------------------------------------------------------------------------------------------------------------- GSO */

static void finish_segment(const dpdk_gso *g, struct rte_mbuf *m, size_t index)
{
    struct rte_ipv4_hdr *ip = ip_of(m);
    struct rte_tcp_hdr *tcp = tcp_of(m);

    if (g->mode == GSO_COPY) {
        flatten(m, g->sp->room[index] + HEADROOM - ETHER);
        ip = (struct rte_ipv4_hdr *)(void *)(g->sp->room[index] + HEADROOM);
        tcp = (struct rte_tcp_hdr *)(void *)((uint8_t *)ip + IP4);
    }
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    tcp->cksum = 0;
    if (g->mode == GSO_COPY)
        tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    else if (g->mode == GSO_ITERATOR)
        tcp->cksum = rte_ipv4_udptcp_cksum_mbuf(m, ip, ETHER + IP4);
    else
        tcp->cksum = rte_ipv4_phdr_cksum(ip, 0);
}

static size_t dpdk_segment(dpdk_gso *g)
{
    int count = rte_gso_segment(g->packet, &g->ctx, g->out, SEGMENTS), i;

    if (count <= 0)
        bench_die("rte_gso_segment failed", "dpdk");
    for (i = 0; i < count; i++)
        finish_segment(g, g->out[i], (size_t)i);
    return (size_t)count;
}

static size_t dpdk_gso_run(void *state)
{
    dpdk_gso *g = (dpdk_gso *)state;
    size_t count = dpdk_segment(g);

    rte_pktmbuf_free_bulk(g->out, (unsigned)count);
    return count;
}

static void dpdk_gso_restore(void *state)
{
    dpdk_gso *g = (dpdk_gso *)state;

    g->packet->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
}

static void dpdk_gso_show(void *state, emit_packet emit, void *user)
{
    static uint8_t flat[SUPERPACKET_ROOM];
    dpdk_gso *g = (dpdk_gso *)state;
    size_t count, i;

    dpdk_gso_restore(g);
    count = dpdk_segment(g);
    for (i = 0; i < count; i++) {
        flatten(g->out[i], flat);
        emit(user, g->mode == GSO_COPY ? g->sp->room[i] + HEADROOM : flat + ETHER, g->out[i]->pkt_len - ETHER);
    }
    rte_pktmbuf_free_bulk(g->out, (unsigned)count);
}

static int dpdk_gso_open(const gso_job *job, engine_run *run)
{
    const superpacket *sp = job->sp;
    dpdk_gso *g;

    if (sp->kind != PKT_TCP4 || job->mode == GSO_IN_PLACE)
        return 0;
    g = (dpdk_gso *)bench_memory(sizeof *g);
    g->sp = job->sp;
    g->mode = job->mode;
    g->packet = make_frame(make_pool("big", 1, UINT16_MAX), sp->bytes, sp->len, sp->hdr_len);
    g->ctx.direct_pool = make_pool("direct", POOL, RTE_MBUF_DEFAULT_BUF_SIZE);
    g->ctx.indirect_pool = make_pool("indirect", POOL, 0);
    g->ctx.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO;
    g->ctx.gso_size = (uint16_t)(ETHER + sp->hdr_len + sp->gso_size);
    run->work.state = g;
    run->work.run = dpdk_gso_run;
    run->work.prepare = dpdk_gso_restore;
    run->show = dpdk_gso_show;
    return 1;
}

static uint64_t dpdk_sum(const uint8_t *p, size_t len)
{
    return rte_be_to_cpu_16(rte_raw_cksum(p, len));
}

const engine dpdk_engine = {"dpdk", dpdk_gro_open, dpdk_gso_open, dpdk_sum};
