"""Labelled images to segment: datasets and prepared data of the kind that the task takes, and cases to test on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.data.io.alignment import misplacement
from netwright.data.io.formats import is_flat
from netwright.data.io.grid import Grid
from netwright.data.io.masks import require_one_orientation
from netwright.data.io.volumes import read_label, read_label_grid
from netwright.data.issues import UnusableFile, enumerate_words
from netwright.data.volumes.checks import case_problem
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.labels import class_indices, count_values, unnamed_values, values_by_name
from netwright.data.volumes.prepared import Prepared
from netwright.errors import DatasetError, DatasetWarning

_WITHOUT_NAME = ("label ", "foreground")
"""What labels are called that nobody has named."""


def labelled_dataset(dataset: AnyDataset) -> Dataset:
    """The dataset as one of images with label maps.

    Raises:
        DatasetError: it holds pictures without label maps.
    """
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"{dataset.root} holds pictures without label maps; the network segments images.")
    return dataset


def prepared_volumes(prepared: AnyPrepared) -> Prepared:
    """The prepared data as volumes with label maps.

    Raises:
        DatasetError: it holds pictures without label maps.
    """
    if not isinstance(prepared, Prepared):
        raise DatasetError(f"{prepared.folder} holds prepared pictures: expected volumes with label maps.")
    return prepared


@dataclass(frozen=True)
class LabelledCase:
    """A labelled case to test on: its files, and the changes of label values that the dataset was read with.

    ``time``: as in `Case`. ``labels``: value -> name of the dataset.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    map_label: dict[int, int]
    time: int | None = None
    labels: Mapping[int, str] = field(default_factory=dict)

    def classes(
        self, grid: Grid, label_values: Sequence[int], known: Mapping[int, str] = MappingProxyType({})
    ) -> NDArray[np.uint8]:
        """The true class indices (X, Y, Z), or `IGNORED`, in canonical axes.

        Labels go by their names where the network knows all of them, otherwise by their values.

        Args:
            grid: that of the image, as it is read.
            label_values: of the network, in order of class index.
            known: value -> name of each label of the network but background.

        Warns:
            DatasetWarning: the label map lies a little beside its image.

        Raises:
            DatasetError: the label map is unusable, lies on another grid than the image, or has other values.
        """
        if is_flat(self.label):
            require_one_orientation(self.images[0], self.label)
        labels = read_label(self.label, grid, self.time)
        if problem := misplacement(self.label, read_label_grid(self.label, grid), grid, self.images[0].name):
            warnings.warn(str(problem), DatasetWarning, stacklevel=2)
        values_present, _ = count_values(labels)
        by_name = values_by_name(self.labels, known)
        meant = {value: by_name.get(to, to) for value, to in self.map_label.items()}
        map_label = {**by_name, **meant}
        if unknown := unnamed_values(values_present.tolist(), label_values, map_label):
            raise DatasetError(
                f"{self.label} has the label value {unknown[0]:g}; the network knows "
                f"{', '.join(map(str, label_values))}. Map it with --map-label {unknown[0]:g}=..., or correct the file."
            )
        return class_indices(labels, label_values, map_label)


def tell_names(cases: Sequence[LabelledCase], known: Mapping[int, str]) -> None:
    """Warn where labels of a dataset have other values than those of the same names of a network, or other names.

    Args:
        cases: of the dataset.
        known: as in `LabelledCase.classes`.
    """
    if not cases:
        return
    labels = {value: name for value, name in cases[0].labels.items() if value in known}
    if by_name := values_by_name(cases[0].labels, known):
        pairs = [f"{value} is {known[to]}, which the network has as {to}" for value, to in by_name.items()]
        warnings.warn(
            f"labels go by their names: {enumerate_words(pairs)}. If the numbers are right and the names are not, "
            "correct the names in the dataset.",
            DatasetWarning,
            stacklevel=3,
        )
        return
    others = [value for value, name in labels.items() if name.casefold() != known[value].casefold()]
    if others and not all(labels[value].startswith(_WITHOUT_NAME) for value in others):
        pairs = [f"{value} is {labels[value]} here and {known[value]} in the network" for value in others]
        warnings.warn(
            f"labels go by their values, as the network does not know all of the names: {enumerate_words(pairs)}.",
            DatasetWarning,
            stacklevel=3,
        )


def written_regions(prepared: Prepared) -> str:
    """The regions with their labels, in words, in the order in which they are written."""
    names = ("background", *prepared.label_names)
    return "; ".join(
        f"{region.name} ({', '.join(names[index] for index in region.labels)}; written as {names[region.written]})"
        for region in prepared.regions
    )


def ignored_voxels(prepared: Prepared) -> str:
    """The share of voxels that are ignored, in words."""
    voxels = sum(prod(case.geometry.size) for case in prepared.cases)
    ignored = 1 - int(prepared.class_counts_of(range(len(prepared))).sum()) / voxels
    return f"{100 * ignored:.3g} % of the voxels, which are in no loss and in no score"


def labelled(case: Case, dataset: Dataset) -> LabelledCase:
    """A case of a dataset, ready for testing.

    Raises:
        DatasetError: it has no label map, or another problem.
    """
    if (problem := case_problem(case, dataset)) is not None:
        raise UnusableFile(problem)
    if case.label is None:
        raise DatasetError(
            f"{dataset.root}: case {case.name} has no label map; expected one to test against."
        )
    return LabelledCase(
        case.name, case.images, case.label, dict(dataset.map_label), case.time, dataset.labels
    )
