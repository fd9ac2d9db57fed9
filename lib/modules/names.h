/*
 * Private to the names module, and to bind: names that are made, removed, or given to something else.
 */
#pragma once

#include "files.h"

/* Reads the path at `address` and resolves the name (resolve_name). What was found, or where it failed, becomes the call's subject. */
int name_resolve(struct call *call, int dirfd, uint64_t address, struct pin *pin);
/* The subject is this one of two names again. */
void name_subject(struct call *call, const struct pin *pin);

bool name_is_absent(const struct pin *pin);
bool name_is_directory(const struct pin *pin);
/* Are there slashes after it? */
bool name_has_slash(const struct pin *pin);
/* May the caller make, remove and rename what has this name? */
bool name_writable(const struct pin *pin);

/* The verdict on an absent name that should be there. */
struct verdict name_absent(struct call *call, const struct pin *pin);
/* The verdict on a name that may not be made: what the kernel would find before it asks for permission, or the refusal. */
struct verdict name_refuse_new(struct call *call, const struct pin *pin, bool directory);
/* A refusal for want of `write`. */
struct verdict name_refuse(struct call *call, const struct pin *pin);

/* Does something of the sandbox's own mounts lie on the name? 1, 0, negative errno. The worker is in another mount namespace, where
 * the kernel doesn't see that it mustn't touch such a name. */
int name_is_mounted_on(const struct pin *pin);
/* What the kernel would say to an attempt to remove a name that is mounted on: -EBUSY, or what it asks first. Call while acting as the caller. */
int name_refuse_mounted(const struct pin *pin);

/* 1 where both directories lie on one mount, else 0; negative errno. */
int name_same_mount(int a, int b);

/* create.c, remove.c, rename.c, link.c */
struct verdict handle_mkdir(struct call *call);
struct verdict handle_mkdirat(struct call *call);
struct verdict handle_mknod(struct call *call);
struct verdict handle_mknodat(struct call *call);
struct verdict handle_symlink(struct call *call);
struct verdict handle_symlinkat(struct call *call);
struct verdict handle_rmdir(struct call *call);
struct verdict handle_unlink(struct call *call);
struct verdict handle_unlinkat(struct call *call);
struct verdict handle_rename(struct call *call);
struct verdict handle_renameat(struct call *call);
struct verdict handle_renameat2(struct call *call);
struct verdict handle_link(struct call *call);
struct verdict handle_linkat(struct call *call);
