// The implementation compiled as C++, and every function used from it.
#include "tunoffload.h"
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "use_all.h"

int main()
{
    static const uint8_t bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    tuo_gro_desc desc = tuo_gro_desc();
    tuo_vnet_hdr vnet = tuo_vnet_hdr();

    return use_all() == USE_ALL_COUNT && tuo_csum(bytes, sizeof bytes, 0) == 0xddf2 && tuo_gro_memory_size(&desc) > 0 &&
                   tuo_vnet_check(&vnet, bytes, sizeof bytes, 0) == TUO_OK
               ? 0
               : 1;
}
