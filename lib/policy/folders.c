#include "folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "path.h"
#include "str.h"

/* Takes the folder over. */
static int add(struct policy_folders *f, char *folder) {
        const char **larger = folder ? reallocarray(f->list, f->n + 1, sizeof(*larger)) : NULL;

        if (!larger) {
                free(folder);
                return -ENOMEM;
        }
        f->list = larger;
        f->list[f->n++] = folder;
        return 0;
}

/* `usual` is taken over. */
static int add_named(struct policy_folders *f, const struct settings *settings, char *usual) {
        _cleanup_free_ char *folder = usual;
        int r = 0;

        if (!settings->policies_set)
                return add(f, TAKE_PTR(folder));
        for (size_t i = 0; r >= 0 && i < settings->n_policies; i++)
                r = add(f, strdup(settings->policies[i]));
        return r;
}

static char *user_folder(const char *home) {
        const char *config = getenv("XDG_CONFIG_HOME");
        char *folder = NULL;
        struct stat st;
        int n;

        /* The specification says to take no notice of a relative one. */
        if (config && config[0] == '/')
                n = asprintf(&folder, "%s/sandboxd/policies", config);
        else if (home)
                n = asprintf(&folder, "%s/.config/sandboxd/policies", home);
        else
                return strdup("");
        if (n < 0)
                return NULL;
        if (stat(folder, &st) >= 0 || errno != EACCES)
                return folder;
        /* In a folder that one can't look into, as with the HOME of who one was before, there is nothing of one's own. */
        free(folder);
        return strdup("");
}

/* The checkout's, for a program that runs from its build folder. That one is then as much its own as the program, whoever it belongs to. */
static const char *shipped_folder(bool *ret_own) {
        char exe[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

        exe[n > 0 ? n : 0] = 0;
        *ret_own = str_starts(exe, SANDBOXD_BUILD_DIR "/");
        return *ret_own ? SANDBOXD_SOURCE_DIR "/policies" : SANDBOXD_POLICY_DIR;
}

int policy_folders_find(const struct settings *own, const char *home, const struct settings *system, struct policy_folders *ret) {
        int r = own ? add_named(ret, own, user_folder(home)) : 0;

        if (r >= 0)
                r = add_named(ret, system, strdup(SANDBOXD_SYSTEM_POLICY_DIR));
        if (r >= 0)
                r = add(ret, strdup(shipped_folder(&ret->trust_last)));
        if (r < 0)
                policy_folders_done(ret);
        return r;
}

void policy_folders_done(struct policy_folders *f) {
        for (size_t i = 0; i < f->n; i++)
                free((char *) f->list[i]);
        free(f->list);
        *f = (struct policy_folders) {};
}

static bool lies_in_roots(int fd) {
        static const char *const folders[] = { "/etc", "/usr", SANDBOXD_POLICY_DIR, SANDBOXD_SYSTEM_DIR };
        char link[64], path[PATH_MAX];

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = 0;
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                if (path_covers(folders[i], path))
                        return true;
        return false;
}

bool policy_owner_trusted(int fd, uid_t owner, uid_t reader) {
        struct stat st;

        /* The host's root owns the kernel's settings. */
        if (owner != 0 && stat("/proc/sys/kernel/ostype", &st) == 0 && owner == st.st_uid)
                return lies_in_roots(fd);
        return owner == 0 || owner == reader;
}
