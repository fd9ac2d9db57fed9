/*
 * The service manager's FD store. What is stored of a sandbox is named KEY.what, with UID/NAME for the key (one that a daemon of before knew by its
 * name alone keeps that key); names of sandboxes may hold dots, the part behind the last one never does. Order is lost there, names are not.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <systemd/sd-daemon.h>

#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "str.h"

#define BARRIER_USEC 5000000

const char *const sandbox_fd_names[FD_COUNT] = {
        [FD_STATE] = "state",       [FD_PLAN] = "plan",     [FD_INIT] = "init",     [FD_CONTROL] = "control",
        [FD_LISTENER] = "listener", [FD_USER] = "user",     [FD_SLOTS] = "slots",   [FD_LOG] = "log",
        [FD_ROOT] = "root",         [FD_WORKER] = "worker", [FD_HELPER] = "helper", [FD_REQUESTS] = "requests",
};

static int push(const char *name, const char *what, int fd) {
        char text[160];

        snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s.%s\nFDPOLL=0", name, what);
        int r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
        return r < 0 ? r : 0;
}

static void drop(const char *name, const char *what) {
        char text[160];

        snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s.%s", name, what);
        (void) sd_notify(0, text);
}

int store_sandbox(const struct sandbox *s) {
        if (!getenv("NOTIFY_SOCKET"))
                return 0;
        for (int i = 0; i < FD_COUNT; i++) {
                int r = s->fds[i] >= 0 ? push(s->key, sandbox_fd_names[i], s->fds[i]) : 0;
                if (r < 0)
                        return r;
        }
        int r = sd_notify_barrier(0, BARRIER_USEC);
        return r < 0 ? r : 0;
}

static int replace(const struct sandbox *s, enum sandbox_fd what) {
        if (!getenv("NOTIFY_SOCKET"))
                return 0;
        drop(s->key, sandbox_fd_names[what]);
        return push(s->key, sandbox_fd_names[what], s->fds[what]);
}

int store_worker(const struct sandbox *s) {
        return replace(s, FD_WORKER);
}

int store_helper(const struct sandbox *s) {
        int r = replace(s, FD_REQUESTS);

        return r < 0 ? r : replace(s, FD_HELPER);
}

void store_forget(const struct sandbox *s, bool state, bool rest) {
        if (!getenv("NOTIFY_SOCKET"))
                return;
        for (int i = 0; i < FD_COUNT; i++)
                if (i == FD_STATE ? state : rest)
                        drop(s->key, sandbox_fd_names[i]);
}

void store_settings(const struct settings *settings) {
        if (!getenv("NOTIFY_SOCKET"))
                return;
        (void) sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" OWN_SETTINGS);
        if (!settings->text)
                return;
        _cleanup_close_ int fd = fd_memfd("sandboxd-settings", settings->text, settings->size);
        if (fd >= 0)
                (void) sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" OWN_SETTINGS "\nFDPOLL=0", &fd, 1);
}

/* ---- taking ---- */

struct found {
        char *name; /* its key */
        int fds[FD_COUNT];
};

static int find_what(const char *text) {
        for (int i = 0; i < FD_COUNT; i++)
                if (str_equal(text, sandbox_fd_names[i]))
                        return i;
        return -1;
}

static struct found *find_or_add(struct found **list, size_t *n, const char *name) {
        for (size_t i = 0; i < *n; i++)
                if (str_equal((*list)[i].name, name))
                        return &(*list)[i];
        struct found *larger = reallocarray(*list, *n + 1, sizeof(**list));
        if (!larger)
                return NULL;
        *list = larger;
        struct found *f = larger + *n;
        f->name = strdup(name);
        if (!f->name)
                return NULL;
        for (int i = 0; i < FD_COUNT; i++)
                f->fds[i] = -1;
        (*n)++;
        return f;
}

/* One that is not ours, or stands there twice, is closed: the sandbox is then incomplete, and dies. */
static void sort_in(struct found **list, size_t *n, const char *text, int fd) {
        const char *dot = strrchr(text, '.');
        _cleanup_free_ char *name = dot ? strndup(text, dot - text) : NULL;
        int what = dot ? find_what(dot + 1) : -1;
        struct found *f = name && what >= 0 && control_split(name, NULL, NULL) >= 0 ? find_or_add(list, n, name) : NULL;

        if (!f || f->fds[what] >= 0) {
                fd_close(fd);
                return;
        }
        f->fds[what] = fd;
}

int store_take(struct daemon *d) {
        char **names = NULL;
        struct found *found = NULL;
        size_t n_found = 0;
        int n = sd_listen_fds_with_names(1, &names), sockets = 0;
        _cleanup_close_ int settings = -1;

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0) {
                        if (peer_listen(d, fd, str_equal(names[i], OWN_SOCKET)) >= 0)
                                sockets++;
                } else if (str_equal(names[i], OWN_SETTINGS)) {
                        fd_close(settings);
                        settings = fd;
                } else
                        sort_in(&found, &n_found, names[i], fd);
                free(names[i]);
        }
        free(names);
        int configured = configure(d, settings, settings >= 0 || n_found > 0);
        for (size_t i = 0; i < n_found; i++) {
                int r = configured < 0 ? configured : sandbox_restore(d, found[i].name, found[i].fds);
                if (r < 0)
                        log_record(LOG_ERR, MESSAGE_RESTORED, found[i].name, "what was stored of it can't be used, it dies: %s",
                                   strerror(-r));
                for (int k = 0; k < FD_COUNT; k++) {
                        if (r < 0)
                                drop(found[i].name, sandbox_fd_names[k]);
                        fd_close(found[i].fds[k]);
                }
                free(found[i].name);
        }
        free(found);
        return configured < 0 ? configured : n < 0 ? n : sockets;
}
