/* The config keys below "data". */
#include "source.h"

#define WORD(bar, name, function, home, sign, help) bar name
#define MANY 2147483647.0

const struct config_row data_rows[] = {
    {"data", CONFIG_MAP, "{}", 0, 0, NULL, "", "The images to learn from and to be judged on."},
    {"data.source", CONFIG_CHOICE, "digits", 0, 0, DATA_SOURCES(WORD), "",
     "Where images come from: digits are generated and need no files; idx is the format of MNIST and Fashion-MNIST."},
    {"data.root", CONFIG_TEXT, "", 0, 0, NULL, "",
     "Folder of the files; by default ${HFF_DATA}/mnist, ${HFF_DATA}/cifar-10-batches-bin or "
     "${HFF_DATA}/cifar-100-binary, by source."},
    {"data.digits", CONFIG_MAP, "{}", 0, 0, NULL, "", "The generated digits."},
    {"data.digits.train", CONFIG_INT, "10000", 1, 10000000, NULL, "images", "How many to draw for training."},
    {"data.digits.test", CONFIG_INT, "2000", 1, 10000000, NULL, "images", "How many to draw for testing."},
    {"data.digits.seed", CONFIG_INT, "1", 0, MANY, NULL, "",
     "Which digits are drawn; apart from run.seed, so that runs with different seeds see the same set."},
    {"data.holdout", CONFIG_REAL, "0", 0, 0.5, NULL, "",
     "Share of the training images that is set aside at random, by run.seed, to choose by."},
    {"data.limit", CONFIG_MAP, "{}", 0, 0, NULL, "", "Use only the first images of each set."},
    {"data.limit.train", CONFIG_INT, "0", 0, MANY, NULL, "images", "First training images to use, 0 for all."},
    {"data.limit.test", CONFIG_INT, "0", 0, MANY, NULL, "images", "First test images to use, 0 for all."},
    {"data.shuffle", CONFIG_BOOL, "true", 0, 0, NULL, "", "Visit the training images in a new order every epoch."},
    {"data.normalize", CONFIG_REALS, "auto", 0, 0, "auto", "",
     "What is subtracted from pixels in [0, 1] and what they are divided by: [mean, std], or the means of all channels "
     "and then their deviations; auto takes them from the training images."},
    {"data.augment", CONFIG_LIST, "", 0, 0, "one", "", "Random changes of training images, in this order."},
    {"data.augment[].crop", CONFIG_MAP, "", 0, 0, NULL, "", "Pad on all sides, then cut out the size at random."},
    {"data.augment[].crop.pad", CONFIG_INT, "4", 0, 256, NULL, "pixels", "Padding on each side."},
    {"data.augment[].crop.mode", CONFIG_CHOICE, "reflect", 0, 0, "reflect|zero", "",
     "What the padding holds: the mirrored image without its edge twice, or black."},
    {"data.augment[].flip", CONFIG_MAP, "", 0, 0, NULL, "", "Mirror left and right, every other time."},
    {"data.augment[].shift", CONFIG_MAP, "", 0, 0, NULL, "", "Move by whole pixels, black where nothing is left."},
    {"data.augment[].shift.max", CONFIG_INT, "2", 0, 256, NULL, "pixels", "The most in each direction."},
    {"data.augment[].cutout", CONFIG_MAP, "", 0, 0, NULL, "",
     "Paint a square around a random pixel with the mean colour (DeVries and Taylor 2017)."},
    {"data.augment[].cutout.size", CONFIG_INT, "8", 1, 1024, NULL, "pixels", "Side of the square."},
    {"data.augment[].mixup", CONFIG_MAP, "", 0, 0, NULL, "",
     "Blend each image and label with those of another of the batch (Zhang et al. 2018); stands last."},
    {"data.augment[].mixup.alpha", CONFIG_REAL, "0.2", 0.001, 1000, NULL, "",
     "Shares come from the distribution Beta(alpha, alpha)."},
    {"data.workers", CONFIG_INT, "2", 1, 64, NULL, "threads",
     "Threads that prepare batches in the background; never changes what is in them."},
    {0},
};
