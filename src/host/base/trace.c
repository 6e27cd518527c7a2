/* The timeline: one flat array of spans that all threads take slots from, and its JSON. */
#include "trace.h"

#include "clock.h"
#include "file.h"
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct span {
    struct track *track;
    const char *name, *what;
    int64_t number;
    double begin, end;
};

struct track {
    struct trace *trace;
    struct track *next;
    const char *group, *name;
    int group_id, id; /* from 1, in the order of their first use */
};

struct trace {
    const char *path;
    double start;
    struct track *tracks, **last;
    int groups, count;
    struct span *span;
    size_t room;
    atomic_size_t used; /* may go beyond room */
    struct arena arena;
};

static hff_status check_writable(const char *path)
{
    struct file_writer writer;
    if (file_is_folder(path)) return fail(HFF_E_IO, "%s: is a folder; the timeline needs the name of a file", path);
    TRY(file_create(&writer, path));
    file_abandon(&writer);
    return HFF_OK;
}

hff_status trace_open(struct trace **out, const char *path, size_t spans)
{
    *out = NULL;
    TRY(check_writable(path));
    struct trace *trace = calloc(1, sizeof *trace);
    if (trace) trace->span = calloc(spans, sizeof *trace->span);
    if (!trace || !trace->span) {
        free(trace);
        return fail(HFF_E_MEMORY, "no memory for a timeline of %zu spans", spans);
    }
    trace->path = arena_text(&trace->arena, path);
    trace->room = spans;
    trace->last = &trace->tracks;
    trace->start = clock_seconds();
    *out = trace;
    return HFF_OK;
}

void trace_close(struct trace *trace)
{
    if (!trace) return;
    arena_free(&trace->arena);
    free(trace->span);
    free(trace);
}

void trace_count(const struct trace *trace, size_t *kept, size_t *dropped)
{
    size_t used = atomic_load(&trace->used);
    *kept = used < trace->room ? used : trace->room;
    *dropped = used - *kept;
}

struct track *trace_track(struct trace *trace, const char *group, const char *name)
{
    if (!trace) return NULL;
    const struct track *same_group = NULL;
    for (struct track *t = trace->tracks; t; t = t->next) {
        if (strcmp(t->group, group) != 0) continue;
        if (strcmp(t->name, name) == 0) return t;
        same_group = t;
    }
    struct track *track = ARENA_NEW(&trace->arena, struct track, 1);
    *track = (struct track){.trace = trace, .id = ++trace->count};
    track->group = arena_text(&trace->arena, group);
    track->name = arena_text(&trace->arena, name);
    track->group_id = same_group ? same_group->group_id : ++trace->groups;
    *trace->last = track;
    trace->last = &track->next;
    return track;
}

void trace_span(struct track *track, const char *name, const char *what, int64_t number, double begin, double end)
{
    if (!track) return;
    struct trace *trace = track->trace;
    size_t at = atomic_fetch_add_explicit(&trace->used, 1, memory_order_relaxed);
    if (at < trace->room) trace->span[at] = (struct span){track, name, what, number, begin, end};
}

double trace_begin(const struct track *track)
{
    return track ? clock_seconds() : 0;
}

void trace_end(struct track *track, const char *name, const char *what, int64_t number, double begin)
{
    if (track) trace_span(track, name, what, number, begin, clock_seconds());
}

/* ---- JSON ---- */

struct json_out {
    struct file_writer writer;
    const struct trace *trace;
    int items; /* of traceEvents */
};

static hff_status put(struct json_out *out, const char *text)
{
    return file_put(&out->writer, text, strlen(text));
}

static hff_status put_item(struct json_out *out, const char *text)
{
    if (out->items++) TRY(put(out, ",\n"));
    return put(out, text);
}

static hff_status put_meta(struct json_out *out, const struct track *track, const char *kind, const char *key,
                           const char *value)
{
    struct arena arena = {0};
    const char *text =
        arena_printf(&arena, "{\"ph\":\"M\",\"name\":\"%s_%s\",\"pid\":%d,\"tid\":%d,\"args\":{\"%s\":%s}}", kind, key,
                     track->group_id, track->id, key, value);
    hff_status status = put_item(out, text);
    arena_free(&arena);
    return status;
}

/* What a group ("process") or a track ("thread") is called, and its place in the picture. */
static hff_status put_name(struct json_out *out, const struct track *track, const char *kind, const char *name,
                           int place)
{
    char number[16];
    json_t *value = json_string(name);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (!quoted) return fail(HFF_E_MEMORY, "%s: no memory for a name", out->writer.path);
    hff_status status = put_meta(out, track, kind, "name", quoted);
    free(quoted);
    snprintf(number, sizeof number, "%d", place);
    return status == HFF_OK ? put_meta(out, track, kind, "sort_index", number) : status;
}

static hff_status put_names(struct json_out *out)
{
    int groups = 0;
    for (const struct track *t = out->trace->tracks; t; t = t->next) {
        if (t->group_id > groups) { /* its first track */
            groups = t->group_id;
            TRY(put_name(out, t, "process", t->group, groups));
        }
        TRY(put_name(out, t, "thread", t->name, t->id));
    }
    return HFF_OK;
}

/* Whole nanoseconds, so that rounding keeps a span inside the one that holds it; written in microseconds. */
static hff_status put_span(struct json_out *out, const struct span *span)
{
    double start = out->trace->start;
    long long begin = llround((span->begin - start) * 1e9), end = llround((span->end - start) * 1e9);
    char text[512], args[160] = "";
    if (begin < 0) begin = 0;
    if (end < begin) end = begin;
    if (span->what) snprintf(args, sizeof args, ",\"args\":{\"%.100s\":%" PRId64 "}", span->what, span->number);
    snprintf(text, sizeof text,
             "{\"ph\":\"X\",\"name\":\"%.100s\",\"pid\":%d,\"tid\":%d,\"ts\":%lld.%03lld,\"dur\":%lld.%03lld%s}",
             span->name, span->track->group_id, span->track->id, begin / 1000, begin % 1000, (end - begin) / 1000,
             (end - begin) % 1000, args);
    return put_item(out, text);
}

static hff_status put_all(struct json_out *out)
{
    size_t kept, dropped;
    char head[256];
    trace_count(out->trace, &kept, &dropped);
    snprintf(head, sizeof head,
             "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"program\":\"hff %s\",\"spans\":%zu,\"left_out\":%zu},\n"
             "\"traceEvents\":[\n",
             hff_version(), kept, dropped);
    TRY(put(out, head));
    TRY(put_names(out));
    for (size_t i = 0; i < kept; i++) TRY(put_span(out, &out->trace->span[i]));
    return put(out, "\n]}\n");
}

hff_status trace_write(struct trace *trace)
{
    struct json_out out = {.trace = trace};
    TRY(file_create(&out.writer, trace->path));
    return file_finish(&out.writer, put_all(&out));
}
