/* io_uring - is io_uring cheaper than read and write on a TUN device? Prints a table, needs root and liburing.

   cc -std=c99 -O2 -I. -Itests/lib -o build/bench/io_uring tests/bench/io_uring.c -luring && build/bench/io_uring [ROUNDS]

   One thread, one TUN device in a network namespace of its own, one packet size at a time:
   small        100 bytes of UDP payload, nothing to merge: system calls weigh most
   superpacket  46 x 1400 bytes of UDP payload in one packet with a vnet header: copying weighs most
   read         the device's queue is filled by a socket (not timed), then emptied in batches
   write        packets go to a UDP socket whose buffer is full: all of the kernel's receive path but the last queue
   gather       as write, each superpacket in 47 pieces, as GRO emits it
   forward      read a batch, write it to a second device, as a bridge does; never waits. The kernel drops what is written when it
                looks up the route: the source address is its own

   Both ways use the same buffers, one per packet of a batch. The ring has a registered file and registered buffers, one
   io_uring_enter for each batch (submit and wait for all), SINGLE_ISSUER and DEFER_TASKRUN where the kernel has them. multishot:
   one request that is never renewed, and a ring of provided buffers. No SQPOLL: it costs a CPU of its own.
   CPU is CLOCK_PROCESS_CPUTIME_ID: every thread of the process, so also the kernel's io-wq workers, user and system time. Rounds
   are interleaved: each runs every variant once. Reported: medians per packet, and the median ratio to system calls in the same
   round and with the same batch. */
#define _GNU_SOURCE
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "check.h"
#include "netns.h"

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

enum {
    SMALL_PAYLOAD = 100, SUPER_PAYLOAD = 46 * 1400, SEGMENT = 1400,
    HEADERS = 28, VNET = TUO_VNET_LEN,
    BATCH_MAX = 128, PIECES_MAX = 48,
    BUFFER_LEN = 66 * 1024,
    OP_READ_MULTISHOT = 49,    /* Linux 6.7; liburing of Debian 12 has no name for it */
    GROUP = 1, ROUNDS_MAX = 101,
    FILLS = 30                 /* of the device's queue, in each sample */
};

/* What a sample does with each batch. */
enum way { SYSCALLS, RING, MULTISHOT, WAYS };
enum work { READ, WRITE, GATHER, FORWARD };
static const char *const way_names[WAYS] = {"system calls", "io_uring", "multishot"};
static const char *const work_names[] = {"read", "write", "gather", "forward"};

struct variant {
    enum work work;
    int superpacket;
    unsigned batch;
};

static const struct variant variants[] = {
    {READ, 0, 1}, {READ, 0, 8}, {READ, 0, 32}, {READ, 0, 128},
    {WRITE, 0, 1}, {WRITE, 0, 8}, {WRITE, 0, 32}, {WRITE, 0, 128},
    {FORWARD, 0, 8}, {FORWARD, 0, 32}, {FORWARD, 0, 128},
    {READ, 1, 1}, {READ, 1, 4}, {READ, 1, 16},
    {WRITE, 1, 1}, {WRITE, 1, 4}, {WRITE, 1, 16},
    {GATHER, 1, 1}, {GATHER, 1, 4}, {GATHER, 1, 16},
    {FORWARD, 1, 4}, {FORWARD, 1, 16},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static struct {
    tuo_tun *source, *sink;
    int sender, receiver;      /* UDP sockets: fills the source's queue; is what the sink's packets are for */
    struct io_uring ring;
    struct io_uring_buf_ring *provided;
    unsigned provided_tail;
    int multishot_works, multishot_armed;
    uint8_t *buffers;          /* BATCH_MAX of BUFFER_LEN */
    struct iovec pieces[BATCH_MAX][PIECES_MAX];
    uint8_t template_packet[BUFFER_LEN];
    size_t packet_len;         /* with vnet header */
} bench;

static double cpu_ns[VARIANTS][WAYS][ROUNDS_MAX], wall_ns[VARIANTS][WAYS][ROUNDS_MAX];

static void die(const char *what)
{
    fprintf(stderr, "io_uring: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint8_t *buffer(unsigned i) { return bench.buffers + (size_t)i * BUFFER_LEN; }

static double clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- devices, sockets, packets --- */

static tuo_tun *open_device(const char *address)
{
    tuo_tun_desc desc = {0};
    tuo_tun *tun = NULL;
    int error = 0;

    desc.up = 1;
    desc.address4 = address;
    if (tuo_tun_open(&tun, &desc, &error) != TUO_OK) {
        errno = error;
        die("TUN device");
    }
    return tun;
}

static void open_sockets(void)
{
    struct sockaddr_in to;
    int one = 1, small = 1;

    bench.sender = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    bench.receiver = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(7001);
    inet_pton(AF_INET, "10.201.0.2", &to.sin_addr);
    if (connect(bench.sender, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    inet_pton(AF_INET, "10.202.0.1", &to.sin_addr);
    if (bind(bench.receiver, (struct sockaddr *)&to, sizeof to) != 0)
        die("bind");
    if (setsockopt(bench.receiver, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) != 0 ||
        setsockopt(bench.receiver, IPPROTO_UDP, UDP_GRO, &one, sizeof one) != 0)
        die("setsockopt");
}

/* What the sink is written: from its far side to the receiver. */
static void make_template(int superpacket)
{
    const size_t payload = superpacket ? SUPER_PAYLOAD : SMALL_PAYLOAD, udp_len = 8 + payload;
    uint8_t *const ip = bench.template_packet + VNET, *const udp = ip + 20;
    uint16_t sum;

    memset(bench.template_packet, 0, sizeof bench.template_packet);
    bench.packet_len = VNET + HEADERS + payload;
    ip[0] = 0x45;
    ip[6] = 0x40;
    tuoi_wr16(ip + 2, (uint16_t)(20 + udp_len));
    ip[8] = 64;
    ip[9] = 17;
    inet_pton(AF_INET, "10.202.0.2", ip + 12);
    inet_pton(AF_INET, "10.202.0.1", ip + 16);
    tuoi_wr16(ip + 10, (uint16_t)~tuo_csum(ip, 20, 0));
    tuoi_wr16(udp, 7000);
    tuoi_wr16(udp + 2, 7001);
    tuoi_wr16(udp + 4, (uint16_t)udp_len);
    if (superpacket) { /* finished by whoever needs it: nobody here */
        tuo_vnet_hdr vnet = {0};

        vnet.flags = TUO_VNET_NEEDS_CSUM;
        vnet.gso_type = TUO_GSO_UDP_L4;
        vnet.gso_size = SEGMENT;
        vnet.hdr_len = HEADERS;
        vnet.csum_start = 20;
        vnet.csum_offset = 6;
        tuoi_vnet_write(bench.template_packet, VNET, TUO_ORDER_NATIVE, &vnet);
        sum = tuo_csum_pseudo(ip + 12, ip + 16, 4, 17, (uint32_t)udp_len);
        tuoi_wr16(udp + 6, sum);
    }
}

/* Buffers as if they had been received, and the pieces that GRO would make of them. */
static void prepare_buffers(void)
{
    unsigned i, n;

    for (i = 0; i < BATCH_MAX; i++) {
        size_t at = VNET + HEADERS;

        memcpy(buffer(i), bench.template_packet, bench.packet_len);
        bench.pieces[i][0].iov_base = buffer(i);
        bench.pieces[i][0].iov_len = at;
        for (n = 1; at < bench.packet_len; n++, at += SEGMENT) {
            bench.pieces[i][n].iov_base = buffer(i) + at;
            bench.pieces[i][n].iov_len = bench.packet_len - at < SEGMENT ? bench.packet_len - at : SEGMENT;
        }
    }
}

static void fill_queue(unsigned count, int superpacket)
{
    const int segment = superpacket ? SEGMENT : 0;

    if (setsockopt(bench.sender, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0)
        die("UDP_SEGMENT");
    while (count--) {
        const uint8_t *const payload = bench.template_packet + VNET + HEADERS;
        const size_t len = superpacket ? SUPER_PAYLOAD : SMALL_PAYLOAD;

        if (send(bench.sender, payload, len, 0) != (ssize_t)len)
            die("send");
    }
}

/* --- the ring --- */

/* 0: this kernel has, or allows, none. */
static int open_ring(void)
{
    struct io_uring_params params;
    struct iovec all[BATCH_MAX];
    int files[2];
    unsigned i;

    memset(&params, 0, sizeof params);
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init_params(2 * BATCH_MAX, &bench.ring, &params) < 0) {
        memset(&params, 0, sizeof params);
        if ((errno = -io_uring_queue_init_params(2 * BATCH_MAX, &bench.ring, &params)) != 0)
            return 0;
    }
    files[0] = tuo_tun_fd(bench.source);
    files[1] = tuo_tun_fd(bench.sink);
    for (i = 0; i < BATCH_MAX; i++) {
        all[i].iov_base = buffer(i);
        all[i].iov_len = BUFFER_LEN;
    }
    if ((errno = -io_uring_register_files(&bench.ring, files, 2)) != 0 ||
        (errno = -io_uring_register_buffers(&bench.ring, all, BATCH_MAX)) != 0)
        die("register");
    return 1;
}

static void provide(unsigned i)
{
    struct io_uring_buf *const slot = &bench.provided->bufs[bench.provided_tail++ & (BATCH_MAX - 1)];

    slot->addr = (uint64_t)(uintptr_t)buffer(i);
    slot->len = BUFFER_LEN;
    slot->bid = (uint16_t)i;
    __atomic_store_n(&bench.provided->tail, (uint16_t)bench.provided_tail, __ATOMIC_RELEASE);
}

static void open_multishot(void)
{
    struct io_uring_probe *const probe = io_uring_get_probe_ring(&bench.ring);
    struct io_uring_buf_reg reg;
    unsigned i;

    bench.multishot_works = probe && io_uring_opcode_supported(probe, OP_READ_MULTISHOT);
    free(probe);
    if (!bench.multishot_works || posix_memalign((void **)&bench.provided, 4096, BATCH_MAX * sizeof(struct io_uring_buf)) != 0)
        return;
    memset(bench.provided, 0, BATCH_MAX * sizeof(struct io_uring_buf));
    memset(&reg, 0, sizeof reg);
    reg.ring_addr = (uint64_t)(uintptr_t)bench.provided;
    reg.ring_entries = BATCH_MAX;
    reg.bgid = GROUP;
    if ((errno = -io_uring_register_buf_ring(&bench.ring, &reg, 0)) != 0)
        die("provided buffers");
    for (i = 0; i < BATCH_MAX; i++)
        provide(i);
}

static void check_len(long len)
{
    if (len == (long)bench.packet_len)
        return;
    errno = len < 0 ? (int)-len : 0;
    fprintf(stderr, "%ld bytes where %zu were expected: ", len, bench.packet_len);
    die("a packet");
}

/* Submits and takes count completions. */
static void finish(unsigned count)
{
    struct io_uring_cqe *cqe;
    unsigned i;

    if (io_uring_submit_and_wait(&bench.ring, count) < 0)
        die("submit");
    for (i = 0; i < count; i++) {
        if ((errno = -io_uring_wait_cqe(&bench.ring, &cqe)) != 0)
            die("wait");
        check_len(cqe->res);
        io_uring_cqe_seen(&bench.ring, cqe);
    }
}

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&bench.ring);

    if (!sqe)
        die("ring full");
    return sqe;
}

/* --- a batch each way --- */

static void read_syscalls(unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++)
        check_len(read(tuo_tun_fd(bench.source), buffer(i), BUFFER_LEN));
}

static void read_ring(unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        struct io_uring_sqe *const sqe = next_sqe();

        io_uring_prep_read_fixed(sqe, 0, buffer(i), BUFFER_LEN, 0, (int)i);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    finish(count);
}

static void read_multishot(unsigned count)
{
    struct io_uring_cqe *cqe;
    unsigned i;

    if (!bench.multishot_armed) {
        struct io_uring_sqe *const sqe = next_sqe();

        io_uring_prep_rw(OP_READ_MULTISHOT, sqe, 0, NULL, 0, 0);
        sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
        sqe->buf_group = GROUP;
        bench.multishot_armed = 1;
    }
    if (io_uring_submit_and_wait(&bench.ring, count) < 0)
        die("submit");
    for (i = 0; i < count; i++) {
        if ((errno = -io_uring_wait_cqe(&bench.ring, &cqe)) != 0)
            die("wait");
        check_len(cqe->res);
        bench.multishot_armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
        provide(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        io_uring_cqe_seen(&bench.ring, cqe);
    }
}

static void write_syscalls(unsigned count, enum work work)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        if (work == GATHER)
            check_len(writev(tuo_tun_fd(bench.sink), bench.pieces[i], 1 + SUPER_PAYLOAD / SEGMENT));
        else
            check_len(write(tuo_tun_fd(bench.sink), buffer(i), bench.packet_len));
    }
}

static void write_ring(unsigned count, enum work work)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        struct io_uring_sqe *const sqe = next_sqe();

        if (work == GATHER)
            io_uring_prep_writev(sqe, 1, bench.pieces[i], 1 + SUPER_PAYLOAD / SEGMENT, 0);
        else
            io_uring_prep_write_fixed(sqe, 1, buffer(i), (unsigned)bench.packet_len, 0, (int)i);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    finish(count);
}

static void one_batch(enum way way, enum work work, unsigned count)
{
    if (work == READ || work == FORWARD) {
        if (way == SYSCALLS)
            read_syscalls(count);
        else if (way == RING)
            read_ring(count);
        else
            read_multishot(count);
    }
    if (work != READ) {
        if (way == SYSCALLS)
            write_syscalls(count, work);
        else
            write_ring(count, work);
    }
}

/* --- samples --- */

/* The multishot request must not take the packets of others. */
static void disarm(void)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe;
    int more = 2; /* its own end, and that of the request to end it */

    if (!bench.multishot_armed)
        return;
    sqe = next_sqe();
    io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, sqe, 0, NULL, 0, 0);
    sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY;
    if (io_uring_submit(&bench.ring) < 0)
        die("cancel");
    while (more--) {
        if ((errno = -io_uring_wait_cqe(&bench.ring, &cqe)) != 0)
            die("cancel");
        io_uring_cqe_seen(&bench.ring, cqe);
    }
    bench.multishot_armed = 0;
}

static void sample(const struct variant *v, enum way way, double *cpu, double *wall)
{
    const unsigned packets = v->superpacket ? 16 : BATCH_MAX;
    double spent_cpu = 0, spent_wall = 0;
    unsigned fill, done;

    for (fill = 0; fill < FILLS; fill++) {
        double cpu_before, wall_before;

        if (v->work == READ || v->work == FORWARD)
            fill_queue(packets, v->superpacket);
        cpu_before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        wall_before = clock_ns(CLOCK_MONOTONIC);
        for (done = 0; done < packets; done += v->batch)
            one_batch(way, v->work, v->batch);
        spent_wall += clock_ns(CLOCK_MONOTONIC) - wall_before;
        spent_cpu += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
    }
    disarm();
    *cpu = spent_cpu / (FILLS * packets);
    *wall = spent_wall / (FILLS * packets);
}

static int runs(const struct variant *v, enum way way)
{
    if (v->superpacket && !bench.sink->knows_uso)
        return 0;
    return way != MULTISHOT || (bench.multishot_works && v->work == READ);
}

static void one_round(int round)
{
    static double warm_up;
    unsigned i;
    int way;

    for (i = 0; i < VARIANTS; i++) {
        const struct variant *const v = &variants[i];

        make_template(v->superpacket);
        prepare_buffers();
        for (way = 0; way < WAYS; way++) {
            double *const cpu = round < 0 ? &warm_up : &cpu_ns[i][way][round];
            double *const wall = round < 0 ? &warm_up : &wall_ns[i][way][round];

            if (runs(v, (enum way)way))
                sample(v, (enum way)way, cpu, wall);
        }
    }
}

/* --- results --- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const double *values, const double *divide_by, int count)
{
    double sorted[ROUNDS_MAX];
    int i;

    for (i = 0; i < count; i++)
        sorted[i] = values[i] / (divide_by ? divide_by[i] : 1);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_doubles);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static void print_table(int rounds)
{
    unsigned i;
    int way;

    printf("%-12s %-8s %6s  %-13s %10s %10s %9s %10s\n", "packets", "work", "batch", "by", "CPU ns", "wall ns", "CPU ratio",
           "wall ratio");
    for (i = 0; i < VARIANTS; i++) {
        const struct variant *const v = &variants[i];

        for (way = 0; way < WAYS; way++) {
            const double *const cpu = cpu_ns[i][way], *const wall = wall_ns[i][way];

            if (!runs(v, (enum way)way))
                continue;
            printf("%-12s %-8s %6u  %-13s %10.0f %10.0f %9.2f %10.2f\n", v->superpacket ? "superpacket" : "small",
                   work_names[v->work], v->batch, way_names[way], median(cpu, NULL, rounds), median(wall, NULL, rounds),
                   median(cpu, cpu_ns[i][SYSCALLS], rounds), median(wall, wall_ns[i][SYSCALLS], rounds));
        }
    }
}

static void pin(void)
{
    cpu_set_t cpus;
    size_t cpu;

    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return;
    for (cpu = 0; cpu < sizeof cpus * 8 && !CPU_ISSET(cpu, &cpus); cpu++)
        continue;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
}

static int cannot(const char *why)
{
    const char *const ci = getenv("CI");

    printf("io_uring cannot run: %s\n", why);
    return ci && strcmp(ci, "true") == 0;
}

int main(int argc, char **argv)
{
    int round, rounds = argc > 1 ? atoi(argv[1]) : 11;

    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: io_uring [ROUNDS], 1 to %d\n", ROUNDS_MAX);
        return 2;
    }
    netns_enter();
    if (no_tun)
        return cannot(no_tun);
    put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"); /* no packets but ours */
    pin();
    bench.source = open_device("10.201.0.1/24");
    bench.sink = open_device("10.202.0.1/24");
    open_sockets();
    if (posix_memalign((void **)&bench.buffers, 4096, (size_t)BATCH_MAX * BUFFER_LEN) != 0)
        die("memory");
    if (!open_ring())
        return cannot("no io_uring");
    open_multishot();
    for (round = -1; round < rounds; round++)
        one_round(round);
    print_table(rounds);
    if (!bench.multishot_works)
        printf("multishot: not in this kernel\n");
    if (!bench.sink->knows_uso)
        printf("superpackets: not in this kernel (TUN_F_USO)\n");
    io_uring_queue_exit(&bench.ring);
    tuo_tun_close(bench.source);
    tuo_tun_close(bench.sink);
    return 0;
}
