/*
 * The command line's own rules: the last layer.
 */
#include <errno.h>

#include "glob.h"
#include "load.h"
#include "str.h"

static const struct {
        const char *option;
        enum file_kind kind;
} options[] = {
        [FLAG_SET] = { "--set" },
        [FLAG_READ] = { "--read", FILE_READ },
        [FLAG_WRITE] = { "--write", FILE_WRITE },
        [FLAG_EXEC] = { "--exec", FILE_EXEC },
        [FLAG_BIND] = { "--bind", FILE_BIND },
        [FLAG_NET] = { "--net" },
        [FLAG_TIME] = { "--time" },
        [FLAG_ENFORCE_BROKER] = { "--why" },
};

static int literal_rule(struct loader *l, const char *path, struct file_rule *rule) {
        struct strbuf escaped = {};

        glob_escape(&escaped, path);
        const char *wrong = escaped.failed ? "out of memory" : glob_normalise(l->arena, escaped.text ? escaped.text : "", &rule->pattern);
        strbuf_done(&escaped);
        if (wrong) {
                _cleanup_free_ char *text = str_escape(path);
                return ERROR(l, rule->place, "the path `%.200s`: %s", text ? text : "", wrong);
        }
        rule->path = glob_unescape(l->arena, rule->pattern);
        return rule->path ? files_add(l, rule) : -ENOMEM;
}

/* OUT:IN[:rw]. OUT may have colons in it where IN follows the last one. */
static int apply_bind(struct loader *l, const char *value, struct file_rule *rule) {
        size_t n = strlen(value);
        const char *split = NULL;

        if (n > 3 && strcmp(value + n - 3, ":rw") == 0) {
                rule->write = true;
                n -= 3;
        }
        for (const char *p = value; (p = strstr(p, ":/")) && p < value + n; p++)
                split = p;
        if (value[0] != '/' || !split) {
                _cleanup_free_ char *text = str_escape(value);
                return ERROR(l, rule->place, "expected OUT:IN or OUT:IN:rw, both absolute paths, found `%.200s`", text ? text : "");
        }
        rule->from = arena_copy(l->arena, value, split - value);
        char *in = arena_copy(l->arena, split + 1, value + n - split - 1);
        if (!rule->from || !in)
                return -ENOMEM;
        if (strcmp(in, "/") == 0)
                return ERROR(l, rule->place, "a bind can't stand in for /; use --rootfs");
        return literal_rule(l, in, rule);
}

static int apply_net(struct loader *l, const char *value, struct place place) {
        if (str_equal(value, "none") || str_equal(value, "host")) {
                l->policy->network.mode = str_equal(value, "none") ? NETWORK_NONE : NETWORK_HOST;
                return 0;
        }
        _cleanup_free_ char *text = str_escape(value);
        if (str_equal(value, "brokered"))
                return ERROR(l, place, "`brokered` isn't built yet: only `none` and `host` are");
        return ERROR(l, place, "expected none or host, found `%.80s`", text ? text : "");
}

static int apply(struct loader *l, const struct policy_flag *flag) {
        struct place place = { .file = options[flag->kind].option };
        struct file_rule rule = { .place = place, .kind = options[flag->kind].kind };

        switch (flag->kind) {
        case FLAG_SET: return 0;
        case FLAG_READ:
        case FLAG_WRITE:
        case FLAG_EXEC: return literal_rule(l, flag->value, &rule);
        case FLAG_BIND: return apply_bind(l, flag->value, &rule);
        case FLAG_NET: return apply_net(l, flag->value, place);
        case FLAG_TIME:
                if (str_parse_time(flag->value, &l->policy->limits.time_usec) < 0 || l->policy->limits.time_usec == 0) {
                        _cleanup_free_ char *text = str_escape(flag->value);
                        return ERROR(l, place, "expected a time (30s, 10m, 2h), found `%.80s`", text ? text : "");
                }
                return 0;
        case FLAG_ENFORCE_BROKER: l->policy->files.enforce_broker = true; return 0;
        }
        return 0;
}

int flags_apply(struct loader *l) {
        for (size_t i = 0; i < l->request->n_flags; i++) {
                int r = apply(l, l->request->flags + i);
                if (r == -ENOMEM)
                        return r;
        }
        return 0;
}
