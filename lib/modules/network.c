/*
 * The network: which sockets may be made, and connecting them. The broker connects the caller's own socket, with its own copy of the address.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "network.h"

/* ---- Sockets and addresses ---- */

void endpoint_done(struct endpoint *e) {
        e->fd = fd_close(e->fd);
}

void address_done(struct address *a) {
        pin_done(&a->pin);
}

static int socket_option(int fd, int option, int *ret) {
        socklen_t size = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &size) < 0 ? -errno : 0;
}

int endpoint_get(struct call *call, int fd, struct endpoint *ret) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        int r;

        e.fd = target_fd(call, fd);
        if (e.fd < 0)
                return e.fd;
        int flags = fcntl(e.fd, F_GETFL);
        if (flags < 0)
                return -errno;
        if (flags & O_PATH)
                return -EBADF;
        e.blocking = !(flags & O_NONBLOCK);
        if ((r = socket_option(e.fd, SO_DOMAIN, &e.domain)) < 0 || (r = socket_option(e.fd, SO_TYPE, &e.type)) < 0 ||
            (r = socket_option(e.fd, SO_PROTOCOL, &e.protocol)) < 0)
                return r;
        *ret = e;
        e.fd = -1;
        return 0;
}

enum net_protocol endpoint_protocol(const struct endpoint *e) {
        if (e->domain != AF_INET && e->domain != AF_INET6)
                return PROTOCOL_OTHER;
        return e->protocol == IPPROTO_TCP ? PROTOCOL_TCP : e->protocol == IPPROTO_UDP ? PROTOCOL_UDP : PROTOCOL_OTHER;
}

int address_read(struct call *call, uint64_t pointer, int size, struct address *ret) {
        if (size < 0 || (size_t) size > sizeof(ret->storage))
                return -EINVAL;
        ret->size = size;
        return size == 0 ? 0 : target_read(call, pointer, &ret->storage, size);
}

static void copy_path(struct call *call, const struct address *a) {
        size_t length = strnlen(a->un.sun_path, a->size - offsetof(struct sockaddr_un, sun_path));

        memcpy(call->path, a->un.sun_path, length);
        call->path[length] = 0;
        call->subject = call->path;
}

static void name_subject_unix(struct call *call, const struct pin *pin) {
        static const char prefix[] = "unix:";
        size_t length = strnlen(pin->path, PATH_MAX - sizeof(prefix));

        if (length == 0)
                return;
        memcpy(call->path2, prefix, sizeof(prefix) - 1);
        memcpy(call->path2 + sizeof(prefix) - 1, pin->path, length);
        call->path2[sizeof(prefix) - 1 + length] = 0;
        call->subject = call->path2;
}

int address_resolve(struct call *call, struct address *a, unsigned flags) {
        copy_path(call, a);
        int r = resolve(call, AT_FDCWD, call->path, flags, &a->pin);
        name_subject_unix(call, &a->pin);
        return r;
}

int address_resolve_name(struct call *call, struct address *a) {
        copy_path(call, a);
        int r = resolve_name(call, AT_FDCWD, call->path, &a->pin);
        name_subject_unix(call, &a->pin);
        return r;
}

struct verdict network_refuse(struct call *call, const struct net_match *match, const char *remedy) {
        call->net_rule = match->rule;
        call->why = match->why;
        call->remedy = remedy;
        return verdict_deny(EACCES);
}

/* ---- Deciding ---- */

/* Resolves the path in a Unix address as the caller would, and puts the link to what was found in its place, so that there is no second
 * walk. */
static int resolve_unix(struct call *call, struct address *a) {
        char link[64];
        int r;

        r = address_resolve(call, a, RESOLVE_FOLLOW);
        if (r < 0)
                return r;
        r = pin_link(call, &a->pin, &a->dirfd, link);
        if (r < 0)
                return r;
        memset(&a->un.sun_path, 0, sizeof(a->un.sun_path));
        strcpy(a->un.sun_path, link);
        a->size = sizeof(a->un);
        a->linked = true;
        return 0;
}

static bool decide_unix(struct call *call, struct address *a, struct verdict *ret_verdict) {
        const struct sockaddr_un asked = a->un;
        const socklen_t asked_size = a->size;
        int r;

        if (a->any.sa_family != AF_UNIX || a->size <= offsetof(struct sockaddr_un, sun_path) || a->size > sizeof(a->un)) {
                *ret_verdict = verdict_error(EINVAL);
                return false;
        }
        if (a->un.sun_path[0]) {
                r = resolve_unix(call, a);
                if (r < 0) {
                        *ret_verdict = files_failed(call, &a->pin, r, false);
                        return false;
                }
                /* Nobody listens on what is no socket: the kernel says whether for want of a right or of a socket. */
                if (!S_ISSOCK(a->pin.st.st_mode) && (a->pin.outside || a->pin.match.state != MATCH_DENIED))
                        return true;
        } else
                call->subject = net_format(PROTOCOL_OTHER, &a->any, a->size, call->path3, PATH_MAX);

        bool own = a->linked && (a->pin.match.own || (a->pin.match.state == MATCH_GRANTED && pin_of_container(call, &a->pin)));
        struct net_match match = plan_match_address(call->plan, NET_CONNECT, PROTOCOL_OTHER, (const struct sockaddr *) &asked, asked_size,
                                                    a->linked ? a->pin.path : NULL, own);
        call->net_rule = match.rule;
        if (!match.allowed)
                *ret_verdict = network_refuse(call, &match, "connect");
        return match.allowed;
}

static bool decide_inet(struct call *call, const struct endpoint *e, struct address *a, bool sending, struct verdict *ret_verdict) {
        struct sockaddr_storage as = a->storage;

        if (a->size < sizeof(sa_family_t)) {
                *ret_verdict = verdict_error(EINVAL);
                return false;
        }
        if (a->any.sa_family == AF_UNSPEC) {
                /* connect: the association is dissolved. A UDP socket of IPv6 takes it for no address at all. */
                if (!sending || e->domain == AF_INET6)
                        return true;
                /* A UDP socket of IPv4 takes it for AF_INET. */
                as.ss_family = AF_INET;
        }
        /* A family that the socket doesn't take ends in the kernel's errno, not in ours, and reaches nothing. An IPv6 socket does take IPv4
         * addresses when it sends datagrams. */
        if (as.ss_family != AF_INET && as.ss_family != AF_INET6)
                return true;
        call->subject = net_format(endpoint_protocol(e), (struct sockaddr *) &as, a->size, call->path3, PATH_MAX);
        struct net_match match =
                plan_match_address(call->plan, NET_CONNECT, endpoint_protocol(e), (struct sockaddr *) &as, a->size, NULL, false);
        call->net_rule = match.rule;
        if (!match.allowed)
                *ret_verdict = network_refuse(call, &match, "connect");
        return match.allowed;
}

bool address_decide(struct call *call, const struct endpoint *e, struct address *a, bool sending, struct verdict *ret_verdict) {
        switch (e->domain) {
        case AF_UNIX:
                if (!sending && a->size >= sizeof(sa_family_t) && a->any.sa_family == AF_UNSPEC)
                        return true; /* dissolves the association of a datagram socket; an error with others */
                return decide_unix(call, a, ret_verdict);
        case AF_INET:
        case AF_INET6: return decide_inet(call, e, a, sending, ret_verdict);
        case AF_NETLINK:
                /* Only NETLINK_ROUTE sockets can be made, over which a task without capabilities can ask the kernel, and send to no other
                 * task: it is sent with the caller's credentials. */
                return true;
        default:
                call->why = "sockets of this family aren't for sandboxes";
                *ret_verdict = verdict_deny(EACCES);
                return false;
        }
}

int address_enter(const struct address *a) {
        return a->linked && fchdir(a->dirfd) < 0 ? -errno : 0;
}

/* ---- connect ---- */

static bool is_connected(const struct endpoint *e) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);

        return getpeername(e->fd, (struct sockaddr *) &peer, &size) >= 0;
}

static int connect_as_caller(struct call *call, const struct endpoint *e, const struct address *a) {
        bool connected = is_connected(e);
        int r, result;

        /* The predecessor's. */
        if (connected && act_again(call, ACT_CONNECT))
                return 0;
        r = address_enter(a);
        if (r < 0)
                return r;
        r = e->domain == AF_UNIX ? target_act_peer(call) : target_act_ids(call);
        if (r < 0)
                return r;
        bool again = act_again(call, ACT_CONNECT);
        if (e->blocking) {
                r = target_block_begin(call);
                if (r < 0) {
                        target_act_done(call);
                        return r;
                }
        }
        /* What is connected already fails, or is a datagram socket, whose peer can be set twice. */
        if (connected || e->type == SOCK_DGRAM)
                /* no act: see above */
                result = connect(e->fd, &a->any, a->size) < 0 ? -errno : 0;
        else
                result = ACT_TRACED(call, ACT_CONNECT, connect(e->fd, &a->any, a->size));
        /* Begun by the predecessor, and not waited for. */
        if (result == -EALREADY && again)
                result = act_end(call, -EINPROGRESS);
        if (e->blocking) {
                r = target_block_end(call);
                /* Connected after all, or refused: that is the answer, whatever was pending. Interrupted: as with the kernel's own restart,
                 * the next connect goes on waiting for the same handshake. */
                if (result == -EINTR)
                        result = r < 0 ? r : -EINTR;
        }
        target_act_done(call);
        return result;
}

static struct verdict handle_connect(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        _cleanup_(address_done) struct address a = ADDRESS_INIT;
        struct verdict verdict;
        int r;

        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        r = address_read(call, CALL_ARG(call, 1), CALL_INT(call, 2), &a);
        if (r < 0)
                return verdict_from(r);
        if (!address_decide(call, &e, &a, false, &verdict))
                return verdict;
        r = connect_as_caller(call, &e, &a);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- socket, setsockopt ---- */

static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
static const uint32_t stream_or_datagram[] = { SOCK_STREAM, SOCK_DGRAM };
#define TYPE_MASK 0xf /* SOCK_TYPE_MASK: the rest are flags */

static struct verdict refuse_socket(struct call *call, int error, const char *why) {
        call->why = why;
        return verdict_deny(error);
}

static struct verdict handle_socket(struct call *call) {
        int family = CALL_INT(call, 0), type = CALL_INT(call, 1) & TYPE_MASK, protocol = CALL_INT(call, 2);

        switch (family) {
        case AF_UNIX: break;
        case AF_NETLINK:
                if (protocol != NETLINK_ROUTE)
                        return refuse_socket(call, EPROTONOSUPPORT, "of netlink only the routing tables can be asked");
                break;
        case AF_INET:
        case AF_INET6:
                if (type == SOCK_RAW || type == SOCK_PACKET)
                        return refuse_socket(call, EPERM, "raw sockets see and forge what others send");
                /* SCTP connects and binds by setsockopt, MPTCP, DCCP and UDP-Lite aren't in the rules' language. */
                if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_ICMP &&
                    protocol != IPPROTO_ICMPV6)
                        return refuse_socket(call, EPROTONOSUPPORT, "the rules know no such protocol");
                break;
        default: return refuse_socket(call, EAFNOSUPPORT, "sockets of this family aren't for sandboxes");
        }
        /* proceed: family, type and protocol are registers. */
        return verdict_registers();
}

/* Options by which packets are sent elsewhere than where the socket is connected. */
static const struct {
        uint32_t level, option;
} detours[] = {
        { IPPROTO_IP, IP_OPTIONS },
        { IPPROTO_IPV6, IPV6_RTHDR },
        { IPPROTO_IPV6, IPV6_2292RTHDR },
        { IPPROTO_IPV6, IPV6_2292PKTOPTIONS },
};

static struct verdict handle_setsockopt(struct call *call) {
        for (size_t i = 0; i < ELEMENTSOF(detours); i++)
                if ((uint32_t) CALL_ARG(call, 1) == detours[i].level && (uint32_t) CALL_ARG(call, 2) == detours[i].option) {
                        call->why = "source routing leads around the rules for addresses";
                        return verdict_deny(EPERM);
                }
        /* proceed: level and option are registers. */
        return verdict_registers();
}

/* ---- The module ---- */

static int compile_sockets(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        int r = rule_unless(filter, __NR_socket, 0, UINT32_MAX, families, ELEMENTSOF(families), NULL);

        (void) plan;
        (void) report;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(families); i++) {
                const struct filter_arg family = { .index = 0, .mask = UINT32_MAX, .value = families[i] };
                const struct filter_arg protocol[] = { family, { .index = 2, .nonzero = true } };
                if (families[i] == AF_UNIX)
                        continue;
                r = filter_builder_notify(filter, __NR_socket, protocol, ELEMENTSOF(protocol));
                if (r >= 0 && families[i] != AF_NETLINK)
                        r = rule_unless(filter, __NR_socket, 1, TYPE_MASK, stream_or_datagram, ELEMENTSOF(stream_or_datagram), &family);
        }
        return r;
}

static int compile_host(struct filter_builder *filter) {
        int r = rule_always(filter, __NR_bind);

        if (r >= 0)
                r = rule_always(filter, __NR_listen);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(detours); i++) {
                const struct filter_arg args[] = {
                        { .index = 1, .mask = UINT32_MAX, .value = detours[i].level },
                        { .index = 2, .mask = UINT32_MAX, .value = detours[i].option },
                };
                r = filter_builder_notify(filter, __NR_setsockopt, args, ELEMENTSOF(args));
        }
        return r;
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        int r;

        (void) report;
        /* In every mode: a Unix socket that the view shows is reached by connect and by addressed sends, and needs a rule. */
        if ((r = rule_always(filter, __NR_connect)) < 0 || (r = rule_always(filter, __NR_sendmsg)) < 0 ||
            (r = rule_always(filter, __NR_sendmmsg)) < 0)
                return r;
        r = filter_builder_notify(filter, __NR_sendto, &(struct filter_arg) { .index = 4, .nonzero = true }, 1);
        if (r < 0)
                return r;
        /* A network namespace of its own has nothing but its loopback: whatever is bound there is the sandbox's business. But a Unix socket is
         * bound to a name in the file system. */
        if (plan->policy->network.mode == NETWORK_HOST || setting_is_foreign(plan->setting))
                return compile_host(filter);
        return plan->files_brokered ? rule_always(filter, __NR_bind) : 0;
}

static const struct claim sockets_claims[] = {
        { __NR_socket, "socket", handle_socket },
        { __NR_setsockopt, "setsockopt", handle_setsockopt },
        {},
};

static const struct claim claims[] = {
        { __NR_connect, "connect", handle_connect },
        { __NR_bind, "bind", handle_bind },
        { __NR_listen, "listen", handle_listen },
        { __NR_sendto, "sendto", handle_sendto },
        { __NR_sendmsg, "sendmsg", handle_sendmsg },
        { __NR_sendmmsg, "sendmmsg", handle_sendmmsg },
        {},
};

const struct module network_module = { .name = "network", .claims = claims, .compile = compile };
/* What is decided from registers alone. */
const struct module sockets_module = { .name = "sockets", .claims = sockets_claims, .only_decides = true, .compile = compile_sockets };
