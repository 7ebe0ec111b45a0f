"""Pictures to be restored, from the command line: a folder, a tiny network, a report, restored files."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

import netwright as package
from netwright.cli.status_lines import status_lines
from netwright.cli.tables import evaluation_lines
from netwright.errors import DatasetError, RunError
from netwright_tests import save_picture

Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--objective", "psnr", "--trials", "3", "--epochs", "2", "--workers", "1", "--strategy", "random")
QUICK += ("--set", "space.values.kernels=[2,4]", "--set", "termination.slower_than_start=null")
QUICK += ("--set", "training.batch_size=5", "--set", "images.size=[16,16]", "--set", "inpainting.mask=half")


@pytest.fixture(scope="module")
def tiles_run(tiles: Path, workshop: Path, netwright: Command) -> Path:
    done = netwright(
        *("search", tiles, "--network", "own_networks:segmenter", "-o", "tiles", *QUICK),
        *("--set", "verdict.epochs=2"),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert " dB (trial" in done.stdout
    assert "restores unseen images to" in done.stdout
    assert "use it   netwright predict tiles /path/to/images -o /path/to/pictures" in done.stdout
    return workshop / "tiles"


def test_settings_are_those_of_inpainting(tiles_run: Path) -> None:
    settings = yaml.safe_load((tiles_run / "run.yaml").read_text())
    assert settings["inpainting"]["mask"] == "half"
    assert settings["training"]["loss"] == "mse"
    assert settings["objective"]["metric"] == "psnr"
    assert settings["images"] == {"size": [16, 16], "normalise": "unit", "fit": "stretch"}
    run = package.open_run(tiles_run)
    assert [trial.status for trial in run.trials] == ["complete"] * 3
    for trial in run.trials:
        assert trial.outcome is not None
        assert set(trial.outcome.metrics) == {"psnr", "ssim"}
        assert trial.reward == trial.outcome.metrics["psnr"]


def test_evaluate_gives_the_metrics_of_the_comparison(
    tiles: Path, tiles_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiles_run.parent)
    found = package.open_run(tiles_run).evaluate(tiles)
    result = json.loads((tiles_run / "winner" / "result.json").read_text())
    splits = json.loads((tiles_run / "splits.json").read_text())
    assert sorted(found.cases) == splits["test"]
    for name, scores in found.cases.items():
        assert scores == pytest.approx(result["scores"][name], rel=1e-4)
    for metric in ("psnr", "ssim"):
        mean = np.mean([scores[metric] for scores in found.cases.values()])
        assert found.metrics[metric] == pytest.approx(mean)
    assert "14 cases" in found.note
    assert f"psnr                     {found.metrics['psnr']:.1f} dB" in evaluation_lines(found)


def test_the_report_shows_what_was_restored(tiles_run: Path) -> None:
    page = (tiles_run / "report.html").read_text()
    for words in (
        "Worst, median and best image",
        "<span>input</span><span>result</span><span>truth</span>",
        "50 % at the left, right, top or bottom, at random",
        "restores unseen images to",
    ):
        assert words in page
    shown = list((tiles_run / "winner" / "predictions").iterdir())
    assert len(shown) == 3
    result = json.loads((tiles_run / "winner" / "result.json").read_text())
    psnr = {name: scores["psnr"] for name, scores in result["scores"].items()}
    assert f"Best: {max(psnr.values()):.1f} dB PSNR" in page


def test_predict_restores_a_folder_and_given_masks(
    netwright: Command, tiles: Path, tiles_run: Path, tmp_path: Path
) -> None:
    done = netwright("predict", tiles_run, tiles, "-o", tmp_path / "all", cwd=tiles_run.parent)
    assert done.returncode == 0, done.stderr
    assert f"predicted  20 restored pictures in {tmp_path / 'all'}" in done.stdout.replace("\n", "")
    for path in (tiles_run / "winner" / "predictions").iterdir():
        found, tested = (np.asarray(Image.open(p)) for p in (tmp_path / "all" / path.stem, path))
        assert abs(found.astype(int) - tested).max() <= 1, "the mask of a picture is that of its place"


def test_predict_warns_of_boxes_of_other_pictures(
    netwright: Command, tiles: Path, tiles_run: Path, tmp_path: Path
) -> None:
    picture = np.asarray(Image.open(tiles / "tile_0000.png"))
    save_picture(tmp_path / "in" / "a.png", picture)
    (tmp_path / "in" / "boxes.csv").write_text("file,left,top,right,bottom\na.png,1,1,9,9\nb.png,1,1,9,9\n")
    done = netwright("predict", tiles_run, tmp_path / "in", "-o", tmp_path / "out", cwd=tiles_run.parent)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (told,) = (line for line in lines if line.startswith("warning"))
    assert told.startswith("warning    boxes.csv has boxes of pictures that are not there"), done.stdout
    assert any(line.startswith("predicted  1 restored picture in") for line in lines)


def test_evaluate_tells_a_picture_whose_result_is_not_finite(
    tiles: Path, tiles_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiles_run.parent)
    shutil.copytree(tiles_run, tmp_path / "run")
    weights = tmp_path / "run" / "winner" / "weights.safetensors"
    broken = {name: torch.full_like(weight, torch.nan) for name, weight in load_file(weights).items()}
    save_file(broken, weights)
    with pytest.raises(RunError, match=r"output for tile_\d+\.png is not finite"):
        package.open_run(tmp_path / "run").evaluate(tiles)


def test_a_mask_is_taken_where_one_is_given(
    tiles: Path, tiles_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiles_run.parent)
    mask = save_picture(tmp_path / "mask.png", np.full((16, 16), 255, np.uint8))
    run = package.open_run(tiles_run)
    first = [run.predict(tiles / f"tile_000{i}.png", tmp_path / "out", masks=mask)[0] for i in (0, 1)]
    one, other = (path.read_bytes() for path in first)
    assert one == other, "nothing was seen of either"


def test_status_tells_decibels(tiles_run: Path) -> None:
    run = package.open_run(tiles_run)
    assert run.best is not None
    assert run.best.reward is not None
    assert f"best   {run.best.reward:.1f} dB" in "\n".join(status_lines(run.status()))


def test_what_is_of_another_task_is_refused_and_classes_are_passed_over(
    shapes: Path, cells: Path, tiles_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiles_run.parent)
    run = package.open_run(tiles_run)
    with pytest.raises(DatasetError, match="pictures with masks"):
        run.evaluate(cells)
    with pytest.raises(DatasetError, match="label maps; the network restores pictures"):
        run.evaluate(cells, format="image-masks")
    assert len(run.evaluate(shapes / "test").cases) == 8


def test_sample_inspect_and_plan(netwright: Command, tmp_path: Path) -> None:
    done = netwright("sample", "-o", "made", "--kind", "images", "--cases", "12", cwd=tmp_path)
    assert done.stdout.startswith("sample     12 pictures in made")
    done = netwright("inspect", "made", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to be restored (inpainting)" in done.stdout
    assert "looks fine" in done.stdout
    done = netwright("search", tmp_path / "made", "--recipe", "marl-vgg16", "-o", "no", cwd=tmp_path)
    assert done.returncode == 2
    assert "is for inpainting" in done.stderr
    assert "marl-unet" in done.stderr
