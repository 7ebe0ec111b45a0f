"""Made-up images, with what the graphs of `netwright.tasks.segmentation.inference_graphs` must give for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.io.stored import turned_back
from netwright.data.io.volumes import Volume
from netwright.data.volumes.preprocessing import PreparedImage, coarsened, prepare_volume
from netwright.data.volumes.slabs import Slabs
from netwright.data.volumes.surroundings import SurroundedImage
from netwright.tasks.base import GraphSample
from netwright.tasks.segmentation.graph_geometry import Steps
from netwright.tasks.shown_pictures import stored_sample
from netwright.training.windows import OVERLAP, gaussian_weights, starts

SIZES = ((1.3, 0.7, 0.9), (0.6, 1.2, 0.8))
"""Of the images, in those of a window."""
SPACINGS = ((0.9, 1.2, 1.0), (1.0, 0.8, 1.3))
"""Of their voxels, in those of the preparation."""
TAGS = (8, 5)
"""Of how pictures are turned."""
WHITE = 255
THINNEST = 5


def samples(steps: Steps, channels: int, values: Sequence[int], *, regions: bool) -> Iterator[GraphSample]:
    """Samples of each graph, on images larger and smaller than a window.

    Args:
        steps: of the preparation.
        channels: of an image.
        values: the label value of each output of the network.
        regions: outputs are probabilities by themselves.
    """
    random = np.random.default_rng(0)
    for sizes, spacings, turned in zip(SIZES, SPACINGS, TAGS, strict=True):
        volume = _volume(random, steps, channels, sizes, spacings)
        prepared = prepare_volume(volume, [Path("made-up image")] * channels, steps.settings)
        if steps.slice_axis is not None:
            prepared = prepared.without_padding(steps.slice_axis)
        given, expected = _prepared(prepared, steps)
        if steps.flat:
            image, place = _stored(_picture(volume.array), turned), {"turned": np.array(turned)}
        else:
            place = {"spacing": np.array(volume.spacing)}
            image = {"image": volume.array, **place}
        yield GraphSample("prepare", image, expected)
        if "coarse" in expected:
            yield from _windows(prepared, steps, expected)
        probabilities = random.random((len(values), *expected["prepared"].shape[1:]), np.float32)
        own: NDArray[np.float32] = np.ascontiguousarray(probabilities[:, *given])
        x, y, z = own.shape[1:]
        written = tuple(range(1, len(values) + 1)) if regions else ()
        found = prepared.geometry.restore(Slabs((x, y, z), 0, iter([own]), written))
        labels = np.array([0, *values] if regions else values)[found]
        labels = turned_back(_picture(labels[None])[..., 0], turned) if steps.flat else labels
        inputs = {"probabilities": probabilities, "shape": np.array(labels.shape), **place}
        yield GraphSample("finish", inputs, {"labels": labels})


def _volume(
    random: np.random.Generator,
    steps: Steps,
    channels: int,
    sizes: Sequence[float],
    spacings: Sequence[float],
) -> Volume:
    """Noise with intensities as in a CT, and a plane of zeros."""
    flat = (steps.flat and axis == 2 for axis in range(3))
    x, y, z = (
        1 if one else max(THINNEST, round(length * size))
        for length, size, one in zip(steps.window, sizes, flat, strict=True)
    )
    wanted = (1.0, 1.0, 1.0) if steps.settings.spacing == "native" else steps.settings.spacing
    edges = [1.0] * 3 if steps.flat else np.multiply(wanted, spacings)
    affine = tuple(map(tuple, np.diag([*edges, 1.0]).tolist()))
    array = random.normal(100, 300, (channels, x, y, z)).round().astype(np.float32)
    array[:, 0] = 0
    return Volume(array, Grid((x, y, z), affine))


def _picture(array: NDArray[Any]) -> NDArray[Any]:
    """An image (C, X, Y, 1) as a picture (rows, columns, channels)."""
    return array[..., 0].transpose(2, 1, 0)[::-1, ::-1]


def _stored(picture: NDArray[Any], turned: int) -> dict[str, NDArray[Any]]:
    """A picture as a file stores it, with an opacity that hides nothing."""
    return stored_sample(picture, np.ones(picture.shape[:2], np.float32), WHITE, turned)


def _prepared(prepared: PreparedImage, steps: Steps) -> tuple[tuple[slice, ...], dict[str, NDArray[Any]]]:
    """Where an image lies among its padding, and what ``prepare`` gives."""
    own, window = prepared.image.shape[1:], steps.window
    whole = [max(pair) for pair in zip(own, window, strict=True)]
    before = [(length - inner) // 2 for length, inner in zip(whole, own, strict=True)]
    inside = tuple(slice(begin, begin + length) for begin, length in zip(before, own, strict=True))
    air = np.array(prepared.air, np.float32).reshape(-1, 1, 1, 1)
    padded = np.empty((len(prepared.image), *whole), np.float32)
    padded[:] = air
    padded[:, *inside] = prepared.image
    along = [starts(length, size, OVERLAP) for length, size in zip(whole, window, strict=True)]
    expected = {
        "prepared": padded,
        "begins": np.array(list(product(*along))),
        "weights": gaussian_weights(window).numpy(),
    }
    if steps.settings.coarse_factors is not None:
        coarse = coarsened(prepared.image, steps.settings.coarse_factors)
        around = np.empty((len(coarse), *(length + 2 for length in coarse.shape[1:])), np.float32)
        around[:] = air
        around[:, 1:-1, 1:-1, 1:-1] = coarse
        expected["coarse"] = around
        expected["room"] = np.array([before, np.add(before, own)], np.float64)
    return inside, expected


def _windows(
    prepared: PreparedImage, steps: Steps, expected: dict[str, NDArray[Any]]
) -> Iterator[GraphSample]:
    """The first and the last window with its surroundings."""
    factors, air = steps.settings.coarse_factors, np.array(prepared.air, np.float32)
    assert factors is not None
    image = SurroundedImage(prepared.image, coarsened(prepared.image, factors), factors, air)
    first, last = expected["room"].astype(int)
    given = {name: expected[name] for name in ("prepared", "coarse", "room")}
    for begin in expected["begins"][[0, -1]]:
        window = np.empty((len(image), *steps.window), np.float32)
        window[:] = np.tile(air, 2).reshape(-1, 1, 1, 1)
        low, high = np.maximum(begin, first), np.minimum(begin + steps.window, last)
        place = tuple(map(slice, low - begin, high - begin))
        window[:, *place] = image[slice(None), *map(slice, low - first, high - first)]
        yield GraphSample("window", {**given, "begin": begin}, {"images": window[None]})
