/* Epoch after epoch until an accuracy is reached. */
#include "until.h"

#include "model.h"

#include "base/clock.h"
#include "base/log.h"

/* Accuracy of the split that decides, by the config's rule. */
static hff_status measure(struct setup *setup, const volatile sig_atomic_t *stop, double *accuracy)
{
    int holdout = setup->data->split[SPLIT_VAL].count > 0;
    int workers = (int)config_int(config_root(setup->config), "data.workers");
    struct rules rules = {0};
    enum rule rule;
    struct evaluation e = {0};
    hff_status status = rules_from_config(&rules, &rule, setup->config, setup->engine);
    if (status == HFF_OK)
        status = evaluate(setup->engine, setup->data, holdout ? SPLIT_VAL : SPLIT_TEST, workers, &rules, rule,
                          holdout ? KEEP_SCORES : KEEP_NOTHING, stop, &e);
    if (status == HFF_OK && holdout) status = rules_fit(&rules, &e);
    if (status == HFF_OK) *accuracy = e.accuracy[rule];
    evaluation_free(&e);
    rules_close(&rules);
    return status;
}

static hff_status train(struct setup *setup, struct loader *loader, const char *what, const volatile sig_atomic_t *stop,
                        struct until *until)
{
    int64_t each = setup_epoch_steps(setup), total = setup_total_steps(setup);
    for (int64_t step = 1; step <= total && !until->reached; step++) {
        const struct batch *batch;
        double accuracy, start = clock_seconds();
        TRY(loader_next(loader, &batch));
        TRY(engine_step(setup->engine, batch));
        until->seconds += clock_seconds() - start;
        TRY(stop_asked(stop, "training to an accuracy"));
        if (step % each != 0 && step != total) continue;
        TRY(measure(setup, stop, &accuracy));
        until->epochs = (double)step / (double)each;
        if (accuracy > until->best) until->best = accuracy;
        until->reached = accuracy >= until->accuracy;
        log_info("%s: epoch %-5.4g accuracy %.2f %% after %.1f s", what, until->epochs, 100 * accuracy, until->seconds);
    }
    return HFF_OK;
}

hff_status train_until(struct setup *setup, const char *what, const volatile sig_atomic_t *stop, struct until *until)
{
    struct loader_options options = setup_training_loader(setup);
    struct loader *loader;
    *until = (struct until){.accuracy = until->accuracy};
    TRY(loader_open(&loader, &options, 0, 0));
    hff_status status = train(setup, loader, what, stop, until);
    loader_close(loader);
    return status;
}
