/*
 * The policy's filter, merged with the container's own seccomp profile.
 */
#include "profile.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "cache.h"
#include "config.h"
#include "json_member.h"
#include "modules.h"
#include "mounts.h"
#include "oci_profile.h"
#include "plan.h"
#include "program.h"
#include "request.h"
#include "runtime.h"
#include "str.h"

/* ---- The policy ---- */

static int first_error(const struct policy_report *report, const char *name, int error, char **ret_why) {
        for (size_t i = 0; i < report->n; i++) {
                const struct policy_message *m = report->messages + i;
                if (m->warning)
                        continue;
                if (m->place.file && m->place.line > 0)
                        return WHY(ret_why, "the policy '%s' is wrong: %s:%u: %s", name, m->place.file, m->place.line, m->text);
                return WHY(ret_why, "the policy '%s': %s", name, m->text);
        }
        return WHY(ret_why, "the policy '%s': %s", name, strerror(-error));
}

/* One of the two policies, compiled. */
struct compiled {
        struct policy *policy;
        struct plan *plan;
};

static void compiled_done(struct compiled *c) {
        plan_free(c->plan);
        policy_free(c->policy);
}

/* For the container's mounts, where these hold what they have to; else for the broker. */
static int compile_plan(const struct profile_request *q, const struct policy *policy, struct plan **ret, struct policy_report *report) {
        struct plan_request request = { .setting = PLAN_CONTAINER,
                                        .root = q->root,
                                        .mounted = q->mounts ? q->mounts->points : NULL,
                                        .n_mounted = q->mounts ? q->mounts->n : 0 };
        _cleanup_(plan_freep) struct plan *plan = NULL;

        if (q->mounts && q->root && !q->mounts->why) {
                request.mounts = true;
                int r = plan_compile(policy, &request, &plan, report);
                if (r < 0)
                        return r;
                mounts_plan(q->mounts, q->config, plan);
                if (q->mounts->hold) {
                        *ret = TAKE_PTR(plan);
                        return 0;
                }
                request.mounts = false;
        }
        return plan_compile(policy, &request, ret, report);
}

static int compile(const struct profile_request *q, const char *name, struct compiled *ret, struct policy_report *report) {
        const struct choice *choice = q->choice;
        char *const environment[] = { NULL };
        /* As the agent asks: nothing of it is the caller's. */
        struct policy_request request = { .policy = name,
                                          .folders = choice->folders.list,
                                          .n_folders = choice->folders.n,
                                          .trust_last = choice->folders.trust_last,
                                          .cwd = "/",
                                          .name = name,
                                          .uid = getuid(),
                                          .gid = getgid(),
                                          .environment = environment,
                                          .inspect = true };
        int r = policy_load(&request, &ret->policy, report);

        return r < 0 ? r : compile_plan(q, ret->policy, &ret->plan, report);
}

static int collect(const struct profile_request *q, struct filter_builder *ret, bool *ret_acts, struct made_of *ret_of, char **ret_why) {
        _cleanup_(compiled_done) struct compiled floor = {}, own = {};
        struct policy_report report = {};
        const char *name = q->policy, *floor_name = choose_floor(q->choice, name), *at = floor_name ? floor_name : name;

        /* Mounts would hold the rules of one of the two. */
        if (floor_name && q->mounts && !q->mounts->why)
                q->mounts->why = "there is a floor";
        int r = floor_name ? compile(q, floor_name, &floor, &report) : 0;

        if (r >= 0)
                r = compile(q, at = name, &own, &report);
        if (r >= 0 && floor_name)
                r = plan_add_floor(own.plan, floor.plan, &report);
        if (r >= 0)
                r = modules_collect_profile(own.plan, ret, ret_of, &report);
        if (r >= 0)
                *ret_acts = modules_acts(own.plan, ret);
        else
                r = first_error(&report, at, r, ret_why);
        policy_report_done(&report);
        return r;
}

/* ---- What the agent is told ---- */

static const char *annotation(struct json_object *config, const char *name) {
        return json_member_text(json_member(config, "annotations", json_type_object), name);
}

static const char *first_annotation(struct json_object *config, const char *const *names, size_t n) {
        const char *value = NULL;

        for (size_t i = 0; !value && i < n; i++)
                value = annotation(config, names[i]);
        return value;
}

#define NAME_MAX_SIZE 64
#define ID_SHOWN 12 /* as engines show their containers' */

/* A sandbox's name: what people call the container where the engine says it, and the beginning of its id, by which it is one. */
static void make_name(struct json_object *config, const char *id, char ret[NAME_MAX_SIZE]) {
        static const char *const names[] = { "io.kubernetes.cri.container-name", "io.kubernetes.container.name",
                                             "io.kubernetes.cri.sandbox-name" };
        const char *name = first_annotation(config, names, ELEMENTSOF(names));
        size_t n = 0;

        for (; name && *name && n < NAME_MAX_SIZE - 2 - ID_SHOWN; name++)
                ret[n++] = isalnum((unsigned char) *name) ? tolower((unsigned char) *name) : '-';
        if (n > 0)
                ret[n++] = '-';
        size_t end = n > 0 || strlen(id) == 64 ? n + ID_SHOWN : NAME_MAX_SIZE - 1;
        for (; *id && n < end; id++) {
                bool other = n > 0 && strchr("._-", *id);
                ret[n++] = isalnum((unsigned char) *id) ? tolower((unsigned char) *id) : other ? *id : '-';
        }
        ret[n] = 0;
        if (n > 0 && !isalnum((unsigned char) ret[0]))
                ret[0] = 'c';
}

static void add_label(struct json_object *labels, const char *name, const char *value) {
        if (value)
                json_object_object_add(labels, name, json_object_new_string(value));
}

static void add_digest(struct json_object *o, const char *name, const struct digest *digest) {
        char text[DIGEST_TEXT_SIZE];

        json_object_object_add(o, name, json_object_new_string(digest_text(digest, text)));
}

static char *make_metadata(const struct profile_request *q, const struct made_of *of, bool program) {
        static const char *const images[] = { "io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName",
                                              "org.opencontainers.image.ref.name", "org.opencontainers.image.title" };
        static const char *const pods[] = { "io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name" };
        static const char *const namespaces[] = { "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace" };
        struct json_object *o = json_object_new_object(), *labels = json_object_new_object(), *config = q->config;
        bool mounts = q->mounts && q->mounts->hold;
        char name[NAME_MAX_SIZE];

        json_object_object_add(o, "sandboxd", json_object_new_int(1));
        json_object_object_add(o, "policy", json_object_new_string(q->policy));
        add_digest(o, "policy-digest", &of->policy);
        add_digest(o, "filter-digest", &of->filter);
        /* On crun by the flag; below another runtime, because nothing is done for callers (profile_make). A profile for any container says nothing: whether its
         * engine hands the flag on, the agent has to find out. */
        if (q->id) {
                json_object_object_add(o, "wait-killable", json_object_new_boolean(true));
                /* Who holds the rules for files: the filter asks about paths, or doesn't. */
                json_object_object_add(o, "files", json_object_new_string(mounts ? "mounts" : "broker"));
                make_name(config, q->id, name);
                json_object_object_add(o, "name", json_object_new_string(name));
        }
        /* That the program in the annotation is ours. */
        if (program)
                json_object_object_add(o, "program", json_object_new_boolean(true));
        add_label(labels, "image", first_annotation(config, images, ELEMENTSOF(images)));
        add_label(labels, "pod", first_annotation(config, pods, ELEMENTSOF(pods)));
        add_label(labels, "namespace", first_annotation(config, namespaces, ELEMENTSOF(namespaces)));
        if (json_object_object_length(labels) > 0)
                json_object_object_add(o, "labels", labels);
        else
                json_object_put(labels);
        char *text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
        return text;
}

/* ---- Both ---- */

static struct json_object *their_seccomp(struct json_object *config) {
        struct json_object *os, *seccomp;

        if (!json_object_object_get_ex(config, "linux", &os) || !os || !json_object_object_get_ex(os, "seccomp", &seccomp))
                return NULL;
        return seccomp;
}

static int merge(const struct filter_builder *b, struct json_object *theirs, struct oci_profile *ret, char **ret_why) {
        _cleanup_(oci_profile_done) struct oci_profile profile = {};
        _cleanup_free_ char *why = NULL;

        if (theirs && oci_profile_read(theirs, &profile, &why) < 0)
                return WHY(ret_why, "the container's own seccomp profile can't be merged: %s", why ? why : strerror(ENOMEM));
        int r = oci_profile_merge(b, theirs ? &profile : NULL, ret);
        if (r == -E2BIG)
                return WHY(ret_why,
                           "the policy and the container's own seccomp profile need more than the kernel's 4,096 instructions together");
        if (r < 0)
                return WHY(ret_why, "the policy and the container's own seccomp profile can't be said as one: %s", strerror(-r));
        return 0;
}

/* {"profile": without its listener, "program": for crun's annotation, or none}. Where a program is loaded in its place the profile says nothing but the default, which lets no call pass. */
static struct json_object *write_merged(const struct profile_request *q, const struct oci_profile *merged, struct json_object *theirs) {
        const struct oci_profile none = { .default_action = merged->default_action };
        _cleanup_free_ char *program = q->program ? program_text(merged) : NULL;
        struct json_object *o = json_object_new_object(), *profile = oci_profile_write(program ? &none : merged, q->wait_killable, theirs);

        if (!profile) {
                json_object_put(o);
                return NULL;
        }
        json_object_object_add(o, "profile", profile);
        if (program)
                json_object_object_add(o, "program", json_object_new_string(program));
        return o;
}

/* NULL: it can't be had, and a text that says why. */
static struct json_object *merged_profile(const struct profile_request *q, const struct filter_builder *builder,
                                          const struct digest *filter, struct json_object *theirs, char **ret_why) {
        _cleanup_(oci_profile_done) struct oci_profile merged = {};
        _cleanup_free_ char *key = q->id ? cache_key(filter, theirs, q->wait_killable, q->program) : NULL;
        struct json_object *json = key ? cache_get(q->socket, key) : NULL;

        if (json || merge(builder, theirs, &merged, ret_why) < 0)
                return json;
        json = write_merged(q, &merged, theirs);
        if (!json)
                (void) WHY(ret_why, "%s", strerror(ENOMEM));
        else if (key)
                cache_put(q->socket, key, json);
        return json;
}

static char *json_text(struct json_object *o) {
        return strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

int profile_make(const struct profile_request *q, char **ret, char **ret_program, char **ret_why) {
        _cleanup_(filter_builder_done) struct filter_builder builder = {};
        struct json_object *theirs = q->config ? their_seccomp(q->config) : NULL;
        _cleanup_free_ char *metadata = NULL;
        struct made_of of = {};
        bool acts;
        int r;

        *ret = *ret_program = NULL;
        r = collect(q, &builder, &acts, &of, ret_why);
        if (r < 0)
                return r;
        if (acts && !q->wait_killable)
                return WHY(ret_why,
                           "the policy '%s' needs crun: runc takes no seccomp flags, without which a call that a signal interrupts would "
                           "be done twice; "
                           "install crun",
                           q->policy);
        struct json_object *merged = merged_profile(q, &builder, &of.filter, theirs, ret_why);
        struct json_object *profile = json_member(merged, "profile", json_type_object),
                           *program = json_member(merged, "program", json_type_string);
        if (profile && (metadata = make_metadata(q, &of, program))) {
                oci_profile_listen(profile, q->socket, metadata);
                *ret = json_text(profile);
                *ret_program = program ? json_text(program) : NULL;
        }
        json_object_put(merged);
        if (*ret && !program == !*ret_program)
                return 0;
        return *ret_why ? -EINVAL : WHY(ret_why, "%s", strerror(ENOMEM));
}
