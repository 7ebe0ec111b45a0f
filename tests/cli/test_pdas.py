"""The recipe pdas-cells from the command line: killed in the middle, stopped, resumed, compared, reported, used."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import netwright as package
from netwright.supernet.search import CHECKPOINT
from netwright.supernet.snapshots import read_snapshots
from netwright.training.checkpoint import load_checkpoint
from processes import finish
from shared_searches import require_same, searching_at, until

Command = Callable[..., subprocess.CompletedProcess[str]]

STEPS = 60
SETTINGS = (
    *("space.normal_cells=1", "space.nodes=2", "space.channels=2", "space.auxiliary=false"),
    *("supernet.space.channels=2", "supernet.space.normal_cells=1", f"supernet.steps={STEPS}"),
    *("supernet.batch_size=8", "supernet.checkpoint_seconds=0.5", f"supernet.snapshots={STEPS}"),
    *("training.batch_size=8", "images.size=[8,8]", "training.augmentation.cutout=2"),
)
SEARCH = ("--recipe", "pdas-cells", "--workers", 1, "--seed", 4, "--verdict-hours", 0)


def words(dataset: Path, folder: Path, *more: object) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return [*map(str, ("search", dataset, "-o", folder, *SEARCH, *settings, *more))]


@pytest.fixture(scope="module")
def straight(shapes: Path, netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing interrupted."""
    folder = tmp_path_factory.mktemp("pdas") / "straight"
    done = netwright(*words(shapes, folder))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "The most likely network" in done.stdout
    return folder


@pytest.mark.slow
def test_killed_lost_and_stopped_it_equals_the_uninterrupted_search(
    shapes: Path, straight: Path, netwright: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    with searching_at(words(shapes, folder), folder, 10):
        pass
    assert package.open_run(folder).status().phase == "stopped"
    saved = folder / "supernet" / CHECKPOINT
    if saved.exists():
        _, values = load_checkpoint(saved)
        assert values["standing"]["step"] < read_snapshots(folder / "supernet")[-1].step, "steps to do again"
    with searching_at(["resume", str(folder)], folder, 25) as search:
        for worker in psutil.Process(search.pid).children(recursive=True):
            worker.kill()  # the search replaces a lost worker by itself
        until(search, folder, 40)
        os.killpg(search.pid, signal.SIGINT)
        finish(search, 120)
        assert search.returncode == 1
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    require_same(folder, straight)


@pytest.mark.cluster
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    endless = ("--set", "supernet.steps=100000", "--set", "supernet.checkpoint_seconds=1000")
    endless += ("--set", "supernet.snapshots=100000")
    with searching_at(words(shapes, folder, *endless), folder, 3) as search:
        assert package.open_run(folder).status().phase == "searching"
        assert not (folder / "supernet" / CHECKPOINT).exists()
        os.kill(search.pid, signal.SIGINT)
        printed, _ = finish(search, 60)
        assert search.returncode == 1
        assert f"netwright resume {folder}" in printed
    _, values = load_checkpoint(folder / "supernet" / CHECKPOINT)
    assert values["standing"]["step"] >= 3
    shared = package.open_run(folder).status().shared
    assert shared is not None
    assert shared.step <= values["standing"]["step"]


@pytest.mark.slow  # test_published.py searches with it, and runs/test_old_runs.py ends one with a comparison
def test_compared_reported_and_used(shapes: Path, netwright: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    limited = words(
        shapes, folder, "--verdict-hours", 0.001, "--hours", 0.001, "--set", "supernet.steps=null"
    )
    done = netwright(*limited)
    assert done.returncode == 0, done.stderr + done.stdout
    run = package.open_run(folder)
    status = run.status()
    assert status.phase == "finished"
    assert status.shared is not None
    assert status.shared.progress == 1.0
    page = (folder / "report.html").read_text()
    assert "How the probabilities moved" in page
    assert "normal.node1.operation1" in page
    assert "random network" in page
    told = netwright("predict", folder, shapes, "-o", tmp_path / "classes")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "classes" / "predictions.csv").exists()


def test_the_plan_measures_a_step(shapes: Path, netwright: Command) -> None:
    arguments = words(shapes, Path("-"))
    done = netwright("plan", shapes, *arguments[4:8], *arguments[arguments.index("--set") :])
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"at most {STEPS} steps" in done.stdout
    assert "shared weights" in done.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--trials", 5), "no trials"),
        (("--limit", "parameters<=1e6"), "supernet=null"),
        (("--set", "supernet.space.nodes=3"), "supernet.space"),
        (("--space", "vgg16", "--set", "supernet.epochs=2"), "share no weights"),
        (("--strategy", "random", "--set", "supernet.epochs=2"), "natural-gradient"),
        (("--set", "supernet.epochs=0"), "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(
    more: tuple[object, ...], told: str, shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    done = netwright("search", shapes, "-o", tmp_path / "run", "--recipe", "pdas-cells", *more)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "run").exists()


def test_another_strategy_trains_candidate_after_candidate(
    shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    settings = [w for s in SETTINGS if "supernet" not in s for w in ("--set", s)]
    done = netwright(
        *("search", shapes, "-o", tmp_path / "run", "--recipe", "pdas-cells", "--strategy", "random"),
        *("--trials", 2, "--epochs", 1, "--workers", 1, "--verdict-hours", 0, *settings),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    run = package.open_run(tmp_path / "run")
    assert len(run.trials) == 2
    assert run.settings.supernet is None
