/* Tables of text in aligned columns, never wider than asked. */
#include "base/arena.h"
#include "report.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

enum { GAP = 2, TEXT_LEAST = 6, TEXT_BARE = 3 };

struct column {
    int width;
    int number; /* right-aligned, and narrowed only after the texts have been */
    int least;  /* of a number column: its widest number, since a number that is cut says something else */
};

struct table {
    const char *const *cells;
    int rows, columns;
    struct column *column;
    char *line; /* room for the longest cell */
    size_t line_size;
};

static const char *cell_at(const struct table *table, int row, int column)
{
    const char *cell = table->cells[(size_t)row * (size_t)table->columns + (size_t)column];
    return cell ? cell : "";
}

static int is_blank(const char *cell)
{
    return *cell == 0 || strcmp(cell, "-") == 0 || strcmp(cell, "nan") == 0;
}

/* "-12,345.6", "1.5e-3", "91.2%", "2.3x", "91.2 ± 0.3" */
static int is_number(const char *cell)
{
    const char *at = cell + strspn(cell, "+-.");
    if (at - cell > 2 || !isdigit((unsigned char)*at)) return 0;
    for (const char *sign; (sign = strstr(at, "±")) != NULL;) {
        if (at + strspn(at, "0123456789.,eE+-% ") != sign) return 0;
        at = sign + strlen("±");
    }
    at += strspn(at, "0123456789.,eE+- ");
    return *at == 0 || ((*at == '%' || *at == 'x') && at[1] == 0);
}

static void measure(struct table *table)
{
    for (int c = 0; c < table->columns; c++) {
        int numbers = 0, others = 0, body = 0;
        for (int r = 0; r < table->rows; r++) {
            const char *cell = cell_at(table, r, c);
            int width = text_columns(cell);
            if (width > table->column[c].width) table->column[c].width = width;
            if (strlen(cell) >= table->line_size) table->line_size = strlen(cell) + 1;
            if (r == 0) continue; /* the header's words say nothing about what stands below */
            if (width > body) body = width;
            if (is_blank(cell)) continue;
            if (is_number(cell))
                numbers++;
            else
                others++;
        }
        table->column[c].number = numbers > 0 && others == 0;
        table->column[c].least = body;
    }
}

/* Narrows the widest of one kind until the excess is gone or all are at their least; returns the excess left. */
static int shrink(struct table *table, int excess, int number, int text_least)
{
    while (excess > 0) {
        struct column *widest = NULL;
        for (int c = 0; c < table->columns; c++) {
            struct column *column = &table->column[c];
            int least = number ? column->least : text_least;
            if (column->number == number && column->width > least && (!widest || column->width > widest->width))
                widest = column;
        }
        if (!widest) break;
        widest->width--;
        excess--;
    }
    return excess;
}

/* Brings the table to width; columns that even so have no room are left out from the right. */
static void fit(struct table *table, int width)
{
    int excess = -width - GAP;
    for (int c = 0; c < table->columns; c++) excess += table->column[c].width + GAP;
    excess = shrink(table, excess, 0, TEXT_LEAST);
    excess = shrink(table, excess, 1, 0);
    excess = shrink(table, excess, 0, TEXT_BARE);
    for (int c = table->columns - 1; c > 0 && excess > 0; c--) {
        excess -= table->column[c].width + GAP;
        table->column[c].width = -1;
    }
    if (excess > 0) table->column[0].width -= excess;
}

static void spaces(FILE *out, int count)
{
    if (count > 0) fprintf(out, "%*s", count, "");
}

/* Pads only before a cell, so that lines carry no blanks at their end. */
static void print_row(FILE *out, const struct table *table, int row, const char *style)
{
    fputs(style, out);
    int start = 0, at = 0;
    for (int c = 0; c < table->columns && table->column[c].width >= 0; c++) {
        const struct column *column = &table->column[c];
        text_fit(table->line, table->line_size, cell_at(table, row, c), column->width);
        int taken = text_columns(table->line);
        if (taken > 0) {
            int begin = start + (column->number ? column->width - taken : 0);
            spaces(out, begin - at);
            fputs(table->line, out);
            at = begin + taken;
        }
        start += column->width + GAP;
    }
    fputs(*style ? "\x1b[0m\n" : "\n", out);
}

static void print_rule(FILE *out, const struct table *table, const char *style)
{
    fputs(style, out);
    for (int c = 0; c < table->columns && table->column[c].width >= 0; c++) {
        spaces(out, c ? GAP : 0);
        for (int i = 0; i < table->column[c].width; i++) fputc('-', out);
    }
    fputs(*style ? "\x1b[0m\n" : "\n", out);
}

void table_print(FILE *out, const char *const *cells, int rows, int columns, int width, int color)
{
    if (rows <= 0 || columns <= 0) return;
    struct arena arena = {0};
    struct table table = {cells, rows, columns, ARENA_NEW(&arena, struct column, columns), NULL, 8};
    measure(&table);
    if (width > 0) fit(&table, width);
    table.line = arena_alloc(&arena, table.line_size);
    for (int r = 0; r < rows; r++) {
        print_row(out, &table, r, r == 0 && color ? "\x1b[1m" : "");
        if (r == 0) print_rule(out, &table, color ? "\x1b[2m" : "");
    }
    arena_free(&arena);
}
