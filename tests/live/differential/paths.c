/*
 * Paths: of what the tree has, of what it hasn't, through links, `..`, descriptors and procfs, and strings that no program would give.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential.h"

#define ROOM (2 * PATH_MAX)

static const char *const folders[] = { ".",    "a",        "a/b",    "a/b/c",  "e",    "e2",   "e2",    "d000",    "d555",
                                       "d311", "d644",     "sticky", "setgid", "acl",  "ldir", "ldir2", "labsdir", "ldot",
                                       "lup",  "d555/sub", "ldir/b", "lslash", "a/up", "many", " ",     "a/../e2", "a/b/../c" };
static const char *const new_names[] = { "n0", "n1", "n2", "n3", "n\n4", "\xc3\xa9", "nowhere" };

/* What isn't in the tree. Nobody may write there: root has it mounted read-only (main.c). */
static const char *const outside[] = { "/",
                                       "/usr",
                                       "/usr/bin/true",
                                       "/usr/bin/true/x",
                                       "/usr/bin/../bin",
                                       "/usr/nonexistent",
                                       "/nonexistent",
                                       "/nonexistent/x",
                                       "/etc/shadow",
                                       "/etc/shadow/x",
                                       "/dev/null",
                                       "/dev/null/x",
                                       "/dev/zero",
                                       "/../usr",
                                       "/proc/1/root",
                                       "/proc/1/cwd",
                                       "/tmp/nothing/x",
                                       "/proc/self/root/usr" };
static const char *const of_proc[] = { "/proc/self/cwd",
                                       "/proc/self/cwd/",
                                       "/proc/self/cwd/..",
                                       "/proc/self/cwd/a/f1",
                                       "/proc/self/exe",
                                       "/proc/self",
                                       "/proc/self/",
                                       "/proc/thread-self",
                                       "/proc/thread-self/cwd",
                                       "/proc/self/fd",
                                       "/proc/self/fd/",
                                       "/proc/self/fd/nothing",
                                       "/dev/fd",
                                       "/dev/stdin",
                                       "/proc/self/status",
                                       "/proc/self/task",
                                       "/proc/self/mem",
                                       "/proc/self/comm",
                                       "/proc/self/cwd/e/n0",
                                       "/proc/mounts" };

static void set(struct sequence *s, struct arg *arg, const char *text, size_t length) {
        arg->bytes = sequence_alloc(s, length + 1);
        memcpy(arg->bytes, text, length);
        arg->bytes[length] = 0;
        arg->size = length + 1;
}

/* A FIFO that nobody holds open makes an open wait: that is for make_pair() to do. */
static const struct fixture *any_fixture(const struct sequence *s, struct random *r) {
        const struct fixture *f;

        do
                f = &fixtures[random_below(r, n_fixtures)];
        while (f->type == 'p' && !(s->variant & VARIANT_FIFOS_OPEN));
        return f;
}

static void through_descriptor(const struct sequence *s, struct random *r, char *path) {
        const char *folder = random_chance(r, 70) ? "/proc/self/fd" : random_chance(r, 50) ? "/dev/fd" : "/proc/thread-self/fd";
        int fd = random_chance(r, 80) ? FIRST_FD + (int) random_below(r, 18) : (int) random_below(r, 12);
        int n = snprintf(path, ROOM, "%s/%d", folder, fd);

        if (random_chance(r, 40))
                snprintf(path + n, ROOM - n, "/%s",
                         random_chance(r, 40)   ? RANDOM_PICK(r, new_names)
                         : random_chance(r, 60) ? any_fixture(s, r)->path
                                                : "..");
}

/* A path of exactly so many bytes that still means something, or nothing. */
static void stretch(struct random *r, char *path) {
        static const size_t lengths[] = { 4094, 4095, 4096, 4097, 4090, 2048, 5000 };
        size_t length = RANDOM_PICK(r, lengths), n = strlen(path);
        char rest[ROOM];

        if (n >= length || path[0] == '/')
                return;
        memcpy(rest, path, n + 1);
        size_t fill = length - n;
        for (size_t i = 0; i < fill; i++)
                path[i] = i % 2 || i + 1 == fill ? '/' : '.';
        memcpy(path + fill, rest, n + 1);
}

static void odd(struct random *r, char *path) {
        static const char *const odds[] = { "",          ".",       "..",          "/",   "//",   "./",      "../",    "...",   "../..",
                                            "a//b///f2", "./././a", "a/./b/../f1", "e/.", "e/..", "a/f1/..", "a/f1/.", "a/f1/", "ldang/",
                                            "ldang/x",   "lloop/x", "la",          "p/x", "l/",   "ldir/.",  "x/",     "\n",    "\x80" };

        switch (random_below(r, 4)) {
        case 0:
        case 1: strcpy(path, RANDOM_PICK(r, odds)); break;
        case 2: {
                /* A name that is too long by itself. */
                size_t n = 253 + random_below(r, 5);
                memset(path, 'y', n);
                strcpy(path + n, random_chance(r, 30) ? "/z" : "");
                break;
        }
        default: {
                size_t n = 1 + random_below(r, 12);
                for (size_t i = 0; i < n; i++) {
                        path[i] = random_chance(r, 30) ? "/./.."[random_below(r, 5)] : (char) (1 + random_below(r, 255));
                        /* Not to leave the tree's levels. */
                        if (i >= 3 && path[i] == '.')
                                path[i] = '/';
                }
                /* An absolute path might be anything's. */
                if (path[0] == '/')
                        path[0] = '.';
                path[n] = 0;
        }
        }
}

static void decorate(struct random *r, char *path) {
        static const char *const before[] = { "./", "a/../", "e/../", ".//", "ldot/", "ldir/../", "./lup/" };
        static const char *const after[] = { "/", "/", "/", "//", "/.", "/..", "/./", "/../.", "/x" };
        char copy[ROOM];
        size_t n = strlen(path);

        if (n + 16 >= ROOM || path[0] == '/')
                return;
        if (random_chance(r, 50)) {
                strcpy(copy, path);
                sprintf(path, "%s%s", RANDOM_PICK(r, before), copy);
        }
        if (random_chance(r, 60))
                strcat(path, RANDOM_PICK(r, after));
}

/* Takes from a path what leads to the directory that a descriptor is open on, as the tree was at first. */
static void from_descriptor(const struct call *call, const struct arg *arg, char *path) {
        static const struct {
                int fd;
                const char *folder;
        } places[] = { { 11, "a/" }, { 15, "a/b/" }, { 16, "d000/" }, { 17, "e/" }, { 19, "a/b/" } };
        const struct arg *before = arg > call->args ? arg - 1 : NULL;

        for (size_t i = 0; before && before->kind == DIR_FD && i < ELEMENTS(places); i++) {
                size_t n = strlen(places[i].folder);
                if (before->value == places[i].fd && strncmp(path, places[i].folder, n) == 0)
                        memmove(path, path + n, strlen(path) - n + 1);
        }
}

/* Is it one that such a descriptor leads to? */
static bool fits(const struct call *call, const struct arg *arg, const struct fixture *f, char prefers) {
        char copy[NAME_MAX + 64];

        if (prefers && f->type != prefers)
                return false;
        if (arg == call->args || arg[-1].kind != DIR_FD || arg[-1].value == AT_FDCWD || arg[-1].value == 10)
                return true;
        strcpy(copy, f->path);
        from_descriptor(call, arg, copy);
        return strcmp(copy, f->path) != 0;
}

static void of_tree(struct sequence *s, struct random *r, const struct call *call, const struct arg *arg, char *path) {
        bool new = arg->kind == NEW_PATH;
        char prefers = new || random_chance(r, 30) ? 0 : call->operation->prefers;

        if (random_chance(r, new ? 55 : 15)) {
                const char *name = random_chance(r, 75) ? RANDOM_PICK(r, new_names) : strrchr(any_fixture(s, r)->path, '/');
                if (!name)
                        name = any_fixture(s, r)->path;
                sprintf(path, "%s/%s", RANDOM_PICK(r, folders), name[0] == '/' ? name + 1 : name);
                if (random_chance(r, 40) && name[0] != '/')
                        strcpy(path, name);
        } else {
                const struct fixture *f = any_fixture(s, r);
                for (int i = 0; i < 20 && !fits(call, arg, f, prefers); i++)
                        f = any_fixture(s, r);
                strcpy(path, f->path);
                from_descriptor(call, arg, path);
        }
        if ((s->variant & VARIANT_CHAIN) && random_chance(r, 10))
                sprintf(path, "chain/%u%s", 36 + random_below(r, 7), random_chance(r, 50) ? "/f1" : "");
        if (random_chance(r, 20))
                decorate(r, path);
        if (random_chance(r, 10)) {
                char copy[ROOM];
                strcpy(copy, path);
                snprintf(path, ROOM, "%s/%s", s->work, copy);
        }
}

void path_make(struct sequence *s, struct random *r, struct call *call, struct arg *arg) {
        char path[ROOM + PATH_MAX];
        unsigned what = random_below(r, 100);

        /* Of two paths one is enough. */
        if ((arg > call->args && (call->outside || call->proc)) || (arg >= call->args + 2 && random_chance(r, 50)))
                what = 0;
        if (what < 80)
                of_tree(s, r, call, arg, path);
        else if (what < 85)
                odd(r, path);
        else if (what < 90) {
                through_descriptor(s, r, path);
                call->proc = true;
        } else if (what < 93) {
                strcpy(path, RANDOM_PICK(r, of_proc));
                call->proc = true;
        } else if (what < 96) {
                of_tree(s, r, call, arg, path);
                stretch(r, path);
        } else {
                strcpy(path, RANDOM_PICK(r, outside));
                call->outside = true;
        }
        if (path[0] == '/' && strncmp(path, s->work, strlen(s->work)) != 0 && !call->proc)
                call->outside = true;
        /* Directories above what is granted can't be watched behind the broker: their events would tell of hidden names. Nor can one's own
         * descriptors in /proc once one's ids are others. */
        if ((call->outside || (call->proc && (s->options & OPTION_IDS))) && strcmp(call->operation->name, "inotify_add_watch") == 0) {
                strcpy(path, "a");
                call->outside = call->proc = false;
        }
        if (strstr(path, "/exe"))
                call->outside = true;
        /* Links of the tree lead there as well. */
        if (strstr(path, "lcwd") || strstr(path, "lfd"))
                call->proc = true;
        set(s, arg, path, strlen(path));

        what = random_below(r, 100);
        if (what < 4)
                arg->place = AT_END;
        else if (what < 5)
                arg->place = UNTERMINATED;
        else if (what < 7) {
                static const enum place bad[] = { IN_NOTHING, UNMAPPED, AT_NULL, AT_NULL, AT_ONE, IN_KERNEL, NONCANONICAL };
                arg->place = RANDOM_PICK(r, bad);
        }
}
