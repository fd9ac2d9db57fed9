/*
 * The folder that keeps layers: whose it is, what its manifest says, and that nobody else uses it.
 *
 * The manifest names directories of the host that a commit changes, with the inode numbers of those directories and of the layers' own
 * folders: a folder that was made elsewhere, unpacked from an archive or restored, names none that are right, and isn't taken.
 */
#include "layers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

#include "fd.h"
#include "json_member.h"
#include "message.h"
#include "str.h"
#include "sys.h"

#define MANIFEST_MAX (1U << 20)
#define VERSION 1

static int open_folder(const char *path, bool exclusive, struct layers *layers) {
        char link[32], real[PATH_MAX];

        layers->path = strdup(path);
        layers->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!layers->path)
                return -ENOMEM;
        if (layers->directory < 0)
                return layers_refuse(layers, -errno, "can't be opened: %s", strerror(errno));
        snprintf(link, sizeof(link), "/proc/self/fd/%d", layers->directory);
        ssize_t n = readlink(link, real, sizeof(real) - 1);
        if (n <= 0 || n == sizeof(real) - 1 || real[0] != '/')
                return layers_refuse(layers, -EINVAL, "has no path that could be found out");
        real[n] = 0;
        free(layers->path);
        layers->path = strdup(real);
        if (!layers->path)
                return -ENOMEM;
        int r = layers_check_owner(layers);
        if (r < 0)
                return r;
        /* Those inside hold it, too, until the last one is dead. */
        if (flock(layers->directory, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) >= 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return layers_refuse(layers, -errno, "can't be locked: %s", strerror(errno));
        if (exclusive)
                return layers_refuse(layers, -EBUSY, "is in use by a sandbox or another sandboxctl; wait until that has ended");
        message_note("a sandbox is using these layers: they may change");
        return 0;
}

/* ---- The manifest ---- */

static int read_layer(struct json_object *o, struct layer *ret) {
        struct json_object *path = json_member(o, "path", json_type_string), *inode = json_member(o, "inode", json_type_int),
                           *folder = json_member(o, "folder", json_type_int);

        *ret = (struct layer) { .upper = -1, .lower = -1 };
        if (!path || !inode || !folder || json_object_get_string(path)[0] != '/')
                return -EINVAL;
        ret->inode = json_object_get_uint64(inode);
        ret->folder = json_object_get_uint64(folder);
        ret->path = strdup(json_object_get_string(path));
        return ret->path ? 0 : -ENOMEM;
}

static int read_time(const char *text, struct timespec *ret) {
        intmax_t seconds;
        long nanoseconds;

        if (sscanf(text, "%" SCNdMAX ".%9ld", &seconds, &nanoseconds) != 2 || seconds <= 0 || nanoseconds < 0)
                return -EINVAL;
        *ret = (struct timespec) { .tv_sec = seconds, .tv_nsec = nanoseconds };
        return 0;
}

static int read_members(struct json_object *o, struct layers *layers) {
        struct json_object *version = json_member(o, "version", json_type_int), *list = json_member(o, "layers", json_type_array),
                           *started = json_member(o, "started", json_type_string), *policy = json_member(o, "policy", json_type_string);
        int r;

        if (!version || !list || !started || !policy)
                return -EINVAL;
        if (json_object_get_int(version) != VERSION)
                return layers_refuse(layers, -EPROTO, "was made by another version of sandboxctl (its manifest is version %d, not %d)",
                                     json_object_get_int(version), VERSION);
        if ((r = read_time(json_object_get_string(started), &layers->started)) < 0)
                return r;
        size_t n = json_object_array_length(list);
        layers->policy = strdup(json_object_get_string(policy));
        layers->list = calloc(n + 1, sizeof(*layers->list));
        if (!layers->policy || !layers->list)
                return -ENOMEM;
        for (; layers->n < n; layers->n++)
                if ((r = read_layer(json_object_array_get_idx(list, layers->n), &layers->list[layers->n])) < 0)
                        return r;
        return 0;
}

/* -ENOENT: there is none, and nothing was said. */
static int manifest_read(struct layers *layers) {
        _cleanup_close_ int fd = openat(layers->directory, "manifest", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        int r = fd < 0 ? -errno : fd_read_file(fd, MANIFEST_MAX, &text, &size);
        if (r < 0)
                return layers_refuse(layers, r, "has a manifest that can't be read: %s", strerror(-r));
        struct json_object *o = json_tokener_parse(text);
        r = o ? read_members(o, layers) : -EINVAL;
        json_object_put(o);
        if (r == -EINVAL)
                layers_refuse(layers, r, "has a manifest that is none of sandboxctl's");
        return r;
}

static char *manifest_text(const struct layers *layers) {
        struct json_object *o = json_object_new_object(), *list = json_object_new_array();
        char started[64];

        snprintf(started, sizeof(started), "%jd.%09ld", (intmax_t) layers->started.tv_sec, layers->started.tv_nsec);
        json_object_object_add(o, "version", json_object_new_int(VERSION));
        json_object_object_add(o, "policy", json_object_new_string(layers->policy));
        json_object_object_add(o, "started", json_object_new_string(started));
        for (size_t i = 0; i < layers->n; i++) {
                struct json_object *layer = json_object_new_object();
                json_object_object_add(layer, "path", json_object_new_string(layers->list[i].path));
                json_object_object_add(layer, "inode", json_object_new_uint64(layers->list[i].inode));
                json_object_object_add(layer, "folder", json_object_new_uint64(layers->list[i].folder));
                json_object_array_add(list, layer);
        }
        json_object_object_add(o, "layers", list);
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
        char *copy = text ? strdup(text) : NULL;
        json_object_put(o);
        return copy;
}

static int manifest_write(const struct layers *layers) {
        _cleanup_free_ char *text = manifest_text(layers);
        _cleanup_close_ int fd = openat(layers->directory, "manifest.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r = !text ? -ENOMEM : fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));

        if (r >= 0 && renameat(layers->directory, "manifest.new", layers->directory, "manifest") < 0)
                r = -errno;
        return r < 0 ? layers_refuse(layers, r, "can't be written to: %s", strerror(-r)) : 0;
}

/* ---- The layers in it ---- */

static int open_number(const struct layers *layers, size_t i) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", i);
        return openat(layers->directory, number, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens the two sides of a layer. What isn't the object that it was made for is an error. */
static int open_sides(const struct layers *layers, size_t i) {
        struct layer *layer = &layers->list[i];
        _cleanup_free_ char *path = str_escape(layer->path);
        _cleanup_close_ int folder = open_number(layers, i);
        struct stat st;

        if (folder < 0 || fstat(folder, &st) < 0)
                return layers_refuse(layers, -errno, "lacks its folder %zu: %s", i, strerror(errno));
        if (st.st_ino != layer->folder)
                return layers_refuse(layers, -ESTALE, "is a copy: it can only be used where it was made");
        layer->upper = openat(folder, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (layer->upper < 0 && errno != ENOENT)
                return layers_refuse(layers, -errno, "has a layer that can't be opened: %s", strerror(errno));
        layer->lower = sys_openat2(AT_FDCWD, layer->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
        if (layer->lower < 0 || fstat(layer->lower, &st) < 0)
                return layers_refuse(layers, -errno, "has a layer for %s, which can't be opened: %s", path, strerror(errno));
        if (st.st_ino != layer->inode)
                return layers_refuse(layers, -ESTALE, "has a layer for %s, and there is another directory by now", path);
        int r = since_load(layer, folder);
        return r < 0 ? layers_refuse(layers, r, "has a list of times, %zu/since, that can't be read: %s", i, strerror(-r)) : 0;
}

int layers_open(const char *directory, bool exclusive, struct layers *ret) {
        struct layers layers = { .directory = -1 };
        int r = open_folder(directory, exclusive, &layers);

        if (r >= 0 && (r = manifest_read(&layers)) == -ENOENT)
                layers_refuse(&layers, r, "has no manifest: it isn't one that sandboxctl exec --overlay keep=DIR has made");
        for (size_t i = 0; r >= 0 && i < layers.n; i++)
                r = open_sides(&layers, i);
        if (r < 0) {
                layers_done(&layers);
                return r;
        }
        *ret = layers;
        return 0;
}

/* ---- For a run ---- */

static size_t overlays(const struct plan *plan, const struct node *ret[]) {
        size_t n = 0;

        for (size_t i = 0; i < plan->n_nodes; i++)
                if (plan->nodes[i].kind == NODE_OVERLAY) {
                        if (ret)
                                ret[n] = &plan->nodes[i];
                        n++;
                }
        return n;
}

/* The layers of a plan's overlays, none of them opened yet. */
static int list_plan(const struct plan *plan, struct layers *layers) {
        size_t n = overlays(plan, NULL);
        _cleanup_free_ const struct node **nodes = calloc(n + 1, sizeof(*nodes));

        layers->list = calloc(n + 1, sizeof(*layers->list));
        if (!nodes || !layers->list)
                return -ENOMEM;
        overlays(plan, nodes);
        for (; layers->n < n; layers->n++) {
                layers->list[layers->n] = (struct layer) { .upper = -1, .lower = -1, .path = strdup(nodes[layers->n]->source) };
                if (!layers->list[layers->n].path)
                        return -ENOMEM;
        }
        return 0;
}

static int make_layer(struct layers *layers, size_t i) {
        struct layer *layer = &layers->list[i];
        char number[24];
        struct stat st;

        snprintf(number, sizeof(number), "%zu", i);
        if (mkdirat(layers->directory, number, 0700) < 0)
                return layers_refuse(layers, -errno, "can't be written to: %s", strerror(errno));
        if (fstatat(layers->directory, number, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        layer->folder = st.st_ino;
        layer->lower = sys_openat2(AT_FDCWD, layer->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
        if (layer->lower < 0 || fstat(layer->lower, &st) < 0) {
                _cleanup_free_ char *path = str_escape(layer->path);
                message_fail("%s can't be read, so that there can be no layer above it: %s", path, strerror(errno));
                return -errno;
        }
        layer->inode = st.st_ino;
        return 0;
}

static int make_new(struct layers *layers, const struct plan *plan) {
        _cleanup_(names_done) struct names names = {};
        int r = names_read(layers->directory, &names);

        if (r < 0)
                return layers_refuse(layers, r, "can't be read: %s", strerror(-r));
        if (names.n > 0)
                return layers_refuse(layers, -ENOTEMPTY,
                                     "has other things in it and no manifest; name an empty folder, or one that doesn't exist");
        if ((r = layers_check_file_system(layers)) < 0 || (r = list_plan(plan, layers)) < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < layers->n; i++)
                r = make_layer(layers, i);
        for (size_t i = 0; r < 0 && i < layers->n; i++) {
                char number[24];
                snprintf(number, sizeof(number), "%zu", i);
                (void) unlinkat(layers->directory, number, AT_REMOVEDIR);
        }
        return r;
}

/* A folder with layers in it already: they must be those of the plan. */
static int take_up(struct layers *layers, const struct plan *plan) {
        _cleanup_(layers_done) struct layers wanted = { .directory = -1 };
        int r = list_plan(plan, &wanted);

        if (r < 0)
                return r;
        for (size_t i = 0; i < wanted.n || i < layers->n; i++) {
                if (i < wanted.n && i < layers->n && str_equal(wanted.list[i].path, layers->list[i].path))
                        continue;
                _cleanup_free_ char *want = str_escape(i < wanted.n ? wanted.list[i].path : "none");
                _cleanup_free_ char *have = str_escape(i < layers->n ? layers->list[i].path : "none");
                return layers_refuse(layers, -EINVAL,
                                     "has layers for other directories: its layer %zu is for %s, and this run's for %s; name another", i,
                                     have, want);
        }
        for (size_t i = 0; i < layers->n; i++) {
                if ((r = open_sides(layers, i)) < 0)
                        return r;
                _cleanup_close_ int folder = open_number(layers, i);
                if (layers->list[i].upper >= 0 && (r = since_settle(&layers->list[i], folder, &layers->started)) < 0)
                        return layers_refuse(layers, r, "can't be written to: %s", strerror(-r));
        }
        return 0;
}

/* The time that separates what was there before the run from what was changed during it. Times of files come from a clock that ticks: the
 * run begins with the next tick. */
static struct timespec next_tick(void) {
        const struct timespec millisecond = { .tv_nsec = 1000000 };
        struct timespec now, tick;

        clock_gettime(CLOCK_REALTIME, &now);
        do {
                nanosleep(&millisecond, NULL);
                clock_gettime(CLOCK_REALTIME_COARSE, &tick);
        } while (tick.tv_sec < now.tv_sec || (tick.tv_sec == now.tv_sec && tick.tv_nsec <= now.tv_nsec));
        return now;
}

int layers_prepare(const char *directory, const struct plan *plan, const char *policy, struct layers *ret) {
        struct layers layers = { .directory = -1 };

        if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
                _cleanup_free_ char *path = str_escape(directory);
                int error = errno;
                message_fail("the layers' folder %s can't be made: %s", path, strerror(error));
                return -error;
        }
        int r = open_folder(directory, true, &layers);
        if (r >= 0)
                r = layers_check_place(&layers, plan);
        if (r >= 0 && (r = manifest_read(&layers)) == -ENOENT)
                r = make_new(&layers, plan);
        else if (r >= 0)
                r = take_up(&layers, plan);
        if (r >= 0) {
                free(layers.policy);
                layers.policy = strdup(policy);
                layers.started = next_tick();
                r = layers.policy ? manifest_write(&layers) : -ENOMEM;
        }
        if (r < 0) {
                layers_done(&layers);
                return r;
        }
        *ret = layers;
        return 0;
}

int layers_of_run(const struct plan *plan, int directory, struct layers *ret) {
        struct layers layers = { .directory = fcntl(directory, F_DUPFD_CLOEXEC, 3) };
        int r = layers.directory < 0 ? -errno : list_plan(plan, &layers);

        for (size_t i = 0; r >= 0 && i < layers.n; i++) {
                struct layer *layer = &layers.list[i];
                _cleanup_close_ int folder = open_number(&layers, i);
                layer->upper = folder < 0 ? -1 : openat(folder, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                layer->lower = sys_openat2(AT_FDCWD, layer->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
                if (layer->upper < 0 || layer->lower < 0) {
                        _cleanup_free_ char *path = str_escape(layer->path);
                        r = -errno;
                        message_fail("what was changed in %s can't be read: %s", path, strerror(-r));
                }
        }
        if (r < 0) {
                layers_done(&layers);
                return r;
        }
        *ret = layers;
        return 0;
}

void layers_finish(const struct layers *layers) {
        for (size_t i = 0; i < layers->n; i++) {
                _cleanup_close_ int folder = open_number(layers, i);
                _cleanup_close_ int work = folder < 0 ? -1 : open_below(folder, "work/work", O_PATH | O_DIRECTORY);
                char path[32];
                snprintf(path, sizeof(path), "/proc/self/fd/%d", work);
                /* Where it can't be done, rm has to be told twice; nothing else depends on it. */
                if (work >= 0 && chmod(path, 0700) < 0)
                        continue;
        }
}

void layers_done(struct layers *layers) {
        for (size_t i = 0; i < layers->n; i++) {
                struct layer *layer = &layers->list[i];
                fd_close(layer->upper);
                fd_close(layer->lower);
                free(layer->path);
                since_done(layer);
        }
        free(layers->list);
        free(layers->policy);
        free(layers->path);
        fd_close(layers->directory);
        *layers = (struct layers) { .directory = -1 };
}
