/*
 * Replies: the one place from which a verdict goes to the kernel.
 *
 * A descriptor is injected in two steps, ADDFD and then SEND, for the reasons in slots.c. ADDFD has the caller put the descriptor in its table
 * itself, which wakes it on a CPU of the scheduler's choice: on an idle machine one that has to be woken up first, which takes ten times longer
 * than all the rest. So the caller's affinity is narrowed to our CPU meanwhile; on a busy machine that makes it wait for us. Which of the two
 * is better is measured all the time.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit.h"
#include "broker.h"
#include "fd.h"
#include "sys.h"

static struct reply_result send_reply(struct receiver *r, int64_t value, int error, uint32_t flags) {
        struct seccomp_notif_resp response = { .id = r->call.notif->id, .val = value, .error = -error, .flags = flags };
        struct reply_result result = { .error = error };

        if (ioctl(r->listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &response) >= 0)
                return result;
        if (errno == ENOENT)
                return (struct reply_result) { .gone = true };
        /* The kernel takes whatever is in its ranges; but a caller must not be left without an answer. */
        response = (struct seccomp_notif_resp) { .id = r->call.notif->id, .error = -EIO };
        if (ioctl(r->listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno == ENOENT)
                return (struct reply_result) { .gone = true };
        return (struct reply_result) { .failed = true, .error = EIO };
}

static struct reply_result send_failure(struct receiver *r, int error) {
        struct reply_result result = send_reply(r, 0, error, 0);

        result.failed = !result.gone;
        return result;
}

/* ---- injecting ---- */

#define TRY_OTHER 64      /* one call in so many tries the way that was worse */
#define COST_MAX 1000000U /* one slow call says little */

static int get_affinity(pid_t tid, cpu_set_t *ret) {
        CPU_ZERO(ret);
        return syscall(SYS_sched_getaffinity, tid, sizeof(*ret), ret) < 0 ? -errno : 0;
}

static int set_affinity(pid_t tid, const cpu_set_t *cpus) {
        return syscall(SYS_sched_setaffinity, tid, sizeof(*cpus), cpus) < 0 ? -errno : 0;
}

/* Puts the caller's old affinity in the slot and narrows it to our CPU; false where there is nothing to narrow. */
static bool narrow(struct receiver *r) {
        struct slot *slot = r->call.slot;
        pid_t tid = r->call.notif->pid;
        int cpu = sched_getcpu();
        cpu_set_t old, one;

        _Static_assert(sizeof(old) == sizeof(slot->affinity), "the slot holds a cpu_set_t");
        if (cpu < 0 || cpu >= CPU_SETSIZE || get_affinity(tid, &old) < 0 || !CPU_ISSET(cpu, &old) || CPU_COUNT(&old) < 2)
                return false;
        memcpy(slot->affinity, &old, sizeof(old));
        atomic_thread_fence(memory_order_release);
        slot->affinity_set = 1;
        atomic_thread_fence(memory_order_release);
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (loop_valid(&r->call) && set_affinity(tid, &one) >= 0)
                return true;
        slot->affinity_set = 0;
        return false;
}

void reply_widen(struct receiver *r) {
        struct slot *slot = r->call.slot;
        cpu_set_t old;

        memcpy(&old, slot->affinity, sizeof(old));
        /* A caller that never had an affinity has all CPUs, those to come as well. */
        if (CPU_EQUAL(&old, &r->worker->all_cpus))
                memset(&old, 0xff, sizeof(old));
        if (loop_valid(&r->call))
                (void) set_affinity(r->call.notif->pid, &old);
        atomic_thread_fence(memory_order_release);
        slot->affinity_set = 0;
}

static bool choose_narrow(struct inject_cost *c) {
        uint32_t wide = atomic_load_explicit(&c->cost[0], memory_order_relaxed);
        uint32_t narrowed = atomic_load_explicit(&c->cost[1], memory_order_relaxed);
        uint32_t turn = atomic_fetch_add_explicit(&c->turn, 1, memory_order_relaxed);
        bool better = narrowed <= wide || narrowed == 0;

        return turn % TRY_OTHER == TRY_OTHER - 1 ? !better : better;
}

static void learn_cost(struct inject_cost *c, bool narrowed, uint64_t nsec) {
        uint32_t sample = nsec > COST_MAX ? COST_MAX : nsec;
        uint32_t old = atomic_load_explicit(&c->cost[narrowed], memory_order_relaxed);

        atomic_store_explicit(&c->cost[narrowed], old == 0 ? sample : old - old / 8 + sample / 8, memory_order_relaxed);
}

static int add_fd(struct receiver *r, int fd, bool cloexec) {
        struct seccomp_notif_addfd add = {
                .id = r->call.notif->id,
                .srcfd = fd,
                .newfd_flags = cloexec ? O_CLOEXEC : 0,
        };
        int n = ioctl(r->listener->fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

        return n < 0 ? -errno : n;
}

static struct reply_result inject(struct receiver *r, struct verdict *v) {
        struct worker *w = r->worker;
        struct slot *slot = r->call.slot;
        _cleanup_close_ int fd = TAKE_FD(v->fd);
        bool several = w->all_cpus_count > 1, want = several && choose_narrow(&w->inject), narrowed;
        uint64_t begin = several ? worker_now() : 0;
        int n;

        slot->cloexec = v->cloexec;
        n = act_park(&r->call, fd);
        if (n < 0)
                return send_failure(r, EIO);
        narrowed = want && narrow(r);
        n = add_fd(r, fd, v->cloexec);
        if (n >= 0)
                slot->result = n;
        /* Before the reply as well: whoever waits for the last descriptor of a pipe to be closed must not wait for ours, nor take it for one. */
        act_unpark(w, slot);
        fd = fd_close(fd);
        /* Before the reply: the program must never run with an affinity that isn't its own. */
        if (narrowed)
                reply_widen(r);
        if (several && narrowed == want)
                learn_cost(&w->inject, narrowed, worker_now() - begin);

        if (n == -ENOENT)
                return (struct reply_result) { .gone = true };
        if (n == -EMFILE || n == -ENFILE || n == -ENOMEM) {
                /* As the caller's own open would have ended. */
                return send_reply(r, 0, -n, 0);
        }
        if (n < 0)
                return send_failure(r, EIO);
        return send_reply(r, n, 0, 0);
}

/* ---- restarting, killing ---- */

/* To be answered with ERESTARTSYS, the kernel's own way to say "interrupted: restart, or EINTR, as the handler asks for". Only a caller
 * that really takes a signal when it leaves the call understands it; any other would see errno 512. A signal of the thread's own that is not
 * blocked is certain; one for the whole process is, where the process has but one thread. */
static int restart_error(struct receiver *r) {
        struct task_status status;

        if (!r->worker->options.wait_killable || target_status(&r->call, &status) < 0)
                return EINTR;
        if (status.pending & ~status.blocked)
                return AUDIT_ERESTARTSYS;
        if (status.threads == 1 && (status.pending_shared & ~status.blocked))
                return AUDIT_ERESTARTSYS;
        return EINTR;
}

static struct reply_result kill_sandbox(struct receiver *r) {
        struct kill_note *note = &r->worker->shared->kill;
        uint32_t unset = 0;

        /* Written before it says so; by the first only. */
        if (atomic_compare_exchange_strong(&note->set, &unset, 2)) {
                audit_kill_text(&r->call, note->text, sizeof(note->text));
                atomic_store(&note->set, 1);
        }
        /* The init of a pid namespace takes everybody along. The caller stays in its call until then. Where there is none, each dies by its next call
         * (loop_decide). */
        if (r->call.plan->setting == PLAN_IN_PLACE)
                (void) target_signal(&r->call, SIGKILL);
        if (sys_pidfd_send_signal(r->worker->init_pidfd, SIGKILL) < 0 && errno != ESRCH) {
                audit_event(r->worker, "no-kill", strerrorname_np(errno));
                return send_failure(r, EPERM);
        }
        return (struct reply_result) {};
}

static struct reply_result proceed(struct receiver *r, struct verdict *v) {
        struct reply_result result = send_reply(r, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);

        if (v->reason == PROCEED_CHECKED && !exec_event_finish(&r->call, &v->exec)) {
                v->denied = true;
                r->call.why = "the path was changed while it was decided on, to a program that may not be run: the process was killed";
        }
        return result;
}

struct reply_result reply_send(struct receiver *r, struct verdict *v) {
        if (r->worker->unsafe_proceed && !v->denied && v->kind <= VERDICT_FD) {
                /* FOR TESTS: the mistake that the races of tests/attack look for, so that they can show that they would find it. */
                if (v->kind == VERDICT_FD)
                        v->fd = fd_close(v->fd);
                v->kind = VERDICT_PROCEED;
        }
        switch (v->kind) {
        case VERDICT_VALUE: return send_reply(r, v->value, 0, 0);
        case VERDICT_ERROR: return send_reply(r, 0, v->error, 0);
        case VERDICT_FD: return inject(r, v);
        case VERDICT_PROCEED: return proceed(r, v);
        case VERDICT_KILL: return kill_sandbox(r);
        case VERDICT_RESTART: return send_reply(r, 0, restart_error(r), 0);
        case VERDICT_GONE: break;
        }
        /* A caller that is there after all must not wait for ever. */
        if (!loop_valid(&r->call))
                return (struct reply_result) { .gone = true };
        return send_failure(r, EIO);
}
