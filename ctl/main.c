/*
 * sandboxctl: the command line. This file only finds the verb.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "message.h"
#include "str.h"
#include "verbs.h"

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *help;
} verbs[] = {
        { "exec", verb_exec, "run a command in a sandbox" },
        { "enter", verb_enter, "run a command in a sandbox that runs already" },
        { "ps", verb_ps, "list the sandboxes that sandboxd owns" },
        { "status", verb_status, "show one of them" },
        { "stop", verb_stop, "end sandboxes: SIGTERM, then kill" },
        { "kill", verb_kill, "kill sandboxes, or signal them" },
        { "wait", verb_wait, "wait for a sandbox's end" },
        { "logs", verb_logs, "show what a detached sandbox has written" },
        { "diff", verb_diff, "show what a kept layer changes" },
        { "commit", verb_commit, "apply a kept layer to the directories below it" },
        { "service", verb_service, "put a service of systemd behind the broker" },
        { "policy", verb_policy, "check, list or show policies, or apply one to a sandbox that runs" },
        { "doctor", verb_doctor, "say what this machine can do, and what is lost where it can't" },
};

static void print_help(void) {
        printf("Usage: sandboxctl VERB [OPTION]… \n"
               "\n"
               "Runs programs behind a syscall broker.\n"
               "\n"
               "Verbs:\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
        printf("\n"
               "Options:\n"
               "  --help     show this, or with a verb its own help\n"
               "  --version  show the version\n"
               "\n"
               "Example:\n"
               "  sandboxctl exec -- python3 script.py\n"
               "\n"
               "See sandboxctl(1) and sandboxd.policy(5).\n");
}

/* A descriptor of ours that lands on 0 to 2 because our caller closed them would become the sandbox's standard input or output. */
static void fill_standard_fds(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd < 3);
        if (fd >= 3)
                close(fd);
}

int main(int argc, char **argv) {
        fill_standard_fds();
        if (argc < 2) {
                print_help();
                return EXIT_OURS;
        }
        if (str_equal(argv[1], "--help") || str_equal(argv[1], "-h") || str_equal(argv[1], "help")) {
                print_help();
                return 0;
        }
        if (str_equal(argv[1], "--version")) {
                printf("sandboxctl %s\n", SANDBOXD_VERSION);
                return 0;
        }

        /* Written by `service wrap`, and for nobody to type. */
        if (str_equal(argv[1], "service-exec"))
                return verb_service_exec(argc - 1, argv + 1);

        const char *names[ELEMENTSOF(verbs)];
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                names[i] = verbs[i].name;
                if (str_equal(argv[1], verbs[i].name))
                        return verbs[i].run(argc - 1, argv + 1);
        }

        _cleanup_free_ char *word = str_escape(argv[1]);
        const char *near = str_nearest(argv[1], names, ELEMENTSOF(verbs));
        if (near)
                return message_fail("there is no verb '%s'; did you mean '%s'? (sandboxctl --help lists them)", word, near);
        return message_fail("there is no verb '%s'; sandboxctl --help lists them", word);
}
