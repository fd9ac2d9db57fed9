/*
 * The calls that make, remove, rename and link names, over all flags and all kinds of objects and strings: what each gave, and the tree after each that
 * has changed it.
 *
 * usage: probe_names DIR, a folder for the probe, which it fills itself
 */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "probe.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const char *const targets[] = {
        "f",   "f/",   "h",   "d",      "d/",   "d/.",    "d/..",   ".",      "..",       "/",         "",      "l",
        "l/",  "dl",   "dl/", "dl/g",   "d/g",  "e",      "e//",    "gone",   "dangling", "nope",      "nope/", "nope/x",
        "f/x", "loop", "p",   "dark/x", "ro/x", "ro/new", "d/up/f", "../x/f", "sticky/s", "d/sub/new", "d/sub",
};
static const char *const few[] = { "f", "d", "d/",  "e",         "l",      "l/",     "dl/", "nope", "nope/",
                                   ".", "/", "d/g", "d/sub/new", "ro/new", "nope/x", "h",   "..",   "" };

/* ---- The tree ---- */

static void make_file(const char *name, mode_t mode) {
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || write(fd, name, strlen(name)) < 0 || fchmod(fd, mode) < 0)
                abort();
        close(fd);
}

static void make_directory(const char *name, mode_t mode) {
        if (mkdir(name, 0755) < 0 || chmod(name, mode) < 0)
                abort();
}

static void make_link(const char *text, const char *name) {
        if (symlink(text, name) < 0)
                abort();
}

static void make_all(void) {
        make_directory("d", 0755);
        make_directory("d/sub", 0755);
        make_directory("e", 0750);
        make_directory("ro", 0755);
        make_directory("dark", 0755);
        make_directory("sticky", 01777);
        make_file("f", 0644);
        make_file("d/g", 0600);
        make_file("ro/x", 0644);
        make_file("dark/x", 0644);
        make_file("sticky/s", 0644);
        if (link("f", "h") < 0 || mkfifo("p", 0640) < 0 || chmod("ro", 0555) < 0 || chmod("dark", 0) < 0)
                abort();
        make_link("f", "l");
        make_link("d", "dl");
        make_link("gone", "dangling");
        make_link("loop", "loop");
        make_link("..", "d/up");
}

/* Removes all that is below a directory. */
static void clear(int fd) {
        DIR *dir = fdopendir(fd);
        struct dirent *entry;

        if (!dir)
                abort();
        while ((entry = readdir(dir))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (unlinkat(fd, entry->d_name, 0) == 0)
                        continue;
                if (fchmodat(fd, entry->d_name, 0700, 0) < 0)
                        abort();
                int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
                if (below >= 0)
                        clear(below);
                if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0)
                        abort();
        }
        closedir(dir);
}

static int d = -1; /* the directory of that name */

static void again(void) {
        clear(open(".", O_RDONLY | O_DIRECTORY));
        make_all();
        if (d >= 0)
                close(d);
        d = open("d", O_PATH | O_DIRECTORY);
        if (d < 0)
                abort();
}

static int not_dots(const struct dirent *entry) {
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void show_tree(const char *path) {
        struct dirent **list;
        int n = scandir(path, &list, not_dots, alphasort);

        for (int i = 0; i < n; i++) {
                char name[512], text[256] = "";
                struct stat st;
                snprintf(name, sizeof(name), "%s/%.255s", path, list[i]->d_name);
                if (lstat(name, &st) < 0)
                        abort();
                if (S_ISLNK(st.st_mode))
                        (void) !readlink(name, text, sizeof(text) - 1);
                printf(" %s:%o:%lu:%lld:%llx:%s", name + 2, st.st_mode, (unsigned long) st.st_nlink,
                       S_ISDIR(st.st_mode) ? 0LL : (long long) st.st_size, (unsigned long long) st.st_rdev, text);
                if (S_ISDIR(st.st_mode))
                        show_tree(name);
                free(list[i]);
        }
        if (n >= 0)
                free(list);
}

/* The end of each call's line. */
static void done(int r) {
        printf("%s", SHOW(r));
        if (r >= 0) {
                show_tree(".");
                again();
        }
        printf("\n");
}

/* ---- One name ---- */

static void create_all(void) {
        static const mode_t types[] = { 0, S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, 0xf000, 0x3000 };

        for (size_t t = 0; t < N(targets); t++) {
                printf("mkdir %s: ", targets[t]);
                done(syscall(SYS_mkdir, targets[t], 0755));
                printf("mkdirat d %s: ", targets[t]);
                done(syscall(SYS_mkdirat, d, targets[t], 0700));
                for (size_t i = 0; i < N(types); i++) {
                        printf("mknod %s %o: ", targets[t], types[i]);
                        done(syscall(SYS_mknod, targets[t], types[i] | 0644, 0));
                        printf("mknodat with a number %s %o: ", targets[t], types[i]);
                        done(syscall(SYS_mknodat, AT_FDCWD, targets[t], types[i] | 0644, makedev(1, 3)));
                }
                printf("symlink %s: ", targets[t]);
                done(syscall(SYS_symlink, "no/where", targets[t]));
                printf("symlinkat d %s: ", targets[t]);
                done(syscall(SYS_symlinkat, targets[t], d, "new"));
        }
}

static void modes(void) {
        static const mode_t masks[] = { 0, 022, 077, 0777 }, wanted[] = { 0, 0600, 0777, 01777, 06755, 07777, 0x1ffff };

        for (size_t m = 0; m < N(masks); m++)
                for (size_t w = 0; w < N(wanted); w++) {
                        umask(masks[m]);
                        int a = syscall(SYS_mkdir, "new1", wanted[w]), b = syscall(SYS_mknodat, AT_FDCWD, "new2", wanted[w] & 07777, 0),
                            c = syscall(SYS_mknod, "new3", S_IFIFO | (wanted[w] & 07777), 0);
                        umask(022);
                        printf("umask %o mode %o: %d %d %d", masks[m], wanted[w], a, b, c);
                        show_tree(".");
                        printf("\n");
                        again();
                }
}

/* A directory with a default ACL has the last word on modes, not the umask. */
static void show_acl(const char *name) {
        unsigned char value[256];
        ssize_t n = getxattr(name, "system.posix_acl_access", value, sizeof(value));
        struct stat st;

        printf(" %s %o:", name, lstat(name, &st) < 0 ? 0 : st.st_mode);
        for (ssize_t i = 0; i < n; i++)
                printf("%02x", value[i]);
}

static void acls(void) {
        static const uint16_t tags[] = { 0x01, 0x02, 0x04, 0x10, 0x20 }, permissions[] = { 7, 7, 5, 7, 0 };
        struct {
                uint32_t version;
                struct {
                        uint16_t tag, permissions;
                        uint32_t id;
                } entries[N(tags)];
        } acl = { .version = 2 };
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "e/s" };

        for (size_t i = 0; i < N(tags); i++) {
                acl.entries[i].tag = tags[i];
                acl.entries[i].permissions = permissions[i];
                acl.entries[i].id = tags[i] == 0x02 ? getuid() : UINT32_MAX;
        }
        printf("default ACL: %s", SHOW(setxattr("e", "system.posix_acl_default", &acl, sizeof(acl), 0)));
        umask(077);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        printf(" %s %s %s %s", SHOW(mkdir("e/d", 0777)), SHOW(mknod("e/f", 0666, 0)), SHOW(mkfifo("e/p", 0640)),
               SHOW(bind(fd, (struct sockaddr *) &address, sizeof(address))));
        close(fd);
        umask(022);
        show_acl("e/d");
        show_acl("e/f");
        show_acl("e/p");
        show_acl("e/s");
        printf("\n");
        again();
}

static void remove_all(void) {
        static const int flags[] = { 0, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_REMOVEDIR | AT_EMPTY_PATH, 1, -1 };

        for (size_t t = 0; t < N(targets); t++) {
                printf("unlink %s: ", targets[t]);
                done(syscall(SYS_unlink, targets[t]));
                printf("rmdir %s: ", targets[t]);
                done(syscall(SYS_rmdir, targets[t]));
                for (size_t f = 0; f < N(flags); f++) {
                        printf("unlinkat %s %x: ", targets[t], flags[f]);
                        done(syscall(SYS_unlinkat, AT_FDCWD, targets[t], flags[f]));
                }
                printf("unlinkat d %s: ", targets[t]);
                done(syscall(SYS_unlinkat, d, targets[t], 0));
        }
}

/* ---- Two names ---- */

static void rename_all(void) {
        static const unsigned flags[] = { RENAME_NOREPLACE,
                                          RENAME_EXCHANGE,
                                          RENAME_WHITEOUT,
                                          RENAME_NOREPLACE | RENAME_WHITEOUT,
                                          RENAME_NOREPLACE | RENAME_EXCHANGE,
                                          RENAME_EXCHANGE | RENAME_WHITEOUT,
                                          8 };

        for (size_t a = 0; a < N(targets); a++)
                for (size_t b = 0; b < N(targets); b++) {
                        printf("rename %s %s: ", targets[a], targets[b]);
                        done(syscall(SYS_rename, targets[a], targets[b]));
                }
        for (size_t a = 0; a < N(few); a++)
                for (size_t b = 0; b < N(few); b++) {
                        printf("renameat d %s here %s: ", few[a], few[b]);
                        done(syscall(SYS_renameat, d, few[a], AT_FDCWD, few[b]));
                        for (size_t f = 0; f < N(flags); f++) {
                                printf("renameat2 %s %s %x: ", few[a], few[b], flags[f]);
                                done(syscall(SYS_renameat2, AT_FDCWD, few[a], AT_FDCWD, few[b], flags[f]));
                        }
                }
}

static void link_all(void) {
        static const int flags[] = { AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, 1 };

        for (size_t a = 0; a < N(targets); a++)
                for (size_t b = 0; b < N(few); b++) {
                        printf("link %s %s: ", targets[a], few[b]);
                        done(syscall(SYS_link, targets[a], few[b]));
                        for (size_t f = 0; f < N(flags); f++) {
                                printf("linkat %s %s %x: ", targets[a], few[b], flags[f]);
                                done(syscall(SYS_linkat, AT_FDCWD, targets[a], AT_FDCWD, few[b], flags[f]));
                        }
                        printf("linkat d %s: ", targets[a]);
                        done(syscall(SYS_linkat, d, targets[a], d, few[b], AT_SYMLINK_FOLLOW));
                }
}

/* ---- Files without a name ---- */

static int link_descriptor(int fd, const char *name) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static void nameless(void) {
        static const int flags[] = { O_RDWR, O_WRONLY, O_RDWR | O_EXCL };

        for (size_t f = 0; f < N(flags); f++) {
                int fd = open("d", O_TMPFILE | flags[f], 0640);
                printf("O_TMPFILE %o, without following: %s\n", flags[f], SHOW(linkat(fd, "x", AT_FDCWD, "named", 0)));
                printf("O_TMPFILE %o, onto what exists: %s\n", flags[f], SHOW(link_descriptor(fd, "f")));
                printf("O_TMPFILE %o: ", flags[f]);
                done(link_descriptor(fd, "named"));
                close(fd);
                fd = open("d", O_TMPFILE | flags[f], 0640);
                printf("O_TMPFILE %o, by the descriptor: ", flags[f]);
                done(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
                close(fd);
        }
        int fd = open("d/g", O_RDWR);
        printf("a descriptor: ");
        done(link_descriptor(fd, "named"));
        close(fd);
        fd = open("d/g", O_RDWR);
        printf("a descriptor, empty path: ");
        done(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
        close(fd);
        fd = open("d/g", O_RDWR);
        (void) unlink("d/g");
        printf("deleted: ");
        done(link_descriptor(fd, "named"));
        close(fd);
        fd = open("f", O_RDONLY);
        (void) unlink("f");
        printf("deleted, with another name: ");
        done(link_descriptor(fd, "named"));
        close(fd);
        fd = syscall(SYS_memfd_create, "m", 0);
        printf("memfd: ");
        done(link_descriptor(fd, "named"));
        printf("memfd, onto what exists: ");
        done(link_descriptor(fd, "h"));
        close(fd);
        again();
        int pipes[2];
        if (pipe(pipes) < 0)
                abort();
        printf("pipe: ");
        done(link_descriptor(pipes[0], "named"));
        close(pipes[0]);
        close(pipes[1]);
        printf("of procfs: ");
        done(link("/proc/self/status", "named"));
        fd = open("l", O_PATH | O_NOFOLLOW);
        printf("a link's descriptor: ");
        done(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
        close(fd);
}

/* ---- Odd strings, directories that are gone ---- */

static void strings(void) {
        static char path[8192];

        for (size_t length = 253; length < 258; length++) {
                memset(path, 'n', length);
                path[length] = 0;
                printf("names of %zu: %s", length, SHOW(mkdir(path, 0700)));
                printf(" %s", SHOW(rename("f", path)));
                printf(" %s", SHOW(rename(path, "nodir/x")));
                printf(" %s", SHOW(rename(path, "f")));
                printf(" %s", SHOW(link("h", path)));
                printf(" %s\n", SHOW(unlink(path)));
                again();
        }
        for (size_t length = 4092; length < 4099; length++) {
                memset(path, '/', sizeof(path));
                path[0] = '.';
                path[length - 1] = 'z';
                path[length] = 0;
                printf("path of %zu: %s", length, SHOW(mkdir(path, 0700)));
                printf(" %s", SHOW(rename(path, "other")));
                printf(" %s\n", SHOW(symlink(path, "other")));
                again();
        }
        void *bad = (void *) 8;
        printf("faults: %s", SHOW(syscall(SYS_mkdir, bad, 0)));
        printf(" %s", SHOW(syscall(SYS_mknod, bad, S_IFDIR, 0)));
        printf(" %s", SHOW(syscall(SYS_mknod, bad, 0, 0)));
        printf(" %s", SHOW(syscall(SYS_symlink, bad, "")));
        printf(" %s", SHOW(syscall(SYS_symlink, "", bad)));
        printf(" %s", SHOW(syscall(SYS_rename, bad, "")));
        printf(" %s", SHOW(syscall(SYS_rename, "", bad)));
        printf(" %s", SHOW(syscall(SYS_rename, "nodir/x", bad)));
        printf(" %s", SHOW(syscall(SYS_link, bad, "")));
        printf(" %s", SHOW(syscall(SYS_link, "nodir/x", bad)));
        printf(" %s", SHOW(syscall(SYS_linkat, AT_FDCWD, NULL, AT_FDCWD, "x", AT_EMPTY_PATH)));
        printf(" %s", SHOW(syscall(SYS_unlinkat, AT_FDCWD, bad, 8)));
        printf(" %s\n", SHOW(syscall(SYS_unlink, bad)));
        printf("descriptors: %s", SHOW(mkdirat(-1, "x", 0)));
        printf(" %s", SHOW(mkdirat(999, "x", 0)));
        printf(" %s", SHOW(mkdirat(0, "x", 0)));
        printf(" %s", SHOW(renameat(AT_FDCWD, "f", 999, "x")));
        printf(" %s", SHOW(renameat(999, "f", AT_FDCWD, "x")));
        printf(" %s\n", SHOW(unlinkat(-1, "/nowhere/x", 0)));
}

static void gone(void) {
        if (mkdir("left", 0700) < 0 || chdir("left") < 0 || rmdir("../left") < 0)
                abort();
        static const char names[][12] = { "x", "./x", ".", "..", "../z", "../left/x", "" };
        for (size_t i = 0; i < N(names); i++) {
                printf("in a directory that is gone, %s: %s", names[i], SHOW(mkdir(names[i], 0700)));
                printf(" %s", SHOW(unlink(names[i])));
                printf(" %s", SHOW(rmdir(names[i])));
                printf(" %s", SHOW(rename(names[i], "y")));
                printf(" %s", SHOW(rename("../f", names[i])));
                printf(" %s", SHOW(symlink("t", names[i])));
                printf(" %s\n", SHOW(link("../f", names[i])));
        }
        if (chdir("..") < 0)
                abort();
        again();
}

/* ---- bind ---- */

static void bind_all(void) {
        static const char *const names[] = {
                "new",       "new/", "./new", "d/new", "dl/new", "d/../new", "f",      "l",      "dangling",
                "dangling/", ".",    "/",     "..",    "nope/x", "f/x",      "dark/x", "ro/new", "d/sub//new"
        };
        static const mode_t masks[] = { 0, 022, 0777 };

        for (size_t i = 0; i < N(names); i++) {
                struct sockaddr_un address = { .sun_family = AF_UNIX };
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);
                strcpy(address.sun_path, names[i]);
                umask(masks[i % N(masks)]);
                int r = bind(fd, (struct sockaddr *) &address, sizeof(address));
                printf("bind %s: %s again %s", names[i], SHOW(r), SHOW(bind(fd, (struct sockaddr *) &address, sizeof(address))));
                umask(022);
                if (r >= 0)
                        show_tree(".");
                close(fd);
                again();
                printf("\n");
        }
}

int main(int argc, char **argv) {
        if (argc != 2 || chdir(argv[1]) < 0)
                return 2;
        probe_drop_rights();
        setvbuf(stdout, NULL, _IOFBF, 1 << 20);
        umask(022);
        again();
        modes();
        create_all();
        acls();
        remove_all();
        rename_all();
        link_all();
        nameless();
        strings();
        gone();
        bind_all();
        clear(open(".", O_RDONLY | O_DIRECTORY));
        printf("end\n");
        return fflush(stdout) == 0 ? 0 : 1;
}
