/* Plans of cuDNN's graph API, from C. They are made for a device that is either a handle on a GPU or a description in
 * JSON: so plans of any GPU can be made, though not run, where there is none. No type of cuDNN appears here. */
#ifndef HFF_BACKEND_CUDA_CUDNN_H
#define HFF_BACKEND_CUDA_CUDNN_H

#include "../calls.h"

struct cudnn_device;
/* json as cuDNN 9's CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION wants it (all keys). */
hff_status cudnn_device_described(const char *json, struct cudnn_device **out);
hff_status cudnn_device_here(struct cudnn_device **out);
void cudnn_device_free(struct cudnn_device *device);
size_t cudnn_version(void);

struct cudnn_plan;
/* HFF_E_CONFIG when no engine fits: it must give the same bits every time; with PRECISION_F32 it must not round f32
 * operands. from and number as in calls.h. */
hff_status cudnn_plan_make(const struct cudnn_device *device, const struct cuda_conv_desc *desc, int from,
                           struct cudnn_plan **out);
int cudnn_plan_number(const struct cudnn_plan *plan);
void cudnn_plan_free(struct cudnn_plan *plan);
size_t cudnn_plan_workspace(const struct cudnn_plan *plan);
int cudnn_plan_engine(const struct cudnn_plan *plan); /* its number, for tests and logs */

/* The conv part of calls.h. */
struct cudnn_plans; /* made so far, by description */
hff_status cudnn_plans_open(struct cudnn_plans **out);
void cudnn_plans_close(struct cudnn_plans *plans);
hff_status cudnn_lane_open(struct cuda_library *library, kernel_stream stream, struct cuda_lane **out);
void cudnn_lane_close(struct cuda_lane *lane);
hff_status cudnn_conv_plan(struct cuda_library *library, const struct cuda_conv_desc *desc, int from,
                           struct cuda_conv **out);
int cudnn_conv_number(const struct cuda_conv *conv);
size_t cudnn_conv_workspace(const struct cuda_conv *conv);
hff_status cudnn_conv_run(struct cuda_conv *conv, struct cuda_lane *lane, void *const args[3], const void *bias,
                          void *workspace);
void cudnn_conv_destroy(struct cuda_conv *conv);

#endif
