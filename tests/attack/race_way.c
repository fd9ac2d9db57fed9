/*
 * The ways in which a path comes to mean something else while it is decided on: its text, a link at its end or on its way, a directory on
 * its way.
 */
#include "race.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

void race_path(char *buffer, const char *format, ...) {
        int n = snprintf(buffer, PATH_MAX, "%s/", race_folder);
        va_list ap;

        va_start(ap, format);
        vsnprintf(buffer + n, PATH_MAX - n, format, ap);
        va_end(ap);
}

void race_make(const char *name) {
        int fd = openat(race_side, name, O_RDWR | O_CREAT, 0600);

        if (fd >= 0)
                close(fd);
}

int race_socket(int domain, int type) {
        int fd = socket(domain, type, 0);

        if (fd < 0)
                attack_die("socket");
        return fd;
}

bool race_canary(int fd) {
        char text[8] = "";
        ssize_t n;

        if (fd < 0)
                return false;
        n = pread(fd, text, 6, 0);
        close(fd);
        return n == 6 && memcmp(text, "canary", 6) == 0;
}

static void open_side(const char *name) {
        char path[PATH_MAX];

        race_path(path, "%s", name);
        race_side = open(path, O_PATH | O_DIRECTORY);
        if (race_side < 0)
                attack_die("%s", path);
}

/* ---- The text ---- */

static char second_name[PATH_MAX];
static volatile char *byte, *second_byte;
static char byte_values[2], second_values[2];

void race_set_byte(volatile char *at, char allowed, char forbidden) {
        byte = at;
        byte_values[0] = allowed;
        byte_values[1] = forbidden;
}

void race_swap_byte(int which) {
        race_swap_second(which);
        *byte = byte_values[which];
}

void race_set_second_byte(volatile char *at, char first, char second) {
        second_byte = at;
        second_values[0] = first;
        second_values[1] = second;
}

void race_set_second_name(const char *path) {
        strcpy(second_name, path);
}

void race_swap_second(int which) {
        if (second_byte)
                *second_byte = second_values[which];
        if (*second_name)
                unlink(second_name);
}

static void prepare_byte(const char *object) {
        open_side("a");
        race_path(race_shared->path, "a/%s", object);
        race_set_byte(race_shared->path + strlen(race_folder) + 1, 'a', 'b');
}

/* ---- A link ----
 *
 * Calls that hold the names in the broker hold the sandbox's own rename of the link up as well, until the kernel has looked a second time, too,
 * were it let. For these the link is swapped outside. */

static char link_name[PATH_MAX], link_next[2][PATH_MAX], link_target[2][PATH_MAX];

static void swap_link(int which) {
        if (symlink(link_target[which], link_next[which]) < 0 && errno != EEXIST)
                return;
        race_swap_second(which);
        rename(link_next[which], link_name);
}

/* Where the kernel goes on with what was done already the call says so, but the link is there. */
static void leave_link(const char *target, const char *name) {
        char text[PATH_MAX];

        unlink(name);
        if (symlink(target, name) < 0 && (errno != EEXIST || readlink(name, text, sizeof(text)) < 0))
                attack_die("symlink %s", name);
}

static void make_link(const char *object) {
        open_side("a");
        race_path(link_name, "w/link");
        for (int i = 0; i < 2; i++) {
                race_path(link_next[i], "w/next%d", i);
                race_path(link_target[i], "%c%s%s", "ab"[i], *object ? "/" : "", object);
        }
        leave_link(link_target[0], link_name);
}

static void prepare_link(const char *object) {
        make_link(object);
        strcpy(race_shared->path, link_name);
}

static void prepare_link_on_way(const char *object) {
        make_link("");
        race_path(race_shared->path, "w/link/%s", object);
}

/* ---- A directory that is exchanged with a link to the forbidden one ---- */

static char exchanged[2][PATH_MAX];
static int exchanged_now;

static void swap_exchange(int which) {
        if (which != exchanged_now && syscall(SYS_renameat2, AT_FDCWD, exchanged[0], AT_FDCWD, exchanged[1], RENAME_EXCHANGE) == 0)
                exchanged_now = which;
}

static void prepare_exchange(const char *object) {
        char target[PATH_MAX];

        open_side("w/x");
        race_path(exchanged[0], "w/x");
        race_path(exchanged[1], "w/y");
        race_path(target, "b");
        leave_link(target, exchanged[1]);
        race_path(race_shared->path, "w/x/%s", object);
}

/* ---- A directory that is moved while .. leads out of it ----
 *
 * FOLDER/w/one/two/../../b/… lies in FOLDER/w/b, which is allowed. Once `two` has been moved from one to w while the path is walked, the second
 * `..` is FOLDER, and b the forbidden one. Going in and out of `three` makes the walk longer. A sandbox that shares the
 * directory, or a program of the host, moves it: what goes through a broker itself is too slow to hit the kernel's walk. */

static char two[2][PATH_MAX];

static void swap_dotdot(int which) {
        rename(two[!which], two[which]);
        /* The time in which a walk may end. */
        if (which == 1)
                usleep(1);
}

static void prepare_dotdot(const char *object) {
        char *path = race_shared->path;
        size_t n;

        open_side("w/b");
        race_path(two[0], "w/one/two");
        race_path(two[1], "w/two");
        n = snprintf(path, PATH_MAX, "%.1000s/", two[0]);
        for (int i = 0; i < 100; i++)
                n += snprintf(path + n, PATH_MAX - n, "three/../");
        snprintf(path + n, PATH_MAX - n, "../../b/%s", object);
}

/* ---- A look that fails ----
 *
 * The broker can't read the path, or can't hand the descriptor over; by the time the kernel would look, were it asked to go on, it can. */

static void prepare_unreadable(const char *object) {
        open_side("a");
        race_path(race_shared->path, "b/%s", object);
}

static void swap_unreadable(int which) {
        mprotect(race_shared->path, sizeof(race_shared->path), which ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static struct rlimit full, roomy;

static void swap_full(int which) {
        if (which)
                setrlimit(RLIMIT_NOFILE, &roomy);
        race_swap_byte(which);
        if (!which)
                setrlimit(RLIMIT_NOFILE, &full);
}

static void prepare_full(const char *object) {
        prepare_byte(object);
        int next = dup(race_side);
        close(next);
        if (next < 0 || getrlimit(RLIMIT_NOFILE, &roomy) < 0)
                attack_die("limits");
        full = roomy;
        full.rlim_cur = next;
}

const struct way race_ways[] = {
        { "text", prepare_byte, race_swap_byte },
        { "link", prepare_link, swap_link },
        { "folder", prepare_link_on_way, swap_link },
        { "link-outside", prepare_link, swap_link, .outside = true },
        { "folder-outside", prepare_link_on_way, swap_link, .outside = true },
        { "exchange", prepare_exchange, swap_exchange },
        { "dotdot", prepare_dotdot, swap_dotdot, .outside = true },
        { "unreadable", prepare_unreadable, swap_unreadable },
        { "full", prepare_full, swap_full },
        {},
};
