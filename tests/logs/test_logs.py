"""Logs of runs, read back by the libraries that they are written for."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netwright import open_run
from netwright.errors import SettingsError
from netwright.logs import LOGS, require_logs
from netwright.logs.follow import following
from netwright.runs.trials import TrialRecord
from netwright.training.outcome import Outcome, Status
from netwright_tests import SMALL

Epochs = list[tuple[str, int, float]]
"""Training, epoch, training loss, in order."""


def epochs_of_jsonl(root: Path) -> Epochs:
    entries = [json.loads(line) for line in (root / "log.jsonl").read_text().splitlines()]
    return [(e["training"], e["epoch"], e["train_loss"]) for e in entries if e["kind"] == "epoch"]


def epochs_of_tensorboard(root: Path) -> Epochs:
    logged = []
    for folder in sorted({file.parent for file in (root / "tensorboard").rglob("events*")}):
        events = EventAccumulator(str(folder)).Reload()
        name = folder.relative_to(root / "tensorboard").as_posix()
        if "train_loss" in events.Tags()["scalars"]:
            logged += [(name, e.step, round(e.value, 6)) for e in events.Scalars("train_loss")]
    return logged


def epochs_of_mlflow(root: Path) -> Epochs:
    with sqlite3.connect(root / "mlflow.db") as database:
        rows = database.execute(
            "SELECT tags.value, metrics.step, metrics.value FROM metrics JOIN tags USING (run_uuid) "
            "WHERE tags.key = 'netwright.training' AND metrics.key = 'train_loss' "
            "ORDER BY tags.value, metrics.step"
        ).fetchall()
    return [(str(name), int(step), float(value)) for name, step, value in rows]


READERS: dict[str, Callable[[Path], Epochs]] = {
    "jsonl": epochs_of_jsonl,
    "tensorboard": epochs_of_tensorboard,
    "mlflow": epochs_of_mlflow,
}


def write_curves(root: Path, training: str, losses: list[float], torn: str = "") -> None:
    """What a worker has written after so many epochs, and half a line more."""
    lines: list[dict[str, object]] = [{"planned_epochs": 9}]
    lines += [
        {"epoch": i, "train_loss": loss, "validation_score": None, "seconds": 1.5 * i}
        for i, loss in enumerate(losses, 1)
    ]
    folder = root / training
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + torn)


def record(number: int, status: str, reward: float | None = None) -> TrialRecord:
    outcome = Outcome(Status.COMPLETE, metrics={"dice": 0.5}, epochs=2) if status == "complete" else None
    return TrialRecord(number, {"width": 4, "kind": "a"}, status, "", reward, outcome, None, None, None)


RUNNING_TRIALS = [record(0, "running"), record(1, "running")]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's, with another run in it. MLflow takes seconds to make one; the search below begins without."""
    root = tmp_path_factory.mktemp("another")
    with following(root, ["mlflow"]):
        return root / "mlflow.db"


@pytest.fixture
def root(log: str, database: Path, tmp_path: Path) -> Path:
    """The folder of a run with that log."""
    if log == "mlflow":
        shutil.copy(database, tmp_path)
    return tmp_path


@pytest.mark.parametrize("log", LOGS)
def test_every_epoch_is_logged_once_however_often_a_run_is_resumed(root: Path, log: str) -> None:
    steps = [
        ("trials/0000", [0.5], '{"epoch": 2, "tra'),
        ("trials/0000", [0.5, 0.25], ""),
        ("trials/0001", [0.75, 0.5, 0.375], ""),
        ("winner", [0.125, 0.0625], ""),
    ]
    for training, losses, torn in steps:
        write_curves(root, training, losses, torn)
        with following(root, [log]) as follower:
            follower.follow(RUNNING_TRIALS)
            follower.follow(RUNNING_TRIALS)
    assert READERS[log](root) == [
        ("trials/0000", 1, 0.5),
        ("trials/0000", 2, 0.25),
        ("trials/0001", 1, 0.75),
        ("trials/0001", 2, 0.5),
        ("trials/0001", 3, 0.375),
        ("winner", 1, 0.125),
        ("winner", 2, 0.0625),
    ]


@pytest.mark.parametrize("log", ["jsonl", "tensorboard"])
def test_a_training_that_begins_anew_with_other_weights_is_logged_anew(tmp_path: Path, log: str) -> None:
    with following(tmp_path, [log]) as follower:
        for losses in ([0.5, 0.25], [0.75], [0.75, 0.5]):
            write_curves(tmp_path, "trials/0000", losses)
            follower.follow(RUNNING_TRIALS)
    assert [loss for _, _, loss in READERS[log](tmp_path)] == [0.5, 0.25, 0.75, 0.5]


@pytest.mark.parametrize("log", LOGS)
def test_every_trial_is_logged_once_when_it_has_ended(root: Path, log: str) -> None:
    for records in ([record(0, "running")], [record(0, "complete", 0.5), record(1, "crashed")]) * 2:
        with following(root, [log]) as follower:
            follower.follow(records)
            follower.follow(records)
    if log == "jsonl":
        entries = [json.loads(line) for line in (root / "log.jsonl").read_text().splitlines()]
        assert [(e["trial"], e["status"], e["values"]["reward"]) for e in entries] == [
            (0, "complete", 0.5),
            (1, "crashed", None),
        ]
        assert entries[0]["choice"] == {"width": 4, "kind": "a"}
        assert entries[0]["values"]["dice"] == 0.5
    elif log == "tensorboard":
        events = EventAccumulator(str(root / "tensorboard" / "search")).Reload()
        assert [(e.step, e.value) for e in events.Scalars("finished")] == [(0, 1.0), (1, 1.0)]
        assert [(e.step, e.value) for e in events.Scalars("reward")] == [(0, 0.5)]
    else:
        with sqlite3.connect(root / "mlflow.db") as database:
            assert database.execute("SELECT value FROM metrics WHERE key = 'final reward'").fetchall() == [
                (0.5,)
            ]
            assert database.execute("SELECT value FROM params WHERE key = 'width'").fetchall() == [
                ("4",),
                ("4",),
            ]
            states = database.execute("SELECT status FROM runs").fetchall()
        assert states == [("FINISHED",), ("FINISHED",)]


def test_a_line_that_a_kill_has_torn_is_written_again(tmp_path: Path) -> None:
    write_curves(tmp_path, "trials/0000", [0.5, 0.25])
    with following(tmp_path, ["jsonl"]) as follower:
        follower.follow(RUNNING_TRIALS)
    file = tmp_path / "log.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    with following(tmp_path, ["jsonl"]) as follower:
        follower.follow(RUNNING_TRIALS)
    assert epochs_of_jsonl(tmp_path) == [("trials/0000", 1, 0.5), ("trials/0000", 2, 0.25)]


@pytest.mark.parametrize("log", LOGS)
def test_names_of_labels_and_many_dimensions_are_taken(root: Path, log: str) -> None:
    outcome = Outcome(Status.COMPLETE, metrics={"dice.a+b (c), d&e": 0.25}, epochs=2)
    choice = {f"layer {i} (x)": i for i in range(101)}
    with following(root, [log, log]) as follower:
        follower.follow([TrialRecord(0, choice, "complete", "", 0.5, outcome, None, None, None)])
    if log == "jsonl":
        (entry,) = [json.loads(line) for line in (root / "log.jsonl").read_text().splitlines()]
        assert entry["values"]["dice.a+b (c), d&e"] == 0.25
        assert entry["choice"] == choice
    elif log == "tensorboard":
        events = EventAccumulator(str(root / "tensorboard" / "search")).Reload()
        assert [(e.step, e.value) for e in events.Scalars("dice.a+b (c), d&e")] == [(0, 0.25)]
    else:
        with sqlite3.connect(root / "mlflow.db") as database:
            assert database.execute("SELECT value FROM metrics WHERE key LIKE 'final dice%'").fetchall() == [
                (0.25,)
            ]
            assert database.execute("SELECT count(*) FROM params").fetchall() == [(101,)]


@pytest.mark.parametrize("log", LOGS)
def test_of_a_training_that_began_anew_the_epochs_of_the_later_one_are_known(root: Path, log: str) -> None:
    with following(root, [log]) as follower:
        for losses in ([0.5, 0.25, 0.125], [0.75, 0.5]):
            write_curves(root, "trials/0000", losses)
            follower.follow(RUNNING_TRIALS)
            time.sleep(0.01)
    write_curves(root, "trials/0000", [0.75, 0.5, 0.375])
    with following(root, [log]) as follower:
        follower.follow(RUNNING_TRIALS)
    assert 0.375 in [loss for _, _, loss in READERS[log](root)]


def test_a_look_costs_as_much_late_in_a_run_as_early(tmp_path: Path) -> None:
    def cost(finished: int) -> int:
        """The calls into the system that it takes to see one epoch more of a trial, after so many others."""
        run = tmp_path / str(finished)
        for number in range(finished + 1):
            write_curves(run, f"trials/{number:04d}", [0.5, 0.25])
        records = [record(number, "complete", 0.5) for number in range(finished)]
        with following(run, ["jsonl"]) as follower:
            follower.follow([*records, record(finished, "running")])
            write_curves(run, f"trials/{finished:04d}", [0.5, 0.25, 0.125])
            calls: list[str] = []

            def watch(frame: object, event: str, called: Any) -> None:
                if event == "c_call" and called.__module__ in ("posix", "io", "_io"):
                    calls.append(called.__name__)

            sys.setprofile(watch)
            try:
                follower.follow([*records, record(finished, "running")])
            finally:
                sys.setprofile(None)
        assert epochs_of_jsonl(run)[-1] == (f"trials/{finished:04d}", 3, 0.125)
        assert {"stat", "open"} <= set(calls)
        return len(calls)

    assert cost(200) == cost(10)


def test_a_log_that_cannot_be_written_costs_no_search(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_curves(tmp_path, "trials/0000", [0.5])
    shutil.copy(database, tmp_path)
    with following(tmp_path, ["mlflow"]) as follower:
        (tmp_path / "mlflow.db").write_bytes(b"no database")
        follower.follow([record(0, "complete", 0.5)])
    assert "cannot be written to" in caplog.text


def test_an_unknown_log_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"no log 'wandb'.*jsonl, tensorboard, mlflow"):
        require_logs(["jsonl", "wandb"])


def test_a_search_logs_its_trials_and_trainings(
    netwright: Callable[..., object], dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = [word for log in LOGS for word in ("--log", log)]
    quick = ("--set", "verdict.references=[]", "--set", "verdict.epochs=1")
    netwright("search", dataset, "--recipe", "segnas4", "-o", run, *SMALL, "--trials", 2, *quick, *options)
    trials = [t for t in open_run(run).trials if t.cached_from is None]
    curves = {
        path.parent.relative_to(run).as_posix(): [
            json.loads(line)["train_loss"] for line in path.read_text().splitlines()[1:]
        ]
        for path in run.rglob("curves.jsonl")
    }
    assert len(curves) >= len(trials) + 2
    for log, read in READERS.items():
        logged = read(run)
        for training, losses in curves.items():
            ours = [loss for name, _, loss in logged if name == training]
            assert ours == pytest.approx(losses, abs=1e-5), (log, training)
