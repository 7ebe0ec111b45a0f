"""The scripts for Slurm, with a real Slurm of two nodes on this machine: stopped, queued again, and gone on with.

A search reads its data anew in each job, so these take minutes. Quick ones: tests/test_cluster_scripts.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from netwright_tests import EXECUTABLE
from processes import wait_until
from real_trainings import OPTIONS, TRIALS, require_same
from slurm_server import Slurm, slurm_server
from whole_runs import require_whole

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "slurm"
SIZE = ("--cpus-per-task=1", "--mem=3G")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with slurm_server() as started:
        yield started


@pytest.fixture
def search(tmp_path: Path) -> Mapping[str, str]:
    """Variables with which jobs find this netwright."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "netwright").symlink_to(EXECUTABLE)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}


def stopped_in_training_and_queued_again(slurm: Slurm, job: str, folder: Path, log: Path) -> None:
    """Sends SIGTERM to the script of a job alone, as Slurm does before its time is up."""

    def training() -> bool:
        assert slurm.state(job) in ("PENDING", "RUNNING"), log.read_text()
        return any(folder.glob("trials/*/checkpoint*"))

    wait_until(training, seconds=400)
    slurm.ask("scancel", "--signal=TERM", "--batch", job)
    wait_until(lambda: "queued again" in log.read_text(), seconds=60)
    wait_until(lambda: slurm.state(job) == "PENDING", seconds=180)


def completed(slurm: Slurm, job: str, log: Path) -> None:
    def ended() -> bool:
        return slurm.state(job) not in ("PENDING", "RUNNING", "COMPLETING")

    wait_until(ended, seconds=400)
    assert slurm.state(job) == "COMPLETED", log.read_text()


def test_a_search_on_ray_on_two_nodes_is_queued_again_and_ends_as_one_that_nothing_has_happened_to(
    slurm: Slurm, straight: Path, dataset: Path, search: Mapping[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    words = ("sbatch", "--parsable", "--nodes=2", *SIZE, SCRIPTS / "ray.sbatch", dataset, "run", *OPTIONS)
    job = slurm.ask(*words, cwd=tmp_path, **search)
    log = tmp_path / f"netwright-{job}.log"
    stopped_in_training_and_queued_again(slurm, job, tmp_path / "run", log)
    completed(slurm, job, log)
    require_same(straight, tmp_path / "run")


def test_two_tasks_of_an_array_search_one_study_and_one_of_them_is_queued_again(
    slurm: Slurm, trainings: str, dataset: Path, search: Mapping[str, str], tmp_path: Path
) -> None:
    words = (
        "sbatch",
        "--parsable",
        "--array=1-2",
        *SIZE,
        SCRIPTS / "array.sbatch",
        dataset,
        "array",
        *OPTIONS,
    )
    job = slurm.ask(*words, cwd=tmp_path, NETWRIGHT_STORAGE=trainings, **search)
    logs = {f"{job}_{task}": tmp_path / f"netwright-{job}_{task}.log" for task in (1, 2)}
    stopped_in_training_and_queued_again(slurm, f"{job}_1", tmp_path / "array-1", logs[f"{job}_1"])
    for task, log in logs.items():
        completed(slurm, task, log)
    for folder in ("array-1", "array-2"):
        require_whole(tmp_path / folder, TRIALS)
