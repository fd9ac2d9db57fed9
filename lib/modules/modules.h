/*
 * The modules: who answers which calls, and what the filter has to send to the broker for a plan. Nothing outside this folder
 * knows a system call by name.
 */
#pragma once

#include "call.h"
#include "filter.h"
#include "plan.h"

/* A module: one family of calls. One const object per file, one row in the table in modules.c. */
struct module {
        const char *name;
        const struct claim *claims; /* the calls it can answer; ends with a row whose name is NULL */
        /* Says which of its calls are to be notified under this plan, and with which arguments. May report that the policy can't be
         * enforced (-EINVAL with an error in the report). */
        int (*compile)(const struct plan *plan, struct filter_builder *filter, struct policy_report *report);
};

/* Compiles the filter of a plan, and the claims that go with it (the caller frees `*ret_claims`). Whatever the policy says, read, write,
 * close and exit_group are not notified: the launcher makes them between loading the filter and exec, when nobody answers yet. `ret_filter` may be
 * NULL: whoever answers needs the claims alone, and the filter takes most of the time. */
int modules_compile(const struct plan *plan, struct filter *ret_filter, struct claim **ret_claims, size_t *ret_n,
                    struct policy_report *report);

/* The number of a call by name (-1: none by this name), and back (NULL). */
int modules_syscall_number(const char *name);
const char *modules_syscall_name(int nr);
