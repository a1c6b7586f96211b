/* fuzz.h - what the fuzz targets share: taking an input apart, and stopping with a message when a property does not hold.
   A target exports LLVMFuzzerTestOneInput; libFuzzer, AFL++ or replay.c calls it. A target may define TUNOFFLOAD_TUN and stand in for
   system calls before it includes this file. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TUNOFFLOAD_IMPLEMENTATION
#include "../tunoffload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() and not exit(): both drivers keep the input that led here. */
#define FUZZ_CHECK(cond) ((cond) ? (void)0 : fuzz_violated(__FILE__, __LINE__, #cond))

static inline void fuzz_violated(const char *file, int line, const char *property)
{
    fprintf(stderr, "%s:%d: violated: %s\n", file, line, property);
    abort();
}

/* Counted up whenever an input came to what its target is about: a split in several segments, a merged packet, ... For replay.c. */
extern unsigned long fuzz_deep;
unsigned long fuzz_deep;

/* The rest of an input. Reading past its end gives zeros, so that every input is a complete one. */
typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t len;
} fuzz_input;

static inline uint8_t fuzz_u8(fuzz_input *in)
{
    uint8_t value = 0;
    if (in->len > 0) {
        value = *in->bytes++;
        in->len--;
    }
    return value;
}

static inline uint16_t fuzz_u16(fuzz_input *in)
{
    unsigned high = fuzz_u8(in);
    return (uint16_t)(high << 8 | fuzz_u8(in));
}

/* A copy in memory of exactly that size, so that the address sanitizer sees the first byte read or written beyond it. */
static inline uint8_t *fuzz_copy(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    FUZZ_CHECK(copy != NULL);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

/* Field by field: the padding between them may differ. */
static inline int fuzz_same_vnet(const tuo_vnet_hdr *a, const tuo_vnet_hdr *b)
{
    return a->flags == b->flags && a->gso_type == b->gso_type && a->hdr_len == b->hdr_len && a->gso_size == b->gso_size &&
           a->csum_start == b->csum_start && a->csum_offset == b->csum_offset && a->num_buffers == b->num_buffers &&
           a->hash_value == b->hash_value && a->hash_report == b->hash_report && a->outer_th_offset == b->outer_th_offset &&
           a->inner_nh_offset == b->inner_nh_offset;
}

/* The callbacks that need no failure mode; resize and append are each target's own. */
static inline uint8_t *buf_data(void *user, void *buf)
{
    (void)user;
    return ((tuo_buf *)buf)->data;
}

static inline size_t buf_length(void *user, const void *buf)
{
    (void)user;
    return ((const tuo_buf *)buf)->len;
}

static inline size_t buf_capacity(void *user, const void *buf)
{
    (void)user;
    return ((const tuo_buf *)buf)->capacity;
}

#endif /* FUZZ_H */
