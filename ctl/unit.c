#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "message.h"
#include "str.h"

#define MANAGER_USEC 30000000
#define FILE_MAX (4U << 20)

/* ---- the manager ---- */

static int connect_private(sd_bus **ret) {
        sd_bus *bus;
        int r = sd_bus_new(&bus);

        if (r < 0)
                return r;
        if ((r = sd_bus_set_address(bus, "unix:path=/run/systemd/private")) < 0 || (r = sd_bus_start(bus)) < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

int systemd_connect(sd_bus **ret) {
        int r = access("/run/systemd/system", F_OK) < 0 ? -ENOENT : geteuid() == 0 ? connect_private(ret) : sd_bus_open_system(ret);

        if (r < 0)
                return message_fail("systemd isn't running here, or can't be reached: %s", strerror(-r)), r;
        (void) sd_bus_set_method_call_timeout(*ret, MANAGER_USEC);
        return 0;
}

static int call_failed(int r, sd_bus_error *error, const char *what) {
        _cleanup_free_ char *text = str_escape(error->message ?: strerror(-r));

        message_fail("%s: %s", what, text);
        sd_bus_error_free(error);
        return r;
}

int systemd_reload(sd_bus *bus) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Reload", &error, NULL, NULL);

        return r < 0 ? call_failed(r, &error, "systemd can't read its units again (systemctl daemon-reload)") : 0;
}

/* ---- properties ---- */

char *unit_text(const struct unit *u, const char *interface, const char *property) {
        char *text = NULL;

        if (sd_bus_get_property_string(u->bus, SYSTEMD, u->object, interface, property, NULL, &text) < 0)
                return NULL;
        return text;
}

bool unit_flag(const struct unit *u, const char *interface, const char *property) {
        int value = 0;

        return sd_bus_get_property_trivial(u->bus, SYSTEMD, u->object, interface, property, NULL, 'b', &value) >= 0 && value;
}

uint64_t unit_number(const struct unit *u, const char *interface, const char *property) {
        uint64_t large = 0;
        uint32_t small = 0;
        int32_t integer = 0;

        if (sd_bus_get_property_trivial(u->bus, SYSTEMD, u->object, interface, property, NULL, 't', &large) >= 0)
                return large;
        if (sd_bus_get_property_trivial(u->bus, SYSTEMD, u->object, interface, property, NULL, 'u', &small) >= 0)
                return small;
        return sd_bus_get_property_trivial(u->bus, SYSTEMD, u->object, interface, property, NULL, 'i', &integer) >= 0 ? integer : 0;
}

char **unit_list(const struct unit *u, const char *interface, const char *property) {
        char **list = NULL;

        if (sd_bus_get_property_strv(u->bus, SYSTEMD, u->object, interface, property, NULL, &list) < 0)
                return NULL;
        return list;
}

char **unit_filter(const struct unit *u, const char *property, bool *ret_allows) {
        sd_bus_message *m = NULL;
        char **list = NULL;
        int allows = 0;

        if (sd_bus_get_property(u->bus, SYSTEMD, u->object, SYSTEMD_SERVICE, property, NULL, &m, "(bas)") >= 0 &&
            sd_bus_message_enter_container(m, 'r', "bas") >= 0 && sd_bus_message_read(m, "b", &allows) >= 0)
                (void) sd_bus_message_read_strv(m, &list);
        sd_bus_message_unref(m);
        /* A list that forbids nothing is how what isn't set is told. */
        if (list && !list[0] && !allows) {
                unit_list_free(list);
                list = NULL;
        }
        *ret_allows = allows;
        return list;
}

char *unit_label(const struct unit *u, const char *property) {
        sd_bus_message *m = NULL;
        const char *text;
        char *copy = NULL;
        int ignore;

        if (sd_bus_get_property(u->bus, SYSTEMD, u->object, SYSTEMD_SERVICE, property, NULL, &m, "(bs)") >= 0 &&
            sd_bus_message_read(m, "(bs)", &ignore, &text) >= 0 && text[0])
                copy = strdup(text);
        sd_bus_message_unref(m);
        return copy;
}

char **unit_first_texts(const struct unit *u, const char *property, const char *type, const char *rest) {
        sd_bus_message *m = NULL;
        const char *text;
        char **list = NULL;
        size_t n = 0;
        char array[32];

        snprintf(array, sizeof(array), "a(%s)", type);
        if (sd_bus_get_property(u->bus, SYSTEMD, u->object, SYSTEMD_SERVICE, property, NULL, &m, array) >= 0 &&
            sd_bus_message_enter_container(m, 'a', array + 1) >= 0)
                while (sd_bus_message_enter_container(m, 'r', type) > 0 && sd_bus_message_read(m, "s", &text) >= 0) {
                        char **larger = reallocarray(list, n + 2, sizeof(char *));
                        if (!larger)
                                break;
                        list = larger;
                        list[n++] = strdup(text);
                        list[n] = NULL;
                        if (sd_bus_message_skip(m, rest) < 0 || sd_bus_message_exit_container(m) < 0)
                                break;
                }
        sd_bus_message_unref(m);
        return list;
}

void unit_list_free(char **list) {
        for (char **word = list; word && *word; word++)
                free(*word);
        free(list);
}

bool unit_list_has(char *const *list, const char *word) {
        for (; list && *list; list++)
                if (str_equal(*list, word))
                        return true;
        return false;
}

/* ---- its files ---- */

static int add_line(struct unit *u, const char *file, unsigned line, const char *section, const char *key, const char *value) {
        struct unit_line *larger = reallocarray(u->lines, u->n_lines + 1, sizeof(*larger));

        if (!larger)
                return -ENOMEM;
        u->lines = larger;
        struct unit_line *l = larger + u->n_lines++;
        *l = (struct unit_line) { .file = file, .line = line, .section = strdup(section), .key = strdup(key), .value = strdup(value) };
        return l->section && l->key && l->value ? 0 : -ENOMEM;
}

static char *strip(char *text) {
        text += strspn(text, " \t\r\n");
        for (size_t n = strlen(text); n > 0 && strchr(" \t\r\n", text[n - 1]); n--)
                text[n - 1] = 0;
        return text;
}

/* Whether a line goes on in the next: by a backslash that no other escapes. */
static bool is_continued(const char *text) {
        bool escaped = false;

        for (; *text; text++)
                escaped = !escaped && *text == '\\';
        return escaped;
}

/* One logical line; `section` has room for 64 bytes. */
static int take_line(struct unit *u, const char *file, unsigned line, char *text, char *section) {
        text = strip(text);
        if (text[0] == '[') {
                snprintf(section, 64, "%.*s", (int) strcspn(text + 1, "]"), text + 1);
                return 0;
        }
        char *equals = strchr(text, '=');
        if (!equals)
                return 0;
        *equals = 0;
        return add_line(u, file, line, section, strip(text), strip(equals + 1));
}

static int read_lines(struct unit *u, const char *file, char *text) {
        _cleanup_(strbuf_done) struct strbuf whole = {};
        unsigned number = 0, first = 0;
        char section[64] = "";
        int r = 0;

        if (str_starts(text, "\xef\xbb\xbf"))
                text += 3;
        for (char *next; r >= 0 && text; text = next) {
                next = strchr(text, '\n');
                if (next)
                        *next++ = 0;
                number++;
                /* A comment in the midst of a continued line is none of it. */
                char *begin = text + strspn(text, " \t\r");
                if (*begin == '#' || *begin == ';')
                        continue;
                if (!whole.text || whole.length == 0)
                        first = number;
                bool continued = is_continued(text);
                strbuf_add(&whole, text, strlen(text) - continued);
                if (whole.failed)
                        return -ENOMEM;
                if (continued && next) {
                        strbuf_add(&whole, " ", 1);
                        continue;
                }
                strbuf_add(&whole, "", 1);
                if (whole.failed)
                        return -ENOMEM;
                r = take_line(u, file, first, whole.text, section);
                whole.length = 0;
        }
        return r;
}

static int read_file(struct unit *u, const char *file) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r = fd < 0 ? -errno : fd_read_file(fd, FILE_MAX, &text, &size);

        if (r >= 0 && strlen(text) != size)
                r = -EBADMSG;
        if (r >= 0)
                r = read_lines(u, file, text);
        if (r < 0) {
                _cleanup_free_ char *shown = str_escape(file);
                message_fail("%s can't be read: %s", shown, strerror(-r));
        }
        return r;
}

const struct unit_line *unit_find_line(const struct unit *u, const char *key) {
        for (size_t i = u->n_lines; i > 0; i--)
                if (str_equal(u->lines[i - 1].key, key) && u->lines[i - 1].value[0])
                        return u->lines + i - 1;
        return NULL;
}

/* ---- the unit ---- */

static int check_name(const char *name) {
        static const char *const others[] = { ".socket", ".target", ".timer",  ".mount", ".path",
                                              ".slice",  ".scope",  ".device", ".swap",  ".automount" };
        _cleanup_free_ char *shown = str_escape(name);
        size_t n = strlen(name);

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                size_t m = strlen(others[i]);
                if (n > m && str_equal(name + n - m, others[i]))
                        return message_fail("%s is no service: only services can be wrapped", shown), -EINVAL;
        }
        /* What can be in a unit's name at all; no path, no glob. */
        if (n == 0 || n > 255 || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")])
                return message_fail("'%s' is no name of a unit", shown), -EINVAL;
        const char *at = strchr(name, '@');
        if (at && (at[1] == 0 || str_equal(at, "@.service")))
                return message_fail("%s is a template: name an instance of it, as %.*sNAME.service", shown, (int) (at + 1 - name), name),
                       -EINVAL;
        return 0;
}

static int check_loaded(const struct unit *u) {
        _cleanup_free_ char *state = unit_text(u, SYSTEMD_UNIT, "LoadState");

        if (str_equal(state, "loaded"))
                return 0;
        if (str_equal(state, "not-found"))
                return message_fail("there is no unit %s (systemctl list-unit-files --type=service lists what there is)", u->id), -ENOENT;
        if (str_equal(state, "masked"))
                return message_fail("%s is masked: systemctl unmask it first", u->id), -EINVAL;
        return message_fail("systemd can't load %s: its state is %s (systemctl status %s says why)", u->id, state ?: "unknown", u->id),
               -EINVAL;
}

static int find_files(struct unit *u) {
        char **drop_ins = unit_list(u, SYSTEMD_UNIT, "DropInPaths");
        size_t n = 0, k = 0;
        int r;

        while (drop_ins && drop_ins[n])
                n++;
        u->files = calloc(n + 2, sizeof(char *));
        if (!u->files || asprintf(&u->drop_in, CONTROL_DROP_INS, u->id) < 0) {
                unit_list_free(drop_ins);
                return -ENOMEM;
        }
        u->files[k] = unit_text(u, SYSTEMD_UNIT, "FragmentPath");
        if (u->files[0] && u->files[0][0])
                k++;
        for (size_t i = 0; i < n; i++)
                if (str_equal(drop_ins[i], u->drop_in))
                        u->wrapped = true;
                else if (!(u->files[k++] = strdup(drop_ins[i])))
                        k--;
        unit_list_free(drop_ins);
        for (size_t i = 0; u->files[i]; i++)
                if ((r = read_file(u, u->files[i])) < 0)
                        return r;
        return 0;
}

int unit_open(sd_bus *bus, const char *name, bool absent, struct unit *u) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        _cleanup_free_ char *full = NULL;
        size_t n = strlen(name);
        const char *object;
        int r;

        *u = (struct unit) { .bus = bus };
        if ((r = check_name(name)) < 0)
                return r;
        if (asprintf(&full, "%s%s", name, n > 8 && str_equal(name + n - 8, ".service") ? "" : ".service") < 0)
                return -ENOMEM;
        r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "LoadUnit", &error, &reply, "s", full);
        if (r < 0)
                return call_failed(r, &error, full);
        if ((r = sd_bus_message_read(reply, "o", &object)) >= 0 && !(u->object = strdup(object)))
                r = -ENOMEM;
        sd_bus_message_unref(reply);
        if (r < 0)
                return message_fail("systemd's answer isn't understood: %s", strerror(-r)), r;
        u->id = unit_text(u, SYSTEMD_UNIT, "Id");
        if (!u->id)
                return message_fail("systemd says nothing of %s", full), -EIO;
        if (!absent && (r = check_loaded(u)) < 0)
                return r;
        return find_files(u);
}

void unit_done(struct unit *u) {
        for (size_t i = 0; i < u->n_lines; i++) {
                free(u->lines[i].section);
                free(u->lines[i].key);
                free(u->lines[i].value);
        }
        free(u->lines);
        unit_list_free(u->files);
        free(u->drop_in);
        free(u->object);
        free(u->id);
        *u = (struct unit) {};
}
