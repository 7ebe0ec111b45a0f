"""Label maps hold whole numbers: labels with a rounding error are rounded, all others are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.formats import open_volume
from netwright.data.issues import Problem, UnusableFile, enumerate_words

TOLERANCE = 1e-3
"""A label this near to a whole number is that number: a scale in the header and single precision round that much."""

LARGEST = 2**31 - 1
"""The largest label value that can be written."""

_SHOWN_VALUES = 8


def whole_labels(path: Path, values: NDArray[Any], counts: NDArray[np.int64] | None = None) -> NDArray[Any]:
    """The labels of a file, of any shape, as integers. ``counts``: how often each occurs; None: once.

    Args:
        path: of the file, for the error.
        values: as the file has them.
        counts: how often each value occurs; None: once.

    Raises:
        UnusableFile: a label is NaN or infinite, blended, or so large that no label map holds it.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.size:
        values = _rounded(path, values, counts)
    if values.size and not -LARGEST - 1 <= int(values.min()) <= int(values.max()) <= LARGEST:
        large = np.unique(values[(values > LARGEST) | (values < -LARGEST - 1)])
        raise _unusable(
            path,
            "has labels out of range",
            value_text(large),
            f"Labels go up to {LARGEST}: is this the label map? Else give them small numbers.",
            "label-range",
        )
    return values.astype(np.int32) if values.dtype.itemsize > 4 else values


def value_text(values: NDArray[Any]) -> str:
    """The first of some values, and how many more there are."""
    named = [
        f"{value:g}" if values.dtype.kind == "f" else str(value) for value in values[:_SHOWN_VALUES].tolist()
    ]
    rest = len(values) - len(named)
    return enumerate_words([*named, f"{rest} more values"] if rest else named)


def advice_on_scale(path: Path, off: float = 1.0) -> str:
    """What to do with a label map whose header scales what is stored; "" where it does not.

    ``off``: how far its labels are from whole numbers, at most. Half a step of the scale is its own rounding.

    Raises:
        UnusableFile: the file cannot be read.
    """
    return open_volume(path).advice_on_scale(off)


def _rounded(path: Path, values: NDArray[Any], counts: NDArray[np.int64] | None) -> NDArray[Any]:
    """Real numbers near whole ones as integers."""
    outside = ~np.isfinite(values)
    broken = int(np.count_nonzero(outside) if counts is None else counts[outside].sum())
    if broken:
        total = values.size if counts is None else int(counts.sum())
        raise _unusable(
            path,
            "has labels that are not numbers (NaN or infinite)",
            f"{'nan' if np.isnan(values).any() else 'inf'} in {broken} of {total} voxels",
            "Programs leave NaN where nothing was labelled: if it means background, replace it by 0, for example with "
            "numpy.nan_to_num, and save the label map with an integer type.",
            "label-not-finite",
        )
    rounded = np.rint(values)
    off = np.abs(values - rounded)
    blended = np.unique(values[off > TOLERANCE])
    if blended.size:
        scale = advice_on_scale(path, float(off.max()))
        raise _unusable(
            path,
            "has labels that are not whole numbers",
            value_text(blended),
            (f"{scale} Otherwise i" if scale else "I")
            + "nterpolation blends labels, and probabilities are not labels: resample with nearest neighbour, or save "
            "the index of the largest probability.",
            "not-integer",
        )
    return np.asarray(rounded, np.int64) if np.abs(rounded).max(initial=0) < 2.0**62 else rounded


def _unusable(path: Path, what: str, values: str, advice: str, kind: str) -> UnusableFile:
    return UnusableFile(
        Problem("error", str(path), what, "a whole number for every voxel", values, advice, kind)
    )
