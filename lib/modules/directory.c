/*
 * chdir and chroot. fchdir needs no look: what the caller has as a descriptor it may have as its directory, since every path from there is decided
 * on when it is used.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "metadata.h"
#include "sys.h"

/* The directory at the path, as user_path_at(LOOKUP_DIRECTORY) and the right to search ask for it. False: `*ret_verdict` is the answer. */
static bool find_directory(struct call *call, struct pin *pin, struct verdict *ret_verdict) {
        int r = files_resolve(call, AT_FDCWD, CALL_ARG(call, 0), RESOLVE_FOLLOW, pin);

        if (r < 0)
                *ret_verdict = files_failed(call, pin, r, false);
        else if (!S_ISDIR(pin->st.st_mode))
                *ret_verdict = verdict_error(ENOTDIR);
        /* One that has been removed leads nowhere; all others that no path names lead out of the sandbox. */
        else if (pin->outside ? pin->st.st_nlink > 0 : pin->match.state == MATCH_DENIED)
                *ret_verdict = files_refuse(call, &pin->match, EACCES, "read");
        else
                return true;
        return false;
}

struct verdict handle_chdir(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;

        if (!find_directory(call, &pin, &verdict))
                return verdict;
        /* proceed: a directory gives nothing by itself. A thread that swaps the path can get one that is hidden, and every path from there is
         * decided on by where it lies; getcwd tells its name. */
        return verdict_proceed(PROCEED_HARMLESS);
}

struct verdict handle_chroot(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;
        int r;

        if (!find_directory(call, &pin, &verdict))
                return verdict;
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = syscall(__NR_faccessat2, pin.fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
        target_act_done(call);
        if (r < 0 && !(r == -EACCES && pin_own_fds(call, &pin)))
                return verdict_error(r);
        if (!setting_is_foreign(call->plan->setting))
                return refuse_handle(call);
        /* proceed: whether the caller has the right to it the kernel knows, and a root gives nothing by itself: every path from there is decided on by
         * where it lies. */
        return verdict_proceed(PROCEED_HARMLESS);
}
