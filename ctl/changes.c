/*
 * The walk through a layer, side by side with the directory below.
 *
 * The upper directory is an attacker's, the lower one may be changed by anybody at any time: each object is pinned before it is judged,
 * and each is found from the top without following links. What is found here is only good for showing; who applies it looks again.
 */
#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "sys.h"

static const char conflict[] = "it was changed there since the layer was made";

struct walk {
        const struct layers *layers;
        const struct layer *layer;
        size_t index;
        struct changes *changes;
};

/* What a directory of the layer stands over. */
struct over {
        bool merged; /* the same directory exists below */
        bool hidden; /* and nothing that is below shows */
};

static int visit_directory(struct walk *w, const char *path, struct over over);

static struct change *change_new(struct walk *w, const char *path) {
        struct changes *c = w->changes;

        if (c->n == c->room) {
                size_t room = c->room ? 2 * c->room : 64;
                struct change *list = reallocarray(c->list, room, sizeof(*list));
                if (!list)
                        return NULL;
                c->list = list;
                c->room = room;
        }
        char *copy = strdup(path);
        if (!copy)
                return NULL;
        c->list[c->n] = (struct change) { .layer = w->index, .path = copy };
        return &c->list[c->n++];
}

static bool newer(const struct stat *st, const struct timespec *since) {
        if (since->tv_sec == 0 || sys_unsafe("overlay-conflict"))
                return false;
        /* Of some file systems the clock has only seconds. */
        if (st->st_ctim.tv_nsec == 0)
                return st->st_ctim.tv_sec >= since->tv_sec;
        return st->st_ctim.tv_sec > since->tv_sec || (st->st_ctim.tv_sec == since->tv_sec && st->st_ctim.tv_nsec > since->tv_nsec);
}

/* What would be deleted with a directory: its size, and whether anything in it is newer. No descriptor is held while it goes down. */
static int measure(const struct walk *w, const char *path, const struct timespec *since, uint64_t *size, const char **left_out) {
        _cleanup_(names_done) struct names names = {};
        int directory = open_below(w->layer->lower, path, O_RDONLY | O_DIRECTORY);
        int r = directory < 0 ? -errno : names_read(directory, &names);

        if (r < 0) {
                fd_close(directory);
                *left_out = r == -EXDEV ? "another file system is mounted below it" : strerrordesc_np(-r);
                return r == -ENOMEM ? r : 0;
        }
        size_t n = 0;
        for (size_t i = 0; i < names.n; i++) {
                struct stat st;
                if (fstatat(directory, names.list[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (newer(&st, since))
                        *left_out = conflict;
                if (S_ISREG(st.st_mode))
                        *size += st.st_size;
                if (S_ISDIR(st.st_mode)) {
                        char *name = names.list[n];
                        names.list[n++] = names.list[i];
                        names.list[i] = name;
                }
        }
        fd_close(directory);
        for (size_t i = 0; i < n && r >= 0; i++) {
                _cleanup_free_ char *below = path_join(path, names.list[i]);
                r = below ? measure(w, below, since, size, left_out) : -ENOMEM;
        }
        return r;
}

/* Pins an object; `ret_stat->st_mode` is 0 where it isn't there. */
static int pin(int directory, const char *path, struct stat *ret_stat) {
        int fd = open_below(directory, path, O_PATH);

        *ret_stat = (struct stat) {};
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        if (fstat(fd, ret_stat) < 0)
                return -errno;
        return fd;
}

static bool whiteout(const struct stat *st) {
        return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* The lower object goes, or is replaced: may it? */
static int judge_lower(struct walk *w, struct change *change) {
        struct timespec since = since_of(w->layers, w->layer, change->path, change->in_upper);

        if (S_ISDIR(change->lower.st_mode))
                return measure(w, change->path, &since, &change->lower_size, &change->left_out);
        change->lower_size = change->lower.st_size;
        if (newer(&change->lower, &since))
                change->left_out = conflict;
        return 0;
}

int changes_judge_again(const struct layers *layers, struct change *change) {
        struct walk w = { .layers = layers, .layer = &layers->list[change->layer], .index = change->layer };

        change->lower_size = 0;
        return judge_lower(&w, change);
}

static void judge_owner(struct change *change) {
        if (geteuid() != 0 && change->upper.st_uid != geteuid() && !change->left_out)
                change->left_out = "it belongs to another user";
}

static int judge(struct walk *w, struct change *change, int upper, int lower) {
        bool same_type = (change->upper.st_mode & S_IFMT) == (change->lower.st_mode & S_IFMT);
        bool top = change->path[0] == 0;
        int r;

        if (whiteout(&change->upper)) {
                change->kind = change->lower.st_mode ? CHANGE_DELETED : CHANGE_NONE;
                return change->lower.st_mode ? judge_lower(w, change) : 0;
        }
        change->kind = change->lower.st_mode ? CHANGE_MODIFIED : CHANGE_ADDED;
        change->left_out = compare_refused(upper, &change->upper, top);
        if (change->left_out)
                return 0;
        if (change->kind == CHANGE_ADDED) {
                judge_owner(change);
                return 0;
        }
        /* A top whose owner or group doesn't exist inside has another one in the layer (see view_layers.c), and differs by that alone. */
        if (top && (change->upper.st_uid != change->lower.st_uid || change->upper.st_gid != change->lower.st_gid)) {
                change->kind = CHANGE_NONE;
                return 0;
        }
        r = same_type ? compare_same(upper, &change->upper, lower, &change->lower) : 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                change->left_out = strerrordesc_np(-r);
                return 0;
        }
        if (r > 0) {
                change->kind = CHANGE_NONE;
                return 0;
        }
        /* A directory that stays changes by itself all the time: only its mode and the like are set. */
        r = same_type && S_ISDIR(change->lower.st_mode) ? 0 : judge_lower(w, change);
        judge_owner(change);
        return r;
}

static int visit(struct walk *w, const char *path, bool in_upper, struct over over) {
        struct change *change = change_new(w, path);
        _cleanup_close_ int lower = -1, upper = -1;

        if (!change)
                return -ENOMEM;
        change->in_upper = in_upper;
        lower = over.merged ? pin(w->layer->lower, path, &change->lower) : -1;
        upper = in_upper ? pin(w->layer->upper, path, &change->upper) : -1;
        if (strlen(path) >= PATH_MAX || lower < -1 || upper < -1) {
                int error = lower < -1 ? -lower : upper < -1 ? -upper : ENAMETOOLONG;
                change->kind = CHANGE_MODIFIED;
                change->left_out = error == ELOOP   ? "a symbolic link stands in its way"
                                   : error == EXDEV ? "another file system is mounted there"
                                                    : strerrordesc_np(error);
                return 0;
        }
        if (!in_upper) {
                change->kind = change->lower.st_mode ? CHANGE_DELETED : CHANGE_NONE;
                return change->lower.st_mode ? judge_lower(w, change) : 0;
        }
        int r = judge(w, change, upper, lower);
        if (r < 0 || change->left_out || !S_ISDIR(change->upper.st_mode))
                return r;
        struct over below = { .merged = S_ISDIR(change->lower.st_mode), .hidden = over.hidden || compare_opaque(upper) };
        change->hides = below.merged && below.hidden;
        lower = fd_close(lower);
        upper = fd_close(upper);
        r = visit_directory(w, path, below);
        if (r < 0 && r != -ENOMEM) {
                /* The list may have moved. */
                for (size_t i = w->changes->n; i-- > 0;)
                        if (str_equal(w->changes->list[i].path, path)) {
                                w->changes->list[i].left_out = strerrordesc_np(-r);
                                w->changes->list[i].kind = w->changes->list[i].kind ?: CHANGE_MODIFIED;
                                break;
                        }
                return 0;
        }
        return r;
}

static int names_below(int directory, const char *path, struct names *ret) {
        _cleanup_close_ int fd = open_below(directory, path, O_RDONLY | O_DIRECTORY);

        return fd < 0 ? -errno : names_read(fd, ret);
}

static int visit_directory(struct walk *w, const char *path, struct over over) {
        _cleanup_(names_done) struct names upper = {}, lower = {};
        int r = names_below(w->layer->upper, path, &upper);
        size_t i = 0, j = 0;

        if (r >= 0 && over.merged && over.hidden)
                r = names_below(w->layer->lower, path, &lower);
        while (r >= 0 && (i < upper.n || j < lower.n)) {
                int order = i == upper.n ? 1 : j == lower.n ? -1 : strcmp(upper.list[i], lower.list[j]);
                _cleanup_free_ char *name = path_join(path, order <= 0 ? upper.list[i] : lower.list[j]);
                r = name ? visit(w, name, order <= 0, over) : -ENOMEM;
                i += order <= 0;
                j += order >= 0;
        }
        return r;
}

int changes_find(const struct layers *layers, struct changes *ret) {
        struct changes changes = {};
        int r = 0;

        for (size_t i = 0; i < layers->n && r >= 0; i++) {
                struct walk w = { .layers = layers, .layer = &layers->list[i], .index = i, .changes = &changes };
                if (w.layer->upper >= 0 && w.layer->lower >= 0)
                        r = visit(&w, "", true, (struct over) { .merged = true });
        }
        if (r < 0) {
                changes_done(&changes);
                return r;
        }
        *ret = changes;
        return 0;
}

void changes_done(struct changes *changes) {
        for (size_t i = 0; i < changes->n; i++)
                free(changes->list[i].path);
        free(changes->list);
        *changes = (struct changes) {};
}
