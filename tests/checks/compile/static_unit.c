/* TUO_STATIC: nothing is exported, and what this file does not use is no reason for a warning. */
#define TUO_STATIC
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

int main(void)
{
    return tuo_csum("\xff\xff", 2, 0) == 0xffff ? 0 : 1;
}
