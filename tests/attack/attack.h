/*
 * What the attack programs share. They run inside a sandbox; each reports with attack_result() and ends with attack_end(), whose exit code
 * is 0 only if every expectation held.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int attack_bad, attack_seen;

static inline uint64_t attack_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * UINT64_C(1000) + t.tv_nsec / 1000000;
}

/* One expectation: says so where it doesn't hold, and counts. */
__attribute__((format(printf, 2, 3))) static inline bool attack_expect(bool held, const char *format, ...) {
        va_list ap;

        attack_seen++;
        if (held)
                return true;
        attack_bad++;
        va_start(ap, format);
        printf("NOT HELD: ");
        vprintf(format, ap);
        printf("\n");
        va_end(ap);
        return false;
}

/* The call failed, with one of these errnos (a list that ends with 0). Reads errno at once. */
#define attack_refused(what, call, ...) \
        ({ \
                errno = 0; \
                long _result = (long) (call); \
                int _error = errno; \
                const int _errors[] = { __VA_ARGS__, 0 }; \
                bool _held = false; \
                for (const int *_e = _errors; *_e; _e++) \
                        _held = _held || (_result == -1 && _error == *_e); \
                attack_expect(_held, "%s: %ld, %s", what, _result, _result == -1 ? strerrorname_np(_error) : "no error"); \
        })

__attribute__((noreturn, format(printf, 1, 2))) static inline void attack_die(const char *format, ...) {
        int error = errno;
        va_list ap;

        va_start(ap, format);
        printf("cannot attack: ");
        vprintf(format, ap);
        printf(": %s\n", strerror(error));
        va_end(ap);
        exit(2);
}

__attribute__((noreturn)) static inline void attack_end(void) {
        printf("%d of %d held\n", attack_seen - attack_bad, attack_seen);
        exit(attack_bad || !attack_seen);
}
