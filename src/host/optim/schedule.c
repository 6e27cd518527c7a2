/* Learning rates as functions of the step: a linear warm-up, the full rate while it is held, then one of the shapes in the table. */
#include "optim.h"

#include <math.h>
#include <string.h>

/* progress through the steps after the warm-up, 0 .. 1, to a factor 1 .. 0 */
static double cosine(double progress)
{
    return 0.5 * (1 + cos(3.14159265358979323846 * progress));
}

static double linear(double progress)
{
    return 1 - progress;
}

/* Thirds: 1, 0.1, 0.01. */
static double steps(double progress)
{
    return progress < 1.0 / 3 ? 1 : progress < 2.0 / 3 ? 0.1 : 0.01;
}

static double constant(double progress)
{
    (void)progress;
    return 1;
}

#define ROW(bar, name, function) {name, function},
static const struct {
    const char *name;
    double (*shape)(double progress);
} shapes[] = {SCHEDULES(ROW)};

struct schedule schedule_make(const struct config_node *config, double total)
{
    struct schedule schedule = {
        .rate = config_real(config, "lr"), .final = config_real(config, "schedule.final"), .total = total};
    schedule.beta1 = config_real(config, "beta1");
    schedule.beta2 = config_real(config, "beta2");
    schedule.warmup = config_real(config, "schedule.warmup");
    if (schedule.warmup < 1) schedule.warmup *= total;
    schedule.hold = config_real(config, "schedule.hold");
    if (schedule.hold < 1) schedule.hold *= total;
    const char *kind = config_text(config, "schedule.kind");
    for (int i = 0; i < (int)(sizeof shapes / sizeof shapes[0]); i++)
        if (strcmp(shapes[i].name, kind) == 0) schedule.kind = i;
    return schedule;
}

double schedule_rate(const struct schedule *schedule, int64_t step)
{
    double done = (double)step - 1;
    if (done < schedule->warmup) return schedule->rate * (done + 1) / (schedule->warmup + 1);
    double start = schedule->warmup + schedule->hold, rest = schedule->total - start;
    if (done < start) return schedule->rate;
    double progress = rest > 0 ? (done - start) / rest : 1;
    if (progress > 1) progress = 1;
    double factor = shapes[schedule->kind].shape(progress);
    return schedule->rate * (schedule->final + (1 - schedule->final) * factor);
}

void schedule_hyper(const struct schedule *schedule, int64_t step, double *hyper)
{
    hyper[HYPER_LR] = schedule_rate(schedule, step);
    hyper[HYPER_BIAS1] = 1 - pow(schedule->beta1, (double)step);
    hyper[HYPER_BIAS2] = 1 - pow(schedule->beta2, (double)step);
    hyper[HYPER_STEP] = (double)step;
}
