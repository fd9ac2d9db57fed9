/*
 * A plan: a policy compiled for one sandbox on this machine. It says, for each rule, which mechanism enforces it, and it holds
 * the pure matchers that the broker asks. Immutable; made before anything is started, inherited by the worker through fork.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "policy.h"

/* What a grant gives. RIGHT_WRITE implies READ and APPEND, EXEC implies READ: the bits are set together. */
enum {
        RIGHT_READ = 1 << 0,
        RIGHT_APPEND = 1 << 1,
        RIGHT_WRITE = 1 << 2,
        RIGHT_EXEC = 1 << 3,
};

/* ---- The view: the sandbox's file system, as objects in the order in which they are made (parents first). ---- */

enum node_kind {
        NODE_DIR,  /* an empty directory, there because something below it is visible */
        NODE_LINK, /* a symbolic link with the text `text` */
        NODE_BIND, /* the host's object at `source` (no symlink in it), mounted with `rights` */
        NODE_TMPFS, /* private: an empty tmpfs of at most `size` bytes, mode 1777 for the usual places, else 0755; noexec unless RIGHT_EXEC */
        NODE_FILE, /* replace: a read-only file that holds text[0..text_size); NULL in a plan that was saved */
        NODE_MASK, /* deny: an empty object of mode 0, directory or file as `directory` says, over what a bind shows there */
        NODE_PROC, /* a procfs of the sandbox's pid namespace, its dangerous parts read-only or masked */
        NODE_DEV,  /* the minimal /dev: the nodes that policy->devices names, pts, ptmx, shm, fd, stdin, stdout, stderr */
        NODE_OVERLAY, /* overlay: the host's directory at `source`, with a layer above it that takes what is changed; `rights` as for NODE_BIND */
};

struct node {
        enum node_kind kind;
        char *path;      /* inside, absolute, no symlink in it but as the last component of NODE_LINK */
        char *source;    /* NODE_BIND, NODE_OVERLAY: on the host (below the request's root where one is given) */
        bool directory;  /* NODE_BIND, NODE_MASK: the object is a directory */
        bool stays_out;  /* NODE_MASK: because of the built-in list (~/.ssh, …), not of a rule */
        unsigned rights; /* RIGHT_* */
        uint64_t size;
        char *text;
        size_t text_size;
        const struct file_rule *rule; /* NULL for what is built in */
};

/* ---- The matcher ---- */

enum match_state {
        MATCH_HIDDEN,   /* the name does not exist */
        MATCH_DENIED,   /* stat and listing work, everything else is EACCES */
        MATCH_ANCESTOR, /* a directory above something visible: exists, can be searched, listed and looked at */
        MATCH_GRANTED,  /* `rights` say what may be done */
};

struct match {
        enum match_state state;
        unsigned rights;            /* MATCH_GRANTED: RIGHT_*, 0: it can be looked at; MATCH_ANCESTOR: RIGHT_READ where it can be listed */
        enum match_state otherwise; /* MATCH_ANCESTOR: what an object there is that is no directory: HIDDEN or DENIED */
        bool directories;           /* MATCH_DENIED: only a directory is, anything else there is hidden */
        bool own;                   /* on a private tmpfs or another file system that only this sandbox has */
        const struct file_rule *rule; /* the rule that decided, or NULL: the default, or what is built in */
};

/* What a match comes to for an object: only a directory can be above something. */
static inline struct match match_object(struct match match, bool directory) {
        if (match.state == MATCH_ANCESTOR && !directory)
                match.state = match.otherwise;
        if (match.state == MATCH_DENIED && match.directories && !directory)
                match.state = MATCH_HIDDEN;
        return match;
}

/* Whether a directory can be listed, or what it is be read. */
static inline bool match_reads(struct match match) {
        return (match.state == MATCH_ANCESTOR || match.state == MATCH_GRANTED) && (match.rights & RIGHT_READ);
}

/* Whether what lies in this directory, and is granted by no rule of its own, is closed: as below a denied directory that is only passed through. */
static inline bool match_closes(struct match match) {
        return match.state == MATCH_DENIED || (match.state == MATCH_ANCESTOR && match.rule && match.rule->kind == FILE_DENY);
}

enum net_use { NET_CONNECT, NET_BIND };
enum net_protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_OTHER };

struct net_match {
        bool allowed;
        const struct net_rule *rule; /* the rule that decided, or NULL: no rule, or what is built in (`why` says) */
        const char *why;             /* static text for people: "no rule names it", "metadata address", … */
};

/* A condition of `rules: when:`. */
struct plan_condition {
        dev_t dev; /* of the program */
        ino_t ino;
};

struct matcher; /* compiled patterns; private to lib/policy */

/* Whose namespaces the sandbox's are. */
enum plan_setting {
        PLAN_OWN, /* made by our launcher for this sandbox */
        PLAN_IN_PLACE, /* a service's, as its unit has them: the process that starts it becomes it, and can only bind itself (Landlock, rlimits) */
        PLAN_CONTAINER, /* a foreign OCI runtime's */
};

/* What of procfs must not be written even where its mode allows it, and what tells of the host's kernel, memory, keys, or other people's work: names
 * below /proc, each list ended by NULL. */
extern const char *const plan_proc_read_only[], *const plan_proc_masked[];

/* Whether the sandbox's namespaces are somebody else's: nothing is mounted for it but what that one agrees to (plan_request.mounts). */
static inline bool setting_is_foreign(enum plan_setting setting) {
        return setting != PLAN_OWN;
}

struct plan {
        const struct policy *policy;
        const struct plan *floor; /* PLAN_CONTAINER: another policy that holds as well, what both allow is allowed; NULL: none */
        enum plan_setting setting;
        char *root; /* --rootfs: the host folder from which the view is taken; NULL: the host's own tree, or not PLAN_OWN */
        struct node *nodes;
        size_t n_nodes;
        struct matcher *matcher;
        /* Every path call goes to the broker, which alone holds: the root is the host's whole tree, read-write, and the view has only what makes
         * content of its own. */
        bool files_brokered;
        const char *brokered_why; /* static text: what mounts can't enforce; NULL: nothing, or `enforce: broker` asks for it */
        struct place brokered_at; /* the rule's */
        bool starting; /* PLAN_CONTAINER: the process that has loaded the filter is its runtime's until it executes the container's program */
        struct plan_condition *conditions; /* beside policy->whens */
        size_t n_conditions;
        uint16_t *low_ports; /* ports below 1024 that a bind rule names, for the owner's CAP_NET_BIND_SERVICE */
        size_t n_low_ports;
};

struct plan_request {
        enum plan_setting setting;
        const char *
                root; /* as plan.root; not PLAN_OWN: the path of the sandbox's root (/proc/PID/root, /proc/self/fd/N), whose links lead nowhere but
                           * below it; NULL: the host's */
        const char *home; /* for the built-in list of what stays out; NULL: none */
        uid_t uid;
        gid_t gid;
        /* --overlay, --dry-run: every directory of the host that could be changed inside becomes a NODE_OVERLAY, and a file that could is an error. */
        bool overlay_writes;
        /* PLAN_CONTAINER: its runtime is ours, so that mounts hold the rules for files where they hold them exactly: then the plan isn't `files_brokered`,
         * and its nodes are the places whose mounts have to be as their rights say (NODE_BIND), or cover what is there (NODE_MASK). `mounted` are
         * the container's mount points (resolved), where something is though nothing may be found there yet. */
        bool mounts;
        const char *const *mounted;
        size_t n_mounted;
};

/* Compiles a policy for one setting (where that is not PLAN_OWN: what only a launcher of ours could do is an error, and what belongs to whoever made
 * the namespaces is left to him; sandboxd.policy(5) has the list): resolves rule paths against the host (or the root) once, orders the view, compiles the matchers. The policy must
 * outlive the plan. Returns 0, or -EINVAL with errors in the report: a rule that no mechanism here can enforce is an error, never
 * dropped. Missing paths of read, append and exec rules are left out without a word; a missing path of a write, bind or replace rule
 * that isn't below a private place is an error. */
int plan_compile(const struct policy *policy, const struct plan_request *request, struct plan **ret, struct policy_report *report);
struct plan *plan_free(struct plan *plan);

/* Has the rules of another plan for the same container hold as well, which has to outlive this one. Whoever asks a matcher below gets what both allow.
 * -EINVAL, with errors in the report: the floor's policy puts something into
 * the container, or says what the kernel is like, which can't be the stricter of two; or both have too many conditions. */
int plan_add_floor(struct plan *plan, const struct plan *floor, struct policy_report *report);

/* How many conditions there are, with the floor's; those come after the plan's own. */
static inline size_t plan_conditions(const struct plan *plan) {
        return plan->n_conditions + (plan->floor ? plan->floor->n_conditions : 0);
}
const struct plan_condition *plan_condition_at(const struct plan *plan, size_t i);

/* What is said by both: the more is recorded, the shorter time (0: no limit), and the end where either wants it. */
enum audit_record plan_audit(const struct plan *plan);
uint64_t plan_time_usec(const struct plan *plan);
bool plan_kills_on_broker_loss(const struct plan *plan);

/* Of two matches for one path: what both allow. */
struct match match_both(struct match a, struct match b);

#define PLAN_SAVED_MAX (4U << 20)

struct strbuf;

/* Adds the plan and its policy as one text, for a process that will answer for the same sandbox later: by then the host may be another, since
 * what the sandbox may write it may also replace. Returns 0; -E2BIG where the text couldn't be loaded again (more than PLAN_SAVED_MAX bytes,
 * 65,536 entries of a kind, or 256 names in a path); -ENOMEM. */
int plan_save(const struct plan *plan, struct strbuf *out);

/* The policy and the plan that a text holds, without a look at the host. They are what was saved, but for the contents of NODE_FILE: the view is
 * made by then. Whatever the text is: 0, or -EINVAL with an error in the report, or -ENOMEM. */
int plan_load_saved(const char *text, size_t size, struct policy **ret_policy, struct plan **ret, struct policy_report *report);

/* The same from a file, which others may be reading: its position is neither used nor moved. -E2BIG. */
int plan_load_fd(int fd, struct policy **ret_policy, struct plan **ret, struct policy_report *report);

/* What would have to change, for the new plan to take the place of the old one, that only a new start can change: adds a line for each to `out`
 * ("PLACE: what would change", escaped) and returns how many there are; -ENOMEM. Filters are not compared. Plans that were saved and loaded. */
int plan_compare(const struct plan *old, const struct plan *new, struct strbuf *out);

static inline void plan_freep(struct plan **plan) {
        plan_free(*plan);
}

/* What the rules say of an absolute, resolved path (no symlinks, `.`, `..`, doubled or trailing slashes in it) as the sandbox sees
 * it. Pure and thread-safe: no system calls, no allocation. */
struct match plan_match(const struct plan *plan, const char *path);

/* The same for a caller for whom some conditions hold (bit i: plan_condition_at(plan, i)): what their rules take away is taken away. */
struct match plan_match_when(const struct plan *plan, uint64_t active, const char *path);

/* Whether a directory may be renamed from one path to the other, as far as what lies below it is concerned: no name there would get more rights than
 * it has, and none that is hidden or denied would show, not even to one program. Pure, as plan_match. */
bool plan_same_below(const struct plan *plan, const char *from, const char *to);

/* Whether everything may be executed, by every caller. */
bool plan_exec_everywhere(const struct plan *plan);

/* Whether what may be executed is whole directories and single files, with nothing below a directory taken away again: what Landlock can say. */
bool plan_exec_by_directory(const struct plan *plan);

/* Decides on an address (any family; `size` as the caller gave it, at most sizeof(struct sockaddr_storage)). For AF_UNIX path addresses
 * `resolved` is the resolved path inside, and `own` says that the socket lies on a file system of the sandbox's own. Pure. */
struct net_match plan_match_address(const struct plan *plan, enum net_use use, enum net_protocol protocol, const struct sockaddr *address,
                                    socklen_t size, const char *resolved, bool own);

/* The same without the floor. */
struct net_match plan_match_address_alone(const struct plan *plan, enum net_use use, enum net_protocol protocol,
                                          const struct sockaddr *address, socklen_t size, const char *resolved, bool own);

/* The address as rules write it ("tcp:10.0.0.1:80", "unix:/run/x", "unix:@name"), escaped; for records and explanations. */
const char *net_format(enum net_protocol protocol, const struct sockaddr *address, socklen_t size, char *buffer, size_t room);
