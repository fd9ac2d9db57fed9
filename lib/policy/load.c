/*
 * policy_load: files → layers → one policy.
 */
#include "load.h"

#include <errno.h>

#include "str.h"

static int read_version(struct loader *l, const struct yaml_node *node) {
        uint64_t version;

        if (node->type == YAML_SCALAR && strcmp(node->text, "1") != 0 && node->text[0] >= '2' && node->text[0] <= '9')
                return ERROR(l, node->place, "version: this sandboxd knows version 1 of the policy language");
        return value_number(l, node, "version", 1, 1, &version);
}

static int read_description(struct loader *l, const struct yaml_node *node) {
        if (node->type != YAML_SCALAR)
                return ERROR(l, node->place, "description: expected a text");
        l->policy->description = node->text;
        return 0;
}

/* Read before, for all layers. */
static int read_elsewhere(struct loader *l, const struct yaml_node *node) {
        return 0;
}

static const struct key top_keys[] = {
        { "version", read_version },
        { "description", read_description },
        { "extends", read_elsewhere },
        { "vars", read_elsewhere },
        { "files", section_files },
        { "network", section_network },
        { "environment", section_environment },
        { "kernel", section_kernel },
        { "identity", section_identity },
        { "devices", section_devices },
        { "mounts", NULL, "mount(2) is refused inside" },
        { "limits", section_limits },
        { "syscalls", section_syscalls },
        { "rules", section_rules },
        { "audit", section_audit },
        { "on-broker-loss", section_on_broker_loss },
        { "tests", NULL, "keep them in a file of their own until then" },
};

static int read_layers(struct loader *l) {
        for (size_t i = 0; i < l->n_layers; i++) {
                l->layer = l->layers + i;
                /* A description is that of the policy itself, not of what it extends. */
                l->policy->description = NULL;
                if (!l->layer->top)
                        continue;
                int r = value_map(l, l->layer->top, "a policy", top_keys, ELEMENTSOF(top_keys));
                if (r == -ENOMEM)
                        return r;
        }
        return 0;
}

static int load(struct loader *l) {
        int r = sources_load(l);

        /* Without the files that it extends, a policy's variables and rules would give errors that aren't there. */
        if (r < 0)
                return r;
        r = variables_load(l);
        if (r >= 0)
                r = read_layers(l);
        if (r >= 0)
                r = flags_apply(l);
        if (r >= 0)
                files_check(l);
        if (r < 0)
                return r;
        return l->report->n_errors > 0 ? -EINVAL : 0;
}

int policy_load(const struct policy_request *request, struct policy **ret, struct policy_report *report) {
        struct policy_storage *storage = calloc(1, sizeof(*storage));
        struct policy_report own = *report;

        if (!storage)
                return -ENOMEM;
        _cleanup_(policy_freep) struct policy *policy = &storage->policy;
        struct loader l = { .request = request, .report = report, .arena = &storage->arena, .policy = policy };

        /* Errors that were in the report before are the caller's. */
        report->n_errors = 0;
        policy->name = arena_strdup(l.arena, request->policy);
        int r = policy->name ? load(&l) : -ENOMEM;
        report->n_errors += own.n_errors;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(policy);
        return 0;
}

struct policy *policy_free(struct policy *policy) {
        if (policy) {
                struct policy_storage *storage = (struct policy_storage *) policy;
                arena_done(&storage->arena);
                free(storage);
        }
        return NULL;
}
