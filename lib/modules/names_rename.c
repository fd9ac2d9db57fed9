/*
 * rename, renameat and renameat2.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "names.h"

struct renaming {
        int old_dirfd, new_dirfd;
        uint64_t old_path, new_path;
        unsigned flags;
};

/* Does `path` lie below `directory`? */
static bool below(const char *path, const char *directory) {
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* What do_renameat2() finds before it asks for permission, of two names of which the first is there; 0: nothing. */
static int find_error(const struct pin *old, const struct pin *new, unsigned flags) {
        if ((flags & RENAME_NOREPLACE) && new->fd >= 0)
                return EEXIST;
        if ((flags & RENAME_EXCHANGE) && name_has_slash(new) && !name_is_directory(new))
                return ENOTDIR;
        if (!name_is_directory(old) && (name_has_slash(old) || (!(flags & RENAME_EXCHANGE) && name_has_slash(new))))
                return ENOTDIR;
        if (below(new->path, old->path))
                return EINVAL;
        if (below(old->path, new->path))
                return flags & RENAME_EXCHANGE ? EINVAL : ENOTEMPTY;
        return 0;
}

/* What lies below a directory goes along with it, and must not come under rules that give more. mv(1) copies then, as between two file systems,
 * and each copy is held to the rules. */
static bool carries_along(struct call *call, const struct pin *from, const struct pin *to) {
        if (!name_is_directory(from) || plan_same_below(call->plan, from->path, to->path))
                return false;
        name_subject(call, from);
        call->why = "what lies below it would come under other rules";
        return true;
}

/* Whether the rules allow it; else the verdict. */
static bool decide(struct call *call, const struct pin *old, const struct pin *new, unsigned flags, struct verdict *ret_verdict) {
        if (name_is_absent(old)) {
                *ret_verdict = name_absent(call, old);
                return false;
        }
        if (name_is_absent(new) && (new->outside || (flags & RENAME_EXCHANGE))) {
                *ret_verdict = name_absent(call, new);
                return false;
        }
        bool refused = !name_writable(old) || !name_writable(new);
        bool same = strcmp(old->path, new->path) == 0;
        int error = find_error(old, new, flags);
        if (refused)
                *ret_verdict = error ? verdict_error(error) : name_refuse(call, name_writable(old) ? new : old);
        else if (!same && !error && (carries_along(call, old, new) || ((flags & RENAME_EXCHANGE) && carries_along(call, new, old))))
                *ret_verdict = verdict_deny(EXDEV);
        else
                return true;
        return false;
}

/* One of them is mounted on. As whoever calls. */
static int refuse_busy(const struct pin *old, const struct pin *new, unsigned flags, bool old_mounted) {
        int r = name_refuse_mounted(old_mounted ? old : new);

        if (r != -EBUSY || new->fd < 0 || (flags & RENAME_EXCHANGE) || name_is_directory(old) == name_is_directory(new))
                return r;
        return name_is_directory(old) ? -ENOTDIR : -EISDIR;
}

static int rename_pinned(struct call *call, const struct pin *old, const struct pin *new, unsigned flags) {
        int old_mounted = name_is_mounted_on(old), new_mounted = name_is_mounted_on(new), r;

        if (old_mounted < 0 || new_mounted < 0)
                return old_mounted < 0 ? old_mounted : new_mounted;
        if (old_mounted || new_mounted) {
                /* A name that is renamed to itself stays what it is, even where it is busy. */
                r = find_error(old, new, flags);
                if (r == 0 && strcmp(old->path, new->path) == 0)
                        return 0;
                if (r)
                        return -r;
        }
        r = target_act_ids(call);
        if (r < 0)
                return r;
        if (old_mounted || new_mounted)
                r = refuse_busy(old, new, flags, old_mounted);
        else
                r = act_renameat(call, old->parent, old->name, new->parent, new->name, flags);
        target_act_done(call);
        return r;
}

/* As the kernel's order is: whether a name is too long shows only when it is looked up, after what the two directories and `.` or `..` as a
 * name give; in a directory that is gone it isn't looked up at all. False: nothing of the kind. */
static bool find_long(struct call *call, const struct pin *old, const struct pin *new, unsigned flags, bool old_long, bool new_long,
                      struct verdict *ret_verdict) {
        if (!old_long && !new_long)
                return false;
        if (old->special || new->special)
                *ret_verdict = verdict_error(!old->special && (flags & RENAME_NOREPLACE) ? EEXIST : EBUSY);
        else if ((!old_long || old->outside) && name_is_absent(old))
                *ret_verdict = name_absent(call, old);
        else if (!old_long && new->outside)
                *ret_verdict = name_absent(call, new);
        else
                *ret_verdict = verdict_error(ENAMETOOLONG);
        return true;
}

/* Resolves one of the names. False: the verdict is there. */
static bool resolve_one(struct call *call, int dirfd, uint64_t path, struct pin *pin, bool *ret_long, struct verdict *ret_verdict) {
        int r = name_resolve(call, dirfd, path, pin);

        *ret_long = pin->parent >= 0 && (r == -ENAMETOOLONG || (r >= 0 && !pin->special && !pin->name[0]));
        if (r >= 0 || *ret_long)
                return true;
        *ret_verdict = files_failed(call, pin, r, false);
        return false;
}

/* False: it is to be done again, alone. */
static bool try_rename(struct call *call, const struct renaming *n, bool alone, struct verdict *ret_verdict) {
        _cleanup_(pin_done) struct pin old = PIN_INIT, new = PIN_INIT;
        _cleanup_(names_unlockp) struct call *held = names_lock(call, alone);
        bool old_long, new_long;
        int r;

        if (!resolve_one(call, n->old_dirfd, n->old_path, &old, &old_long, ret_verdict) ||
            !resolve_one(call, n->new_dirfd, n->new_path, &new, &new_long, ret_verdict))
                return true;
        r = name_same_mount(old.parent, new.parent);
        if (r <= 0) {
                *ret_verdict = verdict_error(r < 0 ? r : EXDEV);
                return true;
        }
        if (find_long(call, &old, &new, n->flags, old_long, new_long, ret_verdict))
                return true;
        if (!old.special && !new.special) {
                if (!decide(call, &old, &new, n->flags, ret_verdict))
                        return true;
                /* By the paths, not by what was found there: by now the names can be a directory's. */
                if (!alone && !(plan_same_below(call->plan, old.path, new.path) && plan_same_below(call->plan, new.path, old.path)))
                        return false;
        }
        r = rename_pinned(call, &old, &new, n->flags);
        *ret_verdict = r < 0 ? verdict_from(r) : verdict_value(0);
        return true;
}

static struct verdict do_rename(struct call *call, const struct renaming *n) {
        struct verdict verdict;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        if ((n->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
            ((n->flags & RENAME_EXCHANGE) && (n->flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))))
                return verdict_error(EINVAL);
        if (!try_rename(call, n, false, &verdict))
                (void) try_rename(call, n, true, &verdict);
        return verdict;
}

struct verdict handle_rename(struct call *call) {
        return do_rename(call, &(struct renaming) { AT_FDCWD, AT_FDCWD, CALL_ARG(call, 0), CALL_ARG(call, 1), 0 });
}

struct verdict handle_renameat(struct call *call) {
        return do_rename(call, &(struct renaming) { CALL_INT(call, 0), CALL_INT(call, 2), CALL_ARG(call, 1), CALL_ARG(call, 3), 0 });
}

struct verdict handle_renameat2(struct call *call) {
        return do_rename(
                call, &(struct renaming) { CALL_INT(call, 0), CALL_INT(call, 2), CALL_ARG(call, 1), CALL_ARG(call, 3), CALL_INT(call, 4) });
}
