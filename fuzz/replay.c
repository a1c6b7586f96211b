/* replay.c - runs a fuzz target without libFuzzer: link it with one fuzz_*.c.

       replay [--mutate N] [--seed S] [--keep FILE] [--deep PERCENT] PATH...
       replay --unpack DIRECTORY PATH...
       replay --pack FILE PATH...

   A PATH is a file of seeds (fuzz/seeds/NAME.seeds, see below), a file that is one input, or a directory of either. Each input is handed
   over in memory of exactly its size. --mutate N then makes N more inputs from them (flip, set, truncate, insert, splice). --keep writes
   each input to FILE before it runs, so that the one that crashed is there afterwards. Prints how many inputs it replayed; no input at all
   is a failure. It also prints how many of the inputs came to what the target is about (fuzz_deep in fuzz.h): with --deep, fewer than
   PERCENT of them is a failure, for seeds that stop at the first check are worth nothing.

   --unpack runs nothing: it writes each input into DIRECTORY, which must exist, for tools that want files. --pack writes all inputs into
   one FILE of seeds, by their names. Compiled with REPLAY_ALONE this file is a program of its own that does only that.

   A file of seeds is text. Its inputs are in the order of their names (letters, digits, '.', '_', '-'), each with its name, its length, and
   its bytes as hexadecimal digits, 48 bytes to a line. The last line says how many there are, so that a file that is cut short is noticed:

       tunoffload seeds 1
       input 02a6085e 3
       0001ff
       end 1 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../tests/lib/counts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that includes fuzz.h defines it, another one (your own harness) need not. */
extern unsigned long fuzz_deep;
__attribute__((weak)) unsigned long fuzz_deep;

typedef struct input {
    char *name; /* of a file without its directory */
    uint8_t *bytes;
    size_t len;
} input;

typedef struct corpus {
    input *inputs;
    size_t count, cap;
} corpus;

enum {
    INPUT_MAX = 1 << 20,
    NAME_MAX_LEN = 127,
    LINE_BYTES = 48 /* of an input, in a line of a file of seeds */
};

static const char seeds_magic[] = "tunoffload seeds 1";

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

#ifdef REPLAY_ALONE
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    die("only --pack and --unpack: there is no target in this program", "replay");
    return 0;
}
#endif

/* The contents of a file; free() it. */
static uint8_t *read_bytes(const char *name, size_t *len)
{
    uint8_t *bytes = NULL;
    size_t cap = 0, got;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        die(strerror(errno), name);
    }
    *len = 0;
    do {
        cap = cap * 2 + 65536;
        bytes = checked_alloc(bytes, cap);
        got = fread(bytes + *len, 1, cap - *len, file);
        *len += got;
    } while (*len == cap);
    if (ferror(file)) {
        die("cannot be read", name);
    }
    fclose(file);
    return bytes;
}

static input *add_input(corpus *all, const char *name, size_t len)
{
    if (all->count == all->cap) {
        all->cap = all->cap * 2 + 64;
        all->inputs = checked_alloc(all->inputs, all->cap * sizeof *all->inputs);
    }
    input *in = &all->inputs[all->count++];
    in->name = checked_alloc(NULL, strlen(name) + 1);
    memcpy(in->name, name, strlen(name) + 1);
    in->bytes = checked_alloc(NULL, len);
    in->len = len;
    return in;
}

/* -------------------------------------------------------------------------------------------------------- files of seeds */

static int good_name(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[0] != '\0' && name[0] != '.' && strlen(name) <= NAME_MAX_LEN && name[strspn(name, good)] == '\0';
}

typedef struct seeds_text {
    const char *file;
    const uint8_t *bytes;
    size_t len, at;
    unsigned long line;
    char text[256]; /* of the line in force, without its end */
} seeds_text;

static void bad_seeds(const seeds_text *in, const char *what)
{
    fprintf(stderr, "replay: %s:%lu: %s\n", in->file, in->line, what);
    exit(2);
}

/* The next line. A carriage return at its end is left out: some checkouts add it. */
static void next_line(seeds_text *in)
{
    const uint8_t *start = in->bytes + in->at, *end = in->at < in->len ? memchr(start, '\n', in->len - in->at) : NULL;
    size_t len = end != NULL ? (size_t)(end - start) : 0;
    in->line++;
    if (end == NULL || len >= sizeof in->text) {
        bad_seeds(in, end == NULL ? "the file ends too early" : "the line is too long");
    }
    in->at += len + 1;
    if (len > 0 && start[len - 1] == '\r') {
        len--;
    }
    memcpy(in->text, start, len);
    in->text[len] = '\0';
    if (strlen(in->text) != len) {
        bad_seeds(in, "a zero byte");
    }
}

static unsigned hex_digit(const seeds_text *in, char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, digit);
    if (found == NULL || *found == '\0') {
        bad_seeds(in, "not a hexadecimal digit");
        return 0;
    }
    return (unsigned)(found - digits);
}

static void read_seeds(corpus *all, const char *file, const uint8_t *bytes, size_t len)
{
    seeds_text in = {file, bytes, len, 0, 0, ""};
    char name[NAME_MAX_LEN + 2], last[NAME_MAX_LEN + 2] = "";
    unsigned long count = 0, said = 0;
    int used = 0;
    next_line(&in);
    if (strcmp(in.text, seeds_magic) != 0) {
        bad_seeds(&in, "another version of such files");
    }
    for (next_line(&in); sscanf(in.text, "end %lu%n", &said, &used) != 1 || in.text[used] != '\0'; next_line(&in)) {
        if (sscanf(in.text, "input %128s %lu%n", name, &said, &used) != 2 || in.text[used] != '\0') {
            bad_seeds(&in, "neither \"input NAME LENGTH\" nor \"end COUNT\"");
        }
        if (!good_name(name) || strcmp(last, name) >= 0) {
            bad_seeds(&in, "a name that is none, or not behind the one before it");
        }
        if (said > INPUT_MAX) {
            bad_seeds(&in, "longer than 1 MiB");
        }
        memcpy(last, name, sizeof last);
        input *one = add_input(all, name, (size_t)said);
        for (size_t at = 0, n; at < one->len; at += n) {
            n = one->len - at < LINE_BYTES ? one->len - at : LINE_BYTES;
            next_line(&in);
            if (strlen(in.text) != 2 * n) {
                bad_seeds(&in, "the line does not fit the length of the input");
            }
            for (size_t i = 0; i < n; i++) {
                one->bytes[at + i] = (uint8_t)(hex_digit(&in, in.text[2 * i]) << 4 | hex_digit(&in, in.text[2 * i + 1]));
            }
        }
        count++;
    }
    if (said != count || in.at != in.len) {
        bad_seeds(&in, said != count ? "there are not as many inputs" : "something follows the end");
    }
}

static void read_file(corpus *all, const char *name)
{
    size_t len;
    uint8_t *bytes = read_bytes(name, &len);
    const char *slash = strrchr(name, '/');
    if (len >= sizeof seeds_magic - 3 && memcmp(bytes, seeds_magic, sizeof seeds_magic - 3) == 0) { /* whatever its version */
        read_seeds(all, name, bytes, len);
    } else if (len > INPUT_MAX) {
        die("longer than 1 MiB", name);
    } else if (len > 0) {
        memcpy(add_input(all, slash != NULL ? slash + 1 : name, len)->bytes, bytes, len);
    } else {
        (void)add_input(all, slash != NULL ? slash + 1 : name, 0);
    }
    free(bytes);
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

static void write_file(const char *name, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        die("cannot be written", name);
    }
}

static int by_input_name(const void *a, const void *b)
{
    return strcmp(((const input *)a)->name, ((const input *)b)->name);
}

/* The files of seeds cannot have two inputs of one name, nor can a directory. */
static void sort_by_name(corpus *all)
{
    if (all->count > 0) {
        qsort(all->inputs, all->count, sizeof *all->inputs, by_input_name);
    }
    for (size_t i = 0; i < all->count; i++) {
        if (!good_name(all->inputs[i].name)) {
            die("the name has other characters than letters, digits, '.', '_', '-', or is too long", all->inputs[i].name);
        }
        if (i > 0 && strcmp(all->inputs[i - 1].name, all->inputs[i].name) == 0) {
            die("two inputs have this name", all->inputs[i].name);
        }
    }
}

static void unpack(corpus *all, const char *directory)
{
    sort_by_name(all);
    for (size_t i = 0; i < all->count; i++) {
        char *path = joined(directory, all->inputs[i].name);
        write_file(path, all->inputs[i].bytes, all->inputs[i].len);
        free(path);
    }
}

static void pack(corpus *all, const char *name)
{
    FILE *file = fopen(name, "wb");
    if (file == NULL) {
        die(strerror(errno), name);
    }
    sort_by_name(all);
    fprintf(file, "%s\n", seeds_magic);
    for (size_t i = 0; i < all->count; i++) {
        const input *in = &all->inputs[i];
        fprintf(file, "input %s %lu\n", in->name, (unsigned long)in->len);
        for (size_t at = 0; at < in->len; at++) {
            fprintf(file, "%02x%s", (unsigned)in->bytes[at], (at + 1) % LINE_BYTES == 0 || at + 1 == in->len ? "\n" : "");
        }
    }
    fprintf(file, "end %lu\n", (unsigned long)all->count);
    if (ferror(file) || fclose(file) != 0) {
        die("cannot be written", name);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ runs */

static const char *keep_name;

/* Returns whether it went deep. */
static int run(const uint8_t *bytes, size_t len)
{
    unsigned long before = fuzz_deep;
    if (keep_name != NULL) {
        write_file(keep_name, bytes, len);
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
    const char *unpack_to = NULL, *pack_to = NULL;
    int status = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0) {
            runs = number("--mutate", argv[++i]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            rng_state = number("--seed", argv[++i]);
        } else if (strcmp(argv[i], "--deep") == 0) {
            deep_percent = number("--deep", argv[++i]);
        } else if (strcmp(argv[i], "--keep") == 0 && i + 1 < argc) {
            keep_name = argv[++i];
        } else if (strcmp(argv[i], "--unpack") == 0 && i + 1 < argc) {
            unpack_to = argv[++i];
        } else if (strcmp(argv[i], "--pack") == 0 && i + 1 < argc) {
            pack_to = argv[++i];
        } else {
            read_path(&all, argv[i]);
        }
    }
    if (all.count == 0) {
        die("no input to replay", argc > 0 ? argv[0] : "replay");
    }
    if (unpack_to != NULL) {
        unpack(&all, unpack_to);
    }
    if (pack_to != NULL) {
        pack(&all, pack_to);
    }
    if (unpack_to == NULL && pack_to == NULL) {
        for (size_t i = 0; i < all.count; i++) {
            deep += (size_t)run(all.inputs[i].bytes, all.inputs[i].len);
        }
        run_mutated(&all, runs);
        unsigned long failed = deep * 100 < all.count * deep_percent;
        if (failed) {
            printf("FAIL not deep enough: %lu percent of the inputs must be\n", (unsigned long)deep_percent);
        }
        printf("replayed %lu inputs; of %lu seeds %lu went deep\n", (unsigned long)(all.count + runs), (unsigned long)all.count,
               (unsigned long)deep);
        status = counts_finish(!failed, failed, 0);
    }
    for (size_t i = 0; i < all.count; i++) {
        free(all.inputs[i].name);
        free(all.inputs[i].bytes);
    }
    free(all.inputs);
    return status;
}
