/* softmax: cross-entropy of a linear layer (with bias) on the embedding: greedy layer-wise learning (Belilovsky et al.,
 * arXiv 1812.11446), and, with net.partition whole, plain backpropagation. */
#include "objective.h"

hff_status softmax_build(struct head *head)
{
    head_body(head);
    TRY(head_embed(head));
    struct layer linear = {.kind = &layer_linear, .name = "head.linear", .units = head->classes, .bias = 1, .head = 1};
    TRY(layers_add(&head->embed, &head->shape, linear));
    head_cross_entropy(head);
    return head_similarity(head);
}
