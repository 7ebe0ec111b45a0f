"""Trains networks for a few steps and writes predicted and measured memory as JSON; run by test_cost.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from netwright.evaluation.cost import dice_cross_entropy, dry_run
from netwright.evaluation.memory import measured_memory
from netwright.spaces import SPACES
from netwright.spaces.references import REFERENCES


@dataclass(frozen=True)
class Shape:
    channels: int
    classes: int
    size: tuple[int, ...]


def train(build: Callable[[Shape], nn.Module], task: Shape, batch_size: int, mixed_precision: bool) -> None:
    network = build(task)
    optimizer = torch.optim.NAdam(network.parameters(), lr=1e-3)
    for _ in range(2):
        images = torch.rand(batch_size, task.channels, *task.size)
        labels = torch.randint(0, task.classes, (batch_size, *task.size))
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed_precision):
            loss = dice_cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()


def main(network: dict[str, Any]) -> dict[str, float | None]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    task = Shape(1, network.get("classes", 3), tuple(network.get("size", (32, 40, 32))))
    batch_size, mixed_precision = network.get("batch_size", 3), network.get("mixed_precision", False)

    def build(shape: Shape) -> nn.Module:
        if "reference" in network:
            return REFERENCES[network["reference"]].build(shape)
        return SPACES["segnas4"]().build(network["choice"], shape)

    # The first step loads libraries, which is not the network's memory.
    train(build, Shape(1, task.classes, (16, 16, 16)), 1, mixed_precision)
    with measured_memory() as memory:
        train(build, task, batch_size, mixed_precision)
    cost = dry_run(build, task, batch_size, mixed_precision=mixed_precision)
    return {"predicted_mb": cost.predicted_memory_mb, "measured_mb": memory.peak_mb}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([main(network) for network in json.loads(sys.argv[1])]))
