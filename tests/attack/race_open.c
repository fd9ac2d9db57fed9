/*
 * Opening, looking at and reading a path.
 */
#include "race.h"

#include <dirent.h>

static ino_t inode_a;

static void prepare_inode(void) {
        struct stat st;

        if (stat(race_shared->path, &st) < 0)
                attack_die("%s", race_shared->path);
        inode_a = st.st_ino;
}

/* ---- open ---- */

static bool try_open(void) {
        return race_canary(syscall(SYS_open, race_shared->path, O_RDONLY));
}

static bool try_openat(void) {
        return race_canary(syscall(SYS_openat, AT_FDCWD, race_shared->path, O_RDONLY));
}

static bool try_openat2(void) {
        struct open_how how = { .flags = O_RDONLY };

        return race_canary(syscall(SYS_openat2, AT_FDCWD, race_shared->path, &how, sizeof(how)));
}

/* openat2's flags lie in memory. FOLDER/r may be read, not written. */
static void prepare_how(void) {
        race_path(race_shared->path, "r/file");
        race_shared->how.flags = O_RDONLY;
        race_set_byte((volatile char *) &race_shared->how.flags, O_RDONLY, O_RDWR);
}

static bool try_how(void) {
        int fd = syscall(SYS_openat2, AT_FDCWD, race_shared->path, &race_shared->how, sizeof(race_shared->how));
        bool win = fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;

        if (fd >= 0)
                close(fd);
        return win;
}

/* The referee sees what is made. */
static bool made(int fd) {
        if (fd >= 0)
                close(fd);
        unlinkat(race_side, "new", 0);
        return false;
}

static bool try_creat(void) {
        return made(syscall(SYS_creat, race_shared->path, 0600));
}

static bool try_create_exclusive(void) {
        return made(syscall(SYS_openat, AT_FDCWD, race_shared->path, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static bool try_open_create(void) {
        return made(syscall(SYS_open, race_shared->path, O_WRONLY | O_CREAT, 0600));
}

static bool try_open_truncate(void) {
        int fd = open(race_shared->path, O_WRONLY | O_TRUNC);

        if (fd >= 0)
                close(fd);
        return false;
}

/* A directory's O_TMPFILE, given a name: /proc/self/fd shows where it lies. */
static bool try_tmpfile(void) {
        char link[64], text[PATH_MAX] = "";
        int fd = syscall(SYS_openat, AT_FDCWD, race_shared->path, O_RDWR | O_TMPFILE, 0600);
        size_t n = strlen(race_folder);

        if (fd < 0)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, text, sizeof(text) - 1);
        close(fd);
        return length > 0 && strncmp(text, race_folder, n) == 0 && strncmp(text + n, "/b/", 3) == 0;
}

/* The kernel goes on with opens with O_PATH, so that a swapped path gives a descriptor of the canary: nothing is to be had by it. */
static bool try_open_path(void) {
        struct stat st = {};
        struct statx stx = {};
        char link[64];
        int fd = open(race_shared->path, O_PATH);
        bool won;

        if (fd < 0)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        won = (syscall(SYS_fstat, fd, &st) == 0 && st.st_ino != inode_a) ||
              (syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && st.st_ino != inode_a) ||
              (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 && stx.stx_ino != inode_a) ||
              race_canary(open(link, O_RDONLY));
        close(fd);
        return won;
}

/* ---- stat, access, readlink ---- */

static bool try_stat(void) {
        struct stat st = {};

        return syscall(SYS_stat, race_shared->path, &st) == 0 && st.st_ino != inode_a;
}

static bool try_lstat(void) {
        struct stat st = {};

        return syscall(SYS_lstat, race_shared->path, &st) == 0 && st.st_ino != inode_a;
}

static bool try_newfstatat(void) {
        struct stat st = {};

        return syscall(SYS_newfstatat, AT_FDCWD, race_shared->path, &st, 0) == 0 && st.st_ino != inode_a;
}

static bool try_statx(void) {
        struct statx stx = {};

        return syscall(SYS_statx, AT_FDCWD, race_shared->path, 0, STATX_BASIC_STATS, &stx) == 0 && stx.stx_ino != inode_a;
}

static bool try_access(void) {
        return syscall(SYS_access, race_shared->path, R_OK) == 0;
}

static bool try_faccessat(void) {
        return syscall(SYS_faccessat, AT_FDCWD, race_shared->path, R_OK) == 0;
}

static bool try_faccessat2(void) {
        return syscall(SYS_faccessat2, AT_FDCWD, race_shared->path, R_OK, AT_EACCESS) == 0;
}

static bool try_readlink(void) {
        char text[16] = "";

        return syscall(SYS_readlink, race_shared->path, text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0;
}

static bool try_readlinkat(void) {
        char text[16] = "";

        return syscall(SYS_readlinkat, AT_FDCWD, race_shared->path, text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0;
}

/* ---- Directories that a thread has got into ---- */

/* What can be had of the directory at `fd` (AT_FDCWD: the current one), were it the forbidden one: `absent` and what `link` says are there alone. */
static bool inside_forbidden(int fd) {
        char text[16] = "", own[64];
        struct stat st;

        if (race_canary(openat(fd, "absent", O_RDONLY)) || race_canary(openat(fd, "olddir/../absent", O_RDONLY)) ||
            fstatat(fd, "absent", &st, 0) == 0 || fstatat(fd, "absent", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
            faccessat(fd, "absent", F_OK, 0) == 0 || (readlinkat(fd, "link", text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0))
                return true;
        if (fd == AT_FDCWD)
                strcpy(own, "/proc/self/cwd/absent");
        else
                snprintf(own, sizeof(own), "/proc/self/fd/%d/absent", fd);
        if (race_canary(open(own, O_RDONLY)) || stat(own, &st) == 0)
                return true;
        int list = openat(fd, ".", O_RDONLY | O_DIRECTORY);
        DIR *dir = list < 0 ? NULL : fdopendir(list);
        bool seen = false;
        for (const struct dirent *entry; dir && (entry = readdir(dir));)
                seen = seen || strcmp(entry->d_name, "absent") == 0;
        if (dir)
                closedir(dir);
        return seen;
}

/* The kernel goes on with both, so that a swapped path leads into the forbidden directory: nothing is to be had there. Only what has got there is
 * counted as a try; getcwd says so. */
static bool reached_forbidden(void) {
        char path[PATH_MAX], forbidden[PATH_MAX];

        race_path(forbidden, "b");
        if (!getcwd(path, sizeof(path)) || strcmp(path, forbidden) != 0)
                return false;
        race_reached++;
        return true;
}

static void count_reached(void) {
        race_counts_reached = true;
}

static bool try_chdir(void) {
        bool won;

        if (chdir(race_shared->path) < 0)
                return false;
        won = reached_forbidden() && inside_forbidden(AT_FDCWD);
        if (fchdir(race_side) < 0)
                attack_die("fchdir");
        return won;
}

static bool try_open_directory(void) {
        int fd = open(race_shared->path, O_PATH | O_DIRECTORY);
        bool won;

        if (fd < 0)
                return false;
        won = fchdir(fd) == 0 && reached_forbidden() && (inside_forbidden(fd) || inside_forbidden(AT_FDCWD));
        if (fchdir(race_side) < 0)
                attack_die("fchdir");
        close(fd);
        return won;
}

/* Threads share their current directory. Another thread goes where a relative path means something else: into FOLDER/w/b, in which `b` isn't there, and
 * into FOLDER, where it is the forbidden one. */
static char parents[2][PATH_MAX];

static void prepare_cwd(void) {
        char path[PATH_MAX];

        race_path(parents[0], "w");
        race_path(parents[1], ".");
        race_path(path, "a");
        race_side = open(path, O_PATH | O_DIRECTORY);
        strcpy(race_shared->path, "b/file");
        if (chdir(parents[0]) < 0)
                attack_die("chdir %s", parents[0]);
}

static void swap_cwd(int which) {
        if (chdir(parents[which]) < 0)
                attack_die("chdir %s", parents[which]);
}

const struct race race_open[] = {
        { "open", "file", try_open },
        { "openat", "file", try_openat },
        { "openat2", "file", try_openat2 },
        { "openat2-how", NULL, try_how, prepare_how, race_swap_byte },
        { "creat", "new", try_creat },
        { "open-exclusive", "new", try_create_exclusive },
        { "open-create", "new", try_open_create },
        { "open-truncate", "file", try_open_truncate },
        { "open-tmpfile", "", try_tmpfile },
        { "open-path", "file", try_open_path, prepare_inode },
        { "open-directory", "", try_open_directory, count_reached },
        { "stat", "file", try_stat, prepare_inode },
        { "lstat", "file", try_lstat, prepare_inode },
        { "newfstatat", "file", try_newfstatat, prepare_inode },
        { "statx", "file", try_statx, prepare_inode },
        { "access", "absent", try_access },
        { "faccessat", "absent", try_faccessat },
        { "faccessat2", "absent", try_faccessat2 },
        { "readlink", "link", try_readlink },
        { "readlinkat", "link", try_readlinkat },
        { "chdir", "", try_chdir, count_reached },
        { "cwd", NULL, try_open, prepare_cwd, swap_cwd },
        {},
};
