"""Test cases as pictures: three orthogonal slices (one for a 2D image), each as image, truth and prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.report.draw.pictures import GAP, TILE, png_uri

# Okabe and Ito's colours, told apart with any colour vision, without the two darkest; then two more.
LABEL_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#7F7FFF", "#B8E986")

FILL = 0.42
WHOLE = 0.75
WINDOW_PERCENTILES = (0.5, 99.5)

PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
"""The name and the normal axis of each plane, in the order shown."""


@dataclass(frozen=True)
class OverlayCase:
    """A test case to show: image and two label maps on one grid (X, Y, Z), RAS axes.

    ``image``: one channel, (X, Y, Z), or red, green and blue, (X, Y, Z, 3). A grid of one slice, Z = 1, is a
    picture: X runs to the right and Y down.
    """

    role: str
    name: str
    dice: float
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Overlay:
    """A PNG as a data URI.

    With its size in pixels, the slices shown (plane and voxel index; none in 2D), and whether it is cropped.
    """

    uri: str
    width: int
    height: int
    slices: tuple[tuple[str, int], ...]
    cropped: bool


def label_colour(value: int) -> str:
    """The colour of a foreground label, as #RRGGBB; ``value`` starts at 1."""
    return LABEL_COLOURS[(value - 1) % len(LABEL_COLOURS)]


def draw_overlay(case: OverlayCase) -> Overlay:
    """Rows: axial, coronal and sagittal slice; columns: image, truth, prediction.

    The slices go through the truth's centre of mass. Images are upscaled smoothly, labels by nearest
    neighbour so that voxels stay visible; both keep the aspect of the spacing. The prediction's tile has the
    truth's outline in white. Shown as a radiologist sees it: the patient's right on the left, anterior or
    superior up. Volumes much larger than what is labelled are cropped. A grid of one slice is a picture: one
    row, whole, as it is on disk, x to the right and y down.

    Raises:
        ValueError: image and label maps differ in shape, are not 3D, or an image has channels other than three.
    """
    colours = case.image.ndim == 4 and case.image.shape[3] == 3
    shapes = {case.image.shape[:3] if colours else case.image.shape, case.truth.shape, case.prediction.shape}
    if len(shapes) != 1 or case.truth.ndim != 3:
        raise ValueError(
            f"overlay case {case.name!r} needs image, truth and prediction of one 3D shape, "
            f"got {case.image.shape}, {case.truth.shape} and {case.prediction.shape}"
        )
    planar = is_planar(case)
    window = (slice(None), slice(None), slice(None)) if planar else _crop(case)
    image = _grey(case.image)[window]
    truth, prediction = case.truth[window], case.prediction[window]
    centre = _centre(truth if truth.any() else prediction)
    seen = 2 if planar else 3
    scale = TILE / max(s * n for s, n in zip(case.spacing[:seen], truth.shape[:seen], strict=True))
    rows = []
    for axis, size in _sizes(truth.shape, case.spacing, scale, PLANES[:1] if planar else PLANES):
        planes = (_slice(volume, axis, centre[axis], planar) for volume in (image, truth, prediction))
        rows.append(_row(*planes, size=size))
    canvas = np.zeros((sum(len(r) for r in rows) + GAP * (len(rows) - 1), 3 * TILE + 2 * GAP, 3), np.uint8)
    top = 0
    for row in rows:
        canvas[top : top + len(row)] = row
        top += len(row) + GAP
    return Overlay(
        png_uri(canvas),
        canvas.shape[1],
        canvas.shape[0],
        () if planar else tuple((name, centre[axis] + window[axis].start) for name, axis in PLANES),
        truth.shape != case.truth.shape,
    )


def is_planar(case: OverlayCase) -> bool:
    """Whether the case is a 2D image: a grid of one slice."""
    return case.truth.shape[2:] == (1,)


def _crop(case: OverlayCase) -> tuple[slice, slice, slice]:
    """The region around everything that is labelled, with half its extent on each side, but at least a third of the
    volume.

    An axis is left whole where most of it would stay.
    """
    labelled = (case.truth > 0) | (case.prediction > 0)
    if not labelled.any():
        return slice(0, labelled.shape[0]), slice(0, labelled.shape[1]), slice(0, labelled.shape[2])
    windows = []
    for axis, extent in enumerate(labelled.shape):
        used = np.flatnonzero(labelled.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = int(used[0]), int(used[-1]) + 1
        width = max(2 * (last - first), extent // 3, 16)
        width = extent if width > WHOLE * extent else width
        start = min(max(0, (first + last - width) // 2), extent - width)
        windows.append(slice(start, start + width))
    return windows[0], windows[1], windows[2]


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Intensities between two percentiles as 0 to 255. NaN and infinite values are black."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, WINDOW_PERCENTILES) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(image, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(255 * scaled, 0, 255), dtype=np.uint8)


def _centre(labels: NDArray[np.uint8]) -> tuple[int, int, int]:
    """The centre of mass. Where its slice is empty, the fullest slice; where all are empty, the middle."""
    mask = labels > 0
    if not mask.any():
        return labels.shape[0] // 2, labels.shape[1] // 2, labels.shape[2] // 2
    centres = []
    for axis in range(3):
        area = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        centre = int(np.floor(np.average(np.arange(area.size), weights=area) + 0.5))
        centres.append(centre if area[centre] else int(area.argmax()))
    return centres[0], centres[1], centres[2]


def _slice(volume: NDArray[np.uint8], axis: int, index: int, planar: bool) -> NDArray[np.uint8]:
    """A plane as rows and columns of a picture: x from right to left, y and z upwards.

    A 2D image is shown as on disk: x to the right, y down.
    """
    plane = np.take(volume, index, axis=axis).swapaxes(0, 1)
    if planar:
        return np.ascontiguousarray(plane)
    plane = plane[::-1]
    return np.ascontiguousarray(plane if axis == 0 else plane[:, ::-1])


def _sizes(
    shape: tuple[int, ...],
    spacing: tuple[float, float, float],
    scale: float,
    planes: tuple[tuple[str, int], ...],
) -> Iterator[tuple[int, tuple[int, int]]]:
    """For each plane its normal axis and the slice's (width, height) in pixels."""
    for _, axis in planes:
        across, up = (a for a in range(3) if a != axis)
        width, height = (max(1, round(shape[a] * spacing[a] * scale)) for a in (across, up))
        yield axis, (width, height)


def _row(
    image: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    *,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    grey = np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    truth, prediction = (
        np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        for labels in (truth, prediction)
    )
    plain = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)
    predicted = _paint(plain, prediction)
    predicted[_outline(truth)] = 255
    row = np.zeros((size[1], 3 * TILE + 2 * GAP, 3), np.uint8)
    for i, tile in enumerate((plain, _paint(plain, truth), predicted)):
        left = i * (TILE + GAP) + (TILE - size[0]) // 2
        row[:, left : left + size[0]] = tile
    return row


def _paint(picture: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tints the area of each label in its colour, with a solid outline."""
    painted = picture.astype(np.float32)
    outline = _outline(labels)
    for value in np.unique(labels[labels > 0]):
        colour = np.array([int(label_colour(int(value))[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
        area = labels == value
        painted[area] = (1 - FILL) * painted[area] + FILL * colour
        painted[area & outline] = colour
    return painted.round().astype(np.uint8)


def _outline(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The labelled pixels next to another label. The outline is two pixels wide."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        for shift in (1, 2, -1, -2):
            edge |= np.roll(labels, shift, axis=axis) != labels
    return edge & (labels > 0)
