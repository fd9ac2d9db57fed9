/*
 * Private to the modules: the modules themselves, the table of calls, and helpers for compiling filters.
 */
#pragma once

#include "modules.h"

extern const struct module files_module, names_module, metadata_module, append_module, exec_module, network_module, sockets_module,
        kernel_module, guard_module, processes_module;

/* append.c: whether an ioctl would undo what `append` rules say; sets call->why. */
bool append_refuses_ioctl(struct call *call);
/* processes.c: answers those of the guard's calls that name a process, where the namespaces aren't ours. */
struct verdict processes_handle(struct call *call);
/* attributes.c: answers an ioctl of a file system that changes a file or could. False: it isn't one, its request says. */
bool attributes_ioctl(struct call *call, struct verdict *ret);

/* ---- The table of calls (known.c). ---- */

enum syscall_class {
        SYSCALL_ABSENT,  /* ENOSYS by the filter: no such call, or one that libc does without (clone3, io_uring) */
        SYSCALL_REFUSED, /* EPERM by the broker, which counts and explains it */
        SYSCALL_ALLOWED, /* at most what Docker's default profile allows a container without capabilities */
        SYSCALL_START,   /* allowed, and never notified: the launcher makes these between loading the filter and exec, when
                            nobody serves the listener yet; and no program runs without them */
};

#define SYSCALLS_MAX 470 /* numbers in the table are below */

enum syscall_class known_class(int nr);

/* ---- The underlying answer of a call, whatever raw rules say (modules.c). ---- */

/* The row of the module that answers a call, or NULL. */
const struct claim *modules_claim(int nr);

/* ---- Raw rules (raw.c). ---- */

/* Whether any raw rule names the call. */
bool raw_names(const struct policy *policy, int nr);
/* Whether raw rules refuse the call whatever its arguments are. */
bool raw_refuses(const struct policy *policy, int nr);
/* Checks the rules and adds what they need to be notified of. -EINVAL with errors in the report. */
int raw_compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report);
/* Answers a call that a raw rule names, or any call under `default: deny`. */
struct verdict raw_handle(struct call *call);
/* Answers a call that the table refuses. */
struct verdict refuse_handle(struct call *call);

/* ---- Helpers for compile functions (rules.c). ---- */

/* Notifies a call whatever its arguments are. */
int rule_always(struct filter_builder *filter, int nr);
/* Notifies all calls of a module's table. */
int rule_claims(struct filter_builder *filter, const struct claim *claims);
/* Notifies when any of the bits in `mask` is set in a 32-bit argument. */
int rule_bits(struct filter_builder *filter, int nr, unsigned index, uint32_t mask);
/* Notifies when a 32-bit argument, under `mask`, is none of `values` (sorted), and `also`, if not NULL, matches too. */
int rule_unless(struct filter_builder *filter, int nr, unsigned index, uint32_t mask, const uint32_t *values, size_t n,
                const struct filter_arg *also);
/* Notifies when a 32-bit argument is this value. */
int rule_equal(struct filter_builder *filter, int nr, unsigned index, uint32_t value);

/* Why a call may go on whose registers alone were looked at, or none at all. */
static inline struct verdict verdict_registers(void) {
        return verdict_proceed(PROCEED_REGISTERS);
}
