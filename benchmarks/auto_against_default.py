"""Is `auto` better than its default, trained alone for the same hours?

    python benchmarks/auto_against_default.py DATASET --hours 0.33 --seeds 0 1 2 --to benchmarks/auto/hippocampus.json

For each seed two runs, side by side, each with one worker of one thread: `auto`, and `auto` with `--trials 1`, which
trains its starting choice alone to the end of the hours, under the same protocol and with the same choice of snapshots
and mirrored views at the end. Both runs of a seed have the same test cases, which neither saw. The hours are those of
all of it, reading the data and the test included. With `--options "--limit parameters<=3e5"` only `auto` has them.
With `--in-turns` one run begins when the other has ended, for where only one core is idle.

The interval is a bootstrap over seeds and the cases within a seed. Runs are kept in `--work`: the script goes on where
it was broken off, a run that was broken off is resumed, and `--seeds` may grow.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.api import open_run
from netwright.files import write_json
from netwright.means import mean_known
from netwright.runs.candidates import candidates_of
from netwright.runs.results import read_results

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
RESAMPLES = 10_000


def start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes] | None:
    """A search that begins or goes on; None where it is finished."""
    netwright = [str(Path(sys.executable).with_name("netwright"))]
    if (folder / "run.yaml").exists():
        if open_run(folder).status().phase == "finished":
            return None
        command = ["resume", str(folder)]
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*netwright, *command], env=ONE_THREAD, stdout=log, stderr=log)


def side_by_side(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Both runs of a seed, side by side or in turns."""
    folders = {way: arguments.work / f"{arguments.to.stem}-{seed}-{way}" for way in ("auto", "default")}
    arguments.work.mkdir(parents=True, exist_ok=True)
    common = ["--recipe", "auto", "--hours", str(arguments.hours), "--seed", str(seed), "--workers", "1"]
    common += [word for text in arguments.map_label for word in ("--map-label", text)]
    own = {"auto": shlex.split(arguments.options), "default": ["--trials", "1"]}
    begun = time.time()
    searches = []
    for way, folder in folders.items():
        search = start(["search", str(arguments.dataset), "-o", str(folder), *common, *own[way]], folder)
        searches.append(search)
        if search is not None and arguments.in_turns:
            search.wait()
    if any(search is not None and search.wait() for search in searches):
        raise SystemExit(f"A run ended with an error; see {arguments.work}/*.log.")
    results = {way: result_of(folder) for way, folder in folders.items()}
    return {"seed": seed, "hours": arguments.hours, "seconds": round(time.time() - begun), **results}


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
    }


def differences(entry: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of one seed: `auto` less the default, a value a test case."""
    ours, others = entry["auto"]["scores"], entry["default"]["scores"]
    values = np.array([ours[case] - others[case] for case in ours])
    return values[~np.isnan(values)]


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
    parser.add_argument("--in-turns", action="store_true", help="one run after the other, on one idle core")
    parser.add_argument("--to", type=Path, required=True, help="the file of results")
    parser.add_argument("--work", type=Path, default=Path("auto-against-default"), help="where runs are kept")
    arguments = parser.parse_args()
    entries = json.loads(arguments.to.read_text(encoding="utf-8")) if arguments.to.exists() else []
    for seed in arguments.seeds:
        if all(entry["seed"] != seed for entry in entries):
            entries.append(side_by_side(arguments, seed))
            write_json(arguments.to, entries)
    print(
        f"{'seed':>5} {'auto':>8} {'default':>8} {'difference':>11} {'cases':>6} {'begun':>6} {'members':>8}"
    )
    for entry in entries:
        means = [mean_known(entry[way]["scores"].values()) for way in ("auto", "default")]
        apart = differences(entry)
        print(
            f"{entry['seed']:5d} {means[0]:8.4f} {means[1]:8.4f} {apart.mean():+11.4f} {len(apart):6d} "
            f"{entry['auto']['candidates']:6d} {entry['auto']['members']:8d}"
        )
    by_seed = [differences(entry) for entry in entries]
    low, high = interval(by_seed)
    print(
        f"mean over seeds {np.mean([values.mean() for values in by_seed]):+.4f}, 95 % {low:+.4f} to {high:+.4f}"
    )


if __name__ == "__main__":
    main()
