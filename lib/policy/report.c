/*
 * Errors and warnings as values with a place. Everything that is kept is escaped already, so that printing needs no thought.
 */
#include <stdarg.h>

#include "policy.h"
#include "str.h"

/* More than anybody reads; a file made to fill the screen doesn't. */
#define MESSAGES_MAX 200

/* How much of a source line is shown around the place. */
#define SHOWN_BEFORE 60
#define SHOWN_AFTER 60

/* The index of a file's name among those that the report owns, SIZE_MAX without memory. */
static size_t report_file(struct policy_report *report, const char *file) {
        for (size_t i = 0; i < report->n_files; i++)
                if (strcmp(report->files[i], file) == 0)
                        return i;

        size_t n = report->n_files + 1;
        char **files = reallocarray(report->files, n, sizeof(char *));
        if (files)
                report->files = files;
        char **texts = reallocarray(report->texts, n, sizeof(char *));
        if (texts)
                report->texts = texts;
        char *copy = strdup(file);
        if (!files || !texts || !copy) {
                free(copy);
                return SIZE_MAX;
        }
        report->files[report->n_files] = copy;
        report->texts[report->n_files] = NULL;
        return report->n_files++;
}

void policy_report_cut(struct policy_report *report, size_t n) {
        while (report->n > n) {
                struct policy_message *m = report->messages + --report->n;
                report->n_errors -= !m->warning;
                free(m->text);
                free(m->source);
        }
}

void policy_report_keep(struct policy_report *report, const char *file, const char *text, size_t size) {
        size_t i = report_file(report, file);

        if (i == SIZE_MAX || report->texts[i])
                return;
        report->texts[i] = malloc(size + 1);
        if (report->texts[i]) {
                memcpy(report->texts[i], text, size);
                report->texts[i][size] = 0;
        }
}

/* The characters of a UTF-8 text; every byte that continues none counts, as it is escaped by itself. */
static size_t count_columns(const char *text, size_t length) {
        size_t n = 0;

        for (size_t i = 0; i < length; i++)
                n += (text[i] & 0xc0) != 0x80;
        return n;
}

static const char *find_line(const char *text, unsigned line, size_t *ret_length) {
        while (--line > 0) {
                text = strchr(text, '\n');
                if (!text)
                        return NULL;
                text++;
        }
        *ret_length = strcspn(text, "\n");
        if (*ret_length > 0 && text[*ret_length - 1] == '\r')
                (*ret_length)--;
        return text;
}

/* Shows the line around a column; long lines are cut on both sides. */
static void show_source(struct policy_message *message, const char *text) {
        struct strbuf shown = {};
        size_t length, at = 0;
        const char *line = find_line(text, message->place.line, &length);

        if (!line)
                return;
        for (unsigned column = 1; at < length && column < message->place.column; column++) {
                at++;
                while (at < length && (line[at] & 0xc0) == 0x80)
                        at++;
        }
        size_t from = at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0, to = length - at > SHOWN_AFTER ? at + SHOWN_AFTER : length;
        while (from > 0 && (line[from] & 0xc0) == 0x80)
                from--;
        while (to < length && (line[to] & 0xc0) == 0x80)
                to++;
        if (from > 0)
                strbuf_puts(&shown, "…");
        strbuf_escape(&shown, line + from, at - from);
        unsigned caret = count_columns(shown.text ? shown.text : "", shown.length) + 1;
        strbuf_escape(&shown, line + at, to - at);
        if (to < length)
                strbuf_puts(&shown, "…");
        message->source = strbuf_take(&shown);
        message->caret = message->place.column > 0 ? caret : 0;
}

void policy_report_add(struct policy_report *report, bool warning, struct place place, const char *format, ...) {
        struct policy_message *messages;
        va_list args;

        /* Counted even where the words are not kept: an error never gets lost. */
        report->n_errors += !warning;
        if (report->n == MESSAGES_MAX)
                return;
        messages = reallocarray(report->messages, report->n + 1, sizeof(*messages));
        if (!messages)
                return;
        report->messages = messages;
        struct policy_message *m = messages + report->n;
        *m = (struct policy_message) { .place = place, .warning = warning };

        va_start(args, format);
        if (vasprintf(&m->text, format, args) < 0)
                m->text = NULL;
        va_end(args);
        if (!m->text)
                return;
        report->n++;
        m->place.file = NULL;
        if (place.file) {
                size_t i = report_file(report, place.file);
                if (i != SIZE_MAX) {
                        m->place.file = report->files[i];
                        if (report->texts[i] && place.line > 0)
                                show_source(m, report->texts[i]);
                }
        }
}

static void print_message(const struct policy_message *m, FILE *out) {
        const char *kind = m->warning ? "warning" : "error";
        _cleanup_free_ char *file = m->place.file ? str_escape(m->place.file) : NULL;

        if (file && m->place.line > 0)
                fprintf(out, "%s:%u:%u: %s: %s\n", file, m->place.line, m->place.column, kind, m->text);
        else if (file)
                fprintf(out, "%s: %s: %s\n", file, kind, m->text);
        else
                fprintf(out, "%s: %s\n", kind, m->text);
        if (m->source) {
                fprintf(out, "    %s\n", m->source);
                if (m->caret > 0)
                        fprintf(out, "    %*s\n", (int) m->caret, "^");
        }
}

void policy_report_print(const struct policy_report *report, FILE *out) {
        size_t shown = 0;

        for (size_t i = 0; i < report->n; i++) {
                print_message(report->messages + i, out);
                shown += !report->messages[i].warning;
        }
        if (report->n_errors > shown)
                fprintf(out, "… and %zu more errors\n", report->n_errors - shown);
}

void policy_report_done(struct policy_report *report) {
        for (size_t i = 0; i < report->n; i++) {
                free(report->messages[i].text);
                free(report->messages[i].source);
        }
        free(report->messages);
        for (size_t i = 0; i < report->n_files; i++) {
                free(report->files[i]);
                free(report->texts[i]);
        }
        free(report->files);
        free(report->texts);
        *report = (struct policy_report) {};
}
