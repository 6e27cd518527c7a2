/* cwc: channels split evenly over the classes, a class's score is the mean square of its channels, cross-entropy over the
 * scores (Papachristodoulou et al., arXiv 2312.12668). It has no parameters of its own. */
#include "objective.h"

hff_status cwc_build(struct head *head)
{
    int64_t channels = head->shape.dim[0];
    if (channels % head->classes != 0)
        return config_fail(config_at(head->config, "kind"),
                           "stage %d: cwc splits channels evenly over the classes, and %d classes do not divide its "
                           "%lld channels; %lld would do",
                           head->stage, head->classes, (long long)channels,
                           (long long)((channels / head->classes + 1) * head->classes));
    if (head_discount(head) > 0)
        return config_fail(config_at(head->config, "sim"),
                           "stage %d: cwc has no similarity term; set objective.sim.beta to 0", head->stage);
    head_body(head);
    head->embed = (struct layers){.arena = head->arena};
    head->embedding = shape_count(&head->shape);
    TRY(layers_add(&head->embed, &head->shape,
                   (struct layer){.kind = &layer_energy, .name = "head.energy", .units = head->classes, .head = 1}));
    head_cross_entropy(head);
    return HFF_OK;
}
