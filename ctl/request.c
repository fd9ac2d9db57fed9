#include "request.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include "config.h"
#include "settings.h"
#include "str.h"

extern char **environ;

const char *request_shipped_folder(bool *ret_own) {
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

/* Takes the folder over. */
static int add_folder(struct policy_request *r, char *folder) {
        const char **larger = folder ? reallocarray((void *) r->folders, r->n_folders + 1, sizeof(*larger)) : NULL;

        if (!larger) {
                free(folder);
                return -ENOMEM;
        }
        larger[r->n_folders++] = folder;
        r->folders = larger;
        return 0;
}

/* The folders that the settings of this user (root: of the system) name, else the usual one. */
static int add_folders(struct policy_request *r, uid_t uid, char *usual) {
        _cleanup_free_ char *path = NULL, *folder = usual;
        _cleanup_(settings_freep) struct settings *settings = NULL;
        struct policy_report report = {};
        int e = settings_path(uid, &path);

        if (e >= 0)
                e = settings_load(path, false, uid, &settings, &report);
        /* Warnings are for whoever starts sandboxd. */
        if (e == -EINVAL)
                policy_report_print(&report, stderr);
        policy_report_done(&report);
        if (e < 0 && e != -ENOENT)
                return e;
        if (!settings || !settings->policies_set)
                return add_folder(r, TAKE_PTR(folder));
        for (size_t i = 0; i < settings->n_policies; i++)
                if ((e = add_folder(r, strdup(settings->policies[i]))) < 0)
                        return e;
        return 0;
}

int request_init(struct policy_request *r) {
        struct passwd *pw = getpwuid(getuid());
        const char *home = home_of(pw);
        int e;

        *r = (struct policy_request) { .uid = getuid(), .gid = getgid(), .environment = environ };
        r->home = home ? strdup(home) : NULL;
        r->user = pw ? strdup(pw->pw_name) : NULL;
        e = (home && !r->home) || (pw && !r->user) ? -ENOMEM : 0;
        /* Root's own folder is no other than that of any user; root's settings are the system's. */
        if (e >= 0)
                e = r->uid == 0 ? add_folder(r, user_folder(home)) : add_folders(r, r->uid, user_folder(home));
        if (e >= 0)
                e = add_folders(r, 0, strdup(SANDBOXD_SYSTEM_POLICY_DIR));
        if (e >= 0)
                e = add_folder(r, strdup(request_shipped_folder(&r->trust_last)));
        if (e < 0)
                request_done(r);
        return e;
}

int request_init_system(struct policy_request *r) {
        int e;

        *r = (struct policy_request) { .uid = getuid(), .gid = getgid(), .environment = environ, .cwd = "/" };
        e = add_folders(r, 0, strdup(SANDBOXD_SYSTEM_POLICY_DIR));
        if (e >= 0)
                e = add_folder(r, strdup(request_shipped_folder(&r->trust_last)));
        if (e < 0)
                request_done(r);
        return e;
}

void request_done(struct policy_request *r) {
        for (size_t i = 0; i < r->n_folders; i++)
                free((char *) r->folders[i]);
        free((void *) r->folders);
        free((char *) r->home);
        free((char *) r->user);
        *r = (struct policy_request) {};
}
