"""Cross-validation: which cases each fold holds out, and the ensemble of the folds' networks as one model."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.api import open_run
from netwright.api.run import Run
from netwright.api.series import Series, create_series, open_series
from netwright.data.open import open_prepared_any
from netwright.errors import RunError, SettingsError
from netwright.files import read_json, write_json
from netwright.models.store import ARCHITECTURE, describe_trained, load_trained, saved_task
from netwright.planning.user_settings import UserSettings
from netwright.report.summaries import SEARCHED
from netwright.runs.data import open_run_data
from netwright.runs.marks import FINISHED
from netwright.runs.results import RESULT, read_results
from netwright.spaces import make_space
from netwright.tasks.multilabel.thresholds import Thresholds, read_thresholds
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Cost, Outcome, Status
from netwright.training.weights import save_weights
from netwright_tests import SMALL

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = {
    "termination.slower_than_start": None,
    "space.values.kernels": [2, 4],
    "space.values.units": [4, 8],
    "images.size": [8, 8],
}
FEW = UserSettings(trials=1, epochs=1, workers=1, seed=4, assignments={"space.n": [1, 4], "space.p": [1, 3]})


def untrained(series: Series) -> list[Run]:
    """All folds as if they had ended, each with a tested network of its own, and random weights."""
    runs = [series._run(number, trust_code=False) for number in range(1, series.splits + 1)]
    for number, run in enumerate(runs):
        settings, space = run.settings, make_space(run.settings.space)
        data = open_run_data(run.folder, settings)
        choice = {
            name: one.to_external_repr(number % 2 if hasattr(one, "choices") else one.low)
            for name, one in space.distributions().items()
        }
        describe_trained(run.folder.winner, settings, data.prepared, choice, None)
        torch.manual_seed(number)
        task = saved_task(run.folder.winner).network_task(read_json(run.folder.winner / ARCHITECTURE))
        network = space.build(choice, task)
        save_weights(network, run.folder.winner / WEIGHTS)
        results = load_trained(run.folder.winner, settings, "cpu").results(data.test)
        cost = Cost(parameters=sum(one.numel() for one in network.parameters()))
        outcome = Outcome(Status.COMPLETE, cost=cost).to_dict()
        entry = {"name": SEARCHED, "title": "the searched network", "choice": choice, "reference": None}
        write_json(run.folder.winner / RESULT, {**entry, "outcome": outcome, **results})
        write_json(run.folder.root / FINISHED, {"finished": float(number)})
    return runs


def trained_again(run: Run) -> None:
    """The run as if its network came from a training with a second seed, after the first had failed."""
    first, second = run.folder.winner, run.folder.root / "second"
    shutil.copytree(first, second)
    (first / WEIGHTS).unlink()
    result = read_json(first / RESULT)
    write_json(first / RESULT, {**result, "outcome": {**result["outcome"], "status": Status.CRASHED}})
    second.rename(first / "seed-2")
    write_json(run.folder.root / FINISHED, {"finished": 1e12})


def test_an_ensemble_of_folds_gets_pictures_as_each_network_was_trained_on(
    shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    user = UserSettings(trials=1, epochs=1, workers=1, assignments=TINY)
    series = create_series(shapes, "marl-vgg16", user, tmp_path / "folds", 3, folds=True)
    with pytest.raises(RunError, match=r"several runs.*fold-1.*netwright resume"):
        open_run(series.root)
    runs = untrained(series)
    parts = [run.folder.splits() for run in runs]
    assert len({one.test for one in parts}) == 1, "the official test cases"
    assert sorted(name for one in parts for name in one.validation) == sorted(
        {*parts[0].training, *parts[0].validation}
    )
    members = [load_trained(run.folder.winner, run.settings, "cpu") for run in runs]
    assert len({one.preparation.means for one in members}) == 3, "measured on each fold's training part"

    open_series(series.root).resume()
    together = open_run(series.root)
    predictor = together.network()
    raw = open_prepared_any(open_run_data(runs[0].folder, runs[0].settings).prepared.folder).raw_images(
        range(6)
    )
    expected = np.mean([one.probabilities(one.preparation.normalised(raw)) for one in members], axis=0)
    found = predictor.probabilities(predictor.preparation.normalised(raw))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    tested = read_json(series.root / "winner" / "tested.json")
    evaluated = together.evaluate(shapes)
    assert evaluated.metrics == pytest.approx(tested["metrics"])
    assert set(evaluated.cases) == set(parts[0].test)
    assert "used as one, reach" in series.report().read_text()
    (series.root / FINISHED).unlink()
    (series.root / "winner" / "tested.json").unlink()
    assert "used as one" not in series.report().read_text(), "as after a kill before the test"
    told = netwright("resume", series.root).stdout
    assert f"accuracy {' ' * 16}{tested['metrics']['accuracy']:.3f}" in told
    assert f"netwright predict {series.root}" in told
    refused = netwright("resume", series.root, "--hours", 1)
    assert refused.returncode == 2
    assert "fold-1" in refused.stderr


def test_volumes_are_segmented_by_the_mean_of_the_folds(dataset: Path, tmp_path: Path) -> None:
    series = create_series(dataset, "segnas4", FEW, tmp_path / "folds", 2, folds=True)
    runs = untrained(series)
    parts = [run.folder.splits() for run in runs]
    held_out = sorted(name for one in parts for name in one.test)
    assert held_out == sorted({*parts[0].training, *parts[0].validation, *parts[0].test})
    scores = [case for run in runs for case in read_results(run.folder)[0]["scores"].values()]
    mean = np.nanmean([np.nanmean(list(case.values())) for case in scores])
    assert [run.settings.seed for run in runs] == [4, 5]
    series.resume()
    together = open_run(series.root)
    assert not (together.folder.winner / "tested.json").exists()
    row = series.compared().rows[0]
    assert (row.cases, row.over_cases.mean) == (len(held_out), pytest.approx(mean))
    assert (
        f"Out of fold, segnas4 reaches {mean:.3f} Dice (95 % interval" in together.folder.report.read_text()
    )
    folds = [
        np.nanmean(
            [np.nanmean(list(case.values())) for case in read_results(run.folder)[0]["scores"].values()]
        )
        for run in runs
    ]
    spread = f"the means of the 2 folds are {np.mean(folds):.3f} ± {np.std(folds, ddof=1):.3f} (standard"
    assert spread in together.folder.report.read_text()
    image = np.random.default_rng(0).normal(size=(1, 20, 24, 22)).astype(np.float32)
    members = [load_trained(run.folder.winner, run.settings, "cpu").probabilities(image) for run in runs]
    np.testing.assert_allclose(together.network().probabilities(image), np.mean(members, 0), atol=1e-5)
    written = together.folder.settings_file.stat().st_mtime_ns
    series.resume()
    assert together.folder.settings_file.stat().st_mtime_ns == written, "what was finished stays"
    trained_again(runs[1])
    series.resume()
    assert together.folder.settings_file.stat().st_mtime_ns > written, (
        "of the second training, as the first failed"
    )
    np.testing.assert_allclose(together.network().probabilities(image), np.mean(members, 0), atol=1e-5)
    (runs[1].folder.winner / "seed-2" / WEIGHTS).unlink()
    write_json(runs[1].folder.root / FINISHED, {"finished": 2e12})
    together.folder.report.unlink()
    with pytest.raises(RunError, match="fold-2 has no trained network"):
        series.resume()
    assert together.folder.report.exists(), "what the folds reached is told all the same"


def test_labels_are_decided_by_the_mean_thresholds(several_shapes: Path, tmp_path: Path) -> None:
    user = UserSettings(trials=1, epochs=1, workers=1, assignments=TINY)
    series = create_series(several_shapes, "marl-vgg16", user, tmp_path / "folds", 2, folds=True)
    runs = untrained(series)
    for number, run in enumerate(runs):
        Thresholds((0.1, 0.2, 0.3, 0.4 + 0.2 * number), chosen=True).write(run.folder.winner)
    series.resume()
    assert read_thresholds(series.root / "winner", 4).values == pytest.approx((0.1, 0.2, 0.3, 0.5))


def test_what_cannot_be_is_refused_before_anything_is_written(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "folds"
    file = tmp_path / "splits_final.json"
    file.write_text(json.dumps([{"train": ["phantom_000"], "val": ["phantom_001"]}] * 2))
    for wrong, words in (
        (replace(FEW, verdict_hours=0.0), "--verdict-hours"),
        (replace(FEW, assignments={"training.learning_rat": 1}), "learning_rat"),
        (replace(FEW, assignments={"dataset.split_file": str(file)}), "--splits 2"),
        (replace(FEW, assignments={"space.n": "x"}), "first block"),
    ):
        with pytest.raises(SettingsError, match=words):
            create_series(dataset, "segnas4", wrong, root, 2, folds=True)
    assert not root.exists()


@pytest.mark.slow
def test_folds_from_the_search_to_the_prediction(dataset: Path, netwright: Command, tmp_path: Path) -> None:
    root = tmp_path / "folds"
    more = ("--set", "verdict.references=[]", "--set", "verdict.epochs=1")
    done = netwright(
        "search", dataset, "--recipe", "segnas4", "--trials", 1, *SMALL, *more, "--folds", 2, "-o", root
    )
    assert done.returncode == 0, done.stderr
    assert "8 cases)" in done.stdout, "each case has a score"
    assert "Out of fold, segnas4 reaches" in open_run(root).report(tmp_path / "page.html").read_text()
    compared = json.loads(netwright("compare", root, "--json").stdout)
    assert compared["rows"][0]["cases"] == 8
    assert netwright("export", root, "-o", tmp_path / "folds.pt2").returncode == 0
    assert netwright("predict", root, dataset / "imagesTs", "-o", tmp_path / "out").returncode == 0
    assert netwright("evaluate", root, dataset).returncode == 1, "it has seen all cases"
