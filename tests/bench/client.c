/*
 * The measured side. It makes the same calls whoever answers them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "fd.h"

const char *const case_names[N_CASES] = { "value", "uname", "stat", "open+close", "connect" };
const unsigned case_iterations[N_CASES] = { 1500, 1000, 1000, 700, 300 };

double bench_now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1e9 + now.tv_nsec;
}

/* ---- the operations ---- */

static struct sockaddr_in server_address;
static int server = -1;

static int start_server(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(server_address);

        server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (server < 0 || bind(server, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(server, 64) < 0 ||
            getsockname(server, (struct sockaddr *) &server_address, &size) < 0)
                return -errno;
        return 0;
}

static int one_connect(void) {
        struct linger at_once = { .l_onoff = 1 };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &server_address, sizeof(server_address)) < 0)
                return -errno;
        /* No TIME_WAIT, of which thousands would be left. */
        if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0)
                return -errno;
        _cleanup_close_ int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        return peer < 0 ? -errno : 0;
}

static int one(enum bench_case what) {
        struct utsname name;
        struct stat st;
        int fd;

        switch (what) {
        case CASE_VALUE:
                /* Below a policy that refuses it, an errno is all that comes back; natively it is a number. */
                (void) syscall(SYS_getpgid, 0);
                return 0;
        case CASE_UNAME: return uname(&name) < 0 ? -errno : 0;
        case CASE_STAT: return syscall(SYS_newfstatat, AT_FDCWD, BENCH_FILE, &st, 0) < 0 ? -errno : 0;
        case CASE_OPEN:
                fd = open(BENCH_FILE, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                return close(fd) < 0 ? -errno : 0;
        case CASE_CONNECT: return one_connect();
        default: return -EINVAL;
        }
}

static double measure(enum bench_case what, unsigned n) {
        for (unsigned i = 0; i < n / 10; i++) {
                int r = one(what);
                if (r < 0)
                        return r;
        }
        double begin = bench_now();
        for (unsigned i = 0; i < n; i++) {
                int r = one(what);
                if (r < 0)
                        return r;
        }
        return (bench_now() - begin) / n;
}

int client_run(void) {
        unsigned what, n;

        if (start_server() < 0)
                return 1;
        while (scanf("%u %u", &what, &n) == 2) {
                printf("%.1f\n", what < N_CASES && n > 0 ? measure(what, n) : -1.0);
                fflush(stdout);
        }
        return 0;
}

/* ---- the measuring side's view of it ---- */

int client_start(struct client *client, const char *const *argv) {
        int in[2], out[2];

        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
                return -errno;
        client->pid = fork();
        if (client->pid < 0)
                return -errno;
        if (client->pid == 0) {
                if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
                        _exit(125);
                execv(argv[0], (char *const *) argv);
                _exit(127);
        }
        close(in[0]);
        close(out[1]);
        client->in = in[1];
        client->out = out[0];
        return 0;
}

double client_ask(struct client *client, enum bench_case what) {
        char text[64] = {};
        size_t n = 0;

        snprintf(text, sizeof(text), "%u %u\n", what, case_iterations[what]);
        if (fd_write_full(client->in, text, strlen(text)) < 0)
                return -1;
        while (n < sizeof(text) - 1) {
                ssize_t got = read(client->out, text + n, 1);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        return -1;
                if (text[n++] == '\n')
                        break;
        }
        text[n] = 0;
        return atof(text);
}

void client_stop(struct client *client) {
        close(client->in);
        close(client->out);
        while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
                ;
}
