"""The mistakes of the first ten minutes, each with what it answers.

An answer names the thing, what was expected, what came, and what to do. Nothing is written, and there is no trace.
A full disk is tried in ``tests/training/test_trial.py``, Ctrl-C in ``tests/cli/test_killed.py``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from conftest import Command

Arrange = Callable[[Path], None]


@dataclass(frozen=True)
class Mistake:
    """What someone does wrong.

    Args:
        words: of the command; SET stands for a sound dataset, BAD for the one that ``arrange`` spoils.
        code: the exit code: 2 for wrong usage, 1 for what cannot be used.
        told: texts of the answer.
        arrange: spoils the copy of a sound dataset, in the folder BAD.
    """

    words: str
    code: int
    told: tuple[str, ...]
    arrange: Arrange | None = None


def first(folder: Path, part: str) -> Path:
    return sorted((folder / part).iterdir())[0]


def without_labels(folder: Path) -> None:
    shutil.rmtree(folder / "labelsTr")


def one_case(folder: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        for path in sorted((folder / part).iterdir())[1:]:
            path.unlink()
    described = json.loads((folder / "dataset.json").read_text())
    described["training"] = described["training"][:1]
    (folder / "dataset.json").write_text(json.dumps(described))


def another_shape(folder: Path) -> None:
    label = nibabel.load(first(folder, "labelsTr"))
    cropped = np.asarray(label.dataobj)[:-3]
    nibabel.save(nibabel.Nifti1Image(cropped, label.affine), first(folder, "labelsTr"))


def blended_labels(folder: Path) -> None:
    label = nibabel.load(first(folder, "labelsTr"))
    blended = (np.asarray(label.dataobj) * 0.7).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(blended, label.affine), first(folder, "labelsTr"))


def cut_off(folder: Path) -> None:
    image = first(folder, "imagesTr")
    image.write_bytes(image.read_bytes()[:500])


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def only_texts(folder: Path) -> None:
    emptied(folder)
    (folder / "notes.txt").write_text("see the other disk")


def taken(folder: Path) -> None:
    (folder.parent / "taken").mkdir()
    (folder.parent / "taken" / "thesis.txt").write_text("ten years")


def a_file(folder: Path) -> None:
    (folder.parent / "taken").write_text("ten years")


MISTAKES = {
    "the folder's name is misspelled": Mistake(
        "search BDA -o run", 1, ("BDA does not exist", "expected the folder of a dataset", "Did you mean", "/BAD?"),
    ),
    "the folder is empty": Mistake(
        "search BAD -o run", 1, ("BAD holds no dataset", "imagesTr/ and labelsTr/", "it is empty", "netwright sample"),
        emptied,
    ),
    "the folder has other files": Mistake(
        "search BAD -o run", 1, ("Expected images with label maps", "found notes.txt", "netwright sample"), only_texts,
    ),
    "the folder is one too high": Mistake("search . -o run", 1, ("found BAD", "Did you mean", "/BAD?")),
    "there are no labels": Mistake(
        "search BAD -o run", 1, ("labelsTr/phantom_000.nii.gz is missing", "Add the label map"), without_labels,
    ),
    "there is one case": Mistake(
        "search BAD -o run", 1, ("expected at least 3", "found 1", "label more"), one_case,
    ),
    "an image and its labels differ in shape": Mistake(
        "search BAD -o run", 1, ("labelsTr/phantom_000.nii.gz", "expected the shape", "resample"), another_shape,
    ),
    "labels are fractions": Mistake(
        "search BAD -o run", 1, ("not whole numbers", "found 0.7", "nearest neighbour"), blended_labels,
    ),
    "a download was cut off": Mistake(
        "search BAD -o run", 1, ("imagesTr/phantom_000.nii.gz cannot be read", "500 bytes", "copy it again"), cut_off,
    ),
    "a command is misspelled": Mistake("serach SET", 2, ("No such command 'serach'", "Did you mean 'search'?")),
    "an option is misspelled": Mistake("search SET --hour 1", 2, ("No such option: --hour", "--hours")),
    "a number is a word": Mistake("search SET --hours two", 2, ("--hours", "valid number")),
    "a recipe is misspelled": Mistake(
        "search SET --recipe segnas5 -o run", 2, ("There is no recipe 'segnas5'", "Did you mean segnas7?", "auto"),
    ),
    "a setting is misspelled": Mistake(
        "search SET --set training.epoch=3 -o run", 2, ("no setting 'training.epoch'", "Did you mean training.epochs"),
    ),
    "a setting has a wrong value": Mistake(
        "search SET --set training.epochs=many -o run", 2, ("training.epochs = 'many'", "valid integer"),
    ),
    "a strategy does not exist": Mistake(
        "search SET --strategy bayes -o run", 2, ("There is no strategy 'bayes'", "tpe"),
    ),
    "the run folder has other files": Mistake(
        "search SET -o taken", 1, ("taken already holds other files", "name another folder with -o"), taken,
    ),
    "the run folder is a file": Mistake(
        "search SET -o taken", 1, ("taken is a file", "expected a folder", "-o"), a_file,
    ),
    "what is resumed is no run": Mistake("resume BAD", 1, ("BAD holds no run", "run.yaml is missing", "-o")),
    "what is resumed is not there": Mistake("resume runs/x", 1, ("no run folder runs/x", "netwright search")),
    "a kind of sample does not exist": Mistake(
        "sample --kind volume -o x", 2, ("There is no sample 'volume'", "Did you mean volumes?"),
    ),
    "a log does not exist": Mistake("search SET --log wandb -o run", 2, ("no log 'wandb'", "tensorboard")),
    "a metric is of another task": Mistake(
        "search SET --objective accuracy --trials 1 -o run", 2, ("There is no metric 'accuracy'", "dice"),
    ),
    "a network comes from a folder that is no run": Mistake(
        "export BAD --format onnx -o x", 1, ("BAD holds no run", "Name the folder"),
    ),
}  # fmt: skip


def tree(folder: Path) -> dict[str, int]:
    """Everything below a folder, with its size."""
    return {str(path.relative_to(folder)): path.lstat().st_size for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_nothing_is_written(
    name: str, dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    mistake = MISTAKES[name]
    shutil.copytree(dataset, tmp_path / "BAD")
    if mistake.arrange is not None:
        mistake.arrange(tmp_path / "BAD")
    before = tree(tmp_path)
    done = netwright(*mistake.words.replace("SET", str(dataset)).split(), cwd=tmp_path)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == mistake.code, told
    for text in mistake.told:
        assert text in told
    assert "Traceback" not in told
    assert len(told) < 1500, "that is a wall of text"
    assert tree(tmp_path) == before


def text(folder: Path) -> Path:
    (folder / "scan.txt").write_text("a scan")
    return folder / "scan.txt"


def photo(folder: Path) -> Path:
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(folder / "photo.png")
    return folder / "photo.png"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (text, ("scan.txt", "nii")),
        (photo, ("photo.png has 3 channels", "trained on 1")),
        (lambda folder: folder / "nowhere.nii.gz", ("nowhere.nii.gz", "does not exist")),
    ],
    ids=["a text", "more channels", "not there"],
)
def test_what_cannot_be_predicted_is_told(
    make: Callable[[Path], Path],
    told: tuple[str, ...],
    finished_run: Path,
    netwright: Command,
    tmp_path: Path,
) -> None:
    given = make(tmp_path)
    before = tree(tmp_path)
    done = netwright("predict", finished_run, given, "-o", tmp_path / "labels")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode in (1, 2), said
    for part in told:
        assert part in said
    assert tree(tmp_path) == before


def test_an_evaluation_without_labels_is_told(
    dataset: Path, finished_run: Path, netwright: Command, tmp_path: Path
) -> None:
    shutil.copytree(dataset, tmp_path / "BAD")
    without_labels(tmp_path / "BAD")
    done = netwright("evaluate", finished_run, tmp_path / "BAD")
    assert done.returncode in (1, 2)
    assert "label" in done.stderr
    assert "missing" in done.stderr
