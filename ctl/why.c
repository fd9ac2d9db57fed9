#include "why.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "json_member.h"
#include "message.h"
#include "str.h"

#define SHOWN 20
#define LOG_MAX (64U << 20)

struct denial {
        const char *call, *subject, *error, *rule, *remedy;
        unsigned times;
};

/* A name that isn't there on the host either was refused, but the program lost nothing by it: it would have seen the same. */
static bool absent_anyway(const struct denial *d) {
        struct stat st;

        return str_equal(d->error, "ENOENT") && d->subject && d->subject[0] == '/' && lstat(d->subject, &st) < 0 && errno == ENOENT;
}

static bool same(const struct denial *a, const struct denial *b) {
        return str_equal(a->call, b->call) && str_equal(a->subject, b->subject) && str_equal(a->error, b->error);
}

/* What a rule has to name: the object, or where a name is to be created, the directory, since a rule can't show what isn't there. */
static char *rule_path(const struct denial *d) {
        struct stat st;
        const char *slash = strrchr(d->subject, '/');
        bool creates = str_equal(d->remedy, "write") || str_equal(d->remedy, "append");

        if (creates && d->subject[0] == '/' && slash > d->subject && lstat(d->subject, &st) < 0 && errno == ENOENT) {
                _cleanup_free_ char *parent = strndup(d->subject, slash - d->subject);
                return parent ? str_escape(parent) : NULL;
        }
        return str_escape(d->subject);
}

static void print_denial(const struct denial *d) {
        _cleanup_free_ char *subject = d->subject ? str_escape(d->subject) : NULL;
        _cleanup_free_ char *rule = d->rule ? str_escape(d->rule) : NULL;
        struct strbuf b = {};

        strbuf_printf(&b, "  %s %s: %s", d->call, subject ?: "", d->error ?: "refused");
        if (d->times > 1)
                strbuf_printf(&b, " (%u times)", d->times);
        if (rule)
                strbuf_printf(&b, "\n      refused by %s", rule);
        _cleanup_free_ char *allow = d->remedy && d->subject ? rule_path(d) : NULL;
        if (allow) {
                bool network = str_equal(d->remedy, "connect") || str_equal(d->remedy, "bind");
                strbuf_printf(&b, "\n      allowed by %s: { %s: [\"%s\"] }", network ? "network" : "files", d->remedy, allow);
                if (!network && !str_equal(d->remedy, "append"))
                        strbuf_printf(&b, ", or --%s '%s'", d->remedy, allow);
        }
        char *text = strbuf_take(&b);
        if (text)
                fprintf(stderr, "%s\n", text);
        free(text);
}

void why_print(int log_fd) {
        _cleanup_free_ char *text = NULL;
        struct denial shown[SHOWN];
        struct json_object *kept[SHOWN];
        size_t size, n = 0, more = 0;

        if (lseek(log_fd, 0, SEEK_SET) < 0 || fd_read_file(log_fd, LOG_MAX, &text, &size) < 0) {
                message_note("the records of this run could not be read");
                return;
        }
        for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                struct json_object *o = json_tokener_parse(line);
                if (!o || !str_equal(json_member_text(o, "verdict"), "deny")) {
                        json_object_put(o);
                        continue;
                }
                struct denial d = {
                        json_member_text(o, "call"), json_member_text(o, "subject"), json_member_text(o, "errno"),
                        json_member_text(o, "rule"), json_member_text(o, "remedy"),  1,
                };
                bool known = !d.call || absent_anyway(&d);
                for (size_t i = 0; i < n && !known; i++)
                        if (same(&d, &shown[i])) {
                                shown[i].times++;
                                known = true;
                        }
                if (known || n == SHOWN) {
                        more += !known;
                        json_object_put(o);
                        continue;
                }
                kept[n] = o;
                shown[n++] = d;
        }

        if (n == 0)
                message_note("nothing that exists was denied");
        else
                message_note("what was denied, and the rule that would allow each:");
        for (size_t i = 0; i < n; i++) {
                print_denial(&shown[i]);
                json_object_put(kept[i]);
        }
        if (more > 0)
                fprintf(stderr, "  … and %zu more\n", more);
}
