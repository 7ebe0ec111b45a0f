"""Records learning curves of `auto`'s candidates on a dataset, for `race_rules.py`.

    python benchmarks/record_curves.py DATASET --seconds 120 --count 60 --to benchmarks/curves/nuclei.json
    python benchmarks/record_curves.py DATASET --map-label 255=1 ...

The first curve is the default's. The others are choices that the strategy `prior` proposes before it knows a result:
changes of the default, and uniform ones; with ``--one-by-one`` changes of single dimensions come before them. Every
training is that of a search with `auto`: constant rate, averaged weights, validations of at most 8 % of the time. The
seconds are those of the processor (`time.process_time`), with one thread, so that other programs on the machine change
little.

Small pictures (``--set preprocessing.size=[64,64]``) make steps cheap, so that short curves are whole ones.

Curves that the file has are kept: the script goes on where it was broken off, and `--count` may grow.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
# Before netwright is imported, whose functions take this clock for their own.
time.perf_counter = time.process_time

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from netwright.api import create_run
from netwright.cli.reading import read_label_map
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
from netwright.strategies.view import dimensions_of
from netwright.training.files import CHECKPOINT, CURVES, WEIGHTS
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

RATES = (3.0, 2.0, 5.0)
"""Values of a dimension without steps that are tried one by one, as multiples of its start."""


def values_of(distribution: BaseDistribution, start: Any) -> list[Any]:
    """The values of a dimension that are tried one by one."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    if distribution.step is None:
        return [rate * start for rate in RATES if low <= rate * start <= high]
    high = min(high, max(2 * start, start + 2))  # what is much larger cannot learn in a short training
    return [type(low)(value) for value in np.arange(low, high + distribution.step / 2, distribution.step)]


def choices_of(space: Any, count: int, one_by_one: Sequence[str]) -> list[dict[str, Any]]:
    """The starting choice, its changes of one dimension if wanted, and what the strategy proposes without results."""
    start = dict(space.starting_choice())
    strategy, rng = Prior(first=start), np.random.default_rng(0)
    state = strategy.init(dimensions_of(space.distributions()))
    choices = {json.dumps(start, sort_keys=True): start}
    for name in one_by_one:
        for value in values_of(space.distributions()[name], start[name]):
            choice = {**start, name: value}
            if dict(space.canonical(choice)) != dict(space.canonical(start)):
                choices.setdefault(json.dumps(choice, sort_keys=True), choice)
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
    parser.add_argument(
        "--one-by-one",
        nargs="*",
        default=[],
        help="dimensions that are changed alone, before what the strategy proposes",
    )
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
    for number, choice in enumerate(choices_of(space, arguments.count, arguments.one_by_one)):
        if json.dumps(choice, sort_keys=True) in begun:
            continue
        recorded = curve(run, choice, number, arguments.seconds)
        if recorded["status"] == Status.CRASHED:
            raise SystemExit(
                f"Candidate {number} crashed, which is a fault: see {place}/curves/{number:04d}."
            )
        entries.append({"dataset": name, **recorded})
        write_json(arguments.to, entries)


if __name__ == "__main__":
    main()
