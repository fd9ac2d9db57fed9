/*
 * Numbers of descriptors that come to mean another file while a call on them is decided on, and listings while names change. FOLDER/r may be read,
 * FOLDER/p be appended to; in FOLDER/w/list what ends with .hid is hidden.
 */
#include "race.h"

#include <sys/syscall.h>
#include <sys/xattr.h>

enum { NUMBER = 50 };

static int fds[2];

static void swap_number(int which) {
        race_swap_second(which);
        dup2(fds[which], NUMBER);
}

static void prepare_fds(const char *allowed, const char *forbidden, int flags) {
        const char *const names[] = { allowed, forbidden };
        char path[PATH_MAX];

        for (int i = 0; i < 2; i++) {
                race_path(path, "%s", names[i]);
                fds[i] = open(path, flags | O_CLOEXEC);
                if (fds[i] < 0)
                        attack_die("%s", path);
        }
        swap_number(0);
}

/* ---- What may be read only ---- */

static void prepare_readable(void) {
        prepare_fds("a/file", "r/file", O_RDONLY);
}

static bool try_fchmod(void) {
        fchmod(NUMBER, 0640);
        return false;
}

static bool try_fchown(void) {
        (void) !fchown(NUMBER, getuid(), getgid());
        return false;
}

static bool try_futimens(void) {
        struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

        syscall(SYS_utimensat, NUMBER, NULL, times, 0);
        return false;
}

static bool try_fsetxattr(void) {
        fsetxattr(NUMBER, "user.new", "x", 1, 0);
        return false;
}

static bool try_fremovexattr(void) {
        fsetxattr(fds[0], "user.old", "x", 1, 0);
        fremovexattr(NUMBER, "user.old");
        return false;
}

static bool try_fchownat(void) {
        (void) !fchownat(NUMBER, "", getuid(), getgid(), AT_EMPTY_PATH);
        return false;
}

static bool try_fchmod_link(void) {
        chmod("/proc/self/fd/50", 0640);
        return false;
}

/* Opened again for writing: by the number, which names the file that may be written or the other one. */
static bool try_reopen(void) {
        int fd = open("/proc/self/fd/50", O_WRONLY | O_TRUNC);

        if (fd >= 0)
                close(fd);
        return false;
}

/* A second name for what may be read only, where it may be written. */
static void prepare_linked(void) {
        prepare_readable();
        race_path(race_shared->other, "w/to0");
        race_set_second_byte(race_shared->other + strlen(race_shared->other) - 1, '0', '1');
}

static bool try_link_number(void) {
        char path[PATH_MAX];

        (void) !linkat(AT_FDCWD, "/proc/self/fd/50", AT_FDCWD, race_shared->other, AT_SYMLINK_FOLLOW);
        for (int i = 0; i < 2; i++) {
                race_path(path, "w/to%d", i);
                unlink(path);
        }
        return false;
}

/* ---- A directory's descriptor ---- */

static void prepare_directories(void) {
        prepare_fds("a", "r", O_PATH | O_DIRECTORY);
}

static bool try_dirfd_create(void) {
        int fd = openat(NUMBER, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);

        if (fd >= 0)
                close(fd);
        unlinkat(fds[0], "new", 0);
        return false;
}

static bool try_dirfd_unlink(void) {
        int fd = openat(fds[0], "file", O_WRONLY | O_CREAT, 0600);

        if (fd >= 0)
                close(fd);
        unlinkat(NUMBER, "file", 0);
        return false;
}

static bool try_dirfd_mkdir(void) {
        mkdirat(NUMBER, "new", 0700);
        unlinkat(fds[0], "new", AT_REMOVEDIR);
        return false;
}

/* ---- What may be appended to ---- */

static void prepare_appended(void) {
        prepare_fds("a/file", "p/log", O_WRONLY | O_APPEND);
}

static bool try_ftruncate(void) {
        (void) !ftruncate(NUMBER, 1);
        return false;
}

static bool try_fallocate(void) {
        fallocate(NUMBER, 3 /* PUNCH_HOLE | KEEP_SIZE */, 0, 4);
        return false;
}

static bool try_setfl(void) {
        fcntl(NUMBER, F_SETFL, 0);
        bool won = !(fcntl(fds[1], F_GETFL) & O_APPEND);
        fcntl(fds[1], F_SETFL, O_APPEND);
        return won;
}

/* ---- Listings ---- */

static bool shows_hidden(int fd, size_t room) {
        struct entry {
                uint64_t ino, off;
                uint16_t size;
                uint8_t type;
                char name[];
        };
        char buffer[4096];
        bool seen = false;
        long n;

        lseek(fds[1], 0, SEEK_SET);
        lseek(fds[0], 0, SEEK_SET);
        while (!race_stop && (n = syscall(SYS_getdents64, fd, buffer, room)) > 0)
                for (long at = 0; at < n;) {
                        const struct entry *entry = (const struct entry *) (buffer + at);
                        size_t length = strlen(entry->name);
                        seen = seen || (length > 4 && strcmp(entry->name + length - 4, ".hid") == 0);
                        at += entry->size;
                }
        return seen;
}

static void prepare_lists(void) {
        prepare_fds("a", "w/list", O_RDONLY | O_DIRECTORY);
}

static bool try_getdents(void) {
        return shows_hidden(NUMBER, 4096);
}

/* Names come and go while they are listed. */
static char names[2][PATH_MAX];

static void prepare_renamed(void) {
        prepare_lists();
        race_path(names[0], "w/list/first");
        race_path(names[1], "w/list/a-name-that-is-longer-than-the-other-one");
        int fd = open(names[0], O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
                attack_die("%s", names[0]);
        close(fd);
}

static void swap_names(int which) {
        rename(names[!which], names[which]);
}

/* A chunk begins at another name each time. */
static bool try_list_small(void) {
        static unsigned n;

        return shows_hidden(fds[1], 64 + n++ * 8 % 256);
}

/* Two threads read one position. */
static void swap_position(int which) {
        lseek(fds[1], which ? 0 : 3, SEEK_SET);
}

const struct race race_fds[] = {
        { "fchmod", NULL, try_fchmod, prepare_readable, swap_number },
        { "fchown", NULL, try_fchown, prepare_readable, swap_number },
        { "futimens", NULL, try_futimens, prepare_readable, swap_number },
        { "fsetxattr", NULL, try_fsetxattr, prepare_readable, swap_number },
        { "fremovexattr", NULL, try_fremovexattr, prepare_readable, swap_number },
        { "fchownat-number", NULL, try_fchownat, prepare_readable, swap_number },
        { "chmod-number", NULL, try_fchmod_link, prepare_readable, swap_number },
        { "reopen-number", NULL, try_reopen, prepare_readable, swap_number },
        { "link-number", NULL, try_link_number, prepare_linked, swap_number },
        { "dirfd-create", NULL, try_dirfd_create, prepare_directories, swap_number },
        { "dirfd-unlink", NULL, try_dirfd_unlink, prepare_directories, swap_number },
        { "dirfd-mkdir", NULL, try_dirfd_mkdir, prepare_directories, swap_number },
        { "ftruncate", NULL, try_ftruncate, prepare_appended, swap_number },
        { "fallocate", NULL, try_fallocate, prepare_appended, swap_number },
        { "setfl", NULL, try_setfl, prepare_appended, swap_number },
        { "getdents", NULL, try_getdents, prepare_lists, swap_number },
        { "getdents-renamed", NULL, try_list_small, prepare_renamed, swap_names },
        { "getdents-position", NULL, try_list_small, prepare_lists, swap_position },
        {},
};
