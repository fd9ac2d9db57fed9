/*
 * The slots' protocol. It is made so that whoever holds the listener and this memory can finish the calls of a worker that was killed at any
 * instant, after it is quite dead:
 *
 *   FREE    The slot is zeroed before NOTIF_RECV, which writes the notification straight into it: there is no instant at which a received
 *           call is known to a dead worker's registers alone. A slot with an id that is still valid is in flight, whatever its state says.
 *   ACTIVE  Nothing has been done: the call is decided anew. So are all calls that only look, and all that failed.
 *   INTENT  A side effect is about to be done, or has been done (act.h). `act` says what tells which of the two:
 *           - a lane of the journal: an entry that is completed has happened, and any other one has not;
 *           - a trace that it leaves, and that was not there before: the call is decided anew, and its handler looks for the trace first;
 *           - nothing: EIO, counted and recorded.
 *   DONE    `result` or `error` is the answer; for sendmmsg a length goes to the caller's memory first.
 *   PARKED  An fd is to be injected, in two steps, since ADDFD with FLAG_SEND marks the call as answered before the caller has the fd. The
 *           source is in the parking table under `park`. Then ADDFD; its number goes to `result`; then the source is let go; then SEND.
 *           A successor looks for the parked source in the caller by kcmp(2): found, it sends that number, else it injects.
 *   listener      Whose id it is, set before NOTIF_RECV as well.
 *   affinity_set  The caller's affinity was narrowed. It is put back first, in every state.
 *
 * The parking table is that of the journal's rings. Without a journal nothing is parked, and who is killed between the two steps leaves an
 * fd in the caller that it doesn't know of: the call is decided anew. The sandbox of `sandboxctl exec` dies with its worker, and has no journal.
 *
 * A worker that is asked to retire ends between calls, so that there is less to be found out: what it was at is answered, and a call that waits for
 * somebody else is cut short where nothing has happened yet, and left as ACTIVE.
 *
 * The way of a slot (by what):
 *   FREE -> ACTIVE                    serve()
 *   ACTIVE -> INTENT -> DONE, ACTIVE  act_begin(), act_end()
 *   ACTIVE, INTENT -> PARKED          inject(), act_openat()
 *   any -> FREE                       serve(), once the reply is sent
 *   FREE, ACTIVE -> ACTIVE            leave(), for the successor of a worker that retires
 */
#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "ring.h"

const struct counter_name counter_names[COUNTERS] = {
        { "notified", offsetof(struct counters, notified) },   { "allowed", offsetof(struct counters, allowed) },
        { "denied", offsetof(struct counters, denied) },       { "injected", offsetof(struct counters, injected) },
        { "failed", offsetof(struct counters, failed) },       { "gone", offsetof(struct counters, gone) },
        { "blocked", offsetof(struct counters, blocked) },     { "refused", offsetof(struct counters, refused) },
        { "inherited", offsetof(struct counters, inherited) }, { "undecided", offsetof(struct counters, undecided) },
        { "poisoned", offsetof(struct counters, poisoned) },
};

#define SHARED_VERSION 4
#define JUST_BEGUN_NSEC 200000000

/* Versions differ in where they end. */
static size_t size_of_version(uint32_t version) {
        switch (version) {
        case 2: return offsetof(struct shared, observed);
        case 3: return offsetof(struct shared, joined);
        case SHARED_VERSION: return sizeof(struct shared);
        default: return 0;
        }
}

/* The first bytes are those of the file. NULL, and errno. */
static struct shared *map(int fd, size_t size) {
        void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return NULL;
        if (mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
                return p;
        int error = errno;
        munmap(p, sizeof(struct shared));
        errno = error;
        return NULL;
}

int shared_new(struct shared **ret, int *ret_fd) {
        _cleanup_close_ int fd = memfd_create("sandboxd-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, sizeof(struct shared)) < 0)
                return -errno;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
                return -errno;
        struct shared *shared = map(fd, sizeof(*shared));
        if (!shared)
                return -errno;
        shared->version = SHARED_VERSION;
        *ret = shared;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int shared_map(int fd, struct shared **ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < (off_t) size_of_version(2) || st.st_size > (off_t) sizeof(struct shared))
                return -EBADMSG;
        struct shared *shared = map(fd, st.st_size);
        if (!shared)
                return -errno;
        if ((off_t) size_of_version(shared->version) != st.st_size || shared->n_slots > SLOTS_MAX) {
                shared_free(shared);
                return -EBADMSG;
        }
        *ret = shared;
        return 0;
}

void shared_free(struct shared *shared) {
        if (shared)
                munmap(shared, sizeof(struct shared));
}

void slots_strike(struct shared *shared, int status) {
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t nsec = (uint64_t) now.tv_sec * 1000000000 + now.tv_nsec;
        for (size_t i = 0; i < shared->n_slots; i++) {
                struct slot *slot = &shared->slots[i];
                uint64_t since = atomic_exchange(&slot->served, 0);
                if (since && slot->state != SLOT_FREE && (!killed || nsec - since > JUST_BEGUN_NSEC))
                        slot->strikes += killed ? 1 : STRIKES_CRASH;
        }
}

int journal_new(struct journal *ret) {
        *ret = (struct journal) {};
        if (getrandom(&ret->id, sizeof(ret->id), 0) != sizeof(ret->id))
                return -EIO;
        for (size_t i = 0; i < JOURNAL_LANES; i++)
                ret->lanes[i] = -1;
        for (size_t i = 0; i < JOURNAL_LANES; i++) {
                int fd = ring_new(SLOTS_MAX, &ret->layout);
                if (fd < 0) {
                        journal_done(ret);
                        return fd;
                }
                ret->lanes[i] = fd;
        }
        return 0;
}

void journal_done(struct journal *journal) {
        for (size_t i = 0; i < JOURNAL_LANES; i++)
                journal->lanes[i] = fd_close(journal->lanes[i]);
}
