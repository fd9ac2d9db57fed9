#include "request.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include "config.h"
#include "str.h"

extern char **environ;

#define FOLDERS 3

/* The folder of the shipped policies: the checkout's, for a program that runs from its build folder. That one is then as much its own as the
 * program, whoever it belongs to. */
static const char *shipped_folder(bool *ret_own) {
        char exe[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

        if (n > 0) {
                exe[n] = 0;
                *ret_own = str_starts(exe, SANDBOXD_BUILD_DIR "/");
                if (*ret_own)
                        return SANDBOXD_SOURCE_DIR "/policies";
        }
        return SANDBOXD_POLICY_DIR;
}

static char *user_folder(const char *home) {
        const char *config = getenv("XDG_CONFIG_HOME");
        char *folder = NULL;
        int n;

        /* The specification says to take no notice of a relative one. */
        if (config && config[0] == '/')
                n = asprintf(&folder, "%s/sandboxd/policies", config);
        else if (home)
                n = asprintf(&folder, "%s/.config/sandboxd/policies", home);
        else
                return strdup("");
        return n < 0 ? NULL : folder;
}

/* HOME as the user has it set, and what the accounts say where it isn't. */
static const char *home_of(const struct passwd *pw) {
        const char *home = getenv("HOME");

        if (home && home[0] == '/')
                return home;
        return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

int request_init(struct policy_request *r) {
        struct passwd *pw = getpwuid(getuid());
        const char *home = home_of(pw);
        char **folders = calloc(FOLDERS, sizeof(char *));

        *r = (struct policy_request) {
                .uid = getuid(),
                .gid = getgid(),
                .environment = environ,
                .folders = (const char *const *) folders,
                .n_folders = FOLDERS,
        };
        if (!folders)
                return -ENOMEM;
        folders[0] = user_folder(home);
        folders[1] = strdup(SANDBOXD_SYSTEM_POLICY_DIR);
        folders[2] = strdup(shipped_folder(&r->trust_last));
        r->home = home ? strdup(home) : NULL;
        r->user = pw ? strdup(pw->pw_name) : NULL;
        if (!folders[0] || !folders[1] || !folders[2] || (home && !r->home) || (pw && !r->user)) {
                request_done(r);
                return -ENOMEM;
        }
        return 0;
}

void request_done(struct policy_request *r) {
        for (size_t i = 0; r->folders && i < FOLDERS; i++)
                free((char *) r->folders[i]);
        free((void *) r->folders);
        free((char *) r->home);
        free((char *) r->user);
        *r = (struct policy_request) {};
}
