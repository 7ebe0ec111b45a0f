"""The page on one's own data: short, its messages are those of inspect, and its commands run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from conftest import Command
from netwright_tests import ONE_TRIAL

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own-data.md").read_text(encoding="utf-8")
TREE, PARTS = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
(DESCRIPTION,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
(COMMANDS,) = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE, flags=re.MULTILINE)


@pytest.fixture
def home(dataset: Path, tmp_path: Path) -> Path:
    """The page's folder of scans, its two files, and a folder of new scans."""
    cases = [path.name for path in sorted((dataset / "imagesTr").iterdir())]
    for source, line in zip(cases, TREE.splitlines(), strict=False):
        for part, place in zip(("imagesTr", "labelsTr"), line.split(), strict=True):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(dataset / part / source, tmp_path / place)
    (tmp_path / "mydata" / "dataset.json").write_text(DESCRIPTION)
    (tmp_path / "parts.csv").write_text(PARTS)
    (tmp_path / "scans").mkdir()
    shutil.copy(dataset / "imagesTr" / cases[-1], tmp_path / "scans")
    return tmp_path


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= 60


def test_the_commands_of_the_page_run(home: Path, netwright: Command) -> None:
    """The search is one of a published recipe with a trial, as `auto` needs its hours; small networks are measured."""
    instead = {
        "plan": "--hours 2 --seconds 1 --workers 1 --set space.fixed.width=8 --set space.fixed.levels=2",
        "search": f"{ONE_TRIAL} --workers 1",
    }
    verbs = []
    for line in COMMANDS.splitlines():
        verb, *words = line.removeprefix("$ netwright ").split()
        done = netwright(verb, *" ".join(words).replace("--hours 2", instead.get(verb, "")).split(), cwd=home)
        assert done.returncode == 0, done.stderr
        verbs.append(verb)
    assert verbs == ["inspect", "plan", "search", "predict"]
    assert [path.name for path in (home / "labels").glob("*.nii.gz")] == [
        path.name for path in (home / "scans").iterdir()
    ]
    parts = json.loads((home / "runs" / "mydata" / "splits.json").read_text())
    assert parts["test"] == ["cleo_1"]
    assert {"anna_1", "anna_2"} in [set(parts[part]) for part in ("training", "validation")]


def rewritten(path: Path, change: Callable[[Any], Any]) -> None:
    """A NIfTI file with other voxels on the same grid."""
    label = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(change(np.asarray(label.dataobj)), label.affine), path)


def with_255(folder: Path) -> None:
    (folder / "dataset.json").unlink()
    for path in (folder / "labels").iterdir():
        rewritten(path, lambda voxels: (voxels > 0).astype(np.uint8) * 255)


def unnamed(folder: Path) -> None:
    described = json.loads((folder / "dataset.json").read_text())
    del described["labels"]["cyst"]
    (folder / "dataset.json").write_text(json.dumps(described))


def cut_off(folder: Path) -> None:
    scan = folder / "images" / "ben_1.nii.gz"
    scan.write_bytes(scan.read_bytes()[:500])


def twelve_cases(folder: Path) -> None:
    for case in ("anna_1", "ben_1"):
        for number in range(3, 7):
            for part in ("images", "labels"):
                copied = folder / part / f"{case}{number}.nii.gz"
                shutil.copy(folder / part / f"{case}.nii.gz", copied)
            rewritten(folder / "images" / f"{case}{number}.nii.gz", lambda v, n=number: v + n)  # type: ignore[misc]


def patients(folder: Path) -> None:
    for part in ("images", "labels"):
        for number, path in enumerate(sorted((folder / part).iterdir())):
            path.rename(path.with_name(f"patient{number // 2:03}_visit{number % 2}.nii.gz"))


def hounsfield(voxels: Any) -> Any:
    """Half air, half soft tissue, as in a CT."""
    tissue = np.where(np.arange(voxels.size).reshape(voxels.shape) % 2, -1000, 40)
    return (tissue + voxels % 50).astype(np.int16)


def as_ct(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        rewritten(path, hounsfield)


BEN = "labels/ben_1.nii.gz"
MADE: dict[str, tuple[int, Callable[[Path], None], tuple[str, ...]]] = {
    "looks fine": (0, twelve_cases, ()),
    "has too few labelled cases": (0, lambda folder: None, ()),
    "has cases that may be of one patient": (0, patients, ()),
    "looks like CT": (0, as_ct, ()),
    "has no label map": (1, lambda folder: (folder / BEN).unlink(), ()),
    "does not fit its image": (1, lambda folder: rewritten(folder / BEN, lambda v: v[:-3]), ()),
    "labels that are not whole numbers": (
        1,
        lambda folder: rewritten(folder / BEN, lambda v: (v * 0.7).astype(np.float32)),
        (),
    ),
    "labels that dataset.json does not name": (1, unnamed, ("--map-label", "3=0")),
    "values that are not numbered 0, 1, 2, ...": (1, with_255, ("--map-label", "255=1")),
    "cannot be read": (1, cut_off, ()),
}
"""Each message of the page's table: the exit code, what makes inspect say it, and the options that mend it."""


@pytest.mark.parametrize("message", MESSAGES)
def test_inspect_says_what_the_page_tells(message: str, home: Path, netwright: Command) -> None:
    code, spoil, mending = MADE[message]
    spoil(home / "mydata")
    done = netwright("inspect", "mydata", cwd=home)
    assert done.returncode == code, done.stdout
    assert message in " ".join(done.stdout.split())
    if mending:
        assert netwright("inspect", "mydata", *mending, cwd=home).returncode == 0


def test_a_label_of_the_page_may_be_ignored_and_labels_be_a_region(home: Path, netwright: Command) -> None:
    done = netwright("inspect", "mydata", "--map-label", "3=ignore", cwd=home)
    assert done.returncode == 0, done.stdout
    done = netwright("inspect", "mydata", "--region", "whole=1,2,3", "--region", "core=1", cwd=home)
    assert "whole" in done.stdout
