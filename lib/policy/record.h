/*
 * Private to plan_save.c: structs as JSON arrays, described by tables, so that what is written and what is read back can't differ. A record is an
 * array of its fields in the table's order; fields at the end that are 0, NULL or empty are left out. So a field that is added at the end of a table,
 * where 0 means what was before it, can still be read from older texts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "policy.h"

struct strbuf;
struct json_object;
struct record;

enum field_type {
        FIELD_NUMBER,  /* an unsigned integer, an enum or a bool: `size` bytes, at most `max` */
        FIELD_TEXT,    /* a text, any bytes but NUL in it; NULL only where it is optional */
        FIELD_TEXTS,   /* an array of texts, and their number at `count` */
        FIELD_RECORD,  /* a struct inside of this one */
        FIELD_RECORDS, /* an array of structs, and their number at `count`, at most `max` */
        FIELD_RULE,    /* a pointer to a file rule of the policy; NULL only where it is optional */
};

struct field {
        enum field_type type;
        bool optional;
        size_t offset, size, count;
        uint64_t max;
        const struct record *record;
};

struct record {
        const char *what; /* for messages */
        size_t size;
        const struct field *fields;
        size_t n_fields;
};

#define MEMBER_SIZE(struct_, member) sizeof(((struct struct_ *) NULL)->member)
#define NUMBER(struct_, member, most) \
        { .type = FIELD_NUMBER, .offset = offsetof(struct struct_, member), .size = MEMBER_SIZE(struct_, member), .max = (most) }
#define ANY_NUMBER(struct_, member) NUMBER(struct_, member, UINT64_MAX >> (64 - 8 * MEMBER_SIZE(struct_, member)))
#define FLAG(struct_, member) NUMBER(struct_, member, true)
#define TEXT(struct_, member) \
        { .type = FIELD_TEXT, .offset = offsetof(struct struct_, member) }
#define OPTIONAL_TEXT(struct_, member) \
        { .type = FIELD_TEXT, .offset = offsetof(struct struct_, member), .optional = true }
#define TEXTS(struct_, member) \
        { .type = FIELD_TEXTS, .offset = offsetof(struct struct_, member), .count = offsetof(struct struct_, n_##member) }
#define RECORD_INSIDE(struct_, member, of) \
        { .type = FIELD_RECORD, .offset = offsetof(struct struct_, member), .record = &(of) }
#define RECORDS_AT(struct_, member, n_member, of, most) \
        { \
                .type = FIELD_RECORDS, .offset = offsetof(struct struct_, member), .count = offsetof(struct struct_, n_member), \
                .record = &(of), .max = (most), \
        }
#define RECORDS(struct_, member, of, most) RECORDS_AT(struct_, member, n_##member, of, most)
#define RULE(struct_, member) \
        { .type = FIELD_RULE, .offset = offsetof(struct struct_, member) }
#define OPTIONAL_RULE(struct_, member) \
        { .type = FIELD_RULE, .offset = offsetof(struct struct_, member), .optional = true }
#define RECORD(name, what_, struct_, ...) \
        static const struct field name##_fields[] = { __VA_ARGS__ }; \
        static const struct record name = { what_, sizeof(struct struct_), name##_fields, ELEMENTSOF(name##_fields) }

/* Adds a record to a text; returns whether it is empty. Rules are told by their number in the policy. */
bool record_put(struct strbuf *out, const struct record *record, const void *data, const struct policy *policy);

/* Where records are read to. */
struct record_reader {
        struct arena *arena;
        const struct policy *policy; /* whose rules are meant, once they are read */
        struct policy_report *report;
};

/* Reports that the text is none of ours; its value is -EINVAL. */
int record_damaged(const struct record_reader *reader, const char *what, const char *why);
/* Fills a zeroed struct. Returns 0, -EINVAL (reported), -ENOMEM. */
int record_get(const struct record_reader *reader, struct json_object *value, const struct record *record, void *data);
