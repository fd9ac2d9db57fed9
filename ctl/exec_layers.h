/*
 * What --overlay and --dry-run mean for a run.
 */
#pragma once

#include "layers.h"
#include "options.h"
#include "plan.h"

/* Before the start: opens the folder of --overlay keep=DIR, and refuses what can't be. Says what is wrong; negative errno. */
int exec_layers_prepare(const struct exec_options *options, const struct plan *plan, struct layers *ret);
/* At the end: says what has been changed (--dry-run). `directory` has the layers, see launched; -1: there are none. */
int exec_layers_show(const struct exec_options *options, const struct plan *plan, int directory);
