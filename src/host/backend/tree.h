/* The fixed binary tree in which the parts of S slices are combined: neighbours at distance 1, then 2, then 4, ...
 * For S = 4: (0 + 1) + (2 + 3); for S = 6: ((0 + 1) + (2 + 3)) + (4 + 5). Use:
 *
 *     TREE(S, into, from) part[into] += part[from];
 *
 * The result is in part 0. */
#ifndef HFF_BACKEND_TREE_H
#define HFF_BACKEND_TREE_H

#define TREE(slices, into, from)                                                                                       \
    for (int tree_gap_ = 1; tree_gap_ < (slices); tree_gap_ *= 2)                                                      \
        for (int into = 0, from = tree_gap_; from < (slices); into += 2 * tree_gap_, from = into + tree_gap_)

#endif
