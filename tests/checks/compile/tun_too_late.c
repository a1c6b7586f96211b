/* Must not compile: the backend is asked for after the header was read without it. */
#include "tunoffload.h"
#define TUNOFFLOAD_TUN
#include "tunoffload.h"
