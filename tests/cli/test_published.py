"""Public datasets of pictures as they are distributed, from inspect to predict."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.data.io.images import read_head
from netwright.data.samples.published_pictures import (
    digit_pictures,
    write_cars,
    write_svhn,
)
from netwright_tests import save_picture

Command = Callable[..., subprocess.CompletedProcess[str]]

SHARED = ("supernet.steps=2", "supernet.batch_size=8", "supernet.snapshots=2", "training.batch_size=8")
SMALL = ("verdict.epochs=1", "verdict.references=[]", "images.size=[12,12]")
CELLS = ("space.normal_cells=1", "space.nodes=2", "space.channels=2", "space.auxiliary=false")
CELLS += ("supernet.space.channels=2", "supernet.space.normal_cells=1", "training.augmentation.cutout=2")
AUTOENCODERS = ("space.layers=4", "space.channels=[4,8]", "space.levels_back=2")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def searched(netwright: Command, root: Path, recipe: str, *settings: str) -> Path:
    """The run of a small search, after the dataset was inspected."""
    inspected = netwright("inspect", root)
    assert inspected.returncode == 0, inspected.stderr
    assert "error" not in inspected.stdout
    words = [word for setting in (*SHARED, *SMALL, *settings) for word in ("--set", setting)]
    run = root.parent / "run"
    done = netwright("search", root, "-o", run, "--recipe", recipe, "--workers", 1, "--seed", 1, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    return run


def test_svhn_with_pdas_cells(netwright: Command, tmp_path: Path) -> None:
    run = searched(netwright, write_svhn(tmp_path / "svhn"), "pdas-cells", *CELLS)
    pictures, _ = digit_pictures("test")
    for number in range(3):
        save_picture(tmp_path / "new" / f"{number}.png", pictures[:, :, :, number])
    done = netwright("predict", run, tmp_path / "new", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    tested = {row["picture"]: row for row in rows_of(run / "winner" / "predictions" / "predictions.csv")}
    assert set(tested) == {f"test/{number:02d}" for number in range(20)}, "the official test part"
    assert [row["found"] for row in rows] == [tested[f"test/{number:02d}"]["found"] for number in range(3)]
    assert {row["found"] for row in rows} <= set("0123456789")


@pytest.mark.slow  # the search above, of another recipe
def test_stanford_cars_are_restored_in_their_boxes(netwright: Command, tmp_path: Path) -> None:
    root = write_cars(tmp_path / "cars")
    run = searched(netwright, root, "pdas-inpainting", *AUTOENCODERS)
    done = netwright("predict", run, root / "cars_test", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    restored = sorted((tmp_path / "out").rglob("*.png"))
    assert len(restored) == 12
    assert {read_head(path).size for path in restored} == {(12, 12)}
