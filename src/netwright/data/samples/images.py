"""Generated datasets of pictures: textured shapes to classify, alone or several at once, and cells to segment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from netwright.data.files import write_whole
from netwright.data.io.images import write_picture
from netwright.data.samples.phantoms import require_own
from netwright.errors import SettingsError

CLASSES = ("disc", "ring", "square", "triangle")
"""What the pictures of the classification sample show. Everything else in them is a distraction."""

MASK_LABELS = {0: "background", 1: "cell", 2: "nucleus"}

CLASSES_NAME = "NetwrightShapes"
LABELS_NAME = "NetwrightSeveralShapes"
MASKS_NAME = "NetwrightCells"

SHARES = (0.6, 0.45, 0.3, 0.2)
"""Of the pictures with several labels, how many show each of `CLASSES`."""

SMALLEST_SIZE = 16

_MARK = "dataset.json"
_TEST_EVERY = 4
_HARD_EVERY = 5

Field = NDArray[np.float64]


def write_classification_sample(path: Path, *, pictures: int = 40, seed: int = 0, size: int = 32) -> Path:
    """Writes an image folder with four classes of shapes and returns it.

    There are ``pictures`` training pictures of each class in ``train/<class>``, and a quarter as many in
    ``test/<class>``, grey PNG of ``size`` pixels a side. Position, size, rotation, brightness (the shape may be darker
    than its surroundings), shading, texture and noise vary and do not depend on the class. Every fifth picture is hard
    (little contrast, much noise, partly covered). The same arguments give the same pictures.

    Raises:
        SettingsError: fewer than four pictures a class, or a size below 16.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    require_enough(pictures, 4, "pictures a class", size)
    path = Path(path).expanduser()
    require_own(path, CLASSES_NAME)
    for label, name in enumerate(CLASSES):
        for number in range(pictures + max(1, pictures // _TEST_EVERY)):
            part = "train" if number < pictures else "test"
            picture = _shape_picture(np.random.default_rng([seed, label, number]), label, size, _hard(number))
            write_picture(path / part / name / f"{name}_{number:04d}.png", picture)
    write_mark(path, CLASSES_NAME, f"Generated shapes, seed {seed}", {})
    return path


def write_multilabel_sample(path: Path, *, pictures: int = 160, seed: int = 0, size: int = 32) -> Path:
    """Write pictures that show none, one or several of four shapes, with a table of labels, and return the folder.

    Grey PNG of ``size`` pixels a side in ``pictures``, and ``labels.csv`` with a column for each shape. There is
    no test part. The shapes, smaller than in the sample of classes, differ in brightness and position. The same
    arguments give the same pictures.

    Raises:
        SettingsError: fewer than twelve pictures, or a size below 16.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    require_enough(pictures, 12, "pictures", size)
    path = Path(path).expanduser()
    require_own(path, LABELS_NAME)
    # Each label its share of the pictures exactly, so that small samples have all of them.
    rng = np.random.default_rng([seed, pictures])
    has = np.array([rng.permutation(pictures) < max(2, round(share * pictures)) for share in SHARES]).T
    lines = [",".join(("file", *CLASSES))]
    for number, labels in enumerate(has):
        name = f"pictures/shapes_{number:04d}.png"
        write_picture(path / name, _several_shapes(np.random.default_rng([seed, number]), labels, size))
        lines.append(",".join((name, *map(str, labels.astype(int)))))
    write_whole(path / "labels.csv", "".join(f"{line}\n" for line in lines).encode())
    write_mark(path, LABELS_NAME, f"Generated pictures of several shapes, seed {seed}", {})
    return path


def write_segmentation_sample(path: Path, *, pictures: int = 24, seed: int = 0, size: int = 48) -> Path:
    """Write pictures of cells with masks into ``images`` and ``masks``, and return the folder.

    Every picture, about ``size`` pixels a side, shows some cells, each with a nucleus, on a shaded background with
    debris as bright as the cells' parts, so that no threshold segments them. Number, shape, brightness and noise vary;
    every fifth picture is hard (little contrast, blur, much noise). Labels: 1 cell, 2 nucleus. The same arguments give
    the same pictures.

    Raises:
        SettingsError: fewer than three pictures, or a size below 16.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    require_enough(pictures, 3, "pictures", size)
    path = Path(path).expanduser()
    require_own(path, MASKS_NAME)
    for number in range(pictures):
        picture, mask = cells(np.random.default_rng([seed, number]), size, _hard(number))
        write_picture(path / "images" / f"cells_{number:03d}.png", picture)
        write_picture(path / "masks" / f"cells_{number:03d}.png", mask)
    labels = {"labels": {str(value): name for value, name in MASK_LABELS.items()}}
    write_mark(path, MASKS_NAME, f"Generated cells, seed {seed}", labels)
    return path


def _hard(number: int) -> bool:
    return number % _HARD_EVERY == _HARD_EVERY - 1


def require_enough(count: int, least: int, what: str, size: int) -> None:
    """Refuses a sample that is too small.

    Args:
        count: of pictures.
        least: the fewest.
        what: is counted, for the error.
        size: side of the pictures in pixels.

    Raises:
        SettingsError: the message says what is expected.
    """
    if count < least or size < SMALLEST_SIZE:
        raise SettingsError(
            f"A sample of {count} {what} of size {size}: expected at least {least} of size {SMALLEST_SIZE} or more."
        )


def write_mark(path: Path, name: str, description: str, more: Mapping[str, Any]) -> None:
    """Writes the file that marks a folder as a sample, with ``more`` about it.

    Args:
        path: the folder.
        name: of the sample.
        description: a sentence.
        more: further entries.
    """
    values = {"name": name, "description": description, "licence": "CC0 1.0", **more}
    write_whole(path / _MARK, json.dumps(values, indent=1).encode())


def _shape_picture(rng: np.random.Generator, label: int, size: int, hard: bool) -> NDArray[np.uint8]:
    rows, columns = coordinates(size)
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.7)
    centre = rng.uniform(-1, 1, 2) * (0.95 - radius)
    across, along = rows - centre[0], columns - centre[1]
    across, along = (
        across * np.cos(angle) + along * np.sin(angle),
        along * np.cos(angle) - across * np.sin(angle),
    )
    inside = _inside(label, across / radius, along / radius)
    contrast = rng.uniform(0.18, 0.25) if hard else rng.uniform(0.3, 0.5)
    brightness = 0.5 + rng.choice([-1, 1]) * contrast * (inside - 0.5)
    brightness += rng.uniform(0.05, 0.15) * smooth(rng, size)
    # stripes as strong as the shape's edge is, across the whole picture
    turn, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    waves = np.sin(rng.uniform(8, 14) * (rows * np.cos(turn) + columns * np.sin(turn)) + phase)
    brightness += rng.uniform(0.02, 0.06) * waves
    if hard:
        edge = rng.uniform(0.35, 0.6)
        brightness[(rows * np.cos(phase) + columns * np.sin(phase)) > edge] = rng.uniform(0.3, 0.7)
    return _developed(brightness + rng.normal(0, 0.06 if hard else 0.03, (size, size)))


def _several_shapes(rng: np.random.Generator, labels: NDArray[np.bool_], size: int) -> NDArray[np.uint8]:
    """A picture of the shapes whose labels it has, each in a quarter of its own."""
    rows, columns = coordinates(size)
    brightness = 0.5 + rng.uniform(0.02, 0.08) * smooth(rng, size)
    quarters = rng.permutation(4)
    for label in np.flatnonzero(labels):
        centre = np.array([-0.5, 0.5])[[quarters[label] // 2, quarters[label] % 2]] + rng.uniform(
            -0.08, 0.08, 2
        )
        radius = rng.uniform(0.34, 0.45)
        inside = _inside(int(label), (rows - centre[0]) / radius, (columns - centre[1]) / radius)
        brightness += rng.choice([-1, 1]) * rng.uniform(0.2, 0.35) * inside
    return _developed(brightness + rng.normal(0, 0.03, (size, size)))


def _inside(label: int, across: Field, along: Field) -> Field:
    """1 within the shape of a class, of radius 1 around the origin, else 0."""
    distance = np.hypot(across, along)
    if CLASSES[label] == "disc":
        inside = distance < 0.85
    elif CLASSES[label] == "ring":
        inside = (distance < 1) & (distance > 0.55)
    elif CLASSES[label] == "square":
        inside = np.maximum(abs(across), abs(along)) < 0.75
    else:
        inside = (across > -0.5) & (across + np.sqrt(3) * abs(along) < 1)
    return inside.astype(np.float64)


def cells(rng: np.random.Generator, size: int, hard: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A grey picture (size, size) of cells, and its mask: 1 cell, 2 nucleus.

    Args:
        rng: gives all random numbers.
        size: of a side, in pixels.
        hard: with little contrast, blur and much noise.
    """
    rows, columns = coordinates(size)
    contrast = rng.uniform(0.5, 0.65) if hard else rng.uniform(0.85, 1.15)
    levels = 0.25 + contrast * np.array([0.0, 0.25, 0.5])
    brightness, mask = np.full((size, size), levels[0]), np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(3, 7)):  # debris: bright, but small, and labelled by nobody
        speck = _ellipse(rng, rows, columns, rng.uniform(-0.95, 0.95, 2), rng.uniform(0.03, 0.09))
        brightness[speck < 1] = levels[rng.integers(1, 3)]
    for _ in range(rng.integers(2, 5)):
        centre, radius = rng.uniform(-0.75, 0.75, 2), rng.uniform(0.22, 0.34)
        body = _ellipse(rng, rows, columns, centre, radius) < 1
        nucleus = _ellipse(rng, rows, columns, centre + rng.uniform(-0.06, 0.06, 2), 0.42 * radius) < 1
        for value, region in ((1, body), (2, nucleus & body)):
            mask[region] = value
            brightness[region] = levels[value]
    blurred = ndimage.gaussian_filter(brightness, 1.0 if hard else 0.5)
    shaded = blurred * (1 + rng.uniform(0.05, 0.2) * smooth(rng, size))
    return _developed(shaded + rng.normal(0, 0.07 if hard else 0.03, (size, size))), mask


def _ellipse(rng: np.random.Generator, rows: Field, columns: Field, centre: Field, radius: float) -> Field:
    """The squared distance from the centre of a bent ellipse, in radii: below 1 inside."""
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.3)
    across, along = rows - centre[0], columns - centre[1]
    across, along = (
        across * np.cos(angle) + along * np.sin(angle),
        along * np.cos(angle) - across * np.sin(angle),
    )
    bend = rng.uniform(-0.6, 0.6)
    return np.asarray(
        ((across - bend * along**2 / radius) / radius * stretch) ** 2 + (along / radius / stretch) ** 2
    )


def coordinates(size: int) -> tuple[Field, Field]:
    """Rows and columns of every pixel, from -1 to 1."""
    ticks = (np.arange(size) - (size - 1) / 2) / (size / 2)
    rows, columns = np.meshgrid(ticks, ticks, indexing="ij")
    return rows, columns


def smooth(rng: np.random.Generator, size: int) -> Field:
    """A random field (size, size) that varies slowly: cubic splines through 4 x 4 random values."""
    return np.asarray(
        ndimage.zoom(rng.normal(0, 1, (4, 4)), size / 4, order=3, mode="nearest", grid_mode=True)
    )[:size, :size]


def _developed(brightness: Field) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(255 * brightness), 0, 255), dtype=np.uint8)
