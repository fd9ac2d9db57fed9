/*
 * sandboxctl doctor: what this machine can do, found out by trying, and what is lost where it can't.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup.h"
#include "json_print.h"
#include "kernel_features.h"
#include "landlock_rules.h"
#include "message.h"
#include "str.h"
#include "sys.h"
#include "verbs.h"

enum health { HEALTH_OK, HEALTH_LESS, HEALTH_MISSING };

struct finding {
        enum health health;
        const char *name;
        char found[256];  /* what was seen */
        const char *lost; /* what is lost without it, and what to do; NULL where nothing is */
};

static const char *const health_names[] = { "ok", "less", "missing" };

static bool kernel_at_least(unsigned major, unsigned minor) {
        struct utsname u;
        unsigned a = 0, b = 0;

        return uname(&u) == 0 && sscanf(u.release, "%u.%u", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

static void find_kernel(struct finding *f) {
        struct utsname u;

        f->name = "kernel";
        if (uname(&u) == 0)
                snprintf(f->found, sizeof(f->found), "%s %s, %s", u.sysname, u.release, u.machine);
}

static void set(struct finding *f, const char *name, bool there, enum health without, const char *lost) {
        f->name = name;
        f->health = there ? HEALTH_OK : without;
        snprintf(f->found, sizeof(f->found), "%s", there ? "there" : "not there");
        f->lost = there ? NULL : lost;
}

static void find_notif(struct finding *f) {
        set(f, "seccomp user notification", features_user_notif(), HEALTH_MISSING,
            "nothing can be started: Linux 5.19 or later with CONFIG_SECCOMP_FILTER is needed");
}

static void find_calls(struct finding *f) {
        int fd = sys_openat2(AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0, 0);
        int pidfd = sys_pidfd_open(getpid(), 0);
        int dup = pidfd >= 0 ? sys_pidfd_getfd(pidfd, fd) : -1;

        set(f, "openat2, pidfd_open, pidfd_getfd", fd >= 0 && pidfd >= 0 && dup >= 0, HEALTH_MISSING,
            "nothing can be started: Linux 5.6 or later is needed, and an outer sandbox or container that allows these calls");
        if (fd >= 0)
                close(fd);
        if (pidfd >= 0)
                close(pidfd);
        if (dup >= 0)
                close(dup);
}

static void find_killable(struct finding *f) {
        set(f, "WAIT_KILLABLE_RECV", features_wait_killable(), HEALTH_MISSING,
            "nothing can be started, since a call that the broker does could be done twice: Linux 5.19 or later is needed");
}

static void find_wake_up(struct finding *f) {
        set(f, "SYNC_WAKE_UP", features_sync_wake_up(), HEALTH_LESS, "notified calls take up to eight times as long: Linux 6.6");
}

static void find_race(struct finding *f) {
        f->name = "fast replies";
        if (kernel_at_least(6, 18))
                snprintf(f->found, sizeof(f->found), "the race of very fast replies with WAIT_KILLABLE_RECV is fixed in this release");
        else {
                f->health = HEALTH_LESS;
                snprintf(f->found, sizeof(f->found), "this release may have the race of very fast replies with WAIT_KILLABLE_RECV");
                f->lost = "a call may rarely be interrupted although it was answered; fixed in 6.18 (cce436aafc2a), and in distribution "
                          "kernels that took it over";
        }
}

static void find_user_namespace(struct finding *f) {
        long limit, apparmor = 0, clone = 1;
        int r = features_user_namespace();

        f->name = "user namespaces";
        if (r == 0) {
                snprintf(f->found, sizeof(f->found), "can be made by this user");
                if (sys_read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &apparmor) == 0 && apparmor > 0 &&
                    geteuid() != 0) {
                        f->health = HEALTH_LESS;
                        snprintf(f->found, sizeof(f->found), "can be made, but Ubuntu's AppArmor takes away all rights in them");
                        f->lost = "nothing can be started as this user: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
                                  "or an AppArmor profile for sandboxctl with `userns,`";
                }
                return;
        }
        f->health = HEALTH_MISSING;
        if (sys_read_number("/proc/sys/user/max_user_namespaces", &limit) == 0 && limit == 0) {
                snprintf(f->found, sizeof(f->found), "switched off: user.max_user_namespaces is 0");
                f->lost = "nothing can be started: sudo sysctl user.max_user_namespaces=15000";
        } else if (sys_read_number("/proc/sys/kernel/unprivileged_userns_clone", &clone) == 0 && clone == 0 && geteuid() != 0) {
                snprintf(f->found, sizeof(f->found), "switched off for ordinary users: kernel.unprivileged_userns_clone is 0");
                f->lost = "nothing can be started as this user: sudo sysctl kernel.unprivileged_userns_clone=1";
        } else {
                snprintf(f->found, sizeof(f->found), "can't be made: %s", strerror(-r));
                f->lost = "nothing can be started: inside a container, allow unshare in its seccomp profile; elsewhere, CONFIG_USER_NS";
        }
}

static void find_landlock(struct finding *f) {
        int abi = landlock_abi();

        f->name = "Landlock";
        if (abi < LANDLOCK_ABI_NEEDED) {
                f->health = HEALTH_LESS;
                snprintf(f->found, sizeof(f->found), abi == 0 ? "not there" : "ABI %d, which can't be used", abi);
                f->lost = "the second layer below the view is missing, and `enforce: broker` is refused: "
                          "Linux 5.19 with CONFIG_SECURITY_LANDLOCK, and `landlock` in the lsm= list";
                return;
        }
        snprintf(f->found, sizeof(f->found), "ABI %d", abi);
        if (abi < 6) {
                f->health = HEALTH_LESS;
                f->lost = abi < 3   ? "the second layer does not cover truncate, devices and scoping (Linux 6.2, 6.10, 6.12)"
                          : abi < 5 ? "the second layer does not cover devices and scoping (Linux 6.10, 6.12)"
                                    : "the second layer does not scope signals and abstract sockets (Linux 6.12)";
        }
}

static void find_cgroup(struct finding *f) {
        static const struct policy_limits limits = { .processes = 64, .memory = 64 << 20 };
        _cleanup_free_ char *why_not = NULL;
        struct cgroup *cgroup = NULL;
        int r = cgroup_new(&limits, &cgroup, &why_not);

        f->name = "control group";
        if (r >= 0)
                snprintf(f->found, sizeof(f->found), "can be made (%s)", cgroup_path(cgroup));
        else {
                f->health = HEALTH_LESS;
                snprintf(f->found, sizeof(f->found), "can't be made: %s", why_not ?: strerror(-r));
                f->lost = kernel_at_least(6, 14)
                                  ? "limits: processes is held by the pid namespace's own pid_max (at least 301) and RLIMIT_NPROC, memory "
                                    "by RLIMIT_AS per process"
                                  : "limits: processes is held by RLIMIT_NPROC only (not for root), memory by RLIMIT_AS per process";
        }
        cgroup_free(cgroup);
}

static void find_newuidmap(struct finding *f) {
        set(f, "newuidmap", access("/usr/bin/newuidmap", X_OK) == 0 && access("/usr/bin/newgidmap", X_OK) == 0, HEALTH_LESS,
            "policies with `identity: { ids: subordinate }` are refused for ordinary users: install uidmap");
}

static void find_yama(struct finding *f) {
        long scope = 0;

        f->name = "ptrace scope";
        if (sys_read_number("/proc/sys/kernel/yama/ptrace_scope", &scope) < 0)
                snprintf(f->found, sizeof(f->found), "no Yama");
        else {
                snprintf(f->found, sizeof(f->found), "Yama, %ld", scope);
                if (scope >= 3) {
                        f->health = HEALTH_MISSING;
                        f->lost = "the broker can't read its callers' memory, so that nothing can be started: sysctl "
                                  "kernel.yama.ptrace_scope=1 (needs a reboot after 3)";
                }
        }
}

static void (*const finders[])(struct finding *f) = {
        find_kernel,         find_notif,    find_calls,  find_killable,  find_wake_up, find_race,
        find_user_namespace, find_landlock, find_cgroup, find_newuidmap, find_yama,
};

static void print_json(const struct finding *findings, size_t n) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < n; i++) {
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "name", json_object_new_string(findings[i].name));
                json_object_object_add(o, "health", json_object_new_string(health_names[findings[i].health]));
                json_object_object_add(o, "found", json_object_new_string(findings[i].found));
                json_object_object_add(o, "lost", findings[i].lost ? json_object_new_string(findings[i].lost) : NULL);
                json_object_array_add(list, o);
        }
        json_print(list);
}

static void print_help(void) {
        printf("Usage: sandboxctl doctor [--json]\n"
               "\n"
               "Says what this machine can do, and what is lost where it can't.\n"
               "\n"
               "Options:\n"
               "  --json  write a JSON array\n"
               "  --help  show this\n"
               "\n"
               "Exit status: 0 when sandboxes can be started, 1 when not.\n");
}

int verb_doctor(int argc, char **argv) {
        struct finding findings[ELEMENTSOF(finders)] = {};
        bool json = false, missing = false;

        for (int i = 1; i < argc; i++) {
                if (str_equal(argv[i], "--json"))
                        json = true;
                else if (str_equal(argv[i], "--help")) {
                        print_help();
                        return 0;
                } else {
                        _cleanup_free_ char *word = str_escape(argv[i]);
                        return message_fail("doctor knows no word %s; sandboxctl doctor --help shows what it takes", word);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(finders); i++) {
                finders[i](&findings[i]);
                missing |= findings[i].health == HEALTH_MISSING;
        }
        if (json)
                print_json(findings, ELEMENTSOF(findings));
        else
                for (size_t i = 0; i < ELEMENTSOF(findings); i++) {
                        const struct finding *f = &findings[i];
                        printf("%-8s %-34s %s\n", health_names[f->health], f->name, f->found);
                        if (f->lost)
                                printf("         %s\n", f->lost);
                }
        return missing;
}
