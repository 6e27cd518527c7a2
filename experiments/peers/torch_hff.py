#!/usr/bin/env python3
"""The speed of a training step: hff against a strong PyTorch twin of the same net, in one run.

    python3 torch_hff.py --hff PROGRAM CONFIG [--set KEY=VALUE]... [--dtype f32|bf16] [--rounds 5] [--threads 2]

The twin does what PyTorch does best on a CPU: channels_last, one backward pass over the sum of the stages' losses (each
stage reads a detached input), the pooled 1x1 AuxConv first pooled and then convolved, one fused AdamW (or foreach SGD) over
all parameters, retraction of the prototypes by one foreach call, bf16 by autocast, and both eager and torch.compile of
forward and losses. Data is one batch that lies ready. Rounds of hff, eager and compiled steps alternate, so that a drift
of the machine's speed hits all of them; the medians' ratios are what to quote.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
import yaml

from torch_model import Net, activation


def fast_embedding(head, h):
    """Head.embedding, pooled first where that commutes with the AuxConv."""
    if h.dim() == 2:
        return h
    e = head.config['head']
    h = head.pooled(h, e['pool'])
    if e['aux'] and e['aux_kernel'] == 1 and e['aux_act'] == 'none':
        return head.aux(head.pooled(h, e['grid'])).flatten(1)
    if e['aux']:
        h = activation(e['aux_act'])(head.aux(h))
    return head.pooled(h, e['grid']).flatten(1)


def fast_loss(head, h, y):
    """The softmax loss with fixed or learned scale; prototypes are kept on the sphere by the step."""
    z = F.normalize(fast_embedding(head, h).float(), dim=1, eps=1e-6)
    p = head.prototypes
    cos = (z @ p.flatten(0, 1).T).unflatten(1, p.shape[:2])
    s = torch.logsumexp(head.log_scale.exp() * cos, 2) if p.shape[1] > 1 else head.log_scale.exp() * cos[..., 0]
    if head.config['margin']:
        s = s - head.log_scale.exp() * head.config['margin'] * F.one_hot(y, s.shape[1])
    return F.cross_entropy(s, y, label_smoothing=head.config['smoothing'])


class Twin:
    def __init__(self, config, shape, classes, batch, dtype, compiled):
        torch.manual_seed(0)
        self.net = Net(config, shape, classes).to(memory_format=torch.channels_last).train()
        self.x = torch.randn(batch, *shape).to(memory_format=torch.channels_last)
        self.y = torch.randint(0, classes, (batch,))
        self.cast = dtype == 'bf16'
        o = config['optimizer']
        decay = [p for n, p in self.net.named_parameters() if n.endswith('weight') and '.norm.' not in n]
        rest = [p for n, p in self.net.named_parameters() if not (n.endswith('weight') and '.norm.' not in n) and p.requires_grad]
        groups = [{'params': decay, 'weight_decay': o['weight_decay']}, {'params': rest, 'weight_decay': 0}]
        if o['kind'] == 'adamw':
            self.optimizer = torch.optim.AdamW(groups, lr=o['lr'], betas=(o['beta1'], o['beta2']), eps=o['eps'], fused=True)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=o['lr'], momentum=o['momentum'], nesterov=o['nesterov'], foreach=True)
        self.prototypes = [s.head.prototypes for s in self.net.stages()]
        self.loss = torch.compile(self.losses) if compiled else self.losses

    def losses(self, x, y):
        total = 0
        for stage in self.net.stages():
            h = stage.body(x)
            total = total + fast_loss(stage.head, h, y)
            x = stage.passed(h)
        return total

    def step(self):
        with torch.autocast('cpu', torch.bfloat16, enabled=self.cast):
            loss = self.loss(self.x, self.y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for p in self.prototypes:
                p.div_(p.norm(dim=-1, keepdim=True))

    def time(self, steps):
        out = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            out.append(1e3 * (time.perf_counter() - start))
        return out


def hff_json(args, *words):
    sets = [w for s in args.set for w in ('--set', s)] + ['--set', 'run.threads=%d' % args.threads]
    if args.dtype != 'f32':
        sets += ['--set', 'run.dtype=' + args.dtype]
    return subprocess.run([args.hff, *words, args.config, *sets], check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--hff', required=True, help='the hff program')
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--dtype', default='f32', choices=['f32', 'bf16'])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=6, help='steps of each in a round')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--shape', default='3,32,32', help='channels,height,width')
    parser.add_argument('--classes', type=int, default=10)
    parser.add_argument('--json', help='write all numbers to this file')
    args = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = str(args.threads)
    torch.set_num_threads(args.threads)
    config = yaml.safe_load(subprocess.run([args.hff, 'config', 'show', args.config, *[w for s in args.set for w in ('--set', s)]],
                                           check=True, capture_output=True, text=True).stdout)
    shape, batch = [int(n) for n in args.shape.split(',')], config['run']['batch']
    twins, times, memory = {}, {'hff': []}, {}
    for name in ('eager', 'compiled'):
        twins[name] = Twin(config, shape, args.classes, batch, args.dtype, name == 'compiled')
        twins[name].time(3)
        times[name] = []
        memory[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(args.rounds):
        row = json.loads(hff_json(args, 'bench', 'train', '--json', '--runs', str(args.steps)))['rows'][0]
        times['hff'].append(row['step_ms']['median'])
        memory['hff'] = row['peak_resident_bytes'] / 2 ** 20
        for name, twin in twins.items():
            times[name].append(statistics.median(twin.time(args.steps)))
    print('%s, batch %d, %s, %d threads, torch %s; ms a step, median of %d rounds of %d steps (lowest, highest)'
          % (args.config, batch, args.dtype, args.threads, torch.__version__, args.rounds, args.steps))
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, t in times.items():
        print('  %-9s %8.1f (%.1f, %.1f)   %5.0f MiB peak resident' % (name, medians[name], min(t), max(t), memory[name]))
    ratios = [min(e, c) / h for h, e, c in zip(times['hff'], times['eager'], times['compiled'])]
    print('  the quicker of eager and compiled takes %.2f times as long as hff (round by round %.2f to %.2f)'
          % (statistics.median(ratios), min(ratios), max(ratios)))
    if args.json:
        with open(args.json, 'w') as out:
            json.dump({'times_ms': times, 'memory_mib': memory, 'ratio': statistics.median(ratios)}, out, indent=1)


if __name__ == '__main__':
    main()
