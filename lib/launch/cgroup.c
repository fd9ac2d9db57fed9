#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"

#define SEPARATOR ", "

struct cgroup {
        char *path; /* both, as handed out */
        char *paths
                [2]; /* of the group in the hierarchy that has `pids`, and the one that has `memory`; the second may be NULL (the same) */
        int guard_socket;
        pid_t guard;
};

static char *format(const char *text, ...) _printf_(1, 2);

static char *format(const char *text, ...) {
        va_list args;
        char *ret;

        va_start(args, text);
        int n = vasprintf(&ret, text, args);
        va_end(args);
        return n < 0 ? NULL : ret;
}

static int read_text(const char *folder, const char *name, char *text, size_t size) {
        _cleanup_free_ char *path = format("%s/%s", folder, name);
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0)
                return -errno;
        ssize_t n = fd_read_full(fd, text, size - 1);
        if (n < 0)
                return n;
        text[n] = 0;
        return 0;
}

static int write_text(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = format("%s/%s", folder, name);
        _cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

        if (fd < 0)
                return path ? -errno : -ENOMEM;
        return fd_write_full(fd, text, strlen(text));
}

static int write_number(const char *folder, const char *name, uint64_t number) {
        char text[32];

        snprintf(text, sizeof(text), "%" PRIu64, number);
        return write_text(folder, name, text);
}

static bool has_file(const char *folder, const char *name) {
        _cleanup_free_ char *path = format("%s/%s", folder, name);

        return path && access(path, F_OK) >= 0;
}

/* ---- Where our own groups are ---- */

/* Whether a comma-separated list has a word. */
static bool list_has(const char *list, const char *word) {
        size_t length = strlen(word);

        for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
                if (strncmp(p, word, length) == 0 && (p[length] == ',' || p[length] == 0))
                        return true;
        return false;
}

/* Finds our group in the hierarchy that has `controller` ("": the unified one), as a path below the root of a mount of it: the part of
 * /proc/self/cgroup is relative to the cgroup namespace, the mount shows the tree from field 4 of mountinfo on. */
static int own_group(const char *controller, char **ret) {
        _cleanup_fclose_ FILE *groups = fopen("/proc/self/cgroup", "re"), *mounts = fopen("/proc/self/mountinfo", "re");
        _cleanup_free_ char *line = NULL, *group = NULL;
        size_t room = 0;

        if (!groups || !mounts)
                return -errno;
        while (!group && getline(&line, &room, groups) > 0) {
                line[strcspn(line, "\n")] = 0;
                char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
                if (!path)
                        continue;
                *path++ = 0;
                if (*controller ? list_has(list + 1, controller) : list[1] == 0)
                        group = strdup(path);
        }
        if (!group)
                return -ENOENT;
        while (getline(&line, &room, mounts) > 0) {
                char root[PATH_MAX], point[PATH_MAX], type[64], options[1024];
                char *rest = strstr(line, " - ");

                if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 ||
                    sscanf(rest, " - %63s %*s %1023s", type, options) != 2)
                        continue;
                if (strcmp(type, *controller ? "cgroup" : "cgroup2") != 0 || (*controller && !list_has(options, controller)))
                        continue;
                size_t length = str_equal(root, "/") ? 0 : strlen(root);
                if (strncmp(group, root, length) != 0 || strstr(point, SEPARATOR) || strstr(group, SEPARATOR))
                        continue;
                *ret = format("%s%s", point, str_equal(group + length, "/") ? "" : group + length);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

/* ---- Names ---- */

/* The start time of a process, in clock ticks since boot: with it, a pid is one process for ever. */
static int start_time(pid_t pid, uint64_t *ret) {
        char folder[32], text[1024];

        snprintf(folder, sizeof(folder), "/proc/%d", pid);
        int r = read_text(folder, "stat", text, sizeof(text));
        if (r < 0)
                return r;
        char *p = strrchr(text, ')');
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        return p && sscanf(p, " %" SCNu64, ret) == 1 ? 0 : -EINVAL;
}

/* Removes groups of supervisors that are gone. */
static void remove_stale(const char *parent) {
        DIR *dir = opendir(parent);
        const struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                uint64_t time, now;
                int pid, end = 0;

                if (sscanf(entry->d_name, "sandboxd-%d-%" SCNu64 "%n", &pid, &time, &end) != 2 || entry->d_name[end] != 0)
                        continue;
                if (start_time(pid, &now) < 0 || now != time)
                        (void) unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        }
        if (dir)
                closedir(dir);
}

/* ---- The guard ---- */

static int remove_group(const char *path) {
        struct timespec pause = { .tv_nsec = 2000000 };

        /* A group whose last task is just dying is busy for a moment; one whose sandbox is being killed, a little longer. */
        for (int i = 0; i < 2500; i++) {
                if (rmdir(path) >= 0 || errno != EBUSY)
                        return 0;
                nanosleep(&pause, NULL);
        }
        return -EBUSY;
}

static void remove_groups(const struct cgroup *c) {
        for (size_t i = 0; i < ELEMENTSOF(c->paths); i++)
                if (c->paths[i])
                        (void) remove_group(c->paths[i]);
}

/* Waits until the supervisor says that it removed the group itself, or is gone. In a session of its own, so that neither Ctrl-C nor a
 * hang-up meant for the supervisor's process group ends it. */
static _noreturn_ void guard_run(const struct cgroup *c, int socket) {
        sigset_t all;
        char byte;

        sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        (void) setsid();
        (void) prctl(PR_SET_NAME, "sandboxd-guard", 0, 0, 0);
        (void) close_range(0, socket - 1, 0);
        (void) close_range(socket + 1, ~0U, 0);
        if (chdir("/") < 0 || fd_read_full(socket, &byte, 1) == 1)
                _exit(0);
        remove_groups(c);
        _exit(0);
}

static int guard_start(struct cgroup *c) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0)
                guard_run(c, pair[1]);
        int r = pid < 0 ? -errno : 0;
        fd_close(pair[1]);
        if (r < 0) {
                fd_close(pair[0]);
                return r;
        }
        c->guard = pid;
        c->guard_socket = pair[0];
        return 0;
}

static void guard_stop(struct cgroup *c) {
        if (c->guard <= 0)
                return;
        (void) send(c->guard_socket, "", 1, MSG_NOSIGNAL);
        fd_close(c->guard_socket);
        sys_reap(c->guard, NULL);
}

/* ---- Making one ---- */

static int why(char **why_not, int r, const char *text, const char *path) {
        _cleanup_free_ char *escaped = path ? str_escape(path) : NULL;

        *why_not = format("%s%s%s: %s", text, path ? " " : "", escaped ?: "", strerror(-r));
        return r;
}

/* Makes our group below `parent`. */
static int group_make(const char *parent, char **ret, char **why_not) {
        uint64_t time;
        int r = start_time(getpid(), &time);

        if (r < 0)
                return why(why_not, r, "our own start time is unknown", NULL);
        remove_stale(parent);
        _cleanup_free_ char *path = format("%s/sandboxd-%d-%" PRIu64, parent, getpid(), time);
        if (!path)
                return -ENOMEM;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return why(why_not, -errno, "no group can be made below", parent);
        *ret = TAKE_PTR(path);
        return 0;
}

/* With v2, a group hands controllers on to its children only when no process is in itself (but for the root); so the group is made
 * beside our own, where that is the case already. */
static int make_v2(const struct policy_limits *limits, struct cgroup *c, char **why_not) {
        _cleanup_free_ char *own = NULL;
        char controllers[512];
        int r = own_group("", &own);

        if (r < 0)
                return why(why_not, r, "no control group hierarchy is mounted", NULL);
        for (int above = 0; above < 2; above++) {
                r = read_text(own, "cgroup.subtree_control", controllers, sizeof(controllers));
                if (r < 0)
                        break;
                for (char *p = controllers; *p; p++)
                        if (*p == ' ' || *p == '\n')
                                *p = ',';
                if ((limits->processes == 0 || list_has(controllers, "pids")) && (limits->memory == 0 || list_has(controllers, "memory")))
                        return group_make(own, &c->paths[0], why_not);
                char *slash = strrchr(own, '/');
                if (!slash)
                        break;
                *slash = 0;
        }
        *why_not = format(
                "the controllers pids and memory are not given to groups below or beside our own (as systemd does with Delegate=yes)");
        return -EOPNOTSUPP;
}

static int make_v1(const struct policy_limits *limits, struct cgroup *c, char **why_not) {
        static const char *const controllers[] = { "pids", "memory" };
        const uint64_t wanted[] = { limits->processes, limits->memory };
        char *parents[2] = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < 2; i++)
                if (wanted[i] > 0)
                        r = own_group(controllers[i], &parents[i]);
        if (r >= 0) {
                /* Both may be mounted as one. */
                if (parents[0] && parents[1] && str_equal(parents[0], parents[1])) {
                        free(parents[1]);
                        parents[1] = NULL;
                }
                for (size_t i = 0; r >= 0 && i < 2; i++)
                        if (parents[i])
                                r = group_make(parents[i], &c->paths[i], why_not);
        }
        free(parents[0]);
        free(parents[1]);
        return r;
}

static int set_limits(const char *path, const struct policy_limits *limits, char **why_not) {
        int r = 0;

        /* Init is in it too. */
        if (limits->processes > 0 && has_file(path, "pids.max"))
                r = write_number(path, "pids.max", limits->processes + 1);
        if (r >= 0 && limits->memory > 0 && has_file(path, "memory.max")) {
                r = write_number(path, "memory.max", limits->memory);
                /* Else a hog goes on into the host's swap. */
                if (r >= 0 && has_file(path, "memory.swap.max"))
                        r = write_text(path, "memory.swap.max", "0");
        } else if (r >= 0 && limits->memory > 0 && has_file(path, "memory.limit_in_bytes")) {
                r = write_number(path, "memory.limit_in_bytes", limits->memory);
                if (r >= 0 && has_file(path, "memory.memsw.limit_in_bytes"))
                        r = write_number(path, "memory.memsw.limit_in_bytes", limits->memory);
        }
        return r < 0 ? why(why_not, r, "the limits can't be set in", path) : 0;
}

int cgroup_new(const struct policy_limits *limits, struct cgroup **ret, char **why_not) {
        struct cgroup *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->guard_socket = -1;
        *why_not = NULL;
        int r = make_v1(limits, c, why_not);
        if (r == -ENOENT && !*why_not)
                r = make_v2(limits, c, why_not);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(c->paths); i++)
                if (c->paths[i])
                        r = set_limits(c->paths[i], limits, why_not);
        if (r >= 0) {
                c->path = format("%s%s%s", c->paths[0] ?: "", c->paths[0] && c->paths[1] ? SEPARATOR : "", c->paths[1] ?: "");
                r = c->path ? 0 : -ENOMEM;
        }
        if (r >= 0 && ((limits->processes > 0 && !cgroup_holds(c->path, CGROUP_PROCESSES)) ||
                       (limits->memory > 0 && !cgroup_holds(c->path, CGROUP_MEMORY))))
                r = why(why_not, -EOPNOTSUPP, "a limit is not there in", c->path);
        if (r >= 0 && (r = guard_start(c)) < 0)
                (void) why(why_not, r, "no process can be forked", NULL);
        if (r < 0) {
                cgroup_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

/* ---- Using it ---- */

const char *cgroup_path(const struct cgroup *cgroup) {
        return cgroup->path;
}

/* The n-th of the paths in `text`, in `path`; false: there is none. */
static bool nth_path(const char *text, size_t n, char path[PATH_MAX]) {
        for (; text && n > 0; n--) {
                text = strstr(text, SEPARATOR);
                text = text ? text + strlen(SEPARATOR) : NULL;
        }
        if (!text || !*text)
                return false;
        const char *end = strstr(text, SEPARATOR);
        int length = end ? (int) (end - text) : (int) strlen(text);
        return snprintf(path, PATH_MAX, "%.*s", length, text) < PATH_MAX;
}

bool cgroup_holds(const char *path, enum cgroup_limit limit) {
        char one[PATH_MAX], text[64];

        for (size_t i = 0; nth_path(path, i, one); i++) {
                if (limit == CGROUP_PROCESSES && read_text(one, "pids.max", text, sizeof(text)) >= 0)
                        return true;
                if (limit == CGROUP_MEMORY && (read_text(one, "memory.max", text, sizeof(text)) >= 0 ||
                                               read_text(one, "memory.limit_in_bytes", text, sizeof(text)) >= 0))
                        return true;
        }
        return false;
}

int cgroup_join(const char *path) {
        char one[PATH_MAX];
        int r = 0;

        /* A single thread that moves itself needs no lock against all forks and exits of the host, whose taking waits for milliseconds:
         * v1 has a file for that, v2 doesn't. */
        for (size_t i = 0; r >= 0 && nth_path(path, i, one); i++)
                r = write_text(one, has_file(one, "tasks") ? "tasks" : "cgroup.procs", "0");
        return r;
}

int cgroup_open(const char *path) {
        if (!path || strstr(path, SEPARATOR) || has_file(path, "tasks"))
                return -1;
        return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void cgroup_remove(const char *path) {
        char one[PATH_MAX];

        for (size_t i = 0; nth_path(path, i, one); i++)
                (void) rmdir(one);
}

/* The number that stands behind a word in a file of "word number" lines. */
static uint64_t counted(const char *folder, const char *file, const char *word) {
        char text[1024], *p;
        uint64_t n = 0;

        if (read_text(folder, file, text, sizeof(text)) < 0)
                return 0;
        for (p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
                if (str_starts(p, word) && sscanf(p + strlen(word), " %" SCNu64, &n) == 1)
                        return n;
        return 0;
}

char *cgroup_events(const struct cgroup *cgroup, const struct policy_limits *limits) {
        bool processes = false, memory = false;
        char size[32];

        for (size_t i = 0; i < ELEMENTSOF(cgroup->paths); i++) {
                const char *path = cgroup->paths[i];
                if (!path)
                        continue;
                processes |= counted(path, "pids.events", "max") > 0;
                memory |= counted(path, "memory.events", "oom_kill") > 0 || counted(path, "memory.oom_control", "oom_kill") > 0;
        }
        str_format_size(limits->memory, size, sizeof(size));
        if (processes && memory)
                return format("the limits of %" PRIu64 " processes (limits: processes) and %s of memory (limits: memory) were reached",
                              limits->processes, size);
        if (processes)
                return format("the limit of %" PRIu64 " processes was reached (limits: processes)", limits->processes);
        if (memory)
                return format("the limit of %s of memory was reached (limits: memory)", size);
        return NULL;
}

struct cgroup *cgroup_free(struct cgroup *c) {
        if (c)
                remove_groups(c);
        return cgroup_leave(c);
}

struct cgroup *cgroup_leave(struct cgroup *c) {
        if (!c)
                return NULL;
        guard_stop(c);
        for (size_t i = 0; i < ELEMENTSOF(c->paths); i++)
                free(c->paths[i]);
        free(c->path);
        free(c);
        return NULL;
}
