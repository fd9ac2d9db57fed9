#include "glob.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "str.h"

/* Braces are multiplied out before a pattern is compiled. Matching walks states over the components, one bit each, so that `**` costs no
 * backtracking over them; most paths are told apart by the literal beginning alone. */
#define COMPONENTS_MAX 62
#define ALTERNATIVES_MAX 64

struct glob {
        char *prefix; /* the literal components at the beginning, unescaped: "/a/b", or "" */
        size_t prefix_length;
        size_t literal; /* their number */
        size_t n;
        uint64_t any; /* which of the components are `**` */
        const char *components[COMPONENTS_MAX];
};

static bool special(char c) {
        return c == '*' || c == '?' || c == '[' || c == '{';
}

bool glob_literal(const char *pattern) {
        for (; *pattern; pattern++) {
                if (special(*pattern))
                        return false;
                if (*pattern == '\\')
                        pattern++;
        }
        return true;
}

char *glob_unescape(struct arena *arena, const char *pattern) {
        char *path = arena_alloc(arena, strlen(pattern) + 1), *to = path;

        if (!path)
                return NULL;
        for (; *pattern; pattern++) {
                if (*pattern == '\\')
                        pattern++;
                *to++ = *pattern;
        }
        return path;
}

void glob_escape(struct strbuf *out, const char *text) {
        for (; *text; text++) {
                if (special(*text) || *text == '\\' || *text == ']' || *text == '}')
                        strbuf_puts(out, "\\");
                strbuf_add(out, text, 1);
        }
}

/* The end of a bracket expression that begins at p, past its `]`; NULL where it doesn't end. */
static const char *bracket_end(const char *p) {
        p++;
        if (*p == '!' || *p == '^')
                p++;
        if (*p == ']')
                p++;
        for (; *p && *p != ']'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p + 1 : NULL;
}

static const char *check_component(const char *c, size_t length) {
        bool brace = false;
        const char *end = c + length;

        for (const char *p = c; p < end; p++) {
                if (*p == '\\') {
                        if (++p == end)
                                return "a \\ stands at the end of a name, and escapes nothing";
                } else if (*p == '[' && brace) {
                        return "[ ] can't stand inside { }";
                } else if (*p == '[') {
                        const char *close = bracket_end(p);
                        if (!close || close > end)
                                return "a [ has no ] in the same name; write \\[ for the character itself";
                        for (const char *q = p; q < close; q++)
                                if (*q & 0x80)
                                        return "only ASCII characters can stand in [ ]";
                        p = close - 1;
                } else if (*p == '{') {
                        if (brace)
                                return "{ } can't be nested";
                        brace = true;
                } else if (*p == '}')
                        brace = false;
                else if (*p == '*' && p + 1 < end && p[1] == '*' && length != 2)
                        return "** must be a whole component, as in /a/**/b";
        }
        return brace ? "a { has no } in the same name; write \\{ for the character itself" : NULL;
}

bool glob_valid(const char *pattern) {
        for (const char *p = pattern; *p;) {
                p += strspn(p, "/");
                size_t n = strcspn(p, "/");
                if (check_component(p, n))
                        return false;
                p += n;
        }
        return true;
}

static size_t count_alternatives(const char *p) {
        size_t total = 1;

        for (size_t here; *p; p++) {
                if (*p == '\\')
                        p++;
                else if (*p == '{') {
                        for (here = 1; *p && *p != '}'; p++) {
                                if (*p == '\\')
                                        p++;
                                here += *p == ',';
                        }
                        total *= here;
                        if (total > ALTERNATIVES_MAX)
                                return total;
                        if (!*p)
                                return total;
                }
        }
        return total;
}

const char *glob_normalise(struct arena *arena, const char *pattern, char **ret) {
        size_t components = 0;

        if (pattern[0] != '/')
                return pattern[0] == '~' ? "a path must be absolute; write ${home} for your home"
                                         : "a path must be absolute, as the sandbox sees it (${cwd} is the current directory)";
        if (strlen(pattern) >= PATH_MAX * 2)
                return "the path is too long";
        char *out = arena_alloc(arena, strlen(pattern) + 2), *to = out;
        if (!out)
                return "out of memory";
        for (const char *p = pattern; *p;) {
                p += strspn(p, "/");
                size_t n = strcspn(p, "/");
                if (n == 0 || (n == 1 && p[0] == '.')) {
                        p += n;
                        continue;
                }
                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return "`..` can't stand in a path";
                const char *wrong = check_component(p, n);
                if (wrong)
                        return wrong;
                if (++components > COMPONENTS_MAX)
                        return "the path has too many components (62 at most)";
                *to++ = '/';
                to = mempcpy(to, p, n);
                p += n;
        }
        if (to == out)
                *to++ = '/';
        *to = 0;
        if (count_alternatives(out) > ALTERNATIVES_MAX)
                return "the { } of this pattern stand for too many names (64 at most)";
        *ret = out;
        return NULL;
}

struct glob_rank glob_rank(const char *pattern) {
        struct glob_rank rank = {};
        bool literal = true;

        for (const char *p = pattern; *p; p++) {
                if (special(*p)) {
                        literal = false;
                        rank.wildcards++;
                        if (*p == '[')
                                p = bracket_end(p) - 1;
                        else if (*p == '*' && p[1] == '*')
                                p++;
                } else if (*p == '\\' && p[1])
                        p++;
                rank.length++;
                if (literal)
                        rank.prefix++;
        }
        return rank;
}

int glob_rank_compare(const struct glob_rank *a, const struct glob_rank *b) {
        if (a->prefix != b->prefix)
                return a->prefix > b->prefix ? 1 : -1;
        if (a->wildcards != b->wildcards)
                return a->wildcards < b->wildcards ? 1 : -1;
        if (a->length != b->length)
                return a->length > b->length ? 1 : -1;
        return 0;
}

/* ---- Compiling ---- */

/* Replaces the first { } at or after `from` by each of its alternatives, and goes on with each. */
static int multiply(struct arena *arena, char *text, size_t from, char ***texts, size_t *n) {
        char *open = text + from;

        for (; *open && *open != '{'; open++) {
                const char *close = *open == '[' ? bracket_end(open) : NULL;
                if (close)
                        open += close - 1 - open;
                else if (*open == '\\' && open[1])
                        open++;
        }
        if (!*open) {
                char **slot = arena_push(arena, texts, n, sizeof(*slot));
                if (slot)
                        *slot = text;
                return slot ? 0 : -1;
        }

        char *close = open;
        while (*close != '}')
                close += *close == '\\' ? 2 : 1;
        for (char *item = open + 1; item <= close;) {
                char *end = item;
                while (end < close && *end != ',')
                        end += *end == '\\' ? 2 : 1;
                char *copy = arena_alloc(arena, strlen(text) + 1);
                if (!copy)
                        return -1;
                char *to = mempcpy(copy, text, open - text);
                to = mempcpy(to, item, end - item);
                strcpy(to, close + 1);
                if (multiply(arena, copy, to - copy, texts, n) < 0)
                        return -1;
                item = end + 1;
        }
        return 0;
}

char **glob_expand(struct arena *arena, const char *pattern, size_t *ret_n) {
        char *copy = arena_strdup(arena, pattern), **texts = NULL;
        size_t n = 0;

        if (!copy || multiply(arena, copy, 0, &texts, &n) < 0)
                return NULL;
        *ret_n = n;
        return texts;
}

size_t glob_literal_length(const char *pattern) {
        size_t length = 0;

        for (size_t end = 0; pattern[length]; length = end) {
                bool literal = true;
                for (end = length + 1; pattern[end] && pattern[end] != '/'; end++) {
                        literal = literal && !special(pattern[end]);
                        if (pattern[end] == '\\' && pattern[end + 1])
                                end++;
                }
                if (!literal)
                        break;
        }
        return length;
}

const struct glob *glob_new(struct arena *arena, const char *pattern) {
        struct glob *glob = arena_alloc(arena, sizeof(*glob));
        char *copy = arena_strdup(arena, pattern);

        if (!glob || !copy)
                return NULL;
        /* An empty alternative of { } leaves two slashes. */
        for (char *save, *c = strtok_r(copy, "/", &save); c && glob->n < COMPONENTS_MAX; c = strtok_r(NULL, "/", &save)) {
                if (strcmp(c, "**") == 0)
                        glob->any |= UINT64_C(1) << glob->n;
                if (glob->literal == glob->n && glob_literal(c))
                        glob->literal++;
                glob->components[glob->n++] = c;
        }
        char *to = glob->prefix = arena_alloc(arena, strlen(pattern) + 2);
        if (!to)
                return NULL;
        for (size_t i = 0; i < glob->literal; i++) {
                char *name = glob_unescape(arena, glob->components[i]);
                if (!name)
                        return NULL;
                *to++ = '/';
                to = stpcpy(to, name);
        }
        glob->prefix_length = to - glob->prefix;
        return glob;
}

/* ---- Matching ---- */

/* Whether one character c (a byte, or the first of a longer character) is in the expression that begins at *p; moves *p past it. */
static bool bracket_has(const char **p, unsigned char c) {
        const char *end = bracket_end(*p), *q = *p + 1;
        bool negate = *q == '!' || *q == '^', found = false;

        if (negate)
                q++;
        for (bool first = true; q < end - 1 || first; first = false) {
                if (*q == '\\')
                        q++;
                unsigned char from = *q++, to = from;
                if (*q == '-' && q + 1 < end - 1) {
                        q++;
                        if (*q == '\\')
                                q++;
                        to = *q++;
                }
                found |= from <= c && c <= to;
        }
        *p = end;
        return found != negate;
}

static size_t character(const char *s, size_t length) {
        size_t n = 1;

        if ((unsigned char) s[0] >= 0xc0)
                while (n < length && (s[n] & 0xc0) == 0x80)
                        n++;
        return n;
}

static bool component_match(const char *p, const char *s, size_t length) {
        const char *end = s + length, *star = NULL, *retry = NULL;

        for (;;) {
                if (*p == '*') {
                        star = ++p;
                        retry = s;
                        continue;
                }
                if (s == end && !*p)
                        return true;
                if (s < end && *p) {
                        const char *next = p;
                        size_t n = 1;
                        bool same;
                        if (*p == '?' || *p == '[') {
                                n = character(s, end - s);
                                same = *p == '?' || bracket_has(&next, *s);
                                if (*p == '?')
                                        next++;
                        } else {
                                if (*p == '\\' && p[1])
                                        next++;
                                same = *next++ == *s;
                        }
                        if (same) {
                                p = next;
                                s += n;
                                continue;
                        }
                }
                if (!star || retry == end)
                        return false;
                s = ++retry;
                p = star;
        }
}

/* A `**` may stand for nothing: the state after it is reached for free. */
static uint64_t skip_any(const struct glob *glob, uint64_t states) {
        for (uint64_t any = states & glob->any; any; any &= any - 1) {
                uint64_t next = (any & -any) << 1;
                states |= next;
                any |= next & glob->any;
        }
        return states;
}

static uint64_t step(const struct glob *glob, uint64_t states, const char *name, size_t length) {
        uint64_t next = states & glob->any;

        for (uint64_t rest = states & ~glob->any; rest; rest &= rest - 1)
                if (component_match(glob->components[__builtin_ctzll(rest)], name, length))
                        next |= (rest & -rest) << 1;
        return skip_any(glob, next);
}

/* The path ends within the literal beginning. */
static uint64_t states_above(const struct glob *glob, const char *path) {
        size_t length = strlen(path), n = 0;

        if (length == 1)
                return 1;
        if (length > glob->prefix_length || memcmp(path, glob->prefix, length) != 0 || glob->prefix[length] != '/')
                return 0;
        for (const char *p = path; *p; p++)
                n += *p == '/';
        return UINT64_C(1) << n;
}

uint64_t glob_states(const struct glob *glob, const char *path) {
        uint64_t end = UINT64_C(1) << glob->n, states = skip_any(glob, UINT64_C(1) << glob->literal);
        const char *p = path + glob->prefix_length;

        if (strncmp(path, glob->prefix, glob->prefix_length) != 0 || (*p != '/' && *p != 0))
                return states_above(glob, path);
        while (states && !(states & end)) {
                p += strspn(p, "/");
                size_t n = strcspn(p, "/");
                if (n == 0)
                        break;
                states = step(glob, states, p, n);
                p += n;
        }
        return states & end ? GLOB_ALL : states;
}

unsigned glob_match(const struct glob *glob, const char *path) {
        uint64_t states = glob_states(glob, path);

        return states == GLOB_ALL ? GLOB_MATCHES | GLOB_ABOVE : states ? GLOB_ABOVE : 0;
}
