#include "json_print.h"

#include <errno.h>
#include <stdio.h>

#include "fd.h"
#include "str.h"

static void escape_lines(struct strbuf *b, struct json_object *o, int flags) {
        const char *text = json_object_to_json_string_ext(o, flags | JSON_C_TO_STRING_NOSLASHESCAPE);

        /* The ends of lines are ours. */
        for (const char *p = text ?: ""; *p; p += strcspn(p, "\n"), p += *p == '\n') {
                strbuf_escape_json(b, p, strcspn(p, "\n"));
                strbuf_puts(b, "\n");
        }
        json_object_put(o);
}

void json_print(struct json_object *o) {
        _cleanup_(strbuf_done) struct strbuf b = {};

        escape_lines(&b, o, JSON_C_TO_STRING_PRETTY);
        fputs(b.text ?: "", stdout);
}

int json_print_line(struct json_object *o) {
        _cleanup_(strbuf_done) struct strbuf b = {};

        escape_lines(&b, o, JSON_C_TO_STRING_PLAIN);
        return b.failed ? -ENOMEM : fd_write_full(1, b.text, b.length);
}
