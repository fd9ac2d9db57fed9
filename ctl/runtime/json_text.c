/*
 * A config.json belongs to its engine, and has members that only the engine and the runtime below know. No library gives all of them back as they
 * were (numbers above 64 bits, `1.0`, escapes, two members of one name), so that the text is kept and only one value in it is replaced. It has
 * been parsed by then: what is skipped here is valid JSON.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "runtime.h"
#include "str.h"

static size_t skip_space(const char *text, size_t at) {
        return at + strspn(text + at, " \t\r\n");
}

static size_t skip_string(const char *text, size_t at) {
        for (at++; text[at] && text[at] != '"'; at++)
                if (text[at] == '\\' && text[at + 1])
                        at++;
        return text[at] ? at + 1 : at;
}

static size_t skip_value(const char *text, size_t at) {
        unsigned depth = 0;

        if (text[at] == '"')
                return skip_string(text, at);
        if (text[at] != '{' && text[at] != '[')
                return at + strcspn(text + at, ",]} \t\r\n");
        while (text[at]) {
                if (text[at] == '"') {
                        at = skip_string(text, at);
                        continue;
                }
                if (text[at] == '{' || text[at] == '[')
                        depth++;
                if ((text[at] == '}' || text[at] == ']') && --depth == 0)
                        return at + 1;
                at++;
        }
        return at;
}

/* A member's name with its escapes taken out. */
static char *decode(const char *text, size_t start, size_t end) {
        _cleanup_free_ char *quoted = strndup(text + start, end - start);
        struct json_object *value = quoted ? json_tokener_parse(quoted) : NULL;
        char *name = value && json_object_is_type(value, json_type_string) ? strdup(json_object_get_string(value)) : NULL;

        json_object_put(value);
        return name;
}

int json_text_member(const char *text, size_t start, const char *name, struct json_span *ret) {
        bool found = false;

        for (size_t at = skip_space(text, start + 1); text[at] == '"';) {
                size_t end = skip_string(text, at);
                _cleanup_free_ char *key = decode(text, at, end);
                if (!key)
                        return -EINVAL;
                at = skip_space(text, end);
                if (text[at] != ':')
                        return -EINVAL;
                at = skip_space(text, at + 1);
                end = skip_value(text, at);
                if (strcasecmp(key, name) == 0) {
                        if (found || strcmp(key, name) != 0)
                                return -EEXIST;
                        found = true;
                        *ret = (struct json_span) { at, end };
                }
                at = skip_space(text, end);
                if (text[at] == ',')
                        at = skip_space(text, at + 1);
        }
        return found ? 0 : -ENOENT;
}

static bool is_null(const char *text, struct json_span span) {
        return span.end - span.start == 4 && strncmp(text + span.start, "null", 4) == 0;
}

/* Adds a member to the object at text[start], as its first. */
static void add_first(struct strbuf *out, const char *text, size_t start, const char *name, const char *value) {
        strbuf_add(out, text, start + 1);
        strbuf_printf(out, "\"%s\":%s%s", name, value, text[skip_space(text, start + 1)] == '}' ? "" : ",");
        strbuf_puts(out, text + start + 1);
}

static void replace(struct strbuf *out, const char *text, struct json_span span, const char *value) {
        strbuf_add(out, text, span.start);
        strbuf_puts(out, value);
        strbuf_puts(out, text + span.end);
}

int json_text_set(const char *text, size_t size, const char *outer, const char *inner, const char *value, char **ret) {
        _cleanup_(strbuf_done) struct strbuf out = {};
        _cleanup_free_ char *whole = NULL;
        struct json_span object, own;
        size_t top = skip_space(text, 0);
        int r;

        if (strlen(text) != size || text[top] != '{')
                return -EINVAL;
        r = json_text_member(text, top, outer, &object);
        if (r < 0 && r != -ENOENT)
                return r;
        if (asprintf(&whole, "{\"%s\":%s}", inner, value) < 0)
                return -ENOMEM;
        if (r == -ENOENT)
                add_first(&out, text, top, outer, whole);
        else if (is_null(text, object))
                replace(&out, text, object, whole);
        else if (text[object.start] != '{')
                return -EINVAL;
        else {
                r = json_text_member(text, object.start, inner, &own);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (r == -ENOENT)
                        add_first(&out, text, object.start, inner, value);
                else
                        replace(&out, text, own, value);
        }
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}

/* From behind what stands before the member to behind its comma; or from its comma, where it is the last. */
static int member_around(const char *text, size_t start, const char *name, struct json_span *ret) {
        struct json_span value;
        size_t comma = 0;
        int r = json_text_member(text, start, name, &value);

        if (r < 0)
                return r;
        for (size_t at = skip_space(text, start + 1); text[at] == '"';) {
                size_t after = skip_space(text, skip_value(text, skip_space(text, skip_space(text, skip_string(text, at)) + 1)));
                if (value.start > at && value.start < after) {
                        bool last = text[after] != ',';
                        *ret = (struct json_span) { last && comma > 0 ? comma : at, last ? value.end : after + 1 };
                        return 0;
                }
                comma = after;
                at = skip_space(text, after + 1);
        }
        return -EINVAL;
}

int json_text_remove(const char *text, const char *outer, const char *inner, char **ret) {
        _cleanup_(strbuf_done) struct strbuf out = {};
        struct json_span object, own;
        size_t top = skip_space(text, 0);
        int r;

        if (text[top] != '{')
                return -EINVAL;
        r = json_text_member(text, top, outer, &object);
        if (r >= 0 && text[object.start] != '{')
                r = -EINVAL;
        if (r >= 0)
                r = member_around(text, object.start, inner, &own);
        if (r < 0)
                return r;
        replace(&out, text, own, "");
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}
