"""Searches with real trainings. One that is hit by a fault must end with the same weights as one that is not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import netwright as package
from netwright.runs.trials import TrialRecord
from netwright.training.files import CHECKPOINT, CURVES, WEIGHTS
from processes import Search, wait_until
from whole_runs import require_whole

TRIALS = 2
OPTIONS = ("--recipe", "segnas4", "--trials", TRIALS, "--epochs", 12, "--workers", 1, "--seed", 5)
OPTIONS += ("--set", "space.n=[4,9]", "--set", "space.p=[1,3]", "--verdict-hours", 0)
OPTIONS += ("--set", "machine.checkpoint_seconds=0", "--set", "machine.keep_weights=all")


def trained(*folders: Path) -> dict[str, Any]:
    """What the trainings of all folders together have come to: weights, and curves apart from their times."""
    found: dict[str, Any] = {}
    for folder in folders:
        for path in folder.glob(f"trials/*/{WEIGHTS}"):
            lines = map(json.loads, (path.parent / CURVES).read_text().splitlines())
            curves = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
            assert path.parent.name not in found, "it was trained to its end twice"
            found[path.parent.name] = (path.read_bytes(), curves)
    return found


def rewards(folder: Path) -> list[tuple[Any, ...]]:
    """Of each trial, its choice, reward and status."""
    return [(t.choice, t.reward, t.status) for t in package.open_run(folder).trials]


def in_training(search: Search, folder: Path) -> None:
    """Waits until a training has left a checkpoint that it can go on from."""
    wait_until(lambda: any(folder.glob(f"trials/*/{CHECKPOINT}")), search)


def require_same(straight: Path, *folders: Path, kept: Iterable[TrialRecord] = ()) -> None:
    """Runs that share a study, or one alone, are whole, and equal to a run that nothing has happened to.

    Args:
        straight: that one.
        folders: the others.
        kept: trials that were finished when something happened.
    """
    for folder in folders:
        require_whole(folder, TRIALS, kept)
        assert rewards(folder) == rewards(straight)
    assert trained(*folders) == trained(straight)
