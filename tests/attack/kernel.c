/*
 * kernel: calls by which a program would leave the sandbox, get around its filter, or reach what only the host's administrator should.
 */
#include "attack.h"

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Runs a function in a child, and returns its wait status. */
static int in_child(int (*function)(void)) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
                _exit(function());
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                attack_die("fork");
        return status;
}

static bool exited(int status, int code) {
        return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* ---- Numbers ---- */

static void unknown_calls(void) {
        static const long numbers[] = { 337, 400, 423, 471, 500, 512, 600, 1000, 65536, 0x3fffffff, 0x7fffffff, -2 };

        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
                char what[32];
                snprintf(what, sizeof(what), "call %ld", numbers[i]);
                attack_refused(what, syscall(numbers[i], 0, 0, 0, 0, 0, 0), ENOSYS);
        }
        attack_refused("clone3", syscall(SYS_clone3, NULL, 0), ENOSYS);
        attack_refused("io_uring_setup", syscall(SYS_io_uring_setup, 4, NULL), ENOSYS);
        attack_refused("io_uring_enter", syscall(SYS_io_uring_enter, 0, 0, 0, 0, NULL, 0), ENOSYS);
        attack_refused("io_uring_register", syscall(SYS_io_uring_register, 0, 0, NULL, 0), ENOSYS);
}

#ifdef __x86_64__
static long ia32(long number, long first, long second) {
        long result;

        __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second) : "memory", "r8", "r9", "r10", "r11");
        return result;
}

/* The table of ia32: 20 is getpid, 5 open, 120 clone. */
static int call_ia32(void) {
        return ia32(20, 0, 0) == -ENOSYS ? 10 : 11;
}

/* A path below 4 GiB, on the stack of a static program, is not needed: 0 is EFAULT natively. */
static int open_ia32(void) {
        return ia32(5, 0, 0) == -ENOSYS ? 10 : 11;
}

static int call_x32(void) {
        return syscall(0x40000000 | SYS_getpid) == -1 && errno == ENOSYS ? 10 : 11;
}

static int open_x32(void) {
        return syscall(0x40000000 | SYS_open, "/etc/passwd", O_RDONLY) == -1 && errno == ENOSYS ? 10 : 11;
}

static void foreign_calls(void) {
        int (*const calls[])(void) = { call_ia32, open_ia32, call_x32, open_x32 };
        static const char *const names[] = { "int 0x80, getpid", "int 0x80, open", "x32, getpid", "x32, open" };

        for (size_t i = 0; i < 4; i++) {
                int status = in_child(calls[i]);
                attack_expect(exited(status, 10) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS), "%s: wait status %#x", names[i],
                              status);
        }
}
#else
static void foreign_calls(void) {
}
#endif

/* ---- Namespaces and mounts ---- */

static void namespaces(void) {
        static const struct {
                unsigned long flag;
                const char *name;
        } kinds[] = {
                { CLONE_NEWUSER, "user" }, { CLONE_NEWNS, "mnt" },  { CLONE_NEWPID, "pid" },       { CLONE_NEWNET, "net" },
                { CLONE_NEWUTS, "uts" },   { CLONE_NEWIPC, "ipc" }, { CLONE_NEWCGROUP, "cgroup" },
        };

        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                char what[64], path[64];
                snprintf(what, sizeof(what), "clone, namespace %s", kinds[i].name);
                attack_refused(what, syscall(SYS_clone, kinds[i].flag | SIGCHLD, NULL, NULL, NULL, 0), EPERM);
                /* The kernel looks at 32 bits. */
                snprintf(what, sizeof(what), "clone with a high bit, namespace %s", kinds[i].name);
                attack_refused(what, syscall(SYS_clone, kinds[i].flag | SIGCHLD | 1UL << 40, NULL, NULL, NULL, 0), EPERM);
                snprintf(what, sizeof(what), "unshare, namespace %s", kinds[i].name);
                attack_refused(what, unshare(kinds[i].flag), EPERM);
                snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
                int fd = open(path, O_RDONLY);
                snprintf(what, sizeof(what), "setns, namespace %s", kinds[i].name);
                attack_refused(what, setns(fd, kinds[i].flag), EPERM);
                attack_refused(what, setns(fd, 0), EPERM);
        }
}

static void mounts(void) {
        attack_refused("mount tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
        attack_refused("mount bind", mount("/usr", "/tmp", NULL, MS_BIND, NULL), EPERM);
        attack_refused("mount remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
        attack_refused("mount proc", mount("proc", "/proc", "proc", 0, NULL), EPERM);
        attack_refused("umount", umount2("/proc", MNT_DETACH), EPERM);
        attack_refused("umount, masked", umount2("/proc/sys", MNT_DETACH), EPERM);
        attack_refused("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"), EPERM);
        attack_refused("chroot", chroot("/tmp"), EPERM);
        attack_refused("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */), EPERM);
        attack_refused("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, NULL, 0), EPERM, ENOSYS);
        attack_refused("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0), EPERM);
        attack_refused("fsopen", syscall(SYS_fsopen, "tmpfs", 0), EPERM);
        attack_refused("fsconfig", syscall(SYS_fsconfig, 0, 0, NULL, NULL, 0), EPERM);
        attack_refused("fsmount", syscall(SYS_fsmount, 0, 0, 0), EPERM);
        attack_refused("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0), EPERM);
        attack_refused("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0), EPERM);
        attack_refused("statmount", syscall(457, NULL, NULL, 0, 0), EPERM);
        attack_refused("listmount", syscall(458, NULL, NULL, 0, 0), EPERM);
        attack_refused("fanotify_init", syscall(SYS_fanotify_init, 0, 0), EPERM);
}

/* ---- Filters and listeners ---- */

static int load(unsigned flags, unsigned action, int nr) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, action),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int plain_filter(void) {
        if (load(0, SECCOMP_RET_ERRNO | EDOM, SYS_getppid) != 0)
                return 1;
        return syscall(SYS_getppid) == -1 && errno == EDOM ? 0 : 2;
}

static int prctl_filter(void) {
        struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog program = { 1, code };

        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0;
}

/* A newer filter must not decide a call that ours sends to the broker: the older answer stays the strictest. */
static int allowing_filter(void) {
        if (load(0, SECCOMP_RET_ALLOW, SYS_unshare) != 0 || load(0, SECCOMP_RET_LOG, SYS_unshare) != 0 ||
            load(0, SECCOMP_RET_TRACE, SYS_unshare) != 0)
                return 1;
        return syscall(SYS_unshare, CLONE_NEWUSER) == -1 ? 0 : 2;
}

/* Notifications that go to a listener which nobody has end in ENOSYS, never in the call. */
static int orphan_filter(void) {
        if (load(0, SECCOMP_RET_USER_NOTIF, SYS_unshare) != 0)
                return 1;
        return syscall(SYS_unshare, CLONE_NEWUSER) == -1 && errno == ENOSYS ? 0 : 2;
}

static void filters(void) {
        attack_refused("a second listener", load(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF, SYS_getppid), EBUSY);
        attack_refused("a second listener, with TSYNC",
                       load(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
                            SECCOMP_RET_USER_NOTIF, SYS_getppid),
                       EBUSY);
        attack_expect(exited(in_child(plain_filter), 0), "a filter of the program's own doesn't work");
        attack_expect(exited(in_child(prctl_filter), 0), "a filter by prctl doesn't work");
        attack_expect(exited(in_child(allowing_filter), 0), "a newer filter got around the broker");
        attack_expect(exited(in_child(orphan_filter), 0), "a newer filter's notification got around the broker");
}

/* ---- The rest ---- */

static void administration(void) {
        struct timespec time = {};

        attack_refused("userfaultfd", syscall(SYS_userfaultfd, 0), EPERM, ENOSYS);
        attack_refused("userfaultfd, user mode only", syscall(SYS_userfaultfd, 1), EPERM, ENOSYS);
        attack_refused("bpf", syscall(SYS_bpf, 0, NULL, 0), EPERM);
        attack_refused("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
        attack_refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
        attack_refused("init_module", syscall(SYS_init_module, NULL, 0, ""), EPERM);
        attack_refused("finit_module", syscall(SYS_finit_module, 0, "", 0), EPERM);
        attack_refused("delete_module", syscall(SYS_delete_module, "none", 0), EPERM);
        attack_refused("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0), EPERM);
        attack_refused("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM);
        attack_refused("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3), EPERM);
        attack_refused("request_key", syscall(SYS_request_key, "user", "x", NULL, -3), EPERM);
        attack_refused("reboot", syscall(SYS_reboot, 0, 0, 0, NULL), EPERM);
        attack_refused("swapon", syscall(SYS_swapon, "/none", 0), EPERM);
        attack_refused("acct", syscall(SYS_acct, NULL), EPERM);
        attack_refused("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL), EPERM);
        attack_refused("syslog", syscall(SYS_syslog, 3, NULL, 0), EPERM);
        attack_refused("clock_settime", clock_settime(CLOCK_REALTIME, &time), EPERM);
        attack_refused("settimeofday", syscall(SYS_settimeofday, NULL, NULL), EPERM);
        attack_refused("sethostname", sethostname("x", 1), EPERM);
        attack_refused("iopl", syscall(SYS_iopl, 3), EPERM);
        attack_refused("ioperm", syscall(SYS_ioperm, 0x70, 1, 1), EPERM);
        attack_refused("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0), EPERM);
        attack_refused("personality without randomisation", personality(ADDR_NO_RANDOMIZE), EPERM);
        attack_refused("personality with a high bit", syscall(SYS_personality, ADDR_NO_RANDOMIZE | 1UL << 32), EPERM);
        attack_refused("mknod of a disk", mknod("/tmp/disk", S_IFBLK | 0600, 8 << 8), EPERM);
}

static void terminals(void) {
        char c = 'x';

        for (int fd = 0; fd < 3; fd++) {
                attack_refused("TIOCSTI", ioctl(fd, TIOCSTI, &c), EPERM);
                attack_refused("TIOCSTI with a high bit", syscall(SYS_ioctl, fd, TIOCSTI | 1UL << 32, &c), EPERM);
                attack_refused("TIOCLINUX", ioctl(fd, TIOCLINUX, &c), EPERM);
                attack_refused("TIOCLINUX with a high bit", syscall(SYS_ioctl, fd, TIOCLINUX | 1UL << 63, &c), EPERM);
        }
}

static void sockets(void) {
        static const struct {
                int domain, type, protocol;
                const char *name;
        } refused[] = {
                { AF_INET, SOCK_RAW, 1, "raw" },
                { AF_INET6, SOCK_RAW, 58, "raw 6" },
                { AF_PACKET, SOCK_RAW, 0x300, "packet" },
                { AF_PACKET, SOCK_DGRAM, 0, "packet datagrams" },
                { AF_INET, SOCK_STREAM, 262, "MPTCP" },
                { AF_INET, SOCK_STREAM, 132, "SCTP" },
                { AF_INET, SOCK_SEQPACKET, 132, "SCTP packets" },
                { AF_VSOCK, SOCK_STREAM, 0, "vsock" },
                { AF_ALG, SOCK_SEQPACKET, 0, "alg" },
                { AF_NETLINK, SOCK_RAW, NETLINK_AUDIT, "audit" },
                { AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, "netfilter" },
                { AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, "uevent" },
                { AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG, "sock_diag" },
                { AF_BLUETOOTH, SOCK_RAW, 0, "bluetooth" },
                { 44 /* AF_XDP */, SOCK_RAW, 0, "xdp" },
                { 15 /* AF_KEY */, SOCK_RAW, 2, "key" },
                { 30 /* AF_TIPC */, SOCK_DGRAM, 0, "tipc" },
                { 43 /* AF_SMC */, SOCK_STREAM, 0, "smc" },
        };

        for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
                char what[64];
                snprintf(what, sizeof(what), "socket, %s", refused[i].name);
                attack_refused(what, socket(refused[i].domain, refused[i].type, refused[i].protocol), EPERM, EACCES, EAFNOSUPPORT,
                               EPROTONOSUPPORT);
                /* All three are ints. */
                snprintf(what, sizeof(what), "socket with high bits, %s", refused[i].name);
                attack_refused(
                        what,
                        syscall(SYS_socket, refused[i].domain | 1UL << 32, refused[i].type | 1UL << 33, refused[i].protocol | 1UL << 34),
                        EPERM, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT);
        }
}

static void privileges(void) {
        struct rlimit core = {};
        char line[256];
        unsigned seen = 0;
        FILE *f = fopen("/proc/self/status", "r");

        while (f && fgets(line, sizeof(line), f)) {
                static const char *const expected[] = { "CapInh:\t0000000000000000\n",
                                                        "CapPrm:\t0000000000000000\n",
                                                        "CapEff:\t0000000000000000\n",
                                                        "CapBnd:\t0000000000000000\n",
                                                        "CapAmb:\t0000000000000000\n",
                                                        "NoNewPrivs:\t1\n",
                                                        "Seccomp:\t2\n" };
                for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
                        if (strncmp(line, expected[i], strcspn(expected[i], "\t") + 1) == 0) {
                                seen++;
                                attack_expect(strcmp(line, expected[i]) == 0, "status: %s", line);
                        }
        }
        attack_expect(seen == 7, "/proc/self/status has %u of 7 lines", seen);
        if (f)
                fclose(f);
        attack_expect(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max <= 1, "RLIMIT_CORE is %lu", (unsigned long) core.rlim_max);
        core.rlim_cur = core.rlim_max = RLIM_INFINITY;
        attack_refused("raising RLIMIT_CORE", setrlimit(RLIMIT_CORE, &core), EPERM);
}

int main(void) {
        setvbuf(stdout, NULL, _IONBF, 0);
        unknown_calls();
        foreign_calls();
        namespaces();
        mounts();
        filters();
        administration();
        terminals();
        sockets();
        privileges();
        attack_end();
}
