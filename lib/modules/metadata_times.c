/*
 * Times. All four calls become a utimensat of what is pinned.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "act.h"
#include "metadata.h"

static bool valid(const struct timespec *time) {
        return time->tv_nsec == UTIME_OMIT || time->tv_nsec == UTIME_NOW || (time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
}

static struct verdict change_times(struct call *call, const struct pin *pin, const struct timespec *times) {
        struct verdict verdict;
        int r;

        if (times && !(valid(times) && valid(times + 1)))
                return verdict_error(EINVAL);
        if (!pin_changeable(call, pin, RIGHTS_OF_OWNER, EACCES, &verdict))
                return verdict;
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, syscall(SYS_utimensat, pin->fd, "", times, AT_EMPTY_PATH));
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

/* do_utimes() of the kernel: without a path, the descriptor itself. */
static struct verdict do_utimes(struct call *call, int dirfd, uint64_t path, const struct timespec *times, int flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;
        int r;

        if (path == 0 && dirfd != AT_FDCWD) {
                if (flags)
                        return verdict_error(EINVAL);
                if (times && !(valid(times) && valid(times + 1))) {
                        r = descriptor_pin(call, dirfd, &pin);
                        return verdict_from(r < 0 && r != -ENOENT ? r : -EINVAL);
                }
                if (!descriptor_changeable(call, dirfd, RIGHTS_OF_OWNER, EACCES, &pin, &verdict))
                        return verdict;
                return change_times(call, &pin, times);
        }
        if (flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = place_resolve(call, dirfd, path, flags, &pin);
        return r < 0 ? files_failed(call, &pin, r, false) : change_times(call, &pin, times);
}

struct verdict handle_utimensat(struct call *call) {
        struct timespec times[2];
        uint64_t address = CALL_ARG(call, 2);

        if (address) {
                int r = target_read(call, address, times, sizeof(times));
                if (r < 0)
                        return verdict_from(r);
                /* Nothing to do: the kernel doesn't even look at the path. */
                if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
                        return verdict_value(0);
        }
        return do_utimes(call, CALL_INT(call, 0), CALL_ARG(call, 1), address ? times : NULL, CALL_INT(call, 3));
}

static struct verdict do_timeval(struct call *call, int dirfd, uint64_t path, uint64_t address) {
        struct timespec times[2];
        struct timeval values[2];

        if (!address)
                return do_utimes(call, dirfd, path, NULL, 0);
        int r = target_read(call, address, values, sizeof(values));
        if (r < 0)
                return verdict_from(r);
        for (size_t i = 0; i < 2; i++) {
                if (values[i].tv_usec < 0 || values[i].tv_usec >= 1000000)
                        return verdict_error(EINVAL);
                times[i] = (struct timespec) { values[i].tv_sec, values[i].tv_usec * 1000 };
        }
        return do_utimes(call, dirfd, path, times, 0);
}

struct verdict handle_futimesat(struct call *call) {
        return do_timeval(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_ARG(call, 2));
}

struct verdict handle_utimes(struct call *call) {
        return do_timeval(call, AT_FDCWD, CALL_ARG(call, 0), CALL_ARG(call, 1));
}

struct verdict handle_utime(struct call *call) {
        struct utimbuf buffer;
        uint64_t address = CALL_ARG(call, 1);

        if (!address)
                return do_utimes(call, AT_FDCWD, CALL_ARG(call, 0), NULL, 0);
        int r = target_read(call, address, &buffer, sizeof(buffer));
        if (r < 0)
                return verdict_from(r);
        const struct timespec times[2] = { { .tv_sec = buffer.actime }, { .tv_sec = buffer.modtime } };
        return do_utimes(call, AT_FDCWD, CALL_ARG(call, 0), times, 0);
}
