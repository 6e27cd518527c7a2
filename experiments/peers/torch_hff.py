#!/usr/bin/env python3
"""The speed of a training step: hff against a strong PyTorch twin of the same net (torch_twin.py), in one run.

    python3 torch_hff.py --hff PROGRAM CONFIG [--set KEY=VALUE]... [--dtype f32|bf16] [--rounds 5] [--threads 2]
    python3 torch_hff.py --hff PROGRAM CONFIG --device cuda --dtype bf16 [--mode max-autotune] [--partition layer,whole]

On the CPU the twin runs eager and compiled on one batch that lies ready. On a GPU it also runs with the whole step as one
CUDA graph, eager and compiled, and by default draws each batch from images that stay on the device (--data ready: no);
steps are timed by events on the device. Rounds of hff and of every kind of twin alternate, so that a drift of the machine's
speed hits all of them; the medians' ratios are what to quote. --partition whole is the same net by backpropagation, in hff
and in PyTorch. A kind that fails is named with its reason, and the others go on; --json is written anew after each kind
that is ready and after each round.
"""
import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time

import torch
import yaml

from torch_twin import KINDS, Images, Twin


def settings(args, partition):
    sets = list(args.set) + ['net.partition=' + partition] * (partition != '') + ['run.backend=cuda'] * (args.device == 'cuda')
    return [w for s in sets for w in ('--set', s)]


def hff_json(args, partition, *words):
    sets = settings(args, partition) + ['--set', 'run.threads=%d' % args.threads]
    if args.dtype != 'f32':
        sets += ['--set', 'run.dtype=' + args.dtype]
    done = subprocess.run([args.hff, *words, args.config, *sets], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ['exit %d' % done.returncode])[-1])
    return done.stdout


def peak_bytes(args):
    if args.device == 'cuda':
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Contest:
    """hff and the kinds of twin of one partition: rows by name, each with its times of all rounds."""

    def __init__(self, args, partition, config):
        self.args, self.partition, self.config = args, partition, config
        self.rows, self.twins, self.images = {'hff': {'times_ms': []}}, {}, None

    def guarded(self, name, call, *given):
        """A failure ends this row only."""
        if 'failed' in self.rows[name]:
            return
        try:
            call(*given)
        except Exception as error:  # whatever PyTorch or the program gives up with is a result of this row
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            self.rows[name]['failed'] = text[:300]
            self.twins.pop(name, None)
            print('  %s: %s' % (name, text), file=sys.stderr)

    def open_all(self, keep):
        begin = time.perf_counter()
        if self.args.data == 'resident':
            self.images = Images(self.config, self.args.shape, self.args.classes, self.args.images, self.args.device)
        for kind in self.args.kinds:
            self.rows[kind] = {'times_ms': []}
            if time.perf_counter() - begin > self.args.open_for:
                self.rows[kind]['left_out'] = 'no time was left for it'
                continue
            self.guarded(kind, self.open, kind)
            keep()

    def open(self, kind):
        args, row, before = self.args, self.rows[kind], 0
        if args.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            # other twins'; the images count, as hff's do
            before = torch.cuda.memory_allocated() - (self.images.bytes() if self.images else 0)
        start = time.perf_counter()
        mode = args.mode if KINDS[kind]['compiled'] else 'default'
        if KINDS[kind]['whole'] and mode in ('max-autotune', 'reduce-overhead'):
            # the whole step is the graph; compiled parts with graphs of their own could not be captured
            mode = 'max-autotune-no-cudagraphs' if mode == 'max-autotune' else 'default'
        twin = Twin(self.config, args.shape, args.classes, args.dtype, args.device, kind, mode, self.images)
        first = twin.first_loss()
        twin.time(args.warm_up)
        last = twin.first_loss()
        if not (math.isfinite(first) and math.isfinite(last)):
            raise RuntimeError('the loss is %s, then %s' % (first, last))
        twin.wait()
        row.update(first_loss=first, last_loss=last, mode=mode if KINDS[kind]['compiled'] else None, ready_s=time.perf_counter() - start, peak_bytes=peak_bytes(args) - before)
        self.twins[kind] = twin

    def share(self):
        """After all rounds: a profiler may slow what comes after it."""
        row, twin = self.rows.get('eager'), self.twins.get('eager')
        if not (self.args.share and twin):
            return
        try:
            row['convolution_share'] = twin.convolution_share()
        except Exception as error:  # no profiler on this machine: the row stays
            row['convolution_share'] = (str(error).strip() or type(error).__name__).splitlines()[0]

    def hff_round(self):
        row = self.rows['hff']
        report = json.loads(hff_json(self.args, self.partition, 'bench', 'train', '--json', '--runs', str(self.args.steps)))
        got = report['rows'][0]
        row['times_ms'].append(got['step_ms']['median'])
        row['peak_bytes'] = got['engine_bytes' if self.args.device == 'cuda' else 'peak_resident_bytes']
        row['device'] = report['device']

    def twin_round(self, kind):
        self.rows[kind]['times_ms'].append(statistics.median(self.twins[kind].time(self.args.steps)))

    def run(self, keep):
        """keep: called whenever there is more to keep, so that what was measured stays when the time is over."""
        self.open_all(keep)
        for _ in range(self.args.rounds):
            self.guarded('hff', self.hff_round)
            for kind in list(self.twins):
                self.guarded(kind, self.twin_round, kind)
            keep()
        self.share()
        keep()

    def ratio(self, kinds):
        """How many times as long as hff the quickest of these kinds takes: median, lowest and highest of the rounds."""
        if any('failed' in self.rows[k] for k in kinds if k in self.rows):
            return None  # the rival that is missing might have been the quickest
        times = [self.rows[k]['times_ms'] for k in kinds if k in self.twins]
        own = self.rows['hff']['times_ms']
        if 'failed' in self.rows['hff'] or not times or not own:
            return None
        each = [min(twins) / h for h, *twins in zip(own, *times)]
        return {'median': statistics.median(each), 'min': min(each), 'max': max(each)}

    def report(self, batch):
        compiled = [k for k in KINDS if KINDS[k]['compiled']]
        eager = [k for k in KINDS if not KINDS[k]['whole'] and not KINDS[k]['compiled']]
        for row in self.rows.values():
            t = row['times_ms']
            if t and 'failed' not in row:
                row['step_ms'] = {'median': statistics.median(t), 'min': min(t), 'max': max(t)}
                row['images_per_s'] = 1e3 * batch / row['step_ms']['median']
        return {'partition': self.partition or 'as the config says', 'kinds': self.rows, 'ratio_eager': self.ratio(eager),
                'ratio_compiled': self.ratio(compiled), 'ratio': self.ratio(list(KINDS))}


def show(report, batch):
    print('partition: %s' % report['partition'])
    for name, row in report['kinds'].items():
        if 'step_ms' not in row:
            print('  %-15s %s' % (name, row.get('failed', row.get('left_out', 'not timed'))))
            continue
        t = row['step_ms']
        print('  %-15s %9.3f (%.3f, %.3f) %11.0f images/s %7.0f MiB peak%s' % (
            name, t['median'], t['min'], t['max'], row['images_per_s'], row['peak_bytes'] / 2 ** 20,
            ', %.1f s until ready' % row['ready_s'] if 'ready_s' in row else ''))
        if isinstance(row.get('convolution_share'), float):
            print('  %-15s convolutions take %.0f %% of it' % ('', 100 * row['convolution_share']))
    for key, text in (('ratio_eager', 'eager takes'), ('ratio_compiled', 'the quickest compiled one takes'), ('ratio', 'the quickest of all takes')):
        r = report[key]
        if r:
            print('  %s %.2f times as long as hff (round by round %.2f to %.2f)' % (text, r['median'], r['min'], r['max']))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--hff', required=True, help='the hff program')
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--dtype', default='f32', choices=['f32', 'tf32', 'bf16'])
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--kinds', help='of %s (default: all that the device has)' % ', '.join(KINDS))
    parser.add_argument('--mode', default='', help="torch.compile's mode (default: default; on a GPU reduce-overhead)")
    parser.add_argument('--partition', default='', help='layer (HFF), whole (backpropagation), or several with commas')
    parser.add_argument('--data', choices=['ready', 'resident'], help='one batch that lies ready (CPU), or drawn on the device (GPU)')
    parser.add_argument('--images', type=int, default=0, help='resident: how many (default 50000, on the CPU 2048)')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=0, help='steps of each in a round (default 6, on a GPU 50)')
    parser.add_argument('--warm-up', type=int, default=0, help='steps before the first round (default 3, on a GPU 20)')
    parser.add_argument('--open-for', type=float, default=math.inf, metavar='SECONDS', help='no further kind is made ready after that')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--shape', default='3,32,32', help='channels,height,width')
    parser.add_argument('--classes', type=int, default=10)
    parser.add_argument('--share', action='store_true', help="also the convolutions' share of an eager step")
    parser.add_argument('--json', help='write all numbers to this file')
    args = parser.parse_args()
    cuda = args.device == 'cuda'
    if args.dtype == 'tf32' and not cuda:
        parser.error('tf32 is a GPU type')
    if cuda and not torch.cuda.is_available():
        raise SystemExit('PyTorch %s sees no GPU' % torch.__version__)
    can = [k for k in KINDS if cuda or not KINDS[k]['whole']]
    args.kinds = args.kinds.split(',') if args.kinds else can
    for kind in args.kinds:
        if kind not in can:
            parser.error('%s: not a kind that runs on %s; there are %s' % (kind, args.device, ', '.join(can)))
    args.mode = args.mode or ('reduce-overhead' if cuda else 'default')
    args.data = args.data or ('resident' if cuda else 'ready')
    args.images = args.images or (50000 if cuda else 2048)
    args.steps = args.steps or (50 if cuda else 6)
    args.warm_up = args.warm_up or (20 if cuda else 3)
    args.shape = [int(n) for n in args.shape.split(',')]
    return args


def main():
    args = arguments()
    os.environ['OMP_NUM_THREADS'] = str(args.threads)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.dtype != 'f32'
    name = torch.cuda.get_device_name() if args.device == 'cuda' else '%d threads' % args.threads
    reports, failed = [], False
    for partition in args.partition.split(','):
        shown = subprocess.run([args.hff, 'config', 'show', args.config, *settings(args, partition)], check=True, capture_output=True, text=True)
        config = yaml.safe_load(shown.stdout)
        batch = config['run']['batch']
        print('%s, batch %d, %s, %s, torch %s, data %s; ms a step, median of %d rounds of %d steps (lowest, highest)'
              % (args.config, batch, args.dtype, name, torch.__version__, args.data, args.rounds, args.steps))
        contest = Contest(args, partition, config)

        def keep():
            report = contest.report(batch)
            report.update(config=args.config, batch=batch, dtype=args.dtype, device=name, torch=torch.__version__, data=args.data,
                          rounds=args.rounds, steps=args.steps)
            if args.json:
                with open(args.json + '.part', 'w') as out:
                    json.dump({'rows': reports + [report]}, out, indent=1)
                os.replace(args.json + '.part', args.json)
            return report

        contest.run(keep)
        report = keep()
        reports.append(report)
        failed = failed or any('failed' in row for row in report['kinds'].values())
        show(report, batch)
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
