/* Between bench_train.c, which measures methods, and bench_methods.c, which says it. */
#ifndef HFF_TRAIN_BENCH_METHODS_H
#define HFF_TRAIN_BENCH_METHODS_H

#include "bench.h"

/* document: as --json prints it. A line for each method, with speed, phases and plan, and why some are refused. */
void bench_methods_print(const json_t *document, const struct bench_request *request, FILE *out);

#endif
