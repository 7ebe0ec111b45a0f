"""Made-up reports of agents that fitted a network, for tests and to look at.

``python tests/made_up_marl_report.py FOLDER`` writes pages for a search, for agents and for images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from made_up_report import MadeUpReport, make_content, make_contestants, make_trials, render_report
from netwright.report.draw.layers import LayerChoices
from netwright.report.results import Contestant, TrialRow
from netwright.strategies.pictures import AgentTable
from netwright.strategies.q_learning.report import action_text
from netwright.tasks.classification.report import ConfusionMatrix, ImageExample

LAYERS = tuple(
    f"{part}.{level}.conv{i}" for part in ("encoder", "decoder") for level in range(5) for i in (1, 2)
)
KERNELS, SIZES, STRIDES = (16, 32, 64, 128, 256, 512, 1024), (3, 5, 7), (1, 2)


def make_layer_choices(trials: int = 300, layers: tuple[str, ...] = LAYERS) -> LayerChoices:
    """Choices at random at first, then more and more often the same."""
    generator = np.random.default_rng(5)
    values = {}
    for name, options in (("kernels", KERNELS), ("kernel size", SIZES), ("stride", STRIDES)):
        drawn = generator.choice(options, size=(len(layers), trials)).astype(np.float64)
        settled = generator.choice(options, size=len(layers)).astype(np.float64)
        keep = generator.random((len(layers), trials)) < np.clip(
            np.arange(trials) / trials * 1.4 - 0.4, 0, 0.97
        )
        drawn[keep] = np.broadcast_to(settled[:, None], drawn.shape)[keep]
        values[name] = drawn
    values["stride"][::3] = np.nan
    return LayerChoices(layers, tuple(range(trials)), values)


def make_agent_tables(count: int = 19, actions: int = 42) -> tuple[AgentTable, ...]:
    """Tables of neighbouring layers with a slope, noise, and cells that nobody visited."""
    generator = np.random.default_rng(6)
    options = [
        action_text({"kernels": k, "kernel_size": s, "stride": t})
        for k in KERNELS
        for s in SIZES
        for t in STRIDES
    ]
    tables = []
    for i in range(count):
        slope = np.linspace(0, generator.uniform(0, 2), actions)
        values = (
            slope[:, None]
            + slope[None] * generator.uniform(-1, 1)
            + generator.normal(0, 0.2, (actions, actions))
        )
        values[generator.random((actions, actions)) < 0.4] = np.nan
        row, column = LAYERS[i % len(LAYERS)], LAYERS[(i + 1) % len(LAYERS)]
        names = tuple(options[:actions])
        tables.append(AgentTable(row, column, names, names, values, (i % actions, 2 * i % actions)))
    return tuple(tables)


def make_phased_trials(count: int = 300) -> tuple[TrialRow, ...]:
    """The first two thirds explore; then the rewards rise."""
    rows = []
    for trial in make_trials(count, seed=8):
        phase = "exploration" if trial.number < 2 * count // 3 else "exploitation"
        gain = 0 if phase == "exploration" else 12 * (trial.number - 2 * count / 3) / count
        reward = None if trial.reward is None else 40 * (trial.reward - 0.6) + gain
        rows.append(replace(trial, phase=phase, reward=reward, cached_from=None))
    return tuple(rows)


def make_roles(contestants: Sequence[Contestant]) -> tuple[Contestant, ...]:
    """The searched network, random search and the original, with what a batch costs them."""
    costs = {"searched": ("searched", 1.6, 41.0, 12.0), "random": ("random search", 2.9, 66.0, 21.0)}
    costs["unet3d"] = ("original", 31.0, 140.0, 38.0)
    made = []
    for contestant in contestants:
        if contestant.name in costs:
            role, size, training, inference = costs[contestant.name]
            made.append(
                replace(
                    contestant,
                    role=role,
                    size_mb=size,
                    training_batch_ms=training,
                    inference_batch_ms=inference,
                )
            )
    return tuple(made)


def make_marl_content() -> MadeUpReport:
    """The report of agents that fitted a U-Net: phases, tables, choices and costs."""
    trials = make_phased_trials()
    best = max((t for t in trials if t.reward is not None), key=lambda t: t.reward or 0.0)
    return replace(
        make_content(),
        recipe="marl-unet", trials=trials, best_trial=best.number, penalty=-1.0, diagrams=(),
        reward_name="reward", contestants=make_roles(make_contestants()), batch_size=8,
        agent_tables=make_agent_tables(), layer_choices=make_layer_choices(),
    )  # fmt: skip


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def make_recognised(accuracy: float, images: int, seed: int) -> dict[str, dict[str, float]]:
    """Right or wrong for each image under its class, the same images hard for every network."""
    hard = np.random.default_rng(0).random(images)
    noise = np.random.default_rng(seed).normal(0, 0.05, images)
    return {
        f"test_{i:05d}": {CLASSES[i % len(CLASSES)]: float(hard[i] + noise[i] < accuracy)}
        for i in range(images)
    }


def make_classification() -> MadeUpReport:
    """The report of a VGG-16 fitted to images."""
    generator = np.random.default_rng(2)
    curves = [{"train_loss": [1.9, 1.2, 0.9], "validation_score": [0.4, 0.6, 0.7]}] * 3
    accuracies = {"searched": 0.913, "random": 0.889, "unet3d": 0.905}
    contestants = [
        replace(c, scores=make_recognised(accuracies[c.name], 1000, i), curves=curves[i])
        for i, c in enumerate(make_roles(make_contestants()))
    ]
    contestants[-1] = replace(contestants[-1], name="original", title="the original VGG-16")
    counts = generator.poisson(2, (10, 10)) + np.diag(generator.integers(70, 90, 10))
    x, y = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32))
    examples = tuple(
        ImageExample(
            np.stack([x, y, np.full_like(x, i / 30)]).astype(np.float32),
            CLASSES[i % 10], CLASSES[(i + 3) % 10], 0.99 - 0.02 * i, f"test_{i:05d}",
        )
        for i in range(30)
    )  # fmt: skip
    return replace(
        make_marl_content(),
        title="VGG-16 for CIFAR-10", recipe="marl-vgg16", metric="accuracy", labels=CLASSES, overlays=(),
        contestants=tuple(contestants), best_curves=curves[0],
        confusion=ConfusionMatrix(CLASSES, counts.astype(np.int64)), mistakes=examples,
    )  # fmt: skip


if __name__ == "__main__":
    for name, make in (
        ("segnas", make_content),
        ("marl", make_marl_content),
        ("images", make_classification),
    ):
        Path(sys.argv[1], f"{name}.html").write_text(render_report(make()), encoding="utf-8")
