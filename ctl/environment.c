#include "environment.h"

#include <errno.h>
#include <fnmatch.h>

#include "message.h"
#include "str.h"

static const char *const kept_by_default[] = { "PATH", "TERM", "LANG", "LC_*", "TZ", "USER", "LOGNAME", "SHELL" };

static size_t name_length(const char *assignment) {
        return strcspn(assignment, "=");
}

static char **environment_find(struct environment *e, const char *assignment) {
        size_t n = name_length(assignment);

        for (size_t i = 0; i < e->n; i++)
                if (name_length(e->list[i]) == n && strncmp(e->list[i], assignment, n) == 0)
                        return &e->list[i];
        return NULL;
}

/* The later one wins. */
static int environment_put(struct environment *e, const char *assignment) {
        char *copy = strdup(assignment);
        char **old = environment_find(e, assignment);

        if (!copy)
                return -ENOMEM;
        if (old) {
                free(*old);
                *old = copy;
                return 0;
        }
        char **larger = reallocarray(e->list, e->n + 2, sizeof(char *));
        if (!larger) {
                free(copy);
                return -ENOMEM;
        }
        e->list = larger;
        e->list[e->n++] = copy;
        e->list[e->n] = NULL;
        return 0;
}

static bool kept(const struct policy_environment *policy, const char *assignment) {
        char name[256];
        size_t n = name_length(assignment);

        if (assignment[n] != '=' || n == 0 || n >= sizeof(name))
                return false;
        memcpy(name, assignment, n);
        name[n] = 0;
        for (size_t i = 0; i < ELEMENTSOF(kept_by_default); i++)
                if (fnmatch(kept_by_default[i], name, 0) == 0)
                        return true;
        for (size_t i = 0; i < policy->n_keep; i++)
                if (fnmatch(policy->keep[i], name, 0) == 0)
                        return true;
        return false;
}

static int put_extra(struct environment *e, char *const *host, const char *word) {
        size_t n = name_length(word);

        if (n == 0) {
                message_fail("--env wants NAME or NAME=VALUE");
                return -EINVAL;
        }
        if (word[n] == '=')
                return environment_put(e, word);
        for (; *host; host++)
                if (strncmp(*host, word, n) == 0 && (*host)[n] == '=')
                        return environment_put(e, *host);
        _cleanup_free_ char *text = str_escape(word);
        message_fail("--env %s: there is no such variable here; give it a value with --env %s=VALUE", text, text);
        return -EINVAL;
}

/* HOME and XDG_RUNTIME_DIR are private, empty folders unless somebody set them: on the first place that is the sandbox's own. */
static int put_private(struct environment *e, const struct plan *plan, const char *name, const char *folder) {
        static const char *const places[] = { "/run", "/tmp", "/var/tmp" };
        char assignment[128];

        snprintf(assignment, sizeof(assignment), "%s=", name);
        if (environment_find(e, assignment))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (plan_match(plan, places[i]).own) {
                        snprintf(assignment, sizeof(assignment), "%s=%s/%s", name, places[i], folder);
                        int r = environment_put(e, assignment);
                        if (r < 0)
                                return r;
                        e->private[e->n_private++] = strchr(*environment_find(e, assignment), '=') + 1;
                        return 0;
                }
        snprintf(assignment, sizeof(assignment), "%s=/", name);
        return environment_put(e, assignment);
}

int environment_make(const struct plan *plan, char *const *host, char *const *extra, size_t n_extra, struct environment *ret) {
        const struct policy_environment *policy = &plan->policy->environment;
        _cleanup_(environment_done) struct environment e = {};
        int r = 0;

        for (char *const *p = host; *p && r >= 0; p++)
                if (kept(policy, *p))
                        r = environment_put(&e, *p);
        for (size_t i = 0; i < policy->n_set && r >= 0; i++)
                r = environment_put(&e, policy->set[i]);
        for (size_t i = 0; i < n_extra && r >= 0; i++)
                r = put_extra(&e, host, extra[i]);
        if (r >= 0 && !environment_find(&e, "PATH="))
                r = environment_put(&e, "PATH=/usr/local/bin:/usr/bin:/bin");
        if (r >= 0)
                r = put_private(&e, plan, "HOME", "home");
        if (r >= 0)
                r = put_private(&e, plan, "XDG_RUNTIME_DIR", "user");
        if (r < 0)
                return r;
        *ret = e;
        e = (struct environment) {};
        return 0;
}

void environment_done(struct environment *e) {
        for (size_t i = 0; i < e->n; i++)
                free(e->list[i]);
        free(e->list);
        *e = (struct environment) {};
}
