"""`auto` as a user runs it: stopped, killed, resumed, given more hours, and used."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import netwright as package
from netwright.runs.candidates import candidates_of
from netwright_tests import EXECUTABLE
from processes import finish, searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--recipe", "auto", "--workers", 1, "--set", "preprocessing.size=[16,16,16]")
QUICK += ("--set", "race.first_seconds=2", "--set", "space.fixed={width: 8, levels: 2, stem: 1}")


def parts_done(folder: Path) -> int:
    return len(list((folder / "trials").glob("*/weights.safetensors")))


def test_stopped_killed_resumed_and_given_more_hours(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    folder, predictions = tmp_path / "run", tmp_path / "predictions"
    command = [EXECUTABLE, "search", dataset, "-o", folder, *QUICK, "--hours", 0.02]
    with searching(command) as search:
        wait_until(lambda: parts_done(folder) >= 2, search)
        os.kill(search.pid, signal.SIGINT)
        printed, _ = finish(search, 60)
    assert search.returncode == 1
    assert f"netwright resume {folder}" in printed
    assert (folder / "report.html").exists(), "the best so far has a report"
    assert not (folder / "test_openings.json").exists(), "the test cases stay closed"
    done = netwright("predict", folder, dataset / "imagesTr", "-o", predictions)
    assert done.returncode == 0, done.stderr
    assert len(list(predictions.glob("*.nii.gz"))) == 8

    before = parts_done(folder)
    with searching([EXECUTABLE, "resume", folder]) as search:
        wait_until(lambda: parts_done(folder) >= before + 1, search)
        os.kill(search.pid, signal.SIGKILL)
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    run = package.open_run(folder)
    assert run.status().phase == "finished"
    candidates = candidates_of(run.trials)
    assert candidates[0].default
    assert any(len(candidate.parts) > 1 for candidate in candidates), "trainings went on"
    assert len(json.loads((folder / "test_openings.json").read_text())) == 1
    trained = sum(candidate.seconds for candidate in candidates)

    done = netwright("resume", folder, "--hours", 0.004)
    assert done.returncode == 0, done.stderr
    assert run.settings.budget.hours == 0.024
    assert len(json.loads((folder / "test_openings.json").read_text())) == 2
    assert sum(candidate.seconds for candidate in candidates_of(run.trials)) > trained
    assert "opened 2 times" in (folder / "report.html").read_text()
    chosen = json.loads((folder / "ensemble.json").read_text())
    assert (folder / "winner" / "result.json").exists()
    tested_alone = len(chosen["members"]) == 1
    assert tested_alone or (folder / "verdict" / "default" / "result.json").exists()


@pytest.fixture(scope="module")
def finished(shapes: Path, netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small race that was finished, for pictures with classes, with one network in the end."""
    folder = tmp_path_factory.mktemp("races") / "run"
    words = ["--recipe", "auto", "--workers", 1, "--hours", 0.008, "--trials", 2]
    done = netwright("search", shapes, "-o", folder, *words, "--set", "race.first_seconds=1", "--single")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_pictures_with_classes_have_a_space_of_their_own(finished: Path) -> None:
    run = package.open_run(finished)
    assert run.settings.space.name == "classifier-stages"
    assert run.settings.race is not None
    assert run.settings.race.single
    assert len(json.loads((finished / "ensemble.json").read_text())["members"]) == 1
    assert run.best is not None


def damage(path: Path) -> None:
    """Cuts a file off, as a full disk or a broken one does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def ended_again(finished: Path, folder: Path, damaged: Callable[[Path], set[Path]]) -> tuple[Path, set[Path]]:
    """A copy of a finished race in which some weights are damaged, before its end."""
    shutil.copytree(finished, folder)
    (folder / "finished.json").unlink()
    broken = damaged(folder)
    for path in broken:
        damage(path)
    return folder, broken


def weights_by_reward(folder: Path) -> list[Path]:
    """The weights of all parts with a score, those of the best first."""
    parts = [p for c in candidates_of(package.open_run(folder).trials) for p in c.complete]
    ranked = sorted(parts, key=lambda part: -(part.reward or 0.0))
    return [folder / "trials" / f"{part.number:04d}" / "weights.safetensors" for part in ranked]


def test_where_the_best_network_is_damaged_another_is_used_and_the_report_says_so(
    finished: Path, shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    number = json.loads((finished / "ensemble.json").read_text())["members"][0]["name"]
    weights = Path("trials", f"{int(number):04d}", "weights.safetensors")
    folder, _ = ended_again(finished, tmp_path / "run", lambda folder: {folder / weights})
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    chosen = json.loads((folder / "ensemble.json").read_text())
    assert number in [one["name"] for one in chosen["left_out"]]
    assert number not in [one["name"] for one in chosen["members"]]
    assert f"Not compared: trial {number} (" in (folder / "report.html").read_text()
    assert netwright("evaluate", folder, shapes).returncode == 0


def test_where_no_finalist_can_be_compared_the_best_that_can_be_read_is_used(
    finished: Path, shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    """All but one network are damaged, and that one is no finalist: an early part of a training that went on."""

    def but_one(folder: Path) -> set[Path]:
        longest = max(candidates_of(package.open_run(folder).trials), key=lambda c: len(c.complete))
        assert len(longest.complete) > 2
        whole = folder / "trials" / f"{longest.complete[0].number:04d}" / "weights.safetensors"
        return set(weights_by_reward(folder)) - {whole}

    folder, broken = ended_again(finished, tmp_path / "run", but_one)
    (whole,) = set(weights_by_reward(folder)) - broken
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    (member,) = json.loads((folder / "ensemble.json").read_text())["members"]
    assert member["name"] == str(int(whole.parent.name))
    assert (folder / "winner" / "weights.safetensors").read_bytes() == whole.read_bytes()
    assert "the finalists could not be compared" in (folder / "report.html").read_text()
    assert netwright("evaluate", folder, shapes).returncode == 0

    damage(whole)
    (folder / "finished.json").unlink()
    done = netwright("resume", folder)
    assert done.returncode == 1
    assert "No network of" in done.stderr
    assert "resume --hours" in done.stderr


def test_a_plan_promises_no_number_of_candidates(dataset: Path, netwright: Command) -> None:
    words = (*QUICK[:4], "--hours", 2, "--seconds", 5, "--single", "--set", "preprocessing.size=[16,16,16]")
    done = netwright("plan", dataset, *words)
    assert done.returncode == 0, done.stderr
    assert "in 2 h: trainings that go on" in done.stdout
    assert "candidates an hour" not in done.stdout
    assert "warning    With 2 validation cases no network can be better than the default" in done.stdout
    assert f"netwright search {dataset} --recipe auto --hours 2 --workers 1 --single --set" in done.stdout


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--set", "training.learning_rate=0.1"), "space.fixed"),
        (("--limit", "dice>=0.5"), "is on a metric"),
        (("--set", "verdict.random_choices=2"), "verdict.random_choices was set"),
        (("--set", "race.rule=fastest"), "no rule 'fastest'"),
        (("--set", "budget.hours=null", "--trials", 3), "--hours"),
    ],
)
def test_what_has_no_effect_is_refused(
    given: tuple[object, ...], told: str, dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    done = netwright("search", dataset, "-o", tmp_path / "run", *QUICK, *given)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "run").exists()


def test_more_hours_are_for_trainings_that_go_on(dataset: Path, netwright: Command, tmp_path: Path) -> None:
    done = netwright("resume", tmp_path, "--hours", 1)
    assert done.returncode == 1
    assert "holds no run" in done.stderr
