/* The implementation that tests share (tests/lib/sharing.sh), with what they look at inside of it. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#define INSIDE_API extern
#include "inside.h"
