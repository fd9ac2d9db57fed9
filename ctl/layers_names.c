/*
 * Names in layers and in the directories below them. Either side may change them while we look: nothing is walked twice by its text.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fd.h"
#include "layers.h"
#include "str.h"
#include "sys.h"

int open_below(int directory, const char *path, int flags) {
        flags |= O_CLOEXEC;
        if (sys_unsafe("overlay-beneath"))
                return openat(directory, *path ? path : ".", flags & O_DIRECTORY ? flags : flags | O_NOFOLLOW);
        return sys_openat2(directory, *path ? path : ".", flags | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int names_add(struct names *names, size_t *room, const char *name) {
        if (names->n == *room) {
                size_t larger = *room ? 2 * *room : 32;
                char **list = reallocarray(names->list, larger, sizeof(*list));
                if (!list)
                        return -ENOMEM;
                names->list = list;
                *room = larger;
        }
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        names->list[names->n++] = copy;
        return 0;
}

int names_read(int directory, struct names *ret) {
        struct names names = {};
        struct dirent *entry;
        size_t room = 0;
        int r = 0;

        /* A description of its own, so that the position is. */
        int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d) {
                r = -errno;
                fd_close(fd);
                return r;
        }
        while (errno = 0, r >= 0 && (entry = readdir(d)))
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
                        r = names_add(&names, &room, entry->d_name);
        if (r >= 0 && errno != 0)
                r = -errno;
        closedir(d);
        if (r < 0) {
                names_done(&names);
                return r;
        }
        if (names.n > 0)
                qsort(names.list, names.n, sizeof(*names.list), compare);
        *ret = names;
        return 0;
}

bool names_have(const struct names *names, const char *name) {
        return names->n > 0 && bsearch(&name, names->list, names->n, sizeof(*names->list), compare);
}

void names_done(struct names *names) {
        for (size_t i = 0; i < names->n; i++)
                free(names->list[i]);
        free(names->list);
        *names = (struct names) {};
}

char *path_join(const char *directory, const char *name) {
        char *path;

        return asprintf(&path, "%s%s%s", directory, *directory ? "/" : "", name) < 0 ? NULL : path;
}
