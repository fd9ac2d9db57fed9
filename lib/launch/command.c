/*
 * The command's own side of the start: what is forked from init sets itself up, gives everything up, loads the filter, says where its
 * listener is, waits until init and the worker have it, and executes the program.
 *
 * Until then it shares its memory's contents with the supervisor; nobody else is in its pid namespace but init.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"
#include "landlock_rules.h"
#include "start.h"
#include "str.h"

static _noreturn_ void give_up(int channel, const char *stage, int error, const char *text) {
        struct command_report report = { .failed = true, .error = error < 0 ? -error : error };

        snprintf(report.stage, sizeof(report.stage), "%s", stage);
        snprintf(report.text, sizeof(report.text), "%.255s", text);
        (void) fd_write_full(channel, &report, sizeof(report));
        _exit(127);
}

/* A process group of its own in init's session, in front of the terminal where there is one. SIGTTOU is blocked by init. */
static int lead_job(int slave) {
        if (setpgid(0, 0) < 0)
                return -errno;
        return slave >= 0 && tcsetpgrp(slave, getpid()) < 0 ? -errno : 0;
}

/* The sandbox's own node of a device that was handed in, opened alike; -1 where it has none. Through the host's node its owner could change the
 * mode of /dev/null for everybody: the sandbox's nodes are mounted read-only. */
static int own_device(const struct start *s, int fd) {
        const struct policy *policy = s->options->plan->policy;
        struct stat theirs, ours;
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || (flags & O_PATH) || fstat(fd, &theirs) < 0 || !S_ISCHR(theirs.st_mode))
                return -1;
        for (size_t i = 0; i < policy->n_devices; i++) {
                char path[PATH_MAX];
                if (snprintf(path, sizeof(path), "/dev/%s", policy->devices[i]) < (int) sizeof(path) && stat(path, &ours) >= 0 &&
                    S_ISCHR(ours.st_mode) && ours.st_rdev == theirs.st_rdev)
                        return open(path, (flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC);
        }
        return -1;
}

/* Sets 0 to 2. The sources are first moved out of the way, above all numbers that stay. */
static int set_stdio(const struct start *s, int slave) {
        int source[3];

        for (int i = 0; i < 3; i++) {
                int fd = s->options->stdio[i];
                if (slave >= 0 && fd >= 0 && isatty(fd))
                        fd = slave;
                if (fd < 0)
                        fd = s->null;
                _cleanup_close_ int own = own_device(s, fd);
                source[i] = fcntl(own >= 0 ? own : fd, F_DUPFD_CLOEXEC, 3);
                if (source[i] < 0)
                        return -errno;
        }
        for (int i = 0; i < 3; i++)
                if (dup2(source[i], i) < 0)
                        return -errno;
        return 0;
}

static int compare(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

void fds_close_but(int *keep, size_t n) {
        unsigned from = 3;

        qsort(keep, n, sizeof(*keep), compare);
        for (size_t i = 0; i < n; i++) {
                if (keep[i] < (int) from)
                        continue;
                if (keep[i] > (int) from)
                        (void) close_range(from, keep[i] - 1, 0);
                from = keep[i] + 1;
        }
        (void) close_range(from, ~0U, 0);
}

static int close_others(const struct start *s, int channel) {
        const struct launch_options *o = s->options;
        _cleanup_free_ int *keep = calloc(o->n_pass_fds + 1, sizeof(*keep));
        int r;

        if (!keep)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_pass_fds; i++) {
                keep[i] = o->pass_fds[i];
                if ((r = fd_cloexec(keep[i], false)) < 0)
                        return r;
        }
        keep[o->n_pass_fds] = channel;
        fds_close_but(keep, o->n_pass_fds + 1);
        return 0;
}

/* Everything as a program expects it, but that a hang-up stays ignored where nohup wants it. */
static void reset_signals(const struct start *s) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int signal_number = 1; signal_number < NSIG; signal_number++)
                if (signal_number != SIGHUP || !s->hangup_ignored)
                        (void) sigaction(signal_number, &action, NULL);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *path_of(char *const *environment) {
        for (; environment && *environment; environment++)
                if (str_starts(*environment, "PATH="))
                        return *environment + strlen("PATH=");
        return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Whether the rules have to be asked here, because the view shows more than they do and no broker is asked yet. */
static bool asks_rules(const struct start *s) {
        return !s->entering && s->options->plan->files_brokered && s->options->plan->matcher;
}

/* Whether the rules show what a name leads to: programs that nobody named must not be found. */
static bool shown(const struct start *s, const char *path) {
        const struct launch_options *o = s->options;
        _cleanup_free_ char *real = NULL;

        if (!asks_rules(s))
                return true;
        real = realpath(path, NULL);
        return real && plan_match(o->plan, real).state != MATCH_HIDDEN;
}

/* Finds the command as a shell would; before the filter, so that the search isn't a burst of calls for the broker. */
static int find_command(const struct start *s, char path[PATH_MAX]) {
        const struct launch_options *o = s->options;
        const char *name = o->argv[0];
        int error = ENOENT;
        struct stat st;

        if (strchr(name, '/')) {
                if (strlen(name) >= PATH_MAX)
                        return -ENAMETOOLONG;
                strcpy(path, name);
                return 0;
        }
        if (name[0] == 0)
                return -ENOENT;
        for (const char *p = path_of(o->environment);; p++) {
                size_t length = strcspn(p, ":");
                int n = snprintf(path, PATH_MAX, "%.*s%s%s", (int) length, p, length > 0 ? "/" : "./", name);
                if (n < PATH_MAX && stat(path, &st) >= 0 && S_ISREG(st.st_mode) && shown(s, path)) {
                        if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) >= 0)
                                return 0;
                        error = errno;
                } else if (n < PATH_MAX && errno == EACCES)
                        error = EACCES;
                p += length;
                if (*p == 0)
                        return -error;
        }
}

static int change_directory(const struct start *s) {
        const struct launch_options *o = s->options;
        char cwd[PATH_MAX];

        if (chdir(o->chdir ?: "/") < 0)
                return -errno;
        if (!asks_rules(s))
                return 0;
        if (!getcwd(cwd, sizeof(cwd)))
                return -errno;
        struct match match = plan_match(o->plan, cwd);
        return match.state == MATCH_HIDDEN ? -ENOENT : match.state == MATCH_DENIED ? -EACCES : 0;
}

static int apply_landlock(const struct launch_options *o, bool entering) {
        _cleanup_free_ int *fds = calloc(o->n_pass_fds + 3, sizeof(*fds));

        if (!fds)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_pass_fds + 3; i++)
                fds[i] = i < 3 ? (int) i : o->pass_fds[i - 3];
        /* A domain of its own: for Landlock those that are there already are strangers. The pid namespace keeps signals inside anyhow. */
        return landlock_apply(o->plan, fds, o->n_pass_fds + 3, entering);
}

static void restrict_self(const struct start *s, int channel) {
        const struct launch_options *o = s->options;
        char text[256] = "";
        int r;

        if ((r = limits_apply(s, text)) < 0)
                give_up(channel, "limits", r, text);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                give_up(channel, "no_new_privs", errno, "");
        if ((r = apply_landlock(o, s->entering)) < 0)
                give_up(channel, "landlock", r, "");
        if ((r = s->entering ? privileges_of_entering() : privileges_of_command()) < 0)
                give_up(channel, "capabilities", r, "");
}

/* One that enters leads a session of its own: init's has its own terminal, or none. */
static int lead_session(int slave) {
        if (setsid() < 0)
                return -errno;
        return slave >= 0 ? pty_take(slave) : 0;
}

/* Where to begin, and what with. */
static bool find_program(const struct start *s, int channel, char path[PATH_MAX]) {
        const struct launch_options *o = s->options;
        struct stat st;
        int r;

        if ((r = change_directory(s)) < 0)
                give_up(channel, "chdir", r, o->chdir ?: "/");
        if ((r = find_command(s, path)) < 0)
                give_up(channel, "exec", r, o->argv[0]);
        return stat(path, &st) >= 0;
}

_noreturn_ void command_run(struct start *s, int channel, int slave) {
        const struct launch_options *o = s->options;
        struct command_report report = {};
        char path[PATH_MAX], go;
        bool there = false;
        int r;

        if ((r = s->entering ? lead_session(slave) : lead_job(slave)) < 0)
                give_up(channel, "job", r, "the command's process group");
        if ((r = set_stdio(s, slave)) < 0 || (r = close_others(s, channel)) < 0)
                give_up(channel, "descriptors", r, "");
        restrict_self(s, channel);
        umask(s->umask);
        if (!s->entering)
                there = find_program(s, channel, path);
        reset_signals(s);

        /* The worker reads the memory of callers, and the path of this execve is in it. */
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                give_up(channel, "dumpable", errno, "");
        report.listener = filter_load(o->filter, o->wait_killable);
        if (report.listener < 0)
                give_up(channel, "filter", report.listener, "seccomp");
        /* write and read, not sendmsg and recvmsg: those may already be calls that nobody answers yet. */
        if (fd_write_full(channel, &report, sizeof(report)) < 0 || fd_read_full(channel, &go, 1) != 1)
                _exit(127);
        /* The policy may be another than the one that we know: the broker knows. */
        if (s->entering)
                there = find_program(s, channel, path);
        execve(path, o->argv, o->environment);
        give_up(channel, "exec", errno,
                errno == ENOENT && there ? "the program is there, but not the loader or interpreter that it names" : path);
}
