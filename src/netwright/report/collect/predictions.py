"""Test cases for the report to show: overlays of segmentations, confusions and mistakes of classifications, restored
pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.settings import WHITE
from netwright.data.io.images import read_picture
from netwright.data.io.volumes import label_ending, read_image, read_label
from netwright.means import mean_known
from netwright.report.content import ConfusionMatrix, ImageExample, OverlayCase, Restoration
from netwright.report.draw.classification import MISTAKES
from netwright.report.examples import worst_median_best
from netwright.runs.data import Material
from netwright.runs.folder import RunFolder
from netwright.tasks.classification.predictor import PREDICTIONS, read_table
from netwright.tasks.images import prepared_pictures
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.data import LabelledCase, prepared_volumes

COLOURS = 3


def overlays(
    folder: RunFolder, results: Sequence[Mapping[str, Any]], material: Material
) -> tuple[OverlayCase, ...]:
    """The winner's worst, median and best test case of a segmentation."""
    winner = _winner(results)
    if winner is None or material.prepared.task != "segmentation":
        return ()
    cases = {case.name: case for case in material.test if isinstance(case, LabelledCase)}
    values = prepared_volumes(material.prepared).label_values
    means = {case: mean_known(dice.values()) for case, dice in winner["scores"].items()}
    found = []
    for name, role in worst_median_best(means).items():
        case = cases[name]
        prediction = folder.winner / "predictions" / f"{name}{label_ending(case.images[0])}"
        found.append(_overlay(role, case, means[name], prediction, values))
    return tuple(found)


def _winner(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The result of the searched network, None where it has not been tested."""
    return next((r for r in results if r["name"] == "searched" and r["scores"]), None)


def restorations(
    folder: RunFolder, results: Sequence[Mapping[str, Any]], material: Material, masks: MaskSettings | None
) -> tuple[Restoration, ...]:
    """The test pictures of which the winner restored the worst, the median and the best."""
    winner = _winner(results)
    if winner is None or masks is None:
        return ()
    prepared = prepared_pictures(material.prepared)
    from netwright.data.images.inpainting_masks import MISSING, fixed_masks

    psnr = {name: scores[InpaintingTask.metric] for name, scores in winner["scores"].items()}
    found = []
    for name, role in worst_median_best(psnr).items():
        (index,) = prepared.indices([name])
        truth = prepared.image(index)
        restored = read_picture(folder.winner / "predictions" / f"{name}.png").pixels / np.float32(255)
        missing = fixed_masks(masks, prepared.size, [index]).numpy()[0]
        found.append(
            Restoration(
                role=role,
                name=name,
                score=psnr[name],
                given=np.where(missing, np.float32(MISSING), truth),
                result=np.moveaxis(np.atleast_3d(restored), -1, 0),
                truth=truth,
            )
        )
    return tuple(found)


def _overlay(
    role: str, case: LabelledCase, dice: float, prediction: Path, values: Sequence[int]
) -> OverlayCase:
    image = read_image(case.images, case.time)
    found = read_label(prediction, image.grid)
    coloured = image.array.shape[0] == COLOURS and image.array.shape[-1] == 1
    return OverlayCase(
        role=role,
        name=case.name,
        dice=dice,
        image=np.moveaxis(image.array, 0, -1) if coloured else image.array[0],
        truth=case.classes(image.grid, values),
        prediction=np.searchsorted(np.asarray(values), found).astype(np.uint8),
        spacing=image.spacing,
    )


def confusion(folder: RunFolder, material: Material) -> ConfusionMatrix | None:
    """Which class the winner takes for which, on the test pictures; None where there is no such test."""
    table = folder.winner / "predictions" / PREDICTIONS
    if not table.exists():
        return None
    classes = prepared_pictures(material.prepared).class_names
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for row in read_table(table, classes):
        counts[classes.index(row.truth), classes.index(row.found)] += 1
    return ConfusionMatrix(classes, counts)


def mistakes(folder: RunFolder, material: Material) -> tuple[ImageExample, ...]:
    """The test pictures that the winner takes for another class, the surest mistakes first."""
    table = folder.winner / "predictions" / PREDICTIONS
    if not table.exists():
        return ()
    prepared = prepared_pictures(material.prepared)
    wrong = [row for row in read_table(table, prepared.class_names) if row.truth != row.found]
    wrong = sorted(wrong, key=lambda row: -row.probability)[:MISTAKES]
    white = WHITE[prepared.preparation.depth]
    images = prepared.raw_images(prepared.indices(row.picture for row in wrong)) if wrong else ()
    return tuple(
        ImageExample(
            image=np.clip(image.astype(np.float32) / white, 0, 1),
            truth=row.truth,
            prediction=row.found,
            probability=row.probability,
            name=row.picture,
        )
        for row, image in zip(wrong, images, strict=True)
    )
