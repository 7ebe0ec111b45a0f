"""A user's own network tuned layer by layer: killed and resumed, and on slices of volumes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

import netwright as package
from netwright_tests import EXECUTABLE, LAYERS
from processes import searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]
Results = list[tuple[str, dict[str, object], float | None, int]]


def results(folder: Path) -> Results:
    found = []
    for trial in package.open_run(folder).trials:
        epochs = 0 if trial.outcome is None else trial.outcome.epochs
        found.append((trial.status, trial.choice, trial.reward, epochs))
    return found


def search_until(folder: Path, workshop: Path, trials: int, *words: object) -> None:
    """Start a search, and kill it with all its workers once it has finished some trials and begun another."""
    command = [EXECUTABLE, "search", *words, "-o", folder, "--verdict-hours", 0]
    with searching(command, cwd=workshop) as search:
        wait_until((folder / "trials" / f"{trials:04d}").exists, search)


@pytest.mark.parametrize(
    ("variant", "data", "network"),
    [
        ("published", "shapes", "classifier"),
        ("coordinated", "cells", "segmenter"),
    ],
)
@pytest.mark.slow
def test_a_search_killed_with_all_its_workers_equals_one_that_was_not(
    request: pytest.FixtureRequest,
    netwright: Command,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    data: str,
    network: str,
) -> None:
    straight: Path = request.getfixturevalue(f"{data}_run")
    folder = workshop / f"killed-{data}"
    words = [request.getfixturevalue(data), "--network", f"own_networks:{network}", *LAYERS[variant]]
    words += ["--limit", "parameters<=1000"] if data == "shapes" else []
    search_until(folder, workshop, 3, *words)
    left = results(folder)
    assert len(left) < 8
    monkeypatch.chdir(workshop)
    assert package.open_run(folder).status().phase == "stopped"
    done = netwright("resume", folder, cwd=workshop)
    assert done.returncode == 0, done.stderr
    assert results(folder) == results(straight)


def test_a_network_of_two_dimensions_searches_in_slices_of_volumes(
    netwright: Command, dataset: Path, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a time a batch that is measured first, and settings that depend on it."""
    folder = tmp_path / "run"
    done = netwright(
        *("search", dataset, "--network", "own_networks:segmenter", "-o", folder, "--set", "slices={}"),
        *("--trials", 2, "--epochs", 1, "--workers", 1, "--set", "verdict.epochs=1"),
        *("--set", "training.batch_size=16", "--set", "space.frozen=['4']"),
        *("--set", "termination.slower_than_start=1000", "--set", "verdict.random_choices=0"),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((folder / "run.yaml").read_text())
    assert settings["training"]["early"]["batch_seconds"] > 0
    size = settings["preprocessing"]["size"]
    assert sorted(settings["space"]["size"]) == sorted(size[:2]), "the last axis, as the spacing is the same"
    assert all(not name.startswith("4.") for t in package.open_run(folder).trials for name in t.choice)
    image = sorted((dataset / "imagesTr").iterdir())[0]
    monkeypatch.chdir(workshop)
    (written,) = package.open_run(folder).predict(image, tmp_path / "labels")
    assert written.name == image.name
    label = nibabel.load(written)
    assert label.shape == nibabel.load(image).shape
    assert np.allclose(label.affine, nibabel.load(image).affine)
    results_of = json.loads((folder / "winner" / "result.json").read_text())
    assert results_of["outcome"]["status"] == "complete"
    assert sorted(results_of["scores"]) == json.loads((folder / "splits.json").read_text())["test"]


def test_a_factory_that_fails_in_workers_alone_costs_candidates(
    netwright: Command, shapes: Path, tmp_path: Path
) -> None:
    (tmp_path / "fails.py").write_text(
        "import multiprocessing\nfrom own import make as made\n\n\ndef make(channels, classes):\n"
        "    if multiprocessing.parent_process() is not None:\n        raise ValueError('only here')\n"
        "    return made(channels, classes)\n"
    )
    (tmp_path / "own.py").write_text(
        "from torch import nn\n\n\ndef make(channels, classes):\n    return nn.Sequential(\n"
        "        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))\n"
    )
    words = ("search", shapes, "--network", "fails:make", "--trials", 2, "--epochs", 1, "--workers", 1)
    done = netwright(*words, "--verdict-hours", 0, "-o", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 1, "not 2: the settings are right"
    assert "2 crashed" in done.stderr
    assert "only here" in done.stderr
