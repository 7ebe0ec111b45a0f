"""Every generated dataset that `netwright sample` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.data.open import inspect_any, open_any
from netwright.data.samples import SAMPLES, write_kind
from netwright.errors import SettingsError

FEW = 12
TASKS = {
    "volumes": "segmentation",
    "masks": "segmentation",
    "classes": "classification",
    "labels": "multilabel",
    "cardiac": "segmentation",
    "images": "inpainting",
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_it_is_recognised_as_data_for_its_task(kind: str, tmp_path: Path) -> None:
    told = write_kind(kind, tmp_path / "sample", FEW)
    dataset = open_any(tmp_path / "sample")
    assert dataset.task == TASKS[kind]
    assert not inspect_any(dataset).errors
    assert told == f"{FEW} {SAMPLES[kind].words}"


def test_the_usual_numbers_are_those_of_the_functions() -> None:
    assert {kind: sample.usual for kind, sample in SAMPLES.items()} == {
        "volumes": 30,
        "masks": 24,
        "classes": 40,
        "labels": 160,
        "cardiac": 20,
        "images": 200,
    }


def test_the_help_names_every_one_and_others_are_refused(tmp_path: Path) -> None:
    command = CliRunner()
    assert f"[{'|'.join(SAMPLES)}]" in command.invoke(app, ["sample", "--help"]).output
    with pytest.raises(
        SettingsError, match=r"no sample 'lables'\. Did you mean labels\? There are: volumes, masks"
    ):
        write_kind("lables", tmp_path)
