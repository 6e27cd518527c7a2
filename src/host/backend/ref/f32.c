/* The reference ops on float. */
#define REAL float
#define REF_TABLE ref_f32
#include "ops.inc.h"
