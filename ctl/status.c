#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "control.h"
#include "remote.h"
#include "str.h"

#define BUCKETS_MAX 64
#define BAR 40

/* ---- reading ---- */

static void add_text(struct json_object *o, const char *key, const char *text) {
        json_object_object_add(o, key, json_object_new_string(text));
}

/* { section: { "by": [mechanism…], "note": text } } */
static int read_tiers(sd_bus_message *m, struct json_object **ret) {
        const char *section, *mechanisms, *word;
        int r = sd_bus_message_enter_container(m, 'a', "(sss)");

        *ret = json_object_new_object();
        while (r >= 0 && (r = sd_bus_message_read(m, "(sss)", &section, &mechanisms, &word)) > 0) {
                struct json_object *tier = json_object_new_object(), *list = json_object_new_array();
                for (const char *p = mechanisms; *p; p += strspn(p, ", ")) {
                        size_t n = strcspn(p, ",");
                        json_object_array_add(list, json_object_new_string_len(p, n));
                        p += n;
                }
                json_object_object_add(tier, "by", list);
                if (*word)
                        add_text(tier, "note", word);
                json_object_object_add(*ret, section, tier);
        }
        return r;
}

/* [{ "from_ns", "to_ns", "calls" }…], those that are empty left out. */
static int read_latency(sd_bus_message *m, struct json_object **ret) {
        const uint64_t *buckets;
        size_t size;
        int r = sd_bus_message_read_array(m, 't', (const void **) &buckets, &size);

        *ret = json_object_new_array();
        for (size_t i = 0; r >= 0 && i < size / sizeof(*buckets) && i < BUCKETS_MAX - 1; i++) {
                if (buckets[i] == 0)
                        continue;
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "from_ns", json_object_new_uint64(i == 0 ? 0 : 1ULL << i));
                json_object_object_add(o, "to_ns", json_object_new_uint64(2ULL << i));
                json_object_object_add(o, "calls", json_object_new_uint64(buckets[i]));
                json_object_array_add(*ret, o);
        }
        return r;
}

static int by_last(const void *a, const void *b) {
        struct json_object *one, *other;

        json_object_object_get_ex(*(struct json_object *const *) a, "last", &one);
        json_object_object_get_ex(*(struct json_object *const *) b, "last", &other);
        double difference = json_object_get_double(other) - json_object_get_double(one);
        return difference < 0 ? -1 : difference > 0;
}

/* The latest first. */
static int read_denied(sd_bus_message *m, struct json_object **ret) {
        const char *call, *subject, *rule;
        uint64_t count, last;
        int32_t error;
        int r = sd_bus_message_enter_container(m, 'a', "(ssistt)");

        *ret = json_object_new_array();
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssistt)", &call, &subject, &error, &rule, &count, &last)) > 0) {
                struct json_object *o = json_object_new_object();
                const char *name = error > 0 ? strerrorname_np(error) : NULL;
                add_text(o, "call", call);
                if (*subject)
                        add_text(o, "subject", subject);
                if (name)
                        add_text(o, "errno", name);
                if (*rule)
                        add_text(o, "rule", rule);
                json_object_object_add(o, "times", json_object_new_uint64(count));
                json_object_object_add(o, "last", json_object_new_double(last / 1e6));
                json_object_array_add(*ret, o);
        }
        json_object_array_sort(*ret, by_last);
        return r;
}

int status_read(sd_bus *bus, const char *name, struct json_object *to) {
        static const struct {
                const char *property, *type, *key;
                int (*read)(sd_bus_message *m, struct json_object **ret);
        } list[] = {
                { "Tiers", "a(sss)", "tiers", read_tiers },
                { "Latency", "at", "latency", read_latency },
                { "Denied", "a(ssistt)", "denied", read_denied },
        };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        int r = control_object(name, &object);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(list); i++) {
                sd_bus_message *reply = NULL;
                struct json_object *value = NULL;
                r = sd_bus_get_property(bus, NULL, object, CONTROL_SANDBOX, list[i].property, &error, &reply, list[i].type);
                if (r >= 0)
                        r = list[i].read(reply, &value);
                sd_bus_message_unref(reply);
                if (r >= 0)
                        json_object_object_add(to, list[i].key, value);
                else
                        json_object_put(value);
                if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_PROPERTY)) {
                        sd_bus_error_free(&error);
                        r = 0;
                }
        }
        if (r < 0)
                (void) remote_failed(r, &error, name);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

/* ---- showing ---- */

static const char *text_of(struct json_object *o, const char *key) {
        struct json_object *value;

        return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : NULL;
}

static uint64_t number_of(struct json_object *o, const char *key) {
        struct json_object *value;

        return json_object_object_get_ex(o, key, &value) ? json_object_get_uint64(value) : 0;
}

static const char *format_nsec(uint64_t nsec, char *buffer, size_t size) {
        static const char *const units[] = { "ns", "us", "ms", "s" };
        double n = nsec;
        size_t unit = 0;

        for (; n >= 1000 && unit + 1 < ELEMENTSOF(units); unit++)
                n /= 1000;
        snprintf(buffer, size, n < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", n, units[unit]);
        return buffer;
}

static void print_tiers(struct json_object *tiers) {
        json_object_object_foreach(tiers, section, tier) {
                struct json_object *by;
                const char *note = text_of(tier, "note");
                printf("  %-10s", section);
                if (json_object_object_get_ex(tier, "by", &by))
                        for (size_t i = 0; i < json_object_array_length(by); i++)
                                printf("%s%s", i > 0 ? ", " : " ", json_object_get_string(json_object_array_get_idx(by, i)));
                printf(note ? ": %s\n" : "\n", note);
        }
}

static void print_latency(struct json_object *latency) {
        uint64_t most = 0;
        char to[32];

        for (size_t i = 0; i < json_object_array_length(latency); i++) {
                uint64_t calls = number_of(json_object_array_get_idx(latency, i), "calls");
                most = calls > most ? calls : most;
        }
        for (size_t i = 0; i < json_object_array_length(latency); i++) {
                struct json_object *o = json_object_array_get_idx(latency, i);
                uint64_t calls = number_of(o, "calls");
                int bar = most > 0 ? calls * BAR / most : 0;
                printf("  < %7s %10" PRIu64 "%s%.*s\n", format_nsec(number_of(o, "to_ns"), to, sizeof(to)), calls, bar > 0 ? " " : "", bar,
                       "########################################");
        }
}

static void print_denied(struct json_object *denied) {
        time_t now = time(NULL);
        char since[32];

        for (size_t i = 0; i < json_object_array_length(denied); i++) {
                struct json_object *o = json_object_array_get_idx(denied, i);
                const char *subject = text_of(o, "subject"), *rule = text_of(o, "rule");
                time_t last = number_of(o, "last");
                printf("  %s%s%s: %s, %" PRIu64 " time%s, %s ago", text_of(o, "call"), subject ? " " : "", subject ?: "",
                       text_of(o, "errno") ?: "killed", number_of(o, "times"), number_of(o, "times") == 1 ? "" : "s",
                       str_format_time(now > last ? (uint64_t) (now - last) * 1000000 : 0, since, sizeof(since)));
                printf(rule ? "; %s\n" : "\n", rule);
        }
}

void status_print(struct json_object *from) {
        static const struct {
                const char *key, *title;
                void (*print)(struct json_object *o);
        } list[] = {
                { "tiers", "held by", print_tiers },
                { "latency", "calls by the time until their reply", print_latency },
                { "denied", "denied last", print_denied },
        };
        struct json_object *value;

        for (size_t i = 0; i < ELEMENTSOF(list); i++) {
                if (!json_object_object_get_ex(from, list[i].key, &value))
                        continue;
                if (json_object_is_type(value, json_type_array) && json_object_array_length(value) == 0)
                        continue;
                printf("%s:\n", list[i].title);
                list[i].print(value);
        }
}
