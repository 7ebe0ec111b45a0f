"""Candidates whose trainings go on, from their trials."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.runs.candidates import candidates_of, curve_of
from netwright.runs.folder import RunFolder
from netwright.runs.trials import RUNNING, STOPPED, TrialRecord, best_of
from netwright.training.fidelity import Fidelity
from netwright.training.files import CURVES
from netwright.training.outcome import Outcome, Status


def part(
    number: int, seconds: float, reward: float | None, continues: int | None = None, **more: Any
) -> TrialRecord:
    status = more.pop("status", Status.COMPLETE.value)
    outcome = None
    if status not in (RUNNING, STOPPED):
        outcome = Outcome(Status(status), more.get("reason", ""), fidelity=Fidelity(seconds, "seconds"))
    record = TrialRecord(
        number, {"x": number}, status, "", reward, outcome, None, 0.0, 1.0, continues=continues
    )
    return replace(record, **more)


def test_parts_belong_to_the_candidate_that_they_go_on_with() -> None:
    first, second = candidates_of(
        [part(0, 10, 0.5), part(1, 10, 0.6), part(2, 20, 0.55, 0), part(3, 40, 0.7, 2), part(4, 20, 0.65, 1)]
    )
    assert [p.number for p in first.parts] == [0, 2, 3]
    assert [p.number for p in second.parts] == [1, 4]
    assert (first.number, first.reward, first.seconds) == (0, 0.7, 40)


def test_a_repeated_proposal_is_no_candidate() -> None:
    (only,) = candidates_of([part(0, 10, 0.5), part(1, 10, 0.5, cached_from=0)])
    assert only.number == 0


def test_a_part_in_training_keeps_what_the_one_before_reached() -> None:
    (candidate,) = candidates_of([part(0, 10, 0.5), part(1, 30, None, 0, status=RUNNING)])
    assert candidate.running
    assert (candidate.reward, candidate.seconds, candidate.ended) == (0.5, 10, "")


def test_a_candidate_that_diverged_has_ended_but_keeps_its_last_score() -> None:
    (candidate,) = candidates_of(
        [part(0, 10, 0.5), part(1, 30, None, 0, status="diverged", reason="the loss became nan")]
    )
    assert candidate.ended == "the loss became nan"
    assert candidate.reward == 0.5


def test_the_end_of_the_time_ends_no_candidate_as_there_may_be_more_hours() -> None:
    gone_on, begun = candidates_of(
        [
            part(0, 10, 0.5),
            part(1, 10, None, status=STOPPED, reason="the time was up"),
            part(2, 30, None, 0, status=STOPPED),
        ]
    )
    assert gone_on.ended == ""
    assert begun.ended == ""


def test_a_curve_has_validations_within_parts_and_the_end_of_each(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (candidate,) = candidates_of([part(0, 10, 0.5), part(1, 30, 0.7, 0)])
    folder.trial(1).mkdir(parents=True)
    lines = [
        {"planned_epochs": 9},
        {"seconds": 5.0, "validation_score": 0.3},
        {"seconds": 8.0, "validation_score": None},
        {"seconds": 20.0, "validation_score": 0.6},
        {"seconds": 29.9, "validation_score": 0.7},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"seconds": 3'
    (folder.trial(1) / CURVES).write_text(text, encoding="utf-8")
    assert curve_of(folder, candidate, within=True) == ((5, 0.3), (10, 0.5), (20, 0.6), (30, 0.7))
    assert curve_of(folder, candidate, within=False) == ((10, 0.5), (30, 0.7))


def test_the_best_trial_is_the_last_part_of_the_best_training() -> None:
    records = [part(0, 10, 0.9), part(1, 10, 0.6), part(2, 20, 0.7, 0), part(3, 20, 0.65, 1)]
    best = best_of(records)
    assert best is not None
    assert best.number == 2, "0.9 was a chance of a network that is gone"


def test_a_repeated_proposal_of_a_part_that_went_on_is_not_the_best() -> None:
    records = [part(0, 10, 0.8), part(1, 10, 0.8, cached_from=0), part(2, 20, 0.7, 0)]
    best = best_of(records)
    assert best is not None
    assert best.number == 2
