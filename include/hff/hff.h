/* hff: train and use networks without backpropagation (Hyperspherical Forward-Forward).
 *
 * This header is the whole public interface. Every function that can fail returns hff_status; the reason is then in
 * hff_error_message(), which belongs to the calling thread and holds until that thread's next failing call, like errno.
 * Handles are opaque. Whoever creates a handle frees it with the matching _free, which accepts NULL.
 * Nothing here writes to standard output or installs signal handlers, and nothing ends the process except a host
 * that has no memory left for a few bytes of bookkeeping. */
#ifndef HFF_H
#define HFF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HFF_VERSION_MAJOR 0
#define HFF_VERSION_MINOR 1
#define HFF_VERSION_PATCH 0

/* name, the exit status of the program for it, text */
#define HFF_STATUSES(X)                                                                                                \
    X(HFF_OK, 0, "ok")                                                                                                 \
    X(HFF_E_USAGE, 2, "asked wrongly")                                                                                 \
    X(HFF_E_CONFIG, 2, "bad configuration")                                                                            \
    X(HFF_E_DATA, 1, "bad data")                                                                                       \
    X(HFF_E_FORMAT, 1, "bad file")                                                                                     \
    X(HFF_E_IO, 1, "input or output failed")                                                                           \
    X(HFF_E_NUMBERS, 1, "numbers went wrong")                                                                          \
    X(HFF_E_DEVICE, 1, "device failed")                                                                                \
    X(HFF_E_MEMORY, 1, "out of memory")                                                                                \
    X(HFF_E_LIMIT, 3, "a comparison did not hold")                                                                     \
    X(HFF_E_INTERRUPTED, 130, "interrupted")                                                                           \
    X(HFF_E_TERMINATED, 143, "terminated")                                                                             \
    X(HFF_E_INTERNAL, 1, "internal error")

typedef enum hff_status {
#define HFF_STATUS_NAME(name, exit_status, text) name,
    HFF_STATUSES(HFF_STATUS_NAME)
#undef HFF_STATUS_NAME
} hff_status;

/* "MAJOR.MINOR.PATCH" of the library that is linked. */
const char *hff_version(void);

/* What a status means, in two or three words. */
const char *hff_status_text(hff_status status);

/* What went wrong in this thread's last failing call: what, where, what to do. "" when nothing did. */
const char *hff_error_message(void);

/* ---- training ---- */

/* Trains as the config file says and writes the run folder OUT/NAME (out and name may be NULL: as configured). sets:
 * count texts "KEY=VALUE" laid over the config. A used folder is HFF_E_USAGE unless resume is not 0. Messages go to
 * standard error only if verbose is not 0. */
hff_status hff_train(const char *config, const char *const *sets, int count, const char *out, const char *name,
                     int resume, int verbose);

/* ---- using a model ---- */

typedef struct hff_model hff_model;

/* Opens a run folder or a model file for prediction on the CPU with that many threads (0: all). */
hff_status hff_model_open(const char *path, int threads, hff_model **out);
void hff_model_free(hff_model *model);

/* What it was trained on: classes, their names (valid while the model is open; NULL when index is out of range),
 * stages, and the size of an image. */
int hff_model_classes(const hff_model *model);
const char *hff_model_class_name(const hff_model *model, int index);
int hff_model_stages(const hff_model *model);
void hff_model_image(const hff_model *model, int *channels, int *height, int *width);

/* Predicts count images of pixels 0 .. 255 in the order (count, channels, height, width). labels (count) receives
 * the class of each;
 * log_probabilities, which may be NULL, (count, classes): the stages' log-probabilities joined by the model's rule
 * and normalised. Not to be called for one model from two threads at a time. */
hff_status hff_model_predict(hff_model *model, const uint8_t *pixels, int64_t count, int32_t *labels,
                             float *log_probabilities);

#ifdef __cplusplus
}
#endif
#endif
