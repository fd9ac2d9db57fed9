/*
 * The loop: receive, find the claim, ask its handler, reply, record. Nothing else talks to the kernel's notification interface, but for
 * the question whether a notification is still valid.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "sys.h"
#include "walk.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

bool loop_valid(struct call *call) {
        uint64_t id = call->notif->id;

        return ioctl(call_receiver(call)->listener->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* ---- one call ---- */

static const struct claim *find_claim(const struct worker *w, const struct seccomp_data *data) {
        if (data->arch != NATIVE_ARCH || data->nr < 0 || (size_t) data->nr >= w->n_table)
                return NULL;
        return w->table[data->nr];
}

/* What is out of the kernel's ranges would be taken by it, and mean something else: value -5 becomes errno 5, error +5 the value 5. */
static struct verdict validate(struct receiver *r, struct verdict v) {
        bool valid;

        switch (v.kind) {
        case VERDICT_VALUE: valid = v.value < -4095 || v.value >= 0; break;
        case VERDICT_ERROR: valid = v.error >= 1 && v.error <= 4095; break;
        case VERDICT_FD: valid = v.fd >= 0; break;
        default: valid = v.kind <= VERDICT_RESTART;
        }
        if (valid)
                return v;
        atomic_fetch_add(&r->worker->shared->counters.refused, 1);
        audit_event(r->worker, "bad-verdict", r->call.claim ? r->call.claim->name : NULL);
        return (struct verdict) { .kind = VERDICT_ERROR, .error = EIO, .denied = v.denied };
}

/* ---- a container that its runtime is starting ---- */

enum { START_NOT_YET, STARTED, STARTED_UNSEEN };

/* Of what the caller runs: not there (-EACCES: a process that has not executed anything since it came into the container's user namespace can't be looked
 * at by us who are there; it is its runtime's for sure), not on a mount of the container's, or what the rules say of it. */
static int look_at_program(struct call *call, struct match *ret) {
        struct receiver *r = call_receiver(call);
        _cleanup_close_ int exe = target_open_proc(call, "exe", O_PATH);

        if (exe < 0)
                return exe == -EPERM ? -EACCES : exe;
        int e = root_enter(r);
        if (e < 0)
                return e == -EACCES ? -EIO : e;
        int where = locate(r, exe, call->path3, NULL);
        if (where == WHERE_INSIDE)
                *ret = call_match(call, call->path3);
        return where;
}

/* Of the listener that the call comes from: each belongs to a process which a runtime has started, the container's own or one that was executed in it. */
static struct start *start_of(struct receiver *r) {
        struct shared *shared = r->worker->shared;
        uint32_t number = r->listener->number;

        return number > 0 ? &shared->joined[number % LISTENERS_MAX] : &shared->start;
}

/* The first of all calls is of the process that has loaded the filter: all others begin by one of its calls. Runtimes don't tell its number in each case. */
static bool is_starter(struct receiver *r, pid_t tgid) {
        int32_t none = 0;

        return atomic_compare_exchange_strong(&start_of(r)->starter, &none, tgid) || none == tgid;
}

/* Is it the process that has loaded the filter, which has executed nothing of the container yet? What it runs lies on no mount of the container's then,
 * whatever the filter has told us of; and nobody inside steers it. */
static bool is_runtimes(struct receiver *r, bool *ret_unseen) {
        struct call *call = &r->call;
        struct task_status status;
        struct match match;

        if (!call->plan->starting || atomic_load(&start_of(r)->state) != START_NOT_YET || target_status(call, &status) < 0 ||
            !is_starter(r, status.tgid) || status.traced)
                return false;
        int where = look_at_program(call, &match);
        *ret_unseen = where == -EACCES;
        /* What it runs from here on is the container's, wherever that lies. */
        if (where == WHERE_INSIDE)
                atomic_store(&start_of(r)->state, STARTED);
        return where == WHERE_FOREIGN || *ret_unseen;
}

/* What was executed without a look is looked at when it makes its first call. Until then it has done nothing but compute. */
static bool program_allowed(struct receiver *r) {
        struct call *call = &r->call;
        struct match match = {};

        if (!is_starter(r, target_tgid_outside(call)))
                return true;
        if (look_at_program(call, &match) != WHERE_INSIDE || match.state != MATCH_GRANTED || !(match.rights & RIGHT_EXEC))
                return false;
        atomic_store(&start_of(r)->state, STARTED);
        return true;
}

/* The container dies of its own program. One that was executed in it later dies alone: it is no reason to end the others. */
static struct verdict refuse_program(struct receiver *r) {
        struct call *call = &r->call;

        if (r->listener->number == 0)
                return verdict_kill();
        call->why = "what is executed in the container is none of the programs that the policy lets it execute: the process was killed";
        return target_signal(call, SIGKILL) < 0 && loop_valid(call) ? verdict_kill() : verdict_deny(EACCES);
}

/* Is a directory outside of the container left open for the program, as by runtimes that had that mistake? From it `..` leads out, where no call with a
 * path is asked about. */
static bool leaves_directory(struct call *call, int fds, const char *number) {
        char name[64], text[256] = "";
        unsigned flags = 0;
        struct stat st;

        _cleanup_close_ int fd = openat(fds, number, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno != ENOENT;
        if (!S_ISDIR(st.st_mode) || locate(call_receiver(call), fd, call->path3, NULL) == WHERE_INSIDE)
                return false;
        snprintf(name, sizeof(name), "fdinfo/%.20s", number);
        _cleanup_close_ int info = target_open_proc(call, name, O_RDONLY);
        if (info < 0 || fd_read_full(info, text, sizeof(text) - 1) <= 0)
                return true;
        const char *line = strstr(text, "flags:");
        return !line || sscanf(line, "flags: %o", &flags) != 1 || !(flags & O_CLOEXEC);
}

/* Whether the container's program begins within the container. */
static bool begins_inside(struct call *call) {
        _cleanup_close_ int cwd = target_open_proc(call, "cwd", O_PATH);
        int list = target_open_proc(call, "fd", O_RDONLY | O_DIRECTORY);
        DIR *directory = list < 0 ? NULL : fdopendir(list);
        bool inside = directory && cwd >= 0 && locate(call_receiver(call), cwd, call->path3, NULL) == WHERE_INSIDE;

        for (const struct dirent *entry; inside && (entry = readdir(directory));)
                inside = entry->d_name[0] == '.' || !leaves_directory(call, dirfd(directory), entry->d_name);
        if (directory)
                closedir(directory);
        else
                fd_close(list);
        return inside;
}

struct verdict loop_decide(struct receiver *r) {
        struct call *call = &r->call;
        int e;

        if (!call->claim) {
                /* The filter notifies what some module claims, and nothing else: never let through what nobody has looked at. */
                call->why = "no module answers it";
                return verdict_deny(ENOSYS);
        }
        bool unseen = false, starts = is_runtimes(r, &unseen);
        if (starts && call->claim->executes && !call->plan->files_brokered && (unseen || !begins_inside(call))) {
                call->why = "its working directory, or a directory that is open, lies outside of the container";
                return verdict_deny(EACCES);
        }
        if (starts && unseen && call->claim->executes)
                atomic_store(&start_of(r)->state, STARTED_UNSEEN);
        if (starts && (unseen || !call->claim->executes))
                /* proceed: it is the runtime's own process yet, and no code of the image runs in it; what it executes unseen is looked at by its first
                 * call. */
                return verdict_proceed(PROCEED_HARMLESS);
        if (call->plan->starting && atomic_load(&start_of(r)->state) == STARTED_UNSEEN && !program_allowed(r)) {
                call->why = "the container's own program is none that the policy lets it execute";
                return refuse_program(r);
        }
        /* In a pid namespace of its own everybody dies with init. Elsewhere whoever is left dies by its next call. */
        if (call->plan->setting == PLAN_IN_PLACE && atomic_load(&r->worker->shared->kill.set)) {
                call->why = "the sandbox has been killed";
                return verdict_kill();
        }
        e = root_enter(r);
        if (e == -ESRCH)
                return verdict_gone();
        if (e < 0) {
                audit_event(r->worker, "no-root", strerrorname_np(-e));
                return verdict_error(EIO);
        }
        if (r->worker->unsafe_crash && strcmp(call->claim->name, "truncate") == 0)
                abort();
        struct verdict verdict = validate(r, call->claim->handle(call));
        if (starts && verdict.kind == VERDICT_PROCEED)
                atomic_store(&start_of(r)->state, STARTED);
        return verdict;
}

static void count(struct receiver *r, const struct verdict *v, const struct reply_result *result) {
        struct counters *c = &r->worker->shared->counters;

        if (v->denied)
                atomic_fetch_add(&c->denied, 1);
        else if (result->gone)
                atomic_fetch_add(&c->gone, 1);
        else if (result->failed)
                atomic_fetch_add(&c->failed, 1);
        else
                atomic_fetch_add(&c->allowed, 1);
        if (v->kind == VERDICT_FD && !result->gone && result->error == 0)
                atomic_fetch_add(&c->injected, 1);
}

void loop_begin(struct receiver *r) {
        struct call *call = &r->call;

        atomic_store_explicit(&call->slot->served, r->received, memory_order_release);
        call->claim = find_claim(r->worker, &call->notif->data);
        call->subject = NULL;
        call->file_rule = NULL;
        call->net_rule = NULL;
        call->syscall_rule = NULL;
        call->why = NULL;
        call->remedy = NULL;
        r->tgid_inside = r->tid_inside = r->tgid_outside = 0;
        root_forget_caller(r);
        r->conditions_known = false;
}

/* To the successor, which decides it anew. It is still in flight, and counts as such. */
static void leave(struct slot *slot) {
        atomic_store(&slot->served, 0);
        atomic_store_explicit(&slot->state, SLOT_ACTIVE, memory_order_release);
}

void loop_finish(struct receiver *r, struct verdict *verdict) {
        struct slot *slot = r->call.slot;

        /* Cut short for that, and nothing was done. */
        if (verdict->kind == VERDICT_RESTART && atomic_load(&r->worker->retiring)) {
                leave(slot);
                return;
        }
        struct reply_result result = reply_send(r, verdict);

        observe_latency(&r->worker->shared->observed, worker_now() - r->received);
        act_unpark(r->worker, slot);
        count(r, verdict, &result);
        if (verdict->denied)
                observe_denied(r, verdict->kind == VERDICT_KILL ? 0 : result.error);
        audit_record(r, verdict, &result);
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
        worker_count(r->worker, -1);
}

static void serve(struct receiver *r) {
        atomic_fetch_add(&r->worker->shared->counters.notified, 1);
        if (atomic_load(&r->worker->retiring)) {
                leave(r->call.slot);
                return;
        }
        atomic_store_explicit(&r->call.slot->state, SLOT_ACTIVE, memory_order_release);
        loop_begin(r);
        struct verdict verdict = loop_decide(r);
        loop_finish(r, &verdict);
}

/* ---- receiving ---- */

static bool hung_up(const struct listener *l) {
        struct pollfd p = { .fd = l->fd };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* A call that was there already when we asked for it took no longer than this. */
#define AT_ONCE_NSEC 1500
#define PRESSURE_MAX 64
#define PRESSURE_NSEC 4096
#define PRESSURE_STEP 16

/* As many threads receive as keep up: one more when calls are found waiting again and again behind calls that take their time, one less when
 * they are not. Each notification wakes all of them, so that one too many costs every call, and two threads that take turns on two CPUs are
 * slower than one, where an answer is a matter of a few microseconds. A caller that runs as soon as it is answered, and has its next call
 * there before we ask for it, has not been waiting: only another one has. */
static void adapt(struct receiver *r, uint64_t nsec) {
        struct worker *w = r->worker;
        struct listener *l = r->listener;
        pid_t tid = r->call.notif->pid;
        bool waited = nsec < AT_ONCE_NSEC && tid != r->last_tid;
        uint64_t weight = r->busy / PRESSURE_NSEC;
        unsigned wanted = atomic_load_explicit(&l->wanted, memory_order_relaxed);
        int pressure = atomic_load_explicit(&l->pressure, memory_order_relaxed);

        r->last_tid = tid;
        pressure += waited ? (int) (weight < PRESSURE_STEP ? weight : PRESSURE_STEP) : -1;
        if (pressure >= PRESSURE_MAX) {
                pressure = 0;
                if (wanted < w->max_wanted)
                        threads_want(w, l, wanted + 1);
        } else if (pressure <= -PRESSURE_MAX) {
                pressure = 0;
                if (wanted > w->min_wanted)
                        (void) atomic_compare_exchange_strong(&l->wanted, &wanted, wanted - 1);
        }
        atomic_store_explicit(&l->pressure, pressure, memory_order_relaxed);
}

/* Returns 1 with a call in the slot, 0 when there is none to be had any more, -EAGAIN to try again. */
static int receive(struct receiver *r) {
        struct worker *w = r->worker;
        struct listener *l = r->listener;
        struct slot *slot = r->call.slot;

        /* The kernel wants the notification zeroed; the rest is from the last call. */
        memset(&slot->notif, 0, sizeof(slot->notif));
        slot->listener = l->number;
        slot->error = 0;
        slot->result = 0;
        slot->park = -1;
        slot->act = ACT_NONE;
        slot->strikes = 0;
        slot->affinity_set = 0;
        slot->sent = (struct slot_sent) {};
        uint64_t before = worker_now();
        r->busy = before - r->received;
        int e = ioctl(l->fd, SECCOMP_IOCTL_NOTIF_RECV, &slot->notif) < 0 ? errno : 0;
        threads_leave_receiving(r);
        if (e == 0) {
                r->received = worker_now();
                worker_count(w, 1);
                atomic_fetch_add(&l->taken, 1);
                if (atomic_load(&w->monitor_sleeps))
                        monitor_wake(w);
                adapt(r, r->received - before);
                return 1;
        }
        /* ENOENT: the caller died or was interrupted before we had its call, or the last task is gone. */
        if (e == ENOENT && hung_up(l))
                atomic_store(&l->gone, true);
        if (e == EINTR || e == ENOENT)
                return -EAGAIN;
        atomic_store(&w->fatal, -e);
        monitor_wake(w);
        return 0;
}

void *loop_run(void *userdata) {
        struct receiver *r = userdata;
        struct worker *w = r->worker;
        int e;

        threads_begin(r);
        r->call = (struct call) {
                .worker = w,
                .plan = w->plan,
                .slot = &w->shared->slots[r->index],
                .notif = &w->shared->slots[r->index].notif,
                .path = r->paths[0],
                .path2 = r->paths[1],
                .path3 = r->paths[2],
        };
        e = credentials_own(&r->credentials);
        if (e >= 0 && unshare(CLONE_FS) < 0)
                e = -errno;
        /* Until here it was shared with the thread that has started this one, and may be what that one has made of it meanwhile. */
        umask(0);
        r->umask = 0;
        if (e >= 0) {
                r->own_fds = openat(w->proc, "thread-self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
                e = r->own_fds < 0 ? -errno : 0;
        }
        if (e < 0) {
                atomic_store(&w->fatal, e);
                monitor_wake(w);
                if (!r->inherits)
                        threads_leave_receiving(r);
                return NULL;
        }
        if (r->inherits) {
                takeover_serve(r);
                r->inherits = false;
                if (!threads_enter_receiving(r))
                        return NULL;
        }
        /* A new thread counts as waiting already. */
        do {
                e = receive(r);
                if (e > 0)
                        serve(r);
        } while (e != 0 && threads_enter_receiving(r));
        return NULL;
}
