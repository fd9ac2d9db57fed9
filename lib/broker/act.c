#include "act.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"

#define LANE_WAIT_NSEC 100000000

static void set_state(struct slot *slot, enum slot_state state) {
        atomic_store_explicit(&slot->state, state, memory_order_release);
}

void act_begin(struct call *call, enum slot_act act) {
        call->slot->act = act;
        set_state(call->slot, SLOT_INTENT);
}

void act_answer(struct call *call, int64_t result, int error) {
        call->slot->result = result;
        call->slot->error = error;
        set_state(call->slot, SLOT_DONE);
}

int64_t act_end(struct call *call, int64_t result) {
        /* A connection that is being made: not to be begun once more. */
        if (result >= 0 || result == -EINPROGRESS) {
                act_answer(call, result < 0 ? 0 : result, result < 0 ? -result : 0);
                return result;
        }
        set_state(call->slot, SLOT_ACTIVE);
        call->slot->act = ACT_NONE;
        return result;
}

bool act_again(const struct call *call, enum slot_act act) {
        return call->slot->act == act;
}

void act_move(struct call *call, int64_t position) {
        struct slot *slot = call->slot;

        if (slot->act == ACT_MOVE)
                return;
        slot->result = position;
        atomic_thread_fence(memory_order_release);
        slot->act = ACT_MOVE;
        atomic_thread_fence(memory_order_release);
}

int64_t act_moved(const struct call *call) {
        return call->slot->act == ACT_MOVE ? call->slot->result : -1;
}

/* ---- lanes ---- */

bool act_journaled(const struct call *call) {
        return call->worker->options.journal;
}

/* One that nobody uses; NULL where there is none. */
static struct lane *lane_take_of(struct call *call, unsigned first, unsigned n) {
        struct receiver *r = call_receiver(call);
        struct worker *w = r->worker;

        for (unsigned i = 0; w->options.journal && i < n; i++) {
                struct lane *lane = &w->lanes[first + (r->index + i) % n];
                if (pthread_mutex_trylock(&lane->lock) == 0)
                        return lane;
        }
        return NULL;
}

/* One that somebody uses is free again soon, so that it is waited for; but not for long, since what is done there could hang (a file system's server). */
static struct lane *lane_take(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct lane *lane = lane_take_of(call, 0, JOURNAL_QUICK);
        struct timespec until;

        if (lane || !r->worker->options.journal)
                return lane;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LANE_WAIT_NSEC;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        lane = &r->worker->lanes[r->index % JOURNAL_QUICK];
        return pthread_mutex_clocklock(&lane->lock, CLOCK_MONOTONIC, &until) == 0 ? lane : NULL;
}

static unsigned lane_index(const struct worker *w, const struct lane *lane) {
        return lane - w->lanes;
}

/* The same for what may block, where the thread may be told to leave it. */
static struct lane *lane_take_unblocked(struct call *call) {
        return call_receiver(call)->block == BLOCK_NONE ? lane_take(call) : NULL;
}

static int32_t lane_do(struct call *call, struct lane *lane, enum slot_act act, struct io_uring_sqe *entry) {
        struct worker *w = call->worker;

        call->slot->lane = lane_index(w, lane);
        call->slot->journal = w->options.journal->id;
        call->slot->number = entry->user_data = atomic_fetch_add(&w->shared->numbers, 1) + 1;
        act_begin(call, act);
        return ring_do(&lane->ring, entry, call_receiver(call)->block != BLOCK_NONE);
}

/* A descriptor of a file in a lane's table; with the lane's lock held. */
static int lane_unpark(struct worker *w, struct lane *lane, unsigned index) {
        return ring_unpark(&lane->ring, index, atomic_fetch_add(&w->shared->numbers, 1) + 1);
}

/* Once the slot says what came of it. */
static void lane_give_back(struct lane *lane) {
        ring_forget(&lane->ring);
        pthread_mutex_unlock(&lane->lock);
}

/* There is no lane to be had, or the kernel has no thread for it: by a plain system call, then. */
#define NO_LANE (-ECANCELED)

static int act_by_lane(struct call *call, struct io_uring_sqe entry) {
        struct lane *lane = lane_take_unblocked(call);

        if (!lane)
                return NO_LANE;
        int r = act_end(call, lane_do(call, lane, ACT_RING, &entry));
        lane_give_back(lane);
        return r;
}

/* ---- names ---- */

int act_mkdirat(struct call *call, int dirfd, const char *name, mode_t mode) {
        int r = act_by_lane(call,
                            (struct io_uring_sqe) { .opcode = IORING_OP_MKDIRAT, .fd = dirfd, .addr = (uintptr_t) name, .len = mode });

        return r == NO_LANE ? ACT(call, mkdirat(dirfd, name, mode)) : r;
}

int act_symlinkat(struct call *call, const char *text, int dirfd, const char *name) {
        int r = act_by_lane(
                call,
                (struct io_uring_sqe) { .opcode = IORING_OP_SYMLINKAT, .fd = dirfd, .addr = (uintptr_t) text, .addr2 = (uintptr_t) name });

        return r == NO_LANE ? ACT(call, symlinkat(text, dirfd, name)) : r;
}

int act_unlinkat(struct call *call, int dirfd, const char *name, int flags) {
        int r = act_by_lane(
                call, (struct io_uring_sqe) { .opcode = IORING_OP_UNLINKAT, .fd = dirfd, .addr = (uintptr_t) name, .unlink_flags = flags });

        return r == NO_LANE ? ACT(call, unlinkat(dirfd, name, flags)) : r;
}

int act_renameat(struct call *call, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags) {
        int r = act_by_lane(call, (struct io_uring_sqe) { .opcode = IORING_OP_RENAMEAT,
                                                          .fd = old_dirfd,
                                                          .addr = (uintptr_t) old_name,
                                                          .len = new_dirfd,
                                                          .addr2 = (uintptr_t) new_name,
                                                          .rename_flags = flags });

        return r == NO_LANE ? ACT(call, syscall(SYS_renameat2, old_dirfd, old_name, new_dirfd, new_name, flags)) : r;
}

int act_linkat(struct call *call, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, int flags) {
        int r = act_by_lane(call, (struct io_uring_sqe) { .opcode = IORING_OP_LINKAT,
                                                          .fd = old_dirfd,
                                                          .addr = (uintptr_t) old_name,
                                                          .len = new_dirfd,
                                                          .addr2 = (uintptr_t) new_name,
                                                          .hardlink_flags = flags });

        return r == NO_LANE ? ACT(call, linkat(old_dirfd, old_name, new_dirfd, new_name, flags)) : r;
}

/* ---- parking ---- */

static void say_parked(struct slot *slot, unsigned lane, unsigned index) {
        slot->park = lane * SLOTS_MAX + index;
        slot->result = -1;
        set_state(slot, SLOT_PARKED);
}

int act_park(struct call *call, int fd) {
        struct receiver *r = call_receiver(call);
        struct slot *slot = call->slot;
        unsigned lane = r->index % JOURNAL_QUICK;
        int e;

        if (!r->worker->options.journal || slot->park >= 0)
                return 0;
        /* Said before it is so: where the table hasn't got it, it was not injected, and a file that was but opened is opened again. The other
         * end of a FIFO has seen us by now. One that was made can't be made again. */
        bool made = slot->state == SLOT_INTENT;
        if (!made)
                say_parked(slot, lane, r->index);
        e = ring_park(&r->worker->lanes[lane].ring, r->index, fd);
        if (made && e >= 0)
                say_parked(slot, lane, r->index);
        return e;
}

int act_parked_fd(struct call *call) {
        struct lane *lane = &call->worker->lanes[call->slot->park / SLOTS_MAX];

        pthread_mutex_lock(&lane->lock);
        int fd = lane_unpark(call->worker, lane, call->slot->park % SLOTS_MAX);
        pthread_mutex_unlock(&lane->lock);
        return fd;
}

void act_unpark(struct worker *w, struct slot *slot) {
        if (slot->park < 0 || !w->options.journal)
                return;
        (void) ring_park(&w->lanes[slot->park / SLOTS_MAX].ring, slot->park % SLOTS_MAX, -1);
        slot->park = -1;
}

/* ---- files ---- */

static int open_by_lane(struct call *call, struct lane *lane, int dirfd, const char *name, int flags, mode_t mode, bool waits) {
        struct receiver *r = call_receiver(call);
        struct slot *slot = call->slot;
        /* The flag is of numbers, and the file has none yet. */
        struct io_uring_sqe entry = { .opcode = IORING_OP_OPENAT,
                                      .flags = waits ? IOSQE_ASYNC : 0,
                                      .fd = dirfd,
                                      .addr = (uintptr_t) name,
                                      .len = mode,
                                      .open_flags = flags & ~O_CLOEXEC,
                                      .file_index = r->index + 1 };
        int fd, result = lane_do(call, lane, ACT_RING_OPEN, &entry);

        if (result < 0) {
                act_end(call, result);
                lane_give_back(lane);
                return result;
        }
        say_parked(slot, lane_index(r->worker, lane), r->index);
        ring_forget(&lane->ring);
        fd = lane_unpark(r->worker, lane, r->index);
        if (fd < 0)
                act_answer(call, 0, EIO);
        pthread_mutex_unlock(&lane->lock);
        return fd;
}

int act_openat(struct call *call, int dirfd, const char *name, int flags, mode_t mode) {
        struct lane *lane = lane_take_unblocked(call);
        int fd = lane ? open_by_lane(call, lane, dirfd, name, flags, mode, false) : NO_LANE;

        if (fd != NO_LANE)
                return fd;
        act_begin(call, ACT_UNKNOWN);
        fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
        if (fd < 0)
                return act_end(call, -errno);
        /* It stays INTENT until the file is parked. */
        return fd;
}

int act_open_waiting(struct call *call, int dirfd, const char *name, int flags) {
        struct lane *lane = lane_take_of(call, JOURNAL_QUICK, JOURNAL_LANES - JOURNAL_QUICK);
        int fd = lane ? open_by_lane(call, lane, dirfd, name, flags, 0, true) : NO_LANE;

        if (fd != NO_LANE)
                return fd;
        fd = openat(dirfd, name, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

void act_cloexec(struct call *call, bool cloexec) {
        call->slot->cloexec = cloexec;
}

/* ---- messages ---- */

/* Until the state says so the successor does the same again, from the same `bytes`. */
void act_sent(struct slot *slot, int64_t result) {
        struct slot_sent *sent = &slot->sent;
        uint64_t bytes = sent->bytes + (result >= 0 ? result : 0);
        bool some = result >= 0 || bytes > 0;

        slot->error = 0;
        if (sent->length_at) {
                sent->length = bytes;
                slot->result = sent->messages + (some ? 1 : 0);
        } else
                slot->result = bytes;
        if (some || sent->messages > 0) {
                set_state(slot, SLOT_DONE);
                return;
        }
        set_state(slot, SLOT_ACTIVE);
        slot->act = ACT_NONE;
}

ssize_t act_sendmsg(struct call *call, int fd, const struct msghdr *message, int flags, const struct slot_sent *before) {
        /* What carries rights or credentials io_uring refuses, and the other two want a process's memory, or mean something else without waiting. */
        bool by_lane = (flags & MSG_DONTWAIT) && !(flags & (MSG_ZEROCOPY | MSG_FASTOPEN)) && message->msg_controllen == 0;
        struct lane *lane = by_lane ? lane_take(call) : NULL;
        ssize_t n;

        call->slot->sent = *before;
        if (lane) {
                struct io_uring_sqe entry = {
                        .opcode = IORING_OP_SENDMSG, .fd = fd, .addr = (uintptr_t) message, .len = 1, .msg_flags = flags
                };
                n = lane_do(call, lane, ACT_RING_SEND, &entry);
                act_sent(call->slot, n);
                lane_give_back(lane);
                return n;
        }
        act_begin(call, ACT_UNKNOWN);
        n = sendmsg(fd, message, flags);
        if (n < 0)
                n = -errno;
        act_sent(call->slot, n);
        return n;
}
