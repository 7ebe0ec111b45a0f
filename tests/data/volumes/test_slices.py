"""Slices of prepared volumes: which there are, and that each is what its volume holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import Prepared, PreprocessingSettings, open_any, prepare
from netwright.data.io.grid import Grid
from netwright.data.volumes.geometry import Geometry
from netwright.data.volumes.prepared import PreparedCase
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.errors import SettingsError


@pytest.fixture(scope="module")
def prepared(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(open_any(sample), PreprocessingSettings(pad=False), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_put_together_are_the_volumes(prepared: Prepared, axis: int) -> None:
    slices = Slices(prepared, SliceSettings(axis=axis))
    for case in (0, 3):
        items = slices.of([case])
        assert items == [(case, position) for position in range(prepared.label(case).shape[axis])]
        images = np.stack([slices.image(*one) for one in items], axis=axis + 1)
        labels = np.stack([slices.label(*one) for one in items], axis=axis)
        np.testing.assert_array_equal(images, prepared.image(case))
        np.testing.assert_array_equal(labels, prepared.label(case))
    assert slices.size == tuple(length for one, length in enumerate(prepared.size) if one != axis)
    assert slices.spacing == tuple(edge for one, edge in enumerate(prepared.spacing) if one != axis)
    assert slices.class_counts_of([0, 3]).tolist() == prepared.class_counts_of([0, 3]).tolist()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_padding_is_no_slice(axis: int, sample: Path, tmp_path: Path) -> None:
    """Prepared with padding along every axis, the slices are those prepared without."""
    dataset = open_any(sample)
    plain = prepare(dataset, PreprocessingSettings(pad=False), tmp_path)
    size = (plain.size[0] + 8, plain.size[1] + 8, plain.size[2] + 8)
    padded = prepare(dataset, PreprocessingSettings(size=size), tmp_path)
    assert all(case.geometry.size == size for case in padded.cases)
    alone, slices = Slices(plain, SliceSettings(axis=axis)), Slices(padded, SliceSettings(axis=axis))
    every = range(len(plain))
    assert slices.of(every) == slices.all_of(every) == alone.of(every)
    for case, position in slices.of([0, 4]):
        kept = [case_range(padded, case, one) for one in range(3) if one != axis]
        image = slices.image(case, position)[:, kept[0]][:, :, kept[1]]
        np.testing.assert_allclose(image, alone.image(case, position), atol=1e-5)
        label = slices.label(case, position)
        np.testing.assert_array_equal(label[kept[0]][:, kept[1]], alone.label(case, position))
    counts = np.bincount(np.ravel([slices.label(*one) for one in slices.of(every)]), minlength=padded.classes)
    assert slices.class_counts_of(every).tolist() == counts.tolist()
    dropped = Slices(padded, SliceSettings(axis=axis, empty="drop"))
    counts = np.bincount(
        np.ravel([dropped.label(*one) for one in dropped.of(every)]), minlength=padded.classes
    )
    assert dropped.class_counts_of(every).tolist() == counts.tolist()


def case_range(prepared: Prepared, case: int, axis: int) -> slice:
    """Where the scan lies in its padded volume: in the middle, as its shape says."""
    whole, scan = prepared.cases[case].geometry, prepared.cases[case].geometry.grid
    length = round(scan.canonical_shape[axis] * scan.spacing[axis] / prepared.spacing[axis])
    start = (whole.size[axis] - length) // 2
    return slice(start, start + length)


@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.sampled_from([0.5, 0.9, 1.0, 1.7, 3.3])] * 3),
    st.booleans(),
    st.integers(0, 2),
)
def test_without_padding_a_prediction_returns_to_the_same_scan(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], resize: bool, axis: int
) -> None:
    affine = tuple(tuple(row) for row in np.eye(4).tolist())
    settings = PreprocessingSettings(spacing=spacing, size=(16, 16, 16), resize=resize)
    geometry = settings.geometry(Grid(shape, affine))
    cut = geometry.without_padding(axis)
    kept = geometry.inside(axis)
    # what is kept is what an image of ones leaves above zero
    ones = geometry.prepare_image(np.ones((1, *shape), np.float32))[0]
    others = tuple(one for one in range(3) if one != axis)
    if ones.any():
        assert np.flatnonzero(ones.any(axis=others)).tolist() == list(kept)
    assert cut.size[axis] == len(kept)
    ones_cut = cut.prepare_image(np.ones((1, *shape), np.float32))[0]
    np.testing.assert_allclose(ones_cut, ones.take(kept, axis=axis), atol=1e-5)
    assert cut.restore(np.ones(cut.size, np.uint8)).take(0, axis=axis).shape == tuple(np.delete(shape, axis))
    scores = np.zeros((2, *cut.size), np.float32)
    scores[1] = 1
    assert cut.restore(scores).any(axis=others).all() or not ones.any()


def test_empty_slices(prepared: Prepared) -> None:
    every = Slices(prepared, SliceSettings(axis=2)).of(range(len(prepared)))
    filled = [one for one in every if prepared.label(one[0])[:, :, one[1]].any()]
    assert 0 < len(filled) < len(every)
    dropped = Slices(prepared, SliceSettings(axis=2, empty="drop"))
    assert dropped.of(range(len(prepared))) == filled
    assert dropped.all_of(range(len(prepared))) == every
    assert Slices(prepared, SliceSettings(axis=2, empty=1.0)).of([0]) == [one for one in every if one[0] == 0]
    half = Slices(prepared, SliceSettings(axis=2, empty=0.5)).of([0])
    empty = [one for one in every if one[0] == 0 and one not in filled]
    kept = [one for one in half if one in empty]
    assert len(kept) == round(len(empty) / 2)
    assert sorted(half) == half
    counts = dropped.class_counts_of([0, 1])
    assert counts[1:].tolist() == prepared.class_counts_of([0, 1])[1:].tolist()
    assert counts[0] < prepared.class_counts_of([0, 1])[0]


def flat_prepared(size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Any:
    """Of one case without any foreground; only what the axis is chosen from."""
    affine = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    geometry = Geometry(size, affine, size, spacing, (0.0, 0.0, 0.0))
    settings = PreprocessingSettings(size=size, spacing="native")
    return Prepared(
        Path(), "x", ("c",), ("a",), (0, 1), settings, (PreparedCase("c", geometry, (1, 0), "c"),)
    )


@pytest.mark.parametrize(
    ("size", "spacing", "axis"),
    [
        ((8, 8, 8), (1.0, 1.0, 1.0), 2),
        ((8, 8, 8), (1.0, 5.0, 1.0), 1),
        ((8, 8, 8), (3.0, 1.0, 1.0), 0),
        ((8, 8, 8), (1.0, 3.0, 3.0), 2),
        ((8, 1, 8), (1.0, 1.0, 4.0), 1),
        ((8, 8, 1), (4.0, 1.0, 1.0), 2),
    ],
)
def test_the_axis_is_the_thin_one_else_the_one_with_the_largest_spacing_else_the_last(
    size: tuple[int, int, int], spacing: tuple[float, float, float], axis: int
) -> None:
    assert SliceSettings().axis_of(flat_prepared(size, spacing)) == axis
    assert SliceSettings(axis="y").axis_of(flat_prepared(size, spacing)) == 1
    assert SliceSettings(axis="sagittal").axis_of(flat_prepared(size, spacing)) == 0


def test_of_thick_slices_resampled_to_cubes_those_of_the_scan_are_meant() -> None:
    """A short-axis scan whose header says that its slices are stacked from left to right."""
    affine = ((9.0, 0, 0, 0), (0, 1.8, 0, 0), (0, 0, 1.8, 0), (0, 0, 0, 1.0))
    grid = Grid((10, 70, 70), affine)
    settings = PreprocessingSettings().resolved([grid])
    geometry = settings.geometry(grid)
    assert geometry.spacing == pytest.approx((1.8, 1.8, 1.8))
    prepared = Prepared(
        Path(), "x", ("c",), ("a",), (0, 1), settings, (PreparedCase("c", geometry, (1, 0), "c"),)
    )
    assert SliceSettings().axis_of(prepared) == 0


def test_settings() -> None:
    settings = SliceSettings(axis="axial", empty=0.25)
    assert SliceSettings.from_dict(settings.to_dict()) == settings
    for bad in ({"axis": 3}, {"axis": "w"}, {"axis": -1}, {"empty": "some"}, {"empty": 1.5}, {"empty": -0.1}):
        with pytest.raises(SettingsError):
            SliceSettings(**bad)  # type: ignore[arg-type]
