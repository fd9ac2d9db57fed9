/*
 * execve and execveat where the broker decides on paths.
 *
 * The path is checked here, for the errno and the record; the kernel reads it again after us. What holds then is Landlock's EXECUTE right, where it
 * says exactly what the rules say: it gives whole directories, and can take nothing away below them. Where rules do, or there is no
 * Landlock, the outcome is checked before the new program runs (exec_event.c); that takes tracing the caller for a moment.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "landlock_rules.h"
#include "sys.h"

static bool check_outcome;

/* The checks of what was executed need to look at it from outside, which nobody can do with a program that is not readable to its user. */
static bool readable(struct call *call, const struct pin *pin) {
        int r = target_act_ids(call);

        if (r < 0)
                return false;
        r = syscall(__NR_faccessat2, pin->fd, "", R_OK, AT_EMPTY_PATH | AT_EACCESS);
        target_act_done(call);
        return r == 0;
}

/* As the kernel, for a directory and the like. */
static struct verdict not_a_file(const struct pin *pin) {
        return verdict_error(S_ISLNK(pin->st.st_mode) ? ELOOP : EACCES);
}

static struct verdict checked(struct call *call, const struct pin *pin) {
        int r;

        /* What can't be executed at all needs no tracing, and the kernel's errno. */
        if (!S_ISREG(pin->st.st_mode))
                return not_a_file(pin);
        if (!readable(call, pin)) {
                call->why = "a program that its user can't read can't be checked when it is executed";
                return verdict_deny(EACCES);
        }
        const struct exec_check check = { pin->st.st_dev, pin->st.st_ino };
        r = exec_event_begin(call, &check);
        if (r == -EPERM) {
                call->why = "the process is being traced, so that what it executes can't be checked";
                return verdict_deny(EPERM);
        }
        if (r < 0)
                return verdict_from(r);
        /* proceed: the outcome is checked before the caller runs on. */
        return verdict_proceed_checked(check);
}

static struct verdict decide(struct call *call, const struct pin *pin) {
        /* What no path names (a memfd, a deleted file) can be mapped executable by whoever reads it: the rules have no say over it, and
         * nothing gains privileges by it (no_new_privs). */
        if (!pin->outside && (pin->match.state != MATCH_GRANTED || !(pin->match.rights & RIGHT_EXEC))) {
                if (!S_ISREG(pin->st.st_mode))
                        return not_a_file(pin);
                return files_refuse(call, &pin->match, EACCES, "exec");
        }
        if (check_outcome)
                return checked(call, pin);
        /* proceed: Landlock EXECUTE and noexec mounts bound what a thread that rewrites the path could run, or the rules let it run everything; the
         * errnos of what isn't executable are the kernel's own. */
        return verdict_proceed(PROCEED_BOUNDED);
}

static struct verdict execute(struct call *call, int dirfd, uint64_t path, unsigned flags) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r;

        r = files_resolve(call, dirfd, path, flags, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        return decide(call, &pin);
}

static struct verdict handle_execve(struct call *call) {
        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view and Landlock decide. */
                return verdict_registers();
        return execute(call, AT_FDCWD, CALL_ARG(call, 0), RESOLVE_FOLLOW);
}

static struct verdict handle_execveat(struct call *call) {
        int flags = CALL_INT(call, 4);

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view and Landlock decide. */
                return verdict_registers();
        /* With AT_EXECVE_CHECK nothing is executed: kernels before 6.14 say EINVAL when they go on with it. */
        if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_EXECVE_CHECK)) {
                /* The kernel looks at the flags once it has the path's string. */
                ssize_t length = target_read_path(call, CALL_ARG(call, 1), call->path);
                return length < 0 ? verdict_from(length) : verdict_error(length > 0 || (flags & AT_EMPTY_PATH) ? EINVAL : ENOENT);
        }
        return execute(call, CALL_INT(call, 0), CALL_ARG(call, 1),
                       (flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0));
}

static const struct claim claims[] = {
        { __NR_execve, "execve", handle_execve, true },
        { __NR_execveat, "execveat", handle_execveat, true },
        {},
};

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        (void) report;
        if (!plan->files_brokered)
                /* The broker has to see that a container's program begins, by which its runtime's own calls end (loop.c). */
                return setting_is_foreign(plan->setting) ? rule_claims(filter, claims) : 0;
        /* No Landlock is ours where the namespaces aren't: who loads the filter there may have no right to it, or none of our code. */
        if (setting_is_foreign(plan->setting))
                check_outcome = !plan_exec_everywhere(plan);
        else
                check_outcome = landlock_abi() < LANDLOCK_ABI_NEEDED || !plan_exec_by_directory(plan);
        check_outcome = check_outcome && !sys_unsafe("exec-event");
        return rule_claims(filter, claims);
}

const struct module exec_module = { .name = "exec", .claims = claims, .compile = compile };
