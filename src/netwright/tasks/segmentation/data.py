"""Labelled images to segment: datasets and prepared data of the kind that the task takes, and cases to test on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.data.io.alignment import misplacement
from netwright.data.io.formats import is_flat
from netwright.data.io.grid import Grid
from netwright.data.io.masks import require_one_orientation
from netwright.data.io.volumes import read_label, read_label_grid
from netwright.data.issues import UnusableFile
from netwright.data.volumes.checks import case_problem
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.labels import class_indices, count_values, unnamed_values
from netwright.data.volumes.prepared import Prepared
from netwright.errors import DatasetError, DatasetWarning


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

    ``time``: as in `Case`.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    map_label: dict[int, int]
    time: int | None = None

    def classes(self, grid: Grid, label_values: Sequence[int]) -> NDArray[np.uint8]:
        """The true class indices (X, Y, Z), or `IGNORED`, in canonical axes. ``grid``: of the image, as it is read.

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
        if unknown := unnamed_values(values_present.tolist(), label_values, self.map_label):
            raise DatasetError(
                f"{self.label} has the label value {unknown[0]:g}; the network knows "
                f"{', '.join(map(str, label_values))}. Map it with --map-label {unknown[0]:g}=..., or correct the file."
            )
        return class_indices(labels, label_values, self.map_label)


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
    return LabelledCase(case.name, case.images, case.label, dict(dataset.map_label), case.time)
