/*
 * The filters: every program is run over all calls and the interesting arguments, and the programs are held against the kernel's own
 * reading of them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "digest.h"
#include "fd.h"
#include "filter.h"
#include "sys.h"

#define ENOSYS_ANSWER (SECCOMP_RET_ERRNO | ENOSYS)
#define NONE ((uint64_t[6]) {})

static uint32_t known(const struct filter *f, int nr) {
        return filter_simulate(&f->known, AUDIT_ARCH_X86_64, nr, NONE);
}

static uint32_t notify(const struct filter *f, int nr, uint64_t a0, uint64_t a1) {
        return filter_simulate(&f->notify, AUDIT_ARCH_X86_64, nr, (uint64_t[6]) { a0, a1 });
}

static void build(struct filter_builder *b, struct filter *ret) {
        cr_assert_eq(filter_build(b, ret), 0);
}

Test(filter, known_allows_what_it_names_and_nothing_else) {
        static const int allowed[] = { 0, 1, 2, 7, 9, 10, 60, 231, 434, 449 };
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        for (size_t i = ELEMENTSOF(allowed); i-- > 0;)
                cr_assert_eq(filter_builder_allow(&b, allowed[i]), 0);
        cr_assert_eq(filter_builder_allow(&b, 7), 0); /* twice */
        build(&b, &f);
        for (int nr = 0; nr < 2000; nr++) {
                bool is = false;
                for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                        is |= allowed[i] == nr;
                cr_expect_eq(known(&f, nr), is ? SECCOMP_RET_ALLOW : ENOSYS_ANSWER, "call %d", nr);
        }
}

Test(filter, known_refuses_all_when_empty) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        build(&b, &f);
        cr_expect_eq(known(&f, 0), ENOSYS_ANSWER);
        cr_expect_eq(known(&f, 500), ENOSYS_ANSWER);
}

Test(filter, foreign_calls) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        for (int nr = 0; nr < 450; nr++)
                cr_assert_eq(filter_builder_allow(&b, nr), 0);
        build(&b, &f);
        cr_expect_eq(filter_simulate(&f.known, AUDIT_ARCH_I386, 5, NONE), SECCOMP_RET_KILL_PROCESS);
        cr_expect_eq(filter_simulate(&f.known, AUDIT_ARCH_AARCH64, 5, NONE), SECCOMP_RET_KILL_PROCESS);
        cr_expect_eq(known(&f, 0x40000000), ENOSYS_ANSWER);
        cr_expect_eq(known(&f, 0x40000000 + 39), ENOSYS_ANSWER);
        /* What a tracer makes of a call that it skips. */
        cr_expect_eq(known(&f, -1), SECCOMP_RET_ALLOW);
        cr_expect_eq(known(&f, -2), ENOSYS_ANSWER);
}

/* The worst case for the tree's jumps: no two neighbours have the same answer. */
Test(filter, known_with_many_ranges) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        for (int nr = 1; nr < 1000; nr += 2)
                cr_assert_eq(filter_builder_allow(&b, nr), 0);
        build(&b, &f);
        for (int nr = 0; nr < 1010; nr++)
                cr_expect_eq(known(&f, nr), nr % 2 && nr < 1000 ? SECCOMP_RET_ALLOW : ENOSYS_ANSWER, "call %d", nr);
}

Test(filter, notify_whole_calls) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        for (int nr = 0; nr < 470; nr += 3)
                cr_assert_eq(filter_builder_notify(&b, nr, NULL, 0), 0);
        build(&b, &f);
        for (int nr = 0; nr < 480; nr++) {
                cr_expect_eq(notify(&f, nr, 0, 0), nr % 3 == 0 && nr < 470 ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW, "call %d", nr);
                /* What is notified is known. */
                cr_expect_eq(known(&f, nr), nr % 3 == 0 && nr < 470 ? SECCOMP_RET_ALLOW : ENOSYS_ANSWER, "call %d", nr);
        }
}

Test(filter, arguments_under_a_mask) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};
        const struct filter_arg request = { .index = 1, .mask = UINT32_MAX, .value = 0x5412 };
        const struct filter_arg bit = { .index = 0, .mask = 0x10000000, .value = 0x10000000 };

        cr_assert_eq(filter_builder_notify(&b, __NR_ioctl, &request, 1), 0);
        cr_assert_eq(filter_builder_notify(&b, __NR_clone, &bit, 1), 0);
        build(&b, &f);
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0x5412), SECCOMP_RET_USER_NOTIF);
        /* The kernel takes 32 bits of it. */
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0x100005412), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0xffffffff00005412), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0x5413), SECCOMP_RET_ALLOW);
        cr_expect_eq(notify(&f, __NR_ioctl, 0x5412, 0), SECCOMP_RET_ALLOW);
        for (unsigned i = 0; i < 64; i++)
                cr_expect_eq(notify(&f, __NR_clone, UINT64_C(1) << i, 0), i == 28 ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW, "bit %u",
                             i);
        cr_expect_eq(notify(&f, __NR_clone, UINT64_MAX, 0), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(notify(&f, __NR_clone, ~UINT64_C(0x10000000), 0), SECCOMP_RET_ALLOW);
}

Test(filter, nonzero_looks_at_all_64_bits) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        cr_assert_eq(filter_builder_notify(&b, __NR_sendto, &(struct filter_arg) { .index = 0, .nonzero = true }, 1), 0);
        build(&b, &f);
        cr_expect_eq(notify(&f, __NR_sendto, 0, 1), SECCOMP_RET_ALLOW);
        for (unsigned i = 0; i < 64; i++)
                cr_expect_eq(notify(&f, __NR_sendto, UINT64_C(1) << i, 0), SECCOMP_RET_USER_NOTIF, "bit %u", i);
}

Test(filter, two_arguments) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};
        const struct filter_arg first[] = { { .index = 0, .mask = UINT32_MAX, .value = 1 }, { .index = 1, .mask = 8, .value = 8 } };
        const struct filter_arg second[] = { { .index = 0, .mask = UINT32_MAX, .value = 2 }, { .index = 1, .nonzero = true } };

        cr_assert_eq(filter_builder_notify(&b, __NR_seccomp, first, 2), 0);
        cr_assert_eq(filter_builder_notify(&b, __NR_seccomp, second, 2), 0);
        build(&b, &f);
        for (uint64_t a0 = 0; a0 < 4; a0++)
                for (uint64_t a1 = 0; a1 < 64; a1++) {
                        bool is = (a0 == 1 && (a1 & 8)) || (a0 == 2 && a1);
                        cr_expect_eq(notify(&f, __NR_seccomp, a0, a1), is ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW);
                }
}

Test(filter, a_whole_rule_swallows_its_arguments) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};
        const struct filter_arg request = { .index = 1, .mask = UINT32_MAX, .value = 0x5412 };

        cr_assert_eq(filter_builder_notify(&b, __NR_ioctl, &request, 1), 0);
        cr_assert_eq(filter_builder_notify(&b, __NR_ioctl, NULL, 0), 0);
        cr_assert_eq(filter_builder_notify(&b, __NR_ioctl, &request, 1), 0);
        build(&b, &f);
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(notify(&f, __NR_ioctl, 0, 0x5412), SECCOMP_RET_USER_NOTIF);
}

Test(filter, digest_of_what_is_collected) {
        static const struct filter_arg arg = { .index = 1, .mask = 0xff, .value = 3 }, other = { .index = 1, .mask = 0xff, .value = 4 };
        _cleanup_(filter_builder_done) struct filter_builder a = {}, b = {}, c = {};
        struct digest of_a = {}, of_b = {}, of_c = {};

        cr_assert(filter_builder_notify(&a, 5, NULL, 0) == 0 && filter_builder_notify(&a, 6, &arg, 1) == 0 &&
                  filter_builder_allow(&a, 7) == 0);
        cr_assert(filter_builder_allow(&b, 7) == 0 && filter_builder_notify(&b, 6, &arg, 1) == 0 &&
                  filter_builder_notify(&b, 5, NULL, 0) == 0);
        cr_assert(filter_builder_notify(&c, 5, NULL, 0) == 0 && filter_builder_notify(&c, 6, &other, 1) == 0 &&
                  filter_builder_allow(&c, 7) == 0);
        filter_builder_digest(&a, &of_a);
        filter_builder_digest(&b, &of_b);
        filter_builder_digest(&c, &of_c);
        cr_expect(of_a.value == of_b.value);
        cr_expect(of_a.value != of_c.value);
}

Test(filter, impossible_rules_are_refused) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};

        cr_expect_eq(filter_builder_notify(&b, -1, NULL, 0), -EINVAL);
        cr_expect_eq(filter_builder_allow(&b, -1), -EINVAL);
        cr_expect_eq(filter_builder_notify(&b, 1, &(struct filter_arg) { .index = 6, .mask = 1 }, 1), -EINVAL);
        cr_expect_eq(filter_builder_notify(&b, 1, &(struct filter_arg) { .mask = 1, .value = 2 }, 1), -EINVAL);
}

Test(filter, more_than_the_kernel_takes) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};

        for (uint32_t i = 0; i < 4200; i++)
                cr_assert_eq(filter_builder_notify(&b, 16, &(struct filter_arg) { .mask = UINT32_MAX, .value = i }, 1), 0);
        cr_expect_eq(filter_build(&b, &f), -E2BIG);
}

static int in_child(const struct filter *f) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return 10;
        int listener = filter_load(f, true);
        if (listener < 0)
                return 11;
        if (fcntl(listener, F_GETFD) != FD_CLOEXEC)
                return 12;
        /* getpgid isn't in the list. */
        if (syscall(__NR_getpgid, 0) != -1 || errno != ENOSYS)
                return 13;
        if (syscall(__NR_getpid) <= 0)
                return 14;
        /* Without the argument, the call passes; with it, it waits for the listener: once that is closed, it fails. */
        if (syscall(__NR_personality, 0xffffffff) < 0)
                return 15;
        close(listener);
        if (syscall(__NR_personality, 4) != -1 || errno != ENOSYS)
                return 16;
        return 0;
}

Test(filter, the_kernel_agrees) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(filter_done) struct filter f = {};
        int status;

        for (int nr = 0; nr < 450; nr++)
                if (nr != __NR_getpgid)
                        cr_assert_eq(filter_builder_allow(&b, nr), 0);
        cr_assert_eq(filter_builder_notify(&b, __NR_personality, &(struct filter_arg) { .mask = UINT32_MAX, .value = 4 }, 1), 0);
        build(&b, &f);
        pid_t pid = fork();
        if (pid == 0)
                _exit(in_child(&f));
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFEXITED(status));
        cr_expect_eq(WEXITSTATUS(status), 0, "step %d failed", WEXITSTATUS(status));
}
