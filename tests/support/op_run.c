/* Runs one op on one backend: layouts, guard bytes, copies. */
#include "op_harness.h"

#include "tensor/bf16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, GUARD_BYTE = 0xA5, UNSET_BYTE = 0xFF }; /* four or eight 0xFF are a NaN */

/* One buffer: guard, one element so that the data are aligned to their type only (or as the backend wants them), data,
 * guard. */
struct slot {
    struct tensor tensor;
    void *memory;
    unsigned char *before, *after; /* the whole buffer on the host */
    size_t front, bytes;
};

struct run {
    struct backend *backend;
    struct stream *stream;
    struct op *op;
    struct slot slot[OP_ARGS + 1]; /* the last one is the workspace */
    int shares[OP_ARGS];           /* the argument whose buffer an argument uses, mostly its own */
    char *why;
};

static int complain(char *why, const char *what, const char *arg)
{
    snprintf(why, HARNESS_WHY, "%s%s%s", what, *arg ? " " : "", arg);
    return 0;
}

static int good(struct run *r, hff_status status)
{
    return status == HFF_OK || complain(r->why, "refused:", hff_error_message());
}

static double element_get(enum dtype dtype, const unsigned char *at)
{
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
        bf16 b16;
    } v;
    memcpy(&v, at, dtype_bytes(dtype));
    switch (dtype) {
    case DTYPE_F32: return v.f32;
    case DTYPE_F64: return v.f64;
    case DTYPE_U8: return v.u8;
    case DTYPE_I32: return v.i32;
    case DTYPE_I64: return (double)v.i64;
    case DTYPE_BF16: return bf16_wide(v.b16);
    }
    return NAN;
}

static void element_set(enum dtype dtype, unsigned char *at, double value)
{
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
        bf16 b16;
    } v = {.f64 = 0};
    switch (dtype) {
    case DTYPE_F32: v.f32 = (float)value; break;
    case DTYPE_F64: v.f64 = value; break;
    case DTYPE_U8: v.u8 = (uint8_t)value; break;
    case DTYPE_I32: v.i32 = (int32_t)value; break;
    case DTYPE_I64: v.i64 = (int64_t)value; break;
    case DTYPE_BF16: v.b16 = bf16_near((float)value); break;
    }
    memcpy(at, &v, dtype_bytes(dtype));
}

/* Where logical element i lies, in bytes. */
static size_t element_at(const struct tensor *t, int64_t i)
{
    if (t->layout == LAYOUT_BLOCKED) {
        int64_t area = tensor_area(t), channels = t->dim[1], blocks = (channels + t->block - 1) / t->block;
        int64_t channel = i / area % channels, sample = i / area / channels;
        i = ((sample * blocks + channel / t->block) * area + i % area) * t->block + channel % t->block;
    }
    if (t->layout == LAYOUT_CHANNELS_LAST) {
        int64_t area = tensor_area(t), channels = t->dim[1], pitch = (channels + t->block - 1) / t->block * t->block;
        int64_t channel = i / area % channels, sample = i / area / channels;
        i = (sample * area + i % area) * pitch + channel;
    }
    return (size_t)i * dtype_bytes(t->dtype);
}

static void store(const struct tensor *t, const double *values, unsigned char *out)
{
    memset(out, 0, tensor_bytes(t));
    for (int64_t i = 0; i < tensor_count(t); i++) element_set(t->dtype, out + element_at(t, i), values[i]);
}

/* 0 when channels of the padding are not 0. */
static int load(const struct tensor *t, const unsigned char *bytes, double *values)
{
    size_t size = tensor_bytes(t), element = dtype_bytes(t->dtype);
    for (int64_t i = 0; i < tensor_count(t); i++) values[i] = element_get(t->dtype, bytes + element_at(t, i));
    if ((t->layout != LAYOUT_BLOCKED && t->layout != LAYOUT_CHANNELS_LAST) || t->dtype == DTYPE_U8) return 1;
    unsigned char *rest = malloc(size);
    memcpy(rest, bytes, size);
    for (int64_t i = 0; i < tensor_count(t); i++) memset(rest + element_at(t, i), 0, element);
    int zero = 1;
    for (size_t i = 0; i < size / element; i++) zero &= element_get(t->dtype, rest + i * element) == 0;
    free(rest);
    return zero;
}

static int slot_open(struct run *r, struct slot *s, const struct tensor *t, size_t bytes, size_t front)
{
    size_t all = front + bytes + GUARD;
    s->tensor = *t;
    s->front = front;
    s->bytes = bytes;
    s->before = malloc(all);
    s->after = malloc(all);
    memset(s->before, GUARD_BYTE, all);
    memset(s->before + front, UNSET_BYTE, bytes);
    return good(r, r->backend->api->alloc(r->backend, all, &s->memory));
}

static void *slot_data(const struct slot *s)
{
    return s->memory ? (unsigned char *)s->memory + s->front : NULL;
}

static int slot_push(struct run *r, struct slot *s)
{
    return good(r, r->backend->api->copy_in(r->stream, s->memory, s->before, s->front + s->bytes + GUARD));
}

static int slot_pull(struct run *r, struct slot *s)
{
    return good(r, r->backend->api->copy_out(r->stream, s->after, s->memory, s->front + s->bytes + GUARD)) &&
           good(r, r->backend->api->stream_wait(r->stream));
}

static void slot_close(struct run *r, struct slot *s)
{
    if (s->memory) r->backend->api->free(r->backend, s->memory);
    free(s->before);
    free(s->after);
    memset(s, 0, sizeof *s);
}

static int guards_hold(const struct slot *s)
{
    for (size_t i = 0; i < s->front; i++)
        if (s->after[i] != GUARD_BYTE) return 0;
    for (size_t i = 0; i < GUARD; i++)
        if (s->after[s->front + s->bytes + i] != GUARD_BYTE) return 0;
    return 1;
}

/* The bytes of a weight between plain and the backend's own layout, through its reorder op. */
static int convert(struct run *r, const struct tensor *from, const unsigned char *in, const struct tensor *to,
                   unsigned char *out)
{
    struct run inner = {.backend = r->backend, .stream = r->stream, .why = r->why};
    struct op_desc desc = {.kind = OP_REORDER, .slices = 1, .arg = {*from, *to}};
    struct tensor none = {0};
    int ok = slot_open(&inner, &inner.slot[0], from, tensor_bytes(from), GUARD) &&
             slot_open(&inner, &inner.slot[1], to, tensor_bytes(to), GUARD) &&
             good(&inner, r->backend->api->op_create(r->backend, &desc, &inner.op)) &&
             slot_open(&inner, &inner.slot[2], &none, r->backend->api->op_workspace(inner.op), GUARD);
    if (ok) memcpy(inner.slot[0].before + GUARD, in, tensor_bytes(from));
    for (int i = 0; ok && i < 3; i++) ok = slot_push(&inner, &inner.slot[i]);
    void *const args[OP_ARGS] = {slot_data(&inner.slot[0]), slot_data(&inner.slot[1])};
    ok = ok && good(&inner, r->backend->api->op_run(inner.op, r->stream, args, slot_data(&inner.slot[2])));
    ok = ok && slot_pull(&inner, &inner.slot[1]);
    if (ok && !guards_hold(&inner.slot[1])) ok = complain(r->why, "a reorder writes beyond the weights", "");
    if (ok) memcpy(out, inner.slot[1].after + GUARD, tensor_bytes(to));
    if (inner.op) r->backend->api->op_destroy(inner.op);
    for (int i = 0; i < 3; i++) slot_close(&inner, &inner.slot[i]);
    return ok;
}

/* What argument a is described as to this backend: activations in its layout, weights as it likes. */
static struct tensor describe(struct backend *b, const struct op_case *c, int a, enum dtype real)
{
    const struct op_desc *d = &c->desc;
    struct tensor t = d->arg[a];
    const char *dims = op_table[d->kind].arg[a].dims;
    if (t.rank == 0) return t;
    if (op_table[d->kind].arg[a].dtype < 0) t.dtype = real == DTYPE_F64 ? real : case_dtype(c, a);
    int activation = d->kind == OP_REORDER || d->kind == OP_REORDERS
                         ? t.layout == LAYOUT_ANY
                         : t.rank > 1 && (dims[0] == 'B' || op_table[d->kind].arg[a].dtype == ARG_ACT);
    if (activation) {
        enum dtype own = t.dtype;
        t = b->api->activation(b, own, t.rank, t.dim);
        t.dtype = own;
    }
    if (op_table[d->kind].arg[a].access & ARG_OPEN) t.layout = LAYOUT_ANY;
    return t;
}

static void share_slots(struct run *r, const struct op_case *c)
{
    for (int a = 0; a < OP_ARGS; a++) r->shares[a] = a;
    if (!(c->data & DATA_IN_PLACE)) return;
    if (c->desc.kind == OP_ACT) r->shares[1] = 0;
    if (c->desc.kind == OP_ACT_BACK || c->desc.kind == OP_UNIT_BACK) r->shares[2] = 1;
    if (c->desc.kind == OP_ADD) r->shares[2] = 0;
    if (c->desc.kind == OP_NORM_BACK) r->shares[6] = 5;
}

/* Bytes before the data. What may be a parameter, or the gradient of one, lies on its element type in every backend. */
static size_t front_of(const struct run *r, const struct op_info *info, int a, const struct tensor *t)
{
    int parameter = info->arg[a].dtype == ARG_REAL && (t->rank == 1 || info->arg[a].access & ARG_OPEN);
    if (r->backend->api->alignment == 0 || (parameter && t->layout == LAYOUT_PLAIN && t->dtype == DTYPE_F32))
        return GUARD + dtype_bytes(t->dtype);
    return GUARD;
}

static int push_all(struct run *r, const struct op_case *c, const struct op_values *in)
{
    const struct op_info *info = &op_table[c->desc.kind];
    for (int a = 0; a < info->args; a++) {
        struct tensor t = r->op->desc.arg[a], plain = t;
        const double *values = in->arg[info->arg[a].access & ARG_COPY ? info->copied : a];
        if (t.rank == 0 || r->shares[a] != a) continue;
        if (t.layout == LAYOUT_ANY) return complain(r->why, "op_create leaves a layout open:", info->arg[a].name);
        if (!slot_open(r, &r->slot[a], &t, tensor_bytes(&t), front_of(r, info, a, &t))) return 0;
        struct slot *s = &r->slot[a];
        if (info->arg[a].access & ARG_IN && t.layout == LAYOUT_OPAQUE) {
            plain = tensor_plain(case_dtype(c, a), t.rank, t.dim);
            unsigned char *bytes = malloc(tensor_bytes(&plain));
            store(&plain, values, bytes);
            int ok = convert(r, &plain, bytes, &t, s->before + s->front);
            free(bytes);
            if (!ok) return 0;
        } else if (info->arg[a].access & ARG_IN) {
            store(&t, values, s->before + s->front);
        }
        if (!slot_push(r, s)) return 0;
    }
    struct tensor none = {0};
    return slot_open(r, &r->slot[OP_ARGS], &none, r->backend->api->op_workspace(r->op), GUARD) &&
           slot_push(r, &r->slot[OP_ARGS]);
}

static int pull_value(struct run *r, const struct op_info *info, int a, struct op_values *out)
{
    const struct slot *s = &r->slot[r->shares[a]];
    const struct tensor *t = &s->tensor;
    out->arg[a] = calloc((size_t)tensor_count(t), sizeof(double));
    out->raw[a] = malloc(s->bytes);
    out->raw_bytes[a] = s->bytes;
    out->narrow[a] = t->dtype == DTYPE_BF16;
    memcpy(out->raw[a], s->after + s->front, s->bytes);
    if (t->layout != LAYOUT_OPAQUE)
        return load(t, out->raw[a], out->arg[a]) || complain(r->why, "padding is not 0:", info->arg[a].name);
    struct tensor plain = tensor_plain(t->dtype, t->rank, t->dim);
    unsigned char *bytes = malloc(tensor_bytes(&plain));
    int ok = convert(r, t, out->raw[a], &plain, bytes) && load(&plain, bytes, out->arg[a]);
    free(bytes);
    return ok;
}

static int pull_all(struct run *r, const struct op_info *info, struct op_values *out)
{
    for (int a = 0; a <= OP_ARGS; a++) {
        struct slot *s = &r->slot[a];
        const char *name = a < OP_ARGS ? info->arg[a].name : "workspace";
        if (!s->memory) continue;
        if (!slot_pull(r, s)) return 0;
        if (!guards_hold(s)) return complain(r->why, "wrote beyond", name);
        int written = a == OP_ARGS || info->arg[a].access & ARG_OUT;
        for (int i = 0; i < OP_ARGS; i++) written |= i != a && r->shares[i] == a;
        if (!written && memcmp(s->before, s->after, s->front + s->bytes) != 0)
            return complain(r->why, "changed its input", name);
    }
    for (int a = 0; a < info->args; a++)
        if (r->op->desc.arg[a].rank > 0 && info->arg[a].access & ARG_OUT && !pull_value(r, info, a, out)) return 0;
    return 1;
}

int harness_run(struct backend *backend, const struct op_case *c, enum dtype real, const struct op_values *in,
                struct op_values *out, char *why)
{
    const struct op_info *info = &op_table[c->desc.kind];
    struct run r = {.backend = backend, .why = why};
    struct op_desc desc = c->desc;
    void *args[OP_ARGS] = {NULL};
    memset(out, 0, sizeof *out);
    for (int a = 0; a < info->args; a++) desc.arg[a] = describe(backend, c, a, real);
    share_slots(&r, c);
    int ok = good(&r, backend->api->stream_create(backend, &r.stream)) &&
             good(&r, backend->api->op_create(backend, &desc, &r.op)) && push_all(&r, c, in);
    for (int a = 0; a < info->args; a++) args[a] = slot_data(&r.slot[r.shares[a]]);
    ok = ok && good(&r, backend->api->op_run(r.op, r.stream, args, slot_data(&r.slot[OP_ARGS])));
    ok = ok && good(&r, backend->api->stream_wait(r.stream)) && pull_all(&r, info, out);
    if (r.op) backend->api->op_destroy(r.op);
    for (int a = 0; a <= OP_ARGS; a++) slot_close(&r, &r.slot[a]);
    if (r.stream) backend->api->stream_destroy(r.stream);
    return ok;
}
