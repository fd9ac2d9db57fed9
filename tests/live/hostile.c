/*
 * A client of sandboxd that means no good: it hands over what isn't what it says. Run by isolation.bats.
 *
 *   hostile adopt NAME FIELD KIND [PLAN]  an adoption in which FIELD (plan, init, control, listener, user, root, log) is of a KIND; PLAN is a file with the
 *                                         plan's text. Says "taken", or the error's name.
 *   hostile call KIND                     a descriptor to a method that there isn't
 *   hostile connections N                 as many, silent; says how many are still open after a second, and goes on until it is killed
 *
 * Whatever it hands over it goes on holding, and reads nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "str.h"
#include "sys.h"

#define FIELDS 7
static const char *const fields[FIELDS] = { "plan", "init", "control", "listener", "user", "root", "log" };

static int fail(const char *what, int error) {
        fprintf(stderr, "hostile: %s: %s\n", what, strerror(error));
        exit(1);
}

static int check(const char *what, int fd) {
        return fd >= 0 ? fd : fail(what, errno);
}

/* Forks a child that dies with us; where we are dead already, at once. */
static pid_t fork_along(void) {
        pid_t parent = getpid(), pid = fork();

        if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(0);
        return pid;
}

static int pidfd_of_child(void) {
        pid_t pid = fork_along();

        if (pid == 0) {
                pause();
                _exit(0);
        }
        return check("pidfd", sys_pidfd_open(pid, 0));
}

static int listener(void) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = { .len = 1, .filter = &allow };

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return check("seccomp", sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

/* One whose own end nobody reads, full, and which blocks whoever sends without saying that it mustn't. */
static int full_socket(int type) {
        char byte[256] = "";
        int pair[2];

        if (socketpair(AF_UNIX, type, 0, pair) < 0)
                fail("socketpair", errno);
        while (send(pair[0], byte, sizeof(byte), MSG_DONTWAIT) > 0)
                ;
        return pair[0];
}

/* Takes one message, and from then on lets nobody send more, whoever of us has set what. */
static int deaf_socket(void) {
        char byte[256];
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
                fail("socketpair", errno);
        if (fork_along() == 0) {
                (void) !read(pair[1], byte, sizeof(byte));
                fcntl(pair[0], F_SETFL, 0);
                while (send(pair[0], byte, sizeof(byte), MSG_DONTWAIT) > 0)
                        ;
                pause();
        }
        return pair[0];
}

static int memory(size_t size, unsigned seals) {
        int fd = check("memfd", memfd_create("hostile", MFD_ALLOW_SEALING));

        if (ftruncate(fd, size) < 0 || (seals && fcntl(fd, F_ADD_SEALS, seals) < 0))
                fail("memfd", errno);
        return fd;
}

static int by_kind(const char *kind) {
        int pair[2];

        if (str_equal(kind, "directory"))
                return check(kind, open("/", O_RDONLY | O_DIRECTORY));
        if (str_equal(kind, "path"))
                return check(kind, open("/etc/shadow", O_PATH));
        if (str_equal(kind, "device"))
                return check(kind, open("/dev/zero", O_RDWR));
        if (str_equal(kind, "pipe"))
                return pipe(pair) < 0 ? fail(kind, errno) : pair[1];
        if (str_equal(kind, "file"))
                return check(kind, open("/etc/passwd", O_RDONLY));
        if (str_equal(kind, "proc"))
                return check(kind, open("/proc/self/mem", O_RDWR));
        if (str_equal(kind, "event"))
                return check(kind, eventfd(0, 0));
        if (str_equal(kind, "stream"))
                return full_socket(SOCK_STREAM);
        if (str_equal(kind, "full"))
                return full_socket(SOCK_SEQPACKET);
        if (str_equal(kind, "deaf"))
                return deaf_socket();
        if (str_equal(kind, "unsealed"))
                return memory(4096, 0);
        if (str_equal(kind, "half-sealed"))
                return memory(4096, F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
        if (str_equal(kind, "huge"))
                return memory(1UL << 40, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
        if (str_equal(kind, "namespace"))
                return check(kind, open("/proc/self/ns/mnt", O_RDONLY));
        /* A number that we were started with. */
        int fd = atoi(kind);
        return fd > 2 ? fd : fail(kind, EINVAL);
}

static char *read_text(const char *path, size_t *ret) {
        char *text;
        int fd = check(path, open(path, O_RDONLY));

        return fd_read_file(fd, 64 << 20, &text, ret) < 0 ? NULL : text;
}

static int good(size_t field, const char *plan) {
        size_t size = 0;
        char *text = NULL;
        int pair[2];

        switch (field) {
        case 0: text = plan ? read_text(plan, &size) : NULL; return check("memfd", fd_memfd("plan", text ?: "no plan", text ? size : 7));
        case 1: return pidfd_of_child();
        case 2: return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ? fail("socketpair", errno) : pair[0];
        case 3: return listener();
        case 4: return check("user", open("/proc/self/ns/user", O_RDONLY));
        case 5: return check("root", open("/", O_PATH | O_DIRECTORY));
        default: return check("log", open("/dev/null", O_WRONLY));
        }
}

static int say(int r, const sd_bus_error *error) {
        puts(r >= 0 ? "taken" : error->name ?: strerrorname_np(-r));
        fflush(stdout);
        return 0;
}

static void sending(void) {
        fputs("sending\n", stderr);
}

static int adopt(sd_bus *bus, char **words, const char *plan) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        int fds[FIELDS], r;

        for (size_t i = 0; i < FIELDS; i++)
                fds[i] = str_equal(fields[i], words[1]) ? by_kind(words[2]) : good(i, plan);
        r = sd_bus_message_new_method_call(bus, &m, NULL, CONTROL_PATH, CONTROL_MANAGER, "Adopt");
        if (r >= 0)
                r = sd_bus_message_append(m, CONTROL_ADOPT, words[0], fds[0], fds[1], fds[2], fds[3], fds[4], 6, "policy", "s", "hostile",
                                          "command", "as", 1, "true", "wait-killable", "b", 1, "record", "u", 0, "root", "h", fds[5], "log",
                                          "h", fds[6]);
        if (r < 0)
                fail("message", -r);
        sending();
        r = sd_bus_call(bus, m, 20000000, &error, &reply);
        return say(r, &error);
}

static int call(sd_bus *bus, const char *kind) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        sending();
        return say(sd_bus_call_method(bus, NULL, "/nowhere", "no.such.Interface", "Method", &error, NULL, "h", by_kind(kind)), &error);
}

static _noreturn_ void connections(const char *path, int n) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct pollfd *list = calloc(n, sizeof(*list));
        int open_ones = 0;

        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        for (int i = 0; i < n; i++) {
                list[i] = (struct pollfd) { .fd = check("socket", socket(AF_UNIX, SOCK_STREAM, 0)), .events = POLLIN };
                if (connect(list[i].fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                        fail("connect", errno);
        }
        sleep(1);
        poll(list, n, 0);
        for (int i = 0; i < n; i++)
                open_ones += list[i].revents == 0;
        printf("%d\n", open_ones);
        fflush(stdout);
        for (;;)
                pause();
}

int main(int argc, char **argv) {
        const char *path = getenv("SANDBOXD_SOCKET");
        char own[CONTROL_SOCKET_SIZE];
        sd_bus *bus;

        if (argc == 3 && path && str_equal(argv[1], "connections"))
                connections(path, atoi(argv[2]));
        int r = control_connect(&bus, own);
        if (r < 0)
                return fail(own, -r);
        if (argc >= 5 && str_equal(argv[1], "adopt"))
                return adopt(bus, argv + 2, argv[5]);
        if (argc == 3 && str_equal(argv[1], "call"))
                return call(bus, argv[2]);
        return fail("words", EINVAL);
}
