/* make_captures.c - captures for pcap_offload_test.sh: `make_captures DIR` writes them. Their packets are those of packets.h, which shares
   no code with the library. Names: KIND is tcp4, udp4, tcp6 or udp6; ORDER is little or big, the byte order of the file. NAME.pcap
   goes in, and what NAME-want.pcap holds is to be what comes out, or to be treated in the same way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/packets.h"

enum { LINK_ETHERNET = 1, LINK_RAW = 101, LINK_COOKED = 113, LINK_COOKED_2 = 276, ROOM = 100000 };

static const char *const kind_names[PKT_KIND_COUNT] = {"tcp4", "udp4", "tcp6", "udp6"};
static const char *const order_names[2] = {"little", "big"};
static const char *out_dir;

/* ---------------------------------------------------------------------------------------------------------------- files */

typedef struct capture_file {
    FILE *file;
    int big;
    unsigned records;
} capture_file;

static void put(capture_file *c, size_t size, uint32_t value)
{
    for (size_t i = 0; i < size; i++) {
        putc((int)(value >> 8 * (c->big ? size - 1 - i : i) & 0xff), c->file);
    }
}

static capture_file open_file(const char *name, int big)
{
    char path[1024];
    capture_file c = {NULL, big, 0};
    snprintf(path, sizeof path, "%s/%s", out_dir, name);
    c.file = fopen(path, "wb");
    if (c.file == NULL) {
        perror(path);
        exit(2);
    }
    return c;
}

static void close_file(capture_file *c)
{
    if (fclose(c->file) != 0) {
        perror("make_captures");
        exit(2);
    }
}

static capture_file open_pcap(const char *name, int big, uint32_t link)
{
    capture_file c = open_file(name, big);
    put(&c, 4, 0xa1b2c3d4);
    put(&c, 2, 2);
    put(&c, 2, 4);
    put(&c, 4, 0);
    put(&c, 4, 0);
    put(&c, 4, 262144);
    put(&c, 4, link);
    return c;
}

static void add_bytes(capture_file *c, const void *bytes, size_t len)
{
    put(c, 4, 1000 + c->records);
    put(c, 4, c->records++);
    put(c, 4, (uint32_t)len);
    put(c, 4, (uint32_t)len);
    fwrite(bytes, 1, len, c->file);
}

static void add(capture_file *c, const pkt_spec *s)
{
    static uint8_t pkt[ROOM];
    add_bytes(c, pkt, pkt_build(pkt, sizeof pkt, s));
}

/* A pcapng block: words, then bytes that are filled up to a multiple of 4. */
static void add_block(capture_file *c, uint32_t type, const uint32_t *words, size_t count, const void *bytes, size_t len)
{
    uint32_t block_len = (uint32_t)(12 + 4 * count + (len + 3) / 4 * 4);
    put(c, 4, type);
    put(c, 4, block_len);
    for (size_t i = 0; i < count; i++) {
        put(c, 4, words[i]);
    }
    if (len > 0) {
        fwrite(bytes, 1, len, c->file);
    }
    put(c, (4 - len % 4) % 4, 0);
    put(c, 4, block_len);
}

/* ---------------------------------------------------------------------------------------------------- one packet, two ways */

/* What the sender does with a packet, and what its receiver would have seen. */
typedef struct twins {
    capture_file in, want;
} twins;

static twins open_twins(const char *name, int big, uint32_t link)
{
    char path[100];
    twins t;
    snprintf(path, sizeof path, "%s.pcap", name);
    t.in = open_pcap(path, big, link);
    snprintf(path, sizeof path, "%s-want.pcap", name);
    t.want = open_pcap(path, 0, link);
    return t;
}

static void close_twins(twins *t)
{
    close_file(&t->in);
    close_file(&t->want);
}

/* in: the same packet with its TCP or UDP checksum partial */
static void add_partial(twins *t, pkt_spec s)
{
    add(&t->want, &s);
    s.l4_csum_pseudo = 1;
    add(&t->in, &s);
}

static pkt_spec spec_of(pkt_kind kind, int32_t payload_len)
{
    pkt_spec s = {0};
    s.kind = kind;
    s.ethernet = 1;
    s.payload_len = payload_len;
    s.payload_seed = 7;
    return s;
}

/* Packet number i of a train of 4, the last of which is shorter. */
static pkt_spec train_packet(pkt_kind kind, unsigned i)
{
    pkt_spec s = spec_of(kind, i == 3 ? 50 : 200);
    s.ip_id = (uint16_t)(100 + i);
    s.seq = 5000 + 200 * i;
    s.tcp_flags = i == 3 ? PKT_ACK | PKT_PSH : PKT_ACK;
    return s;
}

static void partial_trains(pkt_kind kind, int big)
{
    char name[100];
    snprintf(name, sizeof name, "partial-%s-%s", kind_names[kind], order_names[big]);
    twins t = open_twins(name, big, LINK_ETHERNET);
    for (unsigned i = 0; i < 4; i++) {
        add_partial(&t, train_packet(kind, i));
    }
    close_twins(&t);

    snprintf(name, sizeof name, "superpacket-%s-%s", kind_names[kind], order_names[big]);
    t = open_twins(name, big, LINK_ETHERNET);
    pkt_spec s = spec_of(kind, 5000);
    s.tcp_flags = PKT_ACK | PKT_PSH;
    add_partial(&t, s);
    close_twins(&t);

    snprintf(name, sizeof name, "trailing-%s-%s", kind_names[kind], order_names[big]);
    t = open_twins(name, big, LINK_ETHERNET);
    for (unsigned i = 0; i < 3; i++) { /* an odd and an even number of bytes */
        s = train_packet(kind, i);
        s.trailer_len = (uint16_t)(5 + i);
        add_partial(&t, s);
    }
    close_twins(&t);
}

/* Linux cooked: the same in a frame that is not Ethernet. */
static void cooked_train(void)
{
    static const uint8_t header[16] = {0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0};
    uint8_t frame[16 + 400];
    twins t = open_twins("cooked", 0, LINK_COOKED);
    memcpy(frame, header, sizeof header);
    for (unsigned i = 0; i < 4; i++) {
        pkt_spec s = train_packet(PKT_TCP4, i);
        s.ethernet = 0;
        add_bytes(&t.want, frame, 16 + pkt_build(frame + 16, sizeof frame - 16, &s));
        s.l4_csum_pseudo = 1;
        add_bytes(&t.in, frame, 16 + pkt_build(frame + 16, sizeof frame - 16, &s));
    }
    close_twins(&t);
}

/* Checksums that are wrong and not partial stay as they are. */
static void wrong_trains(pkt_kind kind)
{
    char name[100];
    snprintf(name, sizeof name, "wrong-%s.pcap", kind_names[kind]);
    capture_file c = open_pcap(name, 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 3; i++) {
        pkt_spec s = train_packet(kind, i);
        s.l4_csum_xor = (uint16_t)(i == 1 ? 1 : 0);
        add(&c, &s);
    }
    pkt_spec s = spec_of(kind, 5000);
    s.l4_csum_xor = 0x8000;
    s.dst_port = 9;
    add(&c, &s);
    close_file(&c);
}

/* ------------------------------------------------------------------------------------------------------------------ Windows */

static void zero_ip_checksum(uint8_t *frame)
{
    pkt_put16(frame + 14 + 10, 0);
}

/* The IPv4 header checksum is left to the NIC, with a TCP or UDP checksum that is partial or right. */
static void windows_trains(pkt_kind kind)
{
    static uint8_t frame[6000];
    char name[100];
    snprintf(name, sizeof name, "windows-%s", kind_names[kind]);
    twins t = open_twins(name, 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 5; i++) {
        pkt_spec s = i < 4 ? train_packet(kind, i) : spec_of(kind, 5000);
        s.dst_port = i < 4 ? 0 : 9;
        add(&t.want, &s);
        s.l4_csum_pseudo = i != 1;
        size_t len = pkt_build(frame, sizeof frame, &s);
        zero_ip_checksum(frame);
        add_bytes(&t.in, frame, len);
    }
    close_twins(&t);
}

/* A superpacket's partial checksum without the length. */
static void windows_superpacket(pkt_kind kind)
{
    static uint8_t frame[6000];
    char name[100];
    snprintf(name, sizeof name, "no-length-sum-%s", kind_names[kind]);
    twins t = open_twins(name, 0, LINK_ETHERNET);
    pkt_spec s = spec_of(kind, 5000);
    add(&t.want, &s);
    size_t len = pkt_build(frame, sizeof frame, &s);
    size_t addresses = kind == PKT_TCP4 ? 14 + 12 : 14 + 8, addr_len = kind == PKT_TCP4 ? 4 : 16;
    pkt_put16(frame + pkt_l4_off(&s) + 16, pkt_pseudo_sum(frame + addresses, frame + addresses + addr_len, addr_len, 6, 0));
    if (kind == PKT_TCP4) {
        zero_ip_checksum(frame);
    }
    add_bytes(&t.in, frame, len);
    close_twins(&t);
}

/* IPv4 header checksums that are wrong and not 0: nothing is repaired, and the superpacket is not cut. */
static void wrong_ip_checksum(void)
{
    capture_file c = open_pcap("wrong-ip.pcap", 0, LINK_ETHERNET);
    pkt_spec s = spec_of(PKT_TCP4, 5000);
    s.ip_csum_xor = 1;
    add(&c, &s);
    s = train_packet(PKT_UDP4, 0);
    s.ip_csum_xor = 0x100;
    add(&c, &s);
    close_file(&c);
}

/* ------------------------------------------------------------------------------------------------------------------ tunnels */

typedef struct tunnel_kind {
    const char *name;
    uint16_t port;
    uint8_t header_len, header[16];
    uint8_t ethernet; /* inside */
} tunnel_kind;

static const tunnel_kind tunnels[] = {
    {"vxlan", 4789, 8, {8, 0, 0, 0, 0, 0, 42, 0}, 1},
    {"geneve", 6081, 12, {1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 0}, 1},
    {"ip-in-udp", 5555, 0, {0}, 0},
    {"port5000", 5000, 8, {8, 0, 0, 0, 0, 0, 42, 0}, 1},
};

/* inner and outer: 0 = right, 1 = partial; outer 2 = right for an inner packet that is finished, 3 = for the inner one as it is,
   4 = none */
static void add_tunnel(capture_file *c, const tunnel_kind *tunnel, pkt_kind kind, int32_t payload_len, int inner, int outer)
{
    static uint8_t payload[8000], frame[8100];
    pkt_spec s = spec_of(kind == PKT_UDP6 ? PKT_TCP6 : PKT_TCP4, payload_len);
    s.ethernet = tunnel->ethernet;
    s.l4_csum_pseudo = (uint8_t)(inner && outer != 2);
    memcpy(payload, tunnel->header, tunnel->header_len);
    size_t len = tunnel->header_len + pkt_build(payload + tunnel->header_len, sizeof payload - 16, &s);

    pkt_spec o = spec_of(kind, (int32_t)len);
    o.payload = payload;
    o.src_port = 50000;
    o.dst_port = tunnel->port;
    o.l4_csum_pseudo = outer == 1;
    o.l4_csum_zero = outer == 4;
    len = pkt_build(frame, sizeof frame, &o);
    if (outer == 2 && inner) { /* summed over the finished inner packet; now this is made partial */
        s.l4_csum_pseudo = 1;
        pkt_build(frame + pkt_payload_off(&o) + tunnel->header_len, sizeof payload - 16, &s);
    }
    add_bytes(c, frame, len);
}

static void tunnel_superpackets(const tunnel_kind *tunnel, pkt_kind kind)
{
    char name[100];
    snprintf(name, sizeof name, "tunnel-%s-%s", tunnel->name, kind_names[kind]);
    twins t = open_twins(name, 0, LINK_ETHERNET);
    int32_t lengths[2] = {5000, 300};
    for (int i = 0; i < 2; i++) {
        add_tunnel(&t.in, tunnel, kind, lengths[i], 0, 0);
        add_tunnel(&t.want, tunnel, kind, lengths[i], 0, 0);
        add_tunnel(&t.in, tunnel, kind, lengths[i], 1, 1);
        add_tunnel(&t.want, tunnel, kind, lengths[i], 0, 0);
        add_tunnel(&t.in, tunnel, kind, lengths[i], 1, 2);
        add_tunnel(&t.want, tunnel, kind, lengths[i], 0, 0);
        add_tunnel(&t.in, tunnel, kind, lengths[i], 1, 3); /* a right checksum outside: it was sent like this */
        add_tunnel(&t.want, tunnel, kind, lengths[i], 1, 3);
        add_tunnel(&t.in, tunnel, kind, lengths[i], 1, 4);
        add_tunnel(&t.want, tunnel, kind, lengths[i], 0, 4);
    }
    close_twins(&t);
}

/* ------------------------------------------------------------------------------------------------------------ IPv6 jumbograms */

static void jumbograms(pkt_kind kind, int big)
{
    /* next header, length; jumbo payload option; router alert, PadN of 4 bytes. In the twin, padding takes the option's place. */
    uint8_t with[16] = {0, 1, 0xc2, 4, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 0, 0};
    static uint8_t frame[ROOM];
    char name[100];
    const size_t ip = 14;
    for (int alone = 0; alone < 2; alone++) {
        snprintf(name, sizeof name, "jumbo-%s-%s-%s", alone ? "alone" : "beside", kind_names[kind], order_names[big]);
        twins t = open_twins(name, big, LINK_ETHERNET);
        pkt_spec s = spec_of(kind, 70000);
        s.ext_len = alone ? 8 : 16;
        s.ext = with;
        with[0] = (uint8_t)(kind == PKT_TCP6 ? 6 : 17);
        with[1] = (uint8_t)(alone ? 0 : 1);
        size_t len = pkt_len(&s) - ip - 40;
        pkt_put32(with + 4, (uint32_t)len);
        len = pkt_build(frame, sizeof frame, &s);
        add_bytes(&t.in, frame, len);
        frame[len] = 0xee; /* bytes behind it do not count */
        add_bytes(&t.in, frame, len + 1);
        if (alone) {
            s.ext_len = 0;
            s.ext = NULL;
        } else {
            memcpy(with + 2, "\1\4\0\0\0\0", 6);
        }
        add(&t.want, &s);
        add(&t.want, &s);
        memcpy(with + 2, "\xc2\4", 2);
        close_twins(&t);
    }
}

/* Options that contradict their packet: the record is passed. */
static void bad_jumbograms(void)
{
    uint8_t ext[8] = {6, 0, 0xc2, 4, 0, 1, 0, 0};
    capture_file c = open_pcap("jumbo-bad.pcap", 0, LINK_ETHERNET);
    pkt_spec s = spec_of(PKT_TCP6, 5000);
    s.ext = ext;
    s.ext_len = 8;
    add(&c, &s); /* beside an IP length */
    s.ip_len_zero = 1;
    add(&c, &s); /* longer than the packet */
    pkt_put32(ext + 4, 5028);
    add(&c, &s); /* below 65536 */
    close_file(&c);
}

static void no_lengths(void)
{
    capture_file c = open_pcap("no-length.pcap", 0, LINK_ETHERNET);
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        pkt_spec s = spec_of((pkt_kind)kind, 3000);
        s.ip_len_zero = 1;
        add(&c, &s);
    }
    pkt_spec s = spec_of(PKT_TCP6, 70000);
    add(&c, &s);
    close_file(&c);
}

/* ------------------------------------------------------------------------------------------------------- several link types */

static void mixed(const char *name, int big, uint32_t third_link)
{
    static const uint8_t cooked_2[20] = {8, 0, 0, 0, 0, 0, 0, 7, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0};
    static const uint16_t links[3] = {LINK_ETHERNET, LINK_RAW, LINK_COOKED_2};
    uint32_t section[4] = {0x1a2b3c4d, (uint32_t)(big ? 0x00010000 : 1), 0xffffffff, 0xffffffff};
    capture_file c = open_file(name, big);
    add_block(&c, 0x0a0d0d0a, section, 4, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        uint32_t link = i == 2 ? third_link : links[i], interface[2] = {big ? link << 16 : link, 0};
        add_block(&c, 1, interface, 2, NULL, 0);
    }
    for (unsigned i = 0; i < 12; i++) {
        uint8_t frame[400];
        pkt_spec s = train_packet(PKT_TCP4, i / 3);
        uint32_t head = i % 3 == 2 ? 20 : 0, record[5] = {i % 3, 0, i, 0, 0};
        s.ethernet = i % 3 == 0;
        memcpy(frame, cooked_2, head);
        record[3] = record[4] = head + (uint32_t)pkt_build(frame + head, sizeof frame - head, &s);
        if (s.ethernet) { /* as a loopback device has it; nothing but the link type tells them from raw IP */
            memset(frame, 0, 12);
        }
        add_block(&c, 6, record, 5, frame, record[3]);
    }
    close_file(&c);
}

/* ------------------------------------------------------------------------------------------------------------------- --why */

/* 16 TCP segments; the caller changes what is to keep them apart. */
static pkt_spec why_packet(pkt_kind kind, unsigned i)
{
    pkt_spec s = spec_of(kind, 100);
    s.seq = 100 * i;
    s.ip_id = (uint16_t)i;
    return s;
}

static void whys(void)
{
    capture_file c = open_pcap("why-psh.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) {
        pkt_spec s = why_packet(PKT_TCP4, i);
        s.tcp_flags = PKT_ACK | PKT_PSH;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-id.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) {
        pkt_spec s = why_packet(PKT_TCP4, i);
        s.ip_id = (uint16_t)(i * i * 77);
        s.df = i < 8 ? 0 : PKT_ZERO;
        s.dst_port = i < 8 ? 1 : 2;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-both.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) { /* one flow held up by PSH and IDs, one by IDs only */
        pkt_spec s = why_packet(PKT_TCP4, i % 8);
        s.ip_id = (uint16_t)(i * i * 77);
        s.df = PKT_ZERO;
        s.tcp_flags = i < 8 ? PKT_ACK | PKT_PSH : PKT_ACK;
        s.dst_port = i < 8 ? 1 : 2;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-no-sum.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 20; i++) { /* and a smaller reason, which comes second */
        pkt_spec s = why_packet(i < 16 ? PKT_UDP4 : PKT_TCP4, i);
        s.l4_csum_zero = i < 16;
        s.tcp_flags = PKT_ACK | PKT_PSH;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-order.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) { /* 0 4 8 12 1 5 9 13 ... */
        pkt_spec s = why_packet(PKT_TCP6, i % 4 * 4 + i / 4);
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-padding.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) {
        pkt_spec s = why_packet(PKT_TCP6, i);
        s.trailer_len = 4;
        add(&c, &s);
    }
    for (unsigned i = 0; i < 3; i++) { /* of another flow */
        pkt_spec s = why_packet(PKT_TCP4, 0);
        s.payload_len = PKT_ZERO;
        s.ack = i;
        s.trailer_len = 6;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-bad-sum.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) {
        pkt_spec s = why_packet(PKT_TCP4, i);
        s.l4_csum_xor = 1;
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-size.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) {
        pkt_spec s = why_packet(PKT_UDP4, i);
        s.payload_len = (int32_t)(100 + i);
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-flows.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) { /* 4 flows in turn */
        pkt_spec s = why_packet(PKT_TCP4, i / 4);
        s.dst_port = (int32_t)(1 + i % 4);
        add(&c, &s);
    }
    close_file(&c);

    c = open_pcap("why-acks.pcap", 0, LINK_ETHERNET);
    for (unsigned i = 0; i < 16; i++) { /* data and acknowledgments in turn */
        pkt_spec s = why_packet(PKT_TCP4, i / 2);
        s.payload_len = i % 2 ? PKT_ZERO : 100;
        s.seq += i % 2 ? 100 : 0;
        add(&c, &s);
    }
    close_file(&c);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_captures DIR\n");
        return 2;
    }
    out_dir = argv[1];
    for (int kind = 0; kind < PKT_KIND_COUNT; kind++) {
        for (int big = 0; big < 2; big++) {
            partial_trains((pkt_kind)kind, big);
        }
        wrong_trains((pkt_kind)kind);
    }
    cooked_train();
    windows_trains(PKT_TCP4);
    windows_trains(PKT_UDP4);
    windows_superpacket(PKT_TCP4);
    windows_superpacket(PKT_TCP6);
    wrong_ip_checksum();
    for (size_t i = 0; i < sizeof tunnels / sizeof tunnels[0]; i++) {
        tunnel_superpackets(&tunnels[i], PKT_UDP4);
        tunnel_superpackets(&tunnels[i], PKT_UDP6);
    }
    for (int big = 0; big < 2; big++) {
        jumbograms(PKT_TCP6, big);
        jumbograms(PKT_UDP6, big);
        mixed(big ? "mixed-big.pcapng" : "mixed-little.pcapng", big, LINK_COOKED_2);
    }
    mixed("mixed-unknown.pcapng", 0, 127);
    bad_jumbograms();
    no_lengths();
    whys();
    return 0;
}
