"""How a network that was found is trained anew."""

from __future__ import annotations

import itertools
import json
import signal
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file

from netwright.api import create_run
from netwright.api.run import Run
from netwright.comparison.contestants import Entry
from netwright.comparison.retrain import (
    ContestantJob,
    FinalComparison,
    cases_of,
    train_protocol,
    verdict_protocol,
)
from netwright.data.splits import Splits
from netwright.errors import SettingsError, StorageError
from netwright.execution.base import WorkerLost
from netwright.planning.candidate_time import share_hours
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import SearchData, open_run_data
from netwright.runs.folder import RunFolder
from netwright.runs.results import RESULT
from netwright.runs.trials import store_outcome
from netwright.searches.components import open_study
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.settings import RunSettings, override, parse_settings, read_settings
from netwright.spaces import make_space
from netwright.training.files import CHECKPOINT
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed
from planning.steps import after, resolve

pytestmark = pytest.mark.usefixtures("shared_workers")
MARL = ("marl-vgg16", "marl-googlenet", "marl-unet", "marl")
BOTH = "training+validation"


def settings_of(recipe: str, **assignments: Any) -> RunSettings:
    given = {name.replace("__", "."): value for name, value in assignments.items()}
    return resolve(Path("dataset"), recipe, UserSettings(workers=1, assignments=given))


@pytest.mark.parametrize("recipe", MARL)
def test_train_goes_to_the_convergence_of_section_vii(recipe: str) -> None:
    protocol = train_protocol(settings_of(recipe), None, None)
    assert (protocol.patience, protocol.minimum_gain) == (10, 1e-4), "0.01 % in 10 successive epochs"
    assert protocol.epochs == 1000, "so many that the rule ends it"
    assert (protocol.schedule, protocol.steps, protocol.seconds, protocol.early) == (
        "constant",
        None,
        None,
        None,
    )
    assert train_protocol(settings_of(recipe), 4, None).epochs == 4
    hours = train_protocol(settings_of(recipe), None, 0.5)
    assert (hours.seconds, hours.patience) == (1800.0, None)


@pytest.mark.parametrize("recipe", ["segnas4", "policy-gradient", "pdas-cells", "pdas-inpainting"])
def test_other_recipes_train_as_their_candidates(recipe: str) -> None:
    settings = settings_of(recipe)
    ours, theirs = train_protocol(settings, None, None), settings.training
    assert replace(ours, threads=theirs.threads) == theirs


def test_the_comparison_trains_as_the_recipe_does_where_that_is_asked() -> None:
    usual = verdict_protocol(settings_of("marl-unet"), 60.0)
    assert (usual.schedule, usual.patience) == ("cosine", None)
    asked = verdict_protocol(settings_of("marl-unet", verdict__schedule="recipe"), 60.0)
    assert (asked.schedule, asked.patience, asked.seconds, asked.epochs) == ("constant", 10, 60.0, 1000)
    assert verdict_protocol(settings_of("segnas4", verdict__schedule="recipe"), 60.0).schedule == "constant"
    falling = verdict_protocol(settings_of("pdas-cells", verdict__schedule="recipe"), 60.0)
    assert (falling.schedule, falling.warm_up, falling.patience) == ("cosine", False, None)


@pytest.mark.parametrize("recipe", ["marl-unet", "segnas4"])
def test_a_search_limited_in_hours_takes_nothing_from_the_comparison(recipe: str) -> None:
    """Its candidates fall along a cosine, without patience; the recipe's networks do not."""
    given = {"verdict.schedule": "recipe"}
    plain = resolve(Path("dataset"), recipe, UserSettings(assignments=given))
    hours = resolve(Path("dataset"), recipe, UserSettings(hours=1.0, assignments=given))
    shared = after(hours, lambda draft, _: share_hours(draft, 0.1))
    assert (shared.training.schedule, shared.training.patience) == ("cosine", None)
    found, wanted = verdict_protocol(shared, 60.0), verdict_protocol(plain, 60.0)
    assert (found.schedule, found.patience) == (wanted.schedule, wanted.patience)


def test_runs_made_before_these_settings_train_as_they_did(tmp_path: Path) -> None:
    values = settings_of("pdas-cells").model_dump(mode="json")
    del values["train"], values["verdict"]["schedule"]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    settings = read_settings(tmp_path / "run.yaml")
    assert settings.train.cases == "training"
    assert verdict_protocol(settings, 60.0).schedule == "cosine"
    assert train_protocol(settings, None, None).epochs == settings.training.epochs == 600


def test_pdas_alone_trains_on_all_but_the_test_cases() -> None:
    assert [settings_of(name).train.cases for name in ("pdas-cells", "pdas-inpainting")] == [BOTH, BOTH]
    assert {
        settings_of(name).train.cases for name in (*MARL, "segnas4", "policy-gradient", "pdas-segnas7")
    } == {"training"}


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("marl-unet", {}),
        ("policy-gradient", {}),
        ("segnas4", {"train.patience": 3}),
        ("segnas4", {"training.patience": 3}),
    ],
)
def test_what_goes_by_the_validation_cases_is_not_trained_on_them(recipe: str, given: dict[str, Any]) -> None:
    with pytest.raises(
        SettingsError, match=r"train\.cases=training\+validation.*Set .* or train\.cases=training"
    ):
        resolve(Path("dataset"), recipe, UserSettings(assignments={"train.cases": BOTH, **given}))


TINY = {
    "space.network": "tiny_networks:segmenter",
    "training.device": "cpu",
    "termination.slower_than_start": None,
}


def run_of_one_trial(cells: Path, folder: Path, **given: Any) -> Run:
    """A run in whose storage one candidate is complete."""
    run = create_run(cells, "marl", UserSettings(trials=1, workers=1, assignments={**TINY, **given}), folder)
    study = open_study(run.folder, run.settings)
    trial = study.ask(make_space(run.settings.space).distributions())
    store_outcome(study, trial, Outcome(Status.COMPLETE, metrics={"dice": 0.5}), 0.5)
    return run


@pytest.mark.parametrize(("kills", "status", "left"), [(1, "out_of_memory", 0), (0, "crashed", 1)])
def test_what_a_killed_worker_has_left_goes_with_the_final_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, status: str, left: int
) -> None:
    """Only an entry that is tried again keeps its checkpoint. ``kills``: for memory, in each attempt."""
    count = itertools.count(0, kills)
    monkeypatch.setattr("netwright.execution.run_jobs.kills_for_memory", lambda: next(count))

    class Killing:
        def submit(self, function: Any, *arguments: Any) -> Future[Any]:
            job: ContestantJob = arguments[0]
            job.candidate.folder.mkdir(parents=True, exist_ok=True)
            (job.candidate.folder / CHECKPOINT).write_bytes(b"of a killed worker")
            future: Future[Any] = Future()
            future.set_exception(WorkerLost(signal.SIGKILL, "gone"))
            return future

        def shutdown(self) -> None:
            pass

    folder, data = RunFolder(tmp_path), SearchData(tmp_path, (0, 1), (2,))
    FinalComparison(folder, settings_of("marl"), data, (), 1.0).run(
        [Entry("original", "Original", {}, None)], Killing()
    )
    result = json.loads((folder.contestant("original") / RESULT).read_text())
    assert result["outcome"]["status"] == status
    assert len(list(tmp_path.rglob(CHECKPOINT))) == left


def test_a_final_result_that_cannot_be_stored_costs_no_checkpoint(tmp_path: Path) -> None:
    class Trained:
        def submit(self, function: Any, *arguments: Any) -> Future[Any]:
            job: ContestantJob = arguments[0]
            job.candidate.folder.mkdir(parents=True, exist_ok=True)
            (job.candidate.folder / CHECKPOINT).write_bytes(b"of the worker")
            if not stored:
                result.mkdir()  # so that no file can be written there
            future: Future[Any] = Future()
            future.set_result(
                {"outcome": Outcome(Status.COMPLETE, metrics={"dice": 0.5}).to_dict(), "scores": {}}
            )
            return future

        def shutdown(self) -> None:
            pass

    folder, data = RunFolder(tmp_path), SearchData(tmp_path, (0, 1), (2,))
    comparison = FinalComparison(folder, settings_of("marl"), data, (), 1.0)
    who = [Entry("original", "Original", {}, None)]
    result = folder.contestant("original") / RESULT
    stored = False
    with pytest.raises(StorageError):
        comparison.run(who, Trained())
    assert len(list(tmp_path.rglob(CHECKPOINT))) == 1
    result.rmdir()
    stored = True
    comparison.run(who, Trained())
    assert not list(tmp_path.rglob(CHECKPOINT))
    (result.parent / CHECKPOINT).write_bytes(
        b"of a search that was killed just after it had stored the result"
    )
    comparison.run(who, Trained())
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_train_ends_by_the_rule_of_the_paper(cells: Path, tmp_path: Path) -> None:
    """No metric gains 2: the first epoch is the best, and ten more bring nothing."""
    _, outcome = run_of_one_trial(cells, tmp_path / "run", **{"training.minimum_gain": 2.0}).train()
    assert outcome.epochs == 11


def test_train_learns_from_the_validation_cases_and_from_no_test_case(cells: Path, tmp_path: Path) -> None:
    """The weights are, bit for bit, those of a run whose training part holds both parts."""
    given = {"train.cases": BOTH, "training.patience": None, "train.patience": None, "train.epochs": 2}
    run = run_of_one_trial(cells, tmp_path / "run", **given)
    settings, splits = run.settings, run.folder.splits()
    chosen = run.trials[0].choice
    run.train()
    ours = load_file(tmp_path / "run" / "trained" / "0000" / "weights.safetensors")

    data = open_run_data(run.folder, settings).data
    assert set(cases_of(settings, data)) == {*data.training, *data.validation}
    assert len(cases_of(settings, data)) == len(splits.training) + len(splits.validation)
    whole = RunFolder(tmp_path / "whole")
    whole.root.mkdir()
    (whole.root / "run.yaml").write_text(
        parse_settings(override(settings.model_dump(mode="json"), {"train.cases": "training"})).to_yaml()
    )
    both = Splits((*splits.training, *splits.validation), splits.validation, splits.test)
    whole.splits_file.write_text(json.dumps(both.to_dict()))
    run_data = open_run_data(whole, whole.settings())
    job = CandidateJob(
        settings=whole.settings(),
        prepared=run_data.prepared.folder,
        training=run_data.data.training,
        validation=run_data.data.validation,
        choice=chosen,
        reference=None,
        protocol=train_protocol(whole.settings(), None, None),
        seed=derive_seed(settings.seed, "trial", 0),
        folder=tmp_path / "theirs",
        memory_limit_mb=None,
    )
    assert run_candidate(job)["status"] == "complete"
    theirs = load_file(tmp_path / "theirs" / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
