/*
 * sandbox-runtime install | uninstall
 */
#include "install.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "path.h"
#include "runtime.h"
#include "str.h"

#define BACKUP ".before-sandboxd"
#define FILE_MAX_SIZE (1U << 20)

static const struct engine *const engines[] = { &engine_docker, &engine_containerd, &engine_podman };

struct installation {
        bool removing;
        bool chosen[ELEMENTSOF(engines)];
        const char *root; /* before all paths of files: for images and tests */
        char program[PATH_MAX];
};

static void print_help(void) {
        printf("Usage: sandbox-runtime install|uninstall [--docker] [--containerd] [--podman] [--root DIR]\n"
               "\n"
               "Enters this program into the configuration of container engines as the runtime `sandboxd`, or\n"
               "takes it out again. Without an engine's option: all that are installed. What else is in a\n"
               "configuration stays; the file as it was before is kept beside it (" BACKUP ").\n"
               "\n"
               "  --docker      /etc/docker/daemon.json\n"
               "  --containerd  /etc/containerd/config.toml\n"
               "  --podman      /etc/containers/containers.conf.d/sandboxd.conf\n"
               "  --root DIR    below this directory instead\n"
               "  --help        show this\n");
}

/* ---- Files ---- */

static int read_file(const char *path, char **ret, struct stat *ret_st) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        size_t size;

        if (fd < 0 || fstat(fd, ret_st) < 0)
                return -errno;
        if (!S_ISREG(ret_st->st_mode))
                return -EINVAL;
        int r = fd_read_file(fd, FILE_MAX_SIZE, ret, &size);
        return r >= 0 && strlen(*ret) != size ? -EINVAL : r;
}

/* Beside the file, then in its place: nobody ever reads half of it. */
static int write_file(const char *path, const char *text, const struct stat *like) {
        _cleanup_free_ char *new = NULL;
        _cleanup_close_ int fd = -1;
        int r = asprintf(&new, "%s.sandboxd-new", path) < 0 ? -ENOMEM : 0;

        if (r >= 0 && unlink(new) < 0 && errno != ENOENT)
                r = -errno;
        if (r >= 0)
                r = path_make_parents(new, 0755);
        if (r < 0)
                return r;
        fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = fd_write_full(fd, text, strlen(text));
        if (r >= 0 && (fchown(fd, like ? like->st_uid : 0, like ? like->st_gid : 0) < 0 ||
                       fchmod(fd, like ? like->st_mode & 0777 : 0644) < 0 || fsync(fd) < 0 || rename(new, path) < 0))
                r = -errno;
        if (r < 0)
                (void) unlink(new);
        return r;
}

/* ---- One engine ---- */

/* containerd says itself whether it would start with a configuration. Those of the others can't be wrong by what was added. */
static bool accepted(const struct engine *engine, const char *file) {
        int status;
        pid_t pid;

        if (engine != &engine_containerd || access(engine->program, X_OK) < 0)
                return true;
        fflush(NULL);
        pid = fork();
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);
                if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
                        _exit(1);
                execl(engine->program, engine->program, "--config", file, "config", "dump", NULL);
                _exit(1);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int fail(const char *file, const char *why) {
        _cleanup_free_ char *shown = str_escape(file);

        fprintf(stderr, "sandbox-runtime: %s: %s; nothing was changed in it\n", shown, why);
        return 1;
}

static int add(const struct installation *in, const struct engine *engine, const char *file, const char *backup) {
        _cleanup_free_ char *old = NULL, *new = NULL, *why = NULL;
        struct stat st, backup_st;
        int r = read_file(file, &old, &st);

        if (r < 0 && r != -ENOENT)
                return fail(file, strerror(-r));
        r = engine->add(old, in->program, &new, &why);
        if (r < 0)
                return fail(file, why ? why : strerror(-r));
        if (str_equal(old, new)) {
                printf("%s: as it should be\n", file);
                return 0;
        }
        /* The first install's is the one to go back to. */
        if (old && stat(backup, &backup_st) < 0 && (r = write_file(backup, old, &st)) < 0)
                return fail(backup, strerror(-r));
        r = write_file(file, new, old ? &st : NULL);
        if (r < 0)
                return fail(file, strerror(-r));
        if (!accepted(engine, file)) {
                if (old ? write_file(file, old, &st) < 0 : unlink(file) < 0)
                        return fail(file, "the engine doesn't take it, and what was there couldn't be put back");
                return fail(file, "the engine doesn't take it with the new entry");
        }
        printf("%s: the runtime sandboxd is in it%s%s\n  now: %s%s%s\n", file, old ? "; as it was: " : "", old ? backup : "",
               engine->restart ? engine->restart : "", engine->restart ? "; then " : "", engine->use);
        return 0;
}

static int take_out(const struct installation *in, const struct engine *engine, const char *file, const char *backup) {
        _cleanup_free_ char *old = NULL, *new = NULL, *before = NULL, *again = NULL, *why = NULL;
        struct stat st, before_st;
        int r = read_file(file, &old, &st);

        if (r == -ENOENT) {
                printf("%s: is not there\n", file);
                return 0;
        }
        if (r < 0)
                return fail(file, strerror(-r));
        r = engine->remove(old, in->program, &new, &why);
        if (r == -ENOENT) {
                printf("%s: the runtime sandboxd is not in it\n", file);
                return 0;
        }
        if (r < 0)
                return fail(file, why ? why : strerror(-r));
        /* Nobody has changed it since: as it was before, byte for byte. Else only our entry goes. */
        r = read_file(backup, &before, &before_st);
        bool same = engine->add(r >= 0 ? before : NULL, in->program, &again, &why) >= 0 && str_equal(again, old);
        if (same && r == -ENOENT)
                r = unlink(file) < 0 ? -errno : 0;
        else
                r = write_file(file, same ? before : new, &st);
        if (r < 0)
                return fail(file, strerror(-r));
        (void) unlink(backup);
        printf("%s: the runtime sandboxd is out of it%s%s\n", file, engine->restart ? "\n  now: " : "",
               engine->restart ? engine->restart : "");
        return 0;
}

/* ---- The command ---- */

static int parse(int argc, char **argv, struct installation *in) {
        static const struct option options[] = {
                { "docker", no_argument, NULL, 'd' },     { "containerd", no_argument, NULL, 'c' }, { "podman", no_argument, NULL, 'p' },
                { "root", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' },       {},
        };
        bool any = false;
        int c;

        opterr = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                switch (c) {
                case 'd': in->chosen[0] = any = true; break;
                case 'c': in->chosen[1] = any = true; break;
                case 'p': in->chosen[2] = any = true; break;
                case 'r': in->root = optarg; break;
                case 'h': print_help(); return 1;
                default: {
                        _cleanup_free_ char *word = str_escape(argv[optind - 1]);
                        fprintf(stderr, "sandbox-runtime: %s %s; sandbox-runtime %s --help says more\n", word,
                                c == ':' ? "wants a value" : "is no option", argv[0]);
                        return -EINVAL;
                }
                }
        }
        if (optind < argc) {
                fprintf(stderr, "sandbox-runtime: %s takes no words but options\n", argv[0]);
                return -EINVAL;
        }
        for (size_t i = 0; !any && i < ELEMENTSOF(engines); i++)
                in->chosen[i] = access(engines[i]->program, X_OK) == 0;
        return 0;
}

int install_main(int argc, char **argv) {
        struct installation in = { .removing = str_equal(argv[0], "uninstall"), .root = "" };
        int status = 0, r = parse(argc, argv, &in);
        bool any = false;

        if (r != 0)
                return r < 0;
        ssize_t n = readlink("/proc/self/exe", in.program, sizeof(in.program) - 1);
        if (n < 0 || strpbrk(in.program, "\"\\\n")) {
                fprintf(stderr, "sandbox-runtime: the path of this program can't stand in a configuration\n");
                return 1;
        }
        for (size_t i = 0; i < ELEMENTSOF(engines); i++) {
                _cleanup_free_ char *file = NULL, *backup = NULL;
                if (!in.chosen[i])
                        continue;
                any = true;
                if (asprintf(&file, "%s%s", in.root, engines[i]->file) < 0 || asprintf(&backup, "%s" BACKUP, file) < 0)
                        return 1;
                status |= (in.removing ? take_out : add)(&in, engines[i], file, backup);
        }
        if (!any) {
                fprintf(stderr, "sandbox-runtime: there is no engine here: name one with --docker, --containerd or --podman\n");
                return 1;
        }
        return status;
}
