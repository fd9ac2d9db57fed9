/*
 * The worker's threads: leader and followers.
 *
 * Every thread that receives a call also answers it, so that no call is handed over. The kernel wakes all threads that wait in NOTIF_RECV for
 * each notification, so that as few wait there as keep up with the callers (`wanted`, see loop.c); the others stand by on a condition.
 * A thread that is about to block has another one take its place first, and the monitor does the same for one that is stuck in a call which
 * nobody expected to block, so that there is always somebody who receives: a call that was not received yet fails with EINTR on a signal.
 *
 * A thread waits in NOTIF_RECV of one listener at a time, and stays with it; one that stands by goes to whichever needs it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"

#ifdef __SANITIZE_ADDRESS__
#define STACK_SIZE (1U << 20)
#else
#define STACK_SIZE (256U << 10)
#endif
#define MAX_STANDBY 8      /* more than this many idle threads end */
#define SUSPECT_ROUNDS 500 /* of 0.2 ms */

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

struct listener *threads_listener(struct worker *w, uint32_t number) {
        for (unsigned i = 0; i < w->n_listeners; i++)
                if (w->listeners[i].number == number)
                        return &w->listeners[i];
        return NULL;
}

/* Called with the lock held. The new thread counts as waiting from now on, unless it has a call already. */
static int spawn_at(struct worker *w, struct listener *l, unsigned index, bool inherits) {
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        struct receiver *new = calloc(1, sizeof(*new));
        if (!new)
                return -ENOMEM;
        new->worker = w;
        new->listener = l;
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
                atomic_fetch_add(&l->waiting, 1);
        r = pthread_create(&thread, &attr, thread_run, new);
        pthread_attr_destroy(&attr);
        if (r != 0) {
                if (!inherits)
                        atomic_fetch_sub(&l->waiting, 1);
                w->n_threads--;
                w->receivers[index] = NULL;
                receiver_free(new);
                return -EAGAIN;
        }
        return 0;
}

static int spawn(struct worker *w, struct listener *l) {
        unsigned index = 0;

        /* A slot that nobody has and that isn't free holds a predecessor's call, whose thread comes yet. */
        while (index < w->max_threads && (w->receivers[index] || w->shared->slots[index].state != SLOT_FREE))
                index++;
        return index == w->max_threads ? -EAGAIN : spawn_at(w, l, index, false);
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
                int r = left ? spawn_at(w, threads_listener(w, slot->listener), i, true) : 0;
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
        for (unsigned i = 0; r >= 0 && i < w->n_listeners; i++)
                r = spawn(w, &w->listeners[i]);
        pthread_mutex_unlock(&w->lock);
        return r;
}

void threads_begin(struct receiver *r) {
        current = r;
        r->tid = gettid();
}

/* Called with the lock held: a thread that stands by counts as waiting from now on, so that nobody wakes a second one. */
static void call_standby(struct worker *w, struct listener *l) {
        w->n_standby--;
        l->relieved++;
        atomic_fetch_add(&l->waiting, 1);
        pthread_cond_signal(&w->relief);
}

int threads_relieve(struct worker *w, struct listener *l) {
        int r = 0;

        if (atomic_load(&l->waiting) > 0)
                return 0;
        pthread_mutex_lock(&w->lock);
        if (atomic_load(&l->waiting) > 0 || atomic_load(&w->retiring))
                ;
        else if (w->n_standby > 0)
                call_standby(w, l);
        else
                r = spawn(w, l);
        pthread_mutex_unlock(&w->lock);
        return r;
}

void threads_want(struct worker *w, struct listener *l, unsigned wanted) {
        unsigned all = MAX_STANDBY;

        pthread_mutex_lock(&w->lock);
        atomic_store(&l->wanted, wanted);
        for (unsigned i = 0; i < w->n_listeners; i++)
                all += atomic_load(&w->listeners[i].wanted);
        if (atomic_load(&l->waiting) < wanted && !atomic_load(&w->retiring)) {
                if (w->n_standby > 0)
                        call_standby(w, l);
                else if (w->n_threads < all)
                        (void) spawn(w, l);
        }
        pthread_mutex_unlock(&w->lock);
}

/* Called with the lock held. */
static struct listener *take_relieved(struct worker *w) {
        for (unsigned i = 0; i < w->n_listeners; i++)
                if (w->listeners[i].relieved > 0) {
                        w->listeners[i].relieved--;
                        return &w->listeners[i];
                }
        return NULL;
}

static bool over(const struct worker *w, const struct listener *l) {
        return atomic_load(&l->gone) || atomic_load(&w->retiring);
}

bool threads_enter_receiving(struct receiver *r) {
        struct worker *w = r->worker;
        struct listener *l = r->listener;
        bool stay = true;

        if (atomic_fetch_add(&l->waiting, 1) < atomic_load(&l->wanted) && !over(w, l))
                return true;
        atomic_fetch_sub(&l->waiting, 1);

        pthread_mutex_lock(&w->lock);
        if (atomic_load(&l->waiting) < atomic_load(&l->wanted) && !over(w, l))
                atomic_fetch_add(&l->waiting, 1);
        else if (w->n_standby >= MAX_STANDBY || atomic_load(&w->retiring))
                stay = false;
        else {
                w->n_standby++;
                while (!(l = take_relieved(w)))
                        pthread_cond_wait(&w->relief, &w->lock);
                r->listener = l;
        }
        pthread_mutex_unlock(&w->lock);
        return stay;
}

void threads_leave_receiving(struct receiver *r) {
        atomic_fetch_sub(&r->listener->waiting, 1);
}

bool threads_idle(const struct worker *w) {
        unsigned n = w->n_standby;

        for (unsigned i = 0; i < w->n_listeners; i++)
                n += atomic_load(&w->listeners[i].waiting);
        return w->n_threads <= n;
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
        /* What waits already goes on, whoever answers it. */
        if (!r->inherits && w->options.pool && pool_full(w->options.pool)) {
                audit_event(w, "quota", "a call that may block was refused: its owner has as many in flight as may be (quota: calls)");
                return -EAGAIN;
        }
        if (threads_relieve(w, r->listener) < 0) {
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
                monitor_wake(w);
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
