/*
 * Strings: growing buffers, escaping for terminals, sizes and times as people write them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

/* A growing string. Zero-initialise it; `text` is NULL until something was added, and is the owner's to free
 * (strbuf_done). After a failed allocation `failed` is set and further additions do nothing. */
struct strbuf {
        char *text;
        size_t length, room;
        bool failed;
};

void strbuf_add(struct strbuf *b, const char *text, size_t length);
void strbuf_puts(struct strbuf *b, const char *text);
void strbuf_printf(struct strbuf *b, const char *format, ...) _printf_(2, 3);
/* Adds text that comes from outside, safe to show on a terminal: control characters (C0, C1), bidirectional
 * marks, backslashes and bytes that are not UTF-8 appear as \n, \t, \xHH or \uHHHH. */
void strbuf_escape(struct strbuf *b, const char *text, size_t length);
/* Adds a JSON text that is to be one line, and safe to show on a terminal, and still the same JSON: what strbuf_escape would escape appears as
 * \uHHHH, bytes that are not UTF-8 as the replacement character. */
void strbuf_escape_json(struct strbuf *b, const char *json, size_t length);
/* Hands the text over (never NULL unless an allocation failed); the buffer is empty afterwards. */
char *strbuf_take(struct strbuf *b);
void strbuf_done(struct strbuf *b);

/* The escaped form of a string, as strbuf_escape; the caller frees it. NULL: out of memory. */
char *str_escape(const char *text);

/* Parses "64", "1K", "512M", "2G", "1T" (powers of 1024) into bytes; -EINVAL, -ERANGE. */
int str_parse_size(const char *text, uint64_t *ret);
/* Parses "30", "30s", "10m", "2h", "1d", "500ms" into microseconds; -EINVAL, -ERANGE. */
int str_parse_time(const char *text, uint64_t *ret_usec);
/* Writes microseconds as people do ("10m", "1m30s", "500ms") into `buffer`, and returns it. */
const char *str_format_time(uint64_t usec, char *buffer, size_t size);
/* Writes bytes as people do ("512M", "1.5G") into `buffer`, and returns it. */
const char *str_format_size(uint64_t bytes, char *buffer, size_t size);

/* The nearest of `n` words to `word`, or NULL where none is near enough to be meant. */
const char *str_nearest(const char *word, const char *const *words, size_t n);

static inline bool str_equal(const char *a, const char *b) {
        return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool str_starts(const char *text, const char *prefix) {
        return strncmp(text, prefix, strlen(prefix)) == 0;
}
