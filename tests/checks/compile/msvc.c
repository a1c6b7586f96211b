/* clang for MSVC, where its headers show only the vectors of the target: SSE2 where that is in the target, and nothing beyond. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#ifndef _MSC_VER
#error "not for MSVC"
#endif
#if defined(__SSE2__) && !TUOI_BASE_SSE2
#error "SSE2 is not used"
#endif
