/*
 * inotify_add_watch: the watch is put on what is pinned, in the caller's own group, so that the events are the caller's.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "metadata.h"

#define KNOWN_BITS \
        (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | \
         IN_MASK_CREATE | IN_ISDIR | IN_ONESHOT)

/* The kernel says before it looks at the path that a descriptor is none of inotify's; here it has a path that is never there. */
static bool is_group(int fd) {
        /* no act: the path is never there */
        return inotify_add_watch(fd, "", IN_ACCESS) >= 0 || errno == ENOENT;
}

/* Events tell names, so that what only leads to something visible can't be watched. */
static bool may_watch(const struct pin *pin) {
        return pin->outside || (pin->match.state == MATCH_GRANTED && (pin->match.rights & RIGHT_READ));
}

static int add_watch(struct call *call, int group, const struct pin *pin, uint32_t mask) {
        char link[64];
        int r;

        r = pin_enter(call, pin, link);
        if (r < 0)
                return r;
        r = target_act_ids(call);
        if (r < 0)
                return r;
        /* The link is to be followed. */
        r = ACT(call, inotify_add_watch(group, link, mask & ~IN_DONT_FOLLOW));
        target_act_done(call);
        return r;
}

struct verdict handle_inotify_add_watch(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        uint32_t mask = CALL_INT(call, 2);
        int r;

        if (!(mask & KNOWN_BITS))
                return verdict_error(EINVAL);
        _cleanup_close_ int group = target_fd(call, CALL_INT(call, 0));
        if (group < 0)
                return verdict_from(group);
        int status = fcntl(group, F_GETFL);
        if (status < 0 || (status & O_PATH))
                return verdict_error(EBADF);
        if (((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)) || !is_group(group))
                return verdict_error(EINVAL);
        r = files_resolve(call, AT_FDCWD, CALL_ARG(call, 1), mask & IN_DONT_FOLLOW ? 0 : RESOLVE_FOLLOW, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if ((mask & IN_ONLYDIR) && !S_ISDIR(pin.st.st_mode))
                return verdict_error(ENOTDIR);
        if (!may_watch(&pin))
                return files_refuse(call, &pin.match, EACCES, "read");
        r = add_watch(call, group, &pin, mask);
        return r < 0 ? verdict_from(r) : verdict_value(r);
}
