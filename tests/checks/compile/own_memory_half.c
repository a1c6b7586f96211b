/* Must not compile: an allocator without the function that frees. */
#define TUO_CALLOC(count, size) NULL
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
