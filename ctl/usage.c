/*
 * sandboxctl ps --usage: who has how much of what quotas bound.
 */
#include "usage.h"

#include <errno.h>
#include <inttypes.h>

#include "control.h"
#include "remote.h"
#include "str.h"

struct line {
        uint32_t uid;
        const char *quota; /* in the reply */
        uint64_t used, most;
};

static int read_line(sd_bus_message *m, struct line *ret) {
        return sd_bus_message_read(m, "(ustt)", &ret->uid, &ret->quota, &ret->used, &ret->most);
}

/* UINT64_MAX is no bound. */
static const char *amount(const struct line *l, uint64_t n, char *buffer, size_t size) {
        if (n == UINT64_MAX)
                return "no bound";
        if (str_equal(l->quota, "memory"))
                snprintf(buffer, size, "%" PRIu64 "M", n >> 20);
        else
                snprintf(buffer, size, "%" PRIu64, n);
        return buffer;
}

static int print_table(sd_bus_message *m) {
        char used[32], most[32];
        struct line l;
        int r;

        printf("%5s  %-11s  %10s  %10s\n", "UID", "QUOTA", "USED", "MOST");
        while ((r = read_line(m, &l)) > 0) {
                _cleanup_free_ char *quota = str_escape(l.quota);
                printf("%5u  %-11s  %10s  %10s\n", l.uid, quota ?: "", amount(&l, l.used, used, sizeof(used)),
                       amount(&l, l.most, most, sizeof(most)));
        }
        return r;
}

static int to_json(sd_bus_message *m, struct json_object *array) {
        struct line l;
        int r;

        while ((r = read_line(m, &l)) > 0) {
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "uid", json_object_new_int64(l.uid));
                json_object_object_add(o, "quota", json_object_new_string(l.quota));
                json_object_object_add(o, "used", json_object_new_uint64(l.used));
                json_object_object_add(o, "most", l.most == UINT64_MAX ? NULL : json_object_new_uint64(l.most));
                json_object_array_add(array, o);
        }
        return r;
}

int usage_show(sd_bus *bus, struct json_object *array) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r = sd_bus_get_property(bus, NULL, CONTROL_PATH, CONTROL_MANAGER, "Usage", &error, &reply, "a(ustt)");

        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ustt)");
        if (r >= 0)
                r = array ? to_json(reply, array) : print_table(reply);
        if (r < 0)
                (void) remote_failed(r, &error, "sandboxd doesn't say");
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r;
}
