"""Regions, which are unions of labels and may overlap, and voxels that nobody has labelled: both as nnU-Net has them.

A network that learns regions has an output for each; where it is above a half, the label of the region is written,
later regions over earlier ones. Isensee et al., "nnU-Net for Brain Tumor Segmentation" (arXiv 2011.00848), and
nnU-Net's ``region_based_training.md`` and ``ignore_label.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from netwright.data.issues import enumerate_words
from netwright.errors import DatasetError

IGNORE = -1
"""In ``map_label``, what a value is read as whose voxels are ignored."""

IGNORED_WORD = "ignore"
"""The same in a ``dataset.json``, as a name, and after ``--map-label``."""

IGNORED = 255
"""Among class indices, that of voxels that are ignored: not in the loss, not in the scores, in no foreground."""


@dataclass(frozen=True)
class Region:
    """Labels that count as one.

    Args:
        name: of the region.
        labels: values in a dataset; class indices in prepared data and in a network.
        written: the one of them that a voxel gets in which the network sees the region, and no later one.
    """

    name: str
    labels: tuple[int, ...]
    written: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(dict.fromkeys(self.labels)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Region:
        """The inverse of `to_dict`."""
        return cls(values["name"], tuple(values["labels"]), values["written"])

    def indexed(self, label_values: Sequence[int]) -> Region:
        """The same with class indices in place of values. ``label_values``: of the dataset, in order of class index."""
        index_of = {value: index for index, value in enumerate(label_values)}
        return replace(
            self, labels=tuple(index_of[value] for value in self.labels), written=index_of[self.written]
        )


def with_numbers(map_label: Any) -> Any:
    """The table that a user wrote, with `IGNORE` in place of the word; anything but a table as it is."""
    if not isinstance(map_label, Mapping):
        return map_label
    return {old: IGNORE if new == IGNORED_WORD else new for old, new in map_label.items()}


def meant_as(value: int) -> str:
    """What a value is read as, in words: a value of ``map_label``."""
    return IGNORED_WORD if value == IGNORE else str(value)


def in_order(named: Mapping[str, Sequence[int]]) -> tuple[Region, ...]:
    """Regions from name -> labels, in the order in which they are written.

    The label that is written is the first of the region's that no later one has; if all are in later ones, its first.

    >>> [region.written for region in in_order({"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)})]
    [2, 1, 4]
    """
    regions: list[Region] = []
    later: set[int] = set()
    for name, labels in reversed(list(named.items())):
        own = next((label for label in labels if label not in later), labels[0])
        regions.append(Region(name, tuple(labels), own))
        later |= set(labels)
    return tuple(reversed(regions))


def require_regions(regions: Sequence[Region], labels: Mapping[int, str], source: str) -> None:
    """Refuse regions that cannot be learned, or not be written.

    Args:
        regions: of a dataset, by values.
        labels: the values that there are, with their names.
        source: where the regions stand, for the error.

    Raises:
        DatasetError: a region is empty, has the background or a label that there is not, is written as a label that it
            does not have, has the name of another, or would never be seen, as a later one has all of its labels.
    """
    names = [region.name for region in regions]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DatasetError(
            f"{source} names the region {twice[0]!r} twice: expected a name for each. Rename one."
        )
    foreground = [value for value in labels if value != 0]
    for number, region in enumerate(regions):
        unknown = [value for value in region.labels if value not in foreground]
        if unknown or not region.labels:
            raise DatasetError(
                f"{source} gives the region {region.name!r} the labels {list(region.labels)}: expected some of "
                f"{enumerate_words(foreground)}"
                + (", as the background is in no region" if 0 in unknown else "")
                + ". Correct the region."
            )
        if region.written not in region.labels:
            raise DatasetError(
                f"{source} writes the region {region.name!r} as the label {region.written}: expected one of its own, "
                f"{enumerate_words(list(region.labels), 'or')}. Correct the order of the labels."
            )
        for later in regions[number + 1 :]:
            if set(region.labels) <= set(later.labels):
                raise DatasetError(
                    f"{source} writes the region {later.name!r} over {region.name!r}, of which it has all labels: "
                    "expected larger regions first. Change their order."
                )
