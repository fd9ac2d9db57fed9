/*
 * Where a daemon listens. Apart from the rest, so that who only wants to know it needs no bus.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "control.h"

_Static_assert(CONTROL_SOCKET_SIZE == sizeof(((struct sockaddr_un *) 0)->sun_path), "size of a socket's path");

static int path_of(const char *variable, const char *name, uid_t uid, char ret[CONTROL_SOCKET_SIZE]) {
        const char *named = getenv(variable), *runtime = getenv("XDG_RUNTIME_DIR");
        int n;

        if (named && named[0] == '/')
                n = snprintf(ret, CONTROL_SOCKET_SIZE, "%s", named);
        else if (uid == 0)
                n = snprintf(ret, CONTROL_SOCKET_SIZE, "/run/sandboxd/%s", name);
        else if (runtime && runtime[0] == '/')
                n = snprintf(ret, CONTROL_SOCKET_SIZE, "%s/sandboxd/%s", runtime, name);
        else
                return -ENOENT;
        return n < CONTROL_SOCKET_SIZE ? 0 : -ENAMETOOLONG;
}

int control_socket(uid_t uid, char ret[CONTROL_SOCKET_SIZE]) {
        return path_of("SANDBOXD_SOCKET", "control", uid, ret);
}

int control_agent(uid_t uid, char ret[CONTROL_SOCKET_SIZE]) {
        return path_of("SANDBOXD_AGENT", "agent", uid, ret);
}
