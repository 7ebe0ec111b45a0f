"""Records learning curves of `auto`'s candidates on a dataset, for `race_rules.py`.

    python benchmarks/record_curves.py DATASET --seconds 120 --count 60 --to benchmarks/curves/nuclei.json
    python benchmarks/record_curves.py DATASET --map-label 255=1 ...

The first curve is the default's. The others are choices that the strategy `prior` proposes before it knows a result:
changes of the default, and uniform ones. Every training is that of a search with `auto`: constant rate, averaged
weights, validations of at most 8 % of the time. The seconds are those of the processor (`time.process_time`), with one
thread, so that other programs on the machine change little.

Small pictures (``--set preprocessing.size=[64,64]``) make steps cheap, so that short curves are whole ones.

Curves that the file has are kept: the script goes on where it was broken off, and `--count` may grow.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
# Before netwright is imported, whose functions take this clock for their own.
time.perf_counter = time.process_time

import numpy as np

from netwright.api import create_run
from netwright.cli.options import read_label_map
from netwright.files import write_json
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder
from netwright.searches.components import protocol_of
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.settings import read_assignments
from netwright.spaces import make_space
from netwright.strategies.base import Observation
from netwright.strategies.prior import Prior
from netwright.strategies.sampler import dimensions_of
from netwright.training.files import CHECKPOINT, CURVES, WEIGHTS
from netwright.training.outcome import Outcome
from netwright.training.seeding import derive_seed


def choices_of(space: Any, count: int) -> list[dict[str, Any]]:
    """The starting choice, and what the strategy proposes without results."""
    start = dict(space.starting_choice())
    strategy, rng = Prior(first=start), np.random.default_rng(0)
    state = strategy.init(dimensions_of(space.distributions()))
    choices = {json.dumps(start, sort_keys=True): start}
    state = strategy.tell(state, Observation(0, start, 0.0, "complete", {"kind": "prior"}, 1.0))
    while len(choices) < count:
        choice = dict(strategy.ask(state, rng)[0])
        choices.setdefault(json.dumps(choice, sort_keys=True), choice)
    return list(choices.values())


def curve(run: RunFolder, choice: dict[str, Any], number: int, seconds: float) -> dict[str, Any]:
    """One training. It has no scores where it could not begin."""
    settings = run.settings()
    data, space = open_run_data(run, settings).data, make_space(settings.space)
    folder = run.root / "curves" / f"{number:04d}"
    protocol = replace(protocol_of(settings, space, choice), seconds=seconds, threads=1, device="cpu")
    outcome = Outcome.from_dict(
        run_candidate(
            CandidateJob(
                settings=settings,
                prepared=data.prepared,
                training=data.training,
                validation=data.validation,
                choice=choice,
                reference=None,
                protocol=protocol,
                seed=derive_seed(settings.seed, "curve", number),
                folder=folder,
                memory_limit_mb=settings.machine.memory_limit_mb,
            )
        )
    )
    for name in (CHECKPOINT, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    path = folder / CURVES
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()[1:]) if path.exists() else ()
    points = [
        (line["seconds"], line["validation_score"]) for line in lines if line["validation_score"] is not None
    ]
    print(number, outcome.status.value, outcome.reason, points[-1:], flush=True)
    return {
        "choice": choice,
        "seconds": [round(at, 1) for at, _ in points],
        "scores": [round(score, 4) for _, score in points],
        "status": outcome.status.value,
        "parameters": outcome.cost.parameters,
        "seconds_per_batch": outcome.cost.seconds_per_batch,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", help="of the dataset in the file; else that of the file")
    parser.add_argument("--map-label", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], help="a setting, as in a search")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument(
        "--hours", type=float, default=0.33, help="of the race for which the data is prepared"
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--to", type=Path, required=True, help="the file of curves")
    parser.add_argument("--work", type=Path, default=Path("record-curves"), help="where trainings are kept")
    arguments = parser.parse_args()
    name = arguments.name or arguments.to.stem
    place = arguments.work / name
    if not place.exists():
        labels = read_label_map(arguments.map_label)
        assigned = read_assignments(arguments.set)
        user = UserSettings(map_label=labels, hours=arguments.hours, assignments=assigned)
        create_run(arguments.dataset, "auto", user, place)
    run = RunFolder(place)
    entries = json.loads(arguments.to.read_text(encoding="utf-8")) if arguments.to.exists() else []
    begun = {json.dumps(entry["choice"], sort_keys=True) for entry in entries}
    space = make_space(run.settings().space)
    for number, choice in enumerate(choices_of(space, arguments.count)):
        if json.dumps(choice, sort_keys=True) in begun:
            continue
        entries.append({"dataset": name, **curve(run, choice, number, arguments.seconds)})
        write_json(arguments.to, entries)


if __name__ == "__main__":
    main()
