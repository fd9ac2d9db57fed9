/*
 * Variables: of the policy's `vars`, of --set, and built in. A value is expanded when it is first used, once, and taken literally from then on.
 */
#include <ctype.h>
#include <errno.h>

#include "glob.h"
#include "load.h"
#include "str.h"

/* Bounds what a chain of variables, each naming the one before twice, can grow to. */
#define EXPANDED_MAX (64U << 10)

static const char *const built_in[] = { "home", "user", "uid", "gid", "cwd", "name" };

static struct variable *variable_find(struct loader *l, const char *name) {
        for (size_t i = 0; i < l->n_variables; i++)
                if (strcmp(l->variables[i].name, name) == 0)
                        return l->variables + i;
        return NULL;
}

static bool valid_name(const char *name) {
        if (!isalpha((unsigned char) name[0]) && name[0] != '_')
                return false;
        for (; *name; name++)
                if (!isalnum((unsigned char) *name) && *name != '_' && *name != '-')
                        return false;
        return true;
}

static int check_name(struct loader *l, struct place place, const char *name) {
        _cleanup_free_ char *word = str_escape(name);

        if (!valid_name(name))
                return ERROR(l, place,
                             "a variable's name is made of letters, digits, _ and -, and doesn't begin with a digit; found `%.80s`",
                             word ? word : "");
        for (size_t i = 0; i < ELEMENTSOF(built_in); i++)
                if (strcmp(name, built_in[i]) == 0)
                        return ERROR(l, place, "${%s} is built in and can't be given another value", name);
        return 0;
}

static int read_vars(struct loader *l, const struct yaml_node *node) {
        if (node->type != YAML_MAP)
                return ERROR(l, node->place, "vars: expected a mapping (`name: value`)");
        for (size_t i = 0; i < node->n; i++) {
                const struct yaml_node *key = node->keys[i], *value = node->items[i];
                if (check_name(l, key->place, key->text) < 0)
                        continue;
                if (value->type != YAML_SCALAR) {
                        ERROR(l, value->place, "vars: the value of a variable is a text, not a list or mapping");
                        continue;
                }
                struct variable *v = variable_find(l, key->text);
                if (!v) {
                        v = arena_push(l->arena, &l->variables, &l->n_variables, sizeof(*v));
                        if (!v)
                                return -ENOMEM;
                        v->name = key->text;
                }
                v->text = value_is_null(value) ? "" : value->text;
                v->place = value->place;
        }
        return 0;
}

static int read_set(struct loader *l, const char *assignment) {
        struct place place = { .file = "--set" };
        size_t n = strcspn(assignment, "=");
        char *name = arena_copy(l->arena, assignment, n), hint[128];
        const char *words[64];
        size_t n_words = 0;

        if (!name)
                return -ENOMEM;
        _cleanup_free_ char *word = str_escape(name);
        if (n == 0 || assignment[n] != '=')
                return ERROR(l, place, "expected NAME=VALUE, found `%.80s`", word ? word : "");
        if (check_name(l, place, name) < 0)
                return -EINVAL;
        struct variable *v = variable_find(l, name);
        if (!v) {
                for (size_t i = 0; i < l->n_variables && n_words < ELEMENTSOF(words); i++)
                        words[n_words++] = l->variables[i].name;
                hint_nearest(name, words, n_words, hint);
                return ERROR(l, place, "the policy has no variable `%.80s`%s", word ? word : "",
                             hint[0] ? hint : "; `vars` in the policy declares them");
        }
        v->text = assignment + n + 1;
        v->place = place;
        v->literal = true;
        return 0;
}

int variables_load(struct loader *l) {
        int r = 0;

        for (size_t i = 0; i < l->n_layers && r != -ENOMEM; i++) {
                const struct yaml_node *vars = value_find(l->layers[i].top, "vars");
                if (vars)
                        r = read_vars(l, vars);
        }
        for (size_t i = 0; i < l->request->n_flags && r != -ENOMEM; i++)
                if (l->request->flags[i].kind == FLAG_SET)
                        r = read_set(l, l->request->flags[i].value);
        return r == -ENOMEM ? r : 0;
}

static const char *environment_value(const struct loader *l, const char *name) {
        size_t n = strlen(name);

        for (char *const *p = l->request->environment; p && *p; p++)
                if (strncmp(*p, name, n) == 0 && (*p)[n] == '=')
                        return *p + n + 1;
        return NULL;
}

/* The value of a built-in variable, NULL where the name is none. */
static const char *built_in_value(const struct loader *l, const char *name, char number[24]) {
        const struct policy_request *q = l->request;

        if (strcmp(name, "home") == 0)
                return q->home ? q->home : "";
        if (strcmp(name, "user") == 0)
                return q->user ? q->user : "";
        if (strcmp(name, "cwd") == 0)
                return q->cwd ? q->cwd : "";
        if (strcmp(name, "name") == 0)
                return q->name ? q->name : "";
        if (strcmp(name, "uid") != 0 && strcmp(name, "gid") != 0)
                return NULL;
        snprintf(number, 24, "%u", name[0] == 'u' ? q->uid : q->gid);
        return number;
}

static int unknown_variable(struct loader *l, struct place place, const char *name) {
        const char *words[64];
        char hint[128];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(built_in); i++)
                words[n++] = built_in[i];
        for (size_t i = 0; i < l->n_variables && n < ELEMENTSOF(words); i++)
                words[n++] = l->variables[i].name;
        _cleanup_free_ char *word = str_escape(name);
        hint_nearest(name, words, n, hint);
        return ERROR(l, place, "there is no variable ${%.80s}%s", word ? word : "",
                     hint[0] ? hint : "; `vars` declares one, ${env.NAME} is one of the environment");
}

static int own_value(struct loader *l, struct variable *v, struct place place, const char **ret) {
        int r = 0;

        if (v->state == VARIABLE_EXPANDING) {
                r = ERROR(l, v->place, "the variable ${%s} leads to itself", v->name);
                v->state = VARIABLE_WRONG;
                return r;
        }
        if (v->state == VARIABLE_WRONG)
                return -EINVAL;
        if (v->state == VARIABLE_NEW && v->literal) {
                v->value = (char *) v->text;
                v->state = VARIABLE_READY;
        }
        if (v->state == VARIABLE_NEW) {
                v->state = VARIABLE_EXPANDING;
                r = expand(l, v->text, v->place, false, &v->value);
                v->state = r < 0 ? VARIABLE_WRONG : VARIABLE_READY;
                if (r < 0)
                        return r;
        }
        if (v->value[0] == 0)
                return ERROR(l, place, "the variable ${%s} has no value; give it one with --set %s=VALUE", v->name, v->name);
        *ret = v->value;
        return 0;
}

/* A policy names ${cwd} to grant something on a project. Started in the home or above, that would give all of it away without a word. */
static bool cwd_is_too_much(const struct policy_request *q) {
        size_t n = strlen(q->cwd);

        if (q->inspect)
                return false;
        return n == 1 || (q->home && strncmp(q->home, q->cwd, n) == 0 && (q->home[n] == '/' || q->home[n] == 0));
}

static int variable_value(struct loader *l, const char *name, struct place place, char number[24], const char **ret) {
        const char *value;

        if (str_starts(name, "env.")) {
                value = environment_value(l, name + 4);
                if (!value || !*value) {
                        _cleanup_free_ char *word = str_escape(name + 4);
                        return ERROR(l, place, "the environment variable %.80s is %s", word ? word : "", value ? "empty" : "not set");
                }
                *ret = value;
                return 0;
        }
        struct variable *v = variable_find(l, name);
        if (v)
                return own_value(l, v, place, ret);
        value = built_in_value(l, name, number);
        if (!value)
                return unknown_variable(l, place, name);
        if (!*value)
                return ERROR(l, place, "${%s} isn't known here, and can't be used", name);
        if (strcmp(name, "cwd") == 0 && cwd_is_too_much(l->request)) {
                _cleanup_free_ char *cwd = str_escape(value);
                return ERROR(
                        l, place,
                        "the current directory, ${cwd}, is %.200s: %s, and the policy would grant all of it; change to the folder that is "
                        "meant, or name it with --set VARIABLE=DIR",
                        cwd ? cwd : "", value[1] ? "your home or above it" : "the whole machine");
        }
        *ret = value;
        return 0;
}

int expand(struct loader *l, const char *text, struct place place, bool as_pattern, char **ret) {
        struct strbuf out = {};
        int r = 0;

        if (!strstr(text, "${")) {
                *ret = arena_strdup(l->arena, text);
                return *ret ? 0 : -ENOMEM;
        }
        for (const char *p = text; *p && r >= 0;) {
                if (str_starts(p, "$${")) {
                        strbuf_puts(&out, "${");
                        p += 3;
                } else if (str_starts(p, "${")) {
                        const char *end = strchr(p, '}'), *value;
                        char number[24];
                        if (!end) {
                                r = ERROR(l, place, "a ${ has no } (write $${ for the characters themselves)");
                                break;
                        }
                        _cleanup_free_ char *name = strndup(p + 2, end - p - 2);
                        r = name ? variable_value(l, name, place, number, &value) : -ENOMEM;
                        if (r >= 0 && as_pattern)
                                glob_escape(&out, value);
                        else if (r >= 0)
                                strbuf_puts(&out, value);
                        p = end + 1;
                } else
                        strbuf_add(&out, p++, 1);
                if (r >= 0 && out.length > EXPANDED_MAX)
                        r = ERROR(l, place, "with its variables this text is too long (64K at most)");
        }
        if (r >= 0) {
                *ret = out.failed ? NULL : arena_copy(l->arena, out.text ? out.text : "", out.length);
                r = *ret ? 0 : -ENOMEM;
        }
        strbuf_done(&out);
        return r;
}
