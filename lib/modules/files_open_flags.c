#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sysmacros.h>

#include "files_open.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* The kernel's O_LARGEFILE; glibc has 0 on 64-bit machines. */
#define LARGEFILE 0100000

#define VALID_FLAGS \
        (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT | LARGEFILE | \
         O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | OPEN_TMPFILE)
#define PATH_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)
#define VALID_RESOLVE (RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED)

static bool creates(uint64_t flags) {
        return flags & (O_CREAT | OPEN_TMPFILE);
}

static unsigned resolve_bits(uint64_t resolve) {
        return (resolve & RESOLVE_NO_XDEV ? RESOLVE_IN_NO_XDEV : 0) | (resolve & RESOLVE_NO_MAGICLINKS ? RESOLVE_IN_NO_MAGICLINKS : 0) |
               (resolve & RESOLVE_NO_SYMLINKS ? RESOLVE_IN_NO_SYMLINKS : 0) | (resolve & RESOLVE_BENEATH ? RESOLVE_IN_BENEATH : 0) |
               (resolve & RESOLVE_IN_ROOT ? RESOLVE_IN_ROOTED : 0);
}

static int check(uint64_t flags, uint64_t mode, uint64_t resolve) {
        if ((flags & ~(uint64_t) VALID_FLAGS) || (resolve & ~(uint64_t) VALID_RESOLVE))
                return -EINVAL;
        if ((resolve & RESOLVE_BENEATH) && (resolve & RESOLVE_IN_ROOT))
                return -EINVAL;
        if (creates(flags) ? mode & ~UINT64_C(07777) : mode != 0)
                return -EINVAL;
        if ((flags & O_DIRECTORY) && (flags & O_CREAT))
                return -EINVAL;
        if (flags & OPEN_TMPFILE) {
                /* The access mode 3 counts as writing. */
                if (!(flags & O_DIRECTORY) || (flags & O_ACCMODE) == O_RDONLY)
                        return -EINVAL;
        }
        if ((flags & O_PATH) && (flags & ~(uint64_t) PATH_FLAGS))
                return -EINVAL;
        /* A look-up in the cache alone: "not there" is always a right answer, and callers then ask again without it. */
        if (resolve & RESOLVE_CACHED)
                return -EAGAIN;
        return 0;
}

int opening_parse(struct opening *o, uint64_t flags, uint64_t mode, uint64_t resolve) {
        int r = check(flags, mode, resolve);

        if (r < 0)
                return r;
        int access = flags & O_ACCMODE;
        bool path = flags & O_PATH;
        o->flags = flags;
        o->mode = mode;
        o->resolve = resolve_bits(resolve);
        o->truncates = flags & O_TRUNC;
        o->appends = flags & O_APPEND;
        o->reads = !path && access != O_WRONLY;
        o->writes = !path && (access != O_RDONLY || o->truncates);
        return 0;
}

int opening_parse_legacy(struct opening *o, int flags, mode_t mode) {
        uint64_t known = (unsigned) flags & VALID_FLAGS;

        if (known & O_PATH)
                known &= PATH_FLAGS;
        return opening_parse(o, known, creates(known) ? mode & 07777 : 0, 0);
}

bool device_listed(const struct plan *plan, const char *name) {
        const struct policy *policy = plan->policy;
        bool listed = false;

        for (size_t i = 0; i < policy->n_devices && !listed; i++)
                listed = strcmp(policy->devices[i], name) == 0;
        return listed && (!plan->floor || device_listed(plan->floor, name));
}

static bool is_mount_root(const struct pin *pin) {
        struct statx stx;

        return statx(pin->fd, "", AT_EMPTY_PATH, 0, &stx) >= 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* The device nodes of the sandbox's own /dev, and terminals of its devpts. Through any other node a device of the host might be reached. */
static bool device_named(const struct call *call, const struct pin *pin) {
        bool below = strncmp(pin->path, "/dev/", 5) == 0;

        if (!S_ISCHR(pin->st.st_mode))
                return false;
        /* A runtime makes nodes by any name, and puts /dev/null on what it masks: there, the device's number is asked for (open_existing). */
        if (call->plan->setting == PLAN_CONTAINER)
                return below || is_mount_root(pin);
        if (!below)
                return false;
        const char *name = pin->path + 5;
        if (strncmp(name, "pts/", 4) == 0 || strcmp(name, "ptmx") == 0 || strcmp(name, "tty") == 0 || strcmp(name, "console") == 0)
                return true;
        return device_listed(call->plan, name);
}

static bool is_mask(const struct call *call, const struct pin *pin) {
        return call->plan->setting == PLAN_CONTAINER && pin->fd >= 0 && S_ISCHR(pin->st.st_mode) && pin->st.st_rdev == makedev(1, 3) &&
               is_mount_root(pin);
}

static const char *missing_granted(const struct opening *o, unsigned rights) {
        if (o->reads && !(rights & RIGHT_READ))
                return "read";
        if (!o->writes || (rights & RIGHT_WRITE))
                return NULL;
        /* O_APPEND | O_TRUNC truncates, so append isn't enough. */
        if (o->appends && !o->truncates)
                return rights & RIGHT_APPEND ? NULL : "append";
        return "write";
}

const char *opening_missing(const struct call *call, const struct opening *o, const struct pin *pin) {
        const char *right;

        /* O_PATH gives what stat gives. */
        if (o->flags & O_PATH)
                return NULL;
        switch (pin->match.state) {
        case MATCH_GRANTED: right = missing_granted(o, pin->match.rights); break;
        case MATCH_ANCESTOR: right = o->writes ? "write" : S_ISDIR(pin->st.st_mode) && match_reads(pin->match) ? NULL : "read"; break;
        /* What stays out and is masked by the runtime reads as empty, as without us: it isn't what was there that is read. */
        default: right = o->writes ? "write" : !pin->match.rule && is_mask(call, pin) ? NULL : "read";
        }
        if (!right && (S_ISCHR(pin->st.st_mode) || S_ISBLK(pin->st.st_mode)) && !device_named(call, pin))
                right = "device";
        return right;
}
