/*
 * What a plan's filter lets pass, refuses and notifies, call by call and argument by argument, for made-up policies and for every shipped one;
 * and what raw rules answer.
 */
#include <asm/termbits.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../random.h"
#include "module.h"
#include "oci_profile.h"
#include "str.h"
#include "sys.h"

#define ENOSYS_ANSWER (SECCOMP_RET_ERRNO | ENOSYS)

/* ---- A plan from struct literals, compiled ---- */

struct compiled {
        struct policy policy;
        struct plan plan;
        struct filter filter;
        struct claim *claims;
        size_t n_claims;
        struct policy_report report;
};

static int compile(struct compiled *c) {
        c->policy.name = (char *) "test";
        c->plan.policy = &c->policy;
        return modules_compile(&c->plan, &c->filter, &c->claims, &c->n_claims, &c->report);
}

static void done(struct compiled *c) {
        filter_done(&c->filter);
        free(c->claims);
        policy_report_done(&c->report);
}

#define COMPILED(name, ...) \
        _cleanup_(done) struct compiled name = { __VA_ARGS__ }; \
        cr_assert_eq(compile(&name), 0, "%s", name.report.n ? name.report.messages[0].text : "")

static bool notified_args(const struct compiled *c, int nr, const uint64_t args[6]) {
        uint32_t answer = filter_simulate(&c->filter.notify, AUDIT_ARCH_X86_64, nr, args);

        cr_assert(answer == SECCOMP_RET_USER_NOTIF || answer == SECCOMP_RET_ALLOW);
        return answer == SECCOMP_RET_USER_NOTIF;
}

static bool notified(const struct compiled *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2) {
        return notified_args(c, nr, (uint64_t[6]) { a0, a1, a2 });
}

static uint32_t known(const struct compiled *c, int nr) {
        return filter_simulate(&c->filter.known, AUDIT_ARCH_X86_64, nr, (uint64_t[6]) {});
}

static const struct claim *claim_of(const struct compiled *c, int nr) {
        for (size_t i = 0; i < c->n_claims; i++)
                if (c->claims[i].nr == nr)
                        return c->claims + i;
        return NULL;
}

/* Runs the claimed handler of a call that needs nothing but its registers. */
static struct verdict answer(const struct compiled *c, int nr, uint64_t a0, uint64_t a1, struct call *ret) {
        static struct seccomp_notif notif;
        const struct claim *claim = claim_of(c, nr);

        cr_assert(claim, "nobody claims %d", nr);
        notif = (struct seccomp_notif) { .data = { .nr = nr, .arch = AUDIT_ARCH_X86_64, .args = { a0, a1 } } };
        *ret = (struct call) { .plan = &c->plan, .notif = &notif, .claim = claim };
        return claim->handle(ret);
}

/* ---- The table ---- */

Test(table, names_and_numbers) {
        static const struct {
                const char *name;
                int nr;
        } rows[] = {
                { "read", SYS_read },
                { "stat", SYS_stat },
                { "clone", SYS_clone },
                { "sendmmsg", SYS_sendmmsg },
                { "openat2", SYS_openat2 },
                { "seccomp", SYS_seccomp },
                { "io_uring_setup", SYS_io_uring_setup },
                { "faccessat2", SYS_faccessat2 },
                { "futex_waitv", SYS_futex_waitv },
                { "cachestat", 451 },
                { "fchmodat2", 452 },
                { "mseal", 462 },
                { "open_tree_attr", 467 },
                { "file_setattr", 469 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                cr_expect_eq(modules_syscall_number(rows[i].name), rows[i].nr, "%s", rows[i].name);
                cr_expect_str_eq(modules_syscall_name(rows[i].nr), rows[i].name);
        }
        cr_expect_eq(modules_syscall_number("no_such_call"), -1);
        cr_expect_eq(modules_syscall_number(""), -1);
        cr_expect_null(modules_syscall_name(-1));
        cr_expect_null(modules_syscall_name(SYSCALLS_MAX));
        cr_expect_null(modules_syscall_name(400));
        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                if (modules_syscall_name(nr))
                        cr_expect_eq(modules_syscall_number(modules_syscall_name(nr)), nr);
}

Test(table, what_takes_capabilities_is_refused) {
        static const char *const refused[] = {
                "mount",
                "umount2",
                "pivot_root",
                "chroot",
                "setns",
                "unshare",
                "fsopen",
                "fsmount",
                "fsconfig",
                "fspick",
                "move_mount",
                "open_tree",
                "mount_setattr",
                "open_tree_attr",
                "bpf",
                "perf_event_open",
                "keyctl",
                "add_key",
                "request_key",
                "userfaultfd",
                "kexec_load",
                "init_module",
                "finit_module",
                "delete_module",
                "reboot",
                "swapon",
                "iopl",
                "ioperm",
                "open_by_handle_at",
                "pidfd_getfd",
                "kcmp",
                "sethostname",
                "setdomainname",
                "syslog",
                "quotactl",
                "acct",
                "settimeofday",
                "clock_settime",
                "fanotify_init",
                "fanotify_mark",
                "name_to_handle_at",
                "quotactl_fd",
                "sysfs",
                "ustat",
                "swapoff",
                "vhangup",
                "process_madvise",
        };
        static const char *const absent[] = { "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "nfsservctl" };
        static const char *const allowed[] = {
                "open", "ptrace", "process_vm_readv", "process_vm_writev", "memfd_create", "landlock_restrict_self", "mknod", "arch_prctl"
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                cr_expect_eq(known_class(modules_syscall_number(refused[i])), SYSCALL_REFUSED, "%s", refused[i]);
        for (size_t i = 0; i < ELEMENTSOF(absent); i++)
                cr_expect_eq(known_class(modules_syscall_number(absent[i])), SYSCALL_ABSENT, "%s", absent[i]);
        for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                cr_expect_eq(known_class(modules_syscall_number(allowed[i])), SYSCALL_ALLOWED, "%s", allowed[i]);
}

/* ---- The filter ---- */

/* What must hold of any plan: everything that is notified has somebody to answer it; what passes both programs is allowed by the table. */
static void check_any(const struct compiled *c) {
        static const uint64_t values[] = { 0,         1,       2,          8,          16,         0x5412,
                                           0x541c,    0x20000, 0x10000000, 0x7e020000, UINT32_MAX, UINT64_C(1) << 32,
                                           UINT64_MAX };

        for (int nr = -1; nr < SYSCALLS_MAX + 30; nr++)
                for (size_t i = 0; i < ELEMENTSOF(values); i++)
                        for (size_t j = 0; j < ELEMENTSOF(values); j++) {
                                uint64_t args[6] = { values[i], values[j], values[i], values[j], values[i], values[j] };
                                bool sent = notified_args(c, nr, args);
                                if (nr == -1)
                                        cr_assert(!sent);
                                else if (sent) {
                                        cr_assert(claim_of(c, nr), "call %d is claimed by nobody", nr);
                                        cr_assert_eq(known(c, nr), SECCOMP_RET_ALLOW);
                                } else if (known_class(nr) == SYSCALL_REFUSED)
                                        cr_assert_fail("call %d passes", nr);
                                else if (known_class(nr) == SYSCALL_ABSENT)
                                        cr_assert_eq(known(c, nr), ENOSYS_ANSWER, "call %d", nr);
                        }
        for (size_t i = 0; i < c->n_claims; i++)
                cr_assert_str_eq(c->claims[i].name, modules_syscall_name(c->claims[i].nr));
}

Test(compile, refused_and_absent) {
        COMPILED(c);

        check_any(&c);
        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                switch (known_class(nr)) {
                case SYSCALL_REFUSED: {
                        struct call call;
                        struct verdict v = answer(&c, nr, 0, 0, &call);
                        cr_expect(v.kind == VERDICT_ERROR && v.error == EPERM && v.denied && call.why, "%d", nr);
                        break;
                }
                case SYSCALL_START:
                        cr_expect(!notified(&c, nr, 1, 2, 3));
                        cr_expect_eq(known(&c, nr), SECCOMP_RET_ALLOW);
                        break;
                default: break;
                }
}

Test(compile, namespaces) {
        COMPILED(c);
        struct call call;

        for (unsigned bit = 0; bit < 64; bit++) {
                bool namespace = UINT64_C(1) << bit & UINT64_C(0x7e020000);
                cr_expect_eq(notified(&c, SYS_clone, UINT64_C(1) << bit | SIGCHLD, 0, 0), namespace, "bit %u", bit);
        }
        cr_expect_eq(answer(&c, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, &call).error, EPERM);
        cr_expect_eq(answer(&c, SYS_clone, CLONE_VM | CLONE_FS, 0, &call).kind, VERDICT_PROCEED);
        cr_expect_eq(known(&c, SYS_clone3), ENOSYS_ANSWER);
}

Test(compile, personality) {
        static const uint32_t allowed[] = { 0, 8, 0x20000, 0x20008, UINT32_MAX };
        COMPILED(c);

        for (uint64_t i = 0; i < 100000; i++) {
                uint32_t value = i < 5 ? allowed[i] : i < 50000 ? i : i * 2654435761u;
                bool is = false;
                for (size_t j = 0; j < 5; j++)
                        is |= value == allowed[j];
                cr_assert_eq(notified(&c, SYS_personality, value, 0, 0), !is, "%x", value);
                /* The kernel takes 32 bits. */
                cr_assert_eq(notified(&c, SYS_personality, value | i << 32, 0, 0), !is, "%x", value);
        }
}

Test(compile, terminals_and_listeners) {
        COMPILED(c);
        struct call call;

        for (uint64_t high = 0; high < 2; high++) {
                cr_expect(notified(&c, SYS_ioctl, 0, TIOCSTI | high << 32, 0));
                cr_expect(notified(&c, SYS_ioctl, 0, TIOCLINUX | high << 40, 0));
                cr_expect(!notified(&c, SYS_ioctl, 0, TIOCSCTTY | high << 32, 0));
        }
        cr_expect_eq(answer(&c, SYS_ioctl, 0, TIOCSTI | UINT64_C(1) << 32, &call).error, EPERM);
        cr_expect_eq(answer(&c, SYS_ioctl, 0, TIOCSCTTY, &call).kind, VERDICT_PROCEED);

        cr_expect(!notified(&c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0));
        cr_expect(!notified(&c, SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 8, 0));
        cr_expect(notified(&c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0));
        cr_expect(notified(&c, SYS_seccomp, SECCOMP_SET_MODE_FILTER | UINT64_C(1) << 32,
                           SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, 0));
        cr_expect_eq(answer(&c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &call).error, EBUSY);
        cr_expect_eq(answer(&c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &call).kind, VERDICT_PROCEED);
}

/* Which sockets may be made. */
static int socket_error(int family, int type, int protocol) {
        bool inet = family == AF_INET || family == AF_INET6;

        if (family == AF_UNIX)
                return 0;
        if (family == AF_NETLINK)
                return protocol == NETLINK_ROUTE ? 0 : EPROTONOSUPPORT;
        if (!inet)
                return EAFNOSUPPORT;
        if (type == SOCK_RAW || type == SOCK_PACKET)
                return EPERM;
        return protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6
                       ? 0
                       : EPROTONOSUPPORT;
}

Test(compile, sockets) {
        static struct seccomp_notif notif;
        COMPILED(c);

        for (int family = -1; family < 50; family++)
                for (int type = 0; type < 16; type++)
                        for (int protocol = 0; protocol < 300; protocol++) {
                                uint64_t args[6] = { (uint32_t) family | UINT64_C(3) << 32, (uint32_t) type | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                                     protocol };
                                int error = socket_error(family, type, protocol);
                                bool sent = notified_args(&c, SYS_socket, args);
                                cr_assert(sent || error == 0, "socket(%d, %d, %d) passes", family, type, protocol);
                                if (!sent)
                                        continue;
                                notif = (struct seccomp_notif) { .data = { .nr = SYS_socket, .args = { args[0], args[1], args[2] } } };
                                struct call call = { .plan = &c.plan, .notif = &notif };
                                struct verdict v = claim_of(&c, SYS_socket)->handle(&call);
                                cr_assert_eq(v.kind, error ? VERDICT_ERROR : VERDICT_PROCEED, "socket(%d, %d, %d)", family, type, protocol);
                                cr_assert(!error || (v.error == error && v.denied));
                        }
        /* What programs make all the time is not notified. */
        cr_expect(!notified(&c, SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        cr_expect(!notified(&c, SYS_socket, AF_INET, SOCK_STREAM, 0));
        cr_expect(!notified(&c, SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0));
        cr_expect(!notified(&c, SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

Test(compile, network_modes) {
        COMPILED(none);
        COMPILED(host, .policy.network.mode = NETWORK_HOST);

        cr_expect(notified(&none, SYS_connect, 1, 2, 3) && notified(&none, SYS_sendmsg, 1, 2, 3) && notified(&none, SYS_sendmmsg, 1, 2, 3));
        cr_expect(!notified(&none, SYS_bind, 1, 2, 3) && !notified(&none, SYS_listen, 1, 2, 3));
        cr_expect(notified(&host, SYS_bind, 1, 2, 3) && notified(&host, SYS_listen, 1, 2, 3));
        cr_expect(!notified_args(&none, SYS_sendto, (uint64_t[6]) { 1, 2, 3, 4, 0, 16 }));
        cr_expect(notified_args(&none, SYS_sendto, (uint64_t[6]) { 1, 2, 3, 4, 5, 16 }));
        cr_expect(notified_args(&none, SYS_sendto, (uint64_t[6]) { 1, 2, 3, 4, UINT64_C(0x7f0000000000), 16 }));
        cr_expect(notified(&host, SYS_setsockopt, 1, IPPROTO_IP, IP_OPTIONS));
        cr_expect(notified(&host, SYS_setsockopt, 1, IPPROTO_IPV6, IPV6_RTHDR));
        cr_expect(!notified(&host, SYS_setsockopt, 1, IPPROTO_TCP, IP_OPTIONS));
        cr_expect(!notified(&host, SYS_setsockopt, 1, SOL_SOCKET, SO_REUSEADDR));
        check_any(&none);
        check_any(&host);
}

Test(compile, files) {
        static const int calls[] = {
                SYS_open,
                SYS_openat,
                SYS_openat2,
                SYS_creat,
                SYS_stat,
                SYS_fstat,
                SYS_lstat,
                SYS_newfstatat,
                SYS_statx,
                SYS_access,
                SYS_faccessat,
                SYS_faccessat2,
                SYS_readlink,
                SYS_readlinkat,
                SYS_execve,
                SYS_execveat,
                /* Metadata, by path and by descriptor. */
                SYS_chmod,
                SYS_fchmod,
                SYS_fchmodat,
                __NR_fchmodat2,
                SYS_chown,
                SYS_lchown,
                SYS_fchown,
                SYS_fchownat,
                SYS_utime,
                SYS_utimes,
                SYS_futimesat,
                SYS_utimensat,
                SYS_setxattr,
                SYS_lsetxattr,
                SYS_fsetxattr,
                __NR_setxattrat,
                SYS_getxattr,
                SYS_lgetxattr,
                __NR_getxattrat,
                SYS_listxattr,
                SYS_llistxattr,
                __NR_listxattrat,
                SYS_removexattr,
                SYS_lremovexattr,
                SYS_fremovexattr,
                __NR_removexattrat,
                __NR_file_getattr,
                __NR_file_setattr,
                SYS_statfs,
                SYS_truncate,
                SYS_chdir,
                SYS_getdents,
                SYS_getdents64,
                SYS_inotify_add_watch,
        };
        /* What an ioctl could change, and one that does nothing of the kind. */
        static const uint64_t changing[] = { 0x40086602, 0x401c5820, 0x40087602, 0x40086604,
                                             0x40806685, 0x5000940e, 0x82187201, UINT64_C(1) << 32 | 0x40086602 };
        COMPILED(view);
        COMPILED(brokered, .plan.files_brokered = true);

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                cr_expect(!notified(&view, calls[i], 1, 2, 3), "%d", calls[i]);
                cr_expect(notified(&brokered, calls[i], 1, 2, 3), "%d", calls[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(changing); i++) {
                cr_expect(!notified(&view, SYS_ioctl, 1, changing[i], 3), "%#llx", (unsigned long long) changing[i]);
                cr_expect(notified(&brokered, SYS_ioctl, 1, changing[i], 3), "%#llx", (unsigned long long) changing[i]);
        }
        /* Hot, and harmless. */
        cr_expect(!notified(&brokered, SYS_ioctl, 1, 0x5401, 3) && !notified(&brokered, SYS_ioctl, 1, 0x541b, 3));
        cr_expect(!notified(&brokered, SYS_fchdir, 1, 2, 3) && !notified(&brokered, SYS_fgetxattr, 1, 2, 3));
        cr_expect(!notified(&brokered, SYS_read, 1, 2, 3) && !notified(&brokered, SYS_close, 1, 2, 3));
        cr_expect(!notified(&brokered, SYS_fcntl, 1, F_SETFL, 0));
        check_any(&brokered);
}

Test(compile, names) {
        static const int calls[] = {
                SYS_mkdir,  SYS_mkdirat,  SYS_rmdir,     SYS_mknod, SYS_mknodat, SYS_unlink,  SYS_unlinkat,
                SYS_rename, SYS_renameat, SYS_renameat2, SYS_link,  SYS_linkat,  SYS_symlink, SYS_symlinkat,
        };
        static const struct seccomp_notif notif = {};
        COMPILED(view);
        COMPILED(brokered, .plan.files_brokered = true);
        struct call call = { .plan = &view.plan, .notif = &notif };

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                cr_expect(!notified(&view, calls[i], 1, 2, 3), "%d", calls[i]);
                cr_expect(notified(&brokered, calls[i], 1, 2, 3), "%d", calls[i]);
                /* Where only a raw rule has sent it, the view decides. */
                cr_assert(modules_claim(calls[i]), "%d", calls[i]);
                cr_expect_eq(modules_claim(calls[i])->handle(&call).kind, VERDICT_PROCEED, "%d", calls[i]);
        }
        /* In a network of the sandbox's own only the names of Unix sockets matter. */
        cr_expect(!notified(&view, SYS_bind, 1, 2, 3));
        cr_expect(notified(&brokered, SYS_bind, 1, 2, 3) && !notified(&brokered, SYS_listen, 1, 2, 3));
        cr_expect_eq(modules_claim(SYS_bind)->handle(&call).kind, VERDICT_PROCEED);
        check_any(&brokered);
}

Test(compile, flags_of_names) {
        /* What the registers say is refused before any memory is read, as by the kernel. */
        static const struct {
                int nr;
                uint64_t args[6];
                int error;
        } rows[] = {
                { SYS_unlinkat, { 0, 8, 1 }, EINVAL },
                { SYS_unlinkat, { 0, 8, AT_REMOVEDIR | AT_SYMLINK_FOLLOW }, EINVAL },
                { SYS_renameat2, { 0, 8, 0, 8, 8 }, EINVAL },
                { SYS_renameat2, { 0, 8, 0, 8, 3 }, EINVAL },
                { SYS_renameat2, { 0, 8, 0, 8, 6 }, EINVAL },
                { SYS_linkat, { 0, 8, 0, 8, AT_SYMLINK_NOFOLLOW }, EINVAL },
                { SYS_linkat, { 0, 0, 0, 8, AT_EMPTY_PATH }, EFAULT },
                { SYS_mknod, { 8, S_IFDIR | 0700 }, EPERM },
                { SYS_mknod, { 8, S_IFLNK }, EINVAL },
                { SYS_mknodat, { 0, 8, 0xf000 }, EINVAL },
        };
        COMPILED(c, .plan.files_brokered = true);

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct seccomp_notif notif = {};
                memcpy(notif.data.args, rows[i].args, sizeof(rows[i].args));
                struct call call = { .plan = &c.plan, .notif = &notif };
                struct verdict verdict = modules_claim(rows[i].nr)->handle(&call);
                cr_expect(verdict.kind == VERDICT_ERROR && verdict.error == rows[i].error, "row %zu: %d", i, verdict.error);
        }
}

Test(compile, kernel) {
        COMPILED(native);
        COMPILED(changed, .policy.kernel = { .release = (char *) "6.1.0", .memory = 1 << 29 });
        struct compiled cpus = { .policy.kernel.cpus = 2 };

        cr_expect(!notified(&native, SYS_uname, 1, 2, 3) && !notified(&native, SYS_sysinfo, 1, 2, 3));
        cr_expect(notified(&changed, SYS_uname, 1, 2, 3) && notified(&changed, SYS_sysinfo, 1, 2, 3));
        cr_expect_eq(compile(&cpus), -EINVAL);
        cr_expect_eq(cpus.report.n_errors, 1);
        done(&cpus);
}

/* ---- Raw rules ---- */

#define NAMES(...) .names = (char *[]) { __VA_ARGS__ }, .n_names = sizeof((char *[]) { __VA_ARGS__ }) / sizeof(char *)
#define ARG(...) .args = (struct syscall_arg[]) { { __VA_ARGS__ } }, .n_args = 1
#define RULES(...) \
        .policy.syscalls = { .rules = (struct syscall_rule[]) { __VA_ARGS__ }, \
                             .n_rules = sizeof((struct syscall_rule[]) { __VA_ARGS__ }) / sizeof(struct syscall_rule) }

Test(raw, errno_and_first_match) {
        COMPILED(c, RULES({ NAMES((char *) "ptrace"), .action = ACTION_ERRNO, .error = ENOSYS },
                          { NAMES((char *) "pt*"), .action = ACTION_KILL }));
        struct call call;

        cr_expect(notified(&c, SYS_ptrace, 0, 0, 0));
        struct verdict v = answer(&c, SYS_ptrace, 0, 0, &call);
        cr_expect(v.kind == VERDICT_ERROR && v.error == ENOSYS && v.denied);
        cr_expect_eq(call.syscall_rule, c.policy.syscalls.rules);
        check_any(&c);
}

Test(raw, kill_by_argument) {
        COMPILED(c, RULES({ NAMES((char *) "ioctl"), ARG(.index = 1, .value = 0x1234, .mask = UINT32_MAX), .action = ACTION_KILL }));
        struct call call;

        cr_expect(notified(&c, SYS_ioctl, 0, 0x1234, 0));
        cr_expect(notified(&c, SYS_ioctl, 0, UINT64_C(0x700001234), 0));
        cr_expect(!notified(&c, SYS_ioctl, 0, 0x1235, 0));
        cr_expect_eq(answer(&c, SYS_ioctl, 0, UINT64_C(0x700001234), &call).kind, VERDICT_KILL);
        /* What the module refuses stays refused beside the rule, and what it doesn't goes on. */
        cr_expect(notified(&c, SYS_ioctl, 0, TIOCSTI, 0));
        cr_expect_eq(answer(&c, SYS_ioctl, 0, TIOCSTI, &call).error, EPERM);
        cr_expect_eq(answer(&c, SYS_ioctl, 0, 0x1235, &call).kind, VERDICT_PROCEED);
}

Test(raw, sixty_four_bits_are_compared_by_the_broker) {
        COMPILED(c, RULES({ NAMES((char *) "mmap"), ARG(.index = 1, .value = UINT64_C(0x100000001), .mask = UINT64_MAX),
                            .action = ACTION_ERRNO, .error = ENOMEM }));
        struct call call;

        cr_expect(notified(&c, SYS_mmap, 0, UINT64_C(0x100000001), 0));
        cr_expect(notified(&c, SYS_mmap, 0, 1, 0));
        cr_expect(!notified(&c, SYS_mmap, 0, 2, 0));
        cr_expect_eq(answer(&c, SYS_mmap, 0, UINT64_C(0x100000001), &call).error, ENOMEM);
        cr_expect_eq(answer(&c, SYS_mmap, 0, 1, &call).kind, VERDICT_PROCEED);
}

Test(raw, log_tightens_nothing_and_loosens_nothing) {
        COMPILED(c,
                 RULES({ NAMES((char *) "getpid", (char *) "mount", (char *) "io_uring_setup", (char *) "clone"), .action = ACTION_LOG }));
        struct call call;

        cr_expect_eq(answer(&c, SYS_getpid, 0, 0, &call).kind, VERDICT_PROCEED);
        cr_expect_eq(call.syscall_rule, c.policy.syscalls.rules);
        struct verdict v = answer(&c, SYS_mount, 0, 0, &call);
        cr_expect(v.kind == VERDICT_ERROR && v.error == EPERM && v.denied);
        cr_expect_null(call.syscall_rule);
        cr_expect_eq(answer(&c, SYS_clone, CLONE_NEWNS, 0, &call).error, EPERM);
        cr_expect_eq(answer(&c, SYS_clone, CLONE_VM, 0, &call).kind, VERDICT_PROCEED);
        cr_expect_eq(known(&c, SYS_io_uring_setup), ENOSYS_ANSWER);
        check_any(&c);
}

Test(raw, a_rule_on_an_absent_call_opens_no_part_of_it) {
        COMPILED(c, RULES({ NAMES((char *) "clone3"), ARG(.index = 1, .value = 88, .mask = UINT32_MAX), .action = ACTION_ERRNO,
                            .error = EPERM }));
        struct call call;

        cr_expect(notified(&c, SYS_clone3, 0, 88, 0) && notified(&c, SYS_clone3, 0, 64, 0));
        cr_expect_eq(answer(&c, SYS_clone3, 0, 88, &call).error, EPERM);
        cr_expect_eq(answer(&c, SYS_clone3, 0, 64, &call).error, ENOSYS);
}

static void expect_error(struct compiled *c, const char *text) {
        cr_expect_eq(compile(c), -EINVAL);
        cr_assert_geq(c->report.n_errors, 1);
        cr_expect(strstr(c->report.messages[0].text, text), "%s", c->report.messages[0].text);
        done(c);
}

Test(raw, errors) {
        struct compiled unknown = { RULES({ NAMES((char *) "opennat"), .action = ACTION_LOG }) };
        struct compiled glob = { RULES({ NAMES((char *) "nothing_*"), .action = ACTION_LOG }) };
        struct compiled start = { RULES({ NAMES((char *) "write"), .action = ACTION_ERRNO, .error = EPERM }) };
        struct compiled never = { RULES({ NAMES((char *) "ioctl"), ARG(.index = 1, .value = 3, .mask = 1), .action = ACTION_KILL }) };
        struct compiled index = { RULES({ NAMES((char *) "ioctl"), ARG(.index = 6, .mask = 1), .action = ACTION_KILL }) };
        struct compiled deny = { .policy.syscalls.deny_unnamed = true };

        expect_error(&unknown, "`openat`");
        expect_error(&glob, "nothing_*");
        expect_error(&start, "`write` can't be refused");
        expect_error(&never, "never match");
        expect_error(&index, "not 6");
        expect_error(&deny, "execve");
}

/* The launcher writes and reads while nobody answers yet. */
Test(raw, start_calls_are_never_notified) {
        COMPILED(c, RULES({ NAMES((char *) "write"), ARG(.index = 0, .value = 1, .mask = UINT32_MAX), .action = ACTION_LOG }));

        cr_expect(!notified(&c, SYS_write, 1, 0, 0));
        cr_assert_eq(c.report.n, 1);
        cr_expect(c.report.messages[0].warning && strstr(c.report.messages[0].text, "can't be recorded"));
}

Test(raw, start_calls_stay_within_globs) {
        COMPILED(c, RULES({ NAMES((char *) "*"), .action = ACTION_ERRNO, .error = EPERM }));

        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                if (modules_syscall_name(nr))
                        cr_expect_eq(notified(&c, nr, 0, 0, 0), known_class(nr) != SYSCALL_START, "%d", nr);
}

Test(raw, deny) {
        COMPILED(c, .policy.syscalls = {
                            .deny_unnamed = true,
                            .rules =
                                    (struct syscall_rule[]) {
                                            { NAMES((char *) "execve", (char *) "get*", (char *) "mount"), .action = ACTION_LOG },
                                            { NAMES((char *) "mmap"), ARG(.index = 2, .value = 4, .mask = 4), .action = ACTION_LOG } },
                            .n_rules = 2 });
        struct call call;

        check_any(&c);
        cr_expect_eq(answer(&c, SYS_getpid, 0, 0, &call).kind, VERDICT_PROCEED);
        cr_expect_eq(answer(&c, SYS_execve, 0, 0, &call).kind, VERDICT_PROCEED);
        cr_expect_eq(answer(&c, SYS_mount, 0, 0, &call).error, EPERM);
        /* The third argument is 0: the rule doesn't name this one. */
        cr_expect_eq(answer(&c, SYS_mmap, 0, 0, &call).error, EPERM);
        struct verdict v = answer(&c, SYS_uname, 0, 0, &call);
        cr_expect(v.kind == VERDICT_ERROR && v.error == EPERM && v.denied);
        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                cr_expect_eq(notified(&c, nr, 1, 2, 3), known_class(nr) == SYSCALL_ALLOWED || known_class(nr) == SYSCALL_REFUSED, "%d", nr);
}

/* ---- Saved plans ---- */

static bool same_program(const struct sock_fprog *a, const struct sock_fprog *b) {
        return a->len == b->len && memcmp(a->filter, b->filter, a->len * sizeof(*a->filter)) == 0;
}

/* A plan that is loaded again gives the same filter and claims. */
static void check_saved(const struct compiled *c) {
        _cleanup_(strbuf_done) struct strbuf text = {};
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(done) struct compiled again = {};

        cr_assert_eq(plan_save(&c->plan, &text), 0);
        cr_assert_eq(plan_load_saved(text.text, text.length, &policy, &plan, &again.report), 0);
        cr_assert_eq(modules_compile(plan, &again.filter, &again.claims, &again.n_claims, &again.report), 0, "%s",
                     again.report.n ? again.report.messages[0].text : "");
        cr_expect(same_program(&c->filter.known, &again.filter.known), "%s", policy->name);
        cr_expect(same_program(&c->filter.notify, &again.filter.notify), "%s", policy->name);
        cr_assert_eq(c->n_claims, again.n_claims, "%s", policy->name);
        for (size_t i = 0; i < c->n_claims; i++)
                cr_expect(c->claims[i].nr == again.claims[i].nr && c->claims[i].handle == again.claims[i].handle &&
                                  strcmp(c->claims[i].name, again.claims[i].name) == 0,
                          "%s: %s", policy->name, c->claims[i].name);
}

static int compile_file(struct compiled *c, const char *text, struct policy **policy, struct plan **plan) {
        char path[] = "/tmp/sandboxd-modules-XXXXXX", *environment[] = { NULL };
        int fd = mkstemp(path);
        const struct policy_request request = { .policy = path, .uid = getuid(), .cwd = "/srv", .environment = environment };
        const struct plan_request plan_request = { .uid = getuid() };

        cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text));
        close(fd);
        int r = policy_load(&request, policy, &c->report);
        if (r >= 0)
                r = plan_compile(*policy, &plan_request, plan, &c->report);
        unlink(path);
        if (r < 0)
                return r;
        c->plan = **plan;
        return modules_compile(&c->plan, &c->filter, &c->claims, &c->n_claims, &c->report);
}

Test(saved, same_filter) {
        static const char *const texts[] = {
                "{}\n",
                "files: { append: [/var/log], read: [/usr] }\nkernel: { uname: { release: 6.1.0 }, memory: 1G }\n",
                "files: { default: deny, read: [/etc], hide: [\"/etc/**/*.key\"] }\n",
                "files: { read: [/usr] }\nrules: [{ when: { exe: /bin/sh }, files: { hide: [/usr/share] } }]\n",
                "network: { mode: host, connect: [\"tcp:resolvers:53\"], bind: [\"tcp:*:80,443\"] }\n",
                "syscalls:\n  rules:\n    - { match: [\"*xattr\"], action: errno EACCES }\n    - { match: [ptrace], action: kill }\n"
                "    - { match: [socket], args: [{ index: 0, equals: 16 }, { index: 1, equals: 3, mask: 15 }], action: errno EPERM }\n",
                "syscalls:\n  default: deny\n  rules:\n    - { match: [\"*\"], action: log }\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(policy_freep) struct policy *policy = NULL;
                _cleanup_(plan_freep) struct plan *plan = NULL;
                _cleanup_(done) struct compiled c = {};
                int r = compile_file(&c, texts[i], &policy, &plan);
                cr_assert_eq(r, 0, "%s%s", texts[i], c.report.n ? c.report.messages[0].text : "");
                check_saved(&c);
        }
}

/* ---- The shipped policies ---- */

static void check_shipped(const char *name) {
        const char *folders[] = { POLICIES };
        char *environment[] = { NULL };
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(done) struct compiled c = {};
        const struct policy_request request = {
                .policy = name,
                .folders = folders,
                .n_folders = 1,
                .uid = getuid(),
                .gid = getgid(),
                .user = "root",
                .home = "/root",
                .cwd = "/srv",
                .name = "test",
                .environment = environment,
        };

        cr_assert_eq(policy_load(&request, &policy, &c.report), 0, "%s: %s", name, c.report.n ? c.report.messages[0].text : "");
        const struct plan_request plan_request = { .uid = getuid(), .gid = getgid() };
        cr_assert_eq(plan_compile(policy, &plan_request, &plan, &c.report), 0, "%s: %s", name, c.report.n ? c.report.messages[0].text : "");
        for (int brokered = 0; brokered < 2; brokered++) {
                c.plan = *plan;
                c.plan.files_brokered = brokered;
                c.plan.policy = policy;
                cr_assert_eq(modules_compile(&c.plan, &c.filter, &c.claims, &c.n_claims, &c.report), 0, "%s", name);
                check_any(&c);
                check_saved(&c);
                cr_expect_lt(c.filter.known.len + c.filter.notify.len, 1500, "%s: %d + %d instructions", name, c.filter.known.len,
                             c.filter.notify.len);
                filter_done(&c.filter);
                free(TAKE_PTR(c.claims));
        }
}

/* As a container has it: its OCI profile answers every call as the two programs do, or asks the broker. */
static void check_container(const char *name) {
        const char *folders[] = { POLICIES };
        char *environment[] = { NULL };
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(done) struct compiled c = {};
        _cleanup_(filter_builder_done) struct filter_builder builder = {};
        _cleanup_(oci_profile_done) struct oci_profile profile = {};
        const struct policy_request request = { .policy = name,
                                                .folders = folders,
                                                .n_folders = 1,
                                                .cwd = "/",
                                                .name = name,
                                                .environment = environment,
                                                .trust_last = true,
                                                .inspect = true };
        const struct plan_request plan_request = { .setting = PLAN_CONTAINER };
        struct sock_fprog program;

        cr_assert_eq(policy_load(&request, &policy, &c.report), 0, "%s", name);
        cr_assert_eq(plan_compile(policy, &plan_request, &plan, &c.report), 0, "%s: %s", name, c.report.n ? c.report.messages[0].text : "");
        cr_assert_eq(modules_collect(plan, &builder, &c.report), 0, "%s", name);
        cr_expect(modules_acts(plan, &builder), "%s", name);
        cr_assert_eq(filter_build(&builder, &c.filter), 0);
        cr_assert_eq(oci_profile_merge(&builder, NULL, &profile), 0, "%s", name);
        cr_assert_eq(oci_profile_build(&profile, &program), 0, "%s", name);
        cr_expect_lt(program.len, 3000, "%s: %d instructions", name, program.len);
        for (int nr = 0; nr < 450; nr++)
                for (unsigned i = 0; i < 100 && nr != 335 && nr != 336; i++) { /* libseccomp has no names for these */
                        uint64_t args[6];
                        for (size_t j = 0; j < 6; j++)
                                args[j] = i % 4 == 0 ? (uint64_t) random() << 32 | random() : (uint64_t) random() % 64;
                        uint32_t got = filter_simulate(&program, AUDIT_ARCH_X86_64, nr, args);
                        uint32_t want = oci_stricter(filter_simulate(&c.filter.known, AUDIT_ARCH_X86_64, nr, args),
                                                     filter_simulate(&c.filter.notify, AUDIT_ARCH_X86_64, nr, args));
                        cr_assert_eq(got, want, "%s: call %d: %#x, wanted %#x", name, nr, got, want);
                }
        free(program.filter);
}

Test(shipped, container_policies) {
        static const char *const names[] = { "container-db", "container-default", "container-untrusted", "container-web" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                check_container(names[i]);
}

/* ---- A floor ---- */

struct raw_rules {
        char *names[3];
        struct syscall_arg args[3];
        struct syscall_rule rules[3];
};

/* Of calls whose handlers look at registers alone. */
static void random_rules(struct raw_rules *r, struct policy *policy) {
        static char *const names[] = { (char *) "getpid", (char *) "get*",  (char *) "pause",
                                       (char *) "mmap",   (char *) "ioctl", (char *) "clone" };

        for (size_t i = 0; i < ELEMENTSOF(r->rules); i++) {
                r->names[i] = names[random_below(ELEMENTSOF(names))];
                r->args[i] = (struct syscall_arg) { .index = random_below(2),
                                                    .value = random_below(3),
                                                    .mask = random_below(2) ? UINT32_MAX : UINT64_MAX };
                r->rules[i] = (struct syscall_rule) { .names = &r->names[i],
                                                      .n_names = 1,
                                                      .args = &r->args[i],
                                                      .n_args = random_below(3) > 0,
                                                      .action = random_below(3),
                                                      .error = 1 + random_below(5),
                                                      .text = (char *) "x" };
        }
        policy->syscalls.rules = r->rules;
        policy->syscalls.n_rules = random_below(ELEMENTSOF(r->rules) + 1);
}

static enum { ALLOWED, REFUSED, KILLED } outcome(const struct compiled *c, int nr, uint64_t a0, uint64_t a1) {
        struct call call;

        if (!notified(c, nr, a0, a1, 0))
                return ALLOWED;
        struct verdict v = answer(c, nr, a0, a1, &call);
        cr_assert(v.kind == VERDICT_KILL || v.kind == VERDICT_PROCEED || (v.kind == VERDICT_ERROR && v.denied));
        return v.kind == VERDICT_KILL ? KILLED : v.kind == VERDICT_ERROR ? REFUSED : ALLOWED;
}

Test(floor, system_calls_are_what_both_allow) {
        static const int calls[] = { SYS_getpid, SYS_getuid, SYS_pause, SYS_mmap, SYS_ioctl, SYS_clone };
        static const uint64_t values[] = { 0, 1, 2, UINT64_C(1) << 32 | 1, TIOCSTI, CLONE_NEWUSER };
        size_t refused = 0, unlike = 0;

        for (unsigned i = 0; i < 200; i++) {
                _cleanup_(done) struct compiled a = {}, b = {}, both = {};
                struct raw_rules of_a, of_b;
                random_rules(&of_a, &a.policy);
                random_rules(&of_b, &b.policy);
                both.policy = a.policy;
                both.plan.floor = &b.plan;
                cr_assert(compile(&a) == 0 && compile(&b) == 0 && compile(&both) == 0);
                for (unsigned k = 0; k < ELEMENTSOF(calls) * ELEMENTSOF(values) * ELEMENTSOF(values); k++) {
                        int nr = calls[k % ELEMENTSOF(calls)];
                        uint64_t a0 = values[k / ELEMENTSOF(calls) % ELEMENTSOF(values)],
                                 a1 = values[k / ELEMENTSOF(calls) / ELEMENTSOF(values)];
                        int of_own = outcome(&a, nr, a0, a1), of_floor = outcome(&b, nr, a0, a1), got = outcome(&both, nr, a0, a1);
                        cr_assert(got == (of_own > of_floor ? of_own : of_floor), "%d(%#lx, %#lx): %d and %d, %d", nr, a0, a1, of_own,
                                  of_floor, got);
                        refused += got != ALLOWED;
                        unlike += of_own != of_floor;
                }
        }
        cr_expect(refused > 1000 && unlike > 1000, "%zu, %zu", refused, unlike);
}

Test(floor, is_notified_of_what_either_wants) {
        struct file_rule append = { .kind = FILE_APPEND };
        _cleanup_(done) struct compiled floor = { .policy.files = { .rules = &append, .n_rules = 1 } },
                                        own = { .plan.files_brokered = true };

        floor.plan.setting = own.plan.setting = PLAN_CONTAINER;
        cr_assert_eq(compile(&floor), 0);
        cr_assert_eq(compile(&own), 0);
        cr_expect(notified(&floor, SYS_ftruncate, 0, 0, 0) && !notified(&own, SYS_ftruncate, 0, 0, 0));
        cr_expect(!notified(&floor, SYS_openat, 0, 0, 0) && notified(&own, SYS_openat, 0, 0, 0));
        done(&own);
        own = (struct compiled) { .plan = { .files_brokered = true, .setting = PLAN_CONTAINER, .floor = &floor.plan } };
        cr_assert_eq(compile(&own), 0);
        cr_expect(notified(&own, SYS_ftruncate, 0, 0, 0) && notified(&own, SYS_openat, 0, 0, 0));
        cr_expect(claim_of(&own, SYS_ftruncate) && claim_of(&own, SYS_openat));
}

/* Below runc: what only refuses. */
static bool acts(struct syscall_rule *rules, size_t n) {
        struct compiled c = { .policy.syscalls = { .rules = rules, .n_rules = n } };
        _cleanup_(filter_builder_done) struct filter_builder builder = {};

        c.policy.name = (char *) "test";
        c.plan.policy = &c.policy;
        cr_assert_eq(modules_collect(&c.plan, &builder, &c.report), 0);
        policy_report_done(&c.report);
        return modules_acts(&c.plan, &builder);
}

Test(compile, acts_or_not) {
        static char *all[] = { (char *) "connect", (char *) "send*", (char *) "chroot" },
                    *some[] = { (char *) "connect", (char *) "sendto" };
        static struct syscall_arg arg = { .index = 0, .value = 3, .mask = UINT32_MAX };
        struct syscall_rule rules[] = { { .names = all, .n_names = 3, .action = ACTION_ERRNO, .error = EPERM } };

        cr_expect(acts(NULL, 0));
        cr_expect_not(acts(rules, 1));
        rules[0].args = &arg;
        rules[0].n_args = 1;
        cr_expect(acts(rules, 1));
        rules[0] = (struct syscall_rule) { .names = some, .n_names = 2, .action = ACTION_ERRNO, .error = EPERM };
        cr_expect(acts(rules, 1));
        rules[0] = (struct syscall_rule) { .names = all, .n_names = 3, .action = ACTION_LOG };
        cr_expect(acts(rules, 1));
}

Test(shipped, policies) {
        DIR *dir = opendir(POLICIES);
        struct dirent *entry;
        size_t n = 0;

        cr_assert(dir);
        while ((entry = readdir(dir))) {
                char *end = strstr(entry->d_name, ".yaml");
                if (!end || end[5])
                        continue;
                *end = 0;
                check_shipped(entry->d_name);
                n++;
        }
        closedir(dir);
        cr_expect_geq(n, 9);
}
