/* What data a model or a checkpoint was made with: numbers of images and checksums of what was read, whatever the files
 * are called, when they were written and how they are packed. */
#include "model.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {[SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val", [SPLIT_TEST] = "test"};
enum { SPLITS = sizeof names / sizeof names[0] };

static const char *sum_text(const struct dataset *set, char out[16])
{
    snprintf(out, 16, "%08lx", (unsigned long)set->checksum);
    return out;
}

json_t *identity_json(const struct data *data)
{
    json_t *identity = json_object();
    for (int s = 0; s < SPLITS; s++) {
        const struct dataset *set = &data->split[s];
        json_t *entry = json_object();
        json_object_set_new(entry, "images", json_integer(set->count));
        char checksum[16];
        json_object_set_new(entry, "checksum", json_string(sum_text(set, checksum)));
        json_object_set_new(identity, names[s], entry);
    }
    return identity;
}

static hff_status read_entry(const json_t *identity, const char *what, enum split split, int64_t *images,
                             const char **checksum)
{
    const json_t *entry = json_object_get(identity, names[split]);
    TRY(json_member_int(entry, what, "images", images));
    return json_member_text(entry, what, "checksum", checksum);
}

hff_status identity_check(const json_t *identity, const char *what, const struct data *data)
{
    if (!identity) {
        log_warn("%s does not say what data it was made with, so a change of the data would go unseen", what);
        return HFF_OK;
    }
    for (int s = 0; s < SPLITS; s++) {
        const struct dataset *set = &data->split[s];
        int64_t images;
        const char *then;
        char now[16];
        TRY(read_entry(identity, what, (enum split)s, &images, &then));
        if (images != set->count || strcmp(then, sum_text(set, now)) != 0)
            return fail(HFF_E_DATA,
                        "%s: the data has changed since: %lld %s images with checksum %.8s then, %lld with %s now; put "
                        "the old files back, or start a new run from the model with --init-from",
                        what, (long long)images, names[s], then, (long long)set->count, now);
    }
    return HFF_OK;
}

hff_status identity_check_holdout(const json_t *identity, const char *what, const struct data *data)
{
    const struct dataset *set = &data->split[SPLIT_VAL];
    int64_t images;
    const char *then;
    char now[16];
    if (!identity) {
        log_warn("%s does not say which images were held out of its training", what);
        return HFF_OK;
    }
    TRY(read_entry(identity, what, SPLIT_VAL, &images, &then));
    if (images == 0)
        return fail(HFF_E_USAGE, "%s was trained without data.holdout: it has learnt from every training image", what);
    if (images == set->count && strcmp(then, sum_text(set, now)) == 0) return HFF_OK;
    return fail(HFF_E_USAGE,
                "the hold-out of %s was %lld images with checksum %.8s, these are %lld with %s, and it may have learnt "
                "from some of them; run.seed, data.holdout, data.limit.train and the training files must be the same",
                what, (long long)images, then, (long long)set->count, sum_text(set, now));
}
