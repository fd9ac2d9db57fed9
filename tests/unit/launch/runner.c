/*
 * Runs a command by launch() with a plan made by hand: what the tests of the launcher and of the view look at from inside.
 *
 *   runner [--none] [--write DIR] [--read DIR] [--exec DIR] [--tree] [--processes N] [--memory N] [--files N] [--file-size N] [--group]
 *          [--pass FD] [--null FD] [--chdir DIR] [--directory DIR] [--subordinate] [--notify] [--worker-dies] [--no-worker] CMD…
 *
 * Exit status: the command's, 128 + n for a signal, 99 with a line on standard error when it was not started. --notify sends uname to the
 * worker, which answers ENOTUNIQ.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "launch.h"
#include "str.h"
#include "sys.h"

static struct node nodes[64];
static struct policy policy;
static struct plan plan = { .policy = &policy, .nodes = nodes };
static const char *devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
static bool worker_dies, group;

static struct node *node_add(enum node_kind kind, const char *path) {
        struct node *n = &nodes[plan.n_nodes++];

        *n = (struct node) { .kind = kind, .path = (char *) path, .directory = true };
        return n;
}

static void bind_add(const char *path, unsigned rights) {
        struct stat st;
        struct node *n = node_add(NODE_BIND, path);

        n->source = (char *) path;
        n->rights = rights;
        n->directory = stat(path, &st) >= 0 && S_ISDIR(st.st_mode);
}

static void plan_make(void) {
        static const char *const links[] = { "bin", "lib", "lib64", "sbin" };
        static char paths[4][8], texts[4][16];

        bind_add("/usr", RIGHT_READ | RIGHT_EXEC);
        for (size_t i = 0; i < ELEMENTSOF(links); i++) {
                snprintf(paths[i], sizeof(paths[i]), "/%s", links[i]);
                snprintf(texts[i], sizeof(texts[i]), "usr/%s", links[i]);
                node_add(NODE_LINK, paths[i])->text = texts[i];
        }
        node_add(NODE_DIR, "/etc");
        bind_add("/etc/ld.so.cache", RIGHT_READ);
        bind_add("/etc/alternatives", RIGHT_READ);
        struct node *motd = node_add(NODE_FILE, "/etc/motd");
        motd->text = (char *) "hello\n";
        motd->text_size = 6;
        node_add(NODE_PROC, "/proc");
        node_add(NODE_DEV, "/dev");
        node_add(NODE_TMPFS, "/dev/shm")->size = 1 << 20;
        node_add(NODE_TMPFS, "/tmp")->size = 1 << 20;
        node_add(NODE_MASK, "/usr/games");
        policy.devices = (char **) devices;
        policy.n_devices = ELEMENTSOF(devices);
}

/* Answers every notification with ENOTUNIQ until nobody is left. */
static int worker_main(void *userdata, const struct launch_worker *w) {
        int listener = w->listener;

        if (worker_dies)
                raise(SIGKILL);
        for (;;) {
                struct pollfd p = { .fd = listener, .events = POLLIN };
                struct seccomp_notif notif = {};

                if (poll(&p, 1, -1) < 0)
                        continue;
                if (p.revents & POLLHUP)
                        return 0;
                if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0)
                        continue;
                struct seccomp_notif_resp reply = { .id = notif.id, .error = -ENOTUNIQ };
                (void) ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
        }
}

/* Relays the terminal for as long as there is something to relay. */
static void relay(int pty) {
        char buffer[4096];
        ssize_t n;

        while ((n = read(pty, buffer, sizeof(buffer))) > 0)
                if (write(1, buffer, n) != n)
                        return;
}

static int supervise(struct launched *l, const struct launch_options *options) {
        struct pollfd polls[] = {
                { .fd = l->control, .events = POLLIN },
                { .fd = l->init_pidfd, .events = POLLIN },
                { .fd = l->pty, .events = POLLIN },
                { .fd = l->pty >= 0 ? 0 : -1, .events = POLLIN },
        };
        struct launch_event event = {};
        int status = 99, code, r;
        char buffer[256];
        ssize_t n;

        for (;;) {
                if (poll(polls, ELEMENTSOF(polls), -1) < 0)
                        continue;
                if (polls[2].revents)
                        relay(l->pty);
                if (polls[2].revents & POLLHUP)
                        polls[2].fd = -1;
                if (polls[3].revents) {
                        n = read(0, buffer, sizeof(buffer));
                        if (n <= 0)
                                polls[3].fd = -1;
                        else if (write(l->pty, buffer, n) != n)
                                break;
                }
                while ((r = launch_event_receive(l, &event)) >= 0)
                        if (event.type == LAUNCH_EXITED)
                                status = WIFSIGNALED(event.status) ? 128 + WTERMSIG(event.status) : WEXITSTATUS(event.status);
                        else if (event.type == LAUNCH_FAILED)
                                fprintf(stderr, "failed: %s: %s: %s\n", event.stage, strerror(event.error), event.text);
                        else if (event.type == LAUNCH_STOPPED) {
                                fprintf(stderr, "stopped: %d\n", event.status);
                                struct launch_command command = { .type = LAUNCH_CONTINUE };
                                (void) launch_command_send(l, &command);
                        }
                if (r != -EAGAIN)
                        polls[0].fd = -1;
                if (polls[1].revents)
                        break;
        }
        if (l->pty >= 0)
                relay(l->pty);
        waitpid(l->init, &code, 0);
        waitpid(l->worker, &code, 0);
        if (code != 0)
                fprintf(stderr, "worker: %d\n", code);
        return status;
}

static int filter_make(struct filter *ret, bool notify) {
        static struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        static struct sock_filter uname_only[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };

        ret->known = (struct sock_fprog) { .len = 1, .filter = allow };
        ret->notify = notify ? (struct sock_fprog) { .len = 4, .filter = uname_only } : (struct sock_fprog) { .len = 1, .filter = allow };
        return 0;
}

int main(int argc, char **argv) {
        static const char *environment[] = { "PATH=/usr/bin:/bin:/usr/sbin", "LANG=C", "HOME=/tmp", NULL };
        static int pass[8];
        static const char *directories[8];
        struct filter filter;
        struct launched launched;
        struct cgroup *cgroup = NULL;
        bool notify = false;
        struct launch_options options = {
                .plan = &plan,
                .filter = &filter,
                .wait_killable = true,
                .name = "test",
                .environment = (char *const *) environment,
                .chdir = "/",
                .stdio = { 0, 1, 2 },
                .pass_fds = pass,
                .directories = directories,
                .uid = getuid(),
                .gid = getgid(),
                .worker = worker_main,
        };
        _cleanup_free_ char *error = NULL;
        int i = 1;

        for (int fd = 0; fd < 3; fd++)
                options.stdio[fd] = fcntl(fd, F_GETFD) < 0 ? -1 : fd;
        policy.network.mode = NETWORK_HOST;
        plan_make();
        for (; i < argc && str_starts(argv[i], "--"); i++) {
                const char *name = argv[i] + 2, *value = i + 1 < argc ? argv[i + 1] : "";

                if (str_equal(name, "none"))
                        policy.network.mode = NETWORK_NONE;
                else if (str_equal(name, "tree"))
                        plan.files_brokered = true;
                else if (str_equal(name, "group"))
                        group = true;
                else if (str_equal(name, "notify"))
                        notify = true;
                else if (str_equal(name, "subordinate"))
                        policy.subordinate_ids = true;
                else if (str_equal(name, "worker-dies"))
                        worker_dies = true;
                else {
                        i++;
                        if (str_equal(name, "write"))
                                bind_add(value, RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE);
                        else if (str_equal(name, "probe")) {
                                bind_add(value, RIGHT_READ | RIGHT_EXEC);
                                nodes[plan.n_nodes - 1].path = (char *) "/probe";
                        } else if (str_equal(name, "read"))
                                bind_add(value, RIGHT_READ);
                        else if (str_equal(name, "exec"))
                                bind_add(value, RIGHT_READ | RIGHT_EXEC | RIGHT_WRITE | RIGHT_APPEND);
                        else if (str_equal(name, "processes"))
                                policy.limits.processes = atoi(value);
                        else if (str_equal(name, "memory"))
                                policy.limits.memory = atol(value);
                        else if (str_equal(name, "files"))
                                policy.limits.open_files = atoi(value);
                        else if (str_equal(name, "file-size"))
                                policy.limits.file_size = atol(value);
                        else if (str_equal(name, "pass"))
                                pass[options.n_pass_fds++] = atoi(value);
                        else if (str_equal(name, "null"))
                                options.stdio[atoi(value)] = -1;
                        else if (str_equal(name, "chdir"))
                                options.chdir = value;
                        else if (str_equal(name, "directory"))
                                directories[options.n_directories++] = value;
                        else
                                return 98;
                }
        }
        options.argv = argv + i;
        filter_make(&filter, notify);
        if (group && cgroup_new(&policy.limits, &cgroup, &error) < 0) {
                fprintf(stderr, "no group: %s\n", error);
                return 97;
        }
        options.cgroup = cgroup ? cgroup_path(cgroup) : NULL;
        if (launch(&options, &launched, &error) < 0) {
                fprintf(stderr, "not launched: %s\n", error);
                return 99;
        }
        struct termios saved, raw;
        bool terminal = launched.pty >= 0 && tcgetattr(0, &saved) >= 0;
        if (terminal) {
                raw = saved;
                cfmakeraw(&raw);
                tcsetattr(0, TCSANOW, &raw);
        }
        int code = supervise(&launched, &options);
        if (terminal)
                tcsetattr(0, TCSANOW, &saved);
        _cleanup_free_ char *events = cgroup ? cgroup_events(cgroup, &policy.limits) : NULL;
        if (events)
                fprintf(stderr, "%s\n", events);
        launched_done(&launched);
        cgroup_free(cgroup);
        return code;
}
