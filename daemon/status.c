/*
 * What is seen of a sandbox's calls. Workers write it, and one may have been taken over: everything is copied, bounded and escaped before it goes
 * anywhere.
 */
#include <errno.h>
#include <string.h>

#include "sandboxd.h"
#include "str.h"

static const struct observed *observed(void *userdata) {
        const struct sandbox *s = userdata;

        return s->shared ? &s->shared->observed : NULL;
}

/* ---- tiers ---- */

/* The text up to the separator, escaped; the caller frees it. */
static char *take_field(char **text, char separator) {
        size_t n = strcspn(*text, (char[]) { separator, 0 });
        struct strbuf b = {};

        strbuf_escape(&b, *text, n);
        *text += n + ((*text)[n] != 0);
        return strbuf_take(&b);
}

static int append_tier(sd_bus_message *reply, char *line) {
        _cleanup_free_ char *section = take_field(&line, '\t'), *mechanisms = take_field(&line, '\t'), *word = take_field(&line, '\t');

        if (!section || !mechanisms || !word)
                return -ENOMEM;
        return sd_bus_message_append(reply, "(sss)", section, mechanisms, word);
}

int status_get_tiers(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error) {
        const struct observed *o = observed(userdata);
        char text[TIERS_SIZE] = "", *rest = text, *line;
        int r = sd_bus_message_open_container(reply, 'a', "(sss)");

        if (o)
                memcpy(text, o->tiers, sizeof(text) - 1);
        while (r >= 0 && (line = strsep(&rest, "\n")))
                if (*line)
                        r = append_tier(reply, line);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- calls ---- */

int status_get_latency(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error) {
        const struct observed *o = observed(userdata);
        uint64_t buckets[LATENCY_BUCKETS] = {};

        for (size_t i = 0; o && i < LATENCY_BUCKETS; i++)
                buckets[i] = o->latency[i];
        return sd_bus_message_append_array(reply, 't', buckets, sizeof(buckets));
}

static int append_denied(sd_bus_message *reply, const struct denied_call *d) {
        _cleanup_free_ char *call = str_escape(d->call), *subject = str_escape(d->subject), *rule = str_escape(d->rule);

        if (!call || !subject || !rule)
                return -ENOMEM;
        return sd_bus_message_append(reply, "(ssistt)", call, subject, d->error, rule, d->count, d->last);
}

int status_get_denied(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error) {
        const struct observed *o = observed(userdata);
        struct denied_call d;
        int r = sd_bus_message_open_container(reply, 'a', "(ssistt)");

        for (size_t i = 0; o && r >= 0 && i < DENIED_MAX; i++)
                if (observe_read(&o->denied[i], &d))
                        r = append_denied(reply, &d);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
