/*
 * Private to the metadata module, and to what else acts on the caller's descriptors: where they lie, and what may be changed.
 */
#pragma once

#include <sys/types.h>

#include "files.h"

/* ---- descriptor.c ---- */

/* What the caller's descriptor is. `pin->fd` is our own copy of it, by which to act: whatever the number comes to mean meanwhile. -EBADF for O_PATH
 * as well. Where it lies becomes the call's subject. -ENOENT with a match of HIDDEN: nothing is shown there. */
int descriptor_pin(struct call *call, int number, struct pin *pin);

/* Whether what is pinned may be changed: one of `rights` (RIGHT_*) has to be there. false: `*ret_verdict` is the refusal with `error`. What no path
 * names any more, or never did, is changed as the descriptor allows. */
bool pin_changeable(struct call *call, const struct pin *pin, unsigned rights, int error, struct verdict *ret_verdict);
/* Both. false: `*ret_verdict` is the answer. */
bool descriptor_changeable(struct call *call, int number, unsigned rights, int error, struct pin *pin, struct verdict *ret_verdict);

/* An object as the calls with a dirfd and AT_* flags name it. Those of them that came with Linux 6.13 (*xattrat, file_*attr) take the descriptor
 * itself for an empty or no path, and none with O_PATH; to the others it is a path like any, and must be there. */
int place_resolve(struct call *call, int dirfd, uint64_t path, int flags, struct pin *pin);
int place_resolve_new(struct call *call, int dirfd, uint64_t path, int flags, struct pin *pin);
/* What these calls know of AT_*. */
#define PLACE_FLAGS (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)

/* The thread enters the directory from which `link` is a path of the pinned object: for calls that take no dirfd. Every thread has its own, and
 * nothing else depends on it. */
int pin_enter(struct call *call, const struct pin *pin, char link[64]);

/* What gives the right to change mode and times: see sandboxd.policy(5), append. */
#define RIGHTS_OF_OWNER (RIGHT_WRITE | RIGHT_APPEND)

/* ---- truncate.c ---- */

/* Holds a file's new size to the caller's limit: the kernel would ask the worker's. What is larger already may be made smaller. */
int size_check(struct call *call, const struct stat *st, int64_t size);
/* The kernel's answer to more: SIGXFSZ for the calling thread, and EFBIG. */
struct verdict size_exceeded(struct call *call);

/* ---- The calls ---- */

struct verdict handle_chmod(struct call *call);
struct verdict handle_fchmod(struct call *call);
struct verdict handle_fchmodat(struct call *call);
struct verdict handle_fchmodat2(struct call *call);
struct verdict handle_chown(struct call *call);
struct verdict handle_lchown(struct call *call);
struct verdict handle_fchown(struct call *call);
struct verdict handle_fchownat(struct call *call);
struct verdict handle_utime(struct call *call);
struct verdict handle_utimes(struct call *call);
struct verdict handle_futimesat(struct call *call);
struct verdict handle_utimensat(struct call *call);
struct verdict handle_setxattr(struct call *call);
struct verdict handle_lsetxattr(struct call *call);
struct verdict handle_fsetxattr(struct call *call);
struct verdict handle_setxattrat(struct call *call);
struct verdict handle_getxattr(struct call *call);
struct verdict handle_lgetxattr(struct call *call);
struct verdict handle_getxattrat(struct call *call);
struct verdict handle_listxattr(struct call *call);
struct verdict handle_llistxattr(struct call *call);
struct verdict handle_listxattrat(struct call *call);
struct verdict handle_removexattr(struct call *call);
struct verdict handle_lremovexattr(struct call *call);
struct verdict handle_fremovexattr(struct call *call);
struct verdict handle_removexattrat(struct call *call);
struct verdict handle_file_getattr(struct call *call);
struct verdict handle_file_setattr(struct call *call);
struct verdict handle_statfs(struct call *call);
struct verdict handle_truncate(struct call *call);
struct verdict handle_chdir(struct call *call);
struct verdict handle_chroot(struct call *call);
struct verdict handle_getdents(struct call *call);
struct verdict handle_getdents64(struct call *call);
struct verdict handle_inotify_add_watch(struct call *call);

/* attributes.c: the ioctls that change what a file is; says which to notify. */
int attributes_compile(struct filter_builder *filter);
