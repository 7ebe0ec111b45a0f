"""Searches find what they found before the code was rearranged, bit for bit (tests/fixtures/rewards.json).

The floats depend on the processor and on PyTorch: on another machine, compare two checkouts by
benchmarks/same_rewards.py.
"""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = next(p for p in Path(__file__).resolve().parents if p.name == "tests").parent
RECORDED = json.loads((ROOT / "tests" / "fixtures" / "rewards.json").read_text())


def load_benchmark() -> ModuleType:
    spec = spec_from_file_location("same_rewards", ROOT / "benchmarks" / "same_rewards.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


benchmark = load_benchmark()


def test_all_searches_are_recorded() -> None:
    assert list(RECORDED["found"]) == [f"{name} {seed}" for name in benchmark.SEARCHES for seed in (0, 1)]


def test_a_last_digit_is_a_difference() -> None:
    found = RECORDED["found"]["segnas4 0"]
    trial = found["trials"][0]
    changed = {**found, "trials": [{**trial, "reward": trial["reward"] * (1 + 2**-52)}, *found["trials"][1:]]}
    assert len(benchmark.differences(found, changed)) == 1
    assert benchmark.differences(found, found) == []


@pytest.mark.usefixtures("shared_workers")
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", benchmark.SEARCHES)
def test_the_same_is_found(name: str, seed: int) -> None:
    if benchmark.machine() != RECORDED["machine"]:
        pytest.skip(f"recorded on {RECORDED['machine']}, here is {benchmark.machine()}")
    found = benchmark.find_all([name], [seed])[f"{name} {seed}"]
    assert benchmark.differences(RECORDED["found"][f"{name} {seed}"], json.loads(json.dumps(found))) == []
