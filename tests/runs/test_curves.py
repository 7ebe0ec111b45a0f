"""Curves on disk, those of version 0.1 among them, and outcomes that it stored."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from netwright.api.progress import Progress, report_epochs
from netwright.execution.run_jobs import Job, run_jobs
from netwright.runs.status import read_curves
from netwright.training.files import CURVES
from netwright.training.history import Curves, EpochRecord
from netwright.training.outcome import Outcome, Status

EPOCHS = [(0.9, 0.25), (0.7, None), (0.6, 0.5)]


def test_written_curves_are_read(tmp_path: Path) -> None:
    curves = Curves(tmp_path / CURVES)
    curves.start(5)
    for epoch, (loss, score) in enumerate(EPOCHS, 1):
        curves.add(EpochRecord(epoch, 5, loss, score, 1e-3, float(epoch)))
    curves.close()
    expected = {"train_loss": [0.9, 0.7, 0.6], "validation_score": [0.25, None, 0.5]}
    assert read_curves(tmp_path) == (5, expected)


def test_a_training_is_followed_through_its_curves(tmp_path: Path) -> None:
    told: list[Progress] = []
    heard = threading.Event()

    def training(_: None) -> None:
        curves = Curves(tmp_path / CURVES)
        curves.start(5)
        for epoch, (loss, score) in enumerate(EPOCHS[:2], 1):
            curves.add(EpochRecord(epoch, 5, loss, score, 1e-3, float(epoch)))
        curves.close()
        assert heard.wait(20)

    def on_epoch(progress: Progress) -> None:
        told.append(progress)
        if progress.epoch == 2:
            heard.set()

    with ThreadPoolExecutor(1) as pool:
        jobs = [Job(training, lambda device: None)]
        (done,) = run_jobs(pool, jobs, retries=0, on_tick=report_epochs(tmp_path, on_epoch))
    assert done.failure is None
    assert told[-1] == Progress(2, 5, 0.7, 0.25), "the score of the last validation"


def test_curves_of_version_0_1_are_read_as_scores(tmp_path: Path) -> None:
    lines = [{"planned_epochs": 3}]
    lines += [{"epoch": n, "train_loss": a, "validation_dice": b} for n, (a, b) in enumerate(EPOCHS, 1)]
    (tmp_path / CURVES).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    expected = {"train_loss": [0.9, 0.7, 0.6], "validation_score": [0.25, None, 0.5]}
    assert read_curves(tmp_path) == (3, expected)


def test_outcomes_of_version_0_1_are_read() -> None:
    old = {
        "status": "complete",
        "metrics": {"dice": 0.5},
        "cost": {"parameters": 10, "inference_ms": 3.0},
        "curves": {"train_loss": [0.9], "validation_dice": [0.5]},
        "epochs": 1,
        "planned_epochs": 1,
        "seconds": 2.0,
    }
    outcome = Outcome.from_dict(old)
    assert outcome.status is Status.COMPLETE
    assert outcome.curves == {"train_loss": [0.9], "validation_score": [0.5]}
    assert (outcome.restarts, outcome.loss_met_epoch) == (0, None)
    assert (outcome.cost.inference_ms, outcome.cost.inference_ms_per_batch) == (3.0, None)
