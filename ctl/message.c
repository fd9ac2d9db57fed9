#include "message.h"

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

void message_note(const char *format, ...) {
        va_list args;

        va_start(args, format);
        message_print(format, args);
        va_end(args);
}
