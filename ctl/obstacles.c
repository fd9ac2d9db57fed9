/*
 * What in a unit stands against its being wrapped. What systemd sets up before it executes `sandboxctl service-exec` holds for that one too: it
 * has to be executable, to load a filter, and to reach sandboxd.
 */
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <unistd.h>

#include "service.h"
#include "str.h"

struct list {
        struct obstacle *list;
        size_t n;
        const struct unit *unit;
        bool failed;
};

static _printf_(4, 5) void add(struct list *l, const char *key, char *relax, const char *format, ...) {
        struct obstacle *larger = reallocarray(l->list, l->n + 1, sizeof(*larger));
        va_list arguments;

        if (!larger) {
                free(relax);
                l->failed = true;
                return;
        }
        l->list = larger;
        struct obstacle *o = larger + l->n++;
        *o = (struct obstacle) { .key = key, .line = unit_find_line(l->unit, key), .relax = relax };
        va_start(arguments, format);
        if (vasprintf(&o->why, format, arguments) < 0) {
                o->why = NULL;
                l->failed = true;
        }
        va_end(arguments);
}

void obstacles_free(struct obstacle *list, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(list[i].why);
                free(list[i].relax);
        }
        free(list);
}

/* ---- which way ---- */

/* systemd sets no_new_privs of itself for an ordinary user wherever it loads a filter of its own. */
static bool implies_no_new_privs(const struct unit *u) {
        static const char *const flags[] = {
                "LockPersonality",       "MemoryDenyWriteExecute", "PrivateDevices",    "ProtectClock",     "ProtectHostname",
                "ProtectKernelTunables", "ProtectKernelModules",   "ProtectKernelLogs", "RestrictRealtime", "RestrictSUIDSGID",
        };
        static const char *const filters[] = { "RestrictAddressFamilies", "SystemCallFilter", "SystemCallLog" };
        const uint64_t all = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (unit_flag(u, SYSTEMD_SERVICE, flags[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(filters); i++) {
                bool allows;
                char **list = unit_filter(u, filters[i], &allows);
                unit_list_free(list);
                if (list)
                        return true;
        }
        char **architectures = unit_list(u, SYSTEMD_SERVICE, "SystemCallArchitectures");
        bool some = architectures && architectures[0];
        unit_list_free(architectures);
        return some || (unit_number(u, SYSTEMD_SERVICE, "RestrictNamespaces") & all) != all;
}

static bool is_root(const char *user) {
        return !user || user[0] == 0 || str_equal(user, "root") || str_equal(user, "0");
}

enum unit_way unit_way(const struct unit *u) {
        _cleanup_free_ char *user = unit_text(u, SYSTEMD_SERVICE, "User");
        bool dynamic = unit_flag(u, SYSTEMD_SERVICE, "DynamicUser"), root = is_root(user) && !dynamic;

        if (dynamic || unit_flag(u, SYSTEMD_SERVICE, "NoNewPrivileges") || (!root && implies_no_new_privs(u)))
                return UNIT_BOUND;
        return root ? UNIT_ROOT : UNIT_BECOMES;
}

/* ---- paths ---- */

/* How much of a path an entry covers; entries may begin with `-` and `+`. */
static size_t covers(const char *entry, const char *path) {
        entry += strspn(entry, "-+");
        _cleanup_free_ char *real = realpath(entry, NULL);
        const char *prefix = real ?: entry;
        size_t n = strlen(prefix);

        while (n > 0 && prefix[n - 1] == '/')
                n--;
        return strncmp(prefix, path, n) == 0 && (path[n] == '/' || path[n] == 0) ? n + 1 : 0;
}

static size_t covered(char *const *list, const char *path) {
        size_t most = 0;

        for (; list && *list; list++) {
                size_t n = covers(*list, path);
                if (n > most)
                        most = n;
        }
        return most;
}

struct objects {
        char **no, **yes;
        struct strbuf relax;
};

/* Of this program and each library that it is made of. */
static int check_object(struct dl_phdr_info *info, size_t size, void *userdata) {
        struct objects *o = userdata;
        char path[PATH_MAX];

        (void) size;
        if (!realpath(info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe", path))
                return 0;
        if (covered(o->no, path) > covered(o->yes, path))
                strbuf_printf(&o->relax, "ExecPaths=%s\n", path);
        return 0;
}

static void check_exec_paths(struct list *l) {
        struct objects o = {
                .no = unit_list(l->unit, SYSTEMD_SERVICE, "NoExecPaths"),
                .yes = unit_list(l->unit, SYSTEMD_SERVICE, "ExecPaths"),
        };

        if (o.no && o.no[0])
                dl_iterate_phdr(check_object, &o);
        if (o.relax.failed)
                l->failed = true;
        else if (o.relax.text)
                add(l, "NoExecPaths", strbuf_take(&o.relax), "sandboxctl, which starts the service, could not be executed");
        strbuf_done(&o.relax);
        unit_list_free(o.no);
        unit_list_free(o.yes);
}

struct hidden {
        const char *key;
        char **list;
};

static void check_seen(struct list *l, const char *const *needed, const char *const *what, const char *const *relax) {
        const struct unit *u = l->unit;
        struct hidden hiding[] = {
                { "InaccessiblePaths", unit_list(u, SYSTEMD_SERVICE, "InaccessiblePaths") },
                { "TemporaryFileSystem", unit_first_texts(u, "TemporaryFileSystem", "ss", "s") },
        };
        char **shown[] = { unit_first_texts(u, "BindPaths", "ssbt", "sbt"), unit_first_texts(u, "BindReadOnlyPaths", "ssbt", "sbt") };

        for (size_t i = 0; needed[i]; i++)
                for (size_t k = 0; k < ELEMENTSOF(hiding); k++) {
                        size_t n = covered(hiding[k].list, needed[i]);
                        if (n > 0 && covered(shown[0], needed[i]) < n && covered(shown[1], needed[i]) < n) {
                                char *line = NULL;
                                if (asprintf(&line, "BindReadOnlyPaths=%s\n", relax[i]) < 0)
                                        line = NULL;
                                add(l, hiding[k].key, line, "%s, %s, would be hidden", needed[i], what[i]);
                        }
                }
        for (size_t k = 0; k < ELEMENTSOF(hiding); k++)
                unit_list_free(hiding[k].list);
        for (size_t k = 0; k < ELEMENTSOF(shown); k++)
                unit_list_free(shown[k]);
}

static void check_paths(struct list *l, const char *policy) {
        char exe[PATH_MAX] = "";
        const char *needed[] = { "/run/sandboxd/control", exe, policy, "/run/systemd/private", NULL };
        const char *what[] = { "where sandboxd listens", "which starts the service", "the policy", "where systemd says who its user is" };
        const char *relax[] = { "/run/sandboxd", exe, policy, "/run/systemd/private" };

        if (!realpath("/proc/self/exe", exe))
                l->failed = true;
        if (unit_way(l->unit) != UNIT_BECOMES)
                needed[3] = NULL;
        check_seen(l, needed, what, relax);

        _cleanup_free_ char *home = unit_text(l->unit, SYSTEMD_SERVICE, "ProtectHome");
        if (home && !str_equal(home, "no") && !str_equal(home, "read-only") &&
            (str_starts(policy, "/home/") || str_starts(policy, "/root/") || str_starts(policy, "/run/user/")))
                add(l, "ProtectHome", NULL, "the policy %s would be hidden: move it to /etc/sandboxd/policies", policy);
        if (unit_flag(l->unit, SYSTEMD_SERVICE, "PrivateTmp") && (str_starts(policy, "/tmp/") || str_starts(policy, "/var/tmp/")))
                add(l, "PrivateTmp", NULL, "the policy %s would be hidden: move it to /etc/sandboxd/policies", policy);
}

/* ---- calls ---- */

/* What service-exec calls beyond what systemd always permits (@default). */
static const char *const calls[] = {
        "seccomp",    "read",         "write",          "pread64",    "close",       "openat",       "newfstatat",
        "fstat",      "access",       "readlink",       "lseek",      "fcntl",       "socket",       "connect",
        "sendmsg",    "recvmsg",      "getsockopt",     "setsockopt", "getsockname", "poll",         "ppoll",
        "pipe2",      "clone",        "clone3",         "prctl",      "ioctl",       "memfd_create", "ftruncate",
        "pidfd_open", "rt_sigaction", "rt_sigprocmask", "madvise",    "getdents64",  "uname",        "epoll_create1",
};
static const char *const calls_of_identity[] = { "setgroups", "setresgid", "setresuid", "capget", "capset" };

static void find_forbidden(char *const *list, bool allows, const char *const *names, size_t n, struct strbuf *ret) {
        for (size_t i = 0; i < n; i++) {
                bool named = false;
                for (char *const *word = list; *word && !named; word++) {
                        /* With an action of its own: NAME:ERRNO. */
                        size_t length = strcspn(*word, ":");
                        named = strncmp(*word, names[i], length) == 0 && names[i][length] == 0;
                }
                if (named != allows)
                        strbuf_printf(ret, "%s%s", ret->text ? " " : "", names[i]);
        }
}

static void check_calls(struct list *l) {
        _cleanup_(strbuf_done) struct strbuf missing = {};
        bool allows;
        char **list = unit_filter(l->unit, "SystemCallFilter", &allows), *relax = NULL;

        if (!list)
                return;
        find_forbidden(list, allows, calls, ELEMENTSOF(calls), &missing);
        if (unit_way(l->unit) == UNIT_BECOMES)
                find_forbidden(list, allows, calls_of_identity, ELEMENTSOF(calls_of_identity), &missing);
        unit_list_free(list);
        if (missing.failed || (missing.text && asprintf(&relax, "SystemCallFilter=%s\n", missing.text) < 0))
                l->failed = true;
        else if (missing.text)
                add(l, "SystemCallFilter", relax, "it forbids calls with which the broker's filter is loaded and handed over: %s",
                    missing.text);
}

static void check_families(struct list *l) {
        bool allows;
        char **list = unit_filter(l->unit, "RestrictAddressFamilies", &allows);

        if (list && unit_list_has(list, "AF_UNIX") != allows)
                add(l, "RestrictAddressFamilies", strdup("RestrictAddressFamilies=AF_UNIX\n"),
                    "sandboxd could not be reached without AF_UNIX");
        unit_list_free(list);
}

/* ---- the rest ---- */

static void check_identity(struct list *l) {
        static const char *const labels[] = { "SELinuxContext", "AppArmorProfile", "SmackProcessLabel" };
        _cleanup_free_ char *pam = unit_text(l->unit, SYSTEMD_SERVICE, "PAMName");

        if (pam && pam[0] && unit_way(l->unit) == UNIT_BECOMES)
                add(l, "PAMName", NULL,
                    "systemd opens the session only of a process that it starts as the user, and such a one can load no filter without "
                    "NoNewPrivileges=yes");
        if (unit_number(l->unit, SYSTEMD_SERVICE, "SecureBits") != 0)
                add(l, "SecureBits", NULL, "root has no capabilities then, or keeps them where it should not");
        if (unit_flag(l->unit, SYSTEMD_SERVICE, "PrivateUsers"))
                add(l, "PrivateUsers", strdup("PrivateUsers=no\n"), "the broker can't act for programs in another user namespace");
        for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
                _cleanup_free_ char *label = unit_label(l->unit, labels[i]);
                if (label)
                        add(l, labels[i], NULL, "it would hold for sandboxctl in place of the service's program");
        }
}

static void check_root(struct list *l) {
        static const char *const roots[] = { "RootDirectory", "RootImage" };

        for (size_t i = 0; i < ELEMENTSOF(roots); i++) {
                _cleanup_free_ char *root = unit_text(l->unit, SYSTEMD_SERVICE, roots[i]);
                if (root && root[0] && !str_equal(root, "/"))
                        add(l, roots[i], NULL, "neither sandboxctl nor the policies nor sandboxd's socket are in this root");
        }
}

static void check_order(struct list *l) {
        static const char *const own[] = { "sandboxd.service", "dbus.service", "dbus-broker.service" };

        if (!unit_flag(l->unit, SYSTEMD_UNIT, "DefaultDependencies"))
                add(l, "DefaultDependencies", NULL, "it starts before sandboxd can, or stops after it");
        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                if (str_equal(l->unit->id, own[i]))
                        add(l, "Id", NULL, "%s", i == 0 ? "sandboxd can't be behind itself" : "systemd itself waits for the bus");
        if (unit_flag(l->unit, SYSTEMD_UNIT, "Transient"))
                add(l, "Transient", NULL, "it was made by a program (systemd-run and the like), and goes when it ends");
}

int unit_obstacles(const struct unit *u, const char *policy, struct obstacle **ret, size_t *ret_n) {
        struct list l = { .unit = u };

        check_order(&l);
        check_root(&l);
        check_identity(&l);
        check_exec_paths(&l);
        check_paths(&l, policy);
        check_calls(&l);
        check_families(&l);
        if (l.failed) {
                obstacles_free(l.list, l.n);
                return -ENOMEM;
        }
        *ret = l.list;
        *ret_n = l.n;
        return 0;
}
