"""How well the label maps of a network fit the truth, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import OnCase
from netwright.data.io.volumes import label_ending, read_image, write_label_map
from netwright.tasks.predictor import Scores
from netwright.tasks.segmentation.data import tell_names
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.metrics.surface_distance import hausdorff_95_per_label
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.segmenting import SegmentingNetwork


@dataclass(frozen=True)
class SegmentationTest:
    """How a network does on cases, on their own grids.

    ``dice``: NaN where a label is absent from truth and prediction. ``distances``: the Hausdorff distance, 95 %, in
    mm: NaN where absent from both, infinite where absent from one. ``dice_without_crf``: of the network's own
    probabilities; empty where it has no CRF. ``dice_with_unkept_crf``: with one that was fitted and is not used; empty
    where there is none.
    """

    dice: Scores
    distances: Scores
    dice_without_crf: Scores
    dice_with_unkept_crf: Scores


def score_cases(
    network: SegmentingNetwork,
    cases: Sequence[Any],
    predictions: Path | None = None,
    on_case: OnCase | None = None,
    unkept: DenseCRF | None = None,
) -> SegmentationTest:
    """How every foreground label, or region, fits the truth on every case's own grid.

    Args:
        network: the network, with the CRF that it is used with.
        cases: `LabelledCase` each.
        predictions: the folder for label maps; None: none are written.
        on_case: called with the number of cases done and of all cases.
        unkept: a CRF whose scores are measured besides.

    Raises:
        MemoryShortage: a CRF needs more memory than there is.
    """
    tell_names(cases, network.names)
    result = SegmentationTest({}, {}, {}, {})
    for number, case in enumerate(cases, 1):
        volume = read_image(case.images, case.time)
        prepared, grid = network.prepared(volume, case.images), volume.grid
        del volume  # a large one would stay in memory
        for crf in (network.crf, unkept):
            if crf is not None:
                network.require_memory(prepared, crf, case.images)
        truth = case.classes(grid, network.label_values, network.names)
        slabs = network.slabs(prepared.image, prepared.air)
        read_once = network.crf is None and unkept is None
        own = slabs if read_once else slabs.whole()
        prediction = prepared.geometry.restore(network.refined(own, prepared, network.crf, case.images))
        if predictions is not None:
            _write_prediction(network, predictions, case.name, prediction, case.images[0])
        labels = grid.to_canonical(prediction)
        result.dice[case.name] = _dice(network.task, labels, truth)
        scored = list(network.task.scored.values())
        result.distances[case.name] = _named(
            network.task, hausdorff_95_per_label(labels, truth, network.task.labels, grid.spacing, scored)
        )
        if network.crf is not None:
            plain = grid.to_canonical(prepared.geometry.restore(own))
            result.dice_without_crf[case.name] = _dice(network.task, plain, truth)
        if unkept is not None:
            refined = prepared.geometry.restore(network.refined(own, prepared, unkept, case.images))
            result.dice_with_unkept_crf[case.name] = _dice(network.task, grid.to_canonical(refined), truth)
        if on_case is not None:
            on_case(number, len(cases))
    return result


def _dice(task: SegmentationTask, labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    return _named(task, task.dice(labels, truth))


def _named(task: SegmentationTask, scores: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(task.scored, map(float, scores), strict=True))


def _write_prediction(
    network: SegmentingNetwork, folder: Path, name: str, labels: NDArray[np.uint8], image: Path
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{label_ending(image)}"
    write_label_map(path, labels, image, network.label_values)
    return path
