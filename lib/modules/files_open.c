/*
 * open, openat, openat2 and creat.
 *
 * What exists is pinned first and opened through the pin, so that its type and its place are known before the open; what doesn't is
 * created with O_EXCL in the pinned parent. So no name is looked up twice, and no FIFO can be slipped under a receiver.
 */
#include <fcntl.h>
#include <linux/major.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "files_open.h"
#include "sys.h"

/* Rounds of "absent", then "exists": somebody creates and removes the name all the time. */
#define CREATE_ROUNDS 64

static long protected_regular, protected_fifos;

/* Where the namespaces aren't ours, a node of any device can lie anywhere, and the kernel would ask the worker's control group whether it may be opened,
 * not the caller's. So besides terminals, and what gives access to nothing, these are opened: what the policy's names are on the host. */
#define DEVICES_MAX 64
static struct stat devices[DEVICES_MAX];
static size_t n_devices;

static void find_devices(const struct plan *plan) {
        const struct policy *policy = plan->policy;
        char path[PATH_MAX];

        n_devices = 0;
        for (size_t i = 0; setting_is_foreign(plan->setting) && i < policy->n_devices && n_devices < DEVICES_MAX; i++)
                if (device_listed(plan, policy->devices[i]) &&
                    snprintf(path, sizeof(path), "/dev/%s", policy->devices[i]) < (int) sizeof(path) &&
                    stat(path, &devices[n_devices]) >= 0)
                        n_devices++;
}

static bool device_named(const struct stat *st) {
        /* null, zero, full, random, urandom, tty, ptmx */
        const dev_t harmless[] = {
                makedev(1, 3), makedev(1, 5), makedev(1, 7), makedev(1, 8), makedev(1, 9), makedev(5, 0), makedev(5, 2),
        };
        dev_t device = st->st_rdev;

        if (S_ISCHR(st->st_mode) && major(device) >= 136 && major(device) <= 143)
                return true;
        for (size_t i = 0; S_ISCHR(st->st_mode) && i < ELEMENTSOF(harmless); i++)
                if (device == harmless[i])
                        return true;
        for (size_t i = 0; i < n_devices; i++)
                if (device == devices[i].st_rdev && (st->st_mode & S_IFMT) == (devices[i].st_mode & S_IFMT))
                        return true;
        return false;
}

bool modules_device_named(const struct plan *plan, const struct stat *st) {
        find_devices(plan);
        return device_named(st);
}

void files_open_prepare(const struct plan *plan) {
        find_devices(plan);
        (void) sys_read_number("/proc/sys/fs/protected_regular", &protected_regular);
        (void) sys_read_number("/proc/sys/fs/protected_fifos", &protected_fifos);
}

/* The kernel's may_create_in_sticky(): O_CREAT on somebody else's file in a sticky directory. It is not asked when we reopen without O_CREAT.
 * To be called while acting as the caller. */
static bool refused_in_sticky(const struct pin *pin) {
        /* Nobody can switch it off for what is neither: a device, a link that isn't followed. */
        long level = S_ISREG(pin->st.st_mode) ? protected_regular : S_ISFIFO(pin->st.st_mode) ? protected_fifos : 1;
        struct stat dir;

        if (level == 0 || pin->parent < 0 || fstat(pin->parent, &dir) < 0 || !(dir.st_mode & S_ISVTX))
                return false;
        if (pin->st.st_uid == dir.st_uid || pin->st.st_uid == (uid_t) setfsuid(-1))
                return false;
        return (dir.st_mode & S_IWOTH) || ((dir.st_mode & S_IWGRP) && level >= 2);
}

/* ---- Opening what exists ---- */

bool files_reopenable(struct call *call, const struct pin *pin, int flags) {
        int access = flags & O_ACCMODE;

        /* No type: an epoll, inotify, … descriptor, which the kernel opens for nobody. */
        if ((flags & O_PATH) || S_ISFIFO(pin->st.st_mode) || S_ISSOCK(pin->st.st_mode) || (pin->st.st_mode & S_IFMT) == 0 ||
            (pin->st.st_nlink == 0 && strncmp(pin->path, "/memfd:", 7) == 0))
                return true;
        if (S_ISDIR(pin->st.st_mode))
                return pin->deleted && pin->st.st_nlink == 0; /* there is nothing in it; from others `..` would climb out */

        /* What somebody was allowed by its name stays his until the last descriptor of it is closed. */
        struct match was = files_match_removed(call, pin);
        unsigned right = access == O_RDONLY && !(flags & O_TRUNC) ? RIGHT_READ : RIGHT_WRITE;
        if (S_ISREG(pin->st.st_mode) && was.state == MATCH_GRANTED && (was.rights & right))
                return true;

        _cleanup_close_ int fd = target_fd(call, pin->descriptor);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != pin->st.st_dev || st.st_ino != pin->st.st_ino)
                return false;
        int has = fcntl(fd, F_GETFL);
        return has >= 0 && !(has & O_PATH) && ((has & O_ACCMODE) == O_RDWR || (has & O_ACCMODE) == access) &&
               (!(flags & O_TRUNC) || (has & O_ACCMODE) != O_RDONLY) && (!(has & O_APPEND) || (flags & O_APPEND) || access == O_RDONLY);
}

/* Opens what may block behind a receiver's back: FIFOs, devices, files on which somebody has a lease. Everything else is opened inline. */
static int open_pinned(struct call *call, const struct opening *o, const struct pin *pin) {
        /* Of the flags that the pin has dealt with already, the link to it understands none (O_NOFOLLOW would stop at the link). The worker
         * never gets a terminal of its own. */
        int flags = (o->flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)) | O_NOCTTY;
        int r;

        if (S_ISREG(pin->st.st_mode)) {
                /* Who holds a lease on the file is waited for, but not here. */
                _cleanup_close_ int at_once = pin_open(call, pin, flags | O_NONBLOCK);
                /* no act: nobody else has it yet */
                if (at_once >= 0 && !(flags & O_NONBLOCK) && fcntl(at_once, F_SETFL, flags) < 0)
                        return -errno;
                if (at_once != -EWOULDBLOCK || (flags & O_NONBLOCK))
                        return TAKE_FD(at_once);
        } else if (S_ISDIR(pin->st.st_mode) || S_ISSOCK(pin->st.st_mode) || (pin->st.st_mode & S_IFMT) == 0)
                return pin_open(call, pin, flags);
        /* The other end of a FIFO sees us, and so does a device: not for a descriptor that can't be had. */
        r = target_fd_available(call);
        if (r < 0)
                return r;
        /* These never wait, and may be what lets those go on that do, even where no thread is left to wait in. */
        if (S_ISFIFO(pin->st.st_mode) && ((flags & O_NONBLOCK) || (flags & O_ACCMODE) == O_RDWR))
                return pin_open(call, pin, flags);
        /* The same goes for null, zero, full, random and their like, that every program opens. */
        if (S_ISCHR(pin->st.st_mode) && major(pin->st.st_rdev) == MEM_MAJOR)
                return pin_open(call, pin, flags);

        r = target_block_begin(call);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = pin_open(call, pin, flags);
        r = target_block_end(call);
        /* What was opened stays opened though a signal came by then: the other end of a FIFO has seen us. */
        if (r < 0 && !(fd >= 0 && r == -ERESTART))
                return r;
        return TAKE_FD(fd);
}

/* /dev/tty is the terminal of whoever opens it. The caller's is named in its own stat file; it is opened by its name in the sandbox's
 * devpts, where every terminal of the sandbox is. */
static int open_own_terminal(struct call *call, const struct opening *o) {
        _cleanup_(pin_done) struct pin stat_pin = PIN_INIT, pin = PIN_INIT;
        unsigned device = 0;
        char text[1024];
        int r;

        r = resolve(call, AT_FDCWD, "/proc/thread-self/stat", RESOLVE_FOLLOW, &stat_pin);
        if (r < 0)
                return r == -ESRCH ? r : -ENXIO;
        _cleanup_close_ int fd = pin_open(call, &stat_pin, O_RDONLY);
        if (fd < 0)
                return fd == -ESRCH ? fd : -ENXIO;
        ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return -ENXIO;
        text[n] = 0;
        /* The name, in parentheses, may hold anything. After it: state, ppid, pgrp, session, tty_nr. */
        const char *rest = strrchr(text, ')');
        if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %u", &device) != 1)
                return -ENXIO;
        unsigned major = (device >> 8) & 0xfff, minor = (device & 0xff) | ((device >> 12) & 0xfff00);
        if (major < 136 || major > 143)
                return -ENXIO;
        snprintf(text, sizeof(text), "/dev/pts/%u", (major - 136) * 256 + minor);
        r = resolve(call, AT_FDCWD, text, 0, &pin);
        if (r < 0)
                return r == -ESRCH ? r : -ENXIO;
        if (!S_ISCHR(pin.st.st_mode) || pin.st.st_rdev != makedev(major, minor))
                return -ENXIO;
        return open_pinned(call, o, &pin);
}

/* The errors of the kernel's do_open() and may_open() that a reopened pin wouldn't give, in their order. */
static int check_existing(struct call *call, const struct opening *o, const struct pin *pin) {
        mode_t type = pin->st.st_mode & S_IFMT;

        if (o->flags & O_CREAT) {
                if (o->flags & O_EXCL)
                        return -EEXIST;
                if (type == S_IFDIR)
                        return -EISDIR;
                int r = target_act_ids(call);
                if (r < 0)
                        return r;
                bool refused = refused_in_sticky(pin);
                target_act_done(call);
                if (refused)
                        return -EACCES;
        }
        if ((o->flags & O_DIRECTORY) && type != S_IFDIR)
                return -ENOTDIR;
        if (o->flags & O_PATH)
                return 0;
        if (type == S_IFLNK)
                return -ELOOP;
        return type == S_IFDIR && o->writes ? -EISDIR : 0;
}

static struct verdict opened(const struct opening *o, int fd) {
        return fd < 0 ? verdict_from(fd) : verdict_fd(fd, o->flags & O_CLOEXEC);
}

static struct verdict open_existing(struct call *call, const struct opening *o, const struct pin *pin) {
        const char *right;
        int r = check_existing(call, o, pin);

        if (r < 0)
                return verdict_from(r);
        if (pin->outside) {
                if (!files_reopenable(call, pin, o->flags))
                        return files_refuse(call, &pin->match, EACCES, o->writes ? "write" : "read");
        } else if ((right = opening_missing(call, o, pin)))
                return files_refuse(call, &pin->match, EACCES, right);
        if (o->flags & O_PATH)
                /* proceed: the kernel injects no O_PATH descriptors. One gives nothing to read or write; every use of it by path is decided again,
                 * and it is stat'ed at most. */
                return verdict_proceed(PROCEED_HARMLESS);
        if (setting_is_foreign(call->plan->setting) && (S_ISCHR(pin->st.st_mode) || S_ISBLK(pin->st.st_mode)) && !pin->outside &&
            !device_named(&pin->st)) {
                call->why = "no `devices` of the policy names this device";
                return verdict_deny(EACCES);
        }
        if (S_ISCHR(pin->st.st_mode) && pin->st.st_rdev == makedev(5, 0))
                return opened(o, open_own_terminal(call, o));
        return opened(o, open_pinned(call, o, pin));
}

/* ---- Creating ---- */

/* An opening that creates needs `write` or `append` on the name, and the opened file is held to the same rights as an existing one. */
static struct verdict may_create(struct call *call, const struct opening *o, const struct pin *pin, bool *ret) {
        const struct match *match = &pin->match;

        *ret = false;
        if (match->state != MATCH_GRANTED || !(match->rights & (RIGHT_WRITE | RIGHT_APPEND)))
                return files_refuse(call, match, EACCES, "write");
        if (o->reads && !(match->rights & RIGHT_READ))
                return files_refuse(call, match, EACCES, "read");
        if (!(match->rights & RIGHT_WRITE) && !(o->writes && o->appends && !o->truncates))
                return files_refuse(call, match, EACCES, "write");
        *ret = true;
        return verdict_value(0);
}

static int create_in_parent(struct call *call, const struct opening *o, const struct pin *pin) {
        int r = target_act(call);

        if (r < 0)
                return r;
        /* O_EXCL: the name is created here and now (a link is not followed), or the round begins anew with what somebody else has put there. */
        r = act_openat(call, pin->parent, pin->name, o->flags | O_CREAT | O_EXCL | O_NOCTTY, o->mode);
        target_act_done(call);
        return r;
}

static struct verdict open_or_create(struct call *call, const struct opening *o) {
        bool exclusive = o->flags & O_EXCL;
        unsigned flags = o->resolve | RESOLVE_PARENT | RESOLVE_WANT_PARENT | RESOLVE_CREATE |
                         (exclusive || (o->flags & O_NOFOLLOW) ? 0 : RESOLVE_FOLLOW);

        for (unsigned round = 0; round < CREATE_ROUNDS; round++) {
                _cleanup_(names_unlockp) struct call *held = names_lock(call, false);
                _cleanup_(pin_done) struct pin pin = PIN_INIT;
                bool allowed;
                int r = files_resolve(call, o->dirfd, o->path, flags, &pin);

                if (r < 0)
                        return files_failed(call, &pin, r, false);
                if (pin.fd >= 0) {
                        /* May wait, and needs no lock: what is pinned stays what the rules were asked of. */
                        names_unlockp(&held);
                        held = NULL;
                        return open_existing(call, o, &pin);
                }
                if (pin.outside)
                        return verdict_error(ENOENT); /* a directory that was removed: nothing is made in it */
                struct verdict refused = may_create(call, o, &pin, &allowed);
                if (!allowed)
                        return refused;
                int fd = create_in_parent(call, o, &pin);
                if (fd != -EEXIST)
                        return opened(o, fd);
        }
        return verdict_error(EEXIST);
}

/* O_TMPFILE: a file without a name in a directory. */
static struct verdict open_tmpfile(struct call *call, const struct opening *o) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r = files_resolve(call, o->dirfd, o->path, o->resolve | (o->flags & O_NOFOLLOW ? 0 : RESOLVE_FOLLOW), &pin);

        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (!S_ISDIR(pin.st.st_mode))
                return verdict_error(ENOTDIR);
        struct match match = files_match_removed(call, &pin);
        if (match.state != MATCH_GRANTED || !(match.rights & RIGHT_WRITE))
                return files_refuse(call, &pin.match, EACCES, "write");
        r = target_act(call);
        if (r < 0)
                return verdict_from(r);
        int fd = openat(pin.fd, ".", (o->flags & ~O_NOFOLLOW) | O_CLOEXEC, o->mode);
        r = fd < 0 ? -errno : fd;
        target_act_done(call);
        /* The kernel lets a process itself into its /proc/PID/fd, and finds that nothing can be made there. */
        if (r == -EACCES && pin_own_fds(call, &pin))
                r = -EOPNOTSUPP;
        return opened(o, r);
}

static struct verdict open_any(struct call *call, const struct opening *o) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        if (o->flags & OPEN_TMPFILE)
                return open_tmpfile(call, o);
        if (o->flags & O_CREAT)
                return open_or_create(call, o);
        r = files_resolve(call, o->dirfd, o->path, o->resolve | (o->flags & O_NOFOLLOW ? 0 : RESOLVE_FOLLOW), &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        return open_existing(call, o, &pin);
}

/* Whether the caller has no number left for a descriptor: the kernel takes one as soon as it has read the path. */
static bool out_of_numbers(struct call *call, const struct opening *o, struct verdict *ret_verdict) {
        int r = target_fd_available(call);

        if (r >= 0)
                return false;
        *ret_verdict = verdict_from(r);
        if (r == -EMFILE) {
                ssize_t length = target_read_path(call, o->path, call->path);
                *ret_verdict = length < 0 ? verdict_from(length) : verdict_error(length > 0 ? EMFILE : ENOENT);
        }
        return true;
}

static struct verdict do_open(struct call *call, const struct opening *o) {
        bool changes = o->flags & (O_CREAT | O_TRUNC | OPEN_TMPFILE);
        struct verdict verdict, none;

        act_cloexec(call, o->flags & O_CLOEXEC);
        /* Before anything is made or truncated. What changes nothing needs no question: the injection fails then, and of errors this one is first. */
        if (changes && out_of_numbers(call, o, &none))
                return none;
        verdict = open_any(call, o);
        return !changes && verdict.kind == VERDICT_ERROR && out_of_numbers(call, o, &none) ? none : verdict;
}

/* ---- The calls ---- */

static struct verdict legacy(struct call *call, int dirfd, uint64_t path, int flags, mode_t mode) {
        struct opening o = { .dirfd = dirfd, .path = path };
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        r = opening_parse_legacy(&o, flags, mode);
        return r < 0 ? verdict_error(r) : do_open(call, &o);
}

struct verdict handle_open(struct call *call) {
        return legacy(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), CALL_INT(call, 2));
}

struct verdict handle_openat(struct call *call) {
        return legacy(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_INT(call, 3));
}

struct verdict handle_creat(struct call *call) {
        return legacy(call, AT_FDCWD, CALL_ARG(call, 0), O_CREAT | O_WRONLY | O_TRUNC, CALL_INT(call, 1));
}

struct verdict handle_openat2(struct call *call) {
        struct opening o = { .dirfd = CALL_INT(call, 0), .path = CALL_ARG(call, 1) };
        struct open_how how;
        int r;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        r = files_read_struct(call, CALL_ARG(call, 2), CALL_ARG(call, 3), &how, sizeof(how));
        if (r < 0)
                return verdict_from(r);
        r = opening_parse(&o, how.flags, how.mode, how.resolve);
        return r < 0 ? verdict_error(r) : do_open(call, &o);
}
