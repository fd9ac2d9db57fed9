#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "differential.h"

void text_add(struct text *t, const char *format, ...) {
        va_list arguments;

        if (t->full)
                return;
        va_start(arguments, format);
        int n = vsnprintf(t->data + t->size, t->room - t->size, format, arguments);
        va_end(arguments);
        if (n < 0 || (size_t) n >= t->room - t->size) {
                t->full = true;
                t->data[t->size] = 0;
                return;
        }
        t->size += n;
}

static void add_byte(struct text *t, char c) {
        if (t->size + 1 >= t->room)
                t->full = true;
        if (t->full)
                return;
        t->data[t->size++] = c;
        t->data[t->size] = 0;
}

void text_add_bytes(struct text *t, const char *bytes, size_t size, const char *work) {
        size_t length = work ? strlen(work) : 0, top = work ? length - strlen(LEVELS) - 1 : 0;

        add_byte(t, '"');
        for (size_t i = 0; i < size; i++) {
                unsigned char c = bytes[i];
                size_t same = 1;
                if (length && size - i >= length && memcmp(bytes + i, work, length) == 0) {
                        text_add(t, "$W");
                        i += length - 1;
                        continue;
                }
                if (top && size - i >= top && memcmp(bytes + i, work, top) == 0 && (size - i == top || bytes[i + top] == '/')) {
                        text_add(t, "$TOP");
                        i += top - 1;
                        continue;
                }
                size_t pairs = 1;
                while (i + 2 * pairs + 1 < size && bytes[i + 2 * pairs] == bytes[i] && bytes[i + 2 * pairs + 1] == bytes[i + 1])
                        pairs++;
                if (pairs > 12 && bytes[i] == '.' && bytes[i + 1] == '/') {
                        text_add(t, "(./){%zu}", pairs);
                        i += 2 * pairs - 1;
                        continue;
                }
                while (i + same < size && bytes[i + same] == bytes[i])
                        same++;
                if (same > 24) {
                        text_add(t, c < ' ' || c > '~' ? "\\x%02x{%zu}" : "%c{%zu}", c, same);
                        i += same - 1;
                } else if (c < ' ' || c > '~' || c == '"' || c == '\\')
                        text_add(t, "\\x%02x", c);
                else
                        add_byte(t, c);
        }
        add_byte(t, '"');
}

const char *errno_name(int error) {
        const char *name = strerrorname_np(error);
        static char number[32];

        if (name)
                return name;
        snprintf(number, sizeof(number), "errno %d", error);
        return number;
}
