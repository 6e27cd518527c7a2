/* Batch norm and pooling, and activation, adaptive pooling and flattening, become one op where nothing else reads what lies
 * between them, and nowhere else; training with the joined ops, recomputed or in micro-batches, gives the bytes of training
 * without on the reference backend. */
#include "net/rewrite.h"
#include "support/small_net.h"

/* A graph of one norm and one pool, forward, eval and backward, as their layers make it. */
struct pair {
    struct graph graph;
    int x, y, pooled, index, dpooled, dy, gamma;
};

static struct pair pair_make(int kernel, int stride, int between)
{
    struct pair p = {0};
    struct graph *g = &p.graph;
    struct tensor channels = tensor_make1(DTYPE_F32, 3), large = tensor_make4(DTYPE_F32, 2, 3, 8, 8);
    int side = (8 - kernel) / stride + 1;
    struct tensor small = tensor_make4(DTYPE_F32, 2, 3, side, side), places = small;
    places.dtype = DTYPE_U8;
    graph_init(g, DTYPE_F32, DTYPE_F32, 2);
    p.x = graph_value(g, ROLE_INPUT, large, "x");
    p.y = graph_value(g, ROLE_ACT, large, "y");
    int acted = between ? graph_value(g, ROLE_ACT, large, "acted") : p.y;
    p.pooled = graph_value(g, ROLE_OUTPUT, small, "pooled");
    p.index = graph_value(g, ROLE_ACT, places, "index");
    p.gamma = graph_value(g, ROLE_PARAM, channels, "gamma");
    int beta = graph_value(g, ROLE_PARAM, channels, "beta"), dgamma = graph_value(g, ROLE_GRAD, channels, "dgamma");
    int dbeta = graph_value(g, ROLE_GRAD, channels, "dbeta"), mean = graph_value(g, ROLE_ACT, channels, "mean");
    int invstd = graph_value(g, ROLE_ACT, channels, "invstd"), run_mean = graph_state(g, channels, 0, "run_mean");
    int run_var = graph_state(g, channels, 1, "run_var"), y_eval = graph_value(g, ROLE_ACT, large, "y_eval");
    int pooled_eval = graph_value(g, ROLE_OUTPUT, small, "pooled_eval");
    p.dpooled = graph_value(g, ROLE_ACT, small, "dpooled");
    p.dy = graph_value(g, ROLE_ACT, large, "dy");
    struct node *n = NODE(g, SECTION_FORWARD, OP_NORM, p.x, p.gamma, beta, mean, invstd, run_mean, run_var, p.y);
    n->attr.attr.norm.act = ACT_RELU;
    if (between) NODE(g, SECTION_FORWARD, OP_ACT, p.y, acted);
    struct pool_window window = {POOL_MAX, kernel, stride};
    NODE(g, SECTION_FORWARD, OP_POOL, acted, p.pooled, p.index)->attr.attr.pool = window;
    NODE(g, SECTION_EVAL, OP_NORM_EVAL, p.x, p.gamma, beta, run_mean, run_var, y_eval);
    NODE(g, SECTION_EVAL, OP_POOL, y_eval, pooled_eval)->attr.attr.pool = window;
    NODE(g, SECTION_BACKWARD, OP_POOL_BACK, p.index, p.dpooled, p.dy)->attr.attr.pool = window;
    if (between) NODE(g, SECTION_BACKWARD, OP_ACT_BACK, p.y, p.dy, p.dy);
    NODE(g, SECTION_BACKWARD, OP_NORM_BACK, p.x, p.gamma, beta, mean, invstd, p.dy, p.dy, dgamma, dbeta);
    return p;
}

static void is_joined(void **state)
{
    (void)state;
    static const int windows[][2] = {{2, 2}, {3, 2}, {1, 1}, {2, 3}};
    for (int w = 0; w < 4; w++) {
        struct pair p = pair_make(windows[w][0], windows[w][1], 0);
        struct graph *g = &p.graph;
        assert_int_equal(graph_join(g), 3);
        static const enum section sections[] = {SECTION_FORWARD, SECTION_EVAL, SECTION_BACKWARD};
        static const enum op_kind kinds[] = {OP_NORM_POOL, OP_NORM_POOL_EVAL, OP_NORM_POOL_BACK};
        for (int s = 0; s < 3; s++) {
            assert_int_equal(g->nodes[sections[s]], 1);
            struct node *node = &g->node[sections[s]][0];
            struct op_desc desc = node_desc(g, node, 1);
            assert_int_equal(node->kind, kinds[s]);
            assert_int_equal(node->attr.attr.norm.pool.kernel, windows[w][0]);
            SMALL_OK(op_check(&desc));
        }
        const struct node *forward = g->node[SECTION_FORWARD], *backward = g->node[SECTION_BACKWARD];
        assert_int_equal(forward->attr.attr.norm.act, ACT_RELU);
        assert_int_equal(forward->arg[7], p.pooled);
        assert_int_equal(forward->arg[8], p.index);
        assert_int_equal(g->node[SECTION_EVAL]->arg[6], -1);
        assert_int_equal(backward->arg[5], p.dpooled);
        assert_int_equal(backward->arg[6], p.dy);
        assert_int_equal(backward->arg[9], p.index);
        assert_int_equal(graph_join(g), 0);
        graph_free(g);
    }
}

static void expect(struct pair *p, int joined)
{
    assert_int_equal(graph_join(&p->graph), joined);
    graph_free(&p->graph);
}

static void is_not_joined(void **state)
{
    (void)state;
    struct pair p = pair_make(2, 2, 1); /* another op between them, but for the evaluation */
    expect(&p, 1);
    p = pair_make(3, 1, 0); /* windows that overlap */
    expect(&p, 0);
    p = pair_make(2, 1, 0);
    expect(&p, 0);
    p = pair_make(2, 2, 0); /* a second reader of the norm's result, elsewhere */
    int other = graph_value(&p.graph, ROLE_ACT, p.graph.value[p.y].tensor, "other");
    NODE(&p.graph, SECTION_HEAD, OP_ACT, p.y, other);
    expect(&p, 2);
    p = pair_make(2, 2, 0); /* which is what the stage passes on */
    p.graph.value[p.y].role = ROLE_OUTPUT;
    expect(&p, 2);
    p = pair_make(2, 2, 0); /* a second reader of the gradient between them */
    other = graph_value(&p.graph, ROLE_ACT, p.graph.value[p.dy].tensor, "other");
    p.graph.node[SECTION_BACKWARD][1].arg[6] = other;
    NODE(&p.graph, SECTION_BACKWARD, OP_ADD, other, p.dy, other);
    expect(&p, 2);
    p = pair_make(2, 2, 0); /* the gradient elsewhere, and no other reader */
    other = graph_value(&p.graph, ROLE_ACT, p.graph.value[p.dy].tensor, "other");
    p.graph.node[SECTION_BACKWARD][1].arg[6] = other;
    expect(&p, 3);
}

/* The end of a head's way to its embedding, with an activation or without, as the layers make it. */
struct tail {
    struct graph graph;
    int x, acted, pooled, rows, drows, dpooled, dacted, dx;
};

static struct tail tail_make(int act, int in_place)
{
    struct tail t = {0};
    struct graph *g = &t.graph;
    struct tensor large = tensor_make4(DTYPE_BF16, 2, 3, 8, 8), small = tensor_make4(DTYPE_BF16, 2, 3, 2, 3);
    graph_init(g, DTYPE_F32, DTYPE_BF16, 2);
    t.x = graph_value(g, ROLE_ACT, large, "x");
    t.acted = act ? graph_value(g, ROLE_ACT, large, "acted") : t.x;
    t.pooled = graph_value(g, ROLE_ACT, small, "pooled");
    t.rows = graph_value(g, ROLE_ACT, tensor_make2(DTYPE_F32, 2, 18), "rows");
    t.drows = graph_value(g, ROLE_ACT, tensor_make2(DTYPE_F32, 2, 18), "drows");
    t.dpooled = graph_value(g, ROLE_ACT, small, "dpooled");
    t.dacted = graph_value(g, ROLE_ACT, large, "dacted");
    t.dx = act && !in_place ? graph_value(g, ROLE_ACT, large, "dx") : t.dacted;
    if (act) NODE(g, SECTION_HEAD, OP_ACT, t.x, t.acted)->attr.attr.act.act = ACT_RELU;
    NODE(g, SECTION_HEAD, OP_APOOL, t.acted, t.pooled);
    NODE(g, SECTION_HEAD, OP_REORDER, t.pooled, t.rows);
    NODE(g, SECTION_HEAD, OP_REORDER, t.drows, t.dpooled);
    NODE(g, SECTION_HEAD, OP_APOOL_BACK, t.dpooled, t.dacted);
    if (act) NODE(g, SECTION_HEAD, OP_ACT_BACK, t.x, t.dacted, t.dx)->attr.attr.act.act = ACT_RELU;
    return t;
}

static void tails_are_joined(void **state)
{
    (void)state;
    for (int act = 0; act < 2; act++)
        for (int in_place = 0; in_place < 2; in_place++) {
            struct tail t = tail_make(act, in_place);
            assert_int_equal(graph_join(&t.graph), act ? 4 : 2);
            assert_int_equal(t.graph.nodes[SECTION_HEAD], 2);
            const struct node *node = t.graph.node[SECTION_HEAD];
            for (int i = 0; i < 2; i++) {
                struct op_desc desc = node_desc(&t.graph, &node[i], 1);
                assert_int_equal(node[i].kind, i ? OP_ACT_APOOL_BACK : OP_ACT_APOOL);
                assert_int_equal(node[i].attr.attr.act_apool.act, act ? ACT_RELU : ACT_NONE);
                assert_int_equal(node[i].attr.attr.act_apool.rows, 2);
                assert_int_equal(node[i].attr.attr.act_apool.columns, 3);
                SMALL_OK(op_check(&desc));
            }
            assert_int_equal(node[0].arg[0], t.x);
            assert_int_equal(node[0].arg[1], t.rows);
            assert_int_equal(node[1].arg[0], act ? t.x : -1);
            assert_int_equal(node[1].arg[1], t.drows);
            assert_int_equal(node[1].arg[2], t.dx);
            graph_free(&t.graph);
        }
}

static void tails_are_not_joined(void **state)
{
    (void)state;
    struct tail t = tail_make(1, 1); /* a second reader of what is pooled: forward stays */
    NODE(&t.graph, SECTION_HEAD, OP_ADD, t.pooled, t.pooled, t.dpooled);
    assert_int_equal(graph_join(&t.graph), 0);
    graph_free(&t.graph);
    t = tail_make(1, 1); /* a second reader of the activation: it stays, the others are joined */
    NODE(&t.graph, SECTION_BACKWARD, OP_ADD, t.acted, t.acted, t.dx);
    assert_int_equal(graph_join(&t.graph), 3);
    assert_int_equal(t.graph.node[SECTION_HEAD][0].kind, OP_ACT);
    graph_free(&t.graph);
    t = tail_make(1, 0); /* a second reader of the activation's gradient */
    NODE(&t.graph, SECTION_BACKWARD, OP_ADD, t.dacted, t.dacted, t.dx);
    assert_int_equal(graph_join(&t.graph), 3);
    assert_int_equal(t.graph.node[SECTION_HEAD][2].kind, OP_ACT_BACK);
    graph_free(&t.graph);
    t = tail_make(0, 0); /* rows in the activations' type */
    t.graph.value[t.rows].tensor.dtype = DTYPE_BF16;
    assert_int_equal(graph_join(&t.graph), 1);
    graph_free(&t.graph);
}

#define DEEP                                                                                                           \
    "run: {batch: 12, slices: 2, backend: ref}\n"                                                                      \
    "net: {partition: whole, stages: [{conv: {channels: 5, pool: {max: 2}}}, {conv: {channels: 4, pool: {average: "    \
    "2}}}, {conv: {channels: 6}, repeat: 2}, {conv: {channels: 5, act: leaky_relu, pool: {max: 2}}}]}\n"               \
    "objective: {head: {aux: 0, grid: 1}}\n"

static int count_kind(struct small_net *net, enum section section, enum op_kind kind)
{
    int count = 0;
    for (int k = 0; k < net->setup.engine->stages; k++) {
        const struct program *program = net->setup.engine->stage[k].program;
        for (int i = 0; i < program->count[section]; i++) count += program->section[section][i].op->desc.kind == kind;
    }
    return count;
}

/* Parameters and statistics, or moments, after some steps on the reference backend, asked for joined ops or not. */
static unsigned char *trained(const struct backend_api *api, const char *partition, const char *set, size_t *bytes)
{
    const char *const sets[] = {partition, set};
    struct backend *backend;
    struct kept *kept;
    int count;
    SMALL_OK(backend_open("ref", 1, &backend));
    backend->api = api;
    struct small_net *net = small_net_open_on(backend, DEEP, sets, 2, 1, DTYPE_F32, 3);
    assert_int_equal(count_kind(net, SECTION_FORWARD, OP_NORM_POOL), api->joins ? 3 : 0);
    assert_int_equal(count_kind(net, SECTION_EVAL, OP_NORM_POOL_EVAL), api->joins ? 3 : 0);
    assert_int_equal(count_kind(net, SECTION_BACKWARD, OP_NORM_POOL_BACK), api->joins ? 3 : 0);
    assert_int_equal(count_kind(net, SECTION_FORWARD, OP_POOL), api->joins ? 0 : 3);
    for (int i = 0; i < net->setup.engine->stages; i++) { /* what is repeated leaves running statistics alone */
        const struct program *program = net->setup.engine->stage[i].program;
        for (int k = 0; k < program->count[SECTION_BACKWARD]; k++)
            if (program->section[SECTION_BACKWARD][k].op->desc.kind == OP_NORM_POOL)
                assert_int_equal(program->section[SECTION_BACKWARD][k].arg[5], -1);
    }
    if (api->joins && strcmp(set, "engine.recompute=3") == 0 && net->setup.engine->stages == 1)
        assert_true(count_kind(net, SECTION_BACKWARD, OP_NORM_POOL) > 0);
    small_net_train(net, 3);
    unsigned char *all = small_net_tensors(net, 0, &kept, &count, bytes);
    free(kept);
    small_net_close(net);
    return all;
}

static void same_bytes(void **state)
{
    (void)state;
    static const char *const partitions[] = {"net.partition=whole", "net.partition=layer"};
    static const char *const sets[] = {"engine.recompute=none", "engine.recompute=3", "engine.recompute=auto",
                                       "run={micro_batch: 4}"};
    struct backend_api joins = backend_ref;
    joins.joins = 1;
    for (int p = 0; p < 2; p++)
        for (int s = 0; s < 4; s++) {
            size_t n, m;
            unsigned char *apart = trained(&backend_ref, partitions[p], sets[s], &n);
            unsigned char *joined = trained(&joins, partitions[p], sets[s], &m);
            assert_int_equal(n, m);
            assert_memory_equal(apart, joined, n);
            free(apart);
            free(joined);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_joined), cmocka_unit_test(is_not_joined),
                                       cmocka_unit_test(tails_are_joined), cmocka_unit_test(tails_are_not_joined),
                                       cmocka_unit_test(same_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
