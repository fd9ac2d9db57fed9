/*
 * The configurations of engines. None is read by a library of its format's: in daemon.json one member is set, as in config.json; the others are TOML,
 * where a block at the end, between two comments, is added and taken out.
 */
#include <errno.h>

#include "install.h"
#include "runtime.h"
#include "str.h"

/* ---- Docker: a member of "runtimes" ---- */

#define RUNTIMES "runtimes"
#define NAME "sandboxd"

static int docker_check(const char *text, struct json_object **ret, char **ret_why) {
        struct json_tokener *tokener = json_tokener_new_ex(32);

        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        *ret = json_tokener_parse_ex(tokener, text, strlen(text) + 1);
        bool whole = json_tokener_get_error(tokener) == json_tokener_success && json_object_is_type(*ret, json_type_object);
        json_tokener_free(tokener);
        return whole ? 0 : WHY(ret_why, "it is no JSON object");
}

static int docker_add(const char *text, const char *path, char **ret, char **ret_why) {
        struct json_object *json = NULL, *entry = json_object_new_object();
        int r;

        /* An empty file is as good as none to dockerd. */
        if (!text || text[strspn(text, " \t\r\n")] == 0)
                text = "{}\n";
        json_object_object_add(entry, "path", json_object_new_string(path));
        r = docker_check(text, &json, ret_why);
        if (r >= 0) {
                r = json_text_set(text, strlen(text), RUNTIMES, NAME,
                                  json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), ret);
                if (r == -EINVAL || r == -EEXIST)
                        r = WHY(ret_why, "`" RUNTIMES "` in it is no object, or there twice");
        }
        json_object_put(json);
        json_object_put(entry);
        return r;
}

static int docker_remove(const char *text, const char *path, char **ret, char **ret_why) {
        struct json_object *json = NULL, *runtimes, *entry, *program;
        int r = docker_check(text, &json, ret_why);

        (void) path;
        if (r >= 0 && (!json_object_object_get_ex(json, RUNTIMES, &runtimes) || !json_object_object_get_ex(runtimes, NAME, &entry) ||
                       !json_object_object_get_ex(entry, "path", &program)))
                r = -ENOENT;
        if (r >= 0) {
                r = json_text_remove(text, RUNTIMES, NAME, ret);
                if (r == -EINVAL || r == -EEXIST)
                        r = WHY(ret_why, "`" RUNTIMES "` in it is no object, or there twice");
        }
        json_object_put(json);
        return r;
}

const struct engine engine_docker = {
        .name = "docker",
        .file = "/etc/docker/daemon.json",
        .program = "/usr/sbin/dockerd",
        .restart = "systemctl reload docker",
        .use = "docker run --runtime=" NAME " …",
        .add = docker_add,
        .remove = docker_remove,
};

/* ---- TOML ---- */

#define BEGIN "# sandboxd begins: added by sandbox-runtime install, taken out by sandbox-runtime uninstall\n"
#define END "# sandboxd ends\n"

static int block_add(const char *text, const char *block, char **ret) {
        size_t n = text ? strlen(text) : 0;

        if (asprintf(ret, "%s%s" BEGIN "%s" END, text ? text : "", n > 0 && text[n - 1] != '\n' ? "\n" : "", block) < 0)
                return -ENOMEM;
        return 0;
}

static int block_remove(const char *text, char **ret, char **ret_why) {
        const char *begin = strstr(text, BEGIN), *end = begin ? strstr(begin, END) : NULL;

        if (!begin)
                return -ENOENT;
        if (!end)
                return WHY(ret_why, "the comment `# sandboxd ends` is gone from it: remove our part by hand");
        if (asprintf(ret, "%.*s%s", (int) (begin - text), text, end + strlen(END)) < 0)
                return -ENOMEM;
        return 0;
}

/* ---- containerd: a runtime of its CRI plugin ---- */

/* The number behind `version =` before the first table; 0: none, which containerd takes for 1. */
static int containerd_version(const char *text) {
        int version = 0;

        for (const char *line = text; line && *line && *line != '['; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                line += strspn(line, " \t");
                if (*line == '[' || sscanf(line, "version = %d", &version) == 1 || sscanf(line, "version=%d", &version) == 1)
                        break;
        }
        return version;
}

/* Once a runtime is named, the one that containerd has by itself is no more there, and its CRI doesn't start without its default: `runc` is to be
 * named as well. */
static int containerd_block(const char *plugin, const char *path, bool runc, char **ret) {
        _cleanup_free_ char *first = NULL;

        if (asprintf(&first,
                     "[plugins.\"%s\".containerd.runtimes.runc]\n"
                     "  runtime_type = \"io.containerd.runc.v2\"\n",
                     plugin) < 0)
                return -ENOMEM;
        return asprintf(ret,
                        "%s[plugins.\"%s\".containerd.runtimes." NAME "]\n"
                        "  runtime_type = \"io.containerd.runc.v2\"\n"
                        "  pod_annotations = [\"org.sandboxd.*\"]\n"
                        "  container_annotations = [\"org.sandboxd.*\"]\n"
                        "  [plugins.\"%s\".containerd.runtimes." NAME ".options]\n"
                        "    BinaryName = \"%s\"\n",
                        runc ? first : "", plugin, plugin, path) < 0
                       ? -ENOMEM
                       : 0;
}

static int containerd_add(const char *text, const char *path, char **ret, char **ret_why) {
        _cleanup_free_ char *block = NULL, *without = NULL;
        int version, r;

        if (!text || text[strspn(text, " \t\r\n")] == 0)
                text = "version = 2\n";
        r = block_remove(text, &without, ret_why);
        if (r < 0 && r != -ENOENT)
                return r;
        if (without)
                text = without;
        version = containerd_version(text);
        if (version != 2 && version != 3)
                return WHY(ret_why, "its `version` is not 2 or 3: bring it up to date with `containerd config migrate`");
        if (strstr(text, "runtimes." NAME "]"))
                return WHY(ret_why, "it has a runtime `" NAME "` already that isn't from here");
        r = containerd_block(version == 2 ? "io.containerd.grpc.v1.cri" : "io.containerd.cri.v1.runtime", path,
                             !strstr(text, "runtimes.runc]"), &block);
        return r < 0 ? r : block_add(text, block, ret);
}

static int toml_remove(const char *text, const char *path, char **ret, char **ret_why) {
        (void) path;
        return block_remove(text, ret, ret_why);
}

const struct engine engine_containerd = {
        .name = "containerd",
        .file = "/etc/containerd/config.toml",
        .program = "/usr/bin/containerd",
        .restart = "systemctl restart containerd",
        .use = "a RuntimeClass with `handler: " NAME "`",
        .add = containerd_add,
        .remove = toml_remove,
};

/* ---- Podman: a file of its own ---- */

static int podman_add(const char *text, const char *path, char **ret, char **ret_why) {
        _cleanup_free_ char *block = NULL, *without = NULL;
        int r = text ? block_remove(text, &without, ret_why) : -ENOENT;

        if (r < 0 && r != -ENOENT)
                return r;
        if (asprintf(&block, "[engine.runtimes]\n" NAME " = [\"%s\"]\n", path) < 0)
                return -ENOMEM;
        return block_add(without ? without : text, block, ret);
}

const struct engine engine_podman = {
        .name = "podman",
        .file = "/etc/containers/containers.conf.d/sandboxd.conf",
        .program = "/usr/bin/podman",
        .restart = NULL,
        .use = "podman --runtime=" NAME " run …",
        .add = podman_add,
        .remove = toml_remove,
};
