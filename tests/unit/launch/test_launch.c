/*
 * The launcher and the view, looked at from inside and from outside. Everything that makes namespaces happens in `runner`.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "launch.h"
#include "str.h"

#define ORDINARY "setpriv --reuid=65532 --regid=65532 --clear-groups "

static char folder[64], output[65536];
static const char *as = "";

/* Runs a shell command line in which R, P, T and D are the runner, the probe, the terminal driver and a folder that everybody may write. */
static int run(const char *format, ...) _printf_(1, 2);

static int run(const char *format, ...) {
        char line[4096], script[8192];
        va_list args;

        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        snprintf(script, sizeof(script), "exec 2>&1; cd /; D=%s; R=$D/runner; P=\"$D/runner --probe $D/probe\"; T=$D/terminal; A='%s'; %s",
                 folder, as, line);
        FILE *f = popen(script, "r");
        cr_assert(f);
        size_t n = fread(output, 1, sizeof(output) - 1, f);
        output[n] = 0;
        int status = pclose(f);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define has(text) cr_assert(strstr(output, text), "as '%s': no \"%s\" in: %s", as, text, output)
#define lacks(text) cr_assert(!strstr(output, text), "as '%s': \"%s\" in: %s", as, text, output)
#define ends_with_status(status, ...) \
        do { \
                int got_ = run(__VA_ARGS__); \
                cr_assert_eq(got_, status, "as '%s': status %d instead of %d: %s", as, got_, status, output); \
        } while (0)

/* The body once as who we are, and once as an ordinary user where that can be had. */
#define AS_BOTH for (int round_ = 0; round_ < (getuid() == 0 ? 2 : 1); as = ORDINARY, round_++)

static void set_up(void) {
        snprintf(folder, sizeof(folder), "/tmp/test-launch-XXXXXX");
        cr_assert(mkdtemp(folder));
        cr_assert_eq(chmod(folder, 01777), 0);
        char line[4096];
        /* Copies, because an ordinary user may not get into the build folder. */
        snprintf(line, sizeof(line), "cp '%s' %s/runner && cp '%s' %s/probe && cp '%s' %s/terminal && chmod 755 %s/*", getenv("RUNNER"),
                 folder, getenv("PROBE"), folder, getenv("TERMINAL"), folder, folder);
        cr_assert_eq(system(line), 0);
}

static void tear_down(void) {
        char line[128];

        snprintf(line, sizeof(line), "rm -rf %s", folder);
        cr_assert_eq(system(line), 0);
}

TestSuite(launch, .init = set_up, .fini = tear_down, .timeout = 120);

Test(launch, exit_codes) {
        AS_BOTH {
                ends_with_status(0, "$A $R true");
                ends_with_status(7, "$A $R sh -c 'exit 7'");
                ends_with_status(137, "$A $R sh -c 'kill -9 $$'");
                ends_with_status(143, "$A $R sh -c 'kill $$'");
                /* The status must not get lost when the command is the last to go; it did in one of two runs. */
                for (int i = 0; i < 20; i++)
                        ends_with_status(9, "$A $R sh -c 'exit 9'");
        }
}

Test(launch, failures_name_their_step) {
        AS_BOTH {
                ends_with_status(99, "$A $R nonexistent");
                has("failed: exec: No such file or directory");
                ends_with_status(99, "$A $R /nonexistent");
                has("failed: exec: No such file or directory");
                ends_with_status(99, "$A $R /etc/motd");
                has("failed: exec: Permission denied");
                ends_with_status(99, "$A $R --chdir /root true");
                has("failed: chdir: No such file or directory: /root");
                ends_with_status(99, "$A $R --read /nonexistent true");
                has("failed: view: No such file or directory: /nonexistent");
        }
}

Test(launch, missing_user_namespaces) {
        ends_with_status(99, "unshare -Ur sh -c \"echo 0 >/proc/sys/user/max_user_namespaces && $R true\"");
        has("sysctl -w user.max_user_namespaces=10000");
}

/* Root in a user namespace that maps one id only has no others to give. */
Test(launch, nested) {
        ends_with_status(0, "unshare -Ur $R cat /proc/self/uid_map | tr -s ' '");
        has(" 0 0 1\n");
}

Test(launch, directories_are_no_descriptors) {
        AS_BOTH {
                ends_with_status(99, "$A $R true </tmp");
                has("descriptor 0 is a directory");
                ends_with_status(99, "$A $R --pass 5 true 5</tmp");
                has("descriptor 5 is a directory");
        }
}

Test(launch, only_named_descriptors_get_in) {
        AS_BOTH {
                ends_with_status(0, "$A $P /probe fds 5</etc/hostname 9</");
                ends_with_status(0, "$A $P --pass 9 /probe fds 9 5</etc/hostname 9</etc/hostname");
                ends_with_status(1, "$A $P --pass 9 /probe fds 9</etc/hostname");
                ends_with_status(0, "$A $P /probe fds <&- >&- 2>&-");
                ends_with_status(0, "$A $P --null 0 /probe fds");
                ends_with_status(0, "$A $R --null 0 sh -c 'readlink /proc/self/fd/0'");
                has("/dev/null");
                /* What a descriptor allows may be had again by its name. */
                ends_with_status(0, "$A $R cat /dev/stdin </etc/hostname");
                ends_with_status(0, "$A $R --pass 9 cat /proc/self/fd/9 9</etc/hostname");
                ends_with_status(1, "$A $R sh -c 'test -w /proc/self/fd/0 && echo x >/proc/self/fd/0 && exit 0; exit 1' </etc/hostname");
        }
}

Test(launch, init_is_out_of_reach) {
        AS_BOTH {
                ends_with_status(0, "$A $P /probe init");
                ends_with_status(0, "$A $P --none /probe init");
                ends_with_status(0,
                                 "$A $R sh -c 'cat /proc/1/cmdline' secret-argument | tr '\\0' ' ' | grep -v secret | grep sandboxd-init");
        }
}

Test(launch, no_privileges) {
        AS_BOTH {
                ends_with_status(0, "$A $P /probe caps");
                ends_with_status(0, "$A $P /probe root");
                /* These tests may be run under nohup themselves. */
                ends_with_status(0, "$A env --default-signal=HUP $P /probe signals");
                ends_with_status(0, "trap '' INT QUIT TERM USR1; $A env --default-signal=HUP $P /probe signals");
                ends_with_status(1, "$A nohup $P /probe signals");
        }
}

Test(launch, orphans_are_reaped) {
        AS_BOTH
        ends_with_status(0, "$A $P /probe orphans");
}

Test(launch, the_rest_dies_with_the_command) {
        AS_BOTH {
                ends_with_status(0, "$A $R sh -c 'setsid sleep 98.7654 & exit 0'");
                ends_with_status(1, "sleep 0.2; pgrep -f '^sleep 98[.]7654'");
        }
}

Test(view, nothing_can_be_changed, .init = set_up, .fini = tear_down, .timeout = 120) {
        AS_BOTH {
                ends_with_status(0, "$A $P /probe write /proc");
                ends_with_status(0, "$A $P /probe write /etc");
                ends_with_status(0, "$A $P /probe write /usr/lib/ssl");
                ends_with_status(0, "$A $P /probe change /dev");
                ends_with_status(2, "$A $R sh -c 'echo x >/proc/sys/kernel/core_pattern'");
                ends_with_status(2, "$A $R sh -c 'echo b >/proc/sysrq-trigger'");
                ends_with_status(1, "$A $R cat /proc/keys");
                ends_with_status(2, "$A $R ls /proc/acpi /usr/games");
        }
}

Test(view, grants, .init = set_up, .fini = tear_down, .timeout = 120) {
        AS_BOTH {
                ends_with_status(
                        0, "rm -rf $D/w; mkdir -m 777 $D/w; $A $R --write $D/w --chdir $D/w sh -c 'echo a >a && mkdir d e && mv a d && "
                           "ln d/a e/b && mv e/b c && rm -r d e && cat c'");
                ends_with_status(0, "cat $D/w/c");
                has("a");
                /* Writable places without exec run nothing, nor do memfds where the kernel lets us say so. */
                ends_with_status(126, "$A $R --write $D/w --chdir $D/w sh -c 'cp /usr/bin/true t; ./t'");
                ends_with_status(0, "$A $R --exec $D/w --chdir $D/w sh -c 'cp /usr/bin/true t; ./t'");
                ends_with_status(126, "$A $R sh -c 'cp /usr/bin/true /tmp/t; /tmp/t'");
                ends_with_status(1, "$A $R --read $D/w touch $D/w/new");
                has("Read-only file system");
                ends_with_status(0, "$A $R cat /etc/motd");
                has("hello");
                ends_with_status(0, "$A $R --directory /tmp/home/x --directory /usr/share/new sh -c 'stat -c %%a /tmp/home/x; ! test -e "
                                    "/usr/share/new'");
                has("700");
                ends_with_status(1, "$A $R dd if=/dev/zero of=/tmp/f bs=1024 count=1100");
                has("No space left");
        }
        /* As root of the host even memfds don't run; an ordinary user may not say that of a namespace. */
        as = "";
        if (getuid() == 0)
                ends_with_status(0, "$P /probe exec /tmp");
}

/* A link that takes the place of what was planned is not followed. */
Test(view, swapped_sources, .init = set_up, .fini = tear_down, .timeout = 120) {
        AS_BOTH {
                ends_with_status(99, "ln -sfn /root $D/link; $A $R --read $D/link true");
                has("failed: view:");
                ends_with_status(99, "mkdir -p $D/real/below; ln -sfn $D/real $D/link; $A $R --read $D/link/below true");
                has("failed: view:");
        }
}

Test(view, whole_tree, .init = set_up, .fini = tear_down, .timeout = 120) {
        AS_BOTH {
                ends_with_status(0, "$A $R --tree sh -c 'cat /etc/hostname && cat /etc/motd && touch /tmp/x'");
                has("hello");
                ends_with_status(1, "test -e /tmp/x");
                ends_with_status(126, "cp /usr/bin/true $D/t; chmod 755 $D/t; $A $R --tree --write /var/tmp sh -c 'cp /usr/bin/true "
                                      "/dev/shm/t; /dev/shm/t'");
        }
}

Test(launch, namespaces) {
        AS_BOTH {
                ends_with_status(0, "$A $R --none sh -c 'hostname; ls /proc/sys/net/ipv4/conf; grep -c : /proc/net/dev; id -u; cat "
                                    "/proc/self/uid_map'");
                has("test\nall\ndefault\nlo\n1\n");
                ends_with_status(0, "$A $R --none perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "
                                    "\"127.0.0.1:80\") or die $!; "
                                    "IO::Socket::INET->new(\"127.0.0.1:80\") or die $!'");
                ends_with_status(0, "$A $R sh -c 'umask; ls -d /proc/[0-9]* | wc -l'");
                ends_with_status(0, "umask 027; $A $R sh -c 'umask; cat /proc/self/cgroup'");
                has("0027");
        }
}

Test(launch, limits) {
        AS_BOTH {
                ends_with_status(
                        0, "$A $R --files 20 --file-size 4096 --memory 100000000 bash -c 'ulimit -n; ulimit -v; ulimit -c; ulimit -f'");
                has("20\n97656\n");
                ends_with_status(153, "$A $R --file-size 4096 sh -c 'dd if=/dev/zero of=/tmp/f bs=1024 count=8'");
                ends_with_status(12, "$A $R --memory 60000000 perl -e '$x = \"x\" x 100000000; exit 0'");
                /* Far more than the limit, one after the other, and then too many at once. */
                ends_with_status(0, "$A $R --processes 20 bash -c 'for i in {1..400}; do /bin/true || exit 1; done'");
                /* Without a control group root of the host is held by pid_max alone, which leaves the first 300 numbers free. */
                ends_with_status(0, "$A $P --processes 10 /probe forks %d", getuid() == 0 && !*as ? 310 : 10);
        }
}

Test(launch, control_group) {
        if (getuid() != 0)
                cr_skip("control groups of one's own need root here");
        if (run("$R --group --processes 20 --memory 30000000 true") == 97)
                cr_skip("no control group can be made here");
        ends_with_status(137, "$R --group --memory 30000000 perl -e '$x = \"x\" x 100000000'");
        has("of memory was reached (limits: memory)");
        ends_with_status(0, "$P --group --processes 5 /probe forks 5");
        has("the limit of 5 processes was reached (limits: processes)");
        ends_with_status(0, "$R --group --processes 5 --memory 30000000 cat /proc/self/cgroup");
        lacks("sandboxd-");
        /* A hierarchy without the controllers says what it lacks. */
        ends_with_status(97,
                         "unshare -m sh -c \"umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; "
                         "grep -q pids /sys/fs/cgroup/cgroup.controllers && echo controllers && exit 97; $R --group --processes 5 true\"");
        has("controllers");
        /* Nothing stays, not even when the supervisor is killed. */
        ends_with_status(1, "$R --group --processes 5 --memory 50000000 sleep 50 & p=$!; sleep 0.3; kill -9 $p; sleep 0.5; find "
                            "/sys/fs/cgroup -name 'sandboxd-'$p'-*' | grep .");
}

Test(launch, terminal) {
        AS_BOTH {
                ends_with_status(0, "$A $T -- $R sh -c 'tty; stty size; test -t 0 && test -t 1 && test -t 2 && exec 3</dev/tty'");
                has("/dev/pts/0\r\n31 97\r\n");
                /* exec, because a shell that waits in vfork is no good at being stopped. */
                ends_with_status(130, "$A $T ready '^C' -- $R sh -c 'echo rea\"\"dy; exec sleep 100'");
                /* Ctrl-Z stops the job; the runner continues it at once, as `fg` would. */
                ends_with_status(0, "$A $T ready '^Z' 'stopped: 20' '' -- $R sh -c 'echo rea\"\"dy; exec sleep 1'");
                ends_with_status(5, "$A $T '$ ' 'sh -c \"echo be\\\"\\\"gun; exec sleep 50\"~' begun '^Z' Stopped 'exit 5~' 'stopped jobs' "
                                    "'exit 5~' -- $R env PS1='$ ' bash --norc -i");
                /* One of three is enough to be looked at through the terminal. */
                ends_with_status(0, "$A $T -- sh -c 'echo | $0 readlink /proc/self/fd/0 /proc/self/fd/1' $R");
                has("/dev/pts/0");
                has("pipe:");
        }
}

/* The number of processes, zombies not counted, whose command line holds the folder's name. */
static int alive(void) {
        char path[300], text[4096];
        DIR *dir = opendir("/proc");
        const struct dirent *entry;
        int n = 0;

        while ((entry = readdir(dir))) {
                snprintf(path, sizeof(path), "/proc/%s/environ", entry->d_name);
                int fd = open(path, O_RDONLY);
                ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
                if (fd >= 0)
                        close(fd);
                n += size > 0 && memmem(text, size, folder, strlen(folder)) != NULL;
        }
        closedir(dir);
        return n;
}

/* Kills the supervisor in the middle, many times: nobody lives on, and no call of the sandbox is answered by the kernel's ENOSYS. */
Test(launch, killed_supervisor) {
        AS_BOTH {
                ends_with_status(
                        0,
                        "touch $D/out; chmod 666 $D/out; for i in $(seq 100); do MARK=$D $A $P --notify /probe calls >>$D/out 2>&1 & p=$!; "
                        "perl -e 'select undef, undef, undef, 0.012 + rand 0.03'; kill -9 $p; done; sleep 0.5; echo said $(grep -c . "
                        "$D/out)");
                has("said 0\n");
                cr_assert_eq(alive(), 0, "as '%s': %d processes live on", as, alive());
        }
}

Test(launch, killed_worker) {
        AS_BOTH {
                ends_with_status(99, "$A $R --worker-dies sleep 50");
                has("worker: 9");
        }
}

Test(launch, broker_answers) {
        AS_BOTH {
                ends_with_status(1, "$A $R --notify uname");
                has("not unique");
                ends_with_status(0, "$A $R uname");
        }
}

Test(launch, subordinate_ids) {
        if (getuid() != 0)
                cr_skip("needs an entry in /etc/subuid");
        as = ORDINARY;
        ends_with_status(99, "$A $R --subordinate true");
        has("/etc/subuid gives none");
        /* With an account made up in a mount namespace of the test's own. */
        ends_with_status(
                0, "(cat /etc/passwd; echo probe:x:65532:65532::/:/bin/sh) >$D/passwd; (cat /etc/group; echo probe:x:65532:) >$D/group; "
                   "echo probe:100000:65536 >$D/subuid; cp $D/subuid $D/subgid; chmod 644 $D/subuid $D/subgid $D/passwd $D/group; "
                   "unshare -m sh -c \"for f in passwd group subuid subgid; do mount --bind $D/\\$f /etc/\\$f || exit 1; done; "
                   "$A $R --subordinate cat /proc/self/uid_map /proc/self/gid_map\" | tr -s ' '");
        has(" 0 0 65532\n 65532 65532 1\n 65533 65533 4\n 0 0 65532\n 65532 65532 1\n 65533 65533 4\n");
}

/* Asks for a bind as the worker would; returns the answer. */
static int ask_for_port(const struct plan *plan, int family, int type, uint16_t port, bool with_socket) {
        struct launched launched = {};
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int pair[2], answer = 1, fd = socket(family, type, 0);

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        launched.low_port_socket = pair[0];
        cr_assert_eq(fd_send(pair[1], &address, sizeof(address), &fd, with_socket), 0);
        cr_assert_eq(launch_serve_low_port(&launched, plan), 0);
        cr_assert_eq(read(pair[1], &answer, sizeof(answer)), sizeof(answer));
        close(pair[1]);
        cr_assert_eq(launch_serve_low_port(&launched, plan), -EPIPE);
        close(pair[0]);
        close(fd);
        return answer;
}

/* The supervisor binds what its own copy of the plan names, whatever the worker says. */
Test(low_port, only_what_is_named) {
        struct port_range ports[] = { { 987, 987 }, { 8987, 8987 } };
        struct net_rule rule = { .kind = NET_TCP, .family = AF_UNSPEC, .ports = ports, .n_ports = 2 };
        struct policy policy = { .network = { .mode = NETWORK_HOST, .bind = { .rules = &rule, .n = 1 } } };
        uint16_t low[] = { 987 };
        const struct plan plan = { .policy = &policy, .low_ports = low, .n_low_ports = 1 };

        int r = ask_for_port(&plan, AF_INET, SOCK_STREAM, 987, true);
        cr_assert(r == (getuid() == 0 ? 0 : -EACCES), "%d", r);
        cr_assert_eq(ask_for_port(&plan, AF_INET, SOCK_STREAM, 986, true), -EACCES);
        cr_assert_eq(ask_for_port(&plan, AF_INET, SOCK_STREAM, 8987, true), -EACCES);
        cr_assert_eq(ask_for_port(&plan, AF_INET, SOCK_DGRAM, 987, true), -EACCES);
        cr_assert_eq(ask_for_port(&plan, AF_INET6, SOCK_STREAM, 987, true), -EAFNOSUPPORT);
        cr_assert_eq(ask_for_port(&plan, AF_INET, SOCK_STREAM, 987, false), -EBADF);
}
