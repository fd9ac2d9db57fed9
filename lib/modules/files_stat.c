/*
 * stat, access and readlink in all their forms. They look at the pinned object and change nothing.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "files.h"

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

static unsigned resolve_flags(int flags) {
        return (flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0);
}

/* ---- stat ---- */

/* AT_EMPTY_PATH with nothing to resolve: the kernel then looks at the descriptor and no longer at the other flags. */
static bool names_descriptor(struct call *call, int dirfd, uint64_t path, int flags) {
        char first;

        if (!(flags & AT_EMPTY_PATH) || dirfd < 0)
                return false;
        return path == 0 || (target_read(call, path, &first, 1) >= 0 && first == 0);
}

/* fstat(), which in today's glibc is newfstatat(fd, "", AT_EMPTY_PATH): what the caller has opened it may look at. Not so with O_PATH, since
 * the kernel goes on with such opens: a thread that swaps the path meanwhile gets a descriptor of what is hidden, and is to learn nothing by
 * it. Returns a descriptor, -ENOENT where it is to be resolved like a path, or an error. */
static int own_descriptor(struct call *call, int fd_number) {
        _cleanup_close_ int fd = target_fd(call, fd_number);

        if (fd < 0)
                return fd == -ENOENT ? -EBADF : fd;
        int status = fcntl(fd, F_GETFL);
        if (status < 0 || (status & O_PATH))
                return -ENOENT;
        return TAKE_FD(fd);
}

/* Pins what a call of the stat family is about. */
static int pin_subject(struct call *call, int dirfd, uint64_t path, int flags, bool descriptor, struct pin *pin) {
        if (descriptor) {
                pin->fd = own_descriptor(call, dirfd);
                if (pin->fd >= 0)
                        return fstat(pin->fd, &pin->st) < 0 ? -errno : 0;
                if (pin->fd != -ENOENT)
                        return pin->fd;
                path = 0;
        }
        return files_resolve(call, dirfd, path, resolve_flags(flags) | FILES_NULL, pin);
}

static struct verdict do_stat(struct call *call, int dirfd, uint64_t path, int flags, uint64_t buffer) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        bool descriptor = names_descriptor(call, dirfd, path, flags);
        if (!descriptor && (flags & ~STAT_FLAGS))
                return verdict_error(EINVAL);
        r = pin_subject(call, dirfd, path, flags, descriptor, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        r = target_write(call, buffer, &pin.st, sizeof(pin.st));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

struct verdict handle_stat(struct call *call) {
        return do_stat(call, AT_FDCWD, CALL_ARG(call, 0), 0, CALL_ARG(call, 1));
}

struct verdict handle_lstat(struct call *call) {
        return do_stat(call, AT_FDCWD, CALL_ARG(call, 0), AT_SYMLINK_NOFOLLOW, CALL_ARG(call, 1));
}

struct verdict handle_fstat(struct call *call) {
        if (CALL_INT(call, 0) < 0)
                return verdict_error(EBADF);
        return do_stat(call, CALL_INT(call, 0), 0, AT_EMPTY_PATH, CALL_ARG(call, 1));
}

struct verdict handle_newfstatat(struct call *call) {
        return do_stat(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 3), CALL_ARG(call, 2));
}

struct verdict handle_statx(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int flags = CALL_INT(call, 2);
        unsigned mask = CALL_INT(call, 3);
        struct statx stx;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        bool descriptor = names_descriptor(call, CALL_INT(call, 0), CALL_ARG(call, 1), flags);
        if ((mask & STATX__RESERVED) || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (!descriptor && (flags & ~STAT_FLAGS)))
                return verdict_error(EINVAL);
        r = pin_subject(call, CALL_INT(call, 0), CALL_ARG(call, 1), flags, descriptor, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (statx(pin.fd, "", AT_EMPTY_PATH | (flags & (AT_STATX_SYNC_TYPE | AT_NO_AUTOMOUNT)), mask, &stx) < 0)
                return verdict_error(errno);
        r = target_write(call, CALL_ARG(call, 4), &stx, sizeof(stx));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- access ---- */

/* Which of the asked modes the plan refuses, as the name of the right that would allow it; NULL: none. */
static const char *missing_right(const struct pin *pin, int mode) {
        bool directory = S_ISDIR(pin->st.st_mode);
        unsigned rights = pin->match.rights;

        if (pin->outside || mode == F_OK)
                return NULL;
        switch (pin->match.state) {
        case MATCH_ANCESTOR: return mode & W_OK ? "write" : (mode & R_OK) && !match_reads(pin->match) ? "read" : NULL;
        case MATCH_GRANTED:
                if ((mode & R_OK) && !(rights & RIGHT_READ))
                        return "read";
                if ((mode & W_OK) && !(rights & (directory ? RIGHT_WRITE : RIGHT_WRITE | RIGHT_APPEND)))
                        return "write";
                if ((mode & X_OK) && S_ISREG(pin->st.st_mode) && !(rights & RIGHT_EXEC))
                        return "exec";
                return NULL;
        default: return mode & W_OK ? "write" : mode & R_OK ? "read" : "exec";
        }
}

/* AT_EACCESS for us in either case, since the thread has the ids that are asked for. */
static int access_as_caller(struct call *call, const struct pin *pin, int mode, int flags) {
        int r = flags & AT_EACCESS ? target_act_ids(call) : target_act_real_ids(call);

        if (r < 0)
                return r;
        r = syscall(__NR_faccessat2, pin->fd, "", mode, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
        target_act_done(call);
        if (r != -EACCES || !pin_own_fds(call, pin))
                return r;
        struct statvfs fs;
        return (mode & W_OK) && fstatvfs(pin->fd, &fs) >= 0 && (fs.f_flag & ST_RDONLY) ? -EROFS : 0;
}

static struct verdict do_access(struct call *call, int dirfd, uint64_t path, int mode, int flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        if ((mode & ~(R_OK | W_OK | X_OK)) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
                return verdict_error(EINVAL);
        r = files_resolve(call, dirfd, path, resolve_flags(flags) | (flags & AT_EACCESS ? 0 : RESOLVE_REAL_IDS), &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        r = access_as_caller(call, &pin, mode, flags);
        if (r < 0)
                return verdict_from(r);
        const char *remedy = missing_right(&pin, mode);
        return remedy ? files_refuse(call, &pin.match, EACCES, remedy) : verdict_value(0);
}

struct verdict handle_access(struct call *call) {
        return do_access(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), 0);
}

struct verdict handle_faccessat(struct call *call) {
        return do_access(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), 0);
}

struct verdict handle_faccessat2(struct call *call) {
        return do_access(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_INT(call, 3));
}

/* ---- readlink ---- */

/* /proc/self and /proc/thread-self read as the number of whoever reads them. */
static ssize_t read_self_link(struct call *call, const struct pin *pin, char *text, size_t room) {
        const char *name = strrchr(pin->path, '/');
        struct statfs fs;

        if (!name || (strcmp(name, "/self") != 0 && strcmp(name, "/thread-self") != 0))
                return -ENOENT;
        if (fstatfs(pin->fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
                return -ENOENT;
        pid_t tgid = target_tgid_inside(call);
        if (tgid < 0)
                return tgid;
        if (strcmp(name, "/self") == 0)
                return snprintf(text, room, "%d", tgid);
        pid_t tid = target_tid_inside(call);
        if (tid < 0)
                return tid;
        return snprintf(text, room, "%d/task/%d", tgid, tid);
}

static ssize_t read_link(struct call *call, const struct pin *pin, char *text, size_t room) {
        ssize_t n = read_self_link(call, pin, text, room);
        struct statfs fs;

        if (n != -ENOENT)
                return n;
        /* Not as the caller: the links of /proc/PID ask for the right to trace, which the worker has over all that is in the sandbox, and
         * whose own processes have over one another; others don't ask for anything. */
        n = readlinkat(pin->fd, "", text, room);
        return n < 0 ? -errno : fstatfs(pin->fd, &fs) >= 0 && fs.f_type == PROC_SUPER_MAGIC ? target_path_seen(call, text, n) : n;
}

static struct verdict do_readlink(struct call *call, int dirfd, uint64_t path, uint64_t buffer, int size) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        ssize_t n;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        if (size <= 0)
                return verdict_error(EINVAL);
        /* readlinkat(fd, "") reads an O_PATH fd of a link. */
        r = files_resolve(call, dirfd, path, RESOLVE_EMPTY, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (!S_ISLNK(pin.st.st_mode))
                return verdict_error(call->path[0] ? EINVAL : ENOENT);
        if (pin.match.state == MATCH_DENIED && !pin.outside)
                return files_refuse(call, &pin.match, EACCES, "read");
        n = read_link(call, &pin, call->path3, PATH_MAX);
        if (n < 0)
                return verdict_from(n);
        if (n > size)
                n = size;
        r = target_write(call, buffer, call->path3, n);
        return r < 0 ? verdict_from(r) : verdict_value(n);
}

struct verdict handle_readlink(struct call *call) {
        return do_readlink(call, AT_FDCWD, CALL_ARG(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2));
}

struct verdict handle_readlinkat(struct call *call) {
        return do_readlink(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_INT(call, 3));
}
