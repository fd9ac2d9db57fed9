/*
 * The worker's threads: leader and followers.
 *
 * Every thread that receives a call also answers it, so that no call is handed over. The kernel wakes all threads that wait in NOTIF_RECV for
 * each notification, so that as few wait there as keep up with the callers (`wanted`, see loop.c); the others stand by on a condition.
 * A thread that is about to block has another one take its place first, and the monitor does the same for one that is stuck in a call which
 * nobody expected to block, so that there is always somebody who receives: a call that was not received yet fails with EINTR on a signal.
 *
 * The monitor is the process's first thread. It wakes up regularly only while calls come in or are blocked.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"

#ifdef __SANITIZE_ADDRESS__
#define STACK_SIZE (1U << 20)
#else
#define STACK_SIZE (256U << 10)
#endif
#define MAX_STANDBY 8 /* more than this many idle threads end */
#define TICK_MSEC 20
#define IDLE_TICKS 10  /* without a call, after which the monitor sleeps */
#define BLOCKED_MSEC 5 /* between two looks at blocked calls */
#define CANCEL_MSEC 1  /* between two signals to a thread that is to leave a system call */
#define SHARED_POLLS 4
#define SUSPECT_ROUNDS 500 /* of 0.2 ms */
#define END_MSEC 500

static void receiver_free(struct receiver *r) {
        if (!r)
                return;
        fd_close(r->pidfd);
        fd_close(r->proc);
        fd_close(r->own_fds);
        pthread_mutex_destroy(&r->lock);
        free(r);
}

static void *thread_run(void *userdata) {
        struct receiver *r = userdata;
        struct worker *w = r->worker;

        loop_run(r);

        pthread_mutex_lock(&w->lock);
        w->receivers[r->index] = NULL;
        w->n_threads--;
        pthread_mutex_unlock(&w->lock);
        receiver_free(r);
        return NULL;
}

/* The receiver of the calling thread, where it is one: its heirs are what it has become. */
static _Thread_local const struct receiver *current;

/* Called with the lock held. The new thread counts as waiting from now on, unless it has a call already. */
static int spawn_at(struct worker *w, unsigned index, bool inherits) {
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        struct receiver *new = calloc(1, sizeof(*new));
        if (!new)
                return -ENOMEM;
        new->worker = w;
        new->index = index;
        new->inherits = inherits;
        new->pidfd = new->proc = new->own_fds = new->trace = -1;
        pthread_mutex_init(&new->lock, NULL);
        if (current) {
                /* Root, namespaces and credentials are inherited from the thread that starts it. */
                new->entered = current->entered;
        }
        if (pthread_attr_init(&attr) != 0) {
                receiver_free(new);
                return -ENOMEM;
        }
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, STACK_SIZE);
        w->receivers[index] = new;
        w->n_threads++;
        if (w->shared->n_slots <= index)
                w->shared->n_slots = index + 1;
        if (!inherits)
                atomic_fetch_add(&w->waiting, 1);
        r = pthread_create(&thread, &attr, thread_run, new);
        pthread_attr_destroy(&attr);
        if (r != 0) {
                if (!inherits)
                        atomic_fetch_sub(&w->waiting, 1);
                w->n_threads--;
                w->receivers[index] = NULL;
                receiver_free(new);
                return -EAGAIN;
        }
        return 0;
}

static int spawn(struct worker *w) {
        unsigned index = 0;

        /* A slot that nobody has and that isn't free holds a predecessor's call, whose thread comes yet. */
        while (index < w->max_threads && (w->receivers[index] || w->shared->slots[index].state != SLOT_FREE))
                index++;
        return index == w->max_threads ? -EAGAIN : spawn_at(w, index, false);
}

/* Until the call of this slot is answered, waits for somebody else, or has had its time. */
static void wait_for_suspect(struct worker *w, unsigned index) {
        struct timespec little = { .tv_nsec = 200000 };
        bool done = false;

        for (int i = 0; i < SUSPECT_ROUNDS && !done; i++) {
                nanosleep(&little, NULL);
                pthread_mutex_lock(&w->lock);
                done = !w->receivers[index] || w->receivers[index]->block != BLOCK_NONE || w->shared->slots[index].state == SLOT_FREE;
                pthread_mutex_unlock(&w->lock);
        }
}

/* A thread for each call that a predecessor has left. Those that were there when one crashed come last, one after the other, so that nobody else is
 * taken for the culprit. */
static int inherit(struct worker *w, bool suspects) {
        for (unsigned i = 0; i < w->shared->n_slots; i++) {
                const struct slot *slot = &w->shared->slots[i];
                pthread_mutex_lock(&w->lock);
                /* The threads that are there already receive new calls meanwhile, and some end. */
                bool left = !w->receivers[i] && slot->state != SLOT_FREE && (slot->strikes >= STRIKES_CRASH) == suspects;
                int r = left ? spawn_at(w, i, true) : 0;
                pthread_mutex_unlock(&w->lock);
                if (r < 0)
                        return r;
                if (left && suspects)
                        wait_for_suspect(w, i);
        }
        return 0;
}

int threads_start(struct worker *w) {
        int r = 0;

        if (w->options.successor && (r = inherit(w, false)) >= 0)
                r = inherit(w, true);
        pthread_mutex_lock(&w->lock);
        if (r >= 0)
                r = spawn(w);
        pthread_mutex_unlock(&w->lock);
        return r;
}

void threads_begin(struct receiver *r) {
        current = r;
        r->tid = gettid();
}

int threads_relieve(struct worker *w) {
        int r = 0;

        if (atomic_load(&w->waiting) > 0)
                return 0;
        pthread_mutex_lock(&w->lock);
        if (atomic_load(&w->waiting) > 0)
                ;
        else if (w->n_standby > 0) {
                /* It counts as waiting from now on, so that nobody wakes a second one. */
                w->n_standby--;
                w->relieved++;
                atomic_fetch_add(&w->waiting, 1);
                pthread_cond_signal(&w->relief);
        } else
                r = spawn(w);
        pthread_mutex_unlock(&w->lock);
        return r;
}

void threads_want(struct worker *w, unsigned wanted) {
        pthread_mutex_lock(&w->lock);
        atomic_store(&w->wanted, wanted);
        if (atomic_load(&w->waiting) < wanted) {
                if (w->n_standby > 0) {
                        w->n_standby--;
                        w->relieved++;
                        atomic_fetch_add(&w->waiting, 1);
                        pthread_cond_signal(&w->relief);
                } else if (w->n_threads < wanted + MAX_STANDBY)
                        (void) spawn(w);
        }
        pthread_mutex_unlock(&w->lock);
}

bool threads_enter_receiving(struct receiver *r) {
        struct worker *w = r->worker;
        bool stay = true;

        if (atomic_fetch_add(&w->waiting, 1) < atomic_load(&w->wanted))
                return true;
        atomic_fetch_sub(&w->waiting, 1);

        pthread_mutex_lock(&w->lock);
        if (atomic_load(&w->waiting) < atomic_load(&w->wanted))
                atomic_fetch_add(&w->waiting, 1);
        else if (w->n_standby >= MAX_STANDBY)
                stay = false;
        else {
                w->n_standby++;
                while (w->relieved == 0)
                        pthread_cond_wait(&w->relief, &w->lock);
                w->relieved--;
        }
        pthread_mutex_unlock(&w->lock);
        return stay;
}

void threads_leave_receiving(struct receiver *r) {
        struct worker *w = r->worker;

        atomic_fetch_sub(&w->waiting, 1);
}

/* ---- blocking calls ---- */

static void cancel_signal_mask(int how) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, CANCEL_SIGNAL);
        pthread_sigmask(how, &set, NULL);
}

int target_block_begin(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct worker *w = r->worker;
        int e;

        e = threads_relieve(w);
        if (e < 0) {
                audit_event(w, "no-thread", "a call that may block was refused: the bound on threads is reached");
                return -EAGAIN;
        }
        /* It may wait through the deaths of many workers, and is not what they are killed for. */
        atomic_store(&call->slot->served, 0);
        call->slot->strikes -= call->slot->strikes % STRIKES_CRASH;
        pthread_mutex_lock(&r->lock);
        r->block = BLOCK_WAITING;
        r->cancel = 0;
        r->seen = 0;
        pthread_mutex_unlock(&r->lock);
        atomic_fetch_add(&w->shared->counters.blocked, 1);
        if (atomic_fetch_add(&w->n_blocked, 1) == 0)
                threads_wake_monitor(w);
        cancel_signal_mask(SIG_UNBLOCK);
        return 0;
}

int target_block_end(struct call *call) {
        struct receiver *r = call_receiver(call);
        int saved = errno, cancel;

        /* Blocked again before anything else is done: an injection must not be interrupted. */
        cancel_signal_mask(SIG_BLOCK);
        pthread_mutex_lock(&r->lock);
        cancel = r->cancel;
        r->block = BLOCK_NONE;
        pthread_mutex_unlock(&r->lock);
        atomic_fetch_sub(&r->worker->n_blocked, 1);
        atomic_store(&call->slot->served, worker_now());
        if (cancel == 0 && !loop_valid(call))
                cancel = -ESRCH;
        errno = saved;
        return cancel;
}

/* Has the caller a signal to take? With WAIT_KILLABLE_RECV a handled signal doesn't wake it; only its status tells. */
static int look_at_signals(struct receiver *r, pid_t tid) {
        struct task_status status;

        if (task_status_read(r->worker, tid, &status) < 0)
                return 0; /* it is gone: the next look at the notification's id says so */
        if (status.pending & ~status.blocked)
                return -ERESTART;
        if (!(status.pending_shared & ~status.blocked)) {
                r->seen = 0;
                return 0;
        }
        /* A signal for the whole process is given to one of its threads, and nothing tells to which. One that is not this caller takes it soon. */
        return status.threads == 1 || ++r->seen >= SHARED_POLLS ? -ERESTART : 0;
}

/* Called with the worker's lock held, so that the receiver stays. True: it has been told to leave its system call. */
static bool watch_blocked(struct receiver *r) {
        bool cancelled = false;

        pthread_mutex_lock(&r->lock);
        /* With the lock held the thread can't leave the call that it is blocked for, and its slot stays what it is. */
        if (r->block != BLOCK_NONE) {
                if (!loop_valid(&r->call))
                        r->cancel = -ESRCH;
                else if (r->cancel == 0)
                        r->cancel = look_at_signals(r, r->call.notif->pid);
                if (r->cancel < 0) {
                        /* Sent again and again until it is out: a signal that comes just before the system call begins is lost. */
                        r->block = BLOCK_CANCELLED;
                        cancelled = true;
                        syscall(SYS_tgkill, getpid(), r->tid, CANCEL_SIGNAL);
                }
        }
        pthread_mutex_unlock(&r->lock);
        return cancelled;
}

/* Milliseconds until the next look. */
static int watch_all(struct worker *w) {
        bool cancelled = false;
        int n = 0;

        pthread_mutex_lock(&w->lock);
        for (unsigned i = 0; i < w->max_threads; i++)
                if (w->receivers[i] && w->receivers[i]->block != BLOCK_NONE) {
                        cancelled = watch_blocked(w->receivers[i]) || cancelled;
                        n++;
                }
        pthread_mutex_unlock(&w->lock);
        if (cancelled)
                return CANCEL_MSEC;
        /* About 10 µs for each call: hundreds of them are looked at less often. */
        return BLOCKED_MSEC + n / 10;
}

/* ---- the monitor ---- */

void threads_wake_monitor(struct worker *w) {
        uint64_t one = 1;

        atomic_store(&w->monitor_sleeps, false);
        (void) !write(w->wake, &one, sizeof(one));
}

/* Nobody receives, and nothing was received since the last tick: a thread is stuck. */
static void relieve_stuck(struct worker *w, uint64_t taken, uint64_t taken_before) {
        static _Atomic bool told;

        if (taken != taken_before || atomic_load(&w->waiting) > 0)
                return;
        if (threads_relieve(w) < 0 && !atomic_exchange(&told, true))
                audit_event(w, "no-thread", "all threads are busy, and the bound on threads is reached");
}

/* The last caller can be gone before the thread that has answered it has counted and recorded that. */
static int wait_for_threads(struct worker *w) {
        struct timespec little = { .tv_nsec = 1000000 };

        for (int i = 0; i < END_MSEC; i++) {
                pthread_mutex_lock(&w->lock);
                bool idle = w->n_threads <= w->n_standby + atomic_load(&w->waiting);
                pthread_mutex_unlock(&w->lock);
                if (idle)
                        break;
                nanosleep(&little, NULL);
        }
        return 0;
}

int threads_monitor(struct worker *w) {
        uint64_t before = 0, taken = 0, drained;
        unsigned idle = 0;
        int timeout = TICK_MSEC;

        for (;;) {
                struct pollfd fds[] = { { .fd = w->listener }, { .fd = w->wake, .events = POLLIN } };
                if (poll(fds, ELEMENTSOF(fds), timeout) < 0 && errno != EINTR)
                        return -errno;
                if (atomic_load(&w->fatal) < 0)
                        return atomic_load(&w->fatal);
                if (fds[0].revents & (POLLHUP | POLLERR))
                        return wait_for_threads(w);
                if (fds[1].revents & POLLIN)
                        (void) !read(w->wake, &drained, sizeof(drained));

                taken = atomic_load(&w->taken);
                if (fds[1].revents == 0)
                        relieve_stuck(w, taken, before);
                idle = taken == before ? idle + 1 : 0;
                before = taken;
                if (atomic_load(&w->n_blocked) > 0) {
                        timeout = watch_all(w);
                        continue;
                }
                timeout = TICK_MSEC;
                if (idle >= IDLE_TICKS && atomic_load(&w->waiting) > 0) {
                        atomic_store(&w->monitor_sleeps, true);
                        /* A call that came before it could see that: another round. */
                        if (atomic_load(&w->taken) == before && atomic_load(&w->n_blocked) == 0)
                                timeout = -1;
                        else
                                atomic_store(&w->monitor_sleeps, false);
                }
        }
}
