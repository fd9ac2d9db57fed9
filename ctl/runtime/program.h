/*
 * A profile as the program that it comes to: crun takes one in an annotation, and then makes none itself, which costs more than all else it does.
 */
#pragma once

#include <stdbool.h>

#include "oci_profile.h"

/* Whether a runtime knows the annotation; one that doesn't would load the profile in its place, so that it has to have a whole one. */
bool program_is_taken(const char *runtime);
/* What the annotation says: base64. The caller frees it; NULL: it can't be had. */
char *program_text(const struct oci_profile *profile);
