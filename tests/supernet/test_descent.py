"""The step on the shared weights, and the whole of Algorithm 1, against the same written out plainly."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.errors import MemoryShortage
from netwright.nn.steps import Steps
from netwright.strategies.natural_gradient import uniform
from netwright.supernet.descent import UNFIT_STEPS, Descent
from netwright.supernet.search import SharedSearch, halves
from netwright.supernet.settings import SupernetSettings
from netwright.supernet.snapshots import read_snapshots
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.device import threads
from netwright.training.seeding import derive_seed
from tiny_supernet import Pictures, TinySupernet, parts

CHOICES = ({"filter": "keep", "head": "mean"}, {"filter": "keep", "head": "dense"})
CROSS_ENTROPY = nn.CrossEntropyLoss()


def made(supernet: TinySupernet, **settings: float) -> Descent:
    return Descent(supernet.train(), SupernetSettings(**settings), CROSS_ENTROPY, None)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 1, 8, 8, generator=generator), torch.tensor([0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize("longest", [0.01, 100.0])
def test_a_step_follows_the_mean_gradient_cut_to_its_length(longest: float) -> None:
    supernet = TinySupernet(2, 8)
    plain = copy.deepcopy(supernet).train()
    images, labels = batch()
    descent = made(supernet, learning_rate=0.2, weight_decay=0.1, gradient_norm=longest)
    networks: list[Steps | None] = [supernet.steps(choice) for choice in CHOICES]
    losses = descent.step(networks, images, labels, progress=0.25)

    separate = [CROSS_ENTROPY(plain(images, choice), labels) for choice in CHOICES]
    assert losses == pytest.approx([loss.item() for loss in separate], rel=1e-6)
    (sum(separate) / 2).backward()
    used = {name: weight for name, weight in plain.named_parameters() if weight.grad is not None}
    norm = math.sqrt(sum(float((weight.grad**2).sum()) for weight in used.values()))
    share = min(1.0, longest / norm)
    assert (share < 1) == (longest < 1)
    rate = 0.2 * 0.5 * (1 + math.cos(math.pi * 0.25))
    after = dict(supernet.named_parameters())
    for name, weight in used.items():
        expected = weight.detach() - rate * (weight.grad * share + 0.1 * weight.detach())
        torch.testing.assert_close(after[name].detach(), expected, rtol=1e-4, atol=1e-6)


def test_weights_that_a_step_leaves_alone_stand_still_with_their_momentum() -> None:
    supernet = TinySupernet(2, 8)
    descent = made(supernet, weight_decay=0.1)
    images, labels = batch()
    descent.step([supernet.steps(CHOICES[0])], images, labels, progress=0.0)
    before = {name: value.clone() for name, value in descent.tensors().items()}
    blank = {"filter": "blank", "head": "dense"}
    descent.step([supernet.steps(blank)], images, labels, progress=0.0)
    after = descent.tensors()
    for name in ("weights.operations.keep.weight", "momentum.operations.keep.weight"):
        assert torch.equal(before[name], after[name])
    assert "momentum.operations.dense.1.weight" not in before
    assert not torch.equal(
        before["weights.operations.dense.1.weight"], after["weights.operations.dense.1.weight"]
    )


def test_a_search_that_fits_nowhere_ends_with_advice() -> None:
    class Huge(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    supernet = TinySupernet(2, 8)
    supernet.operations["stem"] = Huge()
    descent = made(supernet)
    images, labels = batch()
    for _ in range(UNFIT_STEPS - 1):
        assert descent.step([supernet.steps(CHOICES[0])], images, labels, progress=0.0) == []
    with pytest.raises(MemoryShortage, match=r"a smaller supernet\.batch_size"):
        descent.step([supernet.steps(CHOICES[0])], images, labels, progress=0.0)


@pytest.mark.parametrize("thread_count", [1, 2])
def test_what_did_not_fit_is_gone_when_networks_are_tried_one_by_one(thread_count: int) -> None:
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made: list[weakref.ref[torch.Tensor]] = []
            self.alive: list[int] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.alive.append(sum(made() is not None for made in self.made))
            twice = 2 * images
            self.made.append(weakref.ref(twice))
            if len(self.made) in (1, 4):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return twice

    supernet = TinySupernet(2, 8)
    large = Large()
    supernet.operations["mean"] = nn.Sequential(large, supernet.operations["mean"])
    descent = made(supernet)
    networks: list[Steps | None] = [supernet.steps(choice) for choice in CHOICES]
    with threads(thread_count):
        assert len(descent.step(networks, *batch(), progress=0.0)) == 2
        assert all(map(math.isfinite, descent.losses(networks, *batch())))
    # Both halves of the step failed as a pair, and found nothing of it when they came again.
    assert large.alive[1] == large.alive[-1] == 0


def test_batches_with_one_value_a_channel_are_passed_over() -> None:
    supernet = TinySupernet(2, 8)
    supernet.operations["mean"] = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), supernet.operations["mean"]
    )
    descent = made(supernet)
    networks: list[Steps | None] = [supernet.steps(choice) for choice in CHOICES]
    images, labels = batch()
    one = images[:1], labels[:1]
    assert len(descent.step(networks, *one, progress=0.0)) == 1
    assert networks[0] is None
    networks = [supernet.steps(choice) for choice in CHOICES]
    losses = descent.losses(networks, *one)
    assert losses[0] == math.inf
    assert math.isfinite(losses[1])
    for _ in range(UNFIT_STEPS - 1):
        assert descent.step([supernet.steps(CHOICES[0])], *one, progress=0.0) == []
    with pytest.raises(MemoryShortage, match=r"more than 1 value per channel.*a larger supernet\.batch_size"):
        descent.step([supernet.steps(CHOICES[0])], *one, progress=0.0)


class Told(Pictures):
    """Pictures that write down which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[int]] = []

    def images(self, indices: Sequence[int]) -> NDArray[np.float32]:
        self.asked.append(list(indices))
        return super().images(indices)


def test_the_search_is_algorithm_1(tmp_path: Path) -> None:
    """A step of the weights on one half; then, with the weights as they are now, the pair's losses on the other."""
    steps, seed = 12, 5
    settings = {"steps": steps, "snapshots": steps, "learning_rate": 0.3, "epochs": 1}
    pictures = Told()
    supernet = TinySupernet(2, 8)
    supernet.operations["noise"] = nn.Tanh()  # what is drawn by chance depends on the order of operations
    given = parts(supernet, augmentation=False, **settings)
    problem = ImageProblem(pictures, ClassificationTask(1, ("low", "high"), (8, 8)))
    object.__setattr__(given, "problem", problem)
    plain = copy.deepcopy(given.supernet).train()
    SharedSearch(given, seed=seed, folder=tmp_path).run()

    first, second = halves(range(64), seed)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.3, momentum=0.9, weight_decay=3e-4)
    theta = uniform([3, 2])
    names = {"filter": ("keep", "blank", "noise"), "head": ("mean", "dense")}
    found = read_snapshots(tmp_path)
    for step, (for_weights, for_theta) in enumerate(
        zip(pictures.asked[::2], pictures.asked[1::2], strict=True)
    ):
        assert set(for_weights) <= set(first)
        assert set(for_theta) <= set(second)
        rng = np.random.default_rng(derive_seed(seed, "sample", step))
        levels = [theta.sample(rng) for _ in range(2)]
        pair = [
            {name: values[level] for (name, values), level in zip(names.items(), sample, strict=True)}
            for sample in levels
        ]
        torch.manual_seed(derive_seed(seed, "step", step))
        images, labels = _tensors(pictures, for_weights)
        for group in optimizer.param_groups:
            group["lr"] = 0.3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        losses = [CROSS_ENTROPY(plain(images, choice), labels) for choice in pair]
        (sum(losses) / 2).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
        optimizer.step()
        images, labels = _tensors(pictures, for_theta)
        with torch.no_grad():
            theta_losses = np.array([CROSS_ENTROPY(plain(images, choice), labels).item() for choice in pair])
        assert found[step + 1].loss == pytest.approx(sum(loss.item() for loss in losses) / 2, rel=1e-4)
        assert found[step + 1].theta_loss == pytest.approx(theta_losses.mean(), rel=1e-4)
        theta = theta.updated(np.array(levels), theta_losses)
        np.testing.assert_allclose(np.concatenate(found[step + 1].probabilities), theta.theta, atol=1e-6)
    assert step == steps - 1


def _tensors(pictures: Told, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    images = Pictures.images(pictures, indices)
    return torch.from_numpy(images), torch.from_numpy(pictures.labels_of(indices))
