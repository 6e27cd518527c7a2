#!/usr/bin/env python3
"""Compares hff with PyTorch (torch_model.py): scores of a trained model, and one training step.

    check_model.py scores MODEL SCORES --data ROOT      SCORES: from hff eval MODEL --scores SCORES
    check_model.py step mlp|cnn|rivals|whole|CONFIG --hff PROGRAM --data ROOT [--optimizer adamw] [--steps N] [--set KEY=VALUE]...

Needs torch, safetensors and pyyaml. Exit status: 0 equal within the limits, 1 not.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
import yaml

import torch_model

MLP = '''
data: {source: idx, limit: {train: 4096, test: 256}}
run: {batch: 64, slices: 4}
net: {stages: [{linear: {units: 120}}, {linear: {units: 100, norm: batch}}, {linear: {units: 60}}]}
objective: {margin: 0.1, smoothing: 0.1, learn_scale: true}
optimizer: {kind: sgd, lr: 0.05, weight_decay: 0.001}
'''
CNN = '''
data: {source: idx, limit: {train: 4096, test: 256}}
run: {batch: 64, slices: 4}
net:
  stages:
    - conv: {channels: 12, pool: {max: 2}}
    - conv: {channels: 20, norm: none, pool: {average: 2}}
      objective: {loss: pairwise, head: {aux: 24, aux_kernel: 3, aux_act: relu, grid: 3}}
    - conv: {channels: 24, stride: 2}
      objective: {head: {aux: 0, grid: 2}}
    - linear: {units: 50}
objective: {margin: 0.05, learn_scale: true, prototypes: {per_class: 2}, head: {aux: 16, pool: 7, grid: 2}}
optimizer: {kind: sgd, lr: 0.05, weight_decay: 0.001, prototype_lr: 0.5, clip: 2}
'''
RIVALS = '''
data: {source: idx, limit: {train: 4096, test: 256}}
run: {batch: 64, slices: 4}
net:
  partition: block
  stages:
    - conv: {channels: 12, norm: none}
    - conv: {channels: 20, pool: {average: 2}}
    - basic_block: {channels: 20}
    - bottleneck: {channels: 10, expansion: 3, stride: 2}
      objective: {kind: cwc, sim: {beta: 0}}
    - linear: {units: 50}
objective: {kind: softmax, smoothing: 0.1, sim: {beta: 0.4}, head: {aux: 16, aux_act: relu, grid: 2}}
optimizer: {kind: sgd, lr: 0.05, weight_decay: 0.001, clip: 2}
'''
WHOLE = RIVALS.replace('block\n', 'whole\n', 1).replace('kind: softmax, ', '')
BUILT_IN = {'mlp': MLP, 'cnn': CNN, 'rivals': RIVALS, 'whole': WHOLE}


def compare_scores(args):
    dtype = getattr(torch, args.dtype)
    net, config, given = torch_model.read_model(args.model, dtype)
    want, _ = torch_model.read_tensors(args.scores)
    images, labels = torch_model.read_data(config, args.split, args.data)
    if want['scores'].shape[1] != len(images) or not torch.equal(want['labels'].long(), torch.from_numpy(labels)):
        print('labels differ: other data, or another order')
        return False
    x = torch_model.normalised(images, given, dtype)
    scores = torch.cat([net.scores(x[i:i + args.batch]) for i in range(0, len(x), args.batch)], 1)
    difference = (scores - want['scores'].to(dtype)).abs().amax((1, 2))
    for i, d in enumerate(difference):
        same = (scores[i].argmax(1) == want['scores'][i].argmax(1)).double().mean()
        right = (scores[i].argmax(1) == torch.from_numpy(labels)).double().mean()
        print('stage %d: largest difference %.2e, same class %.4f, accuracy %.4f' % (i + 1, d, same, right))
    print('%d samples, largest difference %.3e (limit %.0e)' % (len(x), difference.max(), args.limit))
    return bool(difference.max() <= args.limit)


def hff(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit('%s %s: exit status %d\n%s' % (program, ' '.join(words), done.returncode, done.stderr))
    return done.stdout


def run_hff(args, folder):
    """A run of args.steps + 1 steps with a checkpoint at every step; returns its folder."""
    path = args.config
    if path in BUILT_IN:
        path = os.path.join(folder, path + '.yaml')
        with open(path, 'w') as file:
            file.write(BUILT_IN[args.config])
    sets = ['data.root=' + json.dumps(os.path.abspath(args.data)), 'data.shuffle=false',
            'optimizer.schedule={kind: constant, warmup: 0}', 'run.log_every=1', 'run.keep=%d' % (args.steps + 1),
            'run.checkpoint_every=0.000000001']
    if args.optimizer:
        sets += ['optimizer.kind=' + args.optimizer] + ['optimizer.lr=0.002'] * (args.optimizer == 'adamw')
    sets += args.set
    shown = [word for s in sets for word in ('--set', s)]
    config = yaml.safe_load(hff(args.hff, 'config', 'show', path, *shown))
    if config['data'].get('augment'):
        raise SystemExit('data.augment is not empty: its random numbers are hff\'s own')
    epoch_steps = len(torch_model.read_data(config, 'train', args.data)[0]) // config['run']['batch']
    length = 'run.epochs=%.17g' % ((args.steps + 1) / epoch_steps)
    hff(args.hff, 'train', path, *shown, '--set', length, '--out', folder, '--name', 'run', '--quiet')
    return os.path.join(folder, 'run')


def decays(name):
    return name.endswith('.weight') and 'norm' not in name.split('.')[-2]


def make_optimizer(config, stage, number, moments, steps):
    """The stage's optimizer with the moments of a checkpoint."""
    groups = []
    for name, parameter in stage.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = config['lr'] * (config['prototype_lr'] if name == 'head.prototypes' else 1)
        groups.append({'params': [parameter], 'lr': lr, 'weight_decay': config['weight_decay'] if decays(name) else 0,
                       'name': 'stage.%d.%s' % (number, name)})
    if config['kind'] == 'sgd':
        momentum = config['momentum']
        optimizer = torch.optim.SGD(groups, momentum=momentum, nesterov=config['nesterov'] and momentum > 0)
        kept = ('momentum_buffer',) if momentum > 0 else ()
    else:
        optimizer = torch.optim.AdamW(groups, betas=(config['beta1'], config['beta2']), eps=config['eps'])
        kept = ('exp_avg', 'exp_avg_sq')
    for group in optimizer.param_groups:
        parameter = group['params'][0]
        state = optimizer.state[parameter]
        for i, key in enumerate(kept):
            state[key] = moments['%s.moment%d' % (group['name'], i + 1)].to(parameter.dtype)
        if config['kind'] == 'adamw':
            state['step'] = torch.tensor(float(steps))
    return optimizer, kept


def step_torch(net, config, x, y, moments, steps):
    """One step of every stage; returns the moments after it."""
    after = {}
    for i, (stage, (loss, _, _)) in enumerate(zip(net.stages(), net.losses(x, y))):
        own = torch_model.merged(config['optimizer'], net.given[i].get('optimizer'))
        optimizer, kept = make_optimizer(own, stage, i + 1, moments, steps)
        optimizer.zero_grad()
        loss.backward()
        if own['clip'] > 0:
            torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g['params']], own['clip'])
        optimizer.step()
        with torch.no_grad():
            hff = stage.head.kind == 'hff'
            if hff and stage.head.prototypes.requires_grad:
                stage.head.prototypes /= stage.head.prototypes.norm(dim=-1, keepdim=True)
            if hff and stage.head.log_scale.requires_grad:
                stage.head.log_scale.clamp_(0, float(torch.log(torch.tensor(100.0, dtype=torch.float64))))
        for group in optimizer.param_groups:
            for k, key in enumerate(kept):
                after['%s.moment%d' % (group['name'], k + 1)] = optimizer.state[group['params'][0]][key]
    return after


def relative(a, b):
    size = b.norm()
    return float((a - b).norm() / size) if size > 0 else float((a - b).norm())


def compare_step(args):
    with tempfile.TemporaryDirectory() as folder:
        run = run_hff(args, folder)
        at = [os.path.join(run, 'checkpoints', 'step-%d' % s) for s in (args.steps, args.steps + 1)]
        net, config, given = torch_model.read_model(os.path.join(at[0], 'model.safetensors'), torch.float64)
        moments = [torch_model.read_tensors(os.path.join(a, 'optimizer.safetensors'))[0] for a in at]
        want = torch_model.read_tensors(os.path.join(at[1], 'model.safetensors'))[0]
    images, labels = torch_model.read_data(config, 'train', args.data)
    batch = config['run']['batch']
    first = args.steps % (len(images) // batch) * batch
    x = torch_model.normalised(images[first:first + batch], given, torch.float64)
    before = {name: tensor.clone() for name, tensor in net.tensors().items()}
    after = step_torch(net, config, x, torch.from_numpy(labels[first:first + batch]), moments[0], args.steps)
    worst = [0, 0, 0]
    print('%-34s %10s %10s' % ('tensor', 'parameter', 'update'))
    for name, tensor in net.tensors().items():
        theirs = want[name].double()
        errors = relative(theirs, tensor), relative(theirs - before[name], tensor - before[name])
        worst[:2] = max(worst[0], errors[0]), max(worst[1], errors[1])
        print('%-34s %10.2e %10.2e' % (name, *errors))
    if set(after) != set(moments[1]):
        raise SystemExit('moments differ: ' + ', '.join(sorted(set(after) ^ set(moments[1]))))
    for name, tensor in after.items():
        worst[2] = max(worst[2], relative(moments[1][name].double(), tensor))
    print('step %d, %s, %s: largest relative error:' % (args.steps + 1, args.config, config['optimizer']['kind']))
    print('parameter %.2e (limit %.0e), update %.2e, moment %.2e (limit %.0e)' %
          (worst[0], args.limit, worst[1], worst[2], args.update_limit))
    return worst[0] <= args.limit and max(worst[1:]) <= args.update_limit


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    scores = commands.add_parser('scores', help='scores of hff eval --scores against PyTorch')
    scores.add_argument('model')
    scores.add_argument('scores')
    scores.add_argument('--split', default='test', choices=('train', 'test'))
    scores.add_argument('--limit', type=float, default=1e-4)
    scores.add_argument('--batch', type=int, default=500)
    scores.add_argument('--dtype', default='float32', choices=('float32', 'float64'))
    scores.set_defaults(run=compare_scores)
    step = commands.add_parser('step', help='one training step of hff against PyTorch in double precision')
    step.add_argument('config', help='a config file, or mlp, cnn, rivals or whole for a small one')
    step.add_argument('--hff', required=True, metavar='PROGRAM')
    step.add_argument('--steps', type=int, default=5, help='steps before the one that is compared')
    step.add_argument('--optimizer', choices=('sgd', 'adamw'))
    step.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    step.add_argument('--limit', type=float, default=1e-5, help='of parameters')
    step.add_argument('--update-limit', type=float, default=1e-3, help='of updates and moments')
    step.set_defaults(run=compare_step)
    for command in (scores, step):
        command.add_argument('--data', required=True, metavar='ROOT', help='folder of the data set')
    args = parser.parse_args()
    sys.exit(0 if args.run(args) else 1)


if __name__ == '__main__':
    main()
