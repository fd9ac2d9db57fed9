/*
 * org.sandboxd.Manager1: what is asked of the daemon itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "config.h"
#include "control.h"
#include "fd.h"
#include "plan.h"
#include "sandboxd.h"
#include "str.h"

#define TEXTS_MAX (1U << 20) /* bytes of a command and what else is shown of a sandbox */

static int copy_fd(sd_bus_message *m, int *ret) {
        int fd, r = sd_bus_message_read_basic(m, 'h', &fd);

        if (r < 0)
                return r;
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? -errno : 0;
}

static int read_flag(sd_bus_message *m, bool *ret) {
        int value, r = sd_bus_message_read_basic(m, 'b', &value);

        *ret = r >= 0 && value;
        return r;
}

static int read_one(sd_bus_message *m, const char *key, struct adoption *a, char ***ret_command) {
        if (str_equal(key, "policy"))
                return sd_bus_message_read(m, "v", "s", &a->policy);
        if (str_equal(key, "output"))
                return sd_bus_message_read(m, "v", "s", &a->output);
        if (str_equal(key, "time"))
                return sd_bus_message_read(m, "v", "t", &a->time_usec);
        if (str_equal(key, "cgroup"))
                return sd_bus_message_read(m, "v", "s", &a->cgroup);
        if (str_equal(key, "container"))
                return sd_bus_message_read(m, "v", "s", &a->container);
        int r = sd_bus_message_enter_container(m, 'v', NULL);
        if (r < 0)
                return r;
        if (str_equal(key, "command") && !*ret_command)
                r = sd_bus_message_read_strv(m, ret_command);
        else if (str_equal(key, "foreground"))
                r = read_flag(m, &a->foreground);
        else if (str_equal(key, "kill-on-broker-loss"))
                r = read_flag(m, &a->kill_on_broker_loss);
        else if (str_equal(key, "wait-killable"))
                r = read_flag(m, &a->wait_killable);
        else if (str_equal(key, "record"))
                r = sd_bus_message_read_basic(m, 'u', &a->record);
        else if (str_equal(key, "root") && a->fds[FD_ROOT] < 0)
                r = copy_fd(m, &a->fds[FD_ROOT]);
        else if (str_equal(key, "user") && a->fds[FD_USER] < 0)
                r = copy_fd(m, &a->fds[FD_USER]);
        else if (str_equal(key, "ports"))
                r = sd_bus_message_read_basic(m, 'h', &a->ports);
        else if (str_equal(key, "log") && a->fds[FD_LOG] < 0)
                r = copy_fd(m, &a->fds[FD_LOG]);
        else
                r = -EINVAL;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_adoption(sd_bus_message *m, bool foreign, struct adoption *a, char ***ret_command) {
        static const enum sandbox_fd own[] = { FD_PLAN, FD_INIT, FD_CONTROL, FD_LISTENER, FD_USER },
                                     in_place[] = { FD_PLAN, FD_INIT, FD_LISTENER, FD_ROOT };
        const enum sandbox_fd *order = foreign ? in_place : own;
        size_t n = foreign ? ELEMENTSOF(in_place) : ELEMENTSOF(own);
        int r = sd_bus_message_read_basic(m, 's', &a->name);

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = copy_fd(m, &a->fds[order[i]]);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;
                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0)
                        r = read_one(m, key, a, ret_command);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Each is what it has to be, as far as we have to do with it; what it is worth is the worker's matter. Sizes are asked of a memfd only. */
static int check_fds(bool foreign, const struct adoption *a) {
        int type = 0, domain = 0;
        socklen_t size = sizeof(int);

        if (plan_sealed(a->fds[FD_PLAN]) < 0 || vet(a->fds[FD_INIT]) != VET_PIDFD || vet(a->fds[FD_LISTENER]) != VET_LISTENER ||
            (a->fds[FD_ROOT] >= 0 && vet(a->fds[FD_ROOT]) != VET_PATH))
                return -EINVAL;
        /* Of a foreign one it can be our own, and none is given. */
        if (!(foreign && a->fds[FD_USER] < 0) && vet(a->fds[FD_USER]) != VET_USER)
                return -EINVAL;
        if (!foreign && (getsockopt(a->fds[FD_CONTROL], SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET ||
                         getsockopt(a->fds[FD_CONTROL], SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX))
                return -EINVAL;
        if (a->fds[FD_LOG] < 0)
                return 0;
        enum vet_kind log = vet(a->fds[FD_LOG]);
        return log == VET_SOCKET || log == VET_STREAM || log == VET_MEMORY || log == VET_FILE ? 0 : -EMEDIUMTYPE;
}

/* What a client has wrong is its own affair, but for what would stop us: texts without end, descriptors that hold up who has them. */
static int check(struct peer *p, bool foreign, const struct adoption *a) {
        size_t n = strlen(a->policy) + strlen(a->output) + strlen(a->cgroup) + strlen(a->container);

        for (char *const *word = a->command; *word; word++)
                n += strlen(*word) + 1;
        if (n > TEXTS_MAX || !a->command[0] || a->record > AUDIT_NONE || !control_name_valid(a->name))
                return -EINVAL;
        int r = check_fds(foreign, a);
        if (r < 0)
                return r;
        /* An ordinary user's daemon can become nobody else. */
        return geteuid() == 0 || geteuid() == p->owner.uid ? 0 : -EPERM;
}

/* Nothing keeps a foreign one from being looked into by its like: who has no more rights than that gains nothing by a worker. What systemd has started
 * as another user for a service of root's is root's. */
static int check_foreign(struct peer *p, struct adoption *a, char **ret_cgroup) {
        static const struct owner root = {};

        if (p->owner.uid == geteuid())
                return 0;
        int r = service_attest(p, a->fds[FD_INIT], ret_cgroup);
        if (r < 0)
                return r;
        a->owner = &root;
        a->cgroup = *ret_cgroup;
        return 0;
}

static int adopt(sd_bus_message *m, bool foreign, void *userdata, sd_bus_error *error) {
        struct peer *p = userdata;
        struct adoption a = { .policy = "", .output = "", .cgroup = "", .container = "", .owner = &p->owner, .ports = -1 };
        char *none[] = { NULL }, **command = NULL, why[QUOTA_WHY];
        _cleanup_free_ char *cgroup = NULL;

        for (int i = 0; i < FD_COUNT; i++)
                a.fds[i] = -1;
        int r = read_adoption(m, foreign, &a, &command);
        a.command = command ?: none;
        if (r >= 0)
                r = check(p, foreign, &a);
        if (r >= 0 && foreign)
                r = check_foreign(p, &a, &cgroup);
        a.low_ports = r >= 0 && a.ports >= 0 && ports_proven(a.ports, p->owner.uid, p->pid);
        if (r >= 0 && p->daemon->stopping)
                r = -ESHUTDOWN;
        if (r >= 0)
                r = sandbox_adopt(p->daemon, p, &a, m);
        if (r >= 0)
                r = 1; /* answered when its command runs */
        else if (r == -EEXIST)
                r = sd_bus_error_setf(error, CONTROL_NAME_TAKEN, "there is a sandbox of the name %s already", a.name);
        else if (r == -EDQUOT)
                r = sd_bus_error_setf(error, CONTROL_QUOTA, "there %s: %s",
                                      a.over == QUOTA_MEMORY ? "is no memory left for one more" : "are too many",
                                      quota_why(p->daemon, a.owner->uid, a.over, why));
        else if (r == -EMEDIUMTYPE)
                r = sd_bus_error_setf(error, CONTROL_FAILED,
                                      "--log: sandboxd takes no file on a network or FUSE file system, nor on one that it doesn't "
                                      "see; name another one, or a FIFO");
        else
                r = sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox can't be taken over: %s", strerror(-r));
        for (int i = 0; i < FD_COUNT; i++)
                fd_close(a.fds[i]);
        for (char **word = command; word && *word; word++)
                free(*word);
        free(command);
        return r;
}

static int method_adopt(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        /* Its user namespace is none of those that the engine's leads to. */
        if (demand_is())
                return sd_bus_error_setf(error, CONTROL_FAILED,
                                         "this sandboxd runs in the user namespace of a rootless engine, and takes nothing but its "
                                         "containers; start one of your own before them");
        return adopt(m, false, userdata, error);
}

static int method_adopt_in_place(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return adopt(m, true, userdata, error);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", SANDBOXD_VERSION);
}

const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Adopt", CONTROL_ADOPT, "ob", method_adopt, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("AdoptInPlace", CONTROL_ADOPT_IN_PLACE, "ob", method_adopt_in_place, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Usage", "a(ustt)", usage_get, 0, 0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};
