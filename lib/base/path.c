#include "path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
