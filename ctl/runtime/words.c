/*
 * The command line of runc and crun. Which container is started, and from which bundle, must be known for sure: so an option that neither of
 * the two has is refused before the command and in `create` and `run`; the rest of the commands is handed on as it is.
 */
#include <errno.h>
#include <stdlib.h>

#include "runtime.h"
#include "str.h"

struct option_row {
        const char *name;
        bool value;
};

static const struct option_row of_all[] = {
        { "--root", true },       { "--log", true },
        { "--log-format", true }, { "--log-level", true },
        { "--criu", true },       { "--cgroup-manager", true },
        { "--rootless", true },   { "--systemd-cgroup", false },
        { "--debug", false },     { "--help", false },
        { "-h", false },          { "-?", false },
        { "--usage", false },     { "--version", false },
        { "-v", false },          { "-V", false },
        { "--policy", true },     { "--runtime", true },
};

static const struct option_row of_starts[] = {
        { "--bundle", true },
        { "-b", true },
        { "--console-socket", true },
        { "--pid-file", true },
        { "--preserve-fds", true },
        { "--no-pivot", false },
        { "--no-new-keyring", false },
        { "--no-subreaper", false },
        { "--detach", false },
        { "-d", false },
        { "--keep", false },
        { "--help", false },
        { "-h", false },
        { "-?", false },
        { "--usage", false },
};

static const struct option_row of_exec[] = {
        { "--console-socket", true },
        { "--cwd", true },
        { "--env", true },
        { "-e", true },
        { "--user", true },
        { "-u", true },
        { "--process", true },
        { "-p", true },
        { "--cap", true },
        { "-c", true },
        { "--pid-file", true },
        { "--cgroup", true },
        { "--process-label", true },
        { "-t", false },
        { "--tty", false },
        { "--apparmor", true },
        { "--detach", false },
        { "--preserve-fds", true },
        { "-d", false },
        { "--no-new-privs", false },
        { "--ignore-paused", false },
        { "--no-subreaper", false },
};

/* `restore` isn't among them: what criu starts would be under no filter of ours. */
static const char *const commands[] = { "create", "run",    "start",  "state",  "kill", "delete",   "exec",       "list", "ps",
                                        "pause",  "resume", "update", "events", "spec", "features", "checkpoint", "help", "h" };

bool words_starts(const struct words *w) {
        return !w->help && (str_equal(w->command, "create") || str_equal(w->command, "run"));
}

void words_done(struct words *w) {
        free(w->argv);
        *w = (struct words) {};
}

/* The row of an option, and its value where that is in the same word. */
static const struct option_row *find_option(const struct option_row *rows, size_t n, const char *word, const char **ret_value) {
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t) (equals - word) : strlen(word);

        *ret_value = equals ? equals + 1 : NULL;
        for (size_t i = 0; i < n; i++)
                if (strlen(rows[i].name) == length && strncmp(rows[i].name, word, length) == 0)
                        return rows + i;
        return NULL;
}

static void take(struct words *w, const char *option, const char *value) {
        if (str_equal(option, "--bundle") || str_equal(option, "-b"))
                w->bundle = value;
        else if (str_equal(option, "--log"))
                w->log = value;
        else if (str_equal(option, "--log-format"))
                w->log_format = value;
        else if (str_equal(option, "--root"))
                w->root = value;
        else if (str_equal(option, "--policy"))
                w->policy = value;
        else if (str_equal(option, "--runtime"))
                w->below = value;
        else if (str_equal(option, "--help") || str_equal(option, "-h") || str_equal(option, "-?") || str_equal(option, "--usage"))
                w->help = true;
}

static bool is_ours(const char *option) {
        return str_equal(option, "--policy") || str_equal(option, "--runtime");
}

/* Reads options up to the first word that is none; returns its index. */
static int parse_options(int argc, char **argv, int i, const struct option_row *rows, size_t n, struct words *w, char **ret_why) {
        for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
                const char *value;
                if (str_equal(argv[i], "--")) {
                        w->argv[w->argc++] = argv[i];
                        return i + 1;
                }
                const struct option_row *row = find_option(rows, n, argv[i], &value);
                if (!row || (value && !row->value)) {
                        _cleanup_free_ char *word = str_escape(argv[i]);
                        return WHY(ret_why, "the option %s isn't known, so that it isn't sure what would be started", word);
                }
                if (row->value && !value && i + 1 >= argc)
                        return WHY(ret_why, "%s wants a value", row->name);
                if (!is_ours(row->name))
                        w->argv[w->argc++] = argv[i];
                if (row->value && !value) {
                        value = argv[++i];
                        if (!is_ours(row->name))
                                w->argv[w->argc++] = argv[i];
                }
                take(w, row->name, value);
        }
        return i;
}

/* NULL: it isn't sure. */
static const char *exec_container(int argc, char **argv, int i) {
        for (; i < argc && argv[i][0] == '-'; i++) {
                const char *value;
                const struct option_row *row = find_option(of_exec, ELEMENTSOF(of_exec), argv[i], &value);
                if (!row)
                        return NULL;
                if (row->value && !value)
                        i++;
        }
        return i < argc ? argv[i] : NULL;
}

static int parse_command(int argc, char **argv, int i, struct words *w, char **ret_why) {
        bool known = false;

        w->command = argv[i];
        for (size_t j = 0; j < ELEMENTSOF(commands); j++)
                known |= str_equal(w->command, commands[j]);
        if (!known) {
                _cleanup_free_ char *word = str_escape(w->command);
                if (str_equal(w->command, "restore"))
                        return WHY(ret_why, "a container that is restored from a checkpoint would be under no policy: start it anew");
                return WHY(ret_why, "there is no command '%s'", word);
        }
        w->argv[w->argc++] = argv[i++];
        /* Options and the container's name, in any order. */
        while (words_starts(w) && i < argc) {
                i = parse_options(argc, argv, i, of_starts, ELEMENTSOF(of_starts), w, ret_why);
                if (i < 0)
                        return i;
                if (i < argc) {
                        if (w->id) {
                                _cleanup_free_ char *word = str_escape(argv[i]);
                                return WHY(ret_why, "%s takes the name of one container, and there is '%s' besides", w->command, word);
                        }
                        w->id = argv[i];
                        w->argv[w->argc++] = argv[i++];
                }
        }
        if (str_equal(w->command, "exec"))
                w->id = exec_container(argc, argv, i);
        for (; i < argc; i++)
                w->argv[w->argc++] = argv[i];
        if (words_starts(w) && !w->id)
                return WHY(ret_why, "%s wants the name of a container", w->command);
        return 0;
}

int words_parse(int argc, char **argv, struct words *ret, char **ret_why) {
        *ret_why = NULL;
        *ret = (struct words) { .argv = calloc(argc + 1, sizeof(char *)) };
        if (!ret->argv)
                return WHY(ret_why, "%s", strerror(ENOMEM));
        ret->argv[ret->argc++] = argv[0];
        int i = parse_options(argc, argv, 1, of_all, ELEMENTSOF(of_all), ret, ret_why);
        if (i < 0 || i >= argc || ret->help)
                return i < 0 ? i : 0;
        return parse_command(argc, argv, i, ret, ret_why);
}
