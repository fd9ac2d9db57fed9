#include "path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

bool path_covers(const char *folder, const char *path) {
        size_t n = folder[0] == '/' && folder[1] == 0 ? 0 : strlen(folder);

        return strncmp(folder, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

void path_unescape(char *text) {
        char *to = text;

        for (const char *p = text; *p; p++) {
                bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' && p[3] <= '7';
                *to++ = octal ? (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0')) : *p;
                p += octal ? 3 : 0;
        }
        *to = 0;
}

const char *path_of_kernel_tree(const char *type) {
        static const struct {
                const char *type, *path;
        } trees[] = {
                { "proc", "/proc" },
                { "sysfs", "/sys" },
                { "cgroup", "/sys/fs/cgroup" },
                { "cgroup2", "/sys/fs/cgroup" },
                { "bpf", "/sys/fs/bpf" },
                { "fusectl", "/sys/fs/fuse/connections" },
                { "pstore", "/sys/fs/pstore" },
                { "resctrl", "/sys/fs/resctrl" },
                { "selinuxfs", "/sys/fs/selinux" },
                { "smackfs", "/sys/fs/smackfs" },
                { "configfs", "/sys/kernel/config" },
                { "debugfs", "/sys/kernel/debug" },
                { "securityfs", "/sys/kernel/security" },
                { "tracefs", "/sys/kernel/tracing" },
                { "efivarfs", "/sys/firmware/efi/efivars" },
                { "binfmt_misc", "/proc/sys/fs/binfmt_misc" },
                { "nfsd", "/proc/fs/nfsd" },
        };

        for (size_t i = 0; i < ELEMENTSOF(trees); i++)
                if (strcmp(trees[i].type, type) == 0)
                        return trees[i].path;
        return NULL;
}

bool path_kernel_tree_elsewhere(const char *usual, const char *root, const char *point) {
        size_t n = strlen(usual);

        /* Several hierarchies of control groups share a folder, and a container is shown its own groups as their roots. */
        if (strcmp(usual, "/sys/fs/cgroup") == 0)
                return !path_covers(usual, point);
        return strncmp(point, usual, n) != 0 || strcmp(point[n] ? point + n : "/", root) != 0;
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
