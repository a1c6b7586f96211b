/* The other one: only the declarations. */
#include "tunoffload.h"

int from_b(void);

int from_b(void)
{
    static const uint8_t bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    return tuo_csum(bytes, sizeof bytes, 0);
}
