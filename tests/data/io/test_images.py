"""Pictures and masks read as their files have them; label maps written on a picture's pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagecodecs import jpeg_encode
from PIL import Image, PngImagePlugin

from netwright.data.io.images import read_head, read_picture, write_label_picture
from netwright.data.io.masks import read_mask
from netwright.data.io.volumes import label_ending, read_grid, read_image, read_label, write_label_map
from netwright.data.issues import UnusableFile
from netwright_tests import save_picture as save

GREY = np.random.default_rng(0).integers(0, 256, (5, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (5, 8, 3), dtype=np.uint8)
DEEP = np.random.default_rng(2).integers(0, 65536, (5, 8), dtype=np.uint16)


def kind_of(path: Path, reader: Any = read_picture) -> str:
    with pytest.raises(UnusableFile) as error:
        reader(path)
    assert str(path) in str(error.value)
    return error.value.problem.kind


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".bmp", ".PNG", ".gif"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_files_give_back_their_pixels(tmp_path: Path, ending: str, pixels: Any) -> None:
    path = save(tmp_path / f"a{ending}", pixels)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert not picture.transparent
    head = read_head(path)
    assert (head.size, head.channels, head.depth) == ((5, 8), pixels.ndim * 2 - 3, "uint8")


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_keep_all_of_them(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / f"a{ending}", DEEP)
    assert read_picture(path).pixels.dtype == np.uint16
    np.testing.assert_array_equal(read_picture(path).pixels, DEEP)
    assert read_head(path).depth == "uint16"


def test_sixteen_bits_in_the_other_order_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = Image.frombytes("I;16B", (8, 5), DEEP.astype(">u2").tobytes())
    image.save(path)
    np.testing.assert_array_equal(read_picture(path).pixels, DEEP)


def test_thirty_two_bits_become_real_numbers(tmp_path: Path) -> None:
    values = np.linspace(-3, 7, 40, dtype=np.float32).reshape(5, 8)
    path = save(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_picture(path).pixels, values)
    assert read_head(path).depth == "float32"


def test_a_jpeg_is_close_to_its_pixels(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    path = save(tmp_path / "a.jpeg", smooth, quality=95)
    assert np.abs(read_picture(path).pixels.astype(int) - smooth).max() <= 4


def test_a_photograph_of_a_telephone_with_a_preview_is_its_first_picture(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    pages = [Image.fromarray(smooth), Image.fromarray(smooth[::2, ::2])]
    pages[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=pages[1:], quality=95)
    assert np.abs(read_picture(tmp_path / "a.jpg").pixels.astype(int) - smooth).max() <= 4
    assert kind_of(tmp_path / "a.jpg", read_mask) == "lossy-mask"


def test_palettes_become_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(7)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, np.asarray(image.convert("RGB")))
    grey = Image.fromarray(GREY % 4)
    grey = grey.convert("P")
    grey.putpalette([value for level in (9, 90, 150, 250) for value in (level, level, level)])
    grey.save(tmp_path / "g.png")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "g.png").pixels, np.array([9, 90, 150, 250])[GREY % 4]
    )
    assert read_head(tmp_path / "g.png").channels == 1


def test_bilevel_pictures_are_black_and_white(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", GREY > 127)
    np.testing.assert_array_equal(read_picture(path).pixels, np.where(GREY > 127, 255, 0))


def test_what_is_transparent_lies_on_black(tmp_path: Path) -> None:
    opaque = np.dstack([COLOUR, np.full((5, 8), 255, np.uint8)])
    assert not read_picture(save(tmp_path / "o.png", opaque)).transparent
    np.testing.assert_array_equal(read_picture(tmp_path / "o.png").pixels, COLOUR)
    opacity = np.where(np.arange(8) < 4, 0, 255).astype(np.uint8) * np.ones((5, 1), np.uint8)
    picture = read_picture(save(tmp_path / "t.png", np.dstack([COLOUR, opacity])))
    assert picture.transparent
    assert not picture.pixels[:, :4].any()
    np.testing.assert_array_equal(picture.pixels[:, 4:], COLOUR[:, 4:])


def test_damaged_files(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        content, "JPEG"
    )
    whole = content.getvalue()
    for name, spoilt in (
        ("cut.jpg", whole[: len(whole) // 2]),
        ("no.png", b"<html>"),
        ("z.bmp", b"BM" + b"\0" * 9),
    ):
        (tmp_path / name).write_bytes(spoilt)
        assert kind_of(tmp_path / name) == "unreadable"
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(UnusableFile, match="is empty"):
        read_picture(tmp_path / "empty.png")
    assert kind_of(tmp_path / "none.png") == "missing-file"
    png = save(tmp_path / "cut.png", COLOUR).read_bytes()
    (tmp_path / "cut.png").write_bytes(png[: len(png) - 60])
    assert kind_of(tmp_path / "cut.png") == "unreadable"


@pytest.mark.parametrize("stored", ["CMYK", "YCCK"])
def test_inks_of_a_jpeg_become_colours(tmp_path: Path, stored: str) -> None:
    inks = np.zeros((48, 32, 4), np.uint8)
    inks[:16], inks[16:32], inks[32:] = (200, 30, 90, 40), (0, 0, 0, 255), (0, 255, 0, 0)
    path = tmp_path / "n03062245_4620.JPEG"
    path.write_bytes(jpeg_encode(255 - inks, level=100, colorspace="CMYK", outcolorspace=stored))
    assert path.read_bytes().count(b"Adobe") == 1, "whose programs store inks inverted"
    picture = read_picture(path)
    assert (read_head(path).channels, picture.pixels.dtype, picture.transparent) == (3, np.uint8, False)
    light = 255.0 - inks
    expected = light[..., :3] * light[..., 3:] / 255  # what the colours leave of the white, and black of that
    middles = slice(8, None, 16)  # YCCK blurs the colours at edges
    np.testing.assert_allclose(picture.pixels[middles], expected[middles], atol=3)


def test_a_png_with_the_name_of_a_jpeg(tmp_path: Path) -> None:
    path = save(tmp_path / "n02105855_2933.png", COLOUR).rename(tmp_path / "n02105855_2933.JPEG")
    np.testing.assert_array_equal(read_picture(path).pixels, COLOUR)


def test_kinds_that_are_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.tif")
    assert kind_of(tmp_path / "c.tif") == "colour-space"
    Image.new("CMYK", (4, 4), (0, 0, 0, 100)).save(tmp_path / "c.jpg")
    with pytest.raises(UnusableFile, match="is a mask stored as JPEG"):
        read_mask(tmp_path / "c.jpg")
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    assert kind_of(tmp_path / "p.tif") == "pages"


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    header = b"\x89PNG\r\n\x1a\n"
    body = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    import zlib

    path.write_bytes(header + (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big"))
    assert kind_of(path) == "unreadable"


def test_masks_are_read_as_stored(tmp_path: Path) -> None:
    labels = GREY % 3
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", labels)), labels)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "b.bmp", labels > 0)), labels > 0)
    palette = Image.fromarray(labels).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), labels)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "d.png", DEEP)), DEEP)
    same = np.repeat(labels[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "s.png", same)), labels)
    opaque = np.dstack([same, np.full(labels.shape, 255, np.uint8)])
    np.testing.assert_array_equal(read_mask(save(tmp_path / "o.png", opaque)), labels)


def test_masks_that_are_none(tmp_path: Path) -> None:
    assert kind_of(save(tmp_path / "a.jpg", GREY), read_mask) == "lossy-mask"
    disguised = save(tmp_path / "b.jpg", GREY).rename(tmp_path / "b.png")
    assert kind_of(disguised, read_mask) == "lossy-mask"
    assert kind_of(save(tmp_path / "c.png", COLOUR), read_mask) == "colour-mask"
    holes = np.dstack([np.repeat(GREY[..., None], 3, axis=2), GREY])
    assert kind_of(save(tmp_path / "d.png", holes), read_mask) == "transparent-mask"


def test_a_picture_is_a_volume_of_one_slice_shown_upright(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", COLOUR)
    volume = read_image([path])
    assert volume.array.shape == (3, 8, 5, 1)
    assert volume.spacing == (1, 1, 1)
    assert volume.grid.orientation == "LPS"
    assert read_grid(path) == volume.grid
    np.testing.assert_allclose(volume.affine, np.eye(4))
    np.testing.assert_array_equal(volume.array[..., 0], COLOUR.transpose(2, 1, 0)[:, ::-1, ::-1])
    mask = save(tmp_path / "m.png", GREY % 3)
    np.testing.assert_array_equal(read_label(mask)[..., 0], (GREY % 3).T[::-1, ::-1])


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_a_label_map_comes_back_where_it_belongs(tmp_path: Path, ending: str) -> None:
    like = save(tmp_path / "a.jpg", COLOUR)
    grid = read_grid(like)
    mask = GREY % 3
    canonical = np.ascontiguousarray(mask.T[::-1, ::-1, None])
    write_label_map(tmp_path / f"m{ending}", grid.from_canonical(canonical), like, (0, 1, 255))
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / f"m{ending}")), np.array([0, 1, 255])[mask]
    )
    assert label_ending(like) == ".png"
    assert label_ending(Path("a.nii")) == ".nii.gz"


def test_many_labels_and_wrong_shapes(tmp_path: Path) -> None:
    like = save(tmp_path / "a.png", GREY)
    labels = np.arange(40).reshape(8, 5, 1) * 100
    write_label_picture(tmp_path / "m.png", labels, like)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), labels[..., 0].T)
    with pytest.raises(ValueError, match="8 x 5"):
        write_label_picture(tmp_path / "m.png", labels.transpose(1, 0, 2), like)


def test_a_text_chunk_that_explodes_is_no_stack_trace(tmp_path: Path) -> None:
    information = PngImagePlugin.PngInfo()
    information.add_text("comment", "x" * 2_000_000, zip=True)
    Image.fromarray(GREY).save(tmp_path / "a.png", pnginfo=information)
    assert kind_of(tmp_path / "a.png") == "unreadable"
