/*
 * Binding to ports below 1024 for the sandbox, with the supervisor's CAP_NET_BIND_SERVICE. The worker may have been taken over by what it
 * reads from the sandbox: nothing it says is believed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "launch.h"

static bool port_named(const struct plan *plan, uint16_t port) {
        for (size_t i = 0; i < plan->n_low_ports; i++)
                if (plan->low_ports[i] == port)
                        return true;
        return false;
}

static int socket_option(int fd, int option, int *ret) {
        socklen_t size = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &size) < 0 ? -errno : 0;
}

static int address_port(const struct sockaddr_storage *address, size_t size, uint16_t *ret) {
        if (address->ss_family == AF_INET && size >= sizeof(struct sockaddr_in))
                *ret = ntohs(((const struct sockaddr_in *) address)->sin_port);
        else if (address->ss_family == AF_INET6 && size >= offsetof(struct sockaddr_in6, sin6_scope_id))
                *ret = ntohs(((const struct sockaddr_in6 *) address)->sin6_port);
        else
                return -EAFNOSUPPORT;
        return 0;
}

static int serve(const struct plan *plan, int fd, const struct sockaddr_storage *address, size_t size) {
        enum net_protocol protocol;
        int domain, type, number, r;
        uint16_t port;

        if ((r = address_port(address, size, &port)) < 0 || (r = socket_option(fd, SO_DOMAIN, &domain)) < 0 ||
            (r = socket_option(fd, SO_TYPE, &type)) < 0 || (r = socket_option(fd, SO_PROTOCOL, &number)) < 0)
                return r;
        if (domain != address->ss_family)
                return -EAFNOSUPPORT;
        if (type == SOCK_STREAM && number == IPPROTO_TCP)
                protocol = PROTOCOL_TCP;
        else if (type == SOCK_DGRAM && number == IPPROTO_UDP)
                protocol = PROTOCOL_UDP;
        else
                return -EACCES;
        if (port == 0 || port >= IPPORT_RESERVED || !port_named(plan, port) ||
            !plan_match_address(plan, NET_BIND, protocol, (const struct sockaddr *) address, size, NULL, false).allowed)
                return -EACCES;
        return bind(fd, (const struct sockaddr *) address, size) < 0 ? -errno : 0;
}

int launch_serve_low_port(const struct launched *launched, const struct plan *plan) {
        struct sockaddr_storage address = {};
        _cleanup_close_ int fd = -1;
        size_t n = 0;
        int answer;

        ssize_t size = fd_receive(launched->low_port_socket, &address, sizeof(address), &fd, 1, &n);
        if (size <= 0)
                return size < 0 ? size : -EPIPE;
        answer = n == 1 ? serve(plan, fd, &address, size) : -EBADF;
        return fd_send(launched->low_port_socket, &answer, sizeof(answer), NULL, 0);
}
