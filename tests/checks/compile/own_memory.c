/* TUO_CALLOC and TUO_FREE given by the user: the backends ask no other allocator, and not even for its header. */
#include <stddef.h>
void *own_calloc(size_t count, size_t size);
void own_free(void *memory);
#define TUO_CALLOC own_calloc
#define TUO_FREE own_free
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_UDP
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
