/* fake_tun.h - fuzz.h with the Linux backend, whose system calls the target stands in for: it defines these functions, with FAKE_READV or
   FAKE_WRITEV the one of the side that it is about. On other systems fuzz.h alone. */
#ifndef FAKE_TUN_H
#define FAKE_TUN_H

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int fake_open(const char *path, int flags, ...);
static int fake_ioctl(int fd, unsigned long request, ...);
static int fake_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
static int fake_socket(int domain, int type, int protocol);
static ssize_t fake_send(int fd, const void *bytes, size_t len, int flags);
static ssize_t fake_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len);

#define TUNOFFLOAD_TUN
#define open fake_open
#define ioctl fake_ioctl
#define poll fake_poll
#define socket fake_socket
#define send(fd, bytes, len, flags) fake_send(fd, bytes, len, flags) /* there are parameters of that name */
#define recvfrom fake_recvfrom
#ifdef FAKE_READV
static ssize_t fake_readv(int fd, const struct iovec *iov, int count);
#define readv fake_readv
#endif
#ifdef FAKE_WRITEV
static ssize_t fake_writev(int fd, const struct iovec *iov, int count);
#define writev fake_writev
#endif
#endif

#include "fuzz.h"

#ifdef __linux__
#undef open
#undef ioctl
#undef poll
#undef socket
#undef send
#undef recvfrom
#undef readv
#undef writev
#endif

#endif
