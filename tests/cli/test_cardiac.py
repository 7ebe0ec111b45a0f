"""Hearts from the command line: sampled, looked at, searched slice by slice, and whole cines predicted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import pytest

from netwright.data.samples.cardiac import FRAMES

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hearts(netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hearts"
    done = netwright("sample", "--kind", "cardiac", "-o", folder, "--cases", 4)
    assert done.returncode == 0, done.stderr
    assert "4 hearts at end diastole and end systole" in done.stdout
    return folder


def test_inspect_counts_patients_and_tells_of_thick_slices(netwright: Command, hearts: Path) -> None:
    done = netwright("inspect", hearts)
    assert done.returncode == 0
    assert "8 cases of 4 patients   format acdc" in done.stdout
    assert "has too few labelled patients: expected at least 10" in done.stdout
    assert "times as thick as wide" in done.stdout
    assert "3 left ventricle" in done.stdout


@pytest.mark.slow  # data/samples/test_every_sample.py and test_commands.py run its parts
def test_search_and_predict_a_cine(netwright: Command, hearts: Path, workshop: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = netwright(
        *("search", hearts, "--network", "own_networks:segmenter", "-o", run, "--trials", 1, "--epochs", 1),
        *(
            "--workers",
            1,
            "--verdict-hours",
            0,
            "--set",
            "training.batch_size=16",
            "--set",
            "slices.empty=drop",
        ),
        *("--set", "preprocessing.spacing=native", "--set", "termination.slower_than_start=null"),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    splits = json.loads((run / "splits.json").read_text())
    parts = [{splits["groups"][case] for case in splits[part]} for part in ("training", "validation", "test")]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert len(set.union(*parts)) == 4
    assert netwright("train", run, "--epochs", 1, cwd=workshop).returncode == 0
    cine = next((hearts / "testing").glob("*/*_4d.nii.gz"))
    done = netwright("predict", run, cine, "-o", tmp_path / "labels", cwd=workshop)
    assert done.returncode == 0, done.stderr
    found = nibabel.load(tmp_path / "labels" / cine.name)
    assert found.shape == nibabel.load(cine).shape
    assert found.shape[3] == FRAMES
    assert found.header.get_zooms()[3] == pytest.approx(0.1)
