/* fuzz_gro.c - the coalescer, driven by a script.
   Input     5 bytes of configuration, then records: raw packets, packets made from a template of one of 16 flows that are
             "the next of the flow, but ...", drains, resets, and other configurations. See read_config and read_record. A configuration
             can look into VXLAN and Geneve: then half of the flows are in tunnels, whose headers differ now and then.
   Asserts   every packet is emitted exactly once, single ones unchanged and with a zero vnet header; a superpacket passes
             tuo_vnet_check(TUO_F_WRITE), keeps to the caps, has finished headers, is made of packets with valid checksums,
             and splits again into exactly these packets (but for IPv4 IDs that may be renumbered, and the checksums that
             merge_zero_csum4 makes); with finish_checksum its checksum is complete, and right if theirs were; packets of one connection
             are emitted as they came, but for TCP segments in front of those that their bytes precede, and never across a
             packet that closed the flow; what a connection emits is in the places in which it arrived; the copying modes give the
             same bytes as the gathering one, and lose nothing when their callbacks fail; work per push stays within the documented
             bounds; the counters add up; a reset drops the packets in the instance and nothing else; tuo_gro_reconfigure refuses while packets
             are held, and what comes after it is judged by the new configuration; what is in a tunnel leaves in the order of its
             connection, and a tunnel type has right checksums outside and inside; another level of tuo_simd gives the same verdicts
             and bytes (an input in four), and so do batches of sizes that are in the input, with the same counters (the others). */
#include "fuzz.h"
#include "../tests/lib/packets.h"
#include "../tests/lib/tunnels.h"
#include "../tests/lib/simd_levels.h"

enum { PACKETS_MAX = 256, STEPS_MAX = 512, CONFIGS_MAX = 8, HEADROOM = 24, BUFFER_LEN = HEADROOM + 65535, FLOWS = 16 };

typedef enum step_kind { STEP_PUSH, STEP_DRAIN, STEP_RESET, STEP_CONFIGURE } step_kind;

typedef struct step {
    step_kind kind;
    unsigned arg; /* push: index of the packet; drain: how many to take, 0 = all; configure: index of the configuration */
} step;

typedef struct packet {
    uint8_t *bytes;
    size_t len;
    unsigned hint;
    tuo_verdict verdict; /* of the gathering run */
    unsigned emitted;    /* times */
    int forgotten;       /* by a reset of the gathering run */
    unsigned config;     /* index of the configuration that it was pushed under */
    size_t rank;         /* position among everything emitted */
    pkt_view view;
    int in_tunnel;       /* goes to a port of a tunnel that is looked into, and has all outer headers: the next ones are set */
    int known;           /* the flags of the tunnel header are */
    size_t inner_at;     /* behind the tunnel header */
    pkt_view inner;      /* offsets from inner_at */
} packet;

/* What one run emitted: per emitted packet its length, number of packets, their indices, then vnet header and bytes. */
typedef struct emission {
    uint8_t *bytes;
    size_t used, cap, emitted_count, packet_count;
} emission;

static packet packets[PACKETS_MAX];
static size_t packet_count;
static step steps[STEPS_MAX];
static size_t step_count;
static tuo_gro_desc configs[CONFIGS_MAX];
static size_t config_count;
static tuo_gro_desc desc;           /* the configuration of now: the last one while the script is read */
static unsigned config_now, desc_ethernet; /* its index; TUO_F_ETHERNET or 0 */
static tuo_simd forced_level;       /* instead of what the configurations say; DETECT: none */
static int failing_buffers;         /* copy: tight buffers whose appends fail now and then */
static unsigned forms[CONFIGS_MAX]; /* of tunnels, by configuration */
static int saw_no_room, saw_partial_drain, saw_reset, saw_frag_limit;

/* -------------------------------------------------------------------------------------------------------------- script */

static void use_config(unsigned index)
{
    config_now = index;
    desc = configs[index];
    desc.simd = forced_level != TUO_SIMD_DETECT ? forced_level : desc.simd;
    desc_ethernet = desc.ethernet ? TUO_F_ETHERNET : 0;
}

/* Capacities are those of the first one, whatever the input says; in every second of the others they are left out, which means the same. */
static void read_config(fuzz_input *in)
{
    static const uint32_t max_packets[] = {0, 0, 1, 2, 3, 8, 64, 300}, max_flows[] = {0, 1, 2, 5};
    static const uint32_t max_items[] = {0, 1, 2, 64}, vnet_lens[] = {0, 12, 20, 24};
    static const uint32_t max_bytes[] = {0, 576, 1000, 65535}, max_segs[] = {0, 2, 3, 64}, max_frags[] = {0, 0, 2, 5};
    unsigned switches = fuzz_u8(in), kinds = fuzz_u8(in), capacity = fuzz_u8(in), caps = fuzz_u8(in), rest = fuzz_u8(in);
    memset(&desc, 0, sizeof desc);
    desc.strict_kernel = switches & 1;
    desc.disable_prepend = switches >> 1 & 1;
    desc.ip_id = (tuo_ip_id)(switches >> 2 & 3);
    desc.trust_checksums = (switches & 0x30) == 0x30;
    desc.ethernet = switches >> 6 & 1;
    desc.no_vnet_hdr = (switches & 0x80) != 0;
    desc.disable_tcp4 = (kinds & 0x11) == 0x11;
    desc.disable_tcp6 = (kinds & 0x22) == 0x22;
    desc.disable_udp4 = (kinds & 0x44) == 0x44;
    desc.disable_udp6 = (kinds & 0x88) == 0x88;
    desc.merge_zero_csum4 = (kinds & 0x33) == 0x03; /* combinations that switch nothing off */
    desc.finish_checksum = (kinds & 0xcc) == 0x0c;
    desc.max_packets = max_packets[capacity & 7];
    desc.max_flows = max_flows[capacity >> 3 & 3];
    desc.max_items_per_flow = max_items[capacity >> 5 & 3];
    desc.max_bytes = max_bytes[caps & 3];
    desc.max_segs = max_segs[caps >> 2 & 3];
    desc.max_udp_segs = max_segs[caps >> 4 & 3];
    desc.max_frags = max_frags[caps >> 6 & 3];
    desc.vnet_hdr_len = vnet_lens[rest & 3];
    desc.vnet_order = (tuo_order)((rest >> 2 & 3) % 3);
    desc.udp_excluded_port_count = (rest & 0x30) == 0x30;
    desc.udp_excluded_ports[0] = 443;
    desc.tcp_excluded_port_count = (rest & 0xb0) == 0xb0;
    desc.tcp_excluded_ports[0] = 443;
    desc.virtio_guest = switches >> 4 & 1;
    failing_buffers = rest >> 6 & 1;
    forms[config_count] = kinds >> 3 & 3;
    if ((rest & 15) == 15) { /* a header of 24 bytes, and an order that is there twice */
        desc.vxlan_port_count = desc.geneve_port_count = 1;
        desc.vxlan_ports[0] = VXLAN_PORT;
        desc.geneve_ports[0] = GENEVE_PORT;
        desc.tunnels_for_tun = !desc.ethernet && (switches >> 4 & 1) != 0;
    }
    desc.simd = simd_level_at((capacity >> 7) | (rest >> 6 & 2)); /* two bits that nothing else uses */
    if (config_count > 0) {
        desc.max_packets = config_count % 2 != 0 ? configs[0].max_packets : 0;
        desc.max_flows = config_count % 2 != 0 ? configs[0].max_flows : 0;
    }
    saw_frag_limit |= desc.max_frags != 0;
    configs[config_count] = desc;
    use_config((unsigned)config_count++);
}

static int has_tunnels(void)
{
    return desc.vxlan_port_count != 0;
}

/* What is behind the tunnel header, whatever its flags say. */
static void look_inside(packet *p)
{
    const pkt_view *v = &p->view;
    size_t at = v->payload;
    int ethernet = 1;
    if (!has_tunnels() || !pkt_has_l4(v) || v->proto != PKT_PROTO_UDP) {
        return;
    }
    unsigned port = pkt_get16(p->bytes + v->l4 + 2);
    p->in_tunnel = port == VXLAN_PORT || port == GENEVE_PORT;
    p->inner_at = v->end;
    if (!p->in_tunnel || v->end - at < 8) {
        return;
    }
    p->known = port == VXLAN_PORT ? (p->bytes[at] & 0x0c) == 0x08 : (p->bytes[at] & 0xc0) == 0 && (p->bytes[at + 1] & 0x80) == 0;
    if (port == GENEVE_PORT) {
        ethernet = pkt_get16(p->bytes + at + 2) == 0x6558;
        at += (size_t)(p->bytes[at] & 63) * 4;
    }
    if (at + 8 <= v->end) {
        p->inner_at = at + 8;
        p->inner = pkt_look(p->bytes + p->inner_at, v->end - p->inner_at, ethernet, 0);
    }
}

static void add_packet(const uint8_t *bytes, size_t len, unsigned hint)
{
    if (packet_count == PACKETS_MAX) {
        return;
    }
    packet *p = &packets[packet_count];
    memset(p, 0, sizeof *p);
    p->bytes = fuzz_copy(bytes, len);
    p->len = len;
    p->hint = hint;
    p->config = config_now;
    p->view = pkt_look(bytes, len, desc.ethernet, 0);
    look_inside(p);
    steps[step_count].kind = STEP_PUSH;
    steps[step_count++].arg = (unsigned)packet_count++;
}

/* Of a device that has verified what it delivers: all of it, or the TCP or UDP checksum alone. */
static unsigned hint_of(int ip4_too)
{
    tuo_caps caps;
    tuo_vnet_hdr vnet;
    memset(&caps, 0, sizeof caps);
    memset(&vnet, 0, sizeof vnet);
    FUZZ_CHECK(tuo_rx_hint(&caps, &vnet) == 0);
    caps.rx_csum_ip4 = (uint8_t)ip4_too;
    vnet.flags = TUO_VNET_DATA_VALID;
    unsigned hint = tuo_rx_hint(&caps, &vnet);
    FUZZ_CHECK(hint == (ip4_too ? TUO_F_TRUST : TUO_F_TRUST_L4) && (ip4_too || tuo_rx_hint(NULL, &vnet) == hint));
    vnet.flags = TUO_VNET_DATA_VALID | TUO_VNET_NEEDS_CSUM;
    FUZZ_CHECK(tuo_rx_hint(&caps, &vnet) == 0);
    return hint;
}

/* What a template packet does to be different from the plain next one of its flow. */
enum {
    NEXT, GAP, LATE, AGAIN, PSH, FIN, SHORT, LONG, WINDOW, ACKNOWLEDGE, POKE, POKE_VALID, SAME_ID, EMPTY, CUT, TRAILER, TRUSTED,
    TOS, TTL, DF, LABEL, EXTENSION, OPTIONS, ZERO_CSUM, FLAGS, BACKWARD, VLAN, FRAGMENT, RESERVED, HUGE_LEN,
    TRUSTED_L4, POKE_TRUSTED, POKE_TRUSTED_L4, WHAT_COUNT
};

typedef struct flow {
    uint32_t seq, late_seq;
    uint16_t id, outer_id;
} flow;

/* The headers around the packet of a flow, and what is different about them. */
static datagram tunnel_of(unsigned number, const flow *f, unsigned what)
{
    const uint8_t *const nops = (const uint8_t *)"\1\1\1\1";
    unsigned arg = what >> 5;
    datagram d = datagram_of((datagram_form)((number + forms[config_now]) % DATAGRAM_COUNT), number & 8 ? PKT_UDP6 : PKT_UDP4, PKT_TCP4,
                             desc.ethernet);
    d.no_csum = (number & 3) == 3;
    d.outer.ip_id = f->outer_id;
    switch (what & 31) {
    case 1: d.outer.ttl = 60 + (int32_t)arg; break;
    case 2: d.outer.tos = (uint8_t)arg; break;
    case 3: d.outer.df = PKT_ZERO; break;
    case 4: d.outer.ip_id = (uint16_t)(d.outer.ip_id + arg - 1); break;
    case 5: d.vni = arg; break;
    case 6: d.no_csum = !d.no_csum; break;
    case 7: d.header_off = (uint8_t)arg; d.header_xor = 0x48; break;
    case 8: d.outer.src_port = 100 + (int32_t)arg; break;
    case 9: d.outer.frag = 0x2000; d.outer.ext_chain = number & 8 ? "f" : NULL; break;
    case 10: d.outer.ip_options = number & 8 ? NULL : nops; d.outer.ip_options_len = number & 8 ? 0 : 4; break;
    case 11: d.outer.ext_chain = number & 8 ? "D" : NULL; break;
    case 12: d.outer.trailer_len = (uint16_t)(arg + 1); break;
    case 13: d.outer.vlan_count = desc.ethernet ? 1 : 0; break;
    case 14: d.outer.ip_csum_xor = (uint16_t)(1u << arg); break;
    case 15: d.outer.l4_csum_xor = (uint16_t)(1u << arg); break;
    case 16: d.outer.flow_label = number & 8 ? arg : 0; break;
    case 17: d.header_xor = (uint8_t)(1u << arg); break;
    case 18: d.header_off = 1; d.header_xor = (uint8_t)(1u << arg); break;
    case 19: d.options_len = (uint8_t)(32 * arg); break;
    default: break;
    }
    return d;
}

static const uint8_t timestamps[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

static void vary(pkt_spec *s, unsigned what, unsigned arg, flow *f)
{
    switch (what) {
    case GAP: f->late_seq = s->seq; s->seq += arg + 1; break;
    case LATE: s->seq = f->late_seq; break;
    case AGAIN: s->seq -= arg + 1; break;
    case PSH: s->tcp_flags = PKT_ACK | PKT_PSH; break;
    case FIN: s->tcp_flags = PKT_ACK | PKT_FIN; break;
    case SHORT: s->payload_len = (int32_t)(arg % 100) + 1; break;
    case LONG: s->payload_len = 100 + (int32_t)arg * 5; break;
    case WINDOW: s->window = 8192 + (int32_t)arg; break;
    case ACKNOWLEDGE: s->ack += arg; break;
    case SAME_ID: s->ip_id = (uint16_t)(s->ip_id - 1); break;
    case EMPTY: s->payload_len = PKT_ZERO; break;
    case TRAILER: s->trailer_len = (uint16_t)(arg % 64 + 1); break;
    case TOS: s->tos = (uint8_t)arg; break;
    case TTL: s->ttl = (int32_t)arg; break;
    case DF: s->df = PKT_ZERO; break;
    case LABEL: s->flow_label = arg; break;
    case EXTENSION: s->ext_chain = (arg & 1) != 0 ? "HD" : (arg & 2) != 0 ? "D" : (arg & 4) != 0 ? "r" : "U"; break;
    case OPTIONS: s->tcp_options = timestamps; s->tcp_options_len = 12; break;
    case ZERO_CSUM: s->l4_csum_zero = 1; break;
    case FLAGS: s->tcp_flags = arg == 0 ? PKT_ACK : (int32_t)arg; break;
    case BACKWARD: s->seq = f->late_seq - 100; f->late_seq = s->seq; s->ip_id = (uint16_t)(s->ip_id - 2); break;
    case VLAN: s->vlan_count = desc.ethernet ? 1 : 0; s->vlan_tci[0] = (uint16_t)arg; break;
    case FRAGMENT: s->frag = (uint16_t)(0x2000 | arg); s->ext_chain = "F"; break;
    case RESERVED: s->reserved = (uint8_t)(arg & 15); break;
    case HUGE_LEN: s->payload_len = 1000 + (int32_t)arg * 240; break;
    default: break;
    }
}

/* A template packet; what it does to the flow's next sequence number and ID is done here too. */
static int is_in_tunnel(unsigned number)
{
    return has_tunnels() && (number & 4) != 0;
}

static void add_template(flow *f, unsigned number, unsigned what, unsigned arg, unsigned outer_what)
{
    static uint8_t bytes[BUFFER_LEN], wrapped[BUFFER_LEN];
    int tunnel = is_in_tunnel(number);
    datagram d = tunnel_of(number, f, outer_what);
    pkt_spec s;
    memset(&s, 0, sizeof s);
    s.kind = (pkt_kind)(number % 4);
    s.src_port = 40000 + (int32_t)(number >> 2 & 1);
    s.src = (uint16_t)(number >> 3);
    s.ethernet = tunnel ? d.inner.ethernet : desc.ethernet;
    s.seq = f->seq;
    s.ip_id = f->id;
    vary(&s, what, arg, f);
    s.vlan_count = s.ethernet ? s.vlan_count : 0;
    size_t len = pkt_build(bytes, sizeof bytes, &s);
    FUZZ_CHECK(len > 0);
    if (what != LATE && what != BACKWARD && what != AGAIN) {
        f->seq = s.seq + (uint32_t)pkt_payload_len(&s);
    }
    f->id = (uint16_t)(s.ip_id + (what == BACKWARD ? 2 : 1));
    if (what == POKE || what == POKE_VALID || what == POKE_TRUSTED || what == POKE_TRUSTED_L4) {
        bytes[arg % (len < 80 ? len : 80)] ^= (uint8_t)(arg * 7 | 1);
        if (what == POKE_VALID) {
            pkt_fix_checksums(bytes, len, s.ethernet);
        }
    }
    if (tunnel) {
        len = datagram_wrap(wrapped, sizeof wrapped, &d, bytes, len);
        FUZZ_CHECK(len > 0);
        f->outer_id = (uint16_t)(d.outer.ip_id + 1);
    }
    unsigned hint = what == TRUSTED || what == POKE_TRUSTED ? hint_of(1) : 0;
    hint = what == TRUSTED_L4 || what == POKE_TRUSTED_L4 ? hint_of(0) : hint;
    add_packet(tunnel ? wrapped : bytes, what == CUT ? arg % len : len, hint);
}

/* A raw packet, as the frame in a tunnel. */
static void add_wrapped(const uint8_t *frame, size_t len, unsigned form)
{
    static uint8_t bytes[BUFFER_LEN];
    datagram d = datagram_of((datagram_form)form, PKT_UDP4, PKT_TCP4, desc.ethernet);
    add_packet(bytes, datagram_wrap(bytes, sizeof bytes, &d, frame, len), 0);
}

/* op < 16: a raw packet, with tunnels 12 and 13 in one; op < 24: a drain; op < 30: a partial drain; 30: a reset; 31: another configuration, for what comes after all
   that is held has been drained; from 32: a template packet, flow in the low bits, repeated op / 32 times. */
static void read_record(fuzz_input *in, flow *flows)
{
    unsigned op = fuzz_u8(in), arg;
    if (op < 16) {
        size_t len = fuzz_u16(in) % 2048;
        len = len < in->len ? len : in->len;
        if (has_tunnels() && (op == 12 || op == 13)) {
            add_wrapped(in->bytes, len, op == 12 ? DATAGRAM_VXLAN : DATAGRAM_GENEVE);
        } else {
            add_packet(in->bytes, len, op >= 14 ? hint_of(op == 15) : 0);
        }
        in->bytes += len;
        in->len -= len;
    } else if (op == 30) {
        steps[step_count++].kind = STEP_RESET;
        saw_reset = 1;
    } else if (op == 31) {
        if (config_count < CONFIGS_MAX) {
            steps[step_count].kind = STEP_CONFIGURE;
            steps[step_count++].arg = (unsigned)config_count;
            int failing = failing_buffers;
            read_config(in);
            failing_buffers = failing;
        }
    } else if (op < 32) {
        steps[step_count].kind = STEP_DRAIN;
        steps[step_count++].arg = op < 24 ? 0 : op - 23;
        saw_partial_drain |= op >= 24;
    } else {
        unsigned what = fuzz_u8(in) % WHAT_COUNT;
        arg = what == NEXT ? 0 : fuzz_u8(in);
        unsigned outer_what = is_in_tunnel(op % FLOWS) ? fuzz_u8(in) : 0;
        for (unsigned i = 0; i < op / 32 && step_count < STEPS_MAX; i++) {
            add_template(&flows[op % FLOWS], op % FLOWS, what, arg, outer_what);
        }
    }
}

static void read_script(fuzz_input *in)
{
    flow flows[FLOWS];
    for (unsigned i = 0; i < FLOWS; i++) {
        flows[i].seq = 0xffffff00u + i * 7;
        flows[i].late_seq = flows[i].seq;
        flows[i].id = (uint16_t)(0xfff8 + i);
        flows[i].outer_id = (uint16_t)(0x7ff8 + i);
    }
    packet_count = step_count = 0;
    saw_no_room = saw_partial_drain = saw_reset = 0;
    while (in->len > 0 && step_count < STEPS_MAX && packet_count < PACKETS_MAX) {
        read_record(in, flows);
    }
}

/* -------------------------------------------------------------------------------------------- what is emitted, one by one */

static void reserve(emission *out, size_t more)
{
    if (out->used + more > out->cap) {
        out->cap = (out->used + more) * 2;
        out->bytes = realloc(out->bytes, out->cap);
        FUZZ_CHECK(out->bytes != NULL);
    }
}

static void put32(emission *out, size_t value)
{
    reserve(out, 4);
    for (int shift = 24; shift >= 0; shift -= 8) {
        out->bytes[out->used++] = (uint8_t)(value >> shift);
    }
}

/* users of the gathering run are packets; of the copying run buffers, which know their index. */
typedef size_t (*index_of_user)(const void *user);

static size_t index_of_packet(const void *user)
{
    return (size_t)((const packet *)user - packets);
}

/* Returns where the vnet header and packet start in out->bytes. */
static size_t put_emitted(emission *out, const tuo_superpacket *sp, index_of_user index_of)
{
    size_t len = 0;
    put32(out, sp->len);
    put32(out, sp->packet_count);
    for (size_t i = 0; i < sp->packet_count; i++) {
        put32(out, index_of(sp->users[i]));
    }
    size_t start = out->used;
    reserve(out, sp->len);
    for (size_t i = 0; i < sp->iov_count; i++) {
        len += sp->iov[i].len;
        FUZZ_CHECK(len <= sp->len);
        if (sp->iov[i].len > 0) {
            memcpy(out->bytes + out->used, sp->iov[i].base, sp->iov[i].len);
        }
        out->used += sp->iov[i].len;
    }
    FUZZ_CHECK(len == sp->len);
    out->emitted_count++;
    out->packet_count += sp->packet_count;
    return start;
}

/* May a re-split segment and the packet that was pushed differ like this? Only in the IPv4 ID (and so the header checksum): if DF is
   set and the ID was constant over the superpacket, or by choice. */
static int renumbered(const uint8_t *segment, const uint8_t *pushed, const packet *p, const packet *head)
{
    uint8_t copy[TUO_HEADER_MAX];
    const uint8_t *ip = pushed + p->view.ip;
    size_t headers = p->view.payload;
    if (p->view.version != 4 || desc.ip_id == TUO_IP_ID_EXACT || headers > sizeof copy) {
        return 0;
    }
    if ((pkt_get16(ip + 6) & 0x4000) == 0 && desc.ip_id != TUO_IP_ID_ANY) {
        return 0;
    }
    if (desc.ip_id == TUO_IP_ID_DEFAULT && memcmp(ip + 4, head->bytes + head->view.ip + 4, 2) != 0) {
        return 0;
    }
    memcpy(copy, pushed, headers);
    memcpy(copy + p->view.ip + 4, segment + p->view.ip + 4, 2);
    memcpy(copy + p->view.ip + 10, segment + p->view.ip + 10, 2);
    return memcmp(copy, segment, headers) == 0 && memcmp(pushed + headers, segment + headers, p->len - headers) == 0;
}

static int lacks_csum(const packet *p)
{
    return p->view.proto == PKT_PROTO_UDP && pkt_get16(p->bytes + p->view.l4 + 6) == 0;
}

/* In memory of its own; it must have len bytes. */
static uint8_t *segment_bytes(const tuo_segment *segment, size_t len)
{
    uint8_t *bytes = malloc(len);
    size_t used = 0;
    FUZZ_CHECK(bytes != NULL && segment->len == len);
    for (size_t i = 0; i < segment->iov_count; i++) {
        FUZZ_CHECK(segment->iov[i].len <= len - used);
        memcpy(bytes + used, segment->iov[i].base, segment->iov[i].len);
        used += segment->iov[i].len;
    }
    FUZZ_CHECK(used == len);
    return bytes;
}

static void check_segment(const tuo_segment *segment, const packet *p, const packet *head)
{
    uint8_t *bytes = segment_bytes(segment, p->len);
    uint8_t *pushed = fuzz_copy(p->bytes, p->len);
    tuo_result valid = tuo_csum_check(pushed, p->len, desc_ethernet);
    if (valid == TUO_OK && lacks_csum(p)) {
        FUZZ_CHECK(desc.merge_zero_csum4 && p->view.version == 4);
        pkt_fix_checksums(pushed, p->len, desc.ethernet);
    }
    if (valid != TUO_OK) { /* a bad checksum may only be replaced where the caller says that it is right */
        unsigned trusts = valid == TUO_E_L4_CSUM ? TUO_F_TRUST | TUO_F_TRUST_L4 : TUO_F_TRUST;
        FUZZ_CHECK(desc.trust_checksums || (p->hint & trusts) != 0);
        pkt_fix_checksums(pushed, p->len, desc.ethernet);
    }
    FUZZ_CHECK(tuo_csum_check(bytes, p->len, desc_ethernet) == TUO_OK);
    FUZZ_CHECK(memcmp(bytes, pushed, p->len) == 0 || renumbered(bytes, pushed, p, head));
    free(bytes);
    free(pushed);
}

static void check_headers_finished(const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet)
{
    uint8_t *copy = fuzz_copy(pkt, len);
    tuo_pkt_info info;
    FUZZ_CHECK(tuo_parse(pkt, len, desc_ethernet, &info) == TUO_OK);
    int is_udp = info.l4_proto == 17;
    FUZZ_CHECK(vnet->flags == TUO_VNET_NEEDS_CSUM && vnet->hdr_len == info.payload_off && vnet->csum_start == info.l4_off);
    FUZZ_CHECK(vnet->gso_type == (is_udp ? TUO_GSO_UDP_L4 : info.ip_version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6));
    FUZZ_CHECK(info.trailer_len == 0 && info.payload_len > vnet->gso_size && (is_udp || vnet->gso_size >= 8));
    FUZZ_CHECK(info.total_len <= (desc.max_bytes != 0 ? desc.max_bytes : 65535));
    FUZZ_CHECK((info.tcp_flags & 0x80) == 0);
    FUZZ_CHECK(tuo_csum_complete(copy, len, vnet->csum_start, vnet->csum_offset) == TUO_OK);
    FUZZ_CHECK(tuo_csum_check(copy, len, desc_ethernet) == TUO_OK);
    free(copy);
}

/* One TCP packet that needs nothing. Returns the vnet header to split it by, which it does not have. */
static tuo_vnet_hdr check_complete(const uint8_t *pkt, size_t len, const tuo_superpacket *sp, index_of_user index_of)
{
    const packet *head = &packets[index_of(sp->users[0])];
    pkt_view v = pkt_look(pkt, len, desc.ethernet, 0);
    int trusted = desc.trust_checksums;
    tuo_vnet_hdr vnet = sp->vnet;
    vnet.num_buffers = 0;
    FUZZ_CHECK(v.status == PKT_OK && v.end == len && v.proto == PKT_PROTO_TCP);
    FUZZ_CHECK(v.end - v.ip <= (desc.max_bytes != 0 ? desc.max_bytes : 65535));
    FUZZ_CHECK(v.version == 6 || pkt_sum(pkt + v.ip, v.l4 - v.ip, 0) == 0xffff);
    FUZZ_CHECK(pkt_get16(pkt + v.l4 + 16) != 0xffff);
    for (size_t i = 0; i < sp->packet_count; i++) {
        trusted |= packets[index_of(sp->users[i])].hint != 0;
    }
    FUZZ_CHECK(trusted || pkt_l4_sum(pkt, &v) == 0xffff);
    FUZZ_CHECK((vnet.flags | vnet.gso_type | vnet.hdr_len | vnet.gso_size | vnet.csum_start | vnet.csum_offset) == 0);
    vnet.gso_type = v.version == 4 ? TUO_GSO_TCPV4 : TUO_GSO_TCPV6;
    vnet.gso_size = (uint16_t)head->view.payload_len;
    return vnet;
}

static int port_excluded(const packet *p)
{
    const uint8_t *l4 = p->bytes + p->view.l4;
    int udp = p->view.proto == PKT_PROTO_UDP;
    return (udp ? desc.udp_excluded_port_count : desc.tcp_excluded_port_count) != 0 &&
           (pkt_get16(l4) == 443 || pkt_get16(l4 + 2) == 443);
}

/* May this IPv4 ID come back renumbered? */
static int id_is_free(const packet *p, const packet *head, size_t ip, unsigned version)
{
    if (version != 4 || desc.ip_id == TUO_IP_ID_EXACT || ((pkt_get16(p->bytes + ip + 6) & 0x4000) == 0 && desc.ip_id != TUO_IP_ID_ANY)) {
        return 0;
    }
    return desc.ip_id != TUO_IP_ID_DEFAULT || memcmp(p->bytes + ip + 4, head->bytes + ip + 4, 2) == 0;
}

/* Are all checksums of a packet in a tunnel right? That of the outer UDP header may be 0. */
static int sums_in_tunnel_are_right(const packet *p)
{
    const uint8_t *inner = p->bytes + p->inner_at;
    const pkt_view *v = &p->view, *w = &p->inner;
    return (v->version == 6 || pkt_sum(p->bytes + v->ip, v->l4 - v->ip, 0) == 0xffff) &&
           (pkt_get16(p->bytes + v->l4 + 6) == 0 || pkt_l4_sum(p->bytes, v) == 0xffff) &&
           (w->version == 6 || pkt_sum(inner + w->ip, w->l4 - w->ip, 0) == 0xffff) && pkt_l4_sum(inner, w) == 0xffff &&
           (w->proto == PKT_PROTO_TCP || pkt_get16(inner + w->l4 + 6) != 0);
}

static void check_tunnel_segment(const tuo_segment *segment, const packet *p, const packet *head)
{
    const size_t ips[2] = {p->view.ip, p->inner_at + p->inner.ip};
    const unsigned versions[2] = {p->view.version, p->inner.version};
    uint8_t *bytes = segment_bytes(segment, p->len);
    if (!sums_in_tunnel_are_right(p)) { /* word for the outer TCP or UDP checksum is not enough */
        FUZZ_CHECK(desc.trust_checksums || (p->hint & TUO_F_TRUST) != 0);
    } else {
        for (size_t i = 0; i < 2; i++) {
            if (id_is_free(p, head, ips[i], versions[i])) {
                FUZZ_CHECK(pkt_sum(bytes + ips[i], 20, 0) == 0xffff);
                memcpy(bytes + ips[i] + 4, p->bytes + ips[i] + 4, 2);
                memcpy(bytes + ips[i] + 10, p->bytes + ips[i] + 10, 2);
            }
        }
        FUZZ_CHECK(memcmp(bytes, p->bytes, p->len) == 0);
    }
    free(bytes);
}

static void check_tunnel_super(const uint8_t *pkt, size_t len, const tuo_superpacket *sp, index_of_user index_of)
{
    const packet *head = &packets[index_of(sp->users[0])];
    uint32_t most = head->inner.proto == PKT_PROTO_UDP ? (desc.max_udp_segs != 0 ? desc.max_udp_segs : 64) : desc.max_segs;
    tuo_vnet_hdr vnet = sp->vnet;
    tuo_gso gso;
    tuo_segment segment;
    FUZZ_CHECK(has_tunnels() && (most == 0 || sp->packet_count <= most) && head->view.vlans == 0);
    FUZZ_CHECK(len - head->view.ip <= (desc.max_bytes != 0 ? desc.max_bytes : 65535));
    FUZZ_CHECK(vnet.hdr_len == head->inner_at + head->inner.payload && vnet.gso_size == head->inner.payload_len);
    FUZZ_CHECK(vnet.outer_th_offset == head->view.l4 + (desc.tunnels_for_tun ? 14 : 0));
    FUZZ_CHECK(vnet.inner_nh_offset == head->inner_at + head->inner.ip);
    FUZZ_CHECK(!desc.tunnels_for_tun || vnet.inner_nh_offset >= vnet.outer_th_offset + 8u);
    vnet.outer_th_offset = (uint16_t)head->view.l4;
    FUZZ_CHECK(tuo_vnet_check(&vnet, pkt, len, desc_ethernet) == TUO_OK);
    FUZZ_CHECK(tuo_gso_init(&gso, pkt, len, &vnet, desc_ethernet) == TUO_OK);
    FUZZ_CHECK(tuo_gso_count(&gso) == sp->packet_count);
    for (size_t i = 0; i < sp->packet_count; i++) {
        const packet *p = &packets[index_of(sp->users[i])];
        FUZZ_CHECK(p->in_tunnel && pkt_has_l4(&p->inner));
        FUZZ_CHECK(tuo_gso_next(&gso, NULL, &segment) == TUO_OK);
        check_tunnel_segment(&segment, p, head);
    }
}

static void check_super(const uint8_t *pkt, size_t len, const tuo_superpacket *sp, index_of_user index_of)
{
    const packet *head = &packets[index_of(sp->users[0])];
    uint32_t most = head->view.proto == PKT_PROTO_UDP ? (desc.max_udp_segs != 0 ? desc.max_udp_segs : 64) : desc.max_segs;
    if ((sp->vnet.gso_type & (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6)) != 0) {
        check_tunnel_super(pkt, len, sp, index_of);
        return;
    }
    FUZZ_CHECK((most == 0 || sp->packet_count <= most) && !port_excluded(head));
    FUZZ_CHECK(tuo_vnet_check(&sp->vnet, pkt, len, desc_ethernet | TUO_F_WRITE) == TUO_OK);
    tuo_vnet_hdr vnet = sp->vnet;
    if (desc.finish_checksum) {
        vnet = check_complete(pkt, len, sp, index_of);
    } else {
        check_headers_finished(pkt, len, &vnet);
    }
    tuo_gso gso;
    tuo_segment segment;
    FUZZ_CHECK(tuo_gso_init(&gso, pkt, len, &vnet, desc_ethernet | (desc.finish_checksum ? TUO_F_TRUST : 0)) == TUO_OK);
    FUZZ_CHECK(tuo_gso_count(&gso) == sp->packet_count);
    for (size_t i = 0; i < sp->packet_count; i++) {
        FUZZ_CHECK(tuo_gso_next(&gso, NULL, &segment) == TUO_OK);
        check_segment(&segment, &packets[index_of(sp->users[i])], head);
    }
}

static void check_vnet_bytes(const uint8_t *bytes, const tuo_superpacket *sp)
{
    tuo_vnet_hdr vnet;
    size_t len = desc.vnet_hdr_len != 0 ? desc.vnet_hdr_len : 10;
    FUZZ_CHECK(sp->vnet_len == (desc.no_vnet_hdr ? 0 : len));
    if (sp->vnet_len > 0) {
        FUZZ_CHECK(tuo_vnet_decode(bytes, sp->vnet_len, len, desc.vnet_order, &vnet) == TUO_OK);
        vnet.num_buffers = len < 12 ? desc.virtio_guest : vnet.num_buffers;
        FUZZ_CHECK(fuzz_same_vnet(&vnet, &sp->vnet));
    }
}

static void check_emitted(emission *out, const tuo_superpacket *sp, index_of_user index_of)
{
    tuo_vnet_hdr zero;
    size_t start = put_emitted(out, sp, index_of);
    const uint8_t *pkt = out->bytes + start + sp->vnet_len;
    size_t len = sp->len - sp->vnet_len;
    FUZZ_CHECK(sp->packet_count >= 1 && sp->vnet_len <= sp->len);
    memset(&zero, 0, sizeof zero);
    zero.num_buffers = desc.virtio_guest;
    FUZZ_CHECK(sp->vnet.num_buffers == desc.virtio_guest);
    check_vnet_bytes(out->bytes + start, sp);
    if (sp->packet_count == 1) {
        const packet *p = &packets[index_of(sp->users[0])];
        FUZZ_CHECK(fuzz_same_vnet(&sp->vnet, &zero));
        FUZZ_CHECK(len == p->len && (len == 0 || memcmp(pkt, p->bytes, len) == 0));
    } else {
        check_super(pkt, len, sp, index_of);
    }
}

/* ------------------------------------------------------------------------------------------------------- gathering run */

typedef struct progress {
    size_t rank; /* of the packet emitted next */
} progress;

static size_t group_first[PACKETS_MAX], group_count; /* of what was emitted: the packet that was pushed first */
static tuo_gro_stats gathered_stats;

/* With the first configuration, whichever the last run ended with. */
static tuo_gro *new_gro(void **mem)
{
    tuo_gro *gro;
    use_config(0);
    size_t len = tuo_gro_memory_size(&desc);
    FUZZ_CHECK(len > 0);
    *mem = malloc(len);
    FUZZ_CHECK(*mem != NULL);
    FUZZ_CHECK(tuo_gro_init(&gro, *mem, len, &desc) == TUO_OK);
    return gro;
}

static void mark_emitted(const tuo_superpacket *sp, progress *done)
{
    size_t first = PACKETS_MAX;
    for (size_t i = 0; i < sp->packet_count; i++) {
        size_t index = index_of_packet(sp->users[i]);
        FUZZ_CHECK(index < packet_count && !packets[index].forgotten);
        packets[index].emitted++;
        packets[index].rank = done->rank++;
        first = index < first ? index : first;
        tuo_verdict verdict = packets[index].verdict;
        FUZZ_CHECK(sp->packet_count > 1 || (verdict != TUO_V_APPENDED && verdict != TUO_V_PREPENDED));
    }
    FUZZ_CHECK(group_count < PACKETS_MAX);
    group_first[group_count++] = first;
}

/* Takes `most` packets, or all. With all, they are only looked at after the last was handed out: they must still be good then. */
static void drain_gather(tuo_gro *gro, unsigned most, emission *out, progress *done)
{
    static tuo_superpacket taken[PACKETS_MAX + 1];
    size_t count = 0;
    tuo_result result = TUO_OK;
    while ((most == 0 || count < most) && result == TUO_OK) {
        FUZZ_CHECK(count <= packet_count);
        result = tuo_gro_next(gro, &taken[count]);
        count += result == TUO_OK;
    }
    FUZZ_CHECK(result == TUO_OK || result == TUO_DONE);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(desc.max_frags == 0 || taken[i].iov_count <= desc.max_frags + 2);
        mark_emitted(&taken[i], done);
        check_emitted(out, &taken[i], index_of_packet);
    }
}

static void check_push_work(const tuo_gro_stats *a, const tuo_gro_stats *b)
{
    uint32_t items = desc.max_items_per_flow != 0 ? desc.max_items_per_flow : 16;
    FUZZ_CHECK(b->verified_packets - a->verified_packets <= 3);
    FUZZ_CHECK(b->verified_packets <= b->packets_in);
    FUZZ_CHECK(b->joined_items - a->joined_items <= (b->verdicts[TUO_V_APPENDED] > a->verdicts[TUO_V_APPENDED]));
    FUZZ_CHECK(b->item_checks - a->item_checks <= items);
    FUZZ_CHECK(b->flow.lookups - a->flow.lookups <= 1);
    FUZZ_CHECK(b->flow.probes - a->flow.probes <= TUO_FLOW_WAYS);
}

static void push_gather(tuo_gro *gro, packet *p, emission *out, progress *done)
{
    tuo_gro_stats before, after;
    tuo_gro_query_stats(gro, &before);
    p->verdict = tuo_gro_push(gro, p->bytes, p->len, p, p->hint);
    tuo_gro_query_stats(gro, &after);
    check_push_work(&before, &after);
    if (p->verdict == TUO_V_NO_ROOM) {
        saw_no_room = 1;
        FUZZ_CHECK(after.packets_in == before.packets_in);
        drain_gather(gro, 0, out, done);
        p->verdict = tuo_gro_push(gro, p->bytes, p->len, p, p->hint);
    }
    FUZZ_CHECK((unsigned)p->verdict < TUO_V_COUNT && p->verdict != TUO_V_NO_ROOM);
    FUZZ_CHECK(!desc.strict_kernel || p->verdict != TUO_V_PREPENDED);
    FUZZ_CHECK(!desc.disable_prepend || p->verdict != TUO_V_PREPENDED);
}

static void check_counters(tuo_gro *gro, const emission *out, size_t forgotten)
{
    tuo_gro_stats stats;
    uint64_t verdicts = 0;
    tuo_gro_query_stats(gro, &stats);
    for (unsigned i = 0; i < TUO_V_COUNT; i++) {
        verdicts += i == TUO_V_NO_ROOM ? 0 : stats.verdicts[i];
    }
    FUZZ_CHECK(stats.packets_in == packet_count && verdicts == packet_count);
    FUZZ_CHECK(stats.packets_out == out->emitted_count && stats.append_failures == 0);
    FUZZ_CHECK(stats.packets_in - forgotten - stats.packets_out == stats.merged_packets - stats.superpackets);
    gathered_stats = stats;
    fuzz_deep += stats.superpackets > 0;
}

/* Forgets what is held: then nothing comes out. Asking for it closes all flows, which must not be why nothing is joined to what was
   forgotten: so it is not asked for each time. */
static void reset(tuo_gro *gro, int ask)
{
    tuo_superpacket sp;
    tuo_gro_stats before, after;
    tuo_gro_query_stats(gro, &before);
    tuo_gro_reset(gro);
    tuo_gro_query_stats(gro, &after);
    FUZZ_CHECK(after.packets_in == before.packets_in && after.packets_out == before.packets_out);
    FUZZ_CHECK(!ask || tuo_gro_next(gro, &sp) == TUO_DONE);
}

static void reset_gather(tuo_gro *gro, size_t pushed, int ask)
{
    reset(gro, ask);
    for (size_t i = 0; i < pushed; i++) {
        packets[i].forgotten |= packets[i].emitted == 0;
    }
}

/* Capacities that differ, and more than the range of a limit, are refused; then nothing changes. */
static void check_bad_configs(tuo_gro *gro)
{
    tuo_gro_desc before, after, bad = desc;
    tuo_gro_query_desc(gro, &before);
    bad.max_packets = before.max_packets + 1;
    FUZZ_CHECK(tuo_gro_reconfigure(gro, &bad) == TUO_E_INVALID);
    bad = desc;
    bad.max_udp_segs = 129;
    FUZZ_CHECK(tuo_gro_reconfigure(gro, &bad) == TUO_E_INVALID);
    tuo_gro_query_desc(gro, &after);
    FUZZ_CHECK(memcmp(&before, &after, sizeof before) == 0);
}

/* Not as long as packets are held. */
static void check_held_config(tuo_gro *gro, unsigned index)
{
    tuo_gro_desc before, after;
    tuo_gro_query_desc(gro, &before);
    FUZZ_CHECK(tuo_gro_reconfigure(gro, &configs[index]) == TUO_E_INVALID);
    tuo_gro_query_desc(gro, &after);
    FUZZ_CHECK(memcmp(&before, &after, sizeof before) == 0);
}

static void reconfigure(tuo_gro *gro, unsigned index)
{
    tuo_gro_desc effective;
    use_config(index);
    check_bad_configs(gro);
    FUZZ_CHECK(tuo_gro_reconfigure(gro, &desc) == TUO_OK);
    tuo_gro_query_desc(gro, &effective);
    FUZZ_CHECK(effective.strict_kernel == desc.strict_kernel && effective.ethernet == desc.ethernet && effective.simd == desc.simd);
    FUZZ_CHECK(effective.max_bytes == (desc.max_bytes != 0 ? desc.max_bytes : 65535));
}

static emission run_gather(void)
{
    emission out = {NULL, 0, 0, 0, 0};
    void *mem;
    progress done = {0};
    size_t pushed = 0, forgotten = 0;
    tuo_gro *gro = new_gro(&mem);
    group_count = 0;
    for (size_t i = 0; i < step_count; i++) {
        switch (steps[i].kind) {
        case STEP_PUSH:
            push_gather(gro, &packets[steps[i].arg], &out, &done);
            pushed++;
            break;
        case STEP_DRAIN: drain_gather(gro, steps[i].arg, &out, &done); break;
        case STEP_RESET: reset_gather(gro, pushed, i % 4 == 0); break;
        case STEP_CONFIGURE:
            if (pushed > 0 && packets[pushed - 1].emitted == 0 && !packets[pushed - 1].forgotten) {
                check_held_config(gro, steps[i].arg);
            }
            drain_gather(gro, 0, &out, &done);
            reconfigure(gro, steps[i].arg);
            break;
        }
    }
    drain_gather(gro, 0, &out, &done);
    for (size_t i = 0; i < packet_count; i++) {
        FUZZ_CHECK(packets[i].emitted == (packets[i].forgotten ? 0u : 1u));
        forgotten += (size_t)packets[i].forgotten;
    }
    check_counters(gro, &out, forgotten);
    free(mem);
    return out;
}

/* The script once more at the scalar level, or, if that is what it had, at the best one. */
static void check_another_level(const emission *gathered)
{
    static tuo_verdict verdicts[PACKETS_MAX];
    for (size_t i = 0; i < packet_count; i++) {
        verdicts[i] = packets[i].verdict;
        packets[i].emitted = 0;
        packets[i].forgotten = 0;
    }
    forced_level = desc.simd == TUO_SIMD_SCALAR ? simd_level_at(0) : TUO_SIMD_SCALAR;
    emission again = run_gather();
    forced_level = TUO_SIMD_DETECT;
    for (size_t i = 0; i < packet_count; i++) {
        FUZZ_CHECK(packets[i].verdict == verdicts[i]);
    }
    FUZZ_CHECK(again.used == gathered->used && again.emitted_count == gathered->emitted_count);
    FUZZ_CHECK(again.used == 0 || memcmp(again.bytes, gathered->bytes, again.used) == 0);
    free(again.bytes);
}

/* ----------------------------------------------------------------------------------------------------------- by batches */

/* Sizes of batches: the bytes of the input, again and again, but never 0 twice in a row. */
typedef struct batch_sizes {
    fuzz_input all, left;
    int was_0;
} batch_sizes;

static size_t next_size(batch_sizes *sizes)
{
    if (sizes->left.len == 0) {
        sizes->left = sizes->all;
    }
    size_t size = fuzz_u8(&sizes->left) % 48u;
    size += size == 0 && sizes->was_0;
    sizes->was_0 = size == 0;
    return size;
}

/* Takes `most` packets, or all; they are looked at after the last was handed out. */
static void drain_batches(tuo_gro *gro, size_t most, batch_sizes *sizes, emission *out)
{
    static tuo_superpacket taken[PACKETS_MAX + 1];
    size_t count = 0, asked = 0, got = 0;
    while (got == asked && (most == 0 || count < most)) {
        size_t left = most != 0 ? most - count : PACKETS_MAX + 1 - count;
        asked = next_size(sizes);
        asked = asked < left ? asked : left;
        got = tuo_gro_next_batch(gro, taken + count, asked);
        FUZZ_CHECK(got <= asked);
        count += got;
        FUZZ_CHECK(count <= packet_count);
    }
    for (size_t i = 0; i < count; i++) {
        put_emitted(out, &taken[i], index_of_packet);
    }
}

/* The pushes from step `first` on that have the same hint, or some of them. Returns how many steps were done. */
static size_t push_batch(tuo_gro *gro, size_t first, batch_sizes *sizes, emission *out)
{
    static tuo_packet list[PACKETS_MAX];
    const unsigned hint = packets[steps[first].arg].hint;
    size_t count = 0, most = next_size(sizes);
    int with_verdicts = most % 4 != 3;
    for (size_t i = first; i < step_count && steps[i].kind == STEP_PUSH && count < most; i++) {
        packet *p = &packets[steps[i].arg];
        if (p->hint != hint) {
            break;
        }
        list[count].bytes = p->bytes;
        list[count].len = p->len;
        list[count++].user = p;
    }
    tuo_packet *batch = (tuo_packet *)(void *)fuzz_copy(list, count * sizeof *list);
    tuo_verdict *verdicts = malloc(count > 0 ? count * sizeof *verdicts : 1);
    FUZZ_CHECK(verdicts != NULL);
    size_t taken = tuo_gro_push_batch(gro, batch, count, hint, with_verdicts ? verdicts : NULL);
    FUZZ_CHECK(taken <= count);
    for (size_t i = 0; i < taken && with_verdicts; i++) {
        FUZZ_CHECK(verdicts[i] == packets[steps[first + i].arg].verdict);
    }
    free(batch);
    free(verdicts);
    if (taken < count) {
        drain_batches(gro, 0, sizes, out);
    }
    return taken;
}

/* The script once more: verdicts, bytes and counters of single calls. */
static void check_batches(const emission *gathered, batch_sizes sizes)
{
    emission out = {NULL, 0, 0, 0, 0};
    void *mem;
    tuo_gro_stats stats;
    tuo_gro *gro = new_gro(&mem);
    for (size_t i = 0; i < step_count;) {
        size_t done = 1;
        switch (steps[i].kind) {
        case STEP_PUSH: done = push_batch(gro, i, &sizes, &out); break;
        case STEP_DRAIN: drain_batches(gro, steps[i].arg, &sizes, &out); break;
        case STEP_RESET: reset(gro, i % 4 == 0); break;
        case STEP_CONFIGURE:
            drain_batches(gro, 0, &sizes, &out);
            reconfigure(gro, steps[i].arg);
            break;
        }
        i += done;
    }
    drain_batches(gro, 0, &sizes, &out);
    tuo_gro_query_stats(gro, &stats);
    FUZZ_CHECK(memcmp(&stats, &gathered_stats, sizeof stats) == 0);
    FUZZ_CHECK(out.used == gathered->used && out.emitted_count == gathered->emitted_count);
    FUZZ_CHECK(out.used == 0 || memcmp(out.bytes, gathered->bytes, out.used) == 0);
    free(out.bytes);
    free(mem);
}

/* --------------------------------------------------------------------------------------------------------------- order */

static int same_bytes(const packet *a, size_t a_at, const packet *b, size_t b_at, size_t len)
{
    return memcmp(a->bytes + a_at, b->bytes + b_at, len) == 0;
}

static int same_addresses(const packet *a, const packet *b)
{
    const pkt_view *v = &a->view, *w = &b->view;
    return v->addr_len != 0 && v->addr_len == w->addr_len && same_bytes(a, v->src, b, w->src, 2 * v->addr_len);
}

/* Of packets in tunnels: the same outer addresses and ports, and the same tunnel header. One that is not known may belong to any flow
   that differs in the flags only. */
static int same_tunnel(const packet *a, const packet *b)
{
    const pkt_view *v = &a->view, *w = &b->view;
    size_t at = v->payload, to = w->payload, len = a->inner_at - at, flags = a->known && b->known ? 0 : 2;
    if (!a->in_tunnel || !b->in_tunnel || !same_addresses(a, b) || v->ip != w->ip || b->inner_at - to != len || len < 8) {
        return 0;
    }
    return same_bytes(a, 0, b, 0, v->ip) && same_bytes(a, v->l4, b, w->l4, 4) && same_bytes(a, at + flags, b, to + flags, len - flags);
}

static int same_inner_addresses(const packet *a, const packet *b)
{
    const pkt_view *v = &a->inner, *w = &b->inner;
    size_t at = a->inner_at, to = b->inner_at;
    return same_tunnel(a, b) && v->addr_len != 0 && v->addr_len == w->addr_len && v->ip == w->ip && same_bytes(a, at, b, to, v->ip) &&
           same_bytes(a, at + v->src, b, to + w->src, 2 * v->addr_len);
}

static int same_inner_flow(const packet *a, const packet *b)
{
    const pkt_view *v = &a->inner, *w = &b->inner;
    return same_inner_addresses(a, b) && pkt_has_l4(v) && pkt_has_l4(w) && v->proto == w->proto &&
           same_bytes(a, a->inner_at + v->l4, b, b->inner_at + w->l4, 4);
}

static int same_flow(const packet *a, const packet *b)
{
    const pkt_view *v = &a->view, *w = &b->view;
    if (a->in_tunnel || b->in_tunnel) {
        return same_inner_flow(a, b);
    }
    if (!pkt_has_l4(v) || !pkt_has_l4(w) || v->proto != w->proto || !same_addresses(a, b) || v->ip != w->ip) {
        return 0;
    }
    if (!same_bytes(a, v->l4, b, w->l4, 4) || !same_bytes(a, 0, b, 0, v->ip)) {
        return 0;
    }
    return 1; /* flow labels, extension headers and IPv4 options make no other connection */
}

static int passes(tuo_verdict v)
{
    return (v >= TUO_V_NOT_IP && v <= TUO_V_CSUM_ALIAS) || v == TUO_V_BAD_IP_CSUM || v == TUO_V_BAD_L4_CSUM;
}

/* Do the bytes of the later one come before those of the earlier one? An item reaches 65535 bytes from where it was compared. */
static int precedes(const packet *later, const packet *earlier)
{
    uint32_t end = pkt_get32(later->bytes + later->view.l4 + 4) + (uint32_t)later->view.payload_len;
    return pkt_get32(earlier->bytes + earlier->view.l4 + 4) - end < 0x80010000u;
}

/* Must these two, pushed in this order, leave in this order? */
static int ordered(const packet *a, const packet *b)
{
    const tuo_gro_desc *d = &configs[a->config];
    int hides_ports = 0;
    const packet *both[2];
    both[0] = a;
    both[1] = b;
    for (int i = 0; i < 2; i++) {
        tuo_verdict v = both[i]->verdict;
        if (v == TUO_V_IP_FRAGMENT || v == TUO_V_IP6_EXT || v == TUO_V_TCP_HEADER) {
            hides_ports |= both[i]->in_tunnel ? 2 : 1; /* 2: that was about the inner packet */
        }
    }
    if (hides_ports != 0) {
        return (hides_ports & 1) != 0 ? same_addresses(a, b) : same_inner_addresses(a, b);
    }
    return same_flow(a, b) && (a->in_tunnel || passes(a->verdict) || passes(b->verdict) || a->config != b->config || d->strict_kernel ||
                               d->disable_prepend || a->view.proto == PKT_PROTO_UDP || !precedes(b, a));
}

static void check_order(void)
{
    for (size_t i = 0; i < packet_count; i++) {
        for (size_t j = i + 1; j < packet_count && !packets[i].forgotten; j++) {
            FUZZ_CHECK(packets[j].forgotten || packets[i].rank < packets[j].rank || !ordered(&packets[i], &packets[j]));
        }
    }
}

static int same_connection(size_t a, size_t b)
{
    return a == b || (packets[a].config == packets[b].config && same_flow(&packets[a], &packets[b]));
}

/* The n-th thing that a connection emits leaves where the n-th of them arrived. After a reset in a drain that cannot be told. */
static void check_places(void)
{
    static size_t connection[PACKETS_MAX], taken[PACKETS_MAX]; /* its first group; one more than the last place that it left in */
    size_t last = 0;
    for (size_t i = 0; i < group_count; i++) {
        taken[i] = 0;
        for (connection[i] = 0; !same_connection(group_first[i], group_first[connection[i]]);) {
            connection[i]++;
        }
    }
    for (size_t i = 0; i < group_count; i++) {
        size_t place = PACKETS_MAX, c = connection[i];
        for (size_t j = 0; j < group_count; j++) {
            if (connection[j] == c && group_first[j] >= taken[c] && group_first[j] < place) {
                place = group_first[j];
            }
        }
        FUZZ_CHECK(place >= last && place < PACKETS_MAX);
        last = taken[c] = place + 1;
    }
}

/* --------------------------------------------------------------------------------------------------------- copying runs */

static uint8_t arena[PACKETS_MAX][BUFFER_LEN];
static tuo_buf bufs[PACKETS_MAX];
static unsigned until_failure;

static size_t index_of_buf(const void *user)
{
    return (size_t)((const tuo_buf *)user - bufs);
}

static int buf_resize(void *user, void *buf, size_t len)
{
    (void)user, (void)buf, (void)len;
    return -1; /* GRO only ever appends */
}

static int buf_append(void *user, void *buf, const uint8_t *bytes, size_t len)
{
    tuo_buf *b = buf;
    (void)user;
    FUZZ_CHECK(len <= b->capacity - b->len); /* within the capacity that it was told at push */
    if (until_failure-- == 0) {
        until_failure = 5;
        return -1;
    }
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
    return 0;
}

static const tuo_buf_ops failing_ops = {NULL, buf_data, buf_length, buf_capacity, buf_resize, buf_append};

static void fill_bufs(void)
{
    until_failure = 3;
    for (size_t i = 0; i < packet_count; i++) {
        size_t cap = HEADROOM + packets[i].len + (failing_buffers ? packet_count * 120 : BUFFER_LEN);
        bufs[i].data = arena[i];
        bufs[i].capacity = cap < BUFFER_LEN ? cap : BUFFER_LEN;
        bufs[i].len = HEADROOM + packets[i].len;
        FUZZ_CHECK(bufs[i].len <= bufs[i].capacity);
        memset(arena[i], 0xee, HEADROOM);
        if (packets[i].len > 0) {
            memcpy(arena[i] + HEADROOM, packets[i].bytes, packets[i].len);
        }
    }
}

static void drain_copy(tuo_gro *gro, unsigned most, const tuo_buf_ops *ops, emission *out)
{
    tuo_superpacket sp;
    tuo_result result = TUO_OK;
    for (unsigned n = 0; (most == 0 || n < most) && result == TUO_OK; n++) {
        result = tuo_gro_next_copy(gro, ops, HEADROOM, &sp);
        FUZZ_CHECK(result == TUO_OK || result == TUO_DONE);
        if (result == TUO_OK) {
            const tuo_buf *head = sp.users[0];
            FUZZ_CHECK(sp.iov_count == 1 && sp.iov[0].base == head->data + HEADROOM - sp.vnet_len);
            FUZZ_CHECK(head->data[0] == 0xee || sp.vnet_len == HEADROOM);
            FUZZ_CHECK(head->len == HEADROOM + sp.len - sp.vnet_len);
            check_emitted(out, &sp, index_of_buf);
        }
    }
}

static void push_copy(tuo_gro *gro, size_t index, const tuo_buf_ops *ops, emission *out)
{
    tuo_gro_stats before, after;
    tuo_gro_query_stats(gro, &before);
    tuo_verdict verdict = tuo_gro_push_buf(gro, ops, &bufs[index], HEADROOM, packets[index].hint);
    tuo_gro_query_stats(gro, &after);
    check_push_work(&before, &after);
    if (verdict == TUO_V_NO_ROOM) {
        drain_copy(gro, 0, ops, out);
        FUZZ_CHECK(tuo_gro_push_buf(gro, ops, &bufs[index], HEADROOM, packets[index].hint) != TUO_V_NO_ROOM);
    }
}

static emission run_copy(void)
{
    emission out = {NULL, 0, 0, 0, 0};
    const tuo_buf_ops *ops = failing_buffers ? &failing_ops : NULL;
    void *mem;
    size_t pushed = 0, forgotten = 0;
    tuo_gro *gro = new_gro(&mem);
    fill_bufs();
    for (size_t i = 0; i < step_count; i++) {
        switch (steps[i].kind) {
        case STEP_PUSH:
            push_copy(gro, steps[i].arg, ops, &out);
            pushed++;
            break;
        case STEP_DRAIN: drain_copy(gro, steps[i].arg, ops, &out); break;
        case STEP_RESET:
            reset(gro, i % 4 == 0);
            forgotten = pushed - out.packet_count;
            break;
        case STEP_CONFIGURE:
            drain_copy(gro, 0, ops, &out);
            reconfigure(gro, steps[i].arg);
            break;
        }
    }
    drain_copy(gro, 0, ops, &out);
    FUZZ_CHECK(out.packet_count == packet_count - forgotten);
    free(mem);
    return out;
}

/* The batch function takes no hints: a script that has none gives the same packets, epoch by epoch. */
static void check_batch(const emission *copied)
{
    void *mem, *handles[PACKETS_MAX];
    size_t to_write[PACKETS_MAX], written, at = 0, first = 0, step_at = 0;
    tuo_gro *gro = new_gro(&mem);
    fill_bufs();
    while (first < packet_count) {
        size_t count = 0;
        for (; step_at < step_count && (steps[step_at].kind == STEP_PUSH || count == 0); step_at++) {
            if (steps[step_at].kind == STEP_PUSH) {
                handles[count++] = &bufs[steps[step_at].arg];
            }
        }
        tuo_result result = tuo_gro_batch(gro, NULL, handles, count, HEADROOM, to_write, &written);
        if (desc.no_vnet_hdr && !desc.finish_checksum) {
            FUZZ_CHECK(result == TUO_E_INVALID);
            free(mem);
            return;
        }
        FUZZ_CHECK(result == TUO_OK && written <= count);
        for (size_t i = 0; i < written; i++) {
            const uint8_t *record = copied->bytes + at;
            size_t len = pkt_get32(record), packets_in_it = pkt_get32(record + 4);
            const uint8_t *bytes = record + 8 + 4 * packets_in_it;
            size_t vnet_len = desc.no_vnet_hdr ? 0 : desc.vnet_hdr_len != 0 ? desc.vnet_hdr_len : 10;
            const tuo_buf *buf = handles[to_write[i]];
            FUZZ_CHECK(pkt_get32(record + 8) == index_of_buf(buf) && buf->len == HEADROOM + len - vnet_len);
            FUZZ_CHECK(memcmp(buf->data + HEADROOM - vnet_len, bytes, len) == 0);
            at += 8 + 4 * packets_in_it + len;
        }
        first += count;
    }
    FUZZ_CHECK(at == copied->used);
    free(mem);
}

static int any_hint(void)
{
    int any = 0;
    for (size_t i = 0; i < packet_count; i++) {
        any |= packets[i].hint != 0;
    }
    return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    config_count = 0;
    saw_frag_limit = 0;
    read_config(&in);
    read_script(&in);
    emission gathered = run_gather();
    check_order();
    if (!saw_reset) {
        check_places();
    }
    if (size % 4 == 0) {
        check_another_level(&gathered);
    } else {
        batch_sizes sizes = {{data, size}, {data, size}, 0};
        check_batches(&gathered, sizes);
    }
    emission copied = run_copy();
    if (!failing_buffers && !saw_frag_limit) {
        FUZZ_CHECK(gathered.used == copied.used && gathered.emitted_count == copied.emitted_count);
        FUZZ_CHECK(gathered.used == 0 || memcmp(gathered.bytes, copied.bytes, gathered.used) == 0);
        if (!saw_no_room && !saw_partial_drain && !saw_reset && config_count == 1 && !any_hint()) {
            check_batch(&copied);
        }
    }
    for (size_t i = 0; i < packet_count; i++) {
        free(packets[i].bytes);
    }
    free(gathered.bytes);
    free(copied.bytes);
    return 0;
}

#ifdef FUZZ_MUTATOR
#include "mutator.h"

/* The raw packet at data[at..at + len) becomes the one that follows another raw one: its headers, the next bytes of its stream. */
static void repair_to_follow(uint8_t *pkt, size_t len, const uint8_t *before, size_t before_len, int ethernet)
{
    pkt_view v = pkt_look(before, before_len, ethernet, 0);
    if (!pkt_has_l4(&v) || v.payload >= len) {
        return;
    }
    memcpy(pkt, before, v.payload);
    if (v.version == 4) {
        pkt_put16(pkt + v.ip + 4, (pkt_get16(pkt + v.ip + 4) + 1) & 0xffff);
    }
    if (v.proto == PKT_PROTO_TCP) {
        pkt_put32(pkt + v.l4 + 4, pkt_get32(pkt + v.l4 + 4) + (uint32_t)v.payload_len);
    }
}

/* Goes through the script as read_script does. */
static void repair_input(uint8_t *data, size_t size, rng *dice)
{
    enum { FRONT = 5 };
    const uint8_t *before = NULL;
    size_t before_len = 0;
    int ethernet = size > 0 && (data[0] >> 6 & 1) != 0, tunnels = size > 4 && (data[4] & 15) == 15;
    for (size_t at = FRONT; at + 3 <= size;) {
        unsigned op = data[at++];
        if (op >= 32) {
            at += data[at] % WHAT_COUNT == NEXT ? 1 : 2;
            at += tunnels && (op & 4) != 0 ? 1 : 0;
        } else if (op == 31) {
            ethernet = data[at] >> 6 & 1;
            tunnels = at + 4 < size && (data[at + 4] & 15) == 15;
            at += FRONT;
        } else if (op < 16) {
            size_t len = pkt_get16(data + at) % 2048, left = size - at - 2;
            uint8_t *pkt = data + at + 2;
            len = len < left ? len : left;
            if (before != NULL && roll(dice, 3)) {
                repair_to_follow(pkt, len, before, before_len, ethernet);
            }
            repair_packet(pkt, len, ethernet, dice);
            before = pkt;
            before_len = len;
            at += 2 + len;
        }
    }
}
#endif
