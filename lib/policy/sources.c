/*
 * Finding and opening policy files. Whether a file may be a policy at all is decided on the opened descriptor, before any of its content is
 * read: what a message shows of it can then only be a policy's text.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "folders.h"
#include "load.h"
#include "str.h"

#define SOURCES_MAX 64
#define EXTENDS_DEPTH_MAX 16

/* Where we are in the chain of `extends`. */
struct chain {
        const struct chain *below;
        const char *file;
        dev_t dev;
        ino_t ino;
        unsigned depth;
};

bool policy_name_valid(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

        if (name[n] != 0 || n < 1 || n > 63 || name[0] == '_' || name[0] == '.' || name[0] == '-')
                return false;
        return n < 5 || (strcmp(name + n - 5, ".yaml") != 0 && (strcmp(name + n - 4, ".yml") != 0));
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

struct found_name {
        char *name, *file;
};

static int compare_found(const void *a, const void *b) {
        return compare_names(&((const struct found_name *) a)->name, &((const struct found_name *) b)->name);
}

static int found_add(struct arena *arena, struct found_name **list, size_t *n, const char *folder, const char *entry) {
        size_t length = strlen(entry);
        char path[PATH_MAX];

        if (length <= 5 || strcmp(entry + length - 5, ".yaml") != 0 || length - 5 > 63)
                return 0;
        char *name = arena_copy(arena, entry, length - 5);
        if (!name)
                return -ENOMEM;
        if (!policy_name_valid(name))
                return 0;
        for (size_t i = 0; i < *n; i++)
                if (strcmp((*list)[i].name, name) == 0)
                        return 0;
        struct found_name *f = arena_push(arena, list, n, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->name = name;
        if ((size_t) snprintf(path, sizeof(path), "%s/%s", folder, entry) >= sizeof(path))
                path[0] = 0;
        f->file = arena_strdup(arena, path);
        return f->file ? 0 : -ENOMEM;
}

/* One block: the array, ended by NULL, then the texts. */
static char **list_make(const struct found_name *found, size_t n, bool files) {
        size_t size = (n + 1) * sizeof(char *);

        for (size_t i = 0; i < n; i++)
                size += strlen(files ? found[i].file : found[i].name) + 1;
        char **list = calloc(1, size);
        if (!list)
                return NULL;
        char *to = (char *) (list + n + 1);
        for (size_t i = 0; i < n; i++) {
                list[i] = to;
                to = stpcpy(to, files ? found[i].file : found[i].name) + 1;
        }
        return list;
}

int policy_names(const char *const *folders, size_t n_folders, char ***ret_names, char ***ret_files, size_t *ret_n) {
        _cleanup_(arena_done) struct arena arena = {};
        struct found_name *found = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < n_folders; i++) {
                DIR *dir = folders[i] ? opendir(folders[i]) : NULL;
                if (!dir)
                        continue;
                for (struct dirent *e; r >= 0 && (e = readdir(dir));)
                        r = found_add(&arena, &found, &n, folders[i], e->d_name);
                closedir(dir);
                if (r < 0)
                        return r;
        }
        if (n > 0)
                qsort(found, n, sizeof(*found), compare_found);
        _cleanup_free_ char **names = list_make(found, n, false);
        char **files = ret_files ? list_make(found, n, true) : NULL;
        if (!names || (ret_files && !files)) {
                free(files);
                return -ENOMEM;
        }
        *ret_names = TAKE_PTR(names);
        if (ret_files)
                *ret_files = files;
        *ret_n = n;
        return 0;
}

/* ---- Opening ---- */

enum {
        SOURCE_FOLLOW = 1 << 0,  /* the last component may be a link */
        SOURCE_TRUSTED = 1 << 1, /* whoever owns it and may write to it */
};

static int check_owner(struct loader *l, int fd, const char *shown, unsigned how, struct place place, const struct stat *st) {
        if (!S_ISREG(st->st_mode))
                return ERROR(l, place, "%s is not a regular file", shown);
        if (how & SOURCE_TRUSTED)
                return 0;
        if (!policy_owner_trusted(fd, st->st_uid, l->request->uid))
                return ERROR(l, place, "%s is refused: it belongs to uid %u, and a policy must belong to you or to root", shown,
                             st->st_uid);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return ERROR(l, place, "%s is refused: others may write to it (mode %04o); chmod go-w it", shown, st->st_mode & 07777);
        return 0;
}

/* What two layers extend applies once, where it is named first: else the second time it would undo what the first one changed, and a
 * chain of doubled names would take exponential time. */
static bool already_loaded(const struct loader *l, const struct layer *layer) {
        for (size_t i = 0; i < l->n_layers; i++)
                if (l->layers[i].dev == layer->dev && l->layers[i].ino == layer->ino)
                        return true;
        return false;
}

/* Opens, checks and reads a file; only opens and checks one that was loaded before. -ENOENT, with nothing reported, where there is none. */
static int read_source(struct loader *l, const char *path, unsigned how, struct place place, struct layer *layer) {
        _cleanup_free_ char *shown = str_escape(path), *text = NULL;
        char link[64], real[PATH_MAX];
        struct stat st;
        size_t size;

        if (!shown)
                return -ENOMEM;
        /* O_NONBLOCK: a FIFO must not hold us. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (how & SOURCE_FOLLOW ? 0 : O_NOFOLLOW));
        if (fd < 0) {
                if (errno == ENOENT || errno == ENOTDIR)
                        return -ENOENT;
                if (errno == ELOOP && !(how & SOURCE_FOLLOW))
                        return ERROR(l, place, "%s is a symbolic link; name the policy file itself", shown);
                return ERROR(l, place, "%s can't be opened: %s", shown, strerror(errno));
        }
        if (fstat(fd, &st) < 0)
                return -errno;
        int r = check_owner(l, fd, shown, how, place, &st);
        if (r < 0)
                return r;
        layer->file = arena_strdup(l->arena, path);
        if (!layer->file)
                return -ENOMEM;
        layer->dev = st.st_dev;
        layer->ino = st.st_ino;
        if (already_loaded(l, layer))
                return 0;
        r = fd_read_file(fd, DOCUMENT_SIZE_MAX, &text, &size);
        if (r == -ENOMEM)
                return r;
        if (r == -EFBIG)
                return ERROR(l, place, "%s is too large for a policy (1M at most)", shown);
        if (r < 0)
                return ERROR(l, place, "%s can't be read: %s", shown, strerror(-r));

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, real, sizeof(real) - 1);
        if (n < 0)
                return ERROR(l, place, "%s: /proc doesn't say where it lies: %s", shown, strerror(errno));
        char **source = arena_push(l->arena, &l->policy->sources, &l->policy->n_sources, sizeof(*source));
        if (!source || !(*source = arena_copy(l->arena, real, n)))
                return -ENOMEM;
        layer->folder = arena_copy(l->arena, *source, strrchr(*source, '/') - *source);
        if (!layer->folder)
                return -ENOMEM;
        policy_report_keep(l->report, layer->file, text, size);
        return document_parse(l->arena, layer->file, text, size, &layer->top, l->report);
}

/* ---- Names ---- */

static int unknown_name(struct loader *l, const char *name, struct place place) {
        const struct policy_request *q = l->request;
        _cleanup_free_ char **names = NULL;
        char hint[128] = "";
        size_t n = 0, length = strlen(name);
        _cleanup_free_ char *word = str_escape(name);

        if ((length > 5 && strcmp(name + length - 5, ".yaml") == 0) || (length > 4 && strcmp(name + length - 4, ".yml") == 0)) {
                policy_report_add(l->report, false, place,
                                  "a word without a / is a policy's name, and `%.200s` can be none; for the file write ./%.200s",
                                  word ? word : "", word ? word : "");
                return -ENOENT;
        }
        if (policy_names(q->folders, q->n_folders, &names, NULL, &n) >= 0)
                hint_nearest(name, (const char *const *) names, n, hint);
        policy_report_add(l->report, false, place, "there is no policy `%.200s`%s", word ? word : "",
                          hint[0] ? hint : "; `sandboxctl policy list` lists them, and a file is named with a / (./x.yaml)");
        return -ENOENT;
}

static int read_named(struct loader *l, const char *name, struct place place, struct layer *layer) {
        char path[PATH_MAX];

        if (!policy_name_valid(name))
                return unknown_name(l, name, place);
        for (size_t i = 0; i < l->request->n_folders; i++) {
                if (!l->request->folders[i] || !l->request->folders[i][0] ||
                    (size_t) snprintf(path, sizeof(path), "%s/%s.yaml", l->request->folders[i], name) >= sizeof(path))
                        continue;
                bool trusted = l->request->trust_last && i + 1 == l->request->n_folders;
                int r = read_source(l, path, SOURCE_FOLLOW | (trusted ? SOURCE_TRUSTED : 0), place, layer);
                if (r != -ENOENT)
                        return r;
        }
        return unknown_name(l, name, place);
}

/* A file by path. What is reached through `extends` must look like a policy by its name as well: else a policy from elsewhere could have the
 * lines of any root-owned file shown by the errors in it. */
static int read_path(struct loader *l, const char *path, const char *folder, struct place place, struct layer *layer) {
        char full[PATH_MAX];
        size_t n = strlen(path);
        int length;
        _cleanup_free_ char *word = str_escape(path);

        if (folder && !(n > 5 && strcmp(path + n - 5, ".yaml") == 0) && !(n > 4 && strcmp(path + n - 4, ".yml") == 0))
                return ERROR(l, place, "extends: `%.200s` is refused unread; a policy file's name ends in .yaml", word ? word : "");
        if (path[0] == '/')
                length = snprintf(full, sizeof(full), "%s", path);
        else if (folder || str_starts(path, "./") || str_starts(path, "../") || !l->request->cwd)
                length = snprintf(full, sizeof(full), folder ? "%s/%s" : "%s%s", folder ? folder : "", path);
        else
                length = snprintf(full, sizeof(full), "%s", path);
        if ((size_t) length >= sizeof(full))
                return ERROR(l, place, "the path of the policy is too long");
        int r = read_source(l, full, 0, place, layer);
        if (r == -ENOENT)
                policy_report_add(l->report, false, place, "there is no policy file `%.300s`", word ? word : "");
        return r;
}

/* ---- extends ---- */

static int report_cycle(struct loader *l, const struct chain *chain, const struct layer *layer, struct place place) {
        struct strbuf b = {};
        const struct chain *list[EXTENDS_DEPTH_MAX + 1];
        size_t n = 0;

        for (const struct chain *c = chain; c && n < ELEMENTSOF(list); c = c->below) {
                list[n++] = c;
                if (c->dev == layer->dev && c->ino == layer->ino)
                        break;
        }
        while (n > 0) {
                strbuf_escape(&b, list[n - 1]->file, strlen(list[n - 1]->file));
                strbuf_puts(&b, " → ");
                n--;
        }
        strbuf_escape(&b, layer->file, strlen(layer->file));
        _cleanup_free_ char *text = strbuf_take(&b);
        return ERROR(l, place, "extends goes in a circle: %s", text ? text : "");
}

static int load_source(struct loader *l, const char *what, const struct chain *chain, const char *folder, struct place place);

static int load_extends(struct loader *l, const struct layer *layer, const struct chain *chain) {
        const struct yaml_node *list = value_find(layer->top, "extends");
        int result = 0;

        if (!list)
                return 0;
        if (list->type != YAML_LIST)
                return ERROR(l, list->place, "extends: expected a list of policies (`[base, ./mine.yaml]`)");
        for (size_t i = 0; i < list->n; i++) {
                const struct yaml_node *item = list->items[i];
                int r;
                if (item->type != YAML_SCALAR || value_is_null(item) || item->length == 0)
                        r = ERROR(l, item->place, "extends: expected the name of a policy, or a path with a /");
                else if (strstr(item->text, "${"))
                        r = ERROR(l, item->place, "extends: variables can't be used here");
                else
                        r = load_source(l, item->text, chain, layer->folder, item->place);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = -EINVAL;
        }
        return result;
}

static int load_source(struct loader *l, const char *what, const struct chain *chain, const char *folder, struct place place) {
        struct layer layer = {};
        int r;

        if (l->policy->n_sources == SOURCES_MAX || (chain && chain->depth == EXTENDS_DEPTH_MAX))
                return ERROR(l, place, "too many policies are extended from one another (%d at most, %d deep)", SOURCES_MAX,
                             EXTENDS_DEPTH_MAX);
        if (strchr(what, '/'))
                r = read_path(l, what, folder, place, &layer);
        else
                r = read_named(l, what, place, &layer);
        if (r < 0)
                return r;
        for (const struct chain *c = chain; c; c = c->below)
                if (c->dev == layer.dev && c->ino == layer.ino)
                        return report_cycle(l, chain, &layer, place);
        if (already_loaded(l, &layer))
                return 0;

        if (!layer.top)
                return ERROR(l, ((struct place) { .file = layer.file, .line = 1, .column = 1 }),
                             "the file is empty; a policy begins with `version: 1`");
        struct chain here = {
                .below = chain, .file = layer.file, .dev = layer.dev, .ino = layer.ino, .depth = chain ? chain->depth + 1 : 1
        };
        r = load_extends(l, &layer, &here);
        if (r == -ENOMEM)
                return r;
        struct layer *slot = arena_push(l->arena, &l->layers, &l->n_layers, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = layer;
        return r;
}

int sources_load(struct loader *l) {
        struct place place = { .file = "--policy" };

        return load_source(l, l->request->policy, NULL, NULL, place);
}
