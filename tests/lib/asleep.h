/* asleep.h - "that thread waits in its call by now", told by the kernel and not by the clock: on a slow machine a thread needs long to start, and
   one that begins a call after tuo_tun_close or tuo_udp_close uses what is freed. Include it after check.h. */
#ifndef ASLEEP_H
#define ASLEEP_H

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By the thread itself, in front of the call in which it is going to sleep. It sleeps nowhere else. 0 in *thread_id: not begun. */
static inline void asleep_announce(int *thread_id)
{
    __atomic_store_n(thread_id, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

/* By another thread: until the first one sleeps. */
static inline void asleep_await(const int *thread_id)
{
    char path[64], text[256];
    const char *state;
    FILE *file;
    int id, tries;

    for (tries = 0; tries < 30000; tries++) {
        id = __atomic_load_n(thread_id, __ATOMIC_ACQUIRE);
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
        file = id ? fopen(path, "r") : NULL;
        if (file) {
            state = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
            fclose(file);
            if (state && state[1] == ' ' && state[2] == 'S')
                return;
        }
        (void)poll(NULL, 0, 1);
    }
    CHECK(tries < 30000); /* it sleeps */
}

#endif
