/*
 * The bundle's config.json.
 *
 * It is replaced in the bundle itself, atomically, and what the engine wrote stays beside it as config.json.sandboxd. The other way, a copy of the
 * bundle elsewhere, would show that copy's path to hooks and in the container's state, which engines compare with their own; and crun's --config,
 * which would leave the bundle alone, is unknown to runc. Engines write config.json and don't read it back but for namespaces and mounts, which
 * are as they wrote them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "json_member.h"
#include "mounts.h"
#include "profile.h"
#include "program.h"
#include "runtime.h"
#include "str.h"

#define CONFIG "config.json"
#define ORIGINAL "config.json.sandboxd"
#define NEW "config.json.sandboxd-new"
#define CONFIG_MAX (16U << 20)
#define DEPTH_MAX 64

struct config {
        int bundle;
        char *text;
        size_t size;
        struct stat st;
        struct json_object *json;
};

static void config_done(struct config *c) {
        fd_close(c->bundle);
        free(c->text);
        json_object_put(c->json);
}

static int read_text(struct config *c, const char *name) {
        _cleanup_close_ int fd = openat(c->bundle, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0 || fstat(fd, &c->st) < 0)
                return -errno;
        if (!S_ISREG(c->st.st_mode))
                return -EINVAL;
        return fd_read_file(fd, CONFIG_MAX, &c->text, &c->size);
}

static int parse(struct config *c) {
        struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        /* With the NUL behind it, so that a number at the end is one. */
        c->json = json_tokener_parse_ex(tokener, c->text, c->size + 1);
        bool whole = json_tokener_get_error(tokener) == json_tokener_success && json_object_is_type(c->json, json_type_object) &&
                     strlen(c->text) == c->size;
        json_tokener_free(tokener);
        return whole ? 0 : -EBADMSG;
}

/* Whether this is what an earlier start of the same bundle has made. */
static bool is_ours(const struct config *c) {
        struct json_object *seccomp = json_member(json_member(c->json, "linux", json_type_object), "seccomp", json_type_object);
        const char *metadata = json_member_text(seccomp, "listenerMetadata");
        struct json_object *said = metadata ? json_tokener_parse(metadata) : NULL;
        bool ours = json_object_object_get(said, "sandboxd") != NULL;

        json_object_put(said);
        return ours;
}

static int load(struct config *c, const char *bundle, bool *ret_again, char **ret_why) {
        _cleanup_free_ char *shown = str_escape(bundle);
        const char *name = CONFIG;
        int r;

        c->bundle = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (c->bundle < 0)
                return WHY(ret_why, "the bundle %s: %s", shown, strerror(errno));
        for (*ret_again = false;; *ret_again = true, name = ORIGINAL) {
                r = read_text(c, name);
                if (r < 0)
                        return WHY(ret_why, "%s/%s: %s", shown, name, strerror(-r));
                r = parse(c);
                if (r < 0)
                        return WHY(ret_why, "%s/%s is no JSON object, or nested too deeply", shown, name);
                if (!is_ours(c))
                        return 0;
                if (*ret_again)
                        return WHY(ret_why, "%s/" ORIGINAL " isn't what the engine wrote: remove the container and create it anew", shown);
                free(TAKE_PTR(c->text));
                json_object_put(TAKE_PTR(c->json));
        }
}

static int write_new(const struct config *c, const char *text) {
        _cleanup_close_ int fd = -1;

        if (unlinkat(c->bundle, NEW, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = openat(c->bundle, NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (fchown(fd, c->st.st_uid, c->st.st_gid) < 0 || fchmod(fd, c->st.st_mode & 0777) < 0)
                return -errno;
        return fd_write_full(fd, text, strlen(text));
}

/* At no time is there no config.json, or half of one. */
static int put_in_place(const struct config *c, const char *text, bool again) {
        int r = write_new(c, text);

        if (r < 0)
                return r;
        if (!again) {
                if (unlinkat(c->bundle, ORIGINAL, 0) < 0 && errno != ENOENT)
                        return -errno;
                if (linkat(c->bundle, CONFIG, c->bundle, ORIGINAL, 0) < 0)
                        return -errno;
        }
        return renameat(c->bundle, NEW, c->bundle, CONFIG) < 0 ? -errno : 0;
}

/* The container's root on the host, for rules about paths in it. */
static char *find_root(const struct config *c, const char *bundle) {
        const char *text = json_member_text(json_member(c->json, "root", json_type_object), "path") ?: "rootfs";
        char *joined = NULL;

        if (text[0] == '/')
                return strdup(text);
        return asprintf(&joined, "%s/%s", bundle, text) < 0 ? NULL : joined;
}

/* OUTER.NAME. */
static int set(char **text, const char *outer, const char *name, const char *value, char **ret_why) {
        char *changed = NULL;
        int r = value ? json_text_set(*text, strlen(*text), outer, name, value, &changed) : 0;

        if (r == -EEXIST)
                return WHY(ret_why, "config.json has `%s` or `%s` twice, or in other capitals", outer, name);
        if (r < 0)
                return WHY(ret_why, "config.json: `%s` is no object", outer);
        if (value) {
                free(*text);
                *text = changed;
        }
        return 0;
}

/* Whoever writes a pod also writes its annotations: those that have crun load another filter than the policy's, or hand the listener to somebody else. */
static int check_annotations(const struct config *c, char **ret_why) {
        static const char *const names[] = { PROGRAM_ANNOTATION, "run.oci.seccomp.plugins", "run.oci.seccomp.receiver" };
        struct json_object *annotations = json_member(c->json, "annotations", json_type_object);

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (json_object_object_get_ex(annotations, names[i], NULL))
                        return WHY(ret_why,
                                   "the annotation %s would put another filter, or another who answers its calls, in the policy's place: "
                                   "leave it out",
                                   names[i]);
        return 0;
}

/* Not where the annotations are none, which crun takes for no annotations. */
static bool takes_program(const struct config *c, const struct runtime_below *below) {
        struct json_object *annotations = NULL;

        (void) json_object_object_get_ex(c->json, "annotations", &annotations);
        return below->crun && (!annotations || json_object_is_type(annotations, json_type_object)) && program_is_taken(below->path);
}

int config_prepare(const struct words *w, const struct runtime_below *below, char **ret_why) {
        _cleanup_(config_done) struct config c = { .bundle = -1 };
        _cleanup_(choose_done) struct choice choice = {};
        _cleanup_(mounts_done) struct container_mounts mounts = {};
        _cleanup_free_ char *policy = NULL, *seccomp = NULL, *program = NULL, *text = NULL, *root = NULL;
        const char *bundle = w->bundle ? w->bundle : ".";
        char socket[CONTROL_SOCKET_SIZE];
        bool again;
        int r;

        r = load(&c, bundle, &again, ret_why);
        if (r >= 0)
                r = check_annotations(&c, ret_why);
        if (r >= 0)
                r = choose_init(&choice, ret_why);
        if (r >= 0)
                r = choose_policy(w, &choice, c.json, &policy, ret_why);
        if (r < 0)
                return r;
        r = agent_socket(socket);
        if (r < 0)
                return WHY(ret_why, r == -ENOENT ? "XDG_RUNTIME_DIR is not set, so that it isn't known where your sandboxd listens"
                                                 : "the path of sandboxd's agent socket is too long");
        root = find_root(&c, bundle);
        if (mounts_read(c.json, below->crun, &mounts) < 0)
                return WHY(ret_why, "%s", strerror(ENOMEM));
        const struct profile_request request = { .choice = &choice,
                                                 .policy = policy,
                                                 .id = w->id,
                                                 .root = root,
                                                 .socket = socket,
                                                 .config = c.json,
                                                 .wait_killable = below->crun,
                                                 .mounts = &mounts,
                                                 .program = takes_program(&c, below) };
        r = profile_make(&request, &seccomp, &program, ret_why);
        if (r < 0)
                return r;
        text = strdup(c.text);
        if (!text)
                return WHY(ret_why, "%s", strerror(ENOMEM));
        if ((r = set(&text, "linux", "seccomp", seccomp, ret_why)) < 0 ||
            (r = set(&text, "annotations", PROGRAM_ANNOTATION, program, ret_why)) < 0 ||
            (r = set(&text, "linux", "maskedPaths", mounts.masked, ret_why)) < 0 ||
            (r = set(&text, "linux", "readonlyPaths", mounts.read_only, ret_why)) < 0)
                return r;
        r = agent_ensure(socket, ret_why);
        if (r < 0)
                return r;
        r = put_in_place(&c, text, again);
        return r < 0 ? WHY(ret_why, "config.json can't be replaced in the bundle: %s", strerror(-r)) : 0;
}
