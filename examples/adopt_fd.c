/* adopt_fd - a TUN device that another process opened: this process adopts the descriptor, and needs no rights.
   cc -std=c99 -O2 -I.. -o adopt_fd adopt_fd.c
   A helper process opens the device, hands over the descriptor (SCM_RIGHTS) and ends. This process gives up root. It
   sends each packet back with its addresses exchanged: each address behind the device answers for this host. As root:
   ./adopt_fd tun0 &
   ping 10.9.0.2 */
#define _DEFAULT_SOURCE /* CMSG_LEN */
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NOBODY = 65534 };
union control { /* room for one descriptor, aligned as the kernel wants it */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void check(const char *what, int good, const char *why) {
    if (good) return;
    fprintf(stderr, "adopt_fd: %s: %s\n", what, why);
    exit(1);
}

static void send_descriptor(int to, int fd) {
    union control control = { .bytes = { 0 } };
    struct iovec byte = { "", 1 };
    struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    check("send", sendmsg(to, &message, 0) == 1, strerror(errno));
}

static int receive_descriptor(int from) {
    union control control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    const ssize_t len = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    int fd;
    check("receive", len == 1 && CMSG_FIRSTHDR(&message) != NULL, "no descriptor came");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return fd;
}

static void open_and_send(int to, const char *name) { /* the helper: any program may do this, in any language */
    const tuo_tun_desc desc = { .name = name, .address4 = "10.9.0.1/24", .up = 1 };
    tuo_tun *tun;
    int error = 0;
    const tuo_result result = tuo_tun_open(&tun, &desc, &error);
    check("open", result == TUO_OK, error ? strerror(error) : tuo_result_text(result));
    send_descriptor(to, tuo_tun_fd(tun));
    tuo_tun_close(tun); /* the device lives as long as one descriptor does */
}

static void exchange_addresses(uint8_t *ip, size_t ip_len) {
    const size_t len = ip[0] >> 4 == 4 ? 4 : 16, at = len == 4 ? 12 : 8;
    uint8_t source[16];
    if (ip_len < at + 2 * len) return;
    memcpy(source, ip + at, len);
    memcpy(ip + at, ip + at + len, len);
    memcpy(ip + at + len, source, len);
}

int main(int argc, char **argv) {
    const tuo_tun_desc as_it_is = { 0 }; /* see adopt_negotiate and borrowed for other ways */
    tuo_tun *tun;
    tuo_buf packet;
    tuo_result result;
    int pair[2], error = 0;
    check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, strerror(errno));
    switch (fork()) {
    case -1: check("fork", 0, strerror(errno)); break;
    case 0: open_and_send(pair[1], argc > 1 ? argv[1] : "tun0"); return 0;
    default: close(pair[1]);
    }
    check("setuid", geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0), strerror(errno));
    result = tuo_tun_adopt(&tun, receive_descriptor(pair[0]), &as_it_is, &error);
    check("adopt", result == TUO_OK, error ? strerror(error) : tuo_result_text(result));
    for (;;) {
        while ((result = tuo_tun_next(tun, &packet)) == TUO_OK) {
            exchange_addresses(packet.data, packet.len);
            tuo_tun_push(tun, packet.data, packet.len);
        }
        check("TUN device", result > 0, tuo_result_text(result));
        tuo_tun_flush(tun); /* before the loop sleeps */
        if (result == TUO_AGAIN) check("wait", tuo_tun_wait(tun, tuo_tun_held(tun), -1) >= 0, strerror(errno));
    }
}
