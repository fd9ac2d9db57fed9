/*
 * sandboxctl policy check | list | show | oci-profile
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <unistd.h>

#include "apply.h"
#include "control.h"
#include "json_print.h"
#include "message.h"
#include "modules.h"
#include "plan.h"
#include "request.h"
#include "runtime/profile.h"
#include "sandboxes.h"
#include "str.h"
#include "verbs.h"

struct words {
        struct policy_flag *flags;
        size_t n_flags;
        bool json, dry_run;
        char **rest;
        size_t n_rest;
};

static void print_help(void) {
        printf("Usage: sandboxctl policy check [--set K=V]… [--json] FILE|NAME…\n"
               "       sandboxctl policy list [--json]\n"
               "       sandboxctl policy show [--set K=V]… [--json] NAME|FILE\n"
               "       sandboxctl policy apply [--set K=V]… [--dry-run] [--json] SANDBOX FILE|NAME\n"
               "       sandboxctl policy oci-profile NAME\n"
               "\n"
               "  check  load and compile policies, and show all errors in them\n"
               "  list   name the policies that can be used by name\n"
               "  show   print a policy with all that it extends, as one\n"
               "  apply  put another policy in force for a sandbox of sandboxd's that runs; what\n"
               "         only a new start can change is refused, and listed\n"
               "  oci-profile\n"
               "         print a policy as the seccomp profile of a container on crun, for Podman and\n"
               "         Kubernetes: its calls go to sandboxd\n"
               "\n"
               "A FILE has a / in it (./mine.yaml), or ends in .yaml; all else is a NAME.\n"
               "\n"
               "Options:\n"
               "  --set K=V  give a variable of the policy a value\n"
               "  --dry-run  show what would change, and change nothing (apply)\n"
               "  --json     write JSON\n"
               "  --help     show this\n"
               "\n"
               "Exit status: 0; 1 when a policy has errors, or can't be applied; 125 when sandboxctl\n"
               "itself failed or was called wrongly.\n");
}

/* Returns 0; 1 when all was said already; negative errno, said. */
static int words_parse(int argc, char **argv, struct words *w) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "json", no_argument, NULL, 'j' },
                { "set", required_argument, NULL, 's' },
                { "dry-run", no_argument, NULL, 'd' },
                {},
        };
        int c;

        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                if (c == 'h') {
                        print_help();
                        return 1;
                }
                if (c == 'j')
                        w->json = true;
                else if (c == 'd')
                        w->dry_run = true;
                else if (c == 's') {
                        struct policy_flag *larger = reallocarray(w->flags, w->n_flags + 1, sizeof(*larger));
                        if (!larger)
                                return message_fail("%s", strerror(ENOMEM)), -ENOMEM;
                        w->flags = larger;
                        w->flags[w->n_flags++] = (struct policy_flag) { .kind = FLAG_SET, .value = optarg };
                } else
                        return message_bad_option("policy", c, argv, options);
        }
        w->rest = argv + optind;
        w->n_rest = argc - optind;
        return 0;
}

/* On the command line of these verbs a file's name is enough: nothing is run. */
static char *policy_word(const char *word) {
        size_t n = strlen(word);
        char *path;

        if (strchr(word, '/') || policy_name_valid(word) || n < 5 ||
            (strcmp(word + n - 5, ".yaml") != 0 && strcmp(word + n - 4, ".yml") != 0))
                return strdup(word);
        return asprintf(&path, "./%s", word) < 0 ? NULL : path;
}

static int load(const struct words *w, const char *word, struct policy **ret, struct policy_report *report) {
        _cleanup_(request_done) struct policy_request request = {};
        _cleanup_free_ char *policy = policy_word(word), *cwd = getcwd(NULL, 0);

        int r = policy ? request_init(&request) : -ENOMEM;
        if (r < 0)
                return r;
        request.policy = policy;
        request.cwd = cwd;
        request.flags = w->flags;
        request.n_flags = w->n_flags;
        request.name = "check";
        request.inspect = true;
        return policy_load(&request, ret, report);
}

/* As `exec` would go on, up to where something would be started. */
static int compile(const struct policy *policy, struct plan **ret, struct policy_report *report) {
        _cleanup_(request_done) struct policy_request request = {};
        _cleanup_(plan_freep) struct plan *plan = NULL;
        struct filter filter = {};
        _cleanup_free_ struct claim *claims = NULL;
        size_t n_claims;

        int r = request_init(&request);
        if (r < 0)
                return r;
        struct plan_request plan_request = { .home = request.home, .uid = request.uid, .gid = request.gid };
        r = plan_compile(policy, &plan_request, &plan, report);
        if (r >= 0)
                r = modules_compile(plan, &filter, &claims, &n_claims, report);
        filter_done(&filter);
        if (r >= 0)
                *ret = TAKE_PTR(plan);
        return r;
}

/* ---- check ---- */

static struct json_object *message_json(const struct policy_message *m) {
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "kind", json_object_new_string(m->warning ? "warning" : "error"));
        if (m->place.file)
                json_object_object_add(o, "file", json_object_new_string(m->place.file));
        if (m->place.line > 0) {
                json_object_object_add(o, "line", json_object_new_int64(m->place.line));
                json_object_object_add(o, "column", json_object_new_int64(m->place.column));
        }
        json_object_object_add(o, "text", json_object_new_string(m->text));
        return o;
}

static struct json_object *report_json(const char *word, const struct plan *plan, const struct policy_report *report) {
        struct json_object *o = json_object_new_object(), *messages = json_object_new_array();

        json_object_object_add(o, "policy", json_object_new_string(word));
        json_object_object_add(o, "errors", json_object_new_int64(report->n_errors));
        if (plan) {
                json_object_object_add(o, "files-brokered", json_object_new_boolean(plan->files_brokered));
                if (plan->brokered_why)
                        json_object_object_add(o, "brokered-why", json_object_new_string(plan->brokered_why));
        }
        for (size_t i = 0; i < report->n; i++)
                json_object_array_add(messages, message_json(report->messages + i));
        json_object_object_add(o, "messages", messages);
        return o;
}

/* What sends all path calls to the broker: it costs each of them a notification. */
static void print_why(const struct plan *plan) {
        _cleanup_free_ char *file = str_escape(plan->brokered_at.file);

        printf("  the broker answers all path calls: %s (%s", plan->brokered_why, file ? file : "");
        if (plan->brokered_at.line > 0)
                printf(":%u", plan->brokered_at.line);
        puts(")");
}

static int check_one(const struct words *w, const char *word, struct json_object *all) {
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        struct policy_report report = {};
        _cleanup_free_ char *escaped = str_escape(word);
        int r = load(w, word, &policy, &report);

        if (r >= 0)
                r = compile(policy, &plan, &report);
        if (r < 0 && report.n_errors == 0)
                policy_report_add(&report, false, (struct place) { .file = word }, "%s", strerror(-r));
        if (all)
                json_object_array_add(all, report_json(word, plan, &report));
        else {
                policy_report_print(&report, stderr);
                if (report.n_errors == 0)
                        printf("%s: in order\n", escaped ? escaped : "");
                if (plan && plan->brokered_why)
                        print_why(plan);
        }
        r = report.n_errors > 0;
        policy_report_done(&report);
        return r;
}

static int check(const struct words *w) {
        struct json_object *all = w->json ? json_object_new_array() : NULL;
        int status = 0;

        if (w->n_rest == 0)
                return message_fail("policy check wants the files, or names, to check");
        for (size_t i = 0; i < w->n_rest; i++)
                status |= check_one(w, w->rest[i], all);
        if (all)
                json_print(all);
        return status;
}

/* ---- list ---- */

/* The first sentence. */
static char *summary(const struct policy *policy) {
        const char *text = policy && policy->description ? policy->description : "";
        const char *end = strstr(text, ". ");

        return strndup(text, end ? (size_t) (end - text) : strlen(text));
}

static int list(const struct words *w) {
        _cleanup_(request_done) struct policy_request request = {};
        _cleanup_free_ char **names = NULL, **files = NULL;
        struct json_object *all = w->json ? json_object_new_array() : NULL;
        size_t n = 0;

        if (w->n_rest > 0 || w->n_flags > 0)
                return message_fail("policy list takes no words but --json");
        int e = request_init(&request);
        if (e >= 0)
                e = policy_names(request.folders, request.n_folders, &names, &files, &n);
        if (e < 0)
                return e == -EINVAL ? EXIT_OURS : message_fail("%s", strerror(-e));
        for (size_t i = 0; i < n; i++) {
                _cleanup_(policy_freep) struct policy *policy = NULL;
                struct policy_report report = {};
                int r = load(w, names[i], &policy, &report);
                _cleanup_free_ char *text = summary(policy), *escaped = text ? str_escape(text) : NULL;

                if (all) {
                        struct json_object *o = json_object_new_object();
                        json_object_object_add(o, "name", json_object_new_string(names[i]));
                        json_object_object_add(o, "file", json_object_new_string(files[i]));
                        json_object_object_add(o, "description",
                                               json_object_new_string(policy && policy->description ? policy->description : ""));
                        json_object_object_add(o, "errors", json_object_new_int64(report.n_errors));
                        json_object_array_add(all, o);
                } else
                        printf("%-12s %s\n", names[i], r < 0 ? "(has errors; see sandboxctl policy check)" : escaped ? escaped : "");
                policy_report_done(&report);
        }
        if (all)
                json_print(all);
        return 0;
}

/* ---- show ---- */

static struct json_object *files_json(const struct policy_files *files) {
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < files->n_rules; i++) {
                const struct file_rule *rule = files->rules + i;
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "kind", json_object_new_string(file_kind_name(rule->kind)));
                json_object_object_add(o, "path", json_object_new_string(rule->pattern));
                if (rule->from)
                        json_object_object_add(o, "from", json_object_new_string(rule->from));
                if (rule->content)
                        json_object_object_add(o, "content", json_object_new_string(rule->content));
                if (rule->write)
                        json_object_object_add(o, "write", json_object_new_boolean(true));
                if (rule->size)
                        json_object_object_add(o, "size", json_object_new_uint64(rule->size));
                json_object_object_add(o, "file", json_object_new_string(rule->place.file));
                json_object_object_add(o, "line", json_object_new_int64(rule->place.line));
                json_object_array_add(array, o);
        }
        return array;
}

static struct json_object *net_json(const struct net_rules *rules) {
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < rules->n; i++)
                if (i == 0 || !str_equal(rules->rules[i].text, rules->rules[i - 1].text))
                        json_object_array_add(array, json_object_new_string(rules->rules[i].text));
        return array;
}

static struct json_object *policy_json(const struct policy *policy) {
        struct json_object *o = json_object_new_object(), *network = json_object_new_object(), *limits = json_object_new_object();
        struct json_object *sources = json_object_new_array();
        struct strbuf text = {};

        json_object_object_add(o, "name", json_object_new_string(policy->name));
        json_object_object_add(o, "description", json_object_new_string(policy->description ? policy->description : ""));
        for (size_t i = 0; i < policy->n_sources; i++)
                json_object_array_add(sources, json_object_new_string(policy->sources[i]));
        json_object_object_add(o, "sources", sources);
        json_object_object_add(o, "files", files_json(&policy->files));
        json_object_object_add(network, "mode", json_object_new_string(policy->network.mode == NETWORK_HOST ? "host" : "none"));
        json_object_object_add(network, "connect", net_json(&policy->network.connect));
        json_object_object_add(network, "bind", net_json(&policy->network.bind));
        json_object_object_add(network, "deny", net_json(&policy->network.deny));
        json_object_object_add(o, "network", network);
        json_object_object_add(limits, "processes", json_object_new_uint64(policy->limits.processes));
        json_object_object_add(limits, "open-files", json_object_new_uint64(policy->limits.open_files));
        json_object_object_add(limits, "file-size", json_object_new_uint64(policy->limits.file_size));
        json_object_object_add(limits, "memory", json_object_new_uint64(policy->limits.memory));
        json_object_object_add(limits, "time-usec", json_object_new_uint64(policy->limits.time_usec));
        json_object_object_add(o, "limits", limits);
        policy_show(policy, &text);
        json_object_object_add(o, "yaml", json_object_new_string(text.text ? text.text : ""));
        strbuf_done(&text);
        return o;
}

static int show(const struct words *w) {
        _cleanup_(policy_freep) struct policy *policy = NULL;
        struct policy_report report = {};
        struct strbuf text = {};

        if (w->n_rest != 1)
                return message_fail("policy show wants the name, or the file, of one policy");
        int r = load(w, w->rest[0], &policy, &report);
        policy_report_print(&report, stderr);
        policy_report_done(&report);
        if (r == -ENOMEM)
                return message_fail("%s", strerror(ENOMEM));
        if (r < 0)
                return 1;
        if (w->json)
                json_print(policy_json(policy));
        else {
                policy_show(policy, &text);
                fputs(text.text ? text.text : "", stdout);
                strbuf_done(&text);
        }
        return 0;
}

/* ---- apply ---- */

static int apply_one(const struct words *w) {
        struct apply_words words = { .flags = w->flags, .n_flags = w->n_flags, .json = w->json, .dry_run = w->dry_run };

        if (w->n_rest != 2)
                return message_fail("policy apply wants the name of a sandbox, and a policy (sandboxctl policy --help)");
        words.sandbox = w->rest[0];
        _cleanup_free_ char *policy = policy_word(w->rest[1]);
        if (!policy)
                return message_fail("%s", strerror(ENOMEM));
        words.policy = policy;
        return sandbox_word_check(words.sandbox) < 0 ? EXIT_OURS : apply(&words);
}

/* ---- oci-profile ---- */

/* For engines that hand a seccomp profile on to crun as it is: the container then needs no runtime of ours. */
static int oci_profile(const struct words *w) {
        _cleanup_(choose_done) struct choice choice = {};
        _cleanup_free_ char *text = NULL, *program = NULL, *why = NULL;
        char socket[CONTROL_SOCKET_SIZE];

        if (w->n_rest != 1 || w->n_flags > 0)
                return message_fail("policy oci-profile wants the name of one policy, and no variables: the agent knows the name alone");
        if (!policy_name_valid(w->rest[0])) {
                _cleanup_free_ char *word = str_escape(w->rest[0]);
                return message_fail("'%s' is no name of a policy: the agent opens no file that a container names", word);
        }
        int r = agent_socket(socket);
        if (r < 0)
                return message_fail("it isn't known where your sandboxd listens: XDG_RUNTIME_DIR is not set, or too long");
        r = choose_init(&choice, &why);
        if (r >= 0) {
                const struct profile_request request = { .choice = &choice, .policy = w->rest[0], .socket = socket, .wait_killable = true };
                r = profile_make(&request, &text, &program, &why);
        }
        if (r < 0)
                return message_fail("%s", why ? why : strerror(-r)), 1;
        puts(text);
        return 0;
}

int verb_policy(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*run)(const struct words *w);
        } verbs[] = { { "check", check }, { "list", list }, { "show", show }, { "apply", apply_one }, { "oci-profile", oci_profile } };
        const char *names[ELEMENTSOF(verbs)];
        struct words w = {};

        if (argc < 2) {
                print_help();
                return EXIT_OURS;
        }
        if (str_equal(argv[1], "--help") || str_equal(argv[1], "-h") || str_equal(argv[1], "help")) {
                print_help();
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                names[i] = verbs[i].name;
                if (!str_equal(argv[1], verbs[i].name))
                        continue;
                int r = words_parse(argc - 1, argv + 1, &w);
                int status = r < 0 ? EXIT_OURS : 0;
                if (r == 0 && w.dry_run && verbs[i].run != apply_one)
                        status = message_fail("--dry-run is for policy apply; sandboxctl policy --help says more");
                else if (r == 0)
                        status = verbs[i].run(&w);
                free(w.flags);
                return status;
        }
        _cleanup_free_ char *word = str_escape(argv[1]);
        const char *near = str_nearest(argv[1], names, ELEMENTSOF(names));
        return message_fail("policy has no verb '%s'%s%s%s", word,
                            near ? "; did you mean '" : "; it has check, list, show, apply and oci-profile", near ? near : "",
                            near ? "'?" : "");
}
