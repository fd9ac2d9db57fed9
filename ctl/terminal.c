#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"

/* One direction of the relay. */
struct stream {
        int from, to;
        size_t start, end;
        char buffer[16384];
};

struct terminal {
        int outer, pty;
        bool raw;       /* keys go inside as they are */
        bool wants_raw; /* our own output is this terminal, so that it is the sandbox's to draw on */
        struct termios saved;
        struct stream in, out;
        sd_event_source *outer_source, *pty_source;
};

static int stream_fill(struct stream *s) {
        if (s->start == s->end)
                s->start = s->end = 0;
        if (s->end == sizeof(s->buffer))
                return 0;
        ssize_t n = read(s->from, s->buffer + s->end, sizeof(s->buffer) - s->end);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        s->end += n;
        return 0;
}

static int stream_flush(struct stream *s) {
        while (s->start < s->end) {
                ssize_t n = write(s->to, s->buffer + s->start, s->end - s->start);
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                s->start += n;
        }
        return 0;
}

static bool stream_full(const struct stream *s) {
        return s->end == sizeof(s->buffer) && s->start < s->end;
}

static bool foreground(int fd) {
        return tcgetpgrp(fd) == getpgrp();
}

/* What to wait for follows from what the buffers hold. */
static void terminal_update(struct terminal *t) {
        bool input = t->raw || (!t->wants_raw && foreground(t->outer));

        sd_event_source_set_io_events(t->outer_source,
                                      (input && !stream_full(&t->in) ? EPOLLIN : 0) | (t->out.start < t->out.end ? EPOLLOUT : 0));
        if (t->pty_source)
                sd_event_source_set_io_events(t->pty_source,
                                              (stream_full(&t->out) ? 0 : EPOLLIN) | (t->in.start < t->in.end ? EPOLLOUT : 0));
}

static int on_outer(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct terminal *t = userdata;

        if (events & EPOLLIN && stream_fill(&t->in) < 0) {
                /* The terminal is gone (its window was closed): SIGHUP is on its way to us, and we pass it on. */
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        if (events & EPOLLHUP && !(events & EPOLLIN)) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        (void) stream_flush(&t->out);
        (void) stream_flush(&t->in);
        terminal_update(t);
        return 0;
}

static int on_pty(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct terminal *t = userdata;

        if (events & (EPOLLIN | EPOLLHUP) && stream_fill(&t->out) < 0) {
                /* EIO: no process has the slave open. Init held it until the command was there, so all are gone. */
                t->pty_source = sd_event_source_disable_unref(t->pty_source);
        }
        (void) stream_flush(&t->in);
        (void) stream_flush(&t->out);
        terminal_update(t);
        return 0;
}

int terminal_new(sd_event *event, int pty, struct terminal **ret) {
        _cleanup_(terminal_freep) struct terminal *t = calloc(1, sizeof(*t));
        int r, which = -1;

        if (!t)
                return -ENOMEM;
        t->outer = t->pty = -1;
        for (int fd = 2; fd >= 0; fd--)
                if (isatty(fd))
                        which = fd;
        if (which < 0)
                return -ENOTTY;

        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", which);
        t->outer = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (t->outer < 0)
                return -errno;
        if (tcgetattr(t->outer, &t->saved) < 0)
                return -errno;
        t->wants_raw = isatty(1) || isatty(2);

        if (tcsetattr(pty, TCSANOW, &t->saved) < 0)
                return -errno;
        t->pty = pty;
        t->in.from = t->out.to = t->outer;
        t->in.to = t->out.from = t->pty;
        terminal_resize(t);

        r = sd_event_add_io(event, &t->outer_source, t->outer, 0, on_outer, t);
        if (r >= 0)
                r = sd_event_add_io(event, &t->pty_source, t->pty, 0, on_pty, t);
        if (r < 0) {
                t->pty = -1;
                return r;
        }
        terminal_resume(t);
        *ret = TAKE_PTR(t);
        return 0;
}

void terminal_resume(struct terminal *t) {
        if (t->wants_raw && !t->raw && foreground(t->outer) && tcgetattr(t->outer, &t->saved) == 0) {
                struct termios raw = t->saved;
                cfmakeraw(&raw);
                /* With our output in a pipe, what its reader writes here is not the sandbox's, and wants its line ends as ever. */
                if (!isatty(1))
                        raw.c_oflag = t->saved.c_oflag;
                if (tcsetattr(t->outer, TCSADRAIN, &raw) == 0)
                        t->raw = true;
        }
        terminal_update(t);
}

void terminal_suspend(struct terminal *t) {
        if (t->raw && foreground(t->outer))
                (void) tcsetattr(t->outer, TCSADRAIN, &t->saved);
        t->raw = false;
}

void terminal_resize(struct terminal *t) {
        struct winsize size;

        if (ioctl(t->outer, TIOCGWINSZ, &size) == 0)
                (void) ioctl(t->pty, TIOCSWINSZ, &size);
}

void terminal_drain(struct terminal *t) {
        /* A terminal that takes no more (Ctrl-S) must not keep us: a second without progress is the end. */
        for (;;) {
                bool more = !stream_full(&t->out) && stream_fill(&t->out) >= 0;
                if (t->out.start == t->out.end && !more)
                        break;
                size_t before = t->out.start;
                if (stream_flush(&t->out) < 0)
                        break;
                if (t->out.start == t->out.end) {
                        struct pollfd p = { .fd = t->pty, .events = POLLIN };
                        if (poll(&p, 1, 0) <= 0)
                                break;
                } else if (t->out.start == before) {
                        struct pollfd p = { .fd = t->outer, .events = POLLOUT };
                        if (poll(&p, 1, 1000) <= 0)
                                break;
                }
        }
}

struct terminal *terminal_free(struct terminal *t) {
        if (!t)
                return NULL;
        terminal_suspend(t);
        sd_event_source_disable_unref(t->outer_source);
        sd_event_source_disable_unref(t->pty_source);
        fd_close(t->outer);
        fd_close(t->pty);
        free(t);
        return NULL;
}
