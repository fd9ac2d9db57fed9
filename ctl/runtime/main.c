#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "runtime.h"
#include "str.h"

static void print_help(void) {
        printf("Usage: sandbox-runtime [OPTION]… COMMAND [ARGUMENT]…\n"
               "       sandbox-runtime install|uninstall [--docker] [--containerd] [--podman] [--root DIR]\n"
               "\n"
               "An OCI runtime: runs containers behind the syscall broker. It prepares the container's\n"
               "config.json for `create` and `run`, and hands the whole command line on to crun, or runc.\n"
               "\n"
               "Options, besides those of crun and runc:\n"
               "  --policy NAME   the policy of containers that choose none by their annotation\n"
               "                  org.sandboxd.policy\n"
               "  --runtime PATH  the runtime that runs the container (crun, else runc)\n"
               "  --help          show this\n"
               "  --version       show the version\n"
               "\n"
               "Exit status: that of the runtime below; 1 when the container can't be started as the\n"
               "policy says.\n"
               "\n"
               "See sandbox-runtime(8).\n");
}

static bool is_program(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* By absolute paths: engines hand on a PATH that may be anybody's. */
static const char *find_program(const char *const *paths, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (is_program(paths[i]))
                        return paths[i];
        return NULL;
}

static int find_below(const struct words *w, struct runtime_below *ret, char **ret_why) {
        static const char *const crun[] = { "/usr/bin/crun", "/usr/local/bin/crun", "/usr/sbin/crun", "/usr/local/sbin/crun" };
        static const char *const runc[] = { "/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc" };

        if (w->below) {
                const char *slash = strrchr(w->below, '/');
                if (w->below[0] != '/' || !is_program(w->below)) {
                        _cleanup_free_ char *word = str_escape(w->below);
                        return WHY(ret_why, "--runtime: '%s' is no absolute path of a program", word);
                }
                *ret = (struct runtime_below) { w->below, str_starts(slash + 1, "crun") };
                return 0;
        }
        *ret = (struct runtime_below) { find_program(crun, ELEMENTSOF(crun)), true };
        if (!ret->path)
                *ret = (struct runtime_below) { find_program(runc, ELEMENTSOF(runc)), false };
        return ret->path ? 0 : WHY(ret_why, "there is neither crun nor runc to run containers with: install crun");
}

/* Until a container is started its runtime keeps this FIFO, and with crun it is under no filter by then: its sandbox begins with its start, so that the broker could
 * only kill what is executed in it before, without a word to the engine. */
static int check_started(const struct words *w, const struct runtime_below *below, char **ret_why) {
        const char *root = w->root ?: "/run/crun";
        char path[PATH_MAX];

        if (!str_equal(w->command, "exec") || !below->crun || !w->id || strchr(w->id, '/') ||
            snprintf(path, sizeof(path), "%s/%s/exec.fifo", root, w->id) >= (int) sizeof(path) || access(path, F_OK) < 0)
                return 0;
        _cleanup_free_ char *id = str_escape(w->id);
        return WHY(ret_why, "the container '%s' has been created but not started, and nothing is executed in it before: start it first",
                   id);
}

int main(int argc, char **argv) {
        _cleanup_(words_done) struct words w = {};
        _cleanup_free_ char *why = NULL;
        struct runtime_below below;

        if (argc > 1 && (str_equal(argv[1], "install") || str_equal(argv[1], "uninstall")))
                return install_main(argc - 1, argv + 1);
        int r = words_parse(argc, argv, &w, &why);
        if (r >= 0 && (argc < 2 || (!w.command && w.help))) {
                print_help();
                return argc < 2;
        }
        if (r >= 0)
                r = find_below(&w, &below, &why);
        if (r >= 0 && words_starts(&w))
                r = config_prepare(&w, &below, &why);
        if (r >= 0)
                r = check_started(&w, &below, &why);
        if (r < 0)
                return report_fail(&w, "%s", why ? why : strerror(-r));
        if (!w.command)
                printf("sandbox-runtime version %s\n", SANDBOXD_VERSION);
        fflush(stdout);
        w.argv[0] = (char *) below.path;
        execv(below.path, w.argv);
        return report_fail(&w, "%s: %s", below.path, strerror(errno));
}
