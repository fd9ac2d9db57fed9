#include "request.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "folders.h"

extern char **environ;

/* Warnings are for whoever starts sandboxd. */
static int load_settings(uid_t uid, struct settings **ret) {
        struct policy_report report = {};
        int e = settings_find(NULL, uid, uid, ret, &report);

        if (e == -EINVAL)
                policy_report_print(&report, stderr);
        policy_report_done(&report);
        return e;
}

static int find_folders(struct policy_request *r, const struct settings *own) {
        _cleanup_(settings_freep) struct settings *system = NULL;
        struct policy_folders folders = {};
        int e = load_settings(0, &system);

        if (e >= 0)
                e = policy_folders_find(own, r->home, system, &folders);
        r->folders = folders.list;
        r->n_folders = folders.n;
        r->trust_last = folders.trust_last;
        return e;
}

int request_init(struct policy_request *r) {
        _cleanup_(settings_freep) struct settings *settings = NULL;
        static const struct settings none;
        uid_t uid = getuid();
        const char *home = settings_home(uid);

        *r = (struct policy_request) { .uid = uid, .gid = getgid(), .environment = environ, .home = home ? strdup(home) : NULL };
        const struct passwd *pw = getpwuid(uid);
        r->user = pw ? strdup(pw->pw_name) : NULL;
        int e = (home && !r->home) || (pw && !r->user) ? -ENOMEM : 0;
        /* Root's own folder is no other than that of any user; root's settings are the system's. */
        if (e >= 0 && uid != 0)
                e = load_settings(uid, &settings);
        if (e >= 0)
                e = find_folders(r, settings ? settings : &none);
        if (e < 0)
                request_done(r);
        return e;
}

int request_init_system(struct policy_request *r) {
        *r = (struct policy_request) { .uid = getuid(), .gid = getgid(), .environment = environ, .cwd = "/" };
        int e = find_folders(r, NULL);
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
