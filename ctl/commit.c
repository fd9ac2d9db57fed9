/*
 * sandboxctl commit DIR [PATH…]
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commit.h"
#include "json_print.h"
#include "message.h"
#include "options.h"
#include "path.h"
#include "str.h"
#include "verbs.h"

struct commit {
        struct layers layers;
        struct changes changes;
        bool dry_run;
        char **paths; /* absolute; what is asked for */
        bool *matched;
        size_t n_paths;
        struct json_object *applied, *left_out; /* --json; else NULL */
};

static void print_help(void) {
        printf("Usage: sandboxctl commit [--dry-run] [--json] DIR [PATH]…\n"
               "\n"
               "Applies the layers in DIR, which `sandboxctl exec --overlay keep=DIR` has made, to the directories\n"
               "below them: all changes, or those at PATH and below it. What is applied leaves the layer.\n"
               "\n"
               "Left out, and listed: what was changed there since the layer was made, set-user-ID and set-group-ID\n"
               "files, files with capabilities, device nodes, FIFOs, sockets, and what belongs to another user.\n"
               "\n"
               "Options:\n"
               "  --dry-run  only show what would be done\n"
               "  --json     write one JSON object\n"
               "  --help     show this\n"
               "\n"
               "Exit status: 0 when all was applied, 1 when something was left out, 125 when it failed.\n"
               "See sandboxctl(1).\n");
}

/* Whether a change is asked for, or is the directory that something asked for has to lie in. */
static bool selected(struct commit *c, const struct change *change) {
        _cleanup_free_ char *path = change_path(&c->layers, change);
        bool found = c->n_paths == 0;

        for (size_t i = 0; path && i < c->n_paths; i++) {
                if (path_covers(c->paths[i], path)) {
                        found = true;
                        c->matched[i] |= change->kind != CHANGE_NONE;
                } else if (S_ISDIR(change->upper.st_mode) && !S_ISDIR(change->lower.st_mode) && path_covers(path, c->paths[i]))
                        found = true;
        }
        return found;
}

static bool below(const struct change *change, const struct change *directory) {
        return directory && change->layer == directory->layer &&
               (directory->path[0] == 0 || (path_covers(directory->path, change->path) && !str_equal(change->path, directory->path)));
}

static void report(struct commit *c, const struct change *change) {
        if (c->applied)
                json_object_array_add(change->left_out ? c->left_out : c->applied, change_json(&c->layers, change));
        else if (!change->left_out) {
                change_print(&c->layers, change, stdout);
                fflush(stdout);
        }
        if (!change->left_out)
                return;
        _cleanup_free_ char *path = change_path(&c->layers, change), *text = path ? str_escape(path) : NULL;
        message_note("left out: %s: %s", text ?: "", change->left_out);
}

/* A signal to end is taken between two changes, so that each is whole. */
static bool interrupted(void) {
        sigset_t set;

        return sigpending(&set) >= 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) || sigismember(&set, SIGHUP));
}

/* Signals wait for the end of a change; deep directories are removed with a descriptor for each level. */
static void set_process(void) {
        struct rlimit files;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGXFSZ, SIG_IGN);
        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
}

/* Directories come before what is in them; their modes, and their leaving the layer, after. Returns how many were left out, and how many not. */
static size_t apply_all(struct commit *c, size_t *ret_applied) {
        const struct change *failed = NULL;
        size_t left_out = 0, n = c->changes.n, end = n;

        *ret_applied = 0;
        for (size_t i = 0; i < n; i++) {
                struct change *change = &c->changes.list[i];
                if (interrupted()) {
                        end = i;
                        break;
                }
                if (below(change, failed) || !selected(c, change)) {
                        change->upper.st_mode = 0; /* not ours to touch below */
                        continue;
                }
                if (change->hides && !c->dry_run) {
                        change->left_out = "it hides what is there, and can't be changed itself";
                        change->kind = change->kind ?: CHANGE_MODIFIED;
                }
                if (change->kind != CHANGE_NONE && !change->left_out && !c->dry_run)
                        commit_apply(&c->layers, change);
                if (change->left_out && change->kind != CHANGE_DELETED)
                        failed = change;
                if (change->kind == CHANGE_NONE && !change->left_out)
                        continue;
                report(c, change);
                left_out += change->left_out != NULL;
                *ret_applied += !change->left_out;
        }
        for (size_t i = end; !c->dry_run && i-- > 0;) {
                struct change *change = &c->changes.list[i];
                if (!change->applied || !S_ISDIR(change->upper.st_mode))
                        continue;
                commit_finish_directory(&c->layers.list[change->layer], change);
                if (!change->left_out)
                        continue;
                report(c, change);
                left_out++;
                --*ret_applied;
        }
        for (size_t i = end; !c->dry_run && i-- > 0;) {
                const struct change *change = &c->changes.list[i];
                if (change->upper.st_mode && !change->left_out && (change->applied || change->kind == CHANGE_NONE))
                        commit_take_out(&c->layers.list[change->layer], change);
        }
        return left_out;
}

static struct json_object *missing_json(const char *path) {
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "path", json_object_new_string(path));
        json_object_object_add(o, "left_out", json_object_new_string("no layer changes it"));
        return o;
}

static int commit_all(struct commit *c) {
        size_t applied;
        int r = c->dry_run ? 0 : commit_unhide(&c->layers);

        if (r >= 0)
                r = changes_find(&c->layers, &c->changes);
        if (r < 0)
                return message_fail("the changes can't be found out: %s", strerror(-r));
        size_t left_out = apply_all(c, &applied);
        if (interrupted())
                return message_fail("interrupted: %zu changes were applied, the rest is still in the layer", applied);
        for (size_t i = 0; i < c->n_paths; i++)
                if (!c->matched[i]) {
                        _cleanup_free_ char *path = str_escape(c->paths[i]);
                        message_note("left out: %s: no layer changes it", path);
                        if (c->left_out)
                                json_object_array_add(c->left_out, missing_json(c->paths[i]));
                        left_out++;
                }
        message_note("%zu %s, %zu left out", applied, c->dry_run ? "would be applied" : "applied", left_out);
        return left_out > 0 ? 1 : 0;
}

static int make_absolute(struct commit *c, char **words, size_t n) {
        char cwd[PATH_MAX];

        if (!getcwd(cwd, sizeof(cwd)))
                return message_fail("the current directory has no path (was it removed?); change to another");
        c->paths = calloc(n + 1, sizeof(*c->paths));
        c->matched = calloc(n + 1, sizeof(*c->matched));
        for (; c->paths && c->matched && c->n_paths < n; c->n_paths++)
                if (!(c->paths[c->n_paths] = path_absolute(words[c->n_paths], cwd)))
                        break;
        return c->n_paths == n ? 0 : message_fail("out of memory");
}

static int run(struct commit *c, char **words, size_t n) {
        int code = make_absolute(c, words + 1, n - 1);

        if (code != 0)
                return code;
        set_process();
        if (layers_open(words[0], !c->dry_run, &c->layers) < 0)
                return EXIT_OURS;
        code = commit_all(c);
        if (c->applied) {
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, c->dry_run ? "would_be_applied" : "applied", json_object_get(c->applied));
                json_object_object_add(o, "left_out", json_object_get(c->left_out));
                json_print(o);
        }
        changes_done(&c->changes);
        layers_done(&c->layers);
        return code;
}

int verb_commit(int argc, char **argv) {
        static const struct option options[] = {
                { "dry-run", no_argument, NULL, 'n' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        struct commit commit = {};
        bool json = false;
        int c;

        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
                switch (c) {
                case 'n': commit.dry_run = true; break;
                case 'j': json = true; break;
                case 'h': print_help(); return 0;
                default: message_bad_option(argv[0], c, argv, options); return EXIT_OURS;
                }
        if (optind >= argc)
                return message_fail("commit wants a folder: sandboxctl commit DIR (the DIR of exec --overlay keep=DIR)");
        commit.applied = json ? json_object_new_array() : NULL;
        commit.left_out = json ? json_object_new_array() : NULL;
        int code = run(&commit, argv + optind, argc - optind);
        for (size_t i = 0; i < commit.n_paths; i++)
                free(commit.paths[i]);
        free(commit.paths);
        free(commit.matched);
        json_object_put(commit.applied);
        json_object_put(commit.left_out);
        return code;
}
