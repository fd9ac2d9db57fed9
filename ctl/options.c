#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>

#include "control.h"
#include "message.h"
#include "str.h"

static void print_help(void) {
        printf("Usage: sandboxctl exec [OPTION]… [--] COMMAND [ARGUMENT]…\n"
               "\n"
               "Runs a command in a sandbox. Options end at the first word that is none.\n"
               "\n"
               "Without --policy: `untrusted`, and the current directory to read and execute; with --overlay\n"
               "or --dry-run to change as well.\n"
               "\n"
               "Options:\n"
               "  --policy NAME|FILE     the policy; a FILE has a / in it\n"
               "  --set K=V              give a variable of the policy a value\n"
               "  --name N               name the sandbox (a-z, 0-9, _ . -)\n"
               "  --rootfs DIR           take the files from DIR instead of /\n"
               "  --read PATH            let it read PATH and what is below\n"
               "  --write PATH           … read and change\n"
               "  --exec PATH            … read and execute\n"
               "  --bind OUT:IN[:rw]     show the host's OUT at IN, read-only unless rw\n"
               "  --net none|host        no network, or the host's within the policy's rules\n"
               "  --env K[=V]            pass the variable K on, or set it to V\n"
               "  --chdir DIR            start in DIR (as seen inside)\n"
               "  --overlay discard|keep=DIR\n"
               "                         change nothing outside: changes go to layers, which are thrown away\n"
               "                         at the end, or kept in DIR for sandboxctl diff and commit\n"
               "  --dry-run              --overlay discard, and say at the end what would have changed\n"
               "  --changes FILE|-       write that as a JSON object; - is standard error\n"
               "  --time T               end it after T (90s, 10m, 2h)\n"
               "  --pass-fd N            leave descriptor N open\n"
               "  --log FILE|-           write a JSON object per decision; - is standard error\n"
               "  --stats FILE|-         write the counters as a JSON object at the end\n"
               "  --quiet                say nothing of our own at the end\n"
               "  --why                  send every path call to the broker, and list what was denied\n"
               "                         and what would allow it\n"
               "  --daemon               have sandboxd own the sandbox, so that a killed broker is replaced\n"
               "  --detach               the same, and don't wait for its end: sandboxctl ps lists it,\n"
               "                         sandboxctl logs NAME shows what it writes\n"
               "  --help                 show this\n"
               "\n"
               "Exit status: the command's; 128+N when signal N ended it (137 for a kill by the policy);\n"
               "125 when sandboxctl failed, 126 when the command can't be executed, 127 when it isn't there.\n");
}

static int add(void *array, size_t *n, size_t size) {
        void **list = array;
        void *larger = reallocarray(*list, *n + 1, size);

        if (!larger)
                return -ENOMEM;
        *list = larger;
        (*n)++;
        return 0;
}

int exec_options_flag(struct exec_options *o, int kind, const char *value) {
        int r = add(&o->flags, &o->n_flags, sizeof(*o->flags));
        if (r < 0)
                return r;
        o->flags[o->n_flags - 1] = (struct policy_flag) { .kind = kind, .value = value };
        return 0;
}

/* Hands a text (NULL: there was no memory for it) over to the options, and returns it. */
static char *keep(struct exec_options *o, char *text) {
        if (!text || add(&o->texts, &o->n_texts, sizeof(*o->texts)) < 0) {
                free(text);
                return NULL;
        }
        o->texts[o->n_texts - 1] = text;
        return text;
}

char *path_absolute(const char *path, const char *cwd) {
        struct strbuf b = {};
        const char *parts[] = { path[0] == '/' ? "" : cwd, path };

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                for (const char *p = parts[i]; *p;) {
                        size_t n = strcspn(p, "/");
                        if (n == 2 && p[0] == '.' && p[1] == '.') {
                                while (b.length > 0 && b.text[b.length - 1] != '/')
                                        b.length--;
                                if (b.length > 0)
                                        b.length--;
                        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
                                strbuf_puts(&b, "/");
                                strbuf_add(&b, p, n);
                        }
                        p += n;
                        p += strspn(p, "/");
                }
        if (b.length == 0)
                strbuf_puts(&b, "/");
        if (b.text)
                b.text[b.length] = 0;
        return strbuf_take(&b);
}

/* The same, kept in o->texts. */
static char *absolute(struct exec_options *o, const char *path, const char *cwd) {
        return keep(o, path_absolute(path, cwd));
}

static int path_flag(struct exec_options *o, int kind, const char *option, const char *value, const char *cwd) {
        if (value[0] == 0) {
                message_fail("--%s wants a path, not an empty word", option);
                return -EINVAL;
        }
        const char *path = absolute(o, value, cwd);
        return path ? exec_options_flag(o, kind, path) : -ENOMEM;
}

static int bind_flag(struct exec_options *o, const char *value, const char *cwd) {
        const char *colon = strchr(value, ':');
        struct strbuf b = {};

        if (!colon || colon == value || colon[1] != '/') {
                _cleanup_free_ char *text = str_escape(value);
                message_fail("--bind %s: expected OUT:IN or OUT:IN:rw, with IN an absolute path inside", text);
                return -EINVAL;
        }
        _cleanup_free_ char *out = strndup(value, colon - value);
        const char *path = out ? absolute(o, out, cwd) : NULL;
        if (!path)
                return -ENOMEM;
        strbuf_printf(&b, "%s%s", path, colon);
        char *text = strbuf_take(&b);
        return keep(o, text) ? exec_options_flag(o, FLAG_BIND, text) : -ENOMEM;
}

static int pass_fd(struct exec_options *o, const char *value) {
        char *end;
        long fd = strtol(value, &end, 10);

        if (end == value || *end || fd < 0 || fd > INT_MAX || fcntl(fd, F_GETFD) < 0) {
                _cleanup_free_ char *text = str_escape(value);
                message_fail("--pass-fd %s: no such descriptor is open", text);
                return -EINVAL;
        }
        int r = add(&o->pass_fds, &o->n_pass_fds, sizeof(*o->pass_fds));
        if (r >= 0)
                o->pass_fds[o->n_pass_fds - 1] = fd;
        return r;
}

static int overlay(struct exec_options *o, const char *value, const char *cwd) {
        bool keeps = str_starts(value, "keep=");

        o->overlay = true;
        if (!keeps && !str_equal(value, "discard")) {
                _cleanup_free_ char *text = str_escape(value);
                message_fail("--overlay %s: expected discard, or keep=DIR", text);
                return -EINVAL;
        }
        if (keeps && value[5] == 0) {
                message_fail("--overlay keep= wants a folder after it");
                return -EINVAL;
        }
        o->keep = keeps ? absolute(o, value + 5, cwd) : NULL;
        return keeps && !o->keep ? -ENOMEM : 0;
}

static int check_together(const struct exec_options *o) {
        if (o->dry_run && o->overlay) {
                message_fail(
                        "--dry-run throws all changes away by itself: leave --overlay out; or keep them (--overlay keep=DIR), look at them "
                        "(sandboxctl diff DIR), and remove DIR");
                return -EINVAL;
        }
        if (o->changes && !o->dry_run) {
                message_fail("--changes goes with --dry-run; sandboxctl diff --json shows what a kept layer changes");
                return -EINVAL;
        }
        if (o->detach && (o->dry_run || (o->overlay && !o->keep))) {
                message_fail("--detach goes on without us, who would have to take the layer away: use --overlay keep=DIR");
                return -EINVAL;
        }
        if (o->detach && (o->stats || o->why)) {
                message_fail("%s is written when the sandbox has ended, and --detach doesn't wait for that: see sandboxctl status NAME",
                             o->stats ? "--stats" : "--why");
                return -EINVAL;
        }
        return 0;
}

enum {
        OPT_POLICY = 256,
        OPT_SET,
        OPT_NAME,
        OPT_ROOTFS,
        OPT_READ,
        OPT_WRITE,
        OPT_EXEC,
        OPT_BIND,
        OPT_NET,
        OPT_ENV,
        OPT_CHDIR,
        OPT_OVERLAY,
        OPT_DRY_RUN,
        OPT_CHANGES,
        OPT_TIME,
        OPT_PASS_FD,
        OPT_LOG,
        OPT_STATS,
        OPT_QUIET,
        OPT_WHY,
        OPT_DAEMON,
        OPT_DETACH,
        OPT_HELP
};

static const struct option long_options[] = {
        { "policy", required_argument, NULL, OPT_POLICY }, { "set", required_argument, NULL, OPT_SET },
        { "name", required_argument, NULL, OPT_NAME },     { "rootfs", required_argument, NULL, OPT_ROOTFS },
        { "read", required_argument, NULL, OPT_READ },     { "write", required_argument, NULL, OPT_WRITE },
        { "exec", required_argument, NULL, OPT_EXEC },     { "bind", required_argument, NULL, OPT_BIND },
        { "net", required_argument, NULL, OPT_NET },       { "env", required_argument, NULL, OPT_ENV },
        { "chdir", required_argument, NULL, OPT_CHDIR },   { "overlay", required_argument, NULL, OPT_OVERLAY },
        { "dry-run", no_argument, NULL, OPT_DRY_RUN },     { "changes", required_argument, NULL, OPT_CHANGES },
        { "time", required_argument, NULL, OPT_TIME },     { "pass-fd", required_argument, NULL, OPT_PASS_FD },
        { "log", required_argument, NULL, OPT_LOG },       { "stats", required_argument, NULL, OPT_STATS },
        { "quiet", no_argument, NULL, OPT_QUIET },         { "why", no_argument, NULL, OPT_WHY },
        { "daemon", no_argument, NULL, OPT_DAEMON },       { "detach", no_argument, NULL, OPT_DETACH },
        { "help", no_argument, NULL, OPT_HELP },           {},
};

static int one_option(struct exec_options *o, int c, char *value, const char *cwd) {
        switch (c) {
        case OPT_POLICY: o->policy = value; return 0;
        case OPT_SET: return exec_options_flag(o, FLAG_SET, value);
        case OPT_NAME:
                if (!control_name_valid(value)) {
                        _cleanup_free_ char *text = str_escape(value);
                        message_fail("--name %s: a name is 1 to 63 of a-z, 0-9, _ . -, the first a letter or digit", text);
                        return -EINVAL;
                }
                o->name = value;
                return 0;
        case OPT_ROOTFS: return (o->root = absolute(o, value, cwd)) ? 0 : -ENOMEM;
        case OPT_READ: return path_flag(o, FLAG_READ, "read", value, cwd);
        case OPT_WRITE: return path_flag(o, FLAG_WRITE, "write", value, cwd);
        case OPT_EXEC: return path_flag(o, FLAG_EXEC, "exec", value, cwd);
        case OPT_BIND: return bind_flag(o, value, cwd);
        case OPT_NET: return exec_options_flag(o, FLAG_NET, value);
        case OPT_ENV: {
                int r = add(&o->environment, &o->n_environment, sizeof(*o->environment));
                if (r >= 0)
                        o->environment[o->n_environment - 1] = value;
                return r;
        }
        case OPT_CHDIR:
                if (value[0] != '/') {
                        message_fail("--chdir wants an absolute path as the sandbox sees it");
                        return -EINVAL;
                }
                o->chdir = value;
                return 0;
        case OPT_OVERLAY: return overlay(o, value, cwd);
        case OPT_DRY_RUN: o->dry_run = true; return 0;
        case OPT_CHANGES: o->changes = value; return 0;
        case OPT_TIME: return exec_options_flag(o, FLAG_TIME, value);
        case OPT_PASS_FD: return pass_fd(o, value);
        case OPT_LOG: o->log = value; return 0;
        case OPT_STATS: o->stats = value; return 0;
        case OPT_QUIET: o->quiet = true; return 0;
        case OPT_WHY: o->why = true; return 0;
        case OPT_DAEMON: o->daemon = true; return 0;
        case OPT_DETACH: o->daemon = o->detach = true; return 0;
        default: return -EINVAL;
        }
}

int exec_options_parse(int argc, char **argv, const char *cwd, struct exec_options *o) {
        int c, r;

        opterr = 0;
        /* 0 and not 1: glibc then starts afresh, with the `+`, which ends the options at the first word that is none. */
        optind = 0;
        while ((c = getopt_long(argc, argv, "+:h", long_options, NULL)) >= 0) {
                if (c == OPT_HELP || c == 'h') {
                        print_help();
                        return 1;
                }
                if (c == '?' || c == ':')
                        return message_bad_option("exec", c, argv, long_options);
                r = one_option(o, c, optarg, cwd);
                if (r < 0)
                        return r;
        }
        if (optind >= argc) {
                message_fail("no command is given; try: sandboxctl exec -- COMMAND, or sandboxctl exec --help");
                return -EINVAL;
        }
        o->command = argv + optind;
        return check_together(o);
}

void exec_options_done(struct exec_options *o) {
        for (size_t i = 0; i < o->n_texts; i++)
                free(o->texts[i]);
        free(o->texts);
        free(o->flags);
        free(o->environment);
        free(o->pass_fds);
}
