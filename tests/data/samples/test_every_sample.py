"""Every generated dataset that `netwright sample` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.data.open import inspect_any, open_any
from netwright.data.samples import LAYOUTS, SAMPLES, write_kind
from netwright.data.samples.published_volumes import VOLUME_LAYOUTS
from netwright.errors import DatasetError, SettingsError

FEW = 12
TASKS = {
    "volumes": "segmentation",
    "masks": "segmentation",
    "classes": "classification",
    "labels": "multilabel",
    "cardiac": "segmentation",
    "images": "inpainting",
    **dict.fromkeys((*VOLUME_LAYOUTS, "isic", "carvana", "data-science-bowl", "voc"), "segmentation"),
    **dict.fromkeys(("chestmnist", "celeba"), "multilabel"),
}
FORMATS = {"amos": "msd", "brains": "volume-pairs", "mnist": "idx", "cifar-10": "cifar", "cifar-100": "cifar"}
FORMATS |= {"medmnist": "npz", "chestmnist": "npz"}
FORMATS |= dict.fromkeys(("isic", "carvana", "data-science-bowl", "voc"), "image-masks")
WHITE = {"isic": {255: 1}, "carvana": {255: 1}, "data-science-bowl": {255: 1}}
"""The values of their masks that are to be confirmed."""


@pytest.mark.parametrize("kind", SAMPLES)
def test_it_is_recognised_as_data_for_its_task(kind: str, tmp_path: Path) -> None:
    told = write_kind(kind, tmp_path / "sample", FEW)
    dataset = open_any(tmp_path / "sample", map_label=WHITE.get(kind))
    assert dataset.task == TASKS.get(kind, "classification")
    if kind in LAYOUTS:
        assert dataset.format == FORMATS.get(kind, kind)
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
        **dict.fromkeys(VOLUME_LAYOUTS, 10),
        **dict.fromkeys(("isic", "carvana", "data-science-bowl", "voc", "svhn-numbers", "celeba"), 20),
        **dict.fromkeys(("mnist", "cifar-10", "medmnist"), 60),
        **dict.fromkeys(("cifar-100", "chestmnist", "stanford-cars"), 24),
        "svhn": 40,
        "imagenet": 6,
    }


def test_the_help_names_every_one_and_others_are_refused(tmp_path: Path) -> None:
    command = CliRunner()
    told = command.invoke(app, ["sample", "--help"], env={"COLUMNS": "200"}).output.replace("│", " ")
    assert {kind for kind in SAMPLES if not re.search(rf"(?<![\w-]){kind}(?![\w-])", told)} == set()
    with pytest.raises(
        SettingsError, match=r"no sample 'lables'\. Did you mean labels\? There are: volumes, masks"
    ):
        write_kind("lables", tmp_path)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_same_seed_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    written: list[dict[Path, bytes]] = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write_kind(kind, tmp_path / name, 4 if kind in VOLUME_LAYOUTS else FEW, seed)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        written.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert written[0] != written[2]
    with pytest.raises(DatasetError, match="expected a new folder"):
        write_kind(kind, tmp_path / "one", FEW)
