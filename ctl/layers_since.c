/*
 * Since when each entry has been in its layer: the beginning of the first run that found it there, or made it.
 *
 * An object below that was changed later than that isn't the one that the layer's was made from, as far as anybody can know. A file's own
 * time of birth in the layer would say less: an editor makes it anew each time it saves.
 *
 * `since` holds records "seconds.nanoseconds path NUL", sorted by path. What isn't in there belongs to the last run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "fd.h"
#include "layers.h"
#include "message.h"
#include "str.h"

#define SINCE_MAX (1U << 30)

struct since {
        struct timespec time;
        char *path;
};

static int compare(const void *a, const void *b) {
        return strcmp(((const struct since *) a)->path, ((const struct since *) b)->path);
}

static struct since *find(const struct layer *layer, const char *path) {
        const struct since key = { .path = (char *) path };

        return layer->n_since > 0 ? bsearch(&key, layer->since, layer->n_since, sizeof(key), compare) : NULL;
}

static int add(struct since **list, size_t *n, const char *path, const struct timespec *time) {
        if ((*n & (*n - 1)) == 0) {
                struct since *larger = reallocarray(*list, *n ? 2 * *n : 1, sizeof(*larger));
                if (!larger)
                        return -ENOMEM;
                *list = larger;
        }
        char *copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        (*list)[(*n)++] = (struct since) { .time = *time, .path = copy };
        return 0;
}

static void free_list(struct since *list, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(list[i].path);
        free(list);
}

void since_done(struct layer *layer) {
        free_list(layer->since, layer->n_since);
        layer->since = NULL;
        layer->n_since = 0;
}

struct timespec since_of(const struct layers *layers, const struct layer *layer, const char *path, bool in_upper) {
        const struct since *since = find(layer, path);
        _cleanup_free_ char *above = !since && !in_upper ? strdup(path) : NULL;

        /* What an opaque directory hides went when that directory came. */
        for (char *slash; !since && above && (slash = strrchr(above, '/'));) {
                *slash = 0;
                since = find(layer, above);
        }
        return since ? since->time : layers->started;
}

static int parse(struct layer *layer, const char *text, size_t size) {
        const char *end = text + size;
        int r = 0;

        while (text < end && r >= 0) {
                intmax_t seconds;
                long nanoseconds;
                int n = 0;
                if (sscanf(text, "%" SCNdMAX ".%9ld %n", &seconds, &nanoseconds, &n) < 2 || n == 0 || seconds <= 0)
                        return -EINVAL;
                const struct timespec time = { .tv_sec = seconds, .tv_nsec = nanoseconds };
                r = add(&layer->since, &layer->n_since, text + n, &time);
                text += strlen(text) + 1;
        }
        if (r >= 0 && layer->n_since > 0)
                qsort(layer->since, layer->n_since, sizeof(*layer->since), compare);
        return r;
}

int since_load(struct layer *layer, int folder) {
        _cleanup_close_ int fd = openat(folder, "since", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        int r = fd_read_file(fd, SINCE_MAX, &text, &size);
        if (r < 0)
                return r;
        r = parse(layer, text, size);
        if (r < 0)
                since_done(layer);
        return r;
}

static int collect(const struct layer *layer, const char *path, const struct timespec *last, struct since **list, size_t *n) {
        _cleanup_(names_done) struct names names = {};
        int directory = open_below(layer->upper, path, O_RDONLY | O_DIRECTORY);
        int r = directory < 0 ? -errno : names_read(directory, &names);

        fd_close(directory);
        /* A file in the place of a directory, or one that can't be read: it is an entry all the same. */
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                _cleanup_free_ char *name = path_join(path, names.list[i]);
                if (!name)
                        return -ENOMEM;
                const struct since *since = find(layer, name);
                r = add(list, n, name, since ? &since->time : last);
                if (r >= 0)
                        r = collect(layer, name, last, list, n);
        }
        return r;
}

static int write_list(int folder, const struct since *list, size_t n) {
        _cleanup_close_ int fd = openat(folder, "since.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        _cleanup_(strbuf_done) struct strbuf b = {};

        if (fd < 0)
                return -errno;
        for (size_t i = 0; i < n; i++) {
                strbuf_printf(&b, "%jd.%09ld ", (intmax_t) list[i].time.tv_sec, list[i].time.tv_nsec);
                strbuf_add(&b, list[i].path, strlen(list[i].path) + 1);
        }
        if (b.failed)
                return -ENOMEM;
        int r = fd_write_full(fd, b.text, b.length);
        if (r < 0)
                return r;
        return renameat(folder, "since.new", folder, "since") < 0 ? -errno : 0;
}

int since_settle(struct layer *layer, int folder, const struct timespec *last) {
        struct since *list = NULL;
        size_t n = 0;

        int r = collect(layer, "", last, &list, &n);
        if (r >= 0)
                r = write_list(folder, list, n);
        if (r < 0) {
                free_list(list, n);
                return r;
        }
        since_done(layer);
        layer->since = list;
        layer->n_since = n;
        if (n > 0)
                qsort(list, n, sizeof(*list), compare);
        return 0;
}
