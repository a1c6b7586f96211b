/* What every user of the header sees: no implementation. */
#include "tunoffload.h"
