/*
 * Files: the open, stat, access and readlink families, where the plan brokers paths. The other calls that take paths are bounded by the
 * view.
 */
#include "files.h"

#include <sys/syscall.h>

int files_resolve(struct call *call, int dirfd, uint64_t address, unsigned flags, struct pin *pin) {
        ssize_t length;
        int r;

        if (address == 0 && (flags & RESOLVE_EMPTY) && (flags & FILES_NULL))
                call->path[0] = 0;
        else {
                length = target_read_path(call, address, call->path);
                if (length < 0)
                        return length;
                call->subject = call->path;
        }

        r = resolve(call, dirfd, call->path, flags, pin);
        if (pin->path[0]) {
                /* The pin is gone when the record is written. */
                memcpy(call->path2, pin->path, strlen(pin->path) + 1);
                call->subject = call->path2;
        }
        return r;
}

int files_read_struct(struct call *call, uint64_t address, uint64_t size, void *ret, size_t known) {
        char rest[256];

        if (size < known)
                return -EINVAL;
        if (size > 4096) /* PAGE_SIZE */
                return -E2BIG;
        for (uint64_t at = known; at < size; at += sizeof(rest)) {
                size_t n = size - at < sizeof(rest) ? size - at : sizeof(rest);
                /* In order: a byte that is set is seen before memory that isn't there. */
                ssize_t got = target_read_some(call, address + at, rest, n);
                if (got < 0)
                        return got;
                for (ssize_t i = 0; i < got; i++)
                        if (rest[i])
                                return -E2BIG;
                if ((size_t) got < n)
                        return -EFAULT;
        }
        return target_read(call, address, ret, known);
}

struct match files_match_removed(struct call *call, const struct pin *pin) {
        static const char mark[] = " (deleted)";
        size_t n = strlen(pin->path);

        if (!pin->deleted || n <= sizeof(mark) || strcmp(pin->path + n - sizeof(mark) + 1, mark) != 0)
                return pin->match;
        memcpy(call->path3, pin->path, n);
        call->path3[n - sizeof(mark) + 1] = 0;
        return call_match(call, call->path3);
}

static const char *state_text(const struct match *match) {
        switch (match->state) {
        case MATCH_HIDDEN: return match->rule ? "hidden by a rule" : "no rule names it";
        case MATCH_DENIED: return match->rule ? "denied by a rule" : "denied unless a rule names it";
        case MATCH_ANCESTOR: return "only what is below it is named";
        default: return "the rule for it doesn't give this right";
        }
}

struct verdict files_refuse(struct call *call, const struct match *match, int error, const char *remedy) {
        call->file_rule = match->rule;
        call->why = state_text(match);
        call->remedy = remedy;
        return verdict_deny(error);
}

struct verdict files_failed(struct call *call, const struct pin *pin, int r, bool creating) {
        /* pin->path is empty where nothing was resolved at all (EFAULT, EBADF, …), and the match means nothing then. */
        bool hidden = pin->path[0] && pin->match.state == MATCH_HIDDEN && !pin->outside;

        /* Where the view alone decides on paths, what it doesn't show is simply not there. */
        if (r == -ENOENT && hidden && call->plan->files_brokered && !target_absent_outside(call, pin->path))
                return files_refuse(call, &pin->match, creating ? EACCES : ENOENT, creating ? "write" : "read");
        if (r == -EACCES && pin->path[0] && pin->match.state == MATCH_DENIED && !pin->outside && call->plan->files_brokered)
                return files_refuse(call, &pin->match, EACCES, creating ? "write" : "read");
        return verdict_from(r);
}

static const struct claim claims[] = {
        { __NR_open, "open", handle_open },
        { __NR_openat, "openat", handle_openat },
        { __NR_openat2, "openat2", handle_openat2 },
        { __NR_creat, "creat", handle_creat },
        { __NR_stat, "stat", handle_stat },
        { __NR_lstat, "lstat", handle_lstat },
        { __NR_fstat, "fstat", handle_fstat },
        { __NR_newfstatat, "newfstatat", handle_newfstatat },
        { __NR_statx, "statx", handle_statx },
        { __NR_access, "access", handle_access },
        { __NR_faccessat, "faccessat", handle_faccessat },
        { __NR_faccessat2, "faccessat2", handle_faccessat2 },
        { __NR_readlink, "readlink", handle_readlink },
        { __NR_readlinkat, "readlinkat", handle_readlinkat },
        {},
};

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        (void) report;
        if (!plan->files_brokered)
                return 0;
        files_open_prepare(plan);
        return rule_claims(filter, claims);
}

const struct module files_module = { .name = "files", .claims = claims, .compile = compile };
