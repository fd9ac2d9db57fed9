/*
 * Ports below 1024 that a rule names, for sandboxes of root's. The worker has no right over the host any more when it learns that its programs bind one, so
 * a process is forked off before that which keeps this one right: CAP_NET_BIND_SERVICE, and nothing else. It reads the plan itself, once it is asked
 * for the first time, and believes nothing else that the worker says: lib/launch/lowport.c. It ends with the worker.
 *
 * Only for who could bind such a port without us, which the client shows by a socket that it has bound to one: to the address that its pid gives, since other
 * such sockets could be anybody's, who was given them. Asking /proc for its capabilities would take more rights than we have.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "plan.h"
#include "sandboxd.h"
#include "sys.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* ---- in the daemon ---- */

/* Our network namespace, where a port is one of the host's. */
static bool same_network(int fd) {
        _cleanup_close_ int own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        uint64_t one, other;
        socklen_t size = sizeof(one);

        return own >= 0 && getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &one, &size) == 0 &&
               getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &other, &size) == 0 && one == other;
}

bool ports_proven(int fd, uid_t uid, pid_t pid) {
        struct sockaddr_in address, wanted;
        socklen_t size = sizeof(address);

        if (uid != 0 || geteuid() != 0 || getsockname(fd, (struct sockaddr *) &address, &size) < 0 || size != sizeof(address))
                return false;
        control_port_proof(pid, &wanted);
        return address.sin_family == AF_INET && address.sin_port == wanted.sin_port && address.sin_addr.s_addr == wanted.sin_addr.s_addr &&
               same_network(fd);
}

/* ---- in the process ---- */

static int confine(void) {
        const uint32_t bit = 1U << CAP_NET_BIND_SERVICE;
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { .effective = bit, .permitted = bit } };

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_NAME, "sandboxd-ports", 0, 0, 0) < 0 || syscall(SYS_capset, &header, data) < 0)
                return -errno;
        return 0;
}

static int keep_only(int plan, int socket, int *ret_plan, int *ret_socket) {
        *ret_plan = fcntl(plan, F_DUPFD_CLOEXEC, 100);
        *ret_socket = fcntl(socket, F_DUPFD_CLOEXEC, 100);
        if (*ret_plan < 0 || *ret_socket < 0 || dup2(*ret_plan, 3) < 0 || dup2(*ret_socket, 4) < 0)
                return -errno;
        *ret_plan = 3;
        *ret_socket = 4;
        return syscall(SYS_close_range, 5, ~0U, 0) < 0 ? -errno : 0;
}

static _noreturn_ void serve(int plan_fd, int socket) {
        struct policy_report report = {};
        struct launched launched = LAUNCHED_INIT;
        struct policy *policy;
        struct plan *plan;
        int r = keep_only(plan_fd, socket, &plan_fd, &launched.low_port_socket);

        if (r < 0 || (r = confine()) < 0)
                _exit(WORKER_CANT);
        struct pollfd p = { .fd = launched.low_port_socket, .events = POLLIN };
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
                ;
        if (!(p.revents & POLLIN) || plan_load_fd(plan_fd, &policy, &plan, &report) < 0)
                _exit(WORKER_DONE);
        do
                r = launch_serve_low_port(&launched, plan);
        while (r >= 0 || r == -EMSGSIZE);
        _exit(WORKER_DONE);
}

int ports_start(int plan, int *ret) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        /* Twice, so that its end is not the worker's matter. */
        pid_t pid = fork();
        if (pid == 0) {
                if (fork() != 0)
                        _exit(0);
                fd_close(pair[0]);
                serve(plan, pair[1]);
        }
        fd_close(pair[1]);
        if (pid < 0) {
                int r = -errno;
                fd_close(pair[0]);
                return r;
        }
        sys_reap(pid, NULL);
        *ret = pair[0];
        return 0;
}
