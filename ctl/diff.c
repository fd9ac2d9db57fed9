/*
 * sandboxctl diff DIR
 */
#include <getopt.h>

#include "changes.h"
#include "message.h"
#include "str.h"
#include "verbs.h"

static void print_help(void) {
        printf("Usage: sandboxctl diff [--json] DIR\n"
               "\n"
               "Shows what the layers in DIR, which `sandboxctl exec --overlay keep=DIR` has made, change of the\n"
               "directories below them: A added, M modified, D deleted, with sizes.\n"
               "\n"
               "Options:\n"
               "  --json  write one JSON object\n"
               "  --help  show this\n"
               "\n"
               "Exit status: 0, or 125 when it failed. See sandboxctl(1).\n");
}

static int show(const char *directory, bool json) {
        struct layers layers;
        struct changes changes = {};

        if (layers_open(directory, false, &layers) < 0)
                return EXIT_OURS;
        int r = changes_find(&layers, &changes);
        if (r < 0)
                message_fail("the changes can't be found out: %s", strerror(-r));
        else if (json) {
                _cleanup_free_ char *text = changes_json(&layers, &changes);
                r = text && fputs(text, stdout) >= 0 ? 0 : -1;
        } else {
                _cleanup_free_ char *count = changes_count(&changes);
                changes_print(&layers, &changes, stdout);
                fflush(stdout);
                message_note("%s", count ?: "");
        }
        changes_done(&changes);
        layers_done(&layers);
        return r < 0 ? EXIT_OURS : 0;
}

int verb_diff(int argc, char **argv) {
        static const struct option options[] = {
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        bool json = false;
        int c;

        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
                switch (c) {
                case 'j': json = true; break;
                case 'h': print_help(); return 0;
                default: message_bad_option(argv[0], c, argv, options); return EXIT_OURS;
                }
        if (argc - optind != 1)
                return message_fail("diff wants one folder: sandboxctl diff DIR (the DIR of exec --overlay keep=DIR)");
        return show(argv[optind], json);
}
