"""The way to the prepared grid and back, against closed forms and scipy."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import inv_ornt_aff
from scipy import ndimage

from netwright.data.io.grid import Grid
from netwright.data.volumes.geometry import Geometry, plan_geometry, resample_labels
from netwright.data.volumes.interpolation import resample
from netwright.data.volumes.slabs import Slabs

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
    back = np.diag([*geometry.scale, 1.0])
    back[:3, 3] = geometry.offset
    source = world(back, geometry.size)
    # where the result is coarser, its kernel reaches so many voxels further
    reach = np.array([scale + 1 if scale > 1 else 0 for scale in geometry.scale])[:, None, None, None]
    between = ((source >= reach) & (source <= lengths - 1 - reach)).all(axis=0)
    outside = ((source < -0.51) | (source > lengths - 0.49)).any(axis=0)
    expected = world(grid.canonical_affine @ back, geometry.size)
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


def coarser(length: int, scale: float) -> list[np.ndarray]:
    """Positions along the first axis alone, and a single voxel along the others."""
    return [scale * np.arange(int(length / scale)) + (scale - 1) / 2, np.zeros(1), np.zeros(1)]


@pytest.mark.parametrize("scale", [1.01, 1.5, 2, 2.7, 4])
def test_coarser_grids_keep_constants_and_ramps(scale: float) -> None:
    steps = (scale, 1.0, 1.0)
    positions = coarser(64, scale)
    constant = np.full((64, 1, 1), 7, np.float32)
    np.testing.assert_allclose(resample(constant, positions, steps), 7, rtol=1e-5)
    ramp = np.arange(64, dtype=np.float32).reshape(64, 1, 1)
    inner = (positions[0] > scale + 1) & (positions[0] < 62 - scale)
    resampled = resample(ramp, positions, steps).ravel()[inner]
    assert len(resampled) > 8
    np.testing.assert_allclose(resampled, positions[0][inner], atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_thin_sheet_keeps_its_mass_wherever_it_lies(scale: int) -> None:
    for start in range(2 * scale, 48 - 2 * scale):
        sheet = np.zeros((48, 1, 1), np.float32)
        sheet[start : start + 2] = 1
        resampled = resample(sheet, coarser(48, scale), (scale, 1.0, 1.0))
        assert scale * resampled.sum() == pytest.approx(2, rel=1e-5)


def test_noise_is_averaged_away_on_a_coarser_grid() -> None:
    """Weights of a triangle of half width 4 around a point between two voxels: (1, 3, 5, 7, 7, 5, 3, 1) / 32."""
    noise = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    positions = [coarser(64, 4)[0]] * 3
    resampled = resample(noise, positions, (4.0, 4.0, 4.0))[2:-2, 2:-2, 2:-2]
    expected = (2 * (1 + 9 + 25 + 49) / 32**2) ** 1.5
    assert resampled.std() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_coarser_grids_are_those_of_torch(scale: int) -> None:
    image = np.random.default_rng(0).normal(size=(24, 36, 1)).astype(np.float32)
    positions = [*[scale * np.arange(n // scale) + (scale - 1) / 2 for n in (24, 36)], np.zeros(1)]
    resampled = resample(image, positions, (scale, scale, 1.0))
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(image[None, None, :, :, 0]),
        scale_factor=1 / scale,
        mode="bilinear",
        antialias=True,
        recompute_scale_factor=True,
    )
    np.testing.assert_allclose(resampled[:, :, 0], reference[0, 0].numpy(), atol=1e-5)


def test_labels_of_a_coarser_grid_are_those_of_the_majority() -> None:
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[:, :, 16:] = 2
    labels[::4, ::4, ::4] = 1  # all that every fourth voxel shows
    grid = Grid((32, 32, 32), tuple(map(tuple, np.eye(4).tolist())))
    geometry = plan_geometry(grid, None, (8, 8, 8), pad=True, resize=True)
    expected = np.zeros((8, 8, 8), np.uint8)
    expected[:, :, 4:] = 2
    np.testing.assert_array_equal(geometry.prepare_labels(labels), expected)
    whole = [np.arange(0.0, 32, 4)] * 3
    assert (resample_labels(labels, whole, (4.0, 4.0, 4.0)) != 1).all()


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


@settings(max_examples=40)
@given(
    grids,
    st.none() | spacings,
    sizes,
    st.booleans(),
    st.integers(0, 2),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_slabs_are_restored_like_the_whole(
    grid: Grid,
    spacing: tuple[float, float, float] | None,
    size: tuple[int, int, int],
    resize: bool,
    axis: int,
    planes: int,
    seed: int,
) -> None:
    geometry = plan_geometry(grid, spacing, size, pad=True, resize=resize)
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), geometry.size).astype(np.float32).transpose(3, 0, 1, 2)

    def parts() -> Iterator[np.ndarray]:
        memory = np.empty_like(probabilities)
        for start in range(0, geometry.size[axis], planes):
            part = np.moveaxis(memory, axis + 1, 0)[:planes]
            part[...] = np.nan  # what was given before is gone
            part = part[: geometry.size[axis] - start]
            part[...] = np.moveaxis(probabilities, axis + 1, 0)[start : start + planes]
            yield np.moveaxis(part, 0, axis + 1)

    whole = geometry.restore(probabilities)
    np.testing.assert_array_equal(geometry.restore(Slabs(geometry.size, axis, parts())), whole)
    np.testing.assert_array_equal(Slabs(geometry.size, axis, parts()).whole(), probabilities)
    labels = Slabs(geometry.size, axis, parts()).labels()
    np.testing.assert_array_equal(labels, probabilities.argmax(0))


def test_restoring_takes_the_largest_interpolated_probability() -> None:
    grid = Grid((4, 4, 4), tuple(map(tuple, np.eye(4).tolist())))
    geometry = plan_geometry(grid, (0.5, 0.5, 0.5), (8, 8, 8), pad=True, resize=False)
    ramp = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32)[:, None, None], (8, 8, 8))
    restored = geometry.restore(np.stack([1 - ramp, ramp]))
    np.testing.assert_array_equal(restored[:, 0, 0], [0, 0, 1, 1])
    assert restored.dtype == np.uint8
    with pytest.raises(ValueError, match="not on the prepared grid"):
        geometry.restore(ramp[:5])
