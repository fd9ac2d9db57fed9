/*
 * Modes and owners.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "metadata.h"

/* ---- chmod ---- */

/* Through the link, which every kernel that we run on can, for a copy of a descriptor as for an O_PATH one. */
static struct verdict change_mode(struct call *call, const struct pin *pin, mode_t mode) {
        struct verdict verdict;
        char link[64];
        int dirfd, r;

        if (!pin_changeable(call, pin, RIGHTS_OF_OWNER, EACCES, &verdict))
                return verdict;
        r = pin_link(call, pin, &dirfd, link);
        if (r < 0)
                return verdict_from(r);
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, syscall(SYS_fchmodat, dirfd, link, mode));
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

static struct verdict do_chmod(struct call *call, int dirfd, uint64_t path, mode_t mode, int flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = place_resolve(call, dirfd, path, flags, &pin);
        return r < 0 ? files_failed(call, &pin, r, false) : change_mode(call, &pin, mode);
}

struct verdict handle_chmod(struct call *call) {
        return do_chmod(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), 0);
}

struct verdict handle_fchmodat(struct call *call) {
        return do_chmod(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), 0);
}

struct verdict handle_fchmodat2(struct call *call) {
        return do_chmod(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_INT(call, 3));
}

struct verdict handle_fchmod(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;

        if (!descriptor_changeable(call, CALL_INT(call, 0), RIGHTS_OF_OWNER, EACCES, &pin, &verdict))
                return verdict;
        return change_mode(call, &pin, CALL_INT(call, 1));
}

/* ---- chown ---- */

static struct verdict change_owner(struct call *call, const struct pin *pin, uid_t uid, gid_t gid) {
        struct verdict verdict;
        int r;

        if (!pin_changeable(call, pin, RIGHT_WRITE, EACCES, &verdict))
                return verdict;
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, fchownat(pin->fd, "", uid, gid, AT_EMPTY_PATH));
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

static struct verdict do_chown(struct call *call, int dirfd, uint64_t path, uid_t uid, gid_t gid, int flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = place_resolve(call, dirfd, path, flags, &pin);
        return r < 0 ? files_failed(call, &pin, r, false) : change_owner(call, &pin, uid, gid);
}

struct verdict handle_chown(struct call *call) {
        return do_chown(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), CALL_INT(call, 2), 0);
}

struct verdict handle_lchown(struct call *call) {
        return do_chown(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), CALL_INT(call, 2), AT_SYMLINK_NOFOLLOW);
}

struct verdict handle_fchownat(struct call *call) {
        return do_chown(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_INT(call, 3), CALL_INT(call, 4));
}

struct verdict handle_fchown(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;

        if (!descriptor_changeable(call, CALL_INT(call, 0), RIGHT_WRITE, EACCES, &pin, &verdict))
                return verdict;
        return change_owner(call, &pin, CALL_INT(call, 1), CALL_INT(call, 2));
}
