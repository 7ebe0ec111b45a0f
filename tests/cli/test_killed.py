"""Kill -9 at random moments: nothing finished is lost, and the run goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import netwright as package
from netwright_tests import EXECUTABLE, SMALL
from processes import Search, finish, run, searching, wait_until

pytestmark = pytest.mark.cluster
TRIALS = 12
SEARCH = ("--recipe", "segnas4", "--verdict-hours", "0", "--trials", str(TRIALS), "--seed", "5", *SMALL)


def results(folder: Path) -> list[tuple[str, dict[str, object], float | None]]:
    return [(t.status, t.choice, t.reward) for t in package.open_run(folder).trials]


def finished_of(folder: Path) -> list[tuple[str, dict[str, object], float | None]]:
    return [result for result in results(folder) if result[2] is not None]


def kill(search: Search, target: str) -> None:
    """End the search, its workers, or both, as a power cut would."""
    try:
        workers = psutil.Process(search.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for process in workers if target in ("worker", "both") else []:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    if target in ("search", "both"):
        search.kill()
        finish(search, 60)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_search_stopped_and_killed_many_times_equals_one_that_was_not(
    times: int, dataset: Path, netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    done = netwright("search", dataset, "-o", straight, *SEARCH)
    assert done.returncode == 0, done.stderr
    expected = results(straight)
    assert len(expected) == TRIALS

    with searching([EXECUTABLE, "search", dataset, "-o", broken, *SEARCH]) as search:
        wait_until(lambda: any((broken / "trials").glob("*/curves.jsonl")), search)
        ctrl_c(search, broken)
    chance = random.Random(0)
    kills = 0
    kept = finished_of(broken)
    while kills < times:
        search = Search([EXECUTABLE, "resume", broken])
        while search.poll() is None and kills < times:
            time.sleep(chance.uniform(0.2, 5.0))
            kills += 1
            target = chance.choice(["search", "worker", "both"])
            kill(search, target)
            if target != "worker":
                break
        search.kill()
        finish(search, 60)
        finished = finished_of(broken)
        assert finished[: len(kept)] == kept, "a finished trial was lost or changed"
        kept = finished
    done = netwright("resume", broken)
    assert done.returncode == 0, done.stderr
    assert results(broken) == expected
    status = package.open_run(broken).status()
    assert (status.phase, status.trials["total"], status.trials["running"]) == ("finished", TRIALS, 0)


def ctrl_c(search: Search, folder: Path) -> None:
    """Press Ctrl-C: the search ends cleanly, with all its workers, and says how to go on."""
    # Asked in this process: a command takes seconds, in which a search as small as this one may end.
    assert package.open_run(folder).status().phase == "searching"
    workers = psutil.Process(search.pid).children(recursive=True)
    os.kill(search.pid, signal.SIGINT)
    printed, _ = finish(search, 30)
    assert search.returncode == 1
    assert f"netwright resume {folder}" in printed
    assert "Traceback" not in printed
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not [w for w in alive if w.status() != psutil.STATUS_ZOMBIE]
    assert package.open_run(folder).status().phase == "stopped"


def test_a_comparison_killed_between_two_networks_goes_on_with_the_next(
    dataset: Path, netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = ["search", dataset, "-o", folder, "--recipe", "segnas4", "--trials", 2, *SMALL]
    words += ["--verdict-hours", 0.002, "--set", "verdict.references=[monai-unet]"]
    with searching([EXECUTABLE, *words]) as search:
        wait_until((folder / "winner" / "result.json").exists, search)
        kill(search, "both")
    before = (folder / "winner" / "result.json").read_bytes()
    assert not (folder / "report.html").exists()
    assert package.open_run(folder).status().phase == "stopped"
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "winner" / "result.json").read_bytes() == before, "the winner was tested once"
    results = [json.loads(p.read_text()) for p in (folder / "verdict").glob("*/result.json")]
    assert {r["name"] for r in results} == {"random", "monai-unet"}
    assert {r["share_seconds"] for r in results} == {json.loads(before)["share_seconds"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root alone")
@pytest.mark.parametrize(
    "size",
    [
        pytest.param("200k", id="in the database"),
        pytest.param("1m", id="in the weights", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_told_and_resumed_when_there_is_room(
    dataset: Path, netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, size: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk])
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    few = ("--trials", 6)
    try:
        done = netwright("search", dataset, "-o", disk / "run", *SEARCH, *few, "--set", "space.n=[8,17]")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "full" in done.stderr or "room" in done.stderr
        assert run(["mount", "-o", "remount,size=200m", disk]).returncode == 0
        again = netwright("resume", disk / "run")
        assert again.returncode == 0, again.stderr
    finally:
        run(["umount", "-l", disk])
