#include "exec_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "changes.h"
#include "fd.h"
#include "message.h"
#include "str.h"

int exec_layers_prepare(const struct exec_options *o, const struct plan *plan, struct layers *ret) {
        struct layers layers = { .directory = -1 };
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < plan->n_nodes && r >= 0; i++)
                if (plan->nodes[i].kind == NODE_OVERLAY) {
                        n++;
                        r = layers_check_mounts(plan->nodes[i].source);
                }
        if (r >= 0 && o->keep && n == 0) {
                message_fail("--overlay keep: there is nothing to keep, the policy lets no directory be changed (--write DIR, or overlay "
                             "rules)");
                r = -EINVAL;
        }
        if (r >= 0 && o->keep)
                r = layers_prepare(o->keep, plan, plan->policy->name, &layers);
        if (r < 0)
                return r;
        *ret = layers;
        return 0;
}

static int write_json(const struct exec_options *o, const struct layers *layers, const struct changes *changes) {
        _cleanup_free_ char *text = changes_json(layers, changes), *path = str_escape(o->changes);
        _cleanup_close_ int fd = str_equal(o->changes, "-") ? fcntl(2, F_DUPFD_CLOEXEC, 3)
                                                            : open(o->changes, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
        int r = fd < 0 ? -errno : text ? fd_write_full(fd, text, strlen(text)) : -ENOMEM;

        if (r < 0)
                message_fail("the changes could not be written to %s: %s", path, strerror(-r));
        return r;
}

int exec_layers_show(const struct exec_options *o, const struct plan *plan, int directory) {
        struct layers layers = { .directory = -1 };
        struct changes changes = {};

        int r = directory < 0 ? 0 : layers_of_run(plan, directory, &layers);
        if (r < 0)
                return r;
        r = changes_find(&layers, &changes);
        if (r < 0)
                message_fail("the changes can't be found out: %s", strerror(-r));
        else if (o->changes)
                r = write_json(o, &layers, &changes);
        else {
                _cleanup_free_ char *count = changes_count(&changes);
                changes_print(&layers, &changes, stderr);
                message_note("dry run: %s; nothing of it was kept", count ?: "");
        }
        changes_done(&changes);
        layers_done(&layers);
        return r;
}
