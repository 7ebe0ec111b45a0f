"""What a network that segments images takes in and gives out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from netwright.data.volumes.regions import IGNORED, Region
from netwright.errors import SettingsError
from netwright.training.guess import guessed_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from netwright.nn.losses import Loss
    from netwright.training.config import TrainingProtocol


@dataclass(frozen=True)
class SegmentationTask:
    """Images (batch, channels, *size) to logits (batch, classes, *size), judged by the mean Dice.

    Without regions each output is a label, the background first, and one label excludes the others (softmax). With
    regions each output is one of them (sigmoid); from these the labels are written as `written` says, and regions are
    scored as the labels that were written.

    Args:
        channels: of the images.
        label_names: of the foreground labels, in order of class index.
        size: the network's input, in voxels (three numbers) or pixels (two).
        regions: by class index; none: the labels are learned.
        ignores: whether training data has voxels that are ignored.

    Raises:
        SettingsError: no channel, no foreground label, or a size that is not positive.
    """

    label_type: ClassVar[Literal["int64"]] = "int64"
    metric: ClassVar[str] = "dice"
    losses: ClassVar[tuple[str, ...]] = (
        "exponential_logarithmic",
        "dice_cross_entropy",
        "dice",
        "cross_entropy",
    )

    channels: int
    label_names: tuple[str, ...]
    size: tuple[int, ...]
    regions: tuple[Region, ...] = ()
    ignores: bool = False

    def __post_init__(self) -> None:
        if self.channels < 1 or not self.label_names or not self.size or min(self.size) < 1:
            raise SettingsError(
                "A segmentation task needs a channel, a foreground label and a positive size; got "
                f"channels={self.channels}, label_names={self.label_names}, size={self.size}."
            )

    @property
    def labels(self) -> int:
        """Classes of label maps, background included."""
        return len(self.label_names) + 1

    @property
    def classes(self) -> int:
        """Channels of the output: labels with the background, or regions."""
        return len(self.regions) or self.labels

    @property
    def output(self) -> Literal["softmax", "sigmoid"]:
        """Labels exclude one another, regions do not."""
        return "sigmoid" if self.regions else "softmax"

    @property
    def written(self) -> tuple[int, ...]:
        """How regions become labels, see `netwright.data.volumes.slabs.labels_of`; empty without regions."""
        return tuple(region.written for region in self.regions)

    @property
    def scored(self) -> dict[str, tuple[int, ...]]:
        """What is scored: the regions, or each foreground label, with the class indices that count as it."""
        if self.regions:
            return {region.name: region.labels for region in self.regions}
        return {name: (index,) for index, name in enumerate(self.label_names, start=1)}

    @property
    def label_size(self) -> tuple[int, ...]:
        """Every voxel has a label."""
        return self.size

    def dice(self, prediction: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float64]:
        """The Dice of all that is scored, see `dice_per_label`."""
        from netwright.tasks.segmentation.metrics.dice import dice_per_label

        return dice_per_label(prediction, truth, self.labels, list(self.scored.values()))

    def loss_function(self, name: str) -> Loss:
        """Of `netwright.nn.losses.LOSSES`; for regions, and where voxels are ignored, in its partial form."""
        from netwright.nn.losses import LOSSES
        from netwright.nn.partial_losses import PartialLoss

        if not self.regions and not self.ignores:
            return LOSSES[name]
        return PartialLoss(name, IGNORED, tuple(region.labels for region in self.regions))

    def class_weights(self, counts: Sequence[int]) -> Tensor:
        """The weights of the cross-entropy. ``counts``: voxels of each class of the training cases."""
        from netwright.nn.losses import label_weights
        from netwright.nn.partial_losses import region_weights

        if self.regions:
            return region_weights(counts, [region.labels for region in self.regions])
        return label_weights(counts)

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """The loss if every label (of a region: in it and outside) is equally likely and nothing overlaps."""
        return guessed_loss(training, 2 if self.regions else self.classes)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """``dice``, the mean, and one of each label or region."""
        return "dice", *(f"dice.{name}" for name in self.scored)
