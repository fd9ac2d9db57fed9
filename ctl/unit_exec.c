/*
 * The lines of a unit that start something. They are taken from its files, not from what systemd says of them: there, specifiers are expanded
 * and quotes are gone. Of each command only the first word is looked into; all the rest is systemd's to read, as before.
 */
#include <errno.h>
#include <stdlib.h>

#include "str.h"
#include "unit.h"

const char *const exec_keys[] = {
        "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost", NULL,
};

#define SPACES " \t\n\r"

/* The end of a word: quotes may begin anywhere in it, a backslash escapes what follows. */
static const char *word_end(const char *p) {
        char quote = 0;

        for (; *p && (quote || !strchr(SPACES, *p)); p++) {
                if (*p == '\\' && p[1])
                        p++;
                else if (quote && *p == quote)
                        quote = 0;
                else if (!quote && (*p == '"' || *p == '\''))
                        quote = *p;
        }
        return p;
}

/* The end of a command: a semicolon that is a word, or the end of all. */
static const char *command_end(const char *p) {
        for (;;) {
                p += strspn(p, SPACES);
                if (*p == 0 || (*p == ';' && (p[1] == 0 || strchr(SPACES, p[1]))))
                        return p;
                p = word_end(p);
        }
}

static char *copy_trimmed(const char *from, const char *to) {
        while (from < to && strchr(SPACES, *from))
                from++;
        while (from < to && strchr(SPACES, to[-1]))
                to--;
        return strndup(from, to - from);
}

static int add_command(const char *key, const char *begin, const char *end, struct exec_line **list, size_t *n) {
        const char *stop = word_end(begin), *p = begin;
        char prefixes[16], quote[2] = "";
        size_t n_prefixes = 0;

        /* They are read when the quotes are gone. */
        if (*p == '"' || *p == '\'')
                quote[0] = *p++;
        while (p < stop && strchr("-:@+!", *p) && n_prefixes < sizeof(prefixes) - 1)
                prefixes[n_prefixes++] = *p++;
        prefixes[n_prefixes] = 0;
        if (p == stop || (quote[0] && *p == quote[0]))
                return -EINVAL;
        struct exec_line *larger = reallocarray(*list, *n + 1, sizeof(*larger));
        if (!larger)
                return -ENOMEM;
        *list = larger;
        struct exec_line *l = larger + (*n)++;
        *l = (struct exec_line) { .key = key, .prefixes = strdup(prefixes), .rest = copy_trimmed(stop, end) };
        if (asprintf(&l->program, "%s%.*s", quote, (int) (stop - p), p) < 0)
                l->program = NULL;
        return l->prefixes && l->program && l->rest ? 0 : -ENOMEM;
}

int exec_lines_add(const char *key, const char *value, struct exec_line **list, size_t *n) {
        for (const char *p = value + strspn(value, SPACES); *p;) {
                const char *end = command_end(p);
                int r = add_command(key, p, end, list, n);
                if (r < 0)
                        return r;
                p = *end ? end + 1 : end;
                p += strspn(p, SPACES);
        }
        return 0;
}

void exec_lines_free(struct exec_line *list, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(list[i].prefixes);
                free(list[i].program);
                free(list[i].rest);
        }
        free(list);
}

/* All of one kind: an empty assignment forgets those before it. */
static int add_key(const struct unit *u, const char *key, struct exec_line **list, size_t *n) {
        size_t first = 0;
        int r = 0;

        for (size_t i = 0; i < u->n_lines; i++)
                if (str_equal(u->lines[i].section, "Service") && str_equal(u->lines[i].key, key) && u->lines[i].value[0] == 0)
                        first = i + 1;
        for (size_t i = first; r >= 0 && i < u->n_lines; i++)
                if (str_equal(u->lines[i].section, "Service") && str_equal(u->lines[i].key, key))
                        r = exec_lines_add(key, u->lines[i].value, list, n);
        return r;
}

int unit_exec_lines(const struct unit *u, struct exec_line **ret, size_t *ret_n) {
        struct exec_line *list = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && exec_keys[i]; i++)
                r = add_key(u, exec_keys[i], &list, &n);
        if (r < 0) {
                exec_lines_free(list, n);
                return r;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}
