"""What does netwright's training loop cost beside a bare PyTorch loop over the same network and tensors?

Both train copies of one network (SegNAS4's starting choice by default) with the same loss, optimizer,
precision and memory format, and take turns, epoch by epoch, so that a change of the machine's speed meets
both. The bare loop's batches lie ready in memory; ours are read, stacked and recorded as in a search, without
validation. The second line adds the augmentation, which the bare loop does not have.

    python benchmarks/training_loop.py [--size 40 56 40] [--cases 24] [--epochs 6] [--filters 8] [--poolings
    3]
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from netwright.data.loading.augmentation import AugmentationSettings
from netwright.data.loading.batches import Batches
from netwright.nn.losses import label_weights
from netwright.spaces import SPACES
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.device import half_precision, resolve_device, tensor_channels_last, to_channels_last
from netwright.training.history import EpochRecord
from netwright.training.loop import train
from netwright.training.losses import loss_of


class Noise:
    """A dataset in memory: noise as images, boxes as labels."""

    channels = 1
    spacing = (1.0, 1.0, 1.0)

    def __init__(self, cases: int, size: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self._images = rng.normal(size=(cases, 1, *size)).astype(np.float32)
        self._labels = np.zeros((cases, *size), np.uint8)
        x, y, z = size
        self._labels[:, x // 4 : x // 2, y // 4 : y // 2, z // 4 : z // 2] = 1
        self._labels[:, x // 2 : 3 * x // 4, y // 4 : y // 2, z // 4 : z // 2] = 2

    def image(self, index: int) -> np.ndarray:
        return self._images[index]

    def label(self, index: int) -> np.ndarray:
        return self._labels[index]

    def class_counts_of(self, indices: object) -> np.ndarray:
        return np.bincount(self._labels.ravel(), minlength=3)


def bare_loop(
    network: nn.Module,
    batches: list[tuple[Tensor, Tensor]],
    task: SegmentationTask,
    protocol: TrainingProtocol,
) -> Callable:
    """One epoch a call, as one would write it in a notebook; returns its seconds."""
    device = resolve_device(protocol.device)
    to_channels_last(network.to(device))
    batches = [(tensor_channels_last(images), labels) for images, labels in batches]
    half = half_precision(device)
    optimizer = torch.optim.NAdam(network.parameters(), lr=protocol.learning_rate)
    weights = label_weights(
        np.bincount(torch.cat([labels.flatten() for _, labels in batches]).cpu(), minlength=3)
    )
    loss_function = loss_of(protocol, task, weights.to(device))

    def epoch() -> float:
        begun = time.perf_counter()
        network.train()
        total = 0.0
        for images, labels in batches:
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=half, enabled=half is not None):
                logits = network(images)
            loss = loss_function(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return time.perf_counter() - begun

    return epoch


def compare(
    arguments: argparse.Namespace, augmentation: AugmentationSettings | None
) -> tuple[float, float, float]:
    """Ratio of the epochs' times, and the seconds of a step of ours and of the bare loop: medians."""
    size = tuple(arguments.size)
    task = SegmentationTask(1, ("a", "b"), size)
    space = SPACES["segnas4"]()
    choice = {**space.starting_choice(), "n": arguments.filters, "p": arguments.poolings}
    torch.manual_seed(0)
    network = space.build(choice, task)
    data = Noise(arguments.cases, size)
    protocol = TrainingProtocol(
        epochs=arguments.epochs + 1, augmentation=augmentation, threads=arguments.threads
    )
    cases = range(arguments.cases)
    device = resolve_device(protocol.device)
    ready = list(Batches(data, cases, size, 3, device=device, generator=torch.Generator().manual_seed(0)))
    bare = bare_loop(copy.deepcopy(network), ready, task, protocol)
    ours: list[float] = []
    theirs: list[float] = []
    begun = 0.0

    def take_turns(record: EpochRecord) -> None:
        nonlocal begun
        ours.append(time.perf_counter() - begun)
        deterministic = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        theirs.append(bare())
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        begun = time.perf_counter()

    begun = time.perf_counter()
    train(network, VolumeProblem(data, task), cases, (), protocol, seed=0, on_epoch=take_turns)
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    return median(ratios), median(ours[1:]) / len(ready), median(theirs[1:]) / len(ready)


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=3, default=(40, 56, 40))
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--poolings", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for title, augmentation in (("training loop", None), ("with augmentation", AugmentationSettings())):
        ratio, ours, bare = compare(arguments, augmentation)
        print(f"{title:18} ratio {ratio:.3f}   {1e3 * ours:.0f} ms a step, bare loop {1e3 * bare:.0f} ms")


if __name__ == "__main__":
    main()
