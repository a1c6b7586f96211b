/* tun_facts.h - what a queue says of itself, as values. For tests in which no other thread uses the queue. Include it after
   tunoffload.h, with TUNOFFLOAD_TUN. */
#ifndef TUN_FACTS_H
#define TUN_FACTS_H

/* The counters of both sides. */
typedef struct tun_stats {
    tuo_tun_rx_stats rx;
    tuo_tun_tx_stats tx;
} tun_stats;

static inline tun_stats tun_stats_of(const tuo_tun *tun)
{
    tun_stats stats;

    tuo_tun_query_rx_stats(tun, &stats.rx);
    tuo_tun_query_tx_stats(tun, &stats.tx);
    return stats;
}

static inline tuo_tun_info tun_info_of(const tuo_tun *tun)
{
    tuo_tun_info info;

    tuo_tun_query_info(tun, &info);
    return info;
}

#endif
