"""The pages on one's own network, space and strategy: short, and what they show runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from netwright.spaces.base import Space
from netwright.spaces.layerwise.reading import read_module
from netwright.strategies.base import Strategy

DOCS = Path(__file__).resolve().parents[1] / "docs"


def shown(page: str, name: str = "page") -> dict[str, Any]:
    """The names that a page's program defines. As ``__main__`` it is run, not imported."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(text.splitlines()) <= 60
    assert len(program.splitlines()) < 50
    names: dict[str, Any] = {"__name__": name}
    exec(compile(program, page, "exec", dont_inherit=True), names)
    return names


def test_own_strategy_learns(capsys: pytest.CaptureFixture[str]) -> None:
    """Sixty trials of uniform choices reach -6 or so: the sum of four of ten values."""
    names = shown("own-strategy.md", "__main__")
    strategy: Strategy[Any] = names["OneChange"]()
    assert strategy.name == "one-change"
    study = names["study"]
    late = [trial.value for trial in study.trials[-20:]]
    early = [trial.value for trial in study.trials[:20]]
    assert study.best_value >= -4
    assert sum(late) > sum(early)
    assert str(study.best_value) in capsys.readouterr().out


def test_own_space_builds_every_choice() -> None:
    names = shown("own-space.md")
    space: Space = names["space"]
    assert space.starting_choice().keys() == space.distributions().keys()
    for depth in (1, 4):
        network = space.build({"depth": depth, "width": 4}, names["Pictures"]())
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 2, 8, 8)
        assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network) == depth + 1


def test_own_network_is_read_layer_by_layer() -> None:
    network = shown("own-network.md")["small_cnn"]()
    pictures = torch.zeros(2, 1, 16, 16)
    assert network(pictures).shape == (2, 4)
    read = read_module(network, pictures)
    assert len(read.layers) == sum(
        isinstance(layer, torch.nn.Conv2d | torch.nn.MaxPool2d) for layer in network
    )
