#!/usr/bin/env python3
"""Memory and speed of a training step against depth, for nets of equal convolutional layers.

    python3 depth.py --hff PROGRAM [--depths 2,4,8,16,32,64] [--channels 64] [--batch 128] [--runs 5] [--out FOLDER]
    python3 depth.py --plot FOLDER

Each depth is measured by one call of `hff bench train --methods`, which takes the steps of all methods in turns: HFF
(every layer learns alone), backpropagation, backpropagation that recomputes activations (engine.recompute auto), and with
a batch in four parts (run.micro_batch). It writes FOLDER/depth.csv, a row for each depth and method, as soon as it has
one, and goes on where it stopped; then the plot, FOLDER/depth.png (needs matplotlib).

Planned activations are what the plan holds for one stage at a time and for what lies between stages. Measured ones are
what became resident when the net was bound and took its first steps, less what is planned for everything else
(parameters, gradients, moments, workspace): so an error of the plan anywhere shows in them.
"""
import argparse
import csv
import json
import os
import subprocess
import tempfile

METHODS = ('hff', 'backprop', 'backprop_recompute', 'backprop_micro')
LABELS = {'hff': 'HFF, stage by stage', 'backprop': 'backpropagation', 'backprop_recompute': '... recomputing',
          'backprop_micro': '... batch in 4 parts'}
FIELDS = ('depth', 'method', 'activation_bytes', 'measured_bytes', 'engine_bytes', 'resident_bytes', 'images_per_s', 'step_ms',
          'step_ms_min', 'step_ms_max', 'runs', 'time_x', 'step_mflop_per_image', 'head_flops_share')


def config(options, depth):
    return f"""run: {{batch: {options.batch}}}
data: {{source: digits, digits: {{train: {options.batch}, test: 100}}}}
net: {{stages: [{{conv: {{channels: {options.channels}, stride: 2}}}}, {{conv: {{channels: {options.channels}}}, repeat: {depth - 1}}}]}}
objective: {{kind: hff, head: {{aux: 0}}}}
"""


def measure(options, depth):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f'depth_{depth}.yaml')
        with open(path, 'w') as file:
            file.write(config(options, depth))
        command = [*options.prefix.split(), options.hff, 'bench', 'train', path, '--methods', ','.join(METHODS), '--runs',
                   str(options.runs), '--json']
        document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for row in document['rows']:
        if 'refused' in row:
            raise SystemExit(f"{row['method']} at depth {depth}: {row['refused']}")
        others = row['engine_bytes'] - row['activation_bytes']
        yield {'depth': depth, 'method': row['method'], 'activation_bytes': row['activation_bytes'],
               'measured_bytes': row['resident_bytes'] - others, 'engine_bytes': row['engine_bytes'],
               'resident_bytes': row['resident_bytes'], 'images_per_s': f"{row['images_per_s']:.1f}",
               'step_ms': f"{row['step_ms']['median']:.1f}", 'step_ms_min': f"{row['step_ms']['min']:.1f}",
               'step_ms_max': f"{row['step_ms']['max']:.1f}", 'runs': row['runs'], 'time_x': f"{row['ratio']:.3f}",
               'step_mflop_per_image': f"{row['step_flops_per_image'] * 1e-6:.1f}",
               'head_flops_share': f"{row['head_flops_share']:.4f}"}


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path + '.new', 'w', newline='') as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + '.new', path)


def plot(rows, path):
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    from PIL import Image
    figure, (memory, speed) = pyplot.subplots(1, 2, figsize=(11, 4.6))
    for method, color in zip(METHODS, ('tab:red', 'tab:blue', 'tab:green', 'tab:purple')):
        own = sorted((row for row in rows if row['method'] == method), key=lambda row: int(row['depth']))
        depth = [int(row['depth']) for row in own]
        memory.plot(depth, [int(row['activation_bytes']) / 2**20 for row in own], color=color, label=LABELS[method])
        memory.plot(depth, [int(row['measured_bytes']) / 2**20 for row in own], 'o', color=color, fillstyle='none')
        speed.plot(depth, [float(row['images_per_s']) for row in own], 'o-', color=color, label=LABELS[method])
    memory.plot([], [], 'o', color='black', fillstyle='none', label='measured (lines: planned)')
    for axes, what in ((memory, 'activations, MiB'), (speed, 'images/s, training')):
        axes.set(xscale='log', yscale='log', xlabel='convolutional layers', ylabel=what)
        axes.set_xticks(sorted({int(row['depth']) for row in rows}))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}'))
        axes.grid(which='both', color='0.9')
        axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    with Image.open(path) as picture:  # a third of the bytes with few colours
        picture.convert('RGB').quantize(48).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hff', help='the program')
    parser.add_argument('--depths', default='2,4,8,16,32,64')
    parser.add_argument('--channels', type=int, default=64)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--prefix', default='', help='a command that runs the measurements')
    parser.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument('--plot', help='only the plot, of this folder')
    options = parser.parse_args()
    folder = options.plot or options.out
    path = os.path.join(folder, 'depth.csv')
    rows = read(path)
    if not options.plot:
        if not options.hff:
            parser.error('--hff PROGRAM')
        os.makedirs(folder, exist_ok=True)
        for depth in map(int, options.depths.split(',')):
            if any(int(row['depth']) == depth for row in rows):
                continue
            rows += measure(options, depth)
            write(path, rows)
            for row in rows[-len(METHODS):]:
                print(depth, row['method'], f"{int(row['activation_bytes']) / 2**20:.1f} MiB planned,",
                      f"{int(row['measured_bytes']) / 2**20:.1f} measured,", row['images_per_s'], 'images/s', flush=True)
    plot(rows, os.path.join(folder, 'depth.png'))


if __name__ == '__main__':
    main()
