"""Dense connections that end with their block, against those of the whole network, in equal time.

For each seed one choice of a narrow space is drawn and built both ways. The two are trained side by side, at once, a
process and a thread each, for the same wall time, on the same cases, and are tested on the same others. So whatever
else the machine does meets both.

    netwright sample --kind cardiac --cases 12 -o hearts
    python benchmarks/dense_connections.py hearts [--seconds 100] [--seeds 5] [--layers 2] [--filters 4 12 4]
    [--pixel 4]
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from netwright.data.io.volumes import read_grid
from netwright.data.open import open_any, split_any
from netwright.data.volumes.cache import prepare
from netwright.data.volumes.prepared import open_prepared
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.data.volumes.slices import SliceSettings
from netwright.recipes import RECIPES
from netwright.searches.random_choices import draw_choice
from netwright.settings import parse_settings
from netwright.spaces.dense import DenseSpace
from netwright.tasks.segmentation.problem import make_problem
from netwright.training.config import TrainingProtocol
from netwright.training.loop import train
from netwright.training.seeding import derive_seed
from netwright.training.trial import predicted_cost

CONNECTIONS = ("block", "network")


@dataclass(frozen=True)
class Found:
    """What came of one training: Dice of the test cases, epochs, weights, and the dry run's memory in MB."""

    dice: float
    epochs: int
    parameters: int
    memory_mb: float


def trained(
    connections: str, folder: Path, cases: tuple[Any, Any], options: dict[str, Any], seconds: float, seed: int
) -> Found:
    """One network in a process of its own."""
    recipe = parse_settings({**RECIPES["policy-gradient"].values, "dataset": {"path": "."}})
    problem = make_problem(open_prepared(folder), SliceSettings(empty="drop"))
    space = DenseSpace(**options, dense_connections=connections)
    choice = draw_choice(space.distributions(), np.random.default_rng(seed))
    protocol = TrainingProtocol(
        optimizer="adam",
        learning_rate=5e-3,
        schedule="cosine",
        loss="cross_entropy",
        batch_size=8,
        epochs=1000,
        seconds=seconds,
        validate_every=1000,
        augmentation=recipe.training.augmentation,
        device="cpu",
    )
    torch.manual_seed(derive_seed(seed, "weights"))
    network = space.build(choice, problem.task)
    cost = predicted_cost(lambda task: space.build(choice, task), problem.task, protocol)
    done = train(network, problem, *cases, protocol, seed=seed)
    if not done.scores:
        raise SystemExit(f"{connections}, seed {seed}: {done.reason}. Give it more --seconds.")
    dice = problem.metrics(done.scores[-1])["dice"]
    assert cost.parameters is not None
    assert cost.predicted_memory_mb is not None
    return Found(dice, done.epochs, cost.parameters, cost.predicted_memory_mb)


def main() -> None:
    """Print a row a seed, and the mean and standard deviation of the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--filters", type=int, nargs=3, default=(4, 12, 4))
    parser.add_argument(
        "--pixel", type=float, default=4.0, help="edge in mm; slices stay as thick as they are"
    )
    given = parser.parse_args()
    options = {"layers": given.layers, "filters": tuple(given.filters), "kernels": (1, 3, 2)}
    rows: list[list[Found]] = []
    with (
        tempfile.TemporaryDirectory() as cache,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as both,
    ):
        dataset = open_any(given.dataset)
        grids = [read_grid(case.images[0]) for case in dataset.cases]
        thickness = float(np.median([grid.spacing[2] for grid in grids]))
        spacing = given.pixel, given.pixel, thickness
        prepared = prepare(dataset, PreprocessingSettings(spacing=spacing, size="whole"), Path(cache))
        print(
            f"{len(prepared)} cases, input {prepared.size}, {given.seconds:g} s for each network", flush=True
        )
        for seed in range(given.seeds):
            parts = split_any(prepared, seed, (0.4, 0.1, 0.5))
            cases = prepared.indices(parts.training), prepared.indices(parts.test)
            jobs = [
                both.submit(trained, one, prepared.folder, cases, options, given.seconds, seed)
                for one in CONNECTIONS
            ]
            rows.append([job.result() for job in jobs])
            words = [
                f"{name} {one.dice:.3f} ({one.epochs} epochs, {one.parameters / 1e3:.0f} k, {one.memory_mb:.0f} MB)"
                for name, one in zip(CONNECTIONS, rows[-1], strict=True)
            ]
            print(f"seed {seed}: {', '.join(words)}", flush=True)
    for place, name in enumerate(CONNECTIONS):
        dice = [row[place].dice for row in rows]
        print(f"{name:8} {mean(dice):.3f} +- {stdev(dice):.3f}")
    gains = [network.dice - block.dice for block, network in rows]
    ahead = sum(gain > 0 for gain in gains)
    print(f"network - block {mean(gains):+.3f} +- {stdev(gains):.3f}, ahead in {ahead} of {len(gains)}")


if __name__ == "__main__":
    main()
