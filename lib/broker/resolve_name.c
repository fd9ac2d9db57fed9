/*
 * Names that are to be made, removed or given to something else: as filename_parentat() and the look-up after it in the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "walk.h"

struct call *names_lock(struct call *call, bool alone) {
        struct worker *w = call->worker;

        if (w->unsafe_names)
                return NULL;
        if (alone)
                pthread_rwlock_wrlock(&w->names);
        else
                pthread_rwlock_rdlock(&w->names);
        return call;
}

void names_unlock(struct call *call) {
        pthread_rwlock_unlock(&call->worker->names);
}

/* Pins the directory, as ret->parent, with its path in ret->path. */
static int resolve_parent(struct call *call, int dirfd, const char *path, size_t length, struct pin *ret) {
        _cleanup_(pin_done) struct pin parent = { .fd = -1, .parent = -1 };
        char directory[PATH_MAX + 1], name[NAME_MAX + 2];
        int e;

        /* What ends in a slash has to be a directory. */
        snprintf(directory, sizeof(directory), "%.*s", (int) length, length ? path : ".");
        if (length == 0)
                strcpy(directory, ".");
        memcpy(name, ret->name, sizeof(name));
        e = resolve(call, dirfd, directory, RESOLVE_FOLLOW, &parent);
        *ret = parent;
        memcpy(ret->name, name, sizeof(name));
        ret->fd = ret->parent = -1;
        if (e < 0)
                return e;
        if (!S_ISDIR(parent.st.st_mode))
                return -ENOTDIR;
        ret->parent = parent.fd;
        parent.fd = -1;
        if (ret->outside) {
                enum where where = e = locate(call_receiver(call), ret->parent, ret->path, NULL);
                return e < 0 ? e : where == WHERE_FOREIGN ? -EACCES : 0;
        }
        return ret->match.state == MATCH_DENIED ? -EACCES : 0;
}

/* Looks the name up, without the slashes after it. */
static int look_up(struct call *call, const char *name, size_t length, struct pin *ret) {
        char plain[PATH_MAX + 1];
        int e;

        memcpy(plain, name, length);
        plain[length] = 0;
        ret->fd = proc_look_up(call_receiver(call), ret->parent, ret->path, plain);
        e = ret->fd < 0 && ret->fd != -ENOENT ? ret->fd : 0;
        if (ret->fd < 0)
                ret->fd = -1;
        /* Some file systems take longer names; nothing here does. */
        if (e == 0 && length > NAME_MAX && !ret->outside)
                e = -ENAMETOOLONG;
        /* In a directory that is gone nothing is found, and nothing can be made. */
        if (e < 0 || ret->outside) {
                ret->fd = fd_close(ret->fd);
                return e;
        }
        if (ret->fd >= 0 && fstat(ret->fd, &ret->st) < 0)
                return -errno;
        e = path_append(ret->path, plain, length);
        return e < 0 ? e : pin_match(call, ret, WHERE_INSIDE, RESOLVE_PARENT);
}

int resolve_name(struct call *call, int dirfd, const char *path, struct pin *ret) {
        size_t end = strlen(path), start;
        bool slash;
        int e;

        pin_init(ret);
        if (end == 0)
                return -ENOENT;
        while (end > 0 && path[end - 1] == '/')
                end--;
        start = end;
        while (start > 0 && path[start - 1] != '/')
                start--;
        slash = path[end] == '/';
        if (end - start <= NAME_MAX)
                snprintf(ret->name, sizeof(ret->name), "%.*s%s", (int) (end - start), path + start, slash ? "/" : "");
        bool special = end == start || (end - start == 1 && path[start] == '.') ||
                       (end - start == 2 && path[start] == '.' && path[start + 1] == '.');

        e = resolve_parent(call, dirfd, path, end == start ? 1 : start, ret);
        ret->special = special;
        /* The right to search is asked for `.` and `..` as for any other name, and before the kernel sees that they are none. */
        if (e >= 0 && special && end != start) {
                _cleanup_close_ int fd = proc_look_up(call_receiver(call), ret->parent, ret->path, ".");
                e = fd < 0 ? fd : 0;
        }
        if (e < 0)
                pin_done(ret);
        if (e < 0 || special)
                return e;
        e = look_up(call, path + start, end - start, ret);
        /* A name that is too long is so only once it is looked for: its directory stays. */
        if (e < 0 && e != -ENAMETOOLONG)
                pin_done(ret);
        return e;
}
