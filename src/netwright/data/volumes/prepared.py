"""A preprocessed dataset on disk: flat memory-mapped arrays that every process shares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netwright.data.splits import Part
from netwright.data.volumes.dataset import VOLUMES
from netwright.data.volumes.foreground import foreground_positions
from netwright.data.volumes.geometry import Geometry, Shape, Spacing
from netwright.data.volumes.preprocessing import PreprocessingSettings, coarse_shape
from netwright.data.volumes.regions import Region
from netwright.data.volumes.sizes import PreparedSizes, sizes_of
from netwright.errors import DatasetError

INDEX = "index.json"
IMAGES = "images.npy"
LABELS = "labels.npy"
FOREGROUND = "foreground.npy"
COARSE = "low-resolution.npy"
VERSION = 3


@dataclass(frozen=True)
class PreparedCase:
    """One case of a prepared dataset.

    Args:
        name: the name of the case.
        geometry: the way back to the file.
        voxels: the number of voxels of each class. All others are ignored.
        group: see `Case`.
        air: the value that pads each channel; empty: zeros.
        foreground: how many positions of each foreground class are kept, and of labelled voxels where others are
            ignored; None: an older cache has none.
        part: see `Case`.
    """

    name: str
    geometry: Geometry
    voxels: tuple[int, ...]
    group: str
    air: tuple[float, ...] = ()
    part: Part | None = None
    foreground: tuple[int, ...] | None = None

    @property
    def ignores(self) -> bool:
        """Whether it has voxels that are ignored."""
        return sum(self.voxels) < prod(self.geometry.size)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A preprocessed dataset: its cases in order of name, its volumes in canonical RAS axes.

    It pickles as the path of its folder, so that worker processes map the same pages of memory.

    Args:
        folder: where it lies.
        dataset: the name of the dataset.
        channel_names: the names of the image channels.
        label_names: the names of the foreground labels.
        label_values: the value of every class in the dataset's own files, background included.
        settings: the resolved settings of the preprocessing.
        cases: the cases.
        regions: unions of labels that are learned in place of the labels, by class index; none: the labels are.
    """

    kind: ClassVar[str] = VOLUMES
    task: ClassVar[str] = "segmentation"
    sliceable: ClassVar[bool] = True

    folder: Path
    dataset: str
    channel_names: tuple[str, ...]
    label_names: tuple[str, ...]
    label_values: tuple[int, ...]
    settings: PreprocessingSettings
    cases: tuple[PreparedCase, ...]
    regions: tuple[Region, ...] = ()

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return open_prepared, (self.folder,)

    def __len__(self) -> int:
        return len(self.cases)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the cases, in order of their indices."""
        return tuple(case.name for case in self.cases)

    def preprocessing(self) -> dict[str, Any]:
        """Every step from a file to a network's input, as plain values."""
        return self.settings.to_dict()

    @property
    def groups(self) -> dict[str, str]:
        """The group of every case, by name."""
        return {case.name: case.group for case in self.cases}

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The official part of each case, None where there is none."""
        return tuple(case.part for case in self.cases)

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return len(self.channel_names)

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.label_values)

    @cached_property
    def ignores(self) -> bool:
        """Whether any case has voxels that are ignored."""
        return any(case.ignores for case in self.cases)

    @property
    def size(self) -> Shape:
        """The network's input size in voxels."""
        assert isinstance(self.settings.size, tuple)
        return self.settings.size

    @cached_property
    def spacing(self) -> Spacing:
        """The voxel size of the prepared volumes in mm. Where cases differ, the median."""
        x, y, z = np.median([case.geometry.spacing for case in self.cases], axis=0).tolist()
        return x, y, z

    @property
    def sizes(self) -> PreparedSizes:
        """Of the volumes, without padding, and of the cache."""
        return sizes_of([case.geometry.grid for case in self.cases], self.settings, self.channels)

    def class_counts_of(self, indices: Iterable[int]) -> NDArray[np.int64]:
        """The number of voxels of each class (classes,) in some cases."""
        rows = [self.cases[index].voxels for index in indices]
        return np.asarray(np.array(rows, dtype=np.int64).reshape(-1, self.classes).sum(axis=0))

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """The indices of named cases.

        Raises:
            DatasetError: a name is not among the prepared cases.
        """
        position = {name: index for index, name in enumerate(self.names)}
        names = list(names)
        missing = [name for name in names if name not in position]
        if missing:
            raise DatasetError(
                f"{self.folder} has no case {missing[0]}: expected one of its {len(self)} cases, such as "
                f"{self.names[0]}. Was the dataset changed since the split was made?"
            )
        return tuple(position[name] for name in names)

    def image(self, index: int) -> NDArray[np.float32]:
        """The image (C, X, Y, Z) of a case, mapped read-only."""
        size = self.cases[index].geometry.size
        start = self._starts[index] * self.channels
        values: NDArray[np.float32] = self._images[start : start + self.channels * int(np.prod(size))]
        return values.reshape(self.channels, *size)

    def coarse(self, index: int) -> NDArray[np.float32]:
        """The image (C, X, Y, Z) of a case at low resolution, mapped read-only; only where the settings have one."""
        shape = self._coarse_shapes[index]
        start = self._coarse_starts[index] * self.channels
        values: NDArray[np.float32] = self._coarse[start : start + self.channels * prod(shape)]
        return values.reshape(self.channels, *shape)

    def label(self, index: int) -> NDArray[np.uint8]:
        """The class indices (X, Y, Z) of a case, or `IGNORED`, mapped read-only."""
        size = self.cases[index].geometry.size
        start = self._starts[index]
        values: NDArray[np.uint8] = self._labels[start : start + int(np.prod(size))]
        return values.reshape(size)

    def air(self, index: int) -> NDArray[np.float32]:
        """The value that pads each channel (C,) of a case."""
        return np.asarray(self.cases[index].air or (0.0,) * self.channels, dtype=np.float32)

    def shape(self, index: int) -> Shape:
        """The shape (X, Y, Z) of a case."""
        return self.cases[index].geometry.size

    def foreground(self, index: int) -> list[NDArray[np.int64]]:
        """Some voxels (n, 3) of each foreground class of a case, see `foreground_positions`."""
        return self._positions(index)[: self.classes - 1]

    def labelled(self, index: int) -> NDArray[np.int64]:
        """Some voxels (n, 3) of a case in which others are ignored, see `labelled_positions`; none of other cases."""
        return (self._positions(index)[self.classes - 1 :] or [np.empty((0, 3), np.int64)])[0]

    def _positions(self, index: int) -> list[NDArray[np.int64]]:
        counts = self.cases[index].foreground
        if counts is None:
            if index not in self._found:
                self._found[index] = foreground_positions(self.label(index), self.classes)
            flat = self._found[index]
        else:
            start = self._foreground_starts[index]
            flat = np.split(self._foreground[start : start + sum(counts)], np.cumsum(counts)[:-1])
        return [np.stack(np.unravel_index(places, self.shape(index)), axis=-1) for places in flat]

    def geometry(self, index: int) -> Geometry:
        """The way from a case's prepared grid back to the grid of its file."""
        return self.cases[index].geometry

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        volumes = [int(np.prod(case.geometry.size)) for case in self.cases]
        return np.concatenate([[0], np.cumsum(volumes)]).astype(np.int64)

    @cached_property
    def _images(self) -> Any:
        return np.load(self.folder / IMAGES, mmap_mode="r", allow_pickle=False)

    @cached_property
    def _coarse(self) -> Any:
        return np.load(self.folder / COARSE, mmap_mode="r", allow_pickle=False)

    @cached_property
    def _coarse_shapes(self) -> tuple[tuple[int, ...], ...]:
        factors = self.settings.coarse_factors
        assert factors is not None
        return tuple(coarse_shape(case.geometry.size, factors) for case in self.cases)

    @cached_property
    def _coarse_starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *map(prod, self._coarse_shapes)])

    @cached_property
    def _labels(self) -> Any:
        return np.load(self.folder / LABELS, mmap_mode="r", allow_pickle=False)

    @cached_property
    def _foreground(self) -> Any:
        return np.load(self.folder / FOREGROUND, mmap_mode="r", allow_pickle=False)

    @cached_property
    def _foreground_starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(sum(case.foreground or ()) for case in self.cases)])

    @cached_property
    def _found(self) -> dict[int, list[NDArray[np.int64]]]:
        """The positions in the cases whose cache has none."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The contents of the index file, as plain values."""
        return {
            "version": VERSION,
            "dataset": self.dataset,
            "channels": list(self.channel_names),
            "label_names": list(self.label_names),
            "label_values": list(self.label_values),
            "settings": self.settings.to_dict(),
            "regions": [region.to_dict() for region in self.regions],
            "cases": [
                {
                    "name": case.name,
                    "voxels": list(case.voxels),
                    "geometry": case.geometry.to_dict(),
                    "group": case.group,
                    "air": list(case.air),
                    "part": case.part,
                    "foreground": None if case.foreground is None else list(case.foreground),
                }
                for case in self.cases
            ],
        }

    @classmethod
    def from_dict(cls, folder: Path, values: Mapping[str, Any]) -> Prepared:
        """The inverse of `to_dict`, in a folder."""
        return cls(
            folder=folder,
            dataset=values["dataset"],
            channel_names=tuple(values["channels"]),
            label_names=tuple(values["label_names"]),
            label_values=tuple(values["label_values"]),
            settings=PreprocessingSettings.from_dict(values["settings"]),
            cases=tuple(
                PreparedCase(
                    case["name"],
                    Geometry.from_dict(case["geometry"]),
                    tuple(case["voxels"]),
                    case["group"],
                    tuple(case.get("air", ())),
                    case.get("part"),  # older caches have none
                    None if case.get("foreground") is None else tuple(case["foreground"]),
                )
                for case in values["cases"]
            ),
            regions=tuple(map(Region.from_dict, values.get("regions", ()))),  # older caches have none
        )


def open_prepared(folder: Path) -> Prepared:
    """Opens a dataset that `prepare` has written.

    Raises:
        DatasetError: the folder holds no prepared dataset, or is of another version or damaged.
    """
    folder = Path(folder)
    advice = "Delete the folder and prepare the dataset again."
    try:
        values = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            raise DatasetError(
                f"{folder} holds a cache of version {values['version']}: expected version {VERSION}. {advice}"
            )
        prepared = Prepared.from_dict(folder, values)
        voxels = int(prepared._starts[-1])
        expected = {IMAGES: (voxels * prepared.channels, "<f4"), LABELS: (voxels, "|u1")}
        arrays = {IMAGES: prepared._images, LABELS: prepared._labels}
        if any(case.foreground is not None for case in prepared.cases):
            positions = int(prepared._foreground_starts[-1])
            expected[FOREGROUND], arrays[FOREGROUND] = (positions, "<i8"), prepared._foreground
        if prepared.settings.coarse_factors is not None:
            coarse = prepared.channels * int(prepared._coarse_starts[-1])
            expected[COARSE], arrays[COARSE] = (coarse, "<f4"), prepared._coarse
        for name, array in arrays.items():
            if (array.size, array.dtype.str) != expected[name]:
                raise DatasetError(
                    f"{folder / name} holds {array.size} values of type {array.dtype}: expected "
                    f"{expected[name][0]} of type {np.dtype(expected[name][1])}. {advice}"
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder} is not a complete preprocessed dataset: expected {INDEX}, {IMAGES} and {LABELS}, but "
            f"{error}. {advice}"
        ) from error
    return prepared
