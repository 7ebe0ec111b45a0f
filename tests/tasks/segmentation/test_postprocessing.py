"""The CRF of a run: fitted to a trained network, stored beside its weights, applied alike by all that use it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from netwright.api import create_run, open_run
from netwright.comparison.retrain import ContestantJob, results_of, run_contestant
from netwright.data.open import open_any
from netwright.data.volumes.prepared import Prepared
from netwright.errors import MemoryShortage, RunError, SettingsError
from netwright.execution import notes
from netwright.files import read_json, write_json
from netwright.models.store import load_trained
from netwright.planning.draft import Draft
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.comparison import comparison_of
from netwright.report.collect.run import write_report
from netwright.report.results import Contestant
from netwright.runs.data import RunData, open_run_data
from netwright.runs.folder import RunFolder
from netwright.searches.jobs import CandidateJob
from netwright.settings import parse_settings
from netwright.spaces import make_space
from netwright.tasks import TASKS
from netwright.tasks.segmentation.crf_fitting import FittedCRF
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.postprocessing import (
    POSTPROCESSING,
    fit_postprocessing,
    fitting_cases,
    read_fitted,
)
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.report import with_fitted_crf

STRONG = DenseCRF(3.0, 2.0, 6.0, 4.0, 1.0)
KEPT = FittedCRF(True, "a test", STRONG, 2, 2, 0.5, 0.6, 0.1, 0.01, 9, 1.0, False)

pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")


def reported(folder: RunFolder) -> Contestant:
    """The searched network as the report gets it."""
    settings = folder.settings()
    space = make_space(settings.space)
    return with_fitted_crf(comparison_of(folder, settings, space, (), "dice").contestants[0])


def settings_with(crf: bool = True) -> Draft:
    return Draft.begin(
        {
            "recipe": "segnas4",
            "dataset": {"path": "somewhere"},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
            "postprocessing": {"crf": crf},
        }
    )


def test_is_refused_where_nothing_is_segmented(dataset: Path) -> None:
    TASKS["segmentation"].choose_settings(settings_with(), open_any(dataset), repeats=False)
    TASKS["segmentation"].refuse_settings(settings_with(crf=False), "classification")
    with pytest.raises(
        SettingsError, match=r"postprocessing\.crf.*classification.*postprocessing\.crf=false"
    ):
        TASKS["segmentation"].refuse_settings(settings_with(), "classification")


def test_a_missing_library_is_told_before_anything_is_trained(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    with pytest.raises(SettingsError, match=r"netwright\[crf\].*--set postprocessing\.crf=false.*--no-crf"):
        TASKS["segmentation"].choose_settings(settings_with(), open_any(dataset), repeats=False)
    TASKS["segmentation"].choose_settings(settings_with(crf=False), open_any(dataset), repeats=False)


def test_that_of_a_recipe_is_left_out_for_regions_and_one_that_is_set_is_refused(dataset: Path) -> None:
    """A CRF gives each voxel one label, and regions overlap."""
    opened = open_any(dataset, regions={"whole": (1, 2), "part": (2,)})
    draft = settings_with()
    TASKS["segmentation"].choose_settings(draft, opened, repeats=False)
    assert draft.postprocessing.crf is False
    asked = Draft.begin(settings_with().finished().model_dump(), frozenset({"postprocessing.crf"}))
    for repeats in (False, True):
        with pytest.raises(SettingsError, match=r"regions overlap, and .* has the regions whole, part"):
            TASKS["segmentation"].choose_settings(asked, opened, repeats=repeats)


def test_cases_are_spread_over_the_validation_part(run_data: RunData) -> None:
    prepared = run_data.prepared
    assert isinstance(prepared, Prepared)
    everyone = tuple(range(len(prepared)))
    assert fitting_cases(prepared, everyone, 100) == everyone
    assert fitting_cases(prepared, everyone, 3) == (everyone[0], everyone[4], everyone[-1])
    assert fitting_cases(prepared, (5,), 3) == (5,)


@pytest.fixture(scope="module")
def folder(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that has not begun, whose networks get a CRF."""
    changes = {"space.n": [2, 4], "space.p": [1, 2], "postprocessing.crf": True, "postprocessing.cases": 4}
    user = UserSettings(trials=1, epochs=2, workers=1, seed=1, assignments=changes)
    output = tmp_path_factory.mktemp("runs") / "crf"
    return create_run(dataset, "segnas4", user, output).folder


@pytest.fixture(scope="module")
def run_data(folder: RunFolder) -> RunData:
    return open_run_data(folder, folder.settings())


def contestant_job(folder: RunFolder, run_data: RunData) -> ContestantJob:
    """The winner of the final comparison."""
    settings = folder.settings()
    candidate = CandidateJob(
        settings=settings,
        prepared=run_data.prepared.folder,
        training=run_data.data.training,
        validation=run_data.data.validation,
        choice=make_space(settings.space).starting_choice(),
        reference=None,
        protocol=settings.training,
        seed=1,
        folder=folder.winner,
        memory_limit_mb=None,
    )
    return ContestantJob(candidate, run_data.test, searched=True)


@pytest.fixture(scope="module")
def result(folder: RunFolder, run_data: RunData) -> dict[str, Any]:
    """The winner, trained and tested as in the final comparison."""
    job = contestant_job(folder, run_data)
    found = run_contestant(job)
    entry = {
        "name": "searched",
        "title": "the searched network",
        "choice": job.candidate.choice,
        "reference": None,
    }
    write_json(folder.winner / "result.json", {**entry, **found})
    return found


def test_every_contestant_gets_one_and_its_figures(
    folder: RunFolder, run_data: RunData, result: dict[str, Any]
) -> None:
    fitted = FittedCRF.from_dict(read_json(folder.winner / POSTPROCESSING))
    assert fitted.cases == min(4, len(run_data.data.validation))
    network = load_trained(folder.winner, folder.settings(), "cpu")
    assert isinstance(network, Segmenter)
    assert network.crf == (fitted.crf if fitted.kept else None)
    names = {case.name for case in run_data.test}
    assert set(result["scores"]) == set(result["hausdorff_95_mm"]) == names
    assert ("scores_without_crf" in result) == fitted.kept
    assert ("scores_with_unkept_crf" in result) == (fitted.crf is not None and not fitted.kept)
    assert str(network.test(run_data.test).dice) == str(result["scores"])
    details = reported(folder).details
    assert str(details["crf"]) == str(fitted)
    assert details["hausdorff_95_mm"].keys() == names


def test_always_applies_it_where_the_validation_cases_cannot_tell(
    folder: RunFolder, run_data: RunData, result: dict[str, Any], tmp_path: Path
) -> None:
    network = load_trained(folder.winner, folder.settings(), "cpu")
    assert isinstance(network, Segmenter)
    assert isinstance(run_data.prepared, Prepared)
    one = run_data.data.validation[:1]
    for crf, kept in ((True, False), ("always", True)):
        values = {**folder.settings().model_dump(mode="json")}
        settings = parse_settings({**values, "postprocessing": {**values["postprocessing"], "crf": crf}})
        assert settings.postprocessing.crf == crf
        made = fit_postprocessing(tmp_path, settings, replace(network, crf=None), run_data.prepared, one)
        assert (made.crf is not None) == kept
        fitted = read_fitted(tmp_path)
        assert fitted is not None
        assert fitted.kept == kept


def test_frames_of_a_patient_are_fitted_as_one(
    folder: RunFolder, run_data: RunData, result: dict[str, Any], tmp_path: Path
) -> None:
    prepared = run_data.prepared
    assert isinstance(prepared, Prepared)
    cases = tuple(replace(case, group=f"patient {i // 2}") for i, case in enumerate(prepared.cases))
    network = load_trained(folder.winner, folder.settings(), "cpu")
    assert isinstance(network, Segmenter)
    fit_postprocessing(tmp_path, folder.settings(), network, replace(prepared, cases=cases), (0, 1))
    found = read_fitted(tmp_path)
    assert found is not None
    assert (found.cases, found.groups, found.kept) == (2, 1, False)


@pytest.fixture
def kept(folder: RunFolder, result: dict[str, Any], tmp_path: Path) -> RunFolder:
    """A copy of the run, in which a strong CRF was kept for the winner."""
    copy = RunFolder(tmp_path / "run")
    shutil.copytree(folder.root, copy.root)
    write_json(copy.winner / POSTPROCESSING, KEPT.to_dict())
    return copy


def test_is_applied_alike_by_the_test_evaluate_and_predict(
    kept: RunFolder, run_data: RunData, dataset: Path, tmp_path: Path
) -> None:
    run = open_run(kept.root)
    network = load_trained(kept.winner, kept.settings(), "cpu")
    assert isinstance(network, Segmenter)
    assert network.crf == STRONG
    tested = network.test(run_data.test, tmp_path / "tested")
    assert tested.dice != tested.dice_without_crf

    evaluated, plain = run.evaluate(dataset), run.evaluate(dataset, postprocessing=False)
    assert (evaluated.postprocessed, plain.postprocessed) == (evaluated.crf, plain.crf) == (True, False)
    assert [any("crf " in remark for remark in one.remarks) for one in (evaluated, plain)] == [True, False]
    assert str(evaluated.cases) == str({case: tested.dice[case] for case in evaluated.cases})
    assert str(plain.cases) == str({case: tested.dice_without_crf[case] for case in plain.cases})
    assert str(evaluated.distances) == str({case: tested.distances[case] for case in evaluated.cases})
    assert evaluated.details["hausdorff_95_mm"] is evaluated.distances
    plain_values = json.loads(json.dumps(evaluated.to_dict(), allow_nan=False))
    assert plain_values["crf"] is plain_values["postprocessed"] is True
    assert plain_values["distances"] == plain_values["details"]["hausdorff_95_mm"] != {}

    images = tmp_path / "images"
    images.mkdir()
    for case in run_data.test:
        shutil.copy(case.images[0], images)  # type: ignore[union-attr]
    differs = False
    for path in run.predict(images, tmp_path / "predicted"):
        found = np.asarray(nibabel.load(path).dataobj)
        np.testing.assert_array_equal(
            found, np.asarray(nibabel.load(tmp_path / "tested" / path.name).dataobj)
        )
        without = run.predict(images / path.name, tmp_path / "without", crf=False)[0]
        differs |= bool((np.asarray(nibabel.load(without).dataobj) != found).any())
    assert differs


def test_one_that_was_not_kept_is_tested_for_the_winner_alone(kept: RunFolder, run_data: RunData) -> None:
    job = contestant_job(kept, run_data)
    with_it = results_of(load_trained(kept.winner, kept.settings(), "cpu"), job)
    assert "scores_with_unkept_crf" not in with_it
    write_json(kept.winner / POSTPROCESSING, replace(KEPT, kept=False).to_dict())
    network = load_trained(kept.winner, kept.settings(), "cpu")
    beside = results_of(network, job)
    assert str(beside["scores"]) == str(with_it["scores_without_crf"])
    assert str(beside["scores_with_unkept_crf"]) == str(with_it["scores"])
    assert beside.keys().isdisjoint({"scores_without_crf"})
    assert "scores_with_unkept_crf" not in results_of(network, replace(job, searched=False))
    values = read_json(kept.winner / "result.json")
    write_json(kept.winner / "result.json", {**values, **beside})
    page = write_report(kept, kept.settings(), run_data).read_text(encoding="utf-8")
    assert "It would change the network from" in page


def test_too_little_memory_is_told_before_the_search(
    folder: RunFolder, run_data: RunData, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(notes, "_SAID", set())
    monkeypatch.setattr(notes, "_TO", [told.append])
    settings, prepared, task = folder.settings(), run_data.prepared, TASKS["segmentation"]
    task.finish_settings(settings, prepared)
    assert not told
    little = settings.machine.model_copy(update={"memory_limit_mb": 1.0})
    task.finish_settings(settings.model_copy(update={"machine": little}), prepared)
    assert isinstance(prepared, Prepared)
    voxels = max(prepared.image(index)[0].size for index in range(len(prepared.cases)))
    (text,) = told
    assert f"about {voxels * (500 + 60 * 4 + 150) / 1e6:,.0f} MB for the largest volumes" in text
    assert "there are 1 MB for it" in text
    assert "--set postprocessing.crf=false" in text


def test_too_little_memory_on_the_test_cases_loses_nothing_but_the_crf(
    kept: RunFolder, run_data: RunData, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_trained(kept.winner, kept.settings(), "cpu")
    assert isinstance(network, Segmenter)
    plain = network.test(run_data.test).dice_without_crf
    monkeypatch.setattr("netwright.tasks.segmentation.dense_crf._library_mb", lambda *_: 1e12)
    found = results_of(network, contestant_job(kept, run_data))
    assert str(found["scores"]) == str(plain)
    assert "scores_without_crf" not in found
    fitted = open_run(kept.root).postprocessing()
    assert fitted is not None
    assert isinstance(fitted, FittedCRF)
    assert (fitted.kept, fitted.crf) == (False, STRONG)
    assert fitted.reason == "there is not enough memory for it on the test cases"
    assert fitted.words == ("CRF", f"not kept: {fitted.reason}")
    again = load_trained(kept.winner, kept.settings(), "cpu")
    assert isinstance(again, Segmenter)
    assert again.crf is None
    beside = results_of(again, contestant_job(kept, run_data))
    assert str(beside["scores"]) == str(plain)
    assert "scores_with_unkept_crf" not in beside


def test_too_little_memory_in_evaluate_says_what_to_do(
    kept: RunFolder, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.tasks.segmentation.dense_crf._library_mb", lambda *_: 1e12)
    run = open_run(kept.root)
    with pytest.raises(MemoryShortage, match="--no-crf"):
        run.evaluate(dataset)
    assert run.evaluate(dataset, crf=False).metrics, "the former name"


def test_one_that_was_not_kept_is_not_applied(kept: RunFolder) -> None:
    write_json(kept.winner / POSTPROCESSING, replace(KEPT, kept=False).to_dict())
    network = load_trained(kept.winner, kept.settings(), "cpu")
    assert isinstance(network, Segmenter)
    assert network.crf is None
    found = open_run(kept.root).postprocessing()
    assert found is not None
    assert not found.kept


def test_runs_of_early_versions_have_none(kept: RunFolder, run_data: RunData) -> None:
    (kept.winner / POSTPROCESSING).unlink()
    values = read_json(kept.winner / "result.json")
    early = {k: v for k, v in values.items() if k not in ("hausdorff_95_mm", "scores_without_crf")}
    write_json(kept.winner / "result.json", early)
    assert open_run(kept.root).postprocessing() is None
    details = reported(kept).details
    assert details["crf"] is None
    assert details.keys().isdisjoint({"hausdorff_95_mm", "scores_without_crf"})


def test_a_damaged_file_is_named(kept: RunFolder) -> None:
    write_json(kept.winner / POSTPROCESSING, {"kept": True})
    with pytest.raises(RunError, match=r"postprocessing\.json is damaged"):
        load_trained(kept.winner, kept.settings(), "cpu")
