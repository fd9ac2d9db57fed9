/*
 * The process between us and a client of another user: it hands on what the client sends, and only what is within bounds: messages of a size that fits what
 * we ask for, and descriptors that can't hold us up (vet.c). Whatever else comes ends the connection; should that take for ever, it takes this
 * process only, and counts among the user's connections until it is gone.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "str.h"
#include "sys.h"

#define MESSAGE_MAX (2U << 20) /* of D-Bus: an adoption with the longest command */
#define CHUNK 65536
#define FDS_MAX 253 /* of one message of a socket */
#define MEMORY (32U << 20)

enum { GIVEN_CLIENT = 3, GIVEN_DAEMON };

/* ---- in the daemon ---- */

/* sd-bus believes what the kernel says of the other end: who made the pair. */
static int pair_as(uid_t uid, int ret[2]) {
        uid_t own = geteuid();

        if (seteuid(uid) < 0)
                return -errno;
        int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0 ? -errno : 0;
        if (seteuid(own) < 0)
                abort();
        return r;
}

static _noreturn_ void run(const struct daemon *d, int client, int ours) {
        const int fds[] = { client, ours };
        char *argv[] = { (char *) "sandboxd-front", (char *) "--front", NULL }, *environment[] = { NULL };
        int exe;

        if (child_prepare(d, fds, ELEMENTSOF(fds), 0, &exe) < 0)
                _exit(WORKER_CANT);
        child_execute(exe, argv, environment);
}

static int on_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct front *f = userdata;
        struct daemon *d = f->daemon;

        sys_reap(f->pid, NULL);
        sd_event_source_disable_unref(source);
        fd_close(f->pidfd);
        for (struct front **p = &d->fronts; *p; p = &(*p)->next)
                if (*p == f) {
                        *p = f->next;
                        break;
                }
        free(f);
        return 0;
}

int front_start(struct daemon *d, uid_t uid, int client, int *ret) {
        struct front *f = calloc(1, sizeof(*f));
        sd_event_source *source;
        int pair[2], r;

        if (!f)
                return -ENOMEM;
        *f = (struct front) { .daemon = d, .uid = uid, .pidfd = -1 };
        r = pair_as(uid, pair);
        if (r < 0) {
                free(f);
                return r;
        }
        r = owned_fork(&f->pid, &f->pidfd);
        if (r >= 0 && f->pid == 0)
                run(d, client, pair[1]);
        fd_close(pair[1]);
        if (r >= 0)
                r = sd_event_add_io(d->event, &source, f->pidfd, EPOLLIN, on_gone, f);
        if (r < 0) {
                /* Where it runs it ends by itself, with the pair. */
                fd_close(pair[0]);
                fd_close(f->pidfd);
                free(f);
                return r;
        }
        f->next = d->fronts;
        d->fronts = f;
        *ret = pair[0];
        return 0;
}

size_t front_count(const struct daemon *d, uid_t uid) {
        size_t n = 0;

        for (const struct front *f = d->fronts; f; f = f->next)
                n += f->uid == uid;
        return n;
}

/* ---- in the process ---- */

struct way {
        int from, to;
        char buffer[CHUNK];
        size_t at, end;
        int fds[FDS_MAX];
        size_t n_fds;
        bool done; /* nothing more comes */
};

/* Where in the client's stream we are. */
struct framing {
        size_t lines;  /* bytes of "\r\nBEGIN\r\n" that have matched: before the first message */
        bool messages; /* after it */
        unsigned char header[16];
        size_t n_header;
        uint64_t left; /* of the message's rest */
};

/* False: a message is too large, or none. */
static bool frame(struct framing *f, const char *data, size_t size) {
        static const char begin[] = "\r\nBEGIN\r\n";

        for (size_t i = 0; i < size;) {
                if (!f->messages) {
                        f->lines = data[i] == begin[f->lines] ? f->lines + 1 : data[i] == begin[0];
                        f->messages = f->lines == sizeof(begin) - 1;
                        i++;
                } else if (f->left > 0) {
                        size_t n = f->left < size - i ? f->left : size - i;
                        f->left -= n;
                        i += n;
                } else {
                        f->header[f->n_header++] = data[i++];
                        if (f->n_header < sizeof(f->header))
                                continue;
                        uint32_t body, fields;
                        memcpy(&body, f->header + 4, 4);
                        memcpy(&fields, f->header + 12, 4);
                        bool little = f->header[0] == 'l';
                        body = little ? le32toh(body) : be32toh(body);
                        fields = little ? le32toh(fields) : be32toh(fields);
                        f->left = (((uint64_t) fields + 7) & ~(uint64_t) 7) + body;
                        f->n_header = 0;
                        if (f->left > MESSAGE_MAX)
                                return false;
                }
        }
        return true;
}

static bool take_fds(struct way *w, struct msghdr *m, bool vetted) {
        bool good = !(m->msg_flags & MSG_CTRUNC);

        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(w->fds, CMSG_DATA(c), n * sizeof(int));
                w->n_fds = n;
        }
        for (size_t i = 0; vetted && i < w->n_fds; i++)
                good = good && vet(w->fds[i]) != VET_OTHER;
        return good;
}

/* False: the connection is to end. */
static bool receive(struct way *w, struct framing *framing) {
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = w->buffer, .iov_len = sizeof(w->buffer) };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

        ssize_t n = recvmsg(w->from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        w->done = n == 0;
        w->at = 0;
        w->end = n;
        return take_fds(w, &m, framing) && (!framing || frame(framing, w->buffer, n));
}

static bool hand_on(struct way *w) {
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = w->buffer + w->at, .iov_len = w->end - w->at };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (w->n_fds > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(w->n_fds * sizeof(int));
                struct cmsghdr *c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(w->n_fds * sizeof(int));
                memcpy(CMSG_DATA(c), w->fds, w->n_fds * sizeof(int));
        }
        ssize_t n = sendmsg(w->to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        w->at += n;
        while (w->n_fds > 0)
                fd_close(w->fds[--w->n_fds]);
        return true;
}

/* One step of one way. False: the connection is to end. */
static bool step(struct way *w, struct framing *framing) {
        if (w->at < w->end)
                return hand_on(w);
        return receive(w, framing) && !w->done;
}

static int confine(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[2] = {};
        struct rlimit memory = { MEMORY, MEMORY }, core = {};

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
            setrlimit(RLIMIT_DATA, &memory) < 0 || syscall(SYS_capset, &header, none) < 0 ||
            prctl(PR_SET_NAME, "sandboxd-front", 0, 0, 0) < 0)
                return -errno;
        return 0;
}

int front_main(void) {
        static struct way up = { .from = GIVEN_CLIENT, .to = GIVEN_DAEMON }, down = { .from = GIVEN_DAEMON, .to = GIVEN_CLIENT };
        struct framing framing = { .lines = 0 };
        bool goes_on = confine() >= 0;

        while (goes_on) {
                bool up_full = up.at < up.end, down_full = down.at < down.end;
                struct pollfd polls[] = {
                        { .fd = up_full && !down_full ? -1 : GIVEN_CLIENT, .events = (up_full ? 0 : POLLIN) | (down_full ? POLLOUT : 0) },
                        { .fd = down_full && !up_full ? -1 : GIVEN_DAEMON, .events = (down_full ? 0 : POLLIN) | (up_full ? POLLOUT : 0) },
                };
                if (poll(polls, ELEMENTSOF(polls), -1) < 0 && errno != EINTR)
                        break;
                if (polls[up_full].revents)
                        goes_on = step(&up, &framing);
                if (goes_on && polls[!down_full].revents && !step(&down, NULL)) {
                        /* A client that takes no answers may have said something before it went. */
                        goes_on = !down.done;
                        down.at = down.end;
                }
        }
        /* These first: the others may never be closed. */
        fd_close(GIVEN_CLIENT);
        fd_close(GIVEN_DAEMON);
        _exit(0);
}
