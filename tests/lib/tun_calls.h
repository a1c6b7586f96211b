/* tun_calls.h - every system call of the TUN backend goes through a function of the test's, which may answer it or let it fail. This
   includes the implementation, so include it first, with TUNOFFLOAD_TUN defined. Memory counts as a call, too. */
#ifndef TUN_CALLS_H
#define TUN_CALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum call_kind {
    CALL_OPEN, CALL_CLOSE, CALL_FCNTL, CALL_IOCTL, CALL_EVENTFD, CALL_FSTAT, CALL_READ, CALL_WRITE, CALL_READV, CALL_WRITEV, CALL_POLL,
    CALL_SOCKET, CALL_BIND, CALL_SEND, CALL_RECV, CALL_GETSOCKOPT, CALL_SETSOCKOPT, CALL_GETSOCKNAME, CALL_RANDOM, CALL_MEMORY, CALL_KINDS
} call_kind;

static const char *const call_names[CALL_KINDS] = {
    "open", "close", "fcntl", "ioctl", "eventfd", "fstat", "read", "write", "readv", "writev", "poll", "socket", "bind", "send", "recv",
    "getsockopt", "setsockopt", "getsockname", "getrandom", "calloc"};

typedef struct call {
    call_kind kind;
    unsigned long request; /* of ioctl; command of fcntl; family of socket */
    int fd;
    void *argument;        /* of ioctl; path of open */
} call;

/* What happens to a call: 0: the kernel is asked; CALL_ANSWERED: the hook has answered it, it returns 0; otherwise its errno. */
enum { CALL_ANSWERED = -1 };
static int (*call_hook)(const call *c);

static long calls_blocks; /* of memory that are not freed */

/* 1: the kernel is asked; otherwise *returned is what the call returns. */
static inline int call_passes(call_kind kind, unsigned long request, int fd, const void *argument, int *returned)
{
    call c;
    int decided;

    c.kind = kind;
    c.request = request;
    c.fd = fd;
    c.argument = (void *)(uintptr_t)argument;
    decided = call_hook ? call_hook(&c) : 0;
    *returned = decided == CALL_ANSWERED ? 0 : -1;
    if (decided > 0)
        errno = decided;
    return decided == 0;
}

static inline int call_open(const char *path, int flags)
{
    int returned;

    return call_passes(CALL_OPEN, 0, -1, path, &returned) ? open(path, flags) : returned;
}

/* A close that fails has closed all the same. */
static inline int call_close(int fd)
{
    int returned, passes = call_passes(CALL_CLOSE, 0, fd, NULL, &returned), error = errno, closed = close(fd);

    if (!passes)
        errno = error;
    return passes ? closed : returned;
}

static inline int call_fcntl(int fd, int command, ...)
{
    va_list args;
    int returned, argument = 0;

    va_start(args, command);
    if (command == F_SETFL || command == F_SETFD)
        argument = va_arg(args, int);
    va_end(args);
    return call_passes(CALL_FCNTL, (unsigned long)command, fd, NULL, &returned) ? fcntl(fd, command, argument) : returned;
}

static inline int call_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;
    int returned;

    va_start(args, request);
    argument = request == 0x894c ? NULL : va_arg(args, void *); /* SIOCGSKNS has none; numbers are as wide as pointers */
    va_end(args);
    return call_passes(CALL_IOCTL, request, fd, argument, &returned) ? ioctl(fd, request, argument) : returned;
}

static inline int call_eventfd(unsigned initial, int flags)
{
    int returned;

    return call_passes(CALL_EVENTFD, 0, -1, NULL, &returned) ? eventfd(initial, flags) : returned;
}

static inline int call_fstat(int fd, struct stat *status)
{
    int returned;

    return call_passes(CALL_FSTAT, 0, fd, NULL, &returned) ? fstat(fd, status) : returned;
}

static inline ssize_t call_read(int fd, void *bytes, size_t len)
{
    int returned;

    return call_passes(CALL_READ, 0, fd, NULL, &returned) ? read(fd, bytes, len) : returned;
}

static inline ssize_t call_write(int fd, const void *bytes, size_t len)
{
    int returned;

    return call_passes(CALL_WRITE, 0, fd, NULL, &returned) ? write(fd, bytes, len) : returned;
}

static inline ssize_t call_readv(int fd, const struct iovec *iov, int count)
{
    int returned;

    return call_passes(CALL_READV, 0, fd, NULL, &returned) ? readv(fd, iov, count) : returned;
}

static inline ssize_t call_writev(int fd, const struct iovec *iov, int count)
{
    int returned;

    return call_passes(CALL_WRITEV, 0, fd, NULL, &returned) ? writev(fd, iov, count) : returned;
}

static inline int call_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int returned;

    return call_passes(CALL_POLL, 0, -1, NULL, &returned) ? poll(fds, count, timeout_ms) : returned;
}

static inline int call_socket(int domain, int type, int protocol)
{
    int returned;

    return call_passes(CALL_SOCKET, (unsigned long)domain, -1, NULL, &returned) ? socket(domain, type, protocol) : returned;
}

static inline int call_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    int returned;

    return call_passes(CALL_BIND, 0, fd, NULL, &returned) ? bind(fd, address, len) : returned;
}

static inline ssize_t call_send(int fd, const void *bytes, size_t len, int flags)
{
    int returned;

    return call_passes(CALL_SEND, 0, fd, NULL, &returned) ? send(fd, bytes, len, flags) : returned;
}

static inline ssize_t call_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address, socklen_t address_len)
{
    int returned;

    return call_passes(CALL_SEND, 0, fd, NULL, &returned) ? sendto(fd, bytes, len, flags, address, address_len) : returned;
}

static inline ssize_t call_recv(int fd, void *bytes, size_t len, int flags)
{
    int returned;

    return call_passes(CALL_RECV, 0, fd, NULL, &returned) ? recv(fd, bytes, len, flags) : returned;
}

static inline ssize_t call_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *address, socklen_t *address_len)
{
    int returned;

    return call_passes(CALL_RECV, 0, fd, NULL, &returned) ? recvfrom(fd, bytes, len, flags, address, address_len) : returned;
}

static inline ssize_t call_recvmsg(int fd, struct msghdr *message, int flags)
{
    int returned;

    return call_passes(CALL_RECV, 0, fd, NULL, &returned) ? recvmsg(fd, message, flags) : returned;
}

static inline int call_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int returned;

    return call_passes(CALL_GETSOCKOPT, (unsigned long)name, fd, NULL, &returned) ? getsockopt(fd, level, name, value, len) : returned;
}

static inline int call_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int returned;

    return call_passes(CALL_SETSOCKOPT, (unsigned long)name, fd, NULL, &returned) ? setsockopt(fd, level, name, value, len) : returned;
}

static inline int call_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    int returned;

    return call_passes(CALL_GETSOCKNAME, 0, fd, NULL, &returned) ? getsockname(fd, address, len) : returned;
}

static inline ssize_t call_getrandom(void *bytes, size_t len, unsigned flags)
{
    int returned;

    return call_passes(CALL_RANDOM, 0, -1, NULL, &returned) ? getrandom(bytes, len, flags) : returned;
}

static inline void *call_calloc(size_t count, size_t len)
{
    int returned;
    void *block = call_passes(CALL_MEMORY, 0, -1, NULL, &returned) ? calloc(count, len) : NULL;

    calls_blocks += block != NULL;
    return block;
}

static inline void call_free(void *block)
{
    calls_blocks -= block != NULL;
    free(block);
}

#ifndef TUNOFFLOAD_TUN
#error "define TUNOFFLOAD_TUN: scripts tell by it what a test needs"
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#define TUO_CALLOC call_calloc
#define TUO_FREE call_free
#define open(...) call_open(__VA_ARGS__)
#define close(fd) call_close(fd)
#define fcntl(...) call_fcntl(__VA_ARGS__)
#define ioctl(...) call_ioctl(__VA_ARGS__)
#define eventfd(initial, flags) call_eventfd(initial, flags)
#define fstat(fd, status) call_fstat(fd, status)
#define read(fd, bytes, len) call_read(fd, bytes, len)
#define write(fd, bytes, len) call_write(fd, bytes, len)
#define readv(fd, iov, count) call_readv(fd, iov, count)
#define writev(fd, iov, count) call_writev(fd, iov, count)
#define poll(fds, count, timeout_ms) call_poll(fds, count, timeout_ms)
#define socket(domain, type, protocol) call_socket(domain, type, protocol)
#define bind(fd, address, len) call_bind(fd, address, len)
#define send(fd, bytes, len, flags) call_send(fd, bytes, len, flags)
#define sendto(fd, bytes, len, flags, address, address_len) call_sendto(fd, bytes, len, flags, address, address_len)
#define recv(fd, bytes, len, flags) call_recv(fd, bytes, len, flags)
#define recvfrom(fd, bytes, len, flags, address, address_len) call_recvfrom(fd, bytes, len, flags, address, address_len)
#define recvmsg(fd, message, flags) call_recvmsg(fd, message, flags)
#define getsockopt(fd, level, name, value, len) call_getsockopt(fd, level, name, value, len)
#define setsockopt(fd, level, name, value, len) call_setsockopt(fd, level, name, value, len)
#define getsockname(fd, address, len) call_getsockname(fd, address, len)
#define getrandom(bytes, len, flags) call_getrandom(bytes, len, flags)
#include "tunoffload.h"
#undef open
#undef close
#undef fcntl
#undef ioctl
#undef eventfd
#undef fstat
#undef read
#undef write
#undef readv
#undef writev
#undef poll
#undef socket
#undef bind
#undef send
#undef sendto
#undef recv
#undef recvfrom
#undef recvmsg
#undef getsockopt
#undef setsockopt
#undef getsockname
#undef getrandom

#endif /* TUN_CALLS_H */
