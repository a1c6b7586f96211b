/* interfaces.h - what tests ask of network interfaces and TUN descriptors, past the library, and a peer at the other end of a device.
   Include it after check.h, with _GNU_SOURCE defined. It needs no implementation of tunoffload.h. */
#ifndef INTERFACES_H
#define INTERFACES_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* ------------------------------------------------------------------------------------------------------- asking an interface */

static inline void set_request_name(struct ifreq *request, const char *name)
{
    memset(request, 0, sizeof *request);
    snprintf(request->ifr_name, sizeof request->ifr_name, "%s", name);
}

/* An ioctl of an interface by name: the request afterwards, or errno in *error. */
static inline struct ifreq interface_ioctl(const char *name, unsigned long what, struct ifreq request, int *error)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    *error = ioctl(fd, what, &request) == 0 ? 0 : errno;
    close(fd);
    return request;
}

static inline struct ifreq interface_ask(const char *name, unsigned long what, int *error)
{
    struct ifreq request;

    set_request_name(&request, name);
    return interface_ioctl(name, what, request, error);
}

static inline int interface_index(const char *name)
{
    int error;
    struct ifreq request = interface_ask(name, SIOCGIFINDEX, &error);

    return error ? -error : request.ifr_ifindex;
}

static inline int interface_exists(const char *name)
{
    return interface_index(name) > 0;
}

static inline int interface_flags(const char *name)
{
    int error;
    struct ifreq request = interface_ask(name, SIOCGIFFLAGS, &error);

    return error ? 0 : request.ifr_flags;
}

static inline int interface_mtu(const char *name)
{
    int error;
    struct ifreq request = interface_ask(name, SIOCGIFMTU, &error);

    return error ? -error : request.ifr_mtu;
}

/* A feature of the device by ethtool: 0 or 1. */
static inline int interface_feature(const char *name, uint32_t command)
{
    struct ethtool_value value;
    struct ifreq request;
    int error;

    memset(&value, 0, sizeof value);
    value.cmd = command;
    set_request_name(&request, name);
    request.ifr_data = (char *)&value;
    interface_ioctl(name, SIOCETHTOOL, request, &error);
    return error ? -error : value.data != 0;
}

static inline int has_address(const char *name, int family, const char *text)
{
    struct ifaddrs *all = NULL, *each;
    char found[64];
    int has = 0;

    CHECK_EQ_INT(getifaddrs(&all), 0);
    for (each = all; each; each = each->ifa_next) {
        if (!each->ifa_addr || each->ifa_addr->sa_family != family || strcmp(each->ifa_name, name) != 0)
            continue;
        if (family == AF_INET)
            inet_ntop(family, &((struct sockaddr_in *)(void *)each->ifa_addr)->sin_addr, found, sizeof found);
        else
            inet_ntop(family, &((struct sockaddr_in6 *)(void *)each->ifa_addr)->sin6_addr, found, sizeof found);
        has |= strcmp(found, text) == 0;
    }
    freeifaddrs(all);
    return has;
}

/* -------------------------------------------------------------------------------------------------------- changing one */

static inline int interface_set_up(const char *name, int up)
{
    int error;
    struct ifreq request = interface_ask(name, SIOCGIFFLAGS, &error);

    if (!error && ((request.ifr_flags & IFF_UP) != 0) == up)
        return 0;
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    if (!error)
        interface_ioctl(name, SIOCSIFFLAGS, request, &error);
    return error;
}

static inline int interface_set_mtu(const char *name, int mtu)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    request.ifr_mtu = mtu;
    interface_ioctl(name, SIOCSIFMTU, request, &error);
    return error;
}

static inline int interface_rename(const char *name, const char *to)
{
    struct ifreq request;
    int error;

    set_request_name(&request, name);
    snprintf(request.ifr_newname, sizeof request.ifr_newname, "%s", to);
    interface_ioctl(name, SIOCSIFNAME, request, &error);
    return error;
}

/* A message about an interface, to be extended by attributes. */
typedef struct link_message {
    struct nlmsghdr header;
    struct ifinfomsg link;
    uint8_t attributes[128];
} link_message;

static inline void link_begin(link_message *m, uint16_t type, uint16_t flags, int index)
{
    memset(m, 0, sizeof *m);
    m->header.nlmsg_len = NLMSG_LENGTH(sizeof m->link);
    m->header.nlmsg_type = type;
    m->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    m->link.ifi_index = index;
}

static inline void link_add(link_message *m, unsigned type, const void *value, size_t len)
{
    struct rtattr attribute;

    attribute.rta_type = (unsigned short)type;
    attribute.rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy((uint8_t *)m + m->header.nlmsg_len, &attribute, sizeof attribute);
    memcpy((uint8_t *)m + m->header.nlmsg_len + RTA_LENGTH(0), value, len);
    m->header.nlmsg_len += (uint32_t)RTA_SPACE(len);
}

/* errno, or 0. */
static inline int link_send(const link_message *m)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[512];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), error = 0;

    memset(&reply, 0, sizeof reply);
    if (send(fd, m, m->header.nlmsg_len, 0) < 0 || recv(fd, &reply, sizeof reply, 0) < 0)
        error = errno;
    close(fd);
    return error ? error : -reply.error.error;
}

/* The attribute of this type in bytes[0..len): its value and length, or NULL. */
static inline const uint8_t *link_find(const uint8_t *bytes, size_t *len, unsigned type)
{
    struct rtattr attribute;
    size_t left = *len;

    for (; left >= sizeof attribute; bytes += RTA_ALIGN(attribute.rta_len), left -= RTA_ALIGN(attribute.rta_len)) {
        memcpy(&attribute, bytes, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > left)
            break;
        if ((attribute.rta_type & 0x3fff) == type) {
            *len = attribute.rta_len - RTA_LENGTH(0);
            return bytes + RTA_LENGTH(0);
        }
        if (RTA_ALIGN(attribute.rta_len) > left)
            break;
    }
    return NULL;
}

/* What rtnetlink says of a TUN device (Linux 4.20): IFLA_TUN_* of linux/if_link.h; -1: it does not say. Queues are counted of a
   multi-queue device only. */
enum { TUN_OWNER = 1, TUN_GROUP = 2, TUN_PERSIST = 6, TUN_NUM_QUEUES = 8 };
static inline long interface_tun_fact(const char *name, unsigned fact)
{
    static uint8_t reply[16384];
    const size_t body = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    const uint8_t *found = NULL;
    uint32_t value = 0;
    link_message m;
    size_t len;
    ssize_t n;

    link_begin(&m, RTM_GETLINK, 0, interface_index(name));
    m.header.nlmsg_flags = NLM_F_REQUEST;
    n = send(fd, &m, m.header.nlmsg_len, 0) < 0 ? -1 : recv(fd, reply, sizeof reply, 0);
    close(fd);
    if (n < (ssize_t)body)
        return -1;
    len = (size_t)n - body;
    found = link_find(reply + body, &len, IFLA_LINKINFO);
    found = found ? link_find(found, &len, IFLA_INFO_DATA) : NULL;
    found = found ? link_find(found, &len, fact) : NULL;
    if (!found || len > sizeof value)
        return -1;
    memcpy(&value, found, len); /* a byte or four, in the order of the machine */
    return fact == TUN_PERSIST ? (long)found[0] : (long)value;
}

static inline void interface_delete(const char *name)
{
    link_message m;

    link_begin(&m, RTM_DELLINK, 0, interface_index(name));
    CHECK_EQ_INT(link_send(&m), 0);
}

/* To the network namespace of this descriptor. */
static inline int interface_move(const char *name, int netns_fd)
{
    link_message m;

    link_begin(&m, RTM_NEWLINK, 0, interface_index(name));
    link_add(&m, IFLA_NET_NS_FD, &netns_fd, sizeof netns_fd);
    return link_send(&m);
}

/* A pair of veth devices, the first with this name and index: an interface that is no TUN. */
static inline int interface_make_veth(const char *name, int index)
{
    static const char kind[] = "veth";
    struct rtattr kind_attribute;
    uint8_t info[16] = {0};
    link_message m;

    kind_attribute.rta_type = IFLA_INFO_KIND;
    kind_attribute.rta_len = (unsigned short)RTA_LENGTH(sizeof kind);
    memcpy(info, &kind_attribute, sizeof kind_attribute);
    memcpy(info + RTA_LENGTH(0), kind, sizeof kind);
    link_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, index);
    link_add(&m, IFLA_IFNAME, name, strlen(name) + 1);
    link_add(&m, IFLA_LINKINFO, info, RTA_SPACE(sizeof kind));
    return link_send(&m);
}

/* ---------------------------------------------------------------------------------------------------- TUN descriptors */

/* A descriptor attached by TUNSETIFF, as any other program makes it; -errno. */
static inline int raw_open(const char *name, int flags, int open_flags)
{
    struct ifreq request;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | open_flags), error;

    if (fd < 0)
        return -errno;
    set_request_name(&request, name);
    request.ifr_flags = (short)flags;
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

static inline int get_flags(int fd)
{
    struct ifreq request;

    memset(&request, 0, sizeof request);
    return ioctl(fd, TUNGETIFF, &request) == 0 ? (unsigned short)request.ifr_flags : -errno;
}

static inline int get_vnet_len(int fd)
{
    int len = 0;

    return ioctl(fd, TUNGETVNETHDRSZ, &len) == 0 ? len : -errno;
}

/* ------------------------------------------------------------------------------------------------------- the other end */

/* The kernel's side of devices, by a packet socket: sees what is written to them, and sends what is read from them. The interfaces
   must be up. One for all, since closing it takes 15 ms. Its buffer holds some hundred packets; more where one may ask for that. */
static inline int peer_open(void)
{
    struct sockaddr_ll address;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), len = 8 * 1024 * 1024;

    (void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof len);
    memset(&address, 0, sizeof address);
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Of one interface: what follows needs no other socket. */
typedef struct peer {
    int fd, index;
} peer;

static inline peer peer_at(int fd, const char *name)
{
    peer p;

    p.fd = fd;
    p.index = interface_index(name);
    return p;
}

static inline int peer_sends(peer p, const void *bytes, size_t len, int is_v6)
{
    struct sockaddr_ll address;

    memset(&address, 0, sizeof address);
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(is_v6 ? ETH_P_IPV6 : ETH_P_IP);
    address.sll_ifindex = p.index;
    return sendto(p.fd, bytes, len, 0, (const struct sockaddr *)&address, sizeof address) == (ssize_t)len;
}

/* The next packet from the device: its length; 0: none comes for wait_ms. What the socket itself sends it sees, too. */
static inline size_t peer_next(peer p, void *bytes, size_t capacity, int wait_ms)
{
    struct pollfd poller = {p.fd, POLLIN, 0};
    struct sockaddr_ll from;

    for (;;) {
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(p.fd, bytes, capacity, 0, (struct sockaddr *)&from, &from_len);
        if (n > 0 && from.sll_ifindex == p.index && from.sll_pkttype != PACKET_OUTGOING)
            return (size_t)n;
        if (n < 0 && poll(&poller, 1, wait_ms) <= 0)
            return 0;
    }
}

/* Reads until exactly these bytes come. */
static inline int peer_receives(peer p, const void *bytes, size_t len, int wait_ms)
{
    static uint8_t got[65536 + 64];
    size_t n;

    while ((n = peer_next(p, got, sizeof got, wait_ms)) != 0)
        if (n == len && memcmp(got, bytes, len) == 0)
            return 1;
    return 0;
}

#endif /* INTERFACES_H */
