/* pcap_offload - run captured packets through tunoffload.h: coalesce them, split superpackets, or see that both undo each other.

   cc -std=c99 -O2 -I.. -o pcap_offload pcap_offload.c && ./pcap_offload --help

   Where the library is used: push_packet() and next_superpacket() coalesce, by gather or by copy; start_split() and
   next_segment() split, in three ways. The rest frames packets, reads options and prints numbers; the capture formats are in
   pcap_file.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* isatty, fileno */
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "pcap_file.h"

#include <stddef.h>
#include <time.h>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define STDERR_IS_TERMINAL() isatty(fileno(stderr))
#else
#define STDERR_IS_TERMINAL() 0
#endif

enum {
    HEADROOM = TUO_VNET_LEN, /* in front of each packet in copy mode: room for the virtio-net header */
    BATCH_MAX = 1048576,     /* what tuo_gro_desc.max_packets takes */
    MISMATCHES_SHOWN = 10,
    LINK_TYPE_RAW = 101,
    LINK_TYPE_VNET = 147 /* USER0 */
};

enum { COALESCE = 1, SPLIT = 2, CHECK = 4 };

static const struct command {
    const char *name;
    int number, files;
    const char *usage, *help;
} commands[] = {
    {"coalesce", COALESCE, 2, "coalesce [options] IN OUT", "every batch through GRO; OUT has one record per emitted packet"},
    {"split", SPLIT, 2, "split    [options] IN OUT", "superpackets cut; OUT has one record per segment"},
    {"check", CHECK, 1, "check    [options] IN", "coalesce, split again, compare with IN"},
};

struct options {
    int help, batch, mss;
    int copy, in_place, vnet, list, verdicts;
    int strict_kernel, no_prepend, ip_id, trust, no_tcp, no_udp;
};

/* A captured packet as the library gets to see it. */
struct packet {
    const struct capture_record *record;
    const uint8_t *frame; /* Ethernet frame, IP packet, or wrapped IP packet: see wrap() */
    size_t len;
    int cut;              /* by a snap length, or shorter than its link-layer header */
    int opaque;           /* not to be coalesced: cut, or a superpacket already */
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

struct totals {
    size_t emitted, superpackets, merged, most_segs, most_bytes;
    size_t not_ip, cut, left_out, refused, passed, completed, not_cut;
    size_t identical, renumbered, mismatches;
    uint64_t bytes;
};

struct job {
    const struct command *command;
    struct options opt;
    const char *in, *out;
    struct capture capture;
    struct capture_writer writer;
    const struct link_type *link;
    size_t wrap_len;   /* bytes that wrap() puts in place of the link-layer header */
    size_t head_len;   /* bytes of the link-layer header that each record of OUT keeps */
    unsigned flags;    /* TUO_F_ETHERNET or 0 */
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

static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
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

/* -------------------------------------------------------------------------------------------------------- link-layer headers */

enum { PROTOCOL_IS_FAMILY = 99 }; /* BSD loopback has an address family instead of an ethertype */

static const struct link_type {
    uint32_t number;
    const char *name;
    int ethernet;
    size_t header_len;  /* in front of the IP packet, for all but Ethernet */
    size_t protocol_at; /* where in it the ethertype is */
} link_types[] = {
    {0, "BSD loopback", 0, 4, PROTOCOL_IS_FAMILY},
    {1, "Ethernet", 1, 0, 0},
    {12, "raw IP", 0, 0, 0},
    {14, "raw IP", 0, 0, 0},
    {LINK_TYPE_RAW, "raw IP", 0, 0, 0},
    {108, "OpenBSD loopback", 0, 4, PROTOCOL_IS_FAMILY},
    {113, "Linux cooked v1", 0, 16, 14},
    {LINK_TYPE_VNET, "virtio-net header and IP packet", 0, TUO_VNET_LEN, 0},
    {228, "IPv4", 0, 0, 0},
    {229, "IPv6", 0, 0, 0},
    {276, "Linux cooked v2", 0, 20, 0},
};

static const struct link_type *find_link_type(uint32_t number)
{
    size_t i;

    for (i = 0; i < sizeof link_types / sizeof link_types[0]; i++) {
        if (link_types[i].number == number)
            return &link_types[i];
    }
    return NULL;
}

static unsigned link_protocol(const struct link_type *link, const uint8_t *header)
{
    unsigned family;

    if (link->protocol_at != PROTOCOL_IS_FAMILY)
        return load16(header + link->protocol_at);
    family = header[0] | header[3]; /* in the byte order of whoever captured it, and below 256 */
    if (header[1] || header[2] || (header[0] && header[3]))
        return 0;
    return family == 2 ? 0x0800 : family == 10 || family == 24 || family == 28 || family == 30 ? 0x86dd : 0;
}

/* Packets with different link-layer headers (direction, interface, address) must not merge, for OUT keeps one header for all of
   them. The library holds Ethernet flows apart by every byte of their headers. So a header that it does not know is turned into
   an Ethernet header: 12 bytes take the place of the addresses, the rest that of VLAN tags. */
static size_t wrap_tags(const struct link_type *link)
{
    return link->header_len > 12 ? (link->header_len - 12) / 2 : 0;
}

static size_t wrapped_len(const struct link_type *link)
{
    return link->header_len && link->number != LINK_TYPE_VNET ? 14 + 4 * wrap_tags(link) : 0;
}

static void wrap(const struct link_type *link, const uint8_t *header, uint8_t *to)
{
    size_t i;

    memset(to, 0, 12);
    memcpy(to, header, link->header_len < 12 ? link->header_len : 12);
    for (i = 0; i < wrap_tags(link); i++) {
        store16(to + 12 + 4 * i, 0x8100);
        memcpy(to + 14 + 4 * i, header + 12 + 2 * i, 2);
    }
    store16(to + 12 + 4 * i, link_protocol(link, header));
}

/* Where the IP packet in a frame starts, also if it is malformed. 0 if there is none. */
static int find_ip(const struct job *job, const uint8_t *frame, size_t len, size_t *offset)
{
    size_t at = 0;

    if (job->flags & TUO_F_ETHERNET) {
        at = 12;
        while (at + 4 <= len && (load16(frame + at) == 0x8100 || load16(frame + at) == 0x88a8))
            at += 4;
        if (at + 2 > len || (load16(frame + at) != 0x0800 && load16(frame + at) != 0x86dd))
            return 0;
        at += 2;
    }
    *offset = at;
    return at < len && (frame[at] >> 4 == 4 || frame[at] >> 4 == 6);
}

/* Does the virtio-net header of this record say that it is a superpacket, or that its checksum is still to be finished? */
static int is_superpacket(const struct job *job, const struct capture_record *record)
{
    tuo_vnet_hdr vnet;

    return job->link->number == LINK_TYPE_VNET &&
           (tuo_vnet_decode(record->bytes, record->len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet) != TUO_OK ||
            vnet.gso_type != TUO_GSO_NONE || (vnet.flags & TUO_VNET_NEEDS_CSUM));
}

static void prepare_packets(struct job *job)
{
    const struct capture *capture = &job->capture;
    size_t i, header_len = job->link->header_len, room = 0, ip_off;
    uint8_t *to;

    for (i = 0; job->wrap_len && i < capture->count; i++)
        room += capture->records[i].len + job->wrap_len;
    job->wrapped = to = allocate(room, 1);
    job->packets = allocate(capture->count, sizeof *job->packets);
    for (i = 0; i < capture->count; i++) {
        const struct capture_record *record = &capture->records[i];
        struct packet *packet = &job->packets[i];

        job->total.bytes += record->len;
        packet->record = record;
        packet->cut = record->len < record->wire_len || record->len < header_len;
        packet->opaque = packet->cut || is_superpacket(job, record);
        job->total.cut += (size_t)packet->cut;
        if (record->len < header_len)
            continue;
        packet->frame = record->bytes + header_len;
        packet->len = record->len - header_len;
        if (job->wrap_len) {
            packet->frame = to;
            packet->len += job->wrap_len;
            wrap(job->link, record->bytes, to);
            memcpy(to + job->wrap_len, record->bytes + header_len, record->len - header_len);
            to += packet->len;
        }
        if (!packet->cut && !find_ip(job, packet->frame, packet->len, &ip_off))
            job->total.not_ip++;
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

/* A record that is not for the library goes out as it came (but split takes the virtio-net header off). */
static void pass_record(struct job *job, const struct packet *packet)
{
    static const tuo_vnet_hdr none;
    const struct capture_record *record = packet->record;
    size_t head_len = job->link->header_len < record->len ? job->link->header_len : record->len;
    struct capture_piece piece[2];

    piece[0].bytes = record->bytes;
    piece[0].len = job->head_len ? head_len : 0;
    piece[1].bytes = record->bytes + head_len;
    piece[1].len = record->len - head_len;
    if (job->opt.list) {
        list_packet(job, &none, piece[1].len + (job->link->number == LINK_TYPE_VNET ? 0 : head_len), 0, 1);
        printf("%zu\n", packet_number(job, packet));
    }
    write_record(job, packet, piece, record->wire_len - (head_len - piece[0].len));
    job->total.emitted++;
}

/* A frame of the library goes out with the link-layer header of the packet it was made from. */
static void write_frame(struct job *job, const struct packet *from, const uint8_t *frame, size_t len)
{
    struct capture_piece piece[2];

    piece[0].bytes = from->record->bytes;
    piece[0].len = job->head_len;
    piece[1].bytes = frame + job->wrap_len;
    piece[1].len = len - job->wrap_len;
    write_record(job, from, piece, piece[0].len + piece[1].len);
}

/* ------------------------------------------------------------------------------------------------------- captured checksums */

/* Does the TCP or UDP checksum cover the IP payload as it is? Not if there are bytes behind the datagram, which cutting would
   move, or if it is meant for another address than the one in the header. */
static int covers_payload(const tuo_pkt_info *info)
{
    return info->kind != TUO_KIND_NONE && !(info->flags & TUO_PKT_ROUTING) &&
           info->payload_off + info->payload_len == info->ip_off + info->total_len;
}

/* The virtio-net header that a captured packet would have had on a TUN, as far as its bytes tell; all zero for one that is to be
   left alone. A checksum field that holds the sum of the pseudo-header is partial: captured on its way to a device that finishes
   it. pkt may be changed: a UDP checksum that was found valid becomes such a sum, as GSO demands. *len loses padding then. */
static void guess_vnet(const struct job *job, uint8_t *pkt, size_t *len, size_t mss, tuo_vnet_hdr *vnet)
{
    static const uint8_t gso_types[] = {TUO_GSO_NONE, TUO_GSO_TCPV4, TUO_GSO_UDP_L4, TUO_GSO_TCPV6, TUO_GSO_UDP_L4};
    tuo_pkt_info info;
    uint8_t *field, *addresses;
    size_t addr_len;
    uint16_t seed;
    int udp, partial;

    memset(vnet, 0, sizeof *vnet);
    if (tuo_parse(pkt, *len, job->flags | TUO_F_SUPERPACKET, &info) != TUO_OK || !covers_payload(&info))
        return;
    udp = info.kind == TUO_KIND_UDP4 || info.kind == TUO_KIND_UDP6;
    field = pkt + info.l4_off + (udp ? 6 : 16);
    addr_len = info.ip_version == 4 ? 4 : 16;
    addresses = pkt + info.ip_off + (info.ip_version == 4 ? 12 : 8);
    seed = tuo_csum_pseudo(addresses, addresses + addr_len, addr_len, info.l4_proto, info.l4_hdr_len + info.payload_len);
    partial = load16(field) == seed && tuo_csum_check(pkt, *len, job->flags) != TUO_OK;

    if (info.payload_len > mss) {
        if (udp && !partial) {
            if (load16(field) == 0 || (!job->opt.trust && tuo_csum_check(pkt, *len, job->flags) != TUO_OK))
                return; /* its segments would get checksums that nobody has vouched for */
            store16(field, seed);
        }
        vnet->gso_type = gso_types[info.kind];
        vnet->gso_size = (uint16_t)mss;
    }
    if (partial || (udp && vnet->gso_type != TUO_GSO_NONE)) {
        vnet->flags = TUO_VNET_NEEDS_CSUM;
        vnet->csum_start = (uint16_t)info.l4_off;
        vnet->csum_offset = udp ? 6 : 16;
        *len = info.ip_off + info.total_len;
    }
}

/* ---------------------------------------------------------------------------------------------------------------- splitting */

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
    long shift = (long)job->head_len - (long)job->wrap_len;
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

/* Returns what was done, or NULL if the record was refused with *result. */
static const char *split_packet(struct job *job, const struct packet *packet, tuo_result *result)
{
    const struct capture_record *record = packet->record;
    uint8_t *pkt = reserve(&job->work, packet->len + 1);
    size_t len = packet->len;
    tuo_vnet_hdr vnet;
    tuo_gso gso;

    *result = job->opt.vnet ? tuo_vnet_decode(record->bytes, record->len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet) : TUO_OK;
    if (*result != TUO_OK)
        return NULL;
    if (packet->cut) {
        pass_record(job, packet);
        return "PASSED";
    }
    if (len)
        memcpy(pkt, packet->frame, len);
    if (!job->opt.vnet)
        guess_vnet(job, pkt, &len, (size_t)job->opt.mss, &vnet);
    *result = start_split(job, &gso, pkt, len, &vnet);
    if (*result != TUO_OK && job->opt.vnet)
        return NULL;
    if (*result != TUO_OK) { /* only a guess was refused: the packet's checksum is neither valid nor partial */
        job->total.not_cut++;
        pass_record(job, packet);
        return "PASSED";
    }
    emit_segments(job, packet, &gso, pkt);
    if (vnet.gso_type != TUO_GSO_NONE) {
        job->total.superpackets++;
        job->total.merged += tuo_gso_count(&gso);
        return "SPLIT";
    }
    job->total.completed += vnet.flags & TUO_VNET_NEEDS_CSUM;
    return vnet.flags & TUO_VNET_NEEDS_CSUM ? "COMPLETED" : "PASSED";
}

static void split_record(struct job *job, const struct packet *packet)
{
    tuo_result result;
    const char *verdict = split_packet(job, packet, &result);

    job->total.refused += verdict == NULL;
    if (job->opt.verdicts)
        printf("in=%zu %s=%s\n", packet_number(job, packet), verdict ? "verdict" : "refused",
               verdict ? verdict : tuo_result_name(result));
}

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

/* The captured packet with another IPv4 ID, and the header checksum that goes with it. */
static const uint8_t *renumber(struct job *job, const struct packet *packet, const tuo_pkt_info *info, unsigned ip_id)
{
    uint8_t *expected = reserve(&job->expected, packet->len), *ip = expected + info->ip_off;

    memcpy(expected, packet->frame, packet->len);
    store16(ip + 4, ip_id);
    store16(ip + 10, 0);
    store16(ip + 10, ~(unsigned)tuo_csum(ip, info->ip_hdr_len, 0));
    return expected;
}

/* Split what was just emitted, by the bytes of its virtio-net header, and compare with what was captured. */
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

    if (!find_ip(job, frame, len, &ip_off)) {
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
    list_superpacket(job, sp, vnet, len, (long)job->head_len - (long)job->wrap_len);
    if ((vnet->flags & TUO_VNET_NEEDS_CSUM) && tuo_csum_complete(frame, len, vnet->csum_start, vnet->csum_offset) != TUO_OK)
        die(job->in, "a checksum could not be completed");
    write_frame(job, earliest(job, sp), frame, len);
    job->total.emitted++;
}

static void emit(struct job *job, const tuo_superpacket *sp)
{
    uint8_t *bytes = reserve(&job->work, sp->len + 1), *frame = bytes + sp->vnet_len;
    size_t len = sp->len - sp->vnet_len;
    tuo_vnet_hdr vnet = sp->vnet;

    gather(bytes, sp->iov, sp->iov_count); /* a program with writev() would not need to */
    if (job->command->number == CHECK) {
        list_superpacket(job, sp, &vnet, len, (long)job->head_len - (long)job->wrap_len);
        check_emitted(job, sp, frame, len);
        job->total.emitted++;
        return;
    }
    if (sp->packet_count == 1) { /* partial checksums of packets captured on their sender; the library leaves them alone */
        guess_vnet(job, frame, &len, SIZE_MAX, &vnet);
        job->total.completed += vnet.flags & TUO_VNET_NEEDS_CSUM;
    }
    if (job->opt.vnet)
        emit_to_tun(job, sp, vnet, frame, len);
    else
        emit_to_wire(job, sp, &vnet, frame, len);
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
    packet->came_out++;
    job->total.identical++;
    if (job->opt.vnet && job->link->number != LINK_TYPE_VNET)
        job->total.left_out++; /* a cut packet cannot be written to a TUN */
    else
        pass_record(job, packet);
    return "PASSED";
}

static void coalesce_record(struct job *job, struct packet *packet)
{
    const char *verdict = packet->opaque ? pass_around(job, packet) : coalesce_packet(job, packet);

    if (job->opt.verdicts)
        printf("in=%zu verdict=%s\n", packet_number(job, packet), verdict);
}

static void start_coalescing(struct job *job)
{
    size_t packets = job->opt.batch ? (size_t)job->opt.batch : job->capture.count, memory_len;
    tuo_gro_desc desc;

    if (packets > BATCH_MAX)
        packets = BATCH_MAX;
    memset(&desc, 0, sizeof desc);
    desc.max_packets = packets ? (uint32_t)packets : 1;
    desc.max_flows = desc.max_packets < 65536 ? desc.max_packets : 65536;
    desc.hash_seed = 1; /* of a program that meets live traffic: a random number */
    desc.vnet_hdr_len = TUO_VNET_LEN;
    desc.ethernet = (job->flags & TUO_F_ETHERNET) != 0;
    desc.disable_tcp4 = desc.disable_tcp6 = (uint8_t)job->opt.no_tcp;
    desc.disable_udp4 = desc.disable_udp6 = (uint8_t)job->opt.no_udp;
    desc.strict_kernel = (uint8_t)job->opt.strict_kernel;
    desc.disable_prepend = (uint8_t)job->opt.no_prepend;
    desc.ip_id = (tuo_ip_id)job->opt.ip_id;
    desc.trust_checksums = (uint8_t)job->opt.trust;

    memory_len = tuo_gro_memory_size(&desc);
    job->gro_memory = allocate(memory_len, 1);
    if (tuo_gro_init(&job->gro, job->gro_memory, memory_len, &desc) != TUO_OK)
        die("pcap_offload", "tuo_gro_init refused its configuration");
    job->ops.data = growing_data;
    job->ops.len = growing_length;
    job->ops.capacity = growing_capacity;
    job->ops.resize = growing_resize;
    job->ops.append = growing_append;
    job->buffer_count = job->opt.copy ? (size_t)desc.max_packets + 1 : 0; /* + 1: the one that finds no room */
    job->buffers = allocate(job->buffer_count, sizeof *job->buffers);
}

/* ------------------------------------------------------------------------------------------------------- options and summary */

static const struct option {
    const char *name, *argument;
    int commands;
    size_t member; /* an int in struct options */
    int value;     /* without an argument */
    int min, max;  /* with one */
    const char *help;
} options[] = {
    {"--batch", "N", COALESCE | CHECK, offsetof(struct options, batch), 0, 0, BATCH_MAX,
     "packets between two flushes; 0 = the whole file (default 128)"},
    {"--gather", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, copy), 0, 0, 0,
     "coalesce and split without copying payload (default)"},
    {"--copy", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, copy), 1, 0, 0,
     "coalesce by appending to buffers, split by copying into them"},
    {"--in-place", NULL, SPLIT | CHECK, offsetof(struct options, in_place), 1, 0, 0,
     "split by stamping headers into the superpacket itself"},
    {"--mss", "N", SPLIT, offsetof(struct options, mss), 0, 1, 65534,
     "TCP or UDP payload bytes per segment (default 1448); not with --vnet"},
    {"--vnet", NULL, COALESCE | SPLIT, offsetof(struct options, vnet), 1, 0, 0,
     "records as they cross a TUN with IFF_VNET_HDR, link type 147: see below"},
    {"--strict-kernel", NULL, COALESCE | CHECK, offsetof(struct options, strict_kernel), 1, 0, 0,
     "merge as the Linux kernel does: no prepend, one train per flow"},
    {"--no-prepend", NULL, COALESCE | CHECK, offsetof(struct options, no_prepend), 1, 0, 0,
     "never put a late TCP segment in front of those it precedes"},
    {"--ip-id", "MODE", COALESCE | CHECK, offsetof(struct options, ip_id), 0, 0, 0,
     "IPv4 IDs that merge: default, exact, any-df or any; see below"},
    {"--trust", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, trust), 1, 0, 0,
     "do not verify checksums; wrong ones come back repaired"},
    {"--no-tcp", NULL, COALESCE | CHECK, offsetof(struct options, no_tcp), 1, 0, 0, "do not merge TCP"},
    {"--no-udp", NULL, COALESCE | CHECK, offsetof(struct options, no_udp), 1, 0, 0, "do not merge UDP"},
    {"--list", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, list), 1, 0, 0, "one line per emitted packet: see below"},
    {"--verdicts", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, verdicts), 1, 0, 0,
     "one line per input packet: in=I verdict=NAME"},
    {"--help", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, help), 1, 0, 0, "this text"},
};

static const char help_text[] =
    "\n"
    "IN is a pcap (both byte orders, micro- and nanoseconds) or pcapng file of one link type: raw IP, IPv4, IPv6, Ethernet\n"
    "with VLAN tags, Linux cooked v1 and v2, BSD loopback, or 147 (below). OUT is a pcap file of the same link type.\n"
    "Records cut by a snap length, and records that are not IP, pass unchanged. So do those with a virtio-net header that\n"
    "says superpacket or partial checksum, in coalesce and check.\n"
    "\n"
    "coalesce finishes the checksums of superpackets as a NIC would, and keeps link-layer header and time of the packet that\n"
    "came first. split cuts what has more payload than --mss if its checksum is valid or partial. Partial checksums (the sum\n"
    "of the pseudo-header, as captured on a sender with checksum offload) are finished in all that coalesce and split write.\n"
    "\n"
    "--vnet: each record is a 10-byte virtio_net_hdr in host byte order, then an IP packet; link type 147 (USER0). It is the\n"
    "format of OUT for coalesce (link-layer headers are removed, and records that are cut or not IP are left out), and of IN\n"
    "for split (OUT is raw IP, link type 101; a header that contradicts its packet is refused: in=I refused=NAME under\n"
    "--verdicts, and exit 1 at the end).\n"
    "\n"
    "--list prints: out=I len=L segs=S gso_type=T gso_size=G hdr_len=H csum_start=C csum_offset=O packets=i,j,k\n"
    "    I counts the records of OUT, i,j,k the records of IN in segment order, both from 0. L, H and C count from the start\n"
    "    of the record, link-layer header included, virtio-net header not.\n"
    "--verdicts prints for coalesce and check the rule that decided about a packet (HELD, APPENDED, PREPENDED, or why not),\n"
    "    for split SPLIT, COMPLETED (a partial checksum) or PASSED. PASSED is also what is not shown to the library at all.\n"
    "\n"
    "check compares byte for byte. One difference is no mismatch, and is counted: packets with DF that all have the same IPv4\n"
    "ID come back counting up from it (RFC 6864: the ID of such packets means nothing).\n"
    "\n"
    "--ip-id default merges IPv4 IDs that count up by one and, under DF, constant ones; exact only the former; any-df all IDs\n"
    "under DF; any all IDs, also without DF. What had other IDs comes back counting up from the first.\n"
    "\n"
    "The last line is always:\n"
    "    packets=N bytes=N emitted=N superpackets=N merged=N ratio=R [identical=N/N] result=ok|FAIL\n"
    "    packets and bytes of IN; emitted packets, those made of several (split: packets that were cut); packets in those\n"
    "    (split: segments of those); packets per emitted packet; check: packets that came back identical.\n"
    "Exit status: 0 ok; 1 a mismatch or a refused record; 2 wrong usage, or a file that cannot be read or written.\n";

static void print_usage(FILE *to)
{
    size_t i;

    for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "%s pcap_offload %-27s %s\n", i ? "      " : "usage:", commands[i].usage, commands[i].help);
}

static void print_help(void)
{
    size_t i;

    print_usage(stdout);
    printf("\noptions (in brackets: the commands that take them):\n");
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];

        printf("  %s%s%s%*s%s [%s%s%s]\n", o->name, o->argument ? " " : "", o->argument ? o->argument : "",
               20 - (int)strlen(o->name) - (o->argument ? 1 + (int)strlen(o->argument) : 0), "", o->help,
               o->commands & COALESCE ? "coalesce" : "", o->commands & SPLIT ? o->commands & COALESCE ? " split" : "split" : "",
               o->commands & CHECK ? " check" : "");
    }
    fputs(help_text, stdout);
}

static void usage_error(const char *what, const char *which)
{
    fprintf(stderr, "pcap_offload: %s%s\n", what, which);
    print_usage(stderr);
    fprintf(stderr, "pcap_offload --help tells the rest\n");
    exit(2);
}

static int parse_number(const char *text, int min, int max, int *number)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < min || value > max)
        return -1;
    *number = (int)value;
    return 0;
}

/* Returns how many arguments the option at argv[0] took. */
static int parse_ip_id(const char *name)
{
    static const char *const names[] = {"default", "exact", "any-df", "any"}; /* in the order of tuo_ip_id */
    int i;

    for (i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    usage_error("--ip-id takes default, exact, any-df or any, not ", name);
    return 0;
}

static int parse_option(struct job *job, char **argv)
{
    size_t i;

    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];
        int *member = (int *)(void *)((char *)&job->opt + o->member);

        if (strcmp(argv[0], o->name) != 0)
            continue;
        if (!(o->commands & job->command->number))
            usage_error(o->name, " has no meaning for this command");
        *member = o->value;
        if (!o->argument)
            return 1;
        if (!argv[1])
            usage_error(o->name, member == &job->opt.ip_id ? " needs a word" : " needs a number");
        if (member == &job->opt.ip_id) {
            *member = parse_ip_id(argv[1]);
        } else if (parse_number(argv[1], o->min, o->max, member) < 0) {
            fprintf(stderr, "pcap_offload: %s takes a number from %d to %d\n", o->name, o->min, o->max);
            exit(2);
        }
        return 2;
    }
    usage_error("unknown option ", argv[0]);
    return 0;
}

static void parse_arguments(struct job *job, int argc, char **argv)
{
    const char *files[2] = {"", NULL}; /* every command has at least one */
    int i, count = 0;
    size_t k;

    job->opt.batch = 128;
    job->opt.mss = -1;
    if (argc < 2)
        usage_error("a command is missing", "");
    for (i = 1; i < argc; i++)
        job->opt.help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (job->opt.help)
        return;
    for (k = 0; k < sizeof commands / sizeof commands[0]; k++) {
        if (strcmp(argv[1], commands[k].name) == 0)
            job->command = &commands[k];
    }
    if (!job->command)
        usage_error("unknown command ", argv[1]);
    for (i = 2; i < argc;) {
        if (argv[i][0] == '-' && argv[i][1]) {
            i += parse_option(job, argv + i);
        } else if (count < job->command->files) {
            files[count++] = argv[i++];
        } else {
            usage_error("one file too many: ", argv[i]);
        }
    }
    if (count < job->command->files)
        usage_error(count ? "OUT is missing" : "IN is missing", "");
    if (job->opt.vnet && job->opt.mss >= 0)
        usage_error("--mss has no meaning with --vnet: each record has its own size", "");
    if (job->opt.mss < 0)
        job->opt.mss = 1448;
    job->in = files[0];
    job->out = files[1];
}

static void print_verdicts(const struct job *job)
{
    tuo_gro_stats stats;
    int v;

    tuo_gro_query_stats(job->gro, &stats);
    for (v = 0; v < TUO_V_COUNT; v++) {
        if (stats.verdicts[v] && v != TUO_V_NO_ROOM)
            printf("  %10llu %-16s %s\n", (unsigned long long)stats.verdicts[v], tuo_verdict_name((tuo_verdict)v),
                   tuo_verdict_text((tuo_verdict)v));
    }
}

static void print_count(size_t count, const char *what)
{
    if (count)
        printf("%s: %zu\n", what, count);
}

static int print_summary(const struct job *job)
{
    const struct totals *t = &job->total;
    size_t packets = job->capture.count;
    int failed = t->mismatches > 0 || t->refused > 0;

    printf("%s: %zu packets, %llu bytes, %s\n", job->in, packets, (unsigned long long)t->bytes, job->link->name);
    if (job->command->number == SPLIT) {
        printf("%zu packets cut into %zu segments, %zu records in all\n", t->superpackets, t->merged, t->emitted);
    } else {
        print_verdicts(job);
        printf("%zu packets merged into %zu superpackets, %zu emitted in all; largest: %zu packets, %zu bytes\n", t->merged,
               t->superpackets, t->emitted, t->most_segs, t->most_bytes);
    }
    print_count(t->cut, "cut by the snap length");
    print_count(t->not_ip, "not IP");
    print_count(t->left_out, "left out, for they cannot cross a TUN");
    print_count(t->passed, "superpackets or partial checksums already, not looked at");
    print_count(t->completed, "partial checksums completed");
    print_count(t->not_cut, "not cut, for their checksum is neither valid nor partial");
    print_count(t->refused, "refused: virtio-net header contradicts packet");
    if (job->command->number == CHECK) {
        printf("IPv4 IDs renumbered: %zu\n", t->renumbered);
        print_count(t->mismatches, "mismatches");
    }
    printf("packets=%zu bytes=%llu emitted=%zu superpackets=%zu merged=%zu ratio=%.2f", packets, (unsigned long long)t->bytes,
           t->emitted, t->superpackets, t->merged, t->emitted ? (double)packets / (double)t->emitted : 0.0);
    if (job->command->number == CHECK)
        printf(" identical=%zu/%zu", t->identical, packets);
    printf(" result=%s\n", failed ? "FAIL" : "ok");
    return failed ? 1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------------ running */

/* Only for a person who has waited for a second. */
static void show_progress(const struct job *job, size_t done)
{
    static int shown;

    if (done == job->capture.count) {
        if (shown)
            fprintf(stderr, "\r%60s\r", "");
    } else if (done % 4096 == 0 && clock() > CLOCKS_PER_SEC && STDERR_IS_TERMINAL()) {
        shown = 1;
        fprintf(stderr, "\r%s: packet %zu of %zu", job->command->name, done, job->capture.count);
    }
}

static void read_input(struct job *job)
{
    char message[100];
    int vnet_in;

    if (capture_read(&job->capture, job->in) < 0)
        die(job->in, job->capture.error);
    job->link = find_link_type(job->capture.link_type);
    if (!job->link) {
        snprintf(message, sizeof message, "link type %u is not supported", (unsigned)job->capture.link_type);
        die(job->in, message);
    }
    vnet_in = job->link->number == LINK_TYPE_VNET;
    if (job->command->number == SPLIT && vnet_in != job->opt.vnet)
        die(job->in, vnet_in ? "link type 147 (virtio-net headers) needs --vnet" : "--vnet needs link type 147");
    if (job->command->number == COALESCE && vnet_in)
        job->opt.vnet = 1;
    job->head_len = vnet_in && job->command->number != COALESCE ? 0 : job->link->header_len;
    job->wrap_len = wrapped_len(job->link);
    job->flags = job->link->ethernet || job->wrap_len ? TUO_F_ETHERNET : 0;
    prepare_packets(job);
}

static void create_output(struct job *job)
{
    uint32_t link_type = job->link->number, snap_len = 262144;
    size_t i;

    if (job->opt.vnet)
        link_type = job->command->number == SPLIT ? LINK_TYPE_RAW : LINK_TYPE_VNET;
    for (i = 0; i < job->capture.count; i++) {
        if (job->capture.records[i].len + TUO_VNET_LEN > snap_len)
            snap_len = (uint32_t)job->capture.records[i].len + TUO_VNET_LEN;
    }
    if (capture_create(&job->writer, job->out, link_type, job->capture.nanoseconds, snap_len) < 0)
        die(job->out, strerror(errno));
}

static void run(struct job *job)
{
    size_t i;

    if (job->command->number != SPLIT)
        start_coalescing(job);
    for (i = 0; i < job->capture.count; i++) {
        struct packet *packet = &job->packets[i];

        show_progress(job, i);
        if (job->command->number == SPLIT)
            split_record(job, packet);
        else
            coalesce_record(job, packet);
    }
    show_progress(job, i);
    if (job->command->number != SPLIT)
        drain(job);
    if (job->command->number == CHECK)
        check_all_came_out(job);
}

static void free_job(struct job *job)
{
    size_t i;

    for (i = 0; i < job->buffer_count; i++)
        free(job->buffers[i].data);
    free(job->buffers);
    free(job->gro_memory);
    free(job->packets);
    free(job->wrapped);
    free(job->work.data);
    free(job->segment.data);
    free(job->expected.data);
    capture_free(&job->capture);
}

int main(int argc, char **argv)
{
    static struct job job;
    int status;

    parse_arguments(&job, argc, argv);
    if (job.opt.help) {
        print_help();
        return 0;
    }
    read_input(&job);
    if (job.out)
        create_output(&job);
    run(&job);
    if (job.out && capture_close(&job.writer) < 0)
        die(job.out, strerror(errno));
    status = print_summary(&job);
    free_job(&job);
    if (fflush(stdout) != 0)
        die("standard output", strerror(errno));
    return status;
}
