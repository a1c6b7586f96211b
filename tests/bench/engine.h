/* engine.h - what the library and each peer implement to be measured: coalescing a batch, splitting a superpacket.

   An engine fills *run and returns 1, or returns 0 if it has no such thing. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "traffic.h"

typedef void (*emit_packet)(void *user, const uint8_t *bytes, size_t len);

typedef struct engine_run {
    bench_work work;
    /* Runs the work once more and hands out what it makes: packets in one piece, IP header first. Not timed. */
    void (*show)(void *state, emit_packet emit, void *user);
} engine_run;

/* Coalesce the set. verify: check the checksums of what merges. copy: superpackets in one piece; otherwise their pieces are left
   where they are and only listed. level: a tuo_simd. */
typedef struct gro_job {
    packet_set *set;
    int verify, copy;
    int level;
} gro_job;

typedef enum gso_mode { GSO_COPY, GSO_IN_PLACE, GSO_ITERATOR, GSO_ITERATOR_PSEUDO, GSO_MODE_COUNT } gso_mode;

/* Split the superpacket. COPY: into sp->room, behind the headroom. ITERATOR: header and borrowed payload. PSEUDO: the same
   without summing the payload. */
typedef struct gso_job {
    superpacket *sp;
    gso_mode mode;
    int level;
} gso_job;

typedef struct engine {
    const char *name;
    int (*gro)(const gro_job *job, engine_run *run);
    int (*gso)(const gso_job *job, engine_run *run);
    uint64_t (*sum)(const uint8_t *p, size_t len); /* folded; NULL: none */
} engine;

#ifdef HAVE_DPDK
int dpdk_start(const char *program, int processor); /* 1: the engine can be used */
extern const engine dpdk_engine;
#endif

#endif /* BENCH_ENGINE_H */
