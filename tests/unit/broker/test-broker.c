/*
 * Each scenario runs in a program of its own (rig.h): a filter is loaded for good, threads are started, fds are closed.
 */
#include <criterion/criterion.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

static void run(const char *name) {
        char *const argv[] = { (char *) "broker-rig", (char *) name, NULL };
        const char *rig = getenv("BROKER_RIG");
        int status;
        pid_t pid;

        cr_assert(rig, "BROKER_RIG names no program");
        cr_assert_eq(posix_spawn(&pid, rig, NULL, NULL, argv, environ), 0);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ended with %#x", name, status);
}

#define SCENARIO(suite, test, name) \
        Test(suite, test) { \
                run(name); \
        }

SCENARIO(replies, values, "values")
SCENARIO(replies, invalid, "invalid-replies")
SCENARIO(replies, kill, "kill")
SCENARIO(replies, fds, "fds")
SCENARIO(replies, affinity, "affinity")
SCENARIO(target, path_edges, "path-edges")
SCENARIO(target, copies, "copies")
SCENARIO(target, numbers, "numbers")
SCENARIO(threads, many_callers, "many-callers")
SCENARIO(threads, stuck_handler, "stuck-handler")
SCENARIO(worker, protected, "worker-protected")
SCENARIO(worker, records, "records")
SCENARIO(resolve, paths, "paths")
SCENARIO(resolve, paths_without_capabilities, "paths-without-capabilities")
SCENARIO(resolve, deleted_cwd, "deleted-cwd")
SCENARIO(resolve, openat2, "openat2")
SCENARIO(resolve, hidden, "hidden")
SCENARIO(resolve, names, "names")
SCENARIO(resolve, create, "create")
SCENARIO(resolve, credentials, "credentials")
SCENARIO(resolve, rename_race, "rename-race")
SCENARIO(listeners, several, "several-listeners")
SCENARIO(listeners, fifos, "fifos-meet-across")
SCENARIO(listeners, stuck, "stuck-apart")
SCENARIO(blocking, interrupted, "interrupted")
SCENARIO(blocking, restarted, "restarted")
SCENARIO(blocking, masked_signal, "masked-signal")
SCENARIO(blocking, stopped, "stopped")
SCENARIO(blocking, killed, "killed")
SCENARIO(blocking, fifos_meet, "fifos-meet")
SCENARIO(blocking, thread_bound, "thread-bound")
SCENARIO(blocking, process_signal, "process-signal")
SCENARIO(blocking, other_threads_signal, "other-threads-signal")
SCENARIO(blocking, signal_storm, "signal-storm")
SCENARIO(blocking, without_wait_killable, "without-wait-killable")
