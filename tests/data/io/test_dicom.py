"""DICOM series against SimpleITK's reader, against the numbers stored, and every way in which one is no volume."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicom_files import affine_of, write_enhanced, write_series
from netwright.data import UnusableFile, read_image, read_label, write_label_map
from netwright.data.io.dicom_seg_writer import require_highdicom
from netwright.data.io.formats import image_file_digests
from netwright.data.io.pieces import image_pieces
from netwright.data.io.volumes import label_ending, read_grid
from netwright.errors import SettingsError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (8, 6, 5)
"""Slices, rows and columns."""

STORED = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)

angles = st.floats(-3, 3)


def rotation(about: tuple[float, float, float]) -> np.ndarray:
    turn = SimpleITK.Euler3DTransform()
    turn.SetRotation(*about)
    return np.reshape(turn.GetMatrix(), (3, 3))


def values(path: Path) -> np.ndarray:
    """As read (slices, rows, columns), in the order of the slices along their normal."""
    return read_grid(path).from_canonical(read_image([path]).array)[0].T


def of_simple_itk(folder: Path) -> Any:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@settings(max_examples=12)
@given(st.tuples(angles, angles, angles))
def test_voxels_lie_where_simple_itk_says(
    tmp_path_factory: pytest.TempPathFactory, about: tuple[float, float, float]
) -> None:
    affine = affine_of(rotation(about))
    path = write_series(tmp_path_factory.mktemp("oblique"), STORED, affine, {"RescaleIntercept": -1000})
    image = of_simple_itk(path)
    grid = read_grid(path)
    assert grid.shape == image.GetSize() == SHAPE[::-1]
    np.testing.assert_allclose(grid.matrix, LPS_TO_RAS @ affine, atol=1e-6)
    for index in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (1, 2, 7)):
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((grid.matrix @ [*index, 1])[:3], [-left, -back, up], atol=1e-5)
    np.testing.assert_array_equal(values(path), SimpleITK.GetArrayFromImage(image))
    np.testing.assert_array_equal(values(path), STORED - 1000.0)


def test_the_volume_is_turned_to_canonical_axes(tmp_path: Path) -> None:
    sagittal = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    volume = read_image([write_series(tmp_path / "a", STORED, affine_of(sagittal))])
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.8))
    # Columns run to the back, rows to the feet and slices to the right: all against RAS but the slices.
    np.testing.assert_array_equal(volume.array[0], STORED.transpose(0, 2, 1)[:, ::-1, ::-1])


HOW_STORED = {
    "signed": (STORED - 100, {}),
    "unsigned": (STORED.astype(np.uint16) + 60000, {}),
    "8 bits": (STORED.astype(np.uint8), {}),
    "signed, 12 bits": ((STORED - 100) & 0xFFF, {"BitsStored": 12, "HighBit": 11}),
    "an overlay above 12 bits": (
        STORED.astype(np.uint16) | 0x8000,
        {"BitsStored": 12, "HighBit": 11},
    ),
    "padding": (STORED, {"PixelPaddingValue": 7, "RescaleIntercept": -1024}),
    "a slope": (STORED, {"RescaleSlope": "0.5", "RescaleIntercept": "-3.25"}),
}


@pytest.mark.parametrize("how", HOW_STORED)
def test_numbers_are_those_of_simple_itk(how: str, tmp_path: Path) -> None:
    stored, tags = HOW_STORED[how]
    path = write_series(tmp_path / "a", stored, tags=tags)
    np.testing.assert_array_equal(values(path), SimpleITK.GetArrayFromImage(of_simple_itk(path)))


def test_monochrome1_is_a_way_to_show_numbers_and_changes_none(tmp_path: Path) -> None:
    tags = {"PhotometricInterpretation": "MONOCHROME1", "RescaleIntercept": -1024}
    np.testing.assert_array_equal(values(write_series(tmp_path / "a", STORED, tags=tags)), STORED - 1024.0)


def test_every_slice_has_its_own_slope(tmp_path: Path) -> None:
    slopes = [1.0, *np.linspace(0.1, 2.7, 7).tolist()]
    series = write_series(
        tmp_path / "a",
        STORED,
        tags={"Modality": "PT"},
        of_slice=lambda number: {"RescaleSlope": slopes[number], "RescaleIntercept": number},
    )
    expected = (STORED * np.array(slopes)[:, None, None] + np.arange(8)[:, None, None]).astype(np.float32)
    np.testing.assert_array_equal(values(series), expected)
    enhanced = write_enhanced(
        tmp_path / "b.dcm", STORED, order=[3, 1, 2, 0, 7, 6, 5, 4], of_slice=lambda n: (slopes[n], n)
    )
    np.testing.assert_array_equal(values(enhanced), expected)


@pytest.mark.parametrize("place", ["scan.dcm", "scan/IM0001", "scan/1.2.840.113619"])
def test_frames_of_one_file_are_ordered_by_position_and_apart_as_positions_say(
    place: str, tmp_path: Path
) -> None:
    affine = affine_of(rotation((0.3, -0.2, 0.4)))
    file = write_enhanced(tmp_path / place, STORED, affine, order=[3, 1, 2, 0, 7, 6, 5, 4])
    path = file if file.parent == tmp_path else file.parent
    np.testing.assert_allclose(read_grid(path).matrix, LPS_TO_RAS @ affine, atol=1e-6)
    np.testing.assert_array_equal(values(path), STORED)


def compressed(folder: Path, syntax: str, encode: Callable[[np.ndarray], bytes]) -> Path:
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        content = encode(dataset.pixel_array)
        dataset.PixelData = encapsulate([content])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        dataset.save_as(file)
    return folder


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg_encode(pixels.view(np.uint16), lossless=True))


def jpeg_ls(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels.view(np.uint16)))


def jpeg_2000(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True))


CODECS = {
    "1.2.840.10008.1.2.4.57": lossless_jpeg,
    "1.2.840.10008.1.2.4.70": lossless_jpeg,
    "1.2.840.10008.1.2.4.80": jpeg_ls,
    "1.2.840.10008.1.2.4.90": jpeg_2000,
}


@pytest.mark.parametrize("syntax", CODECS)
def test_what_is_compressed_without_loss_is_what_was_stored(syntax: str, tmp_path: Path) -> None:
    path = compressed(write_series(tmp_path / "a", STORED - 100), syntax, CODECS[syntax])
    np.testing.assert_array_equal(values(path), STORED - 100)


@pytest.mark.parametrize(("syntax", "bits"), [("1.2.840.10008.1.2.4.50", 8), ("1.2.840.10008.1.2.4.51", 12)])
def test_jpeg_with_loss_is_decoded_as_by_simple_itk(syntax: str, bits: int, tmp_path: Path) -> None:
    stored = STORED.astype(np.uint8 if bits == 8 else np.uint16)
    path = write_series(tmp_path / "a", stored, tags={"BitsStored": bits, "HighBit": bits - 1})
    compressed(path, syntax, lambda pixels: imagecodecs.jpeg_encode(pixels, level=95, bitspersample=bits))
    np.testing.assert_allclose(values(path), SimpleITK.GetArrayFromImage(of_simple_itk(path)), atol=1)


@pytest.mark.parametrize("syntax", [RLELossless, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_ways_to_write_the_same(syntax: Any, tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        if syntax == RLELossless:
            dataset.compress(syntax)
        little, pixels = syntax != ExplicitVRBigEndian, dataset.pixel_array
        if syntax != RLELossless:
            dataset.PixelData = pixels.astype("<i2" if little else ">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            file,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=little,
            force_encoding=True,
        )
    np.testing.assert_array_equal(values(path), STORED)


def test_a_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    path = compressed(write_series(tmp_path / "a", STORED), HTJ2KLossless, jpeg_2000)
    with pytest.raises(UnusableFile, match=r"(?s)found High-Throughput JPEG 2000.*gdcmconv --raw"):
        read_grid(path)


def test_compressed_pixels_of_another_size_are_not_decoded(tmp_path: Path) -> None:
    path = compressed(
        write_series(tmp_path / "a", STORED),
        "1.2.840.10008.1.2.4.90",
        lambda pixels: jpeg_2000(np.tile(pixels, (2, 2))),
    )
    with pytest.raises(UnusableFile, match=r"size \(12, 10\), not the announced \(6, 5\)"):
        read_image([path])


def test_other_files_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED, name="IM{}")
    for name in ("README", "LICENSE", "notes.txt", "seg.nii.gz", ".DS_Store", "thumb.png"):
        (path / name).write_bytes(b"something else")
    shutil.copy(path / "IM1", path / "DICOMDIR")
    np.testing.assert_array_equal(values(path), STORED)


def test_a_slice_that_was_changed_is_read_again(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    before = values(path)
    write_series(path, STORED + 1, affine_of(spacing=(1, 1, 4)))
    np.testing.assert_array_equal(values(path), before + 1)
    assert read_grid(path).spacing == pytest.approx((1, 1, 4))


def test_digests_know_contents_and_not_names(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    other = tmp_path / "b"
    other.mkdir()
    for number, file in enumerate(path.iterdir()):
        shutil.copy(file, other / f"IM{number:03d}")
    assert image_file_digests(path) == image_file_digests(other)
    shutil.copy(write_series(tmp_path / "c", STORED + 1) / "1.dcm", other / "IM000")
    assert image_file_digests(path) != image_file_digests(other)


def test_pieces_and_labels_are_those_of_the_volume(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    (piece,) = image_pieces(path)
    np.testing.assert_array_equal(piece.values.T, STORED)
    labels = read_label(path, read_grid(path))
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(read_grid(path).from_canonical(labels).T, STORED)
    scaled = write_series(tmp_path / "b", STORED, tags={"RescaleSlope": 0.5, "RescaleIntercept": 0})
    with pytest.raises(UnusableFile, match=r"a rescale slope of 0\.5"):
        read_label(scaled)


@pytest.mark.parametrize("format", [None, "nifti", "nrrd", "mha"])
def test_label_maps_lie_where_the_series_does(format: str | None, tmp_path: Path) -> None:
    affine = affine_of(rotation((0.3, -0.2, 0.4)))
    path = write_series(tmp_path / "a", STORED, affine)
    ending = label_ending(path, format)
    assert ending == {None: ".nii.gz", "nifti": ".nii.gz", "nrrd": ".nrrd", "mha": ".mha"}[format]
    labels = (STORED.T % 3).astype(np.uint8)
    write_label_map(tmp_path / f"l{ending}", labels, path)
    image = SimpleITK.ReadImage(tmp_path / f"l{ending}")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), STORED % 3)
    np.testing.assert_allclose(image.GetOrigin(), affine[:3, 3], atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), (0.7, 0.8, 2.5), atol=1e-5)
    np.testing.assert_allclose(
        np.reshape(image.GetDirection(), (3, 3)), affine[:3, :3] / [0.7, 0.8, 2.5], atol=1e-5
    )


def test_without_highdicom_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = write_series(tmp_path / "a", STORED)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "highdicom" else find(name))
    for refused in (require_highdicom, lambda: label_ending(scan, "dicom-seg")):
        with pytest.raises(SettingsError, match=r"pip install 'netwright\[dicom-seg\]'"):
            refused()
