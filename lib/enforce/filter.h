/*
 * The seccomp filters of a sandbox, built with libseccomp, and their loading.
 *
 * Two programs are stacked, and the kernel takes the stricter answer of the two:
 * - `known` refuses with ENOSYS every call that the table of calls doesn't name as usable, kills foreign architectures, and allows
 *   the rest;
 * - `notify` sends to the broker what needs a decision, and allows the rest. It owns the listener.
 * So each stays a plain list in libseccomp, in which no rule overlaps another with a different action, and calls that neither looks at
 * stay in the kernel's bitmap of constant allows.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A comparison of one argument under a mask. Only masks of at most 32 bits, except the test "is not 0" (nonzero), which looks at all
 * 64: libseccomp 2.5.4 merges other 64-bit comparisons wrongly. */
struct filter_arg {
        unsigned index;
        bool nonzero;
        uint32_t mask, value;
};

struct filter_rule {
        int nr;
        size_t n_args;
        struct filter_arg args[2];
};

struct filter {
        struct sock_fprog known, notify;
};

/* Collects rules, then builds. A call with a rule without arguments swallows its rules with arguments. */
struct filter_builder {
        struct filter_rule *notify;
        size_t n_notify;
        int *allow; /* calls that `known` lets through: all that are allowed or notified */
        size_t n_allow;
};

int filter_builder_notify(struct filter_builder *b, int nr, const struct filter_arg *args, size_t n_args);
int filter_builder_allow(struct filter_builder *b, int nr);
void filter_builder_done(struct filter_builder *b);
/* Adds what was collected, in whatever order, to a digest. */
struct digest;
void filter_builder_digest(const struct filter_builder *b, struct digest *ret);

/* Builds both programs; -E2BIG when one would have more than the kernel's 4,096 instructions. The caller frees with filter_done. */
int filter_build(const struct filter_builder *b, struct filter *ret);
void filter_done(struct filter *filter);
/* Whether both send the same calls to the broker and let the same ones through. Of one build only: another may write the same in another way. */
bool filter_equal(const struct filter *a, const struct filter *b);

/* Loads both programs into the calling thread, which must have no_new_privs. Returns the listener (CLOEXEC), owned by the caller,
 * or negative errno. `wait_killable` asks for WAIT_KILLABLE_RECV (kernel 5.19 and later). */
int filter_load(const struct filter *filter, bool wait_killable);

/* Runs a program over one call, as the kernel would (x86-64 and aarch64 byte order); returns the SECCOMP_RET_* value. For tests, and for
 * the check that every emitted program does what was asked. */
uint32_t filter_simulate(const struct sock_fprog *program, uint32_t arch, int nr, const uint64_t args[6]);
