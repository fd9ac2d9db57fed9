/*
 * Records: one JSON object on a line for each decision, by one write each, so that lines of several threads don't mix.
 */
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

static void add(struct json_object *o, const char *name, const char *text) {
        if (text)
                json_object_object_add(o, name, json_object_new_string(text));
}

static void add_time(struct json_object *o) {
        struct timespec now;
        struct tm tm;
        char text[64];

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, sizeof(text) - n, ".%06ldZ", now.tv_nsec / 1000);
        add(o, "time", text);
}

static bool valid_utf8(const char *text) {
        for (const unsigned char *p = (const unsigned char *) text; *p;) {
                unsigned n = *p < 0x80 ? 1 : *p >= 0xc2 && *p <= 0xdf ? 2 : (*p & 0xf0) == 0xe0 ? 3 : *p >= 0xf0 && *p <= 0xf4 ? 4 : 0;
                if (n == 0)
                        return false;
                for (unsigned i = 1; i < n; i++)
                        if ((p[i] & 0xc0) != 0x80)
                                return false;
                if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
                    (p[0] == 0xf4 && p[1] > 0x8f))
                        return false;
                p += n;
        }
        return true;
}

/* JSON holds Unicode only: a name that isn't is given escaped, and the record says so. */
static void add_subject(struct json_object *o, const char *subject) {
        if (!subject || valid_utf8(subject)) {
                add(o, "subject", subject);
                return;
        }
        _cleanup_free_ char *escaped = str_escape(subject);
        add(o, "subject", escaped);
        json_object_object_add(o, "subject_escaped", json_object_new_boolean(true));
}

const char *audit_rule_text(const struct call *call, char *text, size_t room) {
        const struct place *place;
        const char *kind, *what;

        if (call->syscall_rule) {
                place = &call->syscall_rule->place;
                kind = "syscalls";
                what = call->syscall_rule->text;
        } else if (call->net_rule) {
                place = &call->net_rule->place;
                kind = "network";
                what = call->net_rule->text;
        } else if (call->file_rule) {
                place = &call->file_rule->place;
                kind = file_kind_name(call->file_rule->kind);
                what = call->file_rule->pattern;
        } else
                return NULL;
        if (place->line > 0)
                snprintf(text, room, "%s %s (%s:%u)", kind, what ?: "", place->file ?: "", place->line);
        else
                snprintf(text, room, "%s %s (%s)", kind, what ?: "", place->file ?: "");
        return text;
}

static const char *verdict_name(const struct verdict *v, const struct reply_result *result) {
        if (v->kind == VERDICT_KILL)
                return "kill";
        if (v->denied)
                return "deny";
        if (result->gone)
                return "gone";
        if (result->failed)
                return "failed";
        switch (v->kind) {
        case VERDICT_ERROR: return "error";
        case VERDICT_PROCEED: return "proceed";
        case VERDICT_RESTART: return "restart";
        default: return "allow";
        }
}

static void write_line(struct worker *w, struct json_object *o) {
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        struct strbuf line = {};

        /* The log may be a terminal. */
        strbuf_escape_json(&line, text ?: "", text ? strlen(text) : 0);
        strbuf_puts(&line, "\n");
        /* A log that can't be written must not stop the sandbox; what was decided was decided. */
        while (!line.failed && write(w->log_fd, line.text, line.length) < 0 && errno == EINTR)
                ;
        strbuf_done(&line);
}

void audit_record(struct receiver *r, const struct verdict *v, const struct reply_result *result) {
        struct worker *w = r->worker;
        const struct call *call = &r->call;
        char text[PATH_MAX + 256];

        if (w->log_fd < 0 || w->options.record == AUDIT_NONE)
                return;
        if (w->options.record == AUDIT_DENIED && !v->denied && v->kind != VERDICT_KILL && !result->failed)
                return;

        struct json_object *o = json_object_new_object();
        if (!o)
                return;
        add_time(o);
        add(o, "sandbox", w->options.name);
        json_object_object_add(o, "pid", json_object_new_int(call->notif->pid));
        if (call->claim)
                add(o, "call", call->claim->name);
        else
                json_object_object_add(o, "nr", json_object_new_int(call->notif->data.nr));
        add_subject(o, call->subject);
        add(o, "verdict", verdict_name(v, result));
        if (v->kind == VERDICT_VALUE && !result->gone && !result->failed)
                json_object_object_add(o, "value", json_object_new_int64(v->value));
        if (result->error > 0 && result->error != AUDIT_ERESTARTSYS)
                add(o, "errno", strerrorname_np(result->error));
        add(o, "rule", audit_rule_text(call, text, sizeof(text)));
        add(o, "why", call->why);
        add(o, "remedy", call->remedy);
        json_object_object_add(o, "usec", json_object_new_int64((worker_now() - r->received) / 1000));
        write_line(w, o);
        json_object_put(o);
}

void audit_event(struct worker *w, const char *event, const char *text) {
        if (w->log_fd < 0)
                return;
        struct json_object *o = json_object_new_object();
        if (!o)
                return;
        add_time(o);
        add(o, "sandbox", w->options.name);
        add(o, "event", event);
        add(o, "text", text);
        write_line(w, o);
        json_object_put(o);
}

void audit_kill_text(const struct call *call, char *text, size_t room) {
        char rule[PATH_MAX + 256];
        const char *by = audit_rule_text(call, rule, sizeof(rule)) ?: call->why ?: "a policy";

        snprintf(text, room, "%s: %s", call->claim ? call->claim->name : "a call", by);
}
