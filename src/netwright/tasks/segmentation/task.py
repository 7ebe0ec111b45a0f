"""The task of segmenting an image: what a network gets, and what it must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netwright.errors import SettingsError


@dataclass(frozen=True)
class SegmentationTask:
    """Images (batch, channels, *size) to logits (batch, classes, *size); class 0 is the background.
    Judged by the mean Dice of the foreground labels.

    ``label_names``: of the foreground, in order of class index. ``size``: the network's input, in voxels (three
    numbers) or pixels (two).

    Raises:
        SettingsError: no channel, no foreground label, or a size that is not positive.
    """

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

    def __post_init__(self) -> None:
        if self.channels < 1 or not self.label_names or not self.size or min(self.size) < 1:
            raise SettingsError(
                "A segmentation task needs a channel, a foreground label and a positive size; got "
                f"channels={self.channels}, label_names={self.label_names}, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Classes of the output, background included."""
        return len(self.label_names) + 1

    @property
    def label_size(self) -> tuple[int, ...]:
        """Every voxel has a label."""
        return self.size

    @property
    def metric_names(self) -> tuple[str, ...]:
        """``dice``, the mean, and one of each label."""
        return "dice", *(f"dice.{name}" for name in self.label_names)
