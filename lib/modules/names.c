/*
 * Names: the calls that make, remove, rename and link them, where the plan brokers paths.
 *
 * Each is done in the pinned directory with the last component as the caller gave it, slashes included, so that the kernel gives its own errno. Only
 * what the rules refuse is answered here, and then what the kernel would have found before it asked for permission comes first.
 */
#include "names.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

void name_subject(struct call *call, const struct pin *pin) {
        if (pin->path[0]) {
                memcpy(call->path2, pin->path, strlen(pin->path) + 1);
                call->subject = call->path2;
        }
}

int name_resolve(struct call *call, int dirfd, uint64_t address, struct pin *pin) {
        ssize_t length = target_read_path(call, address, call->path);

        if (length < 0)
                return length;
        call->subject = call->path;
        int r = resolve_name(call, dirfd, call->path, pin);
        name_subject(call, pin);
        return r;
}

bool name_is_absent(const struct pin *pin) {
        return pin->fd < 0 && !pin->special;
}

bool name_is_directory(const struct pin *pin) {
        return pin->fd >= 0 && S_ISDIR(pin->st.st_mode);
}

bool name_has_slash(const struct pin *pin) {
        return pin->name[0] && pin->name[strlen(pin->name) - 1] == '/';
}

bool name_writable(const struct pin *pin) {
        return !pin->outside && pin->match.state == MATCH_GRANTED && (pin->match.rights & RIGHT_WRITE);
}

struct verdict name_absent(struct call *call, const struct pin *pin) {
        name_subject(call, pin);
        return files_failed(call, pin, -ENOENT, false);
}

struct verdict name_refuse(struct call *call, const struct pin *pin) {
        name_subject(call, pin);
        return files_refuse(call, &pin->match, EACCES, "write");
}

struct verdict name_refuse_new(struct call *call, const struct pin *pin, bool directory) {
        if (pin->outside)
                return verdict_error(ENOENT);
        if (pin->fd >= 0)
                return verdict_error(EEXIST);
        if (name_has_slash(pin) && !directory)
                return verdict_error(ENOENT);
        return name_refuse(call, pin);
}

/* ---- Mounts ---- */

int name_is_mounted_on(const struct pin *pin) {
        struct statx stx;

        if (pin->fd < 0)
                return 0;
        if (statx(pin->fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
                return -errno;
        /* What can't say so is as good as mounted on. */
        return !(stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int name_refuse_mounted(const struct pin *pin) {
        bool directory = name_is_directory(pin);
        char name[NAME_MAX + 2];

        /* Removing it as what it isn't fails for sure, but not before all has been asked that comes before EBUSY. Nobody in the sandbox can give
         * the name to something else meanwhile, since it is busy. */
        snprintf(name, sizeof(name), "%.*s", (int) strcspn(pin->name, "/"), pin->name);
        /* no act: of the wrong kind it removes nothing */
        if (unlinkat(pin->parent, name, directory ? 0 : AT_REMOVEDIR) < 0 && errno != (directory ? EISDIR : ENOTDIR))
                return -errno;
        return -EBUSY;
}

int name_same_mount(int a, int b) {
        struct statx first, second;

        if (statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &first) < 0 || statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &second) < 0)
                return -errno;
        return first.stx_mnt_id == second.stx_mnt_id;
}

/* ---- The module ---- */

static const struct claim claims[] = {
        { __NR_mkdir, "mkdir", handle_mkdir },
        { __NR_mkdirat, "mkdirat", handle_mkdirat },
        { __NR_mknod, "mknod", handle_mknod },
        { __NR_mknodat, "mknodat", handle_mknodat },
        { __NR_symlink, "symlink", handle_symlink },
        { __NR_symlinkat, "symlinkat", handle_symlinkat },
        { __NR_rmdir, "rmdir", handle_rmdir },
        { __NR_unlink, "unlink", handle_unlink },
        { __NR_unlinkat, "unlinkat", handle_unlinkat },
        { __NR_rename, "rename", handle_rename },
        { __NR_renameat, "renameat", handle_renameat },
        { __NR_renameat2, "renameat2", handle_renameat2 },
        { __NR_link, "link", handle_link },
        { __NR_linkat, "linkat", handle_linkat },
        {},
};

/* Devices alone, by type and number. */
static int compile_mknod(struct filter_builder *filter, int nr, unsigned mode) {
        const struct filter_arg block = { .index = mode, .mask = S_IFMT, .value = S_IFBLK };
        const struct filter_arg character[] = { { .index = mode, .mask = S_IFMT, .value = S_IFCHR },
                                                { .index = mode + 1, .nonzero = true } };
        int r = filter_builder_notify(filter, nr, &block, 1);

        return r < 0 ? r : filter_builder_notify(filter, nr, character, ELEMENTSOF(character));
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        (void) report;
        if (plan->files_brokered)
                return rule_claims(filter, claims);
        if (!setting_is_foreign(plan->setting))
                return 0;
        int r = compile_mknod(filter, __NR_mknod, 1);
        return r < 0 ? r : compile_mknod(filter, __NR_mknodat, 2);
}

const struct module names_module = { .name = "names", .claims = claims, .compile = compile };
