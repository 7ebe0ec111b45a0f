"""Volumes against nibabel's own reading, in every orientation, and every way for a file to be broken."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import inv_ornt_aff

from netwright.data import UnusableFile, read_image, read_label, write_label_map
from netwright.data.io.grid import Grid
from netwright.data.io.volumes import read_grid
from netwright.errors import StorageError

Save = Callable[..., Path]

ORIENTATIONS = [
    np.stack([axes, flips], axis=1) for axes in permutations(range(3)) for flips in product([1, -1], repeat=3)
]


def affine_of(axes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Slightly oblique, so that no axis is exactly the world's."""
    oblique = np.diag([1.0, 1.5, 2.0, 1.0])
    oblique[:3, :3] += [[0, 0.1, -0.05], [0.05, 0, 0.1], [-0.1, 0.05, 0]]
    oblique[:3, 3] = [-10, 20, 5]
    return np.asarray(oblique @ inv_ornt_aff(axes, shape))


@pytest.mark.parametrize("axes", ORIENTATIONS, ids=lambda axes: "".join(map(str, axes.ravel())))
def test_reads_what_nibabel_makes_canonical(axes: np.ndarray, tmp_path: Path, save_volume: Save) -> None:
    array = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    path = save_volume(tmp_path / "a.nii", array, affine_of(axes, array.shape))
    expected = nibabel.as_closest_canonical(nibabel.load(path))
    volume = read_image([path])
    np.testing.assert_array_equal(volume.array[0], expected.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-6)
    np.testing.assert_allclose(volume.spacing, expected.header.get_zooms(), rtol=1e-6)
    assert volume.grid.canonical_shape == expected.shape
    np.testing.assert_array_equal(volume.grid.from_canonical(volume.array)[0], array)


def test_channels_last_and_one_file_a_channel_are_the_same(tmp_path: Path, save_volume: Save) -> None:
    array = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    affine = np.diag([-1.0, 1, 1, 1])
    together = read_image([save_volume(tmp_path / "all.nii.gz", array, affine)])
    apart = [save_volume(tmp_path / f"{channel}.nii.gz", array[..., channel], affine) for channel in (0, 1)]
    assert together.array.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(together.array, read_image(apart).array)


def test_scaled_integers_nifti2_and_big_endian(tmp_path: Path) -> None:
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    scaled = nibabel.Nifti1Image(stored, np.eye(4))
    scaled.header.set_slope_inter(0.5, 3)
    nibabel.save(scaled, tmp_path / "scaled.nii.gz")
    nibabel.save(nibabel.Nifti2Image(stored, np.eye(4)), tmp_path / "two.nii")
    big = nibabel.Nifti1Image(stored, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(big, tmp_path / "big.nii")
    for name in ("scaled.nii.gz", "two.nii", "big.nii"):
        expected = nibabel.load(tmp_path / name).get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(read_image([tmp_path / name]).array[0], expected)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


BROKEN = {
    "cut": cut,
    "cut in the checksum": lambda content: content[:-4],
    "cut within": lambda content: gzip.compress(cut(gzip.decompress(content))),
    "a bit flipped": flip,
    "empty": lambda content: b"",
    "text": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    "header alone": lambda content: gzip.compress(gzip.decompress(content)[:348]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_files_are_named(how: str, tmp_path: Path, save_volume: Save) -> None:
    path = save_volume(tmp_path / "scan.nii.gz", np.random.default_rng(0).normal(size=(9, 9, 9)))
    path.write_bytes(BROKEN[how](path.read_bytes()))
    with pytest.raises(
        UnusableFile, match=r"scan\.nii\.gz cannot be read: expected a complete NIfTI"
    ) as error:
        read_image([path])
    assert error.value.problem.kind == "unreadable"


@given(st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_header_makes_reading_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(nibabel.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4)).to_bytes())
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.getbasetemp() / "header.nii"
    path.write_bytes(content)
    # A strange header may still be one; else the file is named, and its image cannot be read either.
    grid, image = refusal(lambda: read_grid(path)), refusal(lambda: read_image([path]))
    assert grid is None or image is not None
    assert all(str(path) in words for words in (grid, image) if words is not None)


def refusal(read: Callable[[], object]) -> str | None:
    """What is said of a file that cannot be read; None where it can be. Any other error is let through."""
    try:
        read()
    except UnusableFile as error:
        return str(error)
    return None


def test_missing_files_and_other_dimensions_are_named(tmp_path: Path, save_volume: Save) -> None:
    with pytest.raises(UnusableFile, match=r"no\.nii\.gz is missing"):
        read_grid(tmp_path / "no.nii.gz")
    flat = save_volume(tmp_path / "flat.nii", np.zeros((4, 4), np.float32))
    with pytest.raises(UnusableFile, match=r"shape 4 x 4, where a 3D volume is expected"):
        read_image([flat])
    series = save_volume(tmp_path / "series.nii", np.zeros((4, 4, 4, 3), np.uint8))
    with pytest.raises(UnusableFile, match=r"series\.nii holds more than one volume"):
        read_label(series)
    small = save_volume(tmp_path / "small.nii", np.zeros((4, 4, 3), np.float32))
    large = save_volume(tmp_path / "large.nii", np.zeros((4, 4, 4), np.float32))
    with pytest.raises(UnusableFile, match=r"large\.nii has another shape .*expected 4 x 4 x 3"):
        read_image([small, large])
    content = bytearray(large.read_bytes())
    content[280:296] = bytes(16)  # srow_x, the first row of the affine
    large.write_bytes(content)
    with pytest.raises(UnusableFile, match="affine maps the voxels to no volume") as caught:
        read_image([large])
    assert "interrupted" not in str(caught.value)


def test_a_label_that_lost_its_affine_is_refused_and_one_that_was_turned_read(
    tmp_path: Path, save_volume: Save
) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    affine = affine_of(np.array([[0, -1], [1, -1], [2, 1]]), labels.shape)
    grid = Grid(labels.shape, tuple(map(tuple, affine)))
    lost = save_volume(tmp_path / "lost.nii", labels)
    with pytest.raises(
        UnusableFile, match=r"lost\.nii has another position than its image, up to 15 voxels away"
    ):
        read_label(lost, grid)
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, affine))
    nibabel.save(turned, tmp_path / "turned.nii")
    np.testing.assert_array_equal(read_label(tmp_path / "turned.nii", grid), grid.to_canonical(labels))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_label_maps_have_the_reference_s_geometry(ending: str, tmp_path: Path) -> None:
    affine = affine_of(np.array([[2, -1], [0, 1], [1, -1]]), (3, 4, 5))
    reference = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), affine)
    reference.set_sform(affine, code=2)
    reference.set_qform(affine, code=1, strip_shears=True)
    reference.header.set_xyzt_units("mm")
    nibabel.save(reference, tmp_path / "scan.nii.gz")
    indices = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    path = tmp_path / "out" / f"labels{ending}"
    write_label_map(path, indices, tmp_path / "scan.nii.gz", values=(0, 4, 300))
    first = path.read_bytes()
    written = nibabel.load(path)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), np.array([0, 4, 300])[indices])
    for field in (
        "sform_code",
        "qform_code",
        "srow_x",
        "srow_y",
        "srow_z",
        "quatern_b",
        "pixdim",
        "xyzt_units",
    ):
        np.testing.assert_array_equal(written.header[field], reference.header[field], err_msg=field)
    write_label_map(path, indices, tmp_path / "scan.nii.gz", values=(0, 4, 300))
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_label_maps_that_cannot_be_written(tmp_path: Path, save_volume: Save) -> None:
    scan = save_volume(tmp_path / "scan.nii", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        write_label_map(tmp_path / "a.nii", np.zeros((5, 4, 3), np.uint8), scan)
    with pytest.raises(StorageError, match="could not be written"):
        write_label_map(scan / "a.nii", np.zeros((3, 4, 5), np.uint8), scan)


def test_the_channels_of_a_series_share_its_grid(tmp_path: Path, save_volume: Save) -> None:
    scan = save_volume(tmp_path / "scan.nii.gz", np.zeros((3, 4, 5, 2), np.float32), np.diag([2.0, 2, 3, 1]))
    write_label_map(tmp_path / "a.nii.gz", np.ones((3, 4, 5), np.uint8), scan)
    written = nibabel.load(tmp_path / "a.nii.gz")
    assert written.shape == (3, 4, 5)
    np.testing.assert_allclose(written.header.get_zooms(), (2, 2, 3))
