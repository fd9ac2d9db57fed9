/*
 * What execve has run, seen before its first instruction runs.
 *
 * The kernel reads the path of execve again after the broker has decided on its own copy, so that the call can't simply go on where nothing in the
 * kernel bounds what it may run. So the caller is traced across it: seized while it waits for the answer, told to go on, and caught by the kernel
 * at the exec event, when the program is chosen and none of its code has run. What it is then must be what was decided on, or something else that
 * the rules let this caller execute (the interpreter of a script); else the process dies.
 *
 * The interrupt that is sent along makes a call that fails stop as well, so that we learn of it and let go. Who traces takes the caller along when it
 * dies (EXITKILL): without the check, unchecked code would run. So the helper traces, which outlives the worker. Where there is none, the sandbox dies
 * with its worker anyhow, and the thread that has the call traces itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "broker.h"
#include "fd.h"
#include "helper.h"
#include "trace.h"
#include "walk.h"

/* Waits for a stop or the death of the one task that this thread traces. Returns its number at present, 0 where it is dead. */
static pid_t wait_stop(int *ret_status) {
        pid_t pid;

        do
                pid = waitpid(-1, ret_status, __WALL | __WNOTHREAD);
        while (pid < 0 && errno == EINTR);
        return pid > 0 && WIFSTOPPED(*ret_status) ? pid : 0;
}

static int begin(struct call *call, const struct exec_check *check) {
        struct receiver *r = call_receiver(call);
        int e;

        if (r->worker->options.helper > 0) {
                e = helper_trace(r->worker->options.helper, call->notif->pid, check);
                if (e >= 0)
                        r->trace = e;
                return e;
        }
        e = trace_seize(call->notif->pid);
        if (e == -EPERM && rights_raise(r)) {
                e = trace_seize(call->notif->pid);
                rights_lower(r);
        }
        return e;
}

/* Lets the caller go, which has not been told to go on, or is gone. */
static void cancel(struct receiver *r) {
        int status;

        if (r->trace >= 0) {
                r->trace = fd_close(r->trace);
                return;
        }
        pid_t pid = wait_stop(&status);
        if (pid > 0)
                trace_let_go(pid, status);
}

int exec_event_begin(struct call *call, const struct exec_check *check) {
        int e = begin(call, check);

        if (e < 0)
                return e;
        /* The number could have been another task's. Nothing is lost: that one stops at once, and is let go. */
        if (!loop_valid(call)) {
                cancel(call_receiver(call));
                return -ESRCH;
        }
        return 0;
}

/* May the caller run the program that its process has become? */
static bool allowed(struct call *call, pid_t pid, const struct exec_check *check) {
        struct receiver *r = call_receiver(call);
        char path[PATH_MAX + 1];

        _cleanup_close_ int fd = trace_open_exe(r->worker->proc, pid);
        if ((fd == -EACCES || fd == -EPERM) && rights_raise(r)) {
                fd = trace_open_exe(r->worker->proc, pid);
                rights_lower(r);
        }
        if (fd < 0)
                return false;
        if (trace_same(fd, check))
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

static bool finish_own(struct call *call, const struct exec_check *check) {
        int status;
        pid_t pid = wait_stop(&status);

        if (pid == 0)
                return true;
        if (trace_is_exec(status) && !allowed(call, pid, check)) {
                kill_traced(pid);
                return false;
        }
        trace_let_go(pid, status);
        return true;
}

static bool finish_helpers(struct call *call, const struct exec_check *check) {
        struct receiver *r = call_receiver(call);
        bool may = true;
        pid_t pid;

        while (recv(r->trace, &pid, sizeof(pid), 0) == sizeof(pid)) {
                int32_t answer = allowed(call, pid, check);
                may = may && answer;
                if (send(r->trace, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
                        break;
        }
        r->trace = fd_close(r->trace);
        return may;
}

bool exec_event_finish(struct call *call, const struct exec_check *check) {
        struct receiver *r = call_receiver(call);

        /* The program may take its time to be loaded, and other callers come meanwhile. */
        (void) threads_relieve(r->worker, r->listener);
        return r->trace >= 0 ? finish_helpers(call, check) : finish_own(call, check);
}
