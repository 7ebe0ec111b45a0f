"""The distance between the surfaces of a predicted label and the true one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

HAUSDORFF = "hausdorff_95_mm"
"""The metric's name in files and tables; smaller is better."""

PERCENTILE = 95.0


def hausdorff_95_per_label(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    classes: int,
    spacing: Sequence[float],
    regions: Sequence[Sequence[int]] | None = None,
) -> NDArray[np.float64]:
    """Hausdorff distance of each foreground label, (classes - 1,), or of each region, in mm: the larger of the 95th
    percentiles of the distances from either surface to the other, between centres of voxels, by MONAI.

    NaN where a label is absent from both; infinite where it is absent from one, for which there is no distance. A
    volume of one slice, along whichever axis, is a picture: its surfaces are outlines. Voxels that are ignored belong
    to no label, so that both surfaces end where they begin.

    Args:
        prediction: class indices (X, Y, Z) under ``classes``.
        truth: the same; where it is ``classes`` or above, voxels are ignored.
        classes: background included.
        spacing: of the voxels along X, Y and Z, in mm.
        regions: as in `netwright.tasks.segmentation.metrics.dice.dice_per_label`.

    Raises:
        ValueError: the shapes differ, or are not of three axes.
    """
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    if prediction.shape != truth.shape or truth.ndim != 3:
        raise ValueError(
            f"Prediction and truth must have one shape (X, Y, Z), got {prediction.shape} and {truth.shape}."
        )
    flat = [axis for axis in range(3) if truth.shape[axis] == 1][-1:]  # two axes stay, as MONAI needs
    steps = np.delete(np.asarray(spacing, dtype=np.float64), flat).tolist()
    scored = [(label,) for label in range(1, classes)] if regions is None else regions
    prediction = np.where(truth < classes, prediction, 0) if int(truth.max()) >= classes else prediction
    distances = np.full(len(scored), np.nan)
    for row, labels in enumerate(scored):
        masks = (np.isin(array, labels) for array in (prediction, truth))
        pair = [torch.from_numpy(mask)[None, None] for mask in masks]
        there = [bool(mask.any()) for mask in pair]
        if all(there):
            one, other = (mask.squeeze(2 + flat[0]) if flat else mask for mask in pair)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 warns of an argument of its own
                distance = compute_hausdorff_distance(
                    one, other, include_background=True, percentile=PERCENTILE, spacing=steps
                )
            distances[row] = float(distance)
        elif any(there):
            distances[row] = np.inf
    return distances


def mean_distances(cases: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean distances from case -> label -> distance: over all labels, and "<name>.<label>" for each.

    Each is the mean over the cases in which truth and prediction both have the label. A label without such a case is
    left out.
    """
    by_label: dict[str, list[float]] = {}
    for labels in cases.values():
        for label, distance in labels.items():
            by_label.setdefault(label, []).extend([distance] if np.isfinite(distance) else [])
    means = {label: float(np.mean(values)) for label, values in by_label.items() if values}
    if not means:
        return {}
    named = {f"{HAUSDORFF}.{label}": mean for label, mean in means.items()}
    return {HAUSDORFF: float(np.mean(list(means.values()))), **named}


def undefined_distances(cases: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """Label -> the number of cases with an infinite distance: the label is missed, or predicted where it is not."""
    labels = dict.fromkeys(label for row in cases.values() for label in row)
    return {label: sum(bool(np.isinf(row.get(label, 0.0))) for row in cases.values()) for label in labels}
