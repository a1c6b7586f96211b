/* simd_levels.h - the levels of tuo_simd that this build and this processor have, best first, for tests that go through them or
   pick one. Include after tunoffload.h. */
#ifndef SIMD_LEVELS_H
#define SIMD_LEVELS_H

enum { SIMD_LEVELS_MAX = 5 };

typedef struct simd_levels {
    tuo_simd level[SIMD_LEVELS_MAX];
    size_t count;
} simd_levels;

/* The processor is asked once: it takes long in a virtual machine. */
static inline const simd_levels *simd_levels_here(void)
{
    static simd_levels here;
    int level;

    if (here.count)
        return &here;
    for (level = TUO_SIMD_AVX512; level >= TUO_SIMD_SCALAR; level--)
        if (tuo_simd_usable((tuo_simd)level))
            here.level[here.count++] = (tuo_simd)level;
    return &here;
}

/* Any number names a level; 0 the best one. */
static inline tuo_simd simd_level_at(unsigned n)
{
    const simd_levels *here = simd_levels_here();

    return here->level[n % here->count];
}

static inline const char *simd_level_name(tuo_simd level)
{
    static const char *const names[] = {"detect", "scalar", "sse2", "neon", "avx2", "avx512"};

    return (unsigned)level < sizeof names / sizeof names[0] ? names[level] : "?";
}

#endif /* SIMD_LEVELS_H */
