/*
 * Seccomp profiles of the OCI runtime specification (linux.seccomp in a container's config.json): reading them, writing a sandbox's filter as one,
 * and merging both, so that each call gets the stricter answer of the two.
 *
 * One profile becomes one program, made by the runtime with libseccomp. It has one default, which here is ENOSYS (what the table of calls doesn't
 * know, and what libseccomp has no name for); everything else is said by rules that don't overlap with another action.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "filter.h"

struct oci_arg {
        unsigned index;
        int op; /* enum scmp_compare */
        uint64_t value, value_two;
};

/* All of its comparisons hold. They are of different arguments: a list of a profile with two comparisons of one argument means that one of all holds
 * (so both runc and crun), and becomes a rule for each. */
struct oci_rule {
        int nr;
        uint32_t action; /* SECCOMP_RET_*, with the errno */
        size_t n_args;
        struct oci_arg args[6];
};

struct oci_profile {
        uint32_t default_action;
        struct oci_rule *rules;
        size_t n, room;
};

/* Reads a profile; calls that libseccomp has no name for are left out, as the runtimes do. A rule that sends calls to an agent is an error: a program
 * has one listener. -EINVAL: `*ret_why`, a text that the caller frees, says what is wrong. */
int oci_profile_read(struct json_object *json, struct oci_profile *ret, char **ret_why);
int oci_profile_add(struct oci_profile *p, const struct oci_rule *rule);
void oci_profile_done(struct oci_profile *p);

/* The answer to one call: that of the strictest rule that matches, else the default. */
uint32_t oci_profile_answer(const struct oci_profile *p, int nr, const uint64_t args[6]);
/* The answer of a filter that has been collected, as its two programs give it. */
uint32_t oci_filter_answer(const struct filter_builder *b, int nr, const uint64_t args[6]);
/* Which of two answers the kernel takes: the stricter; the first of two equals. */
uint32_t oci_stricter(uint32_t a, uint32_t b);

/* Makes the profile that answers each call as the stricter of the filter and of `theirs` (NULL: there is no other profile) does. Where that can't be
 * said in few rules, it is stricter still: the broker is asked about calls that both would let pass, or the errno is ENOSYS. What was made is built
 * as the runtimes do, and run; -EBADMSG: it says less than it should. -E2BIG: more than the kernel's 4,096 instructions. */
int oci_profile_merge(const struct filter_builder *b, const struct oci_profile *theirs, struct oci_profile *ret);

/* The program that a runtime makes of a profile. */
int oci_profile_build(const struct oci_profile *p, struct sock_fprog *ret);
/* The version of what makes it: another one may make another program. */
#define OCI_MAKER 40
void oci_profile_maker(char ret[OCI_MAKER]);

/* The profile as JSON, without its listener. `wait_killable`: the runtime knows SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV. `theirs` is the profile whose
 * other members (flags) are kept, or NULL. The caller puts it (json_object_put); NULL: out of memory. */
struct json_object *oci_profile_write(const struct oci_profile *p, bool wait_killable, struct json_object *theirs);
/* Where notified calls go, and what the agent is told. */
void oci_profile_listen(struct json_object *profile, const char *path, const char *metadata);
