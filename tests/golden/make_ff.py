#!/usr/bin/env python3
"""Golden vectors of FF's losses (METHOD.md section 2), in double precision, by automatic differentiation of the definitions.

    python3 make_ff.py OUT.safetensors        (needs torch and safetensors)

goodnessNN: h (2 B, D), rows 2 i and 2 i + 1 a sample's positive and negative; out: loss (1), dh (2 B, D). readoutNN: logits (B, C),
y (B); out: loss (1), dlogits (B, C), log_p (B, C). Settings of a case stand in the metadata under its name as JSON: B, D or C,
mean, theta, alpha (0: threshold loss, else SymBa).
"""
import json
import sys

import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)


def softplus(v):
    return torch.logaddexp(v, torch.zeros_like(v))


def goodness_loss(h, mean, theta, alpha):
    g = (h * h).mean(1) if mean else (h * h).sum(1)
    pos, neg = g[0::2], g[1::2]
    if alpha > 0:
        return softplus(-alpha * (pos - neg)).mean()
    return (softplus(theta - pos) + softplus(neg - theta)).mean()


CASES = [dict(B=b, D=d, mean=mean, theta=1.0 if mean else float(d), alpha=alpha)
         for b, d in ((1, 2), (7, 33), (12, 90)) for mean, alpha in ((False, 0.0), (True, 0.0), (True, 4.0), (False, 0.05))]
READOUTS = [dict(B=1, C=2), dict(B=9, C=10), dict(B=5, C=100)]


def main():
    torch.manual_seed(20261124)
    tensors, meta = {}, {}
    for i, case in enumerate(CASES):
        name = 'goodness%02d' % i
        h = torch.relu(torch.randn(2 * case['B'], case['D']) * 1.4).float().double().requires_grad_()
        loss = goodness_loss(h, case['mean'], case['theta'], case['alpha'])
        tensors.update({name + '.h': h, name + '.loss': loss.reshape(1), name + '.dh': torch.autograd.grad(loss, h)[0]})
        meta[name] = json.dumps(case)
    for i, case in enumerate(READOUTS):
        name = 'readout%02d' % i
        logits = (3 * torch.randn(case['B'], case['C'])).float().double().requires_grad_()
        y = torch.randint(0, case['C'], (case['B'],))
        loss = torch.nn.functional.cross_entropy(logits, y)
        tensors.update({name + '.logits': logits, name + '.y': y, name + '.loss': loss.reshape(1),
                        name + '.dlogits': torch.autograd.grad(loss, logits)[0], name + '.log_p': torch.log_softmax(logits, 1)})
        meta[name] = json.dumps(case)
    save_file({n: v.detach().contiguous().clone() for n, v in tensors.items()}, sys.argv[1], metadata=meta)
    print(len(CASES), 'and', len(READOUTS), 'cases')


if __name__ == '__main__':
    main()
