/* TUO_API and TUO_ASSERT given by the user; the enumerations stay usable in constant expressions. */
#define TUO_API extern
static int assertions;
#define TUO_ASSERT(condition) ((condition) ? (void)0 : (void)++assertions)
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

static uint8_t room[TUO_VNET_LEN_MAX + TUO_HEADER_MAX];

int main(void)
{
    tuo_vnet_hdr vnet = {0};

    vnet.gso_type = TUO_GSO_NONE;
    return assertions == 0 && tuo_vnet_encode(&vnet, TUO_VNET_LEN, TUO_ORDER_NATIVE, room, sizeof room) == TUO_OK ? 0 : 1;
}
