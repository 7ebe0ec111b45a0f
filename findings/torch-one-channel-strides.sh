#!/usr/bin/env bash
# torch 2.13.0 (CPU, float32, two threads), 3D convolutions of one pixel over images of one channel, as CT and MR volumes have.
#
# A network in channels-last format gives features in that format, except a convolution with a kernel of one pixel over
# images of one channel (a residual block's shortcut of the input, say): its features are stored channels first. Images
# and weights of one channel are stored alike in both formats, both formats' tests are true of them, and what the
# convolution goes by are the strides of the channel axis, of length 1. `images.contiguous(memory_format=...)` leaves
# these as they are; `images.to(memory_format=...)` sets them, and the features are channels last.
#
# One would guess that `contiguous` and `to` with the same memory format do the same, that the strides of an axis of
# length 1 matter to nobody, and that an image of which `is_contiguous(memory_format=...)` is true is taken as such.
#
# Seen, for images of one channel:
#   contiguous: is channels last True, kernel 1 gives channels first, kernel 3 gives channels last
#   to:         is channels last True, kernel 1 gives channels last, kernel 3 gives channels last
# and for images of two channels, channels last in all four.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cd "$home"
cat > strides.py <<'PYTHON'
import torch
from torch import nn

LAST = torch.channels_last_3d
torch.manual_seed(0)
torch.set_num_threads(2)
seen = {}
for channels in (1, 2):
    made = torch.randn(2, channels, 6, 7, 8)
    for way, images in (
        ("contiguous", made.contiguous(memory_format=LAST)),
        ("to", made.to(memory_format=LAST)),
    ):
        assert images.is_contiguous(memory_format=LAST)
        for kernel in (1, 3):
            layer = nn.Conv3d(channels, 8, kernel, padding=kernel // 2).to(memory_format=LAST)
            stored = "last" if layer(images).is_contiguous(memory_format=LAST) else "first"
            seen[channels, way, kernel] = stored
            print(f"{channels} channels, {way}, kernel {kernel}: features are channels {stored}")
first = [case for case, stored in seen.items() if stored == "first"]
assert first == [(1, "contiguous", 1)], first
PYTHON
"$home/venv/bin/python" strides.py
