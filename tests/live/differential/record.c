/*
 * What a call gave, as text. What can't be the same on both sides is replaced by what must be: inode, device and mount numbers by the order in
 * which they are first seen, pids by names, times that nobody set by "now". Free space and allocated blocks are left out, and so is everything
 * but the type and mode of what lies on another file system than the tree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "differential.h"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif
#define SET_BEFORE 1500000000
#define NUMBERS_MAX 2048

struct numbers {
        struct {
                uint64_t key[2];
        } seen[2][NUMBERS_MAX];
        unsigned n[2];
};

enum { INODES, MOUNTS };

size_t numbers_size(void) {
        return sizeof(struct numbers);
}

static unsigned number(struct numbers *numbers, int which, uint64_t a, uint64_t b) {
        unsigned n = numbers->n[which];

        for (unsigned i = 0; i < n; i++)
                if (numbers->seen[which][i].key[0] == a && numbers->seen[which][i].key[1] == b)
                        return i;
        if (n < NUMBERS_MAX) {
                numbers->seen[which][n].key[0] = a;
                numbers->seen[which][n].key[1] = b;
                numbers->n[which]++;
        }
        return n;
}

static unsigned inode_number(struct record *r, uint64_t inode) {
        return r->inodes_count ? number(r->numbers, INODES, r->device, inode) : 0;
}

static void add_time(struct text *t, const char *name, int64_t seconds, long nanoseconds) {
        if (seconds < SET_BEFORE)
                text_add(t, " %s=%lld.%09ld", name, (long long) seconds, nanoseconds);
        else
                text_add(t, " %s=now", name);
}

static void add_stat(struct record *r, const struct call *call, const struct stat *st) {
        struct text *t = r->text;

        text_add(t, " {%06o", st->st_mode);
        if (call->outside || st->st_dev != r->device) {
                text_add(t, "}");
                return;
        }
        text_add(t, " %u:%u i%u n%lu", st->st_uid, st->st_gid, inode_number(r, st->st_ino), (unsigned long) st->st_nlink);
        text_add(t, " size=%lld/%ld", (long long) st->st_size, (long) st->st_blksize);
        if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
                text_add(t, " rdev=%lx", (unsigned long) st->st_rdev);
        if (!S_ISLNK(st->st_mode) || !r->limited)
                add_time(t, "a", st->st_atim.tv_sec, st->st_atim.tv_nsec);
        add_time(t, "m", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
        add_time(t, "c", st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
        text_add(t, "}");
}

static void add_statx(struct record *r, const struct call *call, const struct statx *stx) {
        struct text *t = r->text;
        uint64_t device = makedev(stx->stx_dev_major, stx->stx_dev_minor);

        text_add(t, " {mask=%x %06o", stx->stx_mask, stx->stx_mode);
        if (call->outside || device != r->device) {
                text_add(t, "}");
                return;
        }
        text_add(t, " %u:%u i%u n%u", stx->stx_uid, stx->stx_gid, inode_number(r, stx->stx_ino), stx->stx_nlink);
        text_add(t, " attributes=%llx/%llx", (unsigned long long) stx->stx_attributes, (unsigned long long) stx->stx_attributes_mask);
        text_add(t, " size=%llu/%u", (unsigned long long) stx->stx_size, stx->stx_blksize);
        text_add(t, " rdev=%x:%x", stx->stx_rdev_major, stx->stx_rdev_minor);
        if (!S_ISLNK(stx->stx_mode) || !r->limited)
                add_time(t, "a", stx->stx_atime.tv_sec, stx->stx_atime.tv_nsec);
        add_time(t, "m", stx->stx_mtime.tv_sec, stx->stx_mtime.tv_nsec);
        add_time(t, "c", stx->stx_ctime.tv_sec, stx->stx_ctime.tv_nsec);
        add_time(t, "b", stx->stx_btime.tv_sec, stx->stx_btime.tv_nsec);
        if (stx->stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE))
                text_add(t, " mount=%u", number(r->numbers, MOUNTS, stx->stx_mnt_id, !!(stx->stx_mask & STATX_MNT_ID_UNIQUE)));
        text_add(t, " dio=%u:%u", stx->stx_dio_mem_align, stx->stx_dio_offset_align);
        for (size_t i = 0; i < ELEMENTS(stx->__spare3); i++)
                if (stx->__spare3[i])
                        text_add(t, " +%zu=%llx", i, (unsigned long long) stx->__spare3[i]);
        text_add(t, "}");
}

static void add_statfs(struct record *r, const struct call *call, const struct statfs *fs) {
        if (call->outside || call->proc)
                return;
        text_add(r->text, " {type=%lx block=%ld/%ld name=%ld flags=%lx}", (long) fs->f_type, (long) fs->f_bsize, (long) fs->f_frsize,
                 (long) fs->f_namelen, (long) fs->f_flags);
}

/* ---- Lists ---- */

struct entry {
        const char *name;
        unsigned char type;
        uint64_t inode;
};

static int by_name(const void *a, const void *b) {
        return strcmp(((const struct entry *) a)->name, ((const struct entry *) b)->name);
}

static void add_entries(struct record *r, const char *buffer, long size, bool is64) {
        static struct entry entries[2048];
        size_t n = 0;

        for (long i = 0; i < size && n < ELEMENTS(entries); n++) {
                uint16_t length;
                const char *at = buffer + i;
                memcpy(&entries[n].inode, at, 8);
                memcpy(&length, at + 16, 2);
                entries[n].name = at + (is64 ? 19 : 18);
                entries[n].type = is64 ? at[18] : at[length - 1];
                i += length;
        }
        qsort(entries, n, sizeof(entries[0]), by_name);
        text_add(r->text, " [%zu:", n);
        for (size_t i = 0; i < n; i++) {
                text_add(r->text, " ");
                text_add_bytes(r->text, entries[i].name, strlen(entries[i].name), r->work);
                text_add(r->text, ":%u", entries[i].type);
                if (strcmp(entries[i].name, "..") != 0)
                        text_add(r->text, ":i%u", inode_number(r, entries[i].inode));
        }
        text_add(r->text, "]");
}

void record_events(struct record *r, const char *events, size_t size) {
        uint32_t cookies[64];
        unsigned n = 0;

        text_add(r->text, " [");
        for (size_t i = 0; i + sizeof(struct inotify_event) <= size;) {
                const struct inotify_event *event = (const struct inotify_event *) (events + i);
                unsigned cookie = 0;
                if (event->cookie) {
                        while (cookie < n && cookies[cookie] != event->cookie)
                                cookie++;
                        if (cookie == n && n < ELEMENTS(cookies))
                                cookies[n++] = event->cookie;
                        cookie++;
                }
                text_add(r->text, " %d:%x:%u", event->wd, event->mask, cookie);
                if (event->len) {
                        text_add(r->text, ":");
                        /* A file that was made without a name is called by its inode's number. */
                        if (event->name[0] == '#')
                                text_add(r->text, "#");
                        else
                                text_add_bytes(r->text, event->name, strnlen(event->name, event->len), r->work);
                }
                i += sizeof(*event) + event->len;
        }
        text_add(r->text, "]");
}

/* ---- Strings ---- */

/* The caller's own numbers are others in each run. */
static void add_string(struct record *r, const char *bytes, size_t size) {
        char copy[PATH_MAX + 64], own[2][16];
        size_t n = 0;

        snprintf(own[0], sizeof(own[0]), "%d", r->tgid);
        snprintf(own[1], sizeof(own[1]), "%d", r->tid);
        /* Behind the bytes there may be nothing. */
        if (size > PATH_MAX || size == 0 || ((bytes[0] < '0' || bytes[0] > '9') && (size < 6 || memcmp(bytes, "/proc/", 6) != 0))) {
                text_add_bytes(r->text, bytes, size, r->work);
                return;
        }
        for (size_t i = 0; i < size && n < PATH_MAX;) {
                size_t digits = 0;
                while (i + digits < size && bytes[i + digits] >= '0' && bytes[i + digits] <= '9')
                        digits++;
                bool starts = i == 0 || bytes[i - 1] == '/', ends = i + digits == size || bytes[i + digits] == '/';
                if (digits && starts && ends && digits == strlen(own[0]) && memcmp(bytes + i, own[0], digits) == 0) {
                        n += sprintf(copy + n, "$PID");
                        i += digits;
                } else if (digits && starts && ends && digits == strlen(own[1]) && memcmp(bytes + i, own[1], digits) == 0) {
                        n += sprintf(copy + n, "$TID");
                        i += digits;
                } else
                        copy[n++] = bytes[i++];
        }
        text_add_bytes(r->text, copy, n, r->work);
}

void record_buffer(struct record *r, const struct call *call, const struct arg *arg, uint64_t address, long result) {
        const char *at = (const char *) address;

        switch (arg->kind) {
        case STAT_OUT: add_stat(r, call, (const struct stat *) at); break;
        case STATX_OUT: add_statx(r, call, (const struct statx *) at); break;
        case STATFS_OUT: add_statfs(r, call, (const struct statfs *) at); break;
        case DENTS_OUT: add_entries(r, at, result, false); break;
        case DENTS64_OUT: add_entries(r, at, result, true); break;
        case FILE_ATTR_OUT:
                text_add(r->text, " ");
                text_add_bytes(r->text, at, 24, NULL);
                break;
        default:
                /* Asked for the size alone, with a buffer that has none. */
                if (result <= 0 || arg->size == 0)
                        break;
                text_add(r->text, " ");
                add_string(r, at, result);
        }
}

/* ---- Descriptors ---- */

void record_descriptor(struct record *r, const struct call *call, int fd) {
        long flags = SYS(SYS_fcntl, fd, F_GETFL), own = SYS(SYS_fcntl, fd, F_GETFD), position = SYS(SYS_lseek, fd, 0, SEEK_CUR);
        struct stat st;

        /* What is opened through a pin can't have O_NOFOLLOW among its flags: the link to the pin must be followed. */
        text_add(r->text, " flags=%lo,%ld", flags & ~(long) O_NOFOLLOW, own);
        long r_stat = SYS(SYS_fstat, fd, &st);
        if (r_stat < 0) {
                text_add(r->text, " fstat -%s", errno_name((int) -r_stat));
                return;
        }
        if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
                text_add(r->text, " at=%ld", position);
        add_stat(r, call, &st);
}

void record_where(struct record *r) {
        char cwd[PATH_MAX + 64];
        long n = SYS(SYS_getcwd, cwd, sizeof(cwd));

        if (n < 0) {
                text_add(r->text, " in -%s", errno_name((int) -n));
                return;
        }
        text_add(r->text, " in ");
        add_string(r, cwd, n - 1);
}

bool record_foreign(const struct record *r, int fd) {
        struct statfs fs;
        struct stat st;

        if ((fd == AT_FDCWD ? SYS(SYS_statfs, ".", &fs) : SYS(SYS_fstatfs, fd, &fs)) < 0)
                return false;
        if (fs.f_type == 0x9fa0 || fs.f_type == 0x1cd1 || fs.f_type == 0x62656572) /* procfs, devpts, sysfs */
                return true;
        /* On the same file system, perhaps, but nothing of the tree: the program itself, say. */
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        long n = fd < 0 ? 0 : SYS(SYS_readlink, link, path, sizeof(path));
        size_t length = strlen(r->work);
        if (n > 0 && path[0] == '/' && ((size_t) n < length || memcmp(path, r->work, length) != 0))
                return true;
        return (fd == AT_FDCWD ? SYS(SYS_stat, ".", &st) : SYS(SYS_fstat, fd, &st)) >= 0 && st.st_dev != r->device &&
               (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) && (fs.f_type != 0x01021994 || !S_ISREG(st.st_mode));
}
