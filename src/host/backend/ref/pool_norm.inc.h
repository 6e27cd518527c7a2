/* Batch normalisation with pooling: the ops of norm.inc.h and pool.inc.h one after the other, with the whole map, of x's
 * shape, in work. Included by ops.inc.h. */

static struct op_desc pool_part(const struct op_desc *d, int first, int second, int third)
{
    struct op_desc part = {.slices = d->slices, .arg = {d->arg[first], d->arg[second], d->arg[third]}};
    part.attr.pool = d->attr.norm.pool;
    return part;
}

static void norm_pool(const struct op_desc *d, void *const *args, double *work)
{
    struct op_desc part = pool_part(d, 0, 7, 8);
    void *all[OP_ARGS] = {0};
    for (int i = 0; i < 7; i++) all[i] = args[i];
    all[7] = work;
    norm(d, all, NULL);
    pool(&part, (void *const[]){work, args[7], args[8]}, NULL);
}

static void norm_pool_eval(const struct op_desc *d, void *const *args, double *work)
{
    struct op_desc part = pool_part(d, 0, 5, 6);
    norm_eval(d, (void *const[]){args[0], args[1], args[2], args[3], args[4], work}, NULL);
    pool(&part, (void *const[]){work, args[5], args[6]}, NULL);
}

static void norm_pool_back(const struct op_desc *d, void *const *args, double *work)
{
    struct op_desc part = pool_part(d, 9, 5, 6);
    void *all[OP_ARGS] = {0};
    for (int i = 0; i < 9; i++) all[i] = args[i];
    all[5] = work;
    pool_back(&part, (void *const[]){args[9], args[5], work}, NULL);
    norm_back(d, all, NULL);
}
