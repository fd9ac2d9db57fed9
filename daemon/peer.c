/*
 * Connections to the control socket. Whoever is on the other end is known by what the kernel says of it, at the time when it connected. Those of other
 * users than we are come through a process of their own (front.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "sys.h"

static int read_owner(int fd, struct owner *ret, pid_t *ret_pid) {
        struct ucred credentials;
        socklen_t size = sizeof(credentials), groups_size = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;
        (void) getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &groups_size);
        gid_t *groups = calloc(1, groups_size + sizeof(gid_t));
        if (!groups)
                return -ENOMEM;
        if (groups_size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_size) < 0) {
                free(groups);
                return -errno;
        }
        *ret = (struct owner) { .uid = credentials.uid, .gid = credentials.gid, .groups = groups, .n_groups = groups_size / sizeof(gid_t) };
        *ret_pid = credentials.pid;
        return 0;
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* Whatever its number means later. Before 6.5 the kernel tells of numbers only. */
static int peer_pidfd(int fd, pid_t pid) {
        int pidfd = -1;
        socklen_t size = sizeof(pidfd);

        return getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) >= 0 ? pidfd : errno == ENOPROTOOPT ? sys_pidfd_open(pid, 0) : -1;
}

static void peer_free(struct peer *p) {
        struct daemon *d = p->daemon;

        for (size_t i = 0; i < d->n_peers; i++)
                if (d->peers[i] == p) {
                        d->peers[i] = d->peers[--d->n_peers];
                        break;
                }
        /* An ended one goes away under us. */
        for (size_t i = d->n_sandboxes; i-- > 0;) {
                struct sandbox *s = d->sandboxes[i];
                size_t kept = 0;
                for (size_t k = 0; k < s->n_waiting; k++) {
                        if (sd_bus_message_get_bus(s->waiting[k]) == p->bus)
                                sd_bus_message_unref(s->waiting[k]);
                        else
                                s->waiting[kept++] = s->waiting[k];
                }
                s->n_waiting = kept;
                if (s->adopting && sd_bus_message_get_bus(s->adopting) == p->bus)
                        s->adopting = sd_bus_message_unref(s->adopting);
                if (s->client == p)
                        sandbox_client_gone(s);
        }
        sd_bus_close_unref(p->bus);
        fd_close(p->pidfd);
        free(p->owner.groups);
        free(p);
}

/* Not within the dispatching of the connection itself, which is still in use then. */
static int on_gone(sd_event_source *source, void *userdata) {
        sd_event_source_disable_unref(source);
        peer_free(userdata);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct peer *p = userdata;
        sd_event_source *source;

        return sd_event_add_defer(p->daemon->event, &source, on_gone, p) < 0 ? -ENOMEM : 0;
}

/* What busctl asks first of whatever it takes for a bus. */
static int method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", ":1.0");
}

static const sd_bus_vtable hello_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Hello", NULL, "s", method_hello, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int serve(struct peer *p, int fd) {
        sd_id128_t id;
        int r;

        if ((r = sd_id128_randomize(&id)) < 0 || (r = sd_bus_new(&p->bus)) < 0)
                return r;
        r = sd_bus_set_fd(p->bus, fd, fd);
        if (r < 0)
                return r;
        if ((r = sd_bus_set_server(p->bus, true, id)) < 0 || (r = sd_bus_negotiate_fds(p->bus, true)) < 0 ||
            (r = sd_bus_set_anonymous(p->bus, false)) < 0 || (r = sd_bus_start(p->bus)) < 0 ||
            (r = sd_bus_match_signal(p->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                     "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, p)) < 0 ||
            (r = sd_bus_add_object_vtable(p->bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", hello_vtable, p)) < 0 ||
            (r = sd_bus_add_object_vtable(p->bus, NULL, CONTROL_PATH, CONTROL_MANAGER, manager_vtable, p)) < 0 || (r = object_offer(p)) < 0)
                return r;
        return sd_bus_attach_event(p->bus, p->daemon->event, SD_EVENT_PRIORITY_NORMAL);
}

/* Once a second at most: whoever asks without end does not fill the log. */
static void record_refused(struct daemon *d, uid_t uid) {
        char why[QUOTA_WHY];
        time_t now = time(NULL);

        if (now == d->refused)
                return;
        d->refused = now;
        log_record(LOG_WARNING, MESSAGE_REFUSED, NULL, "a connection was refused: %s", quota_why(d, uid, QUOTA_CONNECTIONS, why));
}

int peer_new(struct daemon *d, int fd) {
        struct peer *p = calloc(1, sizeof(*p));
        size_t n = 0;

        if (!p) {
                fd_close(fd);
                return -ENOMEM;
        }
        p->daemon = d;
        p->pidfd = -1;
        int r = read_owner(fd, &p->owner, &p->pid);
        /* What we ourselves are could as well do without us. */
        bool fronted = r >= 0 && geteuid() == 0 && p->owner.uid != 0;
        for (size_t i = 0; i < d->n_peers; i++)
                n += d->peers[i]->owner.uid == p->owner.uid;
        if (fronted)
                n = front_count(d, p->owner.uid);
        if (r >= 0 && n >= quota_of(d, p->owner.uid, QUOTA_CONNECTIONS)) {
                record_refused(d, p->owner.uid);
                r = -EDQUOT;
        }
        if (r >= 0 && fronted) {
                int through;
                p->pidfd = peer_pidfd(fd, p->pid);
                r = front_start(d, p->owner.uid, fd, &through);
                if (r >= 0) {
                        fd_close(fd);
                        fd = through;
                }
        }
        struct peer **larger = r < 0 ? NULL : reallocarray(d->peers, d->n_peers + 1, sizeof(*larger));
        if (!larger) {
                fd_close(fd);
                fd_close(p->pidfd);
                free(p->owner.groups);
                free(p);
                return r < 0 ? r : -ENOMEM;
        }
        d->peers = larger;
        d->peers[d->n_peers++] = p;
        r = serve(p, fd);
        if (r < 0) {
                if (!p->bus)
                        fd_close(fd);
                peer_free(p);
        }
        return r;
}

/* With no number left for it a connection can't even be closed: one is kept for that. */
static void turn_away(struct daemon *d, int socket) {
        d->spare = fd_close(d->spare);
        fd_close(accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
        d->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int on_connection(sd_event_source *source, int socket, uint32_t revents, void *userdata) {
        int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r = fd < 0 ? -errno : 0;

        if (r == -EAGAIN || r == -EINTR || r == -ECONNABORTED)
                return 0;
        if (r == -EMFILE || r == -ENFILE)
                turn_away(userdata, socket);
        if (r >= 0)
                r = peer_new(userdata, fd);
        if (r < 0 && r != -EDQUOT)
                log_record(LOG_WARNING, MESSAGE_REFUSED, NULL, "a connection was refused: %s", strerror(-r));
        return 0;
}

int listen_with(struct daemon *d, int socket, sd_event_io_handler_t handler, char own[CONTROL_SOCKET_SIZE]) {
        struct sockaddr_un address = {};
        socklen_t size = sizeof(address);
        sd_event_source *source;
        int flags = fcntl(socket, F_GETFL);

        if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        int r = sd_event_add_io(d->event, &source, socket, EPOLLIN, handler, d);
        if (r < 0)
                return r;
        if (own && getsockname(socket, (struct sockaddr *) &address, &size) >= 0)
                snprintf(own, CONTROL_SOCKET_SIZE, "%.*s", (int) sizeof(address.sun_path), address.sun_path);
        /* A connection's own calls come first: whoever floods us with new ones stops nobody. */
        (void) sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
        return sd_event_source_set_floating(source, true);
}

int peer_listen(struct daemon *d, int socket, bool ours) {
        return listen_with(d, socket, on_connection, ours ? d->socket : NULL);
}

void peers_close(struct daemon *d) {
        for (size_t i = 0; i < d->n_peers; i++)
                (void) sd_bus_flush(d->peers[i]->bus);
        while (d->n_peers > 0) {
                struct peer *p = d->peers[--d->n_peers];
                sd_bus_close_unref(p->bus);
                fd_close(p->pidfd);
                free(p->owner.groups);
                free(p);
        }
        free(d->peers);
}
