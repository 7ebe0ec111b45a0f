"""The report of restored pictures: the input of a network, its result, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.data.io.images import read_picture
from netwright.report import formatting
from netwright.report.draw.pictures import GAP, TILE, png_uri
from netwright.report.examples import worst_median_best
from netwright.report.metrics import metric_named
from netwright.report.run import ReportedRun
from netwright.report.sections import (
    TASK,
    Block,
    Case,
    Cell,
    Heading,
    Picture,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.summaries import Comparison, Summary
from netwright.tasks.images import prepared_pictures
from netwright.tasks.inpainting.task import InpaintingTask

CAPTION = (
    "{searched} on the test images: its input (missing pixels are black), its output (the whole "
    "image), and the true image."
)


@dataclass(frozen=True)
class Restoration:
    """A test image that was restored: its ``score`` (PSNR in dB), what was ``given``, the ``result`` and the ``truth``,
    these (C, H, W), values 0 to 1.
    """

    role: str
    name: str
    score: float
    given: NDArray[np.float32]
    result: NDArray[np.float32]
    truth: NDArray[np.float32]


def report_sections(run: ReportedRun) -> tuple[Section, ...]:
    """The sections of the task."""
    return (cases_section(restorations(run), run.comparison),)


def restorations(run: ReportedRun) -> tuple[Restoration, ...]:
    """The test pictures that the searched network restored worst, best, and at the median."""
    from netwright.data.images.inpainting_masks import MISSING, fixed_masks

    searched, masks = run.searched, run.settings.inpainting
    if searched is None or masks is None:
        return ()
    prepared = prepared_pictures(run.prepared)
    psnr = {name: scores[InpaintingTask.metric] for name, scores in searched.contestant.scores.items()}
    cases = []
    for name, role in worst_median_best(psnr).items():
        (index,) = prepared.indices([name])
        truth = prepared.image(index)
        restored = read_picture(run.predictions / f"{name}.png").pixels / np.float32(255)
        missing = fixed_masks(masks, prepared.size, [index]).numpy()[0]
        cases.append(
            Restoration(
                role=role,
                name=name,
                score=psnr[name],
                given=np.where(missing, np.float32(MISSING), truth),
                result=np.moveaxis(np.atleast_3d(restored), -1, 0),
                truth=truth,
            )
        )
    return tuple(cases)


def cases_section(pictures: Sequence[Restoration], comparison: Comparison) -> Section:
    """Each picture, with the score of every tested network.

    Raises:
        ValueError: a picture's parts differ in shape, or have another number of channels than one or three.
    """
    rows = restoration_rows(pictures, comparison.summaries, comparison.labels)
    blocks: tuple[Block, ...] = ()
    if rows:
        caption = CAPTION.format(searched=formatting.sentence_case(comparison.searched))
        blocks = (Sentences((caption,), "caption"), *(_case(row, comparison.labels) for row in rows))
    return Section("cases", "Worst, median and best image", blocks, TASK + 1, link="Cases")


def _case(row: dict[str, Any], columns: Sequence[str]) -> Case:
    names = (metric_named(column).name for column in columns)
    scores = tuple(
        Row(
            (Cell(one["title"]), *(Cell(value, number=True) for value in one["values"])),
            "searched" if one["searched"] else "",
        )
        for one in row["scores"]
    )
    table = Table((Cell("on this image"), *(Cell(name, number=True) for name in names)), scores)
    blocks = (
        Heading(f"{row['role'].capitalize()}: {row['value']}"),
        Sentences((row["name"],)),
        *((table,) if scores else ()),
        Sentences((f"{row['size']} pixels.",), "caption"),
    )
    alt = f"{row['role']} image {row['name']}: input, result and truth"
    return Case(("input", "result", "truth"), Picture(row["uri"], alt, row["width"], row["height"]), blocks)


def restoration_rows(
    restorations: Sequence[Restoration], summaries: Sequence[Summary], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a picture: role, name and size, the three pictures side by side as one, and what every tested network
    reached on it in the metrics ``columns``, the principal one first.

    Args:
        restorations: the examples.
        summaries: of the networks that were tested.
        columns: the metrics, the principal one first.
    """
    return [_row(one, summaries, columns) for one in restorations]


def _row(one: Restoration, summaries: Sequence[Summary], columns: Sequence[str]) -> dict[str, Any]:
    strip = _strip((one.given, one.result, one.truth))
    height, width = one.truth.shape[1:]
    return {
        "role": one.role,
        "name": one.name,
        "value": f"{metric_named(columns[0]).value(one.score)} {metric_named(columns[0]).name}",
        "uri": png_uri(strip),
        "width": strip.shape[1],
        "height": strip.shape[0],
        "size": f"{height} × {width}",
        "scores": [
            {
                "title": formatting.sentence_case(s.contestant.title),
                "searched": s.searched,
                "values": [
                    metric_named(name).value(s.contestant.scores[one.name].get(name)) for name in columns
                ],
            }
            for s in summaries
            if one.name in s.case_scores
        ],
    }


def _strip(pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Pictures (C, H, W) of one shape beside each other, (rows, columns, 3), small ones enlarged.

    Raises:
        ValueError: they differ in shape, or have other numbers of channels than one and three.
    """
    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1 or pictures[0].ndim != 3 or len(pictures[0]) not in (1, 3):
        raise ValueError(f"pictures of the shapes {sorted(shapes)}: expected one (1 or 3, height, width)")
    tiles = [_tile(picture) for picture in pictures]
    height, width = tiles[0].shape[:2]
    strip = np.full((height, 3 * width + 2 * GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        left = number * (width + GAP)
        strip[:, left : left + width] = tile
    return strip


def _tile(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture enlarged by a whole factor, so that masks stay sharp. A large picture is made smaller."""
    colours = picture if len(picture) == 3 else np.repeat(picture, 3, axis=0)
    pixels = np.clip(np.rint(255 * colours), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    longer = max(pixels.shape[:2])
    if longer <= TILE:
        return pixels.repeat(TILE // longer, axis=0).repeat(TILE // longer, axis=1)
    small = Image.fromarray(np.ascontiguousarray(pixels))
    small.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    return np.asarray(small)
