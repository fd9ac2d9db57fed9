/*
 * sendto with an address, sendmsg and sendmmsg. The broker copies the message (address, data, control data) and sends its own copy
 * on the caller's socket.
 */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "network.h"
#include "sys.h"

#define CONTROL_MAX (128 * 1024) /* net.core.optmem_max of today's kernels; more is ENOBUFS there as well */
#define RIGHTS_MAX 253           /* SCM_MAX_FD */
#define VECTOR_MAX 1024          /* UIO_MAXIOV */
#define CHUNK (256 * 1024)       /* of a stream, at a time */
#define ZEROCOPY_MAX (64 * 1024 * 1024)
#define FULL_NSEC 1000000 /* between two looks at a receiver whose queue is full */

struct user_msghdr {
        uint64_t name;
        int32_t name_size;
        uint64_t iov, n_iov, control, control_size;
        uint32_t flags;
};

struct user_mmsghdr {
        struct user_msghdr header;
        uint32_t length;
};

/* One message on its way. */
struct message {
        struct address address;
        struct iovec *iov; /* in the caller */
        size_t n_iov, at_iov, at_byte;
        uint64_t left; /* bytes of the caller's data not yet copied */
        char *control;
        size_t control_size;
        bool has_sender; /* SCM_CREDENTIALS */
        int *fds;        /* our copies of what SCM_RIGHTS hands over */
        size_t n_fds;
        char *data;
        size_t data_size, data_room;
        bool mapped;
        int flags;
        uint64_t sent;      /* bytes that have gone out */
        unsigned before;    /* sendmmsg: messages that went out before this one */
        uint64_t length_at; /* and where the bytes of this one are to be told */
};

static void message_free_data(struct message *m) {
        if (m->mapped && m->data)
                munmap(m->data, m->data_room);
        else
                free(m->data);
        m->data = NULL;
        m->data_room = m->data_size = 0;
}

static void message_done(struct message *m) {
        for (size_t i = 0; i < m->n_fds; i++)
                close(m->fds[i]);
        free(m->fds);
        free(m->control);
        free(m->iov);
        message_free_data(m);
        address_done(&m->address);
}

/* ---- Copying ---- */

static int read_vector(struct call *call, const struct user_msghdr *h, struct message *m) {
        const uint64_t most = INT32_MAX & ~UINT64_C(4095); /* MAX_RW_COUNT */
        int r;

        if (h->n_iov > VECTOR_MAX)
                return -EMSGSIZE;
        m->iov = calloc(h->n_iov + 1, sizeof(*m->iov));
        if (!m->iov)
                return -ENOMEM;
        m->n_iov = h->n_iov;
        r = h->n_iov ? target_read(call, h->iov, m->iov, h->n_iov * sizeof(*m->iov)) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_iov; i++) {
                if ((ssize_t) m->iov[i].iov_len < 0)
                        return -EINVAL;
                if (m->iov[i].iov_len > most - m->left)
                        m->iov[i].iov_len = most - m->left;
                m->left += m->iov[i].iov_len;
        }
        return 0;
}

static int room_for(struct message *m, size_t size) {
        if (m->data && m->data_room >= size && !m->mapped)
                return 0;
        message_free_data(m);
        if (m->flags & MSG_ZEROCOPY) {
                /* The kernel keeps the pages and sends them later. Unmapped after the call, nobody can write to them any more. */
                m->data = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                m->mapped = m->data != MAP_FAILED;
                if (!m->mapped)
                        m->data = NULL;
        } else {
                m->mapped = false;
                m->data = malloc(size + 1);
        }
        if (!m->data)
                return -ENOBUFS;
        m->data_room = size + 1;
        return 0;
}

/* Copies the next `size` bytes of the caller's data. `*ret` is less where memory ends before; -EFAULT where not even one byte is there. */
static int read_data(struct call *call, struct message *m, size_t size, size_t *ret) {
        size_t done = 0;
        int r = room_for(m, size);

        if (r < 0)
                return r;
        while (done < size && m->at_iov < m->n_iov) {
                const struct iovec *v = m->iov + m->at_iov;
                size_t want = v->iov_len - m->at_byte < size - done ? v->iov_len - m->at_byte : size - done;
                ssize_t n = want ? target_read_some(call, (uintptr_t) v->iov_base + m->at_byte, m->data + done, want) : 0;

                if (n < 0 && (n != -EFAULT || done == 0))
                        return n;
                if (n > 0) {
                        done += n;
                        m->at_byte += n;
                        m->left -= n;
                }
                if (n < (ssize_t) want)
                        break;
                if (m->at_byte == v->iov_len) {
                        m->at_iov++;
                        m->at_byte = 0;
                }
        }
        *ret = done;
        return 0;
}

static int copy_rights(struct call *call, struct message *m, struct cmsghdr *c) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int *numbers = (int *) CMSG_DATA(c);

        if (n > RIGHTS_MAX || m->n_fds + n > RIGHTS_MAX)
                return -EINVAL;
        int *bigger = reallocarray(m->fds, m->n_fds + n + 1, sizeof(int));
        if (!bigger)
                return -ENOMEM;
        m->fds = bigger;
        for (size_t i = 0; i < n; i++) {
                int fd = target_fd(call, numbers[i]);
                if (fd < 0)
                        return fd;
                m->fds[m->n_fds++] = fd;
                numbers[i] = fd;
        }
        return 0;
}

/* A task without capabilities may name no process but itself. Where the worker can't speak for another process, the kernel would refuse the caller's number from the worker (it is not the
 * worker's own), so that the receiver sees the worker's; PITFALLS of SO_PEERCRED and the manual say so. */
static int copy_credentials(struct call *call, struct cmsghdr *c) {
        struct ucred credentials;

        if (c->cmsg_len != CMSG_LEN(sizeof(credentials)))
                return -EINVAL;
        memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
        int r = target_sender(call, &credentials, true);
        if (r >= 0)
                memcpy(CMSG_DATA(c), &credentials, sizeof(credentials));
        if (r != -EOPNOTSUPP)
                return r;
        pid_t tgid = target_tgid_inside(call);
        if (tgid < 0)
                return tgid;
        if (credentials.pid != tgid)
                return -EPERM;
        credentials.pid = getpid();
        memcpy(CMSG_DATA(c), &credentials, sizeof(credentials));
        return 0;
}

static int copy_control_message(struct call *call, const struct endpoint *e, struct message *m, struct cmsghdr *c) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && e->domain == AF_UNIX)
                return copy_rights(call, m, c);
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS && (e->domain == AF_UNIX || e->domain == AF_NETLINK)) {
                m->has_sender = true;
                return copy_credentials(call, c);
        }
        /* As setsockopt: source routes lead around the rules for addresses. */
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RETOPTS) ||
            (c->cmsg_level == IPPROTO_IPV6 && (c->cmsg_type == IPV6_RTHDR || c->cmsg_type == IPV6_2292RTHDR)))
                return -EPERM;
        return 0;
}

/* Who sends, where the receiver would be told our numbers otherwise, and could tell: so that a service manager knows its service by a message. */
static int add_sender(struct call *call, const struct endpoint *e, struct message *m) {
        struct ucred credentials;

        if (e->domain != AF_UNIX || m->has_sender)
                return 0;
        int r = target_sender(call, &credentials, false);
        if (r < 0)
                return r == -EOPNOTSUPP ? 0 : r;
        size_t at = CMSG_ALIGN(m->control_size);
        char *larger = realloc(m->control, at + CMSG_SPACE(sizeof(credentials)));
        if (!larger)
                return -ENOBUFS;
        m->control = larger;
        memset(larger + m->control_size, 0, at + CMSG_SPACE(sizeof(credentials)) - m->control_size);
        struct cmsghdr *c = (struct cmsghdr *) (larger + at);
        *c = (struct cmsghdr) { .cmsg_len = CMSG_LEN(sizeof(credentials)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS };
        memcpy(CMSG_DATA(c), &credentials, sizeof(credentials));
        m->control_size = at + CMSG_SPACE(sizeof(credentials));
        return 0;
}

static int read_control(struct call *call, const struct endpoint *e, const struct user_msghdr *h, struct message *m) {
        int r;

        if (h->control == 0 || h->control_size == 0)
                return 0;
        if (h->control_size > CONTROL_MAX)
                return -ENOBUFS;
        m->control = calloc(1, h->control_size + sizeof(struct cmsghdr));
        if (!m->control)
                return -ENOBUFS;
        r = target_read(call, h->control, m->control, h->control_size);
        if (r < 0)
                return r;
        m->control_size = h->control_size;

        for (size_t at = 0; m->control_size - at >= sizeof(struct cmsghdr);) {
                struct cmsghdr *c = (struct cmsghdr *) (m->control + at);
                if (c->cmsg_len < sizeof(*c) || c->cmsg_len > m->control_size - at)
                        return -EINVAL;
                r = copy_control_message(call, e, m, c);
                if (r < 0)
                        return r;
                if (CMSG_ALIGN(c->cmsg_len) >= m->control_size - at)
                        break;
                at += CMSG_ALIGN(c->cmsg_len);
        }
        return 0;
}

/* ---- Sending ---- */

/* A stream that nobody reads any more: the kernel signals the thread that wrote. */
static void raise_sigpipe(struct call *call) {
        _cleanup_close_ int pidfd = sys_pidfd_open(call->notif->pid, PIDFD_THREAD);

        /* Before 6.9 there are pidfds of whole processes only. */
        if (pidfd < 0 && errno == EINVAL)
                pidfd = sys_pidfd_open(call->notif->pid, 0);
        /* The limit is of no interest: target_* has found the notification still valid afterwards, so that the pidfd is the caller's. */
        uint64_t limit;
        if (pidfd >= 0 && target_rlimit(call, 0, &limit) >= 0)
                sys_pidfd_send_signal(pidfd, SIGPIPE);
}

static ssize_t send_once(struct call *call, const struct endpoint *e, struct message *m, bool with_control, bool wait) {
        const struct slot_sent before = { .bytes = m->sent, .messages = m->before, .length_at = m->length_at };
        struct iovec iov = { m->data, m->data_size };
        struct msghdr h = {
                .msg_name = m->address.size ? &m->address.storage : NULL,
                .msg_namelen = m->address.size,
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = with_control && m->control_size ? m->control : NULL,
                .msg_controllen = with_control ? m->control_size : 0,
        };

        return act_sendmsg(call, e->fd, &h, (m->flags & ~MSG_DONTWAIT) | MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT), &before);
}

/* A send of the kernel's that waits can't be decided on, if the worker is killed meanwhile: whoever has a journal waits for room, and sends then. But
 * a limit on the time is the kernel's. */
static bool waits_for_room(struct call *call, const struct endpoint *e, const struct message *m) {
        struct timeval limit = {};
        socklen_t size = sizeof(limit);

        return act_journaled(call) && !(m->flags & MSG_FASTOPEN) && getsockopt(e->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) >= 0 &&
               limit.tv_sec == 0 && limit.tv_usec == 0;
}

/* Ends with -EINTR when the call is cancelled. */
static ssize_t send_with_room(struct call *call, const struct endpoint *e, struct message *m, bool with_control) {
        struct timespec little = { .tv_nsec = FULL_NSEC };
        struct pollfd p = { .fd = e->fd, .events = POLLOUT };

        for (;;) {
                ssize_t n = send_once(call, e, m, with_control, false);
                if (n != -EAGAIN)
                        return n;
                int r = poll(&p, 1, 0);
                /* Room here, and none there: a datagram to a name, of which nobody tells when its receiver has read. */
                r = r > 0 ? nanosleep(&little, NULL) : r == 0 ? poll(&p, 1, -1) : r;
                if (r < 0)
                        return -errno;
        }
}

/* One send, waiting or not. Returns what went out, or an error; `*ret_cancel` is why the wait was ended, if it was. */
static ssize_t send_step(struct call *call, const struct endpoint *e, struct message *m, bool with_control, bool wait, int *ret_cancel) {
        int r;

        *ret_cancel = 0;
        if (!wait)
                return send_once(call, e, m, with_control, false);
        bool by_room = waits_for_room(call, e, m);
        r = target_block_begin(call);
        if (r < 0)
                return r;
        ssize_t n = by_room ? send_with_room(call, e, m, with_control) : send_once(call, e, m, with_control, true);
        *ret_cancel = target_block_end(call);
        return n == -EINTR && *ret_cancel < 0 ? *ret_cancel : n;
}

/* Sends what is in m->data: at once where that works, else where the caller would wait, waiting. `m->sent` counts on; an error is returned
 * even if something was sent. */
static int send_data(struct call *call, const struct endpoint *e, struct message *m) {
        bool may_wait = e->blocking && !(m->flags & MSG_DONTWAIT);
        /* With TCP fast open, not waiting means something else: EINPROGRESS. */
        bool wait = may_wait && (m->flags & MSG_FASTOPEN);
        char *start = m->data;
        size_t at = 0, size = m->data_size;
        int r = 0;

        for (;;) {
                int cancel;
                m->data = start + at;
                m->data_size = size - at;
                ssize_t n = send_step(call, e, m, m->sent == 0, wait, &cancel);
                if (n == -EAGAIN && may_wait && !wait) {
                        wait = true;
                        continue;
                }
                r = n < 0 ? n : cancel;
                if (n < 0)
                        break;
                at += n;
                m->sent += n;
                /* The connection is made, the rest follows on it. */
                m->flags &= ~MSG_FASTOPEN;
                if (r < 0 || at == size || e->type != SOCK_STREAM || !may_wait)
                        break;
        }
        m->data = start;
        m->data_size = at;
        return r < 0 ? r : at < size ? -EAGAIN : 0;
}

/* The data of a message that goes as a whole; what is larger than the socket's buffer would be EMSGSIZE in the kernel as well. */
static int send_whole(struct call *call, const struct endpoint *e, struct message *m) {
        uint64_t size = m->left, limit = ZEROCOPY_MAX;
        size_t n;
        int r;

        if (e->type == SOCK_STREAM) {
                if (size > limit)
                        size = limit;
        } else {
                int buffer;
                socklen_t length = sizeof(buffer);
                if (getsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &buffer, &length) < 0)
                        return -errno;
                /* A buffer may be made smaller than the largest datagram of IP after it is allocated to. */
                if (size > 65536 && size > (uint64_t) buffer)
                        return -EMSGSIZE;
        }
        r = read_data(call, m, size, &n);
        if (r < 0)
                return r;
        if (n < size)
                return -EFAULT;
        m->data_size = n;
        return send_data(call, e, m);
}

static int send_stream(struct call *call, const struct endpoint *e, struct message *m) {
        int r;

        do {
                size_t n, size = m->left < CHUNK ? m->left : CHUNK;
                r = read_data(call, m, size, &n);
                if (r < 0)
                        return r;
                m->data_size = n;
                r = send_data(call, e, m);
                if (r < 0)
                        return r;
                if (n < size)
                        return -EFAULT;
        } while (m->left > 0);
        return 0;
}

/* Sends a message that was decided on. */
static struct verdict send_decided(struct call *call, const struct endpoint *e, struct message *m) {
        int r;

        r = address_enter(&m->address);
        if (r < 0)
                return verdict_from(r);
        r = e->domain == AF_UNIX ? target_act_peer(call) : target_act(call);
        if (r < 0)
                return verdict_from(r);
        /* What has to be one call in the kernel as well: one completion for each, one urgent byte, one connection. */
        if (e->type == SOCK_STREAM && !(m->flags & (MSG_ZEROCOPY | MSG_OOB | MSG_FASTOPEN)))
                r = send_stream(call, e, m);
        else
                r = send_whole(call, e, m);
        target_act_done(call);
        if (r == -ESRCH)
                return verdict_gone();
        /* What was sent counts; the error, if it is one to stay, comes with the next call. */
        if (r < 0 && m->sent == 0) {
                if (r == -EPIPE && e->type == SOCK_STREAM && e->domain != AF_NETLINK && !(m->flags & MSG_NOSIGNAL))
                        raise_sigpipe(call);
                return verdict_from(r);
        }
        return verdict_value(m->sent);
}

/* Decides on the message's address. Streams ignore it (TCP, but for fast open) or refuse it without looking at it (Unix). */
static bool decide(struct call *call, const struct endpoint *e, struct message *m, struct verdict *ret_verdict) {
        bool inet = e->domain == AF_INET || e->domain == AF_INET6;

        if (m->address.size == 0)
                return true;
        if (inet && e->type == SOCK_STREAM && !(m->flags & MSG_FASTOPEN)) {
                m->address.size = 0;
                return true;
        }
        if (e->domain == AF_UNIX && e->type != SOCK_DGRAM) {
                if (e->type == SOCK_SEQPACKET)
                        m->address.size = 0;
                return true;
        }
        return address_decide(call, e, &m->address, true, ret_verdict);
}

static int read_message(struct call *call, const struct endpoint *e, const struct user_msghdr *h, int flags, struct message *m) {
        int32_t name_size = h->name ? h->name_size : 0;
        int r;

        m->flags = flags;
        if (name_size < 0)
                return -EINVAL;
        if ((size_t) name_size > sizeof(m->address.storage))
                name_size = sizeof(m->address.storage);
        r = address_read(call, h->name, name_size, &m->address);
        if (r < 0)
                return r;
        r = read_vector(call, h, m);
        if (r < 0)
                return r;
        r = read_control(call, e, h, m);
        return r < 0 ? r : add_sender(call, e, m);
}

/* One of sendmmsg's: `before` went out, and how much of this one does belongs at `length_at`. */
static struct verdict send_message(struct call *call, const struct endpoint *e, const struct user_msghdr *h, int flags, unsigned before,
                                   uint64_t length_at) {
        _cleanup_(message_done) struct message m = { .address = ADDRESS_INIT, .before = before, .length_at = length_at };
        struct verdict verdict;
        int r;

        r = read_message(call, e, h, flags, &m);
        if (r < 0)
                return verdict_from(r);
        if (!decide(call, e, &m, &verdict))
                return verdict;
        return send_decided(call, e, &m);
}

/* ---- The calls ---- */

struct verdict handle_sendto(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        _cleanup_(message_done) struct message m = { .address = ADDRESS_INIT };
        struct verdict verdict;
        int r;

        if (CALL_ARG(call, 4) == 0 || CALL_INT(call, 5) == 0)
                /* proceed: the pointer to the address and its size are registers, and there is none. */
                return verdict_registers();
        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        r = address_read(call, CALL_ARG(call, 4), CALL_INT(call, 5), &m.address);
        if (r < 0)
                return verdict_from(r);
        m.iov = calloc(1, sizeof(*m.iov));
        if (!m.iov)
                return verdict_error(ENOMEM);
        m.flags = CALL_INT(call, 3);
        m.n_iov = 1;
        m.left = CALL_ARG(call, 2) < (INT32_MAX & ~UINT64_C(4095)) ? CALL_ARG(call, 2) : INT32_MAX & ~UINT64_C(4095);
        m.iov[0] = (struct iovec) { (void *) (uintptr_t) CALL_ARG(call, 1), m.left };
        if (!decide(call, &e, &m, &verdict))
                return verdict;
        r = add_sender(call, &e, &m);
        return r < 0 ? verdict_from(r) : send_decided(call, &e, &m);
}

struct verdict handle_sendmsg(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        struct user_msghdr h;
        int r;

        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        r = target_read(call, CALL_ARG(call, 1), &h, sizeof(h));
        if (r < 0)
                return verdict_from(r);
        return send_message(call, &e, &h, CALL_INT(call, 2), 0, 0);
}

struct verdict handle_sendmmsg(struct call *call) {
        _cleanup_(endpoint_done) struct endpoint e = ENDPOINT_INIT;
        uint64_t at = CALL_ARG(call, 1);
        unsigned n = CALL_INT(call, 2), done = 0;
        struct verdict verdict = verdict_value(0);
        int r;

        r = endpoint_get(call, CALL_INT(call, 0), &e);
        if (r < 0)
                return verdict_from(r);
        if (n > VECTOR_MAX)
                n = VECTOR_MAX;
        for (; done < n; done++, at += sizeof(struct user_mmsghdr)) {
                struct user_msghdr h;

                r = target_read(call, at, &h, sizeof(h));
                if (r < 0) {
                        verdict = verdict_from(r);
                        break;
                }
                verdict = send_message(call, &e, &h, CALL_INT(call, 3), done, at + offsetof(struct user_mmsghdr, length));
                if (verdict.kind != VERDICT_VALUE)
                        break;
                uint32_t length = verdict.value;
                r = target_write(call, at + offsetof(struct user_mmsghdr, length), &length, sizeof(length));
                if (r < 0) {
                        verdict = verdict_from(r);
                        break;
                }
        }
        /* As the kernel: once a message is out, its count is the answer, and an error comes with the next call. */
        return done > 0 && verdict.kind != VERDICT_GONE ? verdict_value(done) : verdict;
}
