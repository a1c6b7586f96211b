/* fuzz_pcap.c - the reader and the writer of examples/pcap_file.h, and what examples/pcap_packet.h does with the bytes of a record. Files
   are memory here: fopen is stood in for.
   Input     a pcap or pcapng file.
   Asserts   nothing beyond the file is read; what fails says why; records lie in the file, in order, and are those that a second, naive
             reader finds, up to where a file is cut; a time has less than a second of nanoseconds in pcapng; what is read from a file and
             what is parsed in memory of exactly its size is the same; what is written of the records reads back as the same records.
             Of a packet, finishing changes checksum fields only, makes them right, and finds nothing to do the second time; no jumbo
             option is left after its removal, and no other byte is lost. */
#define _POSIX_C_SOURCE 200809L /* fmemopen */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *fake_fopen(const char *path, const char *mode);

#define fopen fake_fopen
#include "../examples/pcap_file.h"
#undef fopen

#include "fuzz.h"
#include "../examples/pcap_packet.h"
#include "packets.h"

static const uint8_t *file_bytes;
static size_t file_len;
static char *written;
static size_t written_len;

static FILE *fake_fopen(const char *path, const char *mode)
{
    (void)path;
    if (mode[0] == 'w') {
        return open_memstream(&written, &written_len);
    }
    if (file_len == 0) {
        return fopen("/dev/null", mode);
    }
    void *bytes = (void *)(uintptr_t)file_bytes; /* opened for reading only */
    return fmemopen(bytes, file_len, mode);
}

/* -------------------------------------------------------------------------------------------------- the naive reader */

typedef struct naive {
    const uint8_t *file;
    size_t len, count;
    int big_endian;
} naive;

static uint32_t naive_u32(const naive *n, size_t at)
{
    uint32_t value = 0;
    FUZZ_CHECK(at + 4 <= n->len);
    for (size_t i = 0; i < 4; i++) {
        value = value << 8 | n->file[n->big_endian ? at + i : at + 3 - i];
    }
    return value;
}

/* Record number n->count starts at this byte of the file. */
static void naive_record(naive *n, const struct capture *c, size_t at, size_t len)
{
    FUZZ_CHECK(n->count < c->count);
    FUZZ_CHECK(c->records[n->count].bytes == c->file + at && c->records[n->count].len == len);
    n->count++;
}

static void naive_pcap(naive *n, const struct capture *c)
{
    size_t at = 24;
    n->big_endian = n->file[0] == 0xa1;
    FUZZ_CHECK(c->count == 0 || c->link_type == (naive_u32(n, 20) & 0xffff));
    while (n->len - at >= 16 && naive_u32(n, at + 8) <= n->len - at - 16) {
        size_t len = naive_u32(n, at + 8);
        FUZZ_CHECK(n->count < c->count && c->records[n->count].seconds == naive_u32(n, at));
        FUZZ_CHECK(c->records[n->count].wire_len == naive_u32(n, at + 12));
        naive_record(n, c, at + 16, len);
        at += 16 + len;
    }
    FUZZ_CHECK((at < n->len) == (c->warning[0] != '\0'));
}

static void naive_pcapng(naive *n, const struct capture *c)
{
    size_t at = 0;
    while (n->len - at >= 12) {
        if (n->file[at] == 10 && n->file[at + 1] == 13 && n->file[at + 2] == 13 && n->file[at + 3] == 10) {
            n->big_endian = n->file[at + 8] == 0x1a;
        }
        uint32_t type = naive_u32(n, at), block_len = naive_u32(n, at + 4);
        FUZZ_CHECK(block_len >= 12 && block_len % 4 == 0);
        if (block_len > n->len - at) {
            break;
        }
        FUZZ_CHECK(block_len == naive_u32(n, at + block_len - 4));
        if (type == 2 || type == 6) {
            naive_record(n, c, at + 28, naive_u32(n, at + 20));
        } else if (type == 3) {
            FUZZ_CHECK(n->count < c->count && c->records[n->count].len <= naive_u32(n, at + 8));
            naive_record(n, c, at + 12, c->records[n->count].len);
        }
        at += block_len;
    }
    FUZZ_CHECK((at < n->len) == (c->warning[0] != '\0'));
}

/* ------------------------------------------------------------------------------------------------------------- checks */

static int is_pcapng(const struct capture *c)
{
    return memcmp(c->file, "\n\r\r\n", 4) == 0;
}

static void check_records(const struct capture *c)
{
    const uint8_t *last_end = c->file;
    for (size_t i = 0; i < c->count; i++) {
        const struct capture_record *r = &c->records[i];
        FUZZ_CHECK(r->bytes >= last_end && r->len <= c->size - (size_t)(r->bytes - c->file));
        FUZZ_CHECK(!is_pcapng(c) || r->nanoseconds < 1000000000);
        last_end = r->bytes + r->len;
    }
    if (c->size > 0) {
        naive n = {c->file, c->size, 0, 0};
        if (is_pcapng(c)) {
            naive_pcapng(&n, c);
        } else {
            naive_pcap(&n, c);
        }
        FUZZ_CHECK(n.count == c->count);
    }
}

/* Parsed in memory of exactly the file's size: what capture_read uses is larger, and would hide a read beyond the file. */
static int parse_exact(struct capture *c, const uint8_t *data, size_t size)
{
    memset(c, 0, sizeof *c);
    c->file = fuzz_copy(data, size);
    c->size = size;
    return capture_parse(c);
}

static void check_same(const struct capture *a, const struct capture *b)
{
    FUZZ_CHECK(a->count == b->count && a->nanoseconds == b->nanoseconds && a->interface_count == b->interface_count);
    for (size_t i = 0; i < a->count; i++) {
        const struct capture_record *r = &a->records[i], *s = &b->records[i];
        FUZZ_CHECK(r->bytes - a->file == s->bytes - b->file && r->len == s->len && r->wire_len == s->wire_len);
        FUZZ_CHECK(r->seconds == s->seconds && r->nanoseconds == s->nanoseconds && r->link_type == s->link_type);
    }
}

enum { MICROSECONDS, NANOSECONDS, PCAPNG };

static void write_records(const struct capture *c, int format)
{
    struct capture_writer writer;
    FUZZ_CHECK((format == PCAPNG ? capture_create_pcapng(&writer, "memory")
                                 : capture_create(&writer, "memory", c->link_type, format == NANOSECONDS, 65535)) == 0);
    for (size_t i = 0; i < c->count; i++) {
        const struct capture_record *r = &c->records[i];
        size_t cut = r->len / 3;
        struct capture_piece piece[2];
        piece[0].bytes = r->bytes;
        piece[0].len = cut;
        piece[1].bytes = r->bytes + cut;
        piece[1].len = r->len - cut;
        FUZZ_CHECK(capture_write(&writer, r, piece, r->wire_len) == 0);
    }
    FUZZ_CHECK(capture_close(&writer) == 0);
}

static void check_written(const struct capture *c, int format)
{
    struct capture again;
    write_records(c, format);
    file_bytes = (const uint8_t *)written;
    file_len = written_len;
    FUZZ_CHECK(capture_read(&again, "memory") == 0 && again.warning[0] == '\0');
    check_records(&again);
    FUZZ_CHECK(again.count == c->count && (c->count == 0 || again.link_type == (c->link_type & 0xffff)));
    for (size_t i = 0; i < c->count; i++) {
        const struct capture_record *r = &c->records[i], *s = &again.records[i];
        uint64_t second = 1000000000, unit = format == MICROSECONDS ? 1000 : 1, time = r->nanoseconds / unit * unit;
        FUZZ_CHECK(r->len == s->len && (uint32_t)r->wire_len == s->wire_len);
        FUZZ_CHECK(r->len == 0 || memcmp(r->bytes, s->bytes, r->len) == 0);
        FUZZ_CHECK(format != PCAPNG || r->link_type == s->link_type);
        if (format == PCAPNG || r->nanoseconds < second) { /* a pcap file can claim more than a second of them */
            FUZZ_CHECK((uint32_t)r->seconds * second + time == s->seconds * second + s->nanoseconds);
        }
    }
    capture_free(&again);
    free(written);
}

/* The pcapng writer has room for so many. */
static int has_few_link_types(const struct capture *c)
{
    size_t kinds = 0;
    for (size_t i = 0; i < c->count && kinds <= CAPTURE_INTERFACES_WRITTEN; i++) {
        size_t k = 0;
        while (c->records[k].link_type != c->records[i].link_type) {
            k++;
        }
        kinds += k == i;
    }
    return kinds <= CAPTURE_INTERFACES_WRITTEN;
}

/* ------------------------------------------------------------------------------------------------------------- packets */

static const struct tunnel_ports ports = {2, {4789, 6081}};

/* Where the IPv4 header checksum or the TCP or UDP checksum of a frame has changed, it was partial, and is right now. */
static void check_finished(const uint8_t *before, const uint8_t *after, size_t len, int ethernet)
{
    pkt_view v = pkt_look(after, len, ethernet, 1);
    size_t changed = 0;
    for (size_t i = 0; i < len; i++) {
        changed += before[i] != after[i];
    }
    FUZZ_CHECK(changed <= 8); /* two fields outside, two in a tunnel */
    FUZZ_CHECK(changed == 0 || pkt_has_l4(&v));
    if (changed > 0 && v.version == 4 && memcmp(before + v.ip + 10, after + v.ip + 10, 2) != 0) {
        FUZZ_CHECK(pkt_get16(before + v.ip + 10) == 0 && pkt_sum(after + v.ip, v.l4 - v.ip, 0) == 0xffff);
    }
    if (changed > 0 && memcmp(before + pkt_l4_csum_at(&v), after + pkt_l4_csum_at(&v), 2) != 0) {
        size_t option_end;
        int alone;
        if (find_jumbo(after + v.ip, len - v.ip, &alone, &option_end) == 0) { /* else bytes behind the packet do not count */
            unsigned field = pkt_get16(before + pkt_l4_csum_at(&v));
            size_t l4_len = v.payload + v.payload_len - v.l4;
            FUZZ_CHECK(field == pkt_pseudo_sum(after + v.src, after + v.dst, v.addr_len, v.proto, l4_len) ||
                       (v.proto == PKT_PROTO_TCP && field == pkt_pseudo_sum(after + v.src, after + v.dst, v.addr_len, v.proto, 0)));
            FUZZ_CHECK(pkt_l4_sum(after, &v) == 0xffff);
        }
    }
}

static void check_jumbo(const uint8_t *frame, size_t len, size_t ip_off)
{
    uint8_t *copy = fuzz_copy(frame, len);
    size_t removed = remove_jumbo(copy, len, ip_off), end = 0, option_end;
    int alone;
    FUZZ_CHECK(removed <= len - ip_off && removed % 8 == 0);
    if (removed > 0) {
        end = 40 + removed;
        FUZZ_CHECK(memcmp(copy, frame, ip_off + 6) == 0 && memcmp(copy + ip_off + 7, frame + ip_off + 7, 33) == 0);
        FUZZ_CHECK(copy[ip_off + 6] == frame[ip_off + 40]);
        FUZZ_CHECK(memcmp(copy + ip_off + 40, frame + ip_off + end, len - ip_off - end) == 0);
    } else {
        FUZZ_CHECK(find_jumbo(copy + ip_off, len - ip_off, &alone, &option_end) == 0);
    }
    free(copy);
}

/* As pcap_job.h makes a frame of a record. */
static void check_packet(const struct capture_record *r, int several_types)
{
    const struct link_type *link = find_link_type(r->link_type);
    if (link == NULL || r->len < link->header_len || r->len > 70000) {
        return;
    }
    size_t wrapped = wrapped_len(link, several_types), ip_len = r->len - link->header_len, len = wrapped + ip_len, at;
    uint8_t *record = fuzz_copy(r->bytes, r->len), *frame = malloc(len > 0 ? len : 1);
    unsigned flags = link->ethernet || wrapped ? TUO_F_ETHERNET : 0;
    FUZZ_CHECK(frame != NULL);
    if (wrapped) {
        wrap(link, several_types, record, ip_len, frame);
    }
    if (ip_len > 0) {
        memcpy(frame + wrapped, record + link->header_len, ip_len);
    }
    free(record);
    uint8_t *before = fuzz_copy(frame, len);
    unsigned partial = finish_checksums(frame, len, flags, &ports);
    FUZZ_CHECK(partial <= (PARTIAL_L4 | PARTIAL_IP));
    FUZZ_CHECK((partial == 0) == (memcmp(before, frame, len) == 0));
    check_finished(before, frame, len, flags != 0);
    FUZZ_CHECK(finish_checksums(frame, len, flags, &ports) == 0);
    if (find_ip(frame, len, flags, &at)) {
        FUZZ_CHECK(at < len && at >= wrapped);
        check_jumbo(frame, len, at);
        fuzz_deep += partial != 0;
    } else {
        FUZZ_CHECK(!has_no_length(frame, len, flags));
    }
    free(before);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture read, exact;
    file_bytes = data;
    file_len = size;
    int result = capture_read(&read, "memory"), parsed = parse_exact(&exact, data, size);
    FUZZ_CHECK((result == 0 || result == -1) && result == parsed);
    FUZZ_CHECK((result == 0) == (read.error[0] == '\0') && memchr(read.error, '\0', sizeof read.error) != NULL);
    FUZZ_CHECK(memchr(read.warning, '\0', sizeof read.warning) != NULL);
    FUZZ_CHECK(read.size == size && (size == 0 || memcmp(read.file, data, size) == 0));
    check_same(&read, &exact);
    if (parsed == 0) {
        check_records(&exact);
    }
    if (result == 0) {
        check_written(&read, read.nanoseconds ? NANOSECONDS : MICROSECONDS);
        if (has_few_link_types(&read)) {
            check_written(&read, PCAPNG);
        }
        for (size_t i = 0; i < read.count; i++) {
            check_packet(&read.records[i], read.link_types_differ);
        }
        fuzz_deep += read.count > 0;
    }
    capture_free(&read);
    capture_free(&exact);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

static uint32_t u32_at(const uint8_t *p, int big_endian)
{
    return big_endian ? pkt_get32(p) : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void put_u32(uint8_t *p, int big_endian, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> (big_endian ? 24 - 8 * i : 8 * i));
    }
}

/* Records that end where the file does at the latest. */
static void repair_pcap(uint8_t *data, size_t size, int big_endian)
{
    for (size_t at = 24; at + 16 <= size;) {
        size_t len = u32_at(data + at + 8, big_endian), left = size - at - 16;
        len = len <= left ? len : left;
        put_u32(data + at + 8, big_endian, (uint32_t)len);
        at += 16 + len;
    }
}

static void repair_pcapng(uint8_t *data, size_t size, rng *dice)
{
    int big_endian = 0;
    for (size_t at = 0; at + 12 <= size;) {
        if (at == 0 || (memcmp(data + at, "\n\r\r\n", 4) == 0 && at + 28 <= size)) {
            big_endian = data[at + 8] == 0x1a;
            memcpy(data + at + 8, big_endian ? "\x1a\x2b\x3c\x4d" : "\x4d\x3c\x2b\x1a", 4);
        }
        size_t left = (size - at) / 4 * 4, len = u32_at(data + at + 4, big_endian) / 4 * 4;
        len = len < 12 || len > left ? left : len;
        put_u32(data + at + 4, big_endian, (uint32_t)len);
        put_u32(data + at + len - 4, big_endian, (uint32_t)len);
        uint32_t type = u32_at(data + at, big_endian);
        if ((type == 2 || type == 6) && len >= 32 && u32_at(data + at + 20, big_endian) > len - 32) {
            put_u32(data + at + 20, big_endian, (uint32_t)(len - 32));
        }
        if (type == 3 && len >= 16 && u32_at(data + at + 8, big_endian) > len - 16 && !roll(dice, 3)) {
            put_u32(data + at + 8, big_endian, (uint32_t)(len - 16));
        }
        at += len;
    }
}

static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    if (size >= 28 && memcmp(data, "\n\r\r\n", 4) == 0) {
        repair_pcapng(data, size, dice);
    } else if (size >= 24) {
        repair_pcap(data, size, data[0] == 0xa1);
    }
}
#endif
