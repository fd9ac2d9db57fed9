/*
 * getdents and getdents64, without the names that the rules hide. The broker reads the directory by its own copy of the caller's descriptor, which
 * shares the position: so telldir, seekdir and rewinddir are the kernel's own, and where not all of what was read can be handed over, the position
 * is put back behind what was.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "metadata.h"

struct entry { /* linux_dirent64 */
        uint64_t ino;
        int64_t next; /* position behind it */
        uint16_t size;
        uint8_t type;
        char name[];
};
struct old_entry { /* linux_dirent; its type is the last byte of it */
        uint64_t ino;
        uint64_t next;
        uint16_t size;
        char name[];
};

#define MAX_READ (32U << 10) /* what glibc asks for; the kernel itself may give less than fits */
#define MIN_READ 1024U       /* more than any entry takes */

struct listing {
        struct call *call;
        struct pin dir;
        char *buffer; /* owned */
        bool old;
        size_t prefix;                          /* length of `path` without the name */
        char path[PATH_MAX + 1 + NAME_MAX + 1]; /* of an entry */
};

static void listing_done(struct listing *l) {
        pin_done(&l->dir);
        free(l->buffer);
}

static bool is_directory(const struct listing *l, const struct entry *e) {
        struct stat st;

        /* Not every file system says it with the name. */
        if (e->type != DT_UNKNOWN)
                return e->type == DT_DIR;
        return fstatat(l->dir.fd, e->name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISDIR(st.st_mode);
}

static bool hidden(struct listing *l, const struct entry *e) {
        if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 || l->dir.outside)
                return false;
        size_t n = strlen(e->name);
        if (n > NAME_MAX)
                return true;
        memcpy(l->path + l->prefix, e->name, n + 1);
        enum match_state state = match_object(call_match(l->call, l->path), is_directory(l, e)).state;
        /* Of a denied directory that something is granted in, only that is listed. */
        return state == MATCH_HIDDEN || (state == MATCH_DENIED && match_closes(l->dir.match));
}

/* On this architecture an entry of old is as long as one of now: only its name comes one byte earlier, and its type last. */
static void make_old(struct entry *e) {
        _Static_assert(offsetof(struct old_entry, name) + 1 == offsetof(struct entry, name), "layout of old");
        struct old_entry *old = (struct old_entry *) e;
        uint8_t type = e->type;

        memmove(old->name, e->name, strlen(e->name) + 1);
        ((char *) old)[old->size - 1] = type;
}

/* What is to be handed over of `n` bytes in the buffer, moved together at its start, at most `room` bytes. `*ret_at` is the position behind the last
 * entry that was dealt with. -EINVAL: not even the first fits. */
static ssize_t filter_entries(struct listing *l, size_t n, size_t room, int64_t *at) {
        size_t kept = 0;

        for (size_t i = 0; i < n;) {
                struct entry *e = (struct entry *) (l->buffer + i);
                size_t size = e->size;
                if (!hidden(l, e)) {
                        if (kept + size > room)
                                return kept > 0 ? (ssize_t) kept : -EINVAL;
                        *at = e->next;
                        memmove(l->buffer + kept, e, size);
                        if (l->old)
                                make_old((struct entry *) (l->buffer + kept));
                        kept += size;
                } else
                        *at = e->next;
                i += size;
        }
        return kept;
}

/* Hands over as many entries as the caller's memory takes: as the kernel does, which writes one after the other. */
static ssize_t give(struct listing *l, uint64_t address, size_t n, int64_t *at) {
        size_t given = 0;
        int r;

        r = target_write(l->call, address, l->buffer, n);
        if (r >= 0)
                return n;
        if (r != -EFAULT)
                return r;
        while (given < n) {
                const struct entry *e = (const struct entry *) (l->buffer + given);
                /* Of now's, the kernel writes no further than the name goes. */
                size_t size = l->old ? e->size : offsetof(struct entry, name) + strlen(e->name) + 1;
                r = target_write(l->call, address + given, e, size);
                if (r < 0)
                        break;
                *at = e->next;
                given += e->size;
        }
        return given > 0 ? (ssize_t) given : r;
}

/* One round: 0 at the end of the directory, -EAGAIN where all that was read is hidden. */
static ssize_t list_some(struct listing *l, uint64_t address, size_t room) {
        size_t size = room < MIN_READ ? MIN_READ : room > MAX_READ ? MAX_READ : room;
        int64_t start, at;
        ssize_t n, kept;

        start = at = lseek(l->dir.fd, 0, SEEK_CUR);
        if (start < 0)
                return -errno;
        act_move(l->call, start);
        n = target_act_ids(l->call);
        if (n < 0)
                return n;
        n = syscall(SYS_getdents64, l->dir.fd, l->buffer, size);
        n = n < 0 ? -errno : n;
        target_act_done(l->call);
        if (n <= 0)
                return n;

        int64_t end = at;
        for (ssize_t i = 0; i < n; i += ((struct entry *) (l->buffer + i))->size)
                end = ((struct entry *) (l->buffer + i))->next;
        kept = filter_entries(l, n, room, &at);
        if (kept > 0) {
                int64_t given_at = start;
                ssize_t given = give(l, address, kept, &given_at);
                if (given < kept)
                        at = given_at;
                kept = given;
        } else if (kept == 0)
                kept = -EAGAIN;
        if (at != end && lseek(l->dir.fd, at, SEEK_SET) < 0 && kept >= 0)
                return -errno;
        /* Where a failed call leaves the position is the file system's affair: it fails once more, for the same reason. */
        if ((kept == -EINVAL || kept == -EFAULT) && syscall(SYS_getdents64, l->dir.fd, kept == -EFAULT ? NULL : l->buffer, room) < 0)
                return -errno;
        return kept;
}

/* May the directory be listed by whoever has it open? */
static bool may_list(const struct pin *dir) {
        if (dir->outside)
                return dir->st.st_nlink == 0;
        return match_reads(dir->match);
}

static struct verdict do_getdents(struct call *call, bool old) {
        _cleanup_(listing_done) struct listing l = { .call = call, .old = old, .dir = PIN_INIT };
        int count = CALL_INT(call, 2); /* what the kernel counts down from: with less than nothing no entry fits */
        size_t room = count < 0 ? 0 : count;
        ssize_t n;
        int r;

        r = descriptor_pin(call, CALL_INT(call, 0), &l.dir);
        if (r < 0)
                return files_failed(call, &l.dir, r, false);
        if (!S_ISDIR(l.dir.st.st_mode))
                return verdict_error(ENOTDIR);
        if (!may_list(&l.dir))
                return files_refuse(call, &l.dir.match, EACCES, "read");
        l.buffer = malloc(room > MAX_READ ? MAX_READ : room < MIN_READ ? MIN_READ : room);
        if (!l.buffer)
                return verdict_error(ENOMEM);
        l.prefix = strlen(l.dir.path);
        memcpy(l.path, l.dir.path, l.prefix);
        if (l.prefix > 1)
                l.path[l.prefix++] = '/';
        /* From where the predecessor has found it. */
        int64_t moved = act_moved(call);
        if (moved >= 0 && lseek(l.dir.fd, moved, SEEK_SET) < 0)
                return verdict_error(errno);
        do
                n = list_some(&l, CALL_ARG(call, 1), room);
        while (n == -EAGAIN);
        if (n >= 0)
                act_answer(call, n, 0);
        return n < 0 ? verdict_from(n) : verdict_value(n);
}

struct verdict handle_getdents(struct call *call) {
        return do_getdents(call, true);
}

struct verdict handle_getdents64(struct call *call) {
        return do_getdents(call, false);
}
