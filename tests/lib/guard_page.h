/* guard_page.h - puts bytes right in front of, or right behind, a page that must not be touched: a read or write of one byte too
   many faults in any build. POSIX (mmap), or Windows (VirtualAlloc). */
#ifndef GUARD_PAGE_H
#define GUARD_PAGE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#if !defined(MAP_ANONYMOUS) && defined(MAP_ANON)
#define MAP_ANONYMOUS MAP_ANON
#endif
#endif

typedef struct guard_page {
    uint8_t *map;
    size_t map_len;
    uint8_t *first; /* first usable byte; the byte before faults */
    uint8_t *end;   /* one behind the last usable byte; it faults */
} guard_page;

static inline size_t guard_page_size(void)
{
#ifdef _WIN32
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info.dwPageSize;
#else
    return (size_t)sysconf(_SC_PAGESIZE);
#endif
}

/* len bytes that must not be touched, but for the `body` bytes behind the first page. NULL: no memory. */
static inline void *guard_page_map(size_t len, size_t page, size_t body)
{
#ifdef _WIN32
    uint8_t *map = (uint8_t *)VirtualAlloc(NULL, len, MEM_RESERVE, PAGE_NOACCESS);

    return map && VirtualAlloc(map + page, body, MEM_COMMIT, PAGE_READWRITE) ? map : NULL;
#else
    void *map = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return map != MAP_FAILED && mprotect((uint8_t *)map + page, body, PROT_READ | PROT_WRITE) == 0 ? map : NULL;
#endif
}

/* Room for at least cap bytes between two forbidden pages. Exits when there is no memory: no test can go on then. */
static inline guard_page guard_page_new(size_t cap)
{
    guard_page g;
    size_t page = guard_page_size();
    size_t body = (cap + page - 1) / page * page;

    if (body == 0)
        body = page;
    g.map_len = body + 2 * page;
    g.map = (uint8_t *)guard_page_map(g.map_len, page, body);
    if (!g.map) {
        perror("guard_page_new");
        exit(2);
    }
    g.first = g.map + page;
    g.end = g.first + body;
    return g;
}

static inline void guard_page_free(guard_page *g)
{
#ifdef _WIN32
    VirtualFree(g->map, 0, MEM_RELEASE);
#else
    munmap(g->map, g->map_len);
#endif
    memset(g, 0, sizeof *g);
}

/* A copy of bytes[0..len) whose last byte touches the forbidden page. */
static inline uint8_t *guard_page_at_end(guard_page *g, const void *bytes, size_t len)
{
    uint8_t *p = g->end - len;

    if (len)
        memcpy(p, bytes, len);
    return p;
}

/* A copy of bytes[0..len) whose first byte touches the forbidden page. */
static inline uint8_t *guard_page_at_start(guard_page *g, const void *bytes, size_t len)
{
    if (len)
        memcpy(g->first, bytes, len);
    return g->first;
}

#endif /* GUARD_PAGE_H */
