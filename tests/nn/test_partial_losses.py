"""Losses of regions and of voxels that are ignored, against numpy voxel by voxel, MONAI, torch, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from netwright.nn.losses import FLAT_BELOW, LOSSES, label_weights
from netwright.nn.partial_losses import PartialLoss, region_weights
from netwright.tasks.segmentation.network_task import SegmentationTask

IGNORED = 255
REGIONS = ((1, 2, 3), (2, 3), (3,))
WEIGHTS = {"dice_weight": 0.7, "cross_entropy_weight": 0.4, "gamma": 0.3}


def random_case(seed: int, outputs: int, ignored: float = 0.3) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (2, 3, 4, 2))
    labels[rng.random(labels.shape) < ignored] = IGNORED
    return rng.normal(0, 1.5, (2, outputs, 3, 4, 2)), labels


def in_numpy(name: str, logits: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any]) -> float:
    """Each region a problem of two classes, written out voxel by voxel over those that are labelled."""
    dice, surprise, weighted = [], [], []
    for image, label_map in zip(logits, labels, strict=True):
        for number, region in enumerate(REGIONS):
            overlap = total = 0.0
            for voxel in np.ndindex(label_map.shape):
                if label_map[voxel] == IGNORED:
                    continue
                p, inside = 1 / (1 + math.exp(-image[(number, *voxel)])), int(label_map[voxel] in region)
                overlap += p * inside
                total += p + inside
                surprise.append(-math.log(p if inside else 1 - p))
                weighted.append(weights[inside][number] * surprise[-1] ** WEIGHTS["gamma"])
            dice.append((2 * overlap + 1) / (total + 1))
    dice_term, cross_entropy = 1 - np.mean(dice), np.mean(surprise)
    if name == "exponential_logarithmic":
        flat = [max(-math.log(one), FLAT_BELOW) for one in dice]  # 1 where all of an image is ignored
        dice_term = np.mean([one ** WEIGHTS["gamma"] for one in flat])
        cross_entropy = np.mean(weighted)
    alone = {"dice": dice_term, "cross_entropy": cross_entropy}
    both = WEIGHTS["dice_weight"] * dice_term + WEIGHTS["cross_entropy_weight"] * cross_entropy
    return float(alone.get(name, both))


@pytest.mark.parametrize("name", SegmentationTask.losses)
@given(seed=st.integers(0, 10**6), ignored=st.sampled_from([0.0, 0.3, 0.9]))
@settings(max_examples=5)
def test_losses_of_regions_are_those_written_out_voxel_by_voxel(name: str, seed: int, ignored: float) -> None:
    logits, labels = random_case(seed, 3, ignored)
    if (labels == IGNORED).all():
        return
    weights = np.random.default_rng(seed).uniform(0.5, 8, (2, 3))
    found = PartialLoss(name, IGNORED, REGIONS)(
        torch.tensor(logits), torch.tensor(labels), torch.tensor(weights), **WEIGHTS
    )
    assert found.item() == pytest.approx(in_numpy(name, logits, labels, weights), rel=1e-6)


def test_dice_and_cross_entropy_of_regions_are_monai_s_and_torch_s() -> None:
    from monai.losses import DiceLoss

    logits, labels = random_case(1, 3, ignored=0)
    truth = np.stack([np.isin(labels, region) for region in REGIONS], 1).astype(float)
    dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(torch.tensor(logits), torch.tensor(truth))
    surprise = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(truth))
    loss = PartialLoss("dice_cross_entropy", IGNORED, REGIONS)
    found = loss(torch.tensor(logits), torch.tensor(labels), torch.ones(3))
    assert found.item() == pytest.approx((dice + surprise).item(), rel=1e-6)


@pytest.mark.parametrize("name", SegmentationTask.losses)
def test_where_all_is_labelled_losses_of_classes_are_the_whole_ones(name: str) -> None:
    logits, labels = random_case(2, 4, ignored=0)
    arguments = torch.tensor(logits), torch.tensor(labels), torch.tensor([0.5, 2.0, 1.0, 7.0])
    found = PartialLoss(name, IGNORED)(*arguments, **WEIGHTS)
    assert found.item() == pytest.approx(LOSSES[name](*arguments, **WEIGHTS).item(), rel=1e-9)


@pytest.mark.parametrize("name", SegmentationTask.losses)
@pytest.mark.parametrize("regions", [(), REGIONS])
def test_what_is_ignored_changes_nothing(name: str, regions: tuple[tuple[int, ...], ...]) -> None:
    """Neither loss nor gradient; and the loss is that of the same image without those voxels."""
    logits, labels = random_case(3, 3 if regions else 4, ignored=0)
    labels[:, 1] = IGNORED  # the middle of three planes
    weights = torch.rand(2, 3) if regions else torch.rand(4)
    loss = PartialLoss(name, IGNORED, regions)

    def gradient_and_loss(values: NDArray[Any], truth: NDArray[Any]) -> tuple[Tensor, float]:
        images = torch.tensor(values, requires_grad=True)
        result = loss(images, torch.tensor(truth), weights, **WEIGHTS)
        return torch.autograd.grad(result, images)[0], result.item()

    gradient, found = gradient_and_loss(logits, labels)
    assert (gradient[:, :, 1] == 0).all()
    assert (gradient[:, :, [0, 2]] != 0).any()
    changed = logits.copy()
    changed[:, :, 1] += 5
    assert gradient_and_loss(changed, labels)[1] == found
    without, expected = gradient_and_loss(logits[:, :, [0, 2]], labels[:, [0, 2]])
    assert found == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(gradient[:, :, [0, 2]], without)


def test_cross_entropy_with_ignored_voxels_is_torch_s() -> None:
    logits, labels = random_case(4, 4)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(labels), ignore_index=IGNORED
    )
    found = PartialLoss("cross_entropy", IGNORED)(
        torch.tensor(logits), torch.tensor(labels), torch.ones(4), **WEIGHTS
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("name", SegmentationTask.losses)
@pytest.mark.parametrize("regions", [(), REGIONS])
def test_gradients_are_those_of_the_loss(name: str, regions: tuple[tuple[int, ...], ...]) -> None:
    logits, labels = random_case(5, 3 if regions else 4)
    weights = torch.ones(2, 3) if regions else torch.ones(4)
    loss = PartialLoss(name, IGNORED, regions)
    inputs = (torch.tensor(logits[:1, :, :2], requires_grad=True),)
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.tensor(labels[:1, :2]), weights), inputs)


@pytest.mark.parametrize("name", SegmentationTask.losses)
@pytest.mark.parametrize("regions", [(), REGIONS])
def test_an_image_of_which_all_is_ignored_teaches_nothing(
    name: str, regions: tuple[tuple[int, ...], ...]
) -> None:
    logits = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2, 2), IGNORED)
    loss = PartialLoss(name, IGNORED, regions)(logits, labels, torch.ones(3), **WEIGHTS)
    assert loss.isfinite()
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_half_precision_under_autocast_is_computed_in_float32() -> None:
    logits, labels = random_case(6, 3)
    half = torch.tensor(logits).to(torch.bfloat16)
    loss = PartialLoss("dice_cross_entropy", IGNORED, REGIONS)
    expected = loss(half.double(), torch.tensor(labels), torch.ones(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(half, torch.tensor(labels), torch.ones(3))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_guess_of_regions_costs_the_logarithm_of_two() -> None:
    _, labels = random_case(7, 3)
    loss = PartialLoss("cross_entropy", IGNORED, REGIONS)
    assert loss(torch.zeros(2, 3, 3, 4, 2), torch.tensor(labels), torch.ones(3)).item() == pytest.approx(
        math.log(2)
    )


def test_each_region_and_what_is_outside_are_weighted_as_two_labels() -> None:
    found = region_weights([70, 10, 15, 5], REGIONS)
    assert found.shape == (2, 3)
    for number, inside in enumerate((30, 20, 5)):
        torch.testing.assert_close(found[:, number], label_weights([100 - inside, inside]))
    assert found[1, 2].item() == pytest.approx(math.sqrt(100 / 5))
