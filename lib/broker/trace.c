#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fd.h"

int trace_seize(pid_t tid) {
        if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
                return -errno;
        /* It can't fail but for a caller that has just died. */
        (void) ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        return 0;
}

bool trace_is_exec(int status) {
        return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8);
}

int trace_open_exe(int proc, pid_t pid) {
        char name[32];

        snprintf(name, sizeof(name), "%d/exe", pid);
        int fd = openat(proc, name, O_PATH | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

bool trace_same(int exe, const struct exec_check *check) {
        struct stat st;

        return exe >= 0 && fstat(exe, &st) >= 0 && st.st_dev == check->device && st.st_ino == check->inode;
}

void trace_let_go(pid_t pid, int status) {
        /* A stop by a signal that is about to be delivered: it must not get lost. All others carry none. */
        bool delivery = status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP;

        (void) ptrace(PTRACE_DETACH, pid, NULL, delivery ? WSTOPSIG(status) : 0);
}
