"""How near is the memory that netwright predicts for a training step on the CPU to what the step takes?

Each network is trained for two steps, as a candidate is, in a process of its own with the settings of a search's
workers, after a tiny network that loads the libraries. Measured is the growth of the process's resident memory at its
peak; predicted is what a search holds against machine.memory_limit_mb before it trains. A table of both and their
ratio, and the extremes; ends with 1 where a ratio is outside of --within.

    python benchmarks/memory_prediction.py [--only NAME ...] [--largest GB] [--within 0.9 1.25]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from netwright.execution.local import MEMORY_SETTINGS
from netwright.searches.random_choices import draw_choice
from netwright.spaces import SPACES
from netwright.spaces.base import Layered
from netwright.spaces.references import REFERENCES
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from netwright.training.losses import loss_of
from netwright.training.memory import measured_memory
from netwright.training.problem import NetworkTask
from netwright.training.step import TrainingStep
from netwright.training.trial import predicted_cost

STEPS = 2
FULL = {"mixed_precision": False}
HIPPOCAMPUS = (40, 56, 40)
CUBE = (128, 128, 128)


@dataclass(frozen=True)
class Case:
    """A network and how it is trained. ``space`` or ``reference``: its name; ``choice``: "original", "start", a seed of
    a random draw, or values that replace those of the starting choice.
    """

    name: str
    size: tuple[int, ...]
    space: str = ""
    choice: Any = "start"
    reference: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    classes: int = 3
    channels: int = 1
    kind: str = "segmentation"

    def task(self) -> NetworkTask:
        """What the network is for."""
        names = tuple(f"label {number}" for number in range(1, self.classes))
        if self.kind == "inpainting":
            return InpaintingTask(self.channels, self.size)
        if self.kind == "classification":
            return ClassificationTask(self.channels, ("background", *names), self.size)
        return SegmentationTask(self.channels, names, self.size)

    def builder(self) -> Callable[[Any], nn.Module]:
        """Makes the network; the space, which may hold a network, is made here."""
        if self.reference:
            return REFERENCES[self.reference].build
        options = dict(self.options)
        if self.space in ("vgg16", "googlenet", "unet"):
            options |= {"channels": self.channels, "classes": self.classes, "size": self.size}
        space = SPACES[self.space](**options)
        if self.choice == "original":
            assert isinstance(space, Layered)
            return partial(space.build, space.original_choice())
        if isinstance(self.choice, int):
            return partial(
                space.build, draw_choice(space.distributions(), np.random.default_rng(self.choice))
            )
        return partial(
            space.build, {**space.starting_choice(), **({} if self.choice == "start" else self.choice)}
        )


def block(n: int, p: int, **protocol: Any) -> dict[str, Any]:
    """A network of SegNAS4."""
    return {"space": "segnas4", "choice": {"n": n, "p": p, "sup": 1, "res": 1}, "protocol": protocol}


CLASSIFICATION = {"loss": "cross_entropy", "optimizer": "sgd"}
PHOTOS: dict[str, Any] = {"channels": 3, "kind": "classification", "classes": 10}
CELLS = {"loss": "cross_entropy", "optimizer": "sgd", "weight_decay": 3e-4, "batch_size": 80}
CASES = (
    Case("SegNAS4 n=8 p=2", HIPPOCAMPUS, **block(8, 2)),
    Case("SegNAS4 n=8 p=4, full precision", HIPPOCAMPUS, **block(8, 4, **FULL)),
    Case("SegNAS4 n=16 p=3", HIPPOCAMPUS, **block(16, 3)),
    Case("SegNAS4 n=32 p=3", HIPPOCAMPUS, **block(32, 3)),
    Case("SegNAS4 n=32 p=3, full precision", HIPPOCAMPUS, **block(32, 3, **FULL)),
    Case("SegNAS4 n=48 p=3, 20 classes", HIPPOCAMPUS, **block(48, 3, batch_size=1), classes=20),
    Case("SegNAS11, drawn 1", HIPPOCAMPUS, "segnas11", 1),
    Case("SegNAS11, drawn 2", HIPPOCAMPUS, "segnas11", 14),
    Case("SegNAS11, drawn 3", HIPPOCAMPUS, "segnas11", 3),
    Case("SegNAS7, drawn 4", HIPPOCAMPUS, "segnas7", 4),
    Case("3D U-Net", HIPPOCAMPUS, reference="unet3d"),
    Case("V-Net", HIPPOCAMPUS, reference="vnet", protocol=FULL),
    Case("MONAI UNet 3D", HIPPOCAMPUS, reference="monai-unet"),
    Case("MONAI UNet 3D, 96", (96, 96, 96), reference="monai-unet"),
    Case("SegNAS4 n=4 p=3, 128", CUBE, **block(4, 3, batch_size=1)),
    Case("SegNAS4 n=8 p=4, 128", CUBE, **block(8, 4, batch_size=1)),
    Case("SegNAS4 n=12 p=3, 128, 20 classes", CUBE, **block(12, 3, batch_size=1), classes=20),
    Case("SegNAS11, drawn 5, 128", CUBE, "segnas11", 5, protocol={"batch_size": 1}),
    Case("SegNAS4 n=24 p=4, 128", CUBE, **block(24, 4, batch_size=1)),
    Case("SegNAS4 n=16 p=4, 128, full precision", CUBE, **block(16, 4, batch_size=1, **FULL)),
    Case(
        "VGG-16, 224",
        (224, 224),
        "vgg16",
        "original",
        protocol={**CLASSIFICATION, "batch_size": 16},
        **PHOTOS,
    ),
    Case(
        "VGG-16, 224, 2 images",
        (224, 224),
        "vgg16",
        "original",
        protocol={**CLASSIFICATION, "batch_size": 2},
        **PHOTOS,
    ),
    Case(
        "VGG-16, 224, full precision",
        (224, 224),
        "vgg16",
        "original",
        protocol={**CLASSIFICATION, "batch_size": 8, **FULL},
        **PHOTOS,
    ),
    Case(
        "VGG-16, 224, drawn 6",
        (224, 224),
        "vgg16",
        6,
        protocol={**CLASSIFICATION, "batch_size": 16},
        **PHOTOS,
    ),
    Case(
        "VGG-16, 32", (32, 32), "vgg16", "original", protocol={**CLASSIFICATION, "batch_size": 128}, **PHOTOS
    ),
    Case(
        "VGG-16, 32, drawn 7", (32, 32), "vgg16", 7, protocol={**CLASSIFICATION, "batch_size": 128}, **PHOTOS
    ),
    Case(
        "GoogLeNet, 224",
        (224, 224),
        "googlenet",
        "original",
        protocol={**CLASSIFICATION, "batch_size": 16},
        **PHOTOS,
    ),
    Case(
        "GoogLeNet, 32",
        (32, 32),
        "googlenet",
        "original",
        protocol={**CLASSIFICATION, "batch_size": 32},
        **PHOTOS,
    ),
    Case(
        "GoogLeNet, 64, drawn 8",
        (64, 64),
        "googlenet",
        8,
        protocol={**CLASSIFICATION, "batch_size": 32},
        **PHOTOS,
    ),
    Case(
        "U-Net, 128",
        (128, 128),
        "unet",
        "original",
        protocol={"loss": "dice", "optimizer": "adam", "batch_size": 8},
    ),
    Case(
        "U-Net, 256, drawn 9",
        (256, 256),
        "unet",
        9,
        protocol={"loss": "dice", "optimizer": "adam", "batch_size": 4},
    ),
    Case("cells, start", (32, 32), "cells", protocol=CELLS, **PHOTOS),
    Case("cells, drawn 10", (32, 32), "cells", 10, protocol=CELLS, **PHOTOS),
    Case(
        "cells, drawn 11, 16 channels",
        (32, 32),
        "cells",
        11,
        options={"channels": 16},
        protocol=CELLS,
        **PHOTOS,
    ),
    Case(
        "autoencoder, drawn 12",
        (64, 64),
        "autoencoder",
        12,
        protocol={"loss": "mse", "optimizer": "adam", "batch_size": 16},
        kind="inpainting",
        channels=3,
    ),
    Case(
        "autoencoder, drawn 13, small",
        (64, 64),
        "autoencoder",
        13,
        options={"channels": [8, 16, 32], "layers": 8},
        protocol={"loss": "mse", "optimizer": "adam", "batch_size": 16},
        kind="inpainting",
        channels=3,
    ),
    Case(
        "dense encoder-decoder, start",
        (128, 128),
        "dense-encoder-decoder",
        protocol={"loss": "cross_entropy", "optimizer": "adam", "batch_size": 16},
        classes=4,
    ),
    Case(
        "ResNet-20", (32, 32), reference="resnet20", protocol={**CLASSIFICATION, "batch_size": 128}, **PHOTOS
    ),
)


def train(network: nn.Module, task: NetworkTask, protocol: TrainingProtocol) -> None:
    """A few steps, as the first one has no optimizer state yet."""
    loss = loss_of(protocol, task, torch.ones(task.classes))
    step = TrainingStep(network, protocol, torch.device("cpu"), loss, STEPS)
    step.train_mode()
    for _ in range(STEPS):
        images = torch.rand(protocol.batch_size, task.channels, *task.size)
        if isinstance(task, InpaintingTask):
            labels = torch.rand(protocol.batch_size, *task.label_size)
        else:
            labels = torch.randint(0, task.classes, (protocol.batch_size, *task.label_size))
        step(images, labels, 1)


def measure(case: Case) -> dict[str, float | None]:
    """Predicted and measured MB, in this process."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    task, protocol = case.task(), TrainingProtocol(device="cpu", **case.protocol)
    dimensions = len(case.size)
    convolution, normalise = (nn.Conv3d, nn.BatchNorm3d) if dimensions == 3 else (nn.Conv2d, nn.BatchNorm2d)
    head = [nn.Flatten(), nn.LazyLinear(task.classes)] if case.kind == "classification" else []
    out = case.channels if case.kind == "inpainting" else task.classes
    tiny = Case(
        "tiny", (16,) * dimensions, kind=case.kind, channels=case.channels, classes=case.classes
    ).task()
    warm = nn.Sequential(
        convolution(case.channels, 8, 3, padding=1), normalise(8), convolution(8, out, 1), *head
    )
    warm(torch.rand(2, case.channels, *tiny.size))
    train(warm, tiny, protocol)
    build = case.builder()
    predicted = predicted_cost(build, task, protocol).predicted_memory_mb
    with measured_memory() as memory:
        train(build(task), task, protocol)
    return {"predicted_mb": predicted, "measured_mb": memory.peak_mb}


def in_a_process(case: Case) -> dict[str, float]:
    """What `measure` finds in a process as a search's worker is."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", case.name],
        env={**os.environ, "OMP_NUM_THREADS": "1", **MEMORY_SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{case.name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks whose names contain one of these")
    parser.add_argument(
        "--largest", type=float, default=16.0, help="GB predicted; larger ones are passed over"
    )
    parser.add_argument("--within", type=float, nargs=2, default=(0.9, 1.25), metavar=("LOW", "HIGH"))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    by_name = {case.name: case for case in CASES}
    if options.measure:
        sys.stdout.write(json.dumps(measure(by_name[options.measure])))
        return
    chosen = [c for c in CASES if not options.only or any(part in c.name for part in options.only)]
    ratios = {}
    print(f"{'network':<40} {'predicted':>10} {'measured':>10} {'ratio':>6}")
    for case in chosen:
        task, protocol = case.task(), TrainingProtocol(device="cpu", **case.protocol)
        predicted = predicted_cost(case.builder(), task, protocol).predicted_memory_mb
        assert predicted is not None
        if predicted > 1000 * options.largest:
            print(f"{case.name:<40} {predicted:>7,.0f} MB   passed over", flush=True)
            continue
        found = in_a_process(case)
        ratios[case.name] = found["predicted_mb"] / found["measured_mb"]
        print(
            f"{case.name:<40} {found['predicted_mb']:>7,.0f} MB {found['measured_mb']:>7,.0f} MB "
            f"{ratios[case.name]:>6.2f}",
            flush=True,
        )
    low, high = options.within
    outside = [name for name, ratio in ratios.items() if not low <= ratio <= high]
    print(f"{len(ratios)} networks: {min(ratios.values()):.2f} to {max(ratios.values()):.2f}")
    if outside:
        raise SystemExit(f"outside {low} to {high}: {', '.join(outside)}")


if __name__ == "__main__":
    main()
