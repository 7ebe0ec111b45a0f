#!/usr/bin/env bash
# schedulefree 1.4.1, torch 2.13.0 (CPU), Linux.
#
# optimizer.eval() turns the weights of a schedule-free optimizer into their average, in place, and optimizer.train()
# computes the weights of the training from the average again. In float32 that is not the way back bit for bit: a
# validation between two steps changes the weights that the training goes on with, by a rounding error each time.
#
# One would guess that eval() and train() only choose which of two kept copies is in the network, as a moving average
# does, so that how often one validates changes nothing of the training. So two runs with one seed differ when they
# validate at different steps, and a training that goes on from a checkpoint differs from one that was not stopped.
#
# Seen:
#   eval() and train() alone: the weights differ, by less than 1e-6
#   the same training with a validation after each step: other weights at the end
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 schedulefree==1.4.1
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import torch
from schedulefree import AdamWScheduleFree

torch.set_num_threads(1)


def trained(validates: bool) -> tuple[torch.nn.Module, AdamWScheduleFree]:
    torch.manual_seed(0)
    network = torch.nn.Linear(64, 64)
    images, labels = torch.randn(32, 64), torch.randn(32, 64)
    optimizer = AdamWScheduleFree(network.parameters(), lr=0.01)
    optimizer.train()
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(images), labels).backward()
        optimizer.step()
        if validates:
            optimizer.eval()
            optimizer.train()
    return network, optimizer


network, optimizer = trained(validates=False)
before = network.weight.detach().clone()
optimizer.eval()
optimizer.train()
largest = float((network.weight.detach() - before).abs().max())
differ = not torch.equal(trained(validates=True)[0].weight, before)
print("eval() and train() alone change the weights by up to", largest)
print("a training that validates ends with other weights:", differ)
assert 0 < largest < 1e-6, largest
assert differ
PYTHON
