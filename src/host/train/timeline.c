/* Opening and writing a run's timeline, and saying so. */
#include "timeline.h"

#include "base/log.h"

/* 12 MiB, and about 30 as JSON: more than a thousand steps of a net of six stages. */
enum { SPANS = 1 << 18 };

hff_status timeline_open(struct trace **out, const char *path)
{
    return trace_open(out, path, SPANS);
}

hff_status timeline_end(struct trace *trace, const char *path, hff_status status)
{
    if (!trace) return status;
    size_t kept, dropped;
    struct trail trail;
    trail_take(&trail); /* the run's own error stands */
    trace_count(trace, &kept, &dropped);
    hff_status written = trace_write(trace);
    if (written == HFF_OK && dropped)
        log_info("timeline: the first %zu of %zu spans are in %s (https://ui.perfetto.dev shows it)", kept,
                 kept + dropped, path);
    else if (written == HFF_OK)
        log_info("timeline: %zu spans in %s (https://ui.perfetto.dev shows it)", kept, path);
    else if (status != HFF_OK)
        log_warn("%s", hff_error_message());
    if (status == HFF_OK) return written;
    trail_give(&trail);
    return status;
}
