"""Trains networks for a few steps and writes predicted and measured memory as JSON; run by test_cost.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

from netwright.spaces import SPACES
from netwright.spaces.references import REFERENCES
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from netwright.training.losses import loss_of
from netwright.training.memory import measured_memory
from netwright.training.problem import NetworkTask
from netwright.training.step import TrainingStep
from netwright.training.trial import predicted_cost

# The holes of a heap are chance: of 120 trainings of these networks, in AVX512 and in AVX2, single ones took a
# third more than predicted. The medians of three were from 0.83 to 1.2 of the prediction.
REPEATS = 3


def train(network: nn.Module, task: NetworkTask, protocol: TrainingProtocol) -> None:
    """Three steps, as the first one has no optimizer state yet."""
    step = TrainingStep(
        network, protocol, torch.device("cpu"), loss_of(protocol, task, torch.ones(task.classes)), 3
    )
    step.train_mode()
    for _ in range(3):
        images = torch.rand(protocol.batch_size, task.channels, *task.size)
        labels = torch.randint(0, task.classes, (protocol.batch_size, *task.label_size))
        step(images, labels, 1)


def measured(
    build: Callable[[NetworkTask], nn.Module], task: NetworkTask, protocol: TrainingProtocol
) -> float:
    """The peak memory in MB of training a new network."""
    with measured_memory() as memory:
        train(build(task), task, protocol)
    assert memory.peak_mb is not None
    return memory.peak_mb


def main(case: dict[str, Any]) -> dict[str, float | None]:
    """Predicted and measured MB of a network, its task and its protocol. The measured one is a median."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    names = tuple(f"label {index}" for index in range(1, case.get("classes", 3)))
    size = tuple(case.get("size", (32, 40, 32)))
    classify = case.get("classify", False)
    task: NetworkTask = ClassificationTask(1, names, size) if classify else SegmentationTask(1, names, size)
    protocol = TrainingProtocol(device="cpu", **case.get("protocol", {}))

    def build(task: NetworkTask) -> nn.Module:
        if "layerwise" in case:
            space = SPACES[case["layerwise"]](channels=1, classes=task.classes, size=size)
            return space.build(space.original_choice(), task)
        if "reference" in case:
            return REFERENCES[case["reference"]].build(task)
        return SPACES[case.get("space", "segnas4")]().build(case["choice"], task)

    # The first steps load libraries, which is not the network's memory.
    if len(size) == 3:
        small = SegmentationTask(1, names, (16, 16, 16))
        train(build(small), small, protocol)
    peak = median(measured(build, task, protocol) for _ in range(REPEATS))
    return {"predicted_mb": predicted_cost(build, task, protocol).predicted_memory_mb, "measured_mb": peak}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([main(case) for case in json.loads(sys.argv[1])]))
