"""Images at low resolution, and the surroundings of a part: against blocks, and against functions that are linear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.data import PreprocessingSettings, open_any, open_prepared, prepare
from netwright.data.loading.batches import whole
from netwright.data.volumes.preprocessing import coarsened
from netwright.data.volumes.surroundings import SurroundedImage, SurroundedVolumes
from netwright.errors import DatasetError, SettingsError

FACTORS = st.tuples(*[st.integers(1, 4)] * 3)
SLOPES = np.array([1.0, -2.0, 0.5])


def linear(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(1, *shape): a linear function of the centres of voxels."""
    axes = np.meshgrid(*(np.arange(length) + 0.5 for length in shape), indexing="ij")
    values = sum(slope * axis for slope, axis in zip(SLOPES, axes, strict=True))
    return np.asarray(values, np.float32)[None]


def surrounded(image: NDArray[np.float32], factors: tuple[int, ...], air: float = 0.0) -> SurroundedImage:
    padding = np.full(len(image), air, np.float32)
    return SurroundedImage(image, coarsened(image, factors), factors, padding)


@given(FACTORS, st.tuples(*[st.integers(1, 9)] * 3))
def test_low_resolution_has_the_means_of_blocks(factors: tuple[int, ...], shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    coarse = coarsened(image, factors)
    for place in np.ndindex(*coarse.shape[1:]):
        block = (slice(at * f, (at + 1) * f) for at, f in zip(place, factors, strict=True))
        np.testing.assert_allclose(coarse[:, *place], image[:, *block].mean((1, 2, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factors", [(2, 2, 1), (3, 1, 2), (4, 3, 2), (1, 2, 5)])
def test_surroundings_have_the_centre_of_their_part(factors: tuple[int, ...]) -> None:
    """Those of a linear function are that function of the places of their voxels."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        lengths = rng.integers(2, 6, 3)
        shape = tuple((5 * lengths * factors).tolist())
        starts = [int(rng.integers(f * n, 3 * f * n)) for f, n in zip(factors, lengths, strict=True)]
        region = [slice(start, start + int(n)) for start, n in zip(starts, lengths, strict=True)]
        part = surrounded(linear(shape), factors)[:, *region]
        np.testing.assert_array_equal(part[:1], linear(shape)[:, *region])
        places = [
            start + n / 2 + factor * (np.arange(n) + 0.5 - n / 2)
            for start, n, factor in zip(starts, lengths, factors, strict=True)
        ]
        axes = np.meshgrid(*places, indexing="ij")
        expected = sum(slope * axis for slope, axis in zip(SLOPES, axes, strict=True))
        np.testing.assert_allclose(part[1], expected, atol=1e-3)


def test_beyond_the_volume_is_its_padding() -> None:
    image = np.random.default_rng(0).normal(size=(2, 12, 12, 6)).astype(np.float32)
    volume = surrounded(image, (2, 2, 1), air=-3.0)
    assert (volume.shape, len(volume), volume.ndim) == ((4, 12, 12, 6), 4, 4)
    everything = whole(volume)
    assert everything.shape == volume.shape
    np.testing.assert_allclose(everything[2:, 3:9, 3:9], volume.coarse, rtol=1e-6)
    assert (everything[2:, [0, 1, 2, 9, 10, 11]] == -3).all()


def test_prepared_volumes_have_them_beside_what_they_have_without(tmp_path: Path, sample: Path) -> None:
    plain = prepare(open_any(sample), PreprocessingSettings(size=(8, 8, 8)), tmp_path)
    options = PreprocessingSettings(size=(8, 8, 8), low_resolution=(2, 3, 1))
    prepared = prepare(open_any(sample), options, tmp_path)
    assert prepared.folder != plain.folder
    volumes = SurroundedVolumes(prepared)
    assert volumes.channels == 2 * plain.channels
    for index in range(len(prepared)):
        np.testing.assert_array_equal(prepared.image(index), plain.image(index))
        np.testing.assert_array_equal(prepared.coarse(index), coarsened(plain.image(index), (2, 3, 1)))
        region = (slice(None), slice(2, 10), slice(0, 8), slice(5, 13))
        part = volumes.image(index)[region]
        np.testing.assert_array_equal(part[:1], plain.image(index)[region])
        np.testing.assert_array_equal(volumes.label(index), plain.label(index))
    path = prepared.folder / "low-resolution.npy"
    np.save(path, np.zeros(3, np.float32))
    with pytest.raises(DatasetError, match=r"low-resolution\.npy holds 3 values"):
        open_prepared(prepared.folder)


@pytest.mark.parametrize("factors", ["much", (2, 2), (0, 1, 2), (1.5, 2, 2), (1, 1, 1)])
def test_wrong_factors_are_refused(factors: Any) -> None:
    with pytest.raises(SettingsError, match="low_resolution is"):
        PreprocessingSettings(low_resolution=factors)
