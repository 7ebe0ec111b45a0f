"""DICOM segmentations that highdicom wrote, against the arrays put in; what is refused; and our own, read by others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from dicom_files import affine_of, write_enhanced, write_series
from netwright.data import UnusableFile, read_image, read_label, write_label_map
from netwright.data.io.formats import segment_names
from netwright.data.io.pieces import label_pieces
from netwright.data.io.volumes import label_ending, read_grid, read_label_grid
from netwright.errors import SettingsError

highdicom = pytest.importorskip("highdicom")

FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.8.498.1"
PATIENT = {
    "PatientID": "1",
    "PatientName": "A^B",
    "PatientBirthDate": "",
    "PatientSex": "",
    "AccessionNumber": "",
    "StudyID": "",
    "StudyDate": "",
    "StudyTime": "",
}


def oblique(angles: Sequence[float] = (0.3, -0.2, 0.4)) -> np.ndarray:
    turn = SimpleITK.Euler3DTransform()
    turn.SetRotation(*angles)
    return affine_of(np.reshape(turn.GetMatrix(), (3, 3)))


def series(
    folder: Path, shape: tuple[int, ...] = (8, 16, 16), affine: np.ndarray | None = None, **tags: Any
) -> Path:
    stored = np.random.default_rng(1).integers(-500, 500, shape).astype(np.int16)
    tags = {**PATIENT, "FrameOfReferenceUID": FRAME_OF_REFERENCE, **tags}
    return write_series(folder, stored, oblique() if affine is None else affine, tags)


def sources(folder: Path) -> list[pydicom.Dataset]:
    """In the order of the slices, against that of the names."""
    return [pydicom.dcmread(folder / f"{number}.dcm") for number in range(len(list(folder.iterdir())), 0, -1)]


def segment(number: int) -> Any:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"organ {number}",
        segmented_property_category=codes.cid7150.AnatomicalStructure,
        segmented_property_type=codes.cid7150.AnatomicalStructure,
        algorithm_type="MANUAL",
    )


def segmentation(path: Path, images: Sequence[pydicom.Dataset], array: Any, **options: Any) -> Path:
    """Written by highdicom. ``array``: numbers (slices, rows, columns), a segment along a fourth axis, or a volume."""
    stored = getattr(array, "array", array)
    count = stored.shape[3] if stored.ndim == 4 else int(stored.max())
    settings = {
        "segmentation_type": "BINARY",
        "segment_descriptions": [segment(number) for number in range(1, count + 1)],
    }
    highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=array,
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="0",
        device_serial_number="0",
        **{**settings, **options},
    ).save_as(path)
    return path


def numbers(shape: tuple[int, ...] = (8, 16, 16), seed: int = 0) -> np.ndarray:
    """Segments 1 to 3, in some of the slices alone."""
    array = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    array[[0, 1, 4, -1]] = 0
    array[2, 0, 0] = 3
    return array


def in_slices(path: Path, folder: Path) -> np.ndarray:
    """A label map as it is read on the grid of a series, back in the order of its slices, rows and columns."""
    grid = read_grid(folder)
    return grid.from_canonical(read_label(path, grid)).T


@pytest.mark.parametrize("shape", [(8, 16, 16), (8, 7, 9)])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_lie_where_the_array_had_them(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    folder, array = series(tmp_path / "a", shape), numbers(shape)
    path = segmentation(tmp_path / "a.dcm", sources(folder), array, segmentation_type=kind)
    assert int(pydicom.dcmread(path).NumberOfFrames) < 3 * len(array)
    np.testing.assert_array_equal(in_slices(path, folder), array)
    assert segment_names(path) == {number: f"organ {number}" for number in (1, 2, 3)}


@settings(max_examples=8)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.integers(0, 9))
def test_any_orientation_and_any_order_of_frames(
    tmp_path_factory: pytest.TempPathFactory, angles: tuple[float, ...], seed: int
) -> None:
    root = tmp_path_factory.mktemp("seg")
    folder, array = series(root / "a", affine=oblique(angles)), numbers(seed=seed)
    path = segmentation(root / "a.dcm", sources(folder), array)
    dataset = pydicom.dcmread(path)
    order = np.random.default_rng(seed).permutation(int(dataset.NumberOfFrames))
    frames = dataset.pixel_array[order]
    dataset.PerFrameFunctionalGroupsSequence = [dataset.PerFrameFunctionalGroupsSequence[n] for n in order]
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.save_as(path)
    np.testing.assert_array_equal(in_slices(path, folder), array)


def test_a_volume_whose_axes_run_otherwise(tmp_path: Path) -> None:
    """As highdicom writes the segmentation of a volume that was turned: its frames are cut along another axis."""
    folder, array = series(tmp_path / "a"), numbers()
    affine = np.eye(4)
    affine[:, :3] = oblique()[:, [2, 1, 0]]  # slices, rows, columns
    affine[:, 3] = oblique()[:, 3]
    volume = highdicom.Volume(array, affine, "PATIENT", frame_of_reference_uid=FRAME_OF_REFERENCE)
    turned = volume.permute_spatial_axes([2, 0, 1]).flip_spatial([1])
    path = segmentation(tmp_path / "a.dcm", sources(folder), turned)
    assert pydicom.dcmread(path).pixel_array.shape[1:] == (8, 16)
    np.testing.assert_array_equal(in_slices(path, folder), array)


def test_on_its_own_grid_it_reaches_from_the_first_to_the_last_frame(tmp_path: Path) -> None:
    folder, array = series(tmp_path / "a"), numbers()
    path = segmentation(tmp_path / "a.dcm", sources(folder), array)
    whole, own = read_grid(folder), read_grid(path)
    assert own.shape == (16, 16, 5)
    np.testing.assert_allclose(own.matrix @ [0, 0, 0, 1], whole.matrix @ [0, 0, 2, 1], atol=1e-6)
    np.testing.assert_array_equal(own.from_canonical(read_label(path)).T, array[2:7])


def test_pieces_of_a_label_map_are_on_the_grid_of_the_image(tmp_path: Path) -> None:
    folder, array = series(tmp_path / "a"), numbers()
    path = segmentation(tmp_path / "a.dcm", sources(folder), array)
    grid = read_grid(folder)
    assert read_label_grid(path, grid) == grid
    (piece,) = label_pieces(path, None, grid)
    np.testing.assert_array_equal(piece.values.T, array)


def test_frames_of_a_single_slice_have_a_place_on_an_image_alone(tmp_path: Path) -> None:
    folder, array = series(tmp_path / "a"), numbers()
    array[3:] = 0
    path = segmentation(tmp_path / "a.dcm", sources(folder), array)
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    dataset.save_as(path)
    np.testing.assert_array_equal(in_slices(path, folder), array)
    with pytest.raises(UnusableFile, match="does not say how far slices are apart"):
        read_grid(path)


def test_an_empty_segmentation_is_background(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    array = np.zeros((8, 16, 16), np.uint8)
    path = tmp_path / "a.dcm"
    segmentation(path, sources(folder), array, segment_descriptions=[segment(1)], omit_empty_frames=False)
    assert not in_slices(path, folder).any()


def test_segments_that_overlap_are_named(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    array = np.zeros((8, 16, 16, 3), np.uint8)
    array[3, 2:6, 2:6, 0] = array[3, 9:, 9:, 1] = array[3, 5:7, 5:8, 2] = 1
    path = segmentation(tmp_path / "a.dcm", sources(folder), array)
    with pytest.raises(UnusableFile, match=r"segments 1 \(organ 1\) and 3 \(organ 3\) in the same 1 pixels"):
        read_label(path, read_grid(folder))


OTHER_IMAGES = {
    "another frame of reference": ({"FrameOfReferenceUID": "1.2.3"}, oblique(), "another frame of reference"),
    "turned": ({}, oblique((0.3, -0.2, 0.45)), "another orientation or"),
    "other pixels": ({}, oblique() @ np.diag([1.1, 1, 1, 1]), "another pixel spacing than its image"),
    "half a slice off": ({}, oblique() + 0.5 * np.outer(oblique()[:, 2], [0, 0, 0, 1]), "lies between the"),
    "a slice less": ({}, oblique() + 6 * np.outer(oblique()[:, 2], [0, 0, 0, 1]), "reaches beyond its image"),
}


@pytest.mark.parametrize("what", OTHER_IMAGES)
def test_a_segmentation_of_another_image_is_refused(what: str, tmp_path: Path) -> None:
    tags, affine, expected = OTHER_IMAGES[what]
    path = segmentation(tmp_path / "a.dcm", sources(series(tmp_path / "a")), numbers())
    other = read_grid(series(tmp_path / "b", affine=affine, **tags))
    with pytest.raises(UnusableFile, match=expected):
        read_label(path, other)
    with pytest.raises(UnusableFile, match=expected):
        read_label_grid(path, other)


def test_shares_of_voxels_are_no_labels(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    shares = np.random.default_rng(0).uniform(0, 1, (8, 16, 16))
    path = segmentation(
        tmp_path / "a.dcm",
        sources(folder),
        shares,
        segmentation_type="FRACTIONAL",
        segment_descriptions=[segment(1)],
    )
    with pytest.raises(UnusableFile, match=r"(?s)found FRACTIONAL.*Decide above which one"):
        read_label(path, read_grid(folder))


def test_a_segmentation_is_no_image_and_no_slice(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    path = segmentation(tmp_path / "a.dcm", sources(folder), numbers())
    with pytest.raises(UnusableFile, match=r"(?s)is a DICOM segmentation.*expected an image"):
        read_image([path])
    (folder / "seg.dcm").write_bytes(path.read_bytes())
    with pytest.raises(UnusableFile, match=r"has 2 DICOM series.* and SEG number 2 \(1 file seg\.dcm"):
        read_grid(folder)
    (tmp_path / "b").mkdir()
    path.rename(tmp_path / "b" / "a.dcm")
    with pytest.raises(UnusableFile, match=r"(?s)is a DICOM segmentation.*give the file itself"):
        read_grid(tmp_path / "b")


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    path = segmentation(tmp_path / "a.dcm", sources(folder), numbers())
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:64]
    dataset.save_as(path)
    with pytest.raises(UnusableFile, match=r"a\.dcm cannot be read"):
        read_label(path, read_grid(folder))


NAMES = {1: "left lung", 2: "Lüneburg \\ 肺", 3: "x" * 70}


@pytest.mark.parametrize("values", [None, (0, 1, 2, 4), (0, 300, 301, 700)])
def test_what_is_written_is_read_by_highdicom_and_here(
    values: tuple[int, ...] | None, tmp_path: Path
) -> None:
    folder, array = series(tmp_path / "a", PatientName="Müller", SpecificCharacterSet="ISO_IR 100"), numbers()
    named = NAMES if values is None else dict(zip(values[1:], NAMES.values(), strict=True))
    path = tmp_path / "out.dcm"
    write_label_map(path, array.T, folder, values, named)
    expected = array if values is None else np.array(values)[array]
    np.testing.assert_array_equal(in_slices(path, folder), expected)

    read = highdicom.seg.segread(path)
    volume = read.get_volume(combine_segments=True)
    for place, plane in zip(_positions(volume), volume.array, strict=True):
        number = int(np.argmin([np.linalg.norm(place - one.ImagePositionPatient) for one in sources(folder)]))
        np.testing.assert_array_equal(plane, expected[number])
    assert str(read.PatientName) == "Müller"
    assert read.StudyInstanceUID == sources(folder)[0].StudyInstanceUID
    (referenced,) = read.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == sources(folder)[0].SeriesInstanceUID
    described = [read.get_segment_description(number) for number in sorted(named)]
    assert [one.segment_label for one in described] == ["left lung", "Lüneburg / 肺", "x" * 64]
    assert {one.SegmentAlgorithmName for one in described} == {"netwright"}


def _positions(volume: Any) -> np.ndarray:
    return np.array([(volume.affine @ [number, 0, 0, 1])[:3] for number in range(volume.shape[0])])


def test_a_file_of_several_frames_gets_one_in_the_order_of_its_frames(tmp_path: Path) -> None:
    stored, array = np.zeros((8, 16, 16), np.int16), numbers()
    tags = {"FrameOfReferenceUID": FRAME_OF_REFERENCE}
    scan = write_enhanced(tmp_path / "a.dcm", stored, oblique(), tags, order=[3, 1, 2, 0, 7, 6, 5, 4])
    write_label_map(tmp_path / "seg.dcm", array.T, scan, names={1: "a", 2: "b", 3: "c"})
    np.testing.assert_array_equal(in_slices(tmp_path / "seg.dcm", scan), array)


def test_no_label_anywhere_is_a_segmentation_too(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    write_label_map(tmp_path / "seg.dcm", np.zeros((16, 16, 8), np.uint8), folder, names={1: "a"})
    assert not in_slices(tmp_path / "seg.dcm", folder).any()
    assert segment_names(tmp_path / "seg.dcm") == {1: "a"}


def test_headers_with_little_or_rounded_otherwise_are_enough(tmp_path: Path) -> None:
    """Slices as some scanners and anonymisers leave them, and a distance of slices that is wrong."""
    reference = {"FrameOfReferenceUID": FRAME_OF_REFERENCE, "SliceThickness": None, "PatientSex": "X"}
    turned = [round(one, 4) for one in sources(series(tmp_path / "b"))[0].ImageOrientationPatient]
    folder = write_series(
        tmp_path / "a",
        np.zeros((8, 16, 16), np.int16),
        oblique(),
        {**reference, "SpacingBetweenSlices": 7},
        lambda number: {"ImageOrientationPatient": turned} if number == 3 else {},
    )
    write_label_map(tmp_path / "seg.dcm", numbers().T, folder, names={1: "a", 2: "b", 3: "c"})
    np.testing.assert_array_equal(in_slices(tmp_path / "seg.dcm", folder), numbers())
    assert highdicom.seg.segread(tmp_path / "seg.dcm").get_volume().spacing == pytest.approx((2.5, 0.8, 0.7))


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_a_header_that_cannot_be_repeated_is_told(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", PatientBirthDate="yesterday")
    with pytest.raises(UnusableFile, match=r"(?s)/a has a header that no DICOM.*yesterday.*such as nifti"):
        write_label_map(tmp_path / "seg.dcm", numbers().T, folder)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_series_without_frame_of_reference_gets_none(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", np.zeros((8, 16, 16), np.int16))
    with pytest.raises(UnusableFile, match="has no FrameOfReferenceUID"):
        write_label_map(tmp_path / "seg.dcm", numbers().T, folder)
    assert not (tmp_path / "seg.dcm").exists()


def test_the_format_is_for_dicom_alone_and_no_default(tmp_path: Path) -> None:
    folder = series(tmp_path / "a")
    assert (label_ending(folder), label_ending(folder, "dicom-seg")) == (".nii.gz", ".dcm")
    with pytest.raises(SettingsError, match=r"scan\.nii\.gz is no DICOM series.*nifti, nrrd or mha, got"):
        label_ending(tmp_path / "scan.nii.gz", "dicom-seg")


def test_an_image_in_another_format_has_the_same_labels(tmp_path: Path) -> None:
    """The image as another program saved it in NIfTI: its axes in another order and direction."""
    folder, array = series(tmp_path / "a"), numbers()
    path = segmentation(tmp_path / "a.dcm", sources(folder), array)
    whole = nibabel.Nifti1Image(np.zeros((16, 16, 8), np.float32), read_grid(folder).matrix)
    ways = [[2, -1], [0, 1], [1, -1]]
    nibabel.save(whole.as_reoriented(ways), tmp_path / "a.nii.gz")
    grid = read_grid(tmp_path / "a.nii.gz")
    expected = nibabel.orientations.apply_orientation(array.T, ways)
    np.testing.assert_array_equal(grid.from_canonical(read_label(path, grid)), expected)
