/* Every declared function has a definition in the object of the implementation that this is linked with. */
#include "tunoffload.h"

#include "use_all.h"

int main(void)
{
    return use_all() == USE_ALL_COUNT ? 0 : 1;
}
