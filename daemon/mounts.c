#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "modules.h"
#include "path.h"
#include "str.h"
#include "sys.h"

#define MOUNTS_MAX 4096
#define NO_LINKS (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT)
#define DEV_DEPTH 8

struct mount_line {
        uint64_t id, parent;
        char *path, *root, *type, *options; /* root: within its file system */
        bool propagates;                    /* it is shared, or takes what is mounted elsewhere */
        bool hidden;                        /* something else is mounted over it or above it */
};

/* ---- mountinfo ---- */

/* "36 35 98:0 /root /at rw,noatime shared:1 - ext4 /dev/x rw" */
static int parse_line(char *line, struct mount_line *ret) {
        char *fields[6], *save = NULL, *word = strtok_r(line, " ", &save);

        for (size_t i = 0; i < ELEMENTSOF(fields); i++, word = strtok_r(NULL, " ", &save))
                if (!(fields[i] = word))
                        return -EBADMSG;
        for (; word && !str_equal(word, "-"); word = strtok_r(NULL, " ", &save))
                ret->propagates = ret->propagates || str_starts(word, "shared:") || str_starts(word, "master:");
        word = word ? strtok_r(NULL, " ", &save) : NULL;
        if (!word)
                return -EBADMSG;
        path_unescape(fields[3]);
        path_unescape(fields[4]);
        ret->id = strtoull(fields[0], NULL, 10);
        ret->parent = strtoull(fields[1], NULL, 10);
        ret->root = strdup(fields[3]);
        ret->path = strdup(fields[4]);
        ret->options = strdup(fields[5]);
        ret->type = strdup(word);
        return ret->root && ret->path && ret->options && ret->type ? 0 : -ENOMEM;
}

static const struct mount_line *find_id(const struct mount_list *list, uint64_t id) {
        for (size_t i = 0; i < list->n; i++)
                if (list->lines[i].id == id)
                        return &list->lines[i];
        return NULL;
}

/* Whether one is the other, or was mounted on it, or on something that was. */
static bool stands_on(const struct mount_list *list, const struct mount_line *line, const struct mount_line *below) {
        for (size_t i = 0; line && i < list->n; i++) {
                if (line == below)
                        return true;
                line = find_id(list, line->parent);
        }
        return false;
}

/* Whoever walks to its place ends, or goes on, in what was mounted there later. */
static bool is_hidden(const struct mount_list *list, const struct mount_line *line) {
        for (size_t i = 0; i < list->n; i++)
                if (path_covers(list->lines[i].path, line->path) && !stands_on(list, line, &list->lines[i]))
                        return true;
        return false;
}

static int read_lines(FILE *file, struct mount_list *list) {
        _cleanup_free_ char *line = NULL;
        size_t room = 0;

        for (ssize_t n; (n = getline(&line, &room, file)) > 0;) {
                struct mount_line *larger = list->n < MOUNTS_MAX ? reallocarray(list->lines, list->n + 1, sizeof(*larger)) : NULL;
                if (!larger)
                        return list->n < MOUNTS_MAX ? -ENOMEM : -E2BIG;
                list->lines = larger;
                list->lines[list->n] = (struct mount_line) {};
                line[strcspn(line, "\n")] = 0;
                int r = parse_line(line, &list->lines[list->n++]);
                if (r < 0)
                        return r;
        }
        return ferror(file) ? -EIO : 0;
}

int mount_list_read(pid_t pid, struct mount_list *ret) {
        char path[64];

        *ret = (struct mount_list) {};
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        int r = file ? read_lines(file, ret) : -errno;
        if (r >= 0) {
                ret->paths = calloc(ret->n + 1, sizeof(*ret->paths));
                r = ret->paths ? 0 : -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < ret->n; i++) {
                ret->lines[i].hidden = is_hidden(ret, &ret->lines[i]);
                if (!ret->lines[i].hidden)
                        ret->paths[ret->n_paths++] = ret->lines[i].path;
        }
        if (r < 0)
                mount_list_done(ret);
        return r;
}

void mount_list_done(struct mount_list *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->lines[i].root);
                free(list->lines[i].path);
                free(list->lines[i].type);
                free(list->lines[i].options);
        }
        free(list->lines);
        free(list->paths);
        *list = (struct mount_list) {};
}

static bool has_option(const struct mount_line *line, const char *name) {
        size_t n = strlen(name);

        for (const char *p = line->options; *p; p += p[0] == ',') {
                size_t length = strcspn(p, ",");
                if (length == n && strncmp(p, name, n) == 0)
                        return true;
                p += length;
        }
        return false;
}

/* ---- what the rules ask for ---- */

struct sealing {
        const struct plan *plan;
        pid_t pid;
        int root;
        char **ret_why;
};

static _printf_(3, 4) int wrong(const struct sealing *s, int error, const char *format, ...) {
        va_list args;

        if (*s->ret_why)
                return error;
        va_start(args, format);
        if (vasprintf(s->ret_why, format, args) < 0)
                *s->ret_why = NULL;
        va_end(args);
        return error;
}

static int wrong_place(const struct sealing *s, const char *path, int error, const char *what) {
        _cleanup_free_ char *text = str_escape(path);

        return wrong(s, error, "its mount at %s doesn't hold the policy's rules for files: %s", text ?: "?", what);
}

static int open_place(const struct sealing *s, const char *path, int flags) {
        int fd = sys_openat2(s->root, path[1] ? path + 1 : ".", flags | O_CLOEXEC, 0, NO_LINKS);

        return fd < 0 ? -errno : fd;
}

/* The runtime's own /dev, in which nobody makes devices any more, its terminals, and single devices that the policy names, such as the null on what the
 * runtime masks. */
static bool keeps_devices(const struct sealing *s, const struct mount_line *line, int fd) {
        struct stat st;

        if (str_equal(line->path, "/dev"))
                return str_equal(line->type, "tmpfs");
        if (str_equal(line->path, "/dev/pts"))
                return str_equal(line->type, "devpts");
        return fstat(fd, &st) >= 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && modules_device_named(s->plan, &st);
}

static uint64_t attributes(const struct sealing *s, const struct mount_line *line, int fd) {
        struct match match = plan_match(s->plan, line->path);
        unsigned rights = match.state == MATCH_GRANTED ? match.rights : 0;

        return (rights & RIGHT_WRITE ? 0 : MOUNT_ATTR_RDONLY) | (rights & RIGHT_EXEC ? 0 : MOUNT_ATTR_NOEXEC) |
               (keeps_devices(s, line, fd) ? 0 : MOUNT_ATTR_NODEV);
}

/* The mount that whoever walks to the path comes to is this one. */
static int open_mount(const struct sealing *s, const struct mount_line *line) {
        struct statx stx;
        _cleanup_close_ int fd = open_place(s, line->path, O_PATH);

        if (fd < 0)
                return wrong_place(s, line->path, fd, strerror(-fd));
        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 || !(stx.stx_mask & STATX_MNT_ID) || stx.stx_mnt_id != line->id)
                return wrong_place(s, line->path, -EPERM, "another one is in its place");
        return TAKE_FD(fd);
}

struct change {
        const struct mount_line *line;
        int fd;
        uint64_t attributes;
};

/* In the container's mount namespace, where alone its mounts can be changed; all that has to be known of them is known. The status is an errno. */
static int change_inside(int namespace, const struct change *changes, size_t n) {
        if (setns(namespace, CLONE_NEWNS) < 0)
                return errno;
        for (size_t i = 0; i < n; i++) {
                struct mount_attr attr = { .attr_set = changes[i].attributes };
                if (attr.attr_set && mount_setattr(changes[i].fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
                        return errno;
        }
        return 0;
}

static int change(const struct sealing *s, const struct change *changes, size_t n) {
        char path[64];
        int status = -1;

        snprintf(path, sizeof(path), "/proc/%d/ns/mnt", s->pid);
        _cleanup_close_ int namespace = open(path, O_RDONLY | O_CLOEXEC);
        pid_t child = namespace < 0 ? -1 : fork();
        if (child == 0)
                _exit(change_inside(namespace, changes, n));
        if (child < 0)
                return wrong(s, -errno, "its mounts can't be entered: %s", strerror(errno));
        sys_reap(child, &status);
        int error = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
        return error ? wrong(s, -error, "its mounts can't be given the attributes that the policy's rules for files need: %s",
                             strerror(error))
                     : 0;
}

static int seal(const struct sealing *s, const struct mount_list *list) {
        _cleanup_free_ struct change *changes = calloc(list->n_paths + 1, sizeof(*changes));
        size_t n = 0;
        int r = 0;

        if (!changes)
                return wrong(s, -ENOMEM, "%s", strerror(ENOMEM));
        for (size_t i = 0; r >= 0 && i < list->n; i++) {
                const struct mount_line *line = &list->lines[i];
                if (line->hidden)
                        continue;
                int fd = open_mount(s, line);
                if (fd < 0)
                        r = fd;
                else
                        changes[n++] = (struct change) { line, fd, attributes(s, line, fd) };
        }
        if (r >= 0)
                r = change(s, changes, n);
        for (size_t i = 0; i < n; i++)
                close(changes[i].fd);
        return r;
}

static bool holds(const struct mount_line *line, uint64_t attributes) {
        return (!(attributes & MOUNT_ATTR_RDONLY) || has_option(line, "ro")) &&
               (!(attributes & MOUNT_ATTR_NOEXEC) || has_option(line, "noexec")) &&
               (!(attributes & MOUNT_ATTR_NODEV) || has_option(line, "nodev"));
}

static int check_mount(const struct sealing *s, const struct mount_line *line) {
        _cleanup_close_ int fd = open_mount(s, line);

        if (fd < 0)
                return fd;
        if (!holds(line, attributes(s, line, fd)))
                return wrong_place(s, line->path, -EPERM, "it hasn't got the attributes that it was given");
        if (line->propagates)
                return wrong_place(s, line->path, -EPERM, "what is mounted elsewhere later can come to it");
        /* A procfs elsewhere shows what is masked in this one, and one of other processes leads to their files. */
        if (str_equal(line->type, "proc") && !path_covers("/proc", line->path))
                return wrong_place(s, line->path, -EPERM, "it is a procfs besides the container's own");
        const char *usual = path_of_kernel_tree(line->type);
        if (usual && path_kernel_tree_elsewhere(usual, line->root, line->path))
                return wrong_place(s, line->path, -EPERM, "it shows what rules name by another path");
        if (str_equal(line->path, "/proc") && !str_equal(line->type, "proc"))
                return wrong_place(s, line->path, -EPERM, "it is no procfs");
        if (str_equal(line->path, "/sys") && !str_equal(line->type, "sysfs"))
                return wrong_place(s, line->path, -EPERM, "it is no sysfs");
        return 0;
}

/* The place of a rule, which needs a mount of its own. */
static int check_node(const struct sealing *s, const struct node *node, const struct mount_list *list) {
        _cleanup_close_ int fd = open_place(s, node->path, O_PATH);

        if (fd == -ENOENT && path_covers("/proc", node->path))
                return 0;
        if (fd < 0)
                return wrong_place(s, node->path, fd, strerror(-fd));
        for (size_t i = 0; i < list->n; i++) {
                const struct mount_line *line = &list->lines[i];
                if (line->hidden || !str_equal(line->path, node->path))
                        continue;
                if (node->kind == NODE_MASK && str_equal(line->type, "proc"))
                        return wrong_place(s, node->path, -EPERM, "it shows what should be masked");
                return 0;
        }
        return wrong_place(s, node->path, -EPERM, "there is none");
}

/* What the runtime has made in /dev. */
static int check_devices(const struct sealing *s, int folder, dev_t device, unsigned depth) {
        DIR *directory = fdopendir(folder);
        int r = 0;

        if (!directory) {
                r = -errno;
                close(folder);
                return wrong_place(s, "/dev", r, strerror(-r));
        }
        for (const struct dirent *entry; r >= 0 && (entry = readdir(directory));) {
                struct stat st;
                if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
                        continue;
                if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                        r = wrong_place(s, "/dev", -errno, strerror(errno));
                else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && !modules_device_named(s->plan, &st)) {
                        _cleanup_free_ char *name = str_escape(entry->d_name);
                        r = wrong(s, -EPERM, "its /dev has the device %s, which no `devices` of the policy names", name ?: "?");
                } else if (S_ISDIR(st.st_mode) && st.st_dev == device) {
                        int below =
                                depth > 0 ? openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
                        r = below < 0 ? wrong_place(s, "/dev", -ELOOP, "it can't be looked at")
                                      : check_devices(s, below, device, depth - 1);
                }
        }
        closedir(directory);
        return r;
}

static int check_dev(const struct sealing *s) {
        struct stat st;
        int fd = open_place(s, "/dev", O_RDONLY | O_DIRECTORY);

        if (fd == -ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0) {
                fd_close(fd);
                return wrong_place(s, "/dev", -EPERM, "it can't be looked at");
        }
        return check_devices(s, fd, st.st_dev, DEV_DEPTH);
}

static int check(const struct sealing *s) {
        struct mount_list list;
        int r = mount_list_read(s->pid, &list);

        if (r < 0)
                return wrong(s, r, "its mounts can't be read: %s", strerror(-r));
        for (size_t i = 0; r >= 0 && i < list.n; i++)
                if (!list.lines[i].hidden)
                        r = check_mount(s, &list.lines[i]);
        for (size_t i = 0; r >= 0 && i < s->plan->n_nodes; i++)
                r = check_node(s, &s->plan->nodes[i], &list);
        if (r >= 0)
                r = check_dev(s);
        mount_list_done(&list);
        return r;
}

/* Where that can't be seen it counts as ours. */
static bool is_ours(pid_t pid, const char *kind) {
        return sys_same_namespace(pid, getpid(), kind) != 0;
}

int mounts_seal(const struct plan *plan, pid_t pid, int root, const struct mount_list *list, char **ret_why) {
        const struct sealing s = { plan, pid, root, ret_why };

        if (plan->files_brokered)
                return wrong(&s, -EPERM, "its runtime takes the rules for files to be held by its mounts, and they aren't: %s",
                             plan->brokered_why ?: "the policy has `enforce: broker`");
        /* Links of procfs lead from one process's files to those of any other in the same namespace. */
        if (is_ours(pid, "mnt") || is_ours(pid, "pid"))
                return wrong(&s, -EPERM,
                             "it has no mount and pid namespace of its own, so that mounts don't hold the policy's rules for files");
        int r = seal(&s, list);
        return r < 0 ? r : check(&s);
}
