/* Every declared function has a definition. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "use_all.h"

int main(void)
{
    return use_all() == USE_ALL_COUNT ? 0 : 1;
}
