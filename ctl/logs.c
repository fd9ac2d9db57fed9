/*
 * sandboxctl logs: what a detached sandbox has written, as it is, or as JSON.
 */
#include "logs.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "json_print.h"
#include "message.h"
#include "str.h"

#define LINE_MAX_SHOWN 65536 /* what is longer comes in pieces */

struct log {
        const char *name;
        int fd;
        bool json;
        size_t n; /* of an unfinished line */
        char line[LINE_MAX_SHOWN];
};

/* An object of the first `n` bytes of what is held back. `whole`: a newline follows, which is left out. */
static int put_line(struct log *l, size_t n, bool whole) {
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "name", json_object_new_string(l->name));
        json_object_object_add(o, "line", json_object_new_string_len(l->line, n));
        if (!whole)
                json_object_object_add(o, "partial", json_object_new_boolean(true));
        l->n -= n + whole;
        memmove(l->line, l->line + n + whole, l->n);
        return json_print_line(o);
}

static int put_lines(struct log *l) {
        const char *end;
        int r = 0;

        while (r >= 0 && (end = memchr(l->line, '\n', l->n)))
                r = put_line(l, end - l->line, true);
        return r >= 0 && l->n == sizeof(l->line) ? put_line(l, l->n, false) : r;
}

/* -EPIPE: nobody reads. */
static int copy_new(struct log *l) {
        ssize_t n;

        while ((n = read(l->fd, l->line + l->n, sizeof(l->line) - l->n)) > 0) {
                l->n += n;
                int r = l->json ? put_lines(l) : fd_write_full(1, l->line, l->n);
                if (r < 0)
                        return -EPIPE;
                if (!l->json)
                        l->n = 0;
        }
        return n < 0 ? -errno : 0;
}

/* Until the sandbox has ended, and what it wrote last was shown. */
static int follow(struct remote *r, struct log *l) {
        struct timespec pause = { .tv_nsec = 200000000 };

        for (;;) {
                struct sandbox_list list;
                int e = sandboxes_read(r->bus, l->name, &list);
                if (e < 0)
                        return e;
                bool running = str_equal(list.list[0].state, "running");
                sandboxes_done(&list);
                e = copy_new(l);
                if (e < 0 || !running)
                        return e;
                nanosleep(&pause, NULL);
        }
}

int logs_show(struct remote *r, const struct sandbox_info *info, bool follows, bool json) {
        _cleanup_free_ char *path = str_escape(info->output);
        char word[SANDBOX_WORD];

        sandbox_word(info, word);
        if (!info->output[0]) {
                message_fail("%s has its output where it was started; only sandboxes of exec --detach have a log", word);
                return -ENOENT;
        }
        _cleanup_close_ int fd = open(info->output, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_free_ struct log *log = calloc(1, sizeof(*log));
        if (!log)
                return message_fail("%s", strerror(ENOMEM)), -ENOMEM;
        log->name = word;
        log->fd = fd;
        log->json = json;
        int e = fd < 0 ? -errno : follows ? follow(r, log) : copy_new(log);
        /* What it ends with, where that is no newline. */
        if (e >= 0 && log->n > 0 && put_line(log, log->n, false) < 0)
                e = -EPIPE;
        if (e == -EPIPE)
                return 0; /* whoever reads has enough */
        if (e < 0 && e != -ENOENT)
                message_fail("%s: %s", path, strerror(-e));
        else if (e < 0)
                message_fail("%s is not there any more", path);
        return e;
}
