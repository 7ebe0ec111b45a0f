"""A section of the report: the worst, the median and the best test case of the searched network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from netwright.data.io.volumes import label_ending, read_image, read_label
from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.regions import IGNORED
from netwright.means import mean_known
from netwright.report import formatting
from netwright.report.draw.overlays import OverlayCase, draw_overlay, is_planar, label_colour
from netwright.report.draw.surfaces import VIEWS, hidden_labels, turning_views, webp_uri
from netwright.report.examples import worst_median_best
from netwright.report.run import ReportedRun
from netwright.report.sections import (
    TASK,
    Block,
    Case,
    Cell,
    Heading,
    Html,
    Picture,
    Row,
    Section,
    Sentences,
    Table,
    Turning,
)
from netwright.report.summaries import Comparison
from netwright.tasks.segmentation.data import LabelledCase, prepared_volumes

COLOURS = 3
"""The channels of an image that is drawn in colour."""

MOST_COLUMNS = 4
"""If there are more labels, only their mean is given beside a case."""

CAPTION = "Of {searched} on the test cases.{planes} The white line in the prediction is the truth's outline."
TRAININGS = " Scores are means over the trainings; the prediction is that of the one that is used."
PLANES = (
    " Axial, coronal and sagittal slices through the centre of the labels; radiological view, the patient's right "
    "on the left."
)


def overlays(run: ReportedRun) -> tuple[OverlayCase, ...]:
    """The cases, with image, truth and prediction, the latter two without voxels that are ignored. Empty before the
    searched network has been tested.
    """
    searched = run.searched
    if searched is None:
        return ()
    cases = {case.name: case for case in run.test if isinstance(case, LabelledCase)}
    volumes = prepared_volumes(run.prepared)
    means = {case: mean_known(dice.values()) for case, dice in searched.contestant.scores.items()}
    drawn = []
    for name, role in worst_median_best(means).items():
        case = cases[name]
        prediction = run.predictions / f"{name}{label_ending(case.images[0])}"
        drawn.append(_overlay(role, case, means[name], prediction, volumes))
    return tuple(drawn)


def _overlay(role: str, case: LabelledCase, dice: float, prediction: Path, volumes: Prepared) -> OverlayCase:
    image = read_image(case.images, case.time)
    values = volumes.label_values
    truth = case.classes(image.grid, values)
    predicted = np.searchsorted(np.asarray(values), read_label(prediction, image.grid)).astype(np.uint8)
    known = truth != IGNORED
    coloured = image.array.shape[0] == COLOURS and image.array.shape[-1] == 1
    return OverlayCase(
        role=role,
        name=case.name,
        dice=dice,
        image=np.moveaxis(image.array, 0, -1) if coloured else image.array[0],
        truth=truth * known,
        prediction=predicted * known,
        spacing=image.spacing,
    )


def cases_section(cases: Sequence[OverlayCase], comparison: Comparison, labels: Sequence[str]) -> Section:
    """Each case as a picture, with what every tested network reached on it.

    Args:
        cases: those that are shown.
        comparison: of the networks.
        labels: the names of the foreground labels in the pictures, in order of class index.

    Raises:
        ValueError: image and label maps of a case differ in shape, or an image is not one.
    """
    blocks: tuple[Block, ...] = ()
    if cases:
        planar = any(is_planar(case) for case in cases)
        several = any(summary.of_trainings for summary in comparison.summaries)
        told = (
            CAPTION.format(searched=comparison.searched, planes="" if planar else PLANES)
            + several * TRAININGS
        )
        caption = Sentences((told,), "caption")
        blocks = (caption, *(_case(case, comparison, labels) for case in cases))
    return Section("cases", "Worst, median and best case", blocks, TASK + 1, link="Cases")


def _case(case: OverlayCase, comparison: Comparison, labels: Sequence[str]) -> Case:
    overlay = draw_overlay(case)
    planes = "" if is_planar(case) else " in three planes"
    alt = f"{case.role} case {case.name}: image, truth and prediction{planes}"
    blocks = (
        Heading(f"{case.role.capitalize()}: {formatting.dice(case.dice)} Dice"),
        Sentences((case.name,)),
        _legend(case, labels),
        *_scores(case, comparison),
        Sentences((_size(case, cropped=overlay.cropped, slices=overlay.slices),), "caption"),
        *(() if is_planar(case) else (_surfaces(case, labels),)),
    )
    picture = Picture(overlay.uri, alt, overlay.width, overlay.height)
    return Case(("image", "truth", "prediction"), picture, blocks)


def _surfaces(case: OverlayCase, labels: Sequence[str]) -> Turning:
    """The case in 3D."""
    hidden = hidden_labels(case.truth)
    views = turning_views(case, hidden)
    alt = (
        f"3D view of {case.role} case {case.name} from the front: truth at the left, prediction at the right"
    )
    named = ", ".join(labels[value - 1] for value in hidden)
    caption = f"Without {named}, which would hide the others." if hidden else ""
    picture = Picture(webp_uri(views), alt, views.shape[1], views.shape[0])
    return Turning(picture, VIEWS, ("truth in 3D", "prediction in 3D"), caption)


def _legend(case: OverlayCase, labels: Sequence[str]) -> Html:
    entries = Markup("").join(
        Markup('<span><i style="background: {}"></i>{}</span>').format(label_colour(value), label)
        for value, label in enumerate(labels, start=1)
        if (case.truth == value).any() or (case.prediction == value).any()
    )
    outline = Markup('<span><i class="outline"></i>truth\'s outline</span>')
    return Html(Markup('<p class="legend">{}{}</p>').format(entries, outline))


def _scores(case: OverlayCase, comparison: Comparison) -> tuple[Block, ...]:
    labels = comparison.labels if len(comparison.labels) <= MOST_COLUMNS else ()
    rows = []
    for summary in comparison.summaries:
        by_label = summary.contestant.scores.get(case.name)
        if by_label is None or case.name not in summary.case_scores:
            continue
        dice = (summary.case_scores[case.name], *(by_label.get(label) for label in labels))
        title = Cell(formatting.sentence_case(summary.contestant.title))
        numbers = (Cell(formatting.dice(value), number=True) for value in dice)
        rows.append(Row((title, *numbers), "searched" if summary.searched else ""))
    head = (Cell("on this case"), *(Cell(name, number=True) for name in ("Dice", *labels)))
    return (Table(head, tuple(rows)),) if rows else ()


def _size(case: OverlayCase, *, cropped: bool, slices: Sequence[tuple[str, int]]) -> str:
    axes = 2 if is_planar(case) else 3
    shape = " × ".join(str(n) for n in case.truth.shape[:axes])
    if is_planar(case):
        return f"{shape} pixels."
    spacing = " × ".join(f"{s:.2f}".rstrip("0").rstrip(".") for s in case.spacing)
    around = ", cropped around the labels" if cropped else ""
    planes = ", ".join(f"{plane} {index}" for plane, index in slices)
    return f"{shape} voxels of {spacing} mm{around}. Slices {planes}."
