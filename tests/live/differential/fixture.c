/*
 * The tree that a sequence finds. It is made outside, natively, and the same on both sides; times are all set, so that what a call
 * leaves alone can be told from what it touches.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "differential.h"

#define LONG_NAME \
        "long-name-of-255-bytes-" /* 23 */ \
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" \
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" \
        "01234567890123456789012345678901"

const struct fixture fixtures[] = {
        { "a", 'd', 0755 },
        { "a/f1", 'f', 0644, "content of f1\n" },
        { "a/b", 'd', 0755 },
        { "a/b/f2", 'f', 0600, "f2" },
        { "a/b/c", 'd', 0700 },
        { "a/b/c/deep", 'f', 0640, "deep" },
        { "a/p2", 'p', 0666 },
        { "a/up", 'l', 0, "../a/b" },
        { "e", 'd', 0755 },
        { "e2", 'd', 0777 },
        { "d000", 'd', 0000 },
        { "d000/f", 'f', 0644, "" },
        { "d555", 'd', 0555 },
        { "d555/f", 'f', 0666, "in d555" },
        { "d555/sub", 'd', 0777 },
        { "d311", 'd', 0311 },
        { "d311/f", 'f', 0644, "in d311" },
        { "d644", 'd', 0644 },
        { "d644/f", 'f', 0644, "in d644" },
        { "sticky", 'd', 01777 },
        { "sticky/f", 'f', 0666, "sticky" },
        { "sticky/p", 'p', 0666 },
        { "sticky/l", 'l', 0, "f" },
        { "setgid", 'd', 02775 },
        { "setgid/f", 'f', 02664, "" },
        { "acl", 'd', 0775, "acl" },
        { "acl/f", 'f', 0664, "acl" },
        { "attr", 'f', 0644, "attr" },
        { "f000", 'f', 0000, "f000" },
        { "f444", 'f', 0444, "f444" },
        { "f222", 'f', 0222, "f222" },
        { "suid", 'f', 06755, "suid" },
        { "empty", 'f', 0666, "" },
        { "big", 'f', 0644, NULL },
        { "h1", 'h', 0, "a/f1" },
        { "e2/h2", 'h', 0, "a/f1" },
        { "l", 'l', 0, "a/f1" },
        { "ldir", 'l', 0, "a" },
        { "ldir2", 'l', 0, "ldir/b/" },
        { "ldang", 'l', 0, "nowhere" },
        { "lnew", 'l', 0, "e/made-through-a-link" },
        { "lloop", 'l', 0, "lloop" },
        { "la", 'l', 0, "lb" },
        { "lb", 'l', 0, "la" },
        { "labs", 'l', 0, "$W/a/f1" },
        { "labsdir", 'l', 0, "$W/a" },
        { "lslash", 'l', 0, "a/" },
        { "lfslash", 'l', 0, "a/f1/" },
        { "ldot", 'l', 0, "." },
        { "lup", 'l', 0, "../t" },
        { "lcreate", 'l', 0, "../t/e2/./made" },
        { "lcwd", 'l', 0, "/proc/self/cwd/a/f1" },
        { "lfd", 'l', 0, "/proc/self/fd/12" },
        { "l000", 'l', 0, "d000/f" },
        { "p", 'p', 0644 },
        { "s", 's', 0755 },
        { "S", 'S', 0755 },
        { "c", 'c', 0666 },
        { "new\nline", 'f', 0644, "newline" },
        { "\xff\xfe\x01", 'f', 0644, "not UTF-8" },
        { " ", 'd', 0755 },
        { "...", 'd', 0755 },
        { "f1 (deleted)", 'f', 0644, "not deleted" },
        { LONG_NAME, 'f', 0644, "long" },
        { "x", 'x', 0755 },
        { "x111", 'x', 0111 },
        { "x644", 'x', 0644 },
        { "xs", 'x', 06755 },
        { "script", 'f', 0755, "#!$W/x one two \n" },
        { "script2", 'f', 0755, "#!x\n" },
        { "script3", 'f', 0755, "#!$W/script nested\n" },
        { "script4", 'f', 0755, "#!/nonexistent/interpreter\n" },
        { "script5", 'f', 0711, "#! /usr/bin/true" },
        { "script6", 'f', 0755, "#!\n" },
        { "script7", 'f', 0755, "#!$W/x644\n" },
        { "garbage", 'f', 0755, "garbage" },
        { "many", 'd', 0755, NULL, VARIANT_MANY },
        { "chain", 'd', 0755, NULL, VARIANT_CHAIN },
};

const size_t n_fixtures = ELEMENTS(fixtures);

const struct opened opened[] = {
        { ".", O_RDONLY | O_DIRECTORY },
        { "a", O_PATH | O_DIRECTORY },
        { "a/f1", O_RDWR },
        { "a/b/f2", O_PATH },
        { "l", O_PATH | O_NOFOLLOW },
        { "a/b", O_RDONLY },
        { "d000", O_PATH },
        { "e", O_RDONLY | O_DIRECTORY | O_CLOEXEC },
        { "f444", O_RDONLY },
        { "ldir2", O_RDONLY },
        { "p", O_PATH },
        /* What follows by number is made by open_first(): a deleted file, a deleted directory, the ends of a pipe, a memfd, two inotify
         * descriptors, a socket. */
};

const size_t n_opened = ELEMENTS(opened);

#define MANY 150

static int say(char *what, const char *path) {
        int r = -errno;

        snprintf(what, PATH_MAX, "%.3000s: %s", path, strerror(-r));
        return r;
}

/* `$W` stands for the tree's own path. */
static void expand(char *to, size_t room, const char *text, const char *work) {
        const char *p = strstr(text, "$W");

        if (p)
                snprintf(to, room, "%.*s%s%s", (int) (p - text), text, work, p + 2);
        else
                snprintf(to, room, "%s", text);
}

static int write_file(int dir, const char *path, const char *text, size_t size) {
        int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;

        if (fd < 0)
                return -1;
        if (text ? write(fd, text, size) != (ssize_t) size : ftruncate(fd, 100000) < 0)
                r = -1;
        close(fd);
        return r;
}

static int make_socket(struct tree *t, int dir, const char *path, bool listens) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        if (fd < 0)
                return -1;
        snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/%s", dir, path);
        r = bind(fd, (struct sockaddr *) &un, sizeof(un));
        if (r >= 0 && listens)
                r = listen(fd, 64);
        if (r >= 0 && listens && t->n_held < ELEMENTS(t->held))
                t->held[t->n_held++] = fd;
        else
                close(fd);
        return r;
}

static int copy_witness(struct tree *t, int dir, const char *path) {
        static char program[65536];
        static ssize_t size;

        if (size == 0) {
                int fd = open(t->witness, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -1;
                size = read(fd, program, sizeof(program));
                close(fd);
        }
        return write_file(dir, path, program, size);
}

/* user::rwx group::r-x other::---, and user 0 and group 1: rwx, the mask with them: what is made below has its permissions from here. */
static int set_acl(const char *path) {
        static const struct {
                uint32_t version;
                struct {
                        uint16_t tag, permissions;
                        uint32_t id;
                } entries[6];
        } acl = { 2, { { 1, 7, -1 }, { 2, 7, 0 }, { 4, 5, -1 }, { 8, 7, 0 }, { 16, 5, -1 }, { 32, 0, -1 } } };

        return setxattr(path, "system.posix_acl_default", &acl, sizeof(acl), 0);
}

static int fill(int dir, const struct fixture *f) {
        char name[64], target[32];

        if (f->variant & VARIANT_MANY)
                for (int i = 0; i < MANY; i++) {
                        snprintf(name, sizeof(name), "many/name-%0*d", 1 + i % 40, i);
                        if (write_file(dir, name, "", 0) < 0)
                                return -1;
                }
        if (f->variant & VARIANT_CHAIN)
                for (int i = 0; i <= 42; i++) {
                        snprintf(name, sizeof(name), "chain/%d", i);
                        snprintf(target, sizeof(target), i ? "%d" : "../a", i - 1);
                        if (symlinkat(target, dir, name) < 0)
                                return -1;
                }
        return 0;
}

static int make_one(struct tree *t, int dir, const struct fixture *f) {
        char text[512];

        switch (f->type) {
        case 'd': return mkdirat(dir, f->path, 0700) < 0 || fill(dir, f) < 0 ? -1 : 0;
        case 'f':
                if (!f->text)
                        return write_file(dir, f->path, NULL, 0);
                expand(text, sizeof(text), f->text, t->shown);
                return write_file(dir, f->path, text, strlen(text));
        case 'l': expand(text, sizeof(text), f->text, t->shown); return symlinkat(text, dir, f->path);
        case 'h': return linkat(dir, f->text, dir, f->path, 0);
        case 'p': return mkfifoat(dir, f->path, 0600);
        case 's':
        case 'S': return make_socket(t, dir, f->path, f->type == 'S');
        case 'x': return copy_witness(t, dir, f->path);
        case 'c': return mknodat(dir, f->path, S_IFCHR | 0600, makedev(1, 3));
        default: errno = EINVAL; return -1;
        }
}

static int hold_fifo(struct tree *t, int dir, const char *path) {
        int fd = openat(dir, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

        if (fd < 0)
                return -1;
        if (t->n_held < ELEMENTS(t->held))
                t->held[t->n_held++] = fd;
        else
                close(fd);
        return 0;
}

/* Some belong to somebody else where the sandbox has other ids. */
static int set_owner(struct tree *t, int dir, const struct fixture *f, struct random *r, bool ids) {
        static const uid_t others[] = { 0, 1, 2, 1000, 1001 };
        uid_t uid = t->uid;
        gid_t gid = t->gid;

        if (ids) {
                uid = random_chance(r, 60) ? uid : RANDOM_PICK(r, others);
                gid = random_chance(r, 60) ? gid : RANDOM_PICK(r, others);
        } else if (geteuid() != 0)
                return 0;
        return fchownat(dir, f->path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Modes, owners, times: from the last to the first, so that directories are left alone afterwards. */
static int finish_one(struct tree *t, int dir, const struct fixture *f, const struct sequence *s, struct random *r, size_t index) {
        const struct timespec times[2] = { { FIXTURE_TIME + (long) index, 1000 },
                                           { FIXTURE_TIME + 1000 + (long) index, FIXTURE_NANOSECONDS } };

        if (f->type == 'h')
                return 0;
        if (f->type == 'p' && (s->variant & VARIANT_FIFOS_OPEN) && hold_fifo(t, dir, f->path) < 0)
                return -1;
        if (set_owner(t, dir, f, r, s->options & OPTION_IDS) < 0)
                return -1;
        if (f->type != 'l' && fchmodat(dir, f->path, f->mode, 0) < 0)
                return -1;
        return utimensat(dir, f->path, times, AT_SYMLINK_NOFOLLOW);
}

static bool wanted(const struct fixture *f, const struct sequence *s) {
        return (f->variant == 0 || (s->variant & f->variant)) && (f->type != 'c' || (s->options & OPTION_ROOT));
}

static int make_objects(struct tree *t, int dir, const struct sequence *s, char *what) {
        static const char *const with_xattrs[] = { "attr", "a",    "a/f1",     "a/b/f2", "e2",   "empty",
                                                   "f444", "f222", "sticky/f", "d555/f", "suid", "big" };
        struct random r = { s->seed ^ 0x5eed };
        char path[PATH_MAX];

        for (size_t i = 0; i < n_fixtures; i++)
                if (wanted(&fixtures[i], s) && make_one(t, dir, &fixtures[i]) < 0)
                        return say(what, fixtures[i].path);
        for (size_t i = 0; i < ELEMENTS(with_xattrs); i++) {
                snprintf(path, sizeof(path), "%s/%s", t->work, with_xattrs[i]);
                if (setxattr(path, "user.test", "a value", 7, 0) < 0 || setxattr(path, "user.empty", "", 0, 0) < 0)
                        return say(what, path);
        }
        snprintf(path, sizeof(path), "%s/acl", t->work);
        if (set_acl(path) < 0)
                return say(what, path);
        for (size_t i = n_fixtures; i-- > 0;)
                if (wanted(&fixtures[i], s) && finish_one(t, dir, &fixtures[i], s, &r, i) < 0)
                        return say(what, fixtures[i].path);
        return 0;
}

/* The directories between what is granted and the tree: `..` leads nowhere else. */
static int make_levels(struct tree *t, char *what) {
        char path[PATH_MAX];

        for (const char *p = t->work + strlen(t->top) + 1;; p++)
                if (*p == '/' || *p == 0) {
                        snprintf(path, sizeof(path), "%.*s", (int) (p - t->work), t->work);
                        if (mkdir(path, 0755) < 0 || (geteuid() == 0 && chown(path, t->uid, t->gid) < 0))
                                return say(what, path);
                        if (*p == 0)
                                return 0;
                }
}

int tree_make(struct tree *t, const struct sequence *s, char *what) {
        int r = make_levels(t, what);

        t->n_held = 0;
        if (r < 0)
                return r;
        int dir = open(t->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return say(what, t->work);
        r = make_objects(t, dir, s, what);
        close(dir);
        return r;
}

void tree_release(struct tree *t) {
        for (size_t i = 0; i < t->n_held; i++)
                close(t->held[i]);
        t->n_held = 0;
}
