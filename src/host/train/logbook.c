/* log.jsonl, one JSON object a line, and the same numbers for TensorBoard. */
#include "logbook.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct logbook {
    int file;
    char *path;
    struct tensorboard *board;
};

hff_status logbook_open(struct logbook **out, const char *folder, int64_t keep_bytes)
{
    struct arena arena = {0};
    struct logbook *book = calloc(1, sizeof *book);
    *out = NULL;
    if (!book) return fail(HFF_E_MEMORY, "no memory for a log");
    book->path = strdup(file_join(&arena, folder, "log.jsonl"));
    arena_free(&arena);
    if (!book->path) {
        free(book);
        return fail(HFF_E_MEMORY, "no memory for a log");
    }
    book->file = open(book->path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    hff_status status = HFF_OK;
    struct stat now;
    if (book->file >= 0 && fstat(book->file, &now) == 0 && now.st_size < keep_bytes) {
        log_warn("%s is shorter than when the checkpoint was written: some of its lines are lost", book->path);
        keep_bytes = now.st_size;
    }
    if (book->file < 0 || ftruncate(book->file, (off_t)keep_bytes) != 0)
        status = fail_errno(HFF_E_IO, errno, "cannot open %s", book->path);
    else
        status = tensorboard_open(&book->board, folder);
    if (status != HFF_OK) {
        logbook_close(book);
        return status;
    }
    *out = book;
    return HFF_OK;
}

void logbook_close(struct logbook *book)
{
    if (!book) return;
    if (book->file >= 0) close(book->file);
    tensorboard_close(book->board);
    free(book->path);
    free(book);
}

hff_status logbook_bytes(struct logbook *book, int64_t *bytes)
{
    if (fsync(book->file) != 0) return fail_errno(HFF_E_IO, errno, "cannot write %s", book->path);
    *bytes = (int64_t)lseek(book->file, 0, SEEK_END);
    return HFF_OK;
}

static hff_status put_line(struct logbook *book, json_t *object)
{
    char *text = json_text(object, 0);
    json_decref(object);
    if (!text) return fail(HFF_E_MEMORY, "no memory for a log line");
    size_t length = strlen(text);
    text[length++] = '\n';
    hff_status status = HFF_OK;
    for (size_t done = 0; done < length && status == HFF_OK;) {
        ssize_t n = write(book->file, text + done, length - done);
        if (n < 0 && errno != EINTR) status = fail_errno(HFF_E_IO, errno, "cannot write %s", book->path);
        if (n > 0) done += (size_t)n;
    }
    free(text);
    return status;
}

static void set(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, json_number(value));
}

static json_t *stage_line(const struct interval *interval, int stage)
{
    const struct stage_metrics *m = &interval->metrics[stage];
    json_t *line = json_object(), *seconds = json_object();
    set(line, "lr", interval->lr[stage]);
    set(line, "loss", m->loss);
    set(line, "accuracy", m->accuracy);
    if (interval->run[stage].own[0]) {
        set(line, interval->run[stage].own, m->own);
        set(line, interval->run[stage].other, m->other);
        set(line, "embedding_norm", m->norm);
        set(line, "dead", m->dead);
    }
    if (m->similarity >= 0) {
        set(line, "similarity", m->similarity);
        json_object_set_new(line, "slice", json_integer(m->slice));
    }
    if (interval->angle[stage] >= 0) set(line, "prototype_angle", interval->angle[stage]);
    if (m->winning >= 0) set(line, "prototypes_winning", m->winning);
    set(line, "grad_norm_body", m->grad_body);
    set(line, "grad_norm_head", m->grad_head);
    for (int s = SECTION_FORWARD; s <= SECTION_UPDATE; s++)
        set(seconds, section_name((enum section)s), interval->phase[stage][s]);
    static const enum section sometimes[] = {SECTION_PREVIEW, SECTION_FROZEN};
    for (int i = 0; i < 2; i++)
        if (interval->phase[stage][sometimes[i]] > 0)
            set(seconds, section_name(sometimes[i]), interval->phase[stage][sometimes[i]]);
    json_object_set_new(line, "seconds", seconds);
    return line;
}

/* A scalar "SPLIT/NAME/stage N". */
static hff_status board_stage(struct logbook *book, const char *split, const char *name, int stage, int64_t step,
                              double value)
{
    char tag[64];
    snprintf(tag, sizeof tag, "%s/%s/stage %d", split, name, stage + 1);
    return tensorboard_scalar(book->board, tag, step, value);
}

static hff_status board_train(struct logbook *book, const struct interval *interval)
{
    for (int i = interval->first; i < interval->stages; i++) {
        const struct stage_metrics *m = &interval->metrics[i];
        TRY(board_stage(book, "train", "loss", i, interval->step, m->loss));
        TRY(board_stage(book, "train", "accuracy", i, interval->step, m->accuracy));
        if (interval->run[i].own[0]) {
            TRY(board_stage(book, "train", interval->run[i].own, i, interval->step, m->own));
            TRY(board_stage(book, "train", interval->run[i].other, i, interval->step, m->other));
            TRY(board_stage(book, "train", "embedding_norm", i, interval->step, m->norm));
        }
        if (interval->angle[i] >= 0)
            TRY(board_stage(book, "train", "prototype_angle", i, interval->step, interval->angle[i]));
        if (m->similarity >= 0) TRY(board_stage(book, "train", "similarity", i, interval->step, m->similarity));
        TRY(board_stage(book, "train", "grad_norm_body", i, interval->step, m->grad_body));
        TRY(board_stage(book, "train", "grad_norm_head", i, interval->step, m->grad_head));
        TRY(board_stage(book, "train", "lr", i, interval->step, interval->lr[i]));
    }
    TRY(tensorboard_scalar(book->board, "train/data_wait", interval->step, interval->data_wait));
    return tensorboard_scalar(book->board, "train/images_per_s", interval->step, interval->images_per_s);
}

static hff_status board_evaluation(struct logbook *book, const char *split, int64_t step, const struct evaluation *e,
                                   enum rule rule)
{
    char tag[64];
    for (int i = 0; i < e->stages; i++) TRY(board_stage(book, split, "accuracy", i, step, e->stage_accuracy[i]));
    snprintf(tag, sizeof tag, "%s/accuracy/together", split);
    TRY(tensorboard_scalar(book->board, tag, step, e->accuracy[rule]));
    return tensorboard_flush(book->board);
}

hff_status logbook_train(struct logbook *book, const struct interval *interval)
{
    TRY(board_train(book, interval));
    json_t *line = json_object(), *stages = json_array();
    json_object_set_new(line, "kind", json_string("train"));
    json_object_set_new(line, "step", json_integer(interval->step));
    set(line, "epoch", interval->epoch);
    set(line, "time", interval->seconds);
    set(line, "images_per_s", interval->images_per_s);
    set(line, "data_wait", interval->data_wait);
    set(line, "lr", interval->lr[interval->first]);
    for (int i = 0; i < interval->stages; i++)
        json_array_append_new(stages, i < interval->first ? json_null() : stage_line(interval, i));
    json_object_set_new(line, "stages", stages);
    return put_line(book, line);
}

hff_status logbook_evaluation(struct logbook *book, const char *kind, const char *split, int64_t step, double epoch,
                              double seconds, const struct evaluation *e, const struct rules *rules, enum rule rule)
{
    TRY(board_evaluation(book, split, step, e, rule));
    json_t *line = json_object(), *stages = json_array(), *fused = json_object();
    json_object_set_new(line, "kind", json_string(kind));
    json_object_set_new(line, "split", json_string(split));
    json_object_set_new(line, "step", json_integer(step));
    set(line, "epoch", epoch);
    set(line, "time", seconds);
    for (int i = 0; i < e->stages; i++) {
        json_t *stage = json_object();
        set(stage, "loss", e->stage_loss[i]);
        set(stage, "accuracy", e->stage_accuracy[i]);
        json_array_append_new(stages, stage);
    }
    json_object_set_new(line, "stages", stages);
    json_object_set_new(fused, "rule", json_string(rule_name(rule)));
    set(fused, "accuracy", e->accuracy[rule]);
    set(fused, "loss", e->loss[rule]);
    for (int r = 0; r < RULES; r++)
        if (rules->known[r]) set(fused, rule_name((enum rule)r), e->accuracy[r]);
    json_object_set_new(line, "fused", fused);
    return put_line(book, line);
}

/* ---- figures ---- */

enum { CURVES = 66 };
struct history {
    struct series series[CURVES];
    double *x[CURVES], *y[CURVES];
    char name[CURVES][32];
    int count;
};

/* Appends a point to the curve of that name. */
static void add_point(struct history *history, const char *name, double x, double y)
{
    int i = 0;
    while (i < history->count && strcmp(history->name[i], name) != 0) i++;
    if (i == CURVES) return;
    if (i == history->count) snprintf(history->name[history->count++], sizeof history->name[0], "%s", name);
    struct series *s = &history->series[i];
    if ((s->count & (s->count - 1)) == 0) { /* full at powers of two */
        size_t room = s->count ? 2 * (size_t)s->count : 1;
        double *xs = realloc(history->x[i], room * sizeof *xs), *ys = realloc(history->y[i], room * sizeof *ys);
        if (xs) history->x[i] = xs;
        if (ys) history->y[i] = ys;
        if (!xs || !ys) return;
    }
    history->x[i][s->count] = x;
    history->y[i][s->count++] = y;
    s->name = history->name[i];
    s->x = history->x[i];
    s->y = history->y[i];
}

static void add_line(struct history *accuracy, struct history *loss, const json_t *line)
{
    const char *kind = json_string_value(json_object_get(line, "kind"));
    double epoch = json_number_value(json_object_get(line, "epoch"));
    const json_t *stages = json_object_get(line, "stages"), *fused = json_object_get(line, "fused");
    char name[32];
    if (!kind) return;
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        if (!json_is_object(stage)) continue; /* frozen */
        snprintf(name, sizeof name, "stage %zu", i + 1);
        if (strcmp(kind, "epoch") == 0)
            add_point(accuracy, name, epoch, json_number_value(json_object_get(stage, "accuracy")));
        if (strcmp(kind, "train") == 0) add_point(loss, name, epoch, json_number_value(json_object_get(stage, "loss")));
    }
    if (strcmp(kind, "epoch") == 0) {
        snprintf(name, sizeof name, "together (%.16s)", json_string_value(json_object_get(fused, "rule")));
        add_point(accuracy, name, epoch, json_number_value(json_object_get(fused, "accuracy")));
    }
}

static void free_history(struct history *history)
{
    for (int i = 0; i < CURVES; i++) {
        free(history->x[i]);
        free(history->y[i]);
    }
    free(history);
}

hff_status logbook_figures(struct logbook *book, const char *folder)
{
    unsigned char *text;
    size_t size;
    struct arena arena = {0};
    TRY(file_read(book->path, (size_t)1 << 32, &text, &size));
    struct history *accuracy = calloc(1, sizeof *accuracy), *loss = calloc(1, sizeof *loss);
    hff_status status = accuracy && loss ? HFF_OK : fail(HFF_E_MEMORY, "no memory for figures");
    char *rest = (char *)text;
    for (char *line; status == HFF_OK && (line = strsep(&rest, "\n"));) {
        json_t *object = *line ? json_loads(line, 0, NULL) : NULL;
        if (object) add_line(accuracy, loss, object);
        json_decref(object);
    }
    if (status == HFF_OK)
        status = figure_curves(file_join(&arena, folder, "accuracy.png"), "Accuracy by stage", "epoch", "accuracy (%)",
                               accuracy->series, accuracy->count, 1);
    if (status == HFF_OK)
        status = figure_curves(file_join(&arena, folder, "loss.png"), "Training loss by stage", "epoch", "loss",
                               loss->series, loss->count, 0);
    free(text);
    if (accuracy) free_history(accuracy);
    if (loss) free_history(loss);
    arena_free(&arena);
    return status;
}
