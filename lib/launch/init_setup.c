/*
 * What init does, as root of its own namespaces, before there is a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "start.h"
#include "str.h"
#include "view.h"

/* Joins before the cgroup namespace is made, so that the group is the root of what is seen inside. */
static int enter_cgroup(struct start *s, char *text) {
        const char *path = s->options->cgroup;

        snprintf(text, 256, "%.255s", path ?: "cgroup namespace");
        int r = path && !s->in_group ? cgroup_join(path) : 0;
        if (r < 0)
                return r;
        return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

static int set_host_name(struct start *s, char *text) {
        const char *name = s->options->plan->policy->kernel.hostname ?: s->options->name ?: "sandbox";

        snprintf(text, 256, "%.255s", name);
        return sethostname(name, strnlen(name, HOST_NAME_MAX)) < 0 ? -errno : 0;
}

static int raise_loopback(struct start *s, char *text) {
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

        if (s->options->plan->policy->network.mode != NETWORK_NONE)
                return 0;
        snprintf(text, 256, "the loopback device");
        _cleanup_close_ int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (socket_fd < 0)
                return -errno;
        return ioctl(socket_fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* Whether the kernel is of this version at least. A setting that older kernels have for the whole host must never be written there, and
 * uid 0 of the host may, without a capability. */
static bool kernel_since(unsigned major, unsigned minor) {
        struct utsname name;
        unsigned a, b;

        return uname(&name) >= 0 && sscanf(name.release, "%u.%u", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

static int sysctl_write(int proc, const char *path, const char *value) {
        _cleanup_close_ int fd = openat(proc, path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fd_write_full(fd, value, strlen(value));
}

/* Settings that belong to the new namespaces, through a procfs of theirs: inside, /proc/sys is read-only. */
static int set_sysctls(int proc, void *userdata, char *text) {
        const struct start *s = userdata;
        const struct policy *policy = s->options->plan->policy;
        char number[32];

        /* What is executed has to be a file that a rule names: a memfd is none. Each pid namespace has had this setting from the start
         * (6.3), but only root of the host may write it. */
        if (kernel_since(6, 3))
                (void) sysctl_write(proc, "sys/vm/memfd_noexec", "2");
        /* The loopback is the sandbox's own, and so are all its ports. */
        if (policy->network.mode == NETWORK_NONE)
                (void) sysctl_write(proc, "sys/net/ipv4/ip_unprivileged_port_start", "0");
        /* Pids up to 300 are given out once only, at the start; so this many are left for good. */
        if (policy->limits.processes == 0 || s->group_processes || !kernel_since(6, 14))
                return 0;
        snprintf(text, 256, "limits: processes");
        snprintf(number, sizeof(number), "%" PRIu64, policy->limits.processes + 300);
        int r = sysctl_write(proc, "sys/kernel/pid_max", number);
        /* EINVAL: the bound of the namespace around is lower than what is asked for. */
        return r == -EINVAL ? 0 : r;
}

static bool has_proc(const struct plan *plan) {
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (plan->nodes[i].kind == NODE_PROC)
                        return true;
        return false;
}

/* The view's own procfs serves where there is one, since to let go of a mount that was never attached takes an RCU grace period. */
static int set_sysctls_unseen(struct start *s, char *text) {
        if (has_proc(s->options->plan))
                return 0;
        snprintf(text, 256, "a procfs of the sandbox's own");
        _cleanup_close_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
        if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        _cleanup_close_ int proc = fsmount(fs, FSMOUNT_CLOEXEC, 0);
        return proc < 0 ? -errno : set_sysctls(proc, s, text);
}

static int make_view(struct start *s, char *text) {
        s->layers = (struct view_layers) { .path = s->options->layers_path, .directory = s->options->layers, .fd = -1 };
        return view_enter(s->options->plan, s->options->uid, s->options->gid, &s->layers, set_sysctls, s, text);
}

/* The node that a path lies on: the last one that is made at it or above. */
static const struct node *node_of(const struct plan *plan, const char *path) {
        const struct node *found = NULL;

        for (size_t i = 0; i < plan->n_nodes; i++) {
                size_t length = strlen(plan->nodes[i].path);
                if (strncmp(path, plan->nodes[i].path, length) == 0 &&
                    (path[length] == 0 || path[length] == '/' || str_equal(plan->nodes[i].path, "/")) &&
                    (!found || length >= strlen(found->path)))
                        found = &plan->nodes[i];
        }
        return found;
}

static int make_directory(const struct plan *plan, const char *path) {
        char prefix[PATH_MAX];
        size_t length = strlen(path);

        if (length >= sizeof(prefix))
                return -ENAMETOOLONG;
        for (size_t i = 1; i <= length; i++) {
                if (path[i] != '/' && path[i] != 0)
                        continue;
                memcpy(prefix, path, i);
                prefix[i] = 0;
                /* Never on a file system of the host's. */
                const struct node *node = node_of(plan, prefix);
                if (node && node->kind == NODE_TMPFS && mkdir(prefix, 0700) < 0 && errno != EEXIST)
                        return -errno;
        }
        return 0;
}

static int make_directories(struct start *s, char *text) {
        const struct launch_options *o = s->options;

        for (size_t i = 0; i < o->n_directories; i++) {
                snprintf(text, 256, "%.255s", o->directories[i]);
                int r = make_directory(o->plan, o->directories[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

const struct init_step init_steps[] = {
        { "control group", enter_cgroup },  { "host name", set_host_name }, { "loopback", raise_loopback },
        { "settings", set_sysctls_unseen }, { "view", make_view },          { "directories", make_directories },
};
const size_t n_init_steps = ELEMENTSOF(init_steps);

/* Whether a file system is one that ends with the sandbox. */
static bool in_memory(const struct launch_options *options, const struct node *node) {
        return node->kind == NODE_TMPFS || (node->kind == NODE_OVERLAY && !options->layers_path);
}

void init_find_full(const struct launch_options *options, char *text) {
        const struct plan *plan = options->plan;
        struct statvfs st;

        text[0] = 0;
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (in_memory(options, &plan->nodes[i]) && statvfs(plan->nodes[i].path, &st) >= 0 &&
                    (st.f_bavail == 0 || st.f_ffree == 0)) {
                        snprintf(text, 256, "%.255s", plan->nodes[i].path);
                        return;
                }
}
