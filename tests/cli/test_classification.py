"""Pictures with classes from the command line: a user's own network, searched, compared, used."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import netwright as package
from netwright.api import create_run
from netwright.api.evaluation import Evaluation
from netwright.cli.reading import read_user_settings
from netwright.cli.status_lines import status_lines
from netwright.cli.tables import evaluation_lines
from netwright.errors import DatasetError, RunError, SettingsError
from netwright.report import formatting
from netwright_tests import LAYERS
from report_pages import array, plot

Command = Callable[..., subprocess.CompletedProcess[str]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def parameters(choice: dict[str, int], classes: int = 4) -> int:
    """Weights and biases of the user's network for pictures of one channel and 16 pixels a side."""
    first, second, units = choice["0.kernels"], choice["3.kernels"], choice["6.units"]
    convolutions = 9 * first + first + 9 * first * second + second
    return convolutions + (4 * 4 * second * units + units) + (units * classes + classes)


def test_settings_are_those_of_classification(shapes_run: Path) -> None:
    settings = yaml.safe_load((shapes_run / "run.yaml").read_text())
    assert settings["recipe"] == "marl"
    assert settings["training"]["loss"] == "cross_entropy"
    assert settings["objective"]["metric"] == "accuracy"
    share = settings["termination"]["loss_of_guess"]
    assert settings["training"]["early"]["loss"] == pytest.approx(share * np.log(4), rel=1e-3)
    assert settings["slices"] is None
    splits = json.loads((shapes_run / "splits.json").read_text())
    assert all(name.startswith("test/") for name in splits["test"]), "the official test part"
    assert [len(splits[part]) for part in ("training", "validation", "test")] == [24, 8, 8]


def test_networks_over_the_limit_are_infeasible_and_not_trained(netwright: Command, shapes_run: Path) -> None:
    trials = package.open_run(shapes_run).trials
    assert len(trials) == 8
    broken = [t for t in trials if parameters(t.choice) > 1000]
    kept = [t for t in trials if parameters(t.choice) <= 1000]
    assert broken
    assert kept
    for trial in broken:
        assert trial.status == "infeasible"
        assert f"parameters is {parameters(trial.choice):,}, the limit is <= 1,000" in trial.reason
        assert trial.outcome is not None
        assert trial.outcome.epochs == 0
    for trial in kept:
        assert trial.status == "complete"
        assert trial.outcome is not None
        assert trial.outcome.cost.parameters == parameters(trial.choice)
    status = json.loads(netwright("status", shapes_run, "--json", cwd=shapes_run.parent).stdout)
    assert status["trials"]["infeasible"] == len(broken)
    assert status["trials"]["complete"] == len(kept)
    assert status["phase"] == "finished"


def test_rewards_are_equation_2(shapes_run: Path) -> None:
    for trial in package.open_run(shapes_run).trials:
        if trial.reward is not None:
            assert trial.outcome is not None
            accuracy, size = trial.outcome.metrics["accuracy"], trial.outcome.cost.size_mb
            assert size == pytest.approx(4e-6 * parameters(trial.choice), rel=0.01)
            assert trial.reward == pytest.approx(0.9 * 100 * accuracy / 1 - 0.1 * size)


def test_the_report_shows_agents_layers_costs_and_confusions(shapes_run: Path) -> None:
    page = (shapes_run / "report.html").read_text()
    agents = plot(page, "agents")["data"]
    assert [array(table["z"]).shape for table in agents] == [(3, 3), (3, 2)], "two pairs of connected layers"
    for words in ("Layers and agents", "The choice of each layer", "Against the original"):
        assert words in page
    assert "Q-value" in page
    assert "What is taken for what" in page
    for layer in ("0", "3", "6"):
        assert f'"{layer}"' in json.dumps(plot(page, "choices"))


def test_evaluate_gives_the_accuracy_of_the_winner_s_table(
    netwright: Command, shapes: Path, shapes_run: Path
) -> None:
    done = netwright("evaluate", shapes_run, shapes, "--json", cwd=shapes_run.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = rows_of(shapes_run / "winner" / "predictions" / "predictions.csv")
    splits = json.loads((shapes_run / "splits.json").read_text())
    assert sorted(row["picture"] for row in rows) == splits["test"]
    right = [row["truth"] == row["found"] for row in rows]
    assert found["metrics"]["accuracy"] == pytest.approx(np.mean(right))
    for name in ("disc", "ring"):
        own = [row["found"] == name for row in rows if row["truth"] == name]
        assert found["metrics"][f"accuracy.{name}"] == pytest.approx(np.mean(own))
    assert sorted(found["cases"]) == splits["test"]
    assert "32 cases" in found["note"]
    assert (found["crf"], found["distances"]) == (False, {}), (
        "the names of before, for programs that read them"
    )
    known = {field.name: found[field.name] for field in fields(Evaluation)}
    told = "\n".join(evaluation_lines(Evaluation(**known)))
    assert "8 cases" in told
    assert "accuracy.ring" in told


def test_predict_writes_the_classes_of_a_folder(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    done = netwright("predict", shapes_run, shapes / "test", "-o", tmp_path / "out", cwd=shapes_run.parent)
    assert done.returncode == 0, done.stderr
    assert "predictions.csv" in done.stdout
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    tested = rows_of(shapes_run / "winner" / "predictions" / "predictions.csv")
    assert {f"test/{r['picture']}": r["found"] for r in rows} == {r["picture"]: r["found"] for r in tested}


def test_train_keeps_a_network_of_any_trial(
    netwright: Command, shapes: Path, shapes_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = next(t.number for t in package.open_run(shapes_run).trials if t.reward is not None)
    done = netwright("train", shapes_run, "--trial", number, "--epochs", 2, cwd=shapes_run.parent)
    assert done.returncode == 0, done.stderr
    assert "2 epochs" in done.stdout
    assert "accuracy" in done.stdout
    monkeypatch.chdir(shapes_run.parent)
    assert len(package.open_run(shapes_run).evaluate(shapes, trial=number).cases) == 8


def test_what_is_not_like_the_training_is_refused(
    cells: Path, tiles: Path, shapes_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shapes_run.parent)
    run = package.open_run(shapes_run)
    with pytest.raises(DatasetError, match="the network tells classes"):
        run.evaluate(cells)
    with pytest.raises(DatasetError, match="pictures without classes"):
        run.evaluate(tiles)
    with pytest.raises(SettingsError, match="Masks are for networks that restore"):
        run.predict(tiles, tmp_path / "out", masks=tiles)
    with pytest.raises(SettingsError, match="'nrrd' is one of label maps"):
        run.predict(tiles, tmp_path / "out", format="nrrd")
    with pytest.raises(SettingsError, match="volumes: written beside label maps"):
        run.predict(tiles, tmp_path / "out", additional=["volumes"])
    Image.new("RGB", (16, 16), (200, 10, 10)).save(tmp_path / "red.png")
    with pytest.raises(DatasetError, match="colours"):
        run.predict(tmp_path / "red.png", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--network", "no_networks:classifier"), "no_networks"),
        (("--network", "own_networks.py:classifier"), "Write own_networks:classifier (dots, no .py)"),
        (("--network", "own_networks:classifier", "--recipe", "marl-vgg16"), "recipe marl, or without"),
        (("--recipe", "marl-unet"), "marl-vgg16"),
        (("--network", "own_networks:classifier", "--limit", "weight<=3"), "parameters, size_mb"),
    ],
)
def test_wrong_usage_is_told(
    netwright: Command, shapes: Path, workshop: Path, arguments: tuple[str, ...], named: str
) -> None:
    done = netwright("search", shapes, *arguments, "-o", "wrong", cwd=workshop)
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert not (workshop / "wrong").exists()


def test_a_network_for_another_task_is_told(
    shapes: Path, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop)
    user = read_user_settings(map_label=None, assignments=None, network="own_networks:segmenter", trials=1)
    with pytest.raises(SettingsError, match=r"expected \(2, 4\) for classification"):
        create_run(shapes, None, user, tmp_path / "run")


def run_with_networks_in(folder: Path, shapes_run: Path, copy: Path) -> Path:
    """A copy of the run, whose networks' module is looked for in the folder."""
    shutil.copytree(shapes_run, copy)
    settings = yaml.safe_load((copy / "run.yaml").read_text())
    settings["space"]["folder"] = str(folder)
    (copy / "run.yaml").write_text(yaml.safe_dump(settings))
    return copy


def test_a_run_is_used_from_any_folder(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    status = json.loads(netwright("status", shapes_run, "--json", cwd=tmp_path).stdout)
    assert "kernels" in status["best"]["choice"]
    done = netwright("predict", shapes_run, shapes / "test", "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_network_that_is_not_there_any_more_is_told(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    """By what needs it: where a run stands, and in what words its best is told, is there without."""
    run = run_with_networks_in(tmp_path / "gone", shapes_run, tmp_path / "run")
    done = netwright("status", run, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "kernels" in json.loads(done.stdout)["best"]["choice"]
    assert netwright("status", run, cwd=tmp_path).returncode == 0
    done = netwright("predict", run, shapes / "test", "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert "no module 'own_networks'" in words
    assert "where it was when the run began" in words
    assert "gone" in words


def test_a_network_that_has_changed_is_refused_and_one_whose_comments_have_is_not(
    netwright: Command, shapes: Path, workshop: Path, shapes_run: Path, tmp_path: Path
) -> None:
    source = (workshop / "own_networks.py").read_text()
    networks, run = tmp_path / "own_networks.py", tmp_path / "run"
    run_with_networks_in(tmp_path, shapes_run, run)
    (run / "finished.json").unlink()
    networks.write_text(source.replace("nn.ReLU()", "nn.Tanh()", 1))
    for words in (("predict", run, shapes / "test", "-o", tmp_path / "out"), ("evaluate", run, shapes)):
        done = netwright(*words, cwd=shapes_run.parent)
        assert done.returncode == 2
        assert "has changed since the run began" in " ".join(done.stderr.split())
    assert netwright("resume", run, cwd=shapes_run.parent).returncode == 2
    networks.write_text(f"# A comment.\n{source}")
    done = netwright("predict", run, shapes / "test", "-o", tmp_path / "out", cwd=shapes_run.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("status", "threshold", "words"),
    [
        (
            "too_slow",
            {"batch_seconds": 1e-9, "batches": 2},
            r"2 batches running took longer.*Raise termination\.slower_than_start",
        ),
        (
            "loss_stalled",
            {"loss": 1e-3, "loss_epochs": 1, "least_steps": 1},
            r"started again with new weights.*Raise termination\.loss_of_guess",
        ),
    ],
)
@pytest.mark.usefixtures("shared_workers")
def test_trainings_that_end_early_are_counted(
    shapes: Path, tmp_path: Path, status: str, threshold: dict[str, Any], words: str
) -> None:
    assignments = list(LAYERS["published"][-1:])
    user = read_user_settings(
        map_label=None, assignments=assignments, network="tiny_networks:classifier", trials=2, workers=1
    )
    named = {"training.early": threshold, "termination.slower_than_start": None, "training.batch_size": 8}
    user = replace(user, epochs=1, assignments={**(user.assignments or {}), **named})
    run = create_run(shapes, None, user, tmp_path / "run")
    with pytest.raises(RunError, match=words):
        run.resume()
    assert run.status().trials[status] == 2
    assert f"2 {formatting.status(status)}" in "\n".join(status_lines(run.status()))
