"""What values of masks mean across files: a colour has one meaning, blur none, and masks that are all bad say why."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from netwright.cli.reading import read_label_map
from netwright.data import inspect_dataset, open_any
from netwright.errors import DatasetError
from netwright_tests import save_picture

Mask = NDArray[np.uint8]
Save = Callable[[int, Mask, Path], Any]
CASES = 10


def shape(seed: int) -> Mask:
    """0 and 1: a disc in a picture of 48 x 64."""
    rows, columns = np.mgrid[:48, :64]
    return ((rows - 19) ** 2 + (columns - 19) ** 2 < (9 + seed % 3) ** 2).astype(np.uint8)


def folder(root: Path, save: Save, ending: str = ".png", shapes: Callable[[int], Mask] = shape) -> Path:
    for number in range(CASES):
        mask = shapes(number)
        picture = np.random.default_rng(number).integers(0, 256, mask.shape, dtype=np.uint8)
        save_picture(root / "images" / f"p{number}.png", picture)
        (root / "masks").mkdir(exist_ok=True)
        save(number, mask, root / "masks" / f"p{number}{ending}")
    return root


def palette(*colours: tuple[int, int, int]) -> Save:
    def save(number: int, mask: Mask, path: Path) -> None:
        image = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
        image.putpalette([value for colour in colours for value in colour])
        image.save(path)

    return save


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)
white_last, white_first = palette(BLACK, WHITE), palette(WHITE, BLACK)


def grey(number: int, mask: Mask, path: Path) -> None:
    save_picture(path, mask * np.uint8(255))


def bilevel(number: int, mask: Mask, path: Path) -> None:
    Image.fromarray(mask * np.uint8(255)).convert("1").save(path)


def quantized(number: int, mask: Mask, path: Path) -> None:
    Image.fromarray(mask * np.uint8(255)).convert("RGB").quantize(4).save(path)


def adaptive(number: int, mask: Mask, path: Path) -> None:
    colours = Image.fromarray(mask * np.uint8(255)).convert("RGB")
    colours.convert("P", palette=Image.Palette.ADAPTIVE, colors=2).save(path)


def reversed_indices(number: int, mask: Mask, path: Path) -> None:
    white_first(number, 1 - mask, path)


@pytest.mark.parametrize(
    ("even", "odd"),
    [
        (white_last, white_last),
        (white_last, reversed_indices),
        (reversed_indices, reversed_indices),
        (quantized, quantized),
        (adaptive, white_last),
        (bilevel, grey),
        (bilevel, reversed_indices),
        (grey, white_last),
    ],
)
def test_masks_that_look_alike_are_read_alike(tmp_path: Path, even: Save, odd: Save) -> None:
    root = folder(tmp_path, lambda number, mask, path: (odd if number % 2 else even)(number, mask, path))
    dataset = open_any(root)
    if dataset.proposed:
        advice = inspect_dataset(dataset).errors[0].advice
        flag = advice.split("--map-label ")[1].split(";")[0]
        assert flag == "255=1"
        dataset = open_any(root, map_label=read_label_map([flag]))
    inspection = inspect_dataset(dataset)
    assert [problem for problem in inspection.errors if problem.kind != "few-cases"] == []
    assert dataset.labels == {0: "background", 1: "foreground"}
    true = sum(int(shape(number).sum()) for number in range(CASES))
    assert inspection.fingerprint.labels[1].voxels == true


def test_white_of_eight_and_of_sixteen_bits_is_one_label(tmp_path: Path) -> None:
    def save(number: int, mask: Mask, path: Path) -> None:
        save_picture(path, mask.astype(np.uint16) * np.uint16(65535) if number % 2 else mask * np.uint8(255))

    proposed = open_any(folder(tmp_path, save)).proposed
    assert proposed == {0: 0, 255: 1, 65535: 1}


def test_white_of_one_and_of_sixteen_bits_is_one_label(tmp_path: Path) -> None:
    def save(number: int, mask: Mask, path: Path) -> None:
        if number % 2:
            save_picture(path, mask.astype(np.uint16) * np.uint16(65535))
        else:
            bilevel(number, mask, path)

    assert open_any(folder(tmp_path, save)).proposed == {0: 0, 1: 1, 65535: 1}


def test_white_in_another_number_than_the_map_names_is_asked_for(tmp_path: Path) -> None:
    root = folder(tmp_path, bilevel)
    assert inspect_dataset(open_any(root, map_label={255: 1})).errors == ()
    names = {"labels": {"0": "background", "1": "ring", "2": "disc"}}
    (root / "dataset.json").write_text(json.dumps(names))
    errors = inspect_dataset(open_any(root, map_label={128: 1, 255: 2})).errors
    assert {problem.kind for problem in errors} == {"palette"}
    dataset = open_any(root, map_label={128: 1, 255: 2, 1: 2})
    assert inspect_dataset(dataset).errors == ()
    assert inspect_dataset(dataset).fingerprint.labels[1].voxels == 0


def three(number: int) -> Mask:
    mask = shape(number)
    mask[30:40, 40:60] = 2
    return mask


def test_greys_in_another_order_keep_their_colours(tmp_path: Path) -> None:
    grey_palette = palette(BLACK, (128, 128, 128), WHITE)
    turned = palette(WHITE, BLACK, (128, 128, 128))

    def save(number: int, mask: Mask, path: Path) -> None:
        if number % 2:
            turned(number, np.array([1, 2, 0], np.uint8)[mask], path)
        else:
            grey_palette(number, mask, path)

    assert open_any(folder(tmp_path, save, shapes=three)).proposed == {0: 0, 1: 1, 2: 2, 128: 1, 255: 2}


@pytest.mark.parametrize(
    "other", [palette(BLACK, GREEN, RED), palette(RED, BLACK, GREEN), palette(BLACK, WHITE, RED)]
)
def test_colours_that_change_their_numbers_are_refused(tmp_path: Path, other: Save) -> None:
    usual = palette(BLACK, RED, GREEN)
    root = folder(
        tmp_path,
        lambda number, mask, path: (other if number == 7 else usual)(number, mask, path),
        shapes=three,
    )
    errors = inspect_dataset(open_any(root)).errors
    assert {(problem.kind, problem.file) for problem in errors} == {("palette", "masks/p7.png")}
    (root / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "a", "2": "b"}}))
    assert [problem.kind for problem in inspect_dataset(open_any(root)).errors] == ["palette"]


def test_black_that_is_a_label_is_asked_for(tmp_path: Path) -> None:
    root = folder(tmp_path, palette(RED, BLACK))
    assert {problem.kind for problem in inspect_dataset(open_any(root)).errors} == {"palette-order"}
    (root / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "a"}}))
    assert inspect_dataset(open_any(root)).errors == ()


def test_a_palette_of_which_most_files_use_a_part_is_one_palette(tmp_path: Path) -> None:
    def shapes(number: int) -> Mask:
        return three(number) if number == 2 else np.zeros((48, 64), np.uint8) + np.uint8(number == 5)

    root = folder(tmp_path, palette(BLACK, RED, GREEN), shapes=shapes)
    assert inspect_dataset(open_any(root)).errors == ()


def coloured(number: int, mask: Mask, path: Path) -> None:
    save_picture(path, mask[..., None] * np.array([255, 0, 0], np.uint8))


def in_opacity(number: int, mask: Mask, path: Path) -> None:
    save_picture(path, np.dstack([mask * np.uint8(255)] * 4))


def white_is_zero(number: int, mask: Mask, path: Path) -> None:
    tifffile.imwrite(path, mask > 0)  # as tifffile writes true and false by default


@pytest.mark.parametrize(
    ("save", "ending", "reason"),
    [
        (
            lambda number, mask, path: save_picture(path, mask * np.uint8(100)),
            ".jpg",
            "is a mask stored as JPEG",
        ),
        (coloured, ".png", "is a mask in colours"),
        (in_opacity, ".png", "is a mask that is transparent in places"),
        (white_is_zero, ".tif", "is a mask that stores white as zero"),
        (lambda number, mask, path: path.write_bytes(b"x"), ".png", "cannot be read"),
    ],
)
def test_masks_that_are_all_bad_say_why(tmp_path: Path, save: Save, ending: str, reason: str) -> None:
    with pytest.raises(DatasetError) as error:
        open_any(folder(tmp_path, save, ending))
    assert reason in str(error.value)
    assert f"p0{ending}" in str(error.value)
    assert "9 more masks have the same problem" in str(error.value)


def test_masks_in_a_format_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"WEBP is not read.*PNG"):
        open_any(folder(tmp_path, grey, ".webp"))


@pytest.mark.parametrize("ending", [".jpg", ".tif"])
@pytest.mark.parametrize("colours", ["L", "RGB"])
def test_a_jpeg_of_black_and_white_is_split_at_half(tmp_path: Path, ending: str, colours: str) -> None:
    """Kvasir-SEG has masks as JPEG."""

    def save(number: int, mask: Mask, path: Path) -> None:
        options = {"quality": 75} if ending == ".jpg" else {"compression": "jpeg"}
        Image.fromarray(mask * np.uint8(255)).convert(colours).save(path, **options)

    root = folder(tmp_path, save, ending)
    dataset = open_any(root)
    assert dataset.proposed == {0: 0, 255: 1}
    inspection = inspect_dataset(open_any(root, map_label={255: 1}))
    (warning,) = [problem for problem in inspection.warnings if problem.kind == "jpeg-masks"]
    assert "10 such masks" in warning.found
    assert inspection.errors == ()
    assert inspection.fingerprint.labels[1].voxels == sum(int(shape(number).sum()) for number in range(CASES))


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 1, 2], np.uint8),
        np.array([0, 128, 255], np.uint8),
        np.array([0, 100, 180], np.uint8),
    ],
)
def test_a_jpeg_of_other_values_is_refused_with_the_command(
    tmp_path: Path, values: NDArray[np.uint8]
) -> None:
    def save(number: int, mask: Mask, path: Path) -> None:
        Image.fromarray(values[mask]).save(path, quality=90)

    with pytest.raises(DatasetError, match=r"(?s)stored as JPEG.*mogrify -format png -threshold 50% p0\.jpg"):
        open_any(folder(tmp_path, save, ".jpg", shapes=three))


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content).convert("L")

    return change


@pytest.mark.parametrize(
    "change",
    [
        jpeg(99),
        jpeg(95),
        lambda image: image.resize((32, 24), Image.Resampling.BILINEAR),
        lambda image: image.resize((32, 24), Image.Resampling.BOX).resize((64, 48), Image.Resampling.NEAREST),
        lambda image: image.filter(ImageFilter.GaussianBlur(0.6)),
    ],
)
def test_blur_becomes_no_labels(tmp_path: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    def save(number: int, mask: Mask, path: Path) -> None:
        change(Image.fromarray(mask * np.uint8(255))).save(path)

    with pytest.raises(DatasetError, match=r"blurred edges.*\(0 and 255\?\)"):
        open_any(folder(tmp_path, save))


def outlined(number: int) -> Mask:
    """An outline of one pixel between the background and the inside."""
    mask = np.zeros((48, 64), np.uint8)
    mask[9:31, 9:41], mask[10:30, 10:40] = 128, 255
    return mask


def nested(number: int) -> Mask:
    mask = np.zeros((48, 64), np.uint8)
    for step in range(6):
        mask[3 + 3 * step : 45 - 3 * step, 3 + 3 * step : 60 - 3 * step] = 40 * (step + 1)
    return mask


def dots(number: int) -> Mask:
    mask, random = np.zeros((48, 64), np.uint8), np.random.default_rng(number)
    for value in (30, 90, 150, 200, 255) * 8:
        row, column = random.integers(1, 45), random.integers(1, 60)
        mask[row : row + 2, column : column + 2] = value
    return mask


@pytest.mark.parametrize("shapes", [outlined, nested, dots])
def test_thin_and_small_labels_are_no_blur(tmp_path: Path, shapes: Callable[[int], Mask]) -> None:
    values = sorted(set(np.unique(shapes(0)).tolist()))
    root = folder(tmp_path, lambda number, mask, path: save_picture(path, mask), shapes=shapes)
    assert open_any(root).proposed == {value: rank for rank, value in enumerate(values)}


def test_values_below_the_background_are_not_taken_for_it(tmp_path: Path) -> None:
    def save(number: int, mask: Mask, path: Path) -> None:
        tifffile.imwrite(path, mask.astype(np.int8) * np.int8(-1))

    assert open_any(folder(tmp_path, save, ".tif")).proposed == {-1: 1, 0: 0}
