"""Trains every network of a small space once, so that strategies can be compared on real training in milliseconds.

    python benchmarks/trained_table.py --out benchmarks/trained-table.json

The space: densely connected encoder-decoders of three blocks of one layer, with 4, 8 or 16 filters in either layer
that has a choice and filters of 1 or 3 pixels in height and width in all three: 576 networks of 8 dimensions. Each is
trained for a few epochs on the built-in sample of cells; the value is its validation Dice. Some are trained a second
time, from other weights: what differs is the noise of a training. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from netwright.api import create_run
from netwright.data.samples.images import write_segmentation_sample
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_run_data
from netwright.searches.components import problem_of
from netwright.spaces import SPACES
from netwright.training.trial import evaluate_candidate

FILTERS, SIDES = (4, 8, 16), (1, 3)
SPACE = {"blocks": 3, "layers": 1, "filters": (4, 16, 4), "kernels": (1, 3, 2)}
NAMES = (
    "layer1.filters",
    "layer2.filters",
    *(f"layer{n}.{side}" for n in (1, 2, 3) for side in ("height", "width")),
)
TWICE_EVERY = 12
SETTINGS = {
    "split": (0.5, 0.4, 0.1),
    "training.batch_size": 6,
    "training.learning_rate": 1e-2,
    "training.schedule": "cosine",
    "training.score_epochs": 1,
    "training.validate_every": 100,
    "postprocessing.crf": False,
    **{f"space.{name}": list(value) if isinstance(value, tuple) else value for name, value in SPACE.items()},
}


def choices() -> list[dict[str, Any]]:
    """Every network of the table, in order."""
    values = (FILTERS, FILTERS, *(SIDES for _ in range(6)))
    return [dict(zip(NAMES, row, strict=True)) for row in itertools.product(*values)]


def main() -> None:
    """Trains what the file does not hold yet, and writes it after every network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("trained-table.json"))
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = (
        json.loads(arguments.out.read_text())["dice"] if arguments.out.exists() else {}
    )
    user = UserSettings(trials=1, workers=1, epochs=arguments.epochs, seed=0, assignments=SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        cells = write_segmentation_sample(Path(folder) / "cells", pictures=30, size=32)
        run = create_run(cells, "policy-gradient", user, Path(folder) / "run")
        run_data, settings = open_run_data(run.folder, run.settings), run.settings
    problem = problem_of(settings, run_data.prepared)
    space = SPACES["dense-encoder-decoder"](**SPACE)
    for number, choice in enumerate(choices()):
        key = "-".join(str(value) for value in choice.values())
        values = found.setdefault(key, [])
        while len(values) < 1 + (number % TWICE_EVERY == 0):
            network = partial(space.build, {**choice, "pool1": "max"})
            cases = run_data.data.training, run_data.data.validation
            outcome = evaluate_candidate(network, problem, *cases, settings.training, seed=len(values))
            values.append(round(outcome.metrics.get("dice", 0.0), 5))
            arguments.out.write_text(json.dumps({"epochs": arguments.epochs, "dice": found}, indent=0))
        print(number, key, *values, flush=True)
    pairs = np.array([values for values in found.values() if len(values) == 2])
    print(f"noise of a training: {np.sqrt(pairs.var(axis=1, ddof=1).mean()):.4f}")


if __name__ == "__main__":
    main()
