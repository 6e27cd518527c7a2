/* What a run says at its end: the accuracy of each stage and of all together. */
#include "folder.h"

void folder_summary(const struct folder *folder, const struct setup *setup, const struct outcome *outcome, FILE *out,
                    const struct console *console)
{
    struct arena arena = {0};
    const struct evaluation *test = outcome->test, *val = outcome->val;
    int rows = test->stages + 2, columns = val ? 4 : 3;
    const char **cells = ARENA_NEW(&arena, const char *, rows *columns), **row = cells;
    row[0] = "stage";
    row[1] = "kind";
    row[2] = "test accuracy %";
    if (val) row[3] = "hold-out %";
    for (int i = 0; i < test->stages; i++) {
        row += columns;
        row[0] = arena_printf(&arena, "%d", i + 1);
        row[1] = setup->engine->stage[i].stage->name;
        row[2] = arena_printf(&arena, "%.2f", 100 * test->stage_accuracy[i]);
        if (val) row[3] = arena_printf(&arena, "%.2f", 100 * val->stage_accuracy[i]);
    }
    row += columns;
    row[0] = "all";
    row[1] = arena_printf(&arena, "together, rule %s", rule_name(outcome->rule));
    row[2] = arena_printf(&arena, "%.2f", 100 * test->accuracy[outcome->rule]);
    if (val) row[3] = arena_printf(&arena, "%.2f", 100 * val->accuracy[outcome->rule]);
    table_print(out, cells, rows, columns, terminal_width(out), terminal_color(out, console->color));
    if (test->stages < setup->engine->stages)
        fprintf(out, "\n%d of %d stages have learnt; the others take no part.", test->stages, setup->engine->stages);
    fprintf(out, "\n%.4g epoch(s) in %.0f s. Everything is in %s\n", outcome->epochs, outcome->seconds, folder->path);
    arena_free(&arena);
}
