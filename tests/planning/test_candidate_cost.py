"""Probes of candidates: what is known after each stage, and what is told when the time is up before the end."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from netwright import api
from netwright.cli.tables import plan_lines
from netwright.data.open import split_any
from netwright.planning.candidate_cost import measure
from netwright.planning.cost import RESERVE_SECONDS, Plan
from netwright.planning.one_shot_cost import OneShotPlan
from netwright.planning.probe import BESIDE, NOT_MEASURED, VALIDATION, Measurement, ProbeJob, _stages, probe
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_own, prepare_own
from netwright.spaces import make_space
from netwright.training.outcome import Status
from planning.steps import resolve

USER = UserSettings(workers=1, epochs=1, assignments={"space.n": [1, 4], "space.p": [1, 3]})


@pytest.fixture
def job(dataset: Path, tmp_path: Path) -> ProbeJob:
    settings = resolve(dataset, "segnas4", USER)
    prepared = prepare_own(open_own(settings), settings)
    splits = split_any(prepared, 0, settings.split)
    cases = prepared.indices(splits.training), prepared.indices(splits.validation)
    start = make_space(settings.space).starting_choice()
    return ProbeJob("start", settings, prepared.folder, dict(start), *cases, tmp_path / "notes", whole=True)


def test_each_stage_knows_more_than_the_one_before(job: ProbeJob) -> None:
    dry, stepped, validated, whole = _stages(job)
    assert dry.status == NOT_MEASURED
    assert dry.parameters
    assert dry.predicted_memory_mb
    assert dry.seconds_a_batch is None
    assert stepped.unmeasured == (VALIDATION, BESIDE)
    assert stepped.seconds_an_epoch is not None
    assert stepped.seconds_a_batch is not None
    assert stepped.seconds_an_epoch > stepped.seconds_a_batch, "a validation is reckoned"
    assert (validated.unmeasured, validated.seconds_beside) == ((BESIDE,), None)
    assert whole.unmeasured == ()
    assert whole.seconds_beside is not None
    assert {stage.status for stage in (stepped, validated, whole)} == {Status.COMPLETE}


def test_a_probe_whose_time_is_up_leaves_what_it_has_and_notes_it(job: ProbeJob) -> None:
    measured = probe(replace(job, seconds=0.0))
    assert measured.status == NOT_MEASURED
    noted = json.loads(job.notes.read_text())
    assert noted == json.loads(json.dumps(asdict(measured)))
    assert noted["parameters"] > 0


def test_without_time_nothing_is_measured_and_nothing_is_waited_for(job: ProbeJob) -> None:
    prepared = prepare_own(open_own(job.settings), job.settings)
    told: list[str] = []
    measured = measure(
        job.settings,
        prepared,
        (job.training, job.validation),
        [("one", job.choice), ("two", job.choice)],
        seconds=0.0,
        on_done=lambda one: told.append(one.name),
    )
    assert [one.status for one in measured] == [NOT_MEASURED] * 2
    assert told == ["one", "two"]
    assert all(one.choice for one in measured)


def test_the_time_in_which_the_space_is_made_is_a_part_of_the_plan_s(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []

    def slow_space(part: Any) -> Any:
        time.sleep(0.3)
        return make_space(part)

    def measure_seen(*arguments: Any, seconds: float, **options: Any) -> list[Measurement]:
        ends.append(time.monotonic() + seconds)
        return measure(*arguments, seconds=0.0, **options)

    monkeypatch.setattr("netwright.planning.cost.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("netwright.planning.cost.make_space", slow_space)
    monkeypatch.setattr("netwright.planning.cost.measure", measure_seen)
    begun = time.monotonic()
    api.plan(dataset, "segnas4", USER, seconds=100.0)
    assert 80.0 < ends[0] - begun < 100.0 - RESERVE_SECONDS + 0.1


def test_a_plan_says_what_there_was_no_time_for(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.planning.cost.LEAST_SECONDS", 0.0)
    stages: list[str] = []
    plan = api.plan(dataset, "segnas4", USER, stages.append, seconds=0.1)
    assert isinstance(plan, Plan)
    assert plan.seconds_a_candidate is None
    assert stages[-5:] == [
        f"{name}: not measured" for name in ("start", *(f"random {i}" for i in range(1, 5)))
    ]
    told = "\n".join(plan_lines(plan, dataset, ["--workers", "1"]))
    assert "not measured: start, random 1, random 2, random 3 and random 4" in told
    assert f"netwright plan {dataset} --recipe segnas4 --workers 1 --seconds 600" in told
    assert "can be trained here" not in told, "it was not tried"
    assert "slower ones" not in told, "nothing was measured, so nothing is said of candidates"
    start, *others = plan.measurements
    known = replace(start, status="complete", seconds_an_epoch=1.0, peak_memory_mb=1.0, parameters=1)
    partly = "\n".join(plan_lines(replace(plan, measurements=(known, *others)), dataset))
    assert "not measured: random 1, random 2, random 3 and random 4" in partly
    assert "They may be the slower ones" in partly
    assert json.loads(json.dumps(plan.to_dict()))["measurements"][0]["status"] == NOT_MEASURED


def test_a_plan_of_shared_weights_answers_without_time_too(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.planning.cost.LEAST_SECONDS", 0.0)
    plan = api.plan(dataset, "pdas-segnas7", replace(USER, epochs=None, assignments=None), seconds=0.1)
    assert isinstance(plan, OneShotPlan)
    assert plan.seconds_a_step is None
    told = "\n".join(plan_lines(plan, dataset))
    assert "search     not measured" in told
    assert "not measured: network 1" in told
