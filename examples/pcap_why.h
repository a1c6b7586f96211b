/* pcap_why.h - pcap_offload --why: for what reasons packets were left alone, most packets first, and what can be changed. Some
   changes are tried: the capture runs through the library once more, with the change made, and the packets that merge are
   counted. */
#ifndef PCAP_WHY_H
#define PCAP_WHY_H

#include "pcap_coalesce.h"

enum change {
    CHANGE_NONE, CHANGE_PSH, CHANGE_ID_ANY_DF, CHANGE_ID_ANY, CHANGE_UDP_SUMS, CHANGE_ORDER, CHANGE_PADDING, CHANGE_TRUST,
    CHANGE_BATCH_8, CHANGE_BATCH_ALL
};

enum reason {
    WHY_EMPTY, WHY_FLAGS, WHY_PSH, WHY_ID, WHY_NO_SUM, WHY_ORDER, WHY_TWICE, WHY_PADDING, WHY_BAD_SUM, WHY_SIZE, WHY_ACK,
    WHY_OPTIONS, WHY_FIELD, WHY_FULL, WHY_PROTOCOL, WHY_FRAGMENT, WHY_UNUSUAL, WHY_OFF, WHY_SINGLE, WHY_BETWEEN, WHY_CUT,
    WHY_SUPERPACKET, WHY_COUNT
};

/* tried: changes whose effect is printed, as "With checksums, 3 more would merge." */
static const struct {
    const char *what, *advice;
    struct tried {
        enum change change;
        const char *with;
    } tried[2];
} reasons[WHY_COUNT] = {
    [WHY_EMPTY] = {.what = "TCP without payload (acknowledgments)",
                   .advice = "Nothing to do: they have no data to merge."},
    [WHY_FLAGS] = {.what = "SYN, RST, URG or CWR: a connection starts, ends or slows down",
                   .advice = "Nothing to do: a few per connection."},
    [WHY_PSH] = {.what = "PSH (or FIN) on the packet before: a write of the sender ended there, and so does the superpacket",
                 .advice = "Let the sender write more at once (larger buffers, TCP_CORK, MSG_MORE).",
                 .tried = {{CHANGE_PSH, "Without PSH"}}},
    [WHY_ID] = {.what = "IPv4 IDs that neither count up by one nor stay the same",
                .advice = "Allow other IDs (tuo_gro_desc.ip_id), or let the sender count them per flow.",
                .tried = {{CHANGE_ID_ANY_DF, "With --ip-id any-df"}, {CHANGE_ID_ANY, "With --ip-id any"}}},
    [WHY_NO_SUM] = {.what = "UDP without a checksum (the field is 0): splitting could not give the 0 back",
                    .advice = "Switch UDP checksums on at the sender (of a VXLAN device: udpcsum).",
                    .tried = {{CHANGE_UDP_SUMS, "With checksums"}}},
    [WHY_ORDER] = {.what = "TCP out of order, or behind a gap",
                   .advice = "Keep each flow on one path and one queue. Gaps that sorting does not close are lost packets.",
                   .tried = {{CHANGE_ORDER, "Sorted within each batch"}}},
    [WHY_TWICE] = {.what = "TCP data that was there before: sent again, or captured twice",
                   .advice = "If they are copies, capture on one interface only."},
    [WHY_PADDING] = {.what = "bytes behind the IP packet: Ethernet padding, or a frame check sequence",
                     .advice = "Cut each packet to its IP length before it is pushed.",
                     .tried = {{CHANGE_PADDING, "Cut"}}},
    [WHY_BAD_SUM] = {.what = "a checksum that is wrong and not partial, of the packet or its neighbour",
                     .advice = "Find what changes packets and leaves the old checksum (tools that anonymise captures do).",
                     .tried = {{CHANGE_TRUST, "With --trust, which verifies none"}}},
    [WHY_SIZE] = {.what = "another size than the packet before: only the last one of a superpacket may be shorter",
                  .advice = "Let the sender fill its packets, or send datagrams of equal size."},
    [WHY_ACK] = {.what = "acknowledgment number or window changed: data flows in both directions",
                 .advice = "Nothing to do: a superpacket has only one of each."},
    [WHY_OPTIONS] = {.what = "TCP options changed, mostly the timestamp: not sent in one burst",
                     .advice = "Nothing to do: a superpacket has only one timestamp."},
    [WHY_FIELD] = {.what = "another header field changed within the flow (TOS, TTL, DF, TCP flags)",
                   .advice = "Find what changes it; --verdicts names the field."},
    [WHY_FULL] = {.what = "the superpacket before it was full", .advice = "Nothing to do."},
    [WHY_PROTOCOL] = {.what = "neither TCP nor UDP", .advice = "Nothing to do: only TCP and UDP merge."},
    [WHY_FRAGMENT] = {.what = "IP fragments", .advice = "Let the sender make datagrams that fit the path MTU."},
    [WHY_UNUSUAL] = {.what = "unusual or broken headers", .advice = "--verdicts names the rule for each packet."},
    [WHY_OFF] = {.what = "switched off by an option", .advice = "Leave out --no-tcp and --no-udp."},
    [WHY_SINGLE] = {.what = "the only packet of its flow in its batch",
                    .advice = "Collect larger batches before you drain, if the delay is acceptable.",
                    .tried = {{CHANGE_BATCH_8, "With batches 8 times as large"}, {CHANGE_BATCH_ALL, "With one batch (--batch 0)"}}},
    [WHY_BETWEEN] = {.what = "one data packet between others of its flow that never merge (acknowledgments, SYN, FIN)",
                     .advice = "Nothing to do, unless more data follows in the next batch.",
                     .tried = {{CHANGE_BATCH_ALL, "With one batch (--batch 0)"}}},
    [WHY_CUT] = {.what = "cut by the snap length of the capture", .advice = "Capture whole packets (tcpdump -s 0)."},
    [WHY_SUPERPACKET] = {.what = "superpackets already", .advice = "Nothing to do: they are merged."},
};

static enum reason reason_of(int verdict)
{
    switch (verdict) {
    case TUO_V_TCP_EMPTY: return WHY_EMPTY;
    case TUO_V_TCP_FLAGS: case TUO_V_TCP_CWR: return WHY_FLAGS;
    case TUO_V_AFTER_PSH_FIN: return WHY_PSH;
    case TUO_V_IP_ID_DIFFERS: return WHY_ID;
    case TUO_V_UDP_ZERO_CSUM: return WHY_NO_SUM;
    case TUO_V_SEQ_GAP: case TUO_V_SEQ_LATE: return WHY_ORDER;
    case TUO_V_SEQ_OVERLAP: return WHY_TWICE;
    case TUO_V_TRAILING_BYTES: return WHY_PADDING;
    case TUO_V_BAD_IP_CSUM: case TUO_V_BAD_L4_CSUM: case TUO_V_HEAD_BAD_CSUM: return WHY_BAD_SUM;
    case TUO_V_LONGER: case TUO_V_AFTER_SHORT: case TUO_V_TINY: return WHY_SIZE;
    case TUO_V_ACK_DIFFERS: case TUO_V_WINDOW_DIFFERS: return WHY_ACK;
    case TUO_V_OPTIONS_DIFFERS: return WHY_OPTIONS;
    case TUO_V_TOS_DIFFERS: case TUO_V_TTL_DIFFERS: case TUO_V_DF_DIFFERS: case TUO_V_RESERVED_DIFFERS:
    case TUO_V_FLAGS_DIFFERS: case TUO_V_URGENT_DIFFERS: return WHY_FIELD;
    case TUO_V_CAP_BYTES: case TUO_V_CAP_SEGS: case TUO_V_CAP_FRAGS: case TUO_V_CAP_BUFFER: return WHY_FULL;
    case TUO_V_NOT_IP: case TUO_V_PROTOCOL: return WHY_PROTOCOL;
    case TUO_V_IP_FRAGMENT: case TUO_V_PAIR_CLOSED: return WHY_FRAGMENT;
    case TUO_V_DISABLED: case TUO_V_PORT_EXCLUDED: return WHY_OFF;
    default: return WHY_UNUSUAL;
    }
}

/* A candidate that did not join: the packet before it in its flow was left alone for the same reason. */
static int keeps_its_neighbour_alone(int verdict)
{
    return verdict >= TUO_V_TOS_DIFFERS && verdict < TUO_V_NO_ROOM;
}

/* ------------------------------------------------------------------------------------------------------------------- one batch */

struct entry {
    struct packet *packet;
    tuo_pkt_info info;     /* kind NONE if it has no flow */
    size_t number;         /* in order of arrival */
    size_t flow, next;     /* next packet of the flow; NO_ENTRY: none */
    uint32_t from_first;   /* TCP: sequence number, counted from the first one of the flow, which has the middle */
    int verdict, alone;
};

#define NO_ENTRY SIZE_MAX

/* One run over the capture. With counts it also says why packets were left alone. */
struct trial {
    const struct job *job;
    enum change change;
    tuo_gro *gro;
    size_t batch;
    struct entry *entries;
    size_t *flow_first, *flow_last, *flow_packets; /* by number of the flow: entries, packets */
    size_t count, flows;
    tuo_flow_table *table;
    struct bytes changed;  /* memory of packets that were changed */
    size_t changed_len;
    size_t merged, batches, all_flows, all_in_flows;
    size_t *alone;         /* by reason, or NULL */
};

static void find_flows(struct trial *t)
{
    size_t i;

    tuo_flow_table_reset(t->table);
    t->flows = 0;
    for (i = 0; i < t->count; i++) {
        struct entry *e = &t->entries[i];
        tuo_flow_key key;
        uint32_t *number;

        e->next = NO_ENTRY;
        if (tuo_flow_key_from_packet(e->packet->frame, &e->info, &key) != TUO_OK)
            continue;
        key.extra = e->packet->link->number;
        number = tuo_flow_table_insert(t->table, &key, NULL);
        if (*number == 0) { /* new */
            *number = (uint32_t)++t->flows;
            t->flow_first[*number - 1] = i;
            t->flow_packets[*number - 1] = 0;
        } else {
            t->entries[t->flow_last[*number - 1]].next = i;
        }
        e->flow = *number - 1;
        t->flow_last[e->flow] = i;
        t->flow_packets[e->flow]++;
        e->from_first = e->info.seq - t->entries[t->flow_first[e->flow]].info.seq + 0x80000000U;
        t->all_in_flows++;
    }
    t->all_flows += t->flows;
    t->batches++;
}

static int in_flow_order(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    if (a->info.kind == TUO_KIND_NONE || b->info.kind == TUO_KIND_NONE || a->flow != b->flow) {
        size_t x = a->info.kind == TUO_KIND_NONE ? 0 : a->flow + 1, y = b->info.kind == TUO_KIND_NONE ? 0 : b->flow + 1;

        if (x != y)
            return x < y ? -1 : 1;
    } else if (a->info.l4_proto == 6 && a->from_first != b->from_first) {
        return a->from_first < b->from_first ? -1 : 1;
    }
    return a->number < b->number ? -1 : 1;
}

static uint8_t *copy_to_change(struct trial *t, const struct packet *packet)
{
    uint8_t *copy = t->changed.data + t->changed_len;

    memcpy(copy, packet->frame, packet->len);
    t->changed_len += packet->len;
    return copy;
}

/* The bytes to push for an entry: those of its packet, or a changed copy. */
static const uint8_t *change_packet(struct trial *t, const struct entry *e, size_t *len)
{
    const tuo_pkt_info *info = &e->info;
    const uint8_t *frame = e->packet->frame;
    uint8_t *copy, *l4;

    *len = e->packet->len;
    if (info->kind == TUO_KIND_NONE)
        return frame;
    if (t->change == CHANGE_PADDING)
        *len -= info->trailer_len;
    if (t->change == CHANGE_PSH && (info->tcp_flags & 8)) {
        copy = copy_to_change(t, e->packet);
        l4 = copy + info->l4_off;
        l4[13] &= 0xf7;
        store16(l4 + 16, tuo_csum_update16(load16(l4 + 16), load16(frame + info->l4_off + 12), load16(l4 + 12)));
        return copy;
    }
    if (t->change == CHANGE_UDP_SUMS && is_udp(info) && covers_payload(info) && load16(frame + info->l4_off + 6) == 0) {
        copy = copy_to_change(t, e->packet);
        store16(copy + info->l4_off + 6, pseudo_sum(copy, info, 8 + info->payload_len));
        if (tuo_csum_complete(copy, info->payload_off + info->payload_len, info->l4_off, 6) == TUO_OK)
            return copy;
    }
    return frame;
}

static enum reason reason_alone(const struct trial *t, const struct entry *e)
{
    if (e->verdict == TUO_V_TRAILING_BYTES && e->info.l4_proto == 6 && e->info.payload_len == 0)
        return WHY_EMPTY; /* Ethernet pads these; without padding they would not merge either */
    if (e->verdict != TUO_V_HELD)
        return reason_of(e->verdict);
    if (e->next != NO_ENTRY && keeps_its_neighbour_alone(t->entries[e->next].verdict))
        return reason_of(t->entries[e->next].verdict);
    return t->flow_packets[e->flow] == 1 ? WHY_SINGLE : WHY_BETWEEN;
}

static void run_batch(struct trial *t)
{
    tuo_superpacket sp = {0};
    size_t i, len, room = 0;

    if (t->count == 0)
        return;
    find_flows(t);
    if (t->change == CHANGE_ORDER)
        qsort(t->entries, t->count, sizeof *t->entries, in_flow_order);
    for (i = 0; i < t->count && (t->change == CHANGE_PSH || t->change == CHANGE_UDP_SUMS); i++)
        room += t->entries[i].packet->len;
    reserve(&t->changed, room);
    t->changed_len = 0;
    for (i = 0; i < t->count; i++) {
        struct entry *e = &t->entries[i];
        const uint8_t *bytes = change_packet(t, e, &len);

        e->alone = 0;
        e->verdict = (int)tuo_gro_push(t->gro, bytes, len, e, 0);
    }
    while (tuo_gro_next(t->gro, &sp) == TUO_OK) {
        if (sp.packet_count > 1)
            t->merged += sp.packet_count;
        else
            ((struct entry *)sp.users[0])->alone = 1;
    }
    for (i = 0; i < t->count && t->alone; i++) {
        if (t->entries[i].alone)
            t->alone[reason_alone(t, &t->entries[i])]++;
    }
    t->count = 0;
}

/* ----------------------------------------------------------------------------------------------------------------------- trials */

static void make_trial_gro(struct trial *t, void **gro_memory)
{
    tuo_gro_desc desc;

    describe_gro(t->job, &desc);
    if (t->change == CHANGE_BATCH_8)
        desc.max_packets = desc.max_packets < BATCH_MAX / 8 ? desc.max_packets * 8 : BATCH_MAX;
    if (t->change == CHANGE_BATCH_ALL)
        desc.max_packets = t->job->capture.count < BATCH_MAX ? (uint32_t)t->job->capture.count : BATCH_MAX;
    desc.max_flows = desc.max_packets < 65536 ? desc.max_packets : 65536;
    if (t->change == CHANGE_ID_ANY_DF)
        desc.ip_id = TUO_IP_ID_ANY_DF;
    if (t->change == CHANGE_ID_ANY)
        desc.ip_id = TUO_IP_ID_ANY;
    if (t->change == CHANGE_TRUST)
        desc.trust_checksums = 1;
    t->gro = make_gro(&desc, gro_memory);
    t->batch = desc.max_packets;
}

/* Runs all packets through, in batches as coalesce has them. */
static void run_trial(struct trial *t)
{
    const struct job *job = t->job;
    void *gro_memory, *table_memory;
    size_t i, table_len;
    uint32_t max_flows;

    make_trial_gro(t, &gro_memory);
    max_flows = t->batch < 65536 ? (uint32_t)t->batch : 65536;
    table_len = tuo_flow_table_memory_size(max_flows);
    table_memory = allocate(table_len, 1);
    if (tuo_flow_table_init(&t->table, table_memory, table_len, max_flows, 1) != TUO_OK)
        die("pcap_offload", "tuo_flow_table_init refused its size");
    t->entries = allocate(t->batch, sizeof *t->entries);
    t->flow_first = allocate(t->batch * 3, sizeof *t->flow_first);
    t->flow_last = t->flow_first + t->batch;
    t->flow_packets = t->flow_last + t->batch;
    for (i = 0; i < job->capture.count; i++) {
        struct packet *packet = &job->packets[i];
        struct entry *e = &t->entries[t->count];

        if (packet->opaque) {
            run_batch(t);
            if (t->alone)
                t->alone[packet->cut ? WHY_CUT : WHY_SUPERPACKET]++;
            continue;
        }
        memset(e, 0, sizeof *e);
        e->packet = packet;
        e->number = t->count++;
        if (tuo_parse(packet->frame, packet->len, job->flags, &e->info) != TUO_OK)
            memset(&e->info, 0, sizeof e->info);
        if (t->count == t->batch)
            run_batch(t);
    }
    run_batch(t);
    free(t->entries);
    free(t->flow_first);
    free(t->changed.data);
    free(table_memory);
    free(gro_memory);
}

static size_t merged_with(const struct job *job, enum change change)
{
    struct trial trial = {0};

    trial.job = job;
    trial.change = change;
    run_trial(&trial);
    return trial.merged;
}

/* -------------------------------------------------------------------------------------------------------------------- in words */

static void print_reason(const struct job *job, enum reason reason, size_t packets, size_t merged)
{
    const struct tried *tried = reasons[reason].tried;
    size_t then;
    int i;

    printf("%10zu  %4.1f %%  %s\n%20s%s\n", packets, 100.0 * (double)packets / (double)job->capture.count, reasons[reason].what, "",
           reasons[reason].advice);
    for (i = 0; i < 2 && tried[i].with; i++) {
        then = merged_with(job, tried[i].change);
        if (then > merged)
            printf("%20s%s, %zu more would merge.\n", "", tried[i].with, then - merged);
        else
            printf("%20s%s, no more would merge.\n", "", tried[i].with);
    }
}

/* What is true of the capture as a whole. */
static void print_facts(const struct job *job, const struct trial *trial)
{
    size_t i, partial = 0, large = 0, ip_off;

    for (i = 0; i < job->capture.count; i++) {
        const struct packet *packet = &job->packets[i];

        partial += packet->partial != 0;
        large += !packet->cut && find_ip(packet->frame, packet->len, job->flags, &ip_off) && packet->len - ip_off > 1500;
    }
    if (trial->all_flows)
        printf("  A batch (--batch) of up to %zu packets has %.1f flows on average, with %.1f packets each.\n", trial->batch,
               (double)trial->all_flows / (double)trial->batches, (double)trial->all_in_flows / (double)trial->all_flows);
    if (partial)
        printf("  %zu packets had partial checksums: this is a sender's capture. They were finished here, as by its NIC.\n"
               "  In a program that gets such packets, finish them first (tuo_csum_complete), or none of them merges.\n", partial);
    if (large)
        printf("  %zu packets are longer than 1500 bytes: superpackets already, or jumbo frames. To see how the packets of\n"
               "  the wire merge, cut them first: pcap_offload split, then coalesce.\n", large);
}

static void print_why(const struct job *job)
{
    size_t alone[WHY_COUNT] = {0}, i, largest, left = 0;
    struct trial trial = {0};

    if (job->capture.count == 0)
        return;
    trial.job = job;
    trial.alone = alone;
    run_trial(&trial);
    for (i = 0; i < WHY_COUNT; i++)
        left += alone[i];
    printf("why: %zu of %zu packets merged, %zu did not%s\n", trial.merged, job->capture.count, left,
           left ? " (packets, share of all, reason):" : "");
    for (;;) {
        for (largest = 0, i = 1; i < WHY_COUNT; i++) {
            if (alone[i] > alone[largest])
                largest = i;
        }
        if (alone[largest] == 0)
            break;
        print_reason(job, (enum reason)largest, alone[largest], trial.merged);
        alone[largest] = 0;
    }
    print_facts(job, &trial);
}

#endif
