#include "json_member.h"

struct json_object *json_member(struct json_object *o, const char *name, enum json_type type) {
        struct json_object *value;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &value) && json_object_is_type(value, type)
                       ? value
                       : NULL;
}

const char *json_member_text(struct json_object *o, const char *name) {
        struct json_object *value = json_member(o, name, json_type_string);

        return value ? json_object_get_string(value) : NULL;
}
