"""The space of classifiers of stages, and of their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution
from torch import nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces.auto.blocks import ACTIVATIONS, Layers
from netwright.spaces.auto.classifier import Classifier, ClassifierPlan
from netwright.spaces.auto.diagrams import block_diagram, stages_diagram
from netwright.spaces.auto.dimensions import (
    Table,
    changed_words,
    one_of,
    real,
    require_fixed,
    searched,
    started,
    suggested,
    values_of,
    whole,
)
from netwright.spaces.auto.resolutions import Resolution, resolutions
from netwright.spaces.auto.shapes import require_shape
from netwright.spaces.auto.training_values import (
    MIRRORED,
    augmentation_fields,
    optimizer_dimensions,
    optimizer_fields,
    usual_batch,
)
from netwright.spaces.base import Choice, Diagram, TaskShape, Value, is_dense

MOST_STAGES = 5
AT_ONCE = 65_536
"""Pixels of a batch at the start, about: 64 pictures of 32 x 32."""
BATCHES = (16, 256)
LARGEST = 64
"""The longest side, in pixels, that the first stage has at the start where a stem can reduce it."""
SELDOM_NAMED = ("expansion", "norm", "activation", "downsampling", "decay")
"""What the words of a choice name only where it differs from the start."""


@dataclass(frozen=True, kw_only=True)
class ClassifierStagesSpace:
    """Classifiers of residual or depthwise stages for pictures of any size, and how each is trained.

    Args:
        channels: channels of the picture; a run fills it in.
        classes: classes of the output; a run fills it in.
        size: height and width of the picture in pixels, which limit how often it is halved; a run fills it in.
        mirroring: whether a mirrored picture could be one of the dataset; False, as where a class is called left or
            right: pictures are never mirrored.
        fixed: dimensions that are not searched, with their values: ``{width: 16}``; None: all are searched.
        start: values of the starting choice in place of the usual ones; whole numbers beyond the bounds are moved to
            them. None: the usual ones.
        dense: whether every pixel gets a label, which this space does not give; None: not known; a run fills it in.

    Raises:
        SettingsError: a value is wrong, or the task is not classification of pictures.
    """

    name: ClassVar[str] = "classifier-stages"

    channels: int
    classes: int
    size: tuple[int, ...]
    mirroring: bool = True
    fixed: Mapping[str, Value] | None = None
    start: Mapping[str, Value] | None = None
    dense: bool | None = None

    def __post_init__(self) -> None:
        require_shape(self.name, self.channels, self.classes, self.size, (2,))
        if self.dense:
            raise SettingsError(
                f"The space {self.name!r} is for classification, but the task labels every pixel."
            )
        require_fixed(self._table, self._fixed)

    @property
    def _fixed(self) -> Mapping[str, Value]:
        return {} if self.fixed is None else self.fixed

    @cached_property
    def _resolutions(self) -> tuple[Resolution, ...]:
        return resolutions(self.size, None, MOST_STAGES + 2)

    @cached_property
    def _table(self) -> Table:
        """Every dimension with its values and its start, those of the network first."""
        reached = len(self._resolutions)
        stems = [2**halved for halved in range(3) if halved + 2 <= reached or not halved]
        stem = next((s for s in stems if max(self.size) <= LARGEST * s), stems[-1])
        batch = usual_batch(prod(self.size), AT_ONCE, *BATCHES)
        table: Table = {
            "width": whole(16, 64, 32, step=8),
            "stages": whole(min(2, reached), min(MOST_STAGES, reached), 3),
            "stem": one_of(*stems, start=stem),
            "blocks": whole(1, 4, 2),
            "block": one_of("residual", "depthwise"),
            "expansion": one_of(2, 4),
            "kernel": one_of(3, 5, 7),
            "norm": one_of("batch", "group"),
            "activation": one_of(*ACTIVATIONS),
            "downsampling": one_of("convolution", "max"),
            **optimizer_dimensions(batch, *BATCHES, optimizer="sgd", decay=1.0),
            "crop": one_of(0.0, 0.0625, 0.125, 0.25, start=0.125),
            "cutout": one_of(0.0, 0.25, 0.5),
            "spatial": real(0.0, 2.0, 0.0, step=0.5),
            "intensity": real(0.0, 2.0, 0.0, step=0.5),
            "mirroring": one_of(True, False) if self.mirroring else one_of(False),
        }
        return started(table, self.start or {})

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions of the network, then those of its training."""
        return searched(self._table, self._fixed)

    def starting_choice(self) -> dict[str, Value]:
        """A residual network of 32 to 128 channels, trained with SGD at 0.05, crops and mirrored pictures."""
        table = self._table
        return {name: table[name].start for name in self.distributions()}

    def suggestions(self) -> tuple[dict[str, Value], ...]:
        """Changes of the starting choice that are tried first.

        They are usual ones, cheaper networks before costlier ones. No measurement chose them.
        """
        changes: list[dict[str, Value]] = [
            {"width": 16},
            {"blocks": 1},
            {"optimizer": "nadam"},
            {"spatial": 0.5},
            {"width": 48},
            {"intensity": 1.0},
        ]
        return suggested(self._table, self._fixed, changes)

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The searched dimensions that change the network or its training, with as many stages as the size allows.

        Crops and squares are as wide as whole pixels have them, so that shares that come to the same are one value.
        """
        values = self._values(choice)
        fields = self.training(choice)["augmentation"]
        for name in ("crop", "cutout"):
            choices = self._table[name].distribution.choices  # type: ignore[attr-defined]
            values[name] = next(share for share in choices if self._pixels(share) == fields[name])
        left_out = {
            *(["expansion"] if values["block"] != "depthwise" else []),
            *(["downsampling"] if values["stages"] == 1 else []),
            # Left out at 0, so that networks of older runs keep their keys.
            *([] if values["intensity"] else ["intensity"]),
        }
        return {name: values[name] for name in self.distributions() if name not in left_out}

    def training(self, choice: Choice) -> dict[str, Any]:
        """Fields of the training protocol: optimizer, batch, augmentation. The loss is the task's."""
        values = self._values(choice)
        pixels = {name: self._pixels(values[name]) for name in ("crop", "cutout")}
        return {**optimizer_fields(values), "augmentation": {**augmentation_fields(values), **pixels}}

    def plan(self, choice: Choice) -> ClassifierPlan:
        """The network of a choice."""
        values = self._values(choice)
        first = values["stem"].bit_length()
        return ClassifierPlan(
            Layers(2, values["norm"], values["activation"], values["block"], values["expansion"]),
            stem=self._resolutions[:first],
            below=self._resolutions[first : first + values["stages"] - 1],
            **{name: values[name] for name in ("width", "kernel", "blocks", "downsampling")},
        )

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, height, width) of any size to logits (batch, classes).

        Raises:
            InfeasibleArchitecture: the task labels every pixel, or its images are not of two dimensions.
        """
        if is_dense(task) or len(task.size) != 2:
            raise InfeasibleArchitecture(
                "This space has networks that label a whole picture of two dimensions, but the task's input has the "
                f"size {' x '.join(map(str, task.size))}{' and a label for every pixel' if is_dense(task) else ''}."
            )
        return Classifier(self.plan(choice), task.channels, task.classes)

    def describe(self, choice: Choice) -> str:
        """For example ``residual 32 x 3 stages, blocks 2, sgd 0.05, batch 64, crop 4, mirrored in training``."""
        values, fields = self._values(choice), self.training(choice)
        crop, cutout = (fields["augmentation"][name] for name in ("crop", "cutout"))
        words = [
            f"{values['block']} {values['width']} x {values['stages']} stages",
            f"blocks {values['blocks']}",
            *([f"stem {values['stem']}"] if values["stem"] > 1 else []),
            *([f"kernel {values['kernel']}"] if values["kernel"] > 3 else []),
            f"{fields['optimizer']} {fields['learning_rate']:.2g}",
            f"batch {fields['batch_size']}",
            f"crop {crop}",
            *([MIRRORED] if values["mirroring"] else []),
            *([f"cutout {cutout}"] if cutout else []),
            *([f"{name} {values[name]:g}" for name in ("spatial", "intensity") if values[name]]),
            *changed_words(self._table, self.canonical(choice), SELDOM_NAMED),
        ]
        return ", ".join(words)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """A block, and the stages."""
        plan = self.plan(choice)
        return block_diagram(plan.layers, plan.kernel), stages_diagram(plan, task)

    def _pixels(self, share: float) -> int:
        return round(share * min(self.size))

    def _values(self, choice: Choice) -> dict[str, Any]:
        """A value for every dimension; stages are as many as the size allows."""
        values: dict[str, Any] = values_of(self._table, self._fixed, choice)
        values["stages"] = min(values["stages"], len(self._resolutions) - values["stem"].bit_length() + 1)
        return values
