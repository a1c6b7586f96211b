/* inside.h - what tests look at inside the implementation, so that only this file depends on how it is made. If the implementation is in
   this unit, so is all of this; otherwise (TUNOFFLOAD_IMPLEMENTATION_DONE) it is in the object that the tests share, made of inside.c. */
#ifndef INSIDE_H
#define INSIDE_H

#include <string.h>

#if !defined(TUOI_WRAPS)
#define INSIDE_API extern
#elif !defined(INSIDE_API)
#define INSIDE_API static inline
#endif

/* Where the instance looks for the flow of this packet (NULL: it is none), and what an unknown packet between these addresses closes: places, to be compared. */
INSIDE_API const void *inside_bucket(tuo_gro *gro, const void *pkt, size_t len);
INSIDE_API const void *inside_barrier(tuo_gro *gro, const uint8_t *ip, int is_ip4);

/* Makes the table find the first flow that is held when it is asked for the flow of this packet. */
INSIDE_API void inside_mislead(tuo_gro *gro, const void *pkt, size_t len, unsigned flags);

/* What the fast path remembers. inside_guess: where it looks for the item of this packet without tags: a place, to be compared.
   inside_forget_guesses: the next packets find nothing there. inside_scramble_guesses: each guess is some held item, but not while a
   fragment has closed flows, since the items of these may not be guessed. */
INSIDE_API const void *inside_guess(tuo_gro *gro, const void *pkt, size_t len);
INSIDE_API void inside_forget_guesses(tuo_gro *gro);
INSIDE_API void inside_scramble_guesses(tuo_gro *gro, uint64_t seed);

/* The number that guesses count from, and whether all guesses are of items that exist, or of earlier ones. It only grows. */
INSIDE_API uint32_t inside_guess_base(const tuo_gro *gro);
INSIDE_API void inside_set_guess_base(tuo_gro *gro, uint32_t base);
INSIDE_API int inside_guesses_are_of_items(const tuo_gro *gro);

/* Packets that took the fast path since init. */
INSIDE_API uint64_t inside_fast_count(const tuo_gro *gro);

/* The sums of one SIMD level, not folded. */
INSIDE_API uint64_t inside_sum(tuo_simd level, const void *bytes, size_t len, uint64_t raw);
INSIDE_API uint64_t inside_copy_sum(tuo_simd level, void *to, const void *from, size_t len, uint64_t raw);
INSIDE_API unsigned inside_fold(uint64_t raw);

/* The shortcut that GRO takes through the parser must find what the parser finds. */
typedef enum plain_outcome { PLAIN_NOT_TAKEN, PLAIN_AGREES, PLAIN_DIFFERS } plain_outcome;
INSIDE_API plain_outcome inside_plain(const uint8_t *pkt, size_t len, unsigned flags);

#ifdef TUOI_WRAPS

static inline tuoi_slot inside_slot(tuo_gro *gro, const void *pkt, size_t len, unsigned flags)
{
    const tuoi_slot none = {0};
    tuoi_packet probe;
    tuo_pkt_info info;

    memset(&probe, 0, sizeof probe);
    probe.bytes = (const uint8_t *)pkt;
    probe.len = len;
    if (tuo_parse(pkt, len, flags, &info) != TUO_OK)
        return none;
    probe.facts = tuoi_facts_of(&info);
    return tuoi_gro_probe(gro, &probe);
}

INSIDE_API const void *inside_bucket(tuo_gro *gro, const void *pkt, size_t len)
{
    return inside_slot(gro, pkt, len, 0).bucket;
}

INSIDE_API const void *inside_barrier(tuo_gro *gro, const uint8_t *ip, int is_ip4)
{
    return tuoi_gro_barrier(gro, ip, is_ip4);
}

INSIDE_API void inside_mislead(tuo_gro *gro, const void *pkt, size_t len, unsigned flags)
{
    tuoi_slot slot = inside_slot(gro, pkt, len, flags);

    tuoi_index_put(&gro->flows, slot.bucket, tuoi_index_choose_way(&gro->flows, slot.bucket), slot.tag, 0);
    inside_forget_guesses(gro);
}

INSIDE_API const void *inside_guess(tuo_gro *gro, const void *pkt, size_t len)
{
    tuo_pkt_info info;

    if (tuo_parse(pkt, len, gro->plain_ip_off ? TUO_F_ETHERNET : 0, &info) != TUO_OK)
        return NULL;
    return tuoi_gro_guess(gro, (const uint8_t *)pkt + info.l4_off, info.ip_version == 4);
}

INSIDE_API void inside_forget_guesses(tuo_gro *gro)
{
    memset(gro->guess, 0, sizeof gro->guess);
}

INSIDE_API void inside_scramble_guesses(tuo_gro *gro, uint64_t seed)
{
    size_t i;

    for (i = 0; i < TUOI_GUESSES && gro->item_count && !gro->barriers_set; i++)
        gro->guess[i] = gro->guess_base + (uint32_t)(tuoi_mix64(&seed) % gro->item_count);
}

INSIDE_API uint32_t inside_guess_base(const tuo_gro *gro)
{
    return gro->guess_base;
}

INSIDE_API void inside_set_guess_base(tuo_gro *gro, uint32_t base)
{
    gro->guess_base = base;
}

INSIDE_API int inside_guesses_are_of_items(const tuo_gro *gro)
{
    size_t i;

    for (i = 0; i < TUOI_GUESSES; i++)
        if (gro->guess[i] >= gro->guess_base + gro->item_count)
            return 0;
    return 1;
}

INSIDE_API uint64_t inside_fast_count(const tuo_gro *gro)
{
    return gro->fast_count;
}

INSIDE_API uint64_t inside_sum(tuo_simd level, const void *bytes, size_t len, uint64_t raw)
{
    return tuoi_sums_of(level)->sum((const uint8_t *)bytes, len, raw);
}

INSIDE_API uint64_t inside_copy_sum(tuo_simd level, void *to, const void *from, size_t len, uint64_t raw)
{
    return tuoi_sums_of(level)->copy_sum((uint8_t *)to, (const uint8_t *)from, len, raw);
}

INSIDE_API unsigned inside_fold(uint64_t raw)
{
    return tuoi_fold_raw(raw);
}

static inline int inside_same_facts(const tuoi_facts *a, const tuoi_facts *b)
{
    return a->shape.ip_off == b->shape.ip_off && a->shape.l4_off == b->shape.l4_off && a->shape.hdr_len == b->shape.hdr_len &&
           a->shape.kind == b->shape.kind && a->payload_len == b->payload_len && a->total_len == b->total_len && a->seq == b->seq &&
           a->ip_id == b->ip_id && a->ip_version == b->ip_version && a->l4_proto == b->l4_proto && a->df == b->df &&
           a->tcp_flags == b->tcp_flags;
}

INSIDE_API plain_outcome inside_plain(const uint8_t *pkt, size_t len, unsigned flags)
{
    const uint32_t ip_off = flags & TUO_F_ETHERNET ? 14 : 0;
    tuoi_facts quick, full;
    tuo_pkt_info info;
    int taken;

    memset(&quick, 0x5a, sizeof quick); /* all of it is filled */
    if (len > ip_off && pkt[ip_off] >> 4 == 4)
        taken = tuoi_parse_plain(pkt, len, ip_off, 1, &quick);
    else
        taken = tuoi_parse_plain(pkt, len, ip_off, 0, &quick);
    if (!taken)
        return PLAIN_NOT_TAKEN;
    if (!quick.plain)
        return PLAIN_DIFFERS;
    if (tuo_parse(pkt, len, flags & TUO_F_ETHERNET, &info) != TUO_OK || tuoi_classify_ip(&info) != TUO_V_HELD)
        return PLAIN_DIFFERS;
    full = tuoi_facts_of(&info);
    return inside_same_facts(&quick, &full) ? PLAIN_AGREES : PLAIN_DIFFERS;
}

#endif /* TUOI_WRAPS */

#endif
