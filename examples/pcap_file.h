/* pcap_file.h - reads pcap and pcapng files into memory, and writes both. It knows nothing of the library, so that any example can
   include it.
   Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.

   Each length in a file is compared with the rest of the file before it is used. A file that ends inside a record is read up to
   that record, with a warning. A file that contradicts itself is refused. */
#ifndef PCAP_FILE_H
#define PCAP_FILE_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAPTURE_RECORD_MAX = 262144,      /* a longer record is damage, unless the file's snap length allows it */
    CAPTURE_BLOCK_MAX = 16777216,     /* so is a longer pcapng block, if the file ends inside it */
    CAPTURE_INTERFACES_WRITTEN = 16   /* link types in one file that is written */
};

struct capture_record {
    uint8_t *bytes;       /* inside the file's memory */
    size_t len;           /* bytes captured */
    size_t wire_len;      /* bytes the packet had; more than len if a snap length cut it */
    uint64_t seconds, nanoseconds;
    uint32_t link_type;
};

struct capture_interface { /* pcapng; a pcap file is one interface */
    uint32_t link_type, snap_len;
    uint64_t ticks_per_second;
    uint64_t offset_seconds;
};

struct capture {
    uint8_t *file;
    size_t size;
    int big_endian;  /* of the file, or of the pcapng section being read */
    int nanoseconds; /* some record may have a time finer than microseconds */
    struct capture_record *records;
    size_t count, room;
    struct capture_interface *interfaces; /* of the pcapng section being read */
    size_t interface_count, interface_room;
    uint32_t link_type; /* of the first record, or of the file if it has none */
    int link_types_differ;
    char error[160];
    char warning[160]; /* the file ends inside a record: which, and where */
};

struct capture_writer {
    FILE *file;
    int nanoseconds;
    int pcapng;
    uint32_t link_types[CAPTURE_INTERFACES_WRITTEN]; /* pcapng: of the interfaces written so far */
    size_t interface_count;
};

struct capture_piece {
    const void *bytes;
    size_t len;
};

/* ---------------------------------------------------------------------------------------------------------------- reading */

static int capture_fail(struct capture *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->error, sizeof c->error, format, args);
    va_end(args);
    return -1;
}

/* The file ends inside the record or block at this byte. The records before it are good. */
static int capture_cut(struct capture *c, int is_record, size_t at)
{
    if (is_record)
        snprintf(c->warning, sizeof c->warning, "the file ends inside record %zu, which starts at byte %zu", c->count, at);
    else
        snprintf(c->warning, sizeof c->warning, "the file ends inside the block at byte %zu, in front of record %zu", at, c->count);
    return 0;
}

static uint16_t capture_u16(const struct capture *c, size_t at)
{
    const uint8_t *p = c->file + at;

    return (uint16_t)(c->big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint32_t capture_u32(const struct capture *c, size_t at)
{
    uint32_t first = capture_u16(c, at), second = capture_u16(c, at + 2);

    return c->big_endian ? first << 16 | second : second << 16 | first;
}

static uint64_t capture_u64(const struct capture *c, size_t at)
{
    uint64_t first = capture_u32(c, at), second = capture_u32(c, at + 4);

    return c->big_endian ? first << 32 | second : second << 32 | first;
}

/* Room for one more element in an array that doubles; NULL without memory, and then the old array is still there. */
static void *capture_grow(void *array, size_t count, size_t *room, size_t element_size)
{
    size_t wanted = *room ? *room * 2 : 64;
    void *grown;

    if (count < *room)
        return array;
    grown = wanted > SIZE_MAX / element_size ? NULL : realloc(array, wanted * element_size);
    if (grown)
        *room = wanted;
    return grown;
}

static int capture_load(struct capture *c, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t room = 0, got;

    if (!file)
        return capture_fail(c, "%s", strerror(errno));
    do {
        uint8_t *grown = room - c->size < 65536 ? realloc(c->file, room += room + 65536) : c->file;

        if (!grown) {
            fclose(file);
            return capture_fail(c, "out of memory after %zu bytes", c->size);
        }
        c->file = grown;
        got = fread(c->file + c->size, 1, room - c->size, file);
        c->size += got;
    } while (got > 0 && !feof(file) && !ferror(file));
    if (ferror(file)) {
        capture_fail(c, "%s", strerror(errno));
        fclose(file);
        return -1;
    }
    fclose(file);
    return 0;
}

static int capture_add(struct capture *c, const struct capture_record *record)
{
    void *grown = capture_grow(c->records, c->count, &c->room, sizeof *c->records);

    if (!grown)
        return capture_fail(c, "out of memory after %zu records", c->count);
    c->records = grown;
    c->records[c->count++] = *record;
    return 0;
}

/* Can a file that ends inside this record have been cut there? Not if the record contradicts itself: then it is damaged. */
static int capture_may_be_cut(size_t len, size_t wire_len, size_t snap_len)
{
    return len <= wire_len && len <= (snap_len > CAPTURE_RECORD_MAX ? snap_len : CAPTURE_RECORD_MAX);
}

static int capture_parse_pcap(struct capture *c)
{
    enum { FILE_HEADER = 24, RECORD_HEADER = 16, MAJOR_VERSION = 2 };
    uint64_t nanoseconds_per_tick = c->nanoseconds ? 1 : 1000;
    size_t at = FILE_HEADER;

    if (c->size < FILE_HEADER)
        return capture_fail(c, "the pcap header has %d bytes, file ends after %zu", (int)FILE_HEADER, c->size);
    if (capture_u16(c, 4) != MAJOR_VERSION)
        return capture_fail(c, "pcap version %u.%u, only version 2 is known", (unsigned)capture_u16(c, 4),
                            (unsigned)capture_u16(c, 6));
    c->link_type = capture_u32(c, 20) & 0xffff; /* the upper bits tell the length of a frame check sequence */
    while (at < c->size) {
        struct capture_record record;

        if (c->size - at < RECORD_HEADER)
            return capture_cut(c, 1, at);
        record.seconds = capture_u32(c, at);
        record.nanoseconds = capture_u32(c, at + 4) * nanoseconds_per_tick;
        record.len = capture_u32(c, at + 8);
        record.wire_len = capture_u32(c, at + 12);
        record.link_type = c->link_type;
        at += RECORD_HEADER;
        if (record.len > c->size - at) {
            if (capture_may_be_cut(record.len, record.wire_len, capture_u32(c, 16)))
                return capture_cut(c, 1, at - RECORD_HEADER);
            return capture_fail(c, "record %zu claims %zu bytes, file ends after %zu", c->count, record.len, c->size - at);
        }
        record.bytes = c->file + at;
        at += record.len;
        if (capture_add(c, &record) < 0)
            return -1;
    }
    return 0;
}

enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 2, BLOCK_SIMPLE = 3, BLOCK_ENHANCED = 6 };

/* Interface Description Block: body = bytes [at, end). */
static int capture_add_interface(struct capture *c, size_t at, size_t end)
{
    enum { OPTION_TSRESOL = 9, OPTION_TSOFFSET = 14 };
    struct capture_interface interface = {0, 0, 1000000, 0};
    void *grown;

    if (end - at < 8)
        return capture_fail(c, "interface %zu is described by %zu bytes, 8 are needed", c->interface_count, end - at);
    interface.link_type = capture_u16(c, at);
    interface.snap_len = capture_u32(c, at + 4);
    at += 8;
    while (end - at >= 4) {
        size_t code = capture_u16(c, at), len = capture_u16(c, at + 2);

        at += 4;
        if (code == 0 || len > end - at)
            break;
        if (code == OPTION_TSRESOL && len == 1) {
            unsigned exponent = c->file[at] & 0x7f, base = c->file[at] & 0x80 ? 2 : 10;

            if (exponent > (base == 2 ? 63U : 19U))
                return capture_fail(c, "interface %zu has a time resolution of %u^-%u s", c->interface_count, base, exponent);
            for (interface.ticks_per_second = 1; exponent > 0; exponent--)
                interface.ticks_per_second *= base;
        } else if (code == OPTION_TSOFFSET && len == 8) {
            interface.offset_seconds = capture_u64(c, at);
        }
        len = (len + 3) / 4 * 4;
        at = len < end - at ? at + len : end;
    }
    grown = capture_grow(c->interfaces, c->interface_count, &c->interface_room, sizeof *c->interfaces);
    if (!grown)
        return capture_fail(c, "out of memory after %zu interfaces", c->interface_count);
    c->interfaces = grown;
    c->interfaces[c->interface_count++] = interface;
    return 0;
}

static void capture_set_time(struct capture_record *record, const struct capture_interface *interface, uint64_t ticks)
{
    uint64_t per_second = interface->ticks_per_second, rest = ticks % per_second;
    uint64_t low = (rest & 0xffffffff) * 1000000000, high = (rest >> 32) * 1000000000 + (low >> 32); /* rest * 10^9: 96 bits */

    record->seconds = ticks / per_second + interface->offset_seconds;
    if (per_second <= UINT32_MAX)
        record->nanoseconds = low / per_second;
    else if (per_second % 10) /* a power of two */
        record->nanoseconds = high / (per_second >> 32);
    else
        record->nanoseconds = rest / (per_second / 1000000000);
}

/* Enhanced, Simple and (obsolete) Packet Block: body = bytes [at, end). */
static int capture_add_block(struct capture *c, uint32_t type, size_t at, size_t end)
{
    size_t fixed = type == BLOCK_SIMPLE ? 4 : 20;
    const struct capture_interface *interface;
    struct capture_record record;
    uint64_t ticks = 0;
    uint32_t id = 0;

    if (end - at < fixed)
        return capture_fail(c, "record %zu is in a block of %zu bytes, %zu are needed", c->count, end - at, fixed);
    if (type != BLOCK_SIMPLE) {
        id = type == BLOCK_PACKET ? capture_u16(c, at) : capture_u32(c, at);
        ticks = (uint64_t)capture_u32(c, at + 4) << 32 | capture_u32(c, at + 8);
    }
    if (id >= c->interface_count)
        return capture_fail(c, "record %zu is of interface %u, but the section describes %zu", c->count, (unsigned)id,
                            c->interface_count);
    interface = &c->interfaces[id];
    record.wire_len = capture_u32(c, at + fixed - 4);
    record.len = record.wire_len;
    if (type != BLOCK_SIMPLE)
        record.len = capture_u32(c, at + 12);
    else if (interface->snap_len && record.len > interface->snap_len)
        record.len = interface->snap_len;
    at += fixed;
    if (record.len > end - at)
        return capture_fail(c, "record %zu claims %zu bytes, its block ends after %zu", c->count, record.len, end - at);
    record.bytes = c->file + at;
    record.link_type = interface->link_type;
    capture_set_time(&record, interface, ticks);
    c->nanoseconds |= 1000000 % interface->ticks_per_second != 0;
    return capture_add(c, &record);
}

/* A section header says which byte order the blocks behind it have, its own length field included. */
static int capture_start_section(struct capture *c, size_t at)
{
    c->big_endian = 0;
    if (c->size - at < 12)
        return capture_fail(c, "the section header at byte %zu is cut, file ends after %zu", at, c->size - at);
    if (capture_u32(c, at + 8) != 0x1a2b3c4d)
        c->big_endian = 1;
    if (capture_u32(c, at + 8) != 0x1a2b3c4d)
        return capture_fail(c, "the section header at byte %zu has no byte order mark", at);
    if (c->size - at >= 16 && capture_u16(c, at + 12) != 1)
        return capture_fail(c, "pcapng version %u.%u at byte %zu, only version 1 is known", (unsigned)capture_u16(c, at + 12),
                            (unsigned)capture_u16(c, at + 14), at);
    return 0;
}

/* The file ends inside the block at byte `at`, which claims to have `block` bytes. */
static int capture_cut_block(struct capture *c, uint32_t type, size_t at, size_t block)
{
    int is_record = type == BLOCK_PACKET || type == BLOCK_ENHANCED, damaged = block > CAPTURE_BLOCK_MAX;

    if (type == BLOCK_SECTION && at == 0)
        return capture_fail(c, "the first section header has %zu bytes, file ends after %zu", block, c->size);
    if (is_record && c->size - at >= 28)
        damaged |= block < 32 || capture_u32(c, at + 20) > block - 32 || capture_u32(c, at + 20) > capture_u32(c, at + 24);
    if (damaged)
        return capture_fail(c, "the block at byte %zu (record %zu) claims %zu bytes, file ends after %zu", at, c->count, block,
                            c->size - at);
    return capture_cut(c, is_record || type == BLOCK_SIMPLE, at);
}

static int capture_parse_pcapng(struct capture *c)
{
    size_t at = 0, block;

    while (at < c->size) {
        uint32_t type;
        int bad = 0;

        if (c->size - at < 12 && at > 0)
            return capture_cut(c, 0, at);
        type = capture_u32(c, at); /* the section header's number reads the same in both byte orders */
        if (type == BLOCK_SECTION) {
            c->interface_count = 0;
            if (capture_start_section(c, at) < 0)
                return -1;
        }
        block = capture_u32(c, at + 4);
        if (block < 12 || block % 4)
            return capture_fail(c, "the block at byte %zu has an impossible length of %zu", at, block);
        if (block > c->size - at)
            return capture_cut_block(c, type, at, block);
        if (capture_u32(c, at + block - 4) != block)
            return capture_fail(c, "the block at byte %zu has different lengths at its two ends", at);
        if (type == BLOCK_INTERFACE)
            bad = capture_add_interface(c, at + 8, at + block - 4);
        else if (type == BLOCK_PACKET || type == BLOCK_SIMPLE || type == BLOCK_ENHANCED)
            bad = capture_add_block(c, type, at + 8, at + block - 4);
        if (bad)
            return -1;
        at += block;
    }
    if (c->interface_count)
        c->link_type = c->interfaces[0].link_type;
    return 0;
}

static int capture_parse(struct capture *c)
{
    uint32_t little, big;

    if (c->size < 4)
        return capture_fail(c, "neither pcap nor pcapng: the file has %zu bytes", c->size);
    little = capture_u32(c, 0);
    c->big_endian = 1;
    big = capture_u32(c, 0);
    if (little == 0x0a0d0d0a)
        return capture_parse_pcapng(c);
    c->nanoseconds = little == 0xa1b23c4d || big == 0xa1b23c4d;
    c->big_endian = big == 0xa1b2c3d4 || big == 0xa1b23c4d;
    if (c->big_endian || c->nanoseconds || little == 0xa1b2c3d4)
        return capture_parse_pcap(c);
    return capture_fail(c, "neither pcap nor pcapng: it starts with %08x%s", (unsigned)big,
                        big >> 16 == 0x1f8b ? " (gzip: unpack it first, with gzip -dc FILE > OTHER)" : "");
}

/* 0, or -1 with the reason in c->error. 0 with c->warning set: the file ends inside a record. capture_free() is due in all
   cases. */
static int capture_read(struct capture *c, const char *path)
{
    size_t i;

    memset(c, 0, sizeof *c);
    if (capture_load(c, path) < 0 || capture_parse(c) < 0)
        return -1;
    for (i = 0; i < c->count; i++) {
        c->link_types_differ |= c->records[i].link_type != c->records[0].link_type;
        c->link_type = c->records[0].link_type;
    }
    return 0;
}

static void capture_free(struct capture *c)
{
    free(c->file);
    free(c->records);
    free(c->interfaces);
}

/* ---------------------------------------------------------------------------------------------------------------- writing */
/* Little-endian. Each function: 0, or -1 with errno set. */

static inline int capture_put(struct capture_writer *w, const uint32_t *words, size_t count)
{
    uint8_t bytes[4 * 8] = {0};
    size_t i;

    for (i = 0; i < count * 4; i++)
        bytes[i] = (uint8_t)(words[i / 4] >> (i % 4 * 8));
    return fwrite(bytes, 4, count, w->file) == count ? 0 : -1;
}

static inline int capture_create(struct capture_writer *w, const char *path, uint32_t link_type, int nanoseconds, uint32_t snap_len)
{
    uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 0, 0}; /* version 2.4 as two 16-bit numbers */

    if (nanoseconds)
        header[0] = 0xa1b23c4d;
    header[4] = snap_len;
    header[5] = link_type;
    w->pcapng = 0;
    w->nanoseconds = nanoseconds;
    w->file = fopen(path, "wb");
    return w->file ? capture_put(w, header, 6) : -1;
}

/* For records of several link types: one interface for each, in nanoseconds. */
static inline int capture_create_pcapng(struct capture_writer *w, const char *path)
{
    static const uint32_t header[7] = {BLOCK_SECTION, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28}; /* version 1.0 */

    w->pcapng = 1;
    w->interface_count = 0;
    w->file = fopen(path, "wb");
    return w->file ? capture_put(w, header, 7) : -1;
}

/* The number of the interface with this link type, which is described before its first record. */
static inline int capture_put_interface(struct capture_writer *w, uint32_t link_type, uint32_t *number)
{
    uint32_t words[8] = {BLOCK_INTERFACE, 32, 0, 0, 9 | 1 << 16, 9, 0, 32}; /* option: a time resolution of 10^-9 s */

    for (*number = 0; *number < w->interface_count; ++*number) {
        if (w->link_types[*number] == link_type)
            return 0;
    }
    if (w->interface_count == CAPTURE_INTERFACES_WRITTEN) {
        errno = EINVAL;
        return -1;
    }
    w->link_types[w->interface_count++] = link_type;
    words[2] = link_type;
    return capture_put(w, words, 8);
}

static inline int capture_put_record_header(struct capture_writer *w, const struct capture_record *from, size_t len,
                                            size_t wire_len)
{
    uint64_t ticks = (from->seconds & 0xffffffff) * 1000000000 + from->nanoseconds; /* as many seconds as pcap has */
    uint32_t words[7] = {BLOCK_ENHANCED, 0, 0, 0, 0, 0, 0};

    if (!w->pcapng) {
        words[0] = (uint32_t)from->seconds;
        words[1] = (uint32_t)(w->nanoseconds ? from->nanoseconds : from->nanoseconds / 1000);
        words[2] = (uint32_t)len;
        words[3] = (uint32_t)wire_len;
        return capture_put(w, words, 4);
    }
    if (capture_put_interface(w, from->link_type, &words[2]) < 0)
        return -1;
    words[1] = (uint32_t)(32 + (len + 3) / 4 * 4);
    words[3] = (uint32_t)(ticks >> 32);
    words[4] = (uint32_t)ticks;
    words[5] = (uint32_t)len;
    words[6] = (uint32_t)wire_len;
    return capture_put(w, words, 7);
}

/* One record with the time and link type of `from`, made of two pieces; wire_len: bytes that the packet has without the snap
   length's cut. */
static inline int capture_write(struct capture_writer *w, const struct capture_record *from, const struct capture_piece piece[2],
                                size_t wire_len)
{
    static const uint8_t padding[3];
    size_t i, len = piece[0].len + piece[1].len, padding_len = (4 - len % 4) % 4;
    uint32_t block_len = (uint32_t)(32 + len + padding_len);

    if (capture_put_record_header(w, from, len, wire_len) < 0)
        return -1;
    for (i = 0; i < 2; i++) {
        if (piece[i].len && fwrite(piece[i].bytes, 1, piece[i].len, w->file) != piece[i].len)
            return -1;
    }
    if (w->pcapng && (fwrite(padding, 1, padding_len, w->file) != padding_len || capture_put(w, &block_len, 1) < 0))
        return -1;
    return 0;
}

static inline int capture_close(struct capture_writer *w)
{
    FILE *file = w->file;

    w->file = NULL;
    return file && fclose(file) != 0 ? -1 : 0;
}

#endif
