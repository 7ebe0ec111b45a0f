"""A generated folder of pictures to restore: what is missing follows from the rest, but not exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.images import write_picture
from netwright.data.samples.images import Field, coordinates, require_enough, smooth, write_mark
from netwright.data.samples.phantoms import require_own

NAME = "NetwrightTiles"


def write_inpainting_sample(path: Path, *, pictures: int = 200, seed: int = 0, size: int = 32) -> Path:
    """Writes a folder of colour pictures and returns it.

    Each is a smooth field of two colours under waves of one direction, with one to three large discs, rings or bars.
    The part that a mask leaves is enough to guess colours, waves and outlines. A network that paints the mean colour
    misses waves and outlines. The same arguments give the same pictures.

    Raises:
        SettingsError: fewer than ten pictures, or a size below 16.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    require_enough(pictures, 10, "pictures", size)
    path = Path(path).expanduser()
    require_own(path, NAME)
    for number in range(pictures):
        write_picture(path / f"tile_{number:04d}.png", _tile(np.random.default_rng([seed, number]), size))
    write_mark(path, NAME, f"Generated pictures to be restored, seed {seed}", {})
    return path


def _tile(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A picture (size, size, 3)."""
    rows, columns = coordinates(size)
    first, second = rng.uniform(0.15, 0.85, (2, 3))
    share = np.clip(0.5 + 0.35 * smooth(rng, size), 0, 1)[..., None]
    picture = share * first + (1 - share) * second
    turn, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    waves = np.sin(rng.uniform(5, 12) * (rows * np.cos(turn) + columns * np.sin(turn)) + phase)
    picture += 0.08 * waves[..., None] * rng.uniform(-1, 1, 3)
    for _ in range(rng.integers(1, 4)):
        picture[_shape(rng, rows, columns)] = rng.uniform(0.1, 0.9, 3)
    noisy = picture + rng.normal(0, 0.01, picture.shape)
    return np.asarray(np.clip(np.rint(255 * noisy), 0, 255), dtype=np.uint8)


def _shape(rng: np.random.Generator, rows: Field, columns: Field) -> NDArray[np.bool_]:
    """A mask of a disc, a ring or a bar."""
    centre, turn = rng.uniform(-0.7, 0.7, 2), rng.uniform(0, np.pi)
    across = (rows - centre[0]) * np.cos(turn) + (columns - centre[1]) * np.sin(turn)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(distance < rng.uniform(0.3, 0.7))
    if kind == 1:
        return np.asarray(abs(distance - rng.uniform(0.5, 1.0)) < 0.12)
    return np.asarray(abs(across) < rng.uniform(0.08, 0.25))
