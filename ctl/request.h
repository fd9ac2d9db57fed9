/*
 * Who asks for a policy: the user that runs sandboxctl, and the folders where that user's policies are looked up.
 */
#pragma once

#include "policy.h"

/* Fills everything of `r` but the policy, the flags and the sandbox's name. `cwd` is borrowed (NULL: not known); what is filled in lives until
 * request_done. 0, or -ENOMEM (errno is set as well). */
int request_init(struct policy_request *r, const char *cwd);
void request_done(struct policy_request *r);
