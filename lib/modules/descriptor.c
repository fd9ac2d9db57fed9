/*
 * The caller's descriptors, and what may be changed through them or by path. The broker looks at its own copy of a descriptor and acts on that copy,
 * so that a thread that puts another file under the number gains nothing.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "metadata.h"

static void set_subject(struct call *call, const struct pin *pin) {
        if (!pin->path[0])
                return;
        /* The pin is gone when the record is written. */
        memcpy(call->path2, pin->path, strlen(pin->path) + 1);
        call->subject = call->path2;
}

int descriptor_pin(struct call *call, int number, struct pin *pin) {
        _cleanup_close_ int fd = target_fd(call, number);
        int flags, r;

        if (fd < 0)
                return fd;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (flags & O_PATH))
                return -EBADF;
        r = resolve_copy(call, TAKE_FD(fd), pin);
        set_subject(call, pin);
        return r;
}

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(text), m = strlen(end);

        return n >= m && strcmp(text + n - m, end) == 0;
}

/* What no path names: pipes and sockets, files that are gone, and what came in by a descriptor. Nothing but the descriptor gives rights to it. */
static bool outside_changeable(struct call *call, const struct pin *pin) {
        int flags = fcntl(pin->fd, F_GETFL);

        /* A device that is not the sandbox's own is the host's, whose users go by its mode. */
        if (S_ISCHR(pin->st.st_mode) || S_ISBLK(pin->st.st_mode))
                return false;
        if ((!S_ISREG(pin->st.st_mode) && !S_ISDIR(pin->st.st_mode)) || pin->st.st_nlink == 0)
                return true;
        if (flags < 0)
                return false;
        if (flags & O_PATH)
                return pin->descriptor >= 0 && files_reopenable(call, pin, O_WRONLY);
        /* Of a file with several names one is gone: what the rules say of the others, its name doesn't tell. */
        return (flags & O_ACCMODE) != O_RDONLY || !ends_with(pin->path, " (deleted)");
}

bool pin_changeable(struct call *call, const struct pin *pin, unsigned rights, int error, struct verdict *ret_verdict) {
        if (pin->outside ? outside_changeable(call, pin) : pin->match.state == MATCH_GRANTED && (pin->match.rights & rights))
                return true;
        *ret_verdict = files_refuse(call, &pin->match, error, "write");
        return false;
}

bool descriptor_changeable(struct call *call, int number, unsigned rights, int error, struct pin *pin, struct verdict *ret_verdict) {
        int r = descriptor_pin(call, number, pin);

        if (r == -ENOENT && pin->match.state == MATCH_HIDDEN) {
                *ret_verdict = files_refuse(call, &pin->match, error, "write");
                return false;
        }
        if (r < 0) {
                *ret_verdict = verdict_from(r);
                return false;
        }
        return pin_changeable(call, pin, rights, error, ret_verdict);
}

static unsigned place_flags(int flags) {
        return (flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0);
}

int place_resolve(struct call *call, int dirfd, uint64_t path, int flags, struct pin *pin) {
        return files_resolve(call, dirfd, path, place_flags(flags), pin);
}

int place_resolve_new(struct call *call, int dirfd, uint64_t path, int flags, struct pin *pin) {
        char first = 0;

        if (!(flags & AT_EMPTY_PATH))
                return place_resolve(call, dirfd, path, flags, pin);
        if (path) {
                int r = target_read(call, path, &first, 1);
                if (r < 0)
                        return r;
        }
        if (!first && dirfd >= 0)
                return descriptor_pin(call, dirfd, pin);
        return files_resolve(call, dirfd, path, place_flags(flags) | FILES_NULL, pin);
}

int pin_enter(struct call *call, const struct pin *pin, char link[64]) {
        int dirfd, r;

        r = pin_link(call, pin, &dirfd, link);
        if (r < 0)
                return r;
        return fchdir(dirfd) < 0 ? -errno : 0;
}
