/*
 * Which descriptors of clients we take.
 *
 * A descriptor's file system can be its sender's own: FUSE asks its server at each close, in every process that has a copy, and waits for the answer where
 * not even SIGKILL is heard. A daemon that has such a descriptor for a moment only can be held up for ever, and so can a worker of somebody
 * else's whose execution closes the daemon's. So nothing is asked of a descriptor here that would reach its file system, and connections of
 * other users come through a process of their own (front.c), which vets what it hands on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sandboxd.h"
#include "str.h"

/* File systems without a device whose close waits for nobody but the kernel. */
static const char *const local[] = { "tmpfs", "overlay", "btrfs", "zfs", "bcachefs", "ramfs" };

/* Whether a device is one of ours: mounted here, as one of those. */
static bool is_local(unsigned major, unsigned minor) {
        FILE *f = fopen("/proc/self/mountinfo", "re");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        bool found = false;

        while (f && !found && getline(&line, &size, f) > 0) {
                unsigned mine_major, mine_minor;
                const char *type = strstr(line, " - ");
                if (!type || sscanf(line, "%*u %*u %u:%u", &mine_major, &mine_minor) != 2 || mine_major != major || mine_minor != minor)
                        continue;
                type += 3;
                for (size_t i = 0; i < ELEMENTSOF(local) && !found; i++) {
                        size_t n = strlen(local[i]);
                        found = strncmp(type, local[i], n) == 0 && type[n] == ' ';
                }
        }
        if (f)
                fclose(f);
        return found;
}

/* What isn't on any file system is known by its link's text, which else begins with a / or with "(unreachable)". */
static enum vet_kind by_link(const char *text) {
        static const struct {
                const char *text;
                enum vet_kind kind;
        } rows[] = { { "anon_inode:[pidfd]", VET_PIDFD }, { "anon_inode:seccomp notify", VET_LISTENER }, { "user:[", VET_USER } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (str_starts(text, rows[i].text))
                        return rows[i].kind;
        return VET_OTHER;
}

enum vet_kind vet(int fd) {
        int flags = fcntl(fd, F_GETFL);
        char path[64], text[64];
        struct statx st;

        if (flags < 0)
                return VET_OTHER;
        if (flags & O_PATH)
                return VET_PATH;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, text, sizeof(text) - 1);
        if (n < 0)
                return VET_OTHER;
        text[n] = 0;
        if (by_link(text) != VET_OTHER)
                return by_link(text);
        /* What the kernel knows of it already. */
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
                return VET_OTHER;
        switch (st.stx_mode & S_IFMT) {
        case S_IFSOCK: return VET_SOCKET;
        case S_IFIFO:
        case S_IFCHR: return VET_STREAM;
        case S_IFREG:
                if (fcntl(fd, F_GET_SEALS) >= 0)
                        return VET_MEMORY;
                return st.stx_dev_major != 0 || is_local(st.stx_dev_major, st.stx_dev_minor) ? VET_FILE : VET_OTHER;
        default: return VET_OTHER;
        }
}
