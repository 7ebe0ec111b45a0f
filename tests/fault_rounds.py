"""The rounds of a fault: how many there are, which have passed already, and what they came to."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PASSED, FAILED = "passed", "failed"


@dataclass
class Rounds:
    """The numbers of the rounds of a test that have not passed yet, once.

    A round has passed when the next one is asked for. Each begins with random numbers of its own, so that it is the
    same when it is tried again.

    Args:
        test: its name.
        numbers: of all rounds.
        chance: the random numbers of the test.
        log: a file of rounds that have passed or failed, a line each; None: nothing is kept.
    """

    test: str
    numbers: range
    chance: random.Random
    log: Path | None = None
    now: int | None = None

    def __iter__(self) -> Iterator[int]:
        passed = {
            number for test, number, result in logged(self.log) if (test, result) == (self.test, PASSED)
        }
        for number in self.numbers:
            if number in passed:
                continue
            self.now = number
            self.chance.seed(f"{self.test} {number}")
            yield number
            self.note(PASSED)
        self.now = None

    def note(self, result: str, why: str = "") -> None:
        """Keep what the present round has come to."""
        if self.log is not None and self.now is not None:
            line = {"test": self.test, "round": self.now, "result": result, "why": why}
            with self.log.open("a") as file:
                file.write(json.dumps({key: value for key, value in line.items() if value != ""}) + "\n")


def logged(log: Path | None) -> list[tuple[str, int, str]]:
    """The lines of a file of rounds: test, round, and whether it has passed."""
    if log is None or not log.exists():
        return []
    lines = map(json.loads, log.read_text().splitlines())
    return [(line["test"], line["round"], line["result"]) for line in lines]


def summary(log: Path) -> list[str]:
    """How many rounds of each test have passed, and how often one has failed, a line each."""
    counts = Counter((test, result) for test, _, result in logged(log))
    tests = sorted({test for test, _ in counts})
    return [f"{counts[test, PASSED]:5} passed  {counts[test, FAILED]:3} failed  {test}" for test in tests]
