#pragma once

#include "remote.h"
#include "sandboxes.h"

/* What a detached sandbox has written; `follows`: until it has ended; `json`: an object for each line. Prints its error. */
int logs_show(struct remote *r, const struct sandbox_info *info, bool follows, bool json);
