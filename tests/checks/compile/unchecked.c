/* Must warn: a result that says whether the call did its job is thrown away. */
#include "tunoffload.h"

void ignore(const void *pkt, size_t len);

void ignore(const void *pkt, size_t len)
{
    tuo_pkt_info info;

    tuo_parse(pkt, len, 0, &info);
}
