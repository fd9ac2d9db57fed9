/*
 * truncate, and the caller's limit on the size of files for whoever else makes them larger.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "metadata.h"

int size_check(struct call *call, const struct stat *st, int64_t size) {
        uint64_t limit;
        int r;

        if (size <= st->st_size)
                return 0;
        r = target_rlimit(call, RLIMIT_FSIZE, &limit);
        if (r < 0)
                return r;
        return (uint64_t) size > limit ? -EFBIG : 0;
}

struct verdict size_exceeded(struct call *call) {
        int r = target_signal(call, SIGXFSZ);

        return r < 0 ? verdict_from(r) : verdict_error(EFBIG);
}

/* What the kernel asks before it looks at the limit: permission, append-only, a program that runs, a lease. */
static int may_write(struct call *call, const struct pin *pin) {
        _cleanup_close_ int fd = pin_open(call, pin, O_WRONLY);

        return fd < 0 ? fd : 0;
}

static int truncate_as_caller(struct call *call, const struct pin *pin, int64_t size) {
        char link[64];
        int r;

        r = pin_enter(call, pin, link);
        if (r < 0)
                return r;
        r = target_act_ids(call);
        if (r < 0)
                return r;
        r = ACT(call, truncate(link, size));
        target_act_done(call);
        return r;
}

struct verdict handle_truncate(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int64_t size = CALL_ARG(call, 1);
        int r, cancelled;

        if (size < 0)
                return verdict_error(EINVAL);
        r = files_resolve(call, AT_FDCWD, CALL_ARG(call, 0), RESOLVE_FOLLOW, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (!S_ISREG(pin.st.st_mode))
                return verdict_error(S_ISDIR(pin.st.st_mode) ? EISDIR : EINVAL);
        if (pin.outside ? !files_reopenable(call, &pin, O_WRONLY) : pin.match.state != MATCH_GRANTED || !(pin.match.rights & RIGHT_WRITE))
                return files_refuse(call, &pin.match, EACCES, "write");

        bool exceeded = false;
        r = size_check(call, &pin.st, size);
        if (r == -EFBIG)
                exceeded = true;
        else if (r < 0)
                return verdict_from(r);
        /* Somebody's lease on the file has it wait, until that is given back or broken. */
        r = target_block_begin(call);
        if (r < 0)
                return verdict_from(r);
        r = exceeded ? may_write(call, &pin) : truncate_as_caller(call, &pin, size);
        cancelled = target_block_end(call);
        if (r == -EINTR && cancelled < 0)
                return verdict_from(cancelled);
        if (r < 0)
                return verdict_from(r);
        return exceeded ? size_exceeded(call) : verdict_value(0);
}
