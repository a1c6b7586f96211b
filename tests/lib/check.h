/* check.h - a test framework of one header. A failed check is printed, marks the case in force as failed, and the test goes on.

       TEST(sum_of_nothing_is_zero) { CHECK_EQ_INT(tuo_csum(NULL, 0, 0), 0); }

       int main(int argc, char **argv)
       {
           static const check_test tests[] = {CHECK_ENTRY(sum_of_nothing_is_zero)};
           return CHECK_RUN(argc, argv, tests);
       }

   A case is one test, or, once it calls check_row, each of its rows. A case in which nothing was checked counts as failed.
   The first argument of the program, if any, is a part of a test's name: only matching tests run.
   Each check is an expression, 1 if it held: if (!CHECK(p != NULL)) return;

   With CHECK_STOP defined the program ends at the first failed check.

   CHECK_VERDICT and CHECK_RESULT are there if tunoffload.h was included before this header. */
#ifndef CHECK_H
#define CHECK_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counts.h"

#if defined(__GNUC__) || defined(__clang__)
#define CHECK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CHECK_PRINTF(fmt, args)
#endif

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

/* One test program is one translation unit, so these may be static. */
static struct {
    unsigned passed, failed, skipped;
    const char *test;
    char row[160];          /* "" while no row is in force */
    unsigned long checks;   /* made in the case in force */
    unsigned failures;      /* of them */
    unsigned printed;       /* failures printed in the test in force */
    int skip;
} check_state;

enum { CHECK_PRINT_MAX = 20 };

#define TEST(name) static void name(void)
#define CHECK_ENTRY(name) {#name, name}
#define CHECK_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CHECK_RUN(argc, argv, tests) check_run((argc), (argv), (tests), CHECK_COUNT_OF(tests))

/* Prints where and which case; 0 once the test in force has printed enough, so that a broken loop stays readable. */
static inline int check_failed(const char *file, int line)
{
#ifdef CHECK_STOP
    exit(1);
#endif
    check_state.failures++;
    if (check_state.printed == CHECK_PRINT_MAX)
        printf("%s: more failures not shown\n", check_state.test);
    if (check_state.printed++ >= CHECK_PRINT_MAX)
        return 0;
    printf("%s:%d: %s%s%s%s: ", file, line, check_state.test, check_state.row[0] ? " [" : "", check_state.row,
           check_state.row[0] ? "]" : "");
    return 1;
}

static inline int check_true(int ok, const char *text, const char *file, int line)
{
    check_state.checks++;
    if (!ok && check_failed(file, line))
        printf("not true: %s\n", text);
    return ok;
}

static inline int check_eq_int(long long actual, long long expected, const char *text, const char *file, int line)
{
    check_state.checks++;
    if (actual != expected && check_failed(file, line))
        printf("%s is %lld (0x%llx), expected %lld (0x%llx)\n", text, actual, (unsigned long long)actual, expected,
               (unsigned long long)expected);
    return actual == expected;
}

static inline int check_eq_str(const char *actual, const char *expected, const char *text, const char *file, int line)
{
    int same = actual && expected ? strcmp(actual, expected) == 0 : actual == expected;

    check_state.checks++;
    if (!same && check_failed(file, line))
        printf("%s is \"%s\", expected \"%s\"\n", text, actual ? actual : "(null)", expected ? expected : "(null)");
    return same;
}

/* For enumerations: compares the numbers, prints the names. */
static inline int check_eq_name(int actual, int expected, const char *actual_name, const char *expected_name, const char *text,
                                const char *file, int line)
{
    check_state.checks++;
    if (actual != expected && check_failed(file, line))
        printf("%s is %s (%d), expected %s (%d)\n", text, actual_name, actual, expected_name, expected);
    return actual == expected;
}

static inline void check_hex(const char *label, const uint8_t *bytes, size_t from, size_t len)
{
    size_t i, end = from + 24 < len ? from + 24 : len;

    printf("    %s", label);
    for (i = from; i < end; i++)
        printf(" %02x", (unsigned)bytes[i]);
    printf("%s\n", end < len ? " ..." : "");
}

static inline int check_bytes(const void *actual, const void *expected, size_t len, const char *text, const char *file,
                              int line)
{
    const uint8_t *a = (const uint8_t *)actual, *e = (const uint8_t *)expected;
    size_t i = 0;

    check_state.checks++;
    if (len == 0 || memcmp(a, e, len) == 0)
        return 1;
    while (a[i] == e[i])
        i++;
    if (check_failed(file, line)) {
        size_t from = i < 8 ? 0 : i - 8;
        printf("%s differs at byte %lu of %lu; from byte %lu:\n", text, (unsigned long)i, (unsigned long)len,
               (unsigned long)from);
        check_hex("actual  ", a, from, len);
        check_hex("expected", e, from, len);
    }
    return 0;
}

#define CHECK(cond) check_true((cond) != 0, #cond, __FILE__, __LINE__)
#define CHECK_EQ_INT(actual, expected) check_eq_int((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
#define CHECK_EQ_STR(actual, expected) check_eq_str((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_BYTES(actual, expected, len) check_bytes((actual), (expected), (len), #actual, __FILE__, __LINE__)

#ifdef TUNOFFLOAD_H
#define CHECK_VERDICT(actual, expected) check_verdict((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_RESULT(actual, expected) check_result((actual), (expected), #actual, __FILE__, __LINE__)

static inline int check_verdict(tuo_verdict actual, tuo_verdict expected, const char *text, const char *file, int line)
{
    return check_eq_name((int)actual, (int)expected, tuo_verdict_name(actual), tuo_verdict_name(expected), text, file, line);
}

static inline int check_result(tuo_result actual, tuo_result expected, const char *text, const char *file, int line)
{
    return check_eq_name((int)actual, (int)expected, tuo_result_name(actual), tuo_result_name(expected), text, file, line);
}
#endif

/* Counts the case in force and opens the next one. The part of a test in front of its first row is a case only if it checked
   something. */
static inline void check_close_case(int is_last)
{
    int in_row = check_state.row[0] != 0;

    if (check_state.skip) {
        check_state.skipped++;
    } else if (check_state.checks == 0 && (in_row || is_last)) {
        printf("%s%s%s%s: FAILED: nothing was checked\n", check_state.test, in_row ? " [" : "", check_state.row,
               in_row ? "]" : "");
        check_state.failed++;
    } else if (check_state.checks != 0) {
        if (check_state.failures)
            check_state.failed++;
        else
            check_state.passed++;
    }
    check_state.checks = 0;
    check_state.failures = 0;
    check_state.skip = 0;
    check_state.row[0] = 0;
}

/* check_row: from here to the next check_row, or the end of the test, is the case of this name. */
CHECK_PRINTF(1, 2) static inline void check_row(const char *format, ...)
{
    va_list args;

    check_close_case(0);
    va_start(args, format);
    vsnprintf(check_state.row, sizeof check_state.row, format, args);
    va_end(args);
}

/* check_skip: the case in force cannot run here. Return from the test (or go on to the next row) after it. */
static inline void check_skip(const char *why)
{
    printf("SKIP %s%s%s: %s\n", check_state.test, check_state.row[0] ? " " : "", check_state.row, why);
    check_state.skip = 1;
}

static inline int check_run(int argc, char **argv, const check_test *tests, size_t count)
{
    size_t i;
    unsigned ran = 0;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* so that nothing is lost when a sanitizer ends the program */
    for (i = 0; i < count; i++) {
        unsigned before = check_state.passed + check_state.failed + check_state.skipped;
        if (argc > 1 && !strstr(tests[i].name, argv[1]))
            continue;
        check_state.test = tests[i].name;
        check_state.printed = 0;
        tests[i].run();
        check_close_case(before == check_state.passed + check_state.failed + check_state.skipped);
        ran++;
    }
    if (!ran) {
        printf("no test matches\n");
        check_state.failed++;
    }
    return counts_finish(check_state.passed, check_state.failed, check_state.skipped);
}

#endif /* CHECK_H */
