"""Does computing a step of the search another way change what the search learns?

Whole searches of the cell space on small labelled pictures, three ways: by torch's own operations, one network after
the other, in full precision; by `netwright.supernet.gradients` in full precision; and in half precision. A seed gives
all three the same first weights and batches, and the same random numbers to sample with, so that searches of one seed
part only where the rounding of a loss put two networks into another order. Told are, at four times, the mean largest
probability and entropy of theta and the losses of the sampled networks on the half for theta, mean and standard
deviation over the seeds; and how far two thetas are apart (total variation, mean over the variables): of two ways with
one seed, and of one way with two seeds.

    python benchmarks/supernet_theta.py FOLDER [--steps 600] [--seeds 4] [--size 16]

FOLDER has a folder of pictures for each class.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.steps import Steps, run_steps
from netwright.spaces.cells import CellSpace
from netwright.strategies.ladder import choice_of
from netwright.strategies.natural_gradient import Distribution, NaturalGradient
from netwright.strategies.view import dimensions_of
from netwright.supernet.gradients import add_gradients, losses_of
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.device import half_precision, tensor_channels_last
from netwright.training.lr_schedule import half_cosine
from supernet_precision import pictures
from supernet_step import plain_operation

WAYS = ("straightforward", "ours", "ours_in_half")
TIMES = 4
SPACE = CellSpace(nodes=3, channels=8, normal_cells=1)


@dataclass(frozen=True)
class Moment:
    """theta at a time, and the mean loss on the half for theta since the time before."""

    theta: Distribution
    loss: float


class Search:
    """One search, one way.

    Args:
        way: one of ``WAYS``.
        seed: of weights, batches and samples.
        images: (count, 3, size, size), with labels (count,).
    """

    def __init__(self, way: str, seed: int, images: Tensor, labels: Tensor) -> None:
        torch.manual_seed(seed)
        self.way, self.seed = way, seed
        size = images.shape[-1]
        names = tuple(map(str, range(int(labels.max()) + 1)))
        self.supernet = SPACE.supernet(ClassificationTask(3, names, (size, size))).train()
        self.plain = nn.ModuleDict(
            {key: plain_operation(module) for key, module in self.supernet.operations.items()}
        )
        self.optimizer = torch.optim.SGD(
            self.supernet.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4
        )
        self.half = half_precision(torch.device("cpu")) if way == "ours_in_half" else None
        order = np.random.default_rng(seed).permutation(len(images))
        self.images, self.labels = images, labels
        self.halves = np.array_split(order, 2)

    def run(self, steps: int, batch: int) -> list[Moment]:
        """What it is at each of the times."""
        start = NaturalGradient().init(dimensions_of(SPACE.distributions()))
        theta = start.distribution
        moments: list[Moment] = []
        recent: list[float] = []
        for step in range(steps):
            rng = np.random.default_rng((self.seed, step))
            levels = [theta.sample(rng) for _ in range(2)]
            pair = [self.supernet.steps(choice_of(start.ladders, sample)) for sample in levels]
            for_weights, for_theta = (self._batch(half, rng, batch) for half in self.halves)
            self.optimizer.param_groups[0]["lr"] = 0.025 * half_cosine(step / steps)
            self.optimizer.zero_grad()
            self._train(pair, *for_weights)
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), 5)
            self.optimizer.step()
            found = self._losses(pair, *for_theta)
            theta = theta.updated(np.array(levels), np.array(found))
            recent += found
            if TIMES * (step + 1) // steps > len(moments):
                moments.append(Moment(theta, float(np.mean(recent))))
                recent = []
        return moments

    def _batch(self, half: NDArray[np.int64], rng: np.random.Generator, batch: int) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rng.choice(half, batch, replace=False))
        return self.images[chosen], self.labels[chosen]

    def _train(self, pair: list[Steps], images: Tensor, labels: Tensor) -> None:
        if self.way != "straightforward":
            add_gradients(
                self.supernet, pair, tensor_channels_last(images), labels, F.cross_entropy, self.half
            )
            return
        for steps in pair:
            (F.cross_entropy(self._plain_output(steps, images), labels) / 2).backward()

    def _losses(self, pair: list[Steps], images: Tensor, labels: Tensor) -> list[float]:
        if self.way != "straightforward":
            return losses_of(
                self.supernet, pair, tensor_channels_last(images), labels, F.cross_entropy, self.half
            )
        with torch.inference_mode():
            return [F.cross_entropy(self._plain_output(steps, images), labels).item() for steps in pair]

    def _plain_output(self, steps: Steps, images: Tensor) -> Tensor:
        return run_steps(self.plain, steps, images, [len(steps) - 1])[0]


def distance(one: Distribution, other: Distribution) -> float:
    """Total variation, mean over the variables: 0 where equal, 1 where nothing is in common."""
    return float(abs(one.theta - other.theta).sum()) / 2 / len(one.sizes)


def main() -> None:
    """Prints the paths and their distances."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images, labels = pictures(arguments.folder, arguments.size, arguments.each)
    found: dict[str, list[list[Moment]]] = {way: [] for way in WAYS}
    for seed in range(arguments.seeds):
        for way in WAYS:
            search = Search(way, seed, images, labels)
            found[way].append(search.run(arguments.steps, arguments.batch))
            print(f"seed {seed}, {way}: done", flush=True)
    for time in range(TIMES):
        print(f"after {math.ceil(arguments.steps * (time + 1) / TIMES)} steps")
        report({way: [moments[time] for moments in found[way]] for way in WAYS})


def report(found: dict[str, list[Moment]]) -> None:
    """Each way at one time, seed by seed, and what is between them."""
    for way, moments in found.items():
        print(
            f"  {way:16} largest probability {spread([m.theta.certainty() for m in moments])}, "
            f"entropy {spread([m.theta.entropy() for m in moments])}, "
            f"loss {spread([m.loss for m in moments])}"
        )
    for one, other in combinations(WAYS, 2):
        apart = [distance(a.theta, b.theta) for a, b in zip(found[one], found[other], strict=True)]
        print(f"  apart, one seed: {one} and {other} {spread(apart)}")
    for way, moments in found.items():
        apart = [distance(a.theta, b.theta) for a, b in combinations(moments, 2)]
        print(f"  apart, two seeds: {way} {spread(apart)}")


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    main()
