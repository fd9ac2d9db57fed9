/*
 * The policy of a wrapped service, compiled for the place in which it runs.
 */
#include <errno.h>

#include "message.h"
#include "modules.h"
#include "request.h"
#include "service.h"
#include "str.h"

int service_policy_load(struct service_policy *p, const char *policy, const char *name, uid_t uid, gid_t gid) {
        struct policy_report report = {};
        int r = request_init_system(&p->request);

        if (r < 0)
                return message_fail("no memory"), r;
        p->request.policy = policy;
        p->request.name = name;
        r = policy_load(&p->request, &p->policy, &report);
        if (r >= 0) {
                struct plan_request request = { .setting = PLAN_IN_PLACE, .uid = uid, .gid = gid };
                r = plan_compile(p->policy, &request, &p->plan, &report);
        }
        if (r >= 0)
                r = modules_compile(p->plan, &p->filter, &p->claims, &p->n_claims, &report);
        policy_report_print(&report, stderr);
        if (r < 0 && report.n_errors == 0)
                message_fail("the policy could not be compiled: %s", strerror(-r));
        policy_report_done(&report);
        return r;
}

int service_policy_file(const char *policy, char **ret) {
        struct policy_request request;
        char **names = NULL, **files = NULL;
        size_t n = 0;
        int r;

        *ret = NULL;
        if (policy[0] == '/')
                return (*ret = strdup(policy)) ? 0 : -ENOMEM;
        r = request_init_system(&request);
        if (r >= 0)
                r = policy_names(request.folders, request.n_folders, &names, &files, &n);
        for (size_t i = 0; r >= 0 && i < n && !*ret; i++)
                if (str_equal(names[i], policy) && !(*ret = strdup(files[i])))
                        r = -ENOMEM;
        free(names);
        free(files);
        request_done(&request);
        return r < 0 ? r : *ret ? 0 : -ENOENT;
}

void service_policy_done(struct service_policy *p) {
        filter_done(&p->filter);
        free(p->claims);
        plan_free(p->plan);
        policy_free(p->policy);
        request_done(&p->request);
}
