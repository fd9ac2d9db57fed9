/*
 * Services of systemd behind the broker, in place: `sandboxctl service` writes a drop-in, through which systemd starts `sandboxctl service-exec`,
 * which loads the filter, hands the listener to sandboxd and becomes the service (in_place.h).
 *
 *   service.c         the verb: wrap, unwrap
 *   service_status.c  … and status
 *   service_exec.c    what systemd starts
 *   service_policy.c  its policy
 *   drop_in.c         the drop-in's text
 *   obstacles.c       what in a unit stands against it
 *   unit.c            a unit as systemd and its files have it; unit_exec.c its Exec lines
 */
#pragma once

#include <stdbool.h>

#include "filter.h"
#include "plan.h"
#include "unit.h"

#define SERVICE_POLICY "service" /* where none is named */

/* How a process of the unit gets to load a filter, for which it needs CAP_SYS_ADMIN or no_new_privs. */
enum unit_way {
        UNIT_ROOT,    /* it is root, and has the capability, or the drop-in adds it and service-exec drops it */
        UNIT_BOUND,   /* it has no_new_privs, whoever it is */
        UNIT_BECOMES, /* it is started as root by the prefix `!`, and service-exec becomes the unit's user */
};
enum unit_way unit_way(const struct unit *unit);

/* ---- obstacles.c ---- */

struct obstacle {
        const char *key;              /* of the line */
        const struct unit_line *line; /* NULL: it stands in no file, but follows from another */
        char *why;                    /* what it keeps from what */
        char *relax;                  /* lines for [Service] that override it; NULL: nothing does */
};

/* `policy`: the file of the policy, which has to be seen by the service. */
int unit_obstacles(const struct unit *unit, const char *policy, struct obstacle **ret, size_t *ret_n);
void obstacles_free(struct obstacle *list, size_t n);

/* ---- drop_in.c ---- */

#define DROP_IN_MARK "# sandboxd: policy="

/* The whole text; `relax` are further lines, or NULL. The caller frees it. */
int drop_in_make(const struct unit *unit, const char *policy, const char *program, const char *relax, char **ret);
/* The policy that a drop-in names; the caller frees it. NULL: it isn't ours. */
char *drop_in_policy(const char *text);
/* Whether its lines are those that the unit's files have now. */
int drop_in_is_current(const struct unit *unit, const char *text);

/* The names of a unit's sandboxes are made from its own: lower case, other characters become `_`. `what` is NULL for the main process's. */
#define SERVICE_NAME_SIZE 64
void service_sandbox_name(const char *unit, const char *what, unsigned number, char ret[SERVICE_NAME_SIZE]);

/* ---- service_policy.c ---- */

struct claim;
struct service_policy {
        struct policy_request request;
        struct policy *policy;
        struct plan *plan;
        struct filter filter;
        struct claim *claims;
        size_t n_claims;
};

/* Loads and compiles it; prints errors. `p` is zeroed, and to be cleared in any case. */
int service_policy_load(struct service_policy *p, const char *policy, const char *name, uid_t uid, gid_t gid);
/* The file of a policy; the caller frees it. -ENOENT: there is none of this name. */
int service_policy_file(const char *policy, char **ret);
void service_policy_done(struct service_policy *p);

/* ---- service.c, service_status.c ---- */

void service_help(void);
int service_status(int argc, char **argv);
