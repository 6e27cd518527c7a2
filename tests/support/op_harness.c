/* Runs cases on every backend and compares. */
#include "op_harness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int team[3] = {1, 2, 4};

int harness_close(void **state)
{
    struct harness *h = *state;
    for (int b = 0; b < h->backends; b++)
        for (int i = 0; i < 3; i++) backend_close(h->tested[b][i]);
    backend_close(h->ref);
    free(h);
    return 0;
}

/* HFF_TEST_BACKEND, where set, names the only one to test. */
static int wanted(const char *name)
{
    const char *only = getenv("HFF_TEST_BACKEND");
    return !only || strcmp(only, name) == 0;
}

int harness_open(void **state)
{
    struct harness *h = calloc(1, sizeof *h);
    *state = h;
    if (backend_open("ref", 1, &h->ref) != HFF_OK) return -1;
    for (int b = 0; backends[b] && b < HARNESS_BACKENDS; b++) {
        if (!wanted(backends[b]->name)) continue;
        hff_status status = backends[b]->available();
        if (status != HFF_OK) print_message("%s not tested: %s\n", backends[b]->name, hff_error_message());
        if (status != HFF_OK) continue;
        for (int i = 0; i < 3; i++)
            if (backend_open(backends[b]->name, team[i], &h->tested[h->backends][i]) != HFF_OK) return -1;
        struct backend *first = h->tested[h->backends++][0];
        if (!first->api->computes(first, DTYPE_BF16)) print_message("%s not tested in bf16\n", first->api->name);
    }
    if (h->backends == 0) exit(77); /* ctest: skipped; why was said */
    return 0;
}

/* A truth that could not tell a right result from a wrong one. */
static int mistrusted(const struct op_case *c, const struct op_values *truth, char *why)
{
    const struct op_info *info = &op_table[c->desc.kind];
    for (int a = 0; a < info->args; a++) {
        int64_t n = truth->arg[a] ? tensor_count(&c->desc.arg[a]) : 0, zeros = 0, bad = 0;
        for (int64_t i = 0; i < n; i++) {
            zeros += truth->arg[a][i] == 0;
            bad += !isfinite(truth->arg[a][i]);
        }
        if (info->arg[a].dtype == DTYPE_U8 || n == 0) continue;
        int too_many = info->arg[a].dtype < 0 ? zeros * 20 > n * 19 : zeros == n;
        if (bad > 0 && !(c->data & DATA_NOT_FINITE))
            return snprintf(why, HARNESS_WHY, "mistrusted: %s has numbers that are not finite", info->arg[a].name);
        if (too_many && !(c->data & DATA_MAY_BE_ZERO))
            return snprintf(why, HARNESS_WHY, "mistrusted: %s is all but zero", info->arg[a].name);
    }
    return 0;
}

static int differ(const struct op_case *c, const struct op_values *in, const struct op_values *truth,
                  const struct op_values *out, char *why)
{
    const struct op_info *info = &op_table[c->desc.kind];
    for (int a = 0; a < info->args; a++) {
        if (!truth->arg[a]) continue;
        struct op_room room = op_room(c, in, truth, a);
        if (out->narrow[a] && case_dtype(c, a) == DTYPE_F32) room.relative += 1.01 / 256; /* op_tolerance.c */
        for (int64_t i = 0; i < tensor_count(&c->desc.arg[a]); i++) {
            double want = truth->arg[a][i], have = out->arg[a][i], within = op_tolerance(&room, in, i, want);
            if (have == want || fabs(have - want) <= within || (isnan(want) && isnan(have))) continue;
            return snprintf(why, HARNESS_WHY, "%s[%lld] is %.9g, should be %.9g (within %.2g)", info->arg[a].name,
                            (long long)i, have, want, within);
        }
    }
    return 0;
}

static int same_bytes(const struct op_case *c, const struct op_values *a, const struct op_values *b, char *why)
{
    for (int i = 0; i < op_table[c->desc.kind].args; i++)
        if (a->raw_bytes[i] != b->raw_bytes[i] || (a->raw[i] && memcmp(a->raw[i], b->raw[i], a->raw_bytes[i]) != 0)) {
            snprintf(why, HARNESS_WHY, "%s has other bytes than with 1 thread", op_table[c->desc.kind].arg[i].name);
            return 0;
        }
    return 1;
}

/* One backend with 1, 2, 4 threads, against the truth and against each other. Returns the team that failed, else -1. */
static int check_backend(struct backend *const *backend, const struct op_case *c, const struct op_values *in,
                         const struct op_values *truth, char *why)
{
    struct op_values out[3];
    int failed = -1;
    memset(out, 0, sizeof out);
    for (int i = 0; i < 3 && failed < 0; i++)
        if (!harness_run(backend[i], c, DTYPE_F32, in, &out[i], why) || differ(c, in, truth, &out[i], why) ||
            (i > 0 && !same_bytes(c, &out[0], &out[i], why)))
            failed = i;
    for (int i = 0; i < 3; i++) values_free(&out[i]);
    return failed;
}

static void report(struct harness *h, const struct op_case *c, const char *backend, int threads, const char *why)
{
    char text[1024];
    h->failed++;
    print_error("%s, %d threads: %s, data %d scale %g seed %llu: %s\n", backend, threads,
                op_text(&c->desc, text, sizeof text), c->data, c->scale, (unsigned long long)c->seed, why);
}

/* Whether a backend can be asked for the types of a case. */
static int computes(struct backend *b, const struct op_case *c)
{
    for (int a = 0; a < op_table[c->desc.kind].args; a++)
        if (c->desc.arg[a].rank > 0 && op_table[c->desc.kind].arg[a].dtype < 0 &&
            !b->api->computes(b, case_dtype(c, a)))
            return 0;
    return 1;
}

static void check_case(struct harness *h, const struct op_case *c)
{
    struct op_values in, truth;
    char why[HARNESS_WHY] = "";
    h->cases++;
    values_make(c, &in);
    if (!harness_run(h->ref, c, DTYPE_F64, &in, &truth, why) || mistrusted(c, &truth, why)) {
        report(h, c, "ref f64", 1, why);
    } else {
        for (int b = 0; b < h->backends; b++) {
            if (!computes(h->tested[b][0], c)) continue;
            struct op_case own = *c;
            own.device = h->tested[b][0]->api->asynchronous;
            int failed = check_backend(h->tested[b], &own, &in, &truth, why);
            if (failed >= 0 && strstr(why, "does not do op")) { /* it has not got the op yet, and says so */
                if (!h->absent[c->desc.kind]++) print_message("not tested: %s\n", why);
                continue;
            }
            if (failed >= 0) report(h, c, h->tested[b][0]->api->name, team[failed], why);
        }
    }
    values_free(&in);
    values_free(&truth);
}

void harness_check(struct harness *h, const struct op_case *c)
{
    const struct op_info *info = &op_table[c->desc.kind];
    struct op_case narrow = *c;
    int activations = 0;
    check_case(h, c);
    narrow.data |= DATA_BF16;
    for (int a = 0; a < info->args; a++) activations += info->arg[a].dtype == ARG_ACT;
    for (int b = 0; activations > 0 && b < h->backends; b++)
        if (computes(h->tested[b][0], &narrow)) {
            check_case(h, &narrow);
            return;
        }
}

void harness_finish(struct harness *h)
{
    int cases = h->cases, failed = h->failed;
    h->cases = h->failed = 0;
    if (failed > 0) fail_msg("%d of %d cases failed", failed, cases);
    assert_true(cases > 0);
}
