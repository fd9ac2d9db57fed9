/*
 * sandboxctl enter: runs a command in a sandbox of sandboxd's that runs already, under its policy.
 *
 * sandboxd hands a socket of ours on to the sandbox's init, which does the rest (lib/launch/enter.c): we send the words, the environment and our standard
 * streams, relay terminal and signals, and hear how it ends. Should we be killed, init sees that the socket is closed, and kills the command.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "ended.h"
#include "environment.h"
#include "fd.h"
#include "message.h"
#include "plan.h"
#include "remote.h"
#include "sandboxes.h"
#include "str.h"
#include "supervise.h"
#include "verbs.h"

extern char **environ;

struct words {
        const char *chdir;
        char **environment; /* --env, as given */
        size_t n_environment;
        const char *sandbox;
        char **command;
};

static void print_help(void) {
        printf("Usage: sandboxctl enter [OPTION]… SANDBOX [--] COMMAND [ARGUMENT]…\n"
               "\n"
               "Runs a command in a sandbox of sandboxd's that runs already: with the same files,\n"
               "processes and network, under the same policy.\n"
               "\n"
               "Options:\n"
               "  --chdir DIR  start there (default: the current directory, where the sandbox shows\n"
               "               it, else /)\n"
               "  --env K[=V]  pass a variable on, or set it\n"
               "  --help       show this\n"
               "\n"
               "Exit status: the command's own; 128 and the signal's number when it was killed;\n"
               "125 when sandboxctl failed, 126 when the command can't be executed, 127 when it\n"
               "isn't there.\n"
               "\n"
               "See sandboxctl(1) and sandboxd(8).\n");
}

/* Returns 0; 1 when all was said already; negative errno, said. */
static int words_parse(int argc, char **argv, struct words *w) {
        static const struct option options[] = {
                { "chdir", required_argument, NULL, 'c' },
                { "env", required_argument, NULL, 'e' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        w->environment = calloc(argc, sizeof(*w->environment));
        if (!w->environment)
                return message_fail("%s", strerror(ENOMEM)), -ENOMEM;
        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, "+:h", options, NULL)) >= 0) {
                switch (c) {
                case 'h': print_help(); return 1;
                case 'e': w->environment[w->n_environment++] = optarg; break;
                case 'c':
                        w->chdir = optarg;
                        if (optarg[0] == '/')
                                break;
                        message_fail("--chdir wants an absolute path as the sandbox sees it");
                        return -EINVAL;
                default: message_bad_option(argv[0], c, argv, options); return -EINVAL;
                }
        }
        if (optind < argc)
                w->sandbox = argv[optind++];
        /* What stands between the two is for the options' end. */
        if (optind < argc && str_equal(argv[optind], "--"))
                optind++;
        if (optind >= argc) {
                message_fail("enter wants the name of a sandbox, and a command; try: sandboxctl enter NAME -- COMMAND");
                return -EINVAL;
        }
        w->command = argv + optind;
        return sandbox_word_check(w->sandbox);
}

/* The current directory, where it is the same inside. */
static const char *find_directory(const struct words *w, const struct plan *plan, char cwd[PATH_MAX]) {
        if (w->chdir)
                return w->chdir;
        if (plan->root || !getcwd(cwd, PATH_MAX) || cwd[0] != '/')
                return "/";
        struct match match = plan_match(plan, cwd);
        return !match.own && (match.state == MATCH_ANCESTOR || match.state == MATCH_GRANTED) ? cwd : "/";
}

/* Has the socket handed to init; the command runs then, or an event says why not. */
static int hand_in(struct remote *remote, const char *name, int socket, struct launched *launched) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        int r = control_object(name, &object);

        if (r >= 0)
                r = sd_bus_call_method(remote->bus, NULL, object, CONTROL_SANDBOX, "Enter", &error, NULL, "h", socket);
        fd_close(socket);
        if (r < 0)
                (void) remote_failed(r, &error, name);
        else if ((r = launch_enter_wait(launched)) < 0)
                message_fail("%s can't be entered: it has ended, or was started by a sandboxctl that didn't know how", name);
        sd_bus_error_free(&error);
        return r;
}

static int conclude(const struct words *w, const struct ended *ended) {
        switch (ended->outcome) {
        case OUTCOME_EXITED: return ended_code(ended->status);
        case OUTCOME_NOT_STARTED: return ended_not_started(&ended->failure, w->command[0], "the command");
        default: message_note("the sandbox %s has ended, and the command with it", w->sandbox); return 128 + SIGKILL;
        }
}

static int enter(const struct words *w) {
        _cleanup_(remote_done) struct remote remote = REMOTE_INIT;
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(environment_done) struct environment environment = {};
        _cleanup_free_ char *error = NULL;
        struct launched launched = LAUNCHED_INIT;
        struct ended ended;
        char cwd[PATH_MAX];
        int socket;

        if (remote_connect(&remote) < 0 || remote_plan(&remote, w->sandbox, &policy, &plan) < 0 ||
            environment_make(plan, environ, w->environment, w->n_environment, &environment) < 0)
                return EXIT_OURS;
        struct launch_entry entry = {
                .argv = w->command,
                .environment = environment.list,
                .chdir = find_directory(w, plan, cwd),
                .umask = umask(0),
                .stdio = { 0, 1, 2 },
        };
        umask(entry.umask);
        supervise_block_signals();
        if (launch_enter(&entry, &launched, &socket, &error) < 0)
                return message_fail("%s", error ? error : strerror(ENOMEM));
        int r = hand_in(&remote, w->sandbox, socket, &launched);
        if (r >= 0 && (r = supervise_entered(&launched, &ended)) < 0)
                message_fail("the command could not be watched, and was killed: %s", strerror(-r));
        launched_done(&launched);
        return r < 0 ? EXIT_OURS : conclude(w, &ended);
}

int verb_enter(int argc, char **argv) {
        struct words words = {};
        int r = words_parse(argc, argv, &words);
        int status = r < 0 ? EXIT_OURS : r > 0 ? 0 : enter(&words);

        free(words.environment);
        return status;
}
