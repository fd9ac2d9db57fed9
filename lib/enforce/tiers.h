/*
 * What enforces a plan, section by section, in words: for `sandboxctl status`.
 */
#pragma once

#include <stdbool.h>

#include "plan.h"
#include "str.h"

/* Adds one line for each section that has anything to enforce: its name, a tab, the mechanisms (", " between them), a tab, and a word on them
 * (may be empty). cgroup: the sandbox has a control group of its own for its limits. */
void tiers_describe(const struct plan *plan, bool cgroup, struct strbuf *out);
