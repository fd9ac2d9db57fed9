#include "document.h"

#include <errno.h>
#include <yaml.h>

#include "str.h"

struct parse {
        struct arena *arena;
        struct policy_report *report;
        const char *file;
        yaml_parser_t parser;
        struct yaml_node *open[DOCUMENT_DEPTH_MAX];
        struct yaml_node *key[DOCUMENT_DEPTH_MAX]; /* MAP: the key whose value comes next */
        size_t depth, n_nodes;
        struct yaml_node **anchors;
        size_t n_anchors;
        struct yaml_node *top;
        bool failed, done;
};

static struct place mark_place(const struct parse *p, const yaml_mark_t *mark) {
        return (struct place) { .file = p->file, .line = mark->line + 1, .column = mark->column + 1 };
}

/* Nothing after a syntax error or a cap is worth reading. */
static int fatal(struct parse *p, struct place place, const char *text) {
        policy_report_add(p->report, false, place, "%s", text);
        p->failed = true;
        return -EINVAL;
}

/* ---- Bytes that are no text, found before libyaml sees them. ---- */

static bool utf8_valid(const unsigned char *c, size_t left, size_t *ret) {
        size_t n = c[0] < 0x80 ? 1 : c[0] >= 0xc2 && c[0] < 0xe0 ? 2 : (c[0] & 0xf0) == 0xe0 ? 3 : c[0] >= 0xf0 && c[0] < 0xf5 ? 4 : 0;

        if (n == 0 || n > left)
                return false;
        for (size_t i = 1; i < n; i++)
                if ((c[i] & 0xc0) != 0x80)
                        return false;
        if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf0 && c[1] < 0x90) ||
            (c[0] == 0xf4 && c[1] >= 0x90))
                return false;
        *ret = n;
        return true;
}

static int check_bytes(struct parse *p, const char *text, size_t size) {
        struct place place = { .file = p->file, .line = 1, .column = 1 };

        if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
                return fatal(p, place, "the file is UTF-16; a policy is UTF-8 text");
        for (size_t i = 0, n; i < size; i += n, place.column++) {
                unsigned char c = text[i];
                n = 1;
                if (c == '\n') {
                        place.line++;
                        place.column = 0;
                } else if (c == 0)
                        return fatal(p, place, "there is a NUL byte here; a policy is text");
                else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
                        return fatal(p, place, "there is a control character here; write it as an escape in double quotes, like \"\\x1b\"");
                else if (!utf8_valid((const unsigned char *) text + i, size - i, &n))
                        return fatal(p, place, "there is a byte here that isn't UTF-8");
        }
        return 0;
}

/* ---- Nodes ---- */

static struct yaml_node *node_new(struct parse *p, enum yaml_type type, struct place place) {
        if (++p->n_nodes > DOCUMENT_NODES_MAX) {
                fatal(p, place, "the file has too many entries (20000 at most, aliases counted where they are used)");
                return NULL;
        }
        struct yaml_node *node = arena_alloc(p->arena, sizeof(*node));
        if (node) {
                node->type = type;
                node->place = place;
        }
        return node;
}

static int node_append(struct parse *p, struct yaml_node ***list, size_t *n, struct yaml_node *node) {
        struct yaml_node **slot = arena_push(p->arena, list, n, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = node;
        return 0;
}

static int add_key(struct parse *p, struct yaml_node *map, struct yaml_node *key) {
        if (key->type != YAML_SCALAR)
                return fatal(p, key->place, "a key must be a single word or text, not a list or mapping");
        for (size_t i = 0; i < map->n_keys; i++)
                if (strcmp(map->keys[i]->text, key->text) == 0) {
                        _cleanup_free_ char *word = str_escape(key->text);
                        policy_report_add(p->report, false, key->place, "the key `%s` is here a second time; the first is in line %u",
                                          word ? word : "", map->keys[i]->place.line);
                        break;
                }
        if (map->n_keys == DOCUMENT_KEYS_MAX)
                return fatal(p, key->place, "a mapping has too many keys (2000 at most)");
        p->key[p->depth - 1] = key;
        return node_append(p, &map->keys, &map->n_keys, key);
}

/* Puts a finished scalar, or a list or mapping that begins, where it belongs. */
static int node_place(struct parse *p, struct yaml_node *node) {
        if (p->depth == 0) {
                p->top = node;
                return 0;
        }
        struct yaml_node *in = p->open[p->depth - 1];
        if (in->type == YAML_MAP && !p->key[p->depth - 1])
                return add_key(p, in, node);
        p->key[p->depth - 1] = NULL;
        return node_append(p, &in->items, &in->n, node);
}

static struct yaml_node *node_copy(struct parse *p, const struct yaml_node *from, struct place place, unsigned depth) {
        if (depth > DOCUMENT_DEPTH_MAX) {
                fatal(p, place, "lists and mappings are nested too deeply (16 levels at most)");
                return NULL;
        }
        struct yaml_node *node = node_new(p, from->type, place);
        if (!node)
                return NULL;
        node->plain = from->plain;
        node->text = from->text;
        node->length = from->length;
        node->keys = from->keys;
        node->n_keys = from->n_keys;
        for (size_t i = 0; i < from->n; i++) {
                struct yaml_node *item = node_copy(p, from->items[i], from->items[i]->place, depth + 1);
                if (!item || node_append(p, &node->items, &node->n, item) < 0)
                        return NULL;
        }
        return node;
}

static int add_alias(struct parse *p, const yaml_event_t *event) {
        const char *name = (const char *) event->data.alias.anchor;
        struct place place = mark_place(p, &event->start_mark);

        for (size_t i = p->n_anchors; i-- > 0;) {
                const struct yaml_node *target = p->anchors[i];
                if (!str_equal(target->anchor, name))
                        continue;
                for (size_t k = 0; k < p->depth; k++)
                        if (p->open[k] == target)
                                return fatal(p, place, "this alias stands inside of what it names");
                struct yaml_node *copy = node_copy(p, target, place, p->depth);
                if (!copy)
                        return p->failed ? -EINVAL : -ENOMEM;
                return node_place(p, copy);
        }
        return fatal(p, place, "nothing before this alias has an anchor of its name");
}

static int add_anchor(struct parse *p, struct yaml_node *node, const yaml_char_t *anchor) {
        if (!anchor)
                return 0;
        node->anchor = arena_strdup(p->arena, (const char *) anchor);
        return node->anchor ? node_append(p, &p->anchors, &p->n_anchors, node) : -ENOMEM;
}

static int refuse_tag(struct parse *p, const yaml_event_t *event) {
        return fatal(p, mark_place(p, &event->start_mark), "tags (words that begin with !) are not used in policies");
}

static int add_scalar(struct parse *p, const yaml_event_t *event) {
        struct place place = mark_place(p, &event->start_mark);

        if (event->data.scalar.tag)
                return refuse_tag(p, event);
        if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
                return fatal(p, place, "this text has a NUL character in it (\"\\0\")");
        struct yaml_node *node = node_new(p, YAML_SCALAR, place);
        if (!node)
                return p->failed ? -EINVAL : -ENOMEM;
        node->text = arena_copy(p->arena, (const char *) event->data.scalar.value, event->data.scalar.length);
        if (!node->text)
                return -ENOMEM;
        node->length = event->data.scalar.length;
        node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        int r = add_anchor(p, node, event->data.scalar.anchor);
        return r < 0 ? r : node_place(p, node);
}

static int open_node(struct parse *p, const yaml_event_t *event, enum yaml_type type, const yaml_char_t *tag, const yaml_char_t *anchor) {
        struct place place = mark_place(p, &event->start_mark);

        if (tag)
                return refuse_tag(p, event);
        if (p->depth == DOCUMENT_DEPTH_MAX)
                return fatal(p, place, "lists and mappings are nested too deeply (16 levels at most)");
        struct yaml_node *node = node_new(p, type, place);
        if (!node)
                return p->failed ? -EINVAL : -ENOMEM;
        int r = add_anchor(p, node, anchor);
        if (r >= 0)
                r = node_place(p, node);
        if (r < 0)
                return r;
        p->open[p->depth] = node;
        p->key[p->depth++] = NULL;
        return 0;
}

static int handle(struct parse *p, const yaml_event_t *event) {
        switch (event->type) {
        case YAML_DOCUMENT_START_EVENT:
                if (p->top)
                        return fatal(p, mark_place(p, &event->start_mark), "a second document begins here; a policy file holds one");
                return 0;
        case YAML_STREAM_END_EVENT: p->done = true; return 0;
        case YAML_ALIAS_EVENT: return add_alias(p, event);
        case YAML_SCALAR_EVENT: return add_scalar(p, event);
        case YAML_SEQUENCE_START_EVENT:
                return open_node(p, event, YAML_LIST, event->data.sequence_start.tag, event->data.sequence_start.anchor);
        case YAML_MAPPING_START_EVENT:
                return open_node(p, event, YAML_MAP, event->data.mapping_start.tag, event->data.mapping_start.anchor);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: p->depth--; return 0;
        default: return 0;
        }
}

static int syntax_error(struct parse *p) {
        const yaml_parser_t *y = &p->parser;
        struct place place = mark_place(p, &y->problem_mark);

        if (y->error == YAML_MEMORY_ERROR)
                return -ENOMEM;
        _cleanup_free_ char *problem = str_escape(y->problem ? y->problem : "unreadable");
        if (y->context && y->context_mark.line != y->problem_mark.line)
                policy_report_add(p->report, false, place, "not YAML: %s (%s that begins in line %zu)", problem ? problem : "", y->context,
                                  y->context_mark.line + 1);
        else if (y->context)
                policy_report_add(p->report, false, place, "not YAML: %s (%s)", problem ? problem : "", y->context);
        else
                policy_report_add(p->report, false, place, "not YAML: %s", problem ? problem : "");
        return -EINVAL;
}

int document_parse(struct arena *arena, const char *file, const char *text, size_t size, struct yaml_node **ret,
                   struct policy_report *report) {
        struct parse p = { .arena = arena, .report = report, .file = file };
        size_t before = report->n_errors;
        int r;

        if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
                text += 3;
                size -= 3;
        }
        r = check_bytes(&p, text, size);
        if (r < 0)
                return r;
        if (!yaml_parser_initialize(&p.parser))
                return -ENOMEM;
        yaml_parser_set_encoding(&p.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&p.parser, (const unsigned char *) text, size);
        while (r >= 0 && !p.done) {
                yaml_event_t event;
                if (!yaml_parser_parse(&p.parser, &event)) {
                        r = syntax_error(&p);
                        break;
                }
                r = handle(&p, &event);
                yaml_event_delete(&event);
        }
        yaml_parser_delete(&p.parser);
        if (r < 0)
                return r;
        if (report->n_errors > before)
                return -EINVAL;
        *ret = p.top;
        return 0;
}
