/*
 * Private to the broker: the worker, its threads, and what one call carries from step to step.
 */
#pragma once

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "resolve.h"
#include "ring.h"
#include "target.h"
#include "worker.h"

#define CANCEL_SIGNAL SIGUSR1

/* ---- credentials.c ---- */

#define GROUPS_MAX 64

struct credentials {
        uid_t fsuid;
        gid_t fsgid;
        gid_t groups[GROUPS_MAX];
        size_t n_groups;
        uint64_t effective; /* bits of capabilities */
};

/* What /proc/TID/status says of a task. Numbers are as the worker's user namespace sees them. */
struct task_status {
        struct credentials credentials;
        uid_t uid, euid, suid; /* uid: the real one */
        gid_t gid, egid, sgid;
        mode_t umask;
        uint64_t permitted;
        bool no_new_privs, traced;
        unsigned threads;
        pid_t tgid, tgid_inside, tid_inside;       /* inside: in the innermost pid namespace */
        uint64_t pending, pending_shared, blocked; /* signals; bit 0 is signal 1 */
};

/* Reads the status of any task; negative errno (-ESRCH: no such task). The caller of this checks that it is still the task it means. */
int task_status_read(struct worker *worker, pid_t tid, struct task_status *ret);

struct receiver;
/* What the calling thread has by itself, as the kernel says. */
int credentials_own(struct credentials *ret);
/* Makes the calling thread's ids, groups and effective capabilities these. */
int credentials_take(struct receiver *r, const struct credentials *to);
/* The same, with the caller's: to be done before anything is looked up in its name. */
int credentials_follow(struct call *call);
/* Takes on all that the thread is permitted to have, for a look at the caller; false where that is no more than it has. */
bool rights_raise(struct receiver *r);
void rights_lower(struct receiver *r);

/* ---- target.c ---- */

/* task_status_read of the caller. */
int target_status(struct call *call, struct task_status *ret);
/* Opens something of the caller's /proc/TID, in the worker's own procfs. */
int target_open_proc(struct call *call, const char *name, int flags);

/* ---- root.c: the sandbox's root, namespaces and mounts ---- */

struct mount {
        uint64_t id;
        dev_t device;
        bool proc;
        bool tmpfs;
        bool apart;        /* a tmpfs that the host hasn't got: made by the runtime, for the container alone */
        const char *usual; /* of the kernel's own: where a file system like this one usually is (path_of_kernel_tree); else NULL */
        bool elsewhere;    /* and this one isn't there */
        /* Of the kernel's own: */
        char *root;  /* within the file system */
        char *point; /* where it is mounted, as the sandbox sees it */
};

struct mounts {
        struct mount *list; /* sorted by id */
        size_t n;
        pid_t task; /* whose they are, for reading them anew */
};

struct sandbox_root {
        pthread_mutex_t lock;
        bool ready;
        int root;                       /* O_PATH */
        bool root_is_ours;              /* the worker's own root is the same: no chroot */
        int namespaces[3];              /* net, uts, ipc where they are not the worker's own; else -1 */
        struct credentials credentials; /* of all callers, where `constant` */
        bool constant;
        struct statx identity; /* of `root` */
        struct mounts mounts;
};

/* Makes the thread one that acts in the caller's sandbox: its root, namespaces and credentials; then gives up what that needed. Once for each
 * thread, at its first call. */
int root_enter(struct receiver *r);
/* The calling task's root where that is another than the sandbox's, which only a program that has the right to chroot can have: `*ret` is borrowed from
 * the call; -1: it is the sandbox's. */
int root_of_caller(struct call *call, int *ret);
/* Begins a new call. */
void root_forget_caller(struct receiver *r);
/* Whether the mount belongs to the sandbox; fills in a copy of the mount's description where asked to (`point` and `root` are borrowed from
 * `buffer`s of PATH_MAX). -ESRCH: gone. */
int root_mount_known(struct receiver *r, uint64_t mount_id);
/* Whether it is a tmpfs that a container's runtime has made for it: nobody outside has a part in what lies there. */
bool root_mount_apart(struct receiver *r, uint64_t mount_id);
/* Whether a device number is that of a procfs of the sandbox's. */
bool root_is_proc(struct receiver *r, dev_t device);
/* The path within its procfs of what lies at `path` on the mount, in `ret` (PATH_MAX); -ENOENT where the mount is no procfs of the sandbox. */
int root_proc_path(struct receiver *r, uint64_t mount_id, const char *path, char *ret);

/* Of what lies at `path` on the mount, a path of its own (`ret`, PATH_MAX) where the kernel's files have other names than the usual ones: that by which rules
 * name it, /proc/sys/… for what a procfs that is mounted elsewhere shows in its sys. 1; 0: it has none; -ENOENT: the mount isn't the sandbox's. */
int root_usual_path(struct receiver *r, uint64_t mount_id, const char *path, char *ret);

/* ---- threads.c ---- */

enum block_state { BLOCK_NONE, BLOCK_WAITING, BLOCK_CANCELLED };

struct receiver {
        struct call call;
        struct worker *worker;
        struct listener *listener; /* from which it receives, or has the call that it is at */
        unsigned index;            /* of its slot */
        pid_t tid;
        pid_t last_tid; /* whose call it had before this one */
        bool inherits;  /* a predecessor's call is in its slot */
        bool entered;

        /* Kept handles of the last caller. They never mean another task: of one that is reaped they give ESRCH. */
        pid_t pidfd_of, proc_of;
        int pidfd, proc;
        int own_fds;                   /* O_PATH of the thread's own /proc/thread-self/fd: outlives the chroot */
        int trace;                     /* of the caller, by the helper; else -1 */
        pid_t tgid_inside, tid_inside; /* 0: not asked yet; of this call */
        pid_t tgid_outside;            /* as the worker's procfs numbers it */
        int root;                      /* of this call: see root_of_caller */
        bool root_known;

        uint64_t conditions; /* of the plan: which hold for the caller; of this call */
        bool conditions_known;

        struct credentials credentials;                                   /* the thread's own at present */
        mode_t umask;                                                     /* the thread's own at present */
        enum { SPEAKS_NOT, SPEAKS_WITH_RIGHTS, SPEAKS_AS_CALLER } speaks; /* target_act_peer: with effective ids that were these */
        uid_t uid;
        gid_t gid;

        /* Shared with the monitor, under `lock`. */
        pthread_mutex_t lock;
        enum block_state block;
        int cancel;    /* 0, -ESRCH, -ERESTART */
        unsigned seen; /* polls that saw a signal for the whole process pending, in a caller with several threads */

        uint64_t received; /* when, in nanoseconds */
        uint64_t busy;     /* nanoseconds that the call before this one took */
        char paths[3][PATH_MAX + 1];
};

static inline struct receiver *call_receiver(struct call *call) {
        return (struct receiver *) call; /* its first member */
}

/* Sees to it that a thread waits for calls of this listener, or soon will: -EAGAIN where the bound on threads is reached. */
int threads_relieve(struct worker *w, struct listener *l);
/* To be called by a thread that is about to receive, from r->listener; that is another afterwards where it is needed there. False: it is not
 * needed, and ends. May wait for long. */
bool threads_enter_receiving(struct receiver *r);
void threads_leave_receiving(struct receiver *r);
int threads_start(struct worker *w);
/* By its number; NULL: it is not there (any more). */
struct listener *threads_listener(struct worker *w, uint32_t number);
/* To be called first by a new thread. */
void threads_begin(struct receiver *r);
/* Sets how many threads are to wait in NOTIF_RECV of this listener, and adds one where there are fewer. */
void threads_want(struct worker *w, struct listener *l, unsigned wanted);
/* With the worker's lock held: no thread has a call, or will deal with one before it has asked whether the worker retires. */
bool threads_idle(const struct worker *w);

/* ---- monitor.c ---- */

/* Waits for the end of the sandbox, or for the worker's retirement (1), and looks after blocked calls meanwhile. */
int monitor_run(struct worker *w);
/* Wakes the monitor where it sleeps although there is something to watch. */
void monitor_wake(struct worker *w);

/* ---- exec_event.c; begun by exec_event_begin(), in target.h ---- */

/* Once the caller has been told to go on: waits for the end of execve. False: it would have run what it may not, and was killed. */
bool exec_event_finish(struct call *call, const struct exec_check *check);

/* ---- loop.c, reply.c ---- */

void *loop_run(void *receiver);
/* The steps of one call: what it is, the verdict on it, and all that follows from that. */
void loop_begin(struct receiver *r);
struct verdict loop_decide(struct receiver *r);
void loop_finish(struct receiver *r, struct verdict *verdict);
/* Whether the notification is still to be answered. */
bool loop_valid(struct call *call);

struct reply_result {
        bool gone;   /* nobody took it */
        bool failed; /* it could not be given as the handler meant it; the caller has `error` */
        int error;
};
struct reply_result reply_send(struct receiver *r, struct verdict *verdict);
/* Puts the caller's affinity back. */
void reply_widen(struct receiver *r);

/* ---- act.c: between the acts (act.h) and the reply ---- */

/* Puts a file that is to be injected in the parking table, unless it is there already or there is none; then the slot says so. */
int act_park(struct call *call, int fd);
/* A descriptor of what is parked. */
int act_parked_fd(struct call *call);
void act_unpark(struct worker *w, struct slot *slot);
/* A send has ended with this result: what that means for the call. */
void act_sent(struct slot *slot, int64_t result);

/* ---- takeover.c ---- */

/* Before there are threads: says of each slot what has happened, and which are in flight. */
int takeover_prepare(struct worker *w);
/* By a thread, for its slot, in the way of serve(). */
void takeover_serve(struct receiver *r);

/* ---- audit.c ---- */

void audit_record(struct receiver *r, const struct verdict *verdict, const struct reply_result *result);
/* A line about the worker itself. */
void audit_event(struct worker *w, const char *event, const char *text);

/* ---- confine.c ---- */

/* Closes what wasn't given, and makes the process one that nothing can look into. */
int confine_process(struct worker *w);
/* Per thread: takes these effective capabilities, of those permitted. */
int confine_effective(uint64_t effective);
/* Per thread: what it has, and then what it may still raise. */
int confine_permitted(uint64_t permitted, uint64_t effective);
uint64_t confine_get_permitted(void);
/* Gives up what an execve could bring: the bounding and the ambient set. */
void confine_bounding(void);

/* ---- the worker ---- */

/* How fds are injected: with the caller's affinity narrowed to our CPU, or not. Found out at run time (reply.c). */
struct inject_cost {
        _Atomic uint32_t cost[2]; /* smoothed, nanoseconds */
        _Atomic uint32_t turn;
};

struct listener {
        int fd;
        uint32_t number;
        _Atomic bool gone;        /* nobody is left behind it */
        _Atomic unsigned waiting; /* threads in NOTIF_RECV */
        _Atomic unsigned wanted;  /* how many should be there */
        _Atomic int pressure;     /* loop.c: do calls wait for receivers? */
        _Atomic uint64_t taken;   /* calls received */
        uint64_t taken_before;    /* the monitor's, at its last look */
        unsigned relieved;        /* threads that were told to leave standby for it, and haven't yet */
};

struct lane {
        pthread_mutex_t lock; /* held while an entry is done */
        struct ring ring;
};

struct worker {
        struct worker_options options;
        const struct plan *plan;
        struct shared *shared;
        struct listener *listeners;
        unsigned n_listeners;
        int init_pidfd, log_fd, low_port_socket;
        int proc;    /* O_PATH of the host's /proc */
        int outside; /* O_PATH of the tree that the view was taken from */
        int mounts;  /* the host's mountinfo, as the worker sees it; -1 where it isn't asked for */
        dev_t proc_device;
        bool speaks_for_others;     /* it may say who has sent a message */
        struct stat exe;            /* our own program: whoever else runs it is to be left alone as well */
        int wake;                   /* eventfd of the monitor */
        const struct claim **table; /* by number */
        size_t n_table;
        bool protected_symlinks, trace_restricted; /* sysctls of the host: fs.protected_symlinks; kernel.yama.ptrace_scope */
        bool unsafe_proceed;                       /* FOR TESTS: sys_unsafe() */
        struct sandbox_root root;
        struct inject_cost inject;
        struct lane lanes[JOURNAL_LANES];
        cpu_set_t all_cpus;
        unsigned all_cpus_count;
        pthread_mutex_t low_port_lock;
        pthread_mutex_t observe_lock;
        pthread_rwlock_t names; /* see resolve.h */
        bool unsafe_names;      /* FOR TESTS: sys_unsafe() */
        bool unsafe_match;      /* FOR TESTS: sys_unsafe() */
        bool unsafe_crash;      /* FOR TESTS: sys_unsafe(): truncate crashes whoever is to answer it */

        /* threads.c */
        pthread_mutex_t lock;
        pthread_cond_t relief; /* standby threads wait here */
        struct receiver *receivers[SLOTS_MAX];
        unsigned n_threads, n_standby, max_threads;
        unsigned min_wanted, max_wanted; /* of each listener */
        _Atomic unsigned n_blocked;
        _Atomic bool monitor_sleeps;
        _Atomic bool retiring; /* nothing more is received, and nobody waits for others */
        _Atomic int fatal;     /* negative errno: the worker can't go on */
};

/* Counts a call, or takes one back, in what its owner has in flight. */
static inline void worker_count(struct worker *w, int n) {
        if (w->options.pool)
                atomic_fetch_add(&w->options.pool->cells[w->options.cell].calls, n);
}

/* Nanoseconds of the monotonic clock. */
uint64_t worker_now(void);
