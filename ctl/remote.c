#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "message.h"
#include "path.h"
#include "plan.h"
#include "str.h"

#define RECONNECT_SECONDS 10
#define RECONNECT_NSEC 20000000

bool remote_is_unknown(const sd_bus_error *bus_error) {
        return sd_bus_error_has_name(bus_error, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
               sd_bus_error_has_name(bus_error, SD_BUS_ERROR_UNKNOWN_METHOD);
}

int remote_unknown(const char *name) {
        _cleanup_free_ char *text = str_escape(name);

        message_fail("there is no sandbox %s of yours; sandboxctl ps --all lists them", text);
        return -ENOENT;
}

int remote_failed(int error, const sd_bus_error *bus_error, const char *what) {
        if (bus_error && sd_bus_error_is_set(bus_error) && bus_error->message) {
                _cleanup_free_ char *text = str_escape(bus_error->message);
                message_fail("%s: %s", what, text);
        } else
                message_fail("%s: %s", what, strerror(-error));
        return error < 0 ? error : -EIO;
}

int remote_connect(struct remote *r) {
        char path[CONTROL_SOCKET_SIZE] = "";
        int e = control_connect(&r->bus, path);

        if (e >= 0)
                return 0;
        if (e == -ENOENT && !path[0])
                message_fail("XDG_RUNTIME_DIR is not set, so that it isn't known where your sandboxd would listen");
        else {
                _cleanup_free_ char *text = str_escape(path);
                if (e == -ENOENT || e == -ECONNREFUSED)
                        message_fail("no sandboxd listens on %s: start it (sandboxd &, or systemctl %sstart sandboxd)", text,
                                     getuid() == 0 ? "" : "--user ");
                else
                        message_fail("sandboxd can't be reached on %s: %s", text, strerror(-e));
        }
        return e;
}

int remote_reconnect(struct remote *r) {
        struct timespec pause = { .tv_nsec = RECONNECT_NSEC };
        char path[CONTROL_SOCKET_SIZE];
        time_t end = time(NULL) + RECONNECT_SECONDS;

        r->bus = sd_bus_close_unref(r->bus);
        while (time(NULL) < end) {
                if (control_connect(&r->bus, path) >= 0) {
                        if (sd_bus_call_method(r->bus, NULL, r->object, CONTROL_SANDBOX, "Attach", NULL, NULL, NULL) >= 0)
                                return 0;
                        r->bus = sd_bus_close_unref(r->bus);
                }
                nanosleep(&pause, NULL);
        }
        return message_fail("sandboxd is gone, and has not come back"), -ECONNRESET;
}

/* ---- what a detached one writes ---- */

int remote_open_output(struct remote *r, const char *name, const char *home) {
        const char *state = getenv("XDG_STATE_HOME");
        int n = -1, e;

        if (state && state[0] == '/')
                n = asprintf(&r->output, "%s/sandboxd/%s.log", state, name);
        else if (getuid() == 0)
                n = asprintf(&r->output, "/var/log/sandboxd/%s.log", name);
        else if (home)
                n = asprintf(&r->output, "%s/.local/state/sandboxd/%s.log", home, name);
        if (n < 0) {
                r->output = NULL;
                message_fail("you have no home directory for what the sandbox writes: set XDG_STATE_HOME");
                return -ENOENT;
        }
        e = path_make_parents(r->output, 0700);
        if (e >= 0) {
                r->output_fd = open(r->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
                e = r->output_fd < 0 ? -errno : 0;
        }
        if (e >= 0 && ftruncate(r->output_fd, 0) < 0)
                e = -errno;
        if (e < 0) {
                _cleanup_free_ char *text = str_escape(r->output);
                message_fail("%s: what the sandbox writes can't go there: %s", text, strerror(-e));
        }
        return e;
}

/* ---- handing over ---- */

/* Without the right there is none, and nothing depends on it but low ports. */
static int prove_ports(const struct plan *plan) {
        struct sockaddr_in address;

        if (plan->n_low_ports == 0)
                return -1;
        control_port_proof(getpid(), &address);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? fd_close(fd) : fd;
}

static int append_request(sd_bus_message *m, const struct remote_request *q, const struct remote *r) {
        _cleanup_close_ int root = q->plan->root ? open(q->plan->root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        _cleanup_close_ int ports = prove_ports(q->plan);
        int e = q->plan->root && root < 0 ? -errno : sd_bus_message_open_container(m, 'a', "{sv}");

        if (e >= 0)
                e = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "policy", "s", q->policy, "cgroup", "s", q->cgroup ?: "",
                                          "output", "s", r->output ?: "", "foreground", "b", (int) q->foreground, "kill-on-broker-loss",
                                          "b", (int) q->kill_on_broker_loss, "wait-killable", "b", (int) q->wait_killable, "record", "u",
                                          q->record, "time", "t", q->time_usec);
        if (e >= 0 && q->log_fd >= 0)
                e = sd_bus_message_append(m, "{sv}", "log", "h", q->log_fd);
        if (e >= 0 && root >= 0)
                e = sd_bus_message_append(m, "{sv}", "root", "h", root);
        if (e >= 0 && ports >= 0)
                e = sd_bus_message_append(m, "{sv}", "ports", "h", ports);
        if (e >= 0)
                e = control_append_list(m, "command", q->command);
        return e < 0 ? e : sd_bus_message_close_container(m);
}

/* `fds` ends with -1. */
static int adopt(struct remote *r, const struct remote_request *q, const char *method, const int *fds, bool other_name, int *ret_started) {
        _cleanup_(strbuf_done) struct strbuf text = {};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        const char *object;
        int e = plan_save(q->plan, &text);

        _cleanup_close_ int plan = e < 0 ? e : fd_memfd("sandboxd-plan", text.text, text.length);
        if (plan < 0)
                return message_fail("the policy can't be handed over: %s", strerror(-plan)), plan;
        e = sd_bus_message_new_method_call(r->bus, &m, NULL, CONTROL_PATH, CONTROL_MANAGER, method);
        if (e >= 0)
                e = sd_bus_message_append(m, "sh", q->name, plan);
        for (; e >= 0 && *fds >= 0; fds++)
                e = sd_bus_message_append_basic(m, 'h', fds);
        if (e >= 0)
                e = append_request(m, q, r);
        if (e >= 0)
                e = sd_bus_call(r->bus, m, UINT64_MAX, &error, &reply);
        if (e >= 0)
                e = sd_bus_message_read(reply, "ob", &object, ret_started);
        if (e >= 0 && !(r->object = strdup(object)))
                e = -ENOMEM;
        /* Whoever has other names to try asks again. */
        if (e < 0 && other_name && sd_bus_error_has_name(&error, CONTROL_NAME_TAKEN))
                e = -EEXIST;
        else if (e < 0)
                (void) remote_failed(e, &error, "sandboxd doesn't take the sandbox over");
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return e;
}

int remote_adopt(struct remote *r, const struct remote_request *q, const struct launched *l) {
        const int fds[] = { l->init_pidfd, l->control, l->listener, l->user_namespace, -1 };
        int started = 0, e = adopt(r, q, "Adopt", fds, false, &started);

        return e < 0 ? e : started;
}

int remote_adopt_in_place(struct remote *r, const struct remote_request *q, int init_pidfd, int listener, int root) {
        const int fds[] = { init_pidfd, listener, root, -1 };
        int started = 0, e = adopt(r, q, "AdoptInPlace", fds, true, &started);

        return e < 0 ? e : 0;
}

static int get_plan(struct remote *r, const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        sd_bus_message *reply = NULL;
        int fd = -1, e = control_object(name, &object);

        if (e >= 0)
                e = sd_bus_call_method(r->bus, NULL, object, CONTROL_SANDBOX, "Plan", &error, &reply, NULL);
        if (e >= 0)
                e = sd_bus_message_read(reply, "h", &fd);
        if (e >= 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
                e = -errno;
        if (e < 0 && remote_is_unknown(&error))
                e = remote_unknown(name);
        else if (e < 0)
                (void) remote_failed(e, &error, name);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return e < 0 ? e : fd;
}

int remote_plan(struct remote *r, const char *name, struct policy **ret_policy, struct plan **ret) {
        struct policy_report report = {};
        _cleanup_close_ int fd = get_plan(r, name);

        if (fd < 0)
                return fd;
        int e = plan_load_fd(fd, ret_policy, ret, &report);
        policy_report_print(&report, stderr);
        policy_report_done(&report);
        if (e < 0)
                message_fail("the policy in force can't be read: %s", strerror(-e));
        return e;
}

void remote_done(struct remote *r) {
        sd_bus_flush_close_unref(r->bus);
        free(r->object);
        free(r->output);
        fd_close(r->output_fd);
}
