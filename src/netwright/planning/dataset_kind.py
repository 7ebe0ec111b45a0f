"""What a dataset is for, asked in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.prepared import Prepared
from netwright.spaces.kinds import CLASSIFICATION, INPAINTING, SEGMENTATION

PICTURES_WITH_MASKS = "image-masks"
"""The format of pictures with masks, which are prepared as volumes of one slice."""


def task_kind(dataset: Dataset | ImageSet) -> str:
    """The task that a dataset is for."""
    if isinstance(dataset, ImageSet):
        return CLASSIFICATION if dataset.classes else INPAINTING
    return SEGMENTATION


def has_volumes(dataset: Dataset | ImageSet) -> bool:
    """Whether it holds volumes, not pictures."""
    return task_kind(dataset) == SEGMENTATION and dataset.format != PICTURES_WITH_MASKS


def has_masks(dataset: Dataset | ImageSet) -> bool:
    """Whether it holds pictures with masks."""
    return task_kind(dataset) == SEGMENTATION and not has_volumes(dataset)


def counted(dataset: Dataset | ImageSet) -> str:
    """How much it holds, in words."""
    return (
        f"{len(dataset.records)} pictures" if isinstance(dataset, ImageSet) else f"{len(dataset.cases)} cases"
    )


def labels_of(prepared: Prepared | PreparedImages, cases: Iterable[int]) -> dict[str, int]:
    """Label -> how many voxels of some cases have it. Without label maps there are no labels.

    Args:
        prepared: the data.
        cases: their indices.
    """
    if isinstance(prepared, PreparedImages):
        return {}
    counts = prepared.class_counts_of(cases)[1:]
    return dict(zip(prepared.label_names, counts.tolist(), strict=True))


def preparation(prepared: Prepared | PreparedImages) -> dict[str, Any]:
    """How data was prepared: the name of that table of settings, and its values."""
    section = "images" if isinstance(prepared, PreparedImages) else "preprocessing"
    return {section: prepared.settings.to_dict()}
