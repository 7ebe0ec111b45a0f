"""A search that is shorter than its strategy's exploration says so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from netwright.api import create_run
from netwright.errors import SettingsWarning
from netwright.planning.exploration_length import expected_trials, exploration_episodes, exploration_words
from netwright.planning.user_settings import UserSettings
from netwright.settings import parse_settings

TINY = {
    "space.network": "tiny_networks:segmenter",
    "space.values": {"kernels": [2, 4, 6, 8]},
    "strategy.variant": "published",
    "training.device": "cpu",
    "termination.slower_than_start": None,
}
NEEDED = 16
"""Of two agents with four actions each."""


def create(cells: Path, folder: Path, trials: int, **given: Any) -> None:
    create_run(cells, "marl", UserSettings(trials=trials, workers=1, assignments={**TINY, **given}), folder)


def test_too_few_trials_are_told_with_the_number_that_it_takes(cells: Path, tmp_path: Path) -> None:
    with pytest.warns(SettingsWarning, match=r"10 trials are not enough: .* about 16 random ones"):
        create(cells, tmp_path / "short", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SettingsWarning)
        create(cells, tmp_path / "long", NEEDED + 1)
        create(cells, tmp_path / "joint", 10, **{"strategy.variant": "coordinated"})
        create(cells, tmp_path / "given", 10, **{"strategy.exploration": 4})


def test_trials_of_a_search_limited_in_hours_are_its_shares_of_time() -> None:
    base = {"recipe": "r", "dataset": {"path": "."}, "space": {"name": "segnas4"}}
    strategy = {"strategy": {"name": "random"}, "machine": {"workers": 2}}
    timed = parse_settings({**base, **strategy, "budget": {"hours": 1.0}, "training": {"seconds": 60.0}})
    assert expected_trials(timed) == 120
    both = timed.model_copy(update={"budget": timed.budget.model_copy(update={"trials": 50})})
    assert expected_trials(both) == 50
    assert exploration_episodes(timed) is None, "a random search has no other phase"


def test_words_are_for_searches_that_are_too_short() -> None:
    assert exploration_words(659, 658) is None
    assert exploration_words(10, None) is None
    told = exploration_words(300, 2895)
    assert told is not None
    assert "about 2,895" in told
    assert "--trials 3200" in told
