/* Inside the check: what its two files share. check.c walks maps and lists, check_scalar.c judges single values. */
#ifndef HFF_CONFIG_CHECK_H
#define HFF_CONFIG_CHECK_H

#include "tree.h"

struct checker {
    struct arena *arena;
    const struct config *config;
    char path[512]; /* of the value in hand, for messages: "net.stages[1].conv" */
};

/* Appends to the path; the length that is returned takes back to where it was. */
size_t config_path_push(struct checker *c, const char *name);
size_t config_path_push_index(struct checker *c, int index);
void config_path_pop(struct checker *c, size_t length);

/* "X is "abc", not a number; it must be a number from 0 to 1", with the nearest of the row's words. wrong may be
 * NULL. */
hff_status config_fail_value(struct checker *c, const struct config_node *node, const struct config_row *row,
                             const char *wrong);

/* A value of each type against its row; sets what it is worth. */
hff_status config_check_number(struct checker *c, struct config_node *node, const struct config_row *row);
hff_status config_check_reals(struct checker *c, struct config_node *node, const struct config_row *row);
hff_status config_check_bool(struct checker *c, struct config_node *node, const struct config_row *row);
hff_status config_check_text(struct checker *c, struct config_node *node, const struct config_row *row);
hff_status config_check_choice(struct checker *c, struct config_node *node, const struct config_row *row);

#endif
