"""A task of Slurm that is told to end, and queued again: the same command goes on, as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from conftest import Command
from fault_rounds import Rounds
from netwright_tests import EXECUTABLE
from processes import Search, finish, searching
from real_trainings import OPTIONS, in_training, require_same
from whole_runs import Machine, require_nothing_left

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
]  # a quick one of the script: tests/test_cluster_scripts.py
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "slurm" / "array.sbatch"
NETWORK = """from torch import nn

def make(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, classes)
    )
"""


@pytest.fixture
def slurm(trainings: str, tmp_path: Path) -> Mapping[str, str]:
    """The environment of a task of an array, with a Slurm that writes down what it is asked."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "netwright").symlink_to(EXECUTABLE)
    (programs / "scontrol").write_text('#!/bin/bash\necho "$@" >> asked\n')
    (programs / "scontrol").chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NETWRIGHT_STORAGE": trainings,
        "SLURM_ARRAY_JOB_ID": "17",
        "SLURM_ARRAY_TASK_ID": "3",
    }


def test_a_requeued_task_ends_as_one_that_nothing_has_happened_to(
    trained_rounds: Rounds,
    chance: random.Random,
    slurm: Mapping[str, str],
    straight: Path,
    dataset: Path,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        study = f"requeued-{number}"
        folder = tmp_path / f"{study}-3"
        words = ["bash", SCRIPT, dataset, study, *OPTIONS]
        with searching(words, env=slurm, cwd=tmp_path) as task:
            in_training(task, folder)
            time.sleep(chance.uniform(0, 0.3))
            task.send_signal(signal.SIGTERM)  # to the script alone, as by --signal=B:TERM
            said, _ = finish(task)
        assert task.returncode == 0, said
        assert (tmp_path / "asked").read_text() == "requeue 17_3\n", said
        assert "Traceback" not in said
        with searching(words, env=slurm, cwd=tmp_path) as again:
            said, _ = finish(again)
        assert again.returncode == 0, said
        require_same(straight, folder)
        require_nothing_left([folder], [task.pid, again.pid], machine)
        (tmp_path / "asked").unlink()


def test_a_task_that_is_requeued_on_a_node_without_the_cache_says_how_its_code_is_trusted(
    slurm: Mapping[str, str], shapes: Path, installed: Command, tmp_path: Path
) -> None:
    """The search hands the trust in its user's network to its workers: they run it. Another node lacks it."""
    (tmp_path / "mine.py").write_text(NETWORK)
    options = ("--network", "mine:make", "--trials", 3, "--epochs", 60, "--workers", 1, "--verdict-hours", 0)
    words = ["bash", SCRIPT, shapes, "own", *options, "--set", "machine.checkpoint_seconds=0"]

    def task(cache: str) -> Search:
        return Search(words, env={**slurm, "NETWRIGHT_CACHE": str(tmp_path / cache)}, cwd=tmp_path)

    first = task("shared")
    try:
        in_training(first, tmp_path / "own-3")
        first.send_signal(signal.SIGTERM)
        said, _ = finish(first)
        assert first.returncode == 0, said
    finally:
        first.kill_all()
    elsewhere = task("another")
    said, _ = finish(elsewhere)
    assert elsewhere.returncode == 2, said
    told = " ".join(said.split())
    assert "--trust-code" in told
    assert str(tmp_path / "mine.py") in told
    there = task("shared")
    said, _ = finish(there)
    assert there.returncode == 0, said
    assert installed("status", tmp_path / "own-3").returncode == 0
