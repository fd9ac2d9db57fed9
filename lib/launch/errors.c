/*
 * What stands in the way of a user namespace, in words for people.
 */
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "start.h"
#include "str.h"
#include "sys.h"

static bool sysctl_is(const char *path, long value) {
        long n;

        return sys_read_number(path, &n) >= 0 && n == value;
}

static const char *namespace_remedy(int error) {
        if (sysctl_is("/proc/sys/user/max_user_namespaces", 0))
                return "user namespaces are switched off (user.max_user_namespaces is 0); as root: sysctl -w "
                       "user.max_user_namespaces=10000";
        if (geteuid() != 0 && sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", 0))
                return "ordinary users may not make user namespaces (kernel.unprivileged_userns_clone is 0); "
                       "as root: sysctl -w kernel.unprivileged_userns_clone=1";
        if (geteuid() != 0 && sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1))
                return "AppArmor takes the capabilities away from user namespaces of ordinary users, as on Ubuntu since 23.10 "
                       "(kernel.apparmor_restrict_unprivileged_userns is 1); allow sandboxctl by a profile with `userns,`, or as root: "
                       "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        if (error == ENOSPC || error == EUSERS)
                return "the limit on namespaces is reached (see /proc/sys/user/max_*_namespaces), or they are nested too deep";
        if (error == EPERM || error == EACCES)
                return "the kernel or a surrounding container forbids it: inside Docker, run the container with --security-opt "
                       "seccomp=unconfined "
                       "(or a profile that allows clone and unshare of namespaces); a process that was chrooted can't make one at all";
        if (error == EINVAL || error == ENOSYS)
                return "this kernel was built without one of the namespaces; sandboxctl doctor says which";
        return NULL;
}

char *start_error(const char *step, int error) {
        struct strbuf b = {};
        const char *remedy = NULL;

        if (str_equal(step, "user namespace") || str_equal(step, "namespaces") || str_equal(step, "maps")) {
                strbuf_printf(&b, "the sandbox's %s can't be made: %s", str_equal(step, "maps") ? "map of user ids" : step,
                              strerror(error));
                remedy = namespace_remedy(error);
        } else
                strbuf_printf(&b, "the sandbox could not be started, at the step \"%s\": %s", step, strerror(error));
        if (remedy)
                strbuf_printf(&b, ": %s", remedy);
        return strbuf_take(&b);
}

int launch_fail(char **error, int r, const char *format, ...) {
        va_list args;

        va_start(args, format);
        if (vasprintf(error, format, args) < 0)
                *error = NULL;
        va_end(args);
        return r;
}
