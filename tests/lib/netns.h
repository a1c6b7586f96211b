/* netns.h - a network namespace for tests of the TUN backend: one that forwards. Where there can be none, each test is skipped,
   or failed under CI=true. Include it after check.h, with _GNU_SOURCE defined. */
#ifndef NETNS_H
#define NETNS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ipv6_route.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
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

static inline int kernel_is_since(unsigned major, unsigned minor)
{
    struct utsname name;
    unsigned has_major = 0, has_minor = 0;

    CHECK_EQ_INT(uname(&name), 0);
    CHECK_EQ_INT(sscanf(name.release, "%u.%u", &has_major, &has_minor), 2);
    return has_major > major || (has_major == major && has_minor >= minor);
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

/* IPv6 addresses work some time after they were added: the kernel installs their route from a work queue.
   text: ADDRESS/PREFIX. */
static inline void wait_for_address6(const char *text)
{
    char address[64], wanted[40], line[256], dst[40];
    uint8_t bytes[16];
    unsigned prefix, flags;
    size_t i;
    int tries, found = 0;

    snprintf(address, sizeof address, "%.*s", (int)strcspn(text, "/"), text);
    CHECK_EQ_INT(inet_pton(AF_INET6, address, bytes), 1);
    for (i = 0; i < sizeof bytes; i++)
        snprintf(wanted + 2 * i, 3, "%02x", (unsigned)bytes[i]);
    for (tries = 0; tries < 1000 && !found; tries++) {
        FILE *routes = fopen("/proc/self/net/ipv6_route", "r");
        while (routes && fgets(line, sizeof line, routes))
            if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %x", dst, &prefix, &flags) == 3 && prefix == 128 &&
                strcmp(dst, wanted) == 0 && (flags & RTF_LOCAL))
                found = 1;
        if (routes)
            fclose(routes);
        if (!found)
            poll(NULL, 0, 1);
    }
    CHECK(found);
}

#endif /* NETNS_H */
