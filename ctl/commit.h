/*
 * Applying a change of a layer to the host's directory, as the calling user.
 */
#pragma once

#include "changes.h"

/* Makes a directory's content say for itself what it hides below, by a whiteout for each name, so that its entries can leave one by one. Layers
 * mean the same before and after. Negative errno. */
int commit_unhide(const struct layers *layers);

/* Applies one change, or sets `left_out`: all of it or nothing. Directories that are new have no mode and times yet. */
void commit_apply(const struct layers *layers, struct change *change);
/* Gives a directory that stays or was made its mode, owner, attributes and times. To be called when what is in it is done. */
void commit_finish_directory(const struct layer *layer, struct change *change);
/* Takes an entry out of the layer, a directory only if it is empty. To be called when all is applied and finished, since it changes times. */
void commit_take_out(const struct layer *layer, const struct change *change);

/* commit_file.c: makes a file or link like the layer's beside the place where it is to be. The name is random, `temporary` has room for
 * COMMIT_NAME. Negative errno. */
#define COMMIT_NAME 40
void commit_temporary_name(char *temporary);
int commit_copy_file(int upper, int parent, const char *temporary);
int commit_copy_link(int upper, int parent, const char *temporary);
/* Owner, mode, attributes, and where `times` is true, times. `to` is no O_PATH descriptor. */
int commit_copy_attributes(int upper, int to, bool times);
