/*
 * Private to the files and exec modules: reading and resolving the caller's path, and refusing by rule.
 */
#pragma once

#include "module.h"
#include "resolve.h"
#include "target.h"

#define PIN_INIT \
        { .fd = -1, .parent = -1 }

/* For files_resolve(), with RESOLVE_EMPTY: a null pointer is as good as "". Since 6.11, and of the calls that
 * know AT_EMPTY_PATH for the newer ones and the stat family only. */
#define FILES_NULL (1U << 16)

/* Reads the path at `address` and resolves it. What was found, or where it failed, becomes the call's subject. */
int files_resolve(struct call *call, int dirfd, uint64_t address, unsigned flags, struct pin *pin);

/* Reads a struct of `size` bytes by the caller's word, of which we know the `known` that its first version had: as the kernel's copy_struct_from_user(),
 * what a newer program sets beyond them must be zero. */
int files_read_struct(struct call *call, uint64_t address, uint64_t size, void *ret, size_t known);

/* What the rules say of where a removed object was; `pin->match` of any other. The kernel still makes files without a name in such a directory, and opens
 * such a file. Uses call->path3. */
struct match files_match_removed(struct call *call, const struct pin *pin);

/* The verdict after files_resolve failed with `r`: an error of the kernel's, or a hidden name, which `creating` makes EACCES. */
struct verdict files_failed(struct call *call, const struct pin *pin, int r, bool creating);

/* A refusal by what the plan says of a path; `remedy` is the right that would allow it. */
struct verdict files_refuse(struct call *call, const struct match *match, int error, const char *remedy);

/* open.c, stat.c */
struct verdict handle_open(struct call *call);
struct verdict handle_openat(struct call *call);
struct verdict handle_openat2(struct call *call);
struct verdict handle_creat(struct call *call);
struct verdict handle_stat(struct call *call);
struct verdict handle_lstat(struct call *call);
struct verdict handle_fstat(struct call *call);
struct verdict handle_newfstatat(struct call *call);
struct verdict handle_statx(struct call *call);
struct verdict handle_access(struct call *call);
struct verdict handle_faccessat(struct call *call);
struct verdict handle_faccessat2(struct call *call);
struct verdict handle_readlink(struct call *call);
struct verdict handle_readlinkat(struct call *call);

/* files_open.c: may the caller open anew, with these flags, what no path names? What came in as a descriptor may be reopened as it is open already; a
 * memfd is the sandbox's own; pipes and terminals give no more than the descriptor does. */
bool files_reopenable(struct call *call, const struct pin *pin, int flags);
/* Reads what the kernel's protections of sticky directories are set to, and which devices the policy names; before the worker starts. */
void files_open_prepare(const struct plan *plan);
