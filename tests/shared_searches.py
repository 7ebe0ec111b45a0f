"""Searches inside one training from the command line, left at a given step."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import netwright as package
from netwright.supernet.search import CHECKPOINT
from netwright.supernet.snapshots import read_snapshots
from netwright.training.checkpoint import load_checkpoint
from netwright_tests import EXECUTABLE
from processes import Search, searching, wait_until


def state(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """What a search is made of in the end, wall time apart."""
    tensors, _ = load_checkpoint(folder / "supernet" / CHECKPOINT)
    return tensors, [{**vars(s), "seconds": None} for s in read_snapshots(folder / "supernet")]


def require_same(folder: Path, expected: Path) -> None:
    """Two searches found the same by the same path, with the same weights and momentum."""
    (trial,), (other,) = (package.open_run(each).trials for each in (folder, expected))
    assert (trial.choice, trial.reward) == (other.choice, other.reward)
    (tensors, path), (other_tensors, other_path) = state(folder), state(expected)
    assert path == other_path
    assert tensors.keys() == other_tensors.keys()
    assert all(torch.equal(tensors[name], other_tensors[name]) for name in tensors)


def until(search: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Wait until a search has come to a step."""
    wait_until(lambda: max((s.step for s in read_snapshots(folder / "supernet")), default=-1) >= step, search)


@contextmanager
def searching_at(arguments: list[str], folder: Path, step: int) -> Iterator[Search]:
    """A search that has come to a step."""
    with searching([EXECUTABLE, *arguments]) as search:
        until(search, folder, step)
        yield search
