"""Slices of prepared volumes: two-dimensional items to train on, each with the way back to its volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.geometry import Geometry
from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.regions import IGNORED
from netwright.errors import SettingsError
from netwright.setting_fields import setting

AXES = {"x": 0, "y": 1, "z": 2, "sagittal": 0, "coronal": 1, "axial": 2}
"""The canonical axis that the slices of each name are normal to."""


@dataclass(frozen=True)
class SliceSettings:
    """Which slices of a volume a network is trained on; survives a round trip through JSON.

    Without ``axis`` it is the one along which the volumes are one voxel thin; else the one with the largest spacing,
    that of the files where the volumes were resampled to cubic voxels; else the last.

    Raises:
        SettingsError: a value that is not known.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    axis: int | str | None = setting(
        None,
        "the axis that slices are normal to: `0`, `1`, `2`, `x`, `y`, `z`, `sagittal`, `coronal` or "
        "`axial`; `null`: the axis with the largest spacing, else the last",
    )
    empty: Literal["keep", "drop"] | float = setting(
        "keep",
        "slices without foreground in training: `keep` all, `drop` all, or keep a share of them, from 0 to 1",
    )

    def __post_init__(self) -> None:
        if self.axis is not None and self.axis not in (*AXES, 0, 1, 2):
            raise SettingsError(
                f"axis is {self.axis!r}: expected 0, 1 or 2, or one of {', '.join(AXES)}; or null, to choose it "
                "from the spacing."
            )
        known = self.empty in ("keep", "drop") if isinstance(self.empty, str) else 0 <= self.empty <= 1
        if not known:
            raise SettingsError(
                f"empty is {self.empty!r}: expected keep, drop, or the share from 0 to 1 of empty slices to keep."
            )

    @property
    def share(self) -> float:
        """The share of empty slices that is kept."""
        return {"keep": 1.0, "drop": 0.0}[self.empty] if isinstance(self.empty, str) else float(self.empty)

    def axis_of(self, prepared: Prepared) -> int:
        """The canonical axis, from 0 to 2, chosen from the prepared volumes where none is set."""
        if self.axis is not None:
            return AXES[self.axis] if isinstance(self.axis, str) else self.axis
        thin = [
            axis for axis in range(3) if all(len(case.geometry.inside(axis)) == 1 for case in prepared.cases)
        ]
        if thin:
            return thin[-1]
        spacing = np.array(prepared.spacing)
        if np.ptp(spacing) <= 0.001 * spacing.max():  # resampled to cubes: the scans' own slices are meant
            spacing = np.median([case.geometry.grid.spacing for case in prepared.cases], axis=0)
        return int(np.flatnonzero(spacing >= spacing.max() * 0.999)[-1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SliceSettings:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class Scans:
    """Prepared volumes without the padding along one axis. Their slices are the slices of the scans.

    Args:
        prepared: the volumes.
        axis: the canonical axis perpendicular to the slices.
    """

    def __init__(self, prepared: Prepared, axis: int) -> None:
        self.prepared = prepared
        self.axis = axis

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return self.prepared.channels

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The size of the voxels in mm."""
        return self.prepared.spacing

    @cached_property
    def positions(self) -> tuple[range, ...]:
        """The positions of each case's slices along the axis of the prepared volume."""
        return tuple(case.geometry.inside(self.axis) for case in self.prepared.cases)

    def image(self, index: int) -> NDArray[np.float32]:
        """The image (C, X, Y, Z) of a case, mapped read-only."""
        image: NDArray[np.float32] = self.prepared.image(index)[:, *self._kept(index)]
        return image

    def label(self, index: int) -> NDArray[np.uint8]:
        """The class indices (X, Y, Z) of a case, mapped read-only."""
        label: NDArray[np.uint8] = self.prepared.label(index)[self._kept(index)]
        return label

    def air(self, index: int) -> NDArray[np.float32]:
        """The value that pads each channel (C,) of a case."""
        return self.prepared.air(index)

    def geometry(self, index: int) -> Geometry:
        """The way from these voxels back to the case's file."""
        return self.prepared.cases[index].geometry.without_padding(self.axis)

    def class_counts_of(self, indices: Iterable[int]) -> NDArray[np.int64]:
        """The number of voxels of each class (classes,) in some cases."""
        indices = list(indices)
        counts = np.array(self.prepared.class_counts_of(indices), dtype=np.int64)
        for index in indices:  # padding is background throughout
            padded = self.prepared.cases[index].geometry.size
            counts[0] -= prod(padded) - prod(self.geometry(index).size)
        return counts

    def _kept(self, index: int) -> tuple[slice, ...]:
        kept = self.positions[index]
        return tuple(slice(kept.start, kept.stop) if one == self.axis else slice(None) for one in range(3))


class Slices:
    """A view of prepared volumes as slices along one axis. Nothing is copied before a slice is used.

    A slice has the index of its case and a position along the axis, from the first slice of the scan. The padding of a
    volume has no slices. The two other axes keep their order.

    Args:
        prepared: the volumes.
        settings: which axis, and what happens to empty slices.
    """

    def __init__(self, prepared: Prepared, settings: SliceSettings) -> None:
        self.settings = settings
        self.axis = settings.axis_of(prepared)
        self.scans = Scans(prepared, self.axis)
        self._filled: dict[tuple[int, tuple[int, ...]], NDArray[np.bool_]] = {}

    @property
    def prepared(self) -> Prepared:
        """The volumes as they were prepared, with padding."""
        return self.scans.prepared

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return self.prepared.channels

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return self.prepared.classes

    @property
    def size(self) -> tuple[int, int]:
        """The network's input size in pixels: the prepared size without the axis of the slices."""
        first, second = self._rest(self.prepared.size)
        return first, second

    @property
    def spacing(self) -> tuple[float, float]:
        """The size of the pixels in mm."""
        first, second = self._rest(self.prepared.spacing)
        return first, second

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of slices of each case."""
        return tuple(map(len, self.scans.positions))

    def of(self, cases: Iterable[int]) -> list[tuple[int, int]]:
        """(case, position) of the training slices of some cases, in order; none of which every pixel is ignored.

        Where the cases hold no foreground at all, these are all their slices, so that there is always a slice to train
        on.
        """
        cases = list(cases)
        chosen = [(case, position) for case in cases for position in self._chosen(case)]
        return chosen or self.all_of(cases)

    def all_of(self, cases: Iterable[int]) -> list[tuple[int, int]]:
        """(case, position) of every slice of some cases, in order, whatever the settings."""
        return [(case, position) for case in cases for position in range(self.lengths[case])]

    def image(self, case: int, position: int) -> NDArray[np.float32]:
        """One slice (C, H, W) of a case's image."""
        return np.ascontiguousarray(self.scans.image(case).take(position, axis=self.axis + 1))

    def label(self, case: int, position: int) -> NDArray[np.uint8]:
        """The class indices (H, W) of one slice."""
        return np.ascontiguousarray(self.scans.label(case).take(position, axis=self.axis))

    def class_counts_of(self, cases: Iterable[int]) -> NDArray[np.int64]:
        """The number of pixels of each class (classes,) in the training slices of some cases."""
        cases = list(cases)
        if self.prepared.ignores:
            slices = [self.label(*place) for place in self.of(cases)]
            return sum(
                (np.bincount(one.ravel(), minlength=IGNORED)[: self.classes] for one in slices),
                np.zeros(self.classes, np.int64),
            )
        counts = self.scans.class_counts_of(cases)
        kept = Counter(case for case, _ in self.of(cases))
        for case in cases:  # what is left out holds nothing but background
            pixels = prod(self._rest(self.prepared.cases[case].geometry.size))
            counts[0] -= (self.lengths[case] - kept[case]) * pixels
        return counts

    def _chosen(self, case: int) -> list[int]:
        share, ignores = self.settings.share, self.prepared.cases[case].ignores
        if share == 1 and not ignores:
            return list(range(self.lengths[case]))
        filled = self._with(case, 0, IGNORED)
        empty = np.flatnonzero(~filled & self._with(case, IGNORED) if ignores else ~filled)
        kept = empty[_evenly_spaced(len(empty), round(share * len(empty)))]
        return sorted([*np.flatnonzero(filled).tolist(), *kept.tolist()])

    def _with(self, case: int, *others: int) -> NDArray[np.bool_]:
        """For each slice of a case, whether any pixel is none of ``others``. It is computed once."""
        if (case, others) not in self._filled:
            within = tuple(axis for axis in range(3) if axis != self.axis)
            label = self.scans.label(case)
            found = np.logical_and.reduce([label != other for other in others]).any(axis=within)
            self._filled[case, others] = np.asarray(found)
        return self._filled[case, others]

    def _rest(self, values: Sequence[Any]) -> list[Any]:
        return [value for axis, value in enumerate(values) if axis != self.axis]


def _evenly_spaced(length: int, count: int) -> NDArray[np.intp]:
    """``count`` of the indices below ``length``, as evenly spaced as whole numbers allow."""
    return ((np.arange(count) + 0.5) * length / max(count, 1)).astype(np.intp)
