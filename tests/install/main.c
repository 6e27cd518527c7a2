/* A program outside the tree: trains a tiny net and predicts with it through the installed library. */
#include <hff/hff.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    hff_model *model;
    int channels, height, width;
    if (argc < 3) return 2;
    if (hff_train(argv[1], NULL, 0, argv[2], "installed", 0, 0) != HFF_OK) {
        fprintf(stderr, "%s\n", hff_error_message());
        return 1;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/installed", argv[2]);
    if (hff_model_open(path, 1, &model) != HFF_OK) {
        fprintf(stderr, "%s\n", hff_error_message());
        return 1;
    }
    hff_model_image(model, &channels, &height, &width);
    uint8_t *pixels = calloc((size_t)(3 * channels * height * width), 1);
    int32_t labels[3];
    float *scores = calloc((size_t)(3 * hff_model_classes(model)), sizeof *scores);
    hff_status status = hff_model_predict(model, pixels, 3, labels, scores);
    printf("hff %s: %d classes, class of a black image: %s\n", hff_version(), hff_model_classes(model), hff_model_class_name(model, labels[0]));
    free(pixels);
    free(scores);
    hff_model_free(model);
    return status != HFF_OK || labels[0] != labels[1] || labels[1] != labels[2];
}
