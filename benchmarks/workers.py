"""How many more trials an hour do two workers finish than one?

    python benchmarks/workers.py DATASET [--trials 8] [--rounds 1]

Runs the same short search (SegNAS4, fixed epochs, no final comparison) with one worker and with two, each worker
with one thread, and prints the ratio of trials an hour, from the first trial's start to the last one's end, so that
inspection and start-up are left out of both. Every second round runs the pair in the other order.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import netwright


def trials_an_hour(dataset: Path, workers: int, trials: int, folder: Path) -> float:
    """Trials trained in an hour at the pace of one search."""
    command = [
        *(
            Path(sys.executable).with_name("netwright"),
            "search",
            dataset,
            "-o",
            folder,
            "--recipe",
            "segnas4",
        ),
        *("--trials", str(trials), "--epochs", "1", "--verdict-hours", "0", "--workers", str(workers)),
        *("--set", "space.n=[8,13]", "--set", "space.p=[2,4]", "--set", "budget.count=distinct"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    trained = [
        t for t in netwright.open_run(folder).trials if t.cached_from is None and t.started and t.finished
    ]
    seconds = max(t.finished or 0 for t in trained) - min(t.started or 0 for t in trained)
    return 3600 * len(trained) / seconds


def main() -> None:
    """Prints both paces and their ratio, once a round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    for number in range(arguments.rounds):
        order = (1, 2) if number % 2 == 0 else (2, 1)
        with tempfile.TemporaryDirectory() as folder:
            paces = {
                workers: trials_an_hour(
                    arguments.dataset, workers, arguments.trials, Path(folder) / str(workers)
                )
                for workers in order
            }
        print(
            f"one worker {paces[1]:.0f}, two workers {paces[2]:.0f} trials an hour: ratio {paces[2] / paces[1]:.2f}"
        )


if __name__ == "__main__":
    main()
