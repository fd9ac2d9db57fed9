/*
 * One received call, the verdict on it, and the claims by which modules say what they answer.
 *
 * The way of a call: the loop receives it into a slot (slots.h), finds the claim, and runs its handler with a struct call. The handler
 * reads what it needs from the caller (target.h, resolve.h), decides by the plan, acts as the caller, and returns a verdict.
 * Only the loop talks to the kernel's notification interface and replies; it replies exactly once, then writes the audit record.
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct worker;
struct slot;

enum verdict_kind { VERDICT_VALUE, VERDICT_ERROR, VERDICT_FD, VERDICT_PROCEED, VERDICT_KILL, VERDICT_GONE, VERDICT_RESTART };

/* Why a call may proceed in the kernel although another thread can change memory meanwhile. Every site that proceeds names one, and
 * sandboxd.policy(5) lists the sites. */
enum proceed_reason {
        PROCEED_REGISTERS, /* the decision used register arguments alone */
        PROCEED_BOUNDED,   /* a kernel-enforced layer below bounds what a racing thread could gain */
        PROCEED_HARMLESS,  /* the call gives nothing by itself, and every later use is decided again */
        PROCEED_CHECKED,   /* what came of it is checked before the caller runs on: exec_event_begin() */
};

/* PROCEED_CHECKED: the program that was decided on. */
struct exec_check {
        dev_t device;
        ino_t inode;
};

struct verdict {
        enum verdict_kind kind;
        bool denied;                /* the policy refused it (as against an error that the kernel would have given as well) */
        int64_t value;              /* VALUE */
        int error;                  /* ERROR: positive errno */
        int fd;                     /* FD: to be injected; owned by the verdict, closed by the loop */
        bool cloexec;               /* FD: set FD_CLOEXEC on it in the caller */
        enum proceed_reason reason; /* PROCEED */
        struct exec_check exec;     /* PROCEED_CHECKED */
};

static inline struct verdict verdict_value(int64_t value) {
        return (struct verdict) { .kind = VERDICT_VALUE, .value = value };
}
/* An error that the kernel itself would have given; `error` is positive or negative errno. */
static inline struct verdict verdict_error(int error) {
        return (struct verdict) { .kind = VERDICT_ERROR, .error = error < 0 ? -error : error };
}
/* A refusal by the policy. */
static inline struct verdict verdict_deny(int error) {
        return (struct verdict) { .kind = VERDICT_ERROR, .error = error < 0 ? -error : error, .denied = true };
}
static inline struct verdict verdict_fd(int fd, bool cloexec) {
        return (struct verdict) { .kind = VERDICT_FD, .fd = fd, .cloexec = cloexec };
}
static inline struct verdict verdict_proceed(enum proceed_reason reason) {
        return (struct verdict) { .kind = VERDICT_PROCEED, .reason = reason };
}
/* Only after exec_event_begin(). */
static inline struct verdict verdict_proceed_checked(struct exec_check exec) {
        return (struct verdict) { .kind = VERDICT_PROCEED, .reason = PROCEED_CHECKED, .exec = exec };
}
static inline struct verdict verdict_kill(void) {
        return (struct verdict) { .kind = VERDICT_KILL, .denied = true };
}
/* The caller is gone, or was interrupted before we had its call: nothing to answer. */
static inline struct verdict verdict_gone(void) {
        return (struct verdict) { .kind = VERDICT_GONE };
}
/* The caller has a signal to take: the call ends as the kernel would end it, by a restart or EINTR. The loop checks that the signal is really
 * pending before it sends this (else the caller would see errno 512). Only with WAIT_KILLABLE_RECV, and only where nothing was done. */
static inline struct verdict verdict_restart(void) {
        return (struct verdict) { .kind = VERDICT_RESTART };
}
/* From a negative errno of target_*, resolve or act functions: -ESRCH is GONE, -ERESTART is RESTART, else the error. */
static inline struct verdict verdict_from(int r) {
        return r == -ESRCH ? verdict_gone() : r == -ERESTART ? verdict_restart() : verdict_error(r);
}

struct call {
        struct worker *worker;
        const struct plan *plan;
        struct slot *slot;
        const struct seccomp_notif *notif; /* in the slot: id, pid (the caller's tid as the worker sees it), data.nr, data.args */
        const struct claim *claim;

        /* For the audit record; set by handlers, owned by the call's thread, valid until the record is written. */
        const char *subject;               /* a path or an address; NULL: none. Escaped when written, not here */
        const struct file_rule *file_rule; /* the rule that decided, whichever applies */
        const struct net_rule *net_rule;
        const struct syscall_rule *syscall_rule;
        const char *why;    /* static text where no rule decided: "no rule names it" */
        const char *remedy; /* static name of the right that would allow it: "read", "write", "append", "exec", "connect", "bind" */

        /* Scratch space of the thread, for paths read from the caller; free for the handler's use. */
        char *path;  /* PATH_MAX + 1 bytes */
        char *path2; /* PATH_MAX + 1 bytes */
        char *path3; /* PATH_MAX + 1 bytes */
};

#define CALL_ARG(call, i) ((call)->notif->data.args[i])
#define CALL_INT(call, i) ((int) (call)->notif->data.args[i]) /* as the kernel takes `int` arguments */

typedef struct verdict (*call_handler)(struct call *call);

/* A row of a module's table: who answers a call. */
struct claim {
        int nr;
        const char *name;
        call_handler handle;
        bool executes; /* it runs another program, where it goes on */
};
