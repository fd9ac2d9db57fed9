/*
 * The links of procfs that depend on who follows them: self and thread-self, which are made for the process that reads them, and the magic
 * links below /proc/PID, which lead to an object without naming it.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fd.h"
#include "walk.h"

#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif

/* The number that a path within procfs begins with, or -1. */
static pid_t number_of(const char *path) {
        char *end;

        if (path[0] != '/' || !isdigit((unsigned char) path[1]))
                return -1;
        long n = strtol(path + 1, &end, 10);
        return (*end == '/' || *end == 0) && n > 0 && n <= INT32_MAX ? n : -1;
}

/* Is it one of our own threads? To itself the kernel would show everything. */
static bool is_own_thread(struct worker *w, pid_t number) {
        bool found = number == getpid();

        pthread_mutex_lock(&w->lock);
        for (unsigned i = 0; i < w->max_threads && !found; i++)
                found = w->receivers[i] && w->receivers[i]->tid == number;
        pthread_mutex_unlock(&w->lock);
        return found;
}

/* The same for all processes that run our program, where callers could have a right over them: the supervisor, and the workers of others. */
static bool is_worker(struct receiver *r, pid_t number) {
        struct worker *w = r->worker;
        char name[32];
        struct stat st;

        if (is_own_thread(w, number))
                return true;
        if (!setting_is_foreign(w->plan->setting))
                return false;
        snprintf(name, sizeof(name), "%d/exe", number);
        bool raised = rights_raise(r);
        bool ours = fstatat(w->proc, name, &st, 0) >= 0 && st.st_dev == w->exe.st_dev && st.st_ino == w->exe.st_ino;
        if (raised)
                rights_lower(r);
        return ours;
}

/* The caller's numbers, as this procfs has them: it can be that of a pid namespace above the caller's own. */
static pid_t own_tgid(struct receiver *r, dev_t device) {
        return device == r->worker->proc_device ? target_tgid_outside(&r->call) : target_tgid_inside(&r->call);
}

static pid_t own_tid(struct receiver *r, dev_t device) {
        return device == r->worker->proc_device ? (pid_t) r->call.notif->pid : target_tid_inside(&r->call);
}

int target_check_process(struct call *call, pid_t number) {
        struct receiver *r = call_receiver(call);
        pid_t inside = target_tid_inside(call);

        if (inside < 0)
                return inside;
        /* In a pid namespace of the caller's own there is none of them. */
        if (inside != (pid_t) call->notif->pid)
                return 0;
        return is_worker(r, number) ? -EPERM : 1;
}

int proc_check(struct receiver *r, dev_t device, uint64_t mount_id, const char *path) {
        char within[PATH_MAX];

        /* In a procfs of the sandbox's own pid namespace the worker isn't to be found. */
        if (device != r->worker->proc_device)
                return 0;
        if (root_proc_path(r, mount_id, path, within) < 0)
                return -EACCES;
        pid_t pid = number_of(within);
        if (pid < 0)
                return 0;
        if (is_worker(r, pid))
                return -EACCES;
        const char *task = strstr(within, "/task/");
        return task && is_worker(r, number_of(task + 5)) ? -EACCES : 0;
}

int proc_check_open(struct receiver *r, const struct pin *pin) {
        char within[PATH_MAX];
        struct statx stx;

        /* The memory of another process: with Yama in the way, the kernel asks whether one is the other's ancestor, and it would ask that of us,
         * who may look into all of the sandbox. And in a pid namespace that is not the sandbox's alone it could be anybody's. */
        if ((!r->worker->trace_restricted && pin->st.st_dev != r->worker->proc_device) || pin->outside || !S_ISREG(pin->st.st_mode) ||
            !root_is_proc(r, pin->st.st_dev))
                return 0;
        if (statx(pin->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                return -errno;
        int e = root_proc_path(r, stx.stx_mnt_id, pin->path, within);
        if (e < 0)
                return e == -ENOENT ? -EACCES : e;
        pid_t pid = number_of(within), tgid = own_tgid(r, pin->st.st_dev);
        if (tgid < 0)
                return tgid;
        const char *name = strrchr(within, '/');
        return pid > 0 && pid != tgid && name && strcmp(name, "/mem") == 0 ? -EACCES : 0;
}

/* Is `path` on a mount the caller's own /proc/PID/fd, or that of one of its threads? */
static bool is_own_fds(struct receiver *r, dev_t device, uint64_t mount_id, const char *path) {
        char within[PATH_MAX], own[32];

        if (root_proc_path(r, mount_id, path, within) < 0)
                return false;
        const char *name = strrchr(within, '/');
        int n = snprintf(own, sizeof(own), "/%d/", own_tgid(r, device));
        return name && strcmp(name, "/fd") == 0 && strncmp(within, own, n) == 0;
}

bool pin_own_fds(struct call *call, const struct pin *pin) {
        struct receiver *r = call_receiver(call);
        struct statx stx;

        if (pin->outside || !S_ISDIR(pin->st.st_mode) || !root_is_proc(r, pin->st.st_dev))
                return false;
        return statx(pin->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) >= 0 && is_own_fds(r, pin->st.st_dev, stx.stx_mnt_id, pin->path);
}

int proc_look_up(struct receiver *r, int at, const char *path, const char *name) {
        int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct statx stx;
        struct stat st;

        if (fd >= 0 || errno != EACCES)
                return fd < 0 ? -errno : fd;
        /* proc_fd_permission(): one's own descriptors are there whatever has become of one's ids. */
        if (fstat(at, &st) < 0 || !root_is_proc(r, st.st_dev) || statx(at, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 ||
            !is_own_fds(r, st.st_dev, stx.stx_mnt_id, path) || !rights_raise(r))
                return -EACCES;
        fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        int e = fd < 0 ? -errno : fd;
        rights_lower(r);
        if (!loop_valid(&r->call)) {
                fd_close(fd);
                return -ESRCH;
        }
        return e;
}

int proc_link_kind(struct receiver *r, int link, const char *path, uint64_t mount_id, const char *name, struct proc_place *ret) {
        char within[PATH_MAX];
        struct statfs fs;
        struct stat st;
        int e;

        if (fstat(link, &st) < 0 || fstatfs(link, &fs) < 0)
                return -errno;
        if (fs.f_flags & ST_NOSYMFOLLOW)
                return -ELOOP;
        if (fs.f_type != PROC_SUPER_MAGIC)
                return PROC_LINK_PLAIN;
        e = root_proc_path(r, mount_id, path, within);
        if (e < 0)
                /* A procfs that the sandbox doesn't have, or moved in a way that we don't understand. */
                return e == -ENOENT ? -EACCES : e;

        pid_t tgid = own_tgid(r, st.st_dev), tid = own_tid(r, st.st_dev);
        if (tgid < 0 || tid < 0)
                return tgid < 0 ? tgid : tid;
        if (within[0] == 0 || strcmp(within, "/") == 0) {
                if (strcmp(name, "self") == 0)
                        snprintf(ret->text, sizeof(ret->text), "%d", tgid);
                else if (strcmp(name, "thread-self") == 0)
                        snprintf(ret->text, sizeof(ret->text), "%d/task/%d", tgid, tid);
                else
                        return PROC_LINK_PLAIN;
                return PROC_LINK_TEXT;
        }
        pid_t pid = number_of(within);
        if (pid < 0)
                return PROC_LINK_PLAIN;
        e = proc_check(r, st.st_dev, mount_id, path);
        if (e < 0)
                return e;
        ret->own = pid == tgid || pid == tid;
        return PROC_LINK_MAGIC;
}

int proc_link_follow(struct receiver *r, int at, const char *name, const struct proc_place *place) {
        int fd = openat(at, name, O_PATH | O_CLOEXEC);
        int e = fd < 0 ? -errno : fd;

        /* Nobody is kept from looking at himself. For all others the kernel says what it says to the caller's ids. */
        if ((e == -EACCES || e == -EPERM) && place->own && rights_raise(r)) {
                fd = openat(at, name, O_PATH | O_CLOEXEC);
                e = fd < 0 ? -errno : fd;
                rights_lower(r);
        }
        if (!loop_valid(&r->call)) {
                fd_close(fd);
                return -ESRCH;
        }
        return e;
}
