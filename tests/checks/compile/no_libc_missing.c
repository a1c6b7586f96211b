/* Must not compile: TUO_NO_LIBC without replacements. */
#define TUO_NO_LIBC
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
