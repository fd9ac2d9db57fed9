/*
 * The daemon that takes the listener. Root's is a service; a user's is started here where there is none, as for the first container of a rootless
 * Podman.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "fd.h"
#include "path.h"
#include "runtime.h"
#include "str.h"
#include "sys.h"

#define START_SECONDS 10
#define LOG "log"

bool agent_is_root(void) {
        unsigned long inside, outside, n;
        _cleanup_fclose_ FILE *map = fopen("/proc/self/uid_map", "re");

        return getuid() == 0 && map && fscanf(map, "%lu %lu %lu", &inside, &outside, &n) == 3 && inside == 0 && outside == 0 &&
               n == UINT32_MAX;
}

int agent_socket(char ret[CONTROL_SOCKET_SIZE]) {
        return control_agent(agent_is_root() ? 0 : NOBODY, ret);
}

static int try(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        return fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
}

static const char *daemon_path(void) {
        char exe[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

        exe[n > 0 ? n : 0] = 0;
        return str_starts(exe, SANDBOXD_BUILD_DIR "/") ? SANDBOXD_BUILD_DIR "/daemon/sandboxd" : SANDBOXD_DAEMON;
}

/* Beside its socket; what a service has in the journal. */
static int open_beside(const char *socket_path, const char *name, int flags) {
        _cleanup_free_ char *path = NULL;
        const char *slash = strrchr(socket_path, '/');
        int fd, r;

        if (asprintf(&path, "%.*s/%s", (int) (slash - socket_path), socket_path, name) < 0)
                return -ENOMEM;
        r = path_make_parents(path, 0700);
        if (r < 0)
                return r;
        fd = open(path, O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | flags, 0600);
        return fd < 0 ? -errno : fd;
}

/* Twice forked, so that it is nobody's child who might wait for it, and holds none of the engine's descriptors. */
static int spawn(const char *socket_path) {
        const char *program = daemon_path(), *on_demand = agent_is_root() ? NULL : "--on-demand";
        _cleanup_close_ int log = on_demand ? open_beside(socket_path, LOG, O_WRONLY | O_APPEND) : -1;
        pid_t pid = fork();
        int status = -1;

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);
                if (setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log >= 0 ? log : null, 2) < 0 ||
                    close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
                        _exit(1);
                pid = fork();
                if (pid == 0)
                        execl(program, "sandboxd", on_demand, NULL);
                _exit(pid <= 0);
        }
        sys_reap(pid, &status);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

int agent_ensure(const char *socket_path, char **ret_why) {
        const struct timespec pause = { .tv_nsec = 20000000 };
        _cleanup_close_ int lock = -1;
        int r = try(socket_path);

        /* Of several who find nobody one starts it. */
        if ((r == -ENOENT || r == -ECONNREFUSED) && !agent_is_root()) {
                lock = open_beside(socket_path, "lock", O_RDWR);
                if (lock < 0 || flock(lock, LOCK_EX) < 0)
                        return WHY(ret_why, "no sandboxd listens on %s, and none can be started: %s", socket_path,
                                   strerror(lock < 0 ? -lock : errno));
                r = try(socket_path);
        }
        if (r == 0)
                return 0;
        if (r != -ENOENT && r != -ECONNREFUSED)
                return WHY(ret_why, "sandboxd can't be reached on %s: %s", socket_path, strerror(-r));
        r = spawn(socket_path);
        if (r < 0)
                return WHY(ret_why, "no sandboxd listens on %s, and none can be started: %s", socket_path, strerror(-r));
        for (time_t end = time(NULL) + START_SECONDS; time(NULL) < end; nanosleep(&pause, NULL))
                if (try(socket_path) == 0)
                        return 0;
        return WHY(ret_why, "no sandboxd listens on %s, and the one that was started (%s) does not%s", socket_path, daemon_path(),
                   agent_is_root() ? "" : ": the file `" LOG "` there says why");
}
