/*
 * The slots' protocol. It is made so that whoever holds the listener and this memory can finish the calls of a worker that was killed at any
 * instant, after it is quite dead:
 *
 *   FREE    The slot is zeroed before NOTIF_RECV, which writes the notification straight into it: there is no instant at which a received
 *           call is known to a dead worker's registers alone. A slot with an id that is still valid is in flight, whatever its state says.
 *   ACTIVE  Nothing has been done: the call is decided anew.
 *   INTENT, DONE  A side effect is under way, or has happened and `result` or `error` is what is left to send.
 *   PARKED  An fd is to be injected, in two steps, since ADDFD with FLAG_SEND marks the call as answered before the caller has the fd. The
 *           source is in the parking table under `park`. Then ADDFD; its number goes to `result`; then SEND; then the source is let go.
 *           A successor looks for the parked source in the caller by kcmp(2): found, it sends that number, else it injects.
 *   affinity_set  The caller's affinity was narrowed. It is put back first, in every state.
 *
 * Here the parking table is the worker's own table of fds: the sandbox of `sandboxctl exec` dies with its worker. With a table that outlives
 * the worker nothing of the order changes.
 */
#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"

#define SHARED_VERSION 1

int shared_new(struct shared **ret, int *ret_fd) {
        _cleanup_close_ int fd = memfd_create("sandboxd-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, sizeof(struct shared)) < 0)
                return -errno;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
                return -errno;
        struct shared *shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared == MAP_FAILED)
                return -errno;
        shared->version = SHARED_VERSION;
        shared->n_slots = SLOTS_MAX;
        *ret = shared;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void shared_free(struct shared *shared) {
        if (shared)
                munmap(shared, sizeof(struct shared));
}
