/*
 * One call: its arguments put in place, the call made, its outcome written down; and what is more than one call of the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "differential.h"

void call_prepare(struct memory *m, const struct call *call, struct prepared *p) {
        memory_reset(m);
        p->result = 0;
        p->signals = 0;
        for (unsigned i = 0; i < ARGS_MAX && call->args[i].kind != NONE; i++) {
                const struct arg *arg = &call->args[i];
                p->registers[i] = arg->kind >= PATH ? memory_place(m, arg) : (uint64_t) arg->value;
        }
}

/* ---- More than one call ---- */

static long do_capset(uint64_t effective) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {};
        long r = SYS(SYS_capget, &header, data);

        if (r < 0)
                return r;
        data[0].effective = data[0].permitted & effective;
        data[1].effective = 0;
        return SYS(SYS_capset, &header, data);
}

/* In a child, which the witness replaces where it can be executed: what it writes says what it got. */
static long do_exec(const struct call *call, const struct prepared *p, bool checked) {
        static const char *const argv[] = { "argument-zero", "one", "", NULL }, *const environment[] = { "A=b", NULL };
        /* A vector that is where it can be read is ours. */
        const void *vectors[2] = { argv, environment };
        uint32_t status = 0;
        bool at = call->args[3].kind == DIR_FD;
        long pid, r;

        for (unsigned i = 0; i < 2; i++)
                if (call->args[i + 1].place > ACROSS)
                        vectors[i] = (const void *) p->registers[i + 1];
        /* Of a program that its user can't read, the broker can't check that it is the one that was executed. */
        r = checked ? SYS(SYS_faccessat2, at ? (int) p->registers[3] : AT_FDCWD, p->registers[0], R_OK,
                          (at ? p->registers[4] & AT_EMPTY_PATH : 0) | AT_EACCESS)
                    : 0;
        if (r == -EACCES)
                return r;
        pid = SYS(SYS_fork);
        if (pid < 0)
                return pid;
        if (pid == 0) {
                r = at ? SYS(SYS_execveat, p->registers[3], p->registers[0], vectors[0], vectors[1], p->registers[4])
                       : SYS(SYS_execve, p->registers[0], vectors[0], vectors[1]);
                SYS(SYS_exit_group, -r);
        }
        do
                r = SYS(SYS_wait4, pid, &status, 0x40000000 /* __WALL */, NULL);
        while (r == -EINTR);
        return r < 0               ? r
               : WIFEXITED(status) ? WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 42 ? 0 : -(long) WEXITSTATUS(status)
                                   : 1000 + WTERMSIG(status);
}

/* Down to where a whole path is longer than PATH_MAX, the second time at the latest. */
static long do_deep(void) {
        char name[230];
        long r = 0;

        memset(name, 'd', sizeof(name));
        name[sizeof(name) - 1] = 0;
        for (int i = 0; i < 10 && r >= 0; i++) {
                r = SYS(SYS_mkdir, name, 0755);
                if (r >= 0 || r == -EEXIST)
                        r = SYS(SYS_chdir, name);
        }
        return r;
}

static long do_limit(const struct prepared *p) {
        struct rlimit limit;
        long r = SYS(SYS_getrlimit, p->registers[0], &limit);

        if (r < 0)
                return r;
        limit.rlim_cur = p->registers[1] < limit.rlim_max ? p->registers[1] : limit.rlim_max;
        return SYS(SYS_setrlimit, p->registers[0], &limit);
}

/* ---- Positions in directories ---- */

/* As telldir() has them: of the entries that were read last. */
static struct {
        int fd;
        int64_t positions[4];
        unsigned n;
} last_listing;

static void remember_positions(int fd, const char *entries, long size) {
        last_listing.fd = fd;
        last_listing.n = 0;
        for (long i = 0; i < size && last_listing.n < ELEMENTS(last_listing.positions);) {
                uint16_t length;
                memcpy(&last_listing.positions[last_listing.n++], entries + i + 8, 8);
                memcpy(&length, entries + i + 16, 2);
                i += length;
        }
}

static long do_seekdir(const struct prepared *p) {
        if (last_listing.n == 0)
                return 0;
        long r = SYS(SYS_lseek, last_listing.fd, last_listing.positions[p->registers[1] % last_listing.n], SEEK_SET);
        return r < 0 ? r : 0;
}

static long do_socket(const struct call *call, const struct prepared *p) {
        long fd = SYS(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        if (fd < 0)
                return fd;
        if (call->operation->nr == DO_CONNECT) {
                r = SYS(SYS_connect, fd, p->registers[0], p->registers[1]);
                SYS(SYS_close, fd);
                return r;
        }
        r = SYS(SYS_bind, fd, p->registers[0], p->registers[1]);
        if (r >= 0)
                r = SYS(SYS_listen, fd, 8);
        if (r < 0)
                SYS(SYS_close, fd);
        return r < 0 ? r : fd;
}

/* Nothing here waits for input that may never come. */
static long do_read(const struct prepared *p) {
        struct pollfd poll = { .fd = (int) p->registers[0], .events = POLLIN };

        if (poll.fd >= 0 && SYS(SYS_poll, &poll, 1, 0) == 0)
                return -EAGAIN;
        return SYS(SYS_read, p->registers[0], p->registers[1], p->registers[2]);
}

static long do_write(const struct prepared *p) {
        struct pollfd poll = { .fd = (int) p->registers[0], .events = POLLOUT };

        if (poll.fd >= 0 && SYS(SYS_poll, &poll, 1, 0) == 0)
                return -EAGAIN;
        return SYS(SYS_write, p->registers[0], p->registers[1], p->registers[2]);
}

/* With RESOLVE_BENEATH and RESOLVE_IN_ROOT `..` is EAGAIN whenever somebody on the machine renames something meanwhile. */
static long do_openat2(const struct prepared *p) {
        const uint64_t *a = p->registers;
        long r = -EAGAIN;

        for (int i = 0; i < 100 && r == -EAGAIN; i++)
                r = SYS(SYS_openat2, a[0], a[1], a[2], a[3]);
        return r;
}

static bool through_chain(const struct call *call) {
        for (unsigned i = 0; i < ARGS_MAX; i++) {
                const struct arg *arg = &call->args[i];
                if ((arg->kind == PATH || arg->kind == NEW_PATH || arg->kind == SOCKET_ADDRESS) &&
                    memmem(arg->bytes, arg->size, "chain/", 6))
                        return true;
        }
        return false;
}

static unsigned file_size_signals;

static void on_file_size(int signal) {
        (void) signal;
        __atomic_add_fetch(&file_size_signals, 1, __ATOMIC_RELAXED);
}

static void on_interrupt(int signal) {
        (void) signal;
}

void signals_set(void) {
        struct sigaction interrupt = { .sa_handler = on_interrupt }, size = { .sa_handler = on_file_size },
                         ignore = { .sa_handler = SIG_IGN };

        sigaction(SIGUSR1, &interrupt, NULL);
        sigaction(SIGXFSZ, &size, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        sigaction(SIGIO, &ignore, NULL);
}

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Is a FIFO to be opened, which may wait for somebody? Looking is a call of its own, alike on both sides. */
static bool opens_fifo(const struct call *call, const struct prepared *p) {
        bool at = call->args[0].kind == DIR_FD;
        struct stat st;

        return SYS(SYS_newfstatat, at ? (int) p->registers[0] : AT_FDCWD, p->registers[at], &st, 0) >= 0 && S_ISFIFO(st.st_mode);
}

/* What all of the machine opens and writes to (/dev/null is 0, 1 and 2) has events that nobody here has made. */
static bool watches_device(const struct call *call, const struct prepared *p) {
        struct stat st;

        return call->operation->nr == SYS_inotify_add_watch && SYS(SYS_newfstatat, AT_FDCWD, p->registers[1], &st, 0) >= 0 &&
               S_ISCHR(st.st_mode);
}

void call_make(const struct sequence *s, const struct call *call, struct prepared *p) {
        const uint64_t *a = p->registers;
        unsigned before = file_size_signals;

        if (s->fifos && (call->operation->flags & BLOCKS) && opens_fifo(call, p))
                atomic_store(&p->fifo_since, now());
        switch (call->operation->nr) {
        case DO_EXEC: p->result = do_exec(call, p, s->options & OPTION_CHECKED); break;
        case DO_EVENTS: p->result = 0; break;
        case DO_DEEP: p->result = do_deep(); break;
        case DO_LIMIT: p->result = do_limit(p); break;
        case DO_SEEKDIR: p->result = do_seekdir(p); break;
        case SYS_capset: p->result = do_capset(a[0]); break;
        case SYS_read: p->result = do_read(p); break;
        case SYS_write: p->result = do_write(p); break;
        case SYS_openat2: p->result = do_openat2(p); break;
        default:
                if (watches_device(call, p)) {
                        p->result = 0;
                        break;
                }
                /* Where a walk without locks has to begin anew, the kernel counts the links that it has seen already once more. */
                for (int i = 0; i < 20; i++) {
                        bool socket = call->operation->nr == DO_BIND || call->operation->nr == DO_CONNECT;
                        p->result = socket ? do_socket(call, p) : SYS(call->operation->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
                        if (p->result != -ELOOP || !through_chain(call))
                                break;
                }
        }
        atomic_store(&p->fifo_since, 0);
        p->signals = file_size_signals - before;
}

/* ---- Its record ---- */

static void record_witness(struct record *r) {
        char said[4096];
        long n = SYS(SYS_read, WITNESS_FD + 1, said, sizeof(said));

        if (n > 0) {
                text_add(r->text, " says ");
                text_add_bytes(r->text, said, n, r->work);
        }
}

static bool is_inotify(int fd) {
        return fd == 23 || fd == 24;
}

static void record_all_events(struct record *r, const struct call *call) {
        char events[8192] __attribute__((aligned(8)));
        int fd = (int) call->args[0].value;

        /* Only of an inotify descriptor, and only what is there. */
        if (!is_inotify(fd))
                return;
        long n = SYS(SYS_read, fd, events, sizeof(events));
        if (n < 0)
                text_add(r->text, " -%s", errno_name((int) -n));
        else
                record_events(r, events, n);
}

static void record_socket(struct record *r, const struct call *call, int fd) {
        struct sockaddr_un un = {};
        socklen_t size = sizeof(un);

        if (SYS(SYS_getsockname, fd, &un, &size) < 0)
                return;
        if (size > sizeof(un))
                size = sizeof(un);
        /* A name that the kernel chose; or one that the broker shortens, since /proc/self is somebody else for it. */
        if (call->args[0].size <= offsetof(struct sockaddr_un, sun_path) || call->args[1].value <= 2 || call->proc)
                return;
        text_add(r->text, " name=%u ", size);
        text_add_bytes(r->text, un.sun_path, size - offsetof(struct sockaddr_un, sun_path), r->work);
}

/* A directory far up must not become the current one: the tree's own levels would be left. */
static void come_back(const struct record *r) {
        char cwd[PATH_MAX + 64];
        const char *slash = strrchr(r->work, '/');
        size_t enough = slash - r->work;

        while (enough > 0 && slash - (r->work + enough) < 6)
                enough--;
        long n = SYS(SYS_getcwd, cwd, sizeof(cwd));
        if (n > 0 && (strncmp(cwd, r->work, enough) != 0 || (size_t) n < enough))
                SYS(SYS_chdir, r->work);
}

static bool reads_elsewhere(const struct record *r, const struct call *call, const struct prepared *p) {
        int nr = call->operation->nr;

        /* The text has the number of an inode in it (pipe:[…], a file without a name), and so has its length. */
        if (nr == SYS_readlink || nr == SYS_readlinkat) {
                const char *text = (const char *) p->registers[nr == SYS_readlink ? 1 : 2];
                return memchr(text, '[', p->result) || memchr(text, '#', p->result);
        }
        return (nr == SYS_read || nr == SYS_getdents || nr == SYS_getdents64 || nr == SYS_lseek) &&
               record_foreign(r, (int) call->args[0].value);
}

static void record_success(struct record *r, const struct call *call, const struct prepared *p) {
        switch (call->operation->nr) {
        case DO_EXEC: record_witness(r); return;
        case DO_BIND: record_socket(r, call, (int) p->result); return;
        case DO_EVENTS: record_all_events(r, call); return;
        case SYS_read:
                /* The kernel counts its cookies for all of the machine. */
                if (is_inotify((int) call->args[0].value) && p->registers[1]) {
                        record_events(r, (const char *) p->registers[1], p->result);
                        return;
                }
                break;
        case SYS_getdents:
        case SYS_getdents64: remember_positions((int) call->args[0].value, (const char *) p->registers[1], p->result); break;
        }
        switch (call->operation->shows) {
        case DESCRIPTOR: record_descriptor(r, call, (int) p->result); break;
        case BUFFER:
                for (unsigned i = 0; i < ARGS_MAX; i++) {
                        const struct arg *arg = &call->args[i], *inner = arg->inner;
                        if (arg->kind >= STAT_OUT && p->registers[i] && arg->place != AT_ONE)
                                record_buffer(r, call, arg, p->registers[i], p->result);
                        else if (arg->kind == XATTR_ARGS && inner->kind == BYTES_OUT)
                                record_buffer(r, call, inner, *(uint64_t *) arg->bytes, p->result);
                }
                break;
        case WHERE:
                if (!call->outside)
                        record_where(r);
                come_back(r);
                break;
        default: break;
        }
}

static bool changes(const struct call *call) {
        if (call->operation->flags & CHANGES)
                return true;
        for (unsigned i = 0; i < ARGS_MAX; i++) {
                const struct arg *arg = &call->args[i];
                int64_t flags = arg->kind == OPEN_FLAGS ? arg->value : arg->kind == HOW ? *(int64_t *) arg->bytes : 0;
                if (flags & (O_ACCMODE | O_CREAT | O_TRUNC))
                        return true;
        }
        return call->operation->nr == SYS_creat;
}

/* The manual's table has EROFS by the mount and EACCES by the broker for the same refusal. */
static bool refused(const struct record *r, const struct call *call, long result) {
        if (result == -EROFS)
                return true;
        if (result == -EPERM && (call->args[0].kind == FD || call->args[0].kind == LISTED_FD) &&
            record_foreign(r, (int) call->args[0].value))
                return true;
        /* Where there are mounts on the one side and rules on the other, what looks first finds another reason. */
        if ((call->outside || call->proc) && changes(call))
                return true;
        if (call->proc && (result == -EACCES || result == -EOPNOTSUPP))
                return true;
        bool foreign = record_foreign(r, AT_FDCWD);
        for (unsigned i = 0; i < ARGS_MAX; i++)
                foreign = foreign || ((call->args[i].kind == DIR_FD || call->args[i].kind == FD || call->args[i].kind == LISTED_FD) &&
                                      record_foreign(r, (int) call->args[i].value));
        if (foreign && changes(call))
                return true;
        /* The kernel first asks who has opened the descriptor, which the broker can't see, also where the path isn't empty. */
        if (call->operation->nr == SYS_linkat && (call->args[4].value & AT_EMPTY_PATH) && (result == -ENOENT || result == -ENOTDIR))
                return true;
        return result == -EACCES && (call->outside || foreign);
}

void call_record(struct record *r, const struct call *call, const struct prepared *p) {
        text_add(r->text, "%u", call->index);
        if (p->signals)
                text_add(r->text, " (%u SIGXFSZ)", p->signals);
        /* The root is another file system where mounts make it. */
        if (call->operation->nr == SYS_lseek && record_foreign(r, (int) call->args[0].value))
                text_add(r->text, " = some");
        else if (p->result < 0) {
                text_add(r->text, " = -%s", refused(r, call, p->result) ? "refused" : errno_name((int) -p->result));
                for (unsigned i = 0; i < ARGS_MAX; i++)
                        if (call->args[i].kind >= STAT_OUT && !memory_untouched(&call->args[i], p->registers[i]))
                                text_add(r->text, " (written to)");
        } else if (p->result > 0 && reads_elsewhere(r, call, p))
                text_add(r->text, " = some");
        else {
                text_add(r->text, " = %ld", p->result);
                record_success(r, call, p);
        }
        text_add(r->text, "\n");
}

/* ---- What every sequence starts with ---- */

static void keep_as(struct record *r, int fd, int number) {
        text_add(r->text, " %d=", number);
        if (fd < 0) {
                text_add(r->text, "-%s", errno_name(-fd));
                return;
        }
        if (fd != number) {
                int flags = (int) SYS(SYS_fcntl, fd, F_GETFD);
                SYS(SYS_dup3, fd, number, flags > 0 ? O_CLOEXEC : 0);
                SYS(SYS_close, fd);
        }
        text_add(r->text, "%lo", SYS(SYS_fcntl, number, F_GETFL));
}

void open_first(struct record *r, const char *work) {
        int number = FIRST_FD, ends[2];

        text_add(r->text, "start: chdir %ld", SYS(SYS_chdir, work));
        for (size_t i = 0; i < n_opened; i++)
                keep_as(r, (int) SYS(SYS_openat, AT_FDCWD, opened[i].path, opened[i].flags, 0), number++);
        keep_as(r, (int) SYS(SYS_openat, AT_FDCWD, "gone", O_RDWR | O_CREAT | O_EXCL, 0644), number++);
        text_add(r->text, " unlink %ld", SYS(SYS_unlink, "gone"));
        text_add(r->text, " mkdir %ld", SYS(SYS_mkdir, "gone", 0755));
        keep_as(r, (int) SYS(SYS_openat, AT_FDCWD, "gone", O_RDONLY | O_DIRECTORY, 0), number++);
        text_add(r->text, " rmdir %ld", SYS(SYS_rmdir, "gone"));
        /* The numbers are counted on: 23 and 24 are inotify's. */
        keep_as(r, (int) SYS(SYS_inotify_init1, O_NONBLOCK), number++);
        keep_as(r, (int) SYS(SYS_inotify_init1, O_NONBLOCK | O_CLOEXEC), number++);
        long pipe = SYS(SYS_pipe2, ends, O_NONBLOCK);
        keep_as(r, pipe < 0 ? (int) pipe : ends[0], number++);
        keep_as(r, pipe < 0 ? (int) pipe : ends[1], number++);
        keep_as(r, (int) SYS(SYS_memfd_create, "memory", 0), number++);
        keep_as(r, (int) SYS(SYS_socket, AF_UNIX, SOCK_STREAM, 0), number++);
        text_add(r->text, "\n");
}
