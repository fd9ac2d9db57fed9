/*
 * What a successor does with the calls that its predecessor was at when it was killed. The protocol is in slots.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "audit.h"
#include "broker.h"
#include "fd.h"

/* ---- before there are threads ---- */

static bool in_flight(struct worker *w, const struct slot *slot) {
        const struct listener *l = threads_listener(w, slot->listener);
        uint64_t id = slot->notif.id;

        return id != 0 && l && ioctl(l->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* What an act has come to where the journal tells. */
static void look_up_intent(struct worker *w, struct slot *slot, unsigned index) {
        int32_t result = -ECANCELED;

        if (!w->options.journal || slot->journal != w->options.journal->id || slot->lane >= JOURNAL_LANES)
                return;
        (void) ring_find(&w->lanes[slot->lane].ring, slot->number, &result);
        if (slot->act == ACT_RING_SEND) {
                act_sent(slot, result);
                return;
        }
        if (result < 0) {
                atomic_store(&slot->state, SLOT_ACTIVE);
                slot->act = ACT_NONE;
                return;
        }
        slot->error = 0;
        slot->result = slot->act == ACT_RING_OPEN ? -1 : result;
        if (slot->act == ACT_RING_OPEN)
                slot->park = slot->lane * SLOTS_MAX + index;
        atomic_store(&slot->state, slot->act == ACT_RING_OPEN ? SLOT_PARKED : SLOT_DONE);
}

/* Until here all may be done again by the next successor; the journal's entries are still there. */
static void settle(struct worker *w, struct slot *slot, unsigned index) {
        if (!in_flight(w, slot)) {
                atomic_store(&slot->state, SLOT_FREE);
                return;
        }
        switch ((enum slot_state) slot->state) {
        case SLOT_FREE: atomic_store(&slot->state, SLOT_ACTIVE); break;
        case SLOT_INTENT:
                switch ((enum slot_act) slot->act) {
                case ACT_CONNECT:
                case ACT_BIND: atomic_store(&slot->state, SLOT_ACTIVE); break;
                case ACT_RING:
                case ACT_RING_OPEN:
                case ACT_RING_SEND: look_up_intent(w, slot, index); break;
                default: break;
                }
                break;
        default: break;
        }
}

/* Takes out what is parked for nobody: its reply is sent, or its worker was killed before the slot said that it is there. */
static int clear_table(struct worker *w, unsigned lane) {
        unsigned n = w->shared->n_slots;
        int fds[SLOTS_MAX];
        struct io_uring_files_update update = { .fds = (uintptr_t) fds };

        for (unsigned i = 0; i < n; i++) {
                const struct slot *slot = &w->shared->slots[i];
                bool kept = slot->state == SLOT_PARKED && slot->park == (int32_t) (lane * SLOTS_MAX + i);
                fds[i] = kept ? IORING_REGISTER_FILES_SKIP : -1;
        }
        return syscall(__NR_io_uring_register, w->lanes[lane].ring.fd, IORING_REGISTER_FILES_UPDATE, &update, n) < 0 ? -errno : 0;
}

int takeover_prepare(struct worker *w) {
        for (unsigned i = 0; i < w->shared->n_slots; i++)
                settle(w, &w->shared->slots[i], i);
        for (unsigned i = 0; w->options.journal && w->shared->n_slots > 0 && i < JOURNAL_LANES; i++) {
                ring_reset(&w->lanes[i].ring);
                int r = clear_table(w, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- by a thread, for its slot ---- */

/* The number under which the caller has the file, -ENOENT where it hasn't got it. */
static int find_in_caller(struct call *call, int fd) {
        struct receiver *r = call_receiver(call);
        int found = -ENOENT, directory = target_open_proc(call, "fd", O_RDONLY | O_DIRECTORY);

        if (directory < 0)
                return directory;
        DIR *d = fdopendir(directory);
        if (!d) {
                fd_close(directory);
                return -ENOMEM;
        }
        bool raised = rights_raise(r);
        for (const struct dirent *entry; found == -ENOENT && (entry = readdir(d));) {
                if (entry->d_name[0] == '.')
                        continue;
                int number = atoi(entry->d_name);
                long same = syscall(SYS_kcmp, r->tid, call->notif->pid, KCMP_FILE, fd, number);
                if (same == 0)
                        found = number;
                else if (same < 0 && errno != EBADF)
                        found = -errno;
        }
        if (raised)
                rights_lower(r);
        closedir(d);
        return loop_valid(call) ? found : -ESRCH;
}

/* The caller has it already. Ours is let go before the reply, as in inject(). */
static struct verdict answer_injected(struct call *call, int number) {
        call->slot->result = number;
        act_unpark(call->worker, call->slot);
        return verdict_value(number);
}

/* False: there is no source, so that nothing was injected. */
static bool finish_injection(struct call *call, struct verdict *ret) {
        const struct slot *slot = call->slot;

        if (slot->result >= 0) {
                *ret = answer_injected(call, slot->result);
                return true;
        }
        _cleanup_close_ int fd = call->worker->options.journal && slot->park >= 0 ? act_parked_fd(call) : -EBADF;
        if (fd < 0)
                return false;
        int n = find_in_caller(call, fd);
        if (n >= 0)
                *ret = answer_injected(call, n);
        else if (n == -ENOENT)
                *ret = verdict_fd(TAKE_FD(fd), slot->cloexec);
        else
                *ret = verdict_from(n);
        return true;
}

static struct verdict give_up(struct call *call, _Atomic uint64_t *counter, const char *event) {
        atomic_fetch_add(counter, 1);
        audit_event(call->worker, event, call->claim ? call->claim->name : NULL);
        return verdict_error(EIO);
}

static struct verdict finish_done(struct call *call) {
        const struct slot *slot = call->slot;

        /* Only this message's: that of the one before has been written. */
        if (slot->sent.length_at && slot->result > slot->sent.messages) {
                int r = target_write(call, slot->sent.length_at, &slot->sent.length, sizeof(slot->sent.length));
                if (r == -ESRCH)
                        return verdict_gone();
        }
        return slot->error ? verdict_error(slot->error) : verdict_value(slot->result);
}

void takeover_serve(struct receiver *r) {
        struct counters *counters = &r->worker->shared->counters;
        struct call *call = &r->call;
        struct slot *slot = call->slot;
        struct verdict verdict;

        /* Before anything else: the caller could be killed, or answered, with an affinity that isn't its own. */
        if (slot->affinity_set)
                reply_widen(r);
        atomic_fetch_add(&counters->inherited, 1);
        r->received = worker_now();
        loop_begin(r);
        switch ((enum slot_state) slot->state) {
        case SLOT_DONE: verdict = finish_done(call); break;
        case SLOT_INTENT: verdict = give_up(call, &counters->undecided, "undecided"); break;
        case SLOT_PARKED:
                if (finish_injection(call, &verdict))
                        break;
                if (slot->act != ACT_NONE) {
                        /* It was made, and is lost with its journal. */
                        verdict = give_up(call, &counters->undecided, "undecided");
                        break;
                }
                atomic_store(&slot->state, SLOT_ACTIVE);
                /* fallthrough */
        default: verdict = slot->strikes < STRIKES_MAX ? loop_decide(r) : give_up(call, &counters->poisoned, "poisoned");
        }
        loop_finish(r, &verdict);
}
