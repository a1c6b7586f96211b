/* pcap_offload - run captured packets through tunoffload.h: coalesce them, split superpackets, or see that both undo each other.

   cc -std=c99 -O2 -I.. -o pcap_offload pcap_offload.c && ./pcap_offload --help

   This file reads options and prints numbers. The rest:
       pcap_file.h      capture formats
       pcap_packet.h    link layers, superpackets, tunnels and partial checksums in the bytes of one packet
       pcap_job.h       what the parts share
       pcap_split.h     split: uses the library, in three ways
       pcap_coalesce.h  coalesce and check: uses the library, by gather or by copy
       pcap_why.h       --why */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* isatty, fileno */
#endif
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include "pcap_coalesce.h"
#include "pcap_why.h"

#include <stddef.h>
#include <time.h>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define STDERR_IS_TERMINAL() isatty(fileno(stderr))
#else
#define STDERR_IS_TERMINAL() 0
#endif

static const struct command commands[] = {
    {"coalesce", COALESCE, 2, "coalesce [options] IN OUT", "every batch through GRO; OUT has one record per emitted packet"},
    {"split", SPLIT, 2, "split    [options] IN OUT", "superpackets cut; OUT has one record per segment"},
    {"check", CHECK, 1, "check    [options] IN", "coalesce, split again, compare with IN"},
};

/* ------------------------------------------------------------------------------------------------------------------ options */

struct option {
    const char *name, *argument;
    int commands;
    size_t member; /* in struct options; an int, unless the argument is PORTS */
    int value;     /* without an argument */
    int min, max;  /* of a number */
    const char *help;
};

static const struct option options[] = {
    {"--batch", "N", COALESCE | CHECK, offsetof(struct options, batch), 0, 0, BATCH_MAX,
     "packets between two flushes; 0 = the whole file (default 128)"},
    {"--gather", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, copy), 0, 0, 0,
     "coalesce and split without copying payload (default)"},
    {"--copy", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, copy), 1, 0, 0,
     "coalesce by appending to buffers, split by copying into them"},
    {"--in-place", NULL, SPLIT | CHECK, offsetof(struct options, in_place), 1, 0, 0,
     "split by stamping headers into the superpacket itself"},
    {"--mss", "N", SPLIT, offsetof(struct options, mss), 0, 1, 65534,
     "TCP or UDP payload bytes per segment (default 1448); not with --vnet"},
    {"--vnet", NULL, COALESCE | SPLIT, offsetof(struct options, vnet), 1, 0, 0,
     "records as they cross a TUN with IFF_VNET_HDR, link type 147: see below"},
    {"--strict-kernel", NULL, COALESCE | CHECK, offsetof(struct options, strict_kernel), 1, 0, 0,
     "merge as the Linux kernel does: no prepend, one train per flow"},
    {"--no-prepend", NULL, COALESCE | CHECK, offsetof(struct options, no_prepend), 1, 0, 0,
     "never put a late TCP segment in front of those it precedes"},
    {"--ip-id", "MODE", COALESCE | CHECK, offsetof(struct options, ip_id), 0, 0, 0,
     "IPv4 IDs that merge: default, exact, any-df or any; see below"},
    {"--trust", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, trust), 1, 0, 0,
     "do not verify checksums; wrong ones come back repaired"},
    {"--no-tcp", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, no_tcp), 1, 0, 0, "do not merge or split TCP"},
    {"--no-udp", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, no_udp), 1, 0, 0, "do not merge or split UDP"},
    {"--tunnel-ports", "PORTS", COALESCE | SPLIT | CHECK, offsetof(struct options, tunnel_ports), 0, 0, 0,
     "UDP ports of tunnels, as 4789,4790,6081,8472 (the default), or none; see below"},
    {"--why", NULL, COALESCE | CHECK, offsetof(struct options, why), 1, 0, 0,
     "why the rest did not merge, what can be changed, and what that gains"},
    {"--list", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, list), 1, 0, 0, "one line per emitted packet: see below"},
    {"--verdicts", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, verdicts), 1, 0, 0,
     "one line per input packet: in=I verdict=NAME [partial=L4|IP|IP+L4]"},
    {"--help", NULL, COALESCE | SPLIT | CHECK, offsetof(struct options, help), 1, 0, 0, "this text"},
};

static const char help_text[] =
    "\n"
    "IN is a pcap (both byte orders, micro- and nanoseconds) or pcapng file: raw IP, IPv4, IPv6, Ethernet with VLAN tags, Linux\n"
    "cooked v1 and v2, BSD loopback, or 147 (below). OUT is a pcap file of the same link type, or a pcapng file if IN has\n"
    "several. Records cut by a snap length, and records that are not IP, pass unchanged. coalesce and check also pass on what is\n"
    "a superpacket by its virtio-net header or by its IP length of 0. If IN ends inside a record, what is before it counts.\n"
    "\n"
    "A packet captured on its sender can have partial checksums, for its NIC to finish: TCP or UDP (the sum of the\n"
    "pseudo-header), and an IPv4 header checksum of 0. They are finished first, so a sender's capture merges like its\n"
    "receiver's. In a tunnel's datagram the packet inside is finished as well. Any other wrong checksum stays wrong.\n"
    "\n"
    "coalesce finishes the checksums of superpackets as a NIC would, and keeps link-layer header and time of the packet that\n"
    "came first. split cuts what has more payload than --mss, if its checksums are right. It removes the IPv6 jumbo payload\n"
    "option. UDP tunnels stay whole: VXLAN and Geneve (--tunnel-ports, source or destination), and datagrams that hold one IP\n"
    "packet.\n"
    "\n"
    "--vnet: each record is a 10-byte virtio_net_hdr in host byte order, then an IP packet; link type 147 (USER0). It is the\n"
    "format of OUT for coalesce (link-layer headers are removed, and records that are cut or not IP are left out), and of IN\n"
    "for split (OUT is raw IP, link type 101; a header that contradicts its packet is refused: in=I refused=NAME under\n"
    "--verdicts, and exit 1 at the end).\n"
    "\n"
    "--list prints: out=I len=L segs=S gso_type=T gso_size=G hdr_len=H csum_start=C csum_offset=O packets=i,j,k\n"
    "    I counts the records of OUT, i,j,k the records of IN in segment order, both from 0. L, H and C count from the start\n"
    "    of the record, link-layer header included, virtio-net header not.\n"
    "--verdicts prints for coalesce and check the rule that decided about a packet (HELD, APPENDED, PREPENDED, or why not).\n"
    "    For split: SPLIT, COMPLETED (its checksum was partial), PASSED, or why a superpacket was not cut (TUNNEL, DISABLED,\n"
    "    UDP_ZERO_CSUM, or a result of the library such as E_L4_CSUM). PASSED is also what is not shown to the library at all.\n"
    "    partial= says which checksums were finished.\n"
    "\n"
    "check compares byte for byte, with partial checksums finished. One difference is no mismatch, and is counted: packets with\n"
    "DF that all have the same IPv4 ID come back counting up from it (RFC 6864: the ID of such packets means nothing).\n"
    "\n"
    "--ip-id default merges IPv4 IDs that count up by one and, under DF, constant ones; exact only the former; any-df all IDs\n"
    "under DF; any all IDs, also without DF. What had other IDs comes back counting up from the first.\n"
    "\n"
    "The last line is always:\n"
    "    packets=N bytes=N emitted=N superpackets=N merged=N ratio=R [identical=N/N] result=ok|FAIL|TRUNCATED\n"
    "    packets and bytes of IN; emitted packets, those made of several (split: packets that were cut); packets in those\n"
    "    (split: segments of those); packets per emitted packet; check: packets that came back identical.\n"
    "Exit status: 0 ok; 1 a mismatch, a refused record, or IN ends inside a record; 2 wrong usage, or a file that cannot be read\n"
    "or written.\n";

static void print_usage(FILE *to)
{
    size_t i;

    for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "%s pcap_offload %-27s %s\n", i ? "      " : "usage:", commands[i].usage, commands[i].help);
}

static void print_help(void)
{
    size_t i;

    print_usage(stdout);
    printf("\noptions (in brackets: the commands that take them):\n");
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];

        printf("  %s%s%s%*s%s [%s%s%s]\n", o->name, o->argument ? " " : "", o->argument ? o->argument : "",
               22 - (int)strlen(o->name) - (o->argument ? 1 + (int)strlen(o->argument) : 0), "", o->help,
               o->commands & COALESCE ? "coalesce" : "", o->commands & SPLIT ? o->commands & COALESCE ? " split" : "split" : "",
               o->commands & CHECK ? " check" : "");
    }
    fputs(help_text, stdout);
}

static void usage_error(const char *what, const char *which)
{
    fprintf(stderr, "pcap_offload: %s%s\n", what, which);
    print_usage(stderr);
    fprintf(stderr, "pcap_offload --help tells the rest\n");
    exit(2);
}

static int parse_number(const char *text, int min, int max, int *number)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < min || value > max)
        return -1;
    *number = (int)value;
    return 0;
}

static int parse_ip_id(const char *name)
{
    static const char *const names[] = {"default", "exact", "any-df", "any"}; /* in the order of tuo_ip_id */
    int i;

    for (i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    usage_error("--ip-id takes default, exact, any-df or any, not ", name);
    return 0;
}

static void parse_ports(const char *list, struct tunnel_ports *ports)
{
    const char *at = list;

    ports->count = 0;
    if (strcmp(list, "none") == 0)
        return;
    for (;;) {
        size_t len = strcspn(at, ",");
        char text[6];
        int port;

        if (ports->count == TUNNEL_PORTS_MAX || len >= sizeof text)
            break;
        memcpy(text, at, len);
        text[len] = '\0';
        if (parse_number(text, 1, 65535, &port) < 0)
            break;
        ports->port[ports->count++] = (uint16_t)port;
        if (at[len] == '\0')
            return;
        at += len + 1;
    }
    usage_error("--tunnel-ports takes none, or up to 16 numbers from 1 to 65535 with commas, not ", list);
}

static void parse_argument(struct job *job, const struct option *o, const char *text)
{
    void *member = (char *)&job->opt + o->member;

    if (!text) {
        usage_error(o->name, o->argument[0] == 'N' ? " needs a number" : " needs a word");
    } else if (strcmp(o->argument, "MODE") == 0) {
        *(int *)member = parse_ip_id(text);
    } else if (strcmp(o->argument, "PORTS") == 0) {
        parse_ports(text, member);
    } else if (parse_number(text, o->min, o->max, member) < 0) {
        fprintf(stderr, "pcap_offload: %s takes a number from %d to %d\n", o->name, o->min, o->max);
        exit(2);
    }
}

/* Returns how many arguments the option at argv[0] took. */
static int parse_option(struct job *job, char **argv)
{
    size_t i;

    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];

        if (strcmp(argv[0], o->name) != 0)
            continue;
        if (!(o->commands & job->command->number))
            usage_error(o->name, " has no meaning for this command");
        if (o->argument) {
            parse_argument(job, o, argv[1]);
            return 2;
        }
        *(int *)(void *)((char *)&job->opt + o->member) = o->value;
        return 1;
    }
    usage_error("unknown option ", argv[0]);
    return 0;
}

static void parse_arguments(struct job *job, int argc, char **argv)
{
    /* VXLAN, VXLAN-GPE, Geneve, and what Linux took for VXLAN first */
    static const struct tunnel_ports tunnel_ports = {4, {4789, 4790, 6081, 8472}};
    const char *files[2] = {"", NULL}; /* every command has at least one */
    int i, count = 0;
    size_t k;

    job->opt.batch = 128;
    job->opt.mss = -1;
    job->opt.tunnel_ports = tunnel_ports;
    if (argc < 2)
        usage_error("a command is missing", "");
    for (i = 1; i < argc; i++)
        job->opt.help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (job->opt.help)
        return;
    for (k = 0; k < sizeof commands / sizeof commands[0]; k++) {
        if (strcmp(argv[1], commands[k].name) == 0)
            job->command = &commands[k];
    }
    if (!job->command)
        usage_error("unknown command ", argv[1]);
    for (i = 2; i < argc;) {
        if (argv[i][0] == '-' && argv[i][1]) {
            i += parse_option(job, argv + i);
        } else if (count < job->command->files) {
            files[count++] = argv[i++];
        } else {
            usage_error("one file too many: ", argv[i]);
        }
    }
    if (count < job->command->files)
        usage_error(count ? "OUT is missing" : "IN is missing", "");
    if (job->opt.vnet && job->opt.mss >= 0)
        usage_error("--mss has no meaning with --vnet: each record has its own size", "");
    if (job->opt.mss < 0)
        job->opt.mss = 1448;
    job->in = files[0];
    job->out = files[1];
}

/* ------------------------------------------------------------------------------------------------------------------ summary */

static void print_count(size_t count, const char *what)
{
    if (count)
        printf("%s: %zu\n", what, count);
}

static int print_summary(const struct job *job)
{
    const struct totals *t = &job->total;
    size_t packets = job->capture.count;
    int failed = t->mismatches > 0 || t->refused > 0, cut = job->capture.warning[0] != '\0';

    printf("%s: %zu packets, %llu bytes, %s\n", job->in, packets, (unsigned long long)t->bytes,
           job->capture.link_types_differ ? "several link types" : job->link->name);
    if (job->command->number == SPLIT) {
        print_split_summary(job);
        print_count(t->not_ip, "not IP"); /* coalesce and check count these as NOT_IP */
    } else {
        print_coalesce_summary(job);
    }
    print_count(t->cut, "cut by the snap length");
    print_count(t->left_out, "left out, for they cannot cross a TUN");
    print_count(t->passed, "superpackets already, not looked at");
    print_count(t->partial_l4, "partial TCP or UDP checksums, finished");
    print_count(t->partial_ip, "IPv4 header checksums of 0, finished");
    print_count(t->refused, "refused: virtio-net header contradicts packet");
    if (job->command->number == CHECK) {
        printf("IPv4 IDs renumbered: %zu\n", t->renumbered);
        print_count(t->mismatches, "mismatches");
    }
    if (job->opt.why)
        print_why(job);
    printf("packets=%zu bytes=%llu emitted=%zu superpackets=%zu merged=%zu ratio=%.2f", packets, (unsigned long long)t->bytes,
           t->emitted, t->superpackets, t->merged, ratio(job));
    if (job->command->number == CHECK)
        printf(" identical=%zu/%zu", t->identical, packets);
    printf(" result=%s\n", failed ? "FAIL" : cut ? "TRUNCATED" : "ok");
    return failed || cut ? 1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------------ running */

/* Only for a person who has waited for a second. */
static void show_progress(const struct job *job, size_t done)
{
    static int shown;

    if (done == job->capture.count) {
        if (shown)
            fprintf(stderr, "\r%60s\r", "");
    } else if (done % 4096 == 0 && clock() > CLOCKS_PER_SEC && STDERR_IS_TERMINAL()) {
        shown = 1;
        fprintf(stderr, "\r%s: packet %zu of %zu", job->command->name, done, job->capture.count);
    }
}

static void read_input(struct job *job)
{
    char message[100];
    int vnet_in;

    if (capture_read(&job->capture, job->in) < 0)
        die(job->in, job->capture.error);
    if (job->capture.warning[0])
        fprintf(stderr, "%s: warning: %s\n", job->in, job->capture.warning);
    job->link = find_link_type(job->capture.link_type);
    if (!job->link && !job->capture.link_types_differ) {
        snprintf(message, sizeof message, "link type %u is not supported", (unsigned)job->capture.link_type);
        die(job->in, message);
    }
    if (job->capture.link_types_differ || job->link->ethernet || wrapped_len(job->link, 0))
        job->flags = TUO_F_ETHERNET;
    prepare_packets(job);
    vnet_in = job->link->number == LINK_TYPE_VNET;
    if (job->command->number == SPLIT && vnet_in != job->opt.vnet)
        die(job->in, vnet_in ? "link type 147 (virtio-net headers) needs --vnet" : "--vnet needs link type 147");
    if (job->command->number == COALESCE && vnet_in)
        job->opt.vnet = 1;
}

static void create_output(struct job *job)
{
    uint32_t link_type = job->link->number, snap_len = 262144;
    size_t i;
    int result;

    if (job->opt.vnet)
        link_type = job->command->number == SPLIT ? LINK_TYPE_RAW : LINK_TYPE_VNET;
    for (i = 0; i < job->capture.count; i++) {
        if (job->capture.records[i].len + TUO_VNET_LEN > snap_len)
            snap_len = (uint32_t)job->capture.records[i].len + TUO_VNET_LEN;
    }
    if (job->capture.link_types_differ && !job->opt.vnet)
        result = capture_create_pcapng(&job->writer, job->out);
    else
        result = capture_create(&job->writer, job->out, link_type, job->capture.nanoseconds, snap_len);
    if (result < 0)
        die(job->out, strerror(errno));
}

static void run(struct job *job)
{
    size_t i;

    if (job->command->number != SPLIT)
        start_coalescing(job);
    for (i = 0; i < job->capture.count; i++) {
        struct packet *packet = &job->packets[i];

        show_progress(job, i);
        if (job->command->number == SPLIT)
            split_record(job, packet);
        else
            coalesce_record(job, packet);
    }
    show_progress(job, i);
    if (job->command->number != SPLIT)
        drain(job);
    if (job->command->number == CHECK)
        check_all_came_out(job);
}

static void free_job(struct job *job)
{
    size_t i;

    for (i = 0; i < job->buffer_count; i++)
        free(job->buffers[i].data);
    free(job->buffers);
    free(job->gro_memory);
    free(job->packets);
    free(job->wrapped);
    free(job->work.data);
    free(job->segment.data);
    free(job->expected.data);
    capture_free(&job->capture);
}

int main(int argc, char **argv)
{
    static struct job job;
    int status;

    parse_arguments(&job, argc, argv);
    if (job.opt.help) {
        print_help();
        return 0;
    }
    read_input(&job);
    if (job.out)
        create_output(&job);
    run(&job);
    if (job.out && capture_close(&job.writer) < 0)
        die(job.out, strerror(errno));
    status = print_summary(&job);
    free_job(&job);
    if (fflush(stdout) != 0)
        die("standard output", strerror(errno));
    return status;
}
