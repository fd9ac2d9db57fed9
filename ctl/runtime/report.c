/*
 * Errors, so that `docker run` shows them: engines read the log that they name with --log, and show its last error as the container's.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "runtime.h"
#include "str.h"

static void write_log(const struct words *w, const char *text) {
        _cleanup_close_ int fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
        _cleanup_free_ char *line = NULL;
        char now[32];
        time_t t = time(NULL);
        struct tm tm;
        int n;

        if (fd < 0)
                return;
        strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
        struct json_object *value = json_object_new_string(text);
        const char *quoted = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (str_equal(w->log_format, "json"))
                n = asprintf(&line, "{\"level\":\"error\",\"msg\":%s,\"time\":\"%s\"}\n", quoted, now);
        else
                n = asprintf(&line, "time=\"%s\" level=error msg=%s\n", now, quoted);
        if (n >= 0)
                (void) fd_write_full(fd, line, n);
        json_object_put(value);
}

int report_fail(const struct words *w, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *line = NULL;
        va_list args;

        va_start(args, format);
        int n = vasprintf(&text, format, args);
        va_end(args);
        if (n < 0 || asprintf(&line, "sandbox-runtime: %s", text) < 0)
                return 1;
        if (w && w->log && w->log[0])
                write_log(w, line);
        fprintf(stderr, "%s\n", line);
        return 1;
}
