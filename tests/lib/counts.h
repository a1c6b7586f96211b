/* counts.h - the last line of every program that checks something: the one place in C that prints it. tests/lib/counts.sh reads it. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdio.h>

/* Returns the exit status that goes with these counts. */
static inline int counts_finish(unsigned long passed, unsigned long failed, unsigned long skipped)
{
    printf("%lu passed, %lu failed, %lu skipped\n", passed, failed, skipped);
    return failed != 0;
}

#endif /* COUNTS_H */
