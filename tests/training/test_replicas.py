"""Trainings on several devices: real processes, gloo, and the training on one device to compare with."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import networks_of_replicas as networks
from netwright.nn.batch_norm_over_processes import normalising_over_processes
from netwright.nn.losses import AuxiliaryLoss
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.checkpoint import Checkpoints
from netwright.training.config import TrainingProtocol
from netwright.training.files import CURVES, WEIGHTS
from netwright.training.outcome import Outcome, Status
from netwright.training.replicas import _parts, replicated
from netwright.training.step import TrainingStep
from netwright.training.trial import evaluate_candidate
from processes import has_ended, wait_until

pytestmark = pytest.mark.cluster

CPU = torch.device("cpu")


def protocol_of(devices: int, **values: Any) -> TrainingProtocol:
    given = {"optimizer": "sgd", "learning_rate": 0.1, "mixed_precision": False, "device": "cpu", **values}
    return TrainingProtocol(devices=devices, batch_size=6, **given)


def region_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the batch as a whole: no mean over images."""
    p = logits.softmax(1)
    one_hot = nn.functional.one_hot(labels, 3).movedim(-1, 1).to(p.dtype)
    overlap, total = (p * one_hot).sum((0, 2, 3)), (p + one_hot).sum((0, 2, 3))
    cross_entropy = nn.functional.cross_entropy(logits, labels, torch.tensor([1.0, 2, 3]))
    return 1 - (2 * overlap / total).mean() + cross_entropy


def batch(images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(images)
    pictures = torch.randn(images, 3, 8, 8, generator=generator)
    return pictures, torch.randint(0, 3, (images, 8, 8), generator=generator)


def step_of(network: nn.Module, protocol: TrainingProtocol, replicas: Any) -> TrainingStep:
    step = TrainingStep(network, protocol, CPU, AuxiliaryLoss(region_loss, 0.3), 4, replicas)
    step.train_mode()
    return step


def gradients(network: nn.Module) -> dict[str, Tensor | None]:
    return {n: None if p.grad is None else p.grad.clone() for n, p in network.named_parameters()}


@pytest.mark.parametrize("devices", [2, 3])
def test_gradients_and_statistics_are_those_of_one_device(devices: int) -> None:
    torch.manual_seed(1)
    one = networks.Net()
    several = copy.deepcopy(one)
    alone = step_of(one, protocol_of(1), None)
    with replicated(several, networks.of_regions, None, protocol_of(devices), CPU, 0) as replicas:
        together = step_of(several, protocol_of(devices), replicas)
        for images in (6, 5, 1):  # equal parts, unequal ones, and fewer images than devices
            pictures, labels = batch(images)
            assert together(pictures, labels, 9) == pytest.approx(alone(pictures, labels, 9), abs=1e-6)
            expected, found = gradients(one), gradients(several)
            for name, gradient in expected.items():
                if gradient is None:
                    assert found[name] is None, name
                else:
                    torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=0)
            for (name, value), (_, other) in zip(one.named_buffers(), several.named_buffers(), strict=True):
                if images > 1:  # of one image the variance would be that of all copies
                    torch.testing.assert_close(other, value, atol=1e-5, rtol=0, msg=name)
    assert type(several.first[1]) is nn.BatchNorm2d, "the network itself is as it was"
    assert not replicas_of_this_process()


def test_every_image_has_a_device_and_every_device_an_image() -> None:
    for devices in (2, 3, 5):
        for images in range(1, 12):
            parts = _parts(images, devices)
            sizes = [part.stop - part.start for part in parts]
            assert len(parts) == devices
            assert min(sizes) >= 1
            assert max(sizes) - min(sizes) <= 1
            assert sum(sizes) == (images if images >= devices else images * devices)


class Pictures:
    """Ten pictures of three classes."""

    def __init__(self) -> None:
        self.pixels = np.random.default_rng(0).uniform(0, 1, (10, 3, 8, 8)).astype(np.float32)
        self.classes = np.arange(10) % 3

    def images(self, indices: Any) -> Any:
        return self.pixels[np.asarray(indices, dtype=np.intp)]

    def labels_of(self, indices: Any) -> Any:
        return self.classes[np.asarray(indices, dtype=np.intp)]


TASK = ClassificationTask(3, ("a", "b", "c"), (8, 8))


def evaluated(
    build: Callable[[Any], nn.Module],
    folder: Path,
    checkpoints: Checkpoints | None = None,
    stop_after: int | None = None,
    **values: Any,
) -> Outcome:
    """A training of seven pictures, in batches of six and one."""
    folder.mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "devices": 2,
        "epochs": 4,
        "loss": "cross_entropy",
        "augmentation": None,
        **values,
    }
    return evaluate_candidate(
        build,
        ImageProblem(Pictures(), TASK),
        range(7),
        range(7, 10),
        protocol_of(**given),
        seed=5,
        folder=folder,
        checkpoints=checkpoints,
        stop_after=stop_after,
    )


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / WEIGHTS)


def test_a_training_that_is_stopped_goes_on_with_the_same_result(tmp_path: Path) -> None:
    """With dropout, whose masks in the other processes are those of the step, too."""
    whole = evaluated(networks.drawing, tmp_path / "whole")
    assert whole.status is Status.COMPLETE, whole.reason
    path = tmp_path / "checkpoint"
    kept = Checkpoints(path, None, keep=True)
    stopped = evaluated(networks.drawing, tmp_path / "stopped", kept, stop_after=2)
    assert stopped.status is Status.COMPLETE
    resumed = evaluated(networks.drawing, tmp_path / "resumed", Checkpoints(path, None, resume_from=path))
    assert resumed.metrics == whole.metrics
    assert resumed.curves["train_loss"] == whole.curves["train_loss"]
    for name, value in weights(tmp_path / "whole").items():
        assert (weights(tmp_path / "resumed")[name] == value).all(), name


def test_a_whole_training_is_that_of_one_device(tmp_path: Path) -> None:
    """But for rounding, which grows from step to step; the weights are averaged, and their statistics computed anew."""
    given = {"averaging": 0.5, "optimizer": "adamw", "learning_rate": 1e-3}
    one = evaluated(networks.plain, tmp_path / "one", devices=1, **given)
    two = evaluated(networks.plain, tmp_path / "two", devices=2, **given)
    assert two.curves["train_loss"] == pytest.approx(one.curves["train_loss"], abs=1e-3)
    for name, value in weights(tmp_path / "one").items():
        np.testing.assert_allclose(weights(tmp_path / "two")[name], value, atol=5e-3)


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("killed", Status.CRASHED, "process 2 of 2 of the training was killed by signal 9"),
        ("raised", Status.CRASHED, "process 2 of 2 of the training: ValueError: a fault of the network"),
        ("memory", Status.OUT_OF_MEMORY, "process 2 of 2 of the training: MemoryError: no more of it"),
    ],
)
def test_a_process_that_ends_ends_the_candidate_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, status: Status, reason: str
) -> None:
    monkeypatch.setenv(networks.ENDS, how)
    outcome = evaluated(networks.ending, tmp_path / "run")
    assert outcome.status is status
    assert reason in outcome.reason
    assert not replicas_of_this_process()
    assert not torch.distributed.is_initialized()


def test_a_network_that_another_process_cannot_make_is_a_crash_that_says_so(tmp_path: Path) -> None:
    outcome = evaluated(networks.failing, tmp_path / "run")
    assert outcome.status is Status.CRASHED
    assert "process 2 of 2 of the training: ValueError: it cannot be made here" in outcome.reason
    assert not replicas_of_this_process()


def test_no_process_outlives_a_killed_training(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    training = context.Process(
        target=evaluated, args=(networks.drawing, tmp_path / "run"), kwargs={"epochs": 10**6}
    )
    training.start()
    curves = tmp_path / "run" / CURVES
    wait_until(lambda: curves.exists() and "train_loss" in curves.read_text())
    others = replicas_of(psutil.Process(training.pid))
    assert len(others) == 1
    training.kill()
    training.join()
    for other in others:
        wait_until(lambda pid=other.pid: has_ended(pid))


def replicas_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes that it started for its other devices."""
    return [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]


_EARLIER: set[psutil.Process] = set()
"""The children of this process before a test, such as workers that tests share."""


@pytest.fixture(autouse=True)
def earlier_children() -> None:
    _EARLIER.clear()
    _EARLIER.update(psutil.Process().children())


def replicas_of_this_process() -> list[psutil.Process]:
    return [process for process in replicas_of(psutil.Process()) if process not in _EARLIER]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalisation_keeps_what_it_replaces_and_is_the_same_in_evaluation(dtype: torch.dtype) -> None:
    layer = nn.BatchNorm3d(4).to(dtype)
    nn.init.normal_(layer.weight)
    layer.running_mean.normal_()
    replaced = normalising_over_processes(layer).eval()
    images = torch.randn(2, 4, 3, 3, 3, dtype=dtype)
    assert torch.equal(replaced(images), layer.eval()(images))
    assert replaced.state_dict().keys() == layer.state_dict().keys()
    assert replaced.weight is layer.weight
    assert replaced.running_var is layer.running_var
