/*
 * owner FOLDER UID: what belongs to somebody else (UID) in a place that the policy lets be written stays theirs: the broker acts with the caller's ids and
 * without capabilities, though it could do more. FOLDER/w has what the test has made: shut (0700), open (0755), sticky (1777), each with a file, and
 * secret (0600), program (4755), theirs (0666).
 */
#include "attack.h"

#include <limits.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static void contents(void) {
        struct stat st;

        attack_refused("reading a file of mode 0600", open("secret", O_RDONLY), EACCES);
        attack_refused("writing it", open("secret", O_WRONLY), EACCES);
        attack_refused("truncating it", truncate("secret", 0), EACCES);
        attack_refused("access", access("secret", R_OK), EACCES);
        attack_refused("its attribute", setxattr("secret", "user.x", "x", 1, 0), EACCES);
        attack_refused("reading its attribute", getxattr("secret", "user.x", NULL, 0), EACCES);
        attack_refused("looking into a directory of mode 0700", stat("shut/file", &st), EACCES);
        attack_refused("opening in it", open("shut/file", O_RDONLY), EACCES);
        attack_refused("listing it", open("shut", O_RDONLY | O_DIRECTORY), EACCES);
        attack_refused("entering it", chdir("shut"), EACCES);
        attack_refused("making a name in it", mkdir("shut/new", 0700), EACCES);
        attack_refused("watching it", syscall(SYS_inotify_add_watch, 0, "shut", 1), EACCES, EINVAL);
        int fd = open("shut", O_PATH | O_DIRECTORY);
        attack_expect(fd >= 0, "O_PATH of it: %s", strerror(errno));
        attack_refused("opening from its descriptor", openat(fd, "file", O_RDONLY), EACCES);
        close(fd);
}

static void names(void) {
        char text[64];

        attack_refused("making a name in a directory of mode 0755", mkdir("open/new", 0700), EACCES);
        attack_refused("creating in it", open("open/new", O_WRONLY | O_CREAT, 0600), EACCES);
        attack_refused("a symlink in it", symlink("x", "open/new"), EACCES);
        attack_refused("a FIFO in it", mknod("open/new", S_IFIFO | 0600, 0), EACCES);
        attack_refused("a file without a name in it", open("open", O_RDWR | O_TMPFILE, 0600), EACCES);
        attack_refused("removing from it", unlink("open/file"), EACCES);
        attack_refused("renaming out of it", rename("open/file", "taken"), EACCES);
        attack_refused("renaming into it", rename("own", "open/new"), EACCES);
        attack_refused("linking into it", link("own", "open/new"), EACCES);
        attack_refused("removing from a sticky directory", unlink("sticky/file"), EPERM);
        attack_refused("renaming in it", rename("sticky/file", "sticky/other"), EPERM);
        attack_refused("renaming onto it", rename("own", "sticky/file"), EPERM);
        attack_refused("exchanging it", syscall(SYS_renameat2, AT_FDCWD, "own", AT_FDCWD, "sticky/file", 2), EPERM);
        /* fs.protected_hardlinks, where it is on. */
        snprintf(text, sizeof(text), "/proc/sys/fs/protected_hardlinks");
        int fd = open(text, O_RDONLY);
        if (fd >= 0 && read(fd, text, 1) == 1 && text[0] == '1')
                attack_refused("a link to a file that can't be read", link("secret", "taken"), EPERM);
        close(fd);
}

static void attributes(uid_t uid) {
        struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
        struct stat st;

        attack_refused("chmod", chmod("theirs", 0600), EPERM);
        attack_refused("fchmodat2", syscall(452, AT_FDCWD, "theirs", 0600, 0), EPERM);
        attack_refused("chown", chown("theirs", getuid(), getgid()), EPERM);
        attack_refused("lchown", lchown("theirs", getuid(), -1), EPERM);
        attack_refused("utimensat", utimensat(AT_FDCWD, "theirs", times, 0), EPERM);
        int fd = open("theirs", O_RDWR);
        attack_expect(fd >= 0, "theirs: %s", strerror(errno));
        attack_refused("fchmod", fchmod(fd, 0600), EPERM);
        attack_refused("fchown", fchown(fd, getuid(), getgid()), EPERM);
        attack_refused("O_NOATIME", open("theirs", O_RDONLY | O_NOATIME), EPERM);
        close(fd);
        attack_refused("giving a file away", chown("own", uid, -1), EPERM, EINVAL);
        attack_refused("giving a file to another group", chown("own", -1, 12345), EPERM, EINVAL);
        attack_refused("trusted attributes", setxattr("own", "trusted.x", "x", 1, 0), EPERM);
        attack_refused("security attributes",
                       setxattr("own", "security.capability", "\1\0\0\2\377\377\377\377\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0), EPERM, EINVAL);
        attack_expect(chmod("own", 06755) == 0 && stat("own", &st) == 0 && st.st_uid == getuid(), "a setuid file of our own: %s",
                      strerror(errno));
}

/* Writing takes the bits away, and executing gives nothing by them. */
static void setuid_files(uid_t uid) {
        char *argv[] = { (char *) "program", NULL };
        struct stat st;
        int status;

        int fd = open("program", O_WRONLY);
        attack_expect(fd < 0, "a setuid program of somebody else's can be written");
        pid_t pid = fork();
        if (pid == 0) {
                execv("program", argv);
                _exit(3);
        }
        waitpid(pid, &status, 0);
        /* program-ids exits with 1 where the ids differ. */
        attack_expect(WIFEXITED(status) && WEXITSTATUS(status) != 1, "a setuid program of user %u runs as that user: %#x", uid, status);
        chmod("own", 06777);
        fd = open("own", O_WRONLY | O_APPEND);
        attack_expect(fd >= 0 && write(fd, "x", 1) == 1 && stat("own", &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)),
                      "writing keeps setuid: %o", st.st_mode);
        close(fd);
        chmod("own", 06777);
        attack_expect(truncate("own", 0) == 0 && stat("own", &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)),
                      "truncating keeps setuid: %o", st.st_mode);
        chmod("own", 06777);
        attack_expect(chown("own", getuid(), getgid()) == 0 && stat("own", &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)),
                      "chown keeps setuid: %o", st.st_mode);
        unlink("own");
}

int main(int argc, char **argv) {
        char path[PATH_MAX];

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 3)
                return 2;
        snprintf(path, sizeof(path), "%s/w", argv[1]);
        if (chdir(path) < 0)
                attack_die("%s", path);
        unlink("own");
        int fd = open("own", O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0)
                attack_die("own");
        close(fd);
        contents();
        names();
        attributes(strtoul(argv[2], NULL, 10));
        setuid_files(strtoul(argv[2], NULL, 10));
        attack_end();
}
