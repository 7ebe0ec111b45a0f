"""Masks: how much of a picture is missing, where, and from which random numbers."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netwright.data.images.inpainting_masks import draw_mask, fixed_masks, masked
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.errors import SettingsError

SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40))


def drawn(settings: MaskSettings, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return draw_mask(settings, size, torch.Generator().manual_seed(seed))


def test_the_central_block_of_yeh_et_al() -> None:
    """Their code: from a quarter to three quarters of each side of 64 pixels."""
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[16:48, 16:48] = True
    assert torch.equal(drawn(MaskSettings("center"), (64, 64)), expected)
    odd = drawn(MaskSettings("center", center=0.4), (10, 15))
    assert odd.nonzero().amin(0).tolist() == [3, 4]
    assert odd.nonzero().amax(0).tolist() == [6, 9]


@given(SIZES, st.floats(0.01, 0.99), st.integers(0, 1000))
def test_so_many_pixels_are_missing_and_some_are_left(size: tuple[int, int], share: float, seed: int) -> None:
    height, width = size
    pixels = drawn(MaskSettings("pixel", pixel=share), size, seed)
    assert pixels.sum() == min(max(1, round(share * height * width)), height * width - 1)
    for settings in (MaskSettings("center", center=share), MaskSettings("half", half=share)):
        mask = drawn(settings, size, seed)
        assert mask.shape == size
        assert 0 < mask.sum() < height * width
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None, :]), "a rectangle"


def test_pixels_are_missing_everywhere_alike() -> None:
    masks = torch.stack([drawn(MaskSettings("pixel"), (6, 5), seed) for seed in range(2000)])
    # Each count is binomial: 0.05 are more than five standard deviations.
    assert (masks.float().mean(0) - 0.8).abs().max() < 0.05


def test_all_four_halves_are_drawn_alike() -> None:
    counts = {"left": 0, "right": 0, "top": 0, "bottom": 0}
    for seed in range(800):
        mask = drawn(MaskSettings("half"), (8, 6), seed)
        assert mask.sum() == 24
        counts["left"] += bool(mask[:, :3].all())
        counts["right"] += bool(mask[:, 3:].all())
        counts["top"] += bool(mask[:4].all())
        counts["bottom"] += bool(mask[4:].all())
    assert sum(counts.values()) == 800
    assert min(counts.values()) > 140  # five standard deviations under 200


@pytest.mark.parametrize("mask", ["pixel", "half"])
def test_the_mask_of_a_picture_is_that_of_its_number(mask: str) -> None:
    settings = MaskSettings(mask)  # type: ignore[arg-type]
    masks = fixed_masks(settings, (12, 14), range(20))
    assert masks.shape == (20, 1, 12, 14)
    assert torch.equal(fixed_masks(settings, (12, 14), [7, 3]), masks[[7, 3]])
    assert len({tuple(one.flatten().tolist()) for one in masks}) == (20 if mask == "pixel" else 4)
    assert fixed_masks(settings, (12, 14), []).shape == (0, 1, 12, 14)


def test_what_is_missing_is_black_and_the_rest_is_kept() -> None:
    images = torch.rand(3, 2, 12, 14) + 0.1
    missing = fixed_masks(MaskSettings("pixel"), (12, 14), range(3))
    result = masked(images, missing)
    there = missing.expand_as(images)
    assert (result[there] == 0).all()
    assert torch.equal(result[~there], images[~there])
    one = drawn(MaskSettings("half"), (12, 14))
    assert torch.equal(masked(images, one)[:, :, ~one], images[:, :, ~one])


def test_settings_survive_json_and_refuse_what_is_no_share() -> None:
    settings = MaskSettings("half", half=0.3)
    assert MaskSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert [MaskSettings(mask).words()[:11] for mask in ("pixel", "center", "half")] == [  # type: ignore[arg-type]
        "80 % of the",
        "a central b",
        "50 % at the",
    ]
    with pytest.raises(SettingsError, match="center, pixel, half"):
        MaskSettings("left")  # type: ignore[arg-type]
    for name in ("center", "pixel", "half"):
        for share in (0.0, 1.0, 80.0):
            with pytest.raises(SettingsError, match=f"inpainting.{name} must be a share"):
                MaskSettings(**{name: share})  # type: ignore[arg-type]
