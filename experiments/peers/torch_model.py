"""The net of an hff model in PyTorch, written from the definitions (METHOD.md 1.1-1.5).

A peer, to compare hff with: the same names of parameters, the same shapes, no code shared. Data readers for IDX and
CIFAR files give the batches that hff sees without shuffling and augmentation.
"""
import gzip
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

RENAMED = {'running_mean': 'mean', 'running_var': 'var'}


def merged(base, override):
    """override laid over base, maps member by member."""
    out = dict(base)
    for key, value in (override or {}).items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def unit(h):
    """Each sample scaled to root mean square 1."""
    flat = h.flatten(1)
    factor = math.sqrt(flat.shape[1]) / flat.norm(dim=1).clamp_min(1e-6)
    return h * factor.reshape(-1, *[1] * (h.dim() - 1))


def activation(name):
    return {'none': lambda x: x, 'relu': torch.relu, 'leaky_relu': F.leaky_relu}[name]


def target_mix(y1, y2, weight, classes):
    return weight[:, None] * F.one_hot(y1, classes) + (1 - weight[:, None]) * F.one_hot(y2, classes)


def similarities(rows):
    """Cosines between rows, each less its mean; a row without direction is like no other."""
    rows = rows - rows.mean(1, keepdim=True)
    norm = rows.norm(dim=1, keepdim=True)
    rows = torch.where(norm > 1e-6, rows / norm.clamp_min(1e-6), torch.zeros_like(rows))
    return rows @ rows.T


class Head(nn.Module):
    """From a stage's output h to scores and loss."""

    def __init__(self, config, shape, classes, slices):
        super().__init__()
        self.config, self.classes, self.slices = config, classes, slices
        self.kind = config['kind']
        if self.kind != 'cwc':
            size = self.make_embedding(config['head'], shape)
        if self.kind == 'softmax':
            self.linear = nn.Linear(size, classes)
        if self.kind == 'hff':
            prototypes = F.normalize(torch.randn(classes, config['prototypes']['per_class'], size), dim=-1)
            self.prototypes = nn.Parameter(prototypes, requires_grad=config['prototypes']['train'])
            self.log_scale = nn.Parameter(torch.tensor([math.log(config['scale'])]),
                                          requires_grad=config['learn_scale'])
        if config['sim']['beta']:
            flat = len(shape) == 1
            self.sim = (nn.Linear(shape[0], shape[0], bias=False) if flat else
                        nn.Conv2d(shape[0], shape[0], 3, padding=1, bias=False))

    def make_embedding(self, e, shape):
        size = shape[0]
        if len(shape) == 3:
            side = [min(s, e['pool'] or s) for s in shape[1:]]
            size = (e['aux'] or shape[0]) * math.prod(min(e['grid'], s) for s in side)
            if e['aux']:
                self.aux = nn.Conv2d(shape[0], e['aux'], e['aux_kernel'], padding=e['aux_kernel'] // 2, bias=False)
        return size

    @staticmethod
    def pooled(x, side):
        return F.adaptive_avg_pool2d(x, [min(side, s) for s in x.shape[2:]]) if side else x

    def embedding(self, h):
        if h.dim() == 2:
            return h
        e = self.config['head']
        h = self.pooled(h, e['pool'])
        if e['aux']:
            h = activation(e['aux_act'])(self.aux(h))
        return self.pooled(h, e['grid']).flatten(1)

    def forward(self, h):
        """Scores, and which samples are dead."""
        alive = torch.zeros(len(h), dtype=torch.bool)
        if self.kind == 'cwc':
            return h.square().reshape(len(h), self.classes, -1).mean(2), alive
        e = self.embedding(h)
        if self.kind == 'softmax':
            return self.linear(e), alive
        norm = e.norm(dim=1, keepdim=True)
        z = torch.where(norm > 1e-6, e / norm.clamp_min(1e-6), torch.zeros_like(e))
        cos = torch.einsum('bd,ckd->bck', z, F.normalize(self.prototypes, dim=-1))
        scores = torch.logsumexp(self.log_scale.exp() * cos, 2) - math.log(cos.shape[2])
        return scores, norm[:, 0] <= 1e-6

    def similarity(self, h, mix):
        """Squared differences of similarities, inside slices."""
        rows = self.sim(h)
        if h.dim() == 4:
            spread = h.shape[1] > 3 and h.shape[2] * h.shape[3] > 1
            rows = rows.flatten(2).std(2) if spread else rows.flatten(1)
        pairs = zip(rows.chunk(self.slices), mix.to(rows.dtype).chunk(self.slices))
        return sum((similarities(r) - similarities(t)).square().mean() for r, t in pairs) / self.slices

    def loss(self, h, y1, y2, weight):
        """Mean loss of a training batch, and its scores."""
        scores, dead = self(h)
        mix, smoothing = target_mix(y1, y2, weight, self.classes), self.config['smoothing']
        margin = self.log_scale.exp() * self.config['margin'] if self.kind == 'hff' else 0
        if self.kind != 'hff' or self.config['loss'] == 'softmax':
            target = (1 - smoothing) * mix + smoothing / self.classes
            each = -(target * torch.log_softmax(scores - margin * mix, 1)).sum(1)
        else:
            each = 0
            for y, share in ((y1, weight), (y2, 1 - weight)):
                own = F.one_hot(y, self.classes)
                gap = scores - scores.gather(1, y[:, None]) + margin
                each = each + share * (F.softplus(gap, threshold=1e9) * (1 - own)).sum(1)
        loss, beta = torch.where(dead, each.detach(), each).mean(), self.config['sim']['beta']
        if beta:
            loss = (1 - beta) * loss + beta * self.similarity(h, mix)
        return loss, scores


class Layer(nn.Module):
    """An item linear or conv: one weight layer with its norm, activation and pool."""

    def __init__(self, kind, config, shape):
        super().__init__()
        self.kind, self.config = kind, config
        self.normed = config['norm'] == 'batch'
        if kind == 'linear':
            self.linear = nn.Linear(math.prod(shape), config['units'], bias=not self.normed)
            norm = nn.BatchNorm1d(config['units']) if self.normed else None
            shape = (config['units'],)
        else:
            k, s = config['kernel'], config['stride']
            self.conv = nn.Conv2d(shape[0], config['channels'], k, stride=s, padding=k // 2, bias=not self.normed)
            norm = nn.BatchNorm2d(config['channels']) if self.normed else None
            shape = (config['channels'], (shape[1] - 1) // s + 1, (shape[2] - 1) // s + 1)
            window, step = self.window()
            if window:
                shape = (shape[0], (shape[1] - window) // step + 1, (shape[2] - window) // step + 1)
        if norm:
            self.norm = norm
        self.shape = shape
        self.ends_block = kind == 'linear' or bool(self.window()[0])

    def window(self):
        pool = self.config['pool']
        side = pool['max'] or pool['average']
        return side, pool['stride'] or side

    def forward(self, x):
        y = self.linear(x.flatten(1)) if self.kind == 'linear' else self.conv(x)
        if self.normed:
            y = self.norm(y)
        y = activation(self.config['act'])(y)
        if self.kind == 'conv' and self.window()[0]:
            y = (F.max_pool2d if self.config['pool']['max'] else F.avg_pool2d)(y, *self.window())
        return y


class Block(nn.Module):
    """An item basic_block or bottleneck."""
    normed = ends_block = True

    def __init__(self, kind, config, shape):
        super().__init__()
        self.kind, self.act = kind, activation(config['act'])
        width, s = config['channels'], config['stride']
        out = width * config.get('expansion', 1)
        plan = ([(width, 3, s), (width, 3, 1)] if kind == 'basic_block' else
                [(width, 1, 1), (width, 3, s), (out, 1, 1)])
        channels, self.count = shape[0], len(plan)
        for i, (to, k, step) in enumerate(plan):
            self.add_conv(str(i + 1), channels, to, k, step)
            channels = to
        self.shape = (out, (shape[1] - 1) // s + 1, (shape[2] - 1) // s + 1)
        self.skips = tuple(shape) != self.shape
        if self.skips:
            self.add_conv('_skip', shape[0], out, 1, s)

    def add_conv(self, name, channels, to, kernel, step):
        self.add_module('conv' + name, nn.Conv2d(channels, to, kernel, step, kernel // 2, bias=False))
        self.add_module('norm' + name, nn.BatchNorm2d(to))

    def convolved(self, x, name):
        return getattr(self, 'norm' + name)(getattr(self, 'conv' + name)(x))

    def forward(self, x):
        y = x
        for i in range(self.count):
            y = self.convolved(y if i == 0 else self.act(y), str(i + 1))
        return self.act(y + (self.convolved(x, '_skip') if self.skips else x))


KINDS = {'linear': Layer, 'conv': Layer, 'basic_block': Block, 'bottleneck': Block}


def make_item(item, shape):
    kind = next(k for k in KINDS if k in item)
    return KINDS[kind](kind, item[kind], shape)


class Stage(nn.Module):
    """Items that learn together; their head; what the last one passes on."""

    def __init__(self, items, objective, between, classes, slices, last):
        super().__init__()
        self.items, self.between = list(items), between  # a list, so that names are those below
        for i, item in enumerate(items):
            if len(items) > 1:
                self.add_module(str(i + 1), item)
            else:
                for name, module in item.named_children():
                    self.add_module(name, module)
        self.last, self.shape = last, items[-1].shape
        self.head = Head(objective, self.shape, classes, slices)

    def after(self, item, h):
        """What net.between does behind an item."""
        return unit(h) if self.between == 'l2' or (self.between == 'auto' and not item.normed) else h

    def body(self, x):
        for item in self.items[:-1]:
            x = self.after(item, item(x))
        return self.items[-1](x)

    def passed(self, h):
        """What the next stage receives: no gradient crosses."""
        return (h if self.last else self.after(self.items[-1], h)).detach()


def ends_stage(partition, item, following):
    if following is None or partition == 'layer':
        return True
    return partition == 'block' and (item.ends_block or following.kind != item.kind)


class Net(nn.Module):
    """Stages of a resolved config, for inputs of shape (channels, height, width)."""

    def __init__(self, config, shape, classes):
        super().__init__()
        net = config['net']
        slices = config.get('run', {}).get('slices', 1)
        given = [item for item in net['stages'] for _ in range(item.get('repeat', 1))]
        self.stage, self.given = nn.ModuleDict(), []
        shapes, items = shape, []
        for item in given:
            items.append(make_item(item, shapes))
            shapes = items[-1].shape
        first = 0
        for i, item in enumerate(items):
            if not ends_stage(net.get('partition', 'layer'), item, items[i + 1] if i + 1 < len(items) else None):
                continue
            objective = merged(config['objective'], given[i].get('objective'))
            self.stage[str(len(self.stage) + 1)] = Stage(items[first:i + 1], objective, net['between'], classes, slices,
                                                         i + 1 == len(items))
            self.given.append(given[i])  # of a stage's items the last one's objective and optimizer hold
            first = i + 1

    def stages(self):
        return list(self.stage.values())

    @torch.no_grad()
    def scores(self, x):
        """(stages, batch, classes), with the running statistics."""
        self.eval()
        out = []
        for stage in self.stages():
            h = stage.body(x)
            out.append(stage.head(h)[0])
            x = stage.passed(h)
        return torch.stack(out)

    def losses(self, x, y1, y2=None, weight=None):
        """Training: for each stage its loss, its scores, and what it passes on; running statistics move."""
        self.train()
        y2 = y1 if y2 is None else y2
        weight = torch.ones(len(x), dtype=x.dtype) if weight is None else weight
        out = []
        for stage in self.stages():
            h = stage.body(x)
            x = stage.passed(h)
            out.append((*stage.head.loss(h, y1, y2, weight), x))
        return out

    def tensors(self):
        """All tensors under the names that hff uses."""
        out = {}
        for name, tensor in self.state_dict().items():
            stem, last = name.rsplit('.', 1)
            if last != 'num_batches_tracked':
                out[stem + '.' + RENAMED.get(last, last)] = tensor
        return out

    def load(self, tensors):
        own = self.tensors()
        if set(own) != set(tensors):
            raise SystemExit('tensors differ: ' + ', '.join(sorted(set(own) ^ set(tensors))))
        for name, tensor in own.items():
            if tensor.shape != tensors[name].shape:
                raise SystemExit('%s: the file has another shape, %s' % (name, tuple(tensors[name].shape)))
            tensor.copy_(tensors[name])


def read_tensors(path):
    with safe_open(path, 'pt') as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def read_model(path, dtype):
    """The net of a model file with its weights, its config, and its input's description."""
    tensors, metadata = read_tensors(path)
    config, given = json.loads(metadata['config']), json.loads(metadata['input'])
    shape = given['channels'], given['height'], given['width']
    net = Net(config, shape, len(json.loads(metadata['classes']))).to(dtype)
    net.load(tensors)
    return net, config, given


def read_idx(root, part, kind):
    for dims in (1,) if kind == 'labels' else (3, 4):
        for form in ('%s-%s-idx%d-ubyte', '%s-%s.idx%d-ubyte'):
            for ending, opener in (('', open), ('.gz', gzip.open)):
                path = os.path.join(root, form % (part, kind, dims) + ending)
                if os.path.exists(path):
                    with opener(path, 'rb') as file:
                        data = file.read()
                    shape = np.frombuffer(data, '>u4', data[3], 4)
                    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)
    raise SystemExit('%s: no IDX file %s-%s' % (root, part, kind))


def read_cifar(root, names, label_bytes):
    rows = np.concatenate([np.fromfile(os.path.join(root, n), np.uint8).reshape(-1, label_bytes + 3072) for n in names])
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), rows[:, label_bytes - 1]


def read_data(config, split, root=None):
    """Images (N, C, H, W) uint8 and labels of a split ("train" or "test") in file order, after data.limit."""
    data = config['data']
    source = data['source']
    if split == 'train' and data['holdout'] > 0:
        raise SystemExit('data.holdout is not zero: the hold-out is drawn at random, and only hff knows how')
    root = root or os.path.expanduser(os.path.expandvars(data['root']))
    train = split == 'train'
    if source == 'idx':
        part = 'train' if train else 't10k'
        images, labels = read_idx(root, part, 'images'), read_idx(root, part, 'labels')
        images = images[:, None] if images.ndim == 3 else images
    elif source == 'cifar10':
        names = ['data_batch_%d.bin' % i for i in range(1, 6)] if train else ['test_batch.bin']
        images, labels = read_cifar(root, names, 1)
    elif source == 'cifar100':
        images, labels = read_cifar(root, ['train.bin' if train else 'test.bin'], 2)
    else:
        raise SystemExit('data.source %s cannot be read here; it is idx, cifar10 or cifar100' % source)
    limit = data['limit'][split] or len(images)
    return images[:limit], labels[:limit].astype(np.int64)


def normalised(images, given, dtype):
    """As hff: single precision numbers from a table per channel."""
    table = (np.arange(256) / 255.0 - np.array(given['mean'])[:, None]) / np.array(given['std'])[:, None]
    table = table.astype(np.float32)
    return torch.from_numpy(np.stack([table[c][images[:, c]] for c in range(images.shape[1])], 1)).to(dtype)
