"""The surface of a segmentation from all sides (Wong and Moradi 2019, Fig. 4): truth and prediction side by side.

The surface's voxels are drawn from the farthest to the nearest, each as a small square in the colour of its label, as
bright as the light falls on it there. That takes milliseconds a view, and no graphics processor.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from netwright.report.draw.overlays import OverlayCase, label_colour

SIDE = 200
"""Pixels of a view."""

VIEWS = 24
GRID = 88
"""Voxels along the longest axis of the grid that is drawn."""

GAP = 4
SMOOTHING = 0.8
"""Standard deviation of the filter that turns steps of voxels into a surface, in voxels of the grid."""

ELEVATION = np.deg2rad(15.0)
"""The eye looks down from so far above."""

LIGHT = np.array([-0.4, 0.45, 0.8])
"""Where the light comes from: right, up, towards the eye."""

AMBIENT = 0.28
MOST_SEEN = 4
"""With more labels, those that hide others are left out."""

Surface = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Points (n, 3) and normals (n, 3), both in R, A, S and in voxels of the grid, and colours (n, 3) from 0 to 255."""


def hidden_labels(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """The labels that are left out, so that others can be seen: as the paper hides the grey and white matter.

    With more than `MOST_SEEN` labels they are those whose bounding box contains the centres of half of the others.
    """
    values = [int(value) for value in np.unique(labels) if value]
    if len(values) <= MOST_SEEN:
        return ()
    boxes = ndimage.find_objects(labels)
    centres = {value: np.array([(s.start + s.stop) / 2 for s in boxes[value - 1]]) for value in values}
    hidden = []
    for value in values:
        low = np.array([s.start for s in boxes[value - 1]])
        high = np.array([s.stop for s in boxes[value - 1]])
        inside = sum(bool(((low <= c) & (c <= high)).all()) for other, c in centres.items() if other != value)
        if 2 * inside >= len(values) - 1:
            hidden.append(value)
    return tuple(hidden) if len(hidden) < len(values) else ()


def turning_views(case: OverlayCase, hidden: Sequence[int] = ()) -> NDArray[np.uint8]:
    """The views one below the other, truth at the left and prediction at the right.

    The first is from the front: the patient's right on the left, superior up. Then the eye goes around. Shape
    (`VIEWS` times `SIDE`, 2 times `SIDE` + `GAP`, 3).

    Args:
        case: a volume.
        hidden: labels to leave out.
    """
    shown = [np.where(np.isin(labels, hidden), 0, labels) for labels in (case.truth, case.prediction)]
    window = _window(shown)
    sheet = np.zeros((VIEWS * SIDE, 2 * SIDE + GAP, 3), np.uint8)
    if window is None:
        return sheet
    extents = [(w.stop - w.start) * s for w, s in zip(window, case.spacing, strict=True)]
    voxel = max(extents) / GRID
    shape = tuple(max(1, round(extent / voxel)) for extent in extents)
    surfaces = [_surface(labels[window], shape) for labels in shown]
    # The largest circle that a point goes through, seen from any side, fits into the view.
    reach = max(
        (float(np.linalg.norm(points, axis=1).max()) for points, *_ in surfaces if len(points)), default=1
    )
    scale = SIDE / (2 * reach + 3)
    for column, surface in enumerate(surfaces):
        if not len(surface[0]):
            continue
        left = column * (SIDE + GAP)
        for view in range(VIEWS):
            tile = _view(surface, 2 * np.pi * view / VIEWS, scale)
            sheet[view * SIDE : (view + 1) * SIDE, left : left + SIDE] = tile
    return sheet


def webp_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture inside the page, a tenth of the size of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=72, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _window(volumes: Sequence[NDArray[np.uint8]]) -> tuple[slice, slice, slice] | None:
    """The region with everything that is labelled in one of them, None if nothing is."""
    labelled = np.logical_or.reduce([volume > 0 for volume in volumes])
    if not labelled.any():
        return None
    (box,) = ndimage.find_objects(labelled.astype(np.uint8))
    return box[0], box[1], box[2]


def _surface(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> Surface:
    """The surface between what is labelled and what is not, on a grid of ``shape``."""
    # The axes of the volume are R, A and S already; a frame of nothing closes what reaches the window's ends.
    places = [
        np.clip(((np.arange(-2, n + 2) + 0.5) * size / n).astype(np.int64), 0, size - 1)
        for n, size in zip(shape, labels.shape, strict=True)
    ]
    grid = labels[np.ix_(*places)]
    inner = np.zeros(grid.shape, dtype=bool)
    inner[2:-2, 2:-2, 2:-2] = True
    grid = np.where(inner, grid, 0)
    steps = [max(1.0, n / size) for n, size in zip(shape, labels.shape, strict=True)]
    density = ndimage.gaussian_filter(
        (grid > 0).astype(np.float32), [SMOOTHING * step for step in steps], truncate=3
    )
    solid = density > 0.5
    edge = solid & ~ndimage.binary_erosion(solid)
    at = np.argwhere(edge)
    nearest = grid if (grid[edge] > 0).all() else _grown(grid)
    normals = -np.stack([component[edge] for component in np.gradient(density)], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    palette = np.array([_rgb(value) for value in range(int(labels.max(initial=0)) + 1)], np.float32)
    centre = (np.array(grid.shape) - 1) / 2
    return (at - centre).astype(np.float32), normals.astype(np.float32), palette[nearest[edge]]


def _grown(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every voxel with the label of the nearest labelled one."""
    places = ndimage.distance_transform_edt(grid == 0, return_distances=False, return_indices=True)
    return np.asarray(grid[tuple(places)])


def _view(surface: Surface, angle: float, scale: float) -> NDArray[np.uint8]:
    """A view of `SIDE` pixels, the eye at ``angle`` (radians) around the vertical axis from the front."""
    points, normals, colours = surface
    right, up, near = _axes(angle)
    u, v, depth = points @ right, points @ up, points @ near
    light = LIGHT / np.linalg.norm(LIGHT)
    shade = np.stack([normals @ right, normals @ up, normals @ near], axis=1) @ light
    brightness = AMBIENT + (1 - AMBIENT) * np.clip(shade, 0, 1)
    order = np.argsort(depth, kind="stable")
    painted = np.clip(colours * brightness[:, None], 0, 255).astype(np.uint8)[order]
    half = int(np.ceil(scale * 0.75))
    around = np.arange(-half, half + 1)
    rows = np.rint(SIDE / 2 - scale * v[order]).astype(np.int64)[:, None, None] + around[:, None]
    columns = np.rint(SIDE / 2 + scale * u[order]).astype(np.int64)[:, None, None] + around
    # Of several values for one pixel the last stays, which is the nearest point's.
    place = np.clip(rows, 0, SIDE - 1) * SIDE + np.clip(columns, 0, SIDE - 1)
    tile = np.zeros((SIDE * SIDE, 3), np.uint8)
    tile[place.reshape(len(order), -1)] = painted[:, None]
    return tile.reshape(SIDE, SIDE, 3)


def _axes(angle: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The directions right, up and towards the eye in R, A and S; from the front, the patient's right is left."""
    eye = np.array([np.sin(angle), np.cos(angle), 0.0])
    right = np.array([-np.cos(angle), np.sin(angle), 0.0])
    superior = np.array([0.0, 0.0, 1.0])
    near = np.cos(ELEVATION) * eye + np.sin(ELEVATION) * superior
    up = np.cos(ELEVATION) * superior - np.sin(ELEVATION) * eye
    return right.astype(np.float32), up.astype(np.float32), near.astype(np.float32)


def _rgb(value: int) -> list[int]:
    if not value:
        return [0, 0, 0]
    return [int(label_colour(value)[i : i + 2], 16) for i in (1, 3, 5)]
