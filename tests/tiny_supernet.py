"""A supernet of two variables whose best choice is known, and data that it is learned from in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import InfeasibleArchitecture
from netwright.nn.steps import IMAGE, Step, Steps, Supernet
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.view import dimensions_of
from netwright.supernet.search import SearchInputs
from netwright.supernet.settings import SupernetSettings
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.config import TrainingProtocol

DISTRIBUTIONS = {
    "filter": CategoricalDistribution(("keep", "blank", "noise")),
    "head": CategoricalDistribution(("mean", "dense")),
    "only": CategoricalDistribution(("one",)),
}


class Blank(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)


class Noise(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.randn_like(images)


class Mean(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features.mean((2, 3)))


class TinySupernet(Supernet):
    """A convolution, a filter (of which one keeps what is there), and a head (of which one keeps where it is)."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.operations["stem"] = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.operations["keep"] = nn.Conv2d(4, 4, 1)
        self.operations["blank"] = Blank()
        self.operations["noise"] = Noise()
        self.operations["mean"] = Mean(classes)
        self.operations["dense"] = nn.Sequential(nn.Flatten(), nn.Linear(4 * size * size, classes))
        self.illegal: str | None = None

    def steps(self, choice: Mapping[str, Any]) -> Steps:
        if choice["filter"] == self.illegal:
            raise InfeasibleArchitecture(f"{self.illegal} makes no network")
        return Step("stem", (IMAGE,)), Step(choice["filter"], (0,)), Step(choice["head"], (1,))


class Pictures:
    """Pictures of one of two classes: bright in the upper or in the lower half."""

    def __init__(self, count: int = 64, size: int = 8, contrast: float = 3.0) -> None:
        rng = np.random.default_rng(0)
        self._labels = rng.integers(0, 2, count)
        self._images = rng.normal(0, 1, (count, 1, size, size)).astype(np.float32)
        for image, label in zip(self._images, self._labels, strict=True):
            half = slice(0, size // 2) if label else slice(size // 2, size)
            image[0, half] += contrast

    def images(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self._images[list(indices)]

    def labels_of(self, indices: Sequence[int]) -> NDArray[np.int64]:
        return self._labels[list(indices)].astype(np.int64)


def parts(
    supernet: TinySupernet | None = None, *, augmentation: bool = True, half: bool = False, **settings: Any
) -> SearchInputs:
    """A search of the tiny supernet; ``settings`` of `SupernetSettings`."""
    torch.manual_seed(0)
    return SearchInputs(
        supernet=supernet or TinySupernet(classes=2, size=8),
        problem=ImageProblem(Pictures(), ClassificationTask(1, ("low", "high"), (8, 8))),
        cases=range(64),
        protocol=TrainingProtocol(
            loss="cross_entropy",
            batch_size=8,
            augmentation=replace(AugmentationSettings(), probability=0.5) if augmentation else None,
            mixed_precision=half,
            device="cpu",
        ),
        settings=SupernetSettings(**{"epochs": 4, "batch_size": 8, "snapshots": 10, **settings}),
        start=NaturalGradient().init(dimensions_of(DISTRIBUTIONS)),
    )
