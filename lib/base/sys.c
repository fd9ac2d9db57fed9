#include "sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "config.h"
#include "fd.h"

void sys_reap(pid_t pid, int *ret_status) {
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
                ;
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
