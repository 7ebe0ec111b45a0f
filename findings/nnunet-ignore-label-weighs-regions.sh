#!/usr/bin/env bash
# nnunetv2 2.8.1, the loss of region-based training (Dice and binary cross-entropy), with and without an ignore label.
#
# Without an ignore label the binary cross-entropy is the mean over voxels and regions. With one, the sum over voxels
# and regions is divided by the number of labelled voxels alone, so it is as many times as large as there are regions,
# beside the same Dice. No voxel needs to be ignored: to name the label in dataset.json is enough. Nothing warns.
#
# One would guess that a label which no voxel has changes nothing, as it is with labels in place of regions.
#
# Seen:
#   3 regions: without 0.81, with 2.42, 3.00 times as much
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$home/venv/bin/pip" install --quiet --no-deps nnunetv2==2.8.1 # its losses need torch and numpy alone
cd "$home"
cat > regions.py <<'PYTHON'
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss

torch.manual_seed(0)
for regions in (2, 3, 5):
    logits = torch.randn(2, regions, 12, 12, 12)
    truth = (torch.rand(logits.shape) < 0.3).float()
    ignored = torch.zeros(2, 1, 12, 12, 12)  # no voxel

    def loss(dice, cross_entropy, named):
        settings = {"batch_dice": True, "do_bg": True, "smooth": 1e-5, "ddp": False}  # as nnUNetTrainer has them
        function = DC_and_BCE_loss({}, settings, cross_entropy, dice, use_ignore_label=named)
        return function(logits, torch.cat([truth, ignored], 1) if named else truth).item()

    without, with_label = loss(0, 1, named=False), loss(0, 1, named=True)
    ratio = with_label / without
    print(f"{regions} regions: without {without:.2f}, with {with_label:.2f}, {ratio:.2f} times as much")
    assert abs(ratio - regions) < 1e-3
    assert abs(loss(1, 0, named=False) - loss(1, 0, named=True)) < 1e-6  # Dice stays
PYTHON
"$home/venv/bin/python" regions.py
