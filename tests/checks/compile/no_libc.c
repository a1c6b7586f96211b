/* TUO_NO_LIBC: no hosted header, no library function. Compiled with -ffreestanding and without the C library's include directory.
   The object file may refer to the four functions below, and to the four that every compiler may call on its own account. */
#include <stddef.h>

void *own_memcpy(void *to, const void *from, size_t len);
void *own_memmove(void *to, const void *from, size_t len);
void *own_memset(void *to, int value, size_t len);
int own_memcmp(const void *a, const void *b, size_t len);

#define TUO_NO_LIBC
#define TUO_MEMCPY own_memcpy
#define TUO_MEMMOVE own_memmove
#define TUO_MEMSET own_memset
#define TUO_MEMCMP own_memcmp
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#ifdef _STRING_H
#error "TUO_NO_LIBC includes <string.h>"
#endif
