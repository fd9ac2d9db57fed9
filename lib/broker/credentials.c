/*
 * Whose file system ids, groups and effective capabilities a thread has, and what /proc says of a task's.
 *
 * All of these are per thread in the kernel, and only glibc's wrappers spread them over the process: hence the raw calls.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"

/* ---- /proc/TID/status ---- */

/* The text after "\nNAME:", or NULL. */
static const char *field(const char *text, const char *name) {
        size_t n = strlen(name);

        for (const char *p = text; (p = strchr(p, '\n')); p++)
                if (strncmp(p + 1, name, n) == 0 && p[1 + n] == ':')
                        return p + 2 + n;
        return NULL;
}

static uint64_t number(const char *text, const char *name, int base, bool *failed) {
        const char *p = field(text, name);

        if (!p) {
                *failed = true;
                return 0;
        }
        return strtoull(p, NULL, base);
}

/* One of the numbers of Uid: and Gid:, which are the real, the effective, the saved and the file system's id. */
enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FILE_SYSTEM };

static uint32_t id_of(const char *text, const char *name, int which, bool *failed) {
        const char *p = field(text, name);
        uint64_t value = 0;
        char *end;

        if (!p) {
                *failed = true;
                return 0;
        }
        for (int i = 0; i <= which; i++, p = end)
                value = strtoull(p, &end, 10);
        return value;
}

/* The last number of a line: NSpid and NStgid name the outermost namespace first. */
static pid_t last_number(const char *text, const char *name) {
        const char *p = field(text, name);
        pid_t value = 0;

        while (p && (*p == '\t' || *p == ' ' || isdigit((unsigned char) *p))) {
                char *end;
                long n = strtol(p, &end, 10);
                if (end == p)
                        break;
                value = n;
                p = end;
        }
        return value;
}

static void read_groups(const char *text, struct credentials *c, bool *failed) {
        const char *p = field(text, "Groups");

        c->n_groups = 0;
        if (!p) {
                *failed = true;
                return;
        }
        for (;;) {
                p += strspn(p, " \t");
                if (!isdigit((unsigned char) *p))
                        return;
                char *end;
                unsigned long group = strtoul(p, &end, 10);
                p = end;
                if (c->n_groups == GROUPS_MAX) {
                        /* With fewer groups than the caller has, somebody could be refused what is his; never granted what isn't. */
                        return;
                }
                c->groups[c->n_groups++] = group;
        }
}

static int parse_status(const char *text, struct task_status *s) {
        bool failed = false;

        *s = (struct task_status) {
                .credentials.fsuid = id_of(text, "Uid", ID_FILE_SYSTEM, &failed),
                .credentials.fsgid = id_of(text, "Gid", ID_FILE_SYSTEM, &failed),
                .uid = id_of(text, "Uid", ID_REAL, &failed),
                .euid = id_of(text, "Uid", ID_EFFECTIVE, &failed),
                .suid = id_of(text, "Uid", ID_SAVED, &failed),
                .gid = id_of(text, "Gid", ID_REAL, &failed),
                .egid = id_of(text, "Gid", ID_EFFECTIVE, &failed),
                .sgid = id_of(text, "Gid", ID_SAVED, &failed),
                .credentials.effective = number(text, "CapEff", 16, &failed),
                .permitted = number(text, "CapPrm", 16, &failed),
                .umask = number(text, "Umask", 8, &failed),
                .no_new_privs = number(text, "NoNewPrivs", 10, &failed),
                .traced = number(text, "TracerPid", 10, &failed) != 0,
                .threads = number(text, "Threads", 10, &failed),
                .tgid = number(text, "Tgid", 10, &failed),
                .tgid_inside = last_number(text, "NStgid"),
                .tid_inside = last_number(text, "NSpid"),
                .pending = number(text, "SigPnd", 16, &failed),
                .pending_shared = number(text, "ShdPnd", 16, &failed),
                .blocked = number(text, "SigBlk", 16, &failed),
        };
        read_groups(text, &s->credentials, &failed);
        /* A task that is just ending has no umask in its status any more. */
        return failed || s->tgid_inside <= 0 || s->tid_inside <= 0 ? -ESRCH : 0;
}

int task_status_read(struct worker *worker, pid_t tid, struct task_status *ret) {
        char path[32], text[4096 + GROUPS_MAX * 12];

        snprintf(path, sizeof(path), "%d/status", tid);
        _cleanup_close_ int fd = openat(worker->proc, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
        if (n < 0)
                return n;
        text[n] = 0;
        return parse_status(text, ret);
}

/* ---- the thread's own ---- */

int credentials_own(struct credentials *ret) {
        struct credentials c = {};
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {};

        c.fsuid = syscall(SYS_setfsuid, -1);
        c.fsgid = syscall(SYS_setfsgid, -1);
        int n = syscall(SYS_getgroups, GROUPS_MAX, c.groups);
        /* More than fit: they differ from whatever the caller has. */
        c.n_groups = n < 0 ? SIZE_MAX : (size_t) n;
        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        c.effective = data[0].effective | (uint64_t) data[1].effective << 32;
        *ret = c;
        return 0;
}

static bool same_groups(const struct credentials *a, const struct credentials *b) {
        return a->n_groups == b->n_groups && memcmp(a->groups, b->groups, a->n_groups * sizeof(gid_t)) == 0;
}

static bool same(const struct credentials *a, const struct credentials *b) {
        return a->fsuid == b->fsuid && a->fsgid == b->fsgid && a->effective == b->effective && same_groups(a, b);
}

static int take_ids(const struct credentials *from, const struct credentials *to) {
        /* setfsuid and setfsgid tell no error: an id without a mapping is ignored in silence, hence the reading back. */
        if (to->fsgid != from->fsgid) {
                syscall(SYS_setfsgid, to->fsgid);
                if ((gid_t) syscall(SYS_setfsgid, -1) != to->fsgid)
                        return -EPERM;
        }
        if (!same_groups(from, to) && syscall(SYS_setgroups, to->n_groups, to->groups) < 0)
                return -errno;
        if (to->fsuid != from->fsuid) {
                syscall(SYS_setfsuid, to->fsuid);
                if ((uid_t) syscall(SYS_setfsuid, -1) != to->fsuid)
                        return -EPERM;
        }
        return 0;
}

int credentials_take(struct receiver *r, const struct credentials *to) {
        int e;

        if (same(&r->credentials, to))
                return 0;
        /* Raised first, for the ids; and set anew after them, since the change of fsuid from or to 0 changes what is effective. */
        if (r->credentials.fsuid != to->fsuid || r->credentials.fsgid != to->fsgid || !same_groups(&r->credentials, to)) {
                e = confine_effective(confine_get_permitted());
                if (e < 0)
                        return e;
                e = take_ids(&r->credentials, to);
                if (e < 0) {
                        /* Some ids may be the new ones: what the thread has now is unknown, and nothing may be done with it. */
                        r->credentials.fsuid = r->credentials.fsgid = -1;
                        r->credentials.n_groups = SIZE_MAX;
                        (void) confine_effective(0);
                        return e;
                }
        }
        e = confine_effective(to->effective & confine_get_permitted());
        if (e < 0)
                return e;
        r->credentials = *to;
        return 0;
}

int credentials_follow(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct task_status status;

        if (r->worker->root.constant)
                return credentials_take(r, &r->worker->root.credentials);
        int e = target_status(call, &status);
        return e < 0 ? e : credentials_take(r, &status.credentials);
}

/* What it takes to speak for another process, and nothing that a send or a connection asks for besides. */
#define SPEAKING (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID)

/* What the thread has effective while it isn't raised. */
static uint64_t rights_now(const struct receiver *r) {
        return (r->credentials.effective | (r->speaks == SPEAKS_NOT ? 0 : SPEAKING)) & confine_get_permitted();
}

bool rights_raise(struct receiver *r) {
        uint64_t permitted = confine_get_permitted();

        return (permitted & ~rights_now(r)) && confine_effective(permitted) >= 0;
}

void rights_lower(struct receiver *r) {
        /* What can't be lowered must not go on: everything after it would be done with rights that the caller doesn't have. */
        if (confine_effective(rights_now(r)) < 0)
                abort();
}

/* ---- acting ---- */

int target_act(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct task_status status;
        int e = target_status(call, &status);

        if (e < 0)
                return e;
        e = credentials_take(r, r->worker->root.constant ? &r->worker->root.credentials : &status.credentials);
        if (e < 0)
                return e;
        if (r->umask != status.umask) {
                umask(status.umask);
                r->umask = status.umask;
        }
        return 0;
}

int target_act_ids(struct call *call) {
        return credentials_follow(call);
}

int target_act_real_ids(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct task_status status;

        if (r->worker->root.constant)
                return credentials_follow(call);
        int e = target_status(call, &status);
        if (e < 0)
                return e;
        /* access_override_creds() of the kernel, for a task that hasn't set SECBIT_NO_SETUID_FIXUP, which nobody else can see. */
        status.credentials.fsuid = status.uid;
        status.credentials.fsgid = status.gid;
        status.credentials.effective = status.uid == 0 ? status.permitted : 0;
        return credentials_take(r, &status.credentials);
}

/* ---- the other end of a socket ---- */

int target_act_peer(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct task_status status;
        int e = target_act(call);

        if (e < 0 || !setting_is_foreign(call->plan->setting))
                return e;
        e = target_status(call, &status);
        if (e < 0)
                return e;
        if (status.euid == geteuid() && status.egid == getegid()) {
                r->speaks = SPEAKS_WITH_RIGHTS;
                return confine_effective(rights_now(r));
        }
        e = confine_effective(confine_get_permitted());
        if (e < 0)
                return e;
        r->speaks = SPEAKS_AS_CALLER;
        r->gid = getegid();
        r->uid = geteuid();
        if (syscall(SYS_setresgid, -1, status.egid, -1) < 0 || syscall(SYS_setresuid, -1, status.euid, -1) < 0)
                e = -errno;
        /* The ids of the file system have followed. */
        syscall(SYS_setfsgid, r->credentials.fsgid);
        syscall(SYS_setfsuid, r->credentials.fsuid);
        if (e >= 0 &&
            ((gid_t) syscall(SYS_setfsgid, -1) != r->credentials.fsgid || (uid_t) syscall(SYS_setfsuid, -1) != r->credentials.fsuid))
                e = -EPERM;
        if (e >= 0)
                e = confine_effective(rights_now(r));
        if (e < 0)
                target_act_done(call);
        return e;
}

/* The process's own effective ids again. */
static void stop_speaking(struct receiver *r) {
        /* From one of one's own ids to another it takes no right; what can't be undone must not go on. */
        if (syscall(SYS_setresuid, -1, r->uid, -1) < 0 || confine_effective(confine_get_permitted()) < 0 ||
            syscall(SYS_setresgid, -1, r->gid, -1) < 0 || credentials_own(&r->credentials) < 0)
                abort();
}

static bool is_one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c) {
        return id == a || id == b || id == c;
}

int target_sender(struct call *call, struct ucred *credentials, bool given) {
        struct task_status s;

        /* The numbers of processes are those of the initial user namespace's, for which the right has to be had. */
        if (!setting_is_foreign(call->plan->setting) || !call->worker->speaks_for_others)
                return -EOPNOTSUPP;
        int e = target_status(call, &s);
        if (e < 0)
                return e;
        if (!given) {
                *credentials = (struct ucred) { .pid = s.tgid, .uid = s.uid, .gid = s.gid };
                return 0;
        }
        bool same_numbers = s.tgid == s.tgid_inside;
        if (credentials->pid != s.tgid_inside && !(same_numbers && (s.credentials.effective & UINT64_C(1) << CAP_SYS_ADMIN)))
                return -EPERM;
        if (!is_one_of(credentials->uid, s.uid, s.euid, s.suid) && !(s.credentials.effective & UINT64_C(1) << CAP_SETUID))
                return -EPERM;
        if (!is_one_of(credentials->gid, s.gid, s.egid, s.sgid) && !(s.credentials.effective & UINT64_C(1) << CAP_SETGID))
                return -EPERM;
        if (credentials->pid == s.tgid_inside)
                credentials->pid = s.tgid;
        return 0;
}

bool target_capable(struct call *call, int capability) {
        return call_receiver(call)->credentials.effective & UINT64_C(1) << capability;
}

void target_act_done(struct call *call) {
        /* The thread acts for callers alone. The next one takes what it needs to be different. */
        struct receiver *r = call_receiver(call);

        bool as_caller = r->speaks == SPEAKS_AS_CALLER, with_rights = r->speaks == SPEAKS_WITH_RIGHTS;

        r->speaks = SPEAKS_NOT;
        if (as_caller)
                stop_speaking(r);
        else if (with_rights)
                rights_lower(r);
}
