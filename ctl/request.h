/*
 * Who asks for a policy: the user that runs sandboxctl, and the folders where that user's policies are looked up.
 */
#pragma once

#include "policy.h"

/* Fills everything of `r` but the policy, the flags, the current directory and the sandbox's name. What is filled in lives until request_done.
 * The folders are those that sandboxd.yaml names (settings.h). 0, -ENOMEM, or -EINVAL where such a file is wrong: that has been printed then. */
int request_init(struct policy_request *r);
/* The same for a service of the system: policies of the system's and the shipped folder, no user and no home. */
int request_init_system(struct policy_request *r);
void request_done(struct policy_request *r);
