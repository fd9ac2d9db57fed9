/*
 * A service of the system's systemd: what its manager says of it, and the lines of its files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_MANAGER SYSTEMD ".Manager"
#define SYSTEMD_UNIT SYSTEMD ".Unit"
#define SYSTEMD_SERVICE SYSTEMD ".Service"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

/* An assignment as it stands in a file: continued lines are one, the value is otherwise untouched. */
struct unit_line {
        const char *file; /* one of unit->files */
        unsigned line;
        char *section, *key, *value;
};

struct unit {
        sd_bus *bus;   /* borrowed */
        char *id;      /* the name that counts, of all that it has */
        char *object;  /* its path on the bus */
        char **files;  /* fragment and drop-ins in the order in which they apply, without our own; ends with NULL */
        char *drop_in; /* where ours is, or is to be */
        bool wrapped;  /* ours is there */
        struct unit_line *lines;
        size_t n_lines;
};

/* All functions but the readers of properties print their errors. They return 0 or more, or negative errno. */

/* The manager: over its own socket as root, else over the system bus. */
int systemd_connect(sd_bus **ret);
/* Lets it read its files again. */
int systemd_reload(sd_bus *bus);

/* By a name with or without `.service`; `absent`: also one whose own file is gone or wrong. `ret` is to be cleared by unit_done in any case. */
int unit_open(sd_bus *bus, const char *name, bool absent, struct unit *ret);
void unit_done(struct unit *unit);

/* Properties of the unit (SYSTEMD_UNIT) or the service (SYSTEMD_SERVICE). What this systemd doesn't know is NULL, 0, or false. */
char *unit_text(const struct unit *unit, const char *interface, const char *property);
bool unit_flag(const struct unit *unit, const char *interface, const char *property);
/* Of type u, t or i. */
uint64_t unit_number(const struct unit *unit, const char *interface, const char *property);
/* Of type as; ends with NULL, the caller frees it with unit_list_free. */
char **unit_list(const struct unit *unit, const char *interface, const char *property);
/* Of type (bas). NULL: not set, and nothing is filtered. */
char **unit_filter(const struct unit *unit, const char *property, bool *ret_allows);
/* Of type (bs): a label of the security modules. NULL: none. */
char *unit_label(const struct unit *unit, const char *property);
/* The first text of each struct of an array; `type` are the members of the struct, `rest` those behind the first. */
char **unit_first_texts(const struct unit *unit, const char *property, const char *type, const char *rest);
void unit_list_free(char **list);
bool unit_list_has(char *const *list, const char *word);

/* The last assignment of a key in [Service] or [Unit] that isn't empty, or NULL. */
const struct unit_line *unit_find_line(const struct unit *unit, const char *key);

/* ---- unit_exec.c: the lines that start something ---- */

extern const char *const exec_keys[]; /* ends with NULL */

/* One command of a line, as far as systemd takes it apart: its prefixes, its program (as written, with its quotes), and the rest. */
struct exec_line {
        const char *key;
        char *prefixes; /* of - : @ + ! */
        char *program, *rest;
};

/* What counts of the unit's files: the caller frees it with exec_lines_free. */
int unit_exec_lines(const struct unit *unit, struct exec_line **ret, size_t *ret_n);
/* Takes one value apart and adds its commands. -EINVAL: it has no program. */
int exec_lines_add(const char *key, const char *value, struct exec_line **list, size_t *n);
void exec_lines_free(struct exec_line *list, size_t n);
