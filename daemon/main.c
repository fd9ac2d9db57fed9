/*
 * sandboxd: options, the control socket, and how it begins and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "config.h"
#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "str.h"

#define STOP_USEC 15000000

static void print_help(void) {
        printf("Usage: sandboxd [OPTION]…\n"
               "\n"
               "Owns sandboxes, answers their calls, and replaces what of itself is killed.\n"
               "Root's serves everybody; a user's own serves that user alone.\n"
               "\n"
               "Options:\n"
               "  --socket PATH   listen there (default: /run/sandboxd/control for root,\n"
               "                  $XDG_RUNTIME_DIR/sandboxd/control for others)\n"
               "  --agent PATH    take containers over from OCI runtimes there (default:\n"
               "                  `agent` beside the usual control socket; `none`: nowhere)\n"
               "  --config FILE   read the settings there (default: " SANDBOXD_SYSTEM_CONFIG " for\n"
               "                  root, ~/.config/sandboxd/sandboxd.yaml for others)\n"
               "  --on-demand[=SECONDS]\n"
               "                  serve a rootless engine in its user namespace, and end when it has\n"
               "                  had no containers for a while (60); sandbox-runtime starts it so\n"
               "  --check-config  only say what is wrong with the settings\n"
               "  --help          show this\n"
               "  --version       show the version\n"
               "\n"
               "Signals: TERM and INT kill all sandboxes and end it; HUP executes it anew, and they go on.\n"
               "\n"
               "See sandboxd(8) and sandboxd.yaml(5).\n");
}

/* ---- the socket ---- */

static bool somebody_listens(const struct sockaddr_un *address) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd >= 0 && connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0;
}

static int make_folder(const char *path) {
        _cleanup_free_ char *folder = strdup(path);

        if (!folder)
                return -ENOMEM;
        *strrchr(folder, '/') = 0;
        /* Everybody finds root's, whatever the umask is. */
        mode_t mask = umask(demand_user() == 0 ? 0022 : 0077);
        int r = folder[0] == 0 || mkdir(folder, 0777) >= 0 || errno == EEXIST ? 0 : -errno;
        umask(mask);
        return r;
}

static int make_socket(const char *path, mode_t hidden) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r;

        strcpy(address.sun_path, path);
        if (fd < 0)
                return -errno;
        if ((r = make_folder(path)) < 0)
                return r;
        if (somebody_listens(&address))
                return -EADDRINUSE;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        mode_t mask = umask(hidden);
        r = bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        umask(mask);
        if (r < 0)
                return r;
        return listen(fd, SOMAXCONN) < 0 ? -errno : TAKE_FD(fd);
}

static int listen_on(struct daemon *d, const char *path) {
        char own[CONTROL_SOCKET_SIZE];
        int r;

        if (path)
                r = path[0] != '/' ? -EINVAL : snprintf(own, sizeof(own), "%s", path) < (int) sizeof(own) ? 0 : -ENAMETOOLONG;
        else
                r = control_socket(demand_user(), own);
        if (r == -ENOENT) {
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "XDG_RUNTIME_DIR is not set: log in, or say where to listen with --socket PATH");
                return r;
        }
        int fd = r < 0 ? r : make_socket(own, demand_user() == 0 ? 0111 : 0177);
        if (fd == -EADDRINUSE)
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "another sandboxd listens on %s already", own);
        else if (fd < 0)
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "%s: it can't listen there: %s%s", path ?: own, strerror(-fd),
                           fd == -EINVAL ? " (the path must begin with /)" : "");
        if (fd < 0)
                return fd;
        /* It outlives us as well, so that nobody is turned away while we are started anew. */
        if (getenv("NOTIFY_SOCKET"))
                (void) sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" OWN_SOCKET "\nFDPOLL=0", &fd, 1);
        return peer_listen(d, fd, true);
}

/* The agent's: where it is asked for, else beside the usual control socket. */
static int listen_for_runtimes(struct daemon *d, const char *control, const char *path) {
        char own[CONTROL_SOCKET_SIZE];
        int r;

        if (path && str_equal(path, "none"))
                return 0;
        if (path)
                r = path[0] != '/' ? -EINVAL : snprintf(own, sizeof(own), "%s", path) < (int) sizeof(own) ? 0 : -ENAMETOOLONG;
        else if (control && !getenv("SANDBOXD_AGENT"))
                return 0;
        else
                r = control_agent(demand_user(), own);
        int fd = r < 0 ? r : make_socket(own, 0177);
        if (fd < 0) {
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "%s: it can't listen there for OCI runtimes: %s%s", path ?: own,
                           fd == -EADDRINUSE ? "another sandboxd does" : strerror(-fd),
                           fd == -EINVAL ? " (the path must begin with /)" : "");
                return fd;
        }
        if (getenv("NOTIFY_SOCKET"))
                (void) sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" OWN_AGENT "\nFDPOLL=0", &fd, 1);
        return agent_listen(d, fd, true);
}

/* ---- the end ---- */

/* Whether the service manager is going to start us again. It tells both by SIGTERM; what job our unit has tells which. */
static bool is_restart(void) {
        _cleanup_free_ char *unit = NULL, *path = NULL, *job = NULL, *type = NULL;
        sd_bus *bus;
        uint32_t id = 0;
        bool restart = false;
        sd_bus_message *reply = NULL;
        const char *object;

        if (getenv("SANDBOXD_KEEPER"))
                return false;
        if ((geteuid() == 0 ? sd_pid_get_unit(0, &unit) : sd_pid_get_user_unit(0, &unit)) < 0 ||
            sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0 || systemd_connect(&bus) < 0)
                return false;
        if (sd_bus_get_property(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "Job", NULL, &reply, "(uo)") >= 0 &&
            sd_bus_message_read(reply, "(uo)", &id, &object) >= 0 && id != 0 &&
            sd_bus_get_property_string(bus, "org.freedesktop.systemd1", object, "org.freedesktop.systemd1.Job", "JobType", NULL, &type) >=
                    0)
                restart = str_equal(type, "restart") || str_equal(type, "try-restart") || str_equal(type, "start");
        sd_bus_message_unref(reply);
        sd_bus_close_unref(bus);
        return restart;
}

static int on_stop_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct daemon *d = userdata;

        log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "not all sandboxes have ended; they die when their sockets are closed");
        return sd_event_exit(d->event, 1);
}

static int stop(struct daemon *d) {
        bool any = false;

        if (d->stopping)
                return 0;
        d->stopping = true;
        (void) sd_notify(0, "STOPPING=1");
        for (size_t i = 0; i < d->n_sandboxes; i++)
                if (sandbox_running(d->sandboxes[i])) {
                        any = true;
                        sandbox_kill(d->sandboxes[i]);
                }
        if (!any)
                return sd_event_exit(d->event, 0);
        return sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, STOP_USEC, 0, on_stop_time, d);
}

/* Services that systemd has started behind us end first, as they are used to, and with answers to the end. */
static void on_services_stopped(struct daemon *d) {
        if (stop(d) < 0)
                (void) sd_event_exit(d->event, 1);
}

static int end(struct daemon *d) {
        if (d->ending)
                return 0;
        d->ending = true;
        return services_stop(d, on_services_stopped) ? 0 : stop(d);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        struct daemon *d = userdata;

        if (si->ssi_signo != SIGHUP && !is_restart())
                return end(d);
        if (si->ssi_signo == SIGHUP && !configure_check(d)) {
                log_record(LOG_ERR, MESSAGE_SETTINGS, NULL, "it keeps the settings that it has, and is not executed anew");
                return 0;
        }
        d->leaving = true;
        return sd_event_exit(d->event, 0);
}

/* ---- the beginning ---- */

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

/* One that comes before we are ready waits until we are: were it to end us at once, nobody would have killed the sandboxes that are stored. */
static int block_signals(void) {
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&set, signals[i]);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int prepare(struct daemon *d) {
        struct rlimit files;
        int r;

        hurry_daemon();
        d->exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
        if (d->exe < 0)
                return -errno;
        d->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        (void) signal(SIGPIPE, SIG_IGN);
        if ((r = sd_event_new(&d->event)) < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if ((r = sd_event_add_signal(d->event, NULL, signals[i], on_signal, d)) < 0)
                        return r;
        r = sd_event_set_watchdog(d->event, true);
        return r < 0 ? r : 0;
}

static int run(const char *path, const char *agent, const char *config) {
        struct daemon d = { .exe = -1, .spare = -1, .config = config };
        int r = block_signals();

        if (r < 0 || (r = prepare(&d)) < 0) {
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "it can't begin: %s", strerror(-r));
                return 1;
        }
        r = store_take(&d);
        if (!d.settings)
                return 1;
        if (r < 0)
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "what was stored can't be taken back: %s", strerror(-r));
        if (r == 0 && (r = listen_on(&d, path)) >= 0 && !d.has_agent)
                r = listen_for_runtimes(&d, path, agent);
        if (r >= 0)
                r = demand_watch(&d);
        if (r < 0)
                return 1;
        store_settings(d.settings);
        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(d.event);
        if (r < 0)
                log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "it can't go on: %s", strerror(-r));
        /* Once nobody is left to be found again. */
        if (d.stopping && d.socket[0])
                (void) unlink(d.socket);
        if (d.stopping && d.agent[0])
                (void) unlink(d.agent);
        peers_close(&d);
        sandboxes_leave(&d);
        services_done(&d);
        sd_event_unref(d.event);
        fd_close(d.exe);
        fd_close(d.spare);
        settings_free(d.settings);
        return r != 0;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' }, { "agent", required_argument, NULL, 'a' },
                { "config", required_argument, NULL, 'c' }, { "on-demand", optional_argument, NULL, 'd' },
                { "check-config", no_argument, NULL, 'C' }, { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },      {},
        };
        const char *path = NULL, *agent = NULL, *config = NULL;
        bool check = false;
        int c;

        if (argc > 1 && str_equal(argv[1], "--worker"))
                return worker_main(argc, argv);
        if (argc > 1 && str_equal(argv[1], "--front"))
                return front_main();
        if (argc > 1 && str_equal(argv[1], "--helper"))
                return helper_main(argc, argv);
        if (argc > 1 && str_equal(argv[1], "--container"))
                return container_main(argc, argv);
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 's': path = optarg; break;
                case 'a': agent = optarg; break;
                case 'c': config = optarg; break;
                case 'd':
                        if (demand_begin(optarg) < 0) {
                                fprintf(stderr, "sandboxd: --on-demand=%s: that is no number of seconds up to a day\n", optarg);
                                return 2;
                        }
                        break;
                case 'C': check = true; break;
                case 'h': print_help(); return 0;
                case 'V': printf("sandboxd %s\n", SANDBOXD_VERSION); return 0;
                default: return 2;
                }
        if (optind < argc) {
                fprintf(stderr, "sandboxd: '%s' is not understood; it takes options only (sandboxd --help)\n", argv[optind]);
                return 2;
        }
        if (check)
                return configure_show(config);
        if (!getenv("NOTIFY_SOCKET"))
                keeper_run(argv);
        return run(path, agent, config);
}
