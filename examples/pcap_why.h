/* pcap_why.h - pcap_offload --why: for what reasons packets were left alone, and what can be changed. Changes are tried where that
   can be done: the capture runs through the library once more, with the change made, and the packets that merge are counted. */
#ifndef PCAP_WHY_H
#define PCAP_WHY_H

#include "pcap_coalesce.h"

enum reason {
    WHY_EMPTY, WHY_FLAGS, WHY_PSH, WHY_ID, WHY_NO_SUM, WHY_ORDER, WHY_TWICE, WHY_PADDING, WHY_BAD_SUM, WHY_SIZE, WHY_ACK,
    WHY_OPTIONS, WHY_FIELD, WHY_FULL, WHY_PROTOCOL, WHY_FRAGMENT, WHY_UNUSUAL, WHY_OFF, WHY_NO_NEIGHBOUR, WHY_CUT, WHY_SUPERPACKET,
    WHY_COUNT
};

/* Without advice: nothing can be done. */
static const struct {
    const char *what, *advice;
} reasons[WHY_COUNT] = {
    [WHY_EMPTY] = {"TCP without payload (acknowledgments): no data to merge", NULL},
    [WHY_FLAGS] = {"SYN, RST, URG or CWR: a connection starts, ends or slows down", NULL},
    [WHY_PSH] = {"PSH (or FIN) on the packet before: a write of the sender ended there, and so does the superpacket",
                 "Let the sender write more at once (larger buffers, TCP_CORK, MSG_MORE)."},
    [WHY_ID] = {"IPv4 IDs that neither count up by one nor stay the same",
                "Allow other IDs (--ip-id; in a program tuo_gro_desc.ip_id), or let the sender count them per flow."},
    [WHY_NO_SUM] = {"UDP without a checksum (the field is 0): splitting could not give the 0 back",
                    "Switch UDP checksums on at the sender (of a VXLAN device: udpcsum)."},
    [WHY_ORDER] = {"TCP out of order, or behind a gap (lost packets)",
                   "Keep each flow on one network path and one receive queue: the network must keep the order."},
    [WHY_TWICE] = {"TCP data that was there before: sent again, or captured twice",
                   "If they are copies, capture on one interface only."},
    [WHY_PADDING] = {"bytes behind the IP packet: Ethernet padding, or a frame check sequence",
                     "Cut each packet to its IP length before the library gets it."},
    [WHY_BAD_SUM] = {"a checksum that is wrong and not partial, of the packet or its neighbour",
                     "Find what changes packets and leaves the old checksum (tools that anonymise captures do)."},
    [WHY_SIZE] = {"another size than the packet before: only the last one of a superpacket may be shorter",
                  "Let the sender fill its packets, or send datagrams of equal size."},
    [WHY_ACK] = {"acknowledgment number or window changed: a superpacket has only one of each", NULL},
    [WHY_OPTIONS] = {"TCP options changed (such as the timestamp): a superpacket has them only once", NULL},
    [WHY_FIELD] = {"another header field changed within the flow (TOS, TTL, DF, TCP flags)",
                   "Find what changes it; --verdicts names the field."},
    [WHY_FULL] = {"the superpacket before it was full", NULL},
    [WHY_PROTOCOL] = {"not IP, or neither TCP nor UDP", NULL},
    [WHY_FRAGMENT] = {"IP fragments", "Let the sender make datagrams that fit the path MTU."},
    [WHY_UNUSUAL] = {"unusual or broken headers", "--verdicts names the rule for each packet."},
    [WHY_OFF] = {"switched off by an option", "Leave out --no-tcp and --no-udp."},
    [WHY_NO_NEIGHBOUR] = {"no other data packet of its flow right before or after it in its batch",
                          "Let the program collect more packets before it writes them, if the delay is acceptable."},
    [WHY_CUT] = {"cut by the snap length of the capture", "Capture whole packets (tcpdump -s 0)."},
    [WHY_SUPERPACKET] = {"superpackets already", NULL},
};

enum change {
    CHANGE_PSH, CHANGE_ID_ANY_DF, CHANGE_ID_ANY, CHANGE_UDP_SUMS, CHANGE_ORDER, CHANGE_PADDING, CHANGE_TRUST, CHANGE_BATCH_8,
    CHANGE_BATCH_ALL, CHANGE_COUNT
};

/* Changes that can be tried. The second one of a reason goes further than the first. At most: it is more than a sender can do. */
static const struct {
    enum reason reason;
    const char *with;
} changes[CHANGE_COUNT] = {
    [CHANGE_PSH] = {WHY_PSH, "Without any PSH, at most"},
    [CHANGE_ID_ANY_DF] = {WHY_ID, "With --ip-id any-df,"},
    [CHANGE_ID_ANY] = {WHY_ID, "With --ip-id any,"},
    [CHANGE_UDP_SUMS] = {WHY_NO_SUM, "With checksums,"},
    [CHANGE_ORDER] = {WHY_ORDER, "With each batch in the order of its sender, at most"},
    [CHANGE_PADDING] = {WHY_PADDING, "Without these bytes,"},
    [CHANGE_TRUST] = {WHY_BAD_SUM, "With --trust, which verifies no checksum,"},
    [CHANGE_BATCH_8] = {WHY_NO_NEIGHBOUR, "With batches 8 times as large,"},
    [CHANGE_BATCH_ALL] = {WHY_NO_NEIGHBOUR, "With all packets in one batch (--batch 0),"},
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
    unsigned changes;      /* bits by number of the change */
    tuo_gro *gro;
    size_t batch;
    struct entry *entries;
    size_t *flow_first, *flow_last; /* by number of the flow: entries */
    size_t count, flows;
    tuo_flow_table *table;
    struct bytes changed;  /* memory of packets that were changed */
    size_t changed_len;
    size_t merged, batches, all_flows, all_in_flows;
    size_t *alone;         /* by reason, or NULL */
    size_t data[2], data_merged[2]; /* TCP and UDP packets with payload */
};

static int has_change(const struct trial *t, enum change change)
{
    return (t->changes >> change & 1) != 0;
}

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
        } else {
            t->entries[t->flow_last[*number - 1]].next = i;
        }
        e->flow = *number - 1;
        t->flow_last[e->flow] = i;
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
    if (has_change(t, CHANGE_PADDING))
        *len -= info->trailer_len;
    if (has_change(t, CHANGE_PSH) && (info->tcp_flags & 8)) {
        copy = copy_to_change(t, e->packet);
        l4 = copy + info->l4_off;
        l4[13] &= 0xf7;
        store16(l4 + 16, tuo_csum_update16(load16(l4 + 16), load16(frame + info->l4_off + 12), load16(l4 + 12)));
        return copy;
    }
    if (has_change(t, CHANGE_UDP_SUMS) && is_udp(info) && covers_payload(info) && load16(frame + info->l4_off + 6) == 0) {
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
    return WHY_NO_NEIGHBOUR;
}

static void run_batch(struct trial *t)
{
    tuo_superpacket sp = {0};
    size_t i, len, room = 0;

    if (t->count == 0)
        return;
    find_flows(t);
    if (has_change(t, CHANGE_ORDER))
        qsort(t->entries, t->count, sizeof *t->entries, in_flow_order);
    for (i = 0; i < t->count && (has_change(t, CHANGE_PSH) || has_change(t, CHANGE_UDP_SUMS)); i++)
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
        const struct entry *e = &t->entries[i];

        if (e->alone)
            t->alone[reason_alone(t, e)]++;
        if (e->info.kind != TUO_KIND_NONE && e->info.payload_len) {
            t->data[is_udp(&e->info)]++;
            t->data_merged[is_udp(&e->info)] += !e->alone;
        }
    }
    t->count = 0;
}

/* ----------------------------------------------------------------------------------------------------------------------- trials */

static void make_trial_gro(struct trial *t, void **gro_memory)
{
    tuo_gro_desc desc;

    describe_gro(t->job, &desc);
    if (has_change(t, CHANGE_BATCH_8))
        desc.max_packets = desc.max_packets < BATCH_MAX / 8 ? desc.max_packets * 8 : BATCH_MAX;
    if (has_change(t, CHANGE_BATCH_ALL))
        desc.max_packets = t->job->capture.count < BATCH_MAX ? (uint32_t)t->job->capture.count : BATCH_MAX;
    desc.max_flows = desc.max_packets < 65536 ? desc.max_packets : 65536;
    if (has_change(t, CHANGE_ID_ANY_DF))
        desc.ip_id = TUO_IP_ID_ANY_DF;
    if (has_change(t, CHANGE_ID_ANY))
        desc.ip_id = TUO_IP_ID_ANY;
    if (has_change(t, CHANGE_TRUST))
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
    t->flow_first = allocate(t->batch * 2, sizeof *t->flow_first);
    t->flow_last = t->flow_first + t->batch;
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

static size_t merged_with(const struct job *job, unsigned changes_made)
{
    struct trial trial = {0};

    trial.job = job;
    trial.changes = changes_made;
    run_trial(&trial);
    return trial.merged;
}

/* What the changes would gain. */
struct gains {
    unsigned useful;           /* bits by number of the change */
    size_t more[CHANGE_COUNT]; /* by this one alone */
    size_t together;           /* by all useful ones */
};

/* Tries the changes for the reasons found, each alone. One that gains nothing alone, or no more than the one before it of its reason,
   is useful if all gain less without it. */
static void try_changes(const struct trial *trial, struct gains *gains)
{
    size_t all, without;
    int c;

    memset(gains, 0, sizeof *gains);
    for (c = 0; c < CHANGE_COUNT; c++) {
        if (trial->alone[changes[c].reason] == 0)
            continue;
        all = merged_with(trial->job, 1U << c);
        gains->more[c] = all > trial->merged ? all - trial->merged : 0;
        gains->useful |= 1U << c;
    }
    all = gains->useful ? merged_with(trial->job, gains->useful) : trial->merged;
    for (c = CHANGE_COUNT - 1; c >= 0; c--) {
        int further = c > 0 && changes[c].reason == changes[c - 1].reason;

        if (!(gains->useful >> c & 1) || gains->more[c] > (further ? gains->more[c - 1] : 0))
            continue;
        without = merged_with(trial->job, gains->useful & ~(1U << c));
        if (without >= all) {
            gains->useful &= ~(1U << c);
            all = without;
        }
    }
    gains->together = all > trial->merged ? all - trial->merged : 0;
}

/* -------------------------------------------------------------------------------------------------------------------- in words */

static double percent(size_t part, size_t whole)
{
    return 100.0 * (double)part / (double)whole;
}

/* Changes for a reason, as bits. */
static unsigned changes_for(enum reason reason)
{
    unsigned bits = 0;
    int c;

    for (c = 0; c < CHANGE_COUNT; c++)
        bits |= changes[c].reason == reason ? 1U << c : 0;
    return bits;
}

/* Is there something to do? Advice that can be tried must gain something. */
static int can_be_helped(enum reason reason, const struct gains *gains)
{
    unsigned bits = changes_for(reason);

    return reasons[reason].advice && (!bits || (bits & gains->useful));
}

static void print_advice(enum reason reason, const struct gains *gains)
{
    unsigned bits = changes_for(reason) & gains->useful;
    int c;

    printf("%20s%s\n", "", reasons[reason].advice);
    for (c = 0; c < CHANGE_COUNT; c++) {
        if (bits >> c & 1)
            printf("%20s%s %zu more would merge%s.\n", "", changes[c].with, gains->more[c],
                   gains->more[c] ? "" : ", but some together with the other changes");
    }
}

/* The reasons that can be helped, or the others, most packets first. */
static void print_reasons(const struct trial *trial, const struct gains *gains, int helped)
{
    size_t alone[WHY_COUNT], i, largest;

    for (i = 0; i < WHY_COUNT; i++)
        alone[i] = can_be_helped((enum reason)i, gains) == helped ? trial->alone[i] : 0;
    for (;;) {
        for (largest = 0, i = 1; i < WHY_COUNT; i++) {
            if (alone[i] > alone[largest])
                largest = i;
        }
        if (alone[largest] == 0)
            return;
        printf("%10zu %5.1f %%  %s\n", alone[largest], percent(alone[largest], trial->job->capture.count), reasons[largest].what);
        if (helped)
            print_advice((enum reason)largest, gains);
        alone[largest] = 0;
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
    static const char *const protocols[2] = {"TCP", "UDP"};
    size_t alone[WHY_COUNT] = {0}, i, left = 0, others = 0;
    int helped = 0; /* reasons with useful changes */
    struct trial trial = {0};
    struct gains gains;

    if (job->capture.count == 0)
        return;
    trial.job = job;
    trial.alone = alone;
    run_trial(&trial);
    try_changes(&trial, &gains);
    for (i = 0; i < WHY_COUNT; i++) {
        left += alone[i];
        others += can_be_helped((enum reason)i, &gains) ? 0 : alone[i];
        helped += (changes_for((enum reason)i) & gains.useful) != 0;
    }
    printf("why: %zu of %zu packets merged, %zu did not\n", trial.merged, job->capture.count, left);
    for (i = 0; i < 2; i++) {
        if (trial.data[i])
            printf("  %s with payload: %zu of %zu packets merged (%.1f %%)\n", protocols[i], trial.data_merged[i], trial.data[i],
                   percent(trial.data_merged[i], trial.data[i]));
    }
    if (left)
        printf("  Below: packets, share of all, reason. Each packet that left alone counts once, under what kept it alone.\n"
               "  (The table above counts verdicts on arrival; a packet that did not join one superpacket can start another.)\n");
    print_reasons(&trial, &gains, 1);
    if (helped > 1)
        printf("  All that was tried, together: at most %zu more would merge.\n", gains.together);
    if (others)
        printf("  Nothing known helps the other %zu packets (%.1f %%):\n", others, percent(others, job->capture.count));
    print_reasons(&trial, &gains, 0);
    print_facts(job, &trial);
}

#endif
