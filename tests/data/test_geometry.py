"""The way to the prepared grid and back, against closed forms and scipy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import inv_ornt_aff
from scipy import ndimage

from netwright.data.geometry import Geometry, plan_geometry, resample, resample_labels
from netwright.data.volumes import Grid

shapes = st.tuples(*[st.integers(3, 14)] * 3)
spacings = st.tuples(*[st.floats(0.4, 3.0)] * 3)
sizes = st.tuples(*[st.integers(4, 20)] * 3)
orders = st.permutations(range(3))
flips = st.tuples(*[st.sampled_from([1, -1])] * 3)


def grid_of(
    shape: tuple[int, ...], spacing: tuple[float, ...], order: list[int], signs: tuple[int, ...]
) -> Grid:
    """A file's grid whose axes run in any order and direction."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-7, 11, 3]
    axes = np.stack([order, signs], axis=1)
    stored = tuple(shape[axis] for axis in order)
    affine = affine @ inv_ornt_aff(axes, stored)
    return Grid(stored, tuple(tuple(float(x) for x in row) for row in affine))


grids = st.builds(grid_of, shapes, spacings, orders, flips)


def world(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """World coordinates (3, X, Y, Z) of voxel centres."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    return np.asarray(np.einsum("ij,jxyz->ixyz", affine[:3, :3], indices) + affine[:3, 3, None, None, None])


@given(grids, st.none() | spacings, sizes, st.booleans(), st.booleans())
def test_a_ramp_in_the_world_stays_that_ramp(
    grid: Grid,
    spacing: tuple[float, float, float] | None,
    size: tuple[int, int, int],
    pad: bool,
    resize: bool,
) -> None:
    """Linear interpolation is exact for a linear image: every prepared voxel says where it lies."""
    geometry = plan_geometry(grid, spacing, size, pad=pad, resize=resize)
    ramp = world(grid.canonical_affine, grid.canonical_shape).astype(np.float32)
    prepared = geometry.prepare_image(ramp)
    assert prepared.shape[1:] == geometry.size
    lengths = np.array(grid.canonical_shape)[:, None, None, None]
    back = np.linalg.inv(grid.canonical_affine) @ geometry.prepared_affine
    source = world(back, geometry.size)
    between = ((source >= 0) & (source <= lengths - 1)).all(axis=0)
    outside = ((source < -0.51) | (source > lengths - 0.49)).any(axis=0)
    expected = world(geometry.prepared_affine, geometry.size)
    np.testing.assert_allclose(prepared[:, between], expected[:, between], atol=1e-3)
    assert not prepared[:, outside].any()


@given(grids, st.none() | spacings, sizes, st.booleans(), st.booleans())
def test_nothing_is_cut_off_and_sizes_are_kept(
    grid: Grid,
    spacing: tuple[float, float, float] | None,
    size: tuple[int, int, int],
    pad: bool,
    resize: bool,
) -> None:
    geometry = plan_geometry(grid, spacing, size, pad=pad, resize=resize)
    centres = [(0 - o) / s for o, s in zip(geometry.offset, geometry.scale, strict=True)]
    ends = zip(grid.canonical_shape, geometry.offset, geometry.scale, geometry.size, strict=True)
    assert min(centres) > -1
    assert all((length - 1 - offset) / scale < total for length, offset, scale, total in ends)
    if resize:
        assert geometry.size == size
    elif pad:
        assert all(total >= wanted for total, wanted in zip(geometry.size, size, strict=True))
    if resize and pad:
        own = spacing or grid.spacing
        ratios = np.array(geometry.spacing) / own
        assert ratios.max() <= ratios.min() * 1.002
    if not resize and spacing:
        np.testing.assert_allclose(geometry.spacing, spacing, rtol=1.1e-3)


@given(grids, sizes, st.booleans(), st.integers(0, 2**32 - 1))
def test_without_resampling_the_way_back_is_exact(
    grid: Grid, size: tuple[int, int, int], pad: bool, seed: int
) -> None:
    geometry = plan_geometry(grid, None, size, pad=pad, resize=False)
    labels = np.random.default_rng(seed).integers(0, 5, grid.shape).astype(np.uint8)
    prepared = geometry.prepare_labels(grid.to_canonical(labels))
    np.testing.assert_array_equal(geometry.restore(prepared), labels)
    probabilities = np.eye(5, dtype=np.float32)[prepared].transpose(3, 0, 1, 2)
    np.testing.assert_array_equal(geometry.restore(probabilities), labels)
    assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry


def test_resampling_is_scipy_s_within_the_centres() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 7, 8, 9)).astype(np.float32)
    positions = [np.sort(rng.uniform(0, length - 1, 11)) for length in (7, 8, 9)]
    points = np.stack(np.meshgrid(*positions, indexing="ij"))
    result = resample(image, positions)
    for channel in range(2):
        expected = ndimage.map_coordinates(image[channel], points, order=1)
        np.testing.assert_allclose(result[channel], expected, atol=1e-5)


def test_the_edge_s_value_holds_for_half_a_voxel_and_zero_beyond() -> None:
    image = np.array([3.0, 5.0], np.float32).reshape(2, 1, 1)
    zero = np.zeros(1)
    along = np.array([-0.6, -0.4, 0, 0.5, 1, 1.4, 1.6])
    np.testing.assert_array_equal(resample(image, [along, zero, zero]).ravel(), [0, 3, 3, 4, 5, 5, 0])


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize("step", [0.5, 0.7, 1.3])
def test_label_borders_come_closer_to_the_truth_than_with_nearest_neighbours(step: float) -> None:
    rng = np.random.default_rng(0)
    positions = [np.arange(int(29 / step)) * step + shift for shift in (0.1, 0.2, 0.3)]
    gains = []
    for _ in range(10):
        centre, radius = rng.uniform(14, 16, 3), rng.uniform(5, 9)
        truth = ball(positions, centre, radius)
        labels = ball([np.arange(31.0)] * 3, centre, radius).astype(np.uint8)
        nearest = labels[np.ix_(*[np.round(along).astype(int) for along in positions])]
        gains.append(dice(resample_labels(labels, positions) == 1, truth) - dice(nearest == 1, truth))
    assert np.mean(gains) > 0.01


def ball(axes: list[np.ndarray], centre: np.ndarray, radius: float) -> np.ndarray:
    points = np.meshgrid(*axes, indexing="ij")
    return np.asarray(sum((p - c) ** 2 for p, c in zip(points, centre, strict=True)) < radius**2)


def test_restoring_takes_the_largest_interpolated_probability() -> None:
    grid = Grid((4, 4, 4), tuple(map(tuple, np.eye(4).tolist())))
    geometry = plan_geometry(grid, (0.5, 0.5, 0.5), (8, 8, 8), pad=True, resize=False)
    ramp = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32)[:, None, None], (8, 8, 8))
    restored = geometry.restore(np.stack([1 - ramp, ramp]))
    np.testing.assert_array_equal(restored[:, 0, 0], [0, 0, 1, 1])
    assert restored.dtype == np.uint8
    with pytest.raises(ValueError, match="not on the prepared grid"):
        geometry.restore(ramp[:5])
