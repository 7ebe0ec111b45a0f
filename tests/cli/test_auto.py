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
from netwright.api.race import fewest_hours
from netwright.comparison.default_alone import seconds_alone
from netwright.comparison.seconds_at_end import LARGEST_SHARE
from netwright.files import write_json
from netwright.planning.race import disk_mb
from netwright.report import formatting
from netwright.report.collect.race import racers_of
from netwright.runs.candidates import candidates_of
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder
from netwright_tests import EXECUTABLE
from processes import finish, run, searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--recipe", "auto", "--workers", 1, "--set", "preprocessing.size=[16,16,16]")
QUICK += ("--set", "race.first_seconds=2", "--set", "space.fixed={width: 8, levels: 2, stem: 1}")


SMALL = ("--set", "space.fixed={width: 16}", "--set", "race.first_seconds=1")


def parts_begun(folder: Path) -> int:
    """How many parts of trainings had an epoch. Networks are not counted: a candidate keeps two."""
    return len(list((folder / "trials").glob("*/curves.jsonl")))


def went_on(folder: Path) -> bool:
    """Whether a training had a second part, to its end."""
    return any(len(one.complete) > 1 for one in candidates_of(package.open_run(folder).trials))


def given_more_hours(netwright: Command, folder: Path, enough: Callable[[], bool]) -> list[float]:
    """Resumes a race with more hours until it has done enough, and returns which: a busy machine takes longer."""
    given: list[float] = []
    for _ in range(10):
        given.append(max(0.004, fewest_hours(RunFolder(folder), RunFolder(folder).settings())))
        done = netwright("resume", folder, "--hours", given[-1])
        if enough():
            assert done.returncode == 0, done.stderr
            return given
    raise AssertionError(f"after {given} h more: {done.stdout}{done.stderr}")


@pytest.mark.slow  # the races below, of volumes and in more parts
def test_stopped_killed_resumed_and_given_more_hours(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    """The hours do not end before what is waited for has happened; then they are cut to what was spent."""
    folder, predictions = tmp_path / "run", tmp_path / "predictions"
    command = [EXECUTABLE, "search", dataset, "-o", folder, *QUICK, "--hours", 0.2, "--trials", 100]
    with searching(command) as search:
        wait_until(lambda: parts_begun(folder) >= 3, search)
        os.kill(search.pid, signal.SIGINT)
        printed, _ = finish(search, 60)
    assert search.returncode == 1
    assert f"netwright resume {folder}" in printed
    assert (folder / "report.html").exists(), "the best so far has a report"
    assert not (folder / "test_openings.json").exists(), "the test cases stay closed"
    done = netwright("predict", folder, dataset / "imagesTr", "-o", predictions)
    assert done.returncode == 0, done.stderr
    assert len(list(predictions.glob("*.nii.gz"))) == 8

    before = parts_begun(folder)
    with searching([EXECUTABLE, "resume", folder]) as search:
        wait_until(lambda: parts_begun(folder) >= before + 1 and went_on(folder), search)
        os.kill(search.pid, signal.SIGKILL)
    run = package.open_run(folder)
    hours = round(run.status().seconds / 3600, 6)
    run.folder.change_settings({"budget.hours": hours})
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    assert run.status().phase == "finished"
    candidates = candidates_of(run.trials)
    assert candidates[0].default
    assert any(len(candidate.parts) > 1 for candidate in candidates), "trainings went on"
    assert len(json.loads((folder / "test_openings.json").read_text())) == 1
    trained = sum(candidate.seconds for candidate in candidates)

    def more_is_trained() -> bool:
        return sum(candidate.seconds for candidate in candidates_of(run.trials)) > trained

    given = given_more_hours(netwright, folder, more_is_trained)
    assert run.settings.budget.hours == round(hours + sum(given), 9)
    assert len(json.loads((folder / "test_openings.json").read_text())) == 1 + len(given)
    assert f"opened {1 + len(given)} times" in (folder / "report.html").read_text()
    chosen = json.loads((folder / "ensemble.json").read_text())
    assert (folder / "winner" / "result.json").exists()
    tested_alone = len(chosen["members"]) == 1
    assert tested_alone or (folder / "verdict" / "default" / "result.json").exists()


def trial_of(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:04d}"


@pytest.fixture(scope="module")
def finished(shapes: Path, netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small race that was finished, for pictures with classes, with one network in the end."""
    folder = tmp_path_factory.mktemp("races") / "run"
    words = ["--recipe", "auto", "--workers", 1, "--hours", 0.004, *SMALL]
    done = netwright("search", shapes, "-o", folder, *words, "--single")

    def several() -> bool:
        return len(list((folder / "trials").glob("*/weights.safetensors"))) > 1

    if not several():
        given_more_hours(netwright, folder, several)
    else:
        assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.mark.cluster
def test_killed_and_stopped_it_goes_on_with_the_same_trainings(
    shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    """Within hours that do not end here, however busy the machine is."""
    folder = tmp_path / "run"
    words = ["--recipe", "auto", "--workers", 1, "--hours", 0.04, *SMALL]
    with searching([EXECUTABLE, "search", shapes, "-o", folder, *words]) as search:
        wait_until(lambda: parts_begun(folder) >= 2, search)
    before = package.open_run(folder).trials
    assert before[0].reward is not None
    with searching([EXECUTABLE, "resume", folder]) as search:
        wait_until(lambda: parts_begun(folder) >= len(before) + 2, search)
        search.send_signal(signal.SIGINT)
        printed, _ = finish(search, 60)
    assert search.returncode == 1
    assert f"netwright resume {folder}" in printed
    run = package.open_run(folder)
    assert run.status().phase == "stopped"
    assert run.trials[0] == before[0], "what was finished stays"
    candidates = candidates_of(run.trials)
    assert candidates[0].default
    assert any(len(candidate.parts) > 1 for candidate in candidates), "trainings went on"
    assert (folder / "report.html").exists(), "the best so far has a report"
    assert not (folder / "test_openings.json").exists(), "the test cases stay closed"
    done = netwright("predict", folder, shapes / "test", "-o", tmp_path / "classes")
    assert done.returncode == 0, done.stderr


def test_pictures_with_classes_have_a_space_of_their_own(finished: Path) -> None:
    run = package.open_run(finished)
    assert run.settings.space.name == "classifier-stages"
    assert run.settings.race is not None
    assert run.settings.race.single
    assert len(json.loads((finished / "ensemble.json").read_text())["members"]) == 1
    assert run.best is not None


def hours_for_training_alone(run: package.Run, seconds: float) -> float:
    """The few hours of a search in which its default alone would be trained for so long."""
    data = open_run_data(run.folder, run.settings)
    assert run.settings.race is not None
    hours = round((run.settings.race.used_seconds + seconds) / (3600 * (1 - LARGEST_SHARE)), 6)
    given = run.settings.model_copy(
        update={"budget": run.settings.budget.model_copy(update={"hours": hours})}
    )
    assert seconds_alone(given, len(data.data.validation), len(data.test)) == pytest.approx(seconds, abs=0.1)
    return hours


def test_the_default_is_trained_alone_for_the_hours_and_goes_on_when_there_are_more(
    finished: Path, netwright: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    result = folder / "verdict" / "default-alone" / "result.json"
    shutil.copytree(finished, folder)
    # Whatever it took on a busy machine: the end has its share of the hours, and no more.
    RunFolder(folder).change_settings({"race.validation_seconds": 0.01})
    hours = hours_for_training_alone(package.open_run(folder), seconds=2.0)
    RunFolder(folder).change_settings({"budget.hours": hours})
    opened = json.loads((folder / "test_openings.json").read_text())
    write_json(folder / "test_openings.json", [{**opening, "hours": hours} for opening in opened])
    openings = (folder / "test_openings.json").read_text()
    done = netwright("resume", folder, "--compare", "full")
    assert done.returncode == 0, done.stderr
    assert (folder / "test_openings.json").read_text() == openings, "they were open already"
    first = json.loads(result.read_text())
    assert first["outcome"]["status"] == "complete"
    assert first["scores"], "it was tested"
    assert first["outcome"]["seconds"] >= first["share_seconds"]
    assert "The default, alone for all the hours" in (folder / "report.html").read_text()
    written = result.stat().st_mtime_ns
    (folder / "finished.json").unlink()
    assert netwright("resume", folder).returncode == 0
    assert result.stat().st_mtime_ns == written, "nothing is trained twice"

    done = netwright("resume", folder, "--hours", 0.0005)
    assert done.returncode == 0, done.stderr
    second = json.loads(result.read_text())
    assert second["share_seconds"] == pytest.approx(first["share_seconds"] + 1.8 * (1 - LARGEST_SHARE))
    known = [json.loads(line) for line in (result.parent / "curves.jsonl").read_text().splitlines()]
    epochs = [line["epoch"] for line in known if "epoch" in line]
    assert epochs == list(range(1, second["outcome"]["epochs"] + 1)), "it went on"
    assert second["outcome"]["epochs"] > first["outcome"]["epochs"]


def test_the_report_says_what_each_training_was_expected_to_reach(finished: Path) -> None:
    run = package.open_run(finished)
    racers = {racer.number: racer for racer in racers_of(run.folder, run.settings, run.trials)}
    latest = {c.number: c.reward for c in candidates_of(run.trials)}
    assert set(racers) == set(latest)
    page = (finished / "report.html").read_text()
    for racer in racers.values():
        assert racer.expected is not None
        score, deviation = racer.expected
        assert deviation >= 0
        assert f"{formatting.reward(score)} ± {formatting.reward(deviation)}" in page


def test_a_training_keeps_on_disk_what_the_plan_says(finished: Path) -> None:
    for candidate in candidates_of(package.open_run(finished).trials):
        assert candidate.latest is not None
        assert candidate.latest.outcome is not None
        files = [p for part in candidate.parts for p in trial_of(finished, part.number).glob("*.safetensors")]
        networks = {p.parent for p in files if p.name == "weights.safetensors"}
        last_two = {trial_of(finished, part.number) for part in candidate.complete[-2:]}
        assert networks == last_two
        assert {p.parent for p in files if p.name == "checkpoint.safetensors"} == {
            trial_of(finished, candidate.latest.number)
        }
        parameters = candidate.latest.outcome.cost.parameters
        assert parameters is not None
        # Weights and their average, what the optimizer keeps of each, and the networks of two parts.
        values = 2 + (1 if candidate.choice["optimizer"] == "sgd" else 2) + len(candidate.complete[-2:])
        size = sum(path.stat().st_size for path in files)
        assert 4 * values * parameters < size < 4.4 * values * parameters + 150_000
        assert 4 * values * parameters <= 1e6 * disk_mb(parameters)


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


@pytest.mark.slow  # test_killed.py fills a disk in a search of candidate after candidate
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root alone")
def test_a_full_disk_stops_the_race_and_nothing_is_lost(
    shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if run(["mount", "-t", "tmpfs", "-o", "size=5500k", "none", disk]).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    words = ["--recipe", "auto", "--workers", 1, "--hours", 0.008, *SMALL]
    try:
        done = netwright("search", shapes, "-o", disk / "run", *words)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "full" in done.stderr or "room" in done.stderr
        assert run(["mount", "-o", "remount,size=200m", disk]).returncode == 0
        before = {t.number: t for t in package.open_run(disk / "run").trials if t.reward is not None}
        assert before
        again = netwright("resume", disk / "run")
        assert again.returncode == 0, again.stderr
        after = {t.number: t for t in package.open_run(disk / "run").trials}
        assert all(after[number] == trial for number, trial in before.items())
        assert all(trial.status == "complete" for trial in after.values() if trial.continues in before)
    finally:
        run(["umount", "-l", disk])


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
    finished: Path, shapes: Path, netwright: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default as it was trained last is the only finalist, and that network is damaged."""
    monkeypatch.setattr("netwright.comparison.finalists.MOST_FINALISTS", 0)
    monkeypatch.setattr("netwright.comparison.finalists.WITH_SNAPSHOTS", 0)
    candidates = candidates_of(package.open_run(finished).trials)
    latest = candidates[0].latest
    assert candidates[0].default
    assert latest is not None
    weights = Path("trials", f"{latest.number:04d}", "weights.safetensors")
    folder, _ = ended_again(finished, tmp_path / "run", lambda folder: {folder / weights})
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    whole = {part.number: part.reward for c in candidates for part in c.complete[-2:] if part != latest}
    (member,) = json.loads((folder / "ensemble.json").read_text())["members"]
    best = max(whole, key=lambda number: (whole[number] or 0.0, -number))
    assert member["name"] == str(best)
    kept = trial_of(folder, best) / "weights.safetensors"
    assert (folder / "winner" / "weights.safetensors").read_bytes() == kept.read_bytes()
    report = (folder / "report.html").read_text()
    assert "since the finalists could not be compared" in report
    assert netwright("evaluate", folder, shapes).returncode == 0

    for path in (folder / "trials").glob("*/weights.safetensors"):
        damage(path)
    (folder / "finished.json").unlink()
    done = netwright("resume", folder)
    assert done.returncode == 1
    assert "No network of" in done.stderr
    assert "resume --hours" in done.stderr


@pytest.mark.slow  # test_commands.py measures for a plan, too
@pytest.mark.parametrize(
    ("trials", "told"),
    [
        ("", "in 2 h: the default alone is trained until the time is up"),
        (" --trials 40", "in 2 h: trainings that go on"),
    ],
)
def test_a_plan_promises_no_number_of_candidates(
    trials: str, told: str, dataset: Path, netwright: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.planning.cost.LEAST_SECONDS", 2.0)
    words = (*QUICK[:6], "--hours", 2, "--seconds", 5, "--single", "--compare", "full", *trials.split())
    done = netwright("plan", dataset, *words)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert "candidates an hour" not in done.stdout
    assert "warning    With 2 validation cases no network can be better than the default" in done.stdout
    command = f"netwright search {dataset} --recipe auto{trials} --hours 2 --workers 1 --single --compare full --set"
    assert command in done.stdout


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
