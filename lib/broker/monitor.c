/*
 * The monitor: the process's first thread, which looks after the others (threads.c).
 *
 * It wakes up regularly only while calls come in or are blocked. A worker that is asked to retire receives nothing more: a thread that gets a call all
 * the same leaves it in its slot. So the process can end while threads are in NOTIF_RECV.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"

#define TICK_MSEC 20
#define IDLE_TICKS 10  /* without a call, after which the monitor sleeps */
#define BLOCKED_MSEC 5 /* between two looks at blocked calls */
#define CANCEL_MSEC 1  /* between two signals to a thread that is to leave a system call */
#define SHARED_POLLS 4
#define END_MSEC 500
#define RETIRE_MSEC 1000 /* after which it ends in the midst of calls, as if it were killed */

/* ---- blocked calls ---- */

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
        bool cancelled = false, retiring = atomic_load(&r->worker->retiring);

        pthread_mutex_lock(&r->lock);
        /* With the lock held the thread can't leave the call that it is blocked for, and its slot stays what it is. */
        if (r->block != BLOCK_NONE) {
                if (!loop_valid(&r->call))
                        r->cancel = -ESRCH;
                else if (r->cancel == 0)
                        r->cancel = retiring ? -ERESTART : look_at_signals(r, r->call.notif->pid);
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

/* ---- looking after threads ---- */

/* Nobody receives, and nothing was received since the last tick: a thread is stuck. */
static void relieve_stuck(struct worker *w, struct listener *l, uint64_t taken) {
        static _Atomic bool told;

        if (taken != l->taken_before || atomic_load(&l->waiting) > 0)
                return;
        bool full = w->options.pool && pool_full(w->options.pool);
        if ((full || threads_relieve(w, l) < 0) && !atomic_exchange(&told, true))
                audit_event(w, full ? "quota" : "no-thread",
                            full ? "all threads are busy, and its owner has as many calls in flight as may be (quota: calls)"
                                 : "all threads are busy, and the bound on threads is reached");
}

/* Whether a call came in since the last look. */
static bool look_at_listeners(struct worker *w, bool ticked) {
        bool any = false;

        for (unsigned i = 0; i < w->n_listeners; i++) {
                struct listener *l = &w->listeners[i];
                uint64_t taken = atomic_load(&l->taken);
                if (atomic_load(&l->gone))
                        continue;
                if (ticked)
                        relieve_stuck(w, l, taken);
                any = any || taken != l->taken_before;
                l->taken_before = taken;
        }
        return any;
}

/* All listeners have somebody, and have had nothing. */
static bool may_sleep(struct worker *w) {
        for (unsigned i = 0; i < w->n_listeners; i++)
                if (!atomic_load(&w->listeners[i].gone) && atomic_load(&w->listeners[i].waiting) == 0)
                        return false;
        atomic_store(&w->monitor_sleeps, true);
        /* A call that came before it could see that: another round. */
        if (atomic_load(&w->n_blocked) == 0) {
                bool any = false;
                for (unsigned i = 0; i < w->n_listeners; i++)
                        any = any || atomic_load(&w->listeners[i].taken) != w->listeners[i].taken_before;
                if (!any)
                        return true;
        }
        atomic_store(&w->monitor_sleeps, false);
        return false;
}

/* The last caller can be gone before the thread that has answered it has counted and recorded that. */
static int wait_for_threads(struct worker *w) {
        struct timespec little = { .tv_nsec = 1000000 };

        for (int i = 0; i < END_MSEC; i++) {
                pthread_mutex_lock(&w->lock);
                bool done = threads_idle(w);
                pthread_mutex_unlock(&w->lock);
                if (done)
                        break;
                nanosleep(&little, NULL);
        }
        return 0;
}

/* ---- making way ---- */

static _Atomic bool asked_to_retire;

static void on_retire(int signal) {
        (void) signal;
        atomic_store(&asked_to_retire, true);
}

/* It is blocked but while the monitor waits for something to happen. */
static int catch_retire(sigset_t *ret) {
        struct sigaction action = { .sa_handler = on_retire };

        if (sigaction(SIGTERM, &action, NULL) < 0 || pthread_sigmask(SIG_SETMASK, NULL, ret) != 0)
                return -errno;
        sigdelset(ret, SIGTERM);
        return 0;
}

/* Until every thread has answered its call or left it in its slot. */
static int retire(struct worker *w) {
        struct timespec little = { .tv_nsec = CANCEL_MSEC * 1000000 };
        uint64_t end = worker_now() + (uint64_t) RETIRE_MSEC * 1000000;

        atomic_store(&w->retiring, true);
        while (worker_now() < end) {
                pthread_mutex_lock(&w->lock);
                bool done = threads_idle(w);
                pthread_mutex_unlock(&w->lock);
                if (done)
                        break;
                watch_all(w);
                nanosleep(&little, NULL);
        }
        return 1;
}

/* ---- the monitor ---- */

void monitor_wake(struct worker *w) {
        uint64_t one = 1;

        atomic_store(&w->monitor_sleeps, false);
        (void) !write(w->wake, &one, sizeof(one));
}

/* Notes those that have hung up, and leaves them out from then on. False: none is left. */
static bool note_hung_up(struct worker *w, struct pollfd *fds) {
        bool any = false;

        for (unsigned i = 0; i < w->n_listeners; i++) {
                if (fds[i].revents & (POLLHUP | POLLERR)) {
                        atomic_store(&w->listeners[i].gone, true);
                        fds[i].fd = -1;
                }
                any = any || fds[i].fd >= 0;
        }
        return any;
}

int monitor_run(struct worker *w) {
        struct pollfd fds[LISTENERS_MAX + 1], *wake = &fds[w->n_listeners];
        uint64_t drained;
        unsigned quiet = 0;
        int timeout = TICK_MSEC, r;
        sigset_t mask, *during = NULL;

        if (w->options.retires) {
                during = &mask;
                r = catch_retire(during);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; i < w->n_listeners; i++)
                fds[i] = (struct pollfd) { .fd = w->listeners[i].fd };
        *wake = (struct pollfd) { .fd = w->wake, .events = POLLIN };
        for (;;) {
                struct timespec wait = { .tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L };
                bool interrupted = ppoll(fds, w->n_listeners + 1, timeout < 0 ? NULL : &wait, during) < 0;
                if (interrupted && errno != EINTR)
                        return -errno;
                if (atomic_load(&w->fatal) < 0)
                        return atomic_load(&w->fatal);
                if (atomic_load(&asked_to_retire))
                        return retire(w);
                if (interrupted)
                        continue;
                if (!note_hung_up(w, fds))
                        return wait_for_threads(w);
                if (wake->revents & POLLIN)
                        (void) !read(w->wake, &drained, sizeof(drained));

                quiet = look_at_listeners(w, wake->revents == 0) ? 0 : quiet + 1;
                if (atomic_load(&w->n_blocked) > 0) {
                        timeout = watch_all(w);
                        continue;
                }
                timeout = quiet >= IDLE_TICKS && may_sleep(w) ? -1 : TICK_MSEC;
        }
}
