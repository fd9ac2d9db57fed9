/*
 * Changes, for people and as JSON.
 */
#include <inttypes.h>
#include <json-c/json.h>

#include "changes.h"
#include "str.h"

static const char *type_name(mode_t mode) {
        switch (mode & S_IFMT) {
        case S_IFREG: return "file";
        case S_IFDIR: return "directory";
        case S_IFLNK: return "link";
        case S_IFIFO: return "fifo";
        case S_IFSOCK: return "socket";
        case S_IFCHR:
        case S_IFBLK: return "device";
        default: return "unknown";
        }
}

/* What a person would take for the object: of one that is gone, what it was. */
static const struct stat *shown(const struct change *change) {
        return change->kind == CHANGE_DELETED || !change->upper.st_mode ? &change->lower : &change->upper;
}

static const char letters[] = { [CHANGE_NONE] = ' ', [CHANGE_ADDED] = 'A', [CHANGE_MODIFIED] = 'M', [CHANGE_DELETED] = 'D' };

char *change_path(const struct layers *layers, const struct change *change) {
        const char *top = layers->list[change->layer].path;

        return path_join(str_equal(top, "/") && change->path[0] ? "" : top, change->path);
}

static void add_sizes(struct strbuf *b, const struct change *change) {
        char now[32], before[32];
        const struct stat *u = &change->upper, *l = &change->lower;

        str_format_size(u->st_size, now, sizeof(now));
        str_format_size(change->lower_size, before, sizeof(before));
        switch (change->kind) {
        case CHANGE_ADDED:
                if (S_ISREG(u->st_mode))
                        strbuf_printf(b, "  %s", now);
                return;
        case CHANGE_DELETED:
                if (S_ISREG(l->st_mode) || S_ISDIR(l->st_mode))
                        strbuf_printf(b, "  %s", before);
                return;
        default: break;
        }
        if (!u->st_mode || !l->st_mode)
                return;
        if ((u->st_mode & S_IFMT) != (l->st_mode & S_IFMT))
                strbuf_printf(b, "  %s → %s", type_name(l->st_mode), type_name(u->st_mode));
        else if (S_ISREG(u->st_mode) && u->st_size != l->st_size)
                strbuf_printf(b, "  %s → %s", before, now);
        else if (S_ISREG(u->st_mode))
                strbuf_printf(b, "  %s", now);
        if ((u->st_mode & S_IFMT) == (l->st_mode & S_IFMT) && !S_ISLNK(u->st_mode) && (u->st_mode & 07777) != (l->st_mode & 07777))
                strbuf_printf(b, "  mode %03o → %03o", l->st_mode & 07777, u->st_mode & 07777);
        if (u->st_uid != l->st_uid || u->st_gid != l->st_gid)
                strbuf_printf(b, "  owner %u:%u → %u:%u", l->st_uid, l->st_gid, u->st_uid, u->st_gid);
}

void change_print(const struct layers *layers, const struct change *change, FILE *to) {
        _cleanup_free_ char *path = change_path(layers, change);
        struct strbuf b = {};

        strbuf_printf(&b, "%c  ", letters[change->kind]);
        if (path)
                strbuf_escape(&b, path, strlen(path));
        if (S_ISDIR(shown(change)->st_mode) && !str_equal(path, "/"))
                strbuf_puts(&b, "/");
        add_sizes(&b, change);
        if (change->left_out && layers->path)
                strbuf_printf(&b, "  (commit leaves it out: %s)", change->left_out);
        _cleanup_free_ char *text = strbuf_take(&b);
        if (text)
                fprintf(to, "%s\n", text);
}

void changes_print(const struct layers *layers, const struct changes *changes, FILE *to) {
        for (size_t i = 0; i < changes->n; i++)
                if (changes->list[i].kind != CHANGE_NONE)
                        change_print(layers, &changes->list[i], to);
}

static void count(const struct changes *changes, size_t n[4]) {
        for (size_t i = 0; i < changes->n; i++)
                n[changes->list[i].kind]++;
}

char *changes_count(const struct changes *changes) {
        size_t n[4] = {};
        char *text;

        count(changes, n);
        return asprintf(&text, "%zu added, %zu modified, %zu deleted", n[CHANGE_ADDED], n[CHANGE_MODIFIED], n[CHANGE_DELETED]) < 0 ? NULL
                                                                                                                                   : text;
}

static void add_text(struct json_object *o, const char *name, const char *text) {
        json_object_object_add(o, name, json_object_new_string(text));
}

static void add_number(struct json_object *o, const char *name, uint64_t number) {
        json_object_object_add(o, name, json_object_new_uint64(number));
}

struct json_object *change_json(const struct layers *layers, const struct change *change) {
        const char letter[2] = { letters[change->kind] };
        _cleanup_free_ char *path = change_path(layers, change);
        struct json_object *o = json_object_new_object();
        const struct stat *u = &change->upper, *l = &change->lower;

        add_text(o, "change", letter);
        add_text(o, "path", path ?: "");
        add_text(o, "type", type_name(shown(change)->st_mode));
        if (change->kind != CHANGE_DELETED && S_ISREG(u->st_mode))
                add_number(o, "size", u->st_size);
        if (change->kind != CHANGE_DELETED && u->st_mode && !S_ISLNK(u->st_mode))
                add_number(o, "mode", u->st_mode & 07777);
        if (l->st_mode) {
                add_text(o, "old_type", type_name(l->st_mode));
                if (S_ISREG(l->st_mode) || change->lower_size > 0)
                        add_number(o, "old_size", change->lower_size);
                if (!S_ISLNK(l->st_mode))
                        add_number(o, "old_mode", l->st_mode & 07777);
        }
        if (change->left_out && layers->path)
                add_text(o, "left_out", change->left_out);
        return o;
}

char *changes_json(const struct layers *layers, const struct changes *changes) {
        struct json_object *o = json_object_new_object(), *list = json_object_new_array();
        size_t n[4] = {};
        struct strbuf b = {};

        count(changes, n);
        for (size_t i = 0; i < changes->n; i++)
                if (changes->list[i].kind != CHANGE_NONE)
                        json_object_array_add(list, change_json(layers, &changes->list[i]));
        json_object_object_add(o, "changes", list);
        add_number(o, "added", n[CHANGE_ADDED]);
        add_number(o, "modified", n[CHANGE_MODIFIED]);
        add_number(o, "deleted", n[CHANGE_DELETED]);
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (text)
                strbuf_escape_json(&b, text, strlen(text));
        strbuf_puts(&b, "\n");
        json_object_put(o);
        return strbuf_take(&b);
}
