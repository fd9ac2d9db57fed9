/*
 * What would undo `append` once a file is open: clearing O_APPEND, truncating, punching holes, writes that ask not to append. Notified only
 * where a policy has `append` rules. The calls name a descriptor; the broker looks at its own copy of it, and acts on that copy, so that a
 * thread that puts another file under the number gains nothing.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "files.h"
#include "landlock_rules.h"
#include "str.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

/* ioctl_preallocate() of the kernel: fallocate of old, for any file system. FS_IOC_RESVSP, UNRESVSP, ZERO_RANGE and the 64-bit forms. */
static const uint32_t space_ioctls[] = { 0x40305828, 0x40305829, 0x4030582a, 0x4030582b, 0x40305839 };

static bool has_append_rules(const struct plan *plan) {
        for (size_t i = 0; i < plan->policy->files.n_rules; i++)
                if (plan->policy->files.rules[i].kind == FILE_APPEND)
                        return true;
        return false;
}

/* Our copy of a descriptor that may be changed at will; -1 and the verdict, where it may not or there is none. */
static int changeable(struct call *call, int number, struct verdict *ret_verdict) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        _cleanup_close_ int fd = target_fd(call, number);
        int r;

        if (fd < 0) {
                *ret_verdict = verdict_from(fd);
                return -1;
        }
        /* By the same description: between the two look-ups the number may have come to mean another file. */
        r = resolve(call, number, "", RESOLVE_EMPTY, &pin);
        if (r < 0 && r != -ENOENT) {
                *ret_verdict = verdict_from(r);
                return -1;
        }
        struct stat st;
        if (fstat(fd, &st) < 0 || (pin.fd >= 0 && (st.st_dev != pin.st.st_dev || st.st_ino != pin.st.st_ino))) {
                *ret_verdict = verdict_error(EBADF);
                return -1;
        }
        if (pin.path[0]) {
                memcpy(call->path2, pin.path, strlen(pin.path) + 1);
                call->subject = call->path2;
        }
        if (S_ISREG(st.st_mode) && !pin.outside && (r < 0 || pin.match.state != MATCH_GRANTED || !(pin.match.rights & RIGHT_WRITE))) {
                *ret_verdict = files_refuse(call, &pin.match, EPERM, "write");
                return -1;
        }
        return TAKE_FD(fd);
}

static struct verdict handle_fcntl(struct call *call) {
        struct verdict verdict;
        int r;

        if (CALL_INT(call, 1) != F_SETFL || (CALL_INT(call, 2) & O_APPEND) || !has_append_rules(call->plan))
                /* proceed: the command and the flags are registers. */
                return verdict_registers();
        _cleanup_close_ int fd = changeable(call, CALL_INT(call, 0), &verdict);
        if (fd < 0)
                return verdict;
        r = target_act(call);
        if (r < 0)
                return verdict_from(r);
        r = fcntl(fd, F_SETFL, CALL_INT(call, 2)) < 0 ? -errno : 0;
        target_act_done(call);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* The caller's limit on the size of files: the kernel would ask the worker's. A file that is larger already may be made smaller. */
static int check_size(struct call *call, int fd, int64_t size) {
        struct stat st;
        uint64_t limit;
        int r = target_rlimit(call, RLIMIT_FSIZE, &limit);

        if (r < 0)
                return r;
        return size > 0 && (uint64_t) size > limit && fstat(fd, &st) >= 0 && size > st.st_size ? -EFBIG : 0;
}

static struct verdict handle_ftruncate(struct call *call) {
        int64_t size = CALL_ARG(call, 1);
        struct verdict verdict;
        int r;

        if (!has_append_rules(call->plan))
                /* proceed: no memory was looked at; no rule is about it. */
                return verdict_registers();
        _cleanup_close_ int fd = changeable(call, CALL_INT(call, 0), &verdict);
        if (fd < 0)
                return verdict;
        r = check_size(call, fd, size);
        if (r < 0)
                return verdict_from(r);
        return syscall(SYS_ftruncate, fd, size) < 0 ? verdict_error(errno) : verdict_value(0);
}

static struct verdict handle_fallocate(struct call *call) {
        int64_t offset = CALL_ARG(call, 2), length = CALL_ARG(call, 3), end;
        struct verdict verdict;
        int r;

        if (!has_append_rules(call->plan))
                /* proceed: no memory was looked at; no rule is about it. */
                return verdict_registers();
        _cleanup_close_ int fd = changeable(call, CALL_INT(call, 0), &verdict);
        if (fd < 0)
                return verdict;
        r = __builtin_add_overflow(offset, length, &end) ? 0 : check_size(call, fd, end);
        if (r < 0)
                return verdict_from(r);
        return syscall(SYS_fallocate, fd, CALL_INT(call, 1), offset, length) < 0 ? verdict_error(errno) : verdict_value(0);
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

/* Truncating, removing and renaming by path are Landlock's to refuse, and its rights add up along a path: below a place that may be written it
 * refuses nothing. */
static int check_rule(const struct plan *plan, const struct file_rule *rule, struct policy_report *report) {
        char path[PATH_MAX];
        size_t length = rule->path ? strlen(rule->path) : strcspn(rule->pattern, "*?[{\\");

        if (length >= sizeof(path))
                return 0;
        memcpy(path, rule->path ?: rule->pattern, length);
        path[length] = 0;
        for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
                *slash = 0;
                struct match match = plan_match(plan, slash == path ? "/" : path);
                if (match.state == MATCH_GRANTED && (match.rights & RIGHT_WRITE)) {
                        _cleanup_free_ char *above = str_escape(slash == path ? "/" : path);
                        policy_report_add(report, false, rule->place, "an `append` rule can't be enforced below %s, which may be written",
                                          above ?: "?");
                        return -EINVAL;
                }
        }
        return 0;
}

static int check_rules(const struct plan *plan, struct policy_report *report) {
        const struct policy_files *files = &plan->policy->files;
        int result = 0;

        for (size_t i = 0; i < files->n_rules; i++) {
                const struct file_rule *rule = files->rules + i;
                if (rule->kind != FILE_APPEND)
                        continue;
                if (landlock_abi() < 3) {
                        policy_report_add(report, false, rule->place,
                                          "an `append` rule needs Landlock with the right to truncate (Linux 6.2)");
                        return -EINVAL;
                }
                if (check_rule(plan, rule, report) < 0)
                        result = -EINVAL;
        }
        return result;
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct filter_arg clear[] = { { .index = 1, .mask = UINT32_MAX, .value = F_SETFL }, { .index = 2, .mask = O_APPEND } };
        int r;

        if (!has_append_rules(plan))
                return 0;
        r = check_rules(plan, report);
        if (r < 0)
                return r;
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
