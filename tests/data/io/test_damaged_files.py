"""Damaged files of every format: told as what they are. The benchmark damages thousands of each, this a few."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "damaged_files.py"


def load() -> ModuleType:
    spec = spec_from_file_location("damaged_files", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


damaged_files = load()


@pytest.mark.parametrize("name", damaged_files.KINDS)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    kind = damaged_files.KINDS[name]
    (tmp_path / "whole").mkdir()
    whole = damaged_files.damaged(
        damaged_files.Kind(kind.write, (lambda content, rng: content,), read=kind.read, format=kind.format),
        tmp_path / "whole",
        each=1,
        seed=0,
    )
    assert whole.read == 1, "the dataset can be used as long as nothing is damaged"
    (tmp_path / "damaged").mkdir()
    count = damaged_files.damaged(kind, tmp_path / "damaged", each=20, seed=7)
    assert not count.others, "\n".join(count.shown.values())
    assert not count.warned, "what a library says of a file does not reach the user"
    assert count.refused > 0
    assert count.read + count.refused == 20
