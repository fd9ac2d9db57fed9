/*
 * Services that systemd starts behind us (sandboxctl service wrap): who may hand over such a sandbox, and how they end.
 */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "str.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_MANAGER SYSTEMD ".Manager"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define GROUPS "/sys/fs/cgroup"
#define EXTEND_USEC 5000000
#define EXTEND_BY "EXTEND_TIMEOUT_USEC=30000000"

#define MANAGER_USEC 2000000

int systemd_connect(sd_bus **ret) {
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        char address[256];
        sd_bus *bus;
        int r = sd_bus_new(&bus);

        if (r < 0)
                return r;
        if (geteuid() == 0)
                snprintf(address, sizeof(address), "unix:path=/run/systemd/private");
        else
                snprintf(address, sizeof(address), "unix:path=%s/systemd/private", runtime ?: "");
        if ((r = sd_bus_set_address(bus, address)) < 0 || (r = sd_bus_set_method_call_timeout(bus, MANAGER_USEC)) < 0 ||
            (r = sd_bus_start(bus)) < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

/* ---- who may ---- */

static bool is_wrapped(const char *unit) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        /* Where only root writes, what stands there is root's word. */
        return asprintf(&path, CONTROL_DROP_INS, unit) >= 0 && lstat(path, &st) >= 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
               (st.st_mode & 0022) == 0;
}

int service_attest(struct peer *p, int init_pidfd, char **ret_cgroup) {
        _cleanup_free_ char *unit = NULL, *group = NULL, *path = NULL;

        /* Its number is its own before and after what is read by it. */
        if (geteuid() != 0 || pidfd_pid(init_pidfd) != p->pid || pidfd_pid(p->pidfd) != p->pid)
                return -EPERM;
        if (sd_pid_get_unit(p->pid, &unit) < 0 || sd_pid_get_cgroup(p->pid, &group) < 0 || !is_wrapped(unit) ||
            pidfd_pid(p->pidfd) != p->pid)
                return -EPERM;
        if (asprintf(&path, GROUPS "%s", group) < 0)
                return -ENOMEM;
        *ret_cgroup = TAKE_PTR(path);
        return 0;
}

/* ---- how they end ---- */

/* The service whose control group a sandbox is in; the caller frees it. NULL: it is none of a service. */
static char *unit_of(const struct sandbox *s) {
        static const char suffix[] = ".service";
        const char *end = s->foreign && str_starts(s->cgroup, GROUPS "/") ? s->cgroup + strlen(s->cgroup) : NULL, *begin;
        _cleanup_free_ char *unit = NULL;

        for (; end; end = begin > s->cgroup ? begin - 1 : NULL) {
                for (begin = end; begin > s->cgroup && begin[-1] != '/'; begin--)
                        ;
                size_t n = end - begin;
                if (n <= strlen(suffix) || memcmp(end - strlen(suffix), suffix, strlen(suffix)) != 0)
                        continue;
                /* systemd puts `_` before names that mean something to the kernel. */
                unit = strndup(begin + (*begin == '_'), n - (*begin == '_'));
                return unit && is_wrapped(unit) ? TAKE_PTR(unit) : NULL;
        }
        return NULL;
}

/* One that systemd has been told to stop. */
struct service {
        struct daemon *daemon;
        char *unit;
        bool stopped;
};

static void check_stopped(struct daemon *d) {
        for (size_t i = 0; i < d->n_services; i++)
                if (!d->services[i]->stopped)
                        return;
        d->services_stopped(d);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        struct service *service = userdata;

        if (!e)
                return 0;
        log_record(LOG_WARNING, MESSAGE_DAEMON, NULL, "systemd doesn't stop %s: %s", service->unit, e->message ?: e->name);
        service->stopped = true;
        check_stopped(service->daemon);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct daemon *d = userdata;
        const char *job, *unit, *result;
        bool any = false;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;
        for (size_t i = 0; i < d->n_services; i++)
                if (str_equal(d->services[i]->unit, unit))
                        any = d->services[i]->stopped = true;
        if (any)
                check_stopped(d);
        return 0;
}

/* They may take as long as their units say, and so may we then. */
static int on_extend(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) sd_notify(0, EXTEND_BY);
        (void) sd_event_source_set_time_relative(source, EXTEND_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int stop_unit(struct daemon *d, char *unit) {
        struct service *service;

        for (size_t i = 0; i < d->n_services; i++)
                if (str_equal(d->services[i]->unit, unit))
                        return free(unit), 0;
        struct service **larger = reallocarray(d->services, d->n_services + 1, sizeof(*larger));
        if (!larger || !(service = calloc(1, sizeof(*service))))
                return free(unit), -ENOMEM;
        d->services = larger;
        *service = (struct service) { .daemon = d, .unit = unit };
        int r = sd_bus_call_method_async(d->systemd, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", on_answer, service, "ss",
                                         unit, "replace");
        if (r < 0) {
                free(service->unit);
                free(service);
                return r;
        }
        d->services[d->n_services++] = service;
        return 0;
}

bool services_stop(struct daemon *d, void (*stopped)(struct daemon *d)) {
        d->services_stopped = stopped;
        if (geteuid() != 0 || getenv("SANDBOXD_KEEPER") || systemd_connect(&d->systemd) < 0)
                return false;
        if (sd_bus_attach_event(d->systemd, d->event, SD_EVENT_PRIORITY_NORMAL) < 0 ||
            sd_bus_match_signal(d->systemd, NULL, NULL, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed, d) < 0)
                return false;
        for (size_t i = 0; i < d->n_sandboxes; i++) {
                struct sandbox *s = d->sandboxes[i];
                char *unit = sandbox_running(s) ? unit_of(s) : NULL;
                int r = unit ? stop_unit(d, unit) : 0;
                if (r < 0)
                        log_sandbox(LOG_WARNING, MESSAGE_DAEMON, s, "systemd can't be told to stop it: %s", strerror(-r));
        }
        if (d->n_services == 0)
                return false;
        (void) sd_notify(0, "STOPPING=1\n" EXTEND_BY);
        return sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, EXTEND_USEC, 0, on_extend, d) >= 0;
}

void services_done(struct daemon *d) {
        sd_bus_close_unref(d->systemd);
        for (size_t i = 0; i < d->n_services; i++) {
                free(d->services[i]->unit);
                free(d->services[i]);
        }
        free(d->services);
}
