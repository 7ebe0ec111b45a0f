"""How fast does netwright train, beside the pipeline that MONAI's tutorials show?

Both train one network on the same volumes, with the same optimizer and the same kind of augmentation: volumes rotated
about the axial axis, shifted and scaled. MONAI's pipeline is `CacheDataset`, dictionary transforms, a `DataLoader` in
the process, `DiceCELoss`, float32. Ours is what a search runs: batches of prepared volumes, half precision where the
processor has it, channels last, averaged weights. They take turns, some batches each, so that a change of the machine's
speed meets both. MONAI is among netwright's dependencies; nothing else is needed.

    python benchmarks/pipeline_against_monai.py DATASET [--network auto] [--batch 4] [--rounds 7]

DATASET is a folder of volumes that fit into the network's input, such as Task04_Hippocampus. With ``--network auto``
both train the starting choice of the space ``encoder-decoder``, with its optimizer and augmentation. Behind the ratio
are the parts of our step, and what the validation of a case costs. Times are of the processor, so that other programs
disturb less, of one thread. Memory is kept as in the workers of a run, for both.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise, repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from netwright.data import PreprocessingSettings, open_any, prepare
from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.data.volumes.prepared import Prepared
from netwright.execution.local import MEMORY_SETTINGS
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.spaces.references import REFERENCES
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.problem import make_problem
from netwright.training.config import TrainingProtocol
from netwright.training.device import resolve_device
from netwright.training.losses import TrainingLoss
from netwright.training.step import TrainingStep

PARTS = ("data", "forward", "loss", "backward", "optimizer", "averaging and the rest")
SEED = 0


@dataclass(frozen=True)
class Material:
    """What both pipelines train on.

    Args:
        files: image and label map of each case.
        prepared: the same cases, as netwright prepares them.
        task: input and output of the network.
        protocol: how to train.
        make_network: the network, with equal weights each time.
    """

    files: list[tuple[Path, Path]]
    prepared: Prepared
    task: SegmentationTask
    protocol: TrainingProtocol
    make_network: Callable[[], nn.Module]


def read(arguments: argparse.Namespace, cache: Path) -> Material:
    """The first ``cases`` cases of the dataset, and the protocol."""
    dataset: Any = open_any(arguments.dataset)
    prepared: Any = prepare(dataset, PreprocessingSettings(), cache)
    task = SegmentationTask(prepared.channels, prepared.label_names, prepared.size)
    files = {case.name: (case.images[0], case.label) for case in dataset.cases}
    protocol = TrainingProtocol(
        loss="dice_cross_entropy",
        loss_dice_weight=1.0,
        loss_cross_entropy_weight=1.0,
        averaging=0.998,
        fast_convolutions=True,
        batch_size=arguments.batch,
        device="cpu",
    )
    space = EncoderDecoderSpace(
        channels=task.channels, classes=task.classes, size=task.size, spacing=prepared.spacing
    )
    choice = space.starting_choice()
    if arguments.network == "auto":
        own = space.training(choice)
        own["augmentation"] = AugmentationSettings(**own["augmentation"])
        protocol = replace(protocol, **{**own, "batch_size": arguments.batch})

    def make_network() -> nn.Module:
        torch.manual_seed(SEED)
        if arguments.network == "auto":
            return space.build(choice, task)
        return REFERENCES[arguments.network].make(task)

    chosen = prepared.names[: arguments.cases]
    return Material([files[name] for name in chosen], prepared, task, protocol, make_network)


def monai_batches(material: Material) -> Iterator[dict[str, Any]]:
    """Batches without end, as MONAI's tutorials make them."""
    from monai import transforms
    from monai.data import CacheDataset, DataLoader, list_data_collate

    both, modes = ["image", "label"], ("bilinear", "nearest")
    augmentation = material.protocol.augmentation
    assert augmentation is not None
    low, high = augmentation.scale
    steps = [
        transforms.LoadImaged(both),
        transforms.EnsureChannelFirstd(both),
        transforms.NormalizeIntensityd("image"),
        transforms.ResizeWithPadOrCropd(both, material.task.size),
        transforms.RandAffined(
            both,
            prob=augmentation.probability,
            rotate_range=(0, 0, math.radians(augmentation.rotation_degrees)),
            translate_range=tuple(augmentation.shift * length for length in material.task.size),
            scale_range=((low - 1, high - 1),) * 3,
            mode=modes,
            padding_mode="zeros",
        ),
    ]
    if augmentation.flip:
        steps.append(transforms.RandFlipd(both, prob=augmentation.flip, spatial_axis=0))
    items = [{"image": str(image), "label": str(label)} for image, label in material.files]
    cached = CacheDataset(items, transforms.Compose([*steps, transforms.ToTensord(both)]), progress=False)
    loader = DataLoader(
        cached,
        batch_size=material.protocol.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=0,
        collate_fn=list_data_collate,
    )
    while True:
        yield from loader


class Tutorial:
    """MONAI's pipeline: one step a call."""

    def __init__(self, material: Material) -> None:
        from monai.losses import DiceCELoss

        self._batches = monai_batches(material)
        self._network = material.make_network().train()
        kinds = {
            "nadam": torch.optim.NAdam,
            "adamw": torch.optim.AdamW,
            "sgd": torch.optim.SGD,
        }
        kind: Any = kinds[material.protocol.optimizer]
        self._optimizer = kind(self._network.parameters(), lr=material.protocol.learning_rate)
        self._loss = DiceCELoss(softmax=True, to_onehot_y=True)

    def __call__(self) -> None:
        """As tutorials have it."""
        batch = next(self._batches)
        self._optimizer.zero_grad()
        loss = self._loss(self._network(batch["image"].as_tensor()), batch["label"].as_tensor())
        loss.backward()
        self._optimizer.step()
        loss.item()


class Timed:
    """A loss that notes when it begins and ends."""

    def __init__(self, loss: TrainingLoss) -> None:
        self._loss = loss
        self.marks: list[float] = []

    def parts(self, outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As those of the loss."""
        self.mark()
        result = self._loss.parts(outputs, labels)
        self.mark()
        return result

    def mark(self, *_: Any) -> None:
        """Notes the time."""
        self.marks.append(time.process_time())


class Ours:
    """Netwright's: one step a call, with the time of each part."""

    def __init__(self, material: Material) -> None:
        self._problem = make_problem(material.prepared)
        self._network = material.make_network()
        self._protocol = material.protocol
        self._cases = range(len(material.files))
        self._device = resolve_device("cpu")
        batches = self._problem.batches(self._cases, self._protocol, self._device, SEED)
        self._batches = chain.from_iterable(repeat(batches))
        self._loss = Timed(self._problem.loss(self._cases, self._protocol, self._device))
        loss: Any = self._loss
        self._step = TrainingStep(self._network, self._protocol, self._device, loss, len(batches))
        register_optimizer_step_pre_hook(self._loss.mark)
        register_optimizer_step_post_hook(self._loss.mark)
        self._step.train_mode()
        self.parts: dict[str, list[float]] = {part: [] for part in PARTS}

    def __call__(self) -> None:
        """As a training has it."""
        marks = self._loss.marks
        marks.clear()
        self._loss.mark()
        images, labels = next(self._batches)
        self._loss.mark()
        self._step(images, labels, planned_epochs=100)
        self._loss.mark()
        for part, (begun, ended) in zip(PARTS, pairwise(marks), strict=True):
            self.parts[part].append(ended - begun)

    def validate(self) -> float:
        """Seconds for each case."""
        begun = time.process_time()
        self._problem.scores(self._network, self._cases, self._protocol, self._device)
        return (time.process_time() - begun) / len(self._cases)


def main() -> None:
    """Prints cases per second, their ratio, and the parts of our step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--network", choices=("monai-unet", "auto"), default="monai-unet")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8, help="of each, in a round")
    parser.add_argument("--cases", type=int, default=100)
    arguments = parser.parse_args()
    if any(name not in os.environ for name in MEMORY_SETTINGS):  # read by the C library when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MEMORY_SETTINGS})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        material = read(arguments, Path(cache))
        ours = Ours(material)
        pipelines = {"MONAI": Tutorial(material), "netwright": ours}
        seconds: dict[str, list[float]] = {name: [] for name in pipelines}
        validation = []
        for turn in range(arguments.rounds + 1):
            for name, step in pipelines.items():
                begun = time.process_time()
                for _ in range(arguments.steps):
                    step()
                seconds[name].append((time.process_time() - begun) / arguments.steps)
            if turn == 0:  # caches are filled, kernels chosen
                seconds = {name: [] for name in pipelines}
                ours.parts = {part: [] for part in PARTS}
            else:
                validation.append(ours.validate())
    for name, values in seconds.items():
        print(f"{name:10} {material.protocol.batch_size / median(values):6.1f} cases per second")
    ratios = [theirs / own for theirs, own in zip(seconds["MONAI"], seconds["netwright"], strict=True)]
    print(f"ratio      {median(ratios):6.2f}  (rounds {min(ratios):.2f} to {max(ratios):.2f})")
    means = {part: median(values) for part, values in ours.parts.items()}
    for part, value in means.items():
        print(f"{part:23} {1e3 * value:7.1f} ms  {value / sum(means.values()):5.1%}")
    per_case = median(seconds["netwright"]) / material.protocol.batch_size
    print(
        f"validation of a case    {1e3 * median(validation):7.1f} ms, training on it {1e3 * per_case:.1f} ms"
    )


if __name__ == "__main__":
    main()
