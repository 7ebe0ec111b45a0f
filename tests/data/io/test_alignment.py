"""Channels and labels beside their image: every orientation of their axes, and places ever farther away."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import UnusableFile, read_image, read_label, write_label_map
from netwright.data.io.alignment import misplacement, same_place
from netwright.data.io.grid import Grid
from netwright.data.io.volumes import read_grid
from netwright.data.volumes.geometry import plan_geometry

Save = Callable[..., Path]

SHAPE = (6, 7, 5)
CODES = [
    "".join(letters)
    for axes in (
        ("RL", "AP", "SI"),
        ("RL", "SI", "AP"),
        ("AP", "RL", "SI"),
        ("AP", "SI", "RL"),
        ("SI", "RL", "AP"),
        ("SI", "AP", "RL"),
    )
    for letters in product(*axes)
]


def oblique(degrees: float = 20) -> np.ndarray:
    """An affine turned about two axes, of voxels of 1 x 1.5 x 2 mm."""
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.diag([1, 1.5, 2])
    affine[:3, 3] = [-31.25, 17.5, 240]
    return affine


def turned(image: Any, code: str) -> Any:
    """nibabel's own turning of an image whose axes run about RAS."""
    wanted = nibabel.orientations.axcodes2ornt(code)
    return image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(image.affine), wanted)
    )


def moved(affine: np.ndarray, voxels: Any) -> np.ndarray:
    """The affine of a grid that lies so many voxels along its axes away."""
    result = affine.copy()
    result[:3, 3] += affine[:3, :3] @ np.asarray(voxels, dtype=float)
    return result


def grid(affine: np.ndarray, shape: tuple[int, int, int] = SHAPE) -> Grid:
    return Grid(shape, tuple(tuple(row) for row in affine.tolist()))


def test_all_48_orientations_are_listed() -> None:
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("code", CODES)
def test_a_channel_stored_along_any_axes_is_the_same_channel(code: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    nibabel.save(turned(nibabel.Nifti1Image(values, oblique()), "LPS"), tmp_path / "first.nii")
    nibabel.save(turned(nibabel.Nifti1Image(values * 2, oblique()), code), tmp_path / "second.nii")
    nibabel.save(turned(nibabel.Nifti1Image(values * 3, oblique()), "SAL"), tmp_path / "third.nii")
    volume = read_image([tmp_path / f"{name}.nii" for name in ("first", "second", "third")])
    np.testing.assert_array_equal(volume.array, [values, values * 2, values * 3])
    assert volume.grid.orientation == "LPS"
    assert volume.problems == ()


@pytest.mark.parametrize("code", CODES)
def test_a_label_s_flips_come_from_its_own_affine_up_to_a_voxel_away(code: str, tmp_path: Path) -> None:
    label = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), oblique())
    nibabel.save(turned(image, "LPS"), tmp_path / "image.nii")
    reference = read_grid(tmp_path / "image.nii")
    for shift in (0, 0.11, -0.5, 1):
        away = nibabel.Nifti1Image(label, moved(oblique(), (shift, -shift, shift)))
        nibabel.save(turned(away, code), tmp_path / "label.nii")
        np.testing.assert_array_equal(read_label(tmp_path / "label.nii", reference), label)


@pytest.mark.parametrize("code", ["RAS", "LPS", "ARI", "SLP", "IPL"])
def test_what_is_written_back_lies_in_the_scan_s_own_geometry(code: str, tmp_path: Path) -> None:
    label = np.random.default_rng(2).integers(0, 3, SHAPE).astype(np.uint8)
    scan = turned(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), oblique()), code)
    nibabel.save(scan, tmp_path / "scan.nii")
    nibabel.save(nibabel.Nifti1Image(label, moved(oblique(), (0, 0.3, 0))), tmp_path / "label.nii")
    own = read_grid(tmp_path / "scan.nii")
    geometry = plan_geometry(own, None, (16, 16, 16), pad=True, resize=False)
    prepared = geometry.prepare_labels(read_label(tmp_path / "label.nii", own))
    write_label_map(tmp_path / "out.nii", geometry.restore(prepared), tmp_path / "scan.nii")
    written = nibabel.load(tmp_path / "out.nii")
    np.testing.assert_allclose(written.affine, scan.affine, atol=1e-4)
    canonical = nibabel.as_closest_canonical(written)
    np.testing.assert_allclose(canonical.affine, oblique(), atol=1e-4)
    np.testing.assert_array_equal(np.asanyarray(canonical.dataobj), label)


@given(
    st.sampled_from(CODES),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.sampled_from([0, 10, 30, 44.9, 45, 45.1, 80]),
)
def test_the_displacement_is_the_shift(code: str, shift: tuple[float, float, float], degrees: float) -> None:
    affine = oblique(degrees)
    image = grid(affine)
    other = turned(nibabel.Nifti1Image(np.zeros(SHAPE), moved(affine, shift)), code)
    off = grid(other.affine, other.shape).displacement(image)
    assert off == pytest.approx(np.abs(shift).max(), abs=1e-6)
    problem = misplacement(Path("l.nii"), grid(other.affine, other.shape), image, "i.nii")
    if off <= 0.1:
        assert problem is None
    elif off <= 1:
        assert problem is not None
        assert problem.severity == "warning"
        assert f"i.nii, up to {off:.2g} voxels away" in str(problem)
    elif off > 1.002:
        assert problem is not None
        assert (problem.severity, problem.kind) == ("error", "elsewhere")


def test_axes_at_45_degrees_do_not_part_what_lies_in_one_place() -> None:
    """There a header's rounding decides which axis is called which."""
    first, second = oblique(45), oblique(45)
    first[:2, :2] *= [[1, 1 - 1e-7], [1 - 1e-7, 1]]
    second[:2, :2] *= [[1 - 1e-7, 1], [1, 1 - 1e-7]]
    one, two = grid(first), grid(second)
    assert same_place(one, two)
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    np.testing.assert_array_equal(two.to_axes_of(one, values), one.to_canonical(values))


def test_another_spacing_or_another_shape_is_refused(tmp_path: Path, save_volume: Save) -> None:
    image = save_volume(tmp_path / "image.nii", np.zeros(SHAPE, np.float32))
    thick = save_volume(tmp_path / "thick.nii", np.zeros(SHAPE, np.float32), np.diag([1, 1, 3.0, 1]))
    with pytest.raises(
        UnusableFile, match=r"thick\.nii has another position than the first channel image\.nii"
    ):
        read_image([image, thick])
    with pytest.raises(UnusableFile, match=r"numpy\.asarray\(label\.dataobj\), image\.affine"):
        read_label(thick, read_grid(image))
    swapped = np.array([[0, 1.0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    across = save_volume(tmp_path / "across.nii", np.zeros(SHAPE, np.float32), swapped)
    with pytest.raises(UnusableFile, match=r"expected 6 x 7 x 5 in canonical axes as in image\.nii, found 7"):
        read_image([image, across])
    # a header of 1e-3 of an edge beside is one place, as single precision may make it
    near = save_volume(tmp_path / "near.nii", np.zeros(SHAPE, np.float32), np.diag([1.001, 1, 1, 1]))
    assert read_image([image, near]).problems == ()


def test_predicting_says_that_a_channel_lies_beside(tmp_path: Path, save_volume: Save) -> None:
    from netwright.data.volumes.preprocessing import PreprocessingSettings, prepare_volume
    from netwright.errors import DatasetWarning

    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    files = [
        save_volume(tmp_path / "a_0000.nii", values),
        save_volume(tmp_path / "a_0001.nii", values, moved(np.eye(4), (0, 0.4, 0))),
    ]
    settings = PreprocessingSettings(spacing="native", size=(8, 8, 8))
    with pytest.warns(
        DatasetWarning, match=r"a_0001\.nii has another position than the first channel a_0000\.nii"
    ):
        prepared = prepare_volume(read_image(files), files, settings)
    np.testing.assert_array_equal(prepared.image[0], prepared.image[1])
