/* netns.h - a network namespace for tests of the TUN backend: one that forwards. Where there can be none, each test is skipped,
   or failed under CI=true. Include it after check.h, with _GNU_SOURCE defined. */
#ifndef NETNS_H
#define NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *no_tun; /* why nothing can be tested here; NULL: it can */

/* First line of each test. */
static inline int netns_ready(void)
{
    const char *ci = getenv("CI");

    if (!no_tun)
        return 1;
    if (ci && strcmp(ci, "true") == 0) {
        printf("%s\n", no_tun);
        CHECK(no_tun == NULL);
    } else {
        check_skip(no_tun);
    }
    return 0;
}

static inline int put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    int ok = f && fputs(text, f) >= 0;

    return f && fclose(f) == 0 && ok;
}

static inline void netns_enter(void)
{
    int fd = open("/dev/net/tun", O_RDWR);

    if (fd < 0) {
        no_tun = "no /dev/net/tun, or no right to open it";
        return;
    }
    close(fd);
    if (unshare(CLONE_NEWNET) != 0)
        no_tun = "no right to make a network namespace";
    else if (!put_file("/proc/sys/net/ipv4/ip_forward", "1\n"))
        no_tun = "/proc/sys/net cannot be written";
    if (no_tun)
        return;
    put_file("/proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
    put_file("/proc/sys/net/ipv4/conf/default/rp_filter", "0\n");
}

#endif /* NETNS_H */
