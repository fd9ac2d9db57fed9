/*
 * Overlays: a directory of the host with a layer above it.
 *
 * All layers of a sandbox lie in one folder, number by number in the order of the plan's nodes: N/upper, N/work. The folder is on a tmpfs
 * that goes away with the sandbox, or the host's. While the view is put together it is mounted on scratch/layers, and never below the new
 * root: nothing inside reaches a layer but through its overlay.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"
#include "view.h"
#include "view_mount.h"

#define LAYER_SIZE (UINT64_C(512) << 20) /* on a tmpfs, for each */

static size_t n_overlays(const struct plan *plan) {
        size_t n = 0;

        for (size_t i = 0; i < plan->n_nodes; i++)
                n += plan->nodes[i].kind == NODE_OVERLAY;
        return n;
}

/* The host's folder, found again in this mount namespace: a mount of another one can't be copied. */
static int host_layers(const struct view *v) {
        struct stat st, known;
        _cleanup_close_ int mount = view_mount_copy(v->old_root, v->layers->path + strspn(v->layers->path, "/"),
                                                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

        if (mount < 0)
                return mount;
        if (fstat(mount, &st) < 0 || fstat(v->layers->directory, &known) < 0)
                return -errno;
        return st.st_dev == known.st_dev && st.st_ino == known.st_ino ? TAKE_FD(mount) : -ESTALE;
}

/* An overlay keeps what it can't say by names and modes (a directory that hides what is below it) in attributes: before Linux 6.6 a tmpfs
 * has none that an ordinary user may set, and a directory removed and made again would show its old contents. */
static int check_attributes(const struct view *v, int layers) {
        if (fsetxattr(layers, "user.overlay.probe", "", 0, 0) >= 0) {
                (void) fremovexattr(layers, "user.overlay.probe");
                return 0;
        }
        int r = -errno;
        if (r == -EOPNOTSUPP || r == -EPERM)
                snprintf(v->what, 256,
                         "layers in memory need user attributes on tmpfs (Linux 6.6); keep them in a folder: --overlay keep=DIR");
        return r;
}

int view_layers_open(struct view *v) {
        size_t n = n_overlays(v->plan);

        if (n == 0)
                return 0;
        snprintf(v->what, 256, "%.255s", v->layers->path ?: "a tmpfs for layers");
        _cleanup_close_ int mount =
                v->layers->path ? host_layers(v) : view_tmpfs(v, n * LAYER_SIZE, "0700", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        if (mount < 0)
                return mount;
        v->layers->fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (v->layers->fd < 0)
                return -errno;
        int r = check_attributes(v, v->layers->fd);
        if (r < 0)
                return r;
        if (mkdirat(v->scratch, "layers", 0700) < 0)
                return -errno;
        return move_mount(mount, "", v->scratch, "layers", MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static bool carried_over(const char *name) {
        return str_equal(name, "system.posix_acl_access") || str_equal(name, "system.posix_acl_default") ||
               (str_starts(name, "user.") && !str_starts(name, "user.overlay."));
}

static int copy_attributes(int from, int to) {
        char names[4096], value[4096];
        ssize_t size = flistxattr(from, names, sizeof(names));

        if (size < 0)
                return errno == EOPNOTSUPP ? 0 : -errno;
        for (const char *name = names; name < names + size; name += strlen(name) + 1) {
                ssize_t n = carried_over(name) ? fgetxattr(from, name, value, sizeof(value)) : -1;
                if (n >= 0 && fsetxattr(to, name, value, n, 0) < 0 && errno != EOPNOTSUPP)
                        return -errno;
        }
        return 0;
}

/* The top of a layer is what the overlay shows as its top: it gets what the directory below has. An owner who doesn't exist inside can't be
 * given to it: it stays the sandbox's owner's, who gets no more rights by that than everybody has below. */
static int make_top(const struct view *v, int lower, int upper) {
        struct stat st;

        if (fstat(lower, &st) < 0)
                return -errno;
        if (fchown(upper, st.st_uid, st.st_gid) < 0) {
                if (errno != EINVAL && errno != EPERM)
                        return -errno;
                unsigned rights = st.st_uid == v->uid ? (st.st_mode >> 6) & 7 : st.st_mode & 7;
                return fchmod(upper, (st.st_mode & 01077) | rights << 6) < 0 ? -errno : 0;
        }
        if (fchmod(upper, st.st_mode & 07777) < 0)
                return -errno;
        return copy_attributes(lower, upper);
}

static int make_layer(const struct view *v, const char *number, int lower) {
        if (mkdirat(v->layers->fd, number, 0700) < 0 && errno != EEXIST)
                return -errno;
        _cleanup_close_ int layer = openat(v->layers->fd, number, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (layer < 0)
                return -errno;
        if (mkdirat(layer, "work", 0700) < 0 && errno != EEXIST)
                return -errno;
        bool made = mkdirat(layer, "upper", 0700) >= 0;
        if (!made && errno != EEXIST)
                return -errno;
        /* A kept folder may have links in their place, which mount would follow. */
        _cleanup_close_ int work = openat(layer, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_close_ int upper = openat(layer, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (work < 0 || upper < 0)
                return -errno;
        return made ? make_top(v, lower, upper) : 0;
}

/* The directory below is pinned, and named as the current one: so its path needs no quoting, and can't be made a link meanwhile. */
static int mount_overlay(const struct view *v, const char *number, int lower, uint64_t attributes) {
        char upper[64], work[64];
        const char *const options[] = {
                "lowerdir", ".", "upperdir", upper, "workdir", work, "redirect_dir", "nofollow", "metacopy", "off", "index", "off", NULL,
        };
        _cleanup_close_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);

        snprintf(upper, sizeof(upper), "/layers/%s/upper", number);
        snprintf(work, sizeof(work), "/layers/%s/work", number);
        if (fs < 0 || fchdir(lower) < 0)
                return -errno;
        /* trusted.* belongs to the host's root. */
        if (fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
                return -errno;
        for (const char *const *o = options; *o; o += 2)
                if (fsconfig(fs, FSCONFIG_SET_STRING, o[0], o[1], 0) < 0)
                        return -errno;
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        int mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
        return mount < 0 ? -errno : mount;
}

int view_add_overlay(struct view *v, const struct node *node) {
        const char *source = node->source + strspn(node->source, "/");
        char number[16];

        snprintf(number, sizeof(number), "%u", v->n_layers++);
        _cleanup_close_ int lower = sys_openat2(v->old_root, *source ? source : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0,
                                                RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
        if (lower < 0)
                return -errno;
        int r = make_layer(v, number, lower);
        if (r < 0)
                return r;
        _cleanup_close_ int mount = mount_overlay(v, number, lower, view_attributes(node->rights));
        if (fchdir(v->scratch) < 0)
                return -errno;
        if (mount < 0) {
                if (mount == -EINVAL)
                        snprintf(v->what, 256, "%.150s: the kernel refuses a layer (is another file system mounted below it?)", node->path);
                return mount;
        }
        return view_attach(v, mount, node->path, true);
}

/* Where the host's folder of layers shows in what was bound, it is covered. */
int view_layers_cover(struct view *v) {
        const char *layers = v->layers->path;

        for (size_t i = 0; layers && i < v->plan->n_nodes; i++) {
                const struct node *node = &v->plan->nodes[i];
                size_t n = node->kind == NODE_BIND ? strlen(node->source) : 0;
                char inside[2 * PATH_MAX];

                if (n == 1)
                        n = 0;
                if (node->kind != NODE_BIND || strncmp(layers, node->source, n) != 0 || layers[n] != '/')
                        continue;
                snprintf(inside, sizeof(inside), "%s%s", str_equal(node->path, "/") ? "" : node->path, layers + n);
                snprintf(v->what, 256, "%.255s", inside);
                int r = view_mask(v, inside);
                if (r < 0)
                        return r;
        }
        return 0;
}
