/*
 * Taking a container over: what runs in the process that the agent starts for one connection of a runtime. It has the daemon's user, as the runtime has, and none
 * of the daemon's sandboxes; it reads the state, looks at the container's process, compiles the policy that the profile's metadata name, and hands all
 * of that to the daemon. What a runtime executes in a container later has the container's filter and policy: once it is seen to be of that container, its
 * listener joins the others of its sandbox. Whatever is wrong, the process that has loaded the filter is killed: nobody would answer its calls, and a runtime learns of
 * nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "folders.h"
#include "modules.h"
#include "mounts.h"
#include "plan.h"
#include "sandboxd.h"
#include "state.h"
#include "str.h"
#include "sys.h"

#define ALARM_SECONDS 60
#define ID_SHOWN 12 /* as engines show theirs */
#define NAME_SIZE 64

struct taking {
        const char *config; /* the daemon's --config; NULL: the usual file */
        struct container_state state;
        int fds[STATE_FDS_MAX];
        size_t n_fds;
        int listener; /* one of these */
        struct ucred peer;
        pid_t pid;
        int pidfd, root, user; /* user: -1, it is in our own user namespace */
        sd_bus *bus;
        struct policy *policy, *floor; /* floor: NULL, there is none */
        struct plan *plan, *floor_plan;
        struct mount_list mounts; /* where these hold the rules for files */
        char *why;
};

static _printf_(3, 4) int wrong(struct taking *t, int error, const char *format, ...) {
        va_list args;

        free(t->why);
        va_start(args, format);
        if (vasprintf(&t->why, format, args) < 0)
                t->why = NULL;
        va_end(args);
        return error;
}

/* ---- the container's process ---- */

/* The listener alone; what else a runtime has sent is of no use here. */
static void keep_listener(struct taking *t) {
        t->listener = t->fds[t->state.listener];
        for (size_t i = 0; i < t->n_fds; i++)
                if (i != t->state.listener)
                        close(t->fds[i]);
}

static int open_of(const struct taking *t, const char *name, int flags) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", t->pid, name);
        int fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static bool is_gone(const struct taking *t) {
        struct pollfd p = { .fd = t->pidfd, .events = POLLIN };

        return poll(&p, 1, 0) != 0;
}

/* What a security module would forbid the container, it would not forbid us. */
static int check_label(struct taking *t) {
        char own[256] = "", theirs[256] = "";
        static const char *const names[] = { "attr/exec", "attr/current" };
        _cleanup_close_ int fd = open("/proc/self/attr/current", O_RDONLY | O_CLOEXEC);

        if (fd < 0 || read(fd, own, sizeof(own) - 1) <= 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(names) && !theirs[0]; i++) {
                _cleanup_close_ int label = open_of(t, names[i], O_RDONLY);
                if (label >= 0 && read(label, theirs, sizeof(theirs) - 1) < 0)
                        theirs[0] = 0;
        }
        own[strcspn(own, "\n")] = theirs[strcspn(theirs, "\n")] = 0;
        if (!theirs[0] || str_equal(own, theirs))
                return 0;
        _cleanup_free_ char *text = str_escape(theirs);
        return wrong(
                t, -EPERM,
                "it is labelled '%s' (AppArmor, SELinux), which would not hold for what sandboxd does for it; start it without (docker: "
                "--security-opt apparmor=unconfined, label=disable)",
                text ?: "?");
}

static uint64_t status_number(const char *text, const char *name) {
        const char *line = strstr(text, name);

        return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

/* The program that a process runs, and how it was called. */
struct program {
        dev_t dev;
        ino_t ino;
        char words[4096]; /* as in /proc/PID/cmdline, cut */
        size_t size;
};

static bool program_of(pid_t pid, struct program *ret) {
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/exe", pid);
        if (stat(path, &st) < 0)
                return false;
        snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : fd_read_full(fd, ret->words, sizeof(ret->words));
        if (n <= 0)
                return false;
        ret->dev = st.st_dev;
        ret->ino = st.st_ino;
        ret->size = n;
        return true;
}

/* Of a process under a filter. */
static bool is_filtered(pid_t pid, pid_t *ret_parent) {
        char path[64], text[8192];

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        *ret_parent = status_number(text, "\nPPid:");
        return status_number(text, "\nSeccomp:") == 2;
}

/* crun doesn't say whom it has started for an exec, and that process isn't always its child (with --detach it belongs to whoever reaps). But it is still
 * crun, with crun's own words, and the only such process under a filter: a program inside can give itself any words, but not crun's file to run. Where several
 * are started by the same words at once, it is the one that is its child. 0: there is none, or more than one. */
static pid_t find_filtered(pid_t runtime) {
        static struct program of_runtime, other;
        DIR *proc = opendir("/proc");
        pid_t found = 0, parent;
        bool several = false;

        if (!proc || !program_of(runtime, &of_runtime)) {
                if (proc)
                        closedir(proc);
                return 0;
        }
        for (const struct dirent *entry; (entry = readdir(proc));) {
                pid_t pid = atoi(entry->d_name);
                if (pid <= 0 || pid == runtime || !program_of(pid, &other) || other.dev != of_runtime.dev || other.ino != of_runtime.ino ||
                    other.size != of_runtime.size || memcmp(other.words, of_runtime.words, other.size) != 0 || !is_filtered(pid, &parent))
                        continue;
                several = found && parent != runtime;
                found = pid;
                if (parent == runtime)
                        break;
        }
        closedir(proc);
        return several ? 0 : found;
}

static int look_at(struct taking *t) {
        struct stat own, theirs;

        t->pid = t->state.pid ? t->state.pid : find_filtered(t->peer.pid);
        t->pidfd = t->pid > 0 ? sys_pidfd_open(t->pid, 0) : -1;
        if (t->pid == 0)
                return wrong(t, -ESRCH, "the process that the runtime has started can't be told from others");
        if (t->pidfd < 0)
                return wrong(t, -ESRCH, "the process %d, of which the runtime speaks, isn't there", t->pid);
        _cleanup_close_ int user = open_of(t, "ns/user", O_RDONLY);
        if (user < 0 || fstat(user, &theirs) < 0 || stat("/proc/self/ns/user", &own) < 0)
                return wrong(t, -ESRCH, "the process %d can't be looked at", t->pid);
        if (own.st_ino != theirs.st_ino || own.st_dev != theirs.st_dev)
                t->user = TAKE_FD(user);
        int r = check_label(t);
        if (r < 0)
                return r;
        t->root = open_of(t, "root", O_PATH | O_DIRECTORY);
        if (t->root < 0)
                return wrong(t, t->root, "its root can't be reached: %s", strerror(-t->root));
        /* It was all of one process. */
        return is_gone(t) ? wrong(t, -ESRCH, "it has died") : 0;
}

/* Into the container's user namespace, where its files have owners: the policy is compiled with the rights that the workers have. */
static int enter(struct taking *t) {
        int r = t->user >= 0 ? user_namespace_enter(t->user, true) : 0;

        return r < 0 ? wrong(t, r, "its user namespace can't be entered: %s", strerror(-r)) : 0;
}

/* runc takes none of the kernel's flags for filters, and says nothing of that. */
static bool is_runc(const struct taking *t) {
        char path[64], exe[PATH_MAX];

        snprintf(path, sizeof(path), "/proc/%d/exe", t->peer.pid);
        ssize_t n = readlink(path, exe, sizeof(exe) - 1);
        if (n <= 0)
                return false;
        exe[n] = 0;
        const char *name = strrchr(exe, '/');
        return str_starts(name ? name + 1 : exe, "runc") || strstr(exe, "runc_cloned");
}

static int check_killable(struct taking *t) {
        if (t->state.killable_known ? t->state.killable : !is_runc(t))
                return 0;
        return wrong(t, -EOPNOTSUPP,
                     "runc loads filters without WAIT_KILLABLE_RECV, so that a call that a signal interrupts would be done twice: "
                     "install crun, and have the engine use it");
}

static int check_program(struct taking *t) {
        return t->state.other_program
                       ? wrong(t, -EPERM,
                               "its annotation " PROGRAM_ANNOTATION " has put another filter in its profile's place: leave it out")
                       : 0;
}

/* ---- the policy ---- */

static int report_wrong(struct taking *t, int error, const struct policy_report *report) {
        for (size_t i = 0; i < report->n; i++) {
                const struct policy_message *m = &report->messages[i];
                if (!m->warning && m->place.file && m->place.line > 0)
                        return wrong(t, error, "%s:%u: %s", m->place.file, m->place.line, m->text);
                if (!m->warning)
                        return wrong(t, error, "%s", m->text);
        }
        return wrong(t, error, "%s", strerror(-error));
}

static int load_settings(struct taking *t, uid_t uid, struct settings **ret) {
        struct policy_report report = {};
        int r = settings_find(uid == demand_user() ? t->config : NULL, uid, geteuid(), ret, &report);

        if (r < 0)
                r = report_wrong(t, r, &report);
        policy_report_done(&report);
        return r;
}

static int choose_policy(struct taking *t, const struct settings *settings, const char **ret, const char **ret_floor) {
        const char *name = t->state.policy ?: settings->oci.default_policy;

        if (!name)
                return wrong(t, -EINVAL, "its profile's listenerMetadata names no policy");
        _cleanup_free_ char *text = str_escape(name);
        if (!policy_name_valid(name))
                return wrong(t, -EINVAL, "'%s' can't be the name of a policy", text ?: "?");
        *ret = name;
        *ret_floor = str_equal(settings->oci.floor, name) ? NULL : settings->oci.floor;
        return 0;
}

static int load_named(struct taking *t, struct policy_request *request, const char *name, struct policy **ret) {
        struct policy_report report = {};

        request->policy = request->name = name;
        int r = policy_load(request, ret, &report);
        if (r < 0)
                r = report_wrong(t, r, &report);
        policy_report_done(&report);
        return r;
}

/* As whoever has made the profile has asked for it: nothing of the policy depends on who asks. */
static int load_policy(struct taking *t) {
        char *const environment[] = { NULL };
        struct settings *system = NULL, *own = NULL;
        struct policy_folders folders = {};
        const char *name = NULL, *floor = NULL;
        struct policy_request request = { .uid = geteuid(), .gid = getegid(), .cwd = "/", .environment = environment, .inspect = true };
        int r = load_settings(t, 0, &system);

        /* Root-owned folders for root; a user's own come first for the user's. */
        if (r >= 0 && demand_user() != 0)
                r = load_settings(t, demand_user(), &own);
        if (r < 0)
                return r;
        if (policy_folders_find(own, settings_home(demand_user()), system, &folders) < 0)
                return wrong(t, -ENOMEM, "no memory");
        request.folders = folders.list;
        request.n_folders = folders.n;
        request.trust_last = folders.trust_last;
        r = choose_policy(t, own ?: system, &name, &floor);
        if (r >= 0 && floor)
                r = load_named(t, &request, floor, &t->floor);
        return r < 0 ? r : load_named(t, &request, name, &t->policy);
}

static int compile(struct taking *t) {
        struct policy_report report = {};
        char root[64];
        struct plan_request request = { .setting = PLAN_CONTAINER, .root = root, .uid = geteuid(), .gid = getegid() };

        snprintf(root, sizeof(root), "/proc/self/fd/%d", t->root);
        int r = t->state.mounted ? mount_list_read(t->pid, &t->mounts) : 0;
        if (r < 0)
                return wrong(t, r, "its mounts can't be read: %s", strerror(-r));
        request.mounts = t->state.mounted;
        request.mounted = t->mounts.paths;
        request.n_mounted = t->mounts.n_paths;
        r = t->floor ? plan_compile(t->floor, &request, &t->floor_plan, &report) : 0;
        if (r >= 0)
                r = plan_compile(t->policy, &request, &t->plan, &report);
        if (r >= 0 && t->floor)
                r = plan_add_floor(t->plan, t->floor_plan, &report);
        if (r < 0)
                r = report_wrong(t, r, &report);
        policy_report_done(&report);
        if (r < 0)
                return r;
        t->plan->starting = true;
        return t->state.mounted ? mounts_seal(t->plan, t->pid, t->root, &t->mounts, &t->why) : 0;
}

/* ---- the profile ---- */

/* A profile that was made of another policy sends other calls, and what it lets pass nobody decides on. The container's own profile, which it is merged with,
 * only adds to it. One that nobody of ours has made says nothing of all that. */
static int check_profile(struct taking *t) {
        _cleanup_(filter_builder_done) struct filter_builder filter = {};
        struct made_of of = {};
        struct policy_report report = {};
        char text[DIGEST_TEXT_SIZE];
        const char *what = NULL;

        int r = modules_collect_profile(t->plan, &filter, &of, &report);
        if (r < 0)
                r = report_wrong(t, r, &report);
        policy_report_done(&report);
        if (r < 0)
                return r;
        if (t->state.policy_digest && !str_equal(t->state.policy_digest, digest_text(&of.policy, text)))
                what = "is another one now than that which its profile was made of";
        else if (t->state.filter_digest && !str_equal(t->state.filter_digest, digest_text(&of.filter, text)))
                what = "sends other calls than its profile, which another version of sandboxd has made";
        return what ? wrong(t, -ESTALE,
                            "the policy '%s' %s: print the profile anew (sandboxctl policy oci-profile %s), or start the container again",
                            t->policy->name, what, t->policy->name)
                    : 0;
}

/* ---- handing over ---- */

/* The daemon's own names are of lower case, and short. */
static void make_name(const struct taking *t, char ret[NAME_SIZE]) {
        const char *from = t->state.name ?: t->state.id;
        size_t n = 0, end = t->state.name || strlen(from) != 64 ? NAME_SIZE - 1 : ID_SHOWN;

        for (; *from && n < end; from++) {
                char c = *from >= 'A' && *from <= 'Z' ? *from - 'A' + 'a' : *from;
                bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
                if (letter || (n > 0 && strchr("._-", c)))
                        ret[n++] = c;
        }
        if (n == 0)
                ret[n++] = 'c';
        ret[n] = 0;
}

/* What tells the container from others: its id, and what all its listeners' profiles have in common. The caller frees it. */
static char *make_identity(const struct taking *t) {
        char *text;

        return asprintf(&text, "%s %s %s %s", t->state.id, t->state.policy ?: "", t->state.policy_digest ?: "",
                        t->state.filter_digest ?: "") < 0
                       ? NULL
                       : text;
}

static int append_more(sd_bus_message *m, const struct taking *t, const char *identity) {
        char *const none[] = { (char *) "container", t->state.id, NULL };
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "container", "s", identity, "policy", "s", t->policy->name,
                                          "kill-on-broker-loss", "b", (int) plan_kills_on_broker_loss(t->plan), "wait-killable", "b",
                                          (int) true, "record", "u", (unsigned) plan_audit(t->plan), "time", "t", plan_time_usec(t->plan));
        if (r >= 0 && t->user >= 0)
                r = sd_bus_message_append(m, "{sv}", "user", "h", t->user);
        if (r >= 0)
                r = control_append_list(m, "command", t->state.n_labels ? t->state.labels : none);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int adopt(struct taking *t, int plan) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_free_ char *identity = make_identity(t);
        char name[NAME_SIZE];

        make_name(t, name);
        int r = !identity ? -ENOMEM : sd_bus_message_new_method_call(t->bus, &m, NULL, CONTROL_PATH, CONTROL_MANAGER, "AdoptInPlace");

        if (r >= 0)
                r = sd_bus_message_append(m, "shhhh", name, plan, t->pidfd, t->listener, t->root);
        if (r >= 0)
                r = append_more(m, t, identity);
        if (r >= 0)
                r = sd_bus_call(t->bus, m, 0, &error, &reply);
        if (r < 0)
                r = wrong(t, r, "%s", error.message ?: strerror(-r));
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r;
}

static int hand_over(struct taking *t) {
        _cleanup_(strbuf_done) struct strbuf text = {};
        int r = plan_save(t->plan, &text);
        _cleanup_close_ int plan = r < 0 ? r : fd_memfd("sandboxd-plan", text.text, text.length);

        return plan < 0 ? wrong(t, plan, "its policy can't be handed over: %s", strerror(-plan)) : adopt(t, plan);
}

/* ---- joining ---- */

/* What each process of a container has in common with its first one as long as that hasn't left it. */
static int check_namespaces(struct taking *t, pid_t init) {
        static const char *const names[] = { "user", "mnt", "pid", "net", "ipc", "uts" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r = sys_same_namespace(init, t->pid, names[i]);
                if (r < 0)
                        return wrong(t, r, "its namespaces can't be compared with the container's: %s", strerror(-r));
                if (r == 0)
                        return wrong(t, -EPERM, "it is in another namespace (%s) than the container's first process", names[i]);
        }
        return 0;
}

/* The container's, as it was when its first process had executed nothing yet. A file system that doesn't answer is not asked. */
static int check_root(struct taking *t, int root) {
        const unsigned mask = STATX_INO | STATX_MNT_ID, flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
        struct statx theirs, own;

        if (statx(root, "", flags, mask, &theirs) < 0 || statx(t->root, "", flags, mask, &own) < 0)
                return wrong(t, -errno, "its root can't be compared with the container's: %s", strerror(errno));
        bool same = theirs.stx_ino == own.stx_ino && theirs.stx_mnt_id == own.stx_mnt_id && theirs.stx_dev_major == own.stx_dev_major &&
                    theirs.stx_dev_minor == own.stx_dev_minor;
        return same ? 0 : wrong(t, -EPERM, "its root is another one than the container's");
}

static int check_same(struct taking *t, const char *container, int init_pidfd, int root) {
        struct pollfd init = { .fd = init_pidfd, .events = POLLIN };
        _cleanup_free_ char *identity = make_identity(t);
        pid_t pid = pidfd_pid(init_pidfd);

        if (!identity || !str_equal(identity, container))
                return wrong(t, -EPERM, "the sandbox of this name is of another container, or its profile names another policy");
        int r = check_root(t, root);
        if (r >= 0)
                r = check_namespaces(t, pid);
        if (r < 0)
                return r;
        /* It was all of one process. */
        if (pid == 0 || poll(&init, 1, 0) != 0)
                return wrong(t, -ESRCH, "the container's first process has ended");
        return is_gone(t) ? wrong(t, -ESRCH, "it has died") : 0;
}

static int join(struct taking *t) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        sd_bus_message *reply = NULL;
        const char *container;
        char name[NAME_SIZE];
        int init, root;

        make_name(t, name);
        int r = control_object_of(geteuid(), name, &object);
        if (r >= 0)
                r = sd_bus_call_method(t->bus, NULL, object, CONTROL_SANDBOX, "Container", &error, &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "shh", &container, &init, &root);
        if (r >= 0)
                r = check_same(t, container, init, root);
        if (r >= 0)
                r = sd_bus_call_method(t->bus, NULL, object, CONTROL_SANDBOX, "Join", &error, NULL, "h", t->listener);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                r = wrong(t, r, "sandboxd has no sandbox of that container");
        else if (r < 0 && !t->why)
                r = wrong(t, r, "%s", error.message ?: strerror(-r));
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r;
}

/* As ourselves, before we are somebody in the container's user namespace. */
static int connect_bus(struct taking *t) {
        _cleanup_free_ char *version = NULL;
        int r = sd_bus_new(&t->bus);

        if (r >= 0)
                r = sd_bus_set_fd(t->bus, AGENT_BUS, AGENT_BUS);
        if (r >= 0)
                r = sd_bus_negotiate_fds(t->bus, true);
        if (r >= 0)
                r = sd_bus_start(t->bus);
        if (r >= 0)
                r = sd_bus_get_property_string(t->bus, NULL, CONTROL_PATH, CONTROL_MANAGER, "Version", NULL, &version);
        return r < 0 ? wrong(t, r, "the daemon doesn't answer: %s", strerror(-r)) : 0;
}

static int take(struct taking *t) {
        socklen_t size = sizeof(t->peer);
        int r;

        if (getsockopt(AGENT_CONNECTION, SOL_SOCKET, SO_PEERCRED, &t->peer, &size) < 0)
                return wrong(t, -errno, "%s", strerror(errno));
        r = container_state_read(AGENT_CONNECTION, &t->state, t->fds, &t->n_fds, &t->why);
        if (r < 0)
                return r;
        keep_listener(t);
        if ((r = look_at(t)) < 0 || (r = check_killable(t)) < 0 || (r = check_program(t)) < 0 || (r = connect_bus(t)) < 0)
                return r;
        if (t->state.exec)
                return join(t);
        if ((r = load_policy(t)) < 0 || (r = enter(t)) < 0 || (r = compile(t)) < 0 || (r = check_profile(t)) < 0)
                return r;
        return hand_over(t);
}

int container_main(int argc, char **argv) {
        struct taking t = { .listener = -1, .pidfd = -1, .root = -1, .user = -1 };
        char name[NAME_SIZE] = "";

        if (argc < 2 || argc > 3 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return 1;
        (void) close_range(AGENT_BUS + 1, ~0U, 0);
        t.config = argv[2];
        alarm(ALARM_SECONDS);
        int r = take(&t);
        if (r >= 0 || r == -ENODATA)
                return 0;
        if (t.state.id)
                make_name(&t, name);
        log_record(LOG_ERR, MESSAGE_REFUSED, name[0] ? name : NULL, "%s is not started: %s",
                   t.state.exec ? "an exec in the container" : "the container", t.why ?: strerror(-r));
        /* Before the listener is closed: no call of it is ever answered. */
        if (t.pidfd >= 0)
                (void) sys_pidfd_send_signal(t.pidfd, SIGKILL);
        return 1;
}
