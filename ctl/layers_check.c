/*
 * What has to be so before a folder may hold layers.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layers.h"
#include "message.h"
#include "path.h"
#include "str.h"

int layers_refuse(const struct layers *layers, int r, const char *format, ...) {
        _cleanup_free_ char *path = str_escape(layers->path), *text = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        va_end(args);
        message_fail("the layers' folder %s %s", path ?: "", text ?: "can't be used");
        return r;
}

int layers_check_owner(const struct layers *layers) {
        struct stat st;

        if (fstat(layers->directory, &st) < 0)
                return layers_refuse(layers, -errno, "can't be looked at: %s", strerror(errno));
        if (st.st_uid != geteuid())
                return layers_refuse(layers, -EPERM, "belongs to another user (uid %u); use one of your own", st.st_uid);
        if (st.st_mode & 022)
                return layers_refuse(layers, -EPERM, "can be written by others; take that right away (chmod go-w), if nobody has used it");
        return 0;
}

/* Whether the kernel can use it: overlayfs needs attributes, and nodes that mark what was removed. */
int layers_check_file_system(const struct layers *layers) {
        struct statfs fs;

        if (fstatfs(layers->directory, &fs) < 0)
                return layers_refuse(layers, -errno, "can't be looked at: %s", strerror(errno));
        if (fs.f_type == OVERLAYFS_SUPER_MAGIC || fs.f_type == NFS_SUPER_MAGIC)
                return layers_refuse(layers, -EOPNOTSUPP,
                                     "lies on %s, which can't hold layers; choose a place on ext4, xfs, btrfs or tmpfs",
                                     fs.f_type == NFS_SUPER_MAGIC ? "NFS" : "an overlay (as in a container)");
        if (fsetxattr(layers->directory, "user.overlay.probe", "", 0, 0) < 0)
                return layers_refuse(layers, -errno,
                                     "lies on a file system without user attributes, which layers need (%s); choose another place",
                                     strerror(errno));
        (void) fremovexattr(layers->directory, "user.overlay.probe");
        (void) unlinkat(layers->directory, "probe", 0);
        if (mknodat(layers->directory, "probe", S_IFCHR, 0) < 0)
                return layers_refuse(layers, -errno, "lies on a file system that can't mark what was removed (%s); choose another place",
                                     strerror(errno));
        (void) unlinkat(layers->directory, "probe", 0);
        return 0;
}

/* The kernel refuses a layer above a directory on which others are mounted, and says no more than EINVAL. */
int layers_check_mounts(const char *source) {
        _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
        _cleanup_free_ char *line = NULL;
        size_t room = 0;

        while (f && getline(&line, &room, f) > 0) {
                char point[4097];
                if (sscanf(line, "%*s %*s %*s %*s %4096s", point) != 1)
                        continue;
                /* Blanks are written \040 and the like: enough to compare those that have none. */
                if (!path_covers(source, point) || str_equal(point, source))
                        continue;
                _cleanup_free_ char *path = str_escape(source), *mounted = str_escape(point);
                message_fail(
                        "there can be no layer above %s, because another file system is mounted below it, on %s; unmount that, or name "
                        "directories beside it",
                        path, mounted);
                return -EINVAL;
        }
        return 0;
}

/* What keeps the changes must not be changed from inside, nor be part of what is shown. */
int layers_check_place(const struct layers *layers, const struct plan *plan) {
        _cleanup_free_ char *place = str_escape(layers->path);
        struct match match = plan_match(plan, layers->path);

        for (size_t i = 0; i < plan->n_nodes; i++) {
                const struct node *node = &plan->nodes[i];
                bool whole = plan->files_brokered && str_equal(node->path, "/");
                bool written = node->kind == NODE_BIND && !whole && (node->rights & (RIGHT_WRITE | RIGHT_APPEND));
                if (node->kind != NODE_OVERLAY && !written)
                        continue;
                if (!path_covers(node->source, layers->path) && !(node->kind == NODE_OVERLAY && path_covers(layers->path, node->source)))
                        continue;
                _cleanup_free_ char *source = str_escape(node->source);
                message_fail("the layers' folder %s and %s, which can be changed inside, may not lie in one another; name another folder",
                             place, source);
                return -EINVAL;
        }
        if (plan->files_brokered && match.state == MATCH_GRANTED && !match.own && (match.rights & (RIGHT_WRITE | RIGHT_APPEND))) {
                message_fail("the layers' folder %s can be changed inside (a rule names it, or what it lies in); name another folder",
                             place);
                return -EINVAL;
        }
        return 0;
}
