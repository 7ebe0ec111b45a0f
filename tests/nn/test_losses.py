"""The losses against formulas in float64 numpy and MONAI, and their gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.nn.losses import (
    LOSSES,
    AuxiliaryLoss,
    cross_entropy,
    dice_cross_entropy,
    dice_loss,
    exponential_logarithmic_loss,
    label_weights,
    main_output,
)
from netwright.tasks.segmentation.network_task import SegmentationTask


def random_case(seed, batch=2, classes=3, size=(3, 4, 2), spread=1.5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (batch, classes, *size))
    labels = rng.integers(0, classes, (batch, *size))
    weights = rng.uniform(0.5, 8, classes)
    return logits, labels, weights


def exponential_logarithmic_in_numpy(logits, labels, weights, dice_weight, cross_weight, gamma):
    """Equations 1 to 3 of Wong et al., written out voxel by voxel."""
    batch, classes = logits.shape[:2]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    dice_terms, cross_terms = [], []
    for image in range(batch):
        for label in range(classes):
            delta = labels[image] == label
            p = probabilities[image, label]
            dice = (2 * (delta * p).sum() + 1) / (delta.sum() + p.sum() + 1)
            dice_terms.append((-np.log(dice)) ** gamma)
        for voxel in np.ndindex(labels.shape[1:]):
            label = labels[(image, *voxel)]
            cross_terms.append(weights[label] * (-np.log(probabilities[(image, label, *voxel)])) ** gamma)
    return dice_weight * np.mean(dice_terms) + cross_weight * np.mean(cross_terms)


@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 5),
    gamma=st.sampled_from([0.3, 0.5, 1.0, 2.0]),
    dice_weight=st.floats(0, 1),
)
@settings(max_examples=40)
def test_exponential_logarithmic_loss_is_the_paper_s_formula(seed, classes, gamma, dice_weight):
    logits, labels, weights = random_case(seed, classes=classes)
    expected = exponential_logarithmic_in_numpy(logits, labels, weights, dice_weight, 1 - dice_weight, gamma)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        loss = exponential_logarithmic_loss(
            torch.tensor(logits, dtype=dtype),
            torch.tensor(labels),
            torch.tensor(weights, dtype=dtype),
            dice_weight=dice_weight,
            cross_entropy_weight=1 - dice_weight,
            gamma=gamma,
        )
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("name", SegmentationTask.losses)
def test_gradients_are_those_of_the_loss(name):
    logits, labels, weights = random_case(1, size=(2, 3, 2), spread=1.0)
    logits, weights = torch.tensor(logits, requires_grad=True), torch.tensor(weights)

    def loss(x):
        return LOSSES[name](
            x, torch.tensor(labels), weights, dice_weight=0.8, cross_entropy_weight=0.2, gamma=0.3
        )

    assert torch.autograd.gradcheck(loss, (logits,))


@pytest.mark.parametrize("margin", [0.0, 5.0, 10.0, 16.0, 30.0, 1e4])
def test_gradient_stays_small_up_to_a_perfect_prediction(margin):
    _, labels, weights = random_case(2, size=(6, 6, 6))
    labels = torch.tensor(labels)
    logits = (margin * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)).float().requires_grad_()
    loss = exponential_logarithmic_loss(logits, labels, torch.tensor(weights))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.norm() < 1


def test_loss_falls_as_the_prediction_improves():
    _, labels, weights = random_case(3)
    truth = torch.nn.functional.one_hot(torch.tensor(labels), 3).movedim(-1, 1).float()
    losses = [
        exponential_logarithmic_loss(margin * truth, torch.tensor(labels), torch.tensor(weights)).item()
        for margin in (-3, 0, 1, 3, 6, 12)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.3


@pytest.mark.parametrize("name", SegmentationTask.losses)
def test_half_precision_under_autocast_is_computed_in_float32(name):
    logits, labels, weights = random_case(4)
    half = torch.tensor(logits).to(torch.bfloat16)
    arguments = {"dice_weight": 0.8, "cross_entropy_weight": 0.2, "gamma": 0.3}
    expected = LOSSES[name](half.double(), torch.tensor(labels), torch.tensor(weights), **arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](half, torch.tensor(labels), torch.tensor(weights), **arguments)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_dice_cross_entropy_is_monai_s():
    from monai.losses import DiceCELoss

    logits, labels, weights = random_case(5)
    reference = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0
    )
    expected = reference(torch.tensor(logits), torch.tensor(labels)[:, None])
    loss = dice_cross_entropy(torch.tensor(logits), torch.tensor(labels), torch.tensor(weights))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 5),
    size=st.sampled_from([(3, 4, 2), (5, 6)]),
    dice_weight=st.floats(0, 2),
    cross_entropy_weight=st.floats(0, 2),
    spread=st.sampled_from([0.1, 2.0, 300.0]),
)
@settings(max_examples=40)
def test_the_gradient_of_dice_cross_entropy_is_that_of_autograd(
    seed, classes, size, dice_weight, cross_entropy_weight, spread
):
    """Through auxiliary losses, for logits of any spread, also such that a probability is zero in float64."""
    logits, labels, weights = random_case(seed, classes=classes, size=size, spread=spread)
    truth = torch.tensor(labels)
    found, expected = (torch.tensor(logits).requires_grad_() for _ in range(2))
    loss = dice_cross_entropy(
        found,
        truth,
        torch.tensor(weights),
        dice_weight=dice_weight,
        cross_entropy_weight=cross_entropy_weight,
    )
    (0.3 * loss).backward()
    p, mask = expected.softmax(1), torch.nn.functional.one_hot(truth, classes).movedim(-1, 1)
    axes = tuple(range(2, expected.ndim))
    dice = (2 * (p * mask).sum(axes) + 1) / ((p + mask).sum(axes) + 1)
    by_formula = dice_weight * (1 - dice[:, 1:].mean())
    by_formula = by_formula + cross_entropy_weight * torch.nn.functional.cross_entropy(expected, truth)
    (0.3 * by_formula).backward()
    assert loss.item() == pytest.approx(by_formula.item(), rel=1e-9, abs=1e-12)
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_dice_cross_entropy_is_stored_like_the_logits(dtype):
    logits = torch.randn(2, 3, 4, 5, 6).to(dtype).contiguous(memory_format=torch.channels_last_3d)
    logits.requires_grad_()
    labels = torch.randint(3, (2, 4, 5, 6), dtype=torch.uint8).long()
    dice_cross_entropy(logits, labels, torch.ones(3)).backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.stride() == logits.stride()
    wide = logits.detach().double().requires_grad_()
    dice_cross_entropy(wide, labels, torch.ones(3)).backward()
    assert (logits.grad - wide.grad).abs().max() <= 2**-8 * wide.grad.abs().max()


@pytest.mark.parametrize("size", [(3, 4, 2), (5, 6)])
def test_dice_loss_is_monai_s(size):
    from monai.losses import DiceLoss

    logits, labels, weights = (torch.tensor(values) for values in random_case(6, size=size))
    reference = DiceLoss(
        include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0
    )
    expected = reference(logits, labels[:, None])
    assert dice_loss(logits, labels, weights).item() == pytest.approx(expected.item(), rel=1e-6)


@given(seed=st.integers(0, 10**6), images=st.integers(1, 6), classes=st.integers(2, 20))
@settings(max_examples=30)
def test_cross_entropy_of_images_is_the_mean_surprise(seed, images, classes):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 3, (images, classes)), rng.integers(0, classes, images)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(probabilities[np.arange(images), labels]).mean()
    weights = torch.tensor(rng.uniform(1, 9, classes))
    found = cross_entropy(torch.tensor(logits), torch.tensor(labels), weights)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_cross_entropy_of_voxels_is_torch_s():
    logits, labels, weights = (torch.tensor(values) for values in random_case(7, size=(4, 5)))
    expected = torch.nn.NLLLoss()(logits.log_softmax(1), labels)
    assert cross_entropy(logits, labels, weights).item() == pytest.approx(expected.item(), rel=1e-9)


def test_a_guess_costs_the_logarithm_of_the_number_of_classes():
    loss = cross_entropy(torch.zeros(8, 100), torch.arange(8), torch.ones(100))
    assert loss.item() == pytest.approx(np.log(100), rel=1e-6)


def test_auxiliary_heads_are_added_by_their_weight():
    generator = torch.Generator().manual_seed(0)
    heads = [torch.randn(5, 3, generator=generator) for _ in range(3)]
    labels = torch.tensor([0, 1, 2, 1, 0])
    loss = AuxiliaryLoss(torch.nn.functional.cross_entropy, 0.3)
    alone = [torch.nn.functional.cross_entropy(head, labels).item() for head in heads]
    assert loss(heads[0], labels).item() == alone[0]
    assert loss((heads[0],), labels).item() == alone[0]
    for outputs in (tuple(heads), heads):
        assert loss(outputs, labels).item() == pytest.approx(alone[0] + 0.3 * (alone[1] + alone[2]))
        assert main_output(outputs) is heads[0]
    assert main_output(heads[1]) is heads[1]
    assert loss((heads[0], None), labels).item() == alone[0], "a head that is switched off"


def test_label_weights_are_the_root_of_the_inverse_frequency():
    weights = label_weights([900, 90, 10])
    np.testing.assert_allclose(weights, np.sqrt([1000 / 900, 1000 / 90, 1000 / 10]), rtol=1e-6)
    assert torch.isfinite(label_weights([100, 0])).all()


@pytest.mark.parametrize("scale", [2.0**15, 2.0**16])
def test_a_gradient_of_float16_is_scaled_before_it_is_rounded(scale):
    """Most of it is too small for float16 before, and the scale that a GradScaler begins with is too large for it."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 32, 32, 32, generator=generator).half()
    labels = torch.randint(3, (4, 32, 32, 32), generator=generator)
    gradients = []
    for values, factor in ((logits, scale), (logits.double(), 1.0)):
        values.requires_grad_()
        (factor * dice_cross_entropy(values, labels, torch.ones(3))).backward()
        gradients.append(values.grad.double() / factor)
    found, exact = gradients
    assert found.isfinite().all()
    assert (found - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused_by_dice_cross_entropy(label):
    logits, labels, weights = (torch.tensor(values) for values in random_case(7))
    labels[0, 0, 0, 0] = label
    with pytest.raises(RuntimeError, match="out of bounds"):
        dice_cross_entropy(logits.requires_grad_(), labels, weights)


def test_a_class_may_be_excluded_by_a_logit_of_minus_infinity():
    """The loss and its gradient are those without the class, apart from its Dice, which is 1."""
    logits, labels, weights = (torch.tensor(values) for values in random_case(8))
    labels = labels.clamp_max(1)
    two = logits[:, :2].clone().requires_grad_()
    three = torch.cat([logits[:, :2], torch.full_like(logits[:, 2:], -torch.inf)], 1).requires_grad_()
    weighted = {"dice_weight": 0.0, "cross_entropy_weight": 1.0}
    losses = [dice_cross_entropy(values, labels, weights, **weighted) for values in (two, three)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(three.grad[:, :2], two.grad)
    assert (three.grad[:, 2] == 0).all()
