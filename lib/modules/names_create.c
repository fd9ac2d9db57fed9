/*
 * mkdir, mknod and symlink in all their forms.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "names.h"

/* What is to be made. */
struct making {
        mode_t mode;      /* type and permissions */
        const char *text; /* S_IFLNK: where it leads */
};

static int make(struct call *call, const struct pin *pin, const struct making *m) {
        switch (m->mode & S_IFMT) {
        case S_IFDIR: return act_mkdirat(call, pin->parent, pin->name, m->mode & ~S_IFMT);
        case S_IFLNK: return act_symlinkat(call, m->text, pin->parent, pin->name);
        /* A character device is the whiteout, with the number 0: see refuse_device. */
        default: return ACT(call, syscall(__NR_mknodat, pin->parent, pin->name, m->mode, 0));
        }
}

static struct verdict create(struct call *call, int dirfd, uint64_t path, const struct making *m) {
        _cleanup_(names_unlockp) struct call *held = names_lock(call, false);
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        mode_t type = m->mode & S_IFMT;
        int r;

        r = name_resolve(call, dirfd, path, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        /* `append` gives names to plain files. */
        bool appends =
                (type == 0 || type == S_IFREG) && !pin.outside && pin.match.state == MATCH_GRANTED && (pin.match.rights & RIGHT_APPEND);
        if (!pin.special && !name_writable(&pin) && !appends)
                return name_refuse_new(call, &pin, type == S_IFDIR);
        r = target_act(call);
        if (r < 0)
                return verdict_from(r);
        r = make(call, &pin, m);
        target_act_done(call);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- mkdir ---- */

static struct verdict do_mkdir(struct call *call, int dirfd, uint64_t path, mode_t mode) {
        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        return create(call, dirfd, path, &(struct making) { .mode = S_IFDIR | (mode & 07777) });
}

struct verdict handle_mkdir(struct call *call) {
        return do_mkdir(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1));
}

struct verdict handle_mkdirat(struct call *call) {
        return do_mkdir(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2));
}

/* ---- mknod ---- */

static const char no_devices[] = "device nodes aren't made for sandboxes";

/* Devices are refused whatever capabilities the caller has: the worker would be asked for its own device cgroup, not for the caller's. What the
 * kernel says before that is asked of it first. */
static struct verdict refuse_device(struct call *call, int dirfd, uint64_t path) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int r = name_resolve(call, dirfd, path, &pin);

        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (pin.special)
                return verdict_error(EEXIST);
        if (!name_writable(&pin) || pin.fd >= 0 || name_has_slash(&pin))
                return name_refuse_new(call, &pin, false);
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = syscall(__NR_faccessat2, pin.parent, "", W_OK | X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
        target_act_done(call);
        if (r < 0)
                return verdict_from(r);
        call->why = no_devices;
        return verdict_deny(EPERM);
}

static struct verdict do_mknod(struct call *call, int dirfd, uint64_t path, mode_t mode, unsigned device) {
        mode &= 0xffff; /* umode_t */
        if (!call->plan->files_brokered) {
                /* Below another runtime the caller may have the right to make one. */
                if (setting_is_foreign(call->plan->setting) && (S_ISBLK(mode) || (S_ISCHR(mode) && device != 0))) {
                        call->why = no_devices;
                        return verdict_deny(EPERM);
                }
                /* proceed: type and number are registers; the view decides on the name. */
                return verdict_registers();
        }
        switch (mode & S_IFMT) {
        case 0:
        case S_IFREG:
        case S_IFIFO:
        case S_IFSOCK: break;
        case S_IFDIR: return verdict_error(EPERM);
        case S_IFBLK: return refuse_device(call, dirfd, path);
        case S_IFCHR:
                /* The number 0 is a whiteout, which gives access to nothing: since 5.8 anybody may make one. */
                if (device != 0)
                        return refuse_device(call, dirfd, path);
                break;
        default: return verdict_error(EINVAL);
        }
        return create(call, dirfd, path, &(struct making) { .mode = mode });
}

struct verdict handle_mknod(struct call *call) {
        return do_mknod(call, AT_FDCWD, CALL_ARG(call, 0), CALL_INT(call, 1), CALL_INT(call, 2));
}

struct verdict handle_mknodat(struct call *call) {
        return do_mknod(call, CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2), CALL_INT(call, 3));
}

/* ---- symlink ---- */

static struct verdict do_symlink(struct call *call, uint64_t target, int dirfd, uint64_t path) {
        char text[PATH_MAX + 1];
        ssize_t length;

        if (!call->plan->files_brokered)
                /* proceed: no memory was looked at; the view decides. */
                return verdict_registers();
        length = target_read_path(call, target, text);
        if (length <= 0)
                return length < 0 ? verdict_from(length) : verdict_error(ENOENT);
        return create(call, dirfd, path, &(struct making) { .mode = S_IFLNK, .text = text });
}

struct verdict handle_symlink(struct call *call) {
        return do_symlink(call, CALL_ARG(call, 0), AT_FDCWD, CALL_ARG(call, 1));
}

struct verdict handle_symlinkat(struct call *call) {
        return do_symlink(call, CALL_ARG(call, 0), CALL_INT(call, 1), CALL_ARG(call, 2));
}
