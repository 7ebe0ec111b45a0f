"""What the weights of a run on few cases are worth for a run on more of the same kind (`search --start-from`).

    python benchmarks/start_from.py DATASET --few 40 --many 100 --seconds 120 --seeds 0 1 --to start-from.json
    python benchmarks/start_from.py DATASET --map-label 255=1 ...

For each seed `auto`'s default is trained three times, for equally long: on a few cases; on many cases, among them the
few, from the weights of the first training; and on the many cases anew. All are scored on the same cases, which none of
them was trained on. The seconds are those of the processor (`time.process_time`), with one thread, so that other
programs on the machine change little. Trainings that the file has are kept: the script goes on where it was broken off.
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
from netwright.cli.reading import read_label_map
from netwright.files import write_json
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder
from netwright.searches.components import protocol_of
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.settings import read_assignments
from netwright.spaces import make_space
from netwright.training.files import CURVES, WEIGHTS
from netwright.training.outcome import Outcome
from netwright.training.seeding import derive_seed

FEW, FROM, ANEW = "few cases", "many cases, from the weights of few", "many cases, anew"


def parts_of(
    cases: int, few: int, many: int, scored: int, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """The few cases, the many with the few among them, and those that all are scored on."""
    order = np.random.default_rng(seed).permutation(cases).tolist()
    if many + scored > cases:
        raise SystemExit(f"The dataset has {cases} cases: expected at least {many + scored}.")
    return order[:few], order[:many], order[many : many + scored]


def training(
    run: RunFolder,
    name: str,
    cases: list[int],
    scored: list[int],
    seconds: float,
    seed: int,
    weights: Path | None,
) -> dict[str, Any]:
    """One training of the default, with the score at each of its validations."""
    settings = run.settings()
    data, space = open_run_data(run, settings).data, make_space(settings.space)
    choice = dict(space.starting_choice())
    folder = run.root / "trained" / f"{seed}-{name.replace(',', '').replace(' ', '-')}"
    outcome = Outcome.from_dict(
        run_candidate(
            CandidateJob(
                settings=settings,
                prepared=data.prepared,
                training=tuple(cases),
                validation=tuple(scored),
                choice=choice,
                reference=None,
                protocol=replace(
                    protocol_of(settings, space, choice), seconds=seconds, threads=1, device="cpu"
                ),
                seed=derive_seed(seed, "start from", name == FEW),
                folder=folder,
                memory_limit_mb=settings.machine.memory_limit_mb,
                weights=weights,
            )
        )
    )
    lines = map(json.loads, (folder / CURVES).read_text(encoding="utf-8").splitlines()[1:])
    points = [
        (line["seconds"], line["validation_score"]) for line in lines if line["validation_score"] is not None
    ]
    print(f"seed {seed}  {name:<40} {outcome.status.value} {points[-1:]}", flush=True)
    return {
        "seed": seed,
        "name": name,
        "seconds": [round(at, 1) for at, _ in points],
        "scores": [round(score, 4) for _, score in points],
        "weights": str(folder / WEIGHTS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--map-label", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], help="a setting, as in a search")
    parser.add_argument("--few", type=int, default=40)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--scored", type=int, default=60, help="cases that all are scored on")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--to", type=Path, required=True, help="the file of results")
    parser.add_argument("--work", type=Path, default=Path("start-from"), help="where trainings are kept")
    arguments = parser.parse_args()
    if not arguments.work.exists():
        user = UserSettings(
            map_label=read_label_map(arguments.map_label),
            hours=0.33,
            assignments=read_assignments(arguments.set),
        )
        create_run(arguments.dataset, "auto", user, arguments.work)
    run = RunFolder(arguments.work)
    cases = len(open_run_data(run, run.settings()).prepared.names)
    known = json.loads(arguments.to.read_text(encoding="utf-8")) if arguments.to.exists() else []
    for seed in arguments.seeds:
        few, many, scored = parts_of(cases, arguments.few, arguments.many, arguments.scored, seed)
        for name, used in ((FEW, few), (FROM, many), (ANEW, many)):
            if any((one["seed"], one["name"]) == (seed, name) for one in known):
                continue
            source = next((one for one in known if (one["seed"], one["name"]) == (seed, FEW)), None)
            weights = Path(source["weights"]) if name == FROM and source is not None else None
            known.append(training(run, name, used, scored, arguments.seconds, seed, weights))
            write_json(arguments.to, known)


if __name__ == "__main__":
    main()
