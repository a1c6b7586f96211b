/* bench.c - how long the library takes, in units of memcpy of the same payload, beside its peers. README.md beside this file
   says what the rows are.

       bench [-r rounds] [-o directory] [-c processor] [pattern]

   With a pattern only what contains it in row/implementation/ is run, * and ? as in the shell; then no file is written.
   -c chooses the processor to run on; otherwise it is the one the program was started on. */
#define _GNU_SOURCE
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

#include <unistd.h>

#include "engine_tunoffload.h"
#include "peer_plain.h"
#include "peer_textbook.h"
#include "rows.h"
#include "report.h"
#include "scaling.h"

typedef struct bench_options {
    unsigned rounds;
    int processor;
    const char *directory, *pattern;
} bench_options;

static int read_options(int argc, char **argv, bench_options *o)
{
    int letter;

    while ((letter = getopt(argc, argv, "r:o:c:")) != -1)
        switch (letter) {
        case 'r': o->rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'o': o->directory = optarg; break;
        case 'c': o->processor = atoi(optarg); break;
        default: return 0;
        }
    if (optind < argc)
        o->pattern = argv[optind++];
    return optind == argc && o->rounds > 0;
}

static int pin(int processor)
{
    int pinned = pin_to_processor(processor);

    if (pinned < 0)
        printf("could not be pinned to one processor: expect noise\n");
    else
        printf("pinned to processor %d\n", pinned);
    return pinned;
}

static void add_peers(bench_table *t, const char *program, int processor)
{
    t->peers[t->peer_count++] = &textbook_engine;
    t->peers[t->peer_count++] = &plain_engine;
#ifdef HAVE_DPDK
    if (dpdk_start(program, processor))
        t->peers[t->peer_count++] = &dpdk_engine;
    else
        printf("DPDK does not start: its rows are left out\n");
#else
    (void)program;
    (void)processor;
    printf("built without DPDK: its rows are left out (README.md says how to install it)\n");
#endif
}

int main(int argc, char **argv)
{
    static bench_table table;
    static scaling_table scaling;
    bench_options o = {400, -1, ".", NULL};

    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "usage: bench [-r rounds] [-o directory] [-c processor] [pattern]\n");
        return 2;
    }
    add_peers(&table, argv[0], pin(o.processor));
    table.pattern = scaling.table.pattern = o.pattern;
    memcpy(scaling.table.peers, table.peers, sizeof table.peers);
    scaling.table.peer_count = table.peer_count;
    add_gso_rows(&table);
    add_gro_rows(&table);
    add_csum_rows(&table);
    add_scaling(&scaling);
    if (table.count + scaling.table.count == 0)
        bench_die("no row matches", o.pattern);
    if (table.count) {
        measure_all(table.cases, table.count, o.rounds);
        print_table(&table);
        print_summary(&table);
    }
    if (scaling.table.count) {
        measure_all(scaling.table.cases, scaling.table.count, o.rounds / 4 + 1);
        print_scaling(&scaling);
        print_cold(&scaling);
    }
    if (!o.pattern) {
        print_memory();
        write_csv(&table, o.directory);
        write_scaling(&scaling, o.directory);
    }
    return 0;
}
