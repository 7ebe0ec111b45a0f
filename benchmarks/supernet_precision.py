"""Does half precision bend the search inside one training?

A search of the cell space on small labelled pictures, in half precision throughout: weights, losses, theta. Beside it,
with the same weights, pairs and batches, the losses in full precision. Counted is how often both say the same of which
network is the better one, and, for comparison, how often full precision says the same on two different batches.

    python benchmarks/supernet_precision.py FOLDER [--steps 300] [--size 16]

FOLDER has a folder of pictures for each class.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from netwright.spaces.cells import CellSpace
from netwright.strategies.ladder import choice_of
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.view import dimensions_of
from netwright.supernet.gradients import add_gradients, losses_of
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.device import half_precision, tensor_channels_last


def pictures(folder: Path, size: int, each: int) -> tuple[Tensor, Tensor]:
    """As many of each class, (count, 3, size, size), and their labels."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    for label, kind in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in sorted(kind.iterdir())[:each]:
            picture = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BOX)
            images.append(np.asarray(picture, np.float32) / 255)
            labels.append(label)
    found = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return (found - found.mean((0, 2, 3), keepdim=True)) / found.std(), torch.tensor(labels)


def main() -> None:
    """Prints the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    images, labels = pictures(arguments.folder, arguments.size, arguments.each)
    task = ClassificationTask(3, tuple(map(str, range(10))), (arguments.size, arguments.size))
    space = CellSpace(channels=16, normal_cells=2)
    supernet = space.supernet(task).train()
    start = NaturalGradient().init(dimensions_of(space.distributions()))
    theta = start.distribution
    half = half_precision(torch.device("cpu")) or torch.bfloat16
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rng.integers(len(images), size=arguments.batch))
        return tensor_channels_last(images[chosen]), labels[chosen]

    found: list[tuple[float, float, float, float]] = []
    for step in range(1, arguments.steps + 1):
        levels = [theta.sample(rng) for _ in range(2)]
        pair = [supernet.steps(choice_of(start.ladders, sample)) for sample in levels]
        optimizer.zero_grad()
        trained = add_gradients(supernet, pair, *batch(), F.cross_entropy, half)
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), 5)
        optimizer.step()
        first, second = batch(), batch()
        losses = losses_of(supernet, pair, *first, F.cross_entropy, half)
        exact = losses_of(supernet, pair, *first, F.cross_entropy)
        other = losses_of(supernet, pair, *second, F.cross_entropy)
        differences = (np.subtract(*pairs) for pairs in (losses, exact, other))
        found.append((*differences, float(np.mean(trained))))
        theta = theta.updated(np.array(levels), np.array(losses))
        if step % 50 == 0 or step == arguments.steps:
            report(step, np.array(found[-50:]))
    print("all steps:")
    report(arguments.steps, np.array(found))


def report(step: int, found: np.ndarray) -> None:
    """Of some steps: the loss in training, differences within pairs, and the shares."""
    fast, exact, other, losses = found.T
    print(
        f"step {step:4}: loss {losses.mean():.3f}, a pair differs by {np.median(abs(exact)):.4f}, "
        f"by half precision that changes by {np.median(abs(fast - exact)):.4f}; same order "
        f"{np.mean(np.sign(fast) == np.sign(exact)):.3f}, on another batch "
        f"{np.mean(np.sign(other) == np.sign(exact)):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
