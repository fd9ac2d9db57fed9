/*
 * passwd and group files for a sandbox: root, nobody and the caller, and nobody else of the host. Made here and not written in a policy, because
 * a policy's text can't say "unless the caller is root, who is there already".
 */
#include "load.h"
#include "str.h"

#define NOBODY 65534U

/* A field can't hold a colon or a newline, nor may a name pass for root's. */
static bool field_fits(const char *text) {
        return text && *text && !strpbrk(text, ":\n\r");
}

static const char *caller_name(const struct policy_request *request) {
        if (!field_fits(request->user) || str_equal(request->user, "root") || str_equal(request->user, "nobody") ||
            str_equal(request->user, "nogroup"))
                return "user";
        return request->user;
}

static char *take(struct arena *arena, struct strbuf *b) {
        char *text = b->failed ? NULL : arena_copy(arena, b->text, b->length);

        strbuf_done(b);
        return text;
}

char *accounts_passwd(struct arena *arena, const struct policy_request *request) {
        struct strbuf b = {};
        const char *home = field_fits(request->home) ? request->home : "/";

        strbuf_printf(&b, "root:x:0:0:root:%s:/bin/sh\n", request->uid == 0 ? home : "/root");
        strbuf_printf(&b, "nobody:x:%u:%u:nobody:/nonexistent:/usr/sbin/nologin\n", NOBODY, NOBODY);
        if (request->uid != 0 && request->uid != NOBODY)
                strbuf_printf(&b, "%s:x:%u:%u::%s:/bin/sh\n", caller_name(request), request->uid, request->gid, home);
        return take(arena, &b);
}

char *accounts_group(struct arena *arena, const struct policy_request *request) {
        struct strbuf b = {};

        strbuf_printf(&b, "root:x:0:\nnogroup:x:%u:\n", NOBODY);
        if (request->gid != 0 && request->gid != NOBODY)
                strbuf_printf(&b, "%s:x:%u:\n", caller_name(request), request->gid);
        return take(arena, &b);
}
