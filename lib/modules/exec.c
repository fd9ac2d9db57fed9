/*
 * execve and execveat where the broker decides on paths.
 *
 * The path is checked here, for the errno and the record; what holds is Landlock's EXECUTE right and noexec mounts, since the kernel reads the path
 * again after us. So a plan that brokers files is refused where there is no Landlock.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "files.h"
#include "landlock_rules.h"

static struct verdict decide(struct call *call, const struct pin *pin) {
        /* What no path names (a memfd, a deleted file) can be mapped executable by whoever reads it: the rules have no say over it, and
         * nothing gains privileges by it (no_new_privs). */
        if (pin->outside)
                /* proceed: bounded by the mounts' noexec and no_new_privs. */
                return verdict_proceed(PROCEED_BOUNDED);
        if (pin->match.state != MATCH_GRANTED || !(pin->match.rights & RIGHT_EXEC)) {
                if (!S_ISREG(pin->st.st_mode))
                        return verdict_error(EACCES); /* as the kernel, for a directory and the like */
                return files_refuse(call, &pin->match, EACCES, "exec");
        }
        /* proceed: Landlock EXECUTE and noexec mounts bound what a thread that rewrites the path could run; the errnos of what isn't executable
         * are the kernel's own. */
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
        if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
                return verdict_error(EINVAL);
        return execute(call, CALL_INT(call, 0), CALL_ARG(call, 1),
                       (flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | (flags & AT_EMPTY_PATH ? RESOLVE_EMPTY : 0));
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        int r;

        if (!plan->files_brokered)
                return 0;
        if (landlock_abi() < LANDLOCK_ABI_NEEDED) {
                policy_report_add(
                        report, false, (struct place) { .file = plan->policy->name },
                        "files: enforce: broker needs Landlock (Linux 5.19, and `landlock` in the kernel's lsm= list), without which "
                        "execve can't be held to `exec` rules");
                return -EINVAL;
        }
        r = rule_always(filter, __NR_execve);
        return r < 0 ? r : rule_always(filter, __NR_execveat);
}

static const struct claim claims[] = {
        { __NR_execve, "execve", handle_execve },
        { __NR_execveat, "execveat", handle_execveat },
        {},
};

const struct module exec_module = { .name = "exec", .claims = claims, .compile = compile };
