/* Who does each op of the catalogue on a GPU: launchers of kernels.h (the linker finds each of them, or this does not
 * build), or cuDNN and cuBLASLt. An op that is added to op.h must be given its place here: the switch has no default. */
#include "support.hpp"

typedef void (*launcher)();

/* The launchers among which the op's sizes and attributes choose; nothing: a product, which the libraries make. */
static std::vector<launcher> launchers_of(enum op_kind kind)
{
#define L(name) reinterpret_cast<launcher>(name)
    switch (kind) {
    case OP_REORDER: return {L(kernel_reorder)};
    case OP_REORDERS: return {L(kernel_reorders)};
    case OP_LINEAR: return {};
    case OP_LINEAR_DATA: return {};
    case OP_LINEAR_WEIGHT: return {};
    case OP_CONV: return {};
    case OP_CONV_DATA: return {};
    case OP_CONV_WEIGHT: return {};
    case OP_NORM: return {L(kernel_norm)};
    case OP_NORM_EVAL: return {L(kernel_norm_eval)};
    case OP_NORM_BACK: return {L(kernel_norm_back)};
    case OP_ACT: return {L(kernel_act)};
    case OP_ACT_BACK: return {L(kernel_act_back)};
    case OP_POOL: return {L(kernel_pool)};
    case OP_POOL_BACK: return {L(kernel_pool_back)};
    case OP_NORM_POOL: return {L(kernel_norm)};
    case OP_NORM_POOL_EVAL: return {L(kernel_norm_eval)};
    case OP_NORM_POOL_BACK: return {L(kernel_norm_back)};
    case OP_APOOL: return {L(kernel_apool)};
    case OP_APOOL_BACK: return {L(kernel_apool_back)};
    case OP_ACT_APOOL: return {L(kernel_act_apool)};
    case OP_ACT_APOOL_BACK: return {L(kernel_act_apool_back)};
    case OP_ADD: return {L(kernel_add)};
    case OP_UNIT: return {L(kernel_unit)};
    case OP_UNIT_BACK: return {L(kernel_unit_back)};
    case OP_ENERGY: return {L(kernel_energy)};
    case OP_ENERGY_BACK: return {L(kernel_energy_back)};
    case OP_DEVIATION: return {L(kernel_deviation)};
    case OP_DEVIATION_BACK: return {L(kernel_deviation_back)};
    case OP_AUGMENT: return {L(kernel_augment)};
    case OP_HFF: return {L(kernel_hff), L(kernel_hff_tiled)};
    case OP_HFF_EVAL: return {L(kernel_hff), L(kernel_hff_tiled)};
    case OP_NEGATIVES: return {L(kernel_negatives)};
    case OP_OVERLAY: return {L(kernel_overlay)};
    case OP_COLUMNS: return {L(kernel_columns)};
    case OP_SPREAD: return {L(kernel_spread)};
    case OP_GOODNESS: return {L(kernel_goodness)};
    case OP_GOODNESS_EVAL: return {L(kernel_goodness_eval)};
    case OP_READOUT: return {L(kernel_readout)};
    case OP_CROSS_ENTROPY: return {L(kernel_cross_entropy)};
    case OP_CROSS_ENTROPY_EVAL: return {L(kernel_cross_entropy)};
    case OP_SIMILARITY: return {L(kernel_similarity)};
    case OP_GRAD_NORM: return {L(kernel_grad_norm)};
    case OP_ADAMW: return {L(kernel_adamw)};
    case OP_SGD: return {L(kernel_sgd)};
    case OP_RETRACT: return {L(kernel_retract)};
    case OP_CLAMP: return {L(kernel_clamp)};
    case OP_KINDS: break;
    }
#undef L
    fail_msg("op kind %d is none", kind);
    return {};
}

/* The products, and nothing else, are left to the libraries. */
static void every_op_has_its_launcher(void **)
{
    std::string without;
    for (int kind = 0; kind < OP_KINDS; kind++) {
        std::vector<launcher> all = launchers_of((enum op_kind)kind);
        if (all.empty()) without += std::string(op_table[kind].name) + " ";
        for (launcher one : all) assert_true(one != nullptr);
    }
    assert_string_equal(without.c_str(), "linear linear_data linear_weight conv conv_data conv_weight ");
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op_has_its_launcher)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
