/* replay.c - runs a fuzz target without libFuzzer: link it with one fuzz_*.c.

       replay [--mutate N] [--seed S] [--keep FILE] [--deep PERCENT] PATH...

   Each file given, and each file in a directory given, is one input, handed over in memory of exactly its size. --mutate N then
   makes N more inputs from them (flip, set, truncate, insert, splice). --keep writes each input to FILE before it runs, so that
   the one that crashed is there afterwards. Prints how many inputs it replayed; no input at all is a failure. It also prints how many
   of the files came to what the target is about (fuzz_deep in fuzz.h): with --deep, fewer than PERCENT of them is a failure, for
   seeds that stop at the first check are worth nothing. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that includes fuzz.h defines it, another one (your own harness) need not. */
extern unsigned long fuzz_deep;
__attribute__((weak)) unsigned long fuzz_deep;

typedef struct input {
    uint8_t *bytes;
    size_t len;
} input;

typedef struct corpus {
    input *inputs;
    size_t count, cap;
} corpus;

enum { INPUT_MAX = 1 << 20 };

static void die(const char *what, const char *name)
{
    fprintf(stderr, "replay: %s: %s\n", name, what);
    exit(2);
}

static void *checked_alloc(void *old, size_t len)
{
    void *mem = realloc(old, len > 0 ? len : 1);
    if (mem == NULL) {
        die("out of memory", "alloc");
    }
    return mem;
}

static void read_file(corpus *all, const char *name)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        die(strerror(errno), name);
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    if (ferror(file) || fgetc(file) != EOF) {
        die("cannot be read, or longer than 1 MiB", name);
    }
    fclose(file);
    if (all->count == all->cap) {
        all->cap = all->cap * 2 + 64;
        all->inputs = checked_alloc(all->inputs, all->cap * sizeof *all->inputs);
    }
    input *in = &all->inputs[all->count++];
    in->bytes = checked_alloc(NULL, len);
    in->len = len;
    memcpy(in->bytes, bytes, len);
}

static void read_path(corpus *all, const char *path);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *joined(const char *directory, const char *name)
{
    size_t len = strlen(directory) + strlen(name) + 2;
    char *path = checked_alloc(NULL, len);
    snprintf(path, len, "%s/%s", directory, name);
    return path;
}

/* In the order of their names: the mutator's choices must not depend on how a file system lists them. */
static void read_directory(corpus *all, const char *path)
{
    DIR *directory = opendir(path);
    char **names = NULL;
    size_t count = 0;
    if (directory == NULL) {
        die(strerror(errno), path);
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            names = checked_alloc(names, (count + 1) * sizeof *names);
            names[count++] = joined(path, entry->d_name);
        }
    }
    closedir(directory);
    if (count > 0) {
        qsort(names, count, sizeof *names, by_name);
    }
    for (size_t i = 0; i < count; i++) {
        read_path(all, names[i]);
        free(names[i]);
    }
    free(names);
}

static void read_path(corpus *all, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        die(strerror(errno), path);
    }
    if (S_ISDIR(st.st_mode)) {
        read_directory(all, path);
    } else {
        read_file(all, path);
    }
}

static const char *keep_name;

static void keep(const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(keep_name, "wb");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        die("cannot be written", keep_name);
    }
}

/* Returns whether it went deep. */
static int run(const uint8_t *bytes, size_t len)
{
    unsigned long before = fuzz_deep;
    if (keep_name != NULL) {
        keep(bytes, len);
    }
    uint8_t *exact = checked_alloc(NULL, len);
    memcpy(exact, bytes, len);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return fuzz_deep != before;
}

static uint64_t rng_state;

static size_t below(size_t bound)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return bound == 0 ? 0 : (size_t)((z ^ z >> 31) % bound);
}

/* One change to the *len bytes in a buffer of 2 * INPUT_MAX. */
static void mutate_once(const corpus *all, uint8_t *bytes, size_t *len)
{
    static const uint8_t edge[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
    const input *other = &all->inputs[below(all->count)];
    size_t at = below(*len), cut = below(other->len), n = 1 + below(8);
    switch (*len == 0 ? 4u : (unsigned)below(6)) {
    case 0: bytes[at] = (uint8_t)(bytes[at] ^ 1u << below(8)); break;
    case 1: bytes[at] = edge[below(sizeof edge)]; break;
    case 2: bytes[at] = (uint8_t)(bytes[at] + below(33) + 256 - 16); break;
    case 3: *len = at; break;
    case 4: /* the front of this one, the tail of another */
        memcpy(bytes + at, other->bytes + cut, other->len - cut);
        *len = at + other->len - cut;
        break;
    default: /* insert some bytes of another */
        n = n < other->len - cut ? n : other->len - cut;
        if (*len + n <= INPUT_MAX) {
            memmove(bytes + at + n, bytes + at, *len - at);
            memcpy(bytes + at, other->bytes + cut, n);
            *len += n;
        }
        break;
    }
    *len = *len < INPUT_MAX ? *len : INPUT_MAX;
}

static void run_mutated(const corpus *all, size_t runs)
{
    static uint8_t bytes[2 * INPUT_MAX];
    for (size_t i = 0; i < runs; i++) {
        const input *base = &all->inputs[below(all->count)];
        size_t len = base->len;
        memcpy(bytes, base->bytes, len);
        for (size_t n = 1 + below(6); n > 0; n--) {
            mutate_once(all, bytes, &len);
        }
        (void)run(bytes, len);
    }
}

static size_t number(const char *option, const char *text)
{
    char *end;
    unsigned long value = text == NULL ? 0 : strtoul(text, &end, 10);
    if (text == NULL || end == text || *end != '\0') {
        die("wants a number", option);
    }
    return (size_t)value;
}

int main(int argc, char **argv)
{
    corpus all = {NULL, 0, 0};
    size_t runs = 0, deep = 0, deep_percent = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0) {
            runs = number("--mutate", argv[++i]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            rng_state = number("--seed", argv[++i]);
        } else if (strcmp(argv[i], "--deep") == 0) {
            deep_percent = number("--deep", argv[++i]);
        } else if (strcmp(argv[i], "--keep") == 0 && i + 1 < argc) {
            keep_name = argv[++i];
        } else {
            read_path(&all, argv[i]);
        }
    }
    if (all.count == 0) {
        die("no input to replay", argc > 0 ? argv[0] : "replay");
    }
    for (size_t i = 0; i < all.count; i++) {
        deep += (size_t)run(all.inputs[i].bytes, all.inputs[i].len);
    }
    run_mutated(&all, runs);
    int passed = deep * 100 >= all.count * deep_percent;
    if (!passed) {
        printf("FAIL not deep enough: %lu percent of the files must be\n", (unsigned long)deep_percent);
    }
    printf("replayed %lu inputs; of %lu files %lu went deep\n", (unsigned long)(all.count + runs), (unsigned long)all.count,
           (unsigned long)deep);
    printf("%d passed, %d failed, 0 skipped\n", passed, !passed); /* for the sums of tests/run.sh */
    for (size_t i = 0; i < all.count; i++) {
        free(all.inputs[i].bytes);
    }
    free(all.inputs);
    return !passed;
}
