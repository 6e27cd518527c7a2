/* The report of hff bench train --methods, for people. */
#include "bench_methods.h"

#include <string.h>

enum { COLUMNS_MOST = 9 };

static double number(const json_t *row, const char *path)
{
    char key[64];
    const char *dot = strchr(path, '.');
    if (!dot) return json_number_value(json_object_get(row, path));
    snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
    return number(json_object_get(row, key), dot + 1);
}

/* A column of a table: what of a row, times scale, with so many digits. */
struct column {
    const char *title, *path;
    double scale;
    int digits;
};

static int in_some_row(const json_t *rows, const struct column *column)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (number(json_array_get(rows, i), column->path) > 0) return 1;
    return 0;
}

/* A line for each row that is not refused; columns that say nothing are left out. */
static void print_columns(const json_t *rows, const struct column *columns, const struct console *console, FILE *out)
{
    struct arena arena = {0};
    const struct column *shown[COLUMNS_MOST];
    int width = 1, height = 1;
    for (; columns->title; columns++)
        if (in_some_row(rows, columns)) shown[width++] = columns;
    const char **cells = ARENA_NEW(&arena, const char *, (size_t)width *(json_array_size(rows) + 1));
    cells[0] = "method";
    for (int k = 1; k < width; k++) cells[k] = shown[k]->title;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_object_get(row, "refused")) continue;
        const char **cell = cells + width * height++;
        cell[0] = json_string_value(json_object_get(row, "method"));
        for (int k = 1; k < width; k++)
            cell[k] = arena_printf(&arena, "%.*f", shown[k]->digits, shown[k]->scale * number(row, shown[k]->path));
    }
    table_print(out, cells, height, width, terminal_width(out), terminal_color(out, console->color));
    fputc('\n', out);
    arena_free(&arena);
}

static void print_until(const json_t *rows, double accuracy, FILE *out)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *until = json_object_get(row, "until");
        if (!until) continue;
        fprintf(out, "%-12s ", json_string_value(json_object_get(row, "method")));
        if (json_is_true(json_object_get(until, "reached")))
            fprintf(out, "%.2f %% reached in %g epochs, %.1f s of training (%.2f %%)\n", 100 * accuracy,
                    number(until, "epochs"), number(until, "seconds"), 100 * number(until, "best"));
        else
            fprintf(out, "%.2f %% not reached in %g epochs, %.1f s of training (highest %.2f %%)\n", 100 * accuracy,
                    number(until, "epochs"), number(until, "seconds"), 100 * number(until, "best"));
    }
}

void bench_methods_print(const json_t *document, const struct bench_request *request, FILE *out)
{
    static const struct column speed[] = {{"images/s", "images_per_s", 1, 0},
                                          {"ms a step", "step_ms.median", 1, 2},
                                          {"lowest", "step_ms.min", 1, 2},
                                          {"highest", "step_ms.max", 1, 2},
                                          {"runs", "runs", 1, 0},
                                          {"time x", "ratio", 1, 3},
                                          {"stages", "stages", 1, 0},
                                          {0}},
                               phases[] = {{"forward ms", "phases_ms.forward", 1, 2},
                                           {"head ms", "phases_ms.head", 1, 2},
                                           {"backward ms", "phases_ms.backward", 1, 2},
                                           {"update ms", "phases_ms.update", 1, 2},
                                           {"preview ms", "phases_ms.preview", 1, 2},
                                           {0}},
                               plan[] = {{"MFLOP/image", "step_flops_per_image", 1e-6, 1},
                                         {"% in heads", "head_flops_share", 100, 1},
                                         {"acts MB", "activation_bytes", 1e-6, 1},
                                         {"net MB", "engine_bytes", 1e-6, 1},
                                         {"took MB", "resident_bytes", 1e-6, 1},
                                         {"run MB", "planned_bytes", 1e-6, 1},
                                         {0}};
    const json_t *rows = json_object_get(document, "rows");
    fprintf(out, "training step: batch %d, %d slices, backend %s (%s)\n\n", (int)number(document, "batch"),
            (int)number(document, "slices"), json_string_value(json_object_get(document, "backend")),
            json_string_value(json_object_get(document, "device")));
    print_columns(rows, speed, &request->console, out);
    print_columns(rows, phases, &request->console, out);
    print_columns(rows, plan, &request->console, out);
    if (request->until > 0) print_until(rows, request->until, out);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *refused = json_object_get(row, "refused");
        if (refused)
            fprintf(out, "%-12s refused: %s\n", json_string_value(json_object_get(row, "method")),
                    json_string_value(refused));
    }
    fputs("\ntime x: how many times as long as the first method, the median of rounds in turns. acts: planned for "
          "activations\nand their gradients; net: for all that the net has, and took: what became resident for it; "
          "run: what hff train plans.\n",
          out);
}
