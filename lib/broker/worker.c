/*
 * The worker process: from what it was given to its first thread in NOTIF_RECV, and its end.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "sys.h"

#define MAX_THREADS 512
#define MAX_RECEIVERS 8

uint64_t worker_now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static int make_table(struct worker *w) {
        const struct worker_options *o = &w->options;
        int max = 0;

        for (size_t i = 0; i < o->n_claims; i++)
                if (o->claims[i].nr > max)
                        max = o->claims[i].nr;
        w->n_table = (size_t) max + 1;
        w->table = calloc(w->n_table, sizeof(*w->table));
        if (!w->table)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_claims; i++) {
                if (o->claims[i].nr < 0)
                        continue;
                if (w->table[o->claims[i].nr])
                        return -EEXIST;
                w->table[o->claims[i].nr] = &o->claims[i];
        }
        return 0;
}

static bool read_flag(const struct worker *w, const char *path) {
        _cleanup_close_ int fd = openat(w->proc, path, O_RDONLY | O_CLOEXEC);
        char c = '0';

        return fd >= 0 && read(fd, &c, 1) == 1 && c != '0';
}

static void on_cancel(int signal) {
        (void) signal;
}

/* Its handler has nothing to do: that a system call ends with EINTR is all that it is for, hence no SA_RESTART. */
static int handle_cancel_signal(void) {
        struct sigaction action = { .sa_handler = on_cancel };

        return sigaction(CANCEL_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

static int make_listeners(struct worker *w) {
        const struct worker_options *o = &w->options;

        if (o->n_listeners == 0 || o->n_listeners > LISTENERS_MAX)
                return -EINVAL;
        w->listeners = calloc(o->n_listeners, sizeof(*w->listeners));
        if (!w->listeners)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_listeners; i++) {
                w->listeners[i].fd = o->listeners[i].fd;
                w->listeners[i].number = o->listeners[i].number;
        }
        w->n_listeners = o->n_listeners;
        return 0;
}

/* One set of flags belongs to one listener. Kernels before 6.6 know none, and are slower. By value, not by pointer. */
static int set_flags(struct worker *w) {
        for (unsigned i = 0; i < w->n_listeners; i++)
                if (ioctl(w->listeners[i].fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0 && errno != EINVAL &&
                    errno != ENOTTY)
                        return -errno;
        return 0;
}

/* Limits on files are the callers', and are held to theirs by hand (target_rlimit): the worker's own must not come first. */
static void raise_file_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_FSIZE, &limit);
        signal(SIGXFSZ, SIG_IGN);
}

static void size_threads(struct worker *w) {
        const struct worker_options *o = &w->options;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        w->max_threads = o->max_threads ? o->max_threads : MAX_THREADS;
        if (w->max_threads > SLOTS_MAX)
                w->max_threads = SLOTS_MAX;
        /* One for each at least. */
        if (w->max_threads < w->n_listeners)
                w->max_threads = w->n_listeners;
        w->max_wanted = o->receivers ? o->receivers : cpus < 2 ? 1 : cpus > MAX_RECEIVERS ? MAX_RECEIVERS : (unsigned) cpus;
        if (w->max_wanted > w->max_threads)
                w->max_wanted = w->max_threads;
        w->min_wanted = o->receivers ? w->max_wanted : 1;
        for (unsigned i = 0; i < w->n_listeners; i++)
                atomic_store(&w->listeners[i].wanted, w->min_wanted);

        /* Those that are there, not those that we may use: a caller with all of them never had an affinity. */
        for (long i = 0; i < cpus && i < CPU_SETSIZE; i++)
                CPU_SET(i, &w->all_cpus);
        w->all_cpus_count = cpus > 0 ? cpus : 1;
}

/* What a predecessor has counted counts no longer, what it has left does. */
static void count_inherited(struct worker *w) {
        uint32_t n = 0;

        if (!w->options.pool)
                return;
        for (unsigned i = 0; i < w->shared->n_slots; i++)
                n += w->shared->slots[i].state != SLOT_FREE;
        atomic_store(&w->options.pool->cells[w->options.cell].calls, n);
}

static int map_journal(struct worker *w) {
        const struct journal *journal = w->options.journal;
        int r = 0;

        for (unsigned i = 0; journal && r >= 0 && i < JOURNAL_LANES; i++) {
                pthread_mutex_init(&w->lanes[i].lock, NULL);
                r = ring_map(&w->lanes[i].ring, journal->lanes[i], &journal->layout);
        }
        return r;
}

/* Has it, over the pid namespace that it is in, the right to name another process as the sender of a message? */
static bool speaks_for_others(const struct worker *w) {
        struct stat own, of_pids;

        _cleanup_close_ int pids = openat(w->proc, "self/ns/pid", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int owner = pids < 0 ? -1 : ioctl(pids, NS_GET_USERNS);
        return owner >= 0 && fstat(owner, &of_pids) >= 0 && fstatat(w->proc, "self/ns/user", &own, 0) >= 0 &&
               own.st_ino == of_pids.st_ino && own.st_dev == of_pids.st_dev && (confine_get_permitted() & UINT64_C(1) << CAP_SYS_ADMIN);
}

static int prepare(struct worker *w) {
        int r = make_listeners(w);

        if (r < 0)
                return r;
        w->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        w->outside = w->options.root_fd > 0 ? w->options.root_fd : open(w->plan->root ?: "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (w->proc < 0 || w->outside < 0)
                return -errno;
        /* Now, while it shows all of the host's: later it would show what is below some container's root. */
        if (w->plan->setting == PLAN_CONTAINER)
                w->mounts = openat(w->proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fstat(w->proc, &st) < 0 || fstatat(w->proc, "self/exe", &w->exe, 0) < 0)
                return -errno;
        w->proc_device = st.st_dev;
        w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->wake < 0)
                return -errno;
        r = confine_process(w);
        if (r < 0)
                return r;
        r = make_table(w);
        if (r >= 0)
                r = map_journal(w);
        if (r < 0)
                return r;
        r = handle_cancel_signal();
        if (r < 0)
                return r;
        w->protected_symlinks = read_flag(w, "sys/fs/protected_symlinks");
        w->speaks_for_others = setting_is_foreign(w->plan->setting) && speaks_for_others(w);
        w->unsafe_proceed = sys_unsafe("proceed");
        w->unsafe_names = sys_unsafe("names");
        w->unsafe_match = sys_unsafe("match");
        w->unsafe_crash = sys_unsafe("crash");
        w->trace_restricted = read_flag(w, "sys/kernel/yama/ptrace_scope");
        raise_file_limit();
        observe_repair(&w->shared->observed);
        size_threads(w);
        r = set_flags(w);
        if (r < 0)
                return r;
        r = w->options.successor ? takeover_prepare(w) : 0;
        count_inherited(w);
        /* More are in flight than we may have threads for: each gets one all the same. */
        for (unsigned i = w->shared->n_slots; i > w->max_threads; i--)
                if (w->shared->slots[i - 1].state != SLOT_FREE)
                        w->max_threads = i;
        return r;
}

int worker_run(const struct worker_options *options) {
        /* Never freed: threads that wait in old kernels' NOTIF_RECV, or stand by, end with the process. */
        struct worker *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        *w = (struct worker) {
                .options = *options,
                .plan = options->plan,
                .shared = options->shared,
                .init_pidfd = options->init_pidfd,
                .log_fd = options->log_fd,
                .low_port_socket = options->low_port_socket,
                .proc = -1,
                .outside = -1,
                .mounts = -1,
                .wake = -1,
                .root = { .lock = PTHREAD_MUTEX_INITIALIZER, .root = -1, .namespaces = { -1, -1, -1 } },
                .low_port_lock = PTHREAD_MUTEX_INITIALIZER,
                .observe_lock = PTHREAD_MUTEX_INITIALIZER,
                .names = PTHREAD_RWLOCK_INITIALIZER,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .relief = PTHREAD_COND_INITIALIZER,
        };
        r = prepare(w);
        if (r < 0)
                return r;
        r = threads_start(w);
        if (r < 0)
                return r;
        return monitor_run(w);
}

int worker_bind_low_port(struct call *call, int socket, const void *address, unsigned size) {
        struct worker *w = call->worker;
        int32_t answer = -EIO;
        int r;

        if (w->low_port_socket < 0)
                return -EACCES;
        if (size > sizeof(struct sockaddr_storage))
                return -EINVAL;
        /* One question at a time, so that each answer is to its own. */
        pthread_mutex_lock(&w->low_port_lock);
        r = fd_send(w->low_port_socket, address, size, &socket, 1);
        if (r >= 0) {
                ssize_t n = fd_receive(w->low_port_socket, &answer, sizeof(answer), NULL, 0, NULL);
                r = n < 0 ? n : n != sizeof(answer) ? -EPIPE : answer > 0 ? -EIO : answer;
        }
        pthread_mutex_unlock(&w->low_port_lock);
        if (r < 0)
                return r;
        return loop_valid(call) ? 0 : -ESRCH;
}
