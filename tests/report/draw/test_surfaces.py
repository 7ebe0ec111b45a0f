"""Segmentations in 3D: what is seen from which side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.report.draw.overlays import OverlayCase, label_colour
from netwright.report.draw.surfaces import SIDE, VIEWS, hidden_labels, turning_views


def case(truth: NDArray[np.uint8], spacing: tuple[float, float, float] = (1, 1, 1)) -> OverlayCase:
    return OverlayCase("best", "a", 1.0, truth.astype(np.float32), truth, np.zeros_like(truth), spacing)


def views(truth: NDArray[np.uint8], spacing: tuple[float, float, float] = (1, 1, 1)) -> NDArray[np.uint8]:
    """The views of the truth alone, (VIEWS, SIDE, SIDE, 3)."""
    sheet = turning_views(case(truth, spacing))
    assert not sheet[:, SIDE:].any()  # nothing was predicted
    return sheet[:, :SIDE].reshape(VIEWS, SIDE, SIDE, 3)


def extent(view: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of what is seen."""
    seen = view.any(axis=2)
    return int(seen.any(axis=0).sum()), int(seen.any(axis=1).sum())


def is_label(pixels: NDArray[np.uint8], value: int) -> NDArray[np.bool_]:
    """Where a colour is that of a label, in any light."""
    colours = [np.array([int(label_colour(k)[i : i + 2], 16) for i in (1, 3, 5)], np.float64) for k in (1, 2)]
    unit = [c / np.linalg.norm(c) for c in colours]
    likeness = [(pixels / 255.0) @ u for u in unit]
    return pixels.any(axis=-1) & (likeness[value - 1] > likeness[2 - value])


def test_a_box_is_as_wide_from_each_side_as_it_is_in_millimetres() -> None:
    box = np.zeros((20, 30, 12), np.uint8)
    box[4:16, 5:25, 3:9] = 1  # 12 x 20 x 6 voxels
    seen = views(box, (1, 1, 2))
    front, side = extent(seen[0]), extent(seen[VIEWS // 4])
    assert abs(front[0] / side[0] - 12 / 20) < 0.06
    # From so far above, its top is seen as well.
    assert front[1] / front[0] > 12 / 12 * np.cos(np.deg2rad(15))


def test_from_the_front_the_patients_right_is_at_the_left_and_superior_up() -> None:
    two = np.zeros((30, 30, 30), np.uint8)
    two[20:28, 10:20, 20:28] = 1  # right and superior
    two[2:10, 10:20, 2:10] = 2
    front, back = views(two)[0], views(two)[VIEWS // 2]
    right, other = np.argwhere(is_label(front, 1)).mean(axis=0), np.argwhere(is_label(front, 2)).mean(axis=0)
    assert right[1] < SIDE / 2 < other[1]
    assert right[0] < other[0]
    assert np.argwhere(is_label(back, 1)).mean(axis=0)[1] > SIDE / 2


def test_what_is_nearer_hides_what_is_behind() -> None:
    two = np.zeros((20, 40, 20), np.uint8)
    two[5:15, 25:35, 5:15] = 1  # anterior
    two[5:15, 5:15, 5:15] = 2
    front, back = views(two)[0], views(two)[VIEWS // 2]
    assert is_label(front, 1).sum() > 2 * is_label(front, 2).sum()
    assert is_label(back, 2).sum() > 2 * is_label(back, 1).sum()


def test_labels_around_many_others_are_left_out() -> None:
    brain = np.zeros((40, 40, 40), np.uint8)
    brain[2:38, 2:38, 2:38] = 5
    for value, corner in enumerate((8, 16, 24, 30), 1):
        brain[corner : corner + 4, 10:14, 10:14] = value
    assert hidden_labels(brain) == (5,)
    assert hidden_labels(np.where(brain == 4, 0, brain)) == ()
    sheet = turning_views(case(brain), hidden=(5,))
    assert sheet.any()


def test_nothing_labelled_is_an_empty_picture() -> None:
    assert not turning_views(case(np.zeros((4, 5, 6), np.uint8))).any()
