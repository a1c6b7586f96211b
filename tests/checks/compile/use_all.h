/* Takes the address of every public function, so that a declaration without a definition does not link and a definition that the
   linker could drop is looked at. Used by the C and the C++ units. The documentation test compares the list with the header. */
#ifndef USE_ALL_H
#define USE_ALL_H

#define USE_ALL_FUNCTIONS(X)                                                                       \
    X(tuo_version) X(tuo_sizeof) X(tuo_simd_flag) X(tuo_result_name) X(tuo_result_text)            \
    X(tuo_verdict_name) X(tuo_verdict_text) X(tuo_csum) X(tuo_csum_copy)     \
    X(tuo_csum_pseudo) X(tuo_csum_update16) X(tuo_csum_update32) X(tuo_simd_best)                  \
    X(tuo_simd_usable) X(tuo_csum_check) X(tuo_csum_complete) X(tuo_vnet_decode)                   \
    X(tuo_vnet_encode) X(tuo_vnet_check) X(tuo_parse) X(tuo_flow_table_memory_size)                \
    X(tuo_flow_table_init) X(tuo_flow_table_find) X(tuo_flow_table_insert)                         \
    X(tuo_flow_table_remove) X(tuo_flow_table_reset) X(tuo_flow_table_count)                       \
    X(tuo_flow_table_query_stats) X(tuo_flow_key_from_packet) X(tuo_gro_memory_size)               \
    X(tuo_gro_init) X(tuo_gro_reconfigure) X(tuo_gro_query_desc) X(tuo_gro_query_stats)            \
    X(tuo_gro_reset) X(tuo_gro_push) X(tuo_gro_push_batch) X(tuo_gro_push_iov) X(tuo_gro_next)     \
    X(tuo_gro_next_batch) X(tuo_gro_push_buf) X(tuo_gro_next_copy)                                 \
    X(tuo_gro_batch) X(tuo_gro_candidate) X(tuo_coalesce_account) X(tuo_gso_init) X(tuo_gso_count) \
    X(tuo_gso_remaining) X(tuo_gso_next) X(tuo_gso_next_batch) X(tuo_gso_next_in_place)            \
    X(tuo_gso_split)                                                                               \
    X(tuo_caps_intersect) X(tuo_rx_hint) X(tuo_tso_prepare) X(tuo_tx_init) X(tuo_tx_next)          \
    X(tuo_tx_next_in_place) X(tuo_tx_remaining) X(tuo_tx_queue_init) X(tuo_tx_queue_push)          \
    X(tuo_tx_queue_flush) X(tuo_tx_queue_count) X(tuo_tx_queue_take) X(tuo_rx_queue_init)          \
    X(tuo_rx_queue_inject) X(tuo_rx_queue_batch) X(tuo_udp_plan)

typedef void (*any_function)(void);

/* The number of functions that have an address: all of them, or the program would not have linked. */
static int use_all(void)
{
    int count = 0;
#define USE_ONE(function)                                                                                                     \
    {                                                                                                                         \
        any_function volatile address = (any_function)function;                                                               \
        count += address != 0;                                                                                                \
    }
    USE_ALL_FUNCTIONS(USE_ONE)
#undef USE_ONE
    return count;
}

#define COUNT_ONE(function) +1
enum { USE_ALL_COUNT = 0 USE_ALL_FUNCTIONS(COUNT_ONE) };

#endif /* USE_ALL_H */
