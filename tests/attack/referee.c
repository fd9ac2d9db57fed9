/*
 * referee FOLDER COMMAND…: runs a race in a sandbox, stands outside of it at what the sandbox may not change (FOLDER/b, FOLDER/r, FOLDER/p), counts
 * each change there as a win, and puts everything right again, so that the next attempt finds what it needs. The command's last line is
 * "wins N tries M", from what it sees itself; here it is printed with both. What has been counted so far lies in FOLDER/w/score.
 *
 * A change is an event of inotify or another change time. While nothing has been changed the referee changes nothing, so that where it counts
 * no win there was no change at all; events that come while it puts things right are not counted.
 */
#include "attack.h"

#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum { ENTRIES = 32, ATTRIBUTES = 2 };

static const char *const attribute_names[ATTRIBUTES] = { "user.canary", "user.old" };

struct entry {
        char name[64];
        struct stat st;
        char *content; /* of a file; the text of a link */
        bool nodump;
        bool attributes[ATTRIBUTES];
};

static struct place {
        char path[PATH_MAX];
        int fd;
        struct stat st;
        struct entry entries[ENTRIES];
        size_t n;
} places[3];
static size_t n_places;

static volatile uint64_t *score;
static int watcher;

/* ---- What there is ---- */

static bool same(const struct stat *a, const struct stat *b) {
        return a->st_ino == b->st_ino && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void remember_times(struct place *place) {
        if (fstat(place->fd, &place->st) < 0)
                attack_die("%s", place->path);
        for (size_t i = 0; i < place->n; i++)
                if (fstatat(place->fd, place->entries[i].name, &place->entries[i].st, AT_SYMLINK_NOFOLLOW) < 0)
                        attack_die("%s", place->entries[i].name);
}

static char *read_content(const struct place *place, const struct entry *entry) {
        char *content = calloc(1, entry->st.st_size + 1);
        ssize_t n = -1;

        if (!content)
                attack_die("memory");
        if (S_ISLNK(entry->st.st_mode))
                n = readlinkat(place->fd, entry->name, content, entry->st.st_size);
        else {
                int fd = openat(place->fd, entry->name, O_RDONLY);
                n = fd < 0 ? -1 : read(fd, content, entry->st.st_size);
                close(fd);
        }
        if (n != entry->st.st_size)
                attack_die("%s/%s", place->path, entry->name);
        return content;
}

/* What only the forbidden files have. */
static void mark(const struct place *place, const char *name, struct entry *entry, bool canary) {
        int fd = openat(place->fd, name, O_RDONLY), flags = 0;

        for (int i = 0; i < ATTRIBUTES; i++)
                if (canary || i == 1)
                        entry->attributes[i] = fsetxattr(fd, attribute_names[i], "x", 1, 0) == 0;
        if (canary && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
                flags |= FS_NODUMP_FL;
                entry->nodump = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
        }
        close(fd);
}

static void remember(struct place *place, const char *folder, const char *name) {
        const struct dirent *d;

        snprintf(place->path, sizeof(place->path), "%s/%s", folder, name);
        DIR *dir = opendir(place->path);
        if (!dir)
                attack_die("%s", place->path);
        place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while ((d = readdir(dir))) {
                struct entry *entry = place->entries + place->n;
                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                if (place->n == ENTRIES || strlen(d->d_name) >= sizeof(entry->name))
                        attack_die("%s: too much is there", place->path);
                strcpy(entry->name, d->d_name);
                if (fstatat(place->fd, entry->name, &entry->st, AT_SYMLINK_NOFOLLOW) < 0)
                        attack_die("%s", entry->name);
                if (S_ISREG(entry->st.st_mode) || S_ISLNK(entry->st.st_mode))
                        entry->content = read_content(place, entry);
                if (strcmp(entry->name, "file") == 0)
                        mark(place, entry->name, entry, *name == 'b');
                place->n++;
        }
        closedir(dir);
        remember_times(place);
        if (inotify_add_watch(watcher, place->path,
                              IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF) <
            0)
                attack_die("inotify %s", place->path);
}

/* ---- Putting it right ---- */

static bool changed(const struct place *place) {
        struct stat st;

        if (fstat(place->fd, &st) < 0 || !same(&st, &place->st))
                return true;
        for (size_t i = 0; i < place->n; i++)
                if (fstatat(place->fd, place->entries[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !same(&st, &place->entries[i].st))
                        return true;
        return false;
}

static void remove_name(int at, const char *name) {
        struct stat st;

        if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        if (!S_ISDIR(st.st_mode)) {
                unlinkat(at, name, 0);
                return;
        }
        int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        for (const struct dirent *d; dir && (d = readdir(dir));)
                if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                        remove_name(fd, d->d_name);
        if (dir)
                closedir(dir);
        unlinkat(at, name, AT_REMOVEDIR);
}

/* What it was at first; in the same inode where that is still there, since somebody may have it open. */
static void fill(const struct entry *entry, int fd) {
        int flags = 0;

        (void) !pwrite(fd, entry->content, entry->st.st_size, 0);
        (void) !ftruncate(fd, entry->st.st_size);
        fchmod(fd, entry->st.st_mode & 07777);
        fremovexattr(fd, "user.new");
        for (int i = 0; i < ATTRIBUTES; i++)
                if (entry->attributes[i])
                        fsetxattr(fd, attribute_names[i], "x", 1, 0);
        if (entry->nodump && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
                flags |= FS_NODUMP_FL;
                ioctl(fd, FS_IOC_SETFLAGS, &flags);
        }
}

static void make(const struct place *place, const struct entry *entry) {
        mode_t mode = entry->st.st_mode;
        struct stat st;

        /* Somebody else's end of it is gone; the witness's sockets are left as they are. */
        if (S_ISSOCK(mode))
                return;
        bool there = fstatat(place->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == entry->st.st_ino;
        if (!there)
                remove_name(place->fd, entry->name);
        if (S_ISDIR(mode)) {
                mkdirat(place->fd, entry->name, mode & 07777);
                (void) !fchmodat(place->fd, entry->name, mode & 07777, 0);
                return;
        }
        if (S_ISLNK(mode)) {
                (void) !symlinkat(entry->content, place->fd, entry->name);
                return;
        }
        if (there)
                (void) !fchmodat(place->fd, entry->name, 0600, 0);
        int fd = openat(place->fd, entry->name, there ? O_RDWR | O_NOFOLLOW : O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (fd < 0)
                return; /* an attack was faster: the next round */
        fill(entry, fd);
        close(fd);
}

/* Whether it is as it was; an attack may have been there again already. */
static bool right(const struct place *place, const struct entry *entry, const struct stat *st) {
        if (!S_ISREG(entry->st.st_mode))
                return true;
        bool is_right = st->st_mode == entry->st.st_mode && st->st_size == entry->st.st_size;
        int fd = openat(place->fd, entry->name, O_RDONLY | O_NOFOLLOW);
        for (int i = 0; i < ATTRIBUTES; i++)
                is_right = is_right && (!entry->attributes[i] || fgetxattr(fd, attribute_names[i], NULL, 0) >= 0);
        close(fd);
        return is_right;
}

static bool known(const struct place *place, const char *name) {
        for (size_t i = 0; i < place->n; i++)
                if (strcmp(place->entries[i].name, name) == 0)
                        return true;
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes what wasn't there; returns whether there was anything. */
static bool remove_unknown(const struct place *place) {
        int fd = openat(place->fd, ".", O_RDONLY | O_DIRECTORY);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        bool any = false;

        for (const struct dirent *d; dir && (d = readdir(dir));)
                if (!known(place, d->d_name)) {
                        remove_name(place->fd, d->d_name);
                        any = true;
                }
        if (dir)
                closedir(dir);
        return any;
}

static void restore(struct place *place) {
        struct stat st;

        fchmod(place->fd, place->st.st_mode & 07777);
        remove_unknown(place);
        for (size_t i = 0; i < place->n; i++) {
                struct entry *entry = place->entries + i;
                if (fstatat(place->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !same(&st, &entry->st))
                        make(place, entry);
                if (fstatat(place->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                        /* What it was made with stays what it is to be made with. */
                        entry->st.st_ino = st.st_ino;
                        entry->st.st_ctim = st.st_ctim;
                        if (!right(place, entry, &st))
                                entry->st.st_ctim.tv_nsec = -1;
                }
        }
        if (fstat(place->fd, &st) == 0)
                place->st = st;
        if (remove_unknown(place))
                place->st.st_ctim.tv_nsec = -1;
}

static unsigned events(void) {
        char buffer[16384];
        unsigned n = 0;

        while (read(watcher, buffer, sizeof(buffer)) > 0)
                n++;
        return n;
}

static void look(void) {
        bool any = events() > 0;

        for (size_t i = 0; i < n_places; i++)
                any = any || changed(&places[i]);
        if (!any)
                return;
        __atomic_fetch_add(score, 1, __ATOMIC_SEQ_CST);
        /* Once: an attack that goes on meanwhile is the next one's to see. */
        for (size_t i = 0; i < n_places; i++)
                if (changed(&places[i]))
                        restore(&places[i]);
        events();
}

/* ---- The race ---- */

static void open_score(const char *folder) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/w/score", folder);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || ftruncate(fd, sizeof(*score)) < 0)
                attack_die("%s", path);
        score = mmap(NULL, sizeof(*score), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (score == MAP_FAILED)
                attack_die("mmap");
        close(fd);
}

/* The race's own program, which is what the sandbox's command is after its `--`. */
static pid_t swap_outside(char **argv) {
        while (*argv && strcmp(*argv, "--") != 0)
                argv++;
        if (!argv[0] || !argv[1] || !argv[2] || !argv[3] || !argv[4])
                return -1;
        pid_t pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                execl(argv[1], argv[1], "swap", argv[2], argv[4], NULL);
                attack_die("%s", argv[1]);
        }
        return pid;
}

int main(int argc, char **argv) {
        static const char *const names[] = { "b", "r", "p" };
        char said[65536] = "";
        size_t n_said = 0;
        int pipes[2], status;
        ssize_t n;

        if (argc < 3)
                return 2;
        open_score(argv[1]);
        watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        for (; n_places < 3; n_places++)
                remember(&places[n_places], argv[1], names[n_places]);
        events();
        if (pipe2(pipes, O_CLOEXEC) < 0)
                attack_die("pipe");
        pid_t pid = fork();
        if (pid == 0) {
                dup2(pipes[1], 1);
                execvp(argv[2], argv + 2);
                attack_die("%s", argv[2]);
        }
        close(pipes[1]);
        pid_t swapper = swap_outside(argv);
        struct pollfd polled[2] = { { .fd = pipes[0], .events = POLLIN }, { .fd = watcher, .events = POLLIN } };
        for (;;) {
                /* A link count, or a flag, gives no event. */
                poll(polled, 2, 1);
                look();
                if (!(polled[0].revents & (POLLIN | POLLHUP)))
                        continue;
                n = read(pipes[0], said + n_said, sizeof(said) - 1 - n_said);
                if (n <= 0)
                        break;
                n_said += n;
        }
        if (waitpid(pid, &status, 0) != pid)
                attack_die("waitpid");
        if (swapper > 0) {
                kill(swapper, SIGKILL);
                waitpid(swapper, NULL, 0);
        }
        /* What is on its way to the witness arrives. */
        usleep(20000);
        look();
        said[n_said] = 0;
        char *line = strstr(said, "wins ");
        unsigned long long wins, tries;
        if (!line || sscanf(line, "wins %llu tries %llu", &wins, &tries) != 2) {
                printf("%s\nthe race says nothing of wins; wait status %#x\n", said, status);
                return 2;
        }
        printf("%.*swins %llu tries %llu\n", (int) (line - said), said, wins + (unsigned long long) *score, tries);
        return wins + *score > 0;
}
