"""The numbers that files store, of every type, depth, layout and orientation: read as they are, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from imagecodecs import png_encode
from PIL import Image, ImageOps, PngImagePlugin

from netwright.data import inspect_dataset, open_any
from netwright.data.io.images import read_head, read_picture, write_label_picture
from netwright.data.io.masks import read_mask, require_one_orientation
from netwright.data.io.stored import turned, turned_back
from netwright.data.issues import UnusableFile
from netwright_tests import save_picture

RANDOM = np.random.default_rng(0)
DEEP_COLOUR = RANDOM.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
GREY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def kind_of(path: Path, reader: Any = read_picture) -> str:
    with pytest.raises(UnusableFile) as error:
        reader(path)
    assert str(path) in str(error.value)
    return error.value.problem.kind


def tiff(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, metadata=None, **options)
    return path


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colours_of_a_tiff_keep_all_their_bits(
    tmp_path: Path, compression: str, planar: str, order: Any
) -> None:
    laid = DEEP_COLOUR if planar == "contig" else np.ascontiguousarray(np.moveaxis(DEEP_COLOUR, -1, 0))
    path = tiff(
        tmp_path / "a.tif",
        laid,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        byteorder=order,
    )
    np.testing.assert_array_equal(read_picture(path).pixels, DEEP_COLOUR)
    assert (read_head(path).channels, read_head(path).depth, read_head(path).size) == (3, "uint16", (6, 9))


def test_deep_colours_of_a_png_keep_all_their_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_encode(DEEP_COLOUR))
    np.testing.assert_array_equal(read_picture(path).pixels, DEEP_COLOUR)
    assert (read_head(path).channels, read_head(path).depth) == (3, "uint16")
    half = np.full((6, 9, 1), 32768, np.uint16)
    path.write_bytes(png_encode(np.concatenate([DEEP_COLOUR, half], axis=-1)))
    np.testing.assert_allclose(read_picture(path).pixels, DEEP_COLOUR * (32768 / 65535), atol=0.51)
    grey = np.ascontiguousarray(DEEP_COLOUR[..., :1])
    path.write_bytes(png_encode(np.concatenate([grey, np.full_like(grey, 65535)], axis=-1)))
    np.testing.assert_array_equal(read_picture(path).pixels, grey[..., 0])


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint32", "float16", "float32", "float64"])
def test_numbers_of_every_type_are_those_that_are_stored(tmp_path: Path, kind: str) -> None:
    values = np.array([[0, 1, 2], [100, 127, 3]]).astype(kind)
    if values.dtype.kind != "u":
        values[1, 2] = -100
    path = tiff(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_picture(path).pixels, values)
    assert read_head(path).depth == "float32" == read_picture(path).pixels.dtype
    np.testing.assert_array_equal(read_mask(path), values)


@given(st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"]), st.data())
def test_a_mask_has_the_numbers_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: Any
) -> None:
    limits = np.iinfo(kind)
    values = data.draw(st.lists(st.integers(limits.min, limits.max), min_size=6, max_size=6))
    path = tiff(tmp_path_factory.mktemp("m") / "a.tif", np.array(values, kind).reshape(2, 3))
    assert read_mask(path).ravel().tolist() == values


def test_white_stored_as_zero_is_white_in_a_picture_and_refused_in_a_mask(tmp_path: Path) -> None:
    deep = DEEP_COLOUR[..., 0]
    for pixels, white in ((GREY, 255), (deep, 65535)):
        path = tiff(tmp_path / "a.tif", pixels, photometric="miniswhite")
        np.testing.assert_array_equal(read_picture(path).pixels, white - pixels)
        assert kind_of(path, read_mask) == "white-is-zero"
    path = tiff(tmp_path / "b.tif", GREY > 99, photometric="miniswhite")
    np.testing.assert_array_equal(read_picture(path).pixels, np.where(GREY > 99, 0, 255))
    assert kind_of(path, read_mask) == "white-is-zero"
    path = tiff(tmp_path / "c.tif", GREY > 99, photometric="minisblack")
    np.testing.assert_array_equal(read_mask(path), GREY > 99)


def test_channels_beyond_colours(tmp_path: Path) -> None:
    opacity = RANDOM.integers(0, 256, (6, 9, 1), dtype=np.uint8)
    four = np.concatenate([COLOUR, opacity], axis=-1)
    path = tmp_path / "a.tif"
    tiff(path, four, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_allclose(read_picture(path).pixels, COLOUR * (opacity / 255), atol=0.51)
    assert read_picture(path).transparent
    tiff(path, four, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_array_equal(read_picture(path).pixels, COLOUR)
    tiff(path, four, photometric="rgb", extrasamples=["unspecified"])
    assert kind_of(path) == "colour-space"
    four[..., 3] = 255
    tiff(path, four, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_picture(path).pixels, COLOUR)
    tiff(path, np.concatenate([four, opacity], axis=-1), photometric="rgb")
    assert kind_of(path) == "colour-space"
    tiff(path, COLOUR, photometric="minisblack", planarconfig="contig")
    assert kind_of(path) == "colour-space"
    tiff(path, (COLOUR[..., 0] * 1j).astype(np.complex64))
    assert kind_of(path) == "colour-space"


def test_several_pictures_in_one_tiff(tmp_path: Path) -> None:
    stack = RANDOM.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "truncated.tif", stack, photometric="minisblack", truncate=True)
    tifffile.imwrite(tmp_path / "imagej.tif", stack, imagej=True)
    for name in ("pages", "truncated", "imagej"):
        assert kind_of(tmp_path / f"{name}.tif", read_head) == "pages"


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_a_tiff_that_ends_early_is_refused(tmp_path: Path, options: Any) -> None:
    pixels = RANDOM.integers(0, 256, (64, 64), dtype=np.uint8)
    whole = tiff(tmp_path / "a.tif", pixels, **options).read_bytes()
    for cut in (1, 100, len(whole) // 2, len(whole) - 6):
        (tmp_path / "a.tif").write_bytes(whole[:-cut])
        assert kind_of(tmp_path / "a.tif") == "unreadable"


def test_a_mask_as_jpeg_within_a_tiff(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.tif", GREY, compression="jpeg")
    assert kind_of(tmp_path / "a.tif", read_mask) == "lossy-mask"
    assert read_picture(tmp_path / "a.tif").pixels.shape == GREY.shape


def test_palettes_of_a_tiff(tmp_path: Path) -> None:
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :3] = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 7]], np.uint16).T * 257
    path = tiff(tmp_path / "a.tif", GREY % 3, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read_mask(path), GREY % 3)
    np.testing.assert_array_equal(
        read_picture(path).pixels, np.array([[0, 0, 0], [255, 0, 0], [0, 128, 7]])[GREY % 3]
    )


def test_palettes_of_one_bit_and_of_sixteen(tmp_path: Path) -> None:
    colours = (320, "H", 6, (0, 65535, 0, 0, 0, 257), True)
    path = tiff(tmp_path / "a.tif", GREY > 99, photometric="minisblack", extratags=[colours])
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(3)
    np.testing.assert_array_equal(read_mask(path), GREY > 99)
    np.testing.assert_array_equal(read_picture(path).pixels, (GREY > 99)[..., None] * np.array([255, 0, 1]))
    many = np.zeros((3, 65536), np.uint16)
    path = tiff(tmp_path / "b.tif", DEEP_COLOUR[..., 0], photometric="palette", colormap=many)
    assert kind_of(path) == "colour-space"


def with_tag(path: Path, pixels: Any, orientation: int, **options: Any) -> Path:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return save_picture(path, pixels, exif=tags, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
def test_photographs_are_read_as_they_are_shown(tmp_path: Path, ending: str, orientation: int) -> None:
    path = with_tag(tmp_path / f"a{ending}", COLOUR, orientation)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_picture(path).pixels, shown)
    assert read_head(path).size == shown.shape[:2]
    np.testing.assert_array_equal(turned_back(turned(COLOUR, orientation), orientation), COLOUR)


def test_a_tag_at_the_end_of_a_png_is_followed(tmp_path: Path) -> None:
    path = with_tag(tmp_path / "a.png", GREY, 6)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4])
    last = content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[end:last] + content[start:end] + content[last:])
    assert read_head(path).size == (9, 6)
    np.testing.assert_array_equal(read_picture(path).pixels, np.rot90(GREY, -1))


def test_damaged_tags_say_nothing(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png", GREY, exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(read_picture(path).pixels, GREY)
    np.testing.assert_array_equal(read_picture(with_tag(path, GREY, 99)).pixels, GREY)


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_a_mask_that_lacks_its_images_tag_is_refused(tmp_path: Path, orientation: int) -> None:
    for number in range(10):
        name = f"p{number}.png"
        image = RANDOM.integers(0, 256, (8, 10), dtype=np.uint8)
        with_tag(tmp_path / "images" / name, image, orientation)
        with_tag(tmp_path / "masks" / name, np.eye(8, 10, dtype=np.uint8), orientation)
    assert inspect_dataset(open_any(tmp_path)).problems == ()
    save_picture(tmp_path / "masks" / "p3.png", np.eye(8, 10, dtype=np.uint8))
    shown = turned(np.eye(8, 10, dtype=np.uint8), orientation)
    save_picture(tmp_path / "masks" / "p4.png", shown)
    errors = list(inspect_dataset(open_any(tmp_path)).errors)
    assert [(problem.kind, Path(problem.file).stem) for problem in errors] == [
        ("orientation", "p3"),
        ("orientation", "p4"),
    ]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_written_label_map_lies_as_its_photograph_does(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    like = with_tag(tmp_path / "a.jpg", COLOUR, orientation)
    shown = (read_picture(like).pixels[..., 0] > 128).astype(np.uint8)
    path = tmp_path / f"m{ending}"
    write_label_picture(path, shown.T[..., None], like)
    np.testing.assert_array_equal(read_mask(path), shown)
    require_one_orientation(like, path)
    stored = tifffile.imread(path) if ending == ".tif" else np.asarray(Image.open(path))
    assert stored.shape == (6, 9)  # pixel by pixel that of the photograph, as it is stored
    if ending == ".png":
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(Image.open(path))), shown)


def test_opacity_that_follows_from_the_numbers_hides_no_label(tmp_path: Path) -> None:
    labels = GREY % 3
    Image.fromarray(labels).save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), labels)
    information = PngImagePlugin.PngInfo()
    information.add_text("note", "x")
    Image.fromarray(labels).save(tmp_path / "b.png", pnginfo=information)
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png"), labels)
