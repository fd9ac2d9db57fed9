/*
 * rmdir, unlink and unlinkat.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "names.h"

/* What unlink() says of slashes, before it asks for permission. */
static struct verdict refuse(struct call *call, const struct pin *pin, int flags) {
        if (!(flags & AT_REMOVEDIR) && name_has_slash(pin))
                return verdict_error(name_is_directory(pin) ? EISDIR : ENOTDIR);
        return name_refuse(call, pin);
}

static int remove_name(struct call *call, const struct pin *pin, int flags) {
        bool directory = name_is_directory(pin);
        int mounted, r;

        mounted = name_is_mounted_on(pin);
        if (mounted < 0)
                return mounted;
        r = target_act_ids(call);
        if (r < 0)
                return r;
        /* As what it isn't nothing is removed anyway. */
        if (mounted && directory == !!(flags & AT_REMOVEDIR) && (directory || !name_has_slash(pin)))
                r = name_refuse_mounted(pin);
        else
                r = act_unlinkat(call, pin->parent, pin->name, flags);
        target_act_done(call);
        return r;
}

static struct verdict do_unlink(struct call *call, int dirfd, uint64_t path, int flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        if (flags & ~AT_REMOVEDIR)
                return verdict_error(EINVAL);
        _cleanup_(names_unlockp) struct call *held = names_lock(call, false);
        r = name_resolve(call, dirfd, path, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (!pin.special && !name_writable(&pin))
                return name_is_absent(&pin) ? name_absent(call, &pin) : refuse(call, &pin, flags);
        r = remove_name(call, &pin, flags);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

struct verdict handle_rmdir(struct call *call) {
        return do_unlink(call, AT_FDCWD, CALL_ARG(call, 0), AT_REMOVEDIR);
}

struct verdict handle_unlink(struct call *call) {
        return do_unlink(call, AT_FDCWD, CALL_ARG(call, 0), 0);
}

struct verdict handle_unlinkat(struct call *call) {
        return do_unlink(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2));
}
