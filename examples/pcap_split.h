/* pcap_split.h - the split command of pcap_offload: cuts superpackets. start_split() and next_segment() use the library, in three
   ways; check uses them as well. */
#ifndef PCAP_SPLIT_H
#define PCAP_SPLIT_H

#include "pcap_job.h"

/* The next segment of a split as contiguous bytes, in the way the options say. pkt is what tuo_gso_init() got. */
static tuo_result next_segment(struct job *job, tuo_gso *gso, uint8_t *pkt, tuo_buf *segment)
{
    if (job->opt.in_place)
        return tuo_gso_next_in_place(gso, pkt, segment);

    if (job->opt.copy) {
        void *buffers[1];
        size_t written;
        tuo_result result;

        buffers[0] = segment;
        segment->data = job->segment.data;
        segment->capacity = job->segment.room;
        result = tuo_gso_split(gso, NULL, buffers, 1, 0, &written); /* TUO_OK or TUO_MORE */
        return result < 0 ? result : written ? TUO_OK : TUO_DONE;
    } else {
        tuo_segment pieces;
        tuo_result result = tuo_gso_next(gso, NULL, &pieces);

        if (result != TUO_OK)
            return result;
        gather(job->segment.data, pieces.iov, pieces.iov_count); /* a program with writev() would not need to */
        segment->data = job->segment.data;
        segment->len = pieces.len;
        return TUO_OK;
    }
}

static tuo_result start_split(struct job *job, tuo_gso *gso, const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet)
{
    reserve(&job->segment, len + 1);
    return tuo_gso_init(gso, pkt, len, vnet, job->flags | (job->opt.trust ? TUO_F_TRUST : 0U));
}

static void emit_segments(struct job *job, const struct packet *packet, tuo_gso *gso, uint8_t *pkt)
{
    static const tuo_vnet_hdr none;
    long shift = list_shift(job, packet);
    tuo_buf segment;

    while (next_segment(job, gso, pkt, &segment) == TUO_OK) {
        if (job->opt.list) {
            list_packet(job, &none, (size_t)((long)segment.len + shift), shift, 1);
            printf("%zu\n", packet_number(job, packet));
        }
        write_frame(job, packet, segment.data, segment.len);
        job->total.emitted++;
    }
}

/* ------------------------------------------------------------------------------------------- records without virtio-net header */

/* Why split leaves a record whole, besides what the library says: the name for --verdicts, and what the summary says. */
static const struct {
    const char *name, *text;
} wholes[WHOLE_COUNT] = {
    {"PASSED", NULL},
    {"TUNNEL", "VXLAN, Geneve or IP in UDP: segments would lack the tunnel header (--tunnel-ports)"},
    {"DISABLED", "switched off by --no-tcp or --no-udp"},
    {"UDP_ZERO_CSUM", "UDP without a checksum: segments would need one"},
};

/* The virtio-net header that a captured packet would have had on a TUN. Its checksums are finished, so only UDP needs to have one
   made partial again, as GSO demands. The jumbo payload option goes, and so does what is behind the packet. Returns WHOLE_COUNT:
   cut it; otherwise why not. */
static enum whole plan_cut(const struct job *job, uint8_t *pkt, size_t *len, tuo_vnet_hdr *vnet, tuo_result *result)
{
    static const uint8_t gso_types[] = {TUO_GSO_NONE, TUO_GSO_TCPV4, TUO_GSO_UDP_L4, TUO_GSO_TCPV6, TUO_GSO_UDP_L4};
    size_t mss = (size_t)job->opt.mss, inner, removed;
    unsigned inner_flags;
    tuo_pkt_info info;
    uint8_t *field;

    memset(vnet, 0, sizeof *vnet);
    *result = parse_captured(pkt, len, job->flags, &info);
    if (*result == TUO_E_IP_LENGTH && *len > mss)
        return WHOLE_COUNT; /* the caller sees the result */
    if (*result != TUO_OK || !covers_payload(&info) || info.payload_len <= mss)
        return WHOLE_SHORT;
    if (is_udp(&info) ? job->opt.no_udp : job->opt.no_tcp)
        return WHOLE_OFF;
    if (is_tunnel(pkt, &info, &job->opt.tunnel_ports, &inner, &inner_flags))
        return WHOLE_TUNNEL;
    if (is_udp(&info)) {
        field = pkt + info.l4_off + checksum_offset(&info);
        if (load16(field) == 0)
            return WHOLE_NO_SUM;
        if (!job->opt.trust && !l4_checksum_right(pkt, &info)) {
            *result = TUO_E_L4_CSUM;
            return WHOLE_COUNT;
        }
        store16(field, pseudo_sum(pkt, &info, info.l4_hdr_len + info.payload_len));
    }
    *len = info.ip_off + info.total_len;
    removed = remove_jumbo(pkt, *len, info.ip_off);
    *len -= removed;
    if (is_udp(&info)) {
        vnet->flags = TUO_VNET_NEEDS_CSUM;
        vnet->csum_start = (uint16_t)(info.l4_off - removed);
        vnet->csum_offset = (uint16_t)checksum_offset(&info);
    }
    vnet->gso_type = gso_types[info.kind];
    vnet->gso_size = (uint16_t)mss;
    return WHOLE_COUNT;
}

/* Returns what was done, for --verdicts. */
static const char *split_packet(struct job *job, const struct packet *packet)
{
    uint8_t *pkt = reserve(&job->work, packet->len + 1);
    size_t len = packet->len;
    enum whole whole = WHOLE_SHORT;
    tuo_result result = TUO_OK;
    tuo_vnet_hdr vnet;
    tuo_gso gso;

    if (!packet->cut) {
        if (len)
            memcpy(pkt, packet->frame, len);
        whole = plan_cut(job, pkt, &len, &vnet, &result);
    }
    if (whole == WHOLE_COUNT && result == TUO_OK)
        result = start_split(job, &gso, pkt, len, &vnet);
    if (whole == WHOLE_COUNT && result == TUO_OK) {
        emit_segments(job, packet, &gso, pkt);
        job->total.superpackets++;
        job->total.merged += tuo_gso_count(&gso);
        return "SPLIT";
    }
    pass_record(job, packet);
    if (whole == WHOLE_COUNT) {
        job->total.not_cut[-result]++;
        return tuo_result_name(result);
    }
    job->total.whole[whole]++;
    return whole == WHOLE_SHORT && packet->partial ? "COMPLETED" : wholes[whole].name;
}

/* ---------------------------------------------------------------------------------------------- records with virtio-net header */

/* Is it a superpacket that is to stay whole? Its checksum is finished all the same. */
static int is_off(const struct job *job, const tuo_vnet_hdr *vnet)
{
    return vnet->gso_type != TUO_GSO_NONE && (vnet->gso_type == TUO_GSO_UDP_L4 ? job->opt.no_udp : job->opt.no_tcp);
}

/* Returns what was done, or NULL if the record was refused with *result. */
static const char *split_vnet(struct job *job, struct packet *packet, tuo_result *result)
{
    const struct capture_record *record = packet->record;
    uint8_t *pkt = reserve(&job->work, packet->len + 1);
    size_t len = packet->len, removed;
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    int off;

    *result = tuo_vnet_decode(record->bytes, record->len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet);
    if (*result != TUO_OK)
        return NULL;
    if (packet->cut) {
        pass_record(job, packet);
        return wholes[WHOLE_SHORT].name;
    }
    if (len)
        memcpy(pkt, packet->frame, len);
    off = is_off(job, &vnet);
    if (vnet.gso_type != TUO_GSO_NONE && !off) {
        removed = remove_jumbo(pkt, len, 0);
        len -= removed;
        vnet.csum_start = (uint16_t)(vnet.csum_start > removed ? vnet.csum_start - removed : vnet.csum_start);
    }
    *result = start_split(job, &gso, pkt, len, &vnet);
    if (*result == TUO_OK && off) { /* the header is right; the packet stays whole */
        vnet.gso_type = TUO_GSO_NONE;
        *result = start_split(job, &gso, pkt, len, &vnet);
    }
    if (*result != TUO_OK)
        return NULL;
    emit_segments(job, packet, &gso, pkt);
    if (vnet.gso_type != TUO_GSO_NONE) {
        job->total.superpackets++;
        job->total.merged += tuo_gso_count(&gso);
        return "SPLIT";
    }
    packet->partial = vnet.flags & TUO_VNET_NEEDS_CSUM ? PARTIAL_L4 : 0;
    job->total.partial_l4 += packet->partial != 0;
    job->total.whole[off ? WHOLE_OFF : WHOLE_SHORT]++;
    return off ? wholes[WHOLE_OFF].name : packet->partial ? "COMPLETED" : wholes[WHOLE_SHORT].name;
}

static void split_record(struct job *job, struct packet *packet)
{
    tuo_result result = TUO_OK;
    const char *verdict;

    finish_packet(job, packet);
    verdict = job->opt.vnet ? split_vnet(job, packet, &result) : split_packet(job, packet);
    job->total.refused += verdict == NULL;
    print_verdict(job, packet, verdict ? "verdict" : "refused", verdict ? verdict : tuo_result_name(result));
}

static void print_split_summary(const struct job *job)
{
    const struct totals *t = &job->total;
    int i;

    printf("%zu packets cut into %zu segments, %zu records in all\n", t->superpackets, t->merged, t->emitted);
    for (i = 0; i < WHOLE_COUNT; i++) {
        if (t->whole[i] && wholes[i].text)
            printf("not cut: %zu: %s\n", t->whole[i], wholes[i].text);
    }
    for (i = 0; i < RESULT_COUNT; i++) {
        if (t->not_cut[i])
            printf("not cut: %zu: %s\n", t->not_cut[i], tuo_result_text((tuo_result)-i));
    }
}

#endif
