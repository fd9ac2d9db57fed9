/*
 * sandboxd-bench: rounds that alternate between native, minimal loop and ours, so that whatever else the machine does hits all alike; of each
 * the median. Prints a table, and writes JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "fd.h"

#define MAX_ROUNDS 101

/* apart: the raw loop on another CPU than its caller. Where the scheduler puts the two is the largest part of what it costs, and it differs from kernel
 * to kernel: on some, injecting a descriptor always wakes the caller on an idle CPU. */
enum way { WAY_NATIVE, WAY_RAW, WAY_APART, WAY_OURS, N_WAYS };
static const char *const way_names[N_WAYS] = { "native", "raw", "raw_apart", "ours" };

struct bench {
        const char *sandboxctl, *json;
        unsigned rounds;
        char self[PATH_MAX], folder[64], policy[80];
        struct client clients[N_WAYS];
        double results[N_CASES][N_WAYS];
        double start_ours, start_bwrap; /* milliseconds; negative: not measured */
};

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return x < y ? -1 : x > y;
}

static double median(double *values, unsigned n) {
        qsort(values, n, sizeof(*values), compare);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- our side ---- */

static const char policy_text[] = "version: 1\n"
                                  "description: every call of the benchmark goes to the broker\n"
                                  "files:\n"
                                  "  exec: [/usr, /bin, /sbin, /lib, /lib64, \"%s\"]\n"
                                  "  read: [/etc/ld.so.cache, /etc/ld.so.preload]\n"
                                  "  private: [/tmp]\n"
                                  "  enforce: broker\n"
                                  "kernel: { uname: { release: 1.2.3 } }\n"
                                  "network: { mode: host, connect: [\"tcp:127.0.0.1:*\"], bind: [\"tcp:127.0.0.1:*\"] }\n"
                                  "syscalls: { rules: [{ match: getpgid, action: errno EPERM }] }\n";

static const char start_policy_text[] = "version: 1\n"
                                        "description: what bwrap is given\n"
                                        "files:\n"
                                        "  exec: [/usr, /bin, /sbin, /lib, /lib64]\n"
                                        "  private: [/tmp]\n"
                                        "network: { mode: none }\n";

static int write_file(const char *path, const char *format, const char *argument) {
        FILE *f = fopen(path, "we");

        if (!f)
                return -errno;
        fprintf(f, format, argument);
        return fclose(f) == 0 ? 0 : -errno;
}

static int make_policies(struct bench *b) {
        char path[PATH_MAX];
        int r;

        strcpy(b->folder, "/tmp/sandboxd-bench-XXXXXX");
        if (!mkdtemp(b->folder) || chmod(b->folder, 0755) < 0)
                return -errno;
        snprintf(b->policy, sizeof(b->policy), "%s/bench.yaml", b->folder);
        r = write_file(b->policy, policy_text, b->self);
        snprintf(path, sizeof(path), "%s/start.yaml", b->folder);
        return r < 0 ? r : write_file(path, start_policy_text, NULL);
}

static void remove_policies(struct bench *b) {
        char path[PATH_MAX];

        unlink(b->policy);
        snprintf(path, sizeof(path), "%s/start.yaml", b->folder);
        unlink(path);
        rmdir(b->folder);
}

/* ---- measuring ---- */

static int start_clients(struct bench *b) {
        const char *const native[] = { b->self, "--client", NULL };
        const char *const raw[] = { b->self, "--raw-client", NULL };
        const char *const apart[] = { b->self, "--apart-client", NULL };
        const char *const ours[] = { b->sandboxctl, "exec", "--policy", b->policy,  "--quiet", "--chdir",
                                     "/",           "--",   b->self,    "--client", NULL };
        int r;

        r = client_start(&b->clients[WAY_NATIVE], native);
        if (r >= 0)
                r = client_start(&b->clients[WAY_RAW], raw);
        if (r >= 0)
                r = client_start(&b->clients[WAY_APART], apart);
        return r < 0 ? r : client_start(&b->clients[WAY_OURS], ours);
}

static int measure_case(struct bench *b, enum bench_case what) {
        double values[N_WAYS][MAX_ROUNDS];

        for (unsigned round = 0; round < b->rounds; round++)
                for (int way = 0; way < N_WAYS; way++) {
                        values[way][round] = client_ask(&b->clients[way], what);
                        if (values[way][round] < 0) {
                                fprintf(stderr, "sandboxd-bench: %s fails %s: %s\n", case_names[what], way_names[way],
                                        values[way][round] <= -1 ? strerror((int) -values[way][round]) : "no answer");
                                return -EIO;
                        }
                }
        for (int way = 0; way < N_WAYS; way++)
                b->results[what][way] = median(values[way], b->rounds);
        return 0;
}

static void measure_start(struct bench *b) {
        char policy[PATH_MAX];
        snprintf(policy, sizeof(policy), "%s/start.yaml", b->folder);
        const char *const ours[] = { b->sandboxctl, "exec", "--policy", policy, "--quiet", "--chdir", "/", "--", "/bin/true", NULL };
        const char *const bwrap[] = {
                "/usr/bin/bwrap",
                "--unshare-user",
                "--unshare-pid",
                "--unshare-ipc",
                "--unshare-uts",
                "--unshare-net",
                "--unshare-cgroup",
                "--ro-bind",
                "/usr",
                "/usr",
                "--symlink",
                "usr/bin",
                "/bin",
                "--symlink",
                "usr/lib",
                "/lib",
                "--symlink",
                "usr/lib64",
                "/lib64",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp",
                "--die-with-parent",
                "/bin/true",
                NULL,
        };
        double a[MAX_ROUNDS], c[MAX_ROUNDS];

        b->start_ours = b->start_bwrap = -1;
        for (unsigned round = 0; round < b->rounds; round++) {
                a[round] = start_measure(ours);
                c[round] = access(bwrap[0], X_OK) < 0 ? -1 : start_measure(bwrap);
        }
        b->start_ours = median(a, b->rounds);
        b->start_bwrap = median(c, b->rounds);
}

/* ---- the report ---- */

static const char *target_text(bool met) {
        return met ? "met" : "MISSED";
}

static void print_table(const struct bench *b) {
        /* Nothing notified costs less than the plain reply and the call itself. */
        double floor = b->results[CASE_VALUE][WAY_RAW] + b->results[CASE_OPEN][WAY_NATIVE] - b->results[CASE_VALUE][WAY_NATIVE];

        printf("%-12s %10s %10s %10s %10s %10s %10s %10s\n", "ns a call", "native", "raw loop", "raw apart", "ours", "ours/raw",
               "ours/apart", "target");
        for (int i = 0; i < N_CASES; i++) {
                const double *v = b->results[i];
                double ratio = v[WAY_OURS] / v[WAY_RAW], apart = v[WAY_OURS] / v[WAY_APART];
                printf("%-12s %10.0f %10.0f %10.0f %10.0f %10.2f %10.2f", case_names[i], v[WAY_NATIVE], v[WAY_RAW], v[WAY_APART],
                       v[WAY_OURS], ratio, apart);
                if (i == CASE_VALUE)
                        printf("   1.3 of raw %s", target_text(ratio <= 1.3));
                else if (i == CASE_OPEN)
                        printf("   0.5 of raw %s, of apart %s", target_text(ratio <= 0.5), target_text(apart <= 0.5));
                printf("\n");
        }
        printf("\nNo notified open+close can take less than %.0f here (a plain reply of the raw loop, and the native calls): %.2f of "
               "raw.\n",
               floor, floor / b->results[CASE_OPEN][WAY_RAW]);
        printf("\n%-12s %12s %12s %12s\n", "ms a start", "bwrap", "ours", "ours/bwrap");
        if (b->start_ours < 0 || b->start_bwrap < 0)
                printf("%-12s %12s %12.2f\n", "/bin/true", b->start_bwrap < 0 ? "missing" : "", b->start_ours);
        else
                printf("%-12s %12.2f %12.2f %12.2f   2.0 %s\n", "/bin/true", b->start_bwrap, b->start_ours, b->start_ours / b->start_bwrap,
                       target_text(b->start_ours <= 2 * b->start_bwrap));
}

static int write_json(const struct bench *b) {
        struct json_object *o = json_object_new_object(), *calls = json_object_new_object(), *start = json_object_new_object();
        struct utsname name;

        uname(&name);
        json_object_object_add(o, "kernel", json_object_new_string(name.release));
        json_object_object_add(o, "cpus", json_object_new_int(sysconf(_SC_NPROCESSORS_ONLN)));
        json_object_object_add(o, "rounds", json_object_new_int(b->rounds));
        for (int i = 0; i < N_CASES; i++) {
                struct json_object *one = json_object_new_object();
                for (int way = 0; way < N_WAYS; way++)
                        json_object_object_add(one, way_names[way], json_object_new_double(b->results[i][way]));
                json_object_object_add(calls, case_names[i], one);
        }
        json_object_object_add(o, "nanoseconds_a_call", calls);
        json_object_object_add(start, "ours", json_object_new_double(b->start_ours));
        if (b->start_bwrap >= 0)
                json_object_object_add(start, "bwrap", json_object_new_double(b->start_bwrap));
        json_object_object_add(o, "milliseconds_a_start", start);
        int r = json_object_to_file_ext(b->json, o, JSON_C_TO_STRING_PRETTY);
        json_object_put(o);
        return r;
}

static int run(struct bench *b) {
        ssize_t n = readlink("/proc/self/exe", b->self, sizeof(b->self) - 1);
        int r;

        if (n < 0)
                return -errno;
        b->self[n] = 0;
        r = make_policies(b);
        if (r >= 0)
                r = start_clients(b);
        for (int i = 0; i < N_CASES && r >= 0; i++)
                r = measure_case(b, i);
        for (int way = 0; way < N_WAYS; way++)
                if (b->clients[way].pid > 0)
                        client_stop(&b->clients[way]);
        if (r >= 0)
                measure_start(b);
        remove_policies(b);
        return r;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "sandboxctl", required_argument, NULL, 's' },
                { "json", required_argument, NULL, 'j' },
                { "rounds", required_argument, NULL, 'r' },
                { "client", no_argument, NULL, 'c' },
                { "raw-client", no_argument, NULL, 'w' },
                { "apart-client", no_argument, NULL, 'a' },
                {},
        };
        struct bench b = { .rounds = 11 };

        for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;)
                switch (o) {
                case 's': b.sandboxctl = optarg; break;
                case 'j': b.json = optarg; break;
                case 'r': b.rounds = atoi(optarg); break;
                case 'w':
                case 'a':
                        if (raw_start(o == 'a') < 0)
                                return 1;
                        return client_run();
                case 'c': return client_run();
                default: return 2;
                }
        if (!b.sandboxctl || b.rounds < 1 || b.rounds > MAX_ROUNDS) {
                fprintf(stderr, "usage: sandboxd-bench --sandboxctl PATH [--json FILE] [--rounds N (at most %d)]\n", MAX_ROUNDS);
                return 2;
        }
        int r = run(&b);
        if (r < 0) {
                fprintf(stderr, "sandboxd-bench: %s\n", strerror(-r));
                return 1;
        }
        print_table(&b);
        return b.json && write_json(&b) < 0 ? 1 : 0;
}
