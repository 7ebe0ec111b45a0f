"""What inpainting shows of test cases: what a network is given, what it makes of it, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.report import formatting
from netwright.report.content import Restoration
from netwright.report.draw.overlays import GAP, TILE, png_uri
from netwright.report.metrics import metric_named
from netwright.report.summaries import Summary


def restoration_rows(
    restorations: Sequence[Restoration], summaries: Sequence[Summary], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a picture: role, name and size, the three pictures side by side as one, and what every tested network
    reached on it in the metrics ``columns``, the principal one first.
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
    """A picture whose pixels are squares of whole pixels, so that masks stay sharp; a large one made smaller."""
    colours = picture if len(picture) == 3 else np.repeat(picture, 3, axis=0)
    pixels = np.clip(np.rint(255 * colours), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    longer = max(pixels.shape[:2])
    if longer <= TILE:
        return pixels.repeat(TILE // longer, axis=0).repeat(TILE // longer, axis=1)
    small = Image.fromarray(np.ascontiguousarray(pixels))
    small.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    return np.asarray(small)
