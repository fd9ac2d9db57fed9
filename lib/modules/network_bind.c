/*
 * bind and listen: on the host's network, and to names in the file system.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "names.h"
#include "network.h"
#include "worker.h"

/* Whether rules say what may be bound, the plan's own or the floor's. */
static bool asks_rules(const struct plan *plan) {
        return plan->policy->network.mode == NETWORK_HOST || (plan->floor && asks_rules(plan->floor));
}

static bool allowed(struct call *call, const struct endpoint *e, const struct sockaddr *as, socklen_t size, const struct pin *pin,
                    struct verdict *ret_verdict) {
        for (const struct plan *plan = call->plan; plan; plan = plan->floor) {
                if (plan->policy->network.mode != NETWORK_HOST)
                        continue;
                struct net_match match = plan_match_address_alone(plan, NET_BIND, endpoint_protocol(e), as, size, pin ? pin->path : NULL,
                                                                  pin && pin->match.own);
                call->net_rule = match.rule;
                if (!match.allowed) {
                        *ret_verdict = network_refuse(call, &match, "bind");
                        return false;
                }
        }
        return true;
}

/* Has the socket a name, or a port? */
static bool is_bound(const struct endpoint *e) {
        struct sockaddr_storage name = {};
        socklen_t size = sizeof(name);

        if (getsockname(e->fd, (struct sockaddr *) &name, &size) < 0)
                return false;
        switch (name.ss_family) {
        case AF_UNIX: return size > sizeof(sa_family_t);
        case AF_INET:
        case AF_INET6: return ((struct sockaddr_in *) &name)->sin_port != 0;
        case AF_NETLINK: return ((struct sockaddr_nl *) &name)->nl_pid != 0;
        default: return false;
        }
}

static int bind_as_caller(struct call *call, const struct endpoint *e, const struct address *a) {
        bool bound = is_bound(e);
        int r;

        /* By the predecessor. */
        if (bound && act_again(call, ACT_BIND))
                return 0;
        r = target_act(call);
        if (r < 0)
                return r;
        if (bound)
                r = ACT(call, bind(e->fd, &a->any, a->size));
        else
                r = ACT_TRACED(call, ACT_BIND, bind(e->fd, &a->any, a->size));
        target_act_done(call);
        return r;
}

/* ---- Internet ---- */

static bool is_low_port_rule(const struct plan *plan, uint16_t port) {
        for (size_t i = 0; i < plan->n_low_ports; i++)
                if (plan->low_ports[i] == port)
                        return true;
        return false;
}

static uint16_t address_port(const struct address *a) {
        /* The port is at the same place in both families. */
        return a->size >= offsetof(struct sockaddr_in, sin_addr) ? ntohs(((const struct sockaddr_in *) &a->storage)->sin_port) : 0;
}

/* By the supervisor. */
static int bind_low_port(struct call *call, const struct endpoint *e, const struct address *a) {
        act_begin(call, ACT_BIND);
        return act_end(call, worker_bind_low_port(call, e->fd, &a->storage, a->size));
}

static struct verdict bind_inet(struct call *call, const struct endpoint *e, struct address *a) {
        struct sockaddr_storage as = a->storage;
        struct verdict verdict;
        int r;

        if (a->size < sizeof(sa_family_t))
                return verdict_error(EINVAL);
        /* An IPv4 socket takes AF_UNSPEC with the address 0.0.0.0 for AF_INET. */
        if (as.ss_family == AF_UNSPEC)
                as.ss_family = AF_INET;
        /* Another family ends in the kernel's errno. */
        if (as.ss_family == AF_INET || as.ss_family == AF_INET6) {
                call->subject = net_format(endpoint_protocol(e), (struct sockaddr *) &as, a->size, call->path3, PATH_MAX);
                if (!allowed(call, e, (struct sockaddr *) &as, a->size, NULL, &verdict))
                        return verdict;
        }
        r = bind_as_caller(call, e, a);
        if (r == -EACCES && call->plan->policy->network.mode == NETWORK_HOST && is_low_port_rule(call->plan, address_port(a)))
                r = bind_low_port(call, e, a);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- Unix ---- */

/* Enters the caller's directory, from which its string is walked: only where that begins there, since entering takes the right to search. */
static int enter_cwd(struct call *call, const char *string) {
        _cleanup_close_ int cwd = -1;

        if (string[0] == '/')
                return 0;
        cwd = target_cwd(call);
        if (cwd < 0)
                return cwd;
        return fchdir(cwd) < 0 ? -errno : 0;
}

static bool same_directory(int a, int b) {
        struct statx x, y;
        unsigned mask = STATX_INO | STATX_MNT_ID;

        return statx(a, "", AT_EMPTY_PATH, mask, &x) >= 0 && statx(b, "", AT_EMPTY_PATH, mask, &y) >= 0 && x.stx_ino == y.stx_ino &&
               x.stx_mnt_id == y.stx_mnt_id && x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor;
}

/* Whether the kernel, when it walks the caller's string from the thread's directory, comes to the pinned parent. Not so where the way leads through
 * /proc/self or the like, which is somebody else for us. */
static bool leads_there(struct call *call, const char *string, const struct pin *pin) {
        char directory[sizeof(((struct sockaddr_un *) NULL)->sun_path) + 2];
        size_t n = strlen(string);

        while (n > 0 && string[n - 1] == '/')
                n--;
        while (n > 0 && string[n - 1] != '/')
                n--;
        snprintf(directory, sizeof(directory), "%.*s.", (int) n, string);
        if (target_act_ids(call) < 0)
                return false;
        _cleanup_close_ int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        target_act_done(call);
        return fd >= 0 && same_directory(fd, pin->parent);
}

/*
 * getsockname shows the string by which a socket was bound, and so does the address of what it sends: the kernel has to be given the caller's own,
 * and walks it. Names are locked, so that nobody in the sandbox can change the way between our look at it and this walk. Where it leads
 * elsewhere the kernel gets the last component alone, in the pinned directory.
 */
static struct verdict bind_name(struct call *call, const struct endpoint *e, struct address *a) {
        struct address short_form = ADDRESS_INIT;
        int r;

        r = enter_cwd(call, call->path);
        if (r < 0)
                return verdict_from(r);
        bool whole = leads_there(call, call->path, &a->pin);
        if (!whole && fchdir(a->pin.parent) < 0)
                return verdict_error(errno);
        short_form.un.sun_family = AF_UNIX;
        short_form.size = offsetof(struct sockaddr_un, sun_path) +
                          snprintf(short_form.un.sun_path, sizeof(short_form.un.sun_path), "%s", a->pin.name) + 1;
        if (short_form.size > sizeof(short_form.un))
                short_form.size = sizeof(short_form.un);
        r = bind_as_caller(call, e, whole ? a : &short_form);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* The broker alone decides on names. */
static struct verdict bind_unix_brokered(struct call *call, const struct endpoint *e, struct address *a) {
        _cleanup_(names_unlockp) struct call *held = names_lock(call, true);
        struct verdict verdict;
        int r;

        r = address_resolve_name(call, a);
        if (r < 0)
                return files_failed(call, &a->pin, r, false);
        if (a->pin.special)
                return verdict_error(EADDRINUSE);
        if (!allowed(call, e, &a->any, a->size, &a->pin, &verdict))
                return verdict;
        if (name_writable(&a->pin))
                return bind_name(call, e, a);
        verdict = name_refuse_new(call, &a->pin, false);
        return verdict.error == EEXIST ? verdict_error(EADDRINUSE) : verdict;
}

static struct verdict bind_unix_path(struct call *call, const struct endpoint *e, struct address *a) {
        struct verdict verdict;
        int r;

        /* Below another runtime the caller's root can be another than ours, so that its string is none to be walked from there. */
        if (call->plan->files_brokered || setting_is_foreign(call->plan->setting))
                return bind_unix_brokered(call, e, a);
        r = address_resolve(call, a, RESOLVE_PARENT);
        if (r < 0)
                return files_failed(call, &a->pin, r, false);
        if (!allowed(call, e, &a->any, a->size, &a->pin, &verdict))
                return verdict;

        /* getsockname has to show the caller's own string, so that the kernel walks our copy of it, from the caller's cwd in the caller's root.
         * A swapped symlink could lead this walk only to where the view lets the caller write anyway. */
        r = enter_cwd(call, call->path);
        if (r < 0)
                return verdict_from(r);
        r = bind_as_caller(call, e, a);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

static struct verdict bind_unix(struct call *call, const struct endpoint *e, struct address *a) {
        struct verdict verdict;
        int r;

        if (a->size < sizeof(sa_family_t) || a->size > sizeof(a->un) || a->any.sa_family != AF_UNIX)
                return verdict_error(EINVAL);
        if (a->size > offsetof(struct sockaddr_un, sun_path)) {
                if (a->un.sun_path[0])
                        return bind_unix_path(call, e, a);
                call->subject = net_format(PROTOCOL_OTHER, &a->any, a->size, call->path3, PATH_MAX);
                if (!allowed(call, e, &a->any, a->size, NULL, &verdict))
                        return verdict;
        }
        /* Without a name the kernel chooses an abstract one, which nobody waits for. */
        r = bind_as_caller(call, e, a);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- Netlink ---- */

/* Port 0 natively becomes the number of the process: of the caller, not of the worker. Where it is taken (a second socket, or the same number in
 * another pid namespace) the kernel chooses another. */
static struct verdict bind_netlink(struct call *call, const struct endpoint *e, struct address *a) {
        struct sockaddr_nl *nl = (struct sockaddr_nl *) &a->storage;
        int r = -EADDRINUSE;

        if (a->size >= sizeof(*nl) && nl->nl_pid == 0) {
                pid_t tgid = target_tgid_inside(call);
                if (tgid < 0)
                        return verdict_from(tgid);
                nl->nl_pid = tgid;
                r = bind_as_caller(call, e, a);
                nl->nl_pid = 0;
        }
        /* EINVAL: the socket is bound already, which port 0 doesn't mind. */
        if (r == -EADDRINUSE || r == -EINVAL)
                r = bind_as_caller(call, e, a);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

struct verdict handle_bind(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        _cleanup_(address_done) struct address a = ADDRESS_INIT;
        int r;

        if (!asks_rules(call->plan) && !call->plan->files_brokered)
                /* proceed: no memory was looked at; the network is the sandbox's own, and the view holds the names of Unix sockets. */
                return verdict_registers();
        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        r = address_read(call, CALL_ARG(call, 1), CALL_INT(call, 2), &a);
        if (r < 0)
                return verdict_from(r);
        switch (e.domain) {
        case AF_UNIX: return bind_unix(call, &e, &a);
        case AF_INET:
        case AF_INET6: return bind_inet(call, &e, &a);
        case AF_NETLINK: return bind_netlink(call, &e, &a);
        default: call->why = "sockets of this family aren't for sandboxes"; return verdict_deny(EACCES);
        }
}

/* ---- listen ---- */

/* A TCP socket that was never bound would listen on a port that the kernel chooses, at every address. */
struct verdict handle_listen(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        struct sockaddr_storage name = {};
        socklen_t size = sizeof(name);
        struct verdict verdict;
        int r;

        if (call->plan->policy->network.mode != NETWORK_HOST && !setting_is_foreign(call->plan->setting))
                /* proceed: no memory was looked at; the network is the sandbox's own. */
                return verdict_registers();
        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        if (e.domain == AF_INET || e.domain == AF_INET6) {
                if (getsockname(e.fd, (struct sockaddr *) &name, &size) < 0)
                        return verdict_error(errno);
                if (((struct sockaddr_in *) &name)->sin_port == 0) {
                        call->subject = net_format(endpoint_protocol(&e), (struct sockaddr *) &name, size, call->path3, PATH_MAX);
                        if (!allowed(call, &e, (struct sockaddr *) &name, size, NULL, &verdict))
                                return verdict;
                }
        }
        r = target_act_peer(call);
        if (r < 0)
                return verdict_from(r);
        r = listen(e.fd, CALL_INT(call, 1)) < 0 ? -errno : 0;
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}
