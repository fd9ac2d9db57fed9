/*
 * What execve has run, seen before its first instruction runs.
 *
 * The kernel reads the path of execve again after the broker has decided on its own copy, so that the call can't simply go on where nothing in the
 * kernel bounds what it may run. So the caller is traced across it: seized while it waits for the answer, told to go on, and caught by the kernel
 * at the exec event, when the program is chosen and none of its code has run. What it is then must be what was decided on, or something else that
 * the rules let this caller execute (the interpreter of a script); else the process dies.
 *
 * The interrupt that is sent along makes a call that fails stop as well, so that we learn of it and let go. A worker that dies meanwhile takes
 * the caller with it (EXITKILL): without the check, unchecked code would run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker.h"
#include "fd.h"
#include "walk.h"

static int seize(pid_t tid) {
        if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
                return -errno;
        /* It can't fail but for a caller that has just died. */
        (void) ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        return 0;
}

int exec_event_begin(struct call *call) {
        struct receiver *r = call_receiver(call);
        int e = seize(call->notif->pid);

        if (e == -EPERM && rights_raise(r)) {
                e = seize(call->notif->pid);
                rights_lower(r);
        }
        if (e < 0)
                return e;
        /* The number could have been another task's. Nothing is lost: that one stops at once, and is let go. */
        if (!loop_valid(call)) {
                exec_event_cancel(call);
                return -ESRCH;
        }
        return 0;
}

/* Waits for a stop or the death of the one task that this thread traces. Returns its number at present, 0 where it is dead. */
static pid_t wait_stop(int *ret_status) {
        pid_t pid;

        do
                pid = waitpid(-1, ret_status, __WALL | __WNOTHREAD);
        while (pid < 0 && errno == EINTR);
        return pid > 0 && WIFSTOPPED(*ret_status) ? pid : 0;
}

static void let_go(pid_t pid, int status) {
        /* A stop by a signal that is about to be delivered: it must not get lost. All others carry none. */
        bool delivery = status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP;

        (void) ptrace(PTRACE_DETACH, pid, NULL, delivery ? WSTOPSIG(status) : 0);
}

void exec_event_cancel(struct call *call) {
        int status;
        pid_t pid = wait_stop(&status);

        (void) call;
        if (pid > 0)
                let_go(pid, status);
}

/* May the caller run the program that its process has become? */
static bool allowed(struct call *call, pid_t pid, const struct exec_check *check) {
        struct receiver *r = call_receiver(call);
        char name[32], path[PATH_MAX + 1];
        struct stat st;

        snprintf(name, sizeof(name), "%d/exe", pid);
        _cleanup_close_ int fd = openat(r->worker->proc, name, O_PATH | O_CLOEXEC);
        if (fd < 0 && (errno == EACCES || errno == EPERM) && rights_raise(r)) {
                fd = openat(r->worker->proc, name, O_PATH | O_CLOEXEC);
                rights_lower(r);
        }
        if (fd < 0 || fstat(fd, &st) < 0)
                return false;
        if (st.st_dev == check->device && st.st_ino == check->inode)
                return true;
        if (locate(r, fd, path, NULL) != WHERE_INSIDE)
                return false;
        struct match match = call_match(call, path);
        return match.state == MATCH_GRANTED && (match.rights & RIGHT_EXEC);
}

static void kill_traced(pid_t pid) {
        int status;

        /* Unlike kill(), it asks for no right over the process's user. */
        (void) ptrace(PTRACE_KILL, pid, NULL, NULL);
        while ((pid = wait_stop(&status)) > 0)
                (void) ptrace(PTRACE_CONT, pid, NULL, SIGKILL);
}

bool exec_event_finish(struct call *call, const struct exec_check *check) {
        int status;

        /* The program may take its time to be loaded, and other callers come meanwhile. */
        (void) threads_relieve(call_receiver(call)->worker);
        pid_t pid = wait_stop(&status);
        if (pid == 0)
                return true;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8) && !allowed(call, pid, check)) {
                kill_traced(pid);
                return false;
        }
        let_go(pid, status);
        return true;
}
