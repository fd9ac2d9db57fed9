/*
 * link and linkat.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "names.h"

/*
 * A file without a name: of all those the kernel links only such as O_TMPFILE has made, for a program that gives it its name by /proc/self/fd/N
 * or AT_EMPTY_PATH. The kernel knows the directory in which it was made, and a deleted file's last place: who may write there may
 * give it a name.
 */
static bool nameless_writable(struct call *call, const struct pin *pin) {
        struct match match = files_match_removed(call, pin);

        return match.state == MATCH_GRANTED && (match.rights & RIGHT_WRITE);
}

/* Whether the rules allow it; else the verdict. */
static bool decide(struct call *call, const struct pin *old, const struct pin *new, struct verdict *ret_verdict) {
        bool source = old->outside ? nameless_writable(call, old) : name_writable(old);
        int same;

        /* A directory is never linked; the kernel says why. */
        if ((source || S_ISDIR(old->st.st_mode)) && name_writable(new))
                return true;
        *ret_verdict = name_refuse_new(call, new, false);
        if (!ret_verdict->denied)
                return false;
        same = name_same_mount(old->fd, new->parent);
        if (same <= 0)
                *ret_verdict = verdict_error(same < 0 ? same : EXDEV);
        else if (!source)
                *ret_verdict = name_refuse(call, old);
        return false;
}

static int link_pinned(struct call *call, const struct pin *old, const struct pin *new) {
        char link[64];
        int dirfd, r;

        r = pin_link(call, old, &dirfd, link);
        if (r < 0)
                return r;
        r = target_act_ids(call);
        if (r < 0)
                return r;
        r = act_linkat(call, dirfd, link, new->parent, new->name, AT_SYMLINK_FOLLOW);
        target_act_done(call);
        return r;
}

static struct verdict do_link(struct call *call, int old_dirfd, uint64_t old_path, int new_dirfd, uint64_t new_path, int flags) {
        _cleanup_(pin_done) struct pin old = PIN_INIT, new = PIN_INIT;
        struct verdict verdict;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
                return verdict_error(EINVAL);
        if (old_path == 0)
                return verdict_error(EFAULT); /* for this call a null pointer isn't as good as "" */
        _cleanup_(names_unlockp) struct call *held = names_lock(call, false);
        r = files_resolve(call, old_dirfd, old_path,
                          (flags & AT_SYMLINK_FOLLOW ? RESOLVE_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0), &old);
        if (r < 0)
                return files_failed(call, &old, r, false);
        r = name_resolve(call, new_dirfd, new_path, &new);
        if (r < 0)
                return files_failed(call, &new, r, false);
        if (new.special)
                return verdict_error(EEXIST);
        if (!decide(call, &old, &new, &verdict))
                return verdict;
        r = link_pinned(call, &old, &new);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

struct verdict handle_link(struct call *call) {
        return do_link(call, AT_FDCWD, CALL_ARG(call, 0), AT_FDCWD, CALL_ARG(call, 1), 0);
}

struct verdict handle_linkat(struct call *call) {
        return do_link(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_ARG(call, 3), CALL_INT(call, 4));
}
