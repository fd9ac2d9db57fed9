#include "ended.h"

#include <errno.h>
#include <sys/wait.h>

#include "message.h"
#include "str.h"

int ended_not_started(const struct launch_event *failure, const char *word, const char *what) {
        _cleanup_free_ char *command = str_escape(word);
        _cleanup_free_ char *text = str_escape(failure->text);

        if (str_equal(failure->stage, "exec")) {
                if (failure->error == ENOENT && str_starts(failure->text, "the program is there")) {
                        message_fail("%s: %s: no such file in the sandbox; show it with --exec PATH", command, text);
                        return EXIT_NOT_FOUND;
                }
                if (failure->error == ENOENT) {
                        message_fail("%s: there is no such command in the sandbox%s", command,
                                     strchr(word, '/') ? "" : " (looked for in PATH)");
                        return EXIT_NOT_FOUND;
                }
                message_fail("%s: can't be executed in the sandbox: %s%s", command, strerror(failure->error),
                             failure->error == EACCES ? "; it needs the execute bit and an `exec` rule (--exec PATH)" : "");
                return EXIT_NOT_EXECUTABLE;
        }
        if (str_equal(failure->stage, "chdir"))
                return message_fail("the directory %s can't be entered in the sandbox: %s; name another with --chdir DIR", text,
                                    strerror(failure->error));
        return message_fail("%s could not be started, at the step \"%s\": %s: %s", what, failure->stage, text, strerror(failure->error));
}

int ended_code(int status) {
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
