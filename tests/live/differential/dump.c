/*
 * What a tree looks like after a sequence, one line an object, sorted; and its removal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "differential.h"

#define SET_BEFORE 1500000000 /* times before this were set by somebody; others are the present */
#define INODES_MAX 1024

struct dump {
        struct text text;
        const char *work;
        bool inodes_count, limited;
        ino_t inodes[INODES_MAX];
        size_t n_inodes;
};

static size_t inode_number(struct dump *d, ino_t inode) {
        if (!d->inodes_count)
                return 0;
        for (size_t i = 0; i < d->n_inodes; i++)
                if (d->inodes[i] == inode)
                        return i;
        if (d->n_inodes < INODES_MAX)
                d->inodes[d->n_inodes++] = inode;
        return d->n_inodes - 1;
}

static void add_time(struct text *t, const char *name, const struct timespec *time) {
        if (time->tv_sec < SET_BEFORE)
                text_add(t, " %s=%ld.%09ld", name, (long) time->tv_sec, time->tv_nsec);
        else
                text_add(t, " %s=now", name);
}

static uint64_t hash_file(int dir, const char *name, const char *work) {
        uint64_t hash = 0xcbf29ce484222325;
        size_t length = strlen(work);
        char buffer[4096];
        ssize_t n;
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOATIME);

        if (fd < 0 && errno == EPERM)
                fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return errno;
        /* Beyond the first megabyte nobody writes: truncate makes holes. */
        for (int i = 0; i < 256 && (n = read(fd, buffer, sizeof(buffer))) > 0; i++)
                for (ssize_t j = 0; j < n; j++) {
                        /* The tree's own path has another name on the other side. */
                        if (buffer[j] == '/' && n - j >= (ssize_t) length && memcmp(buffer + j, work, length) == 0)
                                j += (ssize_t) length - 1;
                        else if (buffer[j] == '/' && n - j < (ssize_t) length && memcmp(buffer + j, work, n - j) == 0)
                                break;
                        hash = (hash ^ (unsigned char) buffer[j]) * 0x100000001b3;
                }
        close(fd);
        return hash;
}

static void add_xattrs(struct dump *d, int dir, const char *name) {
        char path[64 + NAME_MAX], names[4096], value[4096];

        snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
        ssize_t size = llistxattr(path, names, sizeof(names));
        for (ssize_t i = 0; i < size; i += (ssize_t) strlen(names + i) + 1) {
                ssize_t n = lgetxattr(path, names + i, value, sizeof(value));
                text_add(&d->text, " %s=", names + i);
                text_add_bytes(&d->text, value, n < 0 ? 0 : n > 200 ? 200 : n, d->work);
                text_add(&d->text, "(%zd)", n);
        }
}

static void describe(struct dump *d, int dir, const char *name, const char *shown, const struct stat *st) {
        struct text *t = &d->text;
        char target[PATH_MAX];

        text_add_bytes(t, shown, strlen(shown), d->work);
        text_add(t, ": %06o %u:%u n%lu", st->st_mode, st->st_uid, st->st_gid, (unsigned long) st->st_nlink);
        if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
                text_add(t, " file %zu", inode_number(d, st->st_ino));
        text_add(t, " size=%lld", (long long) st->st_size);
        if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
                text_add(t, " dev=%u:%u", major(st->st_rdev), minor(st->st_rdev));
        if (!S_ISLNK(st->st_mode) || !d->limited)
                add_time(t, "a", &st->st_atim);
        add_time(t, "m", &st->st_mtim);
        /* Whoever writes to a file changes its time, and can't set it back to what it was. */
        if (S_ISREG(st->st_mode) && st->st_mtim.tv_nsec == FIXTURE_NANOSECONDS && st->st_mtim.tv_sec / 10000 == FIXTURE_TIME / 10000)
                text_add(t, " as it was");
        else if (S_ISREG(st->st_mode))
                text_add(t, " hash=%016llx", (unsigned long long) hash_file(dir, name, d->work));
        if (S_ISLNK(st->st_mode)) {
                ssize_t n = readlinkat(dir, name, target, sizeof(target));
                text_add(t, " -> ");
                text_add_bytes(t, target, n < 0 ? 0 : n, d->work);
        }
        add_xattrs(d, dir, name);
        text_add(t, "\n");
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *entry) {
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int open_folder(int dir, const char *name) {
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd >= 0 || errno != EACCES)
                return fd;
        if (fchmodat(dir, name, 0700, 0) < 0)
                return -1;
        return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void walk(struct dump *d, int parent, const char *name, char *shown, unsigned depth) {
        size_t length = strlen(shown);
        struct dirent **entries;
        int dir = open_folder(parent, name);

        if (dir < 0) {
                text_add(&d->text, "(can't be opened: %s)\n", errno_name(errno));
                return;
        }
        int n = scandirat(dir, ".", &entries, not_dots, by_bytes);
        for (int i = 0; i < n; i++) {
                struct stat st;
                if (length + strlen(entries[i]->d_name) + 2 < 3 * PATH_MAX && depth < 100 &&
                    fstatat(dir, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0) {
                        sprintf(shown + length, "/%s", entries[i]->d_name);
                        describe(d, dir, entries[i]->d_name, shown, &st);
                        if (S_ISDIR(st.st_mode))
                                walk(d, dir, entries[i]->d_name, shown, depth + 1);
                        shown[length] = 0;
                }
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        close(dir);
}

char *tree_dump(const char *top, const char *work, const struct sequence *s) {
        struct dump d = { .work = work, .inodes_count = !(s->options & OPTION_REUSED), .limited = s->limited };
        char shown[3 * PATH_MAX + 2] = "";
        struct stat st;

        d.text.room = 1 << 20;
        d.text.data = malloc(d.text.room);
        if (!d.text.data)
                return NULL;
        d.text.data[0] = 0;
        if (lstat(top, &st) >= 0)
                walk(&d, AT_FDCWD, top, shown, 0);
        return d.text.data;
}

static int wipe(int parent, const char *name) {
        struct dirent **entries;
        int dir = open_folder(parent, name), r = 0;
        struct stat st;

        if (dir < 0)
                return -errno;
        if (fstat(dir, &st) >= 0 && (st.st_mode & 0700) != 0700)
                (void) fchmod(dir, 0700);
        int n = scandirat(dir, ".", &entries, not_dots, NULL);
        for (int i = 0; i < n; i++) {
                const char *entry = entries[i]->d_name;
                if (unlinkat(dir, entry, 0) < 0 &&
                    (errno != EISDIR || (r = wipe(dir, entry)) < 0 || unlinkat(dir, entry, AT_REMOVEDIR) < 0) && r == 0)
                        r = -errno;
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        close(dir);
        return r;
}

int tree_wipe(const char *top) {
        return wipe(AT_FDCWD, top);
}
