"""A strong PyTorch twin of an hff net, for the CPU and for a GPU: what torch_hff.py times.

The same net, loss and optimizer, written the way PyTorch is quickest: channels_last, one backward pass over the sum of
the stages' losses (each stage reads a detached input), the pooled 1x1 AuxConv first pooled and then convolved, one fused
optimizer over all parameters, retraction of the prototypes (compiled on a GPU), bf16 by autocast with f32 masters. On a GPU
the images stay there as bytes, and gather, crop, flip and normalisation are done there.
"""
import time

import numpy as np
import torch
import torch.nn.functional as F

from torch_model import Net, activation

# How a step is run. whole: the step is captured into one CUDA graph, which is replayed.
KINDS = {
    'eager': {'compiled': False, 'whole': False},
    'compiled': {'compiled': True, 'whole': False},
    'eager_graph': {'compiled': False, 'whole': True},
    'compiled_graph': {'compiled': True, 'whole': True},
}


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
        own = y[:, None] == torch.arange(s.shape[1], device=s.device)  # F.one_hot would look at y from the host
        s = s - head.log_scale.exp() * head.config['margin'] * own
    return F.cross_entropy(s, y, label_smoothing=head.config['smoothing'])


def gather(pixels, labels, sample, top, left, flipped, factor, offset, size, dtype):
    """A batch (B, C, H, W), channels last, from padded pixels (N, H + 2 pad, W + 2 pad, C): crop, flip and normalise."""
    rows = top[:, None] + torch.arange(size[0], device=pixels.device)
    column = torch.arange(size[1], device=pixels.device)
    columns = left[:, None] + torch.where(flipped[:, None], size[1] - 1 - column, column)
    x = pixels[sample[:, None, None], rows[:, :, None], columns[:, None, :]]
    return (x * factor + offset).to(dtype).permute(0, 3, 1, 2), labels[sample]


class Images:
    """Random training images and labels that stay on the device, and batches drawn from them in a random order."""

    def __init__(self, config, shape, classes, count, device):
        channels, *self.size = shape
        self.batch, self.pad, self.flip = config['run']['batch'], 0, False
        mode = 'constant'
        for change in config['data'].get('augment') or []:
            name = change if isinstance(change, str) else next(iter(change))
            if name == 'crop':
                self.pad = change[name]['pad']
                mode = 'reflect' if change[name]['mode'] == 'reflect' else 'constant'
            elif name == 'flip':
                self.flip = True
            else:
                raise SystemExit('the twin augments by crop and flip; %s it does not know' % name)
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (count, *self.size, channels), np.uint8)
        around = ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0))
        self.pixels = torch.from_numpy(np.pad(pixels, around, mode)).to(device)
        self.labels = torch.from_numpy(random.integers(0, classes, count)).to(device)
        self.order = torch.randperm(count, device=device)
        self.first = torch.zeros(1, dtype=torch.int64, device=device)
        self.lane = torch.arange(self.batch, device=device)
        deviation = torch.full((channels,), 0.25, device=device)
        self.factor, self.offset = 1 / (255 * deviation), -0.5 / deviation

    def bytes(self):
        return sum(t.nbytes for t in (self.pixels, self.labels, self.order))

    def next(self, dtype, gather):
        device = self.pixels.device
        sample = self.order[(self.first + self.lane) % len(self.order)]
        self.first += self.batch
        top, left = torch.randint(0, 2 * self.pad + 1, (2, self.batch), device=device)
        flipped = torch.rand(self.batch, device=device) < (0.5 if self.flip else 0)
        return gather(self.pixels, self.labels, sample, top, left, flipped, self.factor, self.offset, self.size, dtype)


def make_optimizer(config, net, device):
    o, named = config['optimizer'], list(net.named_parameters())
    decays = [n.endswith('weight') and '.norm.' not in n for n, _ in named]
    groups = [{'params': [p for (_, p), d in zip(named, decays) if d], 'weight_decay': o['weight_decay']},
              {'params': [p for (_, p), d in zip(named, decays) if not d and p.requires_grad], 'weight_decay': 0}]
    cuda = device == 'cuda'
    if o['kind'] == 'adamw':
        return torch.optim.AdamW(groups, lr=o['lr'], betas=(o['beta1'], o['beta2']), eps=o['eps'], fused=True, capturable=cuda)
    return torch.optim.SGD(groups, lr=o['lr'], momentum=o['momentum'], nesterov=o['nesterov'], fused=cuda, foreach=not cuda)


class Twin:
    """kind: a key of KINDS. mode: torch.compile's. images: a step begins with drawing its batch from these, else one
    batch lies ready."""

    def __init__(self, config, shape, classes, dtype, device='cpu', kind='eager', mode='default', images=None):
        how = KINDS[kind]
        torch.manual_seed(0)
        self.device, self.cast, self.images = device, dtype == 'bf16', images
        self.net = Net(config, shape, classes).to(device).to(memory_format=torch.channels_last).train()
        self.element = torch.bfloat16 if self.cast and device == 'cuda' else torch.float32
        self.gather = torch.compile(gather) if how['compiled'] else gather
        if not images:
            batch = config['run']['batch']
            self.x = torch.randn(batch, *shape).to(device, self.element).to(memory_format=torch.channels_last)
            self.y = torch.randint(0, classes, (batch,)).to(device)
        self.optimizer = make_optimizer(config, self.net, device)
        self.prototypes = [s.head.prototypes for s in self.net.stages()]
        self.compiled, self.graph, self.last = how['compiled'], None, None
        self.loss = torch.compile(self.losses, mode=mode) if how['compiled'] else self.losses
        self.retract = torch.compile(self.retracted) if how['compiled'] and device == 'cuda' else self.retracted
        if how['whole']:
            self.capture()

    def losses(self, x, y):
        total = 0
        for stage in self.net.stages():
            h = stage.body(x)
            total = total + fast_loss(stage.head, h, y)
            x = stage.passed(h)
        return total

    @torch.no_grad()
    def retracted(self):
        for p in self.prototypes:
            p.div_(p.norm(dim=-1, keepdim=True))

    def learn(self):
        """Draws a batch where that is part of the step; forward, backward, update. Gradients stay."""
        x, y = self.images.next(self.element, self.gather) if self.images else (self.x, self.y)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.cast):
            loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        self.retract()
        return loss.detach()

    def step(self):
        if self.graph:
            self.graph.replay()
            return
        if self.compiled and self.device == 'cuda':
            torch.compiler.cudagraph_mark_step_begin()
        self.last = self.learn()
        self.optimizer.zero_grad(set_to_none=True)

    def capture(self):
        """The whole step as one graph; gradients are made inside, so that a replay writes them and adds nothing."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.last = self.learn()
        self.graph = graph

    def wait(self):
        if self.device == 'cuda':
            torch.cuda.synchronize()

    def first_loss(self):
        """Of the next step, which is taken."""
        self.step()
        return float(self.last)

    def time(self, steps):
        """Milliseconds of each step; on a GPU by events around all of them, so one number."""
        if self.device == 'cuda':
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(steps):
                self.step()
            end.record()
            end.synchronize()
            return [begin.elapsed_time(end) / steps]
        out = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            out.append(1e3 * (time.perf_counter() - start))
        return out

    def convolution_share(self, steps=3):
        """Of the time of all kernels (on the CPU: of all operators), what convolutions take."""
        from torch.profiler import DeviceType, ProfilerActivity, profile
        cuda = self.device == 'cuda'
        with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as profiled:
            for _ in range(steps):
                self.step()
            self.wait()
        events = profiled.key_averages()
        own = (lambda e: e.self_device_time_total) if cuda else (lambda e: e.self_cpu_time_total)
        every = sum(own(e) for e in events if not cuda or e.device_type == DeviceType.CUDA and not getattr(e, 'is_user_annotation', False))
        convolutions = sum(own(e) for e in events if e.device_type == DeviceType.CPU and 'conv' in e.key.lower())
        return convolutions / every if every else None
