"""Trained networks on disk that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netwright.errors import RunError
from netwright.files import write_json
from netwright.models.store import ARCHITECTURE, load_trained, saved_task

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
