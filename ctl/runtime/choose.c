/*
 * Which policy a container gets. Whoever writes a pod or a compose file also writes its annotations: they choose among what the administrator lists, and
 * no more. What the agent does with a name
 * (daemon/container.c) is the same: a filter of another policy would send it other calls.
 */
#include <errno.h>
#include <unistd.h>

#include "policy.h"
#include "runtime.h"
#include "str.h"

#define ANNOTATION "org.sandboxd.policy"
#define DEFAULT_POLICY "container-default"

static bool is_selectable(const struct settings_oci *oci, const char *name) {
        for (size_t i = 0; i < oci->n_selectable; i++)
                if (str_equal(oci->selectable[i], name))
                        return true;
        return false;
}

static int check_name(const char *name, const char *where, char **ret_why) {
        if (policy_name_valid(name))
                return 0;
        _cleanup_free_ char *text = str_escape(name);
        return WHY(ret_why, "%s: '%s' is no name of a policy (a to z, 0 to 9 and -; files can't be named here)", where, text);
}

static int load(uid_t whose, struct settings **ret, char **ret_why) {
        struct policy_report report = {};
        int r = settings_find(NULL, whose, getuid(), ret, &report);

        if (r < 0 && report.n > 0)
                (void) WHY(ret_why, "%s:%u: %s", report.messages[0].place.file, report.messages[0].place.line, report.messages[0].text);
        else if (r < 0)
                (void) WHY(ret_why, "the settings can't be read: %s", strerror(-r));
        policy_report_done(&report);
        return r < 0 ? -EINVAL : 0;
}

int choose_init(struct choice *c, char **ret_why) {
        uid_t user = getuid() ? getuid() : NOBODY;

        *c = (struct choice) { .root = agent_is_root() };
        int r = load(0, &c->system, ret_why);
        if (r >= 0 && !c->root)
                r = load(user, &c->own, ret_why);
        if (r < 0)
                return r;
        r = policy_folders_find(c->own, settings_home(user), c->system, &c->folders);
        return r < 0 ? WHY(ret_why, "%s", strerror(-r)) : 0;
}

void choose_done(struct choice *c) {
        settings_free(c->system);
        settings_free(c->own);
        policy_folders_done(&c->folders);
}

static int annotated(struct json_object *config, const char **ret, char **ret_why) {
        struct json_object *annotations, *value;

        *ret = NULL;
        if (!json_object_object_get_ex(config, "annotations", &annotations) || !annotations ||
            !json_object_object_get_ex(annotations, ANNOTATION, &value))
                return 0;
        if (!json_object_is_type(value, json_type_string))
                return WHY(ret_why, "the annotation " ANNOTATION " is no text");
        /* An empty one is how templates leave it out. */
        if (json_object_get_string_len(value) > 0)
                *ret = json_object_get_string(value);
        return 0;
}

const char *choose_floor(const struct choice *c, const char *policy) {
        const char *floor = (c->root ? c->system : c->own)->oci.floor;

        return floor && !str_equal(floor, policy) ? floor : NULL;
}

int choose_policy(const struct words *w, const struct choice *c, struct json_object *config, char **ret, char **ret_why) {
        const struct settings *settings = c->root ? c->system : c->own;
        const struct settings_oci *oci = &settings->oci;
        const char *name, *where;
        int r = annotated(config, &name, ret_why);

        if (r < 0)
                return r;
        if (name) {
                where = "the annotation " ANNOTATION;
                r = check_name(name, where, ret_why);
                if (r >= 0 && !is_selectable(oci, name))
                        r = WHY(ret_why, "%s names the policy '%s', which `oci: selectable` in %s doesn't list", where, name,
                                settings->file ? settings->file : "sandboxd.yaml");
        } else if (w->policy)
                r = check_name(name = w->policy, "--policy", ret_why);
        else
                name = oci->default_policy ? oci->default_policy : DEFAULT_POLICY;
        if (r < 0)
                return r;
        *ret = strdup(name);
        return *ret ? 0 : WHY(ret_why, "%s", strerror(ENOMEM));
}
