/*
 * sandboxctl service-exec: what systemd starts in the place of a wrapped service's program. It becomes that program, behind the broker, or ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "in_place.h"
#include "kernel_features.h"
#include "message.h"
#include "modules.h"
#include "remote.h"
#include "service.h"
#include "str.h"
#include "sys.h"
#include "verbs.h"

#define EXIT_EXEC 203 /* as systemd says that a program can't be executed */
#define NAMES_MAX 100 /* sandboxes of one unit's processes that have outlived it */
#define TRIES 4
#define TRY_NSEC 15000000

extern char **environ;

struct run {
        const char *unit, *policy, *line;
        bool becomes, argv0;
        uint64_t bounding;
        char **command;
        char program[PATH_MAX];
        char name[SERVICE_NAME_SIZE];
        struct in_place_identity identity;
        gid_t *groups;
        struct service_policy loaded;
        struct remote remote;
};

static int parse(int argc, char **argv, struct run *r) {
        static const struct option options[] = {
                { "unit", required_argument, NULL, 'u' },
                { "policy", required_argument, NULL, 'p' },
                { "line", required_argument, NULL, 'l' },
                { "bounding", required_argument, NULL, 'b' },
                { "become", no_argument, NULL, 'i' },
                { "argv0", no_argument, NULL, '0' },
                {},
        };
        char *end;
        int c;

        r->bounding = UINT64_MAX;
        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0)
                switch (c) {
                case 'u': r->unit = optarg; break;
                case 'p': r->policy = optarg; break;
                case 'l': r->line = optarg; break;
                case 'b':
                        errno = 0;
                        r->bounding = strtoull(optarg, &end, 16);
                        if (errno || *end || end == optarg)
                                return -EINVAL;
                        break;
                case 'i': r->becomes = true; break;
                case '0': r->argv0 = true; break;
                default: return -EINVAL;
                }
        r->command = argv + optind;
        return r->unit && r->policy && r->command[0] && (!r->argv0 || r->command[1]) ? 0 : -EINVAL;
}

/* ---- whom it becomes ---- */

/* Supplementary groups are the user's and those that the unit names. */
static int find_groups(struct run *r, const char *user, char *const *further) {
        int n = 64;
        size_t n_further = 0;

        while (further && further[n_further])
                n_further++;
        for (;;) {
                gid_t *larger = reallocarray(r->groups, n + n_further, sizeof(gid_t));
                int room = n;
                if (!larger)
                        return -ENOMEM;
                r->groups = larger;
                if (getgrouplist(user, r->identity.gid, r->groups, &n) >= 0)
                        break;
                if (n <= room)
                        return -EIO;
        }
        for (size_t i = 0; i < n_further; i++) {
                char *end;
                struct group *group = getgrnam(further[i]);
                unsigned long number = strtoul(further[i], &end, 10);
                if (!group && (*end || end == further[i] || number >= (gid_t) -1))
                        return -ESRCH;
                r->groups[n++] = group ? group->gr_gid : (gid_t) number;
        }
        r->identity.groups = r->groups;
        r->identity.n_groups = n;
        return 0;
}

/* systemd has looked the unit's user up already, and says so. */
static int find_identity(struct run *r) {
        _cleanup_free_ char *object = NULL, *user = NULL;
        struct unit unit = {};
        int e = systemd_connect(&unit.bus);

        if (e < 0)
                return e;
        e = sd_bus_path_encode(SYSTEMD_PATH "/unit", r->unit, &object);
        if (e >= 0) {
                unit.object = object;
                user = unit_text(&unit, SYSTEMD_SERVICE, "User");
                char **further = unit_list(&unit, SYSTEMD_SERVICE, "SupplementaryGroups");
                r->identity.uid = unit_number(&unit, SYSTEMD_SERVICE, "UID");
                r->identity.gid = unit_number(&unit, SYSTEMD_SERVICE, "GID");
                /* By its number a user has a name all the same. */
                struct passwd *pw = r->identity.uid == 0 ? NULL : getpwuid(r->identity.uid);
                if (!user || r->identity.uid == 0 || r->identity.uid == (uid_t) -1 || r->identity.gid == (gid_t) -1)
                        e = -ESRCH;
                else
                        e = find_groups(r, pw ? pw->pw_name : user, further);
                unit_list_free(further);
        }
        sd_bus_flush_close_unref(unit.bus);
        return e < 0 ? (message_fail("the unit's user can't be found: %s", strerror(-e)), e) : 0;
}

/* ---- the program ---- */

static int find_program(struct run *r) {
        const char *name = r->command[0], *path = getenv("PATH");
        struct stat st;

        if (strchr(name, '/'))
                return snprintf(r->program, PATH_MAX, "%s", name) < PATH_MAX ? 0 : -ENAMETOOLONG;
        for (const char *p = path ?: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"; *p;) {
                size_t n = strcspn(p, ":");
                if (n > 0 && snprintf(r->program, PATH_MAX, "%.*s/%s", (int) n, p, name) < PATH_MAX && stat(r->program, &st) >= 0 &&
                    S_ISREG(st.st_mode) && access(r->program, X_OK) >= 0)
                        return 0;
                p += n + (p[n] != 0);
        }
        return -ENOENT;
}

/* ---- the sandbox ---- */

/* In the second thread. What earlier processes of the unit have left may have the name. */
static int hand_over(void *userdata, int listener, char **error) {
        struct run *r = userdata;
        const struct policy *policy = r->loaded.policy;
        _cleanup_free_ char *group = NULL, *folder = NULL;
        struct remote_request request = {
                .name = r->name,
                .policy = r->policy,
                .plan = r->loaded.plan,
                .command = r->command,
                .log_fd = -1,
                .record = policy->audit == AUDIT_NONE ? AUDIT_DENIED : policy->audit,
                .time_usec = policy->limits.time_usec,
                .kill_on_broker_loss = policy->kill_on_broker_loss,
                .wait_killable = true,
        };
        _cleanup_close_ int self = sys_pidfd_open(getpid(), 0), root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int e = self < 0 || root < 0 ? -errno : -EEXIST;

        *error = NULL;
        /* Whom it is killed with. */
        if (sd_pid_get_cgroup(0, &group) >= 0 && asprintf(&folder, "/sys/fs/cgroup%s", group) >= 0)
                request.cgroup = folder;
        for (unsigned number = 1, tries = 0; e == -EEXIST && number <= NAMES_MAX; number += ++tries >= TRIES) {
                /* Of the one before us sandboxd may be about to hear that it is gone. */
                if (tries > 0 && number == 1)
                        nanosleep(&(struct timespec) { .tv_nsec = TRY_NSEC }, NULL);
                service_sandbox_name(r->unit, r->line, number, r->name);
                e = remote_adopt_in_place(&r->remote, &request, self, listener, root);
        }
        return e;
}

static int run(struct run *r) {
        _cleanup_free_ char *error = NULL;
        int e;

        if ((e = find_program(r)) < 0) {
                message_fail("%s: %s can't be executed: %s", r->unit, r->command[0], strerror(-e));
                return EXIT_EXEC;
        }
        if (!features_wait_killable())
                return message_fail("%s: this kernel can't hold off signals while the broker acts for a program (Linux 5.19 can)", r->unit);
        if (r->becomes && find_identity(r) < 0)
                return EXIT_OURS;
        service_sandbox_name(r->unit, NULL, 1, r->name);
        if (service_policy_load(&r->loaded, r->policy, r->name, r->becomes ? r->identity.uid : getuid(),
                                r->becomes ? r->identity.gid : getgid()) < 0 ||
            remote_connect(&r->remote) < 0)
                return EXIT_OURS;
        struct in_place_options options = {
                .plan = r->loaded.plan,
                .filter = &r->loaded.filter,
                .wait_killable = true,
                .identity = r->becomes ? &r->identity : NULL,
                .bounding = r->bounding,
                .hand_over = hand_over,
                .userdata = r,
                .path = r->program,
                .argv = r->command + r->argv0,
                .environment = environ,
        };
        e = in_place_exec(&options, &error);
        /* With write(2), which no filter keeps from it. */
        message_fail("%s: it does not start: %s", r->unit, error ?: strerror(-e));
        _exit(e == -ENOENT || e == -ENOEXEC ? EXIT_EXEC : EXIT_OURS);
}

int verb_service_exec(int argc, char **argv) {
        struct run r = { .remote = REMOTE_INIT };

        if (parse(argc, argv, &r) < 0)
                return message_fail("service-exec is started by systemd, for a unit that `sandboxctl service wrap` has wrapped");
        return run(&r);
}
