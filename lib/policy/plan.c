/*
 * plan_compile: puts the rules of a policy into the tree, where each lies after resolution on the host; the view and the matcher follow from that.
 */
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "str.h"
#include "tree.h"

char *shown(const char *path) {
        char *text = str_escape(path);

        return text ? text : strdup("?");
}

unsigned rule_rights(const struct file_rule *rule) {
        switch (rule->kind) {
        case FILE_READ:
        case FILE_REPLACE: return RIGHT_READ;
        case FILE_APPEND: return RIGHT_APPEND;
        case FILE_WRITE:
        case FILE_PRIVATE:
        case FILE_OVERLAY: return RIGHTS_WRITE;
        case FILE_EXEC: return RIGHTS_EXEC;
        case FILE_BIND: return rule->write ? RIGHTS_WRITE : RIGHT_READ;
        case FILE_DENY:
        case FILE_HIDE: return 0;
        }
        return 0;
}

void grant_add(struct tree_node *node, const struct file_rule *rule, unsigned rights) {
        /* A file that is replaced, and a bind that is read-only, stay so whatever is granted there besides. */
        if (node->content == CONTENT_REPLACE || (node->content == CONTENT_BIND && node->content_rule && !node->content_rule->write))
                rights &= ~(unsigned) (RIGHT_WRITE | RIGHT_APPEND);
        if (!node->grant || (rights & ~node->rights))
                node->grant = rule;
        node->rights |= rights;
        if (rule && !rule_is_flag(rule))
                node->reopens = true;
}

void grant_link(struct tree_node *node, void *rule) {
        node->link_shown = true;
        node->link = rule;
}

bool path_below(const char *path, const char *folder) {
        size_t n = strlen(folder);

        if (n == 1)
                return path[1] != 0;
        return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* ---- The sandbox's own: /proc and /dev ---- */

static bool add_device(struct compiler *c, struct tree_node *dev, const char *name, unsigned rights) {
        struct tree_node *node = dev;

        for (const char *p = name; node && *p;) {
                size_t n = strcspn(p, "/");
                node = tree_add(c, node, p, n);
                p += n + (p[n] == '/');
        }
        if (!node)
                return false;
        node->content = CONTENT_DEVICE;
        node->rights = rights;
        return true;
}

static int add_built_in(struct compiler *c) {
        static const char *const links[] = { "fd", "stdin", "stdout", "stderr" };
        struct tree_node *proc = tree_place(c, "/proc"), *dev = tree_place(c, "/dev");
        bool ok = proc && dev;

        if (!ok)
                return -ENOMEM;
        proc->content = CONTENT_PROC;
        proc->rights = RIGHTS_WRITE;
        proc->type = dev->type = HOST_DIRECTORY;
        dev->content = CONTENT_DEV;
        for (size_t i = 0; i < c->policy->n_devices; i++)
                ok = ok && add_device(c, dev, c->policy->devices[i], RIGHTS_WRITE);
        ok = ok && add_device(c, dev, "pts", RIGHTS_WRITE) && add_device(c, dev, "ptmx", RIGHTS_WRITE) &&
             add_device(c, dev, "tty", RIGHTS_WRITE);
        ok = ok && add_device(c, dev, "shm", RIGHT_READ);
        for (size_t i = 0; i < ELEMENTSOF(links); i++)
                ok = ok && add_device(c, dev, links[i], RIGHT_READ);
        return ok ? 0 : -ENOMEM;
}

bool built_in(const char *path) {
        return (str_starts(path, "/proc") || str_starts(path, "/dev/") || strcmp(path, "/dev") == 0) &&
               (path[1] == 'd' || path[5] == 0 || path[5] == '/');
}

/* ---- Grants ---- */

/* A rule names the path literally. */
static bool named(const struct tree_node *node) {
        return node->rights && (node->grant || node->content_rule);
}

static int place_built_in_grant(struct compiler *c, const struct file_rule *rule) {
        _cleanup_free_ char *path = shown(rule->path);

        if (strcmp(rule->path, "/dev/shm") == 0 || rule->kind == FILE_EXEC)
                return PLAN_ERROR(c, rule->place, "%s: %s", path,
                                  rule->kind == FILE_EXEC ? "nothing below /proc and /dev can be executed" : "use `private` for it");
        if (path_below(rule->path, "/dev")) {
                const struct tree_node *node = tree_place(c, rule->path);
                if (!node)
                        return -ENOMEM;
                if (node->rights == 0)
                        return PLAN_ERROR(c, rule->place, "%s: /dev is the sandbox's own; `devices: [%s]` shows a device in it", path,
                                          path + 5);
        }
        return 0;
}

static int missing_grant(struct compiler *c, const struct file_rule *rule, const struct tree_node *node) {
        const struct tree_node *giver;

        if (rule->kind != FILE_WRITE)
                return 0;
        giver = tree_giver(node);
        if (giver && (giver->rights & RIGHT_WRITE))
                return 0;
        _cleanup_free_ char *path = shown(rule->path);
        return PLAN_ERROR(c, rule->place, "%s can't be granted: %s%s", path, node->error ? strerror(node->error) : "it doesn't exist",
                          node->error ? "" : "; make it first, or grant `write` on its folder");
}

static int place_grant(struct compiler *c, const struct file_rule *rule) {
        if (built_in(rule->path) && !setting_is_foreign(c->request->setting))
                return place_built_in_grant(c, rule);
        struct tree_node *node = tree_resolve(c, rule->path, true, NULL, NULL);
        if (!node) {
                _cleanup_free_ char *path = shown(rule->path);
                return c->no_memory ? -ENOMEM : PLAN_ERROR(c, rule->place, "%s can't be resolved: too many symbolic links", path);
        }
        tree_look(c, node);
        if (node->type == HOST_ABSENT && node->content == CONTENT_NONE && !mounts_point(c, node->path))
                return 0; /* checked again when all grants are placed */
        if (node->content == CONTENT_PRIVATE && rule->kind != FILE_EXEC && rule->kind != FILE_WRITE) {
                _cleanup_free_ char *path = shown(rule->path);
                policy_report_add(c->report, true, rule->place, "%s is private (%s:%u): the sandbox sees an empty folder of its own there",
                                  path, node->content_rule->place.file, node->content_rule->place.line);
        }
        /* The way there is shown only where it leads somewhere. */
        (void) tree_resolve(c, rule->path, true, grant_link, (void *) rule);
        bool over_link = strcmp(rule->path, node->path) != 0;
        node->by_link = over_link && (node->by_link || !named(node));
        grant_add(node, rule, rule_rights(rule));
        return 0;
}

/* What the other rules grant there: what lies above, and patterns. */
static bool granted_without(struct compiler *c, struct tree_node *node) {
        const struct tree_node *giver = tree_giver(node->parent);
        unsigned rights = node->rights;

        if (giver && giver->content != CONTENT_NONE && giver->content != CONTENT_BIND)
                return false;
        node->rights = 0;
        struct match match = matcher_match(c->matcher, node->path);
        node->rights = rights;
        return (giver && !(rights & ~giver->rights)) ||
               (match.state == MATCH_GRANTED && match.rule && !match.rule->path && !(rights & ~match.rights));
}

/* A grant that a link leads to adds to what is granted there, and takes nothing away from a wider rule: nobody named the target. */
static void drop_narrower(struct compiler *c, struct tree_node *node) {
        if (node->by_link && node->content == CONTENT_NONE && node->parent && granted_without(c, node)) {
                node->rights = 0;
                node->grant = NULL;
                node->reopens = false;
        }
        for (size_t i = 0; i < node->n_children; i++)
                drop_narrower(c, node->children[i]);
}

static int check_missing(struct compiler *c, const struct file_rule *rule) {
        if (built_in(rule->path) && !setting_is_foreign(c->request->setting))
                return 0;
        const struct tree_node *node = tree_resolve(c, rule->path, true, NULL, NULL);
        return node && node->type == HOST_ABSENT && node->content == CONTENT_NONE && !mounts_point(c, node->path)
                       ? missing_grant(c, rule, node)
                       : 0;
}

/* ---- hide, deny, and what stays out ---- */

static void cover_link(struct tree_node *node, void *userdata) {
        const struct file_rule *rule = userdata;

        if (rule->kind == FILE_HIDE)
                node->hide = rule;
        else
                node->deny = rule;
}

static int place_refusal(struct compiler *c, const struct file_rule *rule) {
        /* Only a link in the last component is covered as well as its target: those above lead to other things too. */
        struct tree_node *node = tree_resolve(c, rule->path, false, NULL, NULL), *target = tree_resolve(c, rule->path, true, NULL, NULL);

        if (!node || !target) {
                _cleanup_free_ char *path = shown(rule->path);
                return c->no_memory ? -ENOMEM : PLAN_ERROR(c, rule->place, "%s can't be resolved: too many symbolic links", path);
        }
        cover_link(node, (void *) rule);
        cover_link(target, (void *) rule);
        return 0;
}

static int add_stays_out(struct compiler *c) {
        static const char *const below_home[] = {
                ".ssh", ".gnupg", ".aws", ".config/gcloud", ".kube", ".docker", ".netrc", ".config/sandboxd", ".local/state/sandboxd"
        };
        char path[PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(below_home) + 3; i++) {
                if (i < ELEMENTSOF(below_home)) {
                        if (!c->request->home || c->request->home[0] != '/' ||
                            (size_t) snprintf(path, sizeof(path), "%s/%s", c->request->home, below_home[i]) >= sizeof(path))
                                continue;
                } else if (i == ELEMENTSOF(below_home))
                        snprintf(path, sizeof(path), "/run/sandboxd");
                else if (i == ELEMENTSOF(below_home) + 1)
                        snprintf(path, sizeof(path), "/run/user/%u/sandboxd", c->request->uid);
                else
                        snprintf(path, sizeof(path), "/var/lib/sandboxd");

                /* Without a grant above, it isn't shown anyway, and the host need not be asked. */
                struct tree_node *node = tree_resolve(c, path, false, NULL, NULL), *target = tree_resolve(c, path, true, NULL, NULL);
                if (c->no_memory)
                        return -ENOMEM;
                if (node && !named(node))
                        node->stays_out = true;
                if (target && !named(target))
                        target->stays_out = true;
        }
        return 0;
}

static int each_rule(struct compiler *c, int (*place)(struct compiler *c, const struct file_rule *rule), unsigned kinds) {
        int result = 0;

        for (size_t i = 0; i < c->policy->files.n_rules; i++) {
                const struct file_rule *rule = c->policy->files.rules + i;
                if (!(kinds & 1U << rule->kind) || !rule->path)
                        continue;
                int r = place(c, rule);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

#define KIND(k) (1U << (k))
#define GRANTS (KIND(FILE_READ) | KIND(FILE_APPEND) | KIND(FILE_WRITE) | KIND(FILE_EXEC))

static int place_binds(struct compiler *c, const struct file_rule *rule) {
        return rule->kind == FILE_BIND ? place_content(c, rule) : 0;
}

static int place_rules(struct compiler *c) {
        int r, result = 0;
        static const struct {
                int (*place)(struct compiler *c, const struct file_rule *rule);
                unsigned kinds;
        } steps[] = {
                /* Binds first: what lies below one resolves in what is bound. */
                { place_binds, KIND(FILE_BIND) },
                { place_content, KIND(FILE_PRIVATE) | KIND(FILE_OVERLAY) | KIND(FILE_REPLACE) },
                { place_grant, GRANTS },
                { check_missing, GRANTS },
                { place_refusal, KIND(FILE_HIDE) | KIND(FILE_DENY) },
        };

        bool foreign = setting_is_foreign(c->request->setting);

        if ((foreign ? setting_add_built_in(c) : add_built_in(c)) < 0)
                return -ENOMEM;
        if (foreign)
                result = setting_check(c);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                r = each_rule(c, steps[i].place, steps[i].kinds);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        c->matcher->unnamed = c->policy->files.unnamed;
        int (*const more[])(struct compiler * c) = { globs_place, whens_place };
        for (size_t i = 0; i < ELEMENTSOF(more); i++) {
                r = more[i](c);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        drop_narrower(c, c->matcher->root);
        r = exec_close(c);
        if (r >= 0)
                r = add_stays_out(c);
        if (r >= 0 && foreign)
                r = setting_add_masks(c);
        if (r >= 0)
                globs_warn(c);
        return r < 0 ? r : result;
}

/* ---- The rest of the plan ---- */

static int collect_low_ports(struct compiler *c) {
        struct plan *plan = c->plan;

        /* Whose capabilities a caller has who isn't ours, is not ours to say. */
        if (c->policy->network.mode != NETWORK_HOST || setting_is_foreign(c->request->setting))
                return 0;
        for (size_t i = 0; i < c->policy->network.bind.n; i++) {
                const struct net_rule *rule = c->policy->network.bind.rules + i;
                for (size_t k = 0; k < rule->n_ports; k++) {
                        struct port_range range = rule->ports[k];
                        /* `*` and ranges that only reach down there name no low port. */
                        if (range.first == 0 || range.last >= 1024)
                                continue;
                        for (unsigned port = range.first; port <= range.last; port++) {
                                bool known = false;
                                for (size_t j = 0; j < plan->n_low_ports; j++)
                                        known |= plan->low_ports[j] == port;
                                if (known)
                                        continue;
                                uint16_t *slot = arena_push(c->arena, &plan->low_ports, &plan->n_low_ports, sizeof(*slot));
                                if (!slot)
                                        return -ENOMEM;
                                *slot = port;
                        }
                }
        }
        return 0;
}

/* What only the broker can hold, as far as the rules alone say so; plan_view.c finds the rest. */
static void needs_broker(const struct policy *policy, const char **ret_why, struct place *ret_at) {
        const struct policy_files *files = &policy->files;

        for (size_t i = 0; i < files->n_rules && !*ret_why; i++) {
                const struct file_rule *rule = files->rules + i;
                *ret_why = rule->kind == FILE_APPEND ? "a mount can't tell appending from writing"
                           : !rule->path             ? "a mount can't stand for a pattern"
                                                     : NULL;
                *ret_at = *ret_why ? rule->place : (struct place) {};
        }
        if (!*ret_why && files->unnamed == FILES_DENY) {
                *ret_why = "a mount can't show a name and nothing else (`default: deny`)";
                *ret_at = (struct place) { .file = policy->name };
        }
        if (!*ret_why && policy->n_whens > 0) {
                *ret_why = "a mount is the same for all programs (`when`)";
                *ret_at = policy->whens[0].place;
        }
}

static int set_root(struct compiler *c) {
        char real[PATH_MAX];
        struct stat st;

        c->root = "";
        if (!c->request->root)
                return 0;
        if (setting_is_foreign(c->request->setting)) {
                /* A link of procfs, which leads elsewhere than to the path that it shows. */
                c->root = c->request->root;
                return 0;
        }
        if (!realpath(c->request->root, real) || stat(real, &st) < 0 || !S_ISDIR(st.st_mode)) {
                _cleanup_free_ char *path = shown(c->request->root);
                return PLAN_ERROR(c, ((struct place) { .file = "--rootfs" }), "%s: %s", path, strerror(errno ? errno : ENOTDIR));
        }
        if (strcmp(real, "/") == 0)
                return 0;
        c->root = c->plan->root = arena_strdup(c->arena, real);
        return c->root ? 0 : -ENOMEM;
}

static int compile(struct compiler *c) {
        int r = set_root(c), result = 0;

        if (r < 0)
                return r;
        c->matcher->root = tree_root(c);
        if (!c->matcher->root)
                return -ENOMEM;
        result = place_rules(c);
        if (result == -ENOMEM || c->no_memory)
                return -ENOMEM;
        matcher_finish(c);
        r = view_make(c);
        if (r == -ENOMEM || c->no_memory)
                return -ENOMEM;
        if (r < 0)
                result = r;
        if (result >= 0)
                result = whens_check(c);
        return result < 0 ? result : collect_low_ports(c);
}

/* `why`: the broker is to hold the rules, since mounts can't. Where it is only found on the way that they can't, *ret_why is set. */
static int compile_once(const struct policy *policy, const struct plan_request *request, struct plan **ret, struct policy_report *report,
                        const char **why, struct place *at) {
        struct plan_storage *storage = calloc(1, sizeof(*storage));

        if (!storage)
                return -ENOMEM;
        _cleanup_(plan_freep) struct plan *plan = &storage->plan;
        struct compiler c = {
                .policy = policy,
                .request = request,
                .report = report,
                .arena = &storage->arena,
                .plan = plan,
                .matcher = &storage->matcher,
        };

        plan->policy = policy;
        plan->setting = request->setting;
        plan->matcher = &storage->matcher;
        plan->files_brokered = policy->files.enforce_broker || *why;
        plan->brokered_why = *why;
        plan->brokered_at = *at;
        int r = compile(&c);
        *why = c.broker_why;
        *at = c.broker_at;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(plan);
        return 0;
}

int plan_compile(const struct policy *policy, const struct plan_request *request, struct plan **ret, struct policy_report *report) {
        const char *why = NULL;
        struct place at = {};
        size_t messages = report->n;

        bool mounts = !setting_is_foreign(request->setting) || (request->setting == PLAN_CONTAINER && request->mounts);
        if (!mounts)
                why = setting_why(request->setting);
        else if (!policy->files.enforce_broker)
                needs_broker(policy, &why, &at);
        bool tried = policy->files.enforce_broker || why;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        int r = compile_once(policy, request, &plan, report, &why, &at);
        if (!tried && why && r != -ENOMEM) {
                policy_report_cut(report, messages);
                plan = plan_free(plan);
                r = compile_once(policy, request, &plan, report, &why, &at);
        }
        if (r >= 0)
                *ret = TAKE_PTR(plan);
        return r;
}

struct plan *plan_free(struct plan *plan) {
        if (plan) {
                struct plan_storage *storage = (struct plan_storage *) plan;
                if (storage->floor) {
                        struct policy *policy = (struct policy *) storage->floor->policy;
                        plan_free(storage->floor);
                        policy_free(policy);
                }
                arena_done(&storage->arena);
                free(storage);
        }
        return NULL;
}
