/* What may be done to a stage's finished graph before it is lowered: other ops or other memory for the same numbers. */
#ifndef HFF_NET_REWRITE_H
#define HFF_NET_REWRITE_H

#include "graph.h"

/* Ops next to each other become one, in every section, where nothing else reads what lies between them: for backends that
 * gain by it (joins), since that is never written.
 *     norm or norm_eval, pool          norm_pool, norm_pool_eval
 *     pool_back, norm_back             norm_pool_back
 *     act?, apool, reorder to rows     act_apool
 *     reorder, apool_back, act_back?   act_apool_back
 * Pools not where windows overlap by half or more: every value is normalised once for each window that it lies in. Returns
 * how many ops there are less. */
int graph_join(struct graph *graph);

enum { RECOMPUTE_AUTO = 0 };

/* Recomputation (Chen et al., arXiv 1604.06174). The forward section is cut into segments where one activation alone
 * leads on; that one is kept, what else the backward section reads of a segment is computed again just before, by the
 * same ops from the same numbers. The last segment is kept whole, since its backward ops come first. Running statistics
 * are not touched a second time. segments: at most that many, of about equal activations (2 or more), or RECOMPUTE_AUTO:
 * those that leave the least in memory (with equal layers ever shorter ones: the first's activations meet no other
 * segment's kept value, the last's those of all). Returns how many there are; 1: nothing was done, nothing would be gained. */
int graph_recompute(struct graph *graph, int segments);

/* From now on every gradient of a parameter is added to what is there already, rather than written: whoever runs the
 * graph clears ARENA_GRAD before the first of the runs that are to be added up. */
void graph_accumulate(struct graph *graph);

#endif
