/* One of two translation units: the one with the implementation, which includes the header before and after it as well. */
#include "tunoffload.h"
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include "tunoffload.h"

int from_b(void);

int main(void)
{
    static const uint8_t bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    return tuo_csum(bytes, sizeof bytes, 0) == 0xddf2 && from_b() == 0xddf2 ? 0 : 1;
}
