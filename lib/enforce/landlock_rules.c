/*
 * What Landlock adds below the view: a grant holds although a descriptor, a mount or a race leads elsewhere, because the kernel asks at
 * every open and exec by which directories the object is reached.
 *
 * Grants add up along a path, and nothing below a granted directory can be taken away again: what is narrower there is the mounts' matter.
 * Landlock doesn't restrict stat, readlink, access, chdir or changes of metadata.
 *
 * TCP ports are not handled: connect and bind are the broker's, whose own connections Landlock would not see, and its rules know no
 * addresses.
 */
#include "landlock_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

/* The headers' own struct ends where their kernel's did. */
struct ruleset_attr {
        uint64_t handled_access_fs, handled_access_net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_APPEND (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG)
#define FS_WRITE \
        (FS_APPEND | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
         LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
         LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define FS_DEVICE (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)
#define FS_ALL (FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_IOCTL_DEV)
/* What a rule on an object that is no directory may name; the kernel refuses the rest. */
#define FS_OF_FILES \
        (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_TRUNCATE | \
         LANDLOCK_ACCESS_FS_IOCTL_DEV)

int landlock_abi(void) {
        int abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        return abi < 0 ? 0 : abi;
}

static uint64_t handled_by(int abi) {
        uint64_t handled = FS_ALL;

        if (abi < 3)
                handled &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
        if (abi < 5)
                handled &= ~LANDLOCK_ACCESS_FS_IOCTL_DEV;
        return handled;
}

static int ruleset_new(int abi, bool signals) {
        struct ruleset_attr attr = {
                .handled_access_fs = handled_by(abi),
                /* Abstract sockets are the network namespace's names, and in the mode `host` those of the host: where a rule allows one,
                 * the broker, which is outside, connects. */
                .scoped = abi < 6 ? 0 : LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | (signals ? 0 : LANDLOCK_SCOPE_SIGNAL),
        };
        size_t size = abi >= 6   ? sizeof(attr)
                      : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                                 : offsetof(struct ruleset_attr, handled_access_net);
        int fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);

        return fd < 0 ? -errno : fd;
}

/* Grants `access` on what `path` shows; nothing to do where that doesn't exist or can't be reached anyway. */
static int grant(int ruleset, uint64_t handled, const char *path, uint64_t access) {
        struct stat st;

        access &= handled;
        if (access == 0)
                return 0;
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                access &= FS_OF_FILES;
        struct landlock_path_beneath_attr attr = { .allowed_access = access, .parent_fd = fd };
        if (access == 0)
                return 0;
        return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
}

static uint64_t access_of_rights(unsigned rights) {
        uint64_t access = 0;

        if (rights & RIGHT_READ)
                access |= FS_READ;
        if (rights & RIGHT_APPEND)
                access |= FS_APPEND;
        if (rights & RIGHT_WRITE)
                access |= FS_READ | FS_WRITE;
        if (rights & RIGHT_EXEC)
                access |= FS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
        return access;
}

static uint64_t access_of_node(const struct node *node) {
        switch (node->kind) {
        case NODE_DIR: return LANDLOCK_ACCESS_FS_READ_DIR;
        case NODE_OVERLAY:
        case NODE_BIND: return access_of_rights(node->rights);
        case NODE_TMPFS: return FS_READ | FS_WRITE | (node->rights & RIGHT_EXEC ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
        case NODE_FILE: return LANDLOCK_ACCESS_FS_READ_FILE;
        case NODE_PROC: return FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
        case NODE_DEV: return FS_DEVICE;
        case NODE_LINK:
        case NODE_MASK: return 0;
        }
        return 0;
}

static int grant_nodes(int ruleset, uint64_t handled, const struct plan *plan) {
        int r = 0;

        /* The root itself is a directory above something visible, and the way to list it. */
        r = grant(ruleset, handled, "/", LANDLOCK_ACCESS_FS_READ_DIR);
        for (size_t i = 0; r >= 0 && i < plan->n_nodes; i++)
                r = grant(ruleset, handled, plan->nodes[i].path, access_of_node(&plan->nodes[i]));
        return r;
}

/* The whole tree is there, and reading and writing are the broker's alone; what may be executed stays bounded by the rules. */
static int grant_whole_tree(int ruleset, uint64_t handled, const struct plan *plan) {
        const struct policy_files *files = &plan->policy->files;
        int r = grant(ruleset, handled, "/", FS_ALL & ~LANDLOCK_ACCESS_FS_EXECUTE);

        for (size_t i = 0; r >= 0 && i < files->n_rules; i++)
                if (files->rules[i].kind == FILE_EXEC && files->rules[i].path)
                        r = grant(ruleset, handled, files->rules[i].path, LANDLOCK_ACCESS_FS_EXECUTE);
        for (size_t i = 0; r >= 0 && i < plan->n_nodes; i++)
                if ((plan->nodes[i].rights & RIGHT_EXEC) && !str_equal(plan->nodes[i].path, "/"))
                        r = grant(ruleset, handled, plan->nodes[i].path, LANDLOCK_ACCESS_FS_EXECUTE);
        return r;
}

/* Without this, `cat /dev/stdin <file` would fail. It gives nothing that the descriptor itself doesn't. */
static int grant_open_file(int ruleset, uint64_t handled, int fd) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || fstat(fd, &st) < 0)
                return errno == EBADF ? 0 : -errno;
        if (!S_ISREG(st.st_mode) || (flags & O_PATH))
                return 0;
        struct landlock_path_beneath_attr attr = { .parent_fd = fd };
        if ((flags & O_ACCMODE) != O_WRONLY)
                attr.allowed_access |= LANDLOCK_ACCESS_FS_READ_FILE;
        if ((flags & O_ACCMODE) != O_RDONLY)
                attr.allowed_access |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
        attr.allowed_access &= handled;
        /* A memfd has no place in any tree (EBADFD), and Landlock lets it be. */
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 && errno != EBADFD)
                return -errno;
        return 0;
}

int landlock_apply(const struct plan *plan, const int *fds, size_t n_fds, bool signals) {
        int abi = landlock_abi();

        if (abi < LANDLOCK_ABI_NEEDED || sys_unsafe("landlock"))
                return 0;
        uint64_t handled = handled_by(abi);
        _cleanup_close_ int ruleset = ruleset_new(abi, signals);
        if (ruleset < 0)
                return ruleset;
        int r = plan->files_brokered ? grant_whole_tree(ruleset, handled, plan) : grant_nodes(ruleset, handled, plan);
        for (size_t i = 0; r >= 0 && i < n_fds; i++)
                r = grant_open_file(ruleset, handled, fds[i]);
        if (r < 0)
                return r;
        return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
