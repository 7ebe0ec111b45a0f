"""Every way in which DICOM files make no volume, told with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import DeflatedExplicitVRLittleEndian, RTDoseStorage, SegmentationStorage

from dicom_files import affine_of, write_enhanced, write_series
from netwright.data import UnusableFile, read_image
from netwright.data.io.bounds import max_pixels
from netwright.data.io.volumes import read_grid

STORED = np.arange(240, dtype=np.int16).reshape(8, 6, 5)
"""Slices, rows and columns."""

Change = Callable[[int], Mapping[str, Any]]


def at(number: int, **tags: Any) -> Change:
    """Elements of one slice alone."""
    return lambda slice: tags if slice == number else {}


def moved(step: Callable[[int], tuple[float, float, float]]) -> Change:
    """Positions of all slices."""
    return lambda number: {"ImagePositionPatient": list(step(number))}


REFUSED: dict[str, tuple[Mapping[str, Any], Change, str]] = {
    "a missing slice": (
        {},
        moved(lambda n: (0, 0, 2.5 * (n + (n > 4)))),
        r"unequal distances: expected one distance between all slices, here 2.5 mm as between most, found 5 mm from "
        r"4.dcm to 3.dcm.\nSlices are probably missing",
    ),
    "two missing slices": (
        {},
        moved(lambda n: (0, 0, 2.5 * (n + (n > 1) + (n > 6)))),
        r"found 5 mm from 7.dcm to 6.dcm and 5 mm from 2.dcm to 1.dcm",
    ),
    "a growing step": (
        {},
        moved(lambda n: (0, 0, n * n)),
        r"unequal distances.*found 1 mm from 8.dcm to 7.dcm",
    ),
    "the last slice lies farther": ({}, moved(lambda n: (0, 0, n + (n == 7))), "2 mm from 2.dcm to 1.dcm"),
    "a copy": (
        {},
        at(3, ImagePositionPatient=[0, 0, 0]),
        "8 slices at 7 positions; .* in the same place",
    ),
    "time points": (
        {},
        moved(lambda n: (0, 0, n // 2)),
        r"8 slices at 4 positions.*\nThere may be 2 images in this series, such as time points",
    ),
    "all in one place": ({}, moved(lambda n: (0, 0, 0)), "8 slices at 1 positions"),
    "a tilted gantry": (
        {},
        moved(lambda n: (0, 0.9 * n, 2.5 * n)),
        r"straight behind each other.*6.3 mm over 17.5 mm \(20 degrees\).*_Tilt",
    ),
    "one slice aside": (
        {},
        moved(lambda n: (3 * (n == 4), 0, 2.5 * n)),
        r"straight behind each other.*a shift within the plane of 3 mm",
    ),
    "another orientation": (
        {},
        at(2, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
        r"differ in size, pixel spacing or orientation.*\(1, 0, 0, 0, 1, 0\) in 1.dcm.*\(0, 1, 0, 0, 0, -1\) in 6.dcm",
    ),
    "another pixel spacing": ({}, at(2, PixelSpacing=[0.9, 0.9]), "0.9 x 0.9 mm along .* in 6.dcm"),
    "two photometric interpretations": (
        {},
        at(0, PhotometricInterpretation="MONOCHROME1"),
        r"MONOCHROME1\) in 8.dcm",
    ),
    "several series": (
        {"SeriesDescription": "Thorax 1.0"},
        at(5, SeriesInstanceUID="1.2.3", SeriesDescription="Scout", SeriesNumber=7),
        r'has 2 DICOM series: .*CT "Thorax 1.0" \(7 files such as 1.dcm, .*'
        r'CT "Scout" number 7 \(1 file 3.dcm, 1.2.3\).*folder of its own',
    ),
    "a localizer": (
        {"SeriesDescription": "Topogram"},
        at(5, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        r'3.dcm is a localizer: .*CT "Topogram", image type ORIGINAL/PRIMARY/LOCALIZER',
    ),
    "no position": ({}, at(5, ImagePositionPatient=None), "3.dcm has no ImagePositionPatient"),
    "an empty position": ({}, at(5, ImagePositionPatient=""), "3.dcm has no ImagePositionPatient"),
    "two numbers of a position": ({}, at(5, ImagePositionPatient=[1, 2]), "where 3 numbers are expected"),
    "no orientation": ({"ImageOrientationPatient": None}, at(0), "has no ImageOrientationPatient"),
    "no pixel spacing": ({"PixelSpacing": None}, at(0), "has no PixelSpacing"),
    "a pixel spacing of 0": ({"PixelSpacing": [0, 1]}, at(0), "describes no plane in space"),
    "no right angle": (
        {"ImageOrientationPatient": [1, 0, 0, 0.6, 0.8, 0]},
        at(0),
        "describes no plane in space",
    ),
    "no directions": ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, at(0), "describes no plane in space"),
    "colours": (
        {"PhotometricInterpretation": "PALETTE COLOR"},
        at(0),
        "is an image in colours: .* found PALETTE COLOR",
    ),
    "the highest bits": (
        {"BitsStored": 12, "HighBit": 15},
        at(0),
        "16 allocated, 12 stored, the highest at 15",
    ),
    "a table of numbers": ({"ModalityLUTSequence": []}, at(0), r"Modality LUT"),
    "doses plane by plane": (
        {"Modality": "RTDOSE", "DoseGridScaling": "0.001"},
        at(0),
        r"is a radiotherapy dose: .* found RTDOSE, .* a DoseGridScaling of 0\.001",
    ),
    "a slope of 0": ({"RescaleSlope": 0}, at(0), "a rescale slope of 0"),
    "a segmentation": (
        {"SOPClassUID": SegmentationStorage},
        at(0),
        r"DICOM-SEG.*give the file itself as the label map",
    ),
    "a report": ({"Rows": None, "Modality": "SR"}, at(0), "without an image: .* found SR"),
    "frames without positions": ({"NumberOfFrames": 2}, at(0), "has 2 frames that do not say where they lie"),
    "too many voxels": ({"Rows": 60000, "Columns": 60000}, at(0), "announces 60000 x 60000 x 8"),
    "too few bytes": ({"Rows": 400, "Columns": 400}, at(0), "a header that announces 320000 bytes of pixels"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_volume_is_refused_with_the_numbers(why: str, tmp_path: Path) -> None:
    tags, of_slice, message = REFUSED[why]
    path = write_series(tmp_path / "a", STORED, affine_of(origin=(0, 0, 0)), tags, of_slice)
    with pytest.raises(UnusableFile, match=f"(?s){message}"):
        read_grid(path)


def test_positions_that_were_rounded_are_one_distance(tmp_path: Path) -> None:
    affine = affine_of(spacing=(0.7, 0.8, 0.625), origin=(0, 0, 0))
    path = write_series(
        tmp_path / "a", STORED, affine, of_slice=moved(lambda n: (0, 0, round(n * 0.625 - 0.001, 2)))
    )
    assert read_grid(path).spacing[2] == pytest.approx(0.625, abs=0.02)


def test_a_missing_frame_is_told_by_its_number(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", STORED, order=[0, 1, 2, 4, 5, 6, 7])
    with pytest.raises(UnusableFile, match=r"5 mm from a\.dcm frame 3 to a\.dcm frame 4"):
        read_grid(path)


def test_a_dose_is_refused_with_the_command_that_scales_it(tmp_path: Path) -> None:
    groups = dict.fromkeys(("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"))
    grid = {
        "ImagePositionPatient": [1, 2, 3],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.8, 0.7],
        "FrameIncrementPointer": 0x3004000C,
        "GridFrameOffsetVector": [2.5 * number for number in range(len(STORED))],
    }
    dose = {"SOPClassUID": RTDoseStorage, "Modality": "RTDOSE", "DoseGridScaling": "2.5e-3"}
    path = write_enhanced(tmp_path / "dose.dcm", STORED.astype(np.uint16), tags={**groups, **grid, **dose})
    dataset = pydicom.dcmread(path)
    dataset.file_meta.MediaStorageSOPClassUID = RTDoseStorage
    dataset.save_as(path)
    with pytest.raises(UnusableFile, match="is a radiotherapy dose") as caught:
        read_grid(path)
    assert "sitkFloat32) * 0.0025, new_path)" in caught.value.problem.advice
    doses = SimpleITK.Cast(SimpleITK.ReadImage(path), SimpleITK.sitkFloat32) * 2.5e-3
    SimpleITK.WriteImage(doses, tmp_path / "dose.nii.gz")
    volume = read_image([tmp_path / "dose.nii.gz"])
    np.testing.assert_allclose(volume.grid.from_canonical(volume.array)[0].T, STORED * 2.5e-3, rtol=1e-6)
    assert volume.spacing == pytest.approx((0.7, 0.8, 2.5))


def test_frames_and_their_descriptions_must_agree_in_number(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", STORED, tags={"NumberOfFrames": 9})
    with pytest.raises(UnusableFile, match="8 descriptions of frames, where the header announces 9"):
        read_grid(path)


def test_a_single_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="has a single slice"):
        read_grid(write_series(tmp_path / "a", STORED[:1]))


@pytest.mark.parametrize("name", ["IM9", "IM9.dcm", "1.2.840.9"])
@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_a_damaged_slice_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED, name="IM{}")
    broken = (path / "IM1").read_bytes()[:400] if content is None else content
    (path / "IM1").unlink()
    (path / name).write_bytes(broken)
    with pytest.raises(UnusableFile, match=name):
        read_grid(path)


def test_pixels_that_end_early_are_told_of(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PixelData = dataset.PixelData[:-10]
        dataset.save_as(file)
    with pytest.raises(UnusableFile, match=r"\d\.dcm cannot be read"):
        read_image([path])


def test_a_packed_header_is_not_unpacked(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(file)
    with pytest.raises(UnusableFile, match="deflated"):
        read_grid(path)


def test_the_bound_of_voxels_holds_for_all_slices_together(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", STORED)
    with max_pixels(STORED.size):
        read_grid(path)
    with max_pixels(STORED.size - 1), pytest.raises(UnusableFile, match="that many in the files of a folder"):
        read_grid(path)


def test_a_folder_without_slices_says_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    with pytest.raises(UnusableFile, match=r"without DICOM files.*found x\.png"):
        read_grid(tmp_path / "a")
