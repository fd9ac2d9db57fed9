#include "kernel_features.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "sys.h"

bool features_wait_killable(void) {
        /* With no program, known flags get as far as EFAULT; unknown ones end at EINVAL. */
        return sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, NULL) < 0 &&
               errno == EFAULT;
}

bool features_user_notif(void) {
        uint32_t action = SECCOMP_RET_USER_NOTIF;

        return sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* Runs `probe` in a child of its own and returns what it returned (0 to 255), or -errno. */
static int in_child(int (*probe)(void)) {
        int status = -1;
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(probe());
        sys_reap(pid, &status);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int probe_sync_wake_up(void) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = { 1, &allow };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return 1;
        int listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        if (listener < 0)
                return 1;
        return ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0;
}

bool features_sync_wake_up(void) {
        return in_child(probe_sync_wake_up) == 0;
}

static int probe_user_namespace(void) {
        return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

int features_user_namespace(void) {
        int r = in_child(probe_user_namespace);

        return r > 0 ? -r : r;
}
