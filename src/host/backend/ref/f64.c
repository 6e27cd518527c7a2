/* The reference ops on double. */
#define REAL double
#define REF_TABLE ref_f64
#include "ops.inc.h"
