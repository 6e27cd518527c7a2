/* All reference ops for one element type: REAL is float or double, REF_TABLE the name of the table. */
#include "ref.h"

#include <math.h>
#include <string.h>

#include "augment.inc.h"
#include "ff.inc.h"
#include "hff.inc.h"
#include "loss.inc.h"
#include "moments.inc.h"
#include "norm.inc.h"
#include "pool.inc.h"
#include "pool_norm.inc.h"
#include "product.inc.h"
#include "update.inc.h"

const ref_run REF_TABLE[OP_KINDS] = {
    [OP_REORDER] = reorder,
    [OP_LINEAR] = linear,
    [OP_LINEAR_DATA] = linear_data,
    [OP_LINEAR_WEIGHT] = linear_weight,
    [OP_CONV] = conv,
    [OP_CONV_DATA] = conv_data,
    [OP_CONV_WEIGHT] = conv_weight,
    [OP_NORM] = norm,
    [OP_NORM_EVAL] = norm_eval,
    [OP_NORM_BACK] = norm_back,
    [OP_ACT_APOOL] = act_apool,
    [OP_ACT_APOOL_BACK] = act_apool_back,
    [OP_REORDERS] = reorders,
    [OP_ACT] = act,
    [OP_ACT_BACK] = act_back,
    [OP_POOL] = pool,
    [OP_POOL_BACK] = pool_back,
    [OP_NORM_POOL] = norm_pool,
    [OP_NORM_POOL_EVAL] = norm_pool_eval,
    [OP_NORM_POOL_BACK] = norm_pool_back,
    [OP_APOOL] = apool,
    [OP_APOOL_BACK] = apool_back,
    [OP_ADD] = add,
    [OP_UNIT] = unit,
    [OP_UNIT_BACK] = unit_back,
    [OP_ENERGY] = energy,
    [OP_ENERGY_BACK] = energy_back,
    [OP_DEVIATION] = deviation,
    [OP_DEVIATION_BACK] = deviation_back,
    [OP_AUGMENT] = augment,
    [OP_HFF] = hff,
    [OP_HFF_EVAL] = hff_eval,
    [OP_NEGATIVES] = negatives,
    [OP_OVERLAY] = overlay,
    [OP_COLUMNS] = columns,
    [OP_SPREAD] = spread,
    [OP_GOODNESS] = goodness,
    [OP_GOODNESS_EVAL] = goodness_eval,
    [OP_READOUT] = readout,
    [OP_CROSS_ENTROPY] = cross_entropy,
    [OP_CROSS_ENTROPY_EVAL] = cross_entropy_eval,
    [OP_SIMILARITY] = similarity,
    [OP_GRAD_NORM] = grad_norm,
    [OP_ADAMW] = adamw,
    [OP_SGD] = sgd,
    [OP_RETRACT] = retract,
    [OP_CLAMP] = clamp,
};
