#!/usr/bin/env python3
"""Golden vectors of whole stages, in double precision, by automatic differentiation (experiments/peers/torch_model.py).

    python3 make_stages.py OUT.safetensors        (needs torch and safetensors)

For every case, tensors named CASE.in.x (B, ...) inputs, CASE.in.y1, .y2 (B) labels, .weight (B) of y1; CASE.param.NAME
before the step; CASE.grad.NAME of every trained parameter; CASE.after.NAME running statistics after the forward pass;
for stage i CASE.out.loss.i (1), CASE.out.scores.i (B, C) in training, CASE.out.passed.i (B, ...) unless it is the last.
NAME is a tensor's name in a model file. The metadata has under CASE JSON: config (text for hff), shape, classes.
Numbers that hff takes in single precision (inputs, weights of labels) are chosen so that they are exact in it.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'experiments', 'peers'))
import torch_model  # noqa: E402

OBJECTIVE = {'kind': 'hff', 'sim': {'beta': 0.0}, 'scale': 16.0, 'learn_scale': False, 'margin': 0.0, 'loss': 'softmax', 'smoothing': 0.0,
             'prototypes': {'per_class': 1, 'train': True},
             'head': {'pool': 0, 'aux': 128, 'aux_kernel': 1, 'aux_act': 'none', 'grid': 2}}
LAYER = {'linear': {'norm': 'none', 'act': 'relu'},
         'conv': {'kernel': 3, 'stride': 1, 'norm': 'batch', 'act': 'relu',
                  'pool': {'max': 0, 'average': 0, 'stride': 0}},
         'basic_block': {'stride': 1, 'act': 'relu'}, 'bottleneck': {'stride': 1, 'act': 'relu', 'expansion': 4}}
SLICES = 2


def case(name, shape, stages, objective=None, between='auto', classes=5, batch=8, mixup=False, partition='layer'):
    return {'name': name, 'shape': shape, 'stages': stages, 'objective': objective or {}, 'between': between,
            'partition': partition,
            'classes': classes, 'batch': batch, 'mixup': mixup}


CASES = [
    case('linear', (13,), [{'linear': {'units': 17}}]),
    case('linear_norm', (13,), [{'linear': {'units': 17, 'norm': 'batch'}}], mixup=True,
         objective={'loss': 'pairwise', 'margin': 0.2, 'learn_scale': True, 'prototypes': {'per_class': 3}}),
    case('linear_plain', (13,), [{'linear': {'units': 9, 'act': 'none'}}], objective={'prototypes': {'train': False}}),
    case('conv', (1, 9, 10), [{'conv': {'channels': 6, 'pool': {'max': 2}}}], mixup=True,
         objective={'margin': 0.2, 'smoothing': 0.1, 'prototypes': {'per_class': 2}, 'head': {'aux': 7, 'grid': 2}}),
    case('conv_overlap', (3, 9, 9), [{'conv': {'channels': 18, 'kernel': 5, 'pool': {'max': 3, 'stride': 2}}}],
         objective={'learn_scale': True, 'head': {'aux': 0, 'grid': 3}}),
    case('conv_middle', (5, 12, 12), [{'conv': {'channels': 8, 'stride': 2, 'norm': 'none', 'pool': {'average': 2}}}],
         objective={'loss': 'pairwise', 'margin': 0.1,
                    'head': {'aux': 6, 'aux_kernel': 3, 'aux_act': 'relu', 'grid': 2}}),
    case('conv_point', (20, 5, 5), [{'conv': {'channels': 17, 'kernel': 1, 'act': 'none'}}],
         objective={'head': {'pool': 4, 'aux': 19, 'aux_act': 'relu', 'grid': 3}}),
    case('two_linear', (13,), [{'linear': {'units': 17}}, {'linear': {'units': 11}}]),
    case('two_conv', (2, 8, 8), [{'conv': {'channels': 6, 'norm': 'none', 'pool': {'max': 2}}},
                                 {'conv': {'channels': 9}, 'objective': {'scale': 30.0}},
                                 {'linear': {'units': 10}}],
         objective={'learn_scale': True, 'head': {'aux': 8, 'grid': 2}}),
    case('softmax', (2, 8, 8), [{'conv': {'channels': 6, 'norm': 'none', 'pool': {'max': 2}}},
                                {'linear': {'units': 10}}], mixup=True,
         objective={'kind': 'softmax', 'smoothing': 0.1, 'head': {'aux': 8, 'aux_act': 'relu', 'grid': 2}}),
    case('softmax_sim', (2, 6, 6), [{'conv': {'channels': 6, 'pool': {'max': 2}}}, {'linear': {'units': 10}}], mixup=True,
         objective={'kind': 'softmax', 'sim': {'beta': 0.7}, 'head': {'aux': 0, 'grid': 2}}),
    case('hff_sim', (2, 8, 8), [{'conv': {'channels': 3}}, {'linear': {'units': 10}}],
         objective={'sim': {'beta': 0.99}, 'learn_scale': True, 'head': {'aux': 7, 'grid': 2}}),
    case('cwc', (2, 6, 6), [{'conv': {'channels': 10, 'pool': {'max': 2}}}, {'linear': {'units': 15}}], mixup=True,
         objective={'kind': 'cwc', 'smoothing': 0.1}),
    case('residual', (3, 8, 8), [{'basic_block': {'channels': 3}}, {'basic_block': {'channels': 6, 'stride': 2}},
                                 {'bottleneck': {'channels': 2, 'expansion': 3}}],
         objective={'head': {'aux': 7, 'grid': 2}}),
    case('block', (3, 8, 8), [{'conv': {'channels': 6, 'norm': 'none'}}, {'conv': {'channels': 5, 'pool': {'max': 2}}},
                              {'conv': {'channels': 7}}, {'bottleneck': {'channels': 2, 'stride': 2}}],
         objective={'kind': 'softmax', 'head': {'aux': 0, 'grid': 2}}, partition='block'),
    case('whole', (3, 8, 8), [{'conv': {'channels': 6, 'norm': 'none', 'pool': {'average': 2}}},
                              {'conv': {'channels': 5}}, {'basic_block': {'channels': 5}}, {'linear': {'units': 9}}],
         partition='whole', between='l2'),
]


def resolved(case):
    """The config with every key that the model asks for."""
    stages = []
    for item in case['stages']:
        kind = next(k for k in LAYER if k in item)
        stages.append({**item, kind: torch_model.merged(LAYER[kind], item[kind])})
    return {'net': {'between': case['between'], 'partition': case['partition'], 'stages': stages},
            'run': {'slices': SLICES},
            'objective': torch_model.merged(OBJECTIVE, case['objective'])}


def disturb(net):
    """Parameters off their special values: biases, batch norm, scales."""
    with torch.no_grad():
        for name, tensor in net.tensors().items():
            if name.endswith('.bias') or name.endswith('.mean'):
                tensor.normal_(0, 0.3)
            elif '.norm' in name:
                tensor.uniform_(0.5, 1.5)
            elif name.endswith('.weight'):
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
            elif name.endswith('.log_scale'):
                tensor.add_(0.1)
            elif name.endswith('.prototypes'):
                tensor.copy_(torch.nn.functional.normalize(torch.randn(tensor.shape), dim=-1))


def compute(case):
    config = resolved(case)
    net = torch_model.Net(config, case['shape'], case['classes'])
    disturb(net)
    b, c = case['batch'], case['classes']
    x = torch.randn(b, *case['shape']).float().double()
    y1 = torch.randint(0, c, (b,))
    y2 = torch.randint(0, c, (b,)) if case['mixup'] else y1
    weight = torch.randint(0, 65, (b,)) / 64 if case['mixup'] else torch.ones(b)
    out = {'in.x': x, 'in.y1': y1, 'in.y2': y2, 'in.weight': weight}
    out.update({'param.' + name: tensor.clone() for name, tensor in net.tensors().items()})
    stages = net.losses(x, y1, y2, weight)
    for i, (loss, scores, passed) in enumerate(stages):
        loss.backward()
        out['out.loss.%d' % (i + 1)] = loss.reshape(1)
        out['out.scores.%d' % (i + 1)] = scores
        if i + 1 < len(stages):
            out['out.passed.%d' % (i + 1)] = passed
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            out['grad.' + name] = parameter.grad
    out.update({'after.' + n: t for n, t in net.tensors().items() if n.endswith(('.mean', '.var'))})
    assert all(torch.isfinite(v).all() for v in out.values()), case['name']
    given = {'net': {'between': case['between'], 'stages': case['stages'], 'partition': case['partition']},
             'objective': case['objective'], 'run': {'batch': b, 'slices': SLICES}}
    return out, {'config': given, 'shape': case['shape'], 'classes': c}


def main():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(20261124)
    tensors, meta = {}, {}
    for case in CASES:
        out, meta_case = compute(case)
        meta[case['name']] = json.dumps(meta_case)
        for name, tensor in out.items():
            tensors[case['name'] + '.' + name] = tensor.detach().contiguous().clone()
    save_file(tensors, sys.argv[1], metadata=meta)
    print(len(CASES), 'cases')


if __name__ == '__main__':
    main()
