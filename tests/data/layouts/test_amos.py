"""AMOS 2022, a description like that of the Decathlon with an official validation part, and images to be predicted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.data import PreprocessingSettings, inspect_dataset, open_any, prepare, split_any
from netwright.data.recognition import recognise

Write = Callable[..., Path]
Make = Callable[..., Any]


@pytest.fixture
def amos(write_volume: Write, noise: Make, label_map: Make, tmp_path: Path) -> Callable[..., Path]:
    """``named``: whether the entries of the validation images name their label maps."""

    def build(named: bool = True, ending: str = ".nii.gz") -> Path:
        root = tmp_path / "amos22"
        lists: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
        for part, numbers, at in (
            ("training", range(1, 6), "Tr"),
            ("validation", (8, 9), "Va"),
            ("test", (12,), "Ts"),
        ):
            for number in numbers:
                name = f"amos_{number:04d}{ending}"
                write_volume(root / f"images{at}" / name, noise(100))
                entry = {"image": f"./images{at}/{name}"}
                if part != "test":
                    write_volume(root / f"labels{at}" / name, label_map(1, 15))
                if part == "training" or (part == "validation" and named):
                    entry["label"] = f"./labels{at}/{name}"
                lists[part].append(entry)
        labels = {"0": "background", "1": "spleen", "15": "prostate/uterus"}
        (root / "dataset.json").write_text(
            json.dumps({"name": "AMOS", "modality": {"0": "CT"}, "labels": labels, **lists})
        )
        return root

    return build


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_validation_cases_are_the_official_part(
    amos: Callable[..., Path], named: bool, ending: str, tmp_path: Path
) -> None:
    root = amos(named, ending)
    dataset = open_any(root)
    assert recognise(root) == dataset.format == "msd"
    assert [(case.name, case.part) for case in dataset.cases] == [
        *((f"amos_{number:04d}", "train") for number in range(1, 6)),
        *((f"amos_{number:04d}", "val") for number in (8, 9)),
    ]
    assert dataset.cases[-1].label == root / "labelsVa" / f"amos_0009{ending}"
    assert dataset.unlabelled == ("amos_0012",)
    assert dataset.labels[15] == "prostate/uterus"
    assert inspect_dataset(dataset).errors == ()
    prepared = prepare(dataset, PreprocessingSettings(spacing="native", pad=False), tmp_path / "cache")
    splits = split_any(prepared, 0)
    assert splits.validation == ("amos_0008", "amos_0009")
    assert len(splits.test) > 0


@pytest.mark.parametrize(
    ("mr", "channel", "normalised"), [((), "CT", "CT"), ((5, 9), "CT or MR", "each"), ("all", "MR", "each")]
)
def test_ct_and_mr_are_told_apart_by_their_numbers(
    amos: Callable[..., Path], mr: Any, channel: str, normalised: str, tmp_path: Path
) -> None:
    """The publisher: "id numbers less than 500 belong to CT data, otherwise they belong to MRI data"."""
    root = amos()
    renamed = range(1, 20) if mr == "all" else mr
    text = (root / "dataset.json").read_text()
    for number in renamed:
        for file in root.rglob(f"amos_{number:04d}.nii.gz"):
            file.rename(file.with_name(f"amos_{number + 500:04d}.nii.gz"))
        text = text.replace(f"amos_{number:04d}", f"amos_{number + 500:04d}")
    (root / "dataset.json").write_text(text)
    dataset = open_any(root)
    assert dataset.channels == (channel,)
    told = [problem.found for problem in dataset.problems]
    assert told == (["5 CT (numbers below 500) and 2 MR, such as amos_0505"] if len(renamed) == 2 else [])
    prepared = prepare(
        dataset, PreprocessingSettings(normalise="modality", spacing="native"), tmp_path / "cache"
    )
    means = [float(prepared.image(number).mean()) for number in range(len(dataset.cases))]
    assert (max(map(abs, means)) < 1e-4) is (normalised == "each")


def test_without_label_maps_there_are_no_parts(amos: Callable[..., Path]) -> None:
    root = amos(named=False)
    for file in (root / "labelsVa").iterdir():
        file.unlink()
    (root / "imagesTs" / "amos_0012.nii.gz").unlink()
    dataset = open_any(root)
    assert set(dataset.parts) == {None}
    assert dataset.unlabelled == ("amos_0008", "amos_0009")


def test_images_for_training_and_validation_stay_for_training(amos: Callable[..., Path]) -> None:
    root = amos()
    description = json.loads((root / "dataset.json").read_text())
    description["validation"] = description["training"][:2]
    (root / "dataset.json").write_text(json.dumps(description))
    dataset = open_any(root)
    assert dataset.parts == (None,) * 5
    assert dataset.unlabelled == ("amos_0012",)
