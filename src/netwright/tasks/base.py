"""What every task tells of itself."""

from __future__ import annotations

from typing import Protocol


class Task(Protocol):
    """What a network gets, what it must give, and by which number it is judged."""

    @property
    def channels(self) -> int:
        """Channels of the input image."""

    @property
    def classes(self) -> int:
        """Classes of the output."""

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size of the network's input, in two or three dimensions."""

    @property
    def label_size(self) -> tuple[int, ...]:
        """Shape of the labels of one image: its size where every voxel has one, () where the image has one, and
        (channels, *size), of real numbers, where it is an image itself.
        """

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses that are defined for the task, the usual one first."""

    @property
    def metric(self) -> str:
        """The name of the metric that says how good a network is; larger is better."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """All metrics that an outcome of the task may have, the principal one first."""
