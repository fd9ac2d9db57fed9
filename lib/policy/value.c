#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include "glob.h"
#include "str.h"

const char *hint_nearest(const char *word, const char *const *words, size_t n, char buffer[128]) {
        const char *near = str_nearest(word, words, n);

        buffer[0] = 0;
        if (near)
                snprintf(buffer, 128, "; did you mean `%.80s`?", near);
        return buffer;
}

bool value_is_null(const struct yaml_node *node) {
        /* The word null is a text here: `devices: [null, zero]`. */
        return node->type == YAML_SCALAR && node->plain && (node->text[0] == 0 || str_equal(node->text, "~"));
}

/* Says what was found where something else was expected. */
static int wrong_type(struct loader *l, const struct yaml_node *node, const char *what, const char *expected) {
        if (value_is_null(node))
                return ERROR(l, node->place, "%s: expected %s, found nothing", what, expected);
        if (node->type == YAML_LIST)
                return ERROR(l, node->place, "%s: expected %s, found a list", what, expected);
        if (node->type == YAML_MAP)
                return ERROR(l, node->place, "%s: expected %s, found a mapping", what, expected);
        _cleanup_free_ char *text = str_escape(node->text);
        return ERROR(l, node->place, "%s: expected %s, found `%.80s`", what, expected, text ? text : "");
}

const struct yaml_node *value_find(const struct yaml_node *map, const char *key) {
        if (map && map->type == YAML_MAP)
                for (size_t i = 0; i < map->n; i++)
                        if (strcmp(map->keys[i]->text, key) == 0)
                                return map->items[i];
        return NULL;
}

static int unknown_key(struct loader *l, const struct yaml_node *key, const char *what, const struct key *keys, size_t n_keys) {
        const char *words[32];
        struct strbuf all = {};
        char hint[128];
        size_t n = 0;

        for (size_t i = 0; i < n_keys && n < ELEMENTSOF(words); i++) {
                strbuf_printf(&all, "%s%s", n ? ", " : "", keys[i].name);
                words[n++] = keys[i].name;
        }
        _cleanup_free_ char *word = str_escape(key->text), *list = strbuf_take(&all);
        hint_nearest(key->text, words, n, hint);
        if (hint[0])
                return ERROR(l, key->place, "%s has no key `%.80s`%s", what, word ? word : "", hint);
        return ERROR(l, key->place, "%s has no key `%.80s`; its keys are: %s", what, word ? word : "", list ? list : "");
}

int value_map(struct loader *l, const struct yaml_node *node, const char *what, const struct key *keys, size_t n_keys) {
        int result = 0;

        if (node->type != YAML_MAP)
                return wrong_type(l, node, what, "a mapping (`key: value`)");
        for (size_t i = 0; i < node->n; i++) {
                const struct key *key = NULL;
                int r;
                for (size_t k = 0; k < n_keys && !key; k++)
                        if (strcmp(keys[k].name, node->keys[i]->text) == 0)
                                key = keys + k;
                if (!key)
                        r = unknown_key(l, node->keys[i], what, keys, n_keys);
                else if (key->unbuilt)
                        r = ERROR(l, node->keys[i]->place, "`%s` isn't built yet, and nothing is left unenforced: %s", key->name,
                                  key->unbuilt);
                else
                        r = key->read(l, node->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

int value_list(struct loader *l, const struct yaml_node *node, const char *what,
               int (*read)(struct loader *l, const struct yaml_node *item)) {
        int result = 0;

        if (node->type != YAML_LIST)
                return wrong_type(l, node, what, "a list (`[a, b]`)");
        for (size_t i = 0; i < node->n; i++) {
                int r = read(l, node->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

int value_any_text(struct loader *l, const struct yaml_node *node, const char *what, char **ret) {
        if (node->type != YAML_SCALAR)
                return wrong_type(l, node, what, "a text");
        return expand(l, node->text, node->place, false, ret);
}

int value_text(struct loader *l, const struct yaml_node *node, const char *what, char **ret) {
        if (node->type != YAML_SCALAR || value_is_null(node) || node->length == 0)
                return wrong_type(l, node, what, "a text");
        return expand(l, node->text, node->place, false, ret);
}

int value_pattern(struct loader *l, const struct yaml_node *node, char **ret, char **ret_path) {
        char *text, *pattern;

        if (node->type != YAML_SCALAR || value_is_null(node) || node->length == 0)
                return wrong_type(l, node, "a rule", "an absolute path");
        int r = expand(l, node->text, node->place, true, &text);
        if (r < 0)
                return r;
        const char *wrong = glob_normalise(l->arena, text, &pattern);
        if (wrong) {
                _cleanup_free_ char *escaped = str_escape(text);
                return ERROR(l, node->place, "the path `%.200s`: %s", escaped ? escaped : "", wrong);
        }
        *ret_path = NULL;
        if (glob_literal(pattern) && !(*ret_path = glob_unescape(l->arena, pattern)))
                return -ENOMEM;
        if (*ret_path && strlen(*ret_path) >= PATH_MAX)
                return ERROR(l, node->place, "the path is longer than a path can be (4095 bytes)");
        *ret = pattern;
        return 0;
}

int value_host_path(struct loader *l, const struct yaml_node *node, const char *what, char **ret) {
        char *text;
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        if (text[0] == '/') {
                *ret = text;
                return 0;
        }
        struct strbuf b = {};
        strbuf_printf(&b, "%s/%s", l->layer->folder, text);
        if (!b.failed)
                *ret = arena_copy(l->arena, b.text, b.length);
        r = b.failed || !*ret ? -ENOMEM : 0;
        strbuf_done(&b);
        return r;
}

int value_bool(struct loader *l, const struct yaml_node *node, const char *what, bool *ret) {
        if (node->type == YAML_SCALAR && node->plain) {
                if (str_equal(node->text, "true") || str_equal(node->text, "True") || str_equal(node->text, "TRUE")) {
                        *ret = true;
                        return 0;
                }
                if (str_equal(node->text, "false") || str_equal(node->text, "False") || str_equal(node->text, "FALSE")) {
                        *ret = false;
                        return 0;
                }
        }
        return wrong_type(l, node, what, "true or false");
}

int value_word(struct loader *l, const struct yaml_node *node, const char *what, const char *const *words, size_t n, size_t *ret) {
        char *text, hint[128];
        struct strbuf all = {};
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (strcmp(words[i], text) == 0) {
                        *ret = i;
                        return 0;
                }
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
        _cleanup_free_ char *word = str_escape(text), *list = strbuf_take(&all);
        return ERROR(l, node->place, "%s: expected %s, found `%.80s`%s", what, list ? list : "", word ? word : "",
                     hint_nearest(text, words, n, hint));
}

int value_number(struct loader *l, const struct yaml_node *node, const char *what, uint64_t min, uint64_t max, uint64_t *ret) {
        char *text, *end;
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        errno = 0;
        bool hex = str_starts(text, "0x");
        uint64_t n = strtoull(hex ? text + 2 : text, &end, hex ? 16 : 10);
        const char *first = hex ? text + 2 : text;
        if (*first < '0' || *end || (*first > '9' && !hex) || errno == ERANGE || n < min || n > max) {
                _cleanup_free_ char *word = str_escape(text);
                return ERROR(l, node->place, "%s: expected a whole number from %" PRIu64 " to %" PRIu64 ", found `%.80s`", what, min, max,
                             word ? word : "");
        }
        *ret = n;
        return 0;
}

int value_size(struct loader *l, const struct yaml_node *node, const char *what, uint64_t *ret) {
        char *text;
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        r = str_parse_size(text, ret);
        if (r >= 0 && *ret > 0 && *ret <= INT64_MAX)
                return 0;
        return wrong_type(l, node, what, r == -ERANGE || (r >= 0 && *ret > 0) ? "a smaller size" : "a size (4096, 64K, 512M, 2G)");
}

int value_time(struct loader *l, const struct yaml_node *node, const char *what, uint64_t *ret) {
        char *text;
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        r = str_parse_time(text, ret);
        if (r >= 0 && *ret > 0 && *ret <= INT64_MAX)
                return 0;
        return wrong_type(l, node, what, r == -ERANGE || (r >= 0 && *ret > 0) ? "a shorter time" : "a time (30s, 10m, 2h)");
}
