"""What the labels of a dataset mean where its layout does not say: regions, and values that are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netwright.data.issues import enumerate_words
from netwright.data.layouts.description import regions_in
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.regions import IGNORE, in_order, require_regions
from netwright.errors import DatasetError


def with_meaning(
    dataset: Dataset, description: Mapping[str, Any], regions: Mapping[str, Sequence[int]]
) -> Dataset:
    """The dataset with regions, and without labels that are ignored.

    Args:
        dataset: as its layout reads it.
        description: its ``dataset.json``, whose regions are taken if none are given.
        regions: name -> labels that the user gave.

    Raises:
        DatasetError: a region cannot be learned, or no label is left.
    """
    left = _without_ignored(dataset)
    if not regions:
        return replace(left, regions=regions_in(dataset.root, description))
    require_regions(given := in_order(regions), left.labels, "--region")
    return replace(left, regions=given)


def _without_ignored(dataset: Dataset) -> Dataset:
    """The dataset without the names of values that are ignored, unless another value is read as one of them.

    Raises:
        DatasetError: no label is left.
    """
    ignored = {old for old, new in dataset.map_label.items() if new == IGNORE} - {*dataset.map_label.values()}
    named = {value: name for value, name in dataset.labels.items() if value not in ignored}
    if len(named) == len(dataset.labels):
        return dataset
    if 0 not in named or len(named) < 2:
        raise DatasetError(
            f"--map-label ignores {enumerate_words(sorted(ignored))} of the labels of {dataset.root}, "
            f"{enumerate_words(list(dataset.labels))}: expected 0 for background and at least one other to be left. "
            "Ignore fewer."
        )
    return replace(dataset, labels=named)
