/*
 * The sandbox's root, namespaces and mounts, as its callers have them.
 *
 * They are taken from the first caller, since its root is final by then, and since the sandbox's init can't be looked into by anybody. In a
 * sandbox whose programs have no capabilities nor get any (no_new_privs), and whose filter keeps unshare, setns and chroot from them, they
 * are those of all callers. Where the namespaces aren't ours a caller can have any ids and capabilities, and another root within the sandbox's: that
 * one was taken before anything could change it, and is given to each worker. Namespaces are those of all callers there as well. Each thread is chrooted, and joins the network, UTS and IPC namespace: what /proc/sys says of these depends on
 * who opens it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "path.h"
#include "str.h"
#include "sys.h"

static const struct {
        const char *path, *own;
        int type;
} namespaces[] = {
        { "ns/net", "thread-self/ns/net", CLONE_NEWNET },
        { "ns/uts", "thread-self/ns/uts", CLONE_NEWUTS },
        { "ns/ipc", "thread-self/ns/ipc", CLONE_NEWIPC },
};

#define MAX_MOUNTINFO (4U << 20)

/* What a process that enters has still, without effect, until it executes its program (privileges.c of the launcher). It gives nothing over files. */
#define UNTIL_EXECVE (UINT64_C(1) << CAP_KILL)

/* ---- mounts ---- */

static void mounts_done(struct mounts *m) {
        for (size_t i = 0; i < m->n; i++) {
                free(m->list[i].root);
                free(m->list[i].point);
        }
        free(m->list);
        *m = (struct mounts) {};
}

static int compare_mounts(const void *a, const void *b) {
        const struct mount *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static int mounts_add(struct mounts *m, char *line) {
        char *save, *word, *words[5], type[32];
        struct mount mount = {};

        char *rest = strstr(line, " - ");
        if (!rest)
                return -EINVAL;
        snprintf(type, sizeof(type), "%.*s", (int) strcspn(rest + 3, " "), rest + 3);
        mount.proc = str_equal(type, "proc");
        mount.tmpfs = str_equal(type, "tmpfs");
        mount.usual = path_of_kernel_tree(type);
        word = strtok_r(line, " ", &save);
        for (size_t i = 0; i < ELEMENTSOF(words); i++, word = strtok_r(NULL, " ", &save)) {
                if (!word)
                        return -EINVAL;
                words[i] = word;
        }
        unsigned major, minor;
        if (sscanf(words[2], "%u:%u", &major, &minor) != 2)
                return -EINVAL;
        mount.id = strtoull(words[0], NULL, 10);
        mount.device = makedev(major, minor);
        if ((m->n & (m->n - 1)) == 0) {
                struct mount *larger = realloc(m->list, (m->n ? m->n * 2 : 1) * sizeof(*larger));
                if (!larger)
                        return -ENOMEM;
                m->list = larger;
        }
        if (mount.usual) {
                path_unescape(words[3]);
                path_unescape(words[4]);
                mount.root = strdup(words[3]);
                mount.point = strdup(words[4]);
                if (!mount.root || !mount.point) {
                        free(mount.root);
                        free(mount.point);
                        return -ENOMEM;
                }
                mount.elsewhere = path_kernel_tree_elsewhere(mount.usual, mount.root, mount.point);
        }
        m->list[m->n++] = mount;
        return 0;
}

/* The path of the caller's root as the sandbox sees it, without a slash at its end; 0: it is the sandbox's. */
static int caller_top(struct call *call, char top[PATH_MAX + 1]) {
        char name[16];
        int root, r = root_of_caller(call, &root);

        top[0] = 0;
        if (r < 0 || root < 0)
                return r;
        snprintf(name, sizeof(name), "%d", root);
        ssize_t n = readlinkat(call_receiver(call)->own_fds, name, top, PATH_MAX);
        if (n < 0)
                return -errno;
        top[n == 1 ? 0 : n] = 0;
        return 1;
}

ssize_t target_path_seen(struct call *call, char *path, size_t n) {
        char top[PATH_MAX + 1];
        int r = caller_top(call, top);
        size_t length = strlen(top);

        if (r <= 0)
                return r < 0 ? r : (ssize_t) n;
        if (n < length || memcmp(path, top, length) != 0 || (n > length && path[length] != '/'))
                return n;
        if (n == length) {
                path[0] = '/';
                return 1;
        }
        memmove(path, path + length, n - length);
        return n - length;
}

/* In a process of its own: the caller's mounts as they are seen from the sandbox's root. Only system calls, since other threads may hold any lock. */
static _noreturn_ void write_mounts(struct worker *w, int namespace, int out) {
        char buffer[4096];
        ssize_t n = -1;

        if (setns(namespace, CLONE_NEWNS) < 0 || fchdir(w->root.root) < 0 || chroot(".") < 0)
                _exit(1);
        int fd = openat(w->proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
                if (write(out, buffer, n) != n)
                        _exit(1);
        _exit(n != 0);
}

/* For a caller with another root, who isn't shown them all. */
static int read_from_root(struct call *call, char **ret, size_t *ret_size) {
        struct receiver *r = call_receiver(call);
        int out[2], status = 0;

        _cleanup_close_ int namespace = target_open_proc(call, "ns/mnt", O_RDONLY);
        if (namespace < 0)
                return namespace;
        if (pipe2(out, O_CLOEXEC) < 0)
                return -errno;
        bool raised = rights_raise(r);
        pid_t pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
        if (pid == 0)
                write_mounts(r->worker, namespace, out[1]);
        int e = pid < 0 ? -errno : 0;
        if (raised)
                rights_lower(r);
        close(out[1]);
        if (e >= 0)
                e = fd_read_file(out[0], MAX_MOUNTINFO, ret, ret_size);
        close(out[0]);
        while (pid > 0 && waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
                ;
        return e < 0 ? e : status ? -EPERM : 0;
}

static int read_mountinfo(struct call *call, char **ret, size_t *ret_size) {
        int root, e = root_of_caller(call, &root);

        if (e < 0)
                return e;
        if (root >= 0)
                return read_from_root(call, ret, ret_size);
        _cleanup_close_ int fd = target_open_proc(call, "mountinfo", O_RDONLY);
        return fd < 0 ? fd : fd_read_file(fd, MAX_MOUNTINFO, ret, ret_size);
}

static int mounts_parse(char *text, struct mounts *m) {
        int r = 0;

        for (char *save, *line = strtok_r(text, "\n", &save); r >= 0 && line; line = strtok_r(NULL, "\n", &save))
                r = mounts_add(m, line);
        return r;
}

static bool has_device(const struct mounts *m, dev_t device) {
        for (size_t i = 0; i < m->n; i++)
                if (m->list[i].device == device)
                        return true;
        return false;
}

/* A tmpfs that the host can't see was made in the container's mount namespace; one that is bound into it from the host is there as well. Where the
 * host's can't be read, none counts as the container's own. */
static void mounts_find_apart(const struct worker *w, struct mounts *m) {
        _cleanup_(mounts_done) struct mounts host = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (w->mounts < 0 || lseek(w->mounts, 0, SEEK_SET) < 0 || fd_read_file(w->mounts, MAX_MOUNTINFO, &text, &size) < 0 ||
            mounts_parse(text, &host) < 0 || host.n == 0)
                return;
        for (size_t i = 0; i < m->n; i++)
                m->list[i].apart = m->list[i].tmpfs && !has_device(&host, m->list[i].device);
}

/* Called with the lock held. */
static int mounts_read(struct call *call, struct mounts *ret) {
        _cleanup_(mounts_done) struct mounts m = {};
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r = read_mountinfo(call, &text, &size);

        if (r >= 0)
                r = mounts_parse(text, &m);
        if (r < 0)
                return r;
        mounts_find_apart(call_receiver(call)->worker, &m);
        qsort(m.list, m.n, sizeof(m.list[0]), compare_mounts);
        *ret = m;
        m = (struct mounts) {};
        return 0;
}

static const struct mount *find_mount(const struct mounts *m, uint64_t id) {
        struct mount key = { .id = id };

        return m->n ? bsearch(&key, m->list, m->n, sizeof(key), compare_mounts) : NULL;
}

/* Called with the lock held. Mounts can come to a sandbox later, where its view takes them from the host: what isn't known is looked for. */
static int mount_get(struct receiver *r, uint64_t id, const struct mount **ret) {
        struct sandbox_root *root = &r->worker->root;
        const struct mount *mount = find_mount(&root->mounts, id);

        if (!mount) {
                struct mounts m = {};
                int e = mounts_read(&r->call, &m);
                if (e < 0)
                        return e;
                mounts_done(&root->mounts);
                root->mounts = m;
                mount = find_mount(&root->mounts, id);
        }
        *ret = mount;
        return mount ? 0 : -ENOENT;
}

int root_mount_known(struct receiver *r, uint64_t mount_id) {
        struct sandbox_root *root = &r->worker->root;
        const struct mount *mount;

        pthread_mutex_lock(&root->lock);
        int e = mount_get(r, mount_id, &mount);
        pthread_mutex_unlock(&root->lock);
        return e;
}

bool root_mount_apart(struct receiver *r, uint64_t mount_id) {
        struct sandbox_root *root = &r->worker->root;
        const struct mount *mount;

        pthread_mutex_lock(&root->lock);
        bool apart = mount_get(r, mount_id, &mount) >= 0 && mount->apart;
        pthread_mutex_unlock(&root->lock);
        return apart;
}

bool root_is_proc(struct receiver *r, dev_t device) {
        struct sandbox_root *root = &r->worker->root;
        bool found = false;

        pthread_mutex_lock(&root->lock);
        for (size_t i = 0; i < root->mounts.n && !found; i++)
                found = root->mounts.list[i].proc && root->mounts.list[i].device == device;
        pthread_mutex_unlock(&root->lock);
        return found;
}

/* What lies at `path` on the mount, below `top` and the mount's own root. */
static int path_on(const struct mount *mount, const char *top, const char *path, char *ret) {
        size_t n = str_equal(mount->point, "/") ? 0 : strlen(mount->point);

        if (!path_covers(mount->point, path))
                return -ENOENT;
        return snprintf(ret, PATH_MAX, "%s%s%s", top, strcmp(mount->root, "/") == 0 ? "" : mount->root, path + n) < PATH_MAX ? 0 : -ENOENT;
}

int root_proc_path(struct receiver *r, uint64_t mount_id, const char *path, char *ret) {
        struct sandbox_root *root = &r->worker->root;
        const struct mount *mount;

        pthread_mutex_lock(&root->lock);
        int e = mount_get(r, mount_id, &mount);
        if (e >= 0)
                e = mount->proc ? path_on(mount, "", path, ret) : -ENOENT;
        pthread_mutex_unlock(&root->lock);
        return e;
}

int root_usual_path(struct receiver *r, uint64_t mount_id, const char *path, char *ret) {
        struct sandbox_root *root = &r->worker->root;
        const struct mount *mount;

        pthread_mutex_lock(&root->lock);
        int e = mount_get(r, mount_id, &mount);
        if (e >= 0 && mount->elsewhere) {
                e = path_on(mount, mount->usual, path, ret);
                e = e < 0 ? e : 1;
        }
        pthread_mutex_unlock(&root->lock);
        return e;
}

/* ---- root and namespaces ---- */

static bool same_directory(int fd, const char *path) {
        struct statx a, b;
        unsigned mask = STATX_INO | STATX_MNT_ID;

        return statx(fd, "", AT_EMPTY_PATH, mask, &a) >= 0 && statx(AT_FDCWD, path, 0, mask, &b) >= 0 && a.stx_ino == b.stx_ino &&
               a.stx_mnt_id == b.stx_mnt_id && a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
}

static bool same_object(const struct statx *a, const struct statx *b) {
        return a->stx_ino == b->stx_ino && a->stx_mnt_id == b->stx_mnt_id && a->stx_dev_major == b->stx_dev_major &&
               a->stx_dev_minor == b->stx_dev_minor;
}

#define ROOT_MASK (STATX_INO | STATX_MNT_ID)

void root_forget_caller(struct receiver *r) {
        if (r->root_known)
                r->root = fd_close(r->root);
        r->root_known = false;
}

int root_of_caller(struct call *call, int *ret) {
        struct receiver *r = call_receiver(call);
        struct statx stx;

        *ret = -1;
        if (!setting_is_foreign(call->plan->setting))
                return 0;
        if (!r->root_known) {
                _cleanup_close_ int fd = target_open_proc(call, "root", O_PATH | O_DIRECTORY);
                if (fd < 0)
                        return fd;
                if (statx(fd, "", AT_EMPTY_PATH, ROOT_MASK, &stx) < 0)
                        return -errno;
                r->root = same_object(&stx, &r->worker->root.identity) ? -1 : TAKE_FD(fd);
                r->root_known = true;
        }
        *ret = r->root;
        return 0;
}

static int find_namespaces(struct receiver *r, int found[ELEMENTSOF(namespaces)]) {
        for (size_t i = 0; i < ELEMENTSOF(namespaces); i++) {
                struct stat theirs, ours;
                _cleanup_close_ int fd = target_open_proc(&r->call, namespaces[i].path, O_RDONLY);
                if (fd < 0)
                        return fd;
                if (fstat(fd, &theirs) < 0 || fstatat(r->worker->proc, namespaces[i].own, &ours, 0) < 0)
                        return -errno;
                if (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev)
                        found[i] = TAKE_FD(fd);
        }
        return 0;
}

/* Called with the lock held, by the first thread that has a call. */
static int root_find(struct receiver *r) {
        struct sandbox_root *root = &r->worker->root;
        int found[ELEMENTSOF(namespaces)] = { -1, -1, -1 };
        struct task_status status;
        struct mounts mounts = {};
        int e;

        bool foreign = setting_is_foreign(r->worker->plan->setting);
        _cleanup_close_ int fd =
                foreign ? fcntl(r->worker->outside, F_DUPFD_CLOEXEC, 3) : target_open_proc(&r->call, "root", O_PATH | O_DIRECTORY);
        if (fd < 0)
                return foreign ? -errno : fd;
        if (statx(fd, "", AT_EMPTY_PATH, ROOT_MASK, &root->identity) < 0)
                return -errno;
        fd_close(root->root);
        root->root = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (root->root < 0)
                return -errno;
        e = find_namespaces(r, found);
        if (e >= 0)
                e = target_status(&r->call, &status);
        if (e >= 0)
                e = mounts_read(&r->call, &mounts);
        if (e < 0) {
                for (size_t i = 0; i < ELEMENTSOF(found); i++)
                        fd_close(found[i]);
                return e;
        }
        root->root_is_ours = same_directory(fd, "/");
        memcpy(root->namespaces, found, sizeof(found));
        root->credentials = status.credentials;
        root->constant = !foreign && status.no_new_privs && (status.permitted & ~UNTIL_EXECVE) == 0;
        mounts_done(&root->mounts);
        root->mounts = mounts;
        root->ready = true;
        return 0;
}

/* The capabilities that a thread can still want once it has entered: to look at the caller, and to move it to a CPU. */
#define KEPT (UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_SYS_NICE | UINT64_C(1) << CAP_SYS_RESOURCE)

static int root_join(struct receiver *r) {
        struct sandbox_root *root = &r->worker->root;
        int e;

        e = credentials_own(&r->credentials);
        if (e < 0)
                return e;
        e = confine_effective(confine_get_permitted());
        if (e < 0)
                return e;
        for (size_t i = 0; i < ELEMENTSOF(namespaces); i++)
                if (root->namespaces[i] >= 0 && setns(root->namespaces[i], namespaces[i].type) < 0)
                        return -errno;
        if (!root->root_is_ours && (fchdir(root->root) < 0 || chroot(".") < 0))
                return -errno;
        r->umask = 0;
        umask(0);

        uint64_t before = r->credentials.effective;
        r->credentials.effective = confine_get_permitted();
        if (root->constant) {
                e = credentials_take(r, &root->credentials);
                if (e < 0)
                        return e;
                return confine_permitted(KEPT, root->credentials.effective);
        }
        r->credentials.effective = before;
        return confine_effective(before);
}

int root_enter(struct receiver *r) {
        struct sandbox_root *root = &r->worker->root;
        int e = 0;

        if (r->entered)
                return 0;
        pthread_mutex_lock(&root->lock);
        if (!root->ready)
                e = root_find(r);
        pthread_mutex_unlock(&root->lock);
        if (e < 0)
                return e;
        e = root_join(r);
        if (e < 0)
                return e;
        r->entered = true;
        return 0;
}

bool target_absent_outside(struct call *call, const char *path) {
        _cleanup_close_ int fd =
                sys_openat2(call->worker->outside, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

        return fd < 0 && (errno == ENOENT || errno == ENOTDIR);
}
