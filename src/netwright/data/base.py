"""What datasets of every kind have in common, and prepared data of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.data.splits import Part

if TYPE_CHECKING:
    from netwright.data.volumes.sizes import PreparedSizes

OnCase = Callable[[int, int], None]
"""Called after each case with the number of cases done and the number of all cases."""
OnPart = Callable[[float], None]
"""Called with the share of a case that is done, above 0, up to 1."""


class Divisible(Protocol):
    """Cases that are divided into parts, before and after they are prepared."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cases."""

    @property
    def groups(self) -> Mapping[str, str]:
        """The patient of each case by the case's name; empty where cases have none."""

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The official part of each case, None where there is none."""


class AnyDataset(Divisible, Protocol):
    """A dataset as its folder or file describes it: images with label maps, or pictures."""

    @property
    def name(self) -> str:
        """The name of the dataset."""

    @property
    def root(self) -> Path:
        """Its folder or file."""

    @property
    def format(self) -> str:
        """The layout in which it was read."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the image channels."""

    @property
    def kind(self) -> str:
        """How it is read and prepared: a name in `netwright.data.open.KINDS`."""

    @property
    def task(self) -> str:
        """What its labels are for: a name in `netwright.tasks.TASKS`."""

    @property
    def dimensions(self) -> int:
        """2 for pictures, 3 for volumes."""

    @property
    def sliceable(self) -> bool:
        """Whether the images are volumes that a network may see slice by slice."""

    @property
    def counted(self) -> str:
        """How many cases it has, in words: "3 pictures"."""


class AnyPrepared(Protocol):
    """Prepared data on disk, its cases in order of name."""

    @property
    def folder(self) -> Path:
        """The folder with the data."""

    @property
    def dataset(self) -> str:
        """The name of the dataset."""

    @property
    def kind(self) -> str:
        """See `AnyDataset.kind`."""

    @property
    def task(self) -> str:
        """See `AnyDataset.task`."""

    @property
    def sliceable(self) -> bool:
        """See `AnyDataset.sliceable`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cases."""

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """See `Divisible.parts`."""

    @property
    def channels(self) -> int:
        """How many channels the images have."""

    @property
    def size(self) -> tuple[int, ...]:
        """The size along each axis of the images that a network gets."""

    @property
    def sizes(self) -> PreparedSizes | None:
        """Of volumes; None: pictures."""

    @property
    def settings(self) -> Any:
        """The resolved settings of the preparation."""

    def __len__(self) -> int:
        """How many cases there are."""

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """The indices of named cases.

        Raises:
            DatasetError: a name is not among them.
        """

    def preprocessing(self) -> dict[str, Any]:
        """Every step from a file to a network's input, as plain values. It is kept with a trained network."""
