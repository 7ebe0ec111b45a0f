"""Stacks of TIFF pages as volumes, compared with what tifffile wrote and with SimpleITK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netwright.data import read_image, read_label, write_label_map
from netwright.data.io.bounds import max_pixels
from netwright.data.io.formats import files_of, image_file_digests, is_flat, is_volume, open_volume
from netwright.data.io.pieces import image_pieces
from netwright.data.io.tiff_stack import open_tiff_stack
from netwright.data.io.volumes import label_ending, read_grid
from netwright.data.issues import UnusableFile
from netwright.errors import SettingsError

ARRAY = np.random.default_rng(0).integers(0, 4000, (5, 8, 6)).astype(np.uint16)
"""(Z, Y, X)"""

OME = {
    "axes": "ZYX",
    "PhysicalSizeX": 0.2,
    "PhysicalSizeXUnit": "µm",
    "PhysicalSizeY": 300,
    "PhysicalSizeYUnit": "nm",
    "PhysicalSizeZ": 0.05,
    "PhysicalSizeZUnit": "cm",
}
OME_EDGES = (0.2e-3, 0.3e-3, 0.5)


def write(path: Path, array: Any = ARRAY, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def imagej(path: Path, array: Any = ARRAY, per_unit: tuple[float, float] = (10, 5), **metadata: Any) -> Path:
    return write(path, array, imagej=True, resolution=per_unit, metadata={"axes": "ZYX", **metadata})


def problem_of(path: Path) -> Any:
    with pytest.raises(UnusableFile) as caught:
        read_image([path])
    return caught.value.problem


def edges(path: Path) -> list[float]:
    grid = read_grid(path)
    return [float(edge) for edge in np.linalg.norm(grid.matrix[:3, :3], axis=0)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"metadata": None, "compression": "zlib"},
        {"metadata": {"axes": "ZYX"}, "truncate": True},
        {"metadata": {"axes": "ZYX"}, "bigtiff": True, "byteorder": ">"},
        {"metadata": {"axes": "ZYX"}, "byteorder": ">", "truncate": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": OME, "compression": "lzw", "tile": (16, 16)},
    ],
)
def test_the_voxels_are_those_that_were_written(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "a.tif", **options)
    assert is_volume(path)
    assert not is_flat(path)
    with open_volume(path).voxels() as voxels:
        assert voxels.shape == (6, 8, 5)
        np.testing.assert_array_equal(np.asanyarray(voxels), ARRAY.T)
        np.testing.assert_array_equal(voxels[1:4, :, 2:3], ARRAY.T[1:4, :, 2:3])


def test_pages_that_pillow_wrote(tmp_path: Path) -> None:
    pages = [Image.fromarray(page.astype(np.uint8)) for page in ARRAY]
    pages[0].save(tmp_path / "a.TIF", save_all=True, append_images=pages[1:])
    with open_volume(tmp_path / "a.TIF").voxels() as voxels:
        np.testing.assert_array_equal(np.asanyarray(voxels), ARRAY.astype(np.uint8).T)


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX"])
@pytest.mark.parametrize("options", [{"ome": True}, {"imagej": True}, {}])
def test_channels_become_channels_in_whatever_order_they_lie(
    tmp_path: Path, axes: str, options: dict[str, Any]
) -> None:
    channels = np.stack([ARRAY, ARRAY[::-1]])
    stored = channels if axes == "CZYX" and not options.get("imagej") else np.moveaxis(channels, 0, 1)
    named = axes if stored is channels else "ZCYX"
    path = write(tmp_path / "a.tif", stored, metadata={"axes": named}, photometric="minisblack", **options)
    image = read_image([path]).array
    for channel, expected in zip(image, channels, strict=True):
        np.testing.assert_array_equal(channel, expected.T[::-1, ::-1])
    pieces = list(image_pieces(path))
    assert [piece.channel for piece in pieces] == [0, 1]
    np.testing.assert_array_equal(pieces[1].values, channels[1].T)


@pytest.mark.parametrize("order", ["XYZCT", "XYCZT", "XYCTZ"])
def test_the_dimension_order_of_ome_is_followed(tmp_path: Path, order: str) -> None:
    planes = np.random.default_rng(1).integers(0, 99, (6, 4, 7)).astype(np.uint8)
    described = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint8" SizeX="7" SizeY="4" SizeC="2" SizeZ="3" '
        'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><Channel ID="Channel:0:1" SamplesPerPixel="1"/>'
        "<TiffData/></Pixels></Image></OME>"
    )
    path = write(tmp_path / "a.tif", planes, description=described, metadata=None)
    by_hand = planes.reshape(2, 3, 4, 7) if order == "XYZCT" else planes.reshape(3, 2, 4, 7).swapaxes(0, 1)
    with open_volume(path).voxels() as voxels:
        np.testing.assert_array_equal(
            np.asanyarray(voxels), np.moveaxis(by_hand, 0, -1).transpose(2, 1, 0, 3)
        )


def test_the_size_of_voxels_by_ome_in_any_units(tmp_path: Path) -> None:
    np.testing.assert_allclose(edges(write(tmp_path / "a.tif", ome=True, metadata=OME)), OME_EDGES)
    micrometres = {key: value for key, value in OME.items() if not key.endswith("Unit")}
    path = write(tmp_path / "b.tif", ome=True, metadata=micrometres)
    np.testing.assert_allclose(edges(path), [0.2e-3, 0.3, 0.05e-3])


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [("um", 1e-3), ("micron", 1e-3), ("\\u00B5m", 1e-3), ("mm", 1), ("cm", 10), ("inch", 25.4), ("nm", 1e-6)],
)
def test_the_size_of_voxels_by_imagej(tmp_path: Path, unit: str, millimetres: float) -> None:
    path = imagej(tmp_path / "a.tif", unit=unit, spacing=0.5)
    np.testing.assert_allclose(edges(path), np.array([0.1, 0.2, 0.5]) * millimetres)
    # ImageJ leaves out a spacing of 1.
    np.testing.assert_allclose(edges(imagej(tmp_path / "b.tif", unit=unit))[2], millimetres)


def test_the_size_of_voxels_by_the_json_file_of_nnunet_which_counts_more(tmp_path: Path) -> None:
    path = write(tmp_path / "case_7_0000.tif", ome=True, metadata=OME)
    label = write(tmp_path / "labels.tif", (ARRAY > 9).astype(np.uint8))
    before = image_file_digests(path)
    for name in ("case_7", "labels"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"spacing": [3, 2, 1.5]}))
    for file in (path, label):
        np.testing.assert_allclose(edges(file), [1.5, 2, 3])
    assert files_of(path) == (path, tmp_path / "case_7.json")
    assert image_file_digests(path)[0] == before[0]
    assert image_file_digests(path) != before
    (tmp_path / "labels.json").write_text(json.dumps({"shapes": []}))
    assert not read_grid(label).sized


@pytest.mark.parametrize(
    "text", ['{"spacing": [1, 2]}', '{"spacing": [1, 2, 0]}', '{"spacing": "1"}', "{", ""]
)
def test_json_files_that_give_no_size(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.json").write_text(text)
    assert "a.json" in str(problem_of(path))


@pytest.mark.parametrize("how", ["plain", "resolution", "pixels", "no unit", "half of OME"])
def test_where_nothing_says_the_size_voxels_are_a_millimetre_and_the_grid_says_so(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "a.tif"
    if how == "plain":
        write(path)
    elif how == "resolution":  # 72 pixels an inch mean nothing
        write(path, resolution=(72, 72), resolutionunit="INCH")
    elif how == "half of OME":
        write(path, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2})
    else:
        imagej(path, spacing=2, **({"unit": "pixel"} if how == "pixels" else {}))
    assert edges(path) == [1, 1, 1]
    assert not read_grid(path).sized


def test_axes_and_origin_are_those_of_simpleitk(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    other = SimpleITK.ReadImage(path)
    to_ras = np.diag([-1.0, -1.0, 1.0])
    direction = np.reshape(other.GetDirection(), (3, 3)) * other.GetSpacing()
    np.testing.assert_allclose(read_grid(path).matrix[:3, :3], to_ras @ direction)
    np.testing.assert_allclose(read_grid(path).matrix[:3, 3], to_ras @ other.GetOrigin())
    assert read_grid(path).orientation == "LPS"
    SimpleITK.WriteImage(other, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_image([path]).array, read_image([tmp_path / "a.nii.gz"]).array)
    np.testing.assert_allclose(read_image([path]).affine, read_image([tmp_path / "a.nii.gz"]).affine)


@pytest.mark.parametrize(
    ("axes", "found"),
    [("TYX", "T Y X, 5 x 8 x 6"), ("CYX", "C Y X, 5 x 8 x 6"), ("ZTYX", "Z T Y X, 5 x 2 x 8 x 6")],
)
@pytest.mark.parametrize("options", [{"ome": True}, {"imagej": True}, {}])
def test_time_and_channels_without_slices_are_refused_with_the_axes(
    tmp_path: Path, axes: str, found: str, options: dict[str, Any]
) -> None:
    array = ARRAY if len(axes) == 3 else np.stack([ARRAY, ARRAY], axis=1)
    if axes == "ZTYX" and options.get("imagej"):
        array, axes, found = array.swapaxes(0, 1), "TZYX", "T Z Y X, 2 x 5 x 8 x 6"
    path = write(tmp_path / "a.tif", array, metadata={"axes": axes}, photometric="minisblack", **options)
    problem = problem_of(path)
    assert problem.kind == "axes"
    assert found in problem.found


def test_pages_that_nothing_describes_in_four_axes_are_refused(tmp_path: Path) -> None:
    assert "Q Q Y X" in problem_of(write(tmp_path / "a.tif", np.stack([ARRAY, ARRAY]))).found


def test_colours_complex_numbers_and_pages_of_several_sizes_are_refused(tmp_path: Path) -> None:
    colours = write(tmp_path / "a.tif", np.zeros((5, 8, 6, 3), np.uint8), photometric="rgb")
    assert problem_of(colours).found == "colours"
    assert problem_of(write(tmp_path / "b.tif", ARRAY.astype(np.complex64))).kind == "voxel-type"
    with tifffile.TiffWriter(tmp_path / "c.tif") as file:
        file.write(ARRAY[0], metadata=None)
        file.write(ARRAY[0, :4], metadata=None)
    assert problem_of(tmp_path / "c.tif").kind == "pages"
    turned = write(tmp_path / "d.tif", extratags=[(274, "H", 1, 6, True)], metadata=None)
    assert "turned" in problem_of(turned).found


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": None},
        {"metadata": None, "compression": "zlib", "byteorder": ">"},
        {"imagej": True},
        {"ome": True, "bigtiff": True},
        {"ome": True, "compression": "zlib"},
        {"metadata": {"axes": "ZYX"}, "truncate": True},
    ],
)
def test_a_file_that_ends_too_early_is_refused_or_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "a.tif", **options)
    content = path.read_bytes()
    refused = 0
    for length in range(0, len(content), 13):
        path.write_bytes(content[:length])
        try:
            with open_tiff_stack(path).voxels() as voxels:
                # What follows the last page is no voxel.
                np.testing.assert_array_equal(np.asanyarray(voxels), ARRAY.T)
        except UnusableFile:
            refused += 1
    assert refused > 0.9 * ARRAY.nbytes / 13 or ("compression" in options and refused > 20)


@given(at=st.integers(0, 2000), value=st.integers(0, 255))
def test_a_file_with_a_changed_byte_is_a_volume_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("b") / "a.tif"
    write(path, compression="zlib", ome=True, metadata=OME)
    content = bytearray(path.read_bytes())
    content[at % len(content)] = value
    path.write_bytes(content)
    try:
        volume = read_image([path])
    except UnusableFile as error:
        assert error.problem.file == str(path)  # noqa: PT017  either way is right
    else:
        assert volume.array.shape[1:] == volume.grid.canonical_shape
        assert volume.array.dtype == np.float32


@pytest.mark.parametrize("tag", [256, 257])
def test_pages_without_pixels_are_refused(tmp_path: Path, tag: int) -> None:
    for pages in (1, 5):
        path = write(tmp_path / f"{pages}.tif", ARRAY[:pages], metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            for page in file.pages:
                page.aspage().tags[tag].overwrite(0)
        assert problem_of(path).kind == ("unreadable" if pages == 1 else "axes")


def test_ome_pages_in_other_files_are_not_opened(tmp_path: Path) -> None:
    described = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="6" SizeY="8" SizeC="1" '
        'SizeZ="10" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<TiffData FirstZ="0" IFD="0" PlaneCount="5"><UUID FileName="a.tif">urn:uuid:1</UUID></TiffData>'
        '<TiffData FirstZ="5" IFD="0" PlaneCount="5"><UUID FileName="b.tif">urn:uuid:2</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    write(tmp_path / "b.tif", description=described.replace("urn:uuid:1", "urn:uuid:2"), metadata=None)
    path = write(tmp_path / "a.tif", description=described, metadata=None)
    assert "another file" in str(problem_of(path))


def test_stacks_larger_than_what_is_read_are_refused_by_their_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    with max_pixels(239):
        assert problem_of(path).kind == "too-large"
    with max_pixels(240):
        read_image([path])


def test_labels_are_whole_numbers_without_loss(tmp_path: Path) -> None:
    labels = (ARRAY % 3).astype(np.uint8)
    np.testing.assert_array_equal(read_label(write(tmp_path / "a.tif", labels)), labels.T[::-1, ::-1])
    np.testing.assert_array_equal(
        read_label(write(tmp_path / "b.tif", labels.astype(np.float32))), labels.T[::-1, ::-1]
    )
    for name, array, options, kind in (
        ("c", labels / np.float32(2), {}, "not-integer"),
        ("d", labels, {"photometric": "miniswhite"}, "white-is-zero"),
        ("e", labels, {"compression": "jpeg"}, "lossy"),
        ("f", np.stack([labels, labels]), {"metadata": {"axes": "CZYX"}}, "label-dimensions"),
    ):
        path = write(tmp_path / f"{name}.tif", array, **options)
        with pytest.raises(UnusableFile) as caught:
            read_label(path)
        assert caught.value.problem.kind == kind
    palette = write(tmp_path / "g.tif", labels, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    np.testing.assert_array_equal(read_label(palette), labels.T[::-1, ::-1])


def test_a_label_map_without_size_lies_where_its_image_does(tmp_path: Path) -> None:
    image = read_grid(write(tmp_path / "a.tif", ome=True, metadata=OME))
    labels = (ARRAY % 3).astype(np.uint8)
    np.testing.assert_array_equal(read_label(write(tmp_path / "b.tif", labels), image), labels.T[::-1, ::-1])
    with pytest.raises(UnusableFile, match="position"):
        read_label(imagej(tmp_path / "c.tif", labels, unit="mm"), image)
    with pytest.raises(UnusableFile, match="does not fit"):
        read_label(write(tmp_path / "d.tif", labels[:, 1:]), image)
    turned = tmp_path / "e.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ARRAY.T.astype(np.float32), np.diag([1, 2, 3, 1])), turned)
    with pytest.raises(UnusableFile, match="position"):
        read_label(tmp_path / "b.tif", read_grid(turned))


@pytest.mark.parametrize("largest", [2, 300, 70000, -5])
@pytest.mark.parametrize("name", ["l.tif", "l.ome.tiff"])
def test_label_maps_are_written_as_stacks_that_tifffile_and_simpleitk_read(
    tmp_path: Path, largest: int, name: str
) -> None:
    image = write(tmp_path / "a.tif", ome=True, metadata=OME)
    classes = (ARRAY.T % 2).astype(np.uint8)
    write_label_map(tmp_path / name, classes, image, [0, largest])
    expected = np.where(classes, largest, 0)
    written = tifffile.imread(tmp_path / name)
    assert written.dtype.kind in "iu"
    np.testing.assert_array_equal(written, expected.T)
    np.testing.assert_array_equal(read_label(tmp_path / name, read_grid(image)), expected[::-1, ::-1])
    np.testing.assert_allclose(edges(tmp_path / name), OME_EDGES)
    np.testing.assert_allclose(
        SimpleITK.ReadImage(tmp_path / name).GetSpacing()[:2], OME_EDGES[:2], rtol=1e-6
    )
    write_label_map(tmp_path / "again.tif", classes, image, [0, largest])
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / name).read_bytes()


def test_label_maps_of_stacks_in_other_formats_keep_the_geometry(tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif", ome=True, metadata={**OME, "PhysicalSizeXUnit": "mm"})
    classes = (ARRAY.T % 2).astype(np.uint8)
    for ending in (".nii.gz", ".nrrd", ".mha"):
        write_label_map(tmp_path / f"l{ending}", classes, image)
        np.testing.assert_array_equal(
            SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / f"l{ending}")).T, classes
        )
        np.testing.assert_allclose(edges(tmp_path / f"l{ending}"), [0.2, 0.3e-3, 0.5], rtol=1e-6)


def test_label_maps_of_stacks_without_size_do_not_claim_one(tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif")
    write_label_map(tmp_path / "l.tif", np.zeros((6, 8, 5), np.uint8), image)
    assert not read_grid(tmp_path / "l.tif").sized


def test_the_ending_of_label_maps_and_formats_that_would_lose_the_geometry(tmp_path: Path) -> None:
    stack = write(tmp_path / "a.tif")
    assert label_ending(stack) == label_ending(stack, "tiff") == ".tif"
    assert label_ending(stack, "nrrd") == ".nrrd"
    assert label_ending(tmp_path / "p.png", "tiff") == ".tif"
    with pytest.raises(SettingsError, match=r"a\.nii is in NIfTI.*TIFF would not store how it lies"):
        label_ending(tmp_path / "a.nii", "tiff")
    with pytest.raises(SettingsError, match=r"is a volume.*nifti, nrrd, mha or tiff"):
        label_ending(stack, "png")
