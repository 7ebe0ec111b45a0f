"""Volumes in any file format, written with SimpleITK alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

SHAPE = (6, 5, 4)


def write(path: Path, array: Any) -> Path:
    """Write an array (X, Y, Z), or a number in every voxel, in the format that the ending says."""
    values = np.broadcast_to(np.asarray(array), SHAPE) if np.ndim(array) == 0 else np.asarray(array)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T))
    SimpleITK.WriteImage(image, path)
    return path


@pytest.fixture
def write_volume() -> Callable[..., Path]:
    return write


@pytest.fixture
def noise() -> Callable[[int], Any]:
    """An image with intensities around a number, another one at each call."""
    random = np.random.default_rng(0)
    return lambda around: random.normal(around, 1, SHAPE).astype(np.float32)


def blocks(*values: int) -> Any:
    """A label map with these values, background first, in slices along the first axis."""
    labels = np.zeros(SHAPE, np.uint8)
    for position, value in enumerate(values):
        labels[position + 1] = value
    return labels


@pytest.fixture
def label_map() -> Callable[..., Any]:
    return blocks
