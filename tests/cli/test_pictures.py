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
from netwright_tests import LAYERS, mean_dice, save_picture
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


@pytest.mark.slow
def test_a_published_layout_goes_from_inspect_to_predict(
    netwright: Command, cells: Path, workshop: Path, tmp_path: Path
) -> None:
    """Pictures named as those of ISIC 2018, with its official parts."""
    parts = {"Training": 5, "Validation": 2, "Test": 3}
    names = sorted(path.stem for path in (cells / "images").iterdir())
    official = {part: [names.pop(0) for _ in range(count)] for part, count in parts.items()}
    for part, of_part in official.items():
        images = tmp_path / f"ISIC2018_Task1-2_{part}_Input"
        masks = tmp_path / f"ISIC2018_Task1_{part}_GroundTruth"
        for name in of_part:
            save_picture(images / f"{name}.jpg", mask(cells / "images" / f"{name}.png"))
            lesion = mask(cells / "masks" / f"{name}.png") > 0
            save_picture(masks / f"{name}_segmentation.png", lesion.astype(np.uint8) * 255)
        (images / "LICENSE.txt").write_text("CC-0")
    done = netwright("inspect", tmp_path)
    assert done.returncode == 1
    assert "--map-label 255=1" in done.stdout
    done = netwright("inspect", tmp_path, "--map-label", "255=1")
    assert done.returncode == 0, done.stderr
    assert "10 cases (train 5, val 2, test 3)   format image-masks" in done.stdout

    done = netwright(
        *("search", tmp_path, "--map-label", "255=1", "--network", "own_networks:segmenter", "-o", "isic"),
        *(*LAYERS["published"], "--trials", "1", "--verdict-hours", 0.0001),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    splits = package.open_run(workshop / "isic").folder.splits()
    found = splits.training, splits.validation, splits.test
    assert found == tuple(tuple(sorted(of_part)) for of_part in official.values())

    home = tmp_path / "ISIC2018_Task1-2_Test_Input"
    done = netwright("predict", "isic", home, "-o", tmp_path / "out", cwd=workshop)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "out").glob("*.png"))
    assert [path.stem for path in written] == sorted(official["Test"])
    done = netwright("evaluate", "isic", tmp_path, "--json", cwd=workshop)
    assert done.returncode == 0, done.stderr
    means = [mean_dice(mask(path), mask(cells / "masks" / path.name) > 0, 1) for path in written]
    assert json.loads(done.stdout)["metrics"]["dice"] == pytest.approx(np.mean(means), abs=1e-6)
