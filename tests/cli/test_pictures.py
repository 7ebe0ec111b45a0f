"""Pictures with masks from the command line: a user's own network of two dimensions, searched, compared, used."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import netwright as package
from netwright_tests import mean_dice
from report_pages import array, plot

Command = Callable[..., subprocess.CompletedProcess[str]]


def mask(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_settings_are_those_of_segmentation(cells_run: Path) -> None:
    settings = yaml.safe_load((cells_run / "run.yaml").read_text())
    assert settings["recipe"] == "marl"
    assert settings["training"]["loss"] == "dice"
    assert settings["objective"]["metric"] == "dice"
    assert settings["slices"] is not None
    assert settings["space"]["classes"] == 3
    assert settings["space"]["size"] == settings["preprocessing"]["size"][:2]


def test_agents_choose_among_the_values_given(cells_run: Path) -> None:
    trials = package.open_run(cells_run).trials
    assert len(trials) == 8
    choices = {(t.choice["0.kernels"], t.choice["2.kernels"]) for t in trials}
    assert len(choices) >= 7, "coordinated agents propose no set twice while there are others"
    assert {value for pair in choices for value in pair} == {2, 4, 8}


def test_the_report_shows_agents_layers_costs_and_cases(cells_run: Path) -> None:
    page = (cells_run / "report.html").read_text()
    (table,) = plot(page, "agents")["data"]
    assert array(table["z"]).shape == (3, 3)
    for words in ("Layers and agents", "The choice of each layer", "Against the original"):
        assert words in page
    assert "Worst, median and best case" in page


def test_evaluate_gives_the_dice_of_the_masks_that_were_written(
    netwright: Command, cells: Path, cells_run: Path
) -> None:
    done = netwright("evaluate", cells_run, cells, "--json", cwd=cells_run.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    splits = json.loads((cells_run / "splits.json").read_text())
    assert sorted(found["cases"]) == splits["test"]
    means = []
    for case in splits["test"]:
        seen = mask(cells_run / "winner" / "predictions" / f"{case}.png")
        truth = mask(cells / "masks" / f"{case}.png")
        means.append(mean_dice(seen, truth, 2))
    assert found["metrics"]["dice"] == pytest.approx(np.mean(means), abs=1e-6)


def test_predicted_masks_have_the_size_of_their_pictures(
    netwright: Command, cells: Path, cells_run: Path, tmp_path: Path
) -> None:
    case = package.open_run(cells_run).folder.splits().test[0]
    source = Image.open(cells / "images" / f"{case}.png")
    (tmp_path / "images").mkdir()
    for name, size in (("same.png", (24, 24)), ("wide.png", (50, 21)), ("small.bmp", (9, 13))):
        source.resize(size).save(tmp_path / "images" / name)
    done = netwright(
        "predict", cells_run, tmp_path / "images", "-o", tmp_path / "masks", cwd=cells_run.parent
    )
    assert done.returncode == 0, done.stderr
    assert "3 label maps" in done.stdout
    for name, size in (("same", (24, 24)), ("wide", (50, 21)), ("small", (9, 13))):
        written = Image.open(tmp_path / "masks" / f"{name}.png")
        assert written.size == size
        assert set(np.unique(np.asarray(written))) <= {0, 1, 2}
    tested = cells_run / "winner" / "predictions" / f"{case}.png"
    np.testing.assert_array_equal(mask(tmp_path / "masks" / "same.png"), mask(tested))
