/* udp_tunnel - a point-to-point tunnel over UDP with segmentation offloads on both sides.

   cc -std=c99 -O2 -I.. -o udp_tunnel udp_tunnel.c && ./udp_tunnel --help                        (plain text on the wire)
   cc -std=c99 -O2 -I.. -DUSE_SODIUM -o udp_tunnel udp_tunnel.c -lsodium                         (with --key-file)

   One packet of the TUN device travels as one UDP datagram: routers in between see ordinary datagrams. Offloads save the calls:

       TUN  --superpacket-->  split  --64 KiB of equal datagrams, UDP_SEGMENT-->  network
       TUN  <--superpacket--  coalesce  <--64 KiB of equal datagrams, UDP_GRO--   network

   Where the library is used: from_tun() reads and splits, to_tun() coalesces and writes. Packets are split into an arena, one
   behind the other, so that a batch of equal packets is one piece of memory, sent as it is. One thread, one epoll loop.

   With a key each datagram is [session 16][counter 8][encrypted packet][tag 16], XChaCha20-Poly1305: see "Encryption". */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sendmmsg, recvmmsg, getaddrinfo in strict C99 */
#endif
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#ifndef UDP_SEGMENT /* linux/udp.h since 4.18 and 5.0 */
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    PACKET_MAX = 65535,
    ARENA_LEN = 4 * 65536,    /* what is read from the TUN device at once; at least one packet of any size with its overhead */
    PACKETS_MAX = 512,        /* in one batch, either way */
    MESSAGES_MAX = 64,        /* in one sendmmsg */
    RECEIVES_MAX = 4,         /* in one recvmmsg, of 64 KiB each */
    SEGMENTS_MAX = 64,        /* datagrams in one UDP_SEGMENT message: what every kernel takes */
    DATAGRAMS_LEN_MAX = 65507, /* bytes in one message: an IPv4 packet less its headers */
    GSO_PAUSE = 4096,         /* datagrams sent singly before UDP_SEGMENT is tried again after a refusal */
    SOCKET_BUFFER = 4 << 20,
    WAIT_STEP_MS = 10,
    WAIT_MS = 1000,           /* longest wait for room in the socket or device; then the batch is dropped, as a router would */
    MTU_MAX = 65000,
    MTU_MIN_IP6 = 1280        /* RFC 8200 5: IPv6 is switched off below that */
};

struct options {
    const char *dev, *address4, *address6, *listen, *peer, *mtu, *key_file;
    int stats, no_gso, plain, help;
};

/* What was counted since the start, in the order in which it is printed. */
#define COUNTERS(X)                                                                                              \
    X(tun_in_packets) X(udp_out_datagrams) X(udp_out_bytes) X(udp_out_messages) X(gso_refused)                    \
    X(udp_in_messages) X(udp_in_datagrams) X(udp_in_bytes) X(tun_out_packets) X(rejected) X(dropped)

struct counters {
#define X(name) unsigned long long name;
    COUNTERS(X)
#undef X
};

/* A batch of packets, one behind the other: with the library's buffer callbacks a matter of arena_resize(). */
struct arena {
    size_t used, tail; /* tail: bytes left free behind each packet */
    uint8_t bytes[ARENA_LEN];
};

/* Datagrams that one message carries: all of one size, the last may be shorter. */
struct run {
    uint8_t *data;
    size_t len, size, count;
};

enum { SESSION_LEN = 16, NONCE_LEN = 24, TAG_LEN = 16, KEY_LEN = 32, WINDOW_WORDS = 32 };

struct crypto {
    int on, has_peer, wants_hello;
    uint8_t key[KEY_LEN], mine[SESSION_LEN], peer[SESSION_LEN];
    uint64_t sent, highest, window[WINDOW_WORDS];
};

struct tunnel {
    struct options options;
    tuo_tun *tun;
    int sock, family;
    uint32_t mtu;
    size_t head, tail;            /* of each datagram: 0 without a key */
    unsigned long long gso_from;  /* udp_out_datagrams from which UDP_SEGMENT is used */
    struct counters count;
    struct crypto crypto;
    struct arena arena;
    tuo_buf packets[PACKETS_MAX];
    void *pointers[PACKETS_MAX];  /* &packets[i] */
    int64_t give_up_ms;           /* waiting for room in the socket */
    uint8_t received[RECEIVES_MAX][PACKET_MAX];
};

/* Room for one control message with a number in it, aligned as a cmsghdr has to be. */
union control {
    size_t alignment;
    char room[CMSG_SPACE(sizeof(int))];
};

static volatile sig_atomic_t stop;
static void on_signal(int number) { stop = number; }

static void fail(const char *what, const char *why) {
    fprintf(stderr, "udp_tunnel: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    exit(1);
}

/* --- Encryption --- */
/* The nonce is session and counter. A session is the start time of a process and 8 random bytes, so it never comes again, and
   later ones compare greater. A datagram is sealed for the session of its receiver (as additional data): what was recorded before
   the receiver's start does not open. Within a session a window of counters refuses replays. A session gives way only to a later
   one, so clocks must not run backwards across a restart (or both sides are restarted).
   How sessions get known: an empty datagram sealed for nobody is a "hello"; the answer is an empty one, sealed for the session in
   the hello. Whoever learns a session answers once more, so that both know. There is no forward secrecy. */

#ifdef USE_SODIUM
#include <sodium.h>

static void put64(uint8_t *at, uint64_t value) {
    int i;
    for (i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *at) {
    uint64_t value = 0;
    int i;
    for (i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

static void crypto_start(struct tunnel *t) {
    struct crypto *const c = &t->crypto;
    uint8_t one_more;
    struct timespec now;
    const int fd = open(t->options.key_file, O_RDONLY);
    if (fd < 0) fail(t->options.key_file, strerror(errno));
    if (read(fd, c->key, KEY_LEN) != KEY_LEN || read(fd, &one_more, 1) != 0) {
        fail(t->options.key_file, "not 32 bytes (make it with: head -c 32 /dev/urandom)");
    }
    close(fd);
    if (sodium_init() < 0) fail("libsodium", "does not start");
    clock_gettime(CLOCK_REALTIME, &now);
    put64(c->mine, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    randombytes_buf(c->mine + 8, 8);
    c->on = c->wants_hello = 1;
    t->head = NONCE_LEN;
    t->tail = TAG_LEN;
}

/* Seal len bytes at datagram + NONCE_LEN in place. */
static void crypto_seal(struct crypto *c, uint8_t *datagram, size_t len, const uint8_t *receiver) {
    uint8_t *const body = datagram + NONCE_LEN;
    memcpy(datagram, c->mine, SESSION_LEN);
    put64(datagram + SESSION_LEN, ++c->sent);
    crypto_aead_xchacha20poly1305_ietf_encrypt(body, NULL, body, len, receiver, SESSION_LEN, NULL, datagram, c->key);
}

static int crypto_unseal(const struct crypto *c, uint8_t *datagram, size_t len, const uint8_t *receiver) {
    uint8_t *const body = datagram + NONCE_LEN;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(body, NULL, NULL, body, len - NONCE_LEN, receiver, SESSION_LEN, datagram,
                                                      c->key) == 0;
}

static const uint8_t nobody[SESSION_LEN];

static void crypto_send_empty(struct tunnel *t, const uint8_t *receiver) {
    uint8_t datagram[NONCE_LEN + TAG_LEN];
    crypto_seal(&t->crypto, datagram, 0, receiver);
    (void)!send(t->sock, datagram, sizeof datagram, 0); /* if it is lost, the next hello brings another */
}

/* The window holds counters of the last WINDOW_WORDS words of 64 (RFC 6479). */
static int crypto_replayed(const struct crypto *c, uint64_t n) {
    if (n > c->highest) return 0;
    return c->highest / 64 - n / 64 >= WINDOW_WORDS || (c->window[n / 64 % WINDOW_WORDS] >> n % 64 & 1);
}

static void crypto_mark(struct crypto *c, uint64_t n) {
    uint64_t word = c->highest / 64;
    if (n > c->highest) {
        if (n / 64 - word > WINDOW_WORDS) word = n / 64 - WINDOW_WORDS;
        while (word < n / 64) c->window[++word % WINDOW_WORDS] = 0;
        c->highest = n;
    }
    c->window[n / 64 % WINDOW_WORDS] |= (uint64_t)1 << n % 64;
}

/* Open a datagram in place. Returns 1 if there is a packet in it, 0 if it was for us, -1 if it is to be ignored. */
static int crypto_open(struct tunnel *t, uint8_t *datagram, size_t len) {
    struct crypto *const c = &t->crypto;
    uint64_t n;
    int later;
    if (len < NONCE_LEN + TAG_LEN || memcmp(datagram, c->mine, SESSION_LEN) == 0) return -1; /* our own, sent back by somebody */
    later = c->has_peer ? memcmp(datagram, c->peer, SESSION_LEN) : 1;
    if (later < 0) return -1;
    n = get64(datagram + SESSION_LEN);
    if (later == 0 && crypto_replayed(c, n)) return -1;
    if (!crypto_unseal(c, datagram, len, c->mine)) {
        if (len == NONCE_LEN + TAG_LEN && crypto_unseal(c, datagram, len, nobody)) {
            crypto_send_empty(t, datagram); /* a hello */
            return 0;
        }
        c->wants_hello = 1; /* sealed for the session before this one, perhaps: introduce ourselves */
        return -1;
    }
    if (later > 0) {
        memcpy(c->peer, datagram, SESSION_LEN);
        memset(c->window, 0, sizeof c->window);
        c->highest = 0;
        c->has_peer = 1;
        crypto_send_empty(t, c->peer);
    }
    crypto_mark(c, n);
    return len > NONCE_LEN + TAG_LEN;
}

/* Once a second at most. */
static void crypto_hello(struct tunnel *t) {
    if (t->crypto.on && (t->crypto.wants_hello || !t->crypto.has_peer)) crypto_send_empty(t, nobody);
    t->crypto.wants_hello = 0;
}

#else
static void crypto_start(struct tunnel *t) {
    (void)t;
    fail("--key-file", "this program was built without libsodium (-DUSE_SODIUM -lsodium)");
}
static void crypto_seal(struct crypto *c, uint8_t *d, size_t n, const uint8_t *r) { (void)c, (void)d, (void)n, (void)r; }
static int crypto_open(struct tunnel *t, uint8_t *d, size_t n) { return (void)t, (void)d, (void)n, -1; }
static void crypto_hello(struct tunnel *t) { (void)t; }
#endif

/* --- TUN to UDP --- */

static uint8_t *arena_data(void *user, void *buf) {
    (void)user;
    return ((tuo_buf *)buf)->data;
}

static size_t arena_length(void *user, const void *buf) {
    (void)user;
    return ((const tuo_buf *)buf)->len;
}

static size_t arena_capacity(void *user, const void *buf) {
    const struct arena *const arena = (const struct arena *)user;
    const size_t left = sizeof arena->bytes - arena->used;
    (void)buf;
    return left > arena->tail ? left - arena->tail : 0;
}

/* tuo_tun_recv_batch sizes each buffer once, in order, after it has asked for the capacity. */
static int arena_resize(void *user, void *buf, size_t len) {
    struct arena *const arena = (struct arena *)user;
    tuo_buf *const packet = (tuo_buf *)buf;
    packet->data = arena->bytes + arena->used;
    packet->len = len;
    arena->used += len + arena->tail;
    return 0;
}

static int arena_append(void *user, void *buf, const uint8_t *bytes, size_t len) {
    return (void)user, (void)buf, (void)bytes, (void)len, -1; /* receiving never appends */
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A little at a time, as POLLOUT comes when half of the buffer is empty, and a message may fit long before that. */
static int wait_writable(const struct tunnel *t) {
    struct pollfd poll_fd;
    poll_fd.fd = t->sock;
    poll_fd.events = POLLOUT;
    return now_ms() < t->give_up_ms && poll(&poll_fd, 1, WAIT_STEP_MS) >= 0;
}

/* After a failed send: 1 if the same can be tried again. */
static int try_again(const struct tunnel *t) {
    switch (errno) {
        case EINTR: return !stop;
        case ECONNREFUSED: return 1; /* the peer's answer to an earlier datagram; reported once */
        case EAGAIN: case ENOBUFS: return wait_writable(t);
        default: return 0;
    }
}

/* EIO: no checksum offload or IPsec on the way out. EINVAL, EMSGSIZE: datagrams are larger than the path MTU. */
static int refuses_gso(int error) { return error == EIO || error == EINVAL || error == EMSGSIZE; }

/* The longest run at the start of packets. They lie behind each other in the arena. */
static struct run next_run(const struct tunnel *t, const tuo_buf *packets, size_t count) {
    const int gso = !t->options.no_gso && t->count.udp_out_datagrams >= t->gso_from; /* not in the pause after a refusal */
    struct run longest;
    longest.data = packets[0].data;
    longest.len = longest.size = packets[0].len + t->tail;
    longest.count = 1;
    while (gso && longest.count < count && longest.count < SEGMENTS_MAX) {
        const size_t len = packets[longest.count].len + t->tail;
        if (len > longest.size || longest.len + len > DATAGRAMS_LEN_MAX) break;
        longest.len += len;
        longest.count++;
        if (len < longest.size) break;
    }
    return longest;
}

/* A message of one run: with more than one datagram it tells the kernel where to cut. */
static void fill_message(struct mmsghdr *message, struct iovec *iov, union control *control, const struct run *run) {
    memset(message, 0, sizeof *message);
    iov->iov_base = run->data;
    iov->iov_len = run->len;
    message->msg_hdr.msg_iov = iov;
    message->msg_hdr.msg_iovlen = 1;
    if (run->count > 1) {
        const uint16_t size = (uint16_t)run->size;
        struct cmsghdr *c;
        message->msg_hdr.msg_control = control;
        message->msg_hdr.msg_controllen = CMSG_SPACE(sizeof size);
        c = CMSG_FIRSTHDR(&message->msg_hdr);
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(c), &size, sizeof size);
    }
}

/* Returns how many of the runs are dealt with: all, or those up to one that was refused. */
static unsigned send_messages(struct tunnel *t, struct mmsghdr *messages, const struct run *runs, unsigned count) {
    unsigned done = 0;
    while (done < count) {
        const int sent = sendmmsg(t->sock, messages + done, count - done, 0);
        const unsigned end = sent > 0 ? done + (unsigned)sent : done;
        if (sent < 0 && runs[done].count > 1 && refuses_gso(errno)) {
            t->count.gso_refused++;
            t->gso_from = t->count.udp_out_datagrams + GSO_PAUSE;
            break;
        }
        if (sent < 0 && !try_again(t)) t->count.dropped += runs[done++].count;
        for (; done < end; done++) {
            t->count.udp_out_messages++;
            t->count.udp_out_datagrams += runs[done].count;
            t->count.udp_out_bytes += runs[done].len;
        }
    }
    return done;
}

/* What is refused is planned again. UDP_SEGMENT pauses by then, so the same datagrams go out singly; those larger than the path
   MTU as IP fragments. */
static void to_udp(struct tunnel *t, const tuo_buf *packets, size_t count) {
    struct mmsghdr messages[MESSAGES_MAX];
    struct iovec iov[MESSAGES_MAX];
    union control control[MESSAGES_MAX];
    struct run runs[MESSAGES_MAX];
    t->give_up_ms = now_ms() + WAIT_MS; /* for all of them: nothing else is done meanwhile */
    while (count) {
        unsigned n, done;
        size_t planned = 0;
        for (n = 0; n < MESSAGES_MAX && planned < count; n++) {
            runs[n] = next_run(t, packets + planned, count - planned);
            fill_message(&messages[n], &iov[n], &control[n], &runs[n]);
            planned += runs[n].count;
        }
        done = send_messages(t, messages, runs, n);
        while (n > done) planned -= runs[--n].count;
        packets += planned;
        count -= planned;
    }
}

/* 1: segments may be left in the queue, where epoll does not see them: packets or arena ran out. */
static int from_tun(struct tunnel *t) {
    const tuo_buf_ops ops = {&t->arena, arena_data, arena_length, arena_capacity, arena_resize, arena_append};
    size_t i, received;
    tuo_result result;
    t->arena.used = 0;
    t->arena.tail = t->tail;
    result = tuo_tun_recv_batch(t->tun, &ops, t->pointers, PACKETS_MAX, t->head, &received);
    if (result == TUO_AGAIN) return 0;
    if (result != TUO_OK) fail(tuo_tun_name(t->tun), tuo_result_text(result));
    t->count.tun_in_packets += received;
    if (t->crypto.on && !t->crypto.has_peer) { /* nobody to seal it for yet */
        t->count.dropped += received;
        return received == PACKETS_MAX;
    }
    for (i = 0; t->crypto.on && i < received; i++) {
        crypto_seal(&t->crypto, t->packets[i].data, t->packets[i].len - t->head, t->crypto.peer);
    }
    to_udp(t, t->packets, received);
    return received == PACKETS_MAX || t->arena.used > sizeof t->arena.bytes / 2;
}

/* --- UDP to TUN --- */

/* Coalesce and write. What the device does not take within WAIT_MS is dropped. */
static void to_tun(struct tunnel *t, size_t count) {
    size_t first = 0, taken;
    while (first < count) {
        tuo_result result = tuo_tun_send_batch(t->tun, NULL, t->pointers + first, count - first, 0, &taken);
        first += taken;
        while (result == TUO_AGAIN && tuo_tun_wait(t->tun, 1, WAIT_MS) == TUO_OK) result = tuo_tun_flush(t->tun);
        if (result == TUO_OK) {
            t->count.tun_out_packets += taken;
            continue;
        }
        tuo_tun_discard(t->tun); /* some may be out already */
        t->count.dropped += taken + count - first;
        if (result != TUO_E_GONE) return; /* down: it may come up again; out of memory: so may that */
        fail(tuo_tun_name(t->tun), tuo_result_text(result));
    }
}

/* Size of the datagrams in a received message. */
static size_t datagram_size(struct msghdr *message, size_t len) {
    struct cmsghdr *c;
    for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        int size;
        if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
        memcpy(&size, CMSG_DATA(c), sizeof size);
        if (size > 0) return (size_t)size;
    }
    return len;
}

/* Cut a message into packets; returns the new number of packets in the batch. */
static size_t cut(struct tunnel *t, uint8_t *data, size_t len, size_t size, size_t count) {
    size_t at, piece;
    t->count.udp_in_messages++;
    t->count.udp_in_bytes += len;
    for (at = 0; at < len; at += piece) {
        tuo_buf *packet;
        piece = len - at < size ? len - at : size;
        t->count.udp_in_datagrams++;
        if (t->crypto.on) {
            const int opened = crypto_open(t, data + at, piece);
            t->count.rejected += opened < 0;
            if (opened <= 0) continue;
        }
        if (count == PACKETS_MAX) {
            to_tun(t, count);
            count = 0;
        }
        packet = &t->packets[count++];
        packet->data = data + at + t->head;
        packet->len = packet->capacity = piece - t->head - t->tail;
    }
    return count;
}

static void from_udp(struct tunnel *t) {
    struct mmsghdr messages[RECEIVES_MAX];
    struct iovec iov[RECEIVES_MAX];
    union control control[RECEIVES_MAX];
    size_t count = 0;
    int i, received;
    memset(messages, 0, sizeof messages);
    for (i = 0; i < RECEIVES_MAX; i++) {
        iov[i].iov_base = t->received[i];
        iov[i].iov_len = PACKET_MAX;
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = &control[i];
        messages[i].msg_hdr.msg_controllen = sizeof control[i];
    }
    received = recvmmsg(t->sock, messages, RECEIVES_MAX, 0, NULL);
    for (i = 0; i < received; i++) {
        const size_t len = messages[i].msg_len;
        count = cut(t, t->received[i], len, datagram_size(&messages[i].msg_hdr, len), count);
    }
    to_tun(t, count); /* a failure reports something sent earlier (the peer was not there), or nothing: the next event tells */
}

/* --- MTU --- */

/* What fits a datagram on the way to the peer, as far as the kernel knows. */
static uint32_t fitting_mtu(const struct tunnel *t) {
    const int ip4 = t->family == AF_INET;
    const int overhead = (ip4 ? 20 : 40) + 8 + (int)(t->head + t->tail);
    int path = 0;
    socklen_t len = sizeof path;
    if (getsockopt(t->sock, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU : IPV6_MTU, &path, &len) < 0) path = 1500;
    path -= overhead;
    if (path > MTU_MAX) path = MTU_MAX;
    if (path < MTU_MIN_IP6) path = MTU_MIN_IP6; /* fragments then */
    return (uint32_t)path;
}

/* The path MTU can change: a route, or a router that said so. */
static void follow_mtu(struct tunnel *t) {
    const uint32_t mtu = fitting_mtu(t);
    if (t->options.mtu || mtu == t->mtu) return;
    if (tuo_tun_set_mtu(t->tun, mtu) != TUO_OK) return;
    fprintf(stderr, "udp_tunnel: MTU %u\n", (unsigned)mtu);
    t->mtu = mtu;
}

/* --- Start --- */

/* "ADDRESS:PORT", "[ADDRESS]:PORT", ":PORT". */
static struct addrinfo *resolve(const char *text, int family, int passive) {
    char host[256];
    struct addrinfo hints, *found = NULL;
    const char *const colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    int error;
    if (!colon || len >= sizeof host) fail(text, "not ADDRESS:PORT");
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = family;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    error = getaddrinfo(len ? host : NULL, colon + 1, &hints, &found);
    if (error) fail(text, gai_strerror(error));
    return found;
}

static void open_socket(struct tunnel *t) {
    struct addrinfo *const peer = resolve(t->options.peer, AF_UNSPEC, 0);
    struct addrinfo *const here = resolve(t->options.listen, peer->ai_family, 1);
    const int on = 1, room = SOCKET_BUFFER;
    t->family = peer->ai_family;
    t->sock = socket(t->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->sock < 0) fail("socket", strerror(errno));
    if (bind(t->sock, here->ai_addr, here->ai_addrlen) < 0) fail(t->options.listen, strerror(errno));
    if (connect(t->sock, peer->ai_addr, peer->ai_addrlen) < 0) fail(t->options.peer, strerror(errno));
    /* Superpackets fill default buffers quickly. FORCE goes beyond the system limit, with the privilege that a new TUN takes. */
    (void)setsockopt(t->sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    (void)setsockopt(t->sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    (void)setsockopt(t->sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    (void)setsockopt(t->sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    /* A kernel that does not know it delivers one datagram per message. */
    if (!t->options.plain) (void)setsockopt(t->sock, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    freeaddrinfo(peer);
    freeaddrinfo(here);
}

static void open_tun(struct tunnel *t) {
    tuo_tun_desc desc;
    tuo_result result;
    char none[1] = "", *end = none;
    int error = 0;
    memset(&desc, 0, sizeof desc);
    desc.name = t->options.dev;
    desc.address4 = t->options.address4;
    desc.address6 = t->options.address6;
    const unsigned long mtu = t->options.mtu ? strtoul(t->options.mtu, &end, 10) : fitting_mtu(t);
    if (mtu < 68 || mtu > MTU_MAX || *end || (t->options.mtu && *t->options.mtu == '-')) fail(t->options.mtu, "not an MTU");
    desc.mtu = t->mtu = (uint32_t)mtu;
    desc.up = 1;
    desc.no_vnet_hdr = (uint8_t)t->options.plain;
    desc.gro.max_packets = PACKETS_MAX;
    if (getrandom(&desc.gro.hash_seed, sizeof desc.gro.hash_seed, 0) < 0) fail("getrandom", strerror(errno));
    result = tuo_tun_open(&t->tun, &desc, &error);
    if (result != TUO_OK) fail(t->options.dev ? t->options.dev : "TUN device", error ? strerror(error) : tuo_result_text(result));
}

static void print_counters(const struct tunnel *t, FILE *out) {
    struct rusage usage;
    tuo_tun_rx_stats rx;
    tuo_tun_tx_stats tx;
    tuo_tun_query_rx_stats(t->tun, &rx);
    tuo_tun_query_tx_stats(t->tun, &tx);
    getrusage(RUSAGE_SELF, &usage);
#define X(name) fprintf(out, #name "=%llu ", t->count.name);
    COUNTERS(X)
#undef X
    fprintf(out, "superpackets_in=%llu superpackets_out=%llu user_s=%.2f sys_s=%.2f\n", (unsigned long long)rx.rx_superpackets,
            (unsigned long long)tx.tx_superpackets, (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
            (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6);
    fflush(out);
}

/* --- Loop --- */

static void every_second(struct tunnel *t) {
    static int64_t last;
    const int64_t now = now_ms() / 1000;
    if (now == last) return;
    last = now;
    crypto_hello(t);
    follow_mtu(t);
    if (t->options.stats) print_counters(t, stdout);
}

static void run(struct tunnel *t) {
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct sigaction action;
    sigset_t blocked, before;
    int i, more = 0;
    if (epoll_fd < 0) fail("epoll_create1", strerror(errno));
    for (i = 0; i < 2; i++) {
        struct epoll_event event;
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN;
        event.data.fd = i ? t->sock : tuo_tun_fd(t->tun);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0) fail("epoll_ctl", strerror(errno));
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&blocked); /* signals arrive in epoll_pwait only, so that none is missed between the test of stop and the wait */
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    while (!stop) {
        struct epoll_event events[2];
        const int ready = epoll_pwait(epoll_fd, events, 2, more ? 0 : WAIT_MS, &before);
        for (i = 0; i < ready; i++) {
            if (events[i].data.fd == t->sock) from_udp(t);
            else more = 1;
        }
        more = more && from_tun(t);
        every_second(t);
    }
    close(epoll_fd);
}

static void parse_options(struct options *o, int argc, char **argv) {
    const struct {
        const char *name, **text;
        int *flag;
        const char *help;
    } table[] = {
        {"--dev", &o->dev, NULL, "NAME         name of the TUN device (default: the kernel's choice)"},
        {"--address", &o->address4, NULL, "A/LEN        its IPv4 address, e.g. 10.0.0.1/24"},
        {"--address6", &o->address6, NULL, "A/LEN        its IPv6 address, e.g. fd00::1/64"},
        {"--listen", &o->listen, NULL, "[ADDR]:PORT  this side's UDP address; an IPv6 address in brackets"},
        {"--peer", &o->peer, NULL, "ADDR:PORT    the other side's"},
        {"--mtu", &o->mtu, NULL, "N            of the TUN device (default: follows the path MTU to the peer)"},
        {"--key-file", &o->key_file, NULL, "FILE         32 secret bytes that both sides have"},
        {"--no-gso", NULL, &o->no_gso, "             send every datagram in a message of its own"},
        {"--plain", NULL, &o->plain, "             no offloads on either side, for comparison"},
        {"--stats", NULL, &o->stats, "             a line of counters every second; one is printed at the end in any case"},
        {"--help", NULL, &o->help, "             this list"},
    };
    const size_t count = sizeof table / sizeof table[0];
    size_t k;
    int i;
    for (i = 1; i < argc; i++) {
        for (k = 0; k < count && strcmp(argv[i], table[k].name) != 0; k++) continue;
        if (k == count || (table[k].text && i + 1 == argc)) {
            fprintf(stderr, "udp_tunnel: %s: %s\n", argv[i], k == count ? "unknown option" : "needs a value");
            exit(2);
        }
        if (table[k].text) *table[k].text = argv[++i];
        else *table[k].flag = 1;
    }
    if (o->plain) o->no_gso = 1;
    if (!o->help && o->listen && o->peer) return;
    fprintf(o->help ? stdout : stderr, "udp_tunnel --listen [ADDR]:PORT --peer ADDR:PORT [options]\n");
    for (k = 0; k < count; k++) fprintf(o->help ? stdout : stderr, "  %-11s%s\n", table[k].name, table[k].help);
    exit(o->help ? 0 : 2);
}

int main(int argc, char **argv) {
    static struct tunnel t;
    int i;
    parse_options(&t.options, argc, argv);
    for (i = 0; i < PACKETS_MAX; i++) t.pointers[i] = &t.packets[i];
    if (t.options.key_file) crypto_start(&t);
    else fputs("udp_tunnel: warning: no --key-file: anybody on the way can read and forge what passes through\n", stderr);
    open_socket(&t);
    open_tun(&t);
    fprintf(stderr, "udp_tunnel: %s is up, MTU %u, peer %s\n", tuo_tun_name(t.tun), (unsigned)t.mtu, t.options.peer);
    run(&t);
    print_counters(&t, stdout);
    tuo_tun_close(t.tun);
    close(t.sock);
    return 0;
}
