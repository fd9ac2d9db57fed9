/*
 * A policy: what the YAML says, after `extends`, variables, --set and the command line's own rules. Immutable once loaded.
 *
 * The language is described in sandboxd.policy(5). Everything here is in terms of the language; how a rule is enforced is the
 * plan's matter (plan.h).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cleanup.h"

/* Where in a policy something stands. `file` is the path of the file, "--set", or the option ("--read"); the policy (or the
 * report) owns the text. line 0: no line is known. */
struct place {
        const char *file;
        unsigned line, column;
};

/* ---- Errors and warnings, each with its place. ---- */

struct policy_message {
        struct place place;
        bool warning;
        char *text;     /* what is wrong and how to mend it, escaped for terminals, without a newline */
        char *source;   /* the line of the file, escaped, or NULL */
        unsigned caret; /* the column in `source` to point at, from 1; 0: none */
};

struct policy_report {
        struct policy_message *messages;
        size_t n;
        size_t n_errors;
        char **files; /* names that the places point to */
        char **texts; /* beside each its content, where it was read: for the source lines; else NULL */
        size_t n_files;
};

void policy_report_done(struct policy_report *report);
/* Adds an error (or a warning) at a place. The place's file name is copied. */
void policy_report_add(struct policy_report *report, bool warning, struct place place, const char *format, ...) _printf_(4, 5);
/* Forgets all but the first n messages. */
void policy_report_cut(struct policy_report *report, size_t n);
/* Keeps the content of a file, so that messages about it show the line. */
void policy_report_keep(struct policy_report *report, const char *file, const char *text, size_t size);
/* Writes all messages, as "file:line:column: error: text", with the source line and a caret below it. */
void policy_report_print(const struct policy_report *report, FILE *out);

/* ---- files ---- */

enum file_kind { FILE_READ, FILE_APPEND, FILE_WRITE, FILE_EXEC, FILE_DENY, FILE_HIDE, FILE_PRIVATE, FILE_OVERLAY, FILE_REPLACE, FILE_BIND };

const char *file_kind_name(enum file_kind kind); /* "read", "append", … as in the YAML */

struct file_rule {
        struct place place;
        enum file_kind kind;
        char *pattern; /* normalised, absolute, in glob syntax: what came from a variable is escaped by `\` */
        char *path;    /* the unescaped path where the pattern is literal, else NULL */
        char *from;    /* FILE_BIND, FILE_REPLACE by a file: the host's path, absolute; else NULL */
        char *content; /* FILE_REPLACE by content, else NULL */
        size_t content_size;
        bool write;    /* FILE_BIND: read-write */
        uint64_t size; /* FILE_PRIVATE: bound of the tmpfs in bytes; 0: the default */
};

enum files_default { FILES_HIDE, FILES_DENY, FILES_READ };

struct policy_files {
        enum files_default unnamed;
        bool enforce_broker;
        struct file_rule *rules;
        size_t n_rules;
};

/* ---- rules: when ---- */

#define CONDITIONS_MAX 64

/* What is taken away from callers that run a program. */
struct policy_when {
        struct place place;      /* of `exe` */
        char *exe;               /* the program's path, as the sandbox sees it */
        char *pattern;           /* the same, escaped */
        struct file_rule *rules; /* FILE_HIDE and FILE_DENY */
        size_t n_rules;
};

/* ---- network ---- */

enum network_mode { NETWORK_NONE, NETWORK_HOST };
enum net_kind { NET_ANY, NET_TCP, NET_UDP, NET_UNIX };

struct port_range {
        uint16_t first, last; /* host byte order */
};

struct net_rule {
        struct place place;
        char *text; /* as written, for explanations and records */
        enum net_kind kind;
        int family;              /* TCP, UDP: AF_INET, AF_INET6, or AF_UNSPEC for the host `*` */
        struct in6_addr address; /* IPv4 in the first four bytes */
        unsigned prefix;         /* bits that count */
        struct port_range *ports;
        size_t n_ports;
        char *path; /* UNIX: the path, or the abstract name without `@` */
        bool abstract;
};

struct net_rules {
        struct net_rule *rules;
        size_t n;
};

struct policy_network {
        enum network_mode mode;
        struct net_rules connect, bind, deny;
};

/* ---- raw system call rules ---- */

enum syscall_action { ACTION_ERRNO, ACTION_KILL, ACTION_LOG };

struct syscall_arg {
        unsigned index; /* 0 to 5 */
        uint64_t value;
        uint64_t mask; /* 0xffffffff unless the rule asks for 64 bits */
};

struct syscall_rule {
        struct place place;
        char **names; /* names of calls, or globs of them; checked against the table of calls by plan_compile's caller */
        size_t n_names;
        struct syscall_arg *args; /* all must match */
        size_t n_args;
        enum syscall_action action;
        int error;  /* ACTION_ERRNO: positive errno */
        char *text; /* the action as written */
};

struct policy_syscalls {
        bool deny_unnamed;          /* default: deny */
        struct syscall_rule *rules; /* in the order in which they are tried: the last layer's first */
        size_t n_rules;
};

/* ---- the rest ---- */

struct policy_environment {
        char **keep; /* names, or globs with `*` */
        size_t n_keep;
        char **set; /* "NAME=value" */
        size_t n_set;
};

/* NULL and 0: as the host has it. */
struct policy_kernel {
        char *sysname, *release, *version, *machine;
        char *hostname;
        unsigned cpus;
        uint64_t memory;
};

/* 0: no limit is asked for. */
struct policy_limits {
        uint64_t processes, open_files, file_size, memory, time_usec;
};

enum audit_record { AUDIT_DENIED, AUDIT_ALL, AUDIT_NONE };

struct policy {
        char *name; /* the name or file it was asked for by */
        char *description;
        struct policy_files files;
        struct policy_when *whens; /* at most CONDITIONS_MAX */
        size_t n_whens;
        struct policy_network network;
        struct policy_environment environment;
        struct policy_kernel kernel;
        struct policy_limits limits;
        struct policy_syscalls syscalls;
        char **devices; /* names below /dev */
        size_t n_devices;
        bool subordinate_ids; /* identity: { ids: subordinate } */
        enum audit_record audit;
        bool kill_on_broker_loss;
        char **sources; /* paths of all files read, which are never writable inside */
        size_t n_sources;
};

struct policy *policy_free(struct policy *policy);

static inline void policy_freep(struct policy **policy) {
        policy_free(*policy);
}

/* A rule or setting that the command line adds as the last layer. */
struct policy_flag {
        enum { FLAG_SET, FLAG_READ, FLAG_WRITE, FLAG_EXEC, FLAG_BIND, FLAG_NET, FLAG_TIME, FLAG_ENFORCE_BROKER } kind;
        const char *value; /* K=V, PATH, OUT:IN[:rw], none|host, TIME; paths made absolute by the caller; all literal */
};

/* Who asks, and for what. Nothing is taken from the process's own state, so that tests can ask as anybody. */
struct policy_request {
        const char *policy; /* a name, or a file's path with a `/` */
        const struct policy_flag *flags;
        size_t n_flags;
        const char *const *folders; /* where names are looked up, first wins: the user's, the system's, the shipped */
        size_t n_folders;
        bool trust_last; /* the last folder is the program's own: whoever can change it can change the program, so that owner and
                                       * mode of its files say nothing (a checkout that root, or another user, runs) */
        uid_t uid;
        gid_t gid;
        const char *user, *home, *cwd, *name;
        char *const *environment; /* for ${env.NAME} */
        bool inspect;             /* nothing will be run: ${cwd} may be /, or the home or above it, which else is refused */
        const char *resolv_conf;  /* where the host `resolvers` of network rules comes from; NULL: /etc/resolv.conf */
};

/* Whether a word can be the name of a policy: [a-z0-9][a-z0-9_.-]{0,62}, and no file's name. */
bool policy_name_valid(const char *name);

/* The names of the policies in the folders, sorted, each once; the caller frees the list (one block with its texts). `files` may be NULL; else
 * it gets, in the same way, the file of each. */
int policy_names(const char *const *folders, size_t n_folders, char ***ret_names, char ***ret_files, size_t *ret_n);

/* Loads and merges a policy. Returns 0 and a policy that the caller frees; or -EINVAL with all errors in the report (-ENOENT, when
 * the asked policy itself doesn't exist; the report says so as well). Warnings can be in the report in either case. */
int policy_load(const struct policy_request *request, struct policy **ret, struct policy_report *report);

/* Adds the merged policy as YAML text, each rule with a comment that says where it came from. */
struct strbuf;
void policy_show(const struct policy *policy, struct strbuf *out);

/* Adds what the policy says, whatever file and line says it, to a digest. Host `resolvers` count as such, whoever they are. -ENOMEM. */
struct digest;
int policy_digest(const struct policy *policy, struct digest *ret);
