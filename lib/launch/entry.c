/*
 * The client's part of a program that is to enter a sandbox: see enter.c.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"
#include "str.h"

static void add_text(struct strbuf *texts, const char *text) {
        strbuf_add(texts, text, strlen(text) + 1);
}

static uint32_t add_list(struct strbuf *texts, char *const *list) {
        uint32_t n = 0;

        for (; list && list[n]; n++)
                add_text(texts, list[n]);
        return n;
}

static int send_request(const struct launch_entry *entry, int socket) {
        _cleanup_(strbuf_done) struct strbuf texts = {};
        struct enter_request request = { .umask = entry->umask };

        add_text(&texts, entry->chdir);
        request.n_words = add_list(&texts, entry->argv);
        request.n_environment = add_list(&texts, entry->environment);
        request.size = texts.length;
        if (texts.failed)
                return -ENOMEM;
        _cleanup_close_ int file = fd_memfd("sandboxd-entry", texts.text, texts.length);
        if (file < 0)
                return file;
        const int fds[] = { file, entry->stdio[0], entry->stdio[1], entry->stdio[2] };
        return fd_send(socket, &request, sizeof(request), fds, ELEMENTSOF(fds));
}

int launch_enter(const struct launch_entry *entry, struct launched *ret, int *ret_socket, char **error) {
        int pair[2];

        *error = NULL;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return launch_fail(error, -errno, "no sockets: %s", strerror(errno));
        /* It waits in the socket for init. */
        int r = send_request(entry, pair[0]);
        if (r < 0) {
                fd_close(pair[0]);
                fd_close(pair[1]);
                return launch_fail(error, r, "the command can't be sent: %s", strerror(-r));
        }
        *ret = (struct launched) LAUNCHED_INIT;
        ret->control = pair[0];
        *ret_socket = pair[1];
        return 0;
}

int launch_enter_wait(struct launched *launched) {
        struct launch_event event;
        size_t n = 0;
        ssize_t size;

        do
                size = recv(launched->control, &event, sizeof(event), MSG_PEEK);
        while (size < 0 && errno == EINTR);
        if (size != sizeof(event))
                return size < 0 && errno != ECONNRESET ? -errno : -EPIPE;
        if ((int) event.type != LAUNCH_READY)
                return 0;
        size = fd_receive(launched->control, &event, sizeof(event), &launched->pty, 1, &n);
        return size < 0 ? size : 0;
}
