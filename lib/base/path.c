#include "path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

bool path_covers(const char *folder, const char *path) {
        size_t n = folder[0] == '/' && folder[1] == 0 ? 0 : strlen(folder);

        return strncmp(folder, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

bool path_owner_trusted(uid_t owner, uid_t reader) {
        struct stat st;

        /* The host's root owns the kernel's settings. */
        return owner == 0 || owner == reader || (stat("/proc/sys/kernel/ostype", &st) == 0 && owner == st.st_uid);
}

int path_make_parents(char *path, mode_t mode) {
        for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = 0;
                int r = mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
                *p = '/';
                if (r < 0)
                        return r;
        }
        return 0;
}
