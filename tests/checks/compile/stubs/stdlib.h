/* For clang's <mm_malloc.h>, which its headers of intrinsics include. */
#ifndef STUB_STDLIB_H
#define STUB_STDLIB_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
void *malloc(size_t len);
void free(void *memory);
void *_aligned_malloc(size_t len, size_t alignment);
void _aligned_free(void *memory);
#ifdef __cplusplus
}
#endif

#endif /* STUB_STDLIB_H */
