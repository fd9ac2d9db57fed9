/*
 * One object of a layer: may it leave, and is it other than what lies below?
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "changes.h"
#include "fd.h"
#include "str.h"
#include "sys.h"

#define OWN "user.overlay."

/* O_PATH descriptors have no attributes and can't be read; the link in /proc leads to the very same object. */
static const char *by_fd(int fd, char path[32]) {
        snprintf(path, 32, "/proc/self/fd/%d", fd);
        return path;
}

ssize_t compare_list_attributes(int fd, char **ret) {
        char path[32];
        _cleanup_free_ char *names = malloc(XATTR_LIST_MAX);

        if (!names)
                return -ENOMEM;
        ssize_t n = listxattr(by_fd(fd, path), names, XATTR_LIST_MAX);
        if (n < 0 && errno != EOPNOTSUPP)
                return -errno;
        *ret = TAKE_PTR(names);
        return n < 0 ? 0 : n;
}

ssize_t compare_get_attribute(int fd, const char *name, char **ret) {
        char path[32];
        _cleanup_free_ char *value = malloc(XATTR_SIZE_MAX);

        if (!value)
                return -ENOMEM;
        ssize_t n = getxattr(by_fd(fd, path), name, value, XATTR_SIZE_MAX);
        if (n < 0)
                return -errno;
        *ret = TAKE_PTR(value);
        return n;
}

bool compare_attribute_kept(const char *name) {
        return (str_starts(name, "user.") && !str_starts(name, OWN)) || str_equal(name, "system.posix_acl_access") ||
               str_equal(name, "system.posix_acl_default");
}

/* Those that the kernel sets by itself under our mount options, and that mean nothing outside. Of the others (redirect, metacopy, whiteout)
 * it sets none: whoever set them wants one object to be taken for another. */
static bool own_harmless(int fd, const char *name, const struct stat *st, bool top) {
        static const char *const harmless[] = { "origin", "impure", "nlink", "protattr" };
        _cleanup_free_ char *value = NULL;

        name += strlen(OWN);
        for (size_t i = 0; i < ELEMENTSOF(harmless); i++)
                if (str_equal(name, harmless[i]))
                        return true;
        if (str_equal(name, "uuid"))
                return top;
        return str_equal(name, "opaque") && S_ISDIR(st->st_mode) && compare_get_attribute(fd, OWN "opaque", &value) == 1 && value &&
               *value == 'y';
}

static const char *refused_attribute(int fd, const struct stat *st, bool top) {
        _cleanup_free_ char *names = NULL;
        ssize_t size = compare_list_attributes(fd, &names);

        if (size < 0)
                return "its attributes can't be read";
        for (const char *name = names; name < names + size; name += strlen(name) + 1) {
                if (str_starts(name, OWN) && !own_harmless(fd, name, st, top))
                        return "it has an attribute of overlayfs that stands for another object (user.overlay.*)";
                if (str_equal(name, "security.capability"))
                        return "it has file capabilities";
                if (str_starts(name, "trusted."))
                        return "it has trusted attributes";
        }
        return NULL;
}

const char *compare_refused(int fd, const struct stat *st, bool top) {
        if (sys_unsafe("overlay-refuse"))
                return NULL;
        switch (st->st_mode & S_IFMT) {
        case S_IFREG:
                if (st->st_mode & (S_ISUID | S_ISGID))
                        return "it has the set-user-ID or set-group-ID bit";
                break;
        case S_IFDIR:
        case S_IFLNK: break;
        case S_IFCHR:
        case S_IFBLK: return "it is a device node";
        case S_IFIFO: return "it is a FIFO";
        case S_IFSOCK: return "it is a socket";
        default: return "it is of an unknown type";
        }
        return refused_attribute(fd, st, top);
}

bool compare_opaque(int fd) {
        _cleanup_free_ char *value = NULL;

        return compare_get_attribute(fd, OWN "opaque", &value) == 1 && value && *value == 'y';
}

/* How many attributes that go with a file the one has, and whether the other has each of them with the same value. */
static int attributes_in(int a, int b, size_t *ret_n) {
        _cleanup_free_ char *names = NULL;
        ssize_t size = compare_list_attributes(a, &names);

        *ret_n = 0;
        if (size < 0)
                return size;
        for (const char *name = names; name < names + size; name += strlen(name) + 1) {
                _cleanup_free_ char *x = NULL, *y = NULL;
                if (!compare_attribute_kept(name))
                        continue;
                ssize_t n = compare_get_attribute(a, name, &x), m = compare_get_attribute(b, name, &y);
                if (n < 0 || n != m || memcmp(x, y, n) != 0)
                        return 0;
                ++*ret_n;
        }
        return 1;
}

static int same_attributes(int a, int b) {
        size_t n, m;
        int r = attributes_in(a, b, &n);

        if (r > 0)
                r = attributes_in(b, a, &m);
        return r > 0 ? n == m : r;
}

static int same_link(int a, int b) {
        char x[PATH_MAX], y[PATH_MAX];
        ssize_t n = readlinkat(a, "", x, sizeof(x)), m = n < 0 ? -1 : readlinkat(b, "", y, sizeof(y));

        return m < 0 ? -errno : n == m && memcmp(x, y, n) == 0;
}

/* The next offset at or after `at` where either has data; `size` where none has. */
static off_t next_data(int a, int b, off_t at, off_t size) {
        off_t x = lseek(a, at, SEEK_DATA), y;

        if (x < 0 && errno != ENXIO)
                return at;
        y = lseek(b, at, SEEK_DATA);
        if (y < 0 && errno != ENXIO)
                return at;
        if (x < 0)
                x = size;
        if (y < 0)
                y = size;
        return x < y ? x : y;
}

static int same_content(int a, int b, off_t size) {
        _cleanup_free_ char *x = malloc(1 << 17), *y = malloc(1 << 17);
        off_t at = 0;

        if (!x || !y)
                return -ENOMEM;
        while ((at = next_data(a, b, at, size)) < size) {
                ssize_t n = pread(a, x, 1 << 17, at), m = n < 0 ? -1 : pread(b, y, 1 << 17, at);
                if (m < 0)
                        return -errno;
                if (n != m || memcmp(x, y, n) != 0)
                        return 0;
                if (n == 0)
                        break;
                at += n;
        }
        return 1;
}

int compare_same(int upper, const struct stat *u, int lower, const struct stat *l) {
        char path[32];

        if (!S_ISLNK(u->st_mode) && (u->st_mode & 07777) != (l->st_mode & 07777))
                return 0;
        if (u->st_uid != l->st_uid || u->st_gid != l->st_gid)
                return 0;
        if (S_ISREG(u->st_mode) && u->st_size != l->st_size)
                return 0;
        int r = same_attributes(upper, lower);
        if (r <= 0)
                return r;
        if (S_ISLNK(u->st_mode))
                return same_link(upper, lower);
        if (!S_ISREG(u->st_mode))
                return 1;
        _cleanup_close_ int a = open(by_fd(upper, path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (a < 0)
                return -errno;
        _cleanup_close_ int b = open(by_fd(lower, path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return b < 0 ? -errno : same_content(a, b, u->st_size);
}
