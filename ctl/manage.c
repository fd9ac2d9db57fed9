/*
 * sandboxctl ps, status, stop, kill, wait, logs: sandboxes of sandboxd's.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "ended.h"
#include "json_print.h"
#include "logs.h"
#include "message.h"
#include "remote.h"
#include "sandboxes.h"
#include "status.h"
#include "str.h"
#include "usage.h"
#include "verbs.h"

#define STOP_USEC 10000000
#define COMMAND_SHOWN 60

static void print_help(const char *verb) {
        static const struct {
                const char *verb, *text;
        } texts[] = {
                { "ps", "Usage: sandboxctl ps [--all | --usage] [--json]\n"
                        "\n"
                        "Lists your sandboxes that sandboxd owns; as root, everybody's.\n"
                        "\n"
                        "Options:\n"
                        "  --all    those that have ended as well\n"
                        "  --usage  how much you have of what quotas bound, instead\n"
                        "  --json   write one JSON array\n" },
                { "status", "Usage: sandboxctl status [--json] NAME\n"
                            "\n"
                            "Shows all that sandboxd knows of a sandbox.\n"
                            "\n"
                            "Options:\n"
                            "  --json  write one JSON object\n" },
                { "stop", "Usage: sandboxctl stop [--time T] [--json] NAME…\n"
                          "\n"
                          "Ends sandboxes: sends their commands SIGTERM, and kills what is left after T.\n"
                          "\n"
                          "Options:\n"
                          "  --time T  how long to wait (default: 10s)\n"
                          "  --json    write one JSON array: how each has ended\n" },
                { "kill", "Usage: sandboxctl kill [--signal SIGNAL] [--json] NAME…\n"
                          "\n"
                          "Kills all processes of sandboxes; or sends the command's process group a signal.\n"
                          "\n"
                          "Options:\n"
                          "  --signal SIGNAL  a name (HUP, USR1, …) or a number\n"
                          "  --json           write one JSON array: who got it\n" },
                { "wait", "Usage: sandboxctl wait [--json] NAME\n"
                          "\n"
                          "Waits until a sandbox has ended, and ends with its command's exit status.\n"
                          "\n"
                          "Options:\n"
                          "  --json  write how it has ended, one JSON object\n" },
                { "logs", "Usage: sandboxctl logs [--follow] [--json] NAME\n"
                          "\n"
                          "Shows what a sandbox that was started with --detach has written.\n"
                          "\n"
                          "Options:\n"
                          "  --follow  go on until it has ended\n"
                          "  --json    write a JSON object for each line\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (str_equal(texts[i].verb, verb))
                        printf("%s"
                               "  --help    show this\n"
                               "\n"
                               "See sandboxctl(1) and sandboxd(8).\n",
                               texts[i].text);
}

/* ---- words ---- */

struct words {
        bool all, usage, json, follow;
        const char *signal, *time;
        char **names;
        int n_names;
};

/* `allowed`: the first letters of this verb's options. 1: all was said (--help); -EINVAL: the error was printed. */
static int parse(int argc, char **argv, const char *allowed, int min, int max, struct words *ret) {
        static const struct option all[] = {
                { "all", no_argument, NULL, 'a' },    { "json", no_argument, NULL, 'j' },         { "usage", no_argument, NULL, 'u' },
                { "follow", no_argument, NULL, 'f' }, { "signal", required_argument, NULL, 's' }, { "time", required_argument, NULL, 't' },
                { "help", no_argument, NULL, 'h' },
        };
        struct option options[ELEMENTSOF(all) + 1] = {};
        int c, n = 0;

        *ret = (struct words) {};
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (all[i].val == 'h' || strchr(allowed, all[i].val))
                        options[n++] = all[i];
        opterr = 0;
        optind = 0;
        while ((c = getopt_long(argc, argv, strchr(allowed, 'f') ? ":hf" : ":h", options, NULL)) >= 0) {
                switch (c) {
                case 'h': print_help(argv[0]); return 1;
                case 'a': ret->all = true; break;
                case 'j': ret->json = true; break;
                case 'u': ret->usage = true; break;
                case 'f': ret->follow = true; break;
                case 's': ret->signal = optarg; break;
                case 't': ret->time = optarg; break;
                default: return message_bad_option(argv[0], c, argv, options);
                }
        }
        ret->names = argv + optind;
        ret->n_names = argc - optind;
        if (ret->n_names < min || ret->n_names > max) {
                message_fail("%s wants %s; sandboxctl ps lists them", argv[0],
                             max == 0   ? "no name"
                             : max == 1 ? "the name of one sandbox"
                                        : "names of sandboxes");
                return -EINVAL;
        }
        for (int i = 0; i < ret->n_names; i++)
                if (sandbox_word_check(ret->names[i]) < 0)
                        return -EINVAL;
        return 0;
}

/* ---- showing ---- */

static const char *age(uint64_t started, char *buffer, size_t size) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t usec = (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
        uint64_t seconds = usec > started ? (usec - started) / 1000000 : 0;
        /* To what a person wants to know. */
        uint64_t unit = seconds < 120 ? 1 : seconds < 7200 ? 60 : 3600;
        return str_format_time(seconds / unit * unit * 1000000, buffer, size);
}

static char *command_text(const struct sandbox_info *info, size_t shown) {
        struct strbuf b = {};

        for (char **word = info->command; *word; word++) {
                if (b.length > 0)
                        strbuf_puts(&b, " ");
                strbuf_escape(&b, *word, strlen(*word));
        }
        if (shown > 0 && b.length > shown) {
                while (shown > 0 && ((unsigned char) b.text[shown] & 0xc0) == 0x80)
                        shown--;
                b.length = shown;
                b.text[shown] = 0;
                strbuf_puts(&b, "…");
        }
        return strbuf_take(&b);
}

static bool shown(const struct sandbox_info *info, bool all) {
        return all || str_equal(info->state, "running");
}

static void print_table(const struct sandbox_list *list, bool all) {
        char since[32], ending[128], word[SANDBOX_WORD];
        int width = 4;

        for (size_t i = 0; i < list->n; i++)
                if (shown(&list->list[i], all) && (int) strlen(sandbox_word(&list->list[i], word)) > width)
                        width = strlen(word);
        printf("%-*s  %5s  %9s  %-20s  %s\n", width, "NAME", "UID", "SINCE", "STATE", "COMMAND");
        for (size_t i = 0; i < list->n; i++) {
                const struct sandbox_info *info = &list->list[i];
                if (!shown(info, all))
                        continue;
                _cleanup_free_ char *command = command_text(info, COMMAND_SHOWN);
                printf("%-*s  %5u  %9s  %-20s  %s\n", width, sandbox_word(info, word), info->uid, age(info->started, since, sizeof(since)),
                       sandbox_ending(info, ending, sizeof(ending)), command ?: "");
        }
}

static int ps_usage(bool json) {
        struct json_object *array = json ? json_object_new_array() : NULL;
        struct remote r = REMOTE_INIT;
        int e = remote_connect(&r);

        if (e >= 0)
                e = usage_show(r.bus, array);
        if (e >= 0 && array)
                json_print(array);
        else
                json_object_put(array);
        remote_done(&r);
        return e < 0 ? EXIT_OURS : 0;
}

/* sandboxes_read of a connection that is made for it. */
static int connect_and_read(struct remote *r, const char *name, struct sandbox_list *ret) {
        int e = remote_connect(r);

        return e < 0 ? e : sandboxes_read(r->bus, name, ret);
}

int verb_ps(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        struct sandbox_list list;
        struct words words;
        int e = parse(argc, argv, "aju", 0, 0, &words);

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        if (words.usage)
                return ps_usage(words.json);
        e = connect_and_read(&r, NULL, &list);
        if (e >= 0) {
                if (words.json) {
                        struct json_object *array = json_object_new_array();
                        for (size_t i = 0; i < list.n; i++)
                                if (shown(&list.list[i], words.all))
                                        json_object_array_add(array, sandbox_json(&list.list[i]));
                        json_print(array);
                } else
                        print_table(&list, words.all);
                sandboxes_done(&list);
        }
        remote_done(&r);
        return e < 0 ? EXIT_OURS : 0;
}

static void print_status(const struct sandbox_info *info) {
        char since[32], when[64] = "", ending[128], word[SANDBOX_WORD];
        time_t started = info->started / 1000000;
        struct tm tm;

        if (localtime_r(&started, &tm))
                strftime(when, sizeof(when), "%F %T", &tm);
        _cleanup_free_ char *command = command_text(info, 0), *policy = str_escape(info->policy), *output = str_escape(info->output),
                            *text = str_escape(info->text);
        printf("%-10s %s\n", "name", sandbox_word(info, word));
        printf("%-10s %s\n", "state", sandbox_ending(info, ending, sizeof(ending)));
        if (info->text[0])
                printf("%-10s %s\n", "why", text ?: "");
        printf("%-10s %s\n", "command", command ?: "");
        printf("%-10s %s\n", "policy", policy ?: "");
        printf("%-10s %u\n", "uid", info->uid);
        if (str_equal(info->state, "running"))
                printf("%-10s %u, its broker %u\n", "pid", info->pid, info->worker);
        printf("%-10s %s, %s ago\n", "started", when, age(info->started, since, sizeof(since)));
        printf("%-10s %u started\n", "brokers", info->workers);
        if (info->entered > 0)
                printf("%-10s %u\n", "entered", info->entered);
        if (info->output[0])
                printf("%-10s %s\n", "output", output ?: "");
        json_object_object_foreach(info->counters, name, value) printf("%-10s %" PRIu64 "\n", name, json_object_get_uint64(value));
}

int verb_status(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        struct sandbox_list list;
        struct words words;
        int e = parse(argc, argv, "j", 1, 1, &words);

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        e = connect_and_read(&r, words.names[0], &list);
        if (e >= 0) {
                struct json_object *o = sandbox_json(&list.list[0]);
                e = status_read(r.bus, words.names[0], o);
                if (e >= 0 && words.json)
                        json_print(json_object_get(o));
                else if (e >= 0) {
                        print_status(&list.list[0]);
                        status_print(o);
                }
                json_object_put(o);
                sandboxes_done(&list);
        }
        remote_done(&r);
        return e < 0 ? EXIT_OURS : 0;
}

/* ---- ending ---- */

/* A method of a sandbox; errors are printed, but -ETIMEDOUT, -ESRCH: it has ended, and -ENOENT: there is none of this name. ret_reply: may be NULL. */
static int call(struct remote *r, const char *name, const char *method, uint64_t timeout, int signal, sd_bus_message **ret_reply) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        sd_bus_message *m = NULL;
        int e = control_object(name, &object);

        if (e >= 0)
                e = sd_bus_message_new_method_call(r->bus, &m, NULL, object, CONTROL_SANDBOX, method);
        if (e >= 0 && signal > 0)
                e = sd_bus_message_append(m, "i", signal);
        if (e >= 0)
                e = sd_bus_call(r->bus, m, timeout, &error, ret_reply);
        if (e < 0 && remote_is_unknown(&error))
                e = -ENOENT;
        else if (sd_bus_error_has_name(&error, CONTROL_HAS_ENDED))
                e = -ESRCH;
        else if (e < 0 && e != -ETIMEDOUT)
                (void) remote_failed(e, &error, name);
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
        return e < 0 ? e : 0;
}

/* What call() has not said of its error. Returns that. */
static int say_failed(int e, const char *name) {
        if (e == -ENOENT)
                (void) remote_unknown(name);
        else if (e == -ESRCH)
                message_fail("%s has ended already", name);
        return e;
}

/* --json: what has become of one of several. `array`: NULL without it. */
static struct json_object *add_result(struct json_object *array, const char *name, const char *done, int error) {
        if (!array)
                return NULL;
        struct json_object *o = json_object_new_object();
        const char *error_name = error < 0 ? strerrorname_np(-error) : NULL;
        json_object_object_add(o, "name", json_object_new_string(name));
        json_object_object_add(o, done, json_object_new_boolean(error >= 0));
        if (error_name)
                json_object_object_add(o, "errno", json_object_new_string(error_name));
        json_object_array_add(array, o);
        return o;
}

/* `*ret_ending`: what Wait() said; NULL: it had ended before, or its end is known to the client that it was in the foreground of, and to nobody else. */
static int stop(struct remote *r, const char *name, uint64_t usec, sd_bus_message **ret_ending, bool *ret_killed) {
        int e = call(r, name, "Signal", 0, SIGTERM, NULL);

        *ret_ending = NULL;
        *ret_killed = false;
        if (e < 0)
                return e == -ESRCH ? 0 : e;
        /* A command that is stopped takes the signal only when it goes on. */
        e = call(r, name, "Signal", 0, SIGCONT, NULL);
        if (e >= 0 || e == -ESRCH)
                e = call(r, name, "Wait", usec, 0, ret_ending);
        if (e == -ETIMEDOUT) {
                e = call(r, name, "Kill", 0, 0, NULL);
                *ret_killed = e >= 0;
                if (e >= 0 || e == -ESRCH)
                        e = call(r, name, "Wait", UINT64_MAX, 0, ret_ending);
        }
        return e == -ENOENT ? 0 : e;
}

static int stop_one(struct remote *r, const char *name, uint64_t usec, struct json_object *array) {
        sd_bus_message *ending;
        const char *outcome;
        int32_t status;
        bool killed;
        int e = stop(r, name, usec, &ending, &killed);
        struct json_object *o = add_result(array, name, "stopped", say_failed(e, name));

        if (o && e >= 0) {
                json_object_object_add(o, "killed", json_object_new_boolean(killed));
                if (ending && sd_bus_message_read(ending, "si", &outcome, &status) >= 0)
                        sandbox_add_ending(o, outcome, status);
        }
        sd_bus_message_unref(ending);
        return e;
}

int verb_stop(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        uint64_t usec = STOP_USEC;
        struct words words;
        int e = parse(argc, argv, "jt", 1, INT_MAX, &words), failed = 0;

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        if (words.time && (str_parse_time(words.time, &usec) < 0 || usec == 0)) {
                _cleanup_free_ char *word = str_escape(words.time);
                return message_fail("--time %s: expected a time such as 30s, 2m or 500ms", word);
        }
        if (remote_connect(&r) < 0)
                return EXIT_OURS;
        struct json_object *array = words.json ? json_object_new_array() : NULL;
        for (int i = 0; i < words.n_names; i++)
                failed += stop_one(&r, words.names[i], usec, array) < 0;
        if (array)
                json_print(array);
        remote_done(&r);
        return failed ? EXIT_OURS : 0;
}

/* HUP, SIGHUP, hup, 1. */
static int parse_signal(const char *word) {
        const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
        char *end;
        long number = strtol(word, &end, 10);

        if (*word && !*end)
                return number >= 1 && number <= SIGRTMAX ? (int) number : -EINVAL;
        for (int i = 1; i < SIGRTMAX; i++) {
                const char *known = sigabbrev_np(i);
                if (known && strcasecmp(known, name) == 0)
                        return i;
        }
        return -EINVAL;
}

int verb_kill(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        struct words words;
        int e = parse(argc, argv, "js", 1, INT_MAX, &words), failed = 0, number = 0;

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        if (words.signal && (number = parse_signal(words.signal)) < 0) {
                _cleanup_free_ char *word = str_escape(words.signal);
                return message_fail("--signal %s: there is no such signal; kill -l lists them", word);
        }
        if (remote_connect(&r) < 0)
                return EXIT_OURS;
        struct json_object *array = words.json ? json_object_new_array() : NULL;
        for (int i = 0; i < words.n_names; i++) {
                e = call(&r, words.names[i], number > 0 ? "Signal" : "Kill", 0, number, NULL);
                struct json_object *o = add_result(array, words.names[i], "sent", say_failed(e, words.names[i]));
                if (o)
                        json_object_object_add(o, "signal", json_object_new_int(number > 0 ? number : SIGKILL));
                failed += e < 0;
        }
        if (array)
                json_print(array);
        remote_done(&r);
        return failed ? EXIT_OURS : 0;
}

/* As exec ends where it waits itself. */
static int code_of(const struct sandbox_info *info) {
        if (str_equal(info->outcome, CONTROL_EXITED))
                return ended_code(info->status);
        if (str_equal(info->outcome, CONTROL_NOT_STARTED) && str_equal(info->stage, "exec"))
                return info->error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
        /* How its processes ended is told to whoever started them. */
        if (str_equal(info->outcome, CONTROL_GONE))
                return 0;
        return str_equal(info->outcome, CONTROL_INIT_DIED) || str_equal(info->outcome, CONTROL_TIME) ? 128 + SIGKILL : EXIT_OURS;
}

int verb_wait(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        struct sandbox_list list;
        struct words words;
        int e = parse(argc, argv, "j", 1, 1, &words), code = EXIT_OURS;

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        e = remote_connect(&r);
        if (e >= 0)
                e = say_failed(call(&r, words.names[0], "Wait", UINT64_MAX, 0, NULL), words.names[0]);
        if (e >= 0)
                e = sandboxes_read(r.bus, words.names[0], &list);
        if (e >= 0) {
                if (words.json)
                        json_print(sandbox_json(&list.list[0]));
                code = code_of(&list.list[0]);
                sandboxes_done(&list);
        }
        remote_done(&r);
        return code;
}

/* ---- logs ---- */

int verb_logs(int argc, char **argv) {
        struct remote r = REMOTE_INIT;
        struct sandbox_list list;
        struct words words;
        int e = parse(argc, argv, "fj", 1, 1, &words);

        if (e != 0)
                return e < 0 ? EXIT_OURS : 0;
        e = connect_and_read(&r, words.names[0], &list);
        if (e >= 0) {
                e = logs_show(&r, &list.list[0], words.follow, words.json);
                sandboxes_done(&list);
        }
        remote_done(&r);
        return e < 0 ? EXIT_OURS : 0;
}
