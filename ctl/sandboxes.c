#include "sandboxes.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "message.h"
#include "remote.h"
#include "str.h"

static void info_done(struct sandbox_info *info) {
        char *texts[] = { info->name, info->policy, info->state, info->output, info->outcome, info->stage, info->text };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(texts[i]);
        for (char **word = info->command; word && *word; word++)
                free(*word);
        free(info->command);
        json_object_put(info->counters);
}

void sandboxes_done(struct sandbox_list *list) {
        for (size_t i = 0; i < list->n; i++)
                info_done(&list->list[i]);
        free(list->list);
}

/* ---- reading ---- */

static int read_text(sd_bus_message *m, char **ret) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);

        if (r >= 0 && !(*ret = strdup(text)))
                r = -ENOMEM;
        return r;
}

static int read_ending(sd_bus_message *m, struct sandbox_info *info) {
        const char *outcome, *stage, *text;
        int r = sd_bus_message_read(m, "v", "(sissi)", &outcome, &info->status, &stage, &text, &info->error);

        if (r < 0)
                return r;
        info->outcome = strdup(outcome);
        info->stage = strdup(stage);
        info->text = strdup(text);
        return info->outcome && info->stage && info->text ? 0 : -ENOMEM;
}

static int read_counters(sd_bus_message *m, struct sandbox_info *info) {
        const char *name;
        uint64_t value;
        int r = sd_bus_message_enter_container(m, 'v', "a{st}");

        info->counters = json_object_new_object();
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{st}");
        while (r >= 0 && (r = sd_bus_message_read(m, "{st}", &name, &value)) > 0)
                json_object_object_add(info->counters, name, json_object_new_uint64(value));
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_command(sd_bus_message *m, struct sandbox_info *info) {
        int r = sd_bus_message_enter_container(m, 'v', "as");

        if (r >= 0)
                r = sd_bus_message_read_strv(m, &info->command);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, const char *name, struct sandbox_info *info) {
        const struct {
                const char *name;
                char **text;
                uint32_t *number;
        } simple[] = {
                { "Name", &info->name },           { "Policy", &info->policy },         { "State", &info->state },
                { "Output", &info->output },       { "Uid", NULL, &info->uid },         { "Pid", NULL, &info->pid },
                { "Worker", NULL, &info->worker }, { "Workers", NULL, &info->workers }, { "Entered", NULL, &info->entered },
        };

        for (size_t i = 0; i < ELEMENTSOF(simple); i++)
                if (str_equal(simple[i].name, name))
                        return simple[i].text ? read_text(m, simple[i].text) : sd_bus_message_read(m, "v", "u", simple[i].number);
        if (str_equal(name, "Started"))
                return sd_bus_message_read(m, "v", "t", &info->started);
        if (str_equal(name, "Command"))
                return read_command(m, info);
        if (str_equal(name, "Counters"))
                return read_counters(m, info);
        if (str_equal(name, "Ending"))
                return read_ending(m, info);
        return sd_bus_message_skip(m, "v"); /* a newer daemon's */
}

static int read_properties(sd_bus_message *m, struct sandbox_info *info) {
        const char *name;
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = read_property(m, name, info);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int add(struct sandbox_list *list, sd_bus_message *m) {
        struct sandbox_info *larger = reallocarray(list->list, list->n + 1, sizeof(*larger));

        if (!larger)
                return -ENOMEM;
        list->list = larger;
        struct sandbox_info *info = &larger[list->n++];
        *info = (struct sandbox_info) {};
        int r = read_properties(m, info);
        return r < 0 ? r : info->name && info->policy && info->state && info->output && info->outcome && info->command ? 0 : -EBADMSG;
}

/* The answer of GetManagedObjects: a{oa{sa{sv}}}. */
static int read_objects(sd_bus_message *m, struct sandbox_list *ret) {
        const char *path, *interface;
        int r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                r = sd_bus_message_read_basic(m, 'o', &path);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
                while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                        r = sd_bus_message_read_basic(m, 's', &interface);
                        if (r >= 0)
                                r = str_equal(interface, CONTROL_SANDBOX) ? add(ret, m) : sd_bus_message_skip(m, "a{sv}");
                        if (r >= 0)
                                r = sd_bus_message_exit_container(m);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int by_name(const void *a, const void *b) {
        const struct sandbox_info *one = a, *other = b;

        return one->uid != other->uid ? (one->uid < other->uid ? -1 : 1) : strcmp(one->name, other->name);
}

static int read_one(sd_bus *bus, const char *name, sd_bus_error *error, struct sandbox_list *ret) {
        _cleanup_free_ char *object = NULL;
        sd_bus_message *reply = NULL;
        int r = control_object(name, &object);

        if (r >= 0)
                r = sd_bus_call_method(bus, NULL, object, "org.freedesktop.DBus.Properties", "GetAll", error, &reply, "s", CONTROL_SANDBOX);
        if (r >= 0)
                r = add(ret, reply);
        sd_bus_message_unref(reply);
        return r;
}

static int read_all(sd_bus *bus, sd_bus_error *error, struct sandbox_list *ret) {
        sd_bus_message *reply = NULL;
        int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", error, &reply, NULL);

        if (r >= 0)
                r = read_objects(reply, ret);
        sd_bus_message_unref(reply);
        if (r >= 0)
                qsort(ret->list, ret->n, sizeof(*ret->list), by_name);
        return r;
}

int sandboxes_read(sd_bus *bus, const char *name, struct sandbox_list *ret) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        *ret = (struct sandbox_list) {};
        int r = name ? read_one(bus, name, &error, ret) : read_all(bus, &error, ret);
        if (r < 0 && name && remote_is_unknown(&error))
                r = remote_unknown(name);
        else if (r < 0)
                (void) remote_failed(r, &error, "sandboxd doesn't say");
        sd_bus_error_free(&error);
        if (r < 0)
                sandboxes_done(ret);
        return r < 0 ? r : 0;
}

/* ---- showing ---- */

int sandbox_word_check(const char *word) {
        if (control_split(word, NULL, NULL) >= 0)
                return 0;
        _cleanup_free_ char *text = str_escape(word);
        message_fail(
                "'%s' can't be a sandbox: names are 1 to 63 of a-z, 0-9, _ . -, the first a letter or digit; UID/NAME is somebody else's",
                text);
        return -EINVAL;
}

const char *sandbox_word(const struct sandbox_info *info, char buffer[SANDBOX_WORD]) {
        if (info->uid == getuid())
                snprintf(buffer, SANDBOX_WORD, "%s", info->name);
        else
                snprintf(buffer, SANDBOX_WORD, "%u/%s", info->uid, info->name);
        return buffer;
}

const char *sandbox_ending(const struct sandbox_info *info, char *buffer, size_t size) {
        _cleanup_free_ char *stage = str_escape(info->stage);

        if (!info->outcome[0])
                snprintf(buffer, size, "running");
        else if (str_equal(info->outcome, CONTROL_NOT_STARTED))
                snprintf(buffer, size, "not started: %s: %s", stage ?: "", strerror(info->error));
        else if (str_equal(info->outcome, CONTROL_TIME))
                snprintf(buffer, size, "time limit reached");
        else if (str_equal(info->outcome, CONTROL_BROKER_DIED))
                snprintf(buffer, size, "broker failed");
        else if (str_equal(info->outcome, CONTROL_INIT_DIED))
                snprintf(buffer, size, "killed");
        else if (str_equal(info->outcome, CONTROL_GONE))
                snprintf(buffer, size, "ended");
        else if (WIFSIGNALED(info->status))
                snprintf(buffer, size, "killed by signal %d", WTERMSIG(info->status));
        else
                snprintf(buffer, size, "exited %d", WEXITSTATUS(info->status));
        return buffer;
}

void sandbox_add_ending(struct json_object *o, const char *outcome, int status) {
        bool exited = str_equal(outcome, CONTROL_EXITED);

        json_object_object_add(o, "outcome", json_object_new_string(outcome));
        json_object_object_add(o, "code", exited && WIFEXITED(status) ? json_object_new_int(WEXITSTATUS(status)) : NULL);
        json_object_object_add(o, "signal", exited && WIFSIGNALED(status) ? json_object_new_int(WTERMSIG(status)) : NULL);
}

struct json_object *sandbox_json(const struct sandbox_info *info) {
        struct json_object *o = json_object_new_object(), *command = json_object_new_array();

        for (char **word = info->command; *word; word++)
                json_object_array_add(command, json_object_new_string(*word));
        json_object_object_add(o, "name", json_object_new_string(info->name));
        json_object_object_add(o, "state", json_object_new_string(info->state));
        json_object_object_add(o, "policy", json_object_new_string(info->policy));
        json_object_object_add(o, "command", command);
        json_object_object_add(o, "uid", json_object_new_int64(info->uid));
        json_object_object_add(o, "pid", json_object_new_int64(info->pid));
        json_object_object_add(o, "worker", json_object_new_int64(info->worker));
        json_object_object_add(o, "workers", json_object_new_int64(info->workers));
        json_object_object_add(o, "entered", json_object_new_int64(info->entered));
        json_object_object_add(o, "started", json_object_new_double(info->started / 1e6));
        json_object_object_add(o, "output", info->output[0] ? json_object_new_string(info->output) : NULL);
        json_object_object_add(o, "counters", json_object_get(info->counters));
        if (info->outcome[0])
                sandbox_add_ending(o, info->outcome, info->status);
        return o;
}
