"""Pictures of cases show the voxels that they should, the right way round and to scale."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netwright.report.draw.overlays import Overlay, OverlayCase, draw_overlay, label_colour
from netwright.report.draw.pictures import GAP, TILE

SHAPE = (20, 30, 10)


def make_case(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> OverlayCase:
    """A bright ramp with a box of label 1 in the middle, predicted as label 2."""
    image = np.broadcast_to(np.linspace(0, 1, 20, dtype=np.float32)[:, None, None], SHAPE)
    truth = np.zeros(SHAPE, np.uint8)
    truth[6:14, 9:21, 2:8] = 1
    return OverlayCase("worst", "case", 0.5, image, truth, 2 * truth, spacing)


def pixels(picture: Overlay) -> NDArray[np.uint8]:
    kind, data = picture.uri.split(",", 1)
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def tinted(tile: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return tile.max(axis=2).astype(int) - tile.min(axis=2) > 25


def test_png_has_the_size_that_it_says() -> None:
    picture = draw_overlay(make_case())
    assert pixels(picture).shape == (picture.height, picture.width, 3)
    assert picture.width == 3 * TILE + 2 * GAP


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)])
def test_tiles_keep_the_aspect_of_the_spacing(spacing: tuple[float, float, float]) -> None:
    x, y, z = (n * s for n, s in zip(SHAPE, spacing, strict=True))
    scale = TILE / max(x, y, z)
    height = sum(round(extent * scale) for extent in (y, z, z)) + 2 * GAP
    assert draw_overlay(make_case(spacing)).height == height


def test_truth_and_prediction_are_tinted_and_the_image_is_not() -> None:
    page = pixels(draw_overlay(make_case()))
    axial = page[:TILE]
    image, truth, prediction = (axial[:, i * (TILE + GAP) :][:, :TILE] for i in range(3))
    assert not tinted(image).any()
    scale = TILE / 30
    rows, columns = np.nonzero(tinted(truth))
    # Labelled: y 9 to 21 of 30 rows; x 6 to 14 of 20 columns, centred in the tile.
    assert (rows.min(), rows.max() + 1) == pytest.approx((9 * scale, 21 * scale), abs=2)
    left = (TILE - 20 * scale) / 2
    assert (columns.min(), columns.max() + 1) == pytest.approx((left + 6 * scale, left + 14 * scale), abs=2)
    middle = prediction[TILE // 2, TILE // 2].astype(int)
    colour = [int(label_colour(2)[i : i + 2], 16) for i in (1, 3, 5)]
    assert np.argsort(middle).tolist() == np.argsort(colour).tolist()
    assert (prediction == 255).all(axis=2).any()


def test_patients_right_is_on_the_left() -> None:
    image = pixels(draw_overlay(make_case()))[TILE // 2, :TILE, 0]
    inside = np.flatnonzero(image)
    # The ramp is brightest at the largest x, which is the patient's right in RAS.
    assert image[inside[5]] > 200
    assert image[inside[-5]] < 60


def test_anterior_and_superior_are_up() -> None:
    case = make_case()
    truth = np.zeros(SHAPE, np.uint8)
    truth[10, 28, 8] = 1
    case = replace(case, truth=truth, prediction=truth)
    page = pixels(draw_overlay(replace(case, image=np.zeros(SHAPE, np.float32))))
    axial = page[:TILE, TILE + GAP : 2 * TILE + GAP]
    assert np.nonzero(tinted(axial))[0].mean() < TILE / 2


def test_slices_go_through_the_centre_of_mass() -> None:
    picture = draw_overlay(make_case())
    assert dict(picture.slices) == {"sagittal": 10, "coronal": 15, "axial": 5}
    assert not picture.cropped


def test_a_small_structure_in_a_large_volume_is_cropped() -> None:
    truth = np.zeros((90, 90, 90), np.uint8)
    truth[70:74, 20:24, 84:88] = 1
    case = OverlayCase("best", "case", 1, np.ones(truth.shape, np.float32), truth, truth, (1, 1, 1))
    picture = draw_overlay(case)
    assert picture.cropped
    assert dict(picture.slices) == {"sagittal": 72, "coronal": 22, "axial": 86}
    assert tinted(pixels(picture)).sum() > 500


def test_hollow_structure_still_shows() -> None:
    truth = np.zeros((21, 21, 21), np.uint8)
    truth[2:4] = truth[17:19] = 1
    picture = draw_overlay(
        OverlayCase("worst", "c", 0, np.ones(truth.shape, np.float32), truth, truth, (1, 1, 1))
    )
    assert truth[dict(picture.slices)["sagittal"]].any()


def test_empty_labels_constant_and_broken_images_are_drawn() -> None:
    empty = np.zeros(SHAPE, np.uint8)
    for fill in (0.0, np.nan, np.inf):
        image = np.full(SHAPE, fill, np.float32)
        picture = draw_overlay(OverlayCase("median", "c", 0, image, empty, empty, (1, 1, 1)))
        assert not tinted(pixels(picture)).any()


def test_every_label_has_a_colour() -> None:
    assert len({label_colour(value) for value in range(1, 9)}) == 8
    assert label_colour(19).startswith("#")


def test_shapes_that_differ_are_refused() -> None:
    case = make_case()
    with pytest.raises(ValueError, match=r"'case' needs .* one 3D shape, got \(20, 30, 10\), \(20, 30, 9\)"):
        draw_overlay(replace(case, truth=case.truth[..., :9]))


def make_picture_case(colours: bool = False) -> OverlayCase:
    """A 2D image of 30 columns and 20 rows that grows lighter to the right, labelled in its top left corner."""
    image = np.broadcast_to(np.linspace(0, 1, 30, dtype=np.float32)[:, None, None], (30, 20, 1))
    if colours:
        image = np.stack([image, 0 * image, 0 * image], axis=-1)
    truth = np.zeros((30, 20, 1), np.uint8)
    truth[:9, :6] = 1
    return OverlayCase("worst", "picture", 0.5, image, truth, truth, (1.0, 1.0, 1.0))


def test_a_picture_is_one_row_the_way_it_is_on_disk() -> None:
    picture = draw_overlay(make_picture_case())
    page = pixels(picture)
    assert page.shape == (round(TILE * 20 / 30), 3 * TILE + 2 * GAP, 3)
    assert picture.slices == ()
    assert not picture.cropped
    image, truth = page[:, :TILE], page[:, TILE + GAP : 2 * TILE + GAP]
    assert image[-1, -5, 0] > 200
    assert image[-1, 5, 0] < 60
    rows, columns = np.nonzero(tinted(truth))
    scale = TILE / 30
    assert (rows.max() + 1, columns.max() + 1) == pytest.approx((6 * scale, 9 * scale), abs=2)


def test_a_picture_in_colours_keeps_them() -> None:
    image = pixels(draw_overlay(make_picture_case(colours=True)))[:, :TILE]
    assert image[-1, -5, 0] > 200
    assert image[..., 1:].max() == 0


def test_other_numbers_of_channels_are_refused() -> None:
    case = make_picture_case(colours=True)
    with pytest.raises(ValueError, match="'picture' needs"):
        draw_overlay(replace(case, image=case.image[..., :2]))
