"""The space of encoder-decoders for segmentation, and of their training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution
from torch import nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces.auto.blocks import ACTIVATIONS, BLOCKS, NORMS, Layers
from netwright.spaces.auto.diagrams import block_diagram, u_diagram
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
from netwright.spaces.auto.encoder_decoder import EncoderDecoder, Plan
from netwright.spaces.auto.resolutions import Resolution, resolutions
from netwright.spaces.auto.shapes import require_shape
from netwright.spaces.auto.training_values import (
    MIRRORED,
    augmentation_fields,
    optimizer_dimensions,
    optimizer_fields,
    usual_batch,
)
from netwright.spaces.auto.two_stages import TwoStages, WithoutSurroundings
from netwright.spaces.base import Choice, Diagram, TaskShape, Value, is_dense

DEEPEST = 6
"""The most levels of a network."""
AT_ONCE = 400_000
"""Voxels of a batch at the start, about."""
BATCHES = (2, 16)
RATE = 2.0
"""The learning rate at the start, as a multiple of what is usual. With averaged weights, twice and three times as much
were better on nuclei and on the hippocampus, after one minute and after nine (`docs/results.md`)."""
STAGES_COST = 2.5
"""About how many times the memory of one network two in stages need; dry runs say 2.1 to 2.4."""
LOSSES = {"dice_cross_entropy": 2.0, "exponential_logarithmic": 1.0}
"""For each loss the sum of the weights of its two terms, as they are usual for it."""
SELDOM_NAMED = (
    *("expansion", "norm", "activation", "downsampling", "upsampling", "join", "supervision_weight"),
    *("decay", "loss", "dice_share"),
)
"""What the words of a choice name only where it differs from the start."""


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderSpace:
    """Encoder-decoders in two or three dimensions, and how each is trained.

    Args:
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in voxels, which limits how often it is halved; a run fills it in.
        spacing: edges of a voxel in mm. An axis with voxels at least twice as long as the shortest edge is not
            convolved along or halved until the others have caught up. None: all are taken to be alike, as in pictures
            and slices; a run fills it in.
        low_resolution: how many times as long along each axis the voxels are of the second half of the channels, which
            are the surroundings of the image (`preprocessing.low_resolution`): whether a first stage sees them is a
            dimension. None: all channels are the image's; a run fills it in.
        patches: sizes of the patches that can be trained on, in voxels, the smallest first. None: that of the input; a
            run fills it in.
        batches: the most patches of each size in a batch, for the memory; of two stages 2.5 times fewer.
            None: any number; a run fills it in.
        mirroring: whether a mirrored image could be one of the dataset; False, as where a label is called left or
            right: images are never mirrored.
        fixed: dimensions that are not searched, with their values: ``{width: 16}``; None: all are searched.
        start: values of the starting choice in place of the usual ones; numbers beyond the bounds are moved to them.
            None: the usual ones.
        dense: whether every voxel gets a label, which this space needs; None: not known; a run fills it in.

    Raises:
        SettingsError: a value is wrong, or the task is not segmentation in two or three dimensions.
    """

    name: ClassVar[str] = "encoder-decoder"

    channels: int
    classes: int
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    low_resolution: tuple[int, ...] | None = None
    patches: tuple[tuple[int, ...], ...] | None = None
    batches: tuple[int, ...] | None = None
    mirroring: bool = True
    fixed: Mapping[str, Value] | None = None
    start: Mapping[str, Value] | None = None
    dense: bool | None = None

    def __post_init__(self) -> None:
        require_shape(self.name, self.channels, self.classes, self.size, (2, 3))
        if self.dense is False:
            raise SettingsError(
                f"The space {self.name!r} is for segmentation, but the task labels whole images."
            )
        spacing = self.spacing
        if spacing is not None and (len(spacing) != len(self.size) or not min(spacing) > 0):
            raise SettingsError(
                f"spacing: expected a length over 0 for each of {len(self.size)} axes, got {spacing!r}."
            )
        if self.low_resolution is not None and (
            len(self.low_resolution) != len(self.size) or self.channels % 2
        ):
            raise SettingsError(
                f"low_resolution: expected a number for each of {len(self.size)} axes, and an even number of channels, "
                f"of which half are surroundings; got {self.low_resolution!r} and {self.channels} channels."
            )
        sizes = self.patches or ()
        known = all(len(size) == len(self.size) and min(size) >= 1 for size in sizes)
        if not known or (self.batches is not None and len(self.batches) != len(sizes)):
            raise SettingsError(
                f"patches: expected sizes of {len(self.size)} axes, and batches with a number for each; got "
                f"{self.patches!r} and {self.batches!r}."
            )
        require_fixed(self._table, self._fixed)

    @property
    def _fixed(self) -> Mapping[str, Value]:
        return {} if self.fixed is None else self.fixed

    @cached_property
    def _patches(self) -> dict[str, tuple[tuple[int, ...], int]]:
        """The sizes of patches, the smallest first, and the most in a batch of each, by their names."""
        sizes = self.patches or (self.size,)
        most = self.batches or (sys.maxsize,) * len(sizes)
        return {
            " x ".join(map(str, size)): (tuple(size), batch) for size, batch in zip(sizes, most, strict=True)
        }

    @cached_property
    def _resolutions(self) -> tuple[Resolution, ...]:
        return resolutions(self.size, self.spacing, DEEPEST + 1)

    @cached_property
    def _coarse_resolutions(self) -> tuple[Resolution, ...]:
        """Of the surroundings, whose voxels are longer."""
        assert self.low_resolution is not None
        edges = self.spacing or (1.0,) * len(self.size)
        longer = [edge * factor for edge, factor in zip(edges, self.low_resolution, strict=True)]
        return resolutions(self.size, longer, DEEPEST + 1)

    @cached_property
    def _table(self) -> Table:
        """Every dimension with its values and its start, those of the network first."""
        reached = len(self._resolutions)
        stems = [
            2**halved
            for halved in range(3 if len(self.size) == 2 else 2)
            if halved + 2 <= reached or not halved
        ]
        batch = usual_batch(prod(self.size), AT_ONCE, *BATCHES)
        known = list(self._patches)
        within = [name for name, (size, _) in self._patches.items() if prod(size) <= prod(self.size)]
        table: Table = {
            "width": whole(8, 64, 16, step=8),
            "levels": whole(min(2, reached), min(DEEPEST, reached), 4),
            "stem": one_of(*stems, start=stems[min(1, len(stems) - 1)]),
            "blocks": whole(1, 3, 1),
            "decoder_blocks": whole(1, 2, 1),
            "block": one_of(*BLOCKS, start="residual"),
            "expansion": one_of(2, 4),
            "kernel": one_of(3, 5, 7),
            "norm": one_of(*NORMS),
            "activation": one_of(*ACTIVATIONS, start="leaky_relu"),
            "downsampling": one_of("convolution", "max"),
            "upsampling": one_of("transposed", "linear"),
            "join": one_of("add", "concatenate"),
            "supervision": whole(0, max(0, min(2, reached - 2)), 0),
            "supervision_weight": one_of(0.1, 0.2, 0.4, start=0.2),
            **optimizer_dimensions(batch, *BATCHES, rate=RATE),
            "patch": one_of(*known, start=(within or known)[-1]),
            "loss": one_of(*LOSSES),
            "dice_share": one_of(0.2, 0.35, 0.5, 0.65, 0.8, start=0.5),
            "spatial": real(0.0, 2.0, 1.0, step=0.5),
            "intensity": real(0.0, 2.0, 0.0, step=0.5),
            "mirroring": one_of(True, False) if self.mirroring else one_of(False),
            "low_resolution": one_of(False) if self.low_resolution is None else one_of(False, True),
        }
        return started(table, self.start or {})

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions of the network, then those of its training."""
        return searched(self._table, self._fixed)

    def starting_choice(self) -> dict[str, Value]:
        """A residual network of 16 channels that begins at half of the image's resolution, with Nadam 4e-3.

        It is `auto`'s default: near MONAI's residual U-Net in cost and protocol.
        """
        table = self._table
        return {name: table[name].start for name in self.distributions()}

    def suggestions(self) -> tuple[dict[str, Value], ...]:
        """Changes of the starting choice that often help, the most promising first.

        Most were better than the start with the usual rate, alone, in a short training on nuclei or on the hippocampus
        (`benchmarks/record_curves.py`, `docs/results.md`); of the batches those of 2 and 4 in place of 16. Half of the
        rate is for data on which the start's is too high. Training without mirrored images is not among them, though it
        learns faster at first: on the hippocampus it ended lower, and without mirrored views. A first stage at low
        resolution, where there can be one, and smaller patches were not measured: nnU-Net has the one for such volumes,
        and more batches of other places may make up for the view of the others.
        """
        finer, fewer = (int(self._table[name].start) // 2 for name in ("stem", "batch"))
        rate = float(self._table["rate"].start)
        known, start = list(self._patches), str(self._table["patch"].start)
        smaller = known[max(0, known.index(start) - 1)]
        changes: list[dict[str, Value]] = [
            *([self._stages] if "low_resolution" in self.distributions() else []),
            {"batch": fewer},
            {"rate": 2 * rate},
            {"width": 32},
            {"block": "plain"},
            {"stem": finer},
            {"rate": rate / 2},
            {"loss": "exponential_logarithmic"},
            {"spatial": 2.0},
            {"intensity": 1.0},
            {"patch": smaller},
        ]
        return suggested(self._table, self._fixed, changes)

    @property
    def _stages(self) -> dict[str, Value]:
        """Two stages, on the largest patches, up to those of the start, for which there is the memory."""
        known, start = list(self._patches), str(self._table["patch"].start)
        enough = [name for name in known[: known.index(start) + 1] if self._patches[name][1] >= STAGES_COST]
        return {"low_resolution": True, "patch": (enough or known)[-1 if enough else 0]}

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The searched dimensions that change the network or its training, with as many levels as the size allows."""
        values = self._values(choice)
        left_out = {
            name
            for name, matters in {
                "expansion": values["block"] == "depthwise",
                "downsampling": values["levels"] > 1,
                "upsampling": values["levels"] > 1,
                "join": values["levels"] > 1,
                "decoder_blocks": values["levels"] > 1,
                "supervision_weight": values["supervision"] > 0 or values["low_resolution"],
                "intensity": values["intensity"] > 0,  # so that networks of older runs keep their keys
            }.items()
            if not matters
        }
        return {name: values[name] for name in self.distributions() if name not in left_out}

    def training(self, choice: Choice) -> dict[str, Any]:
        """Fields of the training protocol: optimizer, batch, loss, augmentation, and the size of patches if searched.

        A batch of smaller patches has more of them, so that it has as many voxels, as far as the memory allows.
        """
        values = self._values(choice)
        total, share = LOSSES[values["loss"]], values["dice_share"]
        fields: dict[str, Any] = {
            **optimizer_fields(values),
            "loss": values["loss"],
            "loss_dice_weight": total * share,
            "loss_cross_entropy_weight": total * (1 - share),
            "augmentation": augmentation_fields(values),
        }
        if values["supervision"] or values["low_resolution"]:
            fields["loss_auxiliary_weight"] = values["supervision_weight"]
        if self.patches is not None:
            size, most = self._patch(values)
            fields["patch_size"] = None if size == tuple(self.size) else size
            fields["batch_size"] = min(self._in_batch(values["batch"], size), most)
        return fields

    def _patch(self, values: Choice) -> tuple[tuple[int, ...], int]:
        """The size of the patches, and the most in a batch, fewer for two networks in stages."""
        size, most = self._patches[str(values["patch"])]
        return size, max(1, int(most / STAGES_COST)) if values["low_resolution"] else most

    def _in_batch(self, batch: int, size: tuple[int, ...]) -> int:
        """How many patches of a size have the voxels of a batch of inputs, about."""
        return max(1, round(batch * prod(self.size) / prod(size)))

    def plan(self, choice: Choice) -> Plan:
        """The network of a choice, of two stages the second."""
        return self._plan(choice, self._resolutions)

    def _plan(self, choice: Choice, known: tuple[Resolution, ...]) -> Plan:
        values = self._values(choice)
        first = values["stem"].bit_length()
        layers = Layers(
            len(self.size), values["norm"], values["activation"], values["block"], values["expansion"]
        )
        names = (
            "width",
            "kernel",
            "blocks",
            "decoder_blocks",
            "downsampling",
            "upsampling",
            "join",
            "supervision",
        )
        return Plan(
            layers,
            stem=known[:first],
            below=known[first : first + values["levels"] - 1],
            **{name: values[name] for name in names},
        )

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, *spatial) of any size to logits (batch, classes, *spatial).

        Raises:
            InfeasibleArchitecture: the task does not label each voxel, or has another number of dimensions.
        """
        if not is_dense(task) or len(task.size) != len(self.size):
            raise InfeasibleArchitecture(
                f"This space has networks that label every voxel of an image of {len(self.size)} dimensions, but the "
                f"task's input has the size {' x '.join(map(str, task.size))}"
                f"{'' if is_dense(task) else ' and one label for the whole image'}."
            )
        second = EncoderDecoder(self.plan(choice), self._seen(choice, task), task.classes)
        if self.low_resolution is None:
            return second
        if not self._in_stages(choice):
            return WithoutSurroundings(second)
        first = EncoderDecoder(self._first(choice), task.channels // 2, task.classes)
        sigmoid = getattr(task, "output", None) == "sigmoid"
        return TwoStages(first, second, self.low_resolution, sigmoid=sigmoid)

    def _in_stages(self, choice: Choice) -> bool:
        return bool(self._values(choice)["low_resolution"])

    def _first(self, choice: Choice) -> Plan:
        """The first of two stages: as the second, at the resolutions of the surroundings."""
        return replace(self._plan(choice, self._coarse_resolutions), supervision=0)

    def _seen(self, choice: Choice, task: TaskShape) -> int:
        """The channels of the network of `plan`: those of the image, and one a class from a first stage."""
        channels = task.channels // (1 if self.low_resolution is None else 2)
        return channels + task.classes * self._in_stages(choice)

    def describe(self, choice: Choice) -> str:
        """For example ``residual 16 x 4 levels, stem 2, nadam 0.004, batch 4, spatial 1, norm instance``."""
        values, fields = self._values(choice), self.training(choice)
        words = [
            f"{values['block']} {values['width']} x {values['levels']} levels",
            f"blocks {values['blocks']}+{values['decoder_blocks']}",
            *([f"stem {values['stem']}"] if values["stem"] > 1 else []),
            *([f"kernel {values['kernel']}"] if values["kernel"] > 3 else []),
            *([f"{values['supervision']} auxiliary"] if values["supervision"] else []),
            f"{fields['optimizer']} {fields['learning_rate']:.2g}",
            f"batch {fields['batch_size']}{' of ' + values['patch'] if fields.get('patch_size') else ''}",
            f"spatial {values['spatial']:g}",
            *([MIRRORED] if values["mirroring"] else []),
            *([f"intensity {values['intensity']:g}"] if values["intensity"] else []),
            *changed_words(self._table, self.canonical(choice), SELDOM_NAMED),
            *(["after a stage at low resolution"] if values["low_resolution"] else []),
        ]
        return ", ".join(words)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """A block, and the network as a U, of two stages both."""
        plan = self.plan(choice)
        stages = [u_diagram(plan, self._seen(choice, task), task, "Network")]
        if self._in_stages(choice):
            first = u_diagram(self._first(choice), task.channels // 2, task, "First stage, at low resolution")
            stages.insert(0, first)
        return block_diagram(plan.layers, plan.kernel), *stages

    def _values(self, choice: Choice) -> dict[str, Any]:
        """A value for every dimension; levels, auxiliary heads and batches are as large as size and memory allow."""
        values: dict[str, Any] = values_of(self._table, self._fixed, choice)
        below_stem = len(self._resolutions) - values["stem"].bit_length() + 1
        values["levels"] = min(values["levels"], below_stem)
        values["supervision"] = min(values["supervision"], max(0, values["levels"] - 2))
        size, most = self._patch(values)
        while values["batch"] > BATCHES[0] and self._in_batch(values["batch"] // 2, size) >= most:
            values["batch"] //= 2
        return values
