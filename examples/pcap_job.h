/* pcap_job.h - what the parts of pcap_offload share: options, packets, totals, and how records are written. */
#ifndef PCAP_JOB_H
#define PCAP_JOB_H

#include "pcap_file.h"
#include "pcap_packet.h"

enum {
    HEADROOM = TUO_VNET_LEN, /* in front of each packet in copy mode: room for the virtio-net header */
    BATCH_MAX = 1048576,     /* what tuo_gro_desc.max_packets takes */
    MISMATCHES_SHOWN = 10
};

enum { COALESCE = 1, SPLIT = 2, CHECK = 4 };

struct command {
    const char *name;
    int number, files;
    const char *usage, *help;
};

struct options {
    int help, batch, mss;
    int copy, in_place, vnet, list, verdicts, why;
    int strict_kernel, no_prepend, ip_id, trust, no_tcp, no_udp;
    struct tunnel_ports tunnel_ports;
};

/* A captured packet as the library gets to see it. */
struct packet {
    const struct capture_record *record;
    const struct link_type *link;
    uint8_t *frame;       /* Ethernet frame, IP packet, or wrapped IP packet: see wrap() */
    size_t len;
    uint8_t cut;          /* by a snap length, or shorter than its link-layer header */
    uint8_t opaque;       /* not to be coalesced: cut, or a superpacket already */
    uint8_t no_length;    /* a superpacket whose IP length field is 0 */
    uint8_t partial;      /* PARTIAL_*: checksums that were finished here */
    unsigned came_out;    /* times it was emitted; for check */
};

/* A buffer that grows when the library appends to it: what --copy hands to the library. */
struct growing {
    uint8_t *data;
    size_t len, room;
    struct packet *packet; /* the one that was copied into it */
};

struct bytes {
    uint8_t *data;
    size_t room;
};

/* Why split leaves a record whole, besides what the library says. */
enum whole { WHOLE_SHORT, WHOLE_TUNNEL, WHOLE_OFF, WHOLE_NO_SUM, WHOLE_COUNT };

enum { RESULT_COUNT = 64 }; /* more than there are tuo_results */

struct totals {
    size_t emitted, superpackets, merged, most_segs, most_bytes;
    size_t not_ip, cut, left_out, refused, passed, no_length, partial_l4, partial_ip;
    size_t whole[WHOLE_COUNT];
    size_t not_cut[RESULT_COUNT]; /* by -tuo_result: superpackets that the library does not cut */
    size_t identical, renumbered, mismatches;
    uint64_t bytes;
};

struct job {
    const struct command *command;
    struct options opt;
    const char *in, *out;
    struct capture capture;
    struct capture_writer writer;
    const struct link_type *link; /* of the first record */
    unsigned flags;    /* TUO_F_ETHERNET or 0: what frames are */
    struct packet *packets;
    uint8_t *wrapped;  /* memory of all wrapped frames */
    tuo_gro *gro;
    void *gro_memory;
    struct growing *buffers; /* --copy: one for each packet of a batch */
    size_t buffer_count;
    tuo_buf_ops ops;
    size_t held;       /* packets pushed since the last drain */
    struct bytes work, segment, expected;
    struct totals total;
};

/* ---------------------------------------------------------------------------------------------------------------- helpers */

static void die(const char *where, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", where, what);
    exit(2);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        die("pcap_offload", "out of memory");
    return memory;
}

static uint8_t *reserve(struct bytes *bytes, size_t len)
{
    if (len > bytes->room) {
        uint8_t *grown = realloc(bytes->data, len);

        if (!grown)
            die("pcap_offload", "out of memory");
        bytes->data = grown;
        bytes->room = len;
    }
    return bytes->data;
}

static void gather(uint8_t *to, const tuo_iov *iov, size_t iov_count)
{
    size_t i;

    for (i = 0; i < iov_count; i++) {
        if (iov[i].len)
            memcpy(to, iov[i].base, iov[i].len);
        to += iov[i].len;
    }
}

static size_t packet_number(const struct job *job, const struct packet *packet)
{
    return (size_t)(packet - job->packets);
}

/* Bytes that wrap() put in place of a packet's link-layer header, and bytes of this header that a record of OUT keeps. */
static size_t wrap_len(const struct job *job, const struct packet *packet)
{
    return wrapped_len(packet->link, job->capture.link_types_differ);
}

static size_t kept_len(const struct job *job, const struct packet *packet)
{
    return packet->link->number == LINK_TYPE_VNET && job->command->number != COALESCE ? 0 : packet->link->header_len;
}

/* ---------------------------------------------------------------------------------------------------------------- packets */

/* What the virtio-net header of a record says of its packet. A partial checksum is finished here. Returns whether the packet is a
   superpacket, or contradicts its header. */
static int read_vnet_header(struct packet *packet)
{
    tuo_vnet_hdr vnet;

    if (tuo_vnet_decode(packet->record->bytes, packet->record->len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet) != TUO_OK ||
        vnet.gso_type != TUO_GSO_NONE)
        return 1;
    if (!(vnet.flags & TUO_VNET_NEEDS_CSUM))
        return 0;
    if (tuo_csum_complete(packet->frame, packet->len, vnet.csum_start, vnet.csum_offset) != TUO_OK)
        return 1;
    packet->partial = PARTIAL_L4;
    return 0;
}

/* Done when a packet's turn comes, as it reads the packet. What is finished in a wrapped frame goes into the record as well. */
static void finish_packet(struct job *job, struct packet *packet)
{
    size_t wrapped = wrap_len(job, packet);

    if (packet->link->number == LINK_TYPE_VNET && job->command->number == SPLIT)
        return; /* the header says what is to be done */
    if (packet->link->number == LINK_TYPE_VNET && !packet->cut)
        packet->opaque = (uint8_t)read_vnet_header(packet);
    if (packet->opaque)
        return;
    packet->no_length = (uint8_t)has_no_length(packet->frame, packet->len, job->flags);
    packet->opaque = packet->no_length;
    if (packet->link->number != LINK_TYPE_VNET)
        packet->partial = (uint8_t)finish_checksums(packet->frame, packet->len, job->flags, &job->opt.tunnel_ports);
    if (packet->partial && wrapped)
        memcpy(packet->record->bytes + packet->link->header_len, packet->frame + wrapped, packet->len - wrapped);
    job->total.partial_l4 += (packet->partial & PARTIAL_L4) != 0;
    job->total.partial_ip += (packet->partial & PARTIAL_IP) != 0;
}

/* A record becomes a packet, with its frame in memory at `to` if it is to be wrapped. */
static void prepare_packet(struct job *job, const struct capture_record *record, struct packet *packet, uint8_t *to)
{
    size_t header_len = packet->link->header_len, wrapped = wrap_len(job, packet), ip_off;

    job->total.bytes += record->len;
    packet->record = record;
    packet->cut = packet->opaque = record->len < record->wire_len || record->len < header_len;
    job->total.cut += packet->cut;
    if (record->len < header_len)
        return;
    packet->frame = record->bytes + header_len;
    packet->len = record->len - header_len;
    if (wrapped) {
        wrap(packet->link, job->capture.link_types_differ, record->bytes, packet->len, to);
        if (packet->len)
            memcpy(to + wrapped, packet->frame, packet->len);
        packet->frame = to;
        packet->len += wrapped;
    }
    if (!packet->cut && !find_ip(packet->frame, packet->len, job->flags, &ip_off))
        job->total.not_ip++;
}

static void prepare_packets(struct job *job)
{
    const struct capture *capture = &job->capture;
    char message[100];
    size_t i, room = 0;
    uint8_t *to;

    job->packets = allocate(capture->count, sizeof *job->packets);
    for (i = 0; i < capture->count; i++) {
        struct packet *packet = &job->packets[i];

        if (i && capture->records[i].link_type == packet[-1].link->number)
            packet->link = packet[-1].link;
        else
            packet->link = find_link_type(capture->records[i].link_type);
        if (!packet->link || (packet->link->number == LINK_TYPE_VNET && capture->link_types_differ)) {
            snprintf(message, sizeof message, "record %zu has link type %u, which is not supported%s", i,
                     (unsigned)capture->records[i].link_type, packet->link ? " beside others" : "");
            die(job->in, message);
        }
        if (wrap_len(job, packet))
            room += capture->records[i].len + wrap_len(job, packet);
    }
    job->wrapped = to = allocate(room, 1);
    for (i = 0; i < capture->count; i++) {
        prepare_packet(job, &capture->records[i], &job->packets[i], to);
        if (wrap_len(job, &job->packets[i]))
            to += job->packets[i].len;
    }
}

/* ----------------------------------------------------------------------------------------------------------------- output */

static void write_record(struct job *job, const struct packet *from, const struct capture_piece piece[2], size_t wire_len)
{
    if (job->out && capture_write(&job->writer, from->record, piece, wire_len) < 0)
        die(job->out, strerror(errno));
}

/* One line of --list. shift: bytes that OUT has in front of the packet more than the frame. */
static void list_packet(const struct job *job, const tuo_vnet_hdr *vnet, size_t len, long shift, size_t segs)
{
    long hdr_len = vnet->hdr_len ? vnet->hdr_len + shift : 0;
    long csum_start = vnet->flags & TUO_VNET_NEEDS_CSUM ? vnet->csum_start + shift : 0;

    printf("out=%zu len=%zu segs=%zu gso_type=%u gso_size=%u hdr_len=%ld csum_start=%ld csum_offset=%u packets=",
           job->total.emitted, len, segs, (unsigned)vnet->gso_type, (unsigned)vnet->gso_size, hdr_len, csum_start,
           (unsigned)vnet->csum_offset);
}

static long list_shift(const struct job *job, const struct packet *packet)
{
    return (long)kept_len(job, packet) - (long)wrap_len(job, packet);
}

/* A record that is not for the library goes out as it came (but split takes the virtio-net header off). */
static void pass_record(struct job *job, const struct packet *packet)
{
    static const tuo_vnet_hdr none;
    const struct capture_record *record = packet->record;
    size_t head_len = packet->link->header_len < record->len ? packet->link->header_len : record->len;
    struct capture_piece piece[2];

    piece[0].bytes = record->bytes;
    piece[0].len = kept_len(job, packet) ? head_len : 0;
    piece[1].bytes = record->bytes + head_len;
    piece[1].len = record->len - head_len;
    if (job->opt.list) {
        list_packet(job, &none, piece[1].len + (packet->link->number == LINK_TYPE_VNET ? 0 : head_len), 0, 1);
        printf("%zu\n", packet_number(job, packet));
    }
    write_record(job, packet, piece, record->wire_len - (head_len - piece[0].len));
    job->total.emitted++;
}

/* A frame of the library goes out with the link-layer header of the packet it was made from. */
static void write_frame(struct job *job, const struct packet *from, const uint8_t *frame, size_t len)
{
    size_t wrapped = wrap_len(job, from);
    struct capture_piece piece[2];

    piece[0].bytes = from->record->bytes;
    piece[0].len = kept_len(job, from);
    piece[1].bytes = frame + wrapped;
    piece[1].len = len - wrapped;
    write_record(job, from, piece, piece[0].len + piece[1].len);
}

/* One line of --verdicts. */
static void print_verdict(const struct job *job, const struct packet *packet, const char *key, const char *name)
{
    static const char *const partial[4] = {"", " partial=L4", " partial=IP", " partial=IP+L4"};

    if (job->opt.verdicts)
        printf("in=%zu %s=%s%s\n", packet_number(job, packet), key, name, partial[packet->partial]);
}

#endif
