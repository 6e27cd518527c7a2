/* The backends of this build, and choosing one by name. */
#include "backend.h"

#include "base/log.h"
#include "base/nearest.h"

#include <string.h>

const struct backend_api *const backends[] = {&backend_cuda, &backend_cpu, &backend_ref, NULL};

enum { BACKENDS = sizeof backends / sizeof backends[0] - 1 };

/* HFF_E_USAGE with the nearest name. */
static hff_status unknown_backend(const char *name)
{
    const char *names[BACKENDS + 1] = {"auto"};
    char known[256] = "auto";
    for (int i = 0; i < BACKENDS; i++) {
        names[i + 1] = backends[i]->name;
        strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, backends[i]->name, sizeof known - strlen(known) - 1);
    }
    const char *near = nearest(name, names, BACKENDS + 1);
    if (near) return fail(HFF_E_USAGE, "unknown backend \"%s\"; did you mean \"%s\"?", name, near);
    return fail(HFF_E_USAGE, "unknown backend \"%s\"; there are: %s", name, known);
}

static hff_status open_available(const struct backend_api *api, int threads, struct backend **out)
{
    hff_status status = api->available();
    if (status == HFF_OK) status = api->open(out, threads);
    return status == HFF_OK ? HFF_OK : trail_add(status, "opening backend %s", api->name);
}

/* The first that opens; when none does, the reason of the last one stands. */
static hff_status open_auto(int threads, struct backend **out)
{
    hff_status status = HFF_OK;
    for (int i = 0; i < BACKENDS; i++) {
        status = open_available(backends[i], threads, out);
        if (status != HFF_OK) {
            /* A build that has no such backend has nothing to tell. */
            if (backends[i]->alloc)
                log_info("backend %s: %s; going on without it", backends[i]->name, hff_error_message());
            continue;
        }
        log_debug("backend %s: %s", backends[i]->name, backends[i]->describe(*out));
        return HFF_OK;
    }
    return status;
}

hff_status backend_open(const char *name, int threads, struct backend **out)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0) return open_auto(threads, out);
    for (int i = 0; i < BACKENDS; i++)
        if (strcmp(name, backends[i]->name) == 0) return open_available(backends[i], threads, out);
    return unknown_backend(name);
}

void backend_close(struct backend *backend)
{
    if (backend) backend->api->close(backend);
}
