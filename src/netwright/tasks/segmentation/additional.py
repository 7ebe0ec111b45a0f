"""What `predict` writes beside label maps: probabilities, how uncertain they are, and how large each label is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import write_whole
from netwright.data.io.formats import is_flat, open_volume
from netwright.data.io.volumes import scores_ending, write_scores
from netwright.data.volumes.dataset import Case
from netwright.tasks.outputs import PROBABILITIES

TABLE = "volumes.csv"
HEADER = ("case", "time", "label", "name", "voxels", "ml")
CUBIC_MM_A_ML = 1000.0


@dataclass(frozen=True)
class Segmented:
    """One image, on its own grid and in the axis order of its file.

    Args:
        labels: class indices (X, Y, Z), or (X, Y, Z, T) of a cine.
        probabilities: float32 (X, Y, Z, K), or (X, Y, Z, T, K) of a cine; None: they were not kept.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = None


def together(frames: Sequence[Segmented]) -> Segmented:
    """The frames of a cine as one."""
    kept = [frame.probabilities for frame in frames if frame.probabilities is not None]
    labels = np.stack([frame.labels for frame in frames], axis=3)
    return Segmented(labels, np.stack(kept, axis=3) if kept else None)


def uncertainty(probabilities: NDArray[np.float32], *, exclusive: bool) -> NDArray[np.float32]:
    """The entropy of each voxel's probabilities, from 0 (certain) to 1 (all classes as likely).

    Of an ensemble, and of mirrored views, it is that of their mean.

    Args:
        probabilities: (..., K).
        exclusive: whether the classes exclude one another. Otherwise they are regions, and it is the mean of the
            entropies of being in each or not.

    >>> uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]], np.float32), exclusive=True).round(3).tolist()
    [1.0, 0.0]
    """
    classes = probabilities.shape[-1]
    total = np.zeros(probabilities.shape[:-1], np.float32)
    for index in range(classes):  # one class at a time, for the memory
        shares = probabilities[..., index]
        total += _surprise(shares)
        if not exclusive:
            total += _surprise(1 - shares)
    total /= np.float32(np.log(classes) if exclusive else classes * np.log(2))
    return np.clip(total, 0.0, 1.0)


def _surprise(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """-p log(p), 0 where p is 0."""
    return -shares * np.log(np.maximum(shares, np.finfo(np.float32).tiny))


def names_of(kind: str, cases: Sequence[Case]) -> list[str]:
    """The files of one kind, within the folder of the label maps."""
    return [f"{kind}/{case.name}{scores_ending(case.images[0])}" for case in cases]


def write_additional(path: Path, kind: str, segmented: Segmented, image: Path, *, exclusive: bool) -> None:
    """Write the probabilities of an image, or their uncertainty.

    Args:
        path: of the file.
        kind: `PROBABILITIES` or `UNCERTAINTY`.
        segmented: the image, with its probabilities.
        image: its file.
        exclusive: as in `uncertainty`.
    """
    assert segmented.probabilities is not None
    scores = segmented.probabilities
    write_scores(path, scores if kind == PROBABILITIES else uncertainty(scores, exclusive=exclusive), image)


def volume_rows(
    case: Case, labels: NDArray[np.uint8], values: Sequence[int], names: Mapping[int, str]
) -> Iterator[tuple[str, ...]]:
    """How many voxels each label has, and how many ml where the file says how large a voxel is.

    Args:
        case: the image.
        labels: class indices (X, Y, Z), or (X, Y, Z, T) of a cine.
        values: the label values of the classes, background first.
        names: of the labels but background, by their values.
    """
    grid = open_volume(case.images[0]).grid
    voxel = float(abs(np.linalg.det(grid.matrix[:3, :3]))) / CUBIC_MM_A_ML
    sized = grid.sized and not is_flat(case.images[0])
    frames = labels[..., None] if labels.ndim == 3 else labels
    for time in range(frames.shape[3]):
        counts = np.bincount(frames[..., time].ravel(), minlength=len(values))
        for count, value in zip(counts.tolist()[1:], values[1:], strict=True):
            ml = f"{count * voxel:.6g}" if sized else ""
            at = str(time) if labels.ndim == 4 else ""
            yield case.name, at, str(value), names[value], str(count), ml


def write_volumes(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write the table of `volume_rows`.

    Raises:
        StorageError: it cannot be written.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    write_whole(path, text.getvalue().encode())
