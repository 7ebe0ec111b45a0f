"""Trained networks on disk that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netwright.errors import RunError
from netwright.files import write_json
from netwright.models.store import ARCHITECTURE, ENSEMBLE, FOLDS, load_trained, saved_task
from netwright.training.files import WEIGHTS

UNUSED: Any = None


@pytest.mark.parametrize("kept", [{"task": "detection"}, {"metric": "detection"}])
def test_a_task_that_nobody_knows_is_told(tmp_path: Path, kept: dict[str, str]) -> None:
    write_json(tmp_path / ARCHITECTURE, kept)
    with pytest.raises(
        RunError, match=r"architecture\.json names the task 'detection': expected one of segmentation"
    ):
        saved_task(tmp_path)


def test_a_folder_without_weights_has_no_network(tmp_path: Path) -> None:
    write_json(tmp_path / ARCHITECTURE, {"task": "segmentation"})
    with pytest.raises(RunError, match="has no trained network"):
        load_trained(tmp_path, UNUSED)


GOOD = {"choice": {}, "reference": None, "weight": 1.0}


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {},
        {"members": [], "mirror_axes": []},
        {"members": [{**GOOD, "weight": 0}], "mirror_axes": [0]},
        {"members": [{**GOOD, "weight": "much"}], "mirror_axes": [0]},
        {"members": [{"weight": 1.0}], "mirror_axes": [0]},
        {"members": [GOOD], "mirror_axes": [2]},
        {"members": [GOOD], "mirror_axes": [0, 0]},
        {"members": [GOOD], "mirror_axes": ["left"]},
    ],
)
def test_a_damaged_ensemble_is_told(tmp_path: Path, kept: Any) -> None:
    described = {
        "task": "classification",
        "channels": 1,
        "class_names": ["a", "b"],
        "size": [8, 8],
        "choice": {},
        "reference": None,
        ENSEMBLE: kept,
    }
    write_json(tmp_path / ARCHITECTURE, described)
    (tmp_path / WEIGHTS).touch()
    with pytest.raises(RunError, match=r"architecture\.json is damaged \(ensemble: .*Restore it"):
        load_trained(tmp_path, UNUSED)


@pytest.mark.parametrize(
    "kept", [None, [], ["a"], [{"choice": {}, "reference": None, ENSEMBLE: {"members": []}}]]
)
def test_damaged_folds_are_told(tmp_path: Path, kept: Any) -> None:
    described = {"task": "classification", "channels": 1, "class_names": ["a", "b"], "size": [8, 8]}
    write_json(tmp_path / ARCHITECTURE, {**described, "choice": {}, "reference": None, FOLDS: kept})
    (tmp_path / WEIGHTS).touch()
    with pytest.raises(RunError, match=r"architecture\.json is damaged \(.*Restore it"):
        load_trained(tmp_path, UNUSED)
