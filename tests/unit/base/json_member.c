#include <criterion/criterion.h>

#include "json_member.h"

Test(json_member, what_is_of_another_type_is_not_there) {
        struct json_object *o = json_tokener_parse("{\"a\": {\"b\": \"text\"}, \"n\": 1, \"none\": null}"),
                           *a = json_member(o, "a", json_type_object);

        cr_expect_str_eq(json_member_text(a, "b"), "text");
        cr_expect_eq(json_object_get_int(json_member(o, "n", json_type_int)), 1);
        cr_expect_null(json_member_text(o, "n"));
        cr_expect_null(json_member_text(o, "none"));
        cr_expect_null(json_member_text(o, "missing"));
        cr_expect_null(json_member(json_member(o, "n", json_type_int), "a", json_type_object));
        cr_expect_null(json_member(NULL, "a", json_type_object));
        json_object_put(o);
}
