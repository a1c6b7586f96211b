/* Must not compile: one replacement, the others forgotten. */
#include <string.h>
#define TUO_MEMCPY memcpy
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
