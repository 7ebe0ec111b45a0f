"""NRRD and MetaImage against SimpleITK's own geometry, and every way for such a file to be broken."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import (
    PreprocessingSettings,
    UnusableFile,
    open_any,
    prepare,
    read_image,
    read_label,
    write_label_map,
)
from netwright.data.io.bounds import max_pixels
from netwright.data.io.formats import files_of
from netwright.data.io.pieces import image_pieces, label_pieces
from netwright.data.io.time_axis import advice_on_time, time_points
from netwright.data.io.volumes import label_ending, read_grid
from netwright.data.layouts import find_cases
from netwright.data.volumes.cache import image_digest
from netwright.errors import SettingsError

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
SHAPE = (4, 5, 6)

angles = st.floats(-3, 3)
rotations = st.tuples(angles, angles, angles)


def rotation(about: tuple[float, float, float]) -> np.ndarray:
    turn = SimpleITK.Euler3DTransform()
    turn.SetRotation(*about)
    return np.reshape(turn.GetMatrix(), (3, 3))


def image_of(array: np.ndarray, about: tuple[float, float, float] = (0.2, -0.3, 0.1), **how: Any) -> Any:
    """An oblique image of an array (X, Y, Z) or (X, Y, Z, T), or of vectors (X, Y, Z, C)."""
    vectors = how.pop("isVector", False)
    ordered = array.transpose(2, 1, 0, 3) if vectors else array.T
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(ordered), isVector=vectors)
    axes = image.GetDimension()
    direction = np.eye(axes)
    direction[:3, :3] = rotation(about)
    image.SetDirection(direction.ravel().tolist())
    image.SetSpacing([0.7, 1.5, 2 / 3, 40.0][:axes])
    image.SetOrigin([-31.25, 17.5, 240.1, 0.0][:axes])
    return image


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape or SHAPE).astype(np.float32)


def write(path: Path, image: Any, packed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, path, useCompression=packed)
    return path


@given(rotations, st.sampled_from(ENDINGS), st.booleans())
def test_voxels_lie_where_simple_itk_says(
    tmp_path_factory: pytest.TempPathFactory, about: tuple[float, float, float], ending: str, packed: bool
) -> None:
    image = image_of(numbers(), about)
    path = write(tmp_path_factory.getbasetemp() / f"oblique{ending}", image, packed)
    grid = read_grid(path)
    assert grid.shape == SHAPE
    for index in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (1, 2, 5)):
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((grid.matrix @ [*index, 1])[:3], [-left, -back, up], atol=1e-9)
    stored = grid.from_canonical(read_image([path]).array)[0]
    assert stored[1, 2, 5] == np.float32(image.GetPixel(1, 2, 5))
    np.testing.assert_array_equal(stored, SimpleITK.GetArrayFromImage(image).T)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_every_type_of_numbers(ending: str, kind: str, tmp_path: Path) -> None:
    array = np.arange(120).reshape(SHAPE).astype(kind)
    path = write(tmp_path / f"a{ending}", image_of(array))
    np.testing.assert_array_equal(read_grid(path).from_canonical(read_label(path)), array)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_fourth_axis_is_read_as_that_of_nifti(ending: str, vectors: bool, tmp_path: Path) -> None:
    array = numbers(*SHAPE, 3)
    path = write(tmp_path / f"a{ending}", image_of(array, isVector=vectors))
    affine = read_grid(path).matrix
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    expected = read_image([tmp_path / "a.nii.gz"])
    np.testing.assert_array_equal(read_image([path]).array, expected.array)
    np.testing.assert_array_equal(read_image([path], time=1).array, expected.array[1:2])
    assert time_points(path) == 3
    assert "3 volumes are time points, put" in advice_on_time(path)
    pieces = {piece.channel: piece.values for piece in image_pieces(path)}
    np.testing.assert_array_equal(np.stack(list(pieces.values()), -1), array)
    with pytest.raises(UnusableFile, match="has no frame 4"):
        read_image([path], time=3)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_slice_is_no_volume_in_grey_or_in_colours(
    ending: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    array = numbers(*shape)
    image = SimpleITK.GetImageFromArray(array.swapaxes(0, 1), isVector=len(shape) == 3)
    assert (image.GetDimension(), image.GetSize()) == (2, (5, 4))
    path = write(tmp_path / f"slice{ending}", image)
    for read in (read_grid, read_label, lambda path: read_image([path])):
        with pytest.raises(UnusableFile, match=r"has two axes.*an array of shape 5 x 4, where") as error:
            read(path)
        assert error.value.problem.kind == "two-axes"
    pieces = {piece.channel: piece.values for piece in image_pieces(path)}
    np.testing.assert_array_equal(np.stack(list(pieces.values()), -1)[..., 0], array)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_number_of_a_fourth_axis_is_simple_itk_s(ending: str, vectors: bool, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{ending}", image_of(numbers(*SHAPE, 3), isVector=vectors))
    image, grid, array = SimpleITK.ReadImage(path), read_grid(path), read_image([path]).array
    assert image.GetDimension() == (3 if vectors else 4)
    for channel, values in enumerate(array):
        stored = grid.from_canonical(values)
        for index in np.ndindex(SHAPE):
            pixel = image.GetPixel(*index)[channel] if vectors else image.GetPixel(*index, channel)
            assert stored[index] == np.float32(pixel)


def test_nrrd_counts_along_ras_and_may_have_the_channels_first(tmp_path: Path) -> None:
    header = (
        "NRRD0005\ntype: short\ndimension: 4\nspace: right-anterior-superior\nsizes: 2 3 4 5\n"
        "space directions: none (1,0,0) (0,1.5,0) (0,0,2)\nkinds: list domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (1,2,3)\n\n"
    )
    array = np.arange(120, dtype="<i2").reshape(2, 3, 4, 5, order="F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + array.tobytes("F"))
    volume = read_image([tmp_path / "a.nrrd"])
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_array_equal(volume.affine, [[1, 0, 0, 1], [0, 1.5, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize("reference", [".nrrd", ".mhd", ".nii.gz"])
@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_label_maps_lie_in_the_scan_s_geometry(ending: str, reference: str, tmp_path: Path) -> None:
    scan = write(tmp_path / f"scan{reference}", image_of(numbers()))
    classes = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    path = tmp_path / f"labels{ending}"
    write_label_map(path, classes, scan, (0, 2, 700))
    written, original = SimpleITK.ReadImage(path), SimpleITK.ReadImage(scan)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, np.array([0, 2, 700])[classes])
    for index in ((0, 0, 0), (3, 4, 5)):
        np.testing.assert_allclose(
            written.TransformIndexToPhysicalPoint(index),
            original.TransformIndexToPhysicalPoint(index),
            atol=1e-4,
        )
    grid = read_grid(scan)
    np.testing.assert_array_equal(grid.from_canonical(read_label(path, grid)), np.array([0, 2, 700])[classes])
    assert not list(tmp_path.glob(".*"))
    first = path.read_bytes()
    write_label_map(path, classes, scan, (0, 2, 700))
    assert path.read_bytes() == first


def test_label_maps_of_a_cine_keep_its_time(tmp_path: Path) -> None:
    scan = write(tmp_path / "scan.nrrd", image_of(numbers(*SHAPE, 3)))
    classes = np.random.default_rng(1).integers(0, 3, (*SHAPE, 3)).astype(np.uint8)
    write_label_map(tmp_path / "labels.mha", classes, scan)
    written = SimpleITK.ReadImage(tmp_path / "labels.mha")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, classes)
    np.testing.assert_allclose(written.GetSpacing(), [0.7, 1.5, 2 / 3, 40])


def test_the_ending_of_label_maps_is_the_input_s_or_the_one_asked_for() -> None:
    assert [label_ending(Path(f"a{ending}")) for ending in (*ENDINGS, ".nii", ".NRRD", ".tif")] == [
        ".nrrd", ".nrrd", ".mha", ".mha", ".nii.gz", ".nrrd", ".png",
    ]  # fmt: skip
    assert label_ending(Path("a.nii"), "nrrd") == ".nrrd"
    assert label_ending(Path("a.png"), "mha") == ".mha"
    with pytest.raises(SettingsError, match="expected nifti, nrrd, mha, png, tiff or dicom-seg, got 'dicom'"):
        label_ending(Path("a.nii"), "dicom")
    with pytest.raises(SettingsError, match=r"a\.nii is a volume.*nifti, nrrd or mha"):
        label_ending(Path("a.nii"), "png")


def flip(content: bytes) -> bytes:
    return content[:-30] + bytes([content[-30] ^ 0xFF]) + content[-29:]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-200],
    "cut in the checksum": lambda content: content[:-3],
    "a bit flipped": flip,
    "empty": lambda content: b"",
    "text": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    "another size": lambda content: content.replace(b"4 5 6\n", b"4 5 7\n"),
    "a wrong type": lambda content: content.replace(b"float", b"fluid").replace(b"MET_FLOAT", b"MET_FLUID"),
    "a long line": lambda content: content.replace(b"4 5 6\n", b"4 5 " + b"x" * 5000 + b"\n"),
    "many axes": lambda content: content.replace(b"imension: 3", b"imension: 999").replace(
        b"NDims = 3", b"NDims = 999"
    ),
    "several files": lambda content: content.replace(b"encoding:", b"data file: LIST\nencoding:").replace(
        b"= LOCAL", b"= LIST"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_broken_files_are_named(ending: str, how: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"scan{ending}", image_of(numbers()))
    path.write_bytes(BROKEN[how](path.read_bytes()))
    title = "NRRD" if ending == ".nrrd" else "MetaImage"
    with pytest.raises(
        UnusableFile, match=rf"scan\{ending} cannot be read: expected a complete {title}"
    ) as error:
        read_image([path])
    assert error.value.problem.kind == "unreadable"
    assert "0x" not in str(error.value)


@pytest.mark.parametrize(
    "claim", [b"CompressedDataSize = 1", b"CompressedDataSize = 2000", b"Comment = none"]
)
def test_a_packed_metaimage_says_how_long_it_is(claim: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.mha", image_of(numbers()))
    lines = path.read_bytes().splitlines(keepends=True)
    changed = [claim + b"\n" if b"CompressedDataSize" in line else line for line in lines]
    assert changed != lines
    path.write_bytes(b"".join(changed))
    with pytest.raises(UnusableFile, match=r"scan\.mha cannot be read"):
        read_image([path])


@pytest.mark.parametrize("ending", [".nhdr", ".mhd"])
def test_voxels_in_another_file(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"scan{ending}", image_of(numbers()))
    header, data = files_of(path)
    assert header == path
    assert set(tmp_path.iterdir()) == {path, data}
    (case,) = find_cases(tmp_path, 1)  # without a warning of a file that is left out
    before = image_digest(case)
    data.write_bytes(zlib.compress(np.ones(SHAPE, np.float32).tobytes()))
    assert image_digest(case) != before
    data.unlink()
    with pytest.raises(UnusableFile, match=rf"scan\{ending} cannot be read.*{data.name}, which is missing"):
        read_image([path])
    path.unlink()
    with pytest.raises(UnusableFile, match="is missing"):
        read_image([path])


@pytest.mark.parametrize("ending", [".nhdr", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_case_in_two_files_under_another_name_is_the_same_one(
    ending: str, packed: bool, tmp_path: Path
) -> None:
    image = image_of(numbers())
    first = write(tmp_path / "a" / f"scan{ending}", image, packed)
    second = write(tmp_path / "b" / f"another-name{ending}", image, packed)
    assert first.read_bytes() != second.read_bytes()
    digests = [image_digest(find_cases(path, 1)[0]) for path in (first, second)]
    assert digests[0] == digests[1]
    image.SetOrigin([0.0, 0.0, 0.0])
    write(second, image, packed)
    assert image_digest(find_cases(second, 1)[0]) != digests[0]


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz", ".nii"])
def test_the_digest_of_a_case_in_one_file_is_that_of_its_bytes(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"scan{ending}", image_of(numbers()))
    (case,) = find_cases(path, 1)
    assert image_digest(case) == blake2b(path.read_bytes(), digest_size=16).hexdigest()


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_what_a_header_announces_is_looked_at_first(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"scan{ending}", image_of(numbers()), packed=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"4 5 6\n", b"4000 5000 600\n"))
    with pytest.raises(UnusableFile, match="announces 4000 x 5000 x 600") as error:
        read_grid(path)
    assert error.value.problem.kind == "too-large"
    path.write_bytes(content)
    with max_pixels(119), pytest.raises(UnusableFile, match="at most 119"):
        read_grid(path)
    path.write_bytes(content.replace(b"4 5 6\n", b"400 500 60\n"))
    with pytest.raises(UnusableFile, match="announces 48000000 bytes"):
        read_grid(path)


def test_other_shapes_and_numbers_are_told(tmp_path: Path) -> None:
    flat = write(tmp_path / "flat.mha", SimpleITK.Image(4, 4, SimpleITK.sitkUInt8))
    with pytest.raises(UnusableFile, match="has two axes"):
        read_grid(flat)
    complex_ = write(tmp_path / "complex.nrrd", SimpleITK.Image(4, 4, 4, SimpleITK.sitkComplexFloat32))
    with pytest.raises(UnusableFile, match="type that is not read"):
        read_grid(complex_)
    path = write(tmp_path / "nowhere.mha", image_of(numbers(), (0, 0, 0)))
    path.write_bytes(path.read_bytes().replace(b"0 0 1\nOffset", b"0 0 0\nOffset"))
    with pytest.raises(UnusableFile, match="map the voxels to no volume in space"):
        read_grid(path)


@pytest.mark.parametrize("layout", ["msd", "nnunet"])
@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_a_dataset_is_read_as_the_same_one_of_nifti(ending: str, layout: str, tmp_path: Path) -> None:
    ours, nifti = (tmp_path / name for name in ("ours", "nifti"))
    for number in range(3):
        image = image_of(np.random.default_rng(number).normal(size=SHAPE).astype(np.float32), (0, 0.4, 3))
        labels = image_of(np.random.default_rng(number).integers(0, 2, SHAPE).astype(np.uint8), (0, 0.4, 3))
        for root, end in ((ours, ending), (nifti, ".nii.gz")):
            write(root / "imagesTr" / f"c{number}{'_0000' if layout == 'nnunet' else ''}{end}", image)
            write(root / "labelsTr" / f"c{number}{end}", labels)
    for root, end in ((ours, ending), (nifti, ".nii.gz")):
        (root / "dataset.json").write_text(json.dumps(description(layout, end)))
    first, second = open_any(ours), open_any(nifti)
    assert first.format == layout
    assert first.names == second.names == ("c0", "c1", "c2")
    for one, other in zip(first.cases, second.cases, strict=True):
        mine, theirs = read_image(one.images), read_image(other.images)
        np.testing.assert_array_equal(mine.array, theirs.array)
        np.testing.assert_allclose(mine.affine, theirs.affine, atol=1e-4)
        assert one.label is not None
        assert other.label is not None
        np.testing.assert_array_equal(read_label(one.label, mine.grid), read_label(other.label, theirs.grid))
        assert one.label.suffix == ending
        for a, b in zip(label_pieces(one.label), label_pieces(other.label), strict=True):
            np.testing.assert_array_equal(a.values, b.values)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_search_gets_the_same_voxels_as_of_nifti(ending: str, tmp_path: Path) -> None:
    prepared = []
    for root, end in ((tmp_path / "ours", ending), (tmp_path / "nifti", ".nii.gz")):
        for number in range(3):
            rng = np.random.default_rng(number)
            image = image_of(rng.normal(size=SHAPE).astype(np.float32), (0, 0.4, 3))
            labels = image_of(rng.integers(0, 2, SHAPE).astype(np.uint8), (0, 0.4, 3))
            write(root / "imagesTr" / f"c{number}{end}", image)
            write(root / "labelsTr" / f"c{number}{end}", labels)
        (root / "dataset.json").write_text(json.dumps(description("msd", end)))
        settings = PreprocessingSettings(spacing="native", pad=False)
        prepared.append(prepare(open_any(root), settings, tmp_path / "cache" / end))
    ours, nifti = prepared
    for index in range(3):
        np.testing.assert_array_equal(ours.image(index), nifti.image(index))
        np.testing.assert_array_equal(ours.label(index), nifti.label(index))


def description(layout: str, ending: str) -> dict[str, Any]:
    if layout == "nnunet":
        return {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "organ": 1},
            "file_ending": ending,
        }
    cases = [
        {"image": f"./imagesTr/c{number}{ending}", "label": f"./labelsTr/c{number}{ending}"}
        for number in range(3)
    ]
    return {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "organ"},
        "training": cases,
    }
