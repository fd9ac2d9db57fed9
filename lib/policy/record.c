#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>

#include "str.h"

/* ---- The numbers of file rules: those of `files` from 1, then those of each condition. ---- */

static uint64_t rule_number(const struct policy *policy, const struct file_rule *rule) {
        uint64_t before = 1;

        if (!rule)
                return 0;
        if (rule >= policy->files.rules && rule < policy->files.rules + policy->files.n_rules)
                return before + (rule - policy->files.rules);
        before += policy->files.n_rules;
        for (size_t i = 0; i < policy->n_whens; i++) {
                const struct policy_when *when = policy->whens + i;
                if (rule >= when->rules && rule < when->rules + when->n_rules)
                        return before + (rule - when->rules);
                before += when->n_rules;
        }
        /* One that isn't the policy's: no reader takes this number. */
        return UINT64_MAX;
}

static const struct file_rule *rule_at(const struct policy *policy, uint64_t number) {
        if (number-- == 0)
                return NULL;
        if (number < policy->files.n_rules)
                return policy->files.rules + number;
        number -= policy->files.n_rules;
        for (size_t i = 0; i < policy->n_whens; i++) {
                if (number < policy->whens[i].n_rules)
                        return policy->whens[i].rules + number;
                number -= policy->whens[i].n_rules;
        }
        return NULL;
}

/* ---- Writing ---- */

static void put_text(struct strbuf *out, const char *text) {
        strbuf_puts(out, "\"");
        for (const char *p = text; *p;) {
                size_t n = 0;
                while ((unsigned char) p[n] >= ' ' && p[n] != '"' && p[n] != '\\')
                        n++;
                strbuf_add(out, p, n);
                p += n;
                if (*p)
                        strbuf_printf(out, "\\u%04x", (unsigned char) *p++);
        }
        strbuf_puts(out, "\"");
}

static bool put_optional_text(struct strbuf *out, const char *text) {
        if (text)
                put_text(out, text);
        else
                strbuf_puts(out, "null");
        return !text;
}

static uint64_t load_number(const void *from, size_t size) {
        uint64_t number = 0;

        memcpy(&number, from, size); /* little-endian */
        return number;
}

static bool put_number(struct strbuf *out, uint64_t number) {
        strbuf_printf(out, "%" PRIu64, number);
        return number == 0;
}

static bool put_texts(struct strbuf *out, char *const *texts, size_t n) {
        strbuf_puts(out, "[");
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        strbuf_puts(out, ",");
                put_text(out, texts[i]);
        }
        strbuf_puts(out, "]");
        return n == 0;
}

static bool put_records(struct strbuf *out, const struct record *record, const char *list, size_t n, const struct policy *policy) {
        strbuf_puts(out, "[");
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        strbuf_puts(out, ",");
                record_put(out, record, list + i * record->size, policy);
        }
        strbuf_puts(out, "]");
        return n == 0;
}

static bool put_field(struct strbuf *out, const struct field *field, const char *data, const struct policy *policy) {
        const void *at = data + field->offset;

        switch (field->type) {
        case FIELD_NUMBER: return put_number(out, load_number(at, field->size));
        case FIELD_TEXT: return put_optional_text(out, *(char *const *) at);
        case FIELD_TEXTS: return put_texts(out, *(char **const *) at, *(const size_t *) (data + field->count));
        case FIELD_RECORD: return record_put(out, field->record, at, policy);
        case FIELD_RECORDS: return put_records(out, field->record, *(char *const *) at, *(const size_t *) (data + field->count), policy);
        case FIELD_RULE: return put_number(out, rule_number(policy, *(const struct file_rule *const *) at));
        }
        return true;
}

bool record_put(struct strbuf *out, const struct record *record, const void *data, const struct policy *policy) {
        strbuf_puts(out, "[");
        size_t begin = out->length, end = begin;
        for (size_t i = 0; i < record->n_fields; i++) {
                if (i > 0)
                        strbuf_puts(out, ",");
                if (!put_field(out, record->fields + i, data, policy))
                        end = out->length;
        }
        out->length = end;
        strbuf_puts(out, "]");
        return end == begin;
}

/* ---- Reading ---- */

int record_damaged(const struct record_reader *reader, const char *what, const char *why) {
        policy_report_add(reader->report, false, (struct place) { .file = "saved plan" }, "it is damaged: %s: %s", what, why);
        return -EINVAL;
}

static int get_number(const struct record_reader *reader, struct json_object *value, const char *what, uint64_t max, uint64_t *ret) {
        *ret = 0;
        if (!value)
                return 0;
        if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 || json_object_get_uint64(value) > max)
                return record_damaged(reader, what, "a number is expected, or a smaller one");
        *ret = json_object_get_uint64(value);
        return 0;
}

static int get_text(const struct record_reader *reader, struct json_object *value, const char *what, char **ret) {
        if (!json_object_is_type(value, json_type_string))
                return record_damaged(reader, what, "a text is expected");
        const char *text = json_object_get_string(value);
        size_t length = json_object_get_string_len(value);
        if (memchr(text, 0, length))
                return record_damaged(reader, what, "a NUL is in a text");
        *ret = arena_copy(reader->arena, text, length);
        return *ret ? 0 : -ENOMEM;
}

static int get_texts(const struct record_reader *reader, struct json_object *value, const char *what, char ***ret, size_t *ret_n) {
        if (!json_object_is_type(value, json_type_array))
                return record_damaged(reader, what, "a list of texts is expected");
        size_t n = json_object_array_length(value);
        *ret = arena_alloc(reader->arena, n * sizeof(char *));
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = get_text(reader, json_object_array_get_idx(value, i), what, *ret + i);
                if (r < 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

static int get_records(const struct record_reader *reader, struct json_object *value, const struct field *field, char **ret,
                       size_t *ret_n) {
        const struct record *record = field->record;

        if (!json_object_is_type(value, json_type_array))
                return record_damaged(reader, record->what, "a list is expected");
        size_t n = json_object_array_length(value);
        if (n > field->max)
                return record_damaged(reader, record->what, "there are too many");
        *ret = arena_alloc(reader->arena, n * record->size);
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = record_get(reader, json_object_array_get_idx(value, i), record, *ret + i * record->size);
                if (r < 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

static int get_rule(const struct record_reader *reader, struct json_object *value, const char *what, bool optional,
                    const struct file_rule **ret) {
        uint64_t number;
        int r = get_number(reader, value, what, UINT64_MAX, &number);

        if (r < 0)
                return r;
        *ret = rule_at(reader->policy, number);
        return *ret || (optional && number == 0) ? 0 : record_damaged(reader, what, "there is no such rule");
}

/* `value`: NULL for what was left out. */
static int get_field(const struct record_reader *reader, struct json_object *value, const struct field *field, const char *what,
                     char *data) {
        void *at = data + field->offset;
        uint64_t number;
        int r;

        switch (field->type) {
        case FIELD_NUMBER:
                r = get_number(reader, value, what, field->max, &number);
                memcpy(at, &number, field->size); /* little-endian */
                return r;
        case FIELD_TEXT: return !value && field->optional ? 0 : get_text(reader, value, what, at);
        case FIELD_TEXTS: return value ? get_texts(reader, value, what, at, (size_t *) (data + field->count)) : 0;
        case FIELD_RECORD: return record_get(reader, value, field->record, at);
        case FIELD_RECORDS: return value ? get_records(reader, value, field, at, (size_t *) (data + field->count)) : 0;
        case FIELD_RULE: return get_rule(reader, value, what, field->optional, at);
        }
        return 0;
}

int record_get(const struct record_reader *reader, struct json_object *value, const struct record *record, void *data) {
        size_t n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

        if ((value && !json_object_is_type(value, json_type_array)) || n > record->n_fields)
                return record_damaged(reader, record->what, "a list of other length is expected");
        for (size_t i = 0; i < record->n_fields; i++) {
                struct json_object *item = i < n ? json_object_array_get_idx(value, i) : NULL;
                int r = get_field(reader, item, record->fields + i, record->what, data);
                if (r < 0)
                        return r;
        }
        return 0;
}
