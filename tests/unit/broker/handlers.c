/*
 * The handlers of the scenarios: thin, so that what is tested is the broker's.
 */
#include "handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "resolve.h"
#include "target.h"

static int read_path(struct call *call, int arg) {
        ssize_t n = target_read_path(call, CALL_ARG(call, arg), call->path);

        call->subject = n < 0 ? NULL : call->path;
        return n < 0 ? n : 0;
}

/* getppid(n): says what the caller asks for. */
struct verdict answer(struct call *call) {
        switch (CALL_INT(call, 0)) {
        case ANSWER_VALUE: return verdict_value(CALL_ARG(call, 1));
        case ANSWER_ERROR: return (struct verdict) { .kind = VERDICT_ERROR, .error = CALL_INT(call, 1) };
        case ANSWER_BAD_FD: return verdict_fd(-1, false);
        case ANSWER_O_PATH: return verdict_fd(open("/", O_PATH | O_CLOEXEC), false);
        case ANSWER_BAD_KIND: return (struct verdict) { .kind = 77 };
        case ANSWER_FALSE_GONE: return verdict_gone();
        case ANSWER_RESTART: return verdict_restart();
        case ANSWER_DENY:
                call->why = "the test says so";
                call->remedy = "read";
                return verdict_deny(EACCES);
        case ANSWER_KILL: call->why = "the test says so"; return verdict_kill();
        case ANSWER_PROCEED: return verdict_proceed(PROCEED_REGISTERS);
        case ANSWER_SLEEP: {
                struct timespec time = { .tv_nsec = CALL_ARG(call, 1) * 1000000 };
                nanosleep(&time, NULL);
                return verdict_value(1);
        }
        case ANSWER_TGID: return verdict_value(target_tgid_inside(call));
        case ANSWER_TID: return verdict_value(target_tid_inside(call));
        case ANSWER_UMASK: {
                mode_t mask;
                int r = target_umask(call, &mask);
                return r < 0 ? verdict_from(r) : verdict_value(mask);
        }
        case ANSWER_RLIMIT: {
                uint64_t limit;
                int r = target_rlimit(call, CALL_INT(call, 1), &limit);
                return r < 0 ? verdict_from(r) : verdict_value(limit);
        }
        }
        return verdict_error(EINVAL);
}

/* openat(dirfd, path, flags): opens what is there, blocking where it blocks. */
static struct verdict open_resolved(struct call *call, int dirfd, int flags, unsigned resolve_flags) {
        __attribute__((cleanup(pin_done))) struct pin pin = { .fd = -1, .parent = -1 };
        int r, fd;

        r = resolve(call, dirfd, call->path, resolve_flags | (flags & O_NOFOLLOW ? 0 : RESOLVE_FOLLOW), &pin);
        if (r < 0)
                return verdict_from(r);
        if (S_ISLNK(pin.st.st_mode))
                return verdict_error(ELOOP);
        if (S_ISREG(pin.st.st_mode) || S_ISDIR(pin.st.st_mode)) {
                fd = pin_open(call, &pin, flags);
                return fd < 0 ? verdict_from(fd) : verdict_fd(fd, flags & O_CLOEXEC);
        }
        r = target_block_begin(call);
        if (r < 0)
                return verdict_from(r);
        fd = pin_open(call, &pin, flags);
        r = target_block_end(call);
        if (fd < 0)
                return r < 0 ? verdict_from(r) : verdict_from(fd);
        if (r == -ESRCH) {
                close(fd);
                return verdict_gone();
        }
        return verdict_fd(fd, flags & O_CLOEXEC);
}

struct verdict handle_openat(struct call *call) {
        int r = read_path(call, 1);

        return r < 0 ? verdict_from(r) : open_resolved(call, CALL_INT(call, 0), CALL_INT(call, 2), 0);
}

struct verdict handle_openat2(struct call *call) {
        struct open_how how;
        int r = read_path(call, 1);

        if (r >= 0)
                r = target_read(call, CALL_ARG(call, 2), &how, sizeof(how));
        if (r < 0)
                return verdict_from(r);
        return open_resolved(call, CALL_INT(call, 0), how.flags,
                             (how.resolve & RESOLVE_BENEATH ? RESOLVE_IN_BENEATH : 0) |
                                     (how.resolve & RESOLVE_IN_ROOT ? RESOLVE_IN_ROOTED : 0) |
                                     (how.resolve & RESOLVE_NO_SYMLINKS ? RESOLVE_IN_NO_SYMLINKS : 0) |
                                     (how.resolve & RESOLVE_NO_MAGICLINKS ? RESOLVE_IN_NO_MAGICLINKS : 0) |
                                     (how.resolve & RESOLVE_NO_XDEV ? RESOLVE_IN_NO_XDEV : 0));
}

/* newfstatat(dirfd, path, stat, flags) */
struct verdict handle_stat(struct call *call) {
        __attribute__((cleanup(pin_done))) struct pin pin = { .fd = -1, .parent = -1 };
        int flags = CALL_INT(call, 3), r = read_path(call, 1);

        if (r >= 0)
                r = resolve(call, CALL_INT(call, 0), call->path,
                            (flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0), &pin);
        if (r >= 0)
                r = target_write(call, CALL_ARG(call, 2), &pin.st, sizeof(pin.st));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* readlinkat(dirfd, path, buffer, size): the resolved path, not a link's content. */
struct verdict handle_path(struct call *call) {
        __attribute__((cleanup(pin_done))) struct pin pin = { .fd = -1, .parent = -1 };
        int r = read_path(call, 1);

        if (r >= 0)
                r = resolve(call, CALL_INT(call, 0), call->path, RESOLVE_FOLLOW | RESOLVE_PARENT, &pin);
        if (r >= 0 && pin.outside)
                return verdict_value(0);
        if (r >= 0)
                r = target_write(call, CALL_ARG(call, 2), pin.path, strlen(pin.path) + 1);
        return r < 0 ? verdict_from(r) : verdict_value(strlen(pin.path));
}

/* mknodat(dirfd, path, mode): makes a regular file in the caller's name. */
struct verdict handle_create(struct call *call) {
        __attribute__((cleanup(pin_done))) struct pin pin = { .fd = -1, .parent = -1 };
        int r = read_path(call, 1);

        if (r >= 0)
                r = resolve(call, CALL_INT(call, 0), call->path, RESOLVE_PARENT, &pin);
        if (r < 0)
                return verdict_from(r);
        if (pin.fd >= 0)
                return verdict_error(EEXIST);
        r = target_act(call);
        if (r < 0)
                return verdict_from(r);
        int fd = openat(pin.parent, pin.name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, CALL_INT(call, 2));
        r = fd < 0 ? -errno : 0;
        target_act_done(call);
        close(fd);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* read(address, address, size): copies the caller's memory from one place to the other. */
struct verdict handle_copy(struct call *call) {
        char buffer[8192];
        size_t size = CALL_ARG(call, 2);
        int r = size > sizeof(buffer) ? -EINVAL : target_read(call, CALL_ARG(call, 0), buffer, size);

        if (r >= 0)
                r = target_write(call, CALL_ARG(call, 1), buffer, size);
        return r < 0 ? verdict_from(r) : verdict_value(size);
}

const struct claim claims[] = {
        { __NR_getppid, "getppid", answer },
        { __NR_openat, "openat", handle_openat },
        { __NR_openat2, "openat2", handle_openat2 },
        { __NR_newfstatat, "newfstatat", handle_stat },
        { __NR_readlinkat, "readlinkat", handle_path },
        { __NR_mknodat, "mknodat", handle_create },
        { __NR_pread64, "pread64", handle_copy },
};
const size_t n_claims = sizeof(claims) / sizeof(claims[0]);
