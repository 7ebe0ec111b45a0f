#!/usr/bin/env bash
# torch 2.13.0 (CPU), normalisation of features in channels-last format.
#
# Batch and group normalisation give features in the format that they get. Instance normalisation, the usual one of
# networks for medical volumes, gives features stored channels first, in float32 and in bfloat16, with and without
# weights. The network goes on in that format until a convolution stores its output anew, and a residual sum in between
# adds tensors of two formats. Nothing warns.
#
# One would guess that all normalisations keep the format, as a network that was moved by
# `network.to(memory_format=torch.channels_last_3d)` is meant to stay in it.
#
# Seen:
#   batch_norm: channels last; group_norm: channels last; instance_norm: channels first
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cd "$home"
cat > normalised.py <<'PYTHON'
import torch
from torch import nn

for axes, last in ((2, torch.channels_last), (3, torch.channels_last_3d)):
    layers = {
        "batch_norm": (nn.BatchNorm2d, nn.BatchNorm3d)[axes - 2](8),
        "group_norm": nn.GroupNorm(4, 8),
        "instance_norm": (nn.InstanceNorm2d, nn.InstanceNorm3d)[axes - 2](8),
        "instance_norm with weights": (nn.InstanceNorm2d, nn.InstanceNorm3d)[axes - 2](8, affine=True),
    }
    for dtype in (torch.float32, torch.bfloat16):
        features = torch.randn(2, 8, *(6, 7, 8)[:axes]).to(dtype).contiguous(memory_format=last)
        for name, layer in layers.items():
            kept = layer.to(dtype)(features).is_contiguous(memory_format=last)
            print(f"{axes} axes, {dtype}, {name}: channels {'last' if kept else 'first'}")
            assert kept == (not name.startswith("instance_norm")), name
PYTHON
"$home/venv/bin/python" normalised.py
