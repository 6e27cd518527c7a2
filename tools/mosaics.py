#!/usr/bin/env python3
"""CIFAR-10 as a few pictures, for machines to which little can be carried: 102 MB instead of 184, in pieces of 17.

    python3 mosaics.py pack ROOT DIR        ROOT/cifar-10-batches-bin/*.bin to DIR/*.webp and DIR/labels.bin
    python3 mosaics.py unpack DIR ROOT      and back, byte for byte; batches whose picture is not in DIR are left out

A picture is a lossless WebP of 100 x 100 tiles of 32 x 32, the records of one file from left to right and top to bottom;
labels.bin holds the labels of all 60,000. Needs numpy and pillow.
"""
import os
import sys

import numpy as np
from PIL import Image

BATCHES = ['data_batch_%d' % i for i in range(1, 6)] + ['test_batch']
COUNT, SIDE, ACROSS = 10000, 32, 100


def write(path, data):
    """Under its name only when it is complete."""
    with open(path + '.part', 'wb') as out:
        out.write(data)
    os.replace(path + '.part', path)


def pack(root, folder):
    os.makedirs(folder, exist_ok=True)
    labels = []
    for name in BATCHES:
        records = np.fromfile(os.path.join(root, 'cifar-10-batches-bin', name + '.bin'), np.uint8).reshape(COUNT, 3 * SIDE * SIDE + 1)
        labels.append(records[:, 0])
        tiles = records[:, 1:].reshape(ACROSS, ACROSS, 3, SIDE, SIDE)
        picture = Image.fromarray(np.ascontiguousarray(tiles.transpose(0, 3, 1, 4, 2)).reshape(ACROSS * SIDE, ACROSS * SIDE, 3))
        picture.save(os.path.join(folder, name + '.webp'), lossless=True, quality=100, method=6)
    write(os.path.join(folder, 'labels.bin'), np.concatenate(labels).tobytes())


def unpack(folder, root):
    labels = np.fromfile(os.path.join(folder, 'labels.bin'), np.uint8).reshape(len(BATCHES), COUNT)
    out = os.path.join(root, 'cifar-10-batches-bin')
    os.makedirs(out, exist_ok=True)
    for own, name in zip(labels, BATCHES):
        picture, path = os.path.join(folder, name + '.webp'), os.path.join(out, name + '.bin')
        if os.path.exists(path) or not os.path.exists(picture):
            continue
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert('RGB'))
        tiles = pixels.reshape(ACROSS, SIDE, ACROSS, SIDE, 3).transpose(0, 2, 4, 1, 3).reshape(COUNT, -1)
        write(path, np.concatenate([own[:, None], tiles], 1).tobytes())
    left = [name for name in BATCHES if not os.path.exists(os.path.join(out, name + '.bin'))]
    print('%s: complete' % out if not left else '%s: still without %s' % (out, ', '.join(left)))


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ('pack', 'unpack'):
        sys.exit(__doc__)
    (pack if sys.argv[1] == 'pack' else unpack)(*sys.argv[2:])


if __name__ == '__main__':
    main()
