/* Must not compile: the UDP socket is asked for after the header was read without it. */
#include "tunoffload.h"
#define TUNOFFLOAD_UDP
#include "tunoffload.h"
