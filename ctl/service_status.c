/*
 * sandboxctl service status: whether services are wrapped, and whether they run behind the broker at the moment, which is seen in the kernel and
 * asked of sandboxd.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "json_print.h"
#include "message.h"
#include "sandboxes.h"
#include "service.h"
#include "str.h"

#define UNITS "/etc/systemd/system"

struct state {
        struct unit unit;
        char *policy, *active;
        bool current; /* its lines are still those of the unit */
        uint32_t pid; /* of the main process; 0: none */
        bool filtered;
        const struct sandbox_info *sandbox; /* of the main process */
};

static void state_done(struct state *s) {
        unit_done(&s->unit);
        free(s->policy);
        free(s->active);
}

/* ---- looking ---- */

static int read_drop_in(struct state *s) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        _cleanup_close_ int fd = open(s->unit.drop_in, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int r = fd < 0 ? -errno : fd_read_file(fd, 1 << 20, &text, &size);

        if (r >= 0 && !(s->policy = drop_in_policy(text)))
                r = -EBADMSG;
        if (r >= 0)
                r = drop_in_is_current(&s->unit, text);
        if (r < 0)
                return message_fail("%s can't be read: %s", s->unit.drop_in, strerror(-r)), r;
        s->current = r;
        return 0;
}

/* The kernel's word: a process has a filter or not. Whose it is, only sandboxd knows. */
static void look_at_process(struct state *s) {
        _cleanup_free_ char *text = NULL;
        char path[64];
        size_t size;

        snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", s->pid);
        _cleanup_close_ int fd = s->pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        s->filtered = fd >= 0 && fd_read_file(fd, 1 << 16, &text, &size) >= 0 && strstr(text, "\nSeccomp:\t2\n");
}

/* Of several of its name, the process's own is the youngest that runs: others are what earlier ones have left. */
static void find_sandbox(struct state *s, const struct sandbox_list *list) {
        char base[SERVICE_NAME_SIZE];
        size_t n;

        service_sandbox_name(s->unit.id, NULL, 1, base);
        n = strlen(base);
        for (size_t i = 0; i < list->n; i++) {
                const struct sandbox_info *info = list->list + i;
                const char *tail = info->name + n;
                if (!str_starts(info->name, base) || !str_equal(info->state, "running"))
                        continue;
                if (tail[0] && (tail[0] != '.' || tail[1] == 0 || tail[1 + strspn(tail + 1, "0123456789")]))
                        continue;
                if (info->pid == s->pid || !s->sandbox || (s->sandbox->pid != s->pid && info->started > s->sandbox->started))
                        s->sandbox = info;
        }
}

static int look(sd_bus *bus, const char *name, const struct sandbox_list *list, struct state *s) {
        int r = unit_open(bus, name, false, &s->unit);

        if (r < 0)
                return r;
        s->active = unit_text(&s->unit, SYSTEMD_UNIT, "ActiveState");
        s->pid = unit_number(&s->unit, SYSTEMD_SERVICE, "MainPID");
        if (s->unit.wrapped && (r = read_drop_in(s)) < 0)
                return r;
        if (!s->active)
                return -ENOMEM;
        look_at_process(s);
        if (s->pid)
                find_sandbox(s, list);
        return 0;
}

static bool is_behind(const struct state *s) {
        return s->pid && s->filtered && s->sandbox;
}

/* Others than root aren't told of root's sandboxes. */
static bool is_told(void) {
        return geteuid() == 0;
}

/* ---- showing ---- */

static const char *behind(const struct state *s) {
        if (!s->pid)
                return "not running";
        if (is_behind(s))
                return "behind the broker";
        if (!is_told() && s->filtered)
                return "it has a filter; whose, only root is told";
        return s->unit.wrapped ? "not behind the broker: restart it" : "not behind the broker";
}

static struct json_object *state_json(const struct state *s) {
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "unit", json_object_new_string(s->unit.id));
        json_object_object_add(o, "wrapped", json_object_new_boolean(s->unit.wrapped));
        json_object_object_add(o, "drop-in", s->unit.wrapped ? json_object_new_string(s->unit.drop_in) : NULL);
        json_object_object_add(o, "policy", s->policy ? json_object_new_string(s->policy) : NULL);
        json_object_object_add(o, "current", s->unit.wrapped ? json_object_new_boolean(s->current) : NULL);
        json_object_object_add(o, "active", json_object_new_string(s->active));
        json_object_object_add(o, "pid", s->pid ? json_object_new_int64(s->pid) : NULL);
        json_object_object_add(o, "behind", is_told() || !s->filtered ? json_object_new_boolean(is_behind(s)) : NULL);
        json_object_object_add(o, "sandbox", s->sandbox ? json_object_new_string(s->sandbox->name) : NULL);
        json_object_object_add(o, "counters", s->sandbox ? json_object_get(s->sandbox->counters) : NULL);
        return o;
}

static void print_one(const struct state *s) {
        printf("unit       %s\n", s->unit.id);
        printf("wrapped    %s\n", s->unit.wrapped ? "yes" : "no");
        if (s->unit.wrapped) {
                printf("drop-in    %s%s\n", s->unit.drop_in,
                       s->current ? "" : ", out of date: the unit's lines have changed; unwrap and wrap it anew");
                printf("policy     %s\n", s->policy);
        }
        printf("state      %s\n", s->active);
        if (s->pid)
                printf("pid        %" PRIu32 "\n", s->pid);
        printf("broker     %s\n", behind(s));
        if (!s->sandbox)
                return;
        printf("sandbox    %s\n", s->sandbox->name);
        json_object_object_foreach(s->sandbox->counters, name, value) printf("%-10s %" PRIu64 "\n", name, json_object_get_uint64(value));
}

/* ---- the verb ---- */

static int show_one(sd_bus *bus, const struct sandbox_list *list, const char *name, bool json) {
        struct state s = {};
        int r = look(bus, name, list, &s);

        if (r >= 0 && json)
                json_print(state_json(&s));
        else if (r >= 0)
                print_one(&s);
        state_done(&s);
        return r;
}

static int has_drop_in(const struct dirent *entry) {
        static const char suffix[] = ".service.d";
        _cleanup_free_ char *path = NULL;
        size_t n = strlen(entry->d_name);

        return n > strlen(suffix) && str_equal(entry->d_name + n - strlen(suffix), suffix) &&
               asprintf(&path, UNITS "/%s/" CONTROL_DROP_IN, entry->d_name) >= 0 && access(path, F_OK) >= 0;
}

static int show_all(sd_bus *bus, const struct sandbox_list *list, bool json) {
        struct dirent **found;
        int n = scandir(UNITS, &found, has_drop_in, alphasort), r = 0;

        if (n < 0)
                return message_fail(UNITS " can't be read: %s", strerror(errno)), -errno;
        struct json_object *array = json_object_new_array();
        if (!json)
                printf("%-30s %-20s %-12s %s\n", "UNIT", "POLICY", "STATE", "BROKER");
        for (int i = 0; i < n; i++) {
                struct state s = {};
                _cleanup_free_ char *name = strndup(found[i]->d_name, strlen(found[i]->d_name) - strlen(".d"));
                /* What is left of a unit that is gone is said so, and the rest is shown. */
                int e = name ? look(bus, name, list, &s) : -ENOMEM;
                if (e >= 0 && json)
                        json_object_array_add(array, state_json(&s));
                else if (e >= 0)
                        printf("%-30s %-20s %-12s %s\n", s.unit.id, s.policy ?: "-", s.active, behind(&s));
                r = e < 0 ? e : r;
                state_done(&s);
                free(found[i]);
        }
        free(found);
        if (json)
                json_print(array);
        else
                json_object_put(array);
        return r;
}

/* Without the daemon there are no sandboxes, and that is what is shown. */
static int read_sandboxes(struct sandbox_list *ret) {
        char path[CONTROL_SOCKET_SIZE];
        sd_bus *bus;
        int r = control_connect(&bus, path);

        *ret = (struct sandbox_list) {};
        if (r == -ENOENT || r == -ECONNREFUSED)
                return 0;
        if (r < 0)
                return message_fail("sandboxd can't be asked: %s", strerror(-r)), r;
        r = sandboxes_read(bus, NULL, ret);
        sd_bus_flush_close_unref(bus);
        return r;
}

int service_status(int argc, char **argv) {
        static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, {} };
        struct sandbox_list list;
        bool json = false;
        sd_bus *bus;
        int c;

        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
                switch (c) {
                case 'j': json = true; break;
                case 'h': service_help(); return 0;
                default: message_bad_option("service", c, argv, options); return EXIT_OURS;
                }
        if (optind < argc - 1)
                return message_fail("service status takes one unit, or none (sandboxctl service --help)");
        if (systemd_connect(&bus) < 0)
                return EXIT_OURS;
        int r = read_sandboxes(&list);
        if (r >= 0) {
                r = optind < argc ? show_one(bus, &list, argv[optind], json) : show_all(bus, &list, json);
                sandboxes_done(&list);
        }
        sd_bus_flush_close_unref(bus);
        return r < 0 ? EXIT_OURS : 0;
}
