/*
 * What the worker gives up, as a process and for each thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* ---- fds ---- */

static int compare_fds(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

static int close_others(const struct worker *w) {
        int keep[11 + JOURNAL_LANES + LISTENERS_MAX] = { 0,         1,
                                                         2,         w->init_pidfd,
                                                         w->log_fd, w->low_port_socket,
                                                         w->proc,   w->outside,
                                                         w->wake,   w->options.helper > 0 ? w->options.helper : -1,
                                                         w->mounts };
        const struct journal *journal = w->options.journal;
        unsigned first = 0, n = 11;

        for (size_t i = 0; i < JOURNAL_LANES; i++)
                keep[n++] = journal ? journal->lanes[i] : -1;
        for (size_t i = 0; i < LISTENERS_MAX; i++)
                keep[n++] = i < w->n_listeners ? w->listeners[i].fd : -1;

        /* 0 and 1 stay taken, by nothing, so that no fd of ours gets a number that some library takes for a standard stream. */
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0)
                return -errno;
        for (int fd = 0; fd < 2; fd++) {
                bool ours = false;
                for (size_t i = 3; i < ELEMENTSOF(keep); i++)
                        ours = ours || keep[i] == fd;
                if (!ours && null != fd && dup3(null, fd, O_CLOEXEC) < 0)
                        return -errno;
        }
        qsort(keep, ELEMENTSOF(keep), sizeof(keep[0]), compare_fds);
        for (size_t i = 0; i < ELEMENTSOF(keep); i++) {
                if (keep[i] < 0)
                        continue;
                if ((unsigned) keep[i] > first && syscall(SYS_close_range, first, keep[i] - 1, 0) < 0)
                        return -errno;
                first = keep[i] + 1;
        }
        null = -1;
        return syscall(SYS_close_range, first, ~0U, 0) < 0 ? -errno : 0;
}

/* ---- capabilities ---- */

static _Thread_local uint64_t permitted_now;
static _Thread_local bool permitted_known;

static int set_capabilities(uint64_t permitted, uint64_t effective) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {
                { .effective = effective, .permitted = permitted },
                { .effective = effective >> 32, .permitted = permitted >> 32 },
        };

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

uint64_t confine_get_permitted(void) {
        if (!permitted_known) {
                struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
                struct __user_cap_data_struct data[2] = {};
                if (syscall(SYS_capget, &header, data) >= 0)
                        permitted_now = data[0].permitted | (uint64_t) data[1].permitted << 32;
                permitted_known = true;
        }
        return permitted_now;
}

/* A caller whose namespaces aren't ours may have more than the daemon's bounding set leaves us: then less is done for it. */
int confine_effective(uint64_t effective) {
        return set_capabilities(confine_get_permitted(), effective & confine_get_permitted());
}

int confine_permitted(uint64_t permitted, uint64_t effective) {
        permitted &= confine_get_permitted();
        int r = set_capabilities(permitted, effective & permitted);
        if (r >= 0)
                permitted_now = permitted;
        return r;
}

void confine_bounding(void) {
        for (unsigned long cap = 0; cap < 64; cap++)
                if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        break; /* without CAP_SETPCAP there is nothing to drop either: nobody here execs */
        (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* ---- the process ---- */

int confine_process(struct worker *w) {
        struct rlimit limit = {};
        sigset_t all;
        int r;

        /* First of all: nobody looks into what holds copies of the sandbox's secrets and the listener. */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        if (prctl(PR_SET_NAME, "sandboxd-worker", 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        r = close_others(w);
        if (r < 0)
                return r;
        if (setrlimit(RLIMIT_CORE, &limit) < 0)
                return -errno;
        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
        confine_bounding();
        sigfillset(&all);
        return sigprocmask(SIG_SETMASK, &all, NULL) < 0 ? -errno : 0;
}
