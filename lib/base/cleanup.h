/*
 * Scoped cleanup: a variable marked with _cleanup_(f) has f(&variable) run when it goes out of scope.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _noreturn_ __attribute__((noreturn))

/* Hands a pointer or fd over: the variable gives up its value, so that its cleanup does nothing. */
#define TAKE_PTR(p) \
        ({ \
                __typeof__(p) _taken = (p); \
                (p) = NULL; \
                _taken; \
        })
#define TAKE_FD(fd) \
        ({ \
                int _taken = (fd); \
                (fd) = -1; \
                _taken; \
        })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_fclose_ _cleanup_(fclosep)
