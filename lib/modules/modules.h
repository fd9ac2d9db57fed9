/*
 * The modules: who answers which calls, and what the filter has to send to the broker for a plan. Nothing outside this folder
 * knows a system call by name.
 */
#pragma once

#include "call.h"
#include "digest.h"
#include "filter.h"
#include "plan.h"

/* A module: one family of calls. One const object per file, one row in the table in modules.c. */
struct module {
        const char *name;
        const struct claim *claims; /* the calls it can answer; ends with a row whose name is NULL */
        bool only_decides;          /* its handlers change nothing but a result in the caller's memory: a call done twice does no harm */
        /* Says which of its calls are to be notified under this plan, and with which arguments. May report that the policy can't be
         * enforced (-EINVAL with an error in the report). */
        int (*compile)(const struct plan *plan, struct filter_builder *filter, struct policy_report *report);
};

/* Compiles the filter of a plan, and the claims that go with it (the caller frees `*ret_claims`). Whatever the policy says, read, write,
 * close and exit_group are not notified: the launcher makes them between loading the filter and exec, when nobody answers yet. `ret_filter` may be
 * NULL: whoever answers needs the claims alone, and the filter takes most of the time. */
int modules_compile(const struct plan *plan, struct filter *ret_filter, struct claim **ret_claims, size_t *ret_n,
                    struct policy_report *report);

/* The rules of that filter, for who makes another form of it (oci_profile.h); the caller frees them with filter_builder_done. -EINVAL with errors in
 * the report. */
int modules_collect(const struct plan *plan, struct filter_builder *ret, struct policy_report *report);

/* What a profile of a container is made of, for who compiles the same policy later: what the policies say, and which calls are notified. */
struct made_of {
        struct digest policy, filter;
};

/* modules_collect() and what the profile is made of; `ret_of` zero-initialised. */
int modules_collect_profile(const struct plan *plan, struct filter_builder *ret, struct made_of *ret_of, struct policy_report *report);

/* Whether the broker acts for callers under the plan whose rules are in the filter, so that a call must not be done twice: without
 * WAIT_KILLABLE_RECV it can be. */
bool modules_acts(const struct plan *plan, const struct filter_builder *filter);

struct stat;

/* Whether a device may be opened where the namespaces aren't ours: those that give access to nothing, terminals, and what the policy names. */
bool modules_device_named(const struct plan *plan, const struct stat *st);

/* The number of a call by name (-1: none by this name), and back (NULL). */
int modules_syscall_number(const char *name);
const char *modules_syscall_name(int nr);
