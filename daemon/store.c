/*
 * The service manager's FD store. What is stored of a sandbox is named KEY.what, with UID/NAME for the key (one that a daemon of before knew by its
 * name alone keeps that key), and a number behind a dash where there can be several of them; names of sandboxes may hold dots, the part behind the last one never does. Order is lost there, names are not.
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

/* Shorter than WatchdogSec= of the unit. Where a hundred programs want two processors, the service manager has been seen not to come to its turn for
 * more than 5 s. */
#define BARRIER_USEC 20000000
#define POOL_SUFFIX "pool"

const char *const sandbox_fd_names[FD_COUNT] = {
        [FD_STATE] = "state",       [FD_PLAN] = "plan",     [FD_INIT] = "init",     [FD_CONTROL] = "control",
        [FD_LISTENER] = "listener", [FD_USER] = "user",     [FD_SLOTS] = "slots",   [FD_LOG] = "log",
        [FD_ROOT] = "root",         [FD_WORKER] = "worker", [FD_HELPER] = "helper", [FD_REQUESTS] = "requests",
        [FD_LIFELINE] = "lifeline",
};

static int push(const char *name, const char *what, uint32_t number, int fd) {
        char text[160], suffix[16] = "";

        if (number > 0)
                snprintf(suffix, sizeof(suffix), "-%u", number);
        snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s.%s%s\nFDPOLL=0", name, what, suffix);
        int r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
        return r < 0 ? r : 0;
}

static void drop(const char *name, const char *what, uint32_t number) {
        char text[160], suffix[16] = "";

        if (number > 0)
                snprintf(suffix, sizeof(suffix), "-%u", number);
        snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s.%s%s", name, what, suffix);
        (void) sd_notify(0, text);
}

static uint32_t number_of(const struct sandbox *s, int what) {
        return what == FD_STATE || what == FD_PLAN ? s->generation : 0;
}

static int barrier(void) {
        (void) sd_notify(0, "WATCHDOG=1");
        int r = sd_notify_barrier(0, BARRIER_USEC);

        return r < 0 ? r : 0;
}

int store_sandbox(const struct sandbox *s) {
        if (!getenv("NOTIFY_SOCKET"))
                return 0;
        for (int i = 0; i < FD_COUNT; i++) {
                int r = s->fds[i] >= 0 ? push(s->key, sandbox_fd_names[i], number_of(s, i), s->fds[i]) : 0;
                if (r < 0)
                        return r;
        }
        return barrier();
}

/* One that is not to outlive the daemon is not stored at all. */
static bool stores(const struct sandbox *s) {
        return getenv("NOTIFY_SOCKET") && !s->stored->kill_on_broker_loss;
}

static int replace(const struct sandbox *s, enum sandbox_fd what) {
        if (!stores(s))
                return 0;
        drop(s->key, sandbox_fd_names[what], 0);
        return push(s->key, sandbox_fd_names[what], 0, s->fds[what]);
}

int store_worker(const struct sandbox *s) {
        return replace(s, FD_WORKER);
}

int store_helper(const struct sandbox *s) {
        int r = replace(s, FD_REQUESTS);

        if (r >= 0 && s->fds[FD_LIFELINE] >= 0)
                r = replace(s, FD_LIFELINE);
        return r < 0 ? r : replace(s, FD_HELPER);
}

int store_generation(const struct sandbox *s, uint32_t generation, int state, int plan) {
        if (!stores(s))
                return 0;
        /* Where we are killed in between, the old state counts, and its plan is still there. */
        int r = push(s->key, sandbox_fd_names[FD_PLAN], generation, plan);
        if (r >= 0)
                r = push(s->key, sandbox_fd_names[FD_STATE], generation, state);
        return r < 0 ? r : barrier();
}

void store_forget_generation(const struct sandbox *s, uint32_t generation) {
        if (!stores(s))
                return;
        /* The state first: one without its plan would be no sandbox. */
        drop(s->key, sandbox_fd_names[FD_STATE], generation);
        drop(s->key, sandbox_fd_names[FD_PLAN], generation);
}

int store_listener(const struct sandbox *s, const struct extra_listener *l) {
        if (!stores(s))
                return 0;
        int r = push(s->key, sandbox_fd_names[FD_LISTENER], l->number, l->fd);
        return r < 0 ? r : barrier();
}

void store_forget_listener(const struct sandbox *s, uint32_t number) {
        if (stores(s))
                drop(s->key, sandbox_fd_names[FD_LISTENER], number);
}

void store_forget(const struct sandbox *s, bool state, bool rest) {
        if (!getenv("NOTIFY_SOCKET"))
                return;
        for (int i = 0; i < FD_COUNT; i++)
                if (i == FD_STATE ? state : rest)
                        drop(s->key, sandbox_fd_names[i], number_of(s, i));
        for (size_t i = 0; rest && i < s->n_listeners; i++)
                drop(s->key, sandbox_fd_names[FD_LISTENER], s->listeners[i].number);
}

int store_pool(uid_t uid, int fd) {
        char text[64];

        if (!getenv("NOTIFY_SOCKET"))
                return 0;
        snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%u/" POOL_SUFFIX "\nFDPOLL=0", uid);
        int r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
        return r < 0 ? r : 0;
}

void store_forget_pool(uid_t uid) {
        char text[64];

        snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%u/" POOL_SUFFIX, uid);
        (void) sd_notify(0, text);
}

/* UID/pool, without the dot that all has that is stored of a sandbox. */
static bool names_pool(const char *text, uid_t *ret) {
        const char *name;

        return control_split(text, ret, &name) > 0 && str_equal(name, POOL_SUFFIX);
}

void store_settings(const struct settings *settings) {
        if (!getenv("NOTIFY_SOCKET"))
                return;
        (void) sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" OWN_SETTINGS);
        /* Where there is no file, that is kept. */
        _cleanup_close_ int fd = fd_memfd("sandboxd-settings", settings->text ?: "", settings->size);
        if (fd >= 0)
                (void) sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" OWN_SETTINGS "\nFDPOLL=0", &fd, 1);
}

/* ---- taking ---- */

/* "plan-3": FD_PLAN and 3; "plan": 0. */
static int find_what(const char *text, uint32_t *ret_number) {
        const char *dash = strchr(text, '-');
        size_t length = dash ? (size_t) (dash - text) : strlen(text);
        char *end;

        *ret_number = 0;
        if (dash) {
                unsigned long number = strtoul(dash + 1, &end, 10);
                if (dash[1] < '1' || dash[1] > '9' || *end || number > UINT32_MAX)
                        return -1;
                *ret_number = number;
        }
        for (int i = 0; i < FD_COUNT; i++)
                if (strncmp(text, sandbox_fd_names[i], length) == 0 && sandbox_fd_names[i][length] == 0)
                        return !dash || i == FD_STATE || i == FD_PLAN || i == FD_LISTENER ? i : -1;
        return -1;
}

/* NAME.what[-NUMBER]; -1: it is none of ours. The caller frees `*ret_name`. */
static int read_name(const char *text, char **ret_name, uint32_t *ret_number) {
        const char *dot = strrchr(text, '.');
        _cleanup_free_ char *name = dot ? strndup(text, dot - text) : NULL;
        int what = dot ? find_what(dot + 1, ret_number) : -1;

        if (!name || what < 0 || control_split(name, NULL, NULL) < 0)
                return -1;
        *ret_name = TAKE_PTR(name);
        return what;
}

struct found_list {
        struct found *list;
        size_t n;
};

static struct found *find_or_add(struct found_list *all, const char *name) {
        for (size_t i = 0; i < all->n; i++)
                if (str_equal(all->list[i].key, name))
                        return &all->list[i];
        struct found *larger = reallocarray(all->list, all->n + 1, sizeof(*larger));
        if (!larger)
                return NULL;
        all->list = larger;
        struct found *f = larger + all->n;
        *f = (struct found) { .key = strdup(name) };
        if (!f->key)
                return NULL;
        for (int i = 0; i < FD_COUNT; i++)
                f->fds[i] = -1;
        all->n++;
        return f;
}

/* Order is lost in the store: which state counts has to be known before anything is sorted in. */
static void note_generation(struct found_list *all, const char *text) {
        _cleanup_free_ char *name = NULL;
        uint32_t number;
        struct found *f = read_name(text, &name, &number) == FD_STATE ? find_or_add(all, name) : NULL;

        if (f && number > f->generation)
                f->generation = number;
}

/* One that is not ours, or stands there twice, is closed: the sandbox is then incomplete, and dies. */
static void sort_in(struct found_list *all, const char *text, int descriptor) {
        _cleanup_close_ int fd = descriptor;
        _cleanup_free_ char *name = NULL;
        uint32_t number = 0;
        int what = read_name(text, &name, &number);
        struct found *f = what < 0 ? NULL : find_or_add(all, name);

        if (!f)
                return;
        if (what == FD_LISTENER && number > 0) {
                if (f->n_listeners < ELEMENTSOF(f->listeners))
                        f->listeners[f->n_listeners++] = (struct extra_listener) { .fd = TAKE_FD(fd), .number = number };
        } else if ((what == FD_STATE || what == FD_PLAN) && number != f->generation)
                drop(name, sandbox_fd_names[what], number); /* what has been replaced, or was never in force */
        else if (f->fds[what] < 0)
                f->fds[what] = TAKE_FD(fd);
}

static void forget_found(const struct found *f) {
        for (int i = 0; i < FD_COUNT; i++)
                drop(f->key, sandbox_fd_names[i], i == FD_STATE || i == FD_PLAN ? f->generation : 0);
        for (size_t i = 0; i < f->n_listeners; i++)
                drop(f->key, sandbox_fd_names[FD_LISTENER], f->listeners[i].number);
}

static void restore(struct daemon *d, struct found *f, int configured) {
        int r = configured < 0 ? configured : sandbox_restore(d, f);

        if (r < 0) {
                log_record(LOG_ERR, MESSAGE_RESTORED, f->key, "what was stored of it can't be used, it dies: %s", strerror(-r));
                forget_found(f);
        }
        for (int i = 0; i < FD_COUNT; i++)
                fd_close(f->fds[i]);
        for (size_t i = 0; i < f->n_listeners; i++)
                fd_close(f->listeners[i].fd);
        free(f->key);
}

int store_take(struct daemon *d) {
        struct found_list found = {};
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names), sockets = 0;
        _cleanup_close_ int settings = -1;
        uid_t uid;

        for (int i = 0; i < n; i++)
                note_generation(&found, names[i]);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0) {
                        if (str_equal(names[i], OWN_AGENT))
                                (void) agent_listen(d, fd, getenv("SANDBOXD_KEEPER"));
                        else if (peer_listen(d, fd, str_equal(names[i], OWN_SOCKET)) >= 0)
                                sockets++;
                } else if (str_equal(names[i], OWN_SETTINGS)) {
                        fd_close(settings);
                        settings = fd;
                } else if (names_pool(names[i], &uid))
                        pools_found(d, uid, fd);
                else
                        sort_in(&found, names[i], fd);
                free(names[i]);
        }
        free(names);
        int configured = configure(d, settings, settings >= 0 || found.n > 0);
        for (size_t i = 0; i < found.n; i++)
                restore(d, &found.list[i], configured);
        free(found.list);
        pools_settle(d);
        return configured < 0 ? configured : n < 0 ? n : sockets;
}
