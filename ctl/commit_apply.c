/*
 * One change, applied.
 *
 * Whoever made the layer may be an attacker, and so may be others who can write to the directory: what lies on the way to a name may become a
 * link at any moment, and the name another object. So a parent is opened without following anything (open_below), everything else is done by
 * name in that one directory, and what was there is taken away by a rename and looked at then: if it isn't what was compared, it goes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "commit.h"
#include "fd.h"
#include "str.h"

static const char changed[] = "it was changed there meanwhile";

/* The directory that a path lies in, and its last component. */
static int open_parent(int top, const char *path, const char **ret_name) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = slash ? strndup(path, slash - path) : strdup("");

        if (!parent)
                return -ENOMEM;
        int fd = open_below(top, parent, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return -errno;
        *ret_name = slash ? slash + 1 : path;
        return fd;
}

/* A rename changes ctime, and nothing else that counts here. */
static bool same_object(const struct stat *a, const struct stat *b) {
        return a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int remove_tree(int parent, const char *name) {
        _cleanup_(names_done) struct names names = {};

        if (unlinkat(parent, name, 0) >= 0)
                return 0;
        if (errno != EISDIR)
                return -errno;
        _cleanup_close_ int directory = open_below(parent, name, O_RDONLY | O_DIRECTORY);
        if (directory < 0)
                return -errno;
        int r = names_read(directory, &names);
        for (size_t i = 0; i < names.n && r >= 0; i++)
                r = remove_tree(directory, names.list[i]);
        if (r < 0)
                return r;
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Moves a name to a free one. Where the file system can't do both at once (EINVAL), a name that comes up in between is lost. */
static int move_aside(int parent, const char *from, const char *to) {
        struct stat st;

        if (renameat2(parent, from, parent, to, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL)
                return -errno;
        if (fstatat(parent, to, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return -EEXIST;
        return renameat(parent, from, parent, to) < 0 ? -errno : 0;
}

static int check_taken(int parent, const char *name, struct change *change) {
        struct stat st;

        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (same_object(&st, &change->lower))
                return 0;
        change->left_out = changed;
        return -ESTALE;
}

/* Removes the object of this name if it still is the one that was compared. */
static int take_away(int parent, const char *name, struct change *change) {
        char temporary[COMMIT_NAME];

        commit_temporary_name(temporary);
        int r = move_aside(parent, name, temporary);
        if (r < 0)
                return r;
        r = check_taken(parent, temporary, change);
        if (r >= 0)
                r = remove_tree(parent, temporary);
        /* What is left of a directory that can't be removed as a whole keeps its name. */
        if (r < 0)
                (void) move_aside(parent, temporary, name);
        return r;
}

static int replace(int parent, const char *temporary, const char *name, struct change *change) {
        int r;

        if (renameat2(parent, temporary, parent, name, RENAME_EXCHANGE) < 0) {
                if (errno != EINVAL || S_ISDIR(change->lower.st_mode) || S_ISDIR(change->upper.st_mode))
                        return -errno;
                /* The file system has no exchange: what changes from here on is lost. */
                r = check_taken(parent, name, change);
                return r < 0 ? r : renameat(parent, temporary, parent, name) < 0 ? -errno : 0;
        }
        r = check_taken(parent, temporary, change);
        if (r >= 0)
                r = remove_tree(parent, temporary);
        if (r < 0)
                (void) renameat2(parent, temporary, parent, name, RENAME_EXCHANGE);
        return r;
}

/* Gives what was made its name. */
static int put_in_place(int parent, const char *temporary, const char *name, struct change *change) {
        if (change->lower.st_mode)
                return replace(parent, temporary, name, change);
        int r = move_aside(parent, temporary, name);
        if (r == -EEXIST)
                change->left_out = "something of this name was made there meanwhile";
        return r;
}

static int make(int upper, int parent, const char *name, struct change *change) {
        char temporary[COMMIT_NAME];
        int r;

        commit_temporary_name(temporary);
        if (S_ISREG(change->upper.st_mode))
                r = commit_copy_file(upper, parent, temporary);
        else if (S_ISLNK(change->upper.st_mode))
                r = commit_copy_link(upper, parent, temporary);
        else
                r = mkdirat(parent, temporary, 0700) < 0 ? -errno : 0;
        if (r < 0)
                return r;
        r = put_in_place(parent, temporary, name, change);
        if (r < 0)
                (void) unlinkat(parent, temporary, S_ISDIR(change->upper.st_mode) ? AT_REMOVEDIR : 0);
        return r;
}

/* The object of the layer, if it is still the one that was judged: nobody else should change it, but somebody may. */
static int pin_upper(const struct layer *layer, const struct change *change) {
        _cleanup_close_ int upper = open_below(layer->upper, change->path, O_PATH);
        struct stat st;

        if (upper < 0 || fstat(upper, &st) < 0)
                return -errno;
        if (!same_object(&st, &change->upper) || compare_refused(upper, &st, change->path[0] == 0))
                return -ESTALE;
        return TAKE_FD(upper);
}

static int apply(const struct layers *layers, const struct layer *layer, struct change *change) {
        const char *name;

        if (S_ISDIR(change->lower.st_mode)) {
                int r = changes_judge_again(layers, change);
                if (r < 0 || change->left_out)
                        return r < 0 ? r : -ESTALE;
        }
        _cleanup_close_ int parent = open_parent(layer->lower, change->path, &name);
        if (parent < 0)
                return parent;
        if (change->kind == CHANGE_DELETED)
                return take_away(parent, name, change);
        _cleanup_close_ int upper = pin_upper(layer, change);
        return upper < 0 ? upper : make(upper, parent, name, change);
}

static void conclude(struct change *change, int r) {
        change->applied = r >= 0;
        if (r >= 0 || change->left_out)
                return;
        change->left_out = r == -ELOOP || r == -ENOTDIR ? "a symbolic link stands in its way"
                           : r == -EXDEV                ? "another file system is mounted there"
                           : r == -EBUSY                ? "something is mounted there"
                           : r == -EINVAL               ? "the file system there can't put a directory in its place at once"
                                                        : strerrordesc_np(-r);
}

static bool stays_directory(const struct change *change) {
        return S_ISDIR(change->upper.st_mode) && S_ISDIR(change->lower.st_mode);
}

void commit_apply(const struct layers *layers, struct change *change) {
        const struct layer *layer = &layers->list[change->layer];

        /* A directory that is there already only gets its mode and the like, at the end. */
        if (change->kind != CHANGE_DELETED && stays_directory(change)) {
                change->applied = true;
                return;
        }
        conclude(change, apply(layers, layer, change));
}

void commit_finish_directory(const struct layer *layer, struct change *change) {
        _cleanup_close_ int upper = pin_upper(layer, change), to = -1;
        int r = upper < 0 ? upper : 0;

        if (r >= 0 && (to = open_below(layer->lower, change->path, O_RDONLY | O_DIRECTORY)) < 0)
                r = -errno;
        if (r >= 0)
                r = commit_copy_attributes(upper, to, !stays_directory(change));
        conclude(change, r);
}

void commit_take_out(const struct layer *layer, const struct change *change) {
        const char *name;
        int flags = S_ISDIR(change->upper.st_mode) ? AT_REMOVEDIR : 0;
        struct stat st;

        if (!change->in_upper || change->path[0] == 0)
                return;
        _cleanup_close_ int parent = open_parent(layer->upper, change->path, &name);
        if (parent < 0 || unlinkat(parent, name, flags) >= 0 || errno != EACCES)
                return;
        /* A directory that may not be written is ours all the same. */
        if (fstat(parent, &st) >= 0 && fchmod(parent, (st.st_mode & 07777) | 0700) >= 0) {
                (void) unlinkat(parent, name, flags);
                (void) fchmod(parent, st.st_mode & 07777);
        }
}

/* ---- Opaque directories ---- */

static int unhide_name(int upper, int lower, const char *name, bool above) {
        struct stat st, under;

        if (!above)
                return mknodat(upper, name, S_IFCHR, 0) < 0 ? -errno : 0;
        if (fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
            fstatat(lower, name, &under, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(under.st_mode))
                return 0;
        _cleanup_close_ int directory = open_below(upper, name, O_RDONLY | O_DIRECTORY);
        return directory < 0 || fsetxattr(directory, "user.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

static int unhide_names(int upper, int lower, const struct names *above) {
        _cleanup_(names_done) struct names below = {};
        struct stat st;
        int r = names_read(lower, &below);

        if (r < 0 || fstat(upper, &st) < 0)
                return r < 0 ? r : -errno;
        /* A directory that may not be written is ours all the same. */
        bool closed = (st.st_mode & 0700) != 0700 && fchmod(upper, (st.st_mode & 07777) | 0700) >= 0;
        for (size_t i = 0; i < below.n && r >= 0; i++)
                r = unhide_name(upper, lower, below.list[i], names_have(above, below.list[i]));
        if (r >= 0 && fremovexattr(upper, "user.overlay.opaque") < 0)
                r = -errno;
        if (closed)
                (void) fchmod(upper, st.st_mode & 07777);
        return r;
}

static int unhide(const struct layer *layer, const char *path) {
        _cleanup_(names_done) struct names names = {};
        int upper = open_below(layer->upper, path, O_RDONLY | O_DIRECTORY);
        int lower = upper < 0 ? -1 : open_below(layer->lower, path, O_RDONLY | O_DIRECTORY);
        int r = upper < 0 || lower < 0 ? 0 : names_read(upper, &names);

        if (r >= 0 && lower >= 0 && compare_opaque(upper))
                r = unhide_names(upper, lower, &names);
        fd_close(upper);
        fd_close(lower);
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                _cleanup_free_ char *name = path_join(path, names.list[i]);
                r = name ? unhide(layer, name) : -ENOMEM;
        }
        /* One that can't be changed stays as it is, and is left out. */
        return r == -ENOMEM ? r : 0;
}

int commit_unhide(const struct layers *layers) {
        int r = 0;

        for (size_t i = 0; i < layers->n && r >= 0; i++)
                if (layers->list[i].upper >= 0)
                        r = unhide(&layers->list[i], "");
        return r;
}
