#include "view_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "sys.h"

#define NO_LINKS (RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)

uint64_t view_attributes(unsigned rights) {
        uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

        if (!(rights & (RIGHT_WRITE | RIGHT_APPEND)))
                attributes |= MOUNT_ATTR_RDONLY;
        if (!(rights & RIGHT_EXEC))
                attributes |= MOUNT_ATTR_NOEXEC;
        return attributes;
}

int view_mount_new(const char *type, const char *const *options, uint64_t attributes) {
        _cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);

        if (fs < 0)
                return -errno;
        for (; options && options[0]; options += 2)
                if (fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0) < 0)
                        return -errno;
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        int mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
        return mount < 0 ? -errno : mount;
}

int view_mount_copy(int directory, const char *path, uint64_t attributes) {
        /* Pinned first, so that a link that somebody puts there meanwhile is refused (ELOOP) and not followed. */
        _cleanup_close_ int source = sys_openat2(directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NO_LINKS);
        if (source < 0)
                return -errno;

        /* Recursive, because what is mounted below may not be uncovered from within a user namespace (EINVAL). */
        _cleanup_close_ int mount = open_tree(source, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (mount < 0)
                return -errno;
        struct mount_attr attr = { .attr_set = attributes, .propagation = MS_PRIVATE };
        if (mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
                return -errno;
        return TAKE_FD(mount);
}

bool view_owns(const struct view *v, dev_t dev) {
        for (size_t i = 0; i < v->n_own; i++)
                if (v->own[i] == dev)
                        return true;
        return false;
}

int view_own(struct view *v, int mount, bool read_only) {
        struct stat st;

        if (fstat(mount, &st) < 0)
                return -errno;
        dev_t *own = realloc(v->own, (v->n_own + 1) * sizeof(*own));
        if (!own)
                return -ENOMEM;
        v->own = own;
        own[v->n_own++] = st.st_dev;
        if (!read_only)
                return 0;

        int *list = realloc(v->read_only, (v->n_read_only + 1) * sizeof(*list));
        if (!list)
                return -ENOMEM;
        v->read_only = list;
        int copy = fcntl(mount, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        list[v->n_read_only++] = copy;
        return 0;
}

/* Paths of the new tree are opened from its root by their text without the leading slash. */
static const char *below_root(const char *path) {
        path += strspn(path, "/");
        return *path ? path : ".";
}

static int target_make(struct view *v, const char *path, bool directory) {
        char parent_path[PATH_MAX];
        const char *name = strrchr(path, '/');
        struct stat st;

        if (!name || name[1] == 0 || (size_t) (name - path) >= sizeof(parent_path))
                return -ENOENT;
        memcpy(parent_path, path, name - path);
        parent_path[name - path] = 0;
        name++;

        _cleanup_close_ int parent = view_target(v, name - path == 1 ? "/" : parent_path, true);
        if (parent < 0)
                return parent;
        if (fstat(parent, &st) < 0)
                return -errno;
        if (!view_owns(v, st.st_dev))
                return -ENOENT;
        if ((directory ? mkdirat(parent, name, 0755) : mknodat(parent, name, S_IFREG | 0444, 0)) < 0)
                return -errno;
        int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int view_target(struct view *v, const char *path, bool directory) {
        int fd = sys_openat2(v->root, below_root(path), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NO_LINKS);

        if (fd >= 0)
                return fd;
        return errno == ENOENT ? target_make(v, path, directory) : -errno;
}

int view_attach(struct view *v, int mount, const char *path, bool directory) {
        _cleanup_close_ int target = view_target(v, path, directory);

        if (target < 0)
                return target;
        if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
                return -errno;
        return 0;
}

int view_tmpfs(const struct view *v, uint64_t size, const char *mode, uint64_t attributes) {
        char size_text[32], inodes[32], uid[16], gid[16];
        /* Inodes are kernel memory that `size` doesn't count: about one for every 4 KiB keeps them in proportion. */
        snprintf(inodes, sizeof(inodes), "%" PRIu64, size / 4096 + 1024);
        snprintf(size_text, sizeof(size_text), "%" PRIu64, size);
        snprintf(uid, sizeof(uid), "%u", v->uid);
        snprintf(gid, sizeof(gid), "%u", v->gid);
        const char *options[] = { "size", size_text, "nr_inodes", inodes, "mode", mode, "uid", uid, "gid", gid, NULL };

        return view_mount_new("tmpfs", options, attributes);
}

int view_mask(struct view *v, const char *path) {
        struct stat st;
        _cleanup_close_ int target = sys_openat2(v->root, below_root(path), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NO_LINKS);

        if (target < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        if (fstat(target, &st) < 0)
                return -errno;
        _cleanup_close_ int mount = view_mount_copy(v->scratch, S_ISDIR(st.st_mode) ? "mask.d" : "mask", view_attributes(0));
        if (mount < 0)
                return mount;
        if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
                return -errno;
        return 0;
}
