/*
 * The drop-in: each command of the unit, started by `sandboxctl service-exec`. The words behind ` -- ` are the unit's own, untouched, so that systemd
 * expands specifiers and variables in them as before.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>

#include "service.h"
#include "str.h"

#define SEPARATOR " -- "

/* ---- names ---- */

void service_sandbox_name(const char *unit, const char *what, unsigned number, char ret[SERVICE_NAME_SIZE]) {
        char tail[32] = "";
        size_t room, n = 0;

        if (what && number > 1)
                snprintf(tail, sizeof(tail), ".%s.%u", what, number);
        else if (what)
                snprintf(tail, sizeof(tail), ".%s", what);
        else if (number > 1)
                snprintf(tail, sizeof(tail), ".%u", number);
        room = SERVICE_NAME_SIZE - 1 - strlen(tail);
        for (; *unit && n < room; unit++) {
                char c = tolower((unsigned char) *unit);
                bool first = n == 0;
                ret[n++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : first ? 'u' : strchr("_.-", c) ? c : '_';
        }
        memcpy(ret + n, tail, strlen(tail) + 1);
}

static const char *what_of(const char *key) {
        static const char *const whats[][2] = {
                { "ExecCondition", "condition" }, { "ExecStartPre", "start-pre" }, { "ExecStartPost", "start-post" },
                { "ExecReload", "reload" },       { "ExecStop", "stop" },          { "ExecStopPost", "stop-post" },
        };

        for (size_t i = 0; i < ELEMENTSOF(whats); i++)
                if (str_equal(whats[i][0], key))
                        return whats[i][1];
        return NULL;
}

/* ---- capabilities ---- */

static const struct {
        uint64_t bit;
        const char *name;
        bool identity;
} needed[] = {
        { UINT64_C(1) << CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false },
        { UINT64_C(1) << CAP_SETUID, "CAP_SETUID", true },
        { UINT64_C(1) << CAP_SETGID, "CAP_SETGID", true },
};

/* What the bounding set lacks for service-exec, which drops it again. Empty: nothing. */
static void find_missing(const struct unit *u, enum unit_way way, uint64_t *ret_bounding, struct strbuf *ret) {
        *ret_bounding = unit_number(u, SYSTEMD_SERVICE, "CapabilityBoundingSet");
        for (size_t i = 0; way != UNIT_BOUND && i < ELEMENTSOF(needed); i++)
                if (!(*ret_bounding & needed[i].bit) && (way == UNIT_BECOMES || !needed[i].identity))
                        strbuf_printf(ret, " %s", needed[i].name);
        if (ret->text)
                strbuf_puts(ret, " CAP_SETPCAP");
}

/* ---- lines ---- */

struct making {
        const struct unit *unit;
        const char *policy, *program;
        enum unit_way way;
        uint64_t bounding;
        bool bounded;    /* service-exec drops capabilities */
        bool start_only; /* PermissionsStartOnly=: all but ExecStart= are root's */
};

/* The program and its arguments as arguments: a dollar in the first word has no meaning, in others it has. */
static void add_words(struct strbuf *b, const struct exec_line *line) {
        bool verbatim = strchr(line->prefixes, ':');

        for (const char *p = line->program; *p; p++)
                strbuf_add(b, *p == '$' && !verbatim ? "$$" : p, *p == '$' && !verbatim ? 2 : 1);
        if (line->rest[0])
                strbuf_printf(b, " %s", line->rest);
}

static void add_line(struct strbuf *b, const struct making *m, const struct exec_line *line) {
        const char *what = what_of(line->key);
        /* With full rights, whatever the unit says. */
        bool full = strchr(line->prefixes, '+') || (m->start_only && what),
             as_root = strchr(line->prefixes, '!') && !strstr(line->prefixes, "!!");
        bool becomes = m->way == UNIT_BECOMES && !full && !as_root;

        strbuf_printf(b, "%s=", line->key);
        for (const char *p = line->prefixes; *p; p++)
                if (*p != '@' && !(becomes && *p == '!'))
                        strbuf_add(b, p, 1);
        strbuf_printf(b, "%s%s service-exec --unit=%%n --policy=%s", becomes ? "!" : "", m->program, m->policy);
        if (what)
                strbuf_printf(b, " --line=%s", what);
        if (becomes)
                strbuf_puts(b, " --become");
        if (m->bounded && !full)
                strbuf_printf(b, " --bounding=%" PRIx64, m->bounding);
        if (strchr(line->prefixes, '@'))
                strbuf_puts(b, " --argv0");
        strbuf_puts(b, SEPARATOR);
        add_words(b, line);
        strbuf_puts(b, "\n");
}

static bool says_yes(const struct unit_line *line) {
        return line && (line->value[0] == '1' || strchr("yYtT", line->value[0]) || str_equal(line->value, "on"));
}

int drop_in_make(const struct unit *u, const char *policy, const char *program, const char *relax, char **ret) {
        struct making m = {
                .unit = u,
                .policy = policy,
                .program = program,
                .way = unit_way(u),
                .start_only = says_yes(unit_find_line(u, "PermissionsStartOnly")),
        };
        _cleanup_(strbuf_done) struct strbuf b = {}, missing = {};
        struct exec_line *lines;
        const char *key = NULL;
        size_t n;
        int r = unit_exec_lines(u, &lines, &n);

        if (r < 0)
                return r;
        find_missing(u, m.way, &m.bounding, &missing);
        m.bounded = missing.text;
        strbuf_printf(&b, DROP_IN_MARK "%s\n", policy);
        strbuf_printf(&b,
                      "# %s runs behind sandboxd: sandboxctl(1), service wrap. Nothing else was changed for it; to undo it:\n"
                      "#   sandboxctl service unwrap %s\n"
                      "[Unit]\n"
                      "Wants=sandboxd.service sandboxd.socket\n"
                      "After=sandboxd.service sandboxd.socket\n"
                      "\n"
                      "[Service]\n",
                      u->id, u->id);
        if (relax)
                strbuf_printf(&b, "# Overridden, by --relax:\n%s", relax);
        if (missing.text)
                strbuf_printf(&b, "# For service-exec alone, which drops it again:\nCapabilityBoundingSet=%s\n", missing.text + 1);
        for (size_t i = 0; i < n; i++) {
                if (!str_equal(key, lines[i].key))
                        strbuf_printf(&b, "%s=\n", lines[i].key);
                key = lines[i].key;
                add_line(&b, &m, lines + i);
        }
        exec_lines_free(lines, n);
        if (b.failed || missing.failed)
                return -ENOMEM;
        *ret = strbuf_take(&b);
        return n == 0 ? -ENODATA : 0;
}

/* ---- reading one ---- */

char *drop_in_policy(const char *text) {
        if (!str_starts(text, DROP_IN_MARK))
                return NULL;
        text += strlen(DROP_IN_MARK);
        return strndup(text, strcspn(text, "\n"));
}

/* The keys and words of all lines that start something, one a line. */
static void add_original(struct strbuf *b, const char *text) {
        while (*text) {
                size_t n = strcspn(text, "\n");
                const char *equals = memchr(text, '=', n), *words = memmem(text, n, SEPARATOR, strlen(SEPARATOR));
                if (n > 4 && str_starts(text, "Exec") && equals && words) {
                        strbuf_add(b, text, equals + 1 - text);
                        words += strlen(SEPARATOR);
                        strbuf_add(b, words, text + n - words);
                        strbuf_puts(b, "\n");
                }
                text += n + (text[n] != 0);
        }
}

int drop_in_is_current(const struct unit *u, const char *text) {
        _cleanup_(strbuf_done) struct strbuf ours = {}, theirs = {};
        struct exec_line *lines;
        size_t n;
        int r = unit_exec_lines(u, &lines, &n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                strbuf_printf(&theirs, "%s=", lines[i].key);
                add_words(&theirs, lines + i);
                strbuf_puts(&theirs, "\n");
        }
        exec_lines_free(lines, n);
        add_original(&ours, text);
        if (ours.failed || theirs.failed)
                return -ENOMEM;
        return str_equal(ours.text ?: "", theirs.text ?: "");
}
