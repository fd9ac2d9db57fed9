#include "str.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>

static bool strbuf_room(struct strbuf *b, size_t more) {
        if (b->failed)
                return false;
        if (b->length + more + 1 <= b->room)
                return true;

        size_t room = b->room ? b->room * 2 : 128;
        while (room < b->length + more + 1)
                room *= 2;
        char *text = realloc(b->text, room);
        if (!text) {
                b->failed = true;
                return false;
        }
        b->text = text;
        b->room = room;
        return true;
}

void strbuf_add(struct strbuf *b, const char *text, size_t length) {
        if (!strbuf_room(b, length))
                return;
        memcpy(b->text + b->length, text, length);
        b->length += length;
        b->text[b->length] = 0;
}

void strbuf_puts(struct strbuf *b, const char *text) {
        strbuf_add(b, text, strlen(text));
}

void strbuf_printf(struct strbuf *b, const char *format, ...) {
        va_list args, again;

        va_start(args, format);
        va_copy(again, args);
        int n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n >= 0 && strbuf_room(b, n)) {
                vsnprintf(b->text + b->length, n + 1, format, again);
                b->length += n;
        }
        va_end(again);
}

/* Decodes one UTF-8 character; returns its length, or 0 where the bytes are none. */
static size_t utf8_decode(const unsigned char *p, size_t length, uint32_t *ret) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;

        if (n == 0 || n > length)
                return 0;
        uint32_t c = n == 1 ? p[0] : p[0] & (0x7f >> n);
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return 0;
        *ret = c;
        return n;
}

static bool must_escape(uint32_t c) {
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029 ||
               (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void strbuf_escape(struct strbuf *b, const char *text, size_t length) {
        const unsigned char *p = (const unsigned char *) text, *end = p + length;

        while (p < end) {
                uint32_t c;
                size_t n = utf8_decode(p, end - p, &c);

                if (n == 0)
                        strbuf_printf(b, "\\x%02x", *p++);
                else {
                        if (c == '\n')
                                strbuf_puts(b, "\\n");
                        else if (c == '\t')
                                strbuf_puts(b, "\\t");
                        else if (c == '\r')
                                strbuf_puts(b, "\\r");
                        else if (c == '\\')
                                strbuf_puts(b, "\\\\");
                        else if (must_escape(c))
                                strbuf_printf(b, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
                        else
                                strbuf_add(b, (const char *) p, n);
                        p += n;
                }
        }
}

void strbuf_escape_json(struct strbuf *b, const char *json, size_t length) {
        const unsigned char *p = (const unsigned char *) json, *end = p + length;

        while (p < end) {
                uint32_t c;
                size_t n = utf8_decode(p, end - p, &c);

                if (n == 0 || must_escape(c))
                        strbuf_printf(b, "\\u%04x", n == 0 ? 0xfffd : c);
                else
                        strbuf_add(b, (const char *) p, n);
                p += n ?: 1;
        }
}

char *strbuf_take(struct strbuf *b) {
        strbuf_add(b, "", 0);
        if (b->failed) {
                strbuf_done(b);
                return NULL;
        }
        char *text = TAKE_PTR(b->text);
        *b = (struct strbuf) {};
        return text;
}

void strbuf_done(struct strbuf *b) {
        free(b->text);
        *b = (struct strbuf) {};
}

char *str_escape(const char *text) {
        struct strbuf b = {};

        strbuf_escape(&b, text, strlen(text));
        return strbuf_take(&b);
}

static int parse_number(const char *text, uint64_t *ret, const char **end) {
        char *rest;

        if (!isdigit((unsigned char) text[0]))
                return -EINVAL;
        errno = 0;
        unsigned long long n = strtoull(text, &rest, 10);
        if (errno == ERANGE)
                return -ERANGE;
        *ret = n;
        *end = rest;
        return 0;
}

int str_parse_size(const char *text, uint64_t *ret) {
        static const char units[] = "KMGT";
        const char *end, *unit;
        uint64_t n;
        int r = parse_number(text, &n, &end);

        if (r < 0)
                return r;
        if (*end) {
                if (end[1] || !(unit = strchr(units, *end)))
                        return -EINVAL;
                unsigned shift = 10 * (unit - units + 1);
                if (n > UINT64_MAX >> shift)
                        return -ERANGE;
                n <<= shift;
        }
        *ret = n;
        return 0;
}

static const struct {
        const char *name;
        uint64_t usec;
} time_units[] = {
        { "d", 86400000000 }, { "h", 3600000000 }, { "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 }, { "us", 1 },
};

int str_parse_time(const char *text, uint64_t *ret_usec) {
        uint64_t total = 0;

        do {
                const char *end;
                uint64_t n, factor = 0;
                int r = parse_number(text, &n, &end);
                if (r < 0)
                        return r;

                size_t length = strspn(end, "dhmsu");
                for (size_t i = 0; i < ELEMENTSOF(time_units); i++)
                        if (strlen(time_units[i].name) == length && strncmp(end, time_units[i].name, length) == 0)
                                factor = time_units[i].usec;
                if (length == 0)
                        factor = 1000000;
                if (factor == 0)
                        return -EINVAL;
                if (n > (UINT64_MAX - total) / factor)
                        return -ERANGE;
                total += n * factor;
                text = end + length;
        } while (*text);

        *ret_usec = total;
        return 0;
}

const char *str_format_time(uint64_t usec, char *buffer, size_t size) {
        size_t used = 0;

        if (usec == 0)
                snprintf(buffer, size, "0s");
        for (size_t i = 0; i < ELEMENTSOF(time_units) && usec > 0; i++) {
                uint64_t n = usec / time_units[i].usec;
                if (n == 0)
                        continue;
                usec -= n * time_units[i].usec;
                used += snprintf(buffer + used, used < size ? size - used : 0, "%" PRIu64 "%s", n, time_units[i].name);
                if (used >= size)
                        break;
        }
        return buffer;
}

const char *str_format_size(uint64_t bytes, char *buffer, size_t size) {
        static const char units[] = "\0KMGT";
        unsigned unit = 0;
        double value = bytes;

        while (value >= 1024 && unit < 4) {
                value /= 1024;
                unit++;
        }
        if (value == (uint64_t) value)
                snprintf(buffer, size, "%" PRIu64 "%.1s", (uint64_t) value, units + unit);
        else
                snprintf(buffer, size, "%.1f%.1s", value, units + unit);
        return buffer;
}

/* The number of insertions, deletions, replacements and swaps of neighbours between two short words. */
static size_t distance(const char *a, const char *b) {
        size_t row[3][65], n = strlen(b);
        size_t *before = row[0], *previous = row[1], *current = row[2];

        for (size_t j = 0; j <= n; j++)
                previous[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                current[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t best = previous[j - 1] + (a[i - 1] != b[j - 1]);
                        if (previous[j] + 1 < best)
                                best = previous[j] + 1;
                        if (current[j - 1] + 1 < best)
                                best = current[j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                                best = before[j - 2] + 1;
                        current[j] = best;
                }
                size_t *reuse = before;
                before = previous;
                previous = current;
                current = reuse;
        }
        return previous[n];
}

const char *str_nearest(const char *word, const char *const *words, size_t n) {
        size_t length = strlen(word), best = SIZE_MAX;
        const char *nearest = NULL;

        if (length == 0 || length > 64)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (strlen(words[i]) > 64)
                        continue;
                size_t d = distance(word, words[i]);
                if (d < best) {
                        best = d;
                        nearest = words[i];
                }
        }
        return best <= (length <= 3 ? 1 : length <= 6 ? 2 : 3) ? nearest : NULL;
}
