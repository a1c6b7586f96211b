/* gro_traffic.h - random traffic as a receiver sees it: a few flows in bursts; some packets lost, late, repeated or odd.
   Include after packets.h. */
#ifndef GRO_TRAFFIC_H
#define GRO_TRAFFIC_H

enum { FLOWS_MAX = 8, SPECS_MAX = 160 };

/* A sender. What it sends next, and how its packets look. */
typedef struct sender {
    pkt_spec base;
    int32_t mss;
    int constant_id;
} sender;

static const uint8_t option_bytes[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 9};

/* origin: where the sequence numbers of this round are. Senders that share a flow are less than half the circle apart: beyond
   that there is no before and after. */
static inline sender make_sender(rng *r, int ethernet, uint32_t origin)
{
    static const int32_t mss[] = {1, 7, 8, 9, 64, 100, 536, 1400};
    static const char *const chains[] = {"D", "HD", "R"};
    sender s;

    memset(&s, 0, sizeof s);
    s.base.kind = (pkt_kind)rng_below(r, PKT_KIND_COUNT);
    s.base.src = (uint16_t)rng_below(r, 2);
    s.base.src_port = (int32_t)(1000 + rng_below(r, 2));
    s.base.seq = origin + rng_below(r, 3000);
    s.base.ip_id = (uint16_t)(rng_chance(r, 1, 4) ? 65530 : rng_below(r, 65536));
    s.base.df = rng_chance(r, 1, 3) ? PKT_ZERO : 0;
    s.base.payload_seed = rng_below(r, 100);
    s.mss = mss[rng_below(r, CHECK_COUNT_OF(mss))];
    s.constant_id = rng_chance(r, 1, 3);
    if (rng_chance(r, 1, 4)) {
        s.base.tcp_options = option_bytes;
        s.base.tcp_options_len = 12;
    }
    if (rng_chance(r, 1, 5) && pkt_is_v6(&s.base))
        s.base.ext_chain = chains[rng_below(r, CHECK_COUNT_OF(chains))];
    if (rng_chance(r, 1, 5))
        s.base.flow_label = rng_below(r, 2);
    if (ethernet) {
        s.base.ethernet = 1;
        s.base.vlan_count = (uint8_t)(rng_chance(r, 1, 3) ? rng_below(r, 3) : 0);
        s.base.mac = (uint8_t)rng_below(r, 2);
    }
    return s;
}

/* One thing about a packet is unusual. Most of these keep it from merging. */
static inline void mutate_tcp(rng *r, pkt_spec *s)
{
    static const uint8_t odd_flags[] = {PKT_SYN | PKT_ACK, PKT_RST, PKT_URG | PKT_ACK, PKT_CWR | PKT_ACK, PKT_ECE | PKT_ACK};

    switch (rng_below(r, 8)) {
    case 0: s->tcp_flags = odd_flags[rng_below(r, CHECK_COUNT_OF(odd_flags))]; break;
    case 1: s->tcp_flags = PKT_ACK | (rng_chance(r, 1, 2) ? PKT_PSH : PKT_FIN); break;
    case 2: s->ack += 1 + rng_below(r, 1000); break;
    case 3: s->window = (int32_t)(1 + rng_below(r, 65535)); break;
    case 4: s->reserved = (uint8_t)rng_below(r, 16); break;
    case 5: s->urgent = (uint16_t)rng_below(r, 3); break;
    case 6: s->tcp_options_len = s->tcp_options ? (uint8_t)(4 * rng_below(r, 4)) : 0; break;
    default: s->seq += rng_below(r, 3) - 1; break;
    }
}

static inline void mutate_ip(rng *r, pkt_spec *s)
{
    static const uint8_t ip_options[4] = {1, 1, 1, 0};

    switch (rng_below(r, 8)) {
    case 0: s->tos ^= (uint8_t)(1u << rng_below(r, 8)); break;
    case 1: s->ttl = (int32_t)(1 + rng_below(r, 255)); break;
    case 2: s->df = s->df ? 0 : PKT_ZERO; break;
    case 3: s->ip_id = (uint16_t)(s->ip_id + rng_below(r, 5) - 2); break;
    case 4: s->frag = rng_chance(r, 1, 2) ? 0x2000 : rng_chance(r, 1, 2) ? 0x8000 : (uint16_t)rng_below(r, 8191); break;
    case 5: s->flow_label = rng_below(r, 3); break;
    case 6:
        s->ip_options = ip_options;
        s->ip_options_len = 4;
        break;
    default: s->ext_chain = rng_chance(r, 1, 2) ? "f" : rng_chance(r, 1, 2) ? "A" : "r"; break;
    }
}

static inline void mutate(rng *r, pkt_spec *s)
{
    switch (rng_below(r, 10)) {
    case 0: s->l4_csum_xor = (uint16_t)(1 + rng_below(r, 65535)); break;
    case 1: s->ip_csum_xor = (uint16_t)(1 + rng_below(r, 65535)); break;
    case 2: s->payload_len = (int32_t)(rng_chance(r, 1, 2) ? PKT_ZERO : 1 + (int32_t)rng_below(r, 1500)); break;
    case 3: s->trailer_len = (uint16_t)(1 + rng_below(r, 6)); break;
    case 4:
        if (pkt_is_udp(s))
            s->udp_len = (int32_t)(rng_chance(r, 1, 2) ? 8 + rng_below(r, (uint32_t)pkt_payload_len(s) + 2) : rng_below(r, 8));
        break;
    case 5: s->l4_csum_zero = 1; break;
    case 6: s->proto = (int32_t)(rng_chance(r, 1, 2) ? 58 : 1); break;
    case 7: mutate_ip(r, s); break;
    default: mutate_tcp(r, s); break;
    }
}

/* The sender's next packet; its state moves on, whether the packet will arrive or not. */
static inline pkt_spec send_next(rng *r, sender *from)
{
    pkt_spec s = from->base;

    s.payload_len = from->mss;
    if (rng_chance(r, 1, 10)) {
        s.payload_len = (int32_t)(1 + rng_below(r, (uint32_t)from->mss));
        s.tcp_flags = rng_chance(r, 1, 2) ? PKT_ACK | PKT_PSH : 0;
    }
    from->base.seq += (uint32_t)s.payload_len;
    if (!from->constant_id)
        from->base.ip_id++;
    if (rng_chance(r, 1, 12)) {
        mutate(r, &s);
        if (rng_chance(r, 1, 3)) { /* from now on */
            from->base.tos = s.tos;
            from->base.ttl = s.ttl;
            from->base.window = s.window;
            from->base.ack = s.ack;
        }
    }
    return s;
}

/* What arrives: some packets are lost, sent twice, overtaken by others. */
static inline size_t make_traffic(rng *r, pkt_spec *specs, size_t count, int ethernet)
{
    sender senders[FLOWS_MAX];
    size_t n = 0, i, flows = 1 + rng_below(r, FLOWS_MAX), burst = 0, at = 0;
    uint32_t trouble = rng_below(r, 4); /* a quarter of the rounds has none */
    uint32_t origin = rng_chance(r, 1, 4) ? 0xfffff000u : (uint32_t)rng_u64(r);

    for (i = 0; i < flows; i++)
        senders[i] = make_sender(r, ethernet, origin);
    while (n < count) {
        if (burst-- == 0) {
            at = rng_below(r, (uint32_t)flows);
            burst = rng_below(r, 6);
        }
        specs[n] = send_next(r, &senders[at]);
        if (rng_chance(r, trouble, 40))
            continue; /* lost */
        if (n && rng_chance(r, trouble, 20)) { /* overtaken */
            size_t back = rng_below(r, n < 6 ? (uint32_t)n : 6);
            pkt_spec late = specs[n - back];
            memmove(&specs[n - back], &specs[n - back + 1], back * sizeof *specs);
            specs[n] = late;
        }
        n++;
        if (n < count && rng_chance(r, trouble, 60)) { /* sent again */
            specs[n] = specs[rng_below(r, (uint32_t)n)];
            n++;
        }
    }
    return n;
}

/* Packets that took several ways: each is late by up to `most` places. */
static inline void disorder_traffic(rng *r, pkt_spec *specs, size_t count, uint32_t most)
{
    static size_t due[SPECS_MAX];
    size_t i, k;

    for (i = 0; i < count; i++)
        due[i] = i * 1000 + rng_below(r, (most + 1) * 1000);
    for (i = 1; i < count; i++) /* sorted by due, equal ones as they were */
        for (k = i; k > 0 && due[k - 1] > due[k]; k--) {
            size_t later = due[k - 1];
            pkt_spec spec = specs[k - 1];
            due[k - 1] = due[k];
            due[k] = later;
            specs[k - 1] = specs[k];
            specs[k] = spec;
        }
}

#endif /* GRO_TRAFFIC_H */
