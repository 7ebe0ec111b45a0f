"""The dry run against closed forms and against the memory of real training steps."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.execution.local import MEMORY_SETTINGS
from netwright.nn.losses import dice_cross_entropy
from netwright.spaces import SPACES
from netwright.spaces.references import REFERENCES
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from netwright.training.cost import dry_run, fits
from netwright.training.memory import HEAP_LIMIT, heap_bytes, measured_memory
from netwright.training.outcome import Cost
from netwright.training.trial import predicted_cost
from processes import run

# Trains in a process of its own, as what a process did before changes what it takes.
TRAINING = Path(__file__).with_name("memory_of_training.py")
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures through Linux's /proc"
)


@dataclass(frozen=True)
class Shape:
    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (32, 32, 32)


def dry(build: Callable[[Shape], nn.Module], task: Shape, batch_size: int, **settings: Any) -> Cost:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return dice_cross_entropy(logits, labels, torch.ones(task.classes))

    return dry_run(build, task, batch_size, loss=loss, **settings)


def build_segnas4(task: Shape, **choice: int) -> nn.Module:
    space = SPACES["segnas4"](n=(1, 65), p=(1, 7))
    return space.build({"n": 8, "p": 2, "sup": 1, "res": 1, **choice}, task)


def test_counts_parameters_and_flops_in_closed_form() -> None:
    def build(task: Shape) -> nn.Module:
        return nn.Sequential(
            nn.Conv3d(task.channels, 8, 3, padding=1, bias=False),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(8, 6, 5, padding=4, dilation=2, bias=False),
            nn.ConvTranspose3d(6, task.classes, 2, stride=2, bias=False),
        )

    task = Shape(2, 3, (8, 10, 12))
    cost = dry(build, task, 2)
    weights = [2 * 8 * 27, 8 * 6 * 125, 6 * 3 * 8]
    assert cost.parameters == sum(weights) + 2 * 8
    assert cost.size_mb == pytest.approx(4e-6 * cost.parameters)
    voxels = 8 * 10 * 12
    # A transposed convolution multiplies once for each weight and voxel of its input.
    assert cost.flops == 2 * (weights[0] * voxels + (weights[1] + weights[2]) * voxels // 8)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_flops_are_of_one_image(batch_size: int) -> None:
    costs = [dry(build_segnas4, Shape(), size) for size in (2, batch_size)]
    assert costs[0].flops == costs[1].flops


def test_memory_grows_with_everything_that_takes_it() -> None:
    @cache
    def predicted(batch_size: int = 2, task: Shape | None = None, **choice: int) -> float:
        cost = dry(lambda shape: build_segnas4(shape, **choice), task or Shape(), batch_size)
        assert cost.predicted_memory_mb is not None
        return cost.predicted_memory_mb

    by_width = [predicted(n=4), predicted(), *(predicted(n=n) for n in (12, 16, 24, 32))]
    assert by_width == sorted(set(by_width))
    assert predicted(batch_size=4) > 1.7 * predicted(batch_size=2)
    assert predicted(task=Shape(size=(64, 32, 32))) > 1.7 * predicted()
    assert predicted(res=0) < predicted()


def test_mixed_precision_halves_the_activations() -> None:
    full, mixed = (dry(build_segnas4, Shape(), 3, mixed_precision=on) for on in (False, True))
    assert full.predicted_memory_mb is not None
    assert mixed.predicted_memory_mb is not None
    assert 0.45 < mixed.predicted_memory_mb / full.predicted_memory_mb < 0.75


def test_optimizer_and_weights_alone_where_there_is_nothing_else() -> None:
    """Wide layers on a single voxel: weights, gradients, two states, and a copy for the update of all at once."""

    def build(task: Shape) -> nn.Module:
        return nn.Sequential(*(nn.Conv3d(1000, 1000, 1, bias=False) for _ in range(4)))

    cost = dry(build, Shape(1000, 1000, (1, 1, 1)), 1, device="cuda")
    assert cost.predicted_memory_mb == pytest.approx(4e-6 * 5 * 4 * 1000**2, rel=0.02)


@pytest.mark.parametrize(
    ("optimizer", "copies"), [("nadam", 1), ("adam", 1), ("adamw", 0), ("schedule_free", 0), ("sgd", 0)]
)
def test_weight_decay_takes_another_copy_where_the_update_has_one_already(
    optimizer: str, copies: int
) -> None:
    def build(task: SegmentationTask) -> nn.Module:
        return nn.Sequential(*(nn.Conv3d(1000, 1000, 1, bias=False) for _ in range(4)))

    task = SegmentationTask(1000, tuple(f"label {label}" for label in range(1, 1000)), (1, 1, 1))
    protocol = TrainingProtocol(optimizer=optimizer, batch_size=1, device="cpu")  # type: ignore[arg-type]
    plain, decaying = (predicted_cost(build, task, replace(protocol, weight_decay=w)) for w in (0.0, 1e-4))
    assert plain.predicted_memory_mb is not None
    assert decaying.predicted_memory_mb is not None
    more = decaying.predicted_memory_mb - plain.predicted_memory_mb
    assert more == pytest.approx(copies * 1e-6 * heap_bytes(4 * 4 * 1000**2), abs=0.1)


def test_predicts_what_no_machine_could_hold_without_allocating_it() -> None:
    space = SPACES["segnas11"]()
    choice = {"n": 32, "p": 5, "sup": 1, "res": 1, "nodes": 4}
    choice |= {"op1": 3, "op2": 5, "op3": 2, "op4": 3, "op5": 4, "op6": 5}
    task = Shape(4, 20, (256, 256, 256))
    dry(build_segnas4, Shape(), 1)
    state = torch.get_rng_state()
    started = time.process_time()
    with measured_memory() as memory:
        cost = dry(lambda shape: space.build(choice, shape), task, 3)
    assert time.process_time() - started < 5
    assert cost.predicted_memory_mb is not None
    assert cost.predicted_memory_mb > 100_000
    assert memory.peak_mb is None or memory.peak_mb < 100
    assert torch.equal(torch.get_rng_state(), state), "A dry run must not draw from the generator."


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [(name, dimensions) for name, reference in REFERENCES.items() for dimensions in reference.dimensions],
)
def test_reference_networks_can_be_dry_run(name: str, dimensions: int) -> None:
    reference, size = REFERENCES[name], (32,) * dimensions
    task = (
        SegmentationTask(1, ("a", "b"), size) if reference.dense else ClassificationTask(1, ("a", "b"), size)
    )
    network = reference.build(task)
    cost = predicted_cost(reference.build, task, TrainingProtocol(loss="cross_entropy", batch_size=2))
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.flops is not None
    assert cost.flops > 1e7


def test_infeasible_choices_are_raised() -> None:
    with pytest.raises(InfeasibleArchitecture, match="6 max poolings"):
        dry(lambda task: build_segnas4(task, p=6), Shape(), 2)


def test_fits() -> None:
    assert fits(Cost(predicted_memory_mb=100.0), 100.0)
    assert not fits(Cost(predicted_memory_mb=100.1), 100.0)
    assert fits(Cost(predicted_memory_mb=1e9), None)
    assert fits(Cost(), 1.0)


@linux
def test_measures_the_peak_of_a_known_array() -> None:
    with measured_memory() as memory:
        np.ones(10_000_000).sum()
    assert memory.peak_mb == pytest.approx(80, abs=8)
    with measured_memory() as memory:
        pass
    assert memory.peak_mb is not None
    assert memory.peak_mb < 8


def test_measurement_survives_an_error_in_the_block() -> None:
    with pytest.raises(ZeroDivisionError), measured_memory() as memory:
        1 / 0  # noqa: B018
    assert memory.peak_mb is None or memory.peak_mb < 8


@linux
def test_pages_of_a_mapped_file_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "volumes.npy"
    np.save(path, np.ones(10_000_000))
    with measured_memory() as memory:
        volumes = np.load(path, mmap_mode="r")
        assert volumes.sum() == 10_000_000
    assert memory.peak_mb is not None
    assert memory.peak_mb < 8


def test_heap_limit_is_that_of_the_workers() -> None:
    assert int(MEMORY_SETTINGS["MALLOC_MMAP_THRESHOLD_"]) == HEAP_LIMIT


FULL = {"mixed_precision": False}
CASES: list[dict[str, Any]] = [
    {"choice": {"n": 8, "p": 2, "sup": 0, "res": 0}},
    {
        "layerwise": "vgg16",
        "size": [32, 32],
        "classes": 10,
        "classify": True,
        "protocol": {"loss": "cross_entropy", "optimizer": "sgd", "batch_size": 12},
    },
]
LARGER_CASES: list[dict[str, Any]] = [
    {"layerwise": "unet", "size": [32, 48], "protocol": {"loss": "dice", "optimizer": "adam"}},
    {"choice": {"n": 12, "p": 3, "sup": 1, "res": 1}, "classes": 12},
    {"choice": {"n": 8, "p": 3, "sup": 1, "res": 1}, "size": [40, 56, 40], "protocol": FULL},
    {"choice": {"n": 16, "p": 3, "sup": 1, "res": 1}},
    {"choice": {"n": 16, "p": 3, "sup": 1, "res": 1}, "protocol": FULL},
    {"choice": {"n": 32, "p": 3, "sup": 1, "res": 1}, "protocol": {"batch_size": 1}},
    {"reference": "monai-unet", "size": [64, 48, 48]},
]


@linux
@pytest.mark.parametrize(
    "cases", [CASES, pytest.param(CASES + LARGER_CASES, marks=pytest.mark.slow)], ids=["small", "all"]
)
def test_predicted_memory_is_near_the_measured(cases: list[dict[str, Any]]) -> None:
    """Training steps one network after the other, as in a worker, whose heap differs from time to time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **MEMORY_SETTINGS}
    done = run([sys.executable, TRAINING, json.dumps(cases)], seconds=300, env=environment)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    ratios = [round(result["predicted_mb"] / result["measured_mb"], 2) for result in results]
    assert len(ratios) == len(cases)
    assert all(0.75 < ratio < 1.4 for ratio in ratios), list(zip(cases, ratios, strict=True))
