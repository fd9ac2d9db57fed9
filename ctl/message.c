#include "message.h"

#include <errno.h>
#include <stdarg.h>

#include "str.h"

static void message_print(const char *format, va_list args) {
        _cleanup_free_ char *text = NULL;

        /* One write for a line, so that it isn't torn by what the sandbox prints at the same time. */
        if (vasprintf(&text, format, args) < 0)
                return;
        fprintf(stderr, "sandboxctl: %s\n", text);
        fflush(stderr);
}

int message_fail(const char *format, ...) {
        va_list args;

        va_start(args, format);
        message_print(format, args);
        va_end(args);
        return EXIT_OURS;
}

int message_bad_option(const char *verb, int c, char *const *argv, const struct option *options) {
        const char *word = argv[optind - 1], *names[64];
        _cleanup_free_ char *text = str_escape(word);
        size_t n = 0;

        if (c == ':') {
                message_fail("%s wants a value; sandboxctl %s --help shows which", text, verb);
                return -EINVAL;
        }
        for (const struct option *o = options; o->name && n < ELEMENTSOF(names); o++)
                names[n++] = o->name;
        const char *near = str_starts(word, "--") ? str_nearest(word + 2, names, n) : NULL;
        if (near)
                message_fail("there is no option %s; did you mean --%s? (sandboxctl %s --help)", text, near, verb);
        else
                message_fail("there is no option %s; sandboxctl %s --help lists them", text, verb);
        return -EINVAL;
}

void message_note(const char *format, ...) {
        va_list args;

        va_start(args, format);
        message_print(format, args);
        va_end(args);
}
