/*
 * No other process is needed, so that who counts or watches the service's processes sees none: the filter is loaded into the main thread alone, and
 * a second thread, which shares its descriptors but not the filter, talks to the daemon meanwhile. The execve ends that thread.
 *
 * Who becomes another user does so before the filter is loaded and keeps just the capability to load it, so that no call that needs a privilege is
 * left for afterwards, and no answer of the broker's to it. The kernel forgets that capability in the execve. Ids are changed by raw calls, which
 * change the calling thread's alone: the second one stays who it was.
 */
#include "in_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"

/* ---- who it is ---- */

static int get_capabilities(struct __user_cap_data_struct data[2]) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

        return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int set_capabilities(const struct __user_cap_data_struct data[2]) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int bound(uint64_t keep) {
        for (unsigned long cap = 0; cap < 64; cap++)
                if (!(keep & UINT64_C(1) << cap) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        return -errno;
        return 0;
}

static uint64_t read_ambient(void) {
        uint64_t set = 0;

        for (unsigned long cap = 0; cap < 64; cap++)
                if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
                        set |= UINT64_C(1) << cap;
        return set;
}

/* As the service manager does it for whom it starts as another user: the change of ids clears the ambient set, and it is raised again. */
static int become(const struct in_place_identity *who) {
        struct __user_cap_data_struct data[2];
        uint64_t ambient = read_ambient();
        const uint64_t wanted = ambient | UINT64_C(1) << CAP_SYS_ADMIN;
        int r;

        if (syscall(SYS_setgroups, who->n_groups, who->groups) < 0 || syscall(SYS_setresgid, who->gid, who->gid, who->gid) < 0 ||
            prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setresuid, who->uid, who->uid, who->uid) < 0)
                return -errno;
        if ((r = get_capabilities(data)) < 0)
                return r;
        for (int i = 0; i < 2; i++) {
                data[i].permitted &= wanted >> 32 * i;
                data[i].effective = data[i].permitted;
        }
        if ((r = set_capabilities(data)) < 0)
                return r;
        for (unsigned long cap = 0; cap < 64; cap++)
                if ((ambient & UINT64_C(1) << cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
                        return -errno;
        return 0;
}

static int set_limits(const struct plan *plan) {
        const struct {
                int resource;
                uint64_t value;
        } limits[] = {
                { RLIMIT_NOFILE, plan ? plan->policy->limits.open_files : 0 },
                { RLIMIT_FSIZE, plan ? plan->policy->limits.file_size : 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                struct rlimit limit;
                if (limits[i].value == 0)
                        continue;
                if (getrlimit(limits[i].resource, &limit) < 0)
                        return -errno;
                /* The stricter wins. */
                if (limit.rlim_max > limits[i].value)
                        limit.rlim_max = limits[i].value;
                if (limit.rlim_cur > limit.rlim_max)
                        limit.rlim_cur = limit.rlim_max;
                if (setrlimit(limits[i].resource, &limit) < 0)
                        return -errno;
        }
        return 0;
}

/* ---- the two threads ---- */

struct handing {
        const struct in_place_options *options;
        int loaded[2], answered[2]; /* pipes: the listener's number, or a negative errno; the result */
        char *error;
};

static void *hand_over(void *userdata) {
        struct handing *h = userdata;
        int listener, r;

        if (fd_read_full(h->loaded[0], &listener, sizeof(listener)) != sizeof(listener) || listener < 0)
                return NULL;
        r = h->options->hand_over(h->options->userdata, listener, &h->error);
        (void) fd_write_full(h->answered[1], &r, sizeof(r));
        return NULL;
}

/* Signals are the main thread's: whoever waits for one here has not begun yet. */
static int start_thread(struct handing *h) {
        pthread_attr_t attributes;
        sigset_t all, before;
        pthread_t thread;
        int r;

        if (pipe2(h->loaded, O_CLOEXEC) < 0 || pipe2(h->answered, O_CLOEXEC) < 0)
                return -errno;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_init(&attributes);
        r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (r == 0)
                r = pthread_create(&thread, &attributes, hand_over, h);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int in_place_exec(const struct in_place_options *o, char **error) {
        struct handing h = { .options = o, .loaded = { -1, -1 }, .answered = { -1, -1 } };
        int r, result, listener;

        *error = NULL;
        /* Nobody who has the same ids is to look into what holds the listener. */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return launch_fail(error, -errno, "it can't be protected: %s", strerror(errno));
        if ((r = start_thread(&h)) < 0)
                return launch_fail(error, r, "no thread can be started: %s%s", strerror(-r),
                                   r == -EAGAIN ? " (TasksMax=, LimitNPROC=)" : "");
        if ((r = set_limits(o->plan)) < 0)
                return launch_fail(error, r, "the policy's limits can't be set: %s", strerror(-r));
        if ((r = bound(o->bounding)) < 0)
                return launch_fail(error, r, "capabilities can't be dropped: %s", strerror(-r));
        if (o->identity && (r = become(o->identity)) < 0)
                return launch_fail(error, r, "it can't become user %u, group %u: %s", o->identity->uid, o->identity->gid, strerror(-r));

        listener = filter_load(o->filter, o->wait_killable);
        if (listener < 0)
                return launch_fail(error, listener, "the filter can't be loaded: %s%s", strerror(-listener),
                                   listener == -EACCES  ? " (it needs CAP_SYS_ADMIN or NoNewPrivileges=yes)"
                                   : listener == -EBUSY ? " (another listener has been loaded before)"
                                                        : "");
        /* read and write are answered by the kernel alone, whatever the policy is. */
        if ((r = fd_write_full(h.loaded[1], &listener, sizeof(listener))) < 0)
                return r;
        if (fd_read_full(h.answered[0], &result, sizeof(result)) != sizeof(result))
                return -EIO;
        if (result < 0) {
                *error = h.error;
                return result;
        }
        execve(o->path, o->argv, o->environment);
        return launch_fail(error, -errno, "%s can't be executed: %s", o->path, strerror(errno));
}
