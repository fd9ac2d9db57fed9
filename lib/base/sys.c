#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "config.h"
#include "fd.h"

void sys_reap(pid_t pid, int *ret_status) {
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
                ;
}

static int stat_namespace(pid_t pid, const char *kind, struct stat *ret) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
        return stat(path, ret) < 0 ? -errno : 0;
}

int sys_same_namespace(pid_t a, pid_t b, const char *kind) {
        struct stat of_a, of_b;
        int r = stat_namespace(a, kind, &of_a);

        if (r >= 0)
                r = stat_namespace(b, kind, &of_b);
        return r < 0 ? r : of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

int sys_read_number(const char *path, long *ret) {
        char text[32];
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return n < 0 ? n : -EIO;
        text[n] = 0;
        *ret = strtol(text, NULL, 10);
        return 0;
}

int sys_unsafe(const char *name) {
#if UNSAFE_SWITCHES
        const char *list = getenv("SANDBOXD_UNSAFE");
        size_t length = strlen(name);

        for (const char *p = list ? list : ""; *p; p += strcspn(p, ","), p += *p == ',')
                if (strncmp(p, name, length) == 0 && (p[length] == ',' || p[length] == 0))
                        return 1;
#else
        (void) name;
#endif
        return 0;
}
