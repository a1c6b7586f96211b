/* A kernel that refuses superpackets, for examples/write_gro.c: linked with -Wl,--wrap=writev. */
#include <errno.h>
#include <sys/uio.h>

ssize_t __real_writev(int fd, const struct iovec *iov, int count);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);

ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
    size_t len = 0;
    int i;

    for (i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (len > 1600) {
        errno = EINVAL;
        return -1;
    }
    return __real_writev(fd, iov, count);
}
