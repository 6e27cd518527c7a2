#!/usr/bin/env python3
"""The time of a prototype head's three matrix products alone, on a GPU by PyTorch through cuBLASLt: cos = z p^T, dz = dcos p,
dp = dcos^T z, in one CUDA graph each, bf16 in and out with fp32 accumulation.

    python3 torch_products.py BATCH D CLASSES PER_CLASS [--dtype bf16|tf32|f32]

One JSON document: milliseconds of each (median of rounds) and their sum, the floor for a head of that size.
"""
import argparse
import json
import statistics

import torch

REPEATS, ROUNDS = 20, 15


def captured(product):
    """A graph with REPEATS of it, after a warm-up."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            product()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(REPEATS):
            product()
    return graph


def milliseconds(graph):
    times = []
    for _ in range(ROUNDS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / REPEATS)
    return statistics.median(times[3:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('batch', 'd', 'classes', 'per_class'):
        parser.add_argument(name, type=int)
    parser.add_argument('--dtype', default='bf16', choices=['bf16', 'tf32', 'f32'])
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit('PyTorch %s sees no GPU' % torch.__version__)
    torch.backends.cuda.preferred_blas_library('cublaslt')
    torch.backends.cuda.matmul.allow_tf32 = args.dtype == 'tf32'
    element = torch.bfloat16 if args.dtype == 'bf16' else torch.float32
    rows = args.classes * args.per_class
    z, p, dcos = (torch.randn(*shape, device='cuda', dtype=element)
                  for shape in ((args.batch, args.d), (rows, args.d), (args.batch, rows)))
    out = {name: torch.empty(shape, device='cuda', dtype=element)
           for name, shape in (('cos', (args.batch, rows)), ('dz', (args.batch, args.d)), ('dp', (rows, args.d)))}
    products = {'cos': lambda: torch.mm(z, p.T, out=out['cos']), 'dz': lambda: torch.mm(dcos, p, out=out['dz']),
                'dp': lambda: torch.mm(dcos.T, z, out=out['dp'])}
    each = {name: milliseconds(captured(product)) for name, product in products.items()}
    print(json.dumps({'device': torch.cuda.get_device_name(), 'torch': torch.__version__, 'dtype': args.dtype,
                      'sizes': [args.batch, args.d, args.classes, args.per_class], 'ms': each, 'sum_ms': sum(each.values())}))


if __name__ == '__main__':
    main()
