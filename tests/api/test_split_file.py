"""Runs whose parts come from a file: for data of every kind, and when the file is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from netwright.api import create_run
from netwright.data import open_any
from netwright.errors import DatasetError, RunError, SettingsWarning
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_run_data
from netwright.settings import read_settings

KINDS = {
    "dataset": "segnas4",
    "cells": "policy-gradient",
    "shapes": "marl-vgg16",
    "several_shapes": "marl-vgg16",
    "tiles": "pdas-inpainting",
}
"""For each kind of data, a recipe whose settings are made in no time."""


def user(path: Path | None = None, **options: Any) -> UserSettings:
    given: dict[str, Any] = {"termination.slower_than_start": None}  # nothing is to be measured
    if path is not None:
        given["dataset.split_file"] = str(path)
    return UserSettings(workers=1, assignments=given, **options)


def third_parts(folder: Path, root: Path) -> tuple[Path, dict[str, list[str]]]:
    """A file in which every third case lies in each part, whatever the dataset's own parts are."""
    names = open_any(root).names
    parts = {part: list(names[start::3]) for start, part in enumerate(("train", "val", "test"))}
    path = folder / "parts.json"
    path.write_text(json.dumps(parts))
    return path, parts


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_are_those_of_the_file_also_when_it_is_gone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root: Path = request.getfixturevalue(kind)
    path, parts = third_parts(tmp_path, root)
    run = create_run(root, KINDS[kind], user(path), tmp_path / "run")
    splits = run.folder.splits()
    assert [sorted(parts[part]) for part in ("train", "val", "test")] == [
        list(names) for names in (splits.training, splits.validation, splits.test)
    ]
    made = open_run_data(run.folder, run.settings)
    path.unlink()
    # A run may also be moved: it looks for its parts beside its settings.
    moved = tmp_path / "moved" / "run"
    moved.parent.mkdir()
    shutil.move(run.folder.root, moved)
    again = create_run(root, None, user(repeat=read_settings(moved / "run.yaml"), seed=7), tmp_path / "again")
    for one in (again, type(run)(type(run.folder)(moved))):
        assert one.folder.splits() == splits
        data = open_run_data(one.folder, one.settings)
        assert data.prepared.folder == made.prepared.folder
        assert (data.data, data.test) == (made.data, made.test)


def test_the_scale_of_pictures_is_measured_on_the_training_part_of_the_file(
    shapes: Path, tmp_path: Path
) -> None:
    path, parts = third_parts(tmp_path, shapes)
    run = create_run(shapes, "marl-vgg16", user(path), tmp_path / "run")
    prepared = open_run_data(run.folder, run.settings).prepared
    raw = prepared.raw_images(prepared.indices(parts["train"]))  # type: ignore[attr-defined]
    assert prepared.means == pytest.approx(tuple(raw.mean(axis=(0, 2, 3))))  # type: ignore[attr-defined]


def test_a_case_that_went_is_told(shapes: Path, tmp_path: Path) -> None:
    root = shutil.copytree(shapes, tmp_path / "Shapes")
    path, parts = third_parts(tmp_path, root)
    run = create_run(root, "marl-vgg16", user(path), tmp_path / "run")
    (root / parts["train"][3]).unlink()
    with pytest.raises(RunError, match=f"no longer has the case {parts['train'][3]}"):
        open_run_data(run.folder, run.settings)


def test_a_class_that_is_not_trained_is_refused(shapes: Path, tmp_path: Path) -> None:
    names = open_any(shapes).names
    path = tmp_path / "parts.csv"
    first = names[0].split("/")[1]
    rows = [f"{name},{'test' if first in name else ''}" for name in names]
    path.write_text("\n".join(["case,part", *rows]))
    with pytest.raises(DatasetError, match=f"The training part that was given has no picture of {first}"):
        create_run(shapes, "marl-vgg16", user(path), tmp_path / "run")


def test_what_is_worth_knowing_of_folds_is_told(dataset: Path, tmp_path: Path) -> None:
    names = open_any(dataset).names
    folds = [{"train": names[:5], "val": names[5:7]}, {"train": names[2:], "val": names[:2]}]
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(folds))
    with pytest.warns(SettingsWarning) as told:
        run = create_run(dataset, "segnas4", user(path), tmp_path / "run")
    words = [str(one.message) for one in told if one.category is SettingsWarning]
    assert any("has 2 folds: the first (0) is taken" in one for one in words)
    assert any(f"does not name the case {names[7]} in fold 0: left out" in one for one in words)
    assert any("names no test cases: they are drawn from its training cases" in one for one in words)
    splits = run.folder.splits()
    assert splits.validation == names[5:7]
    assert sorted((*splits.training, *splits.test)) == list(names[:5])
    # What a run found in the file is what its repetition finds, without a fold.
    repeated = create_run(dataset, None, user(repeat=run.settings), tmp_path / "again")
    assert repeated.folder.splits() == splits
    assert splits.left_out == (names[7],)
