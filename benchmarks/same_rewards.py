"""Do two versions of the code find the same, bit for bit?

    python benchmarks/same_rewards.py OLD_SRC NEW_SRC [--only pdas-cells]
    python benchmarks/same_rewards.py --record tests/fixtures/rewards.json

Runs the same tiny searches (four recipes, seeds 0 and 1, one worker with one thread, nothing that depends on time) with
the package in each of two folders (``src`` of two checkouts), and compares every trial's status, choice and reward, the
epochs of every training, and the probabilities and losses of a search inside one training. Prints what differs; the
exit code is 1 where anything does. ``--record`` writes what the installed package finds, and on what machine.

Floats are kept as JSON writes them, which is exact. They depend on the processor and on the version of PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netwright

DATASETS = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "old_runs" / "datasets.tar.xz"
SEEDS = (0, 1)


@dataclass(frozen=True)
class Searched:
    """A dataset of the archive, and the arguments and settings of `netwright.search` on it."""

    dataset: str
    settings: dict[str, Any]
    budget: dict[str, Any] = field(default_factory=dict)


SEARCHES = {
    "segnas4": Searched(
        "volumes",
        {"space.n": [2, 5], "space.p": [1, 3], "training.batch_size": 2, "strategy.population": 5},
        {"trials": 8, "epochs": 2},
    ),
    "marl-vgg16": Searched(
        "pictures",
        {
            "space.values.kernels": [2, 3, 4],
            "space.values.units": [4, 8],
            "training.batch_size": 8,
            "strategy.first": 3,
            "termination.slower_than_start": None,
        },
        {"trials": 6, "epochs": 2},
    ),
    "policy-gradient": Searched(
        "volumes",
        {
            "space.blocks": 3,
            "space.layers": 1,
            "space.filters": [2, 6, 2],
            "space.kernels": [1, 5, 2],
            "strategy.perturbations": 2,
            "training.learning_rate": 1e-2,
        },
        {"trials": 7, "epochs": 2},
    ),
    "pdas-cells": Searched(
        "pictures",
        {
            "space.nodes": 3,
            "space.normal_cells": 1,
            "space.channels": 2,
            "supernet.space": {"normal_cells": 1, "channels": 2},
            "supernet.cases": "training",
            "supernet.steps": 16,
            "supernet.snapshots": 16,
            "supernet.batch_size": 4,
            "training.batch_size": 8,
            "verdict.references": [],
            "verdict.random_choices": 0,
            "verdict.epochs": 2,
        },
    ),
}


def machine() -> dict[str, str]:
    """What the floats depend on beside the code."""
    import torch

    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
    }


def processor() -> str:
    """The processor's model, as far as the system tells it."""
    wanted = ("vendor_id", "cpu family", "model")
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = [line.split(":", 1) for line in file.read_text().split("\n\n")[0].splitlines() if ":" in line]
    told = {name.strip(): value.strip() for name, value in lines}
    return " ".join(told.get(name, "?") for name in wanted)


def found_by(name: str, seed: int, data: Path, folder: Path) -> dict[str, Any]:
    """What a search finds: its trials, the epochs of every training, the path of a search inside one training."""
    searched = SEARCHES[name]
    budget = {"verdict_hours": 0.0, **searched.budget} if searched.budget else {}
    run = netwright.search(
        data / searched.dataset,
        name,
        output=folder,
        workers=1,
        seed=seed,
        settings={**searched.settings, "machine.memory_limit_mb": 4000},
        **budget,
    )
    epochs = {}
    for file in sorted(folder.rglob("curves.jsonl")):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        epochs[str(file.parent.relative_to(folder))] = [
            {key: row[key] for key in ("train_loss", "validation_score")} for row in rows if "epoch" in row
        ]
    return {
        "trials": [{"status": t.status, "choice": t.choice, "reward": t.reward} for t in run.trials],
        "epochs": epochs,
        "path": [
            {key: value for key, value in json.loads(line).items() if key != "seconds"}
            for file in sorted(folder.glob("supernet/*.jsonl"))
            for line in file.read_text().splitlines()
        ],
    }


def find_all(names: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """What all searches find, by ``<recipe> <seed>``."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["NETWRIGHT_CACHE"] = str(folder / "cache")
        with tarfile.open(DATASETS) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            tar.extractall(folder / "data")
        return {
            f"{name} {seed}": found_by(name, seed, folder / "data", folder / f"{name}-{seed}")
            for name in names
            for seed in seeds
        }


def find_with(source: Path, names: Sequence[str]) -> dict[str, Any]:
    """`find_all` by the package in a folder, in a process of its own."""
    if not (source / "netwright" / "__init__.py").exists():
        raise SystemExit(f"{source} holds no package netwright; give the folder src of a checkout.")
    environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"}
    asked = [sys.executable, "-c", "import netwright; print(netwright.__file__)"]
    imported = subprocess.run(asked, check=True, env=environment, capture_output=True, text=True).stdout
    if Path(imported.strip()).parent != source.resolve() / "netwright":
        raise SystemExit(f"{imported.strip()} is imported in place of the package in {source}.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        words = [sys.executable, str(Path(__file__).resolve()), "--record", str(file), "--only", *names]
        subprocess.run(words, check=True, env=environment)
        found: dict[str, Any] = json.loads(file.read_text())["found"]
    return found


def record(file: Path, found: dict[str, Any]) -> None:
    """Write what was found, a search a line, and on what machine."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items())
    file.write_text(f'{{"machine": {json.dumps(machine())},\n "found": {{\n{lines}\n }}}}\n')


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Where two values of JSON differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in differences(old.get(key, "(none)"), new.get(key, "(none)"), f"{where}/{key}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [line for i, (a, b) in enumerate(pairs) for line in differences(a, b, f"{where}/{i}")]
    return [] if json.dumps(old) == json.dumps(new) else [f"{where}: {old} and {new}"]


def main() -> None:
    """Compares, or records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path, metavar="SRC")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--only", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    arguments = parser.parse_args()
    if arguments.record is not None:
        record(arguments.record, find_all(arguments.only, SEEDS))
        return
    if len(arguments.sources) != 2:
        parser.error("give two folders, OLD_SRC and NEW_SRC")
    old, new = (find_with(source, arguments.only) for source in arguments.sources)
    for name, found in old.items():
        rewards = [trial["reward"] for trial in found["trials"]]
        differing = differences(found, new[name])
        print(f"{name:<20} {len(rewards)} trials, {len(differing)} differences; rewards {rewards}")
        print("".join(f"  {line}\n" for line in differing[:10]), end="")
    sys.exit(old != new)


if __name__ == "__main__":
    main()
