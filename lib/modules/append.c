/*
 * What would undo `append` once a file is open: clearing O_APPEND, truncating, punching holes, writes that ask not to append. Notified only
 * where a policy has `append` rules. What is truncated by its path is in truncate.c.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "metadata.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

/* ioctl_preallocate() of the kernel: fallocate of old, for any file system. FS_IOC_RESVSP, UNRESVSP, ZERO_RANGE and the 64-bit forms. */
static const uint32_t space_ioctls[] = { 0x40305828, 0x40305829, 0x4030582a, 0x4030582b, 0x40305839 };

static bool has_append_rules(const struct plan *plan) {
        for (; plan; plan = plan->floor)
                for (size_t i = 0; i < plan->policy->files.n_rules; i++)
                        if (plan->policy->files.rules[i].kind == FILE_APPEND)
                                return true;
        return false;
}

/* May the file be changed at will, and not only made longer? false: `*ret_verdict` is the answer. */
static bool changeable(struct call *call, int number, struct pin *pin, struct verdict *ret_verdict) {
        int r = descriptor_pin(call, number, pin);
        bool hidden = r == -ENOENT && pin->match.state == MATCH_HIDDEN;

        if (r < 0 && !hidden) {
                *ret_verdict = verdict_from(r);
                return false;
        }
        if (hidden ||
            (S_ISREG(pin->st.st_mode) && !pin->outside && (pin->match.state != MATCH_GRANTED || !(pin->match.rights & RIGHT_WRITE)))) {
                *ret_verdict = files_refuse(call, &pin->match, EPERM, "write");
                return false;
        }
        return true;
}

static struct verdict handle_fcntl(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;
        int r;

        if (CALL_INT(call, 1) != F_SETFL || (CALL_INT(call, 2) & O_APPEND) || !has_append_rules(call->plan))
                /* proceed: the command and the flags are registers. */
                return verdict_registers();
        if (!changeable(call, CALL_INT(call, 0), &pin, &verdict))
                return verdict;
        r = target_act(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, fcntl(pin.fd, F_SETFL, CALL_INT(call, 2)));
        target_act_done(call);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

static bool writable(const struct pin *pin) {
        int flags = fcntl(pin->fd, F_GETFL);

        return S_ISREG(pin->st.st_mode) && flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

static struct verdict handle_ftruncate(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int64_t size = CALL_ARG(call, 1);
        struct verdict verdict;
        int r;

        if (!has_append_rules(call->plan))
                /* proceed: no memory was looked at; no rule is about it. */
                return verdict_registers();
        if (size < 0)
                return verdict_error(EINVAL);
        if (!changeable(call, CALL_INT(call, 0), &pin, &verdict))
                return verdict;
        /* What the kernel says before it looks at the limit, it says. */
        r = writable(&pin) ? size_check(call, &pin.st, size) : 0;
        if (r < 0)
                return r == -EFBIG ? size_exceeded(call) : verdict_from(r);
        r = ACT(call, syscall(SYS_ftruncate, pin.fd, size));
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

/* Does this kind of allocation make the file larger? The limit is on its size, not on the space it takes; tmpfs asks for both. */
static bool enlarges(const struct pin *pin, int mode) {
        struct statfs fs;

        if (fstatfs(pin->fd, &fs) >= 0 && fs.f_type == TMPFS_MAGIC)
                return !(mode & ~FALLOC_FL_KEEP_SIZE);
        return !(mode & ~FALLOC_FL_ZERO_RANGE);
}

static struct verdict handle_fallocate(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        int64_t offset = CALL_ARG(call, 2), length = CALL_ARG(call, 3), end;
        int mode = CALL_INT(call, 1), r = 0;
        struct verdict verdict;

        if (!has_append_rules(call->plan))
                /* proceed: no memory was looked at; no rule is about it. */
                return verdict_registers();
        if (!changeable(call, CALL_INT(call, 0), &pin, &verdict))
                return verdict;
        if (enlarges(&pin, mode) && offset >= 0 && length > 0 && writable(&pin) && !__builtin_add_overflow(offset, length, &end))
                r = size_check(call, &pin.st, end);
        if (r < 0)
                return r == -EFBIG ? size_exceeded(call) : verdict_from(r);
        r = ACT(call, syscall(SYS_fallocate, pin.fd, mode, offset, length));
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

static struct verdict handle_pwritev2(struct call *call) {
        if (!(CALL_ARG(call, 5) & RWF_NOAPPEND) || !has_append_rules(call->plan))
                /* proceed: the flags are a register. */
                return verdict_registers();
        call->why = "a policy with `append` rules has no writes that don't append";
        return verdict_deny(EOPNOTSUPP); /* as a kernel that doesn't know the flag */
}

static struct verdict handle_io_submit(struct call *call) {
        if (!has_append_rules(call->plan))
                /* proceed: no memory was looked at; no rule is about it. */
                return verdict_registers();
        call->why = "asynchronous writes can ask not to append, and a policy with `append` rules can't see it";
        return verdict_deny(ENOSYS);
}

bool append_refuses_ioctl(struct call *call) {
        for (size_t i = 0; i < ELEMENTSOF(space_ioctls); i++)
                if ((uint32_t) CALL_ARG(call, 1) == space_ioctls[i] && has_append_rules(call->plan)) {
                        call->why = "a policy with `append` rules has no holes punched in files";
                        return true;
                }
        return false;
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct filter_arg clear[] = { { .index = 1, .mask = UINT32_MAX, .value = F_SETFL }, { .index = 2, .mask = O_APPEND } };
        int r;

        (void) report;
        if (!has_append_rules(plan))
                return 0;
        r = filter_builder_notify(filter, __NR_fcntl, clear, ELEMENTSOF(clear));
        if (r < 0 || (r = rule_always(filter, __NR_ftruncate)) < 0 || (r = rule_always(filter, __NR_fallocate)) < 0 ||
            (r = rule_bits(filter, __NR_pwritev2, 5, RWF_NOAPPEND)) < 0 || (r = rule_always(filter, __NR_io_submit)) < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(space_ioctls); i++)
                r = rule_equal(filter, __NR_ioctl, 1, space_ioctls[i]);
        return r;
}

static const struct claim claims[] = {
        { __NR_fcntl, "fcntl", handle_fcntl },
        { __NR_ftruncate, "ftruncate", handle_ftruncate },
        { __NR_fallocate, "fallocate", handle_fallocate },
        { __NR_pwritev2, "pwritev2", handle_pwritev2 },
        { __NR_io_submit, "io_submit", handle_io_submit },
        {},
};

const struct module append_module = { .name = "append", .claims = claims, .compile = compile };
