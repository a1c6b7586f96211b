/* What the header asks of a hosted C library, for targets of which only the compiler is here. */
#ifndef STUB_STRING_H
#define STUB_STRING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
#ifdef __cplusplus
}
#endif

#endif /* STUB_STRING_H */
