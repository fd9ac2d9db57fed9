/*
 * differential run|replay --folder DIR --unfiltered SANDBOXCTL [--owner UID:GID] [--ids] [--checked] [--seed N] [--count N] [--seconds N] -- COMMAND…
 * differential inside WORK
 *
 * --show prints every sequence; --wrong takes a right away behind the broker, so that there must be differences. COMMAND is sandboxctl, with what makes it somebody's in front. SANDBOXCTL is a build that can be told to filter nothing, and takes its place on the
 * side that is without a broker. The folder must be empty; the witness is looked for beside argv[0].
 * Root runs everything in a mount namespace of its own, in which only the folder can be written to, and is a tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "differential.h"

/* What either side's folder is mounted on in its sandbox's mount namespace. */
#define SHARED "shared"

#ifndef MOUNT_ATTR_RDONLY
#include <linux/mount.h>
#endif

static _Noreturn void fail(const char *what) {
        fprintf(stderr, "differential: %s: %s\n", what, strerror(errno));
        exit(2);
}

static void copy_file(const char *from, const char *to) {
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        char buffer[65536];
        ssize_t n;

        if (in < 0 || out < 0)
                fail(in < 0 ? from : to);
        while ((n = read(in, buffer, sizeof(buffer))) > 0)
                if (write(out, buffer, n) != n)
                        fail(to);
        close(in);
        close(out);
}

/* A mistake of the broker's, or of this program's, must not cost the machine: sequences remove, truncate and chmod what they can reach, and
 * with `enforce: broker` the host's tree is all there. */
static void protect_machine(const char *folder) {
        struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY }, writable = { .attr_clr = MOUNT_ATTR_RDONLY };

        if (geteuid() != 0)
                return;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                fail("a mount namespace");
        if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256m") < 0)
                fail(folder);
        /* The launcher writes to /proc; a sandbox has one of its own. */
        if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof(read_only)) < 0 ||
            syscall(SYS_mount_setattr, AT_FDCWD, "/proc", 0, &writable, sizeof(writable)) < 0 ||
            syscall(SYS_mount_setattr, AT_FDCWD, folder, 0, &writable, sizeof(writable)) < 0)
                fail("mount_setattr");
}

static void prepare_side(struct side *side, const char *name, const char *folder, const char *program, const char *witness, uid_t uid,
                         gid_t gid) {
        side->name = name;
        snprintf(side->real_top, sizeof(side->real_top), "%s/%s", folder, name);
        snprintf(side->real_work, sizeof(side->real_work), "%s/%s", side->real_top, LEVELS);
        snprintf(side->top, sizeof(side->top), "%s/%s", folder, geteuid() == 0 ? SHARED : name);
        snprintf(side->work, sizeof(side->work), "%s/%s", side->top, LEVELS);
        snprintf(side->policy, sizeof(side->policy), "%s/%s.yaml", folder, name);
        side->program = program;
        side->tree = (struct tree) {
                .top = side->real_top, .work = side->real_work, .shown = side->work, .witness = witness, .uid = uid, .gid = gid
        };
        if (mkdir(side->real_top, 0755) < 0 || (geteuid() == 0 && chown(side->real_top, uid, gid) < 0))
                fail(side->real_top);
}

static void prepare(struct fuzz *fuzz, const char *folder, const char *self, uid_t uid, gid_t gid, char **command, const char *unfiltered) {
        static char programs[PATH_MAX], program[PATH_MAX], witness[PATH_MAX];
        char from[PATH_MAX];
        const char *slash = strrchr(self, '/');

        struct statfs fs;

        umask(0);
        protect_machine(folder);
        /* Only a tmpfs never gives a number twice. */
        if (statfs(folder, &fs) < 0)
                fail(folder);
        if (fs.f_type != TMPFS_MAGIC)
                fuzz->options |= OPTION_REUSED;
        snprintf(programs, sizeof(programs), "%s/programs", folder);
        snprintf(from, sizeof(from), "%.3000s/never", programs);
        if (mkdir(programs, 0755) < 0 || mkdir(from, 0755) < 0)
                fail(programs);
        snprintf(program, sizeof(program), "%.3000s/differential", programs);
        snprintf(witness, sizeof(witness), "%.3000s/witness", programs);
        copy_file("/proc/self/exe", program);
        snprintf(from, sizeof(from), "%.*switness", slash ? (int) (slash - self) + 1 : 0, self);
        copy_file(from, witness);
        umask(022);
        snprintf(from, sizeof(from), "%s/%s", folder, SHARED);
        if (geteuid() == 0 && mkdir(from, 0755) < 0)
                fail(from);
        prepare_side(&fuzz->sides[0], "filter", folder, program, witness, uid, gid);
        prepare_side(&fuzz->sides[1], "broker", folder, program, witness, uid, gid);
        umask(0);
        for (size_t i = 0; i < 2; i++) {
                fuzz->sides[i].command = command;
                fuzz->sides[i].replacement = i == 0 ? unfiltered : NULL;
                fuzz->sides[i].folder = programs;
                fuzz->sides[i].wrong = i == 1 && fuzz->wrong;
                fuzz->sides[i].checked = fuzz->options & OPTION_CHECKED;
                fuzz->sides[i].ids = fuzz->options & OPTION_IDS;
                mode_t mask = umask(022);
                int r = side_start(&fuzz->sides[i]);
                umask(mask);
                if (r < 0) {
                        errno = -r;
                        fail("the sandbox can't be started");
                }
        }
}

static int outside_main(int argc, char **argv) {
        struct fuzz fuzz = { .first = (uint64_t) time(NULL), .count = 0 };
        const char *folder = NULL, *unfiltered = NULL;
        unsigned uid = geteuid(), gid = getegid();
        int i;

        for (i = 2; i + 1 < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--ids") == 0)
                        fuzz.options |= OPTION_IDS;
                else if (strcmp(argv[i], "--checked") == 0)
                        fuzz.options |= OPTION_CHECKED;
                else if (strcmp(argv[i], "--show") == 0)
                        fuzz.show = true;
                else if (strcmp(argv[i], "--wrong") == 0)
                        fuzz.wrong = true;
                else if (strcmp(argv[i], "--unfiltered") == 0)
                        unfiltered = argv[++i];
                else if (strcmp(argv[i], "--folder") == 0)
                        folder = argv[++i];
                else if (strcmp(argv[i], "--owner") == 0)
                        sscanf(argv[++i], "%u:%u", &uid, &gid);
                else if (strcmp(argv[i], "--seed") == 0)
                        fuzz.first = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--count") == 0)
                        fuzz.count = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--seconds") == 0)
                        fuzz.seconds = strtoul(argv[++i], NULL, 10);
                else
                        break;
        if (i + 1 >= argc || strcmp(argv[i], "--") != 0 || !folder || !unfiltered) {
                fprintf(stderr, "usage: differential run|replay --folder DIR --unfiltered SANDBOXCTL [--owner UID:GID] [--ids] [--checked] "
                                "[--seed N] [--count N] [--seconds N] -- COMMAND…\n");
                return 2;
        }
        if (geteuid() == 0)
                fuzz.options |= OPTION_ROOT;
        fuzz.endless = fuzz.count == 0;
        signal(SIGPIPE, SIG_IGN);
        prepare(&fuzz, folder, argv[0], uid, gid, argv + i + 1, unfiltered);
        int r = strcmp(argv[1], "replay") == 0 ? fuzz_replay(&fuzz, fuzz.first) : fuzz_run(&fuzz);
        for (i = 0; i < 2; i++) {
                side_stop(&fuzz.sides[i]);
                tree_wipe(fuzz.sides[i].real_top);
        }
        return r;
}

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "inside") == 0)
                return inside_main(argv[2]);
        if (argc > 2 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "replay") == 0))
                return outside_main(argc, argv);
        fprintf(stderr, "usage: differential run|replay|inside …\n");
        return 2;
}
