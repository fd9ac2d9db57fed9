/*
 * A file of a layer, made once more on the host's side. It has no name there until it is complete, where the file system can do that.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "commit.h"
#include "fd.h"
#include "str.h"
#include "sys.h"

void commit_temporary_name(char *temporary) {
        uint64_t number = 0;

        while (getrandom(&number, sizeof(number), 0) != sizeof(number))
                ;
        snprintf(temporary, COMMIT_NAME, ".sandboxd-%016" PRIx64, number);
}

static int copy_range(int from, int to, off_t at, off_t end) {
        static const size_t piece = 1 << 20;
        _cleanup_free_ char *buffer = NULL;

        while (at < end) {
                off_t out = at;
                ssize_t n = buffer ? -1 : copy_file_range(from, &at, to, &out, end - at < INT_MAX ? end - at : INT_MAX, 0);
                if (n > 0)
                        continue;
                if (n == 0)
                        break;
                if (!buffer && errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)
                        return -errno;
                if (!buffer && !(buffer = malloc(piece)))
                        return -ENOMEM;
                n = pread(from, buffer, end - at < (off_t) piece ? (size_t) (end - at) : piece, at);
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                for (ssize_t done = 0; done < n;) {
                        ssize_t m = pwrite(to, buffer + done, n - done, at + done);
                        if (m < 0)
                                return -errno;
                        done += m;
                }
                at += n;
        }
        return 0;
}

/* Holes stay holes. */
static int copy_content(int from, int to) {
        off_t at = 0, size = lseek(from, 0, SEEK_END);

        if (size < 0)
                return -errno;
        while (at < size) {
                off_t data = lseek(from, at, SEEK_DATA), hole;
                if (data < 0 && errno == ENXIO)
                        break;
                if (data < 0)
                        data = at;
                hole = lseek(from, data, SEEK_HOLE);
                if (hole < 0)
                        hole = size;
                int r = copy_range(from, to, data, hole);
                if (r < 0)
                        return r;
                at = hole;
        }
        return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_extended(int upper, int to) {
        static const char *const acls[] = { "system.posix_acl_access", "system.posix_acl_default" };
        _cleanup_free_ char *names = NULL;
        ssize_t size = compare_list_attributes(upper, &names);

        if (size < 0)
                return size;
        /* Those that the directory around gave it, and that the layer's hasn't. */
        for (size_t i = 0; i < ELEMENTSOF(acls); i++)
                if (fremovexattr(to, acls[i]) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
                        return -errno;
        for (const char *name = names; name < names + size; name += strlen(name) + 1) {
                _cleanup_free_ char *value = NULL;
                if (!compare_attribute_kept(name))
                        continue;
                ssize_t n = compare_get_attribute(upper, name, &value);
                if (n < 0)
                        return n;
                if (fsetxattr(to, name, value, n, 0) < 0)
                        return -errno;
        }
        return 0;
}

int commit_copy_attributes(int upper, int to, bool times) {
        struct stat u, t;

        if (fstat(upper, &u) < 0 || fstat(to, &t) < 0)
                return -errno;
        if (u.st_uid != t.st_uid && fchown(to, u.st_uid, (gid_t) -1) < 0)
                return -errno;
        if (u.st_gid != t.st_gid && fchown(to, (uid_t) -1, u.st_gid) < 0)
                return -errno;
        /* A file's set-ID bits are never given; a directory's means but the group of what is made in it. */
        mode_t given = S_ISDIR(u.st_mode) ? 03777 : sys_unsafe("overlay-refuse") ? 07777 : 01777;
        if (fchmod(to, u.st_mode & given) < 0)
                return -errno;
        int r = copy_extended(upper, to);
        if (r < 0 || !times)
                return r;
        const struct timespec both[2] = { u.st_atim, u.st_mtim };
        return futimens(to, both) < 0 ? -errno : 0;
}

int commit_copy_file(int upper, int parent, const char *temporary) {
        char path[32];
        bool named = false;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", upper);
        _cleanup_close_ int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (from < 0)
                return -errno;
        _cleanup_close_ int to = openat(parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (to < 0) {
                named = true;
                to = openat(parent, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (to < 0)
                        return -errno;
        }
        int r = copy_content(from, to);
        if (r >= 0)
                r = commit_copy_attributes(from, to, true);
        if (r >= 0 && !named) {
                snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
                r = linkat(AT_FDCWD, path, parent, temporary, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
        }
        if (r < 0 && named)
                (void) unlinkat(parent, temporary, 0);
        return r;
}

int commit_copy_link(int upper, int parent, const char *temporary) {
        char text[PATH_MAX];
        struct stat u, t;
        ssize_t n = readlinkat(upper, "", text, sizeof(text) - 1);

        if (n < 0)
                return -errno;
        text[n] = 0;
        if (fstat(upper, &u) < 0 || symlinkat(text, parent, temporary) < 0)
                return -errno;
        const struct timespec both[2] = { u.st_atim, u.st_mtim };
        int r = fstatat(parent, temporary, &t, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        if (r >= 0 && (u.st_uid != t.st_uid || u.st_gid != t.st_gid) &&
            fchownat(parent, temporary, u.st_uid, u.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
                r = -errno;
        if (r >= 0 && utimensat(parent, temporary, both, AT_SYMLINK_NOFOLLOW) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(parent, temporary, 0);
        return r;
}
