"""The task of classifying an image: what a network gets, and what it must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netwright.errors import SettingsError


@dataclass(frozen=True)
class ClassificationTask:
    """Images (batch, channels, *size) to logits (batch, classes), judged by top-1 accuracy.

    ``class_names``: in order of class index. ``size``: the network's input, (H, W) of pictures.

    Raises:
        SettingsError: no channel, fewer than two classes, or a size that is not positive.
    """

    metric: ClassVar[str] = "accuracy"
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)

    channels: int
    class_names: tuple[str, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.channels < 1 or len(self.class_names) < 2 or not self.size or min(self.size) < 1:
            raise SettingsError(
                "A classification task needs a channel, two classes and a positive size; got "
                f"channels={self.channels}, {len(self.class_names)} classes, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Classes of the output."""
        return len(self.class_names)

    @property
    def label_size(self) -> tuple[int, ...]:
        """An image has one label."""
        return ()

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Accuracy alone."""
        return (self.metric,)
