"""Is `auto` better than its default, trained alone for the same hours?

    python benchmarks/auto_against_default.py DATASET --hours 0.33 --seeds 0 1 2 --to benchmarks/auto/hippocampus.json

For each seed two runs, side by side, each with one worker of one thread: `auto`, and `auto` with `--trials 1`, which
trains its starting choice alone to the end of the hours, under the same protocol and with the same choice of snapshots
and mirrored views at the end. `--rivals default hyperband-tpe` adds Optuna's Hyperband with TPE, which drives the same
trainings (`hyperband_tpe.py`). All runs of a seed have the same test cases, which none saw. The hours are those of
all of it, reading the data and the test included. With `--options "--limit parameters<=3e5"` only `auto` has them.
Two runs are made at once, with `--at-once 1` one, for where only one core is idle.

The interval is a bootstrap over seeds and the cases within a seed. The last columns say how long `auto` trained until
its best network was as good on the validation cases as the rival's was after `--minutes`, and until it was within 0.002
of that; – where it never was. Runs are kept in `--work`: the script goes on where it was broken off, a run that was
broken off is resumed, and `--seeds` and `--rivals` may grow.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from netwright.api import open_run
from netwright.files import write_json
from netwright.means import mean_known
from netwright.runs.candidates import candidates_of
from netwright.runs.results import read_results
from netwright.runs.trials import TrialRecord

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
AUTO, DEFAULT, HYPERBAND = "auto", "default", "hyperband-tpe"
RESAMPLES = 10_000
NOISE = 0.002


def searching(arguments: argparse.Namespace, seed: int, way: str) -> subprocess.Popen[bytes] | None:
    """A search that begins or goes on; None where it is finished."""
    folder = folder_of(arguments, seed, way)
    netwright, own = Path(sys.executable).with_name("netwright"), Path(__file__).with_name("hyperband_tpe.py")
    common = ["--hours", str(arguments.hours), "--seed", str(seed)]
    common += [word for text in arguments.map_label for word in ("--map-label", text)]
    if (folder / "run.yaml").exists() and open_run(folder).status().phase == "finished":
        return None
    if way == HYPERBAND:
        command = [sys.executable, str(own), str(arguments.dataset), "-o", str(folder), *common]
    elif (folder / "run.yaml").exists():
        command = [str(netwright), "resume", str(folder)]
    else:
        options = ["--trials", "1"] if way == DEFAULT else shlex.split(arguments.options)
        command = [str(netwright), "search", str(arguments.dataset), "-o", str(folder), *common]
        command += ["--recipe", "auto", "--workers", "1", *options]
    with log_of(folder).open("ab") as log:
        return subprocess.Popen(command, env=ONE_THREAD, stdout=log, stderr=log)


def folder_of(arguments: argparse.Namespace, seed: int, way: str) -> Path:
    """Where a run is kept."""
    folder: Path = arguments.work / f"{arguments.to.stem}-{seed}-{way}"
    return folder


def log_of(folder: Path) -> Path:
    """The log of a run, beside its folder, whose name may have a point."""
    return folder.with_name(f"{folder.name}.log")


def run_missing(arguments: argparse.Namespace, entries: list[dict[str, Any]]) -> None:
    """Makes the runs that are not among the results yet, some at once, and writes their results as they end."""
    ways = [AUTO, *arguments.rivals]
    by_seed = {entry["seed"]: entry for entry in entries}
    missing = [(seed, way) for seed in arguments.seeds for way in ways if way not in by_seed.get(seed, {})]
    arguments.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.at_once) as pool:
        waits = {pool.submit(run_one, arguments, seed, way): (seed, way) for seed, way in missing}
        for done in as_completed(waits):
            seed, way = waits[done]
            if seed not in by_seed:
                by_seed[seed] = {"seed": seed, "hours": arguments.hours}
                entries.append(by_seed[seed])
            by_seed[seed][way] = done.result()
            entries.sort(key=lambda entry: entry["seed"])
            write_json(arguments.to, entries)


def run_one(arguments: argparse.Namespace, seed: int, way: str) -> dict[str, Any]:
    """Makes one run, or goes on with it. Returns its results."""
    search = searching(arguments, seed, way)
    folder = folder_of(arguments, seed, way)
    if search is not None and search.wait():
        raise SystemExit(f"A run ended with an error; see {log_of(folder)}.")
    return result_of(folder)


def result_of(folder: Path) -> dict[str, Any]:
    """Scores of the test cases, each the mean over its labels, and what was chosen."""
    run = open_run(folder)
    winner = read_results(run.folder)[0]
    scores = {case: round(mean_known(row.values()), 5) for case, row in winner["scores"].items()}
    chosen = json.loads((folder / "ensemble.json").read_text(encoding="utf-8"))
    return {
        "scores": scores,
        "members": len(chosen["members"]),
        "candidates": len(candidates_of(run.trials)),
        "parameters": winner["outcome"]["cost"]["parameters"],
        "curve": curve_of(run.trials),
    }


def curve_of(trials: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    """Whenever a network was better than all before it: seconds since the first training began, and its reward."""
    ended = sorted((t.finished, t.reward) for t in trials if t.finished is not None and t.reward is not None)
    begun = min(t.started for t in trials if t.started is not None)
    curve: list[tuple[float, float]] = []
    for finished, reward in ended:
        if not curve or reward > curve[-1][1]:
            curve.append((round(finished - begun, 1), round(reward, 5)))
    return curve


def as_good_after(entry: dict[str, Any], rival: str, minutes: float, within: float) -> str:
    """Seconds until `auto` was as good as its rival after some minutes; – where it never was, or nobody knows."""
    if not all("curve" in entry[way] for way in (AUTO, rival)):
        return "–"
    goal = max(
        (reward for seconds, reward in entry[rival]["curve"] if seconds <= 60 * minutes), default=math.inf
    )
    return next(
        (f"{seconds:.0f}" for seconds, reward in entry[AUTO]["curve"] if reward >= goal - within), "–"
    )


def differences(entry: dict[str, Any], rival: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of one seed: `auto` less a rival, a value a test case."""
    ours, others = entry[AUTO]["scores"], entry[rival]["scores"]
    values = (ours[case] - others[case] for case in ours)
    return np.array([value for value in values if not math.isnan(value)])


def interval(by_seed: Sequence[np.ndarray[Any, np.dtype[np.float64]]]) -> tuple[float, float]:
    """95 % of the means, where seeds are drawn anew and cases within each."""
    rng = np.random.default_rng(0)
    means = [
        np.mean(
            [
                rng.choice(by_seed[i], len(by_seed[i])).mean()
                for i in rng.integers(len(by_seed), size=len(by_seed))
            ]
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--map-label", action="append", default=[])
    parser.add_argument("--hours", type=float, default=0.33)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--options", default="", help="more options of auto's command")
    parser.add_argument("--rivals", nargs="+", choices=[DEFAULT, HYPERBAND], default=[DEFAULT])
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="of the rival that auto is to be as good as"
    )
    parser.add_argument("--at-once", type=int, default=2, help="how many runs are made at a time")
    parser.add_argument("--to", type=Path, required=True, help="the file of results")
    parser.add_argument("--work", type=Path, default=Path("auto-against-default"), help="where runs are kept")
    arguments = parser.parse_args()
    entries = json.loads(arguments.to.read_text(encoding="utf-8")) if arguments.to.exists() else []
    run_missing(arguments, entries)
    for rival in arguments.rivals:
        tell(entries, rival, arguments.minutes)


def tell(entries: Sequence[dict[str, Any]], rival: str, minutes: float) -> None:
    """Prints `auto` beside a rival, of the seeds for which both are there."""
    entries = [entry for entry in entries if AUTO in entry and rival in entry]
    print(
        f"{'seed':>5} {'auto':>8} {rival:>13} {'difference':>11} {'cases':>6} {'begun':>6} {'members':>8} "
        f"{'as good':>8} {'nearly':>7}"
    )
    for entry in entries:
        means = [mean_known(entry[way]["scores"].values()) for way in (AUTO, rival)]
        apart = differences(entry, rival)
        print(
            f"{entry['seed']:5d} {means[0]:8.4f} {means[1]:13.4f} {apart.mean():+11.4f} {len(apart):6d} "
            f"{entry[AUTO]['candidates']:6d} {entry[AUTO]['members']:8d} "
            f"{as_good_after(entry, rival, minutes, 0.0):>8} {as_good_after(entry, rival, minutes, NOISE):>7}"
        )
    by_seed = [differences(entry, rival) for entry in entries]
    low, high = interval(by_seed)
    print(
        f"mean over seeds {np.mean([values.mean() for values in by_seed]):+.4f}, 95 % {low:+.4f} to {high:+.4f}"
    )


if __name__ == "__main__":
    main()
