"""A case seen piece by piece has the numbers that it has when it is read whole, however it is cut and stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data.io import pieces
from netwright.data.open import open_any
from netwright.data.volumes.counting import ContentHash, IntensityCount, ValueCount, boxes
from netwright.data.volumes.inspection import inspect_dataset

Folder = Callable[..., Path]

shapes = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(tuple)


@given(shapes, st.integers(1, 100))
def test_boxes_are_the_runs_of_a_file_one_after_the_other(shape: tuple[int, ...], most: int) -> None:
    stored = np.arange(np.prod(shape)).reshape(shape, order="F")
    runs = [stored[box].ravel(order="F") for box in boxes(shape, most)]
    np.testing.assert_array_equal(np.concatenate(runs), np.arange(stored.size))
    assert max(map(len, runs)) <= most


@given(shapes, st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_intensities_and_values_are_those_of_the_whole(shape: tuple[int, ...], most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = rng.normal(1000, 3, shape).astype(np.float32)
    whole[rng.random(shape) < 0.1] = rng.choice([np.nan, np.inf])
    labels = rng.choice([0.0, 1.0, 2.5, -1.0, np.nan], shape)
    count, values = IntensityCount(whole.size), ValueCount()
    for box in boxes(shape, most):
        count.add(whole[box])
        values.add(labels[box])
    finite = whole[np.isfinite(whole)].astype(np.float64)
    assert count.broken == whole.size - finite.size
    if finite.size:
        assert count.mean == pytest.approx(finite.mean(), rel=1e-6)
        assert count.variance == pytest.approx(finite.var(), rel=1e-5, abs=1e-5)
        assert (count.minimum, count.maximum) == (finite.min(), finite.max())
        np.testing.assert_array_equal(np.sort(count.sample), np.sort(finite))
    present, often = np.unique(labels, return_counts=True)
    np.testing.assert_array_equal(values.arrays()[0], present)
    np.testing.assert_array_equal(values.arrays()[1], often)


@given(shapes, st.permutations(range(3)), st.tuples(*[st.sampled_from((1, -1))] * 3), st.integers(1, 100))
def test_the_hash_follows_the_voxels_not_how_they_are_stored(
    shape: tuple[int, ...], order: list[int], signs: tuple[int, ...], most: int
) -> None:
    canonical = np.random.default_rng(0).integers(0, 9, shape).astype(np.float32)
    turned = np.flip(canonical, [axis for axis in range(3) if signs[order.index(axis)] < 0]).transpose(order)
    straight = np.array([[axis, 1] for axis in range(3)], dtype=float)
    stored = np.array([[axis, sign] for axis, sign in zip(order, signs, strict=True)], dtype=float)

    def value(array: np.ndarray, orientation: np.ndarray, largest: int) -> int:
        result = ContentHash(shape, orientation)
        for box in reversed(boxes(array.shape, largest)):
            result.add(array[box], box)
        return result.value

    whole = value(canonical, straight, 1000)
    assert value(turned, stored, most) == whole
    other = canonical.copy()
    other.flat[-1] += 1
    assert value(other, straight, most) != whole
    if canonical.size > 1 and canonical.flat[0] != canonical.flat[-1]:
        other = canonical.copy()
        other.flat[[0, -1]] = canonical.flat[[-1, 0]]
        assert value(other, straight, most) != whole, "the same voxels elsewhere"


def test_pieces_do_not_change_what_inspection_says(
    msd_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = msd_folder(cases=12)
    image = nibabel.load(root / "imagesTr" / "case_03.nii.gz")
    nibabel.save(nibabel.as_closest_canonical(image).slicer[::-1], root / "imagesTr" / "case_05.nii.gz")
    broken = np.asarray(image.dataobj).copy()
    broken[1, 2, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(broken, image.affine), root / "imagesTr" / "case_06.nii.gz")
    blended = np.asarray(nibabel.load(root / "labelsTr" / "case_07.nii.gz").dataobj).astype(np.float32)
    blended[0, 0, :2] = 0.5, np.nan
    nibabel.save(nibabel.Nifti1Image(blended, np.eye(4)), root / "labelsTr" / "case_07.nii.gz")
    whole = inspect_dataset(open_any(root)).to_dict()
    monkeypatch.setattr(pieces, "PIECE_VOXELS", 17)
    cut = inspect_dataset(open_any(root)).to_dict()
    assert cut["problems"] == whole["problems"]
    assert {problem["kind"] for problem in cut["problems"]} >= {"not-finite", "label-not-finite"}
    for name in ("shape", "spacing", "labels"):
        assert cut["fingerprint"][name] == whole["fingerprint"][name]
    for one, other in zip(cut["fingerprint"]["channels"], whole["fingerprint"]["channels"], strict=True):
        assert one.pop("name") == other.pop("name")
        assert one == pytest.approx(other, rel=1e-6)
