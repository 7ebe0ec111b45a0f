"""The Hausdorff distance against distances between all pairs of surface voxels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.tasks.segmentation.metrics.surface_distance import (
    hausdorff_95_per_label,
    mean_distances,
    undefined_distances,
)


def surface(mask: NDArray[np.bool_], spacing: Any) -> NDArray[np.float64]:
    """Positions in mm of the voxels with a neighbour outside, along the axes that there are."""
    places = []
    for voxel in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                beside = voxel.copy()
                beside[axis] += step
                inside = all(0 <= i < n for i, n in zip(beside, mask.shape, strict=True))
                if not (inside and mask[tuple(beside)]):
                    places.append(voxel * np.array(spacing))
    return np.unique(np.array(places), axis=0)


def brute_force(one: NDArray[np.bool_], other: NDArray[np.bool_], spacing: Any) -> float:
    a, b = surface(one, spacing), surface(other, spacing)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return float(max(np.percentile(distances.min(0), 95), np.percentile(distances.min(1), 95)))


@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(2, 7), st.integers(2, 7), st.integers(1, 5)).flatmap(st.permutations),
    spacing=st.tuples(*[st.floats(0.3, 4.0)] * 3),
)
@settings(max_examples=25)
def test_is_what_all_pairs_of_surface_voxels_give(seed: int, shape: Any, spacing: Any) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.integers(0, 3, (2, *shape))
    found = hausdorff_95_per_label(prediction, truth, 3, spacing)
    for label in (1, 2):
        one, other = prediction == label, truth == label
        if not one.any() or not other.any():
            expected = math.inf if one.any() or other.any() else math.nan
        elif 1 in shape:
            axis = list(shape).index(1)
            expected = brute_force(one.squeeze(axis), other.squeeze(axis), np.delete(spacing, axis))
        else:
            expected = brute_force(one, other, spacing)
        assert found[label - 1] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_counts_in_mm_along_each_axis() -> None:
    truth = np.zeros((12, 12, 12), np.uint8)
    truth[2:5, 2:5, 2:5] = 1
    for axis, step in enumerate((1.0, 2.5, 4.0)):
        moved = np.roll(truth, 3, axis)
        assert hausdorff_95_per_label(moved, truth, 2, (1.0, 2.5, 4.0)) == pytest.approx([3 * step])
        assert hausdorff_95_per_label(truth, truth, 2, (1.0, 2.5, 4.0)) == [0.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_outlines_whichever_axis_it_is_normal_to(axis: int) -> None:
    """A ring against a disc: the disc's inside is no surface, and the slice's thickness counts nowhere."""
    rows, columns = np.indices((15, 15))
    radius = np.hypot(rows - 7, columns - 7)
    disc, ring = (radius < 6).astype(np.uint8), ((radius < 6) & (radius > 3)).astype(np.uint8)
    spacing = np.insert([1.0, 2.0], axis, 50.0)
    found = hausdorff_95_per_label(
        np.expand_dims(ring, axis), np.expand_dims(disc, axis), 2, spacing.tolist()
    )
    assert found == pytest.approx([brute_force(ring == 1, disc == 1, (1.0, 2.0))])
    assert found[0] > 1


def test_a_single_line_of_voxels_is_measured() -> None:
    line = np.zeros((1, 9, 1), np.uint8)
    line[0, 2] = 1
    assert hausdorff_95_per_label(np.roll(line, 3, 1), line, 2, (1.0, 2.0, 5.0)) == pytest.approx([6.0])


def test_labels_that_are_not_there_have_no_distance() -> None:
    prediction, truth = np.zeros((2, 4, 4, 4), np.uint8)
    prediction[0, 0, 0] = 1
    truth[0, 0, 1] = 2
    found = hausdorff_95_per_label(prediction, truth, 4, (1, 1, 1))
    np.testing.assert_array_equal(found, [np.inf, np.inf, np.nan])


def test_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="one shape"):
        hausdorff_95_per_label(np.zeros((3, 3, 3), int), np.zeros((3, 3, 4), int), 2, (1, 1, 1))


def test_means_are_over_cases_that_have_a_distance() -> None:
    cases = {
        "a": {"core": 1.0, "rind": math.inf},
        "b": {"core": 3.0, "rind": 4.0},
        "c": {"core": math.nan, "rind": math.inf},
    }
    assert mean_distances(cases) == {
        "hausdorff_95_mm": 3.0,
        "hausdorff_95_mm.core": 2.0,
        "hausdorff_95_mm.rind": 4.0,
    }
    assert undefined_distances(cases) == {"core": 0, "rind": 2}
    assert mean_distances({"a": {"core": math.inf}}) == {}
    assert mean_distances({}) == {}
