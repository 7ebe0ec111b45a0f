"""Inpainting: masked batches, scores of restored pictures, a training that restores."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.images.inpainting_masks import fixed_masks
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.loading.augmentation import AugmentationSettings
from netwright.errors import SettingsError
from netwright.tasks.inpainting.problem import InpaintingProblem
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.training.config import TrainingProtocol
from netwright.training.cost import dry_run
from netwright.training.inference_time import inference_ms
from netwright.training.outcome import Status
from netwright.training.trial import evaluate_candidate, predicted_cost

CPU = torch.device("cpu")
PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None, "loss": "mse"}
TASK = InpaintingTask(3, (12, 14))


class Pictures:
    """Pictures of one colour each, which what is left of them tells."""

    def __init__(self, count=40):
        rng = np.random.default_rng(0)
        colours = rng.uniform(0.2, 0.9, (count, 3, 1, 1)).astype(np.float32)
        self.pixels = np.broadcast_to(colours, (count, 3, 12, 14)).copy()

    def images(self, indices):
        return self.pixels[np.asarray(indices, dtype=np.intp)]

    def labels_of(self, indices):
        return np.zeros(len(indices), np.int64)


@pytest.fixture
def pictures():
    return Pictures()


def problem_with(pictures, mask="half"):
    return InpaintingProblem(pictures, TASK, MaskSettings(mask))


def restorer(task):
    """As wide as half a picture, so that every pixel has a known one in sight."""
    return nn.Sequential(
        nn.Conv2d(task.channels, 8, 13, padding=6), nn.ReLU(), nn.Conv2d(8, task.classes, 3, padding=1)
    )


def batches(problem, seed=0, **settings):
    protocol = TrainingProtocol(batch_size=8, **{**PLAIN, **settings})
    return list(problem.batches(range(20), protocol, CPU, seed))


@pytest.mark.parametrize("mask", ["center", "pixel", "half"])
def test_a_batch_is_whole_pictures_and_the_same_under_one_mask(pictures, mask):
    problem = problem_with(pictures, mask)
    found = batches(problem)
    assert [len(whole) for _, whole in found] == [8, 8, 4]
    colours = {tuple(colour) for colour in pictures.pixels[:20, :, 0, 0].tolist()}
    assert {tuple(c) for _, whole in found for c in whole[:, :, 0, 0].tolist()} == colours
    for images, whole in found:
        missing = (images == 0).all(dim=(0, 1))
        assert 0.2 < missing.float().mean() < 0.85
        assert torch.equal(images, whole * ~missing)
    masks = {
        tuple((images == 0).all(dim=(0, 1)).flatten().tolist()) for images, _ in batches(problem) + found
    }
    again, other = batches(problem), batches(problem, seed=1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(found, again, strict=True))
    assert any(not torch.equal(a[0], b[0]) for a, b in zip(found, other, strict=True))
    assert (len(masks) == 1) == (mask == "center")


def test_masks_differ_from_epoch_to_epoch(pictures):
    epochs = problem_with(pictures, "pixel").batches(
        range(8), TrainingProtocol(batch_size=8, **PLAIN), CPU, 0
    )
    first, second = ((images == 0).all(dim=(0, 1)) for _ in range(2) for images, _ in epochs)
    assert not torch.equal(first, second)


def test_truth_is_flipped_as_the_input_is(pictures):
    pictures.pixels[..., 0] = 1
    ((images, whole), *_) = batches(
        problem_with(pictures, "center"), augmentation=AugmentationSettings(probability=0, flip=1)
    )
    assert (whole[..., -1] == 1).all()
    assert (images[..., -1] == 1).all()
    assert (whole[..., 0] < 1).all()


def test_scores_are_those_of_each_picture_under_its_own_mask(pictures):
    """The identity leaves what is missing black, so that the error is the colour itself."""
    problem = problem_with(pictures, "half")
    cases = [5, 2, 9, 31, 30]
    protocol = TrainingProtocol(batch_size=2, **PLAIN)
    scores = problem.scores(nn.Identity(), cases, protocol, CPU)
    assert scores.shape == (5, 2)
    errors = (pictures.pixels[cases].astype(np.float64) ** 2).mean((1, 2, 3)) / 2
    np.testing.assert_allclose(scores[:, 0], -10 * np.log10(errors), atol=1e-4)
    assert (scores[:, 1] < 0.9).all()
    assert problem.metrics(scores) == pytest.approx(
        {"psnr": scores[:, 0].mean(), "ssim": scores[:, 1].mean()}
    )
    np.testing.assert_array_equal(scores[3:], problem.scores(nn.Identity(), cases[3:], protocol, CPU))
    assert problem.validation_batches(cases, protocol) == 3


class Seen(nn.Module):
    """Remembers what it is shown, and gives more than white."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, images):
        self.shown.append(images.clone())
        return torch.full_like(images, 7.0)


def test_networks_see_masked_pictures_alone_and_are_cut_off(pictures):
    network = Seen()
    protocol = TrainingProtocol(batch_size=4, **PLAIN)
    scores = problem_with(pictures, "pixel").scores(network, range(6), protocol, CPU)
    masks = fixed_masks(MaskSettings("pixel"), (12, 14), range(6)).numpy()
    np.testing.assert_array_equal(torch.cat(network.shown).numpy(), np.where(masks, 0, pictures.pixels[:6]))
    errors = ((1 - pictures.pixels[:6].astype(np.float64)) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(scores[:, 0], -10 * np.log10(errors), atol=1e-4)


def test_an_output_that_is_not_finite_is_told(pictures):
    class Broken(nn.Module):
        def forward(self, images):
            return images / 0

    with pytest.raises(FloatingPointError):
        problem_with(pictures).scores(Broken(), range(3), TrainingProtocol(**PLAIN), CPU)


def test_a_candidate_learns_to_restore(pictures, tmp_path):
    protocol = TrainingProtocol(
        optimizer="adam", learning_rate=3e-3, epochs=25, batch_size=8, device="cpu", **PLAIN
    )
    problem = problem_with(pictures, "pixel")
    outcome = evaluate_candidate(
        restorer, problem, range(30), range(30, 40), protocol, seed=0, folder=tmp_path
    )
    assert outcome.status is Status.COMPLETE, outcome.reason
    assert set(outcome.metrics) == {"psnr", "ssim"}
    untouched = problem.scores(nn.Identity(), range(30, 40), protocol, CPU)
    assert outcome.metrics["psnr"] > untouched[:, 0].mean() + 5
    assert outcome.curves["train_loss"][-1] < outcome.curves["train_loss"][0] / 4
    assert outcome.cost.parameters == sum(weight.numel() for weight in restorer(TASK).parameters())


def test_costs_are_those_of_real_pictures_as_labels(pictures):
    seen = []

    def loss(outputs, labels):
        seen.append((tuple(labels.shape), labels.dtype))
        return nn.functional.mse_loss(outputs, labels)

    dry_run(restorer, TASK, 5, loss=loss, label_size=TASK.label_size, label_type=torch.float32)
    assert seen == [((5, 3, 12, 14), torch.float32)]
    protocol = TrainingProtocol(batch_size=64, device="cpu", **PLAIN)
    cost = predicted_cost(restorer, TASK, protocol)
    assert cost.parameters == sum(weight.numel() for weight in restorer(TASK).parameters())
    assert cost.predicted_memory_mb > 3 * 4 * 64 * 3 * 12 * 14 / 1e6, "images, labels and output"
    assert inference_ms(restorer(TASK), TASK, protocol, CPU) > 0


def test_losses_of_other_tasks_are_refused(pictures):
    protocol = TrainingProtocol(**{**PLAIN, "loss": "dice"})
    with pytest.raises(SettingsError, match=r"training\.loss=mse"):
        problem_with(pictures).loss(range(3), protocol, CPU)
    with pytest.raises(SettingsError, match=r"training\.loss=mse"):
        predicted_cost(restorer, TASK, protocol)
