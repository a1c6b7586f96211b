/* pcap_coalesce.h - the commands coalesce and check of pcap_offload. push_packet() and next_superpacket() use the library, by
   gather or by copy. check splits what was coalesced, and compares. */
#ifndef PCAP_COALESCE_H
#define PCAP_COALESCE_H

#include "pcap_job.h"
#include "pcap_split.h"

/* ----------------------------------------------------------------------------------------------------------------- checking */

static void mismatch(struct job *job, const struct packet *packet, const char *what)
{
    if (job->total.mismatches++ < MISMATCHES_SHOWN)
        fprintf(stderr, "%s: record %zu %s\n", job->in, packet_number(job, packet), what);
}

static struct packet *packet_of(const struct job *job, void *user);

/* May the segments of this superpacket have other IPv4 IDs than the captured packets? Then the first packet's ID counts up. */
static int ids_are_free(const struct job *job, const tuo_superpacket *sp, tuo_pkt_info *first)
{
    size_t i;

    if (job->opt.ip_id == TUO_IP_ID_EXACT)
        return 0;
    for (i = 0; i < sp->packet_count; i++) {
        const struct packet *packet = packet_of(job, sp->users[i]);
        tuo_pkt_info info;

        if (tuo_parse(packet->frame, packet->len, job->flags, &info) != TUO_OK || info.ip_version != 4)
            return 0;
        if (!(info.flags & TUO_PKT_DF) && job->opt.ip_id != TUO_IP_ID_ANY)
            return 0;
        if (i == 0)
            *first = info;
        if (info.ip_id != first->ip_id && job->opt.ip_id == TUO_IP_ID_DEFAULT)
            return 0;
    }
    return 1;
}

/* The packet with another IPv4 ID, and the header checksum that goes with it. */
static const uint8_t *renumber(struct job *job, const struct packet *packet, const tuo_pkt_info *info, unsigned ip_id)
{
    uint8_t *expected = reserve(&job->expected, packet->len), *ip = expected + info->ip_off;

    memcpy(expected, packet->frame, packet->len);
    store16(ip + 4, ip_id);
    set_ip_checksum(ip, info->ip_hdr_len);
    return expected;
}

/* Split what was just emitted, by the bytes of its virtio-net header, and compare with what was captured (and finished). */
static void check_emitted(struct job *job, const tuo_superpacket *sp, uint8_t *frame, size_t len)
{
    tuo_pkt_info first = {0};
    int free_ids = sp->packet_count > 1 && ids_are_free(job, sp, &first);
    struct packet *packet = packet_of(job, sp->users[0]);
    tuo_vnet_hdr vnet;
    tuo_buf segment;
    tuo_gso gso;
    size_t i;

    if (tuo_vnet_decode(frame - sp->vnet_len, sp->vnet_len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet) != TUO_OK ||
        start_split(job, &gso, frame, len, &vnet) != TUO_OK) {
        mismatch(job, packet, "is in a superpacket whose virtio-net header does not fit");
        return;
    }
    for (i = 0; next_segment(job, &gso, frame, &segment) == TUO_OK; i++) {
        if (i >= sp->packet_count) {
            mismatch(job, packet, "is the last one of a superpacket that was split into more segments than it was made of");
            return;
        }
        packet = packet_of(job, sp->users[i]);
        packet->came_out++;
        if (segment.len == packet->len && memcmp(segment.data, packet->frame, packet->len) == 0) {
            job->total.identical++;
        } else if (free_ids && segment.len == packet->len &&
                   memcmp(segment.data, renumber(job, packet, &first, first.ip_id + (unsigned)i), packet->len) == 0) {
            job->total.identical++;
            job->total.renumbered++;
        } else {
            mismatch(job, packet, "came back different");
        }
    }
}

static void check_all_came_out(struct job *job)
{
    size_t i;

    for (i = 0; i < job->capture.count; i++) {
        if (job->packets[i].came_out == 0)
            mismatch(job, &job->packets[i], "did not come out");
        else if (job->packets[i].came_out > 1)
            mismatch(job, &job->packets[i], "came out more than once");
    }
}

/* ---------------------------------------------------------------------------------------------------------------- coalescing */

/* The buffer abstraction, for buffers that grow: five callbacks. capacity() promises what the largest IP packet needs; the memory
   is only taken when something is appended. */
static uint8_t *growing_data(void *user, void *buf)
{
    struct growing *growing = buf;

    (void)user;
    return growing->data;
}

static size_t growing_length(void *user, const void *buf)
{
    const struct growing *growing = buf;

    (void)user;
    return growing->len;
}

static size_t growing_capacity(void *user, const void *buf)
{
    const struct growing *growing = buf;
    size_t largest = HEADROOM + TUO_HEADER_MAX + 65535;

    (void)user;
    return growing->len > largest ? growing->len : largest;
}

static int growing_resize(void *user, void *buf, size_t len)
{
    struct growing *growing = buf;

    (void)user;
    if (len > growing->room) {
        size_t room = growing->room ? len * 2 : len;
        uint8_t *grown = realloc(growing->data, room);

        if (!grown)
            return -1;
        growing->data = grown;
        growing->room = room;
    }
    growing->len = len;
    return 0;
}

static int growing_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    struct growing *growing = buf;
    size_t old_len = growing->len;

    if (growing_resize(user, buf, old_len + len) != 0)
        return -1;
    memcpy(growing->data + old_len, bytes, len);
    return 0;
}

/* What the library hands back for each packet is what it was pushed with. */
static struct packet *packet_of(const struct job *job, void *user)
{
    return job->opt.copy ? ((struct growing *)user)->packet : user;
}

static tuo_verdict push_packet(struct job *job, struct packet *packet)
{
    struct growing *buffer;

    if (!job->opt.copy) /* gather: the library keeps pointers into the captured bytes */
        return tuo_gro_push(job->gro, packet->frame, packet->len, packet, 0);

    buffer = &job->buffers[job->held]; /* copy: it appends to the buffer of each superpacket's first packet */
    buffer->packet = packet;
    if (growing_resize(NULL, buffer, HEADROOM + packet->len) != 0)
        die("pcap_offload", "out of memory");
    if (packet->len)
        memcpy(buffer->data + HEADROOM, packet->frame, packet->len);
    return tuo_gro_push_buf(job->gro, &job->ops, buffer, HEADROOM, 0);
}

static tuo_result next_superpacket(struct job *job, tuo_superpacket *sp)
{
    return job->opt.copy ? tuo_gro_next_copy(job->gro, &job->ops, HEADROOM, sp) : tuo_gro_next(job->gro, sp);
}

/* The packet that came first: not users[0] if a late segment was put in front. */
static struct packet *earliest(const struct job *job, const tuo_superpacket *sp)
{
    struct packet *found = packet_of(job, sp->users[0]);
    size_t i;

    for (i = 1; i < sp->packet_count; i++) {
        struct packet *packet = packet_of(job, sp->users[i]);

        if (packet < found)
            found = packet;
    }
    return found;
}

static void list_superpacket(const struct job *job, const tuo_superpacket *sp, const tuo_vnet_hdr *vnet, size_t len, long shift)
{
    size_t i;

    if (!job->opt.list)
        return;
    list_packet(job, vnet, (size_t)((long)len + shift), shift, sp->packet_count);
    for (i = 0; i < sp->packet_count; i++)
        printf("%s%zu", i ? "," : "", packet_number(job, packet_of(job, sp->users[i])));
    putchar('\n');
}

/* As it would be written to a TUN: no link layer, but a virtio-net header, whose offsets count from the IP header. */
static void emit_to_tun(struct job *job, const tuo_superpacket *sp, tuo_vnet_hdr vnet, const uint8_t *frame, size_t len)
{
    uint8_t header[TUO_VNET_LEN];
    struct capture_piece piece[2];
    size_t ip_off;

    if (!find_ip(frame, len, job->flags, &ip_off)) {
        job->total.left_out++;
        return;
    }
    list_superpacket(job, sp, &vnet, len, -(long)ip_off);
    if (vnet.hdr_len)
        vnet.hdr_len = (uint16_t)(vnet.hdr_len - ip_off);
    if (vnet.flags & TUO_VNET_NEEDS_CSUM)
        vnet.csum_start = (uint16_t)(vnet.csum_start - ip_off);
    if (tuo_vnet_encode(&vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, header, sizeof header) != TUO_OK)
        die(job->in, "a virtio-net header could not be encoded");
    piece[0].bytes = header;
    piece[0].len = sizeof header;
    piece[1].bytes = frame + ip_off;
    piece[1].len = len - ip_off;
    write_record(job, earliest(job, sp), piece, piece[0].len + piece[1].len);
    job->total.emitted++;
}

/* As a NIC would put it on the wire, if it could send more than an MTU: with a finished checksum. */
static void emit_to_wire(struct job *job, const tuo_superpacket *sp, const tuo_vnet_hdr *vnet, uint8_t *frame, size_t len)
{
    list_superpacket(job, sp, vnet, len, list_shift(job, packet_of(job, sp->users[0])));
    if ((vnet->flags & TUO_VNET_NEEDS_CSUM) && tuo_csum_complete(frame, len, vnet->csum_start, vnet->csum_offset) != TUO_OK)
        die(job->in, "a checksum could not be completed");
    write_frame(job, earliest(job, sp), frame, len);
    job->total.emitted++;
}

static void emit(struct job *job, const tuo_superpacket *sp)
{
    uint8_t *bytes = reserve(&job->work, sp->len + 1), *frame = bytes + sp->vnet_len;
    size_t len = sp->len - sp->vnet_len;

    gather(bytes, sp->iov, sp->iov_count); /* a program with writev() would not need to */
    if (job->command->number == CHECK) {
        list_superpacket(job, sp, &sp->vnet, len, list_shift(job, packet_of(job, sp->users[0])));
        check_emitted(job, sp, frame, len);
        job->total.emitted++;
        return;
    }
    if (job->opt.vnet)
        emit_to_tun(job, sp, sp->vnet, frame, len);
    else
        emit_to_wire(job, sp, &sp->vnet, frame, len);
}

static void drain(struct job *job)
{
    struct totals *total = &job->total;
    tuo_superpacket sp;
    tuo_result result;

    while ((result = next_superpacket(job, &sp)) == TUO_OK) {
        if (sp.packet_count > 1) {
            total->superpackets++;
            total->merged += sp.packet_count;
        }
        if (sp.packet_count > total->most_segs)
            total->most_segs = sp.packet_count;
        if (sp.len - sp.vnet_len > total->most_bytes)
            total->most_bytes = sp.len - sp.vnet_len;
        emit(job, &sp);
    }
    if (result != TUO_DONE)
        die(job->in, tuo_result_text(result));
    job->held = 0;
}

static const char *coalesce_packet(struct job *job, struct packet *packet)
{
    tuo_verdict verdict = push_packet(job, packet);

    if (verdict == TUO_V_NO_ROOM) { /* --batch 0, and more packets than the library may hold at once */
        drain(job);
        verdict = push_packet(job, packet);
    }
    job->held++;
    if (job->held == (size_t)job->opt.batch)
        drain(job);
    return tuo_verdict_name(verdict);
}

/* Opaque records go around the library. What it holds goes out first, so that nothing is overtaken. */
static const char *pass_around(struct job *job, struct packet *packet)
{
    drain(job);
    job->total.passed += !packet->cut;
    job->total.no_length += packet->no_length;
    packet->came_out++;
    job->total.identical++;
    if (job->opt.vnet && packet->link->number != LINK_TYPE_VNET)
        job->total.left_out++; /* a packet that is cut, or has no length, cannot be written to a TUN */
    else
        pass_record(job, packet);
    return packet->no_length ? tuo_verdict_name(TUO_V_IP_LENGTH) : "PASSED";
}

static void coalesce_record(struct job *job, struct packet *packet)
{
    finish_packet(job, packet);
    print_verdict(job, packet, "verdict", packet->opaque ? pass_around(job, packet) : coalesce_packet(job, packet));
}

/* The configuration that the options ask for. */
static void describe_gro(const struct job *job, tuo_gro_desc *desc)
{
    size_t packets = job->opt.batch ? (size_t)job->opt.batch : job->capture.count;

    if (packets > BATCH_MAX)
        packets = BATCH_MAX;
    memset(desc, 0, sizeof *desc);
    desc->max_packets = packets ? (uint32_t)packets : 1;
    desc->max_flows = desc->max_packets < 65536 ? desc->max_packets : 65536;
    desc->hash_seed = 1; /* of a program that meets live traffic: a random number */
    desc->vnet_hdr_len = TUO_VNET_LEN;
    desc->ethernet = (job->flags & TUO_F_ETHERNET) != 0;
    desc->disable_tcp4 = desc->disable_tcp6 = (uint8_t)job->opt.no_tcp;
    desc->disable_udp4 = desc->disable_udp6 = (uint8_t)job->opt.no_udp;
    desc->strict_kernel = (uint8_t)job->opt.strict_kernel;
    desc->disable_prepend = (uint8_t)job->opt.no_prepend;
    desc->ip_id = (tuo_ip_id)job->opt.ip_id;
    desc->trust_checksums = (uint8_t)job->opt.trust;
}

static tuo_gro *make_gro(const tuo_gro_desc *desc, void **memory)
{
    size_t memory_len = tuo_gro_memory_size(desc);
    tuo_gro *gro = NULL;

    *memory = allocate(memory_len, 1);
    if (tuo_gro_init(&gro, *memory, memory_len, desc) != TUO_OK)
        die("pcap_offload", "tuo_gro_init refused its configuration");
    return gro;
}

static void start_coalescing(struct job *job)
{
    tuo_gro_desc desc;

    describe_gro(job, &desc);
    job->gro = make_gro(&desc, &job->gro_memory);
    job->ops.data = growing_data;
    job->ops.len = growing_length;
    job->ops.capacity = growing_capacity;
    job->ops.resize = growing_resize;
    job->ops.append = growing_append;
    job->buffer_count = job->opt.copy ? (size_t)desc.max_packets + 1 : 0; /* + 1: the one that finds no room */
    job->buffers = allocate(job->buffer_count, sizeof *job->buffers);
}

/* Packets of IN for each packet that was emitted. */
static double ratio(const struct job *job)
{
    return job->total.emitted ? (double)job->capture.count / (double)job->total.emitted : 0.0;
}

static void print_coalesce_summary(const struct job *job)
{
    const struct totals *t = &job->total;
    tuo_gro_stats stats;
    int v;

    tuo_gro_query_stats(job->gro, &stats);
    stats.verdicts[TUO_V_IP_LENGTH] += t->no_length;
    for (v = 0; v < TUO_V_COUNT; v++) {
        if (stats.verdicts[v] && v != TUO_V_NO_ROOM)
            printf("  %10llu %-16s %s\n", (unsigned long long)stats.verdicts[v], tuo_verdict_name((tuo_verdict)v),
                   tuo_verdict_text((tuo_verdict)v));
    }
    printf("%zu packets merged into %zu superpackets; %zu packets in, %zu out (ratio %.2f); largest: %zu packets, %zu bytes\n",
           t->merged, t->superpackets, job->capture.count, t->emitted, ratio(job), t->most_segs, t->most_bytes);
}

#endif
