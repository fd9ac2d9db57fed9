/*
 * The view is put together below a scratch file system, and then becomes the root:
 *
 *   1. a tmpfs (scratch) is mounted over the old root, which is turned into its subdirectory `old` by pivot_root. So the host's tree can be
 *      bound from, as a whole too, without what is being built showing up in it;
 *   2. the new root is mounted on scratch/new: an empty tmpfs, or a bind where the plan shows all of the host's tree;
 *   3. where the plan has overlays, what holds their layers is mounted on scratch/layers;
 *   4. the plan's nodes are mounted below it, in order. What has to be made (mount points, links) is made only on file systems that were
 *      mounted here: a name that is missing on the host is an error;
 *   5. what was made here becomes read-only, pivot_root makes scratch/new the root, and scratch is detached with the old root in it.
 *
 * The kernel hands the host's mounts to a less privileged mount namespace locked together: they can be copied, made stricter and covered,
 * but not uncovered. That is why all copies are recursive, and flags only added.
 */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"
#include "view_mount.h"

#define PRIVATE_SIZE (UINT64_C(512) << 20) /* of a tmpfs for which no size was given */

static int pivot(const char *new_root, const char *put_old) {
        return syscall(SYS_pivot_root, new_root, put_old) < 0 ? -errno : 0;
}

static uint64_t scratch_size(const struct plan *plan) {
        uint64_t size = 1 << 20;

        for (size_t i = 0; i < plan->n_nodes; i++)
                if (plan->nodes[i].kind == NODE_FILE)
                        size += (plan->nodes[i].text_size + 4095) / 4096 * 4096;
        return size;
}

static int scratch_make(struct view *v) {
        snprintf(v->what, 256, "a tmpfs to build in");
        v->old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (v->old_root < 0)
                return -errno;
        v->scratch = view_tmpfs(v, scratch_size(v->plan), "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        if (v->scratch < 0)
                return v->scratch;
        if (mkdirat(v->scratch, "old", 0700) < 0 || mkdirat(v->scratch, "new", 0755) < 0 || mkdirat(v->scratch, "mask.d", 0) < 0 ||
            mknodat(v->scratch, "mask", S_IFREG, 0) < 0)
                return -errno;

        /* Below a shared root pivot_root fails; in a namespace that has the same owner as the one before, it can still be shared. */
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return -errno;
        if (move_mount(v->scratch, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return -errno;
        if (fchdir(v->scratch) < 0)
                return -errno;
        return pivot(".", "old");
}

/* The path of a host's object, from old_root. */
static const char *host_path(const char *path) {
        path += strspn(path, "/");
        return *path ? path : ".";
}

static int root_tree(struct view *v) {
        const struct plan *plan = v->plan;

        if (plan->files_brokered)
                return view_mount_copy(v->old_root, host_path(plan->root ?: "/"), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        if (plan->n_nodes > 0 && plan->nodes[0].kind == NODE_BIND && str_equal(plan->nodes[0].path, "/"))
                return view_mount_copy(v->old_root, host_path(plan->nodes[0].source), view_attributes(plan->nodes[0].rights));

        _cleanup_close_ int mount = view_tmpfs(v, 4 << 20, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        if (mount < 0)
                return mount;
        int r = view_own(v, mount, true);
        return r < 0 ? r : TAKE_FD(mount);
}

static int root_make(struct view *v) {
        snprintf(v->what, 256, "/");
        v->root = root_tree(v);
        if (v->root < 0)
                return v->root;
        return move_mount(v->root, "", v->scratch, "new", MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int add_directory(struct view *v, const char *path) {
        int fd = view_target(v, path, true);

        fd_close(fd);
        return fd < 0 ? fd : 0;
}

static int add_link(struct view *v, const struct node *node) {
        _cleanup_free_ char *parent_path = strdup(node->path);
        struct stat st;

        if (!parent_path)
                return -ENOMEM;
        char *name = strrchr(parent_path, '/');
        if (!name || name[1] == 0)
                return -EINVAL;
        *name++ = 0;
        _cleanup_close_ int parent = view_target(v, *parent_path ? parent_path : "/", true);
        if (parent < 0)
                return parent;
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return 0; /* a bind above shows the link itself */
        if (fstat(parent, &st) < 0)
                return -errno;
        if (!view_owns(v, st.st_dev))
                return -ENOENT;
        return symlinkat(node->text, parent, name) < 0 ? -errno : 0;
}

static int add_bind(struct view *v, const struct node *node) {
        struct stat st;
        _cleanup_close_ int mount = view_mount_copy(v->old_root, host_path(node->source), view_attributes(node->rights));

        if (mount < 0)
                return mount;
        if (fstat(mount, &st) < 0)
                return -errno;
        /* Something else is there than when the plan was made. */
        if (S_ISDIR(st.st_mode) != node->directory)
                return node->directory ? -ENOTDIR : -EISDIR;
        return view_attach(v, mount, node->path, node->directory);
}

static int add_tmpfs(struct view *v, const struct node *node) {
        bool usual = str_equal(node->path, "/tmp") || str_equal(node->path, "/var/tmp") || str_equal(node->path, "/dev/shm");
        uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (node->rights & RIGHT_EXEC ? 0 : MOUNT_ATTR_NOEXEC);

        _cleanup_close_ int mount = view_tmpfs(v, node->size ?: PRIVATE_SIZE, usual ? "1777" : "0755", attributes);
        if (mount < 0)
                return mount;
        int r = view_attach(v, mount, node->path, true);
        return r < 0 ? r : view_own(v, mount, false);
}

static int add_file(struct view *v, const struct node *node) {
        char name[16];

        snprintf(name, sizeof(name), "%u", v->files++);
        _cleanup_close_ int file = openat(v->scratch, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (file < 0)
                return -errno;
        int r = fd_write_full(file, node->text, node->text_size);
        if (r < 0)
                return r;
        _cleanup_close_ int mount = view_mount_copy(v->scratch, name, view_attributes(RIGHT_READ));
        return mount < 0 ? mount : view_attach(v, mount, node->path, false);
}

static int add_node(struct view *v, const struct node *node) {
        snprintf(v->what, 256, "%.255s", node->path);
        switch (node->kind) {
        case NODE_DIR: return add_directory(v, node->path);
        case NODE_LINK: return add_link(v, node);
        case NODE_BIND: return str_equal(node->path, "/") ? 0 : add_bind(v, node);
        case NODE_TMPFS: return add_tmpfs(v, node);
        case NODE_FILE: return add_file(v, node);
        case NODE_MASK: return view_mask(v, node->path);
        case NODE_PROC: return view_add_proc(v, node);
        case NODE_DEV: return view_add_dev(v, node);
        case NODE_OVERLAY: return view_add_overlay(v, node);
        }
        return -EINVAL;
}

static int make_read_only(struct view *v) {
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

        for (size_t i = 0; i < v->n_read_only; i++)
                if (mount_setattr(v->read_only[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
                        return -errno;
        return 0;
}

static int enter(struct view *v) {
        snprintf(v->what, 256, "the new root");
        _cleanup_close_ int outer = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (outer < 0 || fchdir(v->root) < 0)
                return -errno;
        /* With the same directory for both, the old root ends up on top of the new one, and no directory is needed to hold it. */
        int r = pivot(".", ".");
        if (r < 0)
                return r;
        if (fchdir(outer) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
                return -errno;
        return 0;
}

static int view_build(struct view *v) {
        int r;

        if ((r = scratch_make(v)) < 0 || (r = view_layers_open(v)) < 0 || (r = root_make(v)) < 0)
                return r;
        for (size_t i = 0; i < v->plan->n_nodes; i++)
                if ((r = add_node(v, &v->plan->nodes[i])) < 0)
                        return r;
        if ((r = view_layers_cover(v)) < 0 || (r = make_read_only(v)) < 0)
                return r;
        return enter(v);
}

int view_enter(const struct plan *plan, uid_t uid, gid_t gid, struct view_layers *layers,
               int (*proc_ready)(int proc, void *userdata, char *what), void *userdata, char *what) {
        struct view v = {
                .plan = plan,
                .uid = uid,
                .gid = gid,
                .old_root = -1,
                .scratch = -1,
                .root = -1,
                .layers = layers,
                .proc_ready = proc_ready,
                .userdata = userdata,
                .what = what,
        };
        mode_t mask = umask(0);

        int r = view_build(&v);
        umask(mask);
        for (size_t i = 0; i < v.n_read_only; i++)
                fd_close(v.read_only[i]);
        free(v.read_only);
        free(v.own);
        fd_close(v.root);
        fd_close(v.scratch);
        fd_close(v.old_root);
        return r;
}
