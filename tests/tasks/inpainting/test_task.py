"""Inpainting: what the task says of itself, its loss, and its metrics against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from netwright.errors import SettingsError
from netwright.nn.losses import LOSSES, mean_squared_error
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.metrics import image_quality
from netwright.tasks.inpainting.metrics.psnr import MOST_PSNR
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from netwright.training.losses import loss_of

TASKS = (
    InpaintingTask(3, (16, 12)),
    ClassificationTask(3, ("cat", "dog"), (16, 12)),
    SegmentationTask(3, ("cat",), (16, 12)),
)


def images(count, channels, size, noise, seed=0):
    """True images, smooth in places, and noisy ones within 0 and 1."""
    rng = np.random.default_rng(seed)
    truth = np.clip(np.cumsum(rng.normal(0, 0.05, (count, channels, *size)), -1) + 0.5, 0, 1)
    found = np.clip(truth + rng.normal(0, noise, truth.shape), 0, 1)
    return torch.from_numpy(found.astype(np.float32)), torch.from_numpy(truth.astype(np.float32))


def test_the_task_says_what_a_network_gives():
    task = TASKS[0]
    assert (task.classes, task.label_size, task.metric) == (3, (3, 16, 12), "psnr")
    assert task.metric_names[0] == task.metric
    for wrong in ((0, (16, 16)), (1, (16,)), (1, (10, 64)), (1, (16, 16, 16))):
        with pytest.raises(SettingsError, match="11 x 11 pixels"):
            InpaintingTask(*wrong)


def test_every_loss_is_for_some_task_and_refused_by_the_others():
    assert {name for task in TASKS for name in task.losses} == set(LOSSES)
    for task in TASKS:
        for name in LOSSES:
            protocol = TrainingProtocol(loss=name)
            if name in task.losses:
                loss_of(protocol, task, torch.ones(task.classes))
                continue
            with pytest.raises(
                SettingsError, match=f"'{name}'.*{task.metric}.*training.loss={task.losses[0]}"
            ):
                loss_of(protocol, task, torch.ones(task.classes))


def test_the_loss_is_the_mean_of_squares_in_float32():
    found, truth = images(4, 3, (16, 12), 0.1)
    expected = np.mean((found.double().numpy() - truth.double().numpy()) ** 2)
    assert mean_squared_error(found, truth, torch.ones(3)).item() == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = mean_squared_error(found.bfloat16(), truth, torch.ones(3))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(
        np.mean((found.bfloat16().double() - truth.double()).numpy() ** 2), rel=1e-5
    )


@pytest.mark.parametrize(("channels", "size"), [(1, (11, 11)), (1, (64, 64)), (3, (17, 30))])
@pytest.mark.parametrize("noise", [0.001, 0.05, 0.5])
def test_metrics_are_those_of_scikit_image(channels, size, noise):
    found, truth = images(3, channels, size, noise)
    for (psnr, ssim), one, other in zip(
        image_quality(found, truth), found.double().numpy(), truth.double().numpy(), strict=True
    ):
        assert psnr == pytest.approx(peak_signal_noise_ratio(other, one, data_range=1), abs=1e-3)
        # A Gaussian of 1.5 cut off at 3.5 standard deviations is a window of 11, divided by 121 and not by 120.
        reference = structural_similarity(
            other,
            one,
            data_range=1,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim == pytest.approx(reference, abs=2e-4)


def test_the_metrics_of_a_constant_error_are_known():
    truth = torch.full((2, 3, 16, 16), 0.5)
    found = truth + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    psnr, ssim = image_quality(found, truth).T
    np.testing.assert_allclose(psnr, [20, 40], atol=1e-3)
    c1 = 0.01**2
    expected = [(2 * 0.5 * (0.5 + e) + c1) / (0.25 + (0.5 + e) ** 2 + c1) for e in (0.1, 0.01)]
    np.testing.assert_allclose(ssim, expected, atol=1e-3)


def test_a_perfect_image_has_the_largest_psnr_that_counts():
    _, truth = images(2, 3, (16, 16), 0)
    quality = image_quality(truth, truth)
    np.testing.assert_allclose(quality, [[MOST_PSNR, 1]] * 2, atol=1e-6)
    rounded = (truth * 255).round() / 255
    assert 55 < image_quality(rounded, truth)[0, 0] < MOST_PSNR
