"""Which cases of a dataset a network may be evaluated on: none that it was made with, nor others of their patients."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data import open_any
from netwright.data.splits import Splits
from netwright.runs.data import unseen_cases
from netwright.settings import RunSettings, parse_settings

TRAINING = ("patient001_frame01", "patient001_frame04")
VALIDATION = ("patient002_frame01", "patient002_frame04")
TEST = ("patient003_frame01", "patient003_frame04")
RENAMED = ("patient007_frame01", "patient007_frame04")
SPLITS = Splits(TRAINING, VALIDATION, TEST, {name: name[:10] for name in (*TRAINING, *VALIDATION, *TEST)})


def patient(root: Path, name: str, frames: Mapping[int, int]) -> None:
    """A folder in the layout of ACDC with a frame for each number, its image drawn from the seed that is given."""
    folder = root / name
    folder.mkdir(parents=True)
    for number, seed in frames.items():
        rng = np.random.default_rng(seed)
        file = folder / f"{name}_frame{number:02d}"
        for ending, values in (("", rng.normal(100, 20, (7, 6, 4))), ("_gt", rng.integers(0, 4, (7, 6, 4)))):
            kind = np.uint8 if ending else np.float32
            nibabel.save(nibabel.Nifti1Image(values.astype(kind), np.eye(4)), f"{file}{ending}.nii.gz")
    diastole, systole = sorted(frames)
    (folder / "Info.cfg").write_text(f"ED: {diastole}\nES: {systole}\nGroup: NOR\nNbFrame: 9\n")


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    """Of a run on three patients."""
    for number in (1, 2, 3):
        patient(tmp_path / "Own", f"patient{number:03d}", {1: 10 * number + 1, 4: 10 * number + 4})
    return parse_settings(
        {
            "recipe": "segnas4",
            "dataset": {"path": str(tmp_path / "Own")},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
        }
    )


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A dataset with frames of those patients among others."""
    root = tmp_path / "Other"
    patient(root, "patient001", {1: 11, 2: 12})  # a frame of the training part, and a later one
    patient(root, "patient002", {1: 25, 4: 26})  # other frames of a patient of the validation part
    patient(root, "patient007", {1: 21, 4: 99})  # a frame of that patient, and another one, by another name
    patient(root, "patient003", {1: 31, 4: 34})  # of the test part
    patient(root, "patient009", {1: 91, 4: 94})
    return root


def test_other_frames_of_the_patients_are_left_out(settings: RunSettings, other: Path) -> None:
    found = unseen_cases(open_any(other), settings, SPLITS)
    assert list(found.names) == [*TEST, "patient009_frame01", "patient009_frame04"]
    assert (found.seen, found.of_patients, found.tested) == (2, 1 + 2 + 1, 2)


def test_where_the_runs_dataset_is_gone_names_tell(
    settings: RunSettings, other: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "Own")
    found = unseen_cases(open_any(other), settings, SPLITS)
    assert list(found.names) == [*TEST, *RENAMED, "patient009_frame01", "patient009_frame04"]
    assert (found.seen, found.of_patients, found.tested) == (3, 1, 2)


def test_cases_of_the_same_name_are_others_where_none_is_of_a_patient(tmp_path: Path) -> None:
    """Two hospitals number their cases alike: what has no patient is known by its content."""
    for seed, root in enumerate(("Own", "Other")):
        for number in range(3):
            rng = np.random.default_rng(10 * seed + number)
            for folder, values in (
                ("images", rng.normal(size=(5, 6, 4))),
                ("labels", rng.integers(0, 2, (5, 6, 4))),
            ):
                path = (
                    tmp_path / root / f"{folder}Tr" / f"case_{number}{'_0000' * (folder == 'images')}.nii.gz"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = np.float32 if folder == "images" else np.uint8
                nibabel.save(nibabel.Nifti1Image(values.astype(kind), np.eye(4)), path)
        (tmp_path / root / "dataset.json").write_text(
            '{"channel_names": {"0": "MRI"}, "labels": {"background": 0, "one": 1}, "numTraining": 3, '
            '"file_ending": ".nii.gz"}'
        )
    values = {"recipe": "segnas4", "space": {"name": "segnas4"}, "strategy": {"name": "random"}}
    settings = parse_settings({**values, "dataset": {"path": str(tmp_path / "Own")}})
    splits = Splits(("case_0",), ("case_1",), ("case_2",))
    found = unseen_cases(open_any(tmp_path / "Other"), settings, splits)
    assert list(found.names) == ["case_0", "case_1", "case_2"]
    assert (found.seen, found.of_patients, found.tested) == (0, 0, 0)
