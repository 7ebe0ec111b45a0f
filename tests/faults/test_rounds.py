"""How rounds of faults are counted."""

from __future__ import annotations

import random
from pathlib import Path

from fault_rounds import FAILED, Rounds, summary


def test_rounds_that_have_passed_are_not_repeated_and_each_has_numbers_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    chance = random.Random()
    drawn = {}
    first = Rounds("a test", range(4), chance, log)
    for number in first:
        drawn[number] = chance.random()
        if number == 2:
            break
    first.note(FAILED, "it was lost")
    assert summary(log) == ["    2 passed    1 failed  a test"]
    again = Rounds("a test", range(4), chance, log)
    assert {number: chance.random() for number in again}.keys() == {2, 3}
    assert summary(log) == ["    4 passed    1 failed  a test"]
    assert list(Rounds("a test", range(4), chance, log)) == []
    other = Rounds("a test", range(4), chance)
    assert {number: chance.random() for number in other}.items() >= drawn.items()
    assert len(set(drawn.values())) == 3
