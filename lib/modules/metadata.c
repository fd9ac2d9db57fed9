/*
 * Metadata, listings and directories, where the plan brokers paths: all calls besides those of files.c that look at an object by its path or change it
 * other than by writing, and those that change it through a descriptor which wasn't opened for that.
 */
#include "metadata.h"

#include <sys/syscall.h>

#include "sys.h"

#define CALLS(x) \
        x(chmod) x(fchmod) x(fchmodat) x(fchmodat2) x(chown) x(lchown) x(fchown) x(fchownat) /* metadata_owner.c */ \
                x(utime) x(utimes) x(futimesat) x(utimensat)                                 /* metadata_times.c */ \
                x(setxattr) x(lsetxattr) x(fsetxattr) x(setxattrat)                          /* metadata_xattr.c */ \
                x(getxattr) x(lgetxattr) x(getxattrat) x(listxattr) x(llistxattr) x(listxattrat) x(removexattr) x(lremovexattr) \
                        x(fremovexattr) x(removexattrat) x(file_getattr) x(file_setattr) /* attributes.c */ \
                x(statfs) x(truncate) x(chdir) x(chroot)                                 /* truncate.c, directory.c */ \
                x(getdents) x(getdents64)                                                /* listing.c */ \
                x(inotify_add_watch)                                                     /* watch.c */

static const call_handler handlers[SYSCALLS_MAX] = {
#define HANDLER(name) [__NR_##name] = handle_##name,
        CALLS(HANDLER)
};

static struct verdict handle(struct call *call) {
        if (call->plan->files_brokered)
                return handlers[call->notif->data.nr](call);
        if (call->notif->data.nr == __NR_chroot && setting_is_foreign(call->plan->setting))
                /* proceed: whether the caller has the right to it the kernel knows, and the mounts are the same below any root. */
                return verdict_proceed(PROCEED_BOUNDED);
        if (known_class(call->notif->data.nr) == SYSCALL_REFUSED)
                return refuse_handle(call);
        /* proceed: no memory was looked at; the view decides. */
        return verdict_registers();
}

static const struct claim claims[] = {
#define CLAIM(name) { __NR_##name, #name, handle },
        CALLS(CLAIM) {},
};

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        int r;

        (void) report;
        if (!plan->files_brokered)
                return 0;
        r = rule_claims(filter, claims);
        return r < 0 ? r : attributes_compile(filter);
}

const struct module metadata_module = { .name = "metadata", .claims = claims, .compile = compile };
