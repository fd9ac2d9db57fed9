/*
 * sandboxctl service: puts an existing service of systemd behind the broker, and takes it back.
 */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "json_print.h"
#include "message.h"
#include "str.h"
#include "sys.h"
#include "verbs.h"

struct words {
        const char *unit, *policy;
        bool relax, now, json;
};

void service_help(void) {
        printf("Usage: sandboxctl service wrap [OPTION]… UNIT\n"
               "       sandboxctl service unwrap [--now] [--json] UNIT\n"
               "       sandboxctl service status [--json] [UNIT]\n"
               "\n"
               "Puts a service of systemd behind sandboxd, in place: it keeps its unit's user,\n"
               "files, sockets and limits. Only a drop-in is written; unwrap removes it.\n"
               "\n"
               "Options:\n"
               "  --policy P  the policy: a name, or a file's path (default: " SERVICE_POLICY ")\n"
               "  --relax     override lines of the unit that forbid it\n"
               "  --now       restart the service, if it runs\n"
               "  --json      write one JSON object, or an array of them\n"
               "\n"
               "See sandboxctl(1).\n");
}

/* 1: all was said already. */
static int parse(int argc, char **argv, struct words *ret) {
        static const struct option options[] = {
                { "policy", required_argument, NULL, 'p' }, { "relax", no_argument, NULL, 'r' }, { "now", no_argument, NULL, 'n' },
                { "json", no_argument, NULL, 'j' },         { "help", no_argument, NULL, 'h' },  {},
        };
        bool wrap = str_equal(argv[0], "wrap");
        int c;

        *ret = (struct words) { .policy = SERVICE_POLICY };
        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
                switch (c) {
                case 'p': ret->policy = optarg; break;
                case 'r': ret->relax = true; break;
                case 'n': ret->now = true; break;
                case 'j': ret->json = true; break;
                case 'h': service_help(); return 1;
                default: return message_bad_option("service", c, argv, options);
                }
        if (!wrap && (ret->relax || !str_equal(ret->policy, SERVICE_POLICY)))
                return message_fail("service %s takes a unit, --now and --json only", argv[0]), -EINVAL;
        if (optind != argc - 1)
                return message_fail("service %s takes one unit (sandboxctl service --help)", argv[0]), -EINVAL;
        ret->unit = argv[optind];
        if (geteuid() != 0)
                return message_fail("only root can change the system's services"), -EPERM;
        return 0;
}

/* ---- what is needed ---- */

/* It stands in the drop-in, so that it must mean the same there: no current directory, nothing that systemd would expand. */
static int check_policy(const char *policy, char **ret_file) {
        _cleanup_free_ char *shown = str_escape(policy);
        struct service_policy p = {};
        int r;

        if (strchr(policy, '/') && policy[0] != '/')
                return message_fail("--policy %s: say the whole path: the service doesn't start in this directory", shown), -EINVAL;
        if (policy[0] == 0 || policy[strspn(policy, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")])
                return message_fail("--policy %s: a unit's policy has a plain name: letters, digits, / . _ and -", shown), -EINVAL;
        r = service_policy_load(&p, policy, "service", 0, 0);
        service_policy_done(&p);
        if (r >= 0 && (r = service_policy_file(policy, ret_file)) < 0)
                message_fail("the file of the policy %s isn't found: %s", shown, strerror(-r));
        return r;
}

static int check_daemon(sd_bus *bus) {
        struct unit daemon;
        int r = unit_open(bus, "sandboxd.service", false, &daemon);

        unit_done(&daemon);
        if (r < 0)
                message_fail(
                        "sandboxd.service is not there: the service would not find its broker. Install sandboxd below /usr or /usr/local, "
                        "or systemctl link its units");
        return r;
}

static int find_program(char ret[PATH_MAX]) {
        if (!realpath("/proc/self/exe", ret))
                return message_fail("the path of this program isn't known: %s", strerror(errno)), -errno;
        if (ret[strspn(ret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")])
                return message_fail("%s: systemd would not read this path as it is: install sandboxctl", ret), -EINVAL;
        return 0;
}

/* ---- obstacles ---- */

static void print_obstacle(const struct unit *u, const struct obstacle *o) {
        _cleanup_free_ char *value = str_escape(o->line ? o->line->value : "");

        if (o->line)
                fprintf(stderr, "%s:%u: %s=%s: %s\n", o->line->file, o->line->line, o->key, value, o->why);
        else
                fprintf(stderr, "%s: %s: %s\n", u->id, o->key, o->why);
}

/* The lines that override what stands against it; the caller frees them. NULL: nothing does. */
static int face_obstacles(const struct unit *u, const char *file, bool relax, char **ret) {
        _cleanup_(strbuf_done) struct strbuf lines = {};
        struct obstacle *list;
        bool firm = false;
        size_t n;
        int r = unit_obstacles(u, file, &list, &n);

        if (r < 0)
                return message_fail("%s can't be looked into: %s", u->id, strerror(-r)), r;
        for (size_t i = 0; i < n; i++) {
                print_obstacle(u, list + i);
                firm = firm || !list[i].relax;
                strbuf_puts(&lines, list[i].relax ?: "");
        }
        obstacles_free(list, n);
        if (lines.failed)
                return -ENOMEM;
        if (firm)
                return message_fail("%s can't be wrapped", u->id), -EINVAL;
        if (n > 0 && !relax)
                return message_fail("%s forbids it by the lines above; --relax overrides them:\n%s", u->id, lines.text), -EPERM;
        *ret = n > 0 ? strbuf_take(&lines) : NULL;
        return 0;
}

/* ---- the file ---- */

static int write_drop_in(const struct unit *u, const char *text) {
        _cleanup_free_ char *folder = strdup(u->drop_in), *temporary = NULL;
        int r = 0;

        if (!folder || asprintf(&temporary, "%s.new", u->drop_in) < 0)
                return -ENOMEM;
        *strrchr(folder, '/') = 0;
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return -errno;
        _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        if ((r = fd_write_full(fd, text, strlen(text))) >= 0 &&
            (fchmod(fd, 0644) < 0 || fsync(fd) < 0 || rename(temporary, u->drop_in) < 0))
                r = -errno;
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

static int remove_drop_in(const struct unit *u) {
        _cleanup_free_ char *folder = strdup(u->drop_in);

        if (!folder)
                return -ENOMEM;
        if (unlink(u->drop_in) < 0)
                return -errno;
        *strrchr(folder, '/') = 0;
        (void) rmdir(folder); /* if nothing else is in it */
        return 0;
}

/* Whether systemd starts nothing of it but through us, whatever other files there are. */
static bool holds(const struct unit *u, const char *program) {
        for (size_t i = 0; exec_keys[i]; i++) {
                char **programs = unit_first_texts(u, exec_keys[i], "sasbttttuii", "asbttttuii");
                bool ours = true;
                for (char **p = programs; p && *p; p++)
                        ours = ours && str_equal(*p, program);
                unit_list_free(programs);
                if (!ours)
                        return false;
        }
        return true;
}

static int restart(const char *unit) {
        int status = -1;
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                execlp("systemctl", "systemctl", "try-restart", unit, NULL);
                _exit(127);
        }
        sys_reap(pid, &status);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static void print_done(const struct unit *u, const struct words *w, bool wrapped, bool restarted) {
        const char *done = wrapped ? "is wrapped" : "is unwrapped";

        if (w->json) {
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "unit", json_object_new_string(u->id));
                json_object_object_add(o, "wrapped", json_object_new_boolean(wrapped));
                json_object_object_add(o, "drop-in", json_object_new_string(u->drop_in));
                json_object_object_add(o, "restarted", json_object_new_boolean(restarted));
                json_print(o);
        } else if (!w->now)
                printf("%s %s. It takes effect when it is started anew: systemctl restart %s\n", u->id, done, u->id);
        else if (restarted)
                printf("%s %s\n", u->id, done);
        if (w->now && !restarted)
                message_fail("%s %s, but it could not be restarted (journalctl -u %s says why)", u->id, done, u->id);
}

/* 0, or our exit status. */
static int finish(const struct unit *u, const struct words *w, bool wrapped) {
        bool restarted = w->now && restart(u->id) >= 0;

        print_done(u, w, wrapped, restarted);
        return w->now && !restarted ? EXIT_OURS : 0;
}

/* ---- the verbs ---- */

static int wrap(struct unit *u, const struct words *w) {
        _cleanup_free_ char *file = NULL, *relax = NULL, *text = NULL;
        char program[PATH_MAX];
        int r;

        if (u->wrapped)
                return message_fail("%s is wrapped already, by %s: sandboxctl service unwrap %s first", u->id, u->drop_in, u->id), -EEXIST;
        if ((r = find_program(program)) < 0 || (r = check_daemon(u->bus)) < 0 || (r = check_policy(w->policy, &file)) < 0 ||
            (r = face_obstacles(u, file, w->relax, &relax)) < 0)
                return r;
        r = drop_in_make(u, w->policy, program, relax, &text);
        if (r == -ENODATA)
                return message_fail("%s starts nothing: it has no Exec lines", u->id), r;
        if (r < 0 || (r = write_drop_in(u, text)) < 0)
                return message_fail("%s can't be written: %s", u->drop_in, strerror(-r)), r;
        r = systemd_reload(u->bus);
        if (r >= 0 && !holds(u, program)) {
                message_fail("%s doesn't prevail: another file gives the unit Exec lines after it (systemctl cat %s shows them)",
                             u->drop_in, u->id);
                r = -EBUSY;
        }
        if (r < 0 && remove_drop_in(u) >= 0)
                (void) systemd_reload(u->bus);
        return r;
}

static int unwrap(struct unit *u) {
        int r;

        if (!u->wrapped)
                return message_fail("%s isn't wrapped: there is no %s", u->id, u->drop_in), -ENOENT;
        if ((r = remove_drop_in(u)) < 0)
                return message_fail("%s can't be removed: %s", u->drop_in, strerror(-r)), r;
        return systemd_reload(u->bus);
}

static int change(int argc, char **argv) {
        bool wraps = str_equal(argv[0], "wrap");
        struct unit unit = {};
        struct words words;
        sd_bus *bus;
        int r = parse(argc, argv, &words);

        if (r != 0)
                return r < 0 ? EXIT_OURS : 0;
        if (systemd_connect(&bus) < 0)
                return EXIT_OURS;
        /* What it has read is what is in the files. */
        if ((r = systemd_reload(bus)) >= 0)
                r = unit_open(bus, words.unit, !wraps, &unit);
        if (r >= 0)
                r = wraps ? wrap(&unit, &words) : unwrap(&unit);
        r = r < 0 ? EXIT_OURS : finish(&unit, &words, wraps);
        unit_done(&unit);
        sd_bus_flush_close_unref(bus);
        return r;
}

int verb_service(int argc, char **argv) {
        static const char *const verbs[] = { "wrap", "unwrap", "status" };

        if (argc < 2 || str_equal(argv[1], "--help") || str_equal(argv[1], "-h")) {
                service_help();
                return argc < 2 ? EXIT_OURS : 0;
        }
        if (str_equal(argv[1], "status"))
                return service_status(argc - 1, argv + 1);
        if (str_equal(argv[1], "wrap") || str_equal(argv[1], "unwrap"))
                return change(argc - 1, argv + 1);
        _cleanup_free_ char *word = str_escape(argv[1]);
        const char *near = str_nearest(argv[1], verbs, ELEMENTSOF(verbs));
        return message_fail("there is no service %s%s%s%s (sandboxctl service --help)", word, near ? "; did you mean " : "", near ?: "",
                            near ? "?" : "");
}
