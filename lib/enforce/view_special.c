/*
 * /proc and /dev of the view.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"
#include "view_mount.h"

#define PROC_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static int proc_read_only_entry(struct view *v, int proc, const char *path, const char *name) {
        _cleanup_close_ int mount = view_mount_copy(proc, name, PROC_ATTRIBUTES | MOUNT_ATTR_RDONLY);

        /* Not on this kernel; or a link, to be found where it points. */
        if (mount == -ENOENT || mount == -ELOOP)
                return 0;
        snprintf(v->what, 256, "%.100s/%.100s", path, name);
        if (mount < 0)
                return mount;
        return move_mount(mount, "", proc, name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int proc_protect(struct view *v, int proc, const char *path) {
        char inside[PATH_MAX];
        int r = 0;

        /* For uid 0 of the host all of procfs is read-only (see view_add_proc). */
        for (size_t i = 0; v->uid != 0 && r >= 0 && plan_proc_read_only[i]; i++)
                r = proc_read_only_entry(v, proc, path, plan_proc_read_only[i]);
        for (size_t i = 0; r >= 0 && plan_proc_masked[i]; i++) {
                snprintf(inside, sizeof(inside), "%s/%s", path, plan_proc_masked[i]);
                r = view_mask(v, inside);
                if (r < 0)
                        snprintf(v->what, 256, "%.255s", inside);
        }
        return r;
}

int view_add_proc(struct view *v, const struct node *node) {
        /* Without any capability uid 0 of the host may write to /proc/sys/kernel/core_pattern (code on the host) and the like. And all
         * entries but those of processes, /proc itself among them, are the same objects in every procfs of the host: as their owner it
         * could change their modes for everybody. What is lost is writing to one's own entry: oom_score_adj, coredump_filter, a thread's
         * name. */
        struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
        _cleanup_close_ int proc = view_mount_new("proc", NULL, PROC_ATTRIBUTES);
        int r;

        if (proc < 0) {
                if (proc == -EPERM)
                        snprintf(v->what, 256,
                                 "%.40s: the kernel refuses a new procfs where the present one is partly covered, as in most containers; "
                                 "run sandboxctl outside, or give the container an uncovered /proc (docker: --security-opt "
                                 "systempaths=unconfined)",
                                 node->path);
                return proc;
        }
        if (v->proc_ready && (r = v->proc_ready(proc, v->userdata, v->what)) < 0)
                return r;
        if (v->uid == 0 && mount_setattr(proc, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
                return -errno;
        r = view_attach(v, proc, node->path, true);
        return r < 0 ? r : proc_protect(v, proc, node->path);
}

static int dev_node(struct view *v, const char *dev, const char *name) {
        char source[PATH_MAX], inside[PATH_MAX];
        struct stat st;

        snprintf(v->what, 256, "%.100s/%.100s", dev, name);
        if (name[0] == 0 || name[0] == '/' || strstr(name, "..") || strlen(name) > NAME_MAX)
                return -EINVAL;
        snprintf(source, sizeof(source), "dev/%s", name);
        snprintf(inside, sizeof(inside), "%s/%s", dev, name);

        _cleanup_close_ int pinned =
                sys_openat2(v->old_root, source, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
        if (pinned < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(pinned, &st) < 0)
                return -errno;
        if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
                return -ENODEV;
        /* Read-only, because root of the host owns the node and needs no capability to change its mode. Opening a device for writing
         * doesn't ask the mount. */
        _cleanup_close_ int mount = view_mount_copy(v->old_root, source, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY);
        return mount < 0 ? mount : view_attach(v, mount, inside, false);
}

static int dev_pts(struct view *v, const char *path) {
        static const char *const options[] = { "ptmxmode", "0666", "mode", "0620", NULL };

        snprintf(v->what, 256, "%.200s", path);
        _cleanup_close_ int pts = view_mount_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        return pts < 0 ? pts : view_attach(v, pts, path, true);
}

int view_add_dev(struct view *v, const struct node *node) {
        static const struct {
                const char *name, *text;
        } links[] = {
                { "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
                { "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
        };
        const struct policy *policy = v->plan->policy;
        char pts[PATH_MAX];
        int r;

        _cleanup_close_ int dev = view_tmpfs(v, 1 << 20, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        if (dev < 0)
                return dev;
        if ((r = view_own(v, dev, true)) < 0 || (r = view_attach(v, dev, node->path, true)) < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(links); i++)
                if (symlinkat(links[i].text, dev, links[i].name) < 0)
                        return -errno;
        if (mkdirat(dev, "shm", 01777) < 0)
                return -errno;
        for (size_t i = 0; i < policy->n_devices; i++)
                if ((r = dev_node(v, node->path, policy->devices[i])) < 0)
                        return r;
        snprintf(pts, sizeof(pts), "%s/pts", node->path);
        return dev_pts(v, pts);
}
